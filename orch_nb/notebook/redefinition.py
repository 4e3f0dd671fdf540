"""What changes when a cell defines an agent or a graph again: said on its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.views.bundle import note
from orch_nb.views.cards import users_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def note_agent(made: Any, before: Any, names: Mapping[str, Any], live: Iterable[object]) -> None:
    """Note on a redefined agent's card what is different and what that affects. The same definition affects nothing."""
    if before is None:
        return
    changed = changed_keys(before.spec, made.spec)
    if not changed:
        return
    texts = [f"redefined: {', '.join(changed)} changed"]
    for name in users_of(made.name, names):
        after = _downstream(names[name], made.name)
        texts.append(f"affects graph {name}: {made.name}{f', then {_some(after)}' if after else ''}")
    texts += _running(live)
    note(made, *texts)


def note_graph(made: Any, before: Any, live: Iterable[Any]) -> None:
    """Note on a redefined graph's card which nodes and arrows are new or gone."""
    if before is None:
        return
    texts = []
    old, new = set(before.nx.nodes), set(made.nx.nodes)
    parts = [f"+ {_some(sorted(new - old))}" if new - old else "", f"- {_some(sorted(old - new))}" if old - new else ""]
    was, now = before.to_cell(), made.to_cell()
    if was == now:
        return
    rows = sorted(set(now.splitlines()) - set(was.splitlines()))
    told = ", ".join(p for p in parts if p) or f"changed: {_some(rows[:4])}"
    texts.append(f"redefined: {told}")
    note(made, *texts, *_running(h for h in live if h.graph == made.name))


def changed_keys(before: Any, after: Any) -> list[str]:
    """Keys of the definition that differ."""
    old, new = before.model_dump(), after.model_dump()
    return [key for key in new if old.get(key) != new[key]]


def _running(live: Iterable[Any]) -> list[str]:
    found = [h.run for h in live]
    return [f"run {_some(found)} continues with the old definition"] if found else []


def _downstream(graph: Any, node: str) -> list[str]:
    import networkx as nx

    starts = [n for n, data in graph.nx.nodes(data=True) if n == node or getattr(data.get("spec"), "of", "") == node]
    found: set[str] = set()
    for start in starts:
        found |= nx.descendants(graph.nx, start)
    return [n for n in graph.nx.nodes if n in found and n not in starts]


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
