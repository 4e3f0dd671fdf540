"""orch_nb on the peers' workloads (../shared/tools/peers): same protocol, same results, tracing and cost tracking on.

Variants: `memory` (the in-memory store) and `sqlite` (every step committed, safe against process death).
Plans are built untimed, as every peer's graphs are; a run is everything from the first event to the last.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from proto import Case, Engine, fresh_dir
from spec import MOD, doc_text, w4_deps, w4_value

from orch_nb.agents.binding import callables, compile_in
from orch_nb.lang.graph_cell import parse_graph
from orch_nb.runtime.runtime import Runtime
from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore
from orch_nb.tools.function import node

E = Engine("orch_nb", ["orch_nb", "networkx", "pydantic"], "import orch_nb")
STORES = ("memory", "sqlite")
NOTES = {"memory": "in-memory store", "sqlite": "every step committed (WAL, process-safe); synced at the end"}


class Bench:
    """A store, a runtime on it, and plans from notation."""

    def __init__(self, kind: str, folder: str, durability: str = "process") -> None:
        self.kind, self.folder, self.durability = kind, folder, durability
        self.runtime: Any = None
        self.fresh()

    def fresh(self) -> None:
        self.close()
        path = os.path.join(fresh_dir(os.path.join(self.folder, "orch")), "runs.sqlite")
        store = MemoryStore() if self.kind == "memory" else SqliteStore(path, durability=self.durability)
        self.path = path
        self.runtime = Runtime(self.folder, store=store)

    def close(self) -> None:
        if self.runtime is not None:
            self.runtime.store.close()

    def plan(self, text: str, **functions: Any) -> tuple[Any, Any]:
        plan = compile_in(parse_graph("g", text), functions)
        return plan, callables(plan, functions)

    async def run(self, made: tuple[Any, Any], **inputs: Any) -> Any:
        state = await self.runtime.run_here(made[0], inputs, made[1])
        if state.status != "done":
            raise RuntimeError(f"{state.status}: {state.error}")
        return state.output


def each(workload: str):
    """Register a factory for both stores."""

    def attach(factory):
        for kind in STORES:

            async def case(p, d, kind=kind):
                return await factory(p, Bench(kind, d))

            E.workload(workload, kind, NOTES[kind])(case)
        return factory

    return attach


async def inc(n):
    return n + 1


def chain_text(n: int) -> str:
    lines = ["n0: function inc with n = start"]
    lines += [f"n{i} -> n{i + 1}\nn{i + 1}: function inc with n = n{i}" for i in range(n - 1)]
    return "\n".join(lines)


@each("W1")
async def w1(p, b):
    made = b.plan(chain_text(p["n"]), inc=inc)

    async def run():
        return await b.run(made, start=0)

    return Case(run, setup=b.fresh, close=b.close)


def fan(p, b, item):
    async def src(n):
        return list(range(n))

    async def sink(w):
        return sum(w)

    return b.plan("src -> w each src as i\nw -> sink\nw: function item", src=src, item=item, sink=sink)


@each("W2")
async def w2(p, b):
    async def item(i):
        return i

    made = fan(p, b, item)

    async def run():
        return await b.run(made, n=p["n"])

    return Case(run, setup=b.fresh, close=b.close)


@each("W3")
async def w3(p, b):
    async def writer(critic=0):
        return critic + 1

    async def critic(writer):
        return writer

    n = p["n"]
    made = b.plan(
        f"writer -> critic\ncritic -> writer when critic < {n} at most {n}\nout critic", writer=writer, critic=critic
    )

    async def run():
        return await b.run(made)

    return Case(run, setup=b.fresh, close=b.close)


@each("W4")
async def w4(p, b):
    width, layers = p["width"], p["layers"]

    async def first(j):
        return j

    async def value(a, b, c):
        return w4_value(a, b, c)

    async def total(last):
        return sum(last if isinstance(last, list) else [last]) % MOD

    lines = []
    for j in range(width):
        lines.append(f"v0_{j}: function first with j = {j}")
    for layer in range(1, layers):
        for j in range(width):
            parents = [f"v{layer - 1}_{d}" for d in w4_deps(j, width)]
            lines.append(f"{{{', '.join(parents)}}} -> v{layer}_{j}")
            a, b_, c = parents
            lines.append(f"v{layer}_{j}: function value with a = {a}, b = {b_}, c = {c}")
    lines.append("last = {" + ", ".join(f"v{layers - 1}_{j}" for j in range(width)) + "}\nlast -> total")
    made = b.plan("\n".join(lines), first=first, value=value, total=total)

    async def run():
        return await b.run(made)

    return Case(run, setup=b.fresh, close=b.close)


@each("W6")
async def w6(p, b):
    async def item(i):
        await asyncio.sleep(p["sleep"])
        return i

    made = fan(p, b, item)

    async def run():
        return await b.run(made, n=p["n"])

    return Case(run, setup=b.fresh, close=b.close)


def grow_text(n: int, *, grow: bool) -> str:
    lines = ["s0: function step0 with n = start" + (", doc = doc" if not grow else "")]
    for i in range(n - 1):
        lines.append(
            f"s{i} -> s{i + 1}\ns{i + 1}: function step{i + 1} with n = s{i}.n" + ("" if grow else ", doc = s0.doc")
        )
    return "\n".join(lines)


def chain_functions(p, *, grow, fail=None, counter=None):
    """Functions of the durable chains: W5a passes one document by reference of the first step, W5b adds a chunk a step."""

    def make(i):
        chunk = doc_text(p["chunk"], i) if grow else None

        async def body(n):
            if counter is not None:
                counter[0] += 1
            if fail and fail[0] and i == p["fail_at"] - 1:
                raise RuntimeError("boom")
            return n + 1

        if grow:

            @node(writes={"log": "append"})
            async def step(n):
                return {"n": await body(n), "log": [chunk]}
        elif i == 0:

            async def step(n, doc):
                return {"n": await body(n), "doc": doc}
        else:

            async def step(n, doc):
                return {"n": await body(n)}

        step.__name__ = f"step{i}"
        return step

    return {f"step{i}": make(i) for i in range(p["n"])}


def durable(p, b, *, grow):
    made = b.plan(grow_text(p["n"], grow=grow), **chain_functions(p, grow=grow))
    inputs = {"start": 0} if grow else {"start": 0, "doc": doc_text(p["doc"])}

    async def run():
        out = await b.run(made, **inputs)
        return out["n"]

    return Case(run, setup=b.fresh, close=b.close)


def durable_workload(workload, *, grow):
    for variant, durability, note in (
        ("sqlite", "process", NOTES["sqlite"]),
        ("sqlite-full", "power", "every step synced to disk"),
    ):

        async def case(p, d, durability=durability):
            return durable(p, Bench("sqlite", d, durability), grow=grow)

        E.workload(workload, variant, note)(case)


durable_workload("W5a", grow=False)
durable_workload("W5b", grow=True)


def resume_workload(workload, *, grow):
    async def case(p, d):
        fail, counter = [True], [0]
        b = Bench("sqlite", d)
        functions = chain_functions(p, grow=grow, fail=fail, counter=counter)
        made = b.plan(grow_text(p["n"], grow=grow), **functions)
        inputs = {"start": 0} if grow else {"start": 0, "doc": doc_text(p["doc"])}

        async def setup():
            b.fresh()
            fail[0] = True
            state = await b.runtime.run_here(made[0], inputs, made[1])
            assert state.status == "failed"
            b.close()
            fail[0] = False
            counter[0] = 0
            b.runtime = None

        async def run():
            runtime = Runtime(b.folder, store=SqliteStore(b.path))
            state = await runtime.resume_here("1", functions)
            runtime.store.close()
            return state.output["n"]

        return Case(run, setup, extra=lambda: {"executed": counter[0]})

    E.workload(workload, "sqlite", "a new store object; the plan is read from the log")(case)


resume_workload("W7", grow=False)
resume_workload("W7g", grow=True)


@each("W8")
async def w8(p, b):
    made = b.plan(chain_text(p["n"]), inc=inc)

    async def run():
        return sum(await asyncio.gather(*[b.run(made, start=0) for _ in range(p["runs"])]))

    return Case(run, setup=b.fresh, close=b.close)


for _variant, _durability in (("sqlite", "process"), ("sqlite-full", "power")):

    async def _w8d(p, d, durability=_durability):
        b = Bench("sqlite", d, durability)
        made = b.plan(chain_text(p["n"]), inc=inc)

        async def run():
            return sum(await asyncio.gather(*[b.run(made, start=0) for _ in range(p["runs"])]))

        return Case(run, setup=b.fresh, close=b.close)

    E.workload("W8d", _variant, "group commit" + (", an fsync a group" if _durability == "power" else ""))(_w8d)


if __name__ == "__main__":
    E.main()
