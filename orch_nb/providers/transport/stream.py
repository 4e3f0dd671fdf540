"""The bytes of one streamed reply on their way to events, whatever the protocol inside; every fault is one typed error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from orch_nb.providers.transport.errors import reported
from orch_nb.providers.transport.sse import SseFault, SseParser

if TYPE_CHECKING:
    from orch_nb.errors import ProviderError
    from orch_nb.providers.transport.http import Call
    from orch_nb.schema.messages import ModelEvent

_ERROR_BYTES = 64 << 10


class Fold(Protocol):
    """One protocol's reading of a stream: data of events in, `ModelEvent`s out, and a verdict whether it is whole."""

    is_done: bool
    """Whether the protocol's end mark came, so that nothing more need be read."""

    def feed(self, data: str, /) -> list[ModelEvent]:
        """The events of one server-sent event's data; raises ChatFault or ReportedError."""
        ...

    def finish(self, request_id: str, /) -> list[ModelEvent]:
        """The last events of a whole stream; raises ChatFault when it is not whole."""
        ...


class EventReply:
    """One reply: `feed` it the bytes as they come until `is_done` or the end, then `finish`.

    Parameters
    ----------
    call
        The call under way, which makes the errors.
    fold
        The protocol.
    """

    def __init__(self, call: Call, fold: Fold) -> None:
        self._call, self._fold, self._parser = call, fold, SseParser()
        self._head: bytes | None = b""
        self._other = b""

    @property
    def is_done(self) -> bool:
        """True if nothing more need be read: the end mark came, or enough of a reply that is not an event stream."""
        return self._fold.is_done or len(self._other) >= _ERROR_BYTES

    def feed(self, raw: bytes) -> list[ModelEvent]:
        """The events in `raw`; none while it is not known, or known not to be, an event stream.

        Raises
        ------
        ProviderError
            The stream breaks the protocol, or reports an error.
        """
        raw = self._sniff(raw)
        return self._read(raw) if raw else []

    def finish(self) -> list[ModelEvent]:
        """The last events of a whole reply.

        Raises
        ------
        ProviderError
            The reply is not an event stream, is empty, or stopped before its end: half an answer is never taken for one.
        """
        if self._other:
            raise self._no_stream()
        if self._head is not None and not self._head.strip():
            raise self._call.malformed("the reply is empty")
        last = [] if self._fold.is_done else self._read(None)
        return last + self._read_end()

    def _read(self, raw: bytes | None) -> list[ModelEvent]:
        """The events in `raw`; with None those of a last event whose blank line was cut off."""
        failure: ProviderError
        try:
            sent = self._parser.close() if raw is None else self._parser.feed(raw)
            return [event for one in sent for event in self._fold.feed(one.data)]
        except (SseFault, ChatFault) as fault:
            failure = self._call.malformed(str(fault))
        except ReportedError as error:
            failure = reported(self._call.asked, error.body)
        raise failure

    def _read_end(self) -> list[ModelEvent]:
        failure: ProviderError
        try:
            return self._fold.finish(self._call.request_id)
        except ChatFault as fault:
            failure = self._call.malformed(str(fault))
        raise failure

    def _sniff(self, raw: bytes) -> bytes:
        """`raw` when the reply is an event stream. By its first byte, as servers mislabel both ways: no line of an event
        stream begins with a brace, a bracket or an angle bracket, and every JSON value or page that is sent instead does."""
        if self._other:
            self._other = (self._other + raw)[:_ERROR_BYTES]
            return b""
        if self._head is None:
            return raw
        self._head += raw
        begins = self._head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1]
        if not begins and len(self._head) < 1024:
            return b""
        raw, self._head = self._head, None
        if begins in (b"{", b"[", b"<"):
            self._other = raw[:_ERROR_BYTES]
            return b""
        return raw

    def _no_stream(self) -> ProviderError:
        """A 200 that is not an event stream: an error object, a whole JSON reply, or a web page."""
        body = _first_object(self._other)
        if body.get("error"):
            return reported(self._call.asked, body)
        what = "a web page" if self._other.lstrip()[:1] == b"<" else "JSON"
        return self._call.malformed(
            f"the reply to a stream request is {what}, not an event stream",
            hint="is base_url the API's address, and does this server stream?",
        )


def _first_object(raw: bytes) -> dict[str, object]:
    """The JSON object in `raw`, or the first of a list of them; {} when there is none."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    body = body[0] if isinstance(body, list) and body else body
    return body if isinstance(body, dict) else {}


MOST_CALLS = 64
"""Tool calls of one reply; more is a model running wild, or an attack."""


class ChatFault(ValueError):
    """The stream is not what the protocol says; the text says why."""


class ReportedError(Exception):
    """The provider put an error object into the stream; `body` is the parsed object."""

    def __init__(self, body: object) -> None:
        super().__init__("error object in the stream")
        self.body = body
