"""The display of a comparison: candidates with their intervals, format differences, answers side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.analysis.compare.picks import letter
from orch_nb.analysis.panel import Panel, interval_bar
from orch_nb.display import draws
from orch_nb.errors import OrchError
from orch_nb.trace.preview import brief
from orch_nb.views import html
from orch_nb.views.format import BAD, COLOURS, OK, WARN, count, glyph, places, usd, word
from orch_nb.views.safe_text import as_text, clean, escape, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.analysis.compare.comparison import Comparison
    from orch_nb.analysis.compare.judge import Bench
    from orch_nb.analysis.compare.results import Ladder, Standing
    from orch_nb.runtime.batch import Row
    from orch_nb.views.bundle import Bundle

MAX_ROWS = 12
"""Number of rows whose answers are shown; edge cases, failures and differences come first."""
MAX_ANSWER = 700
MAX_FLAGS = 12
ORDER = ("done", "running", "failed", "cancelled", "pending")
STRIPE = "rgba(127,127,127,.07)"


def compare_panel(comparison: Comparison, *, as_of: str = "") -> Panel:
    """Describe the comparison's panel: candidates, format differences, answers."""
    panel = Panel(
        comparison.name, f"comparison {comparison.run}", comparison.status, (_counts(comparison), as_of), _money(comparison)
    ).lines(remarks_of(comparison))  # fmt: skip
    if not comparison.is_hidden:
        panel.table(standings_table(comparison))
        panel.table(flags_table(comparison), title=_flags_title(comparison))
    return panel.add(_answers_html(comparison), _answers_text(comparison), title="answers")


# ------------------------------------------------------------------ head
def _counts(comparison: Comparison) -> str:
    found = Counter(c.status for c in comparison.cells)
    edges = sum(r.is_fixture for r in comparison.rows)
    known = ", ".join(f"{found[s]:,} {word(s)}" for s in ORDER if found.get(s))
    more = f" ({count(edges, 'edge case')})" if edges else ""
    return f"{count(len(comparison.rows), 'row')}{more} × {count(len(comparison.candidates), 'candidate')}: {known}"


def _money(comparison: Comparison) -> str:
    unknown = any(c.unpriced for c in comparison.handle.rows)
    judges = sum((c.usd for c in comparison.judgements), start=comparison.spent_usd - comparison.spent_usd)
    own = f", {usd(judges)} of it for {count(len(comparison.judgements), 'judgement')}" if comparison.judgements else ""
    return f"{usd(comparison.spent_usd)}{' and unpriced calls' if unknown else ''}{own}"


def remarks_of(comparison: Comparison) -> list[str]:
    """Return the remarks: the best candidate, what is left to do, the agreement of judges."""
    out = list(comparison.notes)
    if comparison.is_hidden:
        left = len(comparison.to_pick)
        todo = (
            f"{left} of {len(comparison.rows)} rows still need a pick"
            if comparison.done()
            else "you can pick once all have answered"
        )
        out.append(f'Blind comparison, names are hidden; {todo}: `{comparison.name}.pick(row, "A")`, or "tie"')
        return out
    if comparison.done():
        out += _verdict(comparison)
    for bench in comparison.benches:
        out.append(_judge_line(comparison, bench))
    if comparison.done() and any(c.status != "done" for c in comparison.cells):
        why = f"stopped: {comparison.handle.stopped}; " if comparison.handle.stopped else ""
        more = " --budget …" if "budget" in comparison.handle.stopped else ""
        out.append(f"{why}`%orch resume {comparison.run}{more}` runs what is not done")
    return out


def _verdict(comparison: Comparison) -> list[str]:
    try:
        best = comparison.winner()
    except OrchError:
        return (
            []
            if not comparison.rows
            else [f'Nothing is scored: `score:` in the cell, or `{comparison.name}.pick(row, "A")`']
        )
    chosen = comparison.ladder().chosen
    q = best.quality
    verdict = (
        f"Best: {best.prompt} on {best.model}, {q.mean * 100:.0f} % (95 % CI {q.low * 100:.0f}–{q.high * 100:.0f})."
    )
    others = [s for s in comparison.standings() if s is not best and s.quality.n and s.quality.high >= q.low]
    if others:
        names = f"{', '.join(_beside(s, best) for s in others[:3])}{' and more' if len(others) > 3 else ''}"
        verdict += f" Difference to {names} not significant (intervals overlap)."
    limit = f"{comparison.passes * 100:g} %"
    if chosen is None:
        return [verdict, f"No candidate reaches {limit}: `{comparison.name}.ladder()`"]
    if chosen.name == best.name:
        return [verdict, f"It is also the cheapest that reaches {limit}."]
    cost = "" if chosen.per_call_usd is None else f" at {usd(chosen.per_call_usd, 6)} a call"
    return [verdict, f"Cheapest that reaches {limit}: {chosen.prompt} on {chosen.model}{cost}."]


