"""What a function sees of its caller: the context variables that were set where the run was started."""

from __future__ import annotations

from contextvars import ContextVar

import orch_nb as orch

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


async def test_functions_see_the_callers_context(rt):
    """A context variable of the caller is there in a sync function's thread, and what is set there stays there."""

    def a():
        seen = TENANT.get()
        TENANT.set("changed")
        return seen

    token = TENANT.set("ada")
    try:
        run = await orch.run(orch.Graph.from_cell("g", "a -> b"), namespace={"a": a, "b": lambda a: [a, TENANT.get()]})
    finally:
        TENANT.reset(token)
    assert run.result() == ["ada", "ada"]
