"""What a run did not have to pay, and why: each kind by itself, in dollars.

Reuse and the response cache count what was billed when the result was made. Batch prices count the difference to the ordinary
price of the same call. Early exit counts the expected cost of the dearer models that a ladder did not come to: an estimate, made
before the first call. Routing compares what was billed with the same tokens at the dearest model that the run knew, each answer
asked for once: the samples, verdicts and higher steps of a route are its price, and no saving.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from orch_nb.catalog.prices import cost, price_of
from orch_nb.schema.messages import Usage
from orch_nb.schema.values import compact
from orch_nb.trace.span import CALLS, ZERO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch_nb.catalog.prices import Price
    from orch_nb.trace.span import Span

BATCH = "batch"
"""The key in a call's reply under which a batch-priced call keeps what it would have cost at the ordinary price."""
SERVED = "served"
"""The key in a call's reply that says as what it was served, where that is not the ordinary way (`schema.service`)."""

COMPARED = ("early exit", "routing")
"""Kinds that compare the same calls with something that was not done; they do not add up."""


class Saving(NamedTuple):
    """Dollars of one kind that were not paid: how often, and how that was worked out."""

    kind: str
    usd: Decimal
    times: int
    how: str


class Repriced(NamedTuple):
    """The run's calls at another price: what was billed, what the same tokens would have cost, and the difference.

    `unknown` counts calls that could not be compared: their tokens or their dollars are not known, as of those that were
    booked at their reservation.
    """

    model: str
    spent_usd: Decimal
    usd: Decimal
    calls: int
    unknown: int

    @property
    def saved_usd(self) -> Decimal:
        """Return what the run cost less than that; negative where it cost more."""
        return self.usd - self.spent_usd

    @property
    def saved_share(self) -> float | None:
        """The same as a share of the other price; None where that is 0."""
        return float(self.saved_usd / self.usd) if self.usd else None


def savings(rows: Sequence[Span]) -> list[Saving]:
    """Return what the run of these spans did not pay, kind by kind; kinds that saved nothing are left out."""
    made = [_reuse(rows), _cache(rows), _batch(rows), _early_exit(rows), _routing(rows)]
    return [one for one in made if one is not None and one.usd > 0]


def _reuse(rows: Sequence[Span]) -> Saving | None:
    taken = [s.saved_usd or ZERO for s in rows if s.exit == "reused" and s.kind != "model"]
    return _saving("reuse", taken, "results of earlier runs, at what they were billed then")


def _cache(rows: Sequence[Span]) -> Saving | None:
    taken = [s.saved_usd or ZERO for s in rows if s.kind == "model" and s.source is not None]
    return _saving("response cache", taken, "answers given again, at what they were billed then")


def _batch(rows: Sequence[Span]) -> Saving | None:
    taken = [
        Decimal(s.value[BATCH]["standard_usd"]) - s.cost_usd
        for s in rows
        if s.kind == "model" and isinstance(s.value, dict) and BATCH in s.value and s.cost_usd is not None
    ]
    return _saving("batch price", taken, "the same calls at the ordinary price")


def _early_exit(rows: Sequence[Span]) -> Saving | None:
    """Rungs of ladders that were not reached, where an answer was. The first decision of an activation has the whole ladder."""
    spared = []
    for activation, calls in _activations(rows):
        if activation is None or not activation.success:
            continue  # a run that stopped without an answer is not an early exit
        decision = next((s.value for s in calls if s.kind == "route" and isinstance(s.value, dict)), {})
        called = {s.target for s in calls if s.kind == "model" and s.target}
        if decision.get("by") == "cascade" and called:
            spared += _not_reached(decision, called)
    return _saving("early exit", spared, "dearer models that were not asked, at their expected cost (estimate)")


def _not_reached(decision: Mapping[str, Any], called: set[str]) -> list[Decimal]:
    expected = {
        row["offer"]: row.get("expected_usd") for row in decision.get("candidates", ()) if not row.get("refused")
    }
    order = [name for name in decision.get("order", ()) if name in expected]
    last = max((order.index(name) for name in called if name in order), default=len(order))
    return [Decimal(expected[name]) for name in order[last + 1 :] if expected[name] is not None]


