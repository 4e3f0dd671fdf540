"""Plain data: the values that a node may return and that a log can store.

`plain` copies a node's result, so that later changes from outside have no effect, or raises an error with the path of the
part that cannot be stored. `share` copies such data for a reader who may change it. `fingerprint_of` is a Merkle digest: a
list's digest is a running hash over its items' digests, so that a list that grew costs only the added items.
"""

from __future__ import annotations

import json
import math
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_nb.errors import UnstorableValue

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value of JSON, as it was read or as it is written."""
JsonObject: TypeAlias = dict[str, Json]
"""An object of JSON."""

MAX_DEPTH = 64
_SCALARS = frozenset({int, bool, type(None)})
_DATA_OF: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__), (int, int.__int__), (float, float.__float__), (list, list), (dict, dict), (tuple, tuple),
    (bytes, lambda value: bytes(memoryview(value))),
)  # fmt: skip
"""Plain types, and the function that returns the data of a subclass: not `str(value)`, which a class may override."""


def plain(value: Any, *, where: str = "value") -> Any:
    """Return `value` as plain data: None, bool, int, finite float, str, bytes, list, dict with string keys.

    Tuples become lists. Pydantic models and dataclasses become dicts. Numpy scalars become Python numbers. An `Enum` becomes
    its value (a `Flag` its number), also as a mapping's key. Any other subclass of a plain type becomes its data, whatever
    its ``__str__`` returns.

    Raises
    ------
    UnstorableValue
        A part of it is something else (a function, an open file, NaN, a lone surrogate, a cycle). The error has its path.
    """
    cls = value.__class__
    if cls in _SCALARS:
        return value
    if cls is str:
        return _text(value, where)
    return _plain(value, where, 0)


def _text(value: str, where: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _bad(
                where, f"text with a lone surrogate at character {error.start}", "clean the text first"
            ) from None
    return value


def _plain(value: Any, where: str, depth: int) -> object:
    cls = value.__class__
    if cls in _SCALARS or cls is bytes:
        return value
    if cls is str:
        return _text(value, where)
    if cls is float:
        if not math.isfinite(value):
            raise _bad(where, f"the number {value}", "give None, or a finite number")
        return value
    if depth > MAX_DEPTH:
        raise _bad(where, f"data nested deeper than {MAX_DEPTH} levels (a cycle?)", "return a flatter value")
    if cls is list or cls is tuple:
        return [v if v.__class__ in _SCALARS else _plain(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if cls is dict:
        return _plain_dict(value, where, depth)
    return _plain_object(value, where, depth)


def _plain_dict(value: dict[object, object], where: str, depth: int) -> dict[str, object]:
    out = {}
    for key, item in value.items():
        if key.__class__ is not str:
            key = _key(key, where)  # noqa: PLW2901
        out[_text(key, where)] = item if item.__class__ in _SCALARS else _plain(item, f"{where}.{key}", depth + 1)
    if len(out) < len(value):
        raise _bad(where, "a mapping with two keys of the same text", "use keys of different values")
    return out


def _key(key: object, where: str) -> str:
    """Return the text of a key that is an `Enum` or another subclass of text."""
    held = key.value if isinstance(key, Enum) else key
    if not isinstance(held, str):
        raise _bad(where, f"a mapping with the key {key!r:.40}", "use string keys")
    return str.__str__(held)


def _plain_object(value: Any, where: str, depth: int) -> object:
    if isinstance(value, Enum):
        return _plain(value.value, where, depth + 1)
    dump = getattr(value, "model_dump", None)
    if dump is not None and hasattr(type(value), "model_fields"):
        return _plain(dump(mode="json"), where, depth + 1)
    if hasattr(type(value), "__dataclass_fields__"):
        return _plain_dict({k: getattr(value, k) for k in type(value).__dataclass_fields__}, where, depth + 1)
    item = getattr(value, "item", None)
    if type(value).__module__ == "numpy" and item is not None and getattr(value, "ndim", None) == 0:
        return _plain(item(), where, depth + 1)
    for base, data in _DATA_OF:
        if isinstance(value, base):
            return _plain(data(value), where, depth + 1)
    raise _bad(where, f"a `{type(value).__name__}`", "give plain data: numbers, text, lists, mappings")


def _bad(where: str, what: str, hint: str) -> UnstorableValue:
    return UnstorableValue(f"{where} is {what}, which cannot be stored.", hint=hint, where=where)


def share(value: Any) -> Any:
    """Return a copy that the reader may change. Scalars and texts are not copied. O(size) for containers."""
    cls = value.__class__
    if cls is list:
        return [share(v) if v.__class__ is list or v.__class__ is dict else v for v in value]
    if cls is dict:
        return {k: share(v) if v.__class__ is list or v.__class__ is dict else v for k, v in value.items()}
    return value


def fingerprint_of(value: Any) -> bytes:
    """Return the value's digest: a short scalar itself (tagged), or 16 bytes. Equal data have equal digests."""
    cls = value.__class__
    if cls is int:
        text = b"i%d" % value
        return text if len(text) <= 24 else blake2b(text, digest_size=16).digest()
    if cls is str:
        data = value.encode()
        return b"s" + data if len(data) <= 24 else blake2b(data, digest_size=16, person=b"s").digest()
    if value is None or cls is bool:
        return b"n" if value is None else b"t" if value else b"f"
    if cls is float:
        return b"d" + repr(value).encode()
    if cls is list:
        return ListDigest(value).digest()
    if cls is dict:
        return _dict_digest(value)
    return blake2b(value, digest_size=16, person=b"b").digest()


def _dict_digest(value: dict[str, object]) -> bytes:
    h = blake2b(digest_size=16, person=b"m")
    for key in sorted(value):
        part = fingerprint_of(key) + b"\x1f" + fingerprint_of(value[key])
        h.update(len(part).to_bytes(4, "big") + part)
    return h.digest()


class ListDigest:
    """The digest of a list that can grow: `extend` costs only the added items."""

    __slots__ = ("_h",)

    def __init__(self, items: list[object] | None = None) -> None:
        self._h = blake2b(digest_size=16, person=b"l")
        if items:
            self.extend(items)

    def extend(self, items: list[object]) -> None:
        """Add items at the end."""
        for item in items:
            part = fingerprint_of(item)
            self._h.update(len(part).to_bytes(4, "big") + part)

    def digest(self) -> bytes:
        """Return the digest of the list so far."""
        return self._h.copy().digest()


def compact(value: object) -> str:
    """Return compact JSON of plain data, as in a prompt."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=lambda b: f"<{len(b)} bytes>")


def dig(value: object, path: tuple[str, ...]) -> object:
    """Return the part of `value` at `path` (mapping keys only).

    Raises
    ------
    KeyError
        With the first missing key.
    """
    for part in path:
        if value.__class__ is not dict or part not in value:
            raise KeyError(part)
        value = value[part]
    return value
