"""What should be running: read from the state, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.engine.plan import Plan
    from orch_nb.engine.state import Activate, RunState


def due(plan: Plan, state: RunState) -> Sequence[Activate]:
    """Everything that is due, in the order in which it became so. Pure; O(what is due).

    Nothing is due once a node has failed for good: what was under way may end, but nothing new starts.
    """
    return [] if state.failed or state.ended else list(state.ready.values())
