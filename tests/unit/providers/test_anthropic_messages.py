"""AnthropicMessages: what is sent, how its stream is read, and what goes back after tool calls."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import BadOption
from orch_nb.providers.anthropic.messages import AnthropicMessages
from orch_nb.providers.anthropic.request import generation, messages_body
from orch_nb.providers.anthropic.stream import MessagesStream, messages_usage
from orch_nb.providers.transport.sse import SseParser
from orch_nb.providers.transport.stream import ChatFault, ReportedError
from orch_nb.providers.transport.thinking_blocks import TurnMemory
from orch_nb.providers.vendors import vendor
from orch_nb.schema.messages import (
    Completed,
    Message,
    ModelEvent,
    ModelRequest,
    Reply,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolSpec,
    Usage,
    collect,
)
from tests.unit.providers.loopback import SSE_HEAD, Loopback
from tests.unit.providers.native_server import event, said

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
FREE = {"type": "object", "additionalProperties": {"type": "integer"}}
LOOK = ToolSpec("look", "looks", {"type": "object", "properties": {"q": {"type": "string"}}})
USER = (Message("user", "hi"),)


def body_of(request: ModelRequest, memory: TurnMemory | None = None, **extra: Any) -> dict[str, Any]:
    return messages_body(request, extra=extra, memory=memory or TurnMemory())


def folded(raw: bytes, stream: MessagesStream | None = None) -> list[ModelEvent]:
    stream = stream or MessagesStream()
    events = [made for sent in SseParser().feed(raw) for made in stream.feed(sent.data)]
    return events + stream.finish("req")


async def reply_of(url: str, request: ModelRequest, **options: Any) -> Reply:
    provider = AnthropicMessages("p", url, key=options.pop("key", None), **options)
    try:
        return await collect(provider.stream(request))
    finally:
        await provider.aclose()


# ---------------------------------------------------------------- what is sent
def test_the_least_request() -> None:
    """Model, bound, stream and messages are sent; what is not set is not."""
    assert body_of(ModelRequest("claude-haiku-4-5", USER)) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 1024,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "temperature": 0.0,
    }


def test_a_conversation_with_tools() -> None:
    """System is at the top, results of one turn are one user message, and ids have only characters that are taken."""
    calls = (ToolCall("call.1", "look", '{"q": "x"}'), ToolCall("c2", "look", "{nonsense"))
    request = ModelRequest(
        "m",
        (
            Message("system", "be brief"),
            Message("user", "hi"),
            Message("assistant", "", calls),
            Message("tool", "42", tool_call_id="call.1"),
            Message("tool", "", tool_call_id="c2"),
            Message("assistant", " "),
            Message("user", "go on"),
        ),
        tools=(LOOK,),
        seed=7,
        stop=("END", " "),
        temperature=2.0,
    )
    body = body_of(request)
    assert body["system"] == "be brief"
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call_1", "name": "look", "input": {"q": "x"}},
            {"type": "tool_use", "id": "c2", "name": "look", "input": {"unreadable": "{nonsense"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "42"},
            {"type": "tool_result", "tool_use_id": "c2", "content": ""},
            {"type": "text", "text": "go on"},
        ]},
    ]  # fmt: skip
    assert body["tools"] == [{"name": "look", "description": "looks", "input_schema": LOOK.parameters}]
    assert (body["stop_sequences"], body["temperature"]) == (["END"], 1.0)
    assert "seed" not in body


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-5-sonnet-20240620", (3, 5)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-opus-4-7", (4, 7)),
        ("anthropic/claude-sonnet-5", (5, 0)),
        ("claude-mythos-preview", (99, 0)),
        ("MiniMax-M2", None),
    ],
)
def test_a_claudes_version_is_read_from_its_id(model: str, version: Any) -> None:
    """Dates are not versions, an unnumbered Claude is the newest, and other makers' models have none."""
    assert generation(model) == version


@pytest.mark.parametrize(
    ("model", "sent"),
    [("claude-sonnet-4-6", True), ("claude-opus-4-7", False), ("claude-sonnet-5", False), ("m", True)],
)
def test_temperature_goes_where_it_is_taken(model: str, sent: bool) -> None:
    """Models that answer 400 to a temperature get none, unless `extra` insists."""
    assert ("temperature" in body_of(ModelRequest(model, USER))) is sent
    assert body_of(ModelRequest(model, USER), temperature=0.5)["temperature"] == 0.5
    assert "temperature" not in body_of(ModelRequest("m", USER), thinking={"type": "adaptive"})


