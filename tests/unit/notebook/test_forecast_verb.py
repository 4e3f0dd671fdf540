"""`%orch forecast` and `%%claim`, through a real shell and runs that were really made."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest

from orch_nb.analysis.claims.claim import Claim
from orch_nb.analysis.forecast.forecast import Forecast

STEPS = (
    "hybrid = [{'step': 'classify', 'usd': 0.001}, {'step': 'look', 'usd': 0},"
    " {'step': 'draft', 'usd': 0.015}, {'step': 'check', 'usd': 0.03}]\n"
    "five = [{'step': 'call', 'usd': 0.03, 'calls': 5}]"
)
CLAIM = "%%claim hybrid saves   # as the guide says\ngiven: hybrid at 10000 a day\nagainst: five\nsaving >= 60 %\n"


@pytest.fixture
def desk(shell):
    """A shell with two step tables, and a graph that has run six times on a model with a price."""
    shell.good(STEPS)
    shell.good("%orch models add house echo/e input=1 output=2")
    shell.good("%%agent reply --model house\nAnswer: {{ message }}")
    shell.good("%%graph support\nreply")
    for n in range(6):
        shell.good(f"%orch run support message={'word ' * (n + 1)!r}")
    return shell


# ------------------------------------------------------------------ forecast
def test_a_graph_is_projected_from_its_runs(desk):
    """`%orch forecast GRAPH at N a day` reads the stored runs, gives the object back, and Python says the same in one line."""
    made = desk.good("%orch forecast support at 10000 a day")
    assert isinstance(made, Forecast)
    assert len(made.workload.runs) == 6
    assert made.day.low_usd < made.day.usd < made.day.high_usd
    python = desk.good("import orch_nb as orch\norch.forecast(support, per_day=10_000)")
    assert python.table() == made.table()
    assert desk.good("orch.forecast('support', per_day=10_000)").table() == made.table()


def test_a_batch_is_projected_from_its_rows(desk):
    """A batch's rows are runs like any other: a forecast of the batch is one of them, and of no other run."""
    desk.good("rows = [{'message': 'word ' * n} for n in range(1, 8)]\nbatch = %orch batch support rows")
    made = desk.good("%orch forecast batch at 100 a day")
    assert len(made.workload.runs) == 7
    assert "left out" not in repr(made)
    assert desk.good("import orch_nb as orch\norch.forecast(batch, per_day=100)").table() == made.table()
    assert len(desk.good("%orch forecast support at 100 a day").workload.runs) == 13


def test_answers_of_the_cache_are_its_saving(desk):
    """What the response cache answered costs nothing here, is counted as a hit, and is the cache's part of the saving."""
    desk.good("%%agent kept --model house --cache 1h\nAnswer: {{ message }}")
    for _ in range(4):
        desk.good("%orch run kept message='the same'")
    made = desk.good("%orch forecast kept at 100 a day against='all on house'")
    assert "cache hits 75.0 % of calls" in repr(made)
    rows = {row["part"]: row["run_usd"] for row in made.saving_rows()}
    assert rows["cache"] == rows["together"] == made.run_usd * 3 > 0


