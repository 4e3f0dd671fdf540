"""Tables, and ordinary Python on the same log."""

from __future__ import annotations

import asyncio
from contextlib import closing
from decimal import Decimal
from enum import Enum

import pandas as pd
import pytest

import orch_nb as orch
from orch_nb.api import call as run_call
from orch_nb.errors import BudgetExceeded, EffectInDoubt, MissingInput, UnstorableValue, WaitingForPerson
from orch_nb.notebook import overview
from orch_nb.notebook.lab import run_list
from orch_nb.runtime.batch import resume_batch, start_batch
from orch_nb.schema.messages import Reply, ToolCall, Usage
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import started
from tests.counting import calls_of
from tests.unit.runtime.conftest import reply

FRAME = pd.DataFrame({"body": ["one", "two", "three"], "n": [1, 2, 3]}, index=[10, 20, 30])


def echo_agent():
    return orch.Agent("a", "Say {{ ticket }}", model="m", max_tokens=100)


async def test_a_batch_gives_the_table_back_with_a_row_for_each_row(rt, scripted):
    """Columns bind by mapping or name; outputs, status, dollars and run ids come as columns on the same index."""
    scripted(lambda request: reply(request.messages[-1].content.upper()))
    made = await orch.batch(echo_agent(), FRAME, {"ticket": "body"})
    table = made.table

    assert list(table.index) == [10, 20, 30]
    assert list(table["output"]) == ["SAY ONE", "SAY TWO", "SAY THREE"]
    assert set(table["status"]) == {"done"}
    assert made.spent_usd == Decimal("0.03")
    assert [r.graph for r in rt.runs()] == ["a"]


async def test_every_list_shows_a_batch_at_the_sum_of_its_rows(rt, scripted):
    """The row of a list is the batch's own bill, also of one that stopped at its budget and was resumed; nothing counts twice."""
    scripted(lambda request: reply(request.messages[-1].content.upper()))
    made = await start_batch(rt, echo_agent(), FRAME, {"ticket": "body"}, budget="0.035", rows_at_once=1)
    assert 0 < rt.runs()[0].spent_usd == made.spent_usd < Decimal("0.03")
    made = await resume_batch(rt, made.run, budget="1")
    single = await orch.run(echo_agent(), ticket="x")

    assert [(r.run, r.spent_usd) for r in orch.runs()] == [(single.run, single.spent_usd), (made.run, made.spent_usd)]
    assert made.spent_usd == Decimal("0.03")
    assert run_list.stored_row(rt.runs()[1])["spent_usd"] == str(made.spent_usd)
    assert overview.cost(rt, rt.open(made.run)).value.spent_usd == made.spent_usd
    assert "0.0300" in overview.runs(rt.runs(), rt).text
    assert Decimal(run_list.budget_row(rt)["spent_usd"]) == sum(r.spent_usd for r in rt.runs()) == Decimal("0.04")


def test_a_list_is_as_quick_behind_a_batch_of_many_rows(tmp_path):
    """A batch is one look-up, and its rows are left out by the store: a hundred times as many cost nothing more."""

    def work(n):
        with closing(SqliteStore(tmp_path / f"{n}.sqlite")) as store:
            parents = {"1": {"batch": True}, **{f"1.{i}": {"of_batch": "1", "row": i} for i in range(n)}}
            for run, parent in parents.items():
                log = store.create(run)
                log.append([started(run, parent=parent)])
                log.close()
            store.runs(batch_rows=False)
            return calls_of(lambda: store.runs(batch_rows=False, limit=20))

    assert work(400) == work(4)


async def test_empty_cells_are_named_before_anything_is_spent(rt, scripted):
    """NaN in a needed column: the rows are named, nothing is called."""
    provider = scripted([reply()])
    frame = pd.DataFrame({"ticket": ["x", None, float("nan")]}, index=["a", "b", "c"])
    with pytest.raises(MissingInput, match="rows b, c"):
        await orch.batch(echo_agent(), frame)

    assert provider.requests == []


