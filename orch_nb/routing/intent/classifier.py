"""What a text wants, learned from labelled examples: probabilities of the candidates, and of "none of them"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_nb.routing.intent.features import TextFeatures, count_features
from orch_nb.routing.intent.neighbours import ResemblanceVotes
from orch_nb.routing.intent.regression import fit_classes, fit_curve, fit_temperature, log_softmax, logistic

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

WORDS_WEIGHT = 0.35
"""Length of the word part and of the n-gram part beside the embedding's 1; 0.2 to 0.4 were alike in cross-validation on half
of banking77's test file (8 examples for each of 77 intents): +0.4 points over the embedding alone, 0.7 was worse."""

STRENGTH = 30.0
"""Weight of the examples against small weights; 10, 30 and 100 gave 84.0, 84.4 and 84.4 % there, on the embedding alone."""

VOTES = 2.0
"""Weight of the logarithms of the examples' votes (`ResemblanceVotes`) beside the regression's scores. Measured by cross-validation
within one half of banking77's test file (77 intents, 8 examples and the name of each, seven times five folds), share right and
mean log loss: 84.6 % and 0.577 without, 85.4 and 0.564 with 2, 85.4 and 0.567 with 3, 85.4 and 0.573 with 6; the votes themselves
added, not their logarithms, 85.5 and 0.590; votes alone 85.3 and 0.66."""

MOST_VOTERS = 2_000
"""Up to so many examples vote: a decision takes each of them into account, and the training their number's third power."""

STEPS = 30
"""Quasi-Newton steps of a training; 20, 40 and 80 chose alike there (85.2, 84.7, 84.7 %)."""

FOLDS = 5

FEW = 3_000
"""Up to so many examples confidence is calibrated on all folds; above, on one: it is as certain then, and five times as fast."""

RIVALS = 5
"""Candidates among whose examples the nearest is looked for."""

SHARE_OUTSIDE = 0.2
"""Share of messages taken to belong to nobody: the prior of `Reading.outside`. Examples cannot tell it."""

LEAST_HIDING = 4
"""Candidates needed to learn "none of them" by hiding some. With fewer, the ones left say too little about the rest."""

FAR, NEAR = 0.25, 0.55
"""Cosines to the nearest example at which a text belongs to a candidate with probability 0.1 and 0.9, where they cannot be
learned (fewer than four candidates). With MiniLM 99 % of banking77's unseen messages were above 0.53; of 50 questions from
other domains half were above 0.31 and 5 % above 0.48."""


@dataclass(slots=True)
class Reading:
    """One text read: `scores` (n_candidates,) are probabilities whose sum is 1 - `outside`."""

    scores: Any
    outside: float
    nearest: float


@dataclass(slots=True)
class _Classes:
    """Weights of one training, over the embedding's and the words' columns, and the examples' votes."""

    by_vector: object
    by_word: Any
    offset: object
    words: TextFeatures
    votes: ResemblanceVotes | None

    def scores(self, vector: Any, counts: Counter[str]) -> Any:
        import numpy as np

        columns, values = self.words.row(counts)
        known = np.asarray(values, np.float32) @ self.by_word[columns] if columns else 0.0
        linear = vector @ self.by_vector + WORDS_WEIGHT * known + self.offset
        return linear if self.votes is None else linear + VOTES * self.votes.log_votes(vector, columns, values)


