"""Evidence in a store: checked before it is stored, one row for each key, read in the order of judging."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.errors import UnstorableValue
from orch_nb.routing.evidence import Evidence
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PROMPT = 8_000
"""Characters of a prompt that are stored: enough for the features of every router, without a second copy of a document."""

_COLUMNS = "key, task, offer, model, provider, prompt, quality, cost_usd, seconds, source, judge, at, run, node"
PUT = f"INSERT OR REPLACE INTO evidence ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"
READ = f"SELECT {_COLUMNS} FROM evidence WHERE (?1 IS NULL OR task = ?1) ORDER BY at, key"
EXISTS = "SELECT 1 FROM sqlite_master WHERE name = 'evidence'"
BLANK = "UPDATE evidence SET prompt = '' WHERE run = ? AND prompt <> ''"


def checked(rows: Iterable[Evidence]) -> list[Evidence]:
    """Return the rows as they are stored; of several rows with one key, the last.

    Raises
    ------
    UnstorableValue
        A key, task or model is missing, a quality is not within 0 to 1, or a figure is not a number. No row is stored.
    """
    return list({row.key: _check(row) for row in rows}.values())


def _check(row: Evidence) -> Evidence:
    row, _ = REDACTOR.clean(row)  # before the prompt is cut
    for name in ("key", "task", "offer", "model"):
        if not isinstance(getattr(row, name), str) or not getattr(row, name):
            raise _bad(row, f"has no `{name}`", "a judgement needs a task, an offer, a model and a key")
    if not _is_number(row.quality) or not 0 <= row.quality <= 1:
        raise _bad(row, f"has the quality {row.quality!r}", "from 0 (wrong) to 1 (right)")
    if row.cost_usd is not None and not (
        isinstance(row.cost_usd, Decimal) and row.cost_usd.is_finite() and row.cost_usd >= 0
    ):
        raise _bad(row, f"has the cost {row.cost_usd!r}", "a Decimal of US dollars, or None when it is unknown")
    if row.seconds is not None and not (_is_number(row.seconds) and row.seconds >= 0):
        raise _bad(row, f"has the seconds {row.seconds!r}", "seconds from 0, or None when they are unknown")
    if not _is_number(row.at):
        raise _bad(row, f"has the time {row.at!r}", "a UTC timestamp in seconds")
    return replace(row, prompt=row.prompt[:MAX_PROMPT]) if len(row.prompt) > MAX_PROMPT else row


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _bad(row: Evidence, what: str, hint: str) -> UnstorableValue:
    return UnstorableValue(f"evidence {str(row.key)[:80]!r} {what}.", hint=hint, key=str(row.key)[:80])


def in_order(rows: Iterable[Evidence], task: str | None) -> list[Evidence]:
    """Return the rows of `task` (None: of all) by time and key, whatever order they were written in."""
    return sorted((r for r in rows if task in (None, r.task)), key=lambda r: (r.at, r.key))


def to_row(row: Evidence) -> tuple[object, ...]:
    """Return the values that `PUT` binds."""
    cost = None if row.cost_usd is None else str(row.cost_usd)
    return (
        row.key, row.task, row.offer, row.model, row.provider, row.prompt, float(row.quality), cost, row.seconds,
        row.source, row.by, row.at, row.run, row.node,
    )  # fmt: skip


def from_row(row: tuple[Any, ...]) -> Evidence:
    """Return the evidence in a row of `READ`."""
    key, task, offer, model, provider, prompt, quality, cost, seconds, source, by, at, run, node = row
    cost_usd = None if cost is None else Decimal(cost)
    return Evidence(
        task, offer, model, provider, prompt, quality, cost_usd, seconds, source, by, at, key, run, node
    )  # fmt: skip