async def test_a_missing_column_is_named_with_the_nearest(rt, scripted):
    """A wrong column name is said with what is there."""
    scripted([reply()])
    with pytest.raises(MissingInput, match="`bdy`") as caught:
        await orch.batch(echo_agent(), FRAME, {"ticket": "bdy"})

    assert "body" in caught.value.hint


async def test_at_the_budget_the_rest_is_pending_and_resume_goes_on(rt, scripted):
    """A batch out of money keeps what it has; the rest is pending, and a resume with more pays for the rest only."""
    provider = scripted(lambda request: reply(request.messages[-1].content))
    made = await start_batch(rt, echo_agent(), FRAME, {"ticket": "body"}, budget="0.035", rows_at_once=1)

    assert [r.status for r in made.rows] == ["done", "done", "pending"]
    again = await resume_batch(orch.runtime.current(), made.run, budget="1")
    assert [r.status for r in again.rows] == ["done"] * 3
    assert again.rows[2].output == "Say three"
    assert len(provider.requests) == 3


async def test_one_failing_row_does_not_stop_the_others(rt):
    """A row's failure is a column, not the end of the batch."""

    def half(n):
        return 6 // (n - 2)

    made = await orch.batch(half, FRAME)

    assert [r.status for r in made.rows] == ["done", "failed", "done"]
    assert "ZeroDivisionError" in made.rows[1].error


async def test_ordinary_python_gets_the_same_log_bill_and_budget(rt, scripted):
    """Inside `record()` each awaited agent is an activation of one run, with its cost and under its budget."""
    scripted(lambda request: reply(request.messages[-1].content))
    a = echo_agent()
    async with orch.record(budget="0.10") as run:
        one = await a(ticket="x")
        two = await a(ticket=one)

    assert two == "Say Say x"
    assert run.status == "done"
    assert run.spent_usd == Decimal("0.02")
    assert run["a"] == "Say Say x"


async def test_a_recordings_budget_refuses_in_the_users_code(rt, scripted):
    """The error is raised where the agent was awaited."""
    scripted(lambda request: reply())
    a = echo_agent()
    with pytest.raises(BudgetExceeded):
        async with orch.record(budget="0.025"):
            await a(ticket="x")
            await a(ticket="y")


async def test_nothing_in_a_recording_waits_for_a_person(rt, scripted):
    """The cell that would be answered from still runs: a question is raised where the call was awaited, not waited for."""

    @orch.tool(effects="payment")
    def pay(amount: int):
        "Pays."
        raise ValueError("boom")

    calls = (ToolCall("1", "pay", '{"amount": 5}'),)
    scripted([Reply("", calls, "tool_calls", usage=Usage(1, 1))])
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50, tools=[pay], effects="payment")
    for call, error in ((agent, EffectInDoubt), (orch.Graph.from_cell("g", "f -> ok\nok: human"), WaitingForPerson)):
        async with asyncio.timeout(10):
            with pytest.raises(error, match="nobody can be asked here"):
                async with orch.record():
                    await run_call(call, {"x": 1}, {"pay": pay, "f": lambda x: x})


async def test_a_row_that_uses_up_a_budget_of_its_own_stops_no_other_row(rt, scripted):
    """A node's budget is that of one row's run: that row fails, the others are run; the batch's own budget is not used up."""
    scripted(lambda request: reply("ok", tokens_in=1, tokens_out=1))
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50, budget="0.02")
    batch = await start_batch(rt, agent, [{"x": "long " * 200}, {"x": "hi"}, {"x": "ho"}], rows_at_once=1)
    assert [row.status for row in batch.rows] == ["failed", "done", "done"]
    assert "node:a" in batch.rows[0].error
    assert batch.stopped == ""


class Kind(Enum):
    BILLING = "billing"


async def test_what_is_the_same_for_all_rows_is_plain_data_as_what_differs(rt, scripted):
    """A shared `Enum` is its value in the rows, in the table and in what is stored; what cannot be stored starts no batch."""
    scripted(lambda request: reply("ok"))
    agent = orch.Agent("a", "{{ x }} {{ kind }}", model="m", max_tokens=50)
    batch = await start_batch(rt, agent, [{"x": 1}], shared={"kind": Kind.BILLING})
    assert batch.rows[0].inputs == {"kind": "billing", "x": 1}
    assert batch.table[0]["kind"].__class__ is str
    with pytest.raises(UnstorableValue, match="input `kind`"):
        start_batch(rt, agent, [{"x": 1}], shared={"kind": object()})


