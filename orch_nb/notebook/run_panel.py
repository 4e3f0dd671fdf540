"""A run as it is shown: head line, graph, trace, bill, state, what was said, what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.notebook import markup
from orch_nb.notebook.svg import outcome_text, svg
from orch_nb.notebook.table import Cell, Column, Table
from orch_nb.notebook.visible import FIELD_LIMIT, as_text, escape_line, line
from orch_nb.notebook.words import COLOURS, REUSE, RUN, WARN, count, glyph, places, seconds, usd, word
from orch_nb.trace.brief import brief
from orch_nb.trace.spans import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from orch_nb.schema import events as ev
    from orch_nb.trace.bill import Bill, Line
    from orch_nb.trace.picture import GraphView
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.spans import Span

MAX_ROWS = 300
"""Rows of a trace in one display: the first and the last of them; the whole is one line of Python away."""
MAX_SAID = 24
"""Calls whose prompt and answer a display carries, the latest."""
SAID_LIMIT = 2000
"""Characters of a prompt or an answer in the HTML; the JSON carries 8 kB, the store everything."""


# ------------------------------------------------------------------ whole panels
def run_html(
    view: RunView, *, live: dict[str, dict[str, Any]] | None = None, as_of: str = "", notes: Sequence[str] = ()
) -> str:
    """The run's panel, script-free."""
    if is_batch(view):
        return markup.panel(_head_html(view, as_of), markup.section(markup.prose(batch_line(view)), first=True))
    parts = [_head_html(view, as_of), *(_note_html(n) for n in notes), _problem_html(view), _waiting_html(view)]
    parts.append(markup.drawing(svg(view.picture), twin=not as_of))
    for inner in view.graphs[1:]:
        parts.append(markup.folded(f"inside {inner.path}: {_tally(inner)}", markup.drawing(svg(inner))))
    if live:
        parts.append(markup.section(_live_html(live)))
    parts.append(markup.section(trace_table(view).html()))
    return markup.panel(*parts, *_folds(view))


def _folds(view: RunView) -> list[str]:
    """What is there to be opened: bill, inputs, state, decisions, what was said; and the output."""
    parts = []
    if view.bill.total.calls or view.bill.total.reused:
        parts.append(markup.folded(f"bill: {bill_line(view.bill)}", bill_tables_html(view.bill)))
    if view.inputs:
        parts.append(markup.folded(f"inputs: {', '.join(view.inputs)}", _inputs_html(view)))
    if view.state:
        parts.append(markup.folded("state", state_table(view).html()))
    if decided := decision_table(view):
        parts.append(markup.folded("decisions", decided.html()))
    if said := _said_html(view):
        parts.append(markup.folded("prompts and answers", said))
    if view.status == "done" and view.output is not None:
        parts.append(markup.section(markup.code(view.output, SAID_LIMIT), title="output"))
    return parts


def is_batch(view: RunView) -> bool:
    """Whether this is the record of a batch: its rows are runs of their own."""
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
        *_problem_lines(view),
        *_waiting_lines(view),
        "",
        trace_table(view).text(),
    ]
    for picture in view.graphs:
        flow = _flow_lines(picture)
        if flow:
            parts += ["", f"inside {picture.path}:" if picture.path else "arrows:", *flow]
    if view.bill.total.calls or view.bill.total.reused:
        parts += ["", f"bill: {bill_line(view.bill)}", bill_table(view.bill.models, "model").text()]
    if view.state:
        parts += ["", state_table(view).text()]
    if view.status == "done" and view.output is not None:
        parts += ["", f"output: {as_text(view.output, SAID_LIMIT)}"]
    return "\n".join(parts)


# ------------------------------------------------------------------ head
def head_line(view: RunView, as_of: str = "") -> str:
    """The run in one line."""
    parts = [
        line(view.graph, 64), f"run {line(view.run, 40)}", f"{glyph(view.status)} {word(view.status)}", seconds(view.wall_s),
        count(view.bill.total.tokens, "token"), _money_text(view.bill), *_asides(view), as_of,
    ]  # fmt: skip
    return " · ".join(p for p in parts if p)


