"""Checks values against JSON Schemas by jsonschema, with messages and bounds of our own.

Only the keywords below are checked: no ``pattern``, whose regular expressions may run for ever, and no ``$ref`` outside
``$defs``, which might be an address. ``oneOf`` is read as ``anyOf``. This module is imported with the first answer, because
jsonschema is too slow to be imported with the package.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, cast

from orch_nb.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jsonschema.protocols import Validator

    from orch_nb.schema.values import Json, JsonObject


@contextmanager
def _later_grammar() -> Iterator[None]:
    """Let jsonschema load the grammar of IRIs, which takes over a second, when an IRI is checked; here none is."""
    name = "rfc3987_syntax"
    if name in sys.modules or "jsonschema" in sys.modules or find_spec(name) is None:
        yield
        return
    stand_in = ModuleType(name)
    stand_in.__dict__["is_valid_syntax"] = lambda rule, text: import_module(name).is_valid_syntax(rule, text)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


with _later_grammar():
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import create

MAX_PROBLEMS = 20
MAX_CHECKS = 100_000
"""Subschemas visited for one value: only alternatives within alternatives within ... come near it."""
WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "a mapping",
}  # fmt: skip
"""Type of JSON -> what it is called in messages."""
ENDLESS = f"the answer cannot be checked in {MAX_CHECKS:,} steps: its schema refers to itself without end, or nearly so"


class SchemaCheck:
    """A schema for the values of one answer; the bound on work counts all of them."""

    def __init__(self, schema: JsonObject) -> None:
        self.root = cast("JsonObject", _without_dialect(schema))
        self.visits = 0
        self._validator = _Validator(self.root)

    def problems(self, value: Json) -> list[str]:
        """Return the problems of a value, one line each, at most 20; [] for a value that fits."""
        return [line for error in self.errors(value) for line in _lines_of(error)][:MAX_PROBLEMS]

    def errors(self, value: Json) -> list[ValidationError]:
        """Return jsonschema's errors of a value."""
        _CHECK.set(self)
        try:
            errors = list(islice(self._validator.iter_errors(value), MAX_PROBLEMS + 1))
        except RecursionError:
            return [ValidationError(ENDLESS)]
        return _relevant(errors)

    def fits(self, value: Json, schema: Json) -> bool:
        """Return whether a value fits a part of the schema."""
        _CHECK.set(self)
        return bool(self._validator.evolve(schema=schema).is_valid(value))

    def definition(self, ref: Json) -> Json:
        """Return the schema of ``#/$defs/NAME``; an unknown name allows any value."""
        definitions = self.root.get("$defs")
        return definitions.get(str(ref).removeprefix("#/$defs/"), {}) if isinstance(definitions, dict) else {}


_CHECK: ContextVar[SchemaCheck] = ContextVar("check")
"""The check under way, for keywords: jsonschema hands them a validator of a part of the schema."""


def problem_of_schema(schema: JsonObject, keywords: Mapping[str, Json]) -> tuple[str, str]:
    """Return what is wrong with a JSON Schema that may have these keywords, and a hint; empty texts for nothing."""
    definitions = schema.get("$defs")
    names: list[Json] = [f"#/$defs/{name}" for name in definitions] if isinstance(definitions, dict) else []
    known: JsonObject = {**keywords, "$ref": {"enum": names or ["#/$defs/NAME"]}}
    meta: Json = {"type": ["object", "boolean"], "properties": known, "additionalProperties": False}
    root: JsonObject = {"$ref": "#/$defs/schema", "$defs": {"schema": meta}}
    errors = SchemaCheck(root).errors(schema)
    if not errors:
        return "", ""
    near = nearest(str(errors[0].instance), [*keywords, *WORDS])
    hint = f"did you mean `{near}`?" if near else "a pydantic class can check more"
    if errors[0].validator == "additionalProperties":
        return f"`{path_of(errors[0].absolute_path)}` of a JSON Schema is not checked here", hint
    return f"the JSON Schema is invalid: {_lines_of(errors[0])[0]}", hint


