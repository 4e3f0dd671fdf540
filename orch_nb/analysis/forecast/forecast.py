"""Forecasts: the cost of a workflow a day, a month and a year, from stored runs by bootstrap or from a step table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb import display
from orch_nb.analysis.forecast.savings import PARTS, Saving, saving_against
from orch_nb.analysis.forecast.scenario import ZERO, Parts, Scenario, check_swap, mean_cost, price_call, share, shares
from orch_nb.analysis.forecast.workload import Pricing, Workload, workload_of
from orch_nb.analysis.intervals import Band, band
from orch_nb.analysis.sources import has_stored_runs, recorded_runs
from orch_nb.errors import BadOption
from orch_nb.lang.quantity import rounded
from orch_nb.schema.amount import read_exact
from orch_nb.schema.messages import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.figure import Figure

    from orch_nb.analysis.forecast.workload import Call
    from orch_nb.catalog.models import ModelBook

DAYS_IN_MONTH, DAYS_IN_YEAR = 30, 365
VOLUMES = (10, 30, 100, 300, 1000, 3000, 10_000)
"""Runs a day on the axis of a chart."""


@dataclass(slots=True, frozen=True)
class Projection:
    """Cost of a period, in US dollars.

    Attributes
    ----------
    runs
        Number of runs in it.
    low_usd, high_usd
        Interval that the bill falls into with the forecast's confidence; None for a step table and for fewer than five
        runs.
    baseline_usd
        Cost of the baseline in that time; None without one.
    """

    period: str
    runs: Decimal
    usd: Decimal
    low_usd: Decimal | None = None
    high_usd: Decimal | None = None
    baseline_usd: Decimal | None = None

    @property
    def saving_usd(self) -> Decimal | None:
        """Dollars less than the baseline."""
        return None if self.baseline_usd is None else self.baseline_usd - self.usd


@dataclass(slots=True, frozen=True, repr=False)
class BreakEven:
    """Break-even of a plan.

    Attributes
    ----------
    per_day
        Smallest number of runs a day whose saving covers the monthly cost; None if a run saves nothing.
    days
        Days at the forecast's volume until the saving has paid the one-off cost; None for never.
    """

    per_day: Decimal | None
    days: Decimal | None

    def __repr__(self) -> str:
        volume = "it never pays: a run saves nothing"
        if self.per_day is not None:
            volume = f"it pays from {math.ceil(self.per_day):,} runs a day"
        days = (
            "the one-off cost is never paid back"
            if self.days is None
            else f"paid back after {math.ceil(self.days):,} days"
        )
        return f"{volume}; at this forecast's volume {days}"


@dataclass(slots=True)
class Forecast:
    """A projected bill. It displays itself; `table()` returns it as data, `plot()` as a chart.

    Attributes
    ----------
    workload, scenario
        Its sources.
    per_day
        Runs a day.
    parts
        Mean cost of a run, exact: first calls, retries, cached, reviewed.
    costs
        Cost of each run, in dollars.
    saving
        Saving against the baseline; None without one.
    one_agent_usd
        Approximate cost of a run as one call: the most expensive model used, the largest prompt in, every answer out. It
        measures the cost of orchestration, not the quality of one agent. None if no call has a price.
    """

    workload: Workload
    scenario: Scenario
    per_day: Fraction
    parts: Parts
    costs: list[Fraction] = field(repr=False)
    pricing: Pricing = field(repr=False)
    saving: Saving | None = None
    one_agent_usd: Decimal | None = None
    confidence: float = 0.95
    days_in_month: int = DAYS_IN_MONTH
    days_in_year: int = DAYS_IN_YEAR
    resamples: int = 4000
    seed: int = 0
    _bands: dict[Fraction, Band | None] = field(default_factory=dict, repr=False)

    # ---------------------------------------------------------------- figures
    @property
    def name(self) -> str:
        """Name of the workload."""
        return self.workload.name

    @property
    def run_usd(self) -> Decimal:
        """Mean cost of a run."""
        return dollars(self.parts.total)

    @property
    def day(self) -> Projection:
        """One day."""
        return self.project("day", 1)

    @property
    def month(self) -> Projection:
        """A month, by default of 30 days."""
        return self.project("month", self.days_in_month)

    @property
    def year(self) -> Projection:
        """A year, by default of 365 days."""
        return self.project("year", self.days_in_year)

    def project(self, period: str, days: int) -> Projection:
        """Return the cost of any period of whole days."""
        runs = self.per_day * days
        found = self.band(runs)
        low, high = (None, None) if found is None else (found.low, found.high)
        base = None if self.saving is None else dollars(self.saving.base * runs)
        return Projection(
            period, dollars(runs), dollars(self.parts.total * runs), _scale(low, runs), _scale(high, runs), base
        )

    def band(self, runs: Fraction) -> Band | None:
        """Return the bootstrap for the mean cost of that many future runs; None for a step table or fewer than five runs."""
        if self.workload.is_typed:
            return None
        if runs not in self._bands:
            costs = [float(c) for c in self.costs]
            self._bands[runs] = band(
                costs, max(1, round(runs)), confidence=self.confidence, resamples=self.resamples, seed=self.seed
            )
        return self._bands[runs]

    def chance_above(self, usd: object, *, days: int = 1) -> float | None:
        """Return the chance that a number of days costs more than `usd`; None without an interval."""
        runs = self.per_day * days
        found = self.band(runs)
        return None if found is None or not runs else found.chance_above(float(read_exact(usd, "`usd`") / runs))

    def break_even(self, *, fixed_usd_a_month: object = 0, setup_usd: object = 0) -> BreakEven:
        """Return the volume and the days from which the saving against the baseline pays the costs besides calls.

        Parameters
        ----------
        fixed_usd_a_month
            Fixed cost: a server, a licence, an hour of maintenance.
        setup_usd
            Cost that is paid once.

        Raises
        ------
        BadOption
            The forecast has no baseline.
        """
        if self.saving is None:
            raise BadOption("a break-even needs a baseline.", hint="`against='all on MODEL'`, or a step table")
        from orch_nb.catalog.prices import check_usd

        fixed = Fraction(check_usd(fixed_usd_a_month, "fixed_usd_a_month")) / self.days_in_month
        setup = Fraction(check_usd(setup_usd, "setup_usd"))
        saved = self.saving.saved
        net = saved * self.per_day - fixed
        per_day = dollars(fixed / saved) if saved > 0 else None
        return BreakEven(per_day, dollars(setup / net) if net > 0 else Decimal(0) if not setup and net >= 0 else None)

    # ---------------------------------------------------------------- rows
    def table(self) -> list[dict[str, Any]]:
        """Return one row each for run, day, month and year, money as Decimal: data for a data frame."""
        rows = [Projection("run", Decimal(1), self.run_usd, baseline_usd=self._base()), self.day, self.month, self.year]
        return [
            {
                "period": p.period, "runs": p.runs, "usd": p.usd, "low_usd": p.low_usd, "high_usd": p.high_usd,
                "baseline_usd": p.baseline_usd, "saving_usd": p.saving_usd,
            }
            for p in rows
        ]  # fmt: skip

    def _base(self) -> Decimal | None:
        return None if self.saving is None else dollars(self.saving.base)

    def steps(self) -> list[dict[str, Any]]:
        """Return each step: calls and dollars a run, and the cost of the baseline's step of the same name.

        Amounts are of the calls, before cached answers, assumed retries and reviews. A step that only one of the two has
        is None in the other.
        """
        own = shares(self.workload, self.scenario, self.pricing)
        before = {} if self.saving is None else self.saving.steps
        total = sum((row.usd for row in own.values()), ZERO)
        return [
            {
                "step": step, "model": ", ".join(own[step].models) if step in own else "",
                "calls": dollars(own[step].calls) if step in own else None,
                "before_usd": dollars(before[step]) if step in before else None,
                "usd": dollars(own[step].usd) if step in own else None,
                "share": float(own[step].usd / total) if step in own and total else 0.0,
            }
            for step in dict.fromkeys([*own, *before])
        ]  # fmt: skip

    def models(self) -> list[dict[str, Any]]:
        """Return each model's share of the calls and of the dollars of a run."""
        rows = shares(self.workload, self.scenario, self.pricing, by_model=True)
        calls = sum((row.calls for row in rows.values()), ZERO)
        usd = sum((row.usd for row in rows.values()), ZERO)
        return [
            {
                "model": name, "calls": dollars(row.calls), "usd": dollars(row.usd),
                "calls_share": float(row.calls / calls) if calls else 0.0, "usd_share": float(row.usd / usd) if usd else 0.0,
            }
            for name, row in rows.items()
        ]  # fmt: skip

    def saving_rows(self) -> list[dict[str, Any]]:
        """Return the parts of the saving a run, a day and a year; they sum to the last row exactly."""
        if self.saving is None:
            return []
        named = [(name, self.saving.parts.get(name)) for name in PARTS]
        rows = [(name, *part) for name, part in named if part is not None and (part[0] or name in PARTS[:2])]
        rows.append(("together", self.saving.saved, self.saving.base))
        return [
            {
                "part": name, "run_usd": dollars(usd), "day_usd": dollars(usd * self.per_day),
                "year_usd": dollars(usd * self.per_day * self.days_in_year), "share": float(usd / before) if before else 0.0,
            }
            for name, usd, before in rows
        ]  # fmt: skip

    # ---------------------------------------------------------------- display
    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return display.bundle(self)

    def plot(self, per_day: Iterable[object] = VOLUMES) -> Figure:
        """Return a matplotlib figure: dollars a day against runs a day, both logarithmic, with interval and baseline."""
        figure: Figure = display.figure(self, per_day)
        return figure


