"""Answers that do not fit their type: cut ones are repaired with more room, and refused ones are failed attempts in every view."""

from __future__ import annotations

import pytest

import orch_nb as orch
from orch_nb.catalog.models import ModelBook
from orch_nb.errors import NodeFailed
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema.messages import Reply, Usage
from orch_nb.views import trace


def runtime_of(*answers, context_tokens=None):
    """A runtime whose one model gives these answers in turn (a text, or a text and its finish reason), and its requests."""
    left = list(answers)

    def answer(_request):
        given = left.pop(0) if len(left) > 1 else left[0]
        text, reason = given if isinstance(given, tuple) else (given, "stop")
        return Reply(text, finish_reason=reason, usage=Usage(5, 5))

    made = Runtime(store=orch.MemoryStore(), models=ModelBook(environ={}))
    provider = ScriptedProvider(answer, name="scripted")
    made.add_provider(provider)
    made.models.add("m", "m1", "scripted", price={"input": 1, "output": 1}, context_tokens=context_tokens)
    orch.use(made)
    return made, provider


def run(runtime, **keys):
    agent = orch.Agent("a", "Rate {{ x }}.", model="m", out="{score: float}", max_tokens=100, **keys)
    return runtime.start(agent, {"x": "it"}, namespace={"a": agent}).wait()


def test_a_cut_answer_is_repaired_with_twice_the_tokens():
    """The same limit would cut it again."""
    runtime, provider = runtime_of(('{"score": 0.', "length"), '{"score": 0.5}')
    done = run(runtime)
    assert done.result() == {"score": 0.5}
    assert [request.max_tokens for request in provider.requests] == [100, 200]


def test_an_answer_that_does_not_fit_for_another_reason_is_repaired_with_the_same_tokens():
    """Only a cut one needs more room."""
    runtime, provider = runtime_of("no", '{"score": 0.5}')
    run(runtime)
    assert [request.max_tokens for request in provider.requests] == [100, 100]


def test_a_cut_answer_of_a_model_without_room_is_not_sent_back_and_says_what_to_set():
    """Nothing is paid for a repair that would be cut again; the error has the limit and the key with its value."""
    runtime, provider = runtime_of(('{"score": 0.', "length"), context_tokens=300)
    done = run(runtime)
    with pytest.raises(NodeFailed) as caught:
        done.result()
    assert len(provider.requests) == 1
    assert "the answer was cut at 100 tokens: set `max_tokens: 200`" in str(caught.value.hint) + str(
        done.events[-1].error.hint
    )


@pytest.mark.parametrize("answers", [("no", '{"score": 0.5}'), ("no", "no again")], ids=["repaired", "failed"])
def test_a_refused_answer_is_a_failed_attempt_in_every_view_and_filter(answers):
    """Its call is a semantic failure in the spans, in the table and where `--status semantic_failure` looks; a good one is not."""
    runtime, _ = runtime_of(*answers)
    view = run(runtime).view
    (step,) = view.spans[:1]
    states = [call.state for call in step.children if call.kind == "model"]
    is_repaired = answers[1].startswith("{")
    assert states == ["semantic_failure", "success" if is_repaired else "semantic_failure"]
    is_failed = trace.matching(view, status="semantic_failure")
    assert sum(span.kind == "model" and is_failed(span) for span in view.spans) == (1 if is_repaired else 2)
    assert "semantic failure" in trace.trace(view, full=True).text


def test_an_answer_refused_before_a_fallback_model_is_a_failed_attempt_too():
    """No repair follows it and the node succeeds: the recorded decision of the node lists it, with the reason."""
    runtime, _ = runtime_of("no", "no again", '{"score": 0.5}')
    runtime.models.add("other", "m2", "scripted", price={"input": 1, "output": 1})
    done = run(runtime, fallback=["other"])
    assert done.result() == {"score": 0.5}
    (step,) = done.view.spans[:1]
    assert [call.state for call in step.children] == ["semantic_failure", "semantic_failure", "success"]
    rows = step.decision["refused_answers"]
    assert [(row["call"], row["model"]) for row in rows] == [(1, "m"), (2, "m")]
    assert all("must be JSON" in row["because"] for row in rows)
