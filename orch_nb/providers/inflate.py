"""Bounded decompression of a reply: no more bytes come out than were allowed, whatever was sent.

We ask for `Accept-Encoding: identity`; some gateways compress all the same.
"""

from __future__ import annotations

import zlib
from typing import Protocol

_STEP = 1 << 16
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class InflateFault(ValueError):
    """The reply is compressed in a way we do not take, or its compression is broken."""


class Decoder(Protocol):
    """Decoded bytes for raw ones. `pieces` yields small parts, so that the caller can stop at its cap."""

    def pieces(self, raw: bytes) -> list[bytes]: ...
    def close(self) -> None: ...


class Plain:
    """No compression."""

    def pieces(self, raw: bytes) -> list[bytes]:
        return [raw]

    def close(self) -> None:
        """Nothing can be missing."""


class Inflater:
    """gzip or deflate, at most `cap_bytes` in all.

    Notes
    -----
    zlib is given a limit at each step and what it has not consumed is fed back, so memory stays below the cap plus
    64 KiB however well the bytes were packed.
    """

    def __init__(self, encoding: str, cap_bytes: int) -> None:
        self._zlib = zlib.decompressobj(_WBITS[encoding])
        self._left = cap_bytes

    def pieces(self, raw: bytes) -> list[bytes]:
        """What `raw` decodes to.

        Raises
        ------
        InflateFault
            More than the cap came out, or the bytes are broken.
        """
        out: list[bytes] = []
        while raw and not self._zlib.eof:
            piece = self._step(raw)
            self._left -= len(piece)
            if self._left < 0:
                raise InflateFault("the compressed reply expands beyond the byte limit")
            out.append(piece)
            raw = self._zlib.unconsumed_tail
        if self._zlib.unused_data:
            raise InflateFault("bytes follow the end of the compressed reply")
        return out

    def close(self) -> None:
        """Say that no bytes follow.

        Raises
        ------
        InflateFault
            The compressed reply is not whole.
        """
        if not self._zlib.eof:
            raise InflateFault("the compressed reply is cut short")

    def _step(self, raw: bytes) -> bytes:
        try:
            return self._zlib.decompress(raw, _STEP)
        except zlib.error:
            raise InflateFault("the compressed reply is broken") from None


def decoder(encoding: str, cap_bytes: int) -> Decoder:
    """The decoder for a Content-Encoding header.

    Raises
    ------
    InflateFault
        The encoding is neither identity, gzip nor deflate.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return Plain()
    if encoding not in _WBITS:
        raise InflateFault(f"the reply is encoded as {encoding[:80]!r}, which was not asked for")
    return Inflater(encoding, cap_bytes)
