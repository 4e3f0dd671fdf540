"""A run as it is shown: head line, graph, trace, bill, state, what was said, what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.display import draws
from orch_nb.errors import BadOption, nearest
from orch_nb.trace.preview import brief
from orch_nb.views import html
from orch_nb.views.bill import bill_line, bill_table, bill_tables_html, money_text, savings_table
from orch_nb.views.bundle import TRACE, bundle
from orch_nb.views.columnar import HARD_BYTES, SOFT_BYTES, saved_bytes, sent_bytes
from orch_nb.views.decisions import decision_table, flow_lines, tally
from orch_nb.views.format import COLOURS, NOTICE, REUSE, WARN, count, glyph, seconds, usd, word
from orch_nb.views.graph_json import live_data, run_data
from orch_nb.views.graph_svg import describe, svg
from orch_nb.views.safe_text import FIELD_LIMIT, as_text, escape_line, line
from orch_nb.views.table import Column, Table
from orch_nb.views.trace_table import LIVE_ROWS, trace_table
from orch_nb.views.transcript import SAID_LIMIT, said_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.schema import events as ev
    from orch_nb.trace.bill import Bill
    from orch_nb.trace.run_view import RunView
    from orch_nb.views.bundle import Bundle
    from orch_nb.views.plots.figure import Picture

SVG_ROOM, INNER_ROOM, TWIN_ROOM = 240_000, 40_000, 24_000
"""Characters: of a picture, of all pictures inside it together, and up to which a picture also carries itself as an image."""


# ------------------------------------------------------------------ whole panels
def run_html(view: RunView, *, as_of: str = "", notes: Sequence[str] = (), image: bytes = b"") -> str:
    """The run's panel, script-free.

    Parameters
    ----------
    image
        A PNG of the picture, for pages that take SVG away.
    """
    if is_batch(view):
        return html.panel(_head_html(view, as_of), html.section(html.prose(batch_line(view)), first=True))
    parts = [
        _head_html(view, as_of),
        *(_note_html(n) for n in notes),
        _notices_html(view),
        _problem_html(view),
        _waiting_html(view),
    ]
    parts += _drawings(view, image)
    parts.append(html.section(trace_table(view).html()))
    return html.panel(*parts, *_folds(view))


def live_html(
    view: RunView, *, live: dict[str, dict[str, object]], as_of: str, notes: Sequence[str] = (), drawn: str = ""
) -> str:
    """A run under way, in little room: its status, its picture, what is being said, the newest steps."""
    return html.panel(
        _head_html(view, as_of), *(_note_html(n) for n in notes), _problem_html(view), _waiting_html(view), html.drawing(drawn),
        html.section(_live_html(live)) if live else "", html.section(trace_table(view, LIVE_ROWS).html()),
    )  # fmt: skip


def live_text(view: RunView, *, live: dict[str, dict[str, object]], as_of: str, notes: Sequence[str] = ()) -> str:
    """The same in plain text."""
    return "\n".join([
        head_line(view, as_of), *(line(n, 300) for n in notes), *_problem_lines(view), *_waiting_lines(view),
        *(f"{glyph('running')} {line(key, 80)} {tail}" for key, tail in streams(live)), *_more_streams(live),
        trace_table(view, LIVE_ROWS).text(),
    ])  # fmt: skip


def streams(live: dict[str, dict[str, Any]], most: int = 6) -> list[tuple[str, str]]:
    """The ends of what is being said right now, the most recent first: (key, the last words)."""
    newest = sorted(live.items(), key=lambda row: -float(row[1].get("since", 0.0)))[:most]
    return [(key, line(str(row.get("text", ""))[-120:], 120)) for key, row in newest]


def _more_streams(live: dict[str, dict[str, object]]) -> list[str]:
    return [f"and {len(live) - 6:,} more are answering"] if len(live) > 6 else []


def _drawings(view: RunView, image: bytes) -> list[str]:
    """The run's graph, and those inside it, for as long as there is room."""
    drawn = svg(view.picture)
    if len(drawn) > SVG_ROOM:
        return [html.section(html.quiet(f"{describe(view.picture)} `run.plot()` draws it."), first=True)]
    out = [html.drawing(drawn, twin=len(drawn) <= TWIN_ROOM, image=image)]
    room = INNER_ROOM
    for inner in view.graphs[1:]:
        drawn = svg(inner)
        room -= len(drawn)
        shown = html.drawing(drawn) if room > 0 else html.quiet(describe(inner))
        out.append(html.folded(f"inside {inner.path}: {tally(inner)}", shown))
    return out


