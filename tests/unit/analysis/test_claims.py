"""Claims are recomputed exactly; what cannot be is called impossible, with the bound; what is unclear is pointed at."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.analysis.claims.claim import Claim, claim
from orch_nb.analysis.forecast.forecast import forecast
from orch_nb.errors import BadExpression, CellError, OrchError, UnknownPrice
from orch_nb.lang.claim_cell import read_claim
from tests.unit.analysis.test_forecast import FIVE, HYBRID, book, recorded

NAMES: dict[str, Any] = {
    "hybrid": HYBRID,
    "five": FIVE,
    "marks": [1, 1, 1, 0, 1, 1, 0, 1, 1, 1] * 4,
    "stars": [4, 5, 3, 5],
    "price": 0.03,
    "word": "text",
    "dark": [{"step": "a", "model": "dark", "input_tokens": 5}],
}


def checked(text: str, **more: Any) -> Claim:
    """The claim cell over the variables above."""
    return claim(text, names=NAMES, models=book(), **{"runs_of": lambda name: [], **more})


def said(text: str, **more: Any) -> str:
    """Return the verdict of the only claim of a cell."""
    (finding,) = checked(text, **more).findings
    return finding.summary


# ------------------------------------------------------------------ verdicts
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("5 x $0.03 = $0.15", "holds"),
        ("0.03 * 5 = 0.15", "holds"),
        ("0.1 + 0.2 = 0.3", "holds"),
        ("$295 a day = $107,650 a year", "off by $25.00 a year"),
        ("days: 366\n$1,040 a day = $380,640 a year", "holds"),
        ("month: 31\n$1 a day = $31 a month", "holds"),
        ("$0.015 / 1,250 tokens = $12 per million tokens", "holds"),
        ("2 h 30 min >= 1 h", "error"),
        ("2 h + 30 min = 150 min", "holds"),
        ("about 10 = 10", "error"),
        ("10.4 about 10", "holds"),
        ("10.6 about 10", "off by 0.6"),
        ("10.6 = 10 within 6 %", "holds"),
        ("1/3 = 33 %", "holds"),
        ("1/3 = 33.3 %", "holds"),
        ("1/3 = 34 %", "off by 0.67 points"),
        ("60 % <= 2/3 <= 65 %", "off by 1.67 points"),
        ("$0.004 = $0.00", "holds"),
        ("price x 5 = 0.15", "holds"),
        ("$0.046 x 10_000 a day = $460 per day", "holds"),
        ("$12 / 4 = $3", "holds"),
        ("10K tickets a day x $0.03 = $9,000 a month", "holds"),
        ("-(2 - 5) = 3", "holds"),
    ],
)
def test_arithmetic_is_exact_and_rounded_as_stated(text: str, verdict: str) -> None:
    """Sides are computed as fractions; ours is rounded to the digits that are stated, money to the cent at least."""
    if verdict == "error":
        with pytest.raises(BadExpression):
            said(text)
    else:
        assert said(text) == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("cost = $0.046", "holds"),
        ("cost = $460 a day", "holds"),
        ("cost <= $14,000 a month", "holds"),
        ("cost = $167,900 a year", "holds"),
        ("saving >= 60 %", "holds"),
        ("saving >= 70 %", "off by 0.67 points"),
        ("saving = $1,040 a day", "holds"),
        ("saving by routing = $440 a day", "holds"),
        ("saving by fewer calls = $600 a day", "holds"),
        ("saving by cache = 0 %", "holds"),
        ("saving by routing + saving by fewer calls >= 0.8", "holds"),
        ("saving >= 101 %", "impossible"),
        ("saving > 100 %", "impossible"),
        ("cost < $0", "impossible"),
        ("baseline = $1,500 a day", "holds"),
        ("calls = 3", "holds"),
    ],
)
def test_a_workload_is_measured(text: str, verdict: str) -> None:
    """A workload is projected and compared with its baseline; each measure has its unit."""
    assert said(f"given: hybrid at 10000 a day\nagainst: five\n{text}") == verdict


def test_both_figures_stand_beside_each_other_with_the_reason() -> None:
    """A finding has ours, the stated figure in the same unit, how far it is off, and where ours comes from."""
    (found,) = checked("given: hybrid at 10000 a day\nagainst: five\nsaving = $380,000 a year").findings
    assert (found.ours, found.stated, found.off_by) == ("$379,600.00 a year", "$380,000.00 a year", "$400.00 a year")
    assert found.why == "$0.15 to $0.046 a run"
    assert found.ours_exact.value * 365 == 379_600


def test_parallel_branches_bound_a_speed_up() -> None:
    """n branches are at most n times as fast; the serial part that would be needed is shown, and the fewest branches."""
    text = "given: 10 min to 3 min\nspeed-up >= 3x with {} branches"
    (three,) = checked(text.format(3)).findings
    assert three.verdict == "impossible"
    assert three.why == (
        "the bound is 3x: a serial part s with s + p = 10 and s + p/3 = 3 would be s = -0.5 min; 4 branches are the fewest"
    )
    (four,) = checked(text.format(4)).findings
    assert four.verdict == "holds"
    assert four.why == "at most 4x (ideal 2.5 min); serial 0.67 min, parallel 9.33 min"
    assert said("given: 10 s to 9 s\nspeed-up >= 4x with 3 branches") == "impossible"
    assert said("given: 10 s to 9 s\nspeed-up >= 2x with 3 branches") == "off by 0.89x"


@given(st.integers(2, 12), st.integers(0, 100), st.integers(1, 100))
def test_no_real_schedule_is_called_impossible(branches: int, serial: int, parallel: int) -> None:
    """Work with a serial and a divided part reaches exactly the speed-up that its arithmetic gives, and never more than the bound."""
    before, after = Fraction(serial + parallel), serial + Fraction(parallel, branches)
    unit = branches  # in units in which both are whole
    text = f"given: {before * unit} s to {after * unit} s\nspeed-up >= 1x with {branches} branches"
    assert said(text) == "holds"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("mean(1, 2, 3) = 2", "holds"),
        ("mean(1, 2, 3) = 5", "impossible"),
        ("mean(1, 2, 3) >= 4", "impossible"),
        ("mean(1, 2, 3) = 2.5", "off by 0.5"),
        ("median($150, $150, $148) = $150", "holds"),
        ("majority(150, 150, 148) = 150", "holds"),
        ("spread(150, 150, 148) / max(150, 150, 148) = 1.33 %", "holds"),
        ("tries(3, 45 %) = 83.4 %", "holds"),
        ("tries(3, 45 %) >= 110 %", "impossible"),
        ("context(6, 2.75) = 10", "holds"),
        ("ceil(10 / 4) = 3", "holds"),
        ("max(stars) = 5", "holds"),
    ],
)
def test_functions_know_their_bounds(text: str, verdict: str) -> None:
    """Means lie between the least and the greatest value, chances between 0 and 100 %."""
    assert said(text) == verdict


def test_quality_is_a_mean_of_scores_on_a_scale() -> None:
    """Scores have a mean, an interval, and a scale that no mean leaves."""
    assert said("given: marks\nquality = 80 %") == "holds"
    assert said("given: marks\nquality >= 105 %") == "impossible"
    assert said("given: stars\nrange: 1 to 5\nquality >= 4.2") == "holds"
    assert said("given: stars\nrange: 1 to 5\nquality >= 5.1") == "impossible"
    (unsure,) = checked("given: marks\nquality >= 0.75").findings
    assert unsure.is_sure is False  # the interval of 40 scores reaches below 75 %
    assert "which is on both sides" in unsure.why


def test_stored_runs_come_with_their_interval() -> None:
    """A claim about recorded runs has an interval, and shows if all of it is on the side of the claim."""
    runs = [recorded(600 + 100 * n) for n in range(25)]

    def runs_of(name: str) -> list[Any]:
        return runs if name == "desk" else []

    text = "given: desk at 1000 a day\nagainst: all on big\ncost <= ${} a day"
    (sure,) = checked(text.format(500), runs_of=runs_of).findings
    assert (sure.verdict, sure.is_sure) == ("holds", True)
    assert "25 stored runs" in sure.why
    assert "95 % interval" in sure.why
    (unsure,) = checked(text.format(46), runs_of=runs_of).findings
    assert (unsure.verdict, unsure.is_sure) == ("holds", False)
    (exact,) = checked("given: desk at 1000 a day\ncost = $45.30 a day", runs_of=runs_of).findings
    assert (exact.verdict, exact.is_sure) == ("holds", None)
    assert "both sides" not in exact.why
    assert said("given: desk\nspeed-up >= 1x", runs_of=runs_of) == "holds"
    with pytest.raises(BadExpression, match="`desc` is neither a variable nor a graph or agent with stored runs"):
        said("given: desc\ncost = $1", runs_of=runs_of)


def test_a_forecast_can_be_claimed_about() -> None:
    """A forecast keeps its scenario, volume and baseline; the cell may give others."""
    names = {"plan": forecast(HYBRID, per_day=10_000, against=FIVE, cache_hits=0.2)}
    made = claim("given: plan\ncost = $368 a day\nsaving by cache = $92 a day", names=names)
    assert made.holds
    assert claim("given: plan at 10 a day\ncost = $0.37 a day", names=names).holds


def test_two_bare_amounts_are_a_change() -> None:
    """`given: A to B` and `given: B` with `against: A` are equal."""
    assert said("given: $0.50 to $0.18\nsaving = 64 %") == "holds"
    assert said("given: $0.18\nagainst: $0.50\nsaving = 64 %") == "holds"
    assert said("given: $0.50 to $0.18 at 10000 a day\nsaving = $96,000 a month") == "holds"


# ------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the cell has no claim"),
        ("given: hybrid", 1, "the cell has no claim"),
        ("gven: hybrid\ncost = $1", 2, "did you mean `given:`"),
        ("given: hybrid\ngiven: five\ncost = $1", 3, "`given:` is given twice"),
        ("against: five\n1 = 1", 2, "`against:` without `given:`"),
        ("given: hybrd\ncost = $1", 2, "did you mean `hybrid`"),
        ("given hybrid at 10 a day\ncost = $1", 2, "`given` needs a colon"),
        ("given: hybrid\nagainst: big\ncost = $1", 3, "`against: all on big`, if the model is meant"),
        ("speed-up >= 3x with 3 branches", 2, "`given: 10 min to 3 min`"),
        ("given: word\ncost = $1", 2, "`word` must be a graph, runs or a step table, got a text"),
        ("given: hybrid at $5\ncost = $1", 2, "a number of runs in a period, above 0, got $5.00"),
        ("1 = 1\n\nsaving >= 60 %", 4, "`saving` of what?"),
        ("given: hybrid\nsaving >= 60 %", 3, "a saving needs something to compare with"),
        ("given: hybrid\ncost = $1 a day", 3, "dollars a day need a volume"),
        ("given: hybrid\nquality >= 1", 3, "`quality` cannot be measured"),
        ("given: marks\ncost = $1", 3, "`cost` cannot be measured on scores"),
        ("savin >= 60 %", 2, "did you mean `saving`"),
        ("$1 = 2 s", 2, "dollars) and"),
        ("1 + 1", 2, "a claim compares two sides"),
        ("1 = 1 = 1 = 1", 2, "at most two comparisons"),
        ("1 = 1 2", 2, "`2` is not understood here"),
        ("1 = ", 2, "a figure or a name is missing before the end of the line"),
        ("1 / 0 = 1", 2, "cannot be divided by 0"),
        ("mean(1, 2 = 2", 2, "needs `)` here"),
        ("men(1) = 1", 2, "did you mean `mean`"),
        ("tries(1) = 1", 2, "`tries` takes 2 arguments, got 1"),
        ("tries(2, 3) = 1", 2, "must be 0 % to 100 %, got 300 %"),
        ("1 x = 1 ; 2", 2, "`;` has no meaning here"),
        ("word = 1", 2, "`word` must be a number, got str"),
        ("days: 400\n1 = 1", 2, "a whole number from 1 to 366"),
        ("given: hybrid\nagainst: all on bgi\ncost = $1", 0, "no model is called `bgi`"),
        ("given: hybrid\nagainst: all on big\ncost = $1", 2, "has a price per call and no tokens"),
        ("given: dark\ncost = $1", 0, "the price of `dark` is unknown"),
        ("1 x 1 = 1 with 3 branches", 2, "`with … branches` qualifies a speed-up"),
        ("majority(1, 2) = 1", 2, "no value has a majority"),
        ("given: $1 to 3 s\nsaving = 1 %", 2, "cannot compare"),
        ("given: 3 s to 0 s\nspeed-up = 1x", 2, "has no ratio"),
    ],
)
def test_what_cannot_be_understood_is_pointed_at(text: str, line: int, message: str) -> None:
    """Each mistake names what is wrong, and its line of the cell if it has one."""
    with pytest.raises(OrchError) as caught:
        checked(text)
    shown = f"{caught.value} {caught.value.hint}"
    assert message in shown
    if line:
        assert isinstance(caught.value, CellError)
        assert caught.value.line == line
        assert f"line {line}: " in shown


def test_an_error_has_a_caret() -> None:
    """The line is shown with a caret below the word that is meant."""
    with pytest.raises(BadExpression) as caught:
        checked("given: hybrid\ncost = $1 a dya")
    assert str(caught.value).endswith("\n    cost = $1 a dya\n                ^")
    assert caught.value.hint == "did you mean `day`?"


def test_what_is_too_much_is_refused() -> None:
    """Deep brackets, endless digits, huge results and huge cells end in an error at once, not in a hang."""
    assert said("1 / 999999999999999999999999999999 = 0") == "holds"
    for text in (
        "(" * 60 + "1" + ")" * 60 + " = 1",
        "9" * 60 + " = 1",
        f"{'9' * 30} x {'9' * 30} = 1",
        " x ".join(["0." + "3" * 29] * 700) + " = 1",
        f"tries(1000, 0.{'3' * 29}) = 1",
    ):
        with pytest.raises(BadExpression):
            checked(text)
    with pytest.raises(CellError, match="65,536 is the most"):
        checked("1 = 1\n" * 20_000)
    with pytest.raises(BadExpression, match="too many digits"):
        checked(f"{'9' * 30} x 11 = 1")


@given(st.text(alphabet="0123456789.,$%x()+-*/^=<> \nabcdeginorstv:", max_size=60))
def test_any_text_is_judged_or_refused(text: str) -> None:
    """No text whatever ends in anything but a verdict or one of our errors."""
    try:
        found = checked(text)
    except OrchError:
        return
    assert {f.verdict for f in found.findings} <= {"holds", "off by", "impossible"}


@given(st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"), max_leaves=12,
))  # fmt: skip
def test_arithmetic_is_pythons(expression: str) -> None:
    """Sums, differences and products come to what Python's whole numbers come to."""
    import ast
    import operator

    signs = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}

    def value(node: Any) -> int:
        if isinstance(node, ast.Constant):
            return int(node.value)
        return int(signs[type(node.op)](value(node.left), value(node.right)))

    wanted = value(ast.parse(expression, mode="eval").body)
    stated = f"{wanted}" if wanted >= 0 else f"-{-wanted}"
    (found,) = checked(f"{expression} + 0 = {stated}").findings
    assert (found.verdict, found.ours_exact.value) == ("holds", wanted)


