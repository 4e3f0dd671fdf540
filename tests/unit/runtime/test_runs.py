"""Runs through the whole stack but the network: plan, driver, ledger, provider port, handle."""

from __future__ import annotations

import asyncio
import enum
import threading
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.errors import (
    AuthFailed,
    BudgetExceeded,
    GraphError,
    MissingInput,
    NodeFailed,
    RateLimited,
    ReplayMismatch,
    RunCancelled,
    RunNotFound,
    StoreUnavailable,
    UnknownModel,
    UnknownPrice,
    UnstorableValue,
    WaitingForPerson,
)
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.providers.local_models.local import LocalModel
from orch_nb.runtime.batch import start_batch
from orch_nb.schema import events as ev
from tests.unit.runtime.conftest import reply


def agent(name="a", prompt="Say {{ x }}", **keys):
    return orch.Agent(name, prompt, model="m", max_tokens=100, **keys)


def kinds(run):
    return [e.TYPE for e in run.events]


# ------------------------------------------------------------------ money from the first call
async def test_a_call_is_reserved_sent_settled_and_billed_exactly(rt, scripted):
    """50 tokens in and 50 out at $100 a million cost $0.01, exactly."""
    scripted([reply("hello")])
    run = await orch.run(agent(), x="hi")

    assert run.result() == "hello"
    assert kinds(run) == ["run_started", "sent", "settled", "finished", "run_ended"]
    assert run.spent_usd == Decimal("0.01")
    assert rt.store.balance(f"run:{run.run}").held_usd == 0
    assert rt.budget().spent_usd == Decimal("0.01")


async def test_the_refusal_comes_before_the_call_and_says_all_figures(rt, scripted):
    """Over the budget nothing leaves; spent, held, asked and left are attributes of the error."""
    provider = scripted([reply(), reply()])
    rt.set_budget("0.03")
    graph = orch.Graph("g").chain("a", "b")
    names = {"a": agent(prompt="hi"), "b": agent("b", "{{ a }}" + "y" * 100)}
    run = await orch.run(graph, namespace=names)

    with pytest.raises(BudgetExceeded) as caught:
        run.result()
    assert len(provider.requests) == 1
    facts = caught.value.facts
    assert facts["spent"] == Decimal("0.01")
    assert facts["asked"] > facts["left"] == Decimal("0.02")
    assert kinds(run)[-3:] == ["refused", "failed", "run_ended"]


async def test_raising_the_budget_goes_on_and_repeats_nothing(rt, scripted):
    """Resume after a refusal pays for the refused step only."""
    provider = scripted([reply("one"), reply("two")])
    graph = orch.Graph("g").chain("a", "b")
    names = {"a": agent(prompt="hi"), "b": agent("b", "{{ a }}" + "y" * 100)}
    run = await orch.run(graph, namespace=names, budget="0.03")
    assert run.status == "failed"
    again = await orch.resume(run.run, budget="0.10", namespace=names)

    assert again.result() == "two"
    assert len(provider.requests) == 2
    assert again.spent_usd == Decimal("0.02")


async def test_the_tightest_of_the_nested_budgets_wins_and_all_are_charged(rt, scripted):
    """Notebook, run and node: each is charged once; the node's own limit refuses although the others have room."""
    scripted([reply()])
    rt.set_budget(5)
    run = await orch.run(agent(budget="0.001"), x="hi", budget=1)

    assert run.status == "failed"
    assert run.events[-1].error.type == "BudgetExceeded"
    assert "/node:a" in str(run.events[-1].error.message)
    ok = await orch.run(agent(budget="0.5"), x="hi", budget=1)
    scopes = ("notebook:untitled", f"run:{ok.run}", f"run:{ok.run}/node:a")
    assert [rt.store.balance(s).spent_usd for s in scopes] == [Decimal("0.01")] * 3


async def test_parallel_calls_cannot_pass_the_budget_together(rt, scripted):
    """Reservations bound what is under way: of ten parallel calls with room for three, the spend stays within."""
    scripted(lambda request: reply())
    names = {"plan": lambda: list(range(10)), "w": agent("w", "{{ i }}")}
    graph = orch.Graph.from_cell("g", "plan -> w each plan as i")
    run = await orch.run(graph, namespace=names, budget="0.045")

    assert run.status == "failed"
    assert run.spent_usd == Decimal("0.03")
    assert rt.store.balance(f"run:{run.run}").held_usd == 0


