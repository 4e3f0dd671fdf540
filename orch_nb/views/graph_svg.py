"""A graph as a static, script-free SVG that reads on light and on dark backgrounds.

Everything is said by presentation attributes: ink is `currentColor` at several opacities, accents are mid-tones. There is no
style sheet, no marker, no id, no link: nothing that a sanitiser takes away, and nothing that two pictures on one page share.

Shape says kind: agent rounded, function square, human pill, switch hexagon, graph double border, tool cut corner, barrier
bar. Glyph and word say status. A thin bar inside a node is its share of the run's dollars.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orch_nb.trace.preview import brief
from orch_nb.views.format import COLOURS, RUN, WARN, glyph, usd, word
from orch_nb.views.layout.edges import arrow_head, pieces
from orch_nb.views.layout.layout import Box, Layout, Link, layout
from orch_nb.views.safe_text import escape_line, line

if TYPE_CHECKING:
    from orch_nb.trace.graph_state import ChoiceView, EdgeView, GraphView, NodeView, Outcome
    from orch_nb.views.layout.layout import Route

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
NAME_SIZE, SMALL = 12.5, 10.5
NAME_LIMIT, LABEL_LIMIT, SUB_LIMIT = 30, 40, 34
INPUT, CHOICE = "\x00input", "\x00choice:"
"""Names of the shapes that are not nodes: the graph's inputs, and a node's choice. No node's name can begin so."""

FIT_WIDTH = 1400
"""Pixels. A wider picture is not shrunk to the page: it scrolls."""
LEAST_SCALE = 0.7
"""A narrow page shrinks a picture this far and then lets it scroll: smaller words could not be read."""

FRAMED = frozenset({"running", "waiting", "exception", "semantic_failure", "in doubt", "interrupted", "failed"})
"""States whose colour the whole border takes."""

PALE = 0.66
"""Opacity of the palest words: 4.5 : 1 on white and on near-black."""

MAX_DRAWN = 1500
"""Nodes. A picture of more cannot be read; the text has all of them."""

_NARROW = frozenset("iljtfrI.,:;'!|()[] ")
_WIDE = frozenset("mwMWQOGDHN@%—→")


def text_width(text: str, size: float) -> float:
    """Width in pixels, a little generous: the reader's font is not known."""
    units = 0.0
    for char in text:
        units += 0.38 if char in _NARROW else 0.88 if char in _WIDE else 0.6 if char < "\u1100" else 1.0
    return units * size


