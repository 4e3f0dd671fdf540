"""MIME bundles: one for the interactive view, a script-free HTML twin, a plain text twin with the same facts."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.schema.secrets import REDACTOR
from orch_nb.views import html as markup
from orch_nb.views.columnar import Packed
from orch_nb.views.safe_text import clean

if TYPE_CHECKING:
    from collections.abc import Generator

    from orch_nb.views.table import Table

GRAPH = "application/vnd.orch.graph+json"
TRACE = "application/vnd.orch.trace+json"
QUOTE = "application/vnd.orch.quote+json"
"""A quote as data, for tools; every front end shows its HTML."""
VERSION = 1
"""Of these types. A renderer refuses what it does not know and leaves the HTML to be shown."""


def bundle(text: str, html: str, *, kind: str = "", data: dict[str, object] | None = None) -> dict[str, object]:
    """The bundle of one display. Whatever was shown, the text and the data have nothing hidden in them; the HTML was
    escaped where it was made. No form has a secret in it."""
    made: dict[str, object] = {"text/plain": clean(text, len(text)), "text/html": without_secrets(html)}
    if kind and data is not None:
        made[kind], _ = REDACTOR.clean(_clean_data({"v": VERSION, **data}))
    return made


_IMAGE = re.compile(r"(;base64,[A-Za-z0-9+/=]*)")


def without_secrets(html: str) -> str:
    """HTML with marks in the place of secrets. Images in it are left alone: in so many letters a shape comes about by chance."""
    if not REDACTOR.is_in(html):
        return html
    return "".join(part if n % 2 else REDACTOR.text(part) for n, part in enumerate(_IMAGE.split(html)))


def _clean_data(value: object) -> object:
    """Plain data with every text cleaned and cut to the limit of a field; what is packed was made of such."""
    if isinstance(value, Packed):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(k): _clean_data(v) for k, v in value.items()}
    return [_clean_data(v) for v in value] if isinstance(value, list | tuple) else value


@dataclass(slots=True)
class Display:
    """What a verb gives back to be looked at: `value` is the thing itself, to work with in Python."""

    text: str
    html: str
    value: object = None
    kind: str = ""
    data: dict[str, object] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return clean(self.text, len(self.text))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return bundle(self.text, self.html, kind=self.kind, data=self.data)

    def __await__(self) -> Generator[None, None, Display]:
        """`await` gives the same: a cell awaits asynchronous verbs also where they only show how they are written."""
        return self
        yield

    @classmethod
    def lines(cls, *rows: str, value: object = None) -> Display:
        """Some lines of text, no more."""
        inner = "".join(f"<div>{markup.prose(row)}</div>" for row in rows)
        return cls("\n".join(rows), f'<div class="{markup.CLASSES}" style="{markup.ROOT}">{inner}</div>', value)

    @classmethod
    def of_table(cls, head: str, table: Table, *after: str, value: object = None) -> Display:
        """A head line, a table, and lines after it."""
        text = "\n".join(part for part in (head, table.text(), *after) if part)
        tail = "".join(f"<div>{markup.quiet(row)}</div>" for row in after)
        html = markup.panel(
            markup.bar(markup.strong(head)) if head else "", markup.section(table.html() + tail, first=True)
        )
        return cls(text, html, value)


Bundle = dict[str, Any]


# ------------------------------------------------------------------ notes
# What a cell has to say about an object beside what the object is: kept apart from it, gone when it is gone.

_NOTES: dict[int, tuple[Any, tuple[str, ...]]] = {}


def note(thing: object, *texts: str) -> None:
    """Say `texts` once more each time `thing` is shown."""
    at = id(thing)
    _NOTES[at] = (weakref.ref(thing, lambda _: _NOTES.pop(at, None)), tuple(texts))


def notes_on(thing: object) -> tuple[str, ...]:
    """Return what was noted about this very object."""
    found = _NOTES.get(id(thing))
    return found[1] if found is not None and found[0]() is thing else ()
