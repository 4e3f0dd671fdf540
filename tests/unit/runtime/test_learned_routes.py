"""Learned routes: evidence decides, after a person has accepted it; every decision names the acceptance."""

from __future__ import annotations

from decimal import Decimal

import pytest

import orch_nb as orch
from orch_nb.catalog.offers import Offer
from orch_nb.errors import BadOption, CorruptStore, ProviderUnavailable
from orch_nb.providers.local_models.embeddings import HashingEmbedder
from orch_nb.routing.evidence import Evidence
from orch_nb.routing.learned.proposal import Log, Rule, accepted_for
from orch_nb.runtime.evidence import evidence_of
from orch_nb.runtime.learned_routes import accept_route, calibrate, propose_route, reject_route
from orch_nb.store.approvals import Accepted
from tests.unit.runtime.conftest import reply
from tests.unit.runtime.routed import YES, agent, calls, decisions

pytest.importorskip("numpy")
LEARNED = {"learned": ["small", "big"], "minimum": 5, "tradeoff": 0.5, "baseline": "big"}


def evidence(offer, number, quality, *, task="a"):
    usd = {"small": "0.0001", "big": "0.01"}[offer]
    prompt = f"Label question {number}"
    return Evidence(task, offer, f"{offer}-1", f"{offer}co", prompt, quality, Decimal(usd), 0.1, "compare", "exact", float(number), f"{task}/{offer}/{number}")  # fmt: skip


def both_right(rt, n=8):
    """The cheap model is as good as the dear one. (Hashed words embed: no model has to be loaded for that.)"""
    rt._embedder = HashingEmbedder()
    rt.add_evidence([evidence(offer, i, 1.0) for offer in ("small", "big") for i in range(n)])


def all_say_yes(models):
    return models(small=lambda r: reply(YES), big=lambda r: reply(YES))


async def test_without_evidence_the_baseline_answers(rt, models):
    """Never below the static choice: no outcome, no learned choice."""
    all_say_yes(models)
    run = await orch.run(agent(LEARNED), text="hi")
    assert calls(run) == [("route", "learned"), ("model", "big")]
    assert decisions(run)[0]["seen"]["outcomes of small"] == 0


async def test_a_learned_rule_applies_after_acceptance_only(rt, models):
    """The proposal shows its evidence; unaccepted, the baseline answers and says so; accepted, the rule does, by name."""
    all_say_yes(models)
    both_right(rt)
    maker = agent(LEARNED)
    before = await orch.run(maker, text="hi")
    proposed = propose_route(rt, maker)
    accept_route(rt, maker, by="Ann")
    after = await orch.run(maker, text="hi")
    reject_route(rt, maker)
    last = await orch.run(maker, text="hi")

    assert [calls(r)[-1][1] for r in (before, after, last)] == ["big", "small", "big"]
    assert "is not accepted (it would choose `small`" in decisions(before)[0]["because"]
    assert "accepted on " in decisions(after)[0]["because"]
    assert "by Ann with 16 outcomes" in decisions(after)[0]["because"]
    assert all(row["score"] is not None for row in decisions(after)[0]["candidates"])
    assert (proposed.accepted, proposed.outcomes, [r.outcomes for r in proposed.rows]) == (None, 16, [8, 8])
    assert proposed.saving > 0.9


async def test_auto_learns_where_it_may_and_cascades_where_it_may_not(rt, models):
    """Evidence alone does not choose: `auto` cascades, says what waits to be accepted, and follows the rule afterwards."""
    all_say_yes(models)
    rt.models._own.pop("mid")
    both_right(rt, 30)
    maker = agent("auto")
    before = await orch.run(maker, text="hi")
    accept_route(rt, maker)
    after = await orch.run(maker, text="hi")

    assert decisions(before)[0]["by"] == "cascade"
    assert "`%orch route a`" in decisions(before)[0]["because"]
    assert decisions(after)[0]["by"] == "learned"


async def test_too_little_evidence_cannot_be_accepted(rt, models):
    """Four outcomes where five are needed: the refusal says how many there are."""
    models()
    rt.add_evidence([evidence(offer, i, 1.0) for offer in ("small", "big") for i in range(4)])
    with pytest.raises(BadOption, match="`small` has 4"):
        accept_route(rt, agent(LEARNED))
    with pytest.raises(BadOption, match="must have a route that learns, got one model"):
        propose_route(rt, orch.Agent("a", "x", model="small"))


async def test_a_refused_choice_of_the_rule_gives_way(rt, models):
    """The learned choice is made among models that can answer: the window of the best is too small here, and the next best answers."""
    all_say_yes(models)
    both_right(rt)
    maker = agent(LEARNED)
    accept_route(rt, maker)
    rt.models.add("small", "small-1", "smallco", price={"input": 1, "output": 1}, context_tokens=60)
    run = await orch.run(maker, text="hi")
    assert calls(run)[-1] == ("model", "big")
    assert "`small` comes first" in decisions(run)[0]["because"]


