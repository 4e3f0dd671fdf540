"""Answers that models gave before, given again for $0 while they are fresh: an agent's `cache: 1d`.

There is no second copy: the answers are those in the events of the store's runs, found by the hash of the request. So they are
there for every graph and notebook of the store, go when their run is deleted, and hold what the log holds (replaced secrets
stay replaced). A hit is a pair of events like any call, marked ``cached``, with what the answer was billed when it was made.

What counts: answers of activations that ended well, no older than the agent's `cache`, counted from the billed call (a hit does
not make an answer younger). The nth equal request of a run gets the nth answer of an earlier run, so that k voters stay k votes;
answers of the same run are never given again. Tools are never answered from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.ports import Outcome
from orch_nb.schema import events as ev
from orch_nb.schema.events import CACHED, mark, saved_by, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orch_nb.schema.events import Event

ZERO = Decimal(0)
RUNS_LOOKED_AT = 20
"""Of the runs that asked the same, the newest."""
RUNS_KEPT = 64
"""Runs whose answers a process remembers."""


@dataclass(slots=True, frozen=True)
class Hit:
    """An answer that is there: what was said, in which run and when, and what it was billed (None: unknown)."""

    reply: dict[str, Any]
    finish_reason: str
    run: str
    at: float
    saved_usd: Decimal | None

    def outcome(self) -> Outcome:
        """The call's outcome: no tokens, no dollars, and where it came from."""
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


class AnswerBook:
    """The answers of one store's runs by request, read once and then only what is new.

    Parameters
    ----------
    store
        Whose events are read.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._runs: dict[str, _Answers] = {}

    def find(self, request_hash: str, nth: int, *, since: float, but: str = "") -> Hit | None:
        """The nth (from 0) answer to this request in the newest run that has so many, no older than `since`.

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
    """What one run was answered, by request hash and in order of the calls."""

    run: str
    seq: int = 0
    _asked: dict[tuple[str, int], str] = field(default_factory=dict)
    _open: dict[str, list[tuple[str, Hit]]] = field(default_factory=dict)
    """Activation key -> answers of a conversation that has not ended: they count once it ended well."""
    _ended: dict[str, list[Hit]] = field(default_factory=dict)

    def hits(self, request_hash: str) -> list[Hit]:
        return self._ended.get(request_hash, [])

    def take(self, rows: Iterable[tuple[int, Any]]) -> None:
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
    """What one run may take from the answers of earlier ones.

    Parameters
    ----------
    run
        The run itself: its own answers are not given again.
    now
        The clock that its events are dated by.
    """

    def __init__(self, book: AnswerBook, run: str, now: Callable[[], float]) -> None:
        self._book, self._run, self._now = book, run, now
        self._askers: dict[str, list[str]] = {}

    def remember(self, events: Iterable[Event]) -> None:
        """Count what the run asked before it was resumed: occurrences go on where they were."""
        for event in events:
            if isinstance(event, ev.Sent) and event.kind == "model":
                self._nth(event.request_hash, ev.key(event))

    def find(self, request_hash: str, key: str, fresh_s: float) -> Hit | None:
        """The answer for the activation `key`, no older than `fresh_s` seconds."""
        return self._book.find(request_hash, self._nth(request_hash, key), since=self._now() - fresh_s, but=self._run)

    def _nth(self, request_hash: str, key: str) -> int:
        """How many other activations of this run asked the same before. A retry is not another one."""
        askers = self._askers.setdefault(request_hash, [])
        if key not in askers:
            askers.append(key)
        return askers.index(key)
