"""Money where it is not known: what may have been billed is counted, and what has no price is not called."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.catalog.prices import bound, cost
from orch_nb.errors import BadRequest, MalformedReply, OrchError, ProviderTimeout, ProviderUnavailable
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.schema import events as ev
from orch_nb.schema.messages import UNSENT, Completed, Reply, TextDelta, ToolCall, ToolCallEvent, Usage
from tests.unit.runtime.conftest import reply


def agent(**keys):
    """An agent of the model `m` that does not try again."""
    return orch.Agent("a", "{{ x }}", model="m", **{"max_tokens": 50, "retry": 1, **keys})


def only_call(run):
    """The only call of a run."""
    (sent,), (settled,) = of(run, ev.Sent), of(run, ev.Settled)
    return sent, settled


def of(run, kind):
    """The events of one kind."""
    return [e for e in run.events if isinstance(e, kind)]


def for_ever():
    """Wait for ever."""
    return asyncio.get_running_loop().create_future()


async def thinks(request):
    """A model that is asked and does not end."""
    await for_ever()


async def stopped(rt, provider, target, **inputs):
    """The run of `target`, stopped once its first request is with the provider."""
    handle = rt.start(target, inputs, budget=1)
    async with asyncio.timeout(10):
        while not provider.requests:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    return handle


def make(items):
    """The list."""
    return items


EACH = orch.Graph.from_cell("g", "make -> a each make as x")
"""One agent over a list."""

UNKNOWN = {
    "a cut stream": (TextDelta("half an"), MalformedReply("the stream broke off", billed=True)),
    "a stream that is refused after its first word": (TextDelta("half"), BadRequest("no")),
    "a stream that is refused after a tool call": (ToolCallEvent(ToolCall("1", "t", "{}")), BadRequest("no")),
    "an end without an end mark": (TextDelta("half an"),),
    "the provider's deadline": ProviderTimeout("late", billed=True),
    "a good stream without usage": (TextDelta("an answer"), Completed()),
    "no usage after thoughts alone": (Completed("length"),),
    "zero usage for a text": Reply("an answer", usage=Usage(0, 0)),
    "zero usage for a tool call": Reply("", (ToolCall("1", "t", "{}"),), "length", usage=Usage(9, 0)),
    "zero usage for thoughts": Reply("", usage=Usage(9, 0), reasoned=True),
    "a usage that cannot be": Reply("an answer", usage=Usage(-1, 5)),
}


@pytest.mark.parametrize("end", UNKNOWN)
async def test_a_call_whose_true_cost_is_not_known_is_booked_at_its_reservation(rt, scripted, end):
    """Dollars and tokens, in every budget around it, whatever was visible of the answer; the note says why."""
    scripted([UNKNOWN[end]])
    run = await orch.run(agent(), x="hi", budget="1, 5000 tokens, 1 calls")
    sent, settled = only_call(run)
    assert settled.cost_usd == sent.reserved_usd == run.spent_usd
    assert settled.remark.endswith(": booked at the reservation")
    assert rt.store.balance(f"run:{run.run}").quotas["tokens"].spent == sent.reserved_tokens


async def test_a_call_that_is_stopped_while_the_model_thinks_is_booked_at_its_reservation(rt, scripted):
    """Nothing is visible yet, and all of it may be billed."""
    run = await stopped(rt, scripted(thinks), agent(), x="hi")
    sent, settled = only_call(run)
    assert (settled.fate, settled.cost_usd) == ("cancelled", sent.reserved_usd)
    balance = rt.store.balance(f"run:{run.run}")
    assert (balance.spent_usd, balance.held_usd) == (sent.reserved_usd, 0)


async def test_a_call_that_its_step_gave_no_time_is_booked_at_its_reservation(rt, scripted):
    """A step's own `timeout` breaks a call off as Stop does."""
    scripted(thinks)
    run = await orch.run(agent(timeout=0.02), x="hi", budget=1)
    assert run.events[-1].error.type == "NodeTimeout"
    sent, settled = only_call(run)
    assert settled.cost_usd == sent.reserved_usd


async def test_a_judge_that_is_broken_off_is_booked_at_its_reservation(rt, scripted):
    """Calls that choose end by the same rule as calls that answer."""
    provider = scripted(thinks)
    graph = orch.Graph.from_cell("g", "start -> {left, right} by judge(m) else right")
    names = {"start": lambda x: x, "left": agent(describe="goes left"), "right": agent(describe="goes right")}
    handle = rt.start(graph, {"x": "hi"}, namespace=names, budget=1)
    async with asyncio.timeout(10):
        while not provider.requests:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    sent, settled = only_call(handle)
    assert settled.cost_usd == sent.reserved_usd > 0


async def test_a_call_that_was_never_sent_costs_nothing(rt, scripted):
    """Refused before generation, not connected, or broken off by a provider that knows that nothing had left."""

    async def unsent(request):
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise asyncio.CancelledError(UNSENT) from None

    for failure in (BadRequest("HTTP 400"), ProviderUnavailable("no connection", provider="vendor")):
        scripted([failure])
        assert only_call(await orch.run(agent(), x="hi", budget=1))[1].cost_usd == 0
    run = await stopped(rt, scripted(unsent), agent(), x="hi")
    _, settled = only_call(run)
    assert (settled.cost_usd, settled.usage.output_tokens) == (0, 0)
    assert "nothing is billed" in settled.remark