# ------------------------------------------------------------------ making one
def forecast(
    given: object,
    *,
    per_day: object,
    against: object = None,
    swap: Mapping[str, str] | None = None,
    cache_hits: object = None,
    retries: object = None,
    reviews: object = None,
    review_usd: object = 0,
    token_ratio: Mapping[str, object] | None = None,
    name: str = "",
    days_in_month: int = DAYS_IN_MONTH,
    days_in_year: int = DAYS_IN_YEAR,
    confidence: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
    models: ModelBook | None = None,
) -> Forecast:
    """Project the cost of a workflow a day, a month and a year.

    Parameters
    ----------
    given
        A graph, an agent, the name of one, or a batch: its stored runs in this notebook. Or runs (handles, or lists of
        events), a step table (rows or a data frame: `step`, `usd` of a call or `model` with `input_tokens` and
        `output_tokens`, `calls` a run), or dollars a run.
    per_day
        Runs a day.
    against
        The baseline: ``"all on MODEL"``, a step table, runs, or dollars a run.
    swap
        Step or model -> model that replaces it: the recorded tokens are priced again.
    cache_hits, retries, reviews
        Assumed rates instead of the recorded ones: share of calls answered from a cache; further calls per call; people's
        decisions a run.
    review_usd
        Cost of one of those decisions, in dollars.
    token_ratio
        Model -> its tokens for one recorded token, if a swap changes the tokenizer. 1 by default.
    days_in_month, days_in_year
        30 and 365 by default: a leap year is 0.3 % more.
    confidence
        Confidence of the intervals, 0.95 by convention.
    resamples, seed
        Options of the bootstrap.

    Raises
    ------
    BadOption
        A figure is out of range, a row of the table is wrong, a swap has an unknown name, or no run has ended.
    UnknownPrice, UnknownModel
        A price or a model is unknown: it does not count as free.

    Notes
    -----
    Money is exact until display; only the bootstrap uses floats.

    Examples
    --------
    >>> steps = [{"step": "classify", "usd": 0.001}, {"step": "draft", "usd": 0.015}, {"step": "check", "usd": 0.03}]
    >>> made = forecast(steps, per_day=10_000, against=[{"step": "any", "usd": 0.03, "calls": 5}])
    >>> made.day.usd, made.year.saving_usd
    (Decimal('460'), Decimal('379600'))
    """
    pricing = Pricing.of(models, token_ratio)
    if has_stored_runs(given):
        given = recorded_runs(given)
    workload = workload_of(given, pricing, name)
    scenario = Scenario(
        dict(swap or {}), share(cache_hits, "cache_hits"), share(retries, "retries", most=None),
        share(reviews, "reviews", most=None), share(review_usd, "review_usd", most=None) or ZERO,
    )  # fmt: skip
    check_swap(workload, scenario.swap)
    _check_days(days_in_month, days_in_year, confidence)
    parts, costs = mean_cost(workload, scenario, pricing)
    saving = None if against is None else saving_against(workload, scenario, against, pricing)
    return Forecast(
        workload, scenario, _runs_a_day(per_day), parts, costs, pricing, saving,
        one_agent(workload, scenario, pricing), confidence, days_in_month, days_in_year, resamples, seed,
    )  # fmt: skip


