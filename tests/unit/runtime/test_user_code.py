"""Nothing that the user's code raises stops the loop that runs every run: it ends its node, typed, and no more."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

import orch_nb as orch
from orch_nb import api
from orch_nb.engine import user_code
from orch_nb.errors import NodeFailed
from orch_nb.runtime.batch import start_batch
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Reply, ToolCall, Usage
from tests.unit.runtime.conftest import reply

ESCAPES = [
    SystemExit(2),
    KeyboardInterrupt("pressed"),
    GeneratorExit("closed"),
    asyncio.CancelledError("gone"),
    concurrent.futures.CancelledError("gone"),
    StopIteration("empty"),
]
NAMES = [f"{type(e).__module__}.{type(e).__name__}" for e in ESCAPES]
each_escape = pytest.mark.parametrize("error", ESCAPES, ids=NAMES)


def failures(run):
    """(class, message, failure class) of each failure of a run."""
    return [(e.error.type, e.error.message, e.error.failure) for e in run.events if isinstance(e, ev.Failed)]


def functions(error):
    """Functions of each kind that raise `error`."""

    def in_thread(x):
        raise error

    @orch.node(inline=True)
    def inline(x):
        raise error

    async def on_loop(x):
        await asyncio.sleep(0)
        raise error

    @orch.node(timeout_s=30)
    async def in_time(x):
        raise error

    return {"in_thread": in_thread, "inline": inline, "on_loop": on_loop, "in_time": in_time}


@each_escape
@pytest.mark.parametrize("kind", ["in_thread", "inline", "on_loop", "in_time"])
async def test_what_except_exception_does_not_see_fails_its_node(rt, error, kind):
    """Whatever a function raises, in a thread, inline or on the loop: class and message are kept, it is not tried again."""
    run = await orch.run(orch.Graph("g").chain(kind), namespace=functions(error), x=1)
    name = (
        "RuntimeError" if kind in ("on_loop", "in_time") and isinstance(error, StopIteration) else type(error).__name__
    )
    ((said, message, failure),) = failures(run)
    assert (said, failure) == (name, "catastrophic")
    assert name == "RuntimeError" or message == str(error)
    with pytest.raises(NodeFailed, match=name):
        run.result()
    assert rt.run_loop.ask(lambda: 1 + 1) == 2, "the loop goes on"


@each_escape
async def test_beside_other_steps_it_fails_its_node_too(rt, error):
    """Several steps under way are tasks of the loop: one that raises takes neither the loop nor its neighbours with it."""
    graph = orch.Graph.from_cell(
        "g", "start -> {good, on_loop, in_thread, inline}\n{good, on_loop, in_thread, inline} -> end"
    )
    space = {name: orch.node(on_failure="skip")(f) for name, f in functions(error).items()}
    space |= {"start": lambda x: x, "good": lambda start: start, "end": lambda good: good}
    run = await orch.run(graph, namespace=space, x=1)
    assert (run.status, run.output) == ("done", 1)
    assert {e.node for e in run.events if isinstance(e, ev.Failed)} == {"on_loop", "in_thread", "inline"}


async def test_a_function_that_cancels_its_own_task_fails_its_node(rt):
    """Nobody stopped the run: beside another step, the step is not forgotten and the run not done without it."""

    async def quits(x):
        asyncio.current_task().cancel()
        await asyncio.sleep(30)

    graph = orch.Graph.from_cell("g", "{quits, good} -> end")
    run = await orch.run(graph, namespace={"quits": quits, "good": lambda x: x, "end": lambda quits, good: 1}, x=1)
    assert run.status == "failed"
    assert failures(run)[0][0] == "CancelledError"


async def test_a_child_task_that_exits_fails_its_node(rt):
    """asyncio hands SystemExit of any task to the loop itself: the loop continues, the step that awaits it fails."""

    async def exits():
        raise SystemExit(3)

    async def parent(x):
        await asyncio.create_task(exits())

    run = await orch.run(orch.Graph("g").chain("parent"), namespace={"parent": parent}, x=1)
    assert failures(run) == [("SystemExit", "3", "catastrophic")]


async def test_stop_still_stops_what_would_rather_not(rt):
    """A real cancellation does not fail the node: a Stop ends the run as cancelled, with nothing recorded as failed."""
    entered = threading.Event()

    async def endless(x):
        entered.set()
        await asyncio.Event().wait()

    for graph in (orch.Graph("g").chain("endless"), orch.Graph.from_cell("g", "{endless, also} -> end")):
        entered.clear()
        space = {"endless": endless, "also": lambda x: x, "end": lambda also: also}
        run = rt.start(graph, {"x": 1}, namespace=space)
        await asyncio.to_thread(entered.wait)
        run.stop()
        await run
        assert run.status == "cancelled"
        assert not failures(run)


async def test_a_timeout_still_ends_what_it_bounds(rt):
    """The cancellation of a timeout is a timeout, not a failure of the code that it ended."""

    @orch.node(timeout_s=0.01, retry=1)
    async def slow(x):
        await asyncio.Event().wait()

    run = await orch.run(orch.Graph("g").chain("slow"), namespace={"slow": slow}, x=1)
    assert [f[0] for f in failures(run)] == ["NodeTimeout"]


def test_ctrl_c_in_the_main_thread_is_an_interrupt_of_the_program(rt):
    """A run on the main thread's own loop does not eat the user's interrupt: it ends with it."""
    graph = orch.Graph("g").chain("inline")
    space = functions(KeyboardInterrupt("pressed"))
    plan = graph.compile(space)

    async def main():
        return await rt.run_here(plan, {"x": 1}, dict.fromkeys(_bound(plan, space), space["inline"]))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


def _bound(plan, space):
    from orch_nb.agents.binding import callables

    return callables(plan, space)


# ------------------------------------------------------------------ tools, checks, callbacks
def asks_tool(name="quit"):
    """A reply that asks for a tool, then one that answers."""
    calls = (ToolCall("1", name, "{}"),)
    return [Reply("", tool_calls=calls, usage=Usage(10, 10), finish_reason="tool_calls"), reply("told")]


@each_escape
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_that_raises_anything_is_a_failed_tool(rt, scripted, error, is_async):
    """The model gets the error, as of any failed tool, and continues."""

    def quit():
        "Quits."
        raise error

    async def quit_async():
        "Quits."
        raise error

    made = orch.tool(name="quit")(quit_async if is_async else quit)
    provider = scripted(asks_tool())
    run = await orch.run(
        orch.Agent("a", "{{ x }}", model="m", max_tokens=50, tools=[made]), namespace={"quit": made}, x="hi"
    )
    assert run.result() == "told"
    told = provider.requests[1].messages[-1].content
    assert "ToolFailed" in told
    assert "StopIteration" in told or type(error).__name__ in told


@each_escape
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_check_that_raises_anything_is_a_failed_check(rt, models, error, is_async):
    """The step of the cascade fails with the reason."""

    def passes(answer):
        raise error

    async def passes_async(answer):
        raise error

    models(small=["no"], big=["yes"])
    agent = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"], "by": "check(passes)"}, max_tokens=50)
    run = await orch.run(agent, namespace={"passes": passes_async if is_async else passes}, x="hi")
    checks = {e.call for e in run.events if isinstance(e, ev.Sent) and e.kind == "check"}
    said = [e.error.type for e in run.events if isinstance(e, ev.Settled) and e.call in checks and e.error]
    assert said
    assert set(said) <= {type(error).__name__, "RuntimeError"}
    assert run.done()


@pytest.mark.parametrize("error", [e for e in ESCAPES if not isinstance(e, KeyboardInterrupt)])
def test_a_scorer_that_raises_anything_gives_no_score(error):
    """Its class and message are the reason that there is none."""
    from orch_nb.analysis.compare.scorers import Answered, ByFunction

    def scores(output):
        raise error

    got = ByFunction("scores", scores).score(Answered("x", {}, True))
    assert got.value is None
    assert f"raised {type(error).__name__}" in got.why


async def test_a_validator_of_an_answers_type_that_exits_fails_its_node(rt, scripted):
    """The user's own pydantic class judges answers on the loop: what it raises ends the agent, and the call is settled."""
    from pydantic import BaseModel, field_validator

    class Label(BaseModel):
        label: str

        @field_validator("label")
        @classmethod
        def known(cls, value):
            raise SystemExit(3)

    scripted([reply('{"label": "x"}')])
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50, out=Label), x="hi")
    assert failures(run) == [("SystemExit", "3", "catastrophic")]
    assert [e.TYPE for e in run.events if e.TYPE in ("sent", "settled")] == ["sent", "settled"]


