"""The rules of the ledger, as pure functions: whether a call's hold fits its budgets, and how the call is settled.

An `Account` is one scope of a nest (``notebook:NAME``, ``run:ID``, ``run:ID/node:NAME``), with a `Purse` for each unit that
was used or limited there: dollars, tokens, calls, seconds. Both stores change accounts only by the functions here, so that
their rules cannot differ.

Sums are exact: they are computed with 60 digits, whatever the caller's decimal context is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import TYPE_CHECKING

from orch_nb.engine.ports import Balance, Quota, Refusal
from orch_nb.errors import StoreError
from orch_nb.schema.budget import UNITS, Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orch_nb.engine.ports import Hold, Limit

ZERO = Decimal(0)
_EXACT = Context(prec=60, traps=[Inexact])
add = _EXACT.add
subtract = _EXACT.subtract


def amount(value: object, what: str, of: str = "money") -> Decimal:
    """Return `value` if it is an amount: a finite Decimal, not below zero.

    Raises
    ------
    StoreError
        It is anything else, such as a float, whose cents are not exact.
    """
    if value.__class__ is not Decimal or not value.is_finite() or value < ZERO:
        raise StoreError(
            f"{what} must be an amount of {of}, got {value!r}.", hint="give a finite Decimal that is not below 0"
        )
    return value


@dataclass(slots=True)
class Purse:
    """One unit's figures in one scope.

    limit
        The limit of the scope itself (`set_limit`, or the run's own events).
    hold_limit
        The limit in the latest hold, None for none. The tighter of the two is in force.
    noted
        The part of `overrun` that a user accepted by setting a limit since. It no longer blocks calls by itself.

    Seconds are counted afterwards: nothing is held, `spent` has all of them, and the part above the limit is shown as
    overrun.
    """

    unit: str
    limit: Decimal | None = None
    hold_limit: Decimal | None = None
    spent: Decimal = ZERO
    held: Decimal = ZERO
    in_doubt: Decimal = ZERO
    overrun: Decimal = ZERO
    noted: Decimal = ZERO

    def in_force(self) -> Decimal | None:
        """Return the limit in force: the tighter of the two, None without any."""
        if self.limit is None or self.hold_limit is None:
            return self.hold_limit if self.limit is None else self.limit
        return min(self.limit, self.hold_limit)

    def quota(self) -> Quota:
        """Return the figures as `engine.ports.Quota`."""
        limit, spent, overrun = self.in_force(), self.spent, self.overrun
        if self.unit == "seconds" and limit is not None and spent > limit:
            spent, overrun = limit, subtract(spent, limit)
        return Quota(limit, spent, self.held, self.in_doubt, overrun)

    def used(self) -> Decimal:
        """Return the used part of the limit: spent, overrun, held and in doubt."""
        return add(add(self.spent, self.overrun), add(self.held, self.in_doubt))

    def refuses(self, asked: Decimal) -> bool:
        """Return whether `asked` does not fit, or an overrun blocks that no user has accepted."""
        limit = self.in_force()
        if limit is None:
            return False
        if self.unit == "seconds":
            return self.used() >= limit
        return self.overrun > self.noted or add(self.used(), asked) > limit

    def left(self) -> Decimal:
        """Return the rest of the limit; negative after an overrun."""
        limit = self.in_force()
        return subtract(limit, self.used()) if limit is not None else Decimal("Infinity")

    def refusal(self, scope: str, asked: Decimal) -> Refusal:
        """Return the reason why `asked` is refused."""
        limit = self.in_force()
        assert limit is not None, "a purse without limit refuses nothing"
        spent = add(add(self.spent, self.overrun), self.in_doubt)
        return Refusal(scope, limit, spent, self.held, asked, self.unit)

    def settle(self, hold: OpenHold, spent: Decimal, overrun: Decimal) -> None:
        """Replace the amount that `hold` set aside by the amount spent."""
        asked = hold.asked[self.unit]
        if hold.doubted:
            self.in_doubt = subtract(self.in_doubt, asked)
        else:
            self.held = subtract(self.held, asked)
        self.spent = add(self.spent, spent)
        self.overrun = add(self.overrun, overrun)

    def figures(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Return the figures that events determine."""
        return (self.spent, self.held, self.in_doubt, self.overrun)

    def take(self, other: Purse) -> None:
        """Copy the figures that events determine from `other`."""
        self.spent, self.held, self.in_doubt, self.overrun = other.figures()

    def empty(self) -> None:
        """Set spent, in doubt and overrun to 0; keep open holds and the limit."""
        self.spent = self.in_doubt = self.overrun = self.noted = ZERO


@dataclass(slots=True)
class Account:
    """One scope's purses, by unit."""

    scope: str
    purses: dict[str, Purse] = field(default_factory=dict)
    at_limit: str = "stop"
    degrade: str = ""

    def purse(self, unit: str) -> Purse:
        """Return the purse of `unit`, a new one if needed."""
        one = self.purses.get(unit)
        if one is None:
            one = self.purses[unit] = Purse(unit)
        return one

    @property
    def usd(self) -> Purse:
        """The purse of dollars."""
        return self.purse("usd")

    def balance(self) -> Balance:
        """Return the figures as `engine.ports.Balance`."""
        quotas = {unit: self.purses[unit].quota() for unit in UNITS[1:] if unit in self.purses}
        usd = self.usd.quota()
        return Balance(
            self.scope, usd.limit, usd.spent, usd.held, usd.in_doubt, usd.overrun, quotas, self.at_limit, self.degrade
        )

    def set_limit(self, limit: Limit) -> None:
        """Set the budget. This accepts the overrun so far: it counts as spent and no longer blocks."""
        budget = as_budget(limit, self.scope)
        limits = budget.limits()
        for unit in {*limits, *self.purses}:
            self.purse(unit).limit = limits.get(unit)
        self.at_limit, self.degrade = budget.at_limit, budget.degrade
        self.note()

    def note(self) -> None:
        """Accept the overrun so far, so that it no longer blocks."""
        for purse in self.purses.values():
            purse.noted = purse.overrun


@dataclass(slots=True)
class OpenHold:
    """The amounts set aside, by unit, and their scopes. `doubted`: it is unknown whether the call was made."""

    hold: str
    asked: dict[str, Decimal]
    scopes: tuple[str, ...]
    doubted: bool = False


def as_budget(limit: Limit, scope: str) -> Budget:
    """Return a limit as a budget; a Decimal is dollars.

    Raises
    ------
    StoreError
        A limit is not an amount.
    """
    budget = limit if isinstance(limit, Budget) else Budget(limit)
    for unit, one in budget.limits().items():
        amount(one, f"the limit of {scope}", "money" if unit == "usd" else unit)
    return budget


def limits_of(hold: Hold) -> dict[str, dict[str, Decimal | None]]:
    """Return scope -> unit -> limit of a hold. A scope named twice counts once, with its tighter limits."""
    out: dict[str, dict[str, Decimal | None]] = {}
    for scope, limit in hold.scopes:
        known = out.setdefault(scope, dict.fromkeys(UNITS))
        for unit, new in as_budget(limit, scope).limits().items():
            old = known[unit]
            known[unit] = new if old is None else min(old, new)
    return out


def asked_of(hold: Hold) -> dict[str, Decimal]:
    """Return unit -> amount that a hold asks for, dollars always included.

    Raises
    ------
    StoreError
        An amount is invalid.
    """
    asked = {"usd": amount(hold.asked_usd, f"the hold `{hold.hold}`")}
    for unit, value in hold.asked.items():
        asked[unit] = amount(value, f"the hold `{hold.hold}`", unit)
    return asked


def admit(account: Callable[[str], Account], hold: Hold) -> Refusal | OpenHold:
    """Hold the amounts in every scope of the nest, or in none.

    Parameters
    ----------
    account
        Returns the account of a scope, a new one if needed; it is changed in place.

    Returns
    -------
    OpenHold
        The hold fits in every scope.
    Refusal
        The hold does not fit. This is the tightest of the purses that refuse, dollars before the other units. Its
        `spent_usd` includes the money in doubt and the overrun, so that limit - spent - held is the rest, and only
        `held_usd` may become free again.
    """
    asked = asked_of(hold)
    refusing: list[tuple[int, Decimal, str, Purse]] = []
    nest = []
    for scope, limits in limits_of(hold).items():
        one = account(scope)
        nest.append(one)
        for place, (unit, value) in enumerate(asked.items()):
            purse = one.purse(unit)
            purse.hold_limit = limits[unit]
            if purse.refuses(value):
                refusing.append((place, purse.left(), scope, purse))
    if refusing:
        _, _, scope, purse = min(refusing, key=lambda row: row[:2])
        return purse.refusal(scope, asked[purse.unit])
    for one in nest:
        for unit, value in asked.items():
            if value:
                purse = one.purse(unit)
                purse.held = add(purse.held, value)
    return OpenHold(hold.hold, asked, tuple(one.scope for one in nest))


def settle(
    accounts: Iterable[Account],
    hold: OpenHold,
    spent_usd: Decimal,
    overrun_usd: Decimal,
    used: Mapping[str, Decimal] | None = None,
) -> None:
    """Replace a hold by the amounts spent. Spending is capped at the hold; the part above it is overrun.

    Seconds are the exception: none were held, so all are spent.
    """
    spent = min(spent_usd, hold.asked["usd"])
    booked = {"usd": (spent, add(overrun_usd, subtract(spent_usd, spent)))}
    for unit, asked in hold.asked.items():
        if unit != "usd":
            value = (used or {}).get(unit, asked)
            within = value if unit == "seconds" else min(value, asked)
            booked[unit] = (within, subtract(value, within))
    for one in accounts:
        for unit, (inside, above) in booked.items():
            one.purse(unit).settle(hold, inside, above)


def mark_in_doubt(accounts: Iterable[Account], hold: OpenHold) -> None:
    """Turn a hold into money in doubt, unless it is already in doubt."""
    if hold.doubted:
        return
    for one in accounts:
        for unit, value in hold.asked.items():
            if value:
                purse = one.purse(unit)
                purse.held = subtract(purse.held, value)
                purse.in_doubt = add(purse.in_doubt, value)
    hold.doubted = True


def check_settlement(
    run: str,
    hold: str,
    spent_usd: Decimal,
    overrun_usd: Decimal,
    used: Mapping[str, Decimal] | None,
    *,
    is_open: bool,
) -> None:
    """Raise StoreError if a figure of a settlement is not an amount, or if money is settled without an open hold."""
    amount(spent_usd, f"the spending of `{hold}`")
    amount(overrun_usd, f"the overrun of `{hold}`")
    for unit, value in (used or {}).items():
        amount(value, f"the use of `{hold}`", unit)
    if not is_open and (spent_usd or overrun_usd):
        raise StoreError(
            f"run `{run}` has no open hold `{hold}` to settle ${spent_usd} under.",
            hint="admit a call before it is sent, and settle it once",
            hold=hold,
        )


def no_hold(run: str, hold: str) -> StoreError:
    """Return the error of a hold that is not open."""
    return StoreError(f"run `{run}` has no open hold `{hold}`.", hold=hold)


def name_in_use(run: str, hold: str) -> StoreError:
    """Return the error of a second hold of the same name."""
    return StoreError(f"run `{run}` holds money under the name `{hold}` already.")
