"""Measures for claims: the given and against lines, the value of each side, and bounds that no figure can leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, assert_never

from orch_nb.analysis.forecast.forecast import Forecast, forecast
from orch_nb.analysis.forecast.savings import saving_against
from orch_nb.analysis.forecast.workload import named
from orch_nb.analysis.sources import numbers
from orch_nb.catalog import models
from orch_nb.errors import BadOption, OrchError, nearest
from orch_nb.lang.claim_cell import MEASURES, Apply, Figure, Given, Name, Node, Operation, Text
from orch_nb.lang.quantity import SECONDS, Quantity, UnitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.analysis.sources import Sources
    from orch_nb.catalog.models import ModelBook

Kind = tuple[int, int, int]
NUMBER, USD, USD_A_DAY, TIME = (0, 0, 0), (1, 0, 0), (1, 0, -1), (0, 1, 0)


class NotMeasured(OrchError):
    """A claim asks for a measure that its `given:` line does not have; the message says what has it."""

    code = "ORCH711"


@dataclass(slots=True, frozen=True)
class Measured:
    """A measured figure, where it comes from, and its interval."""

    quantity: Quantity
    why: str = ""
    low: Quantity | None = None
    high: Quantity | None = None
    least: Fraction | None = None
    most: Fraction | None = None
    """Bounds that no such figure can leave, in the unit of `quantity`."""
    bound_why: str = ""
    confidence: float = 0.95
    """Confidence of the interval."""


class Nothing:
    """No `given:` line: only figures and variables can be claimed about."""

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Refuse every measure."""
        hint = "`given: NAME at 10000 a day` says what is measured"
        if name in ("speed_up", "time"):
            hint = "`given: 10 min to 3 min`, or the name of a graph that has run"
        raise NotMeasured(f"`{name.replace('_', '-')}` of what?", hint=hint)


@dataclass(slots=True)
class Change:
    """Two figures of the same kind: before and after."""

    before: Quantity
    after: Quantity
    volume: Quantity | None = None
    unit: str = "s"
    """Unit of times, as they were written."""

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Return the saving of dollars, the speed-up of time, or the figure after."""
        if name == "speed_up" and self.before.kind == TIME:
            ratio = self.before / self.after
            before, after = (_plain(q.value / SECONDS[self.unit]) for q in (self.before, self.after))
            return Measured(ratio, f"{before} to {after} {self.unit}")
        if name == "saving" and self.before.kind in (USD, USD_A_DAY) and not part:
            return self._saving(kind)
        if name in ("cost", "baseline") and self.before.kind in (USD, USD_A_DAY):
            shown = self.after if name == "cost" else self.before
            return Measured(
                self._at(shown, kind), "as given", least=Fraction(0), bound_why="no call costs less than nothing"
            )
        if name == "time" and self.before.kind == TIME:
            return Measured(self.after, "as given")
        raise NotMeasured(
            f"`{name.replace('_', '-')}` cannot be measured on {self.before.words} before and after.",
            hint="dollars have `cost`, `baseline` and `saving`; seconds have `time` and `speed-up`",
        )

    def _saving(self, kind: Kind) -> Measured:
        saved = self.before - self.after
        if kind == NUMBER:
            return _share(saved / self.before, f"{self.before.shown()} to {self.after.shown()}")
        return Measured(self._at(saved, kind), f"{self.before.shown()} less {self.after.shown()}")

    def _at(self, amount: Quantity, kind: Kind) -> Quantity:
        if kind == USD_A_DAY and amount.kind == USD:
            return amount * _volume(self.volume)
        return amount


@dataclass(slots=True)
class Scores:
    """Scores of answers: numbers, or true and false."""

    values: list[Fraction]
    name: str
    bounds: tuple[Fraction, Fraction] = (Fraction(0), Fraction(1))

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Return their mean, with its interval."""
        if name not in ("quality", "calls"):
            raise NotMeasured(f"`{name.replace('_', '-')}` cannot be measured on scores.", hint="scores have `quality`")
        if name == "calls":
            return Measured(Quantity(Fraction(len(self.values))))
        from orch_nb.analysis.intervals import band

        mean = sum(self.values, Fraction(0)) / len(self.values)
        found = band([float(v) for v in self.values], 10**9)
        least, most = self.bounds
        low, high = (None, None) if found is None else (max(found.low, float(least)), min(found.high, float(most)))
        shown = f"{_plain(least)} and {_plain(most)}"
        return Measured(
            Quantity(mean), f"mean of {len(self.values)} scores in `{self.name}`", _number(low), _number(high),
            least, most, f"a mean lies between {shown}, the least and the greatest score there can be",
        )  # fmt: skip


