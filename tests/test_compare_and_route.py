"""Notebook 10 as it is kept: everything in it was run, and what its outputs say is what comparisons, matrix and route promise."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "10_compare_and_route.ipynb"


@cache
def cells() -> dict[str, dict[str, Any]]:
    """Code cells by their first tag."""
    found = [c for c in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    assert len({c["metadata"]["tags"][0] for c in found}) == len(found)
    return {c["metadata"]["tags"][0]: c for c in found}


def text(tag: str) -> str:
    """Return the output of a cell as text."""
    parts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cells()[tag]["outputs"]]
    return "\n".join("".join(part) for part in parts)


def test_every_cell_was_run_in_order_and_none_failed() -> None:
    """The kept outputs are those of one run from top to bottom; a cell that is checked says so by its tag."""
    counts = [c["execution_count"] for c in cells().values()]
    assert counts == list(range(1, len(counts) + 1))
    assert not [o for c in cells().values() for o in c["outputs"] if o["output_type"] == "error"]
    for tag, cell in cells().items():
        assert {"nbval-ignore-output", "nbval-check-output"} & set(cell["metadata"]["tags"]), tag


def test_its_displays_are_inert_and_have_a_text_twin() -> None:
    """Every display has HTML without script or handlers, and text; nothing in it is a path of this machine or an address."""
    for cell in cells().values():
        for out in cell["outputs"]:
            html = "".join(out.get("data", {}).get("text/html", ""))
            assert not re.search(r"<script|\son\w+=", html, re.IGNORECASE)
            assert not html or out["data"]["text/plain"]
    raw = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|home|root|work)/|https?://(?!www\.w3\.org)", raw)


def test_comparisons_show_quality_with_interval_latency_tokens_and_dollars() -> None:
    """Sixteen rows on three models under one budget: each with its interval; the ladder names the first that passes."""
    shown = text("models-compared")
    assert "16 rows × 3 candidates: 48 done" in shown
    for model, dollars in (("small", "0.0000"), ("vendor_a", "0.0020"), ("vendor_b", "0.0005")):
        assert re.search(rf"^{model} +\d+ % \(\d+–\d+\) +16 +\d\.\d\d +[\d,]+ +{dollars}", shown, re.MULTILINE), model
    assert re.search(r"→ +told · vendor_b", text("ladder"))


def test_forms_that_differ_are_flagged_with_both_values() -> None:
    """Dates and money that two vendors write differently are side by side."""
    said = text("flags")
    assert "date in `due`: MM/DD/YYYY “03/14/2026” against YYYY-MM-DD “2026-03-14”" in said
    assert "currency in `price`: $ before “$1,200.00” against USD after “1,200.00 USD”" in said


def test_an_edge_case_is_in_the_next_comparison() -> None:
    """The row that was kept is a marked row of the comparison after it."""
    assert ast.literal_eval(text("fixture"))[-1] == ("edge 1", True, "half a dollar: a decimal point or a comma?")


def test_pairs_are_ordered_and_say_why_they_fail() -> None:
    """A producer that writes dates in another form fails both consumers; the reverse does not."""
    rates = {(a, b): rate for a, b, rate in ast.literal_eval(text("pair-rates"))}
    assert rates == {(a, b): float(a == "vendor_b") for a in ("vendor_a", "vendor_b") for b in ("vendor_a", "vendor_b")}
    assert "no date that I can read" in text("pairs")


def test_blind_picks_have_a_winner_and_a_judge_is_not_believed_blindly() -> None:
    """Three picks for one wording; the judge's agreement is beside its verdict."""
    assert ast.literal_eval(text("picks")) == [("vendor_a", "0 % (0–56)"), ("vendor_b", "100 % (44–100)")]
    assert re.search(r"agrees with itself on \d+ % of 2 rows", text("agreement"))


def test_the_matrix_chooses_saves_suggests_and_is_signed() -> None:
    """Task × model with n and cost against the baseline, a choice or `not enough evidence`, what a mix saves, what to compare
    next, and a signature that was checked when the file was read."""
    shown = text("matrix")
    assert re.search(r"vendor_b +✓ chosen +100 % \(81–100\) +16 +0\.000500 +−75 %", shown)
    assert "not enough evidence: 3 of 8 rows" in shown
    assert "ten more rows each" in shown
    price, base, saving = re.search(r"\$([\d.]+) a call against \$([\d.]+): saves ([\d.]+)%", text("blend")).groups()  # type: ignore[union-attr]
    assert abs(1 - float(price) / float(base) - float(saving) / 100) < 0.0006
    assert "signed by A. Analyst" in text("signed")
    assert "the evidence is still what it was then" in text("signed")


def test_the_route_applies_what_was_measured_once_it_is_accepted() -> None:
    """The learned rule is proposed with its outcomes, accepted, and the decision names both."""
    assert "learned from 48 outcomes · not accepted" in text("proposal")
    assert "model by learned: `vendor_b`" in text("accepted")
    assert re.search(r"the rule was accepted on \d{4}-\d\d-\d\d with 48 outcomes", text("accepted"))