async def test_an_unknown_price_is_refused_under_a_budget_and_counted_unknown_without(rt, scripted):
    """Unknown is not free: with a limit nothing is sent; without one the cost is None, never 0."""
    provider = scripted([reply()])
    rt.models.add("nobody", "no-such-model", "vendor")
    mystery = orch.Agent("a", "hi", model="nobody")
    limited = await orch.run(mystery, budget=1)

    assert limited.events[-1].error.type == UnknownPrice.__name__
    assert provider.requests == []
    free = await orch.run(mystery)
    assert next(e for e in free.events if isinstance(e, ev.Settled)).cost_usd is None


async def test_a_lying_provider_is_capped_shown_and_blocks_what_follows(rt, scripted):
    """Dollars billed above the reservation are the overrun: shown apart, and no further call is made."""
    provider = scripted([reply(tokens_in=10_000_000), reply()])
    names = {"a": agent(prompt="hi"), "b": agent("b", "{{ a }}")}
    run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names, budget=1)

    settled = next(e for e in run.events if isinstance(e, ev.Settled))
    sent = next(e for e in run.events if isinstance(e, ev.Sent))
    assert settled.cost_usd == sent.reserved_usd
    assert settled.overrun_usd > 90
    assert len(provider.requests) == 1
    assert run.status == "failed"


# ------------------------------------------------------------------ failures have classes
async def test_transient_failures_are_retried_at_most_three_times(rt, scripted):
    """429 twice, then an answer: three calls, all in the log, one result."""
    provider = scripted(
        [RateLimited("slow down", retry_after_s=0.0), RateLimited("slow down", retry_after_s=0.0), reply("ok")]
    )
    run = await orch.run(agent(), x="hi")

    assert run.result() == "ok"
    assert len(provider.requests) == 3
    assert [e.fate for e in run.events if isinstance(e, ev.Settled)] == ["retry", "retry", ""]
    assert [e.attempt for e in run.events if isinstance(e, ev.Sent)] == [1, 2, 3]


async def test_after_three_tries_the_run_fails_and_resume_tries_again(rt, scripted):
    """A run that failed on a rate limit is resumed there, and finished nodes are not called again."""
    provider = scripted([reply("first"), *[RateLimited("no", retry_after_s=0.0)] * 3, reply("second")])
    names = {"a": agent(prompt="hi"), "b": agent("b", "{{ a }}")}
    run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names)

    assert run.status == "failed"
    again = await orch.resume(run.run, namespace=names)
    assert again.result() == "second"
    assert len(provider.requests) == 5


async def test_a_retry_after_above_the_cap_fails_at_once(rt, scripted):
    """A provider that asks for an hour is not waited for: the error says when."""
    provider = scripted([RateLimited("come back later", retry_after_s=3600.0)])
    run = await orch.run(agent(), x="hi")

    assert run.status == "failed"
    assert run.events[-1].error.retry_after_s == 3600.0
    assert len(provider.requests) == 1


async def test_a_wrong_answer_is_repaired_once_with_feedback(rt, scripted):
    """A semantic failure is not blindly retried: the answer and its problems are sent back, once."""
    provider = scripted([reply('{"n": "many"}'), reply('{"n": 3}')])
    run = await orch.run(agent(out={"n": "int"}), x="hi")

    assert run.result() == {"n": 3}
    assert "n" in provider.requests[1].messages[-1].content
    assert len(provider.requests) == 2


async def test_two_wrong_answers_are_a_semantic_failure(rt, scripted):
    """After one repair the node fails as semantic failure; nothing downstream sees the answer."""
    provider = scripted([reply("no json"), reply("no json")])
    run = await orch.run(agent(out={"n": "int"}), x="hi")

    assert run.events[-1].error.failure == "semantic"
    assert len(provider.requests) == 2


async def test_fallback_models_are_asked_in_turn(rt, scripted):
    """A model that fails for good is followed by the next of `fallback`, under the same budget."""
    scripted([RateLimited("no", retry_after_s=0.0)] * 3)
    scripted([reply("from the other")], name="other")
    run = await orch.run(agent(fallback=["other"]), x="hi")

    assert run.result() == "from the other"