def _beside(other: Standing, best: Standing) -> str:
    """Name a candidate by what differs from the best one."""
    if other.model == best.model:
        return other.prompt
    return other.model if other.prompt == best.prompt else f"{other.prompt} on {other.model}"


def _judge_line(comparison: Comparison, bench: Bench) -> str:
    own = [c.model for i, c in enumerate(comparison.candidates) if comparison.rates_itself(bench, i)]
    says = bench.agreement.text if bench.choices else "no judgements yet"
    mark = f"; it rates itself on {', '.join(dict.fromkeys(own))} (marked *)" if own else ""
    return f"{bench.judge.text} by {bench.model}, {bench.judge.k} judgements a row in different orders: {says}{mark}"


# ------------------------------------------------------------------ candidates
def standings_table(comparison: Comparison) -> Table:
    """Return one line for each candidate."""
    lines = comparison.standings()
    single = len(comparison.scorers.texts) < 2
    scorers = [] if single else comparison.scorers.texts
    names = _short_names(comparison)
    table = Table([
        Column("candidate"), Column("quality"), Column("", picture=True), *(Column(line(t, 28), "r") for t in scorers),
        Column("n", "r"), Column("seconds", "r"), Column("tokens", "r"), Column("$ a call", "r"), Column("$", "r"),
        Column("of calls", "r"), Column("of $", "r"), Column("failed", "r"),
    ])  # fmt: skip
    best = _best_name(comparison)
    digits = max(places(s.per_call_usd for s in lines), places(s.usd for s in lines))
    for i, s in enumerate(lines):
        table.add(
            Cell(f"{names[i]}{'*' if s.of_itself else ''}", strong=s.name == best), s.quality.text,
            Cell(html=interval_bar(s.quality, strong=s.name == best)),
            *(f"{s.scores[t].mean * 100:.0f} %" if s.scores[t].n else "–" for t in scorers),
            str(s.quality.n), "–" if s.seconds is None else f"{s.seconds:.2f}", f"{s.tokens:,}",
            usd(s.per_call_usd, digits).removeprefix("$"), usd(s.usd, digits).removeprefix("$"), f"{s.share_calls * 100:.0f} %",
            "?" if s.share_usd is None else f"{s.share_usd * 100:.0f} %",
            Cell(str(s.failed), colour=BAD) if s.failed else "",
        )  # fmt: skip
    scored = comparison.scorers.texts[0] if comparison.scorers.texts and single else ""
    if any(s.quality.n for s in lines):
        by = f"by {scored}" if scored else "the mean of the scorers"
        if comparison.picked:
            others = len(comparison.rows) - len(comparison.picked) if comparison.scorers.texts else 0
            by = (
                f"{count(len(comparison.picked), 'row')} picked by a person, {count(others, 'other')} {by}"
                if others
                else "picked by a person"
            )
        table.notes.append(f"quality: {by}, with its 95 % interval")
    return table.without_empty()


def _best_name(comparison: Comparison) -> str:
    try:
        return str(comparison.winner().name)
    except OrchError:
        return ""


def _short_names(comparison: Comparison) -> list[str]:
    """Return the names of candidates without the part that all share; with letters if picks need them."""
    prompts, models = {c.prompt for c in comparison.candidates}, {c.model for c in comparison.candidates}
    names = [
        c.model if len(prompts) == 1 else c.prompt if len(models) == 1 else f"{c.prompt} · {c.model}"
        for c in comparison.candidates
    ]
    if len(prompts) == len(models) == 1:
        names = [f"{c.prompt} · {c.model}" for c in comparison.candidates]
    letters = not comparison.scorers.texts and not comparison.blind  # a blind row has letters of its own
    return [f"{letter(i)}  {line(n, 48)}" if letters else line(n, 48) for i, n in enumerate(names)]


