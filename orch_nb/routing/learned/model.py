"""What a log of outcomes says about a prompt that was never asked: expected quality and cost of each offer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.routing.learned.features import KINDS, WIDTH, focus, hardness, hashed, kind_of, signs
from orch_nb.routing.learned.ridge import (
    MARGIN,
    Kernel,
    Ridge,
    belief,
    fit_kernel,
    fit_ridge,
    shares,
    surpasses,
    trusted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOPICS = 128
"""Directions kept of the hashed words: the subjects of a log; what is rarer no few thousand outcomes can speak about."""

WORDS_SHARE, SIGNS_SHARE = 0.7, 0.5
"""Length of the words' and of the counts' part beside the embedding's 1, where one fit reads all three."""

PRESUMED = (0.8, 0.65)
"""Quality of the first and of the last offer while nothing at all is known. Only that the first is better matters."""

JOINED = 2
"""Place of the table that joins all others, among those that `Views` makes."""

SLOPES = (0.2, 0.4, 0.7, 1.0)
"""Fall of the log odds of being right for one standard deviation of hardness; the log chooses once it has 200 prompts."""
SLOPE, ENOUGH = 0.4, 200

TYPICAL_HARDNESS = (2.0, 1.0)
"""Mean and standard deviation of `hardness` over questions of many kinds, worth 30 prompts beside a log's own."""
TYPICAL_WEIGHT = 30.0

ENOUGH_CALLS = 30
"""Priced calls of an offer before its cost is expected to depend on the prompt."""

FREE_COSTS = 0.05
"""A cost is never expected below this share of the offer's mean: no linear fit may promise a call for nothing."""


@dataclass(slots=True)
class Features:
    """What is known of some prompts before anyone answers: rows of `signs`, hashed words, vectors (or None), hardness."""

    signs: Any
    words: list[dict[int, int]]
    vectors: Any
    hardness: Any

    def __len__(self) -> int:
        return len(self.words)

    def rows(self, rows: Any) -> Features:
        """Some of them."""
        vectors = None if self.vectors is None else self.vectors[rows]
        return Features(self.signs[rows], [self.words[i] for i in rows], vectors, self.hardness[rows])


@dataclass(slots=True)
class Reader:
    """Prompts to `Features`.

    Parameters
    ----------
    embed
        Texts to unit vectors, float32 (n, d); None leaves the counts and the words.
    rank
        Place of a word in a vocabulary ordered by frequency.
    """

    embed: Callable[[list[str]], object] | None
    rank: Callable[[str], int] | None
    _anchors: object = None

    def __call__(self, prompts: Sequence[str], vectors: object = None) -> Features:
        """Features of `prompts`; `vectors` saves their embedding where the caller has it."""
        import numpy as np

        counts = [signs(prompt, self.rank) for prompt in prompts]
        kinds = np.zeros(len(prompts))
        if self.embed is not None:
            if self._anchors is None:
                self._anchors = self.embed([text for _, text in KINDS])
            if vectors is None:
                vectors = self.embed([focus(prompt) for prompt in prompts])
            kinds = kind_of(vectors, self._anchors)
        hard = [hardness(own, float(kind)) for own, kind in zip(counts, kinds, strict=True)]
        table = np.asarray(counts, np.float64).reshape(len(prompts), -1)
        return Features(np.column_stack([table, kinds, hard]), [hashed(p) for p in prompts], vectors, np.asarray(hard))


@dataclass(slots=True)
class Views:
    """The same prompts as several unit-length tables, each fit for its own ridge regression; learned from a log's features."""

    middle: object
    width: object
    rarity: object
    axes: Any
    kernel: Kernel | None

    def __call__(self, features: Features) -> list[object]:
        """Counts, words, all joined; and, where there are vectors, vectors and kernel."""
        import numpy as np

        counted = ((features.signs - self.middle) / self.width).clip(-4, 4) / math.sqrt(features.signs.shape[1])
        words = self._words(features.words)
        if features.vectors is None or self.kernel is None:
            return [counted, words, np.hstack([WORDS_SHARE * words, SIGNS_SHARE * counted])]
        joined = np.hstack([features.vectors, WORDS_SHARE * words, SIGNS_SHARE * counted])
        return [counted, words, joined, features.vectors, self.kernel(features.vectors)]

    def _words(self, words: list[dict[int, int]]) -> Any:
        import numpy as np

        out = np.zeros((len(words), self.axes.shape[1]), np.float32)
        for i, counts in enumerate(words):
            if counts:
                columns = np.fromiter(counts, np.int64, len(counts))
                out[i] = _weigh(counts, columns, self.rarity) @ self.axes[columns]
        return out


