"""Figures: the SVG's picture by matplotlib, charts of a run, no state of the process, nothing that acts."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon, Rectangle

from orch_nb.errors import BadOption
from orch_nb.graph.builder import Graph
from orch_nb.handle import RunHandle
from orch_nb.trace.graph_state import GraphView, picture
from orch_nb.trace.run_view import run_view
from orch_nb.views.graph_json import graph_data
from orch_nb.views.plots.figure import chart_axes, draw_matrix, words
from orch_nb.views.plots.graph import plot_graph
from orch_nb.views.plots.run import spending
from orch_nb.views.run import run_figure
from tests.unit.trace import histories as h
from tests.unit.views.payloads import shared_payloads


def said(figure) -> list[str]:
    """Every text of a figure."""
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")) if t.get_text()]


def places(figure) -> set[tuple[float, float, float, float]]:
    """Rectangles around every shape of a figure."""
    found = set()
    for patch in figure.axes[0].patches:
        if isinstance(patch, FancyBboxPatch | Rectangle):
            found.add(tuple(round(v, 1) for v in (patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height())))
        elif isinstance(patch, Polygon):
            (x, y), (x2, y2) = patch.get_xy().min(0), patch.get_xy().max(0)
            found.add(tuple(round(float(v), 1) for v in (x, y, x2 - x, y2 - y)))
    return found


@pytest.mark.parametrize("make", [h.support_run, h.map_run])
def test_a_figure_has_the_coordinates_of_the_interactive_picture(make):
    """Every node and every arrow's end lies in the figure where the JSON, and so the SVG, has it."""
    view = run_view(make()).picture
    data, figure = graph_data(view), plot_graph(view)
    assert tuple(figure.get_size_inches() * 96) == pytest.approx((data["width"], data["height"]))
    shapes = places(figure)
    for node in data["nodes"]:
        assert (node["x"], node["y"], node["width"], node["height"]) in shapes, node["name"]
    paths = [p.get_path().vertices for p in figure.axes[0].patches if isinstance(p, PathPatch)]
    ends = {(*map(float, v[0]), *map(float, v[-1])) for v in paths}
    for edge in data["edges"]:
        assert (*edge["points"][0], *edge["points"][-1]) in ends


def test_a_figure_says_what_the_picture_says():
    """Names, states, money and conditions of a run are in its figure."""
    texts = said(plot_graph(run_view(h.support_run()).picture))
    for fact in (
        "billing",
        "✓ success",
        "– skipped",
        "$0.0089",
        "score >= 0.6",
        "effect: message",
        "specialist",
        "→ billing",
    ):
        assert fact in texts
    assert "qa.score < 0.6 · 1 of at most 2 · 0.52 → yes · 0.91 → no" in texts


def test_graphs_and_runs_plot_themselves():
    """`graph.plot()` and `run.plot()` give matplotlib figures, which notebooks show as PNG and which save as PDF and SVG."""
    events = h.support_run()
    run = RunHandle("7", h.support_plan(), events, None)
    for figure in (run.plot(), run.plot("timeline"), run.plot("cost"), Graph("g").chain("a", "b").plot()):
        made, sizes = figure._repr_mimebundle_()
        assert base64.b64decode(made["image/png"]).startswith(b"\x89PNG")
        assert sizes["image/png"]["width"] > 100
        assert made["text/plain"] == figure.said
        assert len(made["image/png"]) < 60_000
    with pytest.raises(BadOption, match="has no figure `timelin`") as error:
        run.plot("timelin")
    assert error.value.hint == "did you mean `timeline`?"


def test_a_timeline_shows_each_step_its_queue_and_what_went_wrong():
    """One bar for each step at its place in time, a pale one for its queueing, a word where it did not end well."""
    figure = run_figure(run_view(h.support_run()), "timeline")
    assert {"billing", "billing[2]", "qa[2]"} <= set(said(figure))
    bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert len(bars) == 9
    assert min(round(b.get_width(), 3) for b in bars if b.get_alpha() == 0.18) == 0.02
    assert " exception" in said(run_figure(run_view(h.failed_run()), "timeline"))
    many = run_figure(run_view(h.long_run(500)), "timeline")
    assert any("500 steps; the longest 60" in t for t in said(many))


def test_dollars_over_time_end_at_the_bill():
    """The cost figure's curve ends at what the bill says; unknown prices and the budget are said in words."""
    view = run_view(h.support_run())
    times, sums = spending(view)
    assert sums[-1] == view.bill.spent_usd
    assert times == sorted(times)
    doubtful = said(run_figure(run_view(h.doubtful_run()), "cost"))
    assert any("1 call of unknown price besides" in t for t in doubtful)


@pytest.mark.parametrize("payload", ["$\\frac{1}{0$ and $x$", *shared_payloads()])
def test_hostile_text_is_only_text_in_a_figure(payload):
    """What is between dollar signs is not a formula, control characters are shown as escapes; drawing never fails."""
    safe = payload.encode("utf-8", "replace").decode()
    figure, axes = chart_axes(safe, x=safe)
    text = words(axes, 0, 0, safe)
    assert figure.png().startswith(b"\x89PNG")
    assert not text.get_parse_math()
    assert not any(ord(c) < 32 or c == "\u202e" for c in text.get_text())


def test_the_same_run_gives_the_same_image():
    """A figure is deterministic to the byte, so that a notebook that is run again does not churn."""
    view = run_view(h.map_run())
    assert run_figure(view).png() == run_figure(view).png()


def test_a_graph_without_nodes_or_with_too_many_is_a_sentence():
    """What cannot be drawn is said."""
    assert "Graph g: 0 nodes, 0 arrows." in said(plot_graph(GraphView("g")))


def test_a_matrix_says_its_numbers():
    """Every cell has its number, what is unknown is a dash: shade alone tells nothing."""
    figure, axes = chart_axes("score", height=200)
    draw_matrix(axes, ["small", "big"], ["extract", "classify"], [[0.5, None], [0.75, 1.0]])
    assert {"0.50", "–", "0.75", "1.00", "small", "classify"} <= set(said(figure))
    assert figure.png()


def test_drawing_needs_no_pyplot_and_displays_need_no_matplotlib():
    """A run's own display imports no matplotlib; a figure imports no pyplot, whose state is one for all threads."""
    code = (
        "import sys\n"
        "from orch_nb.views.run import run_bundle\n"
        "from orch_nb.views.run import run_figure\n"
        "from orch_nb.trace.run_view import run_view\n"
        "from tests.unit.trace import histories as h\n"
        "view = run_view(h.support_run())\n"
        "run_bundle(view)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "run_figure(view).png()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_before_a_run_a_graph_has_no_states():
    """The figure of a plan shows kinds, conditions and effects, no state."""
    texts = said(plot_graph(picture(h.support_plan())))
    assert "score < 0.6 · at most 2" in texts or "qa.score < 0.6 · at most 2" in texts
    assert not any("success" in t for t in texts)
