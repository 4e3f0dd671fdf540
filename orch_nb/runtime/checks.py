"""Checks before a run: inputs, models, keys, providers, secrets in prompts, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.errors import BadOption, MissingInput, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Balance
    from orch_nb.runtime.services import Services
    from orch_nb.schema.budget import Budget
    from orch_nb.schema.messages import Provider


def check_inputs(plan: Plan, inputs: Mapping[str, object]) -> None:
    """Check that every input of a plan is given, and no other.

    Raises
    ------
    MissingInput
        An input is missing, or one is given that nothing reads; the hint has the nearest name.
    BadOption
        `budget_usd` is given: the option is called `budget`.
    """
    known = {*plan.inputs, *plan.optional_inputs, *plan.state}
    missing = [name for name in plan.inputs if name not in inputs]
    extra = [name for name in inputs if name not in known]
    if not missing and not extra:
        return
    if "budget_usd" in extra:
        raise BadOption("`budget_usd` is called `budget`.", hint=f"`budget={inputs['budget_usd']!r}`")
    parts = []
    if missing:
        parts.append(f"`{plan.name}` needs {_names(missing)}")
    if extra:
        parts.append(f"nothing in `{plan.name}` reads {_names(extra)}")
    near = nearest(extra[0], missing or known) if extra else ""
    hint = f"did you mean `{near}`?" if near else f"inputs: {_names(sorted(known)) or 'none'}"
    raise MissingInput("; ".join(parts) + ".", hint=hint, missing=missing, extra=extra)


def check_models(services: Services, plan: Plan, *, with_keys: bool = True) -> None:
    """Check that every model that the plan may call is known, that its provider exists, and that its key is found.

    Parameters
    ----------
    with_keys
        False checks the names alone: a quote needs no key.

    Raises
    ------
    UnknownModel, AuthFailed
        Before anything is spent or stored.
    """
    for node in plan.nodes:
        if node.kind == "agent":
            is_routed = "route" in node.spec  # a route refuses a model without a key by itself
            for model in (*node.spec.get("models", ()), *node.spec.get("others", ())):
                offer = services.offer(node, model["name"])
                if with_keys and not is_routed:
                    check_key(services.provider(offer.provider))
        if node.chooser is not None and node.chooser.model:
            offer = services.offer(node, node.chooser.model)
            if with_keys:
                check_key(services.provider(offer.provider))
    for sub in plan.subplans.values():
        check_models(services, sub, with_keys=with_keys)


def check_key(provider: Provider) -> None:
    """Check that a provider's key is found, before the run begins.

    Raises
    ------
    AuthFailed
        It is not found.
    """
    reference = getattr(provider, "key_reference", "")
    if reference:
        from orch_nb.providers.keys import key_source

        source = key_source(reference, provider.name)
        if source is not None:
            source.resolve()


def check_room(now: Balance, wanted: Budget) -> None:
    """Refuse limits below what is used already.

    Raises
    ------
    BadOption
        With the unit, the limit and what is used of it.
    """
    for unit, quota in now.each().items():
        limit, bound = wanted.limit(unit), quota.spent + quota.held + quota.in_doubt
        if limit is not None and limit < bound:
            sign, of = ("$", "") if unit == "usd" else ("", f" {unit}")
            raise BadOption(
                f"the budget cannot be {sign}{limit}{of}: {sign}{bound} of it is spent, held or in doubt already.",
                hint=f"at least {bound}, or `%orch budget reset` to count from zero",
            )


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)
