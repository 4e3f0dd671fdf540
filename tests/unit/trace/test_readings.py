"""Readings beside the spans: the critical path, the state after each step, who called whom, two runs side by side."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.engine.plan import Edge, Plan, PlanNode
from orch_nb.errors import OrchError
from orch_nb.schema import events as ev
from orch_nb.trace.critical import critical_path
from orch_nb.trace.diff import diff, text_diff
from orch_nb.trace.message import OUTSIDE, PERSON, messages
from orch_nb.trace.run_view import run_view
from orch_nb.trace.state_steps import state_at, state_steps
from tests.unit.trace import histories as h


# ------------------------------------------------------------------ critical path
def test_the_critical_path_of_a_chain_is_the_chain():
    """Where each step waits for the one before, all of them are critical, and their time is the run's."""
    path = critical_path(run_view(h.support_run()))
    assert [s.key for s in path.spans] == [
        "triage",
        "billing",
        "qa",
        "triage[2]",
        "billing[2]",
        "qa[2]",
        "approve",
        "send",
    ]
    assert path.total_s == pytest.approx(3.16, abs=0.02)
    assert path.queued_s == pytest.approx(0.02)
    assert path.model_s == pytest.approx(0.21 + 0.96 + 0.44 + 0.24 + 0.68 + 0.4, abs=1e-6)
    assert next(iter(path.by_step)) == "billing"


def test_the_critical_path_goes_through_the_slow_branch_the_last_item_and_the_nested_graph():
    """Of a map it is the item that ended last, of a nested graph the chain inside it."""
    keys = [s.key for s in critical_path(run_view(h.map_run(4))).spans]
    assert keys == ["plan", "worker", "worker[1][3]", "all", "summary", "summary/short", "summary/check"]


@pytest.mark.parametrize("make", [h.support_run, lambda: h.map_run(4)])
def test_the_critical_path_ends_where_a_clock_gave_every_step_the_same_time(make):
    """On a coarse clock the rounds of a loop begin and end at once: each step is on the path once, and the reading ends."""
    times = ("at", "started_at", "queued_s")
    still = [
        dataclasses.replace(e, **{t: 0.0 if t == "queued_s" else 5.0 for t in times if hasattr(e, t)}) for e in make()
    ]
    path = critical_path(run_view(still))

    assert path.total_s == 0
    assert len(path.spans) == len({s.key for s in path.spans}) > 0


def diamond(left: float, right: float) -> list:
    """a, then two branches at once, then a join."""
    nodes = tuple(PlanNode(n, "function", function=n) for n in ("a", "left", "right", "join"))
    edges = (Edge("a", "left"), Edge("a", "right"), Edge("left", "join"), Edge("right", "join"))
    r = h.Recorder(Plan("diamond", nodes, edges, (), (), ("join",)), {})
    r.after(1.0).finish("a", 1, started=r.at - 1.0)
    begun = r.at
    for name, took in sorted({"left": left, "right": right}.items(), key=lambda row: row[1]):
        r.at = begun + took
        r.finish(name, 1, started=begun)
    begun = r.at
    return r.after(0.5).finish("join", 1, started=begun).end(output=1).events


@given(st.integers(1, 50), st.integers(1, 50))
def test_the_slower_branch_is_critical(left, right):
    """Of two branches the one that ended later is on the path, and the path takes as long as the run."""
    view = run_view(diamond(left / 10, right / 10))
    path = critical_path(view)
    assert path.total_s == pytest.approx(view.wall_s, abs=1e-5)
    if left != right:
        assert [s.key for s in path.spans] == ["a", "left" if left > right else "right", "join"]


@pytest.mark.parametrize("name", sorted(h.EVERY))
def test_the_critical_path_is_never_longer_than_the_run(name):
    """At every moment of every run its steps are in order of time and together no longer than the run."""
    events = h.EVERY[name]()
    for n in range(1, len(events) + 1):
        view = run_view(events[:n])
        path = critical_path(view)
        assert path.total_s <= view.wall_s + 1e-6
        outer = [s for s in path.spans if not s.frame and s.item is None]
        assert [s.started_at for s in outer] == sorted(s.started_at for s in outer)


def test_a_run_that_has_not_begun_has_no_critical_path():
    """Before the first step the path is empty."""
    assert critical_path(run_view(h.support_run()[:1])).spans == []


# ------------------------------------------------------------------ state
def test_each_step_tells_what_it_changed_field_by_field():
    """A value that is a mapping is told by its keys: what was there before, what is there now."""
    steps = {s.key: s for s in state_steps(h.support_run())}
    assert [(c.field, c.before, c.after) for c in steps["qa"].changes] == [
        ("qa.score", "", "0.52"), ("qa.feedback", "", "does not say when"),
    ]  # fmt: skip
    assert [(c.field, c.before, c.after) for c in steps["qa[2]"].changes] == [
        ("qa.score", "0.52", "0.91"), ("qa.feedback", "does not say when", "none"),
    ]  # fmt: skip
    assert steps["triage[2]"].changes == []


def test_typed_state_is_told_with_its_reducer_at_work():
    """A field that is appended to is told as the list it has become."""
    steps = {s.key: s for s in state_steps(h.map_run(2))}
    assert [(c.field, c.after) for c in steps["worker[1][1]"].changes if c.field == "findings"] == [
        ("findings", '["fact 0", "fact 1"]')
    ]


