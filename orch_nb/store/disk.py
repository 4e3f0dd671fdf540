"""Forcing the log to the disk, off the loop: one thread, one system call for all who wait.

SQLite with ``synchronous=NORMAL`` writes every commit into the write-ahead log at once and leaves it to the operating
system when that reaches the disk. One ``fdatasync`` of the log file after a commit is what ``synchronous=FULL`` would have
done; done here, in a thread, it covers every commit made until then, of every run, and holds up no other.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

from orch_nb.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_sync = getattr(os, "fdatasync", os.fsync)


def force(path: Path, inode: int) -> None:
    """Return when what was written to the database at `path` is on the disk.

    Raises
    ------
    StoreUnavailable
        It cannot be forced there, or the file is no longer the one that was opened (its folder was deleted).
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


REOPEN = "free space or restore the folder, then `%orch resume`: what was recorded before is kept"


class Forcer:
    """The thread. It starts with the first request.

    Parameters
    ----------
    force
        Forces everything written so far; may raise StoreUnavailable.
    """

    def __init__(self, force: Callable[[], None]) -> None:
        self._force = force
        self._wake = threading.Condition()
        self._waiting: list[tuple[asyncio.Future[Any], Any]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def request(self, waiters: list[tuple[asyncio.Future[Any], Any]]) -> None:
        """Resolve each (future, result) once everything written before this call is on the disk."""
        with self._wake:
            self._waiting += waiters
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orch-store-sync", daemon=True)
                self._thread.start()
            else:
                self._wake.notify()

    def close(self) -> None:
        """Serve who waits, then end the thread."""
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


def resolve(waiters: list[tuple[asyncio.Future[Any], Any]]) -> None:
    """Give each future its result (or exception), each on its own loop, whatever thread this is."""
    here = asyncio._get_running_loop()
    others: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
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
            except RuntimeError:  # it was closed in this moment: nobody waits there any more
                continue


def _set_all(waiters: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in waiters:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
