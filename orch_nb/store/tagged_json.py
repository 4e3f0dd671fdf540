"""Write plain data as strict JSON and read it back exactly. Tags express what JSON lacks.

The tags are ``{"$bytes": BASE64}`` and ``{"$decimal": TEXT}``, as in `schema.canonical`. A mapping's own key that begins with
``$`` gets a second ``$``, so that no data can imitate a tag. Tuples become lists.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from decimal import Decimal
from json import encoder as _json_encoder
from typing import Any, NoReturn

from orch_nb.errors import UnstorableValue

SCALARS = frozenset({int, float, bool, type(None)})


def _refuse(value: object) -> NoReturn:
    raise UnstorableValue(
        f"a `{type(value).__name__}` cannot be stored.",
        hint="return plain data: None, true/false, numbers, text, bytes, lists, mappings with text keys",
        kind=type(value).__name__,
    )


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_refuse
)
_make = getattr(_json_encoder, "c_make_encoder", None)
_encode_text = _json_encoder.encode_basestring
# The encoder object that `JSONEncoder.encode` makes for every call (1 us), made once. None where Python lacks it.
_chunks = None if _make is None else _make(None, _refuse, _encode_text, None, ":", ",", False, False, False)


def dumps(value: object) -> str:
    """Return `value` as compact strict JSON.

    Raises
    ------
    UnstorableValue
        The value has NaN, an infinity, a lone surrogate, a cycle, or an object of a type that JSON lacks.
    """
    try:
        text = "".join(_chunks(value, 0)) if _chunks is not None else _ENCODER.encode(value)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise UnstorableValue("text with a lone surrogate cannot be stored.", hint="clean the text first") from None
    except ValueError as error:
        raise UnstorableValue(f"a number cannot be stored: {error}.", hint="return None or a finite number") from None
    except RecursionError:
        raise too_deep() from None
    return text


def too_deep() -> UnstorableValue:
    """Return the error for data that contain themselves or are nested too deeply."""
    return UnstorableValue("data nested too deeply cannot be stored (a cycle?).", hint="return flatter data")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


loads = json.JSONDecoder(parse_constant=_no_constant).decode
"""The inverse of `dumps`. It raises json.JSONDecodeError (a ValueError) on anything but strict JSON."""


def key_text(key: object) -> str:
    """Return a mapping's key as it is written.

    Raises
    ------
    UnstorableValue
        The key is not text: JSON would silently turn ``1`` into ``"1"``.
    """
    if not isinstance(key, str):
        raise UnstorableValue(
            f"a mapping with the key {key!r:.40} cannot be stored.", hint="use text keys", key=repr(key)
        )
    return "$" + key if key[:1] == "$" else key


def tag(value: Any) -> object:
    """Return `value` with its bytes, amounts and keys that begin with ``$`` in a form that JSON can express."""
    cls = value.__class__
    if cls is str or cls in SCALARS:
        return value
    if cls is dict:
        return {key_text(k): tag(v) for k, v in value.items()}
    if cls is list or cls is tuple:
        return [tag(v) for v in value]
    return tag_rest(value)


def tag_rest(value: object) -> object:
    """Tag a value of one of the rarer kinds of plain data."""
    if isinstance(value, bytes | bytearray):
        return {"$bytes": b64encode(value).decode("ascii")}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, bool):
        return value
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, dict):
        return tag(dict(value))
    if isinstance(value, list | tuple):
        return tag(list(value))
    _refuse(value)


def untag(value: object) -> Any:
    """Return the value that `tag` wrote."""
    if value.__class__ is list:
        return [untag(v) if v.__class__ in (list, dict) else v for v in value]
    if value.__class__ is not dict:
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$bytes":
            return b64decode(inner, validate=True)
        if key == "$decimal":
            return Decimal(inner)
    return {plain_key(k): untag(v) for k, v in value.items()}


def plain_key(key: str) -> str:
    """Return the key that `key_text` wrote."""
    if key[:1] != "$":
        return key
    if key[:2] != "$$":
        raise ValueError(f"the tag {key!r} is unknown")
    return key[1:]
