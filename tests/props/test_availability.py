"""Random replies of one provider to the calls of a batch: whatever they are, every call ends."""

from __future__ import annotations

import asyncio
import random

from hypothesis import example, given
from hypothesis import strategies as st

from orch_nb.catalog import models as books
from orch_nb.catalog.priced_request import PricedRequest
from orch_nb.engine.ports import Prepared
from orch_nb.errors import (
    BadRequest,
    ContextTooLong,
    MalformedReply,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime import calls
from orch_nb.runtime.calls import Performer
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema.messages import Message, ModelRequest
from orch_nb.store.memory import MemoryStore

AT_ONCE = 4
TURNS = 20_000
"""Turns of the loop within which a batch of 30 calls has long ended: it takes about 400."""
BAD = {
    "503": ProviderUnavailable, "504": ProviderTimeout, "429": RateLimited, "413": ContextTooLong, "400": BadRequest,
    "garbage": MalformedReply,
}  # fmt: skip


class Time:
    """A clock that moves on by being looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def script(replies):
    """Return a provider's answers: texts, refusals, exceptions of a class that it should not raise; then always "ok"."""
    left = list(replies)

    async def answer(request):
        said = left.pop(0) if left else "ok"
        await asyncio.sleep(0)  # others may begin meanwhile
        if said in BAD:
            raise BAD[said](said, provider="vendor")
        if said == "a bug":
            raise RuntimeError("a bug of the provider's")
        if said == "hangs":
            await asyncio.get_running_loop().create_future()
        return said

    return answer


async def batch(replies, rng):
    """Thirty calls, four at once; what hangs is broken off. The calls that never ended."""
    runtime = Runtime(store=MemoryStore(), models=books.ModelBook(environ={}))
    runtime.availability.clock = Time()
    provider = ScriptedProvider(script(replies), name="vendor")
    runtime.add_provider(provider)
    offer = runtime.models.add("m", "model-1", "vendor", price={"input": 1, "output": 1})
    performer = Performer(runtime, None, {}, {}, run="1", scopes=())
    places = asyncio.Semaphore(AT_ONCE)
    request = ModelRequest("model-1", (Message("user", "hello"),), max_tokens=5)
    price = runtime.price_of("m")

    async def call(n):
        async with places:
            prepared = Prepared(
                "model", "m", {}, "h", None, 0, (), {}, "model:vendor", PricedRequest.of(request, offer, price)
            )
            return await performer.call(prepared, f"a[{n}]")

    tasks = [asyncio.ensure_future(call(n)) for n in range(30)]
    for turn in range(TURNS):
        await asyncio.sleep(0)
        under_way = [task for task in tasks if not task.done()]
        if not under_way:
            break
        if turn % 50 == 49:  # Stop, a node's timeout
            rng.choice(under_way[:AT_ONCE]).cancel()
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return left, len(provider.requests)


@given(
    st.lists(st.sampled_from([*BAD, "a bug", "hangs", "ok"]), max_size=40),
    st.integers(0, 1000),
)
@example([*["503"] * 8, "413", "ok"], 0)
@example([*["503"] * 8, "a bug", "ok"], 0)
@example([*["503"] * 8, "hangs"], 0)
def test_every_call_of_a_batch_ends_whatever_the_provider_replies(replies, seed):
    """After an outage (503 eight times) the call that tries the provider is refused with 413: the others still continue."""
    was, calls.DOWN_POLL_S = calls.DOWN_POLL_S, 0.0
    try:
        left, asked = asyncio.run(batch(replies, random.Random(seed)))
    finally:
        calls.DOWN_POLL_S = was
    assert not left
    assert asked >= 10, "the calls were broken off before they were made: the experiment says nothing"
