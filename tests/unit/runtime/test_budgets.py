"""Budgets of runs in every unit: what stops a run, what warns, what alerts."""

from __future__ import annotations

import inspect
from decimal import Decimal as D

import pytest

import orch_nb as orch
from orch_nb.errors import BadName, BadOption, BudgetExceeded, GraphError, RateLimited, UnknownModel
from orch_nb.runtime.batch import resume_batch
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.names import RUN_OPTIONS
from orch_nb.trace.run_view import run_view
from orch_nb.views.run import run_bundle
from orch_nb.views.trace import trace_bundle
from tests.unit.runtime.conftest import reply


def agent(name="a", prompt="{{ x }}", **keys):
    """An agent of the scripted model: reserved at about $0.015, billed at $0.01 and 100 tokens a call."""
    return orch.Agent(name, prompt, model="m", **{"max_tokens": 50, **keys})


def chain(n, **keys):
    """A chain of `n` agents and its names."""
    names = {f"a{i}": agent(f"a{i}", "go" if not i else f"{{{{ a{i - 1} }}}}", **keys) for i in range(n)}
    return orch.Graph("g").chain(*names), names


# ------------------------------------------------------------------ stopping
async def test_a_limit_of_calls_stops_before_the_call_that_would_pass_it(rt, scripted):
    """Three calls are allowed: the fourth is not sent, the run stops with what it has, in the words of its unit."""
    provider = scripted(lambda request: reply())
    graph, names = chain(5)
    run = await orch.run(graph, namespace=names, budget="3 calls")

    assert len(provider.requests) == 3
    refused = next(e for e in run.events if isinstance(e, ev.Refused))
    assert (refused.unit, refused.limit_usd, refused.spent_usd, refused.asked_usd) == ("calls", 3, 3, 1)
    with pytest.raises(BudgetExceeded, match="asks for up to 1 call, but run .* has 0 calls left of 3 calls") as caught:
        run.result()
    assert (caught.value.facts["unit"], caught.value.facts["left"]) == ("calls", 0)
    assert run["a2"] == "ok", "what was done is kept"


async def test_a_limit_of_tokens_is_reserved_at_the_bound_and_settled_at_what_was_used(rt, scripted):
    """The bound of the next prompt and answer must fit; what was not used comes back."""
    provider = scripted(lambda request: reply())
    graph, names = chain(5)
    run = await orch.run(graph, namespace=names, budget={"tokens": 400})
    sent = [e for e in run.events if isinstance(e, ev.Sent)]
    refused = next(e for e in run.events if isinstance(e, ev.Refused))

    assert refused.unit == "tokens"
    assert len(provider.requests) == len(sent)
    assert refused.spent_usd == 100 * len(sent)
    assert refused.spent_usd + refused.asked_usd > 400 >= refused.spent_usd - 100 + sent[-1].reserved_tokens
    assert rt.store.balance(f"run:{run.run}").quotas["tokens"].held == 0


