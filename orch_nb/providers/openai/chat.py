"""Chat completions of OpenAI and of the many servers that speak the same protocol. Streaming is the only path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.providers.keys import key_source
from orch_nb.providers.openai.request import KEPT, chat_body
from orch_nb.providers.openai.stream import ChatStream
from orch_nb.providers.transport.http import Http, HttpProvider, checked_extra
from orch_nb.providers.transport.stream import EventReply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from orch_nb.providers.keys import KeySource
    from orch_nb.providers.openai.batch import OpenAIBatch
    from orch_nb.providers.transport.http import Caps
    from orch_nb.schema.messages import Json, ModelEvent, ModelRequest

OPENAI_URL = "https://api.openai.com/v1"
_DRAIN_S = 0.2


class OpenAIChat(HttpProvider):
    """A provider that speaks OpenAI's chat completions protocol.

    Parameters
    ----------
    name
        What the notebook calls this provider; it is shown in errors and traces.
    base_url
        Address up to and without ``/chat/completions``.
    key
        Where the key is found when a call is made: ``env:NAME``, or None where no key is wanted. Never the key itself.
    allow_insecure
        Allows a key to be sent over http to another machine. On this machine http is always allowed.
    trust_env
        Whether proxy and certificate variables (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE) are honoured; never on loopback.
    max_tokens_field
        The name of the bound on the answer; by default ``max_completion_tokens`` for OpenAI's own address, whose newer
        models refuse the older name, and ``max_tokens`` elsewhere.
    extra
        Further fields of the body, such as ``{"reasoning_effort": "low"}``; None removes a field that a model refuses,
        such as ``{"temperature": None}``.
    caps
        Bounds of a reply.
    has_batch
        Whether this server takes batches (``/files`` and ``/batches``); by default OpenAI's own address does.

    Notes
    -----
    One instance may be used from several event loops; each gets its own connections. Nothing is retried here.
    """

    def __init__(
        self,
        name: str,
        base_url: str = OPENAI_URL,
        *,
        key: str | None = "env:OPENAI_API_KEY",
        allow_insecure: bool = False,
        trust_env: bool = True,
        max_tokens_field: str = "",
        extra: Mapping[str, Json] | None = None,
        caps: Caps | None = None,
        has_batch: bool | None = None,
    ) -> None:
        self._extra = checked_extra(name, extra, KEPT)
        source = key_source(key, name)
        http = Http(name, base_url, key=source, allow_insecure=allow_insecure, trust_env=trust_env, caps=caps)
        super().__init__(name, http)
        openai = http.url.host == "api.openai.com"
        self._batch: OpenAIBatch | None = None
        self._has_batch = openai if has_batch is None else has_batch
        self._max_tokens_field = max_tokens_field or ("max_completion_tokens" if openai else "max_tokens")

    @classmethod
    def on_loopback(cls, name: str, base_url: str, key: KeySource) -> OpenAIChat:
        """A provider on a server that this process started itself, with the key it gave to it."""
        made = cls(name, base_url, key=None)
        made._http.key = key
        return made

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The reply to `request`, piece by piece, then `Completed`; the connection is given back before that last event.

        Raises
        ------
        ProviderError
            One of its subclasses: see `orch_nb.errors`. `billed` is True when tokens may have been spent.
        """
        headers = {"idempotency-key": request.idempotency_key} if request.idempotency_key else {}
        body = chat_body(request, max_tokens_field=self._max_tokens_field, extra=self._extra)
        call = self._http.post(
            "/chat/completions", body, model=request.model, timeout_s=request.timeout_s, headers=headers
        )
        reply = EventReply(call, ChatStream())
        async with call:
            while not reply.is_done and (raw := await call.read()) is not None:
                for event in reply.feed(raw):
                    yield event
            last = reply.finish()
            await call.drain(_DRAIN_S)
        for event in last:
            yield event

    def batch_api(self) -> OpenAIBatch | None:
        """The way to this provider's batch interface; None where it has none."""
        from orch_nb.providers.openai.batch import OpenAIBatch

        if self._has_batch and self._batch is None:
            self._batch = OpenAIBatch(self.name, self._http, self._whole_body)
        return self._batch

    def _whole_body(self, request: ModelRequest) -> dict[str, Json]:
        """The body of the same question where the answer comes whole."""
        body = chat_body(request, max_tokens_field=self._max_tokens_field, extra=self._extra)
        return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        if self._batch is not None:
            await self._batch.aclose()
