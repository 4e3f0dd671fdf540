"""A drawing as data: what the interactive renderer, and any figure, is made from. Coordinates are those of the SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.notebook.svg import CHOICE, INPUT, MAX_DRAWN, Drawing, outcome_text
from orch_nb.notebook.visible import clean, line
from orch_nb.notebook.why import data as choice_data
from orch_nb.trace.brief import brief
from orch_nb.trace.choices import choices
from orch_nb.trace.span import CALLS

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.trace.bill import Bill, Line
    from orch_nb.trace.picture import GraphView, NodeView
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

FIELD = 2048
"""Characters of a text in the JSON; whole prompts stay in the store."""
MAX_SPANS = 1000


def graph_data(view: GraphView) -> dict[str, Any]:
    """The graph with its layout as plain data."""
    if not 0 < len(view.nodes) <= MAX_DRAWN:
        return {
            "name": line(view.name),
            "path": view.path,
            "nodes": [],
            "edges": [],
            "too_large": len(view.nodes) > MAX_DRAWN,
        }
    drawing = Drawing(view)
    lay = drawing.layout
    nodes = [_node(node, drawing) for node in view.nodes.values()]
    nodes += [_choice(name, drawing) for name in view.choices]
    if INPUT in lay.boxes:
        nodes.append({"name": "", "kind": "input", "label": ", ".join(view.inputs), **_box(drawing, INPUT)})
    edges = [_edge(e, drawing) for e in range(len(drawing.links))]
    groups = [{"name": line(g), "x": x, "y": y, "width": w, "height": h} for g, (x, y, w, h) in lay.groups.items()]
    return {
        "name": line(view.name), "path": view.path, "width": lay.width, "height": lay.height, "nodes": nodes, "edges": edges,
        "groups": groups, "inputs": list(view.inputs), "out": list(view.out), "problems": [clean(p, FIELD) for p in view.problems],
    }  # fmt: skip


def _box(drawing: Drawing, name: str) -> dict[str, float]:
    box = drawing.layout.boxes[name]
    return {"x": box.x, "y": box.y, "width": round(box.width, 1), "height": round(box.height, 1)}


def _node(node: NodeView, drawing: Drawing) -> dict[str, Any]:
    made = {
        "name": node.name, "kind": node.kind, "lines": [list(row) for row in drawing.subs[node.name]], "state": node.state,
        "share": round(node.share, 4), "rounds": node.rounds, "done": node.done, "items": node.items, "tokens": node.tokens,
        "cost_usd": _usd(node.cost_usd), "seconds": round(node.seconds, 4), "describe": clean(node.describe, FIELD),
        "gate": clean(node.gate, FIELD), "known": node.known, "out": node.is_out, **_box(drawing, node.name),
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in ("", None, [], 0) or k in ("x", "y")}


def _choice(name: str, drawing: Drawing) -> dict[str, Any]:
    choice = drawing.view.choices[name]
    return {
        "name": name,
        "kind": "choice",
        "label": clean(choice.text, FIELD),
        "choice": choice.choice,
        **_box(drawing, CHOICE + name),
    }


def _edge(e: int, drawing: Drawing) -> dict[str, Any]:
    link, route, edge = drawing.links[e], drawing.layout.routes[e], drawing.drawn[e]
    made: dict[str, Any] = {
        "source": _end(link.source), "target": _end(link.target), "points": [list(p) for p in route.points],
        "style": route.style, "label": [clean(t, FIELD) for t in drawing.link_labels[e]], "label_at": list(route.label),
    }  # fmt: skip
    if edge is not None:
        made |= {"kind": edge.kind, "condition": clean(edge.label, FIELD), "at_most": edge.at_most, "taken": edge.taken}
        made["outcomes"] = [outcome_text(o) for o in edge.outcomes[-20:]]
    return {k: v for k, v in made.items() if v not in ("", None, [])}


def _end(name: str) -> str:
    return "" if name == INPUT else name.replace(CHOICE, "by ")


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


# ------------------------------------------------------------------ runs
def run_data(view: RunView) -> dict[str, Any]:
    """A run as plain data: pictures, spans, bill, state."""
    rows = list(zip(view.spans, view.starts, strict=True))
    return {
        "kind": "run", "run": view.run, "graph": view.graph, "status": view.status, "started_at": view.started_at,
        "wall_s": round(view.wall_s, 4), "resumed": view.resumed, "pictures": [graph_data(g) for g in view.graphs],
        "spans": [_span(s, start) for s, start in rows[:MAX_SPANS]], "spans_left_out": max(0, len(rows) - MAX_SPANS),
        "bill": _bill(view.bill), "state": [_state(row) for row in view.state],
        "waiting": [{"key": k, "question": clean(w.question, FIELD), "options": list(w.options)} for k, w in view.waiting.items()],
        "error": None if view.error is None else {"node": view.failed_node, "type": view.error.type,
                                                  "message": clean(view.error.message, FIELD), "hint": clean(view.error.hint, FIELD)},
        "output": brief(view.output, FIELD) if view.output is not None else None,
        "notices": [{"kind": n.kind, "key": n.key, "text": clean(n.text, FIELD)} for n in view.notices],
    }  # fmt: skip


def _state(row: Any) -> dict[str, Any]:
    return {"name": row.name, "reducer": row.reducer, "writers": list(row.writers), "readers": list(row.readers),
            "value": clean(brief(row.value, FIELD), FIELD)}  # fmt: skip


def _span(span: Span, start: float | None) -> dict[str, Any]:
    made = {k: v for k, v in span.row().items() if v not in (None, "", 0)}
    made |= {"depth": span.depth, "state": span.state, "start_s": None if start is None else round(start, 4)}
    for name in ("input", "output_summary", "action"):
        if name in made:
            made[name] = clean(made[name], FIELD)
    if span.kind in CALLS:
        made["call"] = span.call
    if decided := choices([span]):
        made["choices"] = [choice_data(one) for one in decided]
    if span.error is not None:
        made["error"] = f"{span.error.type}: {clean(span.error.message, FIELD)}"
    return made


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "limit_usd": _usd(bill.limit_usd), "total": _line(bill.total), "steps": [_line(r) for r in bill.steps],
        "agents": [_line(r) for r in bill.agents], "models": [_line(r) for r in bill.models],
    }  # fmt: skip


def _line(row: Line) -> dict[str, Any]:
    made = {
        "name": row.name, "calls": row.calls, "input_tokens": row.input_tokens, "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens, "spent_usd": str(row.spent_usd), "unpriced": row.unpriced,
        "held_usd": str(row.held_usd), "in_doubt_usd": str(row.in_doubt_usd), "overrun_usd": str(row.overrun_usd),
        "saved_usd": str(row.saved_usd), "retries": row.retries,
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in (0, "0")}
