"""Keys and passwords found in values, replaced before anything is stored: what a run keeps, folds and says is the mark.

Two things are looked for: well-known shapes of keys, and the exact values of the keys that are in use here. A mark names the
kind, and a part of the secret's hash where it is long enough not to be guessed from that: equal secrets give equal marks, so
that a run can still be compared with another one.

References
----------
Shapes: the providers' documentation of their keys (OpenAI, Anthropic, AWS, GitHub, GitLab, Google, Groq, Hugging Face, Slack,
Stripe, xAI), RFC 7468 (private keys), RFC 7519 (JWT), RFC 6750 (bearer tokens), RFC 3986 3.2.1 (passwords in URLs); read
November 2026.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHAPES: dict[str, tuple[tuple[str, ...], str]] = {
    "anthropic": (("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{20,}"),
    "stripe": (("k_live_", "k_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    "openai": (("sk-",), r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}"),
    "aws": (("AKIA", "ASIA"), r"A(?:KIA|SIA)[0-9A-Z]{16}(?![0-9A-Za-z])"),
    "github": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"g(?:h[pousr]_[A-Za-z0-9]{36,}|ithub_pat_\w{22,})",
    ),
    "gitlab": (("glpat-",), r"glpat-[A-Za-z0-9_-]{20,}"),
    "google": (("AIza",), r"AIza[0-9A-Za-z_-]{35}"),
    "groq": (("gsk_",), r"gsk_[A-Za-z0-9]{20,}"),
    "huggingface": (("hf_",), r"hf_[A-Za-z0-9]{30,}"),
    "slack": (("xox",), r"xox[abposr]-[A-Za-z0-9-]{10,}"),
    "xai": (("xai-",), r"xai-[A-Za-z0-9]{20,}"),
    "private_key": (
        ("PRIVATE KEY-----",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----))*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
    ),
    "jwt": (("eyJ",), r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    "bearer": (("earer ",), r"[Bb]earer {1,4}[A-Za-z0-9._~+/-]{20,}={0,2}"),
    "url_password": (("://",), r"://[^\s/@:?#]{1,200}:[^\s/@‹]{1,200}@"),
    "url_token": (
        ("key=", "token=", "sig=", "signature=", "password="),
        r"[?&](?:api[_-]?key|key|access_token|auth_token|token|sig|signature|password)=[^&\s#‹]{8,}",
    ),
}
"""Kind -> what every text with it has (found much faster than the shape), and the shape. More special ones come first."""


def _sign(hint: str) -> str:
    return next((sign for sign in "_=-:" if sign in hint), "")


LEAST = 8
"""Characters that a key in use must have to be looked for: shorter ones would be found in ordinary words."""
HASHED_FROM = 20
"""Characters from which on a mark has a part of the hash: what is shorter could be found by trying."""
_SHORTEST = 11
"""Characters of the shortest text with a shape in it: ``://u:p@host``."""
_SHORTEST_KEY = 15
"""Characters of the shortest shape that is not a part of an address: ``xoxb-0123456789``."""
_COMPILED = tuple((kind, hints, re.compile(shape)) for kind, (hints, shape) in SHAPES.items())
_SIGNS = ("_", "=", "-", ":", "")
"""Characters that are found at once, and rare in prose: what needs one is not looked for in a text without it."""
_GROUPS = tuple(
    (sign, tuple((h, shape.search) for _, hints, shape in _COMPILED for h in hints if _sign(h) == sign))
    for sign in _SIGNS
)
_KEPT = {"url_password": ("://", "@"), "url_token": ("=", "")}


