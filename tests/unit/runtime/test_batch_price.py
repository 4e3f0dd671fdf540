"""Batch-priced calls: through a provider's batch interface on a real socket, reserved and billed at its price."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.errors import BadOption
from orch_nb.estimates.quote import quote_batch
from orch_nb.runtime import provider_batches
from orch_nb.runtime.batch import resume_batch, start_batch
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from tests.unit.providers.batch_server import BatchServer, usual_answer

USD = Decimal
ONE = USD("100") / 1_000_000 * 10 + USD("10") / 1_000_000 * 20
"""What one answer costs at the ordinary price: 100 tokens at $10 and 10 at $20 per million."""


@pytest.fixture
def server():
    """A server of batches."""
    made = BatchServer()
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch):
    """A queue with much shorter intervals."""
    options = {"resumes": False, "gather_s": 0.25, "poll_s": 0.005}
    monkeypatch.setattr(provider_batches.ProviderBatchQueue.__init__, "__kwdefaults__", options)


@pytest.fixture
def house(rt, server, quick):
    """The model `m` on that server, at half price in batches."""
    use_house(rt, server)
    return rt


def use_house(rt, server):
    """Let `m` be a model of the server."""
    rt.add_provider(orch.OpenAIChat("house", server.url, key=None, has_batch=True))
    rt.models.add("m", "model-1", "house", price={"input": 10, "output": 20, "batch": "0.5"})


def agent(**keys):
    """An agent on the house's model."""
    return orch.Agent("a", "say {{ x }}", model="m", max_tokens=50, **keys)


ROWS = [{"x": f"row {n}"} for n in range(12)]


def events_of(rt, batch, n):
    """The events of one row's run."""
    return rt.open(f"{batch.run}.{n}").events


def test_rows_go_in_one_batch_at_half_the_price(house, server):
    """Twelve rows are one batch of twelve questions; nothing is called at once; each is billed half, and the bill says what was saved."""
    made = start_batch(house, agent(), ROWS, price="batch").wait(30)
    assert made.status == "done"
    assert [row.output for row in made.rows] == [f"SAY ROW {n}" for n in range(12)]
    assert len(server.batches) == 1
    assert len(server.questions()) == 12
    assert server.chats == []
    assert made.spent_usd == 12 * ONE / 2
    bill = house.open(f"{made.run}.0").bill()
    assert [(s.kind, s.usd) for s in bill.savings] == [("batch price", ONE / 2)]
    settled = next(e for e in events_of(house, made, 0) if isinstance(e, ev.Settled))
    assert "batch price, 50" in settled.price
    assert settled.reply["batch"]["id"] == "batch-1"


def test_the_question_is_the_same_as_at_once_and_whole(house, server):
    """A line of the file is the body of the ordinary call without streaming, with an id of its own."""
    start_batch(house, agent(temperature=0.5, seed=7), ROWS[:1], price="batch").wait(30)
    (line,) = server.questions()
    assert line["method"] == "POST"
    assert line["url"] == "/v1/chat/completions"
    body = line["body"]
    assert body["messages"] == [{"role": "user", "content": "say row 0"}]
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (50, 0.5, 7)
    assert "stream" not in body
    assert "stream_options" not in body
    assert server.batches["batch-1"]["completion_window"] == "24h"


def test_what_is_held_is_the_bound_at_batch_price(house, server):
    """The reservation is half of an ordinary call's, and nothing is held at the end."""
    made = start_batch(house, agent(), ROWS[:1], price="batch").wait(30)
    half = next(e for e in events_of(house, made, 0) if isinstance(e, ev.Sent)).reserved_usd
    from orch_nb.catalog.prices import bound
    from orch_nb.schema.messages import Message, ModelRequest

    whole = bound(ModelRequest("m", (Message("user", "say row 0"),), max_tokens=50), house.price_of("m"))
    assert half == whole / 2
    balance = house.run_loop.ask(house.store.balance, f"batch:{made.run}")
    assert (balance.held_usd, balance.spent_usd) == (0, ONE / 2)


def test_a_budget_holds_for_waves_of_a_batch(house, server):
    """A call that does not fit beside the held dollars waits for the first batch to settle; the budget is never exceeded."""
    reserved = (len("say row 0") + 16 + 64) * USD(5) / 1_000_000 + 50 * USD(10) / 1_000_000
    limit = 5 * reserved
    made = start_batch(house, agent(), ROWS, price="batch", budget=limit).wait(30)
    assert made.spent_usd <= limit
    assert len(server.batches) >= 2
    assert all(row.status in ("done", "pending") for row in made.rows)


