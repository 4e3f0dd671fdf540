"""A drawing as data: what the interactive renderer, and any figure, is made from. Coordinates are those of the SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.trace.critical import critical_path
from orch_nb.trace.decisions import choices
from orch_nb.trace.message import messages
from orch_nb.trace.preview import brief
from orch_nb.views.columnar import HARD_BYTES, SOFT_BYTES, Packed, Texts, saved_bytes, sent_bytes
from orch_nb.views.decisions import data as choice_data
from orch_nb.views.graph_svg import CHOICE, INPUT, MAX_DRAWN, Drawing, outcome_text
from orch_nb.views.safe_text import clean, line
from orch_nb.views.trace_json import MAX_SPANS, SHORT_FIELD, choose, critical_places, details, rows_of, skeleton

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.trace.bill import Bill, Line
    from orch_nb.trace.critical import CriticalPath
    from orch_nb.trace.decisions import Choice
    from orch_nb.trace.graph_state import GraphView, NodeView
    from orch_nb.trace.message import Message
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.state_log import StateStep
    from orch_nb.views.trace_json import Row

FIELD = 2048
"""Characters of a text in the JSON; whole prompts stay in the store."""
MESSAGE, MOST_MESSAGES = 200, 400
"""Characters of a message in the sequence chart, and messages: a chart is looked at, the trace is read."""
MOST_PLAIN = 60
"""Arrows. Of a larger picture each arrow's points are one string: as lists they would be most of the file."""


def graph_data(view: GraphView) -> dict[str, object]:
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


def _node(node: NodeView, drawing: Drawing) -> dict[str, object]:
    made = {
        "name": node.name, "kind": node.kind, "lines": [list(row) for row in drawing.subs[node.name]], "state": node.state,
        "share": round(node.share, 4), "rounds": node.rounds, "done": node.done, "items": node.items, "tokens": node.tokens,
        "cost_usd": _usd(node.cost_usd), "seconds": round(node.seconds, 4), "describe": clean(node.describe, FIELD),
        "gate": clean(node.gate, FIELD), "known": node.known, "out": node.is_out, **_box(drawing, node.name),
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in ("", None, [], 0) or k in ("x", "y")}


def _choice(name: str, drawing: Drawing) -> dict[str, object]:
    choice = drawing.view.choices[name]
    return {
        "name": name,
        "kind": "choice",
        "label": clean(choice.text, FIELD),
        "choice": choice.choice,
        **_box(drawing, CHOICE + name),
    }


def _edge(e: int, drawing: Drawing) -> dict[str, object]:
    link, route, edge = drawing.links[e], drawing.layout.routes[e], drawing.drawn[e]
    made: dict[str, object] = {
        "source": _end(link.source), "target": _end(link.target), "points": _points(drawing, e),
        "style": route.style, "label": [clean(t, FIELD) for t in drawing.link_labels[e]], "label_at": list(route.label),
    }  # fmt: skip
    if edge is not None:
        made |= {"kind": edge.kind, "condition": clean(edge.label, FIELD), "at_most": edge.at_most, "taken": edge.taken}
        made["outcomes"] = [outcome_text(o) for o in edge.outcomes[-20:]]
    return {k: v for k, v in made.items() if v not in ("", None, [])}


def _points(drawing: Drawing, e: int) -> list[list[float]] | Packed:
    """An arrow's corners; of large pictures packed: ``12,40.5 96,40.5``."""
    points = drawing.layout.routes[e].points
    if len(drawing.links) <= MOST_PLAIN:
        return [list(p) for p in points]
    return Packed(" ".join(f"{x:g},{y:g}" for x, y in points))


def _end(name: str) -> str:
    return "" if name == INPUT else name.replace(CHOICE, "by ")


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


