"""Heights of a layered graph's items in their order: long arrows straight, everything near the middle of its neighbours.

Brandes and Köpf [1]_: items are joined into blocks of one height along median neighbours, four times (from either side, from
above and from below); each time the blocks are packed as a graph of least distances, by longest paths in two passes. The height
is the mean of the two middle ones of the four, which keeps order and distances.

References
----------
.. [1] U. Brandes, B. Köpf, "Fast and simple horizontal coordinate assignment", Graph Drawing 2001, LNCS 2265.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Layers = list[list[int]]


@dataclass(slots=True)
class _Side:
    """One of the four ways: layers and places as seen from there, and the neighbours that are looked at."""

    layers: Layers
    place: list[int]
    near: list[list[int]]


def heights(
    layers: Layers,
    left: list[list[int]],
    right: list[list[int]],
    is_dummy: list[bool],
    gap: Callable[[int, int], float],
) -> list[float]:
    """The height of each item's middle.

    Parameters
    ----------
    layers
        Items by layer, from above to below.
    gap
        Least distance of the middles of two neighbours, the upper one first.

    Returns
    -------
    list of float, (n_items,)
        Neighbours in a layer are at least `gap` apart. Two dummies in a row lie on one height unless another pair crosses them.

    Notes
    -----
    O(items + arrows), without recursion.
    """
    place = _places(layers, len(left))
    conflicts = _conflicts(layers, left, is_dummy, place)
    gaps = [[gap(a, b) for a, b in itertools.pairwise(layer)] for layer in layers]
    found = []
    for near, is_forward in ((left, True), (right, False)):
        for is_mirrored in (False, True):
            side = _side(layers, near, is_forward=is_forward, is_mirrored=is_mirrored)
            root = _align(side, conflicts, is_forward=is_forward)
            ys = _pack(layers, gaps, root, is_mirrored=is_mirrored)
            found.append(ys)
    return _balance(found)


def _places(layers: Layers, count: int) -> list[int]:
    place = [0] * count
    for layer in layers:
        for at, i in enumerate(layer):
            place[i] = at
    return place


def _side(layers: Layers, near: list[list[int]], *, is_forward: bool, is_mirrored: bool) -> _Side:
    seen = [layer[::-1] if is_mirrored else layer for layer in layers]
    place = _places(seen, len(near))
    return _Side(seen if is_forward else seen[::-1], place, near)


def _conflicts(layers: Layers, left: list[list[int]], is_dummy: list[bool], place: list[int]) -> set[tuple[int, int]]:
    """Arrows (from the left item, to the right one) that cross a piece of a long arrow: that one stays straight, not they."""
    marked: set[tuple[int, int]] = set()
    for before, layer in itertools.pairwise(layers):
        low = scanned = 0
        for at, i in enumerate(layer):
            inner = left[i][0] if is_dummy[i] and len(left[i]) == 1 and is_dummy[left[i][0]] else -1
            if inner < 0 and at + 1 < len(layer):
                continue
            high = place[inner] if inner >= 0 else len(before) - 1
            for j in layer[scanned : at + 1]:
                for k in left[j]:
                    if not low <= place[k] <= high and not (is_dummy[j] and is_dummy[k]):
                        marked.add((k, j))
            scanned, low = at + 1, high if inner >= 0 else low
    return marked


def _align(side: _Side, conflicts: set[tuple[int, int]], *, is_forward: bool) -> list[int]:
    """The block of each item, named after its first item: joined along medians that do not cross what is joined already."""
    root = list(range(len(side.near)))
    closed = [False] * len(root)
    place = side.place
    for layer in side.layers[1:]:
        last = -1
        for i in layer:
            near = side.near[i]
            if not near:
                continue
            found = sorted(near, key=place.__getitem__) if len(near) > 1 else near
            middle = len(found) // 2
            for j in (found[middle],) if len(found) % 2 else (found[middle - 1], found[middle]):
                edge = (j, i) if is_forward else (i, j)
                if place[j] > last and not closed[j] and edge not in conflicts:
                    root[i], closed[j], last = root[j], True, place[j]
                    break
    return root


def _pack(layers: Layers, gaps: list[list[float]], root: list[int], *, is_mirrored: bool) -> list[float]:
    """Heights of all items, their blocks packed as near to one side as distances allow, then drawn towards the other."""
    ahead: dict[int, dict[int, float]] = {}
    need = dict.fromkeys(root, 0)
    behind: dict[int, dict[int, float]] = {}
    for layer, between in zip(layers, gaps, strict=True):
        for a, b, least in zip(layer, layer[1:], between, strict=False):
            u, v = (root[b], root[a]) if is_mirrored else (root[a], root[b])
            row = ahead.setdefault(u, {})
            if v not in row:
                need[v] += 1
                row[v] = least
            elif row[v] < least:
                row[v] = least
            behind.setdefault(v, {})[u] = row[v]
    at = dict.fromkeys(need, 0.0)
    order = [b for b, n in need.items() if not n]
    for b in order:
        for other, least in ahead.get(b, {}).items():
            at[other] = max(at[other], at[b] + least)
            need[other] -= 1
            if not need[other]:
                order.append(other)
    for b in reversed(order):
        row = ahead.get(b, {})
        if row and behind.get(b):
            at[b] = max(at[b], min([at[other] - least for other, least in row.items()]))
        elif row:
            at[b] = min([at[other] - least for other, least in row.items()])
    sign = -1.0 if is_mirrored else 1.0
    return [sign * at[b] for b in root]


def _balance(found: list[list[float]]) -> list[float]:
    """The four put side by side at the narrowest one's borders, and the mean of the two middle heights of each item."""
    if not found[0]:
        return []
    spans = [(min(ys), max(ys)) for ys in found]
    low, high = min(spans, key=lambda span: span[1] - span[0])
    for k, ys in enumerate(found):
        shift = high - spans[k][1] if k % 2 else low - spans[k][0]
        found[k] = [y + shift for y in ys]
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*found, strict=True)]
