"""Scorers: what is written, what it says of an answer, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.analysis.compare.scorers import Answered, number_in, read_scorers
from orch_nb.errors import BadOption


def say(
    text: str, output: Any, record: dict[str, Any] | None = None, names: dict[str, Any] | None = None, **facts: Any
) -> Any:
    """Return the score of an answer."""
    (scorer,) = read_scorers([text], names or {}).cells
    return scorer.score(Answered(output, record or {}, **facts)).value


@pytest.mark.parametrize(
    ("text", "output", "record", "value"),
    [
        ("exact(category)", {"category": " billing"}, {"category": "billing"}, 1.0),
        ("exact(category)", {"category": "Billing"}, {"category": "billing"}, 0.0),
        ("exact(category)", "billing", {"category": "billing"}, 1.0),
        ("exact(category)", {"category": "billing"}, {"category": None}, None),
        ("exact(label, of=answer.kind)", {"answer": {"kind": "x"}}, {"label": "x"}, 1.0),
        ("exact(n)", {"n": 3}, {"n": 3.0}, 1.0),
        ("exact(ok)", {"ok": True}, {"ok": 1}, 0.0),
        ('regex("^RE-[0-9]+$")', "RE-17", {}, 1.0),
        ('regex("^RE-[0-9]+$")', "no", {}, 0.0),
        ('regex("b", of=x)', {"x": "abc", "y": "q"}, {}, 1.0),
        ("numeric(0.01, of=max)", {"max": 1.01}, {"max": 1}, 1.0),
        ("numeric(0.01, of=max)", {"max": 1.0101}, {"max": 1}, 0.0),
        ("numeric(0, of=max)", "about $1,299.50", {"max": "1299.5 dollars"}, 1.0),
        ("numeric(0, of=max)", "between 3 and 4", {"max": 3}, 0.0),
        ('numeric("1 %", of=price, to=expected)', {"price": 101}, {"expected": 100}, 1.0),
        ('numeric("1 %", of=price, to=expected)', {"price": 102}, {"expected": 100}, 0.0),
        ("numeric(1, of=price)", {"price": 1}, {}, None),
    ],
)  # fmt: skip
def test_a_scorer_says_right_wrong_or_nothing(
    text: str, output: Any, record: dict[str, Any], value: float | None
) -> None:
    """Right is 1, wrong 0, and where the row does not say what is right there is no score: unknown is not wrong."""
    assert say(text, output, record) == value


def test_schema_asks_whether_the_answer_fits_its_type() -> None:
    """`schema` is about prompts that declare their answer; of others it says nothing."""
    assert say("schema", {"a": 1}, has_type=True) == 1.0
    assert say("schema", "x", has_type=True, is_valid=False) == 0.0
    assert say("schema", "x") is None


def test_a_function_scores_by_the_names_of_its_parameters() -> None:
    """A function may take `output`, `row` and columns; true, false and 0 to 1 are scores, anything else is none, and why."""
    names = {
        "short": lambda output: len(output) < 5,
        "near": lambda output, wanted: 1 - abs(len(output) - wanted) / 10,
        "whole": lambda row: row["wanted"] == 3,
        "odd": lambda output: 7,
        "broken": lambda output: 1 / 0,
    }
    row = {"wanted": 3}
    assert say("short", "abc", row, names) == 1.0
    assert say("near", "abcde", row, names) == 0.8
    assert say("whole", "", row, names) == 1.0
    assert say("odd", "", row, names) is None
    (broken,) = read_scorers(["broken"], names).cells
    assert "ZeroDivisionError" in broken.score(Answered("x", row)).why


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("exakt(category)", "must be a scorer or a function", "`exact`"),
        ("exact", "is not complete", "exact"),
        ("exact()", "arguments", "exact(COLUMN"),
        ("exact(1)", "needs a text, got 1", "column"),
        ('regex("[")', "has an invalid pattern", "regular expression"),
        ("numeric(-1, of=x)", "tolerance", "from 0"),
        ("numeric(0.1)", "arguments", "of=FIELD"),
        ('judge("x", k=1)', "must have `k` from 2 to 12, got 1", "2"),
        ('judge("x", k=True)', "must have `k` from 2 to 12, got True", "2"),
        ("gradr", "must be a function of this notebook", "`grader`"),
        ("table", "must be a function of this notebook, got a list", "scorers"),
        ("later", "coroutine", "judge"),
        ("exact(__import__('os').system('x'))", "texts, numbers and names", "expressions are not evaluated"),
        ("a.b", "is not complete", ""),
        ("1 +", "cannot be read", "exact"),
    ],
)
def test_what_is_no_scorer_is_said_with_what_to_write(text: str, says: str, hint: str) -> None:
    """A scorer that cannot act is a typed error with the nearest, before anything runs; nothing in it is evaluated."""

    async def later(output: str) -> bool:
        return True

    names = {"grader": lambda output: True, "table": [1], "later": later}
    with pytest.raises(BadOption, match="scorer") as caught:
        read_scorers([text], names)
    assert says in str(caught.value)
    assert hint in caught.value.hint


def test_judges_are_kept_apart_and_repeats_are_one() -> None:
    """Scorers of a cell and judges of a row are told apart; the same scorer twice counts once."""
    made = read_scorers(['judge("helpful", model=big, k=4)', "exact(a)", "exact(a)"], {})
    assert made.texts == ["exact(a)", 'judge("helpful", model=big, k=4)']
    assert (made.judges[0].model, made.judges[0].k, made.judges[0].criteria) == ("big", 4, "helpful")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,299.50", 1299.5),
        ("-3", -3.0),
        ("1e3", 1000.0),
        (",.12,", 0.12),
        ("2 or 2", 2.0),
        ("2 or 3", None),
        ("none", None),
        (True, None),
    ],
)
def test_a_number_is_read_only_where_there_is_one(text: Any, number: float | None) -> None:
    """The only number of a text is its number; of several nobody knows which is meant."""
    assert number_in(text) == number
