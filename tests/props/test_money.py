"""Whatever models answer, in runs with retries, repairs, fallbacks and loops: no budget of the nest is ever passed."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.catalog import models
from orch_nb.errors import AuthFailed, MalformedReply, ProviderUnavailable, RateLimited
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Completed, Reply, TextDelta, Usage
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


def answer(rng: random.Random) -> tuple[Any, Usage]:
    """Draw the behaviour of a model, and its true usage: well, badly, not at all, for nothing or billed, or with another usage than
    the true one, or none."""
    kind = rng.random()
    hidden = Usage(rng.randrange(1, 40), rng.randrange(1, 61))
    if kind < 0.12:
        return RateLimited("slow down", retry_after_s=0.0), Usage()
    if kind < 0.20:
        billed = rng.random() < 0.5
        failed = ProviderUnavailable("broke off", provider="p", billed=billed, retry_after_s=0.0)
        return failed, hidden if billed else Usage()
    if kind < 0.24:
        return (*rng.choice([(), ("half an ",)]), MalformedReply("half an answer", billed=True)), hidden
    if kind < 0.28:
        return AuthFailed("no"), Usage()
    text = rng.choice(['{"verdict": "again"}', '{"verdict": "good"}', '{"verdict": "good"}', "no JSON at all"])
    if rng.random() < 0.3:
        told = rng.choice(
            [None, Usage(0, 0), Usage(bad="input tokens are NaN"), Usage(1, 0), Usage(1, 1, estimated=True)]
        )
        return (TextDelta(text), Completed(usage=told)), hidden
    usage = rng.choice([Usage(60, 30)] * 9 + [Usage(40, 20), Usage(200, 50), Usage(9_000_000, 1)])
    return Reply(text, usage=usage), usage


class Storm:
    """What the models of one run do, and what each request truly cost. Some storms end in a Stop while a model thinks."""

    def __init__(self, runtime: Runtime, rng: random.Random) -> None:
        self._runtime, self._rng = runtime, rng
        self._stops_at = rng.randrange(1, 12) if rng.random() < 0.2 else 0
        self.used_usd: list[Decimal] = []

    async def answer(self, request: Any) -> Any:
        """The reply to one request."""
        made, true = answer(self._rng)
        is_last = len(self.used_usd) + 1 == self._stops_at
        true = Usage(1, request.max_tokens) if is_last else true
        price = PRICES[request.model.removesuffix("-1")]
        self.used_usd.append(Decimal(price * (true.input_tokens + true.output_tokens)) / 1_000_000)
        if is_last:
            self._runtime.live_runs()[0].stop()
            await asyncio.get_running_loop().create_future()
        return made


@pytest.mark.parametrize("block", range(5))
async def test_storms_fallbacks_and_escalations_stay_inside_every_budget(block: int) -> None:
    """Thirty runs of a loop of two agents and a map under random limits in every unit, in a notebook with a budget of its own,
    some of them stopped: the invariant at every admission and settlement, nothing held at the end, never more requests than
    calls allowed, and never less booked than was truly used."""
    ends = set()
    for seed in range(block * 30, block * 30 + 30):
        rng = random.Random(seed)
        book = models.ModelBook(environ={})
        models.use(book)
        store = Watched()
        runtime = Runtime(store=store, models=book)
        before = current_runtime.use(runtime)
        try:
            storm = Storm(runtime, rng)
            provider = ScriptedProvider(storm.answer, name="p")
            runtime.add_provider(provider)
            for name, price in PRICES.items():
                book.add(name, f"{name}-1", "p", price={"input": price, "output": price})
            calls = rng.randrange(1, 25)
            runtime.set_budget(f"{rng.randrange(1, 60) / 100} tokens={rng.randrange(500, 9000)}")
            run = await orch.run(
                graph(), namespace=names(rng), items=[1, 2], x="hi",
                budget=f"{rng.randrange(1, 60) / 100}, {calls} calls, {rng.choice(['stop', 'degrade', 'ask'])}",
            )  # fmt: skip
            ends.add(run.events[-1].error.type if run.events[-1].error else run.status)
            check_end(store)
            assert store.rebuild_ledger() == []
            assert len(provider.requests) <= calls, f"seed {seed}"
            settled = [e for e in run.events if isinstance(e, ev.Settled)]
            one = store.balance(f"run:{run.run}")
            assert one.spent_usd == sum((e.cost_usd or 0 for e in settled), Decimal(0)) == run.spent_usd
            assert one.spent_usd + one.overrun_usd >= sum(storm.used_usd), f"seed {seed}"
            assert one.overrun_usd == sum((e.overrun_usd for e in settled), Decimal(0))
        finally:
            runtime.close()
            current_runtime.use(before)
    assert {"BudgetExceeded", "done", "cancelled"} <= ends, "limits that never bind would prove nothing"


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
