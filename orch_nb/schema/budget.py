"""A budget as data: limits in dollars, tokens, calls and seconds, and the action at a limit. The grammar is the same everywhere.

In a line: ``0.05`` · ``$0.05, 20 calls`` · ``0.50 tokens=200000 calls=100 seconds=600`` · ``0.05, ask`` · ``0.05
degrade=small``. In an agent's cell: ``budget: {usd: 0.01, calls: 5}``. In Python: a number, a text or a mapping.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_nb.errors import BadOption, nearest
from orch_nb.schema.amount import DOLLARS, is_amount_like, read_amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITS = ("usd", "tokens", "calls", "seconds")
"""Units of a budget: US dollars, tokens (of prompts and answers), model calls, seconds (of model and tool calls)."""
WHOLE = frozenset({"tokens", "calls"})
MOST = {"usd": 1_000_000, "tokens": 10**12, "calls": 10**9, "seconds": 10**9}
AT_LIMIT = ("stop", "degrade", "ask")
_WORDS = {
    "usd": "usd", "dollars": "usd", "token": "tokens", "tokens": "tokens", "call": "calls", "calls": "calls",
    "s": "seconds", "second": "seconds", "seconds": "seconds",
}  # fmt: skip
_KEYS = (*UNITS, "at_limit", "degrade")
_BETWEEN = re.compile(r"\s*,\s+|\s+")
EXAMPLE = "e.g. `0.05`, `0.05, 20 calls`, `0.50 tokens=200000 calls=100 seconds=600`, `0.05 ask`, `0.05 degrade=small`"


@dataclass(slots=True, frozen=True)
class Budget:
    """Limits, each None for none.

    Parameters
    ----------
    usd
        US dollars: reserved at an upper bound before each call, settled at its cost.
    tokens
        Tokens of prompts and answers together, reserved and settled in the same way.
    calls
        Model calls. Calls that fail, retries and repairs count, too.
    seconds
        Total seconds of model and tool calls. None are reserved, because a call's timeout would be far too much: a new call
        does not start once the limit is reached, and a running call is not stopped. Seconds above the limit are overrun.
    at_limit
        "stop": the run ends with the results so far. "degrade": the call goes to a cheaper model that fits. "ask": a person
        is asked for a higher limit; an unattended run stops.
    degrade
        The notebook's name of the model to degrade to. "": the cheapest of the notebook's models that can take the request.
    """

    usd: Decimal | None = None
    tokens: Decimal | None = None
    calls: Decimal | None = None
    seconds: Decimal | None = None
    at_limit: str = "stop"
    degrade: str = ""

    def limit(self, unit: str) -> Decimal | None:
        """Return the limit in this unit, None for none."""
        got: Decimal | None = getattr(self, unit)
        return got

    def limits(self) -> dict[str, Decimal]:
        """Return unit -> limit of the units that are limited."""
        pairs = (("usd", self.usd), ("tokens", self.tokens), ("calls", self.calls), ("seconds", self.seconds))
        return {unit: limit for unit, limit in pairs if limit is not None}

    @property
    def has_limit(self) -> bool:
        """True if the budget has a limit in any unit."""
        return bool(self.limits())

    def beside_usd(self) -> dict[str, str] | None:
        """Return the part of the budget that an event stores beside its `limit_usd`, None for dollars alone.

        `budget_of` is the inverse.
        """
        out: dict[str, str] = {unit: str(limit) for unit, limit in self.limits().items() if unit != "usd"}
        if self.at_limit != "stop":
            out["at_limit"] = self.at_limit
        if self.degrade:
            out["degrade"] = self.degrade
        return out or None

    def as_data(self) -> str | dict[str, str] | None:
        """Return plain data that `parse_budget` reads: a text if only dollars are limited, else a mapping."""
        beside = self.beside_usd()
        if beside is None:
            return None if self.usd is None else format(self.usd, "f")
        return {**({} if self.usd is None else {"usd": format(self.usd, "f")}), **beside}

    def __str__(self) -> str:
        """Return the budget as it can be typed: ``0.05, 20 calls, ask``."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if self.usd is not None:
            yield format(self.usd, "f")
        for unit, limit in self.limits().items():
            if unit != "usd":
                yield f"{format(limit, 'f')} {unit[:-1] if limit == 1 else unit}"
        if self.degrade:
            yield f"degrade={self.degrade}"
        elif self.at_limit != "stop":
            yield self.at_limit


BudgetLike: TypeAlias = "Budget | Decimal | float | str | Mapping[str, object] | None"
"""A budget as it is given in Python: dollars, a text in the grammar above, a mapping, or a `Budget`; None for no limit."""


def budget_of(limit_usd: Decimal | None, beside: Mapping[str, str] | None) -> Budget:
    """Return the budget that an event stored as `limit_usd` and the result of `Budget.beside_usd`."""
    if not beside:
        return Budget(limit_usd)
    limits = {u: Decimal(beside[u]) for u in UNITS[1:] if u in beside}
    return Budget(limit_usd, **limits, at_limit=beside.get("at_limit", "stop"), degrade=beside.get("degrade", ""))


