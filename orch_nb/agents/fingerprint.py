"""Fingerprints: what a node is, what a request is.

A fingerprint says "the same would come out": definition, values read, occurrence. It does not hold names, layout,
descriptions, prices, budgets, timeouts or evidence, which change nothing in what comes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.agents.source import function_fingerprint, hidden_inputs
from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.schema.messages import ModelRequest

__all__ = ["function_fingerprint", "hidden_inputs", "node_fingerprint", "request_hash"]

NOT_CONTENT = frozenset(
    {
        "name",
        "describe",
        "budget_usd",
        "calibration",
        "cache_s",
        "timeout_s",
        "retry",
        "effects",
        "examples",
        "out_text",
        "reads",
        "writes",
        "line",
    }
)
"""Keys of a definition that do not change what comes out of the node."""

MODEL_CONTENT = ("provider", "model", "json", "tools")
"""Of a model: what is really called, not what the notebook calls it or what it costs."""


def node_fingerprint(kind: str, definition: Mapping[str, Any], source_hash: str | None = "") -> str:
    """The digest of a node's definition; "" when its function cannot be hashed, so that the node is not reusable.

    Parameters
    ----------
    definition
        The kind's own plain data (`Agent.definition()`, a chooser's candidates, a human's question).
    source_hash
        The hash of its function: None when there is one that has no hash.
    """
    if source_hash is None:
        return ""
    content = {key: value for key, value in definition.items() if key not in NOT_CONTENT}
    for models in ("models", "others"):
        if models in content:
            content[models] = [{key: m.get(key) for key in MODEL_CONTENT} for m in content[models]]
    return digest(["node", 1, kind, content, source_hash])


def request_hash(request: ModelRequest, *, provider: str = "") -> str:
    """The digest of all that is sent to a model, without the deadline and the idempotency key (they change no answer)."""
    return digest(
        [
            "request", 1, provider, request.model,
            [[m.role, m.content, [[c.id, c.name, c.arguments] for c in m.tool_calls], m.tool_call_id] for m in request.messages],
            request.schema, request.enforce, [[t.name, t.description, t.parameters] for t in request.tools],
            request.max_tokens, request.temperature, request.seed, list(request.stop),
            *(["logprobs"] if request.logprobs else []),
        ]
    )  # fmt: skip
