"""An answer is to what a person was shown: a second click, a stale button, a late cell answers nothing else."""

from __future__ import annotations

import pytest

import orch_nb as orch
from orch_nb.errors import OrchError, QuestionChanged
from orch_nb.schema import events as ev

LOOP = "draft -> ok\nok -> pay\npay -> draft when pay == 'again' at most 5\npay -> end else\nok: human 'Pay this?'\nout end"


@pytest.fixture
def paying(rt):
    """``paying(shown)``: a run that waits at `ok` in round 1 of a loop that pays; and what was paid."""
    paid = []

    def make(shown=lambda n: f"pay {n}"):
        rounds = []

        def draft():
            rounds.append(1)
            return shown(len(rounds))

        def pay(ok):
            paid.append(ok)
            return "again" if len(paid) < 3 else "end"

        names = {"draft": draft, "pay": pay, "end": lambda pay: pay}
        return rt.start(orch.Graph.from_cell("g", LOOP), {}, namespace=names, attended=True)

    return make, paid


@pytest.mark.parametrize("shown", [lambda n: f"pay {n}", lambda n: "pay 100"], ids=["different", "the same"])
async def test_a_second_answer_to_what_was_shown_does_not_answer_the_next_round(paying, shown):
    """A double click on Approve approves round 1 once: round 2 waits, although it may show the very same words."""
    make, paid = paying
    run = await make(shown)
    first = run.waiting[0]
    run.answer("approve", node=ev.key(first), shown_hash=first.shown_hash)
    await run
    assert run.status == "waiting"
    assert [ev.key(w) for w in run.waiting] == ["ok[2]"]
    for node in (ev.key(first), None):
        with pytest.raises(
            QuestionChanged, match=r"has changed since it was shown. Now `ok\[2\]` asks: Pay this\?"
        ) as caught:
            run.answer("approve", node=node, shown_hash=first.shown_hash)
        assert shown(2) in str(caught.value)
    assert paid == [shown(1)]
    second = run.waiting[0]
    run.answer("approve", shown_hash=second.shown_hash)
    await run
    assert paid == [shown(1), shown(2)]
    assert [e.shown_hash for e in run.events if isinstance(e, ev.Answered)] == [first.shown_hash, second.shown_hash]


async def test_two_answers_that_come_at_once_answer_one_question(paying, rt):
    """Both clicks are there before the run has moved: the first one counts."""
    make, paid = paying
    run = await make()
    shown = run.waiting[0].shown_hash

    def twice():
        run.answer("approve", node="ok", shown_hash=shown)
        run.answer("approve", node="ok", shown_hash=shown)

    rt.run_loop.ask(twice)
    await run
    assert paid == ["pay 1"]
    assert [ev.key(w) for w in run.waiting] == ["ok[2]"]


async def test_without_a_hash_what_waits_is_answered_unless_several_fit(rt):
    """Code that has shown nobody anything answers what waits; where two questions fit, both keys are named."""
    names = {"draft": lambda: ["a", "b"], "end": lambda ok: ok}
    graph = orch.Graph.from_cell("g", "draft -> ok each draft as one\nok -> end\nok: human 'Send?'")
    run = await rt.start(graph, {}, namespace=names, attended=True)
    assert len(run.waiting) == 2
    keys = [ev.key(w) for w in run.waiting]
    for node in (None, "ok"):
        with pytest.raises(OrchError, match="2 questions are open") as caught:
            run.answer("approve", node=node)
        assert all(f"`{key}`" in str(caught.value) for key in keys)
    with pytest.raises(OrchError, match="`nowhere` has no open question"):
        run.answer("approve", node="nowhere")
    run.answer("approve", node=keys[0])
    run.answer("approve", node=keys[1])
    await run
    assert run.status == "done"
