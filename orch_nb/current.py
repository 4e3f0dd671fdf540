"""The functions of `orch_nb.api` for the objects below it: a graph or an agent can run without importing the runtime.

`orch_nb/__init__.py` fills the slot; here are only the types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from decimal import Decimal

    from orch_nb.engine.plan import Plan
    from orch_nb.handle import Batch, RunHandle
    from orch_nb.schema.budget import BudgetLike


class Estimate(Protocol):
    """A quote as `Graph.quote` gives it: a `Quote`."""

    @property
    def expected_usd(self) -> Decimal | None: ...
    @property
    def high_usd(self) -> Decimal | None: ...
    def check(self, usd: Decimal, *, hint: str = "") -> None: ...


class Api(Protocol):
    """The functions of `orch_nb.api` that graphs and agents call."""

    def run(
        self,
        target: object,
        /,
        *,
        budget: BudgetLike = None,
        namespace: Mapping[str, object] | None = None,
        attended: bool = False,
        again: bool = False,
        **inputs: object,
    ) -> Coroutine[Any, Any, RunHandle]: ...
    def run_sync(
        self,
        target: object,
        /,
        *,
        budget: BudgetLike = None,
        namespace: Mapping[str, object] | None = None,
        attended: bool = False,
        again: bool = False,
        **inputs: object,
    ) -> RunHandle: ...
    def quote(
        self, target: object, /, *, namespace: Mapping[str, object] | None = None, **inputs: object
    ) -> Estimate: ...
    @property
    def batch(self) -> Callable[..., Coroutine[Any, Any, Batch]]: ...
    def call(
        self, target: object, inputs: Mapping[str, object], namespace: Mapping[str, object] | None = None
    ) -> Coroutine[Any, Any, Any]: ...
    def compile_plan(self, target: object, namespace: Mapping[str, object]) -> Plan: ...


_load_api: Callable[[], Api] | None = None


def fill_with(load: Callable[[], Api]) -> None:
    """Name the function that imports `orch_nb.api`. It is called when something is asked to run."""
    global _load_api  # noqa: PLW0603  (one slot per process)
    _load_api = load


def api() -> Api:
    """Return the functions that run, quote and compile."""
    assert _load_api is not None, "`import orch_nb` fills the slot"
    return _load_api()


def caller_namespace(depth: int = 2) -> dict[str, Any]:
    """Return the variables that the calling code sees: where a graph's names are bound."""
    import inspect

    frame = inspect.currentframe()
    for _ in range(depth):
        frame = frame.f_back if frame is not None else None
    return {} if frame is None else {**frame.f_globals, **frame.f_locals}
