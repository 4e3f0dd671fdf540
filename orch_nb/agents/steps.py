"""Steps that routed conversations and second opinions are made of: decide on a model, run one conversation, continue behind another."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.agents.conversation import Conversation
from orch_nb.engine.ports import Call, Result
from orch_nb.routing.decision import Question
from orch_nb.schema.events import ErrorInfo

if TYPE_CHECKING:
    from orch_nb.agents.confidence import Confidence
    from orch_nb.agents.conversation import AgentTask

Steps = Generator[Call, Any, Any]
Decision = Mapping[str, Any]


@dataclass(slots=True)
class Answer:
    """What came of asking: the conversation, its result, how sure it is, and the record of how it came about."""

    result: Result
    conversation: Conversation | None = None
    sureness: Confidence | None = None
    note: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """True if nobody else may be asked: it was broken off, or what its tools did is not known."""
        error = self.result.error
        return (error is not None and error.failure == "cancelled") or (
            self.conversation is not None and self.conversation.is_stopped
        )


# ------------------------------------------------------------------ decisions
def decide(task: AgentTask, **more: object) -> Steps:
    """The recorded decision, or the error of a question that nobody can answer."""
    question = _question(task, **more)
    outcome = yield Call("route", question.route["how"], question)
    if not outcome.ok:
        return outcome.error or ErrorInfo("ORCH400", "RoutingError", "no model was chosen")
    return outcome.reply


def _question(task: AgentTask, **more: Any) -> Question:
    spec = task.definition
    needs = {"tools"} if spec.get("tools") else set()
    if spec.get("schema") is not None and spec.get("enforce", "provider") != "validate":
        needs.add("json")
    route = more.pop("route", None) or spec["route"]
    fallback = more.pop("fallback", tuple(spec.get("fallback", ())))
    request = Conversation(task, [model_of(spec, route["models"][0])]).request()
    return Question(
        spec["name"], route, request, task.inputs, task.prompt, fallback, frozenset(needs),
        sla_s=spec.get("sla_s"), template=spec["prompt"], **more,
    )  # fmt: skip


def model_of(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The plan's record of a model."""
    found: dict[str, Any] = next(m for m in (*spec["models"], *spec.get("others", ())) if m["name"] == name)
    return found


def run_conversation(conversation: Conversation) -> Steps:
    """One conversation to its end; returns its `Result`."""
    step = conversation.step()
    while not isinstance(step, Result):
        conversation.take((yield step))
        step = conversation.step()
    return step


def follow_up(
    task: AgentTask, models: Sequence[dict[str, object]], before: Conversation | None, **options: Any
) -> Conversation:
    """A conversation that continues behind the tools' results of an earlier one, so that no tool is called twice."""
    if before is None or before.base <= 1:
        return Conversation(task, models, **options)
    return Conversation(
        task, models, messages=list(before.messages[: before.base]), base=before.base, turns=before.turns, **options
    )