@pytest.mark.parametrize("row", [0, 1, 2])
async def test_a_stop_while_rows_are_being_begun_reaches_them_all(rt, scripted, row):
    """A batch that is stopped as its rows begin ends: none of them continues unseen."""
    never = asyncio.Event()

    async def hold(request):
        await never.wait()

    def stop_at(batch):
        if batch.rows[row].status == "running" and not batch.stopped:
            batch._stop_here()

    scripted(lambda _: reply(), gate=hold)
    made = start_batch(rt, echo_agent(), FRAME, {"ticket": "body"}, on_change=stop_at)
    made.wait(5)
    assert made.stopped == "stopped"
    assert {r.status for r in made.rows} <= {"pending", "cancelled"}
    assert made.spent_usd == 0


@pytest.fixture(params=["memory", "sqlite"])
def stored(request, tmp_path, rt, scripted):
    """A runtime on each kind of store, whose model answers."""
    if request.param == "sqlite":
        rt._store = SqliteStore(tmp_path / ".orch" / "runs.sqlite")
    scripted(lambda request: reply("fine"))
    return rt


async def test_a_resume_starts_the_rows_that_have_no_event(stored):
    """A kill between `create` and the first event of row 0, as this and earlier versions leave it: the batch resumes."""
    from orch_nb.agents.binding import compile_in
    from orch_nb.runtime.batch import Row, _begin
    from orch_nb.schema.budget import Budget

    rows = [Row(n, {"ticket": f"t{n}"}) for n in range(3)]
    run = _begin(stored, compile_in(echo_agent(), {}), rows, Budget(), {"batch": True}, {})
    stored.run_loop.ask(lambda: stored.store.create(f"{run}.0").close())

    made = await resume_batch(stored, run)
    assert [row.status for row in made.rows] == ["done"] * 3
    assert [row.run for row in made.rows] == [f"{run}.0", f"{run}.1", f"{run}.2"]


@pytest.mark.parametrize("resumes", [False, True], ids=["start", "resume"])
async def test_a_batch_that_breaks_leaves_nothing_running(rt, scripted, monkeypatch, resumes):
    """An error of our own in row 2 (an IndexError) ends the batch: rows 0 and 1 are stopped and booked, not left alone."""
    never = asyncio.Event()

    async def hold(request):
        await never.wait()

    scripted(lambda _: reply(), gate=hold)
    start = rt.start

    def broken(*args, **options):
        if options.get("run", "").endswith(".2"):
            raise IndexError("a bug")
        return start(*args, **options)

    run = ""
    if resumes:
        run = start_batch(rt, echo_agent(), FRAME, {"ticket": "body"}, on_change=lambda b: b._stop_here()).wait(5).run
    monkeypatch.setattr(rt, "start", broken)
    made = resume_batch(rt, run) if resumes else start_batch(rt, echo_agent(), FRAME, {"ticket": "body"})
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        made.wait(5)
    assert rt.live_runs() == []
    assert [row.status for row in made.rows] == ["cancelled", "cancelled", "pending"]
    assert [rt.store.run(f"{made.run}.{n}").status for n in (0, 1)] == ["cancelled", "cancelled"]


async def test_who_waits_and_is_cancelled_cancels_it_for_nobody_else(rt, scripted):
    """A waiter with a timeout gives up on a run and on a batch: both continue, and the next waiter gets the result."""
    free = asyncio.Event()

    async def hold(request):
        await free.wait()

    async def wait(what):
        return await what

    scripted(lambda _: reply(), gate=hold)
    run = rt.start(echo_agent(), {"ticket": "x"})
    batch = start_batch(rt, echo_agent(), FRAME, {"ticket": "body"})
    for one in (run, batch):
        waiting = asyncio.ensure_future(wait(one))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    rt.run_loop.post(free.set)
    assert (await run).status == "done"
    assert (await batch).status == "done"
