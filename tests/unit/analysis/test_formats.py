"""The same datum in two forms is flagged, with both values; two forms that are alike are not."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.analysis.compare.formats import differences, flags

CASES: list[tuple[Any, Any, str, str, str]] = [
    ("Due 03/14/2026.", "Due 2026-03-14.", "date", "MM/DD/YYYY", "YYYY-MM-DD"),
    ("14.03.2026", "14/03/2026", "date", "DD.MM.YYYY", "DD/MM/YYYY"),
    ("March 3, 2026", "3 March 2026", "date", "Month D, YYYY", "D Month YYYY"),
    ("$12.50", "12.50 USD", "currency", "$ before", "USD after"),
    ("It costs $5 a month", "It costs 5 dollars a month", "currency", "$ before", "dollars after"),
    ("Billing", "billing", "letter case", "Title Case", "lower case"),
    ("TECHNICAL", "billing", "letter case", "UPPER CASE", "lower case"),
    ('```json\n{"a": 1}\n```', '{"a": 1}', "JSON shape", "JSON in a fence", "JSON"),
    ({"a": 1}, "a is 1", "JSON shape", "JSON", "text"),
    ({"a": 1}, {"a": "1"}, "type", "a number", "a text"),
    ({"a": [1]}, {"a": 1}, "type", "a list", "a number"),
    ({"a": 1, "b": 2}, {"a": 1}, "keys", "present", "missing"),
    ({"dueDate": "x"}, {"due_date": "x"}, "keys", "`dueDate`", "`due_date`"),
    ({"items": [{"due": "2026-03-14"}]}, {"items": [{"due": "14/03/2026"}]}, "date", "YYYY-MM-DD", "DD/MM/YYYY"),
]


@pytest.mark.parametrize(("one", "other", "kind", "form", "other_form"), CASES, ids=lambda v: str(v)[:24])
def test_a_different_form_is_flagged_with_both_values(
    one: Any, other: Any, kind: str, form: str, other_form: str
) -> None:
    """Each kind of difference is found, named, and shows how each side writes it; seen from the other side it is the same, turned."""
    found = differences(one, other)
    assert (kind, form, other_form) in [(d.kind, d.one, d.other) for d in found]
    assert all(d.one_value and d.other_value for d in found)
    assert set(differences(other, one)) == {d.turned for d in found}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Due 2026-03-14", "Due 2025-01-02"), ("$5", "$7.25"), ("hello there", "good bye"), ("1,234", "5,678"),
        ({"a": 1}, {"a": 2.5}), ({"a": None}, {"a": "x"}), ("born 1990", "1,990 people"), ("v1.2.3", "1,234"),
        ("03/14/2026", "03/04/2026"), ("billing", "technical"), ("Yes", "No"), (None, {"a": 1}), ([], [1]), (5, 7),
        ("It takes 5 km or 3 mi", "5 km"), ("5 dollars", "1 dollar"), ("1,234,567", "1.234.567"), ("12%", "12 percent"),
        ("at 14:30", "at 2:30 pm"), ("Yes.", "Yes"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_written_alike_is_not_flagged(one: Any, other: Any) -> None:
    """Different values in the same form, and forms that cannot be told apart, do not count as a difference of form."""
    assert [d for d in differences(one, other) if d.kind != "JSON shape"] == []
    assert differences(one, one) == differences(other, other) == []


def test_day_and_month_swapped_are_noticed() -> None:
    """03/04 against 04/03 of one year: one of them has the day first, although the form looks the same."""
    (found,) = differences("03/04/2026", "04/03/2026")
    assert "swapped" in found.says
    assert (found.one_value, found.other_value) == ("03/04/2026", "04/03/2026")


def test_every_pair_of_a_row_is_held_against_each_other() -> None:
    """Of three answers the two pairs that differ are flagged, by candidate; a candidate without an answer is left out."""
    found = flags(7, {0: "2026-03-14", 2: "2026-03-15", 3: "14/03/2026"})
    assert [(f.row, f.one, f.other) for f in found] == [(7, 0, 3), (7, 2, 3)]


def test_a_field_is_named_by_its_path() -> None:
    """The path of the field is part of the flag, so that it can be found in a large answer."""
    (found,) = differences({"o": {"lines": [{"p": "$1"}]}}, {"o": {"lines": [{"p": "1 EUR"}]}})
    assert found.where == "o.lines[0].p"
    assert found.says == "currency in `o.lines[0].p`: $ before “$1” against EUR after “1 EUR”"
