"""The frozen plan of a run: everything that decides what happens, as plain data, and nothing else.

A `Plan` is made by `graph.compile` (checked) or read back from a log. Functions are referred to by name and source hash;
`bind` pairs them with the callables of the namespace. Nothing here is ever changed after it was made. (`Plan` and its nodes
are frozen; their smallest parts are not, because that alone would triple the time to read a plan back.)
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["agent", "function", "human", "switch", "graph", "tool", "barrier"]
SourceKind = Literal["input", "node", "group", "state", "item", "const", "failure"]
EdgeKind = Literal["plain", "when", "by", "else"]


@dataclass(slots=True)
class Read:
    """One declared read: parameter `name` of the node takes `path` of a source.

    `source` says where from: "input" (graph input `ref`), "node" (`ref` a node's name), "group" (`members`, in declared
    order: the one that ran, or the list of those that did), "state" (key `ref`), "item" (the map's current item),
    "const" (`value`), "failure" (how node `ref` failed: ``class message attempts output``).

    `rounds` has, for each source, which of its results is seen: CURRENT (its current round's), LATEST (the latest of all rounds), or the number of a loop body,
    whose latest reopening fixed what is seen. Empty: CURRENT. `alone` is True for a group of which one member runs at a
    time: its value; else the list of those that ran. `back` and the rule "one that ran is a value, several are a list"
    (`alone` None) are those of plans recorded by version 1: `back` is the latest result, whatever its round.
    """

    name: str
    source: SourceKind
    ref: str = ""
    path: tuple[str, ...] = ()
    optional: bool = False
    back: bool = False
    members: tuple[str, ...] = ()
    value: object = None
    rounds: tuple[int, ...] = ()
    alone: bool | None = None


@dataclass(slots=True)
class Edge:
    """An arrow. `condition` is the text of `when` and `reads` where its paths lead. A "by" edge is chosen by its source's
    `chooser`. `at_most` is its bound: how often the counter `counter` may be advanced (None: one of its own, called as its
    position is). An arrow back without a bound advances the counters `advances` of the bounded arrows on its loop.
    `each` is the list that an arrow back maps its target over."""

    source: str
    target: str
    kind: EdgeKind = "plain"
    condition: str = ""
    at_most: int | None = None
    reads: tuple[Read, ...] = ()
    counter: int | None = None
    advances: tuple[int, ...] = ()
    each: Read | None = None


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
    offer: dict[str, object] = field(default_factory=dict)
    """What `model` stood for when the plan was made (`Offer.definition`); {} in plans that did not record it."""
    one: bool = False
    """True where a group of its candidates is read as one value: it may not choose several."""


@dataclass(slots=True, frozen=True)
class Body:
    """A loop's body. `head` is its first node; `edges` are the arrows that close it: positions in `Plan.edges`."""

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

    def all_reads(self) -> list[Read]:
        """Return what it reads for itself, for its gate, for its map and for its choice."""
        more = [self.each, self.chooser.read if self.chooser else None]
        return [*self.reads, *self.gate_reads, *(read for read in more if read is not None)]


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


def model_named(node: PlanNode, name: str) -> dict[str, object]:
    """Return the offer that a model's name stood for when this node was planned (`Offer.definition`); {} where that is not recorded."""
    kept: dict[str, object]
    for kept in (*node.spec.get("models", ()), *node.spec.get("others", ())):
        if kept["name"] == name:
            return kept
    return node.chooser.offer if node.chooser is not None and node.chooser.model == name else {}


def index_of(plan: Plan) -> dict[str, int]:
    """Name -> position. Computed once per plan object."""
    return topology(plan).index


def to_data(plan: Plan) -> dict[str, object]:
    """The plan as plain JSON data, made once per plan; not to be changed. `from_data` undoes it."""
    made: dict[str, object] = plan.data
    if made is None:
        made = _plain(plan)
        object.__setattr__(plan, "data", made)
    return made


def _plain(value: Any) -> object:
    if hasattr(value, "__dataclass_fields__"):
        defaults = _defaults(value.__class__)
        return {name: _plain(got) for name, default in defaults if (got := getattr(value, name)) != default}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


@cache
def _defaults(cls: type) -> list[tuple[str, object]]:
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
        edges=tuple(_edge(e) for e in data.get("edges", [])),
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


def _edge(row: dict[str, Any]) -> Edge:
    got = {**row, "reads": tuple(_read(r) for r in row.get("reads", ()))}
    got["advances"] = tuple(row.get("advances", ()))
    if row.get("each"):
        got["each"] = _read(row["each"])
    return Edge(**got)


def _read(row: dict[str, Any]) -> Read:
    got = dict(row)
    got["rounds"] = tuple(got.get("rounds", ()))
    got["path"] = tuple(got.get("path", ()))
    got["members"] = tuple(got.get("members", ()))
    return Read(**got)


# ------------------------------------------------------------------ topology
# A plan's arrows as arrays of positions: what `fold` walks. Computed once per plan, O(nodes + edges).
#
# Loops: a body's exits and the arrows that go back in it are remembered as their source decided them last, and passed on when
# the body has ended its last round: two rounds of one exit would race, and an effect behind it could happen twice. Where an
# arrow back was taken instead, what can be reached from its target runs again, and the rest of the body keeps its results.


FAILURE = "failure"
"""The field of every node that says how it failed: ``analyse.failure.message``."""

CURRENT, LATEST = -1, -2
"""Rounds that a read sees, beside the number of a body (`Read.rounds`)."""

END = -1
"""The position of `out` as the target of an arrow: the place after the last node, which waits for more arrows than there are."""
NEVER = 1 << 62


def _reads_of(plan: Plan) -> Iterator[Read]:
    """Yield every read of a plan: of its nodes and of its arrows."""
    for node in plan.nodes:
        yield from node.all_reads()
    for edge in plan.edges:
        yield from edge.reads
        if edge.each is not None:
            yield edge.each


class BodyTopology:
    """One loop body: its nodes, the inner bodies, and the units it waits for (nodes and inner bodies).

    `backs` are the arrows that close it; `exits` the arrows for which it is the outermost body that they leave;
    `counters` the counters that count its rounds; `remembered` the nodes whose results its reopening fixes for readers.
    """

    __slots__ = ("backs", "counters", "exits", "first", "inner", "members", "parent", "remembered", "units")

    def __init__(self, nodes: frozenset[int], backs: tuple[int, ...], parent: int) -> None:
        self.members, self.backs, self.parent = nodes, backs, parent
        self.first = min(nodes)
        self.inner: list[int] = []
        self.exits: list[int] = []
        self.counters: list[int] = []
        self.remembered: list[int] = []
        self.units = 0


class Reopening:
    """What runs again when a body reopens by some of its arrows back: computed once for each set of them.

    `nodes`: with the number of arrows that each waits for, and whether it is a target; `ready` those that wait for none.
    `touched`: the body itself and the inner bodies that are entered again, with the units each waits for. `counters`: what
    is advanced; () where that depends on the arrows taken before. `mapped_by`: targets and the arrows that map them.
    """

    __slots__ = ("counters", "mapped_by", "nodes", "ready", "touched")

    def __init__(self, nodes: list[tuple[int, int, bool]], touched: list[tuple[int, int]]) -> None:
        self.nodes, self.touched = nodes, touched
        self.ready = [i for i, pending, _ in nodes if not pending]
        self.counters: tuple[int, ...] = ()
        self.mapped_by: dict[int, int] = {}


DIRECT, HELD, COUNTED = range(3)
"""How an arrow's outcome is passed on: at once; when a body has ended its last round; at once, and remembered (it is bounded)."""


class Topology:
    """Positions for everything. `out[i]`: edge positions leaving node i, in declared order (what `taken` counts in)."""

    __slots__ = ("bodies", "body_of", "back", "chain", "counter", "counted_by", "direct", "entries", "incoming", "index", "left_body", "limit", "need",
                 "out", "plain", "plan", "reopenings", "simple", "source", "target", "units", "way")  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        n = len(plan.nodes)
        self.plan = plan
        self.index = {node.name: i for i, node in enumerate(plan.nodes)}
        self.source = [self.index[e.source] for e in plan.edges]
        self.target = [self.index.get(e.target, END) for e in plan.edges]
        self.limit = [e.at_most for e in plan.edges]
        self.counter = [e if edge.counter is None else edge.counter for e, edge in enumerate(plan.edges)]
        back = self.back = frozenset(e for body in plan.bodies for e in body.edges)
        out: list[list[int]] = [[] for _ in range(n)]
        self.incoming: list[list[int]] = [[] for _ in range(n)]
        for e, source in enumerate(self.source):
            out[source].append(e)
            if e not in back and self.target[e] != END:
                self.incoming[self.target[e]].append(e)
        self.out = [tuple(edges) for edges in out]
        self.need = [*(len(edges) for edges in self.incoming), NEVER]
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
        self._arrows()

    def _bodies(self, plan: Plan, n: int) -> None:
        self.bodies = [
            BodyTopology(frozenset(self.index[x] for x in b.nodes), b.edges, -1 if b.parent is None else b.parent)
            for b in plan.bodies
        ]
        self.body_of = [-1] * n
        """Innermost body of each node."""
        for b in sorted(range(len(self.bodies)), key=lambda b: -len(self.bodies[b].members)):
            for i in self.bodies[b].members:
                self.body_of[i] = b
        self.chain = [self._chain(self.body_of[i]) for i in range(n)]
        """Bodies around each node, outermost first."""
        self.units = 0
        for b in self.body_of:
            if b >= 0:
                self.bodies[b].units += 1
            else:
                self.units += 1
        for b, body in enumerate(self.bodies):
            if body.parent >= 0:
                self.bodies[body.parent].inner.append(b)
                self.bodies[body.parent].units += 1
            else:
                self.units += 1
        for read in _reads_of(plan):
            for name, b in zip(read.members or (read.ref,), read.rounds, strict=False):
                if b >= 0 and (i := self.index[name]) not in self.bodies[b].remembered:
                    self.bodies[b].remembered.append(i)
        self.reopenings: dict[tuple[int, tuple[int, ...]], Reopening] = {}

    def _arrows(self) -> None:
        """Set how each arrow's outcome is passed on, and which counters each body has."""
        self.left_body = [-1 if e in self.back else self._outermost_left(e) for e in range(len(self.source))]
        """The outermost body that a forward arrow leaves; -1 for none."""
        for e, b in enumerate(self.left_body):
            if b >= 0:
                self.bodies[b].exits.append(e)
        self.way = [
            HELD if e in self.back or self.left_body[e] >= 0 else DIRECT if self.limit[e] is None else COUNTED
            for e in range(len(self.source))
        ]
        self.direct = [all(self.way[e] == DIRECT for e in edges) for edges in self.out]
        """Whether all of a node's arrows are seen by their targets at once."""
        self.counted_by: dict[int, list[int]] = {}
        """The bounded arrows of each counter."""
        for e, limit in enumerate(self.limit):
            if limit is not None:
                self.counted_by.setdefault(self.counter[e], []).append(e)
        for counter, arrows in self.counted_by.items():
            ends = {self.source[e] for e in arrows} | {self.target[e] for e in arrows}
            around = [b for b, body in enumerate(self.bodies) if ends <= body.members]
            if around:
                self.bodies[min(around, key=lambda b: len(self.bodies[b].members))].counters.append(counter)

    def _chain(self, b: int) -> tuple[int, ...]:
        around: list[int] = []
        while b >= 0:
            around.append(b)
            b = self.bodies[b].parent
        return tuple(reversed(around))

    def _outermost_left(self, e: int) -> int:
        left, b = -1, self.body_of[self.source[e]]
        while b >= 0 and self.target[e] not in self.bodies[b].members:
            left, b = b, self.bodies[b].parent
        return left

    def advanced(self, back: tuple[int, ...], last: bytearray) -> list[int]:
        """Return the counters that arrows back advance: their own, and those of the bounded arrows taken on their loops."""
        found: dict[int, None] = {}
        for e in back:
            own = () if self.limit[e] is None else (self.counter[e],)
            advances = self.plan.edges[e].advances
            taken = tuple(c for c in advances if any(last[x] for x in self.counted_by[c]))
            found |= dict.fromkeys(own + (taken or (() if own else advances)))
        return list(found)

    def most_rounds(self, b: int) -> int:
        """Return how often a body can reopen, once it was entered: the sum of the bounds that its arrows back advance."""
        counters = {
            c
            for e in self.bodies[b].backs
            for c in ((self.counter[e],) if self.limit[e] is not None else self.plan.edges[e].advances)
        }
        return sum(self.limit[self.counted_by[c][0]] or 0 for c in counters)

    def reopening(self, b: int, back: tuple[int, ...]) -> Reopening:
        """Return what runs again when body `b` reopens by the arrows `back`."""
        found = self.reopenings.get((b, back))
        if found is None:
            found = self.reopenings[b, back] = self._reopening(b, {self.target[e] for e in back})
            if not any(self.plan.edges[e].advances for e in back):
                found.counters = tuple(dict.fromkeys(self.counter[e] for e in back))
            found.mapped_by = {self.target[e]: e for e in back if self.plan.edges[e].each is not None}
        return found

    def _reopening(self, b: int, heads: set[int]) -> Reopening:
        inside = self.bodies[b].members
        reached: set[int] = set()
        touched = {b}
        todo = list(heads)
        while todo:
            i = todo.pop()
            if i in reached:
                continue
            reached.add(i)
            todo += self._targets((i,), inside)
            for c in self.chain[i][self.chain[i].index(b) + 1 :]:
                if c not in touched:  # what follows an inner body waits for it, so all of that runs again
                    touched.add(c)
                    todo += [
                        x for x in self._targets(self.bodies[c].members, inside) if x not in self.bodies[c].members
                    ]
        nodes = [
            (
                i,
                sum(1 for e in self.incoming[i] if self.source[e] in reached or self.left_body[e] in touched),
                i in heads,
            )
            for i in sorted(reached)
        ]
        units = dict.fromkeys(touched, 0)
        for i in reached:
            units[self.body_of[i]] += 1
        for c in touched - {b}:
            units[self.bodies[c].parent] += 1
        return Reopening(nodes, sorted(units.items()))

    def _targets(self, nodes: Iterable[int], inside: frozenset[int]) -> list[int]:
        """Return where forward arrows lead from some nodes, inside a body."""
        return [self.target[e] for i in nodes for e in self.out[i] if e not in self.back and self.target[e] in inside]


def topology(plan: Plan) -> Topology:
    """The plan's topology, made at the first call and kept on the plan."""
    made: Topology | None = plan.made
    if made is None:
        made = Topology(plan)
        object.__setattr__(plan, "made", made)
    return made
