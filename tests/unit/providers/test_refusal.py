"""Statuses and error bodies become one typed error each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import AuthFailed, BadRequest, ContextTooLong, ProviderError, ProviderUnavailable, RateLimited
from orch_nb.providers.keys import Key
from orch_nb.providers.transport.errors import Asked, refused, reported, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = Asked("p", "m", Key("sk-canary-1"))
NOW = 1_760_000_000.0


def of(status: int, body: Any = None, **headers: str) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refused(ASKED, status, headers, raw, now=lambda: NOW)


@pytest.mark.parametrize(
    ("status", "kind", "billed"),
    [
        (301, BadRequest, False), (307, BadRequest, False), (400, BadRequest, False), (401, AuthFailed, False),
        (402, AuthFailed, False), (403, AuthFailed, False), (404, BadRequest, False), (405, BadRequest, False),
        (408, ProviderUnavailable, False), (409, ProviderUnavailable, False), (413, BadRequest, False),
        (418, BadRequest, False), (422, BadRequest, False), (425, ProviderUnavailable, False),
        (429, RateLimited, False), (500, ProviderUnavailable, True), (502, ProviderUnavailable, True),
        (503, ProviderUnavailable, False), (504, ProviderUnavailable, True), (529, ProviderUnavailable, False),
        (599, ProviderUnavailable, True),
    ],
)  # fmt: skip
def test_every_status_has_its_error(status: int, kind: type[ProviderError], billed: bool) -> None:
    """The status decides the class; only failures after work may have begun count as possibly billed."""
    error = of(status, {"error": {"message": "why not"}})
    assert type(error) is kind
    assert (error.status, error.billed, error.provider, error.model) == (status, billed, "p", "m")
    assert str(error).startswith(f"`p` (m): HTTP {status}, 'why not'")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1"}, 1.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "999999"}, 999_999.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:30 GMT"}, 10.0),
        ({"retry-after": "Wed, 09 Oct 2024 08:53:30 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "banana"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Thu, 99 Oct 2025 99:99:99 GMT"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood; garbage is ignored, not guessed at."""
    assert retry_after_s(headers, NOW) == seconds
    error = refused(ASKED, 429, headers, b"", now=lambda: NOW)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens.",
                "code": "context_length_exceeded",
            }
        },
        {"error": {"message": "Bad.", "type": "invalid_request_error", "code": "context_length_exceeded"}},
        {"error": "prompt is too long: 210000 tokens > 200000 maximum"},
        {"message": "Input exceeds the context window of this model"},
        {"detail": "too many tokens: 9000"},
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_prompt_that_does_not_fit(body: Any, status: int) -> None:
    """The vendors' ways of saying that the context is full are one error."""
    assert type(of(status, body)) is ContextTooLong


def test_llama_cpp_says_how_much_too_long(recorded: Callable[[str], bytes]) -> None:
    """The recorded refusal of llama.cpp gives both numbers, in the message and as facts."""
    error = of(400, recorded("llama_cpp_context_400.json"))
    assert type(error) is ContextTooLong
    assert "6,031 tokens, and the model takes 4,096" in str(error)
    assert error.facts["prompt_tokens"] == 6031
    assert error.facts["context_tokens"] == 4096


def test_a_wrong_key_of_the_local_server(recorded: Callable[[str], bytes]) -> None:
    """The recorded 401 of llama.cpp is AuthFailed with its words."""
    assert "Invalid API Key" in str(of(401, recorded("llama_cpp_key_401.json")))


def test_an_empty_account_is_not_a_busy_server() -> None:
    """429 for want of credit is AuthFailed: waiting would not help."""
    error = of(429, {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}})
    assert type(error) is AuthFailed
    assert "no credit" in error.hint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'"text"',
        b'{"error":{"message":7}}',
        b'{"error":null}',
    ],
)
def test_bodies_of_any_kind_are_survived(body: bytes) -> None:
    """HTML, nothing, bad bytes, bottomless JSON and wrong types leave the status as the message."""
    assert type(of(500, body)) is ProviderUnavailable


def test_foreign_words_are_cleaned() -> None:
    """The key is hidden, escapes and line breaks are removed, and no more than 300 characters are shown."""
    error = of(401, {"error": {"message": "bad key sk-canary-1 \x1b[31m\n\u202ered" + "x" * 1000}})
    assert "sk-canary-1" not in str(error)
    assert "[key]" in str(error)
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "overloaded", "type": "server_error"}}, ProviderUnavailable),
        ({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, RateLimited),
        ({"error": {"message": "slow down", "code": 429}}, RateLimited),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, AuthFailed),
        ({"error": {"message": "x", "code": "invalid_api_key"}}, AuthFailed),
        ({"error": {"message": "maximum context length"}}, ContextTooLong),
        ({"error": "boom"}, ProviderUnavailable),
        ({"error": True}, ProviderUnavailable),
        ({"error": []}, ProviderUnavailable),
    ],
)
def test_errors_inside_a_stream(body: Any, kind: type[ProviderError]) -> None:
    """An error object in a 200 stream is the error it speaks of, and may be billed."""
    error = reported(ASKED, body)
    assert type(error) is kind
    assert error.billed
