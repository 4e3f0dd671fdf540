"""Which node fits best: by what it says it does, whether it can be asked, and whether what it needs is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTION_SHARE = 0.8
"""Of a score that the description makes; the rest is the state. What a node does says more than what lies ready for it."""


def by_fit(
    similarity: Mapping[str, float],
    facts: Mapping[str, Mapping[str, object]],
    unavailable: Mapping[str, str],
    threshold: float,
) -> dict[str, object]:
    """The decision of `by fit`: the choice (None: nobody fits), and every candidate's factors with their values.

    Parameters
    ----------
    similarity
        Name -> similarity of the text with the node's description and examples.
    facts
        Name -> ``{"needs": [paths], "missing": [paths], "state": [keys it reads], "held": [those that hold something]}``.
    unavailable
        Name -> why it cannot be asked now.
    threshold
        Least score of the best candidate.

    Notes
    -----
    A candidate that cannot be asked, or that needs what is not there, is refused. The score of the others is four fifths
    the similarity of its description (0 to 1) and one fifth the share of the state it reads that holds something.
    """
    factors = {name: _factors(similarity.get(name, 0.0), facts[name], unavailable.get(name, "")) for name in facts}
    refused = {name: why for name in facts if (why := _refusal(facts[name], unavailable.get(name, "")))}
    scores = {
        name: round(DESCRIPTION_SHARE * f["description"] + (1 - DESCRIPTION_SHARE) * f["state"], 6)
        for name, f in factors.items()
    }
    ranked = sorted((name for name in facts if name not in refused), key=lambda name: -scores[name])
    best = ranked[0] if ranked else None
    is_enough = best is not None and scores[best] >= threshold
    margin = round(scores[ranked[0]] - scores[ranked[1]], 6) if len(ranked) > 1 else None
    return {
        "how": "fit", "choice": best if is_enough else None, "scores": scores, "factors": factors, "refused": refused,
        "margin": margin, "threshold": threshold, "candidates": list(facts), "because": _because(best, scores, threshold),
        "why_not": {name: f"its fit is {scores[name]:.2f}, that of `{best}` {scores[best]:.2f}" for name in ranked[1:] if best},
    }  # fmt: skip


def _factors(similarity: float, facts: Mapping[str, Any], unavailable: str) -> dict[str, float]:
    needs, state = facts["needs"], facts["state"]
    return {
        "description": round(min(1.0, max(0.0, similarity)), 6),
        "reads": round(1 - len(facts["missing"]) / len(needs), 6) if needs else 1.0,
        "state": round(len(facts["held"]) / len(state), 6) if state else 1.0,
        "available": 0.0 if unavailable else 1.0,
    }


def _refusal(facts: Mapping[str, Any], unavailable: str) -> str:
    if unavailable:
        return unavailable
    return f"it needs {', '.join(facts['missing'])}, which is not there" if facts["missing"] else ""


def _because(best: str | None, scores: Mapping[str, float], threshold: float) -> str:
    if best is None:
        return "no candidate can be asked"
    if scores[best] < threshold:
        return f"the best is `{best}` at {scores[best]:.2f}, below {threshold:.2f}"
    return f"`{best}` fits best at {scores[best]:.2f}"
