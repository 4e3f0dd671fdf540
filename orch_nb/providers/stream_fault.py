"""What can be wrong with a stream, whatever the protocol, and the reading of its chunks' JSON."""

from __future__ import annotations

import json
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
