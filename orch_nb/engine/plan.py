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
    from orch_nb.engine.topology import topology

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
