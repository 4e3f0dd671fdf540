"""A second opinion: where the first answer is not sure enough, another model answers too, and both are weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.agents.confidence import Confidence, identity, measured
from orch_nb.agents.steps import Answer, Steps, decide, follow_up, model_of, run_conversation
from orch_nb.engine.ports import Result
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.messages import Message
from orch_nb.schema.route_spec import measure
from orch_nb.schema.values import compact

if TYPE_CHECKING:
    from orch_nb.agents.conversation import AgentTask, Conversation

MAX_SHOWN = 8_000
"""Characters of an answer that are shown to whoever weighs it."""


def add_second_opinion(task: AgentTask, first: Answer) -> Steps:
    """The first answer where it is sure enough, or where nobody else can be asked; else what both come to.

    The record has both answers, how sure the first was, and the synthesis.
    """
    rule = task.definition["second_opinion"]
    conversation = first.conversation
    if first.result.error is not None or conversation is None:
        return first
    own = conversation.models[conversation.model]["name"]
    sure = yield from _sureness(first, conversation, rule)
    first.result = Result(sure.value)
    first.note = {**first.note, "offer": own, "confidence": sure.confidence, "measured": sure.by, **sure.marks()}
    if (sure.confidence is not None and sure.confidence >= rule["below"]) or own == rule["model"]:
        return first
    because = f"{sure.detail}, below {rule['below']:.2f}"
    tried = {"offer": own, "passed": False, "confidence": sure.confidence, "because": because}
    route = {"how": "second_opinion", "models": [rule["model"]]}
    decision = yield from decide(task, route=route, fallback=(), tried=(tried,), keeps=True)
    if isinstance(decision, ErrorInfo) or not decision["offer"]:
        refused = decision.message if isinstance(decision, ErrorInfo) else decision["because"]
        first.note["second_opinion"] = {"refused": refused}
        return first
    return (yield from _ask_second(task, first, rule["model"], because))


def _sureness(first: Answer, conversation: Conversation, rule: dict[str, Any]) -> Steps:
    """Return how sure the first answer is: as its ladder found, else measured now."""
    if first.sureness is not None and first.sureness.confidence is not None:
        return first.sureness
    found = yield from measured(conversation, first.result.value, measure(rule["by"]), rule["below"])
    return found or Confidence(first.result.value, rule["by"], None, "nothing measures it")


def _ask_second(task: AgentTask, first: Answer, name: str, because: str) -> Steps:
    model = model_of(task.definition, name)
    conversation = follow_up(task, [model], first.conversation, because=f"second opinion: {because}")
    result = yield from run_conversation(conversation)
    first_row = {"offer": first.note["offer"], "answer": first.result.value, "confidence": first.note["confidence"]}
    record: dict[str, Any] = {"first": first_row, "because": because}
    if result.error is not None:
        record["second"] = {"offer": name, "failed": f"{result.error.type}: {result.error.message}"[:300]}
        first.note["second_opinion"] = record
        return Answer(result, conversation, note=first.note) if result.error.failure == "cancelled" else first
    record["second"] = {"offer": name, "answer": result.value}
    record["agreed"] = identity(result.value) == identity(first.result.value)
    final = result.value
    if not record["agreed"]:
        weighing = _weighing_conversation(task, conversation, model, first.result.value, result.value)
        both = yield from run_conversation(weighing)
        if both.error is not None and both.error.failure == "cancelled":
            return Answer(both, weighing, note=first.note)
        final = result.value if both.error is not None else both.value
        record["synthesis"] = {"offer": name, "answer": final}
        if both.error is not None:
            record["synthesis"]["failed"] = f"{both.error.type}: {both.error.message}; the second answer is used"[:300]
    return Answer(Result(final), conversation, first.sureness, {**first.note, "offer": name, "second_opinion": record})


def _weighing_conversation(
    task: AgentTask, conversation: Conversation, model: dict[str, object], one: object, other: object
) -> Conversation:
    """The question once more, with both answers. Which model gave which is not said: it would weigh."""
    body = (
        "Two answers were given to this:\n"
        f"Answer 1:\n{_shorten(one)}\n\nAnswer 2:\n{_shorten(other)}\n\n"
        "Weigh them against the task and the facts above, and give the one right answer, in the same form."
    )
    made = follow_up(task, [model], conversation, because="it weighs both answers")
    made.messages = [*made.messages[: made.base], Message("user", body)]
    made.base = len(made.messages)
    return made


def _shorten(value: object) -> str:
    text = value if isinstance(value, str) else compact(value)
    return text[:MAX_SHOWN]
