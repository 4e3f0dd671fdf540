"""What the ledger books when a real server lies about usage, sends none, or is broken off: against the fault server."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.catalog import models
from orch_nb.estimates.history import past_run
from orch_nb.providers.anthropic.messages import AnthropicMessages
from orch_nb.providers.gemini.generate import Gemini
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Usage
from orch_nb.store.memory import MemoryStore
from orch_nb.trace.run_view import run_view
from orch_nb.views.bill import bill_table
from tests.unit.providers.loopback import SSE_HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch_nb.handle import RunHandle
    from tests.unit.providers.loopback import Loopback

BAD = {
    "nan": '{"prompt_tokens": NaN, "completion_tokens": Infinity}',
    "negative": '{"prompt_tokens": -5, "completion_tokens": -9}',
    "huge": f'{{"prompt_tokens": {10**30}, "completion_tokens": {10**30}}}',
    "text": '{"prompt_tokens": "5", "completion_tokens": "many"}',
    "fraction": '{"prompt_tokens": 5.5, "completion_tokens": 8.25}',
    "list": "[5, 9]",
}
"""Usage objects as a server may send them (the fault server lies so in whole bodies only; a stream is what we ask for)."""


@pytest.fixture
def rt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setenv("ORCH_TEST_KEY", "sk-canary-0123456789abcdef")
    book = models.ModelBook(environ={})
    models.use(book)
    made = Runtime(store=MemoryStore(), models=book)
    before = current_runtime.use(made)
    yield made
    made.close()
    current_runtime.use(before)


@pytest.fixture
def asking(rt: Runtime, faultd: str) -> Callable[[str], orch.Agent]:
    """``asking("negtok")``: an agent of a server with this fault, at $100 per million tokens."""

    def make(plan: str) -> orch.Agent:
        rt.add_provider(OpenAIChat("vendor", f"{faultd}/f/{plan}/v1", key="env:ORCH_TEST_KEY"))
        rt.models.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
        return orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=1)

    return make


def booked(run: RunHandle) -> tuple[ev.Sent, ev.Settled]:
    """The only call of a run."""
    (sent,) = [e for e in run.events if isinstance(e, ev.Sent)]
    (settled,) = [e for e in run.events if isinstance(e, ev.Settled)]
    return sent, settled


def lying(rt: Runtime, loopback: Loopback, usage: str) -> orch.Agent:
    """An agent of a server that answers with this usage."""
    said = '{"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}'
    last = f'{{"id": "c", "choices": [], "usage": {usage}}}'
    body = "".join(f"data: {row}\n\n" for row in (said, last, "[DONE]")).encode()
    rt.add_provider(OpenAIChat("vendor", f"{loopback.serve(SSE_HEAD + body)}/v1", key=None))
    rt.models.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
    return orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=1)


@pytest.mark.parametrize("fault", BAD)
async def test_bad_usage_is_booked_at_the_reservation_and_marked(fault: str, rt: Runtime, loopback: Loopback) -> None:
    """NaN, negative, huge, fractional or textual counts: the answer is kept, dollars and tokens are those reserved, and the
    trace says why."""
    run = await orch.run(lying(rt, loopback, BAD[fault]), x="hello", budget="1, 1000 tokens")
    sent, settled = booked(run)
    assert run.status == "done"
    assert settled.cost_usd == sent.reserved_usd == run.spent_usd
    assert settled.usage is not None
    assert settled.usage.bad
    assert "booked at the reservation" in settled.remark
    balance = rt.store.balance(f"run:{run.run}")
    assert (balance.spent_usd, balance.held_usd, balance.overrun_usd) == (sent.reserved_usd, 0, 0)
    assert balance.quotas["tokens"].spent == sent.reserved_tokens
    assert run_view(run.events).bill.total.estimated
    assert any("booked at the reservation" in span.remark for span in run_view(run.events).spans)


@pytest.mark.parametrize("fault", ["nousage", "sse_nousage"])
async def test_missing_usage_is_booked_at_the_reservation_and_marked(
    fault: str, rt: Runtime, asking: Callable[[str], orch.Agent]
) -> None:
    """No usage: the tokens that are shown are our own count, marked as such; the reservation is booked."""
    run = await orch.run(asking(f"{fault}@bills"), x="hello", budget=1)
    sent, settled = booked(run)
    assert settled.usage is not None
    assert settled.usage.estimated
    assert settled.usage.output_tokens > 0
    assert settled.cost_usd == sent.reserved_usd
    assert settled.remark == "no usage was sent: booked at the reservation"


async def test_zero_usage_for_an_answer_is_not_believed(rt: Runtime, loopback: Loopback) -> None:
    """A server that counts nothing is booked at the reservation, and the bill says why."""
    run = await orch.run(
        lying(rt, loopback, '{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}'), x="hello"
    )
    sent, settled = booked(run)
    assert run.status == "done"
    assert settled.cost_usd == sent.reserved_usd == run.spent_usd
    assert settled.remark == (
        "bad usage from the provider (0 output tokens for an answer of 2 characters): booked at the reservation"
    )


async def test_a_bill_above_the_reservation_is_capped_and_blocks(rt: Runtime, loopback: Loopback) -> None:
    """A million tokens billed for fifty: the reservation is booked, the rest is overrun, and no second request leaves."""
    agent = lying(rt, loopback, '{"prompt_tokens": 5, "completion_tokens": 1000000}')
    first = await orch.run(agent, x="hello", budget=1)
    sent, settled = booked(first)
    assert settled.cost_usd == sent.reserved_usd
    assert settled.overrun_usd > 90
    assert rt.store.balance(f"run:{first.run}").quotas["tokens"].overrun > 900_000
    names = {"a": agent, "b": orch.Agent("b", "{{ a }}", model="m", max_tokens=50, retry=1)}
    second = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names, x="hello", budget=1)
    assert second.events[-1].error.type == "BudgetExceeded"
    assert len([e for e in second.events if isinstance(e, ev.Sent)]) == 1


async def test_a_stream_that_is_broken_off_is_booked_at_the_reservation(
    rt: Runtime, asking: Callable[[str], orch.Agent], faultd: str
) -> None:
    """Stop in mid-answer: the server sees the connection go; what was generated is not known, and nothing stays held."""
    before = httpx.get(f"{faultd}/_stats").json()["cancelled"]
    handle = rt.start(asking("slow_stream@bills"), {"x": "hello"}, budget=1)
    async with asyncio.timeout(10):
        while not handle.live:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    sent, settled = booked(handle)
    assert (handle.status, settled.fate, settled.remark) == (
        "cancelled", "cancelled", "interrupted before its usage was sent: booked at the reservation",
    )  # fmt: skip
    assert settled.usage is not None
    assert settled.usage.estimated
    assert settled.cost_usd == sent.reserved_usd
    quotas = rt.store.balance(f"run:{handle.run}").quotas
    assert quotas["tokens"].spent == sent.reserved_tokens
    assert (quotas["tokens"].held, quotas["calls"].spent) == (0, 1)
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(httpx.get, f"{faultd}/_stats")).json()["cancelled"] == before:
            await asyncio.sleep(0)


async def test_a_storm_of_billed_failures_stays_inside_the_budget(
    rt: Runtime, asking: Callable[[str], orch.Agent]
) -> None:
    """The server bills every failed request: each is booked at its reservation, and the storm ends at the limit."""
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=10)
    asking("rstbilled@bills")
    run = await orch.run(agent, x="hello", budget="0.05")
    calls = [e for e in run.events if isinstance(e, ev.Settled)]
    assert 2 <= len(calls) <= 4
    assert run.spent_usd <= Decimal("0.05")
    assert run.events[-1].error.type in ("BudgetExceeded", "ProviderUnavailable")
    balance = rt.store.balance(f"run:{run.run}")
    assert (balance.spent_usd, balance.held_usd) == (run.spent_usd, 0)


async def test_what_anthropic_wrote_to_its_cache_is_on_the_bill(
    rt: Runtime, loopback: Loopback, recorded: Callable[[str], bytes]
) -> None:
    """The tokens of `cache_creation_input_tokens` are billed at the price of writing, apart from fresh and cached ones."""
    address = loopback.serve(SSE_HEAD + recorded("anthropic_stream.sse"))
    rt.add_provider(AnthropicMessages("anthropic", address, key=None))
    rt.models.add("m", "claude-haiku-4-5-20251001", "anthropic")
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), x="hello" * 300, budget=1)
    rates = rt.models.prices.price(rt.models.resolve("m")).tiers[0]  # type: ignore[union-attr]
    assert rates.cache_write is not None
    assert rates.cached is not None
    assert rates.cache_write > rates.input > rates.cached
    exact = (25 * rates.input + 7 * rates.cache_write + 1000 * rates.cached + 15 * rates.output) / 1_000_000
    assert run.spent_usd == exact
    line = run_view(run.events).bill.total
    assert (line.input_tokens, line.cached_tokens, line.cache_write_tokens) == (1032, 1000, 7)
    assert "cache writes" in bill_table(run_view(run.events).bill.steps, "step").text()


# ---------------------------------------------------------------- how it was served
def served(
    rt: Runtime, loopback: Loopback, model: str, *, extra: dict[str, str] | None = None, **fields: str
) -> orch.Agent:
    """An agent of OpenAI's `model`, whose reply of 60 tokens in and 40 out says how it was served."""
    said = {"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}], **fields}
    last = {"id": "c", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40}, **fields}
    body = "".join(f"data: {row}\n\n" for row in (json.dumps(said), json.dumps(last), "[DONE]")).encode()
    rt.add_provider(OpenAIChat("openai", f"{loopback.serve(SSE_HEAD + body)}/v1", key=None, extra=extra))
    rt.models.add("m", model, "openai")
    return orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=1)


