"""One writer for each run: an operating-system lock on one byte of one file, the byte of the run's number.

The system releases the lock when the process ends, however it ends. A byte range (``fcntl.lockf``) has two advantages over
one ``flock`` file for each run: a lock costs one system call instead of a new file, and a forked child does not inherit it,
so a child that outlives its parent cannot keep the run locked. These locks belong to the process. So this module also
remembers the locks of this process, and opens the file only once: closing any handle of it would release all locks.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from typing import TYPE_CHECKING

from orch_nb.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLOCK = {"linux": ("hhqqi4x", (0, 2, 3, 4)), "darwin": ("qqihh", (3, 0, 1, 2))}
"""Layout of C's ``struct flock``: format, and the positions of type, start, length, pid."""


class LockFile:
    """The locks of one store in this process. All objects of that store share them.

    Parameters
    ----------
    path
        The file whose bytes are locked. It remains empty.
    """

    _open: dict[tuple[int, int, int], LockFile] = {}  # noqa: RUF012  (one for the process, on purpose)
    _guard = threading.Lock()

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._users = 0
        self._held: set[int] = set()
        self._pid = os.getpid()

    @classmethod
    def at(cls, path: Path) -> LockFile:
        """Return the lock file at `path`; create it if needed. Call `close` once for each call.

        Raises
        ------
        StoreUnavailable
            The file cannot be created or opened.
        """
        with cls._guard:
            try:
                known = os.stat(path)
                found = cls._open.get((os.getpid(), known.st_dev, known.st_ino))
            except OSError:
                found = None
            if found is None:
                found = cls._new(path)
            found._users += 1
            return found

    @classmethod
    def _new(cls, path: Path) -> LockFile:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise StoreUnavailable(f"the lock file {path} cannot be opened: {error.strerror}.") from error
        made = os.fstat(handle)
        found = cls._open[(os.getpid(), made.st_dev, made.st_ino)] = cls(path, handle)
        return found

    def close(self) -> None:
        """End one use; the last one closes the file."""
        with self._guard:
            self._users -= 1
            if self._users or self._pid != os.getpid():
                return
            for key, one in list(self._open.items()):
                if one is self:
                    del self._open[key]
            os.close(self._handle)

    def take(self, number: int) -> bool:
        """Lock run `number`; return False if this process or another one has the lock.

        Raises
        ------
        OSError
            The file system does not support locks.
        """
        with self._guard:
            if number in self._held or not _lock(self._handle, number):
                return False
            self._held.add(number)
            return True

    def release(self, number: int) -> None:
        """Unlock run `number`, if this process has the lock."""
        with self._guard:
            if number in self._held and self._pid == os.getpid():
                self._held.remove(number)
                _unlock(self._handle, number)

    def is_taken(self, number: int) -> bool:
        """Return whether a process has run `number` open for writing. This takes no lock, so it blocks no process."""
        with self._guard:
            return number in self._held or _is_locked(self._handle, number)


if sys.platform == "win32":

    def _lock(handle: int, number: int) -> bool:
        os.lseek(handle, number, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(handle: int, number: int) -> None:
        os.lseek(handle, number, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

    def _is_locked(handle: int, number: int) -> bool:
        if not _lock(handle, number):
            return True
        _unlock(handle, number)
        return False

else:

    def _lock(handle: int, number: int) -> bool:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: another process has it
            return False
        return True

    def _unlock(handle: int, number: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, number)

    def _is_locked(handle: int, number: int) -> bool:
        known = _FLOCK.get(sys.platform)
        if known is None:
            if not _lock(handle, number):
                return True
            _unlock(handle, number)
            return False
        layout, places = known
        values = [0] * 5
        values[places[0]], values[places[1]], values[places[2]] = fcntl.F_WRLCK, number, 1
        answer = struct.unpack(layout, fcntl.fcntl(handle, fcntl.F_GETLK, struct.pack(layout, *values)))
        return bool(answer[places[0]] != fcntl.F_UNLCK)


def is_taken_at(path: Path, number: int) -> bool:
    """Return whether a process has run `number` open for writing, using a lock file that this process may only read.

    Return False if the system cannot tell.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    try:
        return _is_locked(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)


def can_lock(folder: Path) -> bool:
    """Return whether files in `folder` can be locked, by trying it."""
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        handle = os.open(probe, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return False
    try:
        locked = _lock(handle, 0)
        if locked:
            _unlock(handle, 0)
        return locked
    except OSError:
        return False
    finally:
        os.close(handle)
        probe.unlink(missing_ok=True)
