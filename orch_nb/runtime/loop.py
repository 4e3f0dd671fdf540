"""One private asyncio loop in a daemon thread owns every run: it survives what the kernel does with its own loop.

Widget callbacks, magics and scripts only post to it (NOTEBOOK_FACTS 1.4).
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

T = TypeVar("T")


class RunLoop:
    """The loop and its thread, started at first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, name="orch_nb runs", daemon=True)
                self._thread.start()
            return self._loop

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def is_here(self) -> bool:
        """Whether the caller is on the loop's thread."""
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have `work` run on the loop. Safe from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have `call(*args)` run on the loop soon. Safe from any thread; never waits."""
        self.loop.call_soon_threadsafe(call, *args)

    def ask(self, call: Callable[..., T], *args: Any) -> T:
        """``call(*args)`` on the loop's thread, waited for. For short calls only (a store's read or write)."""
        if self.is_here:
            return call(*args)

        async def once() -> T:
            return call(*args)

        return self.submit(once()).result()

    def close(self) -> None:
        """Stop the loop; what runs on it is cancelled by its owner first."""
        if self._loop is None or self.is_here:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = self._thread = None
