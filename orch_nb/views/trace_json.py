"""The rows of a trace as data: the skeleton of all of them in packed columns, then as many details as there is room for.

What somebody looks for comes first: what went wrong, what waits, the critical path, the newest. What was left out is
counted, and the full record is one line away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.trace.span import CALLS
from orch_nb.views.columnar import Names, Texts, column, lines_of, saved_bytes
from orch_nb.views.safe_text import FIELD_LIMIT, clean, line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from orch_nb.trace.critical import CriticalPath
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

MAX_SPANS = 10_000
"""Rows of one view."""
MOST_PLAIN = 40
"""Rows whose columns are lists."""
SHORT_FIELD = 700
"""Characters of a field that has no room for all of it."""
LEAST_ROOM = 400
"""Bytes. With less left no further detail is tried."""

BAD = frozenset({"exception", "semantic_failure", "rejected", "retried", "in doubt", "cancelled", "interrupted"})
"""States of a span that somebody will want to understand."""

Row = tuple[int, "Span", float | None]
"""A row's place in the view, its span, its start in seconds of running time."""


def rows_of(view: RunView) -> list[Row]:
    """All rows of a view."""
    return [(i, s, t) for i, (s, t) in enumerate(zip(view.spans, view.starts, strict=True))]


def choose(rows: list[Row], critical: Collection[int], most: int) -> list[Row]:
    """At most `most` of `rows`, in their order: the most telling ones, each with what is around it."""
    if len(rows) <= most:
        return rows
    above = _parents([span for _, span, _ in rows])
    kept: set[int] = set()
    for k in by_interest(rows, critical):
        chain = []
        at = k
        while at >= 0 and at not in kept:
            chain.append(at)
            at = above[at]
        if len(kept) + len(chain) <= most:
            kept.update(chain)
        if len(kept) >= most:
            break
    return [row for k, row in enumerate(rows) if k in kept]


def with_around(rows: list[Row], only: Callable[[Span], bool]) -> list[Row]:
    """The rows that are wanted, and those around them."""
    above = _parents([span for _, span, _ in rows])
    kept: set[int] = set()
    for k, row in enumerate(rows):
        at = k if only(row[1]) else -1
        while at >= 0 and at not in kept:
            kept.add(at)
            at = above[at]
    return [row for k, row in enumerate(rows) if k in kept]


def by_interest(rows: list[Row], critical: Collection[int]) -> Iterator[int]:
    """Positions in `rows`: what went wrong or waits, the critical path, the steps of the outermost graph, the newest.

    Parameters
    ----------
    critical
        Places in the view (a row's first part) of what is on the critical path.
    """
    newest = sorted(range(len(rows)), key=lambda k: (-_start(rows[k]), k))
    yield from (k for k in newest if rows[k][1].state in BAD or rows[k][1].state == "waiting")
    yield from (k for k in newest if rows[k][0] in critical)
    yield from (k for k in newest if rows[k][1].depth == 0)
    yield from newest


def _start(row: Row) -> float:
    return -1.0 if row[2] is None else row[2]


def critical_places(view: RunView, path: CriticalPath) -> set[int]:
    """Places in the view of the spans of its critical path."""
    on_path = {id(span) for span in path.spans}
    return {i for i, span in enumerate(view.spans) if id(span) in on_path}


def _parents(spans: list[Span]) -> list[int]:
    """Each row's parent row, -1 at the top."""
    out: list[int] = []
    above: list[int] = []
    for i, span in enumerate(spans):
        del above[span.depth :]
        out.append(above[-1] if above else -1)
        above.append(i)
    return out


# ------------------------------------------------------------------ skeleton
_NAMES: dict[str, Callable[[Span], str]] = {
    "kind": lambda s: s.kind, "step": lambda s: s.node, "agent_id": lambda s: s.agent if s.agent != s.node else "",
    "action": lambda s: s.action, "target": lambda s: s.target if s.target != s.model else "", "model": lambda s: s.model,
    "state": lambda s: s.state,
}  # fmt: skip
_NUMBERS: dict[str, Callable[[Span], object]] = {
    "depth": lambda s: s.depth or None,
    "round": lambda s: s.round if s.round != 1 else None,
    "item": lambda s: s.item,
    "call": lambda s: s.call or None,
    "attempt": lambda s: s.attempt if s.attempt != 1 else None,
    "latency_ms": lambda s: None if s.latency_s is None else round(s.latency_s * 1000, 1),
    "queued_ms": lambda s: round(s.queued_s * 1000, 1) or None,
    "input_tokens": lambda s: s.input_tokens or None,
    "output_tokens": lambda s: s.output_tokens or None,
    "cached_tokens": lambda s: s.cached_tokens or None,
    "cost_usd": lambda s: _money(s.cost_usd),
    "reserved_usd": lambda s: _money(s.reserved_usd) if not s.exit else None,
    "saved_usd": lambda s: _money(s.saved_usd) if s.saved_usd else None,
}  # fmt: skip


def _money(amount: Any) -> str | None:
    """None is an unknown price; a plain number, never in powers of ten."""
    return None if amount is None else f"{amount.normalize():f}" if amount else "0"