def test_a_schema_is_a_format_where_it_can_be() -> None:
    """Newer models get structured outputs, closed and without bounds, beside tools and other `output_config` too."""
    request = ModelRequest("claude-sonnet-5", USER, schema=SCHEMA, tools=(LOOK,))
    body = body_of(request, output_config={"effort": "low"})
    closed = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": closed}, "effort": "low"}
    assert "tool_choice" not in body
    assert "output_config" not in body_of(replace(request, enforce="validate"))


def test_a_schema_is_a_tool_where_it_must_be() -> None:
    """Older models and maps with free keys get a tool whose input is the answer; models that think are asked, not forced."""
    old = body_of(ModelRequest("claude-3-5-haiku-latest", USER, schema=SCHEMA))
    assert old["tools"][0]["input_schema"] == SCHEMA
    assert old["tool_choice"] == {"type": "tool", "name": "give_answer"}
    with_tools = body_of(
        ModelRequest("claude-haiku-4-5", USER, schema=FREE, tools=(LOOK, replace(LOOK, name="give_answer")))
    )
    assert [tool["name"] for tool in with_tools["tools"]] == ["look", "give_answer", "give_answer_"]
    assert with_tools["tool_choice"] == {"type": "any"}
    new = body_of(ModelRequest("claude-opus-4-8", (Message("system", "s"), *USER), schema=FREE))
    assert new["tool_choice"] == {"type": "auto"}
    assert new["system"].startswith("s\n\n")
    assert "`give_answer`" in new["system"]


def test_extra_may_not_change_the_protocol() -> None:
    """`extra` cannot switch streaming off, nor replace the messages."""
    with pytest.raises(BadOption, match="may not set messages, stream"):
        AnthropicMessages("p", extra={"stream": False, "messages": []})


