"""Routes through the whole stack but the network: decisions are events, resumed and replayed, inside every budget."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.errors import (
    AuthFailed,
    BadRequest,
    BudgetExceeded,
    ContextTooLong,
    MalformedReply,
    NodeFailed,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from orch_nb.runtime.batch import resume_batch
from orch_nb.schema import events as ev
from orch_nb.trace.bill import bill
from orch_nb.trace.decisions import choices
from orch_nb.trace.spans import spans
from tests.unit.runtime.conftest import reply
from tests.unit.runtime.routed import YES, agent, calls, decisions

NO, BAD = '{"label": "no"}', "nonsense"
ERRORS = [AuthFailed, RateLimited, ContextTooLong, BadRequest, ProviderUnavailable, ProviderTimeout, MalformedReply]


CASCADE = {"cascade": ["small", "big"]}


# ------------------------------------------------------------------ each way, recorded
async def test_a_rule_table_routes_and_the_matching_rule_is_in_the_trace(models):
    """Static routing: task type -> model, with the rule that held, in the log and in `why`."""
    made = models(big=[YES], small=[YES])
    rules = {"rules": [{"when": "kind in ['legal']", "model": "big"}], "else": "small"}
    run = await orch.run(agent(rules), text="hi", kind="legal")
    other = await orch.run(agent(rules), text="hi", kind="sales")

    assert (calls(run), calls(other)) == (
        [("route", "rules"), ("model", "big")],
        [("route", "rules"), ("model", "small")],
    )
    assert len(made["big"].requests) == len(made["small"].requests) == 1
    choice = choices(spans(run.events), "a")[0]
    assert choice.because == "rule 1 is true: kind in ['legal'] (kind = \"legal\")"
    assert [(o.name, o.verdict) for o in choice.options] == [("big", "chosen"), ("small", "not chosen")]


async def test_a_decision_costs_nothing_and_holds_nothing(rt, models):
    """$0, no reservation, no tokens: only the model's call is in the bill."""
    models(small=[YES])
    run = await orch.run(agent({"keywords": {"big": ["sue"]}, "else": "small"}), text="hi", budget="0.01")

    assert run.spent_usd == Decimal("0.0001")
    assert rt.store.balance(f"run:{run.run}").held_usd == 0
    assert bill(run.events).total.calls == 1


async def test_similar_examples_choose_the_model(rt, models):
    """By embeddings: the scores of all candidates are recorded. (The embedder counts letters here.)"""
    import numpy as np

    class Letters:
        name, dimensions = "letters", 26

        def embed(self, texts):
            rows = np.array([[t.lower().count(chr(97 + i)) for i in range(26)] for t in texts], dtype="float32") + 1e-6
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    rt._embedder = Letters()
    models(big=[YES])
    route = {"similar": {"big": ["zzzz zz"], "small": ["eeee aa"]}}
    run = await orch.run(agent(route, prompt="{{ text }}"), text="zzz")

    made = decisions(run)[0]
    assert made["offer"] == "big"
    assert all(row["score"] is not None for row in made["candidates"])
    assert made["seen"]["embedder"] == "letters"


async def test_the_judges_call_is_billed_once_and_shows_its_reasoning(rt, models):
    """Dynamic routing: the judge's own call is an event with its own cost, and its reason is in the decision."""
    made = models(big=['{"choice": "mid", "reason": "it holds a syntax error"}'], mid=[YES])
    run = await orch.run(agent({"judge": "big", "models": ["small", "mid"]}), text="x = = 1")

    assert calls(run) == [("route", "judge"), ("model", "big"), ("route", "judge"), ("model", "mid")]
    assert run.spent_usd == Decimal("0.011")
    assert len(made["big"].requests) == 1
    assert decisions(run)[1]["because"] == "`big` chose it: it holds a syntax error"
    assert {line.name: line.spent_usd for line in bill(run.events).models} == {
        "big": Decimal("0.01"),
        "mid": Decimal("0.001"),
    }


