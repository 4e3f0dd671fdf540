"""Edge cases as a file that people read: kept once, read back, refused where a line is none."""

from __future__ import annotations

import json

import pytest

from orch_nb.analysis.compare.fixtures import keep, load, path_of
from orch_nb.errors import BadName, StoreError, UnstorableValue


def test_a_kept_input_is_one_readable_line(tmp_path) -> None:
    """One JSON mapping a line: the input, what is expected, why and since when, where it came from."""
    keep(
        tmp_path,
        "price",
        {"text": "$120 a year"},
        expected={"price": 10},
        note="monthly against annual",
        came_from="reply, run 3",
        now=0.0,
    )
    (line,) = path_of(tmp_path, "price").read_text().splitlines()
    assert json.loads(line) == {
        "input": {"text": "$120 a year"}, "expected": {"price": 10}, "note": "monthly against annual", "added": "1970-01-01",
        "from": "reply, run 3",
    }  # fmt: skip
    assert load(tmp_path, "price")[0].record == {"text": "$120 a year", "price": 10}


def test_the_same_input_is_kept_once_in_its_place(tmp_path) -> None:
    """A fixture that is stored again replaces its line in place; the other lines stay the same."""
    keep(tmp_path, "t", {"a": 1}, note="first")
    keep(tmp_path, "t", {"a": "x\u2028y\n"}, note="strange line ends")
    keep(tmp_path, "t", {"a": 1}, note="better said")
    assert [(f.input["a"], f.note) for f in load(tmp_path, "t")] == [
        (1, "better said"),
        ("x\u2028y\n", "strange line ends"),
    ]


@pytest.mark.parametrize("line", ["not json", "[]", "{}", '{"input": {}}', '{"input": {"a": 1}, "expected": 3}'])
def test_a_line_that_is_no_fixture_is_named(tmp_path, line: str) -> None:
    """A broken line is a typed error with file and line: edge cases are never dropped in silence."""
    keep(tmp_path, "t", {"a": 1})
    with path_of(tmp_path, "t").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(StoreError, match=r"t\.jsonl, line 3"):
        load(tmp_path, "t")


def test_a_task_without_fixtures_has_none(tmp_path) -> None:
    """Without a file the list is empty; a task's name cannot leave the folder; only plain data is stored."""
    assert load(tmp_path, "t") == []
    with pytest.raises(BadName):
        load(tmp_path, "../t")
    with pytest.raises(UnstorableValue):
        keep(tmp_path, "t", {"a": object()})
