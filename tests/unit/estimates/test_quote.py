"""Quotes before a run: from the plan's prompts when nothing was run, from earlier runs when something was."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orch_nb as orch
from orch_nb.agents.binding import compile_in
from orch_nb.errors import BadRequest, MissingInput, QuoteTooHigh, UnknownModel
from orch_nb.estimates.history import ends, past_runs
from orch_nb.estimates.node_visits import Range
from orch_nb.estimates.quote import Quoter, Used, quote_batch, quote_resume, quote_run
from orch_nb.schema.messages import Reply, Usage
from orch_nb.trace.bill import bill as run_bill

LABELS = ("billing", "technical", "general")


@pytest.fixture
def support(rt):
    """A switch, a loop and an answer, by models at two prices; answers of random length, labels and scores (seeded)."""
    chance = random.Random(7)

    def answer(request):
        said = request.messages[-1].content
        if said.startswith("Classify"):
            return {"category": chance.choice(LABELS)}
        if said.startswith("Score"):
            return {"score": round(chance.random(), 2), "fault": "w" * chance.randint(4, 200)}
        return "word " * chance.randint(3, 180)

    rt.add_provider(orch.ScriptedProvider(answer, name="vendor"))
    rt.models.add("small", "model-s", "vendor", price={"input": "0.15", "output": "0.60"})
    rt.models.add("big", "model-b", "vendor", price={"input": 3, "output": 15})
    names = {
        "triage": orch.Agent("triage", "Classify: {{ ticket }}", out="{category: billing | technical | general}", max_tokens=40),
        "qa": orch.Agent("qa", "Score: {{ specialist }}", out="{score: float, fault: str}", max_tokens=100),
    }  # fmt: skip
    for name, model in zip(LABELS, ("big", "small", "small"), strict=True):
        prompt = f"You do {name}. {{{{ qa.fault? }}}} Answer: {{{{ ticket }}}}"
        names[name] = orch.Agent(name, prompt, model=model, max_tokens=300)
    graph = orch.Graph.from_cell(
        "support",
        "%%graph support\n"
        "triage -> {billing, technical, general}   by triage.category\n"
        "specialist = {billing, technical, general}\n"
        "specialist -> qa\n"
        "qa -> triage   when qa.score < 0.4   at most 2\n"
        "qa -> send     else\n",
    )
    names["send"] = lambda qa: {"score": qa["score"]}
    return graph, names, chance


def ticket(chance):
    """A message of 1 to 300 words, most of them short."""
    return "charge " * int(1 + 300 * chance.random() ** 3)


def quoted_and_spent(rt, support, n, *, is_cold=False):
    """(quote before, run after) of `n` runs on messages of varied length, each quoted before it is started."""
    graph, names, chance = support
    plan = compile_in(graph, names)
    for _ in range(n):
        inputs = {"ticket": ticket(chance)}
        past = [] if is_cold else past_runs(rt, "support")
        quote = Quoter(rt, plan, past).quote(inputs)
        run = orch.run_sync(graph, namespace=names, **inputs)
        assert run.status == "done"
        yield quote, run


def test_without_earlier_runs_the_ends_bound_every_run(rt, support):
    """From prompt sizes alone: branches, rounds and lengths vary, and no run leaves the range."""
    for quote, run in quoted_and_spent(rt, support, 60, is_cold=True):
        assert quote.low_usd <= run.spent_usd <= quote.high_usd
        assert quote.low_s <= run.events[-1].at - run.events[0].at <= quote.high_s
        assert quote.basis == "prompt size"


def test_of_recorded_runs_nine_in_ten_lie_in_their_quotes_range(rt, support):
    """Quoted from what was run before, the ranges of run and nodes cover at least 90 % of 160 runs, and they say something: with
    enough runs they are less than half as wide as the bounds."""
    inside = nodes = nodes_inside = 0
    rows = list(quoted_and_spent(rt, support, 160))
    for quote, run in rows:
        inside += quote.low_usd <= run.spent_usd <= quote.high_usd
        spent = {s.name: s.spent_usd for s in run_bill(run.events).steps}
        for node in quote.nodes:
            nodes += 1
            nodes_inside += node.low_usd <= spent.get(node.step, Decimal(0)) <= node.high_usd
    assert inside / len(rows) >= 0.90
    assert nodes_inside / nodes >= 0.90
    graph, names, _ = support
    cold = Quoter(rt, compile_in(graph, names), []).quote({"ticket": "charge " * 40})
    warm = quote_run(rt, graph, {"ticket": "charge " * 40}, namespace=names)
    assert warm.basis == "99 earlier runs"
    assert warm.high_usd - warm.low_usd < (cold.high_usd - cold.low_usd) / 2


@given(st.integers(1, 400), st.sampled_from([80, 90, 94]))
@settings(max_examples=60)
def test_the_ends_are_order_statistics_that_cover_as_promised(n, percent):
    """Of n + 1 exchangeable values each is the next one as often as any other: the share of places between the ends is enough."""
    found = ends(n, percent)
    if found is None:
        assert n / (n + 1) < percent / 100, "one end alone would have covered"
        return
    low, high = found
    assert 0 <= low < high <= n
    assert (high - low) / (n + 1) >= percent / 100


def test_an_exclusive_branch_counts_once_at_the_high_end(rt, support):
    """Of branches that exclude one another the dearest counts, not their sum; the loop multiplies."""
    graph, names, _ = support
    quote = Quoter(rt, compile_in(graph, names), []).quote({"ticket": "late"})
    node = {n.step: n for n in quote.nodes}
    assert quote.high_usd == node["triage"].high_usd + node["billing"].high_usd + node["qa"].high_usd
    assert quote.high_usd < sum(n.high_usd for n in quote.nodes)
    assert node["triage"].calls.high == 3 * 2, "three rounds, each with one repair"
    assert node["billing"].calls.low == 0
    assert quote.low_usd < quote.expected_usd < quote.high_usd


def test_few_runs_widen_to_the_bounds(rt, support):
    """One earlier run moves what is expected, and not the ends: it proves nothing about them."""
    graph, names, _ = support
    orch.run_sync(graph, namespace=names, ticket="charge " * 20).result()
    plan = compile_in(graph, names)
    cold, warm = (
        Quoter(rt, plan, []).quote({"ticket": "a"}),
        Quoter(rt, plan, past_runs(rt, "support")).quote({"ticket": "a"}),
    )
    assert (warm.low_usd, warm.high_usd) == (cold.low_usd, cold.high_usd)
    assert warm.expected_usd != cold.expected_usd
    assert warm.basis == "1 earlier run"


def test_a_map_over_a_given_list_counts_its_items(rt, scripted):
    """The items of an input are counted; those of a list that is not made yet are assumed, and the quote says so."""
    scripted(lambda _: "ok")
    worker = orch.Agent("worker", "Do {{ task }}", model="m", max_tokens=20)
    given = orch.Graph.from_cell("g", "%%graph g\nplan -> worker each tasks as task\n")
    names = {"plan": lambda tasks: tasks[0], "worker": worker}
    quote = quote_run(rt, given, {"tasks": ["a", "b", "c", "d"]}, namespace=names)
    assert quote.nodes[0].calls == (4, 4, 4)
    run = orch.run_sync(given, namespace=names, tasks=["a", "b", "c", "d"])
    assert quote.low_usd <= run.spent_usd <= quote.high_usd
    later = orch.Graph.from_cell("h", "%%graph h\nplan -> worker each plan.tasks as task\n")
    quote = quote_run(rt, later, {"goal": "x"}, namespace={"plan": orch.Agent("plan", "{{ goal }}", model="m", out="{tasks: [str]}"), "worker": worker})  # fmt: skip
    assert any("items of an unknown list" in note for note in quote.notes)
    assert quote.nodes[1].calls.high == 10


def test_a_nested_graph_is_quoted_inside_out(rt, scripted):
    """Agents inside a nested graph have rows of their own, named by the way to them."""
    scripted(lambda _: "ok")
    names = {n: orch.Agent(n, "{{ x }}", model="m", max_tokens=20) for n in ("a", "b")}
    names["inner"] = orch.Graph("inner").chain("a", "b")
    outer = orch.Graph.from_cell("outer", "%%graph outer\nstart -> part\npart: graph inner with x = start\n")
    names["start"] = lambda t: t
    quote = quote_run(rt, outer, {"t": "hello"}, namespace=names)
    assert [n.step for n in quote.nodes] == ["part/a", "part/b"]
    run = orch.run_sync(outer, namespace=names, t="hello")
    assert quote.low_usd <= run.spent_usd <= quote.high_usd
    again = quote_run(rt, outer, {"t": "hello"}, namespace=names)
    assert {n.basis for n in again.nodes} == {"1 earlier run"}


def test_another_model_starts_from_its_prompts_again(rt, support):
    """The costs of a node with one model say nothing about another model: that node is quoted from its prompt size."""
    graph, names, _ = support
    orch.run_sync(graph, namespace=names, ticket="charge").result()
    names["qa"] = orch.Agent(
        "qa", "Score: {{ specialist }}", out="{score: float, fault: str}", model="big", max_tokens=100
    )
    quote = quote_run(rt, graph, {"ticket": "charge"}, namespace=names)
    basis = {n.step: n.basis for n in quote.nodes}
    assert (basis["triage"], basis["qa"], quote.basis) == ("1 earlier run", "prompt size", "prompt size")


def test_a_changed_price_is_in_the_next_quote(rt, scripted):
    """Earlier runs count in tokens: at twice the price the next run is quoted at twice the dollars."""
    scripted(lambda _: Reply("ok", usage=Usage(50, 10)))
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=20)
    for _ in range(3):
        orch.run_sync(agent, x="hi").result()
    before = quote_run(rt, agent, {"x": "hi"})
    rt.models.prices.set("m", input=200, output=200)
    after = quote_run(rt, agent, {"x": "hi"})
    assert after.expected_usd == 2 * before.expected_usd == Decimal("0.012")


def test_an_unknown_price_is_unknown_and_above_every_bound(rt, scripted):
    """Without a price there are no dollars, the model is named, and a bound refuses: unknown is not free."""
    scripted(lambda _: "ok")
    rt.models.add("nobody", "model-without-price", "vendor")
    quote = quote_run(rt, orch.Agent("a", "{{ x }}", model="nobody"), {"x": "hi"})
    assert (quote.usd, quote.unpriced, quote.baseline_usd) == (None, ("nobody",), None)
    with pytest.raises(QuoteTooHigh, match="the price of `nobody` is unknown"):
        quote.check(Decimal(100))


def test_a_bound_refuses_with_the_figures(rt, scripted):
    """Above the bound nothing starts, and the error has what was quoted; at or below it nothing happens."""
    provider = scripted(lambda _: "ok")
    quote = quote_run(rt, orch.Agent("a", "{{ x }}", model="m", max_tokens=1000), {"x": "hi"})
    quote.check(quote.high_usd)
    with pytest.raises(QuoteTooHigh, match=r"up to \$0\.1\d+ \(expected") as caught:
        quote.check(Decimal("0.05"))
    assert caught.value.facts["high_usd"] == quote.high_usd
    assert provider.requests == []


def test_missing_inputs_are_assumed_and_wrong_ones_refused(rt, scripted):
    """A quote needs no inputs, and says what it took for them; a name that nothing reads is a mistake."""
    scripted(lambda _: "ok")
    agent = orch.Agent("a", "{{ ticket }}", model="m")
    assert any("`ticket` not given" in note for note in quote_run(rt, agent, {}).notes)
    with pytest.raises(MissingInput, match="nothing in `a` reads `tickt`"):
        quote_run(rt, agent, {"tickt": "x"})


def test_one_agent_instead_is_the_dearest_model_answering_once(rt, support):
    """The baseline is priced at the dearest model of the graph, from the inputs' size and the answer's."""
    graph, names, _ = support
    quote = quote_run(rt, graph, {"ticket": "charge " * 100}, namespace=names)
    assert quote.baseline_model == "big"
    input_tokens = 700 // 4 + 64
    assert quote.baseline_usd > Decimal(3 * input_tokens) / 1_000_000


def test_a_batch_is_quoted_as_the_sum_of_its_rows(rt, scripted):
    """Rows are quoted one by one and added up; of a long table 200 rows stand for all."""
    scripted(lambda _: "ok")
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=20)
    rows = [{"x": "w" * n} for n in (4, 400, 40)]
    quote = quote_batch(rt, agent, rows)
    one_by_one = [quote_run(rt, agent, row) for row in rows]
    assert quote.expected_usd == sum(q.expected_usd for q in one_by_one)
    assert quote.rows == 3
    long = quote_batch(rt, agent, [{"x": "wwww"}] * 1000)
    assert long.expected_usd == 1000 * quote_run(rt, agent, {"x": "wwww"}).expected_usd
    assert any("200 of 1,000 rows" in note for note in long.notes)


def test_a_persons_time_is_not_quoted(rt, scripted):
    """Earlier runs count the seconds in which the program had something to do, not those in which a person thought."""
    from orch_nb.estimates.history import past_run
    from orch_nb.schema import events as ev

    begun = ev.RunStarted("1", "g", {"name": "g"}, {}, 100.0)
    asked = ev.Waiting("", "ok", 1, None, "?", "x", "h", 103.0)
    told = ev.Answered("", "ok", 1, None, "approve", "x", "me", 5000.0)
    assert past_run([begun, asked, told, ev.RunEnded("done", 5002.0)]).seconds == 5.0


def test_a_judges_verdict_is_part_of_its_nodes_quote(rt, scripted):
    """The call of `by judge(m)` is part of the quote of the node before it, with and without earlier runs."""
    scripted(lambda request: '{"choice": "left", "reason": "so"}' if "left" in request.messages[-1].content else "fine")
    graph = orch.Graph.from_cell("g", "%%graph g\nlook -> {left, right} by judge(m) else right\n")

    def left(look):
        """Turn left."""
        return look

    def right(look):
        """Turn right."""
        return look

    look = orch.Agent("look", "Look: {{ x }}", model="m", max_tokens=20)
    names = {"look": look, "left": left, "right": right}
    cold = quote_run(rt, graph, {"x": "hi"}, namespace=names)
    assert [(n.step, n.calls.low, n.calls.high) for n in cold.nodes] == [("look", 2, 2)]
    run = orch.run_sync(graph, namespace=names, x="hi")
    assert run.status == "done"
    assert cold.low_usd <= run.spent_usd <= cold.high_usd
    assert run.bill().total.calls == 2
    warm = quote_run(rt, graph, {"x": "hi"}, namespace=names)
    assert warm.basis == "1 earlier run"
    assert warm.nodes[0].basis == "1 earlier run"


def test_a_model_that_nobody_defined_is_no_unknown_price(rt, scripted):
    """A quote refuses a name that stands for nothing as a run does: in a route, as a judge, as a second opinion."""
    scripted(lambda _: "ok")
    for keys in (
        {"route": {"cascade": ["m", "huge"]}},
        {"route": {"judge": "huge", "models": ["m"]}},
        {"model": "m", "second_opinion": {"model": "huge"}},
    ):
        agent = orch.Agent("a", "{{ x }}", max_tokens=20, **keys)
        with pytest.raises(UnknownModel, match="huge"):
            quote_run(rt, agent, {"x": "hi"})
        with pytest.raises(UnknownModel, match="huge"):
            quote_batch(rt, agent, [{"x": "hi"}])
        assert [w for w in agent.warnings() if "huge" in w], "its card says so before"


def test_one_agent_instead_is_the_dearest_that_a_route_may_choose(models):
    """The baseline of one agent uses the dearest candidate of a cascade, not its first."""
    models()
    quote = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"]}, max_tokens=20).quote(x="hi")
    assert quote.baseline_model == "big"


@pytest.fixture
def escalation(rt):
    """A switch whose dear branch is taken in one run of four; tokens as in real use, at two prices."""

    def answer(request):
        said = request.messages[-1].content
        if "no such" in said:
            return BadRequest("refused")
        if said.startswith("Classify"):
            return {"category": "hard" if "court" in said else "easy"}
        return "word " * (150 if said.startswith("Lawyer") else 10)

    rt.add_provider(orch.ScriptedProvider(answer, name="vendor"))
    rt.models.add("small", "model-s", "vendor", price={"input": "0.15", "output": "0.60"})
    rt.models.add("big", "model-b", "vendor", price={"input": 3, "output": 15})
    names = {
        "triage": orch.Agent("triage", "Classify: {{ ticket }}", model="small", out="{category: easy | hard}", max_tokens=40),
        "easy": orch.Agent("easy", "Clerk: {{ ticket }}", model="small", max_tokens=300),
        "hard": orch.Agent("hard", "Lawyer: {{ ticket }}", model="big", max_tokens=300),
    }  # fmt: skip
    return orch.Graph.from_cell("desk", "%%graph desk\ntriage -> {easy, hard} by triage.category"), names


@pytest.mark.parametrize("n", [3, 12, 40])
def test_what_a_quote_expects_is_the_mean_of_the_runs_and_what_a_forecast_of_them_says(rt, escalation, n):
    """A dear branch that most runs leave out counts with its share of the cost, for its node and for the whole."""
    graph, names = escalation
    tickets = ["to court" if i % 4 == 1 else "my shoes" for i in range(n)]
    spent = [orch.run_sync(graph, namespace=names, ticket=t).spent_usd for t in tickets]
    mean = sum(spent) / n
    assert sorted(spent)[n // 2] < mean / 2, "the median says nothing of the dear branch"

    quote = quote_run(rt, graph, {"ticket": "my shoes"}, namespace=names)
    forecast = orch.forecast(graph, per_day=1)
    assert quote.expected_usd == pytest.approx(mean, abs=Decimal("1e-9"))
    assert quote.expected_usd == pytest.approx(forecast.run_usd, abs=Decimal("1e-6"))
    assert quote.expected_usd == sum(node.expected_usd for node in quote.nodes)
    node = {row.step: row for row in quote.nodes}
    assert node["hard"].expected_usd > quote.expected_usd / 2
    for each in (quote, *quote.nodes):
        assert each.low_usd <= each.expected_usd <= each.high_usd
        assert each.low_s <= each.expected_s <= each.high_s


def test_a_batch_over_the_rows_of_its_history_is_expected_to_cost_what_they_cost(rt, escalation):
    """The mean is taken per what the prompts' sizes let expect, so long and short rows add up to the bill."""
    graph, names = escalation
    tickets = ["to court", "my shoes", "my shoes " * 60, "my shoes " * 8]
    rows = [{"ticket": t} for t in tickets]
    spent = sum(orch.run_sync(graph, namespace=names, **row).spent_usd for row in rows)
    assert quote_batch(rt, graph, rows, namespace=names).expected_usd == pytest.approx(spent, rel=Decimal("1e-6"))


