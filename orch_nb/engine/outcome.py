"""What came out of a frame, a call or an exception, as data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.engine.state import BOUND, DONE, MISSING, SKIPPED
from orch_nb.engine.user_code import raised, words_of
from orch_nb.errors import BadArguments, LoopExhausted, NotDone, OrchError, QuestionChanged, UnknownTool
from orch_nb.schema import events as ev
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.secrets import REDACTOR
from orch_nb.schema.values import compact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.engine.plan import PlanNode
    from orch_nb.engine.ports import Outcome, Prepared
    from orch_nb.engine.state import Frame, RunState

_ZERO = Decimal(0)
_ONE = Decimal(1)


def frame_output(frame: Frame) -> object:
    """A frame's output: the value of its sole `out`, or a mapping of those that ran; None where none did."""
    got = {name: _ran(frame, name) for name in frame.plan.out}
    got = {name: value for name, value in got.items() if value is not MISSING}
    if len(frame.plan.out) == 1:
        return next(iter(got.values()), None)
    return got or None


def has_output(frame: Frame) -> bool:
    """Return whether a node of the frame's `out` ran in its last round."""
    return any(_ran(frame, name) is not MISSING for name in frame.plan.out)


def exhausted(state: RunState, frame: Frame) -> LoopExhausted | None:
    """Return the error of a run, or of a graph inside it, that has no output because a bound is used up; None otherwise."""
    if has_output(frame) or not any(BOUND in words for words in frame.marks.values()):
        return None
    topo, plan = frame.topo, frame.plan
    arrows = [
        f"`{edge.source} -> {edge.target}` (at most {edge.at_most})"
        for e, edge in enumerate(plan.edges)
        if edge.at_most is not None
        and BOUND in frame.marks.get(topo.source[e], ())
        and frame.traversals.get(topo.counter[e], 0) >= edge.at_most
    ]
    outs = ", ".join(f"`{name}`" for name in plan.out)
    return LoopExhausted(
        f"{f'`{frame.key}`' if frame.key else f'run {state.run}'} has no value of {outs}: the bound of {', '.join(arrows) or 'a loop'} is used up.",
        hint="raise `at most`, or say with `else` what follows when the bound is used up: `critic -> out  else`",
        run=state.run,
    )


def _ran(frame: Frame, name: str) -> object:
    members = frame.plan.groups.get(name)
    if members is None:
        i = frame.topo.index[name]
        return frame.values[i] if frame.status[i] == DONE else MISSING
    got = [v for m in members if (v := _ran(frame, m)) is not MISSING]
    return MISSING if not got else got[0] if len(got) == 1 else got


def unended(state: RunState) -> list[str]:
    """Keys of the activations in open frames that are neither done nor skipped, in order of the plan."""
    return [
        frame.key_at(i)
        for frame in state.frames.values()
        for i, status in enumerate(frame.status)
        if status not in (DONE, SKIPPED)
    ]


def question_changed(run: str, node: str, waiting: Iterable[ev.Waiting]) -> QuestionChanged:
    """The error of an answer to `node` that is to none of the questions which wait now; `node` "" for any."""
    now = [f"`{ev.key(w)}` asks: {w.question} (shown: {compact(w.shown)[:400]})" for w in waiting]
    return QuestionChanged(
        f"the question{f' of `{node}`' if node else ''} in run {run} has changed since it was shown. Now "
        f"{'; '.join(now) or 'no question waits'}.",
        hint="answer again, if that is what you want: `%orch answer`" if now else "`%orch runs` shows its status",
        run=run,
        node=node,
    )


def split_key(key: str) -> tuple[str, int]:
    """Name and round of a top-level key: ``triage[2]`` -> ("triage", 2)."""
    name, _, rest = key.partition("[")
    return name, int(rest[:-1]) if rest else 1


def error_info(error: BaseException) -> ErrorInfo:
    """An exception as data. Network and time-out errors are transient; of ours, each class says; others are not retried."""
    error = raised(error)
    if isinstance(error, OrchError):
        failure = getattr(error, "failure", "catastrophic")
        after = getattr(error, "retry_after_s", None)
        return ErrorInfo(error.code, type(error).__name__, str(error), failure, error.hint, after)
    transient = isinstance(error, ConnectionError | TimeoutError)
    hint = "a step cannot end the process: return a value, or raise an error" if isinstance(error, SystemExit) else ""
    failure = "transient" if transient else "catastrophic"
    return ErrorInfo("ORCH202", type(error).__name__, REDACTOR.text(words_of(error))[:2000], failure, hint)


UNTOUCHED = frozenset({NotDone.code, BadArguments.code, UnknownTool.code})
"""Failures after which nothing has happened: the function said so, or was not entered."""


def effects_of(node: PlanNode, kind: str, target: str) -> tuple[str, ...]:
    """Return what a call of `node` does to the world: a declared effect, or a tool of an agent that has some."""
    if kind == "effect":
        return node.effects
    tools = node.spec.get("tools", ()) if kind == "tool" else ()
    return next((tuple(t.get("effects", ())) for t in tools if t["name"] == target), ())


def text_diff(old: object, new: object) -> str:
    """A unified diff of two values as text."""
    import difflib

    from orch_nb.schema.values import compact

    def lines(value: object) -> list[str]:
        return (value if isinstance(value, str) else compact(value)).splitlines()

    return "\n".join(difflib.unified_diff(lines(old), lines(new), "shown", "answered", lineterm="", n=1))


def asked_by(prepared: Prepared) -> dict[str, Decimal]:
    """Return what a call asks for beside dollars. Seconds are settled only: a reservation of its time-out would be far too much."""
    if prepared.kind != "model":
        return {"seconds": _ZERO}
    return {"tokens": Decimal(prepared.reserved_tokens), "calls": _ONE, "seconds": _ZERO}


def used_by(prepared: Prepared, outcome: Outcome, took_s: float) -> dict[str, Decimal]:
    """Return what a call used beside dollars."""
    seconds = Decimal(f"{max(took_s, 0.0):.6f}")
    if prepared.kind != "model":
        return {"seconds": seconds}
    tokens = prepared.reserved_tokens if outcome.tokens is None else outcome.tokens
    return {"tokens": Decimal(tokens), "calls": _ONE, "seconds": seconds}


def settled_event(
    at: tuple[str, str, int, int | None], call: int, now: float, outcome: Outcome, fate: str
) -> ev.Settled:
    """The `Settled` that records `outcome`; `fate` is "retry", "cancelled" or ""."""
    note = "; ".join(dict.fromkeys(filter(None, (fate, outcome.note))))
    return ev.Settled(
        *at, call, now, outcome.ok, outcome.reply, usage=outcome.usage, cost_usd=outcome.cost_usd,
        overrun_usd=outcome.overrun_usd or _ZERO, error=outcome.error, finish_reason=outcome.finish_reason,
        first_token_s=outcome.first_token_s, price=outcome.price, note=note,
    )  # fmt: skip
