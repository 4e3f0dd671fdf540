"""The conversation of an agent whose model is chosen on the way: by a route, up a ladder, by a judge.

Written as generators that yield one call at a time and are sent its outcome, so that they read as they run. They are as
pure as the machine around them: decisions come in as outcomes of calls of kind "route", whose replies are recorded, so
that a resume in another process goes on with what was decided and decides nothing again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch_nb.agents.certainty import Sureness, measured
from orch_nb.agents.turn import Talk
from orch_nb.engine.ports import Call, Result
from orch_nb.errors import SemanticFailure
from orch_nb.routing.judge import judge_request, judged
from orch_nb.routing.question import Question
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.route_spec import measure

if TYPE_CHECKING:
    from orch_nb.agents.turn import AgentMachine

Steps = Generator[Call, Any, Any]
Decided = Mapping[str, Any]

MAX_BECAUSE = 300


@dataclass(slots=True)
class Answer:
    """What came of asking: the talk, its result, how sure it is, and the record of how it came about."""

    result: Result
    talk: Talk | None = None
    sureness: Sureness | None = None
    note: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether nobody else may be asked: it was broken off, or what its tools did is not known."""
        error = self.result.error
        return (error is not None and error.failure == "cancelled") or (self.talk is not None and self.talk.is_stopped)


def routed(machine: AgentMachine) -> Steps:
    """The whole conversation; returns its `Result`."""
    answer = yield from _answered(machine)
    if "second_opinion" in machine.definition:
        from orch_nb.agents.second import with_second

        answer = yield from with_second(machine, answer)
    return replace(answer.result, decision={"route": answer.note}) if answer.note else answer.result


def _answered(machine: AgentMachine) -> Steps:
    if "route" not in machine.definition:
        talk = Talk(machine, logprobs=machine.definition["second_opinion"]["by"] == "probability")
        return Answer((yield from spoken(talk)), talk)
    decision = yield from decided(machine)
    if isinstance(decision, ErrorInfo):
        return Answer(Result(error=decision))
    if decision.get("ask"):
        decision = yield from _judged(machine, decision)
        if isinstance(decision, ErrorInfo):
            return Answer(Result(error=decision))
    if decision["by"] == "cascade":
        return (yield from _climbed(machine, decision))
    return (yield from _asked(machine, decision))


# ------------------------------------------------------------------ decisions
def decided(machine: AgentMachine, **more: Any) -> Steps:
    """The recorded decision, or the error of a question that nobody can answer."""
    question = _question(machine, **more)
    outcome = yield Call("route", question.route["how"], question)
    if not outcome.ok:
        return outcome.error or ErrorInfo("ORCH400", "RoutingError", "no model was chosen")
    return outcome.reply


def _question(machine: AgentMachine, **more: Any) -> Question:
    spec = machine.definition
    needs = {"tools"} if spec.get("tools") else set()
    if spec.get("schema") is not None and spec.get("enforce", "provider") != "validate":
        needs.add("json")
    route = more.pop("route", None) or spec["route"]
    fallback = more.pop("fallback", tuple(spec.get("fallback", ())))
    request = Talk(machine, [model_of(spec, route["models"][0])]).request()
    return Question(
        spec["name"], route, request, machine.inputs, machine.prompt, fallback, frozenset(needs),
        sla_s=spec.get("sla_s"), template=spec["prompt"], **more,
    )  # fmt: skip


def _judged(machine: AgentMachine, decision: Decided) -> Steps:
    """The judge is asked, and what it said is decided upon."""
    spec = machine.definition
    judge = model_of(spec, decision["ask"])
    about = {row["offer"]: _about(row) for row in decision["candidates"]}
    choices = [(name, about[name]) for name in decision["order"]]
    request = judge_request(judge["model"], machine.prompt, choices, spec["route"]["criteria"])
    outcome = yield Call("model", judge["name"], request, f"it judges which model is to answer for `{spec['name']}`")
    return (yield from decided(machine, said=judged(outcome, decision["order"])))


def _about(row: Mapping[str, Any]) -> str:
    cost = "an unknown price" if row["expected_usd"] is None else f"about ${row['expected_usd']}"
    return f"{row['model']}, {cost} for this task"


