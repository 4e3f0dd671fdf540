"""What comes back: chunks become events, and only a whole stream is an answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.providers.openai.stream import MOST_SCORED, ChatStream
from orch_nb.providers.transport.sse import SseParser
from orch_nb.providers.transport.stream import MOST_CALLS, ChatFault, ReportedError
from orch_nb.schema.messages import Completed, ModelEvent, TextDelta, ToolCall, ToolCallEvent, Usage

if TYPE_CHECKING:
    from collections.abc import Callable


def data(delta: Any, finish: Any = None, **fields: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields})


def read(*chunks: str) -> list[ModelEvent]:
    chat = ChatStream()
    return [event for chunk in chunks for event in chat.feed(chunk)] + chat.finish("r1")


def call(index: int | None, **parts: str) -> Any:
    function = {k: v for k, v in parts.items() if k in ("name", "arguments")}
    fragment: dict[str, Any] = {"function": function}
    if "id" in parts:
        fragment["id"] = parts["id"]
    return {"tool_calls": [fragment if index is None else {"index": index, **fragment}]}


def recorded_events(raw: bytes) -> list[ModelEvent]:
    return read(*(event.data for event in SseParser().feed(raw)))


def test_a_recorded_stream_of_llama_cpp(recorded: Callable[[str], bytes]) -> None:
    """The recorded reply of the local server is its text, its finish, its usage and its model."""
    events = recorded_events(recorded("llama_cpp_stream.sse"))
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert json.loads(text) == {"sentiment": "negative"}
    assert events[-1] == Completed("stop", Usage(37, 17), "smollm2", "r1")


def test_a_stream_with_tool_calls_of_openai(recorded: Callable[[str], bytes]) -> None:
    """Fragments of two calls are put together; they come whole, before the end, with cached and reasoning tokens."""
    assert recorded_events(recorded("openai_tools.sse")) == [
        ToolCallEvent(ToolCall("call_a", "weather", '{"city":"Köln"}')),
        ToolCallEvent(ToolCall("call_b", "weather", '{"city":"Bonn"}')),
        Completed("tool_calls", Usage(2006, 300, 1920, 256), "gpt-5-mini-2025-08-07", "r1"),
    ]


def test_calls_without_an_index() -> None:
    """Servers that send each call whole and number none give as many calls as they sent."""
    events = read(
        data(call(None, id="a", name="f", arguments="{}")), data(call(None, id="b", name="g", arguments="{")),
        data(call(None, arguments="}")), data({}, "tool_calls"), "[DONE]",
    )  # fmt: skip
    assert [e.call for e in events if isinstance(e, ToolCallEvent)] == [
        ToolCall("a", "f", "{}"),
        ToolCall("b", "g", "{}"),
    ]


def test_a_call_without_an_id_gets_one() -> None:
    """A call that came without an id can still be answered."""
    events = read(data(call(0, name="f", arguments="{}")), data({}, "tool_calls"), "[DONE]")
    assert events[0] == ToolCallEvent(ToolCall("call_0", "f", "{}"))


def test_the_most_calls_pass_and_one_more_does_not() -> None:
    """64 tool calls are taken; the 65th makes the reply unusable."""
    chunks = [data(call(i, id=f"c{i}", name="f", arguments="{}")) for i in range(MOST_CALLS)]
    assert len(read(*chunks, data({}, "tool_calls"), "[DONE]")) == MOST_CALLS + 1
    with pytest.raises(ChatFault, match="more than 64 tool calls"):
        read(*chunks, data(call(MOST_CALLS, id="x", name="f")))
    with pytest.raises(ChatFault, match="more than 64 tool calls"):
        read(*(data(call(None, id=f"c{i}", name="f", arguments="{}")) for i in range(MOST_CALLS + 1)))


def test_a_character_cut_over_two_chunks() -> None:
    """A surrogate pair whose halves come in two deltas is one character; half of one is a fault."""
    first, second = '{"choices":[{"delta":{"content":"a\\ud83d"}}]}', '{"choices":[{"delta":{"content":"\\ude42b"}}]}'
    assert read(first, second, data({}, "stop"), "[DONE]")[:2] == [TextDelta("a"), TextDelta("🙂b")]
    for chunks in ([first], [second], [first, first]):
        with pytest.raises(ChatFault, match="surrogate"):
            read(*chunks, data({}, "stop"), "[DONE]")


def test_what_follows_the_end_is_ignored() -> None:
    """Ghost chunks after the end mark are not part of the answer."""
    assert read(data({"content": "x"}), data({}, "stop"), "[DONE]", data({"content": "GHOST"}), "junk")[0] == TextDelta(
        "x"
    )


def test_other_choices_and_unknown_fields_are_passed_over() -> None:
    """Only choice 0 was asked for; reasoning text, log-probabilities (even -Infinity) and the like are not the answer."""
    other = '{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"reasoning_content":"hm","content":"yes"},"logprobs":[-Infinity]}]}'
    assert read(other, data({}, "stop"), "[DONE]")[0] == TextDelta("yes")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_details"])
def test_thoughts_are_no_text_but_are_said_to_have_been(field: str) -> None:
    """What a model thinks is billed: a reply says that there was some, under any of the names that servers use."""
    thinking = data({field: [{"type": "reasoning.encrypted"}] if field == "reasoning_details" else "hm"})
    assert read(thinking, data({}, "stop"), "[DONE]") == [Completed("stop", None, "", "r1", reasoned=True)]
    assert not read(data({field: ""}), data({}, "stop"), "[DONE]")[-1].reasoned  # type: ignore[union-attr]


def test_a_refusal_is_text_and_says_so() -> None:
    """A model's refusal is given as text, with a finish reason of its own."""
    events = read(data({"refusal": "I cannot."}), data({}, "stop"), "[DONE]")
    assert events == [TextDelta("I cannot."), Completed("refusal", None, "", "r1")]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("banana", "banana"),
    ],
)
def test_finish_reasons(sent: str, kept: str) -> None:
    """Known reasons are ours, unknown ones are the provider's own word."""
    assert read(data({}, sent), "[DONE]")[-1] == Completed(kept, None, "", "r1")


