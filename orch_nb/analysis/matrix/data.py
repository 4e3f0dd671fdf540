"""The figures of a routing matrix: an entry for each task and model, a row for each task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.analysis.intervals import Interval


@dataclass(slots=True, frozen=True)
class Entry:
    """One model on one task.

    Parameters
    ----------
    model
        The notebook's latest name of it; `model_id` and `provider` identify it.
    quality
        Mean over the input rows with its 95 % interval; n is the number of rows. Several prompts or repetitions of one row
        are averaged first: they share its difficulty, and counted one by one they would make the interval too narrow.
    per_call_usd
        Mean dollars of a call over the judgements of known cost; None without one.
    seconds
        Mean seconds of a call; None if unknown.
    by
        Judges, each once.
    """

    model: str
    model_id: str
    provider: str
    quality: Interval
    per_call_usd: Decimal | None
    seconds: float | None
    by: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class TaskRow:
    """One task: its entries by model, the chosen model ("" without enough evidence) and the reason."""

    task: str
    entries: dict[str, Entry]
    chosen: str
    because: str

    @property
    def n(self) -> int:
        """Input rows, summed over the models."""
        return sum(e.quality.n for e in self.entries.values())


@dataclass(slots=True)
class MatrixData:
    """The figures of a routing matrix.

    Attributes
    ----------
    rows
        One for each task, by name.
    models
        Names of the models, the most expensive first.
    baseline
        Model that costs are compared with; "" if no cost is known.
    evidence
        `count` and `digest` of the judgements.
    signed_by, signed_at
        Signer and date of the file that it was read from; "" for a new matrix.
    """

    rows: tuple[TaskRow, ...]
    models: tuple[str, ...]
    baseline: str
    tolerance: float
    minimum: int
    count: int
    digest: str
    made_at: str
    prices_date: str = ""
    signed_by: str = ""
    signed_at: str = ""
    notes: list[str] = field(default_factory=list)
