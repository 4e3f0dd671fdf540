"""Several processes on one store, and processes that die. Real ones."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import RunLocked, StoreError, StoreUnavailable
from orch_nb.schema import events as ev
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import finished, hold, sent, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store that the processes share."""
    return tmp_path / ".orch" / "runs.sqlite"


def line(process: Any) -> str:
    """The next line a process says."""
    return process.stdout.readline().strip()  # type: ignore[no-any-return]


@posix
@pytest.mark.parametrize("seed", range(4))
def test_what_was_appended_survives_a_kill(path: Path, child: Callable[..., Any], seed: int) -> None:
    """Everything that `append` returned for is there after SIGKILL, complete and in order; the run can be opened."""
    process = child("append", path, 10_000)
    said = -1
    for _ in range(random.Random(seed).randrange(1, 200)):
        said = int(line(process))
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split()
    said = int(rest[-1]) if rest else said
    process.wait()
    with SqliteStore(path) as store:
        values = [event.value for _, event in store.read("x", after=1)]
        assert [v["i"] for v in values] == list(range(len(values)))
        assert said < len(values) <= said + 2
        assert all(v["text"] == f"{v['i']}" * 3000 for v in values)
        log = store.open("x")
        assert log.append([finished("after")]) is None
        assert store.rebuild_ledger() == []


@pytest.mark.parametrize("how", ["write", "read", "run"])
def test_a_store_is_one_file_after_a_clean_end(path: Path, child: Callable[..., Any], tmp_path: Path, how: str) -> None:
    """A program that closes nothing exits: the one file, copied away, has every event, and nothing lies beside it."""
    import shutil

    process = child("leave", path, how)
    process.communicate()
    assert process.returncode == 0
    copy = tmp_path / "elsewhere" / "copy.sqlite"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    for one in (copy, path):
        beside = sorted(file.name for file in one.parent.iterdir())
        with SqliteStore(one, read_only=True) as store:
            assert [event.value["i"] for _, event in store.read("x", after=1)] == list(range(50))
            assert {row.graph: row.status for row in store.runs()}["chain"] == "running"
            if how == "run":
                assert {row.graph: row.status for row in store.runs()}["a"] == "done"
        assert sorted(file.name for file in one.parent.iterdir()) == beside, "reading leaves nothing"
    assert sorted(file.name for file in path.parent.iterdir()) == [".gitignore", "runs.sqlite", "runs.sqlite-locks"]


def test_a_store_that_one_of_two_processes_closes_is_complete_in_its_file(
    path: Path, child: Callable[..., Any]
) -> None:
    """With another kernel still open, the file has all events of the first one, and both continue."""
    import shutil

    process = child("keep", path, "y")
    assert line(process)
    with SqliteStore(path) as store:
        log = store.create("x")
        log.append([started("x"), finished("long " * 2000)])
        list(store.read("x"))
    copy = path.with_name("copy.sqlite")
    shutil.copy(path, copy)
    with SqliteStore(copy, read_only=True) as store:
        assert len(list(store.read("x"))) == 2


def test_a_list_that_is_open_sees_what_another_process_writes(path: Path) -> None:
    """A store at rest is read as one file; as soon as somebody writes to it, and after they have closed it, that is seen."""
    with SqliteStore(path) as store:
        store.create("x").append([started("x"), finished(1)])
    with SqliteStore(path, read_only=True) as reading:
        events = reading.read("x")
        next(events)
        for n in range(3):
            with SqliteStore(path) as store:
                log = store.open("x")
                log.append([finished(n)])
                assert [event.value for _, event in reading.read("x", after=2)] == list(range(n + 1))
                log.close()
            assert len(list(reading.read("x"))) == 3 + n
        assert len(list(events)) >= 1, "who was reading goes on"