def _folds(view: RunView) -> list[str]:
    """Return what is there to be opened: bill, inputs, state, decisions, what was said; and the output."""
    parts = []
    if view.bill.total.calls or view.bill.total.reused or view.bill.total.hits:
        parts.append(html.folded(f"bill: {bill_line(view.bill)}", bill_tables_html(view.bill)))
    if view.inputs:
        parts.append(html.folded(f"inputs: {', '.join(view.inputs)}", _inputs_html(view)))
    if view.state:
        parts.append(html.folded("state", state_table(view).html()))
    if decided := decision_table(view):
        parts.append(html.folded("decisions", decided.html()))
    if said := said_html(view):
        parts.append(html.folded("prompts and answers", said))
    if view.status == "done" and view.output is not None:
        parts.append(html.section(html.code(view.output, SAID_LIMIT), title="output"))
    elif missed := _no_output(view):
        parts.append(html.section(html.prose(missed), title="output"))
    return parts


def _no_output(view: RunView) -> str:
    """Return why a run that is done has no output: the way it went led past the graph's `out`."""
    if view.status != "done" or view.output is not None:
        return ""
    skipped = [f"`{n.name}`" for n in view.picture.nodes.values() if n.is_out and n.state == "skipped"]
    return f"none, {' and '.join(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped" if skipped else ""


def is_batch(view: RunView) -> bool:
    """Return whether this is the record of a batch: its rows are runs of their own."""
    return bool((view.parent or {}).get("batch"))


def batch_line(view: RunView) -> str:
    """The record of a batch in one line."""
    counts = view.output if isinstance(view.output, dict) else {}
    told = ", ".join(f"{n} {word(str(s))}" for s, n in counts.items()) or "not ended"
    rows = view.inputs.get("rows")
    number = len(rows) if isinstance(rows, list) else 0
    return f"a batch of {count(number, 'row')}: {told}; `%orch trace {line(view.run, 40)}` shows its rows"


def run_text(view: RunView, *, as_of: str = "", notes: Sequence[str] = ()) -> str:
    """The same in plain text."""
    if is_batch(view):
        return f"{head_line(view, as_of)}\n{batch_line(view)}"
    parts = [
        head_line(view, as_of),
        *(line(n, 300) for n in notes),
        *notice_lines(view),
        *_problem_lines(view),
        *_waiting_lines(view),
        "",
        trace_table(view).text(),
    ]
    for picture in view.graphs:
        flow = flow_lines(picture)
        if flow:
            parts += ["", f"inside {picture.path}:" if picture.path else "arrows:", *flow]
    if view.bill.total.calls or view.bill.total.reused or view.bill.total.hits:
        parts += ["", f"bill: {bill_line(view.bill)}", bill_table(view.bill.models, "model").text()]
        if (saved := savings_table(view.bill)) is not None:
            parts.append(saved.text())
    if view.state:
        parts += ["", state_table(view).text()]
    if view.status == "done" and view.output is not None:
        parts += ["", f"output: {as_text(view.output, SAID_LIMIT)}"]
    elif missed := _no_output(view):
        parts += ["", f"output: {missed}"]
    return "\n".join(parts)


# ------------------------------------------------------------------ head
def head_line(view: RunView, as_of: str = "") -> str:
    """The run in one line."""
    parts = [
        line(view.graph, 64), f"run {line(view.run, 40)}", f"{glyph(view.status)} {word(view.status)}", *view.marks, seconds(view.wall_s),
        count(view.bill.total.tokens, "token"), money_text(view.bill), *_asides(view), as_of,
    ]  # fmt: skip
    return " · ".join(p for p in parts if p)


def _head_html(view: RunView, as_of: str) -> str:
    left = [
        html.strong(line(view.graph, 64)), html.quiet(f"run {line(view.run, 40)}"), html.state(view.status),
        *(html.strong(mark) for mark in view.marks), html.quiet(seconds(view.wall_s)), html.quiet(count(view.bill.total.tokens, "token")),
        *(html.quiet(text) for text in _asides(view)), html.quiet(as_of) if as_of else "",
    ]  # fmt: skip
    return html.bar(*left, right=_money_html(view.bill))


def _asides(view: RunView) -> list[str]:
    """Facts that are only there sometimes."""
    total = view.bill.total
    out = []
    if total.in_doubt:
        out.append(f"in doubt: {count(total.in_doubt, 'call')}, at most {usd(total.in_doubt_usd)}")
    if total.overrun_usd:
        out.append(f"overrun {usd(total.overrun_usd)}")
    if total.unpriced:
        out.append(f"{count(total.unpriced, 'call')} of unknown price")
    if view.resumed:
        out.append(f"resumed {'once' if view.resumed == 1 else f'{view.resumed} times'}")
    if not view.attended and view.status == "failed":
        out.append("unattended")
    return out


