"""The functions of the Python surface: one call does what a cell does. All use the current runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb import runtime
from orch_nb.agents import binding
from orch_nb.current import caller_namespace
from orch_nb.errors import BadOption
from orch_nb.estimates.quote import quote_run
from orch_nb.lang.compare_cell import PASSES, CompareCell
from orch_nb.runtime import learned_routes
from orch_nb.runtime.batch import ROWS_AT_ONCE, start_batch
from orch_nb.runtime.recording import Recording, current_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import EllipsisType

    from orch_nb.agents.agent import Agent
    from orch_nb.analysis.compare.comparison import Comparison
    from orch_nb.analysis.compare.pairs import Pairs
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Balance
    from orch_nb.estimates.quote import Quote
    from orch_nb.handle import RunHandle
    from orch_nb.routing.confidence import Calibration
    from orch_nb.routing.learned.proposal import Proposal
    from orch_nb.runtime.batch import BatchHandle
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.runtime.services import RunStore
    from orch_nb.schema.budget import BudgetLike
    from orch_nb.schema.messages import Provider
    from orch_nb.store.runs import RunRow


def use(
    existing: Runtime | None = None, /, *, folder: str | Path | None = None, store: RunStore | None = None,
    models: ModelBook | Mapping[str, str | Offer] | None = None, providers: Iterable[Provider] = (),
) -> Runtime:  # fmt: skip
    """Make a runtime and use it from now on: ``orch.use(store=orch.MemoryStore())`` keeps nothing on disk.

    Parameters
    ----------
    existing
        A runtime that is there already; a new one is made unless given.
    folder
        The folder whose ``.orch`` holds the store; the working directory unless given.
    store
        A store of your own, such as `MemoryStore()`.
    models
        Names of models: a `ModelBook`, or a mapping such as ``{"small": "openai/gpt-4o-mini"}`` that is added to the defaults.
    providers
        Providers that offers can name, such as a `ScriptedProvider` or a server of your own.

    Returns
    -------
    Runtime
        The current runtime. The one before stays open: `Runtime.close` ends it.

    Raises
    ------
    BadOption
        A runtime is given together with a folder, a store or a `ModelBook`, which it has already.
    UnknownModel
        A name stands for a model of no known provider.
    """
    from orch_nb.catalog.models import ModelBook
    from orch_nb.runtime.runtime import Runtime

    book, names = (models, {}) if isinstance(models, ModelBook) else (None, models or {})
    if existing is not None and not (folder is None and store is None and book is None):
        raise BadOption(
            "`use` must have a runtime or its parts, got both.", hint="`orch.use(store=orch.MemoryStore())`"
        )
    made = existing or Runtime(folder, store=store, models=book)
    for provider in providers:
        made.add_provider(provider)
    made.models.set(**names)
    runtime.use(made)
    return made


async def run(target: object, /, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
              attended: bool = False, again: bool = False, **inputs: object) -> RunHandle:  # fmt: skip
    """Run a graph, an agent or a function until it ends or only a person is due.

    Parameters
    ----------
    target
        A `Graph`, `Agent` or function.
    budget
        The limit of the run, inside the notebook's: US dollars, or "0.05, 20 calls", {"usd": 0.05, "tokens": 20_000, "seconds": 60}.
        None: the notebook's alone. No graph can have an input of this name, or of another option of `run`.
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
    return await runtime.current().start(target, inputs, budget=budget, namespace=space, attended=attended, again=again)


def run_sync(target: object, /, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
             attended: bool = False, again: bool = False, **inputs: object) -> RunHandle:  # fmt: skip
    """Run as `run` does, for scripts without an event loop. Inside an `async def` node it raises `WouldDeadlock`: await `run`."""
    runtime.current().run_loop.check_may_wait("`run_sync`")
    space = caller_namespace() if namespace is None else namespace
    return (
        runtime.current().start(target, inputs, budget=budget, namespace=space, attended=attended, again=again).wait()
    )


def quote(target: object, /, *, namespace: Mapping[str, object] | None = None, **inputs: object) -> Quote:
    """Estimate the cost and the time of a run of `target` on these inputs, before it. Nothing is sent.

    Returns
    -------
    Quote
        ``.expected_usd``, ``.high_usd``, ``.nodes``; it displays itself. `Quote.check` refuses a run that may be too expensive.
    """
    space = caller_namespace() if namespace is None else namespace
    return quote_run(runtime.current(), target, inputs, namespace=space)


