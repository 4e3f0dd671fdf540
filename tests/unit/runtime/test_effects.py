"""Effects in doubt through the whole stack: threads, tools of agents, the store, another run."""

from __future__ import annotations

import asyncio
import threading

import pytest

import orch_nb as orch
from orch_nb.errors import EffectInDoubt
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Reply, ToolCall, Usage
from tests.unit.runtime.conftest import reply

ARGUMENTS = '{"amount": 5}'


def asks_to_pay():
    calls = (ToolCall("1", "pay", ARGUMENTS),)
    return Reply("", tool_calls=calls, usage=Usage(10, 10), finish_reason="tool_calls")


class Bank:
    """A tool with an effect that does as told, call by call: raise, return, or wait for ever."""

    def __init__(self, *turns, timeout_s=None):
        self.paid, self.turns, self.entered = [], list(turns), threading.Event()

        @orch.tool(effects="payment", timeout_s=timeout_s)
        async def pay(amount: int):
            "Pays."
            self.paid.append(amount)
            self.entered.set()
            turn = self.turns.pop(0)
            if turn is ...:
                await asyncio.Event().wait()
            if isinstance(turn, BaseException):
                raise turn
            return turn

        self.pay = pay

    def agent(self, **keys):
        return orch.Agent("a", "{{ x }}", model="m", max_tokens=50, tools=[self.pay], effects="payment", **keys)

    def graph(self, **keys):
        return orch.Graph.from_cell("g", "a -> good\na -> other else"), {
            "a": self.agent(**keys), "pay": self.pay, "good": lambda a: f"good: {a}", "other": lambda: "else",
        }  # fmt: skip


def questions(run):
    return [e for e in run.events if isinstance(e, ev.Waiting)]


def paid_calls(run):
    """(sent, settled) calls of the tool."""
    sent = {e.call for e in run.events if isinstance(e, ev.Sent) and e.kind == "tool"}
    return len(sent), len([e for e in run.events if isinstance(e, ev.Settled) and e.call in sent])


IN_DOUBT = [ValueError("boom"), ConnectionError("reset"), SystemExit(1), object(), "x" * 1_000_001]
each_failure = pytest.mark.parametrize("failure", IN_DOUBT, ids=lambda f: type(f).__name__)


@each_failure
async def test_a_tool_with_effects_that_failed_inside_halts_an_unattended_run(rt, scripted, failure):
    """It raised, or its result cannot be used: no else-arrow, no silent retry; a resume halts again, nothing is held."""
    provider = scripted([asks_to_pay(), reply("paid")])
    bank = Bank(failure, "ok")
    graph, space = bank.graph(on_failure="else", retry=3)
    run = await orch.run(graph, namespace=space, x="hi")
    for _ in range(2):
        with pytest.raises(EffectInDoubt, match=r"`pay` \(payment\) of `a` had begun"):
            run.result()
        run = await orch.resume(run.run, namespace=space)
    assert bank.paid == [5]
    assert len(provider.requests) == 1
    assert all(b.held_usd == 0 for b in rt.store.balances())


@each_failure
async def test_a_person_is_asked_about_a_tool_in_doubt(rt, scripted, failure):
    """ "again" asks the tool again in the same conversation; the model is not paid twice for what it said."""
    provider = scripted([asks_to_pay(), reply("paid")])
    bank = Bank(failure, "ok")
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi", attended=True)
    (asked,) = questions(run)
    assert (asked.options, asked.shown) == (("done", "again", "reject"), {"amount": 5})
    assert "`pay` (payment) of `a`" in asked.question
    run.answer("again")
    await run
    assert run.result() == {"good": "good: paid"}
    assert bank.paid == [5, 5]
    assert len(provider.requests) == 2


@pytest.mark.parametrize(("value", "told"), [({"id": 7}, '"id":7'), (None, "as a person says")])
async def test_a_tool_that_a_person_says_was_done_goes_on_with_their_result(rt, scripted, value, told):
    """The conversation continues with what they say it returned; it is not the value of the node."""
    provider = scripted([asks_to_pay(), reply("paid")])
    bank = Bank(ValueError("boom"))
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi", attended=True)
    run.answer("done", value)
    await run
    assert run.result() == {"good": "good: paid"}
    assert bank.paid == [5]
    assert told in provider.requests[1].messages[-1].content.replace(" ", "").replace(
        "asapersonsays", "as a person says"
    )
    (span,) = [s for s in run.view.spans if s.key == "a" and s.kind == "agent"]
    assert (span.state, [c.state for c in span.children]) == ("success", ["success", "in doubt", "success"])


async def test_rejecting_a_tool_in_doubt_takes_the_else_arrow(rt, scripted):
    """The person decides; nothing is asked of the model or the tool again."""
    scripted([asks_to_pay()])
    bank = Bank(ValueError("boom"))
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi", attended=True)
    run.answer("reject")
    await run
    assert run.result() == {"other": "else"}
    assert bank.paid == [5]


