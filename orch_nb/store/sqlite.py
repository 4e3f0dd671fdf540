"""All runs in one SQLite file with a write-ahead log.

Ordinary appends are committed on the loop's thread, once a turn, which is safe against the death of the process. Admissions
(`sent`) are forced to the disk by a thread before they return. The alternative, a second connection with
``synchronous=FULL`` on a thread, took 2.5 times as long when measured (0.84 against 0.32 ms for 50 admissions beside 50
appends), because each connection waits for the other's transaction. `tests/bench/bench_store.py` measures the rest.
"""

from __future__ import annotations

import atexit
import os
import socket
import sqlite3
import threading
import weakref
from collections import deque
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal

from orch_nb.errors import RunLocked, StoreError, StoreUnavailable, nearest
from orch_nb.schema.secrets import REDACTOR
from orch_nb.store import evidence as proof
from orch_nb.store import ledger_rules
from orch_nb.store import ledger_tables as books
from orch_nb.store.base import BaseStore, locked_error, taken_error
from orch_nb.store.codec import Packer
from orch_nb.store.files import (
    BUSY_MS,
    DATABASE_ERRORS,
    at_rest,
    fold_log,
    open_reader,
    open_writer,
    prepare,
    translated,
)
from orch_nb.store.journal import Journal, Tail, force
from orch_nb.store.locks import LockFile, is_taken_at
from orch_nb.store.maintenance import Sweeper
from orch_nb.store.migrations import migrate, version_of
from orch_nb.store.reader import Reader
from orch_nb.store.runlog import SqliteRunLog
from orch_nb.store.runs import RunRow, Standing, StoreStats, check_run, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orch_nb.engine.ports import Balance, Limit
    from orch_nb.routing.evidence import Evidence
    from orch_nb.schema.events import Event

Durability = Literal["process", "power"]

BURST_S = 0.05
"""A process that asks for another number within this many seconds gets a block of numbers."""
MOST_NUMBERS = 64


