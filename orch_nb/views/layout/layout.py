"""Where a graph's nodes and arrows lie: layered from left to right, crossings reduced, deterministic.

Sugiyama's scheme [1]_: layers with short arrows (`ordering`); long arrows pass through dummies; each layer is ordered for few
crossings, members of a group together (`ordering`); heights keep long arrows straight (`coordinates`). Arrows that close a
loop run over the top, in lanes of their own.

Everything is in pixels and in plain numbers, so that the SVG, the interactive view and a figure show the same picture.

References
----------
.. [1] K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", 1981.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from orch_nb.views.layout.coordinates import heights
from orch_nb.views.layout.ordering import crossings, layering, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_Rows = tuple[tuple[int, ...], ...]

MAX_DUMMIES = 12_000
"""Above it the longest arrows are drawn straight: a picture of that size is read by zooming, and must come at once."""


@dataclass(slots=True)
class Box:
    """A node's size before layout; its place (left, top) and layer after it."""

    name: str
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    layer: int = 0
    room: float = 0.0
    """Free space to keep at the right of the box."""
    stretch: bool = False
    """Whether it is as wide as the widest such box of its column."""

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(slots=True)
class Link:
    """An arrow before layout. `label_width`: room that its label needs beside the target. `back` closes a loop."""

    source: str
    target: str
    label_width: float = 0.0
    back: bool = False
    label_lines: int = 1


@dataclass(slots=True)
class Route:
    """An arrow's path: corner points, the spot of its label, and how to draw it ("curve" forward, "lane" over the top)."""

    points: list[tuple[float, float]] = field(default_factory=list)
    label: tuple[float, float] = (0.0, 0.0)
    style: str = "curve"


@dataclass(slots=True)
class Layout:
    """The result: boxes by name, one route for each link in its order, rectangles (x, y, width, height) of groups."""

    boxes: dict[str, Box]
    routes: list[Route]
    groups: dict[str, tuple[float, float, float, float]]
    width: float
    height: float
    crossings: int = 0
    """Pairs of arrows that cross between neighbouring columns; loops, which run over the top, are not counted."""


@dataclass(slots=True, frozen=True)
class Spacing:
    """Distances in pixels."""

    layer: float = 34.0
    node: float = 16.0
    dummy: float = 10.0
    port: float = 17.0
    lane: float = 24.0
    group: float = 10.0
    group_head: float = 14.0
    margin: float = 12.0


def layout(
    boxes: Iterable[Box],
    links: Sequence[Link],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    spacing: Spacing | None = None,
) -> Layout:
    """Lay a graph out.

    Parameters
    ----------
    boxes
        Nodes in their declared order, which breaks ties. They are changed: place and layer are filled in.
    links
        Arrows. Forward ones that form a cycle are treated as loops, so that any graph can be drawn.
    groups
        Name -> members. A group whose members share a layer is drawn around them.

    Returns
    -------
    Layout
        No two boxes overlap; every forward arrow leads to a layer further right.

    Notes
    -----
    About 0.2 s for 1,000 nodes and 1,300 arrows. The same input gives the same output, to the last bit.
    """
    return _Work(list(boxes), links, groups or {}, spacing or Spacing()).run()


@dataclass(slots=True)
class _Item:
    """A box, or a dummy through which a long arrow passes a layer."""

    index: int
    layer: int
    height: float
    box: Box | None
    group: str = ""
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    y: float = 0.0


