"""`route: auto`: learned where there is enough evidence and somebody has accepted it, else a cascade, else the one there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.routing.decision import Decision, Ranking, decide, no_offer
from orch_nb.routing.learned.proposal import by_learning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from orch_nb.routing.decision import Candidate, Question
    from orch_nb.routing.learned.proposal import Advice, Log


def by_auto(
    question: Question,
    candidates: list[Candidate],
    advice: Advice | None,
    log: Log,
    accepted: Mapping[str, object] | None,
) -> Decision:
    """The way that the evidence allows, and which it was.

    Parameters
    ----------
    advice
        What the learned rule says; None where it was not asked (not enough evidence, or not accepted).

    Raises
    ------
    NoOffer
        Everything was refused.
    """
    minimum = question.route["minimum"]
    if advice is not None and accepted is not None and not question.tried:
        ranking = by_learning(question, advice, log, accepted)
        return decide("auto", question.agent, candidates, ranking, by="learned")
    made = climb(question, candidates, how="auto")
    if not question.tried and len(made.order) == 1:
        made.by = "fixed"
    if not question.tried:
        made.because += f"; {_why_not_learned(question.agent, log, minimum)}"
    return made


def _why_not_learned(agent: str, log: Log, minimum: int) -> str:
    if log.is_enough(minimum):
        return f"a rule learned from {sum(log.counts.values()):,} outcomes waits to be accepted: `%orch route {agent}`"
    enough = sum(1 for n in log.counts.values() if n >= minimum)
    return f"nothing is learned yet: {enough} of {len(log.counts)} models have {minimum} outcomes"


# ------------------------------------------------------------------ cascades
# The steps of a cascade in order: the cheapest model first.


def by_cost(question: Question, candidates: list[Candidate]) -> Ranking:
    """Candidates from the cheapest to the dearest; one of unknown price comes last, fallback models after all."""
    places = {name: i for i, name in enumerate(question.models)}
    own = set(question.route["models"])

    def dearness(candidate: Candidate) -> tuple[bool, bool, Decimal | int, int]:
        usd = candidate.expected_usd
        return (candidate.offer.name not in own, usd is None, 0 if usd is None else usd, places[candidate.offer.name])

    ranked = sorted(candidates, key=dearness)
    rungs = [c.offer.name for c in ranked]
    tried = {row["offer"] for row in question.tried}
    left = [name for name in rungs if name not in tried]
    after = f"after {_after(question)}" if tried else "the cheapest is asked first"
    why = {name: f"{after}: {_usd(c)} a call is expected" for name, c in zip(rungs, ranked, strict=True)}
    against = {name: f"the next step: {_usd(c)} a call is expected" for name, c in zip(rungs, ranked, strict=True)}
    return Ranking(tuple(left), why, against)


def climb(question: Question, candidates: list[Candidate], *, how: str = "cascade") -> Decision:
    """The next step; none, where all that is left was refused and an earlier answer can be used.

    Raises
    ------
    NoOffer
        Nothing is left, and no answer is at hand.
    """
    ranking = by_cost(question, candidates)
    fitting = [c for c in candidates if not c.refused]
    if fitting:
        return decide(how, question.agent, candidates, ranking, by="cascade", tried=question.tried)
    if not question.keeps:
        raise no_offer(question.agent, candidates)
    refused = "; ".join(f"`{c.offer.name}`: {c.refused}" for c in candidates if not c.refused.startswith("was tried"))
    because = f"no step is left, the best answer so far is used{f' ({refused})' if refused else ''}"
    return Decision(how, candidates, "", because, by="cascade", tried=question.tried)


def _after(question: Question) -> str:
    last = question.tried[-1]
    return f"`{last['offer']}`, {last['because']}"


def _usd(candidate: Candidate) -> str:
    return "an unknown price" if candidate.expected_usd is None else f"${candidate.expected_usd}"
