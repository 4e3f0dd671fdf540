"""The key `route`: what may be written, what is kept, what is said when it is wrong."""

from __future__ import annotations

import pytest

from orch_nb.agents.agent import Agent
from orch_nb.catalog.models import ModelBook
from orch_nb.errors import BadExpression, BadOption
from orch_nb.lang.agent_cell import parse_agent_cell, to_cell
from orch_nb.schema.route_spec import candidates, check_route, complete, measure

ROUTES = [
    "auto",
    {"rules": [{"when": "len(ticket) > 2000", "model": "big"}], "else": "small"},
    {"keywords": {"big": ["refund", "lawsuit"], "small": ["hello"]}, "else": "small"},
    {"similar": {"big": ["I will sue you"], "small": ["Thank you"]}, "above": 0.3, "else": "small"},
    {"judge": "big", "models": ["small", "big"], "criteria": "long or legal: big"},
    {"cascade": ["small", "big"], "confidence": 0.8, "by": "agreement(3 of category)"},
    {"learned": ["small", "big"], "tradeoff": 0.5, "minimum": 20, "baseline": "big"},
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r if isinstance(r, str) else next(iter(r)))
def test_every_way_to_choose_goes_from_cell_to_cell(route):
    """A route that is written, printed and read again is the same route."""
    agent = Agent("a", "Answer {{ ticket }}", route=route)
    again = Agent.from_cell(*_halves(agent.to_cell()))
    assert again.spec.route == agent.spec.route == check_route(route)
    assert again == agent


def _halves(cell):
    line, _, body = cell.partition("\n")
    return line.removeprefix("%%agent "), body


def test_the_magic_line_takes_a_route_too():
    """Flags and front matter take the same keys; a short route fits on the line."""
    assert parse_agent_cell("a --route auto", "x").route == "auto"
    spec = parse_agent_cell('a --route "{cascade: [small, big]}"', "x")
    assert spec.route == {"cascade": ["small", "big"]}
    assert "route: {cascade: [small, big]}" in to_cell(spec)


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("autom", "auto, or one of"),
        ({"rule": []}, "did you mean `rules`"),
        ({"rules": [{"when": "x > 1", "model": "big"}]}, "needs `else: MODEL`"),
        ({"rules": [{"if": "x > 1", "model": "big"}], "else": "a"}, "rule 1"),
        ({"cascade": ["a"], "judge": "b"}, "must have one way"),
        ({"cascade": ["a", "b"], "confidense": 0.7}, "did you mean `confidence`"),
        ({"cascade": ["a", "b"], "confidence": 0.7}, "does not measure a confidence"),
        ({"cascade": ["a", "b"], "confidence": 0.7, "by": "schema"}, "add `by: agreement(3)`"),
        ({"cascade": ["a", "b"], "confidence": 7}, "from 0 to 1"),
        ({"cascade": ["a", "b"], "confidence": float("nan")}, "from 0 to 1"),
        ({"cascade": ["a", "b"], "by": "agreement(1)"}, "2 to 15"),
        ({"cascade": ["a", "b"], "by": "vibes"}, "a `by` of schema"),
        ({"cascade": ["a", "b"], "by": "stated(confidence)"}, "states"),
        ({"cascade": []}, "1 to 32 models"),
        ({"judge": "b"}, "needs `models"),
        ({"judge": "b", "models": ["a", "b"], "else": "c"}, "an else of a, b"),
        ({"similar": {"a": ["x"]}, "above": 0.4}, "needs `else: MODEL`"),
        ({"similar": {"a": [""]}}, "texts of 1 to"),
        ({"learned": ["a", "b"], "baseline": "c"}, "a baseline of a, b"),
        ({"learned": ["a", "b"], "minimum": 0}, "whole number"),
        ({"keywords": {"a b": ["x"]}, "else": "a"}, "must name a model"),
        ("{cascade: [a", "cannot be read"),
    ],
)
def test_what_is_no_route_is_said_with_the_way_out(route, says):
    """A wrong route is a typed error that names the part and the nearest right one."""
    with pytest.raises(BadOption, match=r"`route`") as caught:
        Agent("a", "x", route=route)
    assert says in f"{caught.value} {caught.value.hint}"
    assert "route: auto" in caught.value.hint


def test_a_route_and_a_model_exclude_each_other():
    """`model` names one, `route` chooses one: both at once are refused at the line of the route."""
    with pytest.raises(BadOption, match="both given") as caught:
        parse_agent_cell("a --model big", "---\nout: str\nroute: auto\n---\nx")
    assert caught.value.line == 4


def test_a_confidence_that_nothing_measures_is_refused_at_its_line():
    """`confidence: 0.7` without `by` would be read and do nothing: the cell says so before a run relies on it."""
    with pytest.raises(BadOption, match=r"has the confidence 0\.7, but does not measure a confidence") as caught:
        parse_agent_cell("a", "---\nout: str\nroute: {cascade: [small, big], confidence: 0.7}\n---\nx")
    assert caught.value.line == 4


def test_a_condition_that_cannot_be_read_points_at_the_route():
    """The predicate language is that of `when`: no calls but len, no code."""
    body = "---\nroute: {rules: [{when: 'open(x) == 1', model: big}], else: small}\n---\n{{ x }}"
    with pytest.raises(BadExpression, match="no calls") as caught:
        Agent.from_cell("a", body)
    assert caught.value.line == 3


def test_what_a_rule_looks_at_is_read_by_the_agent():
    """A rule may decide on what the prompt does not say: it becomes a declared read, once."""
    rules = {"rules": [{"when": "kind in ['legal'] and len(ticket) > 3", "model": "big"}], "else": "small"}
    agent = Agent("a", "Answer {{ ticket }}", route=rules)
    assert agent.inputs == ("ticket", "kind")


def test_a_plan_keeps_the_whole_route_and_its_candidates():
    """The definition names every candidate and every default, so that a resume looks nothing up."""
    book = ModelBook(environ={})
    book.set(cheap="openai/gpt-4o-mini", dear="openai/gpt-4o")
    data = Agent("a", "x", route="auto").definition(book)
    assert data["route"]["models"] == ["cheap", "dear"] == [m["name"] for m in data["models"]]
    judge = Agent("a", "x", route={"judge": "dear", "models": ["cheap"]}, fallback=["dear"]).definition(book)
    assert judge["route"]["models"] == ["cheap"]
    assert judge["fallback"] == ["dear"]
    assert [m["name"] for m in judge["others"]] == ["dear"]
    assert "route" not in Agent("a", "x", model="cheap").definition(book)


def test_defaults_are_filled_in_for_the_plan_only():
    """Defaults are not printed, but they are in the plan."""
    assert check_route({"cascade": ["a", "b"]}) == {"cascade": ["a", "b"]}
    assert complete({"cascade": ["a", "b"]}) == {
        "how": "cascade",
        "cascade": ["a", "b"],
        "confidence": 0.7,
        "by": "schema",
    }
    assert candidates({"keywords": {"b": ["x"]}, "else": "a"}, []) == ["b", "a"]


def test_measures_are_read_and_written_alike():
    """Each way to be sure says itself as it is written."""
    for text in (
        "schema",
        "probability",
        "agreement(5)",
        "agreement(3 of category)",
        "check(passes)",
        "stated(confidence)",
    ):
        assert measure(text).text == text