# ------------------------------------------------------------------ formats
@dataclass(slots=True)
class _Flagged:
    """One kind of difference between two models: the first example, and the rows that have it."""

    cells: tuple[str, ...]
    rows: list[str]


def _flagged_answers(comparison: Comparison) -> list[_Flagged]:
    """Return the differences between models, over all prompts: a prompt is compared with itself only."""
    found: dict[tuple[str, ...], _Flagged] = {}
    for flag in comparison.formats():
        d, one, other = flag.difference, comparison.candidates[flag.one].model, comparison.candidates[flag.other].model
        identity = (one, other, d.kind, d.where, d.one, d.other)
        kept = found.get(identity)
        if kept is None:
            at = f"{d.kind}{f' in {d.where}' if d.where else ''}"
            kept = found[identity] = _Flagged(
                (at, f"{one}: {d.one}", d.one_value, f"{other}: {d.other}", d.other_value), []
            )
        label = comparison.rows[flag.row].label
        if label not in kept.rows:
            kept.rows.append(label)
    return sorted(found.values(), key=lambda f: -len(f.rows))


def flags_table(comparison: Comparison) -> Table | None:
    """Return the format differences, the most frequent first; None without any."""
    found = _flagged_answers(comparison)
    if not found:
        return None
    heads = [Column(head) for head in ("differs", "one writes", "", "the other", "")]
    table = Table([*heads, Column("rows", "r"), Column("first in")])
    for one in found[:MAX_FLAGS]:
        at, a, a_value, b, b_value = one.cells
        table.add(
            Cell(f"≠ {line(at, 40)}", colour=WARN), Cell(line(a, 48), quiet=True), line(a_value, 36), Cell(line(b, 48), quiet=True),
            line(b_value, 36), str(len(one.rows)), line(one.rows[0], 16),
        )  # fmt: skip
    if len(found) > MAX_FLAGS:
        table.notes.append(f"… {len(found) - MAX_FLAGS} more kinds: `{comparison.name}.formats()` has them all")
    return table


def _flags_title(comparison: Comparison) -> str:
    return f"written differently for the same input: {count(len(_flagged_answers(comparison)), 'way')}"


# ------------------------------------------------------------------ answers
def _shown_rows(comparison: Comparison) -> list[int]:
    """Return the rows to show: all of a few; of many, the most informative ones, in their order."""
    rows = range(len(comparison.rows))
    if len(comparison.rows) <= MAX_ROWS:
        return list(rows)
    flagged = {f.row for f in comparison.formats()} if not comparison.is_hidden else set()

    def says(row: int) -> tuple[bool, bool, bool]:
        failed = any(comparison.cell(row, c).status == "failed" for c in range(len(comparison.candidates)))
        return (not comparison.rows[row].is_fixture, not failed, row not in flagged)

    return sorted(sorted(rows, key=lambda r: (says(r), r))[:MAX_ROWS])


def _columns(comparison: Comparison) -> list[str]:
    if comparison.is_hidden:
        return [letter(i) for i in range(len(comparison.candidates))]
    return [name.replace("  ", " ") for name in _short_names(comparison)]


