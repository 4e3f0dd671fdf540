"""What a claim is about: its `given:`, `against:` and `scores:` lines, made measurable."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.measure import USD, Change, Measurable, Nothing, NotMeasured, Scored, Scores, measured_runs
from orch_nb.analysis.stored import numbers
from orch_nb.analysis.workload import named
from orch_nb.catalog import models
from orch_nb.errors import BadOption
from orch_nb.lang.claim_cell import Figure, Given, Name
from orch_nb.lang.quantity import Quantity, UnitError

if TYPE_CHECKING:
    from orch_nb.analysis.claim_value import Values


def measurable_of(values: Values) -> Measurable:
    """What the measures of a cell's claims are taken on.

    Raises
    ------
    BadExpression
        A name stands for nothing, a volume or a change is none, or `against:` stands alone; the line is shown.
    UnknownPrice, UnknownModel, BadOption
        What is given cannot be priced.
    """
    text = values.text
    if text.given is None and text.against is not None:
        raise text.error("`against:` without `given:`.", text.against.number, 1, "`given: NAME` says what is compared")
    found = Nothing() if text.given is None else _given(values, text.given, text.against)
    if text.scores is None:
        return found
    scores = _scores(values, text.scores)
    if scores is None:
        raise text.error(
            "scores are numbers.", text.scores.number, text.scores.node.column, "a list or a column of them"
        )
    return Scored(found, scores)


def _given(values: Values, given: Given, against: Given | None) -> Measurable:
    try:
        return _measurable(values, given, against)
    except (UnitError, NotMeasured, BadOption) as error:
        raise values.text.error(str(error), given.number, 0, error.hint) from None


def _measurable(values: Values, given: Given, against: Given | None) -> Measurable:
    volume = _volume(values, given)
    if isinstance(given.node, Name) and given.to is None:
        scores = _scores(values, given)
        if scores is not None:
            return scores
        return _runs(values, _found(values, given), given.node.name, volume, against)
    first = values.value(given.node, given.number)
    if given.to is not None:
        return _change(values, first, values.value(given.to, given.number), volume, given)
    if against is not None and not against.model and not isinstance(against.node, Name):
        return _change(values, values.value(against.node, against.number), first, volume, given)
    if first.kind == USD:
        return _runs(values, first.value, "", volume, against)
    return Change(first, first, volume)


def _runs(values: Values, value: Any, name: str, volume: Quantity | None, against: Given | None) -> Measurable:
    text = values.text
    return measured_runs(
        value, name=name, per_day=None if volume is None else volume.value,
        against=None if against is None else _against(values, against), days_in_month=text.month, days_in_year=text.days,
        models=values.sources.models,
    )  # fmt: skip


def _found(values: Values, given: Given) -> Any:
    """What the name of a header stands for."""
    assert isinstance(given.node, Name)
    try:
        return values.sources.find(given.node.name)
    except BadOption as error:
        book = values.sources.models or models.current()
        is_model = any(offer.name == given.node.name for offer in book.offers())
        hint = f"`against: all on {given.node.name}`, if the model is meant" if is_model else error.hint
        raise values.text.error(str(error), given.number, given.node.column, hint) from None


def _scores(values: Values, given: Given) -> Scores | None:
    found = _found(values, given) if isinstance(given.node, Name) else None
    made = numbers(found)
    return (
        None
        if made is None or not isinstance(given.node, Name)
        else Scores(made, given.node.name, _range(values, made))
    )


def _range(values: Values, scores: list[Fraction]) -> tuple[Fraction, Fraction]:
    """The scale's ends as told; else 0 and 1 where the scores fit, else the least and the greatest score."""
    if values.text.bounds is not None:
        low, high = (values.value(node, 0).value for node in values.text.bounds)
        return min(low, high), max(low, high)
    fits = all(0 <= s <= 1 for s in scores)
    return (Fraction(0), Fraction(1)) if fits else (min(scores), max(scores))


def _change(values: Values, before: Quantity, after: Quantity, volume: Quantity | None, given: Given) -> Change:
    before.check(after)
    if before.value <= 0 or after.value < 0 or (before.seconds and not after.value):
        raise values.text.error(f"a change from {before.shown()} to {after.shown()} has no ratio.", given.number)
    unit = given.node.seconds if isinstance(given.node, Figure) else ""
    return Change(before, after, volume, unit or "s")


def _against(values: Values, against: Given) -> Any:
    if against.model:
        return f"all on {against.model}"
    if isinstance(against.node, Name):
        return named(_found(values, against), against.node.name, values.sources.models)
    amount = values.value(against.node, against.number)
    amount.check(Quantity(Fraction(1), usd=1))
    return amount.value


def _volume(values: Values, given: Given) -> Quantity | None:
    if given.volume is None:
        return None
    volume = values.value(given.volume, given.number)
    if volume.kind != (0, 0, -1) or volume.value <= 0:
        raise values.text.error(f"`at {volume.shown()}` is no volume.", given.number, 0, "such as `at 10000 a day`")
    return volume
