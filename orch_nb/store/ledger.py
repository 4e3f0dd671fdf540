"""The ledger's tables: accounts and open holds, read and written inside the journal's transactions."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.ports import Refusal
from orch_nb.schema import events as ev
from orch_nb.store import money
from orch_nb.store.money import Account, OpenHold
from orch_nb.store.names import scope_of
from orch_nb.store.tags import dumps

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from orch_nb.engine.ports import Hold

_COLUMNS = "scope, limit_usd, hold_limit_usd, spent_usd, held_usd, in_doubt_usd, overrun_usd, noted_usd"
_SELECT = f"SELECT {_COLUMNS} FROM accounts"
_SAVE = f"INSERT OR REPLACE INTO accounts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def account_of(row: tuple[Any, ...]) -> Account:
    """The account of a row."""
    return Account(row[0], _decimal(row[1]), _decimal(row[2]), *(Decimal(text) for text in row[3:]))


class Ledger:
    """The accounts that one transaction touches: read once, moved by the rules of `money`, written at its end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._open: dict[str, Account] = {}
        self._undo: list[tuple[dict[str, OpenHold], str, OpenHold | None]] = []

    def account(self, scope: str) -> Account:
        """The account of `scope`, new where there was none."""
        one = self._open.get(scope)
        if one is None:
            one = self._open[scope] = load_account(self._db, scope)
        return one

    def admit(
        self, number: int, holds: dict[str, OpenHold], hold: Hold, is_live: Callable[[int], bool]
    ) -> Refusal | None:
        """Make a hold of run `number`, or say why not; before refusing, money held by dead processes is put in doubt."""
        got = money.admit(self.account, hold)
        if isinstance(got, Refusal):
            if not got.held_usd or not self.doubt_dead(is_live):
                return got
            got = money.admit(self.account, hold)
            if isinstance(got, Refusal):
                return got
        self._put(holds, got.hold, got)
        self._db.execute(
            "INSERT INTO holds (run, hold, asked_usd, scopes) VALUES (?, ?, ?, ?)",
            (number, got.hold, str(got.asked_usd), json.dumps(got.scopes)),
        )
        return None

    def settle(self, number: int, holds: dict[str, OpenHold], name: str, spent: Decimal, overrun: Decimal) -> None:
        """Turn a hold of run `number` into what was spent."""
        hold = holds[name]
        money.settle([self.account(s) for s in hold.scopes], hold, spent, overrun)
        self._put(holds, name, None)
        self._db.execute("DELETE FROM holds WHERE run = ? AND hold = ?", (number, name))

    def doubt(self, number: int, holds: dict[str, OpenHold], names: Iterable[str]) -> None:
        """Turn holds of run `number` into money in doubt; those that are already stay so.

        The table is asked, not `holds`: another process may have put them in doubt while nobody had the run open.
        """
        for name in names:
            hold = replace(holds[name], doubted=self._is_doubted(number, name))
            money.doubt([self.account(s) for s in hold.scopes], hold)
            self._put(holds, name, hold)
            self._db.execute("UPDATE holds SET doubted = 1 WHERE run = ? AND hold = ?", (number, name))

    def _is_doubted(self, number: int, name: str) -> bool:
        row = self._db.execute("SELECT doubted FROM holds WHERE run = ? AND hold = ?", (number, name)).fetchone()
        return row is not None and bool(row[0])

    def doubt_dead(self, is_live: Callable[[int], bool]) -> int:
        """Put the holds of runs that nobody is driving in doubt: their process died. Returns how many.

        Without this a budget would wait for money that no one will ever release.
        """
        rows = self._db.execute("SELECT DISTINCT run FROM holds WHERE doubted = 0").fetchall()
        done = 0
        for (number,) in rows:
            if not is_live(number):
                holds = {n: h for n, h in load_holds(self._db, number).items() if not h.doubted}
                self.doubt(number, holds, list(holds))
                done += len(holds)
        return done

    def set_limit(self, scope: str, limit_usd: Decimal | None) -> None:
        """Another limit for `scope`, and for a run's scope: its nodes' overruns are seen as well."""
        self.account(scope).set_limit(limit_usd)
        if "/" not in scope:
            for one in self._below(scope):
                one.noted_usd = one.overrun_usd

    def _below(self, scope: str) -> list[Account]:
        rows = self._db.execute("SELECT scope FROM accounts WHERE scope GLOB ?", (glob_of(scope + "/"),)).fetchall()
        return [self.account(s) for (s,) in rows]

    def drop(self, scope: str) -> None:
        """Forget an account whose run is deleted."""
        self._open.pop(scope, None)
        self._db.execute("DELETE FROM accounts WHERE scope = ?", (scope,))

    def save(self) -> None:
        """Write what was touched."""
        if self._open:
            self._db.executemany(_SAVE, [_row(one) for one in self._open.values()])

    def done(self) -> None:
        """The transaction is committed: remember nothing, another process may write next."""
        if self._open:
            self._open.clear()
            self._undo.clear()

    def undo(self) -> None:
        """The transaction was rolled back: holds are again what they were."""
        for holds, name, before in reversed(self._undo):
            if before is None:
                holds.pop(name, None)
            else:
                holds[name] = before
        self._open.clear()
        self._undo.clear()

    def _put(self, holds: dict[str, OpenHold], name: str, now: OpenHold | None) -> None:
        self._undo.append((holds, name, holds.get(name)))
        if now is None:
            del holds[name]
        else:
            holds[name] = now


