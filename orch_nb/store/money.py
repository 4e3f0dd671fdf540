"""The rules of a ledger, pure: what may be held, and what a settled call leaves behind.

An `Account` is one scope of a nest (``notebook:NAME``, ``run:ID``, ``run:ID/node:NAME``). Both stores keep accounts, each in
its own way, and move them by the functions here only, so that the rules cannot differ.

Sums are exact: they are made in a context of 60 digits of our own, whatever the caller's decimal context says.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import TYPE_CHECKING

from orch_nb.engine.ports import Balance, Refusal
from orch_nb.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orch_nb.engine.ports import Hold

ZERO = Decimal(0)
_EXACT = Context(prec=60, traps=[Inexact])
add = _EXACT.add
subtract = _EXACT.subtract


def amount(value: object, what: str) -> Decimal:
    """`value` itself when it is an amount of money: a finite Decimal, not below zero.

    Raises
    ------
    StoreError
        It is something else; a float in particular, whose cents are not exact.
    """
    if value.__class__ is not Decimal or not value.is_finite() or value < ZERO:
        raise StoreError(
            f"{what} is {value!r}, which is no amount of money.", hint="give a finite Decimal that is not below 0"
        )
    return value


@dataclass(slots=True)
class Account:
    """One scope's figures.

    limit_usd
        Set for the scope itself (`set_limit`, or the run's own events).
    hold_limit_usd
        What the latest hold said the limit is (None: it said nothing). The tighter of the two is in force.
    noted_usd
        As much of `overrun_usd` as somebody has seen, by setting a limit since: it no longer blocks by itself.
    """

    scope: str
    limit_usd: Decimal | None = None
    hold_limit_usd: Decimal | None = None
    spent_usd: Decimal = ZERO
    held_usd: Decimal = ZERO
    in_doubt_usd: Decimal = ZERO
    overrun_usd: Decimal = ZERO
    noted_usd: Decimal = ZERO

    def limit(self) -> Decimal | None:
        """The limit in force: the tighter one, None without any."""
        if self.limit_usd is None or self.hold_limit_usd is None:
            return self.hold_limit_usd if self.limit_usd is None else self.limit_usd
        return min(self.limit_usd, self.hold_limit_usd)

    def balance(self) -> Balance:
        """The figures, as the port shows them."""
        return Balance(self.scope, self.limit(), self.spent_usd, self.held_usd, self.in_doubt_usd, self.overrun_usd)

    def set_limit(self, limit_usd: Decimal | None) -> None:
        """Another limit. Who sets one has seen the overrun: from here on it counts as spent, and blocks no more."""
        self.limit_usd = limit_usd
        self.noted_usd = self.overrun_usd

    def used(self) -> Decimal:
        """What the limit has to cover already: spent, overrun, held and in doubt."""
        return add(add(self.spent_usd, self.overrun_usd), add(self.held_usd, self.in_doubt_usd))

    def refuses(self, asked_usd: Decimal) -> bool:
        """Whether `asked_usd` does not fit, or an overrun nobody has seen yet blocks."""
        limit = self.limit()
        if limit is None:
            return False
        return self.overrun_usd > self.noted_usd or add(self.used(), asked_usd) > limit

    def left(self) -> Decimal:
        """What is left of the limit; below zero after an overrun."""
        limit = self.limit()
        return subtract(limit, self.used()) if limit is not None else Decimal("Infinity")


@dataclass(slots=True)
class OpenHold:
    """Money set aside, and for whom. `doubted`: nobody knows whether the call was made."""

    hold: str
    asked_usd: Decimal
    scopes: tuple[str, ...]
    doubted: bool = False


def limits_of(hold: Hold) -> dict[str, Decimal | None]:
    """Scope -> limit of a hold; a scope named twice counts once, with its tighter limit."""
    out: dict[str, Decimal | None] = {}
    for scope, limit in hold.scopes:
        if limit is not None:
            amount(limit, f"the limit of {scope}")
        known = out.get(scope)
        out[scope] = limit if known is None else known if limit is None else min(known, limit)
    return out


def admit(account: Callable[[str], Account], hold: Hold) -> Refusal | OpenHold:
    """Hold the money in every scope of the nest, or in none.

    Parameters
    ----------
    account
        Gives the account of a scope, new where there was none; it is changed in place.

    Returns
    -------
    OpenHold
        It fits everywhere.
    Refusal
        It does not: the tightest of the scopes that refuse. Its `spent_usd` includes what is in doubt and what was billed
        above reservations, so that limit - spent - held is what is left, and only `held_usd` may become free again.
    """
    asked = amount(hold.asked_usd, f"the hold `{hold.hold}`")
    nest = []
    for scope, limit in limits_of(hold).items():
        one = account(scope)
        one.hold_limit_usd = limit
        nest.append(one)
    refusing = [one for one in nest if one.refuses(asked)]
    if refusing:
        return _refusal(min(refusing, key=Account.left), asked)
    for one in nest:
        one.held_usd = add(one.held_usd, asked)
    return OpenHold(hold.hold, asked, tuple(one.scope for one in nest))


def _refusal(account: Account, asked: Decimal) -> Refusal:
    limit = account.limit()
    assert limit is not None, "an account without limit refuses nothing"
    return Refusal(
        account.scope,
        limit,
        add(add(account.spent_usd, account.overrun_usd), account.in_doubt_usd),
        account.held_usd,
        asked,
    )


def settle(accounts: Iterable[Account], hold: OpenHold, spent_usd: Decimal, overrun_usd: Decimal) -> None:
    """Turn a hold into what was spent. Spending is capped at the hold; what is above it is overrun."""
    spent = min(spent_usd, hold.asked_usd)
    overrun = add(overrun_usd, subtract(spent_usd, spent))
    for one in accounts:
        _release(one, hold)
        one.spent_usd = add(one.spent_usd, spent)
        one.overrun_usd = add(one.overrun_usd, overrun)


def doubt(accounts: Iterable[Account], hold: OpenHold) -> None:
    """Turn a hold into money in doubt; once only."""
    if hold.doubted:
        return
    for one in accounts:
        one.held_usd = subtract(one.held_usd, hold.asked_usd)
        one.in_doubt_usd = add(one.in_doubt_usd, hold.asked_usd)
    hold.doubted = True


def _release(account: Account, hold: OpenHold) -> None:
    if hold.doubted:
        account.in_doubt_usd = subtract(account.in_doubt_usd, hold.asked_usd)
    else:
        account.held_usd = subtract(account.held_usd, hold.asked_usd)


def not_open(run: str, hold: str, spent_usd: Decimal) -> StoreError:
    """The error of a settlement without a hold."""
    return StoreError(
        f"run `{run}` settles ${spent_usd} under `{hold}`, which is no open hold.",
        hint="a call is admitted before it is sent, and settled once",
        hold=hold,
    )
