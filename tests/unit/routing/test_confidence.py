"""Calibration: scores become rates of right answers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.errors import BadOption
from orch_nb.routing.confidence import LEAST_LABELS, calibrated, calibration, expected_error


def overconfident(n, seed=7):
    """Scores whose answers are right only as often as their square."""
    draw = random.Random(seed)
    return [(s, draw.random() < s * s) for s in (draw.random() for _ in range(n))]


def test_an_overconfident_score_is_brought_down_to_what_comes_true():
    """On answers that the fit had not seen the error falls to a third; the map is near the truth."""
    made = calibration(overconfident(3_000))
    assert made.error_before > 0.14
    assert made.error_after < made.error_before / 3
    assert abs(made(0.5) - 0.25) < 0.08
    assert abs(made(0.9) - 0.81) < 0.08


def test_a_score_that_is_right_already_is_left_about_where_it_is():
    """Calibrating what is calibrated does little harm."""
    draw = random.Random(3)
    pairs = [(s, draw.random() < s) for s in (draw.random() for _ in range(3_000))]
    made = calibration(pairs)
    assert made.error_after < 0.04
    assert abs(made(0.7) - 0.7) < 0.08


def test_too_few_labels_calibrate_nothing():
    """Nineteen labelled answers are refused, with how many are needed; percentages are not confidences."""
    with pytest.raises(BadOption, match=f"{LEAST_LABELS} are needed"):
        calibration(overconfident(LEAST_LABELS - 1))
    with pytest.raises(BadOption, match="outside 0 to 1"):
        calibration([(80.0, True)] * 30)


PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=LEAST_LABELS, max_size=120)


@given(PAIRS, st.randoms(use_true_random=False), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_a_calibration_rises_stays_within_bounds_and_knows_no_order(pairs, shuffled, scores):
    """More confident is never less often right; no figure says 0 or 1; the order of the labels changes nothing."""
    made = calibration(pairs)
    mixed = list(pairs)
    shuffled.shuffle(mixed)
    assert calibration(mixed).points == made.points
    rates = [made(s) for s in sorted(scores)]
    assert rates == sorted(rates)
    assert all(0 < rate < 1 for rate in rates)


def test_without_points_a_score_stays_what_it_is():
    """No calibration is not change."""
    assert calibrated([], 0.3) == 0.3
    assert expected_error([]) == 0.0
