"""What a person has agreed to once and for all runs: learned routes, and how measured confidences are to be read.

One small JSON file beside the store, ``routes.json``: readable, kept under version control where somebody wants to, and
written whole, so that a crash leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from orch_nb.errors import CorruptStore, StoreUnavailable
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from pathlib import Path

NAME = "routes.json"
VERSION = 1
MAX_BYTES = 4_000_000


class Accepted:
    """Entries by kind and name, plain data.

    Parameters
    ----------
    path
        The file; None keeps everything in memory (a store in memory has no place).

    Raises
    ------
    CorruptStore
        The file is there and is none of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._kept: dict[str, dict[str, Any]] = {}

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """The entry of this kind ("route", "calibration") and name; None where there is none. Another process's too."""
        name = REDACTOR.text(name)
        with self._lock:
            self._read()
            found: dict[str, Any] | None = self._kept.get(kind, {}).get(name)
            return found

    def put(self, kind: str, name: str, entry: dict[str, Any] | None) -> None:
        """Keep an entry; None takes it away.

        Raises
        ------
        StoreUnavailable
            The file cannot be written.
        """
        (name, entry), _ = REDACTOR.clean((name, entry))
        with self._lock:
            self._read()
            rows = self._kept.setdefault(kind, {})
            if entry is None:
                rows.pop(name, None)
            else:
                rows[name] = entry
            self._write()

    def _read(self) -> None:
        if self.path is None:
            return
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._kept, self._stamp = {}, None
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        try:
            data = json.loads(self.path.read_text(encoding="utf-8")) if status.st_size <= MAX_BYTES else None
        except (OSError, ValueError) as error:
            raise CorruptStore(
                f"{self.path} cannot be read: {error}.", hint="restore it, or delete it and accept again"
            ) from error
        if not isinstance(data, dict) or data.get("v") != VERSION:
            raise CorruptStore(
                f"{self.path} is no list of accepted routes of version {VERSION}.", hint="restore it, or delete it"
            )
        self._kept, self._stamp = {k: v for k, v in data.items() if k != "v" and isinstance(v, dict)}, stamp

    def _write(self) -> None:
        if self.path is None:
            return
        text = json.dumps({"v": VERSION, **self._kept}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            new.write_text(text, encoding="utf-8")
            os.replace(new, self.path)
            status = self.path.stat()
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be written: {error.strerror or error}.", hint="free space, or make its folder writable") from error  # fmt: skip
        self._stamp = (status.st_mtime_ns, status.st_size)
