"""A graph's state class: a TypedDict, dataclass or pydantic model whose fields are the state's keys.

``Annotated[list, "append"]`` names a field's reducer; without one, writes replace (`last`).
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from orch_nb.errors import BadType
from orch_nb.schema.names import check_name
from orch_nb.schema.reducers import REDUCERS, reducer
from orch_nb.schema.values import plain


def state_fields(cls: Any) -> dict[str, dict[str, Any]]:
    """Field -> {"reducer", "type", "default" where there is one}.

    Raises
    ------
    BadType
        `cls` is no class with annotated fields, or names a reducer that is none.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (TypeError, NameError) as error:
        raise BadType(f"`{getattr(cls, '__name__', cls)}` cannot be a state class: {error}.") from None
    if not hints:
        raise BadType(
            f"`{getattr(cls, '__name__', cls)}` has no annotated fields.",
            hint="a TypedDict, dataclass or pydantic model",
        )
    defaults = _defaults(cls)
    return {
        check_name(name, "state key"): _row(hint, defaults.get(name, dataclasses.MISSING))
        for name, hint in hints.items()
    }


def _row(hint: Any, default: Any) -> dict[str, Any]:
    how, kind = "last", hint
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        for mark in marks:
            name = mark if isinstance(mark, str) else getattr(mark, "__name__", "")
            if isinstance(mark, str) or mark in REDUCERS.values():
                reducer(name) if name in REDUCERS or isinstance(mark, str) else None
                how = next((k for k, v in REDUCERS.items() if v is mark), name)
    row: dict[str, Any] = {"reducer": how, "type": getattr(kind, "__name__", str(kind))}
    if default is not dataclasses.MISSING:
        row["default"] = plain(default)
    return row


def _defaults(cls: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(cls):
        return {
            f.name: f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            for f in dataclasses.fields(cls)
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        }
    if hasattr(cls, "model_fields"):
        return {n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if not f.is_required()}
    return {}
