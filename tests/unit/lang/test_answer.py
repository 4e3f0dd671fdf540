"""Answers: what a model's text says, and every way in which it does not fit."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pydantic
import pytest

from orch_nb.lang.answer import fit_answer
from orch_nb.lang.out_type import OutType
from tests.counting import calls_of

REPLY = OutType.parse("{category: billing | technical, confidence: float, n?: int | null}")
GOOD = {"category": "billing", "confidence": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        '{"category": "billing", "confidence": 1}',
        '\ufeff  {"category": "billing", "confidence": 1.0}\n',
        '```json\n{"category": "billing", "confidence": 1}\n```',
        '```\n{"category": "billing", "confidence": 1}\n```',
        'Sure!\n\n```json\n{"category": "billing", "confidence": 1}\n```\nAnything else?',
    ],
)
def test_json_is_read_bare_or_in_one_fence(text: str) -> None:
    """JSON alone, or in one fence among prose, is the answer; a whole number is a float where one is due."""
    value, problems = REPLY.validate(text)
    assert (value, problems) == (GOOD, [])
    assert isinstance(value["confidence"], float)


def test_values_are_checked_like_texts() -> None:
    """A value that is data already is checked by the same rules."""
    assert REPLY.validate({"category": "billing", "confidence": 1, "n": 3.0}) == ({**GOOD, "n": 3}, [])
    assert REPLY.validate({1: "x"})[1] == ["the keys of a mapping must be text"]
    assert REPLY.validate(object())[1] == ["the answer must be plain data, got object"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the answer is empty; JSON was expected"),
        ("billing, I think", "the answer must be JSON (Expecting value at character 1), got: billing, I think"),
        ('{"category": "billing"}', "`confidence` is missing"),
        ('{"category": "other", "confidence": 1}', '`category` must be one of "billing", "technical", got "other"'),
        ('{"category": "billing", "confidence": "high"}', '`confidence` must be a number, got "high"'),
        ('{"category": "billing", "confidence": true}', "`confidence` must be a number, got true"),
        ('{"category": "billing", "confidence": 1, "n": "x"}', '`n` must be a whole number or null, got "x"'),
        ('{"category": "billing", "confidence": 1, "n": 1.5}', "`n` must be a whole number or null, got 1.5"),
        ('{"category": "billing", "confidence": 1, "z": 1}', "`z` is not a field; the fields are category, confidence, n"),
        ('[{"category": "billing", "confidence": 1}]', "the answer must be a mapping, got a list of 1"),
        ('{"category": "billing", "confidence": NaN}', "JSON has no number NaN"),
        ('{"category": "billing", "confidence": -Infinity}', "JSON has no number -Infinity"),
        ('{"category": "billing", "confidence": 1e999}', "the number 1e999 is too large"),
        ('{"category": "billing", "confidence": ' + "9" * 5_000 + "}", "a number of 5000 digits is too large"),
        ('{"category": "billing", "confidence": ' + "9" * 390 + "}", "`confidence` must be a smaller number: it is too large for a float"),
        ('{"category": "billing", "category": "technical", "confidence": 1}', "the key 'category' occurs twice"),
        ('{"category": "bill\\ud800", "confidence": 1}', "an unpaired surrogate"),
        ("```json\n{}\n```\n```json\n{}\n```", "the answer must be JSON"),
    ],
)  # fmt: skip
def test_every_problem_is_said(text: str, problem: str) -> None:
    """Each misfit is one line that names the path, the value and what was wanted."""
    _, problems = REPLY.validate(text)
    assert len(problems) == 1
    assert problem in problems[0]


def test_problems_have_paths_and_are_counted() -> None:
    """Paths go through mappings and lists; at most twenty problems are listed."""
    out = OutType.parse("{tasks: [{title: str(3), tags: [str]}]}")
    _, problems = out.validate('{"tasks": [{"title": "abc", "tags": []}, {"title": "abcd", "tags": [1]}]}')
    assert problems == [
        "`tasks[1].title` must have at most 3 characters, got 4",
        "`tasks[1].tags[0]` must be text, got 1",
    ]
    assert len(OutType.parse("[str]").validate([1] * 500)[1]) == 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        (' "no" ', "no"),
        ("```\nyes\n```", "yes"),
        ("maybe", None),
        ("12", None),
        ("null", None),
        ("", None),
    ],
)
def test_a_label_needs_no_quotes(text: str, value: str | None) -> None:
    """An answer that is a text may come without quotes."""
    got, problems = OutType.parse("yes | no").validate(text)
    assert (got if not problems else None) == value


def test_a_text_is_any_text() -> None:
    """`str` takes any text: numbers, words and prose with a fence stay text; quotes come off."""
    out = OutType.parse("str")
    prose = "Look:\n```json\n{}\n```\nDone."
    for text, value in (
        ("12", "12"),
        ("null", "null"),
        ('"a"', "a"),
        (prose, prose),
        ("{", "{"),
        ('say "x"', 'say "x"'),
    ):
        assert out.validate(text) == (value, [])
    assert OutType.parse("str | null").validate("null") == (None, [])


def test_alternatives() -> None:
    """The first alternative that fits is taken; the problems are those of the only one of its type."""
    out = OutType.parse("{a: int | [str] | {b: int}}")
    assert out.validate({"a": 3})[0] == {"a": 3}
    assert out.validate({"a": ["x"]})[1] == []
    assert out.validate({"a": [1]})[1] == ["`a[0]` must be text, got 1"]
    assert out.validate({"a": {"b": "x"}})[1] == ['`a.b` must be a whole number, got "x"']
    assert OutType.parse("{a: int | {b: x | y}}").validate({"a": {"b": 3}})[1] == [
        '`a.b` must be one of "x", "y", got 3'
    ]
    assert out.validate({"a": None})[1] == ["`a` must be a whole number or a list or a mapping, got null"]


def test_alternatives_are_named_by_what_they_want() -> None:
    """Choices and constants among the alternatives are listed."""
    schema = {"anyOf": [{"enum": ["a", "b"]}, {"const": 3}, {"type": "null"}, {"not": {}}]}
    assert fit_answer("c", {"type": "array", "items": schema}) == (
        None,
        ["the answer must be JSON (Expecting value at character 1), got: c"],
    )
    assert fit_answer(["c"], {"type": "array", "items": {"anyOf": schema["anyOf"][:3]}})[1] == [
        '`[0]` must be one of "a", "b" or 3 or null, got "c"'
    ]


def test_a_long_list_of_labels_is_shown_short() -> None:
    """Of 77 labels twenty are named, and how many there are."""
    out = OutType.parse(" | ".join(f"label_{i}" for i in range(77)))
    assert out.validate("zzz")[1][0].endswith('"label_19", … (77 in all), got "zzz"')


def test_bounds_of_json_schema() -> None:
    """Minimum, maximum, lengths, counts, const, allOf and typed extra keys are checked."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "s": {"type": "string", "minLength": 2},
            "l": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, "c": {"const": "x"},
            "b": {"allOf": [{"type": "integer"}, {"maximum": 5}]}, "m": {"type": "object", "additionalProperties": {"type": "integer"}},
            "o": {"type": ["integer", "null"]}, "e": {"enum": [1, "a", None]},
        },
    }  # fmt: skip
    out = OutType.parse(schema)
    good = {"n": 0.5, "s": "ab", "l": [1], "c": "x", "b": 5, "m": {"k": 1}, "o": None, "e": None}
    assert out.validate(good) == (good, [])
    bad = {"n": 1, "s": "a", "l": [1, 2, 3], "c": "y", "b": 6, "m": {"k": "x"}, "o": "x", "e": True}
    assert out.validate(bad)[1] == [
        "`n` must be less than 1, got 1", "`s` must have at least 2 characters, got 1", "`l` must have at most 2 items, got 3",
        '`c` must be "x", got "y"', "`b` must be at most 5, got 6", '`m.k` must be a whole number, got "x"',
        '`o` must be a whole number or null, got "x"', '`e` must be one of 1, "a", null, got true',
    ]  # fmt: skip


