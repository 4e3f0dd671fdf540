"""The one writer of one run in a database. It appends, admits and settles through the store's journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from orch_nb.schema.secrets import REDACTOR
from orch_nb.store import ledger_rules
from orch_nb.store import ledger_tables as books
from orch_nb.store.base import closed_error
from orch_nb.store.journal import SPECIAL, Op
from orch_nb.store.tagged_json import too_deep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from decimal import Decimal

    from orch_nb.engine.ports import Hold, Refusal
    from orch_nb.schema.events import Event
    from orch_nb.store.codec import Packed
    from orch_nb.store.journal import Journal, Tail

_T = TypeVar("_T")


class StoreHooks(Protocol):
    """The methods of a store that a run log calls."""

    def check(self) -> None:
        """Raise StoreError if the store can no longer be used."""

    def force(self) -> None:
        """Force everything written so far to the disk."""

    def release(self, number: int) -> None:
        """Let other processes open the run."""


class SqliteRunLog:
    """The one writer of one run (`engine.ports.RunLog`)."""

    __slots__ = ("_hooks", "_journal", "_open", "_tail", "run")

    def __init__(self, journal: Journal, tail: Tail, hooks: StoreHooks) -> None:
        self.run = tail.run
        self._journal, self._tail, self._hooks = journal, tail, hooks
        self._open = True

    @property
    def seq(self) -> int:
        """The number of committed events."""
        return self._tail.seq

    def begin(self, writer: str) -> None:
        """Store `writer` with the first events of a new run. "" if the run's row already exists."""
        self._tail.writer = writer

    def append(self, events: Sequence[Event], /) -> Awaitable[None] | None:
        """Make `events` safe against the death of this process. Secrets are replaced in the events themselves.

        Returns
        -------
        None
            The events are committed.
        Awaitable
            Await it: the commit that all runs of this turn share.

        Raises
        ------
        UnstorableValue
            A value cannot be stored; nothing was appended.
        StoreUnavailable
            The disk is full, missing, read-only or locked for too long; nothing was appended.
        """
        self._check()
        journal, tail = self._journal, self._tail
        with journal.lock:
            packed = self._pack(events, None)
            if (
                len(packed.rows) == 1
                and journal.is_alone(tail)
                and not packed.blobs
                and not tail.standing.waiting
                and not tail.writer
                and events[0].__class__ not in SPECIAL
                and journal.append_one(tail, packed.rows[0])
            ):
                if journal.power:
                    self._hooks.force()
                return None
            return journal.submit(Op(tail, events, packed))

    async def admit(self, event: Event, hold: Hold | None, /) -> Refusal | None:
        """Append a `Sent` and make its hold in one transaction, on the disk before this returns; or return the refusal.

        A cancellation before the transaction appends nothing. After the transaction this returns as usual, and the
        cancellation is raised at the caller's next await.

        Raises
        ------
        UnstorableValue, StoreUnavailable
            As `append`.
        StoreError
            The amount is invalid, or the hold's name is in use.
        """
        self._check()
        if hold is not None:
            cleaned, _ = REDACTOR.clean(hold)
            ledger_rules.asked_of(cleaned)
            hold = cleaned
        waiter: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        with self._journal.lock:
            packed = self._pack((event,), None if hold is None else books.admit_record(hold))
            op = Op(self._tail, (event,), packed, hold=hold, waiter=waiter)
            self._journal.submit(op)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            with self._journal.lock:
                if not op.written:
                    op.withdrawn = True
                    waiter.cancel()
                    raise
            return await _in_spite_of_cancel(waiter)

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

        Spending above the hold is overrun. A call without a hold (no budget, no price) settles at 0.

        Raises
        ------
        StoreError
            An amount is invalid, or money was spent under a hold that is not open.
        UnstorableValue, StoreUnavailable
            As `append`.
        """
        self._check()
        hold = REDACTOR.text(hold)
        with self._journal.lock:
            known = hold in self._tail.holds
            ledger_rules.check_settlement(self.run, hold, spent_usd, overrun_usd, used, is_open=known)
            record = books.settle_record(hold, spent_usd, overrun_usd, used) if known else None
            packed = self._pack(events, record)
            return self._journal.submit(
                Op(self._tail, events, packed, settled=(hold, spent_usd, overrun_usd, used) if known else None)
            )

    async def sync(self) -> None:
        """Return when everything appended so far is on the disk."""
        self._check()
        with self._journal.lock:
            forced = self._journal.synced(asyncio.get_running_loop())
        await forced

    def mark_in_doubt(self, hold: str, /) -> None:
        """Turn a hold into money in doubt, unless it is already in doubt.

        Raises
        ------
        StoreError
            The hold is not open.
        """
        self._check()
        hold = REDACTOR.text(hold)
        journal, tail = self._journal, self._tail
        with journal.lock:
            journal.flush_now()
            if hold not in tail.holds:
                raise ledger_rules.no_hold(self.run, hold)
            journal.transact(lambda: journal.ledger.mark_in_doubt(tail.number, tail.holds, [hold]))

    def holds(self) -> list[str]:
        """Return the names of the open holds, in doubt or not."""
        return list(self._tail.holds)

    def close(self) -> None:
        """Write the waiting events and let other processes write the run. A second call does nothing."""
        if not self._open:
            return
        self._open = False
        self._hooks.release(self._tail.number)

    def _check(self) -> None:
        self._hooks.check()
        if not self._open:
            raise closed_error(self.run)

    def _pack(self, events: Sequence[Event], record: str | None) -> Packed:
        try:
            for event in events:
                REDACTOR.event(event)
            return self._tail.packer.pack(events, record)
        except BaseException as error:
            self._tail.packer.forget()
            if isinstance(error, RecursionError):
                raise too_deep() from None
            raise


async def _in_spite_of_cancel(waiter: asyncio.Future[_T]) -> _T:
    """Return the waiter's result although the caller is cancelled. The caller is cancelled again at its next await."""
    while not waiter.done():
        try:
            await asyncio.shield(waiter)
        except asyncio.CancelledError:
            continue
    task = asyncio.current_task()
    if task is not None:
        task.cancel()
    return waiter.result()
