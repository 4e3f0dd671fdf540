"""What cannot answer is refused before anything is chosen: each offer with its reason, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orch_nb.catalog.priced_request import TYPICAL_BYTES_PER_TOKEN, PricedRequest
from orch_nb.catalog.prices import context_tokens, prompt_bound
from orch_nb.routing.decision import Candidate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.routing.decision import Question

LEAST_CALLS = 5
"""Calls of an offer whose seconds are looked at before a promise of seconds refuses it."""


@dataclass(slots=True, frozen=True)
class Room:
    """The tightest budget in force: what is left of it, in US dollars."""

    scope: str
    left_usd: Decimal


@dataclass(slots=True, frozen=True)
class Facts:
    """What is known of the offers at the moment of a decision; gathered outside, so that filtering is pure.

    Parameters
    ----------
    offers, prices
        By name; a price of None is unknown.
    unavailable
        Name -> why nothing can be asked of it now: no key, or its provider fails.
    room
        The tightest budget; None where no limit is in force.
    seconds
        Name -> (median seconds, calls) of its recent calls.
    unfit
        Name -> what it was measured to fail at, of what is asked here. It refuses only where another candidate is fit.
    """

    offers: Mapping[str, Offer]
    prices: Mapping[str, Price | None]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    room: Room | None = None
    seconds: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)


def filtered(question: Question, facts: Facts) -> list[Candidate]:
    """Every candidate of a question, each fitting or refused, in declared order.

    Notes
    -----
    An interface that lacks what the answer needs (tools, JSON) is refused only where another candidate has it: asking in
    words works worse, and is better than nothing. Where the budget alone refuses the last that could answer, the cheapest of
    them stays: its call is refused by the ledger then, and what is to happen at the limit (stop, degrade, ask) does.
    """
    tried = {row["offer"]: row for row in question.tried}
    lacking = _lacking(question, facts)
    request, n_prompt = question.request, prompt_bound(question.request)
    out, priced = [], []
    for name in question.models:
        one = PricedRequest.of(request, facts.offers[name], facts.prices[name], n_prompt)
        priced.append(one)
        if name in tried:
            refused = f"was tried: {tried[name]['because']}"
        else:
            refused = facts.unavailable.get(name) or lacking.get(name) or _misfit(question, one, facts)
        out.append(Candidate(one.offer, one.expected_usd, one.price, refused))
    if not question.keeps and all(c.refused for c in out):
        return _least_dear(question, out, priced, facts)
    return out


def _least_dear(
    question: Question, refused: list[Candidate], priced: list[PricedRequest], facts: Facts
) -> list[Candidate]:
    """The same, the cheapest of those that only the budget refuses taken back in."""
    dear = [
        (one.bound_usd, place)
        for place, (c, one) in enumerate(zip(refused, priced, strict=True))
        if one.bound_usd is not None and c.refused == _too_dear(one, facts.room)
        and not _too_slow(question.sla_s, facts.seconds.get(c.offer.name))
    ]  # fmt: skip
    if not dear:
        return refused
    _, kept = min(dear)
    return [replace(c, refused="") if place == kept else c for place, c in enumerate(refused)]


def _lacking(question: Question, facts: Facts) -> dict[str, str]:
    """Name -> what its interface lacks and another candidate's has."""
    lacks = {
        name: [need for need in sorted(question.needs) if not getattr(facts.offers[name], need)]
        for name in question.models
    }
    fewest = min(len(needs) for needs in lacks.values())
    words = {"tools": "takes no tools", "json": "enforces no JSON"}
    found = {
        name: f"its interface {' and '.join(words[need] for need in needs)}"
        for name, needs in lacks.items()
        if len(needs) > fewest
    }
    if len(facts.unfit) < len(question.models):
        found = {**facts.unfit, **found}
    return found


def _misfit(question: Question, priced: PricedRequest, facts: Facts) -> str:
    return (
        context_misfit(priced)
        or _too_dear(priced, facts.room)
        or _too_slow(question.sla_s, facts.seconds.get(priced.offer.name))
    )


def context_misfit(priced: PricedRequest) -> str:
    """Return why a request does not fit an offer's context window; "" when it fits, or nobody knows the window.

    The prompt is taken at 4 bytes a token: a candidate that is refused wrongly costs a choice, one that is taken wrongly
    costs a failed call, and the next candidate is asked then.
    """
    offer, max_tokens = priced.offer, priced.request.max_tokens
    window = offer.context_tokens
    if window is None and not offer.is_free:
        window = context_tokens(offer.provider, offer.price_ref.partition("/")[2] or offer.model)
    if window is None:
        return ""
    prompt = -(-priced.prompt_tokens // TYPICAL_BYTES_PER_TOKEN)
    if prompt + max_tokens <= window:
        return ""
    return f"about {prompt:,} prompt tokens and `max_tokens` {max_tokens:,} do not fit its {window:,}"


def _too_dear(priced: PricedRequest, room: Room | None) -> str:
    if room is None:
        return ""
    most = priced.bound_usd
    if most is None:
        return "its price is unknown, and a budget is in force"
    return f"it may cost ${most}, and ${room.left_usd} is left in {room.scope}" if most > room.left_usd else ""


def _too_slow(sla_s: float | None, seen: tuple[float, int] | None) -> str:
    if sla_s is None or seen is None or seen[1] < LEAST_CALLS or seen[0] <= sla_s:
        return ""
    return f"its last {seen[1]} calls took {seen[0]:.2f} s in the median, and {sla_s:g} s are promised"
