"""The rows of a trace: steps in tree order, with their place in time, tokens and dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.trace.critical import critical_path
from orch_nb.trace.span import CALLS
from orch_nb.views import html
from orch_nb.views.format import COLOURS, RUN, glyph, places, seconds, usd, word
from orch_nb.views.safe_text import escape_line, line
from orch_nb.views.table import Cell, Column, Table
from orch_nb.views.trace_json import choose, critical_places, rows_of, with_around

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span
    from orch_nb.views.trace_json import Row

MAX_ROWS = 32
"""Rows of a trace below a run: what went wrong, the critical path, the outermost steps, the newest."""
AXIS = 170
"""Pixels of a row's place in time."""
LIVE_ROWS = 10
"""Rows while a run is under way: what went wrong, and the newest."""
TRACE_ROWS = 300
"""Rows where the trace alone is shown; `--full` shows every one."""


def trace_table(view: RunView, max_rows: int = MAX_ROWS, *, only: Callable[[Span], bool] | None = None) -> Table:
    """Steps in tree order with their place in time, tokens and dollars; where rows are left out, how many.

    Parameters
    ----------
    only
        Which rows are wanted; the steps around them are shown too, so that one sees where they belong.
    """
    rows = _shown_rows(view) if only is None else with_around(rows_of(view), only)
    path = critical_path(view)
    critical = critical_places(view, path)
    digits = places(s.cost_usd for s in view.spans)
    table = Table(
        [
            Column("step"), Column("state"), Column(_axis(view), picture=True, width=f"{AXIS}px"), Column("seconds", "r"),
            Column("queued", "r"), Column("tokens in", "r"), Column("out", "r"), Column("$", "r"), Column("model"),
            Column("what", rest=True),
        ]
    )  # fmt: skip
    kept = choose(rows, critical, max_rows)
    place = {row[0]: k for k, row in enumerate(rows)}
    before = -1
    for row in [*kept, None]:
        at = len(rows) if row is None else place[row[0]]
        if at - before > 1:
            table.add(Cell(f"… {at - before - 1:,} more", quiet=True), *[""] * 9)
        if row is not None:
            table.add(*_trace_row(view, row[1], row[2], digits))
        before = at
    if len(kept) < len(rows):
        run = line(view.run, 40)
        way = f"`%orch trace {run}`" if max_rows < TRACE_ROWS else f"`%orch trace {run} --full`"
        table.notes.append(f"{len(kept):,} of {len(rows):,} rows: {way} shows more")
    skipped = [s.key for s in view.spans if s.state == "skipped" and s.started_at is None]
    if skipped:
        more = f" and {len(skipped) - 20:,} more" if len(skipped) > 20 else ""
        table.notes.append(f"{glyph('skipped')} skipped: {', '.join(skipped[:20])}{more}")
    return table.without_empty()


def _axis(view: RunView) -> str:
    return f"0 to {seconds(view.wall_s)}"


def _shown_rows(view: RunView) -> list[Row]:
    """Activations; their calls only where there is more to say than the activation's own row says."""
    out: list[Row] = []
    told: set[int] = set()
    for row in rows_of(view):
        span = row[1]
        if span.state == "skipped" and span.started_at is None:
            continue
        if span.kind in CALLS or span.kind == "attempt":
            if id(span) not in told:
                out.append(row)
            continue
        only = span.children[0] if len(span.children) == 1 else None
        if only is not None and only.kind in CALLS and only.exit == "success" and only.source is None:
            told.add(id(only))
        out.append(row)
    return out


