"""Amounts are read strictly, wherever they are read."""

from __future__ import annotations

import re
from decimal import Decimal as D
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_nb.analysis.forecast.forecast import forecast
from orch_nb.analysis.forecast.scenario import share
from orch_nb.analysis.matrix.matrix import check_options
from orch_nb.catalog.prices import check_usd
from orch_nb.errors import BadOption, CellError, OrchError
from orch_nb.lang.agent_cell import parse_agent_cell
from orch_nb.runtime.budget_limit import raised_budget
from orch_nb.schema.agent_spec import duration_s
from orch_nb.schema.amount import corrected, is_amount_like, read_amount, read_exact
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.route_spec import check_sla
from orch_nb.schema.route_spec import share as route_share

STEPS = [{"step": "draft", "usd": 0.015}]
SHOWN = {"unit": "usd", "limit": "0.50", "used": "0.50", "held": "0", "asked": "0.1"}
READERS = {
    "amount": lambda text: read_amount(text, "it", most=10**6),
    "budget": parse_budget,
    "budget of a mapping": lambda text: parse_budget({"usd": text}),
    "calls": lambda text: parse_budget(f"calls={text}"),
    "seconds": lambda text: parse_budget(f"{text} seconds"),
    "raised budget": lambda text: parse_budget(f"+{text}"),
    "a person's raise": lambda text: raised_budget(SHOWN, text, Budget(D("0.50"))),
    "price": lambda text: check_usd(text, "input"),
    "volume": lambda text: forecast(STEPS, per_day=text),
    "rate of a forecast": lambda text: share(text, "cache_hits", most=None),
    "fixed costs": lambda text: forecast(STEPS, per_day=1, against=1).break_even(setup_usd=text),
    "step table": lambda text: forecast([{"step": "a", "usd": text}], per_day=1),
    "baseline": lambda text: forecast(STEPS, per_day=1, against=text),
    "flag of an agent": lambda text: parse_agent_cell(f'a --budget "{text}"', "x"),
    "front matter": lambda text: parse_agent_cell("a", f'---\nbudget: "{text}"\n---\nx'),
    "nested front matter": lambda text: parse_agent_cell("a", f'---\nbudget: {{usd: "{text}"}}\n---\nx'),
    "limits of an agent": lambda text: parse_agent_cell("a", f'---\nmax_tokens: "{text}"\n---\nx'),
    "confidence of a route": route_share,
    "promise of seconds": lambda text: check_sla({"seconds": text}),
    "duration": lambda text: duration_s(f"{text}m"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ["0,50", "1,000", "1.000,5", "٠.٥", "５", "1e0", "--1", "-1", "0x1", "0.5.0", ""])
def test_what_is_not_plain_digits_with_one_point_is_refused_by_every_reader_of_amounts(reader, text):
    """Commas, other scripts, exponents and doubled signs never become another amount, nor none."""
    with pytest.raises((OrchError, ValueError)):
        READERS[reader](text)


@pytest.mark.parametrize("reader", READERS)
def test_plain_digits_are_read_by_every_reader_of_amounts(reader):
    """The refusals above are not those of a reader that takes nothing."""
    READERS[reader]("1")


amounts = st.text(alphabet="0123456789.,$+-_eE ٥５'", max_size=12) | st.text(max_size=8)


@example("0,50")
@example("1,000.50")
@example("0.05, 20 calls")
@given(amounts)
def test_an_amount_that_is_accepted_is_written_back_as_the_same_amount_and_holds_no_comma(text):
    """Nothing is read as something that it does not say."""
    try:
        got = read_amount(text, "it", most=10**12)
    except BadOption:
        return
    assert re.fullmatch(r"\$?[0-9_]+(\.[0-9]+)?", text.strip())
    assert format(got, "f").rstrip("0").rstrip(".") == _digits(text)
    assert read_amount(format(got, "f"), "it", most=10**12) == got


def _digits(text):
    plain = text.strip().removeprefix("$").replace("_", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else format(D(plain), "f").rstrip("0").rstrip(".")


@example("0,50")
@example("0.05,20 calls")
@given(st.text(alphabet="0123456789., $+calstokenuds=", max_size=24))
def test_a_budget_with_a_comma_between_digits_is_never_accepted(text):
    """A comma parts a budget's parts where a blank follows; it is never a decimal or a thousands sign."""
    try:
        got = parse_budget(text)
    except BadOption:
        return
    assert not re.search(r"\d,\d", text)
    assert not got.has_limit or parse_budget(str(got)) == got


@given(st.floats(0, 10**6) | st.decimals(0, 10**6) | st.integers(0, 10**6))
def test_a_number_from_python_is_read_as_its_own_digits_which_are_read_back(value):
    """Floats are their shortest digits, never their binary expansion, and what an amount becomes as text means it."""
    got = read_amount(value, "it", most=10**6)
    assert abs(got - D(repr(value) if isinstance(value, float) else value)) < D("1e-39")
    assert read_amount(format(got, "f"), "it", most=10**6) == got


@pytest.mark.parametrize("value", [float("nan"), float("inf"), D("NaN"), D("sNaN"), D("-Infinity"), -1, -0.5, D("-0.01"), True, None, [1], Fraction(1, 3), Budget()])  # fmt: skip
def test_a_python_value_that_is_no_finite_number_from_0_is_refused(value):
    """Truth values, NaN, infinities and negatives are refused."""
    with pytest.raises(BadOption, match="it must be"):
        read_amount(value, "it", most=100)


def test_a_budget_made_in_python_is_checked_like_one_that_is_typed():
    """`Budget` takes anything; what reads budgets does not."""
    for wrong in (Budget(D("NaN")), Budget(D(-1)), Budget(calls=D("1.5")), Budget(usd="0,50")):
        with pytest.raises(BadOption, match="`budget`"):
            parse_budget(wrong)
    right = Budget(D("0.5"), calls=D(3), at_limit="degrade", degrade="small")
    assert parse_budget(right) == right
    assert parse_budget(Budget()) == Budget()


def test_numbers_of_numpy_and_fractions_are_amounts_where_tables_give_them():
    """A column of a data frame holds such."""
    assert read_amount(np.float64(0.1), "it", most=1) == D("0.1")
    assert read_amount(np.int64(3), "it", most=5) == 3
    assert read_exact(Fraction(1, 3), "it") == Fraction(1, 3)
    with pytest.raises(BadOption, match="from 0"):
        read_exact(Fraction(-1, 3), "it")
    assert str(read_amount(-0.0, "it", most=1)) == "0"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0,50", "write 0.50"), ("$0,50", "write 0.50"), ("+0,50", "write +0.50"), ("$$2", "write 2"), (".5", "write 0.5"),
        ("1e3", "write 1000"), ("٠٫٥٠", "write 0.50"), ("１０", "write 10"), ("1.234,50", "write 1234.50"),
        ("1,234.50", "write 1234.50"), ("1,000,000", "write 1000000"), ("1,000", "write 1000 or 1.000"),
        ("0,50 ask", "write 0.50 ask"), ("calls=1,000 ask", "write calls=1000 ask"), ("0.05,", "write 0.05"),
    ],
)  # fmt: skip
def test_a_refused_amount_is_shown_as_it_would_be_accepted(text, hint):
    """The hint works when typed: both of two readings are given, and neither is taken."""
    with pytest.raises(BadOption) as caught:
        parse_budget(text)
    assert caught.value.hint == hint
    for way in hint.removeprefix("write ").split(" or "):
        assert parse_budget(way)


