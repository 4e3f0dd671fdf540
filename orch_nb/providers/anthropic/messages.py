"""Anthropic's Messages API, and the servers that speak it. Streaming is the only path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.providers.anthropic.request import KEPT, answer_tool, messages_body
from orch_nb.providers.anthropic.stream import MessagesStream
from orch_nb.providers.transport.http import HttpProvider, checked_extra
from orch_nb.providers.transport.stream import EventReply
from orch_nb.providers.transport.thinking_blocks import TurnMemory
from orch_nb.providers.transport.vendor_errors import NativeHttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from orch_nb.providers.transport.http import Caps
    from orch_nb.schema.messages import Json, ModelEvent, ModelRequest

ANTHROPIC_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"
_DRAIN_S = 0.2


class AnthropicMessages(HttpProvider):
    """A provider that speaks Anthropic's Messages protocol.

    Parameters
    ----------
    name
        What the notebook calls this provider; it is shown in errors and traces.
    base_url
        Address up to and without ``/messages``.
    key
        Where the key is found when a call is made: ``env:NAME``, or None where no key is wanted. Never the key itself.
        It is sent as ``x-api-key``.
    version, beta
        The headers ``anthropic-version`` and ``anthropic-beta``; the latter is sent when it is not empty.
    allow_insecure, trust_env, caps
        As for `OpenAIChat`.
    extra
        Further fields of the body, such as ``{"thinking": {"type": "adaptive"}}`` or ``{"output_config": {"effort":
        "low"}}``; objects are merged into ours, and None removes a field.

    Notes
    -----
    A schema is enforced by structured outputs (`output_config.format`) on Claude 4.5 and later; where the model is older
    or the schema beyond their subset, by a tool whose input is the answer: forced, except on models that think. Thoughts
    that precede tool calls go back with them, from the memory of this process. Nothing is retried here. Tokens written
    to the cache are counted as input, without Anthropic's surcharge: nothing is written there unless `extra` asks for it.

    References
    ----------
    platform.claude.com/docs: "Messages", "Streaming messages", "Structured outputs", "Errors", as found in stored copies
    of 2026, read November 2026.
    """

    def __init__(
        self,
        name: str = "anthropic",
        base_url: str = ANTHROPIC_URL,
        *,
        key: str | None = "env:ANTHROPIC_API_KEY",
        version: str = VERSION,
        beta: str = "",
        allow_insecure: bool = False,
        trust_env: bool = True,
        extra: Mapping[str, Json] | None = None,
        caps: Caps | None = None,
    ) -> None:
        self._extra = checked_extra(name, extra, KEPT)
        self._headers = {"anthropic-version": version} | ({"anthropic-beta": beta} if beta else {})
        http = NativeHttp(
            name,
            base_url,
            key=key,
            key_header="x-api-key",
            allow_insecure=allow_insecure,
            trust_env=trust_env,
            caps=caps,
        )
        super().__init__(name, http)
        self._memory = TurnMemory()

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The reply to `request`, piece by piece, then `Completed`; the connection is given back before that last event.

        Raises
        ------
        ProviderError
            One of its subclasses: see `orch_nb.errors`. `billed` is True when tokens may have been spent.
        """
        body = messages_body(request, extra=self._extra, memory=self._memory)
        fold = MessagesStream(answer_tool=answer_tool(body, request), has_tools=bool(request.tools))
        call = self._http.post(
            "/messages", body, model=request.model, timeout_s=request.timeout_s, headers=self._headers
        )
        reply = EventReply(call, fold)
        async with call:
            while not reply.is_done and (raw := await call.read()) is not None:
                for event in reply.feed(raw):
                    yield event
            last = reply.finish()
            await call.drain(_DRAIN_S)
        if thoughts := fold.thoughtful_content():
            self._memory.keep(fold.calls, thoughts)
        for event in last:
            yield event
