"""Random schedules of a ledger, from a seed: calls are admitted, settle, fail, lie, are doubted; budgets are raised.

Plain `random`, not hypothesis: ten thousand of them take seconds, and a seed names each. Run as a program
(``python -m tests.props.schedules PATH RUN SEED OPERATIONS``) it is the second process on one store.
"""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orch_nb.engine.ports import Hold, Refusal
from orch_nb.schema import events as ev
from orch_nb.schema.budget import UNITS, Budget
from tests.contract.facts import sent, settled, started

STEP = {"usd": Decimal("0.01"), "tokens": Decimal(10), "calls": Decimal(1), "seconds": Decimal("0.25")}
NODES = ("a", "b")
NOTEBOOK = "notebook:n"


def some_budget(rng: random.Random) -> Budget:
    """Limits in some of the units."""
    return Budget(**{u: STEP[u] * rng.randrange(40) for u in UNITS if rng.random() < 0.4})


@dataclass
class Schedule:
    """One run's part of a schedule: what is open, and what each open call may use at most."""

    store: Any
    run: str
    rng: random.Random
    open: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    calls: int = 0
    refused: int = 0
    over_s: Decimal = Decimal(0)

    def begin(self) -> Schedule:
        """The run starts, with limits of its own and of its nodes."""
        self.nodes = {node: some_budget(self.rng) for node in NODES}
        self.log = self.store.create(self.run)
        own = some_budget(self.rng)
        self.log.append([started(self.run, notebook="n", limit_usd=own.usd, limits=own.beside_usd())])
        return self

    async def step(self) -> None:
        """Something happens."""
        kind = self.rng.random()
        if kind < 0.55 or not self.open:
            await self.admit()
        elif kind < 0.90:
            await self.settle(self.rng.choice(list(self.open)))
        elif kind < 0.96:
            self.log.mark_in_doubt(self.rng.choice(list(self.open)))
        else:
            self.raise_limit()

    async def admit(self) -> None:
        """A call asks for room: a retry, a fallback and an escalation are calls like any other."""
        self.calls += 1
        name, node = f"h{self.calls}", self.rng.choice(NODES)
        asked = {u: STEP[u] * self.rng.randrange(12) for u in ("usd", "tokens")}
        asked |= {"calls": STEP["calls"], "seconds": Decimal(0)}
        scopes = ((NOTEBOOK, None), (f"run:{self.run}", None), (f"run:{self.run}/node:{node}", self.nodes[node]))
        beside = {u: v for u, v in asked.items() if u != "usd"}
        got = await self.log.admit(sent(self.calls, node=node), Hold(name, scopes, asked["usd"], beside))
        if got is None:
            self.open[name] = asked
            return
        assert isinstance(got, Refusal)
        self.refused += 1

    async def settle(self, name: str) -> None:
        """A call comes back: cheaper than reserved, failed for nothing, or (one in twenty) dearer than it may be."""
        asked = self.open.pop(name)
        part = self.rng.choice([0, 10, 50, 100])
        lie = STEP["usd"] if self.rng.random() < 0.05 else Decimal(0)
        took = STEP["seconds"] * self.rng.randrange(8)
        used = {"tokens": asked["tokens"] * part / 100, "calls": Decimal(1), "seconds": took}
        waiting = self.log.settle([settled(ok=part > 0)], name, asked["usd"] * part / 100 + lie, Decimal(0), used)
        if waiting is not None:
            await waiting

    def raise_limit(self) -> None:
        """The run's budget is raised: never below what it uses."""
        now = self.store.balance(f"run:{self.run}").each()
        raised = {}
        for unit, quota in now.items():
            if self.rng.random() < 0.6:
                used = quota.spent + quota.held + quota.in_doubt + quota.overrun
                raised[unit] = used + STEP[unit] * self.rng.randrange(10)
        budget = Budget(**raised)
        self.log.append([ev.LimitChanged(budget.usd, 5.0, budget.beside_usd())])

    async def end(self) -> None:
        """Every open call settles."""
        for name in list(self.open):
            await self.settle(name)


def check(store: Any) -> None:
    """spent + held + in doubt is within every limit, in every unit and scope; nothing is below zero."""
    for balance in store.balances():
        for unit, one in balance.each().items():
            assert min(one.spent, one.held, one.in_doubt, one.overrun) >= 0, (balance.scope, unit, one)
            if one.limit is not None:
                assert one.spent + one.held + one.in_doubt <= one.limit, (balance.scope, unit, one)


def check_end(store: Any) -> None:
    """Nothing is held or in doubt any more."""
    for balance in store.balances():
        for unit, one in balance.each().items():
            assert (one.held, one.in_doubt) == (0, 0), (balance.scope, unit, one)


def now(awaitable: Any) -> Any:
    """The result of a coroutine that never waits (a memory store's): no event loop is needed for ten thousand of them."""
    try:
        awaitable.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


async def play(schedule: Schedule, operations: int) -> None:
    """A whole schedule; the invariant is asked after every operation."""
    for _ in range(operations):
        await schedule.step()
        check(schedule.store)
    await schedule.end()
    check(schedule.store)


def main(path: str, run: str, seed: str, operations: str) -> None:
    """The second process: wait for the word, play, say how much was refused."""
    from orch_nb.store.sqlite import SqliteStore

    with SqliteStore(path, patience_s=60.0) as store:
        schedule = Schedule(store, run, random.Random(int(seed))).begin()
        print("ready", flush=True)
        sys.stdin.readline()
        asyncio.run(play(schedule, int(operations)))
        schedule.log.close()
        print(schedule.calls, schedule.refused, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