def test_a_failed_step_changes_nothing_and_says_why():
    """What a failed step did is not in the state; the reason is in its place."""
    (step,) = [s for s in state_steps(h.failed_run()) if s.key == "billing"]
    assert step.changes == []
    assert step.failed.startswith("ProviderUnavailable")


def test_the_state_at_a_step_is_what_the_next_one_could_read():
    """`state_at` gives the values as they were then, not as they are now; a slip names the nearest step."""
    events = h.support_run()
    assert state_at(events, "billing")["billing"] == {"answer": "A pending hold, released after 7 days."}
    assert state_at(events, "billing[2]")["qa"]["score"] == 0.52
    assert state_at(events, "qa")["qa"]["score"] == 0.91
    assert state_at(h.map_run(3), "worker")["findings"] == ["fact 0", "fact 1", "fact 2"]
    with pytest.raises(OrchError) as error:
        state_at(events, "bilinng")
    assert "did you mean `billing" in error.value.hint


# ------------------------------------------------------------------ messages
def test_messages_are_who_called_whom_in_order_of_time():
    """Along taken arrows with the reason, to models and back with what failed, and nowhere else."""
    said = messages(run_view(h.support_run()))
    assert [m.at_s for m in said] == sorted(m.at_s for m in said)
    flows = [(m.source, m.target) for m in said if m.kind == "flow"]
    assert flows == [(OUTSIDE, "triage"), ("triage", "billing"), ("billing", "qa"), ("qa", "triage"), ("triage", "billing"),
                     ("billing", "qa"), ("qa", "approve"), ("approve", "send")]  # fmt: skip
    back = next(m for m in said if (m.source, m.target) == ("qa", "triage"))
    assert back.why == "qa.score < 0.6 is true (qa.score = 0.52)"
    assert sum(m.failed for m in said) == 1
    calls = [m for m in said if m.kind == "call" and m.target != "message"]
    assert len(calls) == len([m for m in said if m.kind == "reply" and m.source != "message"]) == 6


def test_a_person_is_asked_and_answers():
    """A question to a person and the answer are messages; while it is open there is only the question."""
    asked = [
        (m.source, m.target, m.kind) for m in messages(run_view(h.waiting_run())) if PERSON in (m.source, m.target)
    ]
    assert asked == [("approve", PERSON, "ask")]
    done = [m for m in messages(run_view(h.edited_run())) if m.kind == "answer"]
    assert [(m.source, m.target, m.why) for m in done] == [(PERSON, "approve", "edited by ada")]


def test_messages_inside_a_nested_graph_name_their_place():
    """Steps of a nested graph are named by their path."""
    flows = [(m.source, m.target) for m in messages(run_view(h.map_run(2))) if m.kind == "flow"]
    assert ("summary/short", "summary/check") in flows
    assert ("worker", "all") in flows


# ------------------------------------------------------------------ diff
def test_a_run_is_the_same_as_itself():
    """Nothing is different between a run and itself, whatever the run."""
    for make in h.EVERY.values():
        made = diff(run_view(make()), run_view(make()))
        assert made.first is None
        assert made.same_path
        assert made.same_output


def test_two_runs_are_aligned_by_node_and_round():
    """A change of one answer, a round more, another end: each is said of its step, the text of it line by line."""
    shorter = [e for e in h.support_run() if getattr(e, "round", 1) == 1 and not isinstance(e, ev.RunEnded)]
    for event in shorter:
        if isinstance(event, ev.Finished) and event.node == "qa":
            event.value = {"score": 0.9, "feedback": "fine"}
    made = diff(run_view(h.support_run()), run_view([*shorter, ev.RunEnded("done", shorter[-1].at, {"sent": True})]))
    what = {pair.key: pair.what for pair in made.pairs}
    assert what["triage"] == what["billing"] == "same"
    assert what["qa"] == "changed"
    assert what["qa[2]"] == "only a"
    assert not made.same_path
    assert made.first.key == "qa"
    assert made.first.diff == [
        (" ", "{"), ("-", ' "feedback": "does not say when",'), ("-", ' "score": 0.52'), ("+", ' "feedback": "fine",'),
        ("+", ' "score": 0.9'), (" ", "}"),
    ]  # fmt: skip
    assert made.usd < 0
    failed = diff(run_view(h.support_run()), run_view(h.failed_run()))
    assert {p.key: p.what for p in failed.pairs}["billing"] == "another end"


def test_what_only_the_second_run_did_stands_where_it_did_it():
    """Alignment keeps the order of both runs."""
    a, b = run_view(diamond(0.1, 0.2)), run_view(h.map_run(2))
    keys = [p.key for p in diff(a, b).pairs]
    assert len(keys) == len(set(keys)) == 12
    assert keys.index("plan") < keys.index("summary")


def test_an_unknown_price_makes_the_difference_unknown():
    """A wrong zero is worse than a gap."""
    assert diff(run_view(h.support_run()), run_view(h.doubtful_run())).usd is None


def test_long_texts_are_compared_up_to_a_limit():
    """A text of 10,000 lines costs no more than its first 400, and says so."""
    rows = text_diff("\n".join(map(str, range(10_000))), "\n".join(map(str, range(1, 10_001))))
    assert rows[-1] == (" ", "… 9,600 more lines not compared")
    assert text_diff("a\nb", "a\nc") == [(" ", "a"), ("-", "b"), ("+", "c")]
