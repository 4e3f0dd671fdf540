"""The same datum written in two ways: what breaks the program behind a model when the model is swapped.

Answers to the same input are held against each other, field by field. What is looked at is form, not truth: order and
separators of dates, sign and place of currency, separators of numbers, units and their spelling, letter case of labels,
and the shape, keys and types of JSON. Each difference is shown with both values.

Recognition is by patterns for English and the commonest European forms; a form that is not known is not flagged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from orch_nb.trace.preview import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MAX_TEXT = 8_000
MAX_DEPTH = 8
MAX_ITEMS = 50
MAX_FOUND = 40
"""Differences of one pair of answers; more of them say nothing more."""


@dataclass(slots=True, frozen=True)
class Difference:
    """One datum in two forms.

    Parameters
    ----------
    kind
        ``date``, ``time``, ``currency``, ``number``, ``unit``, ``letter case``, ``punctuation``, ``JSON shape``, ``keys`` or ``type``.
    where
        The field (``price.max``, ``items[0].due``); "" for the whole answer.
    one, other
        The form of each, in words; `one_value`, `other_value` what was written.
    """

    kind: str
    where: str
    one: str
    other: str
    one_value: str
    other_value: str

    @property
    def turned(self) -> Difference:
        """The same, seen from the other side."""
        return Difference(self.kind, self.where, self.other, self.one, self.other_value, self.one_value)

    @property
    def says(self) -> str:
        """``date: MM/DD/YYYY “03/14/2026” against YYYY-MM-DD “2026-03-14”``."""
        at = f" in `{self.where}`" if self.where else ""
        return f"{self.kind}{at}: {self.one} “{self.one_value}” against {self.other} “{self.other_value}”"


@dataclass(slots=True, frozen=True)
class Flag:
    """A difference between two candidates of one row."""

    row: int
    one: int
    other: int
    difference: Difference


def flags(row: int, answers: Mapping[int, Any]) -> list[Flag]:
    """Differences between every two answers to one input. O(pairs × size).

    Parameters
    ----------
    answers
        Candidate -> its answer; candidates without an answer are left out.
    """
    out = []
    for one, other in combinations(sorted(answers), 2):
        out += [Flag(row, one, other, found) for found in differences(answers[one], answers[other])]
    return out


def differences(one: Any, other: Any) -> list[Difference]:
    """Where two answers say things in different forms; [] for equal ones. ``differences(b, a)`` is the same, turned.

    Examples
    --------
    >>> [d.says for d in differences("Due 03/14/2026", "Due 2026-03-14")]
    ['date: MM/DD/YYYY “03/14/2026” against YYYY-MM-DD “2026-03-14”']
    >>> [d.kind for d in differences({"price": "$5"}, {"price": 5})]
    ['type']
    """
    (a, shape_a), (b, shape_b) = _shape_of(one), _shape_of(other)
    found: list[Difference] = []
    if shape_a != shape_b:
        found.append(Difference("JSON shape", "", shape_a, shape_b, brief(one, 60), brief(other, 60)))
    found += _compare(a, b, "", 0)
    return list(dict.fromkeys(found))[:MAX_FOUND]


# ------------------------------------------------------------------ shapes
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)```", re.DOTALL)


def _shape_of(value: Any) -> tuple[Any, str]:
    """What an answer says, and in what wrapping: JSON, JSON in a fence, or plain text (which a bare number is in, too: that
    is a difference of type)."""
    if not isinstance(value, str):
        return value, "JSON" if isinstance(value, dict | list) else "nothing" if value is None else "text"
    text = value.strip()
    fence = _FENCE.search(text)
    inner = fence[1].strip() if fence else text
    if inner[:1] in ("{", "["):
        try:
            return json.loads(inner), "JSON in a fence" if fence else "JSON"
        except (ValueError, RecursionError):
            return value, "text"
    return value, "text"


def _compare(a: Any, b: Any, where: str, depth: int) -> Iterator[Difference]:
    if depth > MAX_DEPTH or a is None or b is None:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        yield from _mappings(a, b, where, depth)
    elif isinstance(a, list) and isinstance(b, list):
        for i, (x, y) in enumerate(zip(a[:MAX_ITEMS], b[:MAX_ITEMS], strict=False)):
            yield from _compare(x, y, f"{where}[{i}]", depth + 1)
    elif _type(a) != _type(b):
        if where or not (isinstance(a, dict | list) or isinstance(b, dict | list)):
            yield Difference("type", where, _type(a), _type(b), brief(a, 60), brief(b, 60))
    elif isinstance(a, str) and a != b:
        yield from _texts(a[:MAX_TEXT], b[:MAX_TEXT], where)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def _mappings(a: dict[str, Any], b: dict[str, Any], where: str, depth: int) -> Iterator[Difference]:
    only_a, only_b = [k for k in a if k not in b], [k for k in b if k not in a]
    spelled: dict[str, str] = {}
    for key in only_b:
        spelled.setdefault(_letters(key), key)
    for key in only_a:
        twin = spelled.pop(_letters(key), None)
        if twin is not None:
            only_b.remove(twin)
        here = f"{where}.{key}" if where else key
        if twin is not None:
            yield Difference("keys", where, f"`{key}`", f"`{twin}`", key, twin)
            yield from _compare(a[key], b[twin], min(here, f"{where}.{twin}" if where else twin), depth + 1)
        else:
            yield Difference("keys", here, "present", "missing", f"{key}: {brief(a[key], 40)}", "–")
    for key in only_b:
        here = f"{where}.{key}" if where else key
        yield Difference("keys", here, "missing", "present", "–", f"{key}: {brief(b[key], 40)}")
    for key, value in a.items():
        if key in b:
            yield from _compare(value, b[key], f"{where}.{key}" if where else key, depth + 1)


def _letters(key: str) -> str:
    return re.sub(r"[\W_]+", "", key).casefold()


# ------------------------------------------------------------------ texts
def _texts(a: str, b: str, where: str) -> Iterator[Difference]:
    rest_a, rest_b = a, b
    for kind, find in _FINDERS.items():
        found_a, rest_a = find(rest_a)
        found_b, rest_b = find(rest_b)
        yield from _styles(kind, found_a, found_b, where)
    yield from _labels(a.strip(), b.strip(), where)


def _styles(kind: str, a: Sequence[_Form], b: Sequence[_Form], where: str) -> Iterator[Difference]:
    """One difference for each aspect that both texts show and neither shows as the other does."""
    for aspect in dict.fromkeys(f.aspect for f in (*a, *b)):
        of_a, of_b = [f for f in a if f.aspect == aspect], [f for f in b if f.aspect == aspect]
        if not of_a or not of_b or any(_alike(x, y) for x in of_a for y in of_b):
            swapped = next(((x, y) for x in of_a for y in of_b if _is_swapped(x, y)), None)
            if swapped is None:
                continue
            x, y = swapped
            style = f"{x.style.partition(' (')[0]} with day and month changed over"
            yield Difference(kind, where, style, style, x.text, y.text)
            continue
        x, y = of_a[0], of_b[0]
        yield Difference(kind, where, x.style, y.style, x.text, y.text)


@dataclass(slots=True, frozen=True)
class _Form:
    """How a text writes one datum. `aspect`: what can be compared with what; `style`: the form in words."""

    aspect: str
    style: str
    text: str
    may_be: tuple[str, ...] = ()
    """Further styles that it could be read as."""


def _alike(a: _Form, b: _Form) -> bool:
    return bool({a.style, *a.may_be} & {b.style, *b.may_be})


def _is_swapped(a: _Form, b: _Form) -> bool:
    """03/04/2026 and 04/03/2026: one of them has the day first."""
    parts_a, parts_b = re.split(r"[/.\-]", a.text), re.split(r"[/.\-]", b.text)
    is_open = bool(a.may_be) and bool(b.may_be) and len(parts_a) == len(parts_b) == 3
    return is_open and parts_a != parts_b and parts_a == [parts_b[1], parts_b[0], parts_b[2]]


def _take(
    text: str, pattern: re.Pattern[str], form: Callable[[re.Match[str]], _Form | None]
) -> tuple[list[_Form], str]:
    """Forms of a pattern, and the text without them: a date's digits are no numbers."""
    found: list[_Form] = []

    def take(match: re.Match[str]) -> str:
        made = form(match)
        if made is None:
            return match[0]
        found.append(made)
        return " "

    rest = pattern.sub(take, text)
    return found, rest


