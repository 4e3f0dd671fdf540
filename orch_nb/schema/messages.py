"""Requests to models and their replies, independent of any vendor's wire format.

A provider turns one `ModelRequest` into a stream of `ModelEvent`; `collect` folds the stream into one `Reply`. All replies
are streamed. These are slotted dataclasses and not pydantic models, because they are in the engine's hot path. They are
written once and never changed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Json = Any
"""Plain data: None, bool, int, finite float, str, list, str-keyed dict."""

REPAIR = "That answer does not fit:"
"""How the message begins that sends an answer back; the call before it was a failed attempt."""
NO_FIT = "gave no answer that fits its `out`"
"""Part of the error of an agent whose last answer was refused by its type."""

UNSENT = "nothing was sent"
"""Argument of the `CancelledError` of a call that was cancelled before it was sent. Such a call costs 0."""

Role = Literal["system", "user", "assistant", "tool"]
Enforce = Literal["provider", "constrained", "validate"]


@dataclass(slots=True)
class ToolCall:
    """A model's request to call a tool. `arguments` is the raw JSON text, which the caller validates."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(slots=True)
class ToolSpec:
    """A tool as a model sees it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Json]


@dataclass(slots=True)
class ModelRequest:
    """One question to one model.

    Parameters
    ----------
    model
        The provider's id of the model (not the notebook's name).
    schema
        JSON Schema that the answer must satisfy, or None for text.
    enforce
        "provider": use the provider's JSON-schema mode. "constrained": the same, on a runtime that constrains decoding (the
        local one). "validate": only write the schema into the prompt. The answer is validated in every case.
    max_tokens
        Upper bound of the answer, a part of the reservation.
    timeout_s
        Deadline of the whole call in seconds, from the connection to the last byte.
    idempotency_key
        Sent as `Idempotency-Key` if the provider takes one.
    logprobs
        Ask for the log probabilities of the answer's tokens, if the interface has them.
    """

    model: str
    messages: tuple[Message, ...]
    schema: dict[str, Json] | None = None
    enforce: Enforce = "provider"
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    timeout_s: float = 60.0
    idempotency_key: str = ""
    logprobs: bool = False


@dataclass(slots=True)
class Usage:
    """Tokens of one call. Buckets are inclusive: `cached_tokens` (read from a provider's cache) and `cache_write_tokens` are
    part of `input_tokens`, `reasoning_tokens` of `output_tokens`. Adapters normalise to that.

    `estimated` is True if orch_nb counted the tokens (broken stream, no usage sent). `bad` names the error in the usage that
    the provider sent, "" for none; a call with a bad usage settles at its reservation.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    bad: str = ""
    cache_write_tokens: int = 0


@dataclass(slots=True)
class TextDelta:
    """A piece of the answer's text."""

    text: str


@dataclass(slots=True)
class ToolCallEvent:
    """A complete tool call (adapters assemble fragments)."""

    call: ToolCall


@dataclass(slots=True)
class Completed:
    """Last event of a stream that ended correctly.

    `finish_reason` is one of "stop", "length", "tool_calls", "content_filter" or the provider's own word. `usage` is None if
    the provider sent none; the caller then estimates it. `logprobs` are the answer's tokens with their log probabilities,
    empty if they were not requested, not sent, or not numbers. `reasoned` is True if the stream had reasoning before the
    answer. `served` is the service that the provider reports (`schema.service`).
    """

    finish_reason: str = "stop"
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
    logprobs: tuple[tuple[str, float], ...] = ()
    reasoned: bool = False
    served: dict[str, str] = field(default_factory=dict)

    def reply(self, text: str, tool_calls: tuple[ToolCall, ...]) -> Reply:
        """Return the whole reply, with the text and tool calls before this event."""
        return Reply(
            text, tool_calls, self.finish_reason, self.usage, self.model, self.request_id, self.logprobs, self.reasoned,
            self.served,
        )  # fmt: skip


ModelEvent = TextDelta | ToolCallEvent | Completed


@dataclass(slots=True)
class Reply:
    """A folded stream."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
    logprobs: tuple[tuple[str, float], ...] = ()
    reasoned: bool = False
    served: dict[str, str] = field(default_factory=dict)


@runtime_checkable
class Provider(Protocol):
    """Turns one request into a stream of events. It knows the wire format, but nothing of graphs or money.

    `stream` yields `TextDelta` and `ToolCallEvent`, then exactly one `Completed`, or raises one `ProviderError` (never a raw
    httpx, json, Unicode or Recursion error). It never retries: the engine retries, because retries are events. Closing the
    iterator early closes the connection. A provider that is cancelled before it sent anything may raise
    ``CancelledError(UNSENT)``; any other cancelled call costs its reservation.
    """

    name: str

    def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]: ...
    async def aclose(self) -> None: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors: in this process, deterministic, free of charge."""

    name: str
    dimensions: int

    def embed(self, texts: list[str], /) -> Any:
        """Return unit vectors as a float32 numpy array, shape (n_texts, dimensions)."""
        ...


async def collect(
    stream: AsyncIterator[ModelEvent],
    *,
    on_text: Callable[[str], object] | None = None,
    on_event: Callable[[], object] | None = None,
) -> Reply:
    """Return one `Reply` from a stream. Call `on_text(piece)` for each piece of text, and `on_event()` for each event."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    async for event in stream:
        if on_event is not None:
            on_event()
        match event:
            case TextDelta(text=text):
                texts.append(text)
                if on_text is not None:
                    on_text(text)
            case ToolCallEvent(call=call):
                calls.append(call)
            case Completed() as end:
                return end.reply("".join(texts), tuple(calls))
    from orch_nb.errors import MalformedReply

    raise MalformedReply("the provider's stream ended without an end mark.", billed=True)
