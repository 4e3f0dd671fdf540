"""A value in one line: what a table cell shows of it."""

from __future__ import annotations

from typing import Any

LIMIT = 160
"""Characters: about one line of a wide notebook."""


def brief(value: object, limit: int = LIMIT) -> str:
    """`value` as one line of at most `limit` characters, cut with "…". O(limit), however large the value is."""
    if value.__class__ is str:
        return _cut(" ".join(value[: 4 * limit].split()), limit, len(value) > 4 * limit)
    out: list[str] = []
    _write(value, out, limit, 0)
    return _cut("".join(out), limit)


def _cut(text: str, limit: int, more: bool = False) -> str:
    return text if len(text) <= limit and not more else text[: limit - 1] + "…"


def _write(value: object, out: list[str], left: int, depth: int) -> int:
    """Append `value` to `out`; returns the characters left. Stops when none are."""
    if left <= 0:
        return left
    if isinstance(value, dict) and depth < 6:
        return _write_items([(f"{k}: ", v) for k, v in _first(value.items(), left)], "{}", out, left, depth)
    if isinstance(value, list | tuple) and depth < 6:
        return _write_items([("", v) for v in _first(value, left)], "[]", out, left, depth)
    text = _scalar(value, left)
    out.append(text)
    return left - len(text)


def _first(items: Any, left: int) -> list[Any]:
    """The items that can possibly show: each takes at least two characters."""
    return [item for _, item in zip(range(left // 2 + 1), items, strict=False)]


def _write_items(rows: list[tuple[str, object]], brackets: str, out: list[str], left: int, depth: int) -> int:
    out.append(brackets[0])
    left -= 1
    for i, (name, value) in enumerate(rows):
        lead = (", " if i else "") + name
        out.append(lead)
        left = _write(value, out, left - len(lead), depth + 1)
        if left <= 0:
            return left
    out.append(brackets[1])
    return left - 1


def _scalar(value: object, left: int) -> str:
    if value.__class__ is str:
        return '"' + " ".join(value[: left + 1].split()) + '"'
    if value is None or value.__class__ is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if value.__class__ is float:
        return f"{value:.6g}"
    if value.__class__ is bytes:
        return f"{len(value):,} bytes"
    if isinstance(value, dict | list | tuple):
        return "…"
    return repr(value)[: left + 1]
