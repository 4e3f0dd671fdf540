"""The smallest plain value that fits a JSON Schema, made from a text: what a fake model answers.

Not a validator and not a generator of test data: it knows the keywords that `out` types and ordinary schemas use, and
says which one it does not know.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadRequest

if TYPE_CHECKING:
    from orch_nb.schema.messages import Json

_DEEPEST = 32
_UNKNOWN = ("not", "if", "dependentSchemas", "contains", "patternProperties", "propertyNames")
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_PATTERN_TRIES = ("", "a", "A", "0", "00", "2000", "abc", "ABC", "a1", "A1", "2000-01-01", "00:00", "a@example.org")


def instance(schema: Json, text: str = "") -> Json:
    """A minimal value that fits `schema`, with words of `text` where it leaves a choice.

    Parameters
    ----------
    schema
        JSON Schema. Understood: type, enum, const, anyOf, oneOf, allOf, local $ref, required and properties,
        additionalProperties, items and prefixItems, sizes, ranges, multipleOf, format, simple patterns.
    text
        Where it comes from: an enum takes the first member that is a word of `text`, a string takes the text itself.

    Raises
    ------
    BadRequest
        The schema has a keyword that is not understood, a pattern that no easy text fits, or no finite instance.
    """
    return _Maker(schema, text).make(schema, 0)


class _Maker:
    def __init__(self, root: Json, text: str) -> None:
        self._root, self._text, self._lower = root, text, text.lower()

    def make(self, schema: Json, depth: int) -> Json:
        if depth > _DEEPEST:
            raise BadRequest("the schema has no instance that ends: it requires itself within itself.")
        if schema is True or schema == {}:
            return self._text
        if not isinstance(schema, dict):
            raise BadRequest("the schema allows no value at all.")
        schema = self._resolved(schema, depth)
        if unknown := [word for word in _UNKNOWN if word in schema]:
            raise BadRequest(f"a fake model cannot fit the schema keyword `{unknown[0]}`.", hint="use ScriptedProvider")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._member(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._one_of(schema, word, depth)
        return self._of_type(schema, depth)

    def _resolved(self, schema: dict[str, Json], depth: int) -> dict[str, Json]:
        """`schema` with its reference followed and its `allOf` merged in."""
        seen = 0
        while "$ref" in schema:
            seen += 1
            if seen > _DEEPEST:
                raise BadRequest(f"the schema's reference {schema['$ref']!r} leads back to itself.")
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            schema = {**self._target(schema["$ref"]), **rest}
        for part in schema.get("allOf", ()):
            schema = _merged(schema, self._resolved(part, depth + 1) if isinstance(part, dict) else {})
        return schema

    def _target(self, reference: Json) -> dict[str, Json]:
        found: Any = self._root
        for step in str(reference).removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        if not str(reference).startswith("#") or not isinstance(found, dict):
            raise BadRequest(f"the schema's reference {reference!r} leads nowhere.")
        return found

    def _member(self, members: list[Json]) -> Json:
        if not members:
            raise BadRequest("the schema allows no value at all: its enum is empty.")
        return next((m for m in members if isinstance(m, str) and self._says(m)), members[0])

    def _says(self, word: str) -> bool:
        return bool(word) and re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", self._lower) is not None

    def _one_of(self, schema: dict[str, Json], word: str, depth: int) -> Json:
        rest = {k: v for k, v in schema.items() if k != word}
        why: BadRequest | None = None
        for choice in schema[word]:
            try:
                return self.make(_merged(rest, choice) if isinstance(choice, dict) else choice, depth + 1)
            except BadRequest as error:
                why = error
        raise why or BadRequest(f"the schema allows no value at all: its {word} is empty.")

    def _of_type(self, schema: dict[str, Json], depth: int) -> Json:
        kind = schema.get("type") or _implied(schema)
        kind = kind[0] if isinstance(kind, list) and kind else kind
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return self._says("true") or self._says("yes")
            case "null":
                return None
        raise BadRequest(f"the schema has a type that is none: {kind!r}.")

    def _object(self, schema: dict[str, Json], depth: int) -> Json:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        made = {name: self.make(properties.get(name, others), depth + 1) for name in schema.get("required", ())}
        for name in (*properties, *(f"key_{n}" for n in range(schema.get("minProperties", 0)))):
            if len(made) >= schema.get("minProperties", 0):
                break
            made.setdefault(name, self.make(properties.get(name, others), depth + 1))
        return made

    def _array(self, schema: dict[str, Json], depth: int) -> Json:
        first, rest = schema.get("prefixItems", []), schema.get("items", True)
        size = schema.get("minItems", 0)
        made = [self.make(first[n] if n < len(first) else rest, depth + 1) for n in range(size)]
        return self._distinct(made, rest) if schema.get("uniqueItems") else made

    def _distinct(self, made: list[Json], items: Json) -> list[Json]:
        members = items.get("enum") if isinstance(items, dict) else None
        if members:
            return list(members[: len(made)])
        return [f"{m} {n}" if isinstance(m, str) else m + n if isinstance(m, int) else m for n, m in enumerate(made)]

    def _string(self, schema: dict[str, Json]) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if "pattern" in schema:
            return self._matching(schema["pattern"], least, most)
        text = _FORMATS.get(schema.get("format", ""), self._text)
        return text.ljust(least, ".") if len(text) < least else text[: int(min(most, len(text)))]

    def _matching(self, pattern: str, least: int, most: float) -> str:
        words = [self._text, *self._text.split(), *(c * max(1, least) for c in "a0A"), *_PATTERN_TRIES]
        for word in words:
            if least <= len(word) <= most and re.search(pattern, word):
                return word
        raise BadRequest(f"a fake model finds no text for the pattern {pattern!r}.", hint="use ScriptedProvider")


def _merged(a: dict[str, Json], b: dict[str, Json]) -> dict[str, Json]:
    both = {**a, **b}
    if "properties" in a and "properties" in b:
        both["properties"] = {**a["properties"], **b["properties"]}
    if "required" in a and "required" in b:
        both["required"] = [*a["required"], *(r for r in b["required"] if r not in a["required"])]
    both.pop("allOf", None)
    return both


def _implied(schema: dict[str, Json]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: dict[str, Json], *, whole: bool) -> int | float:
    """The number nearest to 0 in the range."""
    step = schema.get("multipleOf") or (1 if whole else None)
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    number: float = 0
    if max(low, above) > 0 or above == 0:
        number = _up(low, above, step, min(high, below))
    elif min(high, below) < 0 or below == 0:
        number = -_up(-high, -below, step, -max(low, above))
    if not (low <= number <= high and above < number < below):
        raise BadRequest("the schema allows no number: its range is empty.")
    return int(number) if whole else float(number)


def _up(low: float, above: float, step: float | None, end: float) -> float:
    """The least number >= `low` and > `above`; between bounds without a step, a point well inside."""
    if step is None:
        return low if low > above else (above + min(end, above + 1)) / 2
    start = max(low, above)
    number = math.ceil(start / step) * step
    return number + step if number <= above else number
