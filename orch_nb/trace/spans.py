"""Spans: one row for each thing that happened, with who, what, how long, how much and how it ended.

A span is an activation of a node, or one call that it made (model, tool, effect), or one failed attempt. They are read
from the events and from nothing else; `Walk` reads them one event at a time, so that a live view pays only for what is new.

Exit statuses are data, not text: `success`, `semantic_failure`, `exception`, and `reused`, `skipped`. A span that is still
open has the exit "" and one of the states `running`, `waiting`, `in doubt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.engine.fold import fold
from orch_nb.engine.plan import from_data
from orch_nb.engine.reading import incoming_value, read_values
from orch_nb.engine.state import AGAIN, SKIPPED, RunState
from orch_nb.errors import SemanticFailure
from orch_nb.schema import events as ev
from orch_nb.schema.events import saved_by, source_of
from orch_nb.schema.messages import NO_FIT, REPAIR
from orch_nb.trace.alerts import Watch
from orch_nb.trace.preview import brief
from orch_nb.trace.span import CALLS, Span
from orch_nb.trace.state_log import StateLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.engine.plan import Plan, PlanNode
    from orch_nb.engine.state import Frame
    from orch_nb.schema.events import Event


MOST_STATES = 200
"""Steps of which the trace keeps what they changed; `state_steps` tells those of a longer run."""


def spans(events: Iterable[Event], *, alive: bool = False) -> list[Span]:
    """The spans of a run in tree order: each activation before its calls, nested frames inside the node that opened them.

    Parameters
    ----------
    alive
        Whether the run is under way in this process. False (the default): a call without an answer is in doubt.

    Notes
    -----
    O(events). Nodes that were skipped have a row without times at the end of their frame.
    """
    walk = Walk()
    for event in events:
        walk.feed(event)
    return walk.spans(alive=alive)


class Walk:
    """Reads events one at a time; `spans()` is the trace so far.

    Attributes
    ----------
    state
        The engine's own fold of the same events: what is due, what waits, what every node is.
    left_frames
        Statuses of frames that have ended (the fold forgets them), as ``{frame key: {node: status number}}``.
    """

    def __init__(self) -> None:
        self.state = RunState()
        self.started: ev.RunStarted | None = None
        self.ended: ev.RunEnded | None = None
        self.resumed = 0
        self.count = 0
        self.last_at = 0.0
        self.sessions: list[list[float]] = []
        """[start, end] of each process's share of the run: one more after each resume."""
        self.plans: dict[str, Plan] = {}
        self.left_frames: dict[str, dict[str, int]] = {}
        self.refused: list[ev.Refused] = []
        self.watch = Watch()
        self.changes = StateLog(MOST_STATES)
        self.taken: dict[tuple[str, str], list[tuple[int, object]]] = {}
        self._acts: dict[str, Span] = {}
        self._calls: dict[tuple[str, int], Span] = {}
        self._roots: list[Span] = []
        self._due: dict[str, Span] = {}

    def feed(self, event: Event) -> None:
        """Take one more event in."""
        self.count += 1
        if isinstance(event, ev.RunStarted):
            self._run_started(event)
        if isinstance(event, ev.RunStarted | ev.Resumed):
            self.sessions.append([event.at, event.at])
        self.last_at = max(self.last_at, event.at)
        self.sessions[-1][1] = max(self.sessions[-1][1], event.at)
        read = _READERS.get(type(event))
        if read is not None:
            read(self, event)
        self.watch.feed(event, self.state)
        plan = self.state.plan
        assert plan is not None
        self.state = fold(plan, self.state, event)
        self.changes.feed(event, self.state)
        if self.state.fresh:
            self._note_due(event.at)

    def _note_due(self, at: float) -> None:
        """Return what just became due: it is under way, or waits for its turn, until an event of its own says more."""
        for act in self.state.fresh:
            if act.action != "run" or act.node < 0 or act.not_before:
                continue
            frame = act.frame
            node = frame.plan.nodes[act.node]
            span = Span(act.key, frame.key, node.name, frame.round[act.node], act.item, node.kind, frame.key, node.name)
            span.agent = node.spec.get("agent") or node.spec.get("name") or node.name
            span.action, span.started_at, span.schema = _ACTIONS.get(node.kind, node.kind), at, str(ev.SCHEMA)
            if act.item is not None:
                span.parent = ev.key_of(frame.key, node.name, span.round)
            self._due[span.key] = span
        self.state.fresh = []

    def _still_due(self, alive: bool) -> list[Span]:
        """Activations that are due and have no event yet."""
        ready = {act.key for act in self.state.ready.values() if act.node >= 0}
        self._due = {k: s for k, s in self._due.items() if k in ready and (k not in self._acts or self._acts[k].exit)}
        for span in self._due.values():
            span.state = "running" if alive and self.ended is None and span.kind != "agent" else "due"
        return [s for s in self._due.values() if s.key not in self._acts]

    def spans(self, *, alive: bool = False) -> list[Span]:
        """Every span so far, in tree order."""
        self._mark_open(alive)
        due: dict[str, list[Span]] = {}
        for span in self._still_due(alive):
            due.setdefault(span.parent, []).append(span)
        out: list[Span] = []
        todo = [(span, 0) for span in reversed([*self._with_skipped("", self._roots), *due.pop("", [])])]
        while todo:
            span, depth = todo.pop()
            span.depth = depth
            out.append(span)
            is_activation = span.kind not in CALLS and span.kind != "attempt"
            inner = self._with_skipped(span.key, span.children) if is_activation else span.children
            if is_activation and span.key in due:
                inner = [*inner, *due.pop(span.key)]
            todo.extend((child, depth + 1) for child in reversed(inner))
        return out

    def elapsed(self, at: float) -> float:
        """Seconds of running time before the instant `at`: the pauses between two processes do not count."""
        return sum(max(0.0, min(at, end) - start) for start, end in self.sessions)

    def activation(self, key: str) -> Span | None:
        """The span of an activation, by its key."""
        return self._acts.get(key)

    @property
    def activations(self) -> dict[str, Span]:
        """Activations' spans by key."""
        return self._acts

    # ---------------------------------------------------------------- events
    def _run_started(self, event: ev.RunStarted) -> None:
        self.started = event
        plan = from_data(event.plan)
        self.state.plan = self.plans[""] = plan

    def _node(self, event: Any) -> tuple[Frame | None, int, PlanNode | None]:
        frame = self.state.frames.get(event.frame)
        if frame is None or event.node not in frame.topo.index:
            return frame, -1, None
        i = frame.topo.index[event.node]
        return frame, i, frame.plan.nodes[i]

    def _open(self, event: Any, started_at: float) -> Span:
        """The activation's span, made at its first event."""
        key = ev.key(event)
        span = self._acts.get(key)
        if span is None:
            span = self._acts[key] = self._make(event, key)
            span.started_at = started_at
        elif span.exit:
            _reopen(span, started_at)
        return span

    def _make(self, event: Any, key: str) -> Span:
        frame, i, node = self._node(event)
        item = getattr(event, "item", None)
        span = Span(key, event.frame, event.node, event.round, item, "function", event.frame, event.node)
        fingerprint = getattr(event, "fingerprint", "")
        span.schema = f"{ev.SCHEMA}.{fingerprint[:8]}" if fingerprint else str(ev.SCHEMA)
        if node is not None:
            assert frame is not None
            span.kind = node.kind
            span.agent = node.spec.get("agent") or node.spec.get("name") or node.name
            span.action = _ACTIONS.get(node.kind, node.kind)
            span.input_text = _input(frame, i, item)
            if item is not None:
                span.parent = ev.key_of(event.frame, event.node, event.round)
        self._attach(span)
        return span

    def _attach(self, span: Span) -> None:
        around = self._acts.get(span.parent)
        (around.children if around is not None else self._roots).append(span)

    def _end(self, span: Span, event: Any, exit_: str, state: str) -> None:
        span.ended_at, span.exit, span.state = event.at, exit_, state
        is_end = event.__class__ is ev.Failed and event.taken is None  # the run ends there: no arrow leads on
        span.taken = () if is_end else event.taken
        frame = self.state.frames.get(span.key)
        if frame is not None:
            self.left_frames[span.key] = {n.name: frame.status[i] for i, n in enumerate(frame.plan.nodes)}

    def _on_decided(self, event: Any) -> None:
        if event.item is None:
            self.taken.setdefault((event.frame, event.node), []).append((event.round, event))

    def finished(self, event: ev.Finished) -> None:
        span = self._open(event, event.started_at)
        span.queued_s = max(span.queued_s, event.queued_s)
        span.attempt, span.value, span.decision = event.attempt, event.value, event.decision
        for row in (event.decision or {}).get("refused_answers", ()):
            _refuse_answer(span, row["call"])
        span.output_text = brief(event.value)
        if event.status == "passed":
            span.action = "gate passed"
        elif event.status == "skipped":
            span.action = f"effect not repeated, done by run {(event.decision or {}).get('done_by', '?')}"
        exit_ = "skipped" if event.status == "skipped" else "success"
        self._end(span, event, exit_, event.status)
        self._on_decided(event)

    def reused(self, event: ev.Reused) -> None:
        span = self._open(event, event.at)
        span.value, span.output_text, span.decision = event.value, brief(event.value), event.decision
        span.saved_usd, span.source = event.saved_usd, event.source
        span.action = f"reused from run {event.source.get('run', '?')}"
        self._end(span, event, "reused", "reused")
        self._on_decided(event)

    def failed(self, event: ev.Failed) -> None:
        span = self._open(event, event.started_at)
        span.queued_s = max(span.queued_s, event.queued_s)
        exit_ = "semantic_failure" if event.error.failure == "semantic" else "exception"
        if NO_FIT in event.error.message:
            _refuse_answer(span)
        if event.final:
            self._doubt(span.key)
            span.error, span.attempt, span.output_text = event.error, event.attempt, brief(event.error.message)
            self._end(span, event, exit_, "cancelled" if event.error.failure == "cancelled" else exit_)
            self._on_decided(event)
            return
        tried = Span(span.key, span.frame, span.node, span.round, span.item, "attempt", span.key, span.agent)
        tried.action, tried.attempt, tried.error = f"attempt {event.attempt}", event.attempt, event.error
        tried.started_at, tried.ended_at, tried.exit, tried.state = event.started_at, event.at, exit_, "retried"
        tried.output_text, tried.schema = brief(event.error.message), span.schema
        span.children.append(tried)

    def sent(self, event: ev.Sent) -> None:
        span = self._open(event, event.at)
        span.queued_s += event.queued_s if not span.children else 0.0
        if event.kind == "model" and _is_repair(event):
            _refuse_answer(span)
        call = Span(span.key, span.frame, span.node, span.round, span.item, event.kind, span.key, span.agent)
        call.call, call.attempt, call.started_at, call.queued_s = event.call, event.attempt, event.at, event.queued_s
        call.action, call.request, call.route = f"{_VERBS[event.kind]} {event.target}", event.request, event.route
        call.input_text, call.reserved_usd, call.schema = _last_message(event), event.reserved_usd, span.schema
        call.target = event.target
        call.model = event.target if event.kind == "model" else ""
        span.model = call.model or span.model
        self._calls[call.key, call.call] = call
        span.children.append(call)

    def settled(self, event: ev.Settled) -> None:
        key = ev.key(event)
        call = self._calls.pop((key, event.call), None)
        if call is None:
            return
        call.value, call.error, call.finish_reason = event.reply, event.error, event.finish_reason
        call.cost_usd, call.overrun_usd, call.price = event.cost_usd, event.overrun_usd, event.price
        call.first_token_s, call.remark = event.first_token_s, event.remark
        exit_ = "success" if event.ok else "semantic_failure" if _is_semantic(event) else "exception"
        if (source := source_of(event)) is not None:
            call.source, call.saved_usd, call.remark = source, saved_by(event), ""
            call.action = f"answer of run {source.get('run', '?')} from the cache"
        call.output_text = brief(event.error.message if event.error else _answer(event.reply))
        _count_tokens(call, event)
        state = {"retry": "retried", "cancelled": "cancelled"}.get(event.fate, exit_ if source is None else "reused")
        call.ended_at, call.exit, call.state = event.at, exit_, state
        self._book(self._acts[key], call)

    def _book(self, span: Span, call: Span) -> None:
        """Add a settled call to its activation. An unknown price makes the sum unknown."""
        span.input_tokens += call.input_tokens
        span.output_tokens += call.output_tokens
        span.cached_tokens += call.cached_tokens
        span.cache_write_tokens += call.cache_write_tokens
        span.reasoning_tokens += call.reasoning_tokens
        span.estimated = span.estimated or call.estimated
        span.overrun_usd += call.overrun_usd
        span.cost_usd = None if span.cost_usd is None or call.cost_usd is None else span.cost_usd + call.cost_usd
        around = self._acts.get(span.parent)
        while around is not None:
            around.inner_tokens += call.tokens
            known = around.inner_cost_usd is not None and call.cost_usd is not None
            around.inner_cost_usd = around.inner_cost_usd + call.cost_usd if known else None  # type: ignore[operator]
            around = self._acts.get(around.parent)
        span.remark = (call.remark if call.exit == "success" else "") or span.remark
        if call.kind == "model":
            span.model_s += call.latency_s or 0.0
            span.first_token_s = call.first_token_s if span.first_token_s is None else span.first_token_s

    def mapped(self, event: ev.Mapped) -> None:
        span = self._open(event, event.at)
        span.count = event.count
        span.action = f"map {event.count:,} item{'s' * (event.count != 1)}"

    def opened(self, event: ev.Opened) -> None:
        span = self._open(event, event.started_at or event.at)
        span.input_text = brief(event.inputs)
        span.action = "grow the graph" if event.plan is not None else "run graph"
        frame = self.state.frames.get(event.frame)
        if event.plan is not None:
            self.plans[span.key] = from_data(event.plan)
            span.kind = "graph" if span.kind == "function" and self.state.record else span.kind
        elif frame is not None:
            self.plans[span.key] = frame.plan.subplans[event.node]

    def waiting(self, event: ev.Waiting) -> None:
        span = self._open(event, event.at)
        self._doubt(span.key)
        span.state, span.request, span.input_text = "waiting", event, brief(event.shown)
        span.action = brief(event.question)

    def answered(self, event: ev.Answered) -> None:
        span = self._open(event, event.at)
        span.value, span.diff, span.by = event.value, event.diff, event.by
        span.action = f"{_ANSWERS.get(event.action, event.action)} by {event.by or 'a person'}"
        span.output_text = brief(event.comment or event.value)
        last = span.children[-1] if span.children else None
        is_of_tool = last is not None and (last.kind, last.state, event.action) == ("tool", "in doubt", "done")
        if event.action in AGAIN or is_of_tool:
            span.state = "running"
            return
        self._end(span, event, "success", "rejected" if event.action == "reject" else "success")
        self._on_decided(event)

    def refusal(self, event: ev.Refused) -> None:
        self.refused.append(event)
        self._open(event, event.at)

    def resume(self, event: ev.Resumed) -> None:
        self.resumed += 1
        self.ended = None
        for call in self._calls.values():
            call.state = "in doubt"
        self._calls.clear()
        pause = event.at - self.sessions[-2][1]
        for span in self._acts.values():
            if not span.exit:
                span.paused_s += pause
                span.state = "running" if span.state in ("cancelled", "interrupted") else span.state

    def end(self, event: ev.RunEnded) -> None:
        self.ended = event

    # ---------------------------------------------------------------- what is open
    def _doubt(self, key: str) -> None:
        """The calls of an activation that goes no further, and of which nothing says how they ended."""
        for call in [c for c in self._calls if c[0] == key]:
            self._calls.pop(call).state = "in doubt"

    def _mark_open(self, alive: bool) -> None:
        for call in self._calls.values():
            call.state = "running" if alive and self.ended is None else "in doubt"
        if self.ended is not None or not alive:
            for span in self._acts.values():
                if not span.exit and span.state == "running":
                    span.state = "cancelled" if self.ended is not None else "interrupted"

    def _with_skipped(self, key: str, children: list[Span]) -> list[Span]:
        """`children` of the frame `key`, and one row for each of its nodes that was skipped."""
        plan = self.plans.get(key)
        if plan is None:
            return children
        skipped = [n for n in plan.nodes if self.status_of(key, n.name) == SKIPPED]
        made = [
            Span(ev.key_of(key, n.name, 1), key, n.name, 1, None, n.kind, key, n.spec.get("agent") or n.name,
                 action="not reached", exit="skipped", state="skipped", schema=str(ev.SCHEMA))
            for n in skipped
            if not any(c.node == n.name and c.frame == key for c in children)
        ]  # fmt: skip
        return [*children, *made] if made else children

    def status_of(self, frame_key: str, node: str) -> int | None:
        """The node's status number in a frame (see `engine.state`), of a frame that is open or has ended."""
        frame = self.state.frames.get(frame_key)
        if frame is not None:
            i = frame.topo.index.get(node)
            return None if i is None else frame.status[i]
        return self.left_frames.get(frame_key, {}).get(node)


