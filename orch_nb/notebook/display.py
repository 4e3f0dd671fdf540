"""What every object looks like in a notebook: one function each, from the object to its MIME bundle. Pure but for look-ups."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orch_nb.display import draws
from orch_nb.errors import BadOption, nearest
from orch_nb.notebook import batch_panel, card, claim_panel, diff_panel, forecast_panel, markup, run_panel
from orch_nb.notebook.bundle import GRAPH, QUOTE, TRACE, bundle
from orch_nb.notebook.notes import notes_on
from orch_nb.notebook.packed import HARD_BYTES, SOFT_BYTES, saved_bytes, sent_bytes
from orch_nb.notebook.picture_data import graph_data, live_data, run_data
from orch_nb.notebook.quote_table import quote_data, quote_html, quote_text
from orch_nb.notebook.svg import svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.analysis.claims import Claim
    from orch_nb.analysis.forecast import Forecast
    from orch_nb.notebook.figure import Picture
    from orch_nb.runtime.quote import Quote
    from orch_nb.trace.diff import RunDiff
    from orch_nb.trace.run_view import RunView

Bundle = dict[str, Any]


def namespace() -> Mapping[str, Any]:
    """The notebook's variables; empty outside of IPython (which is not imported for it)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    found: Mapping[str, Any] = {} if shell is None else shell.user_ns
    return found


@draws("orch_nb.graph.builder.Graph")
def graph_bundle(graph: Any, *, names: Mapping[str, Any] | None = None) -> Bundle:
    """A graph's card: picture, inputs and outputs, what is wrong, its cell."""
    known = namespace() if names is None else names
    view = card.graph_view(graph, known)
    cell = graph.to_cell()
    read = card.misread_notes(graph.spec(), known)
    notes = (*notes_on(graph), *card.exit_notes(view, graph.nx.nodes), *card.stated_notes(view), *read)
    return bundle(
        card.graph_text(view, cell, notes=notes), card.graph_html(view, cell, notes=notes), kind=GRAPH,
        data={"kind": "graph", "pictures": [graph_data(view)], "cell": cell[: card.PROMPT_LIMIT]},
    )  # fmt: skip


@draws("orch_nb.agents.agent.Agent")
def agent_bundle(agent: Any, *, names: Mapping[str, Any] | None = None) -> Bundle:
    """An agent's card: inputs, answer, tools, effects, the compiled system prompt, the graphs that use it, warnings."""
    used = users_of(agent.name, namespace() if names is None else names)
    notes = notes_on(agent)
    return bundle(card.agent_text(agent, used_by=used, notes=notes), card.agent_html(agent, used_by=used, notes=notes))


def users_of(name: str, names: Mapping[str, Any]) -> list[str]:
    """Graphs of the namespace in which an object of this name is a node, in alphabetical order."""
    found = []
    for key in sorted(k for k in names if not k.startswith("_")):
        graph = names[key]
        nx = getattr(graph, "nx", None)
        if type(graph).__name__ != "Graph" or nx is None:
            continue
        if any(node == name or getattr(data.get("spec"), "of", "") == name for node, data in nx.nodes(data=True)):
            found.append(key)
    return found


@draws("orch_nb.trace.run_view.RunView")
def run_bundle(view: RunView, *, as_of: str = "", notes: Sequence[str] = (), is_published: bool = False) -> Bundle:
    """A run: graph, trace, bill, state, decisions, prompts and answers; 128 kB of it, or 1 MB where it has very many steps.

    Parameters
    ----------
    as_of
        Time of day, for a run that has not ended.
    notes
        What its cell has to say: inputs that were taken from the notebook.
    is_published
        Whether it should be seen on pages that take SVG away: then it carries a PNG, for which matplotlib is imported.
    """
    text = run_panel.run_text(view, as_of=as_of, notes=notes)
    image = _published_image(view) if is_published else b""
    html = run_panel.run_html(view, as_of=as_of, notes=notes, image=image)
    used = saved_bytes(text) + saved_bytes(html)
    data = run_data(view, room=SOFT_BYTES - used, most=HARD_BYTES - used)
    return bundle(text, html, kind=TRACE, data=data | ({"as_of": as_of} if as_of else {}))


