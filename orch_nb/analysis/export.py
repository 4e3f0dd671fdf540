"""Export of comparisons, pairs, matrices and fixtures: data frames, CSV, files, dates."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orch_nb.errors import StoreUnavailable
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def as_frame(rows: Sequence[Mapping[str, object]]) -> Any:
    """Return the rows as a data frame; without pandas as they are."""
    try:
        import pandas as pd
    except ImportError:
        return rows
    return pd.DataFrame(rows)


def as_text(value: object) -> str:
    """Return an answer as text: a text as it is, data as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the rows as CSV, with a column for each key."""
    columns = list(dict.fromkeys(c for row in rows for c in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(row.get(c)) for c in columns] for row in rows)
    return out.getvalue()


def _csv_cell(value: object) -> str:
    """Return a cell as text; one that a spreadsheet would take for a formula is quoted."""
    text = "" if value is None else as_text(value) if isinstance(value, dict | list | str) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t") or (text[:1] == "-" and not _is_number(text)) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_file(path: Path, text: str) -> Path:
    """Write a text without its secrets; return the path.

    Raises
    ------
    StoreUnavailable
        The file cannot be written.
    """
    try:
        path.write_text(REDACTOR.text(text), encoding="utf-8")
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be written: {error.strerror}.", hint="the folder must exist and be writable"
        ) from error
    return path


def date_of(now: float | None = None) -> str:
    """Return the ISO date in UTC of a timestamp, by default of the present."""
    return (datetime.now(UTC) if now is None else datetime.fromtimestamp(now, UTC)).date().isoformat()
