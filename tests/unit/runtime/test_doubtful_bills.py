"""Money where it is not known: what may have been billed is counted, and what has no price is not called."""

from __future__ import annotations

from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.errors import OrchError, ProviderUnavailable
from orch_nb.schema import events as ev
from tests.unit.runtime.conftest import reply


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
        (await orch.run(agent, x="hi", budget_usd=Decimal("0.10"))).result()
    assert provider.requests == []


async def test_every_call_has_an_idempotency_key_of_its_own(rt, scripted):
    """A provider that knows such keys never bills one call twice: each call has its own, and a retry is another call."""
    provider = scripted([ProviderUnavailable("503", provider="vendor"), reply("a"), reply("b")])
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50)
    await orch.run(orch.Graph("g").chain("a", "b"), namespace={"a": agent, "b": agent}, x="hi")
    keys = [request.idempotency_key for request in provider.requests]
    assert len(keys) == len(set(keys)) == 3
    assert all(keys)