def test_a_conversation_of_two_calls_is_two_batches(house, server):
    """A chain's second agent asks once the first has answered: the rows' second questions are the second batch."""
    names = {"a": agent(), "b": orch.Agent("b", "then {{ a }}", model="m", max_tokens=50)}
    made = start_batch(house, orch.Graph("g").chain("a", "b"), ROWS[:4], price="batch", namespace=names).wait(30)
    assert made.rows[0].output == "THEN SAY ROW 0"
    assert [len(server.questions(b)) for b in server.batches] == [4, 4]


def test_typed_answers_and_tools_come_whole(house, server):
    """A schema is asked for and checked as ever; a tool call that comes in one piece is read."""

    @orch.tool
    def double(n: int) -> int:
        """Twice n."""
        return 2 * n

    def answer(body):
        status, made = usual_answer(body)
        message = made["choices"][0]["message"]
        if body["messages"][-1]["role"] == "user":
            call = {"id": "c1", "type": "function", "function": {"name": "double", "arguments": '{"n": 21}'}}
            message |= {"content": None, "tool_calls": [call]}
            made["choices"][0]["finish_reason"] = "tool_calls"
        else:
            message["content"] = json.dumps({"n": 42})
        return status, made

    server.answer = answer
    asked = orch.Agent("a", "double {{ x }}", model="m", max_tokens=50, tools=[double], out="{n: int}")
    made = start_batch(house, asked, ROWS[:2], price="batch", namespace={"double": double}).wait(30)
    assert [row.output for row in made.rows] == [{"n": 42}, {"n": 42}]


def test_one_refused_question_is_one_rows_failure(house, server):
    """A question that the provider refuses fails its row, billed nothing, and the others are done."""

    def answer(body):
        if body["messages"][-1]["content"] == "say row 1":
            return 400, {"error": {"message": "not this one"}}
        return usual_answer(body)

    server.answer = answer
    made = start_batch(house, agent(), ROWS[:3], price="batch").wait(30)
    assert [row.status for row in made.rows] == ["done", "failed", "done"]
    assert "not this one" in made.rows[1].error
    assert made.spent_usd == 2 * ONE / 2


def test_a_batch_that_fails_is_said_with_the_providers_words(house, server):
    """A whole batch that fails or expires fails its rows after their tries, and nothing is billed for it."""
    server.ends_as = "failed"
    made = start_batch(house, agent(retry=1), ROWS[:2], price="batch").wait(30)
    assert {row.status for row in made.rows} == {"failed"}
    assert "the batch failed without an answer" in made.rows[0].error
    assert "no room" in made.rows[0].error
    assert made.spent_usd == 0


def test_a_look_that_fails_is_tried_again(house, server):
    """The network may fail while a batch is under way: it is looked at again, and nothing is asked twice."""
    server.faults = [503, 500, 429]
    made = start_batch(house, agent(), ROWS[:2], price="batch").wait(30)
    assert made.status == "done"
    assert len(server.batches) == 1


def test_a_stopped_batch_is_cancelled_at_the_provider(house, server):
    """Stop ends the wait and has the rest of the provider's batch not answered."""
    server.held.clear()
    made = start_batch(house, agent(), ROWS[:2], price="batch")
    assert asyncio.run(_until(lambda: server.batches and server.batches["batch-1"]["looks"] > 1))
    made.stop()
    made.wait(30)
    assert asyncio.run(_until(lambda: server.batches["batch-1"]["status"] == "cancelled"))


def settled_of(house, batch):
    """The ends of the calls of a batch's rows, with what was reserved for each."""
    rows = [events_of(house, batch, n) for n in range(len(batch.rows))]
    return [
        (next(e for e in row if isinstance(e, ev.Sent)).reserved_usd, next(e for e in row if isinstance(e, ev.Settled)))
        for row in rows
    ]


def test_a_question_that_is_stopped_before_it_left_costs_nothing(house, server, monkeypatch):
    """Calls that are still gathered were never sent."""
    monkeypatch.setattr(
        provider_batches.ProviderBatchQueue.__init__,
        "__kwdefaults__",
        {"resumes": False, "gather_s": 60.0, "poll_s": 0.005},
    )
    made = start_batch(house, agent(), ROWS[:2], price="batch")
    assert asyncio.run(_until(lambda: all(_asks(house, made, n) for n in range(2))))
    made.stop()
    made.wait(30)
    assert server.heard == []
    assert [settled.cost_usd for _, settled in settled_of(house, made)] == [0, 0]


def _asks(house, batch, n):
    try:
        return any(isinstance(e, ev.Sent) for e in events_of(house, batch, n))
    except orch.errors.RunNotFound:
        return False


