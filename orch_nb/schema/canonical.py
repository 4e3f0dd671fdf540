"""The canonical JSON of data, of which all hashes in the project are computed. Equal data have equal texts.

Keys are sorted, without white space, in UTF-8, and floats are in their shortest exact form. Data that JSON lacks are tagged
(``{"$bytes": …}``, ``{"$decimal": …}``). A mapping's own key that begins with ``$`` gets a second ``$``, so that no data can
imitate a tag. Two values have the same text exactly if they are equal and of equal types: ``1``, ``1.0``, ``True`` and
``"1"`` are four texts.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from orch_nb.errors import UnstorableValue

MAX_DEPTH = 100
DIGEST_BYTES = 16
"""128 bits: a collision among 10^12 values has a chance of about 10^-15."""

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
_encode = _ENCODER.encode
_PLAIN = frozenset({int, bool, type(None), str})


def canonical(value: object) -> str:
    """Return the canonical JSON of plain data (tuples count as lists).

    Raises
    ------
    UnstorableValue
        A part of it is not plain data, is NaN or infinite, or is deeper than 100 levels. The error has its path.

    Notes
    -----
    O(size): one walk in Python, one in the C encoder.
    """
    return _encode(_tag(value, "value", 0))


def digest(value: object, *, size: int = DIGEST_BYTES) -> str:
    """Return the BLAKE2b digest of `canonical(value)` as hexadecimal text, two characters a byte (32 by default).

    References
    ----------
    RFC 7693 (BLAKE2), November 2015.
    """
    return blake2b(canonical(value).encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def digest_text(text: str, *, size: int = DIGEST_BYTES) -> str:
    """Return the digest of a text itself, without JSON around it."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def _tag(value: Any, where: str, depth: int) -> object:
    cls = value.__class__
    if cls in _PLAIN:
        return value
    if cls is float:
        if not math.isfinite(value):
            raise _bad(where, f"the number {value}")
        return value
    if depth >= MAX_DEPTH:
        raise _bad(where, f"nested deeper than {MAX_DEPTH} levels (a cycle?)")
    if cls is list or cls is tuple:
        return [v if v.__class__ in _PLAIN else _tag(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if cls is dict:
        return _tagged_dict(value, where, depth)
    return _tagged_rest(value, where)


def _tagged_dict(value: dict[object, object], where: str, depth: int) -> dict[str, object]:
    out = {}
    for key, item in value.items():
        if key.__class__ is not str:
            raise _bad(where, f"a mapping with the key {key!r:.40}, not a text")
        name = f"${key}" if key.startswith("$") else key
        out[name] = item if item.__class__ in _PLAIN else _tag(item, f"{where}.{key}", depth + 1)
    return out


def _tagged_rest(value: object, where: str) -> object:
    if isinstance(value, bytes | bytearray):
        return {"$bytes": b64encode(value).decode("ascii")}
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _bad(where, f"the number {value}")
        return {"$decimal": str(value)}
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    raise _bad(where, f"a `{type(value).__name__}`")


def _bad(where: str, what: str) -> UnstorableValue:
    return UnstorableValue(
        f"{where} is {what}: it has no canonical form.",
        hint="use plain data: numbers, text, lists, mappings",
        where=where,
    )
