"""The type of an answer: what each form means, how it is written, and what is refused."""

from __future__ import annotations

import json
from typing import Any, Literal

import pydantic
import pytest

from orch_nb.errors import BadType
from orch_nb.lang.out_type import OutType
from orch_nb.schema.yaml import load_yaml


class Ticket(pydantic.BaseModel):
    """A class of the notebook."""

    id: int
    name: str = pydantic.Field(max_length=5, pattern="^[a-z]+$")
    kind: Literal["a", "b"] = "a"


class Bag(pydantic.BaseModel):
    """A class that holds another."""

    tickets: list[Ticket]


NAMESPACE = {"Ticket": Ticket, "Bag": Bag, "number": 3}


def of_cell(text: str) -> OutType:
    """The type after `out:` in front matter."""
    return OutType.parse(load_yaml(f"out: {text}")["out"], NAMESPACE)


def mapping(**fields: Any) -> dict[str, Any]:
    """The schema of required fields."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("str", {"type": "string"}), ("int", {"type": "integer"}), ("float", {"type": "number"}), ("bool", {"type": "boolean"}),
        ("a | b", {"type": "string", "enum": ["a", "b"]}),
        ("1 | 2 | -3", {"type": "integer", "enum": [1, 2, -3]}),
        ("int | str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("str | null", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("a | b | null", {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}),
        ("needs review | card-arrival | a/b", {"type": "string", "enum": ["needs review", "card-arrival", "a/b"]}),
        ("[str]", {"type": "array", "items": {"type": "string"}}),
        ("[a | b]", {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        ('"[int](5)"', {"type": "array", "items": {"type": "integer"}, "maxItems": 5}),
        ("str(80)", {"type": "string", "maxLength": 80}),
        ("{category: billing | technical, confidence: float}",
         mapping(category={"type": "string", "enum": ["billing", "technical"]}, confidence={"type": "number"})),
        ("{a: {b: [{c: int}]}}", mapping(a=mapping(b={"type": "array", "items": mapping(c={"type": "integer"})}))),
        ("{a: null}", mapping(a={"type": "null"})),
        ("{type: str, class: int}", mapping(type={"type": "string"}, **{"class": {"type": "integer"}})),
        ("'\"one\"'", {"type": "string", "enum": ["one"]}),
        ("'\"str\" | \"int\"'", {"type": "string", "enum": ["str", "int"]}),
        ("'\"x\" | int'", {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "integer"}]}),
    ],
)  # fmt: skip
def test_the_language(text: str, schema: dict[str, Any]) -> None:
    """Each form of the language is the JSON Schema that it says, and its text is read back."""
    out = of_cell(text)
    assert out.schema == schema
    assert OutType.parse(out.to_text()).schema == schema


def test_text_and_yaml_say_the_same() -> None:
    """`--out "{…}"` on the line is the same type as the mapping in front matter."""
    text = "{category: billing | technical, tags: [str], note?: str | null, inner: {n: int}}"
    assert OutType.parse(text) == of_cell(text)
    assert OutType.parse(text).to_text() == text


def test_an_optional_field_is_not_required() -> None:
    """`note?` may be left out; `| null` must be there."""
    schema = of_cell("{a: str, note?: str, due: str | null}").schema
    assert schema["required"] == ["a", "due"]
    assert list(schema["properties"]) == ["a", "note", "due"]


def test_lengths_are_bounded_only_where_asked() -> None:
    """No maxLength or maxItems unless they are written."""
    assert "max" not in json.dumps(of_cell("{a: str, b: [str]}").schema)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("flaot", "`flaot` is not a type", "`float`"), ("string", "`string` is not a type", "`str`"), ("Integer", "is not a type", "`int`"),
        ("any", "is not a type", "`str`"), ("{a: nul}", "`nul` is not a type", "`null`"), ("Tikcet", "is not a type", "`Ticket`"),
        ("billing", "`billing` is not a type", "'\"billing\"'"), ("flaot | null", "`flaot` is not a type", "`float`"),
        ("billing | str", "mixes types and labels", "quoted"), ("strr | int", "`strr` is not a type", "`str`"),
        ("a | a", "twice", ""), ("str | str", "one type twice", ""), ("true | false", "cannot be labels", "`bool`"),
        ("{a: true}", "`True` is not a type", "`bool`"), ("{a: 3}", "`3` is not a type", "`int`"), ("{a: [str, int]}", "one type in its brackets", "[str | int]"),
        ("[]", "one type in its brackets, got 0", ""), ("{}", "0 fields", ""), ("", "`out` is empty", "{answer: str}"),
        ("{1a: str}", "`1a` cannot name a field", ""), ("{my-field: str}", "cannot name a field", ""),
        ("{__class__: str}", "two underscores", ""), ("{a?: str, a: int}", "twice in one mapping", ""),
        ("str | ", "the type ends too early: a type is missing", ""), ("'[str'", "`]` is missing", ""), ("'{a str}'", "`:` is missing", ""), ("str(x)", "whole number", ""),
        ("str str", "`str str` is not a type", ""), ("'{a: str'", "`,` is missing", ""), ("number", "is not a type", "`float`"),
        ("'\"\"'", "0 characters", ""), ("'\"\\q\" | a'", "invalid escape", "JSON"), ("'{a: str,} x'", "already complete", ""), ("'a | b, c'", "already complete", ""), ('"\\"x\\uD800\\""', "unpaired surrogate", ""),
    ],
)  # fmt: skip
def test_what_is_not_a_type_is_refused(text: str, said: str, hint: str) -> None:
    """A misspelt type names the nearest; other nonsense says what is wrong."""
    with pytest.raises(BadType) as caught:
        if "uD800" in text:
            OutType.parse('"x\\ud800"')
        of_cell(text)
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_an_error_shows_the_line_of_the_cell() -> None:
    """With line and source, the error points into the cell."""
    with pytest.raises(BadType, match="line 2") as caught:
        OutType.parse("flaot", {}, line=2, source="---\nout: flaot\n---\n")
    assert "out: flaot" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" * 40 + "str" + "]" * 40, "{a: " * 40 + "str" + "}" * 40, "(" * 1_000, "a" * 20_001]
)
def test_depth_and_size_are_bounded(text: str) -> None:
    """Deep and long texts are typed errors."""
    with pytest.raises(BadType):
        OutType.parse(text)


def test_many_labels_are_fine_and_too_many_are_not() -> None:
    """The 77 labels of a real task are a type; 1,001 are refused."""
    labels = [f"label_{i}" for i in range(77)]
    assert OutType.parse(" | ".join(labels)).schema["enum"] == labels
    with pytest.raises(BadType, match="1,001 labels"):
        OutType.parse(" | ".join(f"l{i}" for i in range(1_001)))


# ------------------------------------------------------------------ classes and JSON Schemas
def test_a_pydantic_class_by_name_or_itself() -> None:
    """A class of the namespace is a type; its text is its name, and its schema is closed."""
    for value in (Ticket, "Ticket"):
        out = OutType.parse(value, NAMESPACE)
        assert out.to_text() == "Ticket"
        assert out.schema["additionalProperties"] is False
        assert out.classes == {"": Ticket}


def test_classes_inside_the_language() -> None:
    """`[Ticket]` and `{bag: Bag}` refer to the classes, and their inner classes come along once."""
    out = of_cell("{bag: Bag, more?: [Ticket]}")
    assert set(out.schema["$defs"]) == {"Bag", "Ticket"}
    assert out.schema["properties"]["more"] == {"type": "array", "items": {"$ref": "#/$defs/Ticket"}}
    assert OutType.parse(out.to_text(), NAMESPACE) == out
    assert out.to_text() == "{bag: Bag, more?: [Ticket]}"


def test_two_classes_of_one_name_are_refused() -> None:
    """A name in `$defs` means one class."""
    other = pydantic.create_model("Ticket", x=(int, ...))
    with pytest.raises(BadType, match="two classes are called `Ticket`"):
        OutType.parse({"a": Ticket, "b": other})


class Tree(pydantic.BaseModel):
    """A class that holds itself."""

    name: str
    kids: list[Tree] = []


def test_a_class_that_holds_itself() -> None:
    """A recursive class is a type, alone and inside the language."""
    for out in (OutType.parse(Tree), OutType.parse({"tree": Tree})):
        inner = {"name": "a", "kids": [{"name": "b", "kids": []}]}
        value = inner if out.to_text() == "Tree" else {"tree": inner}
        assert out.validate(value) == (value, [])
        wrong = {"name": "a", "kids": [{"name": 3, "kids": []}]}
        assert out.validate(wrong if out.to_text() == "Tree" else {"tree": wrong})[1]


def test_inner_classes_of_one_name_are_refused() -> None:
    """Two different inner classes of one name cannot be in one type."""
    other = pydantic.create_model("Ticket", x=(int, ...))
    holder = pydantic.create_model("Holder", ticket=(other, ...))
    with pytest.raises(BadType, match="two classes are called `Ticket`"):
        OutType.parse({"a": Bag, "b": holder})


def test_what_is_not_a_pydantic_class_is_not_a_type() -> None:
    """Other objects of the namespace cannot be named as a type."""
    for name in ("number", "Exception", "print"):
        with pytest.raises(BadType, match="is not a type"):
            OutType.parse(name, {**NAMESPACE, "Exception": Exception, "print": print})


def test_a_class_without_a_schema_is_refused() -> None:
    """A class that pydantic cannot describe is a typed error."""

    class Odd(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        thing: object = None
        call: type(lambda: 0)  # type: ignore[valid-type]

    with pytest.raises(BadType, match="`Odd` has no JSON Schema"):
        OutType.parse(Odd)


def test_json_schemas_are_taken_and_closed() -> None:
    """A JSON Schema (data or text) is taken as it is, closed to extra keys unless it is open on purpose."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}
    for value in (schema, json.dumps(schema)):
        out = OutType.parse(value)
        assert out.schema == {**schema, "additionalProperties": False}
        assert OutType.parse(out.to_text()) == out
    assert OutType.parse({**schema, "additionalProperties": True}).schema["additionalProperties"] is True
    assert OutType.parse({"enum": ["a", "b"]}).schema == {"enum": ["a", "b"]}
    assert OutType.parse({"anyOf": [{"type": "string"}, {"type": "null"}]}).schema["anyOf"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}},
            "`properties.a.pattern` of a JSON Schema is not checked",
        ),
        ({"type": "object", "propertys": {}}, "`propertys`"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, '`properties.a.type` must be one of "array"'),
        ({"type": "object", "properties": {"a": {"type": [{}]}}}, "`properties.a.type[0]` must be one of"),
        (
            {"type": "array", "items": [{"type": "string"}]},
            "`items` must be a mapping or true or false, got a list of 1",
        ),
        ({"type": "object", "properties": []}, "`properties` must be a mapping, got a list of 0"),
        ({"type": "array", "items": {"$ref": "#/$defs/X"}}, '`items.$ref` must be one of "#/$defs/NAME"'),
        ({"$ref": "http://127.0.0.1/x"}, '`$ref` must be one of "#/$defs/NAME"'),
        ({"type": "string", "maxLength": -1}, "`maxLength` must be at least 0, got -1"),
        ({"type": "number", "minimum": float("nan")}, "must be finite, got nan"),
        ({"type": "object", "required": [1]}, "`required[0]` must be text, got 1"),
        ({"type": "string", "enum": []}, "`enum` must have at least 1 items, got 0"),
        ({"type": "string", "default": object()}, "the JSON Schema must be plain data, got object"),
        ({"type": "object", "anyOf": {}}, "`anyOf` must be a list, got a mapping of 0"),
    ],
)
def test_what_would_not_be_checked_is_refused(schema: dict[str, Any], said: str) -> None:
    """A word of JSON Schema that is not checked here is an error, never silently passed over."""
    with pytest.raises(BadType) as caught:
        OutType.parse(schema)
    assert said in str(caught.value)


