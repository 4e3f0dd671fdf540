"""Durations as people write them: ``90s``, ``30m``, ``12h``, ``1d``, ``2w``."""

from __future__ import annotations

import re

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
MAX_S = 3_660 * UNITS["d"]
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhdw])")


def duration_s(text: str) -> float:
    """The seconds of a duration: a number and one of s, m, h, d, w.

    Raises
    ------
    ValueError
        It is none, is 0, or is longer than ten years.

    Examples
    --------
    >>> duration_s("90s"), duration_s("1.5h"), duration_s("1d")
    (90.0, 5400.0, 86400.0)
    """
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a duration such as 30m, 12h, 1d or 2w")
    seconds = float(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= MAX_S:
        raise ValueError("must be above 0 and at most ten years")
    return seconds
