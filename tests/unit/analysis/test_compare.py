"""A comparison: every prompt on every model over every row, scored, billed, resumed, kept as evidence."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.analysis.compare.comparison import compare, reopen
from orch_nb.errors import AuthFailed, BadOption, OrchError, UnknownModel, UnknownPrice
from orch_nb.lang.compare_cell import read_compare_cell
from orch_nb.schema.messages import Reply, Usage
from tests.unit.analysis.conftest import TICKETS, always_billing, right, triage

CELL = "prompts: [triage]\nmodels: [small, big]\ninputs: tickets\nscore: exact(category)\n"


def half_a_cent(request: object) -> Reply:
    """A reply of a thousand tokens."""
    return Reply("ok", usage=Usage(1, 999))


# ------------------------------------------------------------------ running
def test_every_prompt_runs_on_every_model_over_every_row(rt, model, run_cell) -> None:
    """All cells are run once each, on the model they name, and each is a run of its own in the log with its bill."""
    small, big = model("small", always_billing), model("big", right, price=10)
    names = {"one": triage("one"), "two": triage("two"), "tickets": TICKETS}
    made = run_cell("reply", "prompts: [one, two]\nmodels: [small, big]\ninputs: tickets\n", names)

    assert (made.status, len(made.cells)) == ("done", 12)
    assert (len(small.requests), len(big.requests)) == (6, 6)
    assert [(c.prompt, c.model) for c in made.candidates] == [
        ("one", "small"),
        ("one", "big"),
        ("two", "small"),
        ("two", "big"),
    ]
    assert sum(rt.open(cell.run).spent_usd for cell in made.cells) == made.spent_usd > 0
    assert [row.graph for row in rt.runs()] == ["reply"]


def test_an_agents_fallback_does_not_answer_for_another_model(rt, model, run_cell) -> None:
    """A compared model answers alone: a fallback of the agent would put another's answer in its place."""
    model("small", lambda request: AuthFailed("no", provider="small", model="small-1"))
    model("big")
    names = {"triage": triage(fallback=["big"]), "tickets": TICKETS[:1]}
    made = run_cell("reply", "prompts: [triage]\nmodels: [small]\ninputs: tickets\n", names)
    assert [c.status for c in made.cells] == ["failed"]


def test_inline_prompts_are_compared_as_agents_are(rt, model, run_cell) -> None:
    """A text in the cell is a prompt with its reads; rows of bare texts are its only input."""
    model("small", lambda request: request.messages[-1].content.upper())
    text = 'prompts: {short: "In short: {{ ticket }}", long: "At length: {{ ticket }}"}\nmodels: small\ninputs: [one, two]\n'
    made = run_cell("reply", text, {})
    assert [c.output for c in made.cells] == ["IN SHORT: ONE", "AT LENGTH: ONE", "IN SHORT: TWO", "AT LENGTH: TWO"]


def test_a_failed_model_is_one_cell(rt, model, run_cell) -> None:
    """A model that fails is a cell with its typed error; everything else continues and is scored, and the comparison is done."""
    model(
        "small",
        lambda r: (
            AuthFailed("the key is wrong", provider="s", model="s") if "screen" in r.messages[-1].content else right(r)
        ),
    )
    model("big")
    made = run_cell("reply", CELL)

    assert made.status == "done"
    failed = [c for c in made.cells if c.status == "failed"]
    assert [(c.problem.type, c.problem.message) for c in failed] == [("AuthFailed", "the key is wrong")]
    assert [s.quality.n for s in made.standings()] == [2, 3]
    assert [e.offer for e in rt.evidence()].count("small") == 2  # a missing key says nothing of the model


def test_an_answer_that_never_fits_its_type_is_wrong(rt, model, run_cell) -> None:
    """A model that cannot give the declared form is scored 0: that is what was asked of it."""
    model("small", lambda request: "no JSON at all")
    model("big")
    made = run_cell(
        "reply", "prompts: [triage]\nmodels: [small, big]\ninputs: tickets\nscore: [schema, exact(category)]\n"
    )
    assert [s.quality.mean for s in made.standings()] == [0.0, 1.0]
    assert {e.quality for e in rt.evidence() if e.offer == "small"} == {0.0}


