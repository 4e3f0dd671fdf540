"""Whatever calls do, in whatever order, no budget is passed and nothing stays held."""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from orch_nb.engine.ports import Hold, Refusal
from orch_nb.schema import events as ev
from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import sent, settled, started

cents = st.integers(0, 60).map(lambda n: Decimal(n) / 100)
limits = st.none() | st.integers(0, 150).map(lambda n: Decimal(n) / 100)
RUNS = ("r1", "r2")
NODES = ("a", "b")


class Ledger(RuleBasedStateMachine):
    """Two runs of one notebook with nodes that have budgets: calls are admitted, settle, fail, lie, or are lost."""

    open_calls: Bundle[tuple[str, str]] = Bundle("open_calls")

    def make(self) -> Any:
        return MemoryStore()

    def again(self) -> None:
        """Another process takes over (for stores that outlive one)."""

    @initialize(notebook=limits, runs=st.tuples(limits, limits), nodes=st.tuples(limits, limits))
    def begin(self, notebook: Decimal | None, runs: Any, nodes: Any) -> None:
        """Limits as they fall."""
        self.store = self.make()
        self.store.set_limit("notebook:n", notebook)
        self.node_limits = dict(zip(NODES, nodes, strict=True))
        self.logs: dict[str, Any] = {}
        self.calls = 0
        self.held: dict[tuple[str, str], Decimal] = {}
        for run, limit in zip(RUNS, runs, strict=True):
            log = self.logs[run] = self.store.create(run)
            log.append([started(run, limit_usd=limit)])

    def nest(self, run: str, node: str) -> Any:
        return (("notebook:n", None), (f"run:{run}", None), (f"run:{run}/node:{node}", self.node_limits[node]))

    @rule(
        target=open_calls,
        run=st.sampled_from(RUNS),
        node=st.sampled_from(NODES),
        asked=st.lists(cents, min_size=1, max_size=4),
    )
    def admit(self, run: str, node: str, asked: list[Decimal]) -> Any:
        """Some calls at once: those that fit are admitted."""

        async def all_at_once() -> list[Refusal | None]:
            return await asyncio.gather(*(self.logs[run].admit(sent(n), hold) for n, hold in holds))

        holds = []
        for usd in asked:
            self.calls += 1
            holds.append((self.calls, Hold(f"h{self.calls}", self.nest(run, node), usd)))
        made = []
        for (_, hold), refusal in zip(holds, asyncio.run(all_at_once()), strict=True):
            if refusal is None:
                self.held[run, hold.hold] = hold.asked_usd
                made.append((run, hold.hold))
            else:
                assert refusal.spent + refusal.held + refusal.asked > refusal.limit or self.overrun()
        return multiple(*made)

    def overrun(self) -> bool:
        return any(b.overrun_usd for b in self.store.balances())

    @rule(call=consumes(open_calls), part=st.integers(0, 100))
    def settle(self, call: tuple[str, str], part: int) -> None:
        """A call comes back and costs at most what was reserved; 0: it failed."""
        run, hold = call
        spent = self.held.pop(call) * part / 100
        self.logs[run].settle([settled(ok=bool(part))], hold, spent, Decimal(0))

    @rule(call=consumes(open_calls), more=cents)
    def lie(self, call: tuple[str, str], more: Decimal) -> None:
        """A provider bills more than was reserved."""
        run, hold = call
        self.logs[run].settle([settled()], hold, self.held.pop(call) + more, Decimal(0))

    @rule(target=open_calls, call=consumes(open_calls))
    def mark_in_doubt(self, call: tuple[str, str]) -> Any:
        """Nobody knows what became of a call."""
        self.logs[call[0]].mark_in_doubt(call[1])
        return call

    @rule(run=st.sampled_from(RUNS), raised=st.integers(0, 50))
    def raise_limit(self, run: str, raised: int) -> None:
        """A run's budget is raised: never below what it uses."""
        one = self.store.balance(f"run:{run}")
        used = one.spent_usd + one.held_usd + one.in_doubt_usd + one.overrun_usd
        self.logs[run].append([ev.LimitChanged(used + Decimal(raised) / 100, 5.0)])

    @rule(run=st.sampled_from(RUNS))
    def crash(self, run: str) -> None:
        """The process ends; another resumes the run: what was under way is in doubt."""
        self.again()
        for one, log in list(self.logs.items()):
            log.close()
            self.logs[one] = self.store.open(one)
        self.logs[run].append([ev.Resumed(6.0)])
        assert set(self.logs[run].holds()) == {h for r, h in self.held if r == run}

    @invariant()
    def within_limits(self) -> None:
        """spent + held + in doubt never passes any limit."""
        if not hasattr(self, "store"):
            return
        for one in self.store.balances():
            assert min(one.spent_usd, one.held_usd, one.in_doubt_usd, one.overrun_usd) >= 0
            if one.limit_usd is not None:
                assert one.spent_usd + one.held_usd + one.in_doubt_usd <= one.limit_usd, one

    @invariant()
    def open_calls_are_counted(self) -> None:
        """The money held or in doubt is exactly the sum that the open calls asked for."""
        if not hasattr(self, "store"):
            return
        one = self.store.balance("notebook:n")
        assert one.held_usd + one.in_doubt_usd == sum(self.held.values(), Decimal(0))

    @precondition(lambda self: hasattr(self, "store"))
    @rule()
    def rebuild(self) -> None:
        """The events say the same as the ledger."""
        assert self.store.rebuild_ledger() == []

    def teardown(self) -> None:
        """At the end every call settles: nothing is held, and the events agree."""
        if not hasattr(self, "store"):
            return
        for (run, hold), usd in self.held.items():
            self.logs[run].settle([settled()], hold, usd, Decimal(0))
        for one in self.store.balances():
            assert (one.held_usd, one.in_doubt_usd) == (0, 0)
        assert self.store.rebuild_ledger() == []
        self.store.close()


class SqliteLedger(Ledger):
    """The same on a file, where a crash is a new opening of it."""

    def make(self) -> Any:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStore(Path(self.folder.name) / "runs.sqlite")

    def again(self) -> None:
        self.store.close()
        self.store = SqliteStore(Path(self.folder.name) / "runs.sqlite")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestMemoryLedger = Ledger.TestCase
TestMemoryLedger.settings = settings(max_examples=60, stateful_step_count=30)
TestSqliteLedger = SqliteLedger.TestCase
TestSqliteLedger.settings = settings(max_examples=25, stateful_step_count=20)
