"""A comparison: prompts × models × inputs, scored or picked blind, and stored as evidence.

A comparison is a batch (`runtime.batch`) whose rows run different plans. So each cell is a run in the log: billed, under one
budget, stopped and resumed like any other; judges' calls are further rows of the same batch. Tables, winner, ladder and
evidence are computed from these rows and do not depend on the order in which cells ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from orch_nb import display
from orch_nb.agents.binding import compile_in
from orch_nb.analysis.compare import fixtures, picks
from orch_nb.analysis.compare import results as table_of
from orch_nb.analysis.compare.candidates import BatchRun, Candidate, make, recorded_batch
from orch_nb.analysis.compare.formats import Flag, flags
from orch_nb.analysis.compare.inputs import InputRow
from orch_nb.analysis.compare.judge import Bench, judge_agent, judge_row, judging_model, named, orders
from orch_nb.analysis.compare.scorers import Answered, Score, Scorers, mean_of, read_scorers
from orch_nb.analysis.export import as_frame
from orch_nb.engine.ports import SystemClock
from orch_nb.engine.user_code import tell
from orch_nb.errors import OrchError
from orch_nb.routing.evidence import Evidence, row_key
from orch_nb.runtime.batch import add_rows, resume_batch, start_rows
from orch_nb.runtime.checks import check_models
from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orch_nb.analysis.compare.judge import Agreement
    from orch_nb.engine.plan import Plan
    from orch_nb.lang.compare_cell import CompareCell
    from orch_nb.runtime.batch import BatchHandle, Row
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.schema.budget import BudgetLike

Made = TypeVar("Made")
KIND = "comparison"
AHEAD = 64
"""Number of cells that are checked when one ends: at most so many are under way at once."""


@dataclass(slots=True)
class Comparison(BatchRun):
    """A comparison, under way or done: ``await`` it, display it, `pick`, `export`.

    Attributes
    ----------
    name, task
        Variable that the cell binds; row of the routing matrix that the evidence belongs to.
    candidates
        Every prompt on every model, in the order of the cell.
    rows
        The inputs, edge cases last.
    scores
        (row, candidate) -> scorer's text -> `Score`.
    picked
        Row -> the candidates that a person picked as best.
    """

    name: str
    task: str
    candidates: list[Candidate]
    rows: list[InputRow]
    models: tuple[str, ...]
    scorers: Scorers
    seed: int
    passes: float
    blind: bool = False
    notes: list[str] = field(default_factory=list)
    scores: dict[tuple[int, int], dict[str, Score]] = field(default_factory=dict)
    picked: dict[int, list[int]] = field(default_factory=dict)
    benches: list[Bench] = field(default_factory=list)
    on_change: Callable[[Comparison], None] | None = None
    display_error: BaseException | None = None
    _handle: BatchHandle = field(init=False)
    _runtime: Runtime = field(kw_only=True)
    _names: Mapping[str, object] = field(default_factory=dict)
    _plans: Mapping[str, Plan] = field(default_factory=dict)
    _unscored: deque[int] = field(default_factory=deque)
    _scoring: set[asyncio.Future[None]] = field(default_factory=set)
    _changes: int = 0
    _revealed: bool = False
    _read: dict[str, tuple[object, object]] = field(default_factory=dict)
    """Computed readings, each with the state that it was computed from."""

    # ---------------------------------------------------------------- as a run
    @property
    def graph(self) -> str:
        """Name in lists of runs."""
        return self.name

    @property
    def version(self) -> int:
        """Number that grows with each change; picks are changes too, and may follow after the end."""
        return self.handle.version + self._changes

    def resume(self, budget: BudgetLike = None) -> Comparison:
        """Run the cells and judgements that are not done; return the comparison.

        Parameters
        ----------
        budget
            New limit for everything, in US dollars; None keeps the old one.
        """
        if self.done():
            self._unscored = deque(range(len(self.rows) * len(self.candidates)))
            self._handle = resume_batch(
                self._runtime, self.run, budget=budget, namespace=self._names, on_change=self._on_rows, after=self._after
            )  # fmt: skip
        return self

    # ---------------------------------------------------------------- cells
    def cell(self, row: int, candidate: int) -> Row:
        """Return one cell: output, state, seconds, tokens, dollars, error."""
        return self.handle.rows[row * len(self.candidates) + candidate]

    @property
    def cells(self) -> list[Row]:
        """All cells, row by row, without the judges' calls."""
        return self.handle.rows[: len(self.rows) * len(self.candidates)]

    @property
    def judgements(self) -> list[Row]:
        """The judges' calls."""
        return self.handle.rows[len(self.rows) * len(self.candidates) :]

    def answers(self, row: int) -> dict[int, object]:
        """Return the answers of a row by candidate; candidates without an answer are left out."""
        found = {c: self.cell(row, c) for c in range(len(self.candidates))}
        return {c: cell.output for c, cell in found.items() if cell.status == "done"}

    def prompt_of(self, row: int, candidate: int) -> str:
        """Return the user message of a cell, with its values filled in."""
        from orch_nb.agents.conversation import render

        node = self._plans[self.candidates[candidate].key].nodes[0]
        return render(node.spec["prompt"], self.cell(row, candidate).inputs)

    def stood_in(self, row: int, candidate: int) -> str:
        """Return the substitute model that answered a cell after the notebook's budget degraded the call; "" without one."""
        own = self.candidates[candidate].model
        return next((name for name in self.cell(row, candidate).asked if name != own), "")

    def quality(self, row: int, candidate: int) -> float | None:
        """Return the quality of a cell from 0 to 1: the pick, else the mean of its scores; None while it is unknown, and if
        a substitute model answered."""
        if self.stood_in(row, candidate):
            return None
        picked = self.picked.get(row)
        answers = self.answers(row)
        if picked is not None and candidate in answers:
            return picks.qualities(answers, picked)[candidate]
        return mean_of(self.scores_of(row, candidate).values())

    def scores_of(self, row: int, candidate: int) -> dict[str, Score]:
        """Return the scores of a cell by scorer, judges included."""
        found = dict(self.scores.get((row, candidate), {}))
        for bench in self.benches:
            score = bench.scores(row).get(candidate)
            if score is not None:
                found[bench.judge.text] = score
        return found

    def rates_itself(self, bench: Bench, candidate: int) -> bool:
        """Return if a judge is the model that it judges."""
        one = self.candidates[candidate]
        return (bench.provider, bench.model_id) == (one.provider, one.model_id)

    def formats(self) -> list[Flag]:
        """Return the format differences between models that answered the same prompt with the same input."""
        return self._once("formats", self._formats)

    def _formats(self) -> list[Flag]:
        out = []
        for row in range(len(self.rows)):
            answers = self.answers(row)
            for prompt in dict.fromkeys(c.prompt for c in self.candidates):
                out += flags(row, {c: a for c, a in answers.items() if self.candidates[c].prompt == prompt})
        return out

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """Return the result of `make`, computed once for each state of the comparison."""
        state = (self.version, len(self.scores), len(self.picked), id(self._handle), self.done())
        kept = self._read.get(name)
        if kept is None or kept[0] != state:
            kept = self._read[name] = (state, make())
        return cast("Made", kept[1])

    # ---------------------------------------------------------------- picks
    @property
    def to_pick(self) -> list[int]:
        """Rows with at least two answers and without a pick."""
        return [r for r in range(len(self.rows)) if r not in self.picked and len(self.answers(r)) > 1]

    @property
    def is_hidden(self) -> bool:
        """True while names are hidden: the comparison is blind and has rows without a pick."""
        return self.blind and not self._revealed and (not self.done() or bool(self.to_pick))

    def order(self, row: int) -> list[int]:
        """Return the candidates of a row in the order of display: the cell's, or shuffled in a blind comparison."""
        count = len(self.candidates)
        return picks.blind_order(f"{self.run}/{self.seed}", row, count) if self.blind else list(range(count))

    def pick(self, row: int, choice: str) -> Comparison:
        """Pick the best answer of a row; a later pick of the row replaces it. The pick is stored as evidence at once.

        Candidates with the same answer share the pick.

        Parameters
        ----------
        row
            Its position, from 0.
        choice
            The letter of an answer as shown ("A"), several that share the win ("AC"), or "tie".

        Raises
        ------
        BadOption
            The row has no answer of that letter.
        OrchError
            The row does not exist.
        """
        self._check_row(row)
        answers = self.answers(row)
        self.picked[row] = picks.alike(answers, picks.read_choice(choice, self.order(row), list(answers)))
        self._runtime.add_evidence(self.evidence([row]))
        self._notify()
        return self

    def _check_row(self, row: int) -> None:
        if not isinstance(row, int) or not 0 <= row < len(self.rows):
            raise OrchError(f"`row` must be a number from 0 to {len(self.rows) - 1}, got {row!r}.")

    def reveal(self) -> Comparison:
        """Show the names although rows still need a pick."""
        self._revealed = True
        self._notify()
        return self

    # ---------------------------------------------------------------- readings
    def table(self) -> Any:
        """Return one row for each cell: input, candidate, answer, scores, latency, tokens, dollars. A data frame if pandas is
        installed, else a list of mappings. While names are hidden it has letters instead."""
        rows = table_of.rows(self)
        return as_frame(rows)

    def standings(self) -> list[table_of.Standing]:
        """Return one line for each candidate: quality with its interval, latency, tokens, dollars, shares."""
        self._check_names_shown()
        return self._once("standings", lambda: table_of.standings(self))

    def winner(self) -> table_of.Standing:
        """Return the best candidate: highest quality, the cheaper one of equals.

        Raises
        ------
        OrchError
            Nothing was scored or picked yet, or names are hidden.
        """
        return table_of.winner(self.standings(), self.name)

    def ladder(self, passes: float | None = None) -> table_of.Ladder:
        """Return the candidates from the cheapest up, and the first that passes.

        Parameters
        ----------
        passes
            Smallest quality that passes; by default the cell's `passes`.
        """
        return table_of.ladder(self.standings(), self.passes if passes is None else passes)

    def agreements(self) -> dict[str, Agreement]:
        """Return the agreement of each judge with itself when the order of answers changes."""
        return {bench.judge.text: bench.agreement for bench in self.benches}

    def to_cell(self) -> str:
        """Return the ``%%agent`` cell of the winner: its prompt on its model."""
        best = self.winner()
        return next(c.cell for c in self.candidates if (c.prompt, c.model) == (best.prompt, best.model))

    def _check_names_shown(self) -> None:
        if self.is_hidden:
            left = len(self.to_pick) if self.done() else len(self.rows)
            raise OrchError(
                f"`{self.name}` is a blind comparison; {left} of {len(self.rows)} rows still need a pick.",
                hint=f'`{self.name}.pick(row, "A")`, or `{self.name}.reveal()`',
            )

    # ---------------------------------------------------------------- fixtures, files and evidence
    def keep(self, row: int, note: str = "", *, expected: Mapping[str, object] | None = None) -> fixtures.Fixture:
        """Store a row's input as an edge case of the task: later comparisons of the task include it, marked.

        Parameters
        ----------
        note
            Reason to keep it: "monthly against annual price".
        expected
            Columns that scorers compare with, e.g. ``{"price": 12.0}``, in addition to those of the row.

        Raises
        ------
        OrchError
            The row does not exist.
        """
        self._check_row(row)
        own = {name for c in range(len(self.candidates)) for name in self.cell(row, c).inputs}
        record = self.rows[row].record
        asked = {k: v for k, v in record.items() if k in own} or record
        wanted = {k: v for k, v in record.items() if k not in asked} | dict(expected or {})
        made, _ = fixtures.keep(
            self._runtime.folder,
            self.task,
            asked,
            expected=wanted,
            note=note,
            came_from=f"{self.name}, run {self.run}, row {self.rows[row].label}",
        )
        return made

    def export(self, path: str | Path) -> Path:
        """Write a file: ``.json`` (cells, scores, picks, format differences, standings) or ``.csv`` (the table).

        Raises
        ------
        OrchError
            The file has another ending, or it cannot be written.
        """
        return table_of.export(self, Path(path))

    def evidence(self, rows: Sequence[int] | None = None) -> list[Evidence]:
        """Return the evidence about models on the task: one judgement for each cell of known quality.

        Parameters
        ----------
        rows
            Rows to include; None for all.

        Notes
        -----
        The key consists of task, input, model, prompt and repetition: a new judgement replaces the old one, so a comparison
        that is run twice counts once. A cell that failed without a key or a network is not evidence about its model.
        """
        wanted = range(len(self.rows)) if rows is None else rows
        found = (self._evidence(r, c) for r in wanted for c in range(len(self.candidates)))
        return [one for one in found if one is not None]

    def _evidence(self, row: int, candidate: int) -> Evidence | None:
        quality = self._model_quality(row, candidate)
        if quality is None:
            return None
        one, cell = self.candidates[candidate], self.cell(row, candidate)
        cost = None if cell.unpriced else cell.usd
        return Evidence(
            self.task, one.model, one.model_id, one.provider, self.prompt_of(row, candidate), quality, cost, cell.seconds,
            "compare", self._judged_by(row, candidate), SystemClock.now(), self._key(row, candidate), cell.run, one.prompt,
        )  # fmt: skip

    def _model_quality(self, row: int, candidate: int) -> float | None:
        """Return the quality as far as it is evidence about a model. Picks and judges compare answers: if all are of one model,
        they compare prompts, and only scorers of single cells count."""
        if self._compares_models or self.stood_in(row, candidate):
            return self.quality(row, candidate)
        return mean_of(self.scores.get((row, candidate), {}).values())

    def _key(self, row: int, candidate: int) -> str:
        one, line = self.candidates[candidate], self.rows[row]
        what = digest(line.record, size=8)
        return f"{row_key(self.task, what)}/{one.provider}/{one.model_id}/{one.identity}/{line.repeat}"

    def _restore_picks(self) -> None:
        """Restore the picks of an earlier process from the evidence."""
        known = {e.key: e.quality for e in self._runtime.evidence(self.task) if e.by == "person"}
        for row in range(len(self.rows)):
            best = [c for c in range(len(self.candidates)) if known.get(self._key(row, c), 0) > 0]
            if best:
                self.picked[row] = best

    @property
    def _compares_models(self) -> bool:
        return len({(c.provider, c.model_id) for c in self.candidates}) > 1

    def _judged_by(self, row: int, candidate: int) -> str:
        if not self._compares_models:
            return " + ".join(t for t, s in self.scores.get((row, candidate), {}).items() if s.value is not None)
        if row in self.picked and candidate in self.answers(row):
            return "person"
        own = {b.judge.text for b in self.benches if self.rates_itself(b, candidate)}
        scored = [text for text, s in self.scores_of(row, candidate).items() if s.value is not None]
        return " + ".join(f"{text} (of itself)" if text in own else text for text in scored)

    # ---------------------------------------------------------------- running
    def _notify(self) -> None:
        self._changes += 1
        self._tell()

    def _tell(self) -> None:
        if self.on_change is not None:
            tell(f"`on_change` of run {self.run}", self.on_change, self)

    def _on_rows(self, handle: BatchHandle) -> None:
        """Score the cells that have ended since the last call; runs on the run loop."""
        self._handle = handle  # the first call may come before `start_rows` has returned
        self._score_ended(AHEAD)
        self._tell()

    def _score_ended(self, ahead: int) -> None:
        for n in list(self._unscored)[:ahead]:
            if self.handle.rows[n].status in ("done", "failed"):
                self._unscored.remove(n)
                task = asyncio.ensure_future(self._score(n))
                self._scoring.add(task)
                task.add_done_callback(self._scoring.discard)

    async def _score(self, n: int) -> None:
        """Score one cell on a thread: the user's functions and patterns may be slow."""
        if self.scorers.cells:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._runtime.pool, self._score_here, n)
            self._notify()

    def _score_here(self, n: int) -> None:
        row, candidate = divmod(n, len(self.candidates))
        cell, one = self.handle.rows[n], self.candidates[candidate]
        is_semantic = cell.problem is not None and cell.problem.failure == "semantic"
        if cell.status != "done" and not is_semantic:
            return
        if cell.status != "done":
            self.scores[row, candidate] = {s.text: Score(0.0, "no valid answer") for s in self.scorers.cells}
            return
        answered = Answered(cell.output, self.rows[row].record, has_type=one.has_type)
        self.scores[row, candidate] = {s.text: s.score(answered) for s in self.scorers.cells}

    async def _after(self, handle: BatchHandle) -> None:
        """Finish after all cells have ended: the last scores, the judges, the evidence."""
        self._handle = handle
        self._score_ended(len(self._unscored))
        while self._scoring:
            await asyncio.gather(*list(self._scoring))
        if self.benches and not handle.stopped:
            await self._judge()
        self._runtime.add_evidence(self.evidence())
        self._notify()

    async def _judge(self) -> None:
        """Run all judges' calls, as further rows of the batch."""
        asked: list[tuple[Bench, int, int, Row]] = []
        for bench in self.benches:
            bench.choices.clear()
            for row in range(len(self.rows)):
                answers = self.answers(row)
                if len(answers) > 1:
                    seed = f"{self.run}/{self.seed}/{bench.judge.text}/{row}"
                    bench.orders[row] = orders(list(answers), bench.judge.k, seed)
                    task = self._task_text(row)
                    asked += [(bench, row, i, judge_row(bench, row, i, task, answers)) for i in range(bench.judge.k)]
        plans = self._judge_plans([row for *_, row in asked])
        await add_rows(self._runtime, self.handle, [row for *_, row in asked], plans, self._names)
        for bench, row, place, made in asked:
            choice = named(bench, row, place, made.output) if made.status == "done" else None
            bench.choices.setdefault(row, []).append(choice)

    def _judge_plans(self, rows: Sequence[Row]) -> dict[str, Plan]:
        """Return the plan of each judge for each number of answers."""
        plans = {}
        for key in {r.plan for r in rows}:
            model, _, count = key.rpartition("/")
            plans[key] = compile_in(judge_agent(model.removeprefix("judge "), int(count)), self._names, "judge")
        return plans

    def _task_text(self, row: int) -> str:
        """Return the task of a row for a judge: the prompt if all candidates share it, else the inputs."""
        first = self.candidates[0].prompt
        if all(c.prompt == first for c in self.candidates):
            return self.prompt_of(row, 0)
        inputs = self.cell(row, 0).inputs
        return "\n".join(f"{name}: {value}" for name, value in inputs.items())

    # ---------------------------------------------------------------- display
    def __repr__(self) -> str:
        done = sum(c.status == "done" for c in self.cells)
        return f"<comparison {self.name}, run {self.run}: {done} of {len(self.cells)} cells done>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return display.bundle(self)


