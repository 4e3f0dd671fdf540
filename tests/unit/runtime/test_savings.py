"""Dollars saved, kind by kind, and the same tokens at other prices: on real runs against a scripted provider."""

from __future__ import annotations

from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.catalog.prices import Price, Rates, price_of
from orch_nb.errors import UnknownModel, UnknownPrice
from orch_nb.notebook import overview
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Completed, Reply, Usage
from orch_nb.trace.bill import bill, bill_of
from orch_nb.trace.savings import prices_of
from orch_nb.trace.spans import spans

USD = Decimal


@pytest.fixture
def two(rt):
    """Models `small` ($1 in, $2 out) and `big` ($10 in, $20 out) whose replies use 100 and 10 tokens; gives the provider."""
    provider = orch.ScriptedProvider(lambda _: Reply('"ok"', usage=Usage(100, 10)), name="vendor")
    rt.add_provider(provider)
    rt.models.add("small", "s-1", "vendor", price={"input": 1, "output": 2, "cached": "0.5"})
    rt.models.add("big", "b-1", "vendor", price={"input": 10, "output": 20})
    return provider


SMALL, BIG = USD("0.00012"), USD("0.0012")
"""What one reply costs on each."""
LONG = "x " * 60


def hybrid():
    """A graph in which one agent is `small` and one is `big`."""
    names = {
        "a": orch.Agent("a", "{{ x }}", model="small", max_tokens=50),
        "b": orch.Agent("b", "{{ a }} {{ x }}", model="big", max_tokens=50),
    }
    return orch.Graph("g").chain("a", "b"), names


def kinds(run):
    """Kind -> (dollars, times) of what a run saved."""
    return {s.kind: (s.usd, s.times) for s in run.bill().savings}


def test_a_hybrid_run_is_compared_with_all_premium(two):
    """The run's own tokens at the dearest model's price, minus what was billed: exact, and marked as at the same tokens."""
    graph, names = hybrid()
    run = orch.run_sync(graph, namespace=names, x=LONG)
    made = run.bill()
    assert made.spent_usd == SMALL + BIG
    assert kinds(run) == {"routing": (2 * BIG - (SMALL + BIG), 2)}
    assert made.savings[0].how == "all calls on `big`, at the same tokens"


def test_one_model_alone_saves_nothing_by_routing(two):
    """With only one model there is nothing to compare with, and no line."""
    agent = orch.Agent("a", "{{ x }}", model="big", max_tokens=50)
    assert orch.run_sync(agent, x=LONG).bill().savings == []


def test_cache_and_routing_are_two_kinds(two):
    """A hit counts the dollars of its answer; it makes no call, so the comparison with all-premium leaves it out."""
    agent = orch.Agent("a", "{{ x }}", model="small", max_tokens=50, cache="1d", fallback=["big"])
    first, second = orch.run_sync(agent, x=LONG), orch.run_sync(agent, x=LONG)
    assert kinds(first) == {"routing": (BIG - SMALL, 1)}
    assert kinds(second) == {"response cache": (SMALL, 1)}
    assert second.bill().saved_usd == SMALL


def test_a_ladder_that_stops_early_says_what_it_did_not_ask(two):
    """The next model was not called: its expected cost, known before the first call, is what stopping early saved."""
    agent = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"], "by": "schema"}, out="str", max_tokens=50)
    run = orch.run_sync(agent, x=LONG)
    assert run.status == "done"
    assert [r.target for r in run.events if isinstance(r, ev.Sent) and r.kind == "model"] == ["small"]
    decision = next(s.value for s in spans(run.events) if s.kind == "route")
    expected = next(USD(c["expected_usd"]) for c in decision["candidates"] if c["offer"] == "big")
    assert kinds(run)["early exit"] == (expected, 1)


def test_a_ladder_that_goes_up_spares_nothing(rt, two):
    """If the last model was called too, there was no early exit."""
    rt.add_provider(
        orch.ScriptedProvider(
            lambda request: Reply("{}" if request.model == "b-1" else "nonsense", usage=Usage(100, 10)), name="vendor"
        )
    )
    agent = orch.Agent(
        "a", "{{ x }}", route={"cascade": ["small", "big"], "by": "schema"}, out="{n?: int}", max_tokens=50
    )
    run = orch.run_sync(agent, x=LONG)
    assert {r.target for r in run.events if isinstance(r, ev.Sent) and r.kind == "model"} == {"small", "big"}
    assert "early exit" not in kinds(run)


