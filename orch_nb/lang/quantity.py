"""Exact quantities with units: dollars, seconds, shares, counts, each of them also per day.

Arithmetic is on `Fraction`, so that 1/3 stays 1/3 and a sum of cents is a sum of cents; a figure becomes a rounded decimal
only where it is shown. Days are not seconds here: "a day" is how often (volume), "s" is how long (latency).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from orch_nb.errors import OrchError

SECONDS = {
    "ms": Fraction(1, 1000), "s": Fraction(1), "sec": Fraction(1), "second": Fraction(1), "seconds": Fraction(1),
    "min": Fraction(60), "minute": Fraction(60), "minutes": Fraction(60),
    "h": Fraction(3600), "hour": Fraction(3600), "hours": Fraction(3600),
}  # fmt: skip
"""Words of duration, in seconds. `m` is left out: it may be minutes, months or millions."""


class UnitError(OrchError):
    """Two quantities of different kinds were added or compared."""

    code = "ORCH710"


@dataclass(slots=True, frozen=True)
class Quantity:
    """An exact number and its kind.

    Parameters
    ----------
    value
        In dollars and seconds; per day where `days` is -1.
    usd, seconds, days
        Exponents: dollars a day have `usd` 1 and `days` -1.

    Examples
    --------
    >>> ticket = Quantity(Fraction("0.15"), usd=1)
    >>> (ticket * Quantity(Fraction(10_000), days=-1)).shown()
    '$1,500.00 a day'
    """

    value: Fraction
    usd: int = 0
    seconds: int = 0
    days: int = 0

    @property
    def kind(self) -> tuple[int, int, int]:
        """The exponents of dollars, seconds and days."""
        return (self.usd, self.seconds, self.days)

    @property
    def is_number(self) -> bool:
        """True without a unit: a count or a share."""
        return self.kind == (0, 0, 0)

    def __add__(self, other: Quantity) -> Quantity:
        self.check(other, "add")
        return Quantity(self.value + other.value, *self.kind)

    def __sub__(self, other: Quantity) -> Quantity:
        self.check(other, "subtract")
        return Quantity(self.value - other.value, *self.kind)

    def __neg__(self) -> Quantity:
        return Quantity(-self.value, *self.kind)

    def __mul__(self, other: Quantity) -> Quantity:
        return Quantity(self.value * other.value, *(a + b for a, b in zip(self.kind, other.kind, strict=True)))

    def __truediv__(self, other: Quantity) -> Quantity:
        if not other.value:
            raise UnitError(f"{self.shown()} cannot be divided by {other.shown()}.", hint="the divisor must not be 0")
        return Quantity(self.value / other.value, *(a - b for a, b in zip(self.kind, other.kind, strict=True)))

    def check(self, other: Quantity, verb: str = "compare") -> None:
        """Check that two quantities are of one kind.

        Raises
        ------
        UnitError
            They are not; both are named.
        """
        if self.kind != other.kind:
            raise UnitError(
                f"cannot {verb} {self.shown()} ({self.words}) and {other.shown()} ({other.words}).",
                hint="both sides need the same unit: dollars, dollars a day, seconds, or a plain number",
            )

    @property
    def words(self) -> str:
        """The kind in words."""
        names = {
            (0, 0, 0): "a number", (1, 0, 0): "dollars", (1, 0, -1): "dollars a day", (0, 1, 0): "seconds",
            (0, 0, -1): "a number a day", (0, 1, -1): "seconds a day",
        }  # fmt: skip
        return names.get(self.kind, f"usd^{self.usd} s^{self.seconds} day^{self.days}")

    def shown(
        self, *, decimals: int | None = None, percent: bool = False, period: str = "day", days: int = 1, per: str = ""
    ) -> str:
        """Format the figure.

        Parameters
        ----------
        decimals
            Digits after the point; None: cents from a dollar up, four significant digits below, else up to four digits.
        percent
            Show a plain number as a percentage.
        period, days
            The period that a quantity per day is shown for, and its length in days.
        """
        value = self.value * days if self.days == -1 else self.value
        tail = f" a {period}" if self.days == -1 else ""
        if percent:
            return f"{_digits(value * 100, decimals)} %{tail}"
        if self.usd == 1:
            amount = rounded(abs(value), max(2, decimals)) if decimals is not None else _dollars(abs(value))
            return f"{'-' if value < 0 else ''}${amount:,f}{tail}"
        unit = " s" if self.seconds == 1 else ""
        return f"{_digits(value, decimals)}{unit}{per}{tail}"


MOST_PLACES = 18
"""Largest number of digits after the point that is shown."""


def _dollars(value: Fraction) -> Decimal:
    """Round to cents from a dollar up; below, to the digits of the amount, or four significant ones."""
    if value >= 1 or not value:
        return rounded(value, 2)
    exact = next((n for n in range(2, 5) if rounded(value, n) == _exact(value)), None)
    if exact is not None:
        return rounded(value, exact)
    places = min(MOST_PLACES, 3 - _exact(value).adjusted())
    shown = rounded(value, places).normalize()
    return shown if int(shown.as_tuple().exponent) <= -2 else rounded(value, 2)


def _exact(value: Fraction) -> Decimal:
    with localcontext() as precise:
        precise.prec = 40
        return Decimal(value.numerator) / Decimal(value.denominator)


def _digits(value: Fraction, decimals: int | None) -> str:
    if decimals is not None:
        return f"{rounded(value, decimals):,f}"
    if value.denominator == 1:
        return f"{value.numerator:,}"
    places = next((n for n in range(1, 5) if rounded(value, n) == _exact(value)), 4 if abs(value) < 1 else 2)
    return f"{rounded(value, places):,f}"


def rounded(value: Fraction, places: int) -> Decimal:
    """Round to `places` digits after the point, halves away from zero, as bills are rounded."""
    with localcontext() as precise:
        precise.prec = 80
        return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(
            Decimal(1).scaleb(-places), ROUND_HALF_UP
        )
