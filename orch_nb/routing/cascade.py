"""Cheapest first: in which order the rungs of a ladder are climbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.routing.decision import Decision, Ranking, decide, no_offer

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.routing.decision import Candidate
    from orch_nb.routing.question import Question


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
    against = {name: f"a rung higher: {_usd(c)} a call is expected" for name, c in zip(rungs, ranked, strict=True)}
    return Ranking(tuple(left), why, against)


def climb(question: Question, candidates: list[Candidate], *, how: str = "cascade") -> Decision:
    """The next rung; none, where all that is left was refused and an earlier answer can stand.

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
    because = f"no rung is left, the best answer so far stands{f' ({refused})' if refused else ''}"
    return Decision(how, candidates, "", because, by="cascade", tried=question.tried)


def _after(question: Question) -> str:
    last = question.tried[-1]
    return f"`{last['offer']}`, {last['because']}"


def _usd(candidate: Candidate) -> str:
    return "an unknown price" if candidate.expected_usd is None else f"${candidate.expected_usd}"
