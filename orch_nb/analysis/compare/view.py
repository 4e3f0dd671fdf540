"""A comparison as it is shown: candidates side by side with their intervals, format differences, every answer in its row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.compare.picks import letter
from orch_nb.display import draws
from orch_nb.errors import OrchError
from orch_nb.trace.preview import brief
from orch_nb.views import html
from orch_nb.views import html as markup
from orch_nb.views.bundle import bundle
from orch_nb.views.format import BAD, COLOURS, OK, RUN, WARN, count, glyph, places, usd, word
from orch_nb.views.safe_text import as_text, clean, escape, line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.analysis.intervals import Interval
    from orch_nb.views.bundle import Bundle

MAX_ROWS = 12
"""Rows whose answers are shown at once; edge cases, failures and differences come before the rest."""
MAX_ANSWER = 700
MAX_FLAGS = 12
ORDER = ("done", "running", "failed", "cancelled", "pending")
STRIPE = "rgba(127,127,127,.07)"


def compare_html(made: Any, *, as_of: str = "") -> str:
    """The comparison's panel."""
    left = [
        html.strong(made.name),
        html.quiet(f"comparison {made.run}"),
        html.state(made.status),
        html.quiet(_counts(made)),
    ]
    parts = [html.bar(*left, html.quiet(as_of) if as_of else "", right=_money_html(made))]
    remarks = remarks_of(made)
    if remarks:
        rows = "".join(f"<div>{html.prose(text, 500)}</div>" for text in remarks)
        parts.append(f'<div style="padding:6px 12px">{rows}</div>')
    if not made.is_hidden:
        parts.append(html.section(standings_table(made).html(), first=True))
        flags = flags_table(made)
        if flags is not None:
            parts.append(html.section(flags.html(), title=_flags_title(made)))
    parts.append(_answers_html(made))
    return html.panel(*parts)


def compare_text(made: Any, *, as_of: str = "") -> str:
    """The same in plain text."""
    head = f"{made.name} · comparison {made.run} · {glyph(made.status)} {word(made.status)} · {_counts(made)} · {_money(made)}"
    parts = ["\n".join([f"{head}{f' · {as_of}' if as_of else ''}", *remarks_of(made)])]
    if not made.is_hidden:
        parts.append(standings_table(made).text())
        flags = flags_table(made)
        if flags is not None:
            parts.append(f"{_flags_title(made)}\n{flags.text()}")
    parts.append(_answers_text(made))
    return "\n\n".join(parts)


# ------------------------------------------------------------------ head
def _counts(made: Any) -> str:
    found = Counter(c.status for c in made.cells)
    edges = sum(r.is_fixture for r in made.rows)
    known = ", ".join(f"{found[s]:,} {word(s)}" for s in ORDER if found.get(s))
    more = f" ({count(edges, 'edge case')})" if edges else ""
    return f"{count(len(made.rows), 'row')}{more} × {count(len(made.candidates), 'candidate')}: {known}"


def _money(made: Any) -> str:
    unknown = any(c.unpriced for c in made.handle.rows)
    judges = sum((c.usd for c in made.judgements), start=made.spent_usd - made.spent_usd)
    own = f", {usd(judges)} of it for {count(len(made.judgements), 'judgement')}" if made.judgements else ""
    return f"{usd(made.spent_usd)}{' and unpriced calls' if unknown else ''}{own}"


def _money_html(made: Any) -> str:
    head, comma, rest = _money(made).partition(", ")
    told = html.strong(head) + (html.quiet(f"{comma}{rest}") if comma else "")
    return f'<span style="padding-left:12px">{told}</span>'


def remarks_of(made: Any) -> list[str]:
    """What there is to say: who is best, what is left to do, how sure a judge is."""
    out = list(made.notes)
    if made.is_hidden:
        left = len(made.to_pick)
        todo = (
            f"{left} of {len(made.rows)} rows left to pick" if made.done() else "picking begins when all have answered"
        )
        out.append(f'blind: names are hidden; {todo}: `{made.name}.pick(row, "A")`, or "tie"')
        return out
    if made.done():
        out += _verdict(made)
    for bench in made.benches:
        out.append(_judge_line(made, bench))
    if made.done() and any(c.status != "done" for c in made.cells):
        why = f"stopped: {made.handle.stopped}; " if made.handle.stopped else ""
        more = " --budget …" if "budget" in made.handle.stopped else ""
        out.append(f"{why}`%orch resume {made.run}{more}` goes on with what is not done")
    return out


