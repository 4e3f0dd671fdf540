"""An agent with a tool and a typed answer, run through the whole stack against Anthropic's and Google's protocols."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.catalog import models
from orch_nb.providers.anthropic.messages import AnthropicMessages
from orch_nb.providers.gemini.generate import Gemini
from orch_nb.runtime.runtime import Runtime
from orch_nb.store.memory import MemoryStore
from tests.unit.providers.loopback import SSE_HEAD
from tests.unit.providers.native_server import piece, said

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from tests.unit.providers.loopback import Loopback

ANSWER = '{"city": "Paris", "degrees": 21.5}'
ADAPTERS: dict[str, Any] = {"anthropic": AnthropicMessages, "gemini": Gemini}
MODELS = {"anthropic": "claude-sonnet-5", "gemini": "gemini-3-pro"}
ENDS = {
    "anthropic": said(ANSWER, usage={"input_tokens": 500, "output_tokens": 20}),
    "gemini": piece(ANSWER, "STOP", usageMetadata={"promptTokenCount": 500, "candidatesTokenCount": 20}),
}
COSTS = {"anthropic": Decimal("0.1009"), "gemini": Decimal("0.0648")}
"""All tokens of both calls at $100 per million: 400 + 89 + 500 + 20, and 60 + 68 + 500 + 20."""


@orch.tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"21.5 degrees in {city}"


@orch.tool
def now() -> str:
    """The time."""
    return "noon"


@pytest.fixture
def rt() -> Iterator[Runtime]:
    book = models.ModelBook(environ={})
    models.use(book)
    made = Runtime(store=MemoryStore(), models=book)
    before = current_runtime.use(made)
    yield made
    made.close()
    current_runtime.use(before)


@pytest.mark.parametrize("wire", sorted(ADAPTERS))
async def test_an_agent_with_a_tool(
    wire: str, rt: Runtime, loopback: Loopback, recorded: Callable[[str], bytes]
) -> None:
    """Two tools are called, their results and the signed thoughts go back, the answer is typed, and the bill is exact."""
    asked: list[dict[str, Any]] = []

    async def answer(headers: Any, body: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        asked.append(json.loads(body))
        writer.write(SSE_HEAD + (recorded(f"{wire}_tools.sse") if len(asked) == 1 else ENDS[wire]))
        await writer.drain()

    rt.add_provider(ADAPTERS[wire]("vendor", loopback.serve(answer), key=None))
    rt.models.add("m", MODELS[wire], "vendor", price={"input": 100, "output": 100})
    agent = orch.Agent(
        "a", "Weather in {{ x }}?", model="m", tools=[weather, now], out={"city": "str", "degrees": "float"}
    )
    run = await orch.run(agent, x="Paris", budget=1)
    assert run.result() == {"city": "Paris", "degrees": 21.5}
    assert run.spent_usd == COSTS[wire]
    assert len(asked) == 2
    back = json.dumps(asked[1])
    assert "21.5 degrees in Paris" in back
    assert "noon" in back
    assert "c2lnbmVk" in back, "the signature goes back"
