"""Public fakes: providers that answer without a network, a key or a cost, under the same contract as the real ones."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadRequest
from orch_nb.providers.instance import instance
from orch_nb.schema.messages import Completed, ModelEvent, Reply, TextDelta, ToolCallEvent, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from orch_nb.schema.messages import ModelRequest

    Scripted = (
        str | dict[str, Any] | list[Any] | Reply | tuple[Any, ...] | BaseException | Callable[[ModelRequest], Any]
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
            The schema cannot be fitted; see `orch_nb.providers.instance`.
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
        replies: Iterable[Scripted] | Callable[[ModelRequest], Any],
        *,
        name: str = "scripted",
        gate: Callable[[ModelRequest], Awaitable[object]] | None = None,
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self._gate = gate
        self._always = replies if callable(replies) else None
        self._script: list[Any] = [] if callable(replies) else _listed(replies)

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

    def _next(self, number: int, request: ModelRequest) -> Any:
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


def _listed(replies: Any) -> list[Any]:
    if isinstance(replies, str | dict):
        raise TypeError("replies is a list with one reply for each call; put a single reply into [ ]")
    return list(replies)


def _events(request: ModelRequest, reply: Any) -> Iterator[ModelEvent]:
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
