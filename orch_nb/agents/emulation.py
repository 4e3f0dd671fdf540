"""Tools for models whose interface takes none: asked for in words, called by JSON, answered in plain messages.

Some chat templates drop the `tools` of a request without a word (the local model's does), so that an agent would answer as
if it had none. Here the call and the answer are two forms of one JSON object, enforced where JSON can be enforced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_nb.agents.answer import unfenced
from orch_nb.schema.messages import Message
from orch_nb.schema.values import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def is_emulated(definition: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether this model must be asked for tools in words."""
    return bool(definition.get("tools")) and not model.get("tools", True)


def tools_text(tools: Sequence[Mapping[str, Any]]) -> str:
    """What the system prompt says about the tools."""
    rows = [f"- {t['name']}: {t['description']} Arguments: {compact(t['parameters'])}" for t in tools]
    return "\n".join(
        [
            "You can use tools. To use one, answer with nothing but",
            '{"tool": "NAME", "arguments": {…}}',
            "Tools:",
            *rows,
            'When you have what you need, answer with nothing but {"answer": …}.',
        ]
    )


def either_schema(tools: Sequence[Mapping[str, Any]], answer: dict[str, Any] | None) -> dict[str, Any] | None:
    """A call of one of the tools, or the answer; None when parts of it refer to definitions, which cannot be merged."""
    parts = [t["parameters"] for t in tools] + ([answer] if answer else [])
    if any("$defs" in part for part in parts):
        return None
    calls = [_object({"tool": {"const": t["name"]}, "arguments": {"type": "object", **t["parameters"]}}) for t in tools]
    return {"anyOf": [*calls, _object({"answer": answer or {"type": "string"}})]}


def split_reply(text: str) -> tuple[str, list[dict[str, Any]]]:
    """(answer text, tool calls) of what the model wrote: one of the two is empty."""
    try:
        data = json.loads(unfenced(text))
    except (ValueError, RecursionError):
        return text, []
    if not isinstance(data, dict):
        return text, []
    if isinstance(data.get("tool"), str) and data.keys() <= {"tool", "arguments"}:
        return "", [{"id": "call", "name": data["tool"], "arguments": json.dumps(data.get("arguments") or {})}]
    if data.keys() == {"answer"}:
        answer = data["answer"]
        return (answer if isinstance(answer, str) else json.dumps(answer)), []
    return text, []


def flattened(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation without tool messages: calls as the JSON that asks for them, results as what the user says next."""
    out: list[Message] = []
    for message in messages:
        if message.tool_calls:
            calls = [f'{{"tool": {json.dumps(c.name)}, "arguments": {c.arguments}}}' for c in message.tool_calls]
            out.append(Message("assistant", "\n".join(calls)))
        elif message.role == "tool" and out and out[-1].role == "user":
            out[-1] = Message("user", f"{out[-1].content}\n{message.content}")
        elif message.role == "tool":
            out.append(Message("user", message.content))
        else:
            out.append(message)
    return tuple(out)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
