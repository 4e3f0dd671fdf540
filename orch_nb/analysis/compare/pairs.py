"""A test of every ordered pair of models: can a consumer use the answers of a producer?

The producer runs once on each model for each row; the consumer runs on each model with each of those answers. A pair passes
a row if the consumer's answer is valid (and, with a scorer, right). Everything is one batch: one bill, one budget.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb import display
from orch_nb.agents.binding import compile_in
from orch_nb.analysis.compare.candidates import BatchRun, check_harmless, is_data, on_model, recorded_batch
from orch_nb.analysis.compare.inputs import InputRow, rows_of, with_fixtures
from orch_nb.analysis.compare.scorers import Answered, Scorers, mean_of, read_scorers
from orch_nb.analysis.export import as_frame
from orch_nb.analysis.intervals import Interval, interval
from orch_nb.errors import BadOption, MissingInput, OrchError
from orch_nb.runtime.batch import Row, add_rows, resume_batch, start_rows
from orch_nb.runtime.batch import rows_of as batch_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orch_nb.agents.agent import Agent
    from orch_nb.engine.plan import Plan
    from orch_nb.runtime.batch import BatchHandle
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.schema.budget import BudgetLike

KIND = "pairs"
ZERO = Decimal(0)


@dataclass(slots=True, frozen=True)
class Pair:
    """One producer's model with one consumer's.

    Parameters
    ----------
    passed
        Share of rows that pass, with its 95 % interval.
    failures
        Label and reason of the rows that fail.
    usd
        Dollars of the consumer's calls of this pair; the producer's are shared by all pairs of its model.
    """

    producer_model: str
    consumer_model: str
    passed: Interval
    failures: tuple[tuple[str, str], ...]
    usd: Decimal


@dataclass(slots=True)
class Pairs(BatchRun):
    """A test of all pairs, under way or done: ``await`` it, then `cell(a, b)`, `table()`, `best()`."""

    producer: str
    consumer: str
    models: tuple[str, ...]
    rows: list[InputRow]
    scorers: Scorers
    display_error: BaseException | None = None
    on_change: Callable[[Pairs], None] | None = None
    _handle: BatchHandle = field(init=False)
    _runtime: Runtime = field(kw_only=True)
    _names: Mapping[str, object] = field(default_factory=dict)
    _plans: Mapping[str, Plan] = field(default_factory=dict)
    _consumed: dict[tuple[int, int, int], Row] = field(default_factory=dict)
    """(producer's model, consumer's model, row) -> the consumer's run."""

    # ---------------------------------------------------------------- as a run
    @property
    def graph(self) -> str:
        """``producer → consumer``."""
        return f"{self.producer} → {self.consumer}"

    def resume(self, budget: BudgetLike = None) -> Pairs:
        """Run what is not done; return the test."""
        if self.done():
            self._handle = resume_batch(
                self._runtime, self.run, budget=budget, namespace=self._names, after=self._after
            )
        return self

    # ---------------------------------------------------------------- readings
    def produced(self, row: int, model: int) -> Row:
        """Return the producer's run on one model for one row."""
        return self.handle.rows[row * len(self.models) + model]

    def cell(self, producer_model: str, consumer_model: str) -> Pair:
        """Return one ordered pair.

        Raises
        ------
        OrchError
            A model was not tested.
        """
        for name in (producer_model, consumer_model):
            if name not in self.models:
                raise OrchError(f"`{name}` was not tested.", hint=f"models: {', '.join(self.models)}")
        return self._pair(self.models.index(producer_model), self.models.index(consumer_model))

    def pairs(self) -> list[Pair]:
        """Return every ordered pair, by producer."""
        return [self._pair(a, b) for a in range(len(self.models)) for b in range(len(self.models))]

    def best(self) -> Pair:
        """Return the pair that passes most rows; of equals the cheaper one.

        Raises
        ------
        OrchError
            Nothing has been tested yet.
        """
        known = [p for p in self.pairs() if p.passed.n]
        if not known:
            raise OrchError(f"no pair of {self.graph} has been tested yet.", hint="`await` it, or try again later")
        return max(known, key=lambda p: (p.passed.mean, -p.usd - self._producer_usd(p.producer_model)))

    def _producer_usd(self, model: str) -> Decimal:
        m = self.models.index(model)
        return sum((self.produced(r, m).usd for r in range(len(self.rows))), ZERO)

    def _pair(self, a: int, b: int) -> Pair:
        values: list[float] = []
        failures: list[tuple[str, str]] = []
        usd = ZERO
        for r in range(len(self.rows)):
            value, why, cost = self._outcome(a, b, r)
            usd += cost
            if value is None:
                continue
            values.append(value)
            if value < 1:
                failures.append((self.rows[r].label, why))
        return Pair(self.models[a], self.models[b], interval(values), tuple(failures), usd)

    def _outcome(self, a: int, b: int, row: int) -> tuple[float | None, str, Decimal]:
        """Return the outcome of a pair on a row (None: not yet), the reason of a failure, and the consumer's dollars."""
        made = self.produced(row, a)
        if made.status == "failed":
            return 0.0, f"{self.producer} on {self.models[a]}: {_why(made)}", ZERO
        consumed = self._consumed.get((a, b, row))
        if made.status != "done" or consumed is None or consumed.status not in ("done", "failed"):
            return None, "", consumed.usd if consumed is not None else ZERO
        if consumed.status == "failed":
            return 0.0, f"{self.consumer} on {self.models[b]}: {_why(consumed)}", consumed.usd
        has_type = self._plans[_consumer(self.models[b])].nodes[0].spec.get("out") is not None
        answered = Answered(consumed.output, self.rows[row].record, has_type=has_type)
        scored = [s.score(answered) for s in self.scorers.cells]
        mean = mean_of(scored)
        value = 1.0 if mean is None else mean
        return value, "; ".join(s.why for s in scored if s.value is not None and s.value < 1 and s.why), consumed.usd

    def table(self) -> Any:
        """Return one row for each pair: a data frame if pandas is installed, else a list of mappings."""
        rows = [
            {"producer": p.producer_model, "consumer": p.consumer_model, "passed": p.passed.mean, "low": p.passed.low,
             "high": p.passed.high, "n": p.passed.n, "usd": p.usd, "failures": [f"{at}: {why}" for at, why in p.failures]}
            for p in self.pairs()
        ]  # fmt: skip
        return as_frame(rows)

    # ---------------------------------------------------------------- running
    async def _after(self, handle: BatchHandle) -> None:
        """Run the consumers after the producers have ended."""
        self._handle = handle
        if handle.stopped:
            return
        asked: dict[tuple[int, int, int], Row] = {}
        for r in range(len(self.rows)):
            for a in range(len(self.models)):
                made = self.produced(r, a)
                if made.status == "done":
                    asked |= {(a, b, r): self._consumer_row(a, b, r, made.output) for b in range(len(self.models))}
        self._consumed = asked
        await add_rows(self._runtime, handle, list(asked.values()), self._plans, self._names)

    def _consumer_row(self, a: int, b: int, row: int, output: object) -> Row:
        plan = self._plans[_consumer(self.models[b])]
        record = self.rows[row].record
        inputs = {n: record[n] for n in (*plan.inputs, *plan.optional_inputs) if n in record and record[n] is not None}
        inputs |= {n: self._names[n] for n in plan.inputs if n not in inputs and n in self._shared_inputs}
        inputs[handed_over(plan, self.producer, [*record, *self._shared_inputs])] = output
        label = f"{self.rows[row].label} · {self.models[a]} → {self.models[b]}"
        return Row(label, inputs, plan=_consumer(self.models[b]))

    @property
    def _shared_inputs(self) -> list[str]:
        plan = self._plans[_consumer(self.models[0])]
        columns = {n for r in self.rows for n in r.record}
        return [n for n in plan.inputs if n not in columns and n != self.producer and is_data(self._names.get(n))]

    def as_data(self, score: list[str]) -> dict[str, Any]:
        """Return the data in the log from which another process can continue the test."""
        lines = [asdict(row) for row in self.rows]
        names = {"producer": self.producer, "consumer": self.consumer, "models": list(self.models)}
        return {**names, "lines": lines, "score": score}

    def __repr__(self) -> str:
        return f"<pairs of {self.graph}, run {self.run}: {len(self.models)} × {len(self.models)} models, {len(self.rows)} rows>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return display.bundle(self)