class Drawing:
    """A graph's shapes, laid out: what the SVG, the JSON and a figure are made from."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.subs = {name: _sub_lines(node, view) for name, node in view.nodes.items()}
        self.edges = _merge([e for e in view.edges if e.source in view.nodes and e.target in view.nodes])
        self.labels = [_label_lines(edge) for edge in self.edges]
        self.links: list[Link] = []
        self.drawn: list[EdgeView | None] = []
        self.link_labels: list[list[str]] = []
        self.layout = self._layout()

    def _layout(self) -> Layout:
        boxes = self._boxes()
        known = {box.name for box in boxes}
        if INPUT in known:
            for entry in self.view.entries:
                self._link(INPUT, entry, None, [])
        for name in self.view.choices:
            self._link(name, CHOICE + name, None, [])
        for edge, label in zip(self.edges, self.labels, strict=True):
            source = edge.source
            if edge.kind in ("by", "else") and source in self.view.choices:
                source = CHOICE + source
            self._link(source, edge.target, edge, label)
        return layout(boxes, self.links, groups=self.view.groups)

    def _link(self, source: str, target: str, edge: EdgeView | None, label: list[str]) -> None:
        width = max((text_width(t, SMALL) for t in label), default=0.0)
        back = edge is not None and edge.back
        self.links.append(Link(source, target, width, back, max(1, len(label))))
        self.drawn.append(edge)
        self.link_labels.append(label)

    def _boxes(self) -> list[Box]:
        view, boxes = self.view, []
        if view.inputs and view.entries:
            boxes.append(Box(INPUT, max(44.0, text_width(_inputs(view), 11.5) + 24), 28.0))
        for node in view.nodes.values():
            boxes.append(self._box(node))
            if node.name in view.choices:
                texts = choice_texts(view.choices[node.name])
                width = max(text_width(t, SMALL) for t in texts) + 34
                boxes.append(Box(CHOICE + node.name, width, 22.0 + 13 * len(texts)))
        return boxes

    def _box(self, node: NodeView) -> Box:
        head = text_width(line(node.name, NAME_LIMIT), NAME_SIZE) * 1.06
        if node.state:
            head += 14 + text_width(f"{glyph(node.state)} {word(node.state)}", SMALL)
        subs = self.subs[node.name]
        width = max([head, 56.0, *(text_width(a, SMALL) + (text_width(b, SMALL) + 14 if b else 0) for a, b in subs)])
        width += 34 if node.kind in ("human", "switch") else 23
        height = 28.0 + 14.5 * len(subs) + (4.0 if subs else 0.0)
        sinks = not any(e.source == node.name for e in self.edges)
        return Box(node.name, width, height, room=34.0 if node.is_out and sinks else 0.0, stretch=True)

    # ---------------------------------------------------------------- svg
    def svg(self) -> str:
        """The whole picture."""
        lay, view = self.layout, self.view
        least = _n(lay.width * LEAST_SCALE)
        fit = f' style="max-width:100%;min-width:{least}px;height:auto"' if lay.width <= FIT_WIDTH else ""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(lay.width)}" height="{_n(lay.height)}" '
            f'viewBox="0 0 {_n(lay.width)} {_n(lay.height)}" role="img" aria-label="{escape_line(describe(view), 600)}" '
            f'font-family="{FONT}" fill="currentColor"{fit}>'
        )
        parts = [head]
        parts += [self._group(name, rect) for name, rect in lay.groups.items()]
        parts += [self._edge(e) for e in self.drawing_order()]
        if INPUT in lay.boxes:
            parts.append(self._input(lay.boxes[INPUT]))
        for node in view.nodes.values():
            parts.append(self._node(node, lay.boxes[node.name]))
            if node.name in view.choices:
                parts.append(_choice(view.choices[node.name], lay.boxes[CHOICE + node.name], node.state))
        parts.append("</svg>")
        return "\n".join(parts)

    def _group(self, name: str, rect: tuple[float, float, float, float]) -> str:
        x, y, w, h = rect
        return (
            f'<g><rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="8" fill="currentColor" fill-opacity="0.035" '
            f'stroke="currentColor" stroke-opacity="0.22" stroke-dasharray="2 3"/>'
            f"{_text(x + 8, y + 11, line(name, NAME_LIMIT), 10, opacity=0.65)}</g>"
        )

    def _edge(self, e: int) -> str:
        edge, route, label = self.drawn[e], self.layout.routes[e], self.link_labels[e]
        loop = route.style == "lane"
        state = self.edge_state(e)
        opacity, width, dash = _EDGE_LOOKS[state]
        stroke = WARN if loop and state != "not taken" else "currentColor"
        tail = f' stroke-dasharray="{dash}"' if dash else ""
        parts = [
            f'<path d="{_path(route)}" fill="none" stroke="{stroke}" stroke-opacity="{opacity}" stroke-width="{width}"{tail}/>',
            _arrow(route, stroke, opacity),
        ]
        faint = PALE if state == "not taken" else 0.85
        x, y = route.label
        if loop and label:
            parts.append(_text(x, y, " · ".join(label), SMALL, anchor="middle", opacity=faint))
        else:
            parts += [_text(x, y + 15.0 * k, text, SMALL, opacity=faint) for k, text in enumerate(label)]
        full = (
            f"{edge.source} → {edge.target} when {edge.label}"
            if edge is not None and len(edge.label) > LABEL_LIMIT
            else ""
        )
        title = f"<title>{escape_line(full, 1200)}</title>" if full else ""
        return f"<g>{title}{' '.join(parts)}</g>"

    def drawing_order(self) -> list[int]:
        """Arrows in the order in which they are drawn: those that were taken lie over the others."""
        return sorted(range(len(self.links)), key=lambda e: _weight(self.drawn[e]))

    def edge_state(self, e: int) -> str:
        """taken | not taken | "" of the arrow number `e`, those to inputs and choices included."""
        edge = self.drawn[e]
        if edge is not None:
            return edge.state
        if not self.view.has_run:
            return ""
        source, target = self.links[e].source, self.links[e].target
        node = self.view.nodes[target if source == INPUT else source]
        if source == INPUT:
            return "taken" if node.state else ""
        return {"skipped": "not taken"}.get(node.state, "taken" if node.done else "")

    def _input(self, box: Box) -> str:
        return (
            f'<g><rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" '
            f'rx="{_n(box.height / 2)}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
            f"{_text(box.x + box.width / 2, box.middle + 4, _inputs(self.view), 11.5, anchor='middle', opacity=0.9)}</g>"
        )

    def _node(self, node: NodeView, box: Box) -> str:
        quiet = node.state == "skipped"
        ink = PALE if quiet else 1.0
        parts = [_shape(node, box)]
        title = _node_title(node)
        if title:
            parts.insert(0, f"<title>{escape_line(title, 600)}</title>")
        parts += _bar(node, box) if node.share > 0.004 else []
        left = box.x + (16 if node.kind in ("human", "switch") else 11)
        right = box.right - (16 if node.kind in ("human", "switch") else 10)
        first = box.middle - 14.5 * len(self.subs[node.name]) / 2 + 4.5
        parts.append(_text(left, first, line(node.name, NAME_LIMIT), NAME_SIZE, opacity=ink, weight="600"))
        if node.state:
            parts.append(_state(right, first, node.state, ink))
        for k, (text, number) in enumerate(self.subs[node.name], 1):
            parts.append(_text(left, first + 14.5 * k, text, SMALL, opacity=max(PALE, 0.75 * ink)))
            if number:
                parts.append(_text(right, first + 14.5 * k, number, SMALL, anchor="end", opacity=max(PALE, 0.85 * ink)))
        if box.room:
            parts.append(_out_stub(box))
        return f"<g>{' '.join(parts)}</g>"  # blanks: where a page takes the shapes away, the words stay apart


def _merge(edges: list[EdgeView]) -> list[EdgeView]:
    """One arrow where a candidate is also the `else` of its choice."""
    default = {(e.source, e.target): e for e in edges if e.kind == "else"}
    out = []
    for edge in edges:
        other = default.get((edge.source, edge.target))
        if edge.kind == "by" and other is not None:
            taken = None if edge.taken is None else edge.taken + (other.taken or 0)
            default[edge.source, edge.target] = replace(other, taken=taken)
        else:
            out.append(edge)
    return [default[e.source, e.target] if e.kind == "else" else e for e in out]


def svg(view: GraphView) -> str:
    """The graph's picture as SVG text; "" for an empty graph or one too large to be drawn."""
    return Drawing(view).svg() if 0 < len(view.nodes) <= MAX_DRAWN else ""