def _verdict(made: Any) -> list[str]:
    try:
        best = made.winner()
    except OrchError:
        return ["" if not made.rows else f'nothing is scored: `score:` in the cell, or `{made.name}.pick(row, "A")`']
    chosen = made.ladder().chosen
    said = f"best: **{best.name}**, {best.quality.text}"
    lines = made.standings()
    unsure = [s.name for s in lines if s.name != best.name and s.quality.n and s.quality.high >= best.quality.low]
    if unsure:
        said += f"; not surely better than {', '.join(unsure[:3])}{' and more' if len(unsure) > 3 else ''}: intervals overlap"
    out = [said]
    at = f"{made.passes * 100:g} %"
    if chosen is None:
        out.append(f"no candidate reaches {at}: `{made.name}.ladder()`")
    elif chosen.name != best.name:
        cheap = "" if chosen.per_call_usd is None else f" at {usd(chosen.per_call_usd, 6)} a call"
        out.append(f"cheapest that reaches {at}: **{chosen.name}**{cheap}")
    else:
        out.append(f"it is also the cheapest that reaches {at}")
    return [text.replace("**", "") for text in out]


def _judge_line(made: Any, bench: Any) -> str:
    own = [c.model for i, c in enumerate(made.candidates) if made.rates_itself(bench, i)]
    says = bench.agreement.text if bench.choices else "has not judged yet"
    mark = f"; it rates itself on {', '.join(dict.fromkeys(own))} (marked *)" if own else ""
    return f"{bench.judge.text} by {bench.model}, {bench.judge.k} judgements a row in turned order: {says}{mark}"


# ------------------------------------------------------------------ candidates
def standings_table(made: Any) -> Table:
    """One line for each candidate."""
    lines = made.standings()
    single = len(made.scorers.texts) < 2
    scorers = [] if single else made.scorers.texts
    names = _short_names(made)
    table = Table([
        Column("candidate"), Column("quality"), Column("", picture=True), *(Column(line(t, 28), "r") for t in scorers),
        Column("n", "r"), Column("seconds", "r"), Column("tokens", "r"), Column("$ a call", "r"), Column("$", "r"),
        Column("of calls", "r"), Column("of $", "r"), Column("failed", "r"),
    ])  # fmt: skip
    best = _best_name(made)
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
    scored = made.scorers.texts[0] if made.scorers.texts and single else ""
    if any(s.quality.n for s in lines):
        by = f"by {scored}" if scored else "the mean of the scorers"
        if made.picked:
            others = len(made.rows) - len(made.picked) if made.scorers.texts else 0
            by = (
                f"{count(len(made.picked), 'row')} picked by a person, {count(others, 'other')} {by}"
                if others
                else "picked by a person"
            )
        table.notes.append(f"quality: {by}, with its 95 % interval")
    return table.without_empty()


def _best_name(made: Any) -> str:
    try:
        return str(made.winner().name)
    except OrchError:
        return ""


def _short_names(made: Any) -> list[str]:
    """Candidates without the part that all share; with letters where picks need them."""
    prompts, models = {c.prompt for c in made.candidates}, {c.model for c in made.candidates}
    names = [
        c.model if len(prompts) == 1 else c.prompt if len(models) == 1 else f"{c.prompt} · {c.model}"
        for c in made.candidates
    ]
    if len(prompts) == len(models) == 1:
        names = [f"{c.prompt} · {c.model}" for c in made.candidates]
    letters = not made.scorers.texts and not made.blind  # a blind row has letters of its own
    return [f"{letter(i)}  {line(n, 48)}" if letters else line(n, 48) for i, n in enumerate(names)]


def interval_bar(value: Interval, *, strong: bool = False, width: int = 120) -> str:
    """An interval as a picture: a track from 0 to 1, the interval on it, a tick at the mean."""
    if not value.n:
        return ""
    low, high, mean = value.low * 100, value.high * 100, value.mean * 100
    colour = OK if strong else RUN
    return (
        f'<span style="display:inline-block;position:relative;width:{width}px;height:10px;vertical-align:middle;margin-right:8px">'
        f'<span style="position:absolute;left:0;right:0;top:4px;height:2px;background:rgba(127,127,127,.25)"></span>'
        f'<span style="position:absolute;left:{low:.1f}%;width:{max(high - low, 1):.1f}%;top:2px;height:6px;border-radius:3px;'
        f'background:{colour};opacity:.38"></span>'
        f'<span style="position:absolute;left:calc({mean:.1f}% - 1.5px);width:3px;top:0;height:10px;border-radius:1px;'
        f'background:{colour}"></span></span>'
    )


