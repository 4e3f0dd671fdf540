"""Order, ancestors and loop bodies of a graph's arrows, by position. Bit sets in Python integers: 20,000 nodes in under a second."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

Arrow = tuple[int, int]


def order(n: int, arrows: list[Arrow]) -> list[int]:
    """Positions in topological order, the lowest position first among those that are free.

    Shorter than `n` when the arrows contain a cycle: what is missing is on it or behind it.
    """
    need = [0] * n
    out: list[list[int]] = [[] for _ in range(n)]
    for a, b in arrows:
        out[a].append(b)
        need[b] += 1
    free = [i for i in range(n) if not need[i]]
    heapq.heapify(free)
    made = []
    while free:
        i = heapq.heappop(free)
        made.append(i)
        for b in out[i]:
            need[b] -= 1
            if not need[b]:
                heapq.heappush(free, b)
    return made


def a_cycle(n: int, arrows: list[Arrow]) -> list[int]:
    """Positions of one cycle, first repeated last; [] when there is none."""
    import networkx as nx

    try:
        found = nx.find_cycle(nx.DiGraph(arrows))
    except nx.NetworkXNoCycle:
        return []
    return [a for a, _ in found] + [found[0][0]]


def cyclic_parts(arrows: list[Arrow]) -> dict[int, int]:
    """Number, for each position on a cycle, the set of positions that lead to each other."""
    import networkx as nx

    rings = [ring for ring in nx.strongly_connected_components(nx.DiGraph(arrows)) if len(ring) > 1]
    loops = {a for a, b in arrows if a == b}
    found = {i: k for k, ring in enumerate(rings) for i in ring}
    return found | {i: -1 - i for i in loops if i not in found}


def leading_back(n: int, arrows: Mapping[int, Arrow], bounded: AbstractSet[int]) -> set[int]:
    """Return the arrows that go back, given which are bounded; positions are in the order in which nodes were first written.

    A bounded arrow against that order goes back. Where cycles are left (a bounded arrow leads forward on them), the arrows
    against the order go back.
    """
    against = {e for e, (source, target) in arrows.items() if target <= source}
    back = _on_cycles(n, arrows) & against & bounded
    return back | (_on_cycles(n, {e: arrow for e, arrow in arrows.items() if e not in back}) & against)


def _on_cycles(n: int, arrows: Mapping[int, Arrow]) -> set[int]:
    """Return the arrows that lie on a cycle."""
    if len(order(n, list(arrows.values()))) == n:
        return set()
    ring = cyclic_parts(list(arrows.values()))
    return {e for e, (a, b) in arrows.items() if a == b or (a in ring and ring[a] == ring.get(b))}


def ancestors(n: int, arrows: list[Arrow], ordered: list[int]) -> list[int]:
    """For each position the bit set of itself and everything before it."""
    into: list[list[int]] = [[] for _ in range(n)]
    for a, b in arrows:
        into[b].append(a)
    made = [0] * n
    for i in ordered:
        bits = 1 << i
        for a in into[i]:
            bits |= made[a]
        made[i] = bits
    return made


def descendants(n: int, arrows: list[Arrow]) -> list[int]:
    """For each position of a topological order, the bit set of itself and everything after it."""
    made = [1 << i for i in range(n)]
    out: list[list[int]] = [[] for _ in range(n)]
    for a, b in arrows:
        out[a].append(b)
    for i in reversed(range(n)):
        for b in out[i]:
            made[i] |= made[b]
    return made


def members(bits: int) -> list[int]:
    """The positions in a bit set, ascending."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


@dataclass(slots=True)
class Loop:
    """A loop's body as a bit set of nodes, with what lies after and before any of them, and the arrows that close it."""

    nodes: int
    after: int
    before: int
    arrows: list[int] = field(default_factory=list)
    parent: int | None = None


