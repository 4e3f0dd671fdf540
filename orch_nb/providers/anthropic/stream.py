"""The reading of a Messages stream: its events in, `ModelEvent`s out, and a verdict whether it is whole.

References
----------
platform.claude.com/docs/en/build-with-claude/streaming ("Event types", "Error events": counts in `message_delta` are
cumulative, events of new types are to be passed over) and .../build-with-claude/handling-stop-reasons, as found in stored
copies, read November 2026.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from orch_nb.providers.transport.checked_json import (
    BadCount,
    TextJoin,
    characters,
    count_in,
    kind,
    object_in,
    object_sent,
    text_in,
    told_apart,
)
from orch_nb.providers.transport.stream import MOST_CALLS, ChatFault, ReportedError
from orch_nb.schema.messages import Completed, ModelEvent, TextDelta, ToolCall, ToolCallEvent, Usage
from orch_nb.schema.service import service_in

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_THOUGHTS = ("thinking", "redacted_thinking")


@dataclass(slots=True)
class _Block:
    """A content block being put together. `start` is how it began; `pieces` is its text or the JSON of its input."""

    start: dict[str, object]
    pieces: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    is_open: bool = True

    @property
    def kind(self) -> str:
        return text_in(self.start, "type")

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class MessagesStream:
    """Folds the events of one reply.

    Parameters
    ----------
    answer_tool
        Name of the tool whose input is the answer: its JSON is given out as text. "" when the answer is text.
    has_tools
        Whether there are other tools: then the answer is kept back until it is clear that none of them was called.
    """

    def __init__(self, *, answer_tool: str = "", has_tools: bool = False) -> None:
        self.is_done = False
        self.calls: tuple[ToolCall, ...] = ()
        """The tool calls, once the stream is finished."""
        self._answer_tool, self._has_tools = answer_tool, has_tools
        self._blocks: dict[int, _Block] = {}
        self._join = TextJoin()
        self._model = self._stop = ""
        self._is_started = False
        self._counts: dict[str, object] | None = None
        self._bad = ""

    def feed(self, data: str) -> list[ModelEvent]:
        """The events of one event's `data`. What follows the end is ignored, and so are events of unknown type.

        Raises
        ------
        ChatFault
            The event is broken, or comes where it cannot.
        ReportedError
            The event is an error object.
        """
        if self.is_done:
            return []
        event = object_sent(data, "an event")
        if event.get("type") == "error":
            raise ReportedError(event)
        match event.get("type"):
            case "message_start":
                self._start(event)
            case "content_block_start":
                return self._begin(event)
            case "content_block_delta":
                return self._delta(event)
            case "content_block_stop":
                self._block(event).is_open = False
            case "message_delta":
                self._end(event)
            case "message_stop":
                self.is_done = True
        return []

    def finish(self, request_id: str = "") -> list[ModelEvent]:
        """The last events: what was kept back, the tool calls, then `Completed`.

        Raises
        ------
        ChatFault
            The stream is not whole, ends within a character, or its tool calls are not usable.
        """
        self._check_whole()
        self.calls = tuple(self._whole_calls())
        calls: list[ModelEvent] = [ToolCallEvent(call) for call in self.calls]
        finish = _FINISHES.get(self._stop, self._stop)
        if finish == "tool_calls" and not calls:
            finish = "stop"
        thought = any(block.kind in _THOUGHTS for block in self._blocks.values())
        served = service_in(self._counts or {})
        last = Completed(finish, self._usage(), self._model, request_id, reasoned=thought, served=served)
        return [*self._kept_back(), *calls, last]

    def thoughtful_content(self) -> list[dict[str, object]] | None:
        """The blocks of a whole reply as they must go back when it thought before it asked for tools; else None."""
        blocks = [block for _, block in sorted(self._blocks.items())]
        if not any(block.kind in _THOUGHTS for block in blocks):
            return None
        try:
            made = [_sent_back(block) for block in blocks]
        except (ValueError, KeyError, RecursionError):
            return None
        return [one for one in made if one is not None]

    # ------------------------------------------------------------ events
    def _start(self, event: dict[str, object]) -> None:
        if self._is_started:
            raise ChatFault("the stream starts a second message")
        self._is_started = True
        message = object_in(event, "message")
        self._model = characters(text_in(message, "model")[:200])
        self._note_counts(message.get("usage"))

    def _begin(self, event: dict[str, object]) -> list[ModelEvent]:
        if not self._is_started:
            raise ChatFault("a content block comes before the message has started")
        place = _place(event)
        if place in self._blocks:
            raise ChatFault(f"content block {place} starts twice")
        block = self._blocks[place] = _Block(object_in(event, "content_block"))
        if sum(one.kind == "tool_use" for one in self._blocks.values()) > MOST_CALLS:
            raise ChatFault(f"the reply has more than {MOST_CALLS} tool calls")
        return self._text(block, text_in(block.start, "text")) if block.kind == "text" else []

    def _delta(self, event: dict[str, object]) -> list[ModelEvent]:
        block, delta = self._block(event), object_in(event, "delta")
        if not block.is_open:
            raise ChatFault("a content block continues after its end")
        match (delta.get("type"), block.kind):
            case ("text_delta", "text"):
                return self._text(block, text_in(delta, "text"))
            case ("input_json_delta", "tool_use"):
                return self._input(block, text_in(delta, "partial_json"))
            case ("thinking_delta", "thinking"):
                block.pieces.append(text_in(delta, "thinking"))
            case ("signature_delta", "thinking"):
                block.signature.append(text_in(delta, "signature"))
            case (("text_delta" | "input_json_delta") as wrong, "text" | "tool_use" | "thinking"):
                raise ChatFault(f"a {wrong} comes in a content block of another type")
        return []

    def _block(self, event: dict[str, object]) -> _Block:
        place = _place(event)
        if place not in self._blocks:
            raise ChatFault(f"content block {place} was never started")
        return self._blocks[place]

    def _text(self, block: _Block, piece: str) -> list[ModelEvent]:
        piece = self._join.add(piece)
        block.pieces.append(piece)
        return [TextDelta(piece)] if piece and not self._answer_tool else []

    def _input(self, block: _Block, piece: str) -> list[ModelEvent]:
        if not self._is_answer(block) or self._has_tools or block is not self._answer:
            block.pieces.append(piece)
            return []
        piece = self._join.add(piece)
        block.pieces.append(piece)
        return [TextDelta(piece)] if piece else []

    def _end(self, event: dict[str, object]) -> None:
        reason = object_in(event, "delta").get("stop_reason")
        if reason is not None:
            if not isinstance(reason, str) or not reason:
                raise ChatFault(f"stop_reason is {kind(reason)}, not a word")
            self._stop = characters(reason[:40])
        self._note_counts(event.get("usage"))

    # ------------------------------------------------------------ the end
    def _check_whole(self) -> None:
        if not self.is_done:
            raise ChatFault("the stream ended before it said that it is done")
        if not self._stop:
            raise ChatFault("the stream is done but never said why the answer finished")
        if any(block.is_open for block in self._blocks.values()):
            raise ChatFault("the stream is done but a content block never ended")
        self._join.close()

    def _is_answer(self, block: _Block) -> bool:
        return bool(self._answer_tool) and block.kind == "tool_use" and block.start.get("name") == self._answer_tool

    @property
    def _answer(self) -> _Block | None:
        return next((block for _, block in sorted(self._blocks.items()) if self._is_answer(block)), None)

    def _kept_back(self) -> list[ModelEvent]:
        """The answer, where it was not given out as it came: from its tool, else whatever text there is."""
        answer = self._answer
        if not self._answer_tool or (answer and (self.calls or (answer.pieces and not self._has_tools))):
            return []
        if answer:
            text = characters(answer.text) or _given_input(answer)
        else:
            text = "".join(block.text for _, block in sorted(self._blocks.items()) if block.kind == "text")
        return [TextDelta(text)] if text else []

    def _whole_calls(self) -> list[ToolCall]:
        calls = []
        for place, block in sorted(self._blocks.items()):
            if block.kind != "tool_use" or self._is_answer(block):
                continue
            name, call_id = text_in(block.start, "name"), text_in(block.start, "id")
            if not name:
                raise ChatFault(f"tool call {place} names no tool")
            arguments = characters(block.text) or _given_input(block)
            calls.append(ToolCall(characters(call_id[:200]) or f"call_{place}", characters(name), arguments))
        return told_apart(calls)

    # ------------------------------------------------------------ usage
    def _note_counts(self, sent: object) -> None:
        """Later counts replace earlier ones: they are cumulative."""
        if sent is None:
            return
        if not isinstance(sent, dict):
            self._bad = f"usage is {kind(sent)}"
            return
        self._counts = {**(self._counts or {}), **{name: value for name, value in sent.items() if value is not None}}

    def _usage(self) -> Usage | None:
        return Usage(bad=self._bad) if self._bad else messages_usage(self._counts)


def messages_usage(sent: dict[str, object] | None) -> Usage | None:
    """The normalised usage of one call; None when none was sent.

    Returns
    -------
    Usage
        Anthropic counts beside one another what it read again, what it wrote to and what it read from its cache: the input
        is their sum. With `bad` set all counts are 0, and the call settles at its reservation.

    References
    ----------
    platform.claude.com/docs/en/build-with-claude/prompt-caching ("Tracking cache performance"); release notes 2026 for
    `output_tokens_details.thinking_tokens`; read November 2026.
    """
    if sent is None:
        return None
    try:
        fresh, written = count_in(sent, "input_tokens"), count_in(sent, "output_tokens")
        if fresh is None or written is None:
            raise BadCount("input_tokens or output_tokens is missing")
        cached = count_in(sent, "cache_read_input_tokens") or 0
        stored = count_in(sent, "cache_creation_input_tokens") or 0
        details = sent.get("output_tokens_details")
        thought = (count_in(details, "thinking_tokens") or 0) if isinstance(details, dict) else 0
        if thought > written:
            raise BadCount(f"thinking_tokens {thought:,} exceed output_tokens {written:,}")
    except BadCount as fault:
        return Usage(bad=str(fault))
    return Usage(fresh + cached + stored, written, cached, thought, cache_write_tokens=stored)


def _place(event: dict[str, object]) -> int:
    place = event.get("index")
    if not isinstance(place, int) or isinstance(place, bool) or place < 0:
        raise ChatFault(f"a content block's index is {kind(place)}")
    return place


def _given_input(block: _Block) -> str:
    """The input that came whole with the block's start, as some servers send it."""
    return json.dumps(object_in(block.start, "input"))


def _sent_back(block: _Block) -> dict[str, object] | None:
    """One block as the next request must hold it; None for what need not go back. ValueError when its input is not JSON."""
    match block.kind:
        case "thinking":
            signature = "".join(block.signature) or text_in(block.start, "signature")
            return {"type": "thinking", "thinking": block.text, "signature": signature}
        case "redacted_thinking":
            return {"type": "redacted_thinking", "data": text_in(block.start, "data")}
        case "text":
            return {"type": "text", "text": block.text} if block.text.strip() else None
        case "tool_use":
            found = json.loads(block.text or _given_input(block))
            if not isinstance(found, dict):
                raise ChatFault("the input of a tool call is not an object")
            return {"type": "tool_use", "id": block.start["id"], "name": block.start["name"], "input": found}
    return None
