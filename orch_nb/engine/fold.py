"""State from events: pure, no I/O, no clock, no user code.

`fold` consumes the state it is given and returns it changed, so that one event costs the same in round 100,000 as in
round 1. Keep a state by `snapshot()`; get a prefix by `fold_all(plan, events[:n])`. `DEBUG` makes reuse of a
consumed state an error (tests switch it on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from orch_nb.engine.outcome import effects_of
from orch_nb.engine.plan import DIRECT, HELD, from_data
from orch_nb.engine.state import (
    AGAIN,
    BOUND,
    DEGRADED,
    DONE,
    FAILED,
    IDLE,
    MISSING,
    OPEN,
    READY,
    REJECTED,
    SKIPPED,
    WAITING,
    Activate,
    Consumed,
    Frame,
    Items,
    RunState,
)  # fmt: skip
from orch_nb.errors import CorruptStore
from orch_nb.schema import events as ev
from orch_nb.schema.budget import budget_of
from orch_nb.schema.events import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orch_nb.engine.plan import Plan, Reopening
    from orch_nb.engine.state import ActId
    from orch_nb.schema.events import Event

DEBUG = False

DONE_BY_PERSON = "done, as a person says; what it returned is not known"
"""The result of a tool whose effect a person has said to have happened, without its result."""


def fold(plan: Plan, state: RunState, event: Event) -> RunState:
    """The state after `event`.

    Parameters
    ----------
    plan
        The run's plan. The one in `RunStarted` is used when the event carries it and `plan` is the same graph; they are
        equal by construction (a run has one plan for ever).
    state
        Consumed.

    Raises
    ------
    CorruptStore
        The event is about a node, frame or call that this plan or state does not have.

    Notes
    -----
    O(out-degree of the node) amortised; closing a loop round is O(its body).
    """
    if DEBUG:
        state = _fresh_copy(state)
    try:
        FOLDS[event.__class__](plan, state, event)
    except KeyError as error:
        raise CorruptStore(f"event {state.seq + 1} ({event.TYPE}) does not fit the run so far: no {error}.") from error
    state.seq += 1
    return state


def fold_all(plan: Plan, events: Iterable[Event], state: RunState | None = None) -> RunState:
    """The state after all `events`."""
    state = RunState() if state is None else state
    for event in events:
        state = fold(plan, state, event)
    return state


def _fresh_copy(state: RunState) -> RunState:
    """A successor that shares everything; the given object is marked so that a second use is noticed."""
    if state.stale:
        raise Consumed(f"state {state.seq} of run {state.run!r} was folded already.", hint="keep it by `snapshot()`")
    made = RunState.__new__(RunState)
    for name in RunState.__slots__:
        setattr(made, name, getattr(state, name))
    state.stale = True
    return made


# ------------------------------------------------------------------ the graph
Todo: TypeAlias = "list[tuple[int, tuple[int, ...] | None]]"
"""Nodes that have ended, with the arrows they took (None: all), whose consequences are still to be worked out."""


def _make_ready(state: RunState, frame: Frame, node: int, item: int | None = None, action: str = "run") -> None:
    act = Activate(frame, node, item, action)
    state.ready[(frame.key, node, item)] = act
    state.fresh.append(act)


def _action(state: RunState, frame: Frame, node: int, item: int | None) -> str:
    """Return what is left to do of an activation that is due again: "close" where its items, or its nested graph, have ended."""
    if item is None and (items := frame.items.get(node)) is not None:
        return "run" if items.left else "close"
    child = state.frames.get(frame.key_at(node, item))
    return "run" if child is None or child.left else "close"


def _settle(state: RunState, frame: Frame, node: int, taken: tuple[int, ...] | None) -> None:
    """Node is done, or skipped (`taken` empty): its arrows are resolved, its body and frame count it off.

    Iterative: a skip may run down a chain of 10,000 nodes.
    """
    todo: Todo = [(node, taken)]
    topo = frame.topo
    while todo:
        i, chosen = todo.pop()
        resolve = _resolve if topo.direct[i] else _outcome
        for position, e in enumerate(topo.out[i]):
            resolve(state, frame, e, chosen is None or position in chosen, todo)
        body = topo.body_of[i]
        if body < 0:
            frame.left -= 1
        else:
            _count_off(state, frame, body, todo)
    if not frame.left:
        _frame_complete(state, frame)


def _outcome(state: RunState, frame: Frame, e: int, is_taken: bool, todo: Todo) -> None:
    way = frame.topo.way[e]
    if way != DIRECT:
        frame.last[e] = is_taken
    if way != HELD:
        _resolve(state, frame, e, is_taken, todo)


def _resolve(state: RunState, frame: Frame, e: int, is_taken: bool, todo: Todo) -> None:
    target = frame.topo.target[e]
    frame.pending[target] -= 1
    if is_taken:
        frame.taken[target] = 1
    if not frame.pending[target]:
        if frame.taken[target]:
            frame.status[target] = READY
            _make_ready(state, frame, target)
        else:
            frame.status[target] = SKIPPED
            todo.append((target, ()))


def _count_off(state: RunState, frame: Frame, body: int, todo: Todo) -> None:
    """One unit of a body is settled; when it was the last, the body reopens, or passes on what leaves it."""
    while True:
        frame.open_units[body] -= 1
        if frame.open_units[body]:
            return
        here = frame.topo.bodies[body]
        if back := tuple([e for e in here.backs if frame.last[e]]):
            _reopen(state, frame, body, back)
            return
        for e in here.exits:
            _resolve(state, frame, e, bool(frame.last[e]), todo)
        body = here.parent
        if body < 0:
            frame.left -= 1
            return


def _reopen(state: RunState, frame: Frame, body: int, back: tuple[int, ...]) -> None:
    """The next round of a body: what can be reached from the targets of the arrows back runs again."""
    topo = frame.topo
    again = topo.reopening(body, back)
    for counter in again.counters or topo.advanced(back, frame.last):
        frame.traversals[counter] = frame.traversals.get(counter, 0) + 1
    for e in back:
        frame.last[e] = 0
    for i in topo.bodies[body].remembered:
        frame.remembered[body, i] = frame.values[i] if frame.ran_in[i] > frame.entered.get(i, 0) else MISSING
        frame.remembered[body, ~i] = frame.failures.get(i, MISSING)
    frame.body_round[body] += 1
    for b, units in again.touched:
        frame.open_units[b] = units
        if b != body:
            _enter_again(frame, b, again)
    status, rounds = frame.status, frame.round
    for i, pending, is_head in again.nodes:
        frame.pending[i] = pending
        frame.taken[i] = is_head
        rounds[i] += 1
        status[i] = IDLE
    if frame.items or again.mapped_by:
        for i, _, _ in again.nodes:
            frame.items.pop(i, None)
            frame.mapped_by.pop(i, None)
        frame.mapped_by.update(again.mapped_by)
    if frame.marks or frame.failures:
        for i, _, _ in again.nodes:
            frame.marks.pop(i, None)
            frame.failures.pop(i, None)
    for i in again.ready:
        status[i] = READY
        _make_ready(state, frame, i)


def _enter_again(frame: Frame, body: int, again: Reopening) -> None:
    """A loop inside one that reopened starts again: it counts from zero, and what its nodes made before is not seen."""
    here = frame.topo.bodies[body]
    frame.body_round[body] = 1
    for counter in here.counters:
        frame.traversals.pop(counter, None)
    for e in here.backs:
        frame.last[e] = 0
    reached = {i for i, _, _ in again.nodes}
    for i in here.remembered:
        frame.remembered.pop((body, i), None)
        frame.remembered.pop((body, ~i), None)
        if i in reached:
            frame.entered[i] = frame.ran_in[i]


def _frame_complete(state: RunState, frame: Frame) -> None:
    if frame.parent is not None:
        parent_key, node, item = frame.parent
        if node < 0:
            _make_ready(state, frame, -1, None, "close")
        else:
            _make_ready(state, state.frames[parent_key], node, item, "close")


def _complete(
    state: RunState,
    event: ev.Finished | ev.Reused,
    value: object,
    taken: tuple[int, ...] | None,
    writes: dict[str, object] | None,
) -> None:
    """An activation has its value: a node settles; an item of a map is counted off."""
    frame = state.frames[event.frame]
    if writes and (refused := _write(frame, event, writes)) is not None:
        node = frame.topo.index[event.node]
        state.ready.pop((event.frame, node, event.item), None)
        frame.status[node] = FAILED
        state.failed[event.frame, node, event.item] = (refused, ev.key(event))
        return
    if state.last_call or len(state.frames) > 1:
        key = ev.key_of(event.frame, event.node, event.round, event.item)
        state.last_call.pop(key, None)
        state.calls.pop(key, None)
        if state.degraded.pop(key, None) is not None and not frame.plan.open:
            frame.mark(frame.topo.index[event.node], DEGRADED)
        state.verdicts.pop(key, None)
        child = state.frames.pop(key, None)
        if child is not None and child.marks and not frame.plan.open:
            frame.mark(frame.topo.index[event.node], *child.marks_of_output())
        if frame.plan.open:
            state.ready.pop((key, -1, None), None)
            return
    node = frame.topo.index[event.node]
    state.ready.pop((event.frame, node, event.item), None)
    if event.fingerprint:
        state.used.add(event.fingerprint)
    if event.item is None:
        frame.values[node] = value
        if frame.digests:
            frame.digests.pop(node, None)
        frame.ran_in[node] = event.round
        frame.status[node] = DONE
        _settle(state, frame, node, taken)
    else:
        _item_done(state, frame, node, event.item, value)


def _write(frame: Frame, event: ev.Finished | ev.Reused, writes: dict[str, object]) -> ErrorInfo | None:
    """The writes in their keys; the failure of the node, and none of them written, where a reducer cannot take one."""
    order = frame.order_of(frame.topo.index[event.node], event.item)
    done = []
    try:
        for name, new in writes.items():
            done.append(frame.state[name])
            done[-1].write(order, new)
    except Exception as error:  # the values are the user's: text added to a number
        for key in done:
            key.take_back(order)
        message = f"`{done[-1].reducer}` cannot take what `{event.node}` writes to `{done[-1].name}`: {error}"
        return ErrorInfo("ORCH206", "SemanticFailure", message, "semantic", "write values of one kind to this key")
    return None


def _item_done(state: RunState, frame: Frame, node: int, item: int, value: object) -> None:
    items = frame.items[node]
    items.values[item] = value
    items.left -= 1
    if not items.left:
        _make_ready(state, frame, node, None, "close")


# ------------------------------------------------------------------ one function an event
def _run_started(plan: Plan, state: RunState, event: ev.RunStarted) -> None:
    state.run, state.graph, state.plan = event.run, event.graph, plan
    state.budget = budget_of(event.limit_usd, event.limits)
    state.record = plan.open
    frame = Frame("", plan, event.inputs, None, event.at)
    state.frames[""] = frame
    for node in frame.topo.entries:
        frame.status[node] = READY
        _make_ready(state, frame, node)


def _on_finished(plan: Plan, state: RunState, event: ev.Finished) -> None:
    if event.decision is not None and "exhausted" in event.decision:
        frame = state.frames[event.frame]
        frame.mark(frame.topo.index[event.node], BOUND)
    _complete(state, event, event.value, event.taken, event.writes)


def _on_reused(plan: Plan, state: RunState, event: ev.Reused) -> None:
    _complete(state, event, event.value, event.taken, event.writes)


def _on_failed(plan: Plan, state: RunState, event: ev.Failed) -> None:
    frame = state.frames[event.frame]
    node = frame.topo.index[event.node]
    act = (event.frame, node, event.item)
    state.ready.pop(act, None)
    if not event.final:
        action = _action(state, frame, node, event.item)
        again = Activate(frame, node, event.item, action, event.attempt + 1, event.retry_at or 0.0)
        state.ready[act] = again
        state.fresh.append(again)
        return
    key = ev.key_of(event.frame, event.node, event.round, event.item)
    done = state.calls.pop(key, None)
    state.verdicts.pop(key, None)
    if event.taken is None:
        if done and (event.error.failure != "semantic" or frame.plan.nodes[node].effects):
            # A resume continues behind the last good answer; a semantic failure is about those answers, so it starts again.
            # The result of an effect is kept: it was done.
            state.calls[key] = _up_to_last_good(done)
        frame.status[node] = FAILED
        state.failed[act] = (event.error, key)
    elif event.item is not None:
        _item_done(state, frame, node, event.item, None)
    else:
        output = done[-1].reply if done else None
        frame.failures[node] = {
            "class": event.error.type, "message": event.error.message, "attempts": event.attempt,
            "output": output.get("text") if isinstance(output, dict) else output,
        }  # fmt: skip
        frame.status[node] = SKIPPED
        _settle(state, frame, node, event.taken)


def _up_to_last_good(calls: list[ev.Settled]) -> list[ev.Settled]:
    """The calls of a conversation up to the last that succeeded. Failures before it are kept: what followed answered to them."""
    last = max((i for i, settled in enumerate(calls) if settled.ok), default=-1)
    return calls[: last + 1]


def _on_sent(plan: Plan, state: RunState, event: ev.Sent) -> None:
    key = ev.key_of(event.frame, event.node, event.round, event.item)
    state.open_calls[key, event.call] = event
    state.last_call[key] = event.call
    state.has_sent = True
    if event.route is not None and "degraded" in event.route:
        state.degraded[key] = event.route["degraded"]
    if event.reserved_usd:
        state.held_usd += event.reserved_usd


def _on_settled(plan: Plan, state: RunState, event: ev.Settled) -> None:
    key = ev.key_of(event.frame, event.node, event.round, event.item)
    sent = state.open_calls.pop((key, event.call))
    if sent.reserved_usd:
        state.held_usd -= sent.reserved_usd
    if event.cost_usd:
        state.spent_usd += event.cost_usd
    if event.overrun_usd:
        state.overrun_usd += event.overrun_usd
    if sent.kind != "effect" or event.ok:
        kept = state.verdicts if sent.route and sent.route.get("chooses") else state.calls
        kept.setdefault(key, []).append(event)


def _on_mapped(plan: Plan, state: RunState, event: ev.Mapped) -> None:
    frame = state.frames[event.frame]
    node = frame.topo.index[event.node]
    state.ready.pop((event.frame, node, None), None)
    frame.status[node] = OPEN
    frame.items[node] = Items(event.count)
    for item in range(event.count):
        _make_ready(state, frame, node, item)
    if not event.count:
        _make_ready(state, frame, node, None, "close")


def _on_opened(plan: Plan, state: RunState, event: ev.Opened) -> None:
    frame = state.frames[event.frame]
    node = -1 if frame.plan.open else frame.topo.index[event.node]
    state.ready.pop((event.frame, node, event.item), None)
    if node >= 0:
        frame.status[node] = OPEN
    child_plan = from_data(event.plan) if event.plan is not None else frame.plan.subplans[event.node]
    key = ev.key_of(event.frame, event.node, event.round, event.item)
    child = Frame(key, child_plan, event.inputs, (event.frame, node, event.item), event.at)
    state.frames[key] = child
    for entry in child.topo.entries:
        child.status[entry] = READY
        _make_ready(state, child, entry)
    if not child.left:
        _frame_complete(state, child)


def _waiting(plan: Plan, state: RunState, event: ev.Waiting) -> None:
    frame = state.frames[event.frame]
    node = frame.topo.index[event.node]
    state.ready.pop((event.frame, node, event.item), None)
    if event.item is None:
        frame.status[node] = WAITING
    state.waiting[ev.key_of(event.frame, event.node, event.round, event.item)] = event
    state.status = "waiting"


def _on_answered(plan: Plan, state: RunState, event: ev.Answered) -> None:
    key = ev.key_of(event.frame, event.node, event.round, event.item)
    asked = state.waiting.pop(key)
    if not state.waiting:
        state.status = "running"
    frame = state.frames[event.frame]
    node = frame.topo.index[event.node]
    in_doubt = [state.open_calls.pop(call) for call in [c for c in state.open_calls if c[0] == key]]
    tools = [sent for sent in in_doubt if sent.kind == "tool"] if event.action == "done" else []
    for sent in tools:  # it happened: the conversation continues with what the person says it returned
        reply = DONE_BY_PERSON if event.value is None else event.value
        at = (event.frame, event.node, event.round, event.item, sent.call, event.at)
        state.calls.setdefault(key, []).append(ev.Settled(*at, reply=reply))
    if event.action == "reject":
        frame.mark(node, REJECTED)
        said = event.comment or f"rejected by {event.by}"
        frame.failures[node] = {"class": "rejected", "message": said, "attempts": 1, "output": asked.shown}
    if event.action in AGAIN or tools:
        if event.item is None:
            frame.status[node] = READY
        _make_ready(state, frame, node, event.item, _action(state, frame, node, event.item))
        state.ready[event.frame, node, event.item].cleared = event.action == "again"
        state.ready[event.frame, node, event.item].unasked = event.action == "stop"
        return
    if event.item is not None:
        _item_done(state, frame, node, event.item, event.value)
        return
    frame.values[node] = event.value
    frame.digests.pop(node, None)
    frame.ran_in[node] = event.round
    frame.status[node] = DONE
    if asked.fingerprint:
        state.used.add(asked.fingerprint)
    _settle(state, frame, node, event.taken)


def _on_refused(plan: Plan, state: RunState, event: ev.Refused) -> None:
    """A refusal changes nothing: it is there to be seen. What follows from it is a `Failed`."""


def _limit_changed(plan: Plan, state: RunState, event: ev.LimitChanged) -> None:
    if not event.scope:
        state.budget = budget_of(event.limit_usd, event.limits)


def _on_resumed(plan: Plan, state: RunState, event: ev.Resumed) -> None:
    """Calls that were under way are in doubt; failures are due again; effects that were under way need a person."""
    state.status = "waiting" if state.waiting else "running"
    state.ended = False
    state.error = None
    in_doubt: list[ActId] = []
    for (key, call), sent in list(state.open_calls.items()):
        if sent.kind in ("effect", "tool"):
            frame = state.frames[sent.frame]
            node = frame.topo.index[sent.node]
            if effects_of(frame.plan.nodes[node], sent.kind, sent.target):
                in_doubt.append((sent.frame, node, sent.item))
                continue
        del state.open_calls[key, call]
        if sent.reserved_usd:
            state.held_usd -= sent.reserved_usd
            state.in_doubt_usd += sent.reserved_usd
    for frame_key, node, item in state.failed:
        frame = state.frames[frame_key]
        if item is None:
            frame.status[node] = READY
        _make_ready(state, frame, node, item, _action(state, frame, node, item))
    state.failed.clear()
    for act in in_doubt:
        if act in state.ready:
            state.ready[act].in_doubt = True
    state.fresh = list(state.ready.values())


def _run_ended(plan: Plan, state: RunState, event: ev.RunEnded) -> None:
    state.status, state.ended = event.status, True
    state.output, state.error = event.output, event.error


FOLDS: dict[type, Callable[[Plan, RunState, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.Finished: _on_finished,
    ev.Reused: _on_reused,
    ev.Failed: _on_failed,
    ev.Sent: _on_sent,
    ev.Settled: _on_settled,
    ev.Mapped: _on_mapped,
    ev.Opened: _on_opened,
    ev.Waiting: _waiting,
    ev.Answered: _on_answered,
    ev.Refused: _on_refused,
    ev.LimitChanged: _limit_changed,
    ev.Resumed: _on_resumed,
    ev.RunEnded: _run_ended,
}