def test_a_class_has_the_last_word() -> None:
    """A pydantic class validates after the schema, at any place; its values come back as plain data."""

    class Ticket(pydantic.BaseModel):
        id: int = pydantic.Field(alias="ticketId")
        code: str = pydantic.Field(pattern="^[a-z]+$")
        tags: tuple[str, ...] = ()

        @pydantic.field_validator("id")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("must be even")
            return value

    whole = OutType.parse(Ticket)
    assert whole.validate('{"ticketId": 2, "code": "a"}') == ({"ticketId": 2, "code": "a", "tags": []}, [])
    assert whole.validate('{"ticketId": 2, "code": "A"}')[1][0].startswith("`code` is refused by `Ticket`")
    assert "must be even" in whole.validate('{"ticketId": 3, "code": "a"}')[1][0]
    assert whole.validate('{"ticketId": 2, "code": "a", "x": 1}')[1] == [
        "`x` is not a field; the fields are ticketId, code, tags"
    ]
    inside = OutType.parse({"list": [Ticket]})
    assert inside.validate({"list": [{"ticketId": 2, "code": "a"}]})[0]["list"][0]["tags"] == []
    assert inside.validate({"list": [{"ticketId": 3, "code": "a"}]})[1][0].startswith("`list[0].ticketId` is refused")
    assert OutType.parse({"t": Ticket, "n": int.__name__}).validate({"t": {"ticketId": "2", "code": "a"}, "n": 1})[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 100_000, "nested deeper than 64"), ("[" * 65 + "]" * 65, "nested deeper than 64"),
     ('"' + "x" * 1_000_001 + '"', "1,000,003 characters"), ("[" + "1," * 200_000 + "1]", "more than 200,000 values")],
)  # fmt: skip
def test_size_and_depth_are_bounded(text: str, said: str) -> None:
    """Deep and large answers are problems, found at once and without recursion."""
    out, problems = OutType.parse("[int]"), []
    assert calls_of(lambda: problems.extend(out.validate(text)[1])) < 2_000_000
    assert said in problems[0]


