"""Cards: an agent and a graph as they are defined."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from orch_nb.display import draws
from orch_nb.errors import OrchError
from orch_nb.graph.loops import leading_back
from orch_nb.trace.graph_state import ChoiceView, EdgeView, GraphView, NodeView, picture
from orch_nb.trace.preview import brief
from orch_nb.views import html
from orch_nb.views.bundle import GRAPH, bundle, notes_on
from orch_nb.views.format import RUN, WARN, count
from orch_nb.views.graph_json import graph_data
from orch_nb.views.graph_svg import svg
from orch_nb.views.safe_text import clean, escape, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
    from orch_nb.views.bundle import Bundle
    from orch_nb.views.plots.figure import Picture

PROMPT_LIMIT = 8192


# ------------------------------------------------------------------ agent
def agent_html(agent: Any, *, used_by: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """The agent's card."""
    spec = agent.spec
    left = [html.strong(spec.name), html.quiet("agent"), html.quiet(spec.role or "")]
    body = _agent_table(agent, used_by).html()
    parts = [
        html.bar(*[p for p in left if p], right=html.quiet(_models_text(agent))),
        *(_note_html(text) for text in notes),
        *(_note_html(text, warn=True) for text in agent.warnings()),
        html.section(body, first=True),
        html.section(f"{_prompt_html(spec.prompt)}", title="prompt"),
    ]
    system = agent.system_prompt()
    if system:
        parts.append(html.folded(f"system prompt, {count(len(system), 'character')}", html.code(system, PROMPT_LIMIT)))
    return html.panel(*parts)


