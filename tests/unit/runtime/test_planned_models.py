"""A run calls the models that its plan names, whatever their names stand for by the time it is resumed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.agents.binding import compile_in
from orch_nb.catalog import models as books
from orch_nb.engine.plan import from_data
from orch_nb.errors import AuthFailed, OrchError
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime.batch import resume_batch, start_batch
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Reply, Usage

USED = Usage(50, 50)
"""$0.001 at $10 per million."""


class House:
    """A provider whose models answer once `is_open`."""

    def __init__(self, rt, name):
        self.is_open, self.asked = True, []
        rt.add_provider(ScriptedProvider(self._answer, name=name))

    def _answer(self, request):
        self.asked.append(request.model)
        if not self.is_open:
            return AuthFailed("closed")
        return Reply(self._says(request), usage=USED)

    def _says(self, request):
        asked = str(request.schema)
        if "choice" in asked:
            return json.dumps({"choice": "right" if "right" in asked else "big", "reason": "so"})
        if request.model.startswith("small") and "again" in request.messages[-1].content:
            return f"answer {len(self.asked)}"
        return '{"n": 1}' if request.schema and not request.model.startswith("small") else f"by {request.model}"


@pytest.fixture
def old(rt):
    """The provider of the models that were named first, at $10 a million."""
    return House(rt, "oldco")


@pytest.fixture
def new(rt):
    """The provider of the models that the names stand for later, at $1,000 a million."""
    return House(rt, "newco")


def name_them(rt, *names):
    """Let each name stand for the model of the same name at oldco."""
    for name in names:
        rt.models.add(name, f"{name}-old", "oldco", price={"input": 10, "output": 10})


def move_them(rt, *names):
    """Let each name stand for another model at newco."""
    for name in names:
        rt.models.add(name, f"{name}-new", "newco", price={"input": 1000, "output": 1000})


def agent(name="a", **keys):
    """An agent that does not try again."""
    return orch.Agent(
        name, "{{ x }}", **{"max_tokens": 50, "retry": 1, **({} if "route" in keys else {"model": "small"}), **keys}
    )


def models_sent(run):
    """The models that a run's events say were called."""
    return [e.route["model"] for e in run.events if isinstance(e, ev.Sent) and e.kind == "model"]


def failed(rt, old, target, **names):
    """A run that failed because oldco was closed."""
    old.is_open = False
    run = orch.run_sync(target, x="hi", namespace=names)
    assert run.status == "failed"
    old.is_open = True
    return run


def test_a_resume_calls_the_model_that_the_plan_names(rt, old, new):
    """Not what its name stands for now; at that model's own price, and the decision says so."""
    name_them(rt, "small")
    run = failed(rt, old, agent())
    move_them(rt, "small")
    again = rt.resume(run.run, budget="0.05").wait()
    assert again.result() == "by small-old"
    assert (old.asked, new.asked) == (["small-old"] * 2, [])
    assert again.spent_usd == Decimal("0.001")
    sent = [e for e in again.events if isinstance(e, ev.Sent)][-1]
    assert (sent.target, sent.route["provider"], sent.route["model"]) == ("small", "oldco", "small-old")
    assert "as the plan has it: oldco/small-old" in sent.route["because"]
    assert orch.run_sync(agent(), x="hi").result() == "by small-new", "a new run calls what the name stands for now"


def test_a_plan_that_names_an_alias_means_the_model_behind_it(rt, old, new):
    """`%orch models set small=...` moves the alias, not the runs that were planned with it; the price is that of the other
    name that still stands for the model."""
    name_them(rt, "mine")
    rt.models.set(small="mine")
    run = failed(rt, old, agent())
    rt.models.add("theirs", "other", "newco", price={"input": 1000, "output": 1000})
    rt.models.set(small="theirs")
    again = rt.resume(run.run, budget="0.05").wait()
    assert (again.result(), again.spent_usd) == ("by mine-old", Decimal("0.001"))
    assert new.asked == []


WAYS = {
    "a cascade": ({"route": {"cascade": ["small", "big"]}, "out": "{n: int}"}, {"small-old", "big-old"}),
    "rules": ({"route": {"rules": [{"when": "x == 'again'", "model": "big"}], "else": "small"}}, {"big-old"}),
    "fallbacks": ({"fallback": ["big"], "out": "{n: int}"}, {"small-old", "big-old"}),
    "a judge": ({"route": {"judge": "wise", "models": ["small", "big"]}}, {"wise-old", "big-old"}),
    "a second opinion": ({"second_opinion": "wise"}, {"small-old", "wise-old"}),
}
"""Keys of an agent, and the models that answer it: `small` gives no number, and never the same text again."""


@pytest.mark.parametrize("way", WAYS)
def test_all_models_that_an_agent_may_call_are_those_of_its_plan(rt, old, new, way):
    """Candidates of a route, fallbacks, judges and second opinions alike."""
    name_them(rt, "small", "big", "wise")
    keys, called = WAYS[way]
    plan = compile_in(agent(**keys), {})
    move_them(rt, "small", "big", "wise")
    run = rt.start(None, {"x": "again"}, plan=plan).wait()
    assert run.status == "done"
    assert (set(old.asked), new.asked) == (called, [])
    assert set(models_sent(run)) == called


