"""JSON Schemas in the subset that Anthropic's structured outputs take.

References
----------
platform.claude.com/docs/en/build-with-claude/structured-outputs ("JSON outputs", "JSON Schema limitations"), as found in
stored copies of 2026, read November 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_nb.schema.messages import Json

_TAKEN = frozenset({"type", "description", "title", "const", "default", "required", "$ref"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
_MOST_NODES = 2_000
_DEEPEST = 64


class _Unfit(Exception):
    """The schema says something that the subset cannot."""


def format_schema(schema: dict[str, Json]) -> dict[str, Json] | None:
    """`schema` as structured outputs take it, or None when they cannot express it.

    Returns
    -------
    dict or None
        Every object closed. Bounds, lengths and patterns are left out, so that more is allowed than `schema` allows: the
        answer is validated here in every case. None for maps with free keys, values of any kind, recursion, references
        to elsewhere, and more than 24 optional or 16 alternative fields, which the interface refuses as too complex.

    Notes
    -----
    O(size of the schema with its references followed), capped at 2,000 nodes.
    """
    walk = _Walk(schema)
    try:
        return walk.schema(schema, 0, frozenset())
    except (_Unfit, TypeError):  # TypeError: a keyword holds what no schema has there
        return None


class _Walk:
    def __init__(self, root: dict[str, Json]) -> None:
        self._root = root
        self._nodes = self._optional = self._unions = 0

    def schema(self, node: Json, depth: int, inside: frozenset[str]) -> dict[str, Json]:
        """One schema; `inside` names the references that lead here."""
        self._nodes += 1
        if not isinstance(node, dict) or depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise _Unfit
        made: dict[str, Json] = {name: node[name] for name in node if name in _TAKEN}
        if "$ref" in node:
            self._check_ref(node["$ref"], depth, inside)
        elif not node.keys() & {"type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "items"}:
            raise _Unfit  # any value at all
        self._members(node, made, depth, inside)
        self._object(node, made, depth, inside)
        self._leaf(node, made)
        return made

    def _members(self, node: dict[str, Json], made: dict[str, Json], depth: int, inside: frozenset[str]) -> None:
        for name in ("$defs", "definitions"):
            if name in node:
                made[name] = {key: self.schema(one, depth + 1, inside) for key, one in _map(node[name]).items()}
        for name in ("anyOf", "oneOf", "allOf"):
            if name in node:
                self._unions += name != "allOf"
                kept = "anyOf" if name == "oneOf" else name
                made[kept] = [self.schema(one, depth + 1, inside) for one in node[name]]
        if isinstance(node.get("type"), list):
            self._unions += 1
        if "items" in node:
            made["items"] = self.schema(node["items"], depth + 1, inside)
        elif node.get("type") == "array":
            raise _Unfit
        if self._unions > _MOST_UNIONS:
            raise _Unfit

    def _object(self, node: dict[str, Json], made: dict[str, Json], depth: int, inside: frozenset[str]) -> None:
        if node.get("type") != "object" and "properties" not in node:
            return
        properties = _map(node.get("properties") or {})
        if not properties or isinstance(node.get("additionalProperties"), dict):
            raise _Unfit  # a map with free keys
        self._optional += len(properties.keys() - set(node.get("required") or ()))
        if self._optional > _MOST_OPTIONAL:
            raise _Unfit
        made["properties"] = {name: self.schema(one, depth + 1, inside) for name, one in properties.items()}
        made["additionalProperties"] = False

    def _leaf(self, node: dict[str, Json], made: dict[str, Json]) -> None:
        if "enum" in node:
            if any(isinstance(value, dict | list) for value in node["enum"]):
                raise _Unfit
            made["enum"] = node["enum"]
        if node.get("format") in _FORMATS:
            made["format"] = node["format"]
        if node.get("minItems") in (0, 1):
            made["minItems"] = node["minItems"]

    def _check_ref(self, ref: Any, depth: int, inside: frozenset[str]) -> None:
        """A reference must lead to somewhere in this schema, and not back to itself."""
        if not isinstance(ref, str) or not ref.startswith("#/") or ref in inside:
            raise _Unfit
        target: Any = self._root
        for step in ref[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise _Unfit
            target = target[name]
        optional, unions = self._optional, self._unions
        self.schema(target, depth + 1, inside | {ref})
        self._optional, self._unions = optional, unions  # counted where it is defined


def _map(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _Unfit
    return value
