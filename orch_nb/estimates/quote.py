"""Quotes: the likely cost and time of a run before it starts, and the cost of a resume."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from orch_nb import display
from orch_nb.engine.ports import Result, SystemClock
from orch_nb.errors import QuoteTooHigh
from orch_nb.estimates.estimate import NOTHING, TYPICAL_BYTES, Known, NodeSize, PlanSize, bytes_of, plan_size
from orch_nb.estimates.history import ends, made_calls, mean, past_runs
from orch_nb.estimates.node_visits import NO_TIME, Dollars, Range
from orch_nb.runtime.checks import check_inputs, check_models
from orch_nb.runtime.services import started_by
from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch_nb.catalog.models import ModelBook
    from orch_nb.engine.plan import Plan
    from orch_nb.engine.ports import Outcome
    from orch_nb.estimates.history import PastRun
    from orch_nb.runtime.services import Services
    from orch_nb.schema.events import Event

ZERO = Decimal(0)
HISTORY = 20
"""Earlier runs of the same graph that are read for the rest of a run."""
ROWS_LOOKED_AT = 200
"""Rows of a table that are quoted one by one; a longer table is sampled evenly."""
LEAST_PAST, MOST_SIZED = 33, 3_000
"""Earlier runs that are always read, and the most agent nodes of all: each takes about 0.2 ms once."""
DAY_S = 86_400.0
LEAST_SCALE = 1e-9


class _Ranged:
    """Base of quotes: the ends of a range of dollars and of one of seconds, by name."""

    __slots__ = ()
    usd: Dollars | None
    seconds: Range

    @property
    def low_usd(self) -> Decimal | None:
        """The low end in US dollars; None where a price is unknown."""
        return None if self.usd is None else self.usd.low

    @property
    def expected_usd(self) -> Decimal | None:
        """The expected US dollars; None where a price is unknown."""
        return None if self.usd is None else self.usd.expected

    @property
    def high_usd(self) -> Decimal | None:
        """The high end in US dollars; None where a price is unknown."""
        return None if self.usd is None else self.usd.high

    @property
    def low_s(self) -> float:
        """The low end in seconds."""
        return self.seconds.low

    @property
    def expected_s(self) -> float:
        """The expected seconds."""
        return self.seconds.expected

    @property
    def high_s(self) -> float:
        """The high end in seconds."""
        return self.seconds.high


@dataclass(slots=True, frozen=True)
class NodeQuote(_Ranged):
    """The estimate of one agent node over the whole run.

    Attributes
    ----------
    step
        The node, inside the nodes around it: ``outer/inner``.
    model
        The models that may answer: one name, ``small → big`` of a cascade, ``small, big`` of another route.
    usd
        Low, expected and high US dollars; None where the price of a model is unknown. Expected is the mean over all runs,
        including those in which the node did not run.
    seconds
        Low, expected and high seconds.
    calls
        Fewest, expected and most model calls over all rounds and items.
    basis
        The source of the figures: "12 earlier runs", "prompt size", or "recorded" (its answer is in the response cache).
    batch_usd
        Expected dollars at the provider's batch prices; None where it has none.
    """

    step: str
    model: str
    usd: Dollars | None
    seconds: Range
    calls: Range
    basis: str
    batch_usd: Decimal | None = None


@dataclass(slots=True)
class Quote(_Ranged):
    """A range of dollars and seconds for one run, or for all rows of a table.

    Attributes
    ----------
    nodes
        Its agent nodes in order. The expected dollars of the whole are the sum of theirs. Its ends are not: no run has every
        node at its end at once.
    usd, seconds
        Low, expected and high, of the whole, without the time of people.
    basis
        The source of the figures of the whole: "24 earlier runs" or "prompt size".
    batch_usd
        Expected dollars at the providers' batch prices; None where a model has none.
    baseline_usd, baseline_model
        An estimate: one call to the dearest of its models with all inputs in one prompt; None where a price is unknown.
    unpriced
        Models with an unknown price; then all dollars are None.
    rows
        Rows of the table; 0 for a single run.
    notes
        Assumptions of the quote.
    """

    graph: str
    nodes: list[NodeQuote]
    usd: Dollars | None
    seconds: Range
    basis: str
    batch_usd: Decimal | None = None
    baseline_usd: Decimal | None = None
    baseline_model: str = ""
    unpriced: tuple[str, ...] = ()
    rows: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def recorded(self) -> list[str]:
        """The steps with recorded answers: $0."""
        return [n.step for n in self.nodes if n.basis == "recorded"]

    def is_above(self, usd: Decimal) -> bool:
        """Return whether the high end is above `usd`; an unknown price counts as above."""
        return self.high_usd is None or self.high_usd > usd

    def check(self, usd: Decimal, *, hint: str = "") -> None:
        """Refuse a run whose high end is above `usd` US dollars.

        Raises
        ------
        QuoteTooHigh
            The high end is above it, or a price is unknown. Nothing was sent.
        """
        if not self.is_above(usd):
            return
        if self.high_usd is None:
            what = f"the price of {', '.join(f'`{m}`' for m in self.unpriced)} is unknown, so it may be above ${usd}"
        else:
            what = f"it may cost up to ${self.high_usd:.6f} (expected ${self.expected_usd:.6f}), more than ${usd}"
        raise QuoteTooHigh(
            f"`{self.graph}` was not started: {what}. Nothing was sent.",
            hint=hint or f"raise the bound above ${usd}, or cap the run with a budget instead",
            graph=self.graph, asked_usd=usd, high_usd=self.high_usd, expected_usd=self.expected_usd,
        )  # fmt: skip

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return display.bundle(self)


# ------------------------------------------------------------------ before a run
class Used(NamedTuple):
    """The amount that a run used, and its estimate from the sizes of its prompts."""

    amount: float
    sized: float

    @property
    def ratio(self) -> float:
        """The amount in multiples of the estimate."""
        return self.amount / self.sized if self.sized else float(self.amount > 0)


class Quoter:
    """Quotes one plan for any inputs; earlier runs are read once.

    Parameters
    ----------
    past
        Earlier runs of the same graph, newest first.
    """

    def __init__(self, runtime: Services, plan: Plan, past: Sequence[PastRun]) -> None:
        self.runtime, self.plan, self.book = runtime, plan, runtime.models
        cold = plan_size(plan, {}, self.book).nodes if past else []
        self._agents = {node.step: node.models for node in cold}
        self._learn(past)

    def _learn(self, past: Sequence[PastRun]) -> None:
        """Compute the amounts and estimates of each earlier run; 0 where a node did not run."""
        self.used: list[Used] = []
        self.seconds: list[Used] = []
        self.node_used: dict[str, list[Used]] = {}
        self.node_calls: dict[str, list[float]] = {}
        self.node_seconds: dict[str, list[Used]] = {}
        prices = _prices(self.book)
        for run in past[: max(LEAST_PAST, MOST_SIZED // max(1, len(self._agents)))]:
            size = run.size(self.book, prices)
            usd = run.usd(self.book)
            if usd is None or size.usd is None:
                continue
            alike = self._alike(run, size)
            for node in size.nodes:
                if node.step in alike:
                    self._learn_node(node, run, usd)
            if len(alike) == len(self._agents) == len(size.nodes):
                self.used.append(Used(float(sum(usd.values(), ZERO)), float(size.usd.expected)))
                self.seconds.append(Used(run.seconds, max(size.seconds.expected, LEAST_SCALE)))

    def _learn_node(self, node: NodeSize, run: PastRun, usd: Mapping[str, Decimal]) -> None:
        assert node.usd is not None
        used = Used(float(usd.get(node.step, ZERO)), float(node.usd.expected))
        self.node_used.setdefault(node.step, []).append(used)
        self.node_calls.setdefault(node.step, []).append(float(sum(c.step == node.step for c in run.calls)))
        took = run.step_seconds.get(node.step, 0.0)
        self.node_seconds.setdefault(node.step, []).append(Used(took, max(node.seconds.expected, LEAST_SCALE)))

    def _alike(self, run: PastRun, size: PlanSize) -> set[str]:
        """Return the steps of a past run that this plan has too, and whose calls went to models that it may call now."""
        called = run.models()
        made = set()
        for node in size.nodes:
            models = called.get(node.step, set()) - {""}
            if node.step in self._agents and models <= self._agents[node.step]:
                made.add(node.step)
        return made

    def quote(self, inputs: Mapping[str, object]) -> Quote:
        """Return the quote of one run on these inputs."""
        answers = recorded_answers(self.runtime, self.plan, inputs)
        size = plan_size(self.plan, inputs, self.book, answers)
        nodes = [self._node(node, is_recorded=node.step in answers) for node in size.nodes]
        usd = self._whole(size, nodes)
        seconds = Range(*self._interval(self.seconds, size.seconds))
        baseline, model = _baseline(size, inputs, self.book)
        batch = _sum(n.batch_usd for n in nodes)
        unpriced = tuple(dict.fromkeys(size.unpriced))
        basis = _basis(len(self.used))
        return Quote(self.plan.name, nodes, usd, seconds, basis, batch, baseline, model, unpriced, 0, size.notes)

    def _whole(self, size: PlanSize, nodes: Sequence[NodeQuote]) -> Dollars | None:
        """Return the dollars of the whole: the mean is the sum of the nodes' means, the ends are those of whole runs."""
        if size.usd is None:
            return None
        kept = [n.usd for n in nodes if n.usd is not None]
        expected = sum((usd.expected for usd in kept), ZERO)
        if any(n.basis == "recorded" for n in nodes):
            low, high = sum((usd.low for usd in kept), ZERO), min(sum((usd.high for usd in kept), ZERO), size.usd.high)
        else:
            low, _, high = _dollars(self._interval(self.used, size.usd))
        return Dollars(min(low, expected), expected, max(high, expected))

    def _node(self, node: NodeSize, *, is_recorded: bool) -> NodeQuote:
        if is_recorded:
            return NodeQuote(node.step, node.model, NOTHING, NO_TIME, NO_TIME, "recorded", ZERO)
        past, calls = self.node_used.get(node.step, []), self.node_calls.get(node.step, [])
        usd = None if node.usd is None else _dollars(self._interval(past, node.usd))
        seconds = Range(*self._interval(self.node_seconds.get(node.step, []), node.seconds))
        often = Range(node.calls.low, node.calls.expected, node.calls.high)
        if calls:
            often = Range(min(node.calls.low, *calls), mean(calls), max(node.calls.high, *calls))
        return NodeQuote(node.step, node.model, usd, seconds, often, _basis(len(past)), node.batch_usd)

    @staticmethod
    def _interval(past: Sequence[Used], cold: Dollars | Range) -> tuple[float, float, float]:
        """Return (low, expected, high). Expected is the estimate times the mean ratio of past runs.

        The ends are those of the past ratios where there are enough of them, else what the plan allows. A mean beyond an end,
        because of a few runs that were far dearer than the others, moves that end out.
        """
        least, scale, most = (float(x) for x in cold)
        if not past:
            return least, min(max(scale, least), most), most
        ranked = sorted(one.ratio for one in past)
        likely = Used(mean([one.amount for one in past]), mean([one.sized for one in past])).ratio * scale
        found = ends(len(past))
        low = ranked[found[0] - 1] * scale if found is not None and found[0] else min(least, likely)
        high = ranked[found[1] - 1] * scale if found is not None else max(most, likely)
        return min(low, likely), likely, max(high, likely)


