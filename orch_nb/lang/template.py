r"""Prompts with declared reads: ``{{ name }}``, ``{{ node.field }}``, ``{{ node.field? }}``.

A read is a path over data: mapping keys joined by dots, without calls, indices, filters or logic. So a prompt cannot reach
into Python, and its reads are known before a run. Values are inserted once and never parsed: braces inside a customer's
message stay braces. ``\{{`` writes two literal braces.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from orch_nb.errors import BadExpression, UnstorableValue
from orch_nb.lang.tokens import Place

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEMPLATE_BYTES = 64 * 1024
MAX_PATH_PARTS = 16
MAX_PART = 64

_MARK = re.compile(r"\\\{\{|\{\{")
_FORM = "a read is a name and keys joined by dots, like {{ node.field }} or {{ node.field? }}; literal braces: \\{{"


class Path(NamedTuple):
    """``a.b.c`` as ``("a", "b", "c")``; `optional` when it ends in ``?`` (it may be absent)."""

    parts: tuple[str, ...]
    optional: bool = False

    @property
    def text(self) -> str:
        """The path as written, without spaces."""
        return ".".join(self.parts) + ("?" if self.optional else "")


@dataclass(slots=True, frozen=True)
class TemplateRead:
    """One declared read. `line` and `column` are its first place, from 1."""

    path: tuple[str, ...]
    optional: bool
    line: int
    column: int

    @property
    def name(self) -> str:
        """The node, group or graph input that is read."""
        return self.path[0]

    @property
    def text(self) -> str:
        """The read as written, without braces."""
        return Path(self.path, self.optional).text


@dataclass(slots=True, frozen=True)
class Template:
    """A parsed prompt.

    Parameters
    ----------
    text
        The prompt as written.
    reads
        Each distinct path once, in order of first mention; optional only if every mention of it is.
    parts
        Literal texts and reads, alternating as they come.
    """

    text: str
    reads: tuple[TemplateRead, ...]
    parts: tuple[str | TemplateRead, ...]

    @classmethod
    def parse(cls, text: str, source_line_offset: int = 0) -> Template:
        """Read the template of a prompt's text. Linear in its length.

        Parameters
        ----------
        source_line_offset
            Lines of the cell above `text`, so that errors count lines as the cell does.

        Raises
        ------
        BadExpression
            A read is not a path, ``{{`` is not closed, or the text is larger than 64 kB. Line and column are given.
        """
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_TEMPLATE_BYTES:
            raise BadExpression(
                f"The prompt must have at most {MAX_TEMPLATE_BYTES:,} bytes, got {size:,} bytes.",
                hint="put the long text into an input and read it with {{ name }}",
                size_bytes=size,
            )
        parts = _split(text, source_line_offset)
        return cls(text, _distinct(parts), parts)

    def render(self, values: Callable[[tuple[str, ...], bool], object]) -> str:
        """Return the prompt with its values in place.

        Parameters
        ----------
        values
            ``values(path, optional)`` gives the value of a read. Text is inserted as it is, other values as compact
            JSON; None of an optional read is "".

        Raises
        ------
        UnstorableValue
            A value is not plain data.
        """
        return "".join(p if isinstance(p, str) else _show(p, values(p.path, p.optional)) for p in self.parts)


def read_path(text: str, *, line: int = 0, column: int = 0, source: str = "", hint: str = "") -> Path:
    """Return the `Path` of ``a.b.c`` or ``a.b.c?``.

    Raises
    ------
    BadExpression
        The text is empty, has a part that is not an identifier or begins with ``__``, or has more than 16 parts.
    """
    body = text.strip()
    optional = body.endswith("?")
    parts = tuple((body[:-1] if optional else body).split("."))
    problem = _problem(parts)
    if problem:
        shown = body if len(body) <= 60 else body[:60] + "…"
        hint = hint or "a path is a name and keys joined by dots, like node.field; add ? when it may be absent"
        raise Place(line, source).error(f"`{shown}` is not a path: {problem}.", column, hint)
    return Path(parts, optional)


def _problem(parts: tuple[str, ...]) -> str:
    if parts == ("",):
        return "it is empty"
    if len(parts) > MAX_PATH_PARTS:
        return f"it may have {MAX_PATH_PARTS} parts, got {len(parts)}"
    for part in parts:
        if len(part) > MAX_PART:
            return f"a part may have {MAX_PART} characters, got {len(part)}"
        if not part.isidentifier():
            return f"`{part}` is not a name" if part else "a name is missing beside a dot"
        if part.startswith("__"):
            return f"`{part}` begins with two underscores"
        if unicodedata.normalize("NFC", part) != part:
            return f"`{part}` is not in Unicode form NFC"
    return ""


class _Rows:
    """Lines and columns of a text, counted as `str.splitlines` does (and so as errors show them)."""

    def __init__(self, text: str, offset: int) -> None:
        self.text, self.offset = text, offset
        self.starts = [0]
        for row in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(row))

    def position(self, at: int) -> tuple[int, int]:
        row = bisect_right(self.starts, at)
        return row + self.offset, at - self.starts[row - 1] + 1

    def error(self, message: str, at: int) -> BadExpression:
        line, column = self.position(at)
        return Place(line, "\n" * self.offset + self.text).error(message, column, _FORM)


def _split(text: str, offset: int) -> tuple[str | TemplateRead, ...]:
    rows = _Rows(text, offset)
    parts: list[str | TemplateRead] = []
    literal: list[str] = []
    at = 0
    while mark := _MARK.search(text, at):
        literal.append(text[at : mark.start()])
        if mark.group() == "\\{{":
            literal.append("{{")
            at = mark.end()
            continue
        read, at = _read(text, mark.start(), rows)
        _flush(literal, parts)
        parts.append(read)
    literal.append(text[at:])
    _flush(literal, parts)
    return tuple(parts)


def _flush(literal: list[str], parts: list[str | TemplateRead]) -> None:
    if any(literal):
        parts.append("".join(literal))
    literal.clear()


def _read(text: str, start: int, rows: _Rows) -> tuple[TemplateRead, int]:
    end = text.find("}}", start + 2)
    inner = text[start + 2 : end] if end >= 0 else ""
    if end < 0 or "{{" in inner:
        raise rows.error("`{{` is not closed by `}}`.", start)
    try:
        path = read_path(inner)
    except BadExpression as error:
        raise rows.error(str(error), start) from None
    line, column = rows.position(start)
    return TemplateRead(path.parts, path.optional, line, column), end + 2


def _distinct(parts: tuple[str | TemplateRead, ...]) -> tuple[TemplateRead, ...]:
    found: dict[tuple[str, ...], TemplateRead] = {}
    for part in parts:
        if isinstance(part, str):
            continue
        first = found.setdefault(part.path, part)
        if first.optional and not part.optional:
            found[part.path] = replace(first, optional=False)
    return tuple(found.values())


def _show(read: TemplateRead, value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None and read.optional:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableValue(
            f"`{read.text}` must be plain data, got {type(value).__name__}: {error}.",
            hint="plain data is text, a finite number, true, false, null, a list or a mapping of these",
            path=read.text,
        ) from None
