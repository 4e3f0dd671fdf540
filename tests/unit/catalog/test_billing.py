"""Settling: honest usage exactly; bad, missing and impossible usage at the reservation; too much split off."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.catalog.billing import fault_of, settle_usage
from orch_nb.catalog.offers import Offer
from orch_nb.catalog.priced_request import PricedRequest
from orch_nb.catalog.prices import FREE, Price, Rates, bound, cost
from orch_nb.schema.messages import Message, ModelRequest, Usage

D = Decimal
PRICE = Price((Rates(D(1), D(2)),), provenance="test")
REQUEST = ModelRequest("m", (Message("user", "hello"),), max_tokens=100)
RESERVED = bound(REQUEST, PRICE)


def settle(usage: Usage | None, *, price: Price | None = PRICE, **options: object):
    """A settlement of the request above."""
    return settle_usage(usage, PricedRequest.of(REQUEST, Offer("m", "m", "vendor"), price), price, **options)


def test_honest_usage_is_booked_exactly():
    """Tokens times price, to the last digit, and no note."""
    got = settle(Usage(10, 20))
    assert (got.cost_usd, got.overrun_usd, got.note) == (D("0.00005"), D(0), "")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(math.nan, 5), Usage(-5, 5), Usage(10**30, 5), Usage("many", 5), Usage(8.5, 5), Usage(None, 5), Usage(True, 5),
        Usage(1, 5, cached_tokens=2), Usage(1, 5, reasoning_tokens=6), Usage(5, 5, bad="prompt_tokens is 'many'"),
    ],
)  # fmt: skip
def test_bad_usage_is_booked_at_the_reservation(usage):
    """NaN, negative, huge, text, half and contradictory counts: the whole reservation, marked; totals stay finite."""
    got = settle(usage)
    assert got.cost_usd == RESERVED
    assert "bad usage" in got.note
    assert got.usage.bad
    assert isinstance(got.usage.input_tokens + got.usage.output_tokens, int)


@pytest.mark.parametrize("answer", ["", "four words of text", "x" * 10**6])
@pytest.mark.parametrize("usage", [None, Usage(3, 4, estimated=True)])
def test_a_call_whose_usage_is_not_known_is_booked_at_the_reservation(usage, answer):
    """What was received says nothing of what was thought before: dollars and tokens are those reserved, the shown ones are
    marked as our own count."""
    got = settle(usage, answer=answer, why="the stream broke off")
    assert got.usage.estimated
    assert (got.cost_usd, got.tokens) == (RESERVED, None)
    assert got.note == "the stream broke off: booked at the reservation"


@pytest.mark.parametrize(
    ("usage", "answer", "reasoned"),
    [
        (Usage(0, 0), "x" * 300, False), (Usage(12, 0), "x" * 300, False), (Usage(0, 0), "search{}", False),
        (Usage(12, 0), "", True), (Usage(0, 7), "some text", False), (Usage(0, 0), "", False),
    ],
)  # fmt: skip
def test_no_tokens_for_what_is_not_empty_is_bad_usage(usage, answer, reasoned):
    """A text, a tool call, thoughts and a prompt have tokens: a usage of none is not believed."""
    got = settle(usage, answer=answer, reasoned=reasoned)
    assert (got.cost_usd, got.tokens) == (RESERVED, None)
    assert "bad usage from the provider (0 " in got.note


def test_an_empty_answer_may_have_no_tokens():
    """A prompt that is blocked is billed, and nothing comes back."""
    assert settle(Usage(10, 0)).cost_usd == D("0.00001")


def test_what_is_billed_above_the_reservation_is_an_overrun():
    """A lying provider's bill is split: the reservation is booked, the rest is shown as overrun."""
    got = settle(Usage(10**6, 10**6))
    assert got.cost_usd == RESERVED
    assert got.cost_usd + got.overrun_usd == D(3)
    assert "above the reservation" in got.note


def test_a_call_that_generated_nothing_is_free():
    """A failure before the first token is booked at zero."""
    assert settle(None, billed=False).cost_usd == 0


def test_an_unknown_price_stays_unknown():
    """Without a price the dollars are None, whatever the usage, and tokens are kept."""
    for usage in (Usage(1, 2), None):
        got = settle(usage, price=None)
        assert got.cost_usd is None
        assert "unknown" in got.note
    assert settle(Usage(1, 2), price=None).usage.output_tokens == 2
    assert settle(None, price=None).tokens is None, "those reserved are booked"


def test_a_reservation_that_nobody_made_is_made_at_the_end():
    """Unknown cost is booked at the bound of the request also where it was not reserved."""
    assert settle(None).cost_usd == RESERVED
    assert settle(Usage(bad="nonsense")).cost_usd == RESERVED


def test_free_models_settle_at_zero():
    """The local model's calls cost nothing, with or without usage."""
    assert settle(Usage(10, 20), price=FREE).cost_usd == 0
    assert settle(None, price=FREE).cost_usd == 0


counts = st.integers(-10, 10**9) | st.floats() | st.text(max_size=3) | st.none() | st.booleans()


@given(st.none() | st.builds(Usage, counts, counts, counts, counts), st.text(max_size=50))
def test_no_settlement_exceeds_its_reservation(usage, answer):
    """Whatever a provider reports, what is booked is finite, not negative and within the reservation."""
    got = settle(usage, answer=answer)
    assert D(0) <= got.cost_usd <= RESERVED
    assert got.overrun_usd >= 0


honest = st.builds(Usage, st.integers(1, 300), st.integers(0, 100))


@given(honest, st.sampled_from(["sent", "none", "estimated", "zero", "bad"]), st.text(max_size=50), st.booleans())
def test_what_is_booked_is_never_below_a_true_cost_within_the_reservation(true, end, answer, reasoned):
    """Whatever end a call comes to: its true cost is covered by what is booked, as far as the reservation covers it."""
    if (answer or reasoned) and not true.output_tokens:
        true = Usage(true.input_tokens, 1)
    told = {
        "sent": true, "none": None, "estimated": Usage(1, 0, estimated=True), "zero": Usage(0, 0),
        "bad": Usage(true.input_tokens, -1),
    }[end]  # fmt: skip
    got = settle(told, answer=answer, reasoned=reasoned)
    assert got.cost_usd >= min(cost(true, PRICE), RESERVED)
    assert got.tokens is None or got.tokens >= true.input_tokens + true.output_tokens


def test_tokens_written_to_a_cache_are_billed_at_their_own_price():
    """The surcharge of writing to a provider's cache is on the bill, not in the bound alone; without a price of its own it is
    input; more than there was of input is bad usage."""
    price = Price((Rates(Decimal(3), Decimal(15), cached=Decimal("0.3"), cache_write=Decimal("3.75")),))
    usage = Usage(10_000, 100, 2_000, cache_write_tokens=5_000)
    # 3,000 at $3, 2,000 at $0.30, 5,000 at $3.75, 100 out at $15 per million
    assert cost(usage, price) == Decimal("0.009") + Decimal("0.0006") + Decimal("0.01875") + Decimal("0.0015")
    plain = Price((Rates(Decimal(3), Decimal(15)),))
    assert cost(usage, plain) == cost(Usage(10_000, 100), plain)
    assert "written to a cache" in fault_of(Usage(100, 1, 60, cache_write_tokens=50))
    assert "cache-writing tokens" in fault_of(Usage(100, 1, cache_write_tokens=-1))
