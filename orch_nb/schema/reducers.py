"""Reducers, which combine several writes to one state key into one value.

A reducer is a pure function ``(old, new) -> value``, folded over the writes in canonical order: round, then the writing node's
position in the plan, then item. The order of arrival never matters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from orch_nb.errors import BadType, nearest

T = TypeVar("T")
Reducer: TypeAlias = Callable[[Any, Any], object]


def last(old: object, new: T) -> T:
    """Return the latest write. Only for writers that follow one another; refused for concurrent ones."""
    return new


def append(old: list[object] | None, new: object) -> list[object]:
    """Return a list that grows: a written list adds its items, any other value adds itself."""
    base = [] if old is None else old
    return base + new if isinstance(new, list) else [*base, new]


def add(old: object, new: object) -> object:
    """Return the sum."""
    return new if old is None else operator.add(old, new)


def largest(old: object, new: Any) -> object:
    """Return the largest value."""
    return new if old is None or new > old else old


def smallest(old: object, new: Any) -> object:
    """Return the smallest value."""
    return new if old is None or new < old else old


def union(old: list[object] | None, new: object) -> list[object]:
    """Return a list without repeats, in the order of first writes."""
    out = [] if old is None else list(old)
    for item in new if isinstance(new, list) else [new]:
        if item not in out:
            out.append(item)
    return out


def merge(old: dict[str, object] | None, new: dict[str, object]) -> dict[str, object]:
    """Return a mapping with the keys of both. The later write wins if both have a key."""
    return {**(old or {}), **new}


REDUCERS: dict[str, Reducer] = {
    "last": last, "append": append, "add": add, "max": largest, "min": smallest, "union": union, "merge": merge,
}  # fmt: skip


def reducer(name: str) -> Reducer:
    """Return the reducer of this name.

    Raises
    ------
    BadType
        The name is unknown; the error suggests the nearest one.
    """
    try:
        return REDUCERS[name]
    except KeyError:
        near = nearest(name, REDUCERS)
        raise BadType(
            f"the reducer `{name}` does not exist.",
            hint=f"did you mean `{near}`?" if near else f"one of {', '.join(REDUCERS)}",
        ) from None
