"""Whatever a provider raises, its call is settled: no hold is left, and what may have been sent is counted."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import httpx
import pytest

import orch_nb as orch
from orch_nb.errors import OrchError, ProviderUnavailable
from orch_nb.runtime.calls import Performer
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Reply
from tests.unit.runtime.conftest import reply

FAULTS = [
    ValueError("x"), KeyError("choices"), httpx.InvalidURL("Invalid port: ':'"), AttributeError("text"), ConnectionError("gone"),
    TimeoutError("late"), SystemExit(2), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), RecursionError("deep"),
]  # fmt: skip
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda e: type(e).__name__)


class Broken:
    """An adapter that raises before its first word, after it, or yields something else than an event."""

    name = "vendor"

    def __init__(self, fault, said=""):
        self.fault, self.said, self.calls = fault, said, 0

    async def stream(self, request):
        from orch_nb.schema.messages import TextDelta

        self.calls += 1
        if self.said:
            yield TextDelta(self.said)
        raise self.fault

    async def aclose(self):
        """Nothing is held."""


def agent(**keys):
    return orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50, retry=1, **keys)


@pytest.fixture
def broken(rt):
    """``broken(provider)``: the model `m` is the provider's, at $100 a million tokens, under a budget of $1."""

    def make(provider):
        rt.add_provider(provider)
        rt.models.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
        rt.set_budget("1")
        return provider

    return make


def settled(rt, run):
    """The only `Settled` of a run that has one `Sent`; nothing is held any more, in no scope."""
    (sent,) = [e for e in run.events if isinstance(e, ev.Sent)]
    (event,) = [e for e in run.events if isinstance(e, ev.Settled)]
    assert (sent.node, sent.call) == (event.node, event.call)
    assert all(balance.held_usd == 0 for balance in rt.store.balances())
    return sent, event


@each_fault
@pytest.mark.parametrize("said", ["", "Half an"])
async def test_a_providers_exception_of_any_class_settles_its_call(rt, broken, fault, said):
    """Before its first word or after: the node fails with its class and message, and the call is counted as it may be billed."""
    broken(Broken(fault, said))
    run = await orch.run(agent(), x="hi")
    sent, event = settled(rt, run)
    assert run.status == "failed"
    assert not event.ok
    assert type(fault).__name__ in event.error.message or event.error.type == "ProviderTimeout"
    assert event.cost_usd > 0
    assert event.cost_usd <= sent.reserved_usd


@each_fault
async def test_a_provider_that_cannot_be_made_costs_nothing(rt, broken, fault, monkeypatch):
    """An exception before anything could be sent is settled at $0."""
    broken(Broken(fault))
    plan = orch.Graph("g").chain("a").compile({"a": agent()})
    make = rt.provider
    calls = []

    def provider(name):
        calls.append(name)
        if len(calls) > 1:  # the check of the run's models before it begins
            raise fault
        return make(name)

    monkeypatch.setattr(rt, "provider", provider)
    run = await rt.start(None, {"x": "hi"}, plan=plan)
    _, event = settled(rt, run)
    assert event.cost_usd == 0


@pytest.mark.parametrize("answer", [None, Reply(None), Reply("x", model=object()), Reply("\ud800"), "text"])
async def test_an_answer_that_is_none_settles_its_call(rt, broken, monkeypatch, answer):
    """An adapter that gives what cannot be read or stored has failed, after it was asked."""
    from orch_nb.runtime import calls as runtime_calls

    async def collect(stream, on_text):
        async for _ in stream:
            pass
        return answer

    monkeypatch.setattr(runtime_calls, "collect", collect)
    provider = broken(Broken(None))

    async def stream(request):
        return
        yield

    provider.stream = stream
    run = await orch.run(agent(), x="hi")
    _, event = settled(rt, run)
    assert not event.ok


