"""The display of the routing matrix: a grid of tasks and models, and the same as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.analysis.panel import Panel, interval_cell
from orch_nb.display import draws
from orch_nb.views.format import OK, WARN, count, glyph, seconds, usd
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from orch_nb.analysis.matrix.data import TaskRow
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.views.bundle import Bundle


def matrix_panel(matrix: Matrix) -> Panel:
    """Describe the matrix's panel: the grid, the remarks, the next comparisons."""
    panel = Panel("routing matrix", facts=[_counts(matrix)], right=_signature(matrix) if matrix.signed_by else "")
    if not matrix.rows:
        return panel.lines([EMPTY])
    panel.add(grid_table(matrix).html(), entries_table(matrix).text())
    panel.lines(remarks_of(matrix))
    return panel.table(next_table(matrix), title="most useful next comparisons")


EMPTY = "nothing was measured yet: `%%compare NAME` with a `score:`, or picks, adds evidence"


def _counts(matrix: Matrix) -> str:
    prices = f", prices of {matrix.prices_date}" if matrix.prices_date else ""
    return f"{count(len(matrix.rows), 'task')} × {count(len(matrix.models), 'model')}, {count(matrix.count, 'judgement')}{prices}"


def _signature(matrix: Matrix) -> str:
    return f"signed by {line(matrix.signed_by, 60)} on {matrix.signed_at}"


def remarks_of(matrix: Matrix) -> list[str]:
    """Return the remarks: cost and quality against all on the baseline, and the rule of choice."""
    out = []
    if matrix.baseline:
        priced = _comparable(matrix)
        blend = matrix.blend(priced) if priced else None
        if blend is not None and blend.saving is not None:
            what = "all tasks alike" if len(priced) == len(matrix.rows) else f"{', '.join(priced)} alike"
            summary = f"{what}: {usd(blend.per_call_usd, 6)} a call against {usd(blend.baseline_usd, 6)} on {matrix.baseline}, "
            summary += f"saves {blend.saving * 100:.1f} %"
            if blend.quality is not None and blend.baseline_quality is not None:
                summary += f"; quality {blend.quality * 100:.1f} % against {blend.baseline_quality * 100:.1f} %"
            out.append(f"{summary}. Another mix: `matrix.blend({{…}})`")
    how = f"chosen: the cheapest whose lower bound is within {matrix.tolerance * 100:g} points of the best, from {matrix.minimum} rows on"
    return [*out, how, *matrix.notes]


def _comparable(matrix: Matrix) -> dict[str, int]:
    """Return the tasks with a choice (or the baseline's own figures) and a price on both sides, one share each."""
    out = {}
    for row in matrix.rows:
        base, one = row.entries.get(matrix.baseline), row.entries.get(row.chosen or matrix.baseline)
        if base is not None and one is not None and base.per_call_usd is not None and one.per_call_usd is not None:
            out[row.task] = 1
    return out


def grid_table(matrix: Matrix) -> Table:
    """Return the grid: tasks down, models across."""
    table = Table([Column("task"), Column("chosen"), *(Column(line(m, 40)) for m in matrix.models)])
    for row in matrix.rows:
        if row.chosen:
            chosen = Cell(f"{glyph('done')} {line(row.chosen, 40)}", strong=True, colour=OK)
        else:
            chosen = Cell(f"· {line(row.because, 60)}", colour=WARN)
        table.add(Cell(line(row.task, 40), strong=True), chosen, *(_entry_cell(matrix, row, m) for m in matrix.models))
    return table


def _entry_cell(matrix: Matrix, row: TaskRow, model: str) -> Cell:
    one = row.entries.get(model)
    if one is None:
        return Cell("not judged", quiet=True)
    took = "" if one.seconds is None else seconds(one.seconds)
    facts = [cost_text(matrix, row, model), f"n = {one.quality.n}", took]
    return interval_cell(one.quality, facts, strong=model == row.chosen)


def cost_text(matrix: Matrix, row: TaskRow, model: str) -> str:
    """Return the cost of a call: in dollars for the baseline, against it for the others."""
    one = row.entries[model]
    share = matrix.cost_share(row, model)
    if model == matrix.baseline or share is None:
        return "$?" if one.per_call_usd is None else f"{usd(one.per_call_usd)} a call"
    return _difference(share)


def _difference(share: float) -> str:
    return f"{(share - 1) * 100:+.0f} %".replace("-", "−")


def entries_table(matrix: Matrix) -> Table:
    """Return one line for each task and model."""
    table = Table([
        Column("task"), Column("model"), Column(""), Column("quality"), Column("n", "r"), Column("$ a call", "r"),
        Column("cost", "r"), Column("seconds", "r"), Column("judged by"),
    ])  # fmt: skip
    for row in matrix.rows:
        for i, (model, one) in enumerate(row.entries.items()):
            share = matrix.cost_share(row, model)
            cost = "" if share is None else "baseline" if model == matrix.baseline else _difference(share)
            table.add(
                line(row.task, 40) if not i else "", line(model, 40), f"{glyph('done')} chosen" if model == row.chosen else "",
                one.quality.text, str(one.quality.n), "?" if one.per_call_usd is None else usd(one.per_call_usd, 6).removeprefix("$"),
                cost, "–" if one.seconds is None else f"{one.seconds:.2f}", line(", ".join(one.by), 60),
            )  # fmt: skip
        if not row.chosen:
            table.add("", row.because, "", "", "", "", "", "", "")
    return table


def next_table(matrix: Matrix) -> Table | None:
    """Return the most useful next comparisons; None without one of any worth."""
    found = matrix.next(3)
    if not found:
        return None
    figures = [Column(head, "r") for head in ("n", "worth", "changes the choice", "about")]
    table = Table([Column("task"), Column("model"), *figures])
    for s in found:
        cost = "$?" if s.usd is None else usd(s.usd)
        table.add(
            line(s.task, 40),
            line(s.model, 40),
            str(s.n),
            f"{s.worth * 100:.2f} points",
            f"{s.changes * 100:.0f} %",
            cost,
        )
    table.notes.append(
        "ten more rows each; worth: the expected gain in quality, less cost, of the choice made afterwards"
    )
    return table


@draws("orch_nb.analysis.matrix.matrix.Matrix")
def matrix_bundle(matrix: Matrix) -> Bundle:
    """Draw a routing matrix."""
    return matrix_panel(matrix).bundle()
