"""Gemini: what is sent, how its stream is read, and what goes back after tool calls."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import BadOption, BadRequest
from orch_nb.providers.gemini.generate import Gemini
from orch_nb.providers.gemini.request import generate_body, model_path, response_schema
from orch_nb.providers.gemini.stream import GeminiStream, gemini_usage
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
from tests.unit.providers.native_server import piece

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}, "required": ["a"]}
LOOK = ToolSpec("look", "looks", {"type": "object", "properties": {"q": {"type": "string"}}})
NOW = ToolSpec("now", "the time", {})
USER = (Message("user", "hi"),)


def body_of(request: ModelRequest, **extra: Any) -> dict[str, Any]:
    return generate_body(request, extra=extra, memory=TurnMemory())


def folded(raw: bytes) -> list[ModelEvent]:
    stream = GeminiStream()
    events = [made for sent in SseParser().feed(raw) for made in stream.feed(sent.data)]
    return events + stream.finish("")


def last(raw: bytes) -> Completed:
    end = folded(raw)[-1]
    assert isinstance(end, Completed)
    return end


def parts(*made: Any, finish: str = "STOP", **fields: Any) -> bytes:
    candidate = {"content": {"parts": list(made)}, "finishReason": finish}
    return b"data: " + json.dumps({"candidates": [candidate], **fields}).encode() + b"\n\n"


async def reply_of(url: str, request: ModelRequest, **options: Any) -> Reply:
    provider = Gemini("p", url, key=options.pop("key", None), **options)
    try:
        return await collect(provider.stream(request))
    finally:
        await provider.aclose()


# ---------------------------------------------------------------- what is sent
def test_the_least_request() -> None:
    """Contents and the bound are sent; what is not set is not."""
    assert body_of(ModelRequest("gemini-2.5-flash", USER)) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 1024, "temperature": 0.0},
    }


def test_a_conversation_with_tools() -> None:
    """The system text is apart, results name their function, and ids that were made here are not sent back."""
    calls = (ToolCall("call-0", "look", '{"q": "x"}'), ToolCall("fc2", "now", ""))
    request = ModelRequest(
        "gemini-2.5-flash",
        (
            Message("system", "be brief"),
            Message("user", "hi"),
            Message("assistant", "well", calls),
            Message("tool", "42", tool_call_id="call-0"),
            Message("tool", "noon", tool_call_id="fc2"),
            Message("assistant", ""),
            Message("user", "go on"),
        ),
        tools=(LOOK, NOW),
        seed=7,
        stop=("END",),
    )
    body = body_of(request)
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert body["contents"][1:] == [
        {"role": "model", "parts": [
            {"text": "well"},
            {"functionCall": {"name": "look", "args": {"q": "x"}}},
            {"functionCall": {"name": "now", "args": {}, "id": "fc2"}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "look", "response": {"result": "42"}}},
            {"functionResponse": {"name": "now", "response": {"result": "noon"}, "id": "fc2"}},
            {"text": "go on"},
        ]},
    ]  # fmt: skip
    assert body["tools"] == [{"functionDeclarations": [
        {"name": "look", "description": "looks", "parametersJsonSchema": LOOK.parameters},
        {"name": "now", "description": "the time"},
    ]}]  # fmt: skip
    assert (body["generationConfig"]["seed"], body["generationConfig"]["stopSequences"]) == (7, ["END"])


def test_a_schema_is_enforced_where_it_is_taken() -> None:
    """It goes as responseJsonSchema; beside tools only from Gemini 3 on, else the instruction spells it out."""
    request = ModelRequest("gemini-2.5-flash", USER, schema=SCHEMA)
    config = body_of(request)["generationConfig"]
    fitting = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", fitting)
    assert "responseJsonSchema" not in body_of(replace(request, enforce="validate"))["generationConfig"]
    early = body_of(replace(request, tools=(LOOK,)))
    assert "responseMimeType" not in early["generationConfig"]
    assert json.dumps(SCHEMA) in early["systemInstruction"]["parts"][0]["text"]
    assert "responseJsonSchema" in body_of(replace(request, model="gemini-3-pro", tools=(LOOK,)))["generationConfig"]


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"const": "x"}, {"enum": ["x"]}),
        ({"$ref": "#/$defs/x", "description": "d", "type": "object", "properties": {}}, {"$ref": "#/$defs/x"}),
        ({"enum": [True, False]}, {}),
        ({"enum": 5, "anyOf": 5, "properties": 5}, {}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "object", "additionalProperties": {"type": "number", "multipleOf": 2}},
         {"type": "object", "additionalProperties": {"type": "number"}}),
        ({"type": "array", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "string", "minLength": 1}}},
         {"type": "array", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "string"}}}),
        ({"type": "object", "properties": {"const": {"type": "integer", "minimum": 1}}},
         {"type": "object", "properties": {"const": {"type": "integer", "minimum": 1}}}),
    ],
)  # fmt: skip
def test_schemas_keep_to_what_is_taken(schema: Any, made: Any) -> None:
    """Keywords that are not taken are left out or said otherwise, names of fields are not taken for keywords."""
    assert response_schema(schema) == made


def test_a_bottomless_schema_ends() -> None:
    """A schema that contains itself ends the walk instead of the stack."""
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    assert json.dumps(response_schema(schema)).count("items") < 100


def test_extra_is_merged() -> None:
    """`extra` adds to our generationConfig and removes from it, and may not replace the contents."""
    body = body_of(
        ModelRequest("m", USER), generationConfig={"thinkingConfig": {"thinkingBudget": 0}, "temperature": None}
    )
    assert body["generationConfig"] == {"maxOutputTokens": 1024, "thinkingConfig": {"thinkingBudget": 0}}
    assert "generationConfig" not in body_of(ModelRequest("m", USER), generationConfig=None)
    with pytest.raises(BadOption, match="may not set contents"):
        Gemini("p", extra={"contents": []})


async def test_the_address_and_the_header(
    loopback: Loopback, asked: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is in the path, and the key in a header, never in the address."""
    monkeypatch.setenv("ORCH_TEST_KEY", "AIza-canary-0123")
    await reply_of(loopback.sse(piece("hi", "STOP")), asked, key="env:ORCH_TEST_KEY")
    path, headers, _ = loopback.heard[-1]
    assert path.endswith("/v1/models/m:streamGenerateContent?alt=sse")
    assert headers["x-goog-api-key"] == "AIza-canary-0123"
    assert "authorization" not in headers


