"""How a run is driven: bounds and defaults that are safe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.engine.ports import SystemClock

if TYPE_CHECKING:
    from orch_nb.engine.ports import Clock


@dataclass(slots=True)
class Policy:
    """Parameters of a drive.

    max_concurrency
        Activations under way at once in one run; the rest queues, and the wait is recorded apart (`queued_s`).
    attended
        Whether a person can be asked. False: a human node fails at once (closed, not open).
    max_activations
        Bound on activations of one run: a runaway growth ends in `LimitReached`. A million is far above any notebook.
    again
        Perform effects that an earlier run has performed already (`--again`).
    seed
        Of the back-off's jitter, so that tests repeat.
    """

    max_concurrency: int = 1000
    attended: bool = True
    max_activations: int = 1_000_000
    again: bool = False
    seed: int | None = None
    clock: Clock = field(default_factory=SystemClock)
