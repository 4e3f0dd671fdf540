"""Intervals: a seeded bootstrap for the cost of future runs, and 95 % intervals for measured qualities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import float64
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[float64]

FEWEST = 5
"""Smallest number of runs with an interval: four costs say little about the fifth."""

EXACT = 512
"""Largest number of future runs that are drawn one by one; above it their mean is drawn from its normal limit."""

CHUNK = 1 << 21
"""Draws held at once: 16 MB."""


@dataclass(slots=True, frozen=True)
class Band:
    """An interval for the mean cost of `count` future runs."""

    low: float
    high: float
    draws: tuple[float, ...]
    """Sorted possible means, from which the chance to exceed a limit is counted."""

    def chance_above(self, mean: float) -> float:
        """Return the share of the draws above `mean`."""
        from bisect import bisect_right

        return 1.0 - bisect_right(self.draws, mean) / len(self.draws)


def band(
    costs: Sequence[float], count: int, *, confidence: float = 0.95, resamples: int = 4000, seed: int = 0
) -> Band | None:
    """Return the interval that the mean cost of `count` future runs falls into with probability `confidence`.

    Parameters
    ----------
    costs
        Cost of each recorded run; with fewer than `FEWEST` of them the result is None.
    count
        Number of future runs. The interval is for the future bill, so it is wider for 10 runs than for 10,000: with many
        runs only the uncertainty of the mean remains.
    resamples
        Bootstrap resamples. With 4,000 the ends are exact to about 1 % of the width.
    seed
        Seed of the random numbers: the same runs give the same interval.

    Notes
    -----
    Percentiles of the *studentised* difference between the future mean and the sample's (bootstrap-t). Plain percentiles
    of resampled means cover too little where runs are few or costs skewed, as they are if a loop sometimes repeats: on
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


def _resample(random: Generator, sample: Floats, resamples: int) -> tuple[Floats, Floats]:
    """Return means and standard deviations of resamples of the sample."""
    import numpy as np

    at_once = max(1, CHUNK // sample.size)
    means, spreads = [], []
    for start in range(0, resamples, at_once):
        drawn = sample[random.integers(0, sample.size, (min(at_once, resamples - start), sample.size))]
        means.append(drawn.mean(axis=1))
        spreads.append(drawn.std(axis=1, ddof=1))
    return np.concatenate(means), np.concatenate(spreads)


def _future(random: Generator, sample: Floats, count: int, resamples: int, mean: float, spread: float) -> Floats:
    """Return means of `count` future runs drawn from the sample."""
    import numpy as np

    if count > EXACT:
        normal: Floats = mean + random.standard_normal(resamples) * spread / count**0.5
        return normal
    at_once = max(1, CHUNK // max(count, 1))
    parts = [
        sample[random.integers(0, sample.size, (min(at_once, resamples - start), max(count, 1)))].mean(axis=1)
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


# ------------------------------------------------------------------ qualities
# 95 % intervals for right-or-wrong and for graded judgements, without a dependency.

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % points of Student's t for 1 to 30 degrees of freedom."""


@dataclass(slots=True, frozen=True)
class Interval:
    """A mean with its 95 % interval, and the number of judgements; without judgements (nan, 0, 1) and n = 0."""

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
    """Return the mean of judgements from 0 to 1 with its 95 % interval.

    Parameters
    ----------
    values
        Qualities; their order does not matter.

    Notes
    -----
    Right-or-wrong judgements (all 0 or 1): Wilson's score interval, which covers correctly for few judgements and at both ends [1]_.
    Graded ones: Student's t, cut to 0 to 1, and never narrower than half of Wilson's, because a few equal grades say little. O(n).

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
    """Return Wilson's 95 % interval of a share of `n`."""
    z2 = Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