def _weigh(counts: dict[int, int], columns: object, rarity: Any) -> Any:
    import numpy as np

    raw = (1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))) * rarity[columns]
    return (raw / max(float(np.linalg.norm(raw)), 1e-9)).astype(np.float32)


def fit_views(features: Features) -> Views:
    """Scales of the counts, weights and main directions of the words, and landmarks of the vectors.

    References
    ----------
    Deerwester et al., "Indexing by latent semantic analysis", JASIS 41, 1990. Halko, Martinsson, Tropp, "Finding structure
    with randomness", SIAM Review 53, 2011 (the directions, by a seeded sketch).
    """
    import numpy as np

    n = len(features)
    table = np.zeros((n, WIDTH), np.float32)
    seen = np.zeros(WIDTH)
    for counts in features.words:
        seen[list(counts)] += 1
    rarity = np.log((1.0 + n) / (1.0 + seen)) + 1.0
    for i, counts in enumerate(features.words):
        if counts:
            columns = np.fromiter(counts, np.int64, len(counts))
            table[i, columns] = _weigh(counts, columns, rarity)
    sketch = np.random.default_rng(0).normal(size=(WIDTH, min(TOPICS + 16, n))).astype(np.float32)
    for _ in range(3):
        sketch = np.linalg.qr(table.T @ (table @ sketch))[0]
    _, _, turn = np.linalg.svd(table @ sketch, full_matrices=False)
    kernel = None if features.vectors is None else fit_kernel(features.vectors)
    axes = (sketch @ turn.T)[:, :TOPICS].astype(np.float32)
    return Views(features.signs.mean(axis=0), features.signs.std(axis=0) + 1e-6, rarity, axes, kernel)


@dataclass(slots=True)
class _Part:
    """Fits of some columns, by views, and the columns' directions among the offers."""

    fits: list[Ridge]
    shares: Any
    turn: Any

    def __call__(self, views: list[object]) -> object:
        total = sum(s * (fit(x)) for s, fit, x in zip(self.shares, self.fits, views, strict=True))
        return total @ self.turn.T


@dataclass(slots=True)
class QualityModel:
    """Expected quality of each offer: its mean, how hard the prompt is for all, and what the prompt changes between them.

    Notes
    -----
    A log is a table prompts x offers with gaps. (1) Each offer's mean. (2) A *level* of each prompt, common to all offers:
    fitted, then, where several offers answered, corrected by their answers. (3) What is left are contrasts between the
    offers, the only thing a choice depends on. They are expected first as the prior says (log odds fall with hardness, so
    that a strong offer is ahead most in between), if outcomes do not speak against it; then as ridge regressions on
    the counts, the words, the vectors, a kernel and the level, stacked by shares that leave-one-out errors choose, and only
    as far as these beat the step before by more than chance (`belief`). Where every offer answered every prompt the contrasts are
    first turned to their main directions, so that what a family of models has in common is learned once, from all of them.
    """

    mean: object
    slope: float = 0.0
    scale: tuple[float, float] = TYPICAL_HARDNESS
    shift: object = 0.0
    views: Views | None = None
    level: Ridge | None = None
    parts: list[_Part] = field(default_factory=list)
    spread: Any = 0.4
    evidence: str = "prior"

    def __call__(self, features: Features, tables: list[object]) -> Any:
        """Expected quality, (n, offers), of prompts and their `tables`; not clipped: that would make offers equal."""
        import numpy as np

        hard = (features.hardness - self.scale[0]) / self.scale[1]
        out = self.mean + led(self.mean, self.slope, hard) - self.shift
        if self.level is None:
            return out
        level = self.level(tables[JOINED])
        out = out + level
        bent = np.hstack([level, level * level])
        for part in self.parts:
            out = out + part([*tables, bent])
        return out

    def tables(self, features: Features) -> list[object]:
        """The prompts as the fits read them; nothing before there is a fit."""
        return [] if self.views is None else self.views(features)


def led(mean: Any, slope: float, hard: Any) -> Any:
    """Return what the prior adds to each offer's mean: log odds fall by `slope` per unit of hardness; offers' common part is left out."""
    import numpy as np

    if slope == 0.0:
        return np.zeros((len(hard), len(mean)))
    held = np.clip(mean, 0.03, 0.97)
    odds = np.log(held / (1.0 - held))
    moved = 1.0 / (1.0 + np.exp(slope * hard[:, None] - odds)) - held
    return moved - moved.mean(axis=1, keepdims=True)


