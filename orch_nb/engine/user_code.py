"""Code of the user's, called so that nothing it raises can stop the loop that runs it.

`except Exception` does not see SystemExit, KeyboardInterrupt, GeneratorExit and CancelledError. Raised by a function of the
notebook they are a failure of that function; raised by a Stop, a timeout or Ctrl-C they are the end of the task itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from typing import TYPE_CHECKING, TypeVar

from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_LOGGED: set[str] = set()
_MOST_LOGGED = 1_000


class Escaped(Exception):
    """Carries out of user code what `except Exception` does not see, or what a future cannot hold; `error` is that."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(words_of(error))
        self.error = error


def contained(call: Callable[..., T], /, *args: object, **values: object) -> T:
    """``call(*args, **values)``; an exception that does not derive from `Exception` is raised as an `Escaped`."""
    try:
        return call(*args, **values)
    except StopIteration as error:  # a future refuses it, and whoever awaits it waits for ever
        raise Escaped(error) from error
    except Exception:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise Escaped(error) from error


def raised(error: BaseException) -> BaseException:
    """Return the exception that user code raised, taken out of its carrier."""
    return error.error if isinstance(error, Escaped) else error


def is_interrupt(error: BaseException) -> bool:
    """Return whether this is Ctrl-C in the main thread: Python raises it there, wherever that thread is."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def ends_task(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    """Return whether `error`, caught in `task`, is the end of that task itself and not a failure of what it called.

    True for a cancellation that somebody asked for (Stop, a timeout), an interrupt of the main thread, and the closing of a
    coroutine that never ends (it is not run by its task then).
    """
    if isinstance(error, Exception):
        return False
    if task is None or running_task() is not task:
        return True
    if isinstance(error, asyncio.CancelledError):
        return task.cancelling() > 0
    return is_interrupt(error)


def running_task() -> asyncio.Task[object] | None:
    """The task that runs now, None outside any loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def tell(what: str, callback: Callable[..., object], *args: object) -> None:
    """Call a callback. What it raises is logged, the same only once, and goes no further."""
    try:
        callback(*args)
    except BaseException as error:
        if is_interrupt(error):
            raise
        text = f"{what} raised {type(error).__name__}: {words_of(error)}; the run continues."
        if text not in _LOGGED:
            if len(_LOGGED) >= _MOST_LOGGED:
                _LOGGED.clear()
            _LOGGED.add(text)
            log(text, error)


def log(text: str, error: BaseException) -> None:
    """Log a warning with the traceback of `error`, without secrets: a notebook shows it below the cell, and keeps it."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    logging.getLogger("orch_nb").warning("%s", REDACTOR.text(f"{text}\n{trace}"))


def words_of(error: BaseException) -> str:
    """The message of an exception of any class: one whose own `__str__` raises has none."""
    try:
        return str(error)
    except BaseException as other:
        if is_interrupt(other):
            raise
        return f"its message cannot be read: `__str__` raised {type(other).__name__}"