# ------------------------------------------------------------------ runs
def run_data(view: RunView, *, room: int = SOFT_BYTES, most: int = HARD_BYTES) -> dict[str, object]:
    """A run as plain data: pictures, spans, bill, state, decisions; then details of spans while there is room.

    Parameters
    ----------
    room
        Bytes that it should take in a saved notebook; what has no room in it is left out and counted.
    most
        Bytes that it takes at most: a skeleton of very many spans may be larger than `room`, but not larger than this.
    """
    path = critical_path(view)
    critical = critical_places(view, path)
    data = _head(view) | {
        "critical": _critical(path),
        "decisions": [_decision(d) for d in choices(view.spans) if d.how != "name"][-200:],
    }
    rows, data["spans"] = _fitting(view, critical, most - saved_bytes(data))
    data["spans_left_out"] = len(view.spans) - len(rows)
    texts = Texts()
    told = _decisions_by_key(view, rows)
    used = saved_bytes(data)
    room = min(max(room - used, DETAILS_ROOM), most - used)
    data["details"], data["details_left_out"] = details(rows, critical, texts, room, told)
    data["texts"] = texts.kept
    _tell_course(data, view, room - saved_bytes(data["details"]) - saved_bytes(data["texts"]))
    data["full"] = f"`%orch trace {line(view.run, 40)} --full`"
    return data


def _tell_course(data: dict[str, object], view: RunView, room: int) -> None:
    """Messages in the order of time and what each step changed of the state, the first of each while there is room."""
    said = messages(view)
    told = {
        "messages": [_message(m) for m in said[:MOST_MESSAGES]],
        "states": [_change(s, at) for at, s in view.changes],
    }
    there = {"messages": len(said), "states": len(view.changes) + view.changes_left_out}
    for name, share in (("states", 0.5), ("messages", 1.0)):
        kept = _while_room(told[name], int(room * share))
        room -= saved_bytes(kept)
        data[name], data[f"{name}_left_out"] = kept, there[name] - len(kept)


def _while_room(rows: list[dict[str, object]], room: int) -> list[dict[str, object]]:
    for place, row in enumerate(rows):
        room -= saved_bytes(row)
        if room < 0:
            return rows[:place]
    return rows


def _message(one: Message) -> dict[str, object]:
    text = f"{one.text} ({one.why})" if one.why else one.text
    return {"from": line(one.source, 80), "to": line(one.target, 80), "at_s": round(one.at_s, 4),
            "text": clean(text, MESSAGE), "kind": one.kind}  # fmt: skip


def _change(step: StateStep, at: float) -> dict[str, object]:
    changes = [
        {"field": line(c.field, 200), "before": clean(c.before, SHORT_FIELD), "after": clean(c.after, SHORT_FIELD)}
        for c in step.changes[:40]
    ]
    return {"after": line(step.key, 200), "at_s": round(at, 4), "changes": changes}


def live_data(view: RunView, room: int, *, has_pictures: bool = True) -> dict[str, object]:
    """A run under way as plain data: its figures, its picture, and its newest rows while `room` bytes last. No details."""
    data = _head(view, has_pictures=has_pictures)
    data |= {"bill": _bill(view.bill, steps=12), "state": [], "inputs": {}, "decisions": [], "details": {}, "texts": []}
    rows, data["spans"] = _fitting(view, set(), max(2000, room - sent_bytes(data) - 400))
    data["spans_left_out"] = len(view.spans) - len(rows)
    return data


def _fitting(view: RunView, critical: set[int], room: int) -> tuple[list[Row], dict[str, object]]:
    """As many rows as `room` has bytes for."""
    most = MAX_SPANS
    while True:
        rows = choose(rows_of(view), critical, most)
        made = skeleton(rows, critical)
        took = saved_bytes(made)
        if took <= room or most <= 20:
            return rows, made
        most = max(20, int(len(rows) * 0.95 * room / took))


def _head(view: RunView, *, has_pictures: bool = True) -> dict[str, object]:
    return {
        "kind": "run", "run": view.run, "graph": view.graph, "status": view.status, **({"marks": view.marks, "ok": view.ok} if view.marks else {}), "started_at": view.started_at,
        "wall_s": round(view.wall_s, 4), "resumed": view.resumed, "pictures": [graph_data(g) for g in view.graphs] if has_pictures else [],
        "bill": _bill(view.bill), "state": [_state(row) for row in view.state],
        "waiting": [{"key": k, "question": clean(w.question, FIELD), "shown": clean(brief(w.shown, FIELD), FIELD),
                     "options": list(w.options)} for k, w in view.waiting.items()],
        "error": None if view.error is None else {"node": view.failed_node, "type": view.error.type,
                                                  "message": clean(view.error.message, FIELD), "hint": clean(view.error.hint, FIELD)},
        "inputs": {clean(k, 64): clean(brief(v, SHORT_FIELD), SHORT_FIELD) for k, v in list(view.inputs.items())[:40]},
        "output": brief(view.output, FIELD) if view.output is not None else None,
        "notices": [{"kind": n.kind, "key": n.key, "text": clean(n.text, FIELD)} for n in view.notices],
    }  # fmt: skip


