"""A forecast as a chart: dollars a day against runs a day."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.display import draws
from orch_nb.views.format import RUN, WARN
from orch_nb.views.plots.figure import INK, Picture, chart_axes
from orch_nb.views.safe_text import line
from orch_nb.views.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from orch_nb.analysis.forecast.forecast import Forecast


@draws("orch_nb.analysis.forecast.forecast.Forecast", "figure")
def plot_forecast(forecast: Forecast, per_day: Iterable[object]) -> Picture:
    """Draw the mean, its interval if known, and the baseline dashed; both axes logarithmic unless everything is free."""
    at = sorted({v for v in (Fraction(str(n)) for n in (*per_day, forecast.per_day)) if v > 0})
    x = [float(v) for v in at]
    lines = {line(forecast.name, 40): [float(forecast.parts.total * v) for v in at]}
    if forecast.saving is not None:
        lines[_other(forecast)] = [float(forecast.saving.base * v) for v in at]
    chart, axes = chart_axes(
        f"{forecast.name}: what a day costs", x="runs a day", y="dollars a day", said=_text_of(forecast, x, lines)
    )
    bands = [forecast.band(v) for v in at]
    if all(b is not None for b in bands):
        low = [b.low * v for b, v in zip(bands, x, strict=True) if b]
        high = [b.high * v for b, v in zip(bands, x, strict=True) if b]
        axes.fill_between(x, low, high, color=RUN, alpha=0.2, label=f"{forecast.confidence * 100:g} % interval")
    for (name, usd), (colour, style) in zip(lines.items(), ((RUN, "-"), (WARN, "--")), strict=False):
        axes.plot(x, usd, color=colour, linestyle=style, marker="o", markersize=3, label=name)
    if forecast.parts.total > 0:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
    _label(axes)
    return chart


def _other(forecast: Forecast) -> str:
    """Return the baseline's name, distinct from a plan of the same name."""
    assert forecast.saving is not None
    name = line(forecast.saving.name, 40)
    return f"{name} (before)" if name == line(forecast.name, 40) else name


def _label(axes: Axes) -> None:
    """Format the axes as dollars, and a legend in which text between two dollar signs is not a formula."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    for text in axes.legend(frameon=False, fontsize=8.5, labelcolor=INK).get_texts():
        text.set_parse_math(False)


def _text_of(forecast: Forecast, x: list[float], lines: dict[str, list[float]]) -> str:
    """Return the points of the chart as a table."""
    table = Table([Column("runs a day", "r"), *(Column(name, "r") for name in lines)])
    for at, volume in enumerate(x):
        table.add(f"{volume:,g}", *(f"${usd[at]:,.2f}" for usd in lines.values()))
    return f"{line(forecast.name)}: dollars a day\n{table.text()}"
