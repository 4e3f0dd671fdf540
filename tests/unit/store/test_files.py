"""The file itself: where it lies, who may read it, what is in it, and what happens when it goes away."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import CorruptStore, SchemaTooNew, StoreError, StoreUnavailable
from orch_nb.store import location
from orch_nb.store.location import file_system_of, open_store
from orch_nb.store.migrations import STEPS
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import ended, finished, hold, sent, settled, started

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and such are POSIX's")


def write(store: Any, run: str = "", *events: Any) -> str:
    """A run with some events, closed."""
    log = store.create(run or store.next_run())
    log.append([started(log.run), *events])
    log.close()
    return log.run  # type: ignore[no-any-return]


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by name."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


# ------------------------------------------------------------------------------------------------------------ privacy
@posix
def test_files_are_private(tmp_path: Path) -> None:
    """Files are 0600 and the folder 0700, even where the user's umask would let everybody in."""
    before = os.umask(0)
    try:
        store, _ = open_store(tmp_path)
        log = store.create("x")
        log.append([started("x")])
        asyncio.run(log.sync())
        folder = tmp_path / ".orch"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        names = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
        assert names.keys() >= {"runs.sqlite", "runs.sqlite-wal", "runs.sqlite-shm", "runs.sqlite-locks"}
        assert all(mode == 0o600 for name, mode in names.items() if name.startswith("runs")), names
        store.close()
    finally:
        os.umask(before)


@posix
def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    """A store whose mode was widened is made private again when it is opened."""
    path = tmp_path / ".orch" / "runs.sqlite"
    SqliteStore(path).close()
    path.chmod(0o644)
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_store_ignores_itself(tmp_path: Path) -> None:
    """Version control never sees the store."""
    store, notice = open_store(tmp_path)
    store.close()
    assert (tmp_path / ".orch" / ".gitignore").read_text() == "*\n"
    assert notice == ""


@pytest.mark.parametrize("name", ["with space", "ünïcödé 😀", "q?u#e%20ry&x=1", "x" * 200, "'; DROP TABLE runs; --"])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    """Spaces, Unicode, long names and characters that mean something in addresses."""
    folder = tmp_path / name
    folder.mkdir()
    store, _ = open_store(folder)
    run = write(store, "", finished(1))
    assert len(list(store.read(run))) == 2
    store.close()
    with SqliteStore(folder / ".orch" / "runs.sqlite", read_only=True) as store:
        assert [row.run for row in store.runs()] == [run]


def test_deleting_leaves_no_trace(tmp_path: Path) -> None:
    """After a run was deleted its text is in no file of the store, log and free pages included."""
    path = tmp_path / ".orch" / "runs.sqlite"
    with SqliteStore(path) as store:
        write(store, "keep", finished("kept words"), *[finished(f"page {i} " * 300) for i in range(50)])
        secret = ["canary-small", "canary-large-" * 900, {"canary-key": ["canary-item" * 50] * 400}]
        log = store.create("gone")
        log.append([started("gone", inputs={"x": "canary-input"}), *[finished(s) for s in secret]])
        asyncio.run(log.admit(sent(request="canary-request"), hold("canary-hold", "0.1", "run:gone/node:canary-node")))
        log.close()
        assert any(b"canary" in data for data in files(path.parent).values())
        store.delete("gone")
        assert [name for name, data in files(path.parent).items() if b"canary" in data] == []
        assert len(list(store.read("keep"))) == 52


def test_pruning_gives_space_back(tmp_path: Path) -> None:
    """A store that was pruned is smaller on the disk, and has no blob that nothing refers to."""
    with SqliteStore(tmp_path / "runs.sqlite") as store:
        for i in range(10):
            write(store, "", *[finished(f"{i} {j}" * 2000) for j in range(20)], ended())
        before = store.stats()
        assert len(store.prune(keep_last=1)) == 9
        after = store.stats()
        assert after.bytes < before.bytes / 5
        assert (after.runs, after.blobs, after.free_bytes, after.log_bytes) == (1, 21, 0, 0)


