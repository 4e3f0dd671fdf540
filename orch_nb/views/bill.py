"""Bills as tables and in one line: by step, agent and model."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.schema.budget import UNITS
from orch_nb.trace.alerts import is_near, near_text
from orch_nb.views.format import NOTICE, count, places, usd
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.engine.ports import Balance, Quota
    from orch_nb.trace.bill import Bill, Line


def money_text(bill: Bill) -> str:
    total = bill.total
    parts = [usd(total.spent_usd) + (f" of {usd(bill.limit_usd)}" if bill.limit_usd is not None else "")]
    if total.held_usd:
        parts.append(f"held {usd(total.held_usd)}")
    if total.reused or total.hits:
        taken = [f"{total.reused} reused"] * bool(total.reused) + [f"{total.hits} from the cache"] * bool(total.hits)
        parts.append(f"saved {usd(total.saved_usd)} ({', '.join(taken)})")
    return " · ".join(parts)


def bill_line(bill: Bill) -> str:
    """The bill in one line."""
    total = bill.total
    return f"{count(total.calls, 'model call')}, {total.input_tokens:,} tokens in, {total.output_tokens:,} out, {money_text(bill)}"


def bill_table(lines: list[Line], head: str, total: Line | None = None) -> Table:
    """One line for each step, agent or model; columns that are empty throughout are left out."""
    everything = [*lines, *([total] if total is not None else [])]
    digits = places(r.spent_usd for r in everything)
    extras = [(name, show) for name, show in _EXTRAS if any(show(r) for r in everything)]
    if head == "model" and len(lines) > 1:
        extras = [*_shares(lines), *extras]
    table = Table(
        [
            Column(head),
            Column("calls", "r"),
            Column("in", "r"),
            Column("out", "r"),
            *(Column(n, "r") for n, _ in extras),
            Column("$", "r"),
        ]
    )
    for row in everything:
        is_total = row is total
        name = "total" if is_total else line(row.name, 64) + (" *" if row.estimated else "")
        cells = [
            name,
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            *(show(row) for _, show in extras),
            _spent_text(row, digits),
        ]
        table.add(*(Cell(c, strong=is_total) for c in cells))
    if any(r.estimated for r in lines):
        table.notes.append(
            "* tokens counted here: the provider sent none, or nonsense; such calls are booked at their reservation"
        )
    return table


def _shares(lines: list[Line]) -> list[tuple[str, Callable[[Line], str]]]:
    """Each line's share of the calls and, where anything cost anything, of the dollars."""
    calls, spent = sum(r.calls for r in lines), sum((r.spent_usd for r in lines), Decimal(0))
    shares: list[tuple[str, Callable[[Line], str]]] = [
        ("of calls", lambda r: f"{r.calls / calls:.0%}" if calls else "")
    ]
    if spent:
        shares.append(("of dollars", lambda r: f"{r.spent_usd / spent:.0%}"))
    return shares


_EXTRAS: list[tuple[str, Callable[[Line], str]]] = [
    ("cache writes", lambda r: f"{r.cache_write_tokens:,}" if r.cache_write_tokens else ""),
    ("cached", lambda r: f"{r.cached_tokens:,}" if r.cached_tokens else ""),
    ("held", lambda r: usd(r.held_usd) if r.held_usd else ""),
    ("in doubt", lambda r: f"≤ {usd(r.in_doubt_usd)}" if r.in_doubt else ""),
    ("overrun", lambda r: usd(r.overrun_usd) if r.overrun_usd else ""),
    ("hits", lambda r: f"{r.hits:,}" if r.hits else ""),
    ("saved", lambda r: usd(r.saved_usd) if r.reused or r.hits else ""),
    ("retries", lambda r: f"{r.retries:,}" if r.retries else ""),
]
"""Columns of a bill that are only there where they say something."""


def _spent_text(row: Line, digits: int) -> str:
    """Dollars; with a "+ ?" where calls of unknown price come on top."""
    text = usd(row.spent_usd, digits)
    return f"{text} + {row.unpriced} × $?" if row.unpriced else text


def savings_table(bill: Bill) -> Table | None:
    """Return what was not paid, kind by kind, and how that was worked out; None where nothing was saved."""
    if not bill.savings:
        return None
    digits = places(s.usd for s in bill.savings)
    table = Table([Column("saved by"), Column("$", "r"), Column("times", "r"), Column("against", rest=True)])
    for one in bill.savings:
        table.add(one.kind, usd(one.usd, digits), f"{one.times:,}", Cell(one.how, quiet=True))
    return table


def bill_tables_html(bill: Bill) -> str:
    """By step, by agent where that says more, by model."""
    parts = [bill_table(bill.steps, "step", bill.total)]
    if {a.name for a in bill.agents} != {s.name for s in bill.steps}:
        parts.append(bill_table(bill.agents, "agent"))
    parts.append(bill_table(bill.models, "model"))
    if (saved := savings_table(bill)) is not None:
        parts.append(saved)
    return '<div style="height:10px"></div>'.join(p.html() for p in parts)


# ------------------------------------------------------------------ the budget's line
# A balance in words: each limit with what has come of it, what is nearly used up, and what happens at the limit.

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
