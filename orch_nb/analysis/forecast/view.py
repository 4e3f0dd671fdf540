"""The display of a forecast: the cost of a day, a month and a year, the parts of a saving, each step."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.analysis.forecast.forecast import dollars
from orch_nb.analysis.forecast.scenario import measured_rates
from orch_nb.analysis.intervals import FEWEST
from orch_nb.analysis.panel import Panel
from orch_nb.display import draws
from orch_nb.lang.quantity import Quantity, rounded
from orch_nb.views.format import count
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.analysis.forecast.forecast import Forecast, Projection
    from orch_nb.views.bundle import Bundle

FEW = 20
"""Number of runs below which a note calls the interval uncertain."""
MAX_STEPS = 60
"""Largest number of rows of the table of steps; `steps()` has all."""


@draws("orch_nb.analysis.forecast.forecast.Forecast")
def forecast_bundle(forecast: Forecast) -> Bundle:
    """Draw a forecast: the periods, the parts of the saving, each step, the notes."""
    panel = Panel(
        forecast.name, facts=[f"{_count(forecast.per_day)} runs a day"], right=f"{_money(forecast.parts.total)} a run"
    )
    for title, table in _tables(forecast):
        panel.table(table, title=title)
    return panel.lines(_notes(forecast), is_quiet=True).bundle()


def _tables(forecast: Forecast) -> list[tuple[str, Table]]:
    found = [("", _periods(forecast))]
    if forecast.saving is not None and forecast.saving.parts:
        found.append(("parts of the saving", _parts(forecast)))
    found.append((_steps_title(forecast), _steps(forecast)))
    models = _models(forecast)
    if len(models.rows) > 1:
        found.append(("each model, a run", models))
    return found


# ------------------------------------------------------------------ tables
def _periods(forecast: Forecast) -> Table:
    columns = [Column(), Column("cost", "r")]
    has_band = forecast.day.low_usd is not None
    if has_band:
        columns.append(Column(f"{forecast.confidence * 100:g} % interval", "r"))
    if forecast.saving is not None:
        columns += [Column(line(forecast.saving.name, 40), "r"), Column("saving", "r"), Column("", "r")]
    table = Table(columns)
    for period in (forecast.day, forecast.month, forecast.year):
        table.add(*_period(forecast, period, has_band=has_band))
    return table


def _period(forecast: Forecast, period: Projection, *, has_band: bool) -> list[Cell]:
    cells = [Cell(f"a {period.period}"), Cell(_cents(period.usd), strong=True)]
    if has_band and period.low_usd is not None and period.high_usd is not None:
        cells.append(Cell(f"{_cents(period.low_usd)} to {_cents(period.high_usd)}"))
    if forecast.saving is not None:
        share = _percent(forecast.saving.share)
        cells += [Cell(_cents(period.baseline_usd)), Cell(_cents(period.saving_usd), strong=True), Cell(share)]
    return cells


def _parts(forecast: Forecast) -> Table:
    heads = ("a run", "a day", "a year", "of what was left")
    table = Table([Column("saving by"), *(Column(head, "r") for head in heads)])
    for row in forecast.saving_rows():
        is_total = row["part"] == "together"
        share = _percent(row["share"]) + (" of the baseline" if is_total else "")
        amounts = (_money(row["run_usd"]), _cents(row["day_usd"]), _cents(row["year_usd"]))
        table.add(*(Cell(text, strong=is_total) for text in (row["part"], *amounts, share)))
    return table


def _steps_title(forecast: Forecast) -> str:
    return (
        "each step, a run"
        if forecast.saving is None or not forecast.saving.steps
        else "each step, before and after, a run"
    )


def _steps(forecast: Forecast) -> Table:
    columns = [Column("step"), Column("model"), Column("calls", "r"), Column("before", "r"), Column("cost", "r")]
    table = Table([*columns, Column("less by", "r"), Column("share", "r")])
    rows = forecast.steps()
    for row in rows[:MAX_STEPS]:
        before, usd = row["before_usd"], row["usd"]
        less = _percent(1 - Fraction(usd) / Fraction(before)) if before and usd is not None else ""
        shown = ["" if value is None else _money(value) for value in (before, usd)]
        calls = "" if row["calls"] is None else f"{row['calls']:.4g}"
        table.add(row["step"], row["model"], calls, *shown, less, _percent(row["share"]) if usd is not None else "")
    if len(rows) > MAX_STEPS:
        table.notes.append(f"and {len(rows) - MAX_STEPS} more: `.steps()` has all")
    return table.without_empty()


def _models(forecast: Forecast) -> Table:
    heads = ("calls", "of calls", "cost", "of dollars")
    table = Table([Column("model"), *(Column(head, "r") for head in heads)])
    for row in forecast.models():
        shares = [_percent(row[key]) for key in ("calls_share", "usd_share")]
        table.add(row["model"], f"{row['calls']:.4g}", shares[0], _money(row["usd"]), shares[1])
    return table


# ------------------------------------------------------------------ notes
def _notes(forecast: Forecast) -> list[str]:
    runs, is_typed = len(forecast.workload.runs), forecast.workload.is_typed
    source = "a step table" if is_typed else f"{count(runs, 'stored run')}, seed {forecast.seed}"
    notes = [f"from {source}{_rates(forecast)}"]
    if not is_typed and runs < FEWEST:
        notes.append(f"an interval needs at least {FEWEST} runs, got {runs}")
    elif not is_typed and runs < FEW:
        notes.append(f"the interval is from {runs} runs only: {FEW} or more make it more reliable")
    if forecast.one_agent_usd is not None:
        notes.append(
            f"baseline of one agent with one call: about {_money(forecast.one_agent_usd)} a run, "
            f"{_cents(forecast.one_agent_usd * dollars(forecast.per_day))} a day "
            "(most expensive model, largest prompt, all answers)"
        )
    if forecast.saving is not None and forecast.saving.base_calls is not None:
        before, own = _count(forecast.saving.base_calls), _count(forecast.saving.own_calls)
        notes.append(f"calls to models a run: {before} in the baseline, {own} here")
    days = f"a month has {forecast.days_in_month} days, a year {forecast.days_in_year}"
    return [*notes, *forecast.workload.notes, days]


def _rates(forecast: Forecast) -> str:
    """Return the rates behind the figures: the measured ones, and the assumed ones."""
    scenario = forecast.scenario
    given = {"cache_hits": scenario.cache_hits, "retries": scenario.retries, "reviews": scenario.reviews}
    assumed = [_rate(name, rate) for name, rate in given.items() if rate is not None]
    if scenario.review_usd:
        assumed.append(f"{_money(scenario.review_usd)} a review")
    assumed += [f"{old} on {new}" for old, new in scenario.swap.items()]
    rates = {} if forecast.workload.is_typed else measured_rates(forecast.workload)
    seen = [_rate(name, rate) for name, rate in rates.items() if given[name] is None]
    parts = [f"{word}: {', '.join(what)}" for word, what in (("measured", seen), ("assumed", assumed)) if what]
    return "".join(f"; {part}" for part in parts)


def _rate(name: str, rate: Fraction) -> str:
    words = {"cache_hits": "cache hits {} of calls", "retries": "{} retries a call", "reviews": "{} reviews a run"}
    return words[name].format(_percent(rate) if name == "cache_hits" else f"{float(rate):.3g}")


# ------------------------------------------------------------------ figures
def _money(value: Fraction | Decimal) -> str:
    """Return dollars: cents, and as many more digits as a fraction of a cent needs."""
    return Quantity(Fraction(value), usd=1).shown()


def _cents(value: Decimal | None) -> str:
    """Return dollars and cents."""
    return Quantity(Fraction(value or 0), usd=1).shown(decimals=2)


def _percent(share: Fraction | float) -> str:
    return f"{rounded(Fraction(share) * 100, 1)} %"


def _count(value: Fraction) -> str:
    return Quantity(value).shown()
