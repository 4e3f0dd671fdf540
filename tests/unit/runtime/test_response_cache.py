"""The response cache: `cache: 1d` gives an earlier answer to the very same request again, for $0, while it is fresh."""

from __future__ import annotations

from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.agents.binding import callables, compile_in
from orch_nb.engine.ports import Policy
from orch_nb.errors import BadOption, ProviderUnavailable
from orch_nb.estimates.history import past_run
from orch_nb.estimates.quote import quote_run
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema.agent_spec import duration_s
from orch_nb.schema.events import saved_by, source_of
from orch_nb.trace.bill import bill
from tests.support import InstantClock
from tests.unit.runtime.conftest import reply

DAY = 86_400.0


def asking(**keys):
    """An agent whose answers are kept for a day."""
    return orch.Agent("a", "Say {{ x }}", model="m", max_tokens=50, **{"cache": "1d", **keys})


def settled(run):
    """The model calls' answers of a run."""
    return [e for e in run.events if isinstance(e, ev.Settled)]


def test_the_same_request_is_answered_from_the_run_before(rt, scripted):
    """One call is made for two runs; the hit is an event with $0, no tokens, and what the answer was billed."""
    provider = scripted([reply("one"), reply("two")])
    first = orch.run_sync(asking(), x="hi")
    second = orch.run_sync(asking(), x="hi")
    assert len(provider.requests) == 1
    assert first.output == second.output == "one"
    (made,), (hit,) = settled(first), settled(second)
    assert (hit.note, hit.cost_usd, hit.usage) == ("cached", 0, None)
    assert source_of(hit)["run"] == first.run
    assert saved_by(hit) == made.cost_usd == Decimal("0.01")
    assert saved_by(made) is None
    assert orch.run_sync(asking(), x="other").output == "two"


def test_the_bill_shows_hits_and_what_they_saved(rt, scripted):
    """A hit makes no call and costs nothing; the bill counts it, and the dollars its answer was billed."""
    scripted([reply("one")])
    orch.run_sync(asking(), x="hi")
    total = bill(orch.run_sync(asking(), x="hi").events).total
    assert (total.calls, total.hits, total.spent_usd, total.saved_usd) == (0, 1, 0, Decimal("0.01"))
    assert total.tokens == 0


def test_an_answer_shows_where_it_is_from(rt, scripted):
    """Trace and panel say that the answer came from the cache, of which run, and what it saved."""
    scripted([reply("one")])
    orch.run_sync(asking(), x="hi")
    text = orch.run_sync(asking(), x="hi")._repr_mimebundle_()["text/plain"]
    assert "answer of run 1 from the cache" in text
    assert "saved $0.0100 (1 from the cache)" in text


def test_without_the_key_every_answer_is_asked_for(rt, scripted):
    """Nothing is kept unless it was asked for; and an agent without the key is not served from another's answers."""
    provider = scripted(lambda _: "x")
    orch.run_sync(asking(), x="hi")
    orch.run_sync(asking(cache=None), x="hi")
    assert len(provider.requests) == 2


def test_another_graph_of_the_store_is_served_too(rt, scripted):
    """The request counts, not where it comes from: another node of another graph gets the same answer."""
    provider = scripted([reply("one")])
    orch.run_sync(asking(), x="hi")
    graph = orch.Graph("g").chain("b")
    named = orch.Agent("b", "Say {{ x }}", model="m", max_tokens=50, cache="2h")
    assert orch.run_sync(graph, namespace={"b": named}, x="hi").output == "one"
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("later_s", "calls"), [(DAY - 10, 1), (DAY + 10, 2)])
async def test_an_answer_is_fresh_for_its_time_by_the_runs_clock(rt, scripted, later_s, calls):
    """Up to a day after the billed call it is given again, then it is asked for."""
    provider = scripted(lambda _: "x")
    plan = compile_in(asking(), {})
    bound, clock = callables(plan, {}), InstantClock()
    await rt.run_here(plan, {"x": "hi"}, bound, policy=Policy(attended=False, clock=clock))
    clock.time += later_s
    await rt.run_here(plan, {"x": "hi"}, bound, policy=Policy(attended=False, clock=clock))
    assert len(provider.requests) == calls


