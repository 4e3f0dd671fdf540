"""Limits in other units than dollars: tokens, calls, seconds.

`accounts` stays the table of dollars, so that what a store of the first version knows is where it was.
"""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE quotas (
        scope TEXT NOT NULL,
        unit TEXT NOT NULL,
        most TEXT,
        hold_most TEXT,
        spent TEXT NOT NULL,
        held TEXT NOT NULL,
        in_doubt TEXT NOT NULL,
        overrun TEXT NOT NULL,
        noted TEXT NOT NULL,
        PRIMARY KEY (scope, unit)
    ) WITHOUT ROWID""",
    # What happens at a scope's limits; no row: it stops.
    "CREATE TABLE at_limits (scope TEXT PRIMARY KEY, at_limit TEXT NOT NULL, degrade TEXT NOT NULL) WITHOUT ROWID",
    # asked: unit -> amount, beside the dollars.
    "ALTER TABLE holds ADD COLUMN asked TEXT NOT NULL DEFAULT '{}'",
    """CREATE TABLE carried_quotas (
        scope TEXT NOT NULL,
        unit TEXT NOT NULL,
        spent TEXT NOT NULL,
        in_doubt TEXT NOT NULL,
        overrun TEXT NOT NULL,
        PRIMARY KEY (scope, unit)
    ) WITHOUT ROWID""",
)
