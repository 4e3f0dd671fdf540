"""`route: auto`: learned where there is enough evidence and somebody has accepted it, else a cascade, else the one there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.routing.cascade import climb
from orch_nb.routing.decision import Decision, decide
from orch_nb.routing.learning import by_learning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orch_nb.routing.decision import Candidate
    from orch_nb.routing.learning import Advice, Log
    from orch_nb.routing.question import Question


def by_auto(
    question: Question, candidates: list[Candidate], advice: Advice | None, log: Log, accepted: Mapping[str, Any] | None
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
