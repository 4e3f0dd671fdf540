"""The choice of the next agent by meaning: which candidate's description and examples the text is nearest to.

Needs no key and no call: the embedder runs in this process. On intents with a handful of examples each it does what a
small language model cannot (ability table, `catalog/abilities.py`). With five examples a candidate and more it learns from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption
from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.routing.intent.classifier import IntentModel
    from orch_nb.schema.messages import Embedder

LEAST_EXAMPLES = 5
"""Examples that every candidate needs before a classifier is trained on them; below, the nearest wins.

Fewer leave nothing to set aside: confidence is measured on examples that the training has not seen, a fifth of them.
"""

NEAREST_SHARE = 0.5
"""Share of the nearest example; the rest is the mean vector of the candidate's texts.

Measured with MiniLM on 64 messages of banking77, 2 and 4 examples for each candidate, 12 random splits, share right:
8 fine intents 0.92 and 0.96 (the mean alone 0.92 and 0.96, the nearest alone 0.92 and 0.94); 4 teams that each hold several
intents 0.91 and 0.95 (the mean alone 0.89 and 0.92, the nearest alone 0.91 and 0.97). The half-and-half mix is never far from
the better of the two; averaging over two or three nearest examples was not better.
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
        Least score of the best candidate. Below it the choice is None: the `else` arrow. What a score is depends on the
        method, see Notes; 0.2 to 0.3 suits both.

    Notes
    -----
    `method` says which of two ways is taken; the candidates decide it, never the text.

    ``nearest`` (descriptions, or fewer than five examples for some candidate): the score is the mean of two cosines, -1 to
    1: to the mean vector of the candidate's texts, which is steady, and to its nearest text, which knows the odd ones. A
    description is one of the texts. One choice costs one embedding and O(texts x dimensions).

    ``learned`` (two candidates and more, each with five examples and more): a classifier is trained on the examples,
    descriptions and the words of the candidates' names. Scores are probabilities, 0 to 1, calibrated on examples set
    aside; their sum is 1 - `outside`, the probability that the text belongs to nobody, learned by hiding candidates and
    taking a fifth of all texts to belong to nobody. ``above 0.5`` therefore means:
    more likely right than not. See `routing.intent.classifier`.

    Vectors of the candidates, and the training, are computed once, at the first choice.

    References
    ----------
    Snell, Swersky, Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017 (class means as prototypes).
    """

    embedder: Embedder
    candidates: Mapping[str, tuple[str, Sequence[str]]]
    threshold: float = 0.0
    _vectors: dict[str, object] = field(default_factory=dict)
    _model: IntentModel | None = None

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
        """Identity of the choice: candidates' texts, threshold, embedder, method. Two choosers with one key choose alike."""
        texts = {name: [describe, list(examples)] for name, (describe, examples) in self.candidates.items()}
        return digest(
            [getattr(self.embedder, "name", ""), texts, list(texts), self.threshold, NEAREST_SHARE, self.method]
        )

    @property
    def method(self) -> str:
        """``learned`` where every candidate has five examples, else ``nearest``."""
        counts = [sum(1 for text in examples if text.strip()) for _, examples in self.candidates.values()]
        return "learned" if len(counts) > 1 and min(counts) >= LEAST_EXAMPLES else "nearest"

    def choose(self, text: str) -> dict[str, Any]:
        """The decision for one text: choice (None: nobody near enough), all scores, margin, threshold, and why."""
        return self.choose_many([text])[0]

    def choose_many(self, texts: Sequence[str]) -> list[dict[str, object]]:
        """The decisions for several texts; the same as one by one, with one pass of the embedder."""
        self._prepare()
        if not texts:
            return []
        vectors = self.embedder.embed([text[:MAX_TEXT] for text in texts])
        return [self._decide(text, vector) for text, vector in zip(texts, vectors, strict=True)]

    def _prepare(self) -> None:
        if self._vectors:
            return
        learns = self.method == "learned"
        own = {name: _texts(*texts) + (_name_text(name) if learns else []) for name, texts in self.candidates.items()}
        every = [(name, text[:MAX_TEXT]) for name, texts in own.items() for text in texts]
        vectors = self.embedder.embed([text for _, text in every])
        if learns:
            from orch_nb.routing.intent.classifier import IntentModel

            place = {name: i for i, name in enumerate(own)}
            owners = [place[name] for name, _ in every]
            self._model = IntentModel(vectors, [text for _, text in every], owners, len(own))
        for name in own:
            self._vectors[name] = vectors[[i for i, (owner, _) in enumerate(every) if owner == name]]

    def _decide(self, text: str, vector: object) -> dict[str, object]:
        if self._model is None:
            return self._decision(text, {name: _score(vector, own) for name, own in self._vectors.items()})
        read = self._model.read(vector, text[:MAX_TEXT])
        scores = dict(zip(self.candidates, map(float, read.scores), strict=True))
        return {**self._decision(text, scores), "outside": round(read.outside, 6)}

    def _decision(self, text: str, raw: dict[str, float]) -> dict[str, object]:
        scores = {name: round(score, 6) for name, score in raw.items()}
        ranked = sorted(scores, key=lambda name: -scores[name])  # stable: declared order among equals
        best = ranked[0]
        margin = round(scores[best] - scores[ranked[1]], 6) if len(ranked) > 1 else None
        is_near = bool(text.strip()) and scores[best] >= self.threshold
        first = "nearest" if self._model is None else "likeliest"
        if not text.strip():
            because = "the text is empty"
        elif is_near:
            because = f"`{best}` is {first} at {scores[best]:.2f}" + (
                f", {margin:.2f} ahead of `{ranked[1]}`" if margin is not None else ""
            )
        else:
            because = f"the {first} is `{best}` at {scores[best]:.2f}, below the threshold of {self.threshold:.2f}"
        return {
            "how": "similarity",
            "method": self.method,
            "choice": best if is_near else None,
            "scores": scores,
            "margin": margin,
            "threshold": self.threshold,
            "because": because,
            "embedder": getattr(self.embedder, "name", ""),
        }


def _name_text(name: str) -> list[str]:
    """A candidate's name in words: `card_lost` is an example of itself. Names without a word (`a1`) say nothing."""
    words = re.findall(r"[^\W\d_]{3,}", name)
    return [" ".join(words)] if words else []


def _texts(describe: str, examples: Sequence[str]) -> list[str]:
    return [text for text in (describe, *examples) if text and text.strip()]


def _score(vector: object, own: Any) -> float:
    """Mean of the cosines to the centroid and to the nearest text; `own` has shape (n_texts, dimensions)."""
    import numpy as np

    mean = own.mean(axis=0)
    length = float(np.linalg.norm(mean))
    centroid = float(mean @ vector) / length if length else 0.0
    nearest = float((own @ vector).max())
    return NEAREST_SHARE * nearest + (1 - NEAREST_SHARE) * centroid
