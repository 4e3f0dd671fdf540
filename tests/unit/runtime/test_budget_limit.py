"""At a budget's limit: a cheaper model is asked, or a person, or the run stops with what it has."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

import orch_nb as orch
from orch_nb.errors import BadOption, RateLimited
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget
from orch_nb.trace.run_view import run_view
from orch_nb.views.run import run_bundle
from tests.unit.runtime.conftest import reply


@pytest.fixture
def ladder(rt, scripted):
    """Models `big` ($100 per million), `mid` ($50) and `tiny` ($1) of three providers, and who was asked."""
    asked = []

    def answers(name):
        def answer(request):
            asked.append(name)
            return reply(name)

        return answer

    for name, price in (("big", 100), ("mid", 50), ("tiny", 1)):
        scripted(answers(name), name=name)
        rt.models.add(name, f"model-{name}", name, price={"input": price, "output": price})
    return asked


def agent(name="a", prompt="{{ x }}", **keys):
    return orch.Agent(name, prompt, **{"model": "big", "max_tokens": 50, **keys})


def three(**keys):
    """a -> b -> c on `big`."""
    names = {"a": agent("a", "go"), "b": agent("b", "{{ a }}", **keys), "c": agent("c", "{{ b }}")}
    return orch.Graph("g").chain("a", "b", "c"), names


# ------------------------------------------------------------------ degrade
async def test_a_call_that_does_not_fit_goes_to_the_cheapest_model_that_does(rt, ladder):
    """The second call has no room on `big`: `tiny` answers, the route says why, both stay inside the budget."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 degrade")

    assert run.status == "done"
    assert ladder == ["big", "tiny", "tiny"]
    sent = [e for e in run.events if isinstance(e, ev.Sent)]
    assert sent[0].route.get("degraded") is None
    assert (
        sent[1]
        .route["degraded"]
        .startswith(f"degraded to `tiny`: the budget of run {run.run} has $0.006 left, `big` needs $0.0")
    )
    assert [c["offer"] for c in sent[1].route["candidates"]] == ["big", "tiny"]
    assert sent[1].route["candidates"][0]["refused"] == sent[1].route["degraded"]
    assert run.spent_usd == D("0.0102")


async def test_a_degraded_answer_is_marked_and_has_no_fingerprint(rt, ladder):
    """An answer of a cheaper model at a limit is marked in the trace, in text and HTML, and is never reused."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.018 degrade=mid")
    finished = {e.node: e for e in run.events if isinstance(e, ev.Finished)}

    assert finished["a"].fingerprint
    assert finished["a"].decision is None
    assert finished["b"].fingerprint == ""
    assert finished["b"].decision["degraded"].startswith("degraded to `mid`")
    notices = [n for n in run_view(run.events).notices if n.kind == "degraded"]
    assert [n.key for n in notices] == ["b"]
    made = run_bundle(run_view(run.events))
    assert notices[0].text in made["text/plain"]
    assert "degraded to" in made["text/html"]


async def test_only_the_named_model_is_asked_and_where_it_does_not_fit_the_run_stops(rt, ladder):
    """`degrade=mid` never goes to `tiny`: when `mid` has no room either, the run stops with what it has."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.018 degrade=mid")
    assert ladder == ["big", "mid"]
    assert (run.status, run.events[-1].error.type) == ("failed", "BudgetExceeded")
    assert run["b"] == "mid"


async def test_a_node_degrades_by_its_own_budget_and_others_do_not(rt, ladder):
    """The budget that refuses decides: an agent's `{usd: 0, at_limit: degrade}` leaves the others on `big`."""
    graph, names = three(budget={"usd": "0.001", "at_limit": "degrade"})
    run = await orch.run(graph, namespace=names, budget="1")
    assert run.status == "done"
    assert ladder == ["big", "tiny", "big"]
    assert rt.store.balance(f"run:{run.run}/node:b").spent_usd <= D("0.001")


async def test_the_notebooks_budget_degrades_as_well(rt, ladder):
    """`%orch budget 0.016 degrade` holds for every run of the notebook."""
    rt.set_budget("0.016 degrade")
    graph, names = three()
    assert (await orch.run(graph, namespace=names)).status == "done"
    assert ladder == ["big", "tiny", "tiny"]


async def test_models_that_cannot_take_the_call_are_passed_over(rt, ladder):
    """A model without tools, price or key is skipped, and the next cheapest is called."""
    rt.models.add("mute", "model-mute", "tiny", price={"input": "0.1", "output": "0.1"}, tools=False, json=False)
    rt.models.add("secret", "model-secret", "tiny")

    @orch.tool
    def look(q: str) -> str:
        """Look.

        Parameters
        ----------
        q
            What for.
        """
        return q

    names = {"a": agent("a", "go"), "b": agent("b", "{{ a }}", tools=[look]), "look": look}
    run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names, budget="0.04 degrade")
    assert run.status == "done"
    assert "mute" not in ladder
    assert ladder[0] == "big"


async def test_a_limit_that_no_model_can_help_with_stops(rt, ladder):
    """Calls and seconds cost the same on every model: such a limit stops, whatever it would degrade to."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="1, 2 calls, degrade")
    assert (run.status, run.events[-1].error.type) == ("failed", "BudgetExceeded")
    assert ladder == ["big", "big"]


async def test_retries_of_a_degraded_call_stay_inside_the_budget(rt, scripted, ladder):
    """A cheaper model that fails transiently is asked again at its own price; nothing passes the limit."""
    attempts = []

    def flaky(request):
        attempts.append(request)
        return RateLimited("slow down", retry_after_s=0.0) if len(attempts) < 3 else reply("at last")

    scripted(flaky, name="tiny")
    rt.models.add("tiny", "model-tiny", "tiny", price={"input": 1, "output": 1})
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 degrade")
    assert run.status == "done"
    assert len(attempts) == 4
    balance = rt.store.balance(f"run:{run.run}")
    assert balance.held_usd == 0
    assert balance.spent_usd + balance.overrun_usd <= D("0.016")


async def test_one_call_is_one_call(rt, ladder):
    """A refusal counts in words that fit: `1 call`, `2 calls`, `0 calls`."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="1 call")
    assert "asks for up to 1 call, but run" in run.events[-1].error.message
    assert "has 0 calls left of 1 call (spent 1 call, held 0 calls)" in run.events[-1].error.message


