"""A graph as it is drawn: nodes and arrows with what is known of them, before, during and after a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.engine.reading import path_text, stated_paths

if TYPE_CHECKING:
    from orch_nb.engine.plan import Edge, Plan, PlanNode

OPEN_STATES = frozenset({"running", "waiting", "due", "interrupted"})


@dataclass(slots=True)
class NodeView:
    """One node.

    Attributes
    ----------
    of
        What it is an instance of, or which model it runs on: the small second line.
    known
        False where nothing of this name exists in the notebook: it is drawn dashed.
    state
        A word, or "" before a run: running, waiting, due, success, passed, reused, skipped, rejected, semantic_failure,
        exception, cancelled, interrupted, "in doubt".
    heat
        0 to 1: how strongly it is tinted, where a display shows shares by colour.
    share
        Its share of the run's dollars (or of its time where nothing cost anything), 0 to 1.
    """

    name: str
    kind: str
    of: str = ""
    gate: str = ""
    each: str = ""
    effects: tuple[str, ...] = ()
    describe: str = ""
    known: bool = True
    is_out: bool = False
    inner: str = ""
    state: str = ""
    rounds: int = 0
    done: int = 0
    items: int | None = None
    calls: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    seconds: float = 0.0
    share: float = 0.0
    heat: float = 0.0
    note: str = ""
    stated: tuple[str, ...] = ()
    """Paths of its gate that are numbers which a model states about itself."""


@dataclass(slots=True)
class Outcome:
    """How a condition came out in one round: the values it saw, and whether it held."""

    round: int
    values: dict[str, object]
    result: bool
    exhausted: bool = False


@dataclass(slots=True)
class EdgeView:
    """One arrow; `back` is True for one that goes back in a loop. `taken` counts how often; None before anything was decided about it."""

    source: str
    target: str
    kind: str = "plain"
    label: str = ""
    at_most: int | None = None
    back: bool = False
    taken: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    stated: tuple[str, ...] = ()
    """Paths of its condition that are numbers which a model states about itself."""

    @property
    def state(self) -> str:
        """taken | not taken | "" (nothing decided yet)."""
        return "" if self.taken is None else "taken" if self.taken else "not taken"


@dataclass(slots=True)
class ChoiceView:
    """How a node with `by` arrows chooses: the text, and what was chosen last."""

    node: str
    text: str
    how: str = "field"
    choice: str = ""
    decisions: list[tuple[int, dict[str, object]]] = field(default_factory=list)


@dataclass(slots=True)
class GraphView:
    """A graph, ready to be laid out. `path` is "" for the run's own graph, else the node that it is inside of."""

    name: str
    path: str = ""
    nodes: dict[str, NodeView] = field(default_factory=dict)
    edges: list[EdgeView] = field(default_factory=list)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    choices: dict[str, ChoiceView] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    has_run: bool = False


def picture(plan: Plan, path: str = "") -> GraphView:
    """The plan's picture, before a run. O(nodes + edges)."""
    from orch_nb.engine.plan import topology

    topo = topology(plan)
    view = GraphView(
        plan.name,
        path,
        inputs=(*plan.inputs, *(f"{name}?" for name in plan.optional_inputs if name not in plan.inputs)),
        entries=tuple(plan.nodes[i].name for i in topo.entries),
        out=plan.out,
        groups=dict(plan.groups),
    )
    for node in plan.nodes:
        view.nodes[node.name] = node_view(node, is_out=node.name in plan.out)
        view.nodes[node.name].stated = tuple(stated_paths(plan, node.gate_reads))
        if node.chooser is not None:
            text = path_text(node.chooser.read)
            text = choice_text(node.chooser.how, text, node.chooser.model)
            view.choices[node.name] = ChoiceView(node.name, text, node.chooser.how)
    back = topology(plan).back
    view.edges = [edge_view(edge, back=e in back) for e, edge in enumerate(plan.edges)]
    for seen, edge in zip(view.edges, plan.edges, strict=True):
        seen.stated = tuple(stated_paths(plan, edge.reads))
    return view


def choice_text(how: str, path: str, model: str) -> str:
    """Return how a node chooses, as it is written after `by`."""
    return {"field": path, "similarity": f"similarity({path})", "judge": f"judge({model})"}.get(how, how)


def node_view(node: PlanNode, *, is_out: bool = False) -> NodeView:
    """One node's picture, before a run."""
    spec = node.spec
    models = spec.get("models") or ({"name": spec.get("model", "")},)
    of = models[0]["name"] or (node.function if node.function != node.name else "")
    if "route" in spec:
        of = f"route: {spec['route']['how']}"
    agent = spec.get("agent") or spec.get("name") or ""
    if agent and agent != node.name:
        of = f"{agent} · {of}" if of else agent
    each = path_text(node.each) if node.each is not None else ""
    return NodeView(
        node.name, node.kind, str(of), node.gate, each, node.effects, node.describe, is_out=is_out,
        inner=node.name if node.kind == "graph" else "",
    )  # fmt: skip


def edge_view(edge: Edge, *, back: bool = False) -> EdgeView:
    """One arrow's picture, before a run."""
    label = edge.condition if edge.kind == "when" else "else" if edge.kind == "else" else ""
    return EdgeView(edge.source, edge.target, edge.kind, label, edge.at_most, back)
