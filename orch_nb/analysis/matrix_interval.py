"""How sure a measured quality is: 95 % intervals for right-or-wrong and for graded judgements, without any dependency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % points of Student's t for 1 to 30 degrees of freedom."""


@dataclass(slots=True, frozen=True)
class Interval:
    """A mean with its 95 % interval, and the number of judgements; nothing measured is (nan, 0, 1) with n = 0."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def text(self) -> str:
        """``85 % (64–95)``, or ``–``."""
        if not self.n:
            return "–"
        return f"{self.mean * 100:.0f} % ({self.low * 100:.0f}–{self.high * 100:.0f})"


def interval(values: Sequence[float]) -> Interval:
    """The mean of judgements from 0 to 1 with its 95 % interval.

    Parameters
    ----------
    values
        Qualities; their order does not matter.

    Notes
    -----
    Right-or-wrong judgements (all 0 or 1): Wilson's score interval, which keeps its coverage for few judgements and at both
    ends [1]_. Graded ones: Student's t, cut to 0 to 1, and never narrower than half of Wilson's, because a handful of equal
    grades says little. O(n).

    References
    ----------
    .. [1] Brown, Cai, DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16(2), 2001.

    Examples
    --------
    >>> interval([1, 1, 1, 0]).text
    '75 % (30–95)'
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    mean = math.fsum(values) / n
    low, high = wilson(mean, n)
    if all(v in (0, 1) for v in values) or n == 1:
        return Interval(mean, low, high, n)
    squares = math.fsum((v - mean) ** 2 for v in values)
    half = (_T[n - 2] if n <= len(_T) + 1 else Z) * math.sqrt(squares / (n - 1) / n)
    half = max(half, (high - low) / 4)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n`."""
    z2 = Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
