"""Words and character n-grams of short texts as weighted counts: what an embedding blurs (`top up`, `PIN`, a typo)."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FEATURES = 2_048
"""Features of one kind of text set, the most frequent ones. Training is linear in them."""

SIZES = (3, 4, 5)
"""Lengths of character n-grams inside one word."""

_WORD = re.compile(r"\w+(?:'\w+)?|[$€£]")


class TextFeatures:
    """TF-IDF of words, word pairs and character n-grams, learned from some texts.

    Parameters
    ----------
    counted
        The texts that are trained on, by `count_features`. A feature counts when at least two of them have it.
    limit
        Most features kept; by number of texts, then alphabetically, so that the same texts give the same columns.

    Notes
    -----
    Words and n-grams are weighed by (1 + log count) x (1 + log((1 + n) / (1 + texts with it))) and each of the two
    kinds is made a unit vector of its own, so that long words do not drown out the pairs.

    References
    ----------
    Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, section 6.2.2 (smoothed as is usual).
    """

    def __init__(self, counted: Sequence[Counter[str]], limit: int = MAX_FEATURES) -> None:
        seen: Counter[str] = Counter()
        for counts in counted:
            seen.update(counts.keys())
        kept = sorted((f for f, n in seen.items() if n > 1), key=lambda f: (-seen[f], f))[:limit]
        self.columns: dict[str, int] = {feature: i for i, feature in enumerate(kept)}
        self._weights = [1.0 + math.log((1 + len(counted)) / (1 + seen[feature])) for feature in kept]

    def __len__(self) -> int:
        return len(self.columns)

    def row(self, counts: Counter[str]) -> tuple[list[int], list[float]]:
        """Columns and values of one text; both empty when nothing of it is known."""
        columns: list[int] = []
        values: list[float] = []
        for kind in "wc":
            own = [(self.columns[f], n) for f, n in counts.items() if f[0] == kind and f in self.columns]
            raw = [(1.0 + math.log(n)) * self._weights[column] for column, n in own]
            length = math.sqrt(sum(v * v for v in raw)) or 1.0
            columns += [column for column, _ in own]
            values += [v / length for v in raw]
        return columns, values

    def matrix(self, counted: Sequence[Counter[str]]) -> Any:
        """Rows of several texts, float32, shape (n_texts, n_features)."""
        import numpy as np

        out = np.zeros((len(counted), len(self)), np.float32)
        for i, counts in enumerate(counted):
            columns, values = self.row(counts)
            out[i, columns] = values
        return out


def count_features(text: str) -> Counter[str]:
    """Words, pairs of neighbouring words (both marked ``w``) and n-grams inside words (``c``), with how often each comes."""
    return Counter(_features(text))


def _features(text: str) -> Iterator[str]:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    for word in words:
        yield f"w {word}"
        marked = f"<{word}>"
        for size in SIZES:
            yield from (f"c {marked[i : i + size]}" for i in range(len(marked) - size + 1))
    yield from (f"w {a} {b}" for a, b in itertools.pairwise(words))
