"""The guides' figures N1 to N41, each reproduced to the cent or flagged with both figures, as notebook 11 states them."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orch_nb.analysis.claims.claim import Claim, claim

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "11_what_will_it_cost.ipynb"

FIGURES = [
    # row, the claim as the cell has it, verdict, computed here, stated there
    ("N1", "5 x $0.03 = $0.15", "holds", "$0.15", "$0.15"),
    ("N2", "baseline = $1,500 a day", "holds", "$1,500.00 a day", "$1,500.00 a day"),
    ("N3", "cost = $0.046", "holds", "$0.046", "$0.046"),
    ("N4", "cost = $460 a day", "holds", "$460.00 a day", "$460.00 a day"),
    ("N5", "saving = $1,040 a day", "holds", "$1,040.00 a day", "$1,040.00 a day"),
    ("N5", "saving = 69.3 %", "holds", "69.333 %", "69.3 %"),
    ("N19", "60 % <= saving <= 70 %", "holds", "69.33 %", "60 % to 70 %"),
    ("N6", "saving >= $380,000 a year", "off by $400.00 a year", "$379,600.00 a year", "$380,000.00 a year"),
    ("N7", "saving by routing = $440 a day", "holds", "$440.00 a day", "$440.00 a day"),
    ("N7", "saving by routing = 48.9 %", "holds", "48.889 %", "48.9 %"),
    ("N7", "saving by routing = $160,600 a year", "holds", "$160,600.00 a year", "$160,600.00 a year"),
    ("N7", "saving by fewer calls = $600 a day", "holds", "$600.00 a day", "$600.00 a day"),
    ("N7", "saving by fewer calls = $219,000 a year", "holds", "$219,000.00 a year", "$219,000.00 a year"),
    ("N7", "saving = $379,600 a year", "holds", "$379,600.00 a year", "$379,600.00 a year"),
    ("N41", "2 <= calls <= 4", "holds", "3", "2 to 4"),
    ("N6", "saving >= $380,000 a year", "holds", "$380,640.00 a year", "$380,000.00 a year"),
    ("N8", "cost = $0.061", "holds", "$0.061", "$0.061"),
    ("N8", "cost = $305 a day", "holds", "$305.00 a day", "$305.00 a day"),
    ("N8", "baseline = $600 a day", "holds", "$600.00 a day", "$600.00 a day"),
    ("N9", "saving = $107,650 a year", "off by $25.00 a year", "$107,675.00 a year", "$107,650.00 a year"),
    ("N10", "saving = 49.2 %", "holds", "49.167 %", "49.2 %"),
    ("N10", "60 % <= saving <= 70 %", "off by 10.83 points", "49.17 %", "60 %"),
    ("N12", "time = 3.7 s", "holds", "3.7 s", "3.7 s"),
    ("N11", "$0.015 = $0.04", "off by $0.025", "$0.015", "$0.04"),
    ("N11", "$0.03 = $0.02", "off by $0.01", "$0.03", "$0.02"),
    ("N11", "3 x $0.02 = $0.12", "off by $0.06", "$0.06", "$0.12"),
    ("N13", "cost = $0.18", "holds", "$0.18", "$0.18"),
    ("N13", "baseline = $0.50", "holds", "$0.50", "$0.50"),
    ("N13", "saving = 64 %", "holds", "64 %", "64 %"),
    ("N19", "60 % <= saving <= 70 %", "holds", "64 %", "60 % to 70 %"),
    ("N14", "$0.05 + $0.08 + $0.12 = $0.25", "holds", "$0.25", "$0.25"),
    ("N14", "$0.002 + $0.015 + $0.08 = $0.097", "holds", "$0.097", "$0.097"),
    ("N14", "1 - $0.097 / $0.25 = 61.2 %", "holds", "61.2 %", "61.2 %"),
    ("N14", "$0.50 - $0.25 = $0.25", "holds", "$0.25", "$0.25"),
    ("N14", "$0.18 - $0.097 = $0.083", "holds", "$0.083", "$0.083"),
    ("N14", "1 - $0.083 / $0.25 = 66.8 %", "holds", "66.8 %", "66.8 %"),
    ("N14", "1 - $0.002 / $0.05 = 96.0 %", "holds", "96 %", "96.0 %"),
    ("N14", "1 - $0.015 / $0.08 = 81.3 %", "holds", "81.25 %", "81.3 %"),
    ("N14", "1 - $0.08 / $0.12 = 33.3 %", "holds", "33.333 %", "33.3 %"),
    ("N15", "$0.50 x 10 a day = $150 a month", "holds", "$150.00 a month", "$150.00 a month"),
    ("N15", "$0.50 x 1000 a day = $15,000 a month", "holds", "$15,000.00 a month", "$15,000.00 a month"),
    ("N15", "baseline = $150,000 a month", "holds", "$150,000.00 a month", "$150,000.00 a month"),
    ("N15", "cost = $54,000 a month", "holds", "$54,000.00 a month", "$54,000.00 a month"),
    ("N15", "saving = $96,000 a month", "holds", "$96,000.00 a month", "$96,000.00 a month"),
    ("N16", "floor($19.99 / $0.03) < 50", "off by 616", "666", "50"),
    ("N16", "floor($19.99 / $0.05) < 50", "off by 349", "399", "50"),
    ("N16", "floor($19.99 / $0.12) < 50", "off by 116", "166", "50"),
    ("N16", "$19.99 / 50 = $0.40", "holds", "$0.3998", "$0.40"),
    ("N17", "$50 / 6 steps = $8.33", "holds", "$8.33", "$8.33"),
    ("N17", "6 x ($50 / 6) = $50.00", "holds", "$50.00", "$50.00"),
    ("N18", "$0.015 / 1,250 tokens = $12 per million tokens", "holds", "$12.00 per million tokens", "$12.00 per million tokens"),
    ("N20", "speed-up = 3.33x", "holds", "3.3333x", "3.33x"),
    ("N20", "speed-up >= 3.33x with 3 branches", "impossible", "3.3333x", "3.33x"),
    ("N20", "speed-up >= 3.33x with 4 branches", "holds", "3.3333x", "3.33x"),
    ("N34", "speed-up = 3.75x with 4 branches", "holds", "3.75x", "3.75x"),
    ("N34", "30 s / 4 = 7.5 s", "holds", "7.5 s", "7.5 s"),
    ("N34", "8 s - 30 s / 4 = 0.5 s", "holds", "0.5 s", "0.5 s"),
    ("N29", "5 x 2 s = 10 s", "holds", "10 s", "10 s"),
    ("N29", "speed-up = 5x with 5 branches", "holds", "5x", "5x"),
    ("N29", "max(2 s, 2 s, 2 s, 2 s, 2 s) = 2 s", "holds", "2 s", "2 s"),
    ("N30", "3 attempts x 30 s = 90 s", "holds", "90 s", "90 s"),
    ("N30", "5 hops x 3 x 30 s = 450 s", "holds", "450 s", "450 s"),
    ("N35", "ceil(10 sources / 10) = 1", "holds", "1", "1"),
    ("N35", "ceil(10 sources / 4) = 3", "holds", "3", "3"),
    ("N35", "10 / ceil(10 / 4) = 3.33x", "holds", "3.3333x", "3.33x"),
    ("N27", "3 h / 90 s = 120x", "holds", "120x", "120x"),
    ("N27", "4 h / 90 s = 160x", "holds", "160x", "160x"),
    ("N21", "1 - 2 % / 15 % = 87 %", "holds", "86.67 %", "87 %"),
    ("N22", "tries(2, 45 %) = 69.8 %", "holds", "69.75 %", "69.8 %"),
    ("N22", "tries(3, 45 %) = 83.4 %", "holds", "83.363 %", "83.4 %"),
    ("N22", "tries(3, 45 %) >= 85 %", "off by 1.64 points", "83.36 %", "85 %"),
    ("N22", "tries(3, 30 %) = 65.7 %", "holds", "65.7 %", "65.7 %"),
    ("N22", "tries(3, 30 %) >= 70 %", "off by 4.3 points", "65.7 %", "70 %"),
    ("N22", "tries(4, 30 %) = 76.0 %", "holds", "75.99 %", "76.0 %"),
    ("N36", "3 / 4 = 75 %", "holds", "75 %", "75 %"),
    ("N37", "majority($150, $150, $148) = $150", "holds", "$150.00", "$150.00"),
    ("N37", "median($150, $150, $148) = $150", "holds", "$150.00", "$150.00"),
    ("N37", "mean($150, $150, $148) = $149.33", "holds", "$149.33", "$149.33"),
    ("N37", "spread($150, $150, $148) = $2", "holds", "$2.00", "$2.00"),
    ("N37", "spread($150, $150, $148) / max($150, $150, $148) = 1.33 %", "holds", "1.3333 %", "1.33 %"),
    ("N37", "spread($150, $150, $148) / min($150, $150, $148) = 1.35 %", "holds", "1.3514 %", "1.35 %"),
    ("N39", "0.8 - 0.7 = 0.1", "holds", "0.1", "0.1"),
    ("N23", "50K tokens / 50 summaries = 1,000 tokens", "holds", "1,000", "1,000"),
    ("N23", "10K tokens / 5 debaters = 2,000 tokens", "holds", "2,000", "2,000"),
    ("N24", "context(6, 1) = 13.5x", "holds", "13.5x", "13.5x"),
    ("N24", "context(6, 2) = 11x", "holds", "11x", "11x"),
    ("N24", "context(6, 2.75) = 10x", "holds", "10x", "10x"),
    ("N24", "context(6, 3) = 9.75x", "holds", "9.75x", "9.75x"),
    ("N24", "context(6, 4) = 9x", "holds", "9x", "9x"),
    ("N24", "context(6, 5) = 8.5x", "holds", "8.5x", "8.5x"),
    ("N25", "3 x $0.03 + $0.03 = 3 x $0.03", "off by $0.03", "$0.12", "$0.09"),
    ("N26", "3x / 50x = 6 %", "holds", "6 %", "6 %"),
    ("N26", "1 + 3 retries = 4 calls", "holds", "4", "4"),
    ("N28", "1 + 1 + 1 <= 3 levels", "holds", "3", "3"),
    ("N38", "10,000 capabilities >= 10K", "holds", "10,000", "10,000"),
    ("N32", "0.7 x (1 - 1/30) = 67.7 %", "holds", "67.667 %", "67.7 %"),
    ("N32", "0.7 x (1 - 1/10) = 63 %", "holds", "63 %", "63 %"),
    ("N32", "0.7 x (1 - 1/7) = 60 %", "holds", "60 %", "60 %"),
    ("N32", "0.7 x (1 - 1/2) = 35 %", "holds", "35 %", "35 %"),
    ("N32", "0.7 x (1 - 1/2) >= 60 %", "off by 25 points", "35 %", "60 %"),
    ("N33", "$0.03 x (1 - 60 %) = $0.012", "holds", "$0.012", "$0.012"),
    ("N33", "$0.03 x (1 - 30 %) = $0.021", "holds", "$0.021", "$0.021"),
    ("N33", "$0.03 x (1 - 85 %) = $0.0045", "holds", "$0.0045", "$0.0045"),
    ("N33", "1 - mean(40 %, 70 %, 100 %, 15 %) = 43.8 %", "holds", "43.75 %", "43.8 %"),
    ("N33", "1 - $0.015 / $0.03 = 30 %", "off by 20 points", "50 %", "30 %"),
    ("N31", "1 / (1 - 60 %) = 2.5x", "holds", "2.5x", "2.5x"),
    ("N31", "1 - 1 / 5 = 80 %", "holds", "80 %", "80 %"),
    ("N31", "80 % x 125 % <= 100 %", "holds", "100 %", "100 %"),
    ("N31", "8 h / 50 companies = 9.6 min", "holds", "9.6 min", "9.6 min"),
    ("N40", "14 / 22 steps = 63.6 %", "holds", "63.636 %", "63.6 %"),
    ("N40", "7 / 15 steps = 46.7 %", "holds", "46.667 %", "46.7 %"),
    ("N40", "3 / 10 lines = 30 %", "holds", "30 %", "30 %"),
    ("N40", "3 attempts x 30 s <= 20 min", "holds", "1.5 min", "20 min"),
]  # fmt: skip
"""Every line of the notebook's cells about the guides, in order."""


