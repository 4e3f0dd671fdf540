"""The text of a `%%compare` cell: every key, and what is said where one is wrong."""

from __future__ import annotations

import pytest

from orch_nb.analysis.compare.inputs import rows_of
from orch_nb.errors import BadName, BadOption, MissingInput, UnknownKey
from orch_nb.lang.compare_cell import read_compare_cell

BASE = "prompts: [a]\nmodels: [small]\ninputs: rows\n"


def test_every_key_of_a_cell_is_read() -> None:
    """All keys, one to a line or several with `;`, comments and blank lines between."""
    made = read_compare_cell(
        "reply  # the replies",
        'prompts:\n  short: "Answer in one line: {{ ticket }}"\n  long: |\n    Answer\n    at length: {{ ticket }}\n'
        "# models of the notebook\nmodels: [small, vendor/model-4.10]\n\ninputs: tickets.sample(20)   # twenty\n"
        'score: [exact(category), judge("helpful, correct", k=2)]\nbudget: 0.10 ; repeat: 3 ; blind: true\n'
        "seed: 7\ntask: answers\nfixtures: false\npasses: 0.8\n",
    )
    assert made.prompts == {"short": "Answer in one line: {{ ticket }}", "long": "Answer\nat length: {{ ticket }}\n"}
    assert made.models == ("small", "vendor/model-4.10")
    assert made.inputs == "tickets.sample(20)   # twenty"
    assert made.score == ("exact(category)", 'judge("helpful, correct", k=2)')
    assert (made.budget, made.repeat, made.blind, made.seed, made.task, made.fixtures, made.passes) == (
        "0.10", 3, True, 7, "answers", False, 0.8,
    )  # fmt: skip


@pytest.mark.parametrize("score", ["score: schema", "score: [schema]", "score:\n  - schema"])
def test_scorers_are_written_alone_or_as_a_list(score: str) -> None:
    """One scorer, a list in brackets, a list of lines: the same."""
    assert read_compare_cell("x", BASE + score).score == ("schema",)


def test_rows_are_written_out_in_the_cell_too() -> None:
    """A literal list of rows is data."""
    made = read_compare_cell("x", "prompts: [a]\nmodels: small\ninputs: [{ticket: one}, {ticket: two}]\n")
    assert made.inputs == [{"ticket": "one"}, {"ticket": "two"}]
    assert made.models == ("small",)


