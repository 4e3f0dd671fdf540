"""Small servers that speak Anthropic's and Google's protocols: they answer as EchoProvider would, and refuse what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch_nb.providers.fakes import EchoProvider
from orch_nb.schema.messages import Message, ModelRequest, Reply, Usage, collect
from tests.unit.providers.loopback import SSE_HEAD

if TYPE_CHECKING:
    import asyncio


def event(kind: str, **fields: Any) -> bytes:
    """One event of a Messages stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def piece(text: str = "", finish: str = "", **fields: Any) -> bytes:
    """One chunk of a Gemini stream."""
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [{"text": text}] if text else []}}
    if finish:
        candidate["finishReason"] = finish
    return b"data: " + json.dumps({"candidates": [candidate], "modelVersion": "m", **fields}).encode() + b"\n\n"


def said(*texts: str, stop: str = "end_turn", usage: dict[str, Any] | None = None) -> bytes:
    """A whole Messages stream."""
    usage = {"input_tokens": 3, "output_tokens": 2} if usage is None else usage
    return b"".join(
        [
            event("message_start", message={"model": "m", "usage": usage}),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": t}) for t in texts),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": stop}, usage={}),
            event("message_stop"),
        ]
    )


async def anthropic(headers: dict[str, str], body: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
    """Answers POST /messages; by the forced tool, or by the format, as it is asked to."""
    asked = json.loads(body)
    assert headers["anthropic-version"] == "2023-06-01"
    assert asked["messages"][0]["role"] == "user"
    texts = [block["text"] for turn in asked["messages"] for block in turn["content"]]
    schema = asked.get("output_config", {}).get("format", {}).get("schema")
    forced = asked.get("tool_choice", {}).get("name", "")
    if forced:
        schema = asked["tools"][0]["input_schema"]
    reply = await _echo(asked["model"], asked["system"], texts, schema, asked["max_tokens"])
    usage = reply.usage or Usage()
    start = {"type": "tool_use", "id": "t", "name": forced, "input": {}} if forced else {"type": "text", "text": ""}
    kind, field = ("input_json_delta", "partial_json") if forced else ("text_delta", "text")
    counts = {"input_tokens": usage.input_tokens, "output_tokens": 1}
    writer.write(SSE_HEAD + event("message_start", message={"model": asked["model"], "usage": counts}))
    writer.write(event("content_block_start", index=0, content_block=start))
    for word in reply.text.split(" "):
        writer.write(event("content_block_delta", index=0, delta={"type": kind, field: word}))
    writer.write(event("content_block_stop", index=0))
    stop = {"stop_reason": "tool_use" if forced else "end_turn"}
    writer.write(event("message_delta", delta=stop, usage={"output_tokens": usage.output_tokens}))
    writer.write(event("message_stop"))
    await writer.drain()


async def gemini(headers: dict[str, str], body: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
    """Answers POST /models/m:streamGenerateContent?alt=sse."""
    asked = json.loads(body)
    config = asked["generationConfig"]
    texts = [part["text"] for turn in asked["contents"] for part in turn["parts"]]
    system = asked["systemInstruction"]["parts"][0]["text"]
    reply = await _echo("m", system, texts, config.get("responseJsonSchema"), config["maxOutputTokens"])
    usage = reply.usage or Usage()
    counts = {"promptTokenCount": usage.input_tokens, "candidatesTokenCount": usage.output_tokens}
    writer.write(SSE_HEAD + b"".join(piece(word) for word in reply.text.split(" ")))
    writer.write(piece(finish="STOP", usageMetadata=counts))
    await writer.drain()


async def _echo(model: str, system: str, texts: list[str], schema: Any, max_tokens: int) -> Reply:
    request = ModelRequest(model, (Message("system", system), *(Message("user", text) for text in texts)))
    return await collect(EchoProvider().stream(replace(request, schema=schema, max_tokens=max_tokens)))
