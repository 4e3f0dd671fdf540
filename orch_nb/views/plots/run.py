"""A run as figures: where its time went, and where its dollars went."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.trace.span import CALLS
from orch_nb.views.format import BAD, COLOURS, RUN, WARN, count, seconds, usd, word
from orch_nb.views.plots.figure import INK, QUIET, Picture, chart_axes, words
from orch_nb.views.safe_text import line

if TYPE_CHECKING:
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

MAX_BARS = 60
"""Rows of a timeline: more cannot be read on one page. The longest are kept, in order of time."""


def plot_timeline(view: RunView) -> Picture:
    """Steps along the run's time: queueing pale, work full, failures marked by word too."""
    rows = [(s, t) for s, t in zip(view.spans, view.starts, strict=True) if t is not None and _is_step(s)]
    kept = sorted(rows, key=lambda row: -(row[0].latency_s or 0.0))[:MAX_BARS]
    kept.sort(key=lambda row: row[1])
    said = f"{view.graph}, run {view.run}: {seconds(view.wall_s)}, {count(len(rows), 'step')}"
    names = [line(s.key, 28) for s, _ in kept]
    left = 24 + 6.8 * max(map(len, names), default=8)
    head = said if len(rows) <= MAX_BARS else f"{said}; the longest {MAX_BARS}"
    made, axes = chart_axes(
        head, x="seconds", width=680 + left, height=96 + 20 * max(1, len(kept)), left=left, said=said
    )
    axes.grid(visible=False)
    axes.set_xlim(0, max(view.wall_s, 1e-9))
    axes.set_ylim(max(1, len(kept)) - 0.4, -0.6)
    axes.set_yticks(range(len(kept)), names, parse_math=False)
    for place, (span, start) in enumerate(kept):
        _bar(axes, view, span, start, place)
    return made


def _is_step(span: Span) -> bool:
    return span.kind not in CALLS and span.kind != "attempt" and span.state != "due"


def _bar(axes: Any, view: RunView, span: Span, start: float, place: int) -> None:
    length = span.latency_s if span.latency_s is not None else max(0.0, view.wall_s - start)
    colour = RUN if span.exit == "success" else COLOURS.get(span.state, RUN)
    queued = min(span.queued_s, start)
    if queued:
        axes.barh(place, queued, left=start - queued, height=0.5, color=INK, alpha=0.18)
    axes.barh(place, max(length, view.wall_s * 0.002), left=start, height=0.5, color=colour, alpha=0.85)
    if span.exit not in ("success", "reused"):
        end = start + length
        is_late = end > 0.8 * view.wall_s
        words(
            axes,
            start if is_late else end,
            place,
            f" {word(span.state)} ",
            9.5,
            va="center",
            ha="right" if is_late else "left",
        )


def plot_cost(view: RunView) -> Picture:
    """Dollars by step beside dollars over time against the budget. What has no known price is named, never drawn as zero."""
    bill = view.bill
    said = f"{view.graph}, run {view.run}: {usd(bill.total.spent_usd)}"
    said += f" of {usd(bill.limit_usd)}" if bill.limit_usd is not None else ""
    said += f", {count(bill.total.unpriced, 'call')} of unknown price besides" if bill.total.unpriced else ""
    lines = sorted((row for row in bill.steps if row.spent_usd), key=lambda row: -row.spent_usd)[:20]
    made, axes = chart_axes(
        said, y="dollars so far", x="seconds", width=860, height=max(260, 90 + 18 * len(lines)), said=said
    )
    axes.set_position((0.08, 0.16, 0.40, 0.70))
    _cumulative(axes, view)
    by_step = made.add_axes((0.64, 0.16, 0.28, 0.70), frameon=False)
    by_step.tick_params(labelsize=8.5, colors=QUIET, length=0, labelbottom=False)
    by_step.set_yticks(range(len(lines)), [line(row.name, 24) for row in lines], parse_math=False)
    by_step.set_ylim(max(6, len(lines)) - 0.4, -0.6)
    for place, row in enumerate(lines):
        by_step.barh(place, float(row.spent_usd), height=0.5, color=RUN, alpha=0.85)
        words(by_step, float(row.spent_usd), place, f" {usd(row.spent_usd)}", 9.5, va="center", clip_on=False)
    return made


def spending(view: RunView) -> tuple[list[float], list[Decimal]]:
    """Dollars spent by each instant of running time: one point at 0, one for each call that came back with a price."""
    ends = sorted(
        (start + (span.latency_s or 0.0), span.cost_usd)
        for span, start in zip(view.spans, view.starts, strict=True)
        if span.kind in CALLS and start is not None and span.cost_usd and span.latency_s is not None
    )
    times, sums = [0.0], [Decimal(0)]
    for at, cost in ends:
        times.append(at)
        sums.append(sums[-1] + cost)
    return times, sums


def _cumulative(axes: Any, view: RunView) -> None:
    times, sums = spending(view)
    axes.set_xlim(0, max(view.wall_s, 1e-9))
    axes.step([*times, view.wall_s], [float(s) for s in (*sums, sums[-1])], where="post", color=RUN, linewidth=1.6)
    axes.fill_between(
        [*times, view.wall_s], [float(s) for s in (*sums, sums[-1])], step="post", color=RUN, alpha=0.10, linewidth=0
    )
    limit = view.bill.limit_usd
    if limit is not None and sums[-1] >= limit / 4:
        axes.axhline(float(limit), color=BAD if sums[-1] > limit else WARN, linewidth=1.0, linestyle=(0, (4, 3)))
        words(axes, view.wall_s, float(limit), f"budget {usd(limit)} ", 9.5, ha="right", va="bottom")
    axes.set_ylim(bottom=0)
