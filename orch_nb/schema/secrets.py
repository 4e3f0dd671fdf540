"""Keys and passwords found in values, replaced by whatever writes: the store, displays, comms, tracebacks, requests, files.

Two things are looked for: well-known shapes of keys, and the exact values of the keys that are in use here. A mark names the
kind, and a part of the secret's hash where it is long enough not to be guessed from that: equal secrets give equal marks, so
that a run can still be compared with another one.

Writers call `REDACTOR`, the one of this process: it knows the keys that were resolved here (`providers.keys`, `Runtime.redactor`).

References
----------
Shapes: the providers' documentation of their keys (OpenAI, Anthropic, AWS, GitHub, GitLab, Google, Groq, Hugging Face, Slack,
Stripe, xAI), RFC 7468 (private keys), RFC 7519 (JWT), RFC 6750 (bearer tokens), RFC 3986 3.2.1 (passwords in URLs); read
November 2026.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from functools import cache, partial
from hashlib import blake2b
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from orch_nb import errors
from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SHAPES: dict[str, tuple[tuple[str, ...], str]] = {
    "anthropic": (("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{20,}"),
    "stripe": (("k_live_", "k_test_"), r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
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
    "url_password": (("://",), r"://[^\s/@:?#‹]{1,200}:[^\s/@‹]{1,200}@"),
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
CUT_FROM, CUT_AT = 24, 16
"""Of a key in use that has so many characters, its first `CUT_AT` are looked for: a text that was cut may end within it."""
_WORD = re.compile(r"(?=.{1,19}$)[a-z]+(?:-[a-z]+)*")
"""A short word, as it is given where a local server wants any key. As a secret it would be found in ordinary text."""
LONG, MOST_LONG = 1_000, 8_000_000
"""Characters from which on a text without secrets is remembered, and about how many characters are remembered at most."""
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
_TEXTLESS = frozenset({int, float, bool, NoneType, Decimal})
"""Types whose values hold no text."""
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

    __slots__ = ("_keys", "_known", "_least", "_long", "_n_long", "_plans", "_probes")

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.forget()
        self.know((known or {}).values())

    def forget(self) -> None:
        """Know no keys any more."""
        self._known: tuple[str, ...] = ()
        self._probes: tuple[str, ...] = ()
        self._least = _SHORTEST
        self._plans: dict[int, Any] = {}
        self._keys: set[str] = set()
        self._long: set[str] = set()
        self._n_long = 0

    def know(self, keys: Iterable[str]) -> None:
        """Look for these values, too, from now on. Short ones and words are passed over, as local servers take: `lm-studio`."""
        new = {key for key in keys if len(key) >= LEAST and not _WORD.fullmatch(key)}.difference(self._known)
        if new:
            self._known = tuple(sorted({*self._known, *new}, key=len, reverse=True))
            self._probes = tuple(dict.fromkeys(k[:CUT_AT] if len(k) >= CUT_FROM else k for k in self._known))
            self._least = LEAST
            self._plans, self._keys = {}, set()
            self._long, self._n_long = set(), 0

    # ---------------------------------------------------------------- finding
    def is_in(self, text: str) -> bool:
        """Whether a text has a secret in it. O(characters); a long text that a growing state says again is not read again."""
        if len(text) < LONG:
            return self._search(text)
        if text in self._long:
            return False
        if self._search(text):
            return True
        if self._n_long > MOST_LONG:
            self._long, self._n_long = set(), 0
        self._long.add(text)
        self._n_long += len(text)
        return False

    def _search(self, text: str) -> bool:
        if self._probes:
            for key in self._probes:
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
        """Whether data have a secret anywhere: in keys of mappings, in fields, and in what the pieces of a list say together."""
        cls = value.__class__
        if cls is str:
            return self.is_in(value)
        least = self._least
        if cls is dict:
            seen = self._keys
            for key, item in value.items():  # the hot path: what is short or was seen is passed over without a call
                if key not in seen and key.__class__ is str and self._is_in_key(key):
                    return True
                cls = item.__class__
                if cls is str:
                    if len(item) >= least and self.is_in(item):
                        return True
                elif cls not in _TEXTLESS and self.finds(item):
                    return True
            return False
        if cls is list or cls is tuple:
            if value and value[0].__class__ not in _TEXTLESS and self._is_in_pieces(value):
                return True
        elif cls in _TEXTLESS:
            return False
        elif cls is bytes:
            return self.is_in(value.decode("latin-1"))
        elif hasattr(cls, "__dataclass_fields__"):
            value = _texts(cls)[0](value)
        else:
            return isinstance(value, str) and self.is_in(value)
        for item in value:
            cls = item.__class__
            if cls is str:
                if len(item) >= least and self.is_in(item):
                    return True
            elif cls not in _TEXTLESS and self.finds(item):
                return True
        return False

    def _is_in_key(self, key: str) -> bool:
        """The same for a mapping's key: most are seen again and again."""
        if self.is_in(key):
            return True
        if len(self._keys) >= _MOST_KEYS:
            self._keys = set()
        self._keys.add(key)
        return False

    def _is_in_pieces(self, value: Sequence[Any]) -> bool:
        """Whether the items of a list say a secret together. Items that need not be one text are searched for keys in use only:
        a shape may come about by chance where they meet."""
        is_one_text = value[0].__class__ is not str
        if not is_one_text and not self._probes:
            return False
        pieces = _pieces(value)
        if pieces is None:
            return False
        text = "".join(pieces)
        return self.is_in(text) if is_one_text else any(probe in text for probe in self._probes)

    # ---------------------------------------------------------------- replacing
    def text(self, text: str) -> str:
        """`text` with marks in the place of secrets; the same object when there are none."""
        return self._mark(text, Counter()) if self.is_in(text) else text

    def clean(self, value: Any) -> tuple[Any, Counter[str]]:
        """`value` with marks in the place of secrets, and how many of each kind. The same object when there are none."""
        found: Counter[str] = Counter()
        if not self.finds(value):
            return value, found
        return self._clean(value, found), found

    def _clean(self, value: Any, found: Counter[str]) -> Any:
        cls = value.__class__
        if cls in _TEXTLESS:
            return value
        if isinstance(value, str):
            return self._mark(value, found)
        if cls is dict:
            return {self._clean(k, found): self._clean(v, found) for k, v in value.items()}
        if cls is list or cls is tuple:
            return cls(self._clean(item, found) for item in self._joint(value, found))
        if cls is bytes:
            return self._mark(value.decode("latin-1"), found).encode("latin-1", "xmlcharrefreplace")
        if is_dataclass(cls):
            return replace(value, **self._changes(value, found))
        return value

    def _changes(self, value: Any, found: Counter[str]) -> dict[str, Any]:
        """Field -> what is to be in it, of those fields of a dataclass that have a secret."""
        get, names = _texts(value.__class__)
        return {n: self._clean(v, found) for n, v in zip(names, get(value), strict=True) if self.finds(v)}

    def _joint(self, value: Sequence[Any], found: Counter[str]) -> Sequence[Any]:
        """A list without the secrets that its pieces say only together: the first piece gets the mark, the others lose their part."""
        if not value or not self._is_in_pieces(value):
            return value
        pieces = _pieces(value)
        assert pieces is not None
        parts, at = [], 0
        spans = self._replacements("".join(pieces), found, shapes=value[0].__class__ is not str)
        for piece in pieces:
            made, end = "", at + len(piece)
            left = at
            for start, stop, said in spans:
                if start < end and stop > at:
                    made += piece[max(left, at) - at : max(start, at) - at] + (said if start >= at else "")
                    left = min(stop, end)
            parts.append(made + piece[left - at :])
            at = end
        return [_with_text(item, part) for item, part in zip(value, parts, strict=True)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets begin and end in a text, in order."""
        return [(start, stop) for start, stop, _ in self._replacements(text, Counter(), shapes=True)]

    def beginning(self, text: str) -> int:
        """Where a key in use begins with which a text may go on; the text's length where none does."""
        ends = (len(text) - n for key in self._known for n in range(len(key) - 1, 0, -1) if text.endswith(key[:n]))
        return min(ends, default=len(text))

    def _replacements(self, text: str, found: Counter[str], *, shapes: bool) -> list[tuple[int, int, str]]:
        """Where secrets begin and end in a text, and what is to be said instead, in order."""
        spans: list[tuple[int, int, str]] = []

        def add(start: int, stop: int, kind: str, said: str) -> None:
            if all(stop <= other or start >= end for other, end, _ in spans):
                spans.append((start, stop, said))
                found[kind] += 1

        for key in self._known:
            for match in re.finditer(re.escape(key), text):
                add(*match.span(), "key_in_use", mark("key_in_use", key))
        for kind, _, shape in _COMPILED if shapes else ():
            for match in shape.finditer(text):
                add(*match.span(), kind, _said_of(kind, match.group()))
        for probe in self._probes:
            for match in re.finditer(re.escape(probe), text):
                shared, key = self._nearest(probe, text[match.start() :])
                add(match.start(), match.start() + shared, "key_in_use", mark("key_in_use", key))
        return sorted(spans)

    def _mark(self, text: str, found: Counter[str]) -> str:
        for key in self._known:
            if key in text:
                found["key_in_use"] += text.count(key)
                text = text.replace(key, mark("key_in_use", key))
        for kind, hints, shape in _COMPILED:
            if any(hint in text for hint in hints):
                text = shape.sub(partial(_note, kind, found), text)
        for probe in self._probes:
            if probe in text:
                text = self._without_cuts(text, probe, found)
        return text

    def _without_cuts(self, text: str, probe: str, found: Counter[str]) -> str:
        """`text` without what begins as a key in use does."""
        head, *rest = text.split(probe)
        for part in rest:
            shared, key = self._nearest(probe, probe + part)
            found["key_in_use"] += 1
            head += mark("key_in_use", key) + part[shared - len(probe) :]
        return head

    def _nearest(self, probe: str, text: str) -> tuple[int, str]:
        """How far a text that begins with a probe agrees with a key in use, and which."""
        return max((_shared_length(key, text), key) for key in self._known if key.startswith(probe))

    # ---------------------------------------------------------------- events
    def event(self, event: Any) -> None:
        """Replace the secrets in an event that is about to be written, in its own fields, and have it say so.

        Whoever folds the event afterwards folds what is stored.
        """
        get = _GETTERS.get(event.__class__) or _texts(event.__class__)[0]
        least = self._least
        for value in filter(None, get(event)):  # the hot path: once for each field of each event
            cls = value.__class__
            if cls is str:
                if len(value) >= least and self.is_in(value):
                    break
            elif cls not in _TEXTLESS and self.finds(value):
                break
        else:
            if event.__class__ not in _PLANNED or not self._has_plan(event.plan):
                return
        self._clean_event(event)

    def _has_plan(self, plan: dict[str, Any] | None) -> bool:
        """Whether a plan has a secret. A thousand runs of one graph bring the same object, which is never changed: it is read once."""
        if plan is None or self._plans.get(id(plan)) is plan:
            return False
        if self.finds(plan):
            return True
        if len(self._plans) >= _MOST_PLANS:
            self._plans = {}
        self._plans[id(plan)] = plan
        return False

    def _clean_event(self, event: Any) -> None:
        total: Counter[str] = Counter()
        changes: dict[str, Any] = {}
        for f in fields(event):
            found: Counter[str] = Counter()
            value = getattr(event, f.name)
            if self.finds(value):
                changes[f.name] = self._clean(value, found)
                if f.name in _SAID[event.__class__]:
                    total += found
        for name, made in changes.items():
            setattr(event, name, made)
        if not total:
            return
        if event.__class__ is ev.Finished:
            event.decision = {**(event.decision or {}), "secrets": dict(total)}
        elif event.__class__ is ev.Settled:
            event.note = "; ".join(filter(None, (event.note, said(total))))
        elif event.__class__ is ev.RunStarted:
            event.secrets = dict(Counter(event.secrets or {}) + total)


_MOST_PLANS, _MOST_KEYS = 64, 4096
"""Plans and keys of mappings in which there is no secret, remembered."""
_SAID: dict[type, frozenset[str]] = {
    cls: frozenset({"inputs"} if cls is ev.RunStarted else {"value", "reply", "error"}) for cls in ev.TYPES.values()
}
"""Event type -> the fields of which it is counted what was replaced. `writes` are parts of the value, counted there."""

REDACTOR = Redactor()
"""The redactor of this process, with the keys in use here; every writer asks it."""
errors.redact = REDACTOR.text


_PLANNED: frozenset[Any] = frozenset({ev.RunStarted, ev.Opened})
_GETTERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {}


@cache
def _texts(cls: type) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[str, ...]]:
    """A getter (in C) of the fields of a dataclass that may hold text, by their types, and their names. Plans are looked at apart."""
    try:
        types = get_type_hints(cls, include_extras=True)
    except NameError:  # a type that is imported for type checkers only
        types = {}
    names = tuple(f.name for f in fields(cls) if _may_hold_text(types.get(f.name, Any)))
    if cls in _SAID:
        names = tuple(n for n in names if n != "plan")
    one = attrgetter(names[0]) if names else None
    get = attrgetter(*names) if len(names) > 1 else lambda value: () if one is None else (one(value),)
    if cls in _SAID:
        _GETTERS[cls] = get
    return get, names


