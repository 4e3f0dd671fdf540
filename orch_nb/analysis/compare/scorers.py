r"""How good an answer is, from 0 to 1: by comparison with what is expected, by form, by a function, or by a judge.

A scorer is written as a call with literals, and read without evaluating anything::

    exact(category)                  the answer's `category` is the row's
    regex("^RE-\d{4}$")              the answer's text matches
    numeric(0.01, of=max)            the answer's `max` is within 0.01 of the row's; "1 %" is relative
    schema                           the answer fits its `out`
    my_score                         a function of the notebook: of `output` and `row`, or of columns by their names
    judge("helpful, correct")        a model names the best answer of each row, without knowing whose it is
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from orch_nb.analysis.export import as_text
from orch_nb.engine.user_code import contained, raised
from orch_nb.errors import BadOption, nearest
from orch_nb.schema.amount import read_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_TEXT = 20_000
"""Characters of an answer that a pattern is held against."""

_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_KINDS = ("exact", "regex", "numeric", "schema", "judge")


@dataclass(slots=True, frozen=True)
class Score:
    """A judgement: its value from 0 to 1, or None when there is none, and why in one clause."""

    value: float | None
    why: str = ""


@dataclass(slots=True, frozen=True)
class Answered:
    """What a scorer sees of one cell: the answer, whether it fits its `out`, and the row it answers."""

    output: object
    record: Mapping[str, object]
    is_valid: bool = True
    has_type: bool = False


class Scorer(Protocol):
    """One way to score an answer by itself."""

    @property
    def text(self) -> str:
        """The scorer as written."""
        ...

    def score(self, answered: Answered, /) -> Score:
        """What it says of one cell."""
        ...

    def needs(self) -> Sequence[str]:
        """Columns that each row must have."""
        ...


@dataclass(slots=True, frozen=True)
class Exact:
    """Equal to the row's column: texts without their outer blanks, numbers by value."""

    text: str
    column: str
    of: str

    def needs(self) -> Sequence[str]:
        """The expected answer's column."""
        return (self.column,)

    def score(self, answered: Answered) -> Score:
        """1 when equal, else 0."""
        wanted = answered.record.get(self.column)
        if wanted is None:
            return Score(None, f"the row has no `{self.column}`")
        got = part(answered.output, self.of)
        return Score(1.0) if _same(got, wanted) else Score(0.0, f"{_brief(got)} is not {_brief(wanted)}")


@dataclass(slots=True, frozen=True)
class Regex:
    """The answer's text holds a match."""

    text: str
    pattern: re.Pattern[str]
    of: str

    def needs(self) -> Sequence[str]:
        """None."""
        return ()

    def score(self, answered: Answered) -> Score:
        """1 when the pattern is found, else 0."""
        said = as_text(part(answered.output, self.of))[:MAX_TEXT]
        return Score(1.0) if self.pattern.search(said) else Score(0.0, f"no match in {_brief(said)}")


@dataclass(slots=True, frozen=True)
class Numeric:
    """Within a tolerance of the row's number."""

    text: str
    tolerance: float
    is_relative: bool
    column: str
    of: str

    def needs(self) -> Sequence[str]:
        """The expected number's column."""
        return (self.column,)

    def score(self, answered: Answered) -> Score:
        """1 when within the tolerance, else 0."""
        wanted = number_in(answered.record.get(self.column))
        if wanted is None:
            return Score(None, f"the row has no number in `{self.column}`")
        got = number_in(part(answered.output, self.of))
        if got is None:
            return Score(0.0, f"no number in {_brief(part(answered.output, self.of))}")
        allowed = self.tolerance * abs(wanted) if self.is_relative else self.tolerance
        # A tolerance of 0.1 is meant in decimal: 1.1 is within 0.1 of 1, whatever binary makes of it.
        is_near = abs(got - wanted) <= allowed + 1e-9 * max(1.0, abs(wanted))
        return Score(1.0) if is_near else Score(0.0, f"{got:g} is {abs(got - wanted):g} away from {wanted:g}")


