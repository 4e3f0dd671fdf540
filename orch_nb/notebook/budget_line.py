"""A balance in words: each limit with what has come of it, what is nearly used up, and what happens at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.notebook.words import NOTICE, usd
from orch_nb.schema.budget import UNITS
from orch_nb.trace.alerts import is_near, near_text

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.engine.ports import Balance, Quota

_DOES = {"ask": "a person is asked at the limit", "degrade": "calls go to a cheaper model at the limit"}


def budget_text(balance: Balance | None) -> str:
    """A balance in one line."""
    if balance is None:
        return "none: `%orch budget 0.50` allows 50 cents and not a cent more"
    parts = [_dollars(balance)]
    parts += [_quota_text(unit, quota) for unit, quota in balance.quotas.items() if quota.limit is not None]
    if balance.degrade:
        parts.append(f"calls go to `{balance.degrade}` at the limit")
    elif balance.at_limit in _DOES:
        parts.append(_DOES[balance.at_limit])
    text = "; ".join(parts)
    return text if balance.budget.has_limit else f"{text}: `%orch budget 0.50` sets one"


def _dollars(balance: Balance) -> str:
    used = [f"spent {usd(balance.spent_usd)}"]
    if balance.held_usd:
        used.append(f"held {usd(balance.held_usd)}")
    if balance.in_doubt_usd:
        used.append(f"in doubt {usd(balance.in_doubt_usd)}")
    if balance.overrun_usd:
        used.append(f"overrun {usd(balance.overrun_usd)}")
    if balance.limit_usd is None:
        return f"{'no limit in dollars' if balance.budget.has_limit else 'none'}; {', '.join(used)}"
    left = balance.limit_usd - balance.spent_usd - balance.held_usd - balance.in_doubt_usd
    return f"{usd(balance.limit_usd)}: {', '.join(used)}, left {usd(left)}"


def _quota_text(unit: str, quota: Quota) -> str:
    assert quota.limit is not None
    used = [f"used {_number(quota.spent)}"]
    used += [f"{w} {_number(n)}" for w, n in (("held", quota.held), ("in doubt", quota.in_doubt)) if n]
    if quota.overrun:
        used.append(f"overrun {_number(quota.overrun)}")
    left = quota.limit - quota.spent - quota.held - quota.in_doubt
    return f"{_number(quota.limit)} {unit}: {', '.join(used)}, left {_number(left)}"


def _number(amount: Decimal) -> str:
    """Whole numbers with commas; seconds to a hundredth."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"


def used_share(balance: Balance) -> float | None:
    """The greatest share that is used, held or in doubt of any limit; None without a limit."""
    shares = [
        float((q.spent + q.held + q.in_doubt) / q.limit) if q.limit else 1.0
        for q in balance.each().values()
        if q.limit is not None
    ]
    return max(shares, default=None)


def near(balance: Balance, whose: str) -> dict[str, str]:
    """Unit -> a line, for each limit of which four fifths are used."""
    rows = {}
    for unit in UNITS:
        quota = balance.each().get(unit)
        if quota is not None and quota.limit is not None:
            used = quota.spent + quota.in_doubt + quota.overrun
            if is_near(used, quota.limit):
                rows[unit] = f"{NOTICE} {near_text(whose, unit, used, quota.limit)}"
    return rows
