"""What the engine needs from the outside: a log to append to, a ledger to ask, a clock. Adapters live in `store/`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from orch_nb.schema.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence

    from orch_nb.engine.plan import Chooser, PlanNode
    from orch_nb.schema.events import ErrorInfo, Event, Settled
    from orch_nb.schema.messages import Usage


@dataclass(slots=True)
class Quota:
    """A limit in another unit than dollars (tokens, calls, seconds) and what has come of it. `limit` None: none."""

    limit: Decimal | None
    spent: Decimal
    held: Decimal
    in_doubt: Decimal
    overrun: Decimal


@dataclass(slots=True)
class Balance:
    """A budget and what has come of it. `limit_usd` None: no limit. Invariant: spent + held + in_doubt <= limit.

    `quotas` has the same for the other units, where any of them was used or limited; `at_limit` and `degrade` say what
    happens at a limit (`schema.budget.Budget`).
    """

    scope: str
    limit_usd: Decimal | None
    spent_usd: Decimal
    held_usd: Decimal
    in_doubt_usd: Decimal
    overrun_usd: Decimal
    quotas: dict[str, Quota] = field(default_factory=dict)
    at_limit: str = "stop"
    degrade: str = ""

    @property
    def usd(self) -> Quota:
        """The figures in dollars, in the form of the others."""
        return Quota(self.limit_usd, self.spent_usd, self.held_usd, self.in_doubt_usd, self.overrun_usd)

    def each(self) -> dict[str, Quota]:
        """Unit -> figures, dollars first."""
        return {"usd": self.usd, **self.quotas}

    @property
    def budget(self) -> Budget:
        """The limits alone."""
        limits = {unit: quota.limit for unit, quota in self.quotas.items()}
        return Budget(self.limit_usd, **limits, at_limit=self.at_limit, degrade=self.degrade)


Limit = Budget | Decimal | None
"""What limits a scope: a budget, or dollars alone, or nothing (of its own)."""


def dollars(limit: Limit) -> Decimal | None:
    """The dollars of a limit."""
    return limit.usd if isinstance(limit, Budget) else limit


@dataclass(slots=True)
class Hold:
    """What is to be set aside for one call, in every scope of the nest, under the name `hold`.

    `asked` has the amounts in other units than dollars; a unit that is not in it is not counted for this call.
    """

    hold: str
    scopes: tuple[tuple[str, Limit], ...]
    asked_usd: Decimal
    asked: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Refusal:
    """Why a hold was not made: the tightest scope, and its figures in `unit`."""

    scope: str
    limit: Decimal
    spent: Decimal
    held: Decimal
    asked: Decimal
    unit: str = "usd"


@runtime_checkable
class RunLog(Protocol):
    """The one writer of one run's events, and the way to the ledger that moves in the same transaction.

    Sequence numbers are positions from 1 without gaps. Secrets are replaced before anything is written, in the events
    themselves (`Redactor.event`): whoever folds them afterwards folds what is stored.
    """

    run: str

    def append(self, events: Sequence[Event], /) -> Awaitable[None] | None:
        """Make `events` durable against the death of this process. None: they are already; else await it."""
        ...

    async def admit(self, event: Event, hold: Hold | None, /) -> Refusal | None:
        """Append a `Sent` and make its hold, in one transaction, synced to disk before this returns.

        Where the hold does not fit, nothing is appended, nothing is held, and the refusal is returned.
        """
        ...

    def settle(
        self,
        events: Sequence[Event],
        hold: str,
        spent_usd: Decimal,
        overrun_usd: Decimal,
        used: Mapping[str, Decimal] | None = None,
        /,
    ) -> Awaitable[None] | None:
        """Append a `Settled` (and what follows at once) and turn its hold into `spent_usd`, in one transaction.

        `used` has the amounts in other units; one that is missing settles at what was asked.
        """
        ...

    async def sync(self) -> None:
        """Force everything appended so far to the disk (before a run reports that it is done)."""
        ...

    def mark_in_doubt(self, hold: str, /) -> None:
        """Turn a hold that was found open at resume into money in doubt."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Store(Protocol):
    """All runs. One contract suite (tests/contract) runs on every implementation."""

    def create(self, run: str) -> RunLog:
        """The writer of a new run, which exists (is read, listed, opened) from its first event on."""
        ...

    def open(self, run: str) -> RunLog:
        """The writer of an existing run; raises RunNotFound, RunLocked."""
        ...

    def read(self, run: str, *, after: int = 0) -> Iterator[tuple[int, Event]]: ...
    def add_evidence(self, rows: Iterable[Any]) -> None:
        """Keep judgements (`routing.evidence.Evidence`), all or none; one with a known key replaces the earlier one."""
        ...

    def evidence(self, task: str | None = None) -> list[Any]:
        """Judgements of a task (None: of all), in order of time, then key."""
        ...