def test_all_cells_share_one_budget_and_a_resume_goes_on(rt, model) -> None:
    """At the budget the rest is pending; more money pays for the rest only, and what is done is not asked again."""
    provider = model("small", half_a_cent, price=5)
    text = 'prompts: {p: "Say {{ ticket }}"}\nmodels: [small]\ninputs: [a, b, c]\nbudget: 0.011\n'
    made = compare(rt, read_compare_cell("reply", text), {}).wait(30)
    assert made.status == "failed"
    assert made.spent_usd == Decimal("0.01")
    refused = next(cell.error for cell in made.cells if cell.status == "pending")
    assert f"but run {made.run} with all its rows has" in refused
    assert "batch" not in refused
    assert len(provider.requests) == 2

    made.resume(budget="1").wait(30)
    assert (made.status, made.spent_usd, len(provider.requests)) == ("done", Decimal("0.015"), 3)


def test_another_process_goes_on_from_the_log_alone(rt, model, run_cell) -> None:
    """A comparison is made again from what the log keeps: candidates, rows, scores, judgements and picks; nothing is called."""
    small, big = (
        model("small", always_billing),
        model("big", lambda r: {"why": "x", "best": "A"} if "Several" in r.messages[-1].content else right(r)),
    )
    made = run_cell("reply", CELL.replace("exact(category)", '[exact(category), judge("right")]'))
    made.pick(1, "B")
    calls = len(small.requests), len(big.requests)

    again = reopen(rt, made.run, {}).wait(30)
    assert (len(small.requests), len(big.requests)) == calls
    assert [c.output for c in again.cells] == [c.output for c in made.cells]
    assert again.standings() == made.standings()
    assert again.picked == made.picked == {1: [1]}
    assert again.agreements() == made.agreements()
    assert again.spent_usd == made.spent_usd


def test_a_comparison_can_be_stopped(rt, model) -> None:
    """Stop books what is under way and leaves the rest pending."""
    import asyncio

    hold = asyncio.Event()

    async def gate(request) -> None:
        await hold.wait()

    model("small", right, gate=gate)
    made = compare(rt, read_compare_cell("reply", CELL.replace(", big", "")), {"triage": triage(), "tickets": TICKETS})
    made.stop()
    made.wait(30)
    assert made.status == "cancelled"
    assert not [c for c in made.cells if c.status == "done"]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (CELL.replace("[triage]", "[triag]"), BadOption, "`triag` must be an agent of this notebook"),
        (CELL.replace("[triage]", "[tickets]"), BadOption, "must be an agent, got a list"),
        (CELL.replace("big]", "bgi]"), UnknownModel, "`bgi`"),
        (
            CELL.replace("exact(category)", "exact(catgory)"),
            BadOption,
            "line 5: `exact(catgory)` needs the column `catgory`",
        ),
        (CELL.replace("exact(category)", "exakt(category)"), BadOption, "line 5: the scorer `exakt(category)`"),
        (CELL.replace("inputs: tickets", "inputs: []"), BadOption, "no rows"),
        (CELL.replace("inputs: tickets", "inputs: [{category: x}]"), BadOption, "`ticket`"),
        (CELL + "repeat: 100\ninputs: x\n", BadOption, "given twice"),
    ],
)
def test_nothing_is_spent_on_a_cell_that_cannot_run(rt, model, run_cell, text: str, error: type, says: str) -> None:
    """Errors are raised before the first call, with the nearest name if one is near."""
    providers = model("small"), model("big")
    with pytest.raises(error) as caught:
        run_cell("reply", text)
    assert says in str(caught.value)
    assert [p.requests for p in providers] == [[], []]
    assert rt.runs() == []


