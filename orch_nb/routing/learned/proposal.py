"""The learned rule of an agent: what it would choose, what it rests on, and whether somebody has accepted it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from orch_nb.errors import ModelNotInstalled
from orch_nb.routing.decision import Ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orch_nb.catalog.offers import Offer
    from orch_nb.routing.decision import Question
    from orch_nb.routing.evidence import Estimate, Evidence

LEAST_OFFERS = 2
"""Offers with enough outcomes that make a choice; of one alone nothing can be learned."""


@dataclass(slots=True, frozen=True)
class Rule:
    """Which rule it is that was accepted, or not: a changed one has to be accepted again.

    Parameters
    ----------
    baseline
        The static choice; "" where `auto` takes the offer with the best mean.
    """

    agent: str
    offers: tuple[str, ...]
    minimum: int
    tradeoff: float
    baseline: str = ""

    @classmethod
    def of(cls, agent: str, route: Mapping[str, Any]) -> Rule:
        """The rule of an agent's route."""
        return cls(agent, tuple(route["models"]), route["minimum"], route["tradeoff"], route.get("baseline", ""))

    def as_data(self) -> dict[str, object]:
        """Plain data, as an acceptance keeps it."""
        return {"agent": self.agent, "offers": list(self.offers), "minimum": self.minimum, "tradeoff": self.tradeoff, "baseline": self.baseline}  # fmt: skip


@dataclass(slots=True)
class Log:
    """An agent's outcomes, each under the notebook's present name of its model."""

    rows: list[Evidence]
    counts: dict[str, int]
    means: dict[str, float]

    @classmethod
    def of(cls, evidence: Sequence[Evidence], offers: Mapping[str, Offer]) -> Log:
        """Evidence stays with the model: what was measured of it counts under whatever name it has now."""
        names = {(offer.provider, offer.model): name for name, offer in reversed(list(offers.items()))}
        rows = [replace(r, offer=names[r.provider, r.model]) for r in evidence if (r.provider, r.model) in names]
        found: dict[str, list[float]] = {name: [] for name in offers}
        for row in rows:
            found[row.offer].append(row.quality)
        return cls(rows, {n: len(q) for n, q in found.items()}, {n: fmean(q) for n, q in found.items() if q})

    def is_enough(self, minimum: int) -> bool:
        """Return whether there are two models to choose between by what was measured."""
        return sum(1 for n in self.counts.values() if n >= minimum) >= LEAST_OFFERS

    def baseline(self, rule: Rule) -> str:
        """The static choice: the one that is named, else the best mean among those with enough outcomes."""
        known = [name for name in rule.offers if self.counts.get(name, 0) >= rule.minimum]
        return rule.baseline or max(known or rule.offers, key=lambda name: self.means.get(name, -1.0))


@dataclass(slots=True)
class Advice:
    """What the rule says of one prompt."""

    choice: str
    because: str
    estimates: Sequence[Estimate] = ()


@dataclass(slots=True)
class Learning:
    """Learned routers of this process, one for each rule, each fed with the outcomes it has not seen.

    Used on one thread at a time (the one that embeds). The first question after many new outcomes fits, which takes
    seconds where there are thousands; later ones take a millisecond beside the embedding.

    Parameters
    ----------
    embedder
        Gives the embedder, made at first use.
    rank
        How rare a word is (`Learned`); None: long words count as rare.
    """

    embedder: Callable[[], Any]
    rank: Callable[[str], int] | None = None
    _routers: dict[tuple[Rule, str], tuple[Any, dict[str, Evidence]]] = field(default_factory=dict)

    def advise(self, rule: Rule, log: Log, prompt: str, costs: Mapping[str, float | None]) -> Advice:
        """The choice for one prompt, with what is expected of each offer."""
        baseline = log.baseline(rule)
        if not log.rows:
            return Advice(baseline, f"no outcome of {_list(rule.offers)} is known for `{rule.agent}`")
        try:
            router = self._router(rule, log, baseline)
        except ModelNotInstalled as error:
            return Advice(baseline, f"{str(error).rstrip('.')}")
        choice, because = router.choose(prompt, tradeoff=rule.tradeoff, costs=costs)
        return Advice(choice, because, router.estimates(prompt))

    def _router(self, rule: Rule, log: Log, baseline: str) -> Any:
        from orch_nb.routing.learned.router import Learned

        found = self._routers.get((rule, baseline))
        new = {row.key: row for row in log.rows}
        if found is None or any(key not in new for key in found[1]) or len(new) > GROWTH * len(found[1]):
            made = Learned(
                rule.offers, log.rows, embed=self.embedder(), minimum=rule.minimum, baseline=baseline, rank=self.rank
            )
            self._routers[rule, baseline] = (made, new)
            return made
        router, seen = found
        for key, row in new.items():
            if seen.get(key) != row:
                router.learn(row)
                seen[key] = row
        return router


GROWTH = 1.1
"""Outcomes are learned one by one until there are a tenth more; then all are fitted again."""


