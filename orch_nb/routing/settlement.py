"""What a call is billed at when it comes back: its usage, or what must stand for it (DESIGN section 6).

A provider may send no usage, nonsense, or more than the reservation. None of that may break the budget or vanish:
the bill falls back to a figure that is known to be enough, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.routing.prices import cost, prompt_bound
from orch_nb.schema.messages import Usage

if TYPE_CHECKING:
    from orch_nb.routing.prices import Price
    from orch_nb.schema.messages import ModelRequest

MAX_TOKENS = 100_000_000
"""More than any context window: a usage above it is no usage."""

BYTES_PER_TOKEN = 3
"""For estimates where no usage was sent. English text has about 4 bytes a token; 3 errs on the dear side."""


@dataclass(slots=True, frozen=True)
class Settlement:
    """How one call is booked.

    Parameters
    ----------
    usage
        The tokens that are booked; `estimated` or `bad` say when they are not the provider's.
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
        return None if self.usage.bad else self.usage.input_tokens + self.usage.output_tokens


def settle_usage(
    usage: Usage | None,
    *,
    request: ModelRequest,
    price: Price | None,
    reserved_usd: Decimal | None,
    answer: str = "",
    billed: bool = True,
) -> Settlement:
    """The booking of one call that came back, or broke off.

    Parameters
    ----------
    usage
        What the provider sent; None when it sent none.
    price
        None when it is unknown: tokens are booked, dollars stay unknown.
    reserved_usd
        What was set aside; None when no bound could be made.
    answer
        The text that was received, for the estimate.
    billed
        False for a call that failed before anything was generated: it is booked at 0.

    Notes
    -----
    Rules, first that fits: not billed: 0. Bad usage: the whole reservation. No usage: an estimate of 3 bytes a token,
    at most the reservation. Else the exact cost; what exceeds the reservation becomes the overrun.
    """
    if not billed:
        return Settlement(usage or Usage(), Decimal(0), note="failed before anything was generated: nothing is billed")
    if usage is None:
        return _capped(_estimate(request, answer), price, reserved_usd, "no usage was sent: estimated from the texts")
    fault = usage.bad or fault_of(usage)
    if fault:
        kept = Usage(_sane(usage.input_tokens), _sane(usage.output_tokens), bad=fault)
        booked = (
            reserved_usd
            if reserved_usd is not None
            else None
            if price is None
            else cost(_estimate(request, answer), price)
        )
        return Settlement(kept, booked, note=f"bad usage from the provider ({fault}): booked at the reservation")
    if usage.estimated:
        return _capped(usage, price, reserved_usd, "no usage was sent: estimated from the texts")
    if price is None:
        return Settlement(usage, None, note="the price is unknown")
    exact = cost(usage, price)
    if reserved_usd is not None and exact > reserved_usd:
        over = exact - reserved_usd
        return Settlement(
            usage, reserved_usd, over, f"the provider billed ${over} above the reservation of ${reserved_usd}"
        )
    return Settlement(usage, exact)


def fault_of(usage: Usage) -> str:
    """What is wrong with a usage; "" when it can be true."""
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


def _capped(usage: Usage, price: Price | None, reserved_usd: Decimal | None, note: str) -> Settlement:
    """An estimate is our own figure, so it cannot be an overrun."""
    if price is None:
        return Settlement(usage, None, note=f"{note}; the price is unknown")
    exact = cost(usage, price)
    return Settlement(usage, exact if reserved_usd is None else min(exact, reserved_usd), note=note)


def _estimate(request: ModelRequest, answer: str) -> Usage:
    n_output = -(-len(answer.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
    counted = Usage(-(-prompt_bound(request) // BYTES_PER_TOKEN), min(n_output, request.max_tokens))
    return replace(counted, estimated=True)


def _sane(count: object) -> int:
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_TOKENS else 0