class IntentModel:
    """A classifier of texts trained on a handful or some thousands of examples, with honest probabilities.

    Parameters
    ----------
    vectors
        Embeddings of `texts`, unit vectors, shape (n_texts, dimensions).
    texts
        The examples.
    owners
        Candidate of each example, 0 to `count` - 1; each has at least two.
    count
        How many candidates there are.

    Notes
    -----
    Multinomial logistic regression on the embedding, words, word pairs and character n-grams; up to `MOST_VOTERS` examples
    also vote by resemblance, which bends the borders between candidates. Then two things are measured
    on examples that the trained weights have not seen (five folds; one where there are thousands): a temperature
    that makes the probabilities true, and how a text looks that belongs to nobody. For the latter each fold also hides a
    fifth of the candidates altogether: their examples are texts of the same domain that nobody is there for. A logistic
    curve over the nearest example's cosine and the first choice's log odds tells them from the others, of which they are
    taken to be one in four (`SHARE_OUTSIDE`).

    Training costs O(n_texts x features x count) a step and is deterministic; one reading costs O(features x count) for
    the few features a text has, plus the examples that vote, or above their limit those of five candidates.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature). Hendrycks, Gimpel, "A Baseline for
    Detecting Misclassified and Out-of-Distribution Examples", ICLR 2017 (first choice's probability).
    """

    def __init__(self, vectors: Any, texts: Sequence[str], owners: Sequence[int], count: int) -> None:
        import numpy as np

        self._vectors = np.ascontiguousarray(vectors, np.float32)
        self._owners = np.asarray(owners, np.int64)
        self._counted, self._count = [count_features(text) for text in texts], count
        self._calibrate()
        everything = np.arange(len(self._owners))
        self._classes = self._train(everything)
        self._own = [self._vectors[self._owners == c] for c in range(count)]

    def read(self, vector: object, text: str) -> Reading:
        """Probabilities for one text and its embedding."""
        import numpy as np

        raw = self._classes.scores(vector, count_features(text)).astype(np.float64)
        p = np.exp(log_softmax(raw / self._temperature))
        near = self._nearest(vector, p)
        inside = float(logistic(np.asarray(_signs(near, p)) @ self._curve[:-1] + self._curve[-1]))
        return Reading(p * inside, 1.0 - inside, near)

    def _nearest(self, vector: object, p: object) -> float:
        return max(float((self._own[c] @ vector).max()) for c in _first(p))

    # ---------------------------------------------------------------- training
    def _train(self, rows: Any) -> _Classes:
        import numpy as np

        counted = [self._counted[i] for i in rows]
        words = TextFeatures(counted)
        vectors, known, owners = self._vectors[rows], words.matrix(counted), self._owners[rows]
        x = np.hstack([vectors, np.float32(WORDS_WEIGHT) * known])
        weights, offset = fit_classes(x, owners, self._count, strength=STRENGTH, steps=STEPS)
        width = vectors.shape[1]
        votes = ResemblanceVotes(vectors, known, owners, self._count) if len(self._owners) <= MOST_VOTERS else None
        return _Classes(weights[:width], weights[width:], offset, words, votes)

    def _calibrate(self) -> None:
        """Temperature and curve from examples that a training has not seen."""
        import numpy as np

        scores, truth, signs, belongs = [], [], [], []
        for seen, unseen, visible in self._splits():
            classes = self._train(seen)
            raw = np.stack([classes.scores(self._vectors[i], self._counted[i]) for i in unseen])[:, visible]
            place = {c: at for at, c in enumerate(visible)}
            scores.append(raw.astype(np.float64))
            truth.append(np.asarray([place.get(int(c), -1) for c in self._owners[unseen]]))
            signs.append(self._unseen_signs(seen, unseen, visible, raw))
            belongs.append(truth[-1] >= 0)
        self._temperature = _temperature(scores, truth)
        self._curve = self._fit_curve(scores, signs, belongs)

    def _unseen_signs(self, seen: Any, unseen: Any, visible: list[int], raw: Any) -> Any:
        """Cosine to the nearest seen example of the first candidates, for each unseen row."""
        import numpy as np

        cosines = self._vectors[unseen] @ self._vectors[seen].T
        owners = self._owners[seen]
        out = np.empty(len(unseen))
        for i, row in enumerate(raw):
            rivals = np.asarray(visible)[_first(row)]
            out[i] = cosines[i, np.isin(owners, rivals)].max()
        return out

    def _fit_curve(self, scores: list[Any], nearest: list[Any], belongs: list[Any]) -> Any:
        import numpy as np

        if self._count < LEAST_HIDING:
            slope = 2 * math.log(9.0) / (NEAR - FAR)
            return np.array([slope, 0.0, -slope * (NEAR + FAR) / 2])
        signs = np.array([
            _signs(near, np.exp(log_softmax(row / self._temperature)))
            for some, nears in zip(scores, nearest, strict=True)
            for row, near in zip(some, nears, strict=True)
        ])  # fmt: skip
        inside = np.concatenate(belongs)
        weights = np.where(inside, (1 - SHARE_OUTSIDE) / max(inside.sum(), 1), SHARE_OUTSIDE / max((~inside).sum(), 1))
        return fit_curve(signs, inside.astype(float), weights)

    def _splits(self) -> Iterator[tuple[object, Any, list[int]]]:
        """Rows to train on, rows to ask, and candidates that the training knows."""
        import numpy as np

        part = self._parts()
        hides = self._count >= LEAST_HIDING
        for fold in range(FOLDS if len(part) <= FEW else 1):
            hidden = np.array([hides and c % FOLDS == fold for c in range(self._count)])
            away = hidden[self._owners]
            seen, unseen = np.flatnonzero(~away & (part != fold)), np.flatnonzero(away | (part == fold))
            yield seen, unseen, np.flatnonzero(~hidden).tolist()

    def _parts(self) -> Any:
        """Fold of each example: dealt out in turn within a candidate, so that each fold has some of each."""
        import numpy as np

        part = np.empty(len(self._owners), np.int64)
        for c in range(self._count):
            own = np.flatnonzero(self._owners == c)
            part[own] = (np.arange(len(own)) + c) % FOLDS
        return part


def _first(p: Any) -> Any:
    import numpy as np

    return np.argsort(-p, kind="stable")[:RIVALS]


def _signs(nearest: float, p: Any) -> tuple[float, float]:
    """Return what tells a text that belongs to somebody: nearness to an example, and log odds of the first choice."""
    top = min(max(float(p.max()), 1e-6), 1 - 1e-6)
    return nearest, math.log(top / (1 - top))


def _temperature(scores: list[Any], truth: list[Any]) -> float:
    """One divisor for all folds, whose numbers of visible candidates differ."""
    import numpy as np

    inside = [(s[t >= 0], t[t >= 0]) for s, t in zip(scores, truth, strict=True)]
    widest = max(s.shape[1] for s, _ in inside)
    padded = [np.pad(s, ((0, 0), (0, widest - s.shape[1])), constant_values=-1e9) for s, _ in inside]
    return fit_temperature(np.concatenate(padded), np.concatenate([t for _, t in inside]))