async def test_the_headers(loopback: Loopback, asked: ModelRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes as x-api-key and not as a bearer, with the version and the beta."""
    monkeypatch.setenv("ORCH_TEST_KEY", "sk-ant-canary-0123")
    await reply_of(loopback.sse(said("hi")), asked, key="env:ORCH_TEST_KEY", beta="b1,b2")
    path, headers, body = loopback.heard[-1]
    assert path.endswith("/v1/messages")
    assert headers["x-api-key"] == "sk-ant-canary-0123"
    assert "authorization" not in headers
    assert (headers["anthropic-version"], headers["anthropic-beta"]) == ("2023-06-01", "b1,b2")
    assert json.loads(body)["stream"] is True


def test_the_vendor_anthropic_is_this_adapter() -> None:
    """`anthropic/...` models are asked in Anthropic's own protocol."""
    assert isinstance(vendor("anthropic"), AnthropicMessages)


def test_what_is_shown_of_a_provider() -> None:
    """Its name, address and the key's reference; never the key."""
    provider = AnthropicMessages("p", "https://host/v1?x=secret", key="env:ORCH_TEST_KEY")
    assert repr(provider) == "AnthropicMessages('p', 'https://host/v1', key='env:ORCH_TEST_KEY')"


# ---------------------------------------------------------------- what comes back
async def test_a_whole_stream(loopback: Loopback, asked: ModelRequest, recorded: Callable[[str], bytes]) -> None:
    """Text, the model, the request id, and usage with the cache inside the input."""
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nrequest-id: req_9\r\n\r\n")
    reply = await reply_of(loopback.serve(head + recorded("anthropic_stream.sse")), asked)
    usage = Usage(input_tokens=1032, output_tokens=15, cached_tokens=1000, cache_write_tokens=7)
    assert reply == Reply("Hello 漢🙂", (), "stop", usage, "claude-haiku-4-5-20251001", "req_9")


def test_tool_calls_and_thoughts(recorded: Callable[[str], bytes]) -> None:
    """Tool calls are whole, an empty input is an empty object, thoughts are not text and are counted as reasoning."""
    assert folded(recorded("anthropic_tools.sse")) == [
        TextDelta("I look it up."),
        ToolCallEvent(ToolCall("toolu_1", "weather", '{"city": "Paris"}')),
        ToolCallEvent(ToolCall("toolu_2", "now", "{}")),
        Completed("tool_calls", Usage(400, 89, 0, 31), "claude-sonnet-5", "req", reasoned=True),
    ]


async def test_thoughts_go_back_with_their_tool_calls(
    loopback: Loopback, asked: ModelRequest, recorded: Callable[[str], bytes]
) -> None:
    """The next request has the signed thoughts before the calls, as they came; a provider that knows none sends the calls."""
    provider = AnthropicMessages("p", loopback.sse(recorded("anthropic_tools.sse")), key=None)
    first = await collect(provider.stream(asked))
    answers = tuple(Message("tool", "x", tool_call_id=call.id) for call in first.tool_calls)
    after = replace(asked, messages=(*asked.messages, Message("assistant", first.text, first.tool_calls), *answers))
    await collect(provider.stream(after))
    await provider.aclose()
    sent = json.loads(loopback.heard[-1][2])["messages"][1]["content"]
    assert [block["type"] for block in sent] == ["thinking", "text", "tool_use", "tool_use"]
    assert sent[0] == {"type": "thinking", "thinking": "Both cities are needed.", "signature": "c2lnbmVk"}
    assert [block["type"] for block in body_of(after)["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]
    budget = {"type": "enabled", "budget_tokens": 1024}
    assert "thinking" not in body_of(after, thinking=budget), "it would be refused without the thoughts"
    assert body_of(asked, thinking=budget)["thinking"] == budget


def tool(place: int, name: str, text: str) -> bytes:
    return (
        event("content_block_start", index=place, content_block={"type": "tool_use", "id": f"t{place}", "name": name})
        + event("content_block_delta", index=place, delta={"type": "input_json_delta", "partial_json": text})
        + event("content_block_stop", index=place)
    )


START = event("message_start", message={"model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}})
END = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 5}) + event("message_stop")
TEXT = (
    event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
    + event("content_block_stop", index=0)
)


def answers(raw: bytes, *, has_tools: bool) -> tuple[str, list[str], str]:
    events = folded(raw, MessagesStream(answer_tool="give_answer", has_tools=has_tools))
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    calls = [e.call.name for e in events if isinstance(e, ToolCallEvent)]
    return text, calls, events[-1].finish_reason  # type: ignore[union-attr]


@pytest.mark.parametrize("has_tools", [False, True])
def test_the_answers_tool_is_the_answer(has_tools: bool) -> None:
    """The input of the answer's tool is the text of the reply, without talk around it, and no tool call."""
    assert answers(START + tool(0, "give_answer", '{"a": 1}') + END, has_tools=has_tools) == ('{"a": 1}', [], "stop")


def test_a_real_tool_call_comes_before_the_answer() -> None:
    """Where the model called another tool as well, that is what it wants; where it called none, its text is used."""
    both = START + tool(0, "give_answer", '{"a": 1}') + tool(1, "look", "{}") + END
    assert answers(both, has_tools=True) == ("", ["look"], "tool_calls")
    assert answers(said('{"a": 2}'), has_tools=True) == ('{"a": 2}', [], "stop")


def test_a_character_cut_over_two_pieces() -> None:
    """Halves of an escaped character in two deltas are one character; a single half is a fault."""
    assert folded(said("a\ud83d", "\ude42b"))[:-1] == [TextDelta("a"), TextDelta("🙂b")]
    with pytest.raises(ChatFault, match="half a surrogate pair"):
        folded(said("a\ud83d"))


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_why_it_finished(stop: str, finish: str) -> None:
    """Anthropic's words become ours; what has no word of ours keeps its own."""
    assert folded(said("x", stop=stop))[-1].finish_reason == finish  # type: ignore[union-attr]


def test_events_of_unknown_type_are_passed_over() -> None:
    """What a later version adds does not break the reading."""
    new = event("citation_found", index=9) + event(
        "content_block_start", index=5, content_block={"type": "server_tool_use"}
    )
    new += event("content_block_delta", index=5, delta={"type": "input_json_delta", "partial_json": "{}"})
    new += event("content_block_stop", index=5)
    assert folded(START + new + TEXT + END)[0] == TextDelta("x")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"data: 7\n\n", "a number, not an object"),
        (b"data: {\n\n", "not JSON"),
        (event("content_block_start", index=0), "before the message has started"),
        (START + START, "second message"),
        (START + event("content_block_delta", index=0, delta={}), "never started"),
        (START + event("content_block_start", index=-1), "index is a number"),
        (START + tool(0, "look", "") + tool(0, "look", ""), "starts twice"),
        (
            START + TEXT + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}),
            "after its end",
        ),
        (START + tool(0, "", "{}") + END, "names no tool"),
        (START + b"".join(tool(n, "look", "{}") for n in range(65)) + END, "more than 64 tool calls"),
        (START + tool(0, "look", "{}") + tool(1, "look", "{}").replace(b"t1", b"t0") + END, "the same id"),
        (START + TEXT.partition(b"event: content_block_stop")[0] + END, "never ended"),
        (START + TEXT + event("message_stop"), "never said why"),
        (START + TEXT, "before it said that it is done"),
        (START + event("message_delta", delta={"stop_reason": 5}), "stop_reason is a number"),
        (event("message_start", message=[]), "message is a list"),
        (START + event("content_block_start", index=0, content_block={"type": "text", "text": 1}), "text is a number"),
    ],
)
def test_what_is_no_whole_stream(raw: bytes, why: str) -> None:
    """Events that are broken, out of place or missing are a fault that says which."""
    with pytest.raises(ChatFault, match=why):
        folded(raw)


