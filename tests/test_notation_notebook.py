"""The notebook of the notation is whole: it ran from top to bottom, and has the words that a reader must know."""

from __future__ import annotations

import json
from pathlib import Path

from orch_nb.lang import graph_cell

ROOT = Path(__file__).resolve().parents[1]
CELLS = json.loads((ROOT / "notebooks" / "01_notation.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_its_saved_run_is_whole():
    """Every cell ran, in order; only the two that show a mistake end with an error."""
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    failed = [cell["metadata"]["tags"] for cell in CODE if any(o["output_type"] == "error" for o in cell["outputs"])]
    assert failed == [tags for tags in (cell["metadata"]["tags"] for cell in CODE) if "raises-exception" in tags]
    assert len(failed) == 2


def test_it_shows_every_modifier():
    """`by`, `when`, `else`, `at most`, `each … as`, `with` and `out` are used in a graph that runs."""
    graphs = "\n".join("".join(cell["source"]) for cell in CODE if "".join(cell["source"]).startswith("%%graph"))
    shown = {word for word in graph_cell.WORDS if f" {word} " in graphs.replace("\n", " \n ").replace("else", " else ")}
    assert set(graph_cell.WORDS) - shown == {"above", "state"}
