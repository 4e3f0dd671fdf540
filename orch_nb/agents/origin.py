"""Marks around text from outside, which that text cannot forge (RELIABILITY H 102).

A mark is a digest of the request it answers and of the text itself. To close it early a text would have to contain the
digest of itself.
"""

from __future__ import annotations

import re
from typing import Any

from orch_nb.schema.canonical import digest
from orch_nb.schema.values import compact

MAX_RESULT_CHARS = 16_000
"""Characters of a tool's result that a model is shown: about 4,000 tokens. The whole result stays in the log."""

_CONTROL = {c: None for c in (*range(32), 127, *range(128, 160)) if c not in (9, 10)}
"""Control characters (terminal escapes among them) tell a model nothing and can hide text from a person."""


_SPECIAL = re.compile(r"<(?=\|)|<(?=/?s>)|<(?=(?:start|end)_of_turn>)|<(?=<?/?SYS>)|\[(?=/?INST\])")
"""Beginnings of the frame marks of common chat templates. Local runtimes read them as frames wherever they stand, so that
a result could begin a system message; a space behind the first character makes them text."""


def marked(value: Any, *, tool: str, request_hash: str, call_id: str) -> str:
    """The text of a tool's result between its marks, cut at 16,000 characters."""
    text = value if isinstance(value, str) else compact(value)
    text = _SPECIAL.sub(lambda m: f"{m[0]} ", text.translate(_CONTROL))
    if len(text) > MAX_RESULT_CHARS:
        text = f"{text[:MAX_RESULT_CHARS]}\n[cut: {MAX_RESULT_CHARS:,} of {len(text):,} characters are shown]"
    mark, salt = "", 0
    while not mark or mark in text:
        mark = digest([request_hash, call_id, tool, text, salt], size=8)
        salt += 1
    return f"<result {mark} of {tool}>\n{text}\n</result {mark}>"
