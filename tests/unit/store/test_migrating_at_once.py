"""A store that two processes make at the same moment, one statement of the other in between."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.store.migrations import STEPS, migrate, version_of

if TYPE_CHECKING:
    from pathlib import Path


class Interrupted:
    """A connection between two of whose statements another process makes the store."""

    def __init__(self, path: Path, after: int) -> None:
        self._own, self._path, self._left = connection(path), path, after

    def execute(self, statement: str) -> Any:
        if self._left == 0:
            other = connection(self._path)
            migrate(other)
            other.close()
        self._left -= 1
        return self._own.execute(statement)

    def close(self) -> None:
        self._own.close()


def connection(path: Path) -> sqlite3.Connection:
    """As the store opens it: transactions are begun by hand."""
    return sqlite3.connect(path, isolation_level=None)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_store_made_by_another_process_meanwhile_is_no_strangers_database(tmp_path: Path, after: int) -> None:
    """Whatever has been read when the other process commits: the file is empty or ours, never another program's."""
    one = Interrupted(tmp_path / "runs.sqlite", after)
    try:
        assert version_of(one) in (0, len(STEPS))  # type: ignore[arg-type]
    finally:
        one.close()
