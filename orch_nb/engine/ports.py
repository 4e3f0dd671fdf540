"""What the engine needs from the outside: a log to append to, a ledger to ask, a clock. Adapters live in `store/`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Sequence
    from decimal import Decimal

    from orch_nb.schema.events import Event


@dataclass(slots=True)
class Balance:
    """A budget and what has come of it. `limit_usd` None: no limit. Invariant: spent + held + in_doubt <= limit."""

    scope: str
    limit_usd: Decimal | None
    spent_usd: Decimal
    held_usd: Decimal
    in_doubt_usd: Decimal
    overrun_usd: Decimal


@dataclass(slots=True)
class Hold:
    """Money to be set aside for one call: `asked_usd` in every scope of the nest, under the name `hold`."""

    hold: str
    scopes: tuple[tuple[str, Decimal | None], ...]
    asked_usd: Decimal


@dataclass(slots=True)
class Refusal:
    """Why a hold was not made: the tightest scope and its figures."""

    scope: str
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    asked_usd: Decimal


@runtime_checkable
class RunLog(Protocol):
    """The one writer of one run's events, and the way to the ledger that moves in the same transaction.

    Sequence numbers are positions from 1 without gaps.
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
        self, events: Sequence[Event], hold: str, spent_usd: Decimal, overrun_usd: Decimal, /
    ) -> Awaitable[None] | None:
        """Append a `Settled` (and what follows at once) and turn its hold into `spent_usd`, in one transaction."""
        ...

    async def sync(self) -> None:
        """Force everything appended so far to the disk (before a run reports that it is done)."""
        ...

    def doubt(self, hold: str, /) -> None:
        """Turn a hold that was found open at resume into money in doubt."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Store(Protocol):
    """All runs. One contract suite (tests/contract) runs on every implementation."""

    def create(self, run: str) -> RunLog: ...
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
    function judges an answer, $0). `because` says why this model is called now, where a route chose it."""

    kind: str
    target: str
    request: Any
    because: str = ""


@dataclass(slots=True)
class Result:
    """A machine is done: the value, or a failure with its class; `decision` says how it came about (routes, ladders)."""

    value: Any = None
    error: Any = None
    decision: dict[str, Any] | None = None


@dataclass(slots=True)
class Prepared:
    """A call that is ready to leave: what it says, what it may cost at most, where the money comes from.

    `slot` names what limits concurrency (a provider); `payload` is the adapter's own.
    """

    kind: str
    target: str
    request: Any
    request_hash: str
    reserved_usd: Decimal | None
    reserved_tokens: int
    scopes: tuple[tuple[str, Decimal | None], ...]
    route: dict[str, Any] | None
    slot: str
    payload: Any


@dataclass(slots=True)
class Outcome:
    """What became of a call; the driver makes a `Settled` of it."""

    ok: bool
    reply: Any = None
    usage: Any = None
    cost_usd: Decimal | None = None
    overrun_usd: Decimal | None = None
    error: Any = None
    finish_reason: str = ""
    first_token_s: float | None = None
    price: str = ""
    note: str = ""


class Perform(Protocol):
    """All I/O of nodes. The runtime implements it; the engine only asks."""

    def function(self, node: Any, /) -> Any:
        """The callable bound to a function or tool node (an object with `call(values) -> awaitable`)."""
        ...

    def machine(self, node: Any, values: dict[str, Any], key: str, /) -> Machine: ...
    def prepare(self, node: Any, call: Call, idempotency_key: str, /) -> Prepared: ...
    async def call(self, prepared: Prepared, key: str, /) -> Outcome: ...
    def cancelled(self, prepared: Prepared, /) -> Outcome:
        """What a call that was broken off has cost so far, by our own count."""
        ...

    async def choose(self, chooser: Any, text: str, /) -> dict[str, Any]: ...
    def slot(self, name: str, /) -> Any:
        """An async context manager that limits concurrency towards one provider."""
        ...

    async def freed(self) -> None:
        """Until some hold was settled (or a short while passed)."""
        ...

    def expand(self, graph: Any, /) -> tuple[dict[str, Any], dict[str, Any]]:
        """A graph that a node grew, as (plan data, inputs), checked."""
        ...

    def effect_done(self, key: str, /) -> Any:
        """Where this effect was already performed by an earlier run (run id), or None."""
        ...


class Machine(Protocol):
    """A pure conversation: given the outcomes of its calls so far (`Settled` events, in order), what next?

    Same outcomes, same answer: that is what lets a resume continue in mid-conversation.
    """

    def next(self, settled: Sequence[Any], /) -> Call | Result: ...
