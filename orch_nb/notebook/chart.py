"""A matplotlib figure that shows itself: an SVG in the page's own ink, and a text twin. No global state, no window.

This module imports matplotlib; whoever draws imports this module when it draws.
"""

from __future__ import annotations

import io
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from orch_nb.notebook import markup
from orch_nb.notebook.bundle import bundle
from orch_nb.notebook.svg import FONT
from orch_nb.notebook.table import Column, Table
from orch_nb.notebook.visible import line
from orch_nb.notebook.words import RUN, WARN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.analysis.forecast import Forecast

INK = "#010203"
"""Stands for the page's own ink while matplotlib draws: no other colour is written so."""


_ASIDE = re.compile(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*|<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL)
"""Not of the picture: a style sheet inside a page would be the whole page's."""
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")


class Chart(Figure):
    """A figure with one pair of axes. `twin` says in text what it shows."""

    twin: str = ""

    def svg(self) -> str:
        """The picture: ink is `currentColor`, words are text, and the same figure gives the same picture."""
        out = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "orch_nb"}):
            self.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        text = _ASIDE.sub("", text[text.index("<svg") :]).replace(INK, "currentColor")
        text = text.replace("<svg ", '<svg stroke-linejoin="round" ', 1)
        return _FONT.sub(rf"font: \1px {FONT}", text)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.twin, markup.panel(markup.drawing(self.svg(), twin=True)))


def axes_of(chart: Chart) -> Any:
    """The axes of a new chart, in the page's ink."""
    axes = chart.subplots()
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_alpha(0.35)
    axes.tick_params(which="both", colors=INK)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)
    return axes


def forecast_chart(made: Forecast, per_day: Iterable[Any]) -> Chart:
    """Dollars a day against runs a day: the mean, its interval where there is one, the baseline dashed."""
    at = sorted({v for v in (Fraction(str(n)) for n in (*per_day, made.per_day)) if v > 0})
    chart = Chart(figsize=(7.0, 3.6), layout="constrained")
    axes = axes_of(chart)
    x = [float(v) for v in at]
    bands = [made.band(v) for v in at]
    if all(b is not None for b in bands):
        low = [b.low * v for b, v in zip(bands, x, strict=True) if b]
        high = [b.high * v for b, v in zip(bands, x, strict=True) if b]
        axes.fill_between(x, low, high, color=RUN, alpha=0.2, label=f"{made.confidence * 100:g} % interval")
    own = [float(made.parts.total * v) for v in at]
    axes.plot(x, own, color=RUN, marker="o", markersize=3, label=line(made.name, 40))
    base = None if made.saving is None else [float(made.saving.base * v) for v in at]
    if base is not None and made.saving is not None:
        axes.plot(x, base, color=WARN, linestyle="--", marker="s", markersize=3, label=line(made.saving.name, 40))
    if made.parts.total > 0:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.set_xlabel("runs a day")
    axes.set_ylabel("US dollars a day")
    axes.grid(visible=True, which="major", color=INK, alpha=0.12)
    axes.legend(frameon=False, labelcolor=INK)
    chart.twin = _twin(made, x, own, base)
    return chart


def _twin(made: Forecast, x: list[float], own: list[float], base: list[float] | None) -> str:
    """The chart's points as a table."""
    table = Table([Column("runs a day", "r"), Column(line(made.name, 40), "r")])
    if base is not None and made.saving is not None:
        table.columns.append(Column(line(made.saving.name, 40), "r"))
    for at, (volume, usd) in enumerate(zip(x, own, strict=True)):
        table.add(f"{volume:,g}", f"${usd:,.2f}", *([f"${base[at]:,.2f}"] if base is not None else []))
    return f"{line(made.name)}: dollars a day\n{table.text()}"
