"""The one place where plans meet tasks, clock and storage.

To drive is: start what is due, await what comes back, append it, fold it, again. To resume is the same with a log that
is not empty. An activation is a coroutine that ends in events; only the conversation of an agent records in between.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections import deque
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from orch_nb.engine import deciding
from orch_nb.engine.fingerprint import occurrence, stem
from orch_nb.engine.fold import fold
from orch_nb.engine.outcome import (
    UNTOUCHED,
    asked_by,
    effects_of,
    error_info,
    exhausted,
    frame_output,
    question_changed,
    settled_event,
    split_key,
    text_diff,
    unended,
    used_by,
)
from orch_nb.engine.ports import Call, Hold, Outcome, Policy
from orch_nb.engine.reading import each_of, incoming_value, path_text, read_digest, read_values, resolve, stated_paths
from orch_nb.engine.state import AGAIN, DONE, Activate, Frame, RunState
from orch_nb.engine.user_code import ends_task, raised, running_task, tell
from orch_nb.errors import (
    BudgetExceeded,
    EffectInDoubt,
    InternalError,
    LimitReached,
    NodeFailed,
    NodeTimeout,
    NotDone,
    OrchError,
    RunCancelled,
    SemanticFailure,
    UnstorableValue,
    WaitingForPerson,
)
from orch_nb.schema import events as ev
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.values import compact, fingerprint_of, plain, share

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from orch_nb.engine.plan import Plan, PlanNode, Retry
    from orch_nb.engine.ports import Perform, Prepared, Refusal, Result, RunLog
    from orch_nb.schema.events import Event

_ZERO = Decimal(0)


MORE = ("raise", "stop")
"""What a person may answer who is asked for more budget."""

DOUBT = ("done", "again", "reject")
"""What a person may answer who is asked whether an effect happened."""


class Expand:
    """What a node returns to grow the graph: a graph that runs in its place; its `out` becomes the node's value.

    Parameters
    ----------
    graph
        A `Graph`; it is compiled and checked before anything of it runs.
    **inputs
        Its inputs, plain data.
    """

    def __init__(self, graph: object, **inputs: object) -> None:
        self.graph, self.inputs = graph, inputs


async def drive(
    plan: Plan,
    log: RunLog,
    perform: Perform,
    *,
    state: RunState,
    policy: Policy | None = None,
    on_events: Callable[[Sequence[Event]], None] | None = None,
) -> RunState:
    """Run `plan` until it settles, continuing from `state`.

    Returns the state when the run is done, failed or cancelled. While only a person is due it waits: an answer is given
    through `Driver.answer`.
    """
    return await Driver(plan, log, perform, state, policy or Policy(), on_events).run()


class Driver:
    """One run under way."""

    def __init__(
        self,
        plan: Plan,
        log: RunLog,
        perform: Perform,
        state: RunState,
        policy: Policy,
        on_events: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.plan, self.log, self.perform, self.state, self.policy = plan, log, perform, state, policy
        self.on_events = on_events
        self.now = policy.clock.now
        self.on_waiting: Callable[[], None] | None = None
        """Called when only a person is due."""
        self._expected: dict[str, asyncio.Future[object]] = {}
        self.exceptions: dict[str, BaseException] = {}
        self.activations = 0
        self._queue: deque[Activate] = deque()
        self._live: dict[asyncio.Task[list[Event]], Activate] = {}
        self._completed: list[asyncio.Task[list[Event]]] = []
        self._posted: deque[Callable[[], list[Event]]] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._hints: dict[bytes, int] = {}
        self._random: random.Random | None = None
        self._stopping = False
        self._task: asyncio.Task[object] | None = None
        self._closing = False

    # ---------------------------------------------------------------- the loop
    async def run(self) -> RunState:
        """Drive to the end; a cancellation ends the run as `cancelled`, with what was spent booked."""
        self._task = asyncio.current_task()
        try:
            if self._stopping:
                raise asyncio.CancelledError
            await self._loop()
        except asyncio.CancelledError:
            await self._abandon()
            await self._end("cancelled")
            return self.state
        except GeneratorExit:  # the loop is gone: nothing can be awaited any more
            raise
        except BaseException:
            await self._abandon()
            raise
        finally:
            self._let_callers_go()
        await self._settle_run()
        return self.state

    def _let_callers_go(self) -> None:
        """Nothing more comes of the calls of a recording that are still awaited."""
        waiting, self._expected = self._expected, {}
        for key, waiter in waiting.items():
            if not waiter.done():
                waiter.set_exception(RunCancelled(f"run {self.state.run} ended before `{key}` had a value."))

    async def _loop(self) -> None:
        state, queue, live = self.state, self._queue, self._live
        while True:
            if self._stopping:  # code of the user's may have swallowed the cancellation
                raise asyncio.CancelledError
            if state.fresh:
                queue.extend(state.fresh)
                state.fresh = []
            halted = bool(state.failed) and not state.record
            if halted:
                queue.clear()
            if self._posted:
                await self._take_posted()
                continue
            if self._completed:
                await self._take_completed()
                continue
            if not live:
                if not queue and (halted or not (state.waiting or self._keeps_open)):
                    return
                if len(queue) == 1 and not state.waiting and not self._keeps_open:
                    await self._inline(queue.popleft())
                    continue
                if not queue and state.waiting and self.on_waiting is not None:
                    tell(f"`on_waiting` of run {state.run}", self.on_waiting)
            self._start()
            await self._wake()

    @property
    def _keeps_open(self) -> bool:
        return self.state.record and not self._closing

    async def _inline(self, act: Activate) -> None:
        """The only activation there is: no task needed, nothing else could come first."""
        if act.not_before:
            await self._until(act.not_before)
        act.ready_at = self.now()
        await self._commit(await self._activation(act))

    def _start(self) -> None:
        now = self.now()
        cap = self.policy.max_concurrency
        queue, live = self._queue, self._live
        loop = asyncio.get_running_loop()
        for act in queue if len(live) >= cap else ():
            act.ready_at = act.ready_at or now
        while queue and len(live) < cap:
            act = queue.popleft()
            act.ready_at = act.ready_at or now
            task = loop.create_task(self._activation(act))
            live[task] = act
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[list[Event]]) -> None:
        self._completed.append(task)
        self._wake_up()

    def _wake_up(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    async def _wake(self) -> None:
        if self._completed or self._posted:
            return
        self._waker = asyncio.get_running_loop().create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    async def _take_completed(self) -> None:
        tasks, self._completed = self._completed, []
        events: list[Event] = []
        for task in tasks:
            act = self._live.pop(task)
            if not task.cancelled():
                events.extend(task.result())
            elif act.node >= 0:  # by the node's own code: whoever stops the run takes the tasks out first
                gone = asyncio.CancelledError("its own code cancelled its task")
                events.extend(self._failure(act, act.frame.plan.nodes[act.node], gone, act.ready_at, ""))
        await self._commit(events)

    async def _take_posted(self) -> None:
        while self._posted:
            events: list[Event] = []
            tell(f"what was posted to run {self.state.run}", lambda: events.extend(self._posted.popleft()()))  # noqa: B023
            await self._commit(events)

    async def _commit(self, events: list[Event]) -> None:
        """Append, then fold. What becomes due starts only after the append is durable; the log has taken secrets out."""
        if not events:
            return
        pending = self.log.append(events)
        plan, state = self.plan, self.state
        for event in events:
            fold(plan, state, event)
        if self.on_events is not None:
            tell(f"`on_events` of run {state.run}", self.on_events, events)
        if self._expected:
            self._tell_callers(events)
        if pending is not None:
            await pending

    async def _settle_run(self) -> None:
        """End the run that has nothing due: `done` only when every node has ended."""
        state = self.state
        if state.failed and not state.record:
            await self._end("failed")
        elif not state.record and state.complete and (used_up := exhausted(state, state.root)) is not None:
            self.exceptions[""] = used_up
            await self._end("failed", error_info(used_up))
        elif state.record or state.complete:
            await self._end("done")
        else:
            left = unended(state)
            shown = ", ".join(f"`{key}`" for key in left[:5]) + (f", … ({len(left)} in all)" if len(left) > 5 else "")
            error = self.exceptions[""] = InternalError(
                f"run {state.run}: nothing is due, but {shown} never ran. This is a fault of orch_nb, not of the graph.",
                hint=f"please report it with the output of `orch export {state.run}`",
            )
            await self._end("failed", error_info(error))

    async def _end(self, status: str, fault: ErrorInfo | None = None) -> None:
        state = self.state
        error, node = next(iter(state.failed.values())) if state.failed else (fault, "")
        output = self.output() if status == "done" and not state.record else None
        await self._commit([ev.RunEnded(status, self.now(), output, error, node)])
        if state.has_sent:  # what was paid for is on disk before the run is reported as ended
            await self.log.sync()

    async def _abandon(self) -> None:
        """Cancel what is under way and wait until each has booked what it cost."""
        for task in self._live:
            task.cancel()
        if self._live:
            await asyncio.gather(*self._live, return_exceptions=True)
        self._live.clear()
        self._completed.clear()

    def output(self) -> object:
        """The run's output so far: the value of the sole `out`, or a mapping of those that ran."""
        return frame_output(self.state.root)

    # ---------------------------------------------------------------- from outside (on the loop's thread)
    def stop(self) -> None:
        """End the run as `cancelled`. A task that is cancelled before its first step would never say so: it is told instead."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def post(self, make: Callable[[], list[Event]]) -> None:
        """Have `make()` called between two steps and its events recorded."""
        self._posted.append(make)
        self._wake_up()

    def expect(self, key: str) -> asyncio.Future[object]:
        """The value of a call of a recording, once it has one; its error when it fails for good."""
        made = self._expected[key] = asyncio.get_running_loop().create_future()
        return made

    def _tell_callers(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, ev.Finished) and not event.frame:
                waiter = self._expected.pop(ev.key(event), None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(share(event.value))
            elif isinstance(event, ev.Failed) and event.final and event.taken is None:
                waiter = self._expected.pop(event.frame.split("/", 1)[0], None)
                if waiter is not None and not waiter.done():
                    waiter.set_exception(self._error_for(ev.key(event), event.error))

    def _error_for(self, key: str, info: ErrorInfo) -> Exception:
        """The error for whoever awaits a call of a recording."""
        error = self.exceptions.get(key)
        if error is None:
            return OrchError(info.message)
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            return error
        made = NodeFailed(f"`{key}` failed: {info.type}: {info.message}", hint=info.hint, node=key)
        made.__cause__ = error
        return made

    def close(self) -> None:
        """End a recording once what is under way has ended."""
        self._closing = True
        self._wake_up()

    async def _until(self, instant: float) -> None:
        wait = instant - self.now()
        if wait > 0:
            sleep = getattr(self.policy.clock, "sleep", asyncio.sleep)
            await sleep(wait)

    # ---------------------------------------------------------------- one activation
    async def _activation(self, act: Activate) -> list[Event]:
        """Everything that one activation does, ending in the events that say so. Never raises for the node's failure."""
        if act.not_before:
            await self._until(act.not_before)
        started = self.now()
        frame = act.frame
        if act.node < 0:
            return self._close_recorded(act)
        spec = frame.plan.nodes[act.node]
        self.activations += 1
        try:
            if frame.topo.plain[act.node] and act.action == "run" and self.activations <= self.policy.max_activations:
                return await self._function(act, spec, started)
            if self.activations > self.policy.max_activations:
                raise LimitReached(
                    f"the run has had {self.policy.max_activations:,} activations.",
                    hint="bound its loops and its growth",
                )
            if act.action == "close":
                return await self._close(act, spec, started)
            if spec.gate and act.item is None:
                is_open, seen = deciding.gate_is_open(frame, act.node, act.item)
                if not is_open:
                    gate = {"gate": spec.gate, "values": seen, "result": False}
                    if stated := stated_paths(frame.plan, spec.gate_reads):
                        gate["stated"] = stated
                    return await self._finish(act, incoming_value(frame, act.node), started, "", "passed", gate)
            if spec.each is not None and act.item is None:
                return self._map(act, spec.name)
            return await self._kind(act, spec, started)
        except BaseException as error:  # the node's own failure, whatever it is, is a fact of the run
            if self._is_end(error):
                raise
            return self._failure(act, spec, error, started, "")

    def _is_end(self, error: BaseException) -> bool:
        """Return whether this is the end of the activation itself (Stop, a timeout, Ctrl-C), not a failure of what it called."""
        if isinstance(error, Exception):
            return False
        task = running_task()
        return (task is not self._task and task not in self._live) or ends_task(error, task)

    async def _kind(self, act: Activate, spec: PlanNode, started: float) -> list[Event]:
        match spec.kind:
            case "function" | "tool":
                return await self._function(act, spec, started)
            case "agent":
                made: list[Event] = await self._within(spec, self._agent(act, spec, started))
                return made
            case "human":
                return self._ask(act, spec, incoming_value(act.frame, act.node), "")
            case "graph":
                return self._open(act, spec, started)
            case "switch":
                return await self._finish(act, incoming_value(act.frame, act.node), started)
            case _:
                return await self._finish(act, self._parents(act), started)

    def _parents(self, act: Activate) -> dict[str, object]:
        """A barrier's value: its parents that ran, by name."""
        frame = act.frame
        sources = [frame.topo.source[e] for e in frame.topo.incoming[act.node]]
        return {frame.plan.nodes[i].name: frame.values[i] for i in dict.fromkeys(sources) if frame.status[i] == DONE}

    def _map(self, act: Activate, name: str) -> list[Event]:
        each = each_of(act.frame, act.node)
        assert each is not None
        items = resolve(act.frame, each, None)
        if not isinstance(items, list):
            text = path_text(each)
            raise SemanticFailure(
                f"`{text}`, which `{name}` runs for each item of, must be a list, got {type(items).__name__}.",
                hint=f"let what makes `{text}` return a list",
            )
        return [ev.Mapped(act.frame.key, name, act.frame.round[act.node], len(items), self.now())]

    def _open(self, act: Activate, spec: PlanNode, started: float) -> list[Event]:
        values = read_values(act.frame, act.node, act.item)
        at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
        return [ev.Opened(*at, values, self.now(), None, started, self._fingerprint(act, spec, values))]

    def _close_recorded(self, act: Activate) -> list[Event]:
        """A call of a recording is complete: its frame's output is its value."""
        frame = act.frame
        name, rnd = split_key(frame.key)
        return [ev.Finished("", name, rnd, None, frame_output(frame), self.now(), frame.started_at)]

    async def _close(self, act: Activate, spec: PlanNode, started: float) -> list[Event]:
        frame = act.frame
        items = frame.items.get(act.node)
        if items is not None and act.item is None:
            return await self._finish(act, list(items.values), started, items=True)
        child = self.state.frames[frame.key_at(act.node, act.item)]
        if (used_up := exhausted(self.state, child)) is not None:
            raise used_up
        return await self._finish(act, frame_output(child), child.started_at)

    # ---------------------------------------------------------------- functions
    async def _function(self, act: Activate, spec: PlanNode, started: float) -> list[Event]:
        frame = act.frame
        values = read_values(frame, act.node, act.item)
        fingerprint = self._fingerprint(act, spec, values)
        bound = self.perform.function(spec)
        if spec.effects:
            return await self._effect(act, spec, values, bound, started, fingerprint)
        try:
            if spec.timeout_s is None:
                result = bound(values)
                if result.__class__ is CoroutineType or inspect.isawaitable(result):
                    result = await result
            else:
                result = await self._within(spec, _await(bound(values)))
        except BaseException as error:
            if self._is_end(error):
                raise
            return self._failure(act, spec, error, started, fingerprint)
        if result.__class__ is Expand:
            return self._grow(act, spec, result, started, fingerprint)
        if frame.topo.simple[act.node]:
            return self._finish_events(act, spec, result, started, fingerprint)
        return await self._finish(act, result, started, fingerprint)

    def _grow(self, act: Activate, spec: PlanNode, grown: Expand, started: float, fingerprint: str) -> list[Event]:
        plan, inputs = self.perform.expand(grown)
        at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
        return [ev.Opened(*at, inputs, self.now(), plan, started, fingerprint)]

    async def _effect(
        self, act: Activate, spec: PlanNode, values: dict[str, object], bound: Any, started: float, fingerprint: str
    ) -> list[Event]:
        """A declared effect: its intent is on disk first; what cannot be known afterwards is asked of a person."""
        frame = act.frame
        key = self._effect_key(spec, values)
        if act.in_doubt and (doubtful := self._doubtful(act, spec)) is not None:
            return self._in_doubt(act, spec, doubtful, None, started, fingerprint)
        done = next((s for s in self.state.calls.get(act.key, ()) if s.ok), None)
        if done is not None:  # by this run: it is what came after that failed
            return await self._finish(act, share(done.reply), started, fingerprint)
        earlier = None if self.policy.again or act.cleared else self.perform.effect_done(key)
        if earlier is not None:
            if self.policy.attended:
                question = (
                    f"`{spec.name}` ({', '.join(spec.effects)}) was done by run {earlier} with the same input. Again?"
                )
                return self._ask(act, spec, values, question, ("again", "done", "reject"))
            return await self._finish(act, None, started, "", "skipped", {"effect": key, "done_by": earlier})
        at = (frame.key, spec.name, frame.round[act.node], act.item)
        call = self._next_call(act)
        sent = ev.Sent(*at, call, "effect", spec.effects[0], share(values), key, self.now(),
                       attempt=act.attempt, idempotency_key=key, fingerprint=fingerprint)  # fmt: skip
        await self.log.admit(sent, None)
        self._visible(sent)
        try:
            result = await self._within(spec, _await(bound(values, key)))
            result = plain(result, where=f"the result of `{spec.name}`")
        except NotDone as error:
            info = error_info(error)
            self._settle_now(ev.Settled(*at, call, self.now(), ok=False, error=info), "", Outcome(False), {})
            return self._failure(act, spec, error, started, fingerprint)
        except BaseException as error:
            if self._is_end(error):
                raise
            return self._failure(act, spec, error, started, fingerprint)  # the call stays open: in doubt
        self._settle_now(ev.Settled(*at, call, self.now(), reply=result), "", Outcome(True), {})
        return await self._finish(act, share(result), started, fingerprint)

    def _doubtful(self, act: Activate, spec: PlanNode) -> ev.Sent | None:
        """The effect of an activation that has begun, and of which nothing says how it ended."""
        key = act.key
        for (owner, _), sent in self.state.open_calls.items():
            if owner == key and effects_of(spec, sent.kind, sent.target):
                return sent
        return None

    def _in_doubt(
        self,
        act: Activate,
        spec: PlanNode,
        sent: ev.Sent,
        error: BaseException | ErrorInfo | None,
        started: float,
        fingerprint: str,
    ) -> list[Event]:
        """Ask a person whether an effect happened. Where nobody can be asked the run halts, whatever `on_failure` says."""
        effects = ", ".join(effects_of(spec, sent.kind, sent.target))
        what = (
            f"`{spec.name}` ({effects})" if sent.kind == "effect" else f"`{sent.target}` ({effects}) of `{spec.name}`"
        )
        info = error if isinstance(error, ErrorInfo) or error is None else error_info(error)
        how = (
            "had begun, and nothing says how it ended"
            if info is None
            else f"had begun when it failed ({info.type}: {info.message})"
        )
        if self.policy.attended:
            return self._ask(act, spec, sent.request, f"{what} {how}. Did it happen?", DOUBT)
        made = EffectInDoubt(
            f"{what} {how}. It is not known whether it happened, and nobody can be asked here (unattended).",
            hint="look whether it did; `%orch resume` in a notebook asks for it. `raise orch_nb.NotDone(...)` in the function "
            "says that nothing happened",
            node=spec.name,
        )
        made.__cause__ = raised(error) if isinstance(error, BaseException) else self.exceptions.get(act.key)
        self.exceptions[act.key] = made
        at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
        queued = started - act.ready_at if act.ready_at else 0.0
        return [
            ev.Failed(*at, error_info(made), self.now(), started, act.attempt, queued_s=queued, fingerprint=fingerprint)
        ]

    def _effect_key(self, spec: PlanNode, values: dict[str, object]) -> str:
        """Default idempotency key: graph, node and inputs. The same whatever the run, the round or the attempt."""
        h = blake2b(digest_size=16, person=b"effect")
        h.update(f"{self.state.graph}\x1f{spec.name}\x1f".encode())
        h.update(fingerprint_of(values))
        return h.hexdigest()

    async def _within(self, spec: PlanNode, work: Awaitable[object]) -> Any:
        if spec.timeout_s is None:
            return await work
        try:
            async with asyncio.timeout(spec.timeout_s) as scope:
                return await work
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise NodeTimeout(
                f"`{spec.name}` did not finish within its {spec.timeout_s:g} s.",
                hint="raise its `timeout`, or give it `on_failure: skip` or `else`",
                node=spec.name,
            ) from error

    # ---------------------------------------------------------------- agents
    async def _agent(self, act: Activate, spec: PlanNode, started: float) -> list[Event]:
        """The conversation of one agent: the machine asks for one call at a time; each is sent, settled and folded."""
        frame = act.frame
        values = read_values(frame, act.node, act.item)
        fingerprint = self._fingerprint(act, spec, values)
        key = frame.key_at(act.node, act.item)
        if act.in_doubt and (doubtful := self._doubtful(act, spec)) is not None:
            return self._in_doubt(act, spec, doubtful, None, started, fingerprint)
        machine = self.perform.machine(spec, values, key)
        queued = started - act.ready_at
        while True:
            settled = [s for s in self.state.calls.get(key, ()) if not s.fate]
            step = machine.next(settled)
            if not isinstance(step, Call):
                if step.error is not None:
                    return self._failure(act, spec, step.error, started, fingerprint, retry=False)
                return await self._finish_agent(act, key, step, started, fingerprint)
            refused = await self._call(act, spec, key, step, queued, fingerprint)
            queued = 0.0
            if refused is not None:
                return refused

    async def _finish_agent(
        self, act: Activate, key: str, step: Result, started: float, fingerprint: str
    ) -> list[Event]:
        """The answer. One that a cheaper model gave for want of budget says so, and has no fingerprint: it is never reused."""
        why = self.state.degraded.get(key)
        if why is None:
            return await self._finish(act, step.value, started, fingerprint, note=step.decision)
        return await self._finish(act, step.value, started, "", note={**(step.decision or {}), "degraded": why})

    def _next_call(self, act: Activate) -> int:
        return self.state.last_call.get(act.key, 0) + 1

    async def _call(
        self, act: Activate, spec: PlanNode, key: str, step: Call, queued: float, fingerprint: str
    ) -> list[Event] | None:
        """One call, with the retries of its transient failures. Events only when the run's money forbids it."""
        for attempt in range(1, spec.retry.attempts + 1):
            _check_cancelled()
            at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
            call = self._next_call(act)
            prepared = self.perform.prepare(spec, step, f"{self.state.run}/{key}/{call}")
            asked_at = self.now()
            while True:
                async with self.perform.slot(prepared.slot):
                    sent_at = self.now()
                    sent = ev.Sent(
                        *at, call, prepared.kind, prepared.target, prepared.request, prepared.request_hash, sent_at,
                        reserved_usd=prepared.reserved_usd, reserved_tokens=prepared.reserved_tokens, attempt=attempt,
                        queued_s=queued + sent_at - asked_at, idempotency_key=f"{self.state.run}/{key}/{call}",
                        route=prepared.route, fingerprint=fingerprint,
                    )  # fmt: skip
                    refusal = await self._admit(sent, prepared)
                    if refusal is None:
                        outcome, took_s = await self._perform_call(spec, prepared, at, call, key)
                        break
                other = self._degrade(spec, step, f"{self.state.run}/{key}/{call}", prepared, refusal)
                if other is None:
                    return await self._refuse(act, spec, refusal, asked_at)
                prepared = other  # reserved at less than the one before: this ends
            if not outcome.ok and self._has_begun(spec, prepared, outcome):
                self._doubt(prepared, key, call)
                return self._failure(act, spec, outcome.error, sent_at, fingerprint)
            delay = self._retry_delay(outcome, spec.retry, attempt)
            self._settle(prepared, at, call, key, outcome, took_s, "retry" if delay is not None else "")
            if delay is None:
                return None
            queued = 0.0
            await self._until(self.now() + delay)
        return None

    @staticmethod
    def _has_begun(spec: PlanNode, prepared: Prepared, outcome: Outcome) -> bool:
        """Return whether a call that failed may have done something to the world."""
        return bool(effects_of(spec, prepared.kind, prepared.target)) and _code(outcome.error) not in UNTOUCHED

    def _doubt(self, prepared: Prepared, key: str, call: int) -> None:
        """Leave a call with effects open: only a person can say how it ended. Its hold is let go into doubt."""
        if prepared.scopes:
            self.log.mark_in_doubt(self._hold_name(key, call))

    async def _perform_call(
        self, spec: PlanNode, prepared: Prepared, at: tuple[str, str, int, int | None], call: int, key: str
    ) -> tuple[Outcome, float]:
        """The call itself, and how many seconds it took. Broken off (Stop, timeout), it is booked at what it has cost so far;
        so is one that raised, whatever that was: what was sent is always settled."""
        clock = self.policy.clock.monotonic
        began = clock()
        try:
            return await self.perform.call(prepared, key), clock() - began
        except BaseException as error:
            outcome = self._broken_off(prepared)
            if not self._is_end(error):
                self.exceptions[key] = raised(error)
                outcome.error = error_info(error)
                return outcome, clock() - began
            if self._has_begun(spec, prepared, outcome):
                self._doubt(prepared, key, call)
                raise
            self._settle(prepared, at, call, key, outcome, clock() - began, "cancelled")
            raise

    def _broken_off(self, prepared: Prepared) -> Outcome:
        """Return the cost of a call that gave no outcome; its reservation where the cost is not known."""
        try:
            return self.perform.cancelled(prepared)
        except Exception as error:
            return Outcome(False, cost_usd=prepared.reserved_usd, error=error_info(error))

    def _settle(
        self, prepared: Prepared, at: tuple[str, str, int, int | None], call: int, key: str, outcome: Outcome, took_s: float, fate: str
    ) -> None:  # fmt: skip
        """Settle a call. An answer that cannot be stored is a failed call at the same cost: its hold is never left."""
        name, used = self._hold_name(key, call), used_by(prepared, outcome, took_s)
        try:
            self._settle_now(settled_event(at, call, self.now(), outcome, fate), name, outcome, used)
        except UnstorableValue as error:
            failed = replace(outcome, ok=False, reply=None, error=error_info(error))
            self._settle_now(settled_event(at, call, self.now(), failed, fate), name, failed, used)

    def _hold_name(self, key: str, call: int) -> str:
        return f"{self.state.run}:{key}:{call}"

    async def _admit(self, sent: ev.Sent, prepared: Prepared) -> Refusal | None:
        hold = None
        if prepared.scopes:
            key = ev.key_of(sent.frame, sent.node, sent.round, sent.item)
            name = self._hold_name(key, sent.call)
            hold = Hold(name, prepared.scopes, prepared.reserved_usd or _ZERO, asked_by(prepared))
        while True:
            refusal = await self.log.admit(sent, hold)
            if refusal is None:
                self._visible(sent)
                return None
            room = refusal.limit - refusal.spent
            if not refusal.held or refusal.asked > room:
                return refusal
            await self.perform.freed()  # it fits once what is held by others settles below its reservation

    def _visible(self, event: Event) -> None:
        fold(self.plan, self.state, event)
        if self.on_events is not None:
            tell(f"`on_events` of run {self.state.run}", self.on_events, [event])

    def _settle_now(self, event: ev.Settled, hold: str, outcome: Outcome, used: Mapping[str, Decimal]) -> None:
        self.log.settle([event], hold, outcome.cost_usd or _ZERO, outcome.overrun_usd or _ZERO, used)
        self._visible(event)

    def _degrade(self, spec: PlanNode, step: Call, key: str, prepared: Prepared, refusal: Refusal) -> Prepared | None:
        """Another call in the place of a refused one, where its budget wants that and one fits."""
        if self.perform.at_limit(spec, refusal) != "degrade":
            return None
        return self.perform.degrade(spec, step, key, prepared, refusal)

    async def _refuse(self, act: Activate, spec: PlanNode, refusal: Refusal, started: float) -> list[Event]:
        at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
        refused = ev.Refused(*at, refusal.scope, refusal.limit, refusal.spent, refusal.held,
                             refusal.asked, self.now(), refusal.unit)  # fmt: skip
        if self.policy.attended and not act.unasked and self.perform.at_limit(spec, refusal) == "ask":
            question, shown = self.perform.ask_more(spec, refusal)
            return [refused, *self._ask(act, spec, shown, question, MORE)]
        error = BudgetExceeded(
            scope=refusal.scope, node=act.key, limit=refusal.limit, spent=refusal.spent,
            held=refusal.held, asked=refusal.asked, run=self.state.run, unit=refusal.unit,
        )  # fmt: skip
        return [refused, *self._failure(act, spec, error, started, "", retry=False)]

    def _retry_delay(self, outcome: Outcome, retry: Retry, attempt: int) -> float | None:
        """Seconds to wait before the same call again, or None: it succeeded, or is not to be tried again."""
        error = outcome.error
        if outcome.ok or error is None or error.failure != "transient" or attempt >= retry.attempts:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= retry.cap_s else None
        return self._backoff(retry, attempt)

    def _backoff(self, retry: Retry, attempt: int) -> float:
        """Exponential with full jitter: uniform between 0 and the cap of this attempt."""
        if self._random is None:
            self._random = random.Random(self.policy.seed)
        return self._random.uniform(0.0, min(retry.cap_s, retry.base_s * 2.0 ** (attempt - 1)))

    # ---------------------------------------------------------------- people
    def _ask(
        self, act: Activate, spec: PlanNode, shown: object, question: str, options: tuple[str, ...] = ()
    ) -> list[Event]:
        if not self.policy.attended:
            raise WaitingForPerson(
                f"`{act.key}` needs a person, and nobody can be asked here (unattended).",
                hint="run it in a notebook, and answer with `%orch answer`",
            )
        shown = share(shown)
        question = question or spec.spec.get("question") or f"Approve `{spec.name}`?"
        options = options or ("approve", "edit", "reject")
        at = (act.frame.key, spec.name, act.frame.round[act.node], act.item)
        # The activation is part of it: what is shown in round 2 may be equal to what was shown in round 1, and is asked again.
        digest = blake2b(fingerprint_of([act.key, question, shown]), digest_size=8).hexdigest()
        return [ev.Waiting(*at, question, shown, digest, self.now(), options)]

    def answered(
        self, key: str, action: str, value: object, by: str, comment: str = "", *, shown_hash: str
    ) -> ev.Answered:
        """The event of a person's answer to what is waiting at `key`; raises when it does not fit what was asked.

        `shown_hash` is that of the question that was answered: an answer to another one is refused.
        """
        asked = self.state.waiting.get(key)
        if asked is None:
            due = ", ".join(f"`{k}`" for k in self.state.waiting) or "none"
            raise OrchError(f"no question waits at `{key}`.", hint=f"waiting: {due}")
        if asked.shown_hash != shown_hash:
            raise question_changed(self.state.run, key, [asked])
        if action not in asked.options and not (action == "answer" and "approve" in asked.options):
            raise OrchError(
                f"the answer to `{key}` must be {' or '.join(asked.options)}, got `{action}`.",
                hint=f"one of {', '.join(asked.options)}",
            )
        if action in ("approve", "reject"):
            value = asked.shown if action == "approve" else None
        frame = self.state.frames[asked.frame]
        node = frame.topo.index[asked.node]
        if action == "raise":
            self.perform.raise_limit(frame.plan.nodes[node], asked.shown, value, self.now(), is_trial=True)
            value = value if value is None or isinstance(value, str) else format(Decimal(str(value)), "f")
        value = plain(value, where=f"the answer to {key}")
        taken = None
        if action == "reject":
            taken, _ = deciding.decide(frame, node, value, None, exits="else")
        elif action not in AGAIN and not frame.topo.simple[node] and not self._is_of_tool(key):
            taken, _ = deciding.decide(frame, node, value, self._field_choice(frame, node, value))
        diff = text_diff(asked.shown, value) if action in ("edit", "answer") else ""
        at = (asked.frame, asked.node, asked.round, asked.item)
        return ev.Answered(*at, action, value, by, self.now(), asked.shown_hash, taken, comment, diff)

    def _is_of_tool(self, key: str) -> bool:
        """Return whether a question is about a tool's effect: its answer goes to the conversation, not out along the arrows."""
        return any(owner == key and sent.kind == "tool" for (owner, _), sent in self.state.open_calls.items())

    def answer_events(
        self, key: str, action: str, value: object, by: str, comment: str = "", *, shown_hash: str
    ) -> list[Event]:
        """The events of a person's answer, what it changes included; none where that question was answered meanwhile."""
        asked = self.state.waiting.get(key)
        if asked is None or asked.shown_hash != shown_hash:
            return []
        answered = self.answered(key, action, value, by, comment, shown_hash=shown_hash)
        if action != "raise":
            return [answered]
        frame = self.state.frames[asked.frame]
        spec = frame.plan.nodes[frame.topo.index[asked.node]]
        return [*self.perform.raise_limit(spec, asked.shown, value, self.now()), answered]

    def _field_choice(self, frame: Frame, node: int, value: object) -> dict[str, object] | None:
        spec = frame.plan.nodes[node]
        if spec.chooser is None or spec.chooser.how != "field":
            return None
        return deciding.choose_by_field(frame, spec.chooser, spec.name, value)

    # ---------------------------------------------------------------- ends
    async def _finish(
        self,
        act: Activate,
        value: object,
        started: float,
        fingerprint: str = "",
        status: str = "success",
        note: dict[str, object] | None = None,
        *,
        items: bool = False,
    ) -> list[Event]:
        """An activation has its value: what it decides is decided, and it is recorded."""
        frame, node = act.frame, act.node
        spec = frame.plan.nodes[node]
        taken: tuple[int, ...] | None = None
        decision = note
        if not frame.topo.simple[node] and (act.item is None):
            if not items:
                value = plain(value, where=f"the result of `{spec.name}`")
            chosen: Any = None
            if spec.chooser is not None and spec.chooser.how == "judge":
                chosen = await self._judge(act, spec, value, fingerprint)
                if chosen.__class__ is list:
                    return chosen
            elif spec.chooser is not None:
                chosen = await self._choose(frame, spec, value)
            taken, decided = deciding.decide(frame, node, value, chosen)
            decision = {**(note or {}), **(decided or {})} or None
        return self._finish_events(act, spec, value, started, fingerprint, status, taken, decision, items=items)

    def _finish_events(
        self,
        act: Activate,
        spec: PlanNode,
        value: object,
        started: float,
        fingerprint: str,
        status: str = "success",
        taken: tuple[int, ...] | None = None,
        decision: dict[str, object] | None = None,
        *,
        items: bool = False,
    ) -> list[Event]:
        frame, node, name = act.frame, act.node, spec.name
        if not items:
            try:
                value = plain(value, where=f"the result of `{name}`")
            except OrchError as error:
                return self._failure(act, spec, error, started, fingerprint, retry=False)
        writes = None
        if spec.writes and value.__class__ is dict and status == "success":
            writes = {k: value[k] for k in spec.writes if k in value}
        now = self.now()
        return [
            ev.Finished(
                frame.key, name, frame.round[node], act.item, value, now, started, taken=taken, writes=writes,
                attempt=act.attempt, queued_s=started - act.ready_at if act.ready_at else 0.0, fingerprint=fingerprint,
                status=status, decision=decision,
            )
        ]  # fmt: skip

    async def _judge(
        self, act: Activate, spec: PlanNode, value: object, fingerprint: str
    ) -> dict[str, object] | list[Event]:
        """The decision of a judge, asked once: its call is an event like any other. Events only when money forbids it."""
        assert spec.chooser is not None
        key = act.key
        if not self.state.verdicts.get(key):
            call = self.perform.judge(spec.chooser, _as_text(value))
            refused = await self._call(act, spec, key, call, 0.0, fingerprint)
            if refused is not None:
                return refused
        return self.perform.verdict(spec.chooser, self.state.verdicts[key][-1])

    async def _choose(self, frame: Frame, spec: PlanNode, value: object) -> dict[str, object]:
        chooser = spec.chooser
        assert chooser is not None
        if chooser.how == "field":
            return deciding.choose_by_field(frame, chooser, spec.name, value)
        if chooser.how == "fit":
            return await self.perform.choose(
                chooser, _as_text(value), deciding.fit_facts(frame, chooser, spec.name, value)
            )
        text = resolve(frame, chooser.read, None, overlay=(spec.name, value))
        if not isinstance(text, str):
            raise SemanticFailure(
                f"`by similarity` of `{spec.name}` reads {text!r:.60}, which is not text.", hint="read a text field"
            )
        return await self.perform.choose(chooser, text)

    def _failure(
        self,
        act: Activate,
        spec: PlanNode,
        error: BaseException | ErrorInfo | None,
        started: float,
        fingerprint: str,
        *,
        retry: bool = True,
    ) -> list[Event]:
        """One attempt failed: again later, on by an else-arrow, or the end of the run, as the node's policy says."""
        if self.state.open_calls and (doubtful := self._doubtful(act, spec)) is not None:
            return self._in_doubt(act, spec, doubtful, error, started, fingerprint)
        assert error is not None, "a failure has an error"
        info = error if isinstance(error, ErrorInfo) else error_info(error)
        now = self.now()
        frame = act.frame
        at = (frame.key, spec.name, frame.round[act.node], act.item)
        queued = started - act.ready_at if act.ready_at else 0.0
        if isinstance(error, BaseException):
            self.exceptions[act.key] = raised(error)
        if retry and info.failure == "transient" and not spec.effects and act.attempt < spec.retry.attempts:
            wait = info.retry_after_s if info.retry_after_s is not None else self._backoff(spec.retry, act.attempt)
            if wait <= spec.retry.cap_s:
                return [
                    ev.Failed(
                        *at, info, now, started, act.attempt, final=False, retry_at=now + wait, queued_s=queued,
                        fingerprint=fingerprint,
                    )
                ]  # fmt: skip
        taken: tuple[int, ...] | None = None
        if spec.on_failure == "skip" or (act.item is not None and spec.on_failure == "else"):
            taken = ()
        elif spec.on_failure == "else":
            taken, _ = deciding.decide(frame, act.node, None, None, exits="else")
        return [ev.Failed(*at, info, now, started, act.attempt, taken=taken, queued_s=queued, fingerprint=fingerprint)]

    def _fingerprint(self, act: Activate, spec: PlanNode, values: dict[str, object]) -> str:
        """Hash of the definition, the values read and the occurrence: the nth equal activation of this run.

        The lowest free n is taken, and items and rounds start in order, so that a resume finds the same.
        """
        if not spec.fingerprint:
            return ""
        shared = stem(spec.fingerprint, read_digest(act.frame, act.node, values))
        base, used, hints = shared.digest(), self.state.used, self._hints
        n = hints.get(base, 0)
        while True:
            made = occurrence(shared, n)
            n += 1
            if made not in used:
                hints[base] = n
                return made


def _check_cancelled() -> None:
    """End the task that a Stop or a timeout cancelled, where code of the user's or a provider's has swallowed that."""
    task = running_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _code(error: ErrorInfo | None) -> str:
    return "" if error is None else error.code


def _as_text(value: object) -> str:
    return value if value.__class__ is str else compact(value)


async def _await(result: object) -> object:
    return await result if inspect.isawaitable(result) else result