MOST_PUBLISHED = 120
"""Nodes. The image of a larger graph would take most of a view's room and could not be read; its words are in the text."""


def _published_image(view: RunView) -> bytes:
    if run_panel.is_batch(view) or not 0 < len(view.picture.nodes) <= MOST_PUBLISHED:
        return b""
    return run_figure(view).png(sharpness=1.25)


LIVE_BYTES = 32 * 1024
"""Of one update of a run under way: five a second are nothing to a page, whatever the run does."""


def live_bundle(view: RunView, *, live: dict[str, dict[str, Any]], as_of: str, notes: Sequence[str] = ()) -> Bundle:
    """A run under way: how it stands, in 32 kB at most. The picture gives way first, then the arrows' data.

    Parameters
    ----------
    live
        Activation key -> {"text", "since"}: what is being said right now.
    as_of
        Time of day.
    """
    text = run_panel.live_text(view, live=live, as_of=as_of, notes=notes)
    drawn = svg(view.picture) if len(view.picture.nodes) <= MOST_PUBLISHED else ""
    more = {"as_of": as_of, "live": dict(run_panel.streams(live, most=24))}
    for picture, has_pictures in ((drawn, True), ("", True), ("", False)):
        html = run_panel.live_html(view, live=live, as_of=as_of, notes=notes, drawn=picture)
        room = LIVE_BYTES - sent_bytes(html) - sent_bytes(text) - sent_bytes(more)
        data = live_data(view, room, has_pictures=has_pictures) | more
        made = bundle(text, html, kind=TRACE, data=data)
        if sum(sent_bytes(one) for one in made.values()) <= LIVE_BYTES:
            return made
    return bundle(text, html)


@draws("orch_nb.graph.builder.Graph", "figure")
def graph_figure(graph: Any, *, names: Mapping[str, Any] | None = None) -> Picture:
    """A graph as a matplotlib figure, where its card has it."""
    from orch_nb.notebook.plot_graph import plot_graph

    return plot_graph(card.graph_view(graph, namespace() if names is None else names))


FIGURES = ("graph", "timeline", "cost")


@draws("orch_nb.trace.run_view.RunView", "figure")
def run_figure(view: RunView, what: str = "graph") -> Picture:
    """A run as a matplotlib figure: its graph, its time, or its dollars.

    Raises
    ------
    BadOption
        There is no such figure; the nearest is named.
    """
    if what not in FIGURES:
        near = nearest(what, FIGURES)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(FIGURES)}"
        raise BadOption(f"a run has no figure `{what}`.", hint=hint)
    if what == "graph":
        from orch_nb.notebook.plot_graph import plot_graph

        return plot_graph(view.picture)
    from orch_nb.notebook.plot_run import plot_cost, plot_timeline

    return plot_timeline(view) if what == "timeline" else plot_cost(view)


@draws("orch_nb.runtime.batch.BatchHandle")
def batch_bundle(batch: Any) -> Bundle:
    """A batch: how many rows are where, what it cost, the first rows."""
    return bundle(batch_panel.batch_text(batch), batch_panel.batch_html(batch))


@draws("orch_nb.runtime.quote.Quote")
def quote_bundle(quote: Quote, *, notes: Sequence[str] = ()) -> Bundle:
    """A quote: its range, a row for each agent node, what it rests on."""
    return bundle(quote_text(quote, notes=notes), quote_html(quote, notes=notes), kind=QUOTE, data=quote_data(quote))


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


def trace_bundle(view: RunView, *, full: bool = False) -> Bundle:
    """The trace alone: the most telling rows, or every one of them."""
    from orch_nb.notebook.trace_views import trace

    return trace(view, full=full)._repr_mimebundle_()


@draws("orch_nb.trace.diff.RunDiff")
def diff_bundle(made: RunDiff) -> Bundle:
    """Two runs side by side: what is different in path, outputs, tokens, dollars, time."""
    return bundle(diff_panel.diff_text(made), diff_panel.diff_html(made), kind=TRACE, data=diff_panel.diff_data(made))


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
