"""Everything that a display needs to show of a run, read from its events."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.state import MISSING, NAMES, READY, SKIPPED
from orch_nb.schema.events import Failed
from orch_nb.trace.bill import Bill, bill_of, step_of
from orch_nb.trace.graph_state import GraphView, Outcome, picture
from orch_nb.trace.span import CALLS, ZERO, Span
from orch_nb.trace.spans import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    import networkx as nx

    from orch_nb.schema.events import ErrorInfo, Event, Refused, Waiting
    from orch_nb.trace.alerts import Notice
    from orch_nb.trace.graph_state import EdgeView, NodeView
    from orch_nb.trace.state_log import StateStep

_WORST = ("running", "waiting", "exception", "semantic_failure", "in doubt", "interrupted", "cancelled")
"""States that a node shows when any of its activations has them, most important first."""


@dataclass(slots=True)
class StateView:
    """One key of the graph's state: who writes it, who reads it, what it is now."""

    name: str
    reducer: str
    value: object
    writers: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(slots=True)
class RunView:
    """A run as it is shown.

    Attributes
    ----------
    status
        running | waiting | done | failed | cancelled; "interrupted" where its process died.
    marks, ok
        Words beside the status (``bound used up``, ``rejected``, ``degraded``), and True if the run is done and nothing that its
        output rests on is marked.
    wall_s
        Running time in seconds; pauses between two processes do not count.
    graphs
        The run's own graph first, then the graphs inside it by path.
    spans
        Every row of the trace in tree order; `starts` gives each row's start in seconds of running time.
    changes
        Seconds of running time and what the step that ended then changed of the state; of a long run the first steps,
        `changes_left_out` counts the others.
    """

    run: str
    graph: str
    status: str
    started_at: float
    wall_s: float
    notebook: str
    inputs: dict[str, object]
    output: object
    error: ErrorInfo | None
    failed_node: str
    attended: bool
    resumed: int
    parent: dict[str, object] | None
    spans: list[Span]
    starts: list[float | None]
    bill: Bill
    graphs: list[GraphView]
    state: list[StateView]
    waiting: dict[str, Waiting]
    refused: list[Refused]
    events: int
    notices: list[Notice]
    changes: list[tuple[float, StateStep]]
    changes_left_out: int
    marks: list[str]
    ok: bool

    @property
    def picture(self) -> GraphView:
        """The run's own graph."""
        return self.graphs[0]

    @property
    def steps_done(self) -> int:
        """Activations that have ended, maps' items included."""
        return sum(
            1 for span in self.spans if span.kind not in CALLS and span.kind != "attempt" and span.exit in _ENDED
        )

    @property
    def steps(self) -> int:
        """Activations that are known of: ended, under way, or due."""
        return sum(
            1 for span in self.spans if span.kind not in CALLS and span.kind != "attempt" and span.exit != "skipped"
        )


_ENDED = ("success", "reused", "semantic_failure", "exception")


def run_view(events: Iterable[Event], *, alive: bool = False) -> RunView:
    """The view of a run from its events. O(events).

    Parameters
    ----------
    alive
        Whether the run is under way in this process. A run that has not ended and is not alive was interrupted.
    """
    walk = Walk()
    for event in events:
        walk.feed(event)
    return view_of(walk, alive=alive)


def view_of(walk: Walk, *, alive: bool = False) -> RunView:
    """The view of what `walk` has read so far."""
    started, ended = walk.started, walk.ended
    assert started is not None
    rows = walk.spans(alive=alive)
    money = bill_of(rows, walk.state.limit_usd)
    status = ended.status if ended else walk.state.status if alive or walk.state.waiting else "interrupted"
    error, failed = (ended.error, ended.node) if ended else (None, "")
    if error is None and walk.state.failed:
        error, failed = next(iter(walk.state.failed.values()))
    return RunView(
        run=started.run, graph=started.graph, status=status, started_at=started.at,
        wall_s=sum(end - start for start, end in walk.sessions), notebook=started.notebook, inputs=started.inputs,
        output=ended.output if ended else None, error=error, failed_node=failed, attended=started.attended,
        resumed=walk.resumed, parent=started.parent, spans=rows,
        starts=[None if s.started_at is None else walk.elapsed(s.started_at) for s in rows],
        bill=money, graphs=_graphs(walk, rows, money, alive), state=_state(walk), waiting=dict(walk.state.waiting),
        refused=walk.refused, events=walk.count, notices=list(walk.watch.notices),
        changes=[(walk.elapsed(step.at), step) for step in walk.changes.steps], changes_left_out=walk.changes.left_out,
        marks=walk.state.marks, ok=walk.state.ok,
    )  # fmt: skip


