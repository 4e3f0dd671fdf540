"""The routing matrix: what is counted, what is chosen, the next comparisons, and the file that is signed."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from decimal import Decimal

import pytest

from orch_nb.analysis.intervals import interval
from orch_nb.analysis.matrix.matrix import NOT_ENOUGH, Matrix
from orch_nb.analysis.matrix.next_test import MORE, beta_binomial
from orch_nb.errors import BadOption, OrchError
from orch_nb.routing.evidence import Evidence


def judged(
    task: str,
    model: str,
    right: float,
    n: int,
    usd: str | None = "0.03",
    *,
    graded: bool = False,
    seconds: float = 1.0,
    provider: str = "p",
) -> list[Evidence]:
    """`n` judgements of which the share `right` is right (or all of them graded so)."""
    rights = round(right * n)
    return [
        Evidence(task, model, f"{model}-1", provider, "q", right if graded else float(i < rights), None if usd is None else Decimal(usd),
                 seconds, "compare", "exact", float(i), f"{task}/{provider}/{model}/{i}")
        for i in range(n)
    ]  # fmt: skip


GUIDE = [
    *judged("extraction", "haiku", 0.95, 200, "0.012"), *judged("extraction", "opus", 0.96, 200),
    *judged("legal", "sonnet", 0.92, 200, "0.021"), *judged("legal", "opus", 0.93, 200), *judged("legal", "haiku", 0.70, 200, "0.012"),
    *judged("sql", "opus", 0.97, 200), *judged("sql", "haiku", 0.80, 200, "0.012"),
    *judged("summary", "mini", 0.88, 200, "0.0045"), *judged("summary", "opus", 0.90, 200),
]  # fmt: skip
"""The routing matrix of the guide (checklist N33): extraction 95 % at −60 %, legal 92 % at −30 %, SQL 97 % at the baseline's
price, summary 88 % at −85 %, against $0.03 a call."""


# ------------------------------------------------------------------ what is counted
def test_the_numbers_are_a_recount_of_the_evidence() -> None:
    """Quality, n, dollars and seconds of every entry are what anybody counts from the judgements."""
    made = Matrix.of(GUIDE)
    for row in made.rows:
        for model, entry in row.entries.items():
            mine = [e for e in GUIDE if (e.task, e.offer) == (row.task, model)]
            assert entry.quality == interval([e.quality for e in mine])
            assert entry.per_call_usd == sum((e.cost_usd or Decimal(0) for e in mine), Decimal(0)) / len(mine)
            assert entry.seconds == 1.0
    assert made.count == len(GUIDE)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_judgements_does_not_matter(seed: int) -> None:
    """Shuffled evidence makes the same matrix, digest included."""
    shuffled = random.Random(seed).sample(GUIDE, len(GUIDE))
    one, other = Matrix.of(GUIDE, now=0.0), Matrix.of(shuffled, now=0.0)
    assert one == other


def test_prompts_and_repetitions_of_one_row_are_one_judgement_of_it() -> None:
    """The unit is the input row: eight rows that two prompts answered are n = 8, each row's mean, and no narrower interval."""
    keys = [f"compare/t/row{row}/p/a-1/prompt{prompt}/0" for row in range(8) for prompt in range(2)]
    made = Matrix.of(
        Evidence("t", "a", "a-1", "p", "q", float(i % 4 == 0), Decimal(i), 1.0, "compare", "exact", float(i), key)
        for i, key in enumerate(keys)
    )
    entry = made.row("t").entries["a"]
    assert entry.quality == interval([0.5, 0.0] * 4)
    assert (entry.quality.n, made.count, entry.per_call_usd) == (8, 16, Decimal("7.5"))
    one_by_one = interval([1.0, 0.0, 0.0, 0.0] * 4)
    assert entry.quality.high - entry.quality.low > one_by_one.high - one_by_one.low


def test_unknown_costs_are_unknown() -> None:
    """A model without a known price has no dollars and no share, ranks last by cost, and mixes with it have no total."""
    made = Matrix.of([*judged("t", "a", 1.0, 20, None), *judged("t", "b", 1.0, 20)])
    row = made.row("t")
    assert (row.entries["a"].per_call_usd, made.cost_share(row, "a")) == (None, None)
    assert (made.models, made.baseline, row.chosen) == (("b", "a"), "b", "b")
    only = Matrix.of(judged("t", "a", 1.0, 20, None))
    assert (only.baseline, only.blend().per_call_usd, only.blend().saving) == ("", None, None)


