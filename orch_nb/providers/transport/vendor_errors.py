"""The guarded HTTP client for vendors with an interface of their own: the key in a header of theirs, and their
words for what OpenAI says otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch_nb.errors import AuthFailed, BadRequest, ContextTooLong, ProviderError, RateLimited
from orch_nb.providers.keys import key_source
from orch_nb.providers.transport.errors import complaint_of
from orch_nb.providers.transport.http import Call, Caps, Http

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

_CONTEXT = re.compile(r"exceeds? (the )?(context limit|maximum number of tokens)|input token count", re.IGNORECASE)
_NO_KEY = re.compile(r"API[ _]KEY", re.IGNORECASE)
_NO_MONEY = re.compile(r"credit balance is too low", re.IGNORECASE)
_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,6}(?:\.\d{1,9})?)s"')


class NativeHttp(Http):
    """A provider's HTTP client whose key goes out as `key_header` instead of as a bearer token.

    Parameters
    ----------
    key
        Reference of the key, such as ``env:NAME``; None where none is wanted.
    key_header
        Name of the header that carries the key.
    query
        Parameters that every call has in its address. Never the key: addresses are logged by every proxy.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        key: str | None,
        key_header: str,
        query: Mapping[str, str] | None = None,
        allow_insecure: bool = False,
        trust_env: bool = True,
        caps: Caps | None = None,
    ) -> None:
        source = key_source(key, provider)
        super().__init__(
            provider, base_url, key=source, key_header=key_header, allow_insecure=allow_insecure, trust_env=trust_env,
            caps=caps,
        )  # fmt: skip
        if query:
            self.url = self.url.copy_merge_params(dict(query))

    @property
    def _call(self) -> type[Call]:
        return _NativeCall


class _NativeCall(Call):
    def _refusal(self, response: httpx.Response, body: bytes) -> ProviderError:
        return sharper(super()._refusal(response, body), body)


def sharper(error: ProviderError, body: bytes) -> ProviderError:
    """`error`, or the more telling one that the vendor's own words in `body` allow.

    Notes
    -----
    Google answers 400 to a wrong key and to a prompt that is too long, and says how long to wait in the body of a 429;
    Anthropic answers 400 to an account without credit, and calls the context window a limit.
    """
    said = complaint_of(body)
    facts = dict(error.facts)
    if isinstance(error, RateLimited) and error.retry_after_s is None and (found := _DELAY.search(body)):
        facts["retry_after_s"] = float(found[1])
        return RateLimited(str(error), hint=error.hint, **facts)  # type: ignore[arg-type]
    if type(error) is not BadRequest or error.status not in (400, 413):
        return error
    if said.says(_CONTEXT):
        hint = "shorten what the agent reads, or choose a model with a larger context"
        text = f"{str(error).removesuffix('.')}: the prompt does not fit the model's context."
        return ContextTooLong(text, hint=hint, **facts)  # type: ignore[arg-type]
    if said.says(_NO_KEY):
        hint = "check that the key belongs to this base_url and may use this model"
        return AuthFailed(str(error), hint=hint, **facts)  # type: ignore[arg-type]
    if said.says(_NO_MONEY):
        hint = "the account has no credit left: waiting does not help; choose another model or top it up"
        return AuthFailed(str(error), hint=hint, **facts)  # type: ignore[arg-type]
    return error


def with_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, object]:
    """`body` with the fields of `extra`: objects are merged one level deep, and None removes a field."""
    merged = dict(body)
    for name, value in extra.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            inner = {**merged[name], **value}
            merged[name] = {k: v for k, v in inner.items() if v is not None}
        else:
            merged[name] = value
    return merged