def describe(view: GraphView) -> str:
    """The picture in one sentence, for those who do not see it."""
    states: dict[str, int] = {}
    for node in view.nodes.values():
        if node.state:
            states[word(node.state)] = states.get(word(node.state), 0) + 1
    said = ", ".join(f"{n} {s}" for s, n in states.items())
    return f"Graph {view.name}: {len(view.nodes)} nodes, {len(view.edges)} arrows{'; ' + said if said else ''}."


# ------------------------------------------------------------------ texts
def _inputs(view: GraphView) -> str:
    return line(", ".join(view.inputs), 42)


def choice_texts(choice: ChoiceView) -> list[str]:
    """The words inside a choice: what it asks, and what was chosen last."""
    text = choice.text.removeprefix(f"{choice.node}.").replace(f"({choice.node}.", "(")
    return [line(text, 26), *([line(f"→ {choice.choice or 'else'}", 28)] if choice.decisions else [])]


def _sub_lines(node: NodeView, view: GraphView) -> list[tuple[str, str]]:
    """The small lines of a node: (left, right) texts."""
    first = [node.of] if node.of else [] if node.kind in ("agent", "") else [node.kind]
    if node.each:
        first.append(f"{node.done} of {node.items} items" if node.items is not None else f"each {node.each}")
    elif node.rounds > 1:
        first.append(f"×{node.rounds}")
    number = ""
    if view.has_run and (node.calls or node.cost_usd):
        number = usd(node.cost_usd)
    rows = [(line(" · ".join(first), SUB_LIMIT), number)] if first or number else []
    if node.gate:
        rows.append((line(f"if {node.gate}", SUB_LIMIT), ""))
    if node.effects:
        rows.append((line(f"effect: {', '.join(node.effects)}", SUB_LIMIT), ""))
    if not node.known:
        rows.append(("not defined yet", ""))
    return rows


