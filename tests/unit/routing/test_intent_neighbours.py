"""Votes by resemblance, against what they must be by definition."""

from __future__ import annotations

import numpy as np
import pytest

from orch_nb.routing.intent import classifier
from orch_nb.routing.intent.classifier import IntentModel
from orch_nb.routing.intent.features import TextFeatures, count_features
from orch_nb.routing.intent.neighbours import FLOOR, ResemblanceVotes
from tests.unit.routing.test_intent_classifier import TOPICS, sentences
from tests.unit.routing.test_similarity import Words


def rings(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions in space; the first candidate has those around one axis, either way, so that no straight border will do."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, (np.abs(x[:, 0]) < 0.5).astype(np.int64)


def test_votes_bend_the_border():
    """Candidates that no straight border parts are told apart for 19 of 20 unseen points."""
    (x, y), (asked, truth) = rings(300, 0), rings(200, 1)
    votes = ResemblanceVotes(x, np.zeros((300, 0), np.float32), y, 2)
    right = [int(votes.votes(row, [], []).argmax()) == c for row, c in zip(asked, truth, strict=True)]
    assert sum(right) / len(right) >= 0.95


def test_words_count_where_vectors_are_equal():
    """Of examples with one and the same embedding the one that shares the text's words gets the vote."""
    counted = [count_features(text) for text in ("lost my card", "lost a card", "open account", "open an account")]
    words = TextFeatures(counted)
    vectors = np.tile(np.array([1.0, 0.0], np.float32), (4, 1))
    votes = ResemblanceVotes(vectors, words.matrix(counted), np.array([0, 0, 1, 1]), 2)
    card, account = (votes.votes(vectors[0], *words.row(count_features(t))) for t in ("the card", "the account"))
    assert card[0] > card[1]
    assert account[1] > account[0]


def test_votes_add_up_to_nothing():
    """What one candidate gains the others lose: the votes of all add up to 0, and a text without known words has some, too."""
    x, y = rings(60, 2)
    got = ResemblanceVotes(x, np.ones((60, 1), np.float32), y, 2).votes(x[0], [], [])
    assert float(got.sum()) == pytest.approx(0.0, abs=1e-4)
    assert np.isfinite(got).all()


def test_what_gets_no_vote_has_a_finite_score():
    """Logarithms keep the order of the votes; below no vote at all there is nothing, so that a wrong example cannot veto."""
    x, y = rings(60, 2)
    model = ResemblanceVotes(x, np.zeros((60, 0), np.float32), y, 2)
    votes, scores = model.votes(x[0], [], []), model.log_votes(x[0], [], [])
    assert votes.min() < 0 < votes.max()
    assert scores.argmax() == votes.argmax()
    assert float(scores.min()) == pytest.approx(float(np.log(FLOOR)))


def test_above_the_limit_nobody_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more examples than may vote the regression decides alone: same choices of plain messages, no vote computed."""
    words, texts = Words(), [(text, i) for i, topic in enumerate(TOPICS) for text in sentences(topic, 12, 0)]
    vectors, own = words.embed([text for text, _ in texts]), [i for _, i in texts]
    voted = IntentModel(vectors, [text for text, _ in texts], own, len(TOPICS))
    monkeypatch.setattr(classifier, "MOST_VOTERS", len(texts) - 1)
    monkeypatch.setattr(classifier, "ResemblanceVotes", None)  # calling it would raise
    alone = IntentModel(vectors, [text for text, _ in texts], own, len(TOPICS))
    text = "please help invoice payment"
    one, two = (model.read(words.embed([text])[0], text).scores for model in (voted, alone))
    assert int(one.argmax()) == int(two.argmax()) == 0
    assert not np.allclose(one, two, atol=1e-6)