def skeleton(rows: list[Row], critical: Collection[int]) -> dict[str, object]:
    """All rows' figures as columns; what has its usual value is null, and a column of nothing but nulls is not there.

    Up to `MOST_PLAIN` rows the columns are lists, which can be read in the file and in its differences. Of more they are
    packed: `names` are said once (columns of names hold their numbers), and `keys` one a line ("": that of the row around).
    """
    names = Names()
    packed = len(rows) > MOST_PLAIN
    columns: dict[str, list[Any]] = {}
    for name, read in _NAMES.items():
        found = [line(read(span), 200) for _, span, _ in rows]
        columns[name] = [names.place(text) for text in found] if packed else [text or None for text in found]
    for name, number in _NUMBERS.items():
        columns[name] = [number(span) for _, span, _ in rows]
    columns["start_s"] = [None if start is None else round(start, 4) for _, _, start in rows]
    columns["critical"] = [1 if i in critical else None for i, _, _ in rows]
    said = {name: values for name, values in columns.items() if any(v is not None for v in values)}
    if not packed:
        return {"count": len(rows), "columns": {"task_id": [line(s.key, 400) for _, s, _ in rows]} | said}
    keys = lines_of("" if s.kind in CALLS or s.kind == "attempt" else line(s.key, 400) for _, s, _ in rows)
    return {
        "count": len(rows),
        "names": names.packed(),
        "keys": keys,
        "columns": {k: column(v) for k, v in said.items()},
    }


# ------------------------------------------------------------------ details
def details(
    rows: list[Row], critical: Collection[int], texts: Texts, room: int, told: dict[str, dict[str, object]]
) -> tuple[dict[str, object], int]:
    """Details by row for as long as `room` bytes last, and how many rows that have some were left without.

    Parameters
    ----------
    told
        Key of an activation -> its decisions, as data.
    """
    out: dict[str, object] = {}
    seen: set[int] = set()
    left = 0
    for k in by_interest(rows, critical):
        span = rows[k][1]
        if k in seen or not _has_more(span):
            continue
        seen.add(k)
        took = 0
        for limit in (FIELD_LIMIT, SHORT_FIELD) if room > LEAST_ROOM else ():
            mark = texts.mark()
            made = span_detail(span, texts, told.get(span.key, {}), limit)
            took = saved_bytes({"": made}) + saved_bytes(texts.kept[mark:])
            if took <= room:
                out[str(k)] = made
                break
            texts.go_back(mark)
            took = 0
        left += not took
        room -= took
    return dict(sorted(out.items(), key=lambda row: int(row[0]))), left


def _has_more(span: Span) -> bool:
    return bool(span.input_text or span.output_text or span.error or span.decision or span.request is not None)


def span_detail(span: Span, texts: Texts, decisions: dict[str, object], limit: int = FIELD_LIMIT) -> dict[str, object]:
    """Return the details of one row."""

    def put(value: object) -> str | int:
        return texts.put(value, limit)

    made: dict[str, object] = {
        "diff": put(span.diff),
        "by": clean(span.by, 200),
        "price": clean(span.price, 400),
    }
    if span.kind in CALLS:
        made |= _transcript_of(span, put) | {
            "finish_reason": clean(span.finish_reason, 60),
            "route": _route(span.route),
        }
    else:
        made |= {
            "input": put(span.input_text),
            "output_summary": put(span.output_text if span.value is None else span.value),
            "source": _source(span.source),
            **decisions,
        }
    if span.error is not None:
        made |= {"error": put(f"{span.error.type}: {span.error.message}"), "hint": put(span.error.hint)}
    return {k: v for k, v in made.items() if v not in ("", None, [], {})}


def _transcript_of(span: Span, put: Callable[[object], str | int]) -> dict[str, object]:
    """Return what was said to a model, message by message, and its answer; of a tool its arguments and its result."""
    request, reply = span.request, span.value
    messages = request.get("messages") if isinstance(request, dict) else None
    if isinstance(messages, list | tuple):
        said = [
            [clean(str(_of(m, "role")), 40), put(_of(m, "content") or _of(m, "tool_calls") or "")]
            for m in messages[-40:]
        ]
    else:
        said = [["arguments", put(request)]] if request is not None else []
    if isinstance(reply, dict) and "text" in reply:
        reply = reply["text"] or reply.get("tool_calls") or ""
    return {"said": said, "answer": put(reply) if reply is not None else ""}


def _of(message: object, name: str) -> object:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _source(source: dict[str, object] | None) -> str:
    return "" if not source else f"run {clean(str(source.get('run', '?')), 80)}"


def _route(route: dict[str, Any] | None) -> dict[str, object]:
    """The choice of a model: which, why, and what else there was, with what each was expected to cost."""
    if not route:
        return {}
    made = {"offer": str(route.get("offer") or ""), "because": str(route.get("because") or "")}
    rows = [
        {
            k: str(v)
            for k, v in one.items()
            if k in ("offer", "model", "expected_usd", "quality", "refused") and v is not None
        }
        for one in (route.get("candidates") or [])[:40]
        if isinstance(one, dict)
    ]
    return made | ({"candidates": rows} if rows else {})
