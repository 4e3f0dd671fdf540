"""The notebook's runs and budget as small plain data: what a list of runs is drawn from, again and again."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.schema import events as ev
from orch_nb.trace.preview import brief
from orch_nb.views.safe_text import clean, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.handle import RunHandle
    from orch_nb.runtime.runtime import Runtime

MAX_ROWS = 20
TAIL = 240
"""Characters of a stream that are told: its end."""
MAX_STREAMS = 8
SHOWN = 600
"""Characters of what a person is asked about; the whole is in the run's own output."""


class Tally:
    """Dollars of one run so far; reads only the events that are new."""

    def __init__(self) -> None:
        self._read = 0
        self.usd = Decimal(0)

    def of(self, handle: RunHandle) -> Decimal:
        """The same as ``handle.spent_usd``, in time that does not grow with the run."""
        events = handle.events
        for event in events[self._read :]:
            if isinstance(event, ev.Settled) and event.cost_usd is not None:
                self.usd += event.cost_usd
        self._read = len(events)
        return self.usd


def budget_row(runtime: Runtime) -> dict[str, object]:
    """The notebook's budget; `limit_usd` None means that none is set."""
    balance = runtime.budget()
    limit = balance.limit_usd
    return {
        "notebook": runtime.notebook, "limit_usd": None if limit is None else str(limit),
        "spent_usd": str(balance.spent_usd), "held_usd": str(balance.held_usd), "in_doubt_usd": str(balance.in_doubt_usd),
    }  # fmt: skip


def stored_row(row: Any) -> dict[str, Any]:
    """One run as the store lists it."""
    state = "interrupted" if row.status == "running" and not row.live else row.status
    what = f"{row.node}: {row.error.message or row.error.type}" if row.error is not None else ""
    return {
        "run": row.run, "graph": line(row.graph, 60), "status": state, "started_at": row.started_at,
        "seconds": _took(row.started_at, row.ended_at), "spent_usd": str(row.spent_usd), "what": line(what, 200),
        "asked": [{"key": key} for key in list(row.waiting)[:4]], "is_here": False, "is_batch": bool((row.parent or {}).get("batch")),
    }  # fmt: skip


def live_row(handle: RunHandle, spent_usd: Decimal) -> dict[str, object]:
    """One run that is under way in this process: its latest text and its question."""
    events = handle.events
    started = events[0].at if events else None
    return {
        "run": handle.run, "graph": line(handle.graph, 60), "status": handle.status, "started_at": started,
        "seconds": _took(started, None), "spent_usd": str(spent_usd), "what": "", "is_here": True, "is_batch": False,
        "asked": [_asked_row(key, asked) for key, asked in _questions(handle)],
    }  # fmt: skip


def _questions(handle: RunHandle) -> Sequence[tuple[str, ev.Waiting]]:
    return [(ev.key(asked), asked) for asked in handle.waiting[:4]]


def _asked_row(key: str, asked: ev.Waiting) -> dict[str, object]:
    return {
        "key": key,
        "question": line(asked.question, 300),
        "shown": clean(brief(asked.shown, SHOWN), SHOWN),
        "shown_hash": asked.shown_hash,
        "options": list(asked.options),
    }


def said_row(handle: RunHandle) -> list[list[str]]:
    """The end of each stream: [activation, text]; the last entry counts those that are left out."""
    live = list(handle.live.items())
    rows = [[line(key, 80), clean(str(row.get("text", ""))[-TAIL:], TAIL)] for key, row in live[:MAX_STREAMS]]
    return rows if len(live) <= MAX_STREAMS else [*rows, ["", f"and {len(live) - MAX_STREAMS} more"]]


def _took(started: float | None, ended: float | None) -> float | None:
    if started is None:
        return None
    return round(max(0.0, (time.time() if ended is None else ended) - started), 3)
