"""A graph as a figure, at the very coordinates of the SVG: the same shapes, states, arrows and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from orch_nb.views.format import COLOURS, RUN, WARN, glyph, word
from orch_nb.views.graph_svg import (
    CHOICE,
    FRAMED,
    INPUT,
    MAX_DRAWN,
    NAME_LIMIT,
    NAME_SIZE,
    SMALL,
    Drawing,
    choice_texts,
    describe,
)
from orch_nb.views.layout.edges import Piece, arrow_head, pieces
from orch_nb.views.plots.figure import INK, Picture, picture_axes, words
from orch_nb.views.safe_text import line

if TYPE_CHECKING:
    from orch_nb.trace.graph_state import GraphView, NodeView
    from orch_nb.views.layout.layout import Box

_CODES = {"M": [Path.MOVETO], "L": [Path.LINETO], "C": [Path.CURVE4] * 3, "Q": [Path.CURVE3] * 2}
_EDGES = {"": (0.55, 1.2, "-"), "taken": (0.9, 1.5, "-"), "not taken": (0.32, 1.1, (0, (4, 3)))}


def plot_graph(view: GraphView) -> Picture:
    """The graph's figure; of an empty graph, or one too large to be drawn, a sentence instead.

    Notes
    -----
    About 3 ms for each node. Shapes lie where `Drawing` lays them, which is where the SVG and the interactive view have them.
    """
    if not 0 < len(view.nodes) <= MAX_DRAWN:
        made, axes = picture_axes(520, 48, describe(view))
        words(axes, 12, 28, describe(view))
        return made
    drawing = Drawing(view)
    made, axes = picture_axes(drawing.layout.width, drawing.layout.height, describe(view))
    for name, (x, y, width, height) in drawing.layout.groups.items():
        axes.add_patch(
            Rectangle((x, y), width, height, fill=False, edgecolor=INK, alpha=0.3, linestyle=":", linewidth=0.8)
        )
        words(axes, x + 8, y + 11, line(name, NAME_LIMIT), 10, alpha=0.7)
    for e in drawing.drawing_order():
        _edge(axes, drawing, e)
    for name, box in drawing.layout.boxes.items():
        if name == INPUT:
            _box(axes, box, "human", edgecolor=INK, alpha=0.45)
            words(axes, box.x + box.width / 2, box.middle + 4, line(", ".join(view.inputs), 42), 11.5, ha="center")
        elif name.startswith(CHOICE):
            _choice(axes, drawing, name.removeprefix(CHOICE), box)
        else:
            _node(axes, drawing, view.nodes[name], box)
    return made


def path_of(found: list[Piece]) -> Path:
    """Pieces as a matplotlib path."""
    points, codes = [], []
    for letter, at in found:
        points += list(zip(at[::2], at[1::2], strict=True))
        codes += _CODES[letter]
    return Path(points, codes)


def _edge(axes: Any, drawing: Drawing, e: int) -> None:
    route, label, state = drawing.layout.routes[e], drawing.link_labels[e], drawing.edge_state(e)
    alpha, width, style = _EDGES[state]
    loop = route.style == "lane"
    colour = WARN if loop and state != "not taken" else INK
    axes.add_patch(
        PathPatch(
            path_of(pieces(route)), fill=False, edgecolor=colour, alpha=alpha, linewidth=width * 0.75, linestyle=style
        )
    )
    axes.add_patch(Polygon(arrow_head(route), closed=True, facecolor=colour, alpha=alpha, linewidth=0))
    x, y = route.label
    if loop and label:
        words(axes, x, y, " · ".join(label), SMALL, ha="center", alpha=0.9)
        return
    for k, text in enumerate(label):
        words(axes, x, y + 15.0 * k, text, SMALL, alpha=0.65 if state == "not taken" else 0.9)


def _node(axes: Any, drawing: Drawing, node: NodeView, box: Box) -> None:
    quiet = node.state == "skipped"
    colour = COLOURS[node.state] if node.state in FRAMED else INK
    alpha = 0.35 if quiet else 1.0 if node.state in FRAMED else 0.75 if node.state else 0.55
    look = {"linestyle": "-" if node.known else (0, (5, 3)), "linewidth": 1.4 if node.state in FRAMED else 0.9}
    _box(axes, box, node.kind, edgecolor=colour, alpha=alpha, **look)
    _share(axes, node, box)
    inset = 16 if node.kind in ("human", "switch") else 11
    left, right = box.x + inset, box.right - inset + 1
    first = box.middle - 14.5 * len(drawing.subs[node.name]) / 2 + 4.5
    ink = 0.6 if quiet else 1.0
    words(axes, left, first, line(node.name, NAME_LIMIT), NAME_SIZE, weight="bold", alpha=ink)
    if node.state:
        words(axes, right, first, f"{glyph(node.state)} {word(node.state)}", SMALL, ha="right", alpha=ink)
    for k, (text, number) in enumerate(drawing.subs[node.name], 1):
        words(axes, left, first + 14.5 * k, text, SMALL, alpha=0.75 * ink)
        words(axes, right, first + 14.5 * k, number, SMALL, ha="right", alpha=0.85 * ink)
    if box.room:
        axes.plot([box.right, box.right + 10], [box.middle, box.middle], color=INK, alpha=0.55, linewidth=0.9)
        words(axes, box.right + 13, box.middle + 3.5, "out", SMALL, alpha=0.75)


def _share(axes: Any, node: NodeView, box: Box) -> None:
    """Share of the dollars: a thin bar along the inside of the bottom border."""
    if node.share <= 0.004:
        return
    inset = 14.0 if node.kind in ("human", "switch") else 1.5
    room, y = box.width - 2 * inset, box.y + box.height - 4.5
    axes.add_patch(Rectangle((box.x + inset, y), room, 3, facecolor=INK, alpha=0.08, linewidth=0))
    axes.add_patch(
        Rectangle((box.x + inset, y), max(1.5, room * min(1.0, node.share)), 3, facecolor=RUN, alpha=0.85, linewidth=0)
    )


def _choice(axes: object, drawing: Drawing, name: str, box: Box) -> None:
    texts = choice_texts(drawing.view.choices[name])
    _box(axes, box, "switch", edgecolor=INK, alpha=0.6)
    top = box.middle - 13 * (len(texts) - 1) / 2 + 3.5
    for k, text in enumerate(texts):
        words(axes, box.x + box.width / 2, top + 13 * k, text, SMALL, ha="center", weight="bold" if k else "normal")


def _box(axes: Any, box: Box, kind: str, **look: Any) -> None:
    """The shape of a kind: rounded, square, pill, hexagon, double, cut corner, or with a bar."""
    x, y, w, h = box.x, box.y, box.width, box.height
    look = {"facecolor": "none", "linewidth": 0.9, **look}
    match kind:
        case "human" | "agent":
            radius = min(h / 2, 18) if kind == "human" else 7
            axes.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=f"round,pad=0,rounding_size={radius}", **look))
        case "switch":
            cut = min(13.0, h / 2)
            corners = [
                (x, y + h / 2),
                (x + cut, y),
                (x + w - cut, y),
                (x + w, y + h / 2),
                (x + w - cut, y + h),
                (x + cut, y + h),
            ]
            axes.add_patch(Polygon(corners, closed=True, **look))
        case "tool":
            axes.add_patch(
                Polygon([(x, y), (x + w - 9, y), (x + w, y + 9), (x + w, y + h), (x, y + h)], closed=True, **look)
            )
        case _:
            axes.add_patch(Rectangle((x, y), w, h, **look))
    if kind == "graph":
        axes.add_patch(Rectangle((x + 3, y + 3), w - 6, h - 6, **look))
    if kind == "barrier":
        axes.add_patch(Rectangle((x, y), 5, h, facecolor=INK, alpha=0.7, linewidth=0))