async def test_a_cascade_stops_early_and_escalates_only_on_failure(models):
    """The cheap answer that fits is the answer; one that does not fit is escalated, and the ladder is recorded."""
    made = models(small=[YES, BAD], big=[NO])
    early = await orch.run(agent(CASCADE), text="hi")
    late = await orch.run(agent(CASCADE), text="ho")

    assert (early.result(), late.result()) == ({"label": "yes"}, {"label": "no"})
    assert (len(made["small"].requests), len(made["big"].requests)) == (2, 1)
    finished = next(e for e in late.events if isinstance(e, ev.Finished))
    assert [(r["offer"], r["passed"]) for r in finished.decision["route"]["ladder"]] == [
        ("small", False),
        ("big", True),
    ]


async def test_the_smallest_model_that_passes_a_function_of_the_notebook(models):
    """`check(FUNCTION)` runs the notebook's own test on each answer of a cascade; it may use the reads too."""

    def passes(answer, text):
        return answer["label"] == "no" and text == "hi"

    models(small=[YES], mid=[NO])
    route = {"cascade": ["small", "mid", "big"], "by": "check(passes)"}
    run = await orch.run(agent(route), text="hi", namespace={"passes": passes})

    assert run.result() == {"label": "no"}
    assert [c for c in calls(run) if c[0] == "check"] == [("check", "passes")] * 2
    ladder = next(c for c in choices(spans(run.events)) if c.of == "answer")
    assert ladder.steps == ["small: did not pass, `passes` said no", "mid: passed, `passes` said yes"]


async def test_a_check_that_is_missing_or_breaks_is_a_failed_rung_and_says_so(models):
    """A test that cannot be made passes nobody: its error is in the ladder."""
    models(small=[YES], big=[YES])
    run = await orch.run(agent({**CASCADE, "by": "check(nowhere)"}), text="hi", namespace={})
    assert "`nowhere`, which checks the answer, is not defined" in run.events[-1].error.message


async def test_auto_climbs_over_the_notebooks_models_and_asks_the_only_one(rt, models):
    """Without evidence `auto` is a cascade over the models that the notebook names."""
    models(small=[BAD], mid=[YES])
    run = await orch.run(agent("auto"), text="hi")
    assert calls(run) == [("route", "auto"), ("model", "small"), ("route", "auto"), ("model", "mid")]
    assert [row["offer"] for row in decisions(run)[0]["candidates"]] == ["big", "mid", "small"]


async def test_a_second_opinion_shows_both_answers_and_the_synthesis(models):
    """Below the threshold the mapped model answers too: both answers, the synthesis and its cost are in the trace."""
    models(small=[YES, NO], big=[NO, NO])
    maker = orch.Agent(
        "a", "Label {{ text }}", model="small", out="{label: yes | no}", max_tokens=50, second_opinion="big"
    )
    run = await orch.run(maker, text="hi")

    assert run.result() == {"label": "no"}
    assert run.spent_usd == Decimal("0.0202")
    choice = next(c for c in choices(spans(run.events)) if c.how == "second opinion")
    assert [(o.name, o.why) for o in choice.options] == [
        ("small", 'it answered {label: "yes"}'), ("big", 'it answered {label: "no"}'),
    ]  # fmt: skip
    assert choice.seen[0].startswith("synthesis by big")


async def test_a_second_opinion_stays_inside_the_budget(models):
    """Without room for the dear model the first answer is used, and the record says what the other would have cost."""
    made = models(small=[YES, NO], big=[NO, NO])
    maker = orch.Agent(
        "a", "Label {{ text }}", model="small", out="{label: yes | no}", max_tokens=50, second_opinion="big"
    )
    run = await orch.run(maker, text="hi", budget="0.005")

    assert run.result() == {"label": "yes"}
    assert made["big"].requests == []
    finished = next(e for e in run.events if isinstance(e, ev.Finished))
    assert "is left in run:" in finished.decision["route"]["second_opinion"]["refused"]


# ------------------------------------------------------------------ faults
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
@pytest.mark.parametrize(
    "route", [CASCADE, {"keywords": {"small": ["hi"]}, "else": "big"}], ids=["cascade", "keywords"]
)
async def test_a_candidate_that_is_down_gives_way_to_the_next(models, route, error):
    """Whatever typed error a provider ends in, the next offer of the decision answers, and the record says why."""
    models(small=[error("it is down")], big=[YES])
    run = await orch.run(agent(route), text="hi")

    assert run.result() == {"label": "yes"}
    assert [t for k, t in calls(run) if k == "model"] == ["small", "big"]
    finished = next(e for e in run.events if isinstance(e, ev.Finished))
    assert error.__name__ in str(finished.decision["route"])


