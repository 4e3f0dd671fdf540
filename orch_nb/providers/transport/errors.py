"""A provider's refusal, in its own words, as one typed error of ours. The only place that reads vendors' messages."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from orch_nb.errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.providers.keys import Key

_SHOWN = 300
_CONTEXT = re.compile(
    r"context.{0,3}(length|window|size)|maximum context|exceed_context|prompt is too long|too many (input |prompt )?tokens",
    re.IGNORECASE,
)
_NO_MONEY = re.compile(
    r"insufficient_quota|insufficient.{0,3}(balance|credit|funds)|billing_(hard_limit|not_active)", re.IGNORECASE
)
_NO_KEY = re.compile(r"invalid_api_key|authentication|permission|unauthorized|forbidden|\b40[13]\b", re.IGNORECASE)
_BUSY = re.compile(r"rate.?limit|too many requests", re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")
_BEFORE_WORK = frozenset({408, 409, 425, 503, 529})
"""Statuses that say the request was turned away before any token was made. Any other 5xx may have been billed."""

E = TypeVar("E", bound=ProviderError)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked for what; makes errors that name them and never show the key."""

    provider: str
    model: str
    key: Key | None = None

    def error(self, kind: type[E], what: str, *, hint: str = "", **facts: Any) -> E:
        """An error of `kind` that reads "`provider` (model): what"."""
        shown = f" ({self.clean(self.model)})" if self.model else ""
        what = self.key.hide_in(what) if self.key else what
        return kind(f"`{self.provider}`{shown}: {what}", provider=self.provider, model=self.model, hint=hint, **facts)

    def clean(self, text: str) -> str:
        """Foreign text fit to be shown: no key, no control characters, one line, at most 300 characters."""
        text = self.key.hide_in(text) if self.key else text
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@dataclass(frozen=True, slots=True)
class Complaint:
    """The error object of a reply: its message, its code and type words, and token counts where it has them."""

    message: str = ""
    words: str = ""
    prompt_tokens: int | None = None
    context_tokens: int | None = None

    def says(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(self.message) or pattern.search(self.words))


def complaint(body: object) -> Complaint:
    """Return what the parsed error body says; empty when it is of no known form."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Complaint(error)
    if not isinstance(error, dict):
        return Complaint()
    message = next((error[k] for k in ("message", "detail", "error") if isinstance(error.get(k), str)), "")
    words = " ".join(str(error[k]) for k in ("code", "type", "status") if isinstance(error.get(k), str | int))
    return Complaint(message, words, _count(error.get("n_prompt_tokens")), _count(error.get("n_ctx")))


def complaint_of(raw: bytes) -> Complaint:
    """The complaint in an error reply's bytes; empty when they are not JSON."""
    try:
        return complaint(json.loads(raw))
    except (ValueError, RecursionError):
        return Complaint()


def refused(
    asked: Asked, status: int, headers: Mapping[str, str], raw: bytes, *, now: Callable[[], float] = time.time
) -> ProviderError:
    """The typed error for a reply whose status is not 200. `raw` is its body or the first part of it."""
    said = complaint_of(raw)
    text = f"HTTP {status}" + (f", {asked.clean(said.message)!r}" if said.message else "")
    wait_s = retry_after_s(headers, now())
    common: dict[str, Any] = {"status": status, "reason": asked.clean(said.words)}
    if 300 <= status < 400:
        return asked.error(BadRequest, f"{text}: redirects are not followed, as they could carry the key elsewhere.",
                           hint="set base_url to the address the provider really has", **common)  # fmt: skip
    if status in (401, 402, 403) or (status == 429 and said.says(_NO_MONEY)):
        return asked.error(AuthFailed, f"{text}.", hint=_auth_hint(status), **common)
    if status == 429:
        return asked.error(RateLimited, f"{text}{_wait(wait_s)}.", retry_after_s=wait_s, **common)
    if status in (400, 413, 422) and said.says(_CONTEXT):
        return _too_long(asked, text, said, common)
    if status in _BEFORE_WORK or status >= 500:
        billed = status not in _BEFORE_WORK
        return asked.error(
            ProviderUnavailable, f"{text}{_wait(wait_s)}.", retry_after_s=wait_s, billed=billed, **common
        )
    hint = "check the model's id and base_url" if status == 404 else ""
    return asked.error(BadRequest, f"{text}.", hint=hint, **common)


def reported(asked: Asked, body: object) -> ProviderError:
    """The typed error for an error object inside a 200 reply; tokens may have been billed by then."""
    said = complaint(body)
    what = asked.clean(said.message) or asked.clean(said.words) or "no reason given"
    text = f"the provider reported an error in its reply: {what!r}."
    common: dict[str, Any] = {"status": 200, "billed": True, "reason": asked.clean(said.words)}
    if said.says(_CONTEXT):
        return _too_long(asked, text.removesuffix("."), said, common)
    if said.says(_NO_MONEY):
        return asked.error(AuthFailed, text, hint=_auth_hint(402), **common)
    if _NO_KEY.search(said.words):
        return asked.error(AuthFailed, text, hint=_auth_hint(401), **common)
    if said.says(_BUSY) or "429" in said.words.split():
        return asked.error(RateLimited, text, **common)
    return asked.error(ProviderUnavailable, text, **common)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that the reply asks to wait, from `retry-after-ms` or `Retry-After`; None when absent or unreadable.

    Parameters
    ----------
    now_s
        Seconds since the epoch, for the date form. A date in the past is 0.

    References
    ----------
    RFC 9110 section 10.2.3 (2022).
    """
    if _SECONDS.fullmatch(ms := headers.get("retry-after-ms", "").strip()):
        return float(ms) / 1000
    raw = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(raw):
        return float(raw)
    try:
        until = parsedate_to_datetime(raw).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    wait = until - now_s
    return max(0.0, wait) if math.isfinite(wait) else None


def _too_long(asked: Asked, text: str, said: Complaint, common: dict[str, object]) -> ContextTooLong:
    counted = ""
    if said.prompt_tokens and said.context_tokens:
        counted = f" ({said.prompt_tokens:,} tokens, and the model takes {said.context_tokens:,})"
    return asked.error(
        ContextTooLong,
        f"the prompt does not fit the model's context{counted}. {text}.",
        hint="shorten what the agent reads, or choose a model with a larger context",
        prompt_tokens=said.prompt_tokens,
        context_tokens=said.context_tokens,
        **common,
    )


def _auth_hint(status: int) -> str:
    if status in (402, 429):
        return "the account has no credit left: waiting does not help; choose another model or top it up"
    return "check that the key belongs to this base_url and may use this model"


def _wait(seconds: float | None) -> str:
    return "" if seconds is None else f"; it asks to wait {seconds:.0f} s"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
