"""What must hold of any comparison: order changes nothing, forms are compared both ways alike, intervals hold their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from orch_nb.analysis.compare.formats import differences
from orch_nb.analysis.compare.judge import agreement, orders
from orch_nb.analysis.compare.picks import blind_order, letter, qualities, read_choice
from orch_nb.analysis.intervals import interval

if TYPE_CHECKING:
    import random

TEXT = st.one_of(
    st.sampled_from(
        ["03/14/2026", "2026-03-14", "14.3.26", "$5", "5 USD", "1,234.50", "1.234,50", "5 km", "5km", "Billing", "billing", "Yes.", "12 %", "2:30 pm", "14:30"]
    ),
    st.text(max_size=20),
)  # fmt: skip
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), TEXT)
ANSWER = st.recursive(SCALAR, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "dueDate", "due_date"]), inner, max_size=3)), max_leaves=6)  # fmt: skip
QUALITY = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), max_size=40)


@given(ANSWER, ANSWER)
def test_differences_are_the_same_from_both_sides(one: Any, other: Any) -> None:
    """Whatever two answers are: an answer differs from itself in nothing, and what A says of B, B says of A, turned."""
    assert differences(one, one) == []
    assert {d.turned for d in differences(one, other)} == set(differences(other, one))


@given(QUALITY, st.randoms(use_true_random=False))
def test_an_interval_holds_its_mean_and_knows_no_order(values: list[float], rng: random.Random) -> None:
    """0 <= low <= mean <= high <= 1 for any judgements, in any order the same."""
    found = interval(values)
    assert found.n == len(values)
    if values:
        assert 0 <= found.low <= found.mean + 1e-12
        assert found.mean - 1e-12 <= found.high <= 1
        shuffled = rng.sample(values, len(values))
        again = interval(shuffled)
        assert (again.mean, again.low, again.high) == (found.mean, found.low, found.high)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=30))
def test_more_of_the_same_is_surer(values: list[float]) -> None:
    """Twice the same right-or-wrong judgements give a narrower interval."""
    once, twice = interval(values), interval(values * 2)
    assert twice.high - twice.low < once.high - once.low


@given(st.text(max_size=5), st.integers(0, 50), st.integers(1, 30), st.data())
def test_a_pick_means_what_was_shown(seed: str, row: int, count: int, data: st.DataObject) -> None:
    """Every candidate has one letter; choosing it picks that candidate; the qualities of a pick are one win in all, shared by a tie."""
    order = blind_order(seed, row, count)
    assert sorted(order) == list(range(count))
    place = data.draw(st.integers(0, count - 1))
    said = {c: str(c) for c in range(count)}
    best = read_choice(letter(place), order, range(count))
    assert best == [order[place]]
    assert qualities(said, best)[order[place]] == 1.0
    assert sum(qualities(said, best).values()) == 1.0
    assert set(qualities(said, read_choice("tie", order, range(count))).values()) == ({0.5} if count > 1 else {1.0})


@given(st.integers(2, 8), st.integers(2, 12))
def test_a_judge_sees_everybody_in_turned_orders(count: int, k: int) -> None:
    """Each order holds every candidate once; the second is the first turned around, so that no place favours anybody."""
    found = orders(list(range(count)), k, "s")
    assert len(found) == k
    assert all(sorted(o) == list(range(count)) for o in found)
    assert found[1] == found[0][::-1]


@given(
    st.dictionaries(
        st.integers(0, 9), st.lists(st.sampled_from([0, 1, 2, "tie", None]), min_size=2, max_size=4), max_size=6
    ),
    st.randoms(use_true_random=False),
)
def test_agreement_knows_no_order(choices: dict[int, list[Any]], rng: random.Random) -> None:
    """Agreement is from 0 to 1, kappa at most 1, and neither depends on the order of rows or of judgements."""
    found = agreement(choices)
    turned = {row: rng.sample(choices[row], len(choices[row])) for row in rng.sample(sorted(choices), len(choices))}
    again = agreement(turned)
    assert (again.rows, again.share is None) == (found.rows, found.share is None)
    if found.share is not None and again.share is not None:
        assert 0 <= found.share <= 1
        assert abs(found.share - again.share) < 1e-12
        assert found.kappa is None or found.kappa <= 1 + 1e-12
