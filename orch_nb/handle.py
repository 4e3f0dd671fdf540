"""The handle of a run: its status, events and result; stop it, answer it, await it. Safe from any thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

from orch_nb import display
from orch_nb.engine.outcome import question_changed
from orch_nb.engine.user_code import tell
from orch_nb.errors import NodeFailed, OrchError, RunCancelled, RunError, WaitingForPerson
from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from decimal import Decimal

    from orch_nb.engine.drive import Driver
    from orch_nb.engine.loop import RunLoop
    from orch_nb.engine.plan import Plan
    from orch_nb.schema.events import Event
    from orch_nb.trace.bill import Bill
    from orch_nb.trace.diff import RunDiff
    from orch_nb.trace.message import Message
    from orch_nb.trace.run_view import RunView


def promise() -> Future[T]:
    """Return a future that only its maker can end: a cancelled waiter does not cancel it for others."""
    made: Future[T] = Future()
    made.set_running_or_notify_cancel()
    return made


T = TypeVar("T")


class LiveText(TypedDict):
    """The text of one activation that is streaming."""

    text: str
    since: float


class Handle(Protocol):
    """What a run, a batch and a comparison have in common: each can be watched, stopped and waited for."""

    @property
    def run(self) -> str: ...
    @property
    def graph(self) -> str: ...
    @property
    def version(self) -> int:
        """A number that grows with each change."""
        ...

    @property
    def status(self) -> str: ...
    @property
    def is_batch(self) -> bool:
        """True for rows, each a run, instead of events of its own."""
        ...

    @property
    def spent_usd(self) -> Decimal: ...
    @property
    def future(self) -> Future[Any]:
        """The future of its end; its result is the handle."""
        ...

    def done(self) -> bool: ...
    def stop(self) -> None: ...
    def wait(self, timeout_s: float | None = None) -> Handle: ...


class Batch(Handle, Protocol):
    """A batch as `Graph.batch` gives it: a `BatchHandle`."""

    @property
    def table(self) -> Any:
        """The table with a column for each field of the output."""
        ...


class RunHandle:
    """One run: a live one (it has a driver), or a recorded one (its events only).

    Attributes
    ----------
    run
        Its id in the store.
    graph
        Name of what runs.
    plan
        The frozen plan.
    events
        All events so far (a copy).
    version
        A number that grows with each change: events, and pieces of streamed text.
    live
        Activation key -> the text that is streaming now, and the time of its beginning. Not stored.
    """

    is_batch = False

    def __init__(self, run: str, plan: Plan, events: Sequence[Event], loop: RunLoop | None) -> None:
        self.run, self.graph, self.plan = run, plan.name, plan
        self.version = 0
        self.live: dict[str, LiveText] = {}
        self.name = ""
        self._events: list[Event] = list(events)
        self._loop = loop
        self._driver: Driver | None = None
        self._task: asyncio.Task[None] | None = None
        self._at_rest = False
        self._status = _recorded_status(self._events)
        self._exception: BaseException | None = None
        self._lock = threading.Lock()
        self.future: Future[RunHandle] = promise()
        self.settled: Future[RunHandle] = promise()
        self.on_change: Callable[[RunHandle], None] | None = None
        if loop is None:
            self.future.set_result(self)
            self.settled.set_result(self)

    # ---------------------------------------------------------------- state
    @property
    def events(self) -> list[Event]:
        """All events so far, a copy."""
        return list(self._events)

    @property
    def status(self) -> str:
        """running, waiting (only a person is due), done, failed or cancelled."""
        return self._status

    @property
    def waiting(self) -> list[ev.Waiting]:
        """The open questions to a person, oldest first."""
        asked = {}
        for event in self.events:
            if isinstance(event, ev.Waiting):
                asked[ev.key(event)] = event
            elif isinstance(event, ev.Answered):
                asked.pop(ev.key(event), None)
        return list(asked.values())

    def done(self) -> bool:
        """Return whether the run has ended."""
        return self._status in ("done", "failed", "cancelled")

    @property
    def output(self) -> Any:
        """The output of the run; None before the end."""
        for event in reversed(self.events):
            if isinstance(event, ev.RunEnded):
                return event.output
        return None

    def __getitem__(self, key: str) -> Any:
        """The value of an activation (``run["qa[2]"]``); of a node's name, its latest round."""
        found: object = KeyError
        for event in self.events:
            if isinstance(event, ev.Finished | ev.Answered | ev.Reused):
                full = ev.key(event)
                if full == key or (event.item is None and not event.frame and event.node == key):
                    found = event.value
        if found is KeyError:
            raise OrchError(f"run {self.run} has no value of `{key}`.", hint="a node's name, or a key such as `qa[2]`")
        return found

    def result(self) -> Any:
        """Return the output of a run that is done.

        Raises
        ------
        WaitingForPerson
            A person must answer first; the hint has the line to type.
        NodeFailed, BudgetExceeded, …
            The run failed: the error of the node, with the user's own exception as its cause.
        RunCancelled
            It was stopped.
        RunError
            It is still running.
        """
        status = self.status
        if status == "done":
            return self.output
        if status == "cancelled":
            raise RunCancelled(f"run {self.run} was stopped.", hint=f"`%orch resume {self.run}` continues")
        if status == "failed":
            raise self._failure()
        if status == "waiting":
            asked = ", ".join(f"`{ev.key(w)}`" for w in self.waiting)
            raise WaitingForPerson(
                f"run {self.run} waits for a person at {asked}.",
                hint="`%orch answer approve` (or edit, reject), then ask for the result again",
            )
        raise RunError(f"run {self.run} is still running.", hint="`await` it")

    def _failure(self) -> BaseException:
        cause = self._exception
        ended = next((e for e in reversed(self.events) if isinstance(e, ev.RunEnded)), None)
        if isinstance(cause, OrchError) or (ended is None and cause is not None):
            return cause
        if ended is None:
            return RunCancelled(
                f"run {self.run} was interrupted before its end.", hint=f"`%orch resume {self.run}` continues"
            )
        info = ended.error
        made = NodeFailed(
            f"{f'`{ended.node}`' if ended.node else f'run {self.run}'} failed: {info.type}: {info.message}"
            if info
            else f"run {self.run} failed.",
            hint=(info.hint if info else "")
            or f"`%orch resume {self.run}` tries again; finished nodes are not repeated",
            node=ended.node,
            run=self.run,
        )
        made.__cause__ = cause
        return made

    def __await__(self) -> Generator[object, None, RunHandle]:
        """Wait until the run has ended or only a person is due; return the handle."""
        return asyncio.wrap_future(self._resting()).__await__()

    def _resting(self) -> Future[RunHandle]:
        with self._lock:
            return self.settled

    def wait(self, timeout_s: float | None = None) -> RunHandle:
        """Wait as ``await`` does, in code without an event loop.

        Raises
        ------
        TimeoutError
            It has neither ended nor waits for a person after `timeout_s` seconds.
        WouldDeadlock
            It was called on the thread of the run: `await` the run instead.
        """
        if self._loop is not None:
            self._loop.check_may_wait("`wait`")
        return self._resting().result(timeout_s)

    # ---------------------------------------------------------------- control
    def stop(self) -> None:
        """Cancel the run and return at once. Its cost so far is booked, its record remains."""
        if self._loop is not None and not self.done():
            self._loop.post(self._stop_here)

    def _stop_here(self) -> None:
        if self._driver is not None:
            self._driver.stop()

    def answer(
        self, action: str, value: object = None, *, node: str | None = None, shown_hash: str | None = None,
        comment: str = "", by: str = "",
    ) -> None:  # fmt: skip
        """Answer an open question.

        Parameters
        ----------
        action
            "approve", "edit" with a value, "reject", or "answer" with a value. Where a budget ran out: "raise" with an amount
            (None: just enough for the call that asked), or "stop". Where an effect is in doubt: "done" (with its result, where
            that is known), "again", or "reject".
        node
            Key of the activation, or its node's name; optional while only one question is open.
        shown_hash
            `Waiting.shown_hash` of the question that was shown to the person; without it, the question that is open now.

        Raises
        ------
        QuestionChanged
            The question of that hash is not open any more; the error names the one that is.
        OrchError
            The node has no open question, several are open and no node is named, or the action is not offered.
        """
        asked = self.asked(node, shown_hash)
        if self._driver is None or self._loop is None:
            raise OrchError(f"run {self.run} is not running here.", hint=f"`%orch resume {self.run}` first")
        self._loop.ask(self._answer_here, asked, action, value, by or _person(), comment)

    def asked(self, node: str | None = None, shown_hash: str | None = None) -> ev.Waiting:
        """Return the question that `answer` would answer; raise as it does."""
        asked = self.waiting
        fits = [w for w in asked if node is None or ev.key(w) == node] or [w for w in asked if w.node == node]
        if shown_hash is not None:
            found = next((w for w in fits if w.shown_hash == shown_hash), None)
            if found is None:
                raise question_changed(self.run, node or "", fits or asked)
            return found
        if len(fits) == 1:
            return fits[0]
        keys = ", ".join(f"`{ev.key(w)}`" for w in fits or asked) or "none"
        if node is None or fits:
            raise OrchError(f"run {self.run}: {len(fits)} questions are open ({keys}).", hint="name the node")
        raise OrchError(f"`{node}` has no open question.", hint=f"open questions: {keys}")

    def _answer_here(self, asked: ev.Waiting, action: str, value: object, by: str, comment: str) -> None:
        driver, node, shown_hash = self._driver, ev.key(asked), asked.shown_hash
        assert driver is not None
        # Raises in the caller's thread when it does not fit.
        driver.answered(node, action, value, by, comment, shown_hash=shown_hash)
        with self._lock:
            self._at_rest = False
            if self.settled.done() and not self.done():
                self.settled = promise()
            self._status = "running"
        # A second click may have been posted meanwhile: the first answer counts.
        driver.post(lambda: driver.answer_events(node, action, value, by, comment, shown_hash=shown_hash))

    # ---------------------------------------------------------------- on the loop's thread
    def _on_events(self, events: Sequence[Event]) -> None:
        self._events.extend(events)
        self._notify()

    def _on_text(self, key: str, text: str) -> None:
        row = self.live.setdefault(key, {"text": "", "since": asyncio.get_running_loop().time()})
        row["text"] += text
        self._notify()

    def _on_call_end(self, key: str) -> None:
        self.live.pop(key, None)

    def _notify(self) -> None:
        self.version += 1
        if self.on_change is not None:
            tell(f"`on_change` of run {self.run}", self.on_change, self)

    def _on_waiting(self) -> None:
        """Set the status to waiting: only a person is due."""
        with self._lock:
            self._status = "waiting"
            if not self.settled.done():
                self.settled.set_result(self)
        self._notify()

    def _on_ended(self, exception: BaseException | None) -> None:
        with self._lock:
            self._exception = exception
            self._status = _recorded_status(self._events)
            self.live.clear()
        self._notify()
        if not self.settled.done():
            self.settled.set_result(self)
        self.future.set_result(self)

    def _on_broken(self, error: BaseException) -> None:
        """Fail the waiters: the engine itself failed (the store is gone, the disk is full). The record remains."""
        if self.future.done():
            return
        with self._lock:
            self._status = "failed"
            self._exception = error
        for future in (self.settled, self.future):
            if not future.done():
                future.set_exception(error)
        self._notify()

    # ---------------------------------------------------------------- display
    @property
    def spent_usd(self) -> Decimal:
        """US dollars settled so far."""
        from orch_nb.trace.bill import bill

        return bill(self.events).spent_usd

    def bill(self) -> Bill:
        """Return the costs of the run so far, by step, agent and model, and its savings; ``.against("big")`` re-prices it."""
        from orch_nb.trace.bill import bill

        return bill(self.events, alive=not self.done() and self._driver is not None)

    @property
    def nx(self) -> Any:
        """The trace as a networkx graph: who called whom, with tokens, dollars and seconds."""
        from orch_nb.trace.run_view import run_nx

        return run_nx(self.events)

    def plot(self, what: str = "graph") -> Any:
        """Return the run as a `matplotlib.figure.Figure` that shows itself: ``run.plot("timeline").savefig("run.pdf")``.

        Parameters
        ----------
        what
            "graph": the graph with the states of its nodes; "timeline": steps over the time of the run, with queueing apart;
            "cost": dollars by step, and over time against the budget.

        Raises
        ------
        BadOption
            `what` is another word; the nearest one is named.
        """
        return display.figure(self.view, what)

    @property
    def view(self) -> RunView:
        """The run as data for displays: spans, bill, graphs, state. O(events)."""
        from orch_nb.trace.run_view import run_view

        return run_view(self.events, alive=not self.done() and self._driver is not None)

    @property
    def ok(self) -> bool:
        """True if the run is done and nothing that its output rests on is marked: see `marks`."""
        return self.view.ok

    @property
    def marks(self) -> list[str]:
        """Words that qualify the status: ``bound used up``, ``rejected``, ``degraded``. Empty for most runs."""
        return self.view.marks

    @property
    def messages(self) -> list[Message]:
        """The messages of the run in order of time: along arrows, to models and tools and back, to people."""
        from orch_nb.trace.message import messages

        return messages(self.view)

    def state_at(self, step: str) -> dict[str, Any]:
        """Return the state right after a step: typed fields, and each node's latest value.

        Parameters
        ----------
        step
            Key of an activation (``qa[2]``), or a node's name: its latest end.

        Raises
        ------
        OrchError
            No such step has ended; the nearest one is named.
        """
        from orch_nb.trace.state_steps import state_at

        return state_at(self.events, step)

    def diff(self, other: RunHandle) -> RunDiff:
        """Compare this run with another, aligned by node and round; the result displays itself.

        Notes
        -----
        `.pairs` has each step of both with a text diff of its value, `.first` the first difference, `.usd` the extra dollars.
        """
        from orch_nb.trace.diff import diff

        return diff(self.view, other.view)

    def __repr__(self) -> str:
        return f"<run {self.run} of {self.graph}: {self.status}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return display.bundle(self.view)


def _recorded_status(events: Sequence[Event]) -> str:
    status, waiting = "running", 0
    for event in events:
        if isinstance(event, ev.RunEnded):
            status = event.status
        elif isinstance(event, ev.Resumed):
            status = "running"
        elif isinstance(event, ev.Waiting):
            waiting += 1
        elif isinstance(event, ev.Answered):
            waiting -= 1
    return "waiting" if status == "running" and waiting > 0 else status


def _person() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
