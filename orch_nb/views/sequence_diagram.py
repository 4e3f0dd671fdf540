"""Who called whom, as a sequence chart: a line of life for each that takes part, an arrow for each message, time downwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.views.format import BAD, count, glyph
from orch_nb.views.graph_svg import FONT, text_width
from orch_nb.views.safe_text import escape_line, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.trace.message import Message

MAX_MESSAGES = 120
"""Messages in one chart; the table below says how many there are."""
MAX_PARTS = 24
_ROW, _TOP, _MARGIN = 26.0, 40.0, 14.0
_DASHES = {"reply": ' stroke-dasharray="4 3"', "answer": ' stroke-dasharray="4 3"'}


def parts_of(said: Sequence[Message]) -> list[str]:
    """Return who takes part, in the order in which they first do."""
    return list(dict.fromkeys(name for m in said for name in (m.source, m.target)))


def sequence_svg(said: Sequence[Message]) -> str:
    """The chart; "" for no message, or for more parts than can be drawn side by side."""
    shown = said[:MAX_MESSAGES]
    parts = parts_of(shown)
    if not shown or len(parts) > MAX_PARTS:
        return ""
    step = max(136.0, *(text_width(line(p, 22), 11.5) + 26 for p in parts))
    at = {name: _MARGIN + step / 2 + i * step for i, name in enumerate(parts)}
    width, height = 2 * _MARGIN + step * len(parts), _TOP + _ROW * (len(shown) + 1)
    told = f"Sequence of {count(len(shown), 'message')} between {count(len(parts), 'part')}."
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{told}" font-family="{FONT}" fill="currentColor">'
    )
    out = [head]
    for name, x in at.items():
        out.append(
            f'<path d="M{x:.0f} 30V{height - 6:.0f}" stroke="currentColor" stroke-opacity="0.22" stroke-dasharray="2 4"/>'
            f'<rect x="{x - step / 2 + 5:.0f}" y="6" width="{step - 10:.0f}" height="23" rx="6" fill="currentColor" fill-opacity="0.04" '
            f'stroke="currentColor" stroke-opacity="0.45"/>'
            f'<text x="{x:.0f}" y="21.5" font-size="11.5" font-weight="600" text-anchor="middle">{escape_line(name, 22)}</text>'
        )
    out += [_arrow(m, at[m.source], at[m.target], _TOP + _ROW * (i + 0.8)) for i, m in enumerate(shown)]
    return "\n".join([*out, "</svg>"])


def _arrow(m: Message, x0: float, x1: float, y: float) -> str:
    colour = BAD if m.failed else "currentColor"
    opacity = "0.85" if m.kind in ("flow", "ask", "answer") else "0.5"
    text = m.why.partition(" is ")[0] if m.kind == "flow" and m.why else m.text
    room = max(abs(x1 - x0) - 14, 80.0)
    shown = escape_line(text, max(6, int(room / 6.2)))
    look = f'stroke="{colour}" stroke-opacity="{opacity}" fill="none"{_DASHES.get(m.kind, "")}'
    if x0 == x1:
        path = f"M{x0:.0f} {y - 5:.0f}h22v9h-20"
        head = f"M{x0 + 1:.0f} {y + 4:.0f}l6 -3v6z"
        words = f'<text x="{x0 + 27:.0f}" y="{y + 2:.0f}" font-size="10" opacity="0.8">{shown}</text>'
    else:
        way = 1 if x1 > x0 else -1
        path = f"M{x0:.0f} {y:.0f}H{x1 - 2 * way:.0f}"
        head = f"M{x1 - way:.0f} {y:.0f}l{-7 * way} -3.2v6.4z"
        words = f'<text x="{(x0 + x1) / 2:.0f}" y="{y - 4:.0f}" font-size="10" text-anchor="middle" opacity="0.8">{shown}</text>'
    title = f"<title>{escape_line(f'{m.source} → {m.target}: {m.text}', 400)}</title>"
    return (
        f'<g>{title}<path d="{path}" {look}/> <path d="{head}" fill="{colour}" fill-opacity="{opacity}"/> {words}</g>'
    )


def message_table(said: Sequence[Message], most: int = MAX_MESSAGES) -> Table:
    """The same as rows: when, who to whom, what, and why it went there."""
    table = Table(
        [Column("at s", "r"), Column("from"), Column(""), Column("to"), Column("why"), Column("what", rest=True)]
    )
    for m in said[:most]:
        arrow = {"reply": "⇠", "answer": "⇠", "flow": "→", "ask": "?→"}.get(m.kind, "⇢")
        table.add(f"{m.at_s:.2f}", line(m.source, 48), arrow, line(m.target, 48), Cell(line(m.why, 90), quiet=True),
                  Cell(line(f"{glyph('failed')} {m.text}" if m.failed else m.text, 120), colour=BAD if m.failed else ""))  # fmt: skip
    if len(said) > most:
        table.notes.append(f"… {len(said) - most:,} more messages: `run.messages` has all")
    return table.without_empty()
