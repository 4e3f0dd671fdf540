"""A run's id and its row in a list: what it is called, its status and its cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from orch_nb.errors import StoreError
from orch_nb.schema import events as ev
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ZERO = Decimal(0)


@dataclass(slots=True)
class RunRow:
    """One run of a store.

    status
        running | waiting | done | failed | cancelled. A run that is "running" and not `live` was interrupted.
    live
        Whether a process has it open for writing now.
    writer
        The process that wrote it last, as ``PID@HOST``.
    events
        The number of recorded events.
    limit_usd, spent_usd, held_usd, in_doubt_usd, overrun_usd
        Of a batch or a comparison: of all its rows together.
    waiting
        Keys of the activations that wait for a person.
    nodes
        The number of nodes in its plan.
    node, error
        The failed node and its error, of a run that failed.
    """

    run: str
    graph: str = ""
    notebook: str = ""
    status: str = "running"
    started_at: float | None = None
    ended_at: float | None = None
    parent: dict[str, object] | None = None
    events: int = 0
    nodes: int = 0
    waiting: tuple[str, ...] = ()
    node: str = ""
    error: ev.ErrorInfo | None = None
    limit_usd: Decimal | None = None
    spent_usd: Decimal = ZERO
    held_usd: Decimal = ZERO
    in_doubt_usd: Decimal = ZERO
    overrun_usd: Decimal = ZERO
    writer: str = ""
    live: bool = False


@dataclass(slots=True)
class StoreStats:
    """Size of a store. A compaction would free `free_bytes`; `log_bytes` is the size of the write-ahead log."""

    runs: int
    events: int
    blobs: int
    bytes: int = 0
    free_bytes: int = 0
    log_bytes: int = 0


@dataclass(slots=True)
class Standing:
    """The part of a `RunRow` that comes from the log, updated event by event.

    Only the few types in `MOVES` change it, so a store skips all others.
    """

    graph: str = ""
    notebook: str = ""
    status: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    parent: dict[str, object] | None = None
    nodes: int = 0
    node: str = ""
    error: ev.ErrorInfo | None = None
    waiting: dict[str, None] = field(default_factory=dict)

    def copy(self) -> Standing:
        """Return a copy."""
        return Standing(
            self.graph, self.notebook, self.status, self.started_at, self.ended_at, self.parent, self.nodes, self.node,
            self.error, dict(self.waiting),
        )  # fmt: skip

    def concerns(self, event: ev.Event) -> bool:
        """Return whether `event` changes the status of the run."""
        return event.__class__ in MOVES or (bool(self.waiting) and ev.key(event) in self.waiting)

    def move(self, event: ev.Event) -> None:
        """Apply `event`."""
        match event:
            case ev.RunStarted():
                self.graph, self.notebook, self.parent = event.graph, event.notebook, event.parent
                self.status, self.started_at = "running", event.at
                self.nodes = len(event.plan.get("nodes", ()))
            case ev.Waiting():
                self.waiting[ev.key(event)] = None
            case ev.RunEnded():
                self.status, self.ended_at, self.node, self.error = event.status, event.at, event.node, event.error
            case ev.Resumed():
                self.status, self.ended_at, self.node, self.error = "running", None, "", None
            case _:
                self.waiting.pop(ev.key(event), None)

    def shown(self) -> str:
        """Return the status as a list shows it."""
        return "waiting" if self.status == "running" and self.waiting else self.status


MOVES = frozenset({ev.RunStarted, ev.Waiting, ev.RunEnded, ev.Resumed})


def standing_of(events: Iterable[ev.Event]) -> Standing:
    """Return the status of the run with these events. O(events)."""
    out = Standing()
    for event in events:
        if out.concerns(event):
            out.move(event)
    return out


def prunable(rows: Sequence[RunRow], *, before: float | None, keep_last: int | None, unfinished: bool) -> list[str]:
    """Return the ids of the runs (of `rows`, newest first) that a `prune` deletes. A run that is being written is never deleted.

    Raises
    ------
    StoreError
        Neither `before` nor `keep_last` is given: that would delete everything.
    """
    if before is None and keep_last is None:
        raise StoreError("prune needs `before` or `keep_last`.", hint="`keep_last=50` keeps the newest 50 runs")
    chosen = rows if keep_last is None else rows[max(keep_last, 0) :]
    if before is not None:
        chosen = [row for row in chosen if row.started_at is not None and row.started_at < before]
    return [r.run for r in chosen if not r.live and (unfinished or r.status in ("done", "failed", "cancelled"))]


# ------------------------------------------------------------------ ids and scopes
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_run(run: str) -> str:
    """Return `run` if it is a valid id: letters, digits and ``_ . -``, at most 64 characters, without a secret.

    Raises
    ------
    StoreError
        It is not a valid id. An id becomes a part of file names, cells and messages.
    """
    if not isinstance(run, str) or not _ALLOWED.fullmatch(run):
        raise StoreError(f"{run!r:.60} cannot name a run.", hint="letters, digits, _ . -, at most 64 characters")
    if REDACTOR.is_in(run):
        raise StoreError(f"{REDACTOR.text(run)} cannot name a run: it contains a secret.", hint="take another id")
    return run


def number_of(run: str) -> int | None:
    """Return the number of a numbered run (``"7"`` -> 7), None for a named one."""
    if run.isascii() and run.isdigit() and run[0] != "0" and len(run) <= 9:
        return int(run)
    return None


def scope_of(run: str) -> str:
    """Return the run's own scope in the ledger."""
    return f"run:{run}"


def account_of(run: str, parent: Mapping[str, object] | None) -> str:
    """Return the scope whose account has the run's spending: its own; of a batch or a comparison, that of all its rows.

    The rows settle into it while they run, so a list reads one account, and its figure equals the bill of the batch.
    """
    return f"batch:{run}" if (parent or {}).get("batch") else scope_of(run)


def is_own(scope: str, run: str) -> bool:
    """Return whether `scope` belongs to the run or one of its nodes."""
    own = scope_of(run)
    return scope == own or scope.startswith(own + "/")