@each_fault
@pytest.mark.parametrize("kind", ["model", "tool", "check", "route"])
async def test_what_the_performer_raises_is_settled_by_the_driver(rt, models, monkeypatch, fault, kind):
    """The driver's own guarantee, for calls of every kind: whatever performs them, `sent` is followed by `settled`."""

    @orch.tool
    def look():
        "Looks."
        return 1

    from orch_nb.schema.messages import ToolCall, Usage

    asks = Reply("", tool_calls=(ToolCall("1", "look", "{}"),), usage=Usage(1, 1), finish_reason="tool_calls")
    models(small=[asks, "x"], mid=["x"], big=["x"])
    options = (
        {"model": "small", "tools": [look]}
        if kind == "tool"
        else {"route": {"cascade": ["mid", "big"], "by": "check(ok)"}}
    )
    options = {"model": "mid"} if kind == "model" else options
    call = Performer.call

    async def raising(self, prepared, key):
        if prepared.kind == kind:
            raise fault
        return await call(self, prepared, key)

    monkeypatch.setattr(Performer, "call", raising)
    made = orch.Agent("a", "Say {{ x }}", max_tokens=50, retry=1, **options)
    run = await orch.run(made, namespace={"ok": lambda answer: True, "look": look}, x="hi")
    sent = [(e.call, e.kind) for e in run.events if isinstance(e, ev.Sent)]
    assert kind in {k for _, k in sent}
    assert [e.call for e in run.events if isinstance(e, ev.Settled)] == [call for call, _ in sent]
    assert all(balance.held_usd == 0 for balance in rt.store.balances())
    assert run.done()


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_an_outcome_that_cannot_be_stored_is_settled_by_the_driver(rt, broken, monkeypatch, store, tmp_path):
    """Whatever performs a call may give anything for its reply: it is a failed call, at the cost that it says."""
    from orch_nb.engine.ports import Outcome

    if store == "sqlite":
        rt._store = rt.run_loop.ask(orch.SqliteStore, tmp_path / "runs.db")
    broken(Broken(None))

    async def odd(self, prepared, key):
        return Outcome(True, {"text": object()}, cost_usd=Decimal("0.001"))

    monkeypatch.setattr(Performer, "call", odd)
    run = await orch.run(agent(), x="hi")
    _, event = settled(rt, run)
    assert (event.ok, event.cost_usd, event.error.type) == (False, Decimal("0.001"), "UnstorableValue")


async def test_a_call_whose_cost_cannot_be_told_is_settled_at_its_reservation(rt, broken, monkeypatch):
    """The performer raises, and raises again when it is asked what the call has cost: the bound is booked."""
    broken(Broken(None))

    async def raising(self, prepared, key):
        raise ValueError("x")

    def cancelled(self, prepared):
        raise KeyError("usage")

    monkeypatch.setattr(Performer, "call", raising)
    monkeypatch.setattr(Performer, "cancelled", cancelled)
    run = await orch.run(agent(), x="hi")
    sent, event = settled(rt, run)
    assert event.cost_usd == sent.reserved_usd > 0


async def test_a_fault_of_an_adapter_goes_to_the_fallback_model(rt, scripted, broken):
    """It is a failed call like another: the next model is asked, the broken adapter not again."""
    provider = broken(Broken(ValueError("x")))
    scripted([reply("saved")], name="other")
    run = await orch.run(orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50, fallback=["other"]), x="hi")
    assert run.result() == "saved"
    assert provider.calls == 1


async def test_a_connection_that_a_foreign_adapter_loses_is_tried_again(rt, broken):
    """Network errors are transient, whoever raises them."""
    provider = broken(Broken(ConnectionError("reset")))
    run = await orch.run(orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50, retry=2), x="hi")
    assert provider.calls == 2
    with pytest.raises(OrchError, match="ConnectionError"):
        run.result()
    errors = [e.error for e in run.events if isinstance(e, ev.Settled)]
    assert {e.code for e in errors} == {ProviderUnavailable.code}


async def test_a_stop_is_booked_and_is_no_fault_of_the_provider(rt, scripted):
    """The real cancellation still ends the call as cancelled."""
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def gate(request):
        loop.call_soon_threadsafe(entered.set)
        await asyncio.Event().wait()

    scripted([reply()], gate=gate)
    run = rt.start(agent(), {"x": "hi"}, budget=Decimal("0.5"))
    await entered.wait()
    run.stop()
    await run
    _, event = settled(rt, run)
    assert (run.status, event.error.failure) == ("cancelled", "cancelled")