def test_a_judge_of_the_next_step_is_the_one_of_the_plan(rt, old, new):
    """`by judge(MODEL)` is recorded as agents' models are."""
    name_them(rt, "small", "wise")
    run = failed(rt, old, JUDGED, a=agent(), left=left, right=right)
    move_them(rt, "small", "wise")
    again = rt.resume(run.run, namespace={"left": left, "right": right}).wait()
    assert again.result() == {"right": "right"}
    assert (old.asked[-2:], new.asked) == (["small-old", "wise-old"], [])


JUDGED = orch.Graph.from_cell("g", "a -> {left, right} by judge(wise) else left")


def left():
    """Go left."""
    return "left"


def right():
    """Go right."""
    return "right"


def test_rows_of_a_batch_that_is_resumed_call_the_models_of_its_plan(rt, old, new):
    """Rows that had not begun, too."""
    name_them(rt, "small")
    old.is_open = False
    batch = start_batch(rt, agent(), [{"x": "1"}, {"x": "2"}]).wait()
    old.is_open = True
    move_them(rt, "small")
    again = resume_batch(rt, batch.run).wait()
    assert [row.output for row in again.rows] == ["by small-old"] * 2
    assert new.asked == []


def test_a_provider_that_is_not_configured_any_more_is_named_with_its_model(rt, old, new):
    """A typed error says which model the plan means, and how its provider is given; no other model is called instead."""
    store = rt.store
    name_them(rt, "small")
    run = failed(rt, old, agent())
    book = books.ModelBook(environ={})
    later = Runtime(store=store, models=book)
    try:
        newco = House(later, "newco")
        move_them(later, "small")
        with pytest.raises(OrchError) as error:
            later.resume(run.run).wait().result()
        assert "`small` is oldco/small-old in the plan of this run, and no provider is called `oldco`" in str(
            error.value
        )
        assert newco.asked == []
        end = later.open(run.run).events[-1]
        assert (end.error.type, "add_provider" in end.error.hint) == ("UnknownModel", True)
        House(later, "oldco")
        later.models.prices.set("oldco/small-old", input=10, output=10)
        assert later.resume(run.run, budget="0.05").wait().result() == "by small-old"
    finally:
        later.run_loop.close()


def test_a_price_that_nobody_knows_any_more_is_asked_for_by_the_models_own_name(rt, old):
    """The hint names the model of the plan: a price of the name would be another model's."""
    name_them(rt, "small")
    run = failed(rt, old, agent())
    later = Runtime(store=rt.store, models=books.ModelBook(environ={}))
    try:
        House(later, "oldco")
        end = later.resume(run.run, budget="0.05").wait().events[-1]
        assert end.error.type == "UnknownPrice"
        assert "`%orch models price oldco/small-old input=" in end.error.hint
    finally:
        later.run_loop.close()


def test_a_plan_that_did_not_record_its_models_resolves_them_by_name(rt, old, new):
    """Stored plans of before are run as before."""
    name_them(rt, "small", "wise")
    run = failed(rt, old, JUDGED, a=agent(), left=left, right=right)
    data = run.events[0].plan
    for node in data["nodes"]:
        node.get("chooser", {}).pop("offer", None)
        for model in node.get("spec", {}).get("models", ()):
            model["provider"] = ""
    plan = from_data(data)
    move_them(rt, "small", "wise")
    assert {rt.offer(plan.node("a"), name).model for name in ("small", "wise")} == {"small-new", "wise-new"}
    again = rt.resume(run.run, namespace={"left": left, "right": right}).wait()
    assert again.result() == {"right": "right"}
    assert new.asked == ["small-new", "wise-new"]


def test_degrading_may_use_what_is_named_today(rt, old, new):
    """A cheaper model that the plan does not name is one of today's."""
    name_them(rt, "small")
    run = failed(rt, old, agent())
    rt.models.add("cheap", "cheap-new", "newco", price={"input": 1, "output": 1})
    again = rt.resume(run.run, budget="0.0005 degrade").wait()
    assert again.result() == "by cheap-new"


def test_a_plan_keeps_where_the_price_of_a_model_is_listed(rt):
    """A deployment's own id says nothing of its price; the listed one is recorded, an alias of this notebook is not."""
    rt.add_provider(ScriptedProvider([], name="azure"))
    rt.models.add("small", "my-deployment", "azure", price_ref="openai/gpt-4o-mini")
    kept = agent().definition()["models"][0]
    assert kept["price_ref"] == "openai/gpt-4o-mini"
    rt.models.add("small", "other", "azure", price={"input": 1, "output": 1})
    planned = rt.models.planned("small", kept)
    assert rt.models.prices.price(planned).tiers == rt.models.prices.find("openai", "gpt-4o-mini").tiers
    rt.models.set(alias="small")
    assert "price_ref" not in rt.models.resolve("alias").definition()
