"""A batch as it is shown: progress, money, the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.trace.preview import brief
from orch_nb.views import html
from orch_nb.views.bundle import bundle
from orch_nb.views.format import COLOURS, count, glyph, places, seconds, usd, word
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.views.bundle import Bundle

MAX_ROWS = 30
ORDER = ("done", "running", "waiting", "failed", "cancelled", "pending")


def batch_html(batch: Any) -> str:
    """The batch's panel."""
    progress = batch.progress
    left = [
        html.strong(batch.graph), html.quiet(f"batch {batch.run}"), html.state(batch.status),
        _bar_html(progress), html.quiet(_counts(progress)),
    ]  # fmt: skip
    parts = [html.bar(*left, right=html.strong(usd(batch.spent_usd)))]
    parts += [f'<div style="padding:4px 12px">{html.prose(text, 400)}</div>' for text in _remarks(batch)]
    parts.append(html.section(rows_table(batch.rows).html(), first=True))
    return html.panel(*parts)


def batch_text(batch: Any) -> str:
    """The same in plain text."""
    head = (
        f"{batch.graph} · batch {batch.run} · {glyph(batch.status)} {word(batch.status)} · {_counts(batch.progress)}"
        f" · {usd(batch.spent_usd)}"
    )
    return "\n".join([head, *_remarks(batch), "", rows_table(batch.rows).text()])


def _counts(progress: Any) -> str:
    total = sum(progress.values())
    known = [s for s in ORDER if progress.get(s)] + [s for s in progress if s not in ORDER]
    return f"{count(total, 'row')}: " + ", ".join(f"{progress[s]:,} {word(s)}" for s in known)


def _remarks(batch: Any) -> list[str]:
    out = []
    if batch.stopped:
        out.append(f"stopped: {batch.stopped}")
    if batch.status != "running" and any(r.status != "done" for r in batch.rows):
        out.append(f"{_way_on(batch)} continues with what is not done")
    return out


def _way_on(batch: Any) -> str:
    """The line that continues: at a budget, with more of it."""
    refused = [row.error for row in batch.rows if row.status == "pending" and row.error]
    if any("notebook" in text for text in refused):
        return f"`%orch budget +…`, then `%orch resume {batch.run}`,"
    return f"`%orch resume {batch.run}{' --budget …' if refused else ''}`"


def _bar_html(progress: Any) -> str:
    total = sum(progress.values()) or 1
    pieces = "".join(
        f'<span style="display:inline-block;height:8px;width:{100 * progress[s] / total:.2f}%;'
        f'background:{COLOURS.get(s, "transparent")}"></span>'
        for s in ORDER
        if progress.get(s)
    )
    return (
        '<span style="display:inline-block;width:160px;height:8px;border-radius:3px;overflow:hidden;font-size:0;'
        f'background:rgba(127,127,127,.2);vertical-align:middle">{pieces}</span>'
    )


def _shared_inputs(rows: Sequence[Any]) -> dict[str, Any]:
    """Inputs that every row has with one value: they tell no row from another."""
    if len(rows) < 2:
        return {}
    first = rows[0].inputs
    return {
        n: v
        for n, v in first.items()
        if len(first) > 1 and all(r.inputs.get(n) is v or r.inputs.get(n) == v for r in rows)
    }


def rows_table(rows: Sequence[Any]) -> Table:
    """The rows: input, output, state, money. The first of them, and of the rest those that did not end well."""
    shown = list(rows[:MAX_ROWS])
    shown += [r for r in rows[MAX_ROWS:] if r.status in ("failed", "waiting")][:MAX_ROWS]
    digits = places(r.usd for r in shown)
    table = Table(
        [
            Column("row"),
            Column("state"),
            Column("seconds", "r"),
            Column("$", "r"),
            Column("input"),
            Column("output", rest=True),
        ]
    )
    same = _shared_inputs(rows)
    for row in shown:
        own = {name: value for name, value in row.inputs.items() if name not in same}
        first = next(iter(own.values()), "") if len(own) == 1 else own
        after = f"{row.error}" if row.error else "" if row.output is None else brief(row.output, 120)
        table.add(
            line(str(row.index), 24),
            Cell(
                f"{glyph(row.status)} {word(row.status)}",
                colour=COLOURS.get(row.status, "") if row.status == "failed" else "",
            ),
            "" if row.seconds is None else f"{row.seconds:.2f}",
            usd(row.usd, digits).removeprefix("$") if row.status != "pending" or row.usd else "",
            Cell(brief(first, 60), quiet=True),
            line(after, 160),
        )
    if len(rows) > len(shown):
        table.notes.append(f"… {len(rows) - len(shown):,} more rows: `.table` has them all")
    table.notes += [f"the same for all rows: {line(name, 64)} {brief(value, 60)}" for name, value in same.items()]
    total_s = sum(r.seconds or 0.0 for r in rows)
    if total_s:
        table.notes.append(f"{seconds(total_s)} of work in all rows together")
    return table


def batch_bundle(batch: object) -> Bundle:
    """A batch: how many rows are where, what it cost, the first rows."""
    return bundle(batch_text(batch), batch_html(batch))
