"""What is measured by a batch of rows, seen as a run: its id, state, dollars and end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Future
    from decimal import Decimal

    from orch_nb.runtime.batch import BatchHandle


class BatchRun:
    """Base of a comparison and of a test of pairs: each is one batch, whose handle it keeps as `_handle`."""

    __slots__ = ()
    _handle: Any

    @property
    def handle(self) -> BatchHandle:
        """The batch that it is."""
        made: BatchHandle = self._handle
        return made

    @property
    def run(self) -> str:
        """Its id; ``%orch resume ID`` goes on with what is not done."""
        return self.handle.run

    @property
    def version(self) -> int:
        """Grows with each change."""
        return self.handle.version

    @property
    def status(self) -> str:
        """running, done, cancelled (stopped), or failed (rows are pending: the budget). A row that failed is one row: it
        says so in its place, and the whole is done all the same."""
        if not self.done():
            return "running"
        if all(r.status in ("done", "failed") for r in self.handle.rows):
            return "done"
        return "cancelled" if self.handle.stopped == "stopped" else "failed"

    @property
    def future(self) -> Future[BatchHandle]:
        """Done when every row is, further ones (judgements, consumers) included."""
        return self.handle.future

    @property
    def spent_usd(self) -> Decimal:
        """What everything cost so far."""
        return self.handle.spent_usd

    def done(self) -> bool:
        """Whether everything has ended."""
        return self.handle.done()

    def stop(self) -> None:
        """Stop: what is under way is booked, the rest is pending."""
        self.handle.stop()

    def wait(self, timeout_s: float | None = None) -> Self:
        """Until everything has ended, for code without a loop."""
        self.handle.wait(timeout_s)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        async def wait() -> Self:
            await asyncio.wrap_future(self.future)
            return self

        return wait().__await__()
