"""What each step of a run changed of its state, field by field, read from the events one at a time.

The state is what steps can read: the graph's typed state, and the latest value of each node. Field by field means: where a
value is a mapping, its keys are told apart (``qa.score: 0.52 → 0.91``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.engine.state import MISSING
from orch_nb.schema import events as ev
from orch_nb.trace.preview import brief

if TYPE_CHECKING:
    from orch_nb.engine.state import RunState
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


class StateLog:
    """Steps that ended, in the order of the log, with what each changed.

    Parameters
    ----------
    most
        Steps that are kept, from the first; None: all. `left_out` counts the others.

    Notes
    -----
    O(fields written) an event: values are told in at most `SAID` characters, so that a list that grows is not copied.
    """

    def __init__(self, most: int | None = None) -> None:
        self.steps: list[StateStep] = []
        self.left_out = 0
        self._most = most
        self._known: dict[str, str] = {}

    def feed(self, event: Event, state: RunState) -> None:
        """Take an event in; `state` is the run's after it."""
        if isinstance(event, ev.Failed):
            if event.final:
                self._add(StateStep(ev.key(event), event.at, failed=f"{event.error.type}: {event.error.message}"))
        elif isinstance(event, ev.Finished | ev.Reused | ev.Answered) and getattr(event, "action", "") != "again":
            step = StateStep(ev.key(event), event.at)
            if self._add(step):
                _note(step, self._known, path_of(event), event.value)
                for name in getattr(event, "writes", None) or ():
                    path = f"{event.frame}/{name}" if event.frame else name
                    _note(step, self._known, path, _value_written(state, event.frame, name))

    def _add(self, step: StateStep) -> bool:
        if self._most is not None and len(self.steps) >= self._most:
            self.left_out += 1
            return False
        self.steps.append(step)
        return True


def path_of(event: Any) -> str:
    """The step of an event, whatever the round; with its item where it has one."""
    item = getattr(event, "item", None)
    name = event.node if item is None else f"{event.node}[{item}]"
    return f"{event.frame}/{name}" if event.frame else name


def _value_written(state: RunState, frame: str, name: str) -> object:
    found = state.frames.get(frame)
    row = found.state.get(name) if found is not None else None
    return None if row is None or row.value is MISSING else row.value


def _note(step: StateStep, known: dict[str, str], name: str, value: object) -> None:
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