def test_an_unknown_price_is_an_error_and_no_verdict() -> None:
    """A claim without a price is never judged."""
    with pytest.raises(UnknownPrice):
        checked("given: dark\ncost <= $1")


# ------------------------------------------------------------------ display
def test_it_shows_every_claim_in_html_and_in_text() -> None:
    """HTML is well-formed, script-free and escaped; each verdict has a glyph and a word; the text has the same facts."""
    made = checked(
        "given: hybrid at 10 a day\nagainst: five\nsaving >= 60 %\nsaving = 50 %\nsaving >= 101 %", title="<b>&"
    )
    bundle = made._repr_mimebundle_()
    html, text = bundle["text/html"], bundle["text/plain"]
    root = ET.fromstring(html)
    assert {e.tag for e in root.iter()} <= {"div", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "code"}
    words = " ".join("".join(root.itertext()).split())
    for fact in ("✓ holds", "≠ off by 19.33 points", "✕ impossible", "69.33 %", "101 %", "1 of 3 hold"):
        assert fact in text
        assert fact in words
    assert repr(made) == text
    assert made.verdict == "impossible"
    assert [row["verdict"] for row in made.table()] == ["holds", "off by 19.33 points", "impossible"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("cost = $0,150", "a point, as in 0.50"),
        ("cost = $0,50", "a point, as in 0.50"),
        ("cost = $1,5000", "a point, as in 0.50"),
        ("cost = $1.500,00", "a point, as in 0.50"),
        ("cost = $\u0665", ""),
        ("max(1,200) = 200", "write 1200, or a blank after the comma"),
    ],
)
def test_a_comma_in_a_claim_parts_thousands_and_nothing_else(line, hint):
    """A claim quotes a document, so `$1,500 a day` is read; what could be a decimal comma is refused."""
    with pytest.raises(CellError) as caught:
        read_claim("x", line)
    assert hint in caught.value.hint
    assert read_claim("x", "cost = $1,500 a day").claims[0].sides[1].value == 1500
