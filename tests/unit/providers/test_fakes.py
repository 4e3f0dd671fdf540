"""The public fakes."""

from __future__ import annotations

import asyncio
import doctest
import json
from dataclasses import replace
from typing import Any

import pytest

from orch_nb.errors import BadRequest, MalformedReply, RateLimited
from orch_nb.providers import fakes
from orch_nb.providers.fakes import EchoProvider, ScriptedProvider, counted_tokens
from orch_nb.schema.messages import (
    Completed,
    Message,
    ModelRequest,
    Reply,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    Usage,
    collect,
)


async def test_echo_repeats_the_last_user_message(asked: ModelRequest) -> None:
    """The answer is what the user said last, counted by the stated rule, the same each time."""
    request = replace(
        asked, messages=(Message("system", "be kind"), Message("user", "one two"), Message("assistant", "x"))
    )
    replies = [await collect(EchoProvider().stream(request)) for _ in range(2)]
    assert replies[0] == replies[1] == Reply("one two", usage=Usage(2 + 2 + 1, 2), model="m")


async def test_echo_fits_the_schema(asked: ModelRequest) -> None:
    """With a schema the answer is JSON that fits it and follows the prompt."""
    schema = {"type": "object", "properties": {"category": {"enum": ["billing", "sales"]}, "why": {"type": "string"}},
              "required": ["category", "why"]}  # fmt: skip
    request = replace(asked, schema=schema, messages=(Message("user", "a sales question"),))
    reply = await collect(EchoProvider().stream(request))
    assert json.loads(reply.text) == {"category": "sales", "why": "a sales question"}


async def test_echo_is_cut_as_a_real_model_is(asked: ModelRequest) -> None:
    """An answer above max_tokens ends with `length`, never inside a character."""
    request = replace(asked, messages=(Message("user", "é漢🙂" * 10),), max_tokens=2)
    reply = await collect(EchoProvider().stream(request))
    assert (reply.text, reply.finish_reason) == ("é漢", "length")
    assert reply.usage is not None
    assert reply.usage.output_tokens == 2


async def test_echo_without_a_question() -> None:
    """No user message gives an empty answer, not an error."""
    assert (await collect(EchoProvider().stream(ModelRequest("m", ())))).text == ""


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("漢", 1), ("\ud800", 1)])
def test_the_rule_of_counting(text: str, tokens: int) -> None:
    """One token for each four bytes begun."""
    assert counted_tokens(text) == tokens


async def test_a_script_of_everything(asked: ModelRequest) -> None:
    """Text, JSON, a Reply, an exception, a broken stream, and functions, plain and async, in order; all are remembered."""

    async def later(request: ModelRequest) -> Any:
        await asyncio.sleep(0)
        return f"async {request.model}"

    call = ToolCall("c", "look", "{}")
    provider = ScriptedProvider(
        ["text", {"a": 1}, [1, 2], Reply("r", (call,), usage=Usage(5, 6)), RateLimited("busy", retry_after_s=2.0),
         ("half ", TextDelta("an answer"), MalformedReply("cut", billed=True)),
         lambda r: {"n": len(r.messages)}, later, lambda r: RateLimited("computed")],
    )  # fmt: skip

    async def next_reply() -> Reply:
        return await collect(provider.stream(asked))

    assert (await next_reply()).text == "text"
    assert json.loads((await next_reply()).text) == {"a": 1}
    assert json.loads((await next_reply()).text) == [1, 2]
    assert await next_reply() == Reply("r", (call,), "tool_calls", Usage(5, 6), "m")
    with pytest.raises(RateLimited, match="busy"):
        await next_reply()
    pieces: list[str] = []
    with pytest.raises(MalformedReply):
        await collect(provider.stream(asked), on_text=pieces.append)
    assert pieces == ["half ", "an answer"]
    assert json.loads((await next_reply()).text) == {"n": 1}
    assert (await next_reply()).text == "async m"
    with pytest.raises(RateLimited, match="computed"):
        await next_reply()
    assert provider.requests == [asked] * 9
    with pytest.raises(BadRequest, match="the script has 9 replies, and this is call 10"):
        await next_reply()


async def test_one_function_answers_all(asked: ModelRequest) -> None:
    """A callable instead of a list answers every request."""
    provider = ScriptedProvider(lambda request: request.messages[-1].content.upper())
    assert [(await collect(provider.stream(asked))).text for _ in range(3)] == ["HELLO"] * 3


async def test_a_gate_holds_a_call_back(asked: ModelRequest) -> None:
    """A test lets calls through one by one, without a clock."""
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    order: list[str] = []

    async def gate(request: ModelRequest) -> None:
        await gates[request.model].wait()
        order.append(request.model)

    provider = ScriptedProvider(lambda request: request.model, gate=gate)
    tasks = [asyncio.ensure_future(collect(provider.stream(replace(asked, model=m)))) for m in ("a", "b")]
    gates["b"].set()
    assert (await tasks[1]).text == "b"
    gates["a"].set()
    assert (await tasks[0]).text == "a"
    assert order == ["b", "a"]


def test_a_single_reply_is_no_list() -> None:
    """A text or dict where the list of replies belongs is a mistake that is told."""
    for reply in ("text", {"a": 1}):
        with pytest.raises(TypeError, match=r"put a single reply into \[ \]"):
            ScriptedProvider(reply)


async def test_scripted_events_end_as_written(asked: ModelRequest) -> None:
    """A tuple is sent as it is, its own end included."""
    end = Completed("content_filter", Usage(1, 1))
    provider = ScriptedProvider([(TextDelta("x"), ToolCallEvent(ToolCall("c", "f", "{}")), end)])
    reply = await collect(provider.stream(asked))
    assert (reply.finish_reason, reply.tool_calls[0].name) == ("content_filter", "f")


def test_the_examples_run() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(fakes).failed == 0
