"""What earlier runs of a graph used, and what that says about the next one.

A past run is compared with what `estimate` would have expected of it, given its own inputs; the ratios of the two are what
the next run's range is made of. So a long ticket after short ones is not underestimated, and the range covers as promised as
long as the next run is one like those before (split conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic Learning in a
Random World", 2005, chapter 2; Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

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

ZERO = Decimal(0)
PAST = 99
"""Earlier runs that are looked at: enough for a range that leaves out the three ends on either side."""
COVERAGE_PERCENT = 94
"""Promised are 90 %: with the few runs that there are, a range made for exactly 90 would as often cover less as more."""
KEPT = 500
"""Past runs whose figures a process remembers."""


@dataclass(slots=True)
class CallFigures:
    """One billed call: whose, its tokens, what it was billed at, and what that price was called."""

    step: str
    offer: str
    model: str
    usage: Any
    usd: Decimal | None
    price: str
    served: dict[str, str] | None = None


@dataclass(slots=True)
class PastRun:
    """What one earlier run used: its calls, its seconds without the time of people, how often each step ran."""

    run: str
    plan: dict[str, Any]
    inputs: dict[str, Any]
    calls: list[CallFigures] = field(default_factory=list)
    seconds: float = 0.0
    step_seconds: dict[str, float] = field(default_factory=dict)
    _size: tuple[Any, PlanSize] | None = None

    def size(self, book: ModelBook, prices: Any) -> PlanSize:
        """What its prompts' sizes would have let expect, at today's prices.

        Parameters
        ----------
        prices
            What today's prices are told by (any equal value: the same prices): with it the size is remembered.
        """
        if self._size is None or self._size[0] != prices:
            self._size = (prices, plan_size(from_data(self.plan), self.inputs, book))
        return self._size[1]

    def usd(self, book: ModelBook) -> dict[str, Decimal] | None:
        """Step -> dollars at today's prices; None where something has no price."""
        made: dict[str, Decimal] = {}
        for call in self.calls:
            usd = _today(call, book)
            if usd is None:
                return None
            made[call.step] = made.get(call.step, ZERO) + usd
        return made

    def models(self) -> dict[str, set[str]]:
        """Step -> the models that it called, as ``provider/model`` ids."""
        made: dict[str, set[str]] = {}
        for call in self.calls:
            made.setdefault(call.step, set()).add(call.model)
        return made


NOT_LIVE = ("replay", "cassette")
"""Kinds of parents whose runs made no calls of their own: their recorded figures are another run's."""


def made_calls(parent: Mapping[str, Any] | None) -> bool:
    """Whether a run with this parent made calls of its own; a batch is the frame around its rows, which are runs themselves."""
    return not any((parent or {}).get(kind) for kind in ("batch", *NOT_LIVE))


def past_runs(runtime: Services, graph: str, *, but: str = "") -> list[PastRun]:
    """The newest runs of `graph` that ended well, newest first; a batch's rows are runs, the batch itself is none.

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
    """The figures of a run's events; None for a run that says nothing about the next one: results taken over from runs that
    are not known any more. What was reused or cached counts as what it cost when it was made."""
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


def step_name(event: Any) -> str:
    """The step of an event: its node, inside the nodes around it, whatever the round and the item."""
    return "/".join(part.partition("[")[0] for part in (*filter(None, event.frame.split("/")), event.node))


def _today(call: CallFigures, book: ModelBook) -> Decimal | None:
    """What the call costs at today's price: what it was billed, unless the price has changed since."""
    from orch_nb.catalog.prices import cost

    if call.usage is None or not call.offer:
        return call.usd
    price = price_now(call, book)
    if price is None or price.label == call.price or call.usage.bad or call.usage.estimated:
        return call.usd
    return cost(call.usage, price)


def price_now(call: CallFigures, book: ModelBook) -> Price | None:
    """Today's price of a call's model; None where its name stands for another model by now."""
    try:
        offer = book.resolve(call.offer)
    except OrchError:
        return None
    if f"{offer.provider}/{offer.model}" != call.model:
        return None
    return book.prices.price(offer, service=call.served)


# ------------------------------------------------------------------ order statistics
def ends(n: int, percent: int = COVERAGE_PERCENT) -> tuple[int, int] | None:
    """Which of `n` sorted values, from 1, are the ends of a range that the next one falls into with `percent` % at least.

    The next of n + 1 exchangeable values falls between the k-th and the (n + 1 - k)-th with (n + 1 - 2k) / (n + 1). 0 stands
    for "no low end": few values carry a range to one side only (for 90 %, 9 to 18), and fewer none at all (None).

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


def mean(values: Sequence[Any]) -> Any:
    """The mean of what was used, run by run: what quotes and forecasts expect of the next run.

    A run in which a node did not run counts as 0 for it. So the mean is what many runs cost each, which a median is not: a
    branch that is taken in one run of three, at $0.03, has the median 0 and the mean $0.01.
    """
    return sum(values[1:], values[0]) / len(values)
