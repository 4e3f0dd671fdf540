"""An arrow's path as pieces, from which every form of the picture is drawn: the SVG, and the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.views.layout.layout import Route

Piece = tuple[str, tuple[float, ...]]
"""A letter of SVG's path language (M, L, C or Q) with absolute coordinates."""

Points = list[tuple[float, float]]


def pieces(route: Route) -> list[Piece]:
    """The path of an arrow: S-curves forward, round corners over the top."""
    return _round_corners(route.points) if route.style == "lane" else _curve(route.points)


def arrow_head(route: Route) -> list[tuple[float, float]]:
    """The three corners of the arrow's head, its tip first."""
    (x0, _), (x, y) = route.points[-2], route.points[-1]
    if abs(x - x0) > 0.01:
        return [(x, y), (x - 7.0, y - 3.4), (x - 7.0, y + 3.4)]
    return [(x, y), (x - 3.4, y - 7.0), (x + 3.4, y - 7.0)]


def _curve(points: Points) -> list[Piece]:
    """Straight where level, an S where the height changes."""
    x, y = points[0]
    out: list[Piece] = [("M", (x, y))]
    for nx, ny in points[1:]:
        if abs(ny - y) < 0.5:
            out.append(("L", (nx, ny)))
        else:
            bend = (nx - x) * 0.5
            out.append(("C", (x + bend, y, nx - bend, ny, nx, ny)))
        x, y = nx, ny
    return out


def _round_corners(points: Points, radius: float = 9.0) -> list[Piece]:
    """A polyline of level and upright pieces with round corners."""
    out: list[Piece] = [("M", points[0])]
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        a, b = abs(x1 - x0) + abs(y1 - y0), abs(x2 - x1) + abs(y2 - y1)
        r = min(radius, a / 2, b / 2)
        out.append(("L", (x1 - _sign(x1 - x0) * r, y1 - _sign(y1 - y0) * r)))
        out.append(("Q", (x1, y1, x1 + _sign(x2 - x1) * r, y1 + _sign(y2 - y1) * r)))
    out.append(("L", points[-1]))
    return out


def _sign(value: float) -> float:
    return (value > 0.01) - (value < -0.01)
