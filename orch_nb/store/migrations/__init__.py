"""Migrations of the store's tables: one module for each step, applied in order. The file records the applied steps.

All steps that a file lacks are applied in one transaction, so that a crash leaves the old tables or the new ones, never a
mixture. A file with unknown steps is refused and not changed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orch_nb.errors import SchemaTooNew, StoreError
from orch_nb.store.migrations import m001_tables, m002_evidence, m003_quotas

if TYPE_CHECKING:
    import sqlite3

STEPS = (m001_tables, m002_evidence, m003_quotas)
"""All steps. A step's number is its position, from 1. Steps are added at the end and never changed."""

APPLICATION = 0x6F726368
"""``PRAGMA application_id`` of a store's file: "orch"."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of steps that the file has; 0 for an empty file.

    Raises
    ------
    SchemaTooNew
        The file has more steps than this version knows.
    StoreError
        The file is a database of another program.
    """
    # Tables first: they are committed together with the mark, so a reader of the tables sees the mark as well. In the other
    # order, a store that another process is just creating looked like another program's database.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != APPLICATION:
        raise StoreError("the file is a database of another program.", hint="give the store another path")
    if version > len(STEPS):
        raise SchemaTooNew(
            f"the store has tables of version {version}; this version knows {len(STEPS)}. The file was not changed.",
            hint="upgrade orch_nb, or choose another store",
            version=version,
            known=len(STEPS),
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> int:
    """Apply the steps that the file lacks, all or none; return their number."""
    if version_of(connection) == len(STEPS):
        return 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        have = version_of(connection)  # again: another process may have been first
        for number, step in enumerate(STEPS[have:], have + 1):
            for statement in step.STATEMENTS:
                connection.execute(statement)
            name = step.__name__.rpartition(".")[2]
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, time.time()))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(STEPS) - have
