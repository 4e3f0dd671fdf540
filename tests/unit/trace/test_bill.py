"""Bills: tokens and dollars by step, agent, model and run; unknown is not zero."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orch_nb.schema import events as ev
from orch_nb.trace.bill import bill
from tests.unit.trace import histories as h

USD = Decimal


def test_every_way_of_counting_gives_the_same_total():
    """Steps, agents and models each add up to the run, in tokens and to the last digit of the dollars."""
    made = bill(h.support_run())
    for lines in (made.steps, made.agents, made.models):
        assert sum(r.spent_usd for r in lines) == made.total.spent_usd == USD("0.01212")
        assert sum(r.tokens for r in lines) == made.total.tokens == 2184
    assert made.total.calls == 6
    assert [(r.name, r.spent_usd) for r in made.models] == [("mid", USD("0.0121")), ("small", USD("0.00002"))]
    assert {r.name: r.calls for r in made.steps} == {"triage": 1, "billing": 3, "qa": 2}


def test_the_total_is_what_was_settled():
    """The bill is the sum of the settlements of the log, for every history."""
    for make in h.EVERY.values():
        events = make()
        settled = [e for e in events if isinstance(e, ev.Settled) and e.cost_usd is not None]
        assert bill(events).spent_usd == sum((e.cost_usd for e in settled), USD(0))


def test_reuse_is_saved_not_spent():
    """A reused step costs nothing, and what it cost then is shown as saved."""
    made = bill(h.support_run())
    assert (made.total.saved_usd, made.total.reused) == (USD("0.0002"), 1)
    assert next(r for r in made.steps if r.name == "triage").saved_usd == USD("0.0002")


def test_in_doubt_overrun_and_unknown_stand_apart():
    """What is in doubt, what was billed above its bound, and what has no known price are counted, each by itself."""
    made = bill(h.doubtful_run())
    assert (made.total.in_doubt, made.total.in_doubt_usd) == (1, USD("0.0184"))
    assert made.total.overrun_usd == USD("0.0004")
    assert made.total.unpriced == 1
    assert made.limit_usd == USD("0.10")
    assert made.left_usd == USD("0.10") - USD("0.01842") - USD("0.0184")


def test_open_calls_are_held_while_their_process_lives():
    """A reservation is held while the call is under way here, and in doubt when its process is gone."""
    events = h.support_run()
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.Sent)) + 1
    here, gone = bill(events[:at], alive=True).total, bill(events[:at]).total
    assert (here.held_usd, here.in_doubt_usd) == (USD("0.02"), 0)
    assert (gone.held_usd, gone.in_doubt_usd) == (0, USD("0.02"))


@pytest.mark.parametrize("name", sorted(h.EVERY))
def test_spent_and_held_only_move_as_the_log_says(name):
    """At every prefix spent + held + in doubt stays at or below everything ever reserved or reused."""
    events = h.EVERY[name]()
    for n in range(1, len(events) + 1):
        total = bill(events[:n], alive=True).total
        reserved = sum((e.reserved_usd or USD(0) for e in events[:n] if isinstance(e, ev.Sent)), USD(0))
        assert total.spent_usd + total.held_usd + total.in_doubt_usd <= reserved


def test_items_and_nested_steps_are_billed_at_their_step():
    """All items of a map are one step, and a nested step carries the node that it is inside of."""
    steps = {r.name: r for r in bill(h.map_run()).steps}
    assert steps["worker"].calls == 3
    assert steps["summary/short"].spent_usd == USD("0.0002")
