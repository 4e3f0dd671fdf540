"""The bill of a run: what each step, agent and model used and cost. Decimal dollars; unknown is not zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.trace.savings import COMPARED, Repriced, Saving, repriced, savings
from orch_nb.trace.span import ZERO
from orch_nb.trace.spans import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from orch_nb.catalog.prices import Price
    from orch_nb.schema.events import Event
    from orch_nb.trace.span import Span


@dataclass(slots=True)
class Line:
    """One line of a bill.

    Attributes
    ----------
    calls
        Model calls that left; retries and repairs count, refusals and answers from the cache do not.
    spent_usd
        What is billed. Calls whose price is unknown are not in it: they are counted in `unpriced`.
    held_usd
        Set aside for calls that are under way.
    in_doubt_usd
        Upper bound of what calls may have cost that were under way when the process died.
    overrun_usd
        What providers billed above their reservation.
    saved_usd
        What results and answers taken from earlier runs cost then.
    hits
        Answers that the response cache gave.
    estimated
        Whether some tokens are our own count, because the provider sent none or nonsense. Such calls are booked at their
        reservation.
    """

    name: str
    calls: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    spent_usd: Decimal = ZERO
    unpriced: int = 0
    held_usd: Decimal = ZERO
    in_doubt_usd: Decimal = ZERO
    in_doubt: int = 0
    overrun_usd: Decimal = ZERO
    saved_usd: Decimal = ZERO
    reused: int = 0
    hits: int = 0
    model_s: float = 0.0
    queued_s: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def add_call(self, call: Span) -> None:
        """Count one call in: settled, under way or in doubt; or an answer of the cache, which is not a call."""
        if call.source is not None:
            self.hits += 1
            self.saved_usd += call.saved_usd or ZERO
            return
        self.calls += call.kind == "model"
        self.retries += call.state == "retried"
        self.input_tokens += call.input_tokens
        self.output_tokens += call.output_tokens
        self.cached_tokens += call.cached_tokens
        self.cache_write_tokens += call.cache_write_tokens
        self.reasoning_tokens += call.reasoning_tokens
        self.overrun_usd += call.overrun_usd
        self.estimated = self.estimated or call.estimated
        self.model_s += (call.latency_s or 0.0) if call.kind == "model" else 0.0
        self.queued_s += call.queued_s
        self._add_money(call)

    def _add_money(self, call: Span) -> None:
        if call.state == "in doubt":
            self.in_doubt += 1
            self.in_doubt_usd += call.reserved_usd or ZERO
            self.unpriced += call.reserved_usd is None
        elif not call.exit:
            self.held_usd += call.reserved_usd or ZERO
        elif call.cost_usd is None:
            self.unpriced += 1
        else:
            self.spent_usd += call.cost_usd

    def add_reuse(self, span: Span) -> None:
        """Count in an activation whose result came from an earlier run."""
        self.reused += 1
        self.saved_usd += span.saved_usd or ZERO


@dataclass(slots=True)
class Bill:
    """What a run cost: `total`, and the same by step (in order of first use), by agent and by model; what was saved, by kind."""

    total: Line
    steps: list[Line] = field(default_factory=list)
    agents: list[Line] = field(default_factory=list)
    models: list[Line] = field(default_factory=list)
    limit_usd: Decimal | None = None
    _rows: list[Span] = field(default_factory=list, repr=False)
    _savings: list[Saving] | None = field(default=None, repr=False)

    @property
    def savings(self) -> list[Saving]:
        """Return what the run did not pay, kind by kind: reuse, response cache, batch price, early exit, routing. Worked out when first
        asked for."""
        if self._savings is None:
            self._savings = savings(self._rows)
        return self._savings

    def against(self, model: str, price: Price | None = None) -> Repriced:
        """Return what the same tokens would have cost on one model alone: ``run.bill().against("big").saved_usd``.

        Parameters
        ----------
        model
            The notebook's name of it.
        price
            Its price; without one today's is taken. The bill itself keeps the prices of its day.

        Raises
        ------
        UnknownModel, UnknownPrice
            The name means nothing; nobody knows its price.
        """
        if price is None:
            from orch_nb.catalog import models
            from orch_nb.catalog.prices import unknown_price

            book = models.current()
            offer = book.resolve(model)
            price = book.prices.price(offer)
            if price is None:
                raise unknown_price(offer)
        return repriced(self._rows, model, price)

    @property
    def saved_usd(self) -> Decimal:
        """All that was saved. Routing and early exit are two comparisons of the same calls: the larger of the two counts."""
        compared = [s.usd for s in self.savings if s.kind in COMPARED]
        return sum((s.usd for s in self.savings if s.kind not in COMPARED), max(compared, default=ZERO))

    @property
    def spent_usd(self) -> Decimal:
        """Return what the run is billed at."""
        return self.total.spent_usd

    @property
    def left_usd(self) -> Decimal | None:
        """Return what is left of the run's own budget; None where it has none."""
        if self.limit_usd is None:
            return None
        total = self.total
        return self.limit_usd - total.spent_usd - total.held_usd - total.in_doubt_usd


def bill(events: Iterable[Event], *, alive: bool = False) -> Bill:
    """The bill of a run. O(events).

    Parameters
    ----------
    alive
        Whether the run is under way in this process: then a call without an answer is held, else it is in doubt.
    """
    walk = Walk()
    for event in events:
        walk.feed(event)
    return bill_of(walk.spans(alive=alive), walk.state.limit_usd)


def bill_of(rows: Iterable[Span], limit_usd: Decimal | None = None) -> Bill:
    """The bill of spans that were read already."""
    total = Line("run")
    steps: dict[str, Line] = {}
    agents: dict[str, Line] = {}
    models: dict[str, Line] = {}
    rows = list(rows)
    for span in rows:
        if span.kind in ("model", "tool"):
            step = _line(steps, step_of(span))
            for line in (total, step, _line(agents, span.agent)):
                line.add_call(span)
            if span.model:
                _line(models, span.model).add_call(span)
        elif span.exit == "reused":
            for line in (total, _line(steps, step_of(span)), _line(agents, span.agent)):
                line.add_reuse(span)
    return Bill(total, list(steps.values()), list(agents.values()), list(models.values()), limit_usd, rows)


def step_of(span: Span) -> str:
    """The step that a span belongs to: its node, inside the nodes around it, whatever the round and the item."""
    return "/".join(part.partition("[")[0] for part in (*filter(None, span.frame.split("/")), span.node))


def _line(lines: dict[str, Line], name: str) -> Line:
    line = lines.get(name)
    if line is None:
        line = lines[name] = Line(name)
    return line
