"""Learned routes as proposals: shown with their evidence, accepted by a person, named by every later decision.

The functions are those of `orch_nb.api`, for a given runtime.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption
from orch_nb.routing.confidence import calibration
from orch_nb.routing.learned.proposal import Log, Proposal, Rule, accepted_for, propose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.agents.agent import Agent
    from orch_nb.routing.confidence import Calibration
    from orch_nb.runtime.services import Services

LEARNS = ("auto", "learned")


def propose_route(runtime: Services, agent: Agent) -> Proposal:
    """Return the rule that was learned for an agent's route, with its evidence."""
    rule = _rule(runtime, agent)
    offers = {name: runtime.models.resolve(name) for name in rule.offers}
    log = Log.of(runtime.evidence(rule.agent), offers)
    costs = {name: _mean_cost(log, name) for name in rule.offers}
    accepted = accepted_for(rule, runtime.accepted.find("route", rule.agent))
    return runtime.embed_pool.submit(propose, runtime.learning, rule, log, costs, accepted).result()


def accept_route(runtime: Services, agent: Agent, *, by: str = "") -> Proposal:
    """Let the learned rule of an agent choose from now on."""
    made = propose_route(runtime, agent)
    if not made.is_enough:
        known = ", ".join(f"`{row.offer}` has {row.outcomes}" for row in made.rows)
        raise BadOption(
            f"`{made.rule.agent}` must have {made.rule.minimum} outcomes of two models; {known}.",
            hint="compare models on its task first (`%%compare`), or lower `minimum`",
        )
    entry = {
        "rule": made.rule.as_data(),
        "on": datetime.now(UTC).date().isoformat(),
        "by": by,
        "outcomes": made.outcomes,
    }
    runtime.accepted.put("route", made.rule.agent, entry)
    return propose_route(runtime, agent)


def reject_route(runtime: Services, agent: Agent) -> Proposal:
    """Withdraw the acceptance of an agent's learned rule: its static choice is used again."""
    runtime.accepted.put("route", agent.name, None)
    return propose_route(runtime, agent)


def calibrate(runtime: Services, agent: Agent, pairs: Iterable[tuple[float, bool]], *, by: str = "") -> Calibration:
    """Calibrate an agent's confidences by labelled answers; the calibration is stored beside the store."""
    definition = agent.definition(runtime.models)
    ways = [part["by"] for part in (definition.get("route"), definition.get("second_opinion")) if part and "by" in part]
    if not (by or ways):
        raise BadOption(
            f"`{agent.name}` must measure confidence to be calibrated.",
            hint="`route: {cascade: [...], by: agreement(3)}`",
        )
    made = calibration(pairs)
    runtime.accepted.put("calibration", f"{agent.name} {by or ways[0]}", made.as_data())
    return made


def _rule(runtime: Services, agent: Agent) -> Rule:
    route = agent.definition(runtime.models).get("route") or {}
    if route.get("how") not in LEARNS:
        raise BadOption(
            f"`{agent.name}` must have a route that learns, got {'`route: ' + route['how'] + '`' if route else 'one model'}.",
            hint="`route: auto`, or `route: {learned: [small, big]}`",
        )
    return Rule.of(agent.name, route)


def _mean_cost(log: Log, offer: str) -> float | None:
    paid = [float(row.cost_usd) for row in log.rows if row.offer == offer and row.cost_usd is not None]
    return sum(paid) / len(paid) if paid else None
