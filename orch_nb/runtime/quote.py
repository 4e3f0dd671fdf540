"""What going on with a run is likely to cost, from what its remaining nodes cost before."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from orch_nb.runtime.runtime import Runtime

HISTORY = 20
"""Earlier runs of the same graph that are looked at."""


def quote_resume(runtime: Runtime, run: str) -> Decimal | None:
    """The mean cost of the agent nodes that `run` has not finished; None where none of them was ever billed.

    Own calls count first (a node that failed after a billed call), then those of earlier runs of the same graph.
    """
    store = runtime.store
    events = runtime.run_loop.ask(lambda: [event for _, event in store.read(run)])
    begun = events[0]
    agents = {n["name"] for n in begun.plan.get("nodes", ()) if n.get("kind") == "agent"}
    left = agents - {e.node for e in events if isinstance(e, ev.Finished | ev.Reused) and not e.frame}
    if not left:
        return Decimal(0)
    costs = _costs(events)
    rows = runtime.run_loop.ask(lambda: list(store.runs(graph=begun.graph, limit=HISTORY)))
    for row in rows:
        if row.run != run:
            for node, usd in _costs(runtime.run_loop.ask(lambda r=row.run: [e for _, e in store.read(r)])).items():
                costs.setdefault(node, []).extend(usd)
    known = [sum(costs[n], Decimal(0)) / len(costs[n]) for n in left if costs.get(n)]
    return sum(known, Decimal(0)) if known else None


def _costs(events: list[Any]) -> dict[str, list[Decimal]]:
    """Node -> dollars of each of its activations."""
    per: dict[tuple[str, str], Decimal] = {}
    for event in events:
        if isinstance(event, ev.Settled) and event.ok and event.cost_usd is not None:
            at = (event.node, ev.key(event))
            per[at] = per.get(at, Decimal(0)) + event.cost_usd
    out: dict[str, list[Decimal]] = {}
    for (node, _), usd in per.items():
        out.setdefault(node, []).append(usd)
    return out