def test_two_processes_never_pass_one_limit(path: Path, child: Callable[..., Any]) -> None:
    """Two processes that spend from one notebook's budget as fast as they can spend all of it and not a cent more."""
    with SqliteStore(path) as store:
        store.set_limit("notebook:n", Decimal("1.00"))
        racers = [child("spend", path, f"r{i}", 200, "0.01") for i in range(2)]
        assert [line(r) for r in racers] == ["ready", "ready"]
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        made = [int(line(r)) for r in racers]
        assert sum(made) == 100
        one = store.balance("notebook:n")
        assert (one.spent_usd, one.held_usd, one.in_doubt_usd) == (1, 0, 0)
        for racer in racers:
            racer.wait()
        assert store.rebuild_ledger() == []


def test_another_processs_run_is_locked(path: Path, child: Callable[..., Any]) -> None:
    """A run that another process is writing cannot be opened or deleted; its pid and host are named; reading works."""
    with SqliteStore(path) as store:
        process = child("keep", path, "x")
        assert line(process) == "open"
        with pytest.raises(RunLocked, match=f"process {process.pid} on {socket.gethostname()}") as caught:
            store.open("x")
        assert caught.value.facts["pid"] == process.pid
        with pytest.raises(RunLocked):
            store.delete("x")
        assert store.run("x").live
        assert len(list(store.read("x"))) == 1
        assert store.prune(keep_last=0, unfinished=True) == []


@posix
def test_a_kill_releases_the_lock(path: Path, child: Callable[..., Any]) -> None:
    """The lock of a killed process is gone with it: its run is opened at once."""
    with SqliteStore(path) as store:
        process = child("keep", path, "x")
        assert line(process) == "open"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not store.run("x").live
        store.open("x").close()


@posix
def test_a_dead_processs_money_is_in_doubt(path: Path, child: Callable[..., Any]) -> None:
    """The holds of a killed process are counted as in doubt: a budget does not wait for money that no process will release."""
    import asyncio

    with SqliteStore(path) as store:
        store.set_limit("notebook:n", Decimal("0.50"))
        process = child("keep", path, "x", "0.40")
        assert line(process) == "open"
        log = store.create("y")
        log.append([started("y")])
        alive = asyncio.run(log.admit(sent(), hold("h", "0.20", "notebook:n")))
        assert alive is not None
        assert alive.held == Decimal("0.40")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        dead = asyncio.run(log.admit(sent(), hold("h", "0.20", "notebook:n")))
        assert dead is not None
        assert (dead.held, dead.spent) == (0, Decimal("0.40"))
        assert asyncio.run(log.admit(sent(), hold("h", "0.10", "notebook:n"))) is None
        assert store.balance("notebook:n").in_doubt_usd == Decimal("0.40")
        again = store.open("x")
        again.append([ev.Resumed(5.0)])
        again.mark_in_doubt("h")
        assert store.balance("notebook:n").in_doubt_usd == Decimal("0.40")
        assert store.rebuild_ledger() == []


@posix
def test_a_dead_processs_money_is_in_doubt_at_opening(path: Path, child: Callable[..., Any]) -> None:
    """Opening a store shows what died before as in doubt, not as held."""
    process = child("keep", path, "x", "0.40")
    assert line(process) == "open"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with SqliteStore(path) as store:
        one = store.balance("notebook:n")
        assert (one.held_usd, one.in_doubt_usd) == (0, Decimal("0.40"))
        assert store.rebuild_ledger() == []


