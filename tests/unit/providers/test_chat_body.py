"""What is sent: one request as a chat completion's body."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.providers.openai.request import chat_body, fits_strict
from orch_nb.schema.messages import Message, ModelRequest, ToolCall, ToolSpec

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_the_least_request() -> None:
    """Streaming with usage is always asked for; what is not set is not sent."""
    assert chat_body(ModelRequest("m", (Message("user", "hi"),))) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 1024,
        "temperature": 0.0,
    }


def test_a_conversation_with_tools() -> None:
    """Calls and their results go back in the protocol's form, with the tools' schemas."""
    call = ToolCall("c1", "look", '{"q": 1}')
    request = ModelRequest(
        "m",
        (Message("system", "s"), Message("assistant", "", (call,)), Message("tool", "42", tool_call_id="c1")),
        tools=(ToolSpec("look", "looks", {"type": "object"}),),
        seed=7,
        stop=("END",),
    )
    body = chat_body(request)
    assert body["messages"][1:] == [
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]  # fmt: skip
    assert body["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}}}
    ]
    assert (body["seed"], body["stop"]) == (7, ["END"])


@pytest.mark.parametrize(("enforce", "sent"), [("provider", True), ("constrained", True), ("validate", False)])
def test_the_schema_is_sent_where_it_is_enforced(enforce: Any, sent: bool) -> None:
    """`provider` and `constrained` send the schema; `validate` leaves it to the prompt and to us."""
    body = chat_body(ModelRequest("m", (), schema=CLOSED, enforce=enforce))
    assert ("response_format" in body) is sent
    if sent:
        assert body["response_format"]["json_schema"] == {"name": "answer", "schema": CLOSED, "strict": True}


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        (CLOSED, True),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "required": []}, False),
        ({"type": "array", "items": {**CLOSED, "required": []}}, False),
        ({"anyOf": [CLOSED, {"type": "null"}]}, True),
        ({"type": "object"}, False),
        ({"type": "string"}, True),
    ],
)
def test_strict_mode_is_asked_for_only_where_it_is_taken(schema: Any, fits: bool) -> None:
    """A schema with open objects or optional properties is sent without strict, which would be refused."""
    assert fits_strict(schema) is fits


def test_a_bottomless_schema_is_not_strict() -> None:
    """A schema nested without end ends the search instead of the stack."""
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    assert not fits_strict(schema)


def test_extra_fields_add_and_remove() -> None:
    """`extra` adds what a model wants and removes what it refuses."""
    body = chat_body(
        ModelRequest("m", ()), max_tokens_field="max_completion_tokens", extra={"temperature": None, "top_p": 0.5}
    )
    assert "temperature" not in body
    assert body["top_p"] == 0.5
    assert body["max_completion_tokens"] == 1024


def test_log_probabilities_are_asked_for_only_when_wanted() -> None:
    """`logprobs` is in the body where a route measures by it, and nowhere else."""
    plain = ModelRequest("m", (Message("user", "hi"),))
    assert "logprobs" not in chat_body(plain)
    assert chat_body(ModelRequest("m", (Message("user", "hi"),), logprobs=True))["logprobs"] is True
