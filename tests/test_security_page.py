"""SECURITY.md is short, names the test of each promise, and says how to report without an address that nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists():
    """Each paragraph of what is promised ends in links to tests, and they are there."""
    promised = TEXT.split("## What is promised")[1].split("## ")[0]
    paragraphs = [part for part in promised.split("\n\n") if part.strip()]
    assert len(paragraphs) >= 6
    for paragraph in paragraphs:
        links = re.findall(r"\]\((tests/[^)]+)\)", paragraph)
        assert links, paragraph
        assert all((ROOT / link).is_file() for link in links), links


def test_reports_go_to_the_form_of_the_repository():
    """A weakness is reported by the private form; no e-mail address is invented."""
    assert "security advisory form" in TEXT
    assert not re.search(r"\S+@\S+\.\w+", TEXT)
    assert len(TEXT.split()) <= 800
