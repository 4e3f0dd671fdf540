"""The state of a run after each step, and what each step changed of it, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.engine.state import MISSING
from orch_nb.errors import OrchError, nearest
from orch_nb.schema import events as ev
from orch_nb.trace.spans import Walk
from orch_nb.trace.state_log import StateLog, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch_nb.schema.events import Event
    from orch_nb.trace.state_log import StateStep


def state_steps(events: Iterable[Event]) -> list[StateStep]:
    """Every step that ended, in the order of the log, with what it changed. O(events · fields written)."""
    walk, log = Walk(), StateLog()
    for event in events:
        walk.feed(event)
        log.feed(event, walk.state)
    return log.steps


def state_at(events: Sequence[Event], step: str) -> dict[str, object]:
    """The state right after a step: typed fields and the latest value of each node of the run's own graph.

    Parameters
    ----------
    step
        Key of an activation (``qa[2]``), or a node's name: its latest end.

    Raises
    ------
    OrchError
        No such step has ended; the nearest is named.
    """
    last = -1
    ended = {}
    for place, event in enumerate(events):
        if isinstance(event, ev.Finished | ev.Reused | ev.Answered) or (isinstance(event, ev.Failed) and event.final):
            key = ev.key(event)
            ended[key] = ended[path_of(event)] = place
    last = ended.get(step, -1)
    if last < 0:
        near = nearest(step, ended)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(list(ended)[:12])}" if ended else ""
        raise OrchError(f"no step `{step}` has ended.", hint=hint)
    walk, values = Walk(), dict[str, object]()
    for event in events[: last + 1]:
        walk.feed(event)
        if (
            isinstance(event, ev.Finished | ev.Reused | ev.Answered)
            and not event.frame
            and getattr(event, "item", None) is None
        ):
            values[event.node] = event.value
    typed = walk.state.frames[""].state if "" in walk.state.frames else {}
    return values | {name: row.value for name, row in typed.items() if row.value is not MISSING}
