"""How two writes to one state key become one value.

A reducer is a pure function ``(old, new) -> value``, folded over the writes in canonical order: round, then the
writing node's place in the plan, then item. Order of arrival never matters (DESIGN invariant 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadType, nearest

if TYPE_CHECKING:
    from collections.abc import Callable


def last(old: Any, new: Any) -> Any:
    """The latest write. Only for writers that follow one another; refused among concurrent ones."""
    return new


def append(old: Any, new: Any) -> Any:
    """A list that grows: a written list adds its items, anything else adds itself."""
    base = [] if old is None else old
    return base + new if isinstance(new, list) else [*base, new]


def add(old: Any, new: Any) -> Any:
    """The sum."""
    return new if old is None else old + new


def largest(old: Any, new: Any) -> Any:
    """The largest."""
    return new if old is None or new > old else old


def smallest(old: Any, new: Any) -> Any:
    """The smallest."""
    return new if old is None or new < old else old


def union(old: Any, new: Any) -> Any:
    """A list without repeats, in order of first write."""
    out = [] if old is None else list(old)
    for item in new if isinstance(new, list) else [new]:
        if item not in out:
            out.append(item)
    return out


def merge(old: Any, new: Any) -> Any:
    """A mapping with the keys of both; the later write wins a key written twice."""
    return {**(old or {}), **new}


REDUCERS: dict[str, Callable[[Any, Any], Any]] = {
    "last": last, "append": append, "add": add, "max": largest, "min": smallest, "union": union, "merge": merge,
}  # fmt: skip

SEQUENTIAL_ONLY = frozenset({"last"})
"""Reducers whose result depends on who is later, which concurrent writers do not have."""


def reducer(name: str) -> Callable[[Any, Any], Any]:
    """The reducer of this name.

    Raises
    ------
    BadType
        There is none; the nearest name is given.
    """
    try:
        return REDUCERS[name]
    except KeyError:
        near = nearest(name, REDUCERS)
        raise BadType(
            f"`{name}` is no reducer.",
            hint=f"did you mean `{near}`?" if near else f"one of {', '.join(REDUCERS)}",
        ) from None
