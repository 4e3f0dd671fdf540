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
        The notebook's latest name of it; `model_id` and `provider` are what it is.
    quality
        Mean over the input rows with its 95 % interval, and n: the rows. What several prompts or repetitions gave for one row
        is averaged first: they share its difficulty, and counted one by one they would make the interval too narrow.
    per_call_usd
        Mean dollars of a call over the judgements whose cost is known; None when no cost is.
    seconds
        Mean seconds of a call; None when unknown.
    by
        Who judged, each once.
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
    """One task: its entries by model, the chosen one ("" where there is not enough evidence) and why."""

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
        Names of the models, the dearest first.
    baseline
        The model that costs are compared with; "" when no cost is known.
    evidence
        Judgements it is made of: `count`, and `digest` of all of them.
    signed_by, signed_at
        Who signed the file it was read from, and when; "" for a matrix that was just made.
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
