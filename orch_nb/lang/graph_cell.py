"""The text of a `%%graph` cell, read into a `GraphSpec`. One statement a line; `#` begins a comment.

::

    a -> b -> {c, d} -> e                        arrows; {…} and names of groups spread
    specialist = {billing, technical}            a group
    triage -> specialist  by triage.category  else general
    ask -> specialist  by similarity(ticket) above 0.3  else general
    qa -> triage  when qa.score < 0.6  at most 2
    qa -> person  else
    plan -> worker  each plan.tasks as task
    approve: human "Send this?"  when triage.confidence < 0.8
    {j1, j2}: agent judge  with text = draft.answer, strict = true
    alone                                        a node without arrows
    out send
    state Ticket

Reading is linear in the text and never recursive.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from orch_nb.errors import BadName, CellError, nearest
from orch_nb.lang.condition import Predicate, number_value, spaced_text
from orch_nb.lang.template import read_path
from orch_nb.lang.tokens import Cursor, Place, Token, refuse_constant, strict_float, string_at, tokenize
from orch_nb.schema.graph_spec import END, EdgeSpec, GraphSpec, NodeSpec
from orch_nb.schema.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orch_nb.schema.values import Json

KINDS = ("agent", "function", "human", "switch", "graph", "tool", "barrier")
"""Words that may follow ``NAME:``."""

OBJECTLESS = frozenset({"human", "switch", "barrier"})
"""Kinds of nodes that run no object."""

MAX_TEXT = 1_000_000
MAX_EDGES = 100_000
MAX_TRAVERSALS = 1_000_000
MAX_QUESTION = 4_000

_MODIFIERS = ("by", "when", "else", "at", "each")
WORDS = (*_MODIFIERS, "most", "as", "with", "above", "out", "state")
"""Words of the notation, beside `KINDS`, `CHOOSERS` and the words of conditions."""
_BY_FORMS = "`by PATH` chooses by a value; `by similarity(PATH)`, `by fit` and `by judge(MODEL)` by the candidates' descriptions"
CHOOSERS = ("similarity", "judge", "fit")
"""Words after `by`, beside a path."""


def parse_graph(name: str, text: str) -> GraphSpec:
    """Read the graph of a cell's text.

    Parameters
    ----------
    name
        The graph's name (from the `%%graph` line).
    text
        The cell below that line, up to 1,000,000 characters.

    Raises
    ------
    CellError
        The text cannot be read (also `BadName`, `BadExpression`): line, column and the line are shown, with what to write instead.
    """
    check_name(name, "graph")
    if len(text) > MAX_TEXT:
        raise CellError(
            f"The text of a graph must have at most {MAX_TEXT:,} characters, got {len(text):,} characters.",
            hint="nest graphs, or use Python",
        )
    return _Reader(name, text).read()


def parse_modifiers(text: str) -> EdgeSpec:
    """Read ``when … at most n`` and the like as an `EdgeSpec` without ends; plain for "".

    Raises
    ------
    CellError
        The text is not a modifier of an arrow.
    """
    line = _Line(1, text, text)
    if not line.tokens:
        return EdgeSpec("", "")
    if line.text not in _MODIFIERS:
        line.fail(f"Unexpected {line.shown()}.", "one of by, when, else, at most, each")
    return _Reader("modifiers", text).modifier(line)[0]


class _Line(Cursor):
    """One statement: its tokens, and its text as written."""

    __slots__ = ("raw",)
    kind = CellError

    def __init__(self, number: int, raw: str, source: str) -> None:
        place = Place(number, source)
        super().__init__(tokenize(raw, place), place)
        self.raw = raw

    def need(self, word: str, what: str, hint: str = "") -> None:
        """Move on behind a word, or fail because it is not there."""
        if not self.take(word):
            self.fail(f"{what}, got {self.shown()}.", hint)

    def path(self) -> str:
        token = self.token
        if token.kind != "path" or token.text in _MODIFIERS:
            raise self.place.error(
                f"a path belongs here, got {self.shown()}.", token.column, "such as: triage.category"
            )
        self.at += 1
        return read_path(token.text, line=self.place.line, column=token.column, source=self.place.source).text


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self.spec = GraphSpec(name, source=text)
        self.text = text
        self.good: set[str] = set()
        self.declared: dict[str, int] = {}
        self.group_lines: dict[str, int] = {}
        self.edges = self.counters = 0

    def read(self) -> GraphSpec:
        lines = []
        for number, raw in enumerate(self.text.splitlines(), 1):
            if raw.strip():
                line = _Line(number, raw, self.text)
                if line.tokens:
                    lines.append(line)
        members = {id(line): self._group(line) for line in lines if line.peek().text == "="}
        outs = []
        for line in lines:
            if id(line) in members:
                self._mention(members[id(line)], line.place.line)
            elif line.text == "out" and line.peek().text not in ("->", "→", ":"):
                outs.append(line)
            else:
                self._statement(line)
        for line in outs:
            self._out(line)
        check_choices(self.spec)
        return self.spec

    def _statement(self, line: _Line) -> None:
        if line.text == "state" and line.peek().text not in ("->", "→", ":"):
            self._state(line)
            return
        names = self._operand(line)
        if line.take(":"):
            self._declare(line, names)
        else:
            self._arrows(line, names)

    # -------------------------------------------------------------- names
    def _name(self, line: _Line, what: str = "node") -> str:
        token = line.token
        if token.kind != "path":
            line.fail(f"a name belongs here, got {line.shown()}.", "a letter, then letters, digits and _")
        if token.text not in self.good and not (what == "target" and token.text == END):
            self._check(token, line, what)
        line.at += 1
        return token.text

    def _check(self, token: Token, line: _Line, what: str) -> None:
        try:
            check_name(token.text, what)
        except BadName as error:
            raise BadName(
                str(error), line=line.place.line, column=token.column, source=self.text, hint=error.hint
            ) from None
        self.good.add(token.text)

    def _read_braces(self, line: _Line, what: str = "node") -> list[tuple[str, Token]]:
        """Return the names of ``{a, b}``; its first brace is already read."""
        found: dict[str, Token] = {}
        while True:
            token = line.token
            name = self._name(line, what)
            if name in found:
                line.fail(f"`{name}` occurs twice in the braces.", token=token)
            found[name] = token
            if line.take("}"):
                return list(found.items())
            line.need(",", "`,` or `}` belongs here", "such as: {billing, technical}")
            if line.take("}"):
                return list(found.items())

    def _operand(self, line: _Line, what: str = "node") -> tuple[str, ...]:
        """Return the nodes at one end of an arrow, with groups spread."""
        if not line.take("{"):
            name = self._name(line, what)
            return self.spec.groups.get(name) or (name,)
        spread: dict[str, None] = {}
        for name, token in self._read_braces(line, what):
            for member in self.spec.groups.get(name) or (name,):
                if member in spread:
                    line.fail(f"`{member}` occurs twice in the braces.", f"`{name}` holds it already", token)
                spread[member] = None
        return tuple(spread)

    def _mention(self, names: tuple[str, ...], number: int) -> None:
        for name in names:
            if name not in self.spec.nodes and name != END:
                self.spec.nodes[name] = NodeSpec(name, line=number)

    # -------------------------------------------------------------- groups, out, state
    def _group(self, line: _Line) -> tuple[str, ...]:
        token = line.token
        name = self._name(line, "group")
        line.need("=", "`=` belongs here")
        hint = "an arrow is ->" if line.text == ">" else f"such as: {name} = {{billing, technical}}"
        line.need("{", "the members of a group must be in braces", hint)
        members = self._read_braces(line)
        self._end(line)
        if name in self.spec.groups:
            line.fail(f"the group `{name}` is already defined on line {self.group_lines[name]}.", token=token)
        for member, where in members:
            if member == name or member in self.spec.groups:
                line.fail(f"`{member}` is a group; a group's members are nodes.", "list the nodes themselves", where)
        for other, inside in self.spec.groups.items():
            if name in inside:
                line.fail(f"`{name}` is a member of the group `{other}`; a group's members are nodes.", token=token)
        self.spec.groups[name] = tuple(member for member, _ in members)
        self.group_lines[name] = line.place.line
        return self.spec.groups[name]

    def _out(self, line: _Line) -> None:
        line.take("out")
        names = list(self.spec.out)
        while True:
            token = line.token
            name = self._name(line)
            if name not in self.spec.nodes and name not in self.spec.groups:
                near = nearest(name, [*self.spec.nodes, *self.spec.groups])
                hint = f"did you mean `{near}`?" if near else "an output is a node or a group of this graph"
                line.fail(f"This graph has no node `{name}`.", hint, token)
            if name in names:
                line.fail(f"`{name}` is already an output.", token=token)
            names.append(name)
            if not line.take(","):
                break
        self._end(line)
        self.spec.out = tuple(names)

    def _state(self, line: _Line) -> None:
        token = line.token
        line.take("state")
        name = self._name(line, "state class")
        self._end(line)
        if self.spec.state:
            line.fail(f"the state class is already `{self.spec.state}`.", "a graph has one state class", token)
        self.spec.state = name

    def _end(self, line: _Line) -> None:
        if line.text:
            line.fail(f"Unexpected {line.shown()}: the line is already complete.", "one statement a line")

    # -------------------------------------------------------------- nodes
    def _declare(self, line: _Line, names: tuple[str, ...]) -> None:
        self._check_declared(line, names)
        kind = self._kind(line)
        at = line.token
        of = self._object(line) if kind else ""
        if of and kind in OBJECTLESS and not (kind == "human" and line.text):  # more words: a question without quotes
            hint = f'such as: human "{of}"' if kind == "human" else f"such as: {names[0]}: {kind}"
            line.fail(f"A {kind} has no object, got `{of}`.", hint, at)
        question = self._question(line)
        bindings = self._bindings(line) if line.take("with") else {}
        gate = self._condition(line, len(line.tokens)) if line.take("when") else ""
        self._end_of_node(line)
        self._mention(names, line.place.line)
        for name in names:
            node = self.spec.nodes[name]
            node.kind, node.of, node.question, node.gate = kind, "" if of == name else of, question, gate
            node.bindings, node.line = dict(bindings), line.place.line
            self.declared[name] = line.place.line

    def _check_declared(self, line: _Line, names: tuple[str, ...]) -> None:
        first = line.tokens[0]
        if first.text in self.spec.groups:
            line.fail(f"`{first.text}` is a group, not a node.", "declare its members by name", first)
        for name in names:
            if name in self.declared:
                line.fail(f"`{name}` is already declared on line {self.declared[name]}.", "one line a node", first)

    def _kind(self, line: _Line) -> str:
        token = line.token
        if token.text in ("with", "when") or token.kind == "string":
            return ""
        if token.text not in KINDS:
            _no_kind(line)
        line.at += 1
        return token.text

    def _object(self, line: _Line) -> str:
        if line.token.kind != "path" or line.text in ("with", *_MODIFIERS):
            return ""
        return self._name(line, "object")

    def _question(self, line: _Line) -> str:
        token = line.token
        if token.kind != "string":
            return ""
        line.at += 1
        text = string_at(token, line.place)
        if len(text) > MAX_QUESTION:
            line.fail(
                f"A question must have at most {MAX_QUESTION:,} characters, got {len(text):,} characters.", token=token
            )
        return text

    def _bindings(self, line: _Line) -> dict[str, str]:
        found: dict[str, str] = {}
        while True:
            token = line.token
            name = self._name(line, "parameter")
            if name in found:
                line.fail(f"`{name}` is bound twice.", token=token)
            line.need("=", f"`{name} =` needs a path or a constant", f"such as: with {name} = draft.answer")
            found[name] = self._read_bound(line)
            if not line.take(","):
                return found

    def _read_bound(self, line: _Line) -> str:
        token = line.token
        if token.kind == "path" and token.text not in ("true", "false", "null"):
            return line.path()
        start = token.column - 1
        value, end = _json_at(line.raw, start, line.place)
        while line.text and line.token.column <= end:
            line.at += 1
        return json_text(value)

    def _end_of_node(self, line: _Line) -> None:
        if not line.text:
            return
        kind = line.raw.partition(":")[2].split(maxsplit=1)
        if kind[:1] == ["human"] and '"' not in line.raw and "'" not in line.raw:
            line.fail("A question must be in quotes.", f'such as: human "{kind[1].strip()}"')
        order = 'the order is NAME: KIND OBJECT "question" with a = x.y when CONDITION'
        line.fail(f"Unexpected {line.shown()} after the declaration of the node.", order)

    # -------------------------------------------------------------- arrows
    def _arrows(self, line: _Line, first: tuple[str, ...]) -> None:
        stops, starts = [first], [0]
        while line.token.kind == "arrow":
            line.at += 1
            starts.append(line.at)
            if not line.text or line.token.kind == "arrow":
                line.fail("The arrow has no target.", "such as: a -> b")
            stops.append(self._operand(line, "target"))
        for names in stops[:-1]:
            if END in names:
                line.fail("The graph ends at `out`: no arrow leads from it.", "such as: critic -> out  else")
        if line.text and (len(stops) == 1 or line.text not in _MODIFIERS):
            self._bad_continuation(line, alone=len(stops) == 1)
        if line.text and len(stops) > 2:
            self._long_chain(line, starts)
        for names in stops:
            self._mention(names, line.place.line)
        shape, default = self.modifier(line) if line.text else (EdgeSpec("", ""), ())
        for sources, targets in pairwise(stops):
            self._connect(sources, targets, shape, line)
        self._mention(default, line.place.line)
        self._connect(stops[0], default, EdgeSpec("", "", kind="else"), line)

    def _connect(self, sources: tuple[str, ...], targets: tuple[str, ...], shape: EdgeSpec, line: _Line) -> None:
        self.edges += len(sources) * len(targets)
        if self.edges > MAX_EDGES:
            line.fail(f"the graph has more than {MAX_EDGES:,} arrows.", "put a node between two large groups")
        if shape.at_most is not None and len(sources) * len(targets) > 1:
            self.counters += 1
            shape = replace(shape, counter=self.counters)
        for source in sources:
            for target in targets:
                self.spec.edges.append(shaped(shape, source, target, line.place.line))

    def _bad_continuation(self, line: _Line, *, alone: bool) -> NoReturn:
        word = line.text
        if word == ">":
            line.fail(f"Unexpected {line.shown()}.", "an arrow is ->")
        if word == "=":
            line.fail("Unexpected `=`.", "a group is NAME = {a, b}; a comparison is ==")
        words = "-> : =" if alone else "by, when, else, at most, each"
        near = nearest(word, _MODIFIERS)
        hint = f"did you mean `{near}`?" if near and not alone else ""
        expected = "`->`, `:` or `=`" if alone else "`by`, `when`, `else`, `at most` or `each`"
        if alone and word in (*_MODIFIERS, "with"):
            hint = f"a condition on a node is {line.tokens[0].text}: KIND {word} …; on an arrow: a -> b {word} …"
        line.fail(f"Unexpected {line.shown()}: {expected} belongs here.", hint or f"one of {words}")

    def _long_chain(self, line: _Line, starts: list[int]) -> NoReturn:
        """Fail for a modifier on a chain of arrows; the hint is the two lines to write."""
        cut = line.tokens[starts[-2]].column - 1
        head = spaced_text(line.tokens[: starts[-1] - 1]).replace("{ ", "{").replace(" }", "}")
        tail = line.raw[cut:].strip()
        line.fail(
            f"`{_modifier_words(line.text)}` qualifies one arrow, and this line has {len(starts) - 1}.",
            f"write two lines:\n    {head}\n    {tail}",
        )

    def modifier(self, line: _Line) -> tuple[EdgeSpec, tuple[str, ...]]:
        """Read the modifiers of the line's arrow, and the targets of ``by … else NAME``."""
        word = line.text
        default: tuple[str, ...] = ()
        reader: dict[str, Callable[[_Line], EdgeSpec]] = {
            "by": self._by, "when": self._when, "else": self._else, "at": self._plain, "each": self._each,
        }  # fmt: skip
        shape = reader[word](line)
        if word == "by" and line.take("else"):
            default = self._operand(line, "target")
        if line.text:
            self._after_modifier(line, word)
        return shape, default

    def _after_modifier(self, line: _Line, word: str) -> NoReturn:
        if line.token.kind == "arrow":
            line.fail(f"`{word}` ends the line.", "write the next arrow on a line of its own")
        if line.text in _MODIFIERS:
            line.fail(
                f"`{_modifier_words(line.text)}` cannot follow `{word}`.",
                "together go: when … at most n, else at most n, each … at most n, by … at most n else NAME",
            )
        line.fail(f"Unexpected {line.shown()} after `{word}`.", "one statement a line")

    def _when(self, line: _Line) -> EdgeSpec:
        line.take("when")
        condition = self._condition(line, _end_of_condition(line))
        return EdgeSpec("", "", kind="when", condition=condition, at_most=self._at_most(line))

    def _else(self, line: _Line) -> EdgeSpec:
        line.take("else")
        return EdgeSpec("", "", kind="else", at_most=self._at_most(line))

    def _plain(self, line: _Line) -> EdgeSpec:
        return EdgeSpec("", "", at_most=self._at_most(line))

    def _at_most(self, line: _Line) -> int | None:
        if not line.take("at"):
            return None
        line.need("most", "`at` is followed by `most`", "such as: at most 2")
        token = line.token
        if (
            token.kind != "number"
            or not token.text.isdecimal()
            or not 1 <= number_value(token, line.place) <= MAX_TRAVERSALS
        ):
            line.fail(
                f"`at most` needs a whole number from 1 to {MAX_TRAVERSALS:,}, got {line.shown()}.",
                "such as: at most 2",
            )
        line.at += 1
        return int(token.text)

    def _each(self, line: _Line) -> EdgeSpec:
        line.take("each")
        path = line.path()
        line.need("as", "`each PATH` is followed by `as NAME`", "such as: each plan.tasks as task")
        return EdgeSpec("", "", each=path, each_as=self._name(line, "item"), at_most=self._at_most(line))

    def _by(self, line: _Line) -> EdgeSpec:
        line.take("by")
        text, threshold = self._choice(line)
        return EdgeSpec("", "", kind="by", by=text, threshold=threshold, at_most=self._at_most(line))

    def _choice(self, line: _Line) -> tuple[str, float | None]:
        call = line.peek().text == "("
        if call and line.text == "similarity":
            line.at += 2
            path = line.path()
            line.need(")", "`)` belongs here", "such as: by similarity(ticket)")
            return f"similarity({path})", self._above(line)
        if call and line.text == "judge":
            line.at += 2
            model = self._name(line, "model")
            line.need(")", "`)` belongs here", "such as: by judge(big)")
            return f"judge({model})", None
        if line.text == "fit" and line.peek().text in ("", "else", "above", "at"):
            line.at += 1
            return "fit", self._above(line)
        if call:
            found = nearest(line.text, CHOOSERS)
            near = f"did you mean `{found}`? " if found else ""
            raise line.place.error(f"Unknown way to choose: `by {line.text}(…)`.", line.token.column, near + _BY_FORMS)
        token = line.token
        path = line.path()
        if path == "handoff":
            raise line.place.error(
                "`by handoff` is not available: agents cannot hand off yet.", token.column, _BY_FORMS
            )
        if line.text == "above":
            raise line.place.error("`above` belongs to `by similarity(PATH)`.", line.token.column, _BY_FORMS)
        return path, None

    def _above(self, line: _Line) -> float | None:
        if not line.take("above"):
            return None
        token = line.token
        value = float(number_value(token, line.place)) if token.kind == "number" else -1.0
        if not 0 <= value <= 1:
            line.fail(f"`above` needs a number from 0 to 1, got {line.shown()}.", "such as: above 0.3")
        line.at += 1
        return value

    def _condition(self, line: _Line, end: int) -> str:
        tokens = line.tokens[line.at : end]
        if not tokens:
            raise line.place.error("`when` needs a condition.", line.token.column, "such as: when qa.score < 0.6")
        line.at = end
        return Predicate.of_tokens(tokens, line.place).text


