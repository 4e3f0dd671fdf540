"""The queue of a batch's calls for a provider's batch interface, at batch prices.

A row's run waits for its answer as for any call. Calls that arrive within a short time make one batch of the provider. After a
crash, submitted batches are found at the provider by their mark, and their answers are used instead of asking again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from orch_nb.engine.user_code import ends_task, running_task
from orch_nb.errors import ProviderError, ProviderUnavailable
from orch_nb.schema.messages import UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.catalog.prices import Price
    from orch_nb.providers.openai.batch import BatchState
    from orch_nb.schema.messages import ModelRequest, Provider, Reply

GATHER_S = 2.0
"""Seconds without a new call before the gathered calls are submitted: rows of one batch arrive together."""
POLL_S, POLL_MOST_S = 5.0, 60.0
"""Seconds between looks at a batch: at first, and at most."""
MOST_FAULTS = 30
"""Looks in a row that may fail before a batch is given up: about half an hour without a network."""
SLOT = "batch:"
"""Prefix of the concurrency slot of such calls, which has no limit."""


class BatchApi(Protocol):
    """The batch interface of a provider."""

    name: str

    async def submit(self, requests: Mapping[str, ModelRequest], mark: str) -> BatchState: ...
    async def look(self, batch: str) -> BatchState: ...
    async def ours(self, mark: str) -> list[BatchState]:
        """Return the batches that were submitted with this mark."""
        ...

    async def cancel(self, batch: str) -> None: ...
    async def answers(self, state: BatchState) -> dict[str, Reply | ProviderError]: ...


@dataclass(slots=True)
class _Asked:
    """One call that waits for its answer."""

    request: ModelRequest
    answer: asyncio.Future[tuple[Reply, str]]


@dataclass(slots=True)
class _Counter:
    """One provider's calls: gathered, submitted, and found from before."""

    api: BatchApi
    gathering: dict[str, _Asked] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    sender: asyncio.Task[None] | None = None
    batches: set[asyncio.Task[None]] = field(default_factory=set)
    before: dict[str, str] | None = None
    """Custom id -> batch in which it was asked before this process; None: not read yet."""
    answers: dict[str, dict[str, Reply | ProviderError]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Batches under way."""


class ProviderBatchQueue:
    """The queue of one batch run.

    Parameters
    ----------
    mark
        Identifies its batches at the provider; the same after a crash.
    resumes
        Whether an earlier process may have submitted something.
    gather_s, poll_s
        See `GATHER_S` and `POLL_S`; tests use less.
    """

    def __init__(
        self,
        provider: Callable[[str], Provider],
        mark: str,
        *,
        resumes: bool = False,
        gather_s: float = GATHER_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._provider, self._mark, self._resumes = provider, mark, resumes
        self._gather_s, self._poll_s = gather_s, poll_s
        self._counters: dict[str, _Counter] = {}
        self._times: dict[str, int] = {}
        self.submitted: list[str] = []
        """Ids of the provider's batches, in order."""

    def takes(self, provider: str, price: Price | None) -> bool:
        """Return whether calls to this provider use its batch interface: it has one, and its price is known."""
        return price is not None and price.batch is not None and self._batch_api(provider) is not None

    def _batch_api(self, provider: str) -> BatchApi | None:
        make: Callable[[], BatchApi | None] | None = getattr(self._provider(provider), "batch_api", None)
        return make() if make is not None else None

    async def ask(self, provider: str, request_hash: str, request: ModelRequest) -> tuple[Reply, str]:
        """Return the answer and the id of its batch, however long the provider takes.

        Raises
        ------
        ProviderError
            The request was refused, or the batch failed, expired or was lost.
        """
        counter = self._counters.get(provider)
        if counter is None:
            api = self._batch_api(provider)
            assert api is not None, "`takes` said so"
            counter = self._counters[provider] = _Counter(api)
        nth = self._times[request_hash] = self._times.get(request_hash, 0) + 1
        name = f"{request_hash}.{nth}"
        asked = _Asked(request, asyncio.get_running_loop().create_future())
        counter.gathering[name] = asked
        counter.arrived.set()
        if counter.sender is None or counter.sender.done():
            counter.sender = asyncio.create_task(self._gather(counter))
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if name in counter.gathering:
                raise asyncio.CancelledError(UNSENT) from None
            raise
        finally:
            counter.gathering.pop(name, None)

    async def close(self, *, cancels: bool) -> None:
        """Stop to poll.

        Parameters
        ----------
        cancels
            Whether batches under way are cancelled at the provider (Stop). Else they continue there, and a resume uses
            their answers.
        """
        for counter in self._counters.values():
            for task in (*counter.batches, *filter(None, [counter.sender])):
                task.cancel()
            for batch in counter.open if cancels else ():
                with contextlib.suppress(ProviderError):  # it ends by itself within a day
                    await counter.api.cancel(batch)

    # ---------------------------------------------------------------- one provider
    async def _gather(self, counter: _Counter) -> None:
        """Submit the gathered calls once no more arrive for a while."""
        from orch_nb.providers.openai.batch import MOST_REQUESTS

        while counter.gathering:
            counter.arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._gather_s):
                    await counter.arrived.wait()
                    continue
            group = dict(list(counter.gathering.items())[:MOST_REQUESTS])
            for name in group:
                del counter.gathering[name]
            task = asyncio.create_task(self._serve(counter, group))
            counter.batches.add(task)
            task.add_done_callback(counter.batches.discard)

    async def _serve(self, counter: _Counter, group: dict[str, _Asked]) -> None:
        """Submit one group and hand out its answers; an error goes to everyone who waits."""
        is_placed = False
        task = running_task()
        try:
            placed = await self._place(counter, group)
            is_placed = True
            for batch, part in placed.items():
                await self._finish(counter, batch, part)
        except BaseException as error:  # whatever it is, somebody waits
            if ends_task(error, task):
                raise
            failure = error if isinstance(error, ProviderError) else _broken_error(counter.api.name, error)
            failure.billed = failure.billed or is_placed  # the provider answers what it has accepted
            for asked in group.values():
                if not asked.answer.done():
                    asked.answer.set_exception(failure)

    async def _place(self, counter: _Counter, group: dict[str, _Asked]) -> dict[str, dict[str, _Asked]]:
        """Return batch -> the calls that it answers: found batches of before, and a new one for the rest."""
        placed: dict[str, dict[str, _Asked]] = {}
        new = dict(group)
        if self._resumes:
            for name, batch in (await self._before(counter, group)).items():
                placed.setdefault(batch, {})[name] = new.pop(name)
        if new:
            state = await counter.api.submit({name: asked.request for name, asked in new.items()}, self._mark)
            self.submitted.append(state.id)
            counter.open.add(state.id)
            placed[state.id] = new
        return placed

    async def _before(self, counter: _Counter, group: dict[str, _Asked]) -> dict[str, str]:
        """Return call -> batch of the calls that an earlier process submitted. Only a batch's answers say what is in it, so they are
        waited for."""
        if counter.before is None:
            counter.before = {}
            for state in await counter.api.ours(self._mark):
                ended = await self._until_ended(counter, state.id)
                counter.answers[state.id] = await counter.api.answers(ended)
                counter.before |= dict.fromkeys(counter.answers[state.id], state.id)
        return {name: counter.before[name] for name in group if name in counter.before}

    async def _finish(self, counter: _Counter, batch: str, part: dict[str, _Asked]) -> None:
        """Wait for a batch and hand its answers out."""
        state = None
        if batch not in counter.answers:
            state = await self._until_ended(counter, batch)
            counter.answers[batch] = await counter.api.answers(state)
        found = counter.answers[batch]
        for name, asked in part.items():
            if asked.answer.done():
                continue
            answer = found.get(name) or _unanswered_error(counter.api.name, state)
            if isinstance(answer, ProviderError):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result((answer, batch))

    async def _until_ended(self, counter: _Counter, batch: str) -> BatchState:
        """Poll a batch until it has ended."""
        pause, faults = self._poll_s, 0
        while True:
            try:
                state = await counter.api.look(batch)
                faults = 0
                if state.has_ended:
                    counter.open.discard(batch)
                    return state
            except ProviderError as error:
                faults += 1
                if error.failure != "transient" or faults >= MOST_FAULTS:
                    raise
            await asyncio.sleep(pause)
            pause = min(POLL_MOST_S, pause * 1.5)


def _broken_error(provider: str, error: BaseException) -> ProviderError:
    """Return the error of a queue that itself failed: it is unknown whether anything was billed."""
    made = ProviderUnavailable(
        f"`{provider}`: its batch could not be followed: {type(error).__name__}: {error}",
        provider=provider,
        billed=True,
    )
    made.__cause__ = error
    return made


def _unanswered_error(provider: str, state: BatchState | None) -> ProviderError:
    """Return the error of a request that its batch did not answer. It is not billed."""
    how = state.status if state is not None else "ended"
    why = f": {state.why}" if state is not None and state.why else ""
    return ProviderUnavailable(
        f"`{provider}`: the batch {how} without an answer to this question{why}.", provider=provider
    )
