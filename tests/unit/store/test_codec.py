"""Rows and blobs: whatever goes in comes out, and a growing value costs what was added."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.errors import CorruptStore, SchemaTooNew
from orch_nb.schema import events as ev
from orch_nb.schema.events import from_row, to_row
from orch_nb.store.codec import LARGE, PIECE, Packer, Unpacker, blob_ids, checksum
from orch_nb.store.export import from_line, to_line
from orch_nb.store.tagged_json import dumps, loads, tag, untag
from tests.contract.facts import every_event, finished, started

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.binary(max_size=40)
)  # fmt: skip
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["$", "$blob", "$list", "$dict", "$bytes", "$decimal", "$$blob", "tail"]
)
large = st.builds(
    lambda t, n: t * n, st.sampled_from(["x", "é😀", '"\\', "\x00"]), st.integers(3000, 9000)
) | st.builds(lambda b, n: b * n, st.binary(min_size=1, max_size=3), st.integers(3000, 9000))
many = (
    st.builds(lambda v, n: [v] * n, scalars, st.integers(50, 600))
    | st.builds(lambda v, n: {f"{i}": v for i in range(n)}, scalars, st.integers(50, 600))
    | st.builds(lambda v, n: [v] * n, large, st.integers(1, 4))
)
values = st.recursive(
    scalars | large | many,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=6,
)


class Shelf:
    """Blobs in a dictionary, as a packer and an unpacker need them."""

    def __init__(self) -> None:
        self.blobs: dict[int, tuple[int, int, Any]] = {}
        self.hashes: dict[bytes, int] = {}
        self.packer = Packer(1 << 32, self.hashes.get)
        self.written = 0

    def pack(self, event: ev.Event) -> Any:
        packed = self.packer.pack([event])
        self.hashes.update(packed.hashes)
        for number, kind, total, body in packed.blobs:
            if number not in self.blobs:
                self.blobs[number] = (kind, total, body)
                self.written += len(body)
        self.written += len(packed.rows[0][5])
        return packed.rows[0]

    def unpack(self, row: Any) -> ev.Event:
        return Unpacker(self.blobs.get).event(7, row, checksum(7, row))


@given(values)
def test_any_value_comes_back(value: Any) -> None:
    """Packed and unpacked, any plain data is equal to what it was, types and order included; and so a second time."""
    shelf = Shelf()
    for event in (finished(value), finished({"again": [value]}), ev.Resumed(1.0), finished(value)):
        row = shelf.pack(event)
        json.loads(row[5])
        assert repr(shelf.unpack(row)) == repr(event)
        assert len(row[5]) < 8 * LARGE


@given(values)
def test_every_reference_is_known(value: Any) -> None:
    """From what events refer to, every blob is found: nothing that is needed is ever swept away."""
    shelf = Shelf()
    row = shelf.pack(finished(value))
    live: set[int] = set()
    todo = list(blob_ids(loads(row[5])))
    while todo:
        number = todo.pop()
        if number not in live:
            live.add(number)
            kind, _, body = shelf.blobs[number]
            if kind == 0:
                todo += blob_ids(loads(body))
    assert live == set(shelf.blobs)


@given(values)
def test_tags_are_undone(value: Any) -> None:
    """Data that JSON lacks, and keys that look like tags, survive a line of JSON."""
    assert repr(untag(loads(dumps(tag(value))))) == repr(value)
    assert repr(from_line(to_line(3, finished(value)))) == repr((3, finished(value)))


@pytest.mark.parametrize("event", every_event(), ids=lambda e: e.TYPE)
def test_every_event_round_trips(event: ev.Event) -> None:
    """Every type of event comes back equal from its row, from a store's row and from a line."""
    assert from_row(event.TYPE, json.loads(json.dumps(to_row(event)))) == event
    shelf = Shelf()
    assert shelf.unpack(shelf.pack(event)) == event
    assert from_line(to_line(1, event)) == (1, event)


