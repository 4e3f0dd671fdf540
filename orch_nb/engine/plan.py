"""The frozen plan of a run: everything that decides what happens, as plain data, and nothing else.

A `Plan` is made by `graph.compile` (checked) or read back from a log. Functions are referred to by name and source hash;
`bind` pairs them with the callables of the namespace. Nothing here is ever changed after it was made. (`Plan` and its nodes
are frozen; their smallest parts are not, because that alone would triple the time to read a plan back.)
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Literal

Kind = Literal["agent", "function", "human", "switch", "graph", "tool", "barrier"]
SourceKind = Literal["input", "node", "group", "state", "item", "const"]
EdgeKind = Literal["plain", "when", "by", "else"]


@dataclass(slots=True)
class Read:
    """One declared read: parameter `name` of the node takes `path` of a source.

    `source` says where from: "input" (graph input `ref`), "node" (`ref` a node's name), "group" (`members`, in declared
    order: the one that ran, or the list of those that did), "state" (key `ref`), "item" (the map's current item),
    "const" (`value`). `back` is True when the source reaches this node only by a loop edge: the latest completed round.
    """

    name: str
    source: SourceKind
    ref: str = ""
    path: tuple[str, ...] = ()
    optional: bool = False
    back: bool = False
    members: tuple[str, ...] = ()
    value: Any = None


@dataclass(slots=True)
class Edge:
    """An arrow. `condition` is the text of `when` and `reads` where its paths lead; `at_most` closes a loop. A "by" edge is
    chosen by its source's `chooser`."""

    source: str
    target: str
    kind: EdgeKind = "plain"
    condition: str = ""
    at_most: int | None = None
    reads: tuple[Read, ...] = ()


@dataclass(slots=True, frozen=True)
class Chooser:
    """How a node's `by` edges are chosen: how = "field" (the value read is a target's name), "similarity" (embedding of
    the text read against the candidates' descriptions and examples, at or above `threshold`), "judge" (`model` chooses, by
    the descriptions) or "fit" (description, reads, state and availability of each). Nothing chosen: `else`."""

    how: Literal["field", "similarity", "judge", "fit"]
    read: Read
    candidates: tuple[str, ...]
    threshold: float = 0.0
    describe: dict[str, str] = field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    model: str = ""
    offer: dict[str, Any] = field(default_factory=dict)
    """What `model` stood for when the plan was made (`Offer.definition`); {} in plans that did not record it."""


@dataclass(slots=True, frozen=True)
class Body:
    """A loop's body: the nodes on a path from its target to its sources. `edges`: positions in `Plan.edges`."""

    head: str
    nodes: tuple[str, ...]
    edges: tuple[int, ...]
    parent: int | None = None


@dataclass(slots=True)
class Retry:
    """Retries of transient failures: at most `attempts` tries, exponential back-off from `base_s` up to `cap_s`, full
    jitter. A provider's Retry-After is obeyed up to `cap_s`; above it the attempt fails at once."""

    attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 30.0


@dataclass(slots=True, frozen=True)
class PlanNode:
    """One node. `spec` is the kind's own definition as plain data (an agent's prompt, `out` and model; a human's question).

    `function` names the callable in `bind`; `source_hash` is the hash of its source (resume compares it).
    `fingerprint` is the hash of the definition: the part of an activation's fingerprint that does not change with values.
    """

    name: str
    kind: Kind
    reads: tuple[Read, ...] = ()
    writes: dict[str, str] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    function: str = ""
    source_hash: str = ""
    fingerprint: str = ""
    effects: tuple[str, ...] = ()
    gate: str = ""
    gate_reads: tuple[Read, ...] = ()
    each: Read | None = None
    each_as: str = ""
    on_failure: Literal["fail", "skip", "else"] = "fail"
    chooser: Chooser | None = None
    timeout_s: float | None = None
    retry: Retry = field(default_factory=Retry)
    budget_usd: str | None = None
    budget: dict[str, Any] | None = None
    """What its budget says beside dollars (`Budget.beside_usd`)."""
    describe: str = ""


@dataclass(slots=True, frozen=True)
class Plan:
    """A checked graph, frozen. `nodes` are in topological order of the forward edges; positions are identities."""

    name: str
    nodes: tuple[PlanNode, ...]
    edges: tuple[Edge, ...]
    inputs: tuple[str, ...] = ()
    optional_inputs: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    bodies: tuple[Body, ...] = ()
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    subplans: dict[str, Plan] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False
    made: Any = field(default=None, init=False, repr=False, compare=False)
    """The topology, made on first use (`topology`)."""
    data: Any = field(default=None, init=False, repr=False, compare=False)
    """The plan as data, made on first use (`to_data`)."""

    def node(self, name: str) -> PlanNode:
        """The node of this name (O(1) after the first call)."""
        return self.nodes[index_of(self)[name]]


def model_named(node: PlanNode, name: str) -> dict[str, Any]:
    """What a model's name stood for when this node was planned (`Offer.definition`); {} where that is not recorded."""
    kept: dict[str, Any]
    for kept in (*node.spec.get("models", ()), *node.spec.get("others", ())):
        if kept["name"] == name:
            return kept
    return node.chooser.offer if node.chooser is not None and node.chooser.model == name else {}


def index_of(plan: Plan) -> dict[str, int]:
    """Name -> position. Computed once per plan object."""
    return topology(plan).index


def to_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON data, made once per plan; not to be changed. `from_data` undoes it."""
    made: dict[str, Any] = plan.data
    if made is None:
        made = _plain(plan)
        object.__setattr__(plan, "data", made)
    return made


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        defaults = _defaults(value.__class__)
        return {name: _plain(got) for name, default in defaults if (got := getattr(value, name)) != default}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


@cache
def _defaults(cls: type) -> list[tuple[str, Any]]:
    """The fields of a part of a plan with their defaults: what equals its default is not written."""
    return [
        (f.name, f.default_factory() if f.default_factory is not MISSING else f.default) for f in fields(cls) if f.init
    ]


def from_data(data: dict[str, Any]) -> Plan:
    """The plan that `to_data` wrote."""
    nodes = []
    for row in data.get("nodes", []):
        got = dict(row)
        got["reads"] = tuple(_read(r) for r in got.get("reads", ()))
        if got.get("each"):
            got["each"] = _read(got["each"])
        if got.get("chooser"):
            c = dict(got["chooser"])
            c["candidates"] = tuple(c.get("candidates", ()))
            c["read"] = _read(c["read"])
            c["examples"] = {k: tuple(v) for k, v in c.get("examples", {}).items()}
            got["chooser"] = Chooser(**c)
        got["gate_reads"] = tuple(_read(r) for r in got.get("gate_reads", ()))
        got["retry"] = Retry(**got.get("retry", {}))
        got["effects"] = tuple(got.get("effects", ()))
        nodes.append(PlanNode(**got))
    return Plan(
        name=data["name"],
        nodes=tuple(nodes),
        edges=tuple(Edge(**{**e, "reads": tuple(_read(r) for r in e.get("reads", ()))}) for e in data.get("edges", [])),
        inputs=tuple(data.get("inputs", ())),
        optional_inputs=tuple(data.get("optional_inputs", ())),
        out=tuple(data.get("out", ())),
        bodies=tuple(
            Body(b["head"], tuple(b["nodes"]), tuple(b["edges"]), b.get("parent")) for b in data.get("bodies", [])
        ),
        state=data.get("state", {}),
        subplans={k: from_data(v) for k, v in data.get("subplans", {}).items()},
        groups={k: tuple(v) for k, v in data.get("groups", {}).items()},
        open=data.get("open", False),
    )


def _read(row: dict[str, Any]) -> Read:
    got = dict(row)
    got["path"] = tuple(got.get("path", ()))
    got["members"] = tuple(got.get("members", ()))
    return Read(**got)


# ------------------------------------------------------------------ topology
# A plan's arrows as arrays of positions: what `fold` walks. Computed once per plan, O(nodes + edges).
#
# Loops: an edge with `at_most` closes a body. A body's exits (and an outer loop's edge out of an inner body) are held back
# until the body settles, so that outside sees the final round only: two rounds of one exit would race, and an effect behind
# it could happen twice.


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
        self.hold = [self._held_back(e, self.body_of[self.source[e]], members) for e in range(len(plan.edges))]
        """The bodies, innermost first, that must settle before an edge's outcome is seen by its target."""
        self.direct = [all(not self.hold[e] and self.limit[e] is None for e in edges) for edges in self.out]
        """Whether all of a node's arrows are seen by their targets at once."""

    def _chain(self, b: int) -> tuple[int, ...]:
        around: list[int] = []
        while b >= 0:
            around.append(b)
            b = self.bodies[b].parent
        return tuple(reversed(around))

    def _held_back(self, e: int, b: int, members: list[frozenset[int]]) -> tuple[int, ...]:
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
