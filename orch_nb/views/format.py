"""States, money and time in the few characters that a display has: a glyph and a word, aligned numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GLYPHS = {
    "success": "✓",
    "passed": "✓",
    "done": "✓",
    "reused": "↻",
    "skipped": "–",
    "running": "▸",
    "waiting": "‖",
    "due": "·",
    "semantic_failure": "≠",
    "exception": "✕",
    "failed": "✕",
    "rejected": "✕",
    "retried": "↺",
    "in doubt": "?",
    "cancelled": "⊘",
    "interrupted": "⊘",
    "pending": "·",
    "": "·",
}
"""One glyph for each state, all of them in ordinary text fonts."""

NOTICE = "!"
"""The mark before a notice: in every text font, and no picture character."""
OK, RUN, WARN, BAD, REUSE, QUIET = "#2f9e55", "#3b82d6", "#b7791f", "#d64545", "#8468d0", ""
"""Mid-tones: at least 3 : 1 on white and on near-black. They are never alone: a glyph and a word go with them."""

COLOURS = {
    "success": OK,
    "passed": OK,
    "done": OK,
    "reused": REUSE,
    "running": RUN,
    "waiting": WARN,
    "semantic_failure": BAD,
    "exception": BAD,
    "failed": BAD,
    "rejected": WARN,
    "retried": WARN,
    "in doubt": WARN,
    "cancelled": WARN,
    "interrupted": WARN,
}


def word(state: str) -> str:
    """The state as it is shown: ``semantic failure``."""
    return state.replace("_", " ")


def glyph(state: str) -> str:
    """The state's glyph."""
    return GLYPHS.get(state, "·")


def usd(amount: Decimal | None, places: int = 4) -> str:
    """Dollars with `places` digits, more where they would all be zero: ``$0.0121``, ``$0.000003``; None is ``$?``."""
    if amount is None:
        return "$?"
    if amount and abs(amount) < Decimal(1).scaleb(-places):
        amount = round(amount, min(12, -amount.adjusted() + 1)).normalize()
        places = max(places, -int(amount.as_tuple().exponent))
    return f"${amount:,.{places}f}" if amount >= 0 else f"-${-amount:,.{places}f}"


def places(amounts: Iterable[Decimal | None]) -> int:
    """Digits after the point that a column of dollars needs, so that its points are aligned: 4, 6 or 8."""
    least = min((abs(a) for a in amounts if a), default=Decimal(1))
    return 4 if least >= Decimal("0.0001") else 6 if least >= Decimal("0.000001") else 8


def seconds(value: float | None) -> str:
    """Seconds for people: ``0.02 s``, ``3.4 s``, ``2 min 05 s``; None is ``–``."""
    if value is None:
        return "–"
    if value < 0.0995:
        return f"{value:.3f} s" if value < 0.00995 else f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 token``, ``2,184 tokens``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def a_(noun: str) -> str:
    """``a Graph``, ``an Agent``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
