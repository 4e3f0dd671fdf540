"""Arrow crossings of our layout against graphviz `dot`, and its time: ``python -m tests.bench.layout``.

Both are counted in one way: pairs of arrows that cross between neighbouring columns, long arrows passing through the columns
between. dot says its own count with ``-v``; it chooses its own columns. The graphs: 30 random ones of several densities, and 20
that are not: trees, pipelines, the classics that come with networkx (their arrows led from the earlier to the later node), and
this package's own imports. Loops are left out: dot reverses them, we draw them over the top.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import networkx as nx

from orch_nb.views.layout.layout import Box, Link, layout

if TYPE_CHECKING:
    from collections.abc import Iterator

Arrows = list[tuple[str, str]]


def graphs() -> Iterator[tuple[str, list[str], Arrows]]:
    """50 graphs: name, nodes in their order, arrows."""
    yield from _random_graphs()
    yield from known_graphs()


def _random_graphs() -> Iterator[tuple[str, list[str], Arrows]]:
    rng = random.Random(20261121)
    for number in range(30):
        size = rng.choice((12, 20, 30, 50, 80))
        reach, per_node = rng.choice((3, 6, 12)), rng.choice((1.2, 1.5, 2.0))
        arrows = set()
        for target in range(1, size):
            arrows.add((rng.randrange(max(0, target - reach), target), target))
        while len(arrows) < size * per_node:
            a, b = sorted(rng.sample(range(size), 2))
            if b - a <= 3 * reach:
                arrows.add((a, b))
        yield f"random {number}: {size} nodes, {len(arrows)} arrows", *_named(size, sorted(arrows))


def _named(size: int, arrows: list[tuple[int, int]]) -> tuple[list[str], Arrows]:
    return [f"n{i}" for i in range(size)], [(f"n{a}", f"n{b}") for a, b in arrows]


def known_graphs() -> Iterator[tuple[str, list[str], Arrows]]:
    """The 20 that are not random."""
    known = {
        "karate": nx.karate_club_graph(), "florentine": nx.florentine_families_graph(), "women": nx.davis_southern_women_graph(),
        "miserables": nx.les_miserables_graph(), "petersen": nx.petersen_graph(), "krackhardt": nx.krackhardt_kite_graph(),
        "tutte": nx.tutte_graph(), "dodecahedron": nx.dodecahedral_graph(), "icosahedron": nx.icosahedral_graph(),
        "desargues": nx.desargues_graph(), "heawood": nx.heawood_graph(), "pappus": nx.pappus_graph(),
        "binary tree": nx.balanced_tree(2, 5), "ternary tree": nx.balanced_tree(3, 3), "grid": nx.grid_2d_graph(5, 8),
        "map and reduce": _fan(12), "debate": _debate(5, 4), "pipeline": _pipeline(9, 3), "hypercube": nx.hypercube_graph(4),
        "imports": _imports(),
    }  # fmt: skip
    for name, graph in known.items():
        place = {node: i for i, node in enumerate(graph)}
        arrows = sorted({tuple(sorted((place[a], place[b]))) for a, b in graph.edges() if a != b})
        yield f"{name}: {len(place)} nodes, {len(arrows)} arrows", *_named(len(place), arrows)


def _fan(width: int) -> nx.Graph:
    graph = nx.Graph([("plan", f"w{i}") for i in range(width)])
    graph.add_nodes_from(["plan", *(f"w{i}" for i in range(width)), "join"])
    graph.add_edges_from((f"w{i}", "join") for i in range(width))
    return graph


def _debate(voices: int, rounds: int) -> nx.Graph:
    graph = nx.Graph()
    for r in range(rounds):
        graph.add_nodes_from((r, v) for v in range(voices))
    graph.add_edges_from(
        ((r, v), (r + 1, w)) for r in range(rounds - 1) for v in range(voices) for w in ((v, (v + 1) % voices))
    )
    return graph


def _pipeline(stages: int, lanes: int) -> nx.Graph:
    graph = nx.Graph()
    for s in range(stages):
        graph.add_nodes_from((s, k) for k in range(lanes))
    graph.add_edges_from(((s, k), (s + 1, k)) for s in range(stages - 1) for k in range(lanes))
    graph.add_edges_from(((s, 0), (s + 3, lanes - 1)) for s in range(stages - 3))
    return graph


def _imports() -> nx.Graph:
    """Packages of this program and who imports whom, the imported one first."""
    rows = {"errors": [], "schema": ["errors"], "engine": ["schema", "errors"], "graph": ["engine", "schema"], "tools": ["schema"],
            "routing": ["schema", "tools"], "agents": ["routing", "tools", "graph"], "providers": ["schema", "errors"],
            "store": ["schema", "engine"], "trace": ["engine", "schema"], "runtime": ["agents", "providers", "store", "trace", "graph"],
            "notebook": ["runtime", "trace", "agents", "graph"], "check": ["runtime", "store"], "demo": ["notebook"],
            "cli": ["demo", "check", "runtime"]}  # fmt: skip
    graph = nx.Graph()
    graph.add_nodes_from(rows)
    graph.add_edges_from((other, name) for name, others in rows.items() for other in others)
    return graph


def ours(nodes: list[str], arrows: Arrows) -> tuple[int, float]:
    """Our crossings, and seconds of the whole layout."""
    began = time.perf_counter()
    made = layout([Box(n, 60, 30) for n in nodes], [Link(a, b) for a, b in arrows])
    took = time.perf_counter() - began
    return made.crossings, took


def dots(nodes: list[str], arrows: Arrows) -> int:
    """Return the figures of dot for its own picture."""
    text = "digraph {rankdir=LR;" + "".join(f"{n};" for n in nodes) + "".join(f"{a}->{b};" for a, b in arrows) + "}"
    done = subprocess.run(["dot", "-v", "-Tplain"], input=text, capture_output=True, text=True, check=True, timeout=60)
    found = re.findall(r"mincross \S+: (\d+) crossings", done.stderr)
    return sum(int(n) for n in found)


def main() -> int:
    """Compare on all graphs; exits with 1 where we have over 10 % more crossings than dot in sum."""
    if shutil.which("dot") is None:
        print("graphviz is not installed here: apt-get install graphviz")
        return 0
    total_ours = total_dot = 0
    for name, nodes, arrows in graphs():
        (mine, took), theirs = ours(nodes, arrows), dots(nodes, arrows)
        total_ours += mine
        total_dot += theirs
        print(f"{name:44}  ours {mine:5}  dot {theirs:5}  {took * 1000:6.0f} ms")
    print(f"\nall: ours {total_ours:,}, dot {total_dot:,}, ratio {total_ours / max(1, total_dot):.3f}")
    return int(total_ours > 1.1 * total_dot)


if __name__ == "__main__":
    sys.exit(main())
