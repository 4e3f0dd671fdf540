"""Keys are references: the value is looked up when a call is made, lives in the request's header, and is shown nowhere."""

from __future__ import annotations

import os
import re
from typing import NoReturn, Protocol

from orch_nb.errors import AuthFailed
from orch_nb.schema.secrets import REDACTOR

_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_RING = re.compile(r"keyring:([^/\s]+)/(\S+)")
_SENDABLE = re.compile(r"[\x21-\x7e]+")
HIDDEN = "[key]"
WITHOUT_KEY = (
    "set it in the environment of the kernel, or let the agent's model be one that needs no key: `smollm2` on this machine "
    "(`orch models install smollm2` fetches it) or `echo`, as in `%orch models set small=smollm2`"
)


class Key:
    """A key's value in a wrapper that never shows it: not in `repr`, in formatting, in `vars`, nor pickled.

    From here on the redactor of this process looks for it.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value
        REDACTOR.know((value,))

    def reveal(self) -> str:
        """The value itself, for the request's header and for redaction."""
        return self.__value

    def hide_in(self, text: str) -> str:
        """`text` with every occurrence of the key replaced by "[key]"."""
        return text.replace(self.__value, HIDDEN) if self.__value else text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is not pickled")


class KeySource(Protocol):
    """Where a key comes from: `reference` may be shown, what `resolve` gives may not."""

    reference: str

    def resolve(self) -> Key: ...


class EnvKey:
    """The key in an environment variable, looked up again at each call, so that a rotated key is taken up at once."""

    __slots__ = ("provider", "reference", "variable")

    def __init__(self, variable: str, provider: str) -> None:
        self.variable, self.provider, self.reference = variable, provider, f"env:{variable}"

    def resolve(self) -> Key:
        """The key of this moment.

        Raises
        ------
        AuthFailed
            The variable is absent or empty, or its value has characters that no header can carry. Nothing was sent.
        """
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise AuthFailed(
                f"`{self.provider}` needs a key, and the environment variable {self.variable} is not set. Nothing was sent.",
                provider=self.provider,
                hint=WITHOUT_KEY,
                reference=self.reference,
            )
        return _sendable(value, self.variable, self.provider, self.reference)


class RingKey:
    """The key in the operating system's key store (Keychain, Credential Locker, Secret Service), by the package keyring."""

    __slots__ = ("provider", "reference", "service", "user")

    def __init__(self, service: str, user: str, provider: str) -> None:
        self.service, self.user, self.provider = service, user, provider
        self.reference = f"keyring:{service}/{user}"

    def resolve(self) -> Key:
        """The key of this moment.

        Raises
        ------
        AuthFailed
            The package keyring is not installed, the key store does not open, or has no such key. Nothing was sent.
        """
        value = self._looked_up().strip()
        if not value:
            raise self._missing(
                "has no such entry", f"`keyring set {self.service} {self.user}` in a terminal stores it"
            )
        return _sendable(value, self.reference, self.provider, self.reference)

    def _looked_up(self) -> str:
        try:
            import keyring
        except ImportError as error:
            raise self._missing(
                "is read by the package keyring, which is not installed", "pip install keyring"
            ) from error
        try:
            return keyring.get_password(self.service, self.user) or ""
        except keyring.errors.KeyringError as error:
            raise self._missing(f"does not open ({type(error).__name__})", "unlock it, or use env:NAME") from error

    def _missing(self, what: str, hint: str) -> AuthFailed:
        return AuthFailed(
            f"`{self.provider}` needs the key {self.reference}; the system's key store {what}. Nothing was sent.",
            provider=self.provider, hint=hint, reference=self.reference,
        )  # fmt: skip


def _sendable(value: str, where: str, provider: str, reference: str) -> Key:
    """`value` as a key, unless no header can carry it; the value itself is not shown."""
    if not _SENDABLE.fullmatch(value):
        raise AuthFailed(
            f"the key in {where} for `{provider}` has a character that cannot be sent "
            f"(a space, a line break or one outside ASCII) among its {len(value)}. Nothing was sent.",
            provider=provider,
            hint="copy the key again, without quotes and line breaks",
            reference=reference,
        )
    return Key(value)


class HeldKey:
    """A key made by this process for a server of its own, never a user's."""

    __slots__ = ("_key", "reference")

    def __init__(self, value: str) -> None:
        self._key, self.reference = Key(value), "held"

    def resolve(self) -> Key:
        return self._key


def key_source(reference: str | None, provider: str) -> KeySource | None:
    """Return where the key named by `reference` is found; None when no key is used.

    Raises
    ------
    AuthFailed
        `reference` is neither ``env:NAME`` nor ``keyring:SERVICE/USER``. Its text is not repeated, because it may be a key.
    """
    if reference is None:
        return None
    if found := _ENV.fullmatch(reference):
        return EnvKey(found[1], provider)
    if found := _RING.fullmatch(reference):
        return RingKey(found[1], found[2], provider)
    raise AuthFailed(
        f"the key of `{provider}` is not a reference of the form env:NAME or keyring:SERVICE/USER; its text is not shown, as it may be the key itself.",
        provider=provider,
        hint='put the key in an environment variable and write key="env:OPENAI_API_KEY"',
    )