def _head_html(view: RunView, as_of: str) -> str:
    left = [
        markup.strong(line(view.graph, 64)), markup.quiet(f"run {line(view.run, 40)}"), markup.state(view.status),
        markup.quiet(seconds(view.wall_s)), markup.quiet(count(view.bill.total.tokens, "token")),
        *(markup.quiet(text) for text in _asides(view)), markup.quiet(as_of) if as_of else "",
    ]  # fmt: skip
    return markup.bar(*left, right=_money_html(view.bill))


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


def _money_text(bill: Bill) -> str:
    total = bill.total
    parts = [usd(total.spent_usd) + (f" of {usd(bill.limit_usd)}" if bill.limit_usd is not None else "")]
    if total.held_usd:
        parts.append(f"held {usd(total.held_usd)}")
    if total.reused:
        parts.append(f"saved {usd(total.saved_usd)} ({total.reused} reused)")
    return " · ".join(parts)


def _money_html(bill: Bill) -> str:
    total = bill.total
    text = markup.strong(usd(total.spent_usd))
    if bill.limit_usd is not None:
        share = (
            float((total.spent_usd + total.held_usd + total.in_doubt_usd) / bill.limit_usd) if bill.limit_usd else 1.0
        )
        text += markup.meter(share) + markup.quiet(f"of {usd(bill.limit_usd)}")
    if total.held_usd:
        text += " " + markup.quiet(f"· held {usd(total.held_usd)}")
    if total.reused:
        text += (
            f' <span style="color:{REUSE};margin-left:10px">saved {usd(total.saved_usd)} · {total.reused} reused</span>'
        )
    return text


def _note_html(text: str) -> str:
    return f'<div style="padding:3px 12px">{markup.quiet(text)}</div>'


def _inputs_html(view: RunView) -> str:
    table = Table([Column("input"), Column("value", rest=True)])
    for name, value in list(view.inputs.items())[:40]:
        table.add(name, brief(value, 300))
    return table.html()


# ------------------------------------------------------------------ failure, waiting
def _problem_lines(view: RunView) -> list[str]:
    if view.error is None or view.status not in ("failed", "interrupted", "waiting"):
        return (
            []
            if view.status != "interrupted"
            else [f"its process is gone: `%orch resume {view.run}` goes on from here"]
        )
    error = view.error
    rows = [f"{glyph('failed')} {line(view.failed_node, 80)}: {line(error.type, 60)}: {line(error.message, 400)}"]
    if error.hint:
        rows.append(f"  hint: {line(error.hint, 300)}")
    rows.append(f"  `%orch resume {line(view.run, 40)}` goes on from here; finished steps are kept")
    return rows


def _problem_html(view: RunView) -> str:
    rows = _problem_lines(view)
    if not rows:
        return ""
    inner = "".join(f"<div>{markup.prose(r.strip())}</div>" for r in rows)
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
    words = {"edit": 'edit "…"', "approve": "approve", "reject": "reject"}
    said = [f"`%orch answer {words.get(o, o)}{node}`" for o in asked.options]
    return f"answer: {', '.join(said)} (run {run})"


def _waiting_html(view: RunView) -> str:
    out = []
    for key, asked in view.waiting.items():
        lines = answer_lines(view.run, key, asked, several=len(view.waiting) > 1)
        out.append(
            f'<div style="padding:6px 12px;border-left:3px solid {WARN}">'
            f"<div>{glyph('waiting')} <b>{escape_line(key)}</b> asks: {escape_line(asked.question, 400)}</div>"
            f"{markup.code(asked.shown, FIELD_LIMIT)}<div>{markup.quiet(lines)}</div></div>"
        )
    return "".join(out)


def _live_html(live: dict[str, dict[str, Any]]) -> str:
    """What is being said right now: the end of each stream."""
    rows = []
    for key, row in list(live.items())[:6]:
        tail = line(str(row.get("text", ""))[-160:], 160)
        rows.append(f"<div>{glyph('running')} <b>{escape_line(key)}</b> {markup.quiet(tail)}</div>")
    if len(live) > 6:
        rows.append(f"<div>{markup.quiet(f'and {len(live) - 6} more')}</div>")
    return "".join(rows)