async def test_a_limit_of_seconds_stops_at_the_limit(rt, scripted):
    """Seconds of calls add up; at the limit no call is begun. Those of a tool count as well."""

    @orch.tool
    async def slow(q: str) -> str:
        """Wait.

        Parameters
        ----------
        q
            Anything.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        until = loop.time() + 0.02
        while loop.time() < until:
            await asyncio.sleep(0)
        return "done"

    provider = scripted(lambda request: reply(tool_calls=_call()) if len(request.messages) < 3 else reply())
    one = agent(tools=[slow])
    run = await orch.run(one, x="hi", budget="0.02 seconds", namespace={"slow": slow})

    assert len(provider.requests) == 1, "the tool used the seconds up: the model is not asked again"
    quota = rt.store.balance(f"run:{run.run}").quotas["seconds"]
    assert quota.spent == D("0.02")
    assert quota.overrun >= 0
    assert run.events[-1].error.type == "BudgetExceeded"
    assert "has used" in run.events[-1].error.message


def _call():
    from orch_nb.schema.messages import ToolCall

    return (ToolCall("c1", "slow", '{"q": "x"}'),)


async def test_an_agents_budget_holds_in_every_unit_and_all_its_rounds(rt, scripted):
    """`budget: {usd: 0.5, calls: 2}` of an agent bounds the node in the whole run; its neighbours are free."""
    provider = scripted(lambda request: reply("again"))
    names = {"a": agent(prompt="{{ b? }}", budget={"usd": 0.5, "calls": 2}), "b": agent("b", "{{ a }}")}
    run = await orch.run(orch.Graph.from_cell("g", "a -> b\nb -> a when b == 'again' at most 5"), namespace=names)

    refused = next(e for e in run.events if isinstance(e, ev.Refused))
    assert (refused.scope, refused.unit, refused.node, refused.round) == (f"run:{run.run}/node:a", "calls", "a", 3)
    assert len(provider.requests) == 4


async def test_retries_repairs_and_fallbacks_are_calls_of_the_same_budget(rt, scripted):
    """A storm of 429 uses calls up like answers do: the budget ends it, whatever `retry` allows."""
    provider = scripted(lambda request: RateLimited("slow down", retry_after_s=0.0))
    run = await orch.run(agent(retry=10), x="hi", budget="4 calls")

    assert len(provider.requests) == 4
    assert run.events[-1].error.type == "BudgetExceeded"
    assert run.spent_usd == 0


async def test_a_model_of_unknown_price_counts_in_the_other_units(rt, scripted):
    """Without a limit in dollars an unpriced call is allowed; its tokens and calls count all the same."""
    scripted([reply(), reply()])
    rt.models.add("nobody", "no-such-model", "vendor")
    run = await orch.run(orch.Agent("a", "hi", model="nobody", max_tokens=50), budget="1 call")
    assert run.status == "done"
    assert rt.store.balance(f"run:{run.run}").quotas["calls"].spent == 1
    assert rt.budget().quotas["tokens"].spent == 100


async def test_resuming_with_more_of_one_unit_keeps_the_other_limits(rt, scripted):
    """`%orch resume --budget "+2 calls"` adds to what there was; the dollars stay as they were, and nothing is repeated."""
    provider = scripted(lambda request: reply())
    graph, names = chain(4)
    run = await orch.run(graph, namespace=names, budget="1, 2 calls")
    again = await rt.resume(run.run, budget="+2 calls", namespace=names)

    assert again.status == "done"
    assert len(provider.requests) == 4
    assert rt.store.balance(f"run:{run.run}").budget == Budget(D(1), calls=D(4))


async def test_the_notebooks_budget_in_every_unit(rt, scripted):
    """It is cumulative over runs; what is not mentioned stays; less than what is used is refused with the figure."""
    scripted(lambda request: reply())
    rt.set_budget("0.50 tokens=2000 calls=2 ask")
    rt.set_budget("+0.25")
    assert rt.budget().budget == Budget(D("0.75"), D(2000), D(2), at_limit="ask")
    for _ in range(2):
        assert (await orch.run(agent(), x="hi")).status == "done"
    with pytest.raises(BadOption, match="cannot be 1 calls: 2 of it is spent"):
        rt.set_budget("calls=1")
    third = await orch.run(agent(), x="hi")
    assert third.events[-1].error.type == "BudgetExceeded"
    assert "notebook untitled has 0 calls left of 2 calls" in third.events[-1].error.message
    rt.reset_budget()
    assert rt.budget().budget == Budget(D("0.75"), D(2000), D(2), at_limit="ask")
    assert (await orch.run(agent(), x="hi")).status == "done"
    rt.set_budget(None)
    assert rt.budget().budget == Budget()


@pytest.mark.parametrize("option", RUN_OPTIONS)
def test_no_input_is_called_as_an_option_of_run(option):
    """`budget=` is always the budget: an agent or a graph that reads an input of that name is refused where it is defined."""
    with pytest.raises(BadName, match=f"`{option}` is an option of `run`") as refused:
        agent(prompt=f"Plan with {{{{ {option} }}}}")
    assert refused.value.hint == f"rename the input, e.g. `{option}_given`"
    names: dict[str, object] = {}
    exec(f"def plan({option}): return {option}", names)
    with pytest.raises(GraphError, match=f"`{option}` is an option of `run`"):
        orch.Graph("g").chain("plan").compile(names)


def test_the_options_of_run_are_those_that_no_input_can_be_called():
    """The list of reserved names is that of the parameters of `run`."""
    parameters = inspect.signature(orch.run).parameters.values()
    assert tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY) == RUN_OPTIONS


async def test_the_former_name_of_the_budget_is_refused_with_the_new_one(rt):
    """`budget_usd=` starts no run; the error says what to type."""
    with pytest.raises(BadOption, match="`budget_usd` is called `budget`") as refused:
        await orch.run(agent(), x="hi", budget_usd=0.05)
    assert refused.value.hint == "`budget=0.05`"
    assert rt.store.runs() == []


async def test_a_budget_that_cannot_be_meant_is_refused_before_anything(rt, scripted):
    """A wrong word or an unknown model to degrade to: an error at once, no run in the store."""
    provider = scripted([reply()])
    with pytest.raises(BadOption, match="has no `cals`"):
        await orch.run(agent(), x="hi", budget="0.05 cals=3")
    with pytest.raises(UnknownModel, match="smal"):
        await orch.run(agent(), x="hi", budget="0.05 degrade=smal")
    assert provider.requests == []
    assert rt.store.runs() == []


async def test_a_recording_and_a_batch_take_the_same_budget(rt, scripted):
    """`orch.record(budget=…)` and `orch.batch(…, budget=…)` count calls too; a batch's rest stays pending."""
    scripted(lambda request: reply())
    one = agent()
    with pytest.raises(BudgetExceeded):
        async with orch.record(budget="1 call"):
            await one(x="a")
            await one(x="b")
    done = await orch.batch(one, [{"x": str(i)} for i in range(5)], budget="2 calls", rows_at_once=1)
    assert done.progress["done"] == 2
    again = await orch.resume(done.run)
    assert again.progress["done"] == 2, "the batch's limit still stands"
    more = await resume_batch(rt, done.run, budget="+3 calls", namespace={})
    assert more.progress["done"] == 5


