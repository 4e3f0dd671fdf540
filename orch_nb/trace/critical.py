"""The critical path: the chain of steps, each of which waited for the one before, that made the run as long as it was.

Read backwards from the step that ended last: the step before is the one among those with an arrow to it that ended last
before it began. Inside a nested graph the same; of a map the item that ended last. What lies between is told apart: time in
a queue, time at models, time in between (our own, and waiting for people).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.trace.bill import step_of
from orch_nb.trace.span import CALLS

if TYPE_CHECKING:
    from orch_nb.trace.graph_state import GraphView
    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

SLACK_S = 1e-6
"""Two instants nearer than this are one: a step begins in the tick in which the one before ends."""


@dataclass(slots=True)
class CriticalPath:
    """The chain, in order of time.

    Attributes
    ----------
    spans
        Steps and the frames around them: an outer step comes before those inside it.
    total_s
        From the first step's queueing to the last step's end, pauses between processes left out.
    queued_s, model_s, other_s
        What the innermost steps of the chain spent in the queue, at models, and otherwise; together at most `total_s`.
    by_step
        Step -> seconds that the chain spent in it, most first: what to speed up first.
    """

    spans: list[Span] = field(default_factory=list)
    total_s: float = 0.0
    queued_s: float = 0.0
    model_s: float = 0.0
    other_s: float = 0.0
    by_step: dict[str, float] = field(default_factory=dict)

    def __contains__(self, span: Span) -> bool:
        return any(span is one for one in self.spans)


def critical_path(view: RunView) -> CriticalPath:
    """The critical path of a run; empty before anything has started.

    Notes
    -----
    O(spans + arrows), without recursion. In a recording, which has no arrows, any earlier step may be the one before.
    """
    by_frame = _by_frame(view)
    before = {graph.path: _sources(graph) for graph in view.graphs}
    chain: list[Span] = []
    leaves: list[Span] = []
    todo = _chain(by_frame.get("", []), before.get("", {}))
    while todo:
        span = todo.pop()
        chain.append(span)
        path = step_of(span)
        inside = _chain(by_frame.get(span.key, []), before.get(path, {})) or _last_item(span)
        if not inside:
            leaves.append(span)
        todo += inside
    return _sum(chain, leaves)


def _is_step(span: Span) -> bool:
    return span.kind not in CALLS and span.kind != "attempt" and span.started_at is not None and span.state != "due"


def _by_frame(view: RunView) -> dict[str, list[Span]]:
    """Steps that ran, by the frame they belong to, without a map's items."""
    found: dict[str, list[Span]] = {}
    for span in view.spans:
        if _is_step(span) and span.item is None:
            found.setdefault(span.frame, []).append(span)
    return found


def _sources(graph: GraphView) -> dict[str, set[str]]:
    """Node -> nodes with an arrow to it."""
    found: dict[str, set[str]] = {}
    for edge in graph.edges:
        found.setdefault(edge.target, set()).add(edge.source)
    return found


def _chain(acts: list[Span], sources: dict[str, set[str]]) -> list[Span]:
    """The chain of one frame, the last step first."""
    if not acts:
        return []
    ended = sorted((a for a in acts if a.ended_at is not None), key=_end)
    going = [a for a in acts if a.ended_at is None]
    at, place = (max(going, key=lambda a: a.started_at or 0.0), len(ended)) if going else (ended[-1], len(ended) - 1)
    out = [at]
    while True:
        wanted = sources.get(at.node) if sources else None
        place = _nearest(ended, _last_before(ended, _begin(at), place), wanted, at)
        if place < 0:
            return out
        at = ended[place]
        out.append(at)


def _end(span: Span) -> float:
    assert span.ended_at is not None
    return span.ended_at


def _begin(span: Span) -> float:
    """Return the time at which it joined the queue."""
    assert span.started_at is not None
    return span.started_at - span.queued_s


def _last_before(ended: list[Span], begin: float, place: int) -> int:
    """Return how many of the first `place` steps had ended when `begin` came."""
    while place and _end(ended[place - 1]) > begin + SLACK_S:
        place -= 1
    return place


def _nearest(ended: list[Span], place: int, wanted: set[str] | None, at: Span) -> int:
    """Index of the step that ended last among the first `place` and leads to `at`, the later one in the log where two ended at
    once; -1 for none. It is always below `place`, so that a chain ends also where a clock gave all its steps one time."""
    for k in range(place - 1, -1, -1):
        one = ended[k]
        if (wanted is None or one.node in wanted) and _begin(one) <= _begin(at):
            return k
    return -1


def _last_item(span: Span) -> list[Span]:
    """Of a map the item that ended last."""
    items = [c for c in span.children if c.item is not None and c.ended_at is not None and _is_step(c)]
    return [max(items, key=lambda c: (_end(c), -(c.item or 0)))] if items else []


def _sum(chain: list[Span], leaves: list[Span]) -> CriticalPath:
    made = CriticalPath(chain)
    for span in leaves:
        took = span.latency_s or 0.0
        model = min(took, span.model_s)
        made.queued_s += span.queued_s
        made.model_s += model
        made.other_s += took - model
        name = step_of(span)
        made.by_step[name] = made.by_step.get(name, 0.0) + span.queued_s + took
    made.by_step = dict(sorted(made.by_step.items(), key=lambda row: -row[1]))
    roots = [s for s in chain if not s.frame and s.item is None]
    ends = [s.ended_at for s in roots if s.ended_at is not None]
    if ends:
        made.total_s = max(0.0, max(ends) - min(_begin(s) for s in roots) - sum(s.paused_s for s in roots))
    return made