def listed(provider: str, model: str, usage: TheirUsage, **service: str) -> Decimal:
    """Return what the bundled data's own package makes of a usage."""
    return calc_price(usage, model, provider_id=provider, price_context=service).total_price


@pytest.mark.parametrize("tier", ["priority", "flex", "default", "scale", "auto"])
async def test_a_bill_is_at_the_service_tier_that_the_reply_names(tier: str, rt: Runtime, loopback: Loopback) -> None:
    """Not at the one that was asked for; the price on the bill says which it is."""
    run = await orch.run(served(rt, loopback, "gpt-5", service_tier=tier), x="hello" * 100, budget=1)
    _, settled = booked(run)
    special = {"service_tier": tier} if tier in ("priority", "flex") else {}
    assert run.spent_usd == listed("openai", "gpt-5", TheirUsage(input_tokens=60, output_tokens=40), **special)
    assert (f"service tier {tier}" in settled.price) == bool(special)
    assert settled.reply.get("served") == (special or None)
    assert any(span.price == settled.price for span in run_view(run.events).spans)
    past = past_run(run.events)
    assert past is not None
    assert past.usd(rt.models) == {"a": run.spent_usd}, "what the next run is expected to cost is priced as served too"


async def test_a_bill_is_at_the_speed_that_the_reply_names(rt: Runtime, loopback: Loopback) -> None:
    """Anthropic's fast mode is told among the counts."""
    usage = {
        "input_tokens": 60,
        "output_tokens": 1,
        "service_tier": "standard",
        "speed": "fast",
        "inference_geo": "global",
    }
    events = [
        {"type": "message_start", "message": {"model": "claude-opus-5", "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}},
        {"type": "message_stop"},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    rt.add_provider(AnthropicMessages("anthropic", loopback.serve(SSE_HEAD + body), key=None))
    rt.models.add("m", "claude-opus-5", "anthropic")
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), x="hello" * 100, budget=1)
    _, settled = booked(run)
    fast = listed("anthropic", "claude-opus-5", TheirUsage(input_tokens=60, output_tokens=40), speed="fast")
    assert run.spent_usd == fast
    assert "speed fast" in settled.price


@pytest.mark.parametrize("head", [True, False])
async def test_googles_service_tier_is_read_from_the_counts_and_from_the_header(
    head: bool, rt: Runtime, loopback: Loopback
) -> None:
    """A tier whose price nobody lists is booked at the reservation, and the bill says why."""
    counts = {
        "promptTokenCount": 60,
        "candidatesTokenCount": 40,
        **({} if head else {"serviceTier": "SERVICE_TIER_PRIORITY"}),
    }
    parts = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    body = f"data: {json.dumps({'candidates': [parts], 'usageMetadata': counts})}\n\n".encode()
    top = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nx-gemini-service-tier: priority\r\n\r\n") if head else SSE_HEAD
    rt.add_provider(Gemini("google", loopback.serve(top + body), key=None))
    rt.models.add("m", "gemini-2.5-flash", "google")
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), x="hello" * 100, budget=1)
    sent, settled = booked(run)
    assert settled.cost_usd == sent.reserved_usd
    assert settled.remark == (
        "the provider served it as service tier priority, whose price is not known: booked at the reservation"
    )
    assert settled.usage == Usage(60, 40), "the tokens are known"


