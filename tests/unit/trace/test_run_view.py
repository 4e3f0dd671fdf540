"""The view of a run: what every picture of it is made from."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orch_nb.schema import events as ev
from orch_nb.trace.run_view import run_nx, run_view
from tests.unit.trace import histories as h


def states(view) -> dict[str, str]:
    return {n.name: n.state for n in view.picture.nodes.values()}


def test_nodes_say_how_they_ended():
    """Every node has a word for its state, the rounds it ran, what it cost, and its share of the dollars."""
    view = run_view(h.support_run())
    assert states(view) == {
        "triage": "success", "billing": "success", "technical": "skipped", "sales": "skipped", "general": "skipped",
        "qa": "success", "approve": "passed", "person": "skipped", "send": "success",
    }  # fmt: skip
    billing = view.picture.nodes["billing"]
    assert (billing.rounds, billing.done, billing.cost_usd, billing.tokens) == (2, 2, Decimal("0.0089"), 1306)
    assert sum(n.share for n in view.picture.nodes.values()) == pytest.approx(1.0)


def test_arrows_carry_the_predicate_the_value_and_the_result():
    """A conditional arrow shows what it compared in each round and how that came out, and how often it was taken."""
    edges = {(e.source, e.target): e for e in run_view(h.support_run()).picture.edges}
    loop = edges["qa", "triage"]
    assert (loop.label, loop.at_most, loop.taken) == ("qa.score < 0.6", 2, 1)
    assert [(o.round, o.values, o.result) for o in loop.outcomes] == [
        (1, {"qa.score": 0.52}, True),
        (2, {"qa.score": 0.91}, False),
    ]
    assert edges["qa", "person"].state == "not taken"
    assert edges["billing", "qa"].taken == 2


def test_choices_say_what_was_chosen():
    """A node that chooses shows by what, and what it chose in each round."""
    choice = run_view(h.support_run()).picture.choices["triage"]
    assert (choice.text, choice.choice, len(choice.decisions)) == ("triage.category", "billing", 2)


def test_what_was_not_decided_is_not_said_to_be_refused():
    """In a run that failed early the arrows behind the failure are undecided, not "not taken"."""
    view = run_view(h.failed_run())
    edges = {(e.source, e.target): e.state for e in view.picture.edges}
    assert (view.status, view.failed_node, states(view)["billing"]) == ("failed", "billing", "exception")
    assert edges["billing", "qa"] == edges["qa", "approve"] == ""
    assert edges["technical", "qa"] == "not taken"


def test_a_run_whose_process_is_gone_is_interrupted():
    """A run without an end is running here and interrupted elsewhere; one that waits for a person waits everywhere."""
    events = h.support_run()[:5]
    assert run_view(events, alive=True).status == "running"
    assert run_view(events).status == "interrupted"
    assert run_view(h.waiting_run()).status == "waiting"
    assert list(run_view(h.waiting_run()).waiting) == ["approve"]


def test_pauses_between_processes_do_not_count():
    """The running time of a resumed run is what its processes took, and rows start in that time."""
    view = run_view(h.doubtful_run())
    assert view.wall_s == pytest.approx(1.65, abs=0.01)
    assert max(s for s in view.starts if s is not None) <= view.wall_s
    assert view.resumed == 1


def test_nested_graphs_have_pictures_of_their_own():
    """A nested graph is drawn once, whatever its rounds, and its node carries what it cost inside."""
    view = run_view(h.map_run())
    assert [g.path for g in view.graphs] == ["", "summary"]
    assert view.graphs[1].nodes["check"].state == "success"
    assert view.picture.nodes["summary"].cost_usd == Decimal("0.0002")
    assert (view.picture.nodes["worker"].items, view.picture.nodes["worker"].done) == (3, 3)


def test_state_fields_have_writers_and_readers():
    """A key of the state shows who writes it, who reads it, how, and what it is."""
    (field,) = run_view(h.map_run()).state
    assert (field.name, field.reducer, field.writers, field.readers) == (
        "findings",
        "append",
        ("worker",),
        ("summary",),
    )
    assert field.value == ["fact 0", "fact 1", "fact 2"]


@pytest.mark.parametrize("name", sorted(h.EVERY))
def test_every_prefix_has_a_view(name):
    """A run can be looked at after any of its events."""
    events = h.EVERY[name]()
    for n in range(1, len(events) + 1):
        view = run_view(events[:n], alive=True)
        assert view.events == n


def test_a_run_is_a_networkx_graph():
    """The trace is a networkx graph: who called whom, with tokens, dollars and seconds on the arrows."""
    graph = run_nx(h.support_run())
    call = graph.edges["billing", "model:mid", "call"]
    assert (call["calls"], call["failures"], call["cost_usd"]) == (3, 1, Decimal("0.0089"))
    assert call["input_tokens"] + call["output_tokens"] == 1306
    assert call["seconds"] == pytest.approx(1.85, abs=0.01)
    assert graph.edges["qa", "triage", "flow"]["times"] == 1
    assert not graph.has_edge("technical", "qa")
    nested = run_nx(h.map_run())
    assert nested.has_edge("summary", "summary/short")


def test_an_unknown_price_stays_unknown_in_sums():
    """A call of unknown price makes its arrow's and its node's dollars unknown, never a silent zero."""
    events = h.doubtful_run()
    assert run_nx(events).edges["qa", "model:house", "call"]["cost_usd"] is None
    assert run_view(events).picture.nodes["qa"].cost_usd is None


def test_a_resume_reopens_what_failed():
    """After a resume a failed node is due again, and its costs stay on the bill."""
    events = h.failed_run()
    events.append(ev.Resumed(events[-1].at + 60))
    view = run_view(events, alive=True)
    assert view.status == "running"
    assert states(view)["billing"] in ("running", "due")
    assert view.error is None
