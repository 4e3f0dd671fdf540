"""The front matter of an agent's cell, between two lines ``---``: a small subset of YAML.

PyYAML only parses the text into events; their meaning is defined here. Anchors, aliases, tags, merges, directives and
duplicate keys are refused, so that nothing can be executed, expanded or silently overwritten. ``true`` and ``false`` are the
only booleans, and numbers are plain (``3``, ``0.5``). All other values are text as typed: ``yes``, ``no``, ``1e3``, ``0o17``,
``1_000``, ``.nan`` and dates, so that a model may be called ``no``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from orch_nb.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

    from orch_nb.schema.values import Json, JsonObject

MAX_YAML_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_VALUES = 10_000
MAX_SHOWN = 160

_MARKED = re.compile(r"(?<=\w)\?")
"""A question mark that ends a word (``{note?: str}``), which YAML 1.2 allows and PyYAML's scanner does not. PyYAML gets another
character, which is replaced in the result."""
_HINTS = {
    "\\t": "indent by spaces, not tabs",
    "'|' that cannot": 'quote a value that continues after a bracket: "[str] | null"',
    "expected ',' or": 'quote a value that continues after a bracket: "[str] | null"',
    "expected <block end>": 'keys of one level begin in one column; quote a value such as "[str] | null"',
    "mapping values are not allowed": 'quote a text that holds ": "',
}
_FENCE = re.compile(r"---[ \t]*")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,30}")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


class FrontMatter(NamedTuple):
    """The two parts of a cell's body: `yaml` ("" for none) and `prompt`. `offset` is the number of lines above the prompt."""

    yaml: str
    prompt: str
    offset: int

    @property
    def yaml_offset(self) -> int:
        """The number of lines of the cell above `yaml`."""
        return max(0, self.offset - 1 - len(self.yaml.splitlines()))


@dataclass(slots=True)
class Located:
    """Front matter with the line of each key.

    Parameters
    ----------
    data
        The mapping.
    lines
        Path of keys -> line in the cell, from 1. Items of lists count as ``"0"``, ``"1"``, …
    raw
        Path of keys -> the typed text of a number, so that a model named ``4.10`` keeps its name.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    raw: dict[tuple[str, ...], str] = field(default_factory=dict)


def split_front_matter(body: str) -> FrontMatter:
    """Split a cell's body into front matter and prompt.

    Raises
    ------
    CellError
        The first line is ``---``, but no second ``---`` follows.
    """
    rows = body.removeprefix("\ufeff").splitlines(keepends=True)
    first = next((i for i, row in enumerate(rows) if row.strip()), 0)
    if not rows or not _FENCE.fullmatch(rows[first].rstrip("\r\n")):
        return FrontMatter("", body, 0)
    for at in range(first + 1, len(rows)):
        if _FENCE.fullmatch(rows[at].rstrip("\r\n")):
            return FrontMatter("".join(rows[first + 1 : at]), "".join(rows[at + 1 :]), at + 1)
    raise CellError(
        "the front matter is opened by `---` and never closed.",
        line=first + 1,
        source=body,
        hint="add a second line ---",
    )


def load_yaml(text: str, *, line_offset: int = 0) -> dict[str, Any]:
    """Return the mapping of front matter, {} for none. See `locate_yaml`."""
    return locate_yaml(text, line_offset=line_offset).data


def locate_yaml(text: str, *, line_offset: int = 0) -> Located:
    """Return the mapping of front matter, with the line of each key.

    Parameters
    ----------
    line_offset
        The number of lines of the cell above `text`. Errors have the line in the cell.

    Raises
    ------
    CellError
        It is not YAML or not a mapping, is larger than 64 kB, is nested deeper than 16, has more than 10,000 values, or uses
        an unsupported feature (an anchor, an alias, a tag, a merge, a duplicate or composed key, a directive, a second
        document).

    Notes
    -----
    Linear in the text: values are counted as they are parsed, so that a bomb is refused before it is built.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_YAML_BYTES:
        raise CellError(
            f"the front matter has {size:,} bytes; {MAX_YAML_BYTES:,} is the most.",
            line=line_offset + 1,
            hint="write long text below the second ---",
        )
    return _Builder(text, line_offset).document()