@pytest.mark.parametrize("model", ["", "../x", "a/b", "models/../x", "m?key=1", "m#", "m:embed", "m\n", "models/"])
async def test_a_model_that_leads_elsewhere_is_refused(loopback: Loopback, asked: ModelRequest, model: str) -> None:
    """An id with characters of an address is refused before anything is sent."""
    before = len(loopback.heard)
    with pytest.raises(BadRequest, match="must be the id of a model"):
        await reply_of(loopback.sse(b""), replace(asked, model=model))
    assert len(loopback.heard) == before


def test_models_by_their_full_name() -> None:
    """Ids may be written with what precedes them in Google's own lists."""
    assert model_path("models/gemini-2.5-pro", "p") == "/models/gemini-2.5-pro:streamGenerateContent"
    assert model_path("tunedModels/mine-1", "p") == "/tunedModels/mine-1:streamGenerateContent"


def test_the_vendor_google_is_this_adapter() -> None:
    """`google/...` models are asked in Google's own protocol."""
    assert isinstance(vendor("google"), Gemini)


def test_what_is_shown_of_a_provider() -> None:
    """Its name, address and the key's reference; never the key nor the query."""
    assert repr(Gemini("p", "https://host/v1", key=None)) == "Gemini('p', 'https://host/v1', key=None)"
    assert Gemini().key_reference == "env:GEMINI_API_KEY"


# ---------------------------------------------------------------- what comes back
async def test_a_whole_stream(loopback: Loopback, asked: ModelRequest, recorded: Callable[[str], bytes]) -> None:
    """Text without thoughts, the model, the reply's id, and usage with thoughts inside the output."""
    reply = await reply_of(loopback.sse(recorded("gemini_stream.sse")), asked)
    assert reply == Reply("Hello 漢🙂", (), "stop", Usage(1030, 45, 1000, 40), "gemini-2.5-flash", "r1", reasoned=True)


def test_tool_calls(recorded: Callable[[str], bytes]) -> None:
    """Calls come whole, with the model's ids, and a STOP with calls is `tool_calls`."""
    assert folded(recorded("gemini_tools.sse")) == [
        ToolCallEvent(ToolCall("fc1", "weather", '{"city": "Paris"}')),
        ToolCallEvent(ToolCall("fc2", "now", "{}")),
        Completed("tool_calls", Usage(60, 68, 0, 50), "gemini-3-pro", "r2"),
    ]


def test_calls_without_ids_get_some() -> None:
    """Models that give no ids get ids that tell the calls of one reply, and of two replies, apart."""
    two = ({"functionCall": {"name": "now"}}, {"functionCall": {"name": "now"}})
    found = [e.call.id for e in folded(parts(*two, responseId="r9")) if isinstance(e, ToolCallEvent)]
    assert found == ["call-r9-0", "call-r9-1"]
    assert [e.call.id for e in folded(parts(*two)) if isinstance(e, ToolCallEvent)] == ["call-0", "call-1"]