def quote_run(
    runtime: Services, target: object, inputs: Mapping[str, object], namespace: Mapping[str, object] | None = None
) -> Quote:
    """Return the range of dollars and seconds of a run before it starts. Nothing is sent or stored.

    Parameters
    ----------
    inputs
        By name; a missing one counts as 100 tokens, and the quote says so.

    Raises
    ------
    GraphError, MissingInput, UnknownModel
        As `start`.
    """
    from orch_nb.agents.binding import compile_in

    plan = compile_in(target, {} if namespace is None else namespace)
    known = {*plan.inputs, *plan.optional_inputs, *plan.state}
    check_inputs(plan, {**dict.fromkeys(plan.inputs), **inputs} if inputs.keys() <= known else inputs)
    check_models(runtime, plan, with_keys=False)
    return Quoter(runtime, plan, past_runs(runtime, plan.name)).quote(inputs)


def quote_batch(
    runtime: Services, target: object, frame: object, mapping: Mapping[str, str] | None = None, *,
    namespace: Mapping[str, object] | None = None, shared: Mapping[str, object] | None = None, price: str = "",
) -> Quote:  # fmt: skip
    """Quote a batch over the rows of a table: the sum over its rows.

    Parameters
    ----------
    price
        "batch": batch prices, where every model has one.

    Notes
    -----
    Of a table of more than 200 rows, about 200 are quoted, evenly spread, and scaled up. The ends are the sums of the rows'
    ends, which is wider than necessary: not every row is at its end.
    """
    from orch_nb.agents.binding import compile_in
    from orch_nb.runtime.batch import rows_of

    plan = compile_in(target, {} if namespace is None else namespace)
    check_models(runtime, plan, with_keys=False)
    rows = rows_of(frame, plan, mapping or {}, shared or {})
    step = max(1, -(-len(rows) // ROWS_LOOKED_AT))
    quoter = Quoter(runtime, plan, past_runs(runtime, plan.name))
    looked = [quoter.quote(row.inputs) for row in rows[::step]]
    made = _of_rows(plan.name, looked, len(rows))
    return made if price != "batch" else _at_batch_price(made)


def _at_batch_price(quote: Quote) -> Quote:
    """Return the quote of the same calls by the providers' batch interfaces: their price and their time."""
    if quote.batch_usd is None or quote.usd is None or not quote.usd.expected:
        return replace(quote, notes=[*quote.notes, "not every model has a batch price: quoted at the ordinary ones"])
    share = float(quote.batch_usd / quote.usd.expected)
    seconds = Range(quote.seconds.low, quote.seconds.expected, max(DAY_S, quote.seconds.high))
    notes = [*quote.notes, "at the providers' batch prices; answers come within a day"]
    return replace(quote, usd=quote.usd.times(Range(share, share, share)), seconds=seconds, batch_usd=None, notes=notes)


def _of_rows(graph: str, looked: Sequence[Quote], n_rows: int) -> Quote:
    """Return one quote over `n_rows` rows, of which those in `looked` were quoted."""
    from orch_nb.runtime.batch import ROWS_AT_ONCE

    if not looked:
        return Quote(graph, [], NOTHING, NO_TIME, "no rows")
    share = Decimal(n_rows) / len(looked)

    def usd(quotes: Sequence[object], name: str) -> Decimal | None:
        total = _sum(getattr(q, name) for q in quotes)
        return None if total is None else total * share

    def dollars(quotes: Sequence[_Ranged]) -> Dollars | None:
        low, expected, high = (usd(quotes, f"{end}_usd") for end in ("low", "expected", "high"))
        return None if low is None or expected is None or high is None else Dollars(low, expected, high)

    def together(ranges: Sequence[Range]) -> Range:
        return Range(*(sum(r[k] for r in ranges) * float(share) for k in range(3)))

    nodes = []
    for same in zip(*(q.nodes for q in looked), strict=True):
        took, calls = together([n.seconds for n in same]), together([n.calls for n in same])
        basis = " and ".join(dict.fromkeys(n.basis for n in same))
        nodes.append(NodeQuote(same[0].step, same[0].model, dollars(same), took, calls, basis, usd(same, "batch_usd")))
    notes = list(dict.fromkeys(note for q in looked for note in q.notes))
    if len(looked) < n_rows:
        notes.append(f"{len(looked)} of {n_rows:,} rows were sampled, evenly spread")
    whole, lanes, first = together([q.seconds for q in looked]), min(ROWS_AT_ONCE, n_rows), looked[0]
    seconds = Range(whole.low / lanes, whole.expected / lanes, whole.high)
    return Quote(
        graph, nodes, dollars(looked), seconds, first.basis, usd(looked, "batch_usd"), usd(looked, "baseline_usd"),
        first.baseline_model, first.unpriced, n_rows, notes,
    )  # fmt: skip


def recorded_answers(runtime: Services, plan: Plan, inputs: Mapping[str, object]) -> dict[str, object]:
    """Return step -> answer, where the response cache has the whole conversation: those steps cost nothing.

    A step is found only if its requests are known: everything that the agent reads is given, or is answered from the cache too.
    Nodes that may run more than once are left out: the requests of a second round are unknown.
    """
    found: dict[str, object] = {}
    while _keeps_answers(plan):
        size = plan_size(plan, inputs, runtime.models, found)
        new = {
            node.step: answer
            for node in size.nodes
            if node.step not in found and (answer := _play_recorded(runtime, node)) is not None
        }
        if not new:
            return found
        found |= {step: answer.value for step, answer in new.items()}
    return found


def _keeps_answers(plan: Plan) -> bool:
    """Return whether an agent of the plan, or of a graph inside it, has `cache`."""
    return any("cache_s" in n.spec for n in plan.nodes) or any(_keeps_answers(sub) for sub in plan.subplans.values())


def _play_recorded(runtime: Services, node: NodeSize) -> Result | None:
    """Return the end of an agent's conversation with recorded answers only; None where one is missing."""
    from orch_nb.agents.fingerprint import request_hash

    fresh_s = node.machine.definition.get("cache_s") if node.machine is not None else None
    if fresh_s is None or node.max_visits > 1 or node.offer is None or node.machine is None:
        return None
    since = SystemClock.now() - fresh_s
    answers: list[Outcome] = []
    while True:
        step = node.machine.next(answers)
        if isinstance(step, Result):
            return step if step.error is None else None
        if step.kind != "model":
            return None
        request = replace(step.request, model=node.offer.model)
        identity = request_hash(request, provider=node.offer.provider)
        hit = runtime.run_loop.ask(lambda key=identity: runtime.answers.find(key, 0, since=since))
        if hit is None:
            return None
        answers.append(hit.outcome())


def _baseline(size: PlanSize, inputs: Mapping[str, object], book: ModelBook) -> tuple[Decimal | None, str]:
    """Estimate one agent instead of the graph: one call to the dearest model with all inputs as its prompt."""
    from orch_nb.catalog.prices import REQUEST_OVERHEAD_TOKENS, cost
    from orch_nb.schema.messages import Usage

    asked = sum(bytes_of(value) for value in inputs.values())
    out = size.out
    likely = bytes_of(out.value) if isinstance(out, Known) else out.typical
    usage = Usage(-(-asked // TYPICAL_BYTES) + REQUEST_OVERHEAD_TOKENS, max(1, likely // TYPICAL_BYTES))
    found = []
    for name, offer in (answerer for node in size.nodes for answerer in node.answerers):
        price = None if offer is None else book.prices.price(offer)
        if price is None:
            return None, ""
        found.append((cost(usage, price), name))
    return max(found, default=(None, ""))


def _prices(book: ModelBook) -> tuple[tuple[str, str, str], ...]:
    """Return the model and the price of every name today."""
    made = []
    for offer in book.offers():
        price = book.prices.price(offer)
        made.append((offer.name, f"{offer.provider}/{offer.model}", "" if price is None else price.label))
    return tuple(made)


def _basis(n: int) -> str:
    return "prompt size" if n == 0 else "1 earlier run" if n == 1 else f"{n} earlier runs"


def _dollars(ends: tuple[float, float, float]) -> Dollars:
    """Return the dollars of an estimate, rounded to twelve decimal places."""
    return Dollars(*(round(Decimal(repr(x)), 12) for x in ends))


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None where one of them is unknown."""
    total = ZERO
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


# ------------------------------------------------------------------ the resume of a run
def quote_resume(runtime: Services, run: str) -> Decimal | None:
    """Return the mean cost of the agent nodes that `run` has not finished; None where none of them was ever billed.

    Calls of the run itself count (a node that failed after a billed call), and those of earlier runs of the same graph: 0 for
    a node that did not run in them.
    """
    store = runtime.store
    events = runtime.events(run)
    begun = started_by(events)
    agents = {n["name"] for n in begun.plan.get("nodes", ()) if n.get("kind") == "agent"}
    left = agents - {e.node for e in events if isinstance(e, ev.Finished | ev.Reused) and not e.frame}
    if not left:
        return Decimal(0)
    costs = {node: [usd] for node, usd in _costs(events).items()}
    rows = runtime.run_loop.ask(lambda: list(store.runs(graph=begun.graph, limit=HISTORY)))
    for row in rows:
        if row.run != run and made_calls(row.parent):
            used = _costs(runtime.events(row.run))
            for node in left:
                if node in used or row.status == "done":
                    costs.setdefault(node, []).append(used.get(node, ZERO))
    known = [mean(costs[n]) for n in left if any(costs.get(n, ()))]
    return sum(known, Decimal(0)) if known else None


def _costs(events: list[Event]) -> dict[str, Decimal]:
    """Return node -> dollars of all its activations."""
    made: dict[str, Decimal] = {}
    for event in events:
        if isinstance(event, ev.Settled) and event.ok and event.cost_usd is not None:
            made[event.node] = made.get(event.node, ZERO) + event.cost_usd
    return made
