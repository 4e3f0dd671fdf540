"""The type of an agent's answer: the value of ``out:``.

::

    out: {category: billing | technical | "needs review", confidence: float}
    out: {tasks: [{title: str(80), note?: str, due: str | null}], level: 1 | 2 | 3}
    out: Ticket                      # a pydantic class of the notebook
    out: {type: object, …}           # a JSON Schema

``str int float bool null`` are types; ``str(80)`` has at most 80 characters and ``"[str](5)"`` at most 5 items. Two or more
words that do not name types are a choice of labels; one alone is taken for a misspelt type unless it is quoted. A ``?``
after a field means that it may be left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeGuard

from orch_nb.errors import BadType, nearest
from orch_nb.lang.answer import Unreadable, as_dict, as_list, check_size, fit_answer
from orch_nb.lang.tokens import Cursor, Place, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from orch_nb.schema.values import Json, JsonObject

MAX_TYPE_CHARS = 20_000
MAX_DEPTH = 16
MAX_LABELS = 1_000
MAX_LABEL = 200
MAX_FIELDS = 200
MAX_NODES = 5_000
MAX_SCHEMA_VALUES = 20_000
MAX_DESCRIPTION = 120

TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null"}
_NAMES = {json_type: word for word, json_type in TYPES.items()}
_MEANT = {
    "string": "str", "text": "str", "integer": "int", "number": "float", "double": "float", "boolean": "bool", "none": "null",
    "list": "[str]", "array": "[str]", "dict": "{field: str}", "object": "{field: str}", "any": "str",
}  # fmt: skip
_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_SCHEMA: Json = {"$ref": "#/$defs/schema"}
_ONE_TYPE: Json = {"enum": [*sorted(_JSON_TYPES)]}
_KEYWORDS: dict[str, Json] = {
    "type": {"anyOf": [_ONE_TYPE, {"type": "array", "items": _ONE_TYPE}]},
    "enum": {"type": "array", "minItems": 1},
    "const": {},
    "required": {"type": "array", "items": {"type": "string"}},
    "$ref": {"type": "string"},
    **{key: {"type": "object", "additionalProperties": _SCHEMA} for key in ("properties", "$defs")},
    **dict.fromkeys(("items", "additionalProperties"), _SCHEMA),
    **{key: {"type": "array", "items": _SCHEMA} for key in ("anyOf", "oneOf", "allOf")},
    **{key: {"type": "number"} for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
    **{key: {"type": "integer", "minimum": 0} for key in ("minLength", "maxLength", "minItems", "maxItems")},
}
"""Keyword of JSON Schema that is checked -> the schema of its value."""
CHECKED = frozenset(_KEYWORDS)
NOTES = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly",
     "discriminator"}
)  # fmt: skip
MARKS = "{}[]()|,:?"
"""Characters that have a meaning between the words of a type."""
_TOKEN = re.compile(
    rf"""(?P<space>\s+)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>[{re.escape(MARKS)}])|(?P<word>[^\s{re.escape(MARKS)}"]+)|(?P<odd>.)""",
    re.DOTALL,
)
_PLAIN_LABEL = re.compile(r"[^\W\d][\w./+-]*(?: [\w./+-]+)*")


@dataclass(slots=True, frozen=True)
class OutType:
    """A checked type of an answer.

    Parameters
    ----------
    schema
        Its JSON Schema: `additionalProperties` is false and `required` complete unless it says otherwise.
    text
        The type as it is written in a cell.
    classes
        Name in ``$defs`` ("" for the whole) -> pydantic class.
    """

    schema: JsonObject
    text: str
    classes: Mapping[str, type] = field(default_factory=dict)

    @classmethod
    def parse(
        cls, value: object, namespace: Mapping[str, object] | None = None, *, line: int = 0, source: str = ""
    ) -> OutType:
        """Read a type.

        Parameters
        ----------
        value
            Text of the type language or of a JSON Schema, data from YAML, a JSON Schema as a dict, or a pydantic class.
        namespace
            Names of pydantic classes.
        line, source
            Its place in the cell, for errors.

        Raises
        ------
        BadType
            The type cannot be read; the nearest type is named.
        """
        import orch_nb.lang.json_schema  # noqa: F401  jsonschema is loaded here and not during the first run

        try:
            return _parse(value, namespace or {})
        except BadType as error:
            if not line or error.line:
                raise
            raise BadType(str(error), line=line, source=source, hint=error.hint) from None

    def validate(self, answer: object) -> tuple[Json, list[str]]:
        """Return the value of an answer, and every way in which it does not fit (see `answer.fit_answer`)."""
        return fit_answer(answer, self.schema, self.classes)

    def describe(self) -> str:
        """Return the type in at most 120 characters, for cards and lists."""
        text = " ".join(self.text.split())
        return text if len(text) <= MAX_DESCRIPTION else text[: MAX_DESCRIPTION - 1] + "…"

    def to_text(self) -> str:
        """Return the type as it is written; `parse` reads it back."""
        return self.text


def _parse(value: object, namespace: Mapping[str, object]) -> OutType:
    if _is_class(value):
        return _of_class(value)
    if isinstance(value, dict) and _is_json_schema(value):
        return _of_json_schema(value)
    if isinstance(value, str):
        _check_length(value)
        schema = _json_schema_text(value)
        if schema is not None:
            return _of_json_schema(schema)
        found = namespace.get(value.strip())
        if _is_class(found):
            return _of_class(found)
    reader = _Reader(namespace)
    schema = reader.read(value, 0)
    if reader.definitions:
        schema = {**schema, "$defs": reader.definitions}
    return OutType(schema, print_type(schema), reader.classes)


def _check_length(text: str) -> None:
    if len(text) > MAX_TYPE_CHARS:
        raise BadType(
            f"the type has {len(text):,} characters; the limit is {MAX_TYPE_CHARS:,}.", hint="use a pydantic class"
        )


# ------------------------------------------------------------------ classes and JSON Schemas
def _is_class(value: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(value, type) and hasattr(value, "model_json_schema") and hasattr(value, "model_validate")


def _of_class(cls: type[BaseModel]) -> OutType:
    return OutType(_schema_of_class(cls), cls.__name__, {"": cls})


def _schema_of_class(cls: type[BaseModel]) -> JsonObject:
    import pydantic

    try:
        schema = cls.model_json_schema()
    except (pydantic.errors.PydanticUserError, RecursionError) as error:
        raise BadType(f"`{cls.__name__}` has no JSON Schema: {str(error).splitlines()[0]}") from None
    return as_dict(_close(schema))


def _close(schema: Json) -> Json:
    """Return a schema with its objects closed to extra keys unless they say that they are open."""
    if isinstance(schema, list):
        return [_close(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        k: v if k in ("default", "examples", "enum", "const", "required") else _close(v) for k, v in schema.items()
    }
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def _is_json_schema(value: dict[str, Json]) -> bool:
    """Return whether a mapping is a JSON Schema and not our language with a field that is called ``type``."""
    declared = value.get("type")
    if "$schema" in value or "$ref" in value or (isinstance(declared, str) and declared in _JSON_TYPES):
        return True
    if isinstance(declared, list) and len(declared) > 1:
        return True
    lists = [as_list(value.get(word)) for word in ("anyOf", "oneOf", "allOf", "enum")]
    return set(value) <= CHECKED | NOTES and any(len(one) > 1 or (one and isinstance(one[0], dict)) for one in lists)


def _json_schema_text(text: str) -> JsonObject | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_json_schema(value) else None


def _of_json_schema(schema: JsonObject) -> OutType:
    """Return the type of a JSON Schema; refuse what would not be checked, rather than let it pass."""
    try:
        check_size(schema, depth=2 * MAX_DEPTH, values=MAX_SCHEMA_VALUES)
    except Unreadable as error:
        says = str(error).replace("the answer", "the JSON Schema")
        raise BadType(f"`out` cannot be read: {says}.", hint="use a pydantic class") from None
    from orch_nb.lang.json_schema import problem_of_schema

    problem, hint = problem_of_schema(schema, {**_KEYWORDS, **{key: {} for key in NOTES}})
    if problem:
        raise BadType(f"{problem}.", hint=hint)
    closed = as_dict(_close(schema))
    return OutType(closed, json.dumps(closed, ensure_ascii=False))


# ------------------------------------------------------------------ the language
class _Word(NamedTuple):
    """A word of a union: a label when it is quoted or is not a type."""

    text: str
    quoted: bool


class _Reader:
    """Reads the language from text and from YAML data; collects the classes it meets."""

    def __init__(self, namespace: Mapping[str, object]) -> None:
        self.namespace = namespace
        self.definitions: JsonObject = {}
        self.classes: dict[str, type] = {}
        self.nodes = 0

    def read(self, value: object, depth: int) -> JsonObject:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise BadType(
                f"the type is nested deeper than {MAX_DEPTH}, or has more than {MAX_NODES:,} parts.",
                hint="use a pydantic class",
            )
        if isinstance(value, str):
            _check_length(value)
            return _Text(value, self, depth).whole()
        if value is None:
            if depth == 0:
                raise BadType("`out` is empty.", hint="such as: out: {answer: str}")
            return {"type": "null"}
        if _is_class(value):
            return self._class(value)
        if isinstance(value, dict):
            return self._mapping(value, depth)
        if isinstance(value, list):
            if len(value) != 1:
                raise BadType(
                    f"a list must have one type in its brackets, got {len(value)} types.", hint="[str], or [str | int]"
                )
            return {"type": "array", "items": self.read(value[0], depth + 1)}
        if isinstance(value, type):
            raise BadType(f"a type is written as text, got the class `{value.__name__}`.", hint=_text_of_class(value))
        raise BadType(f"`{value!r}` is not a type.", hint=self._hint(str(value).lower(), type(value).__name__))

    def _mapping(self, value: dict[object, object], depth: int) -> JsonObject:
        return self.mapping([(str(key), self.read(inner, depth + 1)) for key, inner in value.items()])

    def mapping(self, fields: list[tuple[str, JsonObject]]) -> JsonObject:
        """The schema of named fields; a name that ends in ``?`` may be left out."""
        if not 0 < len(fields) <= MAX_FIELDS:
            raise BadType(
                f"a mapping must have 1 to {MAX_FIELDS} fields, got {len(fields)} fields.", hint="{answer: str}"
            )
        properties: JsonObject = {}
        required: list[Json] = []
        for key, schema in fields:
            name = key.removesuffix("?").strip()
            _check_field(name)
            if name in properties:
                raise BadType(f"the field `{name}` occurs twice in one mapping.")
            properties[name] = schema
            if not key.endswith("?"):
                required.append(name)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def word(self, word: str) -> JsonObject | None:
        """The schema of a type's or a class's name; None for any other word."""
        if word in TYPES:
            return {"type": TYPES[word]}
        found = self.namespace.get(word)
        return self._class(found) if _is_class(found) else None

    def _class(self, cls: type[BaseModel]) -> JsonObject:
        name = cls.__name__
        if self.classes.get(name, cls) is not cls:
            raise BadType(f"two classes are called `{name}`.", hint="rename one")
        if name not in self.classes:
            schema = dict(_schema_of_class(cls))
            for inner, one in as_dict(schema.pop("$defs", {})).items():
                self._define(inner, one)
            if "$ref" not in schema:  # a class that holds itself is among its own definitions
                self._define(name, schema)
            self.classes[name] = cls
        return {"$ref": f"#/$defs/{name}"}

    def _define(self, name: str, schema: Json) -> None:
        if self.definitions.setdefault(name, schema) != schema:
            raise BadType(f"two classes are called `{name}`.", hint="rename one")

    def fail_alone(self, word: str) -> NoReturn:
        """Refuse a single word that is not a type."""
        raise BadType(f"`{word}` is not a type.", hint=self._hint(word, ""))

    def _hint(self, word: str, kind: str) -> str:
        if word.lower() in _MEANT:
            return f"did you mean `{_MEANT[word.lower()]}`?"
        classes = [name for name, value in self.namespace.items() if _is_class(value)]
        near = nearest(word, [*TYPES, *classes]) or (kind if kind in TYPES else "")
        if near:
            return f"did you mean `{near}`?"
        known = ", ".join([*TYPES, *classes[:5]])
        return f"one of {known}; labels: a | b; one label alone: '\"{word}\"'"


def _text_of_class(cls: type) -> str:
    """Return the hint that writes a Python class in the type language: an `Enum` is its values as labels."""
    if issubclass(cls, Enum):
        return f"write {' | '.join(json.dumps(member.value, default=str) for member in cls)!r}"
    text = cls.__name__ if cls.__name__ in TYPES else _MEANT.get(cls.__name__, "")
    return f"write {text!r}" if text else "a class of an answer is a pydantic class"


class _Text(Cursor):
    """A recursive descent over one text; its depth is bounded by the reader's."""

    __slots__ = ("depth", "reader", "source")

    def __init__(self, text: str, reader: _Reader, depth: int) -> None:
        super().__init__(scan(_TOKEN, text, Place()), Place())
        self.source, self.reader, self.depth = text if len(text) <= 80 else text[:80] + "…", reader, depth

    def whole(self) -> JsonObject:
        """Read the type to its end."""
        if not self.tokens:
            raise BadType("a type is missing.", hint="such as: str")
        schema = self._union(self.depth)
        if self.text:
            self._refuse("the type is already complete")
        return schema

    def _need(self, mark: str) -> None:
        if not self.take(mark):
            self._refuse(f"`{mark}` is missing")

    def _refuse(self, why: str) -> NoReturn:
        shown = f"unexpected `{self.text}`" if self.text else "the type ends too early"
        raise BadType(f"`{self.source}`: {shown}: {why}.", hint="{field: str, kind: a | b, tags: [str], note?: str}")

    def _union(self, depth: int) -> JsonObject:
        if depth > MAX_DEPTH:
            raise BadType(f"the type is nested deeper than {MAX_DEPTH}.", hint="use a pydantic class")
        items: list[JsonObject | _Word] = [self._item(depth)]
        while self.take("|"):
            items.append(self._item(depth))
        return self._join(items)

    def _item(self, depth: int) -> JsonObject | _Word:
        if self.take("["):
            schema: JsonObject = {"type": "array", "items": self._union(depth + 1)}
            self._need("]")
            return self._read_bounds(schema, "maxItems")
        if self.take("{"):
            return self._fields(depth)
        return self._word()

    def _word(self) -> JsonObject | _Word:
        if self.token.kind == "quoted":
            return _Word(_unquote(self.next().text), quoted=True)
        if self.token.kind != "word":
            self._refuse("a type is missing")
        words = []
        while self.token.kind == "word":
            words.append(self.next().text)
        schema = self.reader.word(words[0]) if len(words) == 1 else None
        if schema is None:
            return _Word(" ".join(words), quoted=False)
        return self._read_bounds(schema, "maxLength") if schema.get("type") == "string" else schema

    def _read_bounds(self, schema: JsonObject, word: str) -> JsonObject:
        if not self.take("("):
            return schema
        if not re.fullmatch("[0-9]{1,9}", self.text):
            self._refuse("a whole number belongs in the brackets")
        bound = int(self.next().text)
        self._need(")")
        return {**schema, word: bound}

    def _fields(self, depth: int) -> JsonObject:
        fields: list[tuple[str, JsonObject]] = []
        while not self.take("}"):
            if fields:
                self._need(",")
                if self.take("}"):
                    break
            fields.append(self._field(depth))
        return self.reader.mapping(fields)

    def _field(self, depth: int) -> tuple[str, JsonObject]:
        if self.token.kind not in ("word", "quoted"):
            self._refuse("the name of a field is missing")
        token = self.next()
        name = _unquote(token.text) if token.kind == "quoted" else token.text
        if self.take("?"):
            name += "?"
        self._need(":")
        return name, self._union(depth + 1)

    # -------------------------------------------------------------- unions
    def _join(self, items: list[JsonObject | _Word]) -> JsonObject:
        labels = [i for i in items if isinstance(i, _Word)]
        types = [i for i in items if not isinstance(i, _Word)]
        others = [t for t in types if t != {"type": "null"}]
        bare = [w for w in labels if not w.quoted]
        if others and bare:
            self._raise_mixed(bare)
        if len(labels) == 1 and bare:
            self.reader.fail_alone(bare[0].text)
        if bare and all(w.text in ("true", "false") for w in bare):
            raise BadType("`true` and `false` cannot be labels.", hint="did you mean `bool`? Labels: quote them")
        branches = ([_choice(labels)] if labels else []) + types
        if len({json.dumps(b, sort_keys=True) for b in branches}) < len(branches):
            raise BadType(f"`{self.source}` names one type twice.")
        return branches[0] if len(branches) == 1 else {"anyOf": [*branches]}

    def _raise_mixed(self, bare: list[_Word]) -> NoReturn:
        for word in bare:
            near = _MEANT.get(word.text.lower()) or nearest(word.text, TYPES)
            if near:
                raise BadType(f"`{word.text}` is not a type.", hint=f"did you mean `{near}`?")
        raise BadType(
            f"`{self.source}` mixes types and labels.", hint=f'labels beside types are quoted: "{bare[0].text}"'
        )


def _choice(labels: list[_Word]) -> JsonObject:
    if len(labels) > MAX_LABELS:
        raise BadType(
            f"a choice has at most {MAX_LABELS:,} labels, got {len(labels):,} labels.", hint="route in two steps"
        )
    texts = [w.text for w in labels]
    twice = next((t for t in texts if texts.count(t) > 1), "") if len(set(texts)) < len(texts) else ""
    if twice:
        raise BadType(f"the label `{twice}` occurs twice in one choice.")
    for text in texts:
        if not text or len(text) > MAX_LABEL:
            raise BadType(f"a label must have 1 to {MAX_LABEL} characters, got {len(text)} characters.")
    if all(re.fullmatch("-?(?:0|[1-9][0-9]{0,15})", w.text) and not w.quoted for w in labels):
        return {"type": "integer", "enum": [int(t) for t in texts]}
    return {"type": "string", "enum": [*texts]}


def _check_field(name: str) -> None:
    import unicodedata

    if not name.isidentifier() or len(name) > MAX_LABEL or unicodedata.normalize("NFC", name) != name:
        raise BadType(f"`{name[:60]}` cannot name a field.", hint="a letter, then letters, digits and _")
    if name.startswith("__"):
        raise BadType(f"the field `{name[:60]}` begins with two underscores.", hint="choose another name")


def _unquote(text: str) -> str:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        raise BadType(f"{text[:60]} has an invalid escape.", hint="escapes are those of JSON") from None
    assert isinstance(value, str)
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise BadType(f"Invalid escape in {text[:60]}: unpaired surrogate.")
    return value


# ------------------------------------------------------------------ printing
def print_type(schema: JsonObject) -> str:
    """Return a schema of the type language as its text. Linear in its size."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix("#/$defs/")
    if "anyOf" in schema:
        return _print_union([as_dict(branch) for branch in as_list(schema["anyOf"])])
    if "enum" in schema:
        return _print_labels(schema["enum"], quoted=len(as_list(schema["enum"])) == 1)
    if schema["type"] == "array":
        return f"[{print_type(as_dict(schema['items']))}]{_print_bound(schema, 'maxItems')}"
    if schema["type"] == "object":
        return "{" + ", ".join(_print_fields(schema)) + "}"
    return _NAMES[str(schema["type"])] + _print_bound(schema, "maxLength")


def _print_union(branches: list[JsonObject]) -> str:
    alone = all("enum" in b or b == {"type": "null"} for b in branches)
    return " | ".join(
        _print_labels(b["enum"], quoted=not alone or len(as_list(b["enum"])) == 1) if "enum" in b else print_type(b)
        for b in branches
    )


def _print_labels(labels: Json, *, quoted: bool) -> str:
    return " | ".join(_print_label(label, quoted=quoted) for label in as_list(labels))


def _print_label(label: Json, *, quoted: bool) -> str:
    if not isinstance(label, str):
        return str(label)
    plain = _PLAIN_LABEL.fullmatch(label) and label not in {*TYPES, "true", "false"} and not quoted
    return label if plain else json.dumps(label, ensure_ascii=False)


def _print_bound(schema: JsonObject, word: str) -> str:
    return f"({schema[word]})" if word in schema else ""


def _print_fields(schema: JsonObject) -> list[str]:
    required = as_list(schema["required"])
    fields = as_dict(schema["properties"]).items()
    return [f"{name}{'' if name in required else '?'}: {print_type(as_dict(of))}" for name, of in fields]
