"""The simplest way to choose a model: the one that the agent names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.catalog.prices import bound, cost, prompt_bound, unknown_price
from orch_nb.errors import NoOffer
from orch_nb.routing.decision import Candidate, Route
from orch_nb.schema.messages import Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.schema.messages import ModelRequest

TYPICAL_BYTES_PER_TOKEN = 4
"""Of English prose; only for what is expected, never for what is reserved."""

TYPICAL_ANSWER_TOKENS = 256
"""Until there is evidence of an agent's own answers, an answer is taken to be this long, or `max_tokens` if that is less."""


@dataclass(slots=True, frozen=True)
class Fixed:
    """Always the named offer. Refuses it when it cannot take the request, instead of letting the provider refuse.

    Parameters
    ----------
    book
        Where names are resolved and priced.
    has_budget
        Whether a limit is in force: then an unknown price is refused, because unknown is not free.
    """

    book: ModelBook
    has_budget: bool = False

    def route(self, name: str, request: ModelRequest, offer: Offer | None = None) -> Route:
        """The route to the offer of this name.

        Parameters
        ----------
        offer
            What the name stands for in the plan of a run; what it stands for now unless told.

        Raises
        ------
        UnknownModel
            The name means nothing.
        UnknownPrice
            A budget is in force, and nobody knows what the model costs.
        NoOffer
            The answer alone would fill the model's context window.
        """
        offer = self.book.resolve(name) if offer is None else offer
        price = self.book.prices.price(offer)
        if price is None and self.has_budget:
            raise unknown_price(offer, self.book.prices.asked(offer.provider))
        refused = misfit(offer, request)
        expected = None if price is None else expected_usd(request, price)
        if refused:
            raise NoOffer(f"`{name}` ({offer.model}) cannot take this request: {refused}.", hint="lower `max_tokens`, or use a model with a larger context", candidates=(Candidate(offer, expected, price, refused),))  # fmt: skip
        because = f"`{name}` is named by the agent" + (f"; {offer.note}" if offer.note else "")
        return Route(offer, because, expected, (Candidate(offer, expected, price),))


def misfit(offer: Offer, request: ModelRequest) -> str:
    """Why a request certainly does not fit an offer; "" when it may fit. (Tokens are only known by the provider.)"""
    if offer.context_tokens is not None and request.max_tokens >= offer.context_tokens:
        return f"`max_tokens` {request.max_tokens:,} leaves no room for a prompt in its {offer.context_tokens:,} tokens"
    return ""


def expected_usd(request: ModelRequest, price: Price) -> Decimal:
    """What this request is expected to cost, before there is evidence: 4 bytes a token, an answer of 256 tokens at most."""
    usage = Usage(-(-prompt_bound(request) // TYPICAL_BYTES_PER_TOKEN), min(request.max_tokens, TYPICAL_ANSWER_TOKENS))
    return min(cost(usage, price), bound(request, price))
