"""The tables of the ledger: accounts and open holds, read and written inside the journal's transactions."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypedDict

from orch_nb.engine.ports import Refusal
from orch_nb.schema import events as ev
from orch_nb.store import ledger_rules
from orch_nb.store.ledger_rules import Account, OpenHold, Purse
from orch_nb.store.migrations import STEPS, m003_quotas
from orch_nb.store.tagged_json import dumps

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orch_nb.engine.ports import Balance, Hold, Limit

QUOTAS_SINCE = STEPS.index(m003_quotas) + 1
"""The first version of the tables with other units than dollars."""
_FIGURES = "spent, held, in_doubt, overrun, noted"
_DOLLARS = """SELECT scope, 'usd', limit_usd, hold_limit_usd, spent_usd, held_usd, in_doubt_usd, overrun_usd, noted_usd
    FROM accounts WHERE scope {is_wanted}"""
_OTHERS = f"""SELECT scope, unit, most, hold_most, {_FIGURES} FROM quotas WHERE scope {{is_wanted}}
    UNION ALL SELECT scope, '', at_limit, degrade, '', '', '', '', '' FROM at_limits WHERE scope {{is_wanted}}"""
_SELECT = {
    (is_wanted, has_quotas): (f"{_DOLLARS} UNION ALL {_OTHERS}" if has_quotas else _DOLLARS).format(is_wanted=is_wanted)
    + " ORDER BY 1"
    for is_wanted in ("= ?1", "GLOB ?1")
    for has_quotas in (True, False)
}
"""One statement reads a whole account: between two statements another process may write."""
_SAVE = "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SAVE_QUOTA = (
    f"INSERT OR REPLACE INTO quotas (scope, most, hold_most, {_FIGURES}, unit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _purse(unit: str, row: Sequence[str | None]) -> Purse:
    """Return the purse of a row: two limits, then five figures."""
    return Purse(unit, _decimal(row[0]), _decimal(row[1]), *(Decimal(text or 0) for text in row[2:]))


class Ledger:
    """The accounts that one transaction changes: read once, changed by `ledger_rules`, written at its end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._open: dict[str, Account] = {}
        self._undo: list[tuple[dict[str, OpenHold], str, OpenHold | None]] = []

    def account(self, scope: str) -> Account:
        """Return the account of `scope`, a new one if needed."""
        one = self._open.get(scope)
        if one is None:
            one = self._open[scope] = load_account(self._db, scope)
        return one

    def admit(
        self, number: int, holds: dict[str, OpenHold], hold: Hold, is_live: Callable[[int], bool]
    ) -> Refusal | None:
        """Make a hold of run `number`, or return the refusal. Before a refusal, the holds of dead processes become money in doubt."""
        got = ledger_rules.admit(self.account, hold)
        if isinstance(got, Refusal):
            if not got.held or not self.doubt_dead(is_live):
                return got
            got = ledger_rules.admit(self.account, hold)
            if isinstance(got, Refusal):
                return got
        self._put(holds, got.hold, got)
        self._db.execute(
            "INSERT INTO holds (run, hold, asked_usd, scopes, asked) VALUES (?, ?, ?, ?, ?)",
            (number, got.hold, str(got.asked["usd"]), json.dumps(got.scopes), json.dumps(_beside_usd(got.asked))),
        )
        return None

    def settle(
        self,
        number: int,
        holds: dict[str, OpenHold],
        name: str,
        spent: Decimal,
        overrun: Decimal,
        used: Mapping[str, Decimal] | None,
    ) -> None:
        """Replace a hold of run `number` by the amounts spent."""
        hold = holds[name]
        ledger_rules.settle([self.account(s) for s in hold.scopes], hold, spent, overrun, used)
        self._put(holds, name, None)
        self._db.execute("DELETE FROM holds WHERE run = ? AND hold = ?", (number, name))

    def mark_in_doubt(self, number: int, holds: dict[str, OpenHold], names: Iterable[str]) -> None:
        """Turn holds of run `number` into money in doubt, unless they already are.

        The table says whether they are: another process may have put them in doubt while the run was closed.
        """
        for name in names:
            hold = replace(holds[name], doubted=self._is_doubted(number, name))
            ledger_rules.mark_in_doubt([self.account(s) for s in hold.scopes], hold)
            self._put(holds, name, hold)
            self._db.execute("UPDATE holds SET doubted = 1 WHERE run = ? AND hold = ?", (number, name))

    def _is_doubted(self, number: int, name: str) -> bool:
        row = self._db.execute("SELECT doubted FROM holds WHERE run = ? AND hold = ?", (number, name)).fetchone()
        return row is not None and bool(row[0])

    def doubt_dead(self, is_live: Callable[[int], bool]) -> int:
        """Put the holds of runs whose process died in doubt; return their number.

        Otherwise a budget would wait for money that no process will release.
        """
        rows = self._db.execute("SELECT DISTINCT run FROM holds WHERE doubted = 0").fetchall()
        done = 0
        for (number,) in rows:
            if not is_live(number):
                holds = {n: h for n, h in load_holds(self._db, number).items() if not h.doubted}
                self.mark_in_doubt(number, holds, list(holds))
                done += len(holds)
        return done

    def set_limit(self, scope: str, limit: Limit) -> None:
        """Set the budget of `scope`. For a run's scope this accepts the overruns of its nodes, too."""
        one = self.account(scope)
        one.set_limit(limit)
        if (one.at_limit, one.degrade) == ("stop", ""):
            self._db.execute("DELETE FROM at_limits WHERE scope = ?", (scope,))
        else:
            self._db.execute("INSERT OR REPLACE INTO at_limits VALUES (?, ?, ?)", (scope, one.at_limit, one.degrade))
        if "/" not in scope:
            for inner in self._below(scope):
                inner.note()

    def _below(self, scope: str) -> list[Account]:
        rows = self._db.execute("SELECT scope FROM accounts WHERE scope GLOB ?", (glob_of(scope + "/"),)).fetchall()
        return [self.account(s) for (s,) in rows]

    def drop(self, scope: str) -> None:
        """Delete the account of a deleted run."""
        self._open.pop(scope, None)
        for table in ("accounts", "quotas", "at_limits"):
            self._db.execute(f"DELETE FROM {table} WHERE scope = ?", (scope,))

    def save(self) -> None:
        """Write the changed accounts."""
        if self._open:
            self._db.executemany(_SAVE, [_row(one.scope, one.usd) for one in self._open.values()])
            quotas = [
                (*_row(one.scope, purse), unit)
                for one in self._open.values()
                for unit, purse in one.purses.items()
                if unit != "usd"
            ]
            if quotas:
                self._db.executemany(_SAVE_QUOTA, quotas)

    def done(self) -> None:
        """Clear the cache after a commit, because another process may write next."""
        if self._open:
            self._open.clear()
            self._undo.clear()

    def undo(self) -> None:
        """Restore the holds and clear the cache after a rollback."""
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


