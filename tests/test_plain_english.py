"""What a user or a developer reads keeps the rules of prose of CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plain_english import files_below, problems

ROOT = Path(__file__).parents[1]


PLACES = ["orch_nb", "tests", "notebooks", "labextension/src", *(path.name for path in sorted(ROOT.glob("*.md")))]


@pytest.mark.parametrize("place", PLACES)
def test_all_prose_keeps_the_rules(place):
    """No metaphors for mechanisms, messages that say what must be, and docstrings of functions that start with a verb or a noun."""
    found = [
        f"{where.relative_to(ROOT)}:{line}: {message}"
        for file in files_below([str(ROOT / place)])
        if file.name != "plain_english.py"
        for where, line, message in problems(file)
    ]
    assert not found, "\n".join(found)