# ------------------------------------------------------------------------------------------------------------ versions
def test_a_newer_store_is_refused_untouched(tmp_path: Path) -> None:
    """A store that a later version wrote is refused with advice, and not a byte of it changes."""
    path = tmp_path / "runs.sqlite"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    before = files(tmp_path)
    for read_only in (False, True):
        with pytest.raises(SchemaTooNew, match="was not changed") as caught:
            SqliteStore(path, read_only=read_only)
        assert "upgrade" in caught.value.hint
    after = files(tmp_path)
    assert after["runs.sqlite"] == before["runs.sqlite"]
    assert not after.get("runs.sqlite-wal")


def test_migrations_are_remembered(tmp_path: Path) -> None:
    """The file says which steps made it; opening again applies none."""
    path = tmp_path / "runs.sqlite"
    for _ in range(2):
        SqliteStore(path).close()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT number, name FROM migrations ORDER BY number").fetchall()
    connection.close()
    assert rows == [(i, step.__name__.rpartition(".")[2]) for i, step in enumerate(STEPS, 1)]


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """A database of another program, and a file that is not a database, are not changed; both are a typed error."""
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but longer than a hundred bytes " * 5)
    before = files(tmp_path)
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(other)
    with pytest.raises(CorruptStore):
        SqliteStore(text)
    after = files(tmp_path)
    assert {n: after[n] for n in before} == before


def test_fingerprints_are_indexed(tmp_path: Path) -> None:
    """A later run finds an activation by its fingerprint, and a call by its request hash, without reading the rest."""
    path = tmp_path / "runs.sqlite"
    with SqliteStore(path) as store:
        write(store, "x", *[finished(i, fingerprint=f"{i:032x}") for i in range(50)], sent(request_hash="r" * 32))
    connection = sqlite3.connect(path)
    query = "SELECT id & 0xFFFFFFFF, type FROM events WHERE fingerprint = ?"
    assert connection.execute(query, (f"{7:032x}",)).fetchall() == [(9, "finished")]
    assert connection.execute(query, ("r" * 32,)).fetchall() == [(52, "sent")]
    (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {query}", ("x",)).fetchall()
    assert "events_fingerprint" in plan[3]
    connection.close()


# ------------------------------------------------------------------------------------------------------------ reading only
def test_read_only(tmp_path: Path) -> None:
    """Opened for reading, a store lists and reads beside its writer, and refuses to write."""
    path = tmp_path / "runs.sqlite"
    with SqliteStore(path) as writer:
        log = writer.create("x")
        log.append([started("x"), finished(1)])
        with SqliteStore(path, read_only=True) as store:
            (row,) = store.runs()
            assert (row.run, row.events, row.live) == ("x", 2, True)
            assert len(list(store.read("x"))) == 2
            log.append([finished(2)])
            assert len(list(store.read("x"))) == 3
            for use in (store.next_run, lambda: store.create("y"), lambda: store.open("x"), lambda: store.delete("x"),
                        store.rebuild_ledger, lambda: store.set_limit("a", None)):  # fmt: skip
                with pytest.raises(StoreError, match="read-only"):
                    use()


def test_reading_a_store_that_is_not_there(tmp_path: Path) -> None:
    """A store that does not exist is not made by looking for it."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        SqliteStore(tmp_path / "a" / "runs.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_store(tmp_path: Path) -> None:
    """After `close` every use is a typed error, of the store and of logs left open; closing again is none."""
    store = SqliteStore(tmp_path / "runs.sqlite")
    log = store.create("x")
    log.append([started("x")])
    store.close()
    store.close()
    log.close()
    for use in (store.runs, store.next_run, lambda: log.append([finished(1)]), lambda: store.read("x")):
        with pytest.raises(StoreError, match="was closed"):
            use()
    with SqliteStore(tmp_path / "runs.sqlite") as again:
        again.open("x").close()


def test_durability_is_a_word_we_know(tmp_path: Path) -> None:
    """A wrong setting is refused with the nearest right one, before a file is made."""
    with pytest.raises(StoreError, match="powr") as caught:
        SqliteStore(tmp_path / "runs.sqlite", durability="powr")  # type: ignore[arg-type]
    assert "power" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ loss
@posix
async def test_a_deleted_folder_stops_the_next_call(tmp_path: Path) -> None:
    """If the folder of an open store is deleted, all further calls are refused before they are sent."""
    folder = tmp_path / ".orch"
    store = SqliteStore(folder / "runs.sqlite")
    log = store.create("x")
    log.append([started("x")])
    assert await log.admit(sent(), hold("a", "0.1", "run:x")) is None
    shutil.rmtree(folder)
    with pytest.raises(StoreUnavailable, match="cannot be written to the disk"):
        await log.admit(sent(1), hold("b", "0.1", "run:x"))
    with pytest.raises(StoreUnavailable):
        await log.admit(sent(2), hold("c", "0.1", "run:x"))
    store.close()


@posix
async def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    """A store whose file was replaced by another (a checkout, a copy) is not written to as if nothing had happened."""
    path = tmp_path / "runs.sqlite"
    store = SqliteStore(path)
    log = store.create("x")
    log.append([started("x")])
    await log.sync()
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    with pytest.raises(StoreUnavailable, match="was replaced"):
        await log.admit(sent(), hold("b", "0.1", "run:x"))
    store.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the folder cannot be written, the store is in the user's state folder, with a notice."""
    monkeypatch.setattr(location, "state_home", lambda: tmp_path / "state")
    work, real = tmp_path / "work", location.private_folder

    def refuse(folder: Path) -> None:
        if work in folder.parents:
            raise PermissionError(13, "Permission denied")
        real(folder)

    work.mkdir()
    monkeypatch.setattr(location, "private_folder", refuse)
    store, notice = open_store(work)
    assert "cannot be written (Permission denied)" in notice
    assert (tmp_path / "state") in store.path.parents
    store.close()


@pytest.mark.parametrize(
    ("what", "why"),
    [("_effective_user", "belongs to"), ("file_system_of", "network file system"), ("can_lock", "without locks")],
)
def test_a_store_that_is_there_is_never_left_for_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, why: str
) -> None:
    """Another user's store, one on a network file system: its runs are read, and whatever would write says so, typed."""
    monkeypatch.setattr(location, "state_home", lambda: tmp_path / "state")
    store, _ = open_store(tmp_path)
    run = write(store, "", finished(1))
    store.close()
    before = files(tmp_path / ".orch")
    monkeypatch.setattr(
        location, what, {"_effective_user": lambda: 4711, "file_system_of": lambda _: "nfs4"}.get(what, lambda _: False)
    )
    store, notice = open_store(tmp_path)
    assert why in notice
    assert [row.run for row in store.runs()] == [run]
    for call in (store.next_run, lambda: store.create("x"), lambda: store.open(run), lambda: store.delete(run)):
        with pytest.raises(StoreUnavailable, match=why) as caught:
            call()
        assert f"ORCH_STORE={tmp_path / 'state'}" in caught.value.hint
    store.close()
    assert files(tmp_path / ".orch") == before
    assert not (tmp_path / "state").exists()


