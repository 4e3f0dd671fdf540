"""A forecast as it is shown: the bill of a day, a month and a year, where a saving comes from, each step before and after."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.forecast.forecast import dollars
from orch_nb.analysis.forecast.scenario import measured_rates
from orch_nb.analysis.intervals import FEWEST
from orch_nb.display import draws
from orch_nb.lang.quantity import Quantity, rounded
from orch_nb.views import html
from orch_nb.views.bundle import bundle
from orch_nb.views.format import count
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.analysis.forecast.forecast import Forecast, Projection
    from orch_nb.views.bundle import Bundle

FEW = 20
"""Runs below which an interval is said to rest on little."""
MAX_STEPS = 60
"""Rows of the table of steps; `steps()` has all."""


def forecast_html(made: Forecast) -> str:
    """The forecast's panel."""
    head = html.bar(html.strong(made.name), html.quiet(_volume(made)), right=html.strong(_a_run(made)))
    notes = "".join(f"<div>{html.quiet(note)}</div>" for note in _notes(made))
    tables = [html.section(t.html(), title=title, first=not at) for at, (title, t) in enumerate(_tables(made))]
    return html.panel(head, *tables, html.section(notes))


def forecast_text(made: Forecast) -> str:
    """The same in plain text."""
    parts = [f"{line(made.name)} · {_volume(made)} · {_a_run(made)}"]
    parts += [f"{title}\n{table.text()}" if title else table.text() for title, table in _tables(made)]
    return "\n\n".join([*parts, "\n".join(line(note, 400) for note in _notes(made))])


def _volume(made: Forecast) -> str:
    return f"{_count(made.per_day)} runs a day"


def _a_run(made: Forecast) -> str:
    return f"{_money(made.parts.total)} a run"


def _tables(made: Forecast) -> list[tuple[str, Table]]:
    found = [("", _periods(made))]
    if made.saving is not None and made.saving.parts:
        found.append(("where the saving comes from", _parts(made)))
    found.append((_steps_title(made), _steps(made)))
    models = made.models()
    if len(models) > 1:
        found.append(("what each model takes", _models(models)))
    return found


# ------------------------------------------------------------------ tables
def _periods(made: Forecast) -> Table:
    columns = [Column(), Column("cost", "r")]
    has_band = made.day.low_usd is not None
    if has_band:
        columns.append(Column(f"{made.confidence * 100:g} % interval", "r"))
    if made.saving is not None:
        columns += [Column(line(made.saving.name, 40), "r"), Column("saving", "r"), Column("", "r")]
    table = Table(columns)
    for period in (made.day, made.month, made.year):
        table.add(*_period(made, period, has_band=has_band))
    return table


def _period(made: Forecast, period: Projection, *, has_band: bool) -> list[Cell]:
    cells = [Cell(f"a {period.period}"), Cell(_cents(period.usd), strong=True)]
    if has_band and period.low_usd is not None and period.high_usd is not None:
        cells.append(Cell(f"{_cents(period.low_usd)} to {_cents(period.high_usd)}"))
    if made.saving is not None:
        share = _percent(made.saving.share)
        cells += [Cell(_cents(period.baseline_usd)), Cell(_cents(period.saving_usd), strong=True), Cell(share)]
    return cells


def _parts(made: Forecast) -> Table:
    heads = ("a run", "a day", "a year", "of what was left")
    table = Table([Column("saving by"), *(Column(head, "r") for head in heads)])
    for row in made.saving_rows():
        is_total = row["part"] == "together"
        share = _percent(row["share"]) + (" of the baseline" if is_total else "")
        amounts = (_money(row["run_usd"]), _cents(row["day_usd"]), _cents(row["year_usd"]))
        table.add(*(Cell(text, strong=is_total) for text in (row["part"], *amounts, share)))
    return table


def _steps_title(made: Forecast) -> str:
    return "each step, a run" if made.saving is None or not made.saving.steps else "each step, before and after, a run"