def _why(row: Row) -> str:
    return f"{row.problem.type}: {row.problem.message}" if row.problem is not None else row.error


def _producer(model: str) -> str:
    return f"producer/{model}"


def _consumer(model: str) -> str:
    return f"consumer/{model}"


def handed_over(plan: Plan, producer: str, columns: Sequence[str]) -> str:
    """Return the consumer's input for the producer's answer: the one of the producer's name, else the only one without a
    column.

    Raises
    ------
    MissingInput
        No input qualifies, or several do.
    """
    wanted = (*plan.inputs, *plan.optional_inputs)
    if producer in wanted:
        return producer
    free = [n for n in plan.inputs if n not in columns]
    if len(free) == 1:
        return free[0]
    what = (
        "reads nothing that the rows lack"
        if not free
        else f"reads {', '.join(f'`{n}`' for n in free)}, which no row has"
    )
    raise MissingInput(
        f"`{plan.name}` does not read `{producer}`, and {what}.", hint=f"write `{{{{ {producer} }}}}` in its prompt"
    )


def start_pairs(
    runtime: Runtime, producer: Agent, consumer: Agent, models: Sequence[str], inputs: object, *, names: Mapping[str, object],
    score: Sequence[str] = (), budget: BudgetLike = None, seed: int = 0,
) -> Pairs:  # fmt: skip
    """Start the test of all ordered pairs and return it at once; ``await`` it for the end.

    Parameters
    ----------
    producer, consumer
        Agents; the consumer reads the producer by its name, or has one input that the rows do not have.
    models
        The notebook's names: each is used as producer and as consumer.
    inputs
        Rows for the producer, as in a comparison; the consumer and scorers may read further columns.
    score
        Scorers of the consumer's answer; without one a valid answer passes. Judges rank answers and cannot be used.

    Raises
    ------
    BadOption, MissingInput, UnknownModel
        Before anything is spent.
    """
    if not models or len(set(models)) < len(models):
        raise BadOption("`models` must name at least one model, each once.", hint="`models=[small, big]`")
    scorers = read_scorers(list(score), names)
    if scorers.judges:
        raise BadOption(
            f"A pair test needs a pass/fail scorer; `{scorers.judges[0].text}` only ranks answers.",
            hint="`exact(…)`, `numeric(…)`, a function",
        )
    for agent in (producer, consumer):
        check_harmless(agent)
    plans: dict[str, Plan] = {}
    for model in models:
        plans[_producer(model)] = compile_in(on_model(producer, model), names, producer.name)
        plans[_consumer(model)] = compile_in(on_model(consumer, model), names, consumer.name)
    first, second = plans[_producer(models[0])], plans[_consumer(models[0])]
    only = first.inputs[0] if len(first.inputs) == 1 else ""
    rows = with_fixtures(rows_of(inputs, names, seed=seed, only_input=only), [], 1)
    made = Pairs(
        producer.name, consumer.name, tuple(models), rows, scorers, _runtime=runtime, _names=names, _plans=plans
    )
    columns = [*{n for r in rows for n in r.record}, *made._shared_inputs]
    handed_over(second, producer.name, columns)
    lacking = [n for n in second.inputs if n not in columns and n != handed_over(second, producer.name, columns)]
    if lacking:
        raise MissingInput(
            f"`{consumer.name}` reads `{lacking[0]}`, which no row has.", hint=f"columns: {', '.join(sorted(columns))}"
        )
    made._handle = start_rows(
        runtime, f"{producer.name}_{consumer.name}", _producer_rows(first, models, rows), plans, budget=budget,
        namespace=names, kind=KIND, kept={KIND: made.as_data(list(score))}, after=made._after,
    )  # fmt: skip
    return made


def reopen_pairs(runtime: Runtime, run: str, names: Mapping[str, object], *, budget: BudgetLike = None) -> Pairs:
    """Continue a recorded test of pairs: read what is done, run the rest.

    Raises
    ------
    OrchError
        The run is of another kind.
    """
    kept, plans = recorded_batch(runtime, run, KIND)
    rows = [InputRow(**line) for line in kept["lines"]]
    made = Pairs(
        kept["producer"], kept["consumer"], tuple(kept["models"]), rows, read_scorers(kept["score"], names),
        _runtime=runtime, _names=names, _plans=plans,
    )  # fmt: skip
    made._handle = resume_batch(runtime, run, budget=budget, namespace=names, after=made._after)
    return made


def _producer_rows(plan: Plan, models: Sequence[str], rows: Sequence[InputRow]) -> list[Row]:
    made = batch_rows([r.record for r in rows], plan, {}, {})
    return [
        Row(f"{line.label} · {model}", row.inputs, plan=_producer(model))
        for line, row in zip(rows, made, strict=True)
        for model in models
    ]
