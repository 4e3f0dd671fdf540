"""Decisions for people: what was chosen, why, and why not the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.routing.learned.proposal import acceptance_text
from orch_nb.trace.decisions import choices
from orch_nb.trace.preview import brief
from orch_nb.views import html as markup
from orch_nb.views.bundle import Display
from orch_nb.views.format import BAD, OK, usd, word
from orch_nb.views.graph_svg import outcome_text
from orch_nb.views.safe_text import clean, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.routing.learned.proposal import Proposal
    from orch_nb.trace.decisions import Choice, Option
    from orch_nb.trace.graph_state import GraphView
    from orch_nb.trace.run_view import RunView

MAX_CHOICES = 60
"""Decisions in one display: a loop of a hundred rounds is read by naming one activation."""
FIELD = 300
_MARKS = {"chosen": "✓ chosen", "refused": "✕ refused", "not chosen": "– not chosen", "asked": "? asked about"}
_COLOURS = {"chosen": OK, "refused": BAD}


def why(view: RunView, node: str, made: Sequence[Choice]) -> Display:
    """The decisions of one node of a run, or of all."""
    head = f"why · run {view.run} of `{line(view.graph, 64)}`" + (f" · {line(node, 64)}" if node else "")
    if not made:
        return Display.lines(head, "nothing was decided there: it has one way, and asked no model", value=[])
    shown = list(made[:MAX_CHOICES])
    text = [head, *("\n" + _text(choice) for choice in shown)]
    parts = [_html(choice) for choice in shown]
    if len(made) > MAX_CHOICES:
        rest = (
            f"and {len(made) - MAX_CHOICES:,} more: name one activation, such as `%orch why {line(made[-1].key, 64)}`"
        )
        text.append(rest)
        parts.append(markup.section(markup.quiet(rest)))
    html = markup.panel(markup.bar(markup.prose(head)), *parts)
    return Display("\n".join(text), html, list(made))


def proposal(made: Proposal) -> Display:
    """A learned rule with its evidence, and the line that accepts it."""
    rule = made.rule
    state = acceptance_text(made.accepted) if made.accepted else "not accepted"
    head = f"route of {line(rule.agent, 64)} · learned from {made.outcomes:,} outcomes · {state}"
    table = Table(
        [
            Column("model"),
            Column("outcomes", "r"),
            Column("measured quality", "r"),
            Column("$ a call", "r"),
            Column("would be chosen", "r"),
        ]
    )
    for row in made.rows:
        share = f"{row.chosen / made.prompts:.0%} of {made.prompts:,}" if made.prompts else ""
        name = line(row.offer, 64) + (" (baseline)" if row.offer == made.baseline else "")
        cost = "" if row.cost_usd is None else f"{row.cost_usd:.3g}"
        table.add(name, f"{row.outcomes:,}", "" if row.mean is None else f"{row.mean:.2f}", cost, share)
    return Display.of_table(head, table, *_advice(made), value=made)


def _advice(made: Proposal) -> list[str]:
    agent = line(made.rule.agent, 64)
    if not made.is_enough:
        return [f"not enough evidence: {made.rule.minimum} outcomes of two models are needed; `%%compare` gives them"]
    saving = "" if made.saving is None else f", {made.saving:+.0%} of its cost saved"
    said = f"against always `{made.baseline}`: quality {made.gain:+.3f}{saving}, by the rule's own estimates on {made.prompts:,} logged prompts"
    todo = (
        f"`%orch route reject {agent}` takes it back"
        if made.accepted
        else f"`%orch route accept {agent}` lets it choose"
    )
    return [said, todo]


def headline(choice: Choice) -> str:
    """One decision in one line."""
    chosen = f"`{choice.chosen}`" if choice.chosen else "none"
    return line(f"{choice.key}: {choice.of} by {choice.how}: {chosen}, because {choice.because}", 500)


def _text(choice: Choice) -> str:
    rows = [headline(choice)]
    if choice.options:
        rows += ["  " + row for row in option_table(choice.options).text().splitlines()]
    rows += [f"  step {number}: {line(rung, FIELD)}" for number, rung in enumerate(choice.steps, 1)]
    rows += [f"  saw {line(seen, FIELD)}" for seen in choice.seen]
    return "\n".join(rows)


def _html(choice: Choice) -> str:
    parts = [markup.prose(headline(choice), 500)]
    if choice.options:
        parts.append(option_table(choice.options).html())
    parts += [f"<div>{markup.quiet(f'step {n}: {line(rung, FIELD)}')}</div>" for n, rung in enumerate(choice.steps, 1)]
    parts += [f"<div>{markup.quiet(f'saw {line(seen, FIELD)}')}</div>" for seen in choice.seen]
    return markup.section("".join(parts))


def option_table(options: Sequence[Option]) -> Table:
    """Candidates with score, expected cost and the reason for or against each."""
    table = Table(
        [
            Column("candidate"),
            Column("verdict"),
            Column("score", "r"),
            Column("expected $", "r"),
            Column("why", wrap=True),
        ]
    )
    is_priced = any(o.expected_usd is not None for o in options)
    for one in options:
        table.add(
            Cell(line(one.name, 64), strong=one.verdict == "chosen"),
            Cell(_MARKS.get(one.verdict, one.verdict), colour=_COLOURS.get(one.verdict, "")),
            "" if one.score is None else f"{one.score:.3g}",
            usd(one.expected_usd) if is_priced and one.model else "",
            clean(one.why, FIELD),
        )
    return table.without_empty()


def data(choice: Choice) -> dict[str, object]:
    """One decision as plain data, for whoever draws it."""
    made = {
        "key": choice.key, "of": choice.of, "how": choice.how, "chosen": choice.chosen, "because": clean(choice.because, FIELD),
        "options": [_option_data(one) for one in choice.options], "seen": [clean(s, FIELD) for s in choice.seen],
        "rungs": [clean(r, FIELD) for r in choice.steps],
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in ("", [])}


def _option_data(one: Option) -> dict[str, object]:
    made = {
        "name": one.name, "verdict": one.verdict, "why": clean(one.why, FIELD), "model": one.model,
        "score": None if one.score is None else round(one.score, 4),
        "expected_usd": None if one.expected_usd is None else str(one.expected_usd),
    }  # fmt: skip
    return {k: v for k, v in made.items() if v not in ("", None)}


# ------------------------------------------------------------------ the table of decisions
# What conditions, gates and choosers saw, and how they came out: as a table, and as lines of text.


def decision_table(view: RunView) -> Table | None:
    """Return what every condition and choice saw, and how it came out; None where there was none."""
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


def _because(made: dict[str, object]) -> str:
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