class _Builder:
    """Builds data from the parser's events. The recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str, offset: int) -> None:
        self.text, self.offset = text, offset
        self.mark = _unused_character(text)
        self.found = Located()
        self.values = 0
        self.events = self._checked_events()

    def document(self) -> Located:
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                self._no_directives(event)
            elif kind == "MappingStartEvent":
                self.found.data = self._mapping((), 1)
            elif kind in ("ScalarEvent", "SequenceStartEvent") and not self._is_empty(event):
                self.fail("the front matter must be a mapping.", event, "write lines such as: model: small")
        return self.found

    def _is_empty(self, event: yaml.Event) -> bool:
        return getattr(event, "value", None) == "" and getattr(event, "style", "x") in (None, "")

    def _no_directives(self, event: yaml.Event) -> None:
        if event.version or event.tags:
            self.fail("`%` directives are not supported.", event, "remove the line")
        if self.values:
            self.fail("a second document begins here.", event, "write one mapping only")

    # -------------------------------------------------------------- events
    def _checked_events(self) -> Iterator[yaml.Event]:
        """Yield the parser's events; raise CellError on its errors and on unsupported features."""
        import yaml

        try:
            for event in yaml.parse(_MARKED.sub(self.mark, self.text), Loader=yaml.SafeLoader):
                self._check(event)
                yield event
        except yaml.MarkedYAMLError as error:
            self._fail_at(
                error.problem or error.context or "it cannot be read", error.problem_mark or error.context_mark
            )
        except yaml.reader.ReaderError as error:
            line, column = _position(self.text, error.position)
            self._raise(f"the character U+{error.character:04X} is not allowed here.", line, column)
        except (OverflowError, ValueError) as error:  # an escape of a character that does not exist
            self._raise(f"the front matter must be YAML: {error}.", 1, 0)

    def _check(self, event: yaml.Event) -> None:
        self.values += type(event).__name__ in ("ScalarEvent", "MappingStartEvent", "SequenceStartEvent")
        if self.values > MAX_VALUES:
            self.fail(f"the front matter holds more than {MAX_VALUES:,} values.", event)
        if type(event).__name__ == "AliasEvent":
            self.fail(f"aliases (`*{event.anchor}`) are not supported.", event, "write the value out")
        if getattr(event, "anchor", None):
            self.fail(f"anchors (`&{event.anchor}`) are not supported.", event, "write the value out")
        if getattr(event, "tag", None):
            self.fail(f"tags (`{event.tag}`) are not supported.", event, "write plain text, or quote it")

    def fail(self, message: str, event: yaml.Event, hint: str = "") -> NoReturn:
        mark = event.start_mark
        self._raise(message, mark.line + 1, mark.column + 1, hint)

    def _fail_at(self, message: str, mark: yaml.Mark | None) -> NoReturn:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        hint = next((hint for part, hint in _HINTS.items() if part in message), "")
        self._raise(f"the front matter must be YAML: {message}.", line, column, hint)

    def _raise(self, message: str, line: int, column: int, hint: str = "") -> NoReturn:
        shown = "\n".join(row[:MAX_SHOWN] for row in self.text.splitlines())
        column = column if column <= MAX_SHOWN else 0
        source = "\n" * self.offset + shown
        raise CellError(message, line=line + self.offset, column=column, source=source, hint=hint) from None

    # -------------------------------------------------------------- values
    def _value(self, event: yaml.Event, path: tuple[str, ...], depth: int) -> Json:
        kind = type(event).__name__
        if depth > MAX_DEPTH:
            self.fail(f"the front matter is nested deeper than {MAX_DEPTH}.", event)
        if kind == "MappingStartEvent":
            return self._mapping(path, depth + 1)
        if kind == "SequenceStartEvent":
            return self._sequence(path, depth + 1)
        return self._scalar(event, path)

    def _mapping(self, path: tuple[str, ...], depth: int) -> JsonObject:
        found: JsonObject = {}
        for event in self.events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._key(event)
            here = (*path, key)
            if key in found:
                first = self.found.lines[here]
                self.fail(f"the key `{key}` is twice here; first on line {first}.", event, "keep one of them")
            self.found.lines[here] = event.start_mark.line + 1 + self.offset
            found[key] = self._value(next(self.events), here, depth)
        return found

    def _key(self, event: yaml.Event) -> str:
        if type(event).__name__ != "ScalarEvent":
            self.fail("a key is a word, not a list or a mapping.", event, "write lines such as: model: small")
        if event.value == "<<":
            self.fail("merging (`<<`) is not supported.", event, "write the keys out")
        return self._text(event)

    def _text(self, event: yaml.Event) -> str:
        text = str(event.value).replace(self.mark, "?")
        if text.isascii():
            return text
        try:
            # Two escapes may write one character beyond U+FFFF as a pair of surrogates.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("a text has an unpaired surrogate.", event, "type the character itself")

    def _sequence(self, path: tuple[str, ...], depth: int) -> list[Json]:
        found: list[Json] = []
        for event in self.events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            found.append(self._value(event, (*path, str(len(found))), depth))
        return found

    def _scalar(self, event: yaml.Event, path: tuple[str, ...]) -> Json:
        text = self._text(event)
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
            self.found.raw[path] = text
            return float(text) if "." in text else int(text)
        return text


def _unused_character(text: str) -> str:
    """Return a character of the private use area that `text` does not contain."""
    return next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)


def _position(text: str, at: int) -> tuple[int, int]:
    rows = (text[:at] + "x").splitlines()
    return len(rows), len(rows[-1])
