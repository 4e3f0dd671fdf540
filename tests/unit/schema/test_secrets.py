"""The redactor by itself: any data, any pieces, any cut."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.schema.messages import Message, ModelRequest, ToolCall
from orch_nb.schema.secrets import Redactor

KEY = "pk7-3fQz9LwXv2Tn8RbYc4Md6Hs1"
SHAPES = {
    "openai": "sk-proj-Ab0cdEf1GhIj2KlMn3OpQr4StUv",
    "aws": "AKIAQ7ZJ2M5XN4TB6WRC",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIzNDU",
    "bearer": "Bearer  abcdefghijklmnopqrstuvwx.yz",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+IBAAK/CAQ\nEAx==\n-----END RSA PRIVATE KEY-----",
    "url_password": "https://änn:pa55w0rd@db.host/x",
    "url_token": "https://host/x?api_key=0123456789abc",
}


@dataclass
class Note:
    text: str
    number: int = 0


@pytest.mark.parametrize(
    "value",
    [f"a {KEY}", {"k": KEY}, {KEY: 1}, [KEY], (KEY,), {"k": [{"k": (KEY,)}]}, KEY.encode(), b"\x00\xff" + KEY.encode(), Note(KEY),
     {"n": Note(KEY)}, ModelRequest("m", (Message("user", KEY),)), Message("assistant", "", (ToolCall("1", "t", KEY),))],
    ids=repr,
)  # fmt: skip
def test_a_secret_is_found_and_replaced_in_data_of_every_kind(value):
    """Texts, keys of mappings, bytes, tuples, dataclasses, at any depth: the type stays, the secret goes."""
    redactor = Redactor({"env:K": KEY})
    made, found = redactor.clean(value)
    assert type(made) is type(value)
    assert KEY not in repr(made)
    assert found == {"key_in_use": 1}
    assert not redactor.finds(made)


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES)
def test_a_mark_is_no_secret(secret):
    """A mark is not found or counted again."""
    redactor = Redactor()
    made, found = redactor.clean({"text": f"see {secret} here"})
    assert sum(found.values()) == 1
    assert not redactor.finds(made)


@pytest.mark.parametrize("secret", [KEY, SHAPES["openai"], SHAPES["jwt"]])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("form", ["log probabilities", "parts of a message", "texts"])
def test_what_the_pieces_of_a_list_say_together_has_no_secret(secret, size, form):
    """Tokens with their log probabilities, parts of a message: together they say what the redacted text says. Of texts that need
    not belong together only a key in use is looked for."""
    text = f"it is {secret}, yes"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    items = {"log probabilities": [[p, -0.25] for p in pieces], "texts": pieces,
             "parts of a message": [{"type": "text", "text": p} for p in pieces]}[form]  # fmt: skip
    redactor = Redactor({"env:K": KEY})
    made, found = redactor.clean({"items": items})
    said = "".join(i if form == "texts" else i["text"] if form == "parts of a message" else i[0] for i in made["items"])
    if form == "texts" and secret != KEY:
        assert made == {"items": items}
        return
    assert said == redactor.text(text)
    assert sum(found.values()) == 1
    assert len(made["items"]) == len(items)
    if form == "log probabilities":
        assert all(score == -0.25 for _, score in made["items"])


@pytest.mark.parametrize(
    "items", [["disk-", "list-of-things-to-do-today"], [["sk-learn", 3], ["pandasnumpyscipytorch", 2]], [[1, 2]]]
)
def test_items_that_only_meet_by_chance_stay_as_they_are(items):
    """Words of a list, counts of words: no shape is put together out of them."""
    assert Redactor().clean(items)[0] is items


@given(st.integers(16, len(KEY)), st.text(" é.", max_size=12), st.text(" é.", max_size=12))
def test_a_key_in_use_that_was_cut_is_no_more_shown_than_a_whole_one(length, before, after):
    """A text that was cut within a key, or a key with another end: what is left of it is replaced, what is around it stays."""
    made = Redactor({"env:K": KEY}).text(f"{before}{KEY[:length]}{after}")
    assert KEY[:16] not in made
    assert made.startswith(f"{before}‹secret:key_in_use:")
    assert made.endswith(f"›{after}")


def test_a_cut_key_in_pieces_leaves_nothing_of_itself():
    """The same across the items of a list."""
    redactor = Redactor({"env:K": KEY})
    items = [*"it is ", KEY[:5], KEY[5:20], " and on"]
    assert "".join(redactor.clean(items)[0]) == redactor.text("".join(items))


def test_what_begins_as_a_key_in_use_does_not_hide_another_secret():
    """Two tokens with one head: the second has a shape of its own and goes as a whole."""
    head = "eyJhbGciOiJIUzI1NiJ9."
    mine, other = f"{head}eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", f"{head}eyJzdWIiOiI5OTk5In0.b3RoZXJzaWdu"
    made = Redactor({"env:K": mine}).text(f"{mine} {other}")
    assert "eyJ" not in made
    assert "b3RoZXJzaWdu" not in made


def test_a_word_that_stands_for_a_key_is_not_looked_for():
    """Local servers want any key: `lm-studio` is also a provider's name, and stays readable. What could be a key is found."""
    made = Redactor({"a": "lm-studio", "b": "not-needed", "c": "hunter2-hunter2"})
    assert made.clean("lm-studio is not-needed")[0] == "lm-studio is not-needed"
    assert "hunter2" not in made.clean("it is hunter2-hunter2")[0]
