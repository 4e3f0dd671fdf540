"""Embeddings: the real MiniLM where it is installed, and the fallback that needs nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orch_nb.errors import ModelNotInstalled
from orch_nb.providers.local_models import embeddings
from orch_nb.providers.local_models.embeddings import HashingEmbedder, MiniLMEmbedder, default_embedder
from orch_nb.schema.messages import Embedder

CATEGORIES = {
    "billing": "Invoices, payments, charges and refunds",
    "technical": "The app crashes, errors, bugs and log-in problems",
    "sales": "Prices, plans, discounts and buying more licences",
}
TICKETS = {
    "My card was charged twice for the same order": "billing",
    "I want my money back": "billing",
    "Where do I find last month's invoice?": "billing",
    "The app shows error 500 when I open it": "technical",
    "I can't log in since the update": "technical",
    "The page freezes and then crashes": "technical",
    "How much would 50 more seats cost?": "sales",
    "Is there a discount for schools?": "sales",
    "We would like to buy the premium plan": "sales",
}


def chosen(embedder: Embedder, tickets: list[str]) -> list[str]:
    names = list(CATEGORIES)
    scores = embedder.embed(tickets) @ embedder.embed(list(CATEGORIES.values())).T
    return [names[i] for i in scores.argmax(axis=1)]


def check_vectors(embedder: Embedder) -> None:
    """Return what every embedder promises."""
    texts = ["one", "two words", "", "é漢🙂", "word " * 1000, "one"]
    vectors = embedder.embed(texts)
    assert isinstance(embedder, Embedder)
    assert vectors.shape == (len(texts), embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.isfinite(vectors).all()
    assert (vectors[0] == vectors[-1]).all()
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_hashing_keeps_the_contract() -> None:
    """Unit vectors, float32, one row per text, equal for equal texts."""
    check_vectors(HashingEmbedder())


def test_hashing_is_the_same_in_every_process() -> None:
    """The vectors do not depend on the process's hash seed."""
    code = "from orch_nb.providers.local_models.embeddings import HashingEmbedder as H; print(H().embed(['a card payment']).tobytes().hex())"
    root = Path(__file__).parents[3]
    runs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}, capture_output=True, check=True, text=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1


def test_hashing_finds_what_is_spelled_alike() -> None:
    """Typos and word forms are nearer than other words, case and width do not matter."""
    near, typo, far = HashingEmbedder().embed(["refund my payment", "refnud my payments", "the app crashes often"])
    assert near @ typo > near @ far + 0.2
    same = HashingEmbedder().embed(["Refund", "REFUND", "ｒｅｆｕｎｄ"])
    assert (same[0] == same[1]).all()
    assert (same[0] == same[2]).all()


def test_hashing_routes_most_messages() -> None:
    """Without any model at least seven of the nine messages still go to the right category."""
    right = [got == due for got, due in zip(chosen(HashingEmbedder(), list(TICKETS)), TICKETS.values(), strict=True)]
    assert sum(right) >= 7


def test_the_fallback_is_taken_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the default is hashing, which says so; MiniLM itself says what to install."""
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
    assert default_embedder().name == "hashing"
    assert "no model" in default_embedder().note  # type: ignore[attr-defined]
    with pytest.raises(ModelNotInstalled, match="MiniLM is not on this machine") as caught:
        MiniLMEmbedder().embed(["x"])
    assert "orch_nb[local]" in caught.value.hint


def test_another_model_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model file with another hash is not run."""
    (tmp_path / "model.onnx").write_bytes(b"not the model")

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(embeddings, "find_spec", lambda name: Spec())
    with pytest.raises(ModelNotInstalled, match="sha256 differs"):
        MiniLMEmbedder().embed(["x"])


@pytest.fixture(scope="module")
def minilm() -> MiniLMEmbedder:
    return MiniLMEmbedder()


@pytest.mark.local_model
def test_minilm_keeps_the_contract(minilm: MiniLMEmbedder) -> None:
    """Unit vectors of 384 float32 numbers, one row per text."""
    check_vectors(minilm)
    assert default_embedder().name == "minilm"


@pytest.mark.local_model
def test_minilm_routes_messages(minilm: MiniLMEmbedder) -> None:
    """Nine customer messages go to the category whose description is nearest: all nine are right."""
    assert chosen(minilm, list(TICKETS)) == list(TICKETS.values())


@pytest.mark.local_model
def test_minilm_is_the_same_alone_and_in_company(minilm: MiniLMEmbedder) -> None:
    """A text's vector does not depend on batch, order or neighbours: outcomes must not depend on arrival."""
    texts = list(TICKETS)
    together = minilm.embed(texts)
    assert (np.vstack([minilm.embed([text]) for text in texts]) == together).all()
    assert (MiniLMEmbedder(batch=3).embed(texts[::-1])[::-1] == together).all()


@pytest.mark.local_model
def test_minilm_from_several_threads() -> None:
    """The model is loaded once however many threads ask first, and all get the same vectors."""
    embedder, got = MiniLMEmbedder(), list[Any]()
    threads = [threading.Thread(target=lambda: got.append(embedder.embed(["hello world"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 4
    assert all((vectors == got[0]).all() for vectors in got)
