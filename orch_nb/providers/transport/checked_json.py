"""Values of a provider's JSON, checked before they are used: texts of whole characters, and counts that may be billed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orch_nb.providers.transport.stream import ChatFault, ReportedError

if TYPE_CHECKING:
    from orch_nb.schema.messages import Json, ToolCall

MOST_TOKENS = 100_000_000
"""No call uses more; a larger count is a fault, not a bill."""
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
_HALF = "the text has half a surrogate pair, which is not a character"


class BadCount(ValueError):
    """A token count that is not a count; the text names the field and what it held."""


def kind(value: object) -> str:
    """Return what `value` is, in the words of JSON."""
    return _KINDS.get(type(value), "a number")


def object_sent(data: str, called: str = "a chunk") -> dict[str, object]:
    """The JSON object that is one piece of a stream.

    Parameters
    ----------
    called
        What the protocol calls such a piece.

    Raises
    ------
    ChatFault
        It is not JSON, is nested too deep, has a number of more than 4,300 digits, or is not an object.
    ReportedError
        It is an error object.

    Notes
    -----
    NaN and Infinity pass here: some servers write them into log-probabilities, which are then not used, and in the usage they
    mark the usage as bad without losing the answer. They cannot get into an answer, which is text.
    """
    sent = _parse(data)
    if not isinstance(sent, dict):
        raise ChatFault(f"{called} of the stream is {kind(sent)}, not an object")
    if sent.get("error"):
        raise ReportedError(sent)
    return sent


def _parse(data: str) -> object:
    try:
        return json.loads(data)
    except RecursionError:
        why = "nested too deep"
    except ValueError:
        why = "not JSON"
    raise ChatFault(f"a chunk of the stream is {why}")


def object_in(holder: dict[str, object], name: str) -> dict[str, object]:
    """The object `holder[name]`; empty when absent or null.

    Raises
    ------
    ChatFault
        It is something else.
    """
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ChatFault(f"{name} is {kind(value)}, not an object")
    return value


def objects_in(holder: dict[str, object], name: str) -> list[dict[str, object]]:
    """The list of objects `holder[name]`; empty when absent or null. Raises ChatFault when it is something else."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ChatFault(f"{name} is {kind(value)}, not a list")
    for item in value:
        if not isinstance(item, dict):
            raise ChatFault(f"{name} has {kind(item)}, not an object")
    return value


def text_in(holder: dict[str, object], name: str, called: str = "") -> str:
    """The text `holder[name]`; "" when absent or null. Raises ChatFault, by the words of `called`, when it is something else."""
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ChatFault(f"{called or name} is {kind(value)}, not text")
    return value


def characters(text: str) -> str:
    """`text` with surrogate pairs (escaped in JSON) joined to characters.

    Raises
    ------
    ChatFault
        Half a pair is left over, which is not a character and cannot be stored.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        pass
    raise ChatFault(_HALF)


class TextJoin:
    """Joins characters that were cut over two pieces of a stream."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """Return what of `piece`, with what was kept back, makes whole characters."""
        piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return characters(piece)

    def close(self) -> None:
        """Raise ChatFault when the text ended within a character."""
        if self._half:
            raise ChatFault(_HALF)


def told_apart(calls: list[ToolCall]) -> list[ToolCall]:
    """`calls`, whose ids differ. Raises ChatFault when two have the same: their results could not be told apart."""
    if len({call.id for call in calls}) < len(calls):
        raise ChatFault("two tool calls have the same id")
    return calls


def arguments_of(call: ToolCall) -> dict[str, Json]:
    """A call's arguments as the object that native interfaces want; what is none is shown to the model as text."""
    try:
        found = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"unreadable": call.arguments}


def count_in(sent: dict[str, object], name: str) -> int | None:
    """The token count `sent[name]`; None when absent or null.

    Raises
    ------
    BadCount
        It is not a whole number from 0 to `MOST_TOKENS`: NaN, negative, huge, a fraction, a text.
    """
    value = sent.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        raise BadCount(f"{name} is {shown(value)}")
    return value


def shown(value: object) -> str:
    """Return what `value` holds, short enough for a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10 * MOST_TOKENS:
        return "beyond any call"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
