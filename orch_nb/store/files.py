"""The database file: create it for this user only, open it with the right settings, translate its errors."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from time import monotonic

from orch_nb.errors import CorruptStore, StoreError, StoreUnavailable

BUSY_MS = 20
"""Milliseconds that SQLite itself waits for another process's transaction. This blocks the loop, so it is short; the journal
retries from the loop."""


DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Errors that SQLite raises. In a damaged file even the message of an error may be undecodable."""


def prepare(path: Path) -> None:
    """Create the folder (0700, with a `.gitignore` of `*`) and an empty file (0600), if they are missing.

    The file is created before SQLite opens it, because SQLite gives its log files the mode of the database. An existing file
    is not opened here: closing a handle of a database that is in use would drop this process's locks on it.

    Raises
    ------
    StoreUnavailable
        They cannot be created.
    """
    try:
        private_folder(path.parent)
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"the store {path} cannot be created: {error.strerror or error}.", hint="choose a writable folder"
        ) from error


def private_folder(folder: Path) -> None:
    """Create `folder` for this user only, and keep it out of version control. An existing folder is not changed."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # another process may create it at the same time
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n")


def open_writer(path: Path, patience_s: float) -> sqlite3.Connection:
    """Open the connection that writes: a write-ahead log, every commit in it at once; `journal.Forcer` syncs it to the disk."""
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    try:
        mode = _switch_to_log(connection, patience_s)
        if mode != "wal":
            raise StoreUnavailable(
                f"the file system of {path} does not allow a write-ahead log.", hint="use a local disk"
            )
        for setting in ("synchronous = NORMAL", "temp_store = MEMORY", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_log(connection: sqlite3.Connection, patience_s: float) -> str:
    """Turn on the write-ahead log and return the mode. Retry: SQLite does not wait while another process creates the file."""
    start = monotonic()
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() - start > patience_s:
                raise
        else:
            return str(mode)


def at_rest(path: Path) -> tuple[int, int] | None:
    """Return a stamp of the database while all of it is in its one file; None if a log beside it has more."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def open_reader(path: Path, *, is_at_rest: bool = False) -> sqlite3.Connection:
    """Open a connection that cannot write.

    Parameters
    ----------
    is_at_rest
        Read only the one file (see `at_rest`). This creates no files beside it and needs no right to. It is valid until the
        stamp changes.
    """
    uri = path.absolute().as_uri() + "?mode=ro" + ("&immutable=1" if is_at_rest else "")
    connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def fold_log(connection: sqlite3.Connection) -> None:
    """Move the content of the log into the database and empty the log, except for the part that another process still reads."""
    with suppress(*DATABASE_ERRORS):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def is_busy(error: Exception) -> bool:
    """Return whether another process was writing."""
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def translated(error: Exception, path: Path, *, waited_s: float = 0.0) -> StoreError:
    """Return an error of SQLite as a `StoreError`."""
    name = _name(error)
    if isinstance(error, OSError):
        return StoreUnavailable(
            f"the store {path} cannot be read: {error.strerror or error}.", hint="check that the file exists"
        )
    if is_busy(error):
        return StoreUnavailable(
            f"the store {path} has been locked by another process for {waited_s:.1f} s.",
            hint="another notebook or program writes to it all the time: end it, or use another store",
            waited_s=waited_s,
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "utf-8" in str(error).lower():
        return CorruptStore(f"the store {path} is damaged: {error}.", hint="restore it from a copy, or use a new store")
    if name.startswith("SQLITE_FULL"):
        return StoreUnavailable(f"the disk of the store {path} is full.", hint="free space, then `%orch resume`")
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_NOLFS")):
        return StoreUnavailable(
            f"the store {path} cannot be used: {error}.",
            hint="check that the disk has space and that the folder is writable",
            reason=name,
        )
    return StoreError(f"the store {path} failed: {error}.", reason=name)


def _name(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", None) or ""
