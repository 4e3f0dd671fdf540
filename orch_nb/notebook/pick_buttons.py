"""Buttons for blind picks: one row at a time, its answers in shuffled order, a button for each and one for a tie.

Nothing here is needed: ``reply.pick(row, "A")`` does the same from any cell.
"""

from __future__ import annotations

from typing import Any

from orch_nb.analysis.compare.picks import TIE, letter
from orch_nb.analysis.compare.view import input_text, plain_answer
from orch_nb.errors import OrchError
from orch_nb.views import html
from orch_nb.views.format import count
from orch_nb.views.safe_text import as_text, escape, escape_line

MAX_ANSWER = 4_000


class Picker:
    """The form below a blind comparison. A pick moves on to the next row that is left."""

    def __init__(self, made: Any) -> None:
        import ipywidgets

        self.made = made
        self._widgets = ipywidgets
        self.head = ipywidgets.HTML()
        self.answers = ipywidgets.HTML()
        self.said = ipywidgets.HTML()
        self.buttons = ipywidgets.HBox([])
        self.box = ipywidgets.VBox([self.head, self.answers, self.buttons, self.said])
        self.row: int | None = None
        self._before: list[int] = []
        self.show(next(iter(made.to_pick), None))

    def show(self, row: int | None) -> None:
        """Show one row; None: all are picked."""
        self.row = row
        if row is None:
            self.head.value = self.answers.value = ""
            self.buttons.children = (self._button("Back", self.back, style=""),) if self._before else ()
            return
        left = len(self.made.to_pick)
        self.head.value = (
            f'<div class="{html.CLASSES}" style="{html.ROOT}"><b>Which is best?</b> <span style="opacity:.7">row {escape_line(self.made.rows[row].label)}, '
            f"{escape_line(count(left, 'row'))} left</span></div>"
        )
        self.answers.value = self._answers(row)
        shown = self._answers_shown(row)
        buttons = [self._button(name, lambda name=name: self.pick(name)) for name in shown]
        buttons.append(self._button("Tie", lambda: self.pick(TIE), style=""))
        if self._before:
            buttons.append(self._button("Back", self.back, style=""))
        self.buttons.children = tuple(buttons)

    def _answers_shown(self, row: int) -> list[str]:
        present = self.made.answers(row)
        return [letter(i) for i, c in enumerate(self.made.order(row)) if c in present]

    def _answers(self, row: int) -> str:
        made, present = self.made, self.made.answers(row)
        columns = "".join(
            f'<td style="vertical-align:top;text-align:left;padding:6px 14px 6px 0;white-space:pre-wrap;overflow-wrap:anywhere">'
            f"<b>{letter(i)}</b>\n{escape(as_text(plain_answer(present[c]), MAX_ANSWER), MAX_ANSWER + 60)}</td>"
            for i, c in enumerate(made.order(row))
            if c in present
        )
        asked = f'<div style="opacity:.75;padding:2px 0 4px">{escape(input_text(made, row), 2000)}</div>'
        table = f'<table style="table-layout:fixed;width:100%;border-collapse:collapse;font-size:inherit;color:inherit"><tr>{columns}</tr></table>'
        return f'<div class="{html.CLASSES}" style="{html.ROOT};max-width:1100px;line-height:1.45">{asked}{table}</div>'

    def _button(self, name: str, act: Any, *, style: str = "primary") -> object:
        button = self._widgets.Button(description=name, button_style=style, layout={"width": "84px"})
        button.on_click(lambda _: act())
        return button

    def pick(self, choice: str) -> None:
        """One click. What is wrong with it is said below the buttons."""
        row = self.row
        if row is None:
            return
        try:
            self.made.pick(row, choice)
        except OrchError as error:
            self._say(f"{error} {error.hint}")
            return
        self._before.append(row)
        left = [r for r in self.made.to_pick if r > row] or self.made.to_pick
        self._say("" if left else "all picked: names are shown above")
        self.show(left[0] if left else None)

    def back(self) -> None:
        """The row picked before, to be picked again."""
        if self._before:
            self.show(self._before.pop())

    def _say(self, text: str) -> None:
        self.said.value = f'<span class="{html.CLASSES}">{escape_line(text, 300)}</span>' if text else ""