# ------------------------------------------------------------------ formats
@dataclass(slots=True)
class _Flagged:
    """One kind of difference between two models: the first example, and in how many rows it is."""

    cells: tuple[str, ...]
    rows: list[str]


def _flagged_answers(made: Any) -> list[_Flagged]:
    """Differences between models, whatever the prompt: a prompt is compared with itself only."""
    found: dict[tuple[Any, ...], _Flagged] = {}
    for flag in made.formats():
        d, one, other = flag.difference, made.candidates[flag.one].model, made.candidates[flag.other].model
        identity = (one, other, d.kind, d.where, d.one, d.other)
        kept = found.get(identity)
        if kept is None:
            at = f"{d.kind}{f' in {d.where}' if d.where else ''}"
            kept = found[identity] = _Flagged(
                (at, f"{one}: {d.one}", d.one_value, f"{other}: {d.other}", d.other_value), []
            )
        label = made.rows[flag.row].label
        if label not in kept.rows:
            kept.rows.append(label)
    return sorted(found.values(), key=lambda f: -len(f.rows))


def flags_table(made: Any) -> Table | None:
    """Format differences, the most frequent first; None where there is none."""
    found = _flagged_answers(made)
    if not found:
        return None
    table = Table(
        [
            Column("differs"),
            Column("one writes"),
            Column(""),
            Column("the other"),
            Column(""),
            Column("rows", "r"),
            Column("first in"),
        ]
    )
    for one in found[:MAX_FLAGS]:
        at, a, a_value, b, b_value = one.cells
        table.add(
            Cell(f"≠ {line(at, 40)}", colour=WARN), Cell(line(a, 48), quiet=True), line(a_value, 36), Cell(line(b, 48), quiet=True),
            line(b_value, 36), str(len(one.rows)), line(one.rows[0], 16),
        )  # fmt: skip
    if len(found) > MAX_FLAGS:
        table.notes.append(f"… {len(found) - MAX_FLAGS} more kinds: `{made.name}.formats()` has them all")
    return table


def _flags_title(made: Any) -> str:
    found = _flagged_answers(made)
    return f"written differently for the same input: {count(len(found), 'way')}"


# ------------------------------------------------------------------ answers
def _shown_rows(made: Any) -> list[int]:
    """Rows to show: all of a few; of many, those that say most first, in their order."""
    rows = range(len(made.rows))
    if len(made.rows) <= MAX_ROWS:
        return list(rows)
    flagged = {f.row for f in made.formats()} if not made.is_hidden else set()

    def says(row: int) -> tuple[bool, bool, bool]:
        failed = any(made.cell(row, c).status == "failed" for c in range(len(made.candidates)))
        return (not made.rows[row].is_fixture, not failed, row not in flagged)

    return sorted(sorted(rows, key=lambda r: (says(r), r))[:MAX_ROWS])


def _columns(made: Any) -> list[str]:
    if made.is_hidden:
        return [letter(i) for i in range(len(made.candidates))]
    return [name.replace("  ", " ") for name in _short_names(made)]


