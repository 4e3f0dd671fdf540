"""What conditions, gates and choosers saw, and how they came out: as a table, and as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.notebook.svg import outcome_text
from orch_nb.notebook.table import Column, Table
from orch_nb.notebook.visible import line
from orch_nb.notebook.words import word
from orch_nb.trace.decisions import choices
from orch_nb.trace.preview import brief

if TYPE_CHECKING:
    from orch_nb.trace.decisions import Option
    from orch_nb.trace.graph_state import GraphView
    from orch_nb.trace.run_view import RunView


def decision_table(view: RunView) -> Table | None:
    """What every condition and choice saw, and how it came out; None where there was none."""
    table = Table([Column("after"), Column("round", "r"), Column("asked"), Column("saw"), Column("outcome")])
    for picture in view.graphs:
        at = f"{picture.path}/" if picture.path else ""
        for choice in picture.choices.values():
            for round_, made in choice.decisions:
                saw = brief(made.get("value", made.get("scores", "")), 80)
                outcome = f"→ {made.get('choice') or 'else'}{_because(made)}"
                table.add(at + choice.node, str(round_), f"by {choice.text}", saw, outcome)
        for edge in picture.edges:
            for o in edge.outcomes:
                saw = ", ".join(f"{k} = {brief(v, 30)}" for k, v in o.values.items())
                saw += " (stated by the model)" if edge.stated else ""
                said = "yes" if o.result and not o.exhausted else "yes, but at most is used up" if o.result else "no"
                table.add(at + edge.source, str(o.round), f"{edge.label} (→ {edge.target})", saw, said)
    for one in choices(view.spans):
        if one.of in ("model", "answer") and one.how != "name":
            saw = "; ".join([*one.seen, *(_not_chosen(o) for o in one.options if o.verdict != "chosen")])
            outcome = f"→ {one.chosen or 'none'} ({one.because})"
            table.add(one.key, str(one.round), f"{one.of} by {one.how}", brief(saw, 160), outcome)
    for span in view.spans:
        gate = (span.decision or {}).get("gate")
        if gate:
            saw = ", ".join(f"{k} = {brief(v, 30)}" for k, v in (span.decision or {}).get("values", {}).items())
            stated = (span.decision or {}).get("stated")
            table.add(
                span.key,
                str(span.round),
                f"gate: if {gate}",
                f"{saw} (stated by the model)" if stated else saw,
                "no: passed",
            )
    return table if table.rows else None


def _not_chosen(option: Option) -> str:
    return (
        f"{option.name} {'refused' if option.verdict == 'refused' else 'not'}: {option.why}"
        if option.why
        else option.name
    )


def _because(made: dict[str, Any]) -> str:
    parts = []
    if isinstance(made.get("margin"), float):
        parts.append(f"margin {made['margin']:.2f}")
    if made.get("because"):
        parts.append(str(made["because"]))
    return f" ({', '.join(parts)})" if parts else ""


def flow_lines(picture: GraphView) -> list[str]:
    """Arrows as text: what was taken, what every condition saw."""
    out = []
    for edge in picture.edges:
        if edge.kind == "plain" and edge.at_most is None:
            continue
        words = f"when {edge.label}" if edge.kind == "when" else edge.kind if edge.kind != "plain" else ""
        if edge.at_most is not None:
            words += f" at most {edge.at_most}"
        seen = "; ".join(f"round {o.round}: {outcome_text(o)}" for o in edge.outcomes)
        taken = (
            "not decided" if edge.taken is None else "not taken" if not edge.taken else f"taken {_times(edge.taken)}"
        )
        out.append(
            line(
                f"  {edge.source} -> {edge.target}  {words + ': ' if words else ''}{taken}{'; ' + seen if seen else ''}",
                400,
            )
        )
    return out


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n:,} times"


def tally(picture: GraphView) -> str:
    states: dict[str, int] = {}
    for node in picture.nodes.values():
        states[word(node.state or "due")] = states.get(word(node.state or "due"), 0) + 1
    return f"{line(picture.name, 40)}, " + ", ".join(f"{n} {s}" for s, n in states.items())