_MONTHS = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_YEAR_FIRST = re.compile(r"(?<![\d.,/-])\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)")
_YEAR_LAST = re.compile(r"(?<![\d.,/-])(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-]|[.,]\d)")
_DAY_MONTH = re.compile(
    rf"(?<!\d)\d{{1,2}}(?:st|nd|rd|th)?\.? (?:of )?({_MONTHS})\.?,? '?(\d{{4}}|\d{{2}})(?!\d)", re.IGNORECASE
)
_MONTH_DAY = re.compile(rf"\b({_MONTHS})\.? \d{{1,2}}(?:st|nd|rd|th)?,? (\d{{4}})(?!\d)", re.IGNORECASE)


def _dates(text: str) -> tuple[list[_Form], str]:
    found: list[_Form] = []
    for pattern, form in (
        (_YEAR_FIRST, lambda m: _Form("date", f"YYYY{m[1]}MM{m[1]}DD", m[0])),
        (_YEAR_LAST, _year_last),
        (_DAY_MONTH, lambda m: _Form("date", f"D {_month(m[1])} {'Y' * len(m[2])}", m[0])),
        (_MONTH_DAY, lambda m: _Form("date", f"{_month(m[1])} D, YYYY", m[0])),
    ):
        more, text = _take(text, pattern, form)
        found += more
    return found, text


