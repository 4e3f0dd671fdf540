"""The routing matrix: task × model with quality, cost and the chosen model.

It is computed from the evidence alone: the same judgements give the same numbers in any order.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb import display
from orch_nb.analysis.export import as_frame, date_of
from orch_nb.analysis.intervals import interval
from orch_nb.analysis.matrix.data import Entry, MatrixData, TaskRow
from orch_nb.errors import BadOption, OrchError, nearest
from orch_nb.schema.amount import read_exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from orch_nb.analysis.matrix.next_test import Suggestion
    from orch_nb.routing.evidence import Evidence

TOLERANCE = 0.05
"""Quality that a cheaper model may lack: five points of a hundred."""
MINIMUM = 8
"""Smallest number of input rows for a choice: with 7 of 7 right, the true share may still be under two thirds."""
NOT_ENOUGH = "not enough evidence"


@dataclass(slots=True, frozen=True)
class Blend:
    """Cost and quality of a mix of tasks on the chosen models, against all of it on the baseline.

    Parameters
    ----------
    per_call_usd, baseline_usd
        Mean dollars of a call; None if a price or the baseline's own cost on a task is unknown.
    quality, baseline_quality
        Mean quality of the mix; None if a model was not judged on a task.
    share_calls, share_usd
        Model -> its share of the calls, and of the dollars.
    """

    mix: dict[str, Fraction]
    per_call_usd: Decimal | None
    baseline_usd: Decimal | None
    quality: float | None
    baseline_quality: float | None
    share_calls: dict[str, float]
    share_usd: dict[str, float]

    @property
    def saving(self) -> float | None:
        """Saving as a share of the baseline's dollars; None if one of the two is unknown, or the baseline is free."""
        if self.per_call_usd is None or not self.baseline_usd:
            return None
        return 1 - float(Fraction(self.per_call_usd) / Fraction(self.baseline_usd))


