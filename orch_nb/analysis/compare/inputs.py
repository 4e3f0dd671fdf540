"""The rows of a comparison: a table or a list of the notebook, sampled by a seed, and the stored edge cases of the task."""

from __future__ import annotations

import ast
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption, MissingInput, UnstorableValue, nearest
from orch_nb.runtime.batch import records_of
from orch_nb.schema.canonical import digest
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.analysis.compare.fixtures import Fixture

_WAYS = ("sample", "head", "tail")
Rows = list[tuple[str, dict[str, object]]]


@dataclass(slots=True, frozen=True)
class InputRow:
    """One row, which every prompt is asked with on every model.

    Parameters
    ----------
    label
        Name of the row in tables: its index in the user's table, or ``edge 1``.
    record
        All its columns, with the expected ones.
    note
        Reason to keep it, of a fixture.
    repeat
        Number of the repetition, from 0.
    """

    label: str
    record: dict[str, object]
    note: str = ""
    is_fixture: bool = False
    repeat: int = 0


def rows_of(inputs: object, names: Mapping[str, object], *, seed: int, only_input: str = "") -> Rows:
    """Return label and record of each input row.

    Parameters
    ----------
    inputs
        Rows (a data frame, a list of mappings, a list of texts), or the text of an expression: a variable, ``x.sample(20)``,
        ``x.head(5)``, ``x[:10]``.
    seed
        Seed of samples, so that a second run of the notebook compares the same rows.
    only_input
        Input that a row of plain text is for: the only input of the prompts.

    Raises
    ------
    BadOption
        The variable does not exist, or the expression has another form.
    MissingInput
        The value is not a table, or has no rows.
    """
    found = _evaluate(inputs, names, seed, only_input) if isinstance(inputs, str) else _table(inputs, only_input)
    if not found:
        raise MissingInput("the comparison has no rows.", hint="`inputs:` is empty")
    return found


def _evaluate(text: str, names: Mapping[str, object], seed: int, only_input: str) -> Rows:
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _bad(text) from None
    match tree:
        case ast.Name(id=name):
            return _table(_variable(name, names), only_input)
        case ast.Call(func=ast.Attribute(value=base, attr=way), args=given, keywords=options) if way in _WAYS:
            rows = _evaluate(ast.unparse(base), names, seed, only_input)
            return _choose(rows, way, *_count(given, options, text, seed))
        case ast.Subscript(value=base, slice=ast.Slice(lower=lower, upper=upper, step=None)):
            rows = _evaluate(ast.unparse(base), names, seed, only_input)
            return rows[_row_bound(lower, text) : _row_bound(upper, text)]
    raise _bad(text)


def _count(given: Sequence[ast.expr], options: Sequence[ast.keyword], text: str, seed: int) -> tuple[int, int]:
    values = {k.arg: _row_bound(k.value, text) for k in options}
    if len(given) == 1:
        values["n"] = _row_bound(given[0], text)
    unknown = values.keys() - {"n", "seed", "random_state"}
    n = values.get("n", 5)
    if len(given) > 1 or unknown or n is None or n < 1:
        raise _bad(text)
    return n, next((s for s in (values.get("seed"), values.get("random_state")) if s is not None), seed)


def _row_bound(tree: ast.expr | None, text: str) -> int | None:
    if tree is None:
        return None
    try:
        value = ast.literal_eval(tree)
    except (ValueError, SyntaxError):
        raise _bad(text) from None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _bad(text)
    return value


def _choose(rows: Rows, way: str, n: int, seed: int) -> Rows:
    if way == "head":
        return rows[:n]
    if way == "tail":
        return rows[-n:]
    picked = sorted(random.Random(seed).sample(range(len(rows)), min(n, len(rows))))
    return [rows[i] for i in picked]


def _bad(text: str) -> BadOption:
    return BadOption(
        f"`inputs` must be a variable or a choice of its rows, got `{text[:80]}`.",
        hint="a variable, `x.sample(20)`, `x.head(5)`, `x[:10]`, or a list of rows; name anything else in a cell above",
    )


def _variable(name: str, names: Mapping[str, object]) -> object:
    if name not in names:
        near = nearest(name, [n for n in names if not n.startswith("_")])
        hint = f"did you mean `{near}`?" if near else "define it in a cell above"
        raise BadOption(f"the variable `{name}` does not exist.", hint=hint)
    return names[name]


def _table(value: object, only_input: str) -> Rows:
    if isinstance(value, list | tuple) and value and not any(isinstance(v, dict) for v in value):
        if not only_input:
            raise MissingInput(
                "plain values need prompts with exactly one input.", hint="give mappings: `[{ticket: …, policy: …}]`"
            )
        value = [{only_input: v} for v in value]
    records, index, _ = records_of(list(value) if isinstance(value, tuple) else value)
    return [
        (str(at), {str(kept(k)): kept(v) for k, v in record.items()}) for at, record in zip(index, records, strict=True)
    ]


def kept(value: object) -> object:
    """Return a cell of a table as plain data: None if it is empty; another object, such as a date, as its text."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    try:
        return plain(value)
    except UnstorableValue:
        return str(value)


def with_fixtures(rows: Rows, edges: Sequence[Fixture], repeat: int) -> list[InputRow]:
    """Return all rows of a comparison: the table's, then the edge cases, each repeated. A row of the table that is also an
    edge case is marked and not doubled."""
    known = {digest(one.input): one for one in edges}
    out: list[InputRow] = []
    seen: set[str] = set()
    for label, record in rows:
        match = next((k for k, one in known.items() if k not in seen and _holds(record, one.input)), None)
        if match is None:
            out.append(InputRow(label, record))
        else:
            seen.add(match)
            out.append(InputRow(label, {**record, **known[match].expected}, known[match].note, is_fixture=True))
    left = [(i, one) for i, one in enumerate(edges, 1) if one.identity not in seen]
    out += [InputRow(f"edge {i}", one.record, one.note, is_fixture=True) for i, one in left]
    return [_again(row, n, repeat) for row in out for n in range(repeat)]


def _holds(record: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return all(name in record and record[name] == value for name, value in wanted.items())


def _again(row: InputRow, n: int, repeat: int) -> InputRow:
    label = row.label if repeat == 1 else f"{row.label}·{n + 1}"
    return replace(row, label=label, repeat=n)
