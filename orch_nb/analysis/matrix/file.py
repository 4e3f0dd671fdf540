"""The routing matrix as a signed file: plain JSON with a hash of its content.

The hash shows that the content is unchanged; it does not prove who signed. The file names its evidence (the number of
judgements of each model on each task, and a digest of all), so that a later notebook can show what has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orch_nb.analysis.export import date_of, write_file
from orch_nb.analysis.intervals import Interval
from orch_nb.analysis.matrix.data import Entry, MatrixData, TaskRow
from orch_nb.errors import OrchError
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orch_nb.routing.evidence import Evidence

M = TypeVar("M", bound=MatrixData)

FORMAT = "orch.routing-matrix"
VERSION = 1
MAX_BYTES = 16_000_000


def digest_of(rows: Iterable[Evidence]) -> str:
    """Return the SHA-256 of key, task, model, quality and cost of all judgements. Their order and time do not matter."""
    judgements = sorted(
        [e.key, e.task, e.provider, e.model, repr(float(e.quality)), None if e.cost_usd is None else str(e.cost_usd)]
        for e in rows
    )
    return hashlib.sha256(json.dumps(judgements, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def write(matrix: MatrixData, path: str | Path, *, sign: str = "") -> Path:
    """Write the matrix; return the path.

    Raises
    ------
    OrchError
        The file's ending is not ``.json``, or it cannot be written.
    """
    file = Path(path)
    if file.suffix != ".json":
        raise OrchError(f"the file of a matrix must end in `.json`, got `{file.name}`.", hint="routing_matrix.json")
    data, _ = REDACTOR.clean(_data(matrix, sign.strip()))
    data["sha256"] = _hash(data)
    return write_file(file, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _data(matrix: MatrixData, sign: str) -> dict[str, object]:
    return {
        "format": FORMAT, "version": VERSION, "made": matrix.made_at,
        "signed": {"by": sign, "at": date_of()} if sign else None, "prices_date": matrix.prices_date, "baseline": matrix.baseline,
        "tolerance": matrix.tolerance, "minimum": matrix.minimum, "models": list(matrix.models),
        "evidence": {"count": matrix.count, "sha256": matrix.digest},
        "tasks": {row.task: {"chosen": row.chosen, "because": row.because,
                             "models": {m: _entry_data(e) for m, e in row.entries.items()}} for row in matrix.rows},
    }  # fmt: skip


def _entry_data(one: Entry) -> dict[str, object]:
    data = asdict(one)
    data["per_call_usd"] = None if one.per_call_usd is None else str(one.per_call_usd)
    data["by"] = list(one.by)
    return {key: value for key, value in data.items() if key != "model"}


def _hash(data: Mapping[str, object]) -> str:
    kept = {key: value for key, value in data.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read(path: str | Path, kind: type[M]) -> M:
    """Read a matrix from its file.

    Raises
    ------
    OrchError
        It cannot be read, is not a matrix, has a later version, or its content does not match its hash.
    """
    file = Path(path)
    data = _load(file)
    if data.get("format") != FORMAT:
        raise OrchError(f"`{file.name}` must be a routing matrix.", hint="`%orch matrix export FILE.json` writes one")
    if data.get("version") != VERSION:
        raise OrchError(
            f"`{file.name}` must have version {VERSION}, got {data.get('version')}.", hint="upgrade orch_nb"
        )
    if data.get("sha256") != _hash(data):
        raise OrchError(f"`{file.name}` was changed after it was written: its content does not match its hash.",
                        hint="restore the signed file, or export it again", file=str(file))  # fmt: skip
    try:
        return _from_data(data, kind)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise OrchError(f"`{file.name}` is an incomplete routing matrix: {error}.", hint="export it again") from error


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise OrchError(f"`{file.name}` has {file.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read.")
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OrchError(
            f"`{file}` cannot be read: {error.strerror}.", hint="`%orch matrix export FILE.json` writes one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise OrchError(f"`{file.name}` must be JSON: {error}.", hint="restore the signed file") from error
    if not isinstance(data, dict):
        raise OrchError(f"`{file.name}` must be a routing matrix.", hint="`%orch matrix export FILE.json` writes one")
    return data


def _from_data(data: dict[str, Any], kind: type[M]) -> M:
    rows = tuple(
        TaskRow(task, {m: _entry_of(m, e) for m, e in row["models"].items()}, str(row["chosen"]), str(row["because"]))
        for task, row in data["tasks"].items()
    )
    signed = data.get("signed") or {}
    return kind(
        rows, tuple(data["models"]), str(data["baseline"]), float(data["tolerance"]), int(data["minimum"]),
        int(data["evidence"]["count"]), str(data["evidence"]["sha256"]), str(data["made"]), str(data["prices_date"]),
        str(signed.get("by", "")), str(signed.get("at", "")),
    )  # fmt: skip


def _entry_of(model: str, data: dict[str, Any]) -> Entry:
    cost = data["per_call_usd"]
    return Entry(
        model, str(data["model_id"]), str(data["provider"]), Interval(**data["quality"]),
        None if cost is None else Decimal(cost), data["seconds"], tuple(data["by"]),
    )  # fmt: skip


def changes(matrix: MatrixData, evidence: Iterable[Evidence], again: Callable[..., MatrixData]) -> list[str]:
    """Return the changes of the evidence since a matrix was made, one line each; [] without changes."""
    rows = list(evidence)
    if digest_of(rows) == matrix.digest:
        return []
    now = again(rows, tolerance=matrix.tolerance, minimum=matrix.minimum)
    before, after = _counts(matrix), _counts(now)
    out = []
    for task, model in sorted(before.keys() | after.keys()):
        was, is_now = before[task, model], after[task, model]
        if was != is_now:
            out.append(f"{task} on {model}: {is_now} rows, {was} then")
    out += [
        f"{row.task}: {row.chosen or 'nothing'} would be chosen, {then or 'nothing'} was"
        for row in now.rows
        if row.chosen != (then := next((r.chosen for r in matrix.rows if r.task == row.task), ""))
    ]
    return out or ["judgements have changed; their numbers and the choices have not"]


def _counts(matrix: MatrixData) -> Counter[tuple[str, str]]:
    return Counter({(row.task, m): e.quality.n for row in matrix.rows for m, e in row.entries.items()})