def test_a_schema_in_circles_ends() -> None:
    """References to themselves and alternatives in alternatives end with a problem, not with the interpreter."""
    circle: dict[str, Any] = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert "without end" in fit_answer([1], circle)[1][0]
    arms = {"type": "array", "items": {"$ref": "#/$defs/A"}}
    twins = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [arms, arms, {"type": "integer"}]}}}
    value, problems = "x", []
    for _ in range(30):
        value = [value]
    assert (
        calls_of(lambda: problems.extend(fit_answer(value, twins)[1])) < 12_000_000
    )  # the work that is allowed, spent
    assert problems
    tree = {
        "$ref": "#/$defs/T",
        "$defs": {"T": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}}}},
    }
    assert fit_answer({"kids": [{"kids": []}]}, tree) == ({"kids": [{"kids": []}]}, [])


def test_numbers_of_the_corpus() -> None:
    """Every odd number is a problem or a finite number of the wanted type."""
    odd = [
        0,
        -1,
        -0.0,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e-320,
        10**30,
        2**63,
        -(2**63) - 1,
        0.1 + 0.2,
        True,
        "1",
        "1e5",
        None,
        [],
        {},
    ]
    for value in odd:
        got, problems = OutType.parse("float").validate(value if not isinstance(value, str) else f'"{value}"')
        assert problems or (isinstance(got, float) and got == float(value))


def test_what_jsonschema_could_be_led_to_is_never_done() -> None:
    """Another dialect, an address and a regular expression in a schema have no effect; a type that JSON lacks fits nothing."""
    hostile: dict[str, Any] = {
        "type": "array",
        "items": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": "http://127.0.0.1:9/x",
            "pattern": "(a+)+$",
        },
    }
    assert fit_answer(["a" * 40 + "b"], hostile) == (["a" * 40 + "b"], [])
    assert fit_answer([1], {"items": {"type": "odd"}})[1] == ["`[0]` must be odd, got 1"]
    assert fit_answer({"$schema": 3}, {"properties": {"$schema": {"type": "string"}}})[1] == [
        "`$schema` must be text, got 3"
    ]


def test_jsonschema_is_loaded_late_and_keeps_its_formats() -> None:
    """The package and its magics do without jsonschema; its check of IRIs, whose grammar is slow to load, works on first use."""
    code = """
import sys
import orch_nb.lang.out_type
assert not {"jsonschema", "rfc3987_syntax"} & set(sys.modules)
import orch_nb.lang.json_schema
assert "rfc3987_syntax" not in sys.modules
import jsonschema
checks = jsonschema.FormatChecker()
if "iri" in checks.checkers:
    assert checks.conforms("http://example.org/\u00e9", "iri") and not checks.conforms("no iri", "iri")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""