class SqliteStore(BaseStore):
    """A store in a file.

    Parameters
    ----------
    path
        The database. The file and its folder are created, for this user only, if they are missing.
    durability
        "process": an append is safe against the death of the process when it returns. A power cut may lose the latest
        appends, but no call that was sent. "power": every append waits for the disk; appends share one wait.
    read_only
        Only read: nothing is written, migrated or locked.
    refused
        Returns the error of methods that write to a read-only store, in place of the default error.
    patience_s
        Seconds to wait for another process that writes.

    Raises
    ------
    StoreUnavailable
        The file or its folder cannot be created, opened or written.
    SchemaTooNew
        A later version wrote the file; it was not changed.
    CorruptStore, StoreError
        The file is not a database, or is one of another program.

    Notes
    -----
    One object for each file and process is enough, and fastest: its runs share their commits. It may be used from several
    threads and loops. A process forked from this one must not use it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "process",
        read_only: bool = False,
        patience_s: float = 8.0,
        refused: Callable[[], StoreError] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.read_only = read_only
        self._refused = refused
        self._lock = threading.RLock()
        self._reader: Reader | None = None
        self._stamp: tuple[int, int] | None = None
        """Stamp of the file that `_reader` reads; None if it also reads a log beside the file."""
        self._outdated: list[Reader] = []
        self._journal: Journal | None = None
        self._locks: LockFile | None = None
        self._reserved: set[str] = set()
        self._numbers: deque[int] = deque()
        self._block, self._reserved_at = 0, -BURST_S
        self._taken: set[int] = set()
        self._writer = f"{os.getpid()}@{socket.gethostname()}"
        self._unusable: Callable[[], StoreError] | None = None
        if durability not in ("process", "power"):
            near = nearest(str(durability), ("process", "power"))
            raise StoreError(
                f"durability must be 'process' or 'power', got {durability!r}.",
                hint=f"did you mean {near!r}?" if near else "",
            )
        try:
            self._check_version()
            if not read_only:
                self._open(durability, patience_s)
        except DATABASE_ERRORS as error:
            raise translated(error, self.path, waited_s=patience_s) from error
        _STORES.add(self)

    def _check_version(self) -> None:
        """Refuse a file of a later version before anything opens it for writing."""
        if not self.path.exists():
            if self.read_only:
                raise StoreUnavailable(f"the store {self.path} does not exist.", hint="nothing was run here yet")
            return
        if self.path.stat().st_size == 0:
            return
        # A process that was killed while it created the file leaves a journal that only a writer may roll back.
        is_hot = self.path.with_name(self.path.name + "-journal").exists() and not self.read_only
        is_at_rest = self.read_only and at_rest(self.path) is not None
        connection = sqlite3.connect(self.path) if is_hot else open_reader(self.path, is_at_rest=is_at_rest)
        try:
            version_of(connection)
        finally:
            connection.close()

    def _open(self, durability: Durability, patience_s: float) -> None:
        prepare(self.path)
        connection = open_writer(self.path, patience_s)
        try:
            migrate(connection)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._inode = os.stat(self.path).st_ino
            self._locks = LockFile.at(self.path.with_name(self.path.name + "-locks"))
        except BaseException:
            connection.close()
            raise
        self._journal = Journal(
            connection, self.path, self.force, self._is_live, power=durability == "power", patience_s=patience_s
        )
        self._journal.transact(lambda: self._writing().ledger.doubt_dead(self._is_live))

    # -------------------------------------------------------------- runs
    def next_run(self) -> str:
        """Return the next free number as a run's id, reserved for this process: "1", "2", ...

        Notes
        -----
        A reservation is a separate commit. Frequent calls get numbers from a block that doubles each time. `close` returns
        the unused numbers, unless another process reserved numbers since.
        """
        journal = self._writing()
        with journal.lock:
            if not self._numbers:
                now = monotonic()
                count = min(max(self._block * 2, 2), MOST_NUMBERS) if now - self._reserved_at < BURST_S else 1
                self._block = count
                last = journal.transact(lambda: _reserve(journal.db, count), flush=False)
                self._numbers = deque(range(last - count + 1, last + 1))
                self._reserved_at = monotonic()
            run = str(self._numbers.popleft())
            self._reserved.add(run)
            return run

    def create(self, run: str) -> SqliteRunLog:
        """Return the log of a new run. The run exists from its first event on: before that it cannot be found, and its id is
        free again if this process dies.

        Raises
        ------
        StoreError
            The id is taken or invalid.
        RunLocked
            Another process (or this one) is about to begin the run.
        """
        journal = self._writing()
        check_run(run)
        is_left = False
        if run in self._reserved:
            self._reserved.discard(run)
            number, is_new = int(run), True
        else:
            number, is_left = journal.transact(lambda: self._new_number(journal.db, run), flush=False)
            is_new = False
        self._take_lock(run, number)
        if is_left:
            try:
                journal.transact(lambda: self._adopt(journal.db, run, number), flush=False)
            except BaseException:
                self._release(number)
                raise
        log = self._log(run, number, 0, 0, Standing(), {})
        log.begin(self._writer if is_new else "")
        return log

    def _new_number(self, db: sqlite3.Connection, run: str) -> tuple[int, bool]:
        """Return the number of a new run of this id, and whether a row without events already reserves it."""
        number = number_of(run)
        if number is None:
            found = db.execute("SELECT number FROM runs WHERE name = ?", (run,)).fetchone()
        else:
            found = db.execute("SELECT number FROM runs WHERE number = ? AND name IS NULL", (number,)).fetchone()
        if found is not None:
            self._check_empty(db, run, found[0])
            return int(found[0]), True
        if number is not None and db.execute("SELECT 1 FROM runs WHERE number = ?", (number,)).fetchone():
            raise StoreError(f"the number {number} belongs to a named run.", hint="take an id from `next_run()`")
        columns = (number, None if number is not None else run, self._writer)
        cursor = db.execute("INSERT INTO runs (number, name, writer) VALUES (?, ?, ?)", columns)
        assert cursor.lastrowid is not None
        return cursor.lastrowid, False

    def _adopt(self, db: sqlite3.Connection, run: str, number: int) -> None:
        """Take over the row of a run that another process was about to begin. This process has its lock."""
        self._check_empty(db, run, number)
        db.execute("UPDATE runs SET writer = ? WHERE number = ?", (self._writer, number))

    def _check_empty(self, db: sqlite3.Connection, run: str, number: int) -> None:
        if db.execute(_ANY_EVENT, _span(number)).fetchone() is not None:
            raise taken_error(run)

    def open(self, run: str) -> SqliteRunLog:
        """Return the log of an existing run, to continue writing.

        Raises
        ------
        RunNotFound
            The run does not exist; the error suggests the nearest id.
        RunLocked
            Another process (or this one) has the run open; the error names the process.
        """
        journal = self._writing()
        with journal.lock:
            number = self._reading().number(run)
            self._take_lock(run, number)
            try:
                return self._reopen(journal, run, number)
            except BaseException as error:
                self._release(number)
                if isinstance(error, DATABASE_ERRORS):
                    raise translated(error, self.path) from error
                raise

    def _reopen(self, journal: Journal, run: str, number: int) -> SqliteRunLog:
        journal.transact(
            lambda: journal.db.execute("UPDATE runs SET writer = ? WHERE number = ?", (self._writer, number))
        )
        base = number << 32
        (last,) = journal.db.execute("SELECT max(id) FROM events WHERE id > ? AND id < ?", _span(number)).fetchone()
        (blob,) = journal.db.execute("SELECT max(id) FROM blobs WHERE id > ? AND id < ?", _span(number)).fetchone()
        holds = books.load_holds(journal.db, number)
        standing = self._reading().standing(number)
        return self._log(run, number, (last or base) - base, (blob or base) - base, standing, holds)

    def _take_lock(self, run: str, number: int) -> None:
        assert self._locks is not None
        try:
            taken = self._locks.take(number)
        except OSError as error:
            raise StoreUnavailable(
                f"{self._locks.path} cannot be locked: {error.strerror}.",
                hint="use `open_store`, which moves to a folder that can",
            ) from error
        if not taken:
            raise self._locked_error(run, number)
        self._taken.add(number)

    def _release(self, number: int) -> None:
        assert self._locks is not None
        self._locks.release(number)
        self._taken.discard(number)

    # -------------------------------------------------------------- for run logs (`runlog.StoreHooks`)
    def check(self) -> None:
        """Check that the store can be used.

        Raises
        ------
        StoreError
            It was closed, belongs to the process from which this one was forked, or its disk failed.
        """
        if self._unusable is not None:
            raise self._unusable()

    def force(self) -> None:
        """Force everything written so far to the disk; see `durability`.

        Raises
        ------
        StoreUnavailable
            The disk refused. The store cannot be used after that: the system may report success later although the data are
            lost. Open the store again.
        """
        try:
            force(self.path, self._inode)
        except StoreUnavailable as error:
            message, hint = str(error), error.hint
            self._unusable = lambda: StoreUnavailable(message, hint=hint)
            raise

    def release(self, number: int) -> None:
        """Write the events of a run log that was closed, and let others open the run."""
        journal = self._journal
        if journal is None:
            return
        with journal.lock:
            try:
                if self._unusable is None:
                    journal.flush_now()
            finally:
                journal.open_logs -= 1
                self._release(number)

    def _locked_error(self, run: str, number: int) -> RunLocked:
        writer = self._reading().writer(number)
        pid, _, host = writer.partition("@")
        who = "this process" if writer == self._writer else f"process {pid} on {host}"
        return locked_error(run, who, int(pid) if pid.isdigit() else None, host)

    def _log(
        self, run: str, number: int, seq: int, blobs: int, standing: Standing, holds: dict[str, ledger_rules.OpenHold]
    ) -> SqliteRunLog:
        assert self._journal is not None
        base = number << 32
        tail = Tail(
            run, number, base, seq, Packer(base, self._journal.find, blobs, self._journal.plans), standing, holds, seq
        )
        self._journal.open_logs += 1
        return SqliteRunLog(self._journal, tail, self)

    # -------------------------------------------------------------- reading
    def read(self, run: str, *, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Return the committed (seq, event) of a run, in order, from `after` + 1 on.

        Raises
        ------
        RunNotFound, CorruptStore, SchemaTooNew

        Notes
        -----
        O(events read). The events share the pieces of growing lists: do not change their values.
        """
        reader = self._reading()
        return reader.events(run, reader.number(run), after)

    def runs(
        self,
        *,
        graph: str | None = None,
        notebook: str | None = None,
        status: str | Sequence[str] | None = None,
        limit: int | None = None,
        batch_rows: bool = True,
    ) -> list[RunRow]:
        """Return the runs, newest first.

        Parameters
        ----------
        status
            One status, or several: running, waiting, done, failed, cancelled.
        limit
            The largest number of rows to return.
        batch_rows
            Whether to include the runs that are rows of a batch.
        """
        return self._reading().runs(
            graph=graph, notebook=notebook, status=status, limit=limit, batch_rows=batch_rows, is_live=self._is_live
        )

    def run(self, run: str) -> RunRow:
        """Return the row of a run.

        Raises
        ------
        RunNotFound
        """
        reader = self._reading()
        return reader.row(reader.number(run), is_live=self._is_live)

    def effect_done(self, key: str, *, but: str = "") -> str | None:
        """Return the latest run, other than `but`, in which the effect with this idempotency key was or may have been
        performed: its call was sent, and no event says that it failed. None without such a run."""
        return self._reading().effect_done(key, but)

    def asked_by(self, request_hash: str, *, limit: int = 20) -> list[str]:
        """Return the runs that sent a call with this request hash, newest first, at most `limit`. O(calls with this hash)."""
        return self._reading().asked_by(request_hash, limit)

    def counts(self, run: str) -> dict[str, int]:
        """Return the number of events of each type of a run. O(events of the run)."""
        reader = self._reading()
        return reader.counts(reader.number(run))

    def stats(self) -> StoreStats:
        """Return the size of the store."""
        return self._reading().stats()

    def _is_live(self, number: int) -> bool:
        if self._locks is not None:
            return self._locks.is_taken(number)
        path = self.path.with_name(self.path.name + "-locks")
        if not path.exists():
            return False
        if not os.access(path, os.W_OK):
            return is_taken_at(path, number)
        locks = LockFile.at(path)
        try:
            return locks.is_taken(number)
        finally:
            locks.close()

    # -------------------------------------------------------------- money
    def balance(self, scope: str) -> Balance:
        """Return the balance of a scope; all zero and without limit if the scope is unknown."""
        return self._reading().account(REDACTOR.text(scope)).balance()

    def balances(self, prefix: str = "") -> list[Balance]:
        """Return the balances of the scopes that begin with `prefix`, by name."""
        return [one.balance() for one in self._reading().accounts(prefix)]

    def set_limit(self, scope: str, limit: Limit) -> None:
        """Set the budget of a scope, None for none. This accepts an overrun, which then no longer blocks the scope.

        Raises
        ------
        StoreError
            A limit is not an amount.
        """
        scope = REDACTOR.text(scope)
        budget = ledger_rules.as_budget(limit, scope)
        journal = self._writing()
        journal.transact(lambda: journal.ledger.set_limit(scope, budget))

    def reset(self, scope: str) -> None:
        """Set the spent, in-doubt and overrun figures of a scope to 0. Open holds and the limit remain."""
        journal = self._writing()
        journal.transact(lambda: Sweeper(journal).reset(REDACTOR.text(scope)))

    def rebuild_ledger(self) -> list[tuple[Balance, Balance]]:
        """Rebuild every account from the events of all runs.

        Returns
        -------
        list of (balance before, balance from the events)
            The scopes that differed; an empty list for a store without errors.
        """
        journal, reader = self._writing(), self._reading()
        return journal.transact(lambda: Sweeper(journal).rebuild(reader))

    # -------------------------------------------------------------- evidence
    def add_evidence(self, rows: Iterable[Evidence]) -> None:
        """Store judgements, all or none. One with a known key replaces the earlier one.

        Raises
        ------
        UnstorableValue
            A row has no key, task or model, or has an invalid figure.
        """
        kept = [proof.to_row(row) for row in proof.checked(rows)]
        journal = self._writing()
        if kept:
            journal.transact(lambda: journal.db.executemany(proof.PUT, kept))

    def evidence(self, task: str | None = None) -> list[Evidence]:
        """Return the judgements of `task` (None: of all tasks), in order of time, then key. O(rows of the task)."""
        return self._reading().evidence(task)

    # -------------------------------------------------------------- forgetting
    def _delete(self, runs: Sequence[str]) -> None:
        journal, reader = self._writing(), self._reading()
        taken: list[int] = []
        try:
            for run in runs:
                number = reader.number(run)
                self._take_lock(run, number)
                taken.append(number)
            journal.transact(lambda: Sweeper(journal).delete(list(zip(runs, taken, strict=True))))
            with journal.lock:
                Sweeper(journal).compact()
        except DATABASE_ERRORS as error:
            raise translated(error, self.path) from error
        finally:
            for number in taken:
                self._release(number)
            journal.forget_hashes()
            reader.forget()

    # -------------------------------------------------------------- life
    def close(self) -> None:
        """Write the waiting events and close the file. Open run logs end. A second call does nothing.

        Notes
        -----
        Afterwards everything is in one file, unless another process has it open, too. Stores that are still open when the
        interpreter exits are closed then.
        """
        journal, self._journal = self._journal, None
        self._forget_reader()
        while self._outdated:  # before the writer: the last connection removes the log, and a reader may not
            self._outdated.pop().close()
        if journal is not None:
            with journal.lock:
                self._close_writing(journal)
        path = self.path
        self._unusable = lambda: StoreError(f"the store {path} was closed.", hint="open it again")

    def _close_writing(self, journal: Journal) -> None:
        assert self._locks is not None
        try:
            if self._unusable is None:
                journal.flush_now()
                journal.write_late()
                if self._numbers:
                    journal.transact(lambda: _give_back(journal.db, self._numbers))
        finally:
            journal.forcer.close()
            if self._unusable is None:
                fold_log(journal.db)
            journal.db.close()
            for number in self._taken:
                self._locks.release(number)
            self._locks.close()

    def _writing(self) -> Journal:
        self.check()
        if self._journal is None:
            if self._refused is not None:
                raise self._refused()
            raise StoreError(f"the store {self.path} was opened read-only.", hint="open it without `read_only`")
        return self._journal

    def _reading(self) -> Reader:
        self.check()
        with self._lock:
            try:
                if self._stamp is not None and self._stamp != at_rest(self.path):
                    self._forget_reader()
                if self._reader is None:
                    self._stamp = at_rest(self.path) if self.read_only else None
                    self._reader = Reader(open_reader(self.path, is_at_rest=self._stamp is not None), self.path)
            except (*DATABASE_ERRORS, OSError) as error:
                raise translated(error, self.path) from error
            return self._reader

    def _forget_reader(self) -> None:
        """Replace the reader, because another process wrote the file. Iterators that are in use keep the old one."""
        if self._reader is not None:
            self._outdated.append(self._reader)
        self._reader, self._stamp = None, None