async def test_a_hit_does_not_make_an_answer_younger(rt, scripted):
    """Two hits within the time do not add up to more of it: what counts is when the answer was billed."""
    provider = scripted(lambda _: "x")
    plan = compile_in(asking(), {})
    bound, clock = callables(plan, {}), InstantClock()
    for _ in range(3):
        await rt.run_here(plan, {"x": "hi"}, bound, policy=Policy(attended=False, clock=clock))
        clock.time += 0.6 * DAY
    assert len(provider.requests) == 2, "made at 0.0, given again at 0.6, asked for at 1.2 days"


def test_voters_stay_voters(rt, scripted):
    """Three equal requests of one run are three answers; the next run gets the same three, in their order, once each."""
    answers = iter(["yes", "no", "yes indeed"])
    provider = scripted(lambda _: next(answers))
    graph = orch.Graph.from_cell("g", "%%graph g\n{v1, v2, v3}: agent voter\nstart -> {v1, v2, v3} -> count\n")
    names = {
        "voter": orch.Agent("voter", "Vote on {{ x }}", model="m", temperature=1.0, cache="1d"),
        "start": lambda x: x,
        "count": lambda v1, v2, v3: [v1, v2, v3],
    }
    first = orch.run_sync(graph, namespace=names, x="it")
    second = orch.run_sync(graph, namespace=names, x="it")
    assert len(provider.requests) == 3
    assert len(set(first.output)) == 3
    assert sorted(first.output) == sorted(second.output)


def test_a_conversation_that_failed_is_not_given_again(rt, scripted):
    """Answers of an activation that failed for good would fail again for a day: they are asked for again."""
    provider = scripted(["no number", "still none", "41"])
    agent = orch.Agent("a", "{{ x }}", model="m", out="{n: int}", cache="1d")
    assert orch.run_sync(agent, x="hi").status == "failed"
    scripted_again = orch.ScriptedProvider(lambda _: {"n": 41}, name="vendor")
    rt.add_provider(scripted_again)
    assert orch.run_sync(agent, x="hi").output == {"n": 41}
    assert len(provider.requests) == 2
    assert len(scripted_again.requests) == 1


def test_a_repaired_conversation_is_given_again_whole(rt, scripted):
    """The wrong first answer and its repair are both taken from the cache: the same conversation, the same end, $0."""
    provider = scripted(["nonsense", {"n": 41}])
    agent = orch.Agent("a", "{{ x }}", model="m", out="{n: int}", cache="1d")
    assert orch.run_sync(agent, x="hi").output == {"n": 41}
    again = orch.run_sync(agent, x="hi")
    assert again.output == {"n": 41}
    assert [e.note for e in settled(again)] == ["cached", "cached"]
    assert len(provider.requests) == 2


def test_a_retry_is_the_same_occurrence(rt, scripted):
    """A call that failed and was made again counts once: the next run finds its one answer."""
    provider = scripted([ProviderUnavailable("503", provider="vendor"), reply("one")])
    orch.run_sync(asking(), x="hi")
    assert orch.run_sync(asking(), x="hi").output == "one"
    assert len(provider.requests) == 2


def test_a_hit_needs_no_room_in_the_budget(rt, scripted):
    """A free answer is not refused: with the budget used up, the recorded answer is still given."""
    provider = scripted([reply("one")])
    rt.set_budget("0.02")
    orch.run_sync(asking(), x="hi").result()
    rt.set_budget("0.01")
    assert orch.run_sync(asking(), x="hi").result() == "one"
    assert len(provider.requests) == 1


