"""Flags the same datum in two forms, which breaks a program that reads answers when their model is swapped.

Answers to the same input are compared field by field, by form and not by truth: shape, keys and types of JSON, order and
separators of dates, sign and place of currency, letter case of labels. Each difference is shown with both values. Dates
and currencies are found by patterns for English and common European forms; other forms are not flagged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, cast

from orch_nb.trace.preview import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_nb.schema.values import Json, JsonObject

MAX_TEXT = 8_000
MAX_DEPTH = 8
MAX_ITEMS = 50
MAX_FOUND = 40
"""Differences that are shown of one pair of answers."""


@dataclass(slots=True, frozen=True)
class Difference:
    """One datum in two forms.

    Parameters
    ----------
    kind
        ``date``, ``currency``, ``letter case``, ``JSON shape``, ``keys`` or ``type``.
    where
        The field (``price.max``, ``items[0].due``); "" for the whole answer.
    one, other
        The form of each, in words; `one_value`, `other_value`: the data as written.
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
        """One line: ``date: MM/DD/YYYY “03/14/2026” against YYYY-MM-DD “2026-03-14”``."""
        at = f" in `{self.where}`" if self.where else ""
        return f"{self.kind}{at}: {self.one} “{self.one_value}” against {self.other} “{self.other_value}”"


@dataclass(slots=True, frozen=True)
class Flag:
    """A difference between two candidates of one row."""

    row: int
    one: int
    other: int
    difference: Difference


def flags(row: int, answers: Mapping[int, object]) -> list[Flag]:
    """Return the differences between every two answers to one input. O(pairs × size).

    Parameters
    ----------
    answers
        Candidate -> its answer; candidates without an answer are left out.
    """
    out = []
    for one, other in combinations(sorted(answers), 2):
        out += [Flag(row, one, other, found) for found in differences(answers[one], answers[other])]
    return out


def differences(one: object, other: object) -> list[Difference]:
    """Return where two answers have different forms; [] for equal ones. ``differences(b, a)`` is the same, turned.

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


def _shape_of(value: object) -> tuple[Json, str]:
    """Return the data of an answer and its shape: JSON, JSON in a fence, or text, as which a number counts, too."""
    if not isinstance(value, str):
        return cast("Json", value), "JSON" if isinstance(value, dict | list) else "nothing" if value is None else "text"
    text = value.strip()
    fence = _FENCE.search(text)
    inner = fence[1].strip() if fence else text
    if inner[:1] in ("{", "["):
        try:
            return json.loads(inner), "JSON in a fence" if fence else "JSON"
        except (ValueError, RecursionError):
            return value, "text"
    return value, "text"


def _compare(a: Json, b: Json, where: str, depth: int) -> Iterator[Difference]:
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
    elif isinstance(a, str) and isinstance(b, str) and a != b:
        yield from _texts(a[:MAX_TEXT], b[:MAX_TEXT], where)


def _type(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def _mappings(a: JsonObject, b: JsonObject, where: str, depth: int) -> Iterator[Difference]:
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
    for kind, find in (("date", _dates), ("currency", _currencies)):
        yield from _styles(kind, find(a), find(b), where)
    yield from _labels(a.strip().rstrip(END_MARKS), b.strip().rstrip(END_MARKS), where)


def _styles(kind: str, a: list[_Form], b: list[_Form], where: str) -> Iterator[Difference]:
    """Yield the difference of two texts that both have such data, none of them in a form of the other's."""
    if not a or not b:
        return
    if not any(x.may_be & y.may_be for x in a for y in b):
        yield Difference(kind, where, a[0].style, b[0].style, a[0].text, b[0].text)
        return
    swapped = [(x, y) for x, y in product(a, b) if _is_swapped(x, y)]
    if swapped:
        x, y = min(swapped, key=lambda pair: sorted((pair[0].text, pair[1].text)))
        style = f"{x.style.partition(' (')[0]} with day and month swapped"
        yield Difference(kind, where, style, style, x.text, y.text)


@dataclass(slots=True, frozen=True)
class _Form:
    """The form in which a text writes one datum: in words, as written, and each form that it may be read as."""

    style: str
    text: str
    may_be: frozenset[str]


