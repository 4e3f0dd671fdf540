"""Group commit: what all runs append in one turn of the loop becomes one transaction.

Operations wait in a list until the turn ends (``loop.call_soon``) or a caller needs them at once. Then they are written in
order, in one ``BEGIN IMMEDIATE`` transaction: events, blobs, rows of runs, and the ledger's changes. An admission that does
not fit writes nothing; all other operations are committed or rolled back together. While another process is writing, the
operations remain in the list and the loop retries, for up to `patience_s`.

Everything runs on the caller's thread, except that a thread of its own forces the log to the disk (`Forcer`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from orch_nb.errors import OrchError, StoreError, StoreUnavailable
from orch_nb.schema import events as ev
from orch_nb.schema.budget import budget_of
from orch_nb.store import ledger_rules
from orch_nb.store.codec import Plans, checksum
from orch_nb.store.files import DATABASE_ERRORS, is_busy, translated
from orch_nb.store.ledger_tables import Ledger
from orch_nb.store.runs import MOVES, Standing, scope_of
from orch_nb.store.tagged_json import dumps, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from orch_nb.engine.ports import Hold, Refusal
    from orch_nb.store.codec import Blob, Packed, Packer, Row
    from orch_nb.store.ledger_rules import OpenHold

Waiter: TypeAlias = tuple[asyncio.Future[Any], object]
"""A future, and the result or exception that it is to get."""
T = TypeVar("T")

INSERT_EVENT = (
    "INSERT INTO events (id, type, schema, at, fingerprint, money, sum, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_BLOB = "INSERT OR IGNORE INTO blobs (id, kind, sum, body) VALUES (?, ?, ?, ?)"
_INSERT_HASH = "INSERT OR IGNORE INTO hashes (hash, blob) VALUES (?, ?)"
_INSERT_RUN = """INSERT INTO runs (graph, notebook, status, started_at, ended_at, parent, nodes, node, error, waiting,
    number, writer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SAVE_STANDING = """UPDATE runs SET graph = ?, notebook = ?, status = ?, started_at = ?, ended_at = ?, parent = ?,
    nodes = ?, node = ?, error = ?, waiting = ? WHERE number = ?"""
HASHES_AT_ONCE = 64
"""Number of new blobs after which their hashes are written: an index entry in each commit would write a page in each."""
RETRY_S = 0.01
SPECIAL = MOVES | {ev.LimitChanged}


@dataclass(slots=True)
class Tail:
    """The end of a run's log: as committed (`seq`) and after the current transaction (`next`)."""

    run: str
    number: int
    base: int
    seq: int
    packer: Packer
    standing: Standing
    holds: dict[str, OpenHold]
    next: int
    draft: Standing | None = None
    writer: str = ""
    """The process that begins the run, until its row is written; then `written_by`, until that is committed."""
    written_by: str = ""


@dataclass(slots=True, eq=False)
class Op:
    """One call of a run log, waiting for its transaction.

    `waiter` (admissions only) gets the refusal, or None once the event is on the disk. `withdrawn` is True if the caller was
    cancelled before the operation was written; then it is skipped.
    """

    tail: Tail
    events: Sequence[ev.Event]
    packed: Packed
    hold: Hold | None = None
    settled: tuple[str, Decimal, Decimal, Mapping[str, Decimal] | None] | None = None
    waiter: asyncio.Future[Refusal | None] | None = None
    withdrawn: bool = False
    written: bool = False
    refusal: Refusal | OrchError | None = None


@dataclass(slots=True)
class _Batch:
    ops: list[Op]
    ticks: list[asyncio.Future[None]]
    syncs: list[asyncio.Future[None]]


class Journal:
    """The one writer of a database in this process.

    Parameters
    ----------
    connection
        A connection in autocommit mode; used only under `lock`.
    power
        Whether all appends wait for the disk.
    patience_s
        Seconds to wait for other processes before an error.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        force: Callable[[], None],
        is_live: Callable[[int], bool],
        *,
        power: bool,
        patience_s: float,
    ) -> None:
        self.db = connection
        self.lock = threading.RLock()
        self._path, self._force, self._is_live = path, force, is_live
        self.power, self._patience_s = power, patience_s
        self.forcer = Forcer(force)
        self._syncs: list[asyncio.Future[None]] = []
        self._ledger = Ledger(connection)
        self._ops: list[Op] = []
        self._ticks: dict[asyncio.AbstractEventLoop, asyncio.Future[None]] = {}
        self._scheduled_on: asyncio.AbstractEventLoop | None = None
        self._busy_since: float | None = None
        self.plans = Plans()
        self._hashes: dict[bytes, int] = {}
        self._unwritten: list[tuple[bytes, int]] = []
        self.open_logs = 0
        self._last: Tail | None = None

    # -------------------------------------------------------------- in
    def find(self, digest: bytes) -> int | None:
        """Return the id of the stored blob with this hash, None for a new blob."""
        known = self._hashes.get(digest)
        if known is None:
            row = self.db.execute("SELECT blob FROM hashes WHERE hash = ?", (digest,)).fetchone()
            known = None if row is None else row[0]
        return known

    def submit(self, op: Op) -> asyncio.Future[None] | None:
        """Add `op`. Return None if it is committed, else the future of the commit. (Admissions have their own waiter.)"""
        self._ops.append(op)
        if op.packed.hashes:
            if len(self._hashes) > 100_000:
                self._hashes.clear()
            self._hashes.update(op.packed.hashes)
        loop = asyncio._get_running_loop()
        if loop is None:
            self.flush_now()
            if self.power:
                self._force()
            return None
        if op.waiter is not None:
            self._schedule(loop)
            return None
        alone = self.open_logs == 1 and self._last is op.tail
        self._last = op.tail
        if alone and self._flush():
            if self.power:
                self._force()  # no other run waits, so a thread would only add the time to wake it
            return None
        return self._tick(loop)

    def append_one(self, tail: Tail, row: Row) -> bool:
        """Commit one event that changes nothing else, without an explicit transaction. False: another process is writing."""
        event_id = tail.base + tail.seq + 1
        kind, schema, at, fingerprint, money, body = row
        try:
            self.db.execute(
                INSERT_EVENT, (event_id, kind, schema, at, fingerprint, money, checksum(event_id, row), body)
            )
        except DATABASE_ERRORS as error:
            if is_busy(error):
                return False
            raise translated(error, self._path) from error
        tail.seq = tail.next = tail.seq + 1
        return True

    def is_alone(self, tail: Tail) -> bool:
        """Return whether no other run is writing, so that waiting for the end of the turn would gain nothing.

        A run's first append always waits: if a thousand runs begin at once, each would otherwise be the only one.
        """
        return self.open_logs == 1 and self._last is tail and not self._ops

    def _tick(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        future = self._ticks.get(loop)
        if future is None:
            future = self._ticks[loop] = loop.create_future()
            self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop, delay_s: float = 0.0) -> None:
        if self._scheduled_on is loop:
            return
        self._scheduled_on = loop  # a loop that ended before its turn is replaced
        if delay_s:
            loop.call_later(delay_s, self._turn, loop)
        else:
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with self.lock:
            self._scheduled_on = None
            with suppress(StoreError):  # the waiters got it
                if not self._flush():
                    self._schedule(loop, RETRY_S)

    # -------------------------------------------------------------- out
    def flush_now(self) -> None:
        """Commit all waiting operations; wait for other processes up to `patience_s`.

        Raises
        ------
        StoreError
            They could not be written. Their waiters get the same error.
        """
        with self.lock:
            while self._ops:
                self._flush()

    def _busy_error(self) -> StoreError | None:
        """Return the error once `patience_s` is over, else None."""
        if self._busy_since is None or monotonic() - self._busy_since < self._patience_s:
            return None
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorname = "SQLITE_BUSY"
        return translated(busy, self._path, waited_s=monotonic() - self._busy_since)

    def _flush(self) -> bool:
        """Write the waiting operations. False: another process is writing, and `patience_s` is not over."""
        batch = self._take()
        if not batch.ops:
            self._commit(batch)
            return True
        try:
            try:
                self.db.execute("BEGIN IMMEDIATE")
            except DATABASE_ERRORS as error:
                if not is_busy(error):
                    raise
                self._put_back(batch)
                return self._is_out_of_patience()
            self._busy_since = None
            self._write(batch.ops)
            self.db.execute("COMMIT")
        except DATABASE_ERRORS as error:
            ours = translated(error, self._path)
            self._fail(batch, ours)
            raise ours from error
        except BaseException as error:
            self._fail(batch, error)
            raise
        self._commit(batch)
        return True

    def _take(self) -> _Batch:
        batch = _Batch([op for op in self._ops if not op.withdrawn], list(self._ticks.values()), self._syncs)
        self._ops, self._syncs = [], []
        self._ticks = {}
        return batch

    def _put_back(self, batch: _Batch) -> None:
        self._ops, self._syncs = batch.ops, batch.syncs
        self._ticks = {future.get_loop(): future for future in batch.ticks}
        if self._busy_since is None:
            self._busy_since = monotonic()

    def _is_out_of_patience(self) -> bool:
        error = self._busy_error()
        if error is None:
            return False
        batch = self._take()
        self._busy_since = None
        self._fail(batch, error)
        raise error

    def _write(self, ops: list[Op]) -> None:
        rows: list[tuple[object, ...]] = []
        blobs: list[Blob] = []
        ended = False
        for op in ops:
            if (op.hold is not None or op.settled is not None) and not self._move_money(op):
                continue
            tail, packed = op.tail, op.packed
            if packed.blobs:
                blobs += packed.blobs
                self._unwritten += packed.hashes
            event_id = tail.base + tail.next
            for row in packed.rows:
                event_id += 1
                kind, schema, at, fingerprint, money, body = row
                rows.append((event_id, kind, schema, at, fingerprint, money, checksum(event_id, row), body))
            tail.next = event_id - tail.base
            ended |= self._update_run(op)
        self.db.executemany(INSERT_EVENT, rows)
        if blobs:
            self.db.executemany(_INSERT_BLOB, blobs)
        if len(self._unwritten) >= HASHES_AT_ONCE or (ended and self._unwritten):
            self._write_hashes()
        self._ledger.save()

    def _write_hashes(self) -> None:
        self.db.executemany(_INSERT_HASH, self._unwritten)
        self._unwritten = []

    def _move_money(self, op: Op) -> bool:
        tail = op.tail
        op.refusal = None
        if op.hold is not None:
            if op.hold.hold in tail.holds:
                op.refusal = ledger_rules.name_in_use(tail.run, op.hold.hold)
            else:
                op.refusal = self._ledger.admit(tail.number, tail.holds, op.hold, self._is_live)
            return op.refusal is None
        if op.settled is not None and op.settled[0] in tail.holds:
            self._ledger.settle(tail.number, tail.holds, *op.settled)
        return True

    def _update_run(self, op: Op) -> bool:
        """Update the run's row; return whether the run ended."""
        tail, ended, moved = op.tail, False, bool(op.tail.writer)
        for event in op.events:
            if event.__class__ in SPECIAL or tail.standing.waiting or tail.draft is not None:
                moved |= self._special(tail, event)
                ended |= event.__class__ is ev.RunEnded
        if moved:
            self._save_standing(tail)
        return ended

    def _save_standing(self, tail: Tail) -> None:
        standing = tail.draft or tail.standing
        if tail.writer:
            self.db.execute(_INSERT_RUN, (*_standing_row(standing), tail.number, tail.writer))
            tail.writer, tail.written_by = "", tail.writer
        else:
            self.db.execute(_SAVE_STANDING, (*_standing_row(standing), tail.number))

    def _special(self, tail: Tail, event: ev.Event) -> bool:
        """Apply the event's changes besides the log; return whether the run's row changes."""
        if isinstance(event, ev.LimitChanged):
            self._ledger.set_limit(event.scope or scope_of(tail.run), budget_of(event.limit_usd, event.limits))
        elif isinstance(event, ev.RunStarted) and (event.limit_usd is not None or event.limits):
            self._ledger.set_limit(scope_of(tail.run), budget_of(event.limit_usd, event.limits))
        elif isinstance(event, ev.Resumed):
            self._ledger.mark_in_doubt(tail.number, tail.holds, list(tail.holds))
        standing = tail.draft or tail.standing
        if not standing.concerns(event):
            return False
        if tail.draft is None:
            standing = tail.draft = standing.copy()
        standing.move(event)
        return True

    def _commit(self, batch: _Batch) -> None:
        self._ledger.done()
        now: list[Waiter] = []
        later: list[Waiter] = []
        for op in batch.ops:
            tail = op.tail
            tail.seq, tail.written_by = tail.next, ""
            if tail.draft is not None:
                tail.standing, tail.draft = tail.draft, None
            op.written = op.refusal is None
            if not op.written:
                self._forget(op)
            if op.waiter is not None:
                (later if op.written else now).append((op.waiter, op.refusal))
        ticks: list[Waiter] = [(future, None) for future in batch.ticks]
        (later if self.power else now).extend(ticks)
        later.extend((future, None) for future in batch.syncs)
        if now:
            resolve(now)
        if later:
            self.forcer.request(later)

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self._ledger.undo()
        self._unwritten = []
        for op in batch.ops:
            tail = op.tail
            tail.next, tail.draft = tail.seq, None
            tail.writer, tail.written_by = tail.writer or tail.written_by, ""
            self._forget(op)
        failed: list[Waiter] = [(op.waiter, error) for op in batch.ops if op.waiter is not None]
        failed += [(future, error) for future in (*batch.ticks, *batch.syncs)]
        resolve(failed)

    def _forget(self, op: Op) -> None:
        """Remove the blobs of `op` from the caches, because they were not stored."""
        op.tail.packer.forget()
        for digest, _ in op.packed.hashes:
            self._hashes.pop(digest, None)

    # -------------------------------------------------------------- for the store
    def transact(self, work: Callable[[], T], *, flush: bool = True) -> T:
        """Run `work` in its own transaction and return its result.

        Parameters
        ----------
        flush
            Write the waiting operations first. False where the order does not matter.

        Raises
        ------
        StoreError
            The transaction failed and was rolled back.
        """
        with self.lock:
            if flush:
                self.flush_now()
            self._begin()
            try:
                out = work()
                self._ledger.save()
                self.db.execute("COMMIT")
            except BaseException as error:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                self._ledger.undo()
                if isinstance(error, DATABASE_ERRORS):
                    raise translated(error, self._path) from error
                raise
            self._ledger.done()
            return out

    def _begin(self) -> None:
        start = monotonic()
        while True:
            try:
                self.db.execute("BEGIN IMMEDIATE")
            except DATABASE_ERRORS as error:
                waited = monotonic() - start
                if not is_busy(error) or waited > self._patience_s:
                    raise translated(error, self._path, waited_s=waited) from error
            else:
                return

    @property
    def ledger(self) -> Ledger:
        """The ledger, for use inside `transact`."""
        return self._ledger

    def write_late(self) -> None:
        """Write the hashes that were not written yet."""
        if self._unwritten:
            self.transact(self._write_hashes)

    def forget_hashes(self) -> None:
        """Clear the cache of hashes, because blobs were deleted."""
        self._hashes.clear()

    def synced(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return a future that is done when everything appended so far is on the disk."""
        future: asyncio.Future[None] = loop.create_future()
        self._syncs.append(future)
        self._schedule(loop)
        return future


def _standing_row(s: Standing) -> tuple[object, ...]:
    error = None
    if s.error is not None:
        error = dumps({name: getattr(s.error, name) for name in s.error.__dataclass_fields__})
    parent = None if s.parent is None else dumps(tag(s.parent))
    waiting = json.dumps(list(s.waiting)) if s.waiting else "[]"
    return (s.graph, s.notebook, s.status, s.started_at, s.ended_at, parent, s.nodes, s.node, error, waiting)


# ------------------------------------------------------------------ the disk
# Forcing the log to the disk, off the loop: one thread, one system call for all who wait.
#
# SQLite with ``synchronous=NORMAL`` writes every commit into the write-ahead log at once, and the operating system decides
# when that reaches the disk. ``synchronous=FULL`` would call ``fdatasync`` on the log file after each commit. One call in a
# thread covers the commits of all runs up to then, and blocks no run.

_sync = getattr(os, "fdatasync", os.fsync)


def force(path: Path, inode: int) -> None:
    """Force everything written to the database at `path` to the disk.

    Raises
    ------
    StoreUnavailable
        The disk refused, or the file is no longer the one that was opened (its folder was deleted).
    """
    try:
        if os.stat(path).st_ino != inode:
            raise StoreUnavailable(f"the store {path} was replaced by another file while it was open.", hint=REOPEN)
        log = os.open(f"{path}-wal", os.O_RDWR)
        try:
            _force_file(log)
        finally:
            os.close(log)
    except OSError as error:
        raise StoreUnavailable(
            f"the store {path} cannot be written to the disk: {error.strerror or error}.", hint=REOPEN
        ) from error


def _force_file(handle: int) -> None:
    try:
        import fcntl

        full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's own cache
    except ImportError:
        full = None
    if full is None:
        _sync(handle)
    else:
        fcntl.fcntl(handle, full)


REOPEN = "free space or restore the folder, then `%orch resume`; earlier records are kept"


class Forcer:
    """The thread that forces the log to the disk. It starts with the first request.

    Parameters
    ----------
    force
        Forces everything written so far; may raise StoreUnavailable.
    """

    def __init__(self, force: Callable[[], None]) -> None:
        self._force = force
        self._wake = threading.Condition()
        self._waiting: list[Waiter] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def request(self, waiters: list[Waiter]) -> None:
        """Resolve each (future, result) once everything written before this call is on the disk."""
        with self._wake:
            self._waiting += waiters
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orch-store-sync", daemon=True)
                self._thread.start()
            else:
                self._wake.notify()

    def close(self) -> None:
        """Serve the waiting requests, then end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            try:
                self._force()
            except StoreUnavailable as error:
                resolve([(future, error) for future, _ in batch])
            else:
                resolve(batch)


def resolve(waiters: list[Waiter]) -> None:
    """Give each future its result or exception, on the future's own loop. Call this from any thread."""
    here = asyncio._get_running_loop()
    others: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    mine = []
    for future, result in waiters:
        loop = future.get_loop()
        if loop is here:
            mine.append((future, result))
        else:
            others.setdefault(loop, []).append((future, result))
    _set_all(mine)
    for loop, some in others.items():
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(_set_all, some)
            except RuntimeError:  # the loop was just closed, so nothing waits there
                continue


def _set_all(waiters: list[Waiter]) -> None:
    for future, result in waiters:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
