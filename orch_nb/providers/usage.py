"""Token counts as providers send them, brought to one form, or marked as unusable: bills are made from them."""

from __future__ import annotations

from typing import Any

from orch_nb.schema.messages import Usage

MOST_TOKENS = 100_000_000
"""No call uses more; a larger count is a fault, not a bill."""


class _Bad(ValueError):
    """A count that is no count."""


def usage_of(sent: Any) -> Usage | None:
    """The normalised usage of one call; None when none was sent.

    Returns
    -------
    Usage
        Cached tokens are part of the input and reasoning tokens part of the output, as our buckets are inclusive;
        providers that count reasoning beside the output are recognised by their total. With `bad` set (naming the
        field and what it held) all counts are 0, and the call settles at its reservation.

    References
    ----------
    Field names: OpenAI chat completions API; DeepSeek's `prompt_cache_hit_tokens`; read November 2026.
    """
    if sent is None:
        return None
    if not isinstance(sent, dict):
        return Usage(bad=f"usage is {_shown(sent)}")
    try:
        return _checked(sent)
    except _Bad as fault:
        return Usage(bad=str(fault))


def _checked(sent: dict[str, Any]) -> Usage:
    read, written = _count(sent, "prompt_tokens"), _count(sent, "completion_tokens")
    if read is None or written is None:
        raise _Bad("prompt_tokens or completion_tokens is missing")
    cached = _detail(sent, "prompt_tokens_details", "cached_tokens")
    cached = cached or _count(sent, "prompt_cache_hit_tokens") or 0
    reasoned = _detail(sent, "completion_tokens_details", "reasoning_tokens") or 0
    if reasoned and _counted_beside(sent, read, written, reasoned):
        written += reasoned
    if cached > read:
        raise _Bad(f"cached_tokens {cached:,} exceed prompt_tokens {read:,}")
    if reasoned > written:
        raise _Bad(f"reasoning_tokens {reasoned:,} exceed completion_tokens {written:,}")
    return Usage(read, written, cached, reasoned)


def _counted_beside(sent: dict[str, Any], read: int, written: int, reasoned: int) -> bool:
    total = _count(sent, "total_tokens")
    return total is not None and total == read + written + reasoned


def _detail(sent: dict[str, Any], group: str, field: str) -> int | None:
    inner = sent.get(group)
    return _count(inner, field) if isinstance(inner, dict) else None


def _count(sent: dict[str, Any], field: str) -> int | None:
    value = sent.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        raise _Bad(f"{field} is {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10 * MOST_TOKENS:
        return "beyond any call"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