async def resume(run: str | int, /, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
                 attended: bool = False) -> RunHandle | BatchHandle:  # fmt: skip
    """Go on with a run that failed, was stopped or interrupted; recorded work is not done again."""
    space = caller_namespace() if namespace is None else namespace
    return await runtime.current().resume(str(run), budget=budget, namespace=space, attended=attended)


async def batch(
    target: object, frame: object, mapping: Mapping[str, str] | None = None, *, budget: BudgetLike = None,
    namespace: Mapping[str, object] | None = None, shared: Mapping[str, object] | None = None,
    rows_at_once: int = ROWS_AT_ONCE, on_change: Callable[[BatchHandle], None] | None = None, price: str = "",
) -> BatchHandle:  # fmt: skip
    """Run a graph or an agent over the rows of a table.

    Parameters
    ----------
    frame
        A data frame, or a list of mappings.
    mapping
        Input -> name of its column, where they differ.
    budget
        The limit of all rows together, as in `run`.
    shared
        Inputs that are the same for every row.
    rows_at_once
        Rows under way at the same time.
    on_change
        Called with the handle after each change.
    price
        "batch": call models through their providers' batch interfaces, at batch prices, with answers within a day.

    Returns
    -------
    BatchHandle
        Its ``.table`` is the result.
    """
    space = caller_namespace() if namespace is None else namespace
    return await start_batch(
        runtime.current(), target, frame, mapping, budget=budget, namespace=space, shared=shared,
        rows_at_once=rows_at_once, on_change=on_change, price=price,
    )  # fmt: skip


def record(*, budget: BudgetLike = None, name: str = "recorded") -> Recording:
    """Record ordinary Python that awaits agents: ``async with orch.record(budget=0.05) as run:``.

    It gets a log, a bill and a budget, as a run has them.
    """
    return Recording(runtime.current(), budget=budget, name=name)


def runs(*, limit: int = 20) -> list[RunRow]:
    """Return the runs of this notebook, newest first."""
    return runtime.current().runs(limit=limit)


def open_run(run: str | int) -> RunHandle:
    """Return a run by its id, live or recorded."""
    return runtime.current().open(str(run))


def models() -> ModelBook:
    """Return the notebook's names of models."""
    return runtime.current().models


def budget(limit: BudgetLike | EllipsisType = ..., /) -> Balance:
    """Return the notebook's budget; set it with a number or "0.50 calls=100", "+0.50" to raise it, None for no limit."""
    now = runtime.current()
    return now.budget() if limit is ... else now.set_budget(limit)


async def call(target: object, inputs: Mapping[str, object], namespace: Mapping[str, object] | None = None) -> object:
    """Run a target and return its value: inside ``orch.record()`` as an activation of the recording, else as a run.

    Raises
    ------
    OrchError
        The run failed, was stopped, or waits for a person.
    """
    recording = current_recording.get()
    if recording is not None:
        return await recording.call(target, inputs, namespace or {})
    return (await runtime.current().start(target, inputs, namespace=namespace)).result()


def compile_plan(target: object, namespace: Mapping[str, object]) -> Plan:
    """Return the checked, frozen plan of a graph, an agent or a function, with names bound in `namespace`."""
    return binding.compile_in(target, namespace)


def calibrate(agent: Agent, pairs: Iterable[tuple[float, bool]], *, by: str = "") -> Calibration:
    """Calibrate an agent's confidences by labelled answers, so that they are rates of right answers; stored beside the store.

    Parameters
    ----------
    agent
        An `Agent` with a cascade or a second opinion.
    pairs
        (confidence as it was recorded, whether the answer was right); at least 20.
    by
        How the confidences were measured, such as "agreement(3)"; the agent's own way unless given.

    Raises
    ------
    BadOption
        Too few pairs, a confidence outside 0 to 1, or an agent that measures no confidence.
    """
    return learned_routes.calibrate(runtime.current(), agent, pairs, by=by)


def propose_route(agent: Agent) -> Proposal:
    """Return the rule that was learned for an agent's route, with its evidence; see `accept_route`.

    Parameters
    ----------
    agent
        An `Agent` whose route is `auto` or learned.

    Raises
    ------
    BadOption
        Its route learns nothing.
    """
    return learned_routes.propose_route(runtime.current(), agent)


