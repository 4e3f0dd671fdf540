"""The first tables.

An event's id is its run's number and its place in the run, packed as ``number << 32 | seq``: so the rows of a run lie
together in one b-tree with no second index, and a row of up to a page needs no overflow page (a WITHOUT ROWID table spills
from a quarter of a page on, and took a third more time and bytes when measured). Blobs are numbered in the same way, by
the run that stored them first; `hashes` finds them by content.
"""

from __future__ import annotations

STATEMENTS = (
    "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL)",
    # AUTOINCREMENT: the number of a deleted run is never given again, nor are the ids packed from it.
    # name NULL: the run is called by its number.
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        graph TEXT NOT NULL DEFAULT '',
        notebook TEXT NOT NULL DEFAULT '',
        status TEXT NOT NULL DEFAULT '',
        started_at REAL,
        ended_at REAL,
        parent TEXT,
        nodes INTEGER NOT NULL DEFAULT 0,
        node TEXT NOT NULL DEFAULT '',
        error TEXT,
        waiting TEXT NOT NULL DEFAULT '[]',
        writer TEXT NOT NULL DEFAULT ''
    )""",
    "INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', 0)",  # numbers are reserved by raising it
    "CREATE INDEX runs_notebook ON runs (notebook)",
    # fingerprint: of the activation (finished), or of the request (sent). money: what the ledger is rebuilt from.
    # sum: CRC-32 over the row, so that a damaged disk is noticed.
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        type TEXT NOT NULL,
        schema INTEGER NOT NULL,
        at REAL NOT NULL,
        fingerprint TEXT,
        money TEXT,
        sum INTEGER NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX events_fingerprint ON events (fingerprint) WHERE fingerprint IS NOT NULL",
    # kind: 0 JSON, 1 text, 2 bytes.
    "CREATE TABLE blobs (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, sum INTEGER NOT NULL, body NOT NULL)",
    # SHA-256, the first 16 bytes. Written late, in groups: a lost row costs a second copy of one blob, nothing else.
    "CREATE TABLE hashes (hash BLOB PRIMARY KEY, blob INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE accounts (
        scope TEXT PRIMARY KEY,
        limit_usd TEXT,
        hold_limit_usd TEXT,
        spent_usd TEXT NOT NULL,
        held_usd TEXT NOT NULL,
        in_doubt_usd TEXT NOT NULL,
        overrun_usd TEXT NOT NULL,
        noted_usd TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE holds (
        run INTEGER NOT NULL,
        hold TEXT NOT NULL,
        asked_usd TEXT NOT NULL,
        scopes TEXT NOT NULL,
        doubted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, hold)
    ) WITHOUT ROWID""",
    # The spending of deleted runs, and the amounts that a reset removed: the part of an account that is in no log any more.
    """CREATE TABLE carried (
        scope TEXT PRIMARY KEY,
        spent_usd TEXT NOT NULL,
        in_doubt_usd TEXT NOT NULL,
        overrun_usd TEXT NOT NULL
    ) WITHOUT ROWID""",
)
