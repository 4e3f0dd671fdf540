"""How much work something is, counted instead of timed: the same number on a busy machine and on a quiet one."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from orch_nb.engine.loop import RunLoop


def calls_of(work: Callable[[], Any]) -> int:
    """Count the functions that `work` calls, Python's and C's: what a square in a length shows in, whatever the clock says."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@contextmanager
def calls_of_names(loop: RunLoop, *names: str) -> Iterator[Counter[str]]:
    """Count the calls of our functions of these names, here and on the thread of the run loop."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name in names and "orch_nb" in code.co_filename:
            counted[code.co_name] += 1

    loop.ask(sys.setprofile, count)
    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)
        loop.ask(sys.setprofile, None)
