"""A forecast is exact where it can be, honest where it cannot, and says where a saving comes from."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.analysis.forecast.forecast import dollars, forecast
from orch_nb.catalog.models import ModelBook
from orch_nb.engine.plan import Edge, Plan, PlanNode
from orch_nb.errors import BadOption, UnknownModel, UnknownPrice
from orch_nb.schema import events as ev
from tests.unit.trace.histories import Recorder, agent, by_input

HYBRID = [
    {"step": "classify", "usd": "0.001"},
    {"step": "retrieve", "usd": 0},
    {"step": "draft", "usd": 0.015},
    {"step": "check", "usd": 0.03},
]
FIVE = [{"step": "any", "usd": 0.03, "calls": 5}]


def book() -> ModelBook:
    """Three priced models and one whose price nobody knows."""
    made = ModelBook(environ={})
    made.add("big", "big-1", "vendor", price={"input": 10, "output": 30})
    made.add("small", "small-1", "vendor", price={"input": 1, "output": 2})
    made.add("flat", "flat-1", "vendor", price={"per_call": "0.002"})
    made.add("dark", "dark-1", "vendor")
    return made


def plan(question: str = "Send?") -> Plan:
    """draft -> check -> a person."""
    nodes = (
        agent("draft", "big", by_input("ticket")),
        agent("check", "small", by_input("ticket")),
        PlanNode("approve", "human", spec={"question": question}),
    )
    return Plan("desk", nodes, (Edge("draft", "check"), Edge("check", "approve")), ("ticket",), (), ("approve",))


def recorded(
    tokens: int = 1000,
    *,
    retry: bool = False,
    price: str | None = None,
    status: str = "done",
    made: Plan | None = None,
    **more: Any,
) -> list[Any]:
    """One stored run: a draft of `tokens` in and half out, a check of 100 in and 100 out, and a person who approves."""
    history = Recorder(made or plan(), {"ticket": "x"}, **more)
    if retry:
        error = ev.ErrorInfo("ORCH307", "MalformedReply", "cut", "transient")
        history.send("draft", "big", "x").after(1)
        history.settle(
            "draft", "", (tokens, 0), str(Decimal(tokens * 10) / 1_000_000), ok=False, error=error, note="retry"
        )
    usd = str(Decimal(tokens * 10 + tokens // 2 * 30) / 1_000_000) if price is None else price
    started = history.at
    history.send("draft", "big", "x", call=2).after(2)
    history.settle("draft", "a", (tokens, tokens // 2), None if usd == "?" else usd, call=2).finish(
        "draft", "a", started=started
    )
    history.call("check", "small", "x", "b", (100, 100), "0.0003", 1)
    asked = history.at
    history.add(ev.Waiting("", "approve", 1, None, "Send?", "b", "h", asked)).after(60)
    history.add(ev.Answered("", "approve", 1, None, "approve", "b", "ann", history.at, "h"))
    return history.end(status, "b").events


# ------------------------------------------------------------------ step tables
def test_a_step_table_is_exact_to_the_cent() -> None:
    """Typed prices give a run, a day, a month and a year without any rounding, in Decimal."""
    made = forecast(HYBRID, per_day=10_000, against=FIVE, name="hybrid")

    assert made.run_usd == Decimal("0.046")
    assert [made.day.usd, made.month.usd, made.year.usd] == [Decimal(460), Decimal(13_800), Decimal(167_900)]
    assert made.year.saving_usd == Decimal(379_600)
    assert {type(row["usd"]) for row in made.table()} == {Decimal}
    assert made.day.low_usd is None


def test_a_leap_year_is_a_parameter() -> None:
    """The length of a month and of a year can be told."""
    made = forecast(HYBRID, per_day=10_000, against=FIVE, days_in_year=366, days_in_month=31)
    assert (made.year.saving_usd, made.month.usd) == (Decimal(380_640), Decimal(14_260))


def test_a_saving_is_split_and_its_parts_sum_to_it() -> None:
    """Fewer calls, routing and cache are told apart, each as a share of what was left, and add up exactly."""
    made = forecast(HYBRID, per_day=10_000, against=FIVE, cache_hits=0.2)
    rows = {row["part"]: row for row in made.saving_rows()}

    assert rows["fewer calls"]["day_usd"] == Decimal(600)
    assert rows["routing"]["day_usd"] == Decimal(440)
    assert rows["cache"]["day_usd"] == Decimal(92)
    assert rows["together"]["day_usd"] == Decimal(1132)
    assert round(rows["routing"]["share"], 3) == 0.489


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 4)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 4)), min_size=1, max_size=6),
    st.integers(0, 10),
    st.integers(0, 10),
)
def test_parts_always_sum_to_the_saving(own: list[Any], base: list[Any], hits: int, again: int) -> None:
    """Whatever the two tables and the rates, the parts of a saving sum to it without a remainder."""
    tables = [
        [{"step": f"{kind}{i % 3}", "usd": Fraction(usd, 1000), "calls": n} for i, (usd, n) in enumerate(rows)]
        for kind, rows in (("s", own), ("s", base))
    ]
    made = forecast(
        tables[0], per_day=7, against=tables[1], cache_hits=hits / 10, retries=again / 10, review_usd=1, reviews=0.1
    )
    assert made.saving is not None
    assert sum(part for part, _ in made.saving.parts.values()) == made.saving.saved


def test_tokens_are_priced_by_the_book() -> None:
    """A step with a model and its tokens costs what the price book says; a data frame is a step table too."""
    pandas = pytest.importorskip("pandas")
    rows = [
        {"step": "draft", "model": "big", "input_tokens": 1000, "output_tokens": 500},
        {"step": "look", "usd": 0.0},
        {"step": "check", "model": "flat", "calls": 0.5},
    ]
    made = forecast(rows, per_day=100, models=book())
    assert made.run_usd == Decimal("0.026")
    assert forecast(pandas.DataFrame(rows), per_day=100, models=book()).run_usd == made.run_usd


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"step": "a", "price": 1}], {}, "row 1 of the step table has an unknown column `price`"),
        ([{"step": "a", "usd": 1}, {"usd": 1}], {}, "row 2 of the step table has no `step`"),
        ([{"step": "a"}], {}, "row 1 (`a`) has neither `usd` nor `model`"),
        ([{"step": "a", "usd": -1}], {}, "`usd` must be from 0 to 1,000,000,000,000, got -1"),
        ([{"step": "a", "usd": "nan"}], {}, "`usd` must be a number, got 'nan'"),
        (HYBRID, {"cache_hits": 30}, "`cache_hits` must be from 0 to 1, got 30"),
        (HYBRID, {"per_day": "many"}, "`per_day` must be a number of runs a day, got 'many'"),
        (HYBRID, {"per_day": 0}, "`per_day` must be a number of runs a day above 0, got 0"),
        (HYBRID, {"days_in_year": 400}, "`days_in_year` must be a whole number from 1 to 366, got 400"),
        (HYBRID, {"confidence": 1}, "`confidence` must be from 0.5 to below 1, got 1"),
        (HYBRID, {"swap": {"drft": "small"}}, "`drft` is neither a step nor a model"),
        (HYBRID, {"swap": {"draft": "small"}}, "step `draft` has a price per call and no tokens"),
        (3.5j, {}, "a workload must be a step table or runs, got a complex"),
        ([], {}, "a step table must have a step or a run, got none"),
    ],
)
def test_what_is_wrong_is_named(rows: Any, options: dict[str, Any], message: str) -> None:
    """A wrong row, column, rate or swap is an error that names it."""
    with pytest.raises(BadOption) as caught:
        forecast(rows, **{"per_day": 10, "models": book(), **options})
    assert message in str(caught.value)


def test_an_unknown_price_is_never_taken_for_nothing() -> None:
    """A model without a price, typed or recorded, is an error with the way out; swapped for a priced one it is fine."""
    row = {"step": "a", "model": "dark", "input_tokens": 10, "output_tokens": 10}
    with pytest.raises(UnknownPrice, match="price of `dark` is unknown"):
        forecast([row], per_day=10, models=book())
    with pytest.raises(UnknownModel, match="no model is called `bgi`"):
        forecast([{**row, "model": "bgi"}], per_day=10, models=book())
    with pytest.raises(UnknownPrice, match="step `draft` was billed at an unknown price"):
        forecast([recorded(price="?")], per_day=10, models=book())
    assert forecast([recorded(price="?")], per_day=10, swap={"draft": "small"}, models=book()).run_usd == Decimal(
        "0.0023"
    )


# ------------------------------------------------------------------ stored runs
def test_stored_runs_give_a_mean_and_an_interval() -> None:
    """The mean of recorded bills is exact; the interval holds it and comes with its confidence and the number of runs."""
    runs = [recorded(600 + 100 * n) for n in range(25)]
    made = forecast(runs, per_day=1000, models=book())

    costs = [Decimal((600 + 100 * n) * 25) / 1_000_000 + Decimal("0.0003") for n in range(25)]
    assert made.run_usd == dollars(sum(map(Fraction, costs), Fraction(0)) / 25)
    assert made.day.low_usd is not None
    assert made.day.high_usd is not None
    assert made.day.low_usd < made.day.usd < made.day.high_usd
    assert "from 25 stored runs, seed 0" in repr(made)
    assert "95 % interval" in repr(made)
    assert made.chance_above(made.day.usd * 2) == 0.0


def test_a_swap_prices_the_recorded_tokens_anew() -> None:
    """Another model is projected from the tokens that were recorded; a step's own swap goes before its model's."""
    runs = [recorded(1000)]
    assert forecast(runs, per_day=1, models=book()).run_usd == Decimal("0.0253")
    assert forecast(runs, per_day=1, swap={"big": "small"}, models=book()).run_usd == Decimal("0.0023")
    assert forecast(runs, per_day=1, swap={"big": "small", "draft": "flat"}, models=book()).run_usd == Decimal("0.0023")
    longer = forecast(runs, per_day=1, swap={"draft": "small"}, token_ratio={"small": "1.5"}, models=book())
    assert longer.run_usd == Decimal("0.0033")


def test_retries_reviews_and_cached_answers_are_read_from_the_runs() -> None:
    """Rates are measured where they are not supposed, and each can be supposed."""
    runs = [recorded(1000, retry=True), recorded(1000)]
    made = forecast(runs, per_day=1, models=book())
    assert made.run_usd == Decimal("0.0303")
    assert "measured: cache hits 0.0 % of calls, 0.25 retries a call, 1 reviews a run" in repr(made)

    assert forecast(runs, per_day=1, retries=0, models=book()).run_usd == Decimal("0.0253")
    assert forecast(runs, per_day=1, retries=0, cache_hits=0.5, models=book()).run_usd == Decimal("0.01265")
    assert forecast(runs, per_day=1, retries=0, review_usd=2, models=book()).run_usd == Decimal("2.0253")
    assert forecast(runs, per_day=1, retries=0, reviews=0.1, review_usd=2, models=book()).run_usd == Decimal("0.2253")


def test_reused_answers_count_as_the_cache() -> None:
    """An answer that an earlier run paid for costs nothing here, and is shown as the saving of the cache."""
    history = Recorder(plan(), {"ticket": "x"})
    history.add(ev.Reused("", "draft", 1, None, "a", history.at, {"run": "3"}, saved_usd=Decimal("0.025")))
    history.call("check", "small", "x", "b", (100, 100), "0.0003", 1)
    made = forecast([history.end("done", "b").events], per_day=100, against="all on big", models=book())

    assert made.run_usd == Decimal("0.0003")
    rows = {row["part"]: row["run_usd"] for row in made.saving_rows()}
    assert rows == {
        "fewer calls": 0,
        "routing": Decimal("0.0037"),
        "cache": Decimal("0.025"),
        "together": Decimal("0.0287"),
    }


def test_what_is_not_a_whole_run_is_left_out_and_said() -> None:
    """Stopped, unfinished and replayed runs do not count; failed ones do; older definitions are told."""
    runs = [
        recorded(),
        recorded(status="failed"),
        recorded(status="cancelled"),
        recorded()[:-1],
        recorded(parent={"replay": "3"}),
    ]
    runs.append(recorded(made=plan("Really?")))
    made = forecast(runs, per_day=1, models=book())
    assert len(made.workload.runs) == 3
    text = repr(made)
    assert "1 of 3 runs failed" in text
    assert "3 runs are left out: stopped, unfinished or replayed" in text
    assert "of 3 runs are of an earlier definition of the graph" in text
    assert "an interval needs at least 5 runs, got 3" in text
    with pytest.raises(BadOption, match="no finished run"):
        forecast([recorded(status="cancelled")], per_day=1, models=book())


def test_against_all_on_one_model_is_routing_alone() -> None:
    """The same calls on one model: nothing is saved by fewer calls, everything by routing."""
    made = forecast([recorded(1000)], per_day=10, against="all on big", models=book())
    assert made.saving is not None
    assert made.saving.parts["fewer calls"][0] == 0
    assert dollars(made.saving.base) == Decimal("0.029")
    assert made.saving.saved == made.saving.parts["routing"][0]


def test_a_plan_that_costs_more_says_so() -> None:
    """A saving below zero is shown with its sign, and breaks even never."""
    made = forecast(FIVE, per_day=10, against=HYBRID)
    assert made.day.saving_usd == Decimal("-1.04")
    assert "-$1.04" in repr(made)
    assert made.break_even(fixed_usd_a_month=1).per_day is None


def test_the_one_agent_baseline_is_always_shown() -> None:
    """Every forecast has the cost of one agent for comparison: one call with the largest prompt and all answers."""
    made = forecast([recorded(1000)], per_day=10, models=book())
    assert made.one_agent_usd == Decimal("0.028")
    assert "baseline of one agent with one call: about $0.028 a run" in repr(made)


def test_break_even() -> None:
    """The volume that pays a fixed cost, and the days that pay a one-off one."""
    made = forecast(HYBRID, per_day=10_000, against=FIVE)
    found = made.break_even(fixed_usd_a_month=312, setup_usd=10_296)
    assert found.per_day == Decimal(100)
    assert found.days == Decimal(10)
    with pytest.raises(BadOption, match="needs a baseline"):
        forecast(HYBRID, per_day=10).break_even(setup_usd=1)


def test_each_step_before_and_after() -> None:
    """Steps of the same name are side by side with calls and dollars a run; a step of one side only is None in the other."""
    after = [{"step": "draft", "usd": 0.01, "calls": 1.5}, {"step": "look", "usd": 0}]
    made = forecast(after, per_day=10, against=[{"step": "draft", "usd": 0.03}, {"step": "polish", "usd": 0.02}])
    rows = {row["step"]: (row["calls"], row["before_usd"], row["usd"]) for row in made.steps()}
    assert rows == {
        "draft": (Decimal("1.5"), Decimal("0.03"), Decimal("0.015")),
        "look": (Decimal(1), None, Decimal(0)),
        "polish": (None, Decimal("0.02"), None),
    }
    assert "less by" in repr(made)
    assert "50.0 %" in repr(made)


def test_each_models_share_of_calls_and_dollars() -> None:
    """Seven of ten calls on the cheap model may be a tenth of the dollars; look-ups belong to no model."""
    mix = [
        {"step": "extract", "model": "cheap", "usd": 0.001, "calls": 7},
        {"step": "reason", "model": "dear", "usd": 0.021, "calls": 3},
        {"step": "look", "usd": 0},
    ]
    rows = {row["model"]: (row["calls_share"], row["usd_share"]) for row in forecast(mix, per_day=1).models()}
    assert rows == {"cheap": (0.7, 0.1), "dear": (0.3, 0.9)}


# ------------------------------------------------------------------ display
def test_it_is_shown_without_scripts_and_with_the_same_facts_as_text() -> None:
    """HTML is well-formed, script-free, escaped, kept from the typesetter of formulas, and every figure is in the text."""
    made = forecast([{"step": "<img src=x onerror=1>", "usd": 0.5}], per_day=10, against=FIVE, name="a & <b>")
    bundle = made._repr_mimebundle_()
    html, text = bundle["text/html"], bundle["text/plain"]

    root = ET.fromstring(html)
    assert {e.tag for e in root.iter()} <= {"div", "b", "span", "table", "thead", "tbody", "tr", "th", "td"}
    assert "mathjax_ignore" in root.attrib["class"]
    for cell in root.iter("td"):
        assert (cell.text or "").strip() in text


def test_nothing_hidden_is_shown() -> None:
    """Marks that turn the direction of text, and control characters, are shown as what they are."""
    made = forecast([{"step": "pay\u202e\x1b[31m", "usd": 0.5}], per_day=10)
    assert not {"\u202e", "\x1b"} & set("".join(made._repr_mimebundle_().values()))


def test_the_chart_is_drawn_without_global_state() -> None:
    """Cost a day from 10 to 10,000 runs, own and baseline, on logarithmic axes; pyplot is not asked."""
    import sys

    was_there = "matplotlib.pyplot" in sys.modules
    figure = forecast(
        [recorded(600 + 100 * n) for n in range(8)], per_day=500, against="all on big", models=book()
    ).plot()
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [line.get_label() for line in axes.lines] == ["desk", "all on big"]
    assert 500 in list(axes.lines[0].get_xdata())
    assert ("matplotlib.pyplot" in sys.modules) == was_there
