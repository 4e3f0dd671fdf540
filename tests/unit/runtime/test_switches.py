"""Switches that a judge or the fit of descriptions decides, through the whole stack but the network."""

from __future__ import annotations

from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.errors import GraphError, ProviderUnavailable
from orch_nb.providers.local_models.embeddings import HashingEmbedder
from orch_nb.schema import events as ev
from orch_nb.trace.decisions import choices
from orch_nb.trace.spans import spans
from tests.unit.runtime.routed import calls


def debug(code: str) -> str:
    """Repair a syntax error in a program."""
    return "repaired"


def test_suite(code: str) -> str:
    """Run the tests of a program that parses."""
    return "tested"


test_suite.__test__ = False
JUDGED = "look -> {debug, tests} by judge(big) else other"


def names(**more):
    return {
        "look": lambda code: {"code": code, "error": "SyntaxError"}, "debug": debug, "tests": test_suite,
        "other": lambda: "other", **more,
    }  # fmt: skip


async def test_a_judge_selects_the_next_agent_with_its_reasoning_and_its_own_cost(rt, models):
    """An intermediate result (a syntax error) goes to the debugging node before tests continue; reason and cost are shown."""
    models(big=['{"choice": "debug", "reason": "it does not parse"}'])
    run = await orch.run(orch.Graph.from_cell("g", JUDGED), code="x = = 1", namespace=names())

    assert [n for n in ("debug", "tests") if any(s.node == n and s.exit == "success" for s in spans(run.events))] == [
        "debug"
    ]
    assert run.spent_usd == Decimal("0.01")
    choice = next(c for c in choices(spans(run.events), "look") if c.of == "node")
    assert (choice.chosen, choice.how, choice.because) == (
        "debug",
        "judge(big) of look",
        "`big` said: it does not parse",
    )
    assert {o.name: o.why for o in choice.options}["tests"] == "`big` chose `debug`"


@pytest.mark.parametrize("said", ['{"choice": "none", "reason": "neither"}', "banana"])
async def test_a_judge_that_names_nobody_leads_to_else(rt, models, said):
    """Out of scope, or no answer at all: the else arrow is taken and the words are kept."""
    models(big=[said])
    run = await orch.run(orch.Graph.from_cell("g", JUDGED), code="x", namespace=names())
    assert run.result()["other"] == "other" if isinstance(run.result(), dict) else run.result() == "other"


async def test_a_judge_is_asked_once_even_when_its_agent_has_answered_and_the_run_is_resumed(rt, models):
    """The verdict is not part of the agent's conversation: a resume after it calls neither the agent nor the judge again."""
    made = models(
        small=["look here"], big=['{"choice": "debug", "reason": "r"}'], mid=[ProviderUnavailable("down"), "fixed"]
    )
    space = {
        "look": orch.Agent("look", "Look at {{ code }}", model="small", max_tokens=50),
        "debug": orch.Agent("debug", "Repair {{ code }}", model="mid", describe="repairs", max_tokens=50, retry=1),
        "tests": test_suite, "other": lambda: "other",
    }  # fmt: skip
    run = await orch.run(orch.Graph.from_cell("g", JUDGED), code="x", namespace=space)
    assert run.status == "failed"
    again = await orch.resume(run.run, namespace=space)

    assert again.status == "done"
    assert [len(made[name].requests) for name in ("small", "big", "mid")] == [1, 1, 2]
    assert calls(again)[:2] == [("model", "small"), ("model", "big")]


async def test_a_judge_stays_inside_the_budget(rt, models):
    """Its call is reserved like any other: without room nothing is sent."""
    made = models(big=['{"choice": "debug", "reason": "r"}'])
    run = await orch.run(orch.Graph.from_cell("g", JUDGED), code="x", namespace=names(), budget="0.001")
    assert (run.status, made["big"].requests) == ("failed", [])
    assert any(isinstance(e, ev.Refused) for e in run.events)


FIT = "look -> {debug, tests} by fit above 0.1 else other"


async def test_fit_shows_every_factor_with_its_value(rt, models):
    """Description, reads, state and availability of each candidate are in the decision."""
    rt._embedder = HashingEmbedder()
    space = names(look=lambda code: "Repair a syntax error in a program")
    run = await orch.run(orch.Graph.from_cell("g", FIT), code="x", namespace=space)

    finished = next(e for e in run.events if isinstance(e, ev.Finished) and e.node == "look")
    made = finished.decision["chooser"]
    assert made["choice"] == "debug"
    assert made["factors"]["debug"] == {
        "description": pytest.approx(1.0, abs=0.2),
        "reads": 1.0,
        "state": 1.0,
        "available": 1.0,
    }
    assert made["scores"]["debug"] > made["scores"]["tests"]
    choice = next(c for c in choices(spans(run.events), "look") if c.of == "node")
    assert any("description" in row for row in choice.seen)