def test_bad_usage_does_not_lose_the_answer() -> None:
    """NaN in the usage marks the usage; the text stays."""
    usage = '{"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}'
    events = read(data({"content": "x"}), data({}, "stop"), usage, "[DONE]")
    assert events[0] == TextDelta("x")
    assert isinstance(events[-1], Completed)
    assert events[-1].usage == Usage(bad="prompt_tokens is nan")


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        ([], "ended before it said that it is done"),
        ([data({"content": "x"})], "ended before"),
        ([data({"content": "x"}, "stop")], "ended before"),
        (["[DONE]"], "never said why the answer finished"),
        ([data({"content": "x"}), "[DONE]"], "never said why"),
        (["not json"], "not JSON"),
        (['{"choices":' + "[" * 100_000], "nested too deep"),
        (['{"created":' + "1" * 5000 + "}"], "not JSON"),
        (["[]"], "a list, not an object"),
        (["7"], "a number, not an object"),
        (['{"choices":"x"}'], "choices is text"),
        (['{"choices":[7]}'], "a choice is a number"),
        ([data([1])], "delta is a list"),
        ([data({"content": 7})], "content is a number, not text"),
        ([data({"content": ["x"]})], "content is a list, not text"),
        ([data({}, 7)], "finish_reason is a number"),
        ([data({}, "")], "finish_reason is text"),
        ([data({"tool_calls": "x"})], "tool_calls is text"),
        ([data({"tool_calls": ["x"]})], "a tool call is text"),
        ([data({"tool_calls": [{"index": -1}]})], "index is a number"),
        ([data({"tool_calls": [{"index": "0"}]})], "index is text"),
        ([data({"tool_calls": [{"index": True}]})], "index is true or false"),
        ([data({"tool_calls": [{"function": 7}]})], "function is a number"),
        ([data({"tool_calls": [{"function": {"name": 7}}]})], "name is a number"),
        ([data({"tool_calls": [{"function": {"arguments": {}}}]})], "arguments is an object"),
        ([data(call(0, id="c", arguments="{}")), data({}, "tool_calls"), "[DONE]"], "names no tool"),
        (
            [data(call(0, id="c", name="f")), data(call(1, id="c", name="f")), data({}, "tool_calls"), "[DONE]"],
            "same id",
        ),
    ],
)
def test_what_is_not_whole_is_a_fault(chunks: list[str], why: str) -> None:
    """Truncation, broken JSON, wrong types and unusable tool calls are faults that say what is wrong."""
    with pytest.raises(ChatFault, match=why):
        read(*chunks)


def test_an_error_object_in_the_stream() -> None:
    """An error object stops the stream with its contents."""
    with pytest.raises(ReportedError) as caught:
        read(data({"content": "x"}), '{"error": {"message": "overloaded"}}')
    assert caught.value.body == {"error": {"message": "overloaded"}}


# ------------------------------------------------------------------ log-probabilities
def with_logprobs(*values: Any) -> str:
    rows = [{"token": "x", "logprob": value} for value in values]
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None, "logprobs": {"content": rows}}
    return json.dumps({"choices": [choice]})


def end_of(*chunks: str) -> Completed:
    last = read(*chunks, data({}, "stop"), "[DONE]")[-1]
    assert isinstance(last, Completed)
    return last


def test_log_probabilities_of_the_whole_answer_come_with_its_end() -> None:
    """Each token with its own; without any there are none; a long text keeps the beginning."""
    assert end_of(with_logprobs(-0.5, -0.25), with_logprobs(-0.25)).logprobs == (
        ("x", -0.5),
        ("x", -0.25),
        ("x", -0.25),
    )
    assert end_of(data({"content": "x"})).logprobs == ()
    assert len(end_of(with_logprobs(*[-0.1] * 2_000)).logprobs) == MOST_SCORED


@pytest.mark.parametrize("odd", ["many", None, True, 5.0, float("nan"), float("-inf")])
def test_odd_log_probabilities_void_all_of_them_and_never_the_answer(odd: Any) -> None:
    """A broken check does not fail the answer: the answer stays, the confidence is unknown."""
    end = end_of(with_logprobs(-0.5), with_logprobs(odd), with_logprobs(-0.5))
    assert (end.logprobs, end.finish_reason) == ((), "stop")
