"""Keys are references; their values are shown nowhere."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest

from orch_nb.errors import AuthFailed
from orch_nb.providers.keys import HeldKey, Key, key_source

CANARY = "sk-canary-0123456789abcdef"


def test_a_key_does_not_show_itself() -> None:
    """repr, str, formatting and errors of pickling or copying a key never hold its value; redaction does its work."""
    key = Key(CANARY)
    assert CANARY not in f"{key!r} {key} {key:}" + str([key]) + str({"k": key})
    assert key.hide_in(f"Bearer {CANARY}!") == "Bearer [key]!"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a key is not pickled"):
            attempt(key)
    with pytest.raises(TypeError):
        vars(key)


def test_an_environment_key_is_looked_up_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotated key is taken up without a new provider, and white space around it is not sent."""
    source = key_source("env:ORCH_TEST_KEY", "p")
    assert source is not None
    for value in ("first", " second\n"):
        monkeypatch.setenv("ORCH_TEST_KEY", value)
        assert source.resolve().reveal() == value.strip()
    assert source.reference == "env:ORCH_TEST_KEY"


def test_a_missing_key_says_how_to_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run of a newcomer without a key names the variable and the ways that need none."""
    monkeypatch.delenv("ORCH_TEST_KEY", raising=False)
    source = key_source("env:ORCH_TEST_KEY", "openai")
    assert source is not None
    with pytest.raises(AuthFailed) as caught:
        source.resolve()
    assert str(caught.value) == (
        "`openai` needs a key, and the environment variable ORCH_TEST_KEY is not set. Nothing was sent."
    )
    assert "`%orch models set small=smollm2`" in caught.value.hint
    assert "`echo`" in caught.value.hint
    assert not caught.value.billed


@pytest.mark.parametrize("value", ["sk-a\nb", "sk-a b", "sk-ä", "sk-\x00", "sk-\u202e"])
def test_a_key_that_cannot_be_sent_is_not_printed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A key with a line break, a space or foreign characters is refused before the socket, without showing it."""
    source = key_source("env:ORCH_TEST_KEY", "p")
    assert source is not None
    if "\0" in value:
        monkeypatch.setattr("os.environ", {"ORCH_TEST_KEY": value})
    else:
        monkeypatch.setenv("ORCH_TEST_KEY", value)
    with pytest.raises(AuthFailed, match="cannot be sent") as caught:
        source.resolve()
    assert value not in str(caught.value) + repr(caught.value) + str(caught.value.facts)


@pytest.mark.parametrize("reference", [CANARY, "", "env:", "env:A B", "ENV:X", f"env:{CANARY}"])
def test_a_key_itself_is_no_reference_and_is_not_repeated(reference: str) -> None:
    """Whoever writes the key where its reference belongs is told so, without the key."""
    with pytest.raises(AuthFailed, match="not a reference") as caught:
        key_source(reference, "p")
    assert CANARY not in str(caught.value) + str(caught.value.facts) + caught.value.hint


def test_no_key_and_held_keys() -> None:
    """None means no key; a key made by this process is shown as held."""
    assert key_source(None, "p") is None
    assert HeldKey("x").reference == "held"


def test_a_key_of_the_systems_key_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """`keyring:SERVICE/USER` is looked up by the real package keyring in whatever store is in force, again at each call."""
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1

        def __init__(self) -> None:
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        source = key_source("keyring:openai/me", "openai")
        assert source is not None
        with pytest.raises(AuthFailed, match="has no such entry") as caught:
            source.resolve()
        assert "keyring set openai me" in caught.value.hint
        keyring.set_password("openai", "me", CANARY)
        assert source.resolve().reveal() == CANARY
        assert CANARY not in repr(source) + source.reference
    finally:
        keyring.set_keyring(before)


def test_without_the_package_keyring_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference into the key store without the package that reads it names the package; nothing was sent."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    source = key_source("keyring:openai/me", "openai")
    assert source is not None
    with pytest.raises(AuthFailed, match="not installed") as caught:
        source.resolve()
    assert caught.value.hint == "pip install keyring"
