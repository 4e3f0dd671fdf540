"""Operations on many runs at once: deleting them, and rebuilding the ledger from the events of all runs."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.store import ledger_rules
from orch_nb.store.codec import JSON, blob_ids
from orch_nb.store.evidence import BLANK
from orch_nb.store.ledger_rules import ZERO
from orch_nb.store.ledger_tables import Tally, load_accounts, load_holds
from orch_nb.store.runs import is_own, scope_of
from orch_nb.store.tagged_json import loads

if TYPE_CHECKING:
    from orch_nb.engine.ports import Balance
    from orch_nb.store.journal import Journal
    from orch_nb.store.reader import Reader


MOVES = (
    """SELECT type, money FROM events WHERE id > ? AND id < ? AND (money IS NOT NULL OR type = 'resumed') ORDER BY id"""
)
"""The events of a run that change the ledger: (type, money record), in order."""


class Sweeper:
    """Deletes runs and repairs the ledger, inside a transaction of the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._db = journal.db

    # -------------------------------------------------------------- deleting
    def delete(self, runs: list[tuple[str, int]]) -> None:
        """Delete runs (id, number): their events, holds and accounts, and the blobs that nothing else refers to."""
        self._db.execute("PRAGMA secure_delete = ON")
        try:
            for run, number in runs:
                self._carry(run, number)
                span = (number << 32, (number + 1) << 32)
                self._db.execute("DELETE FROM events WHERE id > ? AND id < ?", span)
                self._db.execute("DELETE FROM holds WHERE run = ?", (number,))
                self._db.execute("DELETE FROM runs WHERE number = ?", (number,))
                self._db.execute(BLANK, (run,))
                for one in load_accounts(self._db, scope_of(run)):
                    if is_own(one.scope, run):
                        self._journal.ledger.drop(one.scope)
            if runs:
                self._delete_blobs()
        finally:
            self._db.execute("PRAGMA secure_delete = OFF")

    def _delete_blobs(self) -> None:
        """Delete the blobs that no event refers to, directly or through other blobs. O(events that refer to blobs)."""
        live: set[int] = set()
        todo: list[int] = []
        for (body,) in self._db.execute("""SELECT body FROM events WHERE instr(body, '"$') > 0"""):
            todo += blob_ids(loads(body))
        while todo:
            number = todo.pop()
            if number not in live:
                live.add(number)
                found = self._db.execute(
                    """SELECT body FROM blobs WHERE id = ? AND kind = ? AND instr(body, '"$') > 0""", (number, JSON)
                ).fetchone()
                if found is not None:
                    todo += blob_ids(loads(found[0]))
        dead = [(n,) for (n,) in self._db.execute("SELECT id FROM blobs") if n not in live]
        self._db.executemany("DELETE FROM blobs WHERE id = ?", dead)
        self._db.execute("DELETE FROM hashes WHERE blob NOT IN (SELECT id FROM blobs)")

    def _carry(self, run: str, number: int) -> None:
        """Record what the run used of budgets that outlive it."""
        tally = Tally()
        doubted = {name for name, hold in load_holds(self._db, number).items() if hold.doubted}
        tally.run(self._db.execute(MOVES, (number << 32, (number + 1) << 32)).fetchall(), doubted)
        for name, hold in load_holds(self._db, number).items():
            if name not in doubted:
                again = replace(hold)
                ledger_rules.mark_in_doubt([self._journal.ledger.account(s) for s in hold.scopes], hold)
                ledger_rules.mark_in_doubt([tally.account(s) for s in hold.scopes], again)
        for one in tally.accounts.values():
            if not is_own(one.scope, run):
                for purse in one.purses.values():
                    if purse.used():
                        self._add_carried(one.scope, purse.unit, purse.spent, purse.in_doubt, purse.overrun)

    def _add_carried(self, scope: str, unit: str, *amounts: Decimal) -> None:
        before = next((row[2:] for row in self._carry_over(scope) if row[1] == unit), (ZERO, ZERO, ZERO))
        sums = [str(ledger_rules.add(a, b)) for a, b in zip(before, amounts, strict=True)]
        if unit == "usd":
            self._db.execute("INSERT OR REPLACE INTO carried VALUES (?, ?, ?, ?)", (scope, *sums))
        else:
            self._db.execute("INSERT OR REPLACE INTO carried_quotas VALUES (?, ?, ?, ?, ?)", (scope, unit, *sums))

    def _carry_over(self, scope: str | None = None) -> list[tuple[str, str, Decimal, Decimal, Decimal]]:
        """Return (scope, unit, spent, in doubt, overrun) of the amounts that are in no log any more; `scope` None: of all."""
        rows = self._db.execute(
            """SELECT scope, 'usd', spent_usd, in_doubt_usd, overrun_usd FROM carried WHERE ?1 IS NULL OR scope = ?1
            UNION ALL SELECT scope, unit, spent, in_doubt, overrun FROM carried_quotas WHERE ?1 IS NULL OR scope = ?1""",
            (scope,),
        ).fetchall()
        return [(s, unit, Decimal(a), Decimal(b), Decimal(c)) for s, unit, a, b, c in rows]

    def compact(self) -> None:
        """Return freed pages to the disk and remove deleted text from the log.

        While another process uses the file, this does nothing. Freed pages are zeroed in any case.
        """
        try:
            (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            if free * 4 > pages:
                self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise

    # -------------------------------------------------------------- the ledger
    def reset(self, scope: str) -> None:
        """Set spent, in doubt and overrun to 0."""
        for purse in self._journal.ledger.account(scope).purses.values():
            self._add_carried(scope, purse.unit, -purse.spent, -purse.in_doubt, -purse.overrun)
            purse.empty()

    def rebuild(self, reader: Reader) -> list[tuple[Balance, Balance]]:
        """Compute the accounts from events and carried amounts; repair and return those that differ."""
        tally = Tally()
        for row in self._carry_over():
            tally.carry(*row)
        for number in reader.every_run():
            doubted = {name for name, hold in load_holds(self._db, number).items() if hold.doubted}
            tally.run(self._db.execute(MOVES, (number << 32, (number + 1) << 32)).fetchall(), doubted)
        return tally.repair({one.scope: one for one in load_accounts(self._db, "")}, self._journal.ledger.account)
