"""A panel that is described once and shown twice, as HTML and as text; and the pictures that panels share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.views import html as markup
from orch_nb.views.bundle import bundle
from orch_nb.views.format import OK, RUN, glyph, word
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.analysis.intervals import Interval
    from orch_nb.views.bundle import Bundle
    from orch_nb.views.table import Table


@dataclass(slots=True)
class Panel:
    """A head line, then lines of text, tables and pictures in the order in which they were added.

    Parameters
    ----------
    name
        Subject of the panel.
    kind
        Description of the subject: ``comparison 12``.
    status
        State of a run; "" for what is not a run.
    facts
        Further parts of the head line.
    right
        The part at the right end of the head line: money, or a signature.
    """

    name: str
    kind: str = ""
    status: str = ""
    facts: Sequence[str] = ()
    right: str = ""
    _html: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)

    def add(self, html: str, text: str, *, title: str = "") -> Panel:
        """Append a part that is drawn differently in HTML and in text."""
        self._html.append(markup.section(html, title=title, first=not self._html))
        self._text.append(f"{title}\n{text}" if title else text)
        return self

    def table(self, table: Table | None, *, title: str = "") -> Panel:
        """Append a table; None adds nothing."""
        return self if table is None else self.add(table.html(), table.text(), title=title)

    def lines(self, texts: Sequence[str], *, is_quiet: bool = False) -> Panel:
        """Append lines of text; without any it adds nothing."""
        if not texts:
            return self
        inner = "".join(f"<div>{markup.quiet(t) if is_quiet else markup.prose(t, 500)}</div>" for t in texts)
        return self.add(inner, "\n".join(line(t, 500) for t in texts))

    def html(self) -> str:
        """Return the panel as HTML with inline styles only."""
        kind = [markup.quiet(self.kind)] if self.kind else []
        state = [markup.state(self.status)] if self.status else []
        left = [markup.strong(self.name), *kind, *state, *(markup.quiet(fact) for fact in self.facts if fact)]
        head = markup.bar(*left, right=markup.strong(self.right) if self.right else "")
        return markup.panel(head, *self._html)

    def text(self) -> str:
        """Return the panel as plain text."""
        state = f"{glyph(self.status)} {word(self.status)}" if self.status else ""
        head = " · ".join(part for part in (line(self.name), self.kind, state, *self.facts, self.right) if part)
        return "\n\n".join([head, *self._text])

    def bundle(self) -> Bundle:
        """Return both forms as a MIME bundle."""
        return bundle(self.text(), self.html())


def interval_bar(value: Interval, *, strong: bool = False, width: int = 120) -> str:
    """Draw an interval: a track from 0 to 1, the interval on it, a tick at the mean."""
    if not value.n:
        return ""
    low, high, mean = value.low * 100, value.high * 100, value.mean * 100
    colour = OK if strong else RUN
    return (
        f'<span style="display:inline-block;position:relative;width:{width}px;height:10px;vertical-align:middle;margin-right:8px">'
        f'<span style="position:absolute;left:0;right:0;top:4px;height:2px;background:rgba(127,127,127,.25)"></span>'
        f'<span style="position:absolute;left:{low:.1f}%;width:{max(high - low, 1):.1f}%;top:2px;height:6px;border-radius:3px;'
        f'background:{colour};opacity:.38"></span>'
        f'<span style="position:absolute;left:calc({mean:.1f}% - 1.5px);width:3px;top:0;height:10px;border-radius:1px;'
        f'background:{colour}"></span></span>'
    )


def interval_cell(value: Interval, facts: Sequence[str], *, strong: bool = False, mark: str = "") -> Cell:
    """Return an interval with its bar and the facts beneath it, as one cell of a grid.

    Parameters
    ----------
    strong
        True shows the value in bold, as the chosen one.
    mark
        HTML after the interval.
    """
    mean = f"{value.mean * 100:.0f} %"
    below = " · ".join(fact for fact in facts if fact)
    html = (
        f"<div>{interval_bar(value, strong=strong, width=64)}{f'<b>{mean}</b>' if strong else mean}"
        f'<span style="opacity:.6"> {value.low * 100:.0f}–{value.high * 100:.0f}</span>{mark}</div>'
        f'<div style="opacity:.65;font-size:92%">{markup.prose(below, 160)}</div>'
    )
    return Cell(f"{value.text} · {below}", html=html)