def model_of(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The plan's record of a model."""
    found: dict[str, Any] = next(m for m in (*spec["models"], *spec.get("others", ())) if m["name"] == name)
    return found


# ------------------------------------------------------------------ one model, others only when it fails
def _asked(machine: AgentMachine, decision: Decided) -> Steps:
    models = [model_of(machine.definition, name) for name in decision["order"]]
    talk = Talk(machine, models, because=decision["because"][:MAX_BECAUSE])
    result = yield from spoken(talk)
    note = {
        "how": decision["how"],
        "by": decision["by"],
        "offer": models[talk.model]["name"],
        "because": decision["because"],
    }
    if talk.failed:
        note["failed"] = talk.failed
    return Answer(result, talk, note=note)


def spoken(talk: Talk) -> Steps:
    """One talk to its end; returns its `Result`."""
    step = talk.step()
    while not isinstance(step, Result):
        talk.take((yield step))
        step = talk.step()
    return step


# ------------------------------------------------------------------ a ladder
def _climbed(machine: AgentMachine, decision: Decided) -> Steps:
    """Rung by rung, until an answer passes or none is left."""
    route = machine.definition["route"]
    tried: list[dict[str, Any]] = []
    kept: Answer | None = None
    before: Talk | None = None
    while True:
        is_top = len(decision["order"]) == 1
        answer = yield from _rung(machine, decision, before, is_top=is_top)
        before = answer.talk
        step = _step(decision["offer"], answer, route["confidence"], is_top=is_top)
        tried.append(step)
        if answer.is_final or step["passed"]:
            return _ended(machine, decision, answer, tried)
        if answer.result.error is None and not _is_refuted(answer):
            kept = answer if kept is None or _sure(answer) > _sure(kept) else kept
        if is_top:
            return _ended(machine, decision, kept or answer, tried)
        again = yield from decided(machine, tried=tuple(tried), keeps=kept is not None)
        if isinstance(again, ErrorInfo):
            return _ended(machine, decision, kept or Answer(Result(error=_both(answer, again)), answer.talk), tried)
        if not again["offer"]:
            return _ended(machine, again, kept or answer, tried)
        decision = again


def _rung(machine: AgentMachine, decision: Decided, before: Talk | None, *, is_top: bool) -> Steps:
    """One model's answer and how sure it is. Below the top nothing is repaired: the next rung is the remedy."""
    model = model_of(machine.definition, decision["offer"])
    because = decision["because"][:MAX_BECAUSE]
    route = machine.definition["route"]
    is_scored = route.get("by") == "probability"
    talk = following(machine, [model], before, repairs=int(is_top), because=because, logprobs=is_scored)
    result = yield from spoken(talk)
    answer = Answer(result, talk)
    if result.error is None:
        answer.sureness = yield from measured(
            talk, result.value, measure(route["by"]), route["confidence"], is_last=is_top
        )
        if answer.sureness is not None:
            answer.result = Result(answer.sureness.value)
    return answer


def following(machine: AgentMachine, models: Sequence[dict[str, Any]], before: Talk | None, **options: Any) -> Talk:
    """A talk that goes on behind the tools' results of an earlier one, so that no tool is called twice."""
    if before is None or before.base <= 1:
        return Talk(machine, models, **options)
    return Talk(
        machine, models, messages=list(before.messages[: before.base]), base=before.base, turns=before.turns, **options
    )


def _step(offer: str, answer: Answer, least: float, *, is_top: bool) -> dict[str, Any]:
    """One rung of the record: who, whether it passed, how sure, why."""
    error, sure = answer.result.error, answer.sureness
    if error is not None:
        return {"offer": offer, "passed": False, "because": f"{error.type}: {error.message}"[:MAX_BECAUSE]}
    if sure is None:
        because = "the last rung" if is_top else "its answer fits `out`"
        return {"offer": offer, "passed": True, "because": because}
    passed = sure.passes(least)
    return {
        "offer": offer,
        "passed": passed,
        "confidence": sure.confidence,
        "by": sure.by,
        "because": sure.because(least),
        **sure.marks(),
    }


def _is_refuted(answer: Answer) -> bool:
    """Whether a function found the answer wrong: then it stands nowhere, however little else there is."""
    return answer.sureness is not None and answer.sureness.by.startswith("check(")


def _sure(answer: Answer) -> float:
    sure = answer.sureness
    return -1.0 if sure is None or sure.confidence is None else sure.confidence


def _ended(machine: AgentMachine, decision: Decided, answer: Answer, tried: list[dict[str, Any]]) -> Answer:
    last = tried[-1]
    answer.note = {"how": decision["how"], "by": "cascade", "ladder": tried, "because": last["because"]}
    if answer.talk is not None:
        answer.note["offer"] = answer.talk.models[answer.talk.model]["name"]
    if answer.sureness is not None:
        sure = answer.sureness
        answer.note |= {"confidence": sure.confidence, "measured": sure.by, **sure.marks()}
    if answer.result.error is None and not last["passed"]:
        if _is_refuted(answer):
            answer.result = Result(error=_nobody(machine.definition["name"], tried))
        else:
            answer.note["because"] = f"no rung passed; the surest answer stands ({last['because']})"
    return answer


def _nobody(name: str, tried: list[dict[str, Any]]) -> ErrorInfo:
    rows = "; ".join(f"`{row['offer']}`: {row['because']}" for row in tried)
    return ErrorInfo(
        SemanticFailure.code, "SemanticFailure", f"no model of the ladder of `{name}` passed: {rows}", "semantic",
        "add a better model to its `cascade`, or look at what the check asks",
    )  # fmt: skip


def _both(answer: Answer, error: ErrorInfo) -> ErrorInfo:
    """What a failed rung failed with, and why there is no next one."""
    first: ErrorInfo | None = answer.result.error
    if first is None:
        return error
    return replace(
        first, message=f"{first.message} (and no further rung: {error.message})", hint=first.hint or error.hint
    )
