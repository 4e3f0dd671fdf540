"""Workloads: the calls of runs with their models, tokens and dollars, from stored runs or from a step table.

A workload is a list of runs and a run is a list of calls. A step table is one run whose calls may be fractions ("0.3 calls
a run"). Amounts are exact `Fraction` dollars here, and Decimal in displays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from orch_nb.catalog import models, prices
from orch_nb.errors import BadOption, UnknownPrice, nearest
from orch_nb.estimates.history import NOT_LIVE
from orch_nb.lang.quantity import Quantity
from orch_nb.runtime.services import started_by
from orch_nb.schema import events as ev
from orch_nb.schema.amount import read_exact
from orch_nb.schema.messages import Usage
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.prices import Price
    from orch_nb.schema.events import Event
    from orch_nb.trace.span import Span

    Events: TypeAlias = Sequence[Event]

COUNTED = ("done", "failed")
"""Statuses of the runs that count: a failed run was billed too. A stopped or unfinished run is not a whole run."""

UNNAMED = "step table"
"""Name of a step table without a name."""

TOKENS = ("input_tokens", "output_tokens", "cached_tokens")
COLUMNS = ("step", "model", "usd", *TOKENS, "calls", "seconds")
"""Columns of a step table. `step` and one of `usd` (of one call) and `model` are required."""


@dataclass(slots=True, frozen=True)
class Call:
    """A model call of a step, or several alike.

    Parameters
    ----------
    count
        Number a run; a step table may have 0.3.
    usd
        Cost of one; None if unknown.
    usage
        Its tokens; None if only a price per call is known.
    saved_usd
        Original cost of an answer that was reused from an earlier run (then `usd` is 0).
    """

    step: str
    model: str = ""
    count: Fraction = Fraction(1)
    usd: Fraction | None = Fraction(0)
    usage: Usage | None = None
    is_retry: bool = False
    saved_usd: Fraction = Fraction(0)

    @property
    def is_lookup(self) -> bool:
        """True for a call without a model: a function or a database, free whatever the models cost."""
        return not self.usd and not self.saved_usd and not self.model and self.usage is None


@dataclass(slots=True, frozen=True)
class RunUse:
    """The use of one run. `reviews` counts the decisions of people; `serial_s` is the time of its steps one after another,
    `elapsed_s` the time from start to end, both without people's time."""

    calls: tuple[Call, ...]
    reviews: Fraction = Fraction(0)
    serial_s: float = 0.0
    elapsed_s: float = 0.0
    run: str = ""


@dataclass(slots=True, frozen=True)
class Workload:
    """Runs of one workflow: recorded ones, or a step table. `notes` name what was left out or is uncertain."""

    name: str
    runs: tuple[RunUse, ...]
    is_typed: bool = False
    notes: tuple[str, ...] = ()

    def steps(self) -> list[str]:
        """Return the names of the steps, in order of first use."""
        return list(dict.fromkeys(c.step for r in self.runs for c in r.calls))

    def models(self) -> list[str]:
        """Return the names of the models, in order of first use."""
        return list(dict.fromkeys(c.model for r in self.runs for c in r.calls if c.model))

    def calls_a_run(self) -> Fraction:
        """Return the mean calls to models a run, with cached answers, without look-ups."""
        return sum((c.count for r in self.runs for c in r.calls if not c.is_lookup), Fraction(0)) / len(self.runs)


# ------------------------------------------------------------------ prices
@dataclass(slots=True)
class Pricing:
    """Prices of the notebook's models, and the ratios of their token counts.

    Parameters
    ----------
    book
        The notebook's names for models.
    token_ratio
        Model -> its tokens for one recorded token, in prompts and answers. Tokenizers and lengths of answers differ:
        measure the ratio on a few texts. 1 by default.
    """

    book: ModelBook
    token_ratio: Mapping[str, object]

    @classmethod
    def of(cls, book: ModelBook | None = None, token_ratio: Mapping[str, object] | None = None) -> Pricing:
        """Return prices of the given models, by default of the current runtime's."""
        return cls(models.current() if book is None else book, dict(token_ratio or {}))

    def price(self, model: str) -> Price:
        """Return the price of a model.

        Raises
        ------
        UnknownModel, UnknownPrice
            The model or its price is unknown.
        """
        price = self.book.prices.price(self.book.resolve(model))
        if price is None:
            raise UnknownPrice(
                f"the price of `{model}` is unknown, so its calls cannot be projected.",
                hint=f'`models().prices.set("{model}", input=…, output=…)` in dollars per million tokens, or swap it',
                model=model,
            )
        return price

    def reprice(self, call: Call, model: str) -> Call:
        """Return the same call on another model: the recorded tokens at that model's price.

        Raises
        ------
        BadOption
            The call has no tokens and the model is billed by tokens.
        """
        price = self.price(model)
        by_tokens = any(t.input or t.output for t in price.tiers)
        if call.usage is None and by_tokens:
            raise BadOption(
                f"step `{call.step}` has a price per call and no tokens, so it cannot be priced on `{model}`.",
                hint="give its input_tokens and output_tokens",
                step=call.step,
            )
        usage = self._scale(call.usage or Usage(), model)
        return replace(call, model=model, usd=Fraction(prices.cost(usage, price)), usage=usage)

    def _scale(self, usage: Usage, model: str) -> Usage:
        ratio = read_exact(self.token_ratio.get(model, 1), f"`token_ratio` of `{model}`", of="a number")
        if ratio == 1:
            return usage
        parts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
        into, out, cached, reasoning = (math.ceil(n * ratio) for n in parts)
        return Usage(into, out, cached, reasoning, estimated=True)


