"""The finding for one claim: both figures, and if the stated one holds, is off, or is impossible."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from orch_nb.analysis.claims import measure
from orch_nb.analysis.claims.measure import Change, Kind, Measured
from orch_nb.lang.claim_cell import Apply, Figure, Line, Name, Node, Operation
from orch_nb.lang.quantity import SECONDS, Quantity, UnitError, rounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from orch_nb.analysis.claims.measure import Values

    _Rounder = Callable[[Fraction], Decimal]

Verdict = Literal["holds", "off by", "impossible"]
WORST_FIRST = ("impossible", "off by", "holds")
ABOUT = Fraction(1, 20)
"""``about 10x`` holds within 5 % of the stated figure; ``within 1 %`` says otherwise."""


@dataclass(slots=True, frozen=True)
class Finding:
    """The finding for one claim.

    Attributes
    ----------
    verdict
        "holds", "off by" (then `off_by` says how far) or "impossible".
    ours, stated
        Both figures as they are shown, in the unit of the stated one. `ours_exact` and `stated_exact` are the numbers.
    why
        Source of ours, and for an impossible claim the bound that it breaks.
    is_sure
        True when the whole interval of ours is on the same side as ours; None without an interval.
    """

    claim: str
    line: int
    verdict: Verdict
    ours: str
    stated: str
    off_by: str = ""
    why: str = ""
    is_sure: bool | None = None
    ours_exact: Quantity = field(default=Quantity(Fraction(0)), repr=False)
    stated_exact: Quantity = field(default=Quantity(Fraction(0)), repr=False)

    @property
    def summary(self) -> str:
        """The verdict in words: ``off by $400.00 a year``."""
        return f"off by {self.off_by}" if self.verdict == "off by" else self.verdict


@dataclass(slots=True, frozen=True)
class _Style:
    """The format of a figure: that of the stated one."""

    decimals: int | None = None
    percent: bool = False
    times: bool = False
    unit: str = ""
    period: str = ""
    scale: int = 1
    noun: str = ""


class Judge:
    """The judge of the lines of one cell."""

    def __init__(self, values: Values) -> None:
        self.values = values

    # -------------------------------------------------------------- one claim
    def line(self, line: Line) -> Finding:
        """Return the finding for one line; of two comparisons that of the one that fails, and of two that hold the range."""
        found = [
            self._pair_of(line, left, sign, right)
            for left, sign, right in zip(line.sides, line.comparisons, line.sides[1:], strict=False)
        ]
        worst = min(found, key=lambda f: WORST_FIRST.index(f.verdict))
        if worst.verdict != "holds" or len(found) == 1:
            return worst
        return replace(worst, stated=f"{found[0].stated} to {found[1].stated}")

    def _pair_of(self, line: Line, left: Node, sign: str, right: Node) -> Finding:
        """Compare two sides: ours is the one that is measured or computed, the stated one the other."""
        if _weight(left) < _weight(right):
            left, right, sign = right, left, _TURNED.get(sign, sign)
        style = _style(right)
        stated = self.values.value(right, line.number)
        ours = self._ours(left, stated.kind, line)
        try:
            ours.quantity.check(stated)
        except UnitError as error:
            raise self.values.text.error(str(error), line.number, left.column, error.hint) from None
        if isinstance(left, Name) and left.name == "speed_up":
            style = replace(style, times=True)
        return self._find(line, ours, sign, stated, style, left)

    def _ours(self, node: Node, kind: Kind, line: Line) -> Measured:
        if isinstance(node, Name) and node.is_measure:
            return self.values.measured(node, kind, line.number)
        value = self.values.value(node, line.number)
        if isinstance(node, Apply) and node.function in ("mean", "median", "majority"):
            values = [q.value for q in self.values.arguments(node, line.number)]
            return Measured(
                value,
                least=min(values),
                most=max(values),
                bound_why=f"a {node.function} lies between its least and greatest value",
            )
        if isinstance(node, Apply) and node.function == "tries":
            return Measured(
                value,
                "independent tries",
                least=Fraction(0),
                most=Fraction(1),
                bound_why="a chance is at most 100 %",
            )
        return Measured(value)

    def _find(self, line: Line, ours: Measured, sign: str, stated: Quantity, style: _Style, node: Node) -> Finding:
        why = ours.why
        impossible = self._impossible(line, ours, sign, stated, style, node)
        shown = (self.shown(ours.quantity, style), self.shown(stated, style, exact=True))
        if impossible:
            return Finding(line.text, line.number, "impossible", *shown, "", impossible, None, ours.quantity, stated)
        if isinstance(node, Name) and node.name == "speed_up" and line.branches:
            why = self._branches_why(ours, int(line.branches)) or why
        holds = _is_true(
            ours.quantity.value, sign, stated.value, self._tolerance(line, sign), self._rounder(style, stated)
        )
        sure = self._is_sure(ours, sign, stated, holds)
        if ours.low is not None and ours.high is not None:
            span = f"{self.shown(ours.low, style)} to {self.shown(ours.high, style)}"
            why = f"{why}; {ours.confidence * 100:g} % interval {span}"
            why += ", which is on both sides" if sure is False else ""
        if holds:
            return Finding(line.text, line.number, "holds", *shown, "", why, sure, ours.quantity, stated)
        gap = Quantity(abs(ours.quantity.value - stated.value), *stated.kind)
        return Finding(
            line.text, line.number, "off by", *shown, self._gap(gap, style), why, sure, ours.quantity, stated
        )

    def _tolerance(self, line: Line, sign: str) -> Fraction | None:
        return line.within if line.within is not None else ABOUT if sign == "~" else None

    def _rounder(self, style: _Style, stated: Quantity) -> _Rounder | None:
        """Return the function that rounds to the stated digits in the stated unit; None where the stated side is computed too."""
        if style.decimals is None:
            return None
        factor = self._factor(style, stated)
        places = max(2, style.decimals) if stated.usd else style.decimals
        return lambda value: rounded(value * factor, places)

    def _factor(self, style: _Style, stated: Quantity) -> Fraction:
        if style.percent:
            return Fraction(100)
        if style.unit:
            return 1 / SECONDS[style.unit]
        return Fraction(self.values.lengths[style.period] * style.scale)

    def shown(self, value: Quantity, style: _Style, *, exact: bool = False) -> str:
        """Return a figure in the stated unit; ours with two more digits than stated where it needs them."""
        if style.unit:
            return f"{_short(value.value / SECONDS[style.unit], style.decimals, exact)} {style.unit}"
        if style.percent:
            return f"{_short(value.value * 100, style.decimals, exact)} %"
        if style.times:
            return f"{_short(value.value, style.decimals, exact)}x"
        days = self.values.lengths[style.period]
        per = f" per {style.noun}" if style.scale > 1 else ""
        if style.scale > 1:
            value = Quantity(value.value * style.scale, *value.kind)
        return f"{value.shown(period=style.period or 'day', days=days)}{per}"

    def _gap(self, gap: Quantity, style: _Style) -> str:
        text = self.shown(gap, style)
        return text.replace(" %", " points") if style.percent else text

    def _is_sure(self, ours: Measured, sign: str, stated: Quantity, holds: bool) -> bool | None:
        if ours.low is None or ours.high is None or sign in ("=", "~"):
            return None
        ends = (ours.low.value, ours.high.value)
        return all(_is_true(end, sign, stated.value, None, None) == holds for end in ends)

    # -------------------------------------------------------------- bounds
    def _impossible(self, line: Line, ours: Measured, sign: str, stated: Quantity, style: _Style, node: Node) -> str:
        if isinstance(node, Name) and node.name == "speed_up" and line.branches:
            return self._too_fast(line, ours, sign, stated, int(line.branches))
        if line.branches and not (isinstance(node, Name) and node.name == "speed_up"):
            raise self.values.text.error(
                "`with … branches` qualifies a speed-up.", line.number, 0, "`speed-up >= 3x with 3 branches`"
            )
        above = ours.most is not None and stated.value > ours.most and sign in ("=", ">=", ">", "~")
        at_most = ours.most is not None and stated.value == ours.most and sign == ">"
        below = ours.least is not None and stated.value < ours.least and sign in ("=", "<=", "<", "~")
        at_least = ours.least is not None and stated.value == ours.least and sign == "<"
        return ours.bound_why if above or at_most or below or at_least else ""

    def _too_fast(self, line: Line, ours: Measured, sign: str, stated: Quantity, branches: int) -> str:
        if ours.quantity.value <= branches:
            too_much = stated.value > branches and sign in ("=", ">=", ">", "~")
            return (
                f"{branches} branches at once are at most {branches}x as fast as one after another" if too_much else ""
            )
        change = self.values.measurable
        if not isinstance(change, Change):
            return (
                f"{branches} branches at once are at most {branches}x as fast; the times say {ours.quantity.shown()}x"
            )
        before, after = change.before.value, change.after.value
        unit = change.unit
        scale = SECONDS[unit]
        serial = "" if branches == 1 else (
            f": a serial part s with s + p = {_short(before / scale, None)} and s + p/{branches} = {_short(after / scale, None)} "
            f"would be s = {_short(measure.serial_time(before, after, branches) / scale, None)} {unit}"
        )  # fmt: skip
        return f"the bound is {branches}x{serial}; {measure.fewest_branches(before, after)} branches are the fewest"

    def _branches_why(self, ours: Measured, branches: int) -> str:
        change = self.values.measurable
        if not isinstance(change, Change) or branches == 1:
            return ""
        unit = change.unit
        scale = SECONDS[unit]
        before, after = change.before.value / scale, change.after.value / scale
        serial = measure.serial_time(before, after, branches)
        return (
            f"at most {branches}x (ideal {_short(before / branches, None)} {unit}); serial {_short(serial, None)} {unit}, "
            f"parallel {_short(before - serial, None)} {unit}"
        )


_TURNED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}


def _is_true(ours: Fraction, sign: str, stated: Fraction, tolerance: Fraction | None, rounder: _Rounder | None) -> bool:
    if sign in ("=", "~"):
        if tolerance is not None:
            return abs(ours - stated) <= tolerance * abs(stated)
        return bool(ours == stated if rounder is None else rounder(ours) == rounder(stated))
    slack = (tolerance or Fraction(0)) * abs(stated)
    match sign:
        case "<=":
            return ours <= stated + slack
        case ">=":
            return ours >= stated - slack
        case "<":
            return ours < stated + slack
        case _:
            return ours > stated - slack


def _weight(node: Node) -> int:
    """Return how much a side is ours: a measure 3, a computed side 2, a variable 1, a figure 0."""
    if isinstance(node, Name):
        return 3 if node.is_measure else 1
    if isinstance(node, Operation) and node.left is None:
        return _weight(node.right)
    return 0 if isinstance(node, Figure) else 2


def _style(node: Node) -> _Style:
    """Return the format of a stated side: that of a figure; of a computed side, that of its first figure with a unit."""
    if isinstance(node, Figure):
        scale, _, noun = node.noun.rpartition(" ")
        factor = {"million": 1_000_000, "thousand": 1000}.get(scale, 1)
        return _Style(
            node.decimals,
            node.percent,
            node.times,
            node.seconds,
            node.period,
            factor,
            f"{scale} {noun}" if factor > 1 else "",
        )
    if isinstance(node, Name):
        return _Style(percent=node.name in ("saving", "quality"))
    found = [_style(n) for n in _inner(node)]
    percent = isinstance(node, Apply) and node.function == "tries"
    return _Style(
        None,
        percent or (bool(found) and all(s.percent for s in found)),
        False,
        next((s.unit for s in found if s.unit), ""),
        next((s.period for s in found if s.period), ""),
    )


def _inner(node: Apply | Operation) -> list[Node]:
    if isinstance(node, Apply):
        return list(node.arguments)
    return [n for n in (node.left, node.right) if n is not None]


def _short(value: Fraction, decimals: int | None, exact: bool = False) -> str:
    """Format digits: of a stated figure as stated, of ours up to two more, without zeros at the end."""
    if exact and decimals is not None:
        return f"{rounded(value, decimals):,f}"
    places = 2 if decimals is None else decimals + 2
    while value and not rounded(value, places) and places < 20:  # a difference is never shown as none
        places += 1
    digits = f"{rounded(value, places):,f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
