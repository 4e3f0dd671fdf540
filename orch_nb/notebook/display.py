"""What every object looks like in a notebook: one function each, from the object to its MIME bundle. Pure but for look-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.display import draws
from orch_nb.notebook import claim_panel, forecast_panel
from orch_nb.views import html as markup
from orch_nb.views.bundle import bundle

if TYPE_CHECKING:
    from orch_nb.analysis.claims import Claim
    from orch_nb.analysis.forecast import Forecast
    from orch_nb.views.bundle import Bundle


@draws("orch_nb.analysis.compare.Comparison")
def compare_bundle(made: Any, *, as_of: str = "") -> Bundle:
    """A comparison: candidates with their intervals, format differences, answers side by side."""
    from orch_nb.notebook import compare_panel

    return bundle(compare_panel.compare_text(made, as_of=as_of), compare_panel.compare_html(made, as_of=as_of))


@draws("orch_nb.analysis.compare_table.Ladder")
def ladder_bundle(made: Any) -> Bundle:
    """A ladder: candidates from the cheapest up, and the first that passes."""
    from orch_nb.notebook.compare_panel import ladder_table

    table = ladder_table(made)
    return bundle(table.text(), markup.panel(markup.section(table.html(), first=True)))


@draws("orch_nb.analysis.matrix.Matrix")
def matrix_bundle(made: Any) -> Bundle:
    """A routing matrix: task × model, what is chosen, what would tell most."""
    from orch_nb.notebook import matrix_panel

    return bundle(matrix_panel.matrix_text(made), matrix_panel.matrix_html(made))


@draws("orch_nb.analysis.pairs.Pairs")
def pairs_bundle(made: Any) -> Bundle:
    """A test of pairs: pass rates, why pairs fail."""
    from orch_nb.notebook import matrix_panel

    return bundle(matrix_panel.pairs_text(made), matrix_panel.pairs_html(made))


@draws("orch_nb.analysis.forecast.Forecast")
def forecast_bundle(made: Forecast) -> Bundle:
    """A forecast: a day, a month, a year, where a saving comes from, each step, what it rests on."""
    return bundle(forecast_panel.forecast_text(made), forecast_panel.forecast_html(made))


@draws("orch_nb.analysis.claims.Claim")
def claim_bundle(made: Claim) -> Bundle:
    """A claim cell: each claim with both figures, the verdict and why."""
    return bundle(claim_panel.claim_text(made), claim_panel.claim_html(made))
