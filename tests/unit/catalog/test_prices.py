"""Prices and bounds: exact, dated, never a silent zero."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.catalog.models import ECHO
from orch_nb.catalog.offers import Offer
from orch_nb.catalog.priced_request import PricedRequest
from orch_nb.catalog.prices import (
    FREE,
    MESSAGE_OVERHEAD_TOKENS,
    Price,
    PriceBook,
    Rates,
    bound,
    bundled_data,
    cost,
    prompt_bound,
)
from orch_nb.errors import BadOption
from orch_nb.schema.messages import Message, ModelRequest, ToolCall, ToolSpec, Usage

MINI = Offer("big", "gpt-4o-mini", "openai")
D = Decimal


def ask(text: str = "hello", **options: object) -> ModelRequest:
    """A request of one message."""
    return ModelRequest("m", (Message("user", text),), **options)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1_000, 500), "0.00045"),  # 1000 x 0.15 + 500 x 0.60, per million
        (Usage(1_000, 500, cached_tokens=400), "0.00042"),  # 600 x 0.15 + 400 x 0.075 + 500 x 0.60
        (Usage(1, 0), "0.00000015"),
        (Usage(0, 0), "0"),
        (Usage(1_000, 500, reasoning_tokens=300), "0.00045"),  # reasoning is part of the output
    ],
)
def test_costs_equal_a_table_computed_by_hand(usage, expected):
    """Bundled prices of gpt-4o-mini: $0.15 in, $0.60 out, $0.075 cached per million tokens; no rounding."""
    price = PriceBook().price(MINI)
    assert cost(usage, price) == D(expected)


def test_a_price_says_where_it_is_from_and_of_when():
    """The label has the figures, the data's version and a date; the data are read as installed."""
    price = PriceBook().price(MINI)
    assert price.label.startswith("$0.15 in, $0.6 out per million tokens, $0.075 cached (genai-prices ")
    assert price.date <= datetime.now(UTC).date().isoformat()
    assert bundled_data()[0].from_auto_update is False


def test_an_unknown_price_is_none_not_zero():
    """Unknown models and unknown providers have no price."""
    book = PriceBook()
    assert book.price(Offer("x", "no-such-model-1", "openai")) is None
    assert book.price(Offer("x", "m", "my-server")) is None
    assert book.find("", "gpt-4o-mini") is None


def test_what_runs_here_costs_nothing_and_says_so():
    """The local model and the fakes are free because they run on this machine."""
    assert PriceBook().price(ECHO) is FREE
    assert "runs on this machine" in FREE.label
    assert bound(ask(), FREE) == 0


def test_the_users_price_wins_by_name_id_or_both():
    """An override by the notebook's name, by the provider's id or by both comes before the bundled data."""
    for key in ("big", "gpt-4o-mini", "openai/gpt-4o-mini"):
        book = PriceBook()
        book.set(key, input="1", output=2, cached="0.5")
        price = book.price(MINI)
        assert cost(Usage(1_000_000, 1_000_000, cached_tokens=1_000_000), price) == D("2.5")
        assert "set by you" in price.label


def test_a_call_may_be_priced_by_the_call():
    """A price per call is used, alone or beside tokens, and the label says which."""
    book = PriceBook()
    book.set("m", per_call="0.002")
    price = book.find("any", "m")
    assert cost(Usage(10_000, 10_000), price) == D("0.002")
    today = datetime.now(UTC).date().isoformat()
    assert price.label == f"$0.002 per call (set by you, {today})"


@pytest.mark.parametrize(
    "bad", ["1e3", "-1", -1, math.nan, math.inf, True, "NaN", "", "1,5", D("Infinity"), [1], 10**7]
)
def test_prices_that_are_no_price_are_refused(bad):
    """NaN, infinity, negative numbers, exponents and truth values never become a price."""
    with pytest.raises(BadOption):
        PriceBook().set("m", input=bad, output=1)