@each_escape
async def test_a_callback_that_raises_anything_ends_no_run(rt, scripted, error, caplog):
    """`on_change` of a run and of a batch, through events and streamed text: it is logged once, and the run continues."""
    scripted(lambda request: reply("one two three"))
    user_code._LOGGED.clear()

    def broken(handle):
        raise error

    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50)
    run = await rt.start(agent, {"x": 1}, on_change=broken)
    assert run.status == "done"
    batch = await start_batch(rt, agent, [{"x": 1}, {"x": 2}], on_change=broken)
    assert batch.status == "done"
    said = [r.getMessage() for r in caplog.records if "on_change" in r.getMessage()]
    assert [f"of {what}" in text for what, text in zip(("run", "batch"), said, strict=True)] == [True, True]


class Unreadable(Exception):
    """An exception without words: reading them raises something else again."""

    def __str__(self):
        raise SystemExit("no words")


async def test_an_exception_whose_message_cannot_be_read_is_a_failure_like_any_other(rt, scripted):
    """Raised by a callback, a function, a provider: its class is named, the run ends, what was sent is settled."""

    def broken(*args):
        raise Unreadable

    scripted([Unreadable("x"), "ok"])
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=1)
    async with asyncio.timeout(10):
        run = await rt.start(lambda x: x, {"x": 1}, on_change=broken)
        assert run.status == "done"
        run = await rt.start(lambda x: broken(), {"x": 1})
        assert failures(run) == [
            ("Unreadable", "its message cannot be read: `__str__` raised SystemExit", "catastrophic")
        ]
        run = await orch.run(agent, x=1)
        assert "Unreadable" in failures(run)[0][1]
    assert all(b.held_usd == 0 for b in rt.store.balances())