def _label_lines(edge: EdgeView) -> list[str]:
    """An arrow's label: the condition and its bound; below it, how it came out."""
    label = edge.label if edge.at_most is not None else _own(edge.label, edge.source)
    first = [label] if label else []
    if edge.at_most is not None:
        first.append(f"{edge.taken} of at most {edge.at_most}" if edge.taken is not None else f"at most {edge.at_most}")
    elif (edge.taken or 0) > 1 and edge.label:
        first.append(f"{edge.taken} times")
    rows = [line(" · ".join(first), LABEL_LIMIT + 18)] if first else []
    if edge.outcomes:
        rows.append(line(" · ".join(outcome_text(o) for o in edge.outcomes[-2:]), LABEL_LIMIT))
    return rows


def _own(condition: str, source: str) -> str:
    """The condition without the name of the node that the arrow leaves: one sees which it is."""
    return re.sub(rf"(?<![\w.]){re.escape(source)}\.(?=\w)", "", condition)


def outcome_text(outcome: Outcome) -> str:
    """``0.52 → yes``: the values that a condition saw, and what it said."""
    values = [brief(v, 16) for v in outcome.values.values()]
    seen = values[0] if len(values) == 1 else ", ".join(f"{k} {v}" for k, v in zip(outcome.values, values, strict=True))
    said = "yes" if outcome.result else "no"
    return f"{seen} → {said}{', used up' if outcome.exhausted and outcome.result else ''}"


def _node_title(node: NodeView) -> str:
    parts = [node.name if len(node.name) > NAME_LIMIT else "", node.describe, node.note]
    parts.append(f"runs only if {node.gate}" if len(node.gate) > SUB_LIMIT - 3 else "")
    if node.share > 0.004:
        parts.append(f"{node.share:.0%} of the {'dollars' if node.cost_usd else 'time'}")
    return " · ".join(p for p in parts if p)


# ------------------------------------------------------------------ shapes
_EDGE_LOOKS = {"": ("0.55", "1.2", ""), "taken": ("0.9", "1.5", ""), "not taken": ("0.32", "1.1", "4 3")}


def _weight(edge: EdgeView | None) -> int:
    """Arrows that were taken are drawn over the others."""
    return 1 if edge is None or edge.state == "" else 2 if edge.state == "taken" else 0


def _shape(node: NodeView, box: Box) -> str:
    x, y, w, h = box.x, box.y, box.width, box.height
    look = _outline(node)
    match node.kind:
        case "human":
            return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{_n(min(h / 2, 18))}" {look}/>'
        case "switch":
            return f'<path d="{_hexagon(box)}" {look}/>'
        case "graph":
            inner = f'<rect x="{_n(x + 3)}" y="{_n(y + 3)}" width="{_n(w - 6)}" height="{_n(h - 6)}" rx="4" {look}/>'
            return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="6" {look}/>{inner}'
        case "tool":
            d = f"M{_n(x)} {_n(y)}H{_n(x + w - 9)}L{_n(x + w)} {_n(y + 9)}V{_n(y + h)}H{_n(x)}Z"
            return f'<path d="{d}" {look}/>'
        case "barrier":
            bar = f'<rect x="{_n(x)}" y="{_n(y)}" width="5" height="{_n(h)}" fill="currentColor" fill-opacity="0.7"/>'
            return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" {look}/>{bar}'
    radius = "7" if node.kind == "agent" else "0"
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{radius}" {look}/>'


def _outline(node: NodeView) -> str:
    """Fill and stroke of a node by its state."""
    dash = "" if node.known else ' stroke-dasharray="5 3"'
    if node.state == "skipped":
        return f'fill="none" stroke="currentColor" stroke-opacity="0.28"{dash}'
    colour = COLOURS.get(node.state, "")
    if node.state in FRAMED:
        return f'fill="{colour}" fill-opacity="0.09" stroke="{colour}" stroke-width="1.8"{dash}'
    strong = "0.75" if node.state else "0.5"
    if node.heat > 0.005:
        tint = _n(0.05 + 0.45 * min(1.0, node.heat))
        return f'fill="{RUN}" fill-opacity="{tint}" stroke="currentColor" stroke-opacity="{strong}" stroke-width="1.1"{dash}'
    return f'fill="currentColor" fill-opacity="0.03" stroke="currentColor" stroke-opacity="{strong}" stroke-width="1.1"{dash}'


