"""What the ledger books when a real server lies about usage, sends none, or is broken off: against the fault server."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.notebook.bill_table import bill_table
from orch_nb.providers.anthropic_messages import AnthropicMessages
from orch_nb.providers.openai_chat import OpenAIChat
from orch_nb.routing import models
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.store.memory import MemoryStore
from orch_nb.trace.run_view import run_view
from tests.unit.providers.loopback import SSE_HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch_nb.runtime.handle import RunHandle
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
    handle = rt.start(asking("slow_stream@bills"), {"x": "hello"}, budget_usd=1)
    async with asyncio.timeout(10):
        while not handle.live:
            await asyncio.sleep(0)
        handle.stop()
        await handle
    sent, settled = booked(handle)
    assert (handle.status, settled.fate, settled.remark) == (
        "cancelled", "cancelled", "broken off before its usage was sent: booked at the reservation",
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
