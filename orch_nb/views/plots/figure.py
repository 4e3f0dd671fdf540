"""Figures by matplotlib's object interface: what a PDF, a slide or a page without JavaScript shows.

Never pyplot: its state is one for the whole process, and callbacks run on threads of their own. This module imports
matplotlib (about half a second the first time), so it is imported by what draws, when something is drawn.

Every text is set as it is: nothing between two dollar signs becomes a formula.
"""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from orch_nb.views.safe_text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INK, PAPER, QUIET = "#1f1f1f", "#ffffff", "#6b6b6b"
"""A figure is an image: it cannot know the theme around it, and brings its own paper."""
DPI = 96
"""Pixels of the layout to the inch: a figure has the size of the SVG."""
SHARPNESS = 2
"""Pixels of a PNG to one of the layout: sharp on the screens of today."""
COLOURS_KEPT = 48
"""Of a PNG: ink, paper and five accents, each with the shades of its smooth edges."""
MOST_PIXELS = 4_000_000
"""Of one PNG; what would have more is made at a lower sharpness."""
FONT_SCALE = 0.93
"""matplotlib's own font is that much wider than those the layout reckons with."""


class Picture(Figure):
    """A `matplotlib.figure.Figure` that shows itself in a notebook, without any backend being chosen for it.

    `savefig("run.pdf")`, `.axes` and everything else are matplotlib's. `said` is the picture in one sentence.
    """

    def __init__(self, width: float, height: float, said: str = "") -> None:
        super().__init__(figsize=(max(1.0, width) / DPI, max(1.0, height) / DPI), dpi=DPI, facecolor=PAPER)
        FigureCanvasAgg(self)
        self.said = said

    def png(self, *, sharpness: float = SHARPNESS) -> bytes:
        """The picture as PNG with a palette, a quarter of the size: the same bytes each time."""
        from PIL import Image

        width, height = self.get_size_inches() * DPI
        sharpness = min(sharpness, max(0.2, (MOST_PIXELS / (width * height)) ** 0.5))
        out = io.BytesIO()
        with warnings.catch_warnings():  # a letter that the font lacks is drawn as a box; the text twin has it
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.savefig(out, format="png", dpi=DPI * sharpness, facecolor=PAPER)
        small = io.BytesIO()
        Image.open(out).convert("RGB").quantize(COLOURS_KEPT).save(small, "PNG", optimize=True)
        return small.getvalue()

    def __repr__(self) -> str:
        return self.said or super().__repr__()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, object]]:
        width, height = (round(inches * DPI) for inches in self.get_size_inches())
        image = base64.b64encode(self.png()).decode()
        return {"image/png": image, "text/plain": repr(self)}, {"image/png": {"width": width, "height": height}}


def picture_axes(width: float, height: float, said: str = "") -> tuple[Picture, Any]:
    """An empty picture in the layout's own pixels: x to the right, y downwards, no frame."""
    made = Picture(width, height, said)
    axes = made.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, max(1.0, width))
    axes.set_ylim(max(1.0, height), 0)
    axes.axis("off")
    return made, axes


def chart_axes(
    title: str, *, x: str = "", y: str = "", width: float = 720, height: float = 320, left: float = 84, said: str = ""
) -> tuple[Picture, Any]:
    """An empty chart: two quiet axes with what they measure, no box, no grid but a faint one across.

    Parameters
    ----------
    x, y
        What is measured, with its unit: ``"seconds"``, ``"dollars"``.
    width, height
        Pixels at `DPI`.
    left
        Of them, how many are kept for the words beside the upright axis.
    """
    made = Picture(width, height, said or title)
    axes = made.add_axes((left / width, 46 / height, 1 - (left + 26) / width, 1 - 84 / height))
    axes.set_title(line(title, 120), loc="left", fontsize=10.5, color=INK, parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=QUIET, parse_math=False)
    axes.set_ylabel(y, fontsize=9, color=QUIET, parse_math=False)
    axes.tick_params(labelsize=8.5, colors=QUIET, length=3, width=0.6)
    axes.grid(axis="y", color=INK, alpha=0.08, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=QUIET, linewidth=0.6)
    return made, axes


def words(axes: Any, x: float, y: float, text: str, size: float = 10.5, **look: Any) -> object:
    """Text at a place, `size` in the layout's pixels; never a formula, nothing hidden in it."""
    look.setdefault("color", INK)
    look.setdefault("va", "baseline")
    points = size * FONT_SCALE * 72 / DPI
    return axes.text(x, y, line(text, 400), fontsize=points, parse_math=False, **look)


def name_ticks(axes: Any, names: Sequence[str], *, of: str = "x", limit: int = 22) -> None:
    """Names instead of numbers along an axis (``of``: "x" or "y"), cut to `limit` characters, slanted where they need it."""
    texts = [line(name, limit) for name in names]
    places = range(len(texts))
    if of == "y":
        axes.set_yticks(places, texts, parse_math=False)
        return
    slant = sum(len(t) for t in texts) > 70
    axes.set_xticks(
        places, texts, parse_math=False, rotation=35 if slant else 0, ha="right" if slant else "center",
        rotation_mode="anchor",
    )  # fmt: skip


def draw_matrix(
    axes: Any, rows: Sequence[str], columns: Sequence[str], values: Iterable[Sequence[float | None]], *, digits: int = 2
) -> None:
    """A matrix as shaded cells, each with its number: shade alone tells nothing. None is shown as a dash.

    Parameters
    ----------
    values
        One sequence of ``len(columns)`` numbers for each row.
    """
    table = [list(row) for row in values]
    known = [v for row in table for v in row if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False)
    for i, row in enumerate(table):
        for j, value in enumerate(row):
            share = 0.0 if value is None else (value - low) / (high - low) if high > low else 0.5
            axes.fill([j - 0.48, j + 0.48, j + 0.48, j - 0.48], [i - 0.46, i - 0.46, i + 0.46, i + 0.46],
                      color="#3b82d6", alpha=0.06 + 0.5 * share, linewidth=0)  # fmt: skip
            words(axes, j, i, "–" if value is None else f"{value:.{digits}f}", ha="center", va="center")
    name_ticks(axes, list(columns))
    name_ticks(axes, list(rows), of="y")
