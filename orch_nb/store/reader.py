"""Reading a database: events, lists of runs, accounts. Its connection cannot write."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_nb.errors import CorruptStore
from orch_nb.schema.events import ErrorInfo
from orch_nb.store import evidence as proof
from orch_nb.store.base import not_found_error
from orch_nb.store.codec import DAMAGED, Unpacker
from orch_nb.store.files import DATABASE_ERRORS, translated
from orch_nb.store.ledger_tables import QUOTAS_SINCE, load_account, load_accounts
from orch_nb.store.runs import RunRow, Standing, StoreStats, account_of, number_of
from orch_nb.store.tagged_json import loads, untag

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orch_nb.routing.evidence import Evidence
    from orch_nb.schema.events import Event
    from orch_nb.schema.values import JsonObject
    from orch_nb.store.ledger_rules import Account

_Columns: TypeAlias = tuple[Any, ...]
"""A row of the database."""
_EVENTS = """SELECT id, type, schema, at, fingerprint, money, body, sum FROM events
    WHERE id > ? AND id < ? ORDER BY id LIMIT ?"""
_RUN_COLUMNS = """number, coalesce(name, CAST(number AS TEXT)), graph, notebook, status, started_at, ended_at, parent,
    nodes, node, error, waiting, writer,
    (SELECT max(id) FROM events WHERE id > runs.number << 32 AND id < (runs.number + 1) << 32) & 0xFFFFFFFF"""
_SHOWN = "CASE WHEN status = 'running' AND waiting <> '[]' THEN 'waiting' ELSE status END"
_BEGUN = "EXISTS (SELECT 1 FROM events WHERE id > runs.number << 32 AND id < (runs.number + 1) << 32)"
"""A run exists from its first event on. A row without events reserves a name for the process that is about to begin the run."""
_PAGE = 256


class Reader:
    """Reads one database; its calls may come from any thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = connection, path
        self._lock = threading.RLock()
        self._unpacker = Unpacker(self._blob)

    def _all(self, query: str, values: Sequence[object] = ()) -> list[_Columns]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except DATABASE_ERRORS as error:
                raise translated(error, self._path) from error

    def _blob(self, number: int) -> tuple[int, int, str | bytes] | None:
        found = self._all("SELECT kind, sum, body FROM blobs WHERE id = ?", (number,))
        if not found:
            return None
        kind, total, body = found[0]
        return kind, total, body

    def forget(self) -> None:
        """Clear the cache of blobs, because blobs were deleted."""
        self._unpacker = Unpacker(self._blob)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    # -------------------------------------------------------------- one run
    def number(self, run: str) -> int:
        """Return the number of a run.

        Raises
        ------
        RunNotFound
            The run does not exist; the error suggests the nearest id.
        """
        number = number_of(run)
        if number is not None:
            found = self._all(f"SELECT number FROM runs WHERE number = ? AND name IS NULL AND {_BEGUN}", (number,))
        else:
            found = self._all(f"SELECT number FROM runs WHERE name = ? AND {_BEGUN}", (str(run)[:100],))
        if found:
            return int(found[0][0])
        query = f"SELECT coalesce(name, number) FROM runs WHERE {_BEGUN} ORDER BY number DESC LIMIT 200"
        known = [str(r) for (r,) in self._all(query)]
        raise not_found_error(run, known, f"in {self._path}")

    def events(self, run: str, number: int, after: int) -> Iterator[tuple[int, Event]]:
        """Yield (seq, event) after `after`. Events are read in pages: a long read would keep the log from being shortened."""
        base = number << 32
        last, end = base + max(after, 0), base + (1 << 32)
        while True:
            rows = self._all(_EVENTS, (last, end, _PAGE))
            for event_id, kind, schema, at, fingerprint, money, body, total in rows:
                if event_id != last + 1:
                    raise CorruptStore(f"event {last + 1 - base} of run `{run}` is missing.", hint=DAMAGED)
                last = event_id
                with self._lock:
                    event = self._unpacker.event(event_id, (kind, schema, at, fingerprint, money, body), total)
                yield event_id - base, event
            if len(rows) < _PAGE:
                return

    def counts(self, number: int) -> dict[str, int]:
        """Return the number of events of each type."""
        query = "SELECT type, count(*) FROM events WHERE id > ? AND id < ? GROUP BY type"
        return dict(self._all(query, (number << 32, (number + 1) << 32)))

    def effect_done(self, key: str, but: str) -> str | None:
        """Return the latest run, other than `but`, whose call with this request hash did not fail, as far as is known."""
        rows = self._all(
            """SELECT events.id, coalesce(name, CAST(number AS TEXT)), body FROM events
            JOIN runs ON runs.number = events.id >> 32
            WHERE fingerprint = ? AND type = 'sent' ORDER BY events.id DESC""",
            (key,),
        )
        for event_id, run, body in rows:
            if run != but and not self._is_failed(event_id, loads(body)):
                return str(run)
        return None

    def asked_by(self, request_hash: str, limit: int) -> list[str]:
        """Return the runs that sent a call with this request hash, newest first."""
        rows = self._all(
            """SELECT DISTINCT coalesce(name, CAST(number AS TEXT)), number FROM events
            JOIN runs ON runs.number = events.id >> 32
            WHERE fingerprint = ? AND type = 'sent' ORDER BY number DESC LIMIT ?""",
            (request_hash, max(limit, 0)),
        )
        return [str(run) for run, _ in rows]

    def _is_failed(self, sent_id: int, sent: JsonObject) -> bool:
        end = ((sent_id >> 32) + 1) << 32
        rows = self._all("SELECT body FROM events WHERE id > ? AND id < ? AND type = 'settled'", (sent_id, end))
        for (body,) in rows:
            settled = loads(body)
            if all(settled.get(name) == sent.get(name) for name in ("frame", "node", "round", "item", "call")):
                return not settled.get("ok", True)
        return False

    def writer(self, number: int) -> str:
        """Return the process that has or had the run open, as ``PID@HOST``."""
        found = self._all("SELECT writer FROM runs WHERE number = ?", (number,))
        return str(found[0][0]) if found else ""

    def standing(self, number: int) -> Standing:
        """Return the status of a run."""
        row = self._row_of(self._all(f"SELECT {_RUN_COLUMNS} FROM runs WHERE number = ?", (number,))[0])
        return Standing(
            row.graph, row.notebook, row.status, row.started_at, row.ended_at, row.parent, row.nodes, row.node, row.error,
            dict.fromkeys(row.waiting),
        )  # fmt: skip

    # -------------------------------------------------------------- lists
    def row(self, number: int, *, is_live: Callable[[int], bool]) -> RunRow:
        """Return the row of a run."""
        found = self._all(f"SELECT {_RUN_COLUMNS} FROM runs WHERE number = ?", (number,))
        return self._complete(number, self._row_of(found[0]), is_live)

    def runs(
        self,
        *,
        graph: str | None,
        notebook: str | None,
        status: str | Sequence[str] | None,
        limit: int | None,
        batch_rows: bool,
        is_live: Callable[[int], bool],
    ) -> list[RunRow]:
        """Return the rows of the runs that have begun, newest first."""
        wanted = [status] if isinstance(status, str) else None if status is None else list(status)
        found = self._all(
            f"""SELECT {_RUN_COLUMNS} FROM runs WHERE status <> ''
            AND (?1 IS NULL OR graph = ?1) AND (?2 IS NULL OR notebook = ?2)
            AND (?3 IS NULL OR {_SHOWN} IN (SELECT value FROM json_each(?3)))
            AND (?4 OR json_extract(parent, '$.of_batch') IS NULL)
            ORDER BY number DESC LIMIT ?5""",
            (
                graph, notebook, None if wanted is None else json.dumps(wanted), batch_rows,
                -1 if limit is None else max(limit, 0),
            ),
        )  # fmt: skip
        return [self._complete(row[0], self._row_of(row), is_live) for row in found]

    def _row_of(self, row: _Columns) -> RunRow:
        _, run, graph, notebook, status, started, ended, parent, nodes, node, error, waiting, writer, events = row
        return RunRow(
            run, graph, notebook, status, started, ended,
            parent=None if parent is None else untag(loads(parent)),
            events=events or 0, nodes=nodes, waiting=tuple(json.loads(waiting)), node=node,
            error=None if error is None else ErrorInfo(**json.loads(error)), writer=writer,
        )  # fmt: skip

    def _complete(self, number: int, row: RunRow, is_live: Callable[[int], bool]) -> RunRow:
        if row.status == "running" and row.waiting:
            row.status = "waiting"
        row.live = is_live(number)
        usd = self.account(account_of(row.run, row.parent)).usd
        row.limit_usd, row.spent_usd, row.held_usd = usd.in_force(), usd.spent, usd.held
        row.in_doubt_usd, row.overrun_usd = usd.in_doubt, usd.overrun
        return row

    def evidence(self, task: str | None) -> list[Evidence]:
        """Return the judgements in order. A file of an earlier version that was not opened for writing since has none."""
        if not self._all(proof.EXISTS):
            return []
        return [proof.from_row(row) for row in self._all(proof.READ, (task,))]

    def every_run(self) -> list[int]:
        """Return the numbers of all runs."""
        return [number for (number,) in self._all("SELECT number FROM runs ORDER BY number")]

    def account(self, scope: str) -> Account:
        """Return the account of `scope`, an empty one if needed."""
        with self._lock:
            try:
                return load_account(self._db, scope, has_quotas=self._has_quotas())
            except DATABASE_ERRORS as error:
                raise translated(error, self._path) from error

    def accounts(self, prefix: str) -> list[Account]:
        """Return the accounts whose scope begins with `prefix`."""
        with self._lock:
            try:
                return load_accounts(self._db, prefix, has_quotas=self._has_quotas())
            except DATABASE_ERRORS as error:
                raise translated(error, self._path) from error

    def _has_quotas(self) -> bool:
        """Return whether the file has the tables of other units than dollars; a file that is only read is not migrated."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        return int(version) >= QUOTAS_SINCE

    def stats(self) -> StoreStats:
        """Return counts and sizes."""
        ((runs, events, blobs),) = self._all(
            """SELECT (SELECT count(*) FROM runs WHERE status <> ''), (SELECT count(*) FROM events),
            (SELECT count(*) FROM blobs)"""
        )
        ((pages,),), ((free,),), ((size,),) = (
            self._all(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        log = self._path.with_name(self._path.name + "-wal")
        return StoreStats(runs, events, blobs, pages * size, free * size, log.stat().st_size if log.exists() else 0)
