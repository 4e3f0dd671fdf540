"""An effect that may have happened is in doubt: a person is asked, or the run halts; it is never sent again unasked."""

from __future__ import annotations

import asyncio

import pytest

from orch_nb.errors import NotDone
from orch_nb.schema import events as ev
from orch_nb.tools.function import node
from tests.support import Crash, ListLog, Performer, driver_for, plan_of, run_plan, values_of


class Mail:
    """A function with an effect that fails after it was entered, as told, for the first `times` calls."""

    def __init__(self, failure, times=1, **options):
        self.sent = []

        @node(effects="message", **options)
        def send(x):
            self.sent.append(x)
            if len(self.sent) > times:
                return "sent"
            if isinstance(failure, BaseException):
                raise failure
            return failure

        self.send = send


def events_of(log, kind):
    return [e for e in log.events if isinstance(e, kind)]


def answered(plan, log, performer, *answers):
    """Go on with an attended run; each question gets the next answer, and the run is stopped at a question beyond them."""
    left = list(answers)

    async def go():
        driver = driver_for(plan, log, performer, {"x": 1}, attended=True)

        def answer():
            if not left:
                driver.stop()
                return
            ((key, asked),) = driver.state.waiting.items()
            given = left.pop(0)
            driver.post(lambda: driver.answer_events(key, *given, "somebody", shown_hash=asked.shown_hash))

        driver.on_waiting = answer
        async with asyncio.timeout(20):
            return await driver.run()

    return asyncio.run(go())


AFTER_ENTRY = [
    ValueError("boom"), ConnectionError("reset"), TimeoutError("late"), SystemExit(2), asyncio.CancelledError(), object(), float("nan"),
]  # fmt: skip
each_failure = pytest.mark.parametrize("failure", AFTER_ENTRY, ids=lambda f: type(f).__name__)


@each_failure
@pytest.mark.parametrize("on_failure", ["fail", "skip", "else"])
def test_unattended_an_effect_in_doubt_halts_the_run_whatever_on_failure_says(failure, on_failure):
    """Any exception after the function was entered, and a result that cannot be stored: no retry, no skip, no else-arrow."""
    mail = Mail(failure, on_failure=on_failure, retry=3)
    nodes = {"send": mail.send, "good": lambda send: send, "other": lambda: "else"}
    plan = plan_of("send -> good\nsend -> other else", **nodes)
    performer = Performer(**nodes)
    state, log = run_plan(plan, {"x": 1}, performer=performer, attended=False)
    assert (state.status, state.error.type, state.error.code) == ("failed", "EffectInDoubt", "ORCH215")
    said = "UnstorableValue" if not isinstance(failure, BaseException) else type(failure).__name__
    assert said in state.error.message
    for _ in range(2):  # a resume where nobody can be asked halts again
        state, log = run_plan(plan, {"x": 1}, log=log, performer=performer, attended=False)
        assert (state.status, state.error.type) == ("failed", "EffectInDoubt")
    assert mail.sent == [1]
    assert performer.performed == ["send"]


@each_failure
def test_attended_an_effect_in_doubt_is_asked_of_a_person(failure):
    """In the same run, with what it failed with; "again" performs it again, and only that."""
    mail = Mail(failure)
    nodes = {"send": mail.send, "end": lambda send: send}
    plan, log = plan_of("send -> end", **nodes), ListLog()
    answered(plan, log, Performer(**nodes))
    (question,) = events_of(log, ev.Waiting)
    assert "`send` (message) had begun when it failed" in question.question
    assert question.question.endswith("Did it happen?")
    assert (question.options, question.shown) == (("done", "again", "reject"), {"x": 1})
    assert mail.sent == [1]
    state = answered(plan, log, Performer(**nodes), ("again", None))
    assert (state.status, state.output, mail.sent) == ("done", "sent", [1, 1])


@pytest.mark.parametrize(("action", "value", "runs"), [("done", "id 7", ["good"]), ("reject", None, ["other"])])
def test_what_the_person_says_of_an_effect_in_doubt_is_what_counts(action, value, runs):
    """ "done" continues with the result they give, "reject" by the else-arrow; neither sends anything."""
    mail = Mail(ValueError("boom"))
    nodes = {"send": mail.send, "good": lambda send: send, "other": lambda: "else"}
    plan, log, performer = plan_of("send -> good\nsend -> other else", **nodes), ListLog(), Performer(**nodes)
    state = answered(plan, log, performer, (action, value))
    assert state.status == "done"
    assert performer.performed == ["send", *runs]
    assert value is None or values_of(log)["good"] == value


def test_a_resume_asks_about_an_effect_that_an_unattended_run_left_in_doubt():
    """However many resumes lie between: the doubt is not forgotten with the failure that it led to."""
    mail = Mail(ValueError("boom"))
    plan, performer = plan_of("send", send=mail.send), Performer(send=mail.send)
    _, log = run_plan(plan, {"x": 1}, performer=performer, attended=False)
    run_plan(plan, {"x": 1}, log=log, performer=performer, attended=False)
    answered(plan, log, performer)
    assert len(events_of(log, ev.Waiting)) == 1
    assert mail.sent == [1]


