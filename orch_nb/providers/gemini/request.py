"""One `ModelRequest` as the path and the JSON body of a Gemini call.

References
----------
ai.google.dev/api/generate-content; ai.google.dev/gemini-api/docs: "function-calling", "structured-output",
"thought-signatures"; as found in stored copies, read November 2026.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadRequest
from orch_nb.providers.transport.checked_json import arguments_of
from orch_nb.providers.transport.vendor_errors import with_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.providers.transport.thinking_blocks import TurnMemory
    from orch_nb.schema.messages import Json, Message, ModelRequest, ToolCall, ToolSpec

KEPT = frozenset({"contents", "systemInstruction", "tools"})
"""What `extra` may not change: our reading of the reply depends on it."""
MINTED = "call-"
"""How ids begin that were made here because the model gave none; they are not sent back."""
_UNSIGNED = "skip_thought_signature_validator"
"""What stands for the signature of a call that this model did not make, or whose thoughts are lost, as Google's own clients
send it ("thought-signatures", questions and answers; not tried with a key)."""
_MODEL = re.compile(r"(?:(?:models|tunedModels)/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_EARLY = re.compile(r"gemini-[12](?![0-9])")


def model_path(model: str, provider: str) -> str:
    """The path of a streamed call to `model`.

    Raises
    ------
    BadRequest
        `model` has characters that no model's id has, and that could lead elsewhere. Nothing was sent.
    """
    if not _MODEL.fullmatch(model):
        raise BadRequest(
            f"`{provider}`: {model[:80]!r} must be the id of a model. Nothing was sent.",
            provider=provider,
            model=model,
            hint="such as gemini-2.5-flash",
        )
    return f"/{model if '/' in model else f'models/{model}'}:streamGenerateContent"


def generate_body(request: ModelRequest, *, extra: Mapping[str, Json], memory: TurnMemory) -> dict[str, Json]:
    """The body of the call.

    Notes
    -----
    Gemini 1 and 2 refuse a schema beside tools: there the schema is spelled out in the system instruction instead.
    """
    config: dict[str, Json] = {"maxOutputTokens": request.max_tokens, "temperature": request.temperature}
    if request.seed is not None:
        config["seed"] = request.seed
    if request.stop:
        config["stopSequences"] = list(request.stop)
    system = [message.content for message in request.messages if message.role == "system" and message.content.strip()]
    if request.schema is not None and request.enforce != "validate":
        if request.tools and _is_early(request.model):
            system.append(_spelled_out(request.schema))
        else:
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = response_schema(request.schema)
    body: dict[str, Json] = {"contents": _contents(request, memory), "generationConfig": config}
    if system:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    return with_extra(body, extra)


def _is_early(model: str) -> bool:
    """Return whether this is Gemini 1 or 2, which neither wants signatures nor takes a schema beside tools."""
    return _EARLY.search(model) is not None


def _spelled_out(schema: Json) -> str:
    return f"When no tool is needed any more, answer with nothing but one JSON value that fits this schema:\n{json.dumps(schema, ensure_ascii=False)}"


def _contents(request: ModelRequest, memory: TurnMemory) -> list[Json]:
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in request.messages:
        names |= {call.id: call.name for call in message.tool_calls}
        if message.role == "system" or not (parts := _parts(message, names, request.model, memory)):
            continue
        role = "model" if message.role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, names: Mapping[str, str], model: str, memory: TurnMemory) -> list[Json]:
    if message.role == "tool":
        answer = {"name": names.get(message.tool_call_id, "unknown"), "response": {"result": message.content}}
        return [{"functionResponse": _with_id(answer, message.tool_call_id)}]
    if message.tool_calls and (said := memory.recall(message.tool_calls)):
        return list(said)
    parts: list[Json] = [{"text": message.content}] if message.content else []
    return parts + _calls(message.tool_calls, model)


def _calls(calls: Sequence[ToolCall], model: str) -> list[Json]:
    """Calls whose signatures are not known; only the first of a turn ever has one."""
    made: list[Json] = [{"functionCall": _with_id({"name": c.name, "args": arguments_of(c)}, c.id)} for c in calls]
    if made and not _is_early(model):
        made[0]["thoughtSignature"] = _UNSIGNED
    return made


def _with_id(part: dict[str, Json], call_id: str) -> dict[str, Json]:
    return part if not call_id or call_id.startswith(MINTED) else {**part, "id": call_id}


def _declaration(tool: ToolSpec) -> Json:
    parameters = {"type": "object", **tool.parameters}
    declared: dict[str, Json] = {"name": tool.name, "description": tool.description}
    return {**declared, "parametersJsonSchema": parameters} if parameters.get("properties") else declared


# ------------------------------------------------------------------ schemas
# JSON Schemas in the subset that Gemini's `responseJsonSchema` takes.
#
# References
# ----------
# ai.google.dev/gemini-api/docs/structured-output and ai.google.dev/api/generate-content (`GenerationConfig.responseJsonSchema`
# lists the supported keywords; recursion is followed only through fields that are not required), as found in stored copies
# of its documentation, read November 2026.

_TAKEN = frozenset(
    {"$id", "$ref", "$anchor", "type", "format", "title", "description", "minItems", "maxItems", "minimum", "maximum"}
    | {"required", "propertyOrdering"}
)
_BESIDE_REF = frozenset({"$id", "$ref", "$anchor"})
"""Beside a reference nothing else may be written but what begins with a dollar sign."""
_DEEPEST = 64


def response_schema(schema: Json, _depth: int = 0) -> Json:
    """`schema` with only the keywords that are taken; what is left out allows more, and the answer is validated here.

    Notes
    -----
    `const` becomes an enum of one and `oneOf` becomes `anyOf`. Below 64 levels anything is allowed. O(size).
    """
    if not isinstance(schema, dict):
        return schema
    if _depth > _DEEPEST:
        return {}
    taken = _BESIDE_REF if "$ref" in schema else _TAKEN
    made: dict[str, Json] = {name: value for name, value in schema.items() if name in taken}
    if isinstance(schema.get("$defs"), dict):
        made["$defs"] = {key: response_schema(one, _depth + 1) for key, one in schema["$defs"].items()}
    if "$ref" in schema:
        return made
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {key: response_schema(one, _depth + 1) for key, one in schema["properties"].items()}
    for name, kept in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("prefixItems", "prefixItems")):
        if isinstance(schema.get(name), list):
            made[kept] = [response_schema(one, _depth + 1) for one in schema[name]]
    for name in ("items", "additionalProperties"):
        if name in schema:
            made[name] = response_schema(schema[name], _depth + 1)
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if (
        isinstance(allowed, list)
        and allowed
        and all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in allowed)
    ):
        made["enum"] = list(allowed)
    return made
