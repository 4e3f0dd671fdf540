"""A magic's line: words, pairs, flags, values; nothing is evaluated, everything wrong has its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.errors import BadOption, OrchError
from orch_nb.lang.magic_line import read_command, split, value_of, without_comment


def words(line: str) -> list[str]:
    return [w.text for w in split(line)]


def test_words_keep_what_is_quoted_or_bracketed_together():
    """Blanks inside quotes, brackets and data structures separate nothing."""
    assert words('run g a="x y" b=[1, 2] c={"k": (1, 2)}') == ["run", "g", 'a="x y"', "b=[1, 2]", 'c={"k": (1, 2)}']
    assert words(r'run g a="say \"hi\" now" b') == ["run", "g", r'a="say \"hi\" now"', "b"]


def test_an_apostrophe_in_a_word_is_no_quote():
    """`don't` is a word."""
    assert words("answer don't") == ["answer", "don't"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("run g # note", "run g"),
        ('run g a="x # y" # note', 'run g a="x # y"'),
        ("run g a=[1, # 2]", "run g a=[1, # 2]"),
        ("run g#1", "run g#1"),
        ("# all", ""),
        ("run g;", "run g"),
        ('run g a=";"', 'run g a=";"'),
    ],
)
def test_trailing_comments_are_stripped(line, kept):
    """A `#` after a blank begins a comment, except inside quotes or brackets; a trailing `;` is IPython's."""
    assert without_comment(line) == kept


def test_pairs_flags_and_words_are_told_apart():
    """`name=value`, `--flag value`, `--flag=value`, `--switch` and plain words, in any order."""
    made = read_command('run support --budget 0.5 ticket="a b" --bg --as=x policy=p', values=["budget", "as"])
    assert made.verb == "run"
    assert [w.text for w in made.words] == ["support"]
    assert [(p.name, p.text) for p in made.pairs] == [("ticket", '"a b"'), ("policy", "p")]
    assert made.flags == {"budget": "0.5", "bg": True, "as": "x"}


def test_values_are_literals_or_names_and_nothing_else():
    """A value is a Python literal or a variable; calls, attributes and arithmetic are refused, and nothing runs."""
    ran = []
    names = {"policy": "P", "f": lambda: ran.append(1)}
    command = read_command("run g a=1")
    at = command.pairs[0]
    assert value_of("policy", names, command=command, at=at) == "P"
    assert value_of('"p"', names, command=command, at=at) == "p"
    assert value_of("[1, {'a': None}]", names, command=command, at=at) == [1, {"a": None}]
    assert value_of("True", names, command=command, at=at) is True
    for text in ("f()", "__import__('os')", "policy.x", "1+1 if f else 2", "(" * 500 + ")" * 500):
        with pytest.raises(BadOption):
            value_of(text, names, command=command, at=at)
    assert not ran


def test_an_unknown_variable_names_the_nearest():
    """The error for a misspelt variable has its place and the nearest name."""
    command = read_command("run g policy=polcy", shown="%orch run g policy=polcy")
    with pytest.raises(BadOption) as caught:
        value_of("polcy", {"policy": 1}, command=command, at=command.pairs[0])
    assert caught.value.hint == "did you mean `policy`?"
    assert caught.value.column == len("%orch run g policy=") + 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('run g a="x', 'a quote " is not closed'),
        ("run g a=[1, 2", "a bracket is not closed"),
        ("run g a=", "`a=` has no value"),
        ("run g a=1 a=2", "`a` is given twice"),
        ("run g --budget", "`--budget` needs a value"),
        ("run g --bg=1", "`--bg` takes no value"),
        ("--bg run", "The first word must be a verb, got `--bg`"),
    ],
)
def test_what_is_wrong_is_said(line, says):
    """Every way to write a line wrongly has its own message."""
    with pytest.raises(BadOption, match="(?s)" + says.replace("(", r"\(").replace("[", r"\[")):
        read_command(line, values=["budget"])


@given(st.text(max_size=200))
def test_any_line_is_read_or_refused(line):
    """Whatever is typed: a command, or one of our errors."""
    try:
        made = read_command(line)
    except OrchError:
        return
    assert isinstance(made.verb, str)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), st.one_of(
    st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.text(), max_size=3), st.none()
), max_size=4))  # fmt: skip
def test_literals_survive_the_line(values):
    """Whatever is written as a Python literal comes out as the value that it says."""
    line = "run g " + " ".join(f"{k}={v!r}" for k, v in values.items())
    command = read_command(line)
    assert {p.name: value_of(p.text, {}, command=command, at=p) for p in command.pairs} == values
