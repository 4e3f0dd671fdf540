"""The learned choice: better than the static one where outcomes say so, never clearly worse, fast, explained, deterministic."""

from __future__ import annotations

import random
from decimal import Decimal

import numpy as np
import pytest

from orch_nb.errors import BadOption, UnknownModel
from orch_nb.routing.evidence import Evidence
from orch_nb.routing.learned.router import Learned
from tests.bench.routing_worlds import world
from tests.counting import calls_of
from tests.unit.routing.test_similarity import Words


class Few(Words):
    """Short vectors: the fits take a tenth of the time."""

    dimensions = 128


def outcome(offer: str, prompt: str, quality: float, *, cost: str | None = "0.001", key: str = "") -> Evidence:
    """One row of a log."""
    return Evidence(
        task="t", offer=offer, model=offer, provider="p", prompt=prompt, quality=quality,
        cost_usd=None if cost is None else Decimal(cost), seconds=None, source="compare", by="exact", at=0.0,
        key=key or f"{offer} {prompt}",
    )  # fmt: skip


def log_of(records: list[dict], keep: float = 1.0, seed: int = 0) -> list[Evidence]:
    """Evidence of a world's records, each outcome kept with probability `keep`."""
    chance = random.Random(seed)
    return [
        outcome(model, record["prompt"], score, cost=repr(record["costs"][model]))
        for record in records
        for model, score in record["scores"].items()
        if chance.random() < keep
    ]


def value(quality: np.ndarray, costs: np.ndarray, q: np.ndarray, c: np.ndarray) -> float:
    """Mean worth of the choices that estimates `quality`, `costs` lead to, over prices of quality from none to high."""
    rows, scale = np.arange(len(q)), c.mean(axis=0).max()
    total = []
    for price in (0.0, 0.03, 0.1, 0.2, 0.4):
        pick = (quality - price * costs / scale).argmax(axis=1)
        total.append((q - price * c / scale)[rows, pick].mean())
    return float(np.mean(total))


def compared(kind: str, size: int, models: int, seed: int, keep: float = 1.0) -> tuple[float, float]:
    """Worth of the learned and of the static choice on 500 other prompts of the same world."""
    records = world(kind, 500 + size, models=models, seed=seed)
    test, names = records[:500], sorted(records[0]["scores"])
    log = log_of(records[500:], keep, seed)
    q, c = (np.array([[r[k][m] for m in names] for r in test]) for k in ("scores", "costs"))
    learned = Learned(names, log, embed=Few())
    quality, costs = learned.predict([r["prompt"] for r in test])
    mean = [np.mean([e.quality for e in log if e.offer == m] or [0.0]) for m in names]
    paid = [np.mean([float(e.cost_usd or 0) for e in log if e.offer == m] or [1.0]) for m in names]
    static = [np.repeat(np.array(x)[None], len(test), axis=0) for x in (mean, paid)]
    return value(quality, np.where(np.isnan(costs), 1.0, costs), q, c), value(*static, q, c)


@pytest.mark.parametrize("kind", ["noise", "topic", "length", "both", "reversed"])
@pytest.mark.parametrize("size", [0, 20, 100, 600])
def test_no_world_makes_it_clearly_worse_than_the_static_choice(kind, size):
    """Whatever the text says or hides, and however short the log: the loss against each offer's mean stays
    below two points of quality, the noise of such a test."""
    pairs = [compared(kind, size, 4, seed) for seed in range(3 if size < 100 else 1)]
    assert np.mean([ours - static for ours, static in pairs]) > -0.02


@pytest.mark.parametrize("keep", [0.4])
def test_gaps_in_the_log_do_no_harm_and_do_not_hide_a_signal(keep):
    """Where most offers were not asked most prompts, topics are still learned, and noise is still not believed."""
    ours, static = compared("topic", 1400, 3, 0, keep)
    assert ours > static + 0.005
    ours, static = compared("noise", 500, 3, 0, keep)
    assert ours > static - 0.02