class _Work:
    """One layout under way."""

    def __init__(
        self, boxes: list[Box], links: Sequence[Link], groups: Mapping[str, Sequence[str]], spacing: Spacing
    ) -> None:
        self.boxes, self.links, self.groups, self.space = boxes, links, groups, spacing
        self.by_name = {box.name: i for i, box in enumerate(boxes)}
        self.source = [self.by_name[link.source] for link in links]
        self.target = [self.by_name[link.target] for link in links]
        self.items: list[_Item] = []
        self.layers: list[list[int]] = []
        self.chains: dict[int, list[int]] = {}
        self.group_of = {m: g for g in sorted(groups) for m in groups[g] if m in self.by_name}

    def run(self) -> Layout:
        self.back = _find_back(len(self.boxes), self.source, self.target, [link.back for link in self.links])
        self._grow_for_ports()
        self._assign_layers()
        self._make_items()
        self._order()
        self._place_y()
        self._place_x()
        routes = self._routes()
        return self._frame(routes)

    # ---------------------------------------------------------------- layers
    def _grow_for_ports(self) -> None:
        """A box is high enough that the labels of its arrows do not touch."""
        need: dict[int, float] = {}
        for e, link in enumerate(self.links):
            if link.label_width and not self.back[e]:
                need[self.target[e]] = need.get(self.target[e], 0.0) + self.space.port * link.label_lines
        for i, height in need.items():
            self.boxes[i].height = max(self.boxes[i].height, height + 4)

    def _assign_layers(self) -> None:
        forward = [e for e in range(len(self.links)) if not self.back[e]]
        found = _layers_of(
            len(self.boxes), tuple(self.source[e] for e in forward), tuple(self.target[e] for e in forward)
        )
        for box, layer in zip(self.boxes, found, strict=True):
            box.layer = layer

    def _make_items(self) -> None:
        for i, box in enumerate(self.boxes):
            self.items.append(_Item(i, box.layer, box.height, box, self.group_of.get(box.name, "")))
        count = max((b.layer for b in self.boxes), default=-1) + 1
        self.layers = [[] for _ in range(count)]
        for item in self.items:
            self.layers[item.layer].append(item.index)
        forward = [e for e in range(len(self.links)) if not self.back[e]]
        spans = {e: self.boxes[self.target[e]].layer - self.boxes[self.source[e]].layer for e in forward}
        left = MAX_DUMMIES
        for e in sorted(forward, key=lambda e: (spans[e], e)):
            left -= spans[e] - 1
            if left < 0:
                break
            self._chain(e)

    def _chain(self, e: int) -> None:
        """Join an arrow's ends through one dummy for each layer between them."""
        at, end = self.source[e], self.target[e]
        chain = []
        for layer in range(self.boxes[at].layer + 1, self.boxes[end].layer):
            dummy = _Item(len(self.items), layer, 2.0, None)
            self.items.append(dummy)
            self.layers[layer].append(dummy.index)
            self._join(at, dummy.index)
            chain.append(dummy.index)
            at = dummy.index
        self._join(at, end)
        self.chains[e] = chain

    def _join(self, a: int, b: int) -> None:
        self.items[a].right.append(b)
        self.items[b].left.append(a)

    # ---------------------------------------------------------------- order in each layer
    def _order(self) -> None:
        items = self.items
        sides = tuple(tuple(i.left) for i in items), tuple(tuple(i.right) for i in items)
        found, self.crossings = _order_of(tuple(map(tuple, self.layers)), *sides, tuple(i.group for i in items))
        self.layers = [list(layer) for layer in found]

    # ---------------------------------------------------------------- places
    def _place_y(self) -> None:
        items = self.items
        is_dummy = [item.box is None for item in items]
        ys = heights(self.layers, [i.left for i in items], [i.right for i in items], is_dummy, self._gap)
        top = min((y - item.height / 2 for item, y in zip(items, ys, strict=True)), default=0.0)
        for item, y in zip(items, ys, strict=True):
            item.y = y - top

    def _gap(self, above: int, below: int) -> float:
        """Least distance of two neighbours' middles."""
        a, b = self.items[above], self.items[below]
        gap = (a.height + b.height) / 2
        gap += self.space.node if a.box and b.box else self.space.dummy
        if a.group != b.group:
            gap += self.space.group * (bool(a.group) + bool(b.group)) + self.space.group_head * bool(b.group)
        return gap

    def _place_x(self) -> None:
        """Columns, as far apart as the labels between them need."""
        columns = [[box for i in layer if (box := self.items[i].box)] for layer in self.layers]
        for boxes in columns:
            self._stretch([box for box in boxes if box.stretch])
        widths = [max((box.width for box in boxes), default=0.0) for boxes in columns]
        gaps = [self.space.layer] * len(self.layers)
        for e, link in enumerate(self.links):
            if link.label_width and not self.back[e]:
                at = self.boxes[self.target[e]].layer
                gaps[at] = max(gaps[at], link.label_width + 34.0 + self._inset(self.target[e]))
        for box in self.boxes:
            if box.room and box.layer + 1 < len(gaps):
                gaps[box.layer + 1] = max(gaps[box.layer + 1], box.room + 20.0)
        x = 0.0
        for column, layer in enumerate(self.layers):
            x += gaps[column] if column else 0.0
            for i in layer:
                box = self.items[i].box
                if box is not None:
                    box.x = x + (widths[column] - box.width) / 2
                    box.y = self.items[i].y - box.height / 2
            x += widths[column]
        self.columns = self._columns(widths)

    def _stretch(self, boxes: list[Box]) -> None:
        """One width for a column, unless one box is much wider than the others."""
        widest = max((b.width for b in boxes), default=0.0)
        for box in boxes:
            box.width = widest if widest < 2.2 * box.width else box.width

    def _columns(self, widths: list[float]) -> list[tuple[float, float]]:
        """Left and right border of each column."""
        out = []
        for column, layer in enumerate(self.layers):
            boxes = [box for i in layer if (box := self.items[i].box)]
            middle = boxes[0].x + boxes[0].width / 2
            out.append((middle - widths[column] / 2, middle + widths[column] / 2))
        return out

    # ---------------------------------------------------------------- arrows
    def _routes(self) -> list[Route]:
        routes = [Route() for _ in self.links]
        starts, ends = self._ports()
        for e in range(len(self.links)):
            if not self.back[e]:
                routes[e] = self._forward(e, starts[e], ends[e])
        self._lanes(routes)
        return routes

    def _ports(self) -> tuple[dict[int, float], dict[int, float]]:
        """Return where arrows leave and reach their boxes, so that two never share a spot where labels are."""
        out: dict[int, list[int]] = {}
        into: dict[int, list[int]] = {}
        for e in range(len(self.links)):
            if not self.back[e]:
                out.setdefault(self.source[e], []).append(e)
                into.setdefault(self.target[e], []).append(e)
        starts: dict[int, float] = {}
        ends: dict[int, float] = {}
        for i, edges in out.items():
            for e in edges:
                starts[e] = self.boxes[i].middle
        for i, edges in into.items():
            edges.sort(key=lambda e: (self._before(e), e))
            self._spread(self.boxes[i], edges, ends)
        return starts, ends

    def _inset(self, i: int) -> float:
        """Room that a group's border takes before its members."""
        return self.space.group if self.boxes[i].name in self.group_of else 0.0

    def _before(self, e: int) -> float:
        """Height at which an arrow comes to its target."""
        chain = self.chains.get(e)
        return self.items[chain[-1]].y if chain else self.boxes[self.source[e]].middle

    def _spread(self, box: Box, edges: list[int], ends: dict[int, float]) -> None:
        labelled = [e for e in edges if self.links[e].label_width]
        if len(edges) == 1 or not labelled:
            for e in edges:
                ends[e] = box.middle
            return
        steps = [self.space.port * (self.links[e].label_lines if self.links[e].label_width else 0.5) for e in edges]
        scale = min(1.0, (box.height - 4) / sum(steps))
        y = box.middle - sum(steps) * scale / 2
        for e, step in zip(edges, steps, strict=True):
            # The first line of a label is above its arrow, the second below it.
            ends[e] = y + scale * (0.75 * self.space.port if self.links[e].label_width else 0.5 * step)
            y += step * scale

    def _forward(self, e: int, start: float, end: float) -> Route:
        a, b = self.boxes[self.source[e]], self.boxes[self.target[e]]
        points = [(a.right, start), (self.columns[a.layer][1], start)]
        for i in self.chains.get(e, ()):
            left, right = self.columns[self.items[i].layer]
            points += [(left, self.items[i].y), (right, self.items[i].y)]
        width = self.links[e].label_width
        edge = self.columns[b.layer][0]
        straight = min(edge, b.x) - (width + 14.0 + self._inset(self.target[e]) if width else 0.0)
        if width:
            points.append((straight, end))
        elif edge < b.x:
            points.append((edge, end))
        points.append((b.x, end))
        return Route(_distinct(points), (straight + 5.0, end - 4.0), "curve")

    def _lanes(self, routes: list[Route]) -> None:
        """Loops: up beside their source, along a lane over everything, down beside their target."""
        backs = [e for e in range(len(self.links)) if self.back[e]]
        reach = {}
        for e in backs:
            a, b = self.boxes[self.source[e]], self.boxes[self.target[e]]
            left, right = self._loop_x(e, b, a)
            spare = max(0.0, self.links[e].label_width + 16.0 - (right - left)) / 2
            reach[e] = (left - spare, right + spare, left, right)
        taken: list[list[tuple[float, float]]] = []
        for e in sorted(backs, key=lambda e: (reach[e][1] - reach[e][0], e)):
            lane = _free_lane(taken, reach[e][0], reach[e][1])
            taken[lane].append(reach[e][:2])
            routes[e] = self._loop(e, lane, reach[e][2], reach[e][3])

    def _loop_x(self, e: int, target: Box, source: Box) -> tuple[float, float]:
        """Return where a loop goes down and up: through the box's top where nothing is above it, else beside the column."""
        nth = sum(1 for other in range(e) if self.back[other] and self.target[other] == self.target[e])
        from_nth = sum(1 for other in range(e) if self.back[other] and self.source[other] == self.source[e])
        down = max(target.x + min(6.0, target.width / 4), target.x + target.width * 0.32 - 9.0 * nth)
        if not self._is_top(target):
            down = self.columns[target.layer][0] - 14.0 - 6.0 * nth
        up = min(source.right - min(6.0, source.width / 4), source.x + source.width * 0.68 + 9.0 * from_nth)
        if not self._is_top(source):
            up = self.columns[source.layer][1] + 14.0 + 6.0 * from_nth
        return down, up

    def _is_top(self, box: Box) -> bool:
        return self.layers[box.layer][0] == self.by_name[box.name]

    def _loop(self, e: int, lane: int, down: float, up: float) -> Route:
        a, b = self.boxes[self.source[e]], self.boxes[self.target[e]]
        head = self.space.group_head + self.space.group if self.groups else 0.0
        y = -(lane + 1) * self.space.lane - head
        points = [(up, a.y)] if self._is_top(a) else [(a.right, a.y + a.height * 0.3), (up, a.y + a.height * 0.3)]
        points += [(up, y), (down, y)]
        points += [(down, b.y)] if self._is_top(b) else [(down, b.y + b.height * 0.25), (b.x, b.y + b.height * 0.25)]
        return Route(points, ((up + down) / 2, y - 5.0), "lane")

    # ---------------------------------------------------------------- frame
    def _frame(self, routes: list[Route]) -> Layout:
        """Everything moved into the positive quadrant, with a margin."""
        groups = self._group_rects()
        xs, ys = [0.0], [0.0]
        for box in self.boxes:
            xs += [box.x, box.right + box.room]
            ys += [box.y, box.y + box.height]
        for x, y, w, h in groups.values():
            xs += [x, x + w]
            ys += [y, y + h]
        for e, route in enumerate(routes):
            xs += [p[0] for p in route.points]
            ys += [p[1] for p in route.points]
            if route.style == "lane":
                half = self.links[e].label_width / 2
                xs += [route.label[0] - half, route.label[0] + half]
                ys.append(route.label[1] - 12.0)
        dx, dy = self.space.margin - min(xs), self.space.margin - min(ys)
        for box in self.boxes:
            box.x, box.y = round(box.x + dx, 1), round(box.y + dy, 1)
        for route in routes:
            route.points = [(round(x + dx, 1), round(y + dy, 1)) for x, y in route.points]
            route.label = (round(route.label[0] + dx, 1), round(route.label[1] + dy, 1))
        placed = {
            g: (round(x + dx, 1), round(y + dy, 1), round(w, 1), round(h, 1)) for g, (x, y, w, h) in groups.items()
        }
        width = round(max(xs) + dx + self.space.margin, 1)
        return Layout(
            {b.name: b for b in self.boxes},
            routes,
            placed,
            width,
            round(max(ys) + dy + self.space.margin, 1),
            self.crossings,
        )

    def _group_rects(self) -> dict[str, tuple[float, float, float, float]]:
        out = {}
        for group, members in self.groups.items():
            boxes = [self.boxes[self.by_name[m]] for m in members if self.group_of.get(m) == group]
            if len(boxes) < 2 or len({b.layer for b in boxes}) > 1:
                continue
            pad, head = self.space.group, self.space.group_head
            x, right = min(b.x for b in boxes) - pad, max(b.right for b in boxes) + pad
            y, bottom = min(b.y for b in boxes) - head, max(b.y + b.height for b in boxes) + pad
            out[group] = (x, y, right - x, bottom - y)
        return out


