"""Stores that earlier commits wrote. Every later commit must read the same from them and resume the unfinished runs.
`tests.frozen.make` writes them and describes when a file may be replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import orch_nb as orch
from orch_nb.schema import events as ev
from orch_nb.store.export import read_lines
from tests.frozen.reading import copy, readings
from tests.frozen.world import HERE, notebook

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = sorted(path.parent for path in HERE.glob("v*/expected.json"))

WRONG = {
    "rows.*.spent_usd of a batch and a comparison": "$8: they show $0",
}
"""Readings known to be wrong. Once mended, ``python -m tests.frozen.make --read vN`` writes them again."""

frozen = pytest.mark.parametrize("version", VERSIONS, ids=lambda p: p.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_version_is_frozen() -> None:
    """There is a store to read, and none is larger than a repository bears."""
    assert VERSIONS
    assert all((version / "runs.sqlite").stat().st_size < 300_000 for version in VERSIONS)


@frozen
def test_a_frozen_store_reads_as_it_did(version: Path, folder: Path) -> None:
    """State, output, bill and trace of every run, the list of runs and the budget are what they were when it was written."""
    expected = json.loads((version / "expected.json").read_text(encoding="utf-8"))
    got = json.loads(json.dumps(readings(version, folder)))
    assert got["budget"] == expected["budget"]
    assert got["rows"] == expected["rows"]
    assert list(got["runs"]) == list(expected["runs"])
    for run, reading in expected["runs"].items():
        assert (run, got["runs"][run]) == (run, reading)


@frozen
def test_frozen_lines_are_the_events_of_the_frozen_store(version: Path, folder: Path) -> None:
    """Exported lines are read into the very events that the store has, and its balances are those of the events."""
    copy(version, folder)
    with orch.SqliteStore(folder / ".orch" / "runs.sqlite") as store:
        lines = lines_of(version)
        assert {row.run for row in store.runs()} == set(lines)
        for run, exported in lines.items():
            assert list(read_lines(exported)) == list(store.read(run))
        assert store.rebuild_ledger() == []


@frozen
def test_the_current_schema_is_still_written_letter_for_letter(version: Path, folder: Path) -> None:
    """Events of this schema are exported as they were: a schema cannot change by accident."""
    copy(version, folder)
    with orch.SqliteStore(folder / ".orch" / "runs.sqlite") as store:
        for run, exported in lines_of(version).items():
            if json.loads(exported[0])["schema"] == ev.SCHEMA:
                assert list(store.export(run)) == exported


@frozen
def test_what_was_unfinished_in_a_frozen_store_goes_on(version: Path, folder: Path) -> None:
    """Interrupted, failed, refused, stopped and waiting runs are resumed to their end; what was answered is not asked again."""
    copy(version, folder)
    with notebook(folder, cells=version / "cells.txt") as book:
        book.models.failing = book.models.holding = False
        rows = [row for row in book.runtime.unfinished() if row.graph in ("story", "press")]
        assert {row.status for row in rows} >= {"running", "failed", "cancelled", "waiting"}
        for row in rows:
            answered = [e for _, e in book.events(row.run) if isinstance(e, ev.Settled) and e.ok]
            before = calls_of(book)
            run = book.run(f"run = await orch.resume({row.run!r}, budget=0.10, attended=True)")
            if run.status == "waiting":
                run.answer("approve", by="ann")
                run.future.result(30)
            assert (row.run, run.status) == (row.run, "done")
            assert set(run.result()) == {"text", "title"}
            assert calls_of(book) - before == 2 - len(answered)


def calls_of(book: Any) -> int:
    """Number of calls that reached the models so far."""
    return sum(len(provider.requests) for provider in book.models.providers.values())


def lines_of(version: Path) -> dict[str, list[str]]:
    """Return run -> its exported lines, in the order of the file. A line with only the run precedes them."""
    found: dict[str, list[str]] = {}
    for line in (version / "runs.jsonl").read_text(encoding="utf-8").splitlines():
        if (header := json.loads(line)).keys() == {"run"}:
            lines = found[header["run"]] = []
        else:
            lines.append(line)
    return found
