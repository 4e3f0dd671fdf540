"""What a call is billed at when it comes to its end: its usage, or what is used in its place.

A call ends with a usage, without one, or with one that cannot be true; it is broken off, or fails. Every end is booked here.
Where the true cost is not known it is booked at the reservation, which is known to be enough, and the note says why: an
estimate from the visible text would leave out what the model thought before.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.catalog.prices import cost
from orch_nb.schema.messages import Usage

if TYPE_CHECKING:
    from orch_nb.catalog.priced_request import PricedRequest
    from orch_nb.catalog.prices import Price
    from orch_nb.schema.messages import ModelRequest

MAX_TOKENS = 100_000_000
"""More than any context window: a larger usage cannot be true."""

BYTES_PER_TOKEN = 3
"""For the tokens that are shown where no usage was sent. English text has about 4 bytes a token; 3 errs on the dear side."""


@dataclass(slots=True, frozen=True)
class Settlement:
    """How one call is booked.

    Parameters
    ----------
    usage
        The tokens that are shown; `estimated` or `bad` say when they are not the provider's.
    cost_usd
        What is booked, at most the reservation; None when the price is unknown.
    overrun_usd
        What the provider bills above the reservation: shown, and it blocks every further call.
    note
        One clause for the bill when something was not as it should be.
    """

    usage: Usage
    cost_usd: Decimal | None
    overrun_usd: Decimal = Decimal(0)
    note: str = ""

    @property
    def tokens(self) -> int | None:
        """The tokens that are booked; None, when nobody knows them: what was reserved."""
        is_known = not self.usage.bad and not self.usage.estimated
        return self.usage.input_tokens + self.usage.output_tokens if is_known else None


def settle_usage(
    usage: Usage | None,
    call: PricedRequest,
    price: Price | None,
    *,
    answer: str = "",
    reasoned: bool = False,
    billed: bool = True,
    why: str = "no usage was sent",
    served: str = "",
) -> Settlement:
    """Book one call at its end, whatever that is.

    Parameters
    ----------
    usage
        What the provider sent; None when it sent none.
    call
        The request and its bound, which was reserved.
    price
        The price of the call as it was served; None when it is unknown: dollars stay unknown.
    answer
        What was received: text, and the names and arguments of tool calls.
    reasoned
        Whether the model was seen to think, which is billed although it is not in the answer.
    billed
        False for a call that certainly was never sent, or turned away before anything was generated: it is booked at 0.
    why
        Why the usage is missing, in one clause.
    served
        How the call was served, in words, where nobody knows what that costs; "" where `price` is what it costs.

    Notes
    -----
    Rules, first that fits: not billed: 0. No usage, an estimated one, or one that cannot be true of this request and answer:
    the whole reservation; so too where it was served in a way whose price is not known. Else the exact cost; what exceeds the reservation becomes the overrun.
    """
    if not billed:
        return Settlement(usage or Usage(), Decimal(0), note="failed before anything was generated: nothing is billed")
    reserved = call.bound_usd
    if usage is None or (usage.estimated and not usage.bad):
        return _unknown(usage or _count_tokens(call, answer), price, reserved, why)
    fault = usage.bad or fault_of(usage) or _contradiction(usage, call.request, answer, reasoned)
    if fault:
        kept = Usage(_sane(usage.input_tokens), _sane(usage.output_tokens), bad=fault)
        return _unknown(kept, price, reserved, f"bad usage from the provider ({fault})")
    if price is None:
        return Settlement(usage, None, note="the price is unknown")
    if served:
        return _unknown(usage, price, reserved, f"the provider served it as {served}, whose price is not known")
    exact = cost(usage, price)
    if reserved is not None and exact > reserved:
        over = exact - reserved
        return Settlement(usage, reserved, over, f"the provider billed ${over} above the reservation of ${reserved}")
    return Settlement(usage, exact)


def _unknown(usage: Usage, price: Price | None, reserved_usd: Decimal | None, why: str) -> Settlement:
    """The booking of a call whose true cost nobody knows: its reservation, which is 0 where the model is free."""
    if price is None:
        return Settlement(usage, None, note=f"{why}; the price is unknown")
    return Settlement(usage, reserved_usd, note=f"{why}: booked at the reservation")


def fault_of(usage: Usage) -> str:
    """Return what is wrong with a usage; "" when it can be true."""
    counts = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_tokens,
        "reasoning": usage.reasoning_tokens,
        "cache-writing": usage.cache_write_tokens,
    }
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool):
            return f"{name} tokens are {str(count)[:20]!r}"
        if not 0 <= count <= MAX_TOKENS:
            return f"{name} tokens are {str(count)[:20]}"
    if usage.cached_tokens > usage.input_tokens:
        return f"{usage.cached_tokens} cached of {usage.input_tokens} input tokens"
    if usage.cached_tokens + usage.cache_write_tokens > usage.input_tokens:
        return f"{usage.cache_write_tokens} written to a cache of {usage.input_tokens} input tokens"
    if usage.reasoning_tokens > usage.output_tokens:
        return f"{usage.reasoning_tokens} reasoning of {usage.output_tokens} output tokens"
    return ""


def _contradiction(usage: Usage, request: ModelRequest, answer: str, reasoned: bool) -> str:
    """Return what of a usage cannot be true of this request and its answer: 0 tokens for what is not empty; "" for nothing."""
    if answer and not usage.output_tokens:
        return f"0 output tokens for an answer of {len(answer):,} characters"
    if reasoned and not usage.output_tokens:
        return "0 output tokens for a reply that was reasoned about"
    if not usage.input_tokens and any(message.content for message in request.messages):
        return "0 input tokens for a prompt that is not empty"
    return ""


def _count_tokens(call: PricedRequest, answer: str) -> Usage:
    """Our own count of the texts, for people: the tokens that a bill shows with a mark."""
    n_output = -(-len(answer.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
    return Usage(-(-call.prompt_tokens // BYTES_PER_TOKEN), min(n_output, call.request.max_tokens), estimated=True)


def _sane(count: object) -> int:
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_TOKENS else 0
