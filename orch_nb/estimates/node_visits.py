"""Execution counts: how often each node of a plan is likely to run, from the plan alone.

Every figure is a range: certain, likely, and the most that the plan allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from orch_nb.engine.plan import END, topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orch_nb.engine.plan import Plan, PlanNode


ZERO = Decimal(0)
OPEN_SHARE = 0.5
"""Probability that a condition holds, without evidence."""
TYPICAL_ITEMS, MOST_ITEMS = 3, 10
"""Items of a list that a node has not produced yet; a quote that assumes them has a note."""


class Range(NamedTuple):
    """A range: certain, likely, and most."""

    low: float
    expected: float
    high: float

    def times(self, other: Range) -> Range:
        """Return the range of a product."""
        return Range(self.low * other.low, self.expected * other.expected, self.high * other.high)


class Dollars(NamedTuple):
    """A range of US dollars."""

    low: Decimal
    expected: Decimal
    high: Decimal

    def times(self, other: Range) -> Dollars:
        """Return the range of a product."""
        return Dollars(*(usd * Decimal(repr(n)) for usd, n in zip(self, other, strict=True)))


ONCE = Range(1.0, 1.0, 1.0)
NO_TIME = Range(0.0, 0.0, 0.0)


@dataclass(slots=True, frozen=True)
class Visits:
    """The execution count of each node (by position), and the sets of nodes that exclude one another.

    `choices`: for each node that chooses, innermost choices first, the sets of positions that run only on one of its ways.
    """

    each: tuple[Range, ...]
    choices: tuple[tuple[frozenset[int], ...], ...]
    is_guessed: bool = False
    """True where the number of a map's items is assumed."""


def visits(plan: Plan, items: Callable[[PlanNode], int | None]) -> Visits:
    """Estimate how often the nodes of a plan run. O(nodes + edges) for each node that chooses.

    Parameters
    ----------
    items
        Returns how many items a map runs over; None where that is unknown.

    Notes
    -----
    A condition holds with probability 0.5, `by` spreads evenly over its candidates, and each further round of a loop has
    probability 0.5. Better figures come from earlier runs (`history`).
    """
    reached = _reach(plan)
    made, guessed = [], False
    for i, node in enumerate(plan.nodes):
        per_run = reached[i].times(_rounds(plan, i))
        if node.each is not None:
            known = items(node)
            guessed = guessed or known is None
            per_run = per_run.times(
                Range(0.0, TYPICAL_ITEMS, MOST_ITEMS) if known is None else Range(known, known, known)
            )
        made.append(per_run)
    return Visits(tuple(made), _choices(plan), guessed)


def _reach(plan: Plan) -> list[Range]:
    topo = topology(plan)
    made: list[Range] = []
    for i, node in enumerate(plan.nodes):
        incoming = topo.incoming[i]
        if not incoming:
            low, expected = 1.0, 1.0
        else:
            ways = [_times_taken(plan, e, made[topo.source[e]]) for e in incoming]
            low, expected = max(w.low for w in ways), min(1.0, sum(w.expected for w in ways))
        if node.gate:
            low, expected = 0.0, expected * OPEN_SHARE
        made.append(Range(low, expected, 1.0))
    return made


def _times_taken(plan: Plan, e: int, source: Range) -> Range:
    """Return how often an arrow is taken, given how often its source runs."""
    edge, topo = plan.edges[e], topology(plan)
    if edge.kind == "plain":
        return source
    own = [plan.edges[x].kind for x in topo.out[topo.source[e]]]
    if edge.kind == "by" or "by" in own:
        share = 1.0 / max(1, own.count("by") + own.count("else"))
    else:
        share = OPEN_SHARE
    return Range(0.0, source.expected * share, source.high)


def _rounds(plan: Plan, i: int) -> Range:
    """Return the rounds of a node over the whole run: one, and those that the loops around it allow."""
    topo = topology(plan)
    made = ONCE
    for b in topo.chain[i]:
        more = topo.most_rounds(b)
        made = made.times(Range(1.0, 2.0 - OPEN_SHARE ** min(more, 64), 1.0 + more))
    if topo.incoming[i] and all(topo.limit[e] is not None for e in topo.incoming[i]):
        most = sum({topo.counter[e]: topo.limit[e] or 0 for e in topo.incoming[i]}.values())
        return Range(min(made.low, most), min(made.expected, most), min(made.high, most))
    return made


# ------------------------------------------------------------------ what excludes what
def _choices(plan: Plan) -> tuple[tuple[frozenset[int], ...], ...]:
    topo = topology(plan)
    made = []
    for i in reversed(range(len(plan.nodes))):
        ways = _ways(plan, topo.out[i])
        if len(ways) > 1:
            made.append(tuple(_only_by(plan, edges) for edges in ways))
    return tuple(made)


def _ways(plan: Plan, out: Iterable[int]) -> list[list[int]]:
    """Return groups of a node's forward arrows of which one is taken: each `by`, all `when` together, the `else`."""
    topo = topology(plan)
    forward = [e for e in out if e not in topo.back]
    ways = [[e] for e in forward if plan.edges[e].kind in ("by", "else")]
    when = [e for e in forward if plan.edges[e].kind == "when"]
    return [*ways, when] if when else ways


def _only_by(plan: Plan, edges: Sequence[int]) -> frozenset[int]:
    """Return the nodes that can be reached only by these arrows."""
    topo = topology(plan)
    cut = set(edges)
    seen = set(topo.entries)
    todo = list(seen)
    while todo:
        for e in topo.out[todo.pop()]:
            if e not in cut and e not in topo.back and topo.target[e] not in seen and topo.target[e] != END:
                seen.add(topo.target[e])
                todo.append(topo.target[e])
    return frozenset(range(len(plan.nodes))) - seen


def most_of(amounts: Sequence[Decimal], choices: Iterable[Sequence[frozenset[int]]]) -> Decimal:
    """Return the most that one run can cost, given the most of each node: of exclusive branches, the dearest counts.

    Examples
    --------
    >>> most_of([Decimal(1), Decimal(5), Decimal(3)], [(frozenset({1}), frozenset({2}))])
    Decimal('6')
    """
    left = list(amounts)
    for ways in choices:
        sums = [sum((left[i] for i in way), ZERO) for way in ways]
        dearest = max(range(len(ways)), key=lambda n: sums[n])
        for n, way in enumerate(ways):
            if n != dearest:
                for i in way - ways[dearest]:
                    left[i] = ZERO
    return sum(left, ZERO)
