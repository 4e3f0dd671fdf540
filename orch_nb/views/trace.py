"""`%orch trace` and what else there is to be read from a trace: filtered, by heat, the conversation, the state, the messages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption, nearest
from orch_nb.trace.critical import critical_path
from orch_nb.trace.message import arrows_of, messages, reason, taken_of
from orch_nb.trace.span import CALLS
from orch_nb.trace.state_steps import state_steps
from orch_nb.views import html as markup
from orch_nb.views.bundle import Display
from orch_nb.views.decisions import decision_table
from orch_nb.views.format import count, glyph, seconds, usd
from orch_nb.views.graph_svg import svg
from orch_nb.views.run import head_line, notice_lines
from orch_nb.views.safe_text import line
from orch_nb.views.sequence_diagram import message_table, sequence_svg
from orch_nb.views.table import Cell, Column, Table
from orch_nb.views.trace_table import TRACE_ROWS, trace_table
from orch_nb.views.transcript import answer_of, conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from orch_nb.schema.events import Event
    from orch_nb.trace.graph_state import NodeView
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span
    from orch_nb.views.bundle import Bundle

VIEWS = ("messages", "conversation", "state", "decisions")
HEATS = ("usd", "tokens", "seconds")
FAILED = frozenset({"exception", "semantic_failure", "cancelled", "interrupted", "in doubt"})
MAX_SAID, SAID_LIMIT = 60, 4000
"""Calls of a conversation in one display, and characters of one prompt or answer in it."""


# ------------------------------------------------------------------ which rows
def matching(view: RunView, *, agent: str = "", status: str = "", text: str = "") -> Callable[[Span], bool]:
    """A test for rows: of this agent (or step), in this state, with this text somewhere in what was said.

    Parameters
    ----------
    status
        A state as it is shown (``semantic failure``), or "failed" for every way of not ending well.
    text
        Letters' case does not count.

    Raises
    ------
    BadOption
        The run has no such agent or state; the nearest is named.
    """
    wanted = status.replace("_", " ").lower()
    if agent:
        _check(agent, {s.agent for s in view.spans} | {s.node for s in view.spans}, "agent")
    if wanted and wanted != "failed":
        _check(wanted, {s.state.replace("_", " ") for s in view.spans}, "step in state")
    sought = text.lower()

    def is_match(span: Span) -> bool:
        if agent and agent not in (span.agent, span.node):
            return False
        if wanted and not (span.state in FAILED if wanted == "failed" else span.state.replace("_", " ") == wanted):
            return False
        return not sought or sought in _everything(span).lower()

    return is_match


def _check(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(sorted(k for k in known if k)[:12])}"
        raise BadOption(f"the run has no {what} `{line(name, 64)}`.", hint=hint)


def _everything(span: Span) -> str:
    """All that was said in a row."""
    parts = [span.key, span.action, span.model, span.input_text, span.output_text, span.diff]
    if span.request is not None and span.kind in CALLS:
        parts += [conversation(span.request), str(answer_of(span))]
    if span.error is not None:
        parts += [span.error.type, span.error.message]
    return "\n".join(parts)


def trace(view: RunView, *, full: bool = False, only: Callable[[Span], bool] | None = None) -> Display:
    """Rows of the trace, those that match; `value` is their spans."""
    table = trace_table(view, len(view.spans) if full else TRACE_ROWS, only=only)
    found = [span for span in view.spans if only is None or only(span)]
    head = head_line(view) + (f" · {count(len(found), 'row')} of {len(view.spans):,}" if only is not None else "")
    rows = notice_lines(view)
    said = "".join(f"<div>{markup.prose(row)}</div>" for row in rows)
    html = markup.panel(markup.bar(markup.strong(head)), markup.section(said + table.html(), first=True))
    return Display("\n".join([head, *rows, table.text()]), html, found)


# ------------------------------------------------------------------ heat
def heat(view: RunView, by: str) -> Display:
    """The graph with each node's share of the run's dollars, tokens or seconds, and the same as a table, most first.

    Raises
    ------
    BadOption
        It is measured in none of these; the nearest is named.
    """
    if by not in HEATS:
        near = nearest(by, HEATS)
        raise BadOption(
            f"heat is by {', '.join(HEATS)}, not by `{line(by, 40)}`.", hint=f"did you mean `{near}`?" if near else ""
        )
    amounts = {name: _amount(node, by) for name, node in view.picture.nodes.items()}
    total = sum(amounts.values())
    shares = {name: amount / total if total else 0.0 for name, amount in amounts.items()}
    nodes = {name: replace(node, share=shares[name], heat=shares[name]) for name, node in view.picture.nodes.items()}
    table = Table([Column("step"), Column(by, "r"), Column("share", "r"), Column("", picture=True)])
    for name in sorted(shares, key=lambda n: -shares[n]):
        node = view.picture.nodes[name]
        if node.state and node.state != "skipped":
            told = {"usd": usd(node.cost_usd), "tokens": f"{node.tokens:,}", "seconds": f"{node.seconds:.2f}"}[by]
            table.add(line(name, 64), told, f"{shares[name]:.0%}", Cell("", markup.meter(shares[name], 160)))
    head = f"{head_line(view)} · share of {by}"
    drawn = markup.drawing(svg(replace(view.picture, nodes=nodes)))
    html = markup.panel(markup.bar(markup.strong(head)), drawn, markup.section(table.html()))
    return Display(f"{head}\n{table.text()}", html, shares)


def _amount(node: NodeView, by: str) -> float:
    return {"usd": float(node.cost_usd or 0), "tokens": float(node.tokens), "seconds": node.seconds}[by]


# ------------------------------------------------------------------ other readings
def reading(view: RunView, events: Sequence[Event], what: str) -> Display:
    """One of `VIEWS`.

    Raises
    ------
    BadOption
        The view does not exist; the nearest is named.
    """
    match what:
        case "messages":
            return _messages(view)
        case "conversation":
            return _conversation(view)
        case "state":
            return _state(view, events)
        case "decisions":
            table = decision_table(view)
            return (
                Display.lines(head_line(view), "nothing was decided")
                if table is None
                else Display.of_table(head_line(view), table)
            )
    near = nearest(what, VIEWS)
    raise BadOption(
        f"a trace has no view `{line(what, 40)}`.",
        hint=f"did you mean `{near}`?" if near else f"there are: {', '.join(VIEWS)}",
    )


def _messages(view: RunView) -> Display:
    said = messages(view)
    table, head = message_table(said), f"{head_line(view)} · {count(len(said), 'message')}"
    html = markup.panel(
        markup.bar(markup.strong(head)), markup.drawing(sequence_svg(said)), markup.section(table.html())
    )
    return Display(f"{head}\n{table.text()}", html, said)


def _conversation(view: RunView) -> Display:
    """Every call in order of time: when, who, to whom, all that was said and all that was answered."""
    rows = [
        (s, t) for s, t in zip(view.spans, view.starts, strict=True) if s.kind in ("model", "tool") and t is not None
    ]
    rows.sort(key=lambda row: row[1] or 0.0)
    head = f"{head_line(view)} · {count(len(rows), 'call')}"
    text, html = [head], [markup.bar(markup.strong(head))]
    for span, start in rows[:MAX_SAID]:
        title = f"{start:.2f} s · {line(span.key, 80)} ({line(span.agent, 40)}) → {line(span.target, 60)}{_confidence(span)}"
        asked, said = conversation(span.request)[:SAID_LIMIT], answer_of(span)
        text += ["", title, asked, f"{glyph(span.state)} answer: {said}"[:SAID_LIMIT]]
        html.append(
            markup.section(
                markup.code(asked, SAID_LIMIT) + markup.quiet("answer") + markup.code(said, SAID_LIMIT), title=title
            )
        )
    if len(rows) > MAX_SAID:
        rest = f"… {len(rows) - MAX_SAID:,} more calls: `run.view.spans` has all"
        text.append(rest)
        html.append(markup.section(markup.quiet(rest)))
    return Display("\n".join(text), markup.panel(*html), [span for span, _ in rows])


def _confidence(span: Span) -> str:
    """Return what the answer says of its own confidence, where it is data that does."""
    import json

    reply = span.value.get("text") if isinstance(span.value, dict) else None
    if not isinstance(reply, str) or '"confidence"' not in reply[:20_000]:
        return ""
    try:
        found = json.loads(reply)
    except ValueError:
        return ""
    stated = found.get("confidence") if isinstance(found, dict) else None
    return f" · states confidence {stated:g}" if isinstance(stated, int | float) else ""


def _state(view: RunView, events: Sequence[Event]) -> Display:
    """Return what each step changed of the state, field by field."""
    steps = state_steps(events)
    table = Table([Column("after step"), Column("field"), Column("before"), Column("after", rest=True)])
    for step in steps[-TRACE_ROWS:]:
        if step.failed:
            table.add(
                line(step.key, 80), Cell("nothing: it failed", quiet=True), "", Cell(line(step.failed, 160), quiet=True)
            )
        elif not step.changes:
            table.add(line(step.key, 80), Cell("nothing", quiet=True), "", "")
        for n, change in enumerate(step.changes[:24]):
            table.add(
                "" if n else line(step.key, 80),
                line(change.field, 80),
                Cell(line(change.before, 80), quiet=True),
                line(change.after, 200),
            )
    if len(steps) > TRACE_ROWS:
        table.notes.append(
            f"the last {TRACE_ROWS} of {len(steps):,} steps; `run.state_at(STEP)` gives the state after any"
        )
    return Display.of_table(f"{head_line(view)} · state", table, value=steps)


def critical(view: RunView) -> Display:
    """The chain of steps that made the run as long as it was, and what of it was waiting, models, the rest."""
    path = critical_path(view)
    at = {id(s): t for s, t in zip(view.spans, view.starts, strict=True)}
    table = Table(
        [
            Column("step"),
            Column("starts s", "r"),
            Column("queued", "r"),
            Column("model", "r"),
            Column("other", "r"),
            Column("seconds", "r"),
        ]
    )
    for span in path.spans:
        took, indent = span.latency_s or 0.0, "  " * span.depth
        model = min(took, span.model_s)
        table.add(
            indent + line(span.key, 80),
            f"{at[id(span)] or 0.0:.2f}",
            _s(span.queued_s),
            _s(model),
            _s(took - model),
            f"{took:.2f}",
        )
    head = f"critical path of run {line(view.run, 40)} of {line(view.graph, 64)}: {seconds(path.total_s)} of {seconds(view.wall_s)}"
    after = f"queued {seconds(path.queued_s)}, models {seconds(path.model_s)}, other {seconds(path.other_s)}"
    first = next(iter(path.by_step.items()), None)
    advice = (
        ""
        if first is None or not path.total_s
        else f"speed up `{line(first[0], 64)}` first: {first[1] / path.total_s:.0%} of it"
    )
    return Display.of_table(head, table, after, *([advice] if advice else []), value=path)


def _s(value: float) -> str:
    """Seconds in a cell; nothing where there were none."""
    return f"{value:.2f}" if value >= 0.005 else ""


def why_called(view: RunView, source: str, target: str) -> Display:
    """Return why `source` called `target`: each time, the arrow, its condition with the values it saw, and what was handed on.

    Raises
    ------
    BadOption
        The graph has no such node; the nearest is named.
    """
    arrows = arrows_of(view)
    known = {f"{g.path}/{n}" if g.path else n for g in view.graphs for n in g.nodes}
    targets = {s.target for s in view.spans if s.kind in CALLS}
    for name, all_ in ((source, known), (target, known | targets)):
        _check(name, all_, "step")
    head = f"why {line(source, 64)} called {line(target, 64)} · run {line(view.run, 40)} of {line(view.graph, 64)}"
    here = [edge for edge in arrows.get(source, []) if edge.target == target.rpartition("/")[2]]
    acts = [
        s
        for s in view.spans
        if s.kind not in CALLS and s.kind != "attempt" and _path(s) == source and s.exit and s.item is None
    ]
    table = Table([Column("after"), Column("called"), Column("because"), Column("handed on", rest=True)])
    for span in acts:
        taken = taken_of(span, arrows.get(source, []))
        for edge in here:
            yes = any(edge is one for one in taken)
            said = reason(span, edge) or ("the arrow has no condition" if yes else "the step did not end well")
            table.add(
                line(span.key, 80),
                "yes" if yes else "no",
                said,
                Cell(line(span.output_text, 160) if yes else "", quiet=True),
            )
    calls = [s for s in view.spans if s.kind in CALLS and s.target == target and _path(s) == source]
    for call in calls:
        table.add(
            line(call.key, 80),
            "yes",
            line((call.route or {}).get("because") or call.action, 200),
            Cell(line(call.input_text, 160), quiet=True),
        )
    if table.rows:
        return Display.of_table(head, table, value=messages_between(view, source, target))
    others = ", ".join(f"`{line(e.target, 40)}`" for e in arrows.get(source, [])) or "no other step"
    said = "it did not run" if here and not acts else f"no arrow is between them; it leads to {others}"
    return Display.lines(head, f"it did not: {said}", value=[])


def _path(span: Span) -> str:
    from orch_nb.trace.bill import step_of

    return step_of(span)


def messages_between(view: RunView, source: str, target: str) -> list[object]:
    """The messages from one to the other."""
    return [m for m in messages(view) if m.source == source and m.target == target]


def trace_bundle(view: RunView, *, full: bool = False) -> Bundle:
    """The trace alone: the most telling rows, or every one of them."""
    return trace(view, full=full)._repr_mimebundle_()
