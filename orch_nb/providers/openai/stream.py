"""The reading of a chat completion's stream: chunks in, `ModelEvent`s out, and a verdict whether it is whole.

A stream is whole when it said why it finished *and* said that it is done. Anything else is a fault: half an answer is
never taken for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from orch_nb.providers.transport.checked_json import TextJoin, characters, kind, object_sent, text_in, told_apart
from orch_nb.providers.transport.stream import MOST_CALLS, ChatFault
from orch_nb.providers.usage import usage_of
from orch_nb.schema.messages import Completed, ModelEvent, TextDelta, ToolCall, ToolCallEvent
from orch_nb.schema.service import service_in

DONE = "[DONE]"
MOST_LOGPROB = 1e-6
"""Servers round: a token that is certain may come out a little above 0."""
MOST_SCORED = 512
"""Tokens of an answer whose log-probabilities are kept: labels are short, and of a text the beginning will do."""
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")
"""Where servers send what a model thinks: DeepSeek and vLLM; OpenRouter and Groq; OpenRouter when it is encrypted."""
_FINISHES = {"function_call": "tool_calls", "max_tokens": "length"}


@dataclass(slots=True)
class _Call:
    """A tool call being put together."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChatStream:
    """Folds the chunks of one reply.

    Notes
    -----
    `feed` and `finish` return events; the tool calls come from `finish`, once they are whole and checked.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.model = ""
        self._calls: dict[int, _Call] = {}
        self._finish = ""
        self._refused = self._reasoned = False
        self._usage: object = None
        self._served: dict[str, str] = {}
        self._join = TextJoin()
        self._logprobs: list[tuple[str, float]] | None = []

    def feed(self, data: str) -> list[ModelEvent]:
        """The events of one chunk's `data`. What follows the end mark is ignored.

        Raises
        ------
        ChatFault
            The chunk is broken.
        ReportedError
            The chunk is an error object.
        """
        if self.is_done:
            return []
        if data.strip() == DONE:
            self.is_done = True
            return []
        chunk = object_sent(data)
        self._note(chunk)
        return [event for choice in self._choices(chunk) for event in self._choice(choice)]

    def finish(self, request_id: str = "") -> list[ModelEvent]:
        """The last events: the tool calls, then `Completed`.

        Raises
        ------
        ChatFault
            The stream is not whole, ends within a character, or its tool calls are not usable.
        """
        if not self.is_done:
            raise ChatFault("the stream ended before it said that it is done")
        if not self._finish:
            raise ChatFault("the stream is done but never said why the answer finished")
        self._join.close()
        calls: list[ModelEvent] = [ToolCallEvent(call) for call in self._whole_calls()]
        why = "refusal" if self._refused and self._finish == "stop" else self._finish
        usage, scored = usage_of(self._usage), tuple(self._logprobs or ())
        return [*calls, Completed(why, usage, self.model, request_id, scored, self._reasoned, self._served)]

    def _note(self, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("model"), str):
            self.model = characters(chunk["model"][:200])
        self._served |= service_in(chunk)
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]

    def _choices(self, chunk: dict[str, object]) -> list[dict[str, object]]:
        choices = chunk.get("choices")
        if choices is None:
            return []
        if not isinstance(choices, list):
            raise ChatFault(f"choices is {kind(choices)}, not a list")
        return [choice for choice in choices if _is_first(choice)]

    def _choice(self, choice: dict[str, object]) -> list[ModelEvent]:
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise ChatFault(f"delta is {kind(delta)}, not an object")
        self._note_finish(choice.get("finish_reason"))
        self._note_logprobs(choice.get("logprobs"))
        self._fragments(delta.get("tool_calls") or [])
        self._reasoned |= any(delta.get(name) for name in _THOUGHTS)
        return self._text(delta, "content") + self._text(delta, "refusal")

    def _note_finish(self, reason: object) -> None:
        if reason is None:
            return
        if not isinstance(reason, str) or not reason:
            raise ChatFault(f"finish_reason is {kind(reason)}, not a word")
        self._finish = _FINISHES.get(reason, characters(reason[:40]))

    def _note_logprobs(self, sent: object) -> None:
        """Log-probabilities of the answer's tokens. They are a help and no part of the answer: what is odd voids them all."""
        rows = sent.get("content") if isinstance(sent, dict) else None
        if not rows or self._logprobs is None:
            return
        scored = [_token_score(row) for row in rows] if isinstance(rows, list) else [None]
        known = [one for one in scored if one is not None]
        self._logprobs = [*self._logprobs, *known][:MOST_SCORED] if len(known) == len(scored) else None

    def _text(self, delta: dict[str, object], name: str) -> list[ModelEvent]:
        text = text_in(delta, name)
        if not text:
            return []
        self._refused |= name == "refusal"
        text = self._join.add(text)
        return [TextDelta(text)] if text else []

    def _fragments(self, fragments: object) -> None:
        if not isinstance(fragments, list):
            raise ChatFault(f"tool_calls is {kind(fragments)}, not a list")
        for fragment in fragments:
            self._fragment(fragment)

    def _fragment(self, fragment: object) -> None:
        if not isinstance(fragment, dict):
            raise ChatFault(f"a tool call is {kind(fragment)}, not an object")
        place = fragment.get("index")
        place = self._next_place(fragment) if place is None else place
        if not isinstance(place, int) or isinstance(place, bool) or place < 0:
            raise ChatFault(f"a tool call's index is {kind(place)}")
        if place >= MOST_CALLS:
            raise ChatFault(f"the reply has more than {MOST_CALLS} tool calls")
        function = fragment.get("function") or {}
        if not isinstance(function, dict):
            raise ChatFault(f"a tool call's function is {kind(function)}, not an object")
        call = self._calls.setdefault(place, _Call())
        call.id += text_in(fragment, "id", "a tool call's id") if not call.id else ""
        call.name += text_in(function, "name", "a tool call's name") if not call.name else ""
        call.arguments.append(text_in(function, "arguments", "a tool call's arguments"))

    def _next_place(self, fragment: dict[str, object]) -> int:
        """Return where a fragment without an index belongs: some servers send each call whole and number none."""
        known = {call.id: place for place, call in self._calls.items()}
        name = text_in(fragment, "id", "a tool call's id")
        return known.get(name, len(known)) if name else max(len(known) - 1, 0)

    def _whole_calls(self) -> list[ToolCall]:
        calls = []
        for place, call in sorted(self._calls.items()):
            if not call.name:
                raise ChatFault(f"tool call {place} names no tool")
            name = call.id or f"call_{place}"
            calls.append(ToolCall(characters(name[:200]), characters(call.name), characters("".join(call.arguments))))
        return told_apart(calls)


def _token_score(row: object) -> tuple[str, float] | None:
    """A token and its log-probability; None where the number cannot be one."""
    row = row if isinstance(row, dict) else {}
    token: object = row.get("token")
    value: Any = row.get("logprob")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(token, str) or not is_number or not math.isfinite(value) or value > MOST_LOGPROB:
        return None
    return token.encode("utf-8", "replace").decode(), float(value)


def _is_first(choice: object) -> bool:
    if not isinstance(choice, dict):
        raise ChatFault(f"a choice is {kind(choice)}, not an object")
    return bool(choice.get("index", 0) == 0)