def _row(one: Account) -> tuple[Any, ...]:
    return (
        one.scope, _text(one.limit_usd), _text(one.hold_limit_usd), str(one.spent_usd), str(one.held_usd),
        str(one.in_doubt_usd), str(one.overrun_usd), str(one.noted_usd),
    )  # fmt: skip


def glob_of(prefix: str) -> str:
    """The GLOB pattern of texts that begin with `prefix`, whatever characters it has."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in prefix) + "*"


def load_holds(connection: sqlite3.Connection, number: int) -> dict[str, OpenHold]:
    """The open holds of run `number`."""
    rows = connection.execute("SELECT hold, asked_usd, scopes, doubted FROM holds WHERE run = ?", (number,)).fetchall()
    return {h: OpenHold(h, Decimal(asked), tuple(json.loads(scopes)), bool(d)) for h, asked, scopes, d in rows}


def load_account(connection: sqlite3.Connection, scope: str) -> Account:
    """The account of `scope`, empty when there is none."""
    row = connection.execute(_SELECT + " WHERE scope = ?", (scope,)).fetchone()
    return Account(scope) if row is None else account_of(row)


def load_accounts(connection: sqlite3.Connection, prefix: str) -> list[Account]:
    """Accounts whose scope begins with `prefix`, by name."""
    rows = connection.execute(_SELECT + " WHERE scope GLOB ? ORDER BY scope", (glob_of(prefix),)).fetchall()
    return [account_of(row) for row in rows]


# ------------------------------------------------------------------ what is written beside an event
def admit_record(hold: Hold) -> str:
    """The hold that a `sent` made, for `Tally`."""
    return dumps({"hold": hold.hold, "asked": str(hold.asked_usd), "scopes": list(money.limits_of(hold))})


def settle_record(hold: str, spent_usd: Decimal, overrun_usd: Decimal) -> str:
    """What a `settled` left behind, for `Tally`."""
    return dumps({"hold": hold, "spent": str(spent_usd), "overrun": str(overrun_usd)})


class Tally:
    """Accounts made again from events alone: what the live ledger is compared with, and repaired from."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, scope: str) -> Account:
        """The account of `scope`, new where there was none."""
        return self.accounts.setdefault(scope, Account(scope))

    def run(self, run: str, records: Iterable[tuple[str, str | None, Any]], doubted: set[str]) -> None:
        """Add one run: (type, money record, limit in dollars or ...) of its events, in order.

        `doubted` names holds that were put in doubt without a `resumed` event.
        """
        holds: dict[str, OpenHold] = {}
        for kind, record, limit in records:
            if kind in (ev.RunStarted.TYPE, ev.LimitChanged.TYPE):
                self.account(scope_of(run)).set_limit(limit)
            elif kind == ev.Resumed.TYPE:
                for hold in holds.values():
                    money.doubt(map(self.account, hold.scopes), hold)
            elif record is not None:
                self._move(holds, json.loads(record))
        for name in doubted & holds.keys():
            money.doubt(map(self.account, holds[name].scopes), holds[name])

    def _move(self, holds: dict[str, OpenHold], record: dict[str, Any]) -> None:
        name = record["hold"]
        if "asked" in record:
            hold = holds[name] = OpenHold(name, Decimal(record["asked"]), tuple(record["scopes"]))
            for scope in hold.scopes:
                one = self.account(scope)
                one.held_usd = money.add(one.held_usd, hold.asked_usd)
        else:
            hold = holds.pop(name)
            money.settle(map(self.account, hold.scopes), hold, Decimal(record["spent"]), Decimal(record["overrun"]))

    def carry(self, scope: str, spent: Decimal, in_doubt: Decimal, overrun: Decimal) -> None:
        """Add what no log says any more."""
        one = self.account(scope)
        one.spent_usd = money.add(one.spent_usd, spent)
        one.in_doubt_usd = money.add(one.in_doubt_usd, in_doubt)
        one.overrun_usd = money.add(one.overrun_usd, overrun)


def differs(live: Account, made: Account) -> bool:
    """Whether the figures that events determine are not the same."""
    return (live.spent_usd, live.held_usd, live.in_doubt_usd, live.overrun_usd) != (
        made.spent_usd, made.held_usd, made.in_doubt_usd, made.overrun_usd,
    )  # fmt: skip