# ------------------------------------------------------------------ from anything
def workload_of(given: object, pricing: Pricing, name: str = "") -> Workload:
    """Return the workload of a step table, of stored runs, of a forecast, or of dollars a run.

    Parameters
    ----------
    given
        A list of rows or a data frame (see `COLUMNS`); a run, or a list of runs (handles or their events); an amount in
        dollars a run.

    Raises
    ------
    BadOption
        It is another object, or a row is wrong; the row is named.
    """
    if isinstance(given, Workload):
        return given
    held = getattr(given, "workload", None)
    if isinstance(held, Workload):
        return held
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.to_dict("records")
    if hasattr(given, "events"):
        given = [given]
    if isinstance(given, str | int | float | Decimal | Fraction) and not isinstance(given, bool):
        return _amount(given, name)
    rows = list(given) if isinstance(given, Iterable) and not isinstance(given, Mapping) else []
    if rows and all(isinstance(row, Mapping) for row in rows):
        return typed(rows, pricing, name)
    if rows and all(hasattr(r, "events") or isinstance(r, list | tuple) for r in rows):
        return recorded([r.events if hasattr(r, "events") else r for r in rows], name)
    if isinstance(given, Iterable) and not isinstance(given, Mapping) and not rows:
        raise BadOption(
            f"{f'`{name}`' if name else 'a step table'} must have a step or a run, got none.",
            hint="rows such as {'step': 'draft', 'usd': 0.015}; check that a filter let some pass",
        )
    raise BadOption(
        f"a workload must be a step table or runs, got {a_(type(given).__name__)}.",
        hint="a list of rows such as {'step': 'draft', 'usd': 0.015}, a data frame of them, or runs",
    )


def named(value: object, name: str, models: ModelBook | None) -> object:
    """Return a step table as a workload with the name of its variable; anything else unchanged."""
    is_table = hasattr(value, "columns") or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))
    return workload_of(value, Pricing.of(models), name) if is_table else getattr(value, "workload", value)


def _amount(given: object, name: str) -> Workload:
    each = read_exact(given, f"`{name or 'cost of a run'}`", most=prices.MAX_PRICE)
    shown = f"{Quantity(each, usd=1).shown()} a run"
    return Workload(name or shown, (RunUse((Call(name or "run", usd=each),)),), True)


# ------------------------------------------------------------------ typed by hand
def typed(rows: Sequence[Mapping[str, object]], pricing: Pricing, name: str = "") -> Workload:
    """Return a step table as a workload of one run.

    Raises
    ------
    BadOption
        A row has an unknown column, no step, neither `usd` nor `model`, or a wrong figure.
    """
    calls, seconds = [], Fraction(0)
    for at, row in enumerate(rows, 1):
        known = {str(k): v for k, v in row.items() if not _is_missing(v)}
        _check_columns(known, at)
        calls.append(_typed_call(known, at, pricing))
        seconds += _figure(known, "seconds", at, Fraction(0)) * calls[-1].count
    use = RunUse(tuple(calls), serial_s=float(seconds), elapsed_s=float(seconds))
    return Workload(name or UNNAMED, (use,), True)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or value == ""


def _check_columns(row: Mapping[str, object], at: int) -> None:
    for key in row:
        if key not in COLUMNS:
            near = nearest(key, COLUMNS)
            hint = f"did you mean `{near}`?" if near else f"columns: {', '.join(COLUMNS)}"
            raise BadOption(f"row {at} of the step table has an unknown column `{key}`.", hint=hint, row=at)
    if not isinstance(row.get("step"), str):
        raise BadOption(f"row {at} of the step table has no `step`.", hint="a name for each step", row=at)
    if "usd" not in row and "model" not in row:
        raise BadOption(
            f"row {at} (`{row['step']}`) has neither `usd` nor `model`, so its cost is unknown.",
            hint="`usd` of one call, 0 for a look-up; or a `model` with its tokens",
            row=at,
        )


