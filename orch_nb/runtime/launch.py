"""The start and the resume of one run: its first events, the task that drives it, the log that announces releases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orch_nb._version import __version__
from orch_nb.agents.binding import callables, check_sources, compile_in, graph_spec, refuse_secrets
from orch_nb.engine.drive import Driver
from orch_nb.engine.fold import fold
from orch_nb.engine.plan import from_data, to_data
from orch_nb.engine.ports import Policy
from orch_nb.engine.state import RunState
from orch_nb.errors import RunCancelled
from orch_nb.handle import RunHandle
from orch_nb.runtime.calls import Performer
from orch_nb.runtime.checks import check_inputs, check_models
from orch_nb.runtime.evidence import evidence_of
from orch_nb.runtime.services import Services, started_by
from orch_nb.runtime.usual_cost import baseline_of
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, budget_of, parse_budget
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from decimal import Decimal

    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Limit, RunLog
    from orch_nb.schema.budget import BudgetLike
    from orch_nb.schema.events import Event

    Scopes = tuple[tuple[str, Limit], ...]
    Kept = Awaitable[None] | None
    """The write of a run's first events, to be awaited; None: they are written."""


class Launcher(Services):
    """Starts and resumes single runs on the services of one process."""

    # ---------------------------------------------------------------- on the run loop
    def start(
        self, target: object, inputs: Mapping[str, object], *, budget: BudgetLike = None, as_name: str = "",
        namespace: Mapping[str, object] | None = None, attended: bool = False, again: bool = False,
        on_change: Callable[[RunHandle], None] | None = None, plan: Plan | None = None, run: str = "",
        parent: dict[str, object] | None = None, scopes: Scopes = (),
    ) -> RunHandle:  # fmt: skip
        """Start a graph, an agent or a function, and return its handle at once.

        Parameters
        ----------
        inputs
            By name, plain data. The name `budget` means the option.
        budget
            The run's own limit, inside the notebook's: US dollars, or the grammar of `schema.budget`.
        namespace
            Where names are bound: the variables of the caller's notebook.
        attended
            Whether a person can be asked.
        again
            Perform declared effects even where an earlier run has performed the same.
        plan
            The compiled plan of `target`, where the caller has it.
        run, parent, scopes
            Id, parent data and outer budgets of a batch's row.

        Raises
        ------
        GraphError, MissingInput, UnstorableValue, UnknownModel, …
            Before anything is spent or stored.
        """
        namespace = {} if namespace is None else namespace
        redactor = self.redactor()
        if plan is None:
            plan = compile_in(target, namespace)
        given = dict(inputs)
        if "budget" in given and budget is None:  # `%orch run GRAPH budget=0.05`
            budget = given.pop("budget")  # type: ignore[assignment]
        check_inputs(plan, given)
        check_models(self, plan)
        refuse_secrets(plan)
        clean, replaced = redactor.clean({n: plain(value, where=f"input `{n}`") for n, value in given.items()})
        limit = self._limit_of(budget)
        bound = callables(plan, namespace, graph_spec(target) if target is not None else None)
        policy = Policy(attended=attended, again=again)
        store = self.store
        of_batch = (parent or {}).get("of_batch")
        baseline = None if of_batch else baseline_of(self, plan, clean)

        def begin() -> tuple[RunHandle, RunLog, RunState, Kept]:
            if not of_batch:
                self.availability.try_again()
            name = run or store.next_run()
            log = store.create(name)
            event = ev.RunStarted(
                run=name, graph=plan.name, plan=to_data(plan), inputs=clean, at=policy.clock.now(), limit_usd=limit.usd,
                notebook=self.notebook, parent=parent, version=__version__, attended=attended,
                limits=limit.beside_usd(), baseline=baseline, secrets=dict(replaced) or None,
            )  # fmt: skip
            kept = append_first(log, [event])
            handle = RunHandle(name, plan, [event], self.run_loop)
            return handle, log, fold(plan, RunState(), event), kept

        handle, log, state, kept = self.run_loop.ask(begin)
        handle.name, handle.on_change = as_name, on_change
        around = (*((self.scope, None),), *scopes, (f"run:{handle.run}", limit))
        self._launch(handle, log, state, bound, namespace, around, policy, kept=kept)
        return handle

    def resume_run(
        self, run: str, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
        attended: bool = False, on_change: Callable[[RunHandle], None] | None = None,
    ) -> RunHandle:  # fmt: skip
        """Resume a run that is not a batch; see `Runtime.resume`."""
        namespace = {} if namespace is None else namespace
        open_here = self._handles.get(run)
        if open_here is not None and not open_here.done():
            return open_here
        events = self.events(run)
        begun = started_by(events)
        plan = from_data(begun.plan)
        bound = callables(plan, namespace)
        check_sources(plan, namespace, run)
        self.redactor()
        policy = Policy(attended=attended)
        limits = limits_set(events)
        limit = self._limit_of(budget, limits.pop("", Budget()))

        def begin() -> tuple[RunLog, RunState, list[Event], Kept]:
            self.availability.try_again()
            log = self.store.open(run)
            new: list[Event] = [ev.Resumed(policy.clock.now(), attended)]
            if budget is not None:
                new.append(ev.LimitChanged(limit.usd, policy.clock.now(), limit.beside_usd()))
            kept = append_first(log, new)
            return log, fold_events(plan, [*events, *new]), new, kept

        log, state, new, kept = self.run_loop.ask(begin)
        handle = RunHandle(run, plan, [*events, *new], self.run_loop)
        handle.on_change = on_change
        for event in events:
            if isinstance(event, ev.Opened) and event.plan is not None:
                bound = {**bound, **callables(from_data(event.plan), namespace)}
        of_batch = (begun.parent or {}).get("of_batch")
        batch: Scopes = ((f"batch:{of_batch}", None),) if of_batch else ()
        around = ((f"notebook:{begun.notebook or 'untitled'}", None), *batch, (f"run:{run}", limit))
        self._launch(handle, log, state, bound, namespace, around, policy, limits, kept=kept)
        return handle

    def _launch(
        self, handle: RunHandle, log: RunLog, state: RunState, bound: Mapping[str, Callable[..., object]],
        namespace: Mapping[str, object], scopes: Scopes, policy: Policy, raised: Mapping[str, Limit] | None = None, *,
        kept: Kept = None,
    ) -> None:  # fmt: skip
        """Post the task that drives a run."""
        performer = Performer(
            self, handle.plan, bound, namespace, run=handle.run, scopes=scopes, on_text=handle._on_text,
            on_call_end=handle._on_call_end, now=policy.clock.now,
        )  # fmt: skip
        performer.raised.update(raised or {})
        performer.cache.remember(handle._events)
        self._handles[handle.run] = handle

        def launch() -> None:
            driver = Driver(handle.plan, NotifyingLog(log, self), performer, state, policy, handle._on_events)
            driver.on_waiting = handle._on_waiting
            handle._driver = driver
            handle._task = asyncio.get_running_loop().create_task(
                drive_run(driver, handle, log, self, kept), name=f"run {handle.run}"
            )

        self.run_loop.post(launch)

    # ---------------------------------------------------------------- on the caller's loop
    async def run_here(
        self, plan: Plan, inputs: dict[str, object], bound: Mapping[str, Callable[..., object]], *,
        policy: Policy | None = None,
    ) -> RunState:  # fmt: skip
        """Drive one run of a compiled plan on the caller's own loop: for programs that have one, and for benchmarks.

        Parameters
        ----------
        bound
            `callables(plan, namespace)`, computed once for many runs of one plan.

        Returns
        -------
        RunState
            The state at the end; ``state.output`` is the output.
        """
        policy = policy or Policy(attended=False)
        run = self.store.next_run()
        event = ev.RunStarted(
            run=run, graph=plan.name, plan=to_data(plan), inputs=inputs, at=policy.clock.now(), notebook=self.notebook,
            version=__version__, attended=False,
        )  # fmt: skip
        performer = Performer(self, plan, bound, {}, run=run, scopes=self._scopes_of(run), now=policy.clock.now)
        return await self._drive_here(plan, self.store.create(run), performer, [], event, policy)

    async def resume_here(
        self, run: str, namespace: Mapping[str, object], *, policy: Policy | None = None
    ) -> RunState:  # fmt: skip
        """Resume a run on the caller's own loop. Its plan is read from its log, its functions are bound in `namespace`."""
        policy = policy or Policy(attended=False)
        events = [event for _, event in self.store.read(run)]
        plan = from_data(started_by(events).plan)
        performer = Performer(self, plan, {}, namespace, run=run, scopes=self._scopes_of(run), now=policy.clock.now)
        performer.cache.remember(events)
        resumed = ev.Resumed(policy.clock.now(), policy.attended)
        return await self._drive_here(plan, self.store.open(run), performer, events, resumed, policy)

    def _scopes_of(self, run: str) -> Scopes:
        return (self.scope, None), (f"run:{run}", None)

    @staticmethod
    async def _drive_here(
        plan: Plan, log: RunLog, performer: Performer, before: list[Event], event: Event, policy: Policy
    ) -> RunState:
        """Append `event` to a run whose events so far are `before`, and drive it to its end."""
        try:
            pending = log.append([event])
            state = fold_events(plan, [*before, event])
            if pending is not None:
                await pending
            return await Driver(plan, log, performer, state, policy).run()
        finally:
            log.close()

    # ---------------------------------------------------------------- limits
    def _limit_of(self, given: BudgetLike, before: Budget | None = None) -> Budget:
        """Return the budget that was given for a run; without one, that of before."""
        made = (before or Budget()) if given is None else parse_budget(given, before=before)
        self._check_degrade(made)
        return made

    def _check_degrade(self, budget: Budget) -> None:
        """Refuse a budget that degrades to an unknown model."""
        if budget.degrade:
            self.models.resolve(budget.degrade)