def _may_hold_text(kind: Any) -> bool:
    if (
        kind in _TEXTLESS
        or kind is Ellipsis
        or get_origin(kind) is Literal
        or ev.OURS in getattr(kind, "__metadata__", ())
    ):
        return False
    parts = get_args(kind)
    return any(map(_may_hold_text, parts)) if parts else True


def _pieces(value: Sequence[Any]) -> list[str] | None:
    """The texts of a list that may be one text in pieces: texts, [text, number] (tokens with their log probabilities), or the
    text parts of a message. None for every other list."""
    first = value[0]
    cls = first.__class__
    if cls is str:
        made = [item for item in value if item.__class__ is str]
    elif cls is list or cls is tuple:
        if not _is_token(first):
            return None
        made = [item[0] for item in value if item.__class__ is cls and _is_token(item)]
    elif cls is dict and "text" in first and "type" in first:
        made = [i["text"] for i in value if i.__class__ is dict and i.get("text").__class__ is str]
    else:
        return None
    return made if len(made) == len(value) else None


def _shared_length(one: str, other: str) -> int:
    """How many characters two texts share from their beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _is_token(item: Any) -> bool:
    """Whether this is a token with its log probability, which is never above 0."""
    return len(item) == 2 and item[0].__class__ is str and item[1].__class__ in (int, float) and item[1] <= 0


def _with_text(item: Any, text: str) -> Any:
    if item.__class__ is str:
        return text
    return {**item, "text": text} if item.__class__ is dict else item.__class__((text, item[1]))


def _note(kind: str, found: Counter[str], match: re.Match[str]) -> str:
    found[kind] += 1
    return _said_of(kind, match.group())


def _said_of(kind: str, text: str) -> str:
    """What stands in the place of a text of this shape."""
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


def secret_error(what: str, source: str = "") -> errors.BadOption:
    """The refusal of a definition that has a secret in it.

    Parameters
    ----------
    what
        The part that has it: ``the prompt of `triage```.
    source
        The text of the cell: the line is shown as it may be kept.
    """
    rows = source.splitlines()
    line = next((number for number, row in enumerate(rows, 1) if REDACTOR.is_in(row)), 0)
    return errors.BadOption(
        f"{what} has what looks like a key or a password in it.",
        line=line,
        source=source,
        hint="take it out, and replace the key: it was in a cell. Keys stay in the environment; models never need them",
    )
