"""A graph over the rows of a table: one budget, progress, resume, and a table of results.

A batch is a run that has the rows; each row is a run under it (``12.0``, ``12.1``, …), so that it is resumed, shown and billed
like any run. Rows that the budget does not cover stay `pending`.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from orch_nb.agents.binding import compile_in, refuse_secrets
from orch_nb.engine.plan import Plan, from_data, to_data
from orch_nb.engine.ports import SystemClock
from orch_nb.engine.user_code import tell
from orch_nb.errors import BadOption, BudgetExceeded, MissingInput, OrchError, RunNotFound, nearest
from orch_nb.handle import promise
from orch_nb.runtime.checks import check_inputs, check_models
from orch_nb.runtime.provider_batches import ProviderBatchQueue
from orch_nb.runtime.services import started_by
from orch_nb.schema import events as ev
from orch_nb.schema.amount import shown as given
from orch_nb.schema.budget import Budget, budget_of, parse_budget
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
    from concurrent.futures import Future

    from orch_nb.handle import RunHandle
    from orch_nb.runtime.launch import Launcher
    from orch_nb.runtime.services import RunStore
    from orch_nb.schema.budget import BudgetLike
    from orch_nb.schema.events import Event

    After = Callable[["BatchHandle"], Awaitable[None]]

ROWS_IN_BATCH = 10_000
"""Rows under way at once where they wait for a provider's batch: all rows that can be in one."""
ROWS_AT_ONCE = 16
"""Rows under way at once. Providers cap their own calls; this bounds memory and keeps early rows early."""
ASKS_NOBODY = "a batch cannot `ask` for more, so its rows are pending"
"""Why a batch does not ask: all its rows would stop at one question. Whoever resumes it raises the budget of the whole."""


@runtime_checkable
class TableLike(Protocol):
    """A data frame, as pandas and its likes have them."""

    @property
    def columns(self) -> Iterable[object]: ...
    @property
    def index(self) -> Iterable[Any]: ...
    def to_dict(self, orient: Literal["records"], /) -> list[dict[str, object]]: ...


@dataclass(slots=True)
class Row:
    """One row: its inputs, its status and its result.

    Attributes
    ----------
    status
        pending | running | done | failed | cancelled | waiting.
    seconds, queued_s
        Time in which a call or a function of it ran, and time in which it waited for a provider.
    plan
        The name of its plan, where rows have different ones.
    asked
        Names of the models that were called.
    problem
        The failure of a row that failed, as data.
    """

    index: object
    inputs: dict[str, Any]
    status: str = "pending"
    run: str = ""
    output: Any = None
    usd: Decimal = Decimal(0)
    seconds: float | None = None
    queued_s: float = 0.0
    error: str = ""
    plan: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: int = 0
    asked: tuple[str, ...] = ()
    problem: ev.ErrorInfo | None = None