def _trace_row(view: RunView, span: Span, start: float | None, digits: int) -> list[str | Cell]:
    inner = bool(span.inner_tokens or span.inner_cost_usd or span.inner_cost_usd is None)
    cost = span.inner_cost_usd if inner else span.cost_usd
    has_money = inner or span.kind == "model" or span.tokens or span.cost_usd is None or span.cost_usd
    pale = span.state == "skipped" or span.kind in CALLS or span.kind == "attempt"
    return [
        Cell("  " * span.depth + _label(span), _label_html(span), quiet=span.state == "skipped"),
        Cell(f"{glyph(span.state)} {word(span.state)}", _state_html(span)),
        Cell("", _bar_html(view, span, start)),
        Cell("" if span.latency_s is None else f"{span.latency_s:.2f}", quiet=pale),
        Cell(f"{span.queued_s:.2f}" if span.queued_s >= 0.005 else "", quiet=True),
        Cell(f"{span.input_tokens:,}" if span.tokens else "", quiet=pale),
        Cell(f"{span.output_tokens:,}" if span.tokens else "", quiet=pale),
        Cell(_cost_text(cost, digits, inner=inner, shown=bool(has_money), span=span), quiet=pale or inner),
        Cell(line(span.model, 40), quiet=pale),
        Cell(_what(span), quiet=True),
    ]


def _cost_text(cost: Decimal | None, digits: int, *, inner: bool, shown: bool, span: Span) -> str:
    if span.state == "in doubt":
        return f"≤ {usd(span.reserved_usd, digits)[1:]}" if span.reserved_usd is not None else "≤ ?"
    if not shown:
        return ""
    text = usd(cost, digits).removeprefix("$")
    return f"Σ {text}" if inner else text


def _label(span: Span) -> str:
    if span.kind in CALLS:
        return line(f"{span.kind} {span.target}", 60) + (f", attempt {span.attempt}" if span.attempt > 1 else "")
    if span.kind == "attempt":
        return span.action
    parts = [line(span.node, 64)]
    if span.item is not None:
        parts.append(f"item {span.item}")
    elif span.round > 1:
        parts.append(f"round {span.round}")
    return " ".join(parts)


def _label_html(span: Span) -> str:
    name, _, rest = _label(span).partition(" ")
    indent = f'<span style="padding-left:{14 * min(span.depth, 12)}px"></span>' if span.depth else ""
    if span.kind in CALLS or span.kind == "attempt":
        return f"{indent}{html.quiet(_label(span))}"
    return f"{indent}{escape_line(name)}{' ' + html.quiet(rest) if rest else ''}"


def _state_html(span: Span) -> str:
    colour = COLOURS.get(span.state, "")
    mark = f'<span style="color:{colour}">{glyph(span.state)}</span>' if colour else glyph(span.state)
    return f"{mark} {word(span.state)}"


def _bar_html(view: RunView, span: Span, start: float | None) -> str:
    """The span's place in the run's time: queueing pale, work full."""
    if start is None or not view.wall_s:
        return ""
    if span.state == "due":
        return ""
    length = span.latency_s if span.latency_s is not None else max(0.0, view.wall_s - start)
    scale = AXIS / view.wall_s
    left = min(start * scale, AXIS - 1)
    width = max(1.0, min(length * scale, AXIS - left))
    waited = min(span.queued_s * scale, left)
    colour = COLOURS.get(span.state, RUN) if span.state not in ("success", "passed", "done") else RUN
    thin = span.kind in CALLS or span.kind == "attempt"
    queue = f"border-left:{waited:.0f}px solid rgba(127,127,127,.35);" if waited >= 0.5 else ""
    queued = waited if queue else 0.0
    look = "height:5px;opacity:.6" if thin else "height:8px"
    return (
        f'<span style="display:block;{look};{queue}background:{colour};border-radius:2px;width:{width:.0f}px;'
        f'margin:0 {max(0.0, AXIS - left - width):.0f}px 0 {left - queued:.0f}px"></span>'
    )


def _what(span: Span) -> str:
    """Return what there is to say of a row beside its figures."""
    if span.error is not None:
        return line(f"{span.error.type}: {span.error.message}", 90)
    if span.remark:
        return line(span.remark, 90)
    if span.by and span.output_text:
        return line(f"{span.action}: {span.output_text}", 90)
    if span.exit == "reused" or span.count is not None or span.kind == "human" or span.state in ("passed", "skipped"):
        return line(span.action, 90)
    if span.kind == "route" and isinstance(span.value, dict):
        return line(
            f"{span.value.get('offer') or span.value.get('ask') or 'none'}: {span.value.get('because', '')}", 90
        )
    if span.kind in CALLS:
        return line(span.action, 90) if span.source is not None else ""
    return line(span.output_text or span.input_text, 70)
