"""``make bench``: our figures as ratios within one run, against the floor and against the peers that install here.

    python -m tests.bench [--rounds 5] [--peers langgraph,hamilton,burr] [--skip-peers]

The peers' programs and their protocol are those of ../shared/tools/peers (ORCH_SHARED); without them only our own
figures are printed. Nothing here is asserted in a test: a busy machine is not a regression.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
GOALS = {  # workload -> (our variant, the peer's variant, how many times faster)
    "W1": ("memory", "stategraph", 10), "W2": ("memory", "send", 10), "W3": ("memory", "stategraph", 10),
    "W4": ("memory", "stategraph", 10), "W8": ("memory", "stategraph", 20), "W5a": ("sqlite", "sqlite-sync", 30),
    "W7": ("sqlite", "sqlite-sync", 8), "W8d": ("sqlite", "sqlite-sync", 50),
}  # fmt: skip


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="langgraph,hamilton,burr")
    parser.add_argument("--skip-peers", action="store_true")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    print_own()
    subprocess.run([sys.executable, str(ROOT / "tests/bench/bench_store.py")], check=True)
    tools = Path(os.environ.get("ORCH_SHARED") or ROOT.parent / "shared") / "tools" / "peers"
    if options.skip_peers or not tools.is_dir():
        print("\nno peers measured" + ("" if options.skip_peers else f": there are no peers' programs at {tools}"))
        return
    print_peers(tools, options.peers.split(","), options.rounds)


# ------------------------------------------------------------------ against the peers
def print_peers(tools: Path, peers: list[str], rounds: int) -> None:
    """The workloads, interleaved with the peers, and the goals that are ratios against LangGraph."""
    engines = ["asyncio_floor", *peers]
    for name in engines:
        make_venv(name, tools / "requirements" / f"{name}.txt")
    out = BUILD / "peers.json"
    out.unlink(missing_ok=True)
    work = BUILD / "work"
    work.mkdir(exist_ok=True)
    command = [
        sys.executable, str(tools / "run_peers.py"), "--venvs", str(BUILD / "venvs"), "--rounds", str(rounds),
        "--only", ",".join([*engines, "orch_nb"]), "--workdir", str(work), "--out", str(out),
        "--engine", f"orch_nb={wrapper()}@{ROOT / 'tests/bench/engine_orch_nb.py'}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    print_goals(json.loads(out.read_text())["cases"])


def make_venv(name: str, requirements: Path) -> None:
    """A virtual environment for one engine, made once."""
    folder = BUILD / "venvs" / name
    if (folder / ".made").exists():
        return
    print(f"installing {name} (once)")
    venv.create(folder, with_pip=True)
    wanted = [line for line in requirements.read_text().split("\n") if line.strip() and not line.startswith("#")]
    if wanted:
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *wanted], check=True)
    (folder / ".made").touch()


def wrapper() -> Path:
    """This interpreter with the clone on its path: `run_peers` starts an engine by one word."""
    path = BUILD / "orch-python"
    path.write_text(f'#!/bin/sh\nexec env PYTHONPATH="{ROOT}:$PYTHONPATH" "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def print_goals(cases: dict[str, Any]) -> None:
    """Each goal against LangGraph in the same run."""

    def median(key: str) -> float | None:
        case = cases.get(key, {})
        return statistics.median(case["s"]) / case["nodes"] if case.get("s") else None  # a peer may run a smaller size

    print(
        "\n### goals against LangGraph, medians of the same run\n\n| workload | times faster | goal | |\n|---|---:|---:|---|"
    )
    for workload, (variant, peers, goal) in GOALS.items():
        ours, theirs = median(f"{workload}|orch_nb|{variant}"), median(f"{workload}|langgraph|{peers}")
        if ours and theirs:
            print(
                f"| {workload} {variant} | {theirs / ours:.1f} | {goal} | {'met' if theirs / ours >= goal else 'NOT met'} |"
            )
    durable, volatile = median("W1|orch_nb|sqlite"), median("W1|langgraph|stategraph")
    if durable and volatile:
        print(
            f"| W1 durable against LangGraph with no saver | {volatile / durable:.1f} | 1 | {'met' if volatile >= durable else 'NOT met'} |"
        )
    for workload in ("W8d",):
        normal, full = median(f"{workload}|orch_nb|sqlite"), median(f"{workload}|orch_nb|sqlite-full")
        if normal and full:
            print(
                f"| {workload} FULL against NORMAL | {full / normal:.2f}x | <= 1.5x | {'met' if full <= 1.5 * normal else 'NOT met'} |"
            )
    waits = median("W6|orch_nb|memory")
    if waits:
        print(
            f"| W6 200 x 50 ms in parallel | {waits * 1000:.1f} ms | <= 57 ms | {'met' if waits <= 0.057 else 'NOT met'} |"
        )


# ------------------------------------------------------------------ our own
def print_own() -> None:
    """Import, extension, loops, resume, display."""
    bare, ours = seconds_of("pass"), seconds_of("import orch_nb")
    print(
        f"import orch_nb: {1000 * (ours - bare):.0f} ms over the bare interpreter ({1000 * bare:.0f} ms); goal < 100 ms"
    )
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); import time; t = time.perf_counter(); "
    loaded = printed(shell + "s.run_line_magic('load_ext', 'orch_nb'); print(time.perf_counter() - t)")
    print(f"%load_ext orch_nb: {float(loaded.splitlines()[-1]) * 1000:.0f} ms; goal < 500 ms")
    for rounds in (1_000, 10_000, 100_000):
        seconds = asyncio.run(loop_of(rounds))
        print(f"loop of {rounds:,} rounds x 2 nodes, in memory: {seconds / rounds / 2 * 1e6:.1f} us a node")
    took, megabytes, ran = printed("from tests.bench.__main__ import resume_long; resume_long()").split()[-3:]
    print(
        f"resume of a 10,000-step run: {float(took):.2f} s, {megabytes} MB at its peak, {ran} steps run; goals < 2 s, < 200 MB"
    )
    with_view, without = (
        printed(f"from tests.bench.__main__ import live; live({shown})").split()[-1] for shown in (True, False)
    )
    print(f"live display: {(float(with_view) / float(without) - 1) * 100:.1f} % of a run's time; goal < 5 %")


def seconds_of(code: str) -> float:
    """Median wall time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def printed(code: str) -> str:
    """Return the output of a fresh interpreter that runs `code` in the clone."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "ORCH_STORE": folder, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT, env=env, capture_output=True, text=True
        ).stdout


def loop_plan(most: int, fail_at: list[int]) -> tuple[Any, Any, dict[str, Any]]:
    """Two nodes that go round until `most`; the first raises at `fail_at`."""
    from orch_nb.agents.binding import callables, compile_in
    from orch_nb.lang.graph_cell import parse_graph

    async def w(c: int = 0) -> int:
        if c == fail_at[0]:
            raise RuntimeError("stop here")
        return c + 1

    async def c(w: int) -> int:
        return w

    space = {"w": w, "c": c}
    plan = compile_in(parse_graph("g", f"w -> c\nc -> w when c < {most} at most {most}\nout c"), space)
    return plan, callables(plan, space), space


async def loop_of(rounds: int) -> float:
    """Seconds of one run of so many rounds in memory."""
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.store.memory import MemoryStore

    plan, bound, _ = loop_plan(rounds, [-1])
    runtime = Runtime(store=MemoryStore())
    started = time.perf_counter()
    state = await runtime.run_here(plan, {}, bound)
    assert state.output == rounds
    return time.perf_counter() - started


def resume_long() -> None:
    """Make a run of 10,000 recorded steps that failed, then resume it in this process; print seconds, MB, steps run."""
    from orch_nb.runtime.runtime import Runtime

    if os.environ.get("ORCH_MADE") is None:
        fail = [5_000]
        plan, bound, _ = loop_plan(5_001, fail)
        runtime = Runtime()
        state = asyncio.run(runtime.run_here(plan, {}, bound))
        assert state.status == "failed"
        assert state.seq > 10_000
        runtime.store.close()
        env = {**os.environ, "ORCH_MADE": "1"}
        code = "from tests.bench.__main__ import resume_long; resume_long()"
        print(subprocess.run([sys.executable, "-c", code], check=True, env=env, capture_output=True, text=True).stdout)
        return
    _, _, space = loop_plan(5_001, [-1])
    runtime = Runtime()
    started = time.perf_counter()
    state = asyncio.run(runtime.resume_here("1", space))
    took = time.perf_counter() - started
    assert state.status == "done"
    steps = sum(type(e).__name__ == "Finished" for n, e in runtime.store.read("1") if n > 10_001)
    print(f"{took:.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} {steps}")


def live(shown: bool) -> None:
    """Seconds of 40 steps of 25 ms, with or without the live view being drawn as often as it would be in a notebook."""
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.store.memory import MemoryStore
    from orch_nb.trace.run_view import run_view
    from orch_nb.views.run import run_bundle

    async def step(n: int) -> int:
        await asyncio.sleep(0.025)
        return n + 1

    lines = ["s0: function step with n = start"]
    lines += [f"s{i} -> s{i + 1}\ns{i + 1}: function step with n = s{i}" for i in range(39)]
    from orch_nb.graph.builder import Graph

    runtime = Runtime(store=MemoryStore())
    graph = Graph.from_cell("g", "\n".join(lines))
    started = time.perf_counter()
    handle = runtime.start(graph, {"start": 0}, namespace={"step": step})
    drawn = 0.0
    while not handle.done():
        if shown and time.perf_counter() - drawn > 0.2:
            drawn = time.perf_counter()
            run_bundle(run_view(handle.events))
        time.sleep(0.01)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
