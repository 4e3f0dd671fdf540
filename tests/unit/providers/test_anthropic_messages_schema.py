"""Schemas in the subset that Anthropic's structured outputs take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orch_nb.providers.anthropic.request import format_schema


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        (obj(a={"type": "string", "minLength": 2, "pattern": "x"}), obj(a={"type": "string"})),
        (obj(a={"type": "number", "minimum": 0, "maximum": 1}), obj(a={"type": "number"})),
        (obj(a={"enum": ["x", "y"]}), obj(a={"enum": ["x", "y"]})),
        (obj(a={"type": "string", "format": "date"}), obj(a={"type": "string", "format": "date"})),
        (obj(a={"type": "string", "format": "odd"}), obj(a={"type": "string"})),
        (
            obj(a={"oneOf": [{"type": "string"}, {"type": "null"}]}),
            obj(a={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ),
        (
            obj(a={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3}),
            obj(a={"type": "array", "items": {"type": "string"}, "minItems": 1}),
        ),
        ({"type": "object", "properties": {"a": {"const": 1}}}, {**obj(a={"const": 1}), "required": None}),
        (
            {**obj(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"type": "string", "maxLength": 9}}},
            {**obj(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"type": "string"}}},
        ),
    ],
)
def test_what_fits_is_closed_and_without_bounds(schema: Any, made: Any) -> None:
    """Objects are closed, bounds are left out (the answer is validated here), and the schema given is not changed."""
    before = json.dumps(schema)
    made = {key: value for key, value in made.items() if value is not None}
    assert format_schema(schema) == made
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {**obj(a={"type": "string"}), "additionalProperties": {"type": "string"}},
        obj(a={}),
        obj(a=True),
        obj(a={"type": "array"}),
        obj(a={"enum": [{"x": 1}]}),
        obj(a={"$ref": "https://example.org/x"}),
        obj(a={"$ref": "#/$defs/none"}),
        {
            **obj(a={"$ref": "#/$defs/x"}),
            "$defs": {"x": obj(next={"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]})},
        },
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(25)}},
        obj(**{f"f{n}": {"type": ["string", "null"]} for n in range(17)}),
        {"type": "object", "properties": "x"},
        obj(a={"enum": 5}),
        obj(a={"anyOf": 5}),
        obj(a={"type": "string", "format": []}),
    ],
)
def test_what_does_not_fit(schema: Any) -> None:
    """Free keys, values of any kind, recursion, foreign references and too many optional or alternative fields do not."""
    assert format_schema(schema) is None


def test_a_bottomless_or_exploding_schema_does_not_fit() -> None:
    """Nesting without end, and references that double at each step, end the search instead of the process."""
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        deep = obj(a=deep)
    assert format_schema(deep) is None
    defs = {f"d{n}": obj(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(40)}
    defs["d40"] = {"type": "string"}
    assert format_schema({**obj(a={"$ref": "#/$defs/d0"}), "$defs": defs}) is None