def test_a_name_that_stood_for_two_models_is_two_columns() -> None:
    """Evidence stays with the model: when a name was given to another model, both are told apart by the provider's id."""
    made = Matrix.of([*judged("t", "small", 1.0, 5), *[e.__class__(**{**{f: getattr(e, f) for f in e.__dataclass_fields__}, "model": "other", "key": e.key + "x"}) for e in judged("t", "small", 0.0, 5)]])  # fmt: skip
    assert sorted(made.models) == ["small (other)", "small (small-1)"]


# ------------------------------------------------------------------ what is chosen
def test_the_cheapest_within_the_tolerance_is_chosen() -> None:
    """Of the models whose lower bound is within the tolerance of the best, the cheapest; and why."""
    made = Matrix.of(GUIDE, baseline="opus")
    assert {r.task: r.chosen for r in made.rows} == {
        "extraction": "haiku",
        "legal": "sonnet",
        "sql": "opus",
        "summary": "mini",
    }
    assert "within 5 points of opus" in made.row("extraction").because
    assert "no other is within 5 points" in made.row("sql").because


def test_nothing_is_chosen_without_enough_evidence() -> None:
    """Below the minimum there is no choice, however good the few judgements are; and a model below it is none to choose."""
    made = Matrix.of(judged("t", "a", 1.0, 7))
    assert (made.row("t").chosen, made.row("t").because) == ("", f"{NOT_ENOUGH}: 7 of 8 rows")
    assert Matrix.of(judged("t", "a", 1.0, 7), minimum=7).row("t").chosen == "a"
    assert Matrix.of([*judged("t", "cheap", 1.0, 7, "0.001"), *judged("t", "dear", 0.9, 50)]).row("t").chosen == "dear"


def test_a_few_good_judgements_do_not_beat_many() -> None:
    """Eight of eight right is less sure than 98 of 100: the lower bound decides, not the mean."""
    made = Matrix.of([*judged("t", "cheap", 1.0, 8, "0.001"), *judged("t", "dear", 0.98, 100)])
    assert made.row("t").chosen == "dear"


@pytest.mark.parametrize(
    ("options", "says"),
    [({"tolerance": 2}, "tolerance"), ({"minimum": 0}, "minimum"), ({"baseline": "opsu"}, "`opsu`")],
)
def test_options_that_cannot_be_are_said(options: dict[str, object], says: str) -> None:
    """A tolerance, a minimum or a baseline that cannot be is a typed error with what can."""
    with pytest.raises(BadOption, match=says) as caught:
        Matrix.of(GUIDE, **options)  # type: ignore[arg-type]
    assert caught.value.hint


def test_an_unknown_task_is_said_with_the_nearest() -> None:
    """A misspelt task is said with its neighbour."""
    with pytest.raises(OrchError, match="`extractoin`") as caught:
        Matrix.of(GUIDE).row("extractoin")
    assert "`extraction`" in caught.value.hint


# ------------------------------------------------------------------ mixes (N32, N33)
def test_the_guides_matrix_saves_43_8_percent_on_an_equal_mix() -> None:
    """N33: $0.012, $0.021, $0.030 and $0.0045 against $0.03; an equal mix saves 43.75 %, shown as 43.8 %."""
    made = Matrix.of(GUIDE, baseline="opus")
    shares = {r.task: made.cost_share(r, r.chosen) for r in made.rows}
    assert shares == {
        "extraction": pytest.approx(0.4),
        "legal": pytest.approx(0.7),
        "sql": 1.0,
        "summary": pytest.approx(0.15),
    }
    blend = made.blend()
    assert (blend.per_call_usd, blend.baseline_usd) == (Decimal("0.016875"), Decimal("0.03"))
    assert blend.saving == pytest.approx(0.4375)
    assert "saves 43.8 %" in made._repr_mimebundle_()["text/plain"]


