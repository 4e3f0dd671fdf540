"""Approvals that hold for all runs: learned routes, and calibrations of measured confidences.

They are in one small JSON file beside the store, ``routes.json``. It is readable and may be put under version control. It is
always replaced as a whole, so that a crash leaves the old file or the new one.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, cast

from orch_nb.errors import CorruptStore, StoreUnavailable
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orch_nb.schema.values import JsonObject

NAME = "routes.json"
VERSION = 1
MAX_BYTES = 4_000_000


class Accepted:
    """Entries by kind and name, as plain data.

    Parameters
    ----------
    path
        The file. None keeps the entries in memory, for a store in memory.

    Raises
    ------
    CorruptStore
        The file is not a list of accepted routes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._kept: dict[str, dict[str, JsonObject]] = {}

    def find(self, kind: str, name: str) -> JsonObject | None:
        """Return the entry of this kind ("route", "calibration") and name, of any process; None without one."""
        name = REDACTOR.text(name)
        with self._lock:
            self._read()
            return self._kept.get(kind, {}).get(name)

    def put(self, kind: str, name: str, entry: Mapping[str, object] | None) -> None:
        """Store an entry; None deletes it.

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
                rows[name] = cast("JsonObject", dict(entry))
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
                f"{self.path} must be a list of accepted routes of version {VERSION}.", hint="restore it, or delete it"
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
