"""The candidates of a comparison: every prompt on every model as a plan of its own, every row as inputs."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from orch_nb.agents.binding import compile_in
from orch_nb.analysis.compare.inputs import InputRow, rows_of, with_fixtures
from orch_nb.analysis.compare.scorers import read_scorers
from orch_nb.engine.plan import from_data
from orch_nb.errors import BadOption, MissingInput, OrchError, nearest
from orch_nb.lang.compare_cell import MAX_CELLS
from orch_nb.runtime.batch import rows_of as batch_rows
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.canonical import digest
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from concurrent.futures import Future
    from decimal import Decimal

    from orch_nb.agents.agent import Agent
    from orch_nb.analysis.compare.fixtures import Fixture
    from orch_nb.analysis.compare.scorers import Scorers
    from orch_nb.engine.plan import Plan
    from orch_nb.lang.compare_cell import CompareCell
    from orch_nb.runtime.batch import BatchHandle, Row
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.schema.events import RunStarted

Made = TypeVar("Made")


@dataclass(slots=True, frozen=True)
class Candidate:
    """One prompt on one model.

    Parameters
    ----------
    prompt, model
        Their names in the cell; `model_id` and `provider` are the model that the name meant.
    identity
        Digest of prompt, persona and form of the answer: part of the evidence's key.
    cell
        The ``%%agent`` cell of the prompt on this model.
    has_type
        True if the prompt declares the form of its answer.
    """

    prompt: str
    model: str
    model_id: str
    provider: str
    identity: str
    cell: str
    has_type: bool

    @property
    def key(self) -> str:
        """Name of its plan."""
        return f"{self.prompt}/{self.model}"


@dataclass(slots=True)
class PreparedComparison:
    """Everything that a comparison runs: candidates with their plans, rows, a batch row for each cell, scorers, notes."""

    task: str
    candidates: list[Candidate]
    plans: dict[str, Plan]
    rows: list[InputRow]
    cells: list[Row]
    scorers: Scorers
    notes: list[str]

    def as_data(self, cell: CompareCell, agents: Sequence[str]) -> dict[str, object]:
        """Return the data in the log from which another process can continue the comparison."""
        return {
            "name": cell.name, "task": self.task, "score": list(cell.score), "blind": cell.blind, "seed": cell.seed,
            "passes": cell.passes, "models": list(cell.models), "prompts": list(agents), "notes": self.notes,
            "candidates": [asdict(c) for c in self.candidates], "lines": [asdict(r) for r in self.rows],
        }  # fmt: skip


def on_model(agent: Agent, model: str) -> Agent:
    """Return the agent on one model only: without fallback, route, second opinion or cached answers."""
    made = copy.copy(agent)
    keys = ("fallback", "route", "second_opinion", "sla", "cache")
    update = {key: type(agent.spec).model_fields[key].get_default(call_default_factory=True) for key in keys}
    if isinstance(agent.spec.budget, Budget):
        update["budget"] = replace(agent.spec.budget, at_limit="stop", degrade="")
    made.spec = agent.spec.model_copy(update={**update, "model": model})
    return made


def make(runtime: Runtime, cell: CompareCell, names: Mapping[str, object]) -> PreparedComparison:
    """Check and compile everything; nothing is spent.

    Raises
    ------
    BadOption, MissingInput, UnknownModel, GraphError
        A prompt, model, scorer or column does not exist or does not fit.
    """
    if cell.budget is not None and parse_budget(cell.budget).at_limit != "stop":
        raise cell.error("budget", "`degrade` is not allowed in a comparison: a substitute model would be scored in place of the one tested.",
                         hint="`budget: 0.10`")  # fmt: skip
    agents = prompt_agents(cell, names)
    scorers = _at(cell, "score", lambda: read_scorers(cell.score, names))
    candidates, plans = _candidates(runtime, cell, agents, names)
    task = cell.task or (next(iter(agents)) if len(agents) == 1 and None in cell.prompts.values() else cell.name)
    wanted = list(dict.fromkeys(i for p in plans.values() for i in p.inputs))
    only = wanted[0] if len(wanted) == 1 else ""
    table = _at(cell, "inputs", lambda: rows_of(cell.inputs, names, seed=cell.seed, only_input=only))
    rows = with_fixtures(table, _edges(runtime, cell, task), cell.repeat)
    if len(rows) * len(candidates) > MAX_CELLS:
        total = len(rows) * len(candidates)
        raise cell.error("inputs", f"{len(rows):,} rows × {len(candidates)} candidates are {total:,} cells; {MAX_CELLS:,} is the most.",
                         hint="`inputs: x.sample(50)`")  # fmt: skip
    _check_columns(cell, scorers, rows)
    shared, notes = _shared_inputs(wanted, rows, names)
    cells = _cells(cell, candidates, plans, rows, shared)
    return PreparedComparison(task, candidates, plans, rows, cells, scorers, notes)


def _at(cell: CompareCell, key: str, work: Callable[[], Made]) -> Made:
    """Return the result of `work`; an error points at the line of the key."""
    try:
        return work()
    except OrchError as error:
        if getattr(error, "line", 0) or not cell.source:
            raise
        raise BadOption(str(error), line=cell.lines.get(key, 0), source=cell.source, hint=error.hint) from error


def prompt_agents(cell: CompareCell, names: Mapping[str, object]) -> dict[str, Agent]:
    """Return the agent of each prompt by name: one of the notebook, or one made of the cell's text.

    Raises
    ------
    BadOption
        No agent has this name; the nearest is named.
    """
    from orch_nb.agents.agent import Agent

    out = {}
    for name, text in cell.prompts.items():
        if text is not None:
            out[name] = _at(cell, "prompts", partial(Agent, name, text))
            continue
        found = names.get(name)
        if not isinstance(found, Agent):
            known = [n for n, v in names.items() if isinstance(v, Agent) and not n.startswith("_")]
            near = nearest(name, known)
            there = f"agents: {', '.join(known)}" if known else "define it with `%%agent`"
            what = (
                f"`{name}` must be an agent of this notebook."
                if found is None
                else f"`{name}` must be an agent, got {a_(type(found).__name__)}."
            )
            raise cell.error(
                "prompts",
                what,
                hint=f"did you mean `{near}`?" if near else f'{there}, or give a text: `{{{name}: "…"}}`',
            )
        _at(cell, "prompts", partial(check_harmless, found))
        out[name] = found
    return out


def check_harmless(agent: Agent) -> None:
    """Refuse an agent with effects: a comparison would perform them in every cell.

    Raises
    ------
    BadOption
        The agent declares effects; they are named.
    """
    if agent.spec.effects:
        raise BadOption(
            f"`{agent.name}` declares {', '.join(f'`{e}`' for e in agent.spec.effects)}: every cell would perform it.",
            hint="compare an agent that drafts, without the tool; the tool's own node acts once, in the graph",
        )


def _candidates(
    runtime: Runtime, cell: CompareCell, agents: Mapping[str, Agent], names: Mapping[str, object]
) -> tuple[list[Candidate], dict[str, Plan]]:
    out: list[Candidate] = []
    plans: dict[str, Plan] = {}
    for prompt, agent in agents.items():
        for model in cell.models:
            offer = runtime.models.resolve(model)
            made = on_model(agent, model)
            plan = compile_in(made, names, made.name)
            spec = plan.nodes[0].spec
            identity = digest(
                {k: spec.get(k) for k in ("prompt", "persona", "out", "max_tokens", "temperature")}, size=8
            )
            one = Candidate(prompt, model, offer.model, offer.provider, identity, made.to_cell(), made.out is not None)
            out.append(one)
            plans[one.key] = plan
    return out, plans


def _edges(runtime: Runtime, cell: CompareCell, task: str) -> list[Fixture]:
    from orch_nb.analysis.compare.fixtures import load

    return load(runtime.folder, task) if cell.fixtures else []


def _check_columns(cell: CompareCell, scorers: Scorers, rows: Sequence[InputRow]) -> None:
    """Check that each scorer's column is in some row; rows without the column are not scored and report it."""
    columns = {name for row in rows for name in row.record}
    for scorer in scorers.cells:
        missing = [c for c in scorer.needs() if c not in columns]
        if missing:
            near = nearest(missing[0], columns)
            raise cell.error(
                "score", f"`{scorer.text}` needs the column `{missing[0]}`, which no row has.",
                hint=f"did you mean `{near}`?" if near else f"columns: {', '.join(sorted(columns))}",
            )  # fmt: skip


