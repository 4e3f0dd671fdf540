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

ROUNDS = int(os.environ.get("ORCH_KILL_ROUNDS", "0"))
"""Of each shape; 0 for the few of `make test`. `make prove` asks for many, with a seed that it prints."""
SEED = int(os.environ.get("ORCH_SEED", "20261121"))
AT_ONCE = {"map": 6, "batch": 6, "two": 2}
"""Calls under way at once, where that is more than one: so many may be in doubt after a kill."""
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


def run_once(zygote, folder: Path, url: str, kill_after: float | None, shape: str = "chain") -> int:
    """One process of the job (two of shape "two"); killed after so many seconds, or left to end. Its exit code (-9: killed)."""
    zygote.stdin.write(f"{folder} {url} {shape}\n")
    zygote.stdin.flush()
    pid = int(zygote.stdout.readline().split()[1])
    if kill_after is not None:
        time.sleep(kill_after)  # the moment of the kill is the experiment
        for kill in (os.killpg, os.kill):  # its group, or it alone where it has not come to make one
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
                break
    return int(zygote.stdout.readline().split()[1])


def asked(url: str) -> list[dict]:
    """The server's own ledger."""
    base = re.sub(r"/v1.*$", "", url)
    with urllib.request.urlopen(f"{base}/_ledger", timeout=5) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.timeout(0 if ROUNDS else 600)
def test_a_hundred_runs_survive_being_killed(server, zygote, tmp_path):
    """No recorded step is repeated, none is lost, and each kill leaves at most one call in doubt, counted and shown."""
    rng = random.Random(SEED)
    kills = in_doubt_total = 0
    rounds = ROUNDS or 100
    for n in range(rounds):
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
    print(f"seed {SEED}: {rounds} runs, {kills} kills, {in_doubt_total} calls in doubt")

    assert kills >= rounds
    assert in_doubt_total > 0, "the kills never met a call under way: the experiment says nothing"


EXPECTED = {
    "map": {"plan", "s0", *(f"s0[1][{n}]" for n in range(6)), "join"},
    "loop": {*(f"{node}{n}" for node in ("s0", "more") for n in ("", "[2]", "[3]")), "end"},
    "gate": {"s0", "s1"},
    "batch": {"s0", "s1", "s2", "upper", "s3", "s4"},
    "two": {"s0", "s1", "s2", "upper", "s3", "s4"},
}
"""Shape -> the steps of each of its runs."""


@pytest.mark.slow
@pytest.mark.timeout(0 if ROUNDS else 300)
@pytest.mark.parametrize("shape", EXPECTED)
def test_runs_of_every_shape_survive_being_killed(server, zygote, tmp_path, shape):
    """A map, a loop, a gate, a batch, two kernels on one store: wherever the kill falls, the same job resumes and ends."""
    rng = random.Random(f"{SEED} {shape}")
    kills = in_doubt = 0
    rounds = ROUNDS // 16 or 6
    for n in range(rounds):
        folder = tmp_path / f"run{n}"
        folder.mkdir()
        before, killed_here = len(asked(server)), 0
        while (code := run_once(zygote, folder, server, rng.uniform(0, 0.25) if killed_here < 3 else None, shape)) != 0:
            assert code == -9, f"seed {SEED}, {shape}, round {n}: the job failed by itself with {code}"
            killed_here += 1
        kills += killed_here
        in_doubt += check_store(folder, asked(server)[before:], killed_here, shape)
    print(f"seed {SEED}: {rounds} jobs of shape {shape}, {kills} kills, {in_doubt} calls in doubt")
    assert kills >= rounds


def check_store(folder: Path, ledger: list[dict], kills: int, shape: str) -> int:
    """Every run of a job against the server's record, and the whole ledger: the number of calls in doubt."""
    with SqliteStore(folder / ".orch" / "runs.sqlite") as store:
        assert store.rebuild_ledger() == []
        rows = store.runs()
        batches = [row.run for row in rows if (row.parent or {}).get("batch")]
        names = {row.run for row in rows} - set(batches)
        runs = {run: [event for _, event in store.read(run)] for run in names}
        assert {row.status for row in rows} == {"done"}
        assert not any(row.live for row in rows)
        assert all(store.balance(f"run:{run}").held_usd == 0 for run in names)
    if shape == "batch":
        assert names == {f"{batches[0]}.{n}" for n in range(6)}
        assert len(batches) == 1
    else:
        assert len(names) == (2 if shape == "two" else 1)
    sent = settled = doubtful = 0
    for events in runs.values():
        finished = Counter(ev.key(e) for e in events if isinstance(e, ev.Finished))
        assert finished == Counter(dict.fromkeys(EXPECTED[shape], 1)), "each step is recorded once"
        assert Counter(ev.key(e) for e in events if isinstance(e, ev.Answered)) == (
            {"ok": 1} if shape == "gate" else {}
        )
        calls = {(ev.key(e), e.call) for e in events if isinstance(e, ev.Sent)}
        back = {(ev.key(e), e.call) for e in events if isinstance(e, ev.Settled)}
        sent, settled, doubtful = sent + len(calls), settled + len(back), doubtful + len(calls - back)
    assert doubtful <= kills * AT_ONCE.get(shape, 1)
    assert settled <= len(ledger) <= sent, "every request was announced before it left, and every answer kept was paid"
    return doubtful


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