def test_topics_are_learned_and_said_to_rest_on_outcomes():
    """With 1,000 prompts of a world of skills the choice is better than the best fixed one, and `method` says why."""
    ours, static = compared("both", 1000, 4, 1)
    assert ours > static + 0.012
    records = world("both", 1000, models=2, seed=1)
    learned = Learned(["m00", "m01"], log_of(records), embed=Few())
    assert learned.method == "outcomes"
    assert Learned(["m00", "m01"]).method == "prior"
    assert Learned(["m00", "m01"], log_of(world("reversed", 1000, seed=3))).method != "prior"


def test_without_outcomes_the_harder_question_is_where_the_better_model_is_expected_to_matter():
    """A word problem of many steps is expected to gain more from the first offer than a greeting or a plain question."""
    sum_of_steps = (
        "Tom has 5 apples, buys twice as many, gives a third to each of 3 friends and sells the rest at $2 each. "
        "How much money does he have if half of it is spent?"
    )
    quality, costs = Learned(["big", "small"]).predict([
        sum_of_steps,
        "What is the capital of France?",
        "Hello!",
    ])  # fmt: skip
    gain = quality[:, 0] - quality[:, 1]
    assert gain[0] > gain[1] > gain[2] > 0
    assert np.isnan(costs).all()


def test_below_the_minimum_the_baseline_is_taken_and_the_reason_counts():
    """An offer with 29 outcomes is not chosen however good they are; with 30 it is."""
    log = [outcome("small", f"question number {i}", 1.0) for i in range(29)]
    few = Learned(["big", "small"], log, baseline="big")
    assert few.choose("question", tradeoff=0.2, costs={"big": 0.1, "small": 0.001}) == (
        "big", "`big` is the baseline; `small` has 29 outcomes, 30 are needed",
    )  # fmt: skip
    enough = Learned(["big", "small"], [*log, outcome("small", "one more", 1.0)], baseline="big")
    offer, reason = enough.choose("question", tradeoff=0.2, costs={"big": 0.1, "small": 0.001})
    assert offer == "small"
    assert "(30 outcomes) before `big`" in reason
    assert Learned(["only"]).choose("question", tradeoff=0.2, costs={}) == ("only", "`only` is the only offer")


def test_the_tradeoff_moves_the_choice_from_cheap_to_good():
    """At 0 the cheapest is taken, at 1 the best; an unknown price counts as the dearest and is said."""
    log = [
        outcome(offer, f"q{i}", float(i % 10 < right), cost=cost)
        for offer, right, cost in (("good", 9, "0.1"), ("cheap", 6, "0.001"))
        for i in range(60)
    ]
    learned = Learned(["good", "cheap"], log)
    assert learned.choose("q", tradeoff=0.0, costs={})[0] == "cheap"
    assert learned.choose("q", tradeoff=1.0, costs={})[0] == "good"
    unpriced = Learned(["good", "cheap"], [outcome(e.offer, e.prompt, e.quality, cost=None) for e in log])
    offer, reason = unpriced.choose("q", tradeoff=0.5, costs={"good": 0.1, "cheap": None})
    assert offer == "good"
    assert "an unknown price" in reason
    with pytest.raises(BadOption, match="tradeoff is 2"):
        learned.choose("q", tradeoff=2, costs={})


def test_estimates_say_what_they_rest_on():
    """Mean within its interval, the number of outcomes, dollars; an offer nobody asked may be anything, at an unknown price."""
    log = [outcome("a", f"q{i}", float(i % 4 > 0)) for i in range(80)]
    a, b = Learned(["a", "b"], log).estimates("q7")
    assert (a.offer, a.n, a.cost_usd) == ("a", 80, pytest.approx(0.001))
    assert 0.6 < a.quality < 0.85
    assert 0.0 <= a.low < a.quality < a.high <= 1.0
    assert (b.n, b.low, b.high, b.cost_usd) == (0, 0.0, 1.0, None)