def test_a_deep_json_schema_is_refused() -> None:
    """A schema of thousands of levels is a typed error, not a RecursionError."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadType, match="nested deeper than 32"):
        OutType.parse(schema)


def test_a_schema_that_others_made_is_taken_as_it_is() -> None:
    """A stored or a tool's schema may hold words that its maker checks."""
    out = OutType(Ticket.model_json_schema(), "")
    assert out.validate('{"id": 1, "name": "ABC"}')[1] == []


def test_describe_is_short() -> None:
    """`describe` is one line of at most 120 characters."""
    assert of_cell("{a: str}").describe() == "{a: str}"
    long = OutType.parse(" | ".join(f"label_{i}" for i in range(77))).describe()
    assert len(long) == 120
    assert long.endswith("…")


def test_a_class_of_python_gets_the_text_that_says_it():
    """`out=int` is an error whose hint is the type as it is written; the values of an `Enum` are labels, and both are read."""
    import enum

    class Team(enum.Enum):
        BILLING = "billing"
        TECHNICAL = "technical"

    for given, written in ((int, "int"), (dict, "{field: str}"), (list, "[str]"), (Team, '"billing" | "technical"')):
        with pytest.raises(BadType, match="a type is written as text, got the class") as caught:
            OutType.parse({"a": given})
        assert caught.value.hint == f"write {written!r}"
        assert OutType.parse(written).schema