async def test_a_short_lock_is_waited_for(path: Path, child: Callable[..., Any]) -> None:
    """While another process writes, appends wait on the loop (which stays free) and are committed as soon as it ends."""
    import asyncio

    store = SqliteStore(path)
    log = store.create("x")
    first = log.append([started("x")])
    if first is not None:
        await first
    assert log.append([finished(0)]) is None
    process = child("transaction", path)
    assert line(process) == "locked"
    waiting = log.append([finished(1)])
    assert waiting is not None
    admission = asyncio.ensure_future(log.admit(sent(), hold("h", "0.1", "run:x")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(list(store.read("x"))) == 2
    process.stdin.write("\n")
    process.stdin.flush()
    await waiting
    assert await admission is None
    assert [e.TYPE for _, e in store.read("x")] == ["run_started", "finished", "finished", "sent"]
    store.close()


async def test_a_long_lock_is_an_error(path: Path, child: Callable[..., Any]) -> None:
    """If the other process does not end within `patience_s`, all waiters get a typed error. Nothing is lost: the log
    continues once the lock is released."""
    store = SqliteStore(path, patience_s=0.2)
    log, other = store.create("x"), store.create("y")
    for one in (log, other):
        waiting = one.append([started(one.run)])
        assert waiting is not None
        await waiting
    process = child("transaction", path)
    assert line(process) == "locked"
    first, second = log.append([finished(1)]), other.append([finished(2)])
    admission = log.admit(sent(), hold("h", "0.1", "run:x"))
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await admission
    for waiting in (first, second):
        assert waiting is not None
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            await waiting
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        store.set_limit("notebook:n", Decimal(1))
    process.stdin.write("\n")
    process.stdin.flush()
    assert line(process) == "free"
    again = log.append([finished(3)])
    assert again is not None
    await again
    assert [e.value for _, e in store.read("x", after=1)] == [3]
    assert store.balance("run:x").held_usd == 0
    store.close()


async def test_an_admission_that_was_cancelled_while_waiting(path: Path, child: Callable[..., Any]) -> None:
    """An admission that is cancelled before its transaction leaves nothing: not then, and not when the lock is gone."""
    import asyncio

    store = SqliteStore(path)
    log = store.create("x")
    first = log.append([started("x")])
    assert first is not None
    await first
    process = child("transaction", path)
    assert line(process) == "locked"
    admission = asyncio.ensure_future(log.admit(sent(), hold("h", "0.1", "run:x")))
    for _ in range(5):
        await asyncio.sleep(0)
    admission.cancel()
    with pytest.raises(asyncio.CancelledError):
        await admission
    process.stdin.write("\n")
    process.stdin.flush()
    assert line(process) == "free"
    await log.sync()
    assert [e.TYPE for _, e in store.read("x")] == ["run_started"]
    assert log.holds() == []
    assert store.balance("run:x").held_usd == 0
    store.close()


def test_a_hold_that_was_doubted_meanwhile(path: Path) -> None:
    """Holds of a dead run that another process puts in doubt while the run is opened are not doubted twice."""
    import asyncio

    with SqliteStore(path) as store:
        log = store.create("x")
        log.append([started("x")])
        asyncio.run(log.admit(sent(), hold("h", "0.1", "notebook:n")))
        log.close()
        log = store.open("x")
        journal = store._journal
        assert journal is not None
        assert journal.transact(lambda: journal.ledger.doubt_dead(lambda number: False)) == 1
        log.append([ev.Resumed(5.0)])
        one = store.balance("notebook:n")
        assert (one.held_usd, one.in_doubt_usd) == (0, Decimal("0.1"))
        assert store.rebuild_ledger() == []


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_never_touches_the_store(path: Path) -> None:
    """In a child forked from a process with a store, every use of the store is a typed error; the parent continues."""
    with SqliteStore(path) as store:
        log = store.create("x")
        log.append([started("x")])
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            refused = 0
            for use in (lambda: log.append([finished(1)]), store.next_run, store.runs, lambda: list(store.read("x"))):
                try:
                    use()
                except StoreError as error:
                    refused += "forked" in str(error)
            store.close()
            os.write(writing, bytes([refused]))
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 1) == bytes([4])
        os.close(reading)
        os.close(writing)
        log.append([finished(2)])
        assert [e.value for _, e in store.read("x", after=1)] == [2]
        with pytest.raises(RunLocked):
            store.open("x")


@posix
@pytest.mark.parametrize("statements", [3, 5, 9, 14, 18, 20])
def test_a_death_while_making_tables(path: Path, child: Callable[..., Any], statements: int) -> None:
    """Killed in the middle of a migration the file has the old tables or the new ones; it opens either way."""
    path.parent.mkdir()
    process = child("migrate_and_die", path, statements)
    process.wait()
    with SqliteStore(path) as store:
        log = store.create(store.next_run())
        log.append([started(log.run)])
        assert len(store.runs()) == 1


@posix
@pytest.mark.parametrize("limit", [60_000, 61_000, 70_000, 90_000, 140_000, 260_000, 500_000, 900_000])
def test_a_full_disk(path: Path, child: Callable[..., Any], limit: int) -> None:
    """A failed write is a typed error without a half step, and the ledger agrees; with space again the same log continues."""
    process = child("limited", path, limit)
    written, error, good, wrong = line(process).split()
    process.wait()
    assert process.returncode == 0
    assert error == "StoreUnavailable"
    assert (good, wrong) == ("True", "0")
    with SqliteStore(path) as store:
        assert [e.TYPE for _, e in store.read("x")].count("finished") == int(written) + 1


def test_a_torn_log_is_a_prefix(shared: Path, path: Path) -> None:
    """Whatever a power cut leaves of the write-ahead log: the store opens, and each run is a prefix of what was written,
    with a ledger that agrees with it."""
    _torn(shared, path, ["--variants", "40"])


def test_a_torn_log_keeps_what_was_synced(shared: Path, path: Path) -> None:
    """The events on the disk when a call was admitted are there after any power cut."""
    _torn(shared, path, ["--variants", "30"], synced=True)


def test_rot_is_noticed(shared: Path, path: Path) -> None:
    """A file damaged anywhere is read right or refused with a typed error; it never hangs or says something false."""
    _torn(shared, path, ["--variants", "40", "--rot"], checkpoint=True)


def _torn(shared: Path, path: Path, options: list[str], *, synced: bool = False, checkpoint: bool = False) -> None:
    import asyncio
    import shutil
    import subprocess
    from pathlib import Path as P

    copy = path.parent / "copy.sqlite"
    least = 0

    async def write() -> None:
        nonlocal least
        store = SqliteStore(path)
        log = store.create("x")
        log.append([started("x")])
        for i in range(12):
            log.append([finished({"i": i, "text": f"{i}" * 2500, "list": [f"{i}" * 5000, "s"]})])
            await log.admit(sent(i), hold(f"h{i}", "0.01", "notebook:n", ("run:x", "1")))
            if synced and i == 6:
                await log.sync()
                least = len(list(store.read("x")))
                options.extend(["--safe", str(P(f"{path}-wal").stat().st_size)])
            waiting = log.settle([ev.Settled("", "b", 1, None, i, 4.0)], f"h{i}", Decimal("0.005"), Decimal(0))
            if waiting is not None:
                await waiting
        if checkpoint:
            store._journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        subprocess.run(["cp", str(path), str(copy)], check=True)
        if not checkpoint:
            subprocess.run(["cp", f"{path}-wal", f"{copy}-wal"], check=True)
        log.close()
        store.close()

    if shutil.which("cp") is None:
        pytest.skip("needs cp: copying in this process would drop the database's locks")
    asyncio.run(write())
    root = P(__file__).resolve().parents[3]
    check = [
        sys.executable,
        "-m",
        "tests.unit.store.torn_check",
        "{db}",
        str(least),
        "rot" if "--rot" in options else "",
    ]
    got = subprocess.run(
        [sys.executable, shared / "tools" / "faults" / "torndb.py", "--db", copy, *options, "--", *check],
        cwd=root, check=False, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert got.returncode == 0, got.stdout + got.stderr


def test_processes_that_make_the_store_at_once(path: Path, child: Callable[..., Any]) -> None:
    """Several processes that open a store which is not there yet all get it, with one set of tables."""
    makers = [child("keep", path, f"r{i}") for i in range(4)]
    assert [line(one) for one in makers] == ["open"] * 4
    with SqliteStore(path, read_only=True) as store:
        assert sorted(row.run for row in store.runs()) == [f"r{i}" for i in range(4)]
        assert all(row.live for row in store.runs())
