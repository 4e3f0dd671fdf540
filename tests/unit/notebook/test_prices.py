"""`%orch models prices`: what every model costs, where and when that is from; and prices of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest


@pytest.fixture
def named(shell):
    """A shell with models of three vendors."""
    shell.good("%orch models set mini=openai/gpt-4o-mini son=anthropic/claude-sonnet-4-5 odd=openai/no-such-model")
    return shell


def row(text, name):
    """The row of one name, as words."""
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def test_every_price_has_its_source_and_its_day(named):
    """Figures in and out, cached and batch, with the data's version and date; what runs here is free; unknown is said."""
    text = named.good("%orch models prices").text
    assert row(text, "mini").split()[2:6] == ["0.15", "0.60", "0.075", "50"]
    assert "genai-prices 0." in row(text, "mini")
    assert f", {datetime.now(UTC).year}-" in row(text, "mini") or ", 20" in row(text, "mini")
    assert "runs on this machine" in row(text, "echo")
    assert row(text, "odd").split()[2:4] == ["?", "?"]
    assert "unknown: under a budget it is refused" in row(text, "odd")
    assert "son: dearer for prompts above 200,000 tokens" in text
    assert "batch: OpenAI, Batch API: half" in text


def test_a_price_of_ones_own_is_shown_with_its_day(named):
    """`models price` overrides the data from then on, and the list says who set it and when."""
    text = named.good("%orch models price mini input=0.10 output=0.40 batch=0.4").text
    assert row(text, "mini").split()[2:6] == ["0.10", "0.40", "40", "%"]
    assert f"set by you, {datetime.now(UTC).date().isoformat()}" in row(text, "mini")
    book = named.good("%orch models prices").value
    assert book.own()["mini"].tiers[0].input == Decimal("0.10")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("price", "which model costs what?"),
        ("price mini", "which model costs what?"),
        ("price mini input=cheap output=1", "`input` must be an amount in dollars, got 'cheap'"),
        ("price mini inptu=1 output=1", "did you mean `input`?"),
        ("price mini input=1", "only one of input and output"),
        ("price nobody input=1 output=2", "no model is called `nobody`"),
        ("price mini input=1 output=2 batch=3", "share of the ordinary price"),
        ("pricse", "did you mean `models price"),
    ],
)
def test_what_is_no_price_is_refused(named, line, says):
    """Missing figures, unknown words and wrong numbers are said, and nothing changes."""
    assert says in named(f"%orch models {line}").error
    assert "set by you" not in named.good("%orch models prices").text
