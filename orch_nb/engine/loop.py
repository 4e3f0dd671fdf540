"""One private asyncio loop in a daemon thread owns every run: it survives what the kernel does with its own loop.

Widget callbacks, magics and scripts only post to it. What escapes from a callback, SystemExit included,
does not end it. Should its thread end all the same, whoever waits for it is told, and the next call starts another.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from orch_nb.engine.user_code import log
from orch_nb.errors import LoopEnded, WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

T = TypeVar("T")
AT_ONCE_S = 0.01
MOST_AT_ONCE = 10_000
"""Escapes that follow one another within `AT_ONCE_S`: the loop itself is broken, and is given up."""


class RunLoop:
    """The loop and its thread, started at first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._owed: WeakSet[Future[Any]] = WeakSet()
        self.on_end: Callable[[LoopEnded], None] | None = None
        """Called, on the loop's thread, when that ends without having been closed."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running: another one where the thread of the one before has ended."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name="orch_nb runs", daemon=True)
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            self._run_on(loop)
        finally:
            with self._lock:
                is_closed, self._loop = self._loop is not loop, None
            if not is_closed:
                self._tell_end()
            _close(loop)

    def _run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run until `close`. An escape loses the one callback that it came from: the loop continues with the next."""
        at_once = 0
        while self._loop is loop and not loop.is_closed() and at_once < MOST_AT_ONCE:
            began = time.monotonic()
            try:
                loop.run_forever()  # returns where other code stopped it: it is started again
            except BaseException as error:
                log(f"{type(error).__name__} reached the run loop, which continues", error)
            at_once = at_once + 1 if time.monotonic() - began < AT_ONCE_S else 0

    def _tell_end(self) -> None:
        try:
            if self.on_end is not None:
                self.on_end(_ended_error())
        finally:
            with self._lock:
                owed = [future for future in self._owed if not future.done()]
            for future in owed:
                future.set_exception(_ended_error())

    @property
    def is_here(self) -> bool:
        """Return whether the caller is on the loop's thread."""
        return threading.current_thread() is self._thread

    def check_may_wait(self, what: str) -> None:
        """Refuse to block the loop's own thread: what is waited for could never come.

        Raises
        ------
        WouldDeadlock
            The caller is on the loop's thread.
        """
        if self.is_here:
            raise WouldDeadlock(
                f"{what} was called on the thread that runs every run, where it would wait for itself for ever.",
                hint="`await` it instead: `run = await orch_nb.run(...)` inside an `async def`",
            )

    def owe(self, future: Future[T]) -> Future[T]:
        """The same future, which fails with `LoopEnded` where the loop's thread ends before it is done."""
        with self._lock:
            self._owed.add(future)
        return future

    def submit(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Have `work` run on the loop. Safe from any thread."""
        try:
            return self.owe(asyncio.run_coroutine_threadsafe(work, self.loop))
        except RuntimeError:  # it was closed just now
            work.close()
            raise _ended_error() from None

    def post(self, call: Callable[..., object], *args: object) -> None:
        """Have `call(*args)` run on the loop soon. Safe from any thread; never waits."""
        self.loop.call_soon_threadsafe(call, *args)

    def ask(self, call: Callable[..., T], *args: object) -> T:
        """``call(*args)`` on the loop's thread, waited for. For short calls only (a store's read or write)."""
        if self.is_here:
            return call(*args)

        async def once() -> T:
            return call(*args)

        return self.submit(once()).result()

    def close(self) -> None:
        """Stop the loop; what runs on it is cancelled by its owner first."""
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None or self.is_here:
                return
            self._loop = None
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Close the loop, and here and now the coroutines that it leaves: not at some later time, by the garbage collector."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does with what it gives up
        coroutine = task.get_coro()
        with suppress(BaseException):
            if coroutine is not None:
                coroutine.close()
    loop.close()


def _ended_error() -> LoopEnded:
    return LoopEnded(
        "the thread that runs every run has ended; runs under way are interrupted, what they recorded is kept.",
        hint="`%orch resume` continues a run: another thread is started for it",
    )
