"""What a run usually costs: the figure that a live run is compared with, and that it records at its start."""

from __future__ import annotations

from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

from orch_nb.errors import OrchError
from orch_nb.schema.messages import Message, ModelRequest
from orch_nb.schema.values import compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_nb.engine.plan import Plan, PlanNode
    from orch_nb.runtime.runtime import Runtime

HISTORY = 20
"""Earlier runs of the same graph that are looked at."""


def baseline_of(runtime: Runtime, plan: Plan, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The median cost of this graph's earlier runs; without any, what its agents cost when each is asked once.

    Returns
    -------
    dict
        ``{"usd", "from", "factor"}`` as `RunStarted` keeps it. None: nothing of it costs anything, or nobody knows.

    Notes
    -----
    One look at the store, and none for a graph without agents.
    """
    agents = list(agents_of(plan))
    if not agents:
        return None
    rows = runtime.run_loop.ask(lambda: runtime.store.runs(graph=plan.name, status="done", limit=HISTORY))
    costs = [row.spent_usd for row in rows if row.spent_usd and not (row.parent or {}).get("batch")]
    if costs:
        usual, whence = median(costs), f"the median of {len(costs)} earlier run{'s' * (len(costs) != 1)}"
    else:
        usual, whence = _cold(runtime, agents, inputs), "what each agent asked once is expected to cost"
    if not usual:
        return None
    return {"usd": str(usual), "from": whence, "factor": str(runtime.alert_factor)}


def agents_of(plan: Plan) -> Iterator[PlanNode]:
    """The agent nodes of a plan and of the graphs inside it."""
    for node in plan.nodes:
        if node.kind == "agent":
            yield node
    for sub in plan.subplans.values():
        yield from agents_of(sub)


def _cold(runtime: Runtime, agents: list[PlanNode], inputs: Mapping[str, Any]) -> Decimal:
    """Each agent asked once with its prompt as written and all inputs; what has no price counts nothing."""
    from orch_nb.routing.fixed import expected_usd

    given = compact(dict(inputs))
    total = Decimal(0)
    for node in agents:
        spec = node.spec
        names = [model["name"] for model in spec.get("models", ())]
        found = [Decimal(0)]
        for name in names if "route" in spec else names[:1]:  # a route may well come to the dearest of its models
            try:
                offer = runtime.models.resolve(name)
            except OrchError:
                continue  # said where it is called
            price = runtime.models.prices.price(offer)
            if price is not None:
                text = f"{spec.get('persona', '')}{spec.get('prompt', '')}{given}"
                asked = ModelRequest(offer.model, (Message("user", text),), max_tokens=spec.get("max_tokens", 1024))
                found.append(expected_usd(asked, price))
        total += max(found)
    return total
