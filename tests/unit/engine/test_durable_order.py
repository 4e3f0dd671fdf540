"""Invariant 1: what is not on disk yet has not happened. On a log that takes its time, nothing starts too early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.schema import events as ev
from tests.support import Crash, ListLog, Performer, Scripted, driver_for, plan_of, run_plan

if TYPE_CHECKING:
    from orch_nb.engine.ports import Refusal


class SlowLog(ListLog):
    """A log whose commits and syncs take several turns of the loop, and which knows what they have reached."""

    def __init__(self) -> None:
        super().__init__()
        self.committed, self.synced, self.admitted = 0, 0, 0

    def append(self, events: Any) -> Any:
        super().append(events)
        return self._commit(len(self.events)) if len(self.events) > 1 else None

    def settle(self, events: Any, hold: str, spent: Any, overrun: Any, used: Any = None) -> Any:
        super().settle(events, hold, spent, overrun, used)
        return None

    async def _commit(self, reached: int) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.committed = max(self.committed, reached)

    async def admit(self, event: Any, hold: Any) -> Refusal | None:
        refused = await super().admit(event, hold)
        await self._commit(len(self.events))
        self.admitted, self.synced = len(self.events), len(self.events)
        return refused

    async def sync(self) -> None:
        await self._commit(len(self.events))
        self.synced = len(self.events)


def test_nothing_starts_from_what_is_not_durable() -> None:
    """A node starts only after the event that made it due is committed, in a chain and behind a join."""
    log = SlowLog()
    early: list[str] = []

    def check(name: str) -> str:
        if len(log.events) > 1 and log.committed < len(log.events):
            early.append(name)
        return name

    nodes: dict[str, Any] = {
        "a": lambda x: check("a"), "b": lambda a: check("b"), "c": lambda a: check("c"), "d": lambda b, c: check("d"),
        "e": lambda d: check("e"),
    }  # fmt: skip
    state, _ = run_plan(plan_of("a -> {b, c} -> d -> e", **nodes), {"x": 1}, log=log, performer=Performer(**nodes))
    assert state.ended
    assert early == []


def test_a_paid_run_is_on_disk_before_it_is_reported() -> None:
    """The last event of a run that called a model is synced before the run says done: not in a cache that a power cut empties."""
    log = SlowLog()
    agent = Scripted("x")
    state, _ = run_plan(plan_of("a", a=agent), {"x": 1}, log=log, performer=Performer(a=agent))
    assert state.ended
    assert any(isinstance(e, ev.Settled) for e in log.events)
    assert log.synced == len(log.events)


def test_an_effects_intent_is_synced_before_it_is_performed() -> None:
    """The function with a declared effect runs behind its admitted, synced `sent`."""
    from orch_nb.tools.function import node

    log = SlowLog()
    seen: list[tuple[int, str]] = []

    @node(effects="message")
    def send(x: int) -> str:
        seen.append((log.synced, log.events[-1].TYPE))
        return "sent"

    state, _ = run_plan(plan_of("send", send=send), {"x": 1}, log=log, performer=Performer(send=send))
    assert state.ended
    assert seen == [(2, "sent")]


def test_an_effect_in_doubt_is_asked_of_a_person_not_repeated() -> None:
    """The process dies between an effect and its record: after the resume a person says whether it happened."""
    from orch_nb.tools.function import node

    performed = []

    @node(effects="message")
    def send(x: int) -> str:
        performed.append(x)
        return "sent"

    plan, log = plan_of("send", send=send), ListLog(crash_after=2)
    with pytest.raises(Crash):
        run_plan(plan, {"x": 1}, log=log, performer=Performer(send=send))
    assert performed == [1]
    log.crash_after = None

    async def resume() -> list[Any]:
        driver = driver_for(plan, log, Performer(send=send), {}, attended=True)
        asked = asyncio.Event()
        driver.on_waiting = lambda *_: asked.set()
        going = asyncio.create_task(driver.run())
        async with asyncio.timeout(5):
            await asked.wait()
        driver.stop()
        await going
        return [e for e in log.events if isinstance(e, ev.Waiting)]

    (question,) = asyncio.run(resume())
    assert "Did it happen?" in question.question
    assert question.options == ("done", "again", "reject")
    assert performed == [1]
