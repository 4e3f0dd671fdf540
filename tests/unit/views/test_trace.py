"""`%orch trace`, `critical`, `why X Y`, `diff`: the same facts in text, HTML and data."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from orch_nb.errors import BadOption
from orch_nb.handle import RunHandle
from orch_nb.trace.diff import diff
from orch_nb.trace.message import Message, messages
from orch_nb.trace.run_view import run_view
from orch_nb.views import trace
from orch_nb.views.bundle import TRACE
from orch_nb.views.columnar import SOFT_BYTES, saved_bytes
from orch_nb.views.diff import diff_bundle
from orch_nb.views.sequence_diagram import sequence_svg
from tests.unit.trace import histories as h
from tests.unit.views.payloads import shared_payloads
from tests.unit.views.test_display import inspect


@pytest.fixture(scope="module")
def support():
    return run_view(h.support_run())


def test_a_trace_is_filtered_by_agent_state_and_text(support):
    """Only rows that match are counted, with the steps around them; "failed" is every way of not ending well."""
    by_agent = trace.trace(support, only=trace.matching(support, agent="qa"))
    assert {s.agent for s in by_agent.value} == {"qa"}
    assert "  billing" not in by_agent.text
    failed = run_view(h.failed_run())
    shown = trace.trace(failed, only=trace.matching(failed, status="failed"))
    assert {s.state for s in shown.value} == {"exception"}
    assert "triage" not in shown.text
    text = trace.trace(support, only=trace.matching(support, text="PENDING HOLD"))
    assert {s.node for s in text.value} == {"billing", "qa"}
    assert f"{len(text.value)} rows of {len(support.spans)}" in text.text


def test_a_slip_in_a_filter_names_the_nearest(support):
    """Agents, states, views and measures that are not there are told with what is."""
    for call, hint in (
        (lambda: trace.matching(support, agent="biling"), "did you mean `billing`?"),
        (lambda: trace.matching(support, status="sucess"), "did you mean `success`?"),
        (lambda: trace.heat(support, "token"), "did you mean `tokens`?"),
        (lambda: trace.reading(support, [], "mesages"), "did you mean `messages`?"),
        (lambda: trace.why_called(support, "biling", "qa"), "did you mean `billing`?"),
    ):
        with pytest.raises(BadOption) as error:
            call()
        assert error.value.hint == hint


def test_heat_says_where_dollars_tokens_and_seconds_went(support):
    """Shares add up to one, are beside the step in words, and tint the picture."""
    for by in trace.HEATS:
        shown = trace.heat(support, by)
        assert sum(shown.value.values()) == pytest.approx(1.0)
        assert shown.text.splitlines()[2].startswith("billing")
        assert 'fill="#3b82d6" fill-opacity="0.' in shown.html
        inspect(shown.html)


@pytest.mark.parametrize("name", sorted(h.EVERY))
@pytest.mark.parametrize("what", trace.VIEWS)
def test_every_view_of_every_run_is_inert_and_said_in_text(name, what):
    """Messages, conversation, state and decisions are there in text and in script-free HTML, whatever the run did."""
    events = h.EVERY[name]()
    shown = trace.reading(run_view(events), events, what)
    inspect(shown.html)
    assert shown.text.startswith(run_view(events).graph)


def test_the_sequence_chart_is_well_formed_and_says_what_the_table_says(support):
    """A line for each that takes part, an arrow for each message, the loop back to the left."""
    said = messages(support)
    root = ET.fromstring(sequence_svg(said))
    words = " ".join(t.text or "" for t in root.iter() if t.tag.endswith(("text", "title")))
    for name in ("input", "triage", "billing", "qa", "mid", "qa → triage"):
        assert name in words
    assert len([p for p in root.iter() if p.tag.endswith("}g")]) == len(said)
    assert sequence_svg([]) == ""
    crowd = [Message(f"a{i}", f"b{i}", "flow", 0.0, "") for i in range(40)]
    assert sequence_svg(crowd) == "", "too many to be side by side: the table has them"


@pytest.mark.parametrize("payload", shared_payloads())
def test_hostile_text_is_inert_in_messages_diff_and_state(payload):
    """A hostile text stays text in the chart, the text diff, the state and the conversation."""
    r = h.Recorder(h.support_plan(), {"ticket": payload, "policy": payload})
    r.call("triage", "small", payload, {"category": payload}, (1, 1), "0.1", 0.1, taken=(0,),
           decision={"chooser": {"choice": "billing", "value": payload, "because": payload}})  # fmt: skip
    other = h.Recorder(h.support_plan(), {"ticket": "t", "policy": "p"})
    other.call("triage", "small", "x", {"category": payload + "!"}, (1, 1), "0.1", 0.1, taken=(0,))
    view = run_view(r.events)
    made = [trace.reading(view, r.events, what)._repr_mimebundle_() for what in trace.VIEWS]
    made += [
        diff_bundle(diff(view, run_view(other.events))),
        trace.why_called(view, "triage", "billing")._repr_mimebundle_(),
    ]
    ET.fromstring(sequence_svg(messages(view)))
    for one in made:
        words = "".join(inspect(one["text/html"]).words)
        assert not any(c in words for c in ("\x1b", "\u202e"))
        assert not any(ord(c) < 32 and c not in "\n\t" for c in one["text/plain"])
        assert "\x1b" not in json.dumps(one.get(TRACE, ""), ensure_ascii=False)


def test_the_critical_path_tells_waiting_from_models_and_what_to_speed_up(support):
    """One row a step, the sums apart, and which step to begin with."""
    shown = trace.critical(support)
    assert "speed up `billing` first: 66% of it" in shown.text
    assert "queued 0.02 s, models 2.9 s, other" in shown.text
    inspect(shown.html)


def test_why_one_step_called_another_is_told_with_the_condition_and_its_values(support):
    """Each time: yes or no, the condition with what it saw, and what was handed on; where no arrow is, that."""
    back = trace.why_called(support, "qa", "triage").text
    assert "yes     qa.score < 0.6 is true (qa.score = 0.52)" in back
    assert "no      qa.score < 0.6 is false (qa.score = 0.91)" in back
    assert "by field: billing, because triage.category = billing" in trace.why_called(support, "triage", "billing").text
    assert "no arrow is between them; it leads to `send`" in trace.why_called(support, "approve", "qa").text
    assert "no arrow is between" in trace.why_called(support, "person", "send").text
    assert trace.why_called(support, "billing", "mid").value


def test_two_runs_are_shown_side_by_side():
    """HTML, text and data of a comparison say the same: what is different first, path, tokens, dollars, the text of it."""
    events = h.support_run()
    for event in events:
        if getattr(event, "node", "") == "qa" and getattr(event, "round", 0) == 2 and hasattr(event, "value"):
            event.value = {"score": 0.95, "feedback": "none"}
    a, b = RunHandle("7", h.support_plan(), h.support_run(), None), RunHandle("8", h.support_plan(), events, None)
    made = a.diff(b)
    bundle = made._repr_mimebundle_()
    inspect(bundle["text/html"])
    for fact in (
        "output: the same; path: the same",
        "the first difference: `qa[2]`, changed",
        '- "score": 0.91',
        '+ "score": 0.95',
    ):
        assert fact.replace("`", "") in bundle["text/plain"].replace("`", "").replace("  ", " ").replace("-  ", "- ")
    data = bundle[TRACE]
    assert (data["v"], data["kind"]) == (1, "compare")
    row = next(r for r in data["rows"] if r["key"] == "qa[2]")
    assert row["what"] == "changed"
    assert ["-", ' "score": 0.91'] in row["diff"]
    assert "1 of" in repr(made)


def test_a_comparison_of_large_runs_stays_small():
    """Two runs of 2,000 steps, all of them different, are compared in 128 kB, with the rest counted."""
    other = h.map_run(2_000)
    for event in other:
        if hasattr(event, "value") and getattr(event, "item", None) is not None:
            event.value = {"findings": "other " * 40}
    made = diff_bundle(diff(run_view(h.map_run(2_000)), run_view(other)))
    assert sum(saved_bytes(v) for v in made.values()) < SOFT_BYTES
    assert made[TRACE]["rows_left_out"] > 1_800


def test_the_verbs_show_them(shell):
    """`%orch trace --agent`, `--view`, `--heat`, `critical`, `why X Y` and `diff` work on recorded runs."""
    shell.good("%%agent alpha --model echo\nsay {{ t }}")
    shell.good("%%agent beta --model echo\nagain {{ alpha }}")
    shell.good("%%graph g\nalpha -> beta")
    shell.good('%orch run g t="hello" --as one')
    shell.good('%orch run g t="goodbye" --as two')
    assert "alpha" in shell.good("%orch trace --agent alpha").text
    assert "no agent `alfa`" in shell("%orch trace --agent alfa").error
    assert {s.node for s in shell.good('%orch trace --text "AGAIN say"').value} == {"beta"}
    for view in trace.VIEWS:
        assert shell.good(f"%orch trace --view {view}").text
    assert "alpha → beta" in shell.good("%orch trace --view messages").html
    assert shell.good("%orch trace --heat seconds").value
    assert "critical path of run" in shell.good("%orch trace --critical").text
    assert "the arrow has no condition" in shell.good("%orch why alpha beta").text
    first = shell.names["one"].run
    assert shell.good(f"%orch diff {first}").first.key == "alpha"
    assert "which runs?" in shell("%orch diff").error
    assert shell.names["two"].state_at("alpha")["alpha"] == "say goodbye"
    assert shell.names["two"].messages[0].source == "input"