def test_a_run_is_priced_against_another_model(two):
    """`against` re-prices token for token at today's price; the bill keeps what was billed."""
    graph, names = hybrid()
    run = orch.run_sync(graph, namespace=names, x=LONG)
    other = run.bill().against("big")
    assert (other.spent_usd, other.usd, other.calls, other.unknown) == (SMALL + BIG, 2 * BIG, 2, 0)
    assert other.saved_usd == BIG - SMALL
    assert other.saved_share == pytest.approx(0.45)
    assert run.bill().against("small").saved_usd == SMALL - BIG, "negative: it cost more than that"


def test_unknown_names_and_prices_are_refused(rt, two):
    """Nothing is compared with a model of no name or no price."""
    run = orch.run_sync(orch.Agent("a", "{{ x }}", model="small", max_tokens=50), x=LONG)
    with pytest.raises(UnknownModel):
        run.bill().against("bog")
    rt.models.add("nobody", "model-without-price", "vendor")
    with pytest.raises(UnknownPrice):
        run.bill().against("nobody")


def test_a_run_keeps_the_prices_it_was_billed_at(rt, two):
    """A new price changes no bill of the past, nor what it is compared with; only `against` takes today's."""
    graph, names = hybrid()
    run = orch.run_sync(graph, namespace=names, x=LONG)
    before = (run.bill().spent_usd, kinds(run))
    labels = [e.price for e in run.events if isinstance(e, ev.Settled)]
    rt.models.prices.set("big", input=100, output=200)
    again = rt.open(run.run)
    assert (again.bill().spent_usd, kinds(again)) == before
    assert [e.price for e in again.events if isinstance(e, ev.Settled)] == labels
    assert again.bill().against("big").usd == 20 * BIG
    assert {n: p.tiers[0].input for n, p in prices_of(spans(again.events)).items()} == {"small": 1, "big": 10}


def test_prices_are_recorded_once_for_each_model(two):
    """The figures are recorded at a model's first call only, so that a long run is not longer for them."""
    graph = orch.Graph.from_cell("g", "%%graph g\nstart -> worker each xs as x\n")
    names = {"start": lambda xs: None, "worker": orch.Agent("worker", "{{ x }}", model="small", max_tokens=50)}
    run = orch.run_sync(graph, namespace=names, xs=[LONG] * 5)
    told = [e for e in run.events if isinstance(e, ev.Sent) and "prices" in (e.route or {})]
    assert len(told) == 1


@pytest.mark.parametrize(
    "price",
    [
        Price((Rates(USD("0.15"), USD("0.6"), USD("0.075")),), USD(0), "somewhere", "2026-01-01"),
        Price(
            (Rates(USD(1), USD(2), None, USD("1.25"), USD(3)), Rates(USD(2), USD(4), above_tokens=200_000)), USD("0.01")
        ),
    ],
)
def test_recorded_figures_give_the_price_back(price):
    """Tiers, cache and reasoning rates, the price per call and where it is from survive the record."""
    import json

    assert price_of(json.loads(json.dumps(price.figures()))) == price


def test_savings_are_in_text_html_and_data(rt, two):
    """The bill's text, its HTML and its data have a line for each kind, with dollars and what they are against."""
    graph, names = hybrid()
    run = orch.run_sync(graph, namespace=names, x=LONG)
    shown = overview.cost(rt, run)
    made = run._repr_mimebundle_()
    for text in (shown.text, shown.html, made["text/plain"], made["text/html"]):
        assert "routing" in text
        assert "at the same tokens" in text
        assert "$0.0011" in text
    data = made["application/vnd.orch.trace+json"]["bill"]["savings"]
    assert data[0]["kind"] == "routing"
    assert USD(data[0]["usd"]) == BIG - SMALL


