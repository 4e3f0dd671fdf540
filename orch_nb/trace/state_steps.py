"""The state of a run after each step, and what each step changed of it, field by field.

The state is what steps can read: the graph's typed state, and the latest value of each node. Field by field means: where a
value is a mapping, its keys are told apart (``qa.score: 0.52 → 0.91``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.engine.state import MISSING
from orch_nb.errors import OrchError, nearest
from orch_nb.schema import events as ev
from orch_nb.trace.brief import brief
from orch_nb.trace.spans import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch_nb.schema.events import Event

SAID = 300
"""Characters of a value in a change; `state_at` gives the whole."""


@dataclass(slots=True)
class Change:
    """One field that a step changed: what it was ("" when there was none) and what it is, in one line each."""

    field: str
    before: str
    after: str


@dataclass(slots=True)
class StateStep:
    """One step and what it changed. `failed` with no changes: nothing of a failed step is in the state.

    Attributes
    ----------
    key
        Key of the activation.
    at
        UTC seconds of its end.
    """

    key: str
    at: float
    changes: list[Change] = field(default_factory=list)
    failed: str = ""


def state_steps(events: Iterable[Event]) -> list[StateStep]:
    """Every step that ended, in the order of the log, with what it changed.

    Notes
    -----
    O(events · fields written): values are told in at most `SAID` characters, so that a list that grows is not copied.
    """
    walk, known = Walk(), dict[str, str]()
    out = []
    for event in events:
        walk.feed(event)
        if isinstance(event, ev.Finished | ev.Reused | ev.Answered) and getattr(event, "action", "") != "again":
            step = StateStep(ev.key(event), event.at)
            _note(step, known, _path(event), event.value)
            for name in getattr(event, "writes", None) or ():
                _note(step, known, f"{event.frame}/{name}" if event.frame else name, _written(walk, event.frame, name))
            out.append(step)
        elif isinstance(event, ev.Failed) and event.final:
            out.append(StateStep(ev.key(event), event.at, failed=f"{event.error.type}: {event.error.message}"))
    return out


def state_at(events: Sequence[Event], step: str) -> dict[str, Any]:
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
            ended[key] = ended[_path(event)] = place
    last = ended.get(step, -1)
    if last < 0:
        near = nearest(step, ended)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(list(ended)[:12])}" if ended else ""
        raise OrchError(f"no step `{step}` has ended.", hint=hint)
    walk, values = Walk(), dict[str, Any]()
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


def _path(event: Any) -> str:
    """The step of an event, whatever the round; with its item where it has one."""
    item = getattr(event, "item", None)
    name = event.node if item is None else f"{event.node}[{item}]"
    return f"{event.frame}/{name}" if event.frame else name


def _written(walk: Walk, frame: str, name: str) -> Any:
    found = walk.state.frames.get(frame)
    row = found.state.get(name) if found is not None else None
    return None if row is None or row.value is MISSING else row.value


def _note(step: StateStep, known: dict[str, str], name: str, value: Any) -> None:
    """Add what is different now."""
    parts = (
        {f"{name}.{k}": v for k, v in value.items()}
        if isinstance(value, dict) and 0 < len(value) <= 40
        else {name: value}
    )
    for part, one in parts.items():
        after, before = brief(one, SAID), known.get(part, "")
        if after != before:
            step.changes.append(Change(part, before, after))
            known[part] = after