def _month(name: str) -> str:
    return "Mon" if len(name) <= 4 and name.lower() not in ("june", "july") else "Month"


def _year_last(match: re.Match[str]) -> _Form | None:
    first, mark, second, year = int(match[1]), match[2], int(match[3]), "Y" * len(match[4])
    if not (1 <= first <= 31 and 1 <= second <= 31) or (first > 12 and second > 12):
        return None
    day_first, month_first = f"DD{mark}MM{mark}{year}", f"MM{mark}DD{mark}{year}"
    if first > 12:
        return _Form("date", day_first, match[0])
    if second > 12:
        return _Form("date", month_first, match[0])
    return _Form("date", f"NN{mark}NN{mark}{year} (day or month first)", match[0], (day_first, month_first))


_TIME = re.compile(r"(?<![\d:])(\d{1,2})(?::(\d{2})(:\d{2})?)? ?([ap]\.?m\.?\b)?(?![\d:])", re.IGNORECASE)


def _times(text: str) -> tuple[list[_Form], str]:
    def form(match: re.Match[str]) -> _Form | None:
        if match[4]:
            return _Form("time", "12 hours", match[0].strip())
        return _Form("time", "24 hours", match[0].strip()) if match[2] and int(match[1]) < 24 else None

    return _take(text, _TIME, form)


_AMOUNT = r"\d[\d.,'’ \u00a0\u202f]*\d|\d"
_CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR|SEK|NOK|DKK|PLN|BRL"
_SIGNS = "[$€£¥₹]"
_WORDS = {"dollar": "dollars", "euro": "euros", "pound": "pounds", "yen": "yen", "franc": "francs", "cent": "cents"}
_BEFORE = re.compile(rf"(?<!\w)({_SIGNS}|(?:{_CODES})(?=[\s\d]))( ?)({_AMOUNT})(?: ?({_CODES})\b)?")
_AFTER = re.compile(rf"({_AMOUNT})( ?)({_SIGNS}|(?:{_CODES})\b|(?:{'|'.join(_WORDS)})s?\b)")


def _money(text: str) -> tuple[list[_Form], str]:
    """Currency. The amounts stay: their separators are looked at next."""

    def before(match: re.Match[str]) -> _Form:
        code = f" and {match[4]} after" if match[4] else ""
        return _Form("currency", f"{match[1]}{' ' if match[2] else ''} before{code}", match[0])

    def after(match: re.Match[str]) -> _Form:
        sign = _WORDS.get(match[3].rstrip("s"), match[3])
        return _Form(
            "currency", f"{sign} after{'' if match[2] or sign in _WORDS.values() else ' without a blank'}", match[0]
        )

    found, rest = _take(text, _BEFORE, before)
    more, _ = _take(rest, _AFTER, after)
    return [*found, *more], text