def _without_dialect(schema: Json) -> Json:
    """Return a schema without ``$schema``, for which jsonschema would take another class than ours."""
    if isinstance(schema, list):
        return [_without_dialect(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    values = ("default", "examples", "enum", "const")
    return {
        key: part if key in values else _without_dialect(part)
        for key, part in schema.items()
        if key != "$schema" or isinstance(part, dict)
    }


# ------------------------------------------------------------------ keywords
def _count(check: Callable[..., Iterable[ValidationError]]) -> Callable[..., Iterator[ValidationError]]:
    """Stop a keyword like endless recursion when the value takes too much work."""

    def keyword(validator: Validator, bound: Json, value: Json, schema: JsonObject) -> Iterator[ValidationError]:
        here = _CHECK.get()
        here.visits += len(bound) if isinstance(bound, list) else 1
        if here.visits > MAX_CHECKS:
            raise RecursionError
        yield from check(validator, bound, value, schema) or ()

    return keyword


def _reference(validator: Validator, ref: Json, value: Json, _: JsonObject) -> Iterator[ValidationError]:
    yield from validator.descend(value, _CHECK.get().definition(ref))


def _type(validator: Validator, declared: Json, value: Json, _: JsonObject) -> Iterator[ValidationError]:
    types = declared if isinstance(declared, list) else [declared]
    if not any(one in WORDS and validator.is_type(value, str(one)) for one in types):
        yield ValidationError("type")


def _required(_: Validator, names: Json, value: Json, __: JsonObject) -> Iterator[ValidationError]:
    if isinstance(value, dict) and isinstance(names, list):
        yield from (ValidationError("is missing", path=[name]) for name in names if name not in value)


def _additional(validator: Validator, extra: Json, value: Json, schema: JsonObject) -> Iterator[ValidationError]:
    fields = schema.get("properties")
    fields = fields if isinstance(fields, dict) else {}
    for key in value if isinstance(value, dict) else ():
        if key not in fields and extra is False:
            says = f"is not a field; the fields are {', '.join(fields) or 'none'}"
            yield ValidationError(says, path=[key], instance=key)
        elif key not in fields:
            yield from validator.descend(cast("JsonObject", value)[key], extra, path=key)


# ------------------------------------------------------------------ messages
def _describe(branch: Json) -> str:
    if not isinstance(branch, dict):
        return "something else"
    if "enum" in branch:
        return f"one of {_list_values(branch['enum'])}"
    if "const" in branch:
        return show(branch["const"])
    return WORDS.get(str(branch.get("type")), "something else")


def _list_values(values: Json) -> str:
    shown = [show(value) for value in cast("list[Json]", values)]
    return ", ".join(shown[:20]) + (f", … ({len(shown)} in all)" if len(shown) > 20 else "")


def show(value: Json) -> str:
    """Return a value as messages show it, in at most 61 characters."""
    if isinstance(value, dict | list):
        return f"{WORDS['object' if isinstance(value, dict) else 'array']} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + "…"


_AMOUNTS = {
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than"
}  # fmt: skip
_SIZES = {
    "minItems": ("at least", "items"), "maxItems": ("at most", "items"),
    "minLength": ("at least", "characters"), "maxLength": ("at most", "characters"),
}  # fmt: skip


def _must_be(describe: Callable[[Json], str]) -> Callable[[Json, Json], str]:
    return lambda bound, value: f"must be {describe(bound)}, got {show(value)}"


def _amount(keyword: str) -> Callable[[Json, Json], str]:
    return _must_be(lambda bound: f"{_AMOUNTS[keyword]} {bound}")


def _size(keyword: str) -> Callable[[Json, Json], str]:
    how, what = _SIZES[keyword]
    return lambda bound, value: f"must have {how} {bound} {what}, got {len(cast('str', value))}"


def _name_types(declared: Json) -> str:
    return " or ".join(WORDS.get(str(t), str(t)) for t in (declared if isinstance(declared, list) else [declared]))


def _name_branches(branches: Json) -> str:
    return " or ".join(dict.fromkeys(_describe(branch) for branch in cast("list[Json]", branches)))


_MESSAGES: dict[str, Callable[[Json, Json], str]] = {
    "type": _must_be(_name_types),
    "enum": _must_be(lambda values: f"one of {_list_values(values)}"),
    "const": _must_be(show),
    "anyOf": _must_be(_name_branches),
    "oneOf": _must_be(_name_branches),
    **{word: _amount(word) for word in _AMOUNTS},
    **{word: _size(word) for word in _SIZES},
}
"""Keyword -> what a value must be and is, of the keyword's bound and the value."""

_STANDARD = Draft202012Validator.VALIDATORS
_Validator: type[Validator] = create(
    {},
    {
        **{word: _STANDARD[word] for word in ("enum", "const", *_AMOUNTS, *_SIZES)},
        **{word: _count(_STANDARD[word]) for word in ("properties", "items", "allOf", "anyOf")},
        "oneOf": _count(_STANDARD["anyOf"]),
        "$ref": _count(_reference),
        "type": _type,
        "required": _required,
        "additionalProperties": _count(_additional),
    },
)


def _relevant(errors: list[ValidationError]) -> list[ValidationError]:
    """Leave out the wrong type of a wrong choice: one line is enough."""
    choices = [error.absolute_path for error in errors if error.validator in ("enum", "const")]
    return [error for error in errors if error.validator != "type" or error.absolute_path not in choices]


def _lines_of(error: ValidationError) -> list[str]:
    """Return the lines of one error: of alternatives, those of the only one of the value's type."""
    if error.validator in ("anyOf", "oneOf"):
        near = [at for at, branch in enumerate(error.validator_value) if _is_meant(branch, error.instance)]
        if len(near) == 1:
            inner = _relevant([one for one in error.context if one.relative_schema_path[0] == near[0]])
            return [line for one in inner for line in _lines_of(one)]
    message = error.message
    if error.validator in _MESSAGES:
        message = _MESSAGES[error.validator](error.validator_value, error.instance)
    elif error.validator is None and error.schema is False:
        message = "is not allowed"
    path = path_of(error.absolute_path)
    return [f"`{path}` {message}" if path else message if message is ENDLESS else f"the answer {message}"]


def path_of(steps: Iterable[str | int]) -> str:
    """Return the path of a part as messages show it: ``tasks[1].title``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:60]}" for step in steps).removeprefix(".")


def _is_meant(branch: Json, value: Json) -> bool:
    """Return whether a branch is of the type of a mapping or a list."""
    if not isinstance(value, dict | list) or not isinstance(branch, dict):
        return False
    return "$ref" in branch or branch.get("type") == ("object" if isinstance(value, dict) else "array")
