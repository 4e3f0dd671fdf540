"""The figures of earlier runs of a graph, from which the next run is estimated.

Each past run is compared with what `estimate` expects for its own inputs; the range of the next run comes from these ratios. So a
long ticket after short ones is not underestimated, and the range has its coverage as long as the next run resembles the earlier
ones (split conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic Learning in a
Random World", 2005, chapter 2; Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from orch_nb.engine.plan import from_data
from orch_nb.errors import OrchError
from orch_nb.estimates.estimate import plan_size
from orch_nb.runtime.services import started_by
from orch_nb.schema import events as ev
from orch_nb.schema.events import saved_by
from orch_nb.trace.savings import SERVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.prices import Price
    from orch_nb.estimates.estimate import PlanSize
    from orch_nb.runtime.services import Services
    from orch_nb.schema.events import Event
    from orch_nb.schema.messages import Usage

ZERO = Decimal(0)
Number = TypeVar("Number")
PAST = 99
"""Earlier runs that are read: enough for a range that leaves out the three outermost on either side."""
COVERAGE_PERCENT = 94
"""Coverage that ranges aim at, for a promise of 90 %: with few runs, a range for exactly 90 covers less as often as more."""
KEPT = 500
"""Past runs whose figures a process caches."""


@dataclass(slots=True)
class CallFigures:
    """One billed call: its step, model and tokens, the dollars billed, and the label of the price."""

    step: str
    offer: str
    model: str
    usage: Usage | None
    usd: Decimal | None
    price: str
    served: dict[str, str] | None = None


@dataclass(slots=True)
class PastRun:
    """The figures of one earlier run: its calls, and its seconds without the time of people, whole and by step."""

    run: str
    plan: dict[str, Any]
    inputs: Mapping[str, object]
    calls: list[CallFigures] = field(default_factory=list)
    seconds: float = 0.0
    step_seconds: dict[str, float] = field(default_factory=dict)
    _size: tuple[object, PlanSize] | None = None

    def size(self, book: ModelBook, prices: object) -> PlanSize:
        """Return its estimate from the sizes of its prompts, at today's prices.

        Parameters
        ----------
        prices
            The key of the cached estimate: equal values mean the same prices.
        """
        if self._size is None or self._size[0] != prices:
            self._size = (prices, plan_size(from_data(self.plan), self.inputs, book))
        return self._size[1]

    def usd(self, book: ModelBook) -> dict[str, Decimal] | None:
        """Return step -> dollars at today's prices; None where a call has no price."""
        made: dict[str, Decimal] = {}
        for call in self.calls:
            usd = _today(call, book)
            if usd is None:
                return None
            made[call.step] = made.get(call.step, ZERO) + usd
        return made

    def models(self) -> dict[str, set[str]]:
        """Return step -> the models that it called, as ``provider/model`` ids."""
        made: dict[str, set[str]] = {}
        for call in self.calls:
            made.setdefault(call.step, set()).add(call.model)
        return made


NOT_LIVE = ("replay", "cassette")
"""Kinds of parents whose runs made no calls of their own: their recorded figures are another run's."""


def made_calls(parent: Mapping[str, object] | None) -> bool:
    """Return whether a run with this parent made calls of its own; in a batch, only its rows do."""
    return not any((parent or {}).get(kind) for kind in ("batch", *NOT_LIVE))


def past_runs(runtime: Services, graph: str, *, but: str = "") -> list[PastRun]:
    """Return the newest runs of `graph` that ended well, newest first. The rows of a batch count, the batch itself does not.

    Parameters
    ----------
    but
        A run that does not count.
    """
    store = runtime.store

    def look() -> list[PastRun]:
        rows = store.runs(graph=graph, status="done", limit=4 * PAST)
        kept = [r.run for r in rows if r.run != but and made_calls(r.parent)]
        return [made for run in kept[:PAST] if (made := _figures(runtime, run)) is not None]

    found: list[PastRun] = runtime.run_loop.ask(look)
    return found


def _figures(runtime: Services, run: str) -> PastRun | None:
    known = runtime.past
    if run not in known:
        while len(known) >= KEPT:
            known.pop(next(iter(known)))
        known[run] = past_run([event for _, event in runtime.store.read(run)])
    found = known[run]
    return found if isinstance(found, PastRun) else None


