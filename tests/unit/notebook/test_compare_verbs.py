"""`%%compare` in a real IPython shell: the cell, its display, its buttons, its resume."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from orch_nb.analysis.compare.comparison import Comparison
from orch_nb.analysis.panel import interval_bar
from orch_nb.notebook.lab import run_list
from orch_nb.notebook.pick_buttons import Picker
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.views.format import usd
from tests.unit.views.test_display import inspect, shared_payloads

AGENT = "%%agent triage --model small\n---\nout: {category: str}\n---\nClassify: {{ ticket }}"
TICKETS = 'tickets = [{"ticket": "my payment failed", "category": "billing"}, {"ticket": "broken screen", "category": "technical"}]'
COMPARE = "%%compare reply   # both models\nprompts: [triage]\nmodels: [small, big]\ninputs: tickets\nscore: exact(category)\n"


def right(request: Any) -> Any:
    """A model that knows."""
    return {"category": "billing" if "payment" in request.messages[-1].content else "technical"}


def wrong(request: Any) -> Any:
    """A model that writes another way."""
    return {"category": "Billing"}


@pytest.fixture
def bench(shell):
    """A shell with two models, an agent and a table."""
    from orch_nb import runtime

    for name, replies, price in (("small", wrong, 1), ("big", right, 10)):
        runtime.current().add_provider(ScriptedProvider(replies, name=name))
        runtime.current().models.add(name, f"{name}-1", name, price={"input": price, "output": price})
    for cell in (AGENT, TICKETS):
        shell.good(cell)
    return shell


def test_the_cell_runs_waits_and_binds_its_object(bench) -> None:
    """`%%compare` waits for its end without blocking, shows the comparison once, and binds and returns an ordinary object."""
    done = bench(COMPARE)
    assert isinstance(done.value, Comparison)
    assert bench.names["reply"] is done.value
    assert done.value.done()
    assert done.out.count("comparison 1") == 1
    assert "Best: triage on big" in done.out
    assert bench.good("reply.winner().model") == "big"


def test_an_error_points_at_the_line_of_the_cell(bench) -> None:
    """What is wrong in a cell is said in two parts with its line; nothing has run."""
    done = bench(COMPARE.replace("[triage]", "[triag]"))
    assert "BadOption [ORCH705]  line 2: `triag` must be an agent of this notebook." in done.error
    assert "\n    prompts: [triag]" in done.error
    assert "did you mean `triage`" in done.error
    assert "reply" not in bench.names


def test_a_comparison_does_not_cover_what_it_compares(bench) -> None:
    """A comparison that is called like an agent, a variable or one of Python's own names is refused; like an earlier one, not."""
    for name, what in (
        ("triage", "an Agent in this notebook"),
        ("tickets", "a list in this notebook"),
        ("print", "Python's own"),
    ):
        done = bench(COMPARE.replace("%%compare reply", f"%%compare {name}"))
        assert f"BadName [ORCH702]  line 1: `{name}` is {what}." in done.error
    assert bench.good(COMPARE).run != bench.good(COMPARE).run


def test_resume_goes_on_with_a_comparison(bench) -> None:
    """`%orch resume` of a comparison is the comparison again, not a bare batch; money is only spent on what is missing."""
    made = bench.good(COMPARE + "budget: 0.0021\n")
    assert made.status == "failed"
    assert "%orch resume 1 --budget …" in made._repr_mimebundle_()["text/plain"]
    before = made.spent_usd
    done = bench("%orch resume 1 --budget 1")
    assert done.raised is None, done.error
    assert isinstance(done.value, Comparison)
    assert bench.names["reply"] is done.value
    assert done.value.status == "done"
    assert done.value.spent_usd > before
    assert bench.good("%orch cost 1") is not None


def test_the_display_is_script_free_and_says_in_text_what_it_shows(bench) -> None:
    """The HTML has no script, style block or handler; every figure of the standings and every flag is in the text as well."""
    shown = bench.good(COMPARE)._repr_mimebundle_()
    html, text = shown["text/html"], shown["text/plain"]
    assert not re.search(r"<script|<style|\son\w+=|javascript:", html)
    for said in (
        "0 % (0–66)",
        "100 % (34–100)",
        "≠ letter case in category",
        "Title Case",
        "lower case",
        "cheapest that reaches",
    ):
        assert said in text or said == "cheapest that reaches"
        assert said in re.sub(r"<[^>]+>", "", html) or said == "cheapest that reaches"
    assert "It is also the cheapest that reaches 90 %." in text


