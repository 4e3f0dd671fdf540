"""Scenarios: other models, other rates of cached answers, retries and reviews; and the cost of a run then."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption, UnknownPrice, nearest
from orch_nb.estimates.history import mean
from orch_nb.schema.amount import read_exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.analysis.forecast.workload import Call, Pricing, RunUse, Workload

ZERO = Fraction(0)


@dataclass(slots=True, frozen=True)
class Scenario:
    """Assumptions. None is the recorded value.

    Parameters
    ----------
    swap
        Step or model -> the model that replaces it. A step's own entry precedes its model's.
    cache_hits
        Share of calls answered from a cache, 0 to 1: they cost nothing.
    retries
        Further calls per call, each at the cost of the first. 0.1 is one in ten.
    reviews
        Decisions of people a run.
    review_usd
        Cost of one of them. 0 by default: people's time is not on a provider's bill.
    """

    swap: Mapping[str, str] = field(default_factory=dict)
    cache_hits: Fraction | None = None
    retries: Fraction | None = None
    reviews: Fraction | None = None
    review_usd: Fraction = ZERO

    def model_for(self, call: Call) -> str:
        """Return the model of this call: the swapped one, else its own."""
        return self.swap.get(call.step) or self.swap.get(call.model) or call.model


@dataclass(slots=True, frozen=True)
class Parts:
    """Cost of a run in dollars: `first` calls without a cache, `retried` further ones, minus `cached`, plus `reviewed`."""

    first: Fraction = ZERO
    retried: Fraction = ZERO
    cached: Fraction = ZERO
    reviewed: Fraction = ZERO

    @property
    def uncached(self) -> Fraction:
        """Cost of all calls without a cache."""
        return self.first + self.retried

    @property
    def total(self) -> Fraction:
        """Billed cost."""
        return self.first + self.retried - self.cached + self.reviewed

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.first + other.first,
            self.retried + other.retried,
            self.cached + other.cached,
            self.reviewed + other.reviewed,
        )

    def __truediv__(self, by: int) -> Parts:
        return Parts(self.first / by, self.retried / by, self.cached / by, self.reviewed / by)


def share(value: object, key: str, *, most: int | None = 1) -> Fraction | None:
    """Return a rate as an exact number from 0 to `most`; None stays None.

    Raises
    ------
    BadOption
        It is not a rate, or is a percentage typed as a number ("30" for 30 %).
    """
    if value is None:
        return None
    return read_exact(value, f"`{key}`", most=most or 10**12, of="a number", example="30 % is 0.3")


def check_swap(workload: Workload, swap: Mapping[str, str]) -> None:
    """Check that every swap names a step or a model of the workload.

    Raises
    ------
    BadOption
        A name is unknown: its swap would change nothing.
    """
    known = [*workload.steps(), *workload.models()]
    for name in swap:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean `{near}`?" if near else f"steps and models: {', '.join(known)}"
            raise BadOption(f"`{name}` is neither a step nor a model of `{workload.name}`.", hint=hint)


def price_call(call: Call, scenario: Scenario, pricing: Pricing) -> Call:
    """Return the call in the scenario, with a known price.

    Raises
    ------
    UnknownPrice
        The price was unknown when the call was recorded, and the call is not swapped.
    """
    model = scenario.model_for(call)
    if call.model and model != call.model:
        return pricing.reprice(call, model)
    if model and not call.model and call.step in scenario.swap and not call.is_lookup and not call.saved_usd:
        return pricing.reprice(call, model)
    if call.usd is None:
        raise UnknownPrice(
            f"step `{call.step}` was billed at an unknown price (model `{call.model}`): the projection would be too low.",
            hint=f"`swap={{'{call.model}': MODEL}}` prices its tokens on a model whose price is known",
            step=call.step,
            model=call.model,
        )
    return call


def cost_of(run: RunUse, scenario: Scenario, pricing: Pricing) -> Parts:
    """Return the cost of one run under the scenario."""
    first = retried = saved = ZERO
    for raw in run.calls:
        call = price_call(raw, scenario, pricing)
        usd = (call.usd or ZERO) * call.count
        if call.is_retry:
            retried += usd
        else:
            first += usd + call.saved_usd * call.count
            saved += call.saved_usd * call.count
    if scenario.retries is not None:
        retried = first * scenario.retries
    if scenario.cache_hits is not None:
        saved = (first + retried) * scenario.cache_hits
    reviews = run.reviews if scenario.reviews is None else scenario.reviews
    return Parts(first, retried, saved, reviews * scenario.review_usd)


def mean_cost(workload: Workload, scenario: Scenario, pricing: Pricing) -> tuple[Parts, list[Fraction]]:
    """Return the mean of the runs' costs, part by part, and each run's total. O(calls)."""
    parts = [cost_of(run, scenario, pricing) for run in workload.runs]
    return mean(parts), [p.total for p in parts]


@dataclass(slots=True)
class Share:
    """Share of one step, or of one model, in a run: calls and exact dollars, before cached answers."""

    calls: Fraction = ZERO
    usd: Fraction = ZERO
    models: list[str] = field(default_factory=list)


def shares(workload: Workload, scenario: Scenario, pricing: Pricing, *, by_model: bool = False) -> dict[str, Share]:
    """Return each step's (or model's) share of a mean run, in order of first use. Look-ups belong to steps, not to models."""
    found: dict[str, Share] = {}
    count = len(workload.runs)
    for raw in (c for r in workload.runs for c in r.calls):
        call = price_call(raw, scenario, pricing)
        if by_model and not call.model:
            continue
        row = found.setdefault(call.model if by_model else call.step, Share())
        row.calls += call.count / count
        row.usd += ((call.usd or ZERO) + call.saved_usd) * call.count / count
        row.models += [call.model] if call.model and call.model not in row.models else []
    return found


def measured_rates(workload: Workload) -> dict[str, Fraction]:
    """Return the measured rates of the runs: cache hits (of calls), retries (per call), reviews (a run)."""
    calls = [c for r in workload.runs for c in r.calls if not c.is_lookup]
    first = sum((c.count for c in calls if not c.is_retry), ZERO)
    hits = sum((c.count for c in calls if c.saved_usd), ZERO)
    again = sum((c.count for c in calls if c.is_retry), ZERO)
    return {
        "cache_hits": hits / first if first else ZERO,
        "retries": again / first if first else ZERO,
        "reviews": sum((r.reviews for r in workload.runs), ZERO) / len(workload.runs),
    }
