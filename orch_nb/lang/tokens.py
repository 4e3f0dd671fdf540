"""The pieces of a condition or of a `%%graph` line: tokens with their columns, paths, texts, and places for errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from orch_nb.errors import BadExpression
from orch_nb.lang.template import Path, read_path

_NAME = r"(?:[A-Za-z_]|[^\x00-\x7f\s→⇒“”‘’≤≥≠])(?:\w|[^\x00-\x7f\s→⇒“”‘’≤≥≠])*"
_LINE_ENDS = r"\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<path>{_NAME}(?:\.{_NAME})*\??)
    |(?P<arrow>->|→)
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<string>"(?:[^"\\{_LINE_ENDS}]|\\[^{_LINE_ENDS}])*"|'(?:[^'\\{_LINE_ENDS}]|\\[^{_LINE_ENDS}])*')
    |(?P<mark>==|!=|<=|>=|[<>=()\[\]{{}},:])
    |(?P<comment>\#.*)
    |(?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
"""Every piece of a condition or of a `%%graph` line."""

_HINTS = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "≤": "write `<=`", "≥": "write `>=`",
    "≠": "write `!=`", "“": 'write straight quotes: "', "”": 'write straight quotes: "', "‘": 'write straight quotes: "',
    "’": 'write straight quotes: "', '"': "the text has no closing quote", "'": "the text has no closing quote",
    "⇒": "an arrow is ->", "-": "an arrow is ->; names have no -", "+": "there is no arithmetic",
    "*": "there is no arithmetic", "/": "there is no arithmetic", "%": "there is no arithmetic",
    ".": "a path is a name and keys joined by dots, without spaces", "?": "`?` follows its path without a space",
}  # fmt: skip

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'"}


class Token(NamedTuple):
    """One piece of text: its `kind` (a group of `TOKEN`), the text, and its column from 1."""

    kind: str
    text: str
    column: int


@dataclass(slots=True, frozen=True)
class Place:
    """Where an expression stands in its cell, so that errors point into the cell."""

    line: int = 0
    source: str = ""

    def error(self, message: str, column: int = 0, hint: str = "") -> BadExpression:
        return BadExpression(message, line=self.line, column=column, source=self.source, hint=hint)


def tokenize(text: str, place: Place = Place()) -> list[Token]:
    """The pieces of one line, without spaces and comments.

    Raises
    ------
    BadExpression
        A character that has no meaning here, with what to write instead.
    """
    found = []
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind in ("space", "comment"):
            continue
        if kind == "bad":
            char = match.group()
            shown = char if char.isprintable() else f"U+{ord(char):04X}"
            hint = _HINTS.get(char, "")
            raise place.error(f"`{shown}` has no meaning here.", match.start() + 1, hint)
        found.append(Token(kind, match.group(), match.start() + 1))
    return found


def parse_path(text: str, *, line: int = 0, column: int = 0, source: str = "") -> Path:
    """The path of ``a.b.c`` or ``a.b.c?``: ``(parts, optional)``.

    Raises
    ------
    BadExpression
        It is not a path.
    """
    return read_path(text, line=line, column=column, source=source)


def string_value(literal: str) -> str:
    r"""The text inside quotes, with the escapes of JSON (and ``\'``)."""
    out, at, body = [], 0, literal[1:-1]
    while (back := body.find("\\", at)) >= 0:
        out.append(body[at:back])
        char = body[back + 1]
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
            at = back + 2
        elif char == "u" and re.fullmatch("[0-9a-fA-F]{4}", body[back + 2 : back + 6]):
            out.append(chr(int(body[back + 2 : back + 6], 16)))
            at = back + 6
        else:
            raise BadExpression(f"`\\{char}` is no escape in {literal[:60]}.", hint="write \\\\ for a backslash")
    out.append(body[at:])
    return _check_paired("".join(out), literal)


def _check_paired(text: str, literal: str) -> str:
    """JSON writes one character beyond U+FFFF as two halves; a half alone is no text."""
    if text.isascii() or not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        shown = literal[:60].encode("ascii", "backslashreplace").decode()
        raise BadExpression(f"{shown} holds half a character.", hint="type the character itself") from None
