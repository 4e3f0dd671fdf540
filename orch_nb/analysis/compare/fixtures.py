"""Edge cases that are stored as test inputs: one JSON line each in ``fixtures/NAME.jsonl`` beside the notebook."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orch_nb.analysis.export import date_of, write_file
from orch_nb.errors import StoreError, StoreUnavailable
from orch_nb.schema.canonical import digest
from orch_nb.schema.names import check_name
from orch_nb.schema.secrets import REDACTOR
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "fixtures"
MAX_BYTES = 8_000_000
"""Largest file of fixtures, in bytes: people read it; a larger one is a data set."""


@dataclass(slots=True, frozen=True)
class Fixture:
    """One edge case: the input, the expected columns for scorers, and the reason to keep it."""

    input: dict[str, object]
    expected: dict[str, object] = field(default_factory=dict)
    note: str = ""
    added: str = ""
    came_from: str = ""

    @property
    def record(self) -> dict[str, object]:
        """Row of a comparison: the input and the expected columns."""
        return {**self.input, **self.expected}

    @property
    def identity(self) -> str:
        """Digest of the input: an input is stored once."""
        return digest(self.input)


def path_of(folder: str | Path, task: str) -> Path:
    """Return ``FOLDER/fixtures/TASK.jsonl``. The task must be an identifier, so that the path cannot leave the folder."""
    return Path(folder) / FOLDER / f"{check_name(task, 'name of a task')}.jsonl"


def load(folder: str | Path, task: str) -> list[Fixture]:
    """Return the fixtures of a task in the order of the file; an empty list without a file.

    Raises
    ------
    StoreError
        A line is not a fixture; the line and the reason are named.
    StoreUnavailable
        The file cannot be read, or is larger than 8 MB.
    """
    path = path_of(folder, task)
    if not path.exists():
        return []
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StoreUnavailable(
                f"{path} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read.", hint="load it as a table"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnavailable(
            f"{path} cannot be read: {error}.", hint="a UTF-8 file, one JSON mapping a line"
        ) from error
    rows = enumerate(text.split("\n"), 1)  # not splitlines: a text may hold U+2028
    return [_read(line, number, path) for number, line in rows if line.strip()]


def _read(line: str, number: int, path: Path) -> Fixture:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad(path, number, f"must be JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("input"), dict) or not data["input"]:
        raise _bad(path, number, "must have a mapping `input`")
    expected = data.get("expected") or {}
    if not isinstance(expected, dict):
        raise _bad(path, number, "must have a mapping as `expected`")
    texts = {
        name: str(data.get(key, "")) for name, key in (("note", "note"), ("added", "added"), ("came_from", "from"))
    }
    where = f"{path.name}, line {number}"
    return Fixture(plain(data["input"], where=where), plain(expected, where=where), **texts)


def _bad(path: Path, number: int, what: str) -> StoreError:
    return StoreError(
        f"{path}, line {number} {what}.", hint='{"input": {…}, "expected": {…}, "note": "…"}', line=number
    )


def keep(folder: str | Path, task: str, input: Mapping[str, object], *, expected: Mapping[str, object] | None = None,  # noqa: A002
         note: str = "", came_from: str = "", now: float | None = None) -> tuple[Fixture, Path]:  # fmt: skip
    """Store an input as a fixture of a task. The same input again replaces the earlier line in its place.

    Parameters
    ----------
    expected
        Columns that scorers compare with: ``{"price": 12.0}``.
    now
        UTC seconds, by default the present.

    Raises
    ------
    UnstorableValue
        The input is not plain data.
    StoreUnavailable
        The file cannot be written.
    """
    made, _ = REDACTOR.clean(
        Fixture(
            plain(dict(input), where="input"),
            plain(dict(expected or {}), where="expected"),
            note,
            date_of(now),
            came_from,
        )
    )
    rows = {one.identity: one for one in load(folder, task)}
    rows[made.identity] = made
    path = path_of(folder, task)
    text = "".join(_line(one) + "\n" for one in rows.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be written: {error.strerror}.", hint="the folder must be writable"
        ) from error
    return made, write_file(path, text)


def _line(one: Fixture) -> str:
    one, _ = REDACTOR.clean(one)
    data: dict[str, object] = {"input": one.input}
    if one.expected:
        data["expected"] = one.expected
    data |= {key: value for key, value in (("note", one.note), ("added", one.added), ("from", one.came_from)) if value}
    return json.dumps(data, ensure_ascii=False)
