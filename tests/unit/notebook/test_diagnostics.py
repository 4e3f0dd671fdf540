"""What is underlined while a cell is being written: places, words and hints, without running anything."""

from __future__ import annotations

import pytest

from orch_nb.notebook.lab.diagnostics import MAX_CELL, marks_of

QA = "%%agent qa\n---\nout: {score: float, feedback: str}\n---\nScore {{ ticket }}"
TRIAGE = "%%agent triage\n---\nout: {category: billing | tech}\n---\nSort {{ ticket }} {{ qa.feedback? }}"


@pytest.fixture
def names(shell):
    """The variables of a notebook with two agents and a graph."""
    shell.good(QA)
    shell.good(TRIAGE)
    shell.good("%%graph support\ntriage -> qa")
    return shell.names


@pytest.mark.parametrize(
    ("cell", "word", "line", "says"),
    [
        ("%%graph g\ntriage -> qa\nqa -> sned when qa.score > 0.5", "sned", 3, "sned"),
        ("%%graph g\ntriage -> qa qa", "qa", 2, "belongs here"),
        ("%%agent a\n---\nmodle: x\n---\nhi", "modle: x", 3, "no key"),
        ("%%agent a --model smal\nhi", "smal", 1, "smal"),
        ("%%agent a\nhi {{ qa.fedback }}", "fedback", 2, "fedback"),
        ("x = 1\n%orch runn support", "runn", 2, "does not exist"),
        ("r = %orch run suport ticket=3", "suport", 1, "the graph or agent"),
        ("%%graph\n", "%%graph", 1, "needs a name"),
        ("%%agent 9x\nhi", "%%agent 9x", 1, "identifier"),
    ],
)
def test_an_unknown_name_is_marked_where_it_stands(names, cell, word, line, says):
    """Each mark covers exactly the word that is wrong, in its line, and says what is wrong with it."""
    (mark,) = marks_of(cell, names)
    assert mark.line == line
    assert cell.split("\n")[line - 1][mark.column - 1 : mark.column - 1 + mark.length] == word
    assert says in mark.message
    assert "\n" not in mark.message


@pytest.mark.parametrize(
    ("cell", "near"), [("%%agent a\nhi {{ qa.fedback }}", "feedback"), ("%orch run suppport", "support")]
)
def test_the_nearest_name_is_offered(names, cell, near):
    """A slip of the pen is answered with the name that was meant."""
    assert f"did you mean `{near}`?" in marks_of(cell, names)[0].hint


@pytest.mark.parametrize(
    "cell",
    [QA, TRIAGE, "%%graph g\nqa -> triage", "%orch run support ticket=1", "import json\n# %orch nosuch", "%%time\n1"],
)
def test_what_is_right_has_no_mark(names, cell):
    """Cells that would run, and cells that are not ours, are left alone."""
    assert marks_of(cell, names) == []


def test_checking_binds_runs_and_stores_nothing(shell, names):
    """Looking at a cell leaves the notebook's variables and runs as they are."""
    before = dict(names)
    marks_of("%%agent fresh\nhello", names)
    marks_of("%%graph other\nqa -> triage", names)
    assert dict(names) == before
    assert marks_of("%%agent a\n" + "x" * MAX_CELL, names) == []
