"""The most useful next comparison: the expected worth of ten more judgements of a model on a task.

The value of a choice is its quality less its cost, in one unit: the matrix's tolerance is the quality that the saving from
the most expensive model to a free one may cost. The knowledge of a quality is a Beta distribution (Jeffreys' prior and the
judgements so far); ten more judgements change it, each outcome with its probability (beta-binomial), and sometimes they
change the choice. Their worth is the gain over the present choice [1]_: exact, without simulation.

References
----------
.. [1] Raiffa, Schlaifer, "Applied Statistical Decision Theory", 1961: expected value of sample information.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from orch_nb.analysis.matrix.data import MatrixData, TaskRow

MORE = 10
"""Number of judgements of a suggestion: a usual small comparison."""
LEAST = 1e-5
"""Smallest worth of a suggestion."""


@dataclass(slots=True, frozen=True)
class Suggestion:
    """More judgements of one model on one task.

    Parameters
    ----------
    worth
        Expected gain in quality (less cost) of the choice made afterwards, per call of the task; 0.01 is one point.
    changes
        Probability that the choice changes.
    n
        Present number of judgements.
    usd
        Approximate cost in US dollars; None if unknown.
    """

    task: str
    model: str
    worth: float
    changes: float
    n: int
    usd: Decimal | None

    @property
    def says(self) -> str:
        """The suggestion in a line."""
        cost = "" if self.usd is None else f", about ${self.usd:.4f}"
        return (
            f"{MORE} more rows of `{self.task}` on {self.model} (n = {self.n}): worth {self.worth * 100:.2f} points, "
            f"change the choice with {self.changes * 100:.0f} %{cost}"
        )


def suggestions(matrix: MatrixData) -> list[Suggestion]:
    """Return all comparisons of some worth, best first. O(tasks × models)."""
    found = [s for row in matrix.rows for s in _of_task(matrix, row)]
    return sorted((s for s in found if s.worth > LEAST), key=lambda s: (-s.worth, s.task, s.model))


def _of_task(matrix: MatrixData, row: TaskRow) -> list[Suggestion]:
    known = {m: _posterior(row, m) for m in matrix.models}
    prices = _relative_costs(matrix, row)
    means = {m: a / (a + b) - matrix.tolerance * prices[m] for m, (a, b) in known.items()}
    out = []
    for model, (a, b) in known.items():
        others = max((u for m, u in means.items() if m != model), default=-math.inf)
        now = max(means[model], others)
        if others == -math.inf:
            continue
        worth = changes = 0.0
        is_chosen = means[model] >= others
        for k in range(MORE + 1):
            chance = beta_binomial(k, MORE, a, b)
            then = (a + k) / (a + b + MORE) - matrix.tolerance * prices[model]
            worth += chance * (max(then, others) - now)
            changes += chance * ((then >= others) != is_chosen)
        entry = row.entries.get(model)
        out.append(
            Suggestion(
                row.task, model, max(0.0, worth), changes, entry.quality.n if entry else 0, _price(matrix, row, model)
            )
        )
    return out


def _posterior(row: TaskRow, model: str) -> tuple[float, float]:
    """Return the Beta distribution of a quality: Jeffreys' prior and the judgements; a graded one counts in parts."""
    entry = row.entries.get(model)
    if entry is None or not entry.quality.n:
        return 0.5, 0.5
    right = entry.quality.mean * entry.quality.n
    return 0.5 + right, 0.5 + entry.quality.n - right


def _relative_costs(matrix: MatrixData, row: TaskRow) -> Mapping[str, float]:
    """Return each model's cost as a share of the highest; if unknown, its mean on other tasks, else the highest."""
    found = {m: _price(matrix, row, m, times=1) for m in matrix.models}
    most = max((float(c) for c in found.values() if c is not None), default=0.0)
    return {m: 1.0 if c is None else float(c) / most if most else 0.0 for m, c in found.items()}


def _price(matrix: MatrixData, row: TaskRow, model: str, times: int = MORE) -> Decimal | None:
    own = row.entries.get(model)
    if own is not None and own.per_call_usd is not None:
        return own.per_call_usd * times
    known = [
        e.per_call_usd for r in matrix.rows if (e := r.entries.get(model)) is not None and e.per_call_usd is not None
    ]
    return sum(known[1:], known[0]) / len(known) * times if known else None


def beta_binomial(k: int, n: int, a: float, b: float) -> float:
    """Return the probability of `k` right ones among `n`, if the share of right ones is Beta(a, b).

    >>> round(sum(beta_binomial(k, 10, 3.5, 0.5) for k in range(11)), 12)
    1.0
    """
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    log += _log_beta(k + a, n - k + b) - _log_beta(a, b)
    return math.exp(log)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
