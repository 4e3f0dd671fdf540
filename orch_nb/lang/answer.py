"""Reads a model's answer and holds it against a JSON Schema.

Problems are written for two readers: the person at the notebook, and the model that is asked once to repair its answer.
Numbers may come as ``1`` where a float is due and as ``1.0`` where an integer is; nothing else is converted. NaN,
infinities, repeated keys and unpaired surrogates are refused. `json_schema` has the check itself.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, cast

from orch_nb.lang.tokens import refuse_constant, strict_float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.lang.json_schema import SchemaCheck
    from orch_nb.schema.values import Json, JsonObject

MAX_ANSWER_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000

_FENCE = re.compile(r"```[ \t]*(?:json|JSON)?[ \t]*\r?\n(.*?)```", re.DOTALL)


class Unreadable(ValueError):
    """A value that is not JSON, or too much of it."""


def fit_answer(answer: object, schema: JsonObject, classes: Mapping[str, type] | None = None) -> tuple[Json, list[str]]:
    """Return the value of an answer, and its problems (none: it fits).

    Parameters
    ----------
    answer
        The model's text (JSON, alone or in one ```json fence; text without quotes where the schema is of a text), or a value.
    schema
        A JSON Schema as made by `OutType`.
    classes
        Name in ``$defs`` ("" for the whole) -> pydantic class that validates that part once it fits its schema.

    Returns
    -------
    tuple
        (value, []) or (what could be read, problems); at most 20 problems.
    """
    try:
        value = _value_in(answer, schema) if isinstance(answer, str) else cast("Json", answer)
        check_size(value)
    except Unreadable as error:
        return None, [str(error)]
    from orch_nb.lang.json_schema import ENDLESS, SchemaCheck

    check = SchemaCheck(schema)
    if problems := check.problems(value):
        return value, problems
    conversion = _Conversion(check, classes or {})
    try:
        return conversion.whole(value), conversion.problems
    except RecursionError:
        return value, [ENDLESS]


# ------------------------------------------------------------------ text into a value
def _value_in(text: str, schema: JsonObject) -> Json:
    if len(text) > MAX_ANSWER_BYTES:
        raise Unreadable(f"the answer must have at most {MAX_ANSWER_BYTES:,} characters, got {len(text):,} characters")
    body = text.strip().removeprefix("\ufeff")
    if _is_text(schema):
        return _read_text(body, schema)
    try:
        return _json(body)
    except Unreadable as error:
        fences = _FENCE.findall(body)
        if len(fences) == 1:
            return _json(fences[0])
        if not body:
            raise Unreadable("the answer is empty; JSON was expected") from None
        shown = body if len(body) <= 80 else body[:80] + "…"
        raise Unreadable(f"the answer must be JSON ({error}), got: {shown}") from None


def _read_text(body: str, schema: JsonObject) -> Json:
    """Return a text that may come without quotes; with them, it is what they hold."""
    fence = _FENCE.fullmatch(body)
    inner = fence.group(1).strip() if fence else body
    try:
        value = _json(inner)
    except Unreadable:
        return inner
    return value if isinstance(value, str) or (value is None and "anyOf" in schema) else inner


def _is_text(schema: Json) -> bool:
    """Return whether the whole answer is a text, so that it needs no quotes."""
    if not isinstance(schema, dict):
        return False
    if "anyOf" in schema:
        branches = [b for b in as_list(schema["anyOf"]) if b != {"type": "null"}]
        return len(branches) == 1 and _is_text(branches[0])
    return schema.get("type") == "string"


def _json(text: str) -> Json:
    try:
        return cast(
            "Json",
            json.loads(
                text,
                object_pairs_hook=_unique,
                parse_constant=refuse_constant,
                parse_float=strict_float,
                parse_int=_int,
            ),
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise Unreadable(f"it is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Unreadable(f"the key {twice[:40]!r} occurs twice")
    return data


def _int(text: str) -> int:
    if len(text) > 400:
        raise Unreadable(f"a number of {len(text)} digits is too large")
    return int(text)


def check_size(value: object, *, depth: int = MAX_DEPTH, values: int = MAX_VALUES) -> None:
    """Refuse a value that is too deep, too large or not plain data; without recursion, so that depth cannot hurt.

    Raises
    ------
    Unreadable
        The value has more than `depth` levels or `values` values, or one that JSON does not have.
    """
    level, levels, count = [value], 0, 0
    while level:
        levels += 1
        count += len(level)
        if levels > depth:
            raise Unreadable(f"the answer is nested deeper than {depth}")
        if count > values:
            raise Unreadable(f"the answer has more than {values:,} values")
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: object) -> list[object]:
    if isinstance(value, str):
        if not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise Unreadable("a text has an invalid character: an unpaired surrogate")
        return []
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Unreadable("the keys of a mapping must be text")
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"a number must be finite, got {value}")
    if value is not None and not isinstance(value, bool | int | float):
        raise Unreadable(f"the answer must be plain data, got {type(value).__name__}")
    return []


# ------------------------------------------------------------------ conversion
class _Conversion:
    """The conversion of a value that fits its schema; `problems` are those of the pydantic classes."""

    def __init__(self, check: SchemaCheck, classes: Mapping[str, type]) -> None:
        self.check, self.classes = check, classes
        self.problems: list[str] = []

    def whole(self, value: Json) -> Json:
        """Convert the numbers, then the parts that have classes."""
        return self._validate("", self._convert(value, self.check.root, ""), "")

    def _convert(self, value: Json, schema: Json, path: str) -> Json:
        if not isinstance(schema, dict):
            return value
        if "$ref" in schema:
            value = self._convert(value, self.check.definition(schema["$ref"]), path)
            return self._validate(str(schema["$ref"]).removeprefix("#/$defs/"), value, path)
        if "anyOf" in schema or "oneOf" in schema:
            return self._convert_branch(value, as_list(schema.get("anyOf", schema.get("oneOf"))), path)
        for part in as_list(schema.get("allOf")):
            value = self._convert(value, part, path)
        if isinstance(value, list):
            items = schema.get("items")
            return [self._convert(one, items, f"{path}[{at}]") for at, one in enumerate(value)]
        if isinstance(value, dict):
            properties, extra = as_dict(schema.get("properties")), schema.get("additionalProperties")
            return {k: self._convert(v, properties.get(k, extra), f"{path}.{k[:60]}") for k, v in value.items()}
        return self._convert_number(value, schema.get("type"), path)

    def _convert_branch(self, value: Json, branches: list[Json], path: str) -> Json:
        """Take the first alternative that fits and that its classes accept."""
        before, first = self.problems, None
        for branch in branches:
            if self.check.fits(value, branch):
                self.problems = []
                converted = self._convert(value, branch, path)
                if not self.problems:
                    self.problems = before
                    return converted
                first = first or self.problems
        self.problems = [*before, *(first or [])]
        return value

    def _convert_number(self, value: Json, declared: Json, path: str) -> Json:
        if isinstance(value, bool):
            return value
        if declared == "integer" and isinstance(value, float):
            return int(value)
        if declared == "number" and isinstance(value, int):
            try:
                return float(value)
            except OverflowError:
                self._add(path, "must be a smaller number: it is too large for a float")
        return value

    def _validate(self, name: str, value: Json, path: str) -> Json:
        """Let the pydantic class of a part validate it."""
        if name not in self.classes or self.problems:
            return value
        import pydantic

        cls = cast("type[pydantic.BaseModel]", self.classes[name])
        try:
            return cast("Json", cls.model_validate(value).model_dump(mode="json", by_alias=True))
        except pydantic.ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                where = "".join(f".{part}" for part in one["loc"])
                self._add(path + where, f"is refused by `{cls.__name__}`: {one['msg']}")
            return value

    def _add(self, path: str, message: str) -> None:
        path = path.removeprefix(".")
        self.problems.append(f"`{path}` {message}" if path else f"the answer {message}")


def as_dict(value: Json) -> JsonObject:
    """Return a mapping of a schema; {} for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """Return a list of a schema; [] for anything else."""
    return value if isinstance(value, list) else []
