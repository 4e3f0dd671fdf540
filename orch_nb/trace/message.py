"""Who called whom: what went along the arrows, to models and tools and back, and between the graph and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.trace.bill import step_of
from orch_nb.trace.preview import brief
from orch_nb.trace.span import CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_nb.trace.graph_state import EdgeView
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

PERSON = "a person"
OUTSIDE = "input"
"""Where what a run was given comes from."""


@dataclass(slots=True)
class Message:
    """One message.

    Attributes
    ----------
    source, target
        Steps, or the model, tool or person that a step talks to.
    kind
        flow (along an arrow) | call | reply | ask | answer.
    at_s
        Seconds of running time.
    why
        Of a flow: the arrow's condition with the values it saw, or the choice; "" along a plain arrow.
    key
        Activation that it belongs to: of a flow the one that it leaves.
    """

    source: str
    target: str
    kind: str
    at_s: float
    text: str
    why: str = ""
    key: str = ""
    failed: bool = False


def messages(view: RunView) -> list[Message]:
    """Every message of a run in order of time. O(spans + arrows taken)."""
    out: list[Message] = []
    arrows = arrows_of(view)
    for graph in view.graphs[:1]:
        out += [Message(OUTSIDE, entry, "flow", 0.0, brief(view.inputs)) for entry in graph.entries]
    for span, start in zip(view.spans, view.starts, strict=True):
        if start is None or span.kind == "attempt":
            continue
        end = None if span.latency_s is None else start + span.latency_s
        out += _of_call(span, start, end) if span.kind in CALLS else _of_step(span, start, end, arrows)
    order = {"reply": 0, "answer": 1, "flow": 2, "call": 3, "ask": 4}
    return sorted(out, key=lambda m: (m.at_s, order[m.kind]))


def arrows_of(view: RunView) -> dict[str, list[EdgeView]]:
    """Step -> its arrows, in the order in which `Span.taken` counts them."""
    found: dict[str, list[EdgeView]] = {}
    for graph in view.graphs:
        at = f"{graph.path}/" if graph.path else ""
        for edge in graph.edges:
            found.setdefault(at + edge.source, []).append(edge)
    return found


def taken_of(span: Span, arrows: list[EdgeView]) -> list[EdgeView]:
    """The arrows that an activation's end took."""
    if not span.exit or span.item is not None:
        return []
    return [edge for place, edge in enumerate(arrows) if span.taken is None or place in span.taken]


def reason(span: Span, edge: EdgeView) -> str:
    """Return why an arrow was taken or not: its condition with the values that it saw, or the choice and its reason."""
    decision = span.decision or {}
    seen = (decision.get("predicates") or {}).get(f"{edge.target}: {edge.label}")
    if edge.kind == "when" and seen:
        values = ", ".join(f"{k} = {brief(v, 60)}" for k, v in seen.get("values", {}).items())
        used = ", but `at most` is used up" if seen.get("exhausted") else ""
        return f"{edge.label} is {'true' if seen.get('result') else 'false'} ({values}){used}"
    if edge.kind == "by" and (made := decision.get("chooser")):
        because = made.get("because") or f"{made.get('path', '')} = {brief(made.get('value'), 60)}"
        return f"by {made.get('how', 'choice')}: {made.get('choice') or 'else'}, because {because}"
    return "nothing else was true" if edge.kind == "else" else ""


def _of_call(span: Span, start: float, end: float | None) -> Iterator[Message]:
    step, other = step_of(span), f"{span.target}"
    if span.kind in ("route", "check"):
        return
    yield Message(step, other, "call", start, span.input_text, "", span.key)
    if end is not None:
        failed = span.error is not None
        text = (
            f"{span.error.type}: {span.error.message}"
            if span.error is not None
            else span.output_text
            if span.value is not None
            else ""
        )
        yield Message(other, step, "reply", end, text, "", span.key, failed)


def _of_step(span: Span, start: float, end: float | None, arrows: dict[str, list[EdgeView]]) -> Iterator[Message]:
    step = step_of(span)
    if span.request is not None and span.kind not in CALLS:
        yield Message(step, PERSON, "ask", start, span.input_text, "", span.key)
        if end is not None and span.by:
            yield Message(PERSON, step, "answer", end, span.output_text, span.action, span.key)
    if end is None:
        return
    at = step.rpartition("/")[0]
    for edge in taken_of(span, arrows.get(step, [])):
        target = f"{at}/{edge.target}" if at else edge.target
        yield Message(step, target, "flow", end, span.output_text, reason(span, edge), span.key)
