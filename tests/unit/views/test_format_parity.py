"""The front end shows a state as Python does: with the same glyph and the same meaning of its colour."""

from __future__ import annotations

import re
from pathlib import Path

from orch_nb.views.format import BAD, COLOURS, GLYPHS, OK, REUSE, RUN, WARN

WORDS = Path(__file__).parents[3] / "labextension" / "src" / "model" / "words.ts"
TONES = {"ok": OK, "run": RUN, "warn": WARN, "bad": BAD, "reuse": REUSE}


def table(name: str) -> dict[str, str]:
    """Return the constant table `name` of words.ts."""
    found = re.search(rf"const {name}: [^=]*= \{{(.*?)\}};", WORDS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"words.ts has no table {name}"
    return {quoted or bare: value for quoted, bare, value in re.findall(r"(?:'([^']+)'|(\w+)): '([^']+)'", found[1])}


def test_the_front_end_has_the_glyph_of_every_state():
    """A glyph that changes in Python changes in the front end too."""
    assert table("GLYPHS") == {state: glyph for state, glyph in GLYPHS.items() if state}


def test_the_front_end_has_the_colour_of_every_state():
    """A colour of Python is a tone of the front end, state by state."""
    assert {state: TONES[tone] for state, tone in table("TONES").items()} == COLOURS
