"""Export of a run as JSON lines: one complete event a line, readable by people and programs.

``{"seq": 3, "type": "finished", "schema": 1, "event": {...}}``. Amounts of money are text. Data that JSON lacks are tagged
as in `schema.canonical`: ``{"$bytes": BASE64}``. A mapping's own key that begins with ``$`` has a second ``$``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orch_nb.errors import CorruptStore
from orch_nb.schema.events import SCHEMA, Event, from_row, to_row
from orch_nb.schema.secrets import REDACTOR
from orch_nb.store.tagged_json import dumps, loads, tag, untag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def to_line(seq: int, event: Event) -> str:
    """Return one event as one line, without a line break. Secrets that an earlier version stored are replaced."""
    row, _ = REDACTOR.clean(to_row(event))
    return dumps({"seq": seq, "type": event.TYPE, "schema": SCHEMA, "event": tag(row)})


def from_line(line: str) -> tuple[int, Event]:
    """Return the event that `to_line` wrote, upcast if an earlier version wrote it.

    Raises
    ------
    CorruptStore
        The line is not an event.
    SchemaTooNew
        A later version wrote it.
    """
    try:
        got = loads(line)
        return got["seq"], from_row(got["type"], untag(got["event"]), schema=got["schema"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise CorruptStore(
            f"a line must be an event, got {line[:80]!r}.", hint="one event a line, as `export` writes"
        ) from error


def read_lines(lines: Iterable[str]) -> Iterator[tuple[int, Event]]:
    """Yield the events of an exported run, in order; skip blank lines."""
    for line in lines:
        if line.strip():
            yield from_line(line)
