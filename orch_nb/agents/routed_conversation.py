"""The conversation of an agent whose model is chosen on the way: by a route, up a ladder, by a judge.

Written as generators that yield one call at a time and are sent its outcome, so that they read as they run. They are as
pure as the machine around them: decisions come in as outcomes of calls of kind "route", whose replies are recorded, so
that a resume in another process continues with what was decided and decides nothing again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch_nb.agents.confidence import measured
from orch_nb.agents.conversation import Conversation
from orch_nb.agents.steps import Answer, decide, follow_up, model_of, run_conversation
from orch_nb.engine.ports import Call, Result
from orch_nb.errors import SemanticFailure
from orch_nb.routing.judge import judge_request, judged
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.route_spec import measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.agents.conversation import AgentTask
    from orch_nb.agents.steps import Decision, Steps

MAX_BECAUSE = 300


def run_routed(task: AgentTask) -> Steps:
    """The whole conversation; returns its `Result`."""
    answer = yield from _answer(task)
    if "second_opinion" in task.definition:
        from orch_nb.agents.second_opinion import add_second_opinion

        answer = yield from add_second_opinion(task, answer)
    return replace(answer.result, decision={"route": answer.note}) if answer.note else answer.result


def _answer(task: AgentTask) -> Steps:
    if "route" not in task.definition:
        conversation = Conversation(task, logprobs=task.definition["second_opinion"]["by"] == "probability")
        return Answer((yield from run_conversation(conversation)), conversation)
    decision = yield from decide(task)
    if isinstance(decision, ErrorInfo):
        return Answer(Result(error=decision))
    if decision.get("ask"):
        decision = yield from _ask_judge(task, decision)
        if isinstance(decision, ErrorInfo):
            return Answer(Result(error=decision))
    if decision["by"] == "cascade":
        return (yield from _run_cascade(task, decision))
    return (yield from _ask_in_turn(task, decision))


def _ask_judge(task: AgentTask, decision: Decision) -> Steps:
    """The judge is asked, and what it said is decided upon."""
    spec = task.definition
    judge = model_of(spec, decision["ask"])
    about = {row["offer"]: _about(row) for row in decision["candidates"]}
    choices = [(name, about[name]) for name in decision["order"]]
    request = judge_request(judge["model"], task.prompt, choices, spec["route"]["criteria"])
    outcome = yield Call("model", judge["name"], request, f"it judges which model is to answer for `{spec['name']}`")
    return (yield from decide(task, said=judged(outcome, decision["order"])))


def _about(row: Mapping[str, object]) -> str:
    cost = "an unknown price" if row["expected_usd"] is None else f"about ${row['expected_usd']}"
    return f"{row['model']}, {cost} for this task"


# ------------------------------------------------------------------ one model, others only when it fails
def _ask_in_turn(task: AgentTask, decision: Decision) -> Steps:
    models = [model_of(task.definition, name) for name in decision["order"]]
    conversation = Conversation(task, models, because=decision["because"][:MAX_BECAUSE])
    result = yield from run_conversation(conversation)
    note = {
        "how": decision["how"],
        "by": decision["by"],
        "offer": models[conversation.model]["name"],
        "because": decision["because"],
    }
    if conversation.failed:
        note["failed"] = conversation.failed
    return Answer(result, conversation, note=note)


# ------------------------------------------------------------------ a ladder
def _run_cascade(task: AgentTask, decision: Decision) -> Steps:
    """Ask step by step, until an answer passes or no step is left."""
    route = task.definition["route"]
    tried: list[dict[str, object]] = []
    kept: Answer | None = None
    before: Conversation | None = None
    while True:
        is_top = len(decision["order"]) == 1
        answer = yield from _run_step(task, decision, before, is_top=is_top)
        before = answer.conversation
        step = _step_record(decision["offer"], answer, route["confidence"], is_top=is_top)
        tried.append(step)
        if answer.is_final or step["passed"]:
            return _end_cascade(task, decision, answer, tried)
        if answer.result.error is None and not _is_refuted(answer):
            kept = answer if kept is None or _sure(answer) > _sure(kept) else kept
        if is_top:
            return _end_cascade(task, decision, kept or answer, tried)
        again = yield from decide(task, tried=tuple(tried), keeps=kept is not None)
        if isinstance(again, ErrorInfo):
            return _end_cascade(
                task, decision, kept or Answer(Result(error=_both(answer, again)), answer.conversation), tried
            )
        if not again["offer"]:
            return _end_cascade(task, again, kept or answer, tried)
        decision = again


def _run_step(task: AgentTask, decision: Decision, before: Conversation | None, *, is_top: bool) -> Steps:
    """One model's answer and its confidence. Below the last step nothing is repaired: the next step follows."""
    model = model_of(task.definition, decision["offer"])
    because = decision["because"][:MAX_BECAUSE]
    route = task.definition["route"]
    is_scored = route.get("by") == "probability"
    conversation = follow_up(task, [model], before, repairs=int(is_top), because=because, logprobs=is_scored)
    result = yield from run_conversation(conversation)
    answer = Answer(result, conversation)
    if result.error is None:
        answer.sureness = yield from measured(
            conversation, result.value, measure(route["by"]), route["confidence"], is_last=is_top
        )
        if answer.sureness is not None:
            answer.result = Result(answer.sureness.value)
    return answer


def _step_record(offer: str, answer: Answer, least: float, *, is_top: bool) -> dict[str, object]:
    """One step of the record: the model, whether its answer passed, its confidence, and why."""
    error, sure = answer.result.error, answer.sureness
    if error is not None:
        return {"offer": offer, "passed": False, "because": f"{error.type}: {error.message}"[:MAX_BECAUSE]}
    if sure is None:
        because = "the last step" if is_top else "its answer fits `out`"
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
    """Return whether a function found the answer wrong: then it is not used, even if no other is left."""
    return answer.sureness is not None and answer.sureness.by.startswith("check(")


def _sure(answer: Answer) -> float:
    sure = answer.sureness
    return -1.0 if sure is None or sure.confidence is None else sure.confidence


def _end_cascade(task: AgentTask, decision: Decision, answer: Answer, tried: list[dict[str, object]]) -> Answer:
    last = tried[-1]
    answer.note = {"how": decision["how"], "by": "cascade", "ladder": tried, "because": last["because"]}
    if answer.conversation is not None:
        answer.note["offer"] = answer.conversation.models[answer.conversation.model]["name"]
    if answer.sureness is not None:
        sure = answer.sureness
        answer.note |= {"confidence": sure.confidence, "measured": sure.by, **sure.marks()}
    if answer.result.error is None and not last["passed"]:
        if _is_refuted(answer):
            answer.result = Result(error=_nobody(task.definition["name"], tried))
        else:
            answer.note["because"] = f"no step passed; the surest answer is used ({last['because']})"
    return answer


def _nobody(name: str, tried: list[dict[str, object]]) -> ErrorInfo:
    rows = "; ".join(f"`{row['offer']}`: {row['because']}" for row in tried)
    return ErrorInfo(
        SemanticFailure.code, "SemanticFailure", f"no model of the ladder of `{name}` passed: {rows}", "semantic",
        "add a better model to its `cascade`, or look at what the check asks",
    )  # fmt: skip


def _both(answer: Answer, error: ErrorInfo) -> ErrorInfo:
    """Return what a failed step failed with, and why no step follows."""
    first: ErrorInfo | None = answer.result.error
    if first is None:
        return error
    return replace(
        first, message=f"{first.message} (and no further step: {error.message})", hint=first.hint or error.hint
    )