def test_half_a_price_is_refused():
    """Input without output, or nothing at all, is not a price."""
    with pytest.raises(BadOption, match="only one"):
        PriceBook().set("m", input=1)
    with pytest.raises(BadOption, match="empty"):
        PriceBook().set("m")


def test_a_long_prompt_is_billed_at_its_tier():
    """Above a tier's bound the whole prompt and the answer are dearer, as the provider bills it."""
    price = PriceBook().find("anthropic", "claude-sonnet-4-5")
    assert cost(Usage(200_000, 0), price) == D("0.6")
    assert cost(Usage(200_001, 0), price) == D("1.200006")


def test_a_price_in_force_at_a_time_is_found():
    """Prices that begin at a date hold from that date on."""
    book = PriceBook()
    model = next(
        (p.id, m.id, c.constraint.start_date)
        for p in bundled_data()[0].providers
        for m in p.models
        if isinstance(m.prices, list)
        for c in m.prices[1:]
        if hasattr(c.constraint, "start_date") and getattr(c.prices, "output_mtok", None) is not None
    )
    provider, ref, start = model
    before = book.find(provider, ref, at=datetime(start.year - 1, 1, 1, tzinfo=UTC))
    after = book.find(provider, ref, at=datetime(start.year, start.month, start.day, tzinfo=UTC))
    assert before != after


def test_the_bundled_data_agree_with_the_package_that_ships_them():
    """Our exact cost equals the package's own calculation on every priced model of three providers."""
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    book, checked = PriceBook(), 0
    for provider in (p for p in bundled_data()[0].providers if p.id in ("openai", "anthropic", "google")):
        for model in provider.models[:40]:
            price = book.find(provider.id, model.id)
            if price is None:
                continue
            theirs = calc_price(TheirUsage(input_tokens=1_234, output_tokens=567), model.id, provider_id=provider.id)
            assert cost(Usage(1_234, 567), price) == theirs.total_price, model.id
            checked += 1
    assert checked > 40


def test_every_service_in_the_bundled_data_has_the_price_that_their_package_gives_it():
    """Each tier and speed of each model, by the package's own calculation; a service that is not in them has no price."""
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    book, seen, now = PriceBook(), set(), datetime.now(UTC)
    for provider in bundled_data()[0].providers:
        for model in provider.models:
            offer = Offer("m", model.id, provider.id)
            for variant in model.price_variants or ():
                price = book.price(offer, service=variant.when, at=now)
                if not {"service_tier", "speed"} & variant.when.keys() or price is None:
                    continue
                theirs = calc_price(
                    TheirUsage(input_tokens=1_234, output_tokens=567), model.id, provider_id=provider.id,
                    price_context=variant.when, genai_request_timestamp=now,
                )  # fmt: skip
                assert cost(Usage(1_234, 567), price) == theirs.total_price, model.id
                seen.add((provider.id, *variant.when.values()))
            assert book.price(offer, service={"service_tier": "golden"}) is None
    assert {("openai", "priority"), ("openai", "flex"), ("openai", "default"), ("anthropic", "fast")} <= seen


def test_a_service_of_several_parts_needs_a_price_for_each():
    """A price of the speed alone says nothing of the tier."""
    offer = Offer("m", "claude-opus-5", "anthropic")
    assert "speed fast" in PriceBook().price(offer, service={"speed": "fast"}).label
    assert PriceBook().price(offer, service={"speed": "fast", "service_tier": "priority"}) is None
    assert PriceBook().price(Offer("e", "echo", "echo"), service={"service_tier": "priority"}) is FREE


def test_the_same_tokens_on_other_models():
    """What a bill would be elsewhere: the sum of exact costs, None where the price is unknown."""
    other = PriceBook().would_cost([Usage(1_000, 500)] * 3, ["openai/gpt-4o-mini", "openai/nothing"])
    assert other == {"openai/gpt-4o-mini": D("0.00135"), "openai/nothing": None}


