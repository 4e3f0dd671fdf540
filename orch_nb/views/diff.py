"""Two runs side by side, as they are shown: what is different first, step by step, then in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.display import draws
from orch_nb.views import html
from orch_nb.views.bundle import TRACE, bundle
from orch_nb.views.columnar import SOFT_BYTES, saved_bytes
from orch_nb.views.format import BAD, OK, WARN, count, glyph, seconds, usd, word
from orch_nb.views.safe_text import FIELD_LIMIT, clean, escape_line, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.trace.diff import Pair, RunDiff
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span
    from orch_nb.views.bundle import Bundle

MAX_PAIRS = 50
"""Steps in one display: those that are different, then the others."""
MAX_TEXTS = 12
"""Text diffs that are open below the table."""
_MARKS = {"same": "=", "changed": "≠", "only a": "−", "only b": "+", "another end": "✕"}
_COLOURS = {"changed": WARN, "only a": BAD, "only b": OK, "another end": BAD}


def diff_text(made: RunDiff) -> str:
    """The comparison in plain text."""
    parts = [*_head_lines(made), pair_table(made).text()]
    for pair in _texts(made):
        parts += ["", f"{pair.key}:", *(f"  {mark} {line(text, 300)}" for mark, text in pair.diff)]
    return "\n".join(parts)


def diff_html(made: RunDiff) -> str:
    """The same as a panel."""
    first, *rest = _head_lines(made)
    parts = [
        html.bar(html.strong(first)),
        *(f'<div style="padding:3px 12px">{html.prose(row, 400)}</div>' for row in rest),
    ]
    parts.append(html.section(pair_table(made).html()))
    for n, pair in enumerate(_texts(made)):
        parts.append(html.folded(f"{pair.key}: what is different", _diff_html(pair), is_open=n < 3))
    return html.panel(*parts)


def diff_data(made: RunDiff) -> dict[str, object]:
    """The same as plain data: text diffs for as long as there is room, what is left out counted."""
    pairs = _pairs_shown(made)
    rows = [_row(pair) for pair in pairs]
    data = {
        "kind": "compare", "a": _run(made.a), "b": _run(made.b), "same_output": made.same_output, "same_path": made.same_path,
        "usd": None if made.usd is None else str(made.usd), "rows": rows, "rows_left_out": len(made.pairs) - len(rows),
    }  # fmt: skip
    room = SOFT_BYTES // 2 - saved_bytes(data)
    for pair, row in zip(pairs, rows, strict=True):
        told = [[mark, clean(text, 500)] for mark, text in pair.diff]
        room -= saved_bytes(told) if told else 0
        if told and room > 0:
            row["diff"] = told
    return data


def _head_lines(made: RunDiff) -> list[str]:
    a, b = made.a, made.b
    rows = [f"run {line(a.run, 40)} and run {line(b.run, 40)} of {line(b.graph, 64)}"]
    if a.graph != b.graph:
        rows[0] = f"run {line(a.run, 40)} of {line(a.graph, 64)} and run {line(b.run, 40)} of {line(b.graph, 64)}"
    rows.append(
        f"output: {'the same' if made.same_output else 'different'}; path: {'the same' if made.same_path else 'different'}; {_tally(made)}"
    )
    tokens = b.bill.total.tokens - a.bill.total.tokens
    said_tokens = f"{tokens:+,} tokens" if tokens else "the same tokens"
    rows.append(f"run {line(b.run, 40)}: {_more(made.usd)}, {said_tokens}, {b.wall_s - a.wall_s:+.2f} s")
    changed = _inputs(a, b)
    if changed:
        rows.append(f"inputs that are different: {', '.join(changed)}")
    if made.first is not None:
        rows.append(f"the first difference: `{line(made.first.key, 80)}`, {made.first.what}")
    return rows


def _tally(made: RunDiff) -> str:
    counts: dict[str, int] = {}
    for pair in made.pairs:
        counts[pair.what] = counts.get(pair.what, 0) + 1
    return f"{count(len(made.pairs), 'step')}: " + ", ".join(f"{n:,} {what}" for what, n in counts.items())


def _more(amount: Decimal | None) -> str:
    if amount is None:
        return "$? (a price is unknown)"
    return f"{'+' if amount > 0 else ''}{usd(amount)}" if amount else "the same dollars"


def _inputs(a: RunView, b: RunView) -> list[str]:
    names = dict.fromkeys([*a.inputs, *b.inputs])
    missing = object()
    return [f"`{line(n, 40)}`" for n in names if a.inputs.get(n, missing) != b.inputs.get(n, missing)]


def _pairs_shown(made: RunDiff) -> list[Pair]:
    """At most `MAX_PAIRS` steps in their order: those that are different go first."""
    if len(made.pairs) <= MAX_PAIRS:
        return made.pairs
    kept = {id(p) for p in sorted(made.pairs, key=lambda p: p.what == "same")[:MAX_PAIRS]}
    return [pair for pair in made.pairs if id(pair) in kept]


def _texts(made: RunDiff) -> list[Pair]:
    return [pair for pair in made.pairs if pair.diff][:MAX_TEXTS]


def pair_table(made: RunDiff) -> Table:
    """One row for each step: what is different, and both runs' state, model, seconds, tokens, dollars."""
    a, b = line(made.a.run, 20), line(made.b.run, 20)
    table = Table([Column("step"), Column(""), Column(f"state {a}"), Column(f"state {b}"), Column(f"model {a}"), Column(f"model {b}"),
                   Column(f"s {a}", "r"), Column(f"s {b}", "r"), Column("tokens Δ", "r"), Column("$ Δ", "r")])  # fmt: skip
    shown = _pairs_shown(made)
    for pair in shown:
        one, other = pair.a, pair.b
        quiet = pair.what == "same"
        table.add(
            Cell(line(pair.key, 64), quiet=quiet), Cell(f"{_MARKS[pair.what]} {pair.what}", colour=_COLOURS.get(pair.what, ""), quiet=quiet),
            *(Cell(_state(s), quiet=quiet) for s in (one, other)), *(Cell(line(s.model, 40) if s else "", quiet=True) for s in (one, other)),
            *(Cell(f"{s.latency_s:.2f}" if s and s.latency_s is not None else "", quiet=quiet) for s in (one, other)),
            Cell(_delta(_tokens(other) - _tokens(one)), quiet=quiet), Cell(_money(one, other), quiet=quiet),
        )  # fmt: skip
    if len(shown) < len(made.pairs):
        table.notes.append(f"{len(made.pairs) - len(shown):,} more steps, all the same; `.pairs` has them")
    return table.without_empty()


