"""What a user or a developer reads keeps the rules of prose of CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plain_english import files_below, problems

ROOT = Path(__file__).parents[1]


# Not yet gone over. This list only ever becomes shorter.
ALLOWED = [
    "orch_nb/agents",
    "orch_nb/analysis",
    "orch_nb/api.py",
    "orch_nb/catalog",
    "orch_nb/check.py",
    "orch_nb/cli.py",
    "orch_nb/current.py",
    "orch_nb/demo.py",
    "orch_nb/display.py",
    "orch_nb/engine",
    "orch_nb/errors.py",
    "orch_nb/graph",
    "orch_nb/handle.py",
    "orch_nb/lang",
    "orch_nb/notebook",
    "orch_nb/providers",
    "orch_nb/estimates",
    "orch_nb/routing",
    "orch_nb/runtime",
    "orch_nb/schema",
    "orch_nb/store",
    "orch_nb/tools",
    "orch_nb/trace",
    "orch_nb/views",
    "tests",
    "labextension",
]
PLACES = ["orch_nb", "tests", "labextension/src", *(path.name for path in sorted(ROOT.glob("*.md")))]


def allowed(path: Path) -> bool:
    """Return whether a file is on the list of those not yet gone over."""
    return any(path.is_relative_to(ROOT / place) for place in ALLOWED)


@pytest.mark.parametrize("place", PLACES)
def test_all_prose_keeps_the_rules(place):
    """No metaphors for mechanisms, no "is not a X", and docstrings of functions that start with a verb or a noun."""
    found = [
        f"{where.relative_to(ROOT)}:{line}: {message}"
        for file in files_below([str(ROOT / place)])
        if file.name != "plain_english.py" and not allowed(file)
        for where, line, message in problems(file)
    ]
    assert not found, "\n".join(found)
