"""An incremental parser of server-sent events: bytes in, whole events out, however the bytes were cut.

References
----------
WHATWG HTML Living Standard, section 9.2 "Server-sent events", read November 2026. Two deliberate differences:
text that is not UTF-8 is a fault here, not a replacement character (an answer with holes must not pass for a whole
one), and lines and events have a size cap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"[\r\n]")
_BOM = b"\xef\xbb\xbf"
MIB = 1 << 20


class SseFault(ValueError):
    """The bytes are not an event stream that we accept; the text says why."""


@dataclass(slots=True, frozen=True)
class SseEvent:
    """One dispatched event: its `data` lines joined by newlines, and its type ("message" when none was given)."""

    data: str
    event: str = "message"


class SseParser:
    """Turns the bytes of one stream into events.

    Parameters
    ----------
    max_line_bytes
        Most bytes of one line without its end; also bounds what is kept of an unfinished line.
    max_event_bytes
        Most bytes of one event's data.

    Notes
    -----
    A line ends at LF, CR or CRLF; a CR ends it at once, and an LF that follows in a later packet is swallowed. Every
    byte is searched once, so that one byte per packet costs linear time.
    """

    def __init__(self, *, max_line_bytes: int = MIB, max_event_bytes: int = MIB) -> None:
        self._max_line, self._max_event = max_line_bytes, max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._first = True
        self._swallow_lf = False
        self._data: list[bytes] = []
        self._size = 0
        self._type = ""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes.

        Raises
        ------
        SseFault
            A line or an event is too long, or a line is not UTF-8.
        """
        if self._swallow_lf and chunk:
            self._swallow_lf = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        self._buffer += chunk
        if self._first and not self._strip_bom():
            return []
        return self._take_lines()

    def close(self) -> list[SseEvent]:
        """Return what a stream that ends without its last blank line had begun: at most one event, for the caller to judge."""
        done = self._take_lines()
        if self._buffer:
            self._check_line(len(self._buffer))
            self._field(bytes(self._buffer))
            self._buffer.clear()
        return done + self._dispatch()

    def _strip_bom(self) -> bool:
        """False while it is not yet known whether the stream begins with a byte order mark."""
        head = bytes(self._buffer[:3])
        if head != _BOM and _BOM.startswith(head):
            return False
        if head == _BOM:
            del self._buffer[:3]
        self._first = False
        return True

    def _take_lines(self) -> list[SseEvent]:
        buffer, events, start = self._buffer, [], 0
        while found := _LINE_END.search(buffer, max(start, self._searched)):
            end = found.start()
            self._check_line(end - start)
            events += self._line(bytes(buffer[start:end]))
            start = end + 1
            if buffer[end] == 13:
                if start == len(buffer):
                    self._swallow_lf = True
                elif buffer[start] == 10:
                    start += 1
        del buffer[:start]
        self._check_line(len(buffer))
        self._searched = len(buffer)
        return events

    def _check_line(self, size: int) -> None:
        if size > self._max_line:
            raise SseFault(f"a line has more than {self._max_line:,} bytes")

    def _line(self, line: bytes) -> list[SseEvent]:
        if not line:
            return self._dispatch()
        self._field(line)
        return []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + 1
            if self._size > self._max_event:
                raise SseFault(f"an event has more than {self._max_event:,} bytes")
            self._data.append(value)
        elif name == b"event":
            self._type = _utf8(value)

    def _dispatch(self) -> list[SseEvent]:
        data, kind = self._data, self._type
        self._data, self._type, self._size = [], "", 0
        return [SseEvent(_utf8(b"\n".join(data)), kind or "message")] if data else []


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SseFault(f"a line is not UTF-8 (byte 0x{raw[error.start]:02x} at {error.start})") from None