async def test_a_reply_that_is_dearer_than_asked_does_not_let_a_budget_be_passed(
    rt: Runtime, loopback: Loopback
) -> None:
    """What the tier costs above the reservation is overrun, and no second request leaves. (A budget of $1.00 let $1.26 through.)"""
    served(rt, loopback, "gpt-5", service_tier="priority")
    shortest = orch.Agent("a", "{{ x }}", model="m", max_tokens=1, retry=1)
    rt.set_budget("0.01")
    before = len(loopback.heard)
    runs = [await orch.run(shortest, x="") for _ in range(40)]
    balance = rt.budget()
    true = listed("openai", "gpt-5", TheirUsage(input_tokens=60, output_tokens=40), service_tier="priority")
    n_sent = len(loopback.heard) - before
    assert balance.spent_usd + balance.overrun_usd == n_sent * true
    assert balance.overrun_usd > 0
    assert n_sent * true <= Decimal("0.01")
    assert runs[-1].events[-1].error.type == "BudgetExceeded"


@pytest.mark.parametrize(("answer", "billed_as"), [("priority", "priority"), ("", "priority"), ("default", "")])
async def test_what_a_provider_is_asked_for_by_extra_is_reserved_at_its_price(
    answer: str, billed_as: str, rt: Runtime, loopback: Loopback
) -> None:
    """The reservation, the quote and the list are at the tier that every request asks for; the bill at the one that came."""
    fields = {"service_tier": answer} if answer else {}
    agent = served(rt, loopback, "gpt-5", extra={"service_tier": "priority"}, **fields)
    asked = rt.models.prices.price(rt.models.resolve("m"))
    assert asked is not None
    assert "service tier priority" in asked.label
    run = await orch.run(agent, x="hello" * 100, budget=1)
    sent, _ = booked(run)
    assert json.loads(loopback.heard[-1][2])["service_tier"] == "priority"
    rates = asked.tiers[0]
    assert sent.reserved_usd == ((sent.reserved_tokens - 50) * rates.input + 50 * rates.output) / 1_000_000
    special = {"service_tier": billed_as} if billed_as else {}
    assert run.spent_usd == listed("openai", "gpt-5", TheirUsage(input_tokens=60, output_tokens=40), **special)


async def test_a_tier_without_a_price_is_refused_under_a_budget_where_it_is_asked_for(
    rt: Runtime, loopback: Loopback
) -> None:
    """Unknown is not free, and not the ordinary price either; the user's own price is of the service that they ask for."""
    agent = served(rt, loopback, "gpt-4o", extra={"service_tier": "flex"}, service_tier="flex")
    before = len(loopback.heard)
    run = await orch.run(agent, x="hello", budget=1)
    assert len(loopback.heard) == before
    assert "openai/gpt-4o, service tier flex" in run.events[-1].error.message
    rt.models.prices.set("m", input=1, output=1)
    assert (await orch.run(agent, x="hello", budget=1)).spent_usd == Decimal(100) / 1_000_000