def test_single_outcomes_move_the_estimate_at_once():
    """Thirty failures on one topic lower that offer's estimate there, more than elsewhere, before any refit."""
    log = [outcome(o, f"{t} question {i}", 1.0) for o in ("a", "b") for t in ("tax", "garden") for i in range(50)]
    learned = Learned(["a", "b"], log, embed=Few())
    before = {t: learned.estimates(f"{t} question")[0].quality for t in ("tax", "garden")}
    for i in range(30):
        learned.learn(outcome("a", f"tax question {100 + i}", 0.0))
    after = {t: learned.estimates(f"{t} question")[0] for t in ("tax", "garden")}
    assert after["tax"].n == 130
    assert after["tax"].quality < before["tax"] - 0.15
    assert before["tax"] - after["tax"].quality > before["garden"] - after["garden"].quality
    learned.refit()
    assert learned.estimates("tax question")[0].quality < learned.estimates("tax question")[1].quality - 0.1


def test_a_judgement_written_again_replaces_the_earlier_one():
    """The same key counts once, with the later quality; outcomes of other offers and broken ones are left out."""
    learned = Learned(["a"], [outcome("a", "q", 0.0, key="1"), outcome("a", "q", 1.0, key="1"), outcome("z", "q", 1.0)])
    learned.learn(outcome("a", "q", 1.0, key="1"))
    learned.learn(outcome("a", "q", float("nan"), key="2"))
    learned.learn(outcome("z", "q", 1.0, key="3"))
    (only,) = learned.estimates("q")
    assert (only.n, only.quality) == (1, pytest.approx(1.0))


def test_the_same_evidence_gives_the_same_choices():
    """Two routers of one log agree to the last digit: nothing is random."""
    records = world("both", 240, models=3, seed=5)
    one, two = (Learned(["m00", "m01", "m02"], log_of(records), embed=Few()) for _ in range(2))
    prompts = [r["prompt"] for r in records[:20]]
    assert (one.predict(prompts)[0] == two.predict(prompts)[0]).all()
    assert one.choose(prompts[0], tradeoff=0.6, costs={}) == two.choose(prompts[0], tradeoff=0.6, costs={})


def test_deciding_and_learning_do_not_walk_the_outcomes():
    """13 offers: a decision and one more outcome make fewer calls than there are outcomes (5,200)."""
    records = world("both", 400, models=13, seed=2)
    learned = Learned(sorted(records[0]["scores"]), log_of(records), embed=Few())
    prompts = [r["prompt"] for r in records[:40]]
    learned.choose(prompts[0], tradeoff=0.5, costs={})
    assert calls_of(lambda: learned.choose(prompts[1], tradeoff=0.5, costs={})) < 5_200
    learned.learn(outcome("m00", prompts[0], 1.0, key="warm"))
    assert calls_of(lambda: learned.learn(outcome("m00", prompts[1], 1.0, key="new"))) < 5_200


def test_what_cannot_work_is_said_at_once():
    """No offers, twins, a minimum of 0, an unknown baseline: typed errors with the way out."""
    for offers, options in (([], {}), (["a", "a"], {}), (["a"], {"minimum": 0})):
        with pytest.raises(BadOption):
            Learned(offers, **options)
    with pytest.raises(UnknownModel, match="none of the 2 offers") as caught:
        Learned(["big", "small"], baseline="bigg")
    assert "`big`" in caught.value.hint


def test_a_prompt_without_words_is_read_too():
    """Empty and odd prompts have estimates, with and without vectors."""
    log = log_of(world("both", 60, models=2, seed=2))
    for embed in (None, Few()):
        learned = Learned(["m00", "m01"], log, embed=embed)
        for prompt in ("", "   ", "???", "7", "x" * 20_000):
            assert all(np.isfinite(e.quality) for e in learned.estimates(prompt))
        assert learned.predict([])[0].shape == (0, 2)
