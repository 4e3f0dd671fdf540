"""Token counts as providers send them, brought to one form, or marked as unusable: bills are made from them."""

from __future__ import annotations

from orch_nb.providers.transport.checked_json import BadCount, count_in, shown
from orch_nb.schema.messages import Usage


def usage_of(sent: object) -> Usage | None:
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
        return Usage(bad=f"usage is {shown(sent)}")
    try:
        return _check(sent)
    except BadCount as fault:
        return Usage(bad=str(fault))


def _check(sent: dict[str, object]) -> Usage:
    read, written = count_in(sent, "prompt_tokens"), count_in(sent, "completion_tokens")
    if read is None or written is None:
        raise BadCount("prompt_tokens or completion_tokens is missing")
    cached = _detail(sent, "prompt_tokens_details", "cached_tokens")
    cached = cached or count_in(sent, "prompt_cache_hit_tokens") or 0
    reasoned = _detail(sent, "completion_tokens_details", "reasoning_tokens") or 0
    if reasoned and _counted_beside(sent, read, written, reasoned):
        written += reasoned
    if cached > read:
        raise BadCount(f"cached_tokens {cached:,} exceed prompt_tokens {read:,}")
    if reasoned > written:
        raise BadCount(f"reasoning_tokens {reasoned:,} exceed completion_tokens {written:,}")
    return Usage(read, written, cached, reasoned)


def _counted_beside(sent: dict[str, object], read: int, written: int, reasoned: int) -> bool:
    total = count_in(sent, "total_tokens")
    return total is not None and total == read + written + reasoned


def _detail(sent: dict[str, object], group: str, field: str) -> int | None:
    inner = sent.get(group)
    return count_in(inner, field) if isinstance(inner, dict) else None
