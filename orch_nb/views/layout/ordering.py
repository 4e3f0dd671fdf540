"""The order of a layered graph's items in their layers: few crossings, groups kept together.

Sweeps by weighted medians, then exchanges of neighbours wherever that removes crossings [1]_, from several first orders; the
best is kept. Positions are whole numbers, ties are broken by place: the same graph gives the same order.

References
----------
.. [1] E. R. Gansner, E. Koutsofios, S. C. North, K.-P. Vo, "A technique for drawing directed graphs", IEEE Transactions on
   Software Engineering 19(3), 1993, section 3.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WORK = 240_000
"""Visits of items spent on one graph: some 0.15 s; a small graph needs far less, because it stops when nothing improves."""
PATIENCE = 6
"""Sweeps without a better order after which a start is given up."""
SWEEPS = 24

Layers = list[list[int]]


@dataclass(slots=True)
class Ordering:
    """What is to be ordered: each item's neighbours in the layers beside it, and its group ("" for none)."""

    layers: Layers
    left: list[list[int]]
    right: list[list[int]]
    group: list[str]
    place: list[int] = field(default_factory=list)
    has_groups: bool = False
    budget: int = 0
    """Visits of items that may still be made."""


def order(layers: Layers, left: list[list[int]], right: list[list[int]], group: list[str]) -> Layers:
    """The layers, ordered.

    Parameters
    ----------
    layers
        Items by layer, in their declared order.
    left, right
        Neighbours of each item in the layer before and after its own.
    group
        Group of each item: members of one that share a layer stay next to one another.

    Notes
    -----
    O(`WORK`) or one sweep, whichever is more; O(arrows log arrows) for each count.
    """
    work = Ordering([list(layer) for layer in layers], left, right, group, [0] * len(left), any(group))
    work.budget = max(WORK, 2 * sum(map(len, layers)))
    best, fewest = work.layers, -1
    for start, weigh in _STARTS:
        work.layers = start(work, layers)
        _number(work)
        found, count = _improve(work, weigh)
        if fewest < 0 or count < fewest:
            best, fewest = found, count
        if not fewest or work.budget <= 0:
            break
    return best


def crossings(layers: Layers, right: list[list[int]], place: list[int]) -> int:
    """Crossings between neighbouring layers, by counting inversions with a Fenwick tree. O(arrows log arrows)."""
    total = 0
    for layer, after in itertools.pairwise(layers):
        ends: list[int] = []
        for i in layer:
            near = right[i]
            if len(near) == 1:
                ends.append(place[near[0]])
            elif near:
                ends.extend(sorted([place[j] for j in near]))
        total += _inversions(ends, len(after))
    return total


def _inversions(values: list[int], size: int) -> int:
    """Pairs in the wrong order."""
    tree = [0] * (size + 1)
    total = 0
    for seen, value in enumerate(values):
        at, below = value + 1, 0
        while at:
            below += tree[at]
            at &= at - 1
        total += seen - below
        at = value + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return total


# ------------------------------------------------------------------ first orders
def _from_left(work: Ordering, layers: Layers) -> Layers:
    """Depth first from the sources, so that what belongs together starts together."""
    return _depth_first(work, layers, work.right, layers)


def _from_right(work: Ordering, layers: Layers) -> Layers:
    """Depth first from the sinks."""
    return _depth_first(work, layers, work.left, layers[::-1])


def _depth_first(work: Ordering, layers: Layers, near: list[list[int]], starts: Layers) -> Layers:
    rank = [-1] * len(near)
    count = 0
    for layer in starts:
        for start in layer:
            todo = [start]
            while todo:
                i = todo.pop()
                if rank[i] < 0:
                    rank[i] = count
                    count += 1
                    todo.extend(reversed(near[i]))
    return _rank(work, layers, rank)


def _by_breadth(work: Ordering, layers: Layers) -> Layers:
    """Breadth first over both sides' neighbours from the first item."""
    rank = [-1] * len(work.left)
    count = 0
    for layer in layers:
        for start in layer:
            todo = [start] if rank[start] < 0 else []
            if todo:
                rank[start], count = count, count + 1
            for i in todo:
                for j in (*work.right[i], *work.left[i]):
                    if rank[j] < 0:
                        rank[j] = count
                        count += 1
                        todo.append(j)
    return _rank(work, layers, rank)


