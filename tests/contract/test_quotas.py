"""Budgets in tokens, calls and seconds: the same promises as for dollars, on every store."""

from __future__ import annotations

from decimal import Decimal as D
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.engine.ports import Hold, Quota, Refusal
from orch_nb.errors import StoreError
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget
from tests.contract.facts import sent, settled, started

if TYPE_CHECKING:
    from tests.contract.conftest import Shelf

NEST = ("notebook:n", "run:x", "run:x/node:b")


def ask(name: str, *, tokens: int = 100, calls: int = 1, usd: str = "0", node: Budget | None = None) -> Hold:
    """A model call's hold in the nest of notebook, run and node."""
    asked = {"tokens": D(tokens), "calls": D(calls), "seconds": D(0)}
    return Hold(name, (("notebook:n", None), ("run:x", None), ("run:x/node:b", node)), D(usd), asked)


def used(tokens: int, seconds: str = "0", calls: int = 1) -> dict[str, D]:
    """Return the use of a call."""
    return {"tokens": D(tokens), "calls": D(calls), "seconds": D(seconds)}


def begun(store: Any, **limits: Any) -> Any:
    """The log of run `x` with these limits of its own."""
    log = store.create("x")
    budget = Budget(**{unit: D(value) for unit, value in limits.items()})
    log.append([started("x", notebook="n", limit_usd=budget.usd, limits=budget.beside_usd())])
    return log


async def test_every_unit_is_held_and_settled_in_the_whole_nest(store: Any) -> None:
    """A call holds its bound of tokens and one call everywhere; it settles at what it used, seconds included."""
    log = begun(store, tokens=1000)
    assert await log.admit(sent(), ask("h")) is None
    for scope in NEST:
        quotas = store.balance(scope).quotas
        assert (quotas["tokens"].held, quotas["calls"].held, quotas["seconds"].held) == (100, 1, 0)
    log.settle([settled()], "h", D(0), D(0), used(42, "1.5"))
    for scope in NEST:
        quotas = store.balance(scope).quotas
        assert quotas["tokens"] == Quota(D(1000) if scope == "run:x" else None, D(42), D(0), D(0), D(0))
        assert (quotas["calls"].spent, quotas["seconds"].spent) == (1, D("1.5"))


@pytest.mark.parametrize(
    ("limits", "unit", "limit"),
    [({"tokens": 250}, "tokens", 250), ({"calls": 2}, "calls", 2), ({"usd": "0.2", "calls": 2}, "usd", D("0.2"))],
)
async def test_what_does_not_fit_is_refused_in_its_unit(store: Any, limits: Any, unit: str, limit: Any) -> None:
    """The third call of 100 tokens and 10 cents does not fit: the refusal says in which unit and how much; dollars first."""
    log = begun(store, **limits)
    for n in range(2):
        assert await log.admit(sent(n), ask(f"h{n}", usd="0.1")) is None
    refusal = await log.admit(sent(2), ask("h2", usd="0.1"))
    assert isinstance(refusal, Refusal)
    assert (refusal.scope, refusal.unit, refusal.limit, refusal.spent) == ("run:x", unit, limit, 0)
    log.settle([settled(0)], "h0", D(0), D(0), used(10))
    again = await log.admit(sent(2), ask("h2", usd="0.1"))
    assert (again is None) is (unit == "tokens"), "tokens come back when a call settles lower, a call does not"


async def test_a_nodes_limit_holds_inside_the_runs(store: Any) -> None:
    """The tightest of the nest refuses, whatever its unit."""
    log = begun(store, calls=10)
    assert await log.admit(sent(), ask("h", node=Budget(calls=D(1)))) is None
    refusal = await log.admit(sent(1), ask("g", node=Budget(calls=D(1))))
    assert refusal == Refusal("run:x/node:b", D(1), D(0), D(1), D(1), "calls")


async def test_seconds_stop_at_the_limit_and_show_what_ran_over(store: Any) -> None:
    """No seconds are held; a call is begun while any are left, and what it takes beyond them is overrun."""
    log = begun(store, seconds=2)
    assert await log.admit(sent(), ask("h")) is None
    assert await log.admit(sent(1), ask("g")) is None
    log.settle([settled()], "h", D(0), D(0), used(1, "1.999"))
    assert await log.admit(sent(2), ask("i")) is None, "a thousandth is left"
    for name in ("g", "i"):
        log.settle([settled()], name, D(0), D(0), used(1, "1.5"))
    assert store.balance("run:x").quotas["seconds"] == Quota(D(2), D(2), D(0), D(0), D("2.999"))
    refusal = await log.admit(sent(3), ask("j"))
    assert isinstance(refusal, Refusal)
    assert (refusal.unit, refusal.spent) == ("seconds", D("4.999"))
    log.append([ev.LimitChanged(None, 5.0, {"seconds": "10"})])
    assert store.balance("run:x").quotas["seconds"] == Quota(D(10), D("4.999"), D(0), D(0), D(0))
    assert await log.admit(sent(3), ask("j")) is None