@dataclass(slots=True)
class Runs:
    """A workload with its forecast; `has_volume` where a volume is given."""

    forecast: Forecast
    has_volume: bool

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Return a figure of the forecast."""
        how: dict[str, Callable[[str, Kind], Measured]] = {
            "cost": self._cost, "saving": self._saving, "baseline": self._baseline, "calls": self._calls, "time": self._time,
            "speed_up": self._speed_up,
        }  # fmt: skip
        if name not in how:
            raise NotMeasured(
                f"`{name}` cannot be measured on `{self.forecast.name}`.", hint="give scores: `given: scores`"
            )
        return how[name](part, kind)

    def _per(self, usd: Fraction, kind: Kind) -> Quantity:
        amount = Quantity(usd, usd=1)
        if kind != USD_A_DAY:
            return amount
        return amount * _volume(Quantity(self.forecast.per_day, days=-1) if self.has_volume else None)

    def _cost(self, part: str, kind: Kind) -> Measured:
        total = self.forecast.parts.total
        found = self.forecast.band(self.forecast.per_day if self.has_volume and kind == USD_A_DAY else Fraction(10**6))
        low, high = (None, None) if found is None else (Fraction(found.low), Fraction(found.high))
        why = f"{_many(self.forecast)}, {Quantity(total, usd=1).shown()} a run"
        return Measured(
            self._per(total, kind), why, None if low is None else self._per(low, kind),
            None if high is None else self._per(high, kind), Fraction(0), None, "no call costs less than nothing",
            self.forecast.confidence,
        )  # fmt: skip

    def _saving(self, part: str, kind: Kind) -> Measured:
        saving = self.forecast.saving
        if saving is None:
            raise NotMeasured(
                "a saving needs something to compare with.", hint="`against: all on MODEL`, or a table's name"
            )
        saved, before = saving.saved, saving.base
        if part:
            if part not in saving.parts:
                raise NotMeasured(
                    "an amount alone does not say where a saving comes from.", hint="`against:` a step table"
                )
            saved, before = saving.parts[part]
        own = before - saved
        why = f"{_usd(before)} to {_usd(own)} a run"
        if kind == NUMBER:
            return _share(Quantity(saved / before if before else Fraction(0)), why)
        return Measured(self._per(saved, kind), why)

    def _baseline(self, part: str, kind: Kind) -> Measured:
        if self.forecast.saving is None:
            raise NotMeasured(
                "a baseline needs something to compare with.", hint="`against: all on MODEL`, or a table's name"
            )
        return Measured(self._per(self.forecast.saving.base, kind), self.forecast.saving.name)

    def _calls(self, part: str, kind: Kind) -> Measured:
        return Measured(Quantity(self.forecast.workload.calls_a_run()), "calls to models a run; look-ups are none")

    def _time(self, part: str, kind: Kind) -> Measured:
        how = "its steps one after another" if self.forecast.workload.is_typed else f"mean of {_many(self.forecast)}"
        return Measured(Quantity(_mean([r.elapsed_s for r in self.forecast.workload.runs]), seconds=1), how)

    def _speed_up(self, part: str, kind: Kind) -> Measured:
        runs = self.forecast.workload.runs
        serial, elapsed = _mean([r.serial_s for r in runs]), _mean([r.elapsed_s for r in runs])
        if not elapsed or self.forecast.workload.is_typed:
            raise NotMeasured("a speed-up needs times.", hint="`given: 30 s to 8 s`, or recorded runs")
        ratio = Quantity(serial / elapsed)
        return Measured(ratio, f"{_plain(serial)} s of steps done in {_plain(elapsed)} s, people's time left out")


Measurable = Nothing | Change | Scores | Runs


def measured_runs(
    value: object, *, name: str, per_day: Fraction | None, against: object, days_in_month: int, days_in_year: int,
    models: ModelBook | None,
) -> Runs:  # fmt: skip
    """Return the forecast of a workload; of a forecast, the same with this volume and baseline."""
    if not isinstance(value, Forecast):
        projected = forecast(
            named(value, name, models), per_day=1 if per_day is None else per_day, against=against,
            days_in_month=days_in_month, days_in_year=days_in_year, models=models,
        )  # fmt: skip
        return Runs(projected, per_day is not None)
    saving = value.saving
    if against is not None:
        saving = saving_against(value.workload, value.scenario, against, value.pricing)
    projected = replace(
        value, per_day=value.per_day if per_day is None else per_day, saving=saving, days_in_month=days_in_month,
        days_in_year=days_in_year, _bands={},
    )  # fmt: skip
    return Runs(projected, True)


def _share(quantity: Quantity, why: str) -> Measured:
    return Measured(
        quantity, why, most=Fraction(1), bound_why="nothing saves more than 100 %: that would be paid to call"
    )


def _volume(volume: Quantity | None) -> Quantity:
    if volume is None:
        raise NotMeasured("dollars a day need a volume.", hint="`given: NAME at 10000 a day`")
    return volume


def _mean(values: list[float]) -> Fraction:
    return sum((Fraction(str(round(v, 9))) for v in values), Fraction(0)) / len(values)


def _number(value: float | None) -> Quantity | None:
    return None if value is None else Quantity(Fraction(value))


def _plain(value: Fraction) -> str:
    return Quantity(value).shown()


def _usd(value: Fraction) -> str:
    return Quantity(value, usd=1).shown()


def _many(projected: Forecast) -> str:
    count = len(projected.workload.runs)
    return "a step table" if projected.workload.is_typed else f"{count} stored run{'s' if count > 1 else ''}"


# ------------------------------------------------------------------ bounds
# Speed-ups, means, shares and repeated tries have bounds that arithmetic alone gives.


def fewest_branches(before: Fraction, after: Fraction) -> int:
    """Return the fewest equal branches that bring a time from `before` to `after` when all of it is parallel."""
    return -(-before // after)


def serial_time(before: Fraction, after: Fraction, branches: int) -> Fraction:
    """Return the part that cannot be divided: `s` of ``s + p = before`` and ``s + p / branches = after``.

    It is below 0 where `branches` branches are not enough.

    References
    ----------
    Amdahl, Validity of the single processor approach to achieving large scale computing capabilities (1967).
    """
    return (branches * after - before) / (branches - 1)


def tries(count: Fraction, chance: Fraction) -> Fraction:
    """Return the chance that at least one of `count` independent tries succeeds.

    Repeating alone gives this much: an agent that reflects must be better with the same number of calls.
    """
    return 1 - (1 - chance) ** int(count)


def context_multiple(agents: Fraction, price_ratio: Fraction) -> Fraction:
    """Return the cost of a chain in which each agent reads all earlier texts, in multiples of one call.

    Agent k reads k shares of text and writes one; output is `price_ratio` times as dear as input:
    ``(n (n + 1) / 2 + n r) / (1 + r)``.
    """
    return (agents * (agents + 1) / 2 + agents * price_ratio) / (1 + price_ratio)


# ------------------------------------------------------------------ figures that are given


def measurable_of(values: Values) -> Measurable:
    """Return the subject of a cell's claims.

    Raises
    ------
    BadExpression
        A name is unknown, a volume or a change is invalid, or `against:` has no `given:`; the line is shown.
    UnknownPrice, UnknownModel, BadOption
        The subject cannot be priced.
    """
    text = values.text
    if text.given is None and text.against is not None:
        raise text.error("`against:` without `given:`.", text.against.number, 1, "`given: NAME` says what is compared")
    if text.given is None:
        return Nothing()
    try:
        return _measurable(values, text.given, text.against)
    except (UnitError, NotMeasured, BadOption) as error:
        raise text.error(str(error), text.given.number, 0, error.hint) from None


def _measurable(values: Values, given: Given, against: Given | None) -> Measurable:
    volume = _given_volume(values, given)
    if isinstance(given.node, Name) and given.to is None:
        scores = _scores(values, given)
        if scores is not None:
            return scores
        return _runs(values, _look_up(values, given), given.node.name, volume, against)
    first = values.value(given.node, given.number)
    if given.to is not None:
        return _change(values, first, values.value(given.to, given.number), volume, given)
    if against is not None and not against.model and not isinstance(against.node, Name):
        return _change(values, values.value(against.node, against.number), first, volume, given)
    if first.kind == USD:
        return _runs(values, first.value, "", volume, against)
    return Change(first, first, volume)


def _runs(values: Values, value: object, name: str, volume: Quantity | None, against: Given | None) -> Measurable:
    text = values.text
    return measured_runs(
        value, name=name, per_day=None if volume is None else volume.value,
        against=None if against is None else _against(values, against), days_in_month=text.month, days_in_year=text.days,
        models=values.sources.models,
    )  # fmt: skip


def _look_up(values: Values, given: Given) -> object:
    """Return the object of a header's name."""
    assert isinstance(given.node, Name)
    try:
        found: object = values.sources.find(given.node.name)
    except BadOption as error:
        book = values.sources.models or models.current()
        is_model = any(offer.name == given.node.name for offer in book.offers())
        hint = f"`against: all on {given.node.name}`, if the model is meant" if is_model else error.hint
        raise values.text.error(str(error), given.number, given.node.column, hint) from None
    return found


