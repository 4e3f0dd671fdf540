"""The reading of a chat completion's stream: chunks in, `ModelEvent`s out, and a verdict whether it is whole.

A stream is whole when it said why it finished *and* said that it is done. Anything else is a fault: half an answer is
never taken for one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from orch_nb.providers.usage import usage_of
from orch_nb.schema.messages import Completed, ModelEvent, TextDelta, ToolCall, ToolCallEvent

DONE = "[DONE]"
MOST_CALLS = 64
"""Tool calls of one reply; more is a model running wild, or an attack."""
MOST_LOGPROB = 1e-6
"""Servers round: a token that is certain may come out a little above 0."""
MOST_SCORED = 512
"""Tokens of an answer whose log-probabilities are kept: labels are short, and of a text the beginning will do."""
_FINISHES = {"function_call": "tool_calls", "max_tokens": "length"}


class ChatFault(ValueError):
    """The stream is not what the protocol says; the text says why."""


class ReportedError(Exception):
    """The provider put an error object into the stream; `body` is the parsed object."""

    def __init__(self, body: Any) -> None:
        super().__init__("error object in the stream")
        self.body = body


def parsed(text: str) -> Any:
    """One chunk's JSON.

    Raises
    ------
    ChatFault
        It is no JSON, is nested too deep, or has a number of more than 4,300 digits.

    Notes
    -----
    NaN and Infinity pass here: some servers write them into log-probabilities, which are then not used, and in the usage they
    mark the usage as bad without losing the answer. They cannot get into an answer, which is text.
    """
    try:
        return json.loads(text)
    except RecursionError:
        why = "nested too deep"
    except ValueError:
        why = "not JSON"
    raise ChatFault(f"a chunk of the stream is {why}")


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
        self._refused = False
        self._usage: Any = None
        self._half = ""
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
        chunk = parsed(data)
        if not isinstance(chunk, dict):
            raise ChatFault(f"a chunk of the stream is {_kind(chunk)}, not an object")
        if chunk.get("error"):
            raise ReportedError(chunk)
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
        if self._half:
            raise ChatFault("the text has half a surrogate pair, which is no character")
        calls: list[ModelEvent] = [ToolCallEvent(call) for call in self._whole_calls()]
        why = "refusal" if self._refused and self._finish == "stop" else self._finish
        return [*calls, Completed(why, usage_of(self._usage), self.model, request_id, tuple(self._logprobs or ()))]

    def _note(self, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("model"), str):
            self.model = _paired(chunk["model"][:200])
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]

    def _choices(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        choices = chunk.get("choices")
        if choices is None:
            return []
        if not isinstance(choices, list):
            raise ChatFault(f"choices is {_kind(choices)}, not a list")
        return [choice for choice in choices if _is_first(choice)]

    def _choice(self, choice: dict[str, Any]) -> list[ModelEvent]:
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise ChatFault(f"delta is {_kind(delta)}, not an object")
        self._note_finish(choice.get("finish_reason"))
        self._note_logprobs(choice.get("logprobs"))
        self._fragments(delta.get("tool_calls") or [])
        return self._text(delta, "content") + self._text(delta, "refusal")

    def _note_finish(self, reason: Any) -> None:
        if reason is None:
            return
        if not isinstance(reason, str) or not reason:
            raise ChatFault(f"finish_reason is {_kind(reason)}, not a word")
        self._finish = _FINISHES.get(reason, _paired(reason[:40]))

    def _note_logprobs(self, sent: Any) -> None:
        """Log-probabilities of the answer's tokens. They are a help and no part of the answer: what is odd voids them all."""
        rows = sent.get("content") if isinstance(sent, dict) else None
        if not rows or self._logprobs is None:
            return
        scored = [_scored(row) for row in rows] if isinstance(rows, list) else [None]
        known = [one for one in scored if one is not None]
        self._logprobs = [*self._logprobs, *known][:MOST_SCORED] if len(known) == len(scored) else None

    def _text(self, delta: dict[str, Any], name: str) -> list[ModelEvent]:
        text = delta.get(name)
        if text is None or text == "":
            return []
        if not isinstance(text, str):
            raise ChatFault(f"{name} is {_kind(text)}, not text")
        self._refused |= name == "refusal"
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return [TextDelta(_paired(text))] if text else []

    def _fragments(self, fragments: Any) -> None:
        if not isinstance(fragments, list):
            raise ChatFault(f"tool_calls is {_kind(fragments)}, not a list")
        for fragment in fragments:
            self._fragment(fragment)

    def _fragment(self, fragment: Any) -> None:
        if not isinstance(fragment, dict):
            raise ChatFault(f"a tool call is {_kind(fragment)}, not an object")
        place = fragment.get("index")
        place = self._next_place(fragment) if place is None else place
        if not isinstance(place, int) or isinstance(place, bool) or place < 0:
            raise ChatFault(f"a tool call's index is {_kind(place)}")
        if place >= MOST_CALLS:
            raise ChatFault(f"the reply has more than {MOST_CALLS} tool calls")
        function = fragment.get("function") or {}
        if not isinstance(function, dict):
            raise ChatFault(f"a tool call's function is {_kind(function)}, not an object")
        call = self._calls.setdefault(place, _Call())
        call.id += _string(fragment, "id") if not call.id else ""
        call.name += _string(function, "name") if not call.name else ""
        call.arguments.append(_string(function, "arguments"))

    def _next_place(self, fragment: dict[str, Any]) -> int:
        """Where a fragment without an index belongs: some servers send each call whole and number none."""
        known = {call.id: place for place, call in self._calls.items()}
        name = _string(fragment, "id")
        return known.get(name, len(known)) if name else max(len(known) - 1, 0)

    def _whole_calls(self) -> list[ToolCall]:
        calls = []
        for place, call in sorted(self._calls.items()):
            if not call.name:
                raise ChatFault(f"tool call {place} names no tool")
            name = call.id or f"call_{place}"
            calls.append(ToolCall(_paired(name[:200]), _paired(call.name), _paired("".join(call.arguments))))
        if len({call.id for call in calls}) < len(calls):
            raise ChatFault("two tool calls have the same id")
        return calls


def _scored(row: Any) -> tuple[str, float] | None:
    """A token and its log-probability; None where that is no number that one can be."""
    row = row if isinstance(row, dict) else {}
    token: Any = row.get("token")
    value: Any = row.get("logprob")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(token, str) or not is_number or not math.isfinite(value) or value > MOST_LOGPROB:
        return None
    return token.encode("utf-8", "replace").decode(), float(value)


def _is_first(choice: Any) -> bool:
    if not isinstance(choice, dict):
        raise ChatFault(f"a choice is {_kind(choice)}, not an object")
    return bool(choice.get("index", 0) == 0)


def _string(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ChatFault(f"a tool call's {name} is {_kind(value)}, not text")
    return value


def _paired(text: str) -> str:
    """`text` with surrogate pairs (escaped in JSON, or cut over two chunks) joined to characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    else:
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        pass
    raise ChatFault("the text has half a surrogate pair, which is no character")


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )
