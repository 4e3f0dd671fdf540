"""Secrets in a text that comes in pieces: found across the boundaries of pieces, replaced before anything of them is shown."""

from __future__ import annotations

import re

from orch_nb.schema.secrets import LEAST, REDACTOR, Redactor

MOST_HELD = 4096
"""Characters that are held back at most. Of a longer secret a mark is given, and the rest of it is left out."""
_OVERLAP = 1024
"""Characters that stay held where more than `MOST_HELD` came without a blank: more than the beginning of any secret needs."""
_BEARER = re.compile(r"[Bb]earer {1,4}\Z")
_BLOCK = "-----BEGIN"
_OPEN_BLOCK = re.compile(
    r"-----BEGIN(?:[A-Z ]{0,60}-{0,5}\Z| [A-Z ]{0,40}PRIVATE KEY-----(?![\s\S]*-----END[A-Z ]{0,60}-----))"
)
_END_OF_BLOCK = re.compile(r"-----END[A-Z ]{0,60}-----()")
_END_OF_WORD = re.compile(r"()\s")
_IN_ADDRESS = ("://", "?", "&")
"""An address is one word although it may have letters outside ASCII; other secrets have none."""


class StreamRedactor:
    """Redacts one stream of text. What may be the beginning of a secret is held back until it is known what it is.

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
        """Inside a secret that is too long to be held: what ends it."""

    def feed(self, piece: str) -> str:
        """What can be shown now, marks in the place of secrets."""
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
        """The rest, once the stream has ended.

        Parameters
        ----------
        is_cut
            Whether it broke off: then the beginning of a key in use is left out, too.
        """
        text, self._held = self._held, ""
        if self._until is not None:
            return ""
        begun = self._redactor.beginning(text) if is_cut else len(text)
        return self._redactor.text(text[:begun] if len(text) - begun >= LEAST else text)

    def _start(self, text: str) -> int:
        """Where that begins which may go on as a secret: the last word, a private key, what agrees with a key in use so far."""
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
        """`place`, or where the secret begins that it would cut."""
        if not self._redactor.is_in(text):
            return place
        return next((start for start, stop in self._redactor.spans(text) if start < place < stop), place)

    def _within(self, text: str, start: int) -> int:
        """Where to hold back from when more than `MOST_HELD` characters could be a secret's: not in the middle of one."""
        inside = self._not_within(text, len(text) - _OVERLAP)
        if start < inside and len(text) - inside <= MOST_HELD:
            return inside
        self._until = _END_OF_BLOCK if text.startswith(_BLOCK, inside) else _END_OF_WORD
        return len(text)
