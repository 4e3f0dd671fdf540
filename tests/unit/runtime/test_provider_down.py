"""A provider that is down for a while: what waits, what is sent, what comes of it."""

from __future__ import annotations

import pandas as pd

import orch_nb as orch
from orch_nb.errors import ProviderUnavailable
from tests.unit.runtime.conftest import reply


class Time:
    """A clock that moves on by being looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


async def test_a_batch_outlives_a_minute_without_its_provider(rt, scripted):
    """12 rows, the provider down for 60 s: a handful of requests is spent on it, then every row is answered."""
    time, refused = Time(), []
    rt.availability.clock = time

    def answer(request):
        if time.now < 60:
            refused.append(request)
            raise ProviderUnavailable("503", provider="vendor")
        return reply("fine")

    provider = scripted(answer)
    agent = orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50, retry=4)
    made = await orch.batch(agent, pd.DataFrame({"x": range(12)}))
    assert [row.status for row in made.rows] == ["done"] * 12
    assert len(provider.requests) == 12 + len(refused)
    assert len(refused) <= 8 + 7  # the calls under way when it went down, then tries at 1, 2, 4, 8, 16, 30 seconds


async def test_a_provider_that_is_up_is_not_said_to_have_been_down(rt, scripted):
    """A call that went through at once has no remark about waiting: "down" is only said of what was down."""
    from orch_nb.schema import events as ev

    scripted([reply("fine")])
    run = await orch.run(orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50), x=1)
    assert not [e.note for e in run.events if isinstance(e, ev.Settled) and "down" in (e.note or "")]
