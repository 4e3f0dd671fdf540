"""The layer of each node: every arrow leads at least one layer to the right, and arrows are short in sum.

First as far left as possible; then a node moves right, with all that it would push, as long as that shortens more arrows than
it lengthens. Short arrows pass few layers, so that few of them can cross.
"""

from __future__ import annotations

WORK = 400_000
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
    O(nodes + arrows) and at most `WORK`. Deterministic: nodes are tried in their order, those that more arrows pull than hold.
    """
    out: list[list[int]] = [[] for _ in range(count)]
    into: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(source, target, strict=True):
        out[a].append(b)
        into[b].append(a)
    layer, done = _leftmost(out, into)
    work = WORK
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