def parse_budget(value: object, key: str = "budget", *, before: Budget | None = None) -> Budget:
    """Read a budget: a number of dollars, a text in the grammar above, a mapping, or a `Budget`.

    Parameters
    ----------
    key
        The name of the budget in errors.
    before
        The budget so far. ``+0.50`` and ``calls=+20`` add to it, and the limits that are not mentioned remain.

    Raises
    ------
    BadOption
        It is none of these. The error shows the wrong amount, or suggests the nearest word.
    """
    made = before or Budget()
    if isinstance(value, Budget):
        return _apply_parts(Budget(), _data_of(value), key)
    if isinstance(value, str):
        return _apply_parts(made, _parts_of(value, key), key, typed=value)
    if hasattr(value, "items"):
        if not value:
            raise BadOption(f"`{key}` is empty.", hint=EXAMPLE)
        return _apply_parts(made, [(str(word), amount) for word, amount in value.items()], key)
    return _apply_parts(made, [("usd", value)], key)


def _data_of(budget: Budget) -> list[tuple[str, object]]:
    """Return the parts of a budget that was made in Python, so that its limits are checked like any others."""
    return [*budget.limits().items(), ("degrade", budget.degrade) if budget.degrade else ("at_limit", budget.at_limit)]


def _parts_of(text: str, key: str) -> list[tuple[str, object]]:
    """Return (word, amount) of each part of a text: ``20 calls``, ``calls=20``, ``0.05``, ``ask``.

    A comma without a space does not separate parts.
    """
    words = _BETWEEN.split(re.sub(r"\s*=\s*", "=", text).strip())
    if not words[0]:
        raise BadOption(f"`{key}` is empty.", hint=EXAMPLE)
    out: list[tuple[str, object]] = []
    while words:
        word = words.pop(0)
        name, equals, amount = word.partition("=")
        if equals:
            out.append((name, amount))
        elif name in AT_LIMIT:
            out.append(("at_limit", name))
        elif words and words[0] in _WORDS:
            out.append((words.pop(0), name))
        elif not is_amount_like(name) and (near := nearest(name, (*AT_LIMIT, *_WORDS))):
            raise BadOption(f"`{key}` has no `{name:.40}`.", hint=f"did you mean `{near}`?")
        else:
            out.append(("usd", name))
    return out


def _apply_parts(before: Budget, parts: list[tuple[str, object]], key: str, *, typed: str = "") -> Budget:
    """Return `before` with these parts changed. Each part can be given once."""
    changed: dict[str, Any] = {}
    given: dict[str, object] = {}
    for word, amount in parts:
        name = _WORDS.get(word, word)
        if name not in _KEYS:
            raise _unknown(word, key)
        if name in UNITS:
            changed[name] = _amount(amount, name, key, before.limit(name), typed)
        elif name == "at_limit":
            changed["at_limit"] = _one_of(amount, key)
        else:
            changed["degrade"] = _name(amount, key)
        if name in given:
            what = {"usd": "one amount in dollars", "at_limit": "one word for its limit"}.get(name, f"`{name}` once")
            raise BadOption(f"`{key}` must have {what}, got {given[name]} and {amount}.", hint="keep one of the two")
        given[name] = amount
    if "degrade" in changed:
        if changed.setdefault("at_limit", "degrade") != "degrade":
            both = f"{changed['at_limit']} and degrade={changed['degrade']}"
            raise BadOption(f"`{key}` must have one word for its limit, got {both}.", hint="keep one of the two")
    elif "at_limit" in changed:
        changed["degrade"] = ""
    return replace(before, **changed)


def _unknown(word: str, key: str) -> BadOption:
    if is_amount_like(word):  # YAML reads `{usd: 0,50}` as `{usd: 0, 50: null}`
        return BadOption(
            f"`{key}` must have names before its amounts, got `{word:.40}`.", hint=f"write 0.50 with a point; {EXAMPLE}"
        )
    near = nearest(word, _KEYS)
    hint = f"did you mean `{near}`?" if near else f"one of {', '.join(_KEYS)}"
    return BadOption(f"`{key}` has no `{word:.40}`.", hint=hint)


def _one_of(word: object, key: str) -> str:
    if word not in AT_LIMIT:
        near = nearest(str(word), AT_LIMIT)
        raise BadOption(
            f"`{key}` must stop, degrade or ask at its limit, got {str(word)[:40]!r}.",
            hint=f"did you mean `{near}`?" if near else f"one of {', '.join(AT_LIMIT)}",
        )
    return str(word)


def _name(value: object, key: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w./:-]{1,200}", value):
        raise BadOption(f"`{key}` must degrade to a model's name, got {value!r:.40}.", hint="e.g. `degrade=small`")
    return value


def _amount(value: object, unit: str, key: str, before: Decimal | None, typed: str) -> Decimal | None:
    """Read a limit in `unit`: an amount, ``+`` an amount, or "none"."""
    if value is None or value == "none":
        return None
    text = value.strip() if isinstance(value, str) else ""
    is_more = text.startswith("+")
    got = read_amount(
        text.removeprefix("+") if is_more else value,
        f"`{key}`" if unit == "usd" else f"`{key}`: {unit}",
        of=DOLLARS if unit == "usd" else f"a number of {unit}",
        most=MOST[unit], is_whole=unit in WHOLE, typed=typed, example=f"in plain digits; {EXAMPLE}",
    )  # fmt: skip
    return (before or Decimal(0)) + got if is_more else got
