"""Conditions against the declared types of what they read: what is certain to fail is found before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import nearest
from orch_nb.graph.predicate import Predicate, _Compare, _Const, _Join, _Len, _List, _Not, _Read
from orch_nb.graph.template import Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Schema = dict[str, Any]
    TypeOf = Callable[[tuple[str, ...]], Schema | None]

_WORDS = {
    "string": "text", "integer": "a number", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "a mapping",
}  # fmt: skip


def problems_of(predicate: Predicate, type_of: TypeOf) -> list[str]:
    """One line for each certain failure of a condition, in the order of the text."""
    checker = _Checker(type_of)
    checker.truth(predicate.tree)
    return list(dict.fromkeys(checker.problems))


def field_schema(schema: Schema, parts: tuple[str, ...]) -> tuple[Schema | None, str]:
    """The schema at `parts` below `schema`, and what is wrong with the way there.

    Returns
    -------
    tuple
        (schema, ""), or (None, "") where nothing is known, or (None, problem) where the field does not exist.
    """
    here: Schema | None = schema
    for depth, part in enumerate(parts):
        here, problem = _step(_branches(here, schema), part)
        if problem or here is None:
            return None, f"`{'.'.join(parts[: depth + 1])}`: {problem}" if problem else ""
    return here, ""


def _branches(schema: Schema | None, root: Schema) -> list[Schema]:
    """The non-null alternatives of a schema, with local references followed."""
    found: list[Schema] = []
    waiting = [schema or {}]
    for _ in range(64):
        if not waiting:
            return found
        got = waiting.pop(0)
        if "$ref" in got:
            got = _referred(str(got["$ref"]), root)
        nested = got.get("anyOf") or got.get("oneOf")
        if nested:
            waiting.extend(nested)
        elif got.get("type") != "null":
            found.append(got)
    return [{}]


def _referred(ref: str, root: Schema) -> Schema:
    name = ref.removeprefix("#/$defs/")
    found = root.get("$defs", {}).get(name, {})
    return found if isinstance(found, dict) else {}


def _step(branches: list[Schema], part: str) -> tuple[Schema | None, str]:
    known: list[str] = []
    found = []
    for branch in branches:
        properties = branch.get("properties")
        if isinstance(properties, dict):
            known += properties
            if part in properties:
                found.append(properties[part])
        elif _kinds(branch) in (set(), {"a mapping"}):
            return None, ""
        if branch.get("additionalProperties"):
            return None, ""
    if found:
        return (found[0] if len(found) == 1 else {"anyOf": found}), ""
    if known:
        near = nearest(part, known)
        return None, "there is no such field; " + (f"did you mean `{near}`?" if near else f"known: {', '.join(known)}")
    kinds = sorted({k for b in branches for k in _kinds(b)})
    return None, f"it is {' or '.join(kinds) or 'null'}, which has no fields"


def _kinds(branch: Schema) -> set[str]:
    """In the words of the evaluation, what values of a schema may be; empty when unknown."""
    if "const" in branch:
        return {_kind_of(branch["const"])}
    if "enum" in branch:
        return {_kind_of(v) for v in branch["enum"]}
    declared = branch.get("type")
    words = declared if isinstance(declared, list) else [declared]
    return {_WORDS[w] for w in words if w in _WORDS}


def _kind_of(value: Any) -> str:
    for kind, word in ((bool, "true or false"), ((int, float), "a number"), (str, "text"), (list, "a list")):
        if isinstance(value, kind):
            return word
    return "null" if value is None else "a mapping"


class _Type:
    """What is known of one side of a comparison. `kinds` empty: nothing. `values` None: any of these kinds."""

    def __init__(self, kinds: set[str], values: list[Any] | None = None) -> None:
        self.kinds, self.values = kinds, values


class _Checker:
    def __init__(self, type_of: TypeOf) -> None:
        self.type_of = type_of
        self.problems: list[str] = []

    def truth(self, node: Any) -> None:
        match node:
            case _Join(items=items):
                for item in items:
                    self.truth(item)
            case _Not(item=item):
                self.truth(item)
            case _Compare():
                self._compare(node)

    def _compare(self, node: _Compare) -> None:
        left = node.first
        if not node.rest:
            self._boolean(left)
        for op, right in node.rest:
            if isinstance(right, _List):
                self._members(left, right)
                return
            self._pair(left, op, right)
            left = right

    def _boolean(self, operand: _Read | _Const) -> None:
        kinds = self._type(operand).kinds
        if kinds and "true or false" not in kinds:
            self.problems.append(f"{_named(operand)} is {_joined(kinds)}, not true or false: compare it with something")

    def _pair(self, left: _Read | _Const, op: str, right: _Read | _Const) -> None:
        a, b = self._type(left), self._type(right)
        if _is_null(left) or _is_null(right):
            return
        if a.kinds and b.kinds and not (a.kinds & b.kinds):
            self.problems.append(
                f"{_named(left)} is {_joined(a.kinds)} and {_named(right)} is {_joined(b.kinds)}: they cannot be compared"
            )
        elif op in ("==", "!="):
            for path, enum, const in ((left, a, right), (right, b, left)):
                if isinstance(path, Path) and isinstance(const, _Const):
                    self._among(path, enum, const.value)
        else:
            self._ordered(left, a, op)
            self._ordered(right, b, op)

    def _ordered(self, operand: _Read | _Const, found: _Type, op: str) -> None:
        if found.kinds and not found.kinds & {"text", "a number"}:
            self.problems.append(
                f"{_named(operand)} is {_joined(found.kinds)}, which has no order: `{op}` cannot be decided"
            )

    def _members(self, left: _Read | _Const, right: _List) -> None:
        found = self._type(left)
        kinds = {_kind_of(v) for v in right.items if v is not None}
        if found.kinds and kinds and not found.kinds & kinds:
            self.problems.append(f"{_named(left)} is {_joined(found.kinds)}, but the list holds {_joined(kinds)}")
        elif isinstance(left, Path):
            for value in right.items:
                self._among(left, found, value)

    def _among(self, path: Path, found: _Type, value: Any) -> None:
        if found.values is None or value in found.values or value is None:
            return
        words = [str(v) for v in found.values]
        near = nearest(str(value), words)
        hint = f"did you mean `{near}`?" if near else f"it is one of {', '.join(words)}"
        self.problems.append(f"`{path.text}` is never {value!r}; {hint}")

    def _type(self, operand: _Read | _Const) -> _Type:
        if isinstance(operand, _Const):
            return _Type({_kind_of(operand.value)})
        if isinstance(operand, _Len):
            return self._length(operand)
        root = self.type_of(operand.parts[:1])
        if root is None:
            return _Type(set())
        schema, problem = field_schema(root, operand.parts[1:])
        if problem:
            self.problems.append(f"`{operand.text}` cannot be read from `{operand.parts[0]}`: {problem}")
        return _type_of_schema(schema, root) if schema is not None else _Type(set())

    def _length(self, operand: _Len) -> _Type:
        kinds = self._type(operand.path).kinds
        if kinds and not kinds & {"text", "a list", "a mapping"}:
            self.problems.append(f"`{operand.text}`: `{operand.path.text}` is {_joined(kinds)}, which has no length")
        return _Type({"a number"})


def _type_of_schema(schema: Schema, root: Schema) -> _Type:
    branches = _branches(schema, root)
    kinds = [_kinds(b) for b in branches]
    if not all(kinds):
        return _Type(set())
    lists = list(_value_lists(branches))
    values = [v for one in lists for v in one] if len(lists) == len(branches) and lists else None
    return _Type(set().union(*kinds), values)


def _value_lists(branches: list[Schema]) -> Iterator[list[Any]]:
    for branch in branches:
        if "enum" in branch:
            yield list(branch["enum"])
        elif "const" in branch:
            yield [branch["const"]]


def _is_null(operand: _Read | _Const) -> bool:
    return isinstance(operand, _Const) and operand.value is None


def _named(operand: _Read | _Const) -> str:
    return f"`{operand.text}`" if isinstance(operand, _Read) else f"the constant {operand.value!r}"


def _joined(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))
