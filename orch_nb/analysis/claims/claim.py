"""A stated figure, recomputed: it *holds*, it is *off by* so much, or it is *impossible*. Both figures are always shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb import display
from orch_nb.analysis.claims.measure import Values, measurable_of
from orch_nb.analysis.claims.verdict import WORST_FIRST, Finding, Judge
from orch_nb.analysis.sources import Sources, current_runs
from orch_nb.current import caller_namespace
from orch_nb.lang.claim_cell import read_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.catalog.models import ModelBook


@dataclass(slots=True)
class Claim:
    """The claims of one cell with what came of each. It displays itself."""

    title: str
    findings: list[Finding]
    text: str = field(default="", repr=False)

    @property
    def holds(self) -> bool:
        """Whether all of them hold."""
        return all(f.verdict == "holds" for f in self.findings)

    @property
    def verdict(self) -> str:
        """The worst of them, in words."""
        return min(self.findings, key=lambda f: WORST_FIRST.index(f.verdict)).said

    def table(self) -> list[dict[str, Any]]:
        """One row a claim; a data frame can be made of it."""
        return [
            {"claim": f.claim, "verdict": f.said, "ours": f.ours, "stated": f.stated, "why": f.why}
            for f in self.findings
        ]

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return display.bundle(self)


def claim(
    text: str,
    *,
    title: str = "",
    names: Mapping[str, Any] | None = None,
    runs_of: Callable[[str], list[Any]] | None = None,
    models: ModelBook | None = None,
) -> Claim:
    r"""Recompute what a cell claims.

    Parameters
    ----------
    text
        The cell's lines (see `orch_nb.lang.claim_cell` for the grammar).
    title
        What the claim is called: the rest of the cell's first line.
    names
        Variables: step tables, forecasts, runs, lists of scores, numbers; the caller's unless told.
    runs_of
        Function from a graph's name to the events of its stored runs; the current runtime's unless told.
    models
        Names of models and their prices; the current runtime's unless told.

    Raises
    ------
    CellError
        A line cannot be understood, or asks for what is not given; the line is shown.
    UnknownPrice, UnknownModel, BadOption
        What is given cannot be priced.

    Notes
    -----
    Arithmetic is exact. ``=`` holds when ours, rounded to the digits that are stated, is the stated figure (money: to the
    cent at least); ``about`` within 5 %; ``within 2 %`` within 2 % *of the stated figure*; ``<= >= < >`` as they are.

    Examples
    --------
    >>> claim("5 x $0.03 x 10000 a day = $1,500 a day").verdict
    'holds'
    >>> claim("$295 a day = $107,650 a year").verdict
    'off by $25.00 a year'
    >>> claim("given: 10 min to 3 min\nspeed-up >= 3x with 3 branches").verdict
    'impossible'
    """
    sources = Sources(caller_namespace() if names is None else names, runs_of or current_runs, models)
    values = Values(read_claim(title, text), sources)
    values.measurable = measurable_of(values)
    judge = Judge(values)
    return Claim(values.text.title, [judge.line(line) for line in values.text.claims], text)
