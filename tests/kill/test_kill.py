"""Real processes, killed with SIGKILL at random moments, against a model server that keeps its own bill."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from orch_nb.engine.fold import fold_all
from orch_nb.engine.plan import from_data
from orch_nb.schema import events as ev
from orch_nb.store.sqlite import SqliteStore
from orch_nb.trace.bill import bill

ROUNDS = 100
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(shared: Path):
    """faultd: an OpenAI-compatible server with its own ledger, on loopback."""
    process = subprocess.Popen(
        [sys.executable, str(shared / "tools/faults/faultd.py"), "--port", "0", "--plan", "ok", "--latency", "0.01"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield json.loads(process.stdout.readline())["base_url"]
        process.kill()


@pytest.fixture(scope="module")
def zygote():
    """The process that forks the jobs."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kill.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=env,
    )
    with process:
        yield process
        process.stdin.close()
        process.wait(10)


def run_once(zygote, folder: Path, url: str, kill_after: float | None) -> int:
    """One process of the job; killed after so many seconds, or left to end. Its exit code (-9: killed)."""
    zygote.stdin.write(f"{folder} {url}\n")
    zygote.stdin.flush()
    pid = int(zygote.stdout.readline().split()[1])
    if kill_after is not None:
        time.sleep(kill_after)  # the moment of the kill is the experiment
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return int(zygote.stdout.readline().split()[1])


def asked(url: str) -> list[dict]:
    """The server's own ledger."""
    base = re.sub(r"/v1.*$", "", url)
    with urllib.request.urlopen(f"{base}/_ledger", timeout=5) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_runs_survive_being_killed(server, zygote, tmp_path):
    """No recorded step is repeated, none is lost, and each kill leaves at most one call in doubt, counted and shown."""
    rng = random.Random(20261121)
    kills = in_doubt_total = 0
    for n in range(ROUNDS):
        folder = tmp_path / f"run{n}"
        folder.mkdir()
        before = len(asked(server))
        killed_here = 0
        while True:
            code = run_once(zygote, folder, server, rng.uniform(0.02, 0.2) if killed_here < 2 else None)
            if code == 0:
                break
            assert code == -9, f"round {n}: the job failed by itself with {code}"
            killed_here += 1
        kills += killed_here
        in_doubt_total += check(folder, asked(server)[before:], killed_here)
    print(f"{ROUNDS} runs, {kills} kills, {in_doubt_total} calls in doubt")

    assert kills >= ROUNDS
    assert in_doubt_total > 0, "the kills never met a call under way: the experiment says nothing"


def check(folder: Path, ledger: list[dict], kills: int) -> int:
    """One run's record against the server's: the number of calls in doubt."""
    with SqliteStore(folder / ".orch" / "runs.sqlite", read_only=True) as store:
        rows = store.runs()
        events = [event for _, event in store.read(rows[0].run)]
        balance = store.balance(f"run:{rows[0].run}")
    sent = [e for e in events if isinstance(e, ev.Sent)]
    settled = {(ev.key(e), e.call) for e in events if isinstance(e, ev.Settled)}
    doubtful = [e for e in sent if (ev.key(e), e.call) not in settled]
    finished = Counter(ev.key(e) for e in events if isinstance(e, ev.Finished))

    assert rows[0].status == "done"
    assert finished == Counter(dict.fromkeys(("s0", "s1", "s2", "upper", "s3", "s4"), 1)), "each step is recorded once"
    assert len(doubtful) <= kills, "at most one call in doubt per kill"
    assert len(settled) == len({(ev.key(e), e.call) for e in sent}) - len(doubtful)
    assert len(settled) <= len(ledger) <= len(sent), (
        "every request was announced before it left, and every answer kept was paid"
    )
    state = fold_all(from_data(events[0].plan), events)
    assert state.held_usd == 0
    assert state.in_doubt_usd == balance.in_doubt_usd == sum((e.reserved_usd for e in doubtful), Decimal(0))
    made = bill(events)
    assert made.total.in_doubt == len(doubtful)
    assert made.spent_usd == balance.spent_usd == state.spent_usd
    return len(doubtful)
