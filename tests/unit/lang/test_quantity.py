"""Quantities are exact, know their kind, and are shown as people write money."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.lang.quantity import Quantity, UnitError, rounded

CENTS = st.integers(-(10**9), 10**9).map(lambda n: Quantity(Fraction(n, 100), usd=1))


@given(st.lists(CENTS, min_size=1, max_size=30))
def test_a_sum_of_cents_is_a_sum_of_cents(amounts: list[Quantity]) -> None:
    """No order of adding loses or gains a fraction of a cent."""
    forwards, backwards = amounts[0], amounts[-1]
    for amount in amounts[1:]:
        forwards = forwards + amount
    for amount in reversed(amounts[:-1]):
        backwards = backwards + amount
    assert forwards == backwards
    assert (forwards.value * 100).denominator == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Quantity(Fraction("0.046"), usd=1), "$0.046"),
        (Quantity(Fraction("1500"), usd=1, days=-1), "$1,500.00 a day"),
        (Quantity(Fraction(1, 3), usd=1), "$0.3333"),
        (Quantity(Fraction(-5, 2), usd=1), "-$2.50"),
        (Quantity(Fraction("3.7"), seconds=1), "3.7 s"),
        (Quantity(Fraction(10_000), days=-1), "10,000 a day"),
        (Quantity(Fraction(2, 3)), "0.6667"),
    ],
)
def test_it_is_shown_as_people_write_it(value: Quantity, shown: str) -> None:
    """Cents always, more digits where a price needs them, thousands apart, the unit behind."""
    assert value.shown() == shown


def test_kinds_do_not_mix() -> None:
    """Dollars and seconds neither add nor compare, and the error names both."""
    with pytest.raises(UnitError, match=r"cannot add \$1.00 \(dollars\) and 2 s \(seconds\)"):
        _ = Quantity(Fraction(1), usd=1) + Quantity(Fraction(2), seconds=1)
    with pytest.raises(UnitError, match="cannot be divided by 0"):
        _ = Quantity(Fraction(1)) / Quantity(Fraction(0))


def test_halves_are_rounded_as_bills_are() -> None:
    """Half a cent becomes a cent, away from zero, not to the even one."""
    assert str(rounded(Fraction("0.125"), 2)) == "0.13"
    assert str(rounded(Fraction("-0.125"), 2)) == "-0.13"