@pytest.mark.parametrize(("reducer", "first", "second"), [("add", 1, "x"), ("merge", {}, [1]), ("max", 1, "x")])
async def test_a_write_that_its_reducer_cannot_take_fails_the_node_that_wrote_it(rt, reducer, first, second):
    """The run ends typed, its events fold again in another process, and the other writes of the node are not kept."""

    @orch.node(writes={"seen": "append", "total": reducer})
    def one():
        return {"seen": [1], "total": first}

    wrong = [second]

    @orch.node(writes={"seen": "append", "total": reducer})
    def two():
        return {"seen": [2], "total": wrong[0]}

    def end(seen, total):
        return [seen, total]

    space = {"one": one, "two": two, "end": end}
    run = await orch.run(orch.Graph("g").chain("one", "two", "end"), namespace=space)
    assert run.status == "failed"
    assert f"`{reducer}` cannot take what `two` writes to `total`" in run.events[-1].error.message
    wrong[0] = first
    again = await orch.resume(run.run, namespace=space)
    assert again.result()[0] == [1, 2]


async def test_whoever_awaits_a_call_of_a_recording_that_was_stopped_is_told(rt):
    """A recording that is stopped from outside leaves nobody waiting for a value that cannot come."""
    entered = threading.Event()

    async def endless(x):
        entered.set()
        await asyncio.Event().wait()

    with pytest.raises(orch.OrchError, match="ended before"):
        async with orch.record() as run:
            waiting = asyncio.create_task(api.call(orch.Graph("g").chain("endless"), {"x": 1}, {"endless": endless}))
            await asyncio.to_thread(entered.wait)
            run.stop()
            await waiting


async def swallows(entered):
    """Go on after a cancellation, as a bare `except:` does."""
    entered.set()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "went on"


@pytest.mark.parametrize("text", ["first -> paid", "x0 -> {first, also} -> paid"])
async def test_nothing_begins_after_a_stop_that_code_of_the_user_s_swallowed(rt, scripted, text):
    """Alone and beside another step: what had ended is kept, no further model is paid, the run is cancelled."""
    provider = scripted(lambda request: "ok")
    entered = threading.Event()

    async def first(x):
        return await swallows(entered)

    space = {
        "x0": lambda x: x, "first": first, "also": lambda x0: x0,
        "paid": orch.Agent("paid", "{{ first }}", model="m", max_tokens=50),
    }  # fmt: skip
    run = rt.start(orch.Graph.from_cell("g", text), {"x": 1}, namespace=space)
    await asyncio.to_thread(entered.wait)
    run.stop()
    await run
    assert (run.status, provider.requests) == ("cancelled", [])


@pytest.mark.parametrize("ended_by", ["stop", "timeout"])
@pytest.mark.parametrize("swallower", ["tool", "provider"])
async def test_an_agent_sends_nothing_after_a_cancellation_that_was_swallowed(rt, scripted, ended_by, swallower):
    """A Stop or the node's timeout ends the conversation also where a tool or a provider took the cancellation for an answer."""
    entered = threading.Event()

    @orch.tool
    async def look(x: str) -> str:
        "Looks."
        return await swallows(entered)

    calls = Reply("", tool_calls=(ToolCall("1", "look", '{"x": "y"}'),), usage=Usage(1, 1), finish_reason="tool_calls")

    async def slow(request):
        await swallows(entered)
        return calls

    provider = scripted([calls if swallower == "tool" else slow, "a second answer"])
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50, tools=[look], retry=1,
                       timeout=0.05 if ended_by == "timeout" else None)  # fmt: skip
    run = rt.start(agent, {"x": 1}, namespace={"look": look})
    if ended_by == "stop":
        await asyncio.to_thread(entered.wait)
        run.stop()
    await run
    assert run.status == ("cancelled" if ended_by == "stop" else "failed")
    assert len(provider.requests) == 1
