"""The composition root: the only place that wires plans, stores, providers and prices together.

`current()` is this process's runtime. Magics, the Python API and the command line all use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.runtime.runtime import Runtime

_current: Runtime | None = None


def current() -> Runtime:
    """Return this process's runtime, made at the first call. Its store is opened when the first run needs it."""
    if _current is None:
        from orch_nb.runtime.runtime import Runtime

        use(Runtime())
    assert _current is not None
    return _current


def use(runtime: Runtime | None) -> Runtime | None:
    """Make `runtime` the current one, and its models those that definitions are compiled with; return the one before.

    None: the next call of `current` makes a new one. `orch_nb.use` makes a runtime and returns it.
    """
    global _current
    from orch_nb.catalog import models

    before, _current = _current, runtime
    models.use(None if runtime is None else runtime.models)
    return before
