"""Recorded answers of models, used again for $0 while they are fresh: an agent's `cache: 1d`.

Nothing is copied: the answers are those in the events of the store's runs, found by the hash of the request. So every graph and
notebook of the store can use them, they disappear with their run, and replaced secrets stay replaced. A hit is a pair of events
like any call, marked ``cached``, with the dollars that the answer was billed at.

An answer counts if its activation ended well and the billed call is not older than the agent's `cache` (a hit does not make an
answer younger). The nth equal request of a run gets the nth answer of an earlier run, so that k votes stay k different answers.
Answers of the same run are not used, and tools never use the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from orch_nb.engine.ports import Outcome
from orch_nb.schema import events as ev
from orch_nb.schema.events import CACHED, mark, saved_by, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orch_nb.schema.events import Event

ZERO = Decimal(0)
RUNS_LOOKED_AT = 20
"""Newest runs with the same request that are searched."""
RUNS_KEPT = 64
"""Runs whose answers a process caches in memory."""


@dataclass(slots=True, frozen=True)
class Hit:
    """A recorded answer: its reply, its run and time, and the dollars it was billed at (None: unknown)."""

    reply: dict[str, object]
    finish_reason: str
    run: str
    at: float
    saved_usd: Decimal | None

    def outcome(self) -> Outcome:
        """Return the outcome of a call that this answers: no tokens, no dollars, and its run."""
        reply = {**self.reply, CACHED: mark(self.run, self.at, self.saved_usd)}
        return Outcome(
            True,
            reply,
            None,
            ZERO,
            finish_reason=self.finish_reason,
            price=f"from the cache (run {self.run})",
            note=CACHED,
        )


class AnswerStore(Protocol):
    """What is read of a store."""

    def asked_by(self, request_hash: str, *, limit: int = 20) -> list[str]: ...
    def read(self, run: str, *, after: int = 0) -> Iterator[tuple[int, ev.Event]]: ...


class AnswerBook:
    """The answers in one store's runs by request. Each run is read once, then only its new events."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._runs: dict[str, _Answers] = {}

    def find(self, request_hash: str, nth: int, *, since: float, but: str = "") -> Hit | None:
        """Return the nth (from 0) answer to this request in the newest run that has so many, no older than `since`.

        Parameters
        ----------
        but
            A run whose answers do not count.
        """
        for run in self._store.asked_by(request_hash, limit=RUNS_LOOKED_AT):
            if run == but:
                continue
            hits = self._answers(run).hits(request_hash)
            if len(hits) > nth and hits[nth].at >= since:
                return hits[nth]
        return None

    def _answers(self, run: str) -> _Answers:
        made = self._runs.pop(run, None) or _Answers(run)
        self._runs[run] = made
        while len(self._runs) > RUNS_KEPT:
            del self._runs[next(iter(self._runs))]
        made.take(self._store.read(run, after=made.seq))
        return made


@dataclass(slots=True)
class _Answers:
    """The answers in one run, by request hash and in order of the calls."""

    run: str
    seq: int = 0
    _asked: dict[tuple[str, int], str] = field(default_factory=dict)
    _open: dict[str, list[tuple[str, Hit]]] = field(default_factory=dict)
    """Activation key -> answers of a conversation that has not ended; they count once it ends well."""
    _ended: dict[str, list[Hit]] = field(default_factory=dict)

    def hits(self, request_hash: str) -> list[Hit]:
        """Return the answers to a request."""
        return self._ended.get(request_hash, [])

    def take(self, rows: Iterable[tuple[int, ev.Event]]) -> None:
        """Read further events of the run."""
        for seq, event in rows:
            self.seq = seq
            match event:
                case ev.Sent() if event.kind == "model":
                    self._asked[ev.key(event), event.call] = event.request_hash
                case ev.Settled() if (ev.key(event), event.call) in self._asked:
                    self._on_settled(event)
                case ev.Finished():
                    for request_hash, hit in self._open.pop(ev.key(event), ()):
                        self._ended.setdefault(request_hash, []).append(hit)
                case ev.Failed() if event.final:
                    self._open.pop(ev.key(event), None)

    def _on_settled(self, event: ev.Settled) -> None:
        request_hash = self._asked.pop((ev.key(event), event.call))
        if not event.ok or not isinstance(event.reply, dict):
            return
        found = source_of(event)
        reply = {key: value for key, value in event.reply.items() if key != CACHED}
        if found is None:
            hit = Hit(reply, event.finish_reason, self.run, event.at, event.cost_usd)
        else:
            hit = Hit(reply, event.finish_reason, found["run"], found["at"], saved_by(event))
        self._open.setdefault(ev.key(event), []).append((request_hash, hit))


class ResponseCache:
    """The recorded answers of earlier runs for one run.

    Parameters
    ----------
    run
        The run itself: its own answers are not used.
    now
        The clock of its events.
    """

    def __init__(self, book: AnswerBook, run: str, now: Callable[[], float]) -> None:
        self._book, self._run, self._now = book, run, now
        self._askers: dict[str, list[str]] = {}

    def remember(self, events: Iterable[Event]) -> None:
        """Count the requests of the run before it was resumed."""
        for event in events:
            if isinstance(event, ev.Sent) and event.kind == "model":
                self._nth(event.request_hash, ev.key(event))

    def find(self, request_hash: str, key: str, fresh_s: float) -> Hit | None:
        """Return the answer for the activation `key`, no older than `fresh_s` seconds."""
        return self._book.find(request_hash, self._nth(request_hash, key), since=self._now() - fresh_s, but=self._run)

    def _nth(self, request_hash: str, key: str) -> int:
        """Return how many other activations of this run made the same request before. A retry does not count."""
        askers = self._askers.setdefault(request_hash, [])
        if key not in askers:
            askers.append(key)
        return askers.index(key)
