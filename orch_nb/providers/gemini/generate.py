"""Google's Gemini API (`streamGenerateContent`). Streaming is the only path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.providers.gemini.request import KEPT, generate_body, model_path
from orch_nb.providers.gemini.stream import GeminiStream
from orch_nb.providers.transport.http import HttpProvider, checked_extra
from orch_nb.providers.transport.stream import EventReply
from orch_nb.providers.transport.thinking_blocks import TurnMemory
from orch_nb.providers.transport.vendor_errors import NativeHttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from orch_nb.providers.transport.http import Caps
    from orch_nb.schema.messages import Json, ModelEvent, ModelRequest

GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"


class Gemini(HttpProvider):
    """A provider that speaks Google's Gemini protocol.

    Parameters
    ----------
    name
        What the notebook calls this provider; it is shown in errors and traces.
    base_url
        Address up to and without ``/models``.
    key
        Where the key is found when a call is made: ``env:NAME``, or None where no key is wanted. Never the key itself.
        It is sent as the header ``x-goog-api-key``, never in the address, which proxies log.
    allow_insecure, trust_env, caps
        As for `OpenAIChat`.
    extra
        Further fields of the body, such as ``{"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}``; objects
        are merged into ours, and None removes a field.

    Notes
    -----
    A schema goes as `responseJsonSchema`. Signed thoughts of turns that asked for tools go back as they came, from the
    memory of this process; where they are lost, Gemini 3 and later get the mark that waives them. Thoughts
    count towards `max_tokens`, so that the reservation stays a bound. Nothing is retried here.

    References
    ----------
    ai.google.dev/api/generate-content and ai.google.dev/gemini-api/docs, as found in stored copies, read November 2026.
    """

    def __init__(
        self,
        name: str = "google",
        base_url: str = GEMINI_URL,
        *,
        key: str | None = "env:GEMINI_API_KEY",
        allow_insecure: bool = False,
        trust_env: bool = True,
        extra: Mapping[str, Json] | None = None,
        caps: Caps | None = None,
    ) -> None:
        self._extra = checked_extra(name, extra, KEPT)
        http = NativeHttp(
            name,
            base_url,
            key=key,
            key_header="x-goog-api-key",
            query={"alt": "sse"},
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
        path = model_path(request.model, self.name)
        body = generate_body(request, extra=self._extra, memory=self._memory)
        fold = GeminiStream()
        call = self._http.post(path, body, model=request.model, timeout_s=request.timeout_s)
        reply = EventReply(call, fold)
        async with call:
            while not reply.is_done and (raw := await call.read()) is not None:
                for event in reply.feed(raw):
                    yield event
            fold.note_service(call.header("x-gemini-service-tier"))
            last = reply.finish()
        if signed := fold.signed_content():
            self._memory.keep(fold.calls, signed)
        for event in last:
            yield event