def agent_text(agent: Any, *, used_by: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """The same in plain text."""
    parts = [f"agent {agent.name} · {_models_text(agent)}", _agent_table(agent, used_by).text()]
    parts += [f"! {line(text, 400)}" for text in (*notes, *agent.warnings())]
    parts += ["prompt:", _indent(clean(agent.spec.prompt, PROMPT_LIMIT))]
    system = agent.system_prompt()
    if system:
        parts += ["system prompt:", _indent(clean(system, PROMPT_LIMIT))]
    return "\n".join(parts)


def _agent_table(agent: Any, used_by: Sequence[str]) -> Table:
    spec = agent.spec
    table = Table([Column(), Column()])

    def row(name: str, text: str) -> None:
        if text:
            table.add(Cell(name, quiet=True), text)

    row("reads", ", ".join(r.text for r in agent.reads) or "nothing")
    row("output", "text" if agent.out is None else f"{line(agent.out.describe(), 200)}  ({_enforcement(spec)})")
    row("tools", ", ".join(t.name + (f" (effect: {', '.join(t.effects)})" if t.effects else "") for t in agent.tools))
    row("effects", ", ".join(spec.effects))
    row("budget", f"{_budget_text(spec.budget)} for each activation" if spec.budget is not None else "")
    row("route", _route_text(spec.route))
    row("second opinion", _second_text(spec))
    row("latency", f"at most {spec.sla['seconds']:g} s" if spec.sla else "")
    row("limits", _limits(spec))
    row("used by", ", ".join(used_by))
    row("describe", line(spec.describe or "", 200))
    return table


def _limits(spec: Any) -> str:
    parts = [f"max output {count(spec.max_tokens, 'token')}"]
    if spec.timeout is not None:
        parts.append(f"timeout {spec.timeout:g} s")
    if spec.cache is not None:
        parts.append(f"cache {spec.cache}")
    if spec.temperature:
        parts.append(f"temperature {spec.temperature:g}")
    return ", ".join(parts)


def _budget_text(budget: object) -> str:
    """A budget as it is shown: ``$0.01, 5 calls``."""
    text = str(budget)
    return f"${text}" if getattr(budget, "usd", budget) is not None else text


def _enforcement(spec: Any) -> str:
    how = {
        "provider": "enforced by the provider, validated locally",
        "constrained": "enforced by constrained decoding, validated locally",
    }
    return how.get(spec.enforce, "validated locally")


def _route_text(route: object) -> str:
    """Return how the model is chosen, as it is written."""
    if route is None:
        return ""
    if isinstance(route, str):
        return f"{route}: learned with enough evidence, else a cascade over the notebook's models"
    return line(brief(route, 300), 300)


def _second_text(spec: Any) -> str:
    """Whom it asks besides, and when."""
    from orch_nb.schema.route_spec import complete_second_opinion

    if spec.second_opinion is None:
        return ""
    made = complete_second_opinion(spec.second_opinion)
    return f"of {made['model']}, where confidence by {made['by']} is below {made['below']:g}"


def _models_text(agent: Any) -> str:
    out = [f"{name}{_model_note(agent, name)}" for name in agent.model_names]
    return " else ".join(out) if agent.spec.route is None else f"one of {', '.join(out)}"


def _model_note(agent: object, name: str) -> str:
    from orch_nb.catalog import models

    try:
        offer = models.current().resolve(name)
    except OrchError:
        return " (not defined)"
    if offer.note:
        return f" = {offer.note}"
    return f" = {offer.provider}/{offer.model}" if offer.model != name else ""


_READ = re.compile(r"(?<!\\)\{\{[^{}]*\}\}")


def _prompt_html(prompt: str) -> str:
    """The prompt with its reads marked. The marks are set in escaped text, so nothing of the prompt can be markup."""
    marked = _READ.sub(
        lambda m: f'<span style="border-bottom:2px solid {RUN}">{m[0]}</span>', escape(prompt, PROMPT_LIMIT)
    )
    style = f"margin:2px 0;font:12px/1.5 {html.MONO};white-space:pre-wrap;overflow-wrap:anywhere;background:transparent;color:inherit"
    return f'<pre style="{style}">{marked}</pre>'


def _note_html(text: str, *, warn: bool = False) -> str:
    colour = WARN if warn else RUN
    mark = "! " if warn else ""
    return f'<div style="padding:4px 12px;border-left:3px solid {colour}">{mark}{html.prose(text, 500)}</div>'


def _indent(text: str) -> str:
    return "\n".join(f"  {row}" for row in text.splitlines())


# ------------------------------------------------------------------ graph
def graph_view(graph: Any, namespace: Mapping[str, object]) -> GraphView:
    """The graph's picture: of its plan where it compiles, else of what is written, with what is wrong."""
    from orch_nb.agents.binding import compile_in
    from orch_nb.errors import GraphError

    try:
        return picture(compile_in(graph, namespace))
    except GraphError as error:
        problems = error.problems or (str(error),)
    except OrchError as error:
        problems = (str(error),)
    view = spec_view(graph.spec(), namespace)
    view.problems = tuple(problems)
    return view


def exit_notes(view: GraphView, written: Container[str]) -> list[str]:
    """One for each node with conditional exits alone: where none of them is true, a person is asked who is in no cell."""
    return [
        f"`{edge.source}` has no exit where none of its conditions is true: a person is asked then. "
        f"`{edge.source} -> NAME else` says where to go."
        for edge in view.edges
        if edge.kind == "else" and edge.target not in written
    ]


def stated_notes(view: GraphView) -> list[str]:
    """One for each arrow or gate that a number guards which a model states about itself: a lint mark, not an error."""
    rows = [(f"`{e.source} -> {e.target} when {e.label}`", e.stated) for e in view.edges if e.stated]
    rows += [(f"`{n.name} when {n.gate}`", n.stated) for n in view.nodes.values() if n.stated]
    return [
        f"{what} rests on {', '.join(f'`{path}`' for path in paths)}, which the model states about itself and nothing measures. "
        "Measured: `route: {cascade: […], by: agreement(3)}`, `second_opinion`, or `by similarity(…)`."
        for what, paths in rows
    ]


def misread_notes(spec: GraphSpec, namespace: Mapping[str, object]) -> list[str]:
    """Return what the agents' conditions read that is nearly what their prompts do: one input more than was meant."""
    from orch_nb.agents.agent import Agent

    agents = {
        node.of or node.name: node.target if node.target is not None else namespace.get(node.of or node.name)
        for node in spec.nodes.values()
    }
    return [
        f"`{name}`: {said}" for name, agent in agents.items() if isinstance(agent, Agent) for said in agent.misread()
    ]


def spec_view(spec: GraphSpec, namespace: Mapping[str, object]) -> GraphView:
    """The picture of an edited graph that need not compile: unknown names are marked."""
    view = GraphView(spec.name, groups=dict(spec.groups), out=spec.out)
    for node in spec.nodes.values():
        view.nodes[node.name] = _spec_node(node, namespace, is_out=node.name in spec.out)
    at = {name: i for i, name in enumerate(spec.nodes)}
    arrows = {e: (at[x.source], at[x.target]) for e, x in enumerate(spec.edges) if x.source in at and x.target in at}
    back = leading_back(len(at), arrows, {e for e in arrows if spec.edges[e].at_most is not None})
    for e, edge in enumerate(spec.edges):
        view.edges.append(_spec_edge(edge, back=e in back))
        if edge.kind == "by" and edge.source not in view.choices:
            view.choices[edge.source] = ChoiceView(edge.source, edge.by)
        if edge.each and edge.target in view.nodes:
            view.nodes[edge.target].each = edge.each
    targets = {e.target for e in view.edges if not e.back}
    view.entries = tuple(name for name in spec.nodes if name not in targets)
    return view


def _spec_node(node: NodeSpec, namespace: Mapping[str, object], *, is_out: bool) -> NodeView:
    target = node.target if node.target is not None else namespace.get(node.of or node.name)
    kind = node.kind or getattr(target, "kind", "") or _kind_of(target)
    known = node.kind in ("human", "switch", "barrier") or target is not None
    return NodeView(node.name, kind, node.of, node.gate, known=known, is_out=is_out)


def _kind_of(target: object) -> str:
    name = type(target).__name__
    return {"Agent": "agent", "Graph": "graph", "Tool": "tool"}.get(name, "")


def _spec_edge(edge: EdgeSpec, *, back: bool) -> EdgeView:
    label = edge.condition if edge.kind == "when" else "else" if edge.kind == "else" else ""
    return EdgeView(edge.source, edge.target, edge.kind, label, edge.at_most, back)


def graph_html(view: GraphView, cell: str, *, notes: Sequence[str] = ()) -> str:
    """The graph's card: the picture, what is wrong, and its text."""
    parts = [
        html.bar(html.strong(view.name), html.quiet(graph_facts(view))),
        *(_note_html(text) for text in notes),
        *(_note_html(text, warn=True) for text in view.problems[:8]),
        html.drawing(svg(view), twin=True) or html.section(html.quiet("too large to be drawn"), first=True),
        html.folded("as text", html.code(cell, PROMPT_LIMIT)),
    ]
    return html.panel(*parts)


def graph_text(view: GraphView, cell: str, *, notes: Sequence[str] = ()) -> str:
    """The same in plain text."""
    rows = [f"graph {view.name} · {graph_facts(view)}"]
    rows += [f"! {line(text, 400)}" for text in (*notes, *view.problems[:8])]
    return "\n".join([*rows, clean(cell, PROMPT_LIMIT).rstrip()])


def graph_facts(view: GraphView) -> str:
    """Size, inputs and outputs in one line."""
    parts = [count(len(view.nodes), "node"), count(len(view.edges), "arrow")]
    if view.inputs:
        parts.append(f"inputs {', '.join(view.inputs)}")
    if view.out:
        parts.append(f"out {', '.join(view.out)}")
    unknown = [n.name for n in view.nodes.values() if not n.known]
    if unknown:
        parts.append(f"not defined: {', '.join(unknown)}")
    return " · ".join(parts)


def namespace() -> Mapping[str, object]:
    """The notebook's variables; empty outside of IPython (which is not imported for it)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    found: Mapping[str, object] = {} if shell is None else shell.user_ns
    return found


@draws("orch_nb.graph.builder.Graph")
def graph_bundle(graph: Any, *, names: Mapping[str, object] | None = None) -> Bundle:
    """A graph's card: picture, inputs and outputs, what is wrong, its cell."""
    known = namespace() if names is None else names
    view = graph_view(graph, known)
    cell = graph.to_cell()
    read = misread_notes(graph.spec(), known)
    notes = (*notes_on(graph), *exit_notes(view, graph.nx.nodes), *stated_notes(view), *read)
    return bundle(
        graph_text(view, cell, notes=notes), graph_html(view, cell, notes=notes), kind=GRAPH,
        data={"kind": "graph", "pictures": [graph_data(view)], "cell": cell[: PROMPT_LIMIT]},
    )  # fmt: skip


@draws("orch_nb.agents.agent.Agent")
def agent_bundle(agent: Any, *, names: Mapping[str, object] | None = None) -> Bundle:
    """An agent's card: inputs, answer, tools, effects, the compiled system prompt, the graphs that use it, warnings."""
    used = users_of(agent.name, namespace() if names is None else names)
    notes = notes_on(agent)
    return bundle(agent_text(agent, used_by=used, notes=notes), agent_html(agent, used_by=used, notes=notes))


def users_of(name: str, names: Mapping[str, object]) -> list[str]:
    """Graphs of the namespace in which an object of this name is a node, in alphabetical order."""
    found = []
    for key in sorted(k for k in names if not k.startswith("_")):
        graph = names[key]
        nx = getattr(graph, "nx", None)
        if type(graph).__name__ != "Graph" or nx is None:
            continue
        if any(node == name or getattr(data.get("spec"), "of", "") == name for node, data in nx.nodes(data=True)):
            found.append(key)
    return found


@draws("orch_nb.graph.builder.Graph", "figure")
def graph_figure(graph: object, *, names: Mapping[str, object] | None = None) -> Picture:
    """A graph as a matplotlib figure, where its card has it."""
    from orch_nb.views.plots.graph import plot_graph

    return plot_graph(graph_view(graph, namespace() if names is None else names))