_ANY_EVENT = "SELECT 1 FROM events WHERE id > ? AND id < ? LIMIT 1"


def _reserve(db: sqlite3.Connection, count: int) -> int:
    """Reserve `count` new numbers; return the last."""
    db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'runs'", (count,))
    (last,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
    return int(last)


def _give_back(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Undo the reservation of `numbers`, the end of a block, unless others were reserved since."""
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'runs' AND seq = ?", (numbers[0] - 1, numbers[-1]))


def _span(number: int) -> tuple[int, int]:
    """Return the bounds of the ids of run `number`, both exclusive."""
    return number << 32, (number + 1) << 32


_STORES: weakref.WeakSet[SqliteStore] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close every store when the interpreter exits, so that each is one file."""
    for store in sorted(_STORES, key=lambda store: not store.read_only):
        with suppress(StoreError, *DATABASE_ERRORS):
            store.close()


_LEFT_BEHIND: list[object] = []


def _after_fork() -> None:
    """Disable the stores in a forked child: they are the parent's, and the child must not even close their connections."""
    for store in list(_STORES):
        path = store.path
        store._unusable = lambda path=path: StoreError(
            f"the store {path} belongs to the process from which this one was forked.",
            hint="open another store in the child, or do not fork",
        )
        _LEFT_BEHIND.append((store._journal, store._reader, store._outdated, store._locks))
        store._journal, store._reader, store._outdated = None, None, []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