def _money_html(bill: Bill) -> str:
    total = bill.total
    text = html.strong(usd(total.spent_usd))
    if bill.limit_usd is not None:
        share = (
            float((total.spent_usd + total.held_usd + total.in_doubt_usd) / bill.limit_usd) if bill.limit_usd else 1.0
        )
        text += html.meter(share) + html.quiet(f"of {usd(bill.limit_usd)}")
    if total.held_usd:
        text += " " + html.quiet(f"· held {usd(total.held_usd)}")
    if total.reused:
        text += (
            f' <span style="margin-left:10px"><span style="color:{REUSE}">{glyph("reused")}</span> '
            f"saved {usd(total.saved_usd)} · {total.reused} reused</span>"
        )
    return text


def _note_html(text: str) -> str:
    return f'<div style="padding:3px 12px">{html.quiet(text)}</div>'


def _inputs_html(view: RunView) -> str:
    table = Table([Column("input"), Column("value", rest=True)])
    for name, value in list(view.inputs.items())[:40]:
        table.add(name, brief(value, 300))
    return table.html()


# ------------------------------------------------------------------ notices, failure, waiting
MAX_NOTICES = 12
"""Notices that a display says one by one; `run.events` and the MIME data have all."""


def notice_lines(view: RunView) -> list[str]:
    """Return what the run says of its money: budgets nearly used up, a cost far above the usual, calls that were degraded."""
    rows = [f"{NOTICE} {line(notice.key, 80)}: {line(notice.text, 300)}" for notice in view.notices[:MAX_NOTICES]]
    left = len(view.notices) - MAX_NOTICES
    return [*rows, f"{NOTICE} and {left} more"] if left > 0 else rows


def _notices_html(view: RunView) -> str:
    inner = "".join(f"<div>{html.prose(row)}</div>" for row in notice_lines(view))
    return f'<div style="padding:6px 12px;border-left:3px solid {WARN}">{inner}</div>' if inner else ""


def _problem_lines(view: RunView) -> list[str]:
    if view.error is None or view.status not in ("failed", "interrupted", "waiting"):
        return (
            []
            if view.status != "interrupted"
            else [f"its process is gone: `%orch resume {view.run}` continues from here"]
        )
    error = view.error
    rows = [f"{glyph('failed')} {line(view.failed_node, 80)}: {line(error.type, 60)}: {line(error.message, 400)}"]
    if error.hint:
        rows.append(f"  hint: {line(error.hint, 300)}")
    if "%orch resume" not in error.hint:
        rows.append(f"  `%orch resume {line(view.run, 40)}` continues from here; finished steps are kept")
    return rows


def _problem_html(view: RunView) -> str:
    rows = _problem_lines(view)
    if not rows:
        return ""
    inner = "".join(f"<div>{html.prose(r.strip())}</div>" for r in rows)
    return f'<div style="padding:6px 12px;border-left:3px solid {COLOURS[view.status]}">{inner}</div>'


def _waiting_lines(view: RunView) -> list[str]:
    out = []
    for key, asked in view.waiting.items():
        out.append(f"{glyph('waiting')} {line(key, 80)} asks: {line(asked.question, 300)}")
        out.append(f"  shown: {brief(asked.shown, 400)}")
        out.append(f"  {answer_lines(view.run, key, asked, several=len(view.waiting) > 1)}")
    return out


def answer_lines(run: str, key: str, asked: ev.Waiting, *, several: bool = False) -> str:
    """The lines that answer a question, to be typed."""
    node = f" --node {key}" if several else ""
    words = {"edit": 'edit "…"', "approve": "approve", "reject": "reject", "raise": "raise 0.10"}
    if "raise" in asked.options and isinstance(asked.shown, dict) and asked.shown.get("unit") != "usd":
        words["raise"] = "raise 10"
    said = [f"`%orch answer {words.get(o, o)}{node}`" for o in asked.options]
    return f"answer: {', '.join(said)} (run {run})"