# ------------------------------------------------------------------ trace
def trace_table(view: RunView, max_rows: int = MAX_ROWS) -> Table:
    """Steps in tree order with their place in time, tokens and dollars."""
    rows = _shown_rows(view)
    digits = places(s.cost_usd for s in view.spans)
    table = Table(
        [
            Column("step"), Column("state"), Column(_axis(view), picture=True, width="170px"), Column("seconds", "r"),
            Column("queued", "r"), Column("tokens in", "r"), Column("out", "r"), Column("$", "r"), Column("model"),
            Column("what", rest=True),
        ]
    )  # fmt: skip
    cut = _cut_rows(rows, max_rows)
    for row in cut:
        if row is None:
            hidden = len(rows) - (len(cut) - 1)
            table.add(Cell(f"… {hidden:,} more", quiet=True), *[""] * 9)
        else:
            span, start = row
            table.add(*_trace_row(view, span, start, digits))
    skipped = [s.key for s in view.spans if s.state == "skipped" and s.started_at is None]
    if skipped:
        more = f" and {len(skipped) - 20:,} more" if len(skipped) > 20 else ""
        table.notes.append(f"{glyph('skipped')} skipped: {', '.join(skipped[:20])}{more}")
    return table


def _axis(view: RunView) -> str:
    return f"0 to {seconds(view.wall_s)}"


def _shown_rows(view: RunView) -> list[tuple[Span, float | None]]:
    """Activations; their calls only where there is more to say than the activation's own row says."""
    out: list[tuple[Span, float | None]] = []
    told: set[int] = set()
    for span, start in zip(view.spans, view.starts, strict=True):
        if span.state == "skipped" and span.started_at is None:
            continue
        if span.kind in CALLS or span.kind == "attempt":
            if id(span) not in told:
                out.append((span, start))
            continue
        only = span.children[0] if len(span.children) == 1 else None
        if only is not None and only.kind in CALLS and only.exit == "success":
            told.add(id(only))
        out.append((span, start))
    return out


