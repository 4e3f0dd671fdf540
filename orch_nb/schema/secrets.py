"""Finding keys and passwords in values and replacing them before they are stored, shown or sent.

The redactor looks for well-known shapes of keys and for the exact values of the keys in use. A mark in place of a secret has
its kind, and a part of its hash if the secret is long enough not to be guessed from that. Equal secrets give equal marks, so
that runs can still be compared.

Writers (store, displays, comms, tracebacks, requests, files) call `REDACTOR`, the redactor of this process. It knows the keys
that were resolved here (`providers.keys`, `Runtime.redactor`).

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
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from orch_nb import errors
from orch_nb.schema import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")

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
"""Kind -> texts of which every secret of this kind has one (a fast first check), and the shape. More special kinds come first."""


def _sign(hint: str) -> str:
    return next((sign for sign in "_=-:" if sign in hint), "")


LEAST = 8
"""Least length of a key in use that is looked for: shorter ones would be found in ordinary words."""
CUT_FROM, CUT_AT = 24, 16
"""Of a key in use with at least `CUT_FROM` characters, the first `CUT_AT` are looked for: a cut text may end within the key."""
_WORD = re.compile(r"(?=.{1,19}$)[a-z]+(?:-[a-z]+)*")
"""A short word, as users give it to a local server that takes any key. It would be found in ordinary text."""
LONG, MOST_LONG = 1_000, 8_000_000
"""Length from which a text without secrets is cached, and the approximate limit of the cache, both in characters."""
HASHED_FROM = 20
"""Length from which a mark has a part of the hash: a shorter secret could be found by trying."""
_SHORTEST = 11
"""Length of the shortest text with a shape in it: ``://u:p@host``."""
_SHORTEST_KEY = 15
"""Length of the shortest shape that is not a part of an address: ``xoxb-0123456789``."""
_COMPILED = tuple((kind, hints, re.compile(shape)) for kind, (hints, shape) in SHAPES.items())
_SIGNS = ("_", "=", "-", ":", "")
"""Characters that are quick to find and rare in prose. A shape that needs one is not looked for in a text without it."""
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
        Reference -> value of the keys in use. The exact values are looked for, whatever their shape.

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
        """Remove all keys in use."""
        self._known: tuple[str, ...] = ()
        self._probes: tuple[str, ...] = ()
        self._least = _SHORTEST
        self._plans: dict[int, object] = {}
        self._keys: set[str] = set()
        self._long: set[str] = set()
        self._n_long = 0

    def know(self, keys: Iterable[str]) -> None:
        """Add keys in use. Short values and single words are ignored, such as `lm-studio`, which local servers take."""
        new = {key for key in keys if len(key) >= LEAST and not _WORD.fullmatch(key)}.difference(self._known)
        if new:
            self._known = tuple(sorted({*self._known, *new}, key=len, reverse=True))
            self._probes = tuple(dict.fromkeys(k[:CUT_AT] if len(k) >= CUT_FROM else k for k in self._known))
            self._least = LEAST
            self._plans, self._keys = {}, set()
            self._long, self._n_long = set(), 0

    # ---------------------------------------------------------------- finding
    def is_in(self, text: str) -> bool:
        """Return whether a text contains a secret. O(characters); a long text that a growing state repeats is read once."""
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
        for sign, pairs in _GROUPS:  # the hot path: every text of every value passes through here
            if sign in text:
                for hint, search in pairs:
                    if hint in text and search(text) is not None:
                        return True
        return False

    def finds(self, value: Any) -> bool:
        """Return whether data contain a secret anywhere: in keys of mappings, in fields, and in the joined pieces of a list."""
        cls = value.__class__
        if cls is str:
            return self.is_in(value)
        least = self._least
        if cls is dict:
            seen = self._keys
            for key, item in value.items():  # the hot path: short texts and known keys are skipped without a call
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
        """Return whether a mapping's key contains a secret; cache keys without one, because most occur many times."""
        if self.is_in(key):
            return True
        if len(self._keys) >= _MOST_KEYS:
            self._keys = set()
        self._keys.add(key)
        return False

    def _is_in_pieces(self, value: Sequence[object]) -> bool:
        """Return whether the joined items of a list contain a secret. Items that may be separate texts are searched only for
        keys in use: a shape may occur by chance where they meet."""
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
        """Return `text` with marks in place of secrets; the same object if it has none."""
        return self._mark(text, Counter()) if self.is_in(text) else text

    def clean(self, value: T) -> tuple[T, Counter[str]]:
        """Return `value` with marks in place of secrets, and their number by kind. The same object if it has none."""
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

    def _changes(self, value: Any, found: Counter[str]) -> dict[str, object]:
        """Return field -> new value for the fields of a dataclass that contain a secret."""
        get, names = _texts(value.__class__)
        return {n: self._clean(v, found) for n, v in zip(names, get(value), strict=True) if self.finds(v)}

    def _joint(self, value: Sequence[object], found: Counter[str]) -> Sequence[object]:
        """Return a list without the secrets in its joined pieces: the first piece gets the mark, the others lose their part."""
        if not value or not self._is_in_pieces(value):
            return value
        pieces = _pieces(value)
        assert pieces is not None
        parts, at = [], 0
        spans = self._replacements("".join(pieces), found, shapes=value[0].__class__ is not str)
        for piece in pieces:
            made, end = "", at + len(piece)
            left = at
            for start, stop, replacement in spans:
                if start < end and stop > at:
                    made += piece[max(left, at) - at : max(start, at) - at] + (replacement if start >= at else "")
                    left = min(stop, end)
            parts.append(made + piece[left - at :])
            at = end
        return [_with_text(item, part) for item, part in zip(value, parts, strict=True)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return (start, stop) of the secrets in a text, in order."""
        return [(start, stop) for start, stop, _ in self._replacements(text, Counter(), shapes=True)]

    def beginning(self, text: str) -> int:
        """Return the start of a key in use that the end of the text may begin, or the text's length."""
        ends = (len(text) - n for key in self._known for n in range(len(key) - 1, 0, -1) if text.endswith(key[:n]))
        return min(ends, default=len(text))

    def _replacements(self, text: str, found: Counter[str], *, shapes: bool) -> list[tuple[int, int, str]]:
        """Return (start, stop, replacement) of the secrets in a text, in order."""
        spans: list[tuple[int, int, str]] = []

        def add(start: int, stop: int, kind: str, replacement: str) -> None:
            if all(stop <= other or start >= end for other, end, _ in spans):
                spans.append((start, stop, replacement))
                found[kind] += 1

        for key in self._known:
            for match in re.finditer(re.escape(key), text):
                add(*match.span(), "key_in_use", mark("key_in_use", key))
        for kind, _, shape in _COMPILED if shapes else ():
            for match in shape.finditer(text):
                add(*match.span(), kind, _replacement(kind, match.group()))
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
        """Return `text` without the parts that agree with the beginning of a key in use."""
        head, *rest = text.split(probe)
        for part in rest:
            shared, key = self._nearest(probe, probe + part)
            found["key_in_use"] += 1
            head += mark("key_in_use", key) + part[shared - len(probe) :]
        return head

    def _nearest(self, probe: str, text: str) -> tuple[int, str]:
        """Return the key in use that agrees longest with a text that begins with a probe: (length, key)."""
        return max((_shared_length(key, text), key) for key in self._known if key.startswith(probe))

    # ---------------------------------------------------------------- events
    def event(self, event: Any) -> None:
        """Replace the secrets in the fields of an event before it is written, and record their number in the event.

        The engine then folds the event as it is stored.
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

    def _has_plan(self, plan: object) -> bool:
        """Return whether a plan contains a secret. Runs of one graph share one plan, which never changes: it is read once."""
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
        changes: dict[str, object] = {}
        for f in fields(event):
            found: Counter[str] = Counter()
            value = getattr(event, f.name)
            if self.finds(value):
                changes[f.name] = self._clean(value, found)
                if f.name in _COUNTED[event.__class__]:
                    total += found
        for name, made in changes.items():
            setattr(event, name, made)
        if not total:
            return
        if event.__class__ is ev.Finished:
            event.decision = {**(event.decision or {}), "secrets": dict(total)}
        elif event.__class__ is ev.Settled:
            event.note = "; ".join(filter(None, (event.note, summary(total))))
        elif event.__class__ is ev.RunStarted:
            event.secrets = dict(Counter(event.secrets or {}) + total)


_MOST_PLANS, _MOST_KEYS = 64, 4096
"""Largest number of plans and of mappings' keys without secrets that are cached."""
_COUNTED: dict[type, frozenset[str]] = {
    cls: frozenset({"inputs"} if cls is ev.RunStarted else {"value", "reply", "error"}) for cls in ev.TYPES.values()
}
"""Event type -> the fields whose replaced secrets are counted. `writes` are parts of the value, which is counted."""

REDACTOR = Redactor()
"""The redactor of this process, with the keys in use here. All writers use it."""
errors.redact = REDACTOR.text


_PLANNED: frozenset[object] = frozenset({ev.RunStarted, ev.Opened})
_Getter: TypeAlias = "Callable[[object], tuple[Any, ...]]"
_GETTERS: dict[type, _Getter] = {}


@cache
def _texts(cls: type) -> tuple[_Getter, tuple[str, ...]]:
    """Return a getter (in C) of the fields of a dataclass that may contain text, by their types, and their names.

    Plans are excluded: `_has_plan` reads them.
    """
    try:
        types = get_type_hints(cls, include_extras=True)
    except NameError:  # a type that is imported for type checkers only
        types = {}
    names = tuple(f.name for f in fields(cls) if _may_hold_text(types.get(f.name, object)))
    if cls in _COUNTED:
        names = tuple(n for n in names if n != "plan")
    one = attrgetter(names[0]) if names else None
    get = attrgetter(*names) if len(names) > 1 else lambda value: () if one is None else (one(value),)
    if cls in _COUNTED:
        _GETTERS[cls] = get
    return get, names


def _may_hold_text(kind: object) -> bool:
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
    """Return the texts of a list that may be one text in pieces: texts, [text, number] (tokens with their log probabilities),
    or the text parts of a message. None for every other list."""
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
    """Return the number of characters that two texts share from their beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _is_token(item: Sequence[object]) -> bool:
    """Return whether this is a token with its log probability, which is never above 0."""
    return len(item) == 2 and item[0].__class__ is str and item[1].__class__ in (int, float) and item[1] <= 0


def _with_text(item: Any, text: str) -> object:
    if item.__class__ is str:
        return text
    return {**item, "text": text} if item.__class__ is dict else item.__class__((text, item[1]))


def _note(kind: str, found: Counter[str], match: re.Match[str]) -> str:
    found[kind] += 1
    return _replacement(kind, match.group())


def _replacement(kind: str, text: str) -> str:
    """Return the replacement of a text of this shape."""
    kept = _KEPT.get(kind)
    if kept is None:
        return mark(kind, text)
    # The address around the secret remains, because the user recognizes it.
    head, middle, _ = text.partition(kept[0])
    return f"{head}{middle}{mark(kind, '')}{kept[1]}"


def mark(kind: str, secret: str) -> str:
    """Return the mark that replaces a secret."""
    if len(secret) < HASHED_FROM:
        return f"‹secret:{kind}›"
    return f"‹secret:{kind}:{blake2b(secret.encode(), digest_size=4, person=b'orch secret').hexdigest()}›"


def summary(found: Mapping[str, int]) -> str:
    """Return ``2 secrets replaced (aws, openai)``, "" for none."""
    count = sum(found.values())
    return f"{count} secret{'s' * (count != 1)} replaced ({', '.join(sorted(found))})" if count else ""


def secret_error(what: str, source: str = "") -> errors.BadOption:
    """Return the error of a definition that contains a secret.

    Parameters
    ----------
    what
        The part that contains it: ``the prompt of `triage```.
    source
        The text of the cell. The error shows the line without the secret.
    """
    rows = source.splitlines()
    line = next((number for number, row in enumerate(rows, 1) if REDACTOR.is_in(row)), 0)
    return errors.BadOption(
        f"{what} has what looks like a key or a password in it.",
        line=line,
        source=source,
        hint="remove it and replace the key, because it was in a cell; put keys into the environment",
    )