_UNITS: dict[str, dict[str, tuple[str, ...]]] = {
    "length": {
        "km": ("kilometers", "kilometer", "kilometres", "kilometre"), "m": ("meters", "meter", "metres", "metre"),
        "cm": ("centimeters", "centimetres"), "mm": ("millimeters", "millimetres"), "mi": ("miles", "mile"),
        "ft": ("feet", "foot"), "in": ("inches", "inch"),
    },
    "mass": {
        "kg": ("kilograms", "kilogram", "kilos"), "g": ("grams", "gram"), "mg": ("milligrams",),
        "lb": ("lbs", "pounds of weight"), "oz": ("ounces", "ounce"), "t": ("tonnes", "tons"),
    },
    "duration": {
        "ms": ("milliseconds",), "s": ("seconds", "second", "sec"), "min": ("minutes", "minute", "mins"),
        "h": ("hours", "hour", "hrs", "hr"), "d": ("days", "day"), "wk": ("weeks", "week"), "mo": ("months", "month"),
        "yr": ("years", "year"),
    },
    "size": {
        "kB": ("KB", "kilobytes"), "MB": ("megabytes",), "GB": ("gigabytes",), "TB": ("terabytes",), "MiB": (), "GiB": (),
    },
    "share": {"%": ("percent", "per cent", "pct")},
    "temperature": {"°C": ("C", "degrees Celsius"), "°F": ("F", "degrees Fahrenheit")},
    "volume": {"l": ("L", "liters", "litres", "liter", "litre"), "ml": ("mL", "milliliters", "millilitres")},
}  # fmt: skip
_SPELLED = {
    word: (quantity, unit)
    for quantity, units in _UNITS.items()
    for unit, more in units.items()
    for word in (unit, *more)
}
_UNIT = re.compile(
    rf"(?<![\w.,])(\d[\d.,]*)( ?)({'|'.join(sorted(map(re.escape, _SPELLED), key=len, reverse=True))})(?![\w°%])"
)


def _units(text: str) -> tuple[list[_Form], str]:
    def form(match: re.Match[str]) -> _Form:
        quantity, unit = _SPELLED[match[3]]
        blank = "" if match[2] or unit == "%" else " without a blank"
        return _Form(quantity, f"{match[3]}{blank}", match[0])

    found, _ = _take(text, _UNIT, form)
    return found, text


_NUMBER = re.compile(r"(?<![\w.,'])\d+(?:[.,'’ \u00a0\u202f]\d+)*(?![\w'])")


def _numbers(text: str) -> tuple[list[_Form], str]:
    found = []
    for match in _NUMBER.finditer(text):
        found += _separators(match[0])
    return found, text


def _separators(number: str) -> list[_Form]:
    """Which marks a number has for thousands and for decimals; where both readings are possible, neither is claimed."""
    marks = re.findall(r"\D", number)
    groups = re.split(r"\D", number)
    decimal = ""
    if marks and marks[-1] in ".," and (len(groups[-1]) != 3 or len(set(marks)) > 1 or (marks == ["."])):
        decimal = marks[-1]
        marks, groups = marks[:-1], groups[:-1]
    if len(set(marks)) > 1 or any(len(g) != 3 for g in groups[1:]) or (len(groups[0]) > 3 and marks):
        return []  # several numbers in a row, or a version: not one number
    out = [_Form("decimal", f"decimal “{decimal}”", number)] if decimal and len(number) > 2 else []
    whole = "".join(groups)
    if marks:
        name = "a blank" if marks[0] in " \u00a0\u202f" else f"“{marks[0]}”"
        out.append(_Form("thousands", f"thousands by {name}", number))
    elif len(whole) >= 4 and not (len(whole) == 4 and "1900" <= whole <= "2100"):
        out.append(_Form("thousands", "thousands unmarked", number))
    return out


_FINDERS: dict[str, Callable[[str], tuple[list[_Form], str]]] = {
    "date": _dates,
    "time": _times,
    "currency": _money,
    "unit": _units,
    "number": _numbers,
}


# ------------------------------------------------------------------ labels
def _labels(a: str, b: str, where: str) -> Iterator[Difference]:
    """Letter case and end marks of texts that are otherwise equal, and of single words used as labels."""
    bare_a, bare_b = a.rstrip(".!;:, "), b.rstrip(".!;:, ")
    if bare_a != bare_b and bare_a.casefold() == bare_b.casefold():
        yield Difference("letter case", where, _case(bare_a), _case(bare_b), brief(a, 60), brief(b, 60))
    elif bare_a == bare_b and a != b:
        one, other = (x[len(x.rstrip(".!;:, ")) :].strip() or "none" for x in (a, b))
        yield Difference("punctuation", where, f"end mark {one}", f"end mark {other}", brief(a, 60), brief(b, 60))
    elif _is_label(bare_a) and _is_label(bare_b) and _case(bare_a) != _case(bare_b):
        yield Difference("letter case", where, _case(bare_a), _case(bare_b), brief(a, 60), brief(b, 60))


def _is_label(text: str) -> bool:
    return text.isalpha() and 2 <= len(text) <= 24


def _case(text: str) -> str:
    if text.isupper():
        return "UPPER CASE"
    if text.islower():
        return "lower case"
    return "Title Case" if text.istitle() else "Sentence case" if text[:1].isupper() else "mixed case"
