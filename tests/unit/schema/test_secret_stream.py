"""Streams: whatever the pieces are, what is shown is the redacted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.schema.secret_stream import MOST_HELD, StreamRedactor
from orch_nb.schema.secrets import Redactor
from tests.unit.schema.test_secrets import KEY, SHAPES


def cut(text, at):
    """The text in pieces that end at these places."""
    places = [0, *sorted({min(a, len(text)) for a in at}), len(text)]
    return [text[a:b] for a, b in zip(places, places[1:], strict=False)]


@given(st.sampled_from([*SHAPES.values(), KEY, "correct horse battery staple"]), st.text(max_size=8), st.text(max_size=8),
       st.lists(st.integers(0, 120), max_size=8), st.sampled_from(["", " ", "\n", "é", "日", ", "]))  # fmt: skip
def test_a_stream_shows_the_same_whatever_its_pieces_are(secret, before, after, at, joint):
    """Pieces may end anywhere: what was shown together is the redacted text, and no piece has shown more."""
    redactor = Redactor({"env:K": KEY, "env:L": "correct horse battery staple"})
    text = f"{before}{joint}{secret}{joint}{after} and {secret} end"
    stream, shown = StreamRedactor(redactor), ""
    for piece in cut(text, at):
        shown += stream.feed(piece)
        assert redactor.text(text).startswith(shown)
    assert shown + stream.flush() == redactor.text(text)


@pytest.mark.parametrize(
    "secret",
    [
        f"https://h/x?token={'a1' * 6000}",
        "-----BEGIN PRIVATE KEY-----\n" + "MIIE\n" * 4000 + "-----END PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("size", [7, 5000])
def test_a_secret_too_long_to_be_held_is_left_out_and_the_text_behind_it_is_not(secret, size):
    """The buffer is bounded, and still no part of the secret is shown."""
    stream, shown = StreamRedactor(Redactor()), ""
    text = f"see {secret} and on it goes"
    for i in range(0, len(text), size):
        shown += stream.feed(text[i : i + size])
        assert len(stream._held) <= MOST_HELD
    shown += stream.flush()
    assert "a1a1a1" not in shown
    assert "MIIE" not in shown
    assert "‹secret:" in shown
    assert shown.startswith("see ")
    assert shown.endswith(" and on it goes")


def test_a_long_text_without_a_blank_is_shown_and_a_key_in_it_is_not():
    """Minified data of many characters: all of it comes out but the key, wherever the pieces end."""
    text = '{"a":[' + '"xyz",' * 1500 + f'"{SHAPES["openai"]}",' + '"xyz",' * 1500 + "]}"
    redactor = Redactor()
    for size in (11, 900, 6000):
        stream = StreamRedactor(redactor)
        shown = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size)) + stream.flush()
        assert shown == redactor.text(text)


def test_a_stream_that_broke_off_within_a_key_in_use_ends_before_it():
    """Nothing of the key is kept; a stream that ended as it should keeps every word."""
    redactor = Redactor({"env:K": KEY})
    for is_cut, tail in ((True, ""), (False, KEY[:9])):
        stream = StreamRedactor(redactor)
        assert stream.feed(f"the key is {KEY[:9]}") + stream.flush(is_cut=is_cut) == f"the key is {tail}"
