"""Conditions as text: ``qa.score < 0.6 and triage.category in ["billing", "sales"]``.

Comparisons (chained too), ``and or not``, ``in`` a literal list, paths, ``len(path)`` and constants: nothing else. The
text is read by a parser of its own with bounded length and depth, never by Python's, so a condition cannot call, index or
compute. ``len`` counts a text's characters, a list's items, a mapping's keys: what rules about size need.

A condition never guesses: null and mixed types are a `SemanticFailure` that names the path and its value. Only a path
marked ``?`` may be absent: then it equals ``null`` and nothing else, is neither more nor less than anything, and is not
true.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from orch_nb.errors import BadExpression, SemanticFailure, nearest
from orch_nb.lang.template import Path, read_path
from orch_nb.lang.tokens import Place, string_value, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch_nb.lang.tokens import Token

    TypeOf = Callable[[tuple[str, ...]], dict[str, Any] | None]

    Lookup = Callable[[tuple[str, ...]], Any]

MAX_PREDICATE_BYTES = 1024
MAX_DEPTH = 16
MAX_NUMBER = 40
LEN = "len"

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_JOINING = ("and", "or", "not", "in")
WORDS = (*_JOINING, LEN, *_CONSTANTS)
"""Words of a condition."""
OPERATORS = tuple(_COMPARE)

_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


# ------------------------------------------------------------------ the tree
@dataclass(slots=True, frozen=True)
class _Const:
    value: Any


@dataclass(slots=True, frozen=True)
class _Len:
    """``len(path)``: a number where the path has a value, absent where it is absent."""

    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.parts

    @property
    def optional(self) -> bool:
        return self.path.optional

    @property
    def text(self) -> str:
        return f"{LEN}({self.path.text})"


_Read = Path | _Len
"""What a condition looks at, as opposed to what it states."""


@dataclass(slots=True, frozen=True)
class _List:
    items: tuple[Any, ...]


@dataclass(slots=True, frozen=True)
class _Compare:
    first: _Read | _Const
    rest: tuple[tuple[str, _Read | _Const | _List], ...]


@dataclass(slots=True, frozen=True)
class _Not:
    item: Any


@dataclass(slots=True, frozen=True)
class _Join:
    word: str
    items: tuple[Any, ...]


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
    tree: Any

    @classmethod
    def parse(cls, text: str, *, line: int = 0, column: int = 1, source: str = "") -> Predicate:
        """The condition that `text` says.

        Parameters
        ----------
        line, column, source
            Where `text` begins in its cell, so that errors point into the cell.

        Raises
        ------
        BadExpression
            It is empty, longer than 1 kB, nested deeper than 16, or not a condition; line and column are given.
        """
        place = Place(line, source) if line else Place(1, text)
        _check_size(text, place, column)
        tokens = [t._replace(column=t.column + column - 1) for t in tokenize(text, place)]
        return cls.of_tokens(tokens, place)

    @classmethod
    def of_tokens(cls, tokens: list[Token], place: Place) -> Predicate:
        """The condition that these pieces of a line say (see `parse`)."""
        spaced = spaced_text(tokens)
        _check_size(spaced, place, tokens[0].column if tokens else 0)
        parser = _Parser(tokens, place)
        tree = parser.whole()
        paths: dict[tuple[str, ...], Path] = {}
        for path in parser.paths:
            if path.parts not in paths or path.optional:
                paths[path.parts] = path
        return cls(spaced, tuple(paths.values()), tree)

    def evaluate(self, lookup: Lookup) -> tuple[bool, dict[str, Any]]:
        """Whether the condition holds, and the values it looked at.

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
            Null or two different types are compared, or what should be true or false is neither.
        """
        return _Evaluation(self.text, lookup).whole(self.tree)

    def check(self, type_of: TypeOf) -> list[str]:
        """What is certain to go wrong, given the types of what is read; [] when nothing is.

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
            f"the condition has {size:,} bytes; {MAX_PREDICATE_BYTES:,} is the most.",
            hint="compute it in a function node and compare its result",
        )
    if not text.strip():
        raise place.error("a condition is missing.", column, "such as: when qa.score < 0.6")


def spaced_text(tokens: list[Token]) -> str:
    """The pieces as one line with canonical spaces."""
    out = ""
    for token in tokens:
        tight = not out or out[-1] in "([" or token.text in (")", "]", ",")
        tight = tight or (token.text == "(" and re.search(rf"(?<![\w.]){LEN}$", out) is not None)
        out += token.text if tight else " " + token.text
    return out