# ------------------------------------------------------------------ warning
def shown(run):
    """The run as text, as HTML, as data, and its trace."""
    view = run_view(run.events)
    made = run_bundle(view)
    return (
        made["text/plain"],
        made["text/html"],
        made["application/vnd.orch.trace+json"],
        trace_bundle(view)["text/plain"],
    )


async def test_four_fifths_of_a_budget_are_said_once(rt, scripted):
    """Of five calls the fourth crosses 80 %: one notice, at that step, in text, HTML, trace and data; not again at 100 %."""
    scripted(lambda request: reply())
    graph, names = chain(5)
    run = await orch.run(graph, namespace=names, budget="5 calls")

    (notice,) = run_view(run.events).notices
    assert (notice.kind, notice.key) == ("budget", "a3")
    assert notice.text == f"run {run.run} has used 80% of its budget: 4 of 5 calls"
    text, html, data, trace = shown(run)
    assert f"! a3: {notice.text}" in text
    assert f"! a3: {notice.text}" in trace
    assert notice.text in html
    assert data["notices"] == [{"kind": "budget", "key": "a3", "text": notice.text}]


async def test_each_budget_and_unit_warns_for_itself_and_anew_after_a_raise(rt, scripted):
    """The run's dollars and the node's calls are warned of apart; a raised limit that is crossed again warns again."""
    scripted(lambda request: reply())
    graph, names = chain(4)
    names["a0"] = agent("a0", "go", budget={"calls": 1})
    run = await orch.run(graph, namespace=names, budget="0.03")
    said = [n.text for n in run_view(run.events).notices]
    assert said == [
        "`a0` has used 100% of its budget: 1 of 1 call",
        *([f"run {run.run} has used 100% of its budget: $0.03 of $0.03"] if run.spent_usd == D("0.03") else []),
    ]
    again = await rt.resume(run.run, budget="+0.02", namespace=names)
    assert again.status == "done"
    last = run_view(again.events).notices[-1]
    assert last.text == f"run {run.run} has used 80% of its budget: $0.04 of $0.05"


async def test_below_four_fifths_nothing_is_said(rt, scripted):
    """A run far from its limits has no notices."""
    scripted(lambda request: reply())
    graph, names = chain(3)
    run = await orch.run(graph, namespace=names, budget="1, 100 calls, 60 s")
    assert run_view(run.events).notices == []


