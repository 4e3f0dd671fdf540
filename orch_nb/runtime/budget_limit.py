"""A call that does not fit in a budget: the run stops, a cheaper model is called, or a person is asked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from orch_nb.errors import OrchError, counted
from orch_nb.runtime.checks import check_key
from orch_nb.schema import events as ev
from orch_nb.schema.amount import DOLLARS, read_amount
from orch_nb.schema.budget import EXAMPLE, MOST, WHOLE, Budget, parse_budget
from orch_nb.trace.alerts import money

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch_nb.engine.plan import PlanNode
    from orch_nb.engine.ports import Call, Limit, Prepared, Refusal
    from orch_nb.runtime.services import Services
    from orch_nb.schema.events import Event

NOT_ASKED = frozenset({"echo"})
"""Providers that calls are degraded to only where a budget names them: they give no real answers."""


class LimitedRun(Protocol):
    """A run as it decides at a limit: its budgets, and how its calls are prepared."""

    run: str
    raised: dict[str, Limit]

    @property
    def runtime(self) -> Services: ...
    def scopes_of(self, node: PlanNode) -> tuple[tuple[str, Limit], ...]: ...
    def prepare(self, node: PlanNode, call: Call, idempotency_key: str) -> Prepared: ...


def budget_at(run: LimitedRun, node: PlanNode, scope: str) -> Budget:
    """Return the budget of a scope around `node`: of this run, else of the store (a notebook's)."""
    limit = dict(run.scopes_of(node)).get(scope)
    if limit is None:
        return run.runtime.store.balance(scope).budget
    return limit if isinstance(limit, Budget) else Budget(limit)


# ------------------------------------------------------------------ a cheaper model
def degraded(
    run: LimitedRun, node: PlanNode, call: Call, key: str, refused: Prepared, refusal: Refusal
) -> Prepared | None:
    """Return the same call to the cheapest model that fits in what is left, or to the one that the budget names; else None.

    Notes
    -----
    This saves dollars only, no other unit. A model is skipped that cannot take the request (its tools, its schema, its
    length), has no price or no key, whose provider is down, or whose reservation would not be smaller. The call is repaired,
    retried and billed like any other, and its route gives the reason.
    """
    room = refusal.limit - refusal.spent
    if refusal.unit != "usd" or call.kind != "model" or refusal.asked <= room - refusal.held:
        return None
    named = budget_at(run, node, refusal.scope).degrade
    found = [
        made
        for made in _prepare_each(run, node, call, key, [named] if named else _names(run, call))
        if made.reserved_usd is not None and made.reserved_usd <= room and made.reserved_usd < refusal.asked
    ]
    if not found:
        return None
    chosen = min(found, key=lambda made: made.reserved_usd or Decimal(0))
    return replace(chosen, route=_route(chosen, refused, refusal))


def _names(run: LimitedRun, call: Call) -> Iterator[str]:
    """Yield the notebook's models that can take the request."""
    for offer in run.runtime.models.offers():
        asked = call.request
        can = (offer.tools or not asked.tools) and (offer.json or asked.schema is None)
        is_own = offer.name not in ("smollm2", "echo")  # they are offered as `small`
        if can and is_own and offer.provider not in NOT_ASKED:
            yield offer.name


def _prepare_each(run: LimitedRun, node: PlanNode, call: Call, key: str, names: Iterable[str]) -> Iterator[Prepared]:
    for name in names:
        try:
            offer = run.runtime.offer(node, name)
            check_key(run.runtime.provider(offer.provider))
            if run.runtime.availability.why_not(offer.provider):
                continue
            yield run.prepare(node, replace(call, target=name), key)
        except OrchError:
            continue  # no key, no price, or it does not fit: the refusal is the error


def _route(chosen: Prepared, refused: Prepared, refusal: Refusal) -> dict[str, Any]:
    """Return the chosen model's route, with the refused one among its candidates."""
    left = refusal.limit - refusal.spent - refusal.held
    why = (
        f"degraded to `{chosen.target}`: the budget of {whose(refusal.scope)} has {money(left)} left, "
        f"`{refused.target}` needs {money(refusal.asked)}"
    )
    before = [{**c, "refused": c.get("refused") or why} for c in (refused.route or {}).get("candidates", ())]
    route = dict(chosen.route or {})
    return {**route, "because": why, "degraded": why, "candidates": [*before, *route.get("candidates", ())]}


def whose(scope: str) -> str:
    """Return a scope in words: ``run 7``, ``notebook n``, ``node `draft` of run 7``."""
    head, _, node = scope.partition("/node:")
    kind, _, name = head.partition(":")
    return f"node `{node}` of {kind} {name}" if node else f"{kind} {name}".rstrip()


# ------------------------------------------------------------------ a person
def shown_to_person(refusal: Refusal) -> dict[str, str]:
    """Return the figures that a person decides by; the `Waiting` event stores them."""
    return {
        "scope": refusal.scope, "unit": refusal.unit, "limit": str(refusal.limit), "used": str(refusal.spent),
        "held": str(refusal.held), "asked": str(refusal.asked),
    }  # fmt: skip


def question_of(node: str, refusal: Refusal) -> str:
    """Return the question to a person."""

    def text(amount: Decimal) -> str:
        return money(amount) if refusal.unit == "usd" else counted(amount, refusal.unit)

    left = refusal.limit - refusal.spent - refusal.held
    needs = f"`{node}` asks for up to {text(refusal.asked)}" if refusal.asked else f"`{node}` asks to continue"
    return (
        f"The budget of {whose(refusal.scope)} has {text(left)} left of {text(refusal.limit)}; {needs}. How much more?"
    )


def raised_budget(shown: Mapping[str, str], amount: object, before: Budget) -> Budget:
    """Return the budget after a person's answer.

    Parameters
    ----------
    shown
        The figures that they were shown.
    amount
        The raise, in the unit that ran out; None: just enough for the call that asked.

    Raises
    ------
    BadOption
        `amount` is not an amount.
    """
    unit = shown["unit"]
    if amount is None:
        limit, *used = (Decimal(shown[name]) for name in ("limit", "used", "held", "asked"))
        least = Decimal("0.001") if unit == "seconds" else Decimal(0)
        amount = format(max(sum(used, Decimal(0)) - limit, least), "f")
    is_usd = unit == "usd"
    text = amount.strip().removeprefix("+") if isinstance(amount, str) else amount
    of = DOLLARS if is_usd else f"a number of {unit}"
    more = read_amount(
        text, "the raise", of=of, most=MOST[unit], is_whole=unit in WHOLE, example=f"in plain digits; {EXAMPLE}"
    )
    return parse_budget({unit: f"+{format(more, 'f')}"}, "the raise", before=before)


def raise_limit(run: LimitedRun, node: PlanNode, shown: Mapping[str, str], amount: object, now: float) -> list[Event]:
    """Raise a limit by a person's answer; return the events of it. A limit outside the run changes in the store at once."""
    scope, own = shown["scope"], f"run:{run.run}"
    budget = raised_budget(shown, amount, budget_at(run, node, scope))
    if scope != own and not scope.startswith(own + "/"):
        run.runtime.store.set_limit(scope, budget)
        return []
    run.raised[scope] = budget
    return [ev.LimitChanged(budget.usd, now, budget.beside_usd(), "" if scope == own else scope)]