@pytest.mark.parametrize("error", [AuthFailed, BadRequest], ids=lambda e: e.__name__)
async def test_a_resumed_conversation_reads_each_recorded_answer_as_the_one_it_was(rt, models, error):
    """One answered or failed before the last one failed: a resume continues after that, and calls the last one again."""
    made = models(small=[error("no key")], big=[error("no key"), YES])
    run = await orch.run(agent(CASCADE), text="hi")
    assert run.status == "failed"
    again = await rt.resume(run.run)
    assert (again.status, again.output) == ("done", {"label": "yes"})
    assert [len(made[name].requests) for name in ("small", "big")] == [1, 2]

    made = models(small=[BAD], big=[error("no key"), YES])
    run = await orch.run(agent(CASCADE), text="hi")
    assert run.status == "failed"
    again = await rt.resume(run.run)
    assert (again.status, again.output) == ("done", {"label": "yes"})
    assert [len(made[name].requests) for name in ("small", "big")] == [1, 2]


async def test_a_provider_that_keeps_failing_is_left_out_until_it_may_be_tried(rt, models):
    """After three failures in a row the decision refuses it with the figures; nothing is sent to it. (A new run tries again.)"""
    made = models(small=lambda r: ProviderUnavailable("down"), big=lambda r: reply(YES))
    rt.availability.clock = lambda: 100.0
    graph = orch.Graph("g").chain("a", "b", "c", "d")
    names = {
        n: orch.Agent(n, "Label {{ text }}", out="{label: yes | no}", route=CASCADE, max_tokens=50, retry=1)
        for n in "abcd"
    }
    run = await orch.run(graph, text="hi", namespace=names)

    assert run.status == "done"
    assert len(made["small"].requests) == 3
    assert calls(run)[-2:] == [("route", "cascade"), ("model", "big")]
    assert "failed 3 times in a row" in decisions(run)[-1]["candidates"][0]["refused"]


async def test_the_decision_that_tries_a_provider_again_is_not_its_own_obstacle(rt, models):
    """After the cooldown one call may try: the routed call that was chosen is that call, and closes the circuit."""
    made = models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    now = [100.0]
    rt.availability.clock = lambda: now[0]
    for _ in range(3):
        rt.availability.note(
            "smallco", "small", ev.ErrorInfo("ORCH305", "ProviderUnavailable", "down", "transient"), 0.0
        )
    now[0] += 60.0
    run = await orch.run(agent(CASCADE), text="hi")

    assert [t for k, t in calls(run) if k == "model"] == ["small"]
    assert len(made["small"].requests) == 1
    assert rt.availability.why_not("smallco") == ""