def by_learning(question: Question, advice: Advice, log: Log, accepted: Mapping[str, object] | None) -> Ranking:
    """The ranking of a learned route: the rule's choice where it was accepted, else the static one.

    Parameters
    ----------
    accepted
        The acceptance that applies; None where nobody has accepted this rule.
    """
    rule = Rule.of(question.agent, question.route)
    found = {e.offer: e for e in advice.estimates}
    baseline = log.baseline(rule)
    seen: dict[str, object] = {f"outcomes of {name}": log.counts.get(name, 0) for name in rule.offers}
    seen |= {f"expected of {name}": _expectation(e) for name, e in found.items()}
    if accepted is None:
        first = baseline
        because = "it is the baseline, and the learned rule is not accepted"
        if log.is_enough(rule.minimum):
            because += f" (it would choose `{advice.choice}`: {advice.because}; `%orch route {rule.agent}` shows it)"
    else:
        first, because = advice.choice, f"{advice.because}; the rule was {acceptance_text(accepted)}"
        seen["accepted"] = acceptance_text(accepted)
    others = sorted(rule.offers, key=lambda name: -_quality(found.get(name), log.means.get(name)))
    against = {name: _against(name, first, found) for name in rule.offers if name != first}
    scores = {name: e.quality for name, e in found.items()}
    return Ranking(tuple(dict.fromkeys([first, *others, *question.models])), {first: because}, against, scores, seen)


def acceptance_text(accepted: Mapping[str, object]) -> str:
    """Return who accepted what, when, on what: one clause."""
    by = f" by {accepted['by']}" if accepted.get("by") else ""
    return f"accepted on {accepted['on']}{by} with {accepted['outcomes']:,} outcomes"


def accepted_for(rule: Rule, entry: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """The acceptance, where it is of this very rule."""
    return entry if entry is not None and entry.get("rule") == rule.as_data() else None


def _quality(estimate: Estimate | None, mean: float | None) -> float:
    return estimate.quality if estimate is not None else -1.0 if mean is None else mean


def _expectation(e: Estimate) -> str:
    return f"quality {e.quality:.2f} ({e.low:.2f} to {e.high:.2f}) from {e.n:,} outcomes"


def _against(name: str, first: str, found: Mapping[str, Estimate]) -> str:
    own, best = found.get(name), found.get(first)
    if own is None or best is None:
        return f"no outcomes decide for it against `{first}`"
    return f"its quality is expected to be {own.quality:.2f} ({own.low:.2f} to {own.high:.2f}), that of `{first}` {best.quality:.2f}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# ------------------------------------------------------------------ what is to be accepted
@dataclass(slots=True, frozen=True)
class Row:
    """One offer of a proposal: its measured mean, how often the rule would choose it, what that would give and cost."""

    offer: str
    outcomes: int
    mean: float | None
    chosen: int
    cost_usd: float | None


@dataclass(slots=True, frozen=True)
class Proposal:
    """A learned rule before it is accepted, with its evidence.

    Parameters
    ----------
    rows
        One for each offer.
    prompts
        Logged prompts that the rule was asked about; `gain` and `saving` are over these.
    gain
        Expected quality of the rule's choices less that of the baseline's, by the rule's own estimates.
    saving
        The share of the baseline's expected cost that is not spent; None where a cost is unknown.
    accepted
        The acceptance in force; None for none.
    """

    rule: Rule
    baseline: str
    rows: tuple[Row, ...]
    prompts: int
    gain: float
    saving: float | None
    accepted: Mapping[str, object] | None = None
    is_enough: bool = True

    @property
    def outcomes(self) -> int:
        """All that it rests on."""
        return sum(row.outcomes for row in self.rows)


MAX_ASKED = 200
"""Logged prompts that a proposal looks at, the latest."""


def propose(learning: Learning, rule: Rule, log: Log, costs: Mapping[str, float | None], accepted: Mapping[str, object] | None) -> Proposal:  # fmt: skip
    """The rule as it is: what it would have chosen for the logged prompts."""
    baseline = log.baseline(rule)
    prompts = list(dict.fromkeys(row.prompt for row in log.rows))[-MAX_ASKED:] if log.is_enough(rule.minimum) else []
    chosen = dict.fromkeys(rule.offers, 0)
    gains: list[float] = []
    paid: list[tuple[float | None, float | None]] = []
    for prompt in prompts:
        advice = learning.advise(rule, log, prompt, costs)
        found = {e.offer: e for e in advice.estimates}
        chosen[advice.choice] += 1
        gains.append(found[advice.choice].quality - found[baseline].quality)
        paid.append((_mean_paid(found[advice.choice], costs), _mean_paid(found[baseline], costs)))
    rows = tuple(
        Row(name, log.counts.get(name, 0), log.means.get(name), chosen[name], costs.get(name)) for name in rule.offers
    )
    return Proposal(rule, baseline, rows, len(prompts), fmean(gains) if gains else 0.0, _saving(paid), accepted, log.is_enough(rule.minimum))  # fmt: skip


def _mean_paid(estimate: Estimate, costs: Mapping[str, float | None]) -> float | None:
    return estimate.cost_usd if estimate.cost_usd is not None else costs.get(estimate.offer)


def _saving(paid: Sequence[tuple[float | None, float | None]]) -> float | None:
    rule = [a for a, _ in paid if a is not None]
    base = [b for _, b in paid if b is not None]
    if len(rule) < len(paid) or len(base) < len(paid) or not sum(base):
        return None
    return 1.0 - sum(rule) / sum(base)