def _no_kind(line: _Line) -> NoReturn:
    word = line.text
    near = nearest(word, KINDS) if line.token.kind == "path" else ""
    if near:
        line.fail(f"Unknown kind of node: `{word}`.", f"did you mean `{near}`?")
    instance = f"{line.tokens[0].text}: agent {word or 'NAME'}"
    hint = f"one of {', '.join(KINDS)}; an instance of an agent: {instance}"
    line.fail(f"a kind of node belongs here, got {line.shown()}.", hint)


def _end_of_condition(line: _Line) -> int:
    """Return the end of a condition: `at most`, or a word or an arrow that cannot be part of it."""
    for at in range(line.at, len(line.tokens)):
        if line.tokens[at].text in _MODIFIERS or line.tokens[at].kind == "arrow":
            return at
    return len(line.tokens)


def _modifier_words(word: str) -> str:
    return "at most" if word == "at" else word


# ------------------------------------------------------------------ shared with the builder and the printer
def shaped(shape: EdgeSpec, source: str, target: str, line: int = 0) -> EdgeSpec:
    """Return an edge with the modifiers of `shape` between two names."""
    return EdgeSpec(
        source, target, shape.kind, shape.condition, shape.by, shape.threshold, shape.at_most, shape.each, shape.each_as, line,
        shape.counter,
    )  # fmt: skip