def test_an_unknown_price_is_a_question_mark_and_never_zero(rt, run_cell, model) -> None:
    """A model whose price nobody knows has no dollars, no share and counts as dear; under a budget it is refused."""
    from orch_nb.providers.fakes import ScriptedProvider

    model("small")
    rt.add_provider(ScriptedProvider(right, name="nobody"))
    rt.models.add("dear", "x-1", "nobody")
    made = run_cell("reply", CELL.replace("big", "dear"))
    small, dear = made.standings()
    assert (dear.usd, dear.per_call_usd, dear.share_usd, small.share_usd) == (None, None, None, None)
    assert {e.cost_usd for e in rt.evidence() if e.offer == "dear"} == {None}
    assert made.winner().model == "small"
    assert "$?" in made._repr_mimebundle_()["text/plain"]

    held = run_cell("again", CELL.replace("big", "dear") + "budget: 1\n")
    assert {c.problem.type for c in held.cells if c.status == "failed"} == {UnknownPrice.__name__}


def test_another_model_that_stands_in_does_not_count(rt, model, run_cell) -> None:
    """A call that the notebook's budget degraded to a cheaper model is marked in its cell, and is evidence of neither model."""
    model("small", right, price="0.001")
    model("big", right, price=5000)
    rt.set_budget("0.5 degrade=small")
    made = run_cell("reply", CELL)
    assert {made.stood_in(r, 1) for r in range(3)} == {"small"}
    assert [s.quality.n for s in made.standings()] == [3, 0]
    assert {e.offer for e in rt.evidence()} == {"small"}
    assert "small answered in its place: it does not count" in made._repr_mimebundle_()["text/plain"]
    with pytest.raises(BadOption, match="`degrade` is not allowed in a comparison"):
        run_cell("reply", CELL + "budget: 0.10 degrade=small\n")


def test_secrets_are_replaced_in_everything_that_is_kept(rt, model, run_cell, tmp_path) -> None:
    """A key in a row reaches neither the log, nor the evidence, nor a fixture's file; a key in a prompt is refused before a call."""
    key = "sk-proj-Ab0cdEf1GhIj2KlMn3OpQr4StUv"
    provider = model("small")
    names = {"triage": triage(), "tickets": [{"ticket": f"my payment, key {key}", "category": "billing", "other": key}]}
    made = run_cell("reply", CELL.replace(", big", ""), names)
    made.keep(0)
    begun = [event for run in (made.run, f"{made.run}.0") for _, event in rt.store.read(run)]
    for kept in (begun, rt.evidence(), (tmp_path / "fixtures" / "triage.jsonl").read_text(), made.table().to_csv()):
        assert key not in str(kept)
    assert "‹secret:openai" in rt.evidence()[0].prompt

    calls = len(provider.requests)
    with pytest.raises(BadOption, match="looks like a key"):
        run_cell("reply", f'prompts: {{p: "Use {key}: {{{{ ticket }}}}"}}\nmodels: [small]\ninputs: [x]\n', {})
    assert len(provider.requests) == calls


def test_an_agent_with_effects_is_not_compared(rt, model, run_cell) -> None:
    """An agent that may pay money back would do it once a cell: it is refused before the first call."""
    provider = model("small")
    names = {"triage": triage(effects=["payment"]), "tickets": TICKETS}
    with pytest.raises(BadOption, match="line 2: `triage` declares `payment`: every cell would perform it"):
        run_cell("reply", CELL.replace(", big", ""), names)
    assert provider.requests == []


# ------------------------------------------------------------------ what it says
def test_standings_show_quality_with_its_interval_and_every_share(rt, model, run_cell) -> None:
    """Quality, interval, latency, tokens, dollars, and each candidate's share of the calls and of the dollars."""
    model("small", lambda r: Reply(json.dumps(always_billing(r)), usage=Usage(100, 100)), price=1)
    model("big", lambda r: Reply(json.dumps(right(r)), usage=Usage(100, 100)), price=9)
    made = run_cell("reply", CELL)
    small, big = made.standings()

    assert (small.quality.mean, big.quality.mean) == (pytest.approx(2 / 3), 1.0)
    assert small.quality.low < 2 / 3 < small.quality.high
    assert (small.usd, big.usd, big.per_call_usd) == (Decimal("0.0006"), Decimal("0.0054"), Decimal("0.0018"))
    assert (small.share_calls, small.share_usd, big.share_usd) == (0.5, pytest.approx(0.1), pytest.approx(0.9))
    assert small.tokens == 600
    assert made.winner().name == "triage · big"