def test_every_type_is_among_the_facts() -> None:
    """The sample run has every type of event there is, so that the tests above miss none."""
    assert {e.TYPE for e in every_event()} == set(ev.TYPES)


@pytest.mark.parametrize("size", [50, 500, 5000])
def test_a_growing_list_costs_what_was_added(size: int) -> None:
    """A list that grows by one item a step, written whole each time, stores little more than its items once."""
    shelf, log, added = Shelf(), [], 0
    for i in range(200):
        item = f"{i:06}" * (size // 6)
        log.append(item)
        added += len(item)
        shelf.pack(finished({"n": i, "log": list(log)}))
    assert shelf.written < 1.3 * added + 200 * 1.5 * PIECE
    row = shelf.pack(finished({"n": 1, "log": list(log)}))
    assert shelf.unpack(row) == finished({"n": 1, "log": log})


def test_a_growing_mapping_costs_what_was_added() -> None:
    """The same for a mapping that gets one key more a step."""
    shelf, state, added = Shelf(), {}, 0
    for i in range(300):
        state[f"key {i}"] = f"{i:05}" * 60
        added += 300
        shelf.pack(finished(dict(state)))
    assert shelf.written < 1.3 * added + 300 * 1.5 * PIECE


def test_equal_large_values_are_stored_once() -> None:
    """The same text in many events is one blob; so is a plan in many runs."""
    shelf = Shelf()
    for i in range(10):
        shelf.pack(finished({"i": i, "text": "abc" * 5000}))
        shelf.pack(started(str(i)))
    assert len(shelf.blobs) == 2


def test_small_values_stay_in_their_event() -> None:
    """A value that fits in its row needs no blob."""
    shelf = Shelf()
    shelf.pack(finished({"n": 1, "text": "x" * 3000, "list": [1, 2, 3]}))
    assert not shelf.blobs


@pytest.mark.parametrize("field", range(6))
def test_a_changed_row_is_noticed(field: int) -> None:
    """Whatever part of a row changes, or if it is moved, reading it says so."""
    shelf = Shelf()
    row = shelf.pack(finished({"n": 1}, fingerprint="f"))
    total = checksum(7, row)
    changed = list(row)
    changed[field] = {0: "failed", 1: 2, 2: 9.0, 3: "g", 4: "{}", 5: row[5].replace("1", "2")}[field]
    with pytest.raises((CorruptStore, SchemaTooNew)):
        Unpacker(shelf.blobs.get).event(7, tuple(changed), total)
    with pytest.raises(CorruptStore, match="checksum"):
        Unpacker(shelf.blobs.get).event(8, row, total)


def test_a_missing_or_changed_blob_is_noticed() -> None:
    """An event whose large value is gone or damaged says so instead of giving another value."""
    shelf = Shelf()
    row = shelf.pack(finished("x" * 9000))
    ((number, (kind, total, body)),) = shelf.blobs.items()
    for blobs in ({}, {number: (kind, total, body[:-1] + "y")}):
        with pytest.raises(CorruptStore, match=r"blob 1\.1"):
            Unpacker(blobs.get).event(7, row, checksum(7, row))


def test_a_later_schema_is_refused() -> None:
    """An event that a later version wrote is refused with advice, not guessed at."""
    row = {"frame": "", "node": "a"}
    with pytest.raises(SchemaTooNew, match="schema 99") as caught:
        from_row("finished", row, schema=99)
    assert "upgrade" in caught.value.hint
    with pytest.raises(CorruptStore):
        from_row("no_such_event", row)
    with pytest.raises(CorruptStore):
        from_row("finished", row)


@pytest.mark.parametrize("line", ["", "x", "[]", "{}", '{"seq": 1}', '{"seq":1,"type":"finished","schema":1,"event":{"a":NaN}}',
                                  '{"seq":1,"type":"resumed","schema":1,"event":{"at":1.0,"$x":1}}'])  # fmt: skip
def test_a_line_that_is_no_event(line: str) -> None:
    """A line that no export wrote is a typed error."""
    with pytest.raises(CorruptStore):
        from_line(line)
