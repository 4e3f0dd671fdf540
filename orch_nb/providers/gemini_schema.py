"""JSON Schemas in the subset that Gemini's `responseJsonSchema` takes.

References
----------
ai.google.dev/gemini-api/docs/structured-output and ai.google.dev/api/generate-content (`GenerationConfig.responseJsonSchema`
lists the supported keywords; recursion is followed only through fields that are not required), as found in stored copies
of its documentation, read November 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.schema.messages import Json

_TAKEN = frozenset(
    {"$id", "$ref", "$anchor", "type", "format", "title", "description", "minItems", "maxItems", "minimum", "maximum"}
    | {"required", "propertyOrdering"}
)
_BESIDE_REF = frozenset({"$id", "$ref", "$anchor"})
"""Beside a reference nothing else may stand but what begins with a dollar sign."""
_DEEPEST = 64


def response_schema(schema: Json, _depth: int = 0) -> Json:
    """`schema` with only the keywords that are taken; what is left out allows more, and the answer is validated here.

    Notes
    -----
    `const` becomes an enum of one and `oneOf` becomes `anyOf`. Below 64 levels anything is allowed. O(size).
    """
    if not isinstance(schema, dict):
        return schema
    if _depth > _DEEPEST:
        return {}
    taken = _BESIDE_REF if "$ref" in schema else _TAKEN
    made: dict[str, Json] = {name: value for name, value in schema.items() if name in taken}
    if isinstance(schema.get("$defs"), dict):
        made["$defs"] = {key: response_schema(one, _depth + 1) for key, one in schema["$defs"].items()}
    if "$ref" in schema:
        return made
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {key: response_schema(one, _depth + 1) for key, one in schema["properties"].items()}
    for name, kept in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("prefixItems", "prefixItems")):
        if isinstance(schema.get(name), list):
            made[kept] = [response_schema(one, _depth + 1) for one in schema[name]]
    for name in ("items", "additionalProperties"):
        if name in schema:
            made[name] = response_schema(schema[name], _depth + 1)
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if (
        isinstance(allowed, list)
        and allowed
        and all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in allowed)
    ):
        made["enum"] = list(allowed)
    return made
