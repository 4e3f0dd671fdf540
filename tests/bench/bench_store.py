"""What an event costs in each store: `python tests/bench/bench_store.py [--dir DIR]`.

Prints microseconds for an event (best of several rounds) and bytes written, as ratios within one run where it matters:
lone appends, appends of 1,000 runs in one turn, admissions (forced to the disk), and a growing state against raw rows of
what was added.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orch_nb.engine.ports import Hold
from orch_nb.schema import events as ev
from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = {"name": "chain", "nodes": [{"name": f"n{i}", "kind": "function"} for i in range(5)]}
HASH = hashlib.sha256(b"x").hexdigest()[:32]


def started(run: str) -> ev.RunStarted:
    return ev.RunStarted(run, "chain", PLAN, {"n": 0}, time.time())


def finished(i: int, value: Any, salt: int = 0) -> ev.Finished:
    key = hashlib.blake2b(b"%d.%d" % (i, salt), digest_size=16).hexdigest()
    return ev.Finished("", f"n{i}", 1, None, value, time.time(), time.time(), fingerprint=key)


def text(size: int, seed: int) -> str:
    out = "".join(hashlib.sha256(b"%d:%d" % (seed, i)).hexdigest() for i in range(size // 64 + 1))
    return out[:size]


def written() -> int:
    """Bytes this process has written so far; 0 where the system does not say."""
    try:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(fields["wchar"])


def make(kind: str, folder: Path) -> Any:
    shutil.rmtree(folder, ignore_errors=True)
    if kind == "memory":
        return MemoryStore()
    return SqliteStore(folder / "runs.sqlite", durability="power" if kind == "power" else "process")


async def lone(store: Any, count: int) -> float:
    """Seconds for `count` appends of one event by the only run."""
    log = store.create(store.next_run())
    log.append([started(log.run)])
    events = [finished(i, {"n": i}) for i in range(count)]
    start = time.perf_counter()
    for event in events:
        waiting = log.append([event])
        if waiting is not None:
            await waiting
    spent = time.perf_counter() - start
    log.close()
    return spent


async def grouped(store: Any, runs: int, steps: int) -> float:
    """Seconds for `runs` concurrent runs of `steps` events, each awaited before the next."""

    async def one(i: int) -> None:
        log = store.create(store.next_run())
        waiting = log.append([started(log.run)])
        if waiting is not None:
            await waiting
        for step in range(steps):
            waiting = log.append([finished(step, {"n": step}, i)])
            if waiting is not None:
                await waiting
        log.close()

    start = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(runs)))
    return time.perf_counter() - start


async def calls(store: Any, runs: int, each: int, *, forced: bool) -> float:
    """Seconds for `runs` concurrent runs of `each` calls: admitted (or merely appended), then settled."""
    scopes = ("notebook:bench",)

    async def one() -> None:
        log = store.create(store.next_run())
        log.append([started(log.run)])
        for i in range(each):
            sent = ev.Sent("", "a", 1, None, i, "model", "m", [{"role": "user", "content": "hello"}], HASH, 1.0)
            if forced:
                nest = ((scopes[0], Decimal(1000)), (f"run:{log.run}", None))
                assert await log.admit(sent, Hold(f"h{i}", nest, Decimal("0.001"))) is None
            else:
                waiting = log.append([sent])
                if waiting is not None:
                    await waiting
            settled = ev.Settled("", "a", 1, None, i, 2.0, reply={"text": "hi"}, cost_usd=Decimal("0.0005"))
            hold = f"h{i}" if forced else ""
            waiting = log.settle([settled], hold, Decimal("0.0005") if forced else Decimal(0), Decimal(0))
            if waiting is not None:
                await waiting
        log.close()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    return time.perf_counter() - start


async def growing(store: Any, steps: int, *, whole: bool) -> float:
    """Seconds for a chain whose state grows by 10 kB a step; `whole`: each event carries the whole state."""
    log = store.create(store.next_run())
    log.append([started(log.run)])
    state: list[str] = []
    start = time.perf_counter()
    for i in range(steps):
        piece = text(10_240, i)
        state.append(piece)
        value = {"n": i, "log": list(state) if whole else [piece]}
        waiting = log.append([finished(i, value)])
        if waiting is not None:
            await waiting
    spent = time.perf_counter() - start
    log.close()
    return spent


def raw_rows(folder: Path, steps: int) -> tuple[float, int]:
    """Seconds and bytes for bare rows of what was added: the floor."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    db = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE step (run TEXT, seq INTEGER, node TEXT, data TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID")
    before, start = written(), time.perf_counter()
    for i in range(steps):
        row = ("r", i, f"n{i}", json.dumps({"n": i, "log": [text(10_240, i)]}))
        db.execute("INSERT INTO step VALUES (?, ?, ?, ?)", row)
    spent = time.perf_counter() - start
    db.close()
    return spent, written() - before


def best(rounds: int, kind: str, folder: Path, work: Callable[[Any], Any]) -> tuple[float, int]:
    """The best time of several rounds, each in a new store, and the bytes written in the last."""
    times = []
    for _ in range(rounds):
        store = make(kind, folder)
        gc.collect()
        before = written()
        times.append(asyncio.run(work(store)))
        store.close()
        size = written() - before
    return min(times), size


def line(name: str, seconds: float, count: int, size: int = 0, note: str = "") -> None:
    shown = f"{size / count:8.0f} B" if size else ""
    print(f"{name:44} {seconds / count * 1e6:8.1f} us {shown:>11}  {note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None, help="a folder on the disk to measure (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(dir=args.dir))
    folder, rounds = base / ".orch", args.rounds
    try:
        for kind in ("memory", "sqlite", "power"):
            count = 2000 if kind != "power" else 200
            line(f"lone append, {kind}", *_with(best(rounds, kind, folder, lambda s, n=count: lone(s, n)), count))
        for kind in ("memory", "sqlite", "power"):
            line(
                f"1,000 runs x 5 steps (create to close), {kind}",
                *_with(best(rounds, kind, folder, lambda s: grouped(s, 1000, 5)), 5000),
            )
        plain, _ = best(rounds, "sqlite", folder, lambda s: calls(s, 100, 10, forced=False))
        full, _ = best(rounds, "sqlite", folder, lambda s: calls(s, 100, 10, forced=True))
        line("100 runs x 10 calls, appended", plain, 1000)
        line("100 runs x 10 calls, admitted and settled", full, 1000, 0, f"{full / plain:.2f}x")
        floor, floor_bytes = raw_rows(base / "raw", 100)
        line("growing state, raw rows of what was added", floor, 100, floor_bytes)
        for whole in (False, True):
            name = "whole state a step" if whole else "what was added a step"
            spent, size = best(rounds, "sqlite", folder, lambda s, w=whole: growing(s, 100, whole=w))
            note = f"{size / floor_bytes:.2f}x the bytes, {spent / floor:.2f}x the time" if floor_bytes else ""
            line(f"growing state, {name}", spent, 100, size, note)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _with(measured: tuple[float, int], count: int) -> tuple[float, int, int]:
    seconds, size = measured
    return seconds, count, size


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
