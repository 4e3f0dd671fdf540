"""The one grammar of budgets."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.errors import BadOption
from orch_nb.schema.budget import Budget, budget_of, parse_budget


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("0.05", Budget(D("0.05"))),
        ("$0.05", Budget(D("0.05"))),
        (0.05, Budget(D("0.05"))),
        (D("0.05"), Budget(D("0.05"))),
        (0, Budget(D(0))),
        ("0.05, 20 calls", Budget(D("0.05"), calls=D(20))),
        ("20 calls", Budget(calls=D(20))),
        ("0.50 tokens=200000 calls=100 seconds=600", Budget(D("0.50"), D(200_000), D(100), D(600))),
        ("0.50, 200_000 tokens, 100 calls, 600 s", Budget(D("0.50"), D(200_000), D(100), D(600))),
        ("0.05 ask", Budget(D("0.05"), at_limit="ask")),
        ("0.05, at_limit=degrade", Budget(D("0.05"), at_limit="degrade")),
        ("0.05 degrade=small", Budget(D("0.05"), at_limit="degrade", degrade="small")),
        ({"usd": 0.01, "calls": 5}, Budget(D("0.01"), calls=D(5))),
        ({"calls": 5, "at_limit": "ask"}, Budget(calls=D(5), at_limit="ask")),
        ("1.5 seconds", Budget(seconds=D("1.5"))),
    ],
)
def test_what_can_be_said(said, meant):
    """Numbers, texts and mappings say the same in one grammar."""
    assert parse_budget(said) == meant


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("1e3", "must be an amount in dollars, got '1e3'", "write 1000"),
        ("nan", "must be an amount in dollars, got 'nan'", "plain digits"),
        (float("nan"), "must be finite", ""),
        (float("inf"), "must be finite", ""),
        (-1, "must be from 0", ""),
        ("-1", "must be an amount in dollars, got '-1'", "plain digits"),
        (True, "must be an amount in dollars, got True", ""),
        ("2.5 calls", "whole number", ""),
        ("calls=many", "must be a number of calls, got 'many'", ""),
        ("0.05, 20 cals", "has no `cals`", "did you mean `calls`"),
        ("0.05 cals=3", "has no `cals`", "did you mean `calls`"),
        ({"token": 3, "usdd": 1}, "has no `usdd`", "`usd`"),
        ("at_limit=stopp", "got 'stopp'", "`stop`"),
        ("degrade={}", "degrade to a model's name", "degrade=small"),
        ("", "empty", "0.05"),
        ({}, "empty", "0.05"),
        ([1], "must be an amount in dollars, got [1]", ""),
        (10**7, "must be from 0 to 1,000,000", ""),
    ],
)
def test_what_cannot_be_said(said, message, hint):
    """A wrong budget is refused; the error has the wrong part and its correct form."""
    with pytest.raises(BadOption) as caught:
        parse_budget(said)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_raising_adds_and_the_rest_stays():
    """``+`` adds to what there was; what is not mentioned stays as it was; `none` takes one limit away."""
    before = Budget(D("0.50"), calls=D(10), at_limit="ask")
    assert parse_budget("+0.25", before=before) == Budget(D("0.75"), calls=D(10), at_limit="ask")
    assert parse_budget("+0.25 calls=+5", before=before) == Budget(D("0.75"), calls=D(15), at_limit="ask")
    assert parse_budget("calls=none stop", before=before) == Budget(D("0.50"))
    assert parse_budget("+0.25") == Budget(D("0.25")), "raised from nothing"


amounts = st.none() | st.decimals(0, 1000, places=4)
whole = st.none() | st.integers(0, 10**6).map(D)


@given(
    amounts, whole, whole, amounts, st.sampled_from([("stop", ""), ("ask", ""), ("degrade", ""), ("degrade", "small")])
)
def test_what_is_written_reads_back(usd, tokens, calls, seconds, at_limit):
    """A budget's text, its data and what an event keeps of it all mean the same budget."""
    budget = Budget(usd, tokens, calls, seconds, *at_limit)
    assert budget_of(budget.usd, budget.beside_usd()) == budget
    if budget.has_limit:
        assert parse_budget(str(budget)) == budget
        assert parse_budget(budget.as_data()) == budget
