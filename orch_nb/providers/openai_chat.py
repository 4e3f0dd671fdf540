"""Chat completions of OpenAI and of the many servers that speak the same protocol. Streaming is the only path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption, ProviderError
from orch_nb.providers.chat_body import KEPT, chat_body
from orch_nb.providers.chat_stream import DONE, ChatFault, ChatStream, ReportedError
from orch_nb.providers.http import Call, Caps, Http
from orch_nb.providers.keys import key_source
from orch_nb.providers.refusal import reported
from orch_nb.providers.sse import SseFault, SseParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from orch_nb.providers.keys import KeySource
    from orch_nb.providers.openai_batch import OpenAIBatch
    from orch_nb.schema.messages import Json, ModelEvent, ModelRequest

OPENAI_URL = "https://api.openai.com/v1"
_DRAIN_S = 0.2
_ERROR_BYTES = 64 << 10


class OpenAIChat:
    """A provider that speaks OpenAI's chat completions protocol.

    Parameters
    ----------
    name
        What the notebook calls this provider; it stands in errors and traces.
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
        self.name = name
        self._extra = dict(extra or {})
        if taken := sorted(KEPT & self._extra.keys()):
            raise BadOption(f"`extra` of `{name}` may not set {', '.join(taken)}.", hint="these come from the request")
        source = key_source(key, name)
        self._http = Http(name, base_url, key=source, allow_insecure=allow_insecure, trust_env=trust_env, caps=caps)
        openai = self._http.url.host == "api.openai.com"
        self._batch: OpenAIBatch | None = None
        self._has_batch = openai if has_batch is None else has_batch
        self._max_tokens_field = max_tokens_field or ("max_completion_tokens" if openai else "max_tokens")

    @classmethod
    def on_loopback(cls, name: str, base_url: str, key: KeySource) -> OpenAIChat:
        """A provider on a server that this process started itself, with the key it gave to it."""
        made = cls(name, base_url, key=None)
        made._http.key = key
        return made

    @property
    def base_url(self) -> str:
        """The address, fit to be shown."""
        return str(self._http.url.copy_with(query=None))

    @property
    def key_reference(self) -> str:
        """Where the key comes from, such as ``env:OPENAI_API_KEY``; "" when none is used."""
        return self._http.key.reference if self._http.key else ""

    def __repr__(self) -> str:
        return f"OpenAIChat({self.name!r}, {self.base_url!r}, key={self.key_reference or None!r})"

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The reply to `request`, piece by piece, then `Completed`; the connection is given back before that last event.

        Raises
        ------
        ProviderError
            One of its subclasses: see `orch_nb.errors`. `billed` is True when tokens may have been spent.
        """
        reply = _Reply()
        headers = {"idempotency-key": request.idempotency_key} if request.idempotency_key else {}
        body = chat_body(request, max_tokens_field=self._max_tokens_field, extra=self._extra)
        call = self._http.post(
            "/chat/completions", body, model=request.model, timeout_s=request.timeout_s, headers=headers
        )
        async with call:
            while not reply.is_done and (raw := await call.read()) is not None:
                for event in reply.feed(call, raw):
                    yield event
            last = reply.finish(call)
            await call.drain(_DRAIN_S)
        for event in last:
            yield event

    def batch_door(self) -> OpenAIBatch | None:
        """The way to this provider's batch interface; None where it has none."""
        from orch_nb.providers.openai_batch import OpenAIBatch

        if self._has_batch and self._batch is None:
            self._batch = OpenAIBatch(self.name, self._http, self._whole_body)
        return self._batch

    def _whole_body(self, request: ModelRequest) -> dict[str, Json]:
        """The body of the same question where the answer comes whole."""
        body = chat_body(request, max_tokens_field=self._max_tokens_field, extra=self._extra)
        return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._batch is not None:
            await self._batch.aclose()


class _Reply:
    """The bytes of one reply on their way to events; every fault in them becomes one typed error."""

    def __init__(self) -> None:
        self._parser, self._chat = SseParser(), ChatStream()
        self._head: bytes | None = b""
        self._other = b""

    @property
    def is_done(self) -> bool:
        """Whether nothing more need be read: the end mark came, or enough of a reply that is no event stream."""
        return self._chat.is_done or len(self._other) >= _ERROR_BYTES

    def feed(self, call: Call, raw: bytes) -> list[ModelEvent]:
        """The events in `raw`; none while it is not known, or known not to be, an event stream."""
        raw = self._sniffed(raw)
        return self._events(call, raw) if raw else []

    def finish(self, call: Call) -> list[ModelEvent]:
        """The last events of a whole reply."""
        failure: ProviderError
        if self._other:
            raise self._no_stream(call)
        if self._head is not None and not self._head.strip():
            raise call.malformed("the reply is empty")
        try:
            for event in [] if self._chat.is_done else self._parser.close():
                if event.data.strip() == DONE:
                    self._chat.feed(event.data)
            return self._chat.finish(call.request_id)
        except (SseFault, ChatFault) as fault:
            failure = call.malformed(str(fault))
        raise failure

    def _sniffed(self, raw: bytes) -> bytes:
        """`raw` when the reply is an event stream. By its first byte, as servers mislabel both ways: no line of an event
        stream begins with a brace or an angle bracket, and every JSON object or page does."""
        if self._other:
            self._other = (self._other + raw)[:_ERROR_BYTES]
            return b""
        if self._head is None:
            return raw
        self._head += raw
        begins = self._head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1]
        if not begins and len(self._head) < 1024:
            return b""
        raw, self._head = self._head, None
        if begins in (b"{", b"[", b"<"):
            self._other = raw[:_ERROR_BYTES]
            return b""
        return raw

    def _events(self, call: Call, raw: bytes) -> list[ModelEvent]:
        failure: ProviderError
        try:
            return [event for sent in self._parser.feed(raw) for event in self._chat.feed(sent.data)]
        except (SseFault, ChatFault) as fault:
            failure = call.malformed(str(fault))
        except ReportedError as error:
            failure = reported(call.asked, error.body)
        raise failure

    def _no_stream(self, call: Call) -> ProviderError:
        """A 200 that is no event stream: an error object, a whole JSON reply, or a web page."""
        body = _json_object(self._other)
        if body.get("error"):
            return reported(call.asked, body)
        what = "a web page" if self._other.lstrip()[:1] == b"<" else "JSON"
        return call.malformed(
            f"the reply to a stream request is {what}, not an event stream",
            hint="is base_url the API's address, and does this server stream?",
        )


def _json_object(raw: bytes) -> dict[str, Any]:
    import json

    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
