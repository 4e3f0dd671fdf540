"""The display of a test of pairs: the pass rate of every ordered pair of models, and the reasons of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.analysis.panel import Panel, interval_cell
from orch_nb.display import draws
from orch_nb.views.format import BAD, count, glyph, usd
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from orch_nb.analysis.compare.pairs import Pair, Pairs
    from orch_nb.views.bundle import Bundle

MAX_FAILURES = 8


@draws("orch_nb.analysis.compare.pairs.Pairs")
def pairs_bundle(pairs: Pairs) -> Bundle:
    """Draw a test of pairs."""
    counts = f"{len(pairs.models)} × {count(len(pairs.models), 'model')}, {count(len(pairs.rows), 'row')}"
    panel = Panel(pairs.graph, f"pairs {pairs.run}", pairs.status, [counts], usd(pairs.spent_usd))
    return panel.table(grid_table(pairs)).table(failures_table(pairs), title="why pairs fail").bundle()


def grid_table(pairs: Pairs) -> Table:
    """Return the grid: producers down, consumers across."""
    table = Table([Column(""), *(Column(f"{line(pairs.consumer, 40)} on {line(m, 40)}") for m in pairs.models)])
    for a in pairs.models:
        table.add(f"{line(pairs.producer, 40)} on {line(a, 40)}", *(_cell(pairs.cell(a, b)) for b in pairs.models))
    return table


def _cell(pair: Pair) -> Cell:
    if not pair.passed.n:
        return Cell("–", quiet=True)
    failed = f' <span style="color:{BAD}">{glyph("failed")} {len(pair.failures)}</span>' if pair.failures else ""
    facts = [f"{len(pair.failures)} failed" if pair.failures else "", f"n = {pair.passed.n}", usd(pair.usd)]
    return interval_cell(pair.passed, facts, strong=not pair.failures, mark=failed)


def failures_table(pairs: Pairs) -> Table | None:
    """Return each reason of failure with its first row and the number of rows; None without failures."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for pair in pairs.pairs():
        for label, why in pair.failures:
            found.setdefault((pair.producer_model, pair.consumer_model, why), []).append(label)
    if not found:
        return None
    table = Table([Column("pair"), Column("rows", "r"), Column("first in"), Column("why", wrap=True)])
    for (a, b, why), labels in sorted(found.items(), key=lambda kv: -len(kv[1]))[:MAX_FAILURES]:
        table.add(f"{line(a, 30)} → {line(b, 30)}", str(len(labels)), line(labels[0], 24), Cell(line(why, 240)))
    if len(found) > MAX_FAILURES:
        table.notes.append(f"… {len(found) - MAX_FAILURES} more reasons: `.table()` has them all")
    return table
