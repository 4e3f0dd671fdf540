"""Runs that earlier versions recorded, kept for ever: every later version reads them, and folds them to the same end.

`vN/*.jsonl` are exported runs with events of schema N; `vN/store.sql` is a store with those runs as version N kept it.
When the schema changes, add a folder, never change one.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from orch_nb.engine.fold import fold_all
from orch_nb.engine.plan import from_data
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget
from orch_nb.store.export import read_lines, to_line
from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore

HERE = Path(__file__).parent
RUNS = sorted(HERE.glob("v*/*.jsonl"))
STORES = sorted(HERE.glob("v*/store.sql"))


def lines(path: Path) -> list[str]:
    """The lines of a recorded run."""
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", RUNS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_recorded_runs_are_read_for_ever(path: Path) -> None:
    """Every event ever recorded can be read by this version, in order, from its first event to its end."""
    got = list(read_lines(lines(path)))
    assert [seq for seq, _ in got] == list(range(1, len(got) + 1))
    assert isinstance(got[0][1], ev.RunStarted)
    assert isinstance(got[-1][1], ev.RunEnded)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_recorded_runs_fold_to_the_same_end(path: Path) -> None:
    """Every prefix of a recorded run is a valid state, and the whole of it the recorded end."""
    events = [event for _, event in read_lines(lines(path))]
    plan = from_data(events[0].plan)
    for n in range(1, len(events) + 1):
        state = fold_all(plan, events[:n])
    assert state.status == events[-1].status
    assert state.spent_usd == sum((e.cost_usd or 0 for e in events if isinstance(e, ev.Settled)), Decimal(0))


@pytest.mark.parametrize("path", [p for p in RUNS if p.parent.name == f"v{ev.SCHEMA}"], ids=lambda p: p.stem)
def test_this_versions_records_are_written_the_same(path: Path) -> None:
    """Events of the current schema are still written letter for letter as when they were recorded: a change of the
    schema cannot happen by accident."""
    for line, (seq, event) in zip(lines(path), read_lines(lines(path)), strict=True):
        assert to_line(seq, event) == line


@pytest.mark.parametrize("version", sorted({p.parent.name for p in RUNS}))
def test_every_type_is_in_the_histories(version: str) -> None:
    """The recorded runs have every type of event, so that none can be broken unnoticed."""
    seen = {e.TYPE for p in RUNS if p.parent.name == version for _, e in read_lines(lines(p))}
    assert seen == set(ev.TYPES)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_recorded_runs_can_be_stored_again(path: Path, tmp_path: Path) -> None:
    """Both stores take a recorded run and give it back equal."""
    events = [event for _, event in read_lines(lines(path))]
    for store in (MemoryStore(), SqliteStore(tmp_path / "runs.sqlite")):
        log = store.create(events[0].run)
        log.append(events)
        log.close()
        assert [event for _, event in store.read(log.run)] == events
        assert list(store.export(log.run)) == [to_line(i, e) for i, e in enumerate(events, 1)]
        store.close()


@pytest.mark.parametrize("path", STORES, ids=lambda p: p.parent.name)
def test_stores_of_every_version_open(path: Path, tmp_path: Path) -> None:
    """A store of every earlier version opens with the same runs, events and money, and can be continued."""
    file = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript(path.read_text(encoding="utf-8"))
    connection.close()
    with SqliteStore(file) as store:
        rows = {row.run: row for row in store.runs()}
        assert {r.run: (r.graph, r.status) for r in rows.values()} == {
            "1": ("support", "done"), "2": ("research", "failed"), "3": ("draft", "cancelled"),
        }  # fmt: skip
        for row in rows.values():
            recorded = [e for _, e in read_lines(lines(path.with_name(f"{row.graph}.jsonl")))]
            assert [e for _, e in store.read(row.run)] == recorded
        assert store.rebuild_ledger() == []
        one = store.balance("notebook:support.ipynb")
        assert (one.limit_usd, one.spent_usd, one.in_doubt_usd, one.overrun_usd) == (
            Decimal("1.00"), Decimal("0.00131"), Decimal("0.0015"), Decimal("0.00005"),
        )  # fmt: skip
        log = store.open("3")
        log.append([ev.Resumed(1.0)])
        log.close()
        assert store.next_run() == "4"
        store.delete("2")
        assert len(list(store.read("3"))) == 14


@pytest.mark.parametrize("path", [p for p in STORES if p.parent.name == "v1"], ids=lambda p: p.parent.name)
def test_a_store_of_the_first_version_is_read_and_goes_on_in_every_unit(path: Path, tmp_path: Path) -> None:
    """A store from before there were limits in tokens, calls and seconds: read only, it is not touched and its balances are
    shown; opened, its holds settle and the new limits hold."""
    file = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript(path.read_text(encoding="utf-8"))
    (before,) = connection.execute("PRAGMA user_version").fetchone()
    with SqliteStore(file, read_only=True) as store:
        one = store.balance("notebook:support.ipynb")
        assert (one.spent_usd, one.quotas, one.budget) == (Decimal("0.00131"), {}, Budget(Decimal("1.00")))
        assert [b.scope for b in store.balances("notebook:")] == ["notebook:support.ipynb"]
    assert connection.execute("PRAGMA user_version").fetchone() == (before,)
    connection.close()
    with SqliteStore(file) as store:
        assert store.balance("notebook:support.ipynb") == one
        log = store.open("3")
        doubtful = log.holds()
        assert doubtful
        for name in doubtful:
            log.settle([ev.Settled("", "b", 1, None, 0, 4.0)], name, Decimal(0), Decimal(0), {"tokens": Decimal(5)})
        assert store.balance("notebook:support.ipynb").in_doubt_usd == 0
        store.set_limit("notebook:support.ipynb", Budget(Decimal("1.00"), calls=Decimal(3)))
        assert store.balance("notebook:support.ipynb").quotas["calls"].limit == 3
        assert store.rebuild_ledger() == []