def test_a_crash_in_an_effect_is_still_in_doubt_after_an_unattended_resume():
    """The process dies, the resume halts, the next resume asks: it used to send again."""
    mail = Mail(None, times=0)
    plan, performer, log = plan_of("send", send=mail.send), Performer(send=mail.send), ListLog(crash_after=2)
    with pytest.raises(Crash):
        run_plan(plan, {"x": 1}, log=log, performer=performer)
    log.crash_after = None
    for _ in range(2):
        state, _ = run_plan(plan, {"x": 1}, log=log, performer=performer, attended=False)
        assert "had begun, and nothing says how it ended" in state.error.message
    answered(plan, log, performer)
    assert mail.sent == [1]


def test_a_timeout_leaves_an_effect_in_doubt():
    """An effect that takes too long may still happen."""
    sent = []

    @node(effects="message", timeout_s=0.01)
    async def send(x):
        sent.append(x)
        await asyncio.Event().wait()

    state, log = run_plan(plan_of("send", send=send), {"x": 1}, performer=Performer(send=send), attended=False)
    assert state.error.type == "EffectInDoubt"
    assert "NodeTimeout" in state.error.message
    run_plan(plan_of("send", send=send), {"x": 1}, log=log, performer=Performer(send=send), attended=False)
    assert sent == [1]


@pytest.mark.parametrize(("on_failure", "status", "runs"), [("fail", "failed", []), ("else", "done", ["other"])])
def test_a_function_that_says_not_done_is_an_ordinary_failure(on_failure, status, runs):
    """`NotDone`: nothing happened. The node's own policy applies, nobody is asked, and a resume performs it again."""
    mail = Mail(NotDone("no recipient"), on_failure=on_failure)
    nodes = {"send": mail.send, "good": lambda send: send, "other": lambda: "else"}
    plan, performer = plan_of("send -> good\nsend -> other else", **nodes), Performer(**nodes)
    state, log = run_plan(plan, {"x": 1}, performer=performer, attended=True)
    assert state.status == status
    assert performer.performed == ["send", *runs]
    (settled,) = events_of(log, ev.Settled)
    assert (settled.ok, settled.error.type, settled.error.code) == (False, "NotDone", "ORCH216")
    if status == "failed":
        state, _ = run_plan(plan, {"x": 1}, log=log, performer=performer, attended=True)
        assert (state.status, mail.sent) == ("done", [1, 1])


def test_what_fails_before_the_function_is_entered_is_an_ordinary_failure():
    """A missing function, a read that has no value: nothing was announced, so a resume tries again."""
    mail = Mail(None, times=0)
    plan = plan_of("a -> send", a=lambda: {"v": 1}, send=mail.send)
    missing = Performer(a=lambda: {"v": 1})
    state, log = run_plan(plan, {"x": 1}, performer=missing, attended=True)
    assert (state.status, state.error.type) == ("failed", "KeyError")
    assert not events_of(log, ev.Sent)
    state, _ = run_plan(plan, {"x": 1}, log=log, performer=Performer(a=lambda: {"v": 1}, send=mail.send), attended=True)
    assert (state.status, mail.sent) == ("done", [1])


def test_an_effect_that_was_done_is_not_sent_again_when_what_follows_it_fails():
    """Its result is recorded before its arrows are decided; a resume continues from the result."""
    mail = Mail(None, times=0)
    nodes = {"send": mail.send, "good": lambda send: send, "other": lambda: "else"}
    plan, performer = plan_of("send -> good when send > 3\nsend -> other else", **nodes), Performer(**nodes)
    state, log = run_plan(plan, {"x": 1}, performer=performer)
    assert (state.status, state.error.failure) == ("failed", "semantic")
    (settled,) = events_of(log, ev.Settled)
    assert (settled.ok, settled.reply) == (True, "sent")
    state, log = run_plan(plan, {"x": 1}, log=log, performer=performer)
    assert state.status == "failed"
    assert mail.sent == [1]


@pytest.mark.parametrize("crash_after", range(1, 8))
def test_an_effect_is_sent_once_wherever_the_process_dies(crash_after):
    """A crash at any append, a resume by somebody who says that it was done: the effect happened at most once."""
    mail = Mail(None, times=0)
    nodes = {"first": lambda x: x, "send": mail.send, "end": lambda send: send}
    plan, performer, log = (
        plan_of("first -> send -> end", **nodes),
        Performer(**nodes),
        ListLog(crash_after=crash_after),
    )
    try:
        run_plan(plan, {"x": 1}, log=log, performer=performer)
    except Crash:
        log.crash_after = None
        state = answered(plan, log, performer, ("done", "sent"), ("done", "sent"))
        assert (state.status, state.output) == ("done", "sent")
    assert len(mail.sent) <= 1


def test_items_of_a_map_are_in_doubt_one_by_one():
    """One item's effect fails: only that one is asked about, whatever is done with failed items."""
    sent = []

    @node(effects="message", on_failure="skip")
    def send(task):
        sent.append(task)
        if task == 2 and sent.count(2) == 1:
            raise ValueError("boom")
        return task

    nodes = {"p": lambda: {"tasks": [1, 2, 3]}, "send": send}
    plan, log = plan_of("p -> send each p.tasks as task", **nodes), ListLog()
    state = answered(plan, log, Performer(**nodes), ("again", None))
    assert state.output == [1, 2, 3]
    assert sorted(sent) == [1, 2, 2, 3]
    assert [ev.key(e) for e in events_of(log, ev.Waiting)] == ["send[1][1]"]
