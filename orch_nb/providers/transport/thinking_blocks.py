"""What a model said when it asked for tools, in the vendor's own form: signed thoughts that must go back as they came."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.schema.messages import ToolCall

_MOST_TURNS = 512
_MOST_CHARS = 16 << 20


class TurnMemory:
    """The last turns of this process that asked for tools, found again by their tool calls.

    Parameters
    ----------
    most_turns, most_chars
        Bounds; the oldest turns are forgotten first.

    Notes
    -----
    Our messages have no place for a vendor's signatures, and the log needs none: what is forgotten (a resume in another
    process) costs the model its earlier thoughts, not the answer. Safe to use from several threads; O(1) a turn.
    """

    def __init__(self, *, most_turns: int = _MOST_TURNS, most_chars: int = _MOST_CHARS) -> None:
        self._turns: OrderedDict[tuple[tuple[str, str, str], ...], tuple[list[object], int]] = OrderedDict()
        self._most_turns, self._most_chars, self._chars = most_turns, most_chars, 0
        self._lock = threading.Lock()

    def keep(self, calls: Sequence[ToolCall], content: list[Any]) -> None:
        """Remember the vendor's `content` of the turn that made `calls`, unless it is what no request can hold again, or has a
        secret in it: it goes back as it came or not at all."""
        size = _size(content)
        if not calls or not size or REDACTOR.finds(content):
            return
        key = _key(calls)
        with self._lock:
            self._forget(key)
            self._turns[key] = (content, size)
            self._chars += size
            while self._turns and (len(self._turns) > self._most_turns or self._chars > self._most_chars):
                self._forget(next(iter(self._turns)))

    def recall(self, calls: Sequence[ToolCall]) -> list[object] | None:
        """The content of the turn that made exactly `calls`, or None. Not to be changed."""
        with self._lock:
            found = self._turns.get(_key(calls))
        return found[0] if found else None

    def _forget(self, key: tuple[tuple[str, str, str], ...]) -> None:
        if key in self._turns:
            self._chars -= self._turns.pop(key)[1]


def _key(calls: Sequence[ToolCall]) -> tuple[tuple[str, str, str], ...]:
    return tuple((call.id, call.name, call.arguments) for call in calls)


def _size(content: list[object]) -> int:
    """Characters of `content` as JSON; 0 when it is none (NaN, or nested too deep)."""
    try:
        return len(json.dumps(content, allow_nan=False))
    except (ValueError, RecursionError):
        return 0
