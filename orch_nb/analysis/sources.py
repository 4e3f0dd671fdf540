"""What a name in a cell stands for: a variable, or the stored runs of the graph or agent that is called so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orch_nb.agents.binding import is_definition
from orch_nb.analysis.forecast.workload import COUNTED
from orch_nb.errors import BadOption, nearest
from orch_nb.runtime.batch import BatchHandle
from orch_nb.schema.amount import is_amount_like

if TYPE_CHECKING:
    from orch_nb.catalog.models import ModelBook

HISTORY = 500
"""Newest runs of a graph that are looked at: enough for narrow intervals, and read in about a second."""


def current_runs(name: str) -> list[Any]:
    """The stored runs of a graph in the current runtime."""
    from orch_nb import runtime

    return runs_of(runtime.current())(name)


def runs_of(runtime: Any) -> Callable[[str], list[Any]]:
    """A function from a graph's (or agent's) name to the events of its newest ended runs in this notebook.

    Candidates of a comparison or of pairs ran on the model that was compared, not on the one that the definition chooses: they
    count only where there is nothing else.
    """
    store = runtime.store

    def listed(name: str) -> list[Any]:
        rows = list(store.runs(graph=name, notebook=runtime.notebook or None, status=list(COUNTED), limit=HISTORY))
        return [row for row in rows if not (row.parent or {}).get("plan")] or rows

    def read(run: str) -> list[Any]:
        return [event for _, event in store.read(run)]

    def of(name: str) -> list[Any]:
        """One question to the loop a run, so that runs under way go on between them."""
        return [runtime.run_loop.ask(read, row.run) for row in runtime.run_loop.ask(listed, name)]

    return of


@dataclass(slots=True)
class Sources:
    """Where names come from.

    Parameters
    ----------
    names
        The notebook's variables.
    runs_of
        Graph's name -> the events of its stored runs; empty when it has none.
    models
        Names of models and their prices; the current runtime's unless told.
    """

    names: Mapping[str, Any] = field(default_factory=dict)
    runs_of: Callable[[str], list[Any]] = current_runs
    models: ModelBook | None = None

    def find(self, name: str) -> Any:
        """What a name stands for: a variable, or the stored runs of the graph or agent of this name.

        Raises
        ------
        BadOption
            It stands for nothing, for a text, or for a graph that has no stored run yet.
        """
        value = self.names.get(name)
        if isinstance(value, str):
            raise BadOption(f"`{name}` is a text; it has no cost.", hint="a graph with stored runs, or a step table")
        if is_batch(value):
            return recorded_runs(value)
        if value is not None and not is_definition(value):
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
        raise BadOption(f"`{name}` is no variable and has no stored run.", hint=hint)


def is_batch(value: Any) -> bool:
    """Whether it is a batch, whose rows are stored runs."""
    return isinstance(value, BatchHandle)


def has_stored_runs(value: Any) -> bool:
    """Whether it is a graph, an agent, a batch, or a text that names one of them rather than a sum of dollars."""
    return is_definition(value) or is_batch(value) or (isinstance(value, str) and not is_amount_like(value))


def recorded_runs(given: Any) -> list[Any]:
    """The stored runs of a graph, of an agent, of the one of that name, or of a batch's rows, in the current runtime.

    Raises
    ------
    BadOption
        There is none.
    """
    if is_batch(given):
        from orch_nb import runtime

        return [runtime.current().open(row.run) for row in given.rows if row.run]
    name = given if isinstance(given, str) else given.name
    found = current_runs(name)
    if not found:
        raise no_stored_run(name)
    return found


def no_stored_run(name: str) -> BadOption:
    """The error that says what to do first."""
    return BadOption(f"`{name}` has no stored run yet.", hint=f"`%orch run {name}` a few times, or type a step table")


def numbers(value: Any) -> list[Fraction] | None:
    """The numbers of a list, array or column; None when it holds anything else."""
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        return None
    items = value.tolist() if hasattr(value, "tolist") else list(value)
    if not items or not all(isinstance(v, bool | int | float | Decimal | Fraction) for v in items):
        return None
    return [Fraction(int(v)) if isinstance(v, bool) else Fraction(str(v)) for v in items]