def test_calls_whose_tokens_or_dollars_are_not_known_are_counted_apart(rt, two):
    """Calls that cannot be compared are counted apart instead of being taken as free, or as a saving."""
    rt.models.add("nobody", "model-without-price", "vendor")
    run = orch.run_sync(orch.Agent("a", "{{ x }}", model="nobody", max_tokens=50), x=LONG)
    other = run.bill().against("big")
    assert (other.calls, other.unknown) == (0, 1)
    assert bill(run.events).total.unpriced == 1
    rt.add_provider(orch.ScriptedProvider([("an answer", Completed())], name="vendor"))
    run = orch.run_sync(orch.Agent("a", "{{ x }}", model="small", max_tokens=50), x=LONG)
    other = run.bill().against("big")
    assert (other.calls, other.unknown, other.saved_usd) == (0, 1, 0)
    assert bill(run.events).total.estimated


def test_a_ladder_that_climbed_did_not_save_its_lower_rung(rt, two):
    """The cheaper model's answer is the price of the cascade: a fixed choice of `big` would have cost less, so routing saved nothing."""
    rt.add_provider(
        orch.ScriptedProvider(
            lambda request: Reply("{}" if request.model == "b-1" else "nonsense", usage=Usage(100, 10)), name="vendor"
        )
    )
    agent = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"]}, out="{n?: int}", max_tokens=50)
    run = orch.run_sync(agent, x=LONG)
    assert run.bill().spent_usd > BIG
    assert "routing" not in kinds(run)


def test_samples_of_a_ladder_are_no_saving(two):
    """Three samples of the small model are compared with one answer of the big one, not with three; and the two comparisons of
    the same calls, early exit and routing, are not added up."""
    agent = orch.Agent(
        "a", "{{ x }}", route={"cascade": ["small", "big"], "by": "agreement(3)"}, out="str", max_tokens=50
    )
    run = orch.run_sync(agent, x=LONG)
    made = run.bill()
    assert (made.total.calls, made.spent_usd) == (3, 3 * SMALL)
    assert kinds(run)["routing"] == (BIG - 3 * SMALL, 1)
    assert made.saved_usd == max(usd for usd, _ in kinds(run).values())


def test_a_verdict_of_a_judge_is_no_saving(rt, two):
    """The cost of a judge's verdict is added: a fixed choice asks no judge."""
    rt.add_provider(
        orch.ScriptedProvider(
            lambda r: Reply(
                '{"choice": "small", "reason": "short"}' if r.model == "b-1" else "ok", usage=Usage(100, 10)
            ),
            name="vendor",
        )
    )
    agent = orch.Agent("a", "{{ x }}", route={"judge": "big", "models": ["small", "big"]}, max_tokens=50)
    run = orch.run_sync(agent, x=LONG)
    assert [e.target for e in run.events if isinstance(e, ev.Sent) and e.kind == "model"] == ["big", "small"]
    assert "routing" not in kinds(run)


async def test_the_rows_of_a_batch_are_counted_one_by_one(rt, two):
    """Rows have the same steps: each of them spared the big model, and each is compared with one answer of it."""
    agent = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"]}, out="str", max_tokens=50)
    one = {s.kind: s.usd for s in (await orch.run(agent, x=LONG)).bill().savings}
    batch = await orch.batch(agent, [{"x": LONG}] * 3)
    made = bill_of([s for row in batch.rows for s in spans(rt.open(row.run).events)])
    assert {s.kind: s.times for s in made.savings} == {"early exit": 3, "routing": 3}
    assert {s.kind: s.usd for s in made.savings}["routing"] == 3 * one["routing"]


def test_a_ladder_that_ran_out_of_budget_did_not_exit_early(rt, two):
    """A run that stopped short of an answer did not save the model that it could not pay."""
    rt.add_provider(orch.ScriptedProvider(lambda _: Reply("nonsense", usage=Usage(100, 10)), name="vendor"))
    agent = orch.Agent("a", "{{ x }}", route={"cascade": ["small", "big"]}, out="{n: int}", max_tokens=50)
    run = orch.run_sync(agent, x=LONG, budget="1, 1 calls")
    assert run.status == "failed"
    assert "early exit" not in kinds(run)