def _answers_html(comparison: Comparison) -> str:
    shown = _shown_rows(comparison)
    widths = ["8%", "22%" if len(comparison.candidates) < 4 else "16%", *([""] * len(comparison.candidates))]
    heads = zip(("row", "input", *_columns(comparison)), widths, strict=True)
    head = "".join(_head_html(text, width) for text, width in heads)
    body = "".join(_row_html(comparison, row, striped=i % 2 == 1) for i, row in enumerate(shown))
    table = (
        f'<table style="table-layout:fixed;width:100%;min-width:{360 + 170 * len(comparison.candidates)}px;border-collapse:collapse;'
        f'border:none;margin:0;font-size:inherit;color:inherit"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    note = _left_out(comparison, shown)
    return table + (f'<div style="padding-top:4px">{html.quiet(note)}</div>' if note else "")


def _head_html(text: str, width: str) -> str:
    border = "border-bottom:1px solid var(--jp-border-color2, rgba(127,127,127,.35))"
    wide = f";width:{width}" if width else ""
    style = f"text-align:left;padding:3px 12px 3px 0;font-weight:500;{border}{wide}"
    return f'<th style="{style}"><span style="opacity:.75">{escape(text, 80)}</span></th>'


def _left_out(comparison: Comparison, shown: Sequence[int]) -> str:
    left = len(comparison.rows) - len(shown)
    return f"… {count(left, 'more row')}: `{comparison.name}.table()` has them all" if left else ""


TD = "text-align:left;vertical-align:top;padding:6px 12px 6px 0;overflow-wrap:anywhere;white-space:normal"


def _row_html(comparison: Comparison, row: int, *, striped: bool) -> str:
    item = comparison.rows[row]
    edge = f'<div style="color:{WARN}">◆ edge case</div>{html.quiet(item.note)}' if item.is_fixture else ""
    number = f' <span style="opacity:.6">#{row}</span>' if item.label != str(row) else ""
    cells = [
        f'<td style="{TD}">{escape(item.label, 40)}{number}{edge}</td>',
        f'<td style="{TD};opacity:.8">{escape(input_text(comparison, row), 420)}</td>',
    ]
    order = comparison.order(row) if comparison.is_hidden else range(len(comparison.candidates))
    cells += [f'<td style="{TD}">{_cell_html(comparison, row, c)}</td>' for c in order]
    shade = f"background:{STRIPE}" if striped else "background:transparent"
    return f'<tr style="{shade}">{"".join(cells)}</tr>'


def input_text(comparison: Comparison, row: int) -> str:
    inputs = comparison.cell(row, 0).inputs
    same = {
        n
        for n, v in inputs.items()
        if len(comparison.rows) > 1
        and all(comparison.cell(r, 0).inputs.get(n) == v for r in range(len(comparison.rows)))
    }
    own = {n: v for n, v in inputs.items() if n not in same} or inputs
    return as_text(next(iter(own.values())), 400) if len(own) == 1 else brief(own, 400)


def _cell_html(comparison: Comparison, row: int, candidate: int) -> str:
    cell = comparison.cell(row, candidate)
    facts = cell_facts(comparison, row, candidate)
    picked = (
        f'<span style="color:{OK}">★ picked</span> '
        if candidate in comparison.picked.get(row, ()) and not comparison.is_hidden
        else ""
    )
    shown_facts = "".join(f"<div>{_mark(escape(fact, 200))}</div>" for fact in facts)
    tail = (
        f'<div style="opacity:.65;font-size:92%;padding-top:2px">{picked}{shown_facts}</div>' if facts or picked else ""
    )
    if cell.status == "done":
        return f'<div style="white-space:pre-wrap">{escape(as_text(plain_answer(cell.output), MAX_ANSWER), MAX_ANSWER + 60)}</div>{tail}'
    colour = COLOURS.get(cell.status, "")
    reply = error_of(cell) if cell.status in ("failed", "pending") and cell.error else ""
    live = _live_text(comparison, row, candidate) if cell.status == "running" else ""
    return (
        f'<div><span style="color:{colour}">{glyph(cell.status)}</span> {escape(word(cell.status))}</div>'
        f'<div style="opacity:.8">{escape(reply or live, 300)}</div>{tail if cell.status == "failed" else ""}'
    )


def _mark(facts: str) -> str:
    """Colour the marks of right and wrong."""
    for mark, colour in (("✓", OK), ("✕", BAD)):
        facts = facts.replace(mark, f'<span style="color:{colour}">{mark}</span>')
    return facts


def plain_answer(output: object) -> object:
    """Return an answer for display: a mapping of plain fields with one line for each."""
    if isinstance(output, dict) and all(not isinstance(v, dict | list) for v in output.values()):
        return "\n".join(f"{k}: {brief(v, 400) if not isinstance(v, str) else v}" for k, v in output.items())
    return output


def _live_text(comparison: Comparison, row: int, candidate: int) -> str:
    run = comparison.handle._live.get(row * len(comparison.candidates) + candidate)
    reply = "".join(piece["text"] for piece in dict(run.live).values()) if run is not None else ""
    return clean(reply[-160:])


def error_of(cell: Row) -> str:
    """Return the typed error of a failed cell in a line."""
    if cell.problem is not None:
        return f"{cell.problem.type}: {cell.problem.message}"
    return str(cell.error)


def cell_facts(comparison: Comparison, row: int, candidate: int) -> list[str]:
    """Return the scores of a cell, its latency, tokens and dollars; nothing while names are hidden, because the figures
    would identify a model."""
    cell = comparison.cell(row, candidate)
    if comparison.is_hidden or cell.status not in ("done", "failed"):
        return []
    scores = []
    for text, score in comparison.scores_of(row, candidate).items():
        mark = (
            "–"
            if score.value is None
            else "✓"
            if score.value == 1
            else "✕"
            if score.value == 0
            else f"{score.value:.2f}"
        )
        name = f" {line(text, 24)}" if len(comparison.scorers.texts) > 1 else ""
        scores.append(f"{mark}{name}{f' {line(score.why, 60)}' if score.value is None else ''}")
    if other := comparison.stood_in(row, candidate):
        scores.append(f"{line(other, 40)} answered in its place: it does not count")
    took = [] if cell.seconds is None else [f"{cell.seconds:.2f} s"]
    tokens = f"{cell.input_tokens + cell.output_tokens:,} tokens"
    costs = " · ".join([*took, tokens, "$?" if cell.unpriced else usd(cell.usd)])
    if len(scores) == 1:
        return [f"{scores[0]} · {costs}"]
    return [" · ".join(scores), costs] if scores else [costs]


def _answers_text(comparison: Comparison) -> str:
    out = []
    shown = _shown_rows(comparison)
    names = [c.key.replace("/", " · ") for c in comparison.candidates]
    for row in shown:
        item = comparison.rows[row]
        edge = f" ◆ edge case{f': {line(item.note, 80)}' if item.note else ''}" if item.is_fixture else ""
        number = f" #{row}" if item.label != str(row) else ""
        out.append(f"row {line(item.label, 24)}{number}{edge}: {line(input_text(comparison, row), 200)}")
        for place, c in enumerate(comparison.order(row) if comparison.is_hidden else range(len(comparison.candidates))):
            cell = comparison.cell(row, c)
            name = letter(place) if comparison.is_hidden else names[c]
            reply = (
                line(as_text(plain_answer(cell.output), MAX_ANSWER), 300)
                if cell.status == "done"
                else f"{glyph(cell.status)} {word(cell.status)} {line(error_of(cell), 200)}"
            )
            facts = cell_facts(comparison, row, c)
            star = " ★ picked" if c in comparison.picked.get(row, ()) and not comparison.is_hidden else ""
            shown_facts = f"  [{' · '.join(facts)}]" if facts else ""
            out.append(f"  {name}: {reply}{shown_facts}{star}")
    note = _left_out(comparison, shown)
    return "\n".join([*out, *([note] if note else [])])


# ------------------------------------------------------------------ ladder
def ladder_table(ladder: Ladder) -> Table:
    """Return the ladder: candidates from the cheapest up, and the first that passes."""
    heads = [Column(""), Column("candidate"), Column("quality"), Column("", picture=True)]
    table = Table([*heads, Column("n", "r"), Column("$ a call", "r"), Column("")])
    digits = places(r.standing.per_call_usd for r in ladder.rungs)
    for rung in ladder.rungs:
        s = rung.standing
        is_chosen = s == ladder.chosen
        table.add(
            "→" if is_chosen else "", Cell(line(s.name, 48), strong=is_chosen), s.quality.text,
            Cell(html=interval_bar(s.quality, strong=is_chosen)), str(s.quality.n), usd(s.per_call_usd, digits).removeprefix("$"),
            Cell(rung.verdict, colour=OK if rung.passes else ""),
        )  # fmt: skip
    if ladder.chosen is None:
        table.notes.append("none passes")
    return table


@draws("orch_nb.analysis.compare.comparison.Comparison")
def compare_bundle(comparison: Comparison, *, as_of: str = "") -> Bundle:
    """Draw a comparison."""
    return compare_panel(comparison, as_of=as_of).bundle()


@draws("orch_nb.analysis.compare.results.Ladder")
def ladder_bundle(ladder: Ladder) -> Bundle:
    """Draw a ladder."""
    return Panel("ladder", facts=[f"passes from {ladder.passes * 100:g} %"]).table(ladder_table(ladder)).bundle()
