"""Other processes that use a store: `python -m tests.unit.store.children WHAT PATH ...`. They print one line per step."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from typing import Any

from orch_nb.engine.ports import Refusal
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import finished, hold, sent, settled, started


def say(word: object) -> None:
    """One line to whoever started this."""
    print(word, flush=True)


async def append(path: str, count: str) -> None:
    """Append and say so, again and again; large values too."""
    store = SqliteStore(path)
    log, other = store.create("x"), store.create("y")
    for one in (log, other):
        waiting = one.append([started(one.run)])
        if waiting is not None:
            await waiting
    other.close()
    for i in range(int(count)):
        waiting = log.append([finished({"i": i, "text": f"{i}" * 3000})])
        if waiting is not None:
            await waiting
        say(i)


async def spend(path: str, run: str, calls: str, usd: str) -> None:
    """Make calls at once as long as the notebook's budget lets it; say how many it let."""
    store = SqliteStore(path)
    log = store.create(run)
    log.append([started(run)])
    say("ready")
    sys.stdin.readline()

    async def one(i: int) -> bool:
        got = await log.admit(sent(i), hold(f"h{i}", usd, "notebook:n", f"run:{run}"))
        if isinstance(got, Refusal):
            return False
        waiting = log.settle([settled(i)], f"h{i}", Decimal(usd), Decimal(0))
        if waiting is not None:
            await waiting
        return True

    made = 0
    for start in range(0, int(calls), 20):
        made += sum(await asyncio.gather(*(one(i) for i in range(start, start + 20))))
    say(made)


async def leave(path: str, how: str) -> None:
    """Write, read, and end as a program ends that closes nothing."""
    store = SqliteStore(path)
    log = store.create("x")
    pending = log.append([started("x"), *(finished({"i": i, "text": f"{i}" * 3000}) for i in range(50))])
    if pending is not None:
        await pending
    if how != "write":
        assert len(list(store.read("x"))) == 51
        KEPT.append(SqliteStore(path, read_only=True))
        assert len(KEPT[-1].runs()) == 1
    if how == "run":
        import orch_nb as orch
        from orch_nb.runtime.runtime import Runtime

        made = Runtime(store=store)
        made.start(orch.Agent("a", "Say {{ x }}", model="echo"), {"x": 1}).wait(20)
        made.start(never, {"x": 1})
        KEPT.append(made)
    KEPT.append(store)


async def never(x: int) -> None:
    """Still under way when the interpreter exits."""
    await asyncio.Event().wait()


KEPT: list[Any] = []
"""Alive until the interpreter exits."""


async def keep(path: str, run: str, usd: str = "") -> None:
    """Open a run for writing, hold money where asked to, and stay."""
    store = SqliteStore(path)
    log = store.create(run)
    log.append([started(run)])
    if usd:
        assert await log.admit(sent(), hold("h", usd, "notebook:n", f"run:{run}")) is None
    await log.sync()
    say("open")
    sys.stdin.readline()


def transaction(path: str) -> None:
    """Hold the database's write lock until told to let go."""
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("locked")
    sys.stdin.readline()
    connection.execute("ROLLBACK")
    say("free")


def migrate_and_die(path: str, statements: str) -> None:
    """Begin to make the tables, and be killed after some of the statements."""
    import os
    import signal
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    left = int(statements)

    def trace(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(trace)
    from orch_nb.store.migrations import migrate

    migrate(connection)
    say("done")


def limited(path: str, limit: str) -> None:
    """Append with files limited to so many bytes; say what got through, the error, and what after the limit is lifted."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from orch_nb.errors import OrchError

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    store = SqliteStore(path)
    log = store.create("x")
    log.append([started("x")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
    written, error = 0, "none"
    try:
        for i in range(200):
            log.append([finished({"i": i, "text": f"{i:04}" * 1500})])
            written += 1
            call(log, i)
    except OrchError as caught:
        error = type(caught).__name__
    open_holds = sorted(log.holds())
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    log.append([finished("after")])
    events: list[Any] = [event for _, event in store.read("x", after=1)]
    values = [e.value for e in events if e.TYPE == "finished"]
    good = [v["i"] for v in values[:-1]] == list(range(written)) and values[-1] == "after"
    unsettled = {f"h{e.call}" for e in events if e.TYPE == "sent"} - {
        f"h{e.call}" for e in events if e.TYPE == "settled"
    }
    good &= open_holds == sorted(unsettled)
    say(f"{written} {error} {good} {len(store.rebuild_ledger())}")
    store.close()


def call(log: Any, i: int) -> None:
    """One call of no weight: admitted in a transaction of its own, and settled."""

    async def one() -> None:
        assert await log.admit(sent(i), hold(f"h{i}", "0.01", "notebook:n", "run:x")) is None
        waiting = log.settle([settled(i)], f"h{i}", Decimal("0.01"), Decimal(0))
        if waiting is not None:
            await waiting

    asyncio.run(one())


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    made = globals()[what](*arguments)
    if asyncio.iscoroutine(made):
        asyncio.run(made)
