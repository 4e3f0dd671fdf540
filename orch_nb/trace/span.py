"""One row of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_nb.schema.events import ErrorInfo

ZERO = Decimal(0)

EXITS = ("success", "semantic_failure", "exception", "reused", "skipped")
"""The exit statuses of a span; "" while it is open."""

CALLS = frozenset({"model", "tool", "effect", "route", "check"})
"""Kinds of spans that are calls of an activation, not activations."""


@dataclass(slots=True)
class Span:
    """One row of a trace.

    Attributes
    ----------
    key
        The task: the activation's key, ``outer/inner[round][item]``. Calls share their activation's key.
    parent
        Key of the activation around it; "" for the run itself. For a call: its activation.
    agent
        Who did it: the agent's name for an agent node (several nodes may be instances of one agent), else the node's.
    target, count
        Of a call, the model, tool or effect it went to; of a map, the number of its items.
    kind
        The node's kind, or "model", "tool", "effect", "route" (a model was chosen), "check" (a function judged an answer)
        for a call, "attempt" for an attempt that failed.
    action
        What was done, in words: "call mid", "run function", "ask a person", "gate passed", "map 12 items".
    started_at, ended_at
        UTC seconds; None where it did not start (skipped) or has not ended.
    queued_s
        Time in our own queue before it could start, apart from `latency_s`.
    input_text, output_text
        One line each; `value` and `request` are the whole.
    cost_usd
        What it is billed at. None: the price is unknown, which is not zero.
    reserved_usd
        The upper bound that was set aside; counts as held while open and as in doubt once the process died.
    schema
        Version of the input: events' schema, and the head of the definition's fingerprint where it has one.
    inner_cost_usd, inner_tokens
        The same summed over the activations inside: a map's items, a nested graph's nodes.
    taken
        Which of its arrows were taken, as positions in its node's own list; None: all of them.
    paused_s
        Time between two processes, while nothing ran; not part of `latency_s`.
    exit
        One of `EXITS`, or "" while open.
    state
        The word that is shown: the exit, or `running`, `waiting`, `in doubt`, `cancelled`, `passed`, `retried`.
    """

    key: str
    frame: str
    node: str
    round: int
    item: int | None
    kind: str
    parent: str = ""
    agent: str = ""
    action: str = ""
    depth: int = 0
    call: int = 0
    attempt: int = 1
    started_at: float | None = None
    ended_at: float | None = None
    queued_s: float = 0.0
    first_token_s: float | None = None
    input_text: str = ""
    output_text: str = ""
    request: object = None
    value: object = None
    model: str = ""
    target: str = ""
    count: int | None = None
    route: dict[str, Any] | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    remark: str = ""
    cost_usd: Decimal | None = ZERO
    reserved_usd: Decimal | None = ZERO
    overrun_usd: Decimal = ZERO
    saved_usd: Decimal | None = ZERO
    price: str = ""
    finish_reason: str = ""
    exit: str = ""
    state: str = "running"
    error: ErrorInfo | None = None
    decision: dict[str, Any] | None = None
    taken: tuple[int, ...] | None = ()
    source: dict[str, object] | None = None
    diff: str = ""
    by: str = ""
    schema: str = ""
    model_s: float = 0.0
    paused_s: float = 0.0
    inner_cost_usd: Decimal | None = ZERO
    inner_tokens: int = 0
    children: list[Span] = field(default_factory=list)

    @property
    def latency_s(self) -> float | None:
        """Seconds from start to end; None while it is open or when it never started."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.started_at - self.paused_s)

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    @property
    def success(self) -> bool:
        """True if it ended well: succeeded, or its result was taken from an earlier run."""
        return self.exit in ("success", "reused")

    def row(self) -> dict[str, object]:
        """The log record: plain data, one flat mapping with the fields that every trace of an LLM system has."""
        return {
            "timestamp": self.started_at,
            "agent_id": self.agent,
            "task_id": self.key,
            "step": self.node,
            "kind": self.kind,
            "action": self.action,
            "input": self.input_text,
            "output_summary": self.output_text,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "tokens_used": self.tokens,
            "cost_usd": None if self.cost_usd is None else str(self.cost_usd),
            "latency_ms": None if self.latency_s is None else round(self.latency_s * 1000, 3),
            "queued_ms": round(self.queued_s * 1000, 3),
            "exit_status": self.exit,
            "success": self.success,
            "input_schema_version": self.schema,
            "model": self.model,
            "attempt": self.attempt,
            "round": self.round,
            "item": self.item,
            "parent": self.parent,
        }