def _form(style: str, text: str, *may_be: str) -> _Form:
    return _Form(style, text, frozenset(may_be or (style,)))


def _is_swapped(a: _Form, b: _Form) -> bool:
    """Return whether one has the day first and the other the month: 03/04/2026 and 04/03/2026."""
    if len(a.may_be) < 2 or len(b.may_be) < 2:
        return False
    first, second, year = re.split(r"[/.\-]", a.text)
    return first != second and re.split(r"[/.\-]", b.text) == [second, first, year]


_MONTHS = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_DATE = re.compile(
    rf"""(?<![\d.,/-])\d{{4}}(?P<ymd>[-/.])\d{{1,2}}(?P=ymd)\d{{1,2}}(?!\d)
    |(?<![\d.,/-])(?P<first>\d{{1,2}})(?P<mark>[/.-])(?P<second>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d{{2}})(?![\d/-]|[.,]\d)
    |(?<!\d)\d{{1,2}}(?:st|nd|rd|th)?\.?[ ](?:of[ ])?(?P<dm>{_MONTHS})\.?,?[ ]'?(?P<dmy>\d{{4}}|\d{{2}})(?!\d)
    |\b(?P<md>{_MONTHS})\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ]\d{{4}}(?!\d)""",
    re.IGNORECASE | re.VERBOSE,
)


def _dates(text: str) -> list[_Form]:
    return [form for match in _DATE.finditer(text) if (form := _date(match)) is not None]


def _date(match: re.Match[str]) -> _Form | None:
    if match["ymd"]:
        return _form(f"YYYY{match['ymd']}MM{match['ymd']}DD", match[0])
    if match["dm"]:
        return _form(f"D {_month(match['dm'])} {'Y' * len(match['dmy'])}", match[0])
    if match["md"]:
        return _form(f"{_month(match['md'])} D, YYYY", match[0])
    first, second, mark, year = int(match["first"]), int(match["second"]), match["mark"], "Y" * len(match["year"])
    if not (1 <= first <= 31 and 1 <= second <= 31) or (first > 12 and second > 12):
        return None
    day_first, month_first = f"DD{mark}MM{mark}{year}", f"MM{mark}DD{mark}{year}"
    if first <= 12 and second <= 12:
        return _form(f"NN{mark}NN{mark}{year} (day or month first)", match[0], day_first, month_first)
    return _form(day_first if first > 12 else month_first, match[0])


def _month(name: str) -> str:
    return "Mon" if len(name) <= 4 and name.lower() not in ("june", "july") else "Month"


_AMOUNT = r"\d[\d.,'’ \u00a0\u202f]*\d|\d"
_CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR|SEK|NOK|DKK|PLN|BRL"
_SIGNS = "[$€£¥₹]"
_CURRENCY = re.compile(
    rf"(?<!\w)(?P<before>{_SIGNS}|(?:{_CODES})(?=[\s\d])) ?(?:{_AMOUNT})"
    rf"|(?:{_AMOUNT}) ?(?P<after>{_SIGNS}|(?:{_CODES})\b|(?:dollar|euro|pound|yen|franc|cent)s?\b)"
)


def _currencies(text: str) -> list[_Form]:
    forms = []
    for match in _CURRENCY.finditer(text):
        after = match["after"] or ""
        after = after.removesuffix("s") + "s" if after.islower() else after
        forms.append(_form(f"{match['before']} before" if match["before"] else f"{after} after", match[0]))
    return forms


# ------------------------------------------------------------------ labels
END_MARKS = ".!;:, "


def _labels(a: str, b: str, where: str) -> Iterator[Difference]:
    """Yield a difference of letter case, of equal texts and of single words used as labels; end marks do not count."""
    if _case(a) != _case(b) and (a.casefold() == b.casefold() or (_is_label(a) and _is_label(b))):
        yield Difference("letter case", where, _case(a), _case(b), brief(a, 60), brief(b, 60))


def _is_label(text: str) -> bool:
    return text.isalpha() and 2 <= len(text) <= 24


def _case(text: str) -> str:
    if text.isupper():
        return "UPPER CASE"
    if text.islower():
        return "lower case"
    return "Title Case" if text.istitle() else "Sentence case" if text[:1].isupper() else "mixed case"
