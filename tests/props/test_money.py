"""Whatever models answer, in runs with retries, repairs, fallbacks and loops: no budget of the nest is ever passed."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.errors import AuthFailed, MalformedReply, ProviderUnavailable, RateLimited
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.routing import models
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Reply, Usage
from orch_nb.store.memory import MemoryStore
from tests.props.schedules import check, check_end

PRICES = {"small": 10, "mid": 40, "big": 100}


class Watched(MemoryStore):
    """A store that asks the invariant after every admission and settlement of every run."""

    def _log(self, run: str) -> Any:
        log = super()._log(run)
        store = self

        class Log(type(log)):  # type: ignore[misc]
            """The same log, looked at."""

            async def admit(self, event: Any, hold: Any) -> Any:
                got = await super().admit(event, hold)
                check(store)
                return got

            def settle(self, *given: Any) -> Any:
                got = super().settle(*given)
                check(store)
                return got

        return Log(log._store, log.run, log._events, log._holds)


def answer(rng: random.Random) -> Any:
    """What a model may do: well, badly, not at all, for nothing or billed, or lie about its usage."""
    kind = rng.random()
    if kind < 0.12:
        return RateLimited("slow down", retry_after_s=0.0)
    if kind < 0.20:
        return ProviderUnavailable("broke off", provider="p", billed=rng.random() < 0.5, retry_after_s=0.0)
    if kind < 0.24:
        return MalformedReply("half an answer", billed=True)
    if kind < 0.28:
        return AuthFailed("no")
    text = rng.choice(['{"verdict": "again"}', '{"verdict": "good"}', '{"verdict": "good"}', "no JSON at all"])
    usage = rng.choice(
        [Usage(40, 20), Usage(200, 50), None, Usage(bad="input tokens are NaN"), Usage(9_000_000, 1)]
        if rng.random() < 0.3
        else [Usage(60, 30)]
    )
    return Reply(text, usage=usage)


@pytest.mark.parametrize("block", range(5))
async def test_storms_fallbacks_and_escalations_stay_inside_every_budget(block: int) -> None:
    """Thirty runs of a loop of two agents and a map under random limits in every unit, in a notebook with a budget of its own:
    the invariant at every admission and settlement, nothing held at the end, and never more requests than calls allowed."""
    ends = set()
    for seed in range(block * 30, block * 30 + 30):
        rng = random.Random(seed)
        book = models.ModelBook(environ={})
        models.use(book)
        store = Watched()
        runtime = Runtime(store=store, models=book)
        before = current_runtime.use(runtime)
        try:
            provider = ScriptedProvider(lambda request, rng=rng: answer(rng), name="p")
            runtime.add_provider(provider)
            for name, price in PRICES.items():
                book.add(name, f"{name}-1", "p", price={"input": price, "output": price})
            calls = rng.randrange(1, 25)
            runtime.set_budget(f"{rng.randrange(1, 60) / 100} tokens={rng.randrange(500, 9000)}")
            run = await orch.run(
                graph(), namespace=names(rng), items=[1, 2], x="hi",
                budget=f"{rng.randrange(1, 60) / 100}, {calls} calls, {rng.choice(['stop', 'degrade', 'ask'])}",
            )  # fmt: skip
            ends.add(run.events[-1].error.type if run.events[-1].error else "done")
            check_end(store)
            assert store.rebuild_ledger() == []
            assert len(provider.requests) <= calls, f"seed {seed}"
            settled = [e for e in run.events if isinstance(e, ev.Settled)]
            one = store.balance(f"run:{run.run}")
            assert one.spent_usd == sum((e.cost_usd or 0 for e in settled), Decimal(0)) == run.spent_usd
            assert one.overrun_usd == sum((e.overrun_usd for e in settled), Decimal(0))
        finally:
            runtime.close()
            current_runtime.use(before)
    assert {"BudgetExceeded", "done"} <= ends, "limits that never bind would prove nothing"


def graph() -> orch.Graph:
    """A loop of two agents, then a map."""
    return orch.Graph.from_cell(
        "storm",
        "draft -> judge\njudge -> draft when judge.verdict == 'again' at most 4\njudge -> each_one else\n"
        "each_one -> work each items as item",
    )


def names(rng: random.Random) -> dict[str, Any]:
    """Agents with retries, fallbacks and budgets of their own."""
    out = "{verdict: again | good}"
    keys = {"out": out, "max_tokens": 60, "retry": 3}
    return {
        "draft": orch.Agent("draft", "{{ x }} {{ judge? }}", model="small", fallback=["mid", "big"], **keys),
        "judge": orch.Agent(
            "judge", "{{ draft }}", model="mid", fallback=["big"], budget={"calls": rng.randrange(1, 9)}, **keys
        ),
        "each_one": lambda judge: judge,
        "work": orch.Agent(
            "work", "{{ item }}", model="small", fallback=["mid"], budget=0.02, on_failure="skip", **keys
        ),
    }