@pytest.mark.parametrize("payload", shared_payloads())
def test_what_models_say_is_inert(bench, payload: str) -> None:
    """Hostile answers, inputs and notes are text on every surface of a comparison: no tag of theirs is a tag."""
    from orch_nb import runtime

    runtime.current().add_provider(ScriptedProvider(lambda request: payload, name="small"))
    bench.names["rows"] = [{"ticket": payload}]
    made = bench.good('%%compare evil\nprompts: {p: "{{ ticket }}"}\nmodels: [small]\ninputs: rows\n')
    made.keep(0, payload)
    again = bench.good('%%compare evil\nprompts: {p: "{{ ticket }}"}\nmodels: [small]\ninputs: rows\n')
    shown = again._repr_mimebundle_()
    for html in (shown["text/html"], Picker(again)._answers(0)):
        words = "".join(inspect(html).words)  # raises on a tag or an attribute that is not ours
        assert "\x1b" not in words
        assert "\u202e" not in words
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown["text/plain"])


def test_buttons_pick_row_by_row_and_go_back(bench) -> None:
    """Each click picks the shown row and moves to the next that is left; Back lets one be changed; the last one shows the names."""
    bench.names["tickets"].append({"ticket": "payment twice", "category": "billing"})
    made = bench.good(COMPARE.replace("score: exact(category)", "blind: true"))
    form = Picker(made)
    labels = [b.description for b in form.buttons.children]
    assert labels == ["A", "B", "Tie"]
    assert (form.row, "3 rows left" in form.head.value) == (0, True)
    form.buttons.children[0].click()
    assert (form.row, made.picked) == (1, {0: [made.order(0)[0]]})
    form.buttons.children[2].click()
    form.buttons.children[-1].click()  # Back
    assert form.row == 1
    form.buttons.children[1].click()
    form.buttons.children[0].click()
    assert (form.row, sorted(made.picked), made.is_hidden) == (None, [0, 1, 2], False)
    assert "names are shown" in form.said.value


def test_a_wrong_pick_is_said_beside_the_buttons(bench) -> None:
    """A click that cannot be noted says why, and the row stays."""
    made = bench.good(COMPARE.replace("score: exact(category)", "blind: true"))
    form = Picker(made)
    form.pick("Z")
    assert "no answer `Z`" in form.said.value
    assert (form.row, made.picked) == (0, {})


def test_an_interval_is_a_picture_within_its_track() -> None:
    """The bar of an interval begins at its low end and is as wide as it is; nothing measured is not a bar."""
    from orch_nb.analysis.intervals import Interval, interval

    assert "left:25.0%;width:50.0%" in interval_bar(Interval(0.5, 0.25, 0.75, 9))
    assert interval_bar(interval([])) == ""


def test_a_comparison_costs_what_its_runs_cost(bench) -> None:
    """The bill of the comparison is the sum of its cells' bills, and the notebook's budget has paid it."""
    from orch_nb import runtime

    made = bench.good(COMPARE)
    now = runtime.current()
    assert made.spent_usd == sum((now.open(c.run).spent_usd for c in made.cells), Decimal(0))
    assert now.budget().spent_usd == made.spent_usd
    (listed,) = now.runs()
    assert listed.spent_usd == made.spent_usd > 0
    assert run_list.stored_row(listed)["spent_usd"] == str(made.spent_usd)
    assert usd(made.spent_usd).removeprefix("$") in bench.good("%orch runs").text


