"""The closed forms behind `Learned`: ridge regression with exact leave-one-out, a sum of such fits, and when to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Penalties tried; rows are about unit vectors. Leave-one-out chooses, and one more, infinity, is "no effect"."""

CENTRES = 256
"""Landmarks of the kernel fit: some for each of the topics that a log of ten thousand has, and 0.1 ms a decision."""

REACH = 0.15
"""1 - cosine at which the kernel has fallen to 1/e. MiniLM's questions on one subject lie 0.3 apart, on two 0.8 and more."""

BELIEVED, BELIEF = 0.10, 200.0
"""The prior counts as so many outcomes that each spoke for it by so many standard deviations, until outcomes outweigh it.

At 300 real outcomes that show nothing it is dropped, at 1,000 a tenth of that effect must be seen. See `trusted`."""

MARGIN = (0.5, 2.0)
"""Standard errors by which a fit must beat what comes before it, on outcomes it has not seen, to be believed a little and to be
believed in full. A choice of strength and of shares was made on the same outcomes, so that pure noise often shows half a one.
With an all-or-nothing rule at 1.5 a weak signal went unused in 1,000 outcomes (made-up world `mild`, APGR 0.493 for
0.521), at 0.7 noise cost 13 models 0.015 of the gap."""


@dataclass(slots=True)
class Ridge:
    """A linear fit of some columns: `x @ weights + offset`, and what it says of each row without having seen that row."""

    weights: Any
    offset: Any
    unseen: Any

    def __call__(self, x: object) -> Any:
        return x @ self.weights + self.offset


def fit_ridge(x: Any, y: Any) -> Ridge:
    """Ridge regression of each column of `y` (n, k) on `x` (n, d), each with the strength that leave-one-out prefers.

    Notes
    -----
    One eigendecomposition serves all strengths and columns: O(n d min(n, d)) once, O(n min(n, d) k) a strength. A row's
    unseen prediction is y - (y - fitted) / (1 - leverage), which is exact. A column for which no strength beats its mean
    gets weights of 0. Deterministic.

    References
    ----------
    Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2009, equations 7.64 and 18.14 (few rows, many
    columns).
    """
    import numpy as np

    n, middle, mean = len(x), x.mean(axis=0), y.mean(axis=0)
    xc, yc = (x - middle).astype(np.float64), y - mean
    basis, size = _spectrum(xc)
    turned = basis.T @ yc
    best = np.full(y.shape[1], np.inf)
    chosen = np.zeros((len(size), y.shape[1]))
    unseen = np.zeros_like(yc)
    for strength in (*STRENGTHS, np.inf):
        kept = size / (size + strength)
        leverage = np.minimum(1.0 / n + (basis * basis) @ kept, 1.0 - 1e-6)
        left = (yc - basis @ (kept[:, None] * turned)) / (1.0 - leverage)[:, None]
        error = (left * left).sum(axis=0)
        better = error < best
        best[better] = error[better]
        unseen[:, better] = (yc - left)[:, better]
        chosen[:, better] = (turned / (size + strength)[:, None])[:, better]
    weights = xc.T @ (basis @ chosen)
    return Ridge(weights, mean - middle @ weights, unseen + mean)


def _spectrum(x: Any) -> tuple[Any, Any]:
    """Orthonormal columns and squared singular values of `x`, from whichever of its two Gram matrices is smaller."""
    import numpy as np

    n, d = x.shape
    if n <= d:
        size, basis = np.linalg.eigh(x @ x.T)
        keep = size > 1e-9 * max(float(size[-1]), 1e-12)
        return basis[:, keep], size[keep]
    size, axes = np.linalg.eigh(x.T @ x)
    keep = size > 1e-9 * max(float(size[-1]), 1e-12)
    return x @ (axes[:, keep] / np.sqrt(size[keep])), size[keep]


def shares(parts: list[Any], goal: Any) -> Any:
    """Shares, none negative, of several predictions (n, k) of `goal` (n, k): one for each part and column, (parts, k).

    Notes
    -----
    Least squares by coordinate descent. Parts predict rows that they have not seen, so that none is preferred for having
    learned by heart.

    References
    ----------
    Breiman, "Stacked regressions", Machine Learning 24, 1996.
    """
    import numpy as np

    stack = np.stack(parts)
    products = np.einsum("ank,bnk->abk", stack, stack)
    match = np.einsum("ank,nk->ak", stack, goal)
    found = np.zeros_like(match)
    own = np.einsum("aak->ak", products)
    for _ in range(200):
        before = found.copy()
        for a in range(len(parts)):
            rest = match[a] - np.einsum("bk,bk->k", products[a], found) + own[a] * found[a]
            found[a] = np.where(own[a] > 1e-12, np.maximum(rest / np.maximum(own[a], 1e-12), 0.0), 0.0)
        if float(np.abs(found - before).max(initial=0.0)) < 1e-6:
            break
    return found


def surpasses(old: object, new: Any) -> tuple[float, float]:
    """By how many standard errors, and by how many standard deviations, squared errors `new` (n,) lie below `old` (n,)."""
    import numpy as np

    gain = old - new
    spread = float(gain.std())
    if len(gain) < 2 or spread < 1e-12:
        return 0.0, 0.0
    each = float(gain.mean()) / spread
    return each * float(np.sqrt(len(gain))), each


def belief(errors: float) -> float:
    """Share, 0 to 1, in which a fit is believed that is better by so many standard errors."""
    low, high = MARGIN
    return min(max((errors - low) / (high - low), 0.0), 1.0)


def trusted(each: float, n: int) -> bool:
    """Return whether the prior may lead: it and what `n` outcomes say of it (`each` standard deviations) are together above 0.

    The mean of `n` outcomes and of `BELIEF` believed ones must be more than its own standard error above 0.
    """
    total = n + BELIEF
    return (n * each + BELIEF * BELIEVED) / total > 1.0 / math.sqrt(total)


@dataclass(slots=True)
class Kernel:
    """Nearness to landmarks, turned so that inner products are a Gaussian-like kernel's (Nyström)."""

    centres: Any
    turn: object

    def __call__(self, vectors: object) -> object:
        import numpy as np

        return np.exp((vectors @ self.centres.T - 1.0) / REACH) @ self.turn


def fit_kernel(vectors: object) -> Kernel:
    """Landmarks of unit vectors (n, d): themselves, or the centres of up to 256 groups.

    References
    ----------
    Williams, Seeger, "Using the Nyström Method to Speed Up Kernel Machines", NIPS 2000. Zhang, Tsang, Kwok, "Improved
    Nyström Low-Rank Approximation", ICML 2008 (centres of groups as landmarks).
    """
    import numpy as np

    centres = _centres(vectors)
    gram = np.exp((centres @ centres.T - 1.0) / REACH).astype(np.float64)
    size, axes = np.linalg.eigh(gram)
    keep = size > 1e-6 * float(size[-1])
    return Kernel(centres, (axes[:, keep] / np.sqrt(size[keep])).astype(np.float32))


def _centres(vectors: Any, rounds: int = 4) -> Any:
    import numpy as np

    if len(vectors) <= CENTRES:
        return vectors.astype(np.float32)
    found = vectors[np.linspace(0, len(vectors) - 1, CENTRES).astype(int)].astype(np.float32)
    for _ in range(rounds):
        nearest = (vectors @ found.T).argmax(axis=1)
        sums = np.zeros_like(found)
        np.add.at(sums, nearest, vectors)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        found = np.where(length > 1e-9, sums / np.maximum(length, 1e-9), found).astype(np.float32)
    return found
