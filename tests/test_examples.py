"""The guides' own cases, each as a user would write it: what they see is what is asserted."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

import orch_nb as orch
from orch_nb.errors import NodeTimeout
from orch_nb.notebook.overview import unfinished_text
from orch_nb.trace.bill import bill
from orch_nb.trace.spans import spans
from tests.unit.runtime.conftest import reply, rt, scripted  # noqa: F401  (fixtures)


def steps(run: Any) -> list[Any]:
    """The run's activations, without their calls."""
    return [span for span in spans(run.events) if span.kind in ("agent", "function")]


def priced(rt: Any, usd: str) -> None:  # noqa: F811
    """The scripted model costs `usd` a call."""
    rt.models.add("m", "model-1", "vendor", price={"per_call": usd})


async def test_independent_steps_run_at_once_and_join(rt: Any) -> None:  # noqa: F811
    """Two steps that each wait for the other to have begun both end: they overlap, and the join has both results."""
    begun = {"left": asyncio.Event(), "right": asyncio.Event()}

    @orch.node
    async def left(x):
        begun["left"].set()
        await begun["right"].wait()
        return x + 1

    @orch.node
    async def right(x):
        begun["right"].set()
        await begun["left"].wait()
        return x + 2

    def join(left, right):
        return [left, right]

    graph = orch.Graph("fan").edge("left", "join").edge("right", "join")
    run = await orch.run(graph, x=1)

    assert run.result() == [2, 3]
    by_name = {span.key: span for span in steps(run)}
    assert by_name["left"].started_at < by_name["right"].ended_at
    assert by_name["right"].started_at < by_name["left"].ended_at
    assert by_name["join"].started_at >= max(by_name["left"].ended_at, by_name["right"].ended_at)


async def test_one_document_over_n_dimensions_gives_n_spans_and_one_synthesis(rt: Any, scripted: Any) -> None:  # noqa: F811
    """An agent mapped over five dimensions is billed five times, in order, and its list is synthesised once."""
    scripted([reply(f"on {i}") for i in range(5)])
    look = orch.Agent("look", "Judge {{ dimension }}.", model="m", max_tokens=50)

    def plan(document):
        return {"dimensions": ["cost", "risk", "fit", "speed", "trust"], "of": document}

    def synthesis(look):
        return "; ".join(look)

    graph = orch.Graph.from_cell("review", "plan -> look  each plan.dimensions as dimension\nlook -> synthesis\n")
    run = await orch.run(graph, namespace={"look": look, "plan": plan, "synthesis": synthesis}, document="a memo")

    assert run.result() == "on 0; on 1; on 2; on 3; on 4"
    items = [span.item for span in steps(run) if span.kind == "agent" and span.item is not None]
    assert items == [0, 1, 2, 3, 4]
    assert len([span for span in steps(run) if span.key == "synthesis"]) == 1


async def test_resuming_says_what_was_saved(rt: Any, scripted: Any) -> None:  # noqa: F811
    """Of 15 steps the seventh fails after $50: the listing says $50.00 kept, and resuming bills only what was left."""
    provider = scripted([reply() for _ in range(14)])
    priced(rt, "10")
    broken = [True]

    def step7(step6):
        if broken[0]:
            raise ValueError("the service is down")
        return "repaired"

    names: dict[str, Any] = {"step7": step7, "step1": lambda topic: topic}
    for n in (*range(2, 7), *range(8, 16)):
        names[f"step{n}"] = orch.Agent(f"step{n}", f"{{{{ step{n - 1} }}}}", model="m", max_tokens=50)
    graph = orch.Graph("long").chain(*(f"step{n}" for n in range(1, 16)))

    run = await orch.run(graph, namespace=names, topic="orchestration")
    assert run.status == "failed"
    assert run.spent_usd == Decimal(50)
    [row] = rt.unfinished()
    said = unfinished_text(rt, row)
    assert "7/15 step7" in said
    assert "$50.0" in said
    assert "kept" in said

    broken[0] = False
    again = await orch.resume(run.run, namespace=names)
    assert again.status == "done"
    assert len(provider.requests) == 13, "five before the failure and eight after it: none of them twice"
    assert again.spent_usd == Decimal(130)


async def test_equal_state_gives_an_equal_recorded_input(rt: Any, scripted: Any) -> None:  # noqa: F811
    """An agent run twice on the same values says the same to the model: one request hash, one fingerprint."""
    scripted([reply("one"), reply("two")])
    draft = orch.Agent("draft", "About {{ topic }} for {{ reader }}", model="m", max_tokens=50)
    first = await orch.run(draft, topic="rain", reader="a child")
    second = await orch.run(draft, topic="rain", reader="a child")

    sent = [next(e for e in run.events if e.TYPE == "sent") for run in (first, second)]
    assert sent[0].request_hash == sent[1].request_hash
    assert sent[0].fingerprint == sent[1].fingerprint != ""
    assert sent[0].request == sent[1].request


async def test_each_step_has_a_timeout_of_its_own(rt: Any) -> None:  # noqa: F811
    """A step over its own timeout fails the run by name and limit; a step that may be skipped is merged without it."""
    forever = asyncio.Event()

    @orch.node(timeout_s=0.01, retry=1)
    async def slow(x):
        await forever.wait()

    @orch.node(timeout_s=30)
    async def quick(x):
        return x

    run = await orch.run(orch.Graph("two").chain("quick", "slow"), x=1)

    assert run.status == "failed"
    with pytest.raises(NodeTimeout, match=r"`slow` did not finish within its 0\.01 s"):
        run.result()
    assert {span.key: span.exit for span in steps(run)}["quick"] == "success"


async def test_the_bill_adds_up_by_step_agent_model_and_in_total(rt: Any, scripted: Any) -> None:  # noqa: F811
    """Tokens and dollars of a two-agent run are the same sum whichever way they are counted."""
    scripted([reply(tokens_in=30, tokens_out=20), reply(tokens_in=60, tokens_out=40)])
    names = {
        "draft": orch.Agent("draft", "About {{ topic }}", model="m", max_tokens=50),
        "check": orch.Agent("check", "Check {{ draft }}", model="m", max_tokens=50),
    }
    run = await orch.run(orch.Graph("pair").chain("draft", "check"), namespace=names, topic="rain")

    total = bill(run.events)
    assert total.spent_usd == Decimal("0.015") == run.spent_usd
    for rows in (total.steps, total.agents, total.models):
        assert sum((row.spent_usd for row in rows), Decimal(0)) == total.spent_usd
        assert sum(row.input_tokens for row in rows) == 90
        assert sum(row.output_tokens for row in rows) == 60