# ------------------------------------------------------------------ three times the usual
async def test_three_times_the_usual_cost_is_said_with_the_step_that_caused_it(rt, scripted):
    """Five runs of two calls, then one that loops: above three times the median it names the node, while it runs."""
    answers = {"rounds": 0}

    def answer(request):
        text = request.messages[-1].content
        if "judge" in text and answers["rounds"] > 0:
            answers["rounds"] -= 1
            return reply("again")
        return reply("fine")

    scripted(answer)
    names = {
        "draft": agent("draft", "draft {{ x }} {{ judge? }}"),
        "judge": agent("judge", "judge {{ draft }}"),
        "end": lambda judge: judge,
    }
    graph = orch.Graph.from_cell(
        "g", "draft -> judge\njudge -> draft when judge == 'again' at most 9\njudge -> end else"
    )
    for _ in range(5):
        usual = await orch.run(graph, namespace=names, x="hi")
        assert usual.status == "done", usual.events[-1]
    assert run_view(usual.events).notices == []
    assert usual.events[0].baseline == {"usd": "0.02", "from": "the median of 4 earlier runs", "factor": "3"}
    answers["rounds"] = 5
    run = await orch.run(graph, namespace=names, x="hi")

    assert run.spent_usd == D("0.12")
    (notice,) = [n for n in run_view(run.events).notices if n.kind == "alert"]
    assert notice.text == (
        "$0.07 so far is 3.5 times the median of 5 earlier runs ($0.02); `draft`, 4 times, is 57% of it"
    )
    assert notice.key == "draft[4]"
    text, html, data, trace = shown(run)
    assert notice.text in text
    assert notice.text in trace
    assert data["notices"][0]["kind"] == "alert"
    assert "3.5 times the median" in html
    before = [e for e in run.events if not isinstance(e, ev.Settled) or e.at < notice.at]
    assert len(before) < len(run.events), "it is said before the end"


async def test_the_factor_can_be_set_and_without_history_the_expectation_stands(rt, scripted):
    """The first run is compared with what its agents are expected to cost once; `alert=` changes how much is too much."""
    scripted(lambda request: reply(tokens_in=40, tokens_out=200))
    rt.set_alert("1.5")
    run = await orch.run(agent(max_tokens=200), x="hi")
    baseline = run.events[0].baseline
    assert (baseline["factor"], baseline["from"]) == ("1.5", "what each agent asked once is expected to cost")
    assert 0 < D(baseline["usd"]) < D("0.03")
    with pytest.raises(BadOption, match="greater than 1, got 1"):
        rt.set_alert(1)
    free = await orch.run(lambda: 1, namespace={})
    assert free.events[0].baseline is None, "a run without agents has nothing to compare"


async def test_the_first_run_of_a_ladder_that_climbs_is_no_alarm(rt, models):
    """Without earlier runs the usual cost of a routed agent is that of its dearest candidate: one escalation is by design."""
    models(small=["nonsense", "nonsense"], big=['{"label": "yes"}'])
    made = orch.Agent("a", "Label {{ x }}", route={"cascade": ["small", "big"]}, out="{label: yes | no}", max_tokens=50)
    run = await orch.run(made, x="hi")
    assert run.status == "done"
    assert {e.target for e in run.events if isinstance(e, ev.Sent) and e.kind == "model"} == {"small", "big"}
    assert not [n for n in run_view(run.events).notices if n.kind == "alert"]


@pytest.mark.parametrize(("unit", "typed"), [("usd", "+0.02"), ("calls", "calls=+2"), ("tokens", "tokens=+2")])
def test_the_hint_of_a_refusal_is_a_raise_that_can_be_typed(unit, typed):
    """The hint names the run and a raise by at least what was asked for, in the unit that ran out."""
    asked = D("0.0151") if unit == "usd" else D(2)
    error = BudgetExceeded(scope="run:7", node="a", limit=D(0), spent=D(0), held=D(0), asked=asked, run="7", unit=unit)
    assert error.hint == f"`%orch resume 7 --budget {typed}` continues; finished nodes are not called again."
    assert parse_budget(typed, before=Budget()).limit(unit) >= asked