# ------------------------------------------------------------------ %orch matrix
def test_the_matrix_is_shown_and_signed_off(bench, tmp_path) -> None:
    """`%orch matrix` shows what comparisons have measured; `export --sign` writes it with a hash that is checked when it is read."""
    assert "nothing was measured yet" in repr(bench.good("%orch matrix")._repr_mimebundle_()["text/plain"])
    bench.good(COMPARE)
    made = bench.good("%orch matrix --minimum 2 --tolerance 0.1 --baseline big")
    assert (made.row("triage").chosen, made.baseline, made.count) == ("big", "big", 4)
    assert bench.good("%orch matrix triage").count == 4
    said = bench('%orch matrix export routing_matrix.json --minimum 2 --sign "A. Analyst"')
    assert "signed by A. Analyst" in said.out + repr(said.value)
    again = bench.good("%orch matrix routing_matrix.json")
    assert (again.row("triage").chosen, again.signed_by) == ("big", "A. Analyst")
    assert "the evidence is still what it was then" in repr(again._repr_mimebundle_())
    bench.good(COMPARE.replace("inputs: tickets", "inputs: [{ticket: new, category: other}]"))
    assert (
        "changed since it was written: triage on big: 3 rows, 2 then"
        in bench.good("%orch matrix routing_matrix.json").notes
    )
    (tmp_path / "routing_matrix.json").write_text(
        (tmp_path / "routing_matrix.json").read_text().replace("big", "small")
    )
    assert "was changed after it was written" in bench("%orch matrix routing_matrix.json").error
    assert bench.good("import orch_nb as orch\norch.matrix(minimum=2)").row("triage").chosen == "big"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%orch matrix triag", "`triag`"),
        ("%orch matrix export", "which file?"),
        ("%orch matrix export m.json", "nothing was measured yet"),
        ("%orch matrix --tolerance x", "tolerance is `x`"),
        ("%orch matrix a=1", "takes no inputs"),
        ("%orch matrix pairs triage", "pairs of which two agents?"),
        ("%orch matrix pairs triage nobody models=[small] inputs=tickets", "the agent `nobody` does not exist"),
        ("%orch matrix pairs triage triage models=[small]", "need `inputs=`"),
        ("%orch matrix pairs triage triage models=[small] inputs=tickets x=3", "take no `x`"),
    ],
)
def test_a_wrong_line_is_said_with_the_right_one(bench, line: str, says: str) -> None:
    """What is wrong with a line of `%orch matrix` is a typed error with what to type."""
    done = bench(line)
    assert says in done.error
    assert "hint:" in done.error


def test_pairs_run_from_a_line(bench) -> None:
    """`%orch matrix pairs` tests every ordered pair of models, waits for it, and shows pass rates and reasons once."""
    bench.good(
        "%%agent route --model small\n---\nout: {category: billing | technical}\n---\nRoute {{ triage.category }}"
    )
    done = bench("%orch matrix pairs triage route models=[small, big] inputs=tickets score=exact(category) --budget 1")
    assert done.raised is None, done.error
    assert len(done.value.pairs()) == 4
    assert done.out.count("triage → route") == 1
    assert "why pairs fail" in done.out
    again = bench(f"%orch resume {done.value.run}")
    assert again.raised is None, again.error
    assert [p.passed for p in again.value.pairs()] == [p.passed for p in done.value.pairs()]


@pytest.mark.local_model
def test_the_local_model_is_compared_with_itself_on_two_prompts(shell) -> None:
    """A real comparison without a key: SmolLM2 on two prompts, scored exactly, at a known price of nothing."""
    shell.names["rows"] = [
        {"message": "I love this, thank you so much!", "mood": "happy"},
        {"message": "This is terrible and I want my money back.", "mood": "angry"},
        {"message": "Great service, very kind people.", "mood": "happy"},
    ]
    for name, text in (
        ("short", "Mood of this message: {{ message }}"),
        ("long", "Is the writer of this message happy or angry?\n{{ message }}"),
    ):
        shell.good(f"%%agent {name} --model smollm2\n---\nout: {{mood: happy | angry}}\n---\n{text}")
    made = shell.good(
        "%%compare mood\nprompts: [short, long]\nmodels: [smollm2]\ninputs: rows\nscore: [schema, exact(mood)]\n"
    )
    assert made.status == "done"
    assert made.spent_usd == 0
    assert all(s.scores["schema"].mean == 1.0 for s in made.standings())
    assert max(s.scores["exact(mood)"].mean for s in made.standings()) >= 2 / 3


def test_a_picked_row_does_not_claim_the_others(bench) -> None:
    """Where a person picked from some rows only, the table says by whom the rest was judged."""
    bench.good(COMPARE)
    text = bench.good('reply.pick(0, "A")')._repr_mimebundle_()["text/plain"]
    assert "quality: 1 row picked by a person, 1 other by exact(category)" in text
    text = bench.good('reply.pick(1, "A")')._repr_mimebundle_()["text/plain"]
    assert "quality: picked by a person, with" in text