async def test_on_failure_skip_merges_what_came(rt):
    """A per-node timeout with `on_failure: skip`: the join runs with the rest."""

    @orch.node(timeout_s=0.01, on_failure="skip", retry=1)
    async def slow():
        await asyncio.Event().wait()

    def fast():
        return 1

    def join(fast, slow=None):
        return [fast, slow]

    names = {"t": lambda: 0, "slow": slow, "fast": fast, "join": join}
    run = await orch.run(orch.Graph.from_cell("g", "t -> {slow, fast} -> join"), namespace=names)

    assert run.result() == [1, None]
    failed = next(e for e in run.events if isinstance(e, ev.Failed))
    assert failed.error.type == "NodeTimeout"


async def test_on_failure_else_escalates(rt):
    """A timeout with `on_failure: else` leaves by the else-arrow: to whoever is there."""

    @orch.node(timeout_s=0.01, on_failure="else", retry=1)
    async def slow():
        await asyncio.Event().wait()

    names = {"slow": slow, "ok": lambda slow: "ok", "person": lambda: "escalated"}
    run = await orch.run(orch.Graph.from_cell("g", "slow -> ok when true\nslow -> person else"), namespace=names)

    assert run["person"] == "escalated"


async def test_the_users_own_exception_is_the_cause(rt):
    """A function's exception comes back as `NodeFailed` with the original as its cause."""

    def broken():
        return {}["nothing"]

    run = await orch.run(broken)

    with pytest.raises(NodeFailed, match="broken") as caught:
        run.result()
    assert isinstance(caught.value.__cause__, KeyError)
    shown = "\n".join(caught.value._render_traceback_())
    assert 'return {}["nothing"]' in shown
    assert "drive.py" not in shown


async def test_a_sibling_that_was_under_way_is_not_lost_when_another_fails(rt):
    """A failure starts nothing new, but what runs is let finish and is recorded."""
    gate = asyncio.Event()
    loop_gate = threading.Event()

    async def bad():
        loop_gate.set()
        raise ValueError("bad")

    async def good():
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "kept"

    names = {"t": lambda: 0, "bad": bad, "good": good}
    run = await orch.run(orch.Graph.from_cell("g", "t -> {bad, good}"), namespace=names)
    gate.set()

    assert run.status == "failed"
    assert run["good"] == "kept"


# ------------------------------------------------------------------ stop
async def test_stop_books_what_was_spent_and_the_run_can_go_on(rt, scripted):
    """Stop in mid-answer: the true cost is not known, so the reservation is booked; a resume makes the call again."""
    said = asyncio.Event()

    async def gate(request):
        if len(provider.requests) == 1:
            said.set()
            await asyncio.Event().wait()

    provider = scripted([reply("never"), reply("again")], gate=gate)
    handle = rt.start(agent(), {"x": "hi"})
    while not provider.requests:
        await asyncio.sleep(0.001)
    handle.stop()
    await handle

    with pytest.raises(RunCancelled):
        handle.result()
    settled = next(e for e in handle.events if isinstance(e, ev.Settled))
    assert (settled.ok, settled.fate, settled.remark) == (
        False,
        "cancelled",
        "interrupted before its usage was sent: booked at the reservation",
    )
    assert rt.store.balance(f"run:{handle.run}").held_usd == 0
    again = await orch.resume(handle.run)
    assert again.result() == "again"


async def test_a_stop_that_comes_at_once_ends_the_run_too(rt):
    """Stopped before its first step, a run ends as cancelled and can be resumed."""

    async def slow():
        await asyncio.sleep(0)
        return 1

    handle = rt.start(slow, {})
    handle.stop()
    await handle

    assert handle.status in ("cancelled", "done")
    again = await orch.resume(handle.run, namespace={"slow": slow}) if handle.status == "cancelled" else handle
    assert again.result() == 1


