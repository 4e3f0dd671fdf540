"""Spans: one row for each thing that happened, with the fields that a trace of an LLM system must have."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orch_nb.schema import events as ev
from orch_nb.trace.span import EXITS
from orch_nb.trace.spans import Walk, spans
from tests.counting import calls_of
from tests.unit.trace import histories as h

FIELDS = {
    "timestamp", "agent_id", "task_id", "action", "input", "output_summary", "input_tokens", "output_tokens", "tokens_used",
    "cost_usd", "success", "step", "latency_ms", "exit_status", "input_schema_version", "model", "attempt", "queued_ms",
    "round", "item", "parent", "kind", "cached_tokens",
}  # fmt: skip


def by_key(rows: list, key: str, kind: str = "") -> list:
    return [s for s in rows if s.key == key and (not kind or s.kind == kind)]


@pytest.mark.parametrize("name", sorted(h.EVERY))
def test_every_row_has_the_fields_of_a_log_record(name):
    """Each span carries every field of the minimum record and of the structured extras, whatever happened in the run."""
    for span in spans(h.EVERY[name]()):
        assert set(span.row()) == FIELDS
        assert span.exit in (*EXITS, "")
        assert span.success == (span.exit in ("success", "reused"))


@pytest.mark.parametrize("name", sorted(h.EVERY))
def test_any_prefix_has_a_trace(name):
    """A trace can be read at any moment of a run: every prefix of its events gives spans, each below its parent."""
    events = h.EVERY[name]()
    for n in range(1, len(events) + 1):
        rows = spans(events[:n], alive=True)
        depth_of = {"": -1}
        for span in rows:
            if span.kind not in ("model", "tool", "effect", "attempt"):
                assert span.depth == depth_of[span.parent] + 1
                depth_of[span.key] = span.depth


def test_one_event_at_a_time_gives_the_same_trace():
    """A live view that feeds events one by one, looking in between, ends with the same rows as a reading of the whole."""
    events = h.support_run()
    walk = Walk()
    for event in events:
        walk.feed(event)
        walk.spans(alive=True)
    assert [(s.key, s.state, s.cost_usd, s.depth) for s in walk.spans()] == [
        (s.key, s.state, s.cost_usd, s.depth) for s in spans(events)
    ]


def test_a_retry_is_a_row_of_its_own_and_costs_its_own():
    """Retries are visible: each attempt has its row with its error, and the activation adds up what all of them cost."""
    rows = spans(h.support_run())
    billing = by_key(rows, "billing", "agent")[0]
    first, second = by_key(rows, "billing", "model")
    assert (first.state, first.exit, first.error.type, first.cost_usd) == (
        "retried",
        "exception",
        "RateLimited",
        Decimal(0),
    )
    assert (second.state, second.attempt, second.cost_usd, second.cached_tokens) == (
        "success",
        2,
        Decimal("0.0061"),
        512,
    )
    assert (billing.cost_usd, billing.tokens, billing.queued_s) == (Decimal("0.0061"), 912, 0.02)


def test_queueing_is_apart_from_model_time():
    """Time in our own queue is not part of the latency of the call, and the model's share is known."""
    billing = by_key(spans(h.support_run()), "billing", "agent")[0]
    assert billing.latency_s == pytest.approx(1.37, abs=0.001)
    assert billing.model_s == pytest.approx(1.17, abs=0.001)
    assert billing.queued_s == 0.02


def test_the_input_of_a_step_is_what_it_read():
    """The input of a row is the values of the node's declared reads at that moment, also in a later round."""
    rows = spans(h.support_run())
    assert 'ticket: "My payment failed' in by_key(rows, "triage", "agent")[0].input_text
    second = by_key(rows, "triage[2]", "agent")[0]
    assert 'qa.feedback: "does not say when"' in second.input_text
    assert 'answer: "A pending hold' in by_key(rows, "qa[2]", "agent")[0].input_text


def test_reuse_gates_effects_and_skips_say_so():
    """What was reused, passed, skipped, or done to the world is told apart by its exit, its state and its action."""
    rows = spans(h.support_run())
    triage, approve = by_key(rows, "triage")[0], by_key(rows, "approve")[0]
    assert (triage.exit, triage.saved_usd, triage.action) == ("reused", Decimal("0.0002"), "reused from run 5")
    assert (approve.exit, approve.state, approve.action) == ("success", "passed", "gate passed")
    assert by_key(rows, "send", "effect")[0].action == "effect message"
    skipped = [s.key for s in rows if s.exit == "skipped"]
    assert skipped == ["technical", "sales", "general", "person"]