def _bar(node: NodeView, box: Box) -> list[str]:
    """Share of the dollars: a thin bar along the inside of the bottom border."""
    inset = 14.0 if node.kind in ("human", "switch") else 1.5
    room = box.width - 2 * inset
    y = box.y + box.height - 4.5
    at = f'x="{_n(box.x + inset)}" y="{_n(y)}" height="3"'
    filled = max(1.5, room * min(1.0, node.share))
    return [
        f'<rect {at} width="{_n(room)}" fill="currentColor" fill-opacity="0.08"/>',
        f'<rect {at} width="{_n(filled)}" fill="{RUN}" fill-opacity="0.85"/>',
    ]


def _state(x: float, y: float, state: str, ink: float) -> str:
    colour = COLOURS.get(state, "")
    mark = f'<tspan fill="{colour}" fill-opacity="1">{glyph(state)}</tspan>' if colour else glyph(state)
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{SMALL}" text-anchor="end" fill-opacity="{_n(max(PALE, 0.85 * ink))}">{mark} {word(state)}</text>'


def _choice(choice: ChoiceView, box: Box, state: str) -> str:
    ink = PALE if state == "skipped" else 0.9
    texts = choice_texts(choice)
    stroke = f'fill="currentColor" fill-opacity="0.03" stroke="currentColor" stroke-opacity="{_n(0.6 * ink)}"'
    middle = box.x + box.width / 2
    top = box.middle - 13 * (len(texts) - 1) / 2 + 3.5
    rows = [
        _text(middle, top + 13 * k, t, SMALL, anchor="middle", opacity=ink, weight="600" if k else "")
        for k, t in enumerate(texts)
    ]
    return f'<g><path d="{_hexagon(box)}" {stroke}/>{"".join(rows)}</g>'


def _hexagon(box: Box) -> str:
    x, y, r, b, m = box.x, box.y, box.right, box.y + box.height, box.middle
    cut = min(13.0, box.height / 2)
    return f"M{_n(x)} {_n(m)}L{_n(x + cut)} {_n(y)}H{_n(r - cut)}L{_n(r)} {_n(m)}L{_n(r - cut)} {_n(b)}H{_n(x + cut)}Z"


def _out_stub(box: Box) -> str:
    x, y = box.right, box.middle
    return (
        f'<path d="M{_n(x)} {_n(y)}H{_n(x + 10)}" fill="none" stroke="currentColor" stroke-opacity="0.55" stroke-width="1.2"/>'
        f"{_text(x + 13, y + 3.5, 'out', SMALL, opacity=0.7)}"
    )


def _path(route: Route) -> str:
    """The arrow's path in SVG's letters; what is level is said shorter."""
    out: list[str] = []
    y = 0.0
    for letter, at in pieces(route):
        out.append(f"H{_n(at[0])}" if letter == "L" and at[1] == y else letter + " ".join(_n(v) for v in at))
        y = at[-1]
    return "".join(out)


def _arrow(route: Route, colour: str, opacity: str) -> str:
    (x, y), (ax, ay), (bx, by) = arrow_head(route)
    d = f"M{_n(x)} {_n(y)}l{_n(ax - x)} {_n(ay - y)}" + (f"h{_n(bx - ax)}z" if ay == by else f"v{_n(by - ay)}z")
    return f'<path d="{d}" fill="{colour}" fill-opacity="{opacity}"/>'


def _text(
    x: float, y: float, text: str, size: float, *, anchor: str = "", opacity: float = 1.0, weight: str = ""
) -> str:
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += f' opacity="{_n(opacity)}"' if opacity < 1 else ""
    more += f' font-weight="{weight}"' if weight else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size}"{more}>{escape_line(text, 600)}</text>'


def _n(value: float) -> str:
    """A number without needless digits: stable text, small files."""
    text = f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
