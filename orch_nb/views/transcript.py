"""What was said: prompts and answers of a run's calls, and what people changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.views import html
from orch_nb.views.safe_text import as_text, escape_line

if TYPE_CHECKING:
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

MAX_SAID = 24
"""Calls whose prompt and answer a display carries, the latest."""
SAID_LIMIT = 2000
"""Characters of a prompt or an answer in the HTML; the JSON carries 8 kB, the store everything."""
SAID_ROOM = 10_000
"""Characters of all of them together."""


def said_html(view: RunView) -> str:
    """Prompts and answers of the latest calls, and what people changed."""
    rows = [s for s in view.spans if s.kind in ("model", "tool") or s.diff]
    out: list[str] = []
    room = SAID_ROOM
    for span in reversed(rows[-MAX_SAID:]):
        made = _one(span)
        room -= len(made)
        if room < 0 and out:
            break
        out.insert(0, made)
    if len(rows) > len(out):
        out.insert(0, html.quiet(f"the last {len(out)} of {len(rows):,} calls; `run.view.spans` has all"))
    return "".join(out)


def _one(span: Span) -> str:
    title = f"{span.key}{f' · {span.target}' if span.target else ''}{f' · call {span.call}' if span.call > 1 else ''}"
    head = f'<div style="font-weight:600;opacity:.8;margin-top:4px">{escape_line(title, 200)}</div>'
    if span.diff:
        return head + html.code(span.diff, SAID_LIMIT)
    said = html.code(conversation(span.request), SAID_LIMIT)
    return head + said + html.quiet("answer") + html.code(answer_of(span), SAID_LIMIT)


def conversation(request: object) -> str:
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


def answer_of(span: Span) -> object:
    """A call's answer as it came: text, tool calls, or the error."""
    if span.error is not None:
        return f"{span.error.type}: {span.error.message}"
    reply = span.value
    if isinstance(reply, dict) and "text" in reply:
        return reply["text"] or reply.get("tool_calls") or ""
    return "no answer: in doubt" if span.state == "in doubt" else reply