async def test_a_candidate_without_a_key_is_refused_and_the_others_answer(rt, models, monkeypatch):
    """A missing key does not fail a routed agent: the decision names it, the other models answer."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    models(big=[YES])
    rt.models.set(small="openai/gpt-4o-mini")
    run = await orch.run(agent(CASCADE), text="hi")

    assert run.result() == {"label": "yes"}
    refused = {row["offer"]: row["refused"] for row in decisions(run)[0]["candidates"]}
    assert "OPENAI_API_KEY" in refused["small"]


async def test_nothing_fits_and_every_reason_is_told(rt, models):
    """NoOffer says why each candidate was refused; nothing was sent, nothing is billed."""
    models()
    for name in ("new", "newer"):
        rt.models.add(name, f"{name}-1", "bigco")
    run = await orch.run(agent({"cascade": ["new", "newer"]}), text="hi", budget="1")

    with pytest.raises(NodeFailed, match=r"`new`: its price is unknown.* `newer`: its price is unknown"):
        run.result()
    assert calls(run) == [("route", "cascade")]
    assert [row["refused"] != "" for row in choices_of(run)] == [True, True]


def choices_of(run):
    return decisions(run)[0]["candidates"]


# ------------------------------------------------------------------ money
async def test_an_escalation_cannot_pass_the_budget(rt, models):
    """The dearer model is refused before it is reserved when the budget has no room; an unfit answer is not a result."""
    made = models(small=[BAD], big=[YES])
    run = await orch.run(agent(CASCADE), text="hi", budget=await bound_of_big())

    assert made["big"].requests == []
    assert run.status == "failed"
    assert run.events[-1].error.type == "BudgetExceeded"
    assert [e for e in run.events if isinstance(e, ev.Sent) and e.target == "big"] == []
    balance = rt.store.balance(f"run:{run.run}")
    assert (balance.spent_usd, balance.held_usd, balance.in_doubt_usd) == (Decimal("0.0001"), 0, 0)


async def test_a_budget_that_refuses_the_next_rung_keeps_the_answer_there_is(rt, models):
    """With low agreement and no money the cheap answer is used, marked as not passed, inside the budget."""
    models(small=[YES, NO], big=[YES])
    route = {**CASCADE, "by": "agreement(2)"}
    run = await orch.run(agent(route), text="hi", budget=await bound_of_big())

    assert run.result() == {"label": "yes"}
    finished = next(e for e in run.events if isinstance(e, ev.Finished))
    assert "no step passed" in finished.decision["route"]["because"]
    assert run.spent_usd == Decimal("0.0002")


async def bound_of_big():
    """Return the most that the dear model may cost, as a refusal says: room for it before another call, not after."""
    refused = await orch.run(agent(CASCADE), text="hi", budget="0")
    return decisions(refused)[0]["candidates"][1]["refused"].split("$")[1].split(",")[0]


async def test_where_the_dear_rung_never_fits_the_cheap_one_is_the_top(rt, models):
    """Refused from the start, the dear model is not in the cascade: the cheap answer is repaired, as the last model's is."""
    made = models(small=[BAD, YES], big=[YES])
    run = await orch.run(agent(CASCADE), text="hi", budget="0.01")

    assert run.result() == {"label": "yes"}
    assert (len(made["small"].requests), len(made["big"].requests)) == (2, 0)


async def test_an_escalation_is_no_alarm_and_nothing_that_was_up_was_waited_for(models):
    """A ladder that comes to its dear model costs what was to be expected; the record invents no waiting."""
    models(small=[BAD], big=[YES])
    run = await orch.run(agent(CASCADE), text="hi")
    text = run._repr_mimebundle_()["text/plain"]
    assert "times what each agent asked once is expected to cost" not in text
    assert "was down" not in text
    assert "was down" not in str(run.events)


WAYS = [
    {"route": {"cascade": ["small", "mid", "big"]}}, {"route": {**CASCADE, "by": "agreement(3)"}}, {"route": "auto"},
    {"route": {"judge": "mid", "models": ["small", "big"]}}, {"model": "small", "second_opinion": "big"},
    {"route": {"keywords": {"big": ["hi"]}, "else": "small"}, "second_opinion": {"model": "mid", "by": "agreement(2)"}},
]  # fmt: skip


@pytest.mark.parametrize("seed", range(24))
async def test_escalations_judges_samples_and_opinions_stay_inside_any_budget(rt, models, seed):
    """Whatever is answered and whatever the limit: spent + held + in doubt <= limit, held = 0 at the end, and the
    providers' own count of what they served is what is booked."""
    draw = random.Random(seed)
    served = []

    def answer(usd):
        def make(request):
            said = draw.choice([YES, NO, BAD, ProviderUnavailable("down"), '{"choice": "big", "reason": "r"}'])
            if isinstance(said, str):
                served.append(Decimal(usd))
            return reply(said) if isinstance(said, str) else said

        return make

    models(small=answer("0.0001"), mid=answer("0.001"), big=answer("0.01"))
    limit = Decimal(draw.choice(["0.0005", "0.004", "0.02", "0.05", "0.2"]))
    keys = {**draw.choice(WAYS)}
    maker = orch.Agent("a", "Label {{ text }}", out="{label: yes | no}", max_tokens=50, retry=1, **keys)
    run = await orch.run(maker, text="hi", budget=limit)

    balance = rt.store.balance(f"run:{run.run}")
    assert balance.spent_usd + balance.in_doubt_usd <= limit
    assert balance.held_usd == 0
    assert balance.spent_usd == sum(served)