@dataclass(slots=True)
class BatchHandle:
    """A batch under way, or done.

    Attributes
    ----------
    run
        Its id; `%orch resume ID` runs the rows that are pending or failed.
    rows
        All rows in order of the table.
    version
        A number that grows with each change.
    """

    run: str
    graph: str
    rows: list[Row]
    frame: object = None
    version: int = 0
    stopped: str = ""
    on_change: Callable[[BatchHandle], None] | None = None
    future: Future[BatchHandle] = field(default_factory=promise)
    budget: Budget = field(default_factory=Budget)
    _task: Future[None] | None = None
    _runtime: Launcher | None = None
    _live: dict[int, RunHandle] = field(default_factory=dict)

    is_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self._runtime is not None:
            self._runtime.run_loop.owe(self.future)

    @property
    def progress(self) -> Counter[str]:
        """Number of rows by status."""
        return Counter(row.status for row in self.rows)

    @property
    def spent_usd(self) -> Decimal:
        """US dollars that all rows cost so far."""
        return sum((row.usd for row in self.rows), Decimal(0))

    @property
    def status(self) -> str:
        """running, done, or failed (a row failed or is pending)."""
        if not self.future.done():
            return "running"
        return "done" if all(r.status == "done" for r in self.rows) else "failed"

    @property
    def table(self) -> Any:
        """The table with a column for each field of the output, and `status`, `usd`, `seconds`, `run`, `error`.

        A pandas DataFrame on the index of the one given; a list of dicts where rows were given as a list.
        """
        made = [{**row.inputs, **_columns(row.output), "status": row.status, "usd": row.usd, "seconds": row.seconds,
                 "run": row.run, "error": row.error} for row in self.rows]  # fmt: skip
        if not isinstance(self.frame, TableLike):
            return made
        import pandas as pd

        given = set(map(str, self.frame.columns))
        results = [
            {f"{k}_out" if k in given else k: v for k, v in m.items() if k not in row.inputs}
            for m, row in zip(made, self.rows, strict=True)
        ]
        return pd.concat([self.frame, pd.DataFrame(results, index=self.frame.index)], axis=1)

    def result(self) -> Any:
        """Return the table of a batch that has ended."""
        return self.future.result(0).table

    def wait(self, timeout_s: float | None = None) -> BatchHandle:
        """Wait until the batch has ended, like `RunHandle.wait`."""
        self._launcher.run_loop.check_may_wait("`wait`")
        return self.future.result(timeout_s)

    def done(self) -> bool:
        """Return whether the batch has ended."""
        return self.future.done()

    @property
    def _launcher(self) -> Launcher:
        assert self._runtime is not None, "the batch was started by a runtime"
        return self._runtime

    def stop(self) -> None:
        """Cancel the rows under way; their cost is booked, and other rows stay pending."""
        self._launcher.run_loop.post(self._stop_here)

    def _stop_here(self) -> None:
        self.stopped = "stopped"
        for handle in self._live.values():
            handle.stop()  # posted: a run that was begun just now has its driver by then

    def __await__(self) -> Generator[object, None, BatchHandle]:
        return asyncio.wrap_future(self.future).__await__()

    def _notify(self) -> None:
        self.version += 1
        if self.on_change is not None:
            tell(f"`on_change` of batch {self.run}", self.on_change, self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {s}" for s, n in self.progress.items())
        return f"<batch {self.run} of {self.graph}: {counts}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        from orch_nb.views.batch import batch_bundle

        return batch_bundle(self)


def _columns(output: object) -> dict[str, object]:
    return output if isinstance(output, dict) else {} if output is None else {"output": output}


def rows_of(frame: object, plan: Plan, mapping: Mapping[str, str], shared: Mapping[str, object]) -> list[Row]:
    """Return the rows of a table as inputs: columns bind by their name, or by `mapping` (input -> column).

    Parameters
    ----------
    shared
        Inputs that are the same for every row.

    Raises
    ------
    MissingInput
        The table lacks a column, or cells are empty (NaN); the rows are named. Nothing is spent.
    """
    records, index, columns = records_of(frame)
    common = {name: plain(value, where=f"input `{name}`") for name, value in shared.items()}
    for name, column in mapping.items():
        if column not in columns:
            near = nearest(column, columns)
            raise MissingInput(f"the table has no column `{column}` (for `{name}`).",
                               hint=f"did you mean `{near}`?" if near else f"columns: {', '.join(columns)}")  # fmt: skip
    known = (*plan.inputs, *plan.optional_inputs)
    if extra := next((n for n in (*mapping, *common) if n not in known), ""):
        near = nearest(extra, known)
        hint = f"did you mean `{near}`?" if near else f"inputs: {', '.join(f'`{n}`' for n in known) or 'none'}"
        raise MissingInput(f"nothing in `{plan.name}` reads `{extra}`.", hint=hint)
    wanted = {n: mapping.get(n, n) for n in known if n not in common}
    bound = {n: c for n, c in wanted.items() if c in columns}
    missing = [n for n in plan.inputs if n not in bound and n not in common]
    if missing:
        near = nearest(missing[0], columns)
        raise MissingInput(
            f"`{plan.name}` needs {', '.join(f'`{m}`' for m in missing)}, which the table does not have.",
            hint=f"name the column: `{missing[0]}={near or columns[0] if columns else 'COLUMN'}`",
        )
    rows, empty = [], []
    for at, record in zip(index, records, strict=True):
        values = {n: record[c] for n, c in bound.items()}
        if any(_is_nan(v) for n, v in values.items() if n in plan.inputs):
            empty.append(at)
        values = {n: plain(v, where=f"row {at}, `{n}`") for n, v in values.items() if not _is_nan(v)}
        rows.append(Row(at, {**common, **values}))
    if empty:
        shown = ", ".join(map(str, empty[:8])) + (f", … ({len(empty)} in all)" if len(empty) > 8 else "")
        what = f"row {shown} has" if len(empty) == 1 else f"rows {shown} have"
        raise MissingInput(f"{what} an empty cell (NaN) in {', '.join(bound.values())}.",
                           hint="drop or fill them: `table.dropna(subset=[...])`")  # fmt: skip
    return rows


def records_of(frame: object) -> tuple[list[dict[str, object]], list[object], list[str]]:
    """Return the rows of a table as mappings, its index and its columns.

    Raises
    ------
    MissingInput
        `frame` is neither a data frame nor a list of mappings.
    """
    if isinstance(frame, list):
        if not all(isinstance(r, dict) for r in frame):
            at, got = next((i, r) for i, r in enumerate(frame) if not isinstance(r, dict))
            raise MissingInput(
                f"row {at} of the list must be a mapping, got {given(got)}.", hint="[{'ticket': …}, …], or a data frame"
            )
        columns = list(dict.fromkeys(c for r in frame for c in r))
        return [{c: r.get(c) for c in columns} for r in frame], list(range(len(frame))), columns
    if not isinstance(frame, TableLike):
        raise MissingInput(
            f"a table must be a data frame or a list of dicts, got {given(frame)}.", hint="[{'ticket': …}, …]"
        )
    index = [i.item() if hasattr(i, "item") else i for i in frame.index]
    return frame.to_dict("records"), index, [str(c) for c in frame.columns]


def _is_nan(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in ("NAType", "NaTType")
    )


def start_batch(
    runtime: Launcher, target: object, frame: object, mapping: Mapping[str, str] | None = None, *, budget: BudgetLike = None,
    namespace: Mapping[str, object] | None = None, shared: Mapping[str, object] | None = None, rows_at_once: int = ROWS_AT_ONCE,
    on_change: Callable[[BatchHandle], None] | None = None, price: str = "",
) -> BatchHandle:  # fmt: skip
    """Start a batch and return its handle at once.

    Parameters
    ----------
    price
        "batch": model calls go through the providers' batch interfaces, at batch prices (usually half), with answers within
        a day. Models whose provider has none are called directly at the ordinary price. "": every call is made directly.

    Raises
    ------
    GraphError, MissingInput, UnstorableValue, UnknownModel
        Before anything is spent.
    BadOption
        `price` is another word, or no model of the graph has a batch interface.
    """
    namespace = {} if namespace is None else namespace
    runtime.redactor()
    plan = compile_in(target, namespace)
    rows = rows_of(frame, plan, mapping or {}, shared or {})
    check_models(runtime, plan)
    if rows:
        check_inputs(plan, rows[0].inputs)
    limit = Budget() if budget is None else parse_budget(budget)
    parent: dict[str, object] = {"batch": True}
    if price:
        check_batch_price(runtime, plan, price)
        parent["price"], rows_at_once = price, ROWS_IN_BATCH
    run = _begin(runtime, plan, rows, limit, parent, {})
    if price:
        _open_queue(runtime, run)
    handle = BatchHandle(run, plan.name, rows, frame, on_change=on_change, budget=limit, _runtime=runtime)
    handle._task = runtime.run_loop.submit(_run(runtime, handle, target, {"": plan}, namespace, limit, rows_at_once))
    return handle


def check_batch_price(runtime: Launcher, plan: Plan, price: str = "batch") -> list[str]:
    """Return the names of a plan's models that have no batch interface.

    Raises
    ------
    BadOption
        `price` is not "batch", or none of the models has a batch interface.
    """
    if price != "batch":
        raise BadOption(f'`price` must be "batch" or "", got {price!r:.40}.', hint="`price='batch'`")
    queue = ProviderBatchQueue(runtime.provider, "")
    names = list(dict.fromkeys(_model_names(plan)))
    known = {n: runtime.models.resolve(n) for n in names}
    others = [n for n, offer in known.items() if not queue.takes(offer.provider, runtime.price_of(n))]
    if len(others) == len(names):
        shown = ", ".join(f"`{n}`" for n in names) or "no model"
        raise BadOption(
            f"{shown} must have a batch interface, and has none here.",
            hint="leave the batch price out; OpenAI and `OpenAIChat(..., has_batch=True)` have batch interfaces",
        )
    return others


def _model_names(plan: Plan) -> list[str]:
    own = [m["name"] for node in plan.nodes if node.kind == "agent" for m in node.spec.get("models", ())]
    return own + [name for sub in plan.subplans.values() for name in _model_names(sub)]


def _open_queue(runtime: Launcher, run: str, *, resumes: bool = False) -> None:
    """Open the queue of a batch's calls. Its mark is the same in every process: run and time of the first event."""
    begun = runtime.started(run)
    runtime.batch_queues[f"batch:{run}"] = ProviderBatchQueue(
        runtime.provider, f"run {run} of {begun.at:.6f}", resumes=resumes
    )


def start_rows(
    runtime: Launcher, name: str, rows: list[Row], plans: Mapping[str, Plan], *, budget: BudgetLike = None,
    namespace: Mapping[str, object] | None = None, kind: str, kept: Mapping[str, object], rows_at_once: int = ROWS_AT_ONCE,
    on_change: Callable[[BatchHandle], None] | None = None, after: After | None = None,
) -> BatchHandle:  # fmt: skip
    """Start a batch whose rows run different plans: the cells of a comparison.

    Parameters
    ----------
    plans
        Name -> plan; `Row.plan` names the plan of a row.
    kind
        What the batch is part of ("comparison"); stored in its parent data for a resume.
    kept
        Plain data to store with the batch: what its owner needs to resume.
    after
        Awaited on the run loop once all rows have ended, before the batch ends: it may add rows (`add_rows`).

    Raises
    ------
    MissingInput, UnknownModel, AuthFailed, UnstorableValue
        Before anything is spent.
    """
    runtime.redactor()
    for plan in plans.values():
        check_models(runtime, plan)
        refuse_secrets(plan)
    for row in rows:
        check_inputs(plans[row.plan], row.inputs)
    limit = Budget() if budget is None else parse_budget(budget)
    data = {**kept, "plans": {key: to_data(plan) for key, plan in plans.items()}, "plan": [r.plan for r in rows]}
    run = _begin(runtime, Plan(name, (), (), open=True), rows, limit, {"batch": True, kind: True}, data)
    handle = BatchHandle(run, name, rows, None, on_change=on_change, budget=limit, _runtime=runtime)
    handle._task = runtime.run_loop.submit(
        _run(runtime, handle, None, plans, namespace or {}, limit, rows_at_once, after)
    )
    return handle


async def add_rows(
    runtime: Launcher, handle: BatchHandle, rows: list[Row], plans: Mapping[str, Plan], namespace: Mapping[str, object]
) -> None:
    """Run more rows as part of a batch that is about to end.

    After a resume, rows that were run before are found by their inputs and not run again. A row that was run before and is
    not in `rows` any more (an answer has changed since) stays in the bill.
    """
    store, first, redactor = runtime.store, len(handle.rows), runtime.redactor()
    wanted = list(rows)
    for new in rows:
        new.inputs, _ = redactor.clean(new.inputs)  # the row's own run counts what is replaced
    while (before := _begun_inputs(store, f"{handle.run}.{len(handle.rows)}")) is not None:
        inputs, plan = before
        row = next((r for r in wanted if (r.plan, r.inputs) == (plan, inputs)), None)
        if row is None:
            row = Row("no longer asked", inputs)
        else:
            wanted.remove(row)
        recall(store, f"{handle.run}.{len(handle.rows)}", row)
        if row.index == "no longer asked":
            row.status = "done"
        handle.rows.append(row)
    handle.rows += wanted
    await _drive_rows(runtime, handle, None, plans, namespace, handle.budget, ROWS_AT_ONCE, first)


def _begun_inputs(store: RunStore, run: str) -> tuple[dict[str, Any], str] | None:
    """Return the inputs and the plan's name of a batch's row that has begun; None where it has not."""
    try:
        begun = started_by(event for _, event in store.read(run))
    except RunNotFound:
        return None
    return begun.inputs, str((begun.parent or {}).get("plan", ""))


def _begin(
    runtime: Launcher, plan: Plan, rows: list[Row], limit: Budget, parent: dict[str, object], data: dict[str, object]
) -> str:
    """Write the batch's own first event, with its rows."""
    store, redactor = runtime.store, runtime.redactor()
    replaced: Counter[str] = Counter()
    for row in rows:
        row.inputs, found = redactor.clean(row.inputs)
        replaced += found
    kept, found = redactor.clean({name: value for name, value in data.items() if name != "plans"})
    replaced += found
    plans = {"plans": data["plans"]} if "plans" in data else {}  # these were refused if they had a secret
    inputs = {**kept, **plans, "rows": [r.inputs for r in rows], "index": [plain(r.index) for r in rows]}

    def begin() -> str:
        run: str = store.next_run()
        started = ev.RunStarted(
            run, plan.name, to_data(plan), inputs, SystemClock.now(), limit.usd, runtime.notebook, parent, "", False,
            limit.beside_usd(), None, dict(replaced) or None,
        )  # fmt: skip
        with closing(store.create(run)) as log:
            log.append([started])
            store.set_limit(f"batch:{run}", limit)
        return run

    return runtime.run_loop.ask(begin)


def resume_batch(
    runtime: Launcher, run: str, *, budget: BudgetLike = None, namespace: Mapping[str, object] | None = None,
    on_change: Callable[[BatchHandle], None] | None = None, after: After | None = None,
) -> BatchHandle:  # fmt: skip
    """Run the rows of a batch that are not done; `after` as in `start_rows`."""
    namespace = {} if namespace is None else namespace
    store = runtime.store

    def look() -> tuple[ev.RunStarted, list[Row]]:
        begun = started_by(event for _, event in store.read(run))
        rows = [Row(i, inputs) for i, inputs in zip(begun.inputs["index"], begun.inputs["rows"], strict=True)]
        for n, row in enumerate(rows):
            recall(store, f"{run}.{n}", row)
        return begun, rows

    begun, rows = runtime.run_loop.ask(look)
    plan = from_data(begun.plan)
    plans = {key: from_data(data) for key, data in begun.inputs.get("plans", {}).items()} or {"": plan}
    for row, key in zip(rows, begun.inputs.get("plan", ()), strict=False):
        row.plan = key
    before = budget_of(begun.limit_usd, begun.limits)
    limit = before if budget is None else parse_budget(budget, before=before)
    runtime.run_loop.ask(store.set_limit, f"batch:{run}", limit)
    handle = BatchHandle(run, plan.name, rows, None, on_change=on_change, budget=limit, _runtime=runtime)
    at_once = ROWS_AT_ONCE
    if (begun.parent or {}).get("price") == "batch":
        _open_queue(runtime, run, resumes=True)
        at_once = ROWS_IN_BATCH
    handle._task = runtime.run_loop.submit(_run(runtime, handle, None, plans, namespace, limit, at_once, after))
    return handle


def recall(store: RunStore, run: str, row: Row) -> None:
    """Fill in a row with the result of its run; a row without a run stays pending."""
    try:
        events = [event for _, event in store.read(run)]
    except RunNotFound:
        return
    row.run = run
    _count(row, events)
    ended = next((e for e in reversed(events) if isinstance(e, ev.RunEnded)), None)
    if ended is not None and ended.status == "done":
        row.status, row.output = "done", ended.output
        row.seconds, row.queued_s = busy_and_queued(events)


def _count(row: Row, events: list[Event]) -> None:
    """Fill in what a row cost, and which models it called."""
    from orch_nb.trace.bill import bill

    made = bill(events)
    row.usd, row.calls, row.unpriced = made.spent_usd, made.total.calls, made.total.unpriced
    row.input_tokens, row.output_tokens = made.total.input_tokens, made.total.output_tokens
    row.asked = tuple(dict.fromkeys(e.target for e in events if isinstance(e, ev.Sent) and e.kind == "model"))


async def _run(
    runtime: Launcher, handle: BatchHandle, target: object, plans: Mapping[str, Plan], namespace: Mapping[str, object],
    limit: Budget, rows_at_once: int, after: After | None = None,
) -> None:  # fmt: skip
    try:
        await _drive_rows(runtime, handle, target, plans, namespace, limit, rows_at_once)
        if after is not None:
            await after(handle)
        await _end(runtime, handle)
    except BaseException as error:
        handle.future.set_exception(error)
        raise
    finally:
        queue = runtime.batch_queues.pop(f"batch:{handle.run}", None)
        if queue is not None:
            await queue.close(cancels=handle.stopped == "stopped")
    handle.future.set_result(handle)
    handle._notify()


async def _drive_rows(
    runtime: Launcher, handle: BatchHandle, target: object, plans: Mapping[str, Plan], namespace: Mapping[str, object],
    limit: Budget, rows_at_once: int, first: int = 0,
) -> None:  # fmt: skip
    gate = asyncio.Semaphore(rows_at_once)
    async with asyncio.TaskGroup() as group:
        for n, row in enumerate(handle.rows):
            if n < first or row.status == "done":
                continue
            await gate.acquire()
            if handle.stopped:
                gate.release()
                break
            group.create_task(_one(runtime, handle, n, row, target, plans[row.plan], namespace, limit, gate))


async def _one(
    runtime: Launcher, handle: BatchHandle, n: int, row: Row, target: object, plan: Plan, namespace: Mapping[str, object],
    limit: Budget, gate: asyncio.Semaphore,
) -> None:  # fmt: skip
    run = None
    try:
        row.status = "running"
        handle._notify()
        if handle.stopped == "stopped":  # since this row got its place
            row.status = "pending"
            return
        scopes = ((f"batch:{handle.run}", limit),)
        if row.run:
            run = runtime.resume_run(row.run, namespace=namespace)
        else:
            parent = {"of_batch": handle.run, "row": n, **({"plan": row.plan} if row.plan else {})}
            run = runtime.start(target, row.inputs, namespace=namespace, plan=plan, run=f"{handle.run}.{n}",
                                parent=parent, scopes=scopes)  # fmt: skip
        handle._live[n] = run
        await asyncio.wrap_future(run.future)
        _take(handle, row, run)
    except OrchError as error:
        row.status, row.error = "failed", str(error)
    except BaseException:  # an error of our own, here or in another row: what the batch started ends too
        row.status = "pending"
        if run is not None and not run.future.done():
            run.stop()
            await asyncio.wrap_future(run.future)
            _take(handle, row, run)
        raise
    finally:
        handle._live.pop(n, None)
        gate.release()
        handle._notify()


def _take(handle: BatchHandle, row: Row, run: RunHandle) -> None:
    """Fill in a row with the end of its run. A run that reached the batch's limit is pending: it resumes where it stopped."""
    events = run.events
    row.run, row.status = run.run, run.status
    _count(row, events)
    row.seconds, row.queued_s = busy_and_queued(events)
    if run.status == "done":
        row.output = run.output
        row.error, row.problem = "", None
        return
    row.problem = next((e.error for e in reversed(events) if isinstance(e, ev.RunEnded)), None)
    try:
        run.result()
    except BudgetExceeded as error:
        row.error = str(error)
        if str(error.facts["scope"]).startswith("run:"):
            return  # the limit of the row or of a node: other rows have their own
        row.status = "pending"
        asks = handle._launcher.store.balance(str(error.facts["scope"])).at_limit == "ask"
        handle.stopped = "the budget is used up" + (f"; {ASKS_NOBODY}" if asks else "")
    except OrchError as error:
        row.error = str(error)


def busy_and_queued(events: list[Event]) -> tuple[float, float]:
    """Return the seconds in which a call or a function of a run ran, and the rest between its first and last event."""
    sent = {(ev.key(e), e.call): e.at for e in events if isinstance(e, ev.Sent)}
    spans = [
        (sent[ev.key(e), e.call], e.at) for e in events if isinstance(e, ev.Settled) and (ev.key(e), e.call) in sent
    ]
    agents = {ev.key(e) for e in events if isinstance(e, ev.Sent)}
    spans += [(e.started_at, e.at) for e in events if isinstance(e, ev.Finished) and ev.key(e) not in agents]
    busy, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    whole = events[-1].at - events[0].at
    return min(busy, whole), max(0.0, whole - busy)


async def _end(runtime: Launcher, handle: BatchHandle) -> None:
    status = (
        "done"
        if all(r.status == "done" for r in handle.rows)
        else "cancelled"
        if handle.stopped == "stopped"
        else "failed"
    )
    counts = dict(handle.progress)
    has_ended = any(isinstance(e, ev.RunEnded) for _, e in runtime.store.read(handle.run))
    again = [ev.Resumed(SystemClock.now())] if has_ended else []
    with closing(runtime.store.open(handle.run)) as log:
        log.append([*again, ev.RunEnded(status, SystemClock.now(), counts)])
        await log.sync()
