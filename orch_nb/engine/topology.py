"""A plan's arrows as arrays of positions: what `fold` walks. Computed once per plan, O(nodes + edges).

Loops: an edge with `at_most` closes a body. A body's exits (and an outer loop's edge out of an inner body) are held back
until the body settles, so that outside sees the final round only: two rounds of one exit would race, and an effect behind
it could happen twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.engine.plan import Plan


class BodyTopology:
    """One loop body: its nodes, the in-degree each has from inside, and the units it waits for (nodes and inner bodies)."""

    __slots__ = ("edges", "head", "inner", "need", "nodes", "parent", "units")

    def __init__(self, nodes: tuple[int, ...], head: int, edges: tuple[int, ...], parent: int) -> None:
        self.nodes, self.head, self.edges, self.parent = nodes, head, edges, parent
        self.need: dict[int, int] = {}
        self.inner: list[int] = []
        self.units = 0


class Topology:
    """Positions for everything. `out[i]`: edge positions leaving node i, in declared order (what `taken` counts in)."""

    __slots__ = ("bodies", "body_of", "chain", "direct", "edge_body", "entries", "hold", "incoming", "index", "limit", "need", "out",
                 "plain", "simple", "source", "target", "units")  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        n = len(plan.nodes)
        self.index = {node.name: i for i, node in enumerate(plan.nodes)}
        self.source = [self.index[e.source] for e in plan.edges]
        self.target = [self.index[e.target] for e in plan.edges]
        self.limit = [e.at_most for e in plan.edges]
        out: list[list[int]] = [[] for _ in range(n)]
        self.incoming: list[list[int]] = [[] for _ in range(n)]
        for e, source in enumerate(self.source):
            out[source].append(e)
            if self.limit[e] is None:
                self.incoming[self.target[e]].append(e)
        self.out = [tuple(edges) for edges in out]
        self.need = [len(edges) for edges in self.incoming]
        self.simple = [
            all(plan.edges[e].kind == "plain" and plan.edges[e].at_most is None for e in edges) for edges in out
        ]
        """Whether all of a node's arrows are taken always."""
        self.plain = [
            node.kind == "function" and not (node.gate or node.each or node.effects) and node.timeout_s is None
            for node in plan.nodes
        ]
        """Whether a node is a function and nothing more: the driver's shortest way."""
        self.entries = tuple(i for i in range(n) if not self.need[i])
        self._bodies(plan, n)

    def _bodies(self, plan: Plan, n: int) -> None:
        index = self.index
        self.bodies = [
            BodyTopology(tuple(index[x] for x in b.nodes), index[b.head], b.edges, -1 if b.parent is None else b.parent)
            for b in plan.bodies
        ]
        members = [frozenset(b.nodes) for b in self.bodies]
        self.body_of = [-1] * n
        """Innermost body of each node."""
        for b in sorted(range(len(self.bodies)), key=lambda b: -len(members[b])):
            for i in members[b]:
                self.body_of[i] = b
        self.chain = [self._chain(self.body_of[i]) for i in range(n)]
        """Bodies around each node, outermost first."""
        self.edge_body = [-1] * len(plan.edges)
        """The body that a loop edge closes."""
        for b, body in enumerate(self.bodies):
            for e in body.edges:
                self.edge_body[e] = b
            body.need = {
                i: sum(1 for e in self.incoming[i] if self.source[e] in members[b]) for i in sorted(members[b])
            }
            if body.parent >= 0:
                self.bodies[body.parent].inner.append(b)
        for i in range(n):
            if self.body_of[i] >= 0:
                self.bodies[self.body_of[i]].units += 1
        self.units = sum(1 for b in self.body_of if b < 0)
        for body in self.bodies:
            if body.parent >= 0:
                self.bodies[body.parent].units += 1
            else:
                self.units += 1
        self.hold = [self._held(e, self.body_of[self.source[e]], members) for e in range(len(plan.edges))]
        """The bodies, innermost first, that must settle before an edge's outcome is seen by its target."""
        self.direct = [all(not self.hold[e] and self.limit[e] is None for e in edges) for edges in self.out]
        """Whether all of a node's arrows are seen by their targets at once."""

    def _chain(self, b: int) -> tuple[int, ...]:
        around: list[int] = []
        while b >= 0:
            around.append(b)
            b = self.bodies[b].parent
        return tuple(reversed(around))

    def _held(self, e: int, b: int, members: list[frozenset[int]]) -> tuple[int, ...]:
        held: list[int] = []
        while b >= 0 and b != self.edge_body[e] and (self.limit[e] is not None or self.target[e] not in members[b]):
            held.append(b)
            b = self.bodies[b].parent
        return tuple(held)


def topology(plan: Plan) -> Topology:
    """The plan's topology, made at the first call and kept on the plan."""
    made: Topology | None = plan.made
    if made is None:
        made = Topology(plan)
        object.__setattr__(plan, "made", made)
    return made
