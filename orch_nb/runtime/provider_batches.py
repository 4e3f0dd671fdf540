"""Calls that can wait: those of a batch's rows are gathered and go through the provider's batch interface, at its price.

A row's run waits for its answer as for any call; what differs is the way. Calls that arrive within a short while are one batch of
the provider. After a crash, the batches that were submitted are found at the provider by their mark, and their answers are taken
instead of asking again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.engine.user_code import ends_task, running_task
from orch_nb.errors import ProviderError, ProviderUnavailable
from orch_nb.schema.messages import UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.catalog.prices import Price
    from orch_nb.providers.openai.batch import BatchState
    from orch_nb.schema.messages import ModelRequest, Reply

GATHER_S = 2.0
"""So long nothing new must have come before what there is is submitted: rows of one batch arrive together."""
POLL_S, POLL_MOST_S = 5.0, 60.0
"""How often a batch is looked at: at first, and once it takes long."""
MOST_FAULTS = 30
"""Looks in a row that may fail before a batch is given up: half an hour without a network."""
SLOT = "batch:"
"""What the concurrency of such calls is named by: nobody waits for a place."""


@dataclass(slots=True)
class _Asked:
    """One call that waits for its answer."""

    request: ModelRequest
    answer: asyncio.Future[tuple[Reply, str]]


@dataclass(slots=True)
class _Counter:
    """One provider's calls: those that gather, those submitted, and what was found there of before."""

    api: Any
    gathering: dict[str, _Asked] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    sender: asyncio.Task[None] | None = None
    batches: set[asyncio.Task[None]] = field(default_factory=set)
    before: dict[str, str] | None = None
    """Custom id -> batch in which it was asked before this process; None: not looked yet."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Batches under way."""


class ProviderBatchQueue:
    """The queue of one batch run.

    Parameters
    ----------
    mark
        What its batches are known by at the provider: the same after a crash.
    resumes
        Whether an earlier process may have submitted something.
    gather_s, poll_s
        See `GATHER_S` and `POLL_S`; tests are quicker.
    """

    def __init__(
        self,
        provider: Callable[[str], Any],
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
        """Whether calls to this provider go through its batch interface: it has one, and its price is known."""
        return price is not None and price.batch is not None and self._batch_api(provider) is not None

    def _batch_api(self, provider: str) -> Any:
        made = getattr(self._provider(provider), "batch_api", None)
        return made() if made is not None else None

    async def ask(self, provider: str, request_hash: str, request: ModelRequest) -> tuple[Reply, str]:
        """The answer, and the id of the batch that it came by. Waits as long as the provider takes.

        Raises
        ------
        ProviderError
            The question was refused, or the batch failed, expired or was lost.
        """
        counter = self._counters.get(provider)
        if counter is None:
            counter = self._counters[provider] = _Counter(self._batch_api(provider))
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
        """Look no further.

        Parameters
        ----------
        cancels
            Whether batches under way are cancelled at the provider (Stop). Else they go on there, and a resume takes their
            answers.
        """
        for counter in self._counters.values():
            for task in (*counter.batches, *filter(None, [counter.sender])):
                task.cancel()
            for batch in counter.open if cancels else ():
                with contextlib.suppress(ProviderError):  # it ends by itself within a day
                    await counter.api.cancel(batch)

    # ---------------------------------------------------------------- one provider
    async def _gather(self, counter: _Counter) -> None:
        """Submit what has come, once nothing more comes for a while."""
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
        """One group from the question to the answer; whatever goes wrong is told to those who wait."""
        is_placed = False
        task = running_task()
        try:
            placed = await self._place(counter, group)
            is_placed = True
            for batch, part in placed.items():
                await self._finish(counter, batch, part)
        except BaseException as error:  # whatever it is, somebody waits to be told
            if ends_task(error, task):
                raise
            told = error if isinstance(error, ProviderError) else _broken_error(counter.api.name, error)
            told.billed = told.billed or is_placed  # the provider goes on answering what it has taken
            for asked in group.values():
                if not asked.answer.done():
                    asked.answer.set_exception(told)

    async def _place(self, counter: _Counter, group: dict[str, _Asked]) -> dict[str, dict[str, _Asked]]:
        """Batch -> the calls that it answers: those of before that are found again, and a new one for the rest."""
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
        """Which of these calls an earlier process had submitted. Its batches are waited for: only their answers say what is in them."""
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
        """Look at a batch until nothing more comes of it."""
        pause, faults = self._poll_s, 0
        while True:
            try:
                state: BatchState = await counter.api.look(batch)
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
    """The error of a queue that itself failed: whether anything was billed is not known."""
    made = ProviderUnavailable(
        f"`{provider}`: its batch could not be followed: {type(error).__name__}: {error}",
        provider=provider,
        billed=True,
    )
    made.__cause__ = error
    return made


def _unanswered_error(provider: str, state: BatchState | None) -> ProviderError:
    """The error of a question that its batch did not answer. What a batch did not come to is not billed."""
    how = state.status if state is not None else "ended"
    why = f": {state.why}" if state is not None and state.why else ""
    return ProviderUnavailable(
        f"`{provider}`: the batch {how} without an answer to this question{why}.", provider=provider
    )
