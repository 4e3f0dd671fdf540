"""The type of an agent's answer: what stands after ``out:``.

::

    out: {category: billing | technical | "needs review", confidence: float}
    out: {tasks: [{title: str(80), note?: str, due: str | null}], level: 1 | 2 | 3}
    out: Ticket                      # a pydantic class of the notebook
    out: {type: object, …}           # a JSON Schema

``str int float bool null`` are types; ``str(80)`` has at most 80 characters and ``"[str](5)"`` at most 5 items. Words that are
no types make a choice of labels, and only two or more of them do: one alone is a misspelt type until it is quoted. A ``?``
after a field means that it may be left out.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from orch_nb.errors import BadType, nearest
from orch_nb.lang.answer import fitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    Schema = dict[str, Any]

MAX_TYPE_CHARS = 20_000
MAX_DEPTH = 16
MAX_LABELS = 1_000
MAX_LABEL = 200
MAX_FIELDS = 200
MAX_SCHEMA_NODES = 5_000
MAX_DESCRIPTION = 120

TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null"}
_NAMES = {json_type: word for word, json_type in TYPES.items()}
_MEANT = {
    "string": "str", "text": "str", "integer": "int", "number": "float", "double": "float", "boolean": "bool", "none": "null",
    "list": "[str]", "array": "[str]", "dict": "{field: str}", "object": "{field: str}", "any": "str",
}  # fmt: skip
_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
CHECKED = frozenset(
    {"type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf", "$ref",
     "$defs", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"}
)  # fmt: skip
NOTES = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly",
     "discriminator"}
)  # fmt: skip
MARKS = "{}[]()|,:?"
"""Characters that have a meaning between the words of a type."""
_TOKEN = re.compile(
    rf"""(?P<space>\s+)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>[{re.escape(MARKS)}])|(?P<word>[^\s{re.escape(MARKS)}"]+)|(?P<bad>.)""",
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
        How it is written in a cell.
    classes
        Name in ``$defs`` ("" for the whole) -> pydantic class.
    """

    schema: Schema
    text: str
    classes: Mapping[str, type] = field(default_factory=dict)

    @classmethod
    def parse(
        cls, value: Any, namespace: Mapping[str, Any] | None = None, *, line: int = 0, source: str = ""
    ) -> OutType:
        """The type that `value` says.

        Parameters
        ----------
        value
            Text of the type language or of a JSON Schema, data from YAML, a JSON Schema as a dict, or a pydantic class.
        namespace
            Where names of pydantic classes are looked up.
        line, source
            Where it stands in its cell, for errors.

        Raises
        ------
        BadType
            It cannot be understood; the nearest type is named.
        """
        try:
            return _parse(value, namespace or {})
        except BadType as error:
            if not line or error.line:
                raise
            raise BadType(str(error), line=line, source=source, hint=error.hint) from None

    @classmethod
    def of_schema(cls, schema: Schema) -> OutType:
        """The type of a JSON Schema that was made by a class, a tool or an earlier run, taken as it is.

        Words that are not checked here (``pattern``, …) are passed over: whoever made the schema checks them.
        """
        return cls(schema, json.dumps(schema, ensure_ascii=False))

    def validate(self, answer: Any) -> tuple[Any, list[str]]:
        """The value that an answer says, and every way in which it does not fit (see `answer.fitted`)."""
        return fitted(answer, self.schema, self.classes)

    def describe(self) -> str:
        """The type in at most 120 characters, for cards and lists."""
        text = " ".join(self.text.split())
        return text if len(text) <= MAX_DESCRIPTION else text[: MAX_DESCRIPTION - 1] + "…"

    def to_text(self) -> str:
        """How the type is written; `parse` reads it back."""
        return self.text


def _parse(value: Any, namespace: Mapping[str, Any]) -> OutType:
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
            f"the type has {len(text):,} characters; {MAX_TYPE_CHARS:,} is the most.", hint="use a pydantic class"
        )


# ------------------------------------------------------------------ classes and JSON Schemas
def _is_class(value: Any) -> bool:
    return isinstance(value, type) and hasattr(value, "model_json_schema") and hasattr(value, "model_validate")


def _of_class(cls: Any) -> OutType:
    return OutType(_schema_of_class(cls), cls.__name__, {"": cls})


def _schema_of_class(cls: Any) -> Schema:
    import pydantic

    try:
        schema = cls.model_json_schema()
    except (pydantic.errors.PydanticUserError, RecursionError) as error:
        raise BadType(f"`{cls.__name__}` has no JSON Schema: {str(error).splitlines()[0]}") from None
    made: Schema = _close(schema)
    return made


def _close(schema: Any) -> Any:
    """The schema, with objects closed to extra keys unless they say that they are open."""
    if isinstance(schema, list):
        return [_close(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: v if k in ("default", "examples", "enum", "const", "required") else _close(v) for k, v in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


def _is_json_schema(value: dict[Any, Any]) -> bool:
    """Whether a mapping is a JSON Schema and not our language with a field that is called ``type``."""
    declared = value.get("type")
    if "$schema" in value or "$ref" in value or (isinstance(declared, str) and declared in _JSON_TYPES):
        return True
    if isinstance(declared, list) and len(declared) > 1:
        return True
    lists = [value.get(word) for word in ("anyOf", "oneOf", "allOf", "enum")]
    return set(value) <= CHECKED | NOTES and any(isinstance(one, list) and one and _schemas(one) for one in lists)


def _schemas(values: list[Any]) -> bool:
    return all(isinstance(one, dict) for one in values) or len(values) > 1


def _json_schema_text(text: str) -> Schema | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_json_schema(value) else None


def _of_json_schema(schema: Schema) -> OutType:
    _check_schema(schema)
    made = _close(schema)
    try:
        text = json.dumps(made, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadType(f"the JSON Schema holds what is no JSON: {error}.") from None
    return OutType(made, text)


def _check_schema(schema: Schema) -> None:
    """Refuse what `answer` would not check, rather than let it pass unchecked."""
    waiting: list[tuple[Any, str, int]] = [(schema, "", 0)]
    count = 0
    while waiting:
        here, path, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_SCHEMA_NODES:
            raise BadType("the JSON Schema is too large or too deep.", hint="use a pydantic class")
        if isinstance(here, bool):
            continue
        if not isinstance(here, dict):
            raise BadType(f"`{path or 'out'}` is {type(here).__name__}, not a JSON Schema.")
        parts = _parts(here)
        _check_words(here, path, schema)
        waiting += [(one, f"{path}.{name}".lstrip("."), depth + 1) for name, one in parts]


def _parts(schema: Schema) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for word in ("properties", "$defs"):
        inner = schema.get(word, {})
        if not isinstance(inner, dict):
            raise BadType(f"`{word}` is {type(inner).__name__}, not a mapping.")
        found += inner.items()
    for word in ("anyOf", "oneOf", "allOf"):
        inner = schema.get(word, [])
        if not isinstance(inner, list):
            raise BadType(f"`{word}` is {type(inner).__name__}, not a list.")
        found += [(word, one) for one in inner]
    return found + [(word, schema[word]) for word in ("items", "additionalProperties") if word in schema]


def _check_words(schema: Schema, path: str, root: Schema) -> None:
    for word in schema:
        if word in CHECKED or word in NOTES:
            continue
        near = nearest(str(word), CHECKED)
        hint = f"did you mean `{near}`?" if near else "a pydantic class can check it"
        raise BadType(f"`{word}` of the JSON Schema{f' at `{path}`' if path else ''} is not checked here.", hint=hint)
    declared = schema.get("type", [])
    for one in declared if isinstance(declared, list) else [declared]:
        if not isinstance(one, str) or one not in _JSON_TYPES:
            near = nearest(str(one), _JSON_TYPES)
            raise BadType(f"`{one}` is no type of JSON Schema.", hint=f"did you mean `{near}`?" if near else "")
    ref = schema.get("$ref")
    if ref is not None and str(ref).removeprefix("#/$defs/") not in root.get("$defs", {}):
        raise BadType(f"`$ref` points at {ref!r}, which is not in `$defs`.", hint="only #/$defs/NAME is followed")
    _check_bounds(schema)


def _check_bounds(schema: Schema) -> None:
    for word in ("minLength", "maxLength", "minItems", "maxItems"):
        bound = schema.get(word, 0)
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise BadType(f"`{word}` is {bound!r}, not a whole number from 0.")
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        bound = schema.get(word, 0)
        if not isinstance(bound, int | float) or isinstance(bound, bool) or math.isnan(bound):
            raise BadType(f"`{word}` is {bound!r}, not a number.")
    required, choices = schema.get("required", []), schema.get("enum", [None])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise BadType(f"`required` is {required!r:.60}, not a list of names.")
    if not isinstance(choices, list) or not choices:
        raise BadType(f"`enum` is {choices!r:.60}, not a list of values.")


# ------------------------------------------------------------------ the language
class _Word(NamedTuple):
    """A word of a union: a label when quoted or no type."""

    text: str
    quoted: bool


class _Reader:
    """Reads the language from text and from YAML data; collects the classes it meets."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.definitions: dict[str, Any] = {}
        self.classes: dict[str, type] = {}
        self.nodes = 0

    def read(self, value: Any, depth: int) -> Schema:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_SCHEMA_NODES:
            raise BadType(
                f"the type is nested deeper than {MAX_DEPTH}, or holds too much.", hint="use a pydantic class"
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
                raise BadType(f"a list has one type in its brackets, not {len(value)}.", hint="[str], or [str | int]")
            return {"type": "array", "items": self.read(value[0], depth + 1)}
        if isinstance(value, type):
            raise BadType(f"a type is written as text, got the class `{value.__name__}`.", hint=_text_of_class(value))
        raise BadType(f"`{value!r}` is no type.", hint=self._hint(str(value).lower(), type(value).__name__))

    def _mapping(self, value: dict[Any, Any], depth: int) -> Schema:
        return self.mapping([(str(key), self.read(inner, depth + 1)) for key, inner in value.items()])

    def mapping(self, fields: list[tuple[str, Schema]]) -> Schema:
        """The schema of named fields; a name that ends in ``?`` may be left out."""
        if not 0 < len(fields) <= MAX_FIELDS:
            raise BadType(f"a mapping of {len(fields)} fields; from 1 to {MAX_FIELDS} may be.", hint="{answer: str}")
        properties: Schema = {}
        required = []
        for key, schema in fields:
            name = key.removesuffix("?").strip()
            _check_field(name)
            if name in properties:
                raise BadType(f"the field `{name}` is twice in one mapping.")
            properties[name] = schema
            if not key.endswith("?"):
                required.append(name)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def word(self, word: str) -> Schema | None:
        """The schema of a type's or a class's name; None for any other word."""
        if word in TYPES:
            return {"type": TYPES[word]}
        found = self.namespace.get(word)
        return self._class(found) if _is_class(found) else None

    def _class(self, cls: Any) -> Schema:
        name = cls.__name__
        if self.classes.get(name, cls) is not cls:
            raise BadType(f"two classes are called `{name}`.", hint="rename one")
        if name not in self.classes:
            schema = dict(_schema_of_class(cls))
            for inner, one in schema.pop("$defs", {}).items():
                self._define(inner, one)
            if "$ref" not in schema:  # a class that holds itself is among its own definitions
                self._define(name, schema)
            self.classes[name] = cls
        return {"$ref": f"#/$defs/{name}"}

    def _define(self, name: str, schema: Schema) -> None:
        if self.definitions.setdefault(name, schema) != schema:
            raise BadType(f"two classes are called `{name}`.", hint="rename one")

    def lone(self, word: str) -> NoReturn:
        """A single word that is no type."""
        raise BadType(f"`{word}` is no type.", hint=self._hint(word, ""))

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
    """How a Python class is written in the type language, as a hint: an `Enum` is its values as labels."""
    if issubclass(cls, Enum):
        return f"write {' | '.join(json.dumps(member.value, default=str) for member in cls)!r}"
    text = cls.__name__ if cls.__name__ in TYPES else _MEANT.get(cls.__name__, "")
    return f"write {text!r}" if text else "a class of an answer is a pydantic class"


class _Text:
    """Recursive descent over one text; its depth is bounded by the reader's."""

    def __init__(self, text: str, reader: _Reader, depth: int) -> None:
        self.text, self.reader, self.depth = text, reader, depth
        self.tokens = [(m.lastgroup, m.group()) for m in _TOKEN.finditer(text) if m.lastgroup != "space"]
        self.at = 0

    def whole(self) -> Schema:
        if not self.tokens:
            raise BadType("a type is missing.", hint="such as: str")
        schema = self._union(self.depth)
        if self.at < len(self.tokens):
            self._raise_unexpected()
        return schema

    @property
    def _here(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self, mark: str) -> bool:
        if self._here == mark:
            self.at += 1
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            self._raise_unexpected(f"`{mark}` is missing")

    def _raise_unexpected(self, why: str = "it is already complete") -> NoReturn:
        shown = f"`{self._here}`" if self._here else "the end"
        text = self.text if len(self.text) <= 80 else self.text[:80] + "…"
        raise BadType(
            f"`{text}`: unexpected {shown}: {why}.", hint="{field: str, kind: a | b, tags: [str], note?: str}"
        )

    def _union(self, depth: int) -> Schema:
        if depth > MAX_DEPTH:
            raise BadType(f"the type is nested deeper than {MAX_DEPTH}.", hint="use a pydantic class")
        items: list[Schema | _Word] = [self._item(depth)]
        while self._take("|"):
            items.append(self._item(depth))
        return self._join(items)

    def _item(self, depth: int) -> Schema | _Word:
        if self._take("["):
            schema: Schema = {"type": "array", "items": self._union(depth + 1)}
            self._need("]")
            return self._read_bounds(schema, "maxItems")
        if self._take("{"):
            return self._fields(depth)
        return self._word()

    def _word(self) -> Schema | _Word:
        if self.at >= len(self.tokens):
            self._raise_unexpected("a type is missing")
        kind, text = self.tokens[self.at]
        if kind == "quoted":
            self.at += 1
            return _Word(_unquote(text), quoted=True)
        if kind != "word":
            self._raise_unexpected("a type is missing")
        words = []
        while self.at < len(self.tokens) and self.tokens[self.at][0] == "word":
            words.append(self._here)
            self.at += 1
        schema = self.reader.word(words[0]) if len(words) == 1 else None
        if schema is None:
            return _Word(" ".join(words), quoted=False)
        return self._read_bounds(schema, "maxLength") if schema.get("type") == "string" else schema

    def _read_bounds(self, schema: Schema, word: str) -> Schema:
        if not self._take("("):
            return schema
        bound = self._here
        if not re.fullmatch("[0-9]{1,9}", bound):
            self._raise_unexpected("a whole number belongs in the brackets")
        self.at += 1
        self._need(")")
        return {**schema, word: int(bound)}

    def _fields(self, depth: int) -> Schema:
        fields: list[tuple[str, Schema]] = []
        while not self._take("}"):
            if fields:
                self._need(",")
                if self._take("}"):
                    break
            fields.append(self._field(depth))
        return self.reader.mapping(fields)

    def _field(self, depth: int) -> tuple[str, Schema]:
        kind, name = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind not in ("word", "quoted"):
            self._raise_unexpected("the name of a field is missing")
        self.at += 1
        name = _unquote(name) if kind == "quoted" else name
        if self._take("?"):
            name += "?"
        self._need(":")
        return name, self._union(depth + 1)

    # -------------------------------------------------------------- unions
    def _join(self, items: list[Schema | _Word]) -> Schema:
        labels = [i for i in items if isinstance(i, _Word)]
        types = [i for i in items if not isinstance(i, _Word)]
        others = [t for t in types if t != {"type": "null"}]
        bare = [w for w in labels if not w.quoted]
        if others and bare:
            self._raise_mixed(bare)
        if len(labels) == 1 and bare:
            self.reader.lone(bare[0].text)
        if bare and all(w.text in ("true", "false") for w in bare):
            raise BadType("`true` and `false` are no labels.", hint="did you mean `bool`? Labels: quote them")
        branches = ([_choice(labels)] if labels else []) + types
        if len({json.dumps(b, sort_keys=True) for b in branches}) < len(branches):
            raise BadType(f"`{self.text[:80]}` names one type twice.")
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _raise_mixed(self, bare: list[_Word]) -> NoReturn:
        for word in bare:
            near = _MEANT.get(word.text.lower()) or nearest(word.text, TYPES)
            if near:
                raise BadType(f"`{word.text}` is no type.", hint=f"did you mean `{near}`?")
        raise BadType(
            f"`{self.text[:80]}` mixes types and labels.", hint=f'labels beside types are quoted: "{bare[0].text}"'
        )


def _choice(labels: list[_Word]) -> Schema:
    if len(labels) > MAX_LABELS:
        raise BadType(f"a choice of {len(labels):,} labels; {MAX_LABELS:,} is the most.", hint="route in two steps")
    texts = [w.text for w in labels]
    twice = next((t for t in texts if texts.count(t) > 1), "") if len(set(texts)) < len(texts) else ""
    if twice:
        raise BadType(f"the label `{twice}` is twice in one choice.")
    for text in texts:
        if not text or len(text) > MAX_LABEL:
            raise BadType(f"a label of {len(text)} characters; from 1 to {MAX_LABEL} may be.")
    if all(re.fullmatch("-?(?:0|[1-9][0-9]{0,15})", w.text) and not w.quoted for w in labels):
        return {"type": "integer", "enum": [int(t) for t in texts]}
    return {"type": "string", "enum": texts}


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
        raise BadType(f"{text[:60]} is no quoted text.", hint="escapes are those of JSON") from None
    assert isinstance(value, str)
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise BadType(f"{text[:60]} holds half a character.")
    return value


# ------------------------------------------------------------------ printing
def print_type(schema: Schema) -> str:
    """A schema of the type language as its text. Linear in its size."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix("#/$defs/")
    if "anyOf" in schema:
        return _print_union(schema["anyOf"])
    if "enum" in schema:
        return _print_labels(schema["enum"], quoted=len(schema["enum"]) == 1)
    if schema["type"] == "array":
        return f"[{print_type(schema['items'])}]{_print_bound(schema, 'maxItems')}"
    if schema["type"] == "object":
        return "{" + ", ".join(_print_field(name, schema) for name in schema["properties"]) + "}"
    return _NAMES[schema["type"]] + _print_bound(schema, "maxLength")


def _print_union(branches: list[Schema]) -> str:
    alone = all("enum" in b or b == {"type": "null"} for b in branches)
    return " | ".join(
        _print_labels(b["enum"], quoted=not alone or len(b["enum"]) == 1) if "enum" in b else print_type(b)
        for b in branches
    )


def _print_labels(labels: list[Any], *, quoted: bool) -> str:
    return " | ".join(_print_label(label, quoted=quoted) for label in labels)


def _print_label(label: Any, *, quoted: bool) -> str:
    if isinstance(label, int):
        return str(label)
    plain = _PLAIN_LABEL.fullmatch(label) and label not in {*TYPES, "true", "false"} and not quoted
    return label if plain else json.dumps(label, ensure_ascii=False)


def _print_bound(schema: Schema, word: str) -> str:
    return f"({schema[word]})" if word in schema else ""


def _print_field(name: str, schema: Schema) -> str:
    mark = "" if name in schema["required"] else "?"
    return f"{name}{mark}: {print_type(schema['properties'][name])}"
