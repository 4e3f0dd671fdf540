"""Secrets in a streamed text: found across the boundaries of pieces, and replaced before any part of them is shown."""

from __future__ import annotations

import re

from orch_nb.schema.secrets import LEAST, REDACTOR, Redactor

MOST_HELD = 4096
"""Largest number of characters that are buffered. A longer secret is replaced by a mark, and the rest of it is omitted."""
_OVERLAP = 1024
"""Characters that remain buffered after more than `MOST_HELD` without a blank: enough for the beginning of any secret."""
_BEARER = re.compile(r"[Bb]earer {1,4}\Z")
_BLOCK = "-----BEGIN"
_OPEN_BLOCK = re.compile(
    r"-----BEGIN(?:[A-Z ]{0,60}-{0,5}\Z| [A-Z ]{0,40}PRIVATE KEY-----(?![\s\S]*-----END[A-Z ]{0,60}-----))"
)
_END_OF_BLOCK = re.compile(r"-----END[A-Z ]{0,60}-----()")
_END_OF_WORD = re.compile(r"()\s")
_IN_ADDRESS = ("://", "?", "&")
"""Signs of an address, which may have letters outside ASCII. Other secrets are ASCII."""


class StreamRedactor:
    """Redacts one stream of text. The possible beginning of a secret is buffered until the rest arrives.

    Examples
    --------
    >>> stream = StreamRedactor(Redactor())
    >>> [stream.feed(piece) for piece in ("the key is AKIAIOSF", "ODNN7EXAMPLE, ", "keep it")], stream.flush()
    (['the key is ', '‹secret:aws:80eb7033›, ', 'keep '], 'it')
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = REDACTOR if redactor is None else redactor
        self._held = ""
        self._until: re.Pattern[str] | None = None
        """Inside a secret that is too long for the buffer: the pattern of its end."""

    def feed(self, piece: str) -> str:
        """Add a piece and return the text that can be shown now, with marks in place of secrets."""
        text = self._held + piece
        if self._until is not None:
            end = self._until.search(text)
            if end is None:
                self._held = text[-128:]  # the end may come in pieces, too
                return ""
            self._until, text = None, text[end.start(1) :]
        start = self._start(text)
        if len(text) - start > MOST_HELD:
            start = self._within(text, start)
        self._held = text[start:]
        return self._redactor.text(text[:start])

    def flush(self, *, is_cut: bool = False) -> str:
        """Return the rest after the end of the stream.

        Parameters
        ----------
        is_cut
            Whether the stream broke off. Then the beginning of a key in use is omitted, too.
        """
        text, self._held = self._held, ""
        if self._until is not None:
            return ""
        begun = self._redactor.beginning(text) if is_cut else len(text)
        return self._redactor.text(text[:begun] if len(text) - begun >= LEAST else text)

    def _start(self, text: str) -> int:
        """Return the start of the text that may become a secret: the last word, a private key, or the beginning of a key in use."""
        word = text.rsplit(None, 1)[-1] if text and not text[-1].isspace() else ""
        if not any(sign in word for sign in _IN_ADDRESS):
            word = word[max((n for n, char in enumerate(word) if not char.isascii()), default=-1) + 1 :]
        start = len(text) - len(word)
        if (bearer := _BEARER.search(text, max(0, start - 12), start)) is not None:
            start = bearer.start()
        block = text.rfind(_BLOCK)
        if block >= 0 and _OPEN_BLOCK.match(text, block):
            start = min(start, block)
        return self._not_within(text, min(start, self._redactor.beginning(text)))

    def _not_within(self, text: str, place: int) -> int:
        """Return `place`, or the start of the secret that it would cut."""
        if not self._redactor.is_in(text):
            return place
        return next((start for start, stop in self._redactor.spans(text) if start < place < stop), place)

    def _within(self, text: str, start: int) -> int:
        """Return the start of the buffer if more than `MOST_HELD` characters could be a secret: never inside one."""
        inside = self._not_within(text, len(text) - _OVERLAP)
        if start < inside and len(text) - inside <= MOST_HELD:
            return inside
        self._until = _END_OF_BLOCK if text.startswith(_BLOCK, inside) else _END_OF_WORD
        return len(text)
