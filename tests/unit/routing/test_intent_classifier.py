"""The trained choice: learns, is calibrated, knows what belongs to nobody, and does the same every time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from orch_nb.routing.intent.classifier import FEW, IntentModel
from orch_nb.routing.intent.similarity import LEAST_EXAMPLES, SimilarityChooser
from tests.counting import calls_of
from tests.unit.routing.test_similarity import Words

TOPICS = {
    "billing": "invoice payment charge refund card fee money bill",
    "technical": "crash error bug screen freeze install update log",
    "sales": "price offer discount plan upgrade quote order buy",
    "travel": "flight hotel ticket train luggage trip airport seat",
    "food": "pizza soup bread cheese dinner recipe oven salt",
}
FILLER = ["the", "my", "please", "help", "with", "about", "again", "today", "there", "is"]


def sentences(topic: str, count: int, seed: int) -> list[str]:
    """PreparedComparison-up messages: two words of the topic among filler."""
    chance = random.Random(f"{topic}{seed}")
    return [" ".join(chance.sample(FILLER, 3) + chance.sample(TOPICS[topic].split(), 2)) for _ in range(count)]


def candidates(topics: list[str], count: int) -> dict[str, tuple[str, list[str]]]:
    """Candidates with `count` examples each."""
    return {topic: ("", sentences(topic, count, 0)) for topic in topics}


def test_five_examples_each_are_learned_from():
    """With five examples a candidate the method is `learned`, with four of any it is `nearest`, and the decision says so."""
    enough = SimilarityChooser(Words(), candidates(["billing", "sales"], LEAST_EXAMPLES))
    few = SimilarityChooser(Words(), {**candidates(["billing"], 9), **candidates(["sales"], LEAST_EXAMPLES - 1)})
    assert (enough.method, few.method) == ("learned", "nearest")
    assert enough.choose("payment refund")["method"] == "learned"
    assert few.choose("payment refund")["method"] == "nearest"
    assert enough.key != few.key


def test_unseen_messages_find_their_candidate():
    """Messages that were not examples are chosen for as their words say, nine of ten and more."""
    chooser = SimilarityChooser(Words(), candidates(list(TOPICS), 12))
    asked = [(text, topic) for topic in TOPICS for text in sentences(topic, 10, 1)]
    right = [chooser.choose(text)["choice"] == topic for text, topic in asked]
    assert sum(right) / len(right) >= 0.9


def test_scores_are_probabilities_with_a_rest_for_nobody():
    """Scores lie in 0 to 1 and add up, with `outside`, to 1; margin, threshold, embedder and a reason are recorded."""
    got = SimilarityChooser(Words(), candidates(list(TOPICS), 8), 0.2).choose("my card payment failed")
    assert sum(got["scores"].values()) + got["outside"] == pytest.approx(1.0, abs=1e-4)
    assert all(0 <= score <= 1 for score in got["scores"].values())
    assert got["margin"] == pytest.approx(got["scores"]["billing"] - sorted(got["scores"].values())[-2], abs=1e-5)
    assert (got["threshold"], got["embedder"], got["choice"]) == (0.2, "words", "billing")
    assert "likeliest" in got["because"]


@pytest.mark.parametrize("topics", [["billing", "sales"], ["billing", "technical", "sales", "travel"]])
def test_what_belongs_to_nobody_scores_below_what_belongs(topics):
    """Texts of a topic without a candidate have a higher `outside` than the candidates' own messages, for two and for four."""
    chooser = SimilarityChooser(Words(), candidates(topics, 12))
    own = [chooser.choose(text)["outside"] for topic in topics for text in sentences(topic, 6, 1)]
    strange = [chooser.choose(text)["outside"] for text in sentences("food", 12, 1)]
    assert float(np.median(strange)) > float(np.median(own))
    assert chooser.choose("zebra quark violin")["outside"] > float(np.median(own))


def test_below_the_threshold_nobody_is_chosen():
    """A text that belongs to nobody goes to `else`, and the reason names the likeliest candidate and the threshold."""
    got = SimilarityChooser(Words(), candidates(list(TOPICS), 12), 0.5).choose("zebra quark violin")
    assert got["choice"] is None
    assert "likeliest" in got["because"]
    assert "threshold of 0.50" in got["because"]
    assert SimilarityChooser(Words(), candidates(list(TOPICS), 12), 0.5).choose("  ")["because"] == "the text is empty"


def test_training_twice_gives_the_same_decisions():
    """Two choosers of the same examples decide alike to the last digit: nothing is random."""
    texts = [text for topic in TOPICS for text in sentences(topic, 3, 2)]
    one, two = (SimilarityChooser(Words(), candidates(list(TOPICS), 8)) for _ in range(2))
    assert one.choose_many(texts) == two.choose_many(texts)


def test_scores_are_calibrated():
    """Where words overlap so that only some choices can be right, the mean score is near the share that is right."""
    chance = random.Random(4)
    vocabulary = [f"word{i}" for i in range(40)]

    def message(topic: int) -> str:
        own = vocabulary[topic * 10 : topic * 10 + 10]
        return " ".join(chance.choice(own) if chance.random() < 0.35 else chance.choice(vocabulary) for _ in range(4))

    model_texts = [(message(topic), topic) for topic in range(4) for _ in range(60)]
    words = Words()
    model = IntentModel(
        words.embed([t for t, _ in model_texts]), [t for t, _ in model_texts], [c for _, c in model_texts], 4
    )
    asked = [(message(topic), topic) for topic in range(4) for _ in range(60)]
    read = [model.read(words.embed([text])[0], text) for text, _ in asked]
    sure = [float(r.scores.max() / r.scores.sum()) for r in read]
    right = [int(r.scores.argmax()) == topic for r, (_, topic) in zip(read, asked, strict=True)]
    assert abs(float(np.mean(sure)) - float(np.mean(right))) < 0.12


def test_a_decision_does_not_walk_the_examples():
    """Above the fold limit one fold calibrates; a decision makes a few calls, however many examples were learned from."""
    words, texts = Words(), [(text, i) for i, topic in enumerate(TOPICS) for text in sentences(topic, FEW // 5 + 20, 3)]
    vectors = words.embed([text for text, _ in texts])
    model = IntentModel(vectors, [text for text, _ in texts], [owner for _, owner in texts], len(TOPICS))
    model.read(vectors[0], texts[0][0])
    assert calls_of(lambda: model.read(vectors[1], texts[1][0])) < len(texts) / 2
