"""What JupyterLab's extension is told and what it asks, over one comm. Nothing needs it: every answer is a verb of `%orch` too.

The kernel opens the comm, so that a front end without the extension is asked for nothing, and says no more until the
extension says that it is there. Messages are small and rare: at most one in 250 ms besides answers, none over 32 kB. They
are sent from the kernel's own loop; the thread of the runs never touches the comm.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from orch_nb.errors import BadOption, OrchError, nearest
from orch_nb.notebook.lab import diagnostics, inline_quote, run_list
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.handle import RunHandle
    from orch_nb.notebook.session import Session

TARGET = "orch_nb"
VERSION = 1
EVERY_S = 0.25
"""Least time between two messages that nobody asked for."""
MAX_BYTES = 32 * 1024
MAX_TEXT = 64 * 1024
"""Characters of a cell, or of an answer in words, that are taken from a front end."""

Message = dict[str, Any]


class Wire(Protocol):
    """What messages go over: a comm."""

    def send(self, data: Message) -> None: ...
    def close(self) -> None: ...


class FrontEnd:
    """The front ends of one kernel: they all hear the same.

    Parameters
    ----------
    later
        ``later(seconds, do)``: calls `do` on the kernel's loop; from any thread.
    """

    def __init__(self, session: Session, wire: Wire, later: Callable[[float, Callable[[], None]], None]) -> None:
        self.session, self._wire, self._later = session, wire, later
        self.is_there = False
        self._is_due = False
        self._is_running = False
        self._listed: tuple[object, ...] | None = None
        self._told: tuple[object, ...] | None = None
        self._tallies: dict[str, run_list.Tally] = {}
        self._asks: dict[str, Callable[[Message], Message]] = {
            "hello": self._hello, "check": self._check, "quote": self._quote, "stop": self._stop, "answer": self._answer,
        }  # fmt: skip

    # ---------------------------------------------------------------- asked
    def hear(self, message: object) -> None:
        """Answer one message. What is wrong with it is said in the answer, and nowhere else."""
        asked = message if isinstance(message, dict) else {}
        try:
            told = self._answer_to(asked)
        except OrchError as error:
            told = {"ok": False, "error": str(error).split("\n", 1)[0], "hint": error.hint}
        except Exception as error:  # a front end must hear of it: a comm's callback has no cell to fail
            told = {"ok": False, "error": f"{type(error).__name__}: {error}"[:400], "hint": ""}
        self._tell({"kind": "reply", "id": asked.get("id"), "ok": True, **told})

    def _answer_to(self, asked: Message) -> Message:
        name = str(asked.get("ask", ""))
        act = self._asks.get(name)
        if act is None:
            raise BadOption(f"`{name[:60]}` cannot be asked.", hint=f"there are: {', '.join(self._asks)}")
        return act(asked)

    def _hello(self, asked: Message) -> Message:
        self.is_there = True
        self._listed = None
        self.wake()
        return {"version": VERSION}

    def _check(self, asked: Message) -> Message:
        text = _text(asked, "cell")
        return {"marks": [mark.row() for mark in diagnostics.marks_of(text, self._names())]}

    def _quote(self, asked: Message) -> Message:
        return inline_quote.quote_line(self.session, _text(asked, "line"), self._names())

    def _stop(self, asked: Message) -> Message:
        self.session.live_run(_text(asked, "run")).stop()
        self.wake()
        return {}

    def _answer(self, asked: Message) -> Message:
        handle = self.session.live_run(_text(asked, "run"))
        action = _text(asked, "action")
        known = ("approve", "reject", "answer", "done", "again")
        if action not in known:
            near = nearest(action, known)
            raise BadOption(f"`{action}` is not one of the answers.", hint=f"did you mean `{near}`?" if near else "")
        value = _text(asked, "value") if action == "answer" else None
        handle.answer(action, value, node=_text(asked, "node"), shown_hash=_text(asked, "shown_hash"))
        self.wake()
        return {}

    def _names(self) -> dict[str, object]:
        return dict(self.session.shell.user_ns)

    # ---------------------------------------------------------------- told
    def cell_began(self) -> None:
        """From now on something may change."""
        self._is_running = True
        self.wake()

    def cell_ended(self) -> None:
        """Names, budget and runs may be others now."""
        self._is_running = False
        self._listed = None
        self.wake()

    def wake(self) -> None:
        """Look at the runs soon, and again while any is under way. From any thread."""
        if self.is_there and not self._is_due:
            self._is_due = True
            self._later(EVERY_S, self._look)

    def close(self) -> None:
        """Say no more."""
        self.is_there = False
        self._wire.close()

    def _look(self) -> None:
        self._is_due = False
        if not self.is_there:
            return
        live = self._live()
        try:
            self._tell_news(live)
        except OrchError as error:
            self._tell({"kind": "trouble", "error": str(error).split("\n", 1)[0], "hint": error.hint})
            return
        if live or self._is_running:
            self.wake()

    def _live(self) -> list[RunHandle]:
        """Runs under way, without the rows of batches."""
        handles = self.session.runtime.live_runs()
        return [h for h in handles if not _of_batch(h)][: run_list.MAX_ROWS]

    def _tell_news(self, live: list[RunHandle]) -> None:
        """The whole list when a run came, went, or waits; else what its runs say right now, and
        once a second how long they have run; nothing when nothing changed."""
        listed = tuple((handle.run, handle.status) for handle in live)
        second = int(time.monotonic())  # the seconds of a silent run pass, too
        told = tuple((handle.run, handle.version, second * (handle.status == "running")) for handle in live)
        if listed != self._listed:
            self._tell(self._list(live))
        elif told != self._told:
            said = [{**self._row(h), "said": run_list.said_row(h)} for h in live]
            self._tell({"kind": "live", "budget": run_list.budget_row(self.session.runtime), "runs": said})
        self._listed, self._told = listed, told

    def _list(self, live: list[RunHandle]) -> Message:
        here = {handle.run: self._row(handle) for handle in live}
        self._tallies = {run: tally for run, tally in self._tallies.items() if run in here}
        stored = self.session.runtime.runs(limit=run_list.MAX_ROWS)
        rows = [here.pop(row.run) if row.run in here else run_list.stored_row(row) for row in stored]
        return {"kind": "runs", "budget": run_list.budget_row(self.session.runtime), "runs": [*here.values(), *rows]}

    def _row(self, handle: RunHandle) -> Message:
        return run_list.live_row(handle, self._tallies.setdefault(handle.run, run_list.Tally()).of(handle))

    def _tell(self, message: Message) -> None:
        self._wire.send(fitted(REDACTOR.clean({"v": VERSION, **message})[0]))


def _of_batch(handle: RunHandle) -> bool:
    events = handle.events
    return bool(events and (getattr(events[0], "parent", None) or {}).get("of_batch"))


def _text(asked: Message, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise BadOption(f"`{name}` must be a text of at most {MAX_TEXT:,} characters.")
    return value


def fitted(message: Message) -> Message:
    """The message within 32 kB: what people are shown goes first, then what streams say, then the oldest rows."""
    if len(json.dumps(message, default=str)) <= MAX_BYTES:
        return message
    runs = [
        {**row, "said": [], "asked": [{**a, "shown": ""} for a in row.get("asked", ())]}
        for row in message.get("runs", ())
    ]
    made = {**message, "runs": runs} if runs else {k: v for k, v in message.items() if k != "marks"}
    while runs and len(json.dumps(made, default=str)) > MAX_BYTES:
        runs.pop()
    return made


def connect(session: Session) -> FrontEnd | None:
    """Open the comm of a kernel; None in a terminal, or where the kernel has no comms."""
    import asyncio

    if getattr(session.shell, "kernel", None) is None:
        return None
    try:
        from comm import create_comm

        loop = asyncio.get_running_loop()
    except (ImportError, RuntimeError):
        return None
    line = create_comm(target_name=TARGET, data={"v": VERSION})
    front = FrontEnd(session, line, lambda seconds, do: _post(loop, seconds, do))
    line.on_msg(lambda message: front.hear(message["content"]["data"]))
    return front


def _post(loop: Any, seconds: float, do: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(loop.call_later, seconds, do)
