"""A model's answer, held against a JSON Schema: the value it says, and every way in which it does not fit.

Problems are written for two readers: the person at the notebook, and the model that is asked once to repair its answer.
The schemas are those of `out_type`: ``type enum const properties required additionalProperties items anyOf oneOf allOf $ref``
and the bounds on numbers, lengths and counts. Numbers may come as ``1`` where a float is due and as ``1.0`` where an
integer is; nothing else is converted. ``oneOf`` is read as ``anyOf``: the first that fits. NaN, infinities, repeated keys and unpaired surrogates are refused.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Schema = dict[str, Any]

MAX_ANSWER_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000
MAX_PROBLEMS = 20
MAX_NESTED_CHECKS = 192
MAX_CHECKS = 400_000
"""Parts of schemas visited for one answer: only alternatives within alternatives within … come near it."""

_FENCE = re.compile(r"```[ \t]*(?:json|JSON)?[ \t]*\r?\n(.*?)```", re.DOTALL)
_WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "a mapping",
}  # fmt: skip
_BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda v, bound: v >= bound, "at least"),
    "maximum": (lambda v, bound: v <= bound, "at most"),
    "exclusiveMinimum": (lambda v, bound: v > bound, "more than"),
    "exclusiveMaximum": (lambda v, bound: v < bound, "less than"),
}


class _Unfit(ValueError):
    """What is said is no JSON that can be stored."""


def fitted(answer: Any, schema: Schema, classes: Mapping[str, Any] | None = None) -> tuple[Any, list[str]]:
    """The value that an answer says, and its problems (none: it fits).

    Parameters
    ----------
    answer
        The model's text (JSON, bare or in one ```json fence; bare text where the schema is of a text), or a value.
    schema
        A JSON Schema as made by `OutType`.
    classes
        Name in ``$defs`` ("" for the whole) -> pydantic class that has the last word on that part.

    Returns
    -------
    tuple
        (value, []) or (what could be read, problems); at most 20 problems.
    """
    try:
        value = _value_in(answer, schema) if isinstance(answer, str) else answer
        _check_size(value)
    except _Unfit as error:
        return None, [str(error)]
    checking = Checking(schema, classes or {})
    value = checking.whole(value)
    return value, checking.problems[:MAX_PROBLEMS]


# ------------------------------------------------------------------ text into a value
def _value_in(text: str, schema: Schema) -> Any:
    if len(text) > MAX_ANSWER_BYTES:
        raise _Unfit(f"the answer has {len(text):,} characters; {MAX_ANSWER_BYTES:,} is the most")
    body = text.strip().removeprefix("\ufeff")
    if _is_text(schema):
        return _bare(body, schema)
    try:
        return _json(body)
    except _Unfit as error:
        fences = _FENCE.findall(body)
        if len(fences) == 1:
            return _json(fences[0])
        raise _Unfit(_no_json(body, error)) from None


def _bare(body: str, schema: Schema) -> Any:
    """A text needs no quotes; with them, it is what they hold."""
    fence = _FENCE.fullmatch(body)
    inner = fence.group(1).strip() if fence else body
    try:
        value = _json(inner)
    except _Unfit:
        return inner
    said = isinstance(value, str) or (value is None and "anyOf" in schema)
    return value if said else inner


def _is_text(schema: Schema) -> bool:
    """Whether the whole answer is a text, so that it needs no quotes."""
    if "anyOf" in schema:
        branches = [b for b in schema["anyOf"] if b.get("type") != "null"]
        return len(branches) == 1 and _is_text(branches[0])
    return schema.get("type") == "string"


def _no_json(body: str, error: _Unfit) -> str:
    if not body:
        return "the answer is empty; JSON was expected"
    shown = body if len(body) <= 80 else body[:80] + "…"
    return f"the answer is no JSON ({error}): {shown}"


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite, parse_int=_int)
    except json.JSONDecodeError as error:
        raise _Unfit(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise _Unfit(f"it is nested deeper than {MAX_DEPTH}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Unfit(f"the key {twice[:40]!r} is there twice")
    return made


def _refuse(word: str) -> NoReturn:
    raise _Unfit(f"{word} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Unfit(f"the number {text[:20]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 400:
        raise _Unfit(f"a number of {len(text)} digits is too large")
    return int(text)


def _check_size(value: Any) -> None:
    """Refuse what is too deep, too large or not plain; without recursion, so that depth cannot hurt."""
    level, depth, count = [value], 0, 0
    while level:
        depth += 1
        count += len(level)
        if depth > MAX_DEPTH:
            raise _Unfit(f"the answer is nested deeper than {MAX_DEPTH}")
        if count > MAX_VALUES:
            raise _Unfit(f"the answer holds more than {MAX_VALUES:,} values")
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, str):
        if not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise _Unfit("a text holds half a character (an unpaired surrogate)")
        return []
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise _Unfit("a mapping has a key that is no text")
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise _Unfit(f"the number {value} is not finite")
    if value is not None and not isinstance(value, bool | int | float):
        raise _Unfit(f"a {type(value).__name__} is no plain data")
    return []


# ------------------------------------------------------------------ a value against a schema
class Checking:
    """One check of one value. `problems` grows as parts are visited."""

    def __init__(self, root: Schema, classes: Mapping[str, Any], parent: Checking | None = None) -> None:
        self.root, self.classes = root, classes
        self.problems: list[str] = []
        self.depth: int = parent.depth if parent else 0
        self.visits: list[int] = parent.visits if parent else [0]

    def whole(self, value: Any) -> Any:
        """The value, with numbers as the schema says."""
        value = self._visit(value, self.root, "")
        return self._by_class("", value, "") if "" in self.classes else value

    def _bad(self, path: str, what: str) -> None:
        self.problems.append(f"`{path}` {what}" if path else f"the answer {what}")

    def _visit(self, value: Any, schema: Schema, path: str) -> Any:
        self.visits[0] += 1
        if len(self.problems) > MAX_PROBLEMS:
            return value
        if self.depth > MAX_NESTED_CHECKS or self.visits[0] > MAX_CHECKS:
            self._bad(path, "cannot be checked: its schema refers to itself without end")
            return value
        self.depth += 1
        value = self._check(value, schema, path)
        self.depth -= 1
        return value

    def _check(self, value: Any, schema: Schema, path: str) -> Any:
        if "$ref" in schema:
            return self._check_reference(value, str(schema["$ref"]), path)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._branches(value, schema[word], path)
        for part in schema.get("allOf", ()):
            value = self._visit(value, part, path)
        if "const" in schema and not _same(value, schema["const"]):
            self._bad(path, f"is {_show(value)}, not {_show(schema['const'])}")
            return value
        if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
            self._bad(path, f"is {_show(value)}, not one of {_or_list(schema['enum'])}")
            return value
        return self._check_type(value, schema, path)

    def _check_reference(self, value: Any, ref: str, path: str) -> Any:
        name = ref.removeprefix("#/$defs/")
        before = len(self.problems)
        value = self._visit(value, self.root.get("$defs", {}).get(name, {}), path)
        if name in self.classes and len(self.problems) == before:
            return self._by_class(name, value, path)
        return value

    def _branches(self, value: Any, branches: list[Schema], path: str) -> Any:
        """The first alternative that fits; else the problems of the only one of the value's type, or one line for all."""
        tried = []
        for branch in branches:
            alone = Checking(self.root, self.classes, self)
            got = alone._visit(value, branch, path)
            if not alone.problems:
                return got
            tried.append((branch, alone.problems))
        near = [problems for branch, problems in tried if isinstance(value, dict | list) and _holds(branch, value)]
        if len(near) == 1:
            self.problems += near[0]
        else:
            self._bad(path, f"is {_show(value)}, not {' or '.join(dict.fromkeys(_describe(b) for b in branches))}")
        return value

    def _check_type(self, value: Any, schema: Schema, path: str) -> Any:
        declared = schema.get("type")
        types: list[str] = declared if isinstance(declared, list) else [declared] if declared else []
        if types and not any(_is(value, t) for t in types):
            self._bad(path, f"is {_show(value)}, not {' or '.join(_WORDS.get(t, t) for t in types)}")
            return value
        if isinstance(value, dict):
            return self._mapping(value, schema, path)
        if isinstance(value, list):
            return self._list(value, schema, path)
        if isinstance(value, str):
            self._length(len(value), schema, path, "Length")
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value, schema, types, path)
        return value

    def _number(self, value: float, schema: Schema, types: list[str], path: str) -> int | float:
        for word, (holds, words) in _BOUNDS.items():
            if word in schema and not holds(value, schema[word]):
                self._bad(path, f"is {value}, not {words} {schema[word]}")
        if types == ["integer"] and isinstance(value, float):
            return int(value)
        if types == ["number"] and isinstance(value, int):
            return self._float(value, path)
        return value

    def _float(self, value: int, path: str) -> int | float:
        try:
            return float(value)
        except OverflowError:
            self._bad(path, "is too large a number")
            return value

    def _length(self, length: int, schema: Schema, path: str, of: str) -> None:
        least, most, what = f"min{of}", f"max{of}", "items" if of == "Items" else "characters"
        if least in schema and length < schema[least]:
            self._bad(path, f"has {length} {what}, fewer than {schema[least]}")
        if most in schema and length > schema[most]:
            self._bad(path, f"has {length} {what}, more than {schema[most]}")

    def _list(self, value: list[Any], schema: Schema, path: str) -> list[Any]:
        self._length(len(value), schema, path, "Items")
        items = schema.get("items")
        if not isinstance(items, dict):
            return value
        return [self._visit(one, items, f"{path}[{at}]") for at, one in enumerate(value)]

    def _mapping(self, value: dict[str, Any], schema: Schema, path: str) -> dict[str, Any]:
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                self._bad(f"{path}.{name}" if path else name, "is missing")
        extra = schema.get("additionalProperties", True)
        made = {}
        for key, one in value.items():
            here = f"{path}.{key[:60]}" if path else key[:60]
            if key in properties:
                made[key] = self._visit(one, properties[key], here)
            elif extra is False:
                self._bad(here, f"is no field here; the fields are {', '.join(properties) or 'none'}")
            else:
                made[key] = self._visit(one, extra, here) if isinstance(extra, dict) else one
        return made

    def _by_class(self, name: str, value: Any, path: str) -> Any:
        """The last word of a pydantic class on a part that fits its schema."""
        if self.problems:
            return value
        import pydantic

        cls = self.classes[name]
        try:
            return cls.model_validate(value).model_dump(mode="json", by_alias=True)
        except pydantic.ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                where = ".".join(str(p) for p in one["loc"])
                self._bad(".".join(p for p in (path, where) if p), f"is refused by `{cls.__name__}`: {one['msg']}")
            return value


def _is(value: Any, declared: str) -> bool:
    if isinstance(value, bool):
        return declared == "boolean"
    match declared:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case "number":
            return isinstance(value, int | float)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list)
    return declared == "object" and isinstance(value, dict)


def _same(value: Any, other: Any) -> bool:
    """Equal, and not a number equal to true or false."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _holds(branch: Schema, value: Any) -> bool:
    declared = branch.get("type")
    return declared == ("object" if isinstance(value, dict) else "array") or "$ref" in branch


def _describe(branch: Schema) -> str:
    if "enum" in branch:
        return f"one of {_or_list(branch['enum'])}"
    if "const" in branch:
        return _show(branch["const"])
    declared = branch.get("type")
    return _WORDS.get(declared, "something else") if isinstance(declared, str) else "something else"


def _or_list(values: list[Any]) -> str:
    shown = [_show(v) for v in values[:20]]
    return ", ".join(shown) + (f", … ({len(values)} in all)" if len(values) > 20 else "")


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{_WORDS['object' if isinstance(value, dict) else 'array']} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + "…"
