"""The tokenizer: BERT's ids."""

from __future__ import annotations

import hashlib

import pytest

from orch_nb.providers.local_models.wordpiece import BEGIN, END, UNKNOWN, token_ids, vocabulary, word_ids


def test_the_vocabulary_is_berts() -> None:
    """30,522 distinct pieces, byte for byte the known file, with the known ids."""
    known = vocabulary()
    assert len(known) == 30_522
    whole = "\n".join(known) + "\n"
    assert (
        hashlib.sha256(whole.encode()).hexdigest() == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    )
    ids = {"[PAD]": 0, "[UNK]": UNKNOWN, "[CLS]": BEGIN, "[SEP]": END, "the": 1996, "hello": 7592, "world": 2088}
    assert {piece: known[piece] for piece in ids} == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("Hello, world!", [7592, 1010, 2088, 999]),
        ("unaffable", [14477, 20961, 3468]),
        ("ÀÉÎÕÜ café", [29347, 3695, 2226, 7668]),
        ("e\u0301tude", [3802, 12672]),
        ("don't", [2123, 1005, 1056]),
        ("漢字 東京", [1904, 100, 1879, 1755]),
        ("한국어", [1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008]),
        ("हिन्दी", [1339, 29877, 29863, 29861, 29878]),
        ("ไทย", [100]),
        ("🙂", [100]),
        ("x" * 101, [100]),
        ("a\x00b\ufffdc", [5925]),
        ("a\u200bb c\u00add", [11113, 3729]),
        ("line\u2028break\u00a0here", [2240, 3338, 2182]),
        ("İstanbul ß ſ ﬁ", [9960, 1096, 100, 1984]),
        ("$5.00 €3 ^_^ `~", [1002, 1019, 1012, 4002, 1574, 2509, 1034, 1035, 1034, 1036, 1066]),
    ],
)
def test_known_ids(text: str, ids: list[int]) -> None:
    """Case, accents, punctuation, CJK, Hangul, emoji, control characters and overlong words, as the tokenizers library
    (run once, with this vocabulary) gave them."""
    assert token_ids(text) == [BEGIN, *ids, END]


def test_the_longest_piece_wins() -> None:
    """A word is cut greedily from its beginning; its pieces read together give it back."""
    pieces = {number: piece for piece, number in vocabulary().items()}
    for word in ("unbelievably", "tokenization", "orchestrators"):
        read = "".join(pieces[i].removeprefix("##") for i in word_ids(word))
        assert read == word


def test_a_text_is_cut_at_its_bound() -> None:
    """No more than max_tokens ids, both marks included, however long the text."""
    assert len(token_ids("word " * 10_000)) == 256
    assert len(token_ids("word " * 10_000, max_tokens=8)) == 8
    assert token_ids("a b c", max_tokens=4) == [BEGIN, *token_ids("a b")[1:-1], END]
    assert len(token_ids("x" * 10_000_000)) == 3