# ------------------------------------------------------------------ bounds
PRICES = st.builds(
    lambda i, o, c, w, r: Price((Rates(i, o, c, w, r), Rates(i * 2, o * 2, c, w, r, above_tokens=50))),
    *[st.decimals(0, 100, places=3)] * 2,
    *[st.none() | st.decimals(0, 100, places=3)] * 3,
)


@given(st.text(max_size=300), st.integers(1, 5_000), PRICES, st.data())
def test_no_honest_call_costs_more_than_its_bound(text, max_tokens, price, data):
    """Whatever part of the bound's tokens is used, cached or reasoned about, the cost stays within the bound."""
    request = ask(text, max_tokens=max_tokens)
    n_in = data.draw(st.integers(0, prompt_bound(request)))
    n_out = data.draw(st.integers(0, max_tokens))
    usage = Usage(n_in, n_out, data.draw(st.integers(0, n_in)), data.draw(st.integers(0, n_out)))
    assert cost(usage, price) <= bound(request, price)


@given(st.text(max_size=200))
def test_the_bound_counts_every_byte_of_what_is_sent(text):
    """Messages, tool calls, schemas and tools all count by their UTF-8 bytes, and each message by its overhead."""
    size = len(text.encode())
    assert prompt_bound(ask(text)) >= size + MESSAGE_OVERHEAD_TOKENS
    call = Message("assistant", "", (ToolCall("i", "n", text),))
    assert prompt_bound(ModelRequest("m", (call,))) >= size
    assert prompt_bound(ask(schema={"type": "string", "description": text})) >= size
    assert prompt_bound(ask(tools=(ToolSpec("t", text, {}),))) >= size
    assert PricedRequest.of(ask(text, max_tokens=7), MINI, None).bound_tokens == prompt_bound(ask(text)) + 7


@given(st.lists(st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20))
def test_costs_add_up_exactly(usages):
    """The sum of the steps is the cost of the sum: nothing is rounded on the way."""
    price = Price((Rates(D("0.15"), D("0.6")),))
    total = Usage(sum(u.input_tokens for u in usages), sum(u.output_tokens for u in usages))
    assert sum((cost(u, price) for u in usages), D(0)) == cost(total, price)


def test_a_price_of_ones_own_has_its_day():
    """What the user set says so, with the day it was set."""
    book = PriceBook()
    book.set("big", input=1, output=2)
    today = datetime.now(UTC).date().isoformat()
    assert (book.price(MINI).provenance, book.price(MINI).date) == ("set by you", today)


def test_cache_writing_and_images_have_prices_of_their_own():
    """Both are taken as given; images are counted beside tokens."""
    book = PriceBook()
    book.set("m", input=1, output=2, cache_write="1.25", per_image="0.04")
    price = book.find("any", "m")
    assert price.tiers[0].cache_write == D("1.25")
    assert cost(Usage(1_000_000, 0), price, images=3) == D("1.12")
    assert "$0.04 per image" in price.label
    book.set("painter", per_image="0.04")
    assert cost(Usage(10, 10), book.find("any", "painter"), images=2) == D("0.08")


def test_batch_prices_are_a_share_of_the_price_in_force():
    """Half at three providers, with who says so; the user's own share wins; elsewhere there is none."""
    book = PriceBook()
    price = book.price(MINI)
    assert price.batch == D("0.5")
    assert "Batch API" in price.batch_source
    halved = price.in_batch()
    assert cost(Usage(1_000, 500, cached_tokens=400), halved) == cost(Usage(1_000, 500, cached_tokens=400), price) / 2
    assert halved.batch is None
    assert "batch price, 50" in halved.label
    book.set("big", input=1, output=2, batch="0.4")
    assert cost(Usage(1_000_000, 0), book.price(MINI).in_batch()) == D("0.4")
    assert FREE.in_batch() is None
    with pytest.raises(BadOption, match="share of the ordinary price"):
        book.set("big", input=1, output=2, batch=2)
