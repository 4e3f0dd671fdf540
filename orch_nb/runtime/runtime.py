"""One process's runtime: it starts, resumes, lists and opens runs, and sets the notebook's budget."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from orch_nb.engine.plan import from_data
from orch_nb.errors import BadOption, OrchError
from orch_nb.handle import RunHandle
from orch_nb.runtime.batch import resume_batch
from orch_nb.runtime.checks import check_room
from orch_nb.runtime.launch import Launcher
from orch_nb.runtime.services import started_by
from orch_nb.schema.amount import read_amount
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from orch_nb.engine.ports import Balance
    from orch_nb.handle import Handle
    from orch_nb.runtime.batch import BatchHandle
    from orch_nb.schema.budget import BudgetLike
    from orch_nb.store.runs import RunRow


class Runtime(Launcher):
    """Starts and resumes runs on the services of one process, and sets their budget.

    Parameters
    ----------
    folder
        The folder of the notebook: its store is ``folder/.orch``. The working directory unless given; ``ORCH_STORE``
        overrides it.
    store
        A store of your own (`MemoryStore()` writes nothing to disk).
    models
        The notebook's names of models.
    """

    # ---------------------------------------------------------------- money
    def budget(self) -> Balance:
        """Return the notebook's budget and what was used of it, over all its runs."""
        return self.run_loop.ask(self.store.balance, self.scope)

    def set_budget(self, budget: BudgetLike) -> Balance:
        """Set the notebook's budget. Idempotent; a unit that is not mentioned stays as it is.

        Parameters
        ----------
        budget
            In the grammar of `schema.budget`: 0.50, "0.50 tokens=200000 calls=100", "+0.50" to raise it, "0.50 ask",
            "calls=none"; None: no limit at all.

        Raises
        ------
        BadOption
            It is not a budget, or is less than what is spent and held already.
        UnknownModel
            It degrades to an unknown model.
        """
        now = self.budget()
        wanted = Budget() if budget is None else parse_budget(budget, before=now.budget)
        check_room(now, wanted)
        self._check_degrade(wanted)
        self.run_loop.ask(self.store.set_limit, self.scope, wanted)
        return self.budget()

    def set_alert(self, factor: float | str | Decimal) -> Decimal:
        """Set how many times its usual cost a run may reach before an alert; for runs that start from now on.

        Raises
        ------
        BadOption
            `factor` is not a number greater than 1.
        """
        made = read_amount(
            factor, "`alert`", most=10**9, of="a number greater than 1", example="`alert=3`: three times the usual cost"
        )
        if made <= 1:
            raise BadOption(
                f"`alert` must be a number greater than 1, got {made}.", hint="`%orch budget alert=3` is the default"
            )
        self.alert_factor = made
        return made

    def reset_budget(self) -> Balance:
        """Set what is spent, in doubt and overrun in this notebook's budget to zero. Its limits stay."""
        self.run_loop.ask(self.store.reset, self.scope)
        return self.budget()

    # ---------------------------------------------------------------- runs
    def resume(
        self, run: str, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
        attended: bool = False, on_change: Callable[[Handle], None] | None = None,
    ) -> RunHandle | BatchHandle:  # fmt: skip
        """Resume a run or a batch that failed, was stopped or interrupted. Recorded work is not repeated.

        Parameters
        ----------
        budget
            The limit from now on; "+0.10" raises the one before.
        namespace
            Where the functions of its plan are bound.

        Raises
        ------
        RunNotFound
            The store has no such run.
        RunLocked
            Another process is driving it.
        ReplayMismatch
            A function's source is not the recorded one, or is not defined here.
        """
        if (self.started(run).parent or {}).get("batch"):
            return resume_batch(self, run, budget=budget, namespace=namespace, on_change=on_change)
        return self.resume_run(run, budget=budget, namespace=namespace, attended=attended, on_change=on_change)

    def open(self, run: str) -> RunHandle:
        """Return a run of this store: the live handle where it is running here, else its record."""
        live = self._handles.get(run)
        if live is not None:
            return live
        events = self.events(run)
        return RunHandle(run, from_data(started_by(events).plan), events, None)

    def latest(self) -> RunHandle:
        """Return the newest run of this notebook."""
        rows = self.runs(limit=1)
        if not rows:
            raise OrchError("this notebook has no run yet.", hint="`%orch run GRAPH`")
        return self.open(rows[0].run)

    def runs(self, *, limit: int = 20, status: str | None = None, every_notebook: bool = False) -> list[RunRow]:
        """Return runs of this notebook, newest first; a batch is one row with the money of all its rows."""
        notebook = None if every_notebook else REDACTOR.text(self.notebook)
        return self.run_loop.ask(
            lambda: self.store.runs(notebook=notebook, status=status, limit=limit, batch_rows=False)
        )

    def unfinished(self) -> list[RunRow]:
        """Return runs that can be resumed: failed, stopped, interrupted or waiting for a person."""
        return [r for r in self.runs(limit=200) if r.status != "done"]

    def live_runs(self) -> list[RunHandle]:
        """Return the runs under way in this process."""
        return [h for h in self._handles.values() if not h.done()]

    def _loop_ended(self, ended: OrchError) -> None:
        """Fail the runs under way, which nothing drives any more. They can be resumed on the loop that the next call starts."""
        for handle in self.live_runs():
            if handle._driver is not None:
                with suppress(Exception):  # the run stays locked to this process where its log cannot be closed
                    handle._driver.log.close()
            handle._on_broken(ended)
        super()._loop_ended(ended)

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