def _steps(made: Forecast) -> Table:
    columns = [Column("step"), Column("model"), Column("calls", "r"), Column("before", "r"), Column("cost", "r")]
    table = Table([*columns, Column("less by", "r"), Column("share", "r")])
    rows = made.steps()
    for row in rows[:MAX_STEPS]:
        before, usd = row["before_usd"], row["usd"]
        less = _percent(1 - Fraction(usd) / Fraction(before)) if before and usd is not None else ""
        shown = ["" if value is None else _money(value) for value in (before, usd)]
        calls = "" if row["calls"] is None else f"{row['calls']:.4g}"
        table.add(row["step"], row["model"], calls, *shown, less, _percent(row["share"]) if usd is not None else "")
    if len(rows) > MAX_STEPS:
        table.notes.append(f"and {len(rows) - MAX_STEPS} more: `.steps()` has all")
    return table.without_empty()


def _models(rows: list[dict[str, Any]]) -> Table:
    heads = ("calls", "of calls", "cost", "of dollars")
    table = Table([Column("model"), *(Column(head, "r") for head in heads)])
    for row in rows:
        shares = [_percent(row[key]) for key in ("calls_share", "usd_share")]
        table.add(row["model"], f"{row['calls']:.4g}", shares[0], _money(row["usd"]), shares[1])
    return table


# ------------------------------------------------------------------ notes
def _notes(made: Forecast) -> list[str]:
    runs, is_typed = len(made.workload.runs), made.workload.is_typed
    source = "a step table" if is_typed else f"{count(runs, 'stored run')}, seed {made.seed}"
    notes = [f"from {source}{_rates(made)}"]
    if not is_typed and runs < FEWEST:
        notes.append(f"an interval needs {FEWEST} runs at least; here {'is' if runs == 1 else 'are'} {runs}")
    elif not is_typed and runs < FEW:
        notes.append(f"the interval rests on {runs} runs: {FEW} or more would make it firmer")
    if made.one_agent_usd is not None:
        notes.append(
            f"one agent doing all of it in one call would cost about {_money(made.one_agent_usd)} a run, "
            f"{_cents(made.one_agent_usd * dollars(made.per_day))} a day "
            "(dearest model used, largest prompt, all answers)"
        )
    if made.saving is not None and made.saving.base_calls is not None:
        before, own = _count(made.saving.base_calls), _count(made.saving.own_calls)
        notes.append(f"calls to models a run: {before} in the baseline, {own} here")
    days = f"a month has {made.days_in_month} days here, a year {made.days_in_year}"
    return [*notes, *made.workload.notes, days]


def _rates(made: Forecast) -> str:
    """The rates that the figures rest on: those that the runs show, and those that are supposed instead."""
    scenario = made.scenario
    supposed = {"cache_hits": scenario.cache_hits, "retries": scenario.retries, "reviews": scenario.reviews}
    told = [_rate(name, rate) for name, rate in supposed.items() if rate is not None]
    if scenario.review_usd:
        told.append(f"{_money(scenario.review_usd)} a review")
    told += [f"{old} on {new}" for old, new in scenario.swap.items()]
    rates = {} if made.workload.is_typed else measured_rates(made.workload)
    seen = [_rate(name, rate) for name, rate in rates.items() if supposed[name] is None]
    parts = [f"{word}: {', '.join(what)}" for word, what in (("measured", seen), ("supposed", told)) if what]
    return "".join(f"; {part}" for part in parts)


def _rate(name: str, rate: Fraction) -> str:
    words = {"cache_hits": "cache hits {} of calls", "retries": "{} retries a call", "reviews": "{} reviews a run"}
    return words[name].format(_percent(rate) if name == "cache_hits" else f"{float(rate):.3g}")


# ------------------------------------------------------------------ figures
def _money(value: Fraction | Decimal) -> str:
    """Dollars: cents, and as many more digits as a fraction of a cent needs."""
    return Quantity(Fraction(value), usd=1).shown()


def _cents(value: Decimal | None) -> str:
    """Dollars and cents, no more."""
    return Quantity(Fraction(value or 0), usd=1).shown(decimals=2)


def _percent(share: Fraction | float) -> str:
    return f"{rounded(Fraction(share) * 100, 1)} %"


def _count(value: Fraction) -> str:
    return Quantity(value).shown()


@draws("orch_nb.analysis.forecast.forecast.Forecast")
def forecast_bundle(made: Forecast) -> Bundle:
    """A forecast: a day, a month, a year, where a saving comes from, each step, what it rests on."""
    return bundle(forecast_text(made), forecast_html(made))