def check_choices(spec: GraphSpec) -> None:
    """Check that all `by` arrows of a node choose in one way.

    Raises
    ------
    CellError
        Two arrows from one node have different texts after `by`, or different thresholds.
    """
    first: dict[str, EdgeSpec] = {}
    for edge in spec.edges:
        if edge.kind != "by":
            continue
        one = first.setdefault(edge.source, edge)
        if (one.by, one.threshold) != (edge.by, edge.threshold):
            raise CellError(
                f"`{edge.source}` must choose in one way, got `by {_choice_text(one)}` and `by {_choice_text(edge)}`.",
                line=edge.line,
                source=spec.source,
                hint="put a switch node between",
            )


def _choice_text(edge: EdgeSpec) -> str:
    return edge.by if edge.threshold is None else f"{edge.by} above {edge.threshold!r}"


def json_text(value: object) -> str:
    """Return canonical JSON on one line, as after ``with a =``."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    plain = len(text.splitlines()) == 1 and not any(0xD800 <= ord(c) <= 0xDFFF for c in text)
    return text if plain else json.dumps(value, allow_nan=False)


def json_value(text: str) -> Json:
    """Read the constant of a binding.

    Raises
    ------
    ValueError
        The text is not JSON, is nested too deep, or has NaN or an infinity.
    """
    value, end = _decode(text.strip(), 0)
    if text.strip()[end:]:
        raise ValueError(f"`{text.strip()[end:][:20]}` follows the constant")
    return value


def _decode(text: str, start: int) -> tuple[Json, int]:
    try:
        return json.JSONDecoder(parse_constant=refuse_constant, parse_float=strict_float).raw_decode(text, start)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _json_at(raw: str, start: int, place: Place) -> tuple[Json, int]:
    try:
        return _decode(raw, start)
    except ValueError as error:
        message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        column = error.pos + 1 if isinstance(error, json.JSONDecodeError) else start + 1
        raise place.error(
            f"a path or a JSON constant belongs here: {message}.",
            column,
            'such as: with text = draft.answer, kind = "short"',
        ) from None


# ------------------------------------------------------------------ printing
# A `GraphSpec` as the text of a `%%graph` cell, in one canonical form: reading the text gives an equal graph (without line
# numbers and objects), and printing that gives the same text. Arrows keep their order; arrows in a row that differ only in
# their ends share a line.

MAX_HOPS = 6
"""Largest number of arrows in a printed line: more do not fit the width of a cell."""


def print_graph(spec: GraphSpec) -> str:
    """Return the canonical text of a graph: arrows, groups, declared nodes, outputs, state. Linear in its size."""
    return _Printer(spec).text()


@dataclass(slots=True)
class _Bundle:
    """Arrows of one line: every source to every target, with the same modifiers."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    shape: EdgeSpec
    default: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        return self.shape.kind == "plain" and self.shape.at_most is None and not self.shape.each


