"""The routing matrix as it is shown: one grid of tasks and models, and the same in text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.analysis.compare.view import interval_bar
from orch_nb.display import draws
from orch_nb.views import html
from orch_nb.views.bundle import bundle
from orch_nb.views.format import BAD, OK, WARN, count, glyph, seconds, usd
from orch_nb.views.safe_text import escape, escape_line, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from orch_nb.analysis.compare.pairs import Pair, Pairs
    from orch_nb.analysis.matrix.data import TaskRow
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.views.bundle import Bundle

MAX_FAILURES = 8
TH = "text-align:left;padding:3px 16px 3px 0;font-weight:500;border-bottom:1px solid var(--jp-border-color2, rgba(127,127,127,.35))"
TD = "text-align:left;vertical-align:top;padding:6px 16px 6px 0;white-space:nowrap"


# ------------------------------------------------------------------ matrix
def matrix_html(made: Matrix) -> str:
    """The matrix's panel."""
    head = html.bar(
        html.strong("routing matrix"),
        html.quiet(_counts(made)),
        right=html.quiet(_signature(made)) if made.signed_by else "",
    )
    if not made.rows:
        return html.panel(head, f'<div style="padding:6px 12px">{html.prose(EMPTY)}</div>')
    parts = [head, html.section(_grid(made), first=True)]
    told = "".join(f"<div>{html.prose(text, 400)}</div>" for text in remarks_of(made))
    parts.append(f'<div style="padding:2px 12px 8px">{told}</div>')
    suggestions = next_table(made)
    if suggestions is not None:
        parts.append(html.section(suggestions.html(), title="which comparison would tell most"))
    return html.panel(*parts)


def matrix_text(made: Matrix) -> str:
    """The same in plain text."""
    head = f"routing matrix · {_counts(made)}{f' · {_signature(made)}' if made.signed_by else ''}"
    if not made.rows:
        return f"{head}\n{EMPTY}"
    parts = [head, entries_table(made).text(), "\n".join(remarks_of(made))]
    suggestions = next_table(made)
    if suggestions is not None:
        parts.append(f"which comparison would tell most\n{suggestions.text()}")
    return "\n\n".join(parts)


EMPTY = "nothing was measured yet: `%%compare NAME` with a `score:`, or picks, makes evidence"


def _counts(made: Matrix) -> str:
    prices = f", prices of {made.prices_date}" if made.prices_date else ""
    return f"{count(len(made.rows), 'task')} × {count(len(made.models), 'model')}, {count(made.count, 'judgement')}{prices}"


def _signature(made: Matrix) -> str:
    return f"signed by {line(made.signed_by, 60)} on {made.signed_at}"


def remarks_of(made: Matrix) -> list[str]:
    """What the choices come to: cost and quality against all on the baseline, and how the choice is made."""
    out = []
    if made.baseline:
        blend = (
            made.blend() if len(known := _comparable(made)) == len(made.rows) else made.blend(known) if known else None
        )
        if blend is not None and blend.saving is not None:
            what = "all tasks alike" if len(known) == len(made.rows) else f"{', '.join(known)} alike"
            said = (
                f"{what}: {usd(blend.per_call_usd, 6)} a call against {usd(blend.baseline_usd, 6)} on {made.baseline}, "
            )
            said += f"saves {blend.saving * 100:.1f} %"
            if blend.quality is not None and blend.baseline_quality is not None:
                said += f"; quality {blend.quality * 100:.1f} % against {blend.baseline_quality * 100:.1f} %"
            out.append(f"{said}. Another mix: `matrix.blend({{…}})`")
    how = f"chosen: the cheapest whose lower bound is within {made.tolerance * 100:g} points of the best, from {made.minimum} rows on"
    return [*out, how, *made.notes]


def _comparable(made: Matrix) -> dict[str, int]:
    """Tasks with a choice (or the baseline's own figures) and a price on both sides, one share each."""
    out = {}
    for row in made.rows:
        base, one = row.entries.get(made.baseline), row.entries.get(row.chosen or made.baseline)
        if base is not None and one is not None and base.per_call_usd is not None and one.per_call_usd is not None:
            out[row.task] = 1
    return out


