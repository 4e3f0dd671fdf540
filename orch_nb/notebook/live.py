"""A run under way as it is seen: one display, updated at most five times a second, and a cell that waits without blocking.

The cell polls every 100 ms: an interrupt of a plain `await` is only noticed when the event loop wakes (ipython/ipykernel#881).
Displays are refreshed by one thread for all runs, which only updates displays by name and widget traits, and never prints.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.notebook.frontend import new_name
from orch_nb.trace.run_view import view_of
from orch_nb.trace.spans import Walk
from orch_nb.views.batch import batch_bundle
from orch_nb.views.run import live_bundle, run_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orch_nb.errors import OrchError
    from orch_nb.notebook.answer_buttons import Controls
    from orch_nb.notebook.frontend import Screen
    from orch_nb.schema.events import Waiting
    from orch_nb.trace.run_view import RunView

POLL_S = 0.1
"""How often a waiting cell looks: Stop is noticed within this."""
EVERY_S = 0.2
"""Least time between two updates of one display."""
SHARE = 0.04
"""Of the time, spent on drawing at most: a picture that took 20 ms is not drawn again for 500 ms."""
STOP_S = 0.4
"""How long a stopped cell waits for its run to book what it cost. Then it returns; the booking is finished in the background."""


class Stopped(KeyboardInterrupt):
    """The cell was stopped. Display as one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Stopped  {self}"]


class RunDisplay:
    """The display of one run: reads only the events that are new, draws only what changed.

    Parameters
    ----------
    is_published
        Whether nobody sits in front of it: then the notebook is made to be read elsewhere, and the last picture carries a
        PNG besides. Drawing it takes a second, which a person at the notebook, who has the picture, should not wait for.
    on_asked
        Called with the run's id and the questions that are shown, each time it is drawn.
    """

    def __init__(
        self, handle: Any, screen: Screen, *, notes: Sequence[str] = (), controls: Controls | None = None,
        is_published: bool = False, on_asked: Callable[[str, Iterable[Waiting]], None] | None = None,
    ) -> None:  # fmt: skip
        self.is_published, self._on_asked = is_published, on_asked
        self.handle, self.screen, self.notes, self.controls = handle, screen, tuple(notes), controls
        self.name = new_name()
        self._walk = Walk()
        self._read = 0
        self._version = -1
        self._next = 0.0
        self._lock = threading.Lock()

    def view(self) -> RunView:
        """The run in its present state."""
        events = self.handle.events
        for event in events[self._read :]:
            self._walk.feed(event)
        self._read = len(events)
        return view_of(self._walk, alive=not self.handle.done())

    def bundle(self) -> dict[str, object]:
        """Return what is shown now. While the run is under way it is short and carries the time of day."""
        view = self.view()
        if self._on_asked is not None:
            self._on_asked(view.run, view.waiting.values())
        as_of = "" if self.handle.done() else f"as of {time.strftime('%H:%M:%S')}"
        if as_of and view.status != "waiting":
            return live_bundle(view, live=dict(self.handle.live), as_of=as_of, notes=self.notes)
        # A cell that was stopped ends at once: nobody publishes it.
        published = self.is_published and self.screen.can_update and view.status in ("done", "failed")
        return run_bundle(view, as_of=as_of, notes=self.notes, is_published=published)

    def show(self) -> None:
        """Show it for the first time, where displays can be updated."""
        if self.screen.can_update:
            with self._lock:
                self._version = self.handle.version
                self.screen.show(self.bundle(), self.name)

    def refresh(self, *, now: float, final: bool = False) -> None:
        """Draw again if something changed and it is time to."""
        with self._lock:
            if not final and (now < self._next or self._version == self.handle.version):
                return
            began = time.perf_counter()
            self._version = self.handle.version
            if self.controls is not None:
                self.controls.sync()
            if self.screen.can_update:
                self.screen.update(self.bundle(), self.name)
            self._next = now + max(EVERY_S, (time.perf_counter() - began) / SHARE)

    def finish(self) -> None:
        """The last picture."""
        self.refresh(now=0.0, final=True)
        if not self.screen.can_update:
            self.screen.show(self.bundle(), self.name)

    @property
    def is_over(self) -> bool:
        """True if nothing will change any more."""
        return bool(self.handle.done())


class BatchDisplay(RunDisplay):
    """The display of a batch."""

    def bundle(self) -> dict[str, object]:
        """Progress and rows so far."""
        return batch_bundle(self.handle)


class Refresher:
    """The one thread that keeps displays fresh. It ends when none is left, and begins again with the next."""

    def __init__(self) -> None:
        self._shown: list[RunDisplay] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, shown: RunDisplay) -> None:
        """Keep `shown` fresh until it is over."""
        with self._lock:
            self._shown.append(shown)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="orch_nb display", daemon=True)
                self._thread.start()

    def remove(self, shown: RunDisplay) -> None:
        """Leave `shown` alone from now on."""
        with self._lock:
            if shown in self._shown:
                self._shown.remove(shown)

    def _work(self) -> None:
        while True:
            with self._lock:
                shown = list(self._shown)
                if not shown:
                    self._thread = None
                    return
            for one in shown:
                self._refresh(one)
            self._wake.wait(EVERY_S / 2)

    def _refresh(self, one: RunDisplay) -> None:
        over = one.is_over
        try:
            one.refresh(now=time.monotonic(), final=over)
        except Exception as error:  # a broken picture must neither end the thread nor be silent
            one.handle.display_error = error
            over = True
        if over:
            self.remove(one)


REFRESHER = Refresher()


class Pending:
    """What an asynchronous verb gives back: the cell awaits it. Not awaited, its work continues in the background."""

    def __init__(self, value: object, wait: Callable[[], Any], text: str) -> None:
        self.value, self._wait, self._text = value, wait, text

    def __await__(self) -> Any:
        return self._wait().__await__()

    def __repr__(self) -> str:
        return f"{self._text} To wait for it: `await _`, or the line at the top level of a cell."


async def until(handle: Any, is_enough: Callable[[], bool], last: Callable[[], object]) -> None:
    """Wait, polling, until `is_enough()`: at once at first, later every 100 ms. An interrupt of the cell stops the run and is raised as `Stopped`.

    Parameters
    ----------
    last
        Draws the last picture of a run that was stopped.

    Raises
    ------
    Stopped
        The cell was interrupted; what the run has cost is booked, or being booked.
    """
    try:
        pause = 0.002
        while not is_enough():
            await asyncio.sleep(pause)
            pause = min(POLL_S, pause * 1.5)
    except (asyncio.CancelledError, KeyboardInterrupt):
        handle.stop()
        wait([handle.future], timeout=STOP_S)  # not on the cell's own loop: that one was told to stop
        last()
        raise Stopped(_stopped_text(handle)) from None


def _stopped_text(handle: Any) -> str:
    from orch_nb.views.format import usd

    return f"run {handle.run}: {usd(handle.spent_usd)} booked; `%orch resume {handle.run}` continues from here."


def with_own_frames(error: OrchError) -> OrchError:
    """The error, the traceback of its cause beginning where the notebook's own code does."""
    cause = error.__cause__
    frame = cause.__traceback__ if cause is not None else None
    while frame is not None and any(part in frame.tb_frame.f_code.co_filename for part in _OURS):
        frame = frame.tb_next
    if cause is not None and frame is not None:
        cause.__traceback__ = frame
    return error


_OURS = (
    str(Path(__file__).parent.parent),
    "/asyncio/",
    "/concurrent/futures/",
    "\\asyncio\\",
    "\\concurrent\\futures\\",
)