class NotifyingLog:
    """A run's log that notifies the services of each settlement."""

    def __init__(self, log: RunLog, services: Services) -> None:
        self.run, self._log, self._services = log.run, log, services
        self.append, self.admit, self.sync = log.append, log.admit, log.sync
        self.mark_in_doubt, self.close = log.mark_in_doubt, log.close

    def settle(
        self, events: Sequence[Event], hold: str, spent_usd: Decimal, overrun_usd: Decimal,
        used: Mapping[str, Decimal] | None = None,
    ) -> Awaitable[None] | None:  # fmt: skip
        """Settle a hold, then let calls that wait for room try again."""
        made = self._log.settle(events, hold, spent_usd, overrun_usd, used)
        self._services.notify_released()
        return made


async def drive_run(driver: Driver, handle: RunHandle, log: RunLog, services: Services, kept: Kept) -> None:
    """Drive one run to its end and notify its handle. An error of the engine itself goes to whoever waits.

    `kept` is awaited first: a run whose first events could not be stored does nothing.
    """
    try:
        if kept is not None:
            await kept
        await driver.run()
        if rows := evidence_of(handle.run, to_data(driver.plan), handle._events):
            services.store.add_evidence(rows)
    except BaseException as error:
        log.close()
        has_ended = bool(handle._events) and isinstance(handle._events[-1], ev.RunEnded)
        if has_ended and isinstance(error, asyncio.CancelledError):  # a second Stop while the end was being stored
            handle._on_ended(None)
        else:
            cut = RunCancelled(f"run {handle.run} was ended by {type(error).__name__}; its record remains.")
            handle._on_broken(error if isinstance(error, Exception) else cut)
        if not isinstance(error, Exception):
            raise
        return
    log.close()
    node = next((e.node for e in reversed(handle._events) if isinstance(e, ev.RunEnded)), "")
    handle._on_ended(driver.exceptions.get(node))


def append_first(log: RunLog, events: Sequence[Event]) -> Kept:
    """Append the first events of a run or of its resume; close the log where that fails, so that others can open the run."""
    try:
        return log.append(events)
    except BaseException:
        log.close()
        raise


def fold_events(plan: Plan, events: Iterable[Event]) -> RunState:
    """Return the state after `events`."""
    state = RunState()
    for event in events:
        state = fold(plan, state, event)
    return state


def limits_set(events: Iterable[Event]) -> dict[str, Budget]:
    """Return scope -> budget as the events of a run last set it; "" is the run's own."""
    limits = {}
    for event in events:
        if isinstance(event, ev.RunStarted):
            limits[""] = budget_of(event.limit_usd, event.limits)
        elif isinstance(event, ev.LimitChanged):
            limits[event.scope] = budget_of(event.limit_usd, event.limits)
    return limits
