"""What a model is asked to answer with, and what its text is worth.

Structured answers travel as one JSON object, because that is what providers' JSON modes take: an `out` that is not a mapping
(a list, one of some words) is asked for as ``{"value": …}`` and taken out again.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from orch_nb.lang.out_type import OutType

KEY = "value"
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


_LIVE: dict[str, OutType] = {}
"""Digest of a schema -> the type with its pydantic classes, for those whose classes this process knows."""


def remember(out: OutType) -> None:
    """Let conversations that are built from plain data find the classes of this type again: their own validators count."""
    if out.classes:
        _LIVE[digest(out.schema)] = out


def live_type(schema: dict[str, Any]) -> OutType:
    """The type of this schema: with its classes where they are known here, else by the schema alone."""
    from orch_nb.lang.out_type import OutType

    return _LIVE.get(digest(schema)) or OutType(schema, "")


def request_schema(out: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema that a provider is given: `out` itself when it is a mapping, wrapped when not, None for text."""
    if out is None or out == {"type": "string"}:
        return None
    if out.get("type") == "object":
        return out
    inner = {k: v for k, v in out.items() if k != "$defs"}
    wrapped: dict[str, Any] = {
        "type": "object",
        "properties": {KEY: inner},
        "required": [KEY],
        "additionalProperties": False,
    }
    if "$defs" in out:  # references count from the root
        wrapped["$defs"] = out["$defs"]
    return wrapped


def read_answer(text: str, finish_reason: str, out: OutType | None, max_tokens: int) -> tuple[object, list[str]]:
    """(value, []) or (None, problems) of one model's text.

    Parameters
    ----------
    finish_reason
        As the provider gave it: a cut answer is only taken when it fits all the same.
    out
        What the answer must be; None for text.
    """
    if finish_reason == "content_filter":
        return None, ["the provider withheld the answer (content filter)"]
    wanted = None if out is None else out.schema
    if out is None or request_schema(wanted) is None:
        return text, []
    value, problems = _validate(text, out, wanted or {})
    if problems and finish_reason == "length":
        problems = [f"the answer was cut off at `max_tokens` ({max_tokens})", *problems]
    return (None, problems) if problems else (value, [])


def _validate(text: str, out: OutType, wanted: dict[str, Any]) -> tuple[object, list[str]]:
    if not text.strip():
        return None, ["the answer is empty"]
    if wanted.get("type") == "object":
        return out.validate(text)
    return out.validate(_unwrap(text))


def _unwrap(text: str) -> str:
    """The JSON text of the value inside ``{"value": …}``; a bare word becomes a JSON string."""
    body = unfenced(text)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return json.dumps(body)
    if isinstance(data, dict) and data.keys() == {KEY}:
        return json.dumps(data[KEY])
    return body


def unfenced(text: str) -> str:
    """Return what is between code fences; the text itself when there are none."""
    found = _FENCE.search(text)
    return (found[1] if found else text).strip()