_READERS: dict[type, Any] = {
    ev.Finished: Walk.finished,
    ev.Reused: Walk.reused,
    ev.Failed: Walk.failed,
    ev.Sent: Walk.sent,
    ev.Settled: Walk.settled,
    ev.Mapped: Walk.mapped,
    ev.Opened: Walk.opened,
    ev.Waiting: Walk.waiting,
    ev.Answered: Walk.answered,
    ev.Refused: Walk.refusal,
    ev.Resumed: Walk.resume,
    ev.RunEnded: Walk.end,
}

_ACTIONS = {
    "agent": "run agent",
    "function": "run function",
    "human": "ask a person",
    "switch": "choose",
    "graph": "run graph",
    "tool": "run tool",
    "barrier": "join",
}
_VERBS = {"model": "call", "tool": "use tool", "effect": "effect", "route": "choose a model by", "check": "check by"}
_ANSWERS = {
    "approve": "approved",
    "edit": "edited",
    "reject": "rejected",
    "answer": "answered",
    "done": "known to be done",
    "raise": "budget raised",
    "stop": "no more budget",
}


def _reopen(span: Span, at: float) -> None:
    """A failed activation is due again after a resume: what it spent stays, its end does not, nor the time between."""
    span.paused_s += max(0.0, at - span.ended_at) if span.ended_at is not None else 0.0
    span.exit, span.state, span.ended_at, span.error = "", "running", None, None