class _Printer:
    """A printer of lines. The nodes that are mentioned so far are always the first ones in the order of nodes."""

    def __init__(self, spec: GraphSpec) -> None:
        self.spec = spec
        self.order = list(spec.nodes)
        self.place = {name: at for at, name in enumerate(self.order)}
        self.seen: set[str] = set()
        self.next = 0
        self.groups = list(spec.groups.items())
        self.group_names: dict[tuple[str, ...], str] = {}
        self.undeclared = {n.name for n in spec.nodes.values() if _is_declared(n)}
        self.lines: list[str] = []

    def text(self) -> str:
        for chain in _chains(list(_bundles(self.spec.edges, self.place))):
            self._write(_ends(chain), partial(self._arrows, chain))
        self._rest_of_groups()
        self._declarations()
        self._mention_until(len(self.order) - 1)
        if self.spec.out:
            self.lines.append("out " + ", ".join(self.spec.out))
        if self.spec.state:
            self.lines.append(f"state {self.spec.state}")
        return "\n".join(self.lines) + "\n" if self.lines else ""

    # -------------------------------------------------------------- order of first mention
    def _write(self, names: Sequence[str], line: Callable[[], str]) -> None:
        """Write a line that mentions `names` in this order, after the nodes that must be mentioned before it."""
        new = [self.place[n] for n in dict.fromkeys(names) if n not in self.seen and n != END]
        if new:
            self._mention_until(_first_mentioned(new) - 1)
        self.lines.append(line())
        self._see(names)

    def _see(self, names: Sequence[str]) -> None:
        self.seen.update(names)
        while self.next < len(self.order) and self.order[self.next] in self.seen:
            self.next += 1
        while self.groups and all(m in self.seen for m in self.groups[0][1]):
            self._group(*self.groups.pop(0))

    def _mention_until(self, last: int) -> None:
        for name in self.order[self.next : last + 1]:
            if name in self.seen or self._mentioned_by_group():
                continue
            twins = self._twins(name) if name in self.undeclared else [name]
            self.lines.append(self._declaration_line(name) if name in self.undeclared else name)
            self._see(twins)

    def _mentioned_by_group(self) -> bool:
        """Write the line of the next group if it mentions exactly the next nodes; return if it does."""
        new = [n for n in self.groups[0][1] if n not in self.seen] if self.groups else []
        fits = bool(new) and new == self.order[self.next : self.next + len(new)]
        if fits:
            self._see(self.groups[0][1])
        return fits

    def _rest_of_groups(self) -> None:
        while self.groups:
            members = self.groups[0][1]
            new = [n for n in members if n not in self.seen]
            self._mention_until(max(self.place[n] for n in new))

    # -------------------------------------------------------------- lines
    def _group(self, name: str, members: tuple[str, ...]) -> None:
        self.lines.append(f"{name} = {{{', '.join(members)}}}")
        if len(members) > 1:
            self.group_names.setdefault(members, name)

    def _arrows(self, chain: list[_Bundle]) -> str:
        stops = [chain[0].sources, *(b.targets for b in chain)]
        text = " -> ".join(self._end(stop) for stop in stops)
        words = modifier_text(chain[0].shape)
        if chain[0].default:
            words += f"   else {self._end(chain[0].default)}"
        return f"{text}   {words}" if words else text

    def _end(self, names: tuple[str, ...]) -> str:
        if len(names) == 1:
            return names[0]
        return self.group_names.get(names) or f"{{{', '.join(names)}}}"

    def _declarations(self) -> None:
        for name in self.order:
            if name in self.undeclared:
                self._write(self._twins(name), partial(self._declaration_line, name))

    def _twins(self, name: str) -> list[str]:
        """Return the nodes that share a declaration with this one: the next instances of the same object."""
        first = self.spec.nodes[name]
        twins = [name]
        if first.of:
            for other in self.order[self.place[name] + 1 :]:
                if other not in self.undeclared or _declaration(self.spec.nodes[other]) != _declaration(first):
                    break
                twins.append(other)
        return twins

    def _declaration_line(self, name: str) -> str:
        twins = self._twins(name)
        self.undeclared.difference_update(twins)
        head = name if len(twins) == 1 else f"{{{', '.join(twins)}}}"
        return f"{head}: {_declaration(self.spec.nodes[name])}"


