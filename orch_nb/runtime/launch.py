"""From a started run to its end: the log that announces releases, the task that drives, the state after events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.engine.fold import fold
from orch_nb.engine.plan import to_data
from orch_nb.engine.state import RunState
from orch_nb.errors import RunCancelled
from orch_nb.runtime.evidence import evidence_of
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, budget_of

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from decimal import Decimal

    from orch_nb.engine.drive import Driver
    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Limit, RunLog
    from orch_nb.handle import RunHandle
    from orch_nb.runtime.services import Services

    Kept = Awaitable[None] | None
    """What to await until a run's first events are kept; None: they are."""


class NotifyingLog:
    """A run's log that tells the runtime when a hold was settled."""

    def __init__(self, log: RunLog, services: Services) -> None:
        self.run, self._log, self._services = log.run, log, services
        self.append, self.admit, self.sync, self.mark_in_doubt, self.close = (
            log.append,
            log.admit,
            log.sync,
            log.mark_in_doubt,
            log.close,
        )

    def settle(self, events: Any, hold: str, spent_usd: Decimal, overrun_usd: Decimal, used: Any = None) -> Any:
        made = self._log.settle(events, hold, spent_usd, overrun_usd, used)
        self._services.notify_released()
        return made


async def drive_run(driver: Driver, handle: RunHandle, log: RunLog, services: Services, kept: Kept) -> None:
    """Drive one run to its end and tell its handle. What the engine itself raises goes to whoever waits.

    `kept` is awaited first: a run whose beginning could not be stored does nothing.
    """
    try:
        if kept is not None:
            await kept
        await driver.run()
        if rows := evidence_of(handle.run, to_data(driver.plan), handle._events):
            services.store.add_evidence(rows)
    except BaseException as error:
        log.close()
        cut = RunCancelled(f"run {handle.run} was broken off by {type(error).__name__}; what it recorded is kept.")
        handle._on_broken(error if isinstance(error, Exception) else cut)
        if not isinstance(error, Exception):
            raise
        return
    log.close()
    node = next((e.node for e in reversed(handle._events) if isinstance(e, ev.RunEnded)), "")
    handle._on_ended(driver.exceptions.get(node))


def append_first(log: RunLog, events: list[Any]) -> Kept:
    """Append what a run begins or goes on with; where that fails, others may open the run."""
    try:
        return log.append(events)
    except BaseException:
        log.close()
        raise


def fold_events(plan: Plan, events: list[Any]) -> RunState:
    """The state after `events`."""
    state = RunState()
    for event in events:
        state = fold(plan, state, event)
    return state


def limits_set(events: list[Any]) -> dict[str, Budget]:
    """Scope -> its budget as the events of a run last set it; "" is the run's own."""
    limits = {}
    for event in events:
        if isinstance(event, ev.RunStarted):
            limits[""] = budget_of(event.limit_usd, event.limits)
        elif isinstance(event, ev.LimitChanged):
            limits[event.scope] = budget_of(event.limit_usd, event.limits)
    return limits


def batch_scope(begun: ev.RunStarted) -> tuple[tuple[str, Limit], ...]:
    batch = (begun.parent or {}).get("of_batch")
    return ((f"batch:{batch}", None),) if batch else ()
