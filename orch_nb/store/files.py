"""The database file: made private, opened with the right settings, its errors in our words."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from time import monotonic

from orch_nb.errors import CorruptStore, StoreError, StoreUnavailable

BUSY_MS = 20
"""How long SQLite itself waits for another process's transaction, in ms: it blocks the loop, so it is short; the journal
tries again later, from the loop."""


DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises here: in a damaged file even the text of an error may not be text."""


def prepare(path: Path) -> None:
    """Make the folder (0700, with a `.gitignore` of `*`) and an empty file (0600), where they are missing.

    The file is made before SQLite sees it, because SQLite gives its log files the mode of the database. It is opened
    here only when it is new: closing a handle of a database that is in use would drop this process's locks on it.

    Raises
    ------
    StoreUnavailable
        They cannot be made.
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
            f"the store {path} cannot be made: {error.strerror or error}.", hint="choose a folder that can be written"
        ) from error


def private_folder(folder: Path) -> None:
    """Make `folder` for this user only, and keep it out of version control; a folder that exists is left as it is."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # another process may make it at the same time
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n")


def open_writer(path: Path, patience_s: float) -> sqlite3.Connection:
    """The connection that writes: WAL, every commit in the log file at once, the disk's turn left to `disk`."""
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
    """Ask for a write-ahead log; SQLite does not wait by itself while another process makes the same file."""
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
    """A stamp of the database while all of it is in its one file; None where a log beside it holds more."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def open_reader(path: Path, *, is_at_rest: bool = False) -> sqlite3.Connection:
    """Open a connection that cannot write, whatever is asked of it.

    Parameters
    ----------
    is_at_rest
        Read the one file as it is (see `at_rest`), which makes no files beside it and needs no right to. Until its stamp
        changes.
    """
    uri = path.absolute().as_uri() + "?mode=ro" + ("&immutable=1" if is_at_rest else "")
    connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def fold_log(connection: sqlite3.Connection) -> None:
    """Move what the log file holds into the database, and empty the log; what another process still reads stays there."""
    with suppress(*DATABASE_ERRORS):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def is_busy(error: Exception) -> bool:
    """Whether another process was writing just then."""
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def translated(error: Exception, path: Path, *, waited_s: float = 0.0) -> StoreError:
    """What SQLite said, as an error of ours."""
    name = _name(error)
    if isinstance(error, OSError):
        return StoreUnavailable(
            f"the store {path} cannot be read: {error.strerror or error}.", hint="is it still there?"
        )
    if is_busy(error):
        return StoreUnavailable(
            f"the store {path} is locked by another process, for {waited_s:.1f} s now.",
            hint="another notebook or program writes to it all the time: end it, or use a store of your own",
            waited_s=waited_s,
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "utf-8" in str(error).lower():
        return CorruptStore(f"the store {path} is damaged: {error}.", hint="restore it from a copy, or use a new store")
    if name.startswith("SQLITE_FULL"):
        return StoreUnavailable(f"the disk of the store {path} is full.", hint="free space, then `%orch resume`")
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_NOLFS")):
        return StoreUnavailable(
            f"the store {path} cannot be used: {error}.",
            hint="is there space, and may the folder be written?",
            reason=name,
        )
    return StoreError(f"the store {path} failed: {error}.", reason=name)


def _name(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", None) or ""