@dataclass(slots=True, frozen=True)
class Fits:
    """The answer fits its declared `out`, after a repair at most (which is in the cost)."""

    text: str

    def needs(self) -> Sequence[str]:
        """None."""
        return ()

    def score(self, answered: Answered) -> Score:
        """1 when it fits, 0 when not; nothing for a prompt without `out`, of which every text fits."""
        if not answered.has_type:
            return Score(None, "the prompt has no `out`")
        return Score(1.0) if answered.is_valid else Score(0.0, "no answer that fits its `out`")


@dataclass(slots=True, frozen=True)
class ByFunction:
    """What a function of the notebook says: true or false, or a number from 0 to 1."""

    text: str
    function: Callable[..., object]

    def needs(self) -> Sequence[str]:
        """Parameters that are columns of the row."""
        return [p for p in _required_parameters(self.function) if p not in ("output", "row")]

    def score(self, answered: Answered) -> Score:
        """Its verdict; none where it raised or gave something else, and why."""
        known = {**answered.record, "output": answered.output, "row": dict(answered.record)}
        try:
            given = {name: known[name] for name in _parameters(self.function) if name in known}
            got = contained(self.function, **given)
        except Exception as escaped:  # the user's own code: what it raised is the reason that there is no score
            error = raised(escaped)
            return Score(None, f"`{self.text}` raised {type(error).__name__}: {error}"[:200])
        if isinstance(got, bool):
            return Score(float(got))
        if isinstance(got, int | float) and math.isfinite(got) and 0 <= got <= 1:
            return Score(float(got))
        return Score(None, f"`{self.text}` gave {_brief(got)}, which is neither true, false nor from 0 to 1")


@dataclass(slots=True, frozen=True)
class Judge:
    """A model that names the best of each row's answers; `judge` runs it.

    Parameters
    ----------
    criteria
        What good means, in words.
    model
        The notebook's name of the judging model; "" for the default.
    k
        Judgements of each row, each with the answers in another order: the second one turns the first around.
    """

    text: str
    criteria: str
    model: str = ""
    k: int = 2


@dataclass(slots=True)
class Scorers:
    """The scorers of a comparison: those that score a cell by itself, and judges, which see a whole row."""

    cells: list[Scorer] = field(default_factory=list)
    judges: list[Judge] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """All of them as written, in the order in which their columns are shown."""
        return [*(s.text for s in self.cells), *(j.text for j in self.judges)]


def read_scorers(texts: Sequence[str], names: Mapping[str, object]) -> Scorers:
    """The scorers that were written.

    Parameters
    ----------
    names
        Where functions are looked up.

    Raises
    ------
    BadOption
        One is no scorer (the nearest is named), or its arguments do not fit.
    """
    made = Scorers()
    for text in dict.fromkeys(t.strip() for t in texts):
        one = _read(text, names)
        if isinstance(one, Judge):
            made.judges.append(one)
        else:
            made.cells.append(one)
    return made


def _read(text: str, names: Mapping[str, object]) -> Scorer | Judge:
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _bad(text, "cannot be read", 'e.g. `exact(category)`, `regex("^RE-")`, `judge("helpful")`') from None
    if isinstance(tree, ast.Name) and tree.id == "schema":
        return Fits(text)
    if isinstance(tree, ast.Name) and tree.id not in _KINDS:
        return ByFunction(text, _function(tree.id, names))
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        what = tree.id if isinstance(tree, ast.Name) else text
        raise _bad(text, "is not complete", f"`{what}(…)`, e.g. `exact(category)`, `numeric(0.01, of=price)`")
    maker = _MAKERS.get(tree.func.id)
    if maker is None:
        near = nearest(tree.func.id, _KINDS)
        raise _bad(
            text,
            "is no scorer",
            f"did you mean `{near}`?" if near else f"scorers: {', '.join(_KINDS)}, or a function's name",
        )
    given = [_literal(a, text) for a in tree.args]
    options = {str(k.arg): _literal(k.value, text) for k in tree.keywords}
    try:
        return maker(text, *given, **options)
    except TypeError:
        raise _bad(text, "has arguments that it does not take", f"usage: {_USAGE[tree.func.id]}") from None


def _literal(tree: ast.expr, text: str) -> object:
    """A literal, or a bare name (`price`, `price.max`) as a text: columns and models are written without quotes."""
    if isinstance(tree, ast.Name | ast.Attribute) and re.fullmatch(r"\w+(\.\w+)*", ast.unparse(tree)):
        return ast.unparse(tree)
    try:
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, RecursionError):
        raise _bad(text, "may hold texts, numbers and names only", "nothing is evaluated here") from None


