"""The doors of the Python API: what a cell does, one line does. All go to the current runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb import runtime
from orch_nb.agents import binding
from orch_nb.current import caller_namespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.catalog.models import ModelBook
    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Balance
    from orch_nb.handle import RunHandle
    from orch_nb.runtime.quote import Quote
    from orch_nb.runtime.recording import Recording


async def run(target: Any, /, *, budget_usd: Any = None, namespace: Mapping[str, Any] | None = None,
              attended: bool = False, again: bool = False, **inputs: Any) -> RunHandle:  # fmt: skip
    """Run a graph, an agent or a function until it ends or only a person is due.

    Parameters
    ----------
    target
        A `Graph`, `Agent` or function.
    budget_usd
        The run's limit, inside the notebook's: US dollars, or "0.05, 20 calls", {"usd": 0.05, "tokens": 20_000, "seconds": 60}.
        None: the notebook's alone. ``budget=`` means the same, unless the graph reads an input of that name.
    namespace
        Where the graph's names are bound; the caller's variables unless given.
    attended
        Whether a person can be asked: then the run may come back with status "waiting".
    again
        Perform declared effects even where an earlier run has performed the same.
    **inputs
        The graph's inputs.

    Returns
    -------
    RunHandle
        ``.status``, ``.result()``, ``.events``; it displays itself.

    Raises
    ------
    GraphError, MissingInput, UnknownModel, UnknownPrice
        Before anything is spent. A failure of the run itself is raised by ``.result()``.
    """
    space = caller_namespace() if namespace is None else namespace
    return await runtime.current().start(
        target, inputs, budget_usd=budget_usd, namespace=space, attended=attended, again=again
    )


def run_sync(target: Any, /, *, budget_usd: Any = None, namespace: Mapping[str, Any] | None = None,
             attended: bool = False, again: bool = False, **inputs: Any) -> RunHandle:  # fmt: skip
    """The same as `run` for scripts without a loop. Inside an `async def` node it is refused (`WouldDeadlock`): await `run`."""
    runtime.current().run_loop.check_may_wait("`run_sync`")
    space = caller_namespace() if namespace is None else namespace
    return (
        runtime.current()
        .start(target, inputs, budget_usd=budget_usd, namespace=space, attended=attended, again=again)
        .wait()
    )


def quote(target: Any, /, *, namespace: Mapping[str, Any] | None = None, **inputs: Any) -> Quote:
    """What a run of `target` on these inputs is likely to cost and to take: ``quote.expected_usd``, ``.high_usd``, ``.nodes``.

    Nothing is sent. It displays itself; `Quote.check` refuses what may be too dear.
    """
    space = caller_namespace() if namespace is None else namespace
    return runtime.current().quote(target, inputs, namespace=space)


async def resume(run: str | int, /, *, budget_usd: Any = None, namespace: Mapping[str, Any] | None = None,
                 attended: bool = False) -> RunHandle:  # fmt: skip
    """Go on with a run that failed, was stopped or interrupted; recorded work is not done again."""
    space = caller_namespace() if namespace is None else namespace
    return await runtime.current().resume(str(run), budget_usd=budget_usd, namespace=space, attended=attended)


async def batch(target: Any, frame: Any, mapping: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Run a graph or agent over the rows of a table; a `BatchHandle` whose ``.table`` is the result."""
    options.setdefault("namespace", caller_namespace())
    return await runtime.current().batch(target, frame, mapping, **options)


def record(*, budget: Any = None, name: str = "recorded") -> Recording:
    """``async with orch.record(budget=0.05) as run:`` ordinary Python that awaits agents gets the same log, bill and budget."""
    made: Recording = runtime.current().record(budget_usd=budget, name=name)
    return made


def runs(*, limit: int = 20) -> list[Any]:
    """Runs of this notebook, newest first."""
    return runtime.current().runs(limit=limit)


def open_run(run: str | int) -> RunHandle:
    """A run by its id, live or recorded."""
    return runtime.current().open(str(run))


def models() -> ModelBook:
    """The notebook's names of models."""
    return runtime.current().models


def budget(limit: Any = ..., /) -> Balance:
    """The notebook's budget; set it with a number or "0.50 calls=100", "+0.50" to raise it, None for no limit."""
    now = runtime.current()
    return now.budget() if limit is ... else now.set_budget(limit)


async def call(target: Any, inputs: dict[str, Any], namespace: dict[str, Any] | None = None) -> Any:
    """The value of a target: inside ``orch.record()`` as an activation of that recording, else as a run of its own.

    Raises
    ------
    OrchError
        The run failed, was stopped, or waits for a person.
    """
    from orch_nb.runtime.recording import current_recording

    recording = current_recording.get()
    if recording is not None:
        return await recording.call(target, inputs, namespace or {})
    return (await runtime.current().start(target, inputs, namespace=namespace)).result()


def compile_plan(target: Any, namespace: Mapping[str, Any]) -> Plan:
    """The checked, frozen plan of a graph, an agent or a function, names bound in `namespace`."""
    return binding.compile_in(target, namespace)