def _scores(values: Values, given: Given) -> Scores | None:
    if not isinstance(given.node, Name):
        return None
    scores = numbers(_look_up(values, given))
    return None if scores is None else Scores(scores, given.node.name, _range(values, scores))


def _range(values: Values, scores: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Return the ends of the scale: those of `range:`, else 0 and 1 where the scores fit, else the least and the greatest score."""
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


def _against(values: Values, against: Given) -> object:
    if against.model:
        return f"all on {against.model}"
    if isinstance(against.node, Name):
        return named(_look_up(values, against), against.node.name, values.sources.models)
    amount = values.value(against.node, against.number)
    amount.check(Quantity(Fraction(1), usd=1))
    return amount.value


def _given_volume(values: Values, given: Given) -> Quantity | None:
    if given.volume is None:
        return None
    volume = values.value(given.volume, given.number)
    if volume.kind != (0, 0, -1) or volume.value <= 0:
        says = f"`at` needs a number of runs in a period, above 0, got {volume.shown()}."
        raise values.text.error(says, given.number, 0, "such as `at 10000 a day`")
    return volume


# ------------------------------------------------------------------ values
MAX_TRIES = 1000
MAX_BITS = 20_000
LARGEST = 10**30
"""Bounds of an exact result, in bits and in size: above, the arithmetic is not a claim about money."""


class Values:
    """The values of the sides of one cell's claims; `measurable` is the subject of the cell."""

    def __init__(self, text: Text, sources: Sources) -> None:
        self.text, self.sources = text, sources
        self.lengths = {"day": 1, "month": text.month, "year": text.days, "": 1}
        self.measurable: Measurable = Nothing()

    def value(self, node: Node, number: int) -> Quantity:
        """Return the exact value of a side.

        Raises
        ------
        BadExpression
            The side has no value; the line is shown.
        """
        try:
            return self._value(node, number)
        except UnitError as error:
            raise self.text.error(str(error), number, node.column, error.hint) from None

    def _value(self, node: Node, number: int) -> Quantity:
        match node:
            case Figure():
                return self._figure(node)
            case Name():
                if node.is_measure:
                    return self.measured(node, NUMBER if node.name == "saving" else USD, number).quantity
                return self._variable(node, number)
            case Apply():
                return self._apply(node, number)
            case Operation():
                return self._operation(node, number)
            case _:
                assert_never(node)

    def _figure(self, node: Figure) -> Quantity:
        if node.seconds:
            return Quantity(node.value * SECONDS[node.seconds], seconds=1)
        days = int(node.days) - int(bool(node.period))
        return Quantity(node.value / self.lengths[node.period], usd=int(node.usd), days=days)

    def _variable(self, node: Name, number: int) -> Quantity:
        value = self.sources.names.get(node.name)
        if isinstance(value, bool) or not isinstance(value, int | float | Fraction | Decimal):
            near = nearest(node.name, [*MEASURES, *(n for n in self.sources.names if not n.startswith("_"))])
            is_known = node.name in self.sources.names
            what = (
                f"must be a number, got {type(value).__name__}" if is_known else "is neither a measure nor a variable"
            )
            hint = f"did you mean `{near.replace('speed_up', 'speed-up')}`?" if near and near != node.name else ""
            raise self.text.error(f"`{node.name}` {what}.", number, node.column, hint)
        try:
            return Quantity(value if isinstance(value, Fraction) else Fraction(str(value)))
        except ValueError:
            raise self.text.error(f"`{node.name}` must be finite, got {value}.", number, node.column) from None

    def _operation(self, node: Operation, number: int) -> Quantity:
        right = self._value(node.right, number)
        if node.left is None:
            return -right
        left = self._value(node.left, number)
        match node.sign:
            case "+":
                result = left + right
            case "-":
                result = left - right
            case "x":
                result = left * right
            case _:
                result = left / right
        is_long = result.value.numerator.bit_length() + result.value.denominator.bit_length() > MAX_BITS
        if is_long or abs(result.value) > LARGEST:
            raise self.text.error("the result has too many digits to be exact.", number, node.column)
        return result

    def arguments(self, node: Apply, number: int) -> list[Quantity]:
        """Return the arguments of a function; a variable that holds a list counts as many."""
        out: list[Quantity] = []
        for argument in node.arguments:
            held = None
            if isinstance(argument, Name) and not argument.is_measure:
                held = numbers(self.sources.names.get(argument.name))
            out.extend([Quantity(v) for v in held] if held is not None else [self._value(argument, number)])
        for other in out[1:]:
            if node.function not in ("tries", "context"):
                out[0].check(other)
        return out

    def _apply(self, node: Apply, number: int) -> Quantity:
        given = self.arguments(node, number)
        values, kind = [q.value for q in given], given[0].kind
        match node.function:
            case "mean":
                result = sum(values, Fraction(0)) / len(values)
            case "min":
                result = min(values)
            case "max":
                result = max(values)
            case "spread":
                result = max(values) - min(values)
            case "median":
                result = median(values)
            case "majority":
                result = max(set(values), key=values.count)
                if values.count(result) * 2 <= len(values):
                    says = "no value has a majority."
                    raise self.text.error(says, number, node.column, "`median(…)` always exists")
            case "ceil" | "floor":
                result = Fraction(-(-values[0] // 1) if node.function == "ceil" else values[0] // 1)
            case _:
                return self._pair(node, given, number)
        return Quantity(result, *kind)

    def _pair(self, node: Apply, given: list[Quantity], number: int) -> Quantity:
        """Return ``tries(n, p)`` or ``context(n, r)``."""
        count, other = given
        is_whole = count.is_number and count.value.denominator == 1 and 1 <= count.value <= MAX_TRIES
        if not is_whole or not other.is_number:
            says = f"`{node.function}` needs a whole number from 1 to {MAX_TRIES} first, then a plain number."
            raise self.text.error(says, number, node.column)
        if node.function == "context":
            if other.value < 0:
                raise self.text.error("a price ratio must be 0 or more.", number, node.column)
            return Quantity(context_multiple(count.value, other.value))
        if not 0 <= other.value <= 1:
            says = f"a chance must be 0 % to 100 %, got {other.shown(percent=True)}."
            raise self.text.error(says, number, node.column)
        if 2 * other.value.denominator.bit_length() * count.value > MAX_BITS:
            raise self.text.error("the chance has too many digits to be exact.", number, node.column)
        return Quantity(tries(count.value, other.value))

    def measured(self, node: Name, kind: Kind, number: int) -> Measured:
        """Return a measure in the unit of the other side.

        Raises
        ------
        BadExpression
            The subject does not have this measure; the line is shown.
        """
        try:
            return self.measurable.measure(node.name, node.part, kind)
        except (NotMeasured, UnitError) as error:
            raise self.text.error(str(error), number, node.column, error.hint) from None