def test_a_question_that_is_stopped_after_it_left_is_booked_at_its_reservation(house, server):
    """Its answer may be made, and billed, all the same."""
    server.held.clear()
    made = start_batch(house, agent(), ROWS[:2], price="batch")
    assert asyncio.run(_until(lambda: server.batches and server.batches["batch-1"]["looks"] > 1))
    made.stop()
    made.wait(30)
    ends = settled_of(house, made)
    assert [settled.cost_usd for _, settled in ends] == [reserved for reserved, _ in ends]


@pytest.mark.parametrize("status", [404, 403])
def test_a_batch_that_cannot_be_followed_is_booked_at_its_reservations(house, server, status):
    """The provider took the questions and answers them, whether or not we are let to look."""
    server.faults = [status]
    made = start_batch(house, agent(retry=1), ROWS[:2], price="batch").wait(30)
    ends = settled_of(house, made)
    assert [settled.cost_usd for _, settled in ends] == [reserved for reserved, _ in ends]


async def _until(is_so, timeout_s=10.0):
    """Wait for another thread, by the clock of the loop."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.005)
    return True


CHILD = """
import sys
from orch_nb.runtime.batch import start_batch
import orch_nb as orch
from orch_nb.catalog import models
from orch_nb.runtime import provider_batches
from orch_nb.runtime.runtime import Runtime

folder, url = sys.argv[1:]
provider_batches.ProviderBatchQueue.__init__.__kwdefaults__ = {"resumes": False, "gather_s": 0.25, "poll_s": 0.005}
book = models.ModelBook(environ={})
models.use(book)
rt = Runtime(folder, models=book)
rt.add_provider(orch.OpenAIChat("house", url, key=None, has_batch=True))
rt.models.add("m", "model-1", "house", price={"input": 10, "output": 20, "batch": "0.5"})
agent = orch.Agent("a", "say {{ x }}", model="m", max_tokens=50)
start_batch(rt, agent, [{"x": f"row {n}"} for n in range(3)], price="batch").wait()
"""


def test_after_a_crash_submitted_questions_are_not_asked_again(server, quick, tmp_path):
    """A process is killed while its batch is under way: the next one finds the batch by its mark, and takes its answers."""
    from orch_nb.catalog import models

    server.held.clear()
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), server.url])
    try:
        assert asyncio.run(_until(lambda: server.batches and server.batches["batch-1"]["looks"] > 1, 60.0))
    finally:
        child.kill()
        child.wait(10)
    server.held.set()
    book = models.ModelBook(environ={})
    models.use(book)
    rt = Runtime(tmp_path, models=book)
    use_house(rt, server)
    again = resume_batch(rt, "1", namespace={"a": agent()}).wait(30)
    rt.close()
    assert again.status == "done"
    assert [row.output for row in again.rows] == ["SAY ROW 0", "SAY ROW 1", "SAY ROW 2"]
    assert len(server.batches) == 1, "nothing was submitted a second time"


def test_models_without_a_batch_interface_are_called_at_once_at_the_ordinary_price(house, scripted, server):
    """Only calls by a batch interface are billed at batch prices: in a mixed graph each call has its own price."""
    other = scripted(lambda _: "fine", name="other")
    names = {"a": agent(), "b": orch.Agent("b", "then {{ a }}", model="other", max_tokens=50)}
    house.models.prices.set("other", input=1, output=1, batch="0.5")
    made = start_batch(house, orch.Graph("g").chain("a", "b"), ROWS[:2], price="batch", namespace=names).wait(30)
    assert made.status == "done"
    assert len(other.requests) == 2
    calls = [e for e in events_of(house, made, 0) if isinstance(e, ev.Settled)]
    assert ["batch price" in call.price for call in calls] == [True, False]
    assert "batch" not in calls[1].reply


def test_without_any_batch_interface_it_is_refused(rt, scripted):
    """Nobody is billed a batch price for calls that are made at once; another word than "batch" is refused too."""
    scripted(lambda _: "ok")
    with pytest.raises(BadOption, match="`m` must have a batch interface"):
        start_batch(rt, agent(), ROWS[:1], price="batch")
    with pytest.raises(BadOption, match='`price` must be "batch" or "", got .cheap.'):
        start_batch(rt, agent(), ROWS[:1], price="cheap")


def test_a_quote_at_batch_price_is_half_of_it(house):
    """The range of a batch-priced batch is the ordinary one times the share, and its time up to a day."""
    plain = quote_batch(house, agent(), ROWS)
    half = quote_batch(house, agent(), ROWS, price="batch")
    assert half.expected_usd == plain.expected_usd / 2 == plain.batch_usd
    assert half.high_usd == plain.high_usd / 2
    assert half.high_s == 86_400
    assert any("batch prices" in note for note in half.notes)
