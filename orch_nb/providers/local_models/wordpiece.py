"""BERT's uncased WordPiece tokenizer in plain Python: the ids that MiniLM reads, without a package of 10 MB.

References
----------
Wu et al., "Google's Neural Machine Translation System", 2016 (greedy longest match); the normalisation is BERT's
uncased one (Devlin et al., 2018). The vocabulary's origin and licence are in `data/NOTICE.md`.
"""

from __future__ import annotations

import gzip
import unicodedata
from functools import lru_cache
from importlib.resources import files

UNKNOWN, BEGIN, END = 100, 101, 102
"""The ids of [UNK], [CLS] and [SEP]."""
VOCABULARY_SIZE = 30_522
_LONGEST_WORD = 100
_CJK = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_ASCII_PUNCTUATION = frozenset(map(chr, (*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127))))


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, int]:
    """Id of each of the 30,522 pieces, read once per process (20 ms)."""
    packed = files("orch_nb.providers").joinpath("data/bert_uncased_vocab.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")
    return {piece: number for number, piece in enumerate(lines[:VOCABULARY_SIZE])}


def token_ids(text: str, *, max_tokens: int = 256) -> list[int]:
    """Ids of `text` between [CLS] and [SEP]; what is above `max_tokens` (both marks included) is cut off.

    Notes
    -----
    Linear in the text for words of bounded length; reading stops once enough ids are there.
    """
    room = max_tokens - 2
    ids: list[int] = []
    for word in words(text[: room * (_LONGEST_WORD + 1)]):
        ids += word_ids(word)
        if len(ids) >= room:
            break
    return [BEGIN, *ids[:room], END]


def words(text: str) -> list[str]:
    """`text` lower-cased, without accents and control characters, cut at white space, punctuation and CJK characters."""
    spaced = "".join(_clean(c) for c in text)
    plain = "".join(c for c in unicodedata.normalize("NFD", spaced) if unicodedata.category(c) != "Mn").lower()
    return "".join(f" {c} " if _is_punctuation(c) else c for c in plain).split()


@lru_cache(maxsize=20_000)
def word_ids(word: str) -> tuple[int, ...]:
    """Ids of the longest pieces of one word from its beginning on, or [UNK] alone when some part has none."""
    if len(word) > _LONGEST_WORD:
        return (UNKNOWN,)
    pieces, known, start = [], vocabulary(), 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((e for e in range(len(word), start, -1) if mark + word[start:e] in known), 0)
        if not end:
            return (UNKNOWN,)
        pieces.append(known[mark + word[start:end]])
        start = end
    return tuple(pieces)


def word_rank(word: str) -> int:
    """Place of a word in the vocabulary, which is ordered by frequency; the rarest piece speaks for a split word."""
    return max(word_ids(word))


def _clean(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    code = ord(char)
    return f" {char} " if code >= 0x3400 and any(low <= code <= high for low, high in _CJK) else char


def _is_punctuation(char: str) -> bool:
    return char in _ASCII_PUNCTUATION or (not char.isascii() and unicodedata.category(char)[0] == "P")
