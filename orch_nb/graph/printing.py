"""A `GraphSpec` as the text of a `%%graph` cell, in one canonical form.

Reading the text gives the same graph again (without line numbers and objects), and printing that gives the same text:
both are property tests. Arrows keep their order; neighbours that differ only in their ends share a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.graph.notation import json_text, shaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec

MAX_HOPS = 6
"""Arrows of one printed line: more do not fit a cell's width."""


def print_graph(spec: GraphSpec) -> str:
    """The canonical text of a graph: arrows, groups, declared nodes, outputs, state. Linear in its size."""
    return _Printer(spec).text()


@dataclass(slots=True)
class _Bundle:
    """Arrows that one line can say: every source to every target, with the same modifiers."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    shape: EdgeSpec
    default: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        return self.shape.kind == "plain" and self.shape.at_most is None and not self.shape.each


class _Printer:
    """Writes lines. What has been mentioned so far is always the beginning of the order of nodes."""

    def __init__(self, spec: GraphSpec) -> None:
        self.spec = spec
        self.order = list(spec.nodes)
        self.place = {name: at for at, name in enumerate(self.order)}
        self.seen: set[str] = set()
        self.next = 0
        self.groups = list(spec.groups.items())
        self.said: dict[tuple[str, ...], str] = {}
        self.undeclared = {n.name for n in spec.nodes.values() if _is_declared(n)}
        self.lines: list[str] = []

    def text(self) -> str:
        for chain in _chains(list(_bundles(self.spec.edges, self.place))):
            self._say(_ends(chain), self._arrows, chain)
        self._rest_of_groups()
        self._declarations()
        self._mention_until(len(self.order) - 1)
        if self.spec.out:
            self.lines.append("out " + ", ".join(self.spec.out))
        if self.spec.state:
            self.lines.append(f"state {self.spec.state}")
        return "\n".join(self.lines) + "\n" if self.lines else ""

    # -------------------------------------------------------------- order of first mention
    def _say(self, names: Sequence[str], line: object, of: object) -> None:
        """Write one line that mentions `names` in this order, after whatever must be mentioned before it."""
        new = [self.place[n] for n in dict.fromkeys(names) if n not in self.seen]
        if new:
            self._mention_until(_first_kept(new) - 1)
        self.lines.append(line(of))  # type: ignore[operator]
        self._see(names)

    def _see(self, names: Sequence[str]) -> None:
        self.seen.update(names)
        while self.next < len(self.order) and self.order[self.next] in self.seen:
            self.next += 1
        while self.groups and all(m in self.seen for m in self.groups[0][1]):
            self._group(*self.groups.pop(0))

    def _mention_until(self, last: int) -> None:
        for name in self.order[self.next : last + 1]:
            if name in self.seen or self._mentioned_by_group():
                continue
            twins = self._twins(name) if name in self.undeclared else [name]
            self.lines.append(self._declared(name) if name in self.undeclared else name)
            self._see(twins)

    def _mentioned_by_group(self) -> bool:
        """Whether the next group's line mentions just what comes next; then it is written."""
        new = [n for n in self.groups[0][1] if n not in self.seen] if self.groups else []
        fits = bool(new) and new == self.order[self.next : self.next + len(new)]
        if fits:
            self._see(self.groups[0][1])
        return fits

    def _rest_of_groups(self) -> None:
        while self.groups:
            members = self.groups[0][1]
            new = [n for n in members if n not in self.seen]
            self._mention_until(max(self.place[n] for n in new))

    # -------------------------------------------------------------- lines
    def _group(self, name: str, members: tuple[str, ...]) -> None:
        self.lines.append(f"{name} = {{{', '.join(members)}}}")
        if len(members) > 1:
            self.said.setdefault(members, name)

    def _arrows(self, chain: list[_Bundle]) -> str:
        stops = [chain[0].sources, *(b.targets for b in chain)]
        text = " -> ".join(self._end(stop) for stop in stops)
        words = modifier_text(chain[0].shape)
        if chain[0].default:
            words += f"   else {self._end(chain[0].default)}"
        return f"{text}   {words}" if words else text

    def _end(self, names: tuple[str, ...]) -> str:
        if len(names) == 1:
            return names[0]
        return self.said.get(names) or f"{{{', '.join(names)}}}"

    def _declarations(self) -> None:
        for name in self.order:
            if name in self.undeclared:
                self._say(tuple(self._twins(name)), self._declared, name)

    def _twins(self, name: str) -> list[str]:
        """The nodes that share a declaration with this one: its instances of the same object that follow it."""
        first = self.spec.nodes[name]
        twins = [name]
        if first.of:
            for other in self.order[self.place[name] + 1 :]:
                if other not in self.undeclared or _declaration(self.spec.nodes[other]) != _declaration(first):
                    break
                twins.append(other)
        return twins

    def _declared(self, name: str) -> str:
        twins = self._twins(name)
        self.undeclared.difference_update(twins)
        head = name if len(twins) == 1 else f"{{{', '.join(twins)}}}"
        return f"{head}: {_declaration(self.spec.nodes[name])}"


