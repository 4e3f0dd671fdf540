"""Public fakes: providers that answer without a network, a key or a cost, under the same contract as the real ones."""

from __future__ import annotations

import inspect
import json
import math
import re
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadRequest
from orch_nb.schema.messages import Completed, ModelEvent, Reply, TextDelta, ToolCallEvent, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from orch_nb.schema.messages import Json, ModelRequest

    Scripted = (
        str
        | dict[str, object]
        | list[object]
        | Reply
        | tuple[object, ...]
        | BaseException
        | Callable[[ModelRequest], object]
    )

BYTES_PER_TOKEN = 4


def counted_tokens(text: str) -> int:
    """Tokens of `text` by the fakes' rule: one for each four bytes of UTF-8 begun. A rule, not a tokenizer."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def counted_usage(request: ModelRequest, answer: str) -> Usage:
    """Usage of a call by the same rule; the input is every message's content."""
    return Usage(sum(counted_tokens(m.content) for m in request.messages), counted_tokens(answer))


class EchoProvider:
    """Answers with the last user message, or with the smallest value that fits the schema. Costs nothing.

    Parameters
    ----------
    name
        What the notebook calls it.

    Notes
    -----
    The same request always gives the same answer. With a schema the answer is made from it and the prompt: an enum
    takes the first of its members that the prompt names (so that a graph can be steered by its input), a string the prompt
    itself. Tokens are counted as `counted_tokens` says; an answer longer than `max_tokens` is cut, with
    `finish_reason` "length", as a real model's is.

    Examples
    --------
    >>> import asyncio
    >>> from orch_nb.schema.messages import Message, ModelRequest, collect
    >>> asked = ModelRequest("echo", (Message("user", "hello"),))
    >>> asyncio.run(collect(EchoProvider().stream(asked))).text
    'hello'
    """

    def __init__(self, name: str = "echo") -> None:
        self.name = name

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The answer in pieces of a word each, then `Completed`.

        Raises
        ------
        BadRequest
            The schema cannot be fitted; see `orch_nb.providers.fakes`.
        """
        heard = next((m.content for m in reversed(request.messages) if m.role == "user"), "")
        answer = heard
        if request.schema is not None:
            answer = json.dumps(instance(request.schema, heard), ensure_ascii=False)
        kept = _cut(answer, request.max_tokens)
        for piece in _words(kept):
            yield TextDelta(piece)
        why = "stop" if kept == answer else "length"
        yield Completed(why, counted_usage(request, kept), request.model)

    async def aclose(self) -> None:
        """Nothing is held."""


class ScriptedProvider:
    """Gives prepared replies in order, and remembers what it was asked.

    Parameters
    ----------
    replies
        One for each call, or one callable for all calls. A reply is a text; a dict or list (sent as its JSON); a `Reply`
        (with tool calls, usage, finish reason); an exception (raised); a tuple of events and exceptions (sent and
        raised one by one, so a stream can break in its middle); or a callable that gets the `ModelRequest` and gives
        any of these, awaited if it is a coroutine function.
    name
        What the notebook calls it.
    gate
        Awaited with the request before each reply begins: a test holds a call back with it, without any clock.

    Attributes
    ----------
    requests
        Every request, in the order of the calls.

    Notes
    -----
    A text without a usage of its own is counted as `counted_tokens` says. `max_tokens` is not applied: a script says
    what is answered.
    """

    def __init__(
        self,
        replies: Iterable[Scripted] | Callable[[ModelRequest], object],
        *,
        name: str = "scripted",
        gate: Callable[[ModelRequest], Awaitable[object]] | None = None,
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self._gate = gate
        self._always = replies if callable(replies) else None
        self._script: list[object] = [] if callable(replies) else _list(replies)

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The next reply of the script.

        Raises
        ------
        BadRequest
            The script has no further reply.
        BaseException
            Whatever the script says here.
        """
        self.requests.append(request)
        reply = self._next(len(self.requests), request)
        if self._gate is not None:
            await self._gate(request)
        while callable(reply) and not isinstance(reply, type):
            reply = reply(request)
            reply = await reply if inspect.isawaitable(reply) else reply
        for event in _events(request, reply):
            yield event

    async def aclose(self) -> None:
        """Nothing is held."""

    def _next(self, number: int, request: ModelRequest) -> object:
        if self._always is not None:
            return self._always
        if number > len(self._script):
            raise BadRequest(
                f"`{self.name}`: the script has {len(self._script)} replies, and this is call {number}.",
                provider=self.name,
                model=request.model,
                hint="add a reply, or give a function that answers every request",
            )
        return self._script[number - 1]


