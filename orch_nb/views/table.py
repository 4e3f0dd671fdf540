"""A table that is written once and shown twice: as HTML and as aligned text, with the same facts in both."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from orch_nb.views import html as markup
from orch_nb.views.safe_text import escape_line, line

CELL = "padding:2px 10px 2px 0;text-align:{align}"
_LINE = ";white-space:nowrap"
_FITS = 64
"""Characters of a cut cell that a page of usual width shows: only longer ones say themselves again in a tooltip."""
NUMBERS = "font-variant-numeric:tabular-nums"


@dataclass(slots=True)
class Cell:
    """One cell. `html` replaces the escaped text in HTML where a picture says more; `quiet` is shown paler."""

    text: str = ""
    html: str = ""
    quiet: bool = False
    strong: bool = False
    colour: str = ""


@dataclass(slots=True)
class Column:
    """One column: its head, "l" or "r"; `picture` columns have no text twin."""

    head: str = ""
    align: str = "l"
    picture: bool = False
    width: str = ""
    rest: bool = False
    """Takes what is left of the line; what does not fit is cut with an ellipsis."""
    wrap: bool = False
    """Goes on in the next line: for what has to be read whole, such as a line to be typed."""


@dataclass(slots=True)
class Table:
    """Columns and rows. A row's cells may be plain text."""

    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str | Cell) -> Table:
        """Append a row."""
        self.rows.append([c if isinstance(c, Cell) else Cell(c) for c in cells])
        return self

    def without_empty(self) -> Table:
        """The table without columns in which no row says anything."""
        kept = [i for i in range(len(self.columns)) if any(row[i].text or row[i].html for row in self.rows)]
        return Table([self.columns[i] for i in kept], [[row[i] for i in kept] for row in self.rows], self.notes)

    def html(self) -> str:
        """The table as HTML with inline styles only."""
        head = ""
        if any(c.head for c in self.columns):
            head = f"<thead><tr>{''.join(_head(c) for c in self.columns)}</tr></thead>"
        rows = "".join(
            f'<tr style="background:transparent">{"".join(_cell(c, col) for c, col in zip(row, self.columns, strict=True))}</tr>'
            for row in self.rows
        )
        notes = "".join(f'<div style="opacity:.75;padding:2px 0">{markup.prose(n, 400)}</div>' for n in self.notes)
        wide = "width:100%;" if any(c.rest for c in self.columns) else ""
        style = f"{wide}border-collapse:collapse;border:none;margin:0;table-layout:auto;font-size:inherit;color:inherit;{NUMBERS}"
        return f'<table style="{style}">{head}<tbody>{rows}</tbody></table>{notes}'

    def text(self) -> str:
        """The table as aligned text."""
        shown = [i for i, c in enumerate(self.columns) if not c.picture]
        heads = [[self.columns[i].head for i in shown]] if any(c.head for c in self.columns) else []
        body = [[line(row[i].text, 400) for i in shown] for row in self.rows]
        widths = [max((columns_of(r[k]) for r in heads + body), default=0) for k in range(len(shown))]
        rows = [self._text_row(r, shown, widths) for r in heads + body]
        return "\n".join([*rows, *(line(n, 400) for n in self.notes)])

    def _text_row(self, cells: list[str], shown: list[int], widths: list[int]) -> str:
        parts = [pad(t, w, self.columns[i].align) for t, i, w in zip(cells, shown, widths, strict=True)]
        return "  ".join(parts).rstrip()


def _head(column: Column) -> str:
    style = CELL.format(align=_align(column)) + _LINE
    width = ";width:100%" if column.rest else f";width:{column.width}" if column.width else ""
    border = "border-bottom:1px solid var(--jp-border-color2, rgba(127,127,127,.35))"
    head = f'<span style="opacity:.7">{escape_line(column.head)}</span>' if column.head else ""
    return f'<th style="{style}{width};{border};font-weight:500">{head}</th>'


def _cell(cell: Cell, column: Column) -> str:
    if not cell.text and not cell.html:
        return "<td></td>"
    inner = cell.html or markup.prose(cell.text, 400)
    if cell.strong:
        inner = f"<b>{inner}</b>"
    if cell.colour:
        inner = _mark(cell, inner)
    style = CELL.format(align=_align(column))
    more = ""
    if column.wrap:
        style += ";white-space:normal;overflow-wrap:anywhere"
    elif cell.html or " " in cell.text:
        style += _LINE
    if column.rest:
        style += ";max-width:0;overflow:hidden;text-overflow:ellipsis"
        more = f' title="{escape_line(cell.text, 400)}"' if len(cell.text) > _FITS else ""
    if cell.quiet:
        style += ";opacity:.68"
    return f'<td style="{style}"{more}>{inner}</td>'


def _mark(cell: Cell, inner: str) -> str:
    """The cell's glyph in its colour, the words in the theme's own: mid-tones are too pale to be read on every theme."""
    mark, blank, rest = cell.text.partition(" ")
    if cell.html or not blank or mark[:1].isalnum():
        return f'<span style="border-bottom:2px solid {cell.colour}">{inner}</span>'
    words = markup.prose(rest, 400)
    return f'<span style="color:{cell.colour}">{escape_line(mark)}</span> {f"<b>{words}</b>" if cell.strong else words}'


def _align(column: Column) -> str:
    return "right" if column.align == "r" else "left"


def columns_of(text: str) -> int:
    """Terminal columns that `text` takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int, align: str) -> str:
    """`text` filled with blanks to `width` columns."""
    blanks = " " * (width - columns_of(text))
    return blanks + text if align == "r" else text + blanks