def test_maps_and_nested_graphs_nest_and_add_up():
    """Items are below their map and a nested graph's steps below its node, and the sums inside are known."""
    rows = spans(h.map_run())
    worker, item = by_key(rows, "worker")[0], by_key(rows, "worker[1][2]", "agent")[0]
    assert (worker.count, worker.inner_cost_usd, worker.inner_tokens) == (3, Decimal("0.0009"), 240)
    assert (item.parent, item.item, item.depth) == ("worker", 2, 1)
    summary = by_key(rows, "summary")[0]
    assert summary.inner_cost_usd == Decimal("0.0002")
    assert [s.key for s in rows if s.parent == "summary" and s.kind != "attempt"] == ["summary/short", "summary/check"]
    assert by_key(rows, "summary/check", "attempt")[0].error.type == "NodeTimeout"


def test_a_call_that_the_process_did_not_survive_is_in_doubt():
    """A call that was sent and never answered is shown as in doubt with what it may have cost; the pause counts for nothing."""
    rows = spans(h.doubtful_run())
    first, second = by_key(rows, "billing", "model")
    assert (first.state, first.exit, first.reserved_usd) == ("in doubt", "", Decimal("0.0184"))
    assert second.overrun_usd == Decimal("0.0004")
    assert by_key(rows, "billing", "agent")[0].latency_s == pytest.approx(0.95, abs=0.001)
    assert by_key(rows, "qa", "agent")[0].cost_usd is None


def test_open_calls_are_running_here_and_in_doubt_elsewhere():
    """The same unanswered call is under way while its process lives, and in doubt once it does not."""
    events = h.support_run()
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.Sent)) + 1
    assert [s.state for s in spans(events[:at], alive=True) if s.kind == "model"] == ["running"]
    assert [s.state for s in spans(events[:at]) if s.kind == "model"] == ["in doubt"]
    assert by_key(spans(events[:at]), "billing", "agent")[0].state == "interrupted"


def test_what_is_due_is_shown_before_it_has_an_event():
    """A step that runs without any event yet has a row: agents wait for their call, functions are under way."""
    rows = spans(h.support_run()[:1], alive=True)
    assert [(s.key, s.state) for s in rows] == [("triage", "due")]
    rows = spans(h.waiting_run()[:-1], alive=True)
    assert by_key(rows, "approve")[0].state == "running"


def test_a_person_waited_for_and_what_they_changed():
    """A question is a row that waits; the answer keeps who answered, what, and the difference."""
    assert by_key(spans(h.waiting_run(), alive=True), "approve")[0].state == "waiting"
    answered = by_key(spans(h.edited_run()), "approve")[0]
    assert (answered.exit, answered.by, answered.action) == ("success", "ada", "edited by ada")
    assert "+It is released in 7 days." in answered.diff


def test_exit_status_tells_semantic_failures_from_exceptions():
    """A wrong answer is a semantic_failure, a broken call an exception: as data, not as text."""
    events = h.failed_run()
    assert by_key(spans(events), "billing", "agent")[0].exit == "exception"
    failed = next(e for e in events if isinstance(e, ev.Failed))
    failed.error = ev.ErrorInfo("ORCH206", "SemanticFailure", "no `answer`", "semantic")
    assert by_key(spans(events), "billing", "agent")[0].exit == "semantic_failure"


def test_a_recording_has_a_trace_without_a_plan():
    """Ordinary Python that awaited agents has the same rows as a graph."""
    rows = spans(h.recorded_run())
    assert [s.key for s in rows if s.kind == "graph"] == ["triage", "triage[2]"]
    assert by_key(rows, "triage[2]/triage", "model")[0].tokens == 118


def test_a_long_run_reads_in_linear_time():
    """10,000 rounds are read, and ten times the rounds are ten times the work."""
    short, long = h.long_run(1_000), h.long_run(10_000)
    assert calls_of(lambda: spans(long)) < 10.5 * calls_of(lambda: spans(short))
    assert len(spans(long)) == 10_000


def test_the_time_between_a_failure_and_the_resume_is_nobodys():
    """A step that failed, and succeeds after a resume an hour later, took the time it worked, not the hour."""
    events = h.failed_run()
    end = events[-1].at
    recorder = h.Recorder(h.support_plan(), {"ticket": h.TICKET, "policy": h.POLICY})
    recorder.events, recorder.at = events, end
    recorder.after(3600).add(ev.Resumed(recorder.at))
    recorder.call("billing", "mid", "Answer …", {"answer": "A hold."}, (700, 200), "0.0184", 0.5)
    (one,) = by_key(spans(recorder.events), "billing", "agent")
    assert one.exit == "success"
    assert one.latency_s == pytest.approx(0.9 + 0.5)
