"""One choice of a model, whole: every candidate with its figures, what was chosen, why, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch_nb.errors import NoOffer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.schema.messages import ModelRequest


@dataclass(slots=True, frozen=True)
class Ranking:
    """In which order a router would take the candidates.

    Parameters
    ----------
    names
        Best first.
    why
        Name -> the reason in one clause: why it, where it is chosen; why not it, where another is.
    why_not
        Name -> the reason against it, where `why` does not say so itself.
    scores
        Name -> the score that the ranking rests on, where there is one.
    seen
        What was looked at: values of rules, words found, figures of a judge.
    """

    names: tuple[str, ...]
    why: Mapping[str, str]
    why_not: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """What a router decided; `as_data` is the reply of the decision's event.

    Parameters
    ----------
    how
        The way that the agent names; `by` the way that was taken, where `auto` took one.
    chosen
        The offer's name; "" where a judge is to be asked first, or where no step is left and an earlier answer is used.
    order
        Offers that are asked in turn: the chosen one, then those that take over when it fails.
    ask
        The judge that is to be asked first.
    """

    how: str
    candidates: list[Candidate]
    chosen: str = ""
    because: str = ""
    order: tuple[str, ...] = ()
    by: str = ""
    ask: str = ""
    seen: Mapping[str, object] = field(default_factory=dict)
    tried: Sequence[Mapping[str, object]] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    def as_data(self) -> dict[str, object]:
        """Plain data, as it is recorded; the machine continues with nothing else."""
        chosen = next((c for c in self.candidates if c.offer.name == self.chosen), None)
        made: dict[str, object] = {
            "how": self.how, "by": self.by or self.how, "offer": self.chosen, "because": self.because,
            "expected_usd": None if chosen is None else _text(chosen.expected_usd), "order": list(self.order),
            "candidates": [c.as_data() for c in self.candidates],
        }  # fmt: skip
        if chosen is not None:
            made |= {"model": chosen.offer.model, "provider": chosen.offer.provider}
        if self.ask:
            made["ask"] = self.ask
        if self.seen:
            made["seen"] = dict(self.seen)
        if self.tried:
            made["tried"] = [dict(row) for row in self.tried]
        if self.options:
            made["options"] = dict(self.options)
        return made


def decide(how: str, agent: str, candidates: list[Candidate], ranking: Ranking, **more: Any) -> Decision:
    """The first candidate of a ranking that was not refused, and why it is not another.

    Raises
    ------
    NoOffer
        All were refused; the message says why each.
    """
    by_name = {c.offer.name: c for c in candidates}
    order = tuple(name for name in ranking.names if not by_name[name].refused)
    if not order:
        raise no_offer(agent, candidates)
    chosen = order[0]
    passed_over = [name for name in ranking.names[: ranking.names.index(chosen)] if by_name[name].refused]
    because = ranking.why.get(chosen) or "it comes first"
    first = next((name for name in passed_over if not by_name[name].refused.startswith("was tried")), None)
    if first is not None:
        because = f"`{first}` comes first ({ranking.why.get(first) or 'as it is listed'}), but {by_name[first].refused}; {because}"
    told = [_with_reason(c, ranking, chosen) for c in candidates]
    return Decision(how, told, chosen, because, order, seen=ranking.seen, **more)


def _with_reason(candidate: Candidate, ranking: Ranking, chosen: str) -> Candidate:
    """The candidate with its score and, where it is not chosen, the reason against it."""
    name = candidate.offer.name
    why_not = "" if name == chosen else candidate.refused or ranking.why_not.get(name) or ranking.why.get(name, "")
    return replace(candidate, score=ranking.scores.get(name), why_not=why_not)


def no_offer(agent: str, candidates: Sequence[Candidate]) -> NoOffer:
    """Nothing is left: the error, with the reason of each."""
    reasons = "; ".join(f"`{c.offer.name}`: {c.refused}" for c in candidates)
    return NoOffer(
        f"no model can answer for `{agent}`: {reasons}.", hint="add a model to its `route`, or change what refuses them",
        candidates=tuple(candidates),
    )  # fmt: skip


def _text(usd: object) -> str | None:
    return None if usd is None else str(usd)


@dataclass(slots=True, frozen=True)
class Candidate:
    """One offer that was looked at: its expected cost (None: price unknown) and why it was refused ("" when it fits).

    `score` is what the choice rests on, where it rests on one; `why_not` the reason against an offer that was not chosen.
    """

    offer: Offer
    expected_usd: Decimal | None
    price: Price | None = None
    refused: str = ""
    score: float | None = None
    why_not: str = ""

    def as_data(self) -> dict[str, object]:
        """Plain data, as a decision keeps it."""
        made: dict[str, object] = {
            "offer": self.offer.name,
            "model": self.offer.model,
            "expected_usd": _usd_text(self.expected_usd),
            "refused": self.refused,
        }
        if self.score is not None:
            made["score"] = round(self.score, 6)
        if self.why_not and self.why_not != self.refused:
            made["why_not"] = self.why_not
        return made


@dataclass(slots=True, frozen=True)
class Route:
    """The choice of an offer, and its reason in one clause."""

    offer: Offer
    because: str
    expected_usd: Decimal | None
    candidates: tuple[Candidate, ...] = field(default=())

    def as_data(self) -> dict[str, object]:
        """Return what the `Sent` event keeps: all candidates, what each would have cost, and why each was refused."""
        return {
            "offer": self.offer.name,
            "model": self.offer.model,
            "provider": self.offer.provider,
            "because": self.because,
            "expected_usd": _usd_text(self.expected_usd),
            "candidates": [c.as_data() for c in self.candidates],
        }


def _usd_text(usd: Decimal | None) -> str | None:
    return None if usd is None else str(usd)


@dataclass(slots=True, frozen=True)
class Question:
    """One question to a router, made of recorded data alone.

    Parameters
    ----------
    agent
        Who asks: the name of the agent, which is the task type of its evidence.
    route
        The route as the plan keeps it (`schema.route_spec.complete`), with `models`, the candidates in declared order.
    fallback
        Models that are asked only when every candidate failed.
    request
        What will be asked, as the first candidate would be: its size is what fits or does not.
    values
        The agent's reads, for rules.
    prompt
        The user message, for keywords, similarity, judges and learned routes.
    needs
        What the answer needs of an interface: "tools", "json".
    tried
        Rungs of a ladder that were climbed: ``{"offer", "passed", "confidence", "because"}`` each.
    keeps
        Whether an answer is at hand that can be used when no further step fits.
    said
        What the judge said, once it was asked.
    sla_s
        Seconds that an answer may take; None for no promise.
    template
        The prompt as the agent's author wrote it, without the values: what kind of task it is.
    """

    agent: str
    route: Mapping[str, Any]
    request: ModelRequest
    values: Mapping[str, object]
    prompt: str
    fallback: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    tried: tuple[Mapping[str, object], ...] = ()
    keeps: bool = False
    said: Mapping[str, object] | None = None
    sla_s: float | None = None
    template: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """The candidates, then the fallback models, each once."""
        return tuple(dict.fromkeys((*self.route["models"], *self.fallback)))

    def as_data(self) -> dict[str, object]:
        """Return what the `Sent` event keeps. The prompt is not in it: the call that follows says it."""
        made: dict[str, object] = {"agent": self.agent, "how": self.route["how"], "models": list(self.models)}
        if self.tried:
            made["tried"] = [dict(row) for row in self.tried]
        if self.said is not None:
            made["said"] = dict(self.said)
        return made
