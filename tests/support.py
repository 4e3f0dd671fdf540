"""What engine tests share: plans from notation, functions as nodes, agents that answer from a script, and a run to the end.

No store and no provider here: the log is a list, and every test of the engine is a test of events.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.drive import Driver
from orch_nb.engine.fold import fold
from orch_nb.engine.plan import to_data
from orch_nb.engine.ports import Call, Outcome, Policy, Prepared, Refusal, Result
from orch_nb.engine.state import RunState
from orch_nb.graph.compile import Facts, Want, compile_graph
from orch_nb.lang.graph_cell import parse_graph
from orch_nb.schema import events as ev
from orch_nb.tools.function import function_spec

if TYPE_CHECKING:
    from orch_nb.engine.plan import Plan


class Scripted:
    """An agent for engine tests: `calls(values)` model calls, then `answer(values, replies)`. Deterministic."""

    def __init__(self, *reads: str, calls: int = 1, usd: str = "0.001", answer: Any = None, **facts: Any) -> None:
        self.reads, self.calls, self.usd, self.answer, self.facts = reads, calls, usd, answer, facts


def facts_of(name: str, target: Any) -> Facts:
    """Functions and scripted agents as nodes."""
    if isinstance(target, Scripted):
        wants = []
        for read in target.reads:
            head, *rest = read.rstrip("?").split(".")
            wants.append(Want(head, tuple(rest), read.endswith("?"), read.rstrip("?")))
        return Facts("agent", wants, definition={"agent": name}, fingerprint=f"agent:{name}", **target.facts)
    if isinstance(target, Graphlike):
        return Facts("graph", graph=target.spec)
    f = function_spec(target)
    wants = [Want(p, (), False, p) for p in f.reads] + [Want(p, (), True, p) for p in f.optional]
    return Facts("function", wants, dict(f.writes), fingerprint=f"fn:{f.name}" if not f.effects else "", effects=f.effects,
                 timeout_s=f.timeout_s, attempts=f.attempts, on_failure=f.on_failure, describe=f.describe)  # fmt: skip


class Graphlike:
    """A nested graph from its notation."""

    def __init__(self, name: str, text: str) -> None:
        self.spec = parse_graph(name, text)


def plan_of(text: str, *, name: str = "g", **namespace: Any) -> Plan:
    """The plan of a `%%graph` cell's text."""
    return compile_graph(parse_graph(name, text), namespace, facts_of)


class ListLog:
    """A run's log as a list, with a one-scope ledger: enough for the engine, small enough to trust."""

    def __init__(self, limit: Decimal | None = None, crash_after: int | None = None) -> None:
        self.run = "1"
        self.events: list[Any] = []
        self.limit, self.spent, self.overrun = limit, Decimal(0), Decimal(0)
        self.holds: dict[str, Decimal] = {}
        self.in_doubt = Decimal(0)
        self.crash_after = crash_after

    def _add(self, events: Any) -> None:
        for event in events:
            if self.crash_after is not None and len(self.events) >= self.crash_after:
                raise Crash
            self.events.append(event)
        assert self.limit is None or self.spent + sum(self.holds.values()) + self.in_doubt <= self.limit

    def append(self, events: Any) -> None:
        self._add(events)

    async def admit(self, event: Any, hold: Any) -> Refusal | None:
        if hold is not None and self.limit is not None:
            held = sum(self.holds.values(), Decimal(0)) + self.in_doubt
            if self.spent + held + hold.asked_usd > self.limit or self.overrun:
                return Refusal("run", self.limit, self.spent, held, hold.asked_usd)
        self._add([event])
        if hold is not None:
            self.holds[hold.hold] = hold.asked_usd
        return None

    def settle(self, events: Any, hold: str, spent: Decimal, overrun: Decimal, used: Any = None) -> None:
        self._add(events)
        self.holds.pop(hold, None)
        self.spent += spent
        self.overrun += overrun

    async def sync(self) -> None:
        """A list is always in sync."""

    def mark_in_doubt(self, hold: str) -> None:
        self.in_doubt += self.holds.pop(hold)

    def close(self) -> None:
        """Nothing to close."""


class Crash(BaseException):
    """The process dies here."""


class ScriptMachine:
    """`calls` model calls, then the answer."""

    def __init__(self, agent: Scripted, values: dict[str, Any], name: str) -> None:
        self.agent, self.values, self.name = agent, values, name

    def next(self, settled: Any) -> Call | Result:
        good = [s for s in settled if s.ok]
        if settled and not settled[-1].ok:
            return Result(error=settled[-1].error)
        if len(good) < self.agent.calls:
            return Call("model", "scripted", {"turn": len(good), "values": self.values, "node": self.name})
        answer = self.agent.answer
        replies = [s.reply for s in good]
        value = answer(self.values, replies) if callable(answer) else answer
        return Result(value if value is not None else {"of": self.values, "replies": replies})


