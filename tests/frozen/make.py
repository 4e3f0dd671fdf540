"""Freeze a store as this commit writes and reads it: ``python -m tests.frozen.make v1``.

A folder ``vN`` has a store with runs of every shape (``runs.sqlite``), the same runs as lines (``runs.jsonl``), the cells that
define what ran (``cells.txt``), and the readings of the runs (``expected.json``). A folder that was committed is never
written again; where a figure of its readings was wrong and is mended, ``python -m tests.frozen.make --read v1`` writes
``expected.json`` again from the stored runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orch_nb as orch
from tests.frozen.reading import readings
from tests.frozen.world import CELLS, HERE, notebook

if TYPE_CHECKING:
    from tests.frozen.world import Notebook

RECORDING = """async with orch.record(budget=0.05, name='by_hand') as run:
    first = await draft(topic='summer')
    await headline(draft=first)"""
COMPARE = "%%compare teams\nprompts: [triage]\nmodels: [small, big]\ninputs: rows[:2]\nscore: exact(category)\n"


def write_runs(book: Notebook) -> None:
    """Runs of every shape, one after the other."""
    run = book.run
    run("%orch run support ticket='My payment failed'")  # a switch, an effect
    run("%orch run support ticket='My payment failed'")  # the same effect, which is not performed again
    run("%orch run story topic='spring' --budget 0.10")  # a chain, in a budget of its own
    run("%orch run digest text='one; two; three'")  # a map
    run("%orch run counting step=1")  # a loop
    run("%orch run desk ticket='The screen is broken'")  # a nested graph
    run("%orch run growing size=5")  # a graph that grows at run time
    edited = run("run = orch.run_sync(press, topic='winter', attended=True)")
    edited.answer("edit", "Winter is here", by="ann", comment="shorter")
    edited.future.result(30)
    run("%orch run story topic='fail here'")  # a failure, mended and resumed
    book.models.failing = False
    book.cell("%orch resume")
    book.models.failing = True
    run("%orch run story topic='fail again'")  # a failure that stays
    run("%orch run triage ticket='This is nonsense'")  # an answer that does not fit its type
    run("%orch run story topic='money' --budget 0.0001")  # refused by its budget
    run("%orch run careful ticket='My payment failed'")  # a cascade
    run("%orch run kept ticket='My payment failed'")
    run("%orch run kept ticket='My payment failed'")  # answered by the cache
    book.cell("%orch run story topic='hold on' --bg")  # stopped in a call
    stopped = book.shell.user_ns["run"]
    assert book.models.is_held.wait(30)
    stopped.stop()
    stopped.future.result(30)
    book.cell("%orch batch triage rows")
    book.cell(COMPARE)
    book.cell(RECORDING)


def die_in_a_call(folder: Path) -> None:
    """Leave a run that waits for a person, and one whose process dies in its second call."""

    async def die() -> None:
        if book.models.providers["big"].requests:
            os._exit(9)

    with notebook(folder) as book:
        book.models.at_hold = die
        book.cell("run = orch.run_sync(press, topic='autumn', attended=True)")
        book.models.providers["big"].requests.clear()
        book.cell("%orch run story topic='hold on tight'")


def write(folder: Path) -> None:
    """Write a whole version into `folder`, which must not exist."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        here = Path(temporary)
        with notebook(here) as book:
            write_runs(book)
        died = subprocess.run(
            [sys.executable, "-m", "tests.frozen.make", "--die", temporary], check=False, env=_environ()
        )
        if died.returncode != 9:
            raise SystemExit(f"the process that had to die ended with {died.returncode}")
        (stored,) = here.glob(".orch/*.sqlite")
        compact(stored, folder / "runs.sqlite")
    shutil.copy(CELLS, folder / "cells.txt")
    with orch.SqliteStore(folder / "runs.sqlite", read_only=True) as store:
        lines = [
            f"{json.dumps({'run': row.run})}\n" + "\n".join(store.export(row.run)) for row in reversed(store.runs())
        ]
    (folder / "runs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for left in folder.glob("runs.sqlite?*"):
        left.unlink()


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parents[1])}


def compact(stored: Path, file: Path) -> None:
    """Copy a store into one file."""
    shutil.copy(stored, file)
    for end in ("-wal", "-shm"):
        if (beside := Path(f"{stored}{end}")).exists():
            shutil.copy(beside, Path(f"{file}{end}"))
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def read(folder: Path) -> dict[str, Any]:
    """Read a copy of a frozen store with this commit's code."""
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        return readings(folder, Path(temporary))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="the folder's name, such as v1")
    parser.add_argument("--read", action="store_true", help="write expected.json alone")
    parser.add_argument("--die", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.die:
        die_in_a_call(Path(given.version))
    folder = HERE / given.version
    if not given.read:
        write(folder)
    text = json.dumps(read(folder), indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
