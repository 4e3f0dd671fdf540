r"""Scorers: the quality of an answer from 0 to 1, by the expected answer, by form, by a function, or by a judge.

A scorer is written as a call with literals, and is read without evaluation::

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
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MAX_TEXT = 20_000
"""Number of characters of an answer that a pattern is matched with."""

_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_KINDS = ("exact", "regex", "numeric", "schema", "judge")


@dataclass(slots=True, frozen=True)
class Score:
    """A score: its value from 0 to 1, None if it cannot be scored, and the reason in one clause."""

    value: float | None
    why: str = ""


def mean_of(scores: Iterable[Score]) -> float | None:
    """Return the mean of the scores that have a value; None without any."""
    values = [s.value for s in scores if s.value is not None]
    return sum(values) / len(values) if values else None


@dataclass(slots=True, frozen=True)
class Answered:
    """The part of a cell that a scorer sees: the answer, if it fits its `out`, and the row."""

    output: object
    record: Mapping[str, object]
    is_valid: bool = True
    has_type: bool = False


class Scorer(Protocol):
    """A scorer of single answers."""

    @property
    def text(self) -> str:
        """The scorer as written."""
        ...

    def score(self, answered: Answered, /) -> Score:
        """Return the score of one cell."""
        ...

    def needs(self) -> Sequence[str]:
        """Return the columns that rows must have."""
        ...


@dataclass(slots=True, frozen=True)
class Exact:
    """Equality with a column of the row: texts without outer blanks, numbers by value."""

    text: str
    column: str
    of: str

    def needs(self) -> Sequence[str]:
        """Return the column of the expected answer."""
        return (self.column,)

    def score(self, answered: Answered) -> Score:
        """Return 1 if equal, else 0."""
        wanted = answered.record.get(self.column)
        if wanted is None:
            return Score(None, f"the row has no `{self.column}`")
        got = part(answered.output, self.of)
        return Score(1.0) if _same(got, wanted) else Score(0.0, f"{_brief(got)} is not {_brief(wanted)}")


@dataclass(slots=True, frozen=True)
class Regex:
    """A pattern that the text of the answer must contain."""

    text: str
    pattern: re.Pattern[str]
    of: str

    def needs(self) -> Sequence[str]:
        """Return no columns."""
        return ()

    def score(self, answered: Answered) -> Score:
        """Return 1 if the pattern is found, else 0."""
        text = as_text(part(answered.output, self.of))[:MAX_TEXT]
        return Score(1.0) if self.pattern.search(text) else Score(0.0, f"no match in {_brief(text)}")


@dataclass(slots=True, frozen=True)
class Numeric:
    """A number within a tolerance of the row's number."""

    text: str
    tolerance: float
    is_relative: bool
    column: str
    of: str

    def needs(self) -> Sequence[str]:
        """Return the column of the expected number."""
        return (self.column,)

    def score(self, answered: Answered) -> Score:
        """Return 1 within the tolerance, else 0."""
        wanted = number_in(answered.record.get(self.column))
        if wanted is None:
            return Score(None, f"the row has no number in `{self.column}`")
        got = number_in(part(answered.output, self.of))
        if got is None:
            return Score(0.0, f"no number in {_brief(part(answered.output, self.of))}")
        allowed = self.tolerance * abs(wanted) if self.is_relative else self.tolerance
        # A tolerance of 0.1 is decimal: 1.1 is within 0.1 of 1, in spite of binary rounding.
        is_near = abs(got - wanted) <= allowed + 1e-9 * max(1.0, abs(wanted))
        return Score(1.0) if is_near else Score(0.0, f"{got:g} is {abs(got - wanted):g} away from {wanted:g}")


@dataclass(slots=True, frozen=True)
class Fits:
    """Validity: the answer fits its declared `out`, after at most one repair (whose cost is included)."""

    text: str

    def needs(self) -> Sequence[str]:
        """Return no columns."""
        return ()

    def score(self, answered: Answered) -> Score:
        """Return 1 if it fits, else 0; no score for a prompt without `out`, which every text fits."""
        if not answered.has_type:
            return Score(None, "the prompt has no `out`")
        return Score(1.0) if answered.is_valid else Score(0.0, "no answer that fits its `out`")