class _Parser:
    """Recursive descent over the pieces; its depth is bounded because brackets are counted first."""

    def __init__(self, tokens: list[Token], place: Place) -> None:
        self.tokens, self.place, self.at = tokens, place, 0
        self.paths: list[Path] = []
        self._check_depth()

    def _check_depth(self) -> None:
        depth = 0
        for token in self.tokens:
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if depth > MAX_DEPTH:
                raise self.place.error(f"the condition is nested deeper than {MAX_DEPTH}.", token.column)

    def whole(self) -> Any:
        tree = self._or()
        if self.at < len(self.tokens):
            self._raise_unexpected("the condition is already complete here", "join conditions by `and` or `or`")
        return tree

    @property
    def _text(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    @property
    def _column(self) -> int:
        if self.at < len(self.tokens):
            return self.tokens[self.at].column
        return self.tokens[-1].column + len(self.tokens[-1].text) if self.tokens else 0

    def _take(self, *words: str) -> str:
        if self._text in words and self._text:
            self.at += 1
            return self.tokens[self.at - 1].text
        return ""

    def _raise_unexpected(self, why: str, hint: str = "") -> NoReturn:
        shown = f"`{self._text}`" if self._text else "the end"
        if self._text in ("=", "is"):
            hint = "compare by `==`"
        raise self.place.error(f"unexpected {shown}: {why}.", self._column, hint)

    def _or(self) -> Any:
        items = [self._and()]
        while self._take("or"):
            items.append(self._and())
        return items[0] if len(items) == 1 else _Join("or", tuple(items))

    def _and(self) -> Any:
        items = [self._not()]
        while self._take("and"):
            items.append(self._not())
        return items[0] if len(items) == 1 else _Join("and", tuple(items))

    def _not(self) -> Any:
        times = 0
        while self._take("not"):
            times += 1
        item = self._comparison()
        return _Not(item) if times % 2 else item

    def _comparison(self) -> Any:
        if self._take("("):
            inner = self._or()
            if not self._take(")"):
                self._raise_unexpected("`)` is missing", "every ( needs its )")
            return inner
        first = self._operand()
        rest: list[tuple[str, _Read | _Const | _List]] = []
        while op := self._operator():
            if op in ("in", "not in"):
                rest.append((op, self._list()))
                break
            rest.append((op, self._operand()))
        return _Compare(first, tuple(rest))

    def _operator(self) -> str:
        if op := self._take(*_COMPARE, "in"):
            return op
        following = self.tokens[self.at + 1].text if self.at + 1 < len(self.tokens) else ""
        if self._text == "not" and following == "in":
            self.at += 2
            return "not in"
        return ""

    def _operand(self) -> _Read | _Const:
        if self.at >= len(self.tokens):
            self._raise_unexpected("a path or a constant is missing", "such as: qa.score < 0.6")
        token = self.tokens[self.at]
        if token.kind == "path" and token.text not in _CONSTANTS:
            return self._path(token)
        return _Const(self._constant())

    def _length(self) -> _Len:
        self.at += 2
        if self.at >= len(self.tokens) or self.tokens[self.at].kind != "path" or self._text in _CONSTANTS:
            self._raise_unexpected("a path belongs here", "such as: len(ticket) > 2000")
        path = self._path(self.tokens[self.at])
        if isinstance(path, _Len) or not self._take(")"):
            self._raise_unexpected("`)` is missing", "such as: len(ticket) > 2000")
        return _Len(path)

    def _path(self, token: Token) -> _Read:
        if token.text in _JOINING:
            self._raise_unexpected("a path or a constant is missing before it")
        following = self.tokens[self.at + 1].text if self.at + 1 < len(self.tokens) else ""
        if token.text == LEN and following == "(":
            return self._length()
        if following in ("(", "["):
            self.at += 1
            self._raise_unexpected(
                "there are no calls and no indices", "compute it in a function node and compare its result"
            )
        self.at += 1
        path = read_path(token.text, line=self.place.line, column=token.column, source=self.place.source)
        self.paths.append(path)
        return path

    def _constant(self) -> Any:
        token = self.tokens[self.at]
        value: Any
        if token.text in _CONSTANTS:
            value = _CONSTANTS[token.text]
        elif token.kind == "string":
            value = self._string(token)
        elif token.kind == "number":
            value = self._number(token)
        else:
            self._raise_unexpected("a path or a constant belongs here")
        self.at += 1
        return value

    def _string(self, token: Token) -> str:
        try:
            return string_value(token.text)
        except BadExpression as error:
            raise self.place.error(str(error), token.column, error.hint) from None

    def _number(self, token: Token) -> int | float:
        return number_value(token, self.place)

    def _list(self) -> _List:
        if not self._take("["):
            self._raise_unexpected("`in` takes a literal list", 'such as: triage.category in ["billing", "sales"]')
        items: list[Any] = []
        while not self._take("]"):
            if items and not self._take(","):
                self._raise_unexpected("`,` or `]` is missing", "every [ needs its ]")
            if items and self._take("]"):
                break
            items.append(self._item())
        if len({_class(i) for i in items if i is not None}) > 1:
            self.at -= 1
            self._raise_unexpected("the list mixes types", "text with text, numbers with numbers")
        return _List(tuple(items))

    def _item(self) -> Any:
        if self.at >= len(self.tokens):
            self._raise_unexpected("`]` is missing", "every [ needs its ]")
        token = self.tokens[self.at]
        if token.kind == "path" and token.text not in _CONSTANTS:
            self._raise_unexpected("the list holds constants only", f'text is quoted: "{token.text}"')
        return self._constant()


def number_value(token: Token, place: Place) -> int | float:
    """The number that a piece says.

    Raises
    ------
    BadExpression
        It is longer than 40 characters or too large for a float.
    """
    if len(token.text) > MAX_NUMBER:
        raise place.error(f"a number of {len(token.text)} characters; {MAX_NUMBER} is the most.", token.column)
    value = float(token.text)
    if math.isinf(value):
        raise place.error(f"`{token.text}` is too large a number.", token.column)
    return value if any(c in token.text for c in ".eE") else int(token.text)


def _class(value: Any) -> str:
    """Values of one class may be compared: true/false is no number here."""
    return _KINDS.get(type(value), type(value).__name__)


# ------------------------------------------------------------------ evaluation
class _Evaluation:
    """One evaluation: remembers the values it looked at."""

    def __init__(self, text: str, lookup: Lookup) -> None:
        self.text, self.lookup = text, lookup
        self.seen: dict[str, Any] = {}

    def whole(self, tree: Any) -> tuple[bool, dict[str, Any]]:
        return self._truth(tree), self.seen

    def _truth(self, node: Any) -> bool:
        match node:
            case _Join(word="and", items=items):
                return all(self._truth(i) for i in items)
            case _Join(items=items):
                return any(self._truth(i) for i in items)
            case _Not(item=item):
                return not self._truth(item)
        return self._evaluate_compare(node)

    def _evaluate_compare(self, node: _Compare) -> bool:
        if not node.rest:
            return self._boolean(node.first)
        left = node.first
        for op, right in node.rest:
            if isinstance(right, _List):
                return self._member(left, op, right.items)
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

    def _with_null(self, left: _Read | _Const, a: Any, op: str, right: _Read | _Const, b: Any) -> bool:
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

    def _member(self, left: _Read | _Const, op: str, items: tuple[Any, ...]) -> bool:
        value = self._value(left)
        if value is None and None not in items:
            if not (isinstance(left, _Read) and left.optional):
                self._fail(f"{self._name_of(left, value)}: `{op}` cannot be decided on null", self._null_hint(left))
            return op == "not in"
        kinds = {_class(i) for i in items if i is not None}
        if value is not None and kinds and _class(value) not in kinds:
            self._fail(f"{self._name_of(left, value)}, but the list holds {kinds.pop()}", "compare values of one type")
        return (value in items) == (op == "in")

    def _value(self, operand: _Read | _Const) -> Any:
        if isinstance(operand, _Const):
            return operand.value
        try:
            value = self.lookup(operand.parts)
        except KeyError:
            if not operand.optional:
                self._fail(f"`{operand.text}` is absent", self._null_hint(operand))
            value = None
        if isinstance(operand, _Len):
            value = self._length(operand, value)
        self.seen[operand.text.replace("?", "")] = value
        return value

    def _length(self, operand: _Len, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, str | list | dict):
            return len(value)
        return self._fail(
            f"{self._name_of(operand.path, value)}, which has no length", "len counts texts, lists and mappings"
        )

    def _name_of(self, operand: _Read | _Const, value: Any) -> str:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        if isinstance(value, bool | None):
            shown = {True: "true", False: "false", None: "null"}[value]
        return f"`{operand.text}` is {shown}" if isinstance(operand, _Read) else f"the constant is {shown}"

    def _null_hint(self, operand: _Read | _Const) -> str:
        name = ".".join(operand.parts) if isinstance(operand, _Read) else "x"
        return f"write `{name}?` where it may be absent: the comparison is then false"

    def _raise_mixed(self, left: _Read | _Const, a: Any, right: _Read | _Const, b: Any) -> NoReturn:
        self._fail(
            f"{self._name_of(left, a)} ({_class(a)}) and {self._name_of(right, b)} ({_class(b)}) cannot be compared",
            "compare values of one type",
        )

    def _fail(self, what: str, hint: str) -> NoReturn:
        raise SemanticFailure(f"`{self.text}`: {what}.", hint=hint, values=dict(self.seen))


# ------------------------------------------------------------------ types
# Conditions against the declared types of what they read: what is certain to fail is found before anything is paid.

if TYPE_CHECKING:
    Schema = dict[str, Any]

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
            got = _resolve_reference(str(got["$ref"]), root)
        nested = got.get("anyOf") or got.get("oneOf")
        if nested:
            waiting.extend(nested)
        elif got.get("type") != "null":
            found.append(got)
    return [{}]


def _resolve_reference(ref: str, root: Schema) -> Schema:
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
            self.problems.append(f"`{operand.text}`: `{operand.path.text}` is {_join(kinds)}, which has no length")
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


def _name_of(operand: _Read | _Const) -> str:
    return f"`{operand.text}`" if isinstance(operand, _Read) else f"the constant {operand.value!r}"


def _join(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))
