"""Where the figures of a cell come from: a variable, or the stored runs of the graph or agent of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeGuard

from orch_nb.agents.agent import Agent
from orch_nb.analysis.forecast.workload import COUNTED
from orch_nb.errors import BadOption, nearest
from orch_nb.graph.builder import Graph
from orch_nb.runtime.batch import BatchHandle
from orch_nb.schema.amount import is_amount_like

if TYPE_CHECKING:
    from orch_nb.catalog.models import ModelBook
    from orch_nb.handle import RunHandle
    from orch_nb.runtime.runtime import Runtime
    from orch_nb.schema.events import Event
    from orch_nb.store.runs import RunRow

HISTORY = 500
"""Number of newest runs of a graph that are read: enough for narrow intervals, and read in about a second."""


def current_runs(name: str) -> list[list[Event]]:
    """Return the events of a graph's stored runs in the current runtime."""
    from orch_nb import runtime

    return runs_of(runtime.current())(name)


def runs_of(runtime: Runtime) -> Callable[[str], list[list[Event]]]:
    """Return a function from a graph's or agent's name to the events of its newest ended runs in this notebook.

    Candidates of a comparison or of pairs ran on the model that was compared, not on the one that the definition chooses: they
    count only if the graph has no other runs.
    """
    store = runtime.store

    def listed(name: str) -> list[RunRow]:
        rows = list(store.runs(graph=name, notebook=runtime.notebook or None, status=list(COUNTED), limit=HISTORY))
        return [row for row in rows if not (row.parent or {}).get("plan")] or rows

    def of(name: str) -> list[list[Event]]:
        """Ask the loop once for each run, so that runs under way continue in between."""
        return [runtime.events(row.run) for row in runtime.run_loop.ask(listed, name)]

    return of


@dataclass(slots=True)
class Sources:
    """Where the values of names come from.

    Parameters
    ----------
    names
        The notebook's variables.
    runs_of
        Name of a graph -> the events of its stored runs; empty if it has none.
    models
        Names of models and their prices; by default those of the current runtime.
    """

    names: Mapping[str, object] = field(default_factory=dict)
    runs_of: Callable[[str], list[list[Event]]] = current_runs
    models: ModelBook | None = None

    def find(self, name: str) -> Any:
        """Return the value of a variable, or the stored runs of the graph, agent or batch of this name.

        Raises
        ------
        BadOption
            The name is unknown, is a text, or is a graph without stored runs.
        """
        value = self.names.get(name)
        if isinstance(value, str):
            raise BadOption(
                f"`{name}` must be a graph, runs or a step table, got a text.",
                hint="a graph with stored runs, or a step table",
            )
        if isinstance(value, BatchHandle):
            return recorded_runs(value)
        if value is not None and not isinstance(value, Graph | Agent):
            return value
        runs = self.runs_of(name if value is None else value.name)
        if runs:
            return runs
        if value is not None:
            raise no_stored_run(value.name)
        near = nearest(name, [n for n in self.names if not n.startswith("_")])
        hint = (
            f"did you mean `{near}`?" if near else "a graph with stored runs, or a step table: [{'step': …, 'usd': …}]"
        )
        raise BadOption(f"`{name}` is neither a variable nor a graph or agent with stored runs.", hint=hint)


def has_stored_runs(value: object) -> TypeGuard[Graph | Agent | BatchHandle | str]:
    """Return if it is a graph, an agent, a batch, or a text that names one of them rather than a sum of dollars."""
    return isinstance(value, Graph | Agent | BatchHandle) or (isinstance(value, str) and not is_amount_like(value))


def recorded_runs(given: Graph | Agent | BatchHandle | str) -> Sequence[RunHandle | list[Event]]:
    """Return the stored runs of a graph or an agent, of the one of that name, or of a batch's rows, in the current runtime.

    Raises
    ------
    BadOption
        It has no stored run.
    """
    if isinstance(given, BatchHandle):
        from orch_nb import runtime

        return [runtime.current().open(row.run) for row in given.rows if row.run]
    name = given if isinstance(given, str) else given.name
    found = current_runs(name)
    if not found:
        raise no_stored_run(name)
    return found


def no_stored_run(name: str) -> BadOption:
    """Return the error of a graph without stored runs."""
    return BadOption(f"`{name}` has no stored run yet.", hint=f"`%orch run {name}` a few times, or type a step table")


def numbers(value: object) -> list[Fraction] | None:
    """Return the numbers of a list, array or column; None if it holds anything else."""
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        return None
    items = value.tolist() if hasattr(value, "tolist") else list(value)
    if not items or not all(isinstance(v, bool | int | float | Decimal | Fraction) for v in items):
        return None
    return [Fraction(int(v)) if isinstance(v, bool) else Fraction(str(v)) for v in items]
