"""Conditions: what they mean, and what they refuse to guess."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.errors import BadExpression, SemanticFailure
from orch_nb.lang.condition import Predicate
from orch_nb.lang.template import read_path

DATA: dict[str, Any] = {
    "qa": {
        "score": 0.5,
        "ok": True,
        "label": "good",
        "gone": None,
        "n": 3,
        "tags": ["a"],
        "oks": [True, False],
        "empty": [],
        "m": {"k": 1},
    },
    "t": "x",
}


def look(path: tuple[str, ...]) -> Any:
    """The value at a path of DATA."""
    value: Any = DATA
    for part in path:
        value = value[part]
    return value


def holds(text: str) -> bool:
    """Return the truth of a condition on DATA."""
    return Predicate.parse(text).evaluate(look)[0]


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("qa.score < 0.6", True), ("qa.score<0.5", False), ("qa.score <= 0.5", True), ("0 < qa.score <= 0.5", True),
        ("0.5 < qa.score < 1", False), ("qa.n == 3.0", True), ("qa.n != 3", False), ("qa.label == 'good'", True),
        ('qa.label == "go\\u006fd"', True), ("qa.ok", True), ("not qa.ok", False), ("not not qa.ok", True),
        ("qa.ok and qa.n > 2", True), ("qa.n > 9 or qa.ok", True), ("qa.n > 9 or qa.n > 8", False),
        ("qa.ok and (qa.n > 9 or t == 'x')", True), ("not (qa.ok and t == 'y')", True), ("qa.label in ['good', 'bad']", True),
        ("qa.label not in ['good', 'bad',]", False), ("qa.n in [1, 2]", False), ("qa.n in []", False),
        ("qa.gone == null", True), ("qa.gone != null", False), ("qa.n != null", True), ("null == null", True),
        ("qa.gone in [null, 'x']", True), ("true", True), ("False", False), ("qa.ok == true", True), ("qa.n > -1", True),
        ("qa.n > 1e-3", True), ("t < 'y'", True), ("qa.tags == qa.tags", True), ("qa.m != qa.m", False),
        ("qa.score < qa.n", True), ("'oo' in qa.label", True), ("'OO' in qa.label", False), ("'x' not in qa.label", True),
        ("t in qa.label", False), ("'a' in qa.tags", True), ("'b' in qa.tags", False), ("'b' not in qa.tags", True),
        ("any(qa.oks)", True), ("all(qa.oks)", False), ("not all(qa.oks)", True), ("any(qa.empty)", False), ("all(qa.empty)", True),
        ("all(qa.oks) == false and len(qa.oks) == 2", True),
    ],
)  # fmt: skip
def test_meaning(text: str, truth: bool) -> None:
    """Comparisons, chains, and/or/not, membership and constants mean what they mean in Python."""
    assert holds(text) is truth


@pytest.mark.parametrize(
    ("text", "truth"),
    [("qa.zz? < 3", False), ("qa.zz? > 3", False), ("qa.zz? == 3", False), ("qa.zz? != 3", True), ("qa.zz? == null", True),
     ("qa.gone? < 3", False), ("qa.zz? in [1]", False), ("qa.zz? not in [1]", True), ("qa.zz?", False), ("zz.a.b?", False),
     ("'x' in qa.zz?", False), ("'x' not in qa.zz?", True), ("any(qa.zz?)", False), ("qa.zz? in qa.tags", False),
     ("qa.zz? != null and qa.zz > 3", False), ("qa.zz? == qa.gone?", False)],
)  # fmt: skip
def test_an_optional_path_may_be_absent(text: str, truth: bool) -> None:
    """A path with `?` that is absent equals null alone, is neither more nor less than anything, and is not true."""
    assert holds(text) is truth


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qa.gone < 3", "`qa.gone` is null"), ("3 > qa.gone", "`qa.gone` is null"), ("qa.gone", "`qa.gone` is null"),
        ("qa.gone in [3]", "`qa.gone` is null"), ("qa.zz == 1", "`qa.zz` is absent"), ("null < 3", "the constant is null"),
        ("t < 3", "`t` is 'x' (text)"), ("qa.ok == 1", "`qa.ok` is true"), ("qa.n == '3'", "`qa.n` is 3"),
        ("qa.n in ['3']", "the list holds text"), ("qa.score", "neither true nor false"), ("qa.tags < qa.tags", "has no order"),
        ("qa.ok < qa.ok", "has no order"), ("'x'", "neither true nor false"), ("qa.m == 1", "a mapping"),
    ],
)  # fmt: skip
def test_null_and_mixed_types_are_semantic_failures(text: str, said: str) -> None:
    """A condition that cannot be decided is a SemanticFailure that names the condition, the path and its value, with a hint."""
    with pytest.raises(SemanticFailure) as caught:
        holds(text)
    assert said in str(caught.value)
    assert text in str(caught.value)
    assert caught.value.hint


def test_the_values_that_decided_are_returned() -> None:
    """`evaluate` gives the values it looked at, and no others: `and` and `or` stop as soon as they can."""
    assert Predicate.parse("qa.n > 9 and t == 'x'").evaluate(look) == (False, {"qa.n": 3})
    assert Predicate.parse("qa.zz? == null or qa.n > 1").evaluate(look) == (True, {"qa.zz": None})
    with pytest.raises(SemanticFailure) as caught:
        holds("qa.n > 1 and t > 1")
    assert caught.value.facts["values"] == {"qa.n": 3, "t": "x"}


def test_paths_are_listed_once() -> None:
    """`paths` has each distinct path once; optional where any mention is."""
    paths = Predicate.parse("a.b > 1 and c == 'x' and a.b? < 3").paths
    assert [(p.parts, p.optional) for p in paths] == [(("a", "b"), True), (("c",), False)]


def test_text_is_canonical() -> None:
    """Spacing is normalised, so that equal conditions are equal texts, and parsing the text changes nothing."""
    parsed = Predicate.parse("  not(a.b<3 )and c  in[ 'x',\"y\" ]  ")
    assert parsed.text == "not (a.b < 3) and c in ['x', \"y\"]"
    assert Predicate.parse(parsed.text) == parsed


@pytest.mark.parametrize(
    ("text", "said", "column"),
    [
        ("", "a condition is missing", 1), ("a = 3", "Unexpected `=`", 3), ("a is null", "Unexpected `is`", 3),
        ("f(x)", "no calls", 2), ("a[0] == 1", "no calls and no indices", 2), ("a.b.c()", "no calls", 6),
        ("a < ", "The condition ends too early: a field or a value must follow `<`.", 4), ("and a", "Unexpected `and`", 1), ("a < 3 b", "already complete", 7),
        ("a && b", "`&` has no meaning", 3), ("a + 1 < 3", "`+` has no meaning", 3), ("(a", "`)` must follow `a`", 3),
        ("a)", "already complete", 2), ("a in 3", "a list of constants belongs here", 6), ("a in [b]", "constants only", 7),
        ("a in [1, 'x']", "mixes types", 13), ("a in [1", "`,` or `]` must follow `1`", 8), ("a in [1,", "`]` must follow `,`", 9), ("'abc", "`'` has no meaning", 1),
        ('a == "\\q"', "Invalid escape `\\q`", 6), ("a. b", "`.` has no meaning", 2), ("a < 1e999", "too large", 5),
        ("a < " + "9" * 41, "41 characters", 5), ("__a < 1", "two underscores", 1), ("not", "ends too early", 4),
        ("lambda: 1", "already complete", 7), ("a if b else c", "already complete", 3), ("{1}", "belongs here", 1),
        ("a == [1]", "belongs here", 6), ("\x00", "U+0000", 1), ("a ≤ 3", "`≤` has no meaning", 3),
    ],
)  # fmt: skip
def test_what_is_not_a_condition_is_refused_at_its_column(text: str, said: str, column: int) -> None:
    """Every wrong text is a BadExpression with the column where it goes wrong."""
    with pytest.raises(BadExpression) as caught:
        Predicate.parse(text)
    assert said in str(caught.value)
    assert caught.value.column == column


def test_an_error_points_into_the_cell() -> None:
    """Given line, column and source, the error shows the cell's own line."""
    with pytest.raises(BadExpression) as caught:
        Predicate.parse("x = 3", line=2, column=13, source="a -> b\nb -> a when x = 3")
    assert (caught.value.line, caught.value.column) == (2, 15)
    assert "b -> a when x = 3" in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 17 + "a" + ")" * 17, "(" * 500, "not " * 200 + "a", "[" * 900])