def test_a_step_table_needs_no_run(shell):
    """Typed steps are projected before anything exists, against a table, at any volume's wording."""
    shell.good(STEPS)
    made = shell.good("%orch forecast hybrid at 10K tickets a day against=five days_in_year=366 # leap")
    assert made.year.saving_usd == Decimal(380_640)
    assert shell.good("%orch forecast hybrid at 300000 a month").day.usd == Decimal(460)
    assert "hybrid · 10,000 runs a day · $0.046 a run" in repr(made)
    assert made.saving.name == "five"
    again = shell.good("plan = %orch forecast hybrid at 10 a day\n%orch forecast plan at 20 a day cache_hits=0.5")
    assert again.day.usd == Decimal("0.46")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("forecast", "a forecast of what?"),
        ("forecast hybrid", "a forecast needs a volume"),
        ("forecast hybrid ta 10 a day", "a forecast needs a volume"),
        ("forecast hybrid at many", "a figure needs digits"),
        ("forecast hybrid at -5 a day", "A volume must be above 0, got `-5 a day`"),
        ("forecast hybrid at -$5 a day", "A volume must be above 0, got `-$5 a day`"),
        ("forecast hybrid at 0 a day", "A volume must be above 0, got `0 a day`"),
        ("forecast nothing at 10 a day", "must have a step or a run, got none"),
        ("forecast hybrid at 10 a day against=nothing", "must have a step or a run, got none"),
        ("forecast hybrid at 10", "A volume must be a number in a period, got `10`"),
        ("forecast hybrid at 300,000 a month", "write 300000 or 300.000"),
        ("forecast hybrid at 10 a day cache_hits=0,3", "`cache_hits` must be a number, got '0,3'"),
        ("forecast hybrd at 10 a day", "did you mean `hybrid`"),
        ("forecast hybrid at 10 a day agianst=five", "did you mean `against`"),
        ("forecast hybrid at 10 a day cache_hits=30", "`cache_hits` must be from 0 to 1, got 30"),
        ("forecast hybrid at 10 a day swap={'drft':'small'}", "did you mean `draft`"),
        ("forecast idle at 10 a day", "`idle` has no stored run yet"),
    ],
)
def test_a_wrong_line_is_pointed_at(shell, line, error):
    """What is missing, misspelt or out of range is said with the line, without a traceback."""
    shell.good(STEPS)
    shell.good("nothing = []")
    shell.good("%%agent idle --model echo\nHello {{ name }}")
    done = shell(f"%orch {line}")
    assert error in done.error
    assert f"%orch {line}" in done.error
    assert "Traceback" not in done.error


def test_the_chart_shows_itself(shell):
    """`plot()` is a matplotlib figure that displays as an image with its points as text; twice it is the same."""
    from matplotlib.figure import Figure

    shell.good(STEPS)
    figure = shell.good("made = %orch forecast hybrid at 500 a day against=five\nmade.plot()")
    assert isinstance(figure, Figure)
    data, _ = figure._repr_mimebundle_()
    assert data == figure._repr_mimebundle_()[0]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "       500   $23.00     $75.00" in data["text/plain"]
    assert data["text/plain"].count("\n") == 9


# ------------------------------------------------------------------ claim
def test_a_claim_cell_gives_its_claim(shell):
    """`%%claim` judges its lines; a title of one word becomes a variable, and covers nothing else."""
    shell.good(STEPS)
    made = shell.good(CLAIM)
    assert isinstance(made, Claim)
    assert (made.title, made.verdict) == ("hybrid saves", "holds")
    assert shell.good(CLAIM.replace("hybrid saves", "checked")) is shell.names["checked"]
    assert "`hybrid` is a list in this notebook" in shell(CLAIM.replace("hybrid saves", "hybrid")).error


def test_a_claim_about_runs(desk):
    """A claim about a graph is measured on its stored runs, and Python's `claim` says the same of the same text."""
    text = "given: support at 10000 a day\nagainst: all on house\nsaving = 0 %\ncalls = 1\ncost <= $1 a day"
    made = desk.good(f"%%claim measured\n{text}")
    assert [f.verdict for f in made.findings][:2] == ["holds", "holds"]
    assert "6 stored runs" in made.findings[2].why
    python = desk.good(f"orch = __import__('orch_nb')\norch.claim({text!r})")
    assert python.table() == made.table()


def test_a_wrong_claim_is_pointed_at(shell):
    """A mistake shows its line of the cell with a caret and what would do."""
    done = shell("%%claim\n1 = 1\nsavin >= 60 %")
    assert "line 3" in done.error
    assert "\n    savin >= 60 %\n    ^" in done.error
    assert "did you mean `saving`" in done.error
    assert "Traceback" not in done.error


def test_the_verb_completes(shell):
    """After `forecast` come what can be projected, then the options."""
    from orch_nb.notebook.lab.completion import complete

    shell.good("%%agent idle --model echo\nHello {{ name }}")
    session = shell.ip._orch_nb.session
    assert complete("%orch forecast i", session)[1] == ["idle"]
    assert "cache_hits=" in complete("%orch forecast idle at 10 a day cach", session)[1]
