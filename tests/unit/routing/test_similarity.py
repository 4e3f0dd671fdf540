"""The choice by similarity: deterministic, explained, thresholded."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from orch_nb.errors import BadOption
from orch_nb.routing.intent.similarity import SimilarityChooser


class Words:
    """A bag-of-words embedder: each word has a fixed axis, so that similarity can be told by reading."""

    name = "words"
    dimensions = 512

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, texts: list[str]) -> np.ndarray:
        """Unit vectors of the words' counts."""
        self.calls += 1
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            for word in text.lower().split():
                row[int(hashlib.blake2b(word.encode(), digest_size=2).hexdigest(), 16) % self.dimensions] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


CANDIDATES = {
    "billing": ("invoices and payments", ["my payment failed", "wrong charge on my card"]),
    "technical": ("errors and crashes", ["the app crashes", "error on start"]),
}


def test_the_nearest_candidate_is_chosen_with_its_reasons():
    """The decision has the choice, every score, the margin, the threshold and a sentence."""
    got = SimilarityChooser(Words(), CANDIDATES, 0.2).choose("my payment failed again")
    assert got["choice"] == "billing"
    assert set(got["scores"]) == set(CANDIDATES)
    assert got["margin"] == pytest.approx(got["scores"]["billing"] - got["scores"]["technical"], abs=1e-6)
    assert "`billing` is nearest" in got["because"]


@pytest.mark.parametrize("text", ["completely unrelated words", "", "   "])
def test_nobody_near_enough_means_else(text):
    """Below the threshold, and for an empty text, the choice is None and the reason is said."""
    got = SimilarityChooser(Words(), CANDIDATES, 0.2).choose(text)
    assert got["choice"] is None
    assert "threshold" in got["because"] or "empty" in got["because"]


def test_equal_scores_go_to_the_first_declared():
    """Ties are settled by the order in which candidates are declared, not by chance."""
    twins = {"b": ("same text", []), "a": ("same text", [])}
    assert SimilarityChooser(Words(), twins).choose("same text")["choice"] == "b"


def test_candidates_are_embedded_once():
    """The candidates' vectors are computed at the first choice and kept."""
    words = Words()
    chooser = SimilarityChooser(words, CANDIDATES)
    chooser.choose("a")
    chooser.choose("b")
    assert words.calls == 3


def test_many_at_once_equal_one_by_one():
    """A batch of texts gives the same decisions as single calls."""
    chooser = SimilarityChooser(Words(), CANDIDATES, 0.1)
    texts = ["my payment failed", "app error", "hello"]
    assert chooser.choose_many(texts) == [chooser.choose(text) for text in texts]
    assert chooser.choose_many([]) == []


def test_candidates_must_say_something_about_themselves():
    """A candidate without description and examples, or none at all, is an error with the way out."""
    with pytest.raises(BadOption, match="`x`"):
        SimilarityChooser(Words(), {"x": ("", [" "]), "y": ("text", [])})
    with pytest.raises(BadOption, match="no candidates"):
        SimilarityChooser(Words(), {})


def test_the_key_tells_choosers_apart():
    """Texts, their order and the threshold make another chooser; the same ones do not."""
    key = SimilarityChooser(Words(), CANDIDATES, 0.2).key
    assert SimilarityChooser(Words(), dict(CANDIDATES), 0.2).key == key
    assert SimilarityChooser(Words(), CANDIDATES, 0.3).key != key
    assert SimilarityChooser(Words(), dict(reversed(CANDIDATES.items())), 0.2).key != key


@pytest.mark.local_model
def test_real_messages_reach_their_team():
    """With the real embedder, real banking77 messages and ten examples a team, nine of ten are routed as labelled."""
    from orch_nb.providers.local_models.embeddings import MiniLMEmbedder

    table = Path(__file__).parents[3] / "notebooks" / "data" / "banking77_sample.csv"
    if not table.exists():
        pytest.skip("notebooks/data/banking77_sample.csv is not in this copy")
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    teams: dict[str, list[str]] = {}
    for row in rows:
        if row["split"] == "example":
            teams.setdefault(row["team"], []).append(row["text"])
    messages = [row for row in rows if row["split"] == "message"]
    chooser = SimilarityChooser(MiniLMEmbedder(), {team: ("", texts) for team, texts in teams.items()}, 0.3)
    right = [
        d["choice"] == row["team"]
        for d, row in zip(chooser.choose_many([r["text"] for r in messages]), messages, strict=True)
    ]
    assert len(right) >= 20
    assert sum(right) / len(right) >= 0.9
