"""The parts of a saving: fewer calls, cheaper models, cached answers, reviews. They add up to the whole exactly.

The steps from the baseline to the plan change one thing each::

    baseline                      5 calls at $0.03                    $0.15
      fewer calls  ->             our 3 calls, still at $0.03         $0.09
      routing      ->             our 3 calls on our models           $0.046
      cache        ->             the same, some answered from cache  …
      reviews      ->             with the cost of people
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.analysis.forecast.scenario import ZERO, Scenario, cost_of, mean_cost, shares
from orch_nb.analysis.forecast.workload import UNNAMED, Call, RunUse, Workload, workload_of
from orch_nb.schema.amount import is_amount_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.analysis.forecast.scenario import Parts
    from orch_nb.analysis.forecast.workload import Pricing

PARTS = ("fewer calls", "routing", "cache", "reviews")


@dataclass(slots=True, frozen=True)
class Saving:
    """Saving of a run against the baseline, in exact dollars.

    Attributes
    ----------
    base, own
        Dollars a run: of the baseline, of the plan.
    parts
        Name (see `PARTS`) -> (dollars saved by it, dollars before it). Empty if the baseline is an amount without calls.
    base_calls, own_calls
        Calls to models a run; None if the baseline is an amount.
    steps
        Step of the baseline -> its dollars a run, before cached answers.
    """

    name: str
    base: Fraction
    own: Fraction
    parts: Mapping[str, tuple[Fraction, Fraction]]
    base_calls: Fraction | None = None
    own_calls: Fraction = ZERO
    steps: Mapping[str, Fraction] = field(default_factory=dict)

    @property
    def saved(self) -> Fraction:
        """Dollars a run; negative if the plan costs more."""
        return self.base - self.own

    @property
    def share(self) -> Fraction:
        """Share of the baseline; 0 if that is free."""
        return self.saved / self.base if self.base else ZERO


def all_on(workload: Workload, model: str, pricing: Pricing) -> Workload:
    """Return the same calls, all of them on one model, without cached answers.

    Notes
    -----
    The tokens of a cached answer are unknown: it counts as its step on that model in the other runs, else at its own cost.
    """
    moved = [
        RunUse(tuple(c if c.is_lookup or c.saved_usd else pricing.reprice(c, model) for c in r.calls), r.reviews)
        for r in workload.runs
    ]
    typical = _mean_by_step(moved)
    runs = tuple(
        RunUse(
            tuple(
                c if not c.saved_usd else Call(c.step, model, c.count, typical.get(c.step, c.saved_usd))
                for c in r.calls
            ),
            r.reviews,
        )
        for r in moved
    )
    return Workload(f"all on {model}", runs, workload.is_typed)


def _mean_by_step(runs: list[RunUse]) -> dict[str, Fraction]:
    """Return the mean price of a call for each step."""
    usd: dict[str, Fraction] = {}
    count: dict[str, Fraction] = {}
    for call in (
        c for r in runs for c in r.calls if not c.is_retry and not c.saved_usd and not c.is_lookup and c.count
    ):
        usd[call.step] = usd.get(call.step, ZERO) + (call.usd or ZERO) * call.count
        count[call.step] = count.get(call.step, ZERO) + call.count
    return {step: usd[step] / count[step] for step in usd}


def saving_against(workload: Workload, scenario: Scenario, against: object, pricing: Pricing) -> Saving:
    """Return the saving of the workload under the scenario against a baseline.

    Parameters
    ----------
    against
        ``"all on MODEL"`` (the same calls on one model), a model's name, a step table, runs, or dollars a run.

    Notes
    -----
    "Our calls at the baseline's prices" takes, for each of our calls, the price of the baseline's step of the same name;
    else its tokens on the baseline's model, if it has only one; else the baseline's mean price of a call.
    """
    own, _ = mean_cost(workload, scenario, pricing)
    model = _model_in(against)
    if model:
        base_load = all_on(workload, model, pricing)
        same = Scenario(retries=scenario.retries)
        base = mean_cost(base_load, same, pricing)[0].uncached
        return _parts(base_load, base, base, own, base_load.calls_a_run(), pricing)
    base_load = workload_of(against, pricing)
    if base_load.name == UNNAMED:
        base_load = Workload("baseline", base_load.runs, is_typed=True)
    base = mean_cost(base_load, Scenario(), pricing)[0].total
    if _is_amount(against):
        return Saving(base_load.name, base, own.total, {})
    like = _like_for_like(workload, scenario, base_load, pricing)
    return _parts(base_load, base, like, own, workload.calls_a_run(), pricing)


def _model_in(against: object) -> str:
    if not isinstance(against, str):
        return ""
    words = against.split()
    if words[:2] == ["all", "on"] and len(words) == 3:
        return words[2]
    return "" if _is_amount(against) else against.strip()


def _is_amount(against: object) -> bool:
    if isinstance(against, str):
        return is_amount_like(against)
    from decimal import Decimal

    return isinstance(against, int | float | Decimal | Fraction)


def _parts(
    base_load: Workload, base: Fraction, like: Fraction, own: Parts, calls: Fraction, pricing: Pricing
) -> Saving:
    parts = {
        "fewer calls": (base - like, base),
        "routing": (like - own.uncached, like),
        "cache": (own.cached, own.uncached),
        "reviews": (-own.reviewed, own.uncached - own.cached),
    }
    steps = {step: row.usd for step, row in shares(base_load, Scenario(), pricing).items()}
    return Saving(base_load.name, base, own.total, parts, base_load.calls_a_run(), calls, steps)


def _like_for_like(workload: Workload, scenario: Scenario, base: Workload, pricing: Pricing) -> Fraction:
    """Return the cost of our calls at the baseline's prices, without cached answers."""
    by_step = _mean_by_step(list(base.runs))
    typical = _mean_of_a_call(base, pricing)
    same = Scenario(retries=scenario.retries)
    total = ZERO
    for run in workload.runs:
        calls = tuple(_at_base(call, base, by_step, typical, pricing) for call in run.calls)
        total += cost_of(RunUse(calls), same, pricing).uncached
    return total / len(workload.runs)


def _mean_of_a_call(base: Workload, pricing: Pricing) -> Fraction:
    calls = base.calls_a_run()
    total = mean_cost(base, Scenario(cache_hits=ZERO), pricing)[0].uncached
    return total / calls if calls else ZERO


def _at_base(call: Call, base: Workload, by_step: Mapping[str, Fraction], typical: Fraction, pricing: Pricing) -> Call:
    """Return one of our calls at the baseline's price."""
    if call.is_lookup:
        return call
    if call.step in by_step:
        return Call(call.step, call.model, call.count, by_step[call.step], call.usage, call.is_retry)
    used = base.models()
    if len(used) == 1 and call.usage is not None:
        return pricing.reprice(call, used[0])
    return Call(call.step, call.model, call.count, typical, call.usage, call.is_retry)
