"""Votes of the examples for their candidates: what a text resembles, where straight borders between candidates are too stiff."""

from __future__ import annotations

from typing import Any

WORDS_SHARE = 0.2
"""Length of the word part and of the n-gram part beside the embedding's 1; 0.3 was 0.3 points worse, none 0.3 worse (see `VOTES`
in `routing.intent.classifier` for what the figures of this module were measured on)."""

NARROWNESS = 1.5
"""How fast a vote fades with distance; 1, 1.5 and 2 were alike."""

RIDGE = 0.1
"""Penalty on large votes, as a multiple of an example's resemblance to itself; 0.03 to 0.2 were alike."""


FLOOR = 0.1
"""Added to a vote before its logarithm: below it votes are noise. 0.03 to 0.2 chose alike, 0.1 and 0.2 were the best calibrated."""


class ResemblanceVotes:
    """Kernel ridge regression of "is it this candidate" on how much a text resembles each example.

    Parameters
    ----------
    vectors
        Embeddings of the examples, unit vectors, shape (n_texts, dimensions).
    words
        Their word features (`TextFeatures.matrix`), shape (n_texts, n_features).
    owners
        Candidate of each example, int, shape (n_texts,).
    count
        How many candidates there are.

    Notes
    -----
    The resemblance of two texts is exp(NARROWNESS (s - 1)), s the weighted mean of the products of their embeddings, words and
    n-grams. What all examples have in common is taken off the embeddings first: in one domain it is most of their
    length, and hides what tells them apart. Every example's vote follows from one linear system, so training is exact and
    costs O(n_texts^3 + n_texts^2 x features); a reading costs O(n_texts x (dimensions + features of the text + count)).

    References
    ----------
    Saunders, Gammerman, Vovk, "Ridge Regression Learning Algorithm in Dual Variables", ICML 1998.
    """

    def __init__(self, vectors: Any, words: Any, owners: Any, count: int) -> None:
        import numpy as np

        self._common = vectors.mean(axis=0)
        self._examples = _units(vectors - self._common)
        self._by_word = np.ascontiguousarray(words.T, np.float32)
        alike = _resemblance(self._examples @ self._examples.T, words @ words.T).astype(np.float64)
        goal = np.eye(count)[owners] - 1.0 / count
        self._votes = np.linalg.solve(alike + RIDGE * np.eye(len(alike)), goal).astype(np.float32)

    def votes(self, vector: object, columns: list[int], values: list[float]) -> Any:
        """Votes for each candidate, about 0 to 1 less their mean, shape (count,), of one text's embedding and word features."""
        import numpy as np

        by_meaning = self._examples @ _units(vector - self._common)
        by_word = np.asarray(values, np.float32) @ self._by_word[columns] if columns else np.float32(0.0)
        return _resemblance(by_meaning, by_word) @ self._votes

    def log_votes(self, vector: object, columns: list[int], values: list[float]) -> Any:
        """The votes on the scale of a regression's scores, where each order of magnitude counts the same; shape (count,)."""
        import numpy as np

        return np.log(np.maximum(self.votes(vector, columns, values), 0) + np.float32(FLOOR))


def _resemblance(by_meaning: object, by_word: Any) -> Any:
    """1 for a text and itself, e^-NARROWNESS for two that have nothing in common."""
    import numpy as np

    same = (by_meaning + np.float32(WORDS_SHARE**2) * by_word) / np.float32(1.0 + 2 * WORDS_SHARE**2)
    return np.exp(np.float32(NARROWNESS) * (same - 1))


def _units(rows: Any) -> Any:
    """Each row's direction; a row of zeros has none and stays."""
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.float32(1e-9))