async def test_tokens_above_the_bound_are_overrun_and_block(store: Any) -> None:
    """A provider that reports more tokens than were reserved is capped, shown, and nothing further is sent."""
    log = begun(store, tokens=1000)
    await log.admit(sent(), ask("h"))
    log.settle([settled()], "h", D(0), D(0), used(150))
    assert store.balance("run:x").quotas["tokens"] == Quota(D(1000), D(100), D(0), D(0), D(50))
    assert isinstance(await log.admit(sent(1), ask("g")), Refusal)
    log.append([ev.LimitChanged(None, 5.0, {"tokens": "1000"})])
    assert await log.admit(sent(1), ask("g")) is None


async def test_an_unknown_use_settles_at_what_was_reserved(store: Any) -> None:
    """A settlement that does not say how much was used books all that was held."""
    log = begun(store)
    await log.admit(sent(), ask("h"))
    log.settle([settled()], "h", D(0), D(0))
    quotas = store.balance("notebook:n").quotas
    assert (quotas["tokens"].spent, quotas["calls"].spent, quotas["seconds"].spent) == (100, 1, 0)


async def test_doubt_counts_in_every_unit(shelf: Shelf) -> None:
    """Tokens and calls of a call that was under way at a crash stay counted, in doubt, after another opening."""
    log = begun(shelf.store, calls=1)
    await log.admit(sent(), ask("h"))
    log.close()
    store = shelf.again()
    log = store.open("x")
    log.append([ev.Resumed(6.0)])
    quotas = store.balance("run:x").quotas
    assert (quotas["calls"].in_doubt, quotas["tokens"].in_doubt, quotas["calls"].held) == (1, 100, 0)
    assert isinstance(await log.admit(sent(1), ask("g")), Refusal)
    log.settle([settled()], "h", D(0), D(0), used(7, "0.5"))
    assert store.balance("run:x").quotas["calls"].in_doubt == 0
    assert store.balance("run:x").quotas["tokens"].spent == 7


async def test_a_budget_is_kept_whole(shelf: Shelf) -> None:
    """Limits in every unit, and what happens at them, are there after another opening; setting none takes all away."""
    budget = Budget(D("0.5"), D(200_000), D(100), D(600), "degrade", "small")
    shelf.store.set_limit("notebook:n", budget)
    store = shelf.again()
    assert store.balance("notebook:n").budget == budget
    assert [b.budget for b in store.balances("notebook:")] == [budget]
    store.set_limit("notebook:n", None)
    assert store.balance("notebook:n").budget == Budget()


async def test_a_reset_begins_every_unit_anew(shelf: Shelf) -> None:
    """A reset sets the use to 0 in every unit, keeps the limits, and the ledger still agrees with the events."""
    shelf.store.set_limit("notebook:n", Budget(calls=D(1)))
    log = begun(shelf.store)
    await log.admit(sent(), ask("h"))
    log.settle([settled()], "h", D(0), D(0), used(7, "0.5"))
    shelf.store.reset("notebook:n")
    log.close()
    store = shelf.again()
    quotas = store.balance("notebook:n").quotas
    assert (quotas["calls"].spent, quotas["calls"].limit, quotas["tokens"].spent) == (0, 1, 0)
    assert store.rebuild_ledger() == []
    assert await store.open("x").admit(sent(1), ask("g")) is None


async def test_a_deleted_runs_use_stays_counted(shelf: Shelf) -> None:
    """A deleted run's use of the notebook's quotas is carried over, including the use in doubt."""
    log = begun(shelf.store)
    await log.admit(sent(), ask("h"))
    log.settle([settled()], "h", D(0), D(0), used(7, "0.5"))
    await log.admit(sent(1), ask("g"))
    log.close()
    shelf.store.delete("x")
    store = shelf.again()
    quotas = store.balance("notebook:n").quotas
    assert (quotas["tokens"].spent, quotas["tokens"].in_doubt, quotas["calls"].in_doubt) == (7, 100, 1)
    assert store.rebuild_ledger() == []
    assert store.balances("run:x") == []


@pytest.mark.parametrize("bad", [1.5, 3, D("nan"), D(-1), D("inf"), "7", None])
async def test_amounts_of_every_unit_are_amounts(store: Any, bad: Any) -> None:
    """Only a finite Decimal from 0 up counts; nothing else is held, settled or set as a limit."""
    log = begun(store)
    with pytest.raises(StoreError, match="must be an amount of tokens"):
        await log.admit(sent(), Hold("h", (("run:x", None),), D(0), {"tokens": bad}))
    await log.admit(sent(), ask("h"))
    with pytest.raises(StoreError, match="must be an amount of calls"):
        log.settle([settled()], "h", D(0), D(0), {"calls": bad})
    if bad is not None:
        with pytest.raises(StoreError, match="must be an amount of seconds"):
            store.set_limit("notebook:n", Budget(seconds=bad))
    log.settle([settled()], "h", D(0), D(0), used(1))