def _input(frame: Frame, i: int, item: int | None) -> str:
    """Return what the activation was given, in one line: its declared reads, or what came along its arrows."""
    try:
        if frame.plan.nodes[i].reads:
            return brief(read_values(frame, i, item))
        return brief(incoming_value(frame, i))
    except SemanticFailure:
        return ""  # a read that finds nothing is that activation's failure, and is said there


def _last_message(event: ev.Sent) -> str:
    """The last thing that was said: of a conversation its last message, of a tool its arguments."""
    request = event.request
    if isinstance(request, dict) and isinstance(request.get("messages"), list | tuple) and request["messages"]:
        last = request["messages"][-1]
        return brief(last.get("content", "") if isinstance(last, dict) else getattr(last, "content", last))
    return brief(request)


def _is_repair(event: ev.Sent) -> bool:
    """Return whether a call sends the answer before it back."""
    messages = event.request.get("messages") if isinstance(event.request, dict) else None
    last = messages[-1] if isinstance(messages, list | tuple) and messages else None
    text = last.get("content") if isinstance(last, dict) else getattr(last, "content", None)
    return isinstance(text, str) and text.startswith(REPAIR)


def _refuse_answer(span: Span, number: int | None = None) -> None:
    """Show the latest answer of an activation (or that of call `number`) as a failed attempt: its type refused it."""
    calls = (child for child in reversed(span.children) if child.kind == "model" and number in (None, child.call))
    call = next(calls, None)
    if call is not None and call.exit == "success":
        call.exit = "semantic_failure"
        call.state = "semantic_failure" if call.state == "success" else call.state


def _answer(reply: object) -> object:
    if isinstance(reply, dict) and "text" in reply:
        return reply["text"] or reply.get("tool_calls") or ""
    return reply


def _is_semantic(event: ev.Settled) -> bool:
    return event.error is not None and event.error.failure == "semantic"


def _count_tokens(call: Span, event: ev.Settled) -> None:
    usage = event.usage
    if usage is None:
        return
    call.input_tokens, call.output_tokens = usage.input_tokens, usage.output_tokens
    call.cached_tokens, call.reasoning_tokens = usage.cached_tokens, usage.reasoning_tokens
    call.cache_write_tokens = usage.cache_write_tokens
    call.estimated = usage.estimated or bool(usage.bad)
