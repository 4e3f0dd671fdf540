"""A run as JSON lines: one event a line, complete in itself, readable by eye and by any other program.

``{"seq": 3, "type": "finished", "schema": 1, "event": {...}}``. Amounts of money are text. What JSON lacks is tagged as in
`schema.canonical`: ``{"$bytes": BASE64}``; a mapping's own key that begins with ``$`` has a second one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_nb.errors import CorruptStore
from orch_nb.schema.events import SCHEMA, Event, from_row, to_row
from orch_nb.schema.secrets import REDACTOR
from orch_nb.store.tagged_json import dumps, loads, tag, untag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def to_line(seq: int, event: Event) -> str:
    """One event as one line, without its line break. What an earlier version stored is cleaned of secrets here."""
    row, _ = REDACTOR.clean(to_row(event))
    return dumps({"seq": seq, "type": event.TYPE, "schema": SCHEMA, "event": tag(row)})


def from_line(line: str) -> tuple[int, Event]:
    """The event that `to_line` wrote, upcast when an earlier version did.

    Raises
    ------
    CorruptStore
        The line is no such record.
    SchemaTooNew
        A later version wrote it.
    """
    try:
        got: Any = loads(line)
        return got["seq"], from_row(got["type"], untag(got["event"]), schema=got["schema"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise CorruptStore(
            f"this line is no event: {line[:80]!r}.", hint="one event a line, as `export` writes"
        ) from error


def read_lines(lines: Iterable[str]) -> Iterator[tuple[int, Event]]:
    """Events of an exported run, in order; blank lines are passed over."""
    for line in lines:
        if line.strip():
            yield from_line(line)