def test_an_error_event() -> None:
    """An error inside the stream is reported with its body."""
    with pytest.raises(ReportedError) as caught:
        folded(START + event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert caught.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ({"input_tokens": float("nan"), "output_tokens": 1}, "input_tokens is nan"),
        ({"input_tokens": 1, "output_tokens": -2}, "output_tokens is -2"),
        ({"input_tokens": 1}, "is missing"),
        ({"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 10**12}, "beyond any call"),
        (
            {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": "7"},
            "cache_creation_input_tokens is '7'",
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 2}},
            "thinking_tokens 2 exceed",
        ),
    ],
)
def test_bad_counts_are_named_and_never_counted(sent: Any, names: str) -> None:
    """Counts that are none mark the usage as bad, so that the call settles at its reservation."""
    usage = messages_usage(sent)
    assert usage is not None
    assert names in usage.bad
    assert (usage.input_tokens, usage.output_tokens) == (0, 0)


def test_usage_of_another_kind_or_none() -> None:
    """Usage that is not an object is bad; without any there is none, not zero."""
    assert folded(said("x", usage=[1]))[-1].usage.bad == "usage is a list"  # type: ignore[arg-type,union-attr]
    no_usage = (
        said("x").replace(b', "usage": {"input_tokens": 3, "output_tokens": 2}', b"").replace(b', "usage": {}', b"")
    )
    assert folded(no_usage)[-1].usage is None  # type: ignore[union-attr]


def test_a_turn_is_forgotten_in_the_end() -> None:
    """The memory of turns is bounded by number and size, the oldest going first; what is not JSON is not kept."""
    memory, calls = TurnMemory(most_turns=2, most_chars=100), [(ToolCall(f"c{n}", "f", "{}"),) for n in range(4)]
    for one in calls[:3]:
        memory.keep(one, [{"text": "x"}])
    assert [memory.recall(one) is None for one in calls[:3]] == [True, False, False]
    memory.keep(calls[3], [{"text": "x" * 200}])
    assert all(memory.recall(one) is None for one in calls)
    memory.keep(calls[0], [{"args": float("nan")}])
    memory.keep((), [{"text": "x"}])
    assert memory.recall(calls[0]) is None


def test_odd_blocks_go_back_as_they_came_or_not_at_all() -> None:
    """Hidden thoughts are kept whole, empty texts are left out, and a turn whose input is not JSON is not kept."""
    hidden = event("content_block_start", index=7, content_block={"type": "redacted_thinking", "data": "eA=="})
    hidden += event("content_block_stop", index=7)
    blank = TEXT.replace(b'"text": "x"', b'"text": " "')
    server = event("content_block_start", index=8, content_block={"type": "web_search_tool_result"})
    server += event("content_block_stop", index=8)
    stream = MessagesStream()
    folded(START + hidden + blank + tool(9, "look", '{"q": 1}') + server + END, stream)
    assert stream.thoughtful_content() == [
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "tool_use", "id": "t9", "name": "look", "input": {"q": 1}},
    ]
    for bad in ('{"q"', "[1]"):
        stream = MessagesStream()
        folded(START + hidden + tool(9, "look", bad) + END, stream)
        assert stream.thoughtful_content() is None


def test_servers_that_differ_a_little() -> None:
    """An input that comes with its block's start counts, and so does an answer given so; what follows the end does not."""
    given = event(
        "content_block_start", index=0, content_block={"type": "tool_use", "id": "c", "name": "look", "input": {"q": 1}}
    )
    given += event("content_block_stop", index=0)
    assert folded(START + given + END + event("error", error={}))[0] == ToolCallEvent(ToolCall("c", "look", '{"q": 1}'))
    assert answers(START + given.replace(b"look", b"give_answer") + END, has_tools=False) == ('{"q": 1}', [], "stop")


def test_a_delta_in_a_block_of_another_type() -> None:
    """Text inside a tool call is a fault, not an answer."""
    start = event("content_block_start", index=0, content_block={"type": "tool_use", "id": "c", "name": "look"})
    with pytest.raises(ChatFault, match="text_delta comes in a content block of another type"):
        folded(START + start + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}))
