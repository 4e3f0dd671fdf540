"""A process that has imported everything and forks one child per order, so that a run can be killed within milliseconds.

One order a line on stdin: ``FOLDER BASE_URL``; the child's pid is answered, then (in a line of its own) its end.
The store is opened by the child: nothing of it crosses the fork.
"""

from __future__ import annotations

import os
import sys

import httpx  # noqa: F401  (imported before the forks, so that a child starts at once)

import orch_nb.agents.turn
import orch_nb.providers.local
import orch_nb.routing.fixed
import orch_nb.routing.settlement
import orch_nb.store.place
import orch_nb.store.sqlite
import orch_nb.tools.registry  # noqa: F401
from orch_nb.agents.agent import Agent
from orch_nb.graph.builder import Graph
from orch_nb.providers.openai_chat import OpenAIChat
from orch_nb.routing.prices import PriceBook
from orch_nb.runtime.runtime import Runtime


def step(n: int, before: str) -> Agent:
    """An agent whose prompt is its own name: the server's ledger then tells which steps it was asked."""
    read = f" after {{{{ {before} }}}}" if before else " for {{ job }}"
    return Agent(f"s{n}", f"@say answer {n}{read}", model="faulty", max_tokens=50)


def graph() -> tuple[Graph, dict[str, object]]:
    """Six agents in a row with a function in between: one call at a time."""
    agents: dict[str, object] = {f"s{n}": step(n, f"s{n - 1}" if n else "") for n in range(3)}

    def upper(s2: str) -> str:
        return s2.upper()

    agents["upper"] = upper
    agents["s3"] = step(3, "upper")
    agents["s4"] = step(4, "s3")
    return Graph("job").chain("s0", "s1", "s2", "upper", "s3", "s4"), agents


def job(folder: str, url: str) -> None:
    """Start the run of this folder, or go on with it."""
    runtime = Runtime(folder)
    runtime.add_provider(OpenAIChat("faulty", url, key=None))
    runtime.models.add("faulty", "test-model", "faulty", price={"input": 1000, "output": 1000})
    drawn, names = graph()
    rows = runtime.runs()
    handle = (
        runtime.resume(rows[0].run, namespace=names)
        if rows
        else runtime.start(drawn, {"job": folder[-6:]}, namespace=names)
    )
    handle.wait(30)
    os._exit(0 if handle.status == "done" else 3)


def _warm_up() -> None:
    """What a first compile and a first price load: everything short of a loop, a thread or a store."""
    drawn, names = graph()
    drawn.compile(names)
    PriceBook().find("openai", "gpt-4o-mini")


def main() -> None:
    """Serve orders until stdin ends."""
    _warm_up()
    for line in sys.stdin:
        folder, url = line.split()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            try:
                job(folder, url)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(4)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        print(f"end {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
