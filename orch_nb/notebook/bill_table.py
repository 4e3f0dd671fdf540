"""Bills as tables and in one line: by step, agent and model."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.notebook.table import Cell, Column, Table
from orch_nb.notebook.visible import line
from orch_nb.notebook.words import count, places, usd

if TYPE_CHECKING:
    from collections.abc import Callable

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
            _spent(row, digits),
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


def _spent(row: Line, digits: int) -> str:
    """Dollars; with a "+ ?" where calls of unknown price come on top."""
    text = usd(row.spent_usd, digits)
    return f"{text} + {row.unpriced} × $?" if row.unpriced else text


def savings_table(bill: Bill) -> Table | None:
    """What was not paid, kind by kind, and how that was worked out; None where nothing was saved."""
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
