"""Bounded decompression."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from orch_nb.providers.transport.http import InflateFault, decoder


def test_gzip_and_deflate_in_single_bytes() -> None:
    """Both encodings decode the same in one piece and byte by byte."""
    text = b"data: hello\n\n" * 1000
    for encoding, raw in (
        ("gzip", gzip.compress(text)),
        ("deflate", zlib.compress(text)),
        ("identity", text),
        ("", text),
    ):
        for step in (1, len(raw)):
            decode = decoder(encoding, 1 << 20)
            out = [p for i in range(0, len(raw), step) for p in decode.pieces(raw[i : i + step])]
            decode.close()
            assert b"".join(out) == text


def test_a_bomb_stays_below_its_cap_in_memory() -> None:
    """A reply that would expand to 256 MiB is stopped at its cap of 1 MiB, with less than 3 MiB of memory taken."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"A" * (1 << 20)) for _ in range(256)) + packer.flush()
    decode = decoder("gzip", 1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(InflateFault, match="beyond the byte limit"):
            decode.pieces(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("encoding", "raw", "why"),
    [
        ("gzip", b"this is not gzip", "is broken"),
        ("gzip", gzip.compress(b"x" * 100)[:-5], "cut short"),
        ("gzip", gzip.compress(b"x") + b"more", "follow the end"),
        ("br", b"", "encoded as 'br'"),
        ("gzip, gzip", b"", "encoded as 'gzip, gzip'"),
    ],
)
def test_broken_and_unknown_encodings(encoding: str, raw: bytes, why: str) -> None:
    """What is broken, cut, followed by more, or of an unknown encoding is a fault."""
    with pytest.raises(InflateFault, match=why):
        decode = decoder(encoding, 1000)
        decode.pieces(raw)
        decode.close()