@given(amounts)
def test_what_is_proposed_instead_of_an_amount_is_an_amount(text):
    """A hint never shows what would be refused again."""
    for way in filter(None, corrected(text).split(" or ")):
        read_amount(way.removeprefix("+"), "it", most=10**90)


@pytest.mark.parametrize(
    ("said", "both"),
    [
        ("0.05 0.50", "0.05 and 0.50"), ("0, 50", "0 and 50"), ("10 calls 20 calls", "10 and 20"),
        ("calls=10 calls=20", "10 and 20"), ("5 calls call=6", "5 and 6"), ("usd=1 2", "1 and 2"), ("0.5 none", "0.5 and none"),
        ({"usd": 1, "dollars": 2}, "1 and 2"), ("ask stop", "ask and stop"), ("ask ask", "ask and ask"),
        ("0.05 ask degrade=small", "ask and degrade=small"), ("degrade=small degrade=big", "small and big"),
    ],
)  # fmt: skip
def test_a_part_of_a_budget_that_is_given_twice_is_refused_with_both(said, both):
    """No second amount wins, not even over the same unit, and no second word for what happens at the limit."""
    with pytest.raises(BadOption, match=f"got {both}") as caught:
        parse_budget(said)
    assert caught.value.hint == "keep one of the two"


def test_what_happens_at_the_limit_does_not_depend_on_the_order_of_the_parts():
    """`at_limit` and the model it degrades to say one thing together."""
    wanted = Budget(at_limit="degrade", degrade="small")
    assert parse_budget({"at_limit": "degrade", "degrade": "small"}) == wanted
    assert parse_budget({"degrade": "small", "at_limit": "degrade"}) == wanted
    assert parse_budget("ask", before=wanted) == Budget(at_limit="ask")


def test_a_decimal_comma_in_front_matter_is_refused_in_each_of_its_places():
    """YAML reads `{usd: 0,50}` as two keys, which is refused, too."""
    for row in (
        "budget: 0,01",
        "budget: {usd: 0,01}",
        "budget: {usd: '0,01'}",
        "budget: 1 calls, 0,01",
        "temperature: 0,5",
    ):
        with pytest.raises(CellError, match="line 3: `(budget|temperature)`"):
            parse_agent_cell("a", f"---\n{row}\n---\nx")
    with pytest.raises(CellError) as caught:
        parse_agent_cell("a --budget 0,01", "x")
    assert caught.value.hint == "write 0.01"


def test_a_text_is_meant_as_an_amount_when_it_begins_like_one():
    """A baseline "0,50" is a wrong amount, not the name of a model that nobody knows."""
    assert [is_amount_like(t) for t in ("0.50", "$5", "0,50", "-1", ".5", "1e3", "٥")] == [True] * 7
    assert not any(is_amount_like(t) for t in ("4o", "4o/mini", "small", "all on big", "", "$x"))
    with pytest.raises(BadOption, match="got '0,50'"):
        forecast(STEPS, per_day=1, against="0,50")


def test_the_options_of_a_matrix_are_finite():
    """NaN is within no bounds."""
    with pytest.raises(BadOption):
        check_options(float("nan"), 8)
