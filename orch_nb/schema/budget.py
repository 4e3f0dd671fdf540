"""A budget as data: limits in dollars, tokens, calls and seconds, and what happens at them. One grammar everywhere.

``0.05`` · ``$0.05, 20 calls`` · ``0.50 tokens=200000 calls=100 seconds=600`` · ``0.05, ask`` · ``0.05 degrade=small`` in a
line; ``budget: {usd: 0.01, calls: 5}`` in an agent's cell; a number, a text or a mapping in Python.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITS = ("usd", "tokens", "calls", "seconds")
"""What a budget counts: US dollars, tokens (of prompts and answers), model calls, seconds (of model and tool calls)."""
WHOLE = frozenset({"tokens", "calls"})
MOST = {"usd": 1_000_000, "tokens": 10**12, "calls": 10**9, "seconds": 10**9}
AT_LIMIT = ("stop", "degrade", "ask")
_WORDS = {
    "usd": "usd", "dollars": "usd", "token": "tokens", "tokens": "tokens", "call": "calls", "calls": "calls",
    "s": "seconds", "second": "seconds", "seconds": "seconds",
}  # fmt: skip
_KEYS = (*UNITS, "at_limit", "degrade")
_DIGITS = re.compile(r"\d{1,13}(\.\d{1,12})?")
_PART = re.compile(r"[\w.]+\s*=\s*[^\s,]+|[^\s,]+")
EXAMPLE = "e.g. `0.05`, `0.05, 20 calls`, `0.50 tokens=200000 calls=100 seconds=600`, `0.05 ask`, `0.05 degrade=small`"


@dataclass(slots=True, frozen=True)
class Budget:
    """Limits, each None for none.

    Parameters
    ----------
    usd
        US dollars: reserved at an upper bound before each call, settled at what it cost.
    tokens
        Of prompts and answers together: reserved and settled in the same way.
    calls
        Model calls; one that failed, was retried or repaired counts like any other.
    seconds
        Of model and tool calls, added up. Nothing is reserved, because a call's time-out would be far too much: a call is not
        begun once the limit is reached, and one that is under way then is not cut off. What passed the limit is overrun.
    at_limit
        "stop": the run ends with what it has. "degrade": the call goes to a cheaper model that fits. "ask": a person is
        asked for more; unattended, it stops.
    degrade
        The notebook's name of the model to degrade to; "": the cheapest of the notebook's models that can take the request.
    """

    usd: Decimal | None = None
    tokens: Decimal | None = None
    calls: Decimal | None = None
    seconds: Decimal | None = None
    at_limit: str = "stop"
    degrade: str = ""

    def limit(self, unit: str) -> Decimal | None:
        """The limit in this unit."""
        got: Decimal | None = getattr(self, unit)
        return got

    @property
    def has_limit(self) -> bool:
        """Whether anything is limited."""
        return any(self.limit(unit) is not None for unit in UNITS)

    def beside_usd(self) -> dict[str, Any] | None:
        """What an event keeps beside its `limit_usd`; None when that says everything. `budget_of` undoes it."""
        out: dict[str, Any] = {u: str(self.limit(u)) for u in UNITS[1:] if self.limit(u) is not None}
        if self.at_limit != "stop":
            out["at_limit"] = self.at_limit
        if self.degrade:
            out["degrade"] = self.degrade
        return out or None

    def as_data(self) -> Any:
        """Plain data that `parse_budget` reads: a text where only dollars are limited, else a mapping."""
        beside = self.beside_usd()
        if beside is None:
            return None if self.usd is None else format(self.usd, "f")
        return {**({} if self.usd is None else {"usd": format(self.usd, "f")}), **beside}

    def __str__(self) -> str:
        """As it can be typed: ``0.05, 20 calls, ask``."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if self.usd is not None:
            yield format(self.usd, "f")
        for unit in UNITS[1:]:
            limit = self.limit(unit)
            if limit is not None:
                yield f"{format(limit, 'f')} {unit[:-1] if limit == 1 else unit}"
        if self.degrade:
            yield f"degrade={self.degrade}"
        elif self.at_limit != "stop":
            yield self.at_limit


def budget_of(limit_usd: Decimal | None, beside: Mapping[str, Any] | None) -> Budget:
    """The budget that an event kept as `limit_usd` and what `Budget.beside_usd` gave."""
    if not beside:
        return Budget(limit_usd)
    limits = {u: Decimal(beside[u]) for u in UNITS[1:] if u in beside}
    return Budget(limit_usd, **limits, at_limit=beside.get("at_limit", "stop"), degrade=beside.get("degrade", ""))


