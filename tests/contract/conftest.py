"""Every store, the same promises: tests here take `store` and run on each implementation.

To hold a store of your own to them, add a line to `MAKERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAKERS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / ".orch" / "runs.sqlite"),
    "sqlite-power": lambda folder: SqliteStore(folder / ".orch" / "runs.sqlite", durability="power"),
}


class Shelf:
    """The store under test; `again()` closes it and opens what it left, as another process would."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.store = MAKERS[kind](folder)

    def again(self) -> Any:
        if self.kind != "memory":
            self.store.close()
            self.store = MAKERS[self.kind](self.folder)
        return self.store


@pytest.fixture(params=list(MAKERS))
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """A fresh store of each kind. Afterwards its ledger must be what its events say, and no balance below zero."""
    made = Shelf(request.param, tmp_path)
    yield made
    check(made.store)
    made.store.close()


@pytest.fixture
def store(shelf: Shelf) -> Any:
    """The store alone."""
    return shelf.store


def check(store: Any) -> None:
    """The invariants of any store at rest."""
    assert store.rebuild_ledger() == []
    for one in store.balances():
        for figure in (one.spent_usd, one.held_usd, one.in_doubt_usd, one.overrun_usd):
            assert figure >= 0, one
    for row in store.runs():
        assert [seq for seq, _ in store.read(row.run)] == list(range(1, row.events + 1))
