"""Text made safe to show: nothing hides in it, nothing of it acts."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.views.safe_text import as_text, clean, escape, escape_line, line


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("x\u200by", "x\\u200by"),
        ("\U000e0041", "\\U000e0041"),
        ("\x9b31m", "\\x9b31m"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\r\x1b[Kall good", "\\x0d\\x1b[Kall good"),
        ("one\r\ntwo\x07", "one\ntwo\\x07"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_invisible_is_shown(given_, shown):
    """Escapes, overrides, zero-width, tag and control characters are shown as escapes."""
    assert clean(given_) == shown


@pytest.mark.parametrize("text", ["\U0001f469\u200d\U0001f4bb", "می\u200cخواهم", "क\u094d\u200dष", "☎\ufe0f"])
def test_joiners_of_scripts_and_emoji_stay(text):
    """A joiner that a script or an emoji needs is not mistaken for something hidden."""
    assert clean(text) == text


@given(st.text())
def test_nothing_that_acts_is_left(text):
    """Whatever the text, its HTML has no markup, and its plain form no control but tab and line feed."""
    shown = escape(text)
    assert not set(shown) & set("<>\"'")
    assert all(c in "\t\n" or ord(c) >= 32 for c in clean(text))
    assert html.unescape(shown) == clean(text)


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text):
    """What was made visible stays as it is."""
    assert clean(clean(text)) == clean(text)


@given(st.text(), st.integers(5, 200))
def test_a_line_is_one_line(text, limit):
    """A cell of a table has no line break, however the text is broken."""
    assert "\n" not in line(text, limit)
    assert "\n" not in escape_line(text, limit)


def test_long_text_is_cut_and_says_so():
    """What is too long is cut with the figures; nothing is cut silently."""
    assert clean("x" * 9000) == "x" * 8192 + "… (cut: 8,192 of 9,000 characters)"


def test_data_is_shown_as_json():
    """Data is indented JSON with its text readable, and what is not JSON has a form too."""
    assert as_text({"ä": [1, None]}) == '{\n "ä": [\n  1,\n  null\n ]\n}'
    assert as_text(b"abc") == '"3 bytes"'
