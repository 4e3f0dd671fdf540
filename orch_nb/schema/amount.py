"""Amounts as people type them: plain ASCII digits and one point. All amounts are read here.

A comma is always refused: one reader takes ``0,50`` for half a dollar and another for fifty. Exponents, digits of other
scripts and a second sign are refused, too. Each error shows the amount as it would be accepted.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, localcontext
from fractions import Fraction
from numbers import Integral
from typing import Any

from orch_nb.errors import BadOption

DOLLARS = "an amount in dollars"
PLAIN = "write digits and one point: 0.50"
MAX_PLACES = 40
_PLAIN = re.compile(rf"(?:0|[1-9][0-9]{{0,2}}(?:_[0-9]{{3}})+|[1-9][0-9]{{0,29}})(?:\.[0-9]{{1,{MAX_PLACES}}})?")
_LOOSE = re.compile(
    r"(?P<more>\+?)[+$\s]*(?P<digits>[0-9.,_'’]*[0-9][0-9.,_'’]*)(?P<exponent>[eE][+-]?[0-9]{1,2})?[\s$]*"
)
_LIKE = re.compile(r"[-+−$＄]*[.,٫]?\d.*")
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:(?P<mark>[.,'’_])[0-9]{3})(?:(?P=mark)[0-9]{3})*(?:(?!(?P=mark))[.,][0-9]+)?")
_OTHER_SIGNS = str.maketrans("٫．٬，＄＋", "..,,$+")


def read_amount(
    value: object,
    subject: str,
    *,
    most: int | Decimal,
    least: int | Decimal = 0,
    of: str = DOLLARS,
    is_whole: bool = False,
    typed: str = "",
    example: str = "",
) -> Decimal:
    """Read an amount strictly: a finite number, or a text of plain digits with at most one point.

    Parameters
    ----------
    subject
        The subject of the error: "`budget`".
    least, most
        The bounds, both included.
    of
        What the subject must be. Dollars may have a ``$`` before them.
    is_whole
        Whether it must be a whole number.
    typed
        The line that contains the amount. The hint shows the corrected line.
    example
        The hint if no correction is possible, and if the amount is out of bounds.

    Raises
    ------
    BadOption
        It is not an amount, or is out of bounds. The error shows the value and, if possible, the correct form.

    Examples
    --------
    >>> read_amount("0.50", "`budget`", most=100)
    Decimal('0.50')
    >>> read_amount("0,50", "`budget`", most=100)
    Traceback (most recent call last):
    orch_nb.errors.BadOption: `budget` must be an amount in dollars, got '0,50'.
        hint: write 0.50
    """
    got = _number(value, is_usd=of is DOLLARS)
    if got is None:
        raise BadOption(
            f"{subject} must be {of}, got {shown(value)}.",
            hint=_hint(value, typed, is_whole=is_whole) or example or PLAIN,
        )
    if not got.is_finite():
        raise BadOption(f"{subject} must be finite, got {shown(value)}.")
    if not least <= got <= most or (is_whole and got != got.to_integral_value()):
        whole = "a whole number " if is_whole else ""
        raise BadOption(f"{subject} must be {whole}from {least} to {most:,}, got {shown(value)}.", hint=example)
    if int(got.as_tuple().exponent) < -MAX_PLACES:  # rounding errors of a float, which a text could not have
        with localcontext(prec=100):
            got = round(got, MAX_PLACES)
    return got or Decimal(0)  # not -0


def read_exact(value: object, subject: str, *, most: int | Decimal = 10**12, **rules: Any) -> Fraction:
    """Read an amount as `read_amount` does, or a `Fraction` within the same bounds; return an exact number."""
    if isinstance(value, Fraction) and rules.get("least", 0) <= value <= most:
        return value
    if isinstance(value, Fraction):
        raise BadOption(f"{subject} must be from {rules.get('least', 0)} to {most:,}, got {value}.")
    return Fraction(read_amount(value, subject, most=most, **rules))


def is_amount_like(text: str) -> bool:
    """Return whether a text looks like an amount, correct or not: it begins with a digit, perhaps after a sign.

    >>> [is_amount_like(text) for text in ("0.50", "$5", "0,50", "4o/mini", "small", "-1", ".5")]
    [True, True, True, False, False, True, True]
    """
    text = text.strip()
    return _LIKE.fullmatch(text) is not None and not re.search(r"[^\W\d_]", re.sub(r"(?<=\d)[eE](?=[-+]?\d)", "", text))


def corrected(text: str) -> str:
    """Return a refused amount in a form that `read_amount` accepts, "" if its meaning is unclear.

    >>> [corrected(text) for text in ("0,50", "1.234,56", ".5", "1e3", "$$2", "+0,10", "1,000", "many")]
    ['0.50', '1234.56', '0.5', '1000', '2', '+0.10', '1000 or 1.000', '']
    """
    if len(text) > 60:
        return ""
    ascii_only = "".join(str(unicodedata.decimal(c, c)) for c in text.strip()).translate(_OTHER_SIGNS)
    found = _LOOSE.fullmatch(ascii_only)
    if found is None:
        return ""
    digits, ways = found["digits"].rstrip(".,"), []
    if _GROUPED.fullmatch(digits):
        decimal = digits[max(digits.rfind("."), digits.rfind(",")) :]
        is_one_mark = len({c for c in digits if not c.isdigit()}) == 1
        ways = [
            re.sub(r"\D", "", digits)
            if is_one_mark
            else f"{re.sub(r'[^0-9]', '', digits[: -len(decimal)])}.{decimal[1:]}"
        ]
    if len(re.findall(r"[.,]", digits)) <= 1 and not re.search(r"['’_]", digits):
        ways.append(digits.replace(",", "."))
    return " or ".join(filter(None, (_plain(way, found["exponent"] or "", found["more"]) for way in ways)))


def _plain(digits: str, exponent: str, more: str) -> str:
    whole, point, part = digits.partition(".")
    if whole.startswith("0") and whole != "0" and not part:
        return ""
    text = (whole.lstrip("0") or "0") + (point + part if part else "")
    if exponent:
        text = format(Decimal(text + exponent), "f")
    return more + text if _PLAIN.fullmatch(text) else ""


def shown(value: object) -> str:
    """Return a refused value as an error shows it."""
    text = str(value) if isinstance(value, int | float | Decimal) else repr(value)
    return text if len(text) <= 42 else f"{text[:40]}…"


def _number(value: object, *, is_usd: bool) -> Decimal | None:
    if isinstance(value, str):
        text = str.__str__(value).strip()
        text = text.removeprefix("$") if is_usd else text
        return Decimal(text) if _PLAIN.fullmatch(text) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, Integral):
        return Decimal(int(value))
    item = getattr(value, "item", None)
    if item is not None and type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = item()
    return Decimal(float.__repr__(value)) if isinstance(value, float) else None


def _hint(value: object, typed: str, *, is_whole: bool) -> str:
    if not isinstance(value, str):
        return ""
    ways = corrected(value).split(" or ")
    way = " or ".join(w for w in ways if not (is_whole and "." in w))
    if not way or way == value:
        return ""
    return f"write {typed.strip().replace(value, way, 1) if value in typed and ' or ' not in way else way}"