class Performer:
    """Does what nodes ask: functions of the namespace, scripted agents; counts every call."""

    def __init__(self, **namespace: Any) -> None:
        self.namespace = namespace
        self.performed: list[str] = []
        self.faults: dict[str, list[Outcome]] = {}
        self.before_call: Any = None
        self.effects: dict[str, str] = {}
        self.room = asyncio.Event()

    def function(self, node: Any) -> Any:
        target = self.namespace[node.function]
        wants_key = "idempotency_key" in inspect.signature(target).parameters

        def call(values: dict[str, Any], key: str | None = None) -> Any:
            self.performed.append(node.name)
            return target(**values, idempotency_key=key) if wants_key else target(**values)

        return call

    def machine(self, node: Any, values: dict[str, Any], key: str) -> ScriptMachine:
        return ScriptMachine(self.namespace[node.function], values, key)

    def prepare(self, node: Any, call: Call, idempotency_key: str) -> Prepared:
        usd = Decimal(self.namespace[node.function].usd)
        scopes = (("run", None),)
        return Prepared("model", "scripted", call.request, str(call.request), usd, 100, scopes, None, "p", call)

    async def call(self, prepared: Prepared, key: str) -> Outcome:
        self.performed.append(f"call:{key}:{prepared.payload.request['turn']}")
        if self.before_call is not None:
            await self.before_call(key)
        faults = self.faults.get(key.split("[", maxsplit=1)[0])
        if faults:
            return faults.pop(0)
        self.room.set()
        return Outcome(
            True, reply={"text": f"reply {prepared.payload.request['turn']}"}, cost_usd=prepared.reserved_usd
        )

    def cancelled(self, prepared: Prepared) -> Outcome:
        error = ev.ErrorInfo("ORCH209", "Cancelled", "broken off", "cancelled")
        return Outcome(False, cost_usd=prepared.reserved_usd, error=error)

    async def choose(self, chooser: Any, text: str) -> dict[str, Any]:
        hit = next((c for c in chooser.candidates if c in text), None)
        return {"how": "similarity", "choice": hit, "scores": {c: float(c in text) for c in chooser.candidates}}

    @asynccontextmanager
    async def _slot(self) -> Any:
        yield

    def at_limit(self, node: Any, refusal: Refusal) -> str:
        return "stop"

    def slot(self, name: str) -> Any:
        return self._slot()

    async def freed(self) -> None:
        self.room.clear()
        await self.room.wait()

    def expand(self, grown: Any) -> Any:
        plan = compile_graph(grown.graph, self.namespace, facts_of)
        return to_data(plan), grown.inputs

    def effect_done(self, key: str) -> Any:
        return self.effects.get(key)


class Shuffled(Performer):
    """Calls come back in an order that a seed decides: each waits until it is drawn."""

    def __init__(self, seed: int, **namespace) -> None:
        super().__init__(**namespace)
        self.random = random.Random(seed)
        self.pending: list[asyncio.Future] = []
        self.before_call = self._wait

    async def _wait(self, key: str) -> None:
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self.pending.append(mine)
        if len(self.pending) == 1:
            loop.call_later(0, self._draw)
        await mine

    def _draw(self) -> None:
        waiting = [f for f in self.pending if not f.done()]
        if not waiting:
            self.pending.clear()
            return
        chosen = self.random.choice(waiting)
        chosen.set_result(None)
        self.pending.remove(chosen)
        if self.pending:
            asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, self._draw)


class InstantClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def started(plan: Plan, inputs: dict[str, Any], limit: Decimal | None = None) -> ev.RunStarted:
    """The first event of a run of `plan`."""
    return ev.RunStarted("1", plan.name, to_data(plan), inputs, 1000.0, limit)


def driver_for(plan: Plan, log: ListLog, performer: Performer, inputs: dict[str, Any], **policy: Any) -> Driver:
    """A driver on a new run, or on the run that `log` holds already."""
    policy.setdefault("clock", InstantClock())
    state = RunState()
    if not log.events:
        log.append([started(plan, inputs, log.limit)])
    else:
        log.append([ev.Resumed(1000.0)])
        for hold in list(log.holds):
            log.mark_in_doubt(hold)
    for event in log.events:
        state = fold(plan, state, event)
    return Driver(plan, log, performer, state, Policy(seed=1, **policy))


def run_plan(
    plan: Plan, inputs: dict[str, Any] | None = None, *, log: ListLog | None = None, performer: Performer | None = None,
    **policy: Any,
) -> tuple[RunState, ListLog]:  # fmt: skip
    """Run to the end; the state and the log."""
    log = log or ListLog()

    async def go() -> RunState:
        return await driver_for(plan, log, performer or Performer(), inputs or {}, **policy).run()

    return asyncio.run(go()), log


def run_text(text: str, inputs: dict[str, Any] | None = None, **namespace: Any) -> tuple[RunState, ListLog, Performer]:
    """Compile a graph's text with these functions and run it."""
    performer = Performer(**namespace)
    state, log = run_plan(plan_of(text, **namespace), inputs, performer=performer)
    return state, log, performer


def values_of(log: ListLog) -> dict[str, Any]:
    """Key -> value of everything that finished."""
    return {ev.key(e): e.value for e in log.events if isinstance(e, ev.Finished | ev.Answered | ev.Reused)}