# ------------------------------------------------------------------ ask
async def test_a_person_is_asked_for_more_and_the_run_goes_on_where_it_was(rt, ladder):
    """The run waits with the figures; an amount raises its budget, the same call is made, and nothing is repeated."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 ask", attended=True)

    assert run.status == "waiting"
    (asked,) = run.waiting
    assert asked.question.startswith(f"The budget of run {run.run} has $0.006 left of $0.016; `b` asks for up to $0.0")
    assert asked.question.endswith("How much more?")
    assert asked.options == ("raise", "stop")
    run.answer("raise", "0.02")
    await run
    assert run.status == "done"
    assert ladder == ["big", "big", "big"]
    changed = [e for e in run.events if isinstance(e, ev.LimitChanged)]
    assert [(e.limit_usd, e.limits) for e in changed] == [(D("0.036"), {"at_limit": "ask"})]
    assert rt.store.balance(f"run:{run.run}").limit_usd == D("0.036")


async def test_raise_without_an_amount_is_just_enough_and_it_may_be_asked_again(rt, ladder):
    """`raise` alone makes room for the call that asked; the next one that does not fit asks again."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 ask", attended=True)
    run.answer("raise")
    await run
    assert run.status == "waiting"
    assert ladder == ["big", "big"]
    run.answer("raise")
    await run
    assert run.status == "done"


async def test_stop_ends_the_run_with_what_it_has(rt, ladder):
    """A person who gives no more stops the run: the typed error, the results so far, and a resume that asks again."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 ask", attended=True)
    run.answer("stop")
    await run
    assert (run.status, run.events[-1].error.type) == ("failed", "BudgetExceeded")
    assert run["a"] == "big"
    again = await rt.resume(run.run, budget="+0.05", namespace=names)
    assert again.status == "done"
    assert ladder == ["big", "big", "big"]


async def test_nobody_there_means_stop(rt, ladder):
    """Unattended, a budget that would ask stops."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 ask")
    assert run.events[-1].error.type == "BudgetExceeded"


async def test_an_answer_that_is_no_amount_is_refused_and_the_question_stays(rt, ladder):
    """An answer that cannot be added to the budget is an error; the run keeps waiting."""
    graph, names = three()
    run = await orch.run(graph, namespace=names, budget="0.016 ask", attended=True)
    with pytest.raises(BadOption, match="the raise must be an amount in dollars, got 'plenty'"):
        run.answer("raise", "plenty")
    assert run.status == "waiting"
    run.answer("stop")
    await run


async def test_a_nodes_and_the_notebooks_budget_are_raised_where_they_are(rt, ladder):
    """The question names the budget that ran out, and the answer raises that one: a node's for this run, the notebook's for good."""
    graph, names = three(budget={"calls": 0, "at_limit": "ask"})
    rt.set_budget("2 calls ask")
    run = await orch.run(graph, namespace=names, attended=True)
    assert run.waiting[0].question.startswith(f"The budget of node `b` of run {run.run} has 0 calls left")
    run.answer("raise", 1)
    await run
    assert run.waiting[0].question.startswith("The budget of notebook untitled has 0 calls left of 2 calls")
    run.answer("raise", "5")
    await run
    assert run.status == "done"
    assert rt.budget().budget == Budget(calls=D(7), at_limit="ask")
    changed = [e for e in run.events if isinstance(e, ev.LimitChanged)]
    assert [(e.scope, e.limits["calls"]) for e in changed] == [(f"run:{run.run}/node:b", "1")]


async def test_a_raised_node_limit_survives_a_resume(rt, ladder):
    """A person's raise of a node's budget is in force in the process that resumes the run."""
    graph, names = three(budget={"calls": 0, "at_limit": "ask"})
    run = await orch.run(graph, namespace=names, budget="2 calls", attended=True)
    run.answer("raise", 1)
    await run
    assert run.events[-1].error.type == "BudgetExceeded"
    again = await rt.resume(run.run, budget="+1 call", namespace=names)
    assert again.status == "done"


async def test_items_of_a_map_ask_one_by_one(rt, ladder):
    """Two of three items have no room: each asks for itself, the answered one continues, the map completes."""
    names = {"plan": lambda: [1, 2, 3], "w": agent("w", "{{ i }}")}
    graph = orch.Graph.from_cell("g", "plan -> w each plan as i")
    run = await orch.run(graph, namespace=names, budget="1 call ask", attended=True)
    assert len(run.waiting) == 2
    for asked in run.waiting:
        run.answer("raise", 1, node=ev.key(asked))
    await run
    assert run.status == "done"
    assert run.output == ["big", "big", "big"]


async def test_a_budget_that_cannot_be_read_starts_no_run(rt, ladder):
    """Refused before anything is sent, for runs."""
    graph, names = three()
    for wrong in ("0,50", "0.05 0.50", D("NaN"), -1):
        with pytest.raises(BadOption):
            await orch.run(graph, namespace=names, budget=wrong)
    assert not rt.runs()