async def test_a_users_except_exception_cannot_swallow_a_stop(rt):
    """Control flow is values and cancellation (invariant 8): `except Exception` around an await does not outlive Stop."""
    entered = threading.Event()

    async def stubborn():
        entered.set()
        try:
            await asyncio.Event().wait()
        except Exception:
            return "swallowed"

    handle = rt.start(stubborn, {})
    await asyncio.to_thread(entered.wait, 5)
    handle.stop()
    await handle

    assert handle.status == "cancelled"
    assert not any(isinstance(e, ev.Finished) for e in handle.events)


# ------------------------------------------------------------------ people
async def test_a_run_waits_for_a_person_and_goes_on_after_the_answer(rt):
    """`approve`: only a person is due, the handle comes back as waiting; the answer lets it end."""
    names = {"draft": lambda: "Dear all", "send": lambda check: f"sent {check}"}
    run = await orch.run(
        orch.Graph.from_cell("g", "draft -> check -> send\ncheck: human"), namespace=names, attended=True
    )

    assert run.status == "waiting"
    with pytest.raises(WaitingForPerson, match="check"):
        run.result()
    run.answer("approve")
    await run
    assert run.result() == "sent Dear all"


async def test_an_edit_is_stored_as_a_diff(rt):
    """The edited draft is used; the shown and the answered text differ by a recorded diff, with person and time."""
    names = {"draft": lambda: "Dear all", "send": lambda check: f"sent {check}"}
    run = await orch.run(
        orch.Graph.from_cell("g", "draft -> check -> send\ncheck: human"), namespace=names, attended=True
    )
    run.answer("edit", "Dear Ada")
    await run
    answered = next(e for e in run.events if isinstance(e, ev.Answered))

    assert run.result() == "sent Dear Ada"
    assert "-Dear all" in answered.diff
    assert "+Dear Ada" in answered.diff
    assert answered.by


async def test_a_rejection_stops_that_way(rt):
    """Rejected: what lies behind the person is skipped; an else-arrow is taken where there is one."""
    names = {"draft": lambda: "x", "send": lambda check: "sent", "rework": lambda: "rework"}
    graph = orch.Graph.from_cell("g", "draft -> check\ncheck -> send when true\ncheck -> rework else\ncheck: human")
    run = await orch.run(graph, namespace=names, attended=True)
    run.answer("reject")
    await run

    assert run.result() == {"rework": "rework"}


async def test_unattended_runs_fail_closed_at_once(rt):
    """Nobody to ask: the run fails with what was needed, instead of hanging or passing."""
    run = await orch.run(orch.Graph.from_cell("g", "draft -> check\ncheck: human"), namespace={"draft": lambda: 1})

    assert run.status == "failed"
    assert run.events[-1].error.type == "WaitingForPerson"


async def test_a_waiting_run_is_answered_after_a_restart(rt):
    """The question survives the process: resumed elsewhere it waits again, and earlier work is not done twice."""
    calls = []

    def draft():
        calls.append(1)
        return "x"

    names = {"draft": draft, "send": lambda check: f"sent {check}"}
    run = await orch.run(
        orch.Graph.from_cell("g", "draft -> check -> send\ncheck: human"), namespace=names, attended=True
    )
    run.stop()
    await asyncio.wrap_future(run.future)
    again = await orch.resume(run.run, namespace=names, attended=True)
    assert again.status == "waiting"
    again.answer("approve")
    await again

    assert again.result() == "sent x"
    assert calls == [1]


# ------------------------------------------------------------------ effects
async def test_an_effect_is_announced_before_and_has_a_stable_key(rt):
    """A declared effect is on record before it happens; its key is of graph, node and inputs."""
    keys = []

    @orch.node(effects="message")
    def send(text, idempotency_key):
        keys.append(idempotency_key)
        return "sent"

    one = await orch.run(orch.Graph("g").chain("send"), namespace={"send": send}, text="hi", again=True)
    two = await orch.run(orch.Graph("g").chain("send"), namespace={"send": send}, text="hi", again=True)

    assert kinds(one)[1:4] == ["sent", "settled", "finished"]
    assert keys[0] == keys[1]
    assert two.status == "done"


