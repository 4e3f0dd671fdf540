"""The two fits and the word features, against what can be computed by other means."""

from __future__ import annotations

import numpy as np
import pytest

from orch_nb.routing.intent.features import TextFeatures, count_features
from orch_nb.routing.intent.regression import fit_classes, fit_curve, fit_temperature, log_softmax, logistic, minimize


def blobs(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping clouds."""
    random = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return (random.normal(size=(rows, width)) + np.eye(3, width)[y] * 2).astype(np.float32), y


def test_the_fit_ends_where_the_gradient_vanishes():
    """The weights solve the regularised problem: the analytic gradient there is nearly zero."""
    x, y = blobs(90, 5)
    w, b = fit_classes(x, y, 3, strength=2.0, steps=200)
    residual = np.exp(log_softmax(x @ w + b)) - np.eye(3)[y]
    assert np.abs(x.T @ residual + w / 2.0).max() < 0.02
    assert np.abs(residual.sum(axis=0)).max() < 0.02


def test_more_features_than_rows_give_the_same_scores():
    """The fit in the rows' coordinates equals the plain one: columns of zeros change nothing."""
    x, y = blobs(30, 5)
    wide = np.hstack([x, np.zeros((30, 60), np.float32)])
    w, b = fit_classes(x, y, 3, strength=1.0, steps=200)
    v, c = fit_classes(wide, y, 3, strength=1.0, steps=200)
    assert np.allclose(wide @ v + c, x @ w + b, atol=0.02)


def test_minimize_finds_the_bottom_of_a_bowl_and_stops_there():
    """A stretched parabola is solved; started at the bottom nothing moves; a step that cannot help is refused."""
    scale = np.array([1.0, 50.0], np.float32)
    bowl = lambda p: (0.5 * float(scale @ (p * p)), scale * p)  # noqa: E731
    assert np.abs(minimize(bowl, np.array([3.0, -2.0], np.float32), 60)).max() < 1e-3
    assert (minimize(bowl, np.zeros(2, np.float32), 60) == 0).all()
    lying = lambda p: (float(np.abs(p).sum()), np.array([-1.0, 0.0], np.float32))  # noqa: E731
    start = np.array([0.5, 0.0], np.float32)
    assert (minimize(lying, start, 5) == start).all()


def test_temperature_undoes_a_stretch():
    """Scores stretched by three are found to be stretched by three."""
    random = np.random.default_rng(1)
    honest = random.normal(size=(4000, 4)) * 1.5
    y = np.array([random.choice(4, p=p) for p in np.exp(log_softmax(honest))])
    assert fit_temperature(honest * 3, y) == pytest.approx(3.0, rel=0.12)


def test_the_curve_recovers_its_coefficients_and_stays_finite():
    """Known coefficients come back from samples; separable data give finite ones."""
    random = np.random.default_rng(2)
    x = random.normal(size=(5000, 2))
    y = (random.random(5000) < logistic(x @ np.array([1.0, -0.5]) + 0.3)).astype(float)
    assert np.allclose(fit_curve(x, y, np.ones(5000)), [1.0, -0.5, 0.3], atol=0.12)
    assert np.isfinite(fit_curve(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), np.ones(2))).all()


def test_features_are_those_of_at_least_two_texts():
    """A word of one text is not a column; words and n-grams are unit vectors of their own; unknown texts have no column."""
    counted = [count_features(text) for text in ("Top up my card", "top up failed", "my PIN")]
    features = TextFeatures(counted)
    assert {"w top", "w up", "w top up", "w my", "c <top"} <= set(features.columns)
    assert "w failed" not in features.columns
    columns, values = features.row(counted[0])
    names = {i: name for name, i in features.columns.items()}
    for kind in "wc":
        assert sum(v * v for c, v in zip(columns, values, strict=True) if names[c][0] == kind) == pytest.approx(1.0)
    assert features.row(count_features("zebra")) == ([], [])
    assert features.matrix(counted).shape == (3, len(features))
    assert len(TextFeatures(counted, limit=4)) == 4