def modifier_text(shape: EdgeSpec) -> str:
    """Return the text after an arrow: ``when qa.score < 0.6   at most 2``."""
    words = []
    if shape.kind == "by":
        words.append(f"by {shape.by}" + (f" above {shape.threshold!r}" if shape.threshold is not None else ""))
    elif shape.kind == "when":
        words.append(f"when {shape.condition}")
    elif shape.kind == "else":
        words.append("else")
    if shape.each:
        words.append(f"each {shape.each} as {shape.each_as}")
    if shape.at_most is not None:
        words.append(f"at most {shape.at_most}")
    return "   ".join(words)


def _is_declared(node: NodeSpec) -> bool:
    return bool(node.kind or node.of or node.bindings or node.gate or node.question)


def _declaration(node: NodeSpec) -> str:
    words = [w for w in (node.kind, node.of) if w]
    if node.question:
        words.append(json_text(node.question))
    if node.bindings:
        words.append("with " + ", ".join(f"{k} = {v}" for k, v in node.bindings.items()))
    if node.gate:
        words.append(f"when {node.gate}")
    return " ".join(words)


def _ends(chain: list[_Bundle]) -> list[str]:
    names = [*chain[0].sources]
    for bundle in chain:
        names += bundle.targets
    return [*names, *chain[0].default]