@dataclass(slots=True)
class Matrix(MatrixData):
    """The routing matrix. It displays itself; `table()`, `plot()`, `blend()`, `next()`, `write()`."""

    @classmethod
    def of(
        cls, evidence: Iterable[Evidence], *, baseline: str = "", tolerance: float = TOLERANCE, minimum: int = MINIMUM,
        now: float | None = None, prices_date: str = "",
    ) -> Matrix:  # fmt: skip
        """Return the matrix of these judgements. O(n log n).

        Parameters
        ----------
        baseline
            Model to compare costs with; by default the most expensive.
        tolerance
            Quality that a cheaper model may lack against the best, both taken at the lower end of their intervals.
        minimum
            Smallest number of input rows of a model on a task for a choice.

        Raises
        ------
        BadOption
            The baseline has no evidence, the tolerance is not within 0 to 1, or the minimum is below 1.
        """
        from orch_nb.analysis.matrix.file import digest_of

        rows = sorted(evidence, key=lambda e: (e.at, e.key))
        check_options(tolerance, minimum)
        names = _names(rows)
        by_task: dict[str, dict[str, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
        for one in rows:
            by_task[one.task][names[one.provider, one.model]].append(one)
        tasks = {task: {m: _entry(m, found) for m, found in models.items()} for task, models in by_task.items()}
        by_price = _by_cost(tasks)
        chosen_base = baseline or next((m for m in by_price if _mean_cost(tasks, m) is not None), "")
        if chosen_base and chosen_base not in by_price:
            near = nearest(chosen_base, by_price)
            raise BadOption(f"the model `{chosen_base}` has no evidence.",
                            hint=f"did you mean `{near}`?" if near else f"models: {', '.join(by_price) or 'none'}")  # fmt: skip
        made = tuple(_row(task, tasks[task], tolerance, minimum, by_price) for task in sorted(tasks))
        return cls(
            made,
            tuple(by_price),
            chosen_base,
            tolerance,
            minimum,
            len(rows),
            digest_of(rows),
            date_of(now),
            prices_date,
        )

    # ---------------------------------------------------------------- look-ups
    def row(self, task: str) -> TaskRow:
        """Return the row of a task.

        Raises
        ------
        OrchError
            The task has no evidence; the nearest task is named.
        """
        found = next((r for r in self.rows if r.task == task), None)
        if found is None:
            near = nearest(task, [r.task for r in self.rows])
            hint = f"did you mean `{near}`?" if near else f"tasks: {', '.join(r.task for r in self.rows) or 'none yet'}"
            raise OrchError(f"the matrix has no task `{task}`.", hint=hint)
        return found

    def cost_share(self, row: TaskRow, model: str) -> float | None:
        """Return a model's cost of a call as a share of the baseline's on the same task; None if either is unknown, or free."""
        one, base = row.entries.get(model), row.entries.get(self.baseline)
        if one is None or base is None or one.per_call_usd is None or not base.per_call_usd:
            return None
        return float(one.per_call_usd / base.per_call_usd)

    def table(self) -> Any:
        """Return one row for each task and model: a data frame if pandas is installed, else a list of mappings."""
        found = [self._flat(row, row.entries[m]) for row in self.rows for m in self.models if m in row.entries]
        return as_frame(found)

    def _flat(self, row: TaskRow, one: Entry) -> dict[str, Any]:
        return {
            "task": row.task, "model": one.model, "quality": one.quality.mean, "low": one.quality.low, "high": one.quality.high,
            "n": one.quality.n, "usd": one.per_call_usd, "of_baseline": self.cost_share(row, one.model), "seconds": one.seconds,
            "chosen": row.chosen == one.model,
        }  # fmt: skip

    # ---------------------------------------------------------------- conclusions
    def blend(self, mix: Mapping[str, object] | None = None) -> Blend:
        """Return cost and quality of a mix of tasks on the chosen models, against all of it on the baseline.

        Parameters
        ----------
        mix
            Task -> its share of the calls, in any unit (shares are divided by their sum); by default all tasks alike. A task
            without enough evidence counts on the baseline.

        Raises
        ------
        OrchError, BadOption
            A task is not in the matrix; a share is not a number from 0, or all of them are 0.
        """
        shares = _shares({r.task: 1 for r in self.rows} if mix is None else mix, self)
        return _blend(self, shares)

    def next(self, at_most: int = 5) -> list[Suggestion]:
        """Return the most useful next comparisons, best first, by the expected value of ten more judgements of a model on a task."""
        from orch_nb.analysis.matrix.next_test import suggestions

        return suggestions(self)[:at_most]

    def plot(self) -> Figure:
        """Return a matplotlib figure of the quality with its interval for every task and model, the chosen one marked."""
        figure: Figure = display.figure(self)
        return figure

    # ---------------------------------------------------------------- as a file
    def write(self, path: str | Path, *, sign: str = "") -> Path:
        """Write the matrix with a hash of its content, the date, the counts and digest of the evidence, and the signer."""
        from orch_nb.analysis.matrix.file import write

        return write(self, path, sign=sign)

    @classmethod
    def read(cls, path: str | Path) -> Matrix:
        """Read a matrix from its file.

        Raises
        ------
        OrchError
            It cannot be read, is not a matrix, or was changed after it was written.
        """
        from orch_nb.analysis.matrix.file import read

        return read(path, cls)

    def changed_since(self, evidence: Iterable[Evidence]) -> list[str]:
        """Return the changes of the evidence since the matrix was made, one line each; [] without changes."""
        from orch_nb.analysis.matrix.file import changes

        return changes(self, evidence, Matrix.of)

    def __repr__(self) -> str:
        return f"<matrix of {len(self.rows)} tasks and {len(self.models)} models, {self.count} judgements>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return display.bundle(self)


def check_options(tolerance: float, minimum: int) -> None:
    """Refuse an invalid tolerance or minimum."""
    if not isinstance(tolerance, int | float) or isinstance(tolerance, bool) or not 0 <= tolerance <= 1:
        raise BadOption(
            f"`tolerance` must be a number from 0 to 1, got {tolerance!r}.",
            hint="quality that a cheaper model may lack: 0.05",
        )
    if not isinstance(minimum, int) or isinstance(minimum, bool) or minimum < 1:
        raise BadOption(
            f"`minimum` must be a whole number from 1, got {minimum!r}.", hint="input rows that a choice needs"
        )


# ------------------------------------------------------------------ making
def _names(rows: Sequence[Evidence]) -> dict[tuple[str, str], str]:
    """Return the name of each model: the notebook's latest one, with the provider's id if two models share it."""
    latest = {(e.provider, e.model): e.offer for e in rows}
    count: dict[str, int] = defaultdict(int)
    for name in latest.values():
        count[name] += 1
    return {key: name if count[name] == 1 else f"{name} ({key[1]})" for key, name in latest.items()}


def _entry(model: str, rows: Sequence[Evidence]) -> Entry:
    costs = [e.cost_usd for e in rows if e.cost_usd is not None]
    times = [e.seconds for e in rows if e.seconds is not None]
    return Entry(
        model, rows[-1].model, rows[-1].provider, interval(_by_row(rows)),
        sum(costs, Decimal(0)) / len(costs) if costs else None,
        math.fsum(times) / len(times) if times else None, tuple(sorted({e.by for e in rows if e.by})),
    )  # fmt: skip


def _by_row(rows: Sequence[Evidence]) -> list[float]:
    """Return the mean quality of each input row: the rows are the sample, not the answers."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in rows:
        found[one.row].append(one.quality)
    return [math.fsum(values) / len(values) for values in found.values()]


def _mean_cost(tasks: Mapping[str, Mapping[str, Entry]], model: str) -> Decimal | None:
    known = [
        e.per_call_usd for row in tasks.values() if (e := row.get(model)) is not None and e.per_call_usd is not None
    ]
    return sum(known, Decimal(0)) / len(known) if known else None


def _by_cost(tasks: Mapping[str, Mapping[str, Entry]]) -> list[str]:
    """Return the models, the most expensive first; unknown prices last, then by name."""
    names = sorted({m for row in tasks.values() for m in row})
    costs = {m: _mean_cost(tasks, m) for m in names}
    return sorted(names, key=lambda m: (costs[m] is None, -(costs[m] or 0), m))


def _row(task: str, entries: dict[str, Entry], tolerance: float, minimum: int, order: Sequence[str]) -> TaskRow:
    """Choose the cheapest model whose lower bound is within the tolerance of the best lower bound."""
    kept = {m: entries[m] for m in order if m in entries}
    enough = [e for e in kept.values() if e.quality.n >= minimum]
    if not enough:
        most = max((e.quality.n for e in kept.values()), default=0)
        return TaskRow(task, kept, "", f"{NOT_ENOUGH}: {most} of {minimum} rows")
    best = max(enough, key=lambda e: (e.quality.low, e.quality.mean, -_cost_rank(e), e.model))
    fit = [e for e in enough if e.quality.low >= best.quality.low - tolerance - 1e-12]
    chosen = min(fit, key=lambda e: (_cost_rank(e), -e.quality.low, e.model))
    return TaskRow(task, kept, chosen.model, _because(chosen, best, fit, tolerance))


def _cost_rank(one: Entry) -> float:
    return math.inf if one.per_call_usd is None else float(one.per_call_usd)


def _because(chosen: Entry, best: Entry, fit: Sequence[Entry], tolerance: float) -> str:
    low = f"{chosen.quality.low * 100:.0f} %"
    if chosen.model == best.model:
        return f"at least {low}, the best lower bound" + (
            "" if len(fit) > 1 else f"; no other is within {tolerance * 100:g} points"
        )
    return f"at least {low}, within {tolerance * 100:g} points of {best.model} ({best.quality.low * 100:.0f} %), and cheaper"


# ------------------------------------------------------------------ a mix of tasks
def _shares(mix: Mapping[str, object], made: Matrix) -> dict[str, Fraction]:
    out: dict[str, Fraction] = {}
    for task, share in mix.items():
        made.row(task)
        out[task] = read_exact(
            share, f"the share of `{task}`", of="a number", example="a number from 0, e.g. 70 and 30"
        )
    total = sum(out.values())
    if not total:
        raise BadOption("the mix has no calls.", hint="shares such as {'triage': 70, 'reply': 30}")
    return {task: number / total for task, number in out.items()}


def _blend(made: Matrix, mix: dict[str, Fraction]) -> Blend:
    calls: dict[str, Fraction] = defaultdict(Fraction)
    dollars: dict[str, Fraction] = defaultdict(Fraction)
    cost: Fraction | None = Fraction(0)
    base: Fraction | None = Fraction(0)
    quality: Fraction | None = Fraction(0)
    base_quality: Fraction | None = Fraction(0)
    for task, share in mix.items():
        row = made.row(task)
        model = row.chosen or made.baseline
        calls[model] += share
        one, reference = row.entries.get(model), row.entries.get(made.baseline)
        spent = _times(one.per_call_usd if one else None, share)
        cost, base = _plus(cost, spent), _plus(base, _times(reference.per_call_usd if reference else None, share))
        dollars[model] += spent or 0
        quality = _plus(quality, _times(one.quality.mean if one else None, share))
        base_quality = _plus(base_quality, _times(reference.quality.mean if reference else None, share))
    shares = {m: float(d / cost) for m, d in dollars.items()} if cost else {}
    return Blend(
        mix,
        _usd(cost),
        _usd(base),
        _number(quality),
        _number(base_quality),
        {m: float(s) for m, s in calls.items()},
        shares,
    )


def _times(value: Decimal | float | None, share: Fraction) -> Fraction | None:
    return None if value is None else Fraction(value) * share


def _plus(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a + b


def _usd(value: Fraction | None) -> Decimal | None:
    return None if value is None else Decimal(value.numerator) / Decimal(value.denominator)


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