def _routing(rows: Sequence[Span]) -> Saving | None:
    best = all_premium(rows)
    if best is None:
        return None
    needed = _needed_calls(rows)
    once = repriced(needed, best.model, prices_of(rows)[best.model])
    if once.calls == best.calls:
        return Saving("routing", best.saved_usd, best.calls, f"all calls on `{best.model}`, at the same tokens")
    how = f"each answer asked once of `{best.model}`, at the same tokens"
    return Saving("routing", once.usd - best.spent_usd, once.calls, how)


def _needed_calls(rows: Sequence[Span]) -> list[Span]:
    """The model calls that a fixed choice would have made too: of an activation that climbed or sampled, those of the first
    model asked for an answer, each request once. A judge's verdict, a second sample, a higher step: a fixed choice has none."""
    return [span for _, calls in _activations(rows) for span in _answering(calls)]


def _answering(calls: Sequence[Span]) -> list[Span]:
    asked: dict[str, Span] = {}
    is_besides = False
    for span in calls:
        if span.kind == "route" and isinstance(span.value, dict):
            # where an answer is there already, what comes now is a higher step
            is_besides = bool(span.value.get("ask") or asked)
        elif span.kind == "model" and span.source is None and span.exit and not is_besides:
            asked.setdefault(f"{span.attempt} {_words_of(span.request)}", span)
    return list(asked.values())


def _activations(rows: Iterable[Span]) -> list[tuple[Span | None, list[Span]]]:
    """Each activation with its calls, in order. The runs of a batch follow each other and have the same keys."""
    made: list[tuple[Span | None, list[Span]]] = []
    latest: dict[str, int] = {}
    for span in rows:
        is_call = span.kind in CALLS or span.kind == "attempt"
        if not is_call or span.key not in latest:
            latest[span.key] = len(made)
            made.append((None if is_call else span, []))
        if is_call:
            made[latest[span.key]][1].append(span)
    return made


def _words_of(request: object) -> str:
    """Return what a request says, without the settings in which samples of one prompt differ."""
    return compact(request["messages"] if isinstance(request, dict) and "messages" in request else request)


def _saving(kind: str, amounts: Sequence[Decimal], how: str) -> Saving | None:
    return Saving(kind, sum(amounts, ZERO), len(amounts), how) if amounts else None


# ------------------------------------------------------------------ other prices
def all_premium(rows: Sequence[Span]) -> Repriced | None:
    """The run's calls, all on the dearest model that any of its agents may call, at the prices of its day; None where no
    price was recorded, or where only one model is known."""
    known = prices_of(rows)
    if len(known) < 2:
        return None
    return max((repriced(rows, name, price) for name, price in known.items()), key=lambda r: r.usd)


def prices_of(rows: Iterable[Span]) -> dict[str, Price]:
    """Model -> the price that was in force when the run was billed."""
    found: dict[str, Price] = {}
    for span in rows:
        for name, figures in (span.route or {}).get("prices", {}).items():
            found[name] = price_of(figures)
    return found


def repriced(rows: Iterable[Span], name: str, price: Price) -> Repriced:
    """The model calls of these spans at one price, token for token. Answers of the cache are not calls."""
    made = [s for s in rows if s.kind == "model" and s.source is None and s.exit]
    known = [s for s in made if s.cost_usd is not None and s.tokens and not s.estimated]
    unknown = sum(1 for s in made if s.cost_usd is None or s.estimated or (s.cost_usd and not s.tokens))
    spent = sum((s.cost_usd or ZERO for s in known), ZERO)
    return Repriced(name, spent, _cost_of(known, price), len(known), unknown)


def _cost_of(calls: Sequence[Span], price: Price) -> Decimal:
    """Return what these calls cost at one price. Without tiers a price is linear: all tokens at once, and the calls."""
    usages = [Usage(s.input_tokens, s.output_tokens, s.cached_tokens, s.reasoning_tokens) for s in calls]
    if len(price.tiers) > 1 or not usages:
        return sum((cost(usage, price) for usage in usages), ZERO)
    names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    together = Usage(*(sum(getattr(usage, name) for usage in usages) for name in names))
    return cost(together, price) + price.per_call * (len(usages) - 1)