def test_depth_is_bounded_without_recursion(text: str) -> None:
    """Deep brackets are refused before anything descends; many `not`s are counted, not nested."""
    if text.startswith("not"):
        assert Predicate.parse(text).evaluate(lambda path: True)[0] is True
        return
    with pytest.raises(BadExpression, match="nested deeper than 16"):
        Predicate.parse(text)


def test_a_condition_has_at_most_one_kilobyte() -> None:
    """1,025 bytes are refused whatever they say."""
    with pytest.raises(BadExpression, match="1,025 bytes"):
        Predicate.parse("a == '" + "x" * 1018 + "'")


def test_an_unpaired_surrogate_is_refused() -> None:
    """Two escaped halves are one character; one alone is an error."""
    assert Predicate.parse('t == "\\ud83d\\ude00"').evaluate(lambda path: "\U0001f600")[0]
    with pytest.raises(BadExpression, match="unpaired surrogate"):
        Predicate.parse('t == "\\ud83d"')


def test_read_path() -> None:
    """`read_path` gives the parts and the optional mark, and errors point at the line."""
    assert read_path("plan.tasks") == (("plan", "tasks"), False)
    with pytest.raises(BadExpression) as caught:
        read_path("a b", line=1, column=4, source="by a b")
    assert caught.value.column == 4


