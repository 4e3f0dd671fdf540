"""Reads packed rows back, as the interactive view does."""

from __future__ import annotations

from typing import Any

INTERNED = ("kind", "step", "agent_id", "action", "target", "model", "state")


def rows_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a trace's data; values that are not there are left out."""
    spans = data["spans"]
    if "names" not in spans:
        columns = spans["columns"]
        assert all(len(values) == spans["count"] for values in columns.values())
        return [{k: values[i] for k, values in columns.items() if values[i] is not None} for i in range(spans["count"])]
    names = spans["names"].split("\n")
    rows: list[dict[str, Any]] = [{} for _ in range(spans["count"])]
    for name, packed in spans["columns"].items():
        values = packed.split(",")
        assert len(values) == len(rows), name
        for row, value in zip(rows, values, strict=True):
            if value:
                row[name] = names[int(value)] if name in INTERNED else float(value)
    above: list[str] = []
    for row, key in zip(rows, spans["keys"].split("\n"), strict=True):
        depth = int(row.get("depth", 0))
        del above[depth:]
        row["task_id"] = key or above[-1]
        above.append(row["task_id"])
    return rows
