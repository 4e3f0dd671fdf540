"""The choice of the next agent by meaning: which candidate's description and examples the text is nearest to.

Needs no key and no call: the embedder runs in this process. On intents with a handful of examples each it does what a
small language model cannot (ability table, `agents/abilities.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption
from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.schema.messages import Embedder

NEAREST_SHARE = 0.5
"""Share of the nearest example; the rest is the mean vector of the candidate's texts.

Measured with MiniLM on 64 messages of banking77, 2 and 4 examples for each candidate, 12 random splits, share right:
8 fine intents 0.92 and 0.96 (the mean alone 0.92 and 0.96, the nearest alone 0.92 and 0.94); 4 teams that each hold several
intents 0.91 and 0.95 (the mean alone 0.89 and 0.92, the nearest alone 0.91 and 0.97). The half-and-half mix is never far from
the better of the two; averaging over two or three nearest examples was no better.
"""

MAX_TEXT = 8_000
"""Characters of a text that are looked at; MiniLM reads 256 tokens anyway."""


@dataclass(slots=True)
class SimilarityChooser:
    """Chooses among candidates by the similarity of a text to what describes them.

    Parameters
    ----------
    embedder
        Texts to unit vectors, deterministic.
    candidates
        Name -> (description, examples). Order is the order of preference among equals.
    threshold
        Least similarity (cosine, -1 to 1) of the best candidate. Below it the choice is None: the `else` arrow.

    Notes
    -----
    The score of a candidate is the mean of two cosines: to the mean vector of its texts, which is steady, and to its
    nearest text, which knows the odd ones. A description is one of the texts. Vectors of the candidates are computed
    once, at the first choice. One choice costs one embedding and O(texts x dimensions).

    References
    ----------
    Snell, Swersky, Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017 (class means as prototypes).
    """

    embedder: Embedder
    candidates: Mapping[str, tuple[str, Sequence[str]]]
    threshold: float = 0.0
    _vectors: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.candidates:
            raise BadOption(
                "`by similarity` has no candidates to choose from.", hint="`a -> {b, c} by similarity(text)`"
            )
        mute = [name for name, texts in self.candidates.items() if not _texts(*texts)]
        if mute:
            raise BadOption(
                f"`{'`, `'.join(mute)}` cannot be chosen by similarity: there is neither a description nor an example.",
                hint="give each candidate `describe:` or `examples:` in its cell",
            )

    @property
    def key(self) -> str:
        """Identity of the choice: candidates' texts, threshold, embedder. Two choosers with one key choose alike."""
        texts = {name: [describe, list(examples)] for name, (describe, examples) in self.candidates.items()}
        return digest([getattr(self.embedder, "name", ""), texts, list(texts), self.threshold, NEAREST_SHARE])

    def choose(self, text: str) -> dict[str, Any]:
        """The decision for one text: choice (None: nobody near enough), all scores, margin, threshold, and why."""
        return self.choose_many([text])[0]

    def choose_many(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The decisions for several texts; the same as one by one, with one pass of the embedder."""
        self._prepare()
        if not texts:
            return []
        vectors = self.embedder.embed([text[:MAX_TEXT] for text in texts])
        return [self._decide(text, vector) for text, vector in zip(texts, vectors, strict=True)]

    def _prepare(self) -> None:
        if self._vectors:
            return
        every = [(name, text) for name, texts in self.candidates.items() for text in _texts(*texts)]
        vectors = self.embedder.embed([text[:MAX_TEXT] for _, text in every])
        for name in self.candidates:
            self._vectors[name] = vectors[[i for i, (owner, _) in enumerate(every) if owner == name]]

    def _decide(self, text: str, vector: Any) -> dict[str, Any]:
        scores = {name: round(_score(vector, own), 6) for name, own in self._vectors.items()}
        ranked = sorted(scores, key=lambda name: -scores[name])  # stable: declared order among equals
        best = ranked[0]
        margin = round(scores[best] - scores[ranked[1]], 6) if len(ranked) > 1 else None
        is_near = bool(text.strip()) and scores[best] >= self.threshold
        if not text.strip():
            because = "the text is empty"
        elif is_near:
            because = f"`{best}` is nearest at {scores[best]:.2f}" + (
                f", {margin:.2f} ahead of `{ranked[1]}`" if margin is not None else ""
            )
        else:
            because = f"the nearest is `{best}` at {scores[best]:.2f}, below the threshold of {self.threshold:.2f}"
        return {
            "how": "similarity",
            "choice": best if is_near else None,
            "scores": scores,
            "margin": margin,
            "threshold": self.threshold,
            "because": because,
            "embedder": getattr(self.embedder, "name", ""),
        }


def _texts(describe: str, examples: Sequence[str]) -> list[str]:
    return [text for text in (describe, *examples) if text and text.strip()]


def _score(vector: Any, own: Any) -> float:
    """Mean of the cosines to the centroid and to the nearest text; `own` has shape (n_texts, dimensions)."""
    import numpy as np

    mean = own.mean(axis=0)
    length = float(np.linalg.norm(mean))
    centroid = float(mean @ vector) / length if length else 0.0
    nearest = float((own @ vector).max())
    return NEAREST_SHARE * nearest + (1 - NEAREST_SHARE) * centroid