# ------------------------------------------------------------------ pictures
def _graphs(walk: Walk, rows: list[Span], money: Bill, alive: bool) -> list[GraphView]:
    """One picture for each graph: frames of the same nested graph (rounds, items) share one."""
    views: dict[str, GraphView] = {}
    frames: dict[str, list[str]] = {}
    for key, plan in walk.plans.items():
        path = "/".join(part.partition("[")[0] for part in key.split("/")) if key else ""
        if path not in views:
            views[path] = picture(plan, path)
        frames.setdefault(path, []).append(key)
    by_path: dict[str, list[Span]] = {}
    for span in rows:
        if span.kind not in CALLS and span.kind != "attempt":
            by_path.setdefault(step_of(span), []).append(span)
    if walk.state.record:
        _add_recorded(views[""], by_path)
    for path, view in views.items():
        view.has_run = True
        _fill_nodes(view, path, by_path, walk, frames[path], alive)
        _fill_edges(view, walk, frames[path])
    _fill_shares(views, money)
    return list(views.values())


def _add_recorded(view: GraphView, by_path: dict[str, list[Span]]) -> None:
    """A recording has no plan: what was called are its nodes."""
    from orch_nb.trace.graph_state import NodeView

    for path, acts in by_path.items():
        if "/" not in path and path not in view.nodes:
            view.nodes[path] = NodeView(path, acts[0].kind)
            view.entries = (*view.entries, path)


def _fill_nodes(
    view: GraphView, path: str, by_path: dict[str, list[Span]], walk: Walk, frames: list[str], alive: bool
) -> None:
    for node in view.nodes.values():
        acts = by_path.get(f"{path}/{node.name}" if path else node.name, [])
        statuses = [walk.status_of(key, node.name) for key in frames]
        node.state = _state_word(acts, statuses, alive)
        _fill_counts(node, acts)


def _state_word(acts: list[Span], statuses: list[int | None], alive: bool) -> str:
    ran = [a for a in acts if a.exit != "skipped" or a.started_at is not None]
    states = {a.state for a in ran} | {c.state for a in ran for c in a.children if c.state == "in doubt"}
    if READY in statuses and (not ran or ran[-1].exit or ran[-1].state == "due"):
        return next((a.state for a in ran if not a.exit), "running" if alive else "due")
    for word in _WORST:
        if word in states:
            last = ran[-1].state
            return last if word == "in doubt" and last in ("success", "reused") else word
    if ran:
        return ran[-1].state
    if SKIPPED in statuses:
        return "skipped"
    first = next((s for s in statuses if s), None)
    return "" if first is None else {"done": "success", "open": "running"}.get(NAMES[first], "")


def _fill_counts(node: NodeView, acts: list[Span]) -> None:
    items = [a for a in acts if a.item is not None]
    single = [a for a in acts if a.item is None and a.exit != "skipped"]
    node.rounds = max((a.round for a in acts if a.exit != "skipped"), default=0)
    node.items = (
        sum(a.count for a in single if a.count is not None) if any(a.count is not None for a in single) else None
    )
    node.done = sum(1 for a in (items or single) if a.exit in _ENDED)
    node.seconds = sum(a.latency_s or 0.0 for a in single)
    for act in acts:
        node.calls += sum(1 for c in act.children if c.kind == "model")
        node.tokens += act.tokens
        node.cost_usd = _plus(node.cost_usd, act.cost_usd)
        if node.kind == "graph" and act.item is None:
            node.tokens += act.inner_tokens
            node.cost_usd = _plus(node.cost_usd, act.inner_cost_usd)