def _cut_rows(rows: list[Any], limit: int) -> list[Any]:
    if len(rows) <= limit:
        return rows
    return [*rows[: limit // 2], None, *rows[-(limit - limit // 2) :]]


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
        return f"{indent}{markup.quiet(_label(span))}"
    return f"{indent}{escape_line(name)}{' ' + markup.quiet(rest) if rest else ''}"


def _state_html(span: Span) -> str:
    colour = COLOURS.get(span.state, "")
    mark = f'<span style="color:{colour}">{glyph(span.state)}</span>' if colour else glyph(span.state)
    return f'{mark} <span style="opacity:.72">{word(span.state)}</span>'


def _bar_html(view: RunView, span: Span, start: float | None) -> str:
    """The span's place in the run's time: queueing pale, work full."""
    if start is None or not view.wall_s:
        return ""
    if span.state == "due":
        return ""
    length = span.latency_s if span.latency_s is not None else max(0.0, view.wall_s - start)
    left = min(start / view.wall_s, 1.0)
    width = min(length / view.wall_s, 1.0 - left)
    waited = min(span.queued_s / view.wall_s, left)
    colour = COLOURS.get(span.state, RUN) if span.state not in ("success", "passed", "done") else RUN
    thin = span.kind in CALLS or span.kind == "attempt"
    piece = "display:inline-block;height:{h}px;border-radius:2px;vertical-align:middle;background:{c};width:{w:.2f}%;margin-left:{m:.2f}%"
    height = 5 if thin else 8
    queue = (
        f'<span style="{piece.format(h=height, c="rgba(127,127,127,.3)", w=waited * 100, m=(left - waited) * 100)}"></span>'
        if waited > 0.002
        else ""
    )
    margin = 0.0 if queue else left * 100
    full = piece.format(h=height, c=colour, w=max(width * 100, 0.6), m=min(margin, 99.4))
    opacity = ";opacity:.55" if thin else ""
    return (
        '<span style="display:block;width:170px;line-height:1;font-size:0;white-space:nowrap;background:rgba(127,127,127,.09);'
        f'border-radius:2px">{queue}<span style="{full}{opacity}"></span></span>'
    )


def _what(span: Span) -> str:
    """What there is to say of a row beside its figures."""
    if span.error is not None:
        return line(f"{span.error.type}: {span.error.message}", 90)
    if span.exit == "reused" or span.count is not None or span.kind == "human" or span.state in ("passed", "skipped"):
        return line(span.action, 90)
    if span.kind in CALLS:
        return ""
    return line(span.output_text or span.input_text, 70)


def decision_table(view: RunView) -> Table | None:
    """What every condition and choice saw, and how it came out; None where there was none."""
    table = Table([Column("after"), Column("round", "r"), Column("asked"), Column("saw"), Column("outcome")])
    for picture in view.graphs:
        at = f"{picture.path}/" if picture.path else ""
        for choice in picture.choices.values():
            for round_, made in choice.decisions:
                saw = brief(made.get("value", made.get("scores", "")), 80)
                outcome = f"→ {made.get('choice') or 'else'}{_because(made)}"
                table.add(at + choice.node, str(round_), f"by {choice.text}", saw, outcome)
        for edge in picture.edges:
            for o in edge.outcomes:
                saw = ", ".join(f"{k} = {brief(v, 30)}" for k, v in o.values.items())
                said = "yes" if o.result and not o.exhausted else "yes, but at most is used up" if o.result else "no"
                table.add(at + edge.source, str(o.round), f"{edge.label} (→ {edge.target})", saw, said)
    for span in view.spans:
        gate = (span.decision or {}).get("gate")
        if gate:
            saw = ", ".join(f"{k} = {brief(v, 30)}" for k, v in (span.decision or {}).get("values", {}).items())
            table.add(span.key, str(span.round), f"gate: if {gate}", saw, "no: passed")
    return table if table.rows else None


def _because(made: dict[str, Any]) -> str:
    parts = []
    if isinstance(made.get("margin"), float):
        parts.append(f"margin {made['margin']:.2f}")
    if made.get("because"):
        parts.append(str(made["because"]))
    return f" ({', '.join(parts)})" if parts else ""


def _flow_lines(picture: GraphView) -> list[str]:
    """Arrows as text: what was taken, what every condition saw."""
    out = []
    for edge in picture.edges:
        if edge.kind == "plain" and edge.at_most is None:
            continue
        words = f"when {edge.label}" if edge.kind == "when" else edge.kind if edge.kind != "plain" else ""
        if edge.at_most is not None:
            words += f" at most {edge.at_most}"
        seen = "; ".join(f"round {o.round}: {outcome_text(o)}" for o in edge.outcomes)
        taken = (
            "not decided" if edge.taken is None else "not taken" if not edge.taken else f"taken {_times(edge.taken)}"
        )
        out.append(
            line(
                f"  {edge.source} -> {edge.target}  {words + ': ' if words else ''}{taken}{'; ' + seen if seen else ''}",
                400,
            )
        )
    return out


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n:,} times"


def _tally(picture: GraphView) -> str:
    states: dict[str, int] = {}
    for node in picture.nodes.values():
        states[word(node.state or "due")] = states.get(word(node.state or "due"), 0) + 1
    return f"{line(picture.name, 40)}, " + ", ".join(f"{n} {s}" for s, n in states.items())


# ------------------------------------------------------------------ bill, state
def bill_line(bill: Bill) -> str:
    """The bill in one line."""
    total = bill.total
    return f"{count(total.calls, 'model call')}, {total.input_tokens:,} tokens in, {total.output_tokens:,} out, {_money_text(bill)}"


def bill_table(lines: list[Line], head: str, total: Line | None = None) -> Table:
    """One line for each step, agent or model; columns that are empty throughout are left out."""
    everything = [*lines, *([total] if total is not None else [])]
    digits = places(r.spent_usd for r in everything)
    extras = [(name, show) for name, show in _EXTRAS if any(show(r) for r in everything)]
    table = Table(
        [
            Column(head),
            Column("calls", "r"),
            Column("in", "r"),
            Column("out", "r"),
            *(Column(n, "r") for n, _ in extras),
            Column("$", "r"),
        ]
    )
    for row in everything:
        is_total = row is total
        name = "total" if is_total else line(row.name, 64) + (" *" if row.estimated else "")
        cells = [
            name,
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            *(show(row) for _, show in extras),
            _spent(row, digits),
        ]
        table.add(*(Cell(c, strong=is_total) for c in cells))
    if any(r.estimated for r in lines):
        table.notes.append("* tokens counted here: the provider sent none, or nonsense")
    return table


_EXTRAS: list[tuple[str, Callable[[Line], str]]] = [
    ("cached", lambda r: f"{r.cached_tokens:,}" if r.cached_tokens else ""),
    ("held", lambda r: usd(r.held_usd) if r.held_usd else ""),
    ("in doubt", lambda r: f"≤ {usd(r.in_doubt_usd)}" if r.in_doubt else ""),
    ("overrun", lambda r: usd(r.overrun_usd) if r.overrun_usd else ""),
    ("saved", lambda r: usd(r.saved_usd) if r.reused else ""),
    ("retries", lambda r: f"{r.retries:,}" if r.retries else ""),
]
"""Columns of a bill that are only there where they say something."""


def _spent(row: Line, digits: int) -> str:
    """Dollars; with a "+ ?" where calls of unknown price come on top."""
    text = usd(row.spent_usd, digits)
    return f"{text} + {row.unpriced} × $?" if row.unpriced else text


def bill_tables_html(bill: Bill) -> str:
    """By step, by agent where that says more, by model."""
    parts = [bill_table(bill.steps, "step", bill.total)]
    if {a.name for a in bill.agents} != {s.name for s in bill.steps}:
        parts.append(bill_table(bill.agents, "agent"))
    parts.append(bill_table(bill.models, "model"))
    return '<div style="height:10px"></div>'.join(p.html() for p in parts)


def state_table(view: RunView) -> Table:
    """Fields of the graph's state with their writers and readers."""
    table = Table([Column("field"), Column("reducer"), Column("written by"), Column("read by"), Column("value")])
    for row in view.state:
        table.add(
            row.name, row.reducer, ", ".join(row.writers) or "–", ", ".join(row.readers) or "–", brief(row.value, 120)
        )
    return table


# ------------------------------------------------------------------ prompts
def _said_html(view: RunView) -> str:
    """Prompts and answers of the latest calls, and what people changed."""
    rows = [s for s in view.spans if s.kind in ("model", "tool") or s.diff]
    out = []
    for span in rows[-MAX_SAID:]:
        title = (
            f"{span.key}{f' · {span.target}' if span.target else ''}{f' · call {span.call}' if span.call > 1 else ''}"
        )
        out.append(f'<div style="font-weight:600;opacity:.8;margin-top:4px">{escape_line(title, 200)}</div>')
        if span.diff:
            out.append(markup.code(span.diff, SAID_LIMIT))
            continue
        out.append(markup.code(conversation(span.request), SAID_LIMIT))
        out.append(markup.quiet("answer") + markup.code(answer_of(span), SAID_LIMIT))
    if len(rows) > MAX_SAID:
        out.insert(0, markup.quiet(f"the last {MAX_SAID} of {len(rows)} calls"))
    return "".join(out)


def conversation(request: Any) -> str:
    """A request as text: role and content of each message, or the arguments of a tool."""
    if not isinstance(request, dict) or not isinstance(request.get("messages"), list):
        return as_text(request)
    parts = []
    for message in request["messages"]:
        if isinstance(message, dict):
            parts.append(
                f"{message.get('role', '?')}: {as_text(message.get('content') or message.get('tool_calls') or '')}"
            )
    return "\n".join(parts)


def answer_of(span: Span) -> Any:
    """A call's answer as it came: text, tool calls, or the error."""
    if span.error is not None:
        return f"{span.error.type}: {span.error.message}"
    reply = span.value
    if isinstance(reply, dict) and "text" in reply:
        return reply["text"] or reply.get("tool_calls") or ""
    return "no answer: in doubt" if span.state == "in doubt" else reply
