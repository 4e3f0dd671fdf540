"""Producer on one model, consumer on another: which pairs can work together, and why others cannot."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.analysis.compare.pairs import reopen_pairs, start_pairs
from orch_nb.errors import AuthFailed, BadOption, MissingInput, UnknownModel
from orch_nb.schema.messages import Reply, Usage

ROWS = [{"text": "one dollar", "total": 1}, {"text": "two dollars", "total": 2}]


def extract(**keys):
    """The producer."""
    return orch.Agent("extract", "Amount in: {{ text }}", model="small", **keys)


def add(prompt="Total of {{ extract }}", **keys):
    """The consumer."""
    return orch.Agent("add", prompt, model="small", **{"out": "{total: int}", **keys})


def plain(request):
    """A model that writes digits, and reads digits only (a repair asks the same again)."""
    text = next(m.content for m in request.messages if m.role == "user")
    if request.schema is None:
        return "1" if "one" in text else "2"
    digits = [c for c in text if c.isdigit()]
    return {"total": int(digits[0])} if digits else "I cannot read this"


def wordy(request):
    """A model that writes words, and reads both."""
    text = request.messages[-1].content
    if request.schema is None:
        return "one" if "one" in text else "two"
    return {"total": 1 if "one" in text or "1" in text else 2}


def test_every_ordered_pair_has_its_pass_rate(rt, model) -> None:
    """Of two models four ordered pairs: what one writes in words the other cannot read, and not the other way round."""
    small, big = model("small", plain), model("big", wordy)
    made = start_pairs(rt, extract(), add(), ["small", "big"], ROWS, names={}, score=["exact(total)"]).wait(30)

    rates = {(p.producer_model, p.consumer_model): p.passed.mean for p in made.pairs()}
    assert rates == {("small", "small"): 1.0, ("small", "big"): 1.0, ("big", "small"): 0.0, ("big", "big"): 1.0}
    failed = made.cell("big", "small")
    assert (failed.passed.n, failed.failures[0][0]) == (2, "0")
    assert "SemanticFailure" in failed.failures[0][1]
    # the producer once for each model and row, the consumer for each pair and row (a wrong answer is repaired once)
    assert (
        len([r for r in small.requests if r.schema is None]),
        len([r for r in big.requests if r.schema is None]),
    ) == (2, 2)
    assert made.spent_usd == sum((rt.open(r.run).spent_usd for r in made.handle.rows), Decimal(0))


def test_a_consumer_reads_the_producers_fields(rt, model) -> None:
    """A consumer of `extract.amount` gets the field; where the answer lacks it, that is the reason of the failure."""
    model("small", lambda r: {"amount": 3} if "Amount" in r.messages[-1].content else {"total": 3})
    producer, consumer = extract(out="{amount: int}"), add("Total of {{ extract.amount }} in {{ currency }}")
    made = start_pairs(rt, producer, consumer, ["small"], ROWS, names={"currency": "USD"}).wait(30)
    assert made.cell("small", "small").passed.mean == 1.0
    assert {r.inputs["currency"] for r in made.handle.rows if "currency" in r.inputs} == {"USD"}

    wrong = start_pairs(rt, extract(out="{sum: int}"), consumer, ["small"], ROWS, names={"currency": "USD"}).wait(30)
    assert wrong.cell("small", "small").passed.mean == 0.0


def test_a_producer_that_fails_fails_its_pairs_with_its_reason(rt, model) -> None:
    """A producer without a key fails every pair it begins, says so, and no consumer is asked for it."""
    model("small", plain)
    model("big", lambda r: AuthFailed("no key", provider="big", model="big-1") if r.schema is None else wordy(r))
    made = start_pairs(rt, extract(), add(), ["small", "big"], ROWS, names={}).wait(30)
    assert made.cell("big", "small").failures[0][1] == "extract on big: AuthFailed: no key"
    assert made.cell("small", "big").passed.mean == 1.0
    assert made.status == "done"
    shown = made._repr_mimebundle_()
    assert "extract on big: AuthFailed: no key" in shown["text/plain"]
    assert "AuthFailed" in shown["text/html"]


def test_the_best_pair_is_the_cheaper_of_equals(rt, model) -> None:
    """Of pairs with equal pass rates the cheaper one is best."""
    model("small", wordy, price=1)
    model("big", wordy, price=20)
    best = start_pairs(rt, extract(), add(), ["big", "small"], ROWS, names={}).wait(30).best()
    assert (best.producer_model, best.consumer_model) == ("small", "small")


def test_pairs_share_one_budget_and_go_on(rt, model) -> None:
    """At the budget the rest is pending; with a higher budget it is run, and nothing is repeated."""

    def ten_cents(request):
        text = plain(request)
        return Reply(text if isinstance(text, str) else json.dumps(text), usage=Usage(1, 999))

    provider = model("small", ten_cents, price=100)
    made = start_pairs(rt, extract(), add(), ["small"], ROWS, names={}, budget="0.25").wait(30)
    assert (made.status, len(provider.requests)) == ("failed", 2)
    shown = reopen_pairs(rt, made.run, {}, budget="10").wait(30)  # as another process would
    assert shown.pairs() == made.resume().wait(30).pairs()
    assert (made.status, made.cell("small", "small").passed.n) == ("done", 2)
    assert (len(provider.requests), made.spent_usd) == (4, Decimal("0.4"))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"models": []}, BadOption, "at least one model"),
        ({"models": ["small", "small"]}, BadOption, "each once"),
        ({"models": ["smal"]}, UnknownModel, "`smal`"),
        ({"score": ['judge("x")']}, BadOption, "only ranks answers"),
        ({"consumer": add("Nothing {{ text }}")}, MissingInput, "does not read `extract`"),
        ({"consumer": add("{{ a }} and {{ b }}")}, MissingInput, "`a`, `b`"),
        ({"consumer": add("{{ extract }} and {{ b }}")}, MissingInput, "reads `b`"),
        ({"inputs": []}, MissingInput, "no rows"),
    ],
)
def test_what_cannot_be_tested_is_said_before_anything_is_spent(rt, model, change, error, says) -> None:
    """Models, agents, rows and scorers that do not fit are typed errors; nothing was called."""
    provider = model("small", plain)
    given = {"producer": extract(), "consumer": add(), "models": ["small"], "inputs": ROWS, **change}
    with pytest.raises(error) as caught:
        start_pairs(
            rt,
            given["producer"],
            given["consumer"],
            given["models"],
            given["inputs"],
            names={},
            score=given.get("score", ()),
        )
    assert says in str(caught.value)
    assert provider.requests == []
