r"""Text of models, tools and users made safe to show: nothing hides in it, nothing of it acts.

Control characters, ANSI escapes, bidirectional overrides, zero-width and tag characters are shown as escapes (`\x1b`, `\u202e`),
so that what a person approves is what is there. Markup is escaped. Long text is cut, and says so.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata

from orch_nb.schema.secrets import REDACTOR

FIELD_LIMIT = 8192
"""Characters of one field in a display; the whole stays in the store."""

_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Everything that is invisible or moves what follows it. Tab and line feed are not in it."""

_JOINERS = {"\u200c", "\u200d"}
_SELECTORS = {chr(c) for c in range(0xFE00, 0xFE10)}


def clean(text: str, limit: int = FIELD_LIMIT) -> str:
    """`text` with everything invisible made visible and secrets replaced, at most `limit` characters of it."""
    text = REDACTOR.text(text)
    total = len(text)
    if total > limit:
        text = text[:limit]
    if _SUSPECT.search(text):
        text = _SUSPECT.sub(_escape_one, text.replace("\r\n", "\n"))
    return text if total <= limit else f"{text}… (cut: {limit:,} of {total:,} characters)"


def line(text: str, limit: int = 160) -> str:
    """`clean` in one line: line breaks become spaces; an indent stays."""
    text = REDACTOR.text(text)  # before it is cut: half a key must not be shown either
    head = text[: 4 * limit]
    flat = " " * (len(head) - len(head.lstrip(" "))) + " ".join(head.split())
    flat = flat if len(flat) <= limit and len(text) <= 4 * limit else flat[: limit - 1] + "…"
    return clean(flat, limit + 1)


def escape(text: str, limit: int = FIELD_LIMIT) -> str:
    """`clean`, and safe inside HTML and SVG text and attributes."""
    return html.escape(clean(text, limit), quote=True)


def escape_line(text: str, limit: int = 160) -> str:
    """`line`, and safe inside HTML and SVG text and attributes."""
    return html.escape(line(text, limit), quote=True)


def as_text(value: object, limit: int = FIELD_LIMIT) -> str:
    """A value as text to read: text as it is, data as indented JSON."""
    if isinstance(value, str):
        return clean(value, limit)
    value, _ = REDACTOR.clean(value)
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, default=_other)
    except (TypeError, ValueError):
        text = repr(value)
    return clean(text, limit)


def _other(value: object) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


def _escape_one(match: re.Match[str]) -> str:
    char = match[0]
    text, at = match.string, match.start()
    if char in _JOINERS and _joins(text, at):
        return char
    if char in _SELECTORS and at and unicodedata.category(text[at - 1]) in ("So", "Sm", "Po", "Nd"):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _joins(text: str, at: int) -> bool:
    """Return whether a zero-width joiner is between letters or pictures that it may join (Persian, Hindi, emoji)."""
    if not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    is_latin = before.isascii() or after.isascii()
    return not is_latin and all(unicodedata.category(c)[0] in "LMS" or c in _SELECTORS for c in (before, after))
