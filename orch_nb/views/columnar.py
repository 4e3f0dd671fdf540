"""Data in little room: columns as one string each, every text said once, and what it all takes in a saved notebook.

A notebook is saved with an indent, so that each number of a list costs a dozen blanks; a string costs what it says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orch_nb.views.safe_text import FIELD_LIMIT, as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOFT_BYTES = 128 * 1024
"""What one saved view should take, all its forms together: a notebook with 20 runs stays under 3 MB."""
HARD_BYTES = 1024 * 1024
"""What it takes at most, however long the run was."""

_INDENT = 7
"""Depth at which a display's data lies in a notebook file: so many blanks begin each of its lines."""
_SHORT = 48
"""Characters. A text that is longer is said once, in a table, however often it is meant."""


class Packed(str):
    """A text that was made here, clean already, and is never cut: a column, not a field."""

    __slots__ = ()


def column(values: Sequence[float | str | None]) -> Packed:
    """Numbers as one string: ``0,0.21,,3.2``; None is nothing between two commas."""
    return Packed(",".join("" if v is None else _number(v) for v in values))


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    text = repr(round(value, 4)) if isinstance(value, float) else str(value)
    return text.removesuffix(".0")


class Names:
    """Short texts of one line, each with a number from 0: states, steps, models."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int | None:
        """The number of `name`; None of an empty one."""
        return self._places.setdefault(name, len(self._places)) if name else None

    def packed(self) -> Packed:
        """All of them, one a line."""
        return lines_of(self._places)


def lines_of(names: Iterable[str]) -> Packed:
    """Texts of one line each as one string."""
    return Packed("\n".join(names))


class Texts:
    """Texts of any length, each kept once: a conversation's prompt is in every one of its calls."""

    def __init__(self) -> None:
        self.kept: list[Packed] = []
        self._places: dict[str, int] = {}

    def put(self, value: object, limit: int = FIELD_LIMIT) -> str | int:
        """Return what stands for `value` as text: itself where it is short, else its place in `kept`. Cut to `limit`, with a mark."""
        text = as_text(value, limit)
        if len(text) <= _SHORT:
            return text
        found = self._places.get(text)
        if found is None:
            found = self._places[text] = len(self.kept)
            self.kept.append(Packed(text))
        return found

    def mark(self) -> int:
        """Return how many there are, to `go_back` to."""
        return len(self.kept)

    def go_back(self, mark: int) -> None:
        """Forget what came after `mark`."""
        for text in self.kept[mark:]:
            del self._places[text]
        del self.kept[mark:]


def saved_bytes(value: object) -> int:
    """Bytes that a form of a display takes in a saved notebook, about: text as its lines, data as indented JSON."""
    if isinstance(value, str):
        return sum(
            len(json.dumps(row, ensure_ascii=False).encode()) + _INDENT + 2 for row in value.splitlines(keepends=True)
        )
    made = json.dumps(value, ensure_ascii=False, indent=1)
    return len(made.encode()) + (_INDENT - 1) * (made.count("\n") + 1)


def sent_bytes(value: object) -> int:
    """Bytes that a form of a display takes on its way to the front end."""
    return len(json.dumps(value, ensure_ascii=False).encode())
