"""Evidence: what was measured of models on tasks.

One row for each judgement, found by its key, so that judging again replaces and never adds. Money is text, as in
`accounts`: a Decimal keeps its digits.
"""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE evidence (
        key TEXT PRIMARY KEY,
        task TEXT NOT NULL,
        offer TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        prompt TEXT NOT NULL,
        quality REAL NOT NULL,
        cost_usd TEXT,
        seconds REAL,
        source TEXT NOT NULL,
        judge TEXT NOT NULL,
        at REAL NOT NULL,
        run TEXT NOT NULL,
        node TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX evidence_task ON evidence (task)",
)
