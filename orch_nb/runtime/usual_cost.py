"""The usual cost of a run: recorded at its start, and compared with what the run costs."""

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
    from orch_nb.runtime.services import Services

HISTORY = 20
"""Earlier runs of the same graph that are read."""


def baseline_of(runtime: Services, plan: Plan, inputs: Mapping[str, object]) -> dict[str, str] | None:
    """Return the median cost of this graph's earlier runs; without any, the cost of one call of each agent.

    Returns
    -------
    dict
        ``{"usd", "from", "factor"}`` as `RunStarted` stores it. None: it costs nothing, or its prices are unknown.

    Notes
    -----
    The store is read once, and not for a graph without agents.
    """
    agents = list(agents_of(plan))
    if not agents:
        return None
    rows = runtime.run_loop.ask(lambda: runtime.store.runs(graph=plan.name, status="done", limit=HISTORY))
    # a batch itself makes no calls, and a candidate of a comparison (its parent names its plan) is another definition
    usual_rows = [row for row in rows if not {"batch", "plan"} & (row.parent or {}).keys()]
    costs = [row.spent_usd for row in usual_rows if row.spent_usd]
    if costs:
        usual, whence = median(costs), f"the median of {len(costs)} earlier run{'s' * (len(costs) != 1)}"
    else:
        usual, whence = _cold(runtime, agents, inputs), "what each agent asked once is expected to cost"
    if not usual:
        return None
    return {"usd": str(usual), "from": whence, "factor": str(runtime.alert_factor)}


def agents_of(plan: Plan) -> Iterator[PlanNode]:
    """Yield the agent nodes of a plan and of the graphs inside it."""
    for node in plan.nodes:
        if node.kind == "agent":
            yield node
    for sub in plan.subplans.values():
        yield from agents_of(sub)


def _cold(runtime: Services, agents: list[PlanNode], inputs: Mapping[str, object]) -> Decimal:
    """Return the cost of one call of each agent, with its prompt as written and all inputs; a model without a price counts 0.

    Of a route's candidates the dearest counts, and the models that it asks besides: one pass of a cascade raises no alert, many do.
    """
    given = compact(dict(inputs))
    total = Decimal(0)
    for node in agents:
        models = [model["name"] for model in node.spec.get("models", ())]
        answer = models if "route" in node.spec else models[:1]
        besides = [model["name"] for model in node.spec.get("others", ())]
        total += max((_asked_once(runtime, node.spec, name, given) for name in answer), default=Decimal(0))
        total += sum((_asked_once(runtime, node.spec, name, given) for name in besides), Decimal(0))
    return total


def _asked_once(runtime: Services, spec: Mapping[str, Any], name: str, given: str) -> Decimal:
    from orch_nb.catalog.priced_request import PricedRequest

    try:
        offer = runtime.models.resolve(name)
    except OrchError:
        return Decimal(0)  # the call raises it
    text = f"{spec.get('persona', '')}{spec.get('prompt', '')}{given}"
    request = ModelRequest(offer.model, (Message("user", text),), max_tokens=spec.get("max_tokens", 1024))
    return PricedRequest.of(request, offer, runtime.models.prices.price(offer)).expected_usd or Decimal(0)
