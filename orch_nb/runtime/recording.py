"""Ordinary Python on the same log: inside ``async with orch.record()`` every awaited agent or graph is an activation.

A recording has no plan, so it is not resumed; log, bill and budget are those of any run.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from orch_nb.agents.binding import callables, compile_in, graph_spec
from orch_nb.engine.fold import fold
from orch_nb.engine.plan import Plan, to_data
from orch_nb.engine.ports import Policy
from orch_nb.engine.state import RunState
from orch_nb.handle import RunHandle
from orch_nb.runtime.calls import Performer
from orch_nb.runtime.checks import check_inputs, check_models
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from types import TracebackType

    from orch_nb.engine.drive import Driver
    from orch_nb.engine.ports import Limit
    from orch_nb.runtime.launch import Launcher
    from orch_nb.schema.budget import BudgetLike

current_recording: contextvars.ContextVar[Recording | None] = contextvars.ContextVar("orch_nb recording", default=None)


class Recording:
    """An open run that calls are added to while it lasts.

    Parameters
    ----------
    budget
        Limit of the whole recording, inside the notebook's: US dollars, or the grammar of `schema.budget`.
    name
        What the run is called in lists.
    """

    def __init__(self, runtime: Launcher, *, budget: BudgetLike = None, name: str = "recorded") -> None:
        self.runtime, self.budget, self.name = runtime, budget, name
        self.handle: RunHandle | None = None
        self._rounds: dict[str, int] = {}
        self._token: contextvars.Token[Recording | None] | None = None
        self._driver: Driver | None = None
        self._performer: Performer | None = None

    async def __aenter__(self) -> RunHandle:
        from orch_nb._version import __version__
        from orch_nb.runtime.launch import append_first

        runtime = self.runtime
        limit = Budget() if self.budget is None else parse_budget(self.budget)
        plan = Plan(self.name, (), (), open=True)
        runtime.redactor()
        policy = Policy(attended=False)  # its own cell still runs: nobody could type an answer
        store = runtime.store

        def begin() -> RunHandle:
            name = store.next_run()
            log = store.create(name)
            event = ev.RunStarted(
                run=name, graph=plan.name, plan=to_data(plan), inputs={}, at=policy.clock.now(), limit_usd=limit.usd,
                notebook=runtime.notebook, version=__version__, attended=False, limits=limit.beside_usd(),
            )  # fmt: skip
            kept = append_first(log, [event])
            handle = RunHandle(name, plan, [event], runtime.run_loop)
            scopes: tuple[tuple[str, Limit], ...] = ((runtime.scope, None), (f"run:{name}", limit))
            state = fold(plan, RunState(), event)
            runtime._launch(handle, log, state, {}, {}, scopes, policy, kept=kept)
            return handle

        self.handle = runtime.run_loop.ask(begin)
        self._token = current_recording.set(self)
        return self.handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current_recording.reset(self._token)
        handle = self.handle
        assert handle is not None
        if error is not None:
            handle.stop()
        else:
            self.runtime.run_loop.post(lambda: handle._driver.close() if handle._driver is not None else None)
        await asyncio.wrap_future(handle.future)

    async def call(self, target: object, inputs: Mapping[str, object], namespace: Mapping[str, object]) -> Any:
        """Run `target` as an activation of this recording; its value, or its error raised."""
        runtime, handle = self.runtime, self.handle
        assert handle is not None
        name = getattr(target, "name", "") or getattr(target, "__name__", "call")
        plan = compile_in(target, namespace, name)
        check_inputs(plan, inputs)
        check_models(runtime, plan)
        given, _ = runtime.redactor().clean({k: plain(v, where=f"input `{k}`") for k, v in inputs.items()})
        bound = callables(plan, namespace, graph_spec(target, name))
        answer: Future[object] = runtime.run_loop.submit(self._open(name, plan, given, bound))
        return await asyncio.wrap_future(answer)

    async def _open(
        self, name: str, plan: Plan, given: dict[str, object], bound: Mapping[str, Callable[..., object]]
    ) -> object:
        assert self.handle is not None
        driver = self.handle._driver
        assert driver is not None
        performer = driver.perform
        assert isinstance(performer, Performer)
        performer.bound = {**performer.bound, **bound}
        rnd = self._rounds[name] = self._rounds.get(name, 0) + 1
        key = ev.key_of("", name, rnd)
        done = driver.expect(key)
        now = driver.now()
        driver.post(lambda: [ev.Opened("", name, rnd, None, given, now, to_data(plan), now)])
        return await done