def _waiting_html(view: RunView) -> str:
    out = []
    for key, asked in view.waiting.items():
        lines = answer_lines(view.run, key, asked, several=len(view.waiting) > 1)
        out.append(
            f'<div style="padding:6px 12px;border-left:3px solid {WARN}">'
            f"<div>{glyph('waiting')} <b>{escape_line(key)}</b> asks: {html.prose(asked.question, 400)}</div>"
            f"{html.code(asked.shown, FIELD_LIMIT)}<div>{html.quiet(lines)}</div></div>"
        )
    return "".join(out)


def _live_html(live: dict[str, dict[str, object]]) -> str:
    """Return the end of each stream that is under way."""
    rows = [
        f"<div>{glyph('running')} <b>{escape_line(key)}</b> {html.quiet(tail)}</div>" for key, tail in streams(live)
    ]
    rows += [f"<div>{html.quiet(text)}</div>" for text in _more_streams(live)]
    return "".join(rows)


# ------------------------------------------------------------------ state
def state_table(view: RunView) -> Table:
    """Fields of the graph's state with their writers and readers."""
    table = Table([Column("field"), Column("reducer"), Column("written by"), Column("read by"), Column("value")])
    for row in view.state:
        table.add(
            row.name, row.reducer, ", ".join(row.writers) or "–", ", ".join(row.readers) or "–", brief(row.value, 120)
        )
    return table


@draws("orch_nb.trace.run_view.RunView")
def run_bundle(view: RunView, *, as_of: str = "", notes: Sequence[str] = (), is_published: bool = False) -> Bundle:
    """A run: graph, trace, bill, state, decisions, prompts and answers; 128 kB of it, or 1 MB where it has very many steps.

    Parameters
    ----------
    as_of
        Time of day, for a run that has not ended.
    notes
        What its cell has to say: inputs that were taken from the notebook.
    is_published
        Whether it should be seen on pages that take SVG away: then it carries a PNG, for which matplotlib is imported.
    """
    text = run_text(view, as_of=as_of, notes=notes)
    image = _published_image(view) if is_published else b""
    html = run_html(view, as_of=as_of, notes=notes, image=image)
    used = saved_bytes(text) + saved_bytes(html)
    data = run_data(view, room=SOFT_BYTES - used, most=HARD_BYTES - used)
    return bundle(text, html, kind=TRACE, data=data | ({"as_of": as_of} if as_of else {}))


MOST_PUBLISHED = 120
"""Nodes. The image of a larger graph would take most of a view's room and could not be read; its words are in the text."""


def _published_image(view: RunView) -> bytes:
    if is_batch(view) or not 0 < len(view.picture.nodes) <= MOST_PUBLISHED:
        return b""
    return run_figure(view).png(sharpness=1.25)


LIVE_BYTES = 32 * 1024
"""Of one update of a run under way: five a second are nothing to a page, whatever the run does."""


def live_bundle(view: RunView, *, live: dict[str, dict[str, object]], as_of: str, notes: Sequence[str] = ()) -> Bundle:
    """A run under way: its status, in 32 kB at most. The picture gives way first, then the arrows' data.

    Parameters
    ----------
    live
        Activation key -> {"text", "since"}: what is being said right now.
    as_of
        Time of day.
    """
    text = live_text(view, live=live, as_of=as_of, notes=notes)
    drawn = svg(view.picture) if len(view.picture.nodes) <= MOST_PUBLISHED else ""
    more = {"as_of": as_of, "live": dict(streams(live, most=24))}
    for picture, has_pictures in ((drawn, True), ("", True), ("", False)):
        html = live_html(view, live=live, as_of=as_of, notes=notes, drawn=picture)
        room = LIVE_BYTES - sent_bytes(html) - sent_bytes(text) - sent_bytes(more)
        data = live_data(view, room, has_pictures=has_pictures) | more
        made = bundle(text, html, kind=TRACE, data=data)
        if sum(sent_bytes(one) for one in made.values()) <= LIVE_BYTES:
            return made
    return bundle(text, html)


FIGURES = ("graph", "timeline", "cost")


@draws("orch_nb.trace.run_view.RunView", "figure")
def run_figure(view: RunView, what: str = "graph") -> Picture:
    """A run as a matplotlib figure: its graph, its time, or its dollars.

    Raises
    ------
    BadOption
        The figure does not exist; the nearest is named.
    """
    if what not in FIGURES:
        near = nearest(what, FIGURES)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(FIGURES)}"
        raise BadOption(f"a run has no figure `{what}`.", hint=hint)
    if what == "graph":
        from orch_nb.views.plots.graph import plot_graph

        return plot_graph(view.picture)
    from orch_nb.views.plots.run import plot_cost, plot_timeline

    return plot_timeline(view) if what == "timeline" else plot_cost(view)
