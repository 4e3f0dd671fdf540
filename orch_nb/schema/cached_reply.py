"""The mark of an answer that was given before: part of a call's `reply`, so that a log says by itself what cost nothing and why."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_nb.schema.events import Settled

CACHED = "cached"
"""The key in the reply, and the note of the call."""


def mark(run: str, at: float, usd: Decimal | None) -> dict[str, Any]:
    """Where an answer was made, when, and what it was billed (None: unknown)."""
    return {"run": run, "at": at, "saved_usd": None if usd is None else str(usd)}


def source_of(settled: Settled) -> dict[str, Any] | None:
    """Where a call's answer was taken from ({"run", "at", "saved_usd"}); None for a call that was made."""
    reply = settled.reply
    found = reply.get(CACHED) if isinstance(reply, dict) and CACHED in settled.note else None
    return found if isinstance(found, dict) else None


def saved_by(settled: Settled) -> Decimal | None:
    """What a cached answer was billed when it was made; None for a call that was made, and where that is unknown."""
    found = source_of(settled)
    return None if found is None or found["saved_usd"] is None else Decimal(found["saved_usd"])
