"""Conditions as text: ``qa.score < 0.6 and triage.category in ["billing", "sales"]``.

Comparisons (chained too), ``and or not``, ``in`` a literal list or the text or list at a path, paths, ``len(path)``,
``any(path)``, ``all(path)`` and constants: nothing else. The text is read by a parser of its own with bounded length and depth, never by Python's, so a condition cannot call, index or
compute. ``len`` counts a text's characters, a list's items, a mapping's keys; ``any`` and ``all`` take a list of true and false.

A condition never guesses: null and mixed types are a `SemanticFailure` that names the path and its value. Only a path
marked ``?`` may be absent: then it equals ``null`` and nothing else, is neither more nor less than anything, and is not
true.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from orch_nb.errors import SemanticFailure, nearest
from orch_nb.lang.answer import as_dict, as_list
from orch_nb.lang.template import Path, read_path
from orch_nb.lang.tokens import Cursor, Place, string_at, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch_nb.lang.tokens import Token
    from orch_nb.schema.values import Json, JsonObject

    TypeOf = Callable[[tuple[str, ...]], JsonObject | None]
    Lookup = Callable[[tuple[str, ...]], object]

Constant: TypeAlias = bool | int | float | str | None
MAX_PREDICATE_BYTES = 1024
MAX_DEPTH = 16
MAX_NUMBER = 40
LEN, ANY, ALL = "len", "any", "all"
CALLS = (LEN, ANY, ALL)

_COMPARE: dict[str, Callable[..., bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CONSTANTS: dict[str, Constant] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_JOINING = ("and", "or", "not", "in")
WORDS = (*_JOINING, *CALLS, *_CONSTANTS)
"""Words of a condition."""
OPERATORS = tuple(_COMPARE)

_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


# ------------------------------------------------------------------ the tree
@dataclass(slots=True, frozen=True)
class _Const:
    value: Constant


@dataclass(slots=True, frozen=True)
class _Call:
    """``len(path)``, ``any(path)`` or ``all(path)``: a value where the path has one, absent where it is absent."""

    word: str
    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.parts

    @property
    def optional(self) -> bool:
        return self.path.optional

    @property
    def text(self) -> str:
        return f"{self.word}({self.path.text})"


_Read = Path | _Call
"""A side that is looked up, as opposed to a constant."""


@dataclass(slots=True, frozen=True)
class _List:
    items: tuple[Constant, ...]


@dataclass(slots=True, frozen=True)
class _Compare:
    first: _Read | _Const
    rest: tuple[tuple[str, _Read | _Const | _List], ...]


@dataclass(slots=True, frozen=True)
class _Not:
    item: _Tree


@dataclass(slots=True, frozen=True)
class _Join:
    word: str
    items: tuple[_Tree, ...]


_Tree = _Compare | _Not | _Join


@dataclass(slots=True, frozen=True)
class Predicate:
    """A parsed condition.

    Parameters
    ----------
    text
        The condition, with one space between its words.
    paths
        Each distinct path once, in order of mention; optional where any mention has ``?``.
    """

    text: str
    paths: tuple[Path, ...]
    tree: _Tree

    @classmethod
    def parse(cls, text: str, *, line: int = 0, column: int = 1, source: str = "") -> Predicate:
        """Read a condition.

        Parameters
        ----------
        line, column, source
            The place of `text` in its cell, so that errors point into the cell.

        Raises
        ------
        BadExpression
            The text is empty, longer than 1 kB, nested deeper than 16, or not a condition; line and column are given.
        """
        place = Place(line, source) if line else Place(1, text)
        _check_size(text, place, column)
        tokens = [t._replace(column=t.column + column - 1) for t in tokenize(text, place)]
        return cls.of_tokens(tokens, place)

    @classmethod
    def of_tokens(cls, tokens: list[Token], place: Place) -> Predicate:
        """Read a condition from the tokens of a line (see `parse`)."""
        spaced = spaced_text(tokens)
        _check_size(spaced, place, tokens[0].column if tokens else 0)
        parser = _Parser(tokens, place)
        tree = parser.whole()
        paths: dict[tuple[str, ...], Path] = {}
        for path in parser.paths:
            if path.parts not in paths or path.optional:
                paths[path.parts] = path
        return cls(spaced, tuple(paths.values()), tree)

    def evaluate(self, lookup: Lookup) -> tuple[bool, dict[str, object]]:
        """Return the truth of the condition, and the values it looked at.

        Parameters
        ----------
        lookup
            ``lookup(parts)`` gives the value of a path; `KeyError` (or None) means that it is absent.

        Returns
        -------
        tuple
            The truth, and path text -> value for each path that was needed: ``and`` and ``or`` stop as soon as they
            can, so ``x.n? != null and x.n > 3`` is safe.

        Raises
        ------
        SemanticFailure
            Null or two different types are compared, or a value that must be true or false is neither.
        """
        evaluation = _Evaluation(self.text, lookup)
        return evaluation.truth(self.tree), evaluation.seen

    def check(self, type_of: TypeOf) -> list[str]:
        """Return what is certain to go wrong, given the types of what is read; [] for nothing.

        Parameters
        ----------
        type_of
            ``type_of((name,))`` gives the JSON Schema of a node's, group's or input's value, None where it is unknown.
        """
        return problems_of(self, type_of)


def _check_size(text: str, place: Place, column: int) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_PREDICATE_BYTES:
        raise Place(place.line).error(
            f"the condition must have at most {MAX_PREDICATE_BYTES:,} bytes, got {size:,} bytes.",
            hint="compute it in a function node and compare its result",
        )
    if not text.strip():
        raise place.error("a condition is missing.", column, "such as: when qa.score < 0.6")


def spaced_text(tokens: list[Token]) -> str:
    """Return the tokens as one line with canonical spaces."""
    out = ""
    for token in tokens:
        tight = not out or out[-1] in "([" or token.text in (")", "]", ",")
        tight = tight or (token.text == "(" and re.search(rf"(?<![\w.])(?:{'|'.join(CALLS)})$", out) is not None)
        out += token.text if tight else " " + token.text
    return out


class _Parser(Cursor):
    """A recursive descent over the tokens; its depth is bounded because brackets are counted first.

    It is not Python's parser: ``path?`` is not Python, a `%%graph` line hands over its tokens, and each hint has its column.
    """

    def __init__(self, tokens: list[Token], place: Place) -> None:
        super().__init__(tokens, place)
        self.paths: list[Path] = []
        depth = 0
        for token in tokens:
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if depth > MAX_DEPTH:
                self.fail(f"the condition is nested deeper than {MAX_DEPTH}.", token=token)

    def whole(self) -> _Tree:
        """Read the condition to its end."""
        tree = self._or()
        if self.text:
            self._refuse("the condition is already complete here", "join conditions by `and` or `or`")
        return tree

    def _need(self, what: str, hint: str = "") -> NoReturn:
        """Fail because something is missing here."""
        if not self.text:
            after = f" must follow `{self.tokens[-1].text}`" if self.tokens else " is missing"
            self.fail(f"The condition ends too early: {what}{after}.", hint)
        self._refuse(f"{what} belongs here", hint)

    def _refuse(self, why: str, hint: str = "") -> NoReturn:
        self.fail(f"Unexpected {self.shown()}: {why}.", "compare by `==`" if self.text in ("=", "is") else hint)

    def _or(self) -> _Tree:
        items = [self._and()]
        while self.take("or"):
            items.append(self._and())
        return items[0] if len(items) == 1 else _Join("or", tuple(items))

    def _and(self) -> _Tree:
        items = [self._not()]
        while self.take("and"):
            items.append(self._not())
        return items[0] if len(items) == 1 else _Join("and", tuple(items))

    def _not(self) -> _Tree:
        times = 0
        while self.take("not"):
            times += 1
        item = self._comparison()
        return _Not(item) if times % 2 else item

    def _comparison(self) -> _Tree:
        if self.take("("):
            inner = self._or()
            if not self.take(")"):
                self._need("`)`", "every ( needs its )")
            return inner
        first = self._operand()
        rest: list[tuple[str, _Read | _Const | _List]] = []
        while op := self._operator():
            if op in ("in", "not in"):
                is_path = self.token.kind == "path" and self.text not in _CONSTANTS
                rest.append((op, self._path() if is_path else self._list()))
                break
            rest.append((op, self._operand()))
        return _Compare(first, tuple(rest))

    def _operator(self) -> str:
        if op := self.take(*_COMPARE, "in"):
            return op
        if self.text == "not" and self.peek().text == "in":
            self.at += 2
            return "not in"
        return ""

    def _operand(self) -> _Read | _Const:
        token = self.token
        if token.kind != "path" or token.text in _CONSTANTS:
            return _Const(self._constant())
        if token.text in _JOINING:
            self._refuse("a field or a value is missing before it")
        following = self.peek().text
        if token.text in CALLS and following == "(":
            return self._call(token.text)
        if following in ("(", "["):
            self.at += 1
            self._refuse(
                "conditions have no calls and no indices", "compute it in a function node and compare its result"
            )
        return self._path()

    def _call(self, word: str) -> _Call:
        self.at += 2
        if self.token.kind != "path" or self.text in _CONSTANTS:
            self._need("a field", _FORMS[word])
        path = self._path()
        if not self.take(")"):
            self._need("`)`", _FORMS[word])
        return _Call(word, path)

    def _path(self) -> Path:
        token = self.next()
        path = read_path(token.text, line=self.place.line, column=token.column, source=self.place.source)
        self.paths.append(path)
        return path

    def _constant(self) -> Constant:
        token = self.token
        if token.text not in _CONSTANTS and token.kind not in ("string", "number"):
            self._need("a field or a value", "such as: qa.score < 0.6")
        self.at += 1
        if token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        return string_at(token, self.place) if token.kind == "string" else number_value(token, self.place)

    def _list(self) -> _List:
        if not self.take("["):
            self._need("a list of constants", 'such as: triage.category in ["billing", "sales"]')
        items: list[Constant] = []
        while not self.take("]"):
            if items and not self.take(","):
                self._need("`,` or `]`", "every [ needs its ]")
            if items and self.take("]"):
                break
            if not self.text:
                self._need("`]`", "every [ needs its ]")
            if self.token.kind == "path" and self.text not in _CONSTANTS:
                self._refuse("the list takes constants only", f'text is quoted: "{self.text}"')
            items.append(self._constant())
        if len({_class(i) for i in items if i is not None}) > 1:
            self.at -= 1
            self._refuse("the list mixes types", "text with text, numbers with numbers")
        return _List(tuple(items))


_SAME_TYPE = "compare values of one type"
_FORMS = {LEN: "such as: len(ticket) > 2000", ANY: "such as: any(check.failed)", ALL: "such as: all(check.passed)"}


def number_value(token: Token, place: Place) -> int | float:
    """Return the number of a token.

    Raises
    ------
    BadExpression
        The number is longer than 40 characters or too large for a float.
    """
    if len(token.text) > MAX_NUMBER:
        raise place.error(
            f"A number has at most {MAX_NUMBER} characters, got {len(token.text)} characters.", token.column
        )
    value = float(token.text)
    if math.isinf(value):
        raise place.error(f"`{token.text}` is too large.", token.column)
    return value if any(c in token.text for c in ".eE") else int(token.text)


def _class(value: object) -> str:
    """Return the class of a value; values of one class may be compared. True and false are not numbers here."""
    return _KINDS.get(type(value), type(value).__name__)


# ------------------------------------------------------------------ evaluation
class _Evaluation:
    """One evaluation; `seen` has the values it looked at."""

    def __init__(self, text: str, lookup: Lookup) -> None:
        self.text, self.lookup = text, lookup
        self.seen: dict[str, object] = {}

    def truth(self, node: _Tree) -> bool:
        match node:
            case _Join(word="and", items=items):
                return all(self.truth(i) for i in items)
            case _Join(items=items):
                return any(self.truth(i) for i in items)
            case _Not(item=item):
                return not self.truth(item)
            case _Compare():
                return self._evaluate_compare(node)

    def _evaluate_compare(self, node: _Compare) -> bool:
        if not node.rest:
            return self._boolean(node.first)
        left = node.first
        for op, right in node.rest:
            if isinstance(right, _List):
                return self._member(left, op, right.items)
            if op in ("in", "not in"):
                return self._is_inside(left, op, right)
            if not self._pair(left, op, right):
                return False
            left = right
        return True

    def _boolean(self, operand: _Read | _Const) -> bool:
        value = self._value(operand)
        if value is None and isinstance(operand, _Read) and operand.optional:
            return False
        if not isinstance(value, bool):
            self._fail(f"{self._name_of(operand, value)}, which is neither true nor false", "compare it with something")
        return value

    def _pair(self, left: _Read | _Const, op: str, right: _Read | _Const) -> bool:
        a, b = self._value(left), self._value(right)
        if a is None or b is None:
            return self._with_null(left, a, op, right, b)
        if _class(a) != _class(b):
            self._raise_mixed(left, a, right, b)
        if op not in ("==", "!=") and _class(a) not in ("a number", "text"):
            self._fail(f"{self._name_of(left, a)}, which has no order: `{op}` cannot be decided", "compare by == or !=")
        return _COMPARE[op](a, b)

    def _with_null(self, left: _Read | _Const, a: object, op: str, right: _Read | _Const, b: object) -> bool:
        literal = (isinstance(left, _Const) and a is None) or (isinstance(right, _Const) and b is None)
        if literal and op in ("==", "!="):
            return (a is b) == (op == "==")
        for operand, value in ((left, a), (right, b)):
            if value is None and not (isinstance(operand, _Read) and operand.optional):
                self._fail(
                    f"{self._name_of(operand, value)}: `{op}` cannot be decided on null",
                    self._null_hint(operand),
                )
        return op == "!=" and a is not b

    def _member(self, left: _Read | _Const, op: str, items: tuple[Constant, ...]) -> bool:
        value = self._value(left)
        if value is None and None not in items:
            if not (isinstance(left, _Read) and left.optional):
                self._fail(f"{self._name_of(left, value)}: `{op}` cannot be decided on null", self._null_hint(left))
            return op == "not in"
        kinds = {_class(i) for i in items if i is not None}
        if value is not None and kinds and _class(value) not in kinds:
            self._fail(f"{self._name_of(left, value)}, but the list holds {kinds.pop()}", "compare values of one type")
        return (value in items) == (op == "in")

    def _is_inside(self, left: _Read | _Const, op: str, right: _Read | _Const) -> bool:
        """Return whether a text is in a text, or a value in a list."""
        part, whole = self._value(left), self._value(right)
        for operand, value in ((left, part), (right, whole)):
            if value is None:
                if not (isinstance(operand, _Read) and operand.optional):
                    self._fail(
                        f"{self._name_of(operand, value)}: `{op}` cannot be decided on null", self._null_hint(operand)
                    )
                return op == "not in"
        if isinstance(whole, list):
            kinds = {_class(item) for item in whole if item is not None}
            if kinds and _class(part) not in kinds:
                self._fail(f"{self._name_of(left, part)}, but the list has {' and '.join(sorted(kinds))}", _SAME_TYPE)
            return (part in whole) == (op == "in")
        if not isinstance(whole, str):
            self._fail(f"{self._name_of(right, whole)}: `{op}` takes a text or a list", "compare by == or !=")
        if not isinstance(part, str):
            self._fail(f"{self._name_of(left, part)}, which cannot be in a text", _SAME_TYPE)
        return (part in whole) == (op == "in")

    def _value(self, operand: _Read | _Const) -> object:
        if isinstance(operand, _Const):
            return operand.value
        try:
            value = self.lookup(operand.parts)
        except KeyError:
            if not operand.optional:
                self._fail(f"`{operand.text}` is absent", self._null_hint(operand))
            value = None
        if isinstance(operand, _Call):
            value = self._length(operand, value) if operand.word == LEN else self._truths(operand, value)
        self.seen[operand.text.replace("?", "")] = value
        return value

    def _truths(self, operand: _Call, value: object) -> bool | None:
        """Return ``any`` or ``all`` of a list of true and false."""
        if value is None:
            return None
        form = f"`{operand.word}` takes a list of true and false"
        if not isinstance(value, list):
            return self._fail(f"{self._name_of(operand.path, value)}, which is not a list", form)
        other = [item for item in value if not isinstance(item, bool)]
        if other:
            self._fail(f"`{operand.path.text}` has the item {other[0]!r:.40}, which is neither true nor false", form)
        return any(value) if operand.word == ANY else all(value)

    def _length(self, operand: _Call, value: object) -> int | None:
        if value is None:
            return None
        if isinstance(value, str | list | dict):
            return len(value)
        return self._fail(
            f"{self._name_of(operand.path, value)}, which has no length", "len counts texts, lists and mappings"
        )

    def _name_of(self, operand: _Read | _Const, value: object) -> str:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        if isinstance(value, bool | None):
            shown = {True: "true", False: "false", None: "null"}[value]
        return f"`{operand.text}` is {shown}" if isinstance(operand, _Read) else f"the constant is {shown}"

    def _null_hint(self, operand: _Read | _Const) -> str:
        name = ".".join(operand.parts) if isinstance(operand, _Read) else "x"
        return f"write `{name}?` where it may be absent: the comparison is then false"

    def _raise_mixed(self, left: _Read | _Const, a: object, right: _Read | _Const, b: object) -> NoReturn:
        self._fail(
            f"{self._name_of(left, a)} ({_class(a)}) and {self._name_of(right, b)} ({_class(b)}) cannot be compared",
            "compare values of one type",
        )

    def _fail(self, what: str, hint: str) -> NoReturn:
        raise SemanticFailure(f"`{self.text}`: {what}.", hint=hint, values=dict(self.seen))


# ------------------------------------------------------------------ types
# Conditions against the declared types of what they read: what is certain to fail is found before anything is paid.

_WORDS = {
    "string": "text", "integer": "a number", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "a mapping",
}  # fmt: skip


def problems_of(predicate: Predicate, type_of: TypeOf) -> list[str]:
    """Return one line for each certain failure of a condition, in the order of the text."""
    checker = _Checker(type_of)
    checker.truth(predicate.tree)
    return list(dict.fromkeys(checker.problems))


def field_schema(schema: JsonObject, parts: tuple[str, ...]) -> tuple[JsonObject | None, str]:
    """Return the schema at `parts` below `schema`, and what is wrong with the way there.

    Returns
    -------
    tuple
        (schema, ""), or (None, "") where the schema says nothing, or (None, problem) where the field does not exist.
    """
    here: JsonObject | None = schema
    for depth, part in enumerate(parts):
        here, problem = _step(_branches(here, schema), part)
        if problem or here is None:
            return None, f"`{'.'.join(parts[: depth + 1])}`: {problem}" if problem else ""
    return here, ""


def _branches(schema: JsonObject | None, root: JsonObject) -> list[JsonObject]:
    """Return the non-null alternatives of a schema, with local references followed."""
    branches: list[JsonObject] = []
    waiting = [schema or {}]
    for _ in range(64):
        if not waiting:
            return branches
        branch = waiting.pop(0)
        if "$ref" in branch:
            branch = as_dict(as_dict(root.get("$defs")).get(str(branch["$ref"]).removeprefix("#/$defs/")))
        nested = as_list(branch.get("anyOf")) or as_list(branch.get("oneOf"))
        if nested:
            waiting.extend(as_dict(one) for one in nested)
        elif branch.get("type") != "null":
            branches.append(branch)
    return [{}]


def _step(branches: list[JsonObject], part: str) -> tuple[JsonObject | None, str]:
    known: list[str] = []
    fields: list[Json] = []
    for branch in branches:
        properties = branch.get("properties")
        if isinstance(properties, dict):
            known += properties
            fields += [properties[part]] if part in properties else []
        elif _kinds(branch) in (set(), {"a mapping"}):
            return None, ""
        if branch.get("additionalProperties"):
            return None, ""
    if fields:
        return (as_dict(fields[0]) if len(fields) == 1 else {"anyOf": fields}), ""
    if known:
        near = nearest(part, known)
        return None, "this field does not exist; " + (
            f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"
        )
    kinds = sorted({k for b in branches for k in _kinds(b)})
    return None, f"it is {' or '.join(kinds) or 'null'}, which has no fields"


def _kinds(branch: JsonObject) -> set[str]:
    """Return what values of a schema may be, in the words of the evaluation; empty when the schema says nothing."""
    if "const" in branch:
        return {_kind_of(branch["const"])}
    if "enum" in branch:
        return {_kind_of(v) for v in as_list(branch["enum"])}
    declared = branch.get("type")
    words = declared if isinstance(declared, list) else [declared]
    return {_WORDS[str(w)] for w in words if w in _WORDS}


def _kind_of(value: Json) -> str:
    return "null" if value is None else _class(value)


class _Type:
    """The type of one side of a comparison. `kinds` empty: anything. `values` None: any of these kinds."""

    def __init__(self, kinds: set[str], values: list[Json] | None = None) -> None:
        self.kinds, self.values = kinds, values


class _Checker:
    def __init__(self, type_of: TypeOf) -> None:
        self.type_of = type_of
        self.problems: list[str] = []

    def truth(self, node: _Tree) -> None:
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
            if op in ("in", "not in"):
                self._check_inside(left, right)
                return
            self._pair(left, op, right)
            left = right

    def _boolean(self, operand: _Read | _Const) -> None:
        kinds = self._type(operand).kinds
        if kinds and "true or false" not in kinds:
            self.problems.append(f"{_name_of(operand)} is {_join(kinds)}, not true or false: compare it with something")

    def _pair(self, left: _Read | _Const, op: str, right: _Read | _Const) -> None:
        a, b = self._type(left), self._type(right)
        if _is_null(left) or _is_null(right):
            return
        if a.kinds and b.kinds and not (a.kinds & b.kinds):
            self.problems.append(
                f"{_name_of(left)} is {_join(a.kinds)} and {_name_of(right)} is {_join(b.kinds)}: they cannot be compared"
            )
        elif op in ("==", "!="):
            for path, enum, const in ((left, a, right), (right, b, left)):
                if isinstance(path, Path) and isinstance(const, _Const):
                    self._among(path, enum, const.value)
        else:
            self._check_ordered(left, a, op)
            self._check_ordered(right, b, op)

    def _check_ordered(self, operand: _Read | _Const, found: _Type, op: str) -> None:
        if found.kinds and not found.kinds & {"text", "a number"}:
            self.problems.append(
                f"{_name_of(operand)} is {_join(found.kinds)}, which has no order: `{op}` cannot be decided"
            )

    def _members(self, left: _Read | _Const, right: _List) -> None:
        found = self._type(left)
        kinds = {_kind_of(v) for v in right.items if v is not None}
        if found.kinds and kinds and not found.kinds & kinds:
            self.problems.append(f"{_name_of(left)} is {_join(found.kinds)}, but the list holds {_join(kinds)}")
        elif isinstance(left, Path):
            for value in right.items:
                self._among(left, found, value)

    def _check_inside(self, left: _Read | _Const, right: _Read | _Const) -> None:
        part, whole = self._type(left).kinds, self._type(right).kinds
        if whole and not whole & {"text", "a list"}:
            self.problems.append(f"{_name_of(right)} is {_join(whole)}, but `in` takes a text or a list")
        elif whole == {"text"} and part and "text" not in part:
            self.problems.append(f"{_name_of(left)} is {_join(part)}, which cannot be in a text")

    def _among(self, path: Path, found: _Type, value: Constant) -> None:
        if found.values is None or value in found.values or value is None:
            return
        words = [str(v) for v in found.values]
        near = nearest(str(value), words)
        hint = f"did you mean `{near}`?" if near else f"it is one of {', '.join(words)}"
        self.problems.append(f"`{path.text}` is never {value!r}; {hint}")

    def _type(self, operand: _Read | _Const) -> _Type:
        if isinstance(operand, _Const):
            return _Type({_kind_of(operand.value)})
        if isinstance(operand, _Call):
            return self._call(operand)
        root = self.type_of(operand.parts[:1])
        if root is None:
            return _Type(set())
        schema, problem = field_schema(root, operand.parts[1:])
        if problem:
            self.problems.append(f"`{operand.text}` cannot be read from `{operand.parts[0]}`: {problem}")
        return _type_of_schema(schema, root) if schema is not None else _Type(set())

    def _call(self, operand: _Call) -> _Type:
        kinds = self._type(operand.path).kinds
        if operand.word != LEN:
            if kinds and "a list" not in kinds:
                self.problems.append(f"`{operand.text}`: `{operand.path.text}` is {_join(kinds)}, not a list")
            return _Type({"true or false"})
        if kinds and not kinds & {"text", "a list", "a mapping"}:
            self.problems.append(f"`{operand.text}`: `{operand.path.text}` is {_join(kinds)}, which has no length")
        return _Type({"a number"})


def _type_of_schema(schema: JsonObject, root: JsonObject) -> _Type:
    branches = _branches(schema, root)
    kinds = [_kinds(b) for b in branches]
    if not all(kinds):
        return _Type(set())
    lists = list(_value_lists(branches))
    values = [v for one in lists for v in one] if len(lists) == len(branches) and lists else None
    return _Type(set().union(*kinds), values)


def _value_lists(branches: list[JsonObject]) -> Iterator[list[Json]]:
    for branch in branches:
        if "enum" in branch:
            yield as_list(branch["enum"])
        elif "const" in branch:
            yield [branch["const"]]


def _is_null(operand: _Read | _Const) -> bool:
    return isinstance(operand, _Const) and operand.value is None


def _name_of(operand: _Read | _Const) -> str:
    return f"`{operand.text}`" if isinstance(operand, _Read) else f"the constant {operand.value!r}"


def _join(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))
