"""Confidences that mean what they say: of the answers at 0.8, eight of ten are right.

A share of agreeing answers, a probability of tokens or a stated number is a score. Labelled answers turn it into a
probability: the scores are put in order, and the rate of right answers may only rise with them (isotonic regression).

References
----------
Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002 (isotonic
calibration); Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (expected calibration error).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEAST_LABELS = 20
"""Labelled answers that a calibration rests on at least: with fewer a rate of 0.8 is known to no better than 0.2."""
PRIOR = 1.0
"""Answers of each kind, one right and one wrong, that every step is taken to have seen besides: no step says 0 or 1."""
BINS = 10


@dataclass(slots=True, frozen=True)
class Calibration:
    """A rising step from scores to rates of right answers.

    Parameters
    ----------
    points
        (score, rate) in rising order, one for each step.
    labels
        Labelled answers that it rests on.
    error_before, error_after
        Expected calibration error of the scores as they are, and of the calibrated ones on answers that the fit had not
        seen (five folds). 0 is perfect.
    """

    points: tuple[tuple[float, float], ...]
    labels: int
    error_before: float
    error_after: float

    def __call__(self, score: float) -> float:
        """The rate of right answers at this score."""
        return calibrated(self.points, score)

    def as_data(self) -> dict[str, object]:
        """Plain data, as it is kept."""
        return {
            "points": [list(p) for p in self.points], "labels": self.labels,
            "error_before": round(self.error_before, 6), "error_after": round(self.error_after, 6),
        }  # fmt: skip


def calibrated(points: Iterable[Sequence[float]], score: float) -> float:
    """The rate at `score`: between two steps on the line that joins them, outside them that of the nearest."""
    before: Sequence[float] | None = None
    for point in points:
        if score <= point[0]:
            if before is None or point[0] == before[0]:
                return float(point[1])
            share = (score - before[0]) / (point[0] - before[0])
            return float(before[1] + share * (point[1] - before[1]))
        before = point
    return score if before is None else float(before[1])


def calibration(pairs: Iterable[tuple[float, bool]]) -> Calibration:
    """The calibration of scores by labelled answers.

    Parameters
    ----------
    pairs
        (score from 0 to 1, whether the answer was right), in any order.

    Raises
    ------
    BadOption
        Fewer than 20 pairs, or a score outside 0 to 1.

    Notes
    -----
    O(n log n), pure Python. The order of the pairs makes no difference: equal scores are one step.
    """
    rows = sorted((float(score), bool(right)) for score, right in pairs)
    if len(rows) < LEAST_LABELS:
        raise BadOption(
            f"{len(rows)} labelled answers calibrate nothing; {LEAST_LABELS} are needed.", hint="label more answers"
        )
    if not all(math.isfinite(score) and 0 <= score <= 1 for score, _ in rows):
        raise BadOption("a confidence lies outside 0 to 1.", hint="shares and probabilities, not percentages")
    return Calibration(_fit(rows), len(rows), expected_error(rows), expected_error(_held_out(rows)))


def _fit(rows: Sequence[tuple[float, bool]]) -> tuple[tuple[float, float], ...]:
    """Pool adjacent violators: blocks of (right, count, sum of scores), merged until their rates rise."""
    blocks: list[tuple[float, float, float]] = []
    last: float | None = None
    for score, right in rows:
        if score == last:
            r, n, s = blocks.pop()
            blocks.append((r + right, n + 1, s + score))
        else:
            blocks.append((float(right), 1.0, score))
        last = score
    merged: list[tuple[float, float, float]] = []
    for block in blocks:
        merged.append(block)
        while len(merged) > 1 and _rate(merged[-2]) >= _rate(merged[-1]):
            one, two = merged.pop(), merged.pop()
            merged.append((one[0] + two[0], one[1] + two[1], one[2] + two[2]))
    return tuple((round(s / n, 9), round(_rate((r, n, s)), 9)) for r, n, s in merged)


def _rate(block: tuple[float, float, float]) -> float:
    right, count, _ = block
    return (right + PRIOR) / (count + 2 * PRIOR)


def _held_out(rows: Sequence[tuple[float, bool]], folds: int = 5) -> list[tuple[float, bool]]:
    """Each row calibrated by what the others say."""
    out = []
    for fold in range(folds):
        points = _fit([row for i, row in enumerate(rows) if i % folds != fold])
        out += [(calibrated(points, score), right) for i, (score, right) in enumerate(rows) if i % folds == fold]
    return out


def expected_error(rows: Sequence[tuple[float, bool]]) -> float:
    """The mean distance between what is said and what comes true, over ten bins of scores, weighted by their answers."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for score, right in rows:
        bins[min(BINS - 1, int(score * BINS))].append((score, right))
    total = 0.0
    for rows_in in bins:
        if rows_in:
            said = sum(score for score, _ in rows_in) / len(rows_in)
            came = sum(right for _, right in rows_in) / len(rows_in)
            total += abs(said - came) * len(rows_in)
    return total / len(rows) if rows else 0.0