@cache
def cells() -> list[dict[str, Any]]:
    """The notebook's code cells."""
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [c for c in found if c["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    """A cell's text."""
    return "".join(cell["source"])


@cache
def tables() -> dict[str, Any]:
    """The step tables that the notebook types by hand: its assignments of literals."""
    found = {}
    for cell in cells():
        if source(cell).startswith("%%"):
            continue
        python = "\n".join("" if "%" in row else row for row in source(cell).splitlines())
        for node in ast.parse(python).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.List)
                and isinstance(node.targets[0], ast.Name)
            ):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@cache
def claims() -> list[tuple[dict[str, Any], str, Claim]]:
    """(cell, its text, what comes of it) of every claim cell about the guides."""
    about = [c for c in cells() if source(c).startswith("%%claim") and "# N" in source(c)]
    made = []
    for cell in about:
        head, _, text = source(cell).partition("\n")
        made.append((cell, text, claim(text, title=head.removeprefix("%%claim "), names=tables())))
    return made


@cache
def findings() -> list[tuple[str, Any]]:
    """(row named in the line's comment, finding) in the notebook's order."""
    found = []
    for _, text, made in claims():
        rows = [match[1] for line in text.splitlines() if (match := re.search(r"# (N\d+)", line))]
        found += list(zip(rows, made.findings, strict=True))
    return found