def _grid(made: Matrix) -> str:
    heads = "".join(
        f'<th style="{TH}"><span style="opacity:.75">{escape_line(h, 40)}</span></th>'
        for h in ("task", "chosen", *made.models)
    )
    body = "".join(_row_html(made, row, striped=i % 2 == 1) for i, row in enumerate(made.rows))
    return (
        '<table style="border-collapse:collapse;border:none;margin:0;font-size:inherit;color:inherit">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row_html(made: Matrix, row: TaskRow, *, striped: bool) -> str:
    shade = "rgba(127,127,127,.07)" if striped else "transparent"
    if row.chosen:
        chosen = f'<span style="color:{OK}">{glyph("done")}</span> <b>{escape_line(row.chosen, 40)}</b>'
    else:
        head, _, rest = row.because.partition(": ")
        more = f'<div style="opacity:.65;font-size:92%">{escape_line(rest, 60)}</div>'
        chosen = f'<span style="color:{WARN}">· {escape_line(head, 40)}</span>{more}'
    cells = [f"<b>{escape_line(row.task, 40)}</b>", chosen, *(_entry_html(made, row, m) for m in made.models)]
    inner = "".join(f'<td style="{TD}">{c}</td>' for c in cells)
    return f'<tr style="background:{shade}">{inner}</tr>'


def _entry_html(made: Matrix, row: TaskRow, model: str) -> str:
    one = row.entries.get(model)
    if one is None:
        return '<span style="opacity:.5">not judged</span>'
    is_chosen = model == row.chosen
    mean = f"{one.quality.mean * 100:.0f} %"
    share = _share(made, row, model)
    facts = " · ".join(
        filter(None, [share, f"n = {one.quality.n}", seconds(one.seconds) if one.seconds is not None else ""])
    )
    title = f"{one.quality.text}; judged by {', '.join(one.by)}"
    return (
        f'<div title="{escape_line(title, 300)}">{interval_bar(one.quality, strong=is_chosen, width=64)}{f"<b>{mean}</b>" if is_chosen else mean}'
        f'<span style="opacity:.6"> {one.quality.low * 100:.0f}–{one.quality.high * 100:.0f}</span></div>'
        f'<div style="opacity:.65;font-size:92%">{escape(facts, 120)}</div>'
    )


def _share(made: Matrix, row: TaskRow, model: str) -> str:
    """What a call costs: in dollars for the baseline, against it for the others."""
    one = row.entries[model]
    share = made.cost_share(row, model)
    if model == made.baseline or share is None:
        return "$?" if one.per_call_usd is None else f"{usd(one.per_call_usd)} a call"
    return f"{(share - 1) * 100:+.0f} %".replace("-", "−")


def entries_table(made: Matrix) -> Table:
    """One line for each task and model."""
    table = Table([
        Column("task"), Column("model"), Column(""), Column("quality"), Column("n", "r"), Column("$ a call", "r"),
        Column("cost", "r"), Column("seconds", "r"), Column("judged by"),
    ])  # fmt: skip
    for row in made.rows:
        for i, (model, one) in enumerate(row.entries.items()):
            share = made.cost_share(row, model)
            cost = (
                ""
                if share is None
                else "baseline"
                if model == made.baseline
                else f"{(share - 1) * 100:+.0f} %".replace("-", "−")
            )
            table.add(
                line(row.task, 40) if not i else "", line(model, 40), f"{glyph('done')} chosen" if model == row.chosen else "",
                one.quality.text, str(one.quality.n), "?" if one.per_call_usd is None else usd(one.per_call_usd, 6).removeprefix("$"),
                cost, "–" if one.seconds is None else f"{one.seconds:.2f}", line(", ".join(one.by), 60),
            )  # fmt: skip
        if not row.chosen:
            table.add("", row.because, "", "", "", "", "", "", "")
    return table


def next_table(made: Matrix) -> Table | None:
    """The comparisons that would tell most; None where none is worth anything."""
    found = made.next(3)
    if not found:
        return None
    table = Table(
        [
            Column("task"),
            Column("model"),
            Column("n", "r"),
            Column("worth", "r"),
            Column("changes the choice", "r"),
            Column("about", "r"),
        ]
    )
    for s in found:
        cost = "$?" if s.usd is None else usd(s.usd)
        table.add(
            line(s.task, 40),
            line(s.model, 40),
            str(s.n),
            f"{s.worth * 100:.2f} points",
            f"{s.changes * 100:.0f} %",
            cost,
        )
    table.notes.append(
        "ten more rows each; worth: the expected gain in quality, less cost, of the choice made afterwards"
    )
    return table


def _pair_counts(made: Pairs) -> str:
    return f"{len(made.models)} × {count(len(made.models), 'model')}, {count(len(made.rows), 'row')}"


def _pair_html(pair: Pair) -> str:
    if not pair.passed.n:
        return '<span style="opacity:.5">–</span>'
    bar = interval_bar(pair.passed, strong=not pair.failures, width=90)
    failed = f' <span style="color:{BAD}">{glyph("failed")} {len(pair.failures)}</span>' if pair.failures else ""
    return (
        f'<div>{bar}{pair.passed.mean * 100:.0f} %<span style="opacity:.6"> {pair.passed.low * 100:.0f}–{pair.passed.high * 100:.0f}</span>{failed}</div>'
        f'<div style="opacity:.65;font-size:92%">n = {pair.passed.n} · {usd(pair.usd)}</div>'
    )


def failures_table(made: Pairs) -> Table | None:
    """Why pairs fail: each reason with its first row and how many rows it is; None where none does."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for pair in made.pairs():
        for label, why in pair.failures:
            found.setdefault((pair.producer_model, pair.consumer_model, why), []).append(label)
    if not found:
        return None
    table = Table([Column("pair"), Column("rows", "r"), Column("first in"), Column("why", wrap=True)])
    for (a, b, why), labels in sorted(found.items(), key=lambda kv: -len(kv[1]))[:MAX_FAILURES]:
        table.add(f"{line(a, 30)} → {line(b, 30)}", str(len(labels)), line(labels[0], 24), Cell(line(why, 240)))
    if len(found) > MAX_FAILURES:
        table.notes.append(f"… {len(found) - MAX_FAILURES} more reasons: `.table()` has them all")
    return table


@draws("orch_nb.analysis.matrix.matrix.Matrix")
def matrix_bundle(made: Any) -> Bundle:
    """A routing matrix: task × model, what is chosen, what would tell most."""
    return bundle(matrix_text(made), matrix_html(made))