def _list(replies: Any) -> list[object]:
    if isinstance(replies, str | dict):
        raise TypeError("replies is a list with one reply for each call; put a single reply into [ ]")
    return list(replies)


def _events(request: ModelRequest, reply: object) -> Iterator[ModelEvent]:
    match reply:
        case BaseException() | type():
            raise reply
        case tuple():
            for part in reply:
                if isinstance(part, BaseException):
                    raise part
                yield TextDelta(part) if isinstance(part, str) else part
        case Reply():
            yield from _whole(request, reply)
        case str():
            yield from _whole(request, Reply(reply))
        case _:
            yield from _whole(request, Reply(json.dumps(reply, ensure_ascii=False)))


def _whole(request: ModelRequest, reply: Reply) -> Iterator[ModelEvent]:
    for piece in _words(reply.text):
        yield TextDelta(piece)
    for call in reply.tool_calls:
        yield ToolCallEvent(call)
    why = "tool_calls" if reply.tool_calls and reply.finish_reason == "stop" else reply.finish_reason
    written = reply.text + "".join(call.name + call.arguments for call in reply.tool_calls)
    usage = reply.usage or counted_usage(request, written)
    yield Completed(
        why, usage, reply.model or request.model, reply.request_id, reply.logprobs, reply.reasoned, reply.served
    )


