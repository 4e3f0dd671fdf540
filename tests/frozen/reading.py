"""Readings of a store as plain data: state, output, bill and trace of each run, the list of runs, and the budget."""

from __future__ import annotations

import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orch_nb as orch
from tests.frozen.world import notebook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.frozen.world import Notebook


def copy(frozen: Path, folder: Path) -> None:
    """Lay the store of a frozen version where a notebook in `folder` finds it."""
    (folder / ".orch").mkdir(mode=0o700)
    shutil.copy(frozen / "runs.sqlite", folder / ".orch" / "runs.sqlite")


def readings(frozen: Path, folder: Path) -> dict[str, Any]:
    """Everything that is compared, read from a copy in `folder`."""
    copy(frozen, folder)
    with notebook(folder, cells=frozen / "cells.txt", budget="") as book:
        rows = book.runtime.runs(limit=1_000)
        return {
            "budget": budget_of(book),
            "rows": {row.run: row_of(row) for row in rows},
            "runs": {run: run_of(orch.open_run(run)) for run in sorted(book.run_ids(), key=_in_order)},
        }


def _in_order(run: str) -> list[Any]:
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in run.replace("/", ".").split(".")]


def budget_of(book: Notebook) -> dict[str, Any]:
    """The notebook's budget."""
    one = orch.budget()
    return data({n: getattr(one, n) for n in ("limit_usd", "spent_usd", "held_usd", "in_doubt_usd", "overrun_usd")})


def row_of(row: Any) -> dict[str, Any]:
    """A row of the list of runs."""
    names = (
        "graph",
        "notebook",
        "status",
        "events",
        "nodes",
        "waiting",
        "node",
        "limit_usd",
        "spent_usd",
        "in_doubt_usd",
    )
    return data({name: getattr(row, name) for name in names})


def run_of(run: Any) -> dict[str, Any]:
    """A run: how it ended, its bill by step, agent and model, its trace."""
    bill = run.bill()
    lines = {part: [line_of(line) for line in getattr(bill, part)] for part in ("steps", "agents", "models")}
    return data({
        "graph": run.graph, "status": run.status, "output": run.output, "asks": [w.question for w in run.waiting],
        "bill": {"total": line_of(bill.total), **lines}, "saved": {s.kind: s.usd for s in bill.savings},
        "trace": trace_of(run.nx),
    })  # fmt: skip


def line_of(line: Any) -> dict[str, Any]:
    """A line of a bill, without what is zero."""
    names = (
        "calls",
        "retries",
        "input_tokens",
        "output_tokens",
        "spent_usd",
        "in_doubt_usd",
        "saved_usd",
        "hits",
        "reused",
    )
    return {"name": line.name, **{name: value for name in names if (value := getattr(line, name))}}


def trace_of(nx: Any) -> dict[str, Any]:
    """Steps, models and tools of a run, and the arrows between them."""
    return {
        "steps": {name: {k: v for k, v in facts.items() if v} for name, facts in nx.nodes(data=True)},
        "arrows": [[*ends, {k: v for k, v in facts.items() if v}] for *ends, facts in nx.edges(keys=True, data=True)],
    }


def data(value: Any) -> Any:
    """Plain data: dollars as text, seconds to the microsecond."""
    if isinstance(value, dict):
        return {str(k): data(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [data(v) for v in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return round(value, 6) if isinstance(value, float) else value