# ------------------------------------------------------------------ resume
async def test_a_resume_in_mid_ladder_decides_nothing_again(rt, models):
    """The dear model fails for good; after the resume the recorded decision is used, and no model is called twice."""
    made = models(small=[BAD], big=[ProviderUnavailable("down"), reply(YES)])
    run = await orch.run(agent(CASCADE), text="hi")
    assert run.status == "failed"
    before = decisions(run)
    again = await orch.resume(run.run, namespace={"a": agent(CASCADE)})

    assert again.result() == {"label": "yes"}
    assert decisions(again)[: len(before)] == before
    assert len(made["big"].requests) == 2


async def test_a_judge_is_not_asked_again_by_a_resume(rt, models):
    """The judge's answer is recorded: a resume after it pays for the agent's answer only."""
    made = models(big=['{"choice": "mid", "reason": "hard"}'], mid=[ProviderUnavailable("down"), reply(YES)], small=[ProviderUnavailable("down")])  # fmt: skip
    maker = agent({"judge": "big", "models": ["small", "mid"]})
    run = await orch.run(maker, text="hi")
    again = await orch.resume(run.run, namespace={"a": maker})

    assert again.result() == {"label": "yes"}
    assert len(made["big"].requests) == 1
    assert sum(1 for k, t in calls(again) if t == "big") == 1


async def test_the_decision_of_a_run_survives_other_facts(rt, models):
    """Prices and availability may change: a run continues with its decision."""
    models(small=[YES])
    run = await orch.run(agent(CASCADE), text="hi")
    rt.models.add("small", "small-1", "smallco", price={"input": 9999, "output": 9999})
    opened = orch.open_run(run.run)
    assert decisions(opened)[0]["order"] == ["small", "big"]
    assert choices(spans(opened.events), "a")[0].chosen == "small"


@pytest.mark.parametrize(("below", "is_asked"), [(None, False), (0.75, False), (0.8, True)])
async def test_the_threshold_of_a_second_opinion_is_its_own(models, below, is_asked):
    """Three of four answers agree, 0.75: enough for the default of 0.7 and for 0.75 itself, and not for a threshold of 0.8."""
    models(small=[YES, NO, YES, YES], big=lambda r: reply(NO))
    rule = {"model": "big", "by": "agreement(4)", **({} if below is None else {"below": below})}
    maker = orch.Agent(
        "a", "Label {{ text }}", model="small", out="{label: yes | no}", max_tokens=50, second_opinion=rule
    )
    run = await orch.run(maker, text="hi")
    asked = [target for kind, target in calls(run) if kind == "model"]
    assert asked.count("small") == (2 if is_asked else 4), "0.8 is out of reach once one of two disagrees"
    assert ("big" in asked) is is_asked


@pytest.mark.parametrize(
    "route", [CASCADE, {"keywords": {"big": ["hi"]}, "else": "small"}, {"learned": ["small", "big"]}]
)
async def test_a_routed_agent_meets_its_budget_as_any_other_does(rt, models, route):
    """If no candidate fits what is left, the run stops at its limit with that error, and resumes once there is more."""
    models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    run = await orch.run(agent(route), text="hi", budget="0.00001")
    with pytest.raises(BudgetExceeded, match="asks for up to"):
        run.result()
    assert run.spent_usd == 0
    again = await orch.resume(run.run, budget="1", namespace={"a": agent(route)})
    assert again.result() == {"label": "yes"}


async def test_rows_of_a_routed_batch_are_pending_at_the_limit(rt, models):
    """A row whose candidates are all too dear for what is left is pending, and a resume with more money answers it."""
    models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    rows = [{"text": f"t {n}"} for n in range(4)]
    made = await orch.batch(agent(CASCADE), rows, budget="0.0005")
    assert {r.status for r in made.rows} == {"done", "pending"}
    assert made.stopped == "the budget is used up"
    again = await resume_batch(rt, made.run, budget="1", namespace={"a": agent(CASCADE)})
    assert [r.status for r in again.rows] == ["done"] * 4


async def test_a_routed_agent_asks_for_more_where_its_budget_says_so(rt, models):
    """`ask` at the limit is asked of a person whatever chose the model."""
    models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    run = await orch.run(agent(CASCADE), text="hi", budget="0.00001 ask", attended=True)
    assert run.status == "waiting"
    run.answer("raise", "1")
    await run
    assert run.result() == {"label": "yes"}
