"""Two small fits without a library: which class (multinomial logistic regression), and how sure (a logistic curve)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = 8
"""Steps that the quasi-Newton method remembers."""

STRICT = 1e-4
"""Share of the promised decrease that a step must bring (Armijo)."""

CURVE_STEPS = 50


def fit_classes(x: Any, y: Any, classes: int, *, strength: float, steps: int) -> tuple[Any, object]:
    """Weights and offsets of a multinomial logistic regression.

    Parameters
    ----------
    x
        Features, float32, shape (n_rows, n_features).
    y
        Class of each row, int, shape (n_rows,).
    classes
        How many there are.
    strength
        Weight of the rows' summed loss against half the squared weights (scikit-learn's C). Offsets are free.
    steps
        At most so many quasi-Newton steps; it ends earlier when the gradient is flat.

    Returns
    -------
    Weights of shape (n_features, classes) and offsets of shape (classes,), float32.

    Notes
    -----
    Limited-memory BFGS from zero: deterministic. A step costs O(n_rows x n_features x classes).

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45, 1989.
    """
    import numpy as np

    rows, width = x.shape
    if rows < width:
        return _fit_in_rows(x, y, classes, strength=strength, steps=steps)
    penalty = 1.0 / (strength * rows)
    truth = np.zeros((rows, classes), np.float32)
    truth[np.arange(rows), y] = 1.0

    def loss(flat: Any) -> tuple[float, object]:
        w, b = flat[:-classes].reshape(width, classes), flat[-classes:]
        log_p = log_softmax(x @ w + b)
        residual = (np.exp(log_p) - truth) / np.float32(rows)
        value = -float(log_p[truth > 0].mean(dtype=np.float64)) + 0.5 * penalty * float(np.vdot(w, w))
        return value, np.concatenate([(x.T @ residual + np.float32(penalty) * w).ravel(), residual.sum(axis=0)])

    flat = minimize(loss, np.zeros((width + 1) * classes, np.float32), steps)
    return flat[:-classes].reshape(width, classes), flat[-classes:]


def _fit_in_rows(x: Any, y: object, classes: int, *, strength: float, steps: int) -> tuple[object, object]:
    """The same fit in as many coordinates as there are rows: the best weights are sums of rows.

    With x x' = L L', weights x' a have the scores L (L' a) and the length |L' a|: the rows of L are the new features.
    """
    import numpy as np

    gram = (x @ x.T).astype(np.float64)
    corner = np.linalg.cholesky(gram + 1e-5 * np.eye(len(x)))  # equal rows would make it singular
    inner, offset = fit_classes(corner.astype(np.float32), y, classes, strength=strength, steps=steps)
    return (x.T @ np.linalg.solve(corner.T, inner)).astype(np.float32), offset


def minimize(loss: Callable[[object], tuple[float, Any]], start: object, steps: int) -> Any:
    """The point where a smooth convex `loss` (value and gradient) is least, within `steps` L-BFGS steps from `start`."""
    import numpy as np

    point = start
    value, slope = loss(point)
    memory: deque[tuple[object, object, float]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        if float(np.abs(slope).max()) < 1e-6:
            break
        way = _direction(slope, memory)
        descent, size = float(np.vdot(way, slope)), 1.0 if memory else 1.0 / float(np.linalg.norm(slope))
        while True:
            there = point + np.float32(size) * way
            new_value, new_slope = loss(there)
            if new_value <= value + STRICT * size * descent:
                break
            size /= 2
            if size < 1e-6:
                return point
        moved, turned = there - point, new_slope - slope
        curvature = float(np.vdot(moved, turned))
        if curvature > 0:
            memory.append((moved, turned, 1.0 / curvature))
        point, value, slope = there, new_value, new_slope
    return point


def _direction(slope: Any, memory: deque[tuple[Any, Any, float]]) -> Any:
    """The two-loop recursion: minus the slope, bent by the remembered curvature."""
    import numpy as np

    way = -slope
    shares = []
    for moved, turned, inverse in reversed(memory):
        share = np.float32(inverse * float(np.vdot(moved, way)))
        way = way - share * turned
        shares.append(share)
    if memory:
        moved, turned, inverse = memory[-1]
        way = way * np.float32(1.0 / (inverse * float(np.vdot(turned, turned))))
    for (moved, turned, inverse), share in zip(memory, reversed(shares), strict=True):
        way = way + (share - np.float32(inverse * float(np.vdot(turned, way)))) * moved
    return way


def log_softmax(scores: Any) -> Any:
    """Logarithms of the probabilities, row by row."""
    import numpy as np

    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def fit_temperature(scores: object, y: Any) -> float:
    """The divisor of `scores` (n_rows, classes) under which the true classes `y` are likeliest, from 0.1 to 10."""
    import numpy as np

    rows = np.arange(len(y))
    grid = np.geomspace(0.1, 10.0, 81)
    likelihood = [float(log_softmax(scores / t)[rows, y].mean()) for t in grid]
    return float(grid[int(np.argmax(likelihood))])


def fit_curve(x: Any, y: Any, weights: Any) -> object:
    """Logistic regression of a yes or no `y` on a few columns `x` (n_rows, n_columns); the last coefficient is the offset.

    Notes
    -----
    Newton's method. A penalty of 1 / n_rows on the squared coefficients of the standardised columns, and targets a little
    inside 0 and 1, keep the curve gentle where a few rows happen to be separable.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", 1999 (targets by Laplace's rule).
    """
    import numpy as np

    middle, width = x.mean(axis=0), x.std(axis=0) + 1e-9
    full = np.column_stack([(x - middle) / width, np.ones(len(x))])
    yes, no = float(y.sum()), float(len(y) - y.sum())
    goal = np.where(y > 0, (yes + 1) / (yes + 2), 1 / (no + 2))
    penalty = np.diag([1.0 / len(x)] * x.shape[1] + [1e-6])
    share = weights / weights.sum()
    found = np.zeros(full.shape[1])
    for _ in range(CURVE_STEPS):
        p = logistic(full @ found)
        slope = full.T @ (share * (p - goal)) + penalty @ found
        bend = (full * (share * p * (1 - p))[:, None]).T @ full + penalty
        step = np.linalg.solve(bend, slope)
        found -= step * min(1.0, 5.0 / float(np.abs(step).max() + 1e-12))  # no wild first jump
        if float(np.abs(step).max()) < 1e-8:
            break
    slopes = found[:-1] / width
    return np.append(slopes, found[-1] - slopes @ middle)


def logistic(z: Any) -> Any:
    """1 / (1 + exp(-z)), without overflow."""
    import numpy as np

    return 0.5 * (1.0 + np.tanh(0.5 * z))