def _function(name: str, names: Mapping[str, object]) -> Callable[..., object]:
    found = names.get(name)
    if found is None or not callable(found):
        known = [n for n, v in names.items() if callable(v) and not n.startswith("_")]
        near = nearest(name, ["schema", *known])
        what = "no function of this notebook" if found is None else f"a {type(found).__name__}, not a function"
        raise _bad(
            name,
            f"is {what}",
            f"did you mean `{near}`?" if near else f"scorers: {', '.join(_KINDS)}, or a function's name",
        )
    if inspect.iscoroutinefunction(found):
        raise _bad(
            name, "is a coroutine function", "a scorer is an ordinary function; an agent that judges is `judge(…)`"
        )
    return found


def _exact(text: str, column: str, *, of: str = "") -> Exact:
    return Exact(text, _word(column, text), _word(of, text) if of else column)


def _regex(text: str, pattern: str, *, of: str = "") -> Regex:
    try:
        return Regex(text, re.compile(_word(pattern, text)), of)
    except re.error as error:
        raise _bad(text, f"is no pattern: {error}", "a Python regular expression in quotes") from None


def _numeric(text: str, tolerance: object, *, of: str, to: str = "") -> Numeric:
    is_relative = isinstance(tolerance, str) and tolerance.strip().endswith("%")
    try:
        amount = tolerance.strip().removesuffix("%") if isinstance(tolerance, str) else tolerance
        number = float(read_amount(amount, "the tolerance", most=10**12, of="a number", example=""))
    except BadOption as error:
        hint = error.hint or 'a number from 0, or a share such as "1 %"'
        raise _bad(text, f"has the tolerance {tolerance!r}", hint) from None
    return Numeric(text, number / 100 if is_relative else number, is_relative, to or of, of)


def _judge(text: str, criteria: str, *, model: str = "", k: int = 2) -> Judge:
    if not isinstance(k, int) or isinstance(k, bool) or not 2 <= k <= 12:
        raise _bad(text, f"asks for {k!r} judgements of a row", "`k` from 2 (both orders) to 12")
    return Judge(text, _word(criteria, text), model, k)


def _word(value: object, text: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _bad(text, f"has {value!r} where a text belongs", "a column's name, or a text in quotes")
    return value


_MAKERS: dict[str, Callable[..., Scorer | Judge]] = {
    "exact": _exact,
    "regex": _regex,
    "numeric": _numeric,
    "judge": _judge,
    "schema": Fits,
}
_USAGE = {
    "exact": "`exact(COLUMN, of=FIELD)`",
    "regex": '`regex("PATTERN", of=FIELD)`',
    "numeric": "`numeric(TOLERANCE, of=FIELD, to=COLUMN)`",
    "judge": '`judge("CRITERIA", model=NAME, k=2)`',
    "schema": "`schema`",
}


def _bad(text: str, what: str, hint: str) -> BadOption:
    return BadOption(f"the scorer `{text[:80]}` {what}.", hint=hint, scorer=text[:200])


# ------------------------------------------------------------------ values
def part(output: object, field_name: str) -> object:
    """The field of an answer (``price.max`` for a nested one), or the whole of an answer that has no fields."""
    value = output
    for name in field_name.split(".") if field_name else ():
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return value


def number_in(value: object) -> float | None:
    """The number that a value is, or the only one that its text holds (``$1,299.50`` is 1299.5); None when there is none,
    or several that differ."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    found = {float(m.replace(",", "")) for m in _NUMBER.findall(str(value)[:MAX_TEXT])}
    return found.pop() if len(found) == 1 else None


def _same(got: object, wanted: object) -> bool:
    if isinstance(got, str) and isinstance(wanted, str):
        return got.strip() == wanted.strip()
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    return bool(got == wanted)


def _brief(value: object) -> str:
    from orch_nb.trace.preview import brief

    return f"`{brief(value, 60)}`"


def _parameters(function: Callable[..., object]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ["output"]


def _required_parameters(function: Callable[..., object]) -> list[str]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
