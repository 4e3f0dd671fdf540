"""The provider contract, run on every provider: the fakes, the real one on loopback, the local model."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import ProviderError, RateLimited
from orch_nb.providers.fakes import EchoProvider, ScriptedProvider
from orch_nb.providers.local_models.local import LocalModel
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.schema.messages import (
    Completed,
    Message,
    ModelRequest,
    Provider,
    Reply,
    TextDelta,
    ToolCall,
    Usage,
    collect,
)
from tests.unit.providers.loopback import SSE_HEAD, Loopback, chunk

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}
REQUEST = ModelRequest(
    "m",
    (
        Message("system", "Classify the sentiment of the review as positive or negative. Reply with JSON."),
        Message("user", "Review: It broke after a day, I feel very negative about it."),
    ),
    schema=SCHEMA,
    max_tokens=32,
    seed=7,
    timeout_s=30.0,
)


async def _answer(headers: dict[str, str], body: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
    """A small server of its own: what EchoProvider would say, over the wire."""
    asked = json.loads(body)
    request = ModelRequest(asked["model"], tuple(Message(m["role"], m["content"]) for m in asked["messages"]))
    schema = asked.get("response_format", {}).get("json_schema", {}).get("schema")
    reply = await collect(EchoProvider().stream(replace(request, schema=schema, max_tokens=asked["max_tokens"])))
    usage = reply.usage or Usage()
    writer.write(SSE_HEAD + b"".join(chunk({"content": word}) for word in reply.text.split(" ")))
    writer.write(chunk({}, reply.finish_reason))
    counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    writer.write(chunk(usage=counts) + b"data: [DONE]\n\n")
    await writer.drain()


def _echo_over_http(loopback: Loopback) -> Provider:
    return OpenAIChat("wire", loopback.serve(_answer), key=None)


MAKERS: dict[str, Callable[[Loopback], Provider]] = {
    "echo": lambda _: EchoProvider(),
    "scripted": lambda _: ScriptedProvider(lambda r: {"sentiment": "negative"}),
    "openai": _echo_over_http,
    "local": lambda _: LocalModel(),
}


@pytest.fixture(params=["echo", "scripted", "openai", pytest.param("local", marks=pytest.mark.local_model)])
def make(request: pytest.FixtureRequest, loopback: Loopback) -> Callable[[], Provider]:
    return lambda: MAKERS[request.param](loopback)


async def test_it_is_a_provider(make: Callable[[], Provider]) -> None:
    """It has a name and the two methods, and closes without ever having been used."""
    provider = make()
    assert isinstance(provider, Provider)
    assert provider.name
    await provider.aclose()


async def test_text_then_one_completed(make: Callable[[], Provider]) -> None:
    """Pieces of text come first, exactly one `Completed` comes last, with a usage that counts both ways."""
    provider = make()
    events = [event async for event in provider.stream(REQUEST)]
    await provider.aclose()
    assert isinstance(events[-1], Completed)
    assert all(isinstance(event, TextDelta) for event in events[:-1])
    assert json.loads("".join(e.text for e in events if isinstance(e, TextDelta))) == {"sentiment": "negative"}
    usage = events[-1].usage
    assert usage is not None
    assert not usage.bad
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


async def test_the_same_question_has_the_same_answer(make: Callable[[], Provider]) -> None:
    """At temperature 0 with a seed two calls give one text, also when made at once."""
    provider = make()
    replies = await asyncio.gather(*(collect(provider.stream(REQUEST)) for _ in range(2)))
    await provider.aclose()
    assert replies[0].text == replies[1].text


async def test_leaving_early_is_no_error(make: Callable[[], Provider]) -> None:
    """A stream closed after its first piece ends quietly, and the provider answers the next call."""
    provider = make()
    stream = provider.stream(REQUEST)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await collect(provider.stream(REQUEST))).text
    await provider.aclose()


async def test_the_request_is_not_touched(make: Callable[[], Provider]) -> None:
    """A provider changes nothing in the request, its schema included."""
    provider, before = make(), json.dumps(SCHEMA)
    request = replace(REQUEST)
    await collect(provider.stream(request))
    await provider.aclose()
    assert request == REQUEST
    assert json.dumps(request.schema) == before


def test_it_works_on_one_loop_after_another(make: Callable[[], Provider]) -> None:
    """One instance serves loop after loop."""
    provider = make()

    async def once() -> Reply:
        try:
            return await collect(provider.stream(REQUEST))
        finally:
            await provider.aclose()

    assert asyncio.run(once()).text == asyncio.run(once()).text


@pytest.mark.parametrize("kind", ["scripted", "openai"])
async def test_a_failure_is_one_typed_error(kind: str, loopback: Loopback) -> None:
    """A refusal reaches the caller as the same typed error from a script and from the wire."""
    refusal = loopback.json(429, {"error": {"message": "busy"}}, "Retry-After: 2")
    provider: Provider = OpenAIChat("p", refusal, key=None)
    if kind == "scripted":
        provider = ScriptedProvider([RateLimited("busy", provider="p", model="m", status=429, retry_after_s=2.0)])
    with pytest.raises(ProviderError) as caught:
        await collect(provider.stream(REQUEST))
    await provider.aclose()
    assert (type(caught.value), caught.value.retry_after_s, caught.value.billed) == (RateLimited, 2.0, False)


@pytest.mark.parametrize("kind", ["scripted", "openai"])
async def test_tool_calls_come_whole(kind: str, loopback: Loopback) -> None:
    """Tool calls are complete events with finish reason `tool_calls`, from a script and from the wire."""
    parts = [chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}]})]
    parts += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": c}}]}) for c in '{"q": 1}']
    url = loopback.sse(*parts, chunk({}, "tool_calls"), b"data: [DONE]\n\n")
    provider: Provider = OpenAIChat("p", url, key=None)
    if kind == "scripted":
        provider = ScriptedProvider([Reply(tool_calls=(ToolCall("c1", "look", '{"q": 1}'),))])
    reply = await collect(provider.stream(REQUEST))
    await provider.aclose()
    assert reply.tool_calls == (ToolCall("c1", "look", '{"q": 1}'),)
    assert reply.finish_reason == "tool_calls"