async def test_the_same_effect_is_not_performed_twice_unattended(rt):
    """Running the notebook again skips an effect that an earlier run has performed; `again` overrides."""
    sent = []

    @orch.node(effects="message")
    def send(text):
        sent.append(text)
        return "sent"

    graph = orch.Graph("g").chain("send")
    await orch.run(graph, namespace={"send": send}, text="hi")
    second = await orch.run(graph, namespace={"send": send}, text="hi")
    await orch.run(graph, namespace={"send": send}, text="hi", again=True)

    assert sent == ["hi", "hi"]
    finished = next(e for e in second.events if isinstance(e, ev.Finished))
    assert finished.status == "skipped"


async def test_an_attended_run_asks_before_it_repeats_an_effect(rt):
    """With a person there, the question is put to them."""
    sent = []

    @orch.node(effects="message")
    def send(text):
        sent.append(text)
        return "sent"

    graph = orch.Graph("g").chain("send")
    await orch.run(graph, namespace={"send": send}, text="hi")
    run = await orch.run(graph, namespace={"send": send}, text="hi", attended=True)
    assert run.status == "waiting"
    run.answer("again")
    await run

    assert run.result() == "sent"
    assert sent == ["hi", "hi"]


# ------------------------------------------------------------------ concurrency
async def test_a_providers_cap_queues_and_the_wait_is_recorded_apart(rt, scripted):
    """With a cap of two, never more than two calls are under way, and the rest says how long it queued."""
    under_way, most = 0, 0

    async def gate(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1

    scripted(lambda request: reply(), gate=gate)
    rt.limit_calls("vendor", 2)
    names = {"plan": lambda: list(range(8)), "w": agent("w", "{{ i }}")}
    run = await orch.run(orch.Graph.from_cell("g", "plan -> w each plan as i"), namespace=names)

    assert run.status == "done"
    assert most == 2
    assert sum(e.queued_s > 0.001 for e in run.events if isinstance(e, ev.Sent)) >= 4


@pytest.mark.parametrize("name", ["localhost", "local-gateway", "local_llm", "vendor", "cache"])
def test_how_many_calls_a_provider_takes_at_once_is_what_it_says_itself_never_what_its_name_begins_with(rt, name):
    """A model of this machine says one; a provider that says nothing takes many, whatever it is called."""

    def free_places(provider):
        slot = rt.slot(f"model:{provider}")
        taken = 0
        while not slot.locked():
            asyncio.run(slot.acquire())
            taken += 1
        return taken

    rt.add_provider(ScriptedProvider(lambda request: reply(), name=name))
    rt.add_provider(LocalModel("desk", parallel=3))
    assert free_places(name) > 3
    assert free_places("desk") == 3
    assert free_places("local") == 1


async def test_sync_functions_run_in_threads_with_the_context(rt):
    """A sync function blocks nobody: it runs on a thread of its own, with the caller's context copied."""
    here = threading.current_thread()
    met = threading.Barrier(2, timeout=5)

    def a():
        met.wait()
        return threading.current_thread() is not here

    names = {"t": lambda: 0, "a": a, "b": a}
    run = await orch.run(orch.Graph.from_cell("g", "t -> {a, b}"), namespace=names)

    assert run.result() == {"a": True, "b": True}


# ------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("inputs", "error", "says"),
    [
        ({}, MissingInput, "`x`"),
        ({"x": 1, "y": 2}, MissingInput, "`y`"),
        ({"x": object()}, UnstorableValue, "input `x`"),
    ],
)
async def test_bad_inputs_are_named_before_anything_is_stored(rt, scripted, inputs, error, says):
    """Missing, unread and unstorable inputs: a typed error at once, no run, no call."""
    provider = scripted([reply()])
    with pytest.raises(error, match=says):
        await orch.run(agent(), **inputs)

    assert provider.requests == []
    assert rt.runs() == []


async def test_an_unknown_model_is_named_before_anything_is_spent(rt):
    """A model that the notebook does not know stops the run before it starts, with the nearest name."""
    with pytest.raises(UnknownModel, match="smal"):
        await orch.run(orch.Agent("a", "hi", model="smal"))