def compare(
    runtime: Runtime,
    cell: CompareCell,
    names: Mapping[str, object],
    *,
    on_change: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Start a comparison and return it at once; ``await`` it for the end.

    Parameters
    ----------
    cell
        The comparison, from `read_compare_cell` or made in Python.
    names
        Namespace of agents, variables and scorers.

    Raises
    ------
    BadOption, MissingInput, UnknownModel, AuthFailed
        Before anything is spent.
    """
    made = make(runtime, cell, names)
    benches = [judging_model(j, cell.models, runtime.models) for j in made.scorers.judges]
    for bench in benches:
        check_models(runtime, compile_in(judge_agent(bench.model, 2), names, "judge"))
    out = Comparison(
        cell.name, made.task, made.candidates, made.rows, cell.models, made.scorers, cell.seed, cell.passes, cell.blind,
        made.notes, benches=benches, on_change=on_change, _runtime=runtime, _names=names, _plans=made.plans,
        _unscored=deque(range(len(made.cells))),
    )  # fmt: skip
    out._handle = start_rows(
        runtime, cell.name, made.cells, made.plans, budget=cell.budget, namespace=names, kind=KIND,
        kept={KIND: made.as_data(cell, list(cell.prompts))}, on_change=out._on_rows, after=out._after,
    )  # fmt: skip
    return out


def reopen(
    runtime: Runtime, run: str, names: Mapping[str, object], *, budget: BudgetLike = None,
    on_change: Callable[[Comparison], None] | None = None,
) -> Comparison:  # fmt: skip
    """Continue a recorded comparison: read what is done, run the rest; picks come from the evidence.

    Raises
    ------
    OrchError
        The run is of another kind.
    BadOption
        A scoring function is not defined here.
    """
    kept, plans = recorded_batch(runtime, run, KIND)
    scorers = read_scorers(kept["score"], names)
    out = Comparison(
        kept["name"], kept["task"], [Candidate(**c) for c in kept["candidates"]],
        [InputRow(**line) for line in kept["lines"]], tuple(kept["models"]), scorers, kept["seed"], kept["passes"],
        kept["blind"], list(kept["notes"]), on_change=on_change, _runtime=runtime, _names=names,
        benches=[judging_model(j, kept["models"], runtime.models) for j in scorers.judges],
        _plans=plans,
    )  # fmt: skip
    out._unscored = deque(range(len(out.rows) * len(out.candidates)))
    out._restore_picks()  # before the run resumes: its end writes the evidence again
    out._handle = resume_batch(runtime, run, budget=budget, namespace=names, on_change=out._on_rows, after=out._after)
    return out
