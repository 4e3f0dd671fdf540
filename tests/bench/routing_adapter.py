"""`orch_nb.routing.learned.router` as a router of `shared/tools/routing/eval_models.py --router tests/bench/routing_adapter.py:ModelRouter`.

The evaluator gives records (prompt, scores, costs) and asks for tables of quality and dollars; here they become `Evidence` and
go through `Learned` as a notebook's own outcomes do, with the embedded MiniLM. Nothing is set for any data set.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orch_nb.providers.local_models.embeddings import default_embedder
from orch_nb.providers.local_models.wordpiece import word_rank
from orch_nb.routing.evidence import Evidence
from orch_nb.routing.learned.features import focus
from orch_nb.routing.learned.router import Learned

SAME = 0.8
"""Mean cosine to our own vectors above which vectors that come with the records are taken to be of the same model."""


class Shared:
    """The embedder, with a memory for the whole process: an evaluation asks for the same prompts many times."""

    known: ClassVar[dict[str, Any]] = {}
    inner: ClassVar[Any] = None

    def __init__(self) -> None:
        Shared.inner = Shared.inner or default_embedder()
        self.name, self.dimensions = Shared.inner.name, Shared.inner.dimensions

    def embed(self, texts: list[str], /) -> Any:
        new = [text for text in dict.fromkeys(texts) if text not in Shared.known]
        if new:
            Shared.known.update(zip(new, Shared.inner.embed(new), strict=True))
        return np.stack([Shared.known[text] for text in texts]) if texts else np.zeros((0, self.dimensions), np.float32)

    def accept(self, records: list[dict[str, Any]]) -> None:
        """Takes the records' own vectors where they come from the same model as ours."""
        given = [r for r in records if "_emb" in r and focus(r["prompt"]) not in Shared.known]
        sample = given[:8]
        if not sample or len(sample[0]["_emb"]) != self.dimensions:
            return
        own = Shared.inner.embed([focus(r["prompt"]) for r in sample])
        theirs = _unit(np.stack([r["_emb"] for r in sample]))
        if float((own * theirs).sum(axis=1).mean()) >= SAME:
            vectors = _unit(np.stack([r["_emb"] for r in given]))
            Shared.known.update(zip((focus(r["prompt"]) for r in given), vectors, strict=True))


def _unit(vectors: Any) -> Any:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


class ModelRouter:
    """What `eval_models.py` calls."""

    def fit(self, records: list[dict[str, Any]], models: list[str]) -> None:
        """A log of outcomes; may be empty."""
        embedder = Shared()
        embedder.accept(records)
        rows = [_evidence(record, model, at) for at, record in enumerate(records) for model in models]
        self.learned = Learned(models, rows, embed=embedder, rank=word_rank)
        self.learned.predict([])  # the fit is not part of the time of a decision

    def predict(self, records: list[dict[str, Any]]) -> tuple[Any, Any]:
        """Expected quality and dollars, (n, models); dollars are 1 where nobody ever knew one."""
        Shared().accept(records)
        quality, costs = self.learned.predict([record["prompt"] for record in records])
        return quality, np.where(np.isnan(costs), 1.0, costs)


def _evidence(record: dict[str, Any], model: str, at: int) -> Evidence:
    cost = record.get("costs", {}).get(model)
    return Evidence(
        task="", offer=model, model=model, provider="", prompt=record["prompt"], quality=float(record["scores"][model]),
        cost_usd=None if cost is None else Decimal(repr(float(cost))), seconds=None, source="compare", by="exact", at=float(at),
        key=f"{at} {model}",
    )  # fmt: skip