async def test_a_missing_key_is_a_first_run_experience(rt, monkeypatch):
    """Without its key a model's run does not begin; the error names the variable and what works without one."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthFailed, match="OPENAI_API_KEY") as caught:
        await orch.run(orch.Agent("a", "hi", model="openai/gpt-4o-mini"))

    assert "small" in caught.value.hint or "local" in caught.value.hint or "echo" in caught.value.hint.lower()
    assert rt.runs() == []


async def test_an_unstorable_value_is_said_at_the_step_that_made_it(rt):
    """A function that returns a generator fails at its own node, and what came before is kept."""
    names = {"a": lambda: 1, "b": lambda a: (n for n in range(3))}
    run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names)

    assert run.events[-1].node == "b"
    assert run.events[-1].error.type == "UnstorableValue"
    assert run["a"] == 1


async def test_a_graph_that_does_not_compile_leaves_nothing_behind(rt):
    """A graph error is raised before a run exists."""
    with pytest.raises(GraphError):
        await orch.run(orch.Graph("g").chain("a", "nobody"), namespace={"a": lambda: 1})

    assert rt.runs() == []


async def test_a_changed_function_is_named_on_resume(rt):
    """Resume compares the functions' sources with the recorded ones: the node is named, nothing runs."""
    names = {"a": lambda: 1, "b": lambda a: 1 / 0}
    run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names)
    with pytest.raises(ReplayMismatch, match="`b`"):
        await orch.resume(run.run, namespace={**names, "b": lambda a: 2})
    with pytest.raises(ReplayMismatch, match="not defined"):
        await orch.resume(run.run, namespace={"a": names["a"]})

    assert run.status == "failed"


async def test_a_run_that_cannot_be_begun_is_not_kept_locked(rt, scripted, monkeypatch):
    """Its first event cannot be stored: there is no such run, and the same id can be begun by the next one."""
    from orch_nb.store.memory import MemoryRunLog

    def refuse(self, events):
        raise UnstorableValue("a value is no plain data.")

    scripted(lambda request: reply("fine"))
    agent = orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50)
    with monkeypatch.context() as broken, pytest.raises(UnstorableValue):
        broken.setattr(MemoryRunLog, "append", refuse)
        rt.start(agent, {"x": 1}, run="named")
    with pytest.raises(RunNotFound):
        rt.open("named")
    assert (await rt.start(agent, {"x": 1}, run="named")).status == "done"


async def test_a_run_whose_first_event_could_not_be_kept_does_nothing(rt, scripted, monkeypatch):
    """The disk is full as it begins: no call is made, who waits gets the error, and no run without a beginning is stored."""
    provider = scripted(lambda request: reply("fine"))
    create = rt.store.create

    def full(run):
        log = create(run)

        async def fails():
            raise StoreUnavailable("the disk is full.")

        monkeypatch.setattr(type(log), "append", lambda self, events: fails())
        return log

    monkeypatch.setattr(rt.store, "create", full)
    run = rt.start(orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50), {"x": 1})
    with pytest.raises(StoreUnavailable):
        await run
    assert provider.requests == []
    with pytest.raises(RunNotFound):
        rt.store.read(run.run)


# ------------------------------------------------------------------ values
class Cat(str, enum.Enum):  # noqa: UP042  (the spelling of most programs)
    BILLING = "billing"


async def test_an_enum_is_its_value_in_results_switches_conditions_inputs_prompts_and_batch_cells(rt, scripted):
    """A switch on `Cat.BILLING` goes to `billing`, a condition on it holds, and a prompt says what it holds."""
    vendor = scripted(lambda request: reply("ok"))
    names = {
        "classify": lambda: {"category": Cat.BILLING},
        "billing": agent("billing", "Category: {{ classify.category }}"),
        "other": lambda: "other",
        "paid": lambda classify: classify["category"],
    }
    cell = "classify -> {billing} by classify.category else other\nbilling -> paid when classify.category == 'billing'"
    run = await orch.run(orch.Graph.from_cell("g", cell), namespace=names)
    assert run["classify"] == {"category": "billing"}
    assert run["paid"] == "billing"
    assert vendor.requests[0].messages[-1].content == "Category: billing"

    await orch.run(agent("a", "Category: {{ c }}"), c=Cat.BILLING)
    batch = start_batch(rt, agent("a", "Category: {{ c }}"), [{"c": Cat.BILLING}])
    await batch
    assert [r.messages[-1].content for r in vendor.requests[1:]] == ["Category: billing"] * 2
    assert batch.rows[0].inputs == {"c": "billing"}
