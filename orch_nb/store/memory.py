"""Runs in memory, with the guarantees of a store in a file until the process ends. For tests, and for speed.

It is a store of its own and not SQLite's ``:memory:``, in which a node took 2 to 3 times as long when measured.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from orch_nb.engine.ports import Refusal
from orch_nb.schema import events as ev
from orch_nb.schema.budget import budget_of
from orch_nb.schema.events import _USER_VALUES as USER_VALUES
from orch_nb.schema.secrets import REDACTOR
from orch_nb.schema.values import plain
from orch_nb.store import evidence as proof
from orch_nb.store import ledger_rules
from orch_nb.store.base import BaseStore, closed_error, locked_error, not_found_error, taken_error
from orch_nb.store.ledger_rules import Account, OpenHold
from orch_nb.store.ledger_tables import Tally, admit_record, settle_record
from orch_nb.store.runs import (
    RunRow,
    StoreStats,
    account_of,
    check_run,
    is_own,
    number_of,
    scope_of,
    standing_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from orch_nb.engine.ports import Balance, Hold, Limit
    from orch_nb.errors import RunLocked
    from orch_nb.routing.evidence import Evidence
    from orch_nb.schema.events import Event

_FIELDS = {cls: tuple(f.name for f in fields(cls) if f.name in USER_VALUES - {"plan"}) for cls in ev.TYPES.values()}
"""Event type -> its fields with data of users or models. (A plan is built by orch_nb.)"""
_NOTED = frozenset({ev.RunStarted, ev.LimitChanged, ev.Resumed, ev.Sent})
"""Types of events that change the ledger by themselves or that are looked up later."""


def _check(event: Event) -> None:
    """Refuse values that a file could not store, and replace secrets."""
    for name in _FIELDS[event.__class__]:
        plain(getattr(event, name), where=name)
    REDACTOR.event(event)


def _may_have_succeeded(events: list[Event], key: str) -> Iterator[bool]:
    """Yield, for each call with this request hash, whether no event says that it failed."""
    for i, sent in enumerate(events):
        if isinstance(sent, ev.Sent) and sent.request_hash == key:
            settled = next((e for e in events[i:] if isinstance(e, ev.Settled) and _call(e) == _call(sent)), None)
            yield settled is None or settled.ok


def _call(event: ev.Sent | ev.Settled) -> tuple[str, int]:
    return ev.key(event), event.call


class MemoryStore(BaseStore):
    """A store that ends with the process. `SqliteStore` describes the methods that both have.

    Values are checked and stored without a copy: the engine copies every value before it is appended.
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[Event]] = {}
        self._holds: dict[str, dict[str, OpenHold]] = {}
        self._records: dict[str, dict[int, str]] = {}
        self._accounts: dict[str, Account] = {}
        self._carried = Tally()
        self._sent: dict[str, list[str]] = {}
        self._evidence: dict[str, Evidence] = {}
        self._writing: set[str] = set()
        self._last = 0
        self._lock = threading.RLock()

    # -------------------------------------------------------------- runs
    def next_run(self) -> str:
        """Return the next free number as a run's id: "1", "2", ..."""
        with self._lock:
            self._last += 1
            return str(self._last)

    def create(self, run: str) -> MemoryRunLog:
        """Return the log of a new run, which exists from its first event on."""
        check_run(run)
        with self._lock:
            if self._runs.get(run):
                raise taken_error(run)
            if run in self._writing:
                raise self._locked_error(run)
            self._last = max(self._last, number_of(run) or 0)
            self._runs[run] = []
            self._holds[run] = {}
            self._records[run] = {}
            return self._log(run)

    def open(self, run: str) -> MemoryRunLog:
        """Return the log of an existing run, to continue writing."""
        with self._lock:
            self._events(run)
            if run in self._writing:
                raise self._locked_error(run)
            return self._log(run)

    def _log(self, run: str) -> MemoryRunLog:
        self._writing.add(run)
        return MemoryRunLog(self, run, self._runs[run], self._holds[run])

    def _locked_error(self, run: str) -> RunLocked:
        return locked_error(run, "this process", os.getpid(), socket.gethostname())

    def _events(self, run: str) -> list[Event]:
        found = self._runs.get(run)
        if not found:
            raise not_found_error(run, [name for name, events in self._runs.items() if events], "in memory")
        return found

    # -------------------------------------------------------------- reading
    def read(self, run: str, *, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Return (seq, event) of a run, in order, from `after` + 1 on."""
        start = max(after, 0)
        return iter(list(enumerate(self._events(run)[start:], start + 1)))

    def runs(
        self,
        *,
        graph: str | None = None,
        notebook: str | None = None,
        status: str | Sequence[str] | None = None,
        limit: int | None = None,
        batch_rows: bool = True,
    ) -> list[RunRow]:
        """Return the runs, newest first; see `SqliteStore.runs`."""
        wanted = [status] if isinstance(status, str) else status
        rows = [self.run(run) for run in reversed(self._runs) if self._runs[run]]
        chosen = [
            row
            for row in rows
            if row.status
            and graph in (None, row.graph)
            and notebook in (None, row.notebook)
            and (wanted is None or row.status in wanted)
            and (batch_rows or not (row.parent or {}).get("of_batch"))
        ]
        return chosen if limit is None else chosen[: max(limit, 0)]

    def run(self, run: str) -> RunRow:
        """Return the row of a run."""
        events = self._events(run)
        s = standing_of(events)
        scope = account_of(run, s.parent)
        own = (self._accounts.get(scope) or Account(scope)).usd
        return RunRow(
            run, s.graph, s.notebook, s.shown(), s.started_at, s.ended_at, s.parent, len(events), s.nodes,
            tuple(s.waiting), s.node, s.error, own.in_force(), own.spent, own.held, own.in_doubt,
            own.overrun, live=run in self._writing,
        )  # fmt: skip

    def effect_done(self, key: str, *, but: str = "") -> str | None:
        """Return the run in which the effect with this idempotency key was or may have been performed; see `SqliteStore`."""
        for run in reversed(self._sent.get(key, ())):
            if run != but and run in self._runs and any(_may_have_succeeded(self._runs[run], key)):
                return run
        return None

    def asked_by(self, request_hash: str, *, limit: int = 20) -> list[str]:
        """Return the runs that sent a call with this request hash, newest first, at most `limit`."""
        with self._lock:
            found = [run for run in dict.fromkeys(self._sent.get(request_hash, ())) if run in self._runs]
        return found[: -limit - 1 : -1]

    def counts(self, run: str) -> dict[str, int]:
        """Return the number of events of each type of a run."""
        out: dict[str, int] = {}
        for event in self._events(run):
            out[event.TYPE] = out.get(event.TYPE, 0) + 1
        return out

    def stats(self) -> StoreStats:
        """Return the size of the store."""
        return StoreStats(sum(map(bool, self._runs.values())), sum(map(len, self._runs.values())), 0)

    # -------------------------------------------------------------- money
    def account(self, scope: str) -> Account:
        """Return the account of `scope`, a new one if needed."""
        one = self._accounts.get(scope)
        if one is None:
            one = self._accounts[scope] = Account(scope)
        return one

    def balance(self, scope: str) -> Balance:
        """Return the balance of a scope; all zero and without limit if the scope is unknown."""
        scope = REDACTOR.text(scope)
        return (self._accounts.get(scope) or Account(scope)).balance()

    def balances(self, prefix: str = "") -> list[Balance]:
        """Return the balances of the scopes that begin with `prefix`, by name."""
        return [self._accounts[s].balance() for s in sorted(self._accounts) if s.startswith(prefix)]

    def set_limit(self, scope: str, limit: Limit) -> None:
        """Set the budget of a scope, None for none; see `SqliteStore.set_limit`."""
        scope = REDACTOR.text(scope)
        budget = ledger_rules.as_budget(limit, scope)
        with self._lock:
            self.account(scope).set_limit(budget)
            if "/" not in scope:
                for name, one in self._accounts.items():
                    if name.startswith(scope + "/"):
                        one.note()

    def reset(self, scope: str) -> None:
        """Set the spent, in-doubt and overrun figures of a scope to 0. Open holds and the limit remain."""
        scope = REDACTOR.text(scope)
        with self._lock:
            for purse in self.account(scope).purses.values():
                self._carried.carry(scope, purse.unit, -purse.spent, -purse.in_doubt, -purse.overrun)
                purse.empty()

    def rebuild_ledger(self) -> list[tuple[Balance, Balance]]:
        """Rebuild every account from the events of all runs; return (before, after) of the scopes that differed."""
        with self._lock:
            tally = Tally()
            for one in self._carried.accounts.values():
                tally.add(one)
            for run in self._runs:
                self._tally_run(tally, run)
            return tally.repair(self._accounts, self.account)

    def _tally_run(self, tally: Tally, run: str) -> None:
        records = self._records[run]
        doubted = {name for name, hold in self._holds[run].items() if hold.doubted}
        tally.run([(e.TYPE, records.get(i)) for i, e in enumerate(self._runs[run], 1)], doubted)

    # -------------------------------------------------------------- evidence
    def add_evidence(self, rows: Iterable[Evidence]) -> None:
        """Store judgements, all or none. One with a known key replaces the earlier one; see `SqliteStore.add_evidence`."""
        kept = proof.checked(rows)
        with self._lock:
            self._evidence.update({row.key: row for row in kept})

    def evidence(self, task: str | None = None) -> list[Evidence]:
        """Return the judgements of `task` (None: of all tasks), in order of time, then key."""
        with self._lock:
            return proof.in_order(self._evidence.values(), task)

    # -------------------------------------------------------------- forgetting
    def _delete(self, runs: Sequence[str]) -> None:
        for run in runs:
            self._delete_one(run)

    def _delete_one(self, run: str) -> None:
        with self._lock:
            self._events(run)
            if run in self._writing:
                raise self._locked_error(run)
            for hold in self._holds[run].values():
                ledger_rules.mark_in_doubt(map(self.account, hold.scopes), hold)
            tally = Tally()
            self._tally_run(tally, run)
            for one in tally.accounts.values():
                if not is_own(one.scope, run):
                    self._carried.add(one)
            for scope in [s for s in self._accounts if is_own(s, run)]:
                del self._accounts[scope]
            del self._runs[run], self._holds[run], self._records[run]
            for key, row in self._evidence.items():
                if row.run == run:
                    self._evidence[key] = replace(row, prompt="")

    # -------------------------------------------------------------- life
    def close(self) -> None:
        """Do nothing: the store has no file."""

    def _release(self, run: str) -> None:
        self._writing.discard(run)


class MemoryRunLog:
    """The one writer of one run (`engine.ports.RunLog`). `SqliteRunLog` lists the errors of its methods."""

    __slots__ = ("_events", "_holds", "_open", "_store", "run")

    def __init__(self, store: MemoryStore, run: str, events: list[Event], holds: dict[str, OpenHold]) -> None:
        self.run = run
        self._store, self._events, self._holds = store, events, holds
        self._open = True

    @property
    def seq(self) -> int:
        """The number of events."""
        return len(self._events)

    def append(self, events: Sequence[Event], /) -> Awaitable[None] | None:
        """Append `events` and return None: they are committed."""
        if not self._open:
            raise closed_error(self.run)
        for event in events:
            _check(event)
        for event in events:
            if event.__class__ in _NOTED:
                self._note(event)
        self._events.extend(events)
        return None

    def _note(self, event: Event) -> None:
        if isinstance(event, ev.Sent):
            self._store._sent.setdefault(event.request_hash, []).append(self.run)
        elif isinstance(event, ev.Resumed):
            for hold in self._holds.values():
                ledger_rules.mark_in_doubt(map(self._store.account, hold.scopes), hold)
        elif isinstance(event, ev.LimitChanged):
            self._store.set_limit(event.scope or scope_of(self.run), budget_of(event.limit_usd, event.limits))
        elif isinstance(event, ev.RunStarted) and (event.limit_usd is not None or event.limits):
            self._store.set_limit(scope_of(self.run), budget_of(event.limit_usd, event.limits))

    async def admit(self, event: Event, hold: Hold | None, /) -> Refusal | None:
        """Append a `Sent` and make its hold, or return the refusal."""
        if not self._open:
            raise closed_error(self.run)
        _check(event)
        with self._store._lock:
            if hold is not None:
                cleaned, _ = REDACTOR.clean(hold)
                if cleaned.hold in self._holds:
                    raise ledger_rules.name_in_use(self.run, cleaned.hold)
                got = ledger_rules.admit(self._store.account, cleaned)
                if isinstance(got, Refusal):
                    return got
                self._holds[cleaned.hold] = got
                self._store._records[self.run][len(self._events) + 1] = admit_record(cleaned)
            self.append((event,))
        return None

    def settle(
        self,
        events: Sequence[Event],
        hold: str,
        spent_usd: Decimal,
        overrun_usd: Decimal,
        used: Mapping[str, Decimal] | None = None,
        /,
    ) -> Awaitable[None] | None:
        """Append a `Settled` (and what follows at once) and turn its hold into `spent_usd`."""
        hold = REDACTOR.text(hold)
        known = self._holds.get(hold)
        ledger_rules.check_settlement(self.run, hold, spent_usd, overrun_usd, used, is_open=known is not None)
        with self._store._lock:
            first = len(self._events) + 1
            self.append(events)
            if known is not None:
                ledger_rules.settle(map(self._store.account, known.scopes), known, spent_usd, overrun_usd, used)
                del self._holds[hold]
                self._store._records[self.run][first] = settle_record(hold, spent_usd, overrun_usd, used)
        return None

    async def sync(self) -> None:
        """Do nothing but check that the log is open."""
        if not self._open:
            raise closed_error(self.run)

    def mark_in_doubt(self, hold: str, /) -> None:
        """Turn a hold into money in doubt, unless it is already in doubt."""
        if not self._open:
            raise closed_error(self.run)
        hold = REDACTOR.text(hold)
        if hold not in self._holds:
            raise ledger_rules.no_hold(self.run, hold)
        one = self._holds[hold]
        ledger_rules.mark_in_doubt(map(self._store.account, one.scopes), one)

    def holds(self) -> list[str]:
        """Return the names of the open holds, in doubt or not."""
        return list(self._holds)

    def close(self) -> None:
        """Let others write the run. A second call does nothing."""
        if self._open:
            self._open = False
            self._store._release(self.run)
