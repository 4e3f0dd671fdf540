"""The event-stream parser: the same events however the bytes were cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.providers.transport.sse import SseEvent, SseFault, SseParser

PLAIN = (
    'data: {"text":"é漢🙂 one"}\n\n: comment\n\nevent: ping\nid: 7\nretry: 10\nfoo: bar\n\n'
    "event: note\ndata: first\ndata: second\n\ndata\n\ndata:no space\n\ndata:  two spaces\n\ndata: a: b\n\n"
).encode()
EVENTS = [
    SseEvent('{"text":"é漢🙂 one"}'),
    SseEvent("first\nsecond", "note"),
    SseEvent(""),
    SseEvent("no space"),
    SseEvent(" two spaces"),
    SseEvent("a: b"),
]


def parse(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.close()


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


def mixed(seed: int) -> bytes:
    """PLAIN with every line end drawn from LF, CR and CRLF. An LF after a CR would be one end, so none is drawn there."""
    rng, out = random.Random(seed), b""
    for line in PLAIN.split(b"\n")[:-1]:
        ends = (b"\r", b"\r\n") if out.endswith(b"\r") and not line else (b"\r", b"\n", b"\r\n")
        out += line + rng.choice(ends)
    return out


def test_the_plain_stream() -> None:
    """Comments, unknown fields and events without data are passed over; data lines are joined; types are kept."""
    assert parse(PLAIN) == EVENTS


def test_a_thousand_random_splits_give_the_same_events() -> None:
    """1,000 seeded splits of streams with mixed line ends, with and without a byte order mark, change nothing."""
    for seed in range(1000):
        rng = random.Random(seed)
        raw = (b"\xef\xbb\xbf" if seed % 2 else b"") + mixed(seed)
        places = [rng.randrange(len(raw) + 1) for _ in range(rng.randrange(len(raw)))]
        assert parse(*cut(raw, places)) == EVENTS, seed


def test_one_byte_per_packet() -> None:
    """A stream that comes byte by byte, multi-byte characters included, is the same stream."""
    raw = b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == EVENTS


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n")), max_size=6),
    st.lists(st.integers(0, 400)),
    st.sampled_from(["\n", "\r", "\r\n"]),
)
def test_any_text_comes_back(texts: list[str], places: list[int], end: str) -> None:
    """Whatever single-line texts are sent, with any line end and any cuts, come back in order."""
    raw = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    assert [e.data for e in parse(*cut(raw, [p for p in places if p <= len(raw)]))] == texts


def test_a_carriage_return_ends_its_line_at_once() -> None:
    """An event that ends in CRs is given out before the next packet, and a late LF is not an empty line of its own."""
    parser = SseParser()
    assert parser.feed(b"data: a\r\r") == [SseEvent("a")]
    assert parser.feed(b"\ndata: b\n\n") == [SseEvent("b")]


def test_the_unfinished_event_is_given_by_close_only() -> None:
    """An event without its blank line, or without its line end, is not dispatched by feed; close hands it over."""
    for tail in (b"data: x", b"data: x\n"):
        parser = SseParser()
        assert parser.feed(tail) == []
        assert parser.close() == [SseEvent("x")]
        assert parser.close() == []


@pytest.mark.parametrize("chunk_size", [1, 7, 4096])
def test_a_line_has_a_cap(chunk_size: int) -> None:
    """A line above the cap is refused as soon as it is above it, with or without an end in sight."""
    parser = SseParser(max_line_bytes=100)
    parser.feed(b"data: " + b"x" * 94)
    with pytest.raises(SseFault, match="more than 100 bytes"):
        for _ in range(5):
            parser.feed(b"x" * chunk_size)


def test_an_event_has_a_cap() -> None:
    """Many short data lines cannot make an event of any size; the cap starts again with each event."""
    parser = SseParser(max_event_bytes=50)
    for _ in range(10):
        parser.feed(b"data: " + b"x" * 40 + b"\n\n")
    with pytest.raises(SseFault, match="an event has more than 50 bytes"):
        parser.feed(b"data: " + b"x" * 30 + b"\ndata: " + b"x" * 30 + b"\n")


def test_text_that_is_not_utf8_is_a_fault() -> None:
    """Broken bytes are refused rather than replaced: an answer with holes must not pass for a whole one."""
    with pytest.raises(SseFault, match="not UTF-8"):
        parse(b"data: rep\xff\xfely\n\n")


def test_one_byte_packets_cost_linear_time() -> None:
    """A long line in tiny packets is searched once: 200 kB in single bytes take well under a second or two."""
    parser = SseParser()
    for _ in range(200_000):
        parser.feed(b"x")
    parser.feed(b"\n")
    assert parser.feed(b"data: ok\n\n") == [SseEvent("ok")]