def test_any_mix_of_tasks_can_be_asked_for() -> None:
    """Shares in any unit: half extraction and half summary; one task alone; with quality and each model's share."""
    made = Matrix.of(GUIDE, baseline="opus")
    half = made.blend({"extraction": 50, "summary": 50})
    assert half.per_call_usd == Decimal("0.00825")
    assert half.saving == pytest.approx(0.725)
    assert half.quality == pytest.approx((0.95 + 0.88) / 2)
    assert half.share_calls == {"haiku": 0.5, "mini": 0.5}
    assert sum(half.share_usd.values()) == pytest.approx(1)
    assert made.blend({"sql": 3}).saving == 0.0
    for wrong in ({"sql": -1}, {"sql": 0}, {"sql": "x"}, {"sql": True}):
        with pytest.raises(BadOption):
            made.blend(wrong)
    with pytest.raises(OrchError, match="no task `poetry`"):
        made.blend({"poetry": 1})


@pytest.mark.parametrize(
    ("budget", "percent"), [("0.001", 67.7), ("0.003", 63.0), ("0.0042857142857142857", 60.0), ("0.015", 35.0)]
)
def test_seventy_percent_on_budget_models(budget: str, percent: float) -> None:
    """N32: saving = 0.7 × (1 − f) for budget prices of 1/30, 1/10, 1/7 and 1/2 of the frontier's."""
    rows = [
        *judged("easy", "budget", 1.0, 50, budget), *judged("easy", "frontier", 1.0, 50), *judged("hard", "budget", 0.2, 50, budget),
        *judged("hard", "frontier", 0.9, 50),
    ]  # fmt: skip
    blend = Matrix.of(rows).blend({"easy": 70, "hard": 30})
    assert blend.saving is not None
    assert round(blend.saving * 100, 1) == percent
    assert blend.share_calls == {"budget": 0.7, "frontier": 0.3}


# ------------------------------------------------------------------ next comparisons
def test_the_next_comparison_is_where_the_choice_is_open() -> None:
    """A task with two models that may each be better is worth more than one that is decided; each with figures and its price."""
    rows = [
        *judged("open", "a", 0.7, 10, "0.01"), *judged("open", "b", 0.7, 10, "0.01"), *judged("closed", "a", 0.99, 400, "0.01"),
        *judged("closed", "b", 0.1, 400, "0.01"),
    ]  # fmt: skip
    found = Matrix.of(rows).next(10)
    assert found[0].task == "open"
    assert found[0].worth > 0.01
    assert 0 < found[0].changes < 1
    assert found[0].usd == Decimal("0.01") * MORE
    assert not [s for s in found if s.task == "closed" and s.worth > 0.001]
    assert "10 more rows of `open`" in found[0].says


def test_a_model_that_was_never_tried_on_a_task_is_worth_trying() -> None:
    """An unmeasured pair is worth most: a cheap model that was judged on another task is suggested for this one."""
    rows = [
        *judged("one", "dear", 0.9, 40, "0.03"),
        *judged("two", "dear", 0.9, 40, "0.03"),
        *judged("two", "cheap", 0.9, 40, "0.001"),
    ]
    first = Matrix.of(rows).next()[0]
    assert (first.task, first.model, first.n) == ("one", "cheap", 0)
    assert first.usd == Decimal("0.010")


