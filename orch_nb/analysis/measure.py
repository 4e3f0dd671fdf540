"""What a claim is about, measured: a workload's cost and saving, a change's saving and speed-up, the mean of scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.forecast import Forecast, forecast
from orch_nb.analysis.saving import saving_against
from orch_nb.analysis.workload import named
from orch_nb.errors import OrchError
from orch_nb.lang.quantity import SECONDS, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.catalog.models import ModelBook

Kind = tuple[int, int, int]
NUMBER, USD, USD_A_DAY, TIME = (0, 0, 0), (1, 0, 0), (1, 0, -1), (0, 1, 0)


class NotMeasured(OrchError):
    """A claim asks for something that what is given does not say; the message says what would."""

    code = "ORCH711"


@dataclass(slots=True, frozen=True)
class Measured:
    """A measured figure, how it came about, and the interval that it may lie in."""

    quantity: Quantity
    why: str = ""
    low: Quantity | None = None
    high: Quantity | None = None
    least: Fraction | None = None
    most: Fraction | None = None
    """Bounds that no such figure can leave, in the quantity's own unit."""
    bound_why: str = ""
    confidence: float = 0.95
    """Of the interval."""


class Nothing:
    """No `given:` line: only figures and variables can be claimed about."""

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Nothing can be."""
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
    """Of times, as they were written."""

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """The saving of dollars, the speed-up of time, or what is after."""
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
        """Their mean, with its interval."""
        if name not in ("quality", "calls"):
            raise NotMeasured(f"`{name.replace('_', '-')}` cannot be measured on scores.", hint="scores have `quality`")
        if name == "calls":
            return Measured(Quantity(Fraction(len(self.values))))
        from orch_nb.analysis.bootstrap import band

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
    """A workload with its forecast, and whether a volume was given."""

    made: Forecast
    has_volume: bool

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Anything that a forecast says."""
        how: dict[str, Callable[[str, Kind], Measured]] = {
            "cost": self._cost, "saving": self._saving, "baseline": self._baseline, "calls": self._calls, "time": self._time,
            "speed_up": self._speed_up, "one_agent": self._one_agent, "volume": self._the_volume,
        }  # fmt: skip
        if name not in how:
            raise NotMeasured(
                f"`{name}` cannot be measured on `{self.made.name}`.", hint="give scores: `given: scores`"
            )
        return how[name](part, kind)

    def _per(self, usd: Fraction, kind: Kind) -> Quantity:
        amount = Quantity(usd, usd=1)
        if kind != USD_A_DAY:
            return amount
        return amount * _volume(Quantity(self.made.per_day, days=-1) if self.has_volume else None)

    def _cost(self, part: str, kind: Kind) -> Measured:
        total = self.made.parts.total
        found = self.made.band(self.made.per_day if self.has_volume and kind == USD_A_DAY else Fraction(10**6))
        low, high = (None, None) if found is None else (Fraction(found.low), Fraction(found.high))
        why = f"{_many(self.made)}, {Quantity(total, usd=1).shown()} a run"
        return Measured(
            self._per(total, kind), why, None if low is None else self._per(low, kind),
            None if high is None else self._per(high, kind), Fraction(0), None, "no call costs less than nothing",
            self.made.confidence,
        )  # fmt: skip

    def _saving(self, part: str, kind: Kind) -> Measured:
        saving = self.made.saving
        if saving is None:
            raise NotMeasured(
                "a saving needs something to compare with.", hint="`against: all on MODEL`, or a table's name"
            )
        saved, before = saving.saved, saving.base
        if part:
            if part not in saving.parts:
                raise NotMeasured(
                    "a bare amount does not say where a saving comes from.", hint="`against:` a step table"
                )
            saved, before = saving.parts[part]
        own = before - saved
        why = f"{_usd(before)} to {_usd(own)} a run"
        if kind == NUMBER:
            return _share(Quantity(saved / before if before else Fraction(0)), why)
        return Measured(self._per(saved, kind), why)

    def _baseline(self, part: str, kind: Kind) -> Measured:
        if self.made.saving is None:
            raise NotMeasured("there is no baseline.", hint="`against: all on MODEL`, or a table's name")
        return Measured(self._per(self.made.saving.base, kind), self.made.saving.name)

    def _calls(self, part: str, kind: Kind) -> Measured:
        return Measured(Quantity(self.made.workload.calls_a_run()), "calls to models a run; look-ups are none")

    def _one_agent(self, part: str, kind: Kind) -> Measured:
        if self.made.one_agent_usd is None:
            raise NotMeasured("no call has a price, so there is no one-agent baseline.")
        return Measured(
            self._per(Fraction(self.made.one_agent_usd), kind), "one call on the dearest model, an estimate"
        )

    def _the_volume(self, part: str, kind: Kind) -> Measured:
        return Measured(_volume(Quantity(self.made.per_day, days=-1) if self.has_volume else None), "as given")

    def _time(self, part: str, kind: Kind) -> Measured:
        how = "its steps one after another" if self.made.workload.is_typed else f"mean of {_many(self.made)}"
        return Measured(Quantity(_mean([r.elapsed_s for r in self.made.workload.runs]), seconds=1), how)

    def _speed_up(self, part: str, kind: Kind) -> Measured:
        runs = self.made.workload.runs
        serial, elapsed = _mean([r.serial_s for r in runs]), _mean([r.elapsed_s for r in runs])
        if not elapsed or self.made.workload.is_typed:
            raise NotMeasured("a speed-up needs times.", hint="`given: 30 s to 8 s`, or recorded runs")
        ratio = Quantity(serial / elapsed)
        return Measured(ratio, f"{_plain(serial)} s of steps done in {_plain(elapsed)} s, people's time left out")


@dataclass(slots=True)
class Scored:
    """Anything with scores of its answers beside it: quality is theirs, the rest its own."""

    of: Measurable
    scores: Scores

    def measure(self, name: str, part: str, kind: Kind) -> Measured:
        """Quality from the scores."""
        return (self.scores if name == "quality" else self.of).measure(name, part, kind)


Measurable = Nothing | Change | Scores | Runs | Scored


def measured_runs(
    value: Any, *, name: str, per_day: Fraction | None, against: Any, days_in_month: int, days_in_year: int,
    models: ModelBook | None,
) -> Runs:  # fmt: skip
    """A forecast of anything that has one; of a forecast, the same with this volume and baseline."""
    if not isinstance(value, Forecast):
        made = forecast(
            named(value, name, models), per_day=1 if per_day is None else per_day, against=against,
            days_in_month=days_in_month, days_in_year=days_in_year, models=models,
        )  # fmt: skip
        return Runs(made, per_day is not None)
    saving = value.saving
    if against is not None:
        saving = saving_against(value.workload, value.scenario, against, value.pricing)
    made = replace(
        value, per_day=value.per_day if per_day is None else per_day, saving=saving, days_in_month=days_in_month,
        days_in_year=days_in_year, _bands={},
    )  # fmt: skip
    return Runs(made, True)


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


def _many(made: Forecast) -> str:
    count = len(made.workload.runs)
    return "a step table" if made.workload.is_typed else f"{count} stored run{'s' if count > 1 else ''}"