class Clock(Protocol):
    """Wall time for records, monotonic time for durations and deadlines."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@dataclass(slots=True)
class Call:
    """What a machine asks for next: one call, one I/O. `kind`: "model", "tool", "route" (a decision, $0) or "check" (a
    function judges an answer, $0). `because` says why this model is called now, where a route chose it; `chooses` is "node"
    where its answer chooses the next node instead of being part of the node's own work."""

    kind: str
    target: str
    request: Any
    because: str = ""
    chooses: str = ""


@dataclass(slots=True)
class Result:
    """A machine is done: the value, or a failure with its class; `decision` says how it came about (routes, ladders)."""

    value: object = None
    error: ErrorInfo | None = None
    decision: dict[str, object] | None = None


@dataclass(slots=True)
class Prepared:
    """A call that is ready to leave: what it says, what it may cost at most, where the money comes from.

    `slot` names what limits concurrency (a provider); `payload` is the adapter's own.
    """

    kind: str
    target: str
    request: object
    request_hash: str
    reserved_usd: Decimal | None
    reserved_tokens: int
    scopes: tuple[tuple[str, Limit], ...]
    route: dict[str, Any] | None
    slot: str
    payload: Any


@dataclass(slots=True)
class Outcome:
    """What became of a call; the driver makes a `Settled` of it."""

    ok: bool
    reply: Any = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    overrun_usd: Decimal | None = None
    error: ErrorInfo | None = None
    finish_reason: str = ""
    first_token_s: float | None = None
    price: str = ""
    note: str = ""
    tokens: int | None = None
    """Tokens that are booked; None: those that were reserved."""


class Perform(Protocol):
    """All I/O of nodes. The runtime implements it; the engine only asks."""

    def function(self, node: PlanNode, /) -> Any:
        """The callable bound to a function or tool node (an object with `call(values) -> awaitable`)."""
        ...

    def machine(self, node: PlanNode, values: dict[str, object], key: str, /) -> Machine: ...
    def prepare(self, node: PlanNode, call: Call, idempotency_key: str, /) -> Prepared: ...
    async def call(self, prepared: Prepared, key: str, /) -> Outcome: ...
    def cancelled(self, prepared: Prepared, /) -> Outcome:
        """Return the cost so far of a call that was interrupted, by our own count."""
        ...

    async def choose(
        self, chooser: Chooser, text: str, facts: Mapping[str, Mapping[str, object]] | None = None, /
    ) -> dict[str, object]: ...
    def judge(self, chooser: Chooser, text: str, /) -> Call:
        """The call that asks a judge for the next node."""
        ...

    def verdict(self, chooser: Chooser, settled: Settled, /) -> dict[str, object]:
        """The decision that a judge's answer makes."""
        ...

    def at_limit(self, node: PlanNode, refusal: Refusal, /) -> str:
        """Return what the refusing budget asks for: "stop", "degrade" or "ask"."""
        ...

    def degrade(self, node: PlanNode, call: Call, key: str, refused: Prepared, refusal: Refusal, /) -> Prepared | None:
        """The same call to a cheaper model that fits, or None."""
        ...

    def ask_more(self, node: PlanNode, refusal: Refusal, /) -> tuple[str, object]:
        """Return the question to the person who may raise the budget, and what they are shown."""
        ...

    def raise_limit(
        self, node: PlanNode, shown: Any, amount: object, now: float, *, is_trial: bool = False
    ) -> list[Event]:
        """Raise the budget that was shown, by `amount` (None: just enough); the events of it. A trial only checks."""
        ...

    def slot(self, name: str, /) -> Any:
        """An async context manager that limits concurrency towards one provider."""
        ...

    async def freed(self) -> None:
        """Until some hold was settled (or a short while passed)."""
        ...

    def expand(self, grown: Any, /) -> tuple[dict[str, object], dict[str, object]]:
        """A graph that a node grew, as (plan data, inputs), checked."""
        ...

    def effect_done(self, key: str, /) -> str | None:
        """Return the id of the earlier run that performed this effect, or None."""
        ...


class Machine(Protocol):
    """A pure conversation: given the outcomes of its calls so far (`Settled` events, in order), what next?

    Same outcomes, same answer: that is what lets a resume continue in mid-conversation.
    """

    def next(self, settled: Sequence[Settled], /) -> Call | Result: ...


# ------------------------------------------------------------------ policy
# How a run is driven: bounds and defaults that are safe.


@dataclass(slots=True)
class Policy:
    """Parameters of a drive.

    max_concurrency
        Activations under way at once in one run; the rest queues, and the wait is recorded apart (`queued_s`).
    attended
        Whether a person can be asked. False: a human node fails at once (closed, not open).
    max_activations
        Bound on activations of one run: a runaway growth ends in `LimitReached`. A million is far above any notebook.
    again
        Perform effects that an earlier run has performed already (`--again`).
    seed
        Of the back-off's jitter, so that tests repeat.
    """

    max_concurrency: int = 1000
    attended: bool = True
    max_activations: int = 1_000_000
    again: bool = False
    seed: int | None = None
    clock: Clock = field(default_factory=SystemClock)
