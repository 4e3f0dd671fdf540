"""Ten thousand random schedules of the ledger: `spent + held + in_doubt <= limit` always, held = 0 at the end, in every unit."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore
from tests.props.schedules import NOTEBOOK, STEP, Schedule, check, check_end, now, play, some_budget

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("block", range(10))
def test_no_schedule_passes_a_budget(block: int) -> None:
    """A thousand schedules of two runs under one notebook's budget: the invariant after every operation, nothing held at
    the end, and the events say the same as the ledger."""
    refused = 0
    for seed in range(block * 1000, (block + 1) * 1000):
        rng = random.Random(seed)
        store = MemoryStore()
        store.set_limit(NOTEBOOK, some_budget(rng))
        runs = [Schedule(store, run, rng).begin() for run in ("r1", "r2")]
        for _ in range(rng.randrange(4, 24)):
            now(rng.choice(runs).step())
            check(store)
        for one in runs:
            now(one.end())
            check(store)
            refused += one.refused
        check_end(store)
        assert store.rebuild_ledger() == [], f"seed {seed}"
    assert refused > 1000, "schedules that nothing is refused in would prove nothing"


def test_no_schedule_passes_a_budget_on_a_file(tmp_path: Path) -> None:
    """The same on SQLite: two runs interleaved on one loop, their operations in shared transactions."""
    with SqliteStore(tmp_path / "runs.sqlite") as store:
        for seed in range(12):
            store.set_limit(NOTEBOOK, None)
            store.reset(NOTEBOOK)
            store.set_limit(NOTEBOOK, some_budget(random.Random(seed)))

            async def both(seed: int) -> None:
                runs = [Schedule(store, f"r{seed}.{n}", random.Random(seed * 2 + n)).begin() for n in range(2)]
                await asyncio.gather(*(play(run, 12) for run in runs))
                for run in runs:
                    run.log.close()

            asyncio.run(both(seed))
            check_end(store)
        assert store.rebuild_ledger() == []


def test_no_schedule_of_two_processes_passes_a_budget(tmp_path: Path) -> None:
    """A second process plays on the same file at the same time: neither ever sees a budget passed; both end with nothing
    held, and the events of both say what the ledger says."""
    path = tmp_path / "runs.sqlite"
    with SqliteStore(path, patience_s=60.0) as store:
        for seed in range(3):
            store.reset(NOTEBOOK)
            store.set_limit(NOTEBOOK, some_budget(random.Random(100 + seed)))
            command = [sys.executable, "-m", "tests.props.schedules", str(path), f"c{seed}", str(seed), "40"]
            with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdin is not None
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                own = Schedule(store, f"p{seed}", random.Random(1000 + seed)).begin()
                child.stdin.write("go\n")
                child.stdin.flush()
                asyncio.run(play(own, 40))
                own.log.close()
                calls, _ = map(int, child.stdout.readline().split())
                assert child.wait(30) == 0
            assert calls > 10
            check_end(store)
            assert store.rebuild_ledger() == []


def test_a_seconds_limit_is_passed_by_what_was_under_way_only() -> None:
    """Seconds are not reserved: what runs over is at most what the calls took that were open when the limit was reached."""
    for seed in range(300):
        rng = random.Random(seed)
        store = MemoryStore()
        run = Schedule(store, "r", rng).begin()
        store.set_limit("run:r", some_budget(rng))
        most_open = 0
        for _ in range(20):
            now(run.step())
            most_open = max(most_open, len(run.open))
        now(run.end())
        quota = store.balance("run:r").quotas.get("seconds")
        if quota is not None:
            assert quota.overrun <= most_open * STEP["seconds"] * 7
            assert quota.overrun == 0 or quota.limit == quota.spent or quota.limit == Decimal(0)
