"""One `ModelRequest` as the JSON body of Anthropic's Messages API.

References
----------
platform.claude.com/docs/en/api/messages, .../build-with-claude/structured-outputs, .../build-with-claude/extended-thinking
and the migration guides of 2026 (sampling parameters), as found in stored copies, read November 2026.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch_nb.providers.transport.checked_json import arguments_of
from orch_nb.providers.transport.vendor_errors import with_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.providers.transport.thinking_blocks import TurnMemory
    from orch_nb.schema.messages import Json, Message, ModelRequest, ToolCall, ToolSpec

KEPT = frozenset({"model", "messages", "stream", "system", "tools"})
"""What `extra` may not change: our reading of the reply depends on it."""
ANSWER_TOOL = "give_answer"
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_NEWEST = (99, 0)


def messages_body(request: ModelRequest, *, extra: Mapping[str, Json], memory: TurnMemory) -> dict[str, Json]:
    """The body of the call.

    Notes
    -----
    `seed` is not sent: the interface has none. `temperature` is sent to the models that take one (up to Claude 4.6, and
    those of other makers); later ones answer 400 to any that is not their default. Consecutive messages of one side
    become one, and empty texts are left out, as the interface refuses them.
    """
    body: dict[str, Json] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "stream": True,
        "messages": _turns(request.messages, memory),
    }
    if system := "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content.strip()):
        body["system"] = system
    if takes_sampling(request.model) and not thinks(extra):
        body["temperature"] = min(request.temperature, 1.0)
    if stops := [stop for stop in request.stop if stop.strip()]:
        body["stop_sequences"] = stops
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    _enforce(body, request, extra)
    body = with_extra(body, extra)
    if _has_lost_thoughts(request.messages, memory) and thinks(extra) and extra["thinking"].get("type") == "enabled":
        del body["thinking"]
    return body


def answer_tool(body: Mapping[str, Json], request: ModelRequest) -> str:
    """The name of the tool that carries the answer, "" when the answer is plain text."""
    tools = body.get("tools", ())
    return tools[-1]["name"] if len(tools) > len(request.tools) else ""


def generation(model: str) -> tuple[int, int] | None:
    """The version in a Claude model's id, such as (4, 6); None for models of other makers, (99, 0) when it names none."""
    if "claude" not in model:
        return None
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def takes_sampling(model: str) -> bool:
    """Return whether the model takes a temperature: those from Claude 4.7 on refuse it."""
    return (generation(model) or (0, 0)) < (4, 7)


def takes_format(model: str) -> bool:
    """Return whether the model takes `output_config.format`: Claude from 4.5 on; servers of other makers mostly do not."""
    return (generation(model) or (0, 0)) >= (4, 5)


def thinks(extra: Mapping[str, Json]) -> bool:
    """Return whether `extra` switches thinking on, with which neither a temperature nor a forced tool is taken."""
    thinking = extra.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"


def _enforce(body: dict[str, Json], request: ModelRequest, extra: Mapping[str, Json]) -> None:
    """Hold the model to the schema: by its structured outputs, else by a tool whose input is the answer."""
    schema = request.schema
    if schema is None or request.enforce == "validate":
        return
    fitting = format_schema(schema) if takes_format(request.model) else None
    if fitting is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": fitting}}
        return
    name = _free_name(request.tools)
    tool = {
        "name": name,
        "description": "Give the final answer. It must be given by this tool.",
        "input_schema": schema,
    }
    body["tools"] = [*body.get("tools", ()), tool]
    body["tool_choice"] = _choice(name, request, extra)
    if body["tool_choice"]["type"] == "auto":
        rule = f"Give the final answer by calling the tool `{name}`, never as text."
        body["system"] = f"{body['system']}\n\n{rule}" if "system" in body else rule


def _choice(name: str, request: ModelRequest, extra: Mapping[str, Json]) -> dict[str, Json]:
    """Return how strongly the answer's tool is asked for: a model that thinks cannot be forced."""
    if thinks(extra) or not takes_sampling(request.model):
        return {"type": "auto"}
    return {"type": "any"} if request.tools else {"type": "tool", "name": name}


def _free_name(tools: Sequence[ToolSpec]) -> str:
    """A name for the answer's tool that no other tool has."""
    name = ANSWER_TOOL
    while any(tool.name == name for tool in tools):
        name += "_"
    return name


def _has_lost_thoughts(messages: Sequence[Message], memory: TurnMemory) -> bool:
    """Return whether the last tool calls came without thoughts that could go back: thinking on a budget is refused after those."""
    asked = [message.tool_calls for message in messages if message.tool_calls]
    return bool(asked) and messages[-1].role == "tool" and memory.recall(asked[-1]) is None


def _turns(messages: Sequence[Message], memory: TurnMemory) -> list[Json]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not (content := _content(message, memory)):
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += content
        else:
            turns.append({"role": role, "content": content})
    return turns