def test_answers_go_with_their_run(rt, scripted):
    """A deleted run's answers are not given again: there is no second copy of them."""
    provider = scripted(lambda _: "x")
    first = orch.run_sync(asking(), x="hi")
    rt.run_loop.ask(rt.store.delete, first.run)
    orch.run_sync(asking(), x="hi")
    assert len(provider.requests) == 2


def test_another_process_finds_the_answers(tmp_path, scripted, rt):
    """The answers are in the store's file: a runtime that opens it later gives them again."""
    for number in (1, 2):
        provider = orch.ScriptedProvider(lambda _: "x", name="vendor")
        own = Runtime(tmp_path, models=rt.models)
        rt.models.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
        own.add_provider(provider)
        run = own.start(asking(), {"x": "hi"}).wait(10)
        assert run.output == "x"
        assert len(provider.requests) == (1 if number == 1 else 0)
        own.close()


def test_a_quote_knows_what_is_recorded(rt, scripted):
    """A step whose answer is kept is quoted at $0, so is the next one when that makes its request known; others are not."""
    scripted(lambda _: "fine")
    names = {
        "a": asking(),
        "b": orch.Agent("b", "Then {{ a }}", model="m", max_tokens=50, cache="1d"),
        "c": orch.Agent("c", "Last {{ b }}", model="m", max_tokens=50),
    }
    graph = orch.Graph("g").chain("a", "b", "c")
    assert quote_run(rt, graph, {"x": "hi"}, namespace=names).recorded == []
    orch.run_sync(graph, namespace=names, x="hi").result()
    quote = quote_run(rt, graph, {"x": "hi"}, namespace=names)
    assert quote.recorded == ["a", "b"]
    run = orch.run_sync(graph, namespace=names, x="hi")
    assert quote.low_usd <= run.spent_usd <= quote.high_usd
    assert quote.high_usd < quote_run(rt, graph, {"x": "other"}, namespace=names).high_usd


def test_a_hit_counts_in_quotes_as_what_it_would_cost(rt, scripted):
    """Earlier runs that were served from the cache say what the next one costs when it is not."""
    scripted([reply("one")])
    orch.run_sync(asking(), x="hi")
    second = orch.run_sync(asking(), x="hi")
    assert past_run(second.events).usd(rt.models) == {"a": Decimal("0.01")}


def test_an_agent_with_effects_keeps_no_answers():
    """An answer that leads to an effect is not given again unseen: the definition is refused, with the way out."""

    @orch.tool(effects="mail")
    def send(text: str) -> str:
        """Send a mail."""
        return text

    with pytest.raises(BadOption, match="`cache` and the effects mail"):
        orch.Agent("a", "{{ x }}", tools=[send], effects=["mail"], cache="1d")


@pytest.mark.parametrize("bad", ["1", "d", "0s", "1 y", "-1d", "1e3s", 5, True, "9999999w"])
def test_a_time_that_is_none_is_refused(bad):
    """A duration is a number and a unit, above 0, at most ten years; what was wrong is said with the key."""
    with pytest.raises(ValueError, match="must be"):
        duration_s(bad)
    with pytest.raises(BadOption, match="cache"):
        orch.Agent("a", "{{ x }}", cache=bad)


def test_the_key_round_trips_and_is_no_part_of_the_definitions_hash():
    """A cell keeps the key as it was typed; how long answers are kept changes nothing in what comes out."""
    from orch_nb.agents.fingerprint import node_fingerprint

    agent = orch.Agent("a", "Say {{ x }}", cache="12h")
    assert "12h" in agent.to_cell()
    line, _, body = agent.to_cell().partition("\n")
    assert orch.Agent.from_cell(line.removeprefix("%%agent "), body) == agent
    plain = orch.Agent("a", "Say {{ x }}")
    assert node_fingerprint("agent", agent.definition()) == node_fingerprint("agent", plain.definition())