def test_a_changed_rule_has_to_be_accepted_again():
    """Another tradeoff or another candidate is another rule."""
    rule = Rule("a", ("small", "big"), 30, 0.7, "big")
    entry = {"rule": rule.as_data(), "on": "2026-11-21", "by": "", "outcomes": 80}
    assert accepted_for(rule, entry) is entry
    assert accepted_for(Rule("a", ("small", "big"), 30, 0.8, "big"), entry) is None
    assert accepted_for(rule, None) is None


def test_evidence_stays_with_the_model_whatever_it_is_called():
    """`small` stood for another model when it was measured: its outcomes do not count for the new one."""
    offers = {"cheap": Offer("cheap", "small-1", "smallco"), "small": Offer("small", "other", "smallco")}
    log = Log.of([evidence("small", 1, 1.0)], offers)
    assert log.counts == {"cheap": 1, "small": 0}


def test_what_was_accepted_is_kept_beside_the_store(tmp_path):
    """Another process reads it; a file of another form is refused and not overwritten."""
    path = tmp_path / "routes.json"
    Accepted(path).put("route", "a", {"on": "2026-11-21"})
    other = Accepted(path)
    assert other.find("route", "a") == {"on": "2026-11-21"}
    Accepted(path).put("route", "a", None)
    assert other.find("route", "a") is None
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(CorruptStore, match=r"routes\.json"):
        other.find("route", "a")
    assert path.read_text(encoding="utf-8") == "[]"


async def test_labelled_answers_calibrate_the_confidence_of_later_runs(rt, models):
    """Twenty-four labels: full agreement was right in half of the cases, so it is no longer enough for 0.7."""
    made = models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    route = {"cascade": ["small", "big"], "by": "agreement(2)", "confidence": 0.7}
    before = await orch.run(agent(route), text="hi")
    kept = calibrate(rt, agent(route), [(1.0, i % 2 == 0) for i in range(24)])
    after = await orch.run(agent(route), text="hi")

    assert kept.labels == 24
    assert [c for c in calls(before) if c == ("model", "big")] == []
    assert calls(after)[-1] == ("model", "big")
    assert len(made["small"].requests) == 3  # no second sample where no agreement could be enough
    with pytest.raises(BadOption, match="must measure confidence"):
        calibrate(rt, orch.Agent("a", "x", model="small"), [])


# ------------------------------------------------------------------ evidence from runs
def is_yes(answer):
    return answer["label"] == "yes"


CHECKED = {"cascade": ["small", "big"], "by": "check(is_yes)"}


async def test_a_run_whose_answers_a_test_judged_leaves_evidence(rt, models):
    """Each answer of a cascade that the notebook's test judged is one row: model, prompt, verdict, cost; written again, it is the same."""
    models(small=lambda r: reply('{"label": "no"}'), big=lambda r: reply(YES))
    run = await orch.run(agent(CHECKED), text="hi", namespace={"is_yes": is_yes})

    rows = sorted(rt.evidence("a"), key=lambda row: row.quality)
    assert [(r.offer, r.quality, r.by, r.source, r.run) for r in rows] == [
        ("small", 0.0, "check(is_yes)", "run", run.run), ("big", 1.0, "check(is_yes)", "run", run.run),
    ]  # fmt: skip
    assert [r.cost_usd for r in rows] == [Decimal("0.0001"), Decimal("0.01")]
    assert rows[0].prompt == "Label hi"
    rt.add_evidence(evidence_of(run.run, run.events[0].plan, run.events))
    assert sorted(rt.evidence("a"), key=lambda row: row.quality) == rows


async def test_what_nobody_judged_is_no_evidence(rt, models):
    """The right form, or agreement, or a provider that fails: none of it says that an answer is right."""
    models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    await orch.run(agent({"cascade": ["small", "big"], "by": "agreement(2)"}), text="hi")
    await orch.run(agent({"cascade": ["small", "big"]}), text="hi")
    models(small=lambda r: ProviderUnavailable("down"), big=lambda r: reply(YES))
    await orch.run(agent(CHECKED), text="hi", namespace={"is_yes": is_yes})
    assert [r.offer for r in rt.evidence("a")] == ["big"]


async def test_an_answer_of_the_cache_is_not_judged_twice(rt, models):
    """A recorded answer was evidence when it was given: a second run that takes it adds no row, whatever the check says."""
    made = models(small=lambda r: reply(YES), big=lambda r: reply(YES))
    kept = agent(CHECKED, cache="1d")
    await orch.run(kept, text="hi", namespace={"is_yes": is_yes})
    before = list(rt.evidence("a"))
    again = await orch.run(kept, text="hi", namespace={"is_yes": is_yes})
    assert (again.status, len(made["small"].requests)) == ("done", 1)
    assert list(rt.evidence("a")) == before
    assert len(before) == 1
