"""Learned routes as proposals: shown with their evidence, accepted by a person, named by every decision that follows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption
from orch_nb.routing.confidence import calibration
from orch_nb.routing.learned.proposal import Log, Proposal, Rule, accepted_for, propose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.routing.confidence import Calibration
    from orch_nb.runtime.services import Services

LEARNS = ("auto", "learned")


def propose_route(runtime: Services, agent: Any) -> Proposal:
    """The rule that was learned for an agent's route, with its evidence; see `accept_route`.

    Parameters
    ----------
    agent
        An `Agent` whose route is `auto` or learned.

    Raises
    ------
    BadOption
        Its route learns nothing.
    """
    rule = _rule(runtime, agent)
    offers = {name: runtime.models.resolve(name) for name in rule.offers}
    log = Log.of(runtime.evidence(rule.agent), offers)
    costs = {name: _mean_cost(log, name) for name in rule.offers}
    accepted = accepted_for(rule, runtime.accepted.find("route", rule.agent))
    return runtime.embed_pool.submit(propose, runtime.learning, rule, log, costs, accepted).result()


def accept_route(runtime: Services, agent: Any, *, by: str = "") -> Proposal:
    """Let the learned rule of an agent choose from now on; each decision names the acceptance.

    It stands until the candidates, the minimum, the tradeoff or the baseline change; later outcomes go on teaching it.

    Raises
    ------
    BadOption
        Its route learns nothing, or there is not enough evidence.
    """
    made = propose_route(runtime, agent)
    if not made.is_enough:
        known = ", ".join(f"`{row.offer}` has {row.outcomes}" for row in made.rows)
        raise BadOption(
            f"there is not enough evidence for `{made.rule.agent}`: {known} outcomes, and {made.rule.minimum} of two models are needed.",
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


def reject_route(runtime: Services, agent: Any) -> Proposal:
    """Take the acceptance of an agent's learned rule back: the static choice answers again."""
    runtime.accepted.put("route", agent.name, None)
    return propose_route(runtime, agent)


def calibrate(runtime: Services, agent: Any, pairs: Iterable[tuple[float, bool]], *, by: str = "") -> Calibration:
    """Let an agent's confidences mean the rate of right answers, by labelled ones; kept beside the store.

    Parameters
    ----------
    agent
        An `Agent` with a cascade or a second opinion.
    pairs
        (confidence as it was recorded, whether the answer was right), 20 and more.
    by
        How the confidences were measured, such as "agreement(3)"; the agent's own way unless told.

    Raises
    ------
    BadOption
        Too few pairs, a confidence outside 0 to 1, or an agent that measures none.
    """
    definition = agent.definition(runtime.models)
    ways = [part["by"] for part in (definition.get("route"), definition.get("second_opinion")) if part and "by" in part]
    if not (by or ways):
        raise BadOption(f"`{agent.name}` measures no confidence.", hint="`route: {cascade: [...], by: agreement(3)}`")
    made = calibration(pairs)
    runtime.accepted.put("calibration", f"{agent.name} {by or ways[0]}", made.as_data())
    return made


def _rule(runtime: Services, agent: Any) -> Rule:
    route = agent.definition(runtime.models).get("route") or {}
    if route.get("how") not in LEARNS:
        raise BadOption(
            f"`{agent.name}` learns no route: it has {'`route: ' + route['how'] + '`' if route else 'one model'}.",
            hint="`route: auto`, or `route: {learned: [small, big]}`",
        )
    return Rule.of(agent.name, route)


def _mean_cost(log: Log, offer: str) -> float | None:
    paid = [float(row.cost_usd) for row in log.rows if row.offer == offer and row.cost_usd is not None]
    return sum(paid) / len(paid) if paid else None
