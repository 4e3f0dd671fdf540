"""What can be wrong with a stream, whatever the protocol."""

from __future__ import annotations

from typing import Any

MOST_CALLS = 64
"""Tool calls of one reply; more is a model running wild, or an attack."""


class ChatFault(ValueError):
    """The stream is not what the protocol says; the text says why."""


class ReportedError(Exception):
    """The provider put an error object into the stream; `body` is the parsed object."""

    def __init__(self, body: Any) -> None:
        super().__init__("error object in the stream")
        self.body = body