def _content(message: Message, memory: TurnMemory) -> list[Json]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": _id(message.tool_call_id), "content": message.content}]
    if message.tool_calls and (said := memory.recall(message.tool_calls)):
        return list(said)
    text: list[Json] = [{"type": "text", "text": message.content}] if message.content.strip() else []
    return text + [_tool_use(call) for call in message.tool_calls]


def _tool_use(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_of(call)}


def _id(call_id: str) -> str:
    """An id in the characters that this interface takes; other vendors' ids come here when a model falls back."""
    return _NOT_IN_AN_ID.sub("_", call_id) or "call"


def _tool(tool: ToolSpec) -> Json:
    return {"name": tool.name, "description": tool.description, "input_schema": {"type": "object", **tool.parameters}}


# ------------------------------------------------------------------ schemas
# JSON Schemas in the subset that Anthropic's structured outputs take.
#
# References
# ----------
# platform.claude.com/docs/en/build-with-claude/structured-outputs ("JSON outputs", "JSON Schema limitations"), as found in
# stored copies of 2026, read November 2026.

_TAKEN = frozenset({"type", "description", "title", "const", "default", "required", "$ref"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
_MOST_NODES = 2_000
_DEEPEST = 64


class _Unfit(Exception):
    """The schema says something that the subset cannot."""


def format_schema(schema: dict[str, Json]) -> dict[str, Json] | None:
    """`schema` as structured outputs take it, or None when they cannot express it.

    Returns
    -------
    dict or None
        Every object closed. Bounds, lengths and patterns are left out, so that more is allowed than `schema` allows: the
        answer is validated here in every case. None for maps with free keys, values of any kind, recursion, references
        to elsewhere, and more than 24 optional or 16 alternative fields, which the interface refuses as too complex.

    Notes
    -----
    O(size of the schema with its references followed), capped at 2,000 nodes.
    """
    walk = _Walk(schema)
    try:
        return walk.schema(schema, 0, frozenset())
    except (_Unfit, TypeError):  # TypeError: a keyword holds what no schema has there
        return None


class _Walk:
    def __init__(self, root: dict[str, Json]) -> None:
        self._root = root
        self._nodes = self._optional = self._unions = 0

    def schema(self, node: Json, depth: int, inside: frozenset[str]) -> dict[str, Json]:
        """One schema; `inside` names the references that lead here."""
        self._nodes += 1
        if not isinstance(node, dict) or depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise _Unfit
        made: dict[str, Json] = {name: node[name] for name in node if name in _TAKEN}
        if "$ref" in node:
            self._check_ref(node["$ref"], depth, inside)
        elif not node.keys() & {"type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "items"}:
            raise _Unfit  # any value at all
        self._members(node, made, depth, inside)
        self._object(node, made, depth, inside)
        self._leaf(node, made)
        return made

    def _members(self, node: dict[str, Json], made: dict[str, Json], depth: int, inside: frozenset[str]) -> None:
        for name in ("$defs", "definitions"):
            if name in node:
                made[name] = {key: self.schema(one, depth + 1, inside) for key, one in _map(node[name]).items()}
        for name in ("anyOf", "oneOf", "allOf"):
            if name in node:
                self._unions += name != "allOf"
                kept = "anyOf" if name == "oneOf" else name
                made[kept] = [self.schema(one, depth + 1, inside) for one in node[name]]
        if isinstance(node.get("type"), list):
            self._unions += 1
        if "items" in node:
            made["items"] = self.schema(node["items"], depth + 1, inside)
        elif node.get("type") == "array":
            raise _Unfit
        if self._unions > _MOST_UNIONS:
            raise _Unfit

    def _object(self, node: dict[str, Json], made: dict[str, Json], depth: int, inside: frozenset[str]) -> None:
        if node.get("type") != "object" and "properties" not in node:
            return
        properties = _map(node.get("properties") or {})
        if not properties or isinstance(node.get("additionalProperties"), dict):
            raise _Unfit  # a map with free keys
        self._optional += len(properties.keys() - set(node.get("required") or ()))
        if self._optional > _MOST_OPTIONAL:
            raise _Unfit
        made["properties"] = {name: self.schema(one, depth + 1, inside) for name, one in properties.items()}
        made["additionalProperties"] = False

    def _leaf(self, node: dict[str, Json], made: dict[str, Json]) -> None:
        if "enum" in node:
            if any(isinstance(value, dict | list) for value in node["enum"]):
                raise _Unfit
            made["enum"] = node["enum"]
        if node.get("format") in _FORMATS:
            made["format"] = node["format"]
        if node.get("minItems") in (0, 1):
            made["minItems"] = node["minItems"]

    def _check_ref(self, ref: object, depth: int, inside: frozenset[str]) -> None:
        """A reference must lead to somewhere in this schema, and not back to itself."""
        if not isinstance(ref, str) or not ref.startswith("#/") or ref in inside:
            raise _Unfit
        target: object = self._root
        for step in ref[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise _Unfit
            target = target[name]
        optional, unions = self._optional, self._unions
        self.schema(target, depth + 1, inside | {ref})
        self._optional, self._unions = optional, unions  # counted where it is defined


def _map(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _Unfit
    return value
