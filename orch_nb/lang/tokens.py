"""What the languages share: tokens with their columns, a cursor over them, and places for errors."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NoReturn

from orch_nb.errors import BadExpression, CellError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
"""The tokens of a condition or of a `%%graph` line."""

_HINTS = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "≤": "write `<=`", "≥": "write `>=`",
    "≠": "write `!=`", "“": 'write straight quotes: "', "”": 'write straight quotes: "', "‘": 'write straight quotes: "',
    "’": 'write straight quotes: "', '"': "the text has no closing quote", "'": "the text has no closing quote",
    "⇒": "an arrow is ->", "-": "an arrow is ->; names have no -", "+": "conditions do not compute",
    "*": "conditions do not compute", "/": "conditions do not compute", "%": "conditions do not compute",
    ".": "a path is a name and keys joined by dots, without spaces", "?": "`?` follows its path without a space",
}  # fmt: skip

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'"}


class Token(NamedTuple):
    """One token: its `kind` (a group of the pattern), the text, and its column from 1."""

    kind: str
    text: str
    column: int


@dataclass(slots=True, frozen=True)
class Place:
    """The place of an expression in its cell, so that errors point into the cell."""

    line: int = 0
    source: str = ""

    def error(self, message: str, column: int = 0, hint: str = "") -> BadExpression:
        """Make an error that shows the line with a caret below the column."""
        return BadExpression(message, line=self.line, column=column, source=self.source, hint=hint)


def tokenize(text: str, place: Place = Place()) -> list[Token]:
    """Return the tokens of a condition or of a `%%graph` line.

    Raises
    ------
    BadExpression
        A character has no meaning here; the hint is what to write instead.
    """
    return scan(TOKEN, text, place, hints=_HINTS)


def scan(
    pattern: re.Pattern[str], text: str, place: Place, *, start: int = 0, hints: Mapping[str, str] | None = None
) -> list[Token]:
    """Return the tokens of a text, without ``space`` and ``comment``.

    Parameters
    ----------
    pattern
        One named group a kind of token; ``bad`` for a character without meaning.
    hints
        Such a character -> what to write instead.

    Raises
    ------
    BadExpression
        A character has no meaning here.
    """
    tokens = []
    for match in pattern.finditer(text, start):
        kind = match.lastgroup or ""
        if kind == "bad":
            char = match.group()
            shown = char if char.isprintable() else f"U+{ord(char):04X}"
            raise place.error(f"`{shown}` has no meaning here.", match.start() + 1, (hints or {}).get(char, ""))
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, match.group(), match.start() + 1))
    return tokens


class Cursor:
    """The tokens of one text, read from left to right."""

    __slots__ = ("at", "place", "tokens")
    kind: ClassVar[type[CellError]] = BadExpression
    """Class of the errors of `fail`."""

    def __init__(self, tokens: list[Token], place: Place) -> None:
        self.tokens, self.place, self.at = tokens, place, 0

    @property
    def token(self) -> Token:
        """The next token; one of kind ``end`` and without text after the last."""
        return self.peek(0)

    @property
    def text(self) -> str:
        """The text of the next token; "" at the end."""
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def peek(self, ahead: int = 1) -> Token:
        """Return a later token without moving."""
        if self.at + ahead < len(self.tokens):
            return self.tokens[self.at + ahead]
        last = self.tokens[-1] if self.tokens else Token("end", "", 0)
        return Token("end", "", last.column + len(last.text))

    def next(self) -> Token:
        """Move on by one token and return it."""
        token = self.token
        self.at += 1
        return token

    def take(self, *words: str) -> str:
        """Move on if the next token is one of these words, and return it; "" if not."""
        text = self.text
        if text and text in words:
            self.at += 1
            return text
        return ""

    def shown(self) -> str:
        """Return the next token as messages show it."""
        return f"`{self.text}`" if self.text else "the end of the line"

    def fail(self, message: str, hint: str = "", token: Token | None = None) -> NoReturn:
        """Raise an error that points at the next token, or at the one that is given."""
        column = (token or self.token).column
        raise self.kind(message, line=self.place.line, column=column, source=self.place.source, hint=hint)


def message_of(error: CellError) -> str:
    """Return the message of an error without its place and the line that it shows."""
    return re.sub(r"^line \d+: ", "", str(error.args[0]).split("\n    ", 1)[0])


def strict_float(text: str) -> float:
    """Read a float of JSON; one that is too large is a ValueError, not an infinity."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def refuse_constant(word: str) -> NoReturn:
    """Refuse NaN and infinities, which JSON does not have."""
    raise ValueError(f"JSON has no number {word}")


def string_at(token: Token, place: Place) -> str:
    """Return the text of a quoted token.

    Raises
    ------
    BadExpression
        An escape is invalid; the place of the token is shown.
    """
    try:
        return string_value(token.text)
    except BadExpression as error:
        raise place.error(str(error), token.column, error.hint) from None


def string_value(literal: str) -> str:
    r"""Return the text inside quotes, with the escapes of JSON (and ``\'``)."""
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
            raise BadExpression(f"Invalid escape `\\{char}` in {literal[:60]}.", hint="write \\\\ for a backslash")
    out.append(body[at:])
    return _check_paired("".join(out), literal)


def _check_paired(text: str, literal: str) -> str:
    """Join the surrogate pairs by which JSON writes characters beyond U+FFFF; refuse one without its other half."""
    if text.isascii() or not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        shown = literal[:60].encode("ascii", "backslashreplace").decode()
        raise BadExpression(
            f"Invalid escape in {shown}: unpaired surrogate.", hint="type the character itself"
        ) from None