def _critical(path: CriticalPath) -> dict[str, object]:
    """The critical path in figures; its spans are marked in their column."""
    rows = [{"name": line(name, 200), "seconds": round(s, 4)} for name, s in list(path.by_step.items())[:20]]
    return {"total_s": round(path.total_s, 4), "queued_s": round(path.queued_s, 4), "model_s": round(path.model_s, 4),
            "other_s": round(path.other_s, 4), "by_step": rows}  # fmt: skip


def _decision(one: Choice) -> dict[str, object]:
    """One line of the decision log; with every candidate it is in the details of its step."""
    saw = "; ".join([*one.seen, *one.steps]) or one.because
    made = {"after": line(one.key, 200), "round": one.round, "of": one.of, "asked": clean(f"{one.of} by {one.how}", FIELD),
            "saw": clean(saw, FIELD), "outcome": clean(f"→ {one.chosen or 'none'}, because {one.because}", FIELD),
            "target": line(one.chosen, 200),
            "scores": {line(o.name, 64): round(o.score, 4) for o in one.options[:40] if o.score is not None}}  # fmt: skip
    return {k: v for k, v in made.items() if v not in ("", {})}


def _decisions_by_key(view: RunView, rows: list[Row]) -> dict[str, dict[str, object]]:
    """Key of an activation -> its decisions, in one line each and in full."""
    kept = {span.key for _, span, _ in rows}
    found: dict[str, dict[str, Any]] = {}
    for one in choices(view.spans):
        if one.key in kept and (one.how != "name" or len(one.options) > 1):
            told = found.setdefault(one.key, {"decisions": [], "choices": []})
            told["decisions"].append(_decision(one))
            told["choices"].append(choice_data(one))
    return found


def _state(row: Any) -> dict[str, Any]:
    return {"name": row.name, "reducer": row.reducer, "writers": list(row.writers), "readers": list(row.readers),
            "value": clean(brief(row.value, FIELD), FIELD)}  # fmt: skip


DETAILS_ROOM = 20_000
"""Bytes that details always get: what went wrong is told of a run of any length."""
MOST_LINES = 200
"""Of a bill's steps, agents, models in the JSON: those that cost most."""


def _bill(bill: Bill, steps: int = MOST_LINES) -> dict[str, object]:
    return {
        "limit_usd": _usd(bill.limit_usd), "total": _line(bill.total), "steps": [_line(r) for r in _costly(bill.steps, steps)],
        "agents": [_line(r) for r in _costly(bill.agents, steps)], "models": [_line(r) for r in _costly(bill.models, steps)],
        "savings": [{"kind": s.kind, "usd": str(s.usd), "times": s.times, "how": s.how} for s in bill.savings],
    }  # fmt: skip


def _costly(rows: list[Line], most: int) -> list[Line]:
    """At most `most` lines, in their order: those that cost most, or where nothing did, took most tokens."""
    if len(rows) <= most:
        return rows
    kept = {id(r) for r in sorted(rows, key=lambda r: (-r.spent_usd, -r.tokens))[:most]}
    return [r for r in rows if id(r) in kept]


def _line(row: Line) -> dict[str, object]:
    made = {
        "name": row.name, "calls": row.calls, "input_tokens": row.input_tokens, "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens, "cache_write_tokens": row.cache_write_tokens, "spent_usd": str(row.spent_usd), "unpriced": row.unpriced,
        "held_usd": str(row.held_usd), "in_doubt_usd": str(row.in_doubt_usd), "overrun_usd": str(row.overrun_usd),
        "saved_usd": str(row.saved_usd), "retries": row.retries,
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in (0, "0")}