def test_of_equals_the_cheaper_one_wins(rt, model, run_cell) -> None:
    """Two models that are equally good: the cheaper one is the winner, whatever their order."""
    model("small", price=1)
    model("big", price=9)
    assert run_cell("reply", CELL.replace("small, big", "big, small")).winner().model == "small"


def test_the_ladder_shows_the_smallest_model_that_passes(rt, model, run_cell) -> None:
    """From the cheapest up, each with its quality; the first that passes is chosen, none where none does."""
    model("small", always_billing, price=1)
    model("big", price=9)
    made = run_cell("reply", CELL)
    assert [(r.standing.model, r.passes, r.surely) for r in made.ladder(0.9).rungs] == [
        ("small", False, False),
        ("big", True, False),
    ]
    assert made.ladder(0.9).chosen.model == "big"
    assert made.ladder(0.5).chosen.model == "small"
    made.scores.clear()
    assert made.ladder().chosen is None
    assert "→  triage · big" in repr(run_cell("again", CELL).ladder(0.9))


def test_the_winner_is_taken_along_as_a_cell(rt, model, run_cell) -> None:
    """`to_cell` is the winner's prompt on its model, as a cell that defines the same agent."""
    model("small", always_billing)
    model("big")
    text = run_cell("reply", CELL).to_cell()
    line, _, body = text.partition("\n")
    again = orch.Agent.from_cell(line.removeprefix("%%agent "), body)
    assert (again.spec.model, again.spec.prompt.strip(), again.spec.fallback) == ("big", "Classify: {{ ticket }}", ())


def test_a_different_form_between_models_is_flagged(rt, model, run_cell) -> None:
    """A date that two models write as 03/14/2026 and 2026-03-14 is flagged with both; answers to two prompts are not compared."""
    model("small", lambda request: "due 03/14/2026")
    model("big", lambda request: "due 2026-03-14")
    text = 'prompts: {a: "{{ t }}", b: "{{ t }} again"}\nmodels: [small, big]\ninputs: [x]\n'
    made = run_cell("reply", text, {})
    assert [(f.row, f.one, f.other, f.difference.kind) for f in made.formats()] == [
        (0, 0, 1, "date"),
        (0, 2, 3, "date"),
    ]
    shown = made._repr_mimebundle_()["text/plain"]
    assert "03/14/2026" in shown
    assert "YYYY-MM-DD" in shown


def test_repeats_are_rows_and_evidence_of_their_own(rt, model, run_cell) -> None:
    """`repeat` asks the same again: each asking has its row, its score and its evidence."""
    model("small")
    made = run_cell("reply", CELL.replace(", big", "") + "repeat: 2\n")
    assert [r.label for r in made.rows] == ["0·1", "0·2", "1·1", "1·2", "2·1", "2·2"]
    assert len(rt.evidence("triage")) == 6


def test_what_the_rows_lack_comes_from_a_variable(rt, model, run_cell) -> None:
    """An input that no column has and a variable is named like is the same for every row, and that is said."""
    model("small", lambda request: request.messages[-1].content)
    names = {"p": orch.Agent("p", "{{ policy }}: {{ ticket }}", model="small"), "policy": "Be kind"}
    made = run_cell("reply", "prompts: [p]\nmodels: [small]\ninputs: [{ticket: hi}]\n", names)
    assert made.cells[0].output == "Be kind: hi"
    assert any("`policy` is the notebook's variable" in note for note in made.notes)