async def test_a_tool_that_says_not_done_is_told_to_the_model(rt, scripted):
    """After `NotDone` nothing happened, and the conversation continues as after any failed tool."""
    provider = scripted([asks_to_pay(), asks_to_pay(), reply("paid")])
    bank = Bank(orch.NotDone("no funds"), "ok")
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi")
    assert run.result() == {"good": "good: paid"}
    assert bank.paid == [5, 5]
    assert "NotDone" in provider.requests[1].messages[-1].content
    assert paid_calls(run) == (2, 2)


async def test_a_tool_that_was_not_entered_is_told_to_the_model(rt, scripted):
    """Arguments that do not fit the function's own types: nothing happened."""
    calls = (ToolCall("1", "pay", '{"amount": 5.5}'),)
    bad = Reply("", tool_calls=calls, usage=Usage(10, 10), finish_reason="tool_calls")
    scripted([bad, reply("sorry")])
    bank = Bank("ok")
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi")
    assert run.result() == {"good": "good: sorry"}
    assert bank.paid == []


async def test_an_error_of_another_tool_inside_one_is_no_sign_that_it_was_not_entered(rt, scripted):
    """`BadArguments` raised from inside the function comes after it began."""
    from orch_nb.errors import BadArguments

    scripted([asks_to_pay()])
    bank = Bank(BadArguments("another tool's"))
    graph, space = bank.graph()
    run = await orch.run(graph, namespace=space, x="hi")
    assert run.events[-1].error.type == "EffectInDoubt"


@pytest.mark.parametrize("how", ["stop", "tool timeout", "agent timeout"])
async def test_a_tool_that_is_broken_off_is_in_doubt(rt, scripted, how):
    """A Stop, its own time limit, the time limit of its agent: a resume asks, and never pays again by itself."""
    scripted([asks_to_pay(), reply("paid")])
    bank = Bank(..., "ok", timeout_s=0.02 if how == "tool timeout" else None)
    graph, space = bank.graph(**({"timeout": 0.3, "retry": 3} if how == "agent timeout" else {}))
    run = rt.start(graph, {"x": "hi"}, namespace=space)
    if how == "stop":
        await asyncio.to_thread(bank.entered.wait)
        run.stop()
    await run
    assert run.status == ("cancelled" if how == "stop" else "failed")
    again = await orch.resume(run.run, namespace=space)
    assert again.events[-1].error.type == "EffectInDoubt"
    asked = await orch.resume(run.run, namespace=space, attended=True)
    assert len(questions(asked)) == 1
    assert bank.paid == [5]
    asked.answer("again")
    await asked
    assert asked.result() == {"good": "good: paid"}
    assert bank.paid == [5, 5]


# ------------------------------------------------------------------ functions
def sender(*turns, **options):
    sent, left = [], list(turns)

    @orch.node(effects="message", **options)
    def send(text):
        sent.append(text)
        turn = left.pop(0)
        if isinstance(turn, BaseException):
            raise turn
        return turn

    return sent, {"send": send}


async def test_an_effect_in_doubt_keeps_the_traceback_of_the_users_own_code(rt):
    """The error says what it failed with, and its cause is the exception itself."""
    boom = ValueError("boom")
    sent, space = sender(boom)
    run = await orch.run(orch.Graph("g").chain("send"), namespace=space, text="hi")
    with pytest.raises(EffectInDoubt) as caught:
        run.result()
    assert caught.value.__cause__ is boom
    assert any("boom" in line for line in caught.value._render_traceback_())
    assert "NotDone" in caught.value.hint
    assert sent == ["hi"]


async def test_another_run_takes_an_effect_in_doubt_for_one_that_may_have_happened(rt):
    """The same effect in another run is asked about, not sent: only `NotDone` says that nothing happened."""
    for failure, status in ((ValueError("boom"), "waiting"), (orch.NotDone("nothing"), "done")):
        sent, space = sender(failure, "sent")
        graph = orch.Graph(f"g{status}").chain("send")
        await orch.run(graph, namespace=space, text="hi")
        run = await orch.run(graph, namespace=space, text="hi", attended=True)
        assert run.status == status
        assert len(sent) == (1 if status == "waiting" else 2)


async def test_arguments_that_do_not_bind_do_nothing(rt):
    """The function was not entered: an ordinary failure, which a resume tries again without asking."""
    from orch_nb.agents.binding import bound_call
    from orch_nb.engine.plan import PlanNode

    _, space = sender("sent")
    call = bound_call(PlanNode("send", "function", function="send", effects=("message",)), space["send"], rt.pool)
    with pytest.raises(orch.NotDone, match="`send` was not entered: missing a required argument: 'text'"):
        call({}, "key")
    assert await call({"text": "hi"}, "key") == "sent"