def modifier_text(shape: EdgeSpec) -> str:
    """What follows an arrow: ``when qa.score < 0.6   at most 2``."""
    words = []
    if shape.kind == "by":
        words.append(f"by {shape.by}" + (f" above {shape.threshold!r}" if shape.threshold is not None else ""))
    elif shape.kind == "when":
        words.append(f"when {shape.condition}")
    elif shape.kind == "else":
        words.append("else")
    if shape.each:
        words.append(f"each {shape.each} as {shape.each_as}")
    if shape.at_most is not None:
        words.append(f"at most {shape.at_most}")
    return "   ".join(words)


def _is_declared(node: NodeSpec) -> bool:
    return bool(node.kind or node.of or node.bindings or node.gate or node.question)


def _declaration(node: NodeSpec) -> str:
    words = [w for w in (node.kind, node.of) if w]
    if node.question:
        words.append(json_text(node.question))
    if node.bindings:
        words.append("with " + ", ".join(f"{k} = {v}" for k, v in node.bindings.items()))
    if node.gate:
        words.append(f"when {node.gate}")
    return " ".join(words)


def _ends(chain: list[_Bundle]) -> list[str]:
    names = [*chain[0].sources]
    for bundle in chain:
        names += bundle.targets
    return [*names, *chain[0].default]


def _first_kept(positions: list[int]) -> int:
    """Where the nodes begin that a line may be the first to mention: the longest end of their order that it says in order."""
    said = {position: at for at, position in enumerate(positions)}
    first = max(positions)
    while first - 1 in said and said[first - 1] < said[first]:
        first -= 1
    return first


# ------------------------------------------------------------------ edges into lines
class _Order:
    """Who is mentioned first, so that lines are joined only where that keeps the order of nodes."""

    def __init__(self, edges: list[EdgeSpec], place: dict[str, int]) -> None:
        self.place = place
        self.first: dict[str, int] = {}
        for at, edge in enumerate(edges):
            self.first.setdefault(edge.source, at)
            self.first.setdefault(edge.target, at)

    def may_join(self, source: str, targets: tuple[str, ...], at: int) -> bool:
        """Whether `source` may stand before `targets` in a line that begins with the arrow `at`."""
        if self.first[source] < at or all(self.first[t] < at for t in targets):
            return True
        return self.place[source] < min(self.place[t] for t in targets)


def _bundles(edges: list[EdgeSpec], place: dict[str, int]) -> Iterator[_Bundle]:
    order = _Order(edges, place)
    at = 0
    while at < len(edges):
        bundle, at = _bundle(edges, at, order)
        if bundle.shape.kind == "by" and at < len(edges) and _is_default(edges[at], bundle):
            default, after = _bundle(edges, at, order)
            if default.sources == bundle.sources and default.shape.at_most is None:
                bundle.default, at = default.targets, after
        yield bundle


def _is_default(edge: EdgeSpec, bundle: _Bundle) -> bool:
    return edge.kind == "else" and edge.at_most is None and edge.source == bundle.sources[0]


def _bundle(edges: list[EdgeSpec], at: int, order: _Order) -> tuple[_Bundle, int]:
    """The longest ``{sources} -> {targets}`` that begins at `at`, and where it ends."""
    shape = shaped(edges[at], "", "")
    targets = _targets(edges, at, shape)
    sources = {edges[at].source: None}
    end = at + len(targets)
    while end < len(edges):
        source = edges[end].source
        same = source not in sources and _targets(edges, end, shape)[: len(targets)] == targets
        if not same or not order.may_join(source, targets, at):
            break
        sources[source] = None
        end += len(targets)
    return _Bundle(tuple(sources), targets, shape), end


def _targets(edges: list[EdgeSpec], at: int, shape: EdgeSpec) -> tuple[str, ...]:
    found: dict[str, None] = {}
    source = edges[at].source
    for here in range(at, len(edges)):
        edge = edges[here]
        if edge.source != source or edge.target in found or shaped(edge, "", "") != shape:
            break
        found[edge.target] = None
    return tuple(found)


def _chains(bundles: list[_Bundle]) -> Iterator[list[_Bundle]]:
    chain: list[_Bundle] = []
    for bundle in bundles:
        follows = chain and len(chain) < MAX_HOPS and chain[-1].plain and bundle.plain
        if follows and chain[-1].targets == bundle.sources:
            chain.append(bundle)
            continue
        if chain:
            yield chain
        chain = [bundle]
    if chain:
        yield chain
