"""What a sample of runs says about the total of many: a seeded bootstrap with intervals that cover what they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST = 5
"""Runs below which no interval is given: with four costs nobody knows how the fifth may look."""

EXACT = 512
"""Up to so many future runs each is drawn; above, their mean is drawn from its normal limit."""

CHUNK = 1 << 21
"""Draws held at once: 16 MB."""


@dataclass(slots=True, frozen=True)
class Band:
    """An interval for the mean cost of `count` future runs."""

    low: float
    high: float
    draws: tuple[float, ...]
    """Sorted means that the future may have: what the chance to exceed a cap is counted in."""

    def chance_above(self, mean: float) -> float:
        """The share of the draws above `mean`."""
        from bisect import bisect_right

        return 1.0 - bisect_right(self.draws, mean) / len(self.draws)


def band(
    costs: Sequence[float], count: int, *, confidence: float = 0.95, resamples: int = 4000, seed: int = 0
) -> Band | None:
    """The interval that the mean cost of `count` future runs falls into with probability `confidence`.

    Parameters
    ----------
    costs
        What each recorded run cost; at least `FEWEST` of them, else None.
    count
        How many runs are to come. It is an interval for what will be billed, so that it is wider for 10 runs than for
        10,000: with many, what remains is how little the sample says about the mean.
    resamples
        Bootstrap resamples. 4,000 put the interval's ends within about 1 % of its width.
    seed
        Of the random numbers: the same runs give the same interval.

    Notes
    -----
    Percentiles of the *studentised* difference between the future mean and the sample's (bootstrap-t). Plain percentiles
    of resampled means cover too little where runs are few or costs skewed, as they are when a loop turns now and then: on
    20 log-normal costs (sigma 0.5) 92 % instead of 95 %; this covers 94 to 95 %. O(resamples * runs) time, 16 MB at most.

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
    Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), 371-386.
    """
    import numpy as np

    sample = np.asarray(costs, dtype=float)
    if sample.size < FEWEST:
        return None
    mean, spread = float(sample.mean()), float(sample.std(ddof=1))
    if spread <= 1e-12 * max(1.0, abs(mean)):  # rounding of the mean, not a difference between runs
        return Band(mean, mean, (mean,))
    random = np.random.default_rng(seed)
    means, spreads = _resample(random, sample, resamples)
    future = _future(random, sample, count, resamples, mean, spread)
    width = (1.0 / sample.size + 1.0 / max(count, 1)) ** 0.5
    kept = spreads > 1e-9 * spread  # a resample without any spread has no studentised difference
    pivots = (future[kept] - means[kept]) / (spreads[kept] * width)
    draws = np.sort(np.maximum(mean + pivots * spread * width, 0.0))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Band(float(low), float(high), tuple(draws.tolist()))


def _resample(random: Any, sample: Any, resamples: int) -> tuple[Any, Any]:
    """Means and standard deviations of resamples of the sample."""
    import numpy as np

    at_once = max(1, CHUNK // sample.size)
    means, spreads = [], []
    for start in range(0, resamples, at_once):
        drawn = sample[random.integers(0, sample.size, (min(at_once, resamples - start), sample.size))]
        means.append(drawn.mean(axis=1))
        spreads.append(drawn.std(axis=1, ddof=1))
    return np.concatenate(means), np.concatenate(spreads)


def _future(random: Any, sample: Any, count: int, resamples: int, mean: float, spread: float) -> Any:
    """Means of `count` runs to come, were the sample the whole truth."""
    import numpy as np

    if count > EXACT:
        return mean + random.standard_normal(resamples) * spread / count**0.5
    at_once = max(1, CHUNK // max(count, 1))
    parts = [
        sample[random.integers(0, sample.size, (min(at_once, resamples - start), max(count, 1)))].mean(axis=1)
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


# ------------------------------------------------------------------ qualities
# How sure a measured quality is: 95 % intervals for right-or-wrong and for graded judgements, without any dependency.

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