def _shared_inputs(
    wanted: Sequence[str], rows: Sequence[InputRow], names: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    """Return the inputs without a column that have the name of a variable: each has one value for all rows."""
    columns = {name for row in rows for name in row.record}
    shared, notes = {}, []
    for name in wanted:
        if name not in columns and is_data(names.get(name)):
            shared[name] = names[name]
            notes.append(f"`{name}` is the notebook's variable, the same for every row")
    return shared, notes


def is_data(value: object) -> bool:
    """Return if a variable can be an input that was not given: data, not None, an agent, a function or a module."""
    ours = type(value).__module__.startswith("orch_nb.")
    return value is not None and not callable(value) and not ours and type(value).__name__ != "module"


def _cells(
    cell: CompareCell, candidates: Sequence[Candidate], plans: Mapping[str, Plan], rows: Sequence[InputRow],
    shared: Mapping[str, object],
) -> list[Row]:  # fmt: skip
    """Return a batch row for each cell, row by row, so that early rows are complete early."""
    by_candidate = []
    for one in candidates:
        try:
            made = batch_rows([r.record for r in rows], plans[one.key], {}, shared)
        except MissingInput as error:
            raise cell.error("inputs", str(error), hint=error.hint) from None
        by_candidate.append(made)
    out = []
    for r, row in enumerate(rows):
        for c, one in enumerate(candidates):
            made_row = by_candidate[c][r]
            made_row.index, made_row.plan = f"{row.label} · {one.key}", one.key
            out.append(made_row)
    return out


# ------------------------------------------------------------------ batches of comparisons and of pairs


def recorded_batch(runtime: Runtime, run: str, kind: str) -> tuple[dict[str, Any], dict[str, Plan]]:
    """Return the data that a comparison or a test of pairs keeps in the log, and its plans by name.

    Raises
    ------
    OrchError
        The run is of another kind.
    """
    begun = runtime.started(run)
    if kind not in begun.inputs:
        raise OrchError(
            f"run {run} must be of kind `{kind}`, got another kind.", hint="`%orch runs` lists the kind of each run"
        )
    return begun.inputs[kind], {key: from_data(data) for key, data in begun.inputs["plans"].items()}


def is_of_kind(begun: RunStarted, kind: str) -> bool:
    """Return if a run's first event begins a comparison, or a test of pairs."""
    return bool((begun.parent or {}).get(kind))


class BatchRun:
    """Base of a comparison and of a test of pairs: a batch, seen as a run with an id, a state, a cost and an end."""

    __slots__ = ()
    is_batch: ClassVar[bool] = True
    _handle: BatchHandle
    _runtime: Runtime
    _names: Mapping[str, object]

    @property
    def handle(self) -> BatchHandle:
        """The batch of its rows."""
        return self._handle

    @property
    def run(self) -> str:
        """Id of the batch; ``%orch resume ID`` runs what is not done."""
        return self.handle.run

    @property
    def version(self) -> int:
        """Number that grows with each change."""
        return self.handle.version

    @property
    def status(self) -> str:
        """State: running, done, cancelled (stopped) or failed (the budget left rows pending). Rows that failed do not make the
        whole fail."""
        if not self.done():
            return "running"
        if all(r.status in ("done", "failed") for r in self.handle.rows):
            return "done"
        return "cancelled" if self.handle.stopped == "stopped" else "failed"

    @property
    def future(self) -> Future[BatchHandle]:
        """Future of the end of all rows, judgements and consumers included."""
        return self.handle.future

    @property
    def spent_usd(self) -> Decimal:
        """Cost so far, in US dollars."""
        return self.handle.spent_usd

    def done(self) -> bool:
        """Return if everything has ended."""
        return self.handle.done()

    def stop(self) -> None:
        """Stop: the cost of calls under way is recorded, the other rows stay pending."""
        self.handle.stop()

    def wait(self, timeout_s: float | None = None) -> Self:
        """Wait until everything has ended, for code without an event loop."""
        self.handle.wait(timeout_s)
        return self

    def __await__(self) -> Generator[object, None, Self]:
        async def wait() -> Self:
            await asyncio.wrap_future(self.future)
            return self

        return wait().__await__()
