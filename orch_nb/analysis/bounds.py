"""What no measurement can reach: speed-ups, means, shares and repeated tries have bounds that arithmetic alone gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction


def fewest_branches(before: Fraction, after: Fraction) -> int:
    """The fewest equal branches with which a time may fall from `before` to `after`, were nothing serial."""
    return -(-before // after)


def serial_time(before: Fraction, after: Fraction, branches: int) -> Fraction:
    """The part that cannot be divided: `s` of ``s + p = before`` and ``s + p / branches = after``.

    Below 0 no such work exists: `branches` branches cannot do it.

    References
    ----------
    Amdahl, Validity of the single processor approach to achieving large scale computing capabilities (1967).
    """
    return (branches * after - before) / (branches - 1)


def tries(count: Fraction, chance: Fraction) -> Fraction:
    """The chance that at least one of `count` independent tries succeeds.

    What repeating alone gives: an agent that reflects has to beat it, at the same number of calls.
    """
    return 1 - (1 - chance) ** int(count)


def context_multiple(agents: Fraction, price_ratio: Fraction) -> Fraction:
    """How many times one call's cost a chain costs in which each agent reads everything said before.

    Agent k reads k shares of text and writes one; output is `price_ratio` times as dear as input:
    ``(n (n + 1) / 2 + n r) / (1 + r)``.
    """
    return (agents * (agents + 1) / 2 + agents * price_ratio) / (1 + price_ratio)


def median(values: list[Fraction]) -> Fraction:
    """The middle one; the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def majority(values: list[Fraction]) -> Fraction | None:
    """What more than half of them are; None when there is none."""
    found = max(set(values), key=values.count)
    return found if values.count(found) * 2 > len(values) else None
