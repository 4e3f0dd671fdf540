"""Readings of a comparison: its cells as a table, its candidates side by side, the winner, the ladder, a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from orch_nb import display
from orch_nb.analysis.compare.picks import letter
from orch_nb.analysis.export import as_csv, write_file
from orch_nb.analysis.intervals import Interval, interval
from orch_nb.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orch_nb.analysis.compare.candidates import Candidate
    from orch_nb.analysis.compare.formats import Flag
    from orch_nb.analysis.compare.inputs import InputRow
    from orch_nb.analysis.compare.judge import Bench
    from orch_nb.analysis.compare.scorers import Score, Scorers
    from orch_nb.runtime.batch import Row


ZERO = Decimal(0)


class Compared(Protocol):
    """The part of a comparison that readings need."""

    name: str
    task: str
    candidates: list[Candidate]
    rows: list[InputRow]
    scorers: Scorers
    benches: list[Bench]
    picked: dict[int, list[int]]

    @property
    def run(self) -> str: ...
    @property
    def spent_usd(self) -> Decimal: ...
    @property
    def is_hidden(self) -> bool: ...
    @property
    def cells(self) -> list[Row]: ...
    def cell(self, row: int, candidate: int) -> Row: ...
    def order(self, row: int) -> list[int]: ...
    def quality(self, row: int, candidate: int) -> float | None: ...
    def scores_of(self, row: int, candidate: int) -> dict[str, Score]: ...
    def rates_itself(self, bench: Bench, candidate: int) -> bool: ...
    def formats(self) -> list[Flag]: ...


@dataclass(slots=True, frozen=True)
class Standing:
    """Results of one candidate over all rows.

    Parameters
    ----------
    done, failed
        Cells with an answer, and without one.
    quality
        Mean of the cells' qualities with its 95 % interval.
    scores
        Scorer's text -> mean and interval of that scorer alone.
    seconds
        Mean seconds of calls per cell with an answer; None without any.
    tokens
        Input and output tokens of all its cells.
    usd, per_call_usd
        Dollars of all its cells, and the mean of a cell with an answer; None if a price is unknown.
    calls
        Model calls, repairs included; `share_calls` and `share_usd` of the candidates' total, 0 to 1.
    of_itself
        True if a judge that scored it is the same model.
    """

    prompt: str
    model: str
    model_id: str
    done: int
    failed: int
    pending: int
    quality: Interval
    scores: dict[str, Interval]
    seconds: float | None
    tokens: int
    usd: Decimal | None
    per_call_usd: Decimal | None
    calls: int
    share_calls: float
    share_usd: float | None
    of_itself: bool

    @property
    def name(self) -> str:
        """``prompt · model``."""
        return f"{self.prompt} · {self.model}"


@dataclass(slots=True, frozen=True)
class Rung:
    """One step of a ladder: a candidate, and if its mean (`passes`) and its whole interval (`surely`) reach the limit."""

    standing: Standing
    passes: bool
    surely: bool

    @property
    def verdict(self) -> str:
        """Verdict in words."""
        if self.passes:
            return "passes with its whole interval" if self.surely else "passes"
        return "does not pass" if self.standing.quality.n else "not scored"


@dataclass(slots=True, frozen=True)
class Ladder:
    """Candidates from the cheapest up; `chosen` is the first that passes, None without one."""

    passes: float
    rungs: tuple[Rung, ...]

    @property
    def chosen(self) -> Standing | None:
        """Cheapest candidate that passes; None without one."""
        return next((r.standing for r in self.rungs if r.passes), None)

    def __repr__(self) -> str:
        return str(display.bundle(self)["text/plain"])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return display.bundle(self)


def standings(comparison: Compared) -> list[Standing]:
    """Return one line for each candidate, in the order of the cell. O(cells)."""
    calls = sum(c.calls for c in comparison.cells)
    priced = [c.usd for c in comparison.cells if not c.unpriced]
    total = sum(priced, ZERO) if len(priced) == len(comparison.cells) else None
    return [_standing(comparison, c, calls, total) for c in range(len(comparison.candidates))]


def _standing(comparison: Compared, candidate: int, all_calls: int, total: Decimal | None) -> Standing:
    one = comparison.candidates[candidate]
    cells = [comparison.cell(r, candidate) for r in range(len(comparison.rows))]
    done = [c for c in cells if c.status == "done"]
    usd = None if any(c.unpriced for c in cells) else sum((c.usd for c in cells), ZERO)
    timed = [c.seconds for c in done if c.seconds is not None]
    known = [q for r in range(len(comparison.rows)) if (q := comparison.quality(r, candidate)) is not None]
    return Standing(
        one.prompt, one.model, one.model_id, len(done), sum(c.status in ("failed", "cancelled") for c in cells),
        sum(c.status in ("pending", "running") for c in cells), interval(known), _by_scorer(comparison, candidate),
        sum(timed) / len(timed) if timed else None, sum(c.input_tokens + c.output_tokens for c in cells), usd,
        None if usd is None or not done else usd / len(done), sum(c.calls for c in cells),
        sum(c.calls for c in cells) / all_calls if all_calls else 0.0,
        None if usd is None or not total else float(usd / total),
        any(comparison.rates_itself(b, candidate) for b in comparison.benches),
    )  # fmt: skip


def _by_scorer(comparison: Compared, candidate: int) -> dict[str, Interval]:
    found: dict[str, list[float]] = {text: [] for text in comparison.scorers.texts}
    for row in range(len(comparison.rows)):
        for text, score in comparison.scores_of(row, candidate).items():
            if score.value is not None and text in found:
                found[text].append(score.value)
    return {text: interval(values) for text, values in found.items()}


def winner(lines: Sequence[Standing], name: str) -> Standing:
    """Return the best candidate: highest quality, the cheaper one of equals; unknown prices count as highest.

    Raises
    ------
    OrchError
        Nothing was scored or picked.
    """
    known = [s for s in lines if s.quality.n]
    if not known:
        raise OrchError(
            f"`{name}` has no winner: nothing was scored or picked.",
            hint=f'add `score: …` to the cell, or `{name}.pick(row, "A")`',
        )
    return max(known, key=lambda s: (s.quality.mean, _cheapness(s), -lines.index(s)))


def _cheapness(one: Standing) -> Decimal:
    return Decimal("-Infinity") if one.per_call_usd is None else -one.per_call_usd


def ladder(lines: Sequence[Standing], passes: float) -> Ladder:
    """Return the candidates from the cheapest up, with their verdicts."""
    rungs = sorted(lines, key=lambda s: (-_cheapness(s), lines.index(s)))
    return Ladder(
        passes,
        tuple(
            Rung(s, bool(s.quality.n) and s.quality.mean >= passes, bool(s.quality.n) and s.quality.low >= passes)
            for s in rungs
        ),
    )


# ------------------------------------------------------------------ cells as rows
def rows(comparison: Compared) -> list[dict[str, object]]:
    """Return one mapping for each cell. While names are hidden it has letters, and no figure that identifies a model."""
    hidden = comparison.is_hidden
    out = []
    for r, line in enumerate(comparison.rows):
        for place, c in enumerate(comparison.order(r) if hidden else range(len(comparison.candidates))):
            cell, one = comparison.cell(r, c), comparison.candidates[c]
            row: dict[str, object] = {"row": line.label, "note": line.note, **cell.inputs}
            if hidden:
                out.append({**row, "answer": letter(place), "output": cell.output, "status": cell.status})
                continue
            row |= {"prompt": one.prompt, "model": one.model, "output": cell.output, "status": cell.status}
            row |= {text: score.value for text, score in comparison.scores_of(r, c).items()}
            row |= {"quality": comparison.quality(r, c), "seconds": cell.seconds, "input_tokens": cell.input_tokens}
            row |= {"output_tokens": cell.output_tokens, "usd": None if cell.unpriced else cell.usd, "run": cell.run}
            out.append({**row, "error": cell.error})
    return out


def export(comparison: Compared, path: Path) -> Path:
    """Write a comparison as JSON or as CSV.

    Raises
    ------
    OrchError
        The file has another ending, or it cannot be written.
    """
    if path.suffix not in (".json", ".csv"):
        raise OrchError(
            f"the file of a comparison must end in `.json` or `.csv`, got `{path.name}`.",
            hint="`.csv` has the table only",
        )
    return write_file(path, _as_json(comparison) if path.suffix == ".json" else as_csv(rows(comparison)))


def _as_json(comparison: Compared) -> str:
    data: dict[str, object] = {
        "format": "orch.comparison", "version": 1, "name": comparison.name, "task": comparison.task, "run": comparison.run,
        "spent_usd": comparison.spent_usd, "scorers": comparison.scorers.texts, "cells": rows(comparison),
        "picked": {comparison.rows[r].label: [comparison.candidates[c].key for c in best] for r, best in comparison.picked.items()} if not comparison.is_hidden else {},
    }  # fmt: skip
    if not comparison.is_hidden:
        data["standings"] = [asdict(s) for s in standings(comparison)]
        data["formats"] = [
            {"row": comparison.rows[f.row].label, "one": comparison.candidates[f.one].key, "other": comparison.candidates[f.other].key, **asdict(f.difference)}
            for f in comparison.formats()
        ]  # fmt: skip
    return json.dumps(data, indent=1, ensure_ascii=False, default=str)
