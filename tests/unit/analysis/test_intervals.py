"""Intervals cover what they promise, are the same each time, and are not given where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from orch_nb.analysis.intervals import band

SHAPES = {
    "gamma": (lambda random, n: random.gamma(2.0, 0.01, n), 0.02),
    "log-normal": (lambda random, n: random.lognormal(-4.0, 0.5, n), float(np.exp(-4.0 + 0.125))),
    "a loop now and then": (lambda random, n: 0.01 * (1 + random.binomial(2, 0.3, n)), 0.016),
}


@pytest.mark.parametrize("volume", [20, 10_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_cover_what_they_promise(shape: str, volume: int) -> None:
    """The bill of a day lies in its 95 % interval on 93 to 97 % of days, whatever the costs' shape and the volume."""
    draw, _ = SHAPES[shape]
    random = np.random.default_rng(11)
    rounds = 1200
    hits = 0
    for at in range(rounds):
        found = band(draw(random, 40).tolist(), volume, resamples=500, seed=at)
        billed = float(draw(random, volume).mean())
        hits += found is not None and found.low <= billed <= found.high

    assert 0.93 <= hits / rounds <= 0.97, hits / rounds


def test_the_same_runs_give_the_same_interval() -> None:
    """An interval depends on the runs and the seed, and on nothing else."""
    costs = [0.01 * n for n in range(1, 30)]
    assert band(costs, 1000, seed=3) == band(costs, 1000, seed=3)
    assert band(costs, 1000, seed=3) != band(costs, 1000, seed=4)


def test_more_volume_or_more_runs_narrow_it() -> None:
    """The interval becomes narrower with more future runs and with more recorded runs."""
    costs = [0.01 + 0.001 * (n % 7) for n in range(40)]

    def width(sample: list[float], count: int) -> float:
        found = band(sample, count)
        assert found is not None
        return found.high - found.low

    assert width(costs, 10_000) < width(costs, 10)
    assert width(costs * 4, 10_000) < width(costs, 10_000)


def test_four_runs_say_nothing_and_equal_ones_everything() -> None:
    """Fewer than five runs give no interval; runs that all cost the same give one of no width."""
    assert band([1.0, 2.0, 3.0, 4.0], 100) is None
    same = band([0.25] * 5, 100)
    assert same is not None
    assert (same.low, same.high) == (0.25, 0.25)


def test_no_interval_goes_below_zero() -> None:
    """However skewed the costs, no bill is negative."""
    found = band([0.0, 0.0, 0.0, 0.0, 1.0], 3)
    assert found is not None
    assert found.low >= 0


def test_the_chance_to_exceed_falls_with_the_cap() -> None:
    """A cap below every draw is certainly exceeded, one above never, one at the mean about half of the time."""
    found = band([0.01 * (1 + n % 5) for n in range(60)], 10_000)
    assert found is not None
    assert found.chance_above(0.0) == 1.0
    assert found.chance_above(1.0) == 0.0
    assert 0.35 < found.chance_above(0.03) < 0.65