def accept_route(agent: Agent, *, by: str = "") -> Proposal:
    """Let the learned rule of an agent choose from now on; each decision names the acceptance.

    The acceptance is valid until the candidates, the minimum, the tradeoff or the baseline change; the rule learns from later
    outcomes too.

    Raises
    ------
    BadOption
        Its route learns nothing, or has too little evidence.
    """
    return learned_routes.accept_route(runtime.current(), agent, by=by)


def reject_route(agent: Agent) -> Proposal:
    """Withdraw the acceptance of an agent's learned rule: its static choice is used again."""
    return learned_routes.reject_route(runtime.current(), agent)


# ------------------------------------------------------------------ comparisons


def compare(
    name: str, *, prompts: Sequence[Agent | str] | Mapping[str, str], models: Sequence[str], inputs: object, score: str | Sequence[str] = (),
    budget: BudgetLike = None, repeat: int = 1, blind: bool = False, seed: int = 0, task: str = "", fixtures: bool = True,
    passes: float = PASSES, namespace: Mapping[str, object] | None = None,
) -> Comparison:  # fmt: skip
    """Compare prompts on models over inputs, as a ``%%compare`` cell does. It starts at once; ``await`` it for the end.

    Parameters
    ----------
    prompts
        Agents or their names, or a mapping from names to texts.
    inputs
        Rows: a data frame, a list of mappings, a list of texts.
    score
        Scorers as in a cell; a function of the namespace by its name.
    namespace
        Where names are looked up; the caller's variables unless given.

    Raises
    ------
    BadOption, BadName, MissingInput, UnknownModel
        Before anything is spent.

    See Also
    --------
    orch_nb.lang.compare_cell.CompareCell : the other parameters.
    """
    from orch_nb.analysis.compare import comparison as comparing
    from orch_nb.schema.names import check_name

    names = dict(caller_namespace() if namespace is None else namespace)
    if isinstance(prompts, dict):
        known: dict[str, str | None] = dict(prompts)
    else:
        known = {p if isinstance(p, str) else p.name: None for p in prompts}
        names |= {p.name: p for p in prompts if not isinstance(p, str)}
    texts = (score,) if isinstance(score, str) else tuple(score)
    cell = CompareCell(
        check_name(name, "name of a comparison"), known, tuple(models), inputs, texts, budget, repeat, blind, seed, task,
        fixtures, passes,
    )  # fmt: skip
    return comparing.compare(runtime.current(), cell, names)


def matrix(task: str | None = None, **options: Any) -> Matrix:
    """Return the routing matrix of the evidence so far, of one task or of all; or a matrix that was written to a file.

    Parameters
    ----------
    task
        A task's name; None for all. A name that ends in ``.json`` is a file: its hash is checked, and its notes list the
        evidence that has changed since it was written.
    **options
        `baseline`, `tolerance`, `minimum` of `Matrix.of`.

    Raises
    ------
    BadOption
        An option does not fit.
    OrchError
        The file has no matrix, or was changed since it was written.
    """
    if task is not None and task.endswith(".json"):
        return signed_matrix(runtime.current(), task)
    return matrix_of(runtime.current(), task, **options)


def signed_matrix(runtime: Runtime, path: str | Path) -> Matrix:
    """Return a matrix from its file (beside the notebook), with the evidence that has changed since."""
    from orch_nb.analysis.matrix.matrix import Matrix

    made = Matrix.read(runtime.folder / path)
    changed = made.changed_since(runtime.evidence())
    made.notes += [f"changed since it was written: {change}" for change in changed] or [
        "the evidence is still what it was then"
    ]
    return made


def matrix_of(runtime: Runtime, task: str | None = None, **options: Any) -> Matrix:
    """Return the matrix of a runtime's evidence."""
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.catalog.prices import bundled_date

    return Matrix.of(runtime.evidence(task), prices_date=bundled_date(), **options)


def pairs(
    producer: Agent, consumer: Agent, models: Sequence[str], inputs: object, *, score: str | Sequence[str] = (), budget: BudgetLike = None,
    seed: int = 0, namespace: Mapping[str, object] | None = None,
) -> Pairs:  # fmt: skip
    """Test whether a consumer can work with what a producer writes, for every ordered pair of models (see `start_pairs`).

    It starts at once; ``await`` it for the end.
    """
    from orch_nb.analysis.compare.pairs import start_pairs

    names = caller_namespace() if namespace is None else namespace
    texts = (score,) if isinstance(score, str) else tuple(score)
    return start_pairs(
        runtime.current(), producer, consumer, models, inputs, names=names, score=texts, budget=budget, seed=seed
    )