@pytest.mark.parametrize(
    ("line", "body", "error", "says", "hint"),
    [
        ("", BASE, BadOption, "A comparison needs a name", "%%compare NAME"),
        ("a b", BASE, BadOption, "Unexpected argument `b`", "%%compare NAME"),
        ("a-b", BASE, BadName, "not an identifier", ""),
        ("x", "models: [s]\ninputs: r\n", BadOption, "no `prompts`", "prompts:"),
        ("x", BASE + "promts: [b]\n", UnknownKey, "line 5: A comparison has no key `promts`", "`prompts`"),
        ("x", BASE + "models: [big]\n", BadOption, "first on line 3", "keep one"),
        ("x", BASE + "repeat: 0\n", BadOption, "line 5: `repeat` must be a whole number from 1 to 100, got `0`", ""),
        ("x", BASE + "repeat: 1e3\n", BadOption, "`repeat` must be a whole number from 1 to 100, got `1e3`", ""),
        ("x", BASE + "blind: yes\n", BadOption, "`blind` must be `true` or `false`, got `yes`", ""),
        ("x", BASE + "budget: -1\n", BadOption, "line 5: `budget` must be an amount in dollars, got '-1'", "0.05"),
        ("x", BASE + "passes: 90\n", BadOption, "`passes` must be a quality from 0 to 1, got `90`", ""),
        ("x", BASE + "task: ../x\n", BadName, "not an identifier", ""),
        (
            "x",
            BASE + "score: exact(\n",
            BadOption,
            "line 5: A scorer must be a name or a call, got `exact(`",
            "exact(category)",
        ),
        ("x", "prompts: [a, a]\nmodels: [s]\ninputs: r\n", BadOption, "has a name twice", "keep one"),
        ("x", "prompts: 3\nmodels: [s]\ninputs: r\n", BadOption, "must be a list of agents or a mapping", "prompts:"),
        ("x", "prompts: [a]\nmodels: [s, s]\ninputs: r\n", BadOption, "must be a list of different names", "models:"),
        ("x", "hello\n" + BASE, BadOption, "line 2: A line must begin with a key", "KEY: value"),
        ("x", BASE + "seed: &a 3\n", BadOption, "line 5: anchors", "write the value out"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(line: str, body: str, error: type, says: str, hint: str) -> None:
    """A cell that cannot act is one typed error with its line and what to write instead."""
    with pytest.raises(error) as caught:
        read_compare_cell(line, body)
    assert says in str(caught.value)
    assert hint in caught.value.hint


# ------------------------------------------------------------------ rows
ROWS = [{"n": i} for i in range(10)]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("x", [str(i) for i in range(10)]),
        ("x[:3]", ["0", "1", "2"]),
        ("x[-2:]", ["8", "9"]),
        ("x.head(2)", ["0", "1"]),
        ("x.tail(2)", ["8", "9"]),
        ("x.head(4).tail(1)", ["3"]),
        ("x.sample(50)", [str(i) for i in range(10)]),
    ],
)
def test_rows_are_chosen_by_an_expression(text: str, labels: list[str]) -> None:
    """A variable, a slice, the first, the last, a sample; labels are those of the table."""
    assert [label for label, _ in rows_of(text, {"x": ROWS}, seed=0)] == labels


def test_a_sample_is_the_same_each_time() -> None:
    """A sample depends on its seed alone: a notebook run again compares the same rows; another seed, other rows."""
    once = rows_of("x.sample(4)", {"x": ROWS}, seed=0)
    assert once == rows_of("x.sample(4)", {"x": ROWS}, seed=0)
    assert once != rows_of("x.sample(4)", {"x": ROWS}, seed=1)
    assert rows_of("x.sample(4, seed=1)", {"x": ROWS}, seed=0) == rows_of("x.sample(4)", {"x": ROWS}, seed=1)


def test_a_data_frame_gives_its_index_and_empty_cells_are_none() -> None:
    """Rows of a frame keep their index as label; what is not plain data becomes its text."""
    import pandas as pd

    frame = pd.DataFrame({"a": [1.5, None], "day": pd.to_datetime(["2026-01-02", "2026-01-03"])}, index=["p", "q"])
    assert rows_of("f", {"f": frame}, seed=0) == [
        ("p", {"a": 1.5, "day": "2026-01-02 00:00:00"}), ("q", {"a": None, "day": "2026-01-03 00:00:00"}),
    ]  # fmt: skip


def test_bare_texts_are_rows_of_the_only_input() -> None:
    """A list of texts is enough where the prompts read one thing; several inputs are an error."""
    assert rows_of(["hi"], {}, seed=0, only_input="ticket") == [("0", {"ticket": "hi"})]
    with pytest.raises(MissingInput, match="exactly one input"):
        rows_of(["hi"], {}, seed=0)


@pytest.mark.parametrize(
    "text",
    ["open('x').read()", "x.drop(3)", "x[0]", "x.sample('a')", "__import__('os')", "x.sample(0)", "x if x else y"],
)
def test_nothing_else_is_evaluated(text: str) -> None:
    """Any other expression is refused with the forms there are: a cell's text is never run."""
    with pytest.raises(BadOption, match="a choice of its rows"):
        rows_of(text, {"x": ROWS}, seed=0)


def test_an_unknown_variable_is_said_with_the_nearest() -> None:
    """The error for a misspelt table names the nearest."""
    with pytest.raises(BadOption, match="`tickts`") as caught:
        rows_of("tickts.sample(3)", {"tickets": ROWS}, seed=0)
    assert "`tickets`" in caught.value.hint