def _words(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find(" ", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _cut(text: str, most_tokens: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return (
        text
        if len(raw) <= most_tokens * BYTES_PER_TOKEN
        else raw[: most_tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")
    )


# ------------------------------------------------------------------ values that fit a schema
# The smallest plain value that fits a JSON Schema, made from a text: what a fake model answers.
#
# Not a validator and not a generator of test data: it knows the keywords that `out` types and ordinary schemas use, and
# says which one it does not know.

_DEEPEST = 32
_UNKNOWN = ("not", "if", "dependentSchemas", "contains", "patternProperties", "propertyNames")
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_PATTERN_TRIES = ("", "a", "A", "0", "00", "2000", "abc", "ABC", "a1", "A1", "2000-01-01", "00:00", "a@example.org")


def instance(schema: Json, text: str = "") -> Json:
    """A minimal value that fits `schema`, with words of `text` where it leaves a choice.

    Parameters
    ----------
    schema
        JSON Schema. Understood: type, enum, const, anyOf, oneOf, allOf, local $ref, required and properties,
        additionalProperties, items and prefixItems, sizes, ranges, multipleOf, format, simple patterns.
    text
        Where it comes from: an enum takes the first member that is a word of `text`, a string takes the text itself.

    Raises
    ------
    BadRequest
        The schema has a keyword that is not understood, a pattern that no easy text fits, or no finite instance.
    """
    return _Maker(schema, text).make(schema, 0)


class _Maker:
    def __init__(self, root: Json, text: str) -> None:
        self._root, self._text, self._lower = root, text, text.lower()

    def make(self, schema: Json, depth: int) -> Json:
        if depth > _DEEPEST:
            raise BadRequest("the schema has no instance that ends: it requires itself within itself.")
        if schema is True or schema == {}:
            return self._text
        if not isinstance(schema, dict):
            raise BadRequest("the schema allows no value at all.")
        schema = self._resolve(schema, depth)
        if unknown := [word for word in _UNKNOWN if word in schema]:
            raise BadRequest(f"a fake model cannot fit the schema keyword `{unknown[0]}`.", hint="use ScriptedProvider")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._member(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._one_of(schema, word, depth)
        return self._of_type(schema, depth)

    def _resolve(self, schema: dict[str, Json], depth: int) -> dict[str, Json]:
        """`schema` with its reference followed and its `allOf` merged in."""
        seen = 0
        while "$ref" in schema:
            seen += 1
            if seen > _DEEPEST:
                raise BadRequest(f"the schema's reference {schema['$ref']!r} leads back to itself.")
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            schema = {**self._target(schema["$ref"]), **rest}
        for part in schema.get("allOf", ()):
            schema = _merge(schema, self._resolve(part, depth + 1) if isinstance(part, dict) else {})
        return schema

    def _target(self, reference: Json) -> dict[str, Json]:
        found: object = self._root
        for step in str(reference).removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        if not str(reference).startswith("#") or not isinstance(found, dict):
            raise BadRequest(f"the schema's reference {reference!r} leads nowhere.")
        return found

    def _member(self, members: list[Json]) -> Json:
        if not members:
            raise BadRequest("the schema allows no value at all: its enum is empty.")
        return next((m for m in members if isinstance(m, str) and self._says(m)), members[0])

    def _says(self, word: str) -> bool:
        return bool(word) and re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", self._lower) is not None

    def _one_of(self, schema: dict[str, Json], word: str, depth: int) -> Json:
        rest = {k: v for k, v in schema.items() if k != word}
        why: BadRequest | None = None
        for choice in schema[word]:
            try:
                return self.make(_merge(rest, choice) if isinstance(choice, dict) else choice, depth + 1)
            except BadRequest as error:
                why = error
        raise why or BadRequest(f"the schema allows no value at all: its {word} is empty.")

    def _of_type(self, schema: dict[str, Json], depth: int) -> Json:
        kind = schema.get("type") or _implied_type(schema)
        kind = kind[0] if isinstance(kind, list) and kind else kind
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return self._says("true") or self._says("yes")
            case "null":
                return None
        raise BadRequest(f"the schema has a type that is none: {kind!r}.")

    def _object(self, schema: dict[str, Json], depth: int) -> Json:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        made = {name: self.make(properties.get(name, others), depth + 1) for name in schema.get("required", ())}
        for name in (*properties, *(f"key_{n}" for n in range(schema.get("minProperties", 0)))):
            if len(made) >= schema.get("minProperties", 0):
                break
            made.setdefault(name, self.make(properties.get(name, others), depth + 1))
        return made

    def _array(self, schema: dict[str, Json], depth: int) -> Json:
        first, rest = schema.get("prefixItems", []), schema.get("items", True)
        size = schema.get("minItems", 0)
        made = [self.make(first[n] if n < len(first) else rest, depth + 1) for n in range(size)]
        return self._distinct(made, rest) if schema.get("uniqueItems") else made

    def _distinct(self, made: list[Json], items: Json) -> list[Json]:
        members = items.get("enum") if isinstance(items, dict) else None
        if members:
            return list(members[: len(made)])
        return [f"{m} {n}" if isinstance(m, str) else m + n if isinstance(m, int) else m for n, m in enumerate(made)]

    def _string(self, schema: dict[str, Json]) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if "pattern" in schema:
            return self._matching(schema["pattern"], least, most)
        text = _FORMATS.get(schema.get("format", ""), self._text)
        return text.ljust(least, ".") if len(text) < least else text[: int(min(most, len(text)))]

    def _matching(self, pattern: str, least: int, most: float) -> str:
        words = [self._text, *self._text.split(), *(c * max(1, least) for c in "a0A"), *_PATTERN_TRIES]
        for word in words:
            if least <= len(word) <= most and re.search(pattern, word):
                return word
        raise BadRequest(f"a fake model finds no text for the pattern {pattern!r}.", hint="use ScriptedProvider")


def _merge(a: dict[str, Json], b: dict[str, Json]) -> dict[str, Json]:
    both = {**a, **b}
    if "properties" in a and "properties" in b:
        both["properties"] = {**a["properties"], **b["properties"]}
    if "required" in a and "required" in b:
        both["required"] = [*a["required"], *(r for r in b["required"] if r not in a["required"])]
    both.pop("allOf", None)
    return both


def _implied_type(schema: dict[str, Json]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: dict[str, Json], *, whole: bool) -> int | float:
    """The number nearest to 0 in the range."""
    step = schema.get("multipleOf") or (1 if whole else None)
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    number: float = 0
    if max(low, above) > 0 or above == 0:
        number = _up(low, above, step, min(high, below))
    elif min(high, below) < 0 or below == 0:
        number = -_up(-high, -below, step, -max(low, above))
    if not (low <= number <= high and above < number < below):
        raise BadRequest("the schema allows no number: its range is empty.")
    return int(number) if whole else float(number)


def _up(low: float, above: float, step: float | None, end: float) -> float:
    """The least number >= `low` and > `above`; between bounds without a step, a point well inside."""
    if step is None:
        return low if low > above else (above + min(end, above + 1)) / 2
    start = max(low, above)
    number = math.ceil(start / step) * step
    return number + step if number <= above else number