def test_sync_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admission returns only after the log was forced to the disk, once for all who wait; an append does not wait."""
    import threading

    from orch_nb.store import journal

    gate, entered, forced = threading.Event(), threading.Event(), []

    def slow(handle: int) -> None:
        entered.set()
        assert gate.wait(20)
        forced.append(handle)

    monkeypatch.setattr(journal, "_force_file", slow)

    async def run() -> None:
        logs = [store.create(f"r{i}") for i in range(20)]
        for log in logs:
            log.append([started(log.run)])
        waiting = logs[0].append([finished(0)])
        assert waiting is not None
        await waiting
        assert not forced
        first = asyncio.ensure_future(logs[0].admit(sent(), hold("h", "0.01", "notebook:n")))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait, 20)
        rest = [asyncio.ensure_future(log.admit(sent(), hold("h", "0.01", "notebook:n"))) for log in logs[1:]]
        after = logs[0].append([finished(1)])
        assert after is not None
        await after
        assert not first.done()
        assert not any(one.done() for one in rest)
        gate.set()
        assert await asyncio.gather(first, *rest) == [None] * 20
        assert len(forced) == 2

    with SqliteStore(tmp_path / "runs.sqlite") as store:
        asyncio.run(run())


def test_power_waits_for_every_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `durability="power"` an append is on the disk when it is awaited, and one write serves many runs."""
    from orch_nb.store import journal

    forced: list[int] = []
    monkeypatch.setattr(journal, "_force_file", forced.append)

    async def run() -> None:
        logs = [store.create(f"r{i}") for i in range(50)]
        waiting = [log.append([started(log.run)]) for log in logs]
        assert None not in waiting
        await asyncio.gather(*(asyncio.ensure_future(w) for w in set(waiting)))  # type: ignore[arg-type]
        assert len(forced) == 1

    with SqliteStore(tmp_path / "runs.sqlite", durability="power") as store:
        asyncio.run(run())
        log = store.create("alone")
        assert log.append([started("alone")]) is None
        assert len(forced) == 2