def test_the_table_has_every_cell_and_files_say_the_same(rt, model, run_cell, tmp_path) -> None:
    """One row for each cell with inputs, answer, score, latency, tokens, dollars; as JSON and as CSV, formulas quoted."""
    model("small", lambda request: "=cmd()")
    model("big", lambda request: "fine")
    text = 'prompts: {p: "{{ ticket }}"}\nmodels: [small, big]\ninputs: [a, b]\nscore: regex("fine")\n'
    made = run_cell("reply", text, {})
    table = made.table()
    assert list(table["model"]) == ["small", "big"] * 2
    assert list(table["quality"]) == [0.0, 1.0] * 2

    data = json.loads(made.export(tmp_path / "x.json").read_text())
    assert [c["quality"] for c in data["cells"]] == list(table["quality"])
    assert Decimal(data["spent_usd"]) == made.spent_usd
    lines = made.export(tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 5
    assert "'=cmd()" in lines[1]
    with pytest.raises(OrchError, match="must end in `.json` or `.csv`, got `x.docx`"):
        made.export(tmp_path / "x.docx")


# ------------------------------------------------------------------ picks
BLIND = 'prompts: {p: "Say {{ ticket }}"}\nmodels: [small, big]\ninputs: [a, b, c]\nblind: true\n'


def blind(model, run_cell):
    """A blind comparison of two models that can be told apart."""
    model("small", lambda request: "I am short")
    model("big", lambda request: "I am a longer answer")
    return run_cell("reply", BLIND, {})


def test_names_are_hidden_until_every_row_is_picked(rt, model, run_cell) -> None:
    """While rows are left, neither display nor table says which model is which, nor its latency, tokens or dollars."""
    made = blind(model, run_cell)
    shown = made._repr_mimebundle_()
    assert made.is_hidden
    for text in (shown["text/plain"], shown["text/html"]):
        assert "small" not in text
        assert "tokens" not in text
    assert not {"model", "usd", "seconds", "run"} & set(made.table().columns)
    with pytest.raises(OrchError, match="3 of 3 rows still need a pick"):
        made.winner()

    for row in list(made.to_pick):
        made.pick(row, "A")
    assert not made.is_hidden
    assert "small" in made._repr_mimebundle_()["text/plain"]


def test_answers_are_shuffled_by_a_seed(rt, model, run_cell) -> None:
    """The order is random from row to row and the same each time it is looked at; letters mean places in it."""
    from orch_nb.analysis.compare.picks import blind_order

    made = blind(model, run_cell)
    assert [made.order(r) for r in range(3)] == [made.order(r) for r in range(3)]
    assert {tuple(blind_order("s", r, 2)) for r in range(50)} == {(0, 1), (1, 0)}
    made.pick(0, "B")
    assert made.picked[0] == [made.order(0)[1]]


def test_a_pick_is_evidence_at_once_and_the_later_one_counts(rt, model, run_cell) -> None:
    """The best is 1, the others 0, a tie half a win for each; picked again, the later choice replaces the earlier one."""
    made = blind(model, run_cell)
    assert rt.evidence("reply") == []
    letters = {made.candidates[c].model: "AB"[i] for i, c in enumerate(made.order(0))}
    made.pick(0, letters["small"])
    assert {e.offer: e.quality for e in rt.evidence("reply")} == {"small": 1.0, "big": 0.0}
    made.pick(0, letters["big"])
    made.pick(0, "tie")
    rows = rt.evidence("reply")
    assert {e.offer: e.quality for e in rows} == {"small": 0.5, "big": 0.5}
    assert ({e.by for e in rows}, {e.source for e in rows}) == ({"person"}, {"compare"})
    assert rows[0].prompt == "Say a"


def test_equal_answers_share_a_pick(rt, model, run_cell) -> None:
    """A pick of one of two equal answers is a win for both candidates."""
    for name in ("small", "twin"):
        model(name, lambda request: {"b": 1, "a": "same"})
    model("big", lambda request: {"a": "another", "b": 1})
    made = run_cell("reply", BLIND.replace("[small, big]", "[small, twin, big]"), {})
    letters = {made.candidates[c].model: "ABC"[i] for i, c in enumerate(made.order(0))}
    made.pick(0, letters["small"])
    assert {e.offer: e.quality for e in rt.evidence("reply")} == {"small": 1.0, "twin": 1.0, "big": 0.0}
    made.pick(0, letters["big"])
    assert {e.offer: e.quality for e in rt.evidence("reply")} == {"small": 0.0, "twin": 0.0, "big": 1.0}
    made.pick(0, letters["small"] + letters["big"])
    assert {e.offer: e.quality for e in rt.evidence("reply")} == {"small": 0.5, "twin": 0.5, "big": 0.5}
    rt_again = reopen(rt, made.run, {})
    assert rt_again.wait(30).picked == made.picked


@pytest.mark.parametrize(
    ("row", "choice", "says"),
    [(0, "C", "no answer `C`"), (0, "", "no answer"), (9, "A", "0 to 2, got 9"), (-1, "A", "0 to 2, got -1")],
)
def test_what_cannot_be_picked_is_said(rt, model, run_cell, row: int, choice: str, says: str) -> None:
    """A letter or a row that is not there is a typed error, and nothing is noted."""
    made = blind(model, run_cell)
    with pytest.raises(OrchError, match=says):
        made.pick(row, choice)
    assert made.picked == {}


# ------------------------------------------------------------------ judges
def test_a_judge_sees_answers_in_both_orders_and_its_agreement_is_shown(rt, model, run_cell) -> None:
    """A judge that always takes the first is found out: it agrees with itself never, and neither answer gains."""
    model("small", lambda request: "short")
    model("big", lambda request: {"why": "x", "best": "A"} if request.schema else "long")
    made = run_cell(
        "reply",
        'prompts: {p: "Say {{ t }}"}\nmodels: [small, big]\ninputs: [a, b]\nscore: judge("good", model=big)\n',
        {},
    )
    (judge,) = made.agreements().values()
    assert (judge.rows, judge.share, judge.first, judge.ties) == (2, 0.0, 1.0, 0.0)
    assert "names the first answer shown in 100 %" in made._repr_mimebundle_()["text/plain"]
    assert [s.quality.mean for s in made.standings()] == [0.5, 0.5]


def test_a_judge_that_knows_agrees_with_itself_and_is_billed(rt, model, run_cell) -> None:
    """A judge that finds the better answer in any position agrees with itself; its calls are in the same bill."""

    def judging(request):
        text = request.messages[-1].content
        if not request.schema:
            return "the good one"
        return {"why": "it is good", "best": "A" if text.index("the good one") < text.index("the bad one") else "B"}

    model("small", lambda request: "the bad one")
    model("big", judging, price=10)
    made = run_cell(
        "reply", 'prompts: {p: "Say {{ t }}"}\nmodels: [small, big]\ninputs: [a, b]\nscore: judge("good", k=4)\n', {}
    )

    assert made.winner().model == "big"
    (judge,) = made.agreements().values()
    assert (judge.share, judge.kappa) == (1.0, None)
    assert len(made.judgements) == 8
    assert made.spent_usd == sum(c.usd for c in made.cells) + sum(c.usd for c in made.judgements)
    assert made.standings()[1].of_itself
    assert not made.standings()[0].of_itself
    assert {e.by for e in rt.evidence() if e.offer == "big"} == {'judge("good", k=4) (of itself)'}
    assert "rates itself on big" in made._repr_mimebundle_()["text/plain"]


def test_a_judge_that_always_says_tie_tells_nothing_and_it_is_seen(rt, model, run_cell) -> None:
    """A judge that agrees with itself because it never decides is shown as such: all ties."""
    model("small", lambda request: "x")
    model("big", lambda request: {"why": "x", "best": "tie"} if request.schema else "y")
    made = run_cell(
        "reply", 'prompts: {p: "Say {{ t }}"}\nmodels: [small, big]\ninputs: [a]\nscore: judge("good")\n', {}
    )
    (judge,) = made.agreements().values()
    assert (judge.share, judge.ties, judge.first) == (1.0, 1.0, None)
    assert "100 % ties" in judge.text


def test_telling_prompts_apart_says_nothing_of_their_model(rt, model, run_cell) -> None:
    """A judge or a pick between two prompts on one model is not evidence of the model; an exact score is."""
    model("small", lambda r: {"why": "x", "best": "A"} if r.schema else "yes")
    text = 'prompts: {p: "Say {{ t }}", q: "Tell {{ t }}"}\nmodels: [small]\ninputs: [a, b]\n'
    made = run_cell("reply", text + 'score: judge("good", model=small)\n', {})
    made.pick(0, "A")
    assert rt.evidence() == []
    assert made.winner().quality.n == 2
    run_cell("reply", text + 'score: [regex("yes"), judge("good", model=small)]\n', {})
    assert {e.quality for e in rt.evidence()} == {1.0}


def test_a_failed_judgement_is_no_judgement(rt, model, run_cell) -> None:
    """A judge that fails leaves its rows unscored; answers and other scores stay."""
    model("small", lambda request: "x")
    model("big", lambda request: "y")
    model("judge", lambda request: AuthFailed("no key", provider="j", model="j"))
    made = run_cell(
        "reply", 'prompts: {p: "Say {{ t }}"}\nmodels: [small, big]\ninputs: [a]\nscore: judge("good")\n', {}
    )
    assert made.status == "done"
    assert [s.quality.n for s in made.standings()] == [0, 0]
    assert next(iter(made.agreements().values())).text == "no row was judged twice"


# ------------------------------------------------------------------ evidence and fixtures
def test_the_same_comparison_again_counts_once(rt, model, run_cell) -> None:
    """Evidence is known by what was asked of whom: a cell that is run twice replaces its evidence and adds none."""
    model("small")
    model("big")
    first = run_cell("reply", CELL)
    second = run_cell("reply", CELL)
    rows = rt.evidence("triage")
    assert len(rows) == 6
    assert {r.run.partition(".")[0] for r in rows} == {second.run} != {first.run}
    assert {(r.model, r.provider, r.node, r.by) for r in rows} == {
        ("small-1", "small", "triage", "exact(category)"),
        ("big-1", "big", "triage", "exact(category)"),
    }


def test_edge_cases_are_in_every_later_comparison_of_the_task(rt, model, run_cell, tmp_path) -> None:
    """A row that is kept is a line in a file that people can read, and a marked row of later comparisons, with what is expected."""
    model("small")
    made = run_cell("reply", CELL.replace(", big", ""))
    made.keep(1, "hardware is technical", expected={"category": "technical"})
    (line,) = (tmp_path / "fixtures" / "triage.jsonl").read_text().splitlines()
    assert json.loads(line)["input"] == {"ticket": "the screen is broken"}

    later = run_cell("other", CELL.replace(", big", "").replace("inputs: tickets", "inputs: tickets[:1]"))
    assert [(r.label, r.is_fixture, r.note) for r in later.rows] == [
        ("0", False, ""),
        ("edge 1", True, "hardware is technical"),
    ]
    assert later.standings()[0].quality.n == 2
    assert "edge case: hardware is technical" in later._repr_mimebundle_()["text/plain"]
    same = run_cell("other", CELL.replace(", big", ""))
    assert [r.is_fixture for r in same.rows] == [False, True, False]  # marked in its place, not doubled
    without = run_cell("other", CELL.replace(", big", "") + "fixtures: false\n")
    assert not any(r.is_fixture for r in without.rows)


def test_a_candidates_run_says_nothing_about_what_the_definition_costs(rt, model, run_cell) -> None:
    """A forecast and the alert of a live run rest on the definition's own runs: a comparison's ran on the model compared."""
    from orch_nb.analysis.sources import runs_of
    from orch_nb.trace.run_view import run_view

    model("small", always_billing)
    model("big", right, price=10)
    made = triage(model="big")
    run_cell("reply", "prompts: [triage]\nmodels: [small]\ninputs: tickets\n", {"triage": made, "tickets": TICKETS})
    assert len(runs_of(rt)("triage")) == len(TICKETS), "they are all there is"

    run = orch.run_sync(made, ticket="my payment failed")
    assert [events[0].run for events in runs_of(rt)("triage")] == [run.run]
    assert "earlier run" not in run.events[0].baseline["from"]
    assert not [n for n in run_view(run.events).notices if n.kind == "alert"]


def test_a_failed_runs_cost_is_part_of_what_a_graph_costs(rt, model) -> None:
    """A forecast counts runs that failed: they were paid, and leaving them out would promise too little."""
    from orch_nb.analysis.sources import runs_of

    model("small", lambda request: "no JSON at all")
    run = orch.run_sync(triage(), ticket="my payment failed")
    assert run.status == "failed"
    assert run.spent_usd > 0
    assert [events[0].run for events in runs_of(rt)("triage")] == [run.run]