def _answers_html(made: Any) -> str:
    shown = _shown_rows(made)
    widths = ["8%", "22%" if len(made.candidates) < 4 else "16%", *([""] * len(made.candidates))]
    heads = zip(("row", "input", *_columns(made)), widths, strict=True)
    head = "".join(_head_html(text, width) for text, width in heads)
    body = "".join(_row_html(made, row, striped=i % 2 == 1) for i, row in enumerate(shown))
    table = (
        f'<table style="table-layout:fixed;width:100%;min-width:{360 + 170 * len(made.candidates)}px;border-collapse:collapse;'
        f'border:none;margin:0;font-size:inherit;color:inherit"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    note = _left_out(made, shown)
    return html.section(
        table + (f'<div style="padding-top:4px">{html.quiet(note)}</div>' if note else ""), title="answers"
    )


def _head_html(text: str, width: str) -> str:
    border = "border-bottom:1px solid var(--jp-border-color2, rgba(127,127,127,.35))"
    wide = f";width:{width}" if width else ""
    style = f"text-align:left;padding:3px 12px 3px 0;font-weight:500;{border}{wide}"
    return f'<th style="{style}"><span style="opacity:.75">{escape(text, 80)}</span></th>'


def _left_out(made: Any, shown: Sequence[int]) -> str:
    left = len(made.rows) - len(shown)
    return f"… {count(left, 'more row')}: `{made.name}.table()` has them all" if left else ""


TD = "text-align:left;vertical-align:top;padding:6px 12px 6px 0;overflow-wrap:anywhere;white-space:normal"


def _row_html(made: Any, row: int, *, striped: bool) -> str:
    item = made.rows[row]
    edge = f'<div style="color:{WARN}">◆ edge case</div>{html.quiet(item.note)}' if item.is_fixture else ""
    number = f' <span style="opacity:.6">#{row}</span>' if item.label != str(row) else ""
    cells = [
        f'<td style="{TD}">{escape(item.label, 40)}{number}{edge}</td>',
        f'<td style="{TD};opacity:.8">{escape(_input(made, row), 420)}</td>',
    ]
    order = made.order(row) if made.is_hidden else range(len(made.candidates))
    cells += [f'<td style="{TD}">{_cell_html(made, row, c)}</td>' for c in order]
    shade = f"background:{STRIPE}" if striped else "background:transparent"
    return f'<tr style="{shade}">{"".join(cells)}</tr>'


def _input(made: Any, row: int) -> str:
    inputs = made.cell(row, 0).inputs
    same = {
        n
        for n, v in inputs.items()
        if len(made.rows) > 1 and all(made.cell(r, 0).inputs.get(n) == v for r in range(len(made.rows)))
    }
    own = {n: v for n, v in inputs.items() if n not in same} or inputs
    return as_text(next(iter(own.values())), 400) if len(own) == 1 else brief(own, 400)


def _cell_html(made: Any, row: int, candidate: int) -> str:
    cell = made.cell(row, candidate)
    facts = cell_facts(made, row, candidate)
    picked = (
        f'<span style="color:{OK}">★ picked</span> '
        if candidate in made.picked.get(row, ()) and not made.is_hidden
        else ""
    )
    told = "".join(f"<div>{_mark(escape(fact, 200))}</div>" for fact in facts)
    tail = f'<div style="opacity:.65;font-size:92%;padding-top:2px">{picked}{told}</div>' if facts or picked else ""
    if cell.status == "done":
        return f'<div style="white-space:pre-wrap">{escape(as_text(_plain(cell.output), MAX_ANSWER), MAX_ANSWER + 60)}</div>{tail}'
    colour = COLOURS.get(cell.status, "")
    said = error_of(cell) if cell.status in ("failed", "pending") and cell.error else ""
    live = _live_text(made, row, candidate) if cell.status == "running" else ""
    return (
        f'<div><span style="color:{colour}">{glyph(cell.status)}</span> {escape(word(cell.status))}</div>'
        f'<div style="opacity:.8">{escape(said or live, 300)}</div>{tail if cell.status == "failed" else ""}'
    )


def _mark(facts: str) -> str:
    """Right and wrong in their colours: a wrong answer is found at a glance."""
    for mark, colour in (("✓", OK), ("✕", BAD)):
        facts = facts.replace(mark, f'<span style="color:{colour}">{mark}</span>')
    return facts


def _plain(output: Any) -> Any:
    """An answer for reading: a mapping of a few plain fields in one line each."""
    if isinstance(output, dict) and all(not isinstance(v, dict | list) for v in output.values()):
        return "\n".join(f"{k}: {brief(v, 400) if not isinstance(v, str) else v}" for k, v in output.items())
    return output


def _live_text(made: Any, row: int, candidate: int) -> str:
    run = made.handle._live.get(row * len(made.candidates) + candidate)
    said = "".join(piece["text"] for piece in dict(run.live).values()) if run is not None else ""
    return clean(said[-160:])


def error_of(cell: Any) -> str:
    """A failed cell's typed error in a line."""
    if cell.problem is not None:
        return f"{cell.problem.type}: {cell.problem.message}"
    return str(cell.error)


def cell_facts(made: Any, row: int, candidate: int) -> list[str]:
    """What a cell's scorers say, and its latency, tokens and dollars; nothing while names are hidden, because that would
    give a model away."""
    cell = made.cell(row, candidate)
    if made.is_hidden or cell.status not in ("done", "failed"):
        return []
    scores = []
    for text, score in made.scores_of(row, candidate).items():
        mark = (
            "–"
            if score.value is None
            else "✓"
            if score.value == 1
            else "✕"
            if score.value == 0
            else f"{score.value:.2f}"
        )
        name = f" {line(text, 24)}" if len(made.scorers.texts) > 1 else ""
        scores.append(f"{mark}{name}{f' {line(score.why, 60)}' if score.value is None else ''}")
    if other := made.stood_in(row, candidate):
        scores.append(f"{line(other, 40)} answered in its place: it does not count")
    took = [] if cell.seconds is None else [f"{cell.seconds:.2f} s"]
    tokens = f"{cell.input_tokens + cell.output_tokens:,} tokens"
    costs = " · ".join([*took, tokens, "$?" if cell.unpriced else usd(cell.usd)])
    if len(scores) == 1:
        return [f"{scores[0]} · {costs}"]
    return [" · ".join(scores), costs] if scores else [costs]


def _answers_text(made: Any) -> str:
    out = ["answers"]
    shown = _shown_rows(made)
    names = [c.key.replace("/", " · ") for c in made.candidates]
    for row in shown:
        item = made.rows[row]
        edge = f" ◆ edge case{f': {line(item.note, 80)}' if item.note else ''}" if item.is_fixture else ""
        number = f" #{row}" if item.label != str(row) else ""
        out.append(f"row {line(item.label, 24)}{number}{edge}: {line(_input(made, row), 200)}")
        for place, c in enumerate(made.order(row) if made.is_hidden else range(len(made.candidates))):
            cell = made.cell(row, c)
            name = letter(place) if made.is_hidden else names[c]
            said = (
                line(as_text(_plain(cell.output), MAX_ANSWER), 300)
                if cell.status == "done"
                else f"{glyph(cell.status)} {word(cell.status)} {line(error_of(cell), 200)}"
            )
            facts = cell_facts(made, row, c)
            star = " ★ picked" if c in made.picked.get(row, ()) and not made.is_hidden else ""
            told = f"  [{' · '.join(facts)}]" if facts else ""
            out.append(f"  {name}: {said}{told}{star}")
    note = _left_out(made, shown)
    return "\n".join([*out, *([note] if note else [])])


# ------------------------------------------------------------------ ladder
def ladder_table(made: Any) -> Table:
    """The ladder: candidates from the cheapest up, and the first that passes."""
    table = Table(
        [
            Column(""),
            Column("candidate"),
            Column("quality"),
            Column("", picture=True),
            Column("n", "r"),
            Column("$ a call", "r"),
            Column(""),
        ]
    )
    digits = places(r.standing.per_call_usd for r in made.rungs)
    for rung in made.rungs:
        s = rung.standing
        is_chosen = s == made.chosen
        table.add(
            "→" if is_chosen else "", Cell(line(s.name, 48), strong=is_chosen), s.quality.text,
            Cell(html=interval_bar(s.quality, strong=is_chosen)), str(s.quality.n), usd(s.per_call_usd, digits).removeprefix("$"),
            Cell(rung.verdict, colour=OK if rung.passes else ""),
        )  # fmt: skip
    table.notes.append(f"passes from {made.passes * 100:g} %; “surely” means that the whole 95 % interval does")
    if made.chosen is None:
        table.notes.append("none passes")
    return table


@draws("orch_nb.analysis.compare.comparison.Comparison")
def compare_bundle(made: Any, *, as_of: str = "") -> Bundle:
    """A comparison: candidates with their intervals, format differences, answers side by side."""
    return bundle(compare_text(made, as_of=as_of), compare_html(made, as_of=as_of))


@draws("orch_nb.analysis.compare.results.Ladder")
def ladder_bundle(made: Any) -> Bundle:
    """A ladder: candidates from the cheapest up, and the first that passes."""
    table = ladder_table(made)
    return bundle(table.text(), markup.panel(markup.section(table.html(), first=True)))