def _plus(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """A sum in which an unknown price stays unknown."""
    return None if a is None or b is None else a + b


def _fill_edges(view: GraphView, walk: Walk, frames: list[str]) -> None:
    out: dict[str, list[EdgeView]] = {}
    for edge in view.edges:
        out.setdefault(edge.source, []).append(edge)
    for frame in frames:
        for source, edges in out.items():
            if walk.status_of(frame, source) == SKIPPED:
                for edge in edges:
                    edge.taken = edge.taken or 0
            for round_, event in walk.taken.get((frame, source), ()):
                _fill_taken(view, source, edges, round_, event)


def _fill_taken(view: GraphView, source: str, edges: list[EdgeView], round_: int, event: Any) -> None:
    if event.__class__ is Failed and event.taken is None:
        return  # the run ends there: nothing was decided
    decision = getattr(event, "decision", None) or {}
    predicates = decision.get("predicates") or {}
    for position, edge in enumerate(edges):
        taken = event.taken is None or position in event.taken
        edge.taken = (edge.taken or 0) + taken
        seen = predicates.get(f"{edge.target}: {edge.label}")
        if seen is not None and edge.kind == "when":
            edge.outcomes.append(Outcome(round_, seen["values"], seen["result"], seen.get("exhausted", False)))
    chosen = decision.get("chooser")
    if chosen is not None and source in view.choices:
        view.choices[source].choice = chosen.get("choice") or ""
        view.choices[source].decisions.append((round_, chosen))


def _fill_shares(views: dict[str, GraphView], money: Bill) -> None:
    """Each node's share of the dollars, or of the time where nothing cost anything."""
    total = money.total.spent_usd
    nodes = [node for view in views.values() for node in view.nodes.values()]
    if total:
        for node in nodes:
            node.share = float((node.cost_usd or ZERO) / total)
        return
    time = sum(node.seconds for node in views[""].nodes.values())
    for node in nodes:
        node.share = min(1.0, node.seconds / time) if time else 0.0


def _state(walk: Walk) -> list[StateView]:
    plan = walk.plans[""]
    keys = walk.state.frames[""].state if walk.state.frames else {}
    out = []
    for name, row in plan.state.items():
        writers = tuple(n.name for n in plan.nodes if name in n.writes)
        readers = tuple(n.name for n in plan.nodes if any(r.source == "state" and r.ref == name for r in n.reads))
        value = keys[name].value if name in keys else None
        value = None if value is MISSING else value
        out.append(StateView(name, row.get("reducer", "last"), value, writers, readers))
    return out


# ------------------------------------------------------------------ networkx
def run_nx(events: Iterable[Event]) -> nx.MultiDiGraph[str]:
    """Return who called whom, as a `networkx.MultiDiGraph`.

    Nodes are steps, models and tools (attribute `kind`). Arrows of key "flow" lead from a step to the steps that its end
    activated (`times`); arrows of key "call" lead from a step to the models and tools that it called (`calls`,
    `input_tokens`, `output_tokens`, `cost_usd` Decimal or None, `seconds`, `failures`).

    Notes
    -----
    O(events). networkx is imported here, not with the package.
    """
    import networkx as nx

    view = run_view(events)
    graph = nx.MultiDiGraph(run=view.run, graph=view.graph, status=view.status)
    for picture_ in view.graphs:
        at = f"{picture_.path}/" if picture_.path else ""
        for node in picture_.nodes.values():
            graph.add_node(
                at + node.name, kind=node.kind, state=node.state, rounds=node.rounds, tokens=node.tokens,
                cost_usd=node.cost_usd, seconds=node.seconds,
            )  # fmt: skip
        for edge in picture_.edges:
            if edge.taken:
                graph.add_edge(at + edge.source, at + edge.target, key="flow", times=edge.taken, condition=edge.label)
        if picture_.path:
            for entry in picture_.entries:
                graph.add_edge(picture_.path, at + entry, key="flow", times=1, condition="")
    for span in view.spans:
        if span.kind in CALLS:
            _add_call(graph, span)
    return graph


def _add_call(graph: nx.MultiDiGraph[str], span: Span) -> None:
    target = f"{span.kind}:{span.target}"
    step = step_of(span)
    if target not in graph:
        graph.add_node(target, kind=span.kind)
    if not graph.has_edge(step, target, key="call"):
        graph.add_edge(
            step,
            target,
            key="call",
            calls=0,
            input_tokens=0,
            output_tokens=0,
            cost_usd=Decimal(0),
            seconds=0.0,
            failures=0,
        )
    row = graph.edges[step, target, "call"]
    row["calls"] += 1
    row["input_tokens"] += span.input_tokens
    row["output_tokens"] += span.output_tokens
    row["seconds"] += span.latency_s or 0.0
    row["failures"] += span.exit not in ("success", "")
    row["cost_usd"] = _plus(row["cost_usd"], span.cost_usd)


__all__ = ["RunView", "StateView", "run_nx", "run_view", "view_of"]