def _typed_call(row: Mapping[str, object], at: int, pricing: Pricing) -> Call:
    into, out, cached = (int(_figure(row, key, at, Fraction(0))) for key in TOKENS)
    usage = Usage(into, out, cached) if any(key in row for key in TOKENS) else None
    call = Call(str(row["step"]), str(row.get("model", "")), _figure(row, "calls", at, Fraction(1)), Fraction(0), usage)
    if "usd" in row:
        return replace(call, usd=_figure(row, "usd", at, Fraction(0)))
    return pricing.reprice(call, call.model)


def _figure(row: Mapping[str, object], key: str, at: int, otherwise: Fraction) -> Fraction:
    """Return a figure from 0 up, exactly as written: 0.1 is one tenth."""
    if key not in row:
        return otherwise
    value = row[key]
    try:
        return read_exact(value, f"row {at} (`{row['step']}`): `{key}`", of="a number")
    except BadOption as error:
        raise BadOption(str(error), hint=error.hint, row=at) from None


# ------------------------------------------------------------------ from stored runs
def recorded(runs: Iterable[Events], name: str = "") -> Workload:
    """Return stored runs as a workload. O(events).

    Raises
    ------
    BadOption
        None of the runs has ended.
    """
    kept, left_out = [], 0
    for events in runs:
        begun = started_by(events)
        if (begun.parent or {}).get("batch"):  # the rows of the batch are runs themselves
            continue
        if not _counts(events):
            left_out += 1
            continue
        kept.append(events)
        name = name or begun.graph
    if not kept:
        raise BadOption(
            f"`{name or 'it'}` has no finished run ({left_out} left out).",
            hint="run it a few times, or give a step table: [{'step': …, 'usd': …}]",
        )
    uses = tuple(_use(events) for events in kept)
    return Workload(name, uses, notes=_notes(kept, left_out))


def _counts(events: Events) -> bool:
    parent = started_by(events).parent or {}
    ended = next((e for e in reversed(events) if isinstance(e, ev.RunEnded | ev.Resumed)), None)
    if any(parent.get(kind) for kind in NOT_LIVE):
        return False
    return isinstance(ended, ev.RunEnded) and ended.status in COUNTED


def _use(events: Events) -> RunUse:
    from orch_nb.trace.span import CALLS
    from orch_nb.trace.spans import Walk

    walk = Walk()
    for event in events:
        walk.feed(event)
    rows = walk.spans()
    acts = [s for s in rows if s.kind not in CALLS and s.kind != "attempt"]
    people = sum(s.latency_s or 0.0 for s in acts if s.by)
    return RunUse(
        tuple(_calls(rows)),
        Fraction(sum(1 for s in acts if s.by)),
        sum(s.latency_s or 0.0 for s in acts if s.kind in ("agent", "function", "tool")),
        max(0.0, walk.elapsed(events[-1].at) - people),
        started_by(events).run,
    )


def _calls(rows: Iterable[Span]) -> Iterable[Call]:
    from orch_nb.trace.bill import step_of

    for span in rows:
        if span.kind == "model" and span.source is not None:
            yield Call(step_of(span), saved_usd=Fraction(span.saved_usd or 0))
        elif span.kind == "model":
            usd = span.reserved_usd if span.state == "in doubt" else span.cost_usd
            known = None if usd is None else Fraction(usd)
            usage = Usage(span.input_tokens, span.output_tokens, span.cached_tokens, span.reasoning_tokens)
            yield Call(step_of(span), span.model, usd=known, usage=usage, is_retry=span.state == "retried")
        elif span.kind == "tool" and span.cost_usd:
            yield Call(step_of(span), usd=Fraction(span.cost_usd))
        elif span.exit == "reused" and span.saved_usd:
            yield Call(step_of(span), saved_usd=Fraction(span.saved_usd))


def _notes(kept: Sequence[Events], left_out: int) -> tuple[str, ...]:
    ends = [events[-1] for events in kept]
    failed = sum(isinstance(end, ev.RunEnded) and end.status == "failed" for end in ends)
    notes = []
    if failed:
        notes.append(f"{failed} of {len(kept)} runs failed; their cost is counted, a whole run would cost more")
    begun = [started_by(events) for events in kept]
    newest = max(begun, key=lambda one: one.at).plan
    older = sum(one.plan != newest for one in begun)
    if older:
        notes.append(f"{older} of {len(kept)} runs are of an earlier definition of the graph")
    if left_out:
        notes.append(f"{left_out} run{'s are' if left_out > 1 else ' is'} left out: stopped, unfinished or replayed")
    return tuple(notes)