@dataclass(slots=True, frozen=True)
class ByFunction:
    """A function of the notebook that returns true, false or a number from 0 to 1."""

    text: str
    function: Callable[..., object]

    def needs(self) -> Sequence[str]:
        """Return the parameters that are columns of the row."""
        return [p for p in _required_parameters(self.function) if p not in ("output", "row")]

    def score(self, answered: Answered) -> Score:
        """Return the value of the function; no score, with the reason, if it raised or returned something else."""
        known = {**answered.record, "output": answered.output, "row": dict(answered.record)}
        try:
            given = {name: known[name] for name in _parameters(self.function) if name in known}
            got = contained(self.function, **given)
        except Exception as escaped:  # the user's code: its error is the reason for the missing score
            error = raised(escaped)
            return Score(None, f"`{self.text}` raised {type(error).__name__}: {error}"[:200])
        if isinstance(got, bool):
            return Score(float(got))
        if isinstance(got, int | float) and math.isfinite(got) and 0 <= got <= 1:
            return Score(float(got))
        return Score(None, f"`{self.text}` must return true, false or a number from 0 to 1, got {_brief(got)}")


@dataclass(slots=True, frozen=True)
class Judge:
    """A model that names the best answer of each row; the module `judge` runs it.

    Parameters
    ----------
    criteria
        Meaning of good, in words.
    model
        The notebook's name of the judging model; "" for the default.
    k
        Judgements of each row, each with another order of the answers: the second order is the reverse of the first.
    """

    text: str
    criteria: str
    model: str = ""
    k: int = 2


@dataclass(slots=True)
class Scorers:
    """The scorers of a comparison: scorers of single cells, and judges, which see a whole row."""

    cells: list[Scorer] = field(default_factory=list)
    judges: list[Judge] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """All scorers as written, in the order of their columns."""
        return [*(s.text for s in self.cells), *(j.text for j in self.judges)]


def read_scorers(texts: Sequence[str], names: Mapping[str, object]) -> Scorers:
    """Read scorers as they are written.

    Parameters
    ----------
    names
        Namespace of functions.

    Raises
    ------
    BadOption
        A text is not a scorer (the nearest is named), or its arguments do not fit.
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
            "must be a scorer or a function",
            f"did you mean `{near}`?" if near else f"scorers: {', '.join(_KINDS)}, or a function's name",
        )
    given = [_literal(a, text) for a in tree.args]
    options = {str(k.arg): _literal(k.value, text) for k in tree.keywords}
    try:
        return maker(text, *given, **options)
    except TypeError:
        raise _bad(text, "has arguments that it does not take", f"usage: {_USAGE[tree.func.id]}") from None


def _literal(tree: ast.expr, text: str) -> object:
    """Return a literal, or a name (`price`, `price.max`) as a text: columns and models are written without quotes."""
    if isinstance(tree, ast.Name | ast.Attribute) and re.fullmatch(r"\w+(\.\w+)*", ast.unparse(tree)):
        return ast.unparse(tree)
    try:
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, RecursionError):
        raise _bad(
            text, "may contain texts, numbers and names only", "write the value itself: expressions are not evaluated"
        ) from None


def _function(name: str, names: Mapping[str, object]) -> Callable[..., object]:
    found = names.get(name)
    if found is None or not callable(found):
        known = [n for n, v in names.items() if callable(v) and not n.startswith("_")]
        near = nearest(name, ["schema", *known])
        what = "" if found is None else f", got {a_(type(found).__name__)}"
        raise _bad(
            name,
            f"must be a function of this notebook{what}",
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
        raise _bad(text, f"has an invalid pattern: {error}", "a Python regular expression in quotes") from None


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
        raise _bad(
            text,
            f"must have `k` from 2 to 12, got {k!r}",
            "`k` is the number of judgements of a row; 2 are both orders",
        )
    return Judge(text, _word(criteria, text), model, k)


def _word(value: object, text: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _bad(text, f"needs a text, got {value!r}", "a column's name, or a text in quotes")
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
    """Return the field of an answer (``price.max`` for a nested one), or an answer without fields as a whole."""
    value = output
    for name in field_name.split(".") if field_name else ():
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return value


def number_in(value: object) -> float | None:
    """Return a value as a number, or the only number in its text (``$1,299.50`` is 1299.5); None without a number, or with
    several different ones."""
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