def _rank(work: Ordering, layers: Layers, rank: list[int]) -> Layers:
    made = [sorted(layer, key=rank.__getitem__) for layer in layers]
    for layer in made:
        _keep_groups(work, layer)
    return made


# ------------------------------------------------------------------ sweeps
def _improve(work: Ordering, weigh: Callable[[list[int]], float]) -> tuple[Layers, int]:
    """The best order found from this start, and its crossings."""
    best, fewest = [list(layer) for layer in work.layers], crossings(work.layers, work.right, work.place)
    idle = 0
    for sweep in range(SWEEPS):
        if not fewest or idle >= PATIENCE or (sweep and work.budget <= 0):
            break
        work.budget -= len(work.place)
        forward = sweep % 2 == 0
        for layer in work.layers[1:] if forward else work.layers[-2::-1]:
            _sort(work, layer, work.left if forward else work.right, weigh, later_first=sweep % 4 >= 2)
        _exchange(work, even=sweep % 4 < 2)
        count = crossings(work.layers, work.right, work.place)
        idle = 0 if count < fewest else idle + 1
        if count < fewest:
            best, fewest = [list(layer) for layer in work.layers], count
    return best, fewest


def _number(work: Ordering) -> None:
    for layer in work.layers:
        for at, i in enumerate(layer):
            work.place[i] = at


def _sort(
    work: Ordering, layer: list[int], near: list[list[int]], weigh: Callable[[list[int]], float], *, later_first: bool
) -> None:
    """By the median or mean of the neighbours' places on one side; what has none keeps its place."""
    place = work.place
    weight = {i: weigh([place[j] for j in near[i]]) for i in layer if near[i]}
    if not weight:
        return
    free = [i for i in layer if i in weight]
    if later_first:
        free.reverse()
    free.sort(key=weight.__getitem__)
    if len(free) == len(layer):
        layer[:] = free
    else:
        moved = iter(free)
        layer[:] = [next(moved) if i in weight else i for i in layer]
    _keep_groups(work, layer)
    for at, i in enumerate(layer):
        place[i] = at


def _median(places: list[int]) -> float:
    """The median; between two middles, nearer to the side where places lie closer together."""
    count = len(places)
    if count == 1:
        return places[0]
    if count == 2:
        return (places[0] + places[1]) / 2
    places.sort()
    middle = count // 2
    if count % 2:
        return places[middle]
    before, after = places[middle - 1] - places[0], places[-1] - places[middle]
    if before + after == 0:
        return (places[middle - 1] + places[middle]) / 2
    return (places[middle - 1] * after + places[middle] * before) / (before + after)


def _mean(places: list[int]) -> float:
    return sum(places) / len(places)


_STARTS = (
    (_from_left, _median), (_from_right, _mean), (_by_breadth, _median), (_from_left, _mean), (_from_right, _median), (_by_breadth, _mean),
)  # fmt: skip
"""First orders, and by what their sweeps sort; a large graph gets as far as its work lasts."""


def _exchange(work: Ordering, *, even: bool) -> None:
    """Exchange neighbours in a layer as long as that removes crossings; `even`: also where it leaves their number, once."""
    open_layers = set(range(len(work.layers)))
    for _ in range(8):
        changed = set()
        for number in sorted(open_layers):
            work.budget -= 2 * len(work.layers[number])
            if _exchange_in(work, work.layers[number], even=even):
                changed |= {number - 1, number, number + 1}
        even = False
        open_layers = {n for n in changed if 0 <= n < len(work.layers)}
        if not open_layers or work.budget <= 0:
            return


def _exchange_in(work: Ordering, layer: list[int], *, even: bool) -> bool:
    place, left, right, group = work.place, work.left, work.right, work.group
    gained = False
    sides: dict[int, tuple[list[int], list[int]]] = {}
    for i in layer:
        sides[i] = (sorted([place[j] for j in left[i]]), sorted([place[j] for j in right[i]]))
    for at in range(len(layer) - 1):
        a, b = layer[at], layer[at + 1]
        if group[a] != group[b]:
            continue
        (la, ra), (lb, rb) = sides[a], sides[b]
        gain = _crossings_saved(la, lb) + _crossings_saved(ra, rb)
        if gain > 0 or (even and gain == 0):
            layer[at], layer[at + 1] = b, a
            place[a], place[b] = at + 1, at
            gained = gained or gain > 0
    return gained


