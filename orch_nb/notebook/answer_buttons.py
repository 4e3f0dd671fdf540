"""Buttons for a person: Approve, Edit, Reject, an answer in words; Stop for a run in the background.

Callbacks only post to the run, and say beside the button what came of it. Nothing here is needed: `%orch answer` and
`%orch stop` do the same from any cell.
"""

from __future__ import annotations

import json
from typing import Any

from orch_nb.errors import OrchError, QuestionChanged
from orch_nb.schema import events as ev
from orch_nb.schema.secrets import REDACTOR
from orch_nb.views import html
from orch_nb.views.format import glyph
from orch_nb.views.safe_text import as_text, escape_line

LABELS = {
    "approve": "Approve",
    "edit": "Approve as edited",
    "reject": "Reject",
    "done": "It happened",
    "again": "Do it again",
    "raise": "Raise the budget",
    "stop": "Stop here",
}
STYLES = {"approve": "primary", "edit": "primary", "done": "primary", "raise": "primary"}
"""One strong button at a time: Approve is off while the text is edited, "as edited" while it is not."""
EDIT_LIMIT = 64 * 1024
"""Characters that can be edited in a box. What is longer is edited in Python: `%orch answer edit variable`."""


class Controls:
    """The row of widgets below a run: one form for each question that is open."""

    def __init__(self, handle: Any, *, can_stop: bool = False) -> None:
        import ipywidgets

        self.handle = handle
        self.box = ipywidgets.VBox([])
        self._forms: dict[str, Form] = {}
        self._stop = self._stop_button(ipywidgets) if can_stop else None
        self.sync()

    def sync(self) -> None:
        """Show what is asked now. From any thread: only traits of widgets change."""
        asked = {ev.key(w): w for w in getattr(self.handle, "waiting", ())}
        for key, question in asked.items():
            if key not in self._forms or self._forms[key].asked is not question:
                self._forms[key] = Form(self.handle, key, question)
        self._forms = {k: f for k, f in self._forms.items() if k in asked}
        children = [form.box for form in self._forms.values()]
        if self._stop is not None and not self.handle.done():
            children.append(self._stop)
        if list(self.box.children) != children:
            self.box.children = tuple(children)

    def _stop_button(self, ipywidgets: Any) -> Any:
        button = ipywidgets.Button(description="Stop", tooltip=f"Stop run {self.handle.run}", layout={"width": "90px"})

        def on_click(_: object) -> None:
            self.handle.stop()
            button.disabled = True
            button.description = "Stopping"

        button.on_click(on_click)
        return button


class Form:
    """One question: what is shown, and the buttons that answer it."""

    def __init__(self, handle: Any, key: str, asked: ev.Waiting) -> None:
        import ipywidgets

        self.handle, self.key, self.asked = handle, key, asked
        self.is_over = False
        shown, _ = REDACTOR.clean(asked.shown)
        self._is_text = isinstance(shown, str)
        self._before = shown if self._is_text else as_json(shown)
        self.said = ipywidgets.HTML("")
        can_edit = "edit" in asked.options and len(self._before) <= EDIT_LIMIT
        rows = min(12, max(2, self._before.count("\n") + 1 + len(self._before) // 90))
        self.text = ipywidgets.Textarea(self._before, rows=rows, layout={"width": "100%"}) if can_edit else None
        self.buttons = {
            o: self._button(ipywidgets, o) for o in asked.options if o in LABELS and (o != "edit" or can_edit)
        }
        if self.text is not None:
            self.text.observe(self._on_edit, names="value")
            self._on_edit(None)
        question = ipywidgets.HTML(f"<b>{glyph('waiting')} {escape_line(key)}</b> {html.prose(asked.question, 400)}")
        parts = [question, *([self.text] if self.text is not None else [self._make_widget(ipywidgets)])]
        self.box = ipywidgets.VBox([*parts, ipywidgets.HBox([*self.buttons.values(), self.said])])

    def _on_edit(self, _: object) -> None:
        """Approve means what was shown: it is off while the box says something else."""
        if self.is_over:
            return
        assert self.text is not None
        is_edited = self.text.value != self._before
        for option, button in self.buttons.items():
            if option in ("approve", "edit"):
                button.disabled = is_edited if option == "approve" else not is_edited

    def _make_widget(self, ipywidgets: Any) -> object:
        return ipywidgets.HTML(html.code(as_text(self.asked.shown)))

    def _button(self, ipywidgets: Any, option: str) -> Any:
        wide = {"width": "150px"} if option == "edit" else {"width": "110px"}
        button = ipywidgets.Button(description=LABELS[option], button_style=STYLES.get(option, ""), layout=wide)
        button.on_click(lambda _: self.answer(option))
        return button

    def answer(self, option: str) -> None:
        """Give the answer; what is wrong with it is said beside the buttons, and nothing is sent.

        One click answers what this form shows, and no later click answers anything: a second one may be under way already.
        """
        if self.is_over:
            return
        try:
            value = self._edited_value() if option == "edit" else None
            self.handle.answer(option, value, node=self.key, shown_hash=self.asked.shown_hash)
        except QuestionChanged as error:
            self._end(str(error))
        except OrchError as error:
            self._say(f"{error} {error.hint}")
        except ValueError as error:
            self._say(f"not sent: this is not JSON: {error}")
        else:
            self._end(f"{glyph('done')} {LABELS[option].lower()}")

    def _end(self, said: str) -> None:
        self.is_over = True
        for button in self.buttons.values():
            button.disabled = True
        self._say(said)

    def _edited_value(self) -> object:
        assert self.text is not None
        return self.text.value if self._is_text else json.loads(self.text.value)

    def _say(self, text: str) -> None:
        self.said.value = f'<span class="{html.CLASSES}">{escape_line(text, 300)}</span>'


def as_json(value: object) -> str:
    """A value as JSON to be edited, exactly: unlike `as_text` it can be read back."""
    return json.dumps(value, indent=1, ensure_ascii=True, default=str)
