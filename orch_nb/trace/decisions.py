"""Why a node did what it did: every choice of a model and of a next node, with all that was not chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.trace.preview import brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch_nb.trace.span import Span


@dataclass(slots=True)
class Option:
    """One candidate of a choice.

    Attributes
    ----------
    verdict
        chosen | refused (it could not answer) | not chosen | asked (the judge chooses among these).
    why
        The reason in one clause: for it where it was chosen, against it where not.
    """

    name: str
    verdict: str
    why: str = ""
    score: float | None = None
    expected_usd: Decimal | None = None
    model: str = ""


@dataclass(slots=True)
class Choice:
    """One decision of an activation.

    Attributes
    ----------
    of
        What was chosen: "model", "node", or "answer" (which answer of a ladder is used).
    how
        By what: "rules", "cascade", "similarity", "judge(big)", …
    seen
        What was looked at, one line each.
    steps
        Of a ladder: who was tried, and how it went.
    """

    key: str
    node: str
    round: int
    of: str
    how: str
    chosen: str
    because: str
    options: list[Option] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def choices(spans: Iterable[Span], node: str = "") -> list[Choice]:
    """Every decision of a run in its order, or those of one node (by name, path or key).

    Notes
    -----
    O(spans). A model that an agent simply names is a decision too: one, at the agent's first call.
    """
    out: list[Choice] = []
    routed: set[str] = set()
    later: dict[str, list[Choice]] = {}
    for span in spans:
        if node and not _is_of(span, node):
            continue
        if span.kind == "route":
            routed.add(span.key)
            out.append(_of_route(span))
        elif span.kind == "model" and span.key not in routed and span.route:
            routed.add(span.key)
            out.append(_of_named(span))
        elif span.decision:
            later.setdefault(span.key, []).extend(_of_activation(span))
    for made in later.values():
        out.extend(made)
    return out


def _is_of(span: Span, node: str) -> bool:
    path = "/".join(part.partition("[")[0] for part in span.key.split("/"))
    return node in (span.node, span.key, path)


# ------------------------------------------------------------------ models
def _of_route(span: Span) -> Choice:
    made: Mapping[str, Any] = span.value if isinstance(span.value, dict) else {}
    how = str(made.get("how", span.target))
    by = made.get("by", how)
    chosen = str(made.get("offer") or "")
    because = str(made.get("because") or (span.error.message if span.error else "not decided yet"))
    choice = Choice(span.key, span.node, span.round, "model", how if by == how else f"{how}: {by}", chosen, because)
    asked = set(made.get("order", ())) if made.get("ask") else set()
    choice.options = [_option(row, chosen, because, asked) for row in made.get("candidates", ())]
    choice.seen = [f"{name}: {_what_was_seen(value)}" for name, value in (made.get("seen") or {}).items()]
    choice.steps = [_describe_step(row) for row in made.get("tried", ())]
    return choice


def _of_named(span: Span) -> Choice:
    route = span.route or {}
    because = str(route.get("because", ""))
    chosen = str(route.get("offer", span.target))
    options = [_option(row, chosen, because, set()) for row in route.get("candidates", ())]
    return Choice(span.key, span.node, span.round, "model", "name", chosen, because, options)


def _option(row: Mapping[str, Any], chosen: str, because: str, asked: set[str]) -> Option:
    name = str(row.get("offer", ""))
    usd = row.get("expected_usd")
    made = Option(name, "not chosen", str(row.get("why_not", "")), row.get("score"), None if usd is None else Decimal(usd), str(row.get("model", "")))  # fmt: skip
    if name == chosen:
        made.verdict, made.why = "chosen", because
    elif row.get("refused"):
        made.verdict, made.why = "refused", str(row["refused"])
    elif name in asked:
        made.verdict = "asked"
    return made


def _describe_step(row: Mapping[str, object]) -> str:
    return f"{row.get('offer')}: {'passed' if row.get('passed') else 'did not pass'}, {row.get('because', '')}"


# ------------------------------------------------------------------ nodes and answers
def _of_activation(span: Span) -> list[Choice]:
    decision = span.decision or {}
    out = []
    route = decision.get("route")
    if route and route.get("ladder"):
        out.append(_of_ladder(span, route))
    if decision.get("chooser"):
        out.append(_of_chooser(span, decision["chooser"]))
    if decision.get("predicates"):
        out.append(_of_conditions(span, decision["predicates"]))
    if route and route.get("measured") and not (route.get("ladder") or route.get("second_opinion")):
        sure = _sureness(route)
        out.append(
            Choice(
                span.key, span.node, span.round, "answer", "confidence", str(route.get("offer", "")), f"{sure}: enough"
            )
        )
    if route and route.get("second_opinion"):
        out.append(_of_second(span, route))
    if decision.get("gate"):
        because = ", ".join(f"{k} = {brief(v, 40)}" for k, v in decision.get("values", {}).items())
        out.append(Choice(span.key, span.node, span.round, "node", f"gate: {decision['gate']}", "passed", because))
    return out


def _of_ladder(span: Span, route: Mapping[str, Any]) -> Choice:
    made = Choice(span.key, span.node, span.round, "answer", str(route.get("how", "")), str(route.get("offer", "")), str(route.get("because", "")))  # fmt: skip
    made.steps = [_describe_step(row) for row in route["ladder"]]
    if route.get("confidence") is not None and "second_opinion" not in route:
        made.seen.append(_sureness(route))
    return made


def _of_second(span: Span, route: Mapping[str, Any]) -> Choice:
    made: Mapping[str, Any] = route["second_opinion"]
    if "refused" in made:
        choice = Choice(span.key, span.node, span.round, "answer", "second opinion", str(route.get("offer", "")), f"nobody else could be asked: {made['refused']}")  # fmt: skip
    else:
        both = (
            "both answers agree"
            if made.get("agreed")
            else "both were weighed"
            if "synthesis" in made
            else "the second model failed"
        )
        choice = Choice(span.key, span.node, span.round, "answer", "second opinion", str(route.get("offer", "")), f"{made['because']}; {both}")  # fmt: skip
        for row in (made["first"], made["second"]):
            said = f"it answered {brief(row['answer'], 120)}" if "answer" in row else str(row["failed"])
            choice.options.append(Option(str(row["offer"]), "asked", said, row.get("confidence")))
        if "synthesis" in made:
            choice.seen.append(f"synthesis by {made['synthesis']['offer']}: {brief(made['synthesis']['answer'], 160)}")
    choice.seen.append(_sureness(route))
    return choice


def _sureness(route: Mapping[str, object]) -> str:
    """Return how sure an answer is, and by what; a number that the model stated is marked, and one that no labels back."""
    confidence, measured = route.get("confidence"), str(route.get("measured", ""))
    figure = "not measured" if confidence is None else f"{confidence:.2f}"
    mark = ", stated by the model: not measured" if measured.startswith("stated") else ""
    known = (
        f", calibrated (was {route['raw']:.2f})"
        if "raw" in route
        else ", not calibrated"
        if "calibrated" in route
        else ""
    )
    return f"confidence {figure} by {measured}{mark}{known}"


def _of_chooser(span: Span, made: Mapping[str, Any]) -> Choice:
    chosen = str(made.get("choice") or "else")
    because = str(made.get("because") or f"{made.get('path', '')} = {brief(made.get('value'), 60)}")
    how = f"{made.get('how', '')} of {made.get('path', '')}"
    choice = Choice(span.key, span.node, span.round, "node", how, chosen, because)
    scores, factors = made.get("scores") or {}, made.get("factors") or {}
    why = made.get("why_not") or {}
    for name in dict.fromkeys([*scores, *factors, *made.get("candidates", ())]):
        verdict = "chosen" if name == chosen else "refused" if name in (made.get("refused") or {}) else "not chosen"
        reason = because if name == chosen else (made.get("refused") or {}).get(name) or why.get(name, "")
        choice.options.append(Option(name, verdict, reason, scores.get(name)))
    choice.seen = [f"{name}: {_what_was_seen(value)}" for name, value in factors.items()]
    if made.get("confidence") is not None:
        calibrated = "calibrated" if made.get("calibrated") else "not calibrated"
        choice.seen.append(f"confidence {made['confidence']:.2f}, {calibrated}")
    return choice


def _of_conditions(span: Span, predicates: Mapping[str, Any]) -> Choice:
    options = []
    for label, row in predicates.items():
        target, _, condition = label.partition(": ")
        true = row.get("result") and not row.get("exhausted")
        values = ", ".join(f"{k} = {brief(v, 40)}" for k, v in row.get("values", {}).items())
        said = "true" if true else "true, but `at most` is used up" if row.get("result") else "false"
        mark = f"; {', '.join(row['stated'])}: stated by the model, not measured" if row.get("stated") else ""
        options.append(Option(target, "chosen" if true else "not chosen", f"{condition} is {said} ({values}){mark}"))
    chosen = ", ".join(o.name for o in options if o.verdict == "chosen") or "else"
    return Choice(span.key, span.node, span.round, "node", "when", chosen, "every true condition is taken", options)


def _what_was_seen(value: object) -> str:
    if isinstance(value, dict) and "result" in value:
        return f"{'true' if value['result'] else 'false'} ({', '.join(f'{k} = {brief(v, 40)}' for k, v in value.get('values', {}).items())})"
    return brief(value, 160)
