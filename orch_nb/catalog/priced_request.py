"""One request to one model with what it may cost: made once for a call, for its checks, its route, its hold and its bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.catalog.prices import bound_usd, cost, prompt_bound
from orch_nb.schema.messages import Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.schema.messages import ModelRequest

TYPICAL_BYTES_PER_TOKEN = 4
"""Bytes of English prose a token; only for what is expected, never for what is reserved."""
TYPICAL_ANSWER_TOKENS = 256
"""Tokens of an answer, until there is evidence of an agent's own answers; `max_tokens` where that is less."""


@dataclass(slots=True, frozen=True)
class PricedRequest:
    """A request, the offer it goes to, and its bounds.

    Parameters
    ----------
    price
        None where it is unknown.
    prompt_tokens
        An upper bound of the prompt's tokens (`prompt_bound`).
    bound_usd
        The most that the call may cost in US dollars; None where the price is unknown.
    """

    request: ModelRequest
    offer: Offer
    price: Price | None
    prompt_tokens: int
    bound_usd: Decimal | None

    @classmethod
    def of(cls, request: ModelRequest, offer: Offer, price: Price | None, prompt_tokens: int | None = None) -> PricedRequest:  # fmt: skip
        """Return the request with its bounds; `prompt_tokens` where they were computed before."""
        tokens = prompt_bound(request) if prompt_tokens is None else prompt_tokens
        return cls(
            request, offer, price, tokens, None if price is None else bound_usd(tokens, request.max_tokens, price)
        )

    def at(self, price: Price | None) -> PricedRequest:
        """Return the same request at another price, such as the batch price."""
        return self.of(self.request, self.offer, price, self.prompt_tokens)

    @property
    def bound_tokens(self) -> int:
        """The most tokens that the call may use: of its prompt, and `max_tokens`."""
        return self.prompt_tokens + self.request.max_tokens

    @property
    def expected_usd(self) -> Decimal | None:
        """The expected cost in US dollars, before there is evidence: 4 bytes a token, an answer of 256 tokens at most."""
        if self.price is None or self.bound_usd is None:
            return None
        answer = min(self.request.max_tokens, TYPICAL_ANSWER_TOKENS)
        usage = Usage(-(-self.prompt_tokens // TYPICAL_BYTES_PER_TOKEN), answer)
        return min(cost(usage, self.price), self.bound_usd)
