"""The reading of a Gemini stream: its chunks in, `ModelEvent`s out, and a verdict whether it is whole.

The interface has no end mark: a stream is whole when it said why it finished and then ended as HTTP says it must.

References
----------
ai.google.dev/api/generate-content (`GenerateContentResponse`, `Candidate.FinishReason`, `UsageMetadata`,
`PromptFeedback`), as found in stored copies, read November 2026.
"""

from __future__ import annotations

import json

from orch_nb.providers.gemini.request import MINTED
from orch_nb.providers.transport.checked_json import (
    BadCount,
    TextJoin,
    characters,
    count_in,
    kind,
    object_in,
    object_sent,
    objects_in,
    text_in,
    told_apart,
)
from orch_nb.providers.transport.stream import MOST_CALLS, ChatFault
from orch_nb.schema.messages import Completed, ModelEvent, TextDelta, ToolCall, ToolCallEvent, Usage
from orch_nb.schema.service import service_in

_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
_WITHHELD = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_FAILED = frozenset(
    {"FINISH_REASON_UNSPECIFIED", "OTHER", "LANGUAGE", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"}
    | {"UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER"}
)
"""Reasons that leave half an answer or none, through no rule that the prompt broke: asking again may help."""


class GeminiStream:
    """Folds the chunks of one reply."""

    is_done = False
    """The stream has no end mark: the reply is read to its end."""

    def __init__(self) -> None:
        self.calls: tuple[ToolCall, ...] = ()
        self._join = TextJoin()
        self._parts: list[dict[str, object]] = []
        self._found: list[dict[str, object]] = []
        self._model = self._response_id = self._finish = self._blocked = ""
        self._counts: dict[str, object] | None = None
        self._bad = ""
        self._served: dict[str, str] = {}

    def feed(self, data: str) -> list[ModelEvent]:
        """The events of one chunk's `data`.

        Raises
        ------
        ChatFault
            The chunk is broken.
        ReportedError
            The chunk is an error object.
        """
        chunk = object_sent(data)
        self._note(chunk)
        first = [one for one in objects_in(chunk, "candidates") if (one.get("index") or 0) == 0]
        return [event for candidate in first for event in self._candidate(candidate)]

    def finish(self, request_id: str = "") -> list[ModelEvent]:
        """The last events: the tool calls, then `Completed`.

        Raises
        ------
        ChatFault
            The stream is not whole, ends within a character, or the model finished without a usable answer.
        """
        if not self._finish and not self._blocked:
            raise ChatFault("the stream ended before it said why the answer finished")
        if self._finish in _FAILED:
            raise ChatFault(f"the model gave up without a whole answer ({self._finish})")
        self._join.close()
        self.calls = tuple(self._whole_calls())
        calls: list[ModelEvent] = [ToolCallEvent(call) for call in self.calls]
        thought = any(part.get("thought") for part in self._parts)
        named = request_id or self._response_id
        served = {**self._served, **service_in(self._counts or {})}
        last = Completed(self._reason(), self._usage(), self._model, named, reasoned=thought, served=served)
        return [*calls, last]

    def note_service(self, tier: str) -> None:
        """Take the service tier that the reply's header names, "" for none; what the reply itself says goes before it."""
        self._served = service_in({"service_tier": tier}) if tier else {}

    def signed_content(self) -> list[dict[str, object]] | None:
        """The parts of a whole reply as they must go back when some are signed; else None.

        None too where the tool calls have no ids of the model's, nor the reply one, by which they could be told from others.
        """
        if not self._response_id and not all(found.get("id") for found in self._found):
            return None
        return self._parts if any("thoughtSignature" in part for part in self._parts) else None

    # ------------------------------------------------------------ chunks
    def _note(self, chunk: dict[str, object]) -> None:
        self._model = characters(text_in(chunk, "modelVersion")[:200]) or self._model
        self._response_id = characters(text_in(chunk, "responseId")[:200]) or self._response_id
        self._blocked = text_in(object_in(chunk, "promptFeedback"), "blockReason") or self._blocked
        sent = chunk.get("usageMetadata")
        if sent is None:
            return
        if isinstance(sent, dict):
            self._counts = {**(self._counts or {}), **sent}
        else:
            self._bad = f"usageMetadata is {kind(sent)}"

    def _candidate(self, candidate: dict[str, object]) -> list[ModelEvent]:
        self._finish = characters(text_in(candidate, "finishReason")[:40]) or self._finish
        parts = objects_in(object_in(candidate, "content"), "parts")
        return [event for part in parts for event in self._part(part)]

    def _part(self, part: dict[str, object]) -> list[ModelEvent]:
        self._parts.append(part)
        if part.get("functionCall") is not None:
            self._found.append(object_in(part, "functionCall"))
            if len(self._found) > MOST_CALLS:
                raise ChatFault(f"the reply has more than {MOST_CALLS} tool calls")
        text = text_in(part, "text")
        if not text or part.get("thought"):
            return []
        text = self._join.add(text)
        return [TextDelta(text)] if text else []

    # ------------------------------------------------------------ the end
    def _reason(self) -> str:
        if self._finish in _WITHHELD or not self._finish:
            return "content_filter"
        reason = _FINISHES.get(self._finish, self._finish.lower())
        return "tool_calls" if reason == "stop" and self.calls else reason

    def _whole_calls(self) -> list[ToolCall]:
        return told_apart([self._whole_call(place, found) for place, found in enumerate(self._found)])

    def _whole_call(self, place: int, found: dict[str, object]) -> ToolCall:
        name = characters(text_in(found, "name"))
        if not name:
            raise ChatFault(f"tool call {place} names no tool")
        given = characters(text_in(found, "id")[:200])
        minted = f"{MINTED}{self._response_id[:40]}-{place}" if self._response_id else f"{MINTED}{place}"
        return ToolCall(given or minted, name, _argument_text(object_in(found, "args")))

    # ------------------------------------------------------------ usage
    def _usage(self) -> Usage | None:
        return Usage(bad=self._bad) if self._bad else gemini_usage(self._counts)


def gemini_usage(sent: dict[str, object] | None) -> Usage | None:
    """The normalised usage of one call; None when none was sent.

    Returns
    -------
    Usage
        Google counts thoughts beside the answer and tools' own prompts beside the prompt; both are added, as they are
        billed. What is 0 is left out of its JSON, but no prompt is. With `bad` set all counts are 0.
    """
    if sent is None:
        return None
    try:
        read = count_in(sent, "promptTokenCount")
        if read is None:
            raise BadCount("promptTokenCount is missing")
        read += count_in(sent, "toolUsePromptTokenCount") or 0
        cached = count_in(sent, "cachedContentTokenCount") or 0
        thought = count_in(sent, "thoughtsTokenCount") or 0
        written = (count_in(sent, "candidatesTokenCount") or 0) + thought
        if cached > read:
            raise BadCount(f"cachedContentTokenCount {cached:,} exceeds promptTokenCount {read:,}")
    except BadCount as fault:
        return Usage(bad=str(fault))
    return Usage(read, written, cached, thought)


def _argument_text(arguments: dict[str, object]) -> str:
    """The arguments as JSON text. Raises ChatFault when they hold what JSON has not, such as NaN."""
    try:
        return characters(json.dumps(arguments, ensure_ascii=False, allow_nan=False))
    except ChatFault:
        raise
    except (ValueError, RecursionError):
        pass
    raise ChatFault("the arguments of a tool call are not JSON")
