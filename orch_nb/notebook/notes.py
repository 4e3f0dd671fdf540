"""What a cell has to say about an object beside what the object is: kept apart from it, gone when it is gone."""

from __future__ import annotations

import weakref
from typing import Any

_NOTES: dict[int, tuple[Any, tuple[str, ...]]] = {}


def note(thing: Any, *texts: str) -> None:
    """Say `texts` once more each time `thing` is shown."""
    at = id(thing)
    _NOTES[at] = (weakref.ref(thing, lambda _: _NOTES.pop(at, None)), tuple(texts))


def notes_on(thing: Any) -> tuple[str, ...]:
    """What was noted about this very object."""
    found = _NOTES.get(id(thing))
    return found[1] if found is not None and found[0]() is thing else ()