def test_a_settlement_joins_the_next_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`settle` itself forces nothing; the sync that ends a run does."""
    from orch_nb.store import journal

    forced: list[int] = []
    monkeypatch.setattr(journal, "_force_file", forced.append)

    async def run() -> None:
        log = store.create("x")
        log.append([started("x")])
        await log.admit(sent(), hold("h", "0.1", "run:x"))
        assert len(forced) == 1
        waiting = log.settle([settled(), finished(1)], "h", Decimal("0.1"), Decimal(0))
        if waiting is not None:
            await waiting
        assert len(forced) == 1
        await log.sync()
        assert len(forced) == 2

    with SqliteStore(tmp_path / "runs.sqlite") as store:
        asyncio.run(run())


# ------------------------------------------------------------------------------------------------------------ place
def test_without_locks_the_store_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If files cannot be locked, the store is in the user's state folder, always the same one, with a notice."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    monkeypatch.setattr(location, "state_home", lambda: tmp_path / "state")
    monkeypatch.setattr(location, "can_lock", lambda folder: False)
    work = tmp_path / "work"
    work.mkdir()
    paths = []
    for _ in range(2):
        store, notice = open_store(work)
        assert "without locks" in notice
        assert str(store.path.parent) in notice
        assert (tmp_path / "state") in store.path.parents
        paths.append(store.path)
        store.close()
    assert paths[0] == paths[1]
    (tmp_path / "work2").mkdir()
    store, _ = open_store(tmp_path / "work2")
    assert store.path != paths[0]
    store.close()


def test_network_file_systems_are_known(tmp_path: Path) -> None:
    """The file system of a folder is that of its innermost mount; those that several machines share are refused."""
    home = tmp_path / "home me"
    home.mkdir()
    mounts = tmp_path / "mounts"
    point = str(home).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/home {point} nfs4 rw 0 0\nbroken\nx {tmp_path}2 cifs rw 0 0\n")
    assert file_system_of(home / "a", mounts) == "nfs4"
    assert file_system_of(tmp_path / "b", mounts) == "ext4"
    assert file_system_of(home, tmp_path / "missing") == ""
    assert file_system_of(home, mounts) in location.NETWORKED


def test_a_missing_folder_is_not_guessed(tmp_path: Path) -> None:
    """A folder that does not exist is a typed error: the store is not put somewhere else for it."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        open_store(tmp_path / "a" / "b")


def test_numbers_of_a_burst_are_given_back(tmp_path: Path) -> None:
    """Many runs at once reserve numbers in blocks; the unused numbers are given again."""
    path = tmp_path / "runs.sqlite"
    with SqliteStore(path) as store:
        assert [int(store.next_run()) for _ in range(100)] == list(range(1, 101))
    with SqliteStore(path) as store:
        assert store.next_run() == "101"


def test_large_runs_resume_fast(tmp_path: Path) -> None:
    """A run of 10,000 steps is read back in well under two seconds, a growing state included."""
    import time

    with SqliteStore(tmp_path / "runs.sqlite") as store:
        log = store.create("x")
        log.append([started("x")])
        state: list[str] = []
        for i in range(0, 10_000, 100):
            state.append(f"{i}" * 2000)
            log.append([finished({"i": j}, fingerprint=f"{j:032x}") for j in range(i, i + 99)])
            log.append([finished({"log": list(state)})])
        log.close()
        begun = time.perf_counter()
        events = list(store.read("x"))
        spent = time.perf_counter() - begun
        assert len(events) == 10_001
        assert events[-1][1].value == {"log": state}  # type: ignore[union-attr]
        assert spent < 2.0
        assert store.stats().bytes < 6_000_000