def presumed(offers: int) -> object:
    """Means before any outcome: the first offer is taken to be the best."""
    import numpy as np

    return np.linspace(*PRESUMED, offers) if offers > 1 else np.array([PRESUMED[0]])


def fit_quality(features: Features, quality: Any) -> QualityModel:
    """A model of the table `quality` (n, offers), NaN where an offer was not asked; every row has an outcome.

    Notes
    -----
    O(n d^2) once for complete tables, once per offer else, d some 500. Ten thousand prompts and 13 offers: some seconds.
    """
    import numpy as np

    seen = ~np.isnan(quality)
    mean = means(quality)
    scale = _scale(features.hardness)
    hard = (features.hardness - scale[0]) / scale[1]
    if len(features) < 8:
        slope, shift = SLOPE, led(mean, SLOPE, hard).mean(axis=0)
        return QualityModel(mean, slope, scale, shift)
    views = fit_views(features)
    tables = views(features)
    level, mean = _fit_level(tables[JOINED], quality, mean)
    contrast = np.where(seen, quality - mean, 0.0) - _row_effect(quality - mean, level.unseen[:, 0])[:, None]
    contrast[~seen] = 0.0
    slope = _slope(mean, hard, contrast, seen)
    shift = led(mean, slope, hard).mean(axis=0)
    left = np.where(seen, contrast - led(mean, slope, hard) + shift, 0.0)
    unseen = level.unseen[:, :1]
    parts, learned = _fit_parts([*tables, np.hstack([unseen, unseen * unseen])], left, seen)
    known = np.maximum(seen.sum(axis=0), 1)
    spread = np.sqrt((np.where(seen, left, 0.0) ** 2).sum(axis=0) / known + level_variance(level, quality - mean))
    how = "outcomes" if learned else "prior" if slope else "means"
    return QualityModel(mean, slope, scale, shift, views, _flat(level), parts, spread, how)


def means(quality: Any) -> object:
    """Mean of each column, the mean of all counting as one more outcome; that alone where there is none."""
    import numpy as np

    seen = ~np.isnan(quality)
    pooled = float(np.nanmean(quality))
    return (np.nansum(quality, axis=0) + pooled) / (seen.sum(axis=0) + 1.0)


def level_variance(level: Ridge, residual: Any) -> float:
    """Variance of the rows' mean residuals around the fitted level."""
    import numpy as np

    return float(np.mean((np.nanmean(residual, axis=1) - level.unseen[:, 0]) ** 2))


def _flat(level: Ridge) -> Ridge:
    return Ridge(level.weights, level.offset, None)


def _scale(hard: Any) -> tuple[float, float]:
    """Mean and standard deviation of hardness in the log, held near the typical ones while it is short."""
    import numpy as np

    middle, width = TYPICAL_HARDNESS
    weight = len(hard) / (len(hard) + TYPICAL_WEIGHT)
    own = float(hard.mean())
    variance = weight * float(np.var(hard)) + (1 - weight) * width * width
    return weight * own + (1 - weight) * middle, math.sqrt(variance)


def _fit_level(table: object, quality: Any, mean: object) -> tuple[Ridge, object]:
    """The prompts' common level, and the means corrected for what each offer was asked."""
    import numpy as np

    complete = not bool(np.isnan(quality).any())
    level = fit_ridge(table, np.nanmean(quality - mean, axis=1)[:, None])
    for _ in range(0 if complete else 2):
        mean = means(quality - level.unseen)
        level = fit_ridge(table, np.nanmean(quality - mean, axis=1)[:, None])
    return level, mean


def _row_effect(residual: Any, level: object) -> Any:
    """Each prompt's own level: the fitted one, moved towards its answers as far as they are more than chance.

    With all offers there the answers say it all; with one the fit is all there is.
    """
    import numpy as np

    known = (~np.isnan(residual)).sum(axis=1)
    mean = np.nanmean(residual, axis=1)
    if (known == residual.shape[1]).all():
        return mean
    several = known > 1
    noise = float(np.nanvar(residual[several], axis=1, ddof=1).mean()) if several.any() else math.inf
    own = float(np.mean((mean - level)[several] ** 2 - noise / known[several])) if several.any() else 0.0
    trust = max(own, 0.0) / (max(own, 0.0) + noise / known) if own > 0 else np.zeros(len(mean))
    return level + trust * (mean - level)