@lru_cache(maxsize=8)
def _layers_of(count: int, source: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """Layers, kept: while a run is under way its graph is drawn many times, and only sizes change."""
    return tuple(layering(count, list(source), list(target)))


@lru_cache(maxsize=8)
def _order_of(layers: _Rows, left: _Rows, right: _Rows, group: tuple[str, ...]) -> tuple[_Rows, int]:
    """The order of the layers and its crossings, kept for the same reason."""
    after = [list(near) for near in right]
    found = order([list(layer) for layer in layers], [list(near) for near in left], after, list(group))
    place = [0] * len(group)
    for layer in found:
        for at, i in enumerate(layer):
            place[i] = at
    return tuple(map(tuple, found)), crossings(found, after, place)


def _find_back(n: int, source: list[int], target: list[int], wanted: list[bool]) -> list[bool]:
    """Return which arrows run back: those declared so, self-loops, and those that close a cycle of forward ones. Iterative."""
    back = [is_back or source[e] == target[e] for e, is_back in enumerate(wanted)]
    out: list[list[int]] = [[] for _ in range(n)]
    for e in range(len(source)):
        if not back[e]:
            out[source[e]].append(e)
    colour = [0] * n
    for root in range(n):
        if colour[root]:
            continue
        todo = [(root, iter(out[root]))]
        colour[root] = 1
        while todo:
            i, edges = todo[-1]
            for e in edges:
                j = target[e]
                if colour[j] == 1:
                    back[e] = True
                elif not colour[j]:
                    colour[j] = 1
                    todo.append((j, iter(out[j])))
                    break
            else:
                colour[i] = 2
                todo.pop()
    return back


def _free_lane(taken: list[list[tuple[float, float]]], left: float, right: float) -> int:
    """The lowest lane in which nothing overlaps [left, right]; a new one where none is free."""
    for lane, spans in enumerate(taken):
        if all(right + 8.0 < a or b + 8.0 < left for a, b in spans):
            return lane
    taken.append([])
    return len(taken) - 1


def _distinct(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    out = points[:1]
    for point in points[1:]:
        if abs(point[0] - out[-1][0]) > 0.01 or abs(point[1] - out[-1][1]) > 0.01:
            out.append(point)
    return out
