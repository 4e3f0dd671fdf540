"""The routing matrix as a chart: quality with its interval for every task and model, the chosen one in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.analysis.matrix.view import cost_text, matrix_panel
from orch_nb.display import draws
from orch_nb.views.format import OK
from orch_nb.views.plots.figure import Picture, chart_axes, words
from orch_nb.views.safe_text import line

if TYPE_CHECKING:
    from orch_nb.analysis.matrix.data import TaskRow
    from orch_nb.analysis.matrix.matrix import Matrix

GREY = "#8a8f98"
LINE = 24
"""Pixels of one line."""


@draws("orch_nb.analysis.matrix.matrix.Matrix", "figure")
def plot_matrix(matrix: Matrix) -> Picture:
    """Draw one line for each task and model; the cost of a call against the baseline is written at the right."""
    lines = [(row, model) for row in matrix.rows for model in row.entries]
    places, at = [], 0.0
    for i, (row, _) in enumerate(lines):
        at += 1.0 if i and row is lines[i - 1][0] else 1.6 if i else 0.0
        places.append(at)
    names = [f"{line(row.task, 24)} · {line(model, 20)}" for row, model in lines]
    left = 30 + 6.2 * max((len(n) for n in names), default=8)
    chart, axes = chart_axes(
        "routing matrix: quality with its 95 % interval", x="quality", width=760, height=120 + LINE * (at + 1), left=left,
        said=matrix_panel(matrix).text(),
    )  # fmt: skip
    axes.set_xlim(0, 1.24)
    axes.set_ylim(at + 0.8, -0.8)
    for (row, model), y in zip(lines, places, strict=True):
        one = row.entries[model]
        is_chosen = model == row.chosen
        colour = OK if is_chosen else GREY
        axes.plot(
            [one.quality.low, one.quality.high], [y, y], color=colour, linewidth=5, alpha=0.4, solid_capstyle="round"
        )
        axes.plot([one.quality.mean], [y], color=colour, marker="o", markersize=6 if is_chosen else 4)
        words(axes, 1.04, y, _beside(matrix, row, model), va="center", fontweight="bold" if is_chosen else "normal")
    axes.set_yticks(places, names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", alpha=0.08, color="#1f1f1f", linewidth=0.6)
    return chart


def _beside(matrix: Matrix, row: TaskRow, model: str) -> str:
    return f"{'✓ ' if model == row.chosen else ''}{cost_text(matrix, row, model)}"