def _first_mentioned(positions: list[int]) -> int:
    """Return the first node that a line may be the first to mention: the longest end of their order that is in order."""
    positioned = {position: at for at, position in enumerate(positions)}
    first = max(positions)
    while first - 1 in positioned and positioned[first - 1] < positioned[first]:
        first -= 1
    return first


# ------------------------------------------------------------------ edges into lines
class _Order:
    """The first mentions of nodes, so that lines are joined only where the order of nodes is the same."""

    def __init__(self, edges: list[EdgeSpec], place: dict[str, int]) -> None:
        self.place = place
        self.first: dict[str, int] = {}
        for at, edge in enumerate(edges):
            self.first.setdefault(edge.source, at)
            self.first.setdefault(edge.target, at)

    def may_join(self, source: str, targets: tuple[str, ...], at: int) -> bool:
        """Return if `source` may come before `targets` in a line that begins with the arrow `at`."""
        if self.first[source] < at or all(self.first[t] < at for t in targets):
            return True
        return self.place[source] < min((self.place[t] for t in targets if t != END), default=len(self.place))


def _bundles(edges: list[EdgeSpec], place: dict[str, int]) -> Iterator[_Bundle]:
    order = _Order(edges, place)
    at = 0
    while at < len(edges):
        bundle, at = _bundle(edges, at, order)
        if bundle.shape.kind == "by" and at < len(edges) and _is_default(edges[at], bundle):
            default, after = _bundle(edges, at, order)
            if default.sources == bundle.sources and default.shape.at_most is None:
                bundle.default, at = default.targets, after
        yield bundle


