"""The composition root: the only place that wires plans, stores, providers and prices together.

`current()` is this process's runtime; magics, the Python API and the command line all go through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.runtime.runtime import Runtime

_current: Runtime | None = None


def current() -> Runtime:
    """This process's runtime, made at the first call: the store is opened when the first run needs it."""
    global _current  # noqa: PLW0603  (one runtime per process is what "current" means)
    if _current is None:
        from orch_nb.runtime.runtime import Runtime

        _current = Runtime()
    return _current


def use(runtime: Runtime | None) -> Runtime | None:
    """Make `runtime` the current one (None: make a new one at the next call); returns the one before."""
    global _current
    before, _current = _current, runtime
    return before
