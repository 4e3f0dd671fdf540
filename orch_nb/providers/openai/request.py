"""One `ModelRequest` as the JSON body of an OpenAI-compatible chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.schema.messages import Json, Message, ModelRequest, ToolSpec

KEPT = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""What `extra` may not change: our reading of the reply depends on it."""
_DEEPEST = 64


def chat_body(request: ModelRequest, *, max_tokens_field: str = "max_tokens", extra: Mapping[str, Json] | None = None) -> dict[str, Json]:  # fmt: skip
    """The body of the call.

    Parameters
    ----------
    max_tokens_field
        The name under which this provider takes the bound of the answer.
    extra
        Further fields; a value of None removes a field that this model does not take.
    """
    body: dict[str, Json] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        max_tokens_field: request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.logprobs:
        body["logprobs"] = True
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.schema is not None and request.enforce != "validate":
        body["response_format"] = _response_format(request.schema)
    return _with_extra(body, extra or {})


def fits_strict(schema: Json, _depth: int = 0) -> bool:
    """Return whether `schema` keeps to what a strict mode takes: every object closed, with all its properties required."""
    if _depth > _DEEPEST:
        return False
    if isinstance(schema, list):
        return all(fits_strict(item, _depth + 1) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
    return all(fits_strict(value, _depth + 1) for value in schema.values())


def _response_format(schema: dict[str, Json]) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": fits_strict(schema)}}


def _message(message: Message) -> Json:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def _tool(tool: ToolSpec) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _with_extra(body: dict[str, Json], extra: Mapping[str, Json]) -> dict[str, Json]:
    merged = {**body, **extra}
    return {name: value for name, value in merged.items() if value is not None or name not in extra}