def _slope(mean: object, hard: Any, contrast: Any, seen: Any) -> float:
    """The prior's slope, as far as the log does not speak against it; 0: it does."""
    import numpy as np

    nothing = (contrast**2).sum(axis=1)

    def errors(slope: float) -> Any:
        added = led(mean, slope, hard)
        return (np.where(seen, contrast - added + added.mean(axis=0), 0.0) ** 2).sum(axis=1)

    slope = min(SLOPES, key=lambda s: float(errors(s).sum())) if len(hard) >= ENOUGH else SLOPE
    _, each = surpasses(nothing, errors(slope))
    return slope if trusted(each, len(hard)) else 0.0


def _fit_parts(tables: list[Any], left: Any, seen: Any) -> tuple[list[_Part], bool]:
    import numpy as np

    if seen.all():
        _, _, turn = np.linalg.svd(left - left.mean(axis=0), full_matrices=False)
        part, learned = _fit_part(tables, left, turn[: max(left.shape[1] - 1, 1)].T)
        return ([part] if learned else []), learned
    parts = []
    for column in range(left.shape[1]):
        rows = np.flatnonzero(seen[:, column])
        if len(rows) < 8:
            continue
        alone = np.zeros((left.shape[1], 1))
        alone[column] = 1.0
        part, learned = _fit_part([x[rows] for x in tables], left[rows], alone)
        if learned:
            parts.append(part)
    return parts, bool(parts)


def _fit_part(tables: list[object], left: object, turn: Any) -> tuple[_Part, bool]:
    """Stacked fits of `left @ turn`; a column's shares shrink, to 0, as its unseen errors are less clearly smaller."""
    import numpy as np

    goal = left @ turn
    goal = goal - goal.mean(axis=0)
    fits = [fit_ridge(x, goal) for x in tables]
    unseen = [fit.unseen for fit in fits]
    found = shares(unseen, goal)
    total = sum(s * u for s, u in zip(found, unseen, strict=True))
    for k in range(goal.shape[1]):
        found[:, k] *= belief(surpasses(goal[:, k] ** 2, (goal[:, k] - total[:, k]) ** 2)[0])
    slim = [Ridge(fit.weights, fit.offset, None) for fit in fits]
    return _Part(slim, found, turn), bool(np.any(found > 0))


@dataclass(slots=True)
class CostModel:
    """Expected dollars of each offer: its mean, bent by the prompt where that beats the mean on calls not seen."""

    mean: Any
    bent: list[int] = field(default_factory=list)
    fit: Ridge | None = None

    def __call__(self, count: int, tables: list[object]) -> Any:
        """(count, offers), NaN where nothing is known."""
        import numpy as np

        out = np.repeat(self.mean[None], count, axis=0)
        if self.bent:
            assert self.fit is not None, "columns are bent by a fit"
            out[:, self.bent] *= np.maximum(self.fit(tables[JOINED]), FREE_COSTS)
        return out


def fit_costs(costs: Any, tables: list[Any]) -> CostModel:
    """A model of the table `costs` (n, offers) in dollars, NaN where unknown, over the prompts' `tables`."""
    import numpy as np

    known = ~np.isnan(costs)
    counts = known.sum(axis=0)
    mean = np.where(counts > 0, np.where(known, costs, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    bent: list[int] = []
    found = []
    for columns in _alike(known & (counts >= ENOUGH_CALLS) & (mean > 0)) if tables else ():
        rows = np.flatnonzero(known[:, columns[0]])
        ratio = costs[rows][:, columns] / mean[columns]
        fit = fit_ridge(tables[JOINED][rows], ratio)
        better = [
            k for k in range(len(columns))
            if surpasses((ratio[:, k] - 1.0) ** 2, (ratio[:, k] - fit.unseen[:, k]) ** 2)[0] > MARGIN[1]
        ]  # fmt: skip
        bent += [columns[k] for k in better]
        found.append((fit.weights[:, better], fit.offset[better]))
    if not bent:
        return CostModel(mean)
    return CostModel(mean, bent, Ridge(np.hstack([w for w, _ in found]), np.concatenate([o for _, o in found]), None))


def _alike(known: Any) -> list[list[int]]:
    """Columns that are known for the same rows, together: one decomposition serves them. Unknown ones are left out."""
    groups: dict[bytes, list[int]] = {}
    for column in range(known.shape[1]):
        if known[:, column].any():
            groups.setdefault(known[:, column].tobytes(), []).append(column)
    return list(groups.values())