def test_going_on_is_expected_to_cost_the_mean_of_what_earlier_runs_took_from_there(rt, escalation):
    """A branch that earlier runs left out counts as $0 for them, not as if each had taken it."""
    graph, names = escalation
    tickets = ["to court", "my shoes", "my shoes", "my shoes"]
    spent = [orch.run_sync(graph, namespace=names, ticket=t).spent_usd for t in tickets]
    failed = orch.run_sync(graph, namespace=names, ticket="no such")
    assert failed.status == "failed"
    assert quote_resume(rt, failed.run) == pytest.approx(sum(spent) / 4, abs=Decimal("1e-9"))


past_amounts = st.lists(
    st.tuples(st.floats(0, 1000), st.floats(1e-6, 1000)).map(lambda pair: Used(*pair)), min_size=1, max_size=99
)


@given(past_amounts, st.tuples(*[st.floats(0, 100)] * 3).map(sorted))
def test_what_is_expected_lies_between_the_ends_whatever_the_past(past, cold):
    """One run that was a thousand times dearer moves the mean beyond the quantiles, and the end with it."""
    low, expected, high = Quoter._interval(past, Range(*cold))
    assert low <= expected <= high
    assert expected == pytest.approx(sum(u.amount for u in past) / sum(u.sized for u in past) * cold[1])
