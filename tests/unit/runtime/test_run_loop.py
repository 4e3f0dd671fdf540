"""The loop that owns every run: what escapes to it does not end it, and nobody waits for one that has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

import orch_nb as orch
from orch_nb.engine.loop import RunLoop
from orch_nb.errors import LoopEnded, WouldDeadlock
from orch_nb.runtime.batch import start_batch
from orch_nb.runtime.runtime import Runtime
from tests.unit.runtime.conftest import reply


@pytest.fixture
def loop():
    made = RunLoop()
    yield made
    made.close()


def exits():
    raise SystemExit(2)


async def exits_async():
    raise SystemExit(2)


def kill(loop):
    """End the loop's thread as a broken program can: the loop is stopped, and closed before it continues."""
    here = loop.loop
    thread = loop._thread
    here.call_soon_threadsafe(lambda: setattr(here, "run_forever", here.close))
    here.call_soon_threadsafe(here.stop)
    thread.join(10)
    assert not thread.is_alive()


def test_what_escapes_a_callback_does_not_end_the_loop(loop):
    """Posted, asked, submitted, or a task of its own: the loop continues, and whoever waits for the call gets its error."""
    loop.post(exits)
    with pytest.raises(SystemExit):
        loop.ask(exits)
    with pytest.raises(SystemExit):
        loop.submit(exits_async()).result(10)
    loop.post(lambda: asyncio.get_running_loop().stop())
    thread = loop._thread
    assert loop.ask(threading.current_thread) is thread
    assert thread.is_alive()


def test_whoever_waits_for_a_loop_that_ends_is_told(loop):
    """Submitted work fails with a typed error; the next call runs on another thread."""
    waiting = loop.submit(asyncio.Event().wait())
    kill(loop)
    with pytest.raises(LoopEnded, match="has ended"):
        waiting.result(10)
    assert loop.ask(threading.current_thread) is loop._thread


def test_a_loop_that_is_closed_tells_nobody_that_it_ended(loop):
    """A closed loop reports no error and may be used again."""
    told = []
    loop.on_end = told.append
    assert loop.ask(lambda: 1) == 1
    loop.close()
    assert not told
    assert loop.ask(lambda: 2) == 2


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_runs_of_a_loop_that_ended_say_so_and_can_be_resumed(tmp_path, store):
    """Waiters of the run get a typed error, a batch's too; the record remains, and a resume continues from it."""
    rt = Runtime(tmp_path, store=orch.MemoryStore() if store == "memory" else None)
    entered, done = threading.Event(), []

    async def endless(x):
        entered.set()
        if not done:
            await asyncio.Event().wait()
        return x

    space = {"first": lambda x: x, "endless": endless}
    run = rt.start(orch.Graph("g").chain("first", "endless"), {"x": 1}, namespace=space)
    entered.wait(10)
    batch = start_batch(rt, orch.Graph("g").chain("endless"), [{"x": 1}], namespace=space)
    rt.run_loop.ask(lambda: None)
    kill(rt.run_loop)
    for handle in (run, batch):
        with pytest.raises(LoopEnded):
            handle.wait(10)
        assert handle.done()
    with pytest.raises(LoopEnded):
        run.result()
    done.append(True)
    again = rt.resume(run.run, namespace=space)
    assert again.wait(10).result() == 1
    assert [e.node for e in again.events if e.TYPE == "finished"] == ["first", "endless"]
    rt.close()


def test_a_waiting_cell_notices_that_the_loop_has_ended(rt):
    """The wait of a cell ends, and its failure is the loop's end."""
    from orch_nb.notebook import live

    entered = threading.Event()

    async def endless(x):
        entered.set()
        await asyncio.Event().wait()

    run = rt.start(orch.Graph("g").chain("endless"), {"x": 1}, namespace={"endless": endless})
    entered.wait(10)

    async def cell():
        waiting = asyncio.create_task(live.until(run, run.done, lambda: None))
        await asyncio.to_thread(kill, rt.run_loop)
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(cell())
    assert isinstance(run.future.exception(), LoopEnded)


def test_a_cap_on_calls_outlives_the_loop(rt, scripted):
    """The limit of a provider's calls is in force on the next loop."""
    scripted(lambda request: reply())
    rt.limit_calls("vendor", 3)
    rt.run_loop.ask(lambda: None)
    kill(rt.run_loop)
    assert rt.run_loop.ask(lambda: rt.slot("model:vendor")._value) == 3


# ------------------------------------------------------------------ blocking the loop's own thread
@pytest.mark.parametrize("is_inline", [False, True])
async def test_a_blocking_wait_on_the_loops_own_thread_is_refused_at_once(rt, is_inline):
    """`run_sync`, `wait` of a run and of a batch, `close`: in an `async def` node, or inline, they would wait for themselves."""
    graph = orch.Graph("inner").chain("child")
    space = {"child": lambda x: x}
    said = []

    def blocks():
        before = len(rt.store.runs())
        for call in (
            lambda: orch.run_sync(graph, namespace=space, x=1),
            lambda: graph.run_sync(namespace=space, x=1),
            rt.close,
        ):
            with pytest.raises(WouldDeadlock) as caught:
                call()
            said.append(caught.value)
        assert len(rt.store.runs()) == before, "nothing was started"
        for handle in (rt.start(graph, {"x": 1}, namespace=space), start_batch(rt, graph, [{"x": 1}], namespace=space)):
            with pytest.raises(WouldDeadlock):
                handle.wait()
        return "refused"

    async def node(x):
        return blocks()

    @orch.node(inline=True)
    def inline(x):
        return blocks()

    run = await orch.run(orch.Graph("g").chain("node"), namespace={"node": inline if is_inline else node}, x=1)
    assert run.result() == "refused"
    assert all("await" in error.hint for error in said)


async def test_a_function_on_a_thread_may_wait(rt):
    """A sync function has a thread of its own: `run_sync` there is as good as anywhere."""
    inner = orch.Graph("inner").chain("child")

    def outer(x):
        return orch.run_sync(inner, namespace={"child": lambda x: x + 1}, x=x).result()

    assert (await orch.run(orch.Graph("g").chain("outer"), namespace={"outer": outer}, x=1)).result() == 2