def test_the_worth_of_a_sample_is_exact() -> None:
    """The expected value of ten judgements of a coin against a known half is what a sum by hand gives."""
    rows = [*judged("t", "known", 0.5, 100_000 // 100, "0.01", graded=True), *judged("t", "new", 1.0, 1, "0.01")]
    made = Matrix.of(rows, tolerance=0.0)
    (new,) = [s for s in made.next(9) if s.model == "new"]
    a, b, other = 1.5, 0.5, 0.5
    by_hand = sum(beta_binomial(k, MORE, a, b) * max((a + k) / (a + b + MORE), other) for k in range(MORE + 1)) - a / (
        a + b
    )
    assert new.worth == pytest.approx(by_hand)


# ------------------------------------------------------------------ as a file
def test_a_signed_file_is_read_back_as_it_was(tmp_path) -> None:
    """The file holds everything: numbers, choices, who signed and when, the evidence's count, the date of the prices."""
    made = Matrix.of(GUIDE, baseline="opus", prices_date="2026-11-01")
    path = made.write(tmp_path / "routing_matrix.json", sign="A. Analyst")
    again = Matrix.read(path)
    assert again.rows == made.rows
    assert (again.signed_by, len(again.signed_at), again.prices_date, again.count) == (
        "A. Analyst",
        10,
        "2026-11-01",
        len(GUIDE),
    )
    assert again.blend().saving == made.blend().saving
    assert "signed by A. Analyst" in again._repr_mimebundle_()["text/plain"]
    assert again.changed_since(GUIDE) == []


@pytest.mark.parametrize("change", ['"haiku"', "0.95", "A. Analyst", "2026"])
def test_a_file_that_was_changed_is_refused(tmp_path, change: str) -> None:
    """One changed character, in a number, a choice, the date or the signature, and the file is refused."""
    path = Matrix.of(GUIDE).write(tmp_path / "m.json", sign="A. Analyst")
    text = path.read_text()
    assert change in text
    path.write_text(
        text.replace(
            change, change[:-1] + ("8" if change[-1].isdigit() else "x") + ('"' if change.endswith('"') else ""), 1
        )
    )
    with pytest.raises(OrchError, match="was changed after it was written"):
        Matrix.read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be JSON"),
        ("[]", "must be a routing matrix"),
        ("{}", "must be a routing matrix"),
        ('{"format": "orch.routing-matrix", "version": 9}', "must have version 1, got 9"),
    ],
)
def test_a_file_that_is_no_matrix_is_said(tmp_path, text: str, says: str) -> None:
    """Anything else is a typed error with what writes one."""
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(OrchError, match=says):
        Matrix.read(path)
    with pytest.raises(OrchError, match="cannot be read"):
        Matrix.read(tmp_path / "none.json")
    with pytest.raises(OrchError, match="must end in `.json`, got `m.xlsx`"):
        Matrix.of(GUIDE).write(tmp_path / "m.xlsx")


def test_a_signed_matrix_says_what_has_changed_since(tmp_path) -> None:
    """Later judgements are told from those that were signed: how many, of whom, and whether the choice would be another."""
    signed = Matrix.read(Matrix.of(GUIDE, baseline="opus").write(tmp_path / "m.json", sign="me"))
    worse = [replace(one, key=f"{one.key}/later") for one in judged("summary", "mini", 0.0, 300, "0.0045")]
    later = [*GUIDE, *worse]
    said = signed.changed_since(later)
    assert said == ["summary on mini: 500 rows, 200 then", "summary: opus would be chosen, mini was"]
    again = [e.__class__(**{**{f: getattr(e, f) for f in e.__dataclass_fields__}, "at": e.at + 99}) for e in GUIDE]
    assert signed.changed_since(again) == []


def test_the_file_is_plain_and_its_hash_can_be_checked_by_anybody(tmp_path) -> None:
    """The hash is SHA-256 over the file's own JSON without the hash, keys sorted, no blanks: ten lines in any language."""
    import hashlib

    data = json.loads(Matrix.of(GUIDE).write(tmp_path / "m.json").read_text())
    said = data.pop("sha256")
    assert hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == said


# ------------------------------------------------------------------ display
def test_the_matrix_shows_the_same_in_text_and_html() -> None:
    """Every task, model, share and choice is in both; a script is in neither."""
    shown = Matrix.of(GUIDE, baseline="opus")._repr_mimebundle_()
    for said in (
        "extraction",
        "sonnet",
        "−60 %",
        "−85 %",
        "95 %",
        "saves 43.8 %",
    ):
        assert said in shown["text/plain"], said
        assert said in shown["text/html"], said
    assert "<script" not in shown["text/html"]
    assert "nothing was measured yet" in Matrix.of([])._repr_mimebundle_()["text/plain"]


def test_the_chart_has_a_line_for_every_task_and_model() -> None:
    """A figure by matplotlib's object interface, never pyplot's: an interval and a dot each, and the matrix as its text."""
    import sys

    before = "matplotlib.pyplot" in sys.modules
    chart = Matrix.of(GUIDE, baseline="opus").plot()
    assert len(chart.axes[0].lines) == 2 * 9
    names = [t.get_text() for t in chart.axes[0].get_yticklabels()]
    assert (len(names), names[:2], names[-1]) == (9, ["extraction · opus", "extraction · haiku"], "summary · mini")
    assert "extraction" in repr(chart)
    assert chart.png().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == before