# ------------------------------------------------------------------ len
@pytest.mark.parametrize(("value", "size"), [("abc", 3), ([1, 2], 2), ({"a": 1}, 1), ("", 0)])
def test_len_counts_texts_lists_and_mappings(value, size):
    """`len(path)` is the one call there is: characters, items, keys."""
    holds, seen = Predicate.parse("len(x) == 3 or len(x) < 3").evaluate({("x",): value}.__getitem__)
    assert (holds, seen) == (True, {"len(x)": size})


def test_len_never_guesses():
    """Null has no length; an optional path that is absent compares as null does; a number has none."""
    with pytest.raises(SemanticFailure, match="null"):
        Predicate.parse("len(x) > 1").evaluate(lambda parts: None)
    assert Predicate.parse("len(x?) > 1").evaluate({}.__getitem__)[0] is False
    with pytest.raises(SemanticFailure, match="no length"):
        Predicate.parse("len(x) > 1").evaluate(lambda parts: 7)


def test_len_is_printed_as_it_is_written_and_may_still_be_a_name():
    """One canonical text; a node that is called `len` is still a path."""
    assert Predicate.parse("len ( a.b )>2 and(len == 3)").text == "len(a.b) > 2 and (len == 3)"
    assert Predicate.parse("len(a.b) > 2").paths[0].parts == ("a", "b")


def test_len_is_checked_against_types():
    """A value without length is found before anything is paid."""
    assert "no length" in Predicate.parse("len(n) > 2").check(lambda parts: {"type": "integer"})[0]
    assert Predicate.parse("len(n) > 2").check(lambda parts: {"type": "string"}) == []
    assert "cannot be compared" in Predicate.parse("len(n) > 'x'").check(lambda parts: {"type": "string"})[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("any(qa.label)", "`qa.label` is 'good', which is not a list"), ("all(qa.tags)", "has the item 'a', which is neither true nor false"),
        ("3 in qa.label", "the constant is 3, which cannot be in a text"), ("'x' in qa.n", "`qa.n` is 3: `in` takes a text or a list"),
        ("3 in qa.tags", "the constant is 3, but the list has text"), ("'x' in qa.gone", "`in` cannot be decided on null"),
    ],
)  # fmt: skip
def test_any_all_and_in_never_guess(text: str, says: str) -> None:
    """A list of something else, a number in a text, and null are failures that name the path and its value."""
    with pytest.raises(SemanticFailure) as caught:
        holds(text)
    assert says in str(caught.value)


def test_any_all_and_in_are_checked_against_types_before_anything_is_paid() -> None:
    """A path of another type is a problem of the condition, found where it is compiled."""
    types = {"qa": {"type": "object", "properties": {"label": {"type": "string"}, "n": {"type": "number"}}}}
    problems = [
        Predicate.parse(t).check(lambda parts: types.get(parts[0]))
        for t in ("any(qa.label)", "'x' in qa.n", "qa.n in qa.label")
    ]
    assert [len(p) for p in problems] == [1, 1, 1]
    assert "not a list" in problems[0][0]
    assert Predicate.parse("'x' in qa.label").check(lambda parts: types.get(parts[0])) == []