class Redactor:
    """Finds and replaces secrets in plain data.

    Parameters
    ----------
    known
        Reference -> value of the keys in use; their values are looked for as they are, whatever they look like.

    Examples
    --------
    >>> Redactor().clean({"note": "my key is AKIAIOSFODNN7EXAMPLE, keep it"})
    ({'note': 'my key is ‹secret:aws:80eb7033›, keep it'}, Counter({'aws': 1}))
    """

    __slots__ = ("_known",)

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = tuple(sorted({v for v in (known or {}).values() if len(v) >= LEAST}, key=len, reverse=True))

    def is_in(self, text: str) -> bool:
        """Whether a text has a secret in it. O(characters)."""
        if self._known:
            for key in self._known:
                if key in text:
                    return True
        length = len(text)
        if length < _SHORTEST or (length < _SHORTEST_KEY and "=" not in text and "://" not in text):
            return False
        for sign, pairs in _GROUPS:  # the hot path: every text of every value comes by here
            if sign in text:
                for hint, search in pairs:
                    if hint in text and search(text) is not None:
                        return True
        return False

    def finds(self, value: Any) -> bool:
        """Whether plain data have a secret anywhere, in keys too."""
        cls = value.__class__
        if cls is str:
            return self.is_in(value)
        if cls is dict:
            for key in value:
                if self.is_in(key):
                    return True
            value = value.values()
        elif cls is not list:
            return False
        for item in value:
            cls = item.__class__
            if (cls is str or cls is dict or cls is list) and self.finds(item):
                return True
        return False

    def clean(self, value: Any) -> tuple[Any, Counter[str]]:
        """`value` with marks in the place of secrets, and how many of each kind. The same object when there are none."""
        found: Counter[str] = Counter()
        if not self.finds(value):
            return value, found
        return self._cleaned(value, found), found

    def _cleaned(self, value: Any, found: Counter[str]) -> Any:
        if value.__class__ is str:
            return self._marked(value, found)
        if value.__class__ is dict:
            return {self._cleaned(k, found): self._cleaned(v, found) for k, v in value.items()}
        if value.__class__ is list:
            return [self._cleaned(item, found) for item in value]
        return value

    def _marked(self, text: str, found: Counter[str]) -> str:
        for key in self._known:
            if key in text:
                found["key_in_use"] += text.count(key)
                text = text.replace(key, mark("key_in_use", key))
        for kind, hints, shape in _COMPILED:
            if any(hint in text for hint in hints):
                text = shape.sub(partial(_found, kind, found), text)
        return text

    def event(self, event: Any) -> Any:
        """`event` as it is to be stored: itself, or a copy in which secrets are marks and which says so.

        Notes
        -----
        What a `Sent` says is made from values that went through here, and from the prompt, which `Runtime.start` refuses to take secrets in.
        """
        cls = event.__class__
        if cls is ev.Finished:
            return event if not self.finds(event.value) else self._finished(event)
        if cls is ev.Settled:
            return self._settled(event)
        fields = _FIELDS.get(cls)
        if fields is None:
            return event
        changes, _ = self._changes(event, fields)
        return replace(event, **changes) if changes else event

    def _finished(self, event: ev.Finished) -> ev.Finished:
        changes, found = self._changes(event, ("value", "writes"))
        return replace(event, **changes, decision={**(event.decision or {}), "secrets": dict(found)})

    def _settled(self, event: ev.Settled) -> ev.Settled:
        changes, found = self._changes(event, ("reply", "error"))
        if not changes:
            return event
        note = "; ".join(filter(None, (event.note, said(found))))
        return replace(event, **changes, note=note)

    def _changes(self, event: Any, fields: Iterable[str]) -> tuple[dict[str, Any], Counter[str]]:
        changes: dict[str, Any] = {}
        total: Counter[str] = Counter()
        for name in fields:
            value = getattr(event, name)
            if value.__class__ is ev.ErrorInfo:
                message, found = self.clean(value.message)
                hint, more = self.clean(value.hint)
                made: Any = replace(value, message=message, hint=hint)
                found += more
            else:
                made, found = self.clean(value)
            if found:
                changes[name] = made
                total += found if name != "writes" else Counter()  # they are parts of the value, counted there
        return changes, total


_FIELDS: dict[type, tuple[str, ...]] = {
    ev.Failed: ("error",), ev.Answered: ("value", "comment", "diff"), ev.Waiting: ("question", "shown"),
    ev.Opened: ("inputs",), ev.RunEnded: ("error",),
}  # fmt: skip


def _found(kind: str, found: Counter[str], match: re.Match[str]) -> str:
    found[kind] += 1
    text = match.group()
    kept = _KEPT.get(kind)
    if kept is None:
        return mark(kind, text)
    # What is around the secret stays: it is the address that the user knows.
    head, middle, _ = text.partition(kept[0])
    return f"{head}{middle}{mark(kind, '')}{kept[1]}"


def mark(kind: str, secret: str) -> str:
    """What stands in the place of a secret."""
    if len(secret) < HASHED_FROM:
        return f"‹secret:{kind}›"
    return f"‹secret:{kind}:{blake2b(secret.encode(), digest_size=4, person=b'orch secret').hexdigest()}›"


def said(found: Mapping[str, int]) -> str:
    """``2 secrets replaced (aws, openai)``; "" for none."""
    count = sum(found.values())
    return f"{count} secret{'s' * (count != 1)} replaced ({', '.join(sorted(found))})" if count else ""