class Bodies:
    """The loop bodies of a graph: what lies on forward paths from the target of an arrow back to its source, merged.

    Bodies that contain one another nest. Bodies that overlap without nesting are one, and so are bodies side by side that
    wait for each other: at each nesting level, the bodies directly inside are contracted to a point each, and what is on a
    cycle of points is one body. A body has all nodes on forward paths between any two of its nodes.

    Parameters
    ----------
    n
        Number of nodes; positions are in topological order of `forward`.
    forward
        Arrows that do not go back.
    before
        `ancestors(n, forward, range(n))`.
    """

    def __init__(self, n: int, forward: list[Arrow], before: list[int]) -> None:
        self.n, self.forward, self.before = n, forward, before
        self.after = descendants(n, forward)
        self.found: list[Loop] = []

    def of(self, backs: list[tuple[int, int, int]]) -> list[Loop]:
        """Return the bodies of arrows back, given as (number, source, target); each arrow closes the smallest around it."""
        natural = {}
        for _, source, target in backs:
            nodes = self.after[target] & self.before[source]
            natural[nodes] = Loop(nodes, self.after[target], self.before[source])
        self.found = list(natural.values())
        while self._join_overlapping() or self._join_waiting():
            pass
        self.found.sort(key=lambda loop: (loop.nodes.bit_count(), loop.nodes))
        for number, source, target in backs:
            both = 1 << source | 1 << target
            next(loop for loop in self.found if loop.nodes & both == both).arrows.append(number)
        self._nest()
        return self.found

    def _join(self, parts: list[Loop], nodes: int = 0) -> Loop:
        """Return one body of several and of further nodes, with all that lies between them."""
        after = before = 0
        for part in parts:
            after, before = after | part.after, before | part.before
        for i in members(nodes):
            after, before = after | self.after[i], before | self.before[i]
        return Loop(after & before, after, before)

    def _join_overlapping(self) -> bool:
        """Join bodies that overlap without nesting, and whatever overlaps with those; return whether something did."""
        parts: list[list[Loop]] = []
        for one in self.found:
            linked = [part for part in parts if any(one.nodes & k.nodes not in (0, one.nodes, k.nodes) for k in part)]
            parts = [part for part in parts if part not in linked]
            parts.append([one, *(k for part in linked for k in part)])
        joined = {(loop := part[0] if len(part) == 1 else self._join(part)).nodes: loop for part in parts}
        changed = len(joined) < len(self.found)
        self.found = list(joined.values())
        return changed

    def _join_waiting(self) -> bool:
        """Join what waits for each other at one nesting level; return whether something did."""
        self._nest()
        levels: dict[int | None, list[int]] = {}
        for k, loop in enumerate(self.found):
            levels.setdefault(loop.parent, []).append(k)
        for level, inner in levels.items():
            if len(inner) > 1 and (parts := self._cycles(-1 if level is None else self.found[level].nodes, inner)):
                gone = {k for ring, _ in parts for k in ring}
                joined = [self._join([self.found[k] for k in ring], nodes) for ring, nodes in parts]
                self.found = [loop for k, loop in enumerate(self.found) if k not in gone] + joined
                return True
        return False

    def _cycles(self, inside: int, inner: list[int]) -> list[tuple[list[int], int]]:
        """Return bodies and single nodes on each cycle, once each body of `inner` is contracted to a point."""
        point = list(range(self.n))
        for k in inner:
            for i in members(self.found[k].nodes):
                point[i] = self.n + k
        arrows = [
            (point[a], point[b])
            for a, b in self.forward
            if inside >> a & 1 and inside >> b & 1 and point[a] != point[b]
        ]
        size = self.n + len(self.found)
        if len(order(size, arrows)) == size:
            return []
        import networkx as nx

        rings = [ring for ring in nx.strongly_connected_components(nx.DiGraph(arrows)) if len(ring) > 1]
        return [
            ([x - self.n for x in sorted(ring) if x >= self.n], sum(1 << x for x in ring if x < self.n))
            for ring in rings
        ]

    def _nest(self) -> None:
        """Set the parent of each body: the smallest around it."""
        by_size = sorted(range(len(self.found)), key=lambda k: (self.found[k].nodes.bit_count(), self.found[k].nodes))
        for at, k in enumerate(by_size):
            nodes = self.found[k].nodes
            self.found[k].parent = next((m for m in by_size[at + 1 :] if self.found[m].nodes & nodes == nodes), None)
