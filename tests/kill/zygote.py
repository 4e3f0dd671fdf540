"""A process that has imported everything and forks one child per order, so that a run can be killed within milliseconds.

One order a line on stdin: ``FOLDER BASE_URL SHAPE``; the child's pid, which is its process group, is answered, then (in a
line of its own) its end.
The store is opened by the child: nothing of it crosses the fork.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import httpx  # noqa: F401  (imported before the forks, so that a child starts at once)

import orch_nb.agents.machine
import orch_nb.catalog.billing
import orch_nb.providers.local_models.local
import orch_nb.routing.fixed
import orch_nb.store.location
import orch_nb.store.sqlite
import orch_nb.tools.registry  # noqa: F401
from orch_nb.agents.agent import Agent
from orch_nb.catalog.prices import PriceBook
from orch_nb.graph.builder import Graph
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.runtime.batch import start_batch
from orch_nb.runtime.runtime import Runtime


def step(n: int, before: str) -> Agent:
    """An agent whose prompt is its own name: the server's ledger then tells which steps it was asked."""
    read = f" after {{{{ {before} }}}}" if before else " for {{ job }}"
    return Agent(f"s{n}", f"@say answer {n}{read}", model="faulty", max_tokens=50)


def chain() -> tuple[Graph, dict[str, object]]:
    """Five agents in a row with a function in between: one call at a time."""
    agents: dict[str, object] = {f"s{n}": step(n, f"s{n - 1}" if n else "") for n in range(3)}

    def upper(s2: str) -> str:
        return s2.upper()

    agents["upper"] = upper
    agents["s3"] = step(3, "upper")
    agents["s4"] = step(4, "s3")
    return Graph("job").chain("s0", "s1", "s2", "upper", "s3", "s4"), agents


def mapped() -> tuple[Graph, dict[str, object]]:
    """Six activations of one agent at once, and what is made of them."""
    agent = Agent("s0", "@say answer for {{ one }} of {{ job }}", model="faulty", max_tokens=50)
    names: dict[str, object] = {"plan": _plan, "s0": agent, "join": lambda s0: f"{len(s0)} answers"}
    return Graph.from_cell("job", "plan -> s0 each plan as one\ns0 -> join\nout join"), names


def loop() -> tuple[Graph, dict[str, object]]:
    """One agent that is asked three times."""
    names: dict[str, object] = {"s0": step(0, ""), "more": lambda s0: "more", "end": lambda more: more}
    return Graph.from_cell(
        "job", "s0 -> more\nmore -> s0 when more == 'more' at most 2\nmore -> end else\nout end"
    ), names


def gate() -> tuple[Graph, dict[str, object]]:
    """A person between two agents."""
    names: dict[str, object] = {"s0": step(0, ""), "s1": step(1, "ok")}
    return Graph.from_cell("job", "s0 -> ok -> s1\nok: human 'Go on?'\nout s1"), names


def _plan(job: str) -> list[str]:
    return [f"{job}-{n}" for n in range(6)]


SHAPES = {"chain": chain, "map": mapped, "loop": loop, "gate": gate, "batch": chain, "two": chain}


def job(folder: str, url: str, shape: str) -> None:
    """Start the run of this folder, or resume it; of shape "two", in two processes on one store."""
    side = ""
    if shape == "two":
        other = os.fork()
        side = "left" if other else "right"
    runtime = Runtime(folder)
    runtime.add_provider(OpenAIChat("faulty", url, key=None))
    runtime.models.add("faulty", "test-model", "faulty", price={"input": 1000, "output": 1000})
    drawn, names = SHAPES[shape]()
    known = [row.run for row in runtime.runs() if not side or row.run == side]
    handle: Any
    if known:
        handle = runtime.resume(known[0], namespace=names, attended=shape == "gate")
    elif shape == "batch":
        handle = start_batch(runtime, drawn, [{"job": f"{folder[-6:]}-{n}"} for n in range(6)], namespace=names)
    else:
        inputs = {"job": folder[-6:] + side}
        handle = runtime.start(drawn, inputs, namespace=names, run=side or None, attended=shape == "gate")
    handle.wait(30)
    if handle.status == "waiting":
        handle.answer("approve")
        handle.wait(30)
    code = 0 if handle.status == "done" else 3
    if side == "left":
        code |= os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
    os._exit(code)


def _warm_up() -> None:
    """Load the modules of a first compile and a first price: everything except a loop, a thread or a store."""
    for shape in SHAPES.values():
        drawn, names = shape()
        drawn.compile(names)
    PriceBook().find("openai", "gpt-4o-mini")


def main() -> None:
    """Serve orders until stdin ends."""
    _warm_up()
    for line in sys.stdin:
        folder, url, shape = line.split()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            try:
                job(folder, url, shape)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(4)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        print(f"end {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