def _crossings_saved(a: list[int], b: list[int]) -> int:
    """Return how many crossings fewer there are when the item with neighbours `b` comes before that with `a`, which is before it now."""
    if not a or not b:
        return 0
    if len(a) == 1 and len(b) == 1:
        return (a[0] > b[0]) - (a[0] < b[0])
    if a[-1] <= b[0] and a[0] < b[-1]:
        return -_count_inversions(b, a)
    return _count_inversions(a, b) - _count_inversions(b, a)


def _count_inversions(a: list[int], b: list[int]) -> int:
    """Pairs (x of a, y of b) with x > y; both sorted."""
    count = at = 0
    for x in a:
        while at < len(b) and b[at] < x:
            at += 1
        count += at
    return count


def _keep_groups(work: Ordering, layer: list[int]) -> None:
    """Members of a group are together, at their mean place."""
    if not work.has_groups:
        return
    places: dict[str, list[int]] = {}
    for at, i in enumerate(layer):
        if work.group[i]:
            places.setdefault(work.group[i], []).append(at)
    if not places:
        return
    mean = {g: sum(p) / len(p) for g, p in places.items()}
    key = {i: (mean.get(work.group[i], float(at)), work.group[i], at) for at, i in enumerate(layer)}
    layer.sort(key=key.__getitem__)


# ------------------------------------------------------------------ layers
# The layer of each node: every arrow leads at least one layer to the right, and arrows are short in sum.
#
# First as far left as possible; then a node moves right, with all that it would push, as long as that shortens more arrows than
# it lengthens. Short arrows pass few layers, so that few of them can cross.

LAYERING_WORK = 400_000
"""Visits of nodes spent on shortening: about 0.1 s. A large graph keeps what was reached by then."""
PASSES = 12


def layering(count: int, source: list[int], target: list[int]) -> list[int]:
    """Layer of each of `count` nodes, from 0.

    Parameters
    ----------
    source, target
        The ends of the arrows, which close no cycle.

    Notes
    -----
    O(nodes + arrows) and at most `LAYERING_WORK`. Deterministic: nodes are tried in their order, those that more arrows pull than hold.
    """
    out: list[list[int]] = [[] for _ in range(count)]
    into: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(source, target, strict=True):
        out[a].append(b)
        into[b].append(a)
    layer, done = _leftmost(out, into)
    work = LAYERING_WORK
    for _ in range(PASSES):
        moved = False
        for i in reversed(done):
            if len(out[i]) > len(into[i]) and work > 0:
                steps, visited = _move(i, out, into, layer)
                work -= visited
                moved = moved or steps > 0
        for i in done:
            if len(into[i]) > len(out[i]) and work > 0:
                steps, visited = _move(i, into, out, layer, back=True)
                work -= visited
                moved = moved or steps > 0
        if not moved or work <= 0:
            break
    first = min(layer, default=0)
    return [n - first for n in layer]


def _leftmost(out: list[list[int]], into: list[list[int]]) -> tuple[list[int], list[int]]:
    """Layers by longest path, and the nodes in an order in which arrows lead forward."""
    need = [len(near) for near in into]
    layer = [0] * len(out)
    done = [i for i, n in enumerate(need) if not n]
    for i in done:
        for j in out[i]:
            layer[j] = max(layer[j], layer[i] + 1)
            need[j] -= 1
            if not need[j]:
                done.append(j)
    return layer, done


def _move(
    i: int, ahead: list[list[int]], behind: list[list[int]], layer: list[int], *, back: bool = False
) -> tuple[int, int]:
    """Move `i`, and what it pushes, towards `ahead` if that makes arrows shorter; layers moved, and nodes visited."""
    sign = -1 if back else 1
    block = {i}
    todo = [i]
    for at in todo:
        for j in ahead[at]:
            if j not in block and sign * (layer[j] - layer[at]) == 1:
                block.add(j)
                todo.append(j)
    gain, slack = 0, 1 << 30
    for at in todo:
        for j in ahead[at]:
            if j not in block:
                gain += 1
                slack = min(slack, sign * (layer[j] - layer[at]) - 1)
        for j in behind[at]:
            gain -= j not in block
    if gain <= 0 or slack <= 0 or slack >= 1 << 30:
        return 0, len(todo)
    for at in todo:
        layer[at] += sign * slack
    return slack, len(todo)
