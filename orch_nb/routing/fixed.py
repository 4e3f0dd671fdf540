"""The simplest way to choose a model: the one that the agent names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.catalog.prices import unknown_price
from orch_nb.errors import NoOffer
from orch_nb.routing.decision import Candidate, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.catalog.priced_request import PricedRequest


def fixed_route(priced: PricedRequest, *, has_budget: bool = False, service: Mapping[str, str] | None = None) -> Route:
    """Return the route to the offer that the agent names.

    Parameters
    ----------
    has_budget
        Whether a limit is in force: then an unknown price is refused, because unknown is not free.
    service
        How the provider is asked to serve the call, for the error.

    Raises
    ------
    UnknownPrice
        A budget is in force, and the price is unknown.
    NoOffer
        The answer alone would fill the model's context window.
    """
    offer, max_tokens, window = priced.offer, priced.request.max_tokens, priced.offer.context_tokens
    if priced.price is None and has_budget:
        raise unknown_price(offer, service)
    expected = priced.expected_usd
    if window is not None and max_tokens >= window:
        refused = f"`max_tokens` {max_tokens:,} leaves no room for a prompt in its {window:,} tokens"
        raise NoOffer(
            f"`{offer.name}` ({offer.model}) cannot take this request: {refused}.",
            hint="lower `max_tokens`, or use a model with a larger context",
            candidates=(Candidate(offer, expected, priced.price, refused),),
        )
    because = f"`{offer.name}` is named by the agent" + (f"; {offer.note}" if offer.note else "")
    return Route(offer, because, expected, (Candidate(offer, expected, priced.price),))