def _state(span: Span | None) -> str:
    return "not reached" if span is None else f"{glyph(span.state)} {word(span.state)}"


def _tokens(span: Span | None) -> int:
    return 0 if span is None else span.tokens + span.inner_tokens


def _delta(number: int) -> str:
    return f"{number:+,}" if number else ""


def _money(a: Span | None, b: Span | None) -> str:
    left, right = (a.cost_usd if a else 0), (b.cost_usd if b else 0)
    if left is None or right is None:
        return "?"
    more = right - left
    return f"{'+' if more > 0 else '-'}{usd(abs(more)).removeprefix('$')}" if more else ""  # type: ignore[arg-type]


def _diff_html(pair: Pair) -> str:
    """A text diff: sign and shade, never shade alone."""
    shades = {"-": "rgba(214,69,69,.14)", "+": "rgba(47,158,85,.16)"}
    rows = "".join(
        f'<div style="background:{shades.get(mark, "transparent")}">{escape_line(f"{mark} {text}", 500)}</div>'
        for mark, text in pair.diff
    )
    style = f"font:12px/1.5 {html.MONO};white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<div style="{style}">{rows}</div>'


def _run(view: RunView) -> dict[str, object]:
    total = view.bill.total
    return {"run": view.run, "graph": view.graph, "status": view.status, "wall_s": round(view.wall_s, 4),
            "usd": str(total.spent_usd), "unpriced": total.unpriced, "tokens": total.tokens, "said": seconds(view.wall_s)}  # fmt: skip


def _row(pair: Pair) -> dict[str, object]:
    return {"key": clean(pair.key, 400), "step": clean(pair.step, 200), "round": pair.round, "what": pair.what,
            "a": _cell(pair.a), "b": _cell(pair.b)}  # fmt: skip


def _cell(span: Span | None) -> dict[str, object] | None:
    if span is None:
        return None
    return {"state": span.state, "model": clean(span.model, 200), "tokens": _tokens(span),
            "seconds": None if span.latency_s is None else round(span.latency_s, 4),
            "usd": None if span.cost_usd is None else str(span.cost_usd), "output": clean(span.output_text, FIELD_LIMIT)}  # fmt: skip


@draws("orch_nb.trace.diff.RunDiff")
def diff_bundle(made: RunDiff) -> Bundle:
    """Two runs side by side: what is different in path, outputs, tokens, dollars, time."""
    return bundle(diff_text(made), diff_html(made), kind=TRACE, data=diff_data(made))