def _runs_a_day(per_day: object) -> Fraction:
    made = read_exact(per_day, "`per_day`", of="a number of runs a day", example="such as 10000")
    if not made:
        raise BadOption(f"`per_day` must be a number of runs a day above 0, got {per_day}.", hint="such as 10000")
    return made


def _check_days(month: int, year: int, confidence: float) -> None:
    for key, value, most in (("days_in_month", month, 31), ("days_in_year", year, 366)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise BadOption(f"`{key}` must be a whole number from 1 to {most}, got {value!r:.40}.")
    if not 0.5 <= confidence < 1:
        raise BadOption(f"`confidence` must be from 0.5 to below 1, got {confidence}.", hint="0.95 is usual")


def one_agent(workload: Workload, scenario: Scenario, pricing: Pricing) -> Decimal | None:
    """Return the approximate cost of a run as one call (see `Forecast.one_agent_usd`)."""
    total = ZERO
    for run in workload.runs:
        calls = [price_call(c, scenario, pricing) for c in run.calls if not c.is_lookup and not c.is_retry]
        if not calls:
            return None
        used = [c for c in calls if c.usage is not None and c.model]
        if len(used) < len(calls):  # without every call's tokens, the most expensive call is the best guess
            total += max(c.usd or c.saved_usd for c in calls)
            continue
        whole = Usage(
            max(c.usage.input_tokens for c in used if c.usage),
            round(sum(c.usage.output_tokens * c.count for c in used if c.usage)),
        )
        total += max(_on(whole, c.model, c, pricing) for c in used)
    return dollars(total / len(workload.runs))


def _on(usage: Usage, model: str, call: Call, pricing: Pricing) -> Fraction:
    """Return the cost of the whole on the model of a call; without a listed price, at that call's own rate."""
    from orch_nb.catalog.prices import cost
    from orch_nb.errors import RoutingError

    try:
        return Fraction(cost(usage, pricing.price(model)))
    except RoutingError:
        tokens = call.usage.input_tokens + call.usage.output_tokens if call.usage else 0
        return (call.usd or ZERO) / tokens * (usage.input_tokens + usage.output_tokens) if tokens else call.usd or ZERO


# ------------------------------------------------------------------ money
def dollars(value: Fraction) -> Decimal:
    """Return the exact amount as Decimal, rounded to 12 digits after the point; without trailing zeros."""
    made = rounded(value, 12).normalize()
    return made.quantize(Decimal(1)) if int(made.as_tuple().exponent) > 0 else made


def _scale(mean: float | None, runs: Fraction) -> Decimal | None:
    return None if mean is None else round(Decimal(repr(mean)) * dollars(runs), 6)