async def test_a_stop_while_the_provider_is_down_costs_nothing(rt, scripted):
    """Of two calls one tries a provider that was down; the other one waits for it, and was never sent."""
    rt.availability.clock = lambda: 0.0
    provider = scripted(thinks)
    for _ in range(5):
        rt.availability.note("vendor", "m", ev.ErrorInfo("ORCH305", "ProviderUnavailable", "503", "transient"), 0.0)
    handle = rt.start(EACH, {"items": ["hi"] * 2}, namespace={"a": agent(), "make": make}, budget=1)
    async with asyncio.timeout(10):
        while len(of(handle, ev.Sent)) < 2 or not provider.requests:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    assert len(provider.requests) == 1
    reserved = of(handle, ev.Sent)[0].reserved_usd
    assert sorted(e.cost_usd for e in of(handle, ev.Settled)) == [0, reserved]


async def test_a_free_model_that_is_stopped_costs_nothing(rt):
    """A model of this machine is billed by nobody: a Stop books no dollars."""
    provider = ScriptedProvider(thinks, name="local")
    rt.add_provider(provider)
    rt.models.add("m", "smollm2", "local")
    run = await stopped(rt, provider, agent(), x="hi")
    sent, settled = only_call(run)
    assert (sent.reserved_usd, settled.cost_usd, run.spent_usd) == (0, 0, 0)


async def test_the_price_of_a_stopped_call_stays_unknown_where_it_is(rt):
    """Unknown is not zero; the tokens that were reserved are booked."""
    provider = ScriptedProvider(thinks, name="nowhere")
    rt.add_provider(provider)
    rt.models.add("m", "model-without-price", "nowhere")
    handle = rt.start(agent(), {"x": "hi"})
    async with asyncio.timeout(10):
        while not provider.requests:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    sent, settled = only_call(handle)
    assert settled.cost_usd is None
    assert rt.store.balance(f"run:{handle.run}").quotas["tokens"].spent == sent.reserved_tokens


async def test_stopped_calls_never_pass_a_budget(rt, scripted):
    """72 calls of a model that thinks up to its bound, stopped three at a time: what the ledger counts is never below what was
    truly billed, and the budget of $1 refuses the rest. (They were booked at $0.02 and billed $21.60.)"""
    provider = scripted(thinks)
    price = rt.models.prices.price(rt.models.resolve("m"))
    rt.set_budget("1")
    refused = 0
    for _ in range(24):
        before = len(provider.requests)
        handle = rt.start(EACH, {"items": ["hi"] * 3}, namespace={"a": agent(max_tokens=1000), "make": make})
        async with asyncio.timeout(10):
            while len(provider.requests) < before + 3 and not handle.done():
                if of(handle, ev.Refused):
                    break
                await asyncio.sleep(0)
            handle.stop()
            await handle
        refused += len(of(handle, ev.Refused))
        billed = sum(cost(Usage(2, r.max_tokens), price) for r in provider.requests)
        balance = rt.budget()
        assert balance.spent_usd + balance.held_usd + balance.in_doubt_usd >= billed
        assert billed <= sum(bound(r, price) for r in provider.requests) <= 1
    assert refused
    assert len(provider.requests) == 9, "$0.1082 each"


async def test_a_failed_call_that_may_be_billed_is_booked_at_its_reservation(rt, scripted):
    """The connection breaks before a word, after the provider took the prompt: the bound is booked."""
    scripted([ProviderUnavailable("broke off", provider="vendor", billed=True), reply()])
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), x="hi")
    failed, good = [e for e in run.events if isinstance(e, ev.Settled)]
    sent = next(e for e in run.events if isinstance(e, ev.Sent))
    assert sent.reserved_usd
    assert failed.cost_usd == sent.reserved_usd
    assert run.spent_usd == sent.reserved_usd + good.cost_usd


async def test_a_model_without_a_price_is_refused_under_a_budget(rt, scripted):
    """Unknown is not free: under a limit nothing is sent, and the error says which price is missing."""
    provider = scripted([reply()])
    rt.models.add("nobody", "model-without-price", "vendor")
    agent = orch.Agent("a", "{{ x }}", model="nobody", max_tokens=50)
    with pytest.raises(OrchError, match="price"):
        (await orch.run(agent, x="hi", budget=Decimal("0.10"))).result()
    assert provider.requests == []


async def test_every_call_has_an_idempotency_key_of_its_own(rt, scripted):
    """A provider that knows such keys never bills one call twice: each call has its own, and a retry is another call."""
    provider = scripted([ProviderUnavailable("503", provider="vendor"), reply("a"), reply("b")])
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50)
    await orch.run(orch.Graph("g").chain("a", "b"), namespace={"a": agent, "b": agent}, x="hi")
    keys = [request.idempotency_key for request in provider.requests]
    assert len(keys) == len(set(keys)) == 3
    assert all(keys)