def parse_budget(value: Any, key: str = "budget", *, before: Budget | None = None) -> Budget:
    """The budget that `value` says: a number of dollars, a text in the grammar above, a mapping, or a `Budget`.

    Parameters
    ----------
    key
        What it is called in errors.
    before
        The budget so far. It is what ``+0.50`` and ``calls=+20`` add to, and what is not mentioned stays as it was.

    Raises
    ------
    BadOption
        It is none of these; the amount, or the word that is nearest to a known one, is named.
    """
    made = before or Budget()
    if isinstance(value, Budget):
        return value
    if isinstance(value, str):
        for word, text in _parts_of(value, key):
            made = _with(made, word, text, key)
        return made
    if hasattr(value, "items"):
        if not value:
            raise BadOption(f"`{key}` is empty.", hint=EXAMPLE)
        for word, text in value.items():
            made = _with(made, str(word), text, key)
        return made
    return _with(made, "usd", value, key)


def _parts_of(text: str, key: str) -> list[tuple[str, str]]:
    """(word, amount) of each part of a text: ``20 calls``, ``calls=20``, ``0.05``, ``ask``."""
    words = _PART.findall(text)
    if not words:
        raise BadOption(f"`{key}` is empty.", hint=EXAMPLE)
    out: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        name, equals, amount = (part.strip() for part in word.partition("="))
        if equals:
            out.append((name, amount))
        elif name in AT_LIMIT:
            out.append(("at_limit", name))
        elif words and words[0] in _WORDS:
            out.append((words.pop(0), name))
        else:
            out.append(("usd", name))
    return out


def _with(budget: Budget, word: str, amount: Any, key: str) -> Budget:
    """`budget` with one part of it changed."""
    if word == "at_limit":
        return replace(budget, at_limit=_one_of(amount, key), degrade="")
    if word == "degrade":
        return replace(budget, at_limit="degrade", degrade=_name(amount, key))
    unit = _WORDS.get(word)
    if unit is None:
        near = nearest(word, _KEYS)
        raise BadOption(
            f"`{key}` has no `{word:.40}`.", hint=f"did you mean `{near}`?" if near else f"one of {', '.join(_KEYS)}"
        )
    changed: dict[str, Any] = {unit: _amount(amount, unit, key, budget.limit(unit))}
    return replace(budget, **changed)


def _one_of(word: Any, key: str) -> str:
    if word not in AT_LIMIT:
        near = nearest(str(word), AT_LIMIT)
        raise BadOption(
            f"`{key}` cannot {str(word)[:40]!r} at its limit.",
            hint=f"did you mean `{near}`?" if near else f"one of {', '.join(AT_LIMIT)}",
        )
    return str(word)


def _name(value: Any, key: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w./:-]{1,200}", value):
        raise BadOption(f"`{key}` degrades to {value!r:.40}, which is no name of a model.", hint="e.g. `degrade=small`")
    return value


def _amount(value: Any, unit: str, key: str, before: Decimal | None) -> Decimal | None:
    """A limit in `unit`: an amount, ``+`` an amount, or "none"."""
    what = f"`{key}`" if unit == "usd" else f"`{key}`: {unit}"
    of = "amount in dollars" if unit == "usd" else f"number of {unit}"
    if value is None or value == "none":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadOption(f"{what} is {value!r:.40}, which is no {of}.", hint=EXAMPLE)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadOption(f"{what} is {value}; it must be finite.", hint=EXAMPLE)
    text = str(value).strip()
    is_more = isinstance(value, str) and text.startswith("+")
    text = text.removeprefix("+") if is_more else text
    text = text.removeprefix("$") if unit == "usd" else text
    if isinstance(value, str):
        text = text.replace("_", "") if unit != "usd" else text
        if unit == "usd" and (near := nearest(text, (*AT_LIMIT, *_WORDS))):
            raise BadOption(f"`{key}` has no `{text:.40}`.", hint=f"did you mean `{near}`?")
        if not _DIGITS.fullmatch(text):
            raise BadOption(f"{what} is {value!r:.40}, which is no {of}.", hint=f"in plain digits; {EXAMPLE}")
    got = Decimal(text)
    if not got.is_finite() or not 0 <= got <= MOST[unit] or (unit in WHOLE and got != got.to_integral_value()):
        whole = "a whole number " if unit in WHOLE else ""
        raise BadOption(f"{what} is {value}; it must be {whole}from 0 to {MOST[unit]:,}.", hint=EXAMPLE)
    return (before or Decimal(0)) + got if is_more else got
