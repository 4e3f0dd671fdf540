"""The smallest value that fits a schema."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.errors import BadRequest
from orch_nb.providers.fakes import instance

jsonschema = pytest.importorskip("jsonschema", reason="comes with JupyterLab")

TREE = {
    "$defs": {"node": {"type": "object", "required": ["name", "kids"], "properties": {
        "name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}},
    "$ref": "#/$defs/node",
}  # fmt: skip

SCHEMAS: list[Any] = [
    True,
    {},
    {"type": "string"},
    {"type": "string", "minLength": 40},
    {"type": "string", "maxLength": 3},
    {"type": "string", "minLength": 2, "maxLength": 2},
    {"type": "string", "pattern": "^[A-Z]{3}$"},
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "email"},
    {"type": "integer"},
    {"type": "integer", "minimum": 3},
    {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5},
    {"type": "integer", "maximum": -2},
    {"type": "integer", "exclusiveMaximum": 0},
    {"type": "integer", "minimum": -5, "maximum": 5},
    {"type": "number"},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "exclusiveMinimum": 0.25, "maximum": 0.5},
    {"type": "number", "exclusiveMaximum": -1},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"minimum": 7},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["integer", "null"]},
    {"const": {"a": [1]}},
    {"enum": ["billing", "technical"]},
    {"enum": [3, None]},
    {"type": "array"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 3, "items": {"type": "null"}},
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"],
     "additionalProperties": False},
    {"type": "object", "required": ["x"]},
    {"type": "object", "minProperties": 2},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 2},
    {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
    {"anyOf": [{"type": "string", "pattern": "^q{99}$"}, {"type": "integer"}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "anyOf": [
        {"properties": {"b": {"type": "string"}}, "required": ["b"]}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
               {"properties": {"b": {"type": "string"}}, "required": ["b"]}]},
    TREE,
    {"$defs": {"a/b": {"type": "integer"}}, "$ref": "#/$defs/a~1b"},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_what_is_made_fits(schema: Any) -> None:
    """An independent validator accepts the value, whatever the prompt."""
    for text in ("", "the card is technical, yes", "x" * 100):
        jsonschema.Draft202012Validator(schema).validate(instance(schema, text))


def test_the_prompt_steers_it() -> None:
    """An enum takes the member that the prompt names as a word, a string the prompt, a truth value its yes."""
    schema = {"enum": ["card", "sales", "technical"]}
    assert instance(schema, "A TECHNICAL question about cardboard") == "technical"
    assert instance(schema, "nothing known") == "card"
    assert instance({"type": "string"}, "hello") == "hello"
    assert instance({"type": "boolean"}, "yes please") is True
    assert instance({"type": "boolean"}, "eyes") is False


LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
ENDLESS = {
    "$defs": {"a": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/a"}}}},
    "$ref": "#/$defs/a",
}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (False, "no value at all"),
        ({"enum": []}, "enum is empty"),
        ({"anyOf": []}, "anyOf is empty"),
        ({"not": {}}, "keyword `not`"),
        ({"type": "string", "pattern": "^q{99}$"}, "finds no text for the pattern"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "range is empty"),
        ({"type": "thing"}, "type that is none: 'thing'"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "https://example.org/schema"}, "leads nowhere"),
        (LOOP, "leads back to itself"),
        (ENDLESS, "requires itself within itself"),
    ],
)
def test_what_cannot_be_made_says_so(schema: Any, why: str) -> None:
    """A schema that is not understood, or has no finite value, is a typed error that names the reason."""
    with pytest.raises(BadRequest, match=why):
        instance(schema, "x")