def past_run(events: Sequence[Event]) -> PastRun | None:
    """Return the figures of a run; None where it reuses results whose cost is unknown.

    A reused or cached result counts what it cost originally.
    """
    begun = started_by(events)
    made = PastRun(begun.run, begun.plan, begun.inputs)
    sent: dict[tuple[str, int], ev.Sent] = {}
    asked: dict[str, float] = {}
    waited, before = 0.0, begun.at
    for event in events:
        match event:
            case ev.Sent() if event.kind == "model":
                sent[ev.key(event), event.call] = event
            case ev.Settled() if (question := sent.get((ev.key(event), event.call))) is not None:
                made.calls.append(_call(question, event))
                step = made.calls[-1].step
                made.step_seconds[step] = made.step_seconds.get(step, 0.0) + max(0.0, event.at - question.at)
            case ev.Reused():
                if event.saved_usd is None:
                    return None
                made.calls.append(CallFigures(step_name(event), "", "", None, event.saved_usd, ""))
            case ev.Waiting():
                asked[ev.key(event)] = event.at
            case ev.Answered():
                waited += event.at - asked.pop(ev.key(event), event.at)
            case ev.Resumed():
                waited += max(0.0, event.at - before)
        before = getattr(event, "at", before)
    made.seconds = max(0.0, before - begun.at - waited)
    return made


def _call(question: ev.Sent, answer: ev.Settled) -> CallFigures:
    route = question.route or {}
    model = f"{route.get('provider', '')}/{route.get('model', '')}"
    usd = answer.cost_usd
    saved = saved_by(answer)
    return CallFigures(
        step_name(question), question.target, model, answer.usage, saved if saved is not None else usd, answer.price,
        answer.reply.get(SERVED) if isinstance(answer.reply, dict) else None,
    )  # fmt: skip


def step_name(event: ev.Sent | ev.Reused) -> str:
    """Return the step of an event: its node, inside the nodes around it, without round and item."""
    return "/".join(part.partition("[")[0] for part in (*filter(None, event.frame.split("/")), event.node))


def _today(call: CallFigures, book: ModelBook) -> Decimal | None:
    """Return the dollars of a call at today's price: as billed, unless the price has changed since."""
    from orch_nb.catalog.prices import cost

    if call.usage is None or not call.offer:
        return call.usd
    price = price_now(call, book)
    if price is None or price.label == call.price or call.usage.bad or call.usage.estimated:
        return call.usd
    return cost(call.usage, price)


def price_now(call: CallFigures, book: ModelBook) -> Price | None:
    """Return today's price of a call's model; None where its name means another model by now."""
    try:
        offer = book.resolve(call.offer)
    except OrchError:
        return None
    if f"{offer.provider}/{offer.model}" != call.model:
        return None
    return book.prices.price(offer, service=call.served)


# ------------------------------------------------------------------ order statistics
def ends(n: int, percent: int = COVERAGE_PERCENT) -> tuple[int, int] | None:
    """Return which of `n` sorted values, from 1, are the ends of a range that has the next one with at least `percent` %.

    The next of n + 1 exchangeable values falls between the k-th and the (n + 1 - k)-th with (n + 1 - 2k) / (n + 1). 0 means no
    low end: few values (for 90 %, 9 to 18) give a one-sided range, and fewer give none (None).

    Examples
    --------
    >>> ends(8, 90), ends(9, 90), ends(19, 90), ends(99, 90)
    (None, (0, 9), (1, 19), (5, 95))
    """
    k = (n + 1) * (100 - percent) // 200
    if k >= 1:
        return k, n + 1 - k
    most = -((n + 1) * percent // -100)
    return (0, most) if most <= n else None


def mean(values: Sequence[Number]) -> Number:
    """Return the mean over runs, which quotes and forecasts expect of the next run.

    A run in which a node did not run counts as 0 for it. So the mean is what many runs cost each, which a median is not: a
    branch that is taken in one run of three, at $0.03, has the median 0 and the mean $0.01.
    """
    amounts: Sequence[Any] = values  # floats, Decimals, or what else is added and divided
    made: Number = sum(amounts[1:], amounts[0]) / len(amounts)
    return made
