"""Agents and graphs in files and notebooks, checked without running anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orch_nb.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_file(path: Path) -> Iterator[str]:
    """One line for each thing that is wrong in a ``*.agent.md`` file or in the ``%%agent`` and ``%%graph`` cells of a notebook.

    What needs the namespace (names of functions, pydantic classes) is checked when the graph is run, not here.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield f"{path}: cannot be read ({error})"
        return
    if path.suffix != ".ipynb":
        yield from _problems(str(path), text)
        return
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError):
        yield f"{path}: is not a notebook"
        return
    for n, cell in enumerate(cells, 1):
        if cell.get("cell_type") == "code":
            yield from _problems(f"{path}: cell {n}", "".join(cell.get("source", "")))


def _problems(where: str, text: str) -> Iterator[str]:
    first, _, body = text.partition("\n")
    try:
        if first.startswith("%%agent"):
            from orch_nb.agents.agent import Agent

            Agent.from_cell(first.removeprefix("%%agent").strip(), body)
        elif first.startswith("%%graph"):
            from orch_nb.lang.graph_cell import parse_graph

            parse_graph(first.removeprefix("%%graph").split("#")[0].strip(), body)
    except OrchError as error:
        yield f"{where}: {error}" + (f"\n  hint: {error.hint}" if error.hint else "")