async def test_signed_thoughts_go_back(
    loopback: Loopback, asked: ModelRequest, recorded: Callable[[str], bytes]
) -> None:
    """The next request has the parts as they came; a provider that knows none waives the signature, but not for Gemini 2."""
    provider = Gemini("p", loopback.sse(recorded("gemini_tools.sse")), key=None)
    first = await collect(provider.stream(asked))
    answers = tuple(Message("tool", "x", tool_call_id=call.id) for call in first.tool_calls)
    after = replace(asked, messages=(*asked.messages, Message("assistant", first.text, first.tool_calls), *answers))
    await collect(provider.stream(after))
    await provider.aclose()
    sent = json.loads(loopback.heard[-1][2])["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in sent] == ["c2lnbmVk", None]
    signatures = {
        model: [part.get("thoughtSignature") for part in body_of(replace(after, model=model))["contents"][1]["parts"]]
        for model in ("gemini-3-pro", "gemini-2.5-pro")
    }
    assert signatures["gemini-3-pro"] == ["skip_thought_signature_validator", None]
    assert signatures["gemini-2.5-pro"] == [None, None]


def test_what_could_be_another_turns_is_not_kept() -> None:
    """Signed parts whose calls have no id at all are not kept: they could go back into another conversation."""
    stream = GeminiStream()
    stream.feed(json.dumps({"candidates": [{"content": {"parts": [
        {"functionCall": {"name": "now"}, "thoughtSignature": "s"}]}, "finishReason": "STOP"}]}))  # fmt: skip
    stream.finish()
    assert stream.signed_content() is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"),
     ("PROHIBITED_CONTENT", "content_filter"), ("SOMETHING_NEW", "something_new")],
)  # fmt: skip
def test_why_it_finished(reason: str, finish: str) -> None:
    """Google's words become ours; what has no word of ours keeps its own."""
    assert last(piece("x", reason)).finish_reason == finish


@pytest.mark.parametrize(
    "reason", ["OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"]
)
def test_a_model_that_gave_up_gave_no_answer(reason: str) -> None:
    """Reasons that leave half an answer are a fault that names them."""
    with pytest.raises(ChatFault, match=reason):
        folded(piece("half", reason))


def test_a_blocked_prompt() -> None:
    """A prompt that was blocked is an answer withheld, with what it cost."""
    raw = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}})
    assert folded(f"data: {raw}\n\n".encode()) == [Completed("content_filter", Usage(9, 0))]


def test_usage_may_follow_the_end_and_other_candidates_are_not_read() -> None:
    """Counts in a chunk of their own count; a second candidate is not a part of the answer."""
    other = b'data: {"candidates": [{"index": 1, "content": {"parts": [{"text": "no"}]}}]}\n\n'
    counts = (
        b'data: {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 1, "toolUsePromptTokenCount": 2}}\n\n'
    )
    assert folded(other + piece("x", "STOP") + counts) == [TextDelta("x"), Completed("stop", Usage(6, 1), "m")]
    assert last(piece("x", "STOP")).usage is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"data: 7\n\n", "a number, not an object"),
        (b"data: {\n\n", "not JSON"),
        (b'data: {"candidates": {}}\n\n', "candidates is an object, not a list"),
        (b'data: {"candidates": [7]}\n\n', "candidates has a number"),
        (b'data: {"candidates": [{"content": []}]}\n\n', "content is a list"),
        (parts({"text": 5}), "text is a number"),
        (parts({"functionCall": {"args": {}}}), "names no tool"),
        (parts({"functionCall": "x"}), "functionCall is text"),
        (parts({"functionCall": {"name": "f", "args": [1]}}), "args is a list"),
        (parts({"functionCall": {"name": "f", "args": {"x": float("nan")}}}), "arguments of a tool call are not JSON"),
        (parts(*[{"functionCall": {"name": "f"}}] * 65), "more than 64 tool calls"),
        (parts(*[{"functionCall": {"name": "f", "id": "1"}}] * 2), "the same id"),
        (parts({"text": "\ud83d"}), "half a surrogate pair"),
        (parts({"functionCall": {"name": "f", "args": {"x": "\ud83d"}}}), "half a surrogate pair"),
        (piece("half"), "before it said why"),
        (b"", "before it said why"),
    ],
)
def test_what_is_no_whole_stream(raw: bytes, why: str) -> None:
    """Chunks that are broken or missing are a fault that says which."""
    with pytest.raises(ChatFault, match=why):
        folded(raw)


def test_an_error_chunk() -> None:
    """An error inside the stream is reported with its body."""
    with pytest.raises(ReportedError):
        folded(b'data: {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}\n\n')


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ({"promptTokenCount": float("nan")}, "promptTokenCount is nan"),
        ({"promptTokenCount": 1, "candidatesTokenCount": -2}, "candidatesTokenCount is -2"),
        ({"candidatesTokenCount": 1}, "promptTokenCount is missing"),
        ({"promptTokenCount": 1, "thoughtsTokenCount": 10**12}, "beyond any call"),
        ({"promptTokenCount": 1, "cachedContentTokenCount": 2}, "cachedContentTokenCount 2 exceeds"),
    ],
)
def test_bad_counts_are_named_and_never_counted(sent: Any, names: str) -> None:
    """Counts that are none mark the usage as bad, so that the call settles at its reservation."""
    usage = gemini_usage(sent)
    assert usage is not None
    assert names in usage.bad
    assert (usage.input_tokens, usage.output_tokens) == (0, 0)
    assert last(piece("x", "STOP", usageMetadata=[1])).usage == Usage(bad="usageMetadata is a list")


async def test_the_replys_header_names_it_first(loopback: Loopback, asked: ModelRequest) -> None:
    """A request id in the header is kept before the reply's own."""
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nx-request-id: h1\r\n\r\n")
    assert (await reply_of(loopback.serve(head + piece("x", "STOP", responseId="r1")), asked)).request_id == "h1"
