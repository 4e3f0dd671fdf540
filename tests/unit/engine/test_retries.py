"""Retries and resumes of an agent's conversation: how long is waited, and what is never asked again."""

from __future__ import annotations

from typing import Any

from orch_nb.engine.ports import Outcome
from orch_nb.schema.events import ErrorInfo
from tests.support import InstantClock, ListLog, Performer, Scripted, plan_of, run_plan

BUSY = ErrorInfo("ORCH302", "RateLimited", "too many requests", "transient")
REFUSED = ErrorInfo("ORCH304", "BadRequest", "refused", "catastrophic")


def test_each_wait_before_a_retry_is_really_waited_and_longer() -> None:
    """Two transient failures, two pauses on the run's clock, the second longer than the first; then the answer."""
    agent, clock = Scripted("x"), InstantClock()
    performer = Performer(a=agent)
    performer.faults["a"] = [Outcome(False, error=BUSY), Outcome(False, error=BUSY)]
    state, _ = run_plan(plan_of("a", a=agent), {"x": 1}, performer=performer, clock=clock)
    assert state.ended
    assert not state.failed
    first, second = clock.slept
    assert 0 < first < second


def test_a_resume_goes_on_behind_the_answers_that_were_good() -> None:
    """Of a conversation of two calls the second fails: the resumed run asks the second again, never the first."""
    agent, log = Scripted("x", calls=2), ListLog()
    performer = Performer(a=agent)
    broken = [True]

    async def once(key: str) -> None:
        if performer.performed[-1].endswith(":1") and broken:
            broken.clear()
            performer.faults["a"] = [Outcome(False, error=REFUSED)]

    performer.before_call = once
    plan = plan_of("a", a=agent)
    state, _ = run_plan(plan, {"x": 1}, log=log, performer=performer)
    assert state.failed
    again: dict[str, Any] = {"log": log, "performer": performer}
    state, _ = run_plan(plan, {"x": 1}, **again)
    assert not state.failed
    assert performer.performed == ["call:a:0", "call:a:1", "call:a:1"]


def test_a_run_has_a_bound_on_its_activations() -> None:
    """A run that would never end ends with an error that names the bound, for plain nodes and for agents."""
    loop = "a -> b\nb -> a   at most 1000"
    for b in (lambda a: a, Scripted("a")):
        nodes: dict[str, Any] = {"a": lambda x: x, "b": b}
        state, log = run_plan(plan_of(loop, **nodes), {"x": 1}, performer=Performer(**nodes), max_activations=20)
        (error, _) = next(iter(state.failed.values()))
        assert error.type == "LimitReached"
        assert "20 activations" in error.message
        assert sum(e.TYPE == "finished" for e in log.events) == 20
