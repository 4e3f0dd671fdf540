"""The view of a quote: the range in one line, a row for each agent node, the basis of the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.display import draws
from orch_nb.views import html
from orch_nb.views.bundle import QUOTE, bundle
from orch_nb.views.format import count, places, seconds, usd
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from orch_nb.estimates.quote import Quote
    from orch_nb.views.bundle import Bundle

MAX_ROWS = 60


def quote_text(quote: Quote, *, notes: Sequence[str] = ()) -> str:
    """Return the quote in plain text."""
    parts = [head_line(quote), *(line(n, 400) for n in notes)]
    if quote.nodes:
        parts.append(quote_table(quote).text())
    return "\n".join([*parts, *(line(n, 400) for n in remarks(quote))])


def quote_html(quote: Quote, *, notes: Sequence[str] = ()) -> str:
    """Return the same as a panel."""
    before = "".join(f"<div>{html.prose(n, 400)}</div>" for n in notes)
    rows = quote_table(quote).html() if quote.nodes else ""
    after = "".join(f"<div>{html.quiet(n)}</div>" for n in remarks(quote))
    return html.panel(
        html.bar(f"<b>{html.prose(head_line(quote))}</b>"), html.section(before + rows + after, first=True)
    )


def head_line(quote: Quote) -> str:
    """``quote support: $0.0021 to $0.0140, about $0.0043 · 2.0 s to 40 s, about 8.1 s · from 24 earlier runs``."""
    over = f", {count(quote.rows, 'row')}" if quote.rows else ""
    return f"quote {line(quote.graph, 64)}{over}: {money_range(quote)} · {time_range(quote)} · from {quote.basis}"


def money_range(quote: Quote) -> str:
    """Return the dollars as text: low to high, and expected."""
    if quote.high_usd is None:
        return "$?"
    if not quote.high_usd:
        return "$0"
    digits = places((quote.low_usd, quote.expected_usd, quote.high_usd))
    return f"{usd(quote.low_usd, digits)} to {usd(quote.high_usd, digits)}, about {usd(quote.expected_usd, digits)}"


def time_range(quote: Quote) -> str:
    """Return the seconds as text: low to high, and expected."""
    return f"{seconds(quote.low_s)} to {seconds(quote.high_s)}, about {seconds(quote.expected_s)}"


def quote_table(quote: Quote) -> Table:
    """Return a table with one row for each agent node."""
    heads = ["calls", "$ low", "expected", "high", "seconds"]
    table = Table([Column("step"), Column("model"), *(Column(h, "r") for h in heads), Column("from", rest=True)])
    amounts = [a for n in quote.nodes for a in (n.low_usd, n.expected_usd, n.high_usd)]
    digits = places(amounts)
    for node in quote.nodes[:MAX_ROWS]:
        table.add(
            line(node.step, 64), line(node.model, 40), _calls(node.calls), _dollars(node.low_usd, digits),
            _dollars(node.expected_usd, digits), _dollars(node.high_usd, digits), seconds(node.expected_s),
            Cell(node.basis, quiet=True),
        )  # fmt: skip
    if len(quote.nodes) > MAX_ROWS:
        table.notes.append(f"and {len(quote.nodes) - MAX_ROWS} more: `quote.nodes`")
    return table


def remarks(quote: Quote) -> list[str]:
    """Return the remarks: unknown prices, recorded answers, batch prices, the baseline, assumptions."""
    out = []
    if quote.unpriced:
        names = ", ".join(f"`{m}`" for m in quote.unpriced)
        out.append(
            f"the price of {names} is unknown: `%orch models add NAME PROVIDER/MODEL input=… output=…`; 0 if it is free"
        )
    if quote.recorded:
        out.append(f"recorded, $0: {', '.join(f'`{s}`' for s in quote.recorded)}")
    if quote.batch_usd is not None and quote.expected_usd:
        out.append(f"at batch prices about {usd(quote.batch_usd)}, with answers within a day")
    if quote.baseline_usd is not None and quote.expected_usd is not None and quote.nodes:
        model = f"`{quote.baseline_model}`"
        out.append(f"Baseline (one call to {model} with all inputs): about {usd(quote.baseline_usd)}")
    return [*out, *quote.notes]


def quote_data(quote: Quote) -> dict[str, object]:
    """Return the same as plain data."""
    return {
        "kind": "quote", "graph": quote.graph, "basis": quote.basis, "rows": quote.rows,
        "usd": [_plain(a) for a in (quote.low_usd, quote.expected_usd, quote.high_usd)],
        "seconds": [quote.low_s, quote.expected_s, quote.high_s],
        "batch_usd": _plain(quote.batch_usd), "baseline_usd": _plain(quote.baseline_usd),
        "nodes": [
            {"step": n.step, "model": n.model, "usd": [_plain(a) for a in (n.low_usd, n.expected_usd, n.high_usd)],
             "seconds": [n.low_s, n.expected_s, n.high_s], "calls": list(n.calls), "basis": n.basis}
            for n in quote.nodes
        ],
        "notes": remarks(quote),
    }  # fmt: skip


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _dollars(amount: Decimal | None, digits: int) -> str:
    return usd(amount, digits).removeprefix("$") if amount is not None else "?"


def _calls(calls: Sequence[float]) -> str:
    """``1``, or ``0–6``."""
    low, _, high = (f"{c:g}" if c < 1000 else f"{c:,.0f}" for c in calls)
    return low if low == high else f"{low}–{high}"


@draws("orch_nb.estimates.quote.Quote")
def quote_bundle(quote: Quote, *, notes: Sequence[str] = ()) -> Bundle:
    """Draw a quote: its range, a row for each agent node, the basis of the figures."""
    return bundle(quote_text(quote, notes=notes), quote_html(quote, notes=notes), kind=QUOTE, data=quote_data(quote))
