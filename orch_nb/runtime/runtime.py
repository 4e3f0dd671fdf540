"""One process's runtime: it starts, resumes, lists and opens runs, and keeps the notebook's budget."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch_nb._version import __version__
from orch_nb.agents.binding import callables, check_sources, compile_in, graph_spec, refuse_secrets
from orch_nb.engine.drive import Driver
from orch_nb.engine.fold import fold
from orch_nb.engine.plan import from_data, to_data
from orch_nb.engine.ports import Policy
from orch_nb.engine.state import RunState
from orch_nb.errors import OrchError
from orch_nb.handle import RunHandle
from orch_nb.runtime.calls import Performer
from orch_nb.runtime.checks import check_inputs, check_models, check_room
from orch_nb.runtime.launch import NotifyingLog, append_first, batch_scope, drive_run, fold_events, limits_set
from orch_nb.runtime.services import Services
from orch_nb.runtime.usual_cost import baseline_of
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.secrets import REDACTOR
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from decimal import Decimal
    from pathlib import Path

    from orch_nb.catalog.models import ModelBook
    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Balance, Limit, RunLog

    Kept = Awaitable[None] | None
    """What to await until a run's first events are kept; None: they are."""


class Runtime(Services):
    """Starts and resumes runs on the services of one process, and keeps their budget.

    Parameters
    ----------
    folder
        Where the notebook lies: its store is ``folder/.orch``. The working directory unless told; ``ORCH_STORE`` overrides.
    store
        A store of your own (`MemoryStore()` keeps nothing on disk).
    models
        The notebook's names of models.
    """

    def __init__(self, folder: str | Path | None = None, *, store: Any = None, models: ModelBook | None = None) -> None:
        super().__init__(folder, store=store, models=models)
        self.run_loop.on_end = self._loop_ended
        self._handles: dict[str, RunHandle] = {}
        self._lock = threading.Lock()

    # ---------------------------------------------------------------- parts
    # ---------------------------------------------------------------- what a run's performer asks
    # ---------------------------------------------------------------- evidence
    # ---------------------------------------------------------------- money
    @property
    def scope(self) -> str:
        """The ledger's name of this notebook's budget."""
        return f"notebook:{REDACTOR.text(self.notebook) or 'untitled'}"

    def budget(self) -> Balance:
        """The notebook's budget and what has come of it, over all its runs."""
        made: Balance = self.run_loop.ask(self.store.balance, self.scope)
        return made

    def set_budget(self, budget: Any) -> Balance:
        """Set the notebook's budget. Idempotent; what is not mentioned stays as it is.

        Parameters
        ----------
        budget
            In the grammar of `schema.budget`: 0.50, "0.50 tokens=200000 calls=100", "+0.50" to raise it, "0.50 ask",
            "calls=none"; None: no limit at all.

        Raises
        ------
        BadOption
            Not a budget, less than what is spent and held already, or a model to degrade to that nobody knows.
        """
        now = self.budget()
        wanted = Budget() if budget is None else parse_budget(budget, before=now.budget)
        check_room(now, wanted)
        self._check_degrade(wanted)
        self.run_loop.ask(self.store.set_limit, self.scope, wanted)
        return self.budget()

    def set_alert(self, factor: Any) -> Decimal:
        """How many times the usual cost a run may cost before that is said aloud; for the runs that start from now on.

        Raises
        ------
        BadOption
            Not a number above 1.
        """
        from orch_nb.errors import BadOption
        from orch_nb.schema.amount import read_amount

        made = read_amount(
            factor, "`alert`", most=10**9, of="a number of times", example="`alert=3`: three times the usual cost"
        )
        if made <= 1:
            raise BadOption(f"`alert` is {made}; it must be above 1.", hint="`%orch budget alert=3` is the usual")
        self.alert_factor = made
        return made

    def reset_budget(self) -> Balance:
        """Begin to count anew: nothing spent, in doubt or overrun in this notebook's budget. Its limits stay."""
        self.run_loop.ask(self.store.reset, self.scope)
        return self.budget()

    def _check_degrade(self, budget: Budget) -> None:
        if budget.degrade:
            self.models.resolve(budget.degrade)

    def _limit_of(self, given: Any, before: Budget | None = None) -> Budget:
        """The budget that was given for a run; without one, that of before."""
        made = (before or Budget()) if given is None else parse_budget(given, before=before)
        self._check_degrade(made)
        return made

    # ---------------------------------------------------------------- runs
    def start(
        self,
        target: Any,
        inputs: Mapping[str, Any],
        *,
        budget: Any = None,
        as_name: str = "",
        namespace: Mapping[str, Any] | None = None,
        attended: bool = False,
        again: bool = False,
        on_change: Callable[[RunHandle], None] | None = None,
        plan: Plan | None = None,
        run: str = "",
        parent: dict[str, Any] | None = None,
        scopes: tuple[tuple[str, Limit], ...] = (),
    ) -> RunHandle:
        """Start a graph, an agent or a function; the handle is there at once.

        Parameters
        ----------
        inputs
            By name, plain data.
        budget
            The run's own limit, inside the notebook's: US dollars, or the grammar of `schema.budget`. In `inputs`, the name
            `budget` means the same.
        namespace
            Where names are bound; the caller's notebook.
        attended
            Whether a person can be asked.
        again
            Perform declared effects even where an earlier run has performed the same.

        Raises
        ------
        GraphError, MissingInput, UnstorableValue, UnknownModel, …
            Before anything is spent or stored.
        """
        namespace = {} if namespace is None else namespace
        redactor = self.redactor()
        if plan is None:
            plan = compile_in(target, namespace)
        if "budget" in inputs and budget is None:  # `%orch run GRAPH budget=0.05`
            budget, inputs = inputs["budget"], {name: v for name, v in inputs.items() if name != "budget"}
        check_inputs(plan, inputs)
        check_models(self, plan)
        refuse_secrets(plan)
        given, replaced = redactor.clean({n: plain(value, where=f"input `{n}`") for n, value in inputs.items()})
        limit = self._limit_of(budget)
        bound = callables(plan, namespace, graph_spec(target) if target is not None else None)
        policy = Policy(attended=attended, again=again)
        store = self.store
        of_batch = (parent or {}).get("of_batch")
        baseline = None if of_batch else baseline_of(self, plan, given)

        def begin() -> tuple[RunHandle, RunLog, RunState, Kept]:
            if not of_batch:
                self.availability.try_again()
            name = run or store.next_run()
            log = store.create(name)
            event = ev.RunStarted(
                name,
                plan.name,
                to_data(plan),
                given,
                policy.clock.now(),
                limit.usd,
                self.notebook,
                parent,
                __version__,
                attended,
                limit.beside_usd(),
                baseline,
                dict(replaced) or None,
            )
            kept = append_first(log, [event])
            handle = RunHandle(name, plan, [event], self.run_loop)
            return handle, log, fold(plan, RunState(), event), kept

        handle, log, state, kept = self.run_loop.ask(begin)
        handle.name, handle.on_change = as_name, on_change
        around = (*((self.scope, None),), *scopes, (f"run:{handle.run}", limit))
        self._launch(handle, log, state, plan, bound, namespace, around, policy, kept=kept)
        return handle

    async def run_here(
        self, plan: Plan, inputs: dict[str, Any], bound: Mapping[str, Any], *, policy: Policy | None = None
    ) -> RunState:
        """Drive one run of a compiled plan on the caller's own loop: for programs that have one, and for benchmarks.

        Parameters
        ----------
        bound
            `callables(plan, namespace)`: worked out once for many runs of one plan.

        Returns
        -------
        RunState
            As it is at the end; ``state.output`` is the output.
        """
        store, policy = self.store, policy or Policy(attended=False)
        run = store.next_run()
        log = store.create(run)
        try:
            event = ev.RunStarted(
                run, plan.name, to_data(plan), inputs, policy.clock.now(), None, self.notebook, None, __version__, False
            )
            pending = log.append([event])
            scopes = ((self.scope, None), (f"run:{run}", None))
            performer = Performer(self, plan, bound, {}, run=run, scopes=scopes, now=policy.clock.now)
            state = fold(plan, RunState(), event)
            if pending is not None:
                await pending
            return await Driver(plan, log, performer, state, policy).run()
        finally:
            log.close()

    async def resume_here(self, run: str, namespace: Mapping[str, Any], *, policy: Policy | None = None) -> RunState:
        """Go on with a run on the caller's own loop; the plan is read from its log, functions are bound in `namespace`."""
        policy = policy or Policy(attended=False)
        events = [event for _, event in self.store.read(run)]
        plan = from_data(events[0].plan)
        log = self.store.open(run)
        try:
            resumed = ev.Resumed(policy.clock.now(), policy.attended)
            pending = log.append([resumed])
            scopes = ((self.scope, None), (f"run:{run}", None))
            performer = Performer(self, plan, {}, namespace, run=run, scopes=scopes, now=policy.clock.now)
            performer.cache.remember(events)
            state = fold_events(plan, [*events, resumed])
            if pending is not None:
                await pending
            return await Driver(plan, log, performer, state, policy).run()
        finally:
            log.close()

    def _launch(
        self, handle: RunHandle, log: RunLog, state: RunState, plan: Plan, bound: Mapping[str, Any],
        namespace: Mapping[str, Any], scopes: tuple[tuple[str, Limit], ...], policy: Policy,
        raised: Mapping[str, Limit] | None = None, *, kept: Kept = None,
    ) -> None:  # fmt: skip
        performer = Performer(
            self, plan, bound, namespace, run=handle.run, scopes=scopes, on_text=handle._on_text,
            on_call_end=handle._on_call_end, now=policy.clock.now,
        )  # fmt: skip
        performer.raised.update(raised or {})
        performer.cache.remember(handle._events)
        with self._lock:
            self._handles[handle.run] = handle

        def launch() -> None:
            driver = Driver(plan, NotifyingLog(log, self), performer, state, policy, handle._on_events)
            driver.on_waiting = handle._on_waiting
            handle._driver = driver
            handle._task = asyncio.get_running_loop().create_task(
                drive_run(driver, handle, log, self, kept), name=f"run {handle.run}"
            )

        self.run_loop.post(launch)

    def resume(
        self,
        run: str,
        *,
        budget: Any = None,
        namespace: Mapping[str, Any] | None = None,
        attended: bool = False,
        on_change: Callable[[RunHandle], None] | None = None,
    ) -> RunHandle:
        """Go on with a run that failed, was stopped or interrupted. What is recorded is not done again.

        Raises
        ------
        RunNotFound, RunLocked
            There is no such run; another process (or this one) is driving it.
        ReplayMismatch
            A function's source is not the recorded one, or is not defined here.
        """
        namespace = {} if namespace is None else namespace
        open_here = self._handles.get(run)
        if open_here is not None and not open_here.done():
            return open_here
        events = self.run_loop.ask(lambda: [event for _, event in self.store.read(run)])
        begun = events[0]
        if begun.parent and begun.parent.get("batch"):
            raise OrchError(f"run {run} is a batch.", hint="`orch_nb.resume` resumes its rows")
        plan = from_data(begun.plan)
        bound = callables(plan, namespace)
        check_sources(plan, namespace, run)
        self.redactor()
        policy = Policy(attended=attended)
        limits = limits_set(events)
        limit = self._limit_of(budget, limits.pop("", Budget()))

        def begin() -> tuple[RunLog, RunState, list[Any], Kept]:
            self.availability.try_again()
            log = self.store.open(run)
            new: list[Any] = [ev.Resumed(policy.clock.now(), attended)]
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
        around = ((self._scope_of(begun), None), *batch_scope(begun), (f"run:{run}", limit))
        self._launch(handle, log, state, plan, bound, namespace, around, policy, limits, kept=kept)
        return handle

    def _scope_of(self, begun: ev.RunStarted) -> str:
        return f"notebook:{begun.notebook or 'untitled'}"

    def open(self, run: str) -> RunHandle:
        """A run of this store: the live handle where it is under way here, else its record."""
        live = self._handles.get(run)
        if live is not None:
            return live
        events = self.run_loop.ask(lambda: [event for _, event in self.store.read(run)])
        return RunHandle(run, from_data(events[0].plan), events, None)

    def latest(self) -> RunHandle:
        """The newest run of this notebook."""
        rows = self.runs(limit=1)
        if not rows:
            raise OrchError("no run yet in this notebook.", hint="`%orch run GRAPH`")
        return self.open(rows[0].run)

    def runs(self, *, limit: int = 20, status: str | None = None, every_notebook: bool = False) -> list[Any]:
        """Runs of this notebook, newest first; a batch is one row with the money of all its own, which are not listed."""
        notebook = None if every_notebook else REDACTOR.text(self.notebook)
        rows: list[Any] = self.run_loop.ask(
            lambda: self.store.runs(notebook=notebook, status=status, limit=limit, batch_rows=False)
        )
        return rows

    def unfinished(self) -> list[Any]:
        """Runs that can be resumed: failed, stopped, interrupted or waiting for a person."""
        return [r for r in self.runs(limit=200) if r.status != "done"]

    def live_runs(self) -> list[RunHandle]:
        """Runs under way in this process."""
        return [h for h in self._handles.values() if not h.done()]

    def _loop_ended(self, ended: OrchError) -> None:
        """Nobody drives the runs under way any more: they can be resumed, on the loop that the next call starts."""
        for handle in self.live_runs():
            if handle._driver is not None:
                with suppress(Exception):  # the run stays locked to this process where its log cannot be closed
                    handle._driver.log.close()
            handle._on_broken(ended)
        self._slots, self._freed, self._availability = {}, None, None
        self.batch_queues.clear()

    def close(self) -> None:
        """Stop all runs and close the store."""
        self.run_loop.check_may_wait("`close`")
        for handle in self.live_runs():
            handle.stop()
        for handle in list(self._handles.values()):
            if not handle.future.done():
                handle.future.exception(10.0)
        if self._store is not None:
            self.run_loop.ask(self._store.close)
        for provider in self._providers.values():
            self.run_loop.submit(provider.aclose()).result(5.0)
        self.run_loop.close()
