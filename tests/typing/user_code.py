"""A user's code for a type checker: it is checked by `test_typing.py` and never run.

Each line ending in ``# untyped`` is a value that a user's checker knows nothing of. They may become fewer: a type that is mended
makes its line an error here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

import orch_nb as orch


def lookup(name: str) -> str:
    """A tool."""
    return name


@orch.node(effects="mail", retry=1)
def send(answer: str) -> dict[str, str]:
    """An effect."""
    return {"sent": answer}


def define() -> orch.Graph:
    """Agents, tools and a graph."""
    triage = orch.Agent(
        "triage", "Which team? {{ ticket }}", model="small", out="{category: str}", tools=[orch.tool(lookup)]
    )
    assert_type(triage, orch.Agent)
    assert_type(triage.name, str)
    assert_type(orch.tool(lookup), orch.Tool)
    assert_type(send("x"), dict[str, str])
    support = orch.Graph("support").chain(triage, send)
    assert_type(support, orch.Graph)
    assert_type(orch.Graph.from_cell("support", "a -> b"), orch.Graph)
    assert_type(support.compile(), orch.Plan)
    assert_type(support.nx, Any)  # untyped
    return support


def set_up() -> None:
    """Models, providers and stores."""
    runtime = orch.Runtime(store=orch.MemoryStore())
    runtime.add_provider(orch.EchoProvider())
    runtime.add_provider(orch.ScriptedProvider(["yes"], name="mine"))
    runtime.add_provider(orch.OpenAIChat("mine", "http://127.0.0.1:8000/v1"))
    assert_type(orch.models().add("small", "yes-1", "mine", price={"input": 1, "output": 2}), orch.Offer)
    assert_type(orch.budget(0.50).spent_usd, Decimal)
    assert_type(runtime.store.balance("notebook:mine"), orch.Balance)
    assert_type(orch.use(store=orch.MemoryStore(), models={"small": "openai/gpt-4o-mini"}), orch.Runtime)
    assert_type(orch.use(runtime), orch.Runtime)
    with orch.SqliteStore("runs.sqlite", read_only=True) as store:
        assert_type(store, orch.SqliteStore)


async def use(support: orch.Graph) -> None:
    """Runs, quotes, batches, comparisons."""
    assert_type(orch.quote(support, ticket="x").expected_usd, Decimal | None)
    run = await orch.run(support, ticket="x", budget=0.05)
    assert_type(run, orch.RunHandle)
    assert_type(await support.run(ticket="x"), orch.RunHandle)
    assert_type(orch.run_sync(support, ticket="x"), orch.RunHandle)
    assert_type(await orch.resume(run.run), orch.RunHandle | orch.BatchHandle)
    assert_type(orch.open_run(1), orch.RunHandle)
    assert_type(run.status, str)
    assert_type(run.spent_usd, Decimal)
    assert_type(run.bill(), orch.Bill)
    assert_type(run.bill().total.calls, int)
    assert_type(run.view, orch.RunView)
    assert_type(run.result(), Any)  # what the graph gives: Any is right
    assert_type(run.plot(), Any)  # untyped
    assert_type(orch.runs(), list[orch.RunRow])
    batch = await orch.batch(support, [{"ticket": "x"}], budget="1, 20 calls", rows_at_once=4)
    assert_type(batch, orch.BatchHandle)
    assert_type(batch.rows[0].usd, Decimal)
    assert_type((await support.batch([{"ticket": "x"}])).spent_usd, Decimal)
    async with orch.record(budget=0.05) as recording:
        assert_type(recording, orch.RunHandle)
    assert_type(orch.quote(support, ticket="x"), orch.Quote)
    compared = orch.compare("teams", prompts=["triage"], models=["small"], inputs=["x"])
    assert_type(compared, orch.Comparison)
    assert_type(compared.done(), bool)
    assert_type(orch.matrix("wording"), orch.Matrix)
    assert_type(orch.matrix("wording").models, tuple[str, ...])
    assert_type(orch.matrix().table(), Any)  # untyped
    assert_type(orch.forecast(support, per_day=10), orch.Forecast)
    assert_type(orch.forecast(support, per_day=10).run_usd, Decimal)
    assert_type(orch.claim("saving >= 1 %", title="cheap").title, str)


def catch(run: orch.RunHandle) -> str:
    """Errors."""
    try:
        run.result()
    except orch.BudgetExceeded as error:
        return assert_type(error.hint, str)
    except (orch.NodeFailed, orch.RunCancelled, orch.WaitingForPerson) as error:
        return assert_type(error.hint, str)
    except orch.ProviderError as error:
        return assert_type(error.model, str)
    except orch.OrchError as error:
        return assert_type(error.code, str)
    return ""