@pytest.mark.parametrize(
    ("at", "figure"), list(enumerate(FIGURES)), ids=[f"{n}-{row[0]}" for n, row in enumerate(FIGURES, 1)]
)
def test_each_figure_is_reproduced_or_flagged(at: int, figure: tuple[str, ...]) -> None:
    """Computed exactly from the guide's own parts, a figure holds to the digits stated, or is shown beside ours and called off."""
    row, found = findings()[at]
    assert (row, found.claim, found.summary, found.ours, found.stated) == figure


def test_no_row_is_left_out() -> None:
    """Every number of the guides, N1 to N41, is in a claim of the notebook, and every claim of it is checked above."""
    named = {row for _, text, _ in claims() for line in text.splitlines() for row in re.findall(r"\bN\d+\b", line)}
    assert named == {f"N{n}" for n in range(1, 42)}
    assert len(findings()) == len(FIGURES)


def test_what_the_guides_got_wrong_is_flagged() -> None:
    """The rows that the guides' own arithmetic contradicts are those that are flagged, and no others."""
    flagged = {row for row, found in findings() if found.verdict != "holds"}
    assert flagged == {"N6", "N9", "N10", "N11", "N16", "N20", "N22", "N25", "N32", "N33"}
    assert {row for row, found in findings() if found.verdict == "impossible"} == {"N20"}


def test_the_saved_notebook_says_the_same() -> None:
    """The committed output of each claim cell is the present output for its text."""
    for cell, _, made in claims():
        (out,) = cell["outputs"]
        assert "".join(out["data"]["text/plain"]) == repr(made)


def test_the_saved_run_is_whole() -> None:
    """It was run from top to bottom without an error; each cell has one tag of its own; nothing in it is a script."""
    assert [c["execution_count"] for c in cells()] == list(range(1, len(cells()) + 1))
    outs = [out for c in cells() for out in c["outputs"]]
    assert not [out for out in outs if out["output_type"] in ("error", "stream") and out.get("name") != "stdout"]
    assert not [out for out in outs if "<script" in "".join(out.get("data", {}).get("text/html", [])).lower()]
    tags = [[t for t in c["metadata"]["tags"] if not t.startswith("nbval-")] for c in cells()]
    assert all(len(t) == 1 for t in tags)
    assert len({t[0] for t in tags}) == len(tags)
