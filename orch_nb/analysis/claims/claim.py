"""Stated figures, recomputed: each *holds*, is *off by* so much, or is *impossible*. Both figures are always shown."""

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
    """The claims of one cell with a finding for each. It displays itself."""

    title: str
    findings: list[Finding]
    text: str = field(default="", repr=False)

    @property
    def holds(self) -> bool:
        """True when all of them hold."""
        return all(f.verdict == "holds" for f in self.findings)

    @property
    def verdict(self) -> str:
        """The worst of them, in words."""
        return min(self.findings, key=lambda f: WORST_FIRST.index(f.verdict)).summary

    def table(self) -> list[dict[str, str]]:
        """Return one row a claim, for a data frame."""
        return [
            {"claim": f.claim, "verdict": f.summary, "ours": f.ours, "stated": f.stated, "why": f.why}
            for f in self.findings
        ]

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return display.bundle(self)


def claim(
    text: str,
    *,
    title: str = "",
    names: Mapping[str, object] | None = None,
    runs_of: Callable[[str], list[Any]] | None = None,
    models: ModelBook | None = None,
) -> Claim:
    r"""Recompute what a cell claims.

    Parameters
    ----------
    text
        The cell's lines (see `orch_nb.lang.claim_cell` for the grammar).
    title
        Title of the claim: the rest of the cell's first line.
    names
        Variables: step tables, forecasts, runs, lists of scores, numbers; the caller's by default.
    runs_of
        Function from a graph's name to the events of its stored runs; the current runtime's by default.
    models
        Names of models and their prices; the current runtime's by default.

    Raises
    ------
    CellError
        A line cannot be read, or its measure is not given; the line is shown.
    UnknownPrice, UnknownModel, BadOption
        The subject cannot be priced.

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
