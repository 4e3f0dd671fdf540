"""Conditions are held against declared types before anything is paid."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.lang.condition import Predicate, field_schema
from orch_nb.lang.out_type import OutType

TYPE = OutType.parse(
    "{score: float, ok: bool, label: billing | sales, note?: str, due: str | null, tags: [str], in: {n: int}, level: 1 | 2}"
)


def problems(text: str, schema: dict[str, Any] | None = None) -> list[str]:
    """Return the problems of a condition when `qa` has the type above."""
    return Predicate.parse(text).check(
        lambda path: (TYPE.schema if schema is None else schema) if path[0] == "qa" else None
    )


@pytest.mark.parametrize(
    "text",
    ["qa.score < 0.6", "qa.ok", "not qa.ok and qa.label == 'billing'", "qa.label in ['billing', 'sales']", "qa.due == null",
     "qa.due == 'x'", "qa.in.n > 2", "qa.note? != 'x'", "qa.level in [1, 2]", "ticket > 3", "qa.score < ticket",
     "qa.label != null", "qa.tags == qa.tags", "qa.label < 'm'"],
)  # fmt: skip
def test_what_fits_is_silent(text: str) -> None:
    """Conditions that can hold, or on which nothing is known, have no problems."""
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qa.scroe < 0.6", "did you mean `score`?"),
        ("qa.zzzz < 0.6", "known: score, ok"),
        ("qa.score.x < 0.6", "it is a number, which has no fields"),
        ("qa.in.m < 1", "known: n"),
        ("qa.score < 'x'", "they cannot be compared"),
        ("'x' == qa.score", "they cannot be compared"),
        ("qa.ok == 1", "they cannot be compared"),
        ("qa.label == 'biling'", "did you mean `billing`?"),
        ("qa.label != 'zzz'", "it is one of billing, sales"),
        ("qa.label in ['sales', 'other']", "is never 'other'"),
        ("qa.label in [1]", "the list holds a number"),
        ("qa.level == 3", "is never 3"),
        ("qa.label", "not true or false"),
        ("qa.ok < qa.ok", "has no order"),
        ("qa.tags == 'a'", "a list"),
        ("qa < 3", "a mapping"),
        ("qa.score < 1 and (qa.ok or qa.label == 3)", "they cannot be compared"),
    ],
)
def test_what_cannot_hold_is_said(text: str, said: str) -> None:
    """Unknown fields, impossible comparisons and values outside a choice are named with the nearest."""
    found = problems(text)
    assert len(found) == 1
    assert said in found[0]


def test_references_of_a_pydantic_schema_are_followed() -> None:
    """`$ref` into `$defs` is followed, also in circles."""
    schema = {
        "type": "object",
        "properties": {"inner": {"$ref": "#/$defs/In"}},
        "$defs": {"In": {"type": "object", "properties": {"n": {"type": "integer"}, "again": {"$ref": "#/$defs/In"}}},
                  "Loop": {"$ref": "#/$defs/Loop"}},
    }  # fmt: skip
    assert problems("qa.inner.again.again.n > 3", schema) == []
    assert "did you mean `n`" in problems("qa.inner.nn > 3", schema)[0]
    assert problems("qa.inner.n > 'x'", schema) != []
    assert problems("qa > 3", {"$ref": "#/$defs/Loop", "$defs": schema["$defs"]}) == []


def test_open_mappings_and_unions_are_not_judged() -> None:
    """Without a known type, or with keys to come, nothing is a problem."""
    assert problems("qa.x > 3", {"type": "object"}) == []
    assert problems("qa.x > 3", {"type": "object", "properties": {}, "additionalProperties": True}) == []
    assert problems("qa.x > 3", {}) == []
    union = {
        "anyOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            {"type": "object", "properties": {"a": {"type": "string"}}},
        ]
    }
    assert problems("qa.a > 3", union) == []
    assert problems("qa.a > 'x'", union) == []
    assert problems("qa.b > 3", union) != []


def test_constants_of_a_schema_are_known() -> None:
    """`const` is a choice of one."""
    schema = {"type": "object", "properties": {"kind": {"anyOf": [{"const": "a"}, {"const": "b"}]}}}
    assert problems("qa.kind == 'a'", schema) == []
    assert "is never 'c'" in problems("qa.kind == 'c'", schema)[0]
    assert problems("'a' in ['a'] and 1 < 2") == []


def test_field_schema_names_the_step_that_fails() -> None:
    """The problem names the path up to the missing field."""
    assert field_schema(TYPE.schema, ("in", "n")) == ({"type": "integer"}, "")
    assert field_schema(TYPE.schema, ("in", "m"))[1].startswith("`in.m`")