async def test_fit_sees_availability_and_what_is_missing(rt, models, monkeypatch):
    """The best description does not help a node whose model has no key: it is refused with the reason."""
    models(small=["ok"], big=["ok"])
    rt._embedder = HashingEmbedder()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rt.models.set(small="openai/gpt-4o-mini")
    space = names(
        look=lambda code: "Repair a syntax error in a program",
        debug=orch.Agent("debug", "Repair {{ code }}", route={"cascade": ["small"]}, describe="Repair a syntax error in a program", max_tokens=50),
        tests=orch.Agent("tests", "Test {{ code }}", model="big", describe="Run the tests of a program", max_tokens=50),
    )  # fmt: skip
    run = await orch.run(orch.Graph.from_cell("g", FIT), code="x", namespace=space)

    made = next(e for e in run.events if isinstance(e, ev.Finished) and e.node == "look").decision["chooser"]
    assert made["choice"] == "tests"
    assert "OPENAI_API_KEY" in made["refused"]["debug"]
    assert made["factors"]["debug"]["available"] == 0.0


async def test_what_a_function_does_better_is_not_asked_of_a_model(rt, models):
    """A maths question goes to the function that computes, by rule: no model is called, and it costs nothing."""
    models(small=["never"])

    def sort(question):
        return {"kind": "maths" if any(c.isdigit() for c in question) else "talk", "question": question}

    def maths(question: str) -> int:
        """Add numbers."""
        return sum(int(part) for part in question.split() if part.isdigit())

    space = {"sort": sort, "maths": maths, "talk": orch.Agent("talk", "{{ question }}", model="small", max_tokens=50)}
    run = await orch.run(
        orch.Graph.from_cell("g", "sort -> {maths, talk} by sort.kind else talk"), question="17 and 25", namespace=space
    )

    assert 42 in (run.result(), *(run.result().values() if isinstance(run.result(), dict) else ()))
    assert (calls(run), run.spent_usd) == ([], 0)
    assert next(c for c in choices(spans(run.events), "sort")).chosen == "maths"


def test_what_is_chosen_by_its_description_has_one():
    """A candidate that says nothing of itself cannot be chosen by fit or by a judge: it does not compile."""
    space = {"look": lambda code: code, "mute": lambda: 1, "debug": debug}
    for how in ("fit", "judge(small)"):
        with pytest.raises(GraphError) as caught:
            orch.Graph.from_cell("g", f"look -> {{mute, debug}} by {how} else debug2\ndebug2: human").compile(space)
        assert "`mute` has no description" in str(caught.value.problems)


def test_the_new_ways_to_choose_are_printed_as_they_are_written():
    """A cell goes to a graph and back, by judge and by fit."""
    for cell in (JUDGED, FIT):
        graph = orch.Graph.from_cell("g", cell)
        assert orch.Graph.from_cell("g", graph.to_cell().partition("\n")[2]).to_cell() == graph.to_cell()


@pytest.mark.parametrize("shape", ["work each plan.items as item", "sub", "sub each plan.items as item"])
@pytest.mark.parametrize("is_asked", [True, False])
async def test_what_has_ended_is_not_begun_anew_when_the_choice_behind_it_fails(rt, models, shape, is_asked):
    """A map, a nested graph, or both: the judge does not fit in the budget; with more money it alone is asked, nothing is done twice."""
    models(big=['{"choice": "debug", "reason": "r"}'])
    sent = []

    @orch.node(effects="message")
    def work(item):
        sent.append(item)
        return item

    head = shape.split()[0]
    space = {
        "plan": lambda x: {"items": [1, 2]}, "work": work, "other": lambda: "other",
        "sub": orch.Graph.from_cell("sub", "work"), "debug": lambda: "repaired", "tests": lambda: "tested",
    }  # fmt: skip
    for name in ("debug", "tests"):
        space[name].__doc__ = f"Does {name}."
    text = f"plan -> {shape}\n{head} -> {{debug, tests}} by judge(big) else other"
    if " each " not in shape:
        text += "\nsub: graph sub with item = plan.items"
    graph = orch.Graph.from_cell("g", text)
    run = await orch.run(graph, x=1, namespace=space, attended=is_asked, budget="0.0001 ask")
    done = list(sent)
    assert done in ([1, 2], [2, 1], [[1, 2]])
    if is_asked:
        run.answer("raise", "1")
        await run
    else:
        assert run.status == "failed"
        run = await orch.resume(run.run, namespace=space, budget="1")
    assert (run.result(), sent) == ({"debug": "repaired"}, done)
