"""Events as rows: what a field was, it is again, however little it says."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.schema.events import from_row, to_row
from orch_nb.schema.messages import Usage
from tests.contract.facts import every_event

if TYPE_CHECKING:
    from orch_nb.schema import events as ev

LEAST: dict[type, Any] = {
    str: "", int: 0, float: 0.0, bool: False, tuple: (), dict: {}, list: [], Decimal: Decimal(0), Usage: Usage(),
}  # fmt: skip
"""The value of each type that says least: what a reader that asks for truth takes for nothing."""


def emptied(event: ev.Event) -> list[ev.Event]:
    """The event with each of its fields in turn at the least value of its type."""
    return [
        replace(event, **{f.name: LEAST[type(value)]})
        for f in fields(event)
        if type(value := getattr(event, f.name)) in LEAST
    ]


def read_back(event: ev.Event) -> ev.Event:
    """Written as JSON and read again."""
    return from_row(event.TYPE, json.loads(json.dumps(to_row(event))))


@pytest.mark.parametrize("event", every_event(), ids=lambda e: e.TYPE)
def test_the_least_value_of_a_field_comes_back_as_what_it_was(event: ev.Event) -> None:
    """An empty text, a zero or a usage of no tokens is read back with its type: not as None, and not as a dictionary."""
    for one in [event, *emptied(event)]:
        assert repr(read_back(one)) == repr(one)