def _row(scope: str, purse: Purse) -> tuple[str | None, ...]:
    return (
        scope, _text(purse.limit), _text(purse.hold_limit), str(purse.spent), str(purse.held), str(purse.in_doubt),
        str(purse.overrun), str(purse.noted),
    )  # fmt: skip


def _beside_usd(asked: Mapping[str, Decimal]) -> dict[str, str]:
    return {unit: str(value) for unit, value in asked.items() if unit != "usd"}


def glob_of(prefix: str) -> str:
    """Return the GLOB pattern of texts that begin with `prefix`, whatever characters it has."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in prefix) + "*"


def load_holds(connection: sqlite3.Connection, number: int) -> dict[str, OpenHold]:
    """Return the open holds of run `number`."""
    rows = connection.execute(
        "SELECT hold, asked_usd, scopes, doubted, asked FROM holds WHERE run = ?", (number,)
    ).fetchall()
    return {
        h: OpenHold(h, _amounts_asked(usd, json.loads(more)), tuple(json.loads(s)), bool(d))
        for h, usd, s, d, more in rows
    }


def _amounts_asked(usd: str, beside: Mapping[str, str]) -> dict[str, Decimal]:
    return {"usd": Decimal(usd), **{unit: Decimal(text) for unit, text in beside.items()}}


def load_account(connection: sqlite3.Connection, scope: str, *, has_quotas: bool = True) -> Account:
    """Return the account of `scope`, an empty one if needed.

    `has_quotas` says whether the file has the tables of other units than dollars.
    """
    rows = connection.execute(_SELECT["= ?1", has_quotas], (scope,))
    return next(iter(_accounts_of(rows)), Account(scope))


def load_accounts(connection: sqlite3.Connection, prefix: str, *, has_quotas: bool = True) -> list[Account]:
    """Return the accounts whose scope begins with `prefix`, by name."""
    return _accounts_of(connection.execute(_SELECT["GLOB ?1", has_quotas], (glob_of(prefix),)))


def _accounts_of(rows: Iterable[tuple[str, ...]]) -> list[Account]:
    made: dict[str, Account] = {}
    for scope, unit, *figures in rows:
        one = made.setdefault(scope, Account(scope))
        if unit:
            one.purses[unit] = _purse(unit, figures)
        else:
            one.at_limit, one.degrade = figures[:2]
    return list(made.values())


# ------------------------------------------------------------------ money records of events
class _Record(TypedDict, total=False):
    """The money record of an event: `asked`, `scopes` and `beside` of a `sent`, the others of a `settled`."""

    hold: str
    asked: str
    scopes: list[str]
    beside: dict[str, str]
    spent: str
    overrun: str
    used: dict[str, str]


def admit_record(hold: Hold) -> str:
    """Return the money record of a `sent`, for `Tally`."""
    record: _Record = {
        "hold": hold.hold,
        "asked": str(hold.asked_usd),
        "scopes": list(ledger_rules.limits_of(hold)),
    }
    if hold.asked:
        record["beside"] = _beside_usd(hold.asked)
    return dumps(record)


def settle_record(
    hold: str, spent_usd: Decimal, overrun_usd: Decimal, used: Mapping[str, Decimal] | None = None
) -> str:
    """Return the money record of a `settled`, for `Tally`."""
    record: _Record = {"hold": hold, "spent": str(spent_usd), "overrun": str(overrun_usd)}
    if used:
        record["used"] = {unit: str(value) for unit, value in used.items()}
    return dumps(record)


class Tally:
    """Accounts computed from events alone. The live ledger is compared with them and repaired from them."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, scope: str) -> Account:
        """Return the account of `scope`, a new one if needed."""
        return self.accounts.setdefault(scope, Account(scope))

    def run(self, records: Iterable[tuple[str, str | None]], doubted: set[str]) -> None:
        """Add one run: (type, money record) of its events, in order.

        `doubted` names holds that were put in doubt without a `resumed` event.
        """
        holds: dict[str, OpenHold] = {}
        for kind, record in records:
            if kind == ev.Resumed.TYPE:
                for hold in holds.values():
                    ledger_rules.mark_in_doubt(map(self.account, hold.scopes), hold)
            elif record is not None:
                self._move(holds, json.loads(record))
        for name in doubted & holds.keys():
            ledger_rules.mark_in_doubt(map(self.account, holds[name].scopes), holds[name])

    def _move(self, holds: dict[str, OpenHold], record: _Record) -> None:
        name = record["hold"]
        if "asked" in record:
            asked = _amounts_asked(record["asked"], record.get("beside", {}))
            hold = holds[name] = OpenHold(name, asked, tuple(record["scopes"]))
            for scope in hold.scopes:
                for unit, value in asked.items():
                    purse = self.account(scope).purse(unit)
                    purse.held = ledger_rules.add(purse.held, value)
        else:
            hold = holds.pop(name)
            used = {unit: Decimal(text) for unit, text in record.get("used", {}).items()}
            spent, overrun = Decimal(record["spent"]), Decimal(record["overrun"])
            ledger_rules.settle(map(self.account, hold.scopes), hold, spent, overrun, used)

    def carry(self, scope: str, unit: str, spent: Decimal, in_doubt: Decimal, overrun: Decimal) -> None:
        """Add amounts that are in no log any more."""
        purse = self.account(scope).purse(unit)
        purse.spent = ledger_rules.add(purse.spent, spent)
        purse.in_doubt = ledger_rules.add(purse.in_doubt, in_doubt)
        purse.overrun = ledger_rules.add(purse.overrun, overrun)

    def add(self, one: Account) -> None:
        """Add the amounts of an account whose log is deleted."""
        for purse in one.purses.values():
            self.carry(one.scope, purse.unit, purse.spent, purse.in_doubt, purse.overrun)

    def repair(self, live: Mapping[str, Account], account: Callable[[str], Account]) -> list[tuple[Balance, Balance]]:
        """Repair the live accounts that differ from the tally; return (before, after) of each.

        `account` returns the account of a scope for writing, a new one if needed.
        """
        wrong = []
        for scope in sorted(live.keys() | self.accounts.keys()):
            made = self.account(scope)
            if _differ(live.get(scope) or Account(scope), made):
                one = account(scope)
                before = one.balance()
                for unit in {*one.purses, *made.purses}:
                    one.purse(unit).take(made.purse(unit))
                wrong.append((before, one.balance()))
        return wrong


def _differ(one: Account, other: Account) -> bool:
    """Return whether the figures that events determine differ."""
    return any(one.purse(unit).figures() != other.purse(unit).figures() for unit in {*one.purses, *other.purses})
