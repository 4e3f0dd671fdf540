"""A batch as it is shown: progress, money, the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.notebook import markup
from orch_nb.notebook.table import Cell, Column, Table
from orch_nb.notebook.visible import line
from orch_nb.notebook.words import COLOURS, count, glyph, places, seconds, usd, word
from orch_nb.trace.brief import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ROWS = 30
ORDER = ("done", "running", "waiting", "failed", "cancelled", "pending")


def batch_html(batch: Any) -> str:
    """The batch's panel."""
    progress = batch.progress
    left = [
        markup.strong(batch.graph), markup.quiet(f"batch {batch.run}"), markup.state(batch.status),
        _bar_html(progress), markup.quiet(_counts(progress)),
    ]  # fmt: skip
    parts = [markup.bar(*left, right=markup.strong(usd(batch.spent_usd)))]
    parts += [f'<div style="padding:4px 12px">{markup.prose(text, 400)}</div>' for text in _remarks(batch)]
    parts.append(markup.section(rows_table(batch.rows).html(), first=True))
    return markup.panel(*parts)


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
        out.append(f"`%orch resume {batch.run}` goes on with what is not done")
    return out


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
    for row in shown:
        first = next(iter(row.inputs.values()), "") if len(row.inputs) == 1 else row.inputs
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
    total_s = sum(r.seconds or 0.0 for r in rows)
    if total_s:
        table.notes.append(f"{seconds(total_s)} of work in all rows together")
    return table