def _is_default(edge: EdgeSpec, bundle: _Bundle) -> bool:
    return edge.kind == "else" and edge.at_most is None and edge.source == bundle.sources[0]


def _bundle(edges: list[EdgeSpec], at: int, order: _Order) -> tuple[_Bundle, int]:
    """Return the longest ``{sources} -> {targets}`` that begins at `at`, and its end."""
    shape = shaped(edges[at], "", "")
    targets = _targets(edges, at, shape)
    sources = {edges[at].source: None}
    end = at + len(targets)
    while end < len(edges):
        source = edges[end].source
        same = (
            source not in sources
            and (shape.at_most is None or shape.counter)
            and _targets(edges, end, shape)[: len(targets)] == targets
        )
        if not same or not order.may_join(source, targets, at):
            break
        sources[source] = None
        end += len(targets)
    return _Bundle(tuple(sources), targets, shape), end


def _targets(edges: list[EdgeSpec], at: int, shape: EdgeSpec) -> tuple[str, ...]:
    found: dict[str, None] = {}
    source = edges[at].source
    for here in range(at, len(edges)):
        edge = edges[here]
        if edge.source != source or edge.target in found or shaped(edge, "", "") != shape:
            break
        found[edge.target] = None
        if shape.at_most is not None and not shape.counter:
            break
    return tuple(found)


def _chains(bundles: list[_Bundle]) -> Iterator[list[_Bundle]]:
    chain: list[_Bundle] = []
    for bundle in bundles:
        follows = chain and len(chain) < MAX_HOPS and chain[-1].plain and bundle.plain
        if follows and chain[-1].targets == bundle.sources:
            chain.append(bundle)
            continue
        if chain:
            yield chain
        chain = [bundle]
    if chain:
        yield chain
