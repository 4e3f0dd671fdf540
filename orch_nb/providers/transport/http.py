"""POST and stream over httpx, guarded: a total deadline, byte caps after decompression, no redirects, typed errors.

httpx alone is not a safety net: its timeouts are per read, its decoding is unbounded, and its exceptions hold the request
with the key in it. So every await here runs under the call's own deadline, raw bytes are decoded by us, and errors are
raised outside the `except` that saw the foreign one, so that no traceback of ours reaches a frame that knows the key.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import re
import threading
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

import httpx

from orch_nb.errors import (
    AuthFailed,
    BadEnvironment,
    BadOption,
    BadRequest,
    MalformedReply,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)
from orch_nb.providers.transport.errors import Asked, refused
from orch_nb.schema.messages import UNSENT
from orch_nb.schema.service import service_in, special

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Generator, Iterator, Mapping
    from types import TracebackType

    from orch_nb.providers.keys import Key, KeySource

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of one reply.

    Parameters
    ----------
    reply_bytes
        Most bytes of a reply, counted after decompression; a long answer is some 100 kB, so 8 MiB is never met honestly.
    error_bytes
        Most bytes read of an error's body.
    header_bytes, headers
        Most bytes and lines of a reply's header.
    connect_s
        Longest wait for a connection, within the total deadline: a dead host is known long before a slow answer.
    """

    reply_bytes: int = 8 << 20
    error_bytes: int = 64 << 10
    header_bytes: int = 64 << 10
    headers: int = 256
    connect_s: float = 10.0


class Http:
    """One provider's HTTP client.

    Parameters
    ----------
    provider
        Name in errors.
    key
        Where the key is found at each call; None sends no key.
    key_header
        Name of the header that carries the key; "" sends it as a bearer token.
    trust_env
        Whether HTTP(S)_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR are honoured. They never are for a loopback address:
        a proxy must not see what does not leave the machine.

    Notes
    -----
    A client belongs to the event loop that uses it, so there is one per loop, made at the first call. On loopback no
    connection is kept: llama.cpp's server closes idle ones at the very moment they are reused.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        key: KeySource | None = None,
        key_header: str = "",
        allow_insecure: bool = False,
        trust_env: bool = True,
        caps: Caps | None = None,
    ) -> None:
        self.provider, self.key, self.caps = provider, key, caps or Caps()
        self.key_header = key_header
        self.url = checked_url(provider, base_url, with_key=key is not None, allow_insecure=allow_insecure)
        self.loopback = is_loopback(self.url.host)
        self.trust_env = trust_env and not self.loopback
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def post(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        model: str,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """A call to `path` below the base URL, to be entered by ``async with``; nothing is sent before.

        Raises
        ------
        AuthFailed
            The key cannot be found.
        BadRequest
            `body` is not JSON.
        """
        key = self.key.resolve() if self.key else None
        asked = Asked(self.provider, model, key)
        url = self.url.copy_with(path=self.url.path.rstrip("/") + path)
        return self._call(self, asked, url, encoded(asked, body), headers=dict(headers or {}), timeout_s=timeout_s)

    def exchange(
        self, method: str, path: str, content: bytes = b"", *, content_type: str = "application/json", model: str = "",
        timeout_s: float = 60.0,
    ) -> Call:  # fmt: skip
        """Another call than a question to a model: files and jobs. `content` is sent as it is; the reply is read in the same way.

        Raises
        ------
        AuthFailed
            The key cannot be found.
        """
        key = self.key.resolve() if self.key else None
        path, _, query = path.partition("?")
        url = self.url.copy_with(path=self.url.path.rstrip("/") + path)
        url = url.copy_with(query=query.encode()) if query else url
        headers = {"content-type": content_type, "accept": "application/json"}
        return Call(
            self, Asked(self.provider, model, key), url, content, headers=headers, timeout_s=timeout_s, method=method
        )

    def with_caps(self, caps: Caps) -> Http:
        """The same client with other bounds of a reply."""
        made = Http.__new__(Http)
        made.provider, made.key, made.caps, made.url = self.provider, self.key, caps, self.url
        made.key_header = self.key_header
        made.loopback, made.trust_env = self.loopback, self.trust_env
        made._clients, made._lock = WeakKeyDictionary(), threading.Lock()
        return made

    @property
    def _call(self) -> type[Call]:
        """Return what a question to a model is: a vendor's own kind understands its refusals."""
        return Call

    def client(self) -> httpx.AsyncClient:
        """The running loop's client.

        Raises
        ------
        BadEnvironment
            A proxy, NO_PROXY or a certificate file of the environment cannot be used; the variable is named.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients[loop] = self._new_client()
            return self._clients[loop]

    async def aclose(self) -> None:
        """Close this loop's client; those of other loops that still run are closed there."""
        here = asyncio.get_running_loop()
        with self._lock:
            clients = dict(self._clients)
            self._clients.clear()
        for loop, client in clients.items():
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def _new_client(self) -> httpx.AsyncClient:
        kept = 0 if self.loopback else 20
        with _environment(self.provider, ("SSL_CERT_FILE", "SSL_CERT_DIR")):
            tls = _tls(self.trust_env)
        with _environment(self.provider):
            return httpx.AsyncClient(
                verify=tls,
                trust_env=self.trust_env,
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=self.caps.connect_s),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=kept),
            )


class Call:
    """One POST whose reply is read piece by piece. Enter it, `read` until None, leave it.

    Notes
    -----
    Time the reader takes between two reads counts towards the deadline: it is the deadline of the whole call.
    """

    def __init__(
        self, http: Http, asked: Asked, url: httpx.URL, body: bytes, *, headers: dict[str, str], timeout_s: float,
        method: str = "POST",
    ) -> None:  # fmt: skip
        self._method = method
        self.asked, self.timeout_s, self._http, self._caps = asked, timeout_s, http, http.caps
        self._url, self._body, self._headers = url, body, headers
        self._sent = False
        self._seen_bytes = 0
        self._decoded_bytes = 0
        self._deadline = 0.0
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder: Decoder | None = None

    async def __aenter__(self) -> Self:
        self._deadline = asyncio.get_running_loop().time() + self.timeout_s
        self._response = await self._within(self._open())
        try:
            await self._accept(self._response)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _open(self) -> httpx.Response:
        client = self._http.client()
        request = client.build_request(
            self._method, self._url, content=self._body, headers=self._sent_headers(), extensions={"trace": self._note}
        )
        auth = _KeyAuth(self.asked.key, self._http.key_header) if self.asked.key else None
        return await client.send(request, auth=auth, stream=True)

    @property
    def request_id(self) -> str:
        """The provider's id of this request, "" when it gave none."""
        return self.header("x-request-id") or self.header("request-id")

    def header(self, name: str) -> str:
        """A header of the reply, "" where there is none."""
        headers = self._response.headers if self._response else {}
        return str(headers.get(name) or "")[:200]

    async def read(self) -> bytes | None:
        """The next decoded bytes, or None at the end.

        Raises
        ------
        ProviderTimeout
            The deadline of the call passed.
        MalformedReply
            More than `Caps.reply_bytes` came, the compression is broken, or the connection broke off.
        """
        assert self._chunks is not None, "read before enter"
        assert self._decoder is not None, "read before enter"
        raw = await self._within(anext(self._chunks, None))
        failure: MalformedReply
        try:
            if raw is None:
                self._decoder.close()
                return None
            return self._count(raw, self._decoder.pieces(raw))
        except InflateFault as fault:
            failure = self.malformed(f"{fault}")
        raise failure

    async def drain(self, within_s: float) -> None:
        """Read what little is left, so that the connection can be used again; give up quietly after `within_s`."""
        if self._http.loopback:
            return
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + within_s)
        with contextlib.suppress(ProviderError):
            while await self.read() is not None:
                pass

    def malformed(self, why: str, *, hint: str = "", **facts: object) -> MalformedReply:
        """The error for a reply that broke the protocol; it had begun, so it may be billed."""
        status = self._response.status_code if self._response else None
        return self.asked.error(MalformedReply, f"{why}.", billed=True, status=status, hint=hint, **facts)

    def _count(self, raw: bytes, pieces: list[bytes]) -> bytes:
        self._seen_bytes += len(raw)
        self._decoded_bytes += sum(map(len, pieces))
        if max(self._seen_bytes, self._decoded_bytes) > self._caps.reply_bytes:
            raise InflateFault(f"the reply has more than {self._caps.reply_bytes:,} bytes")
        return b"".join(pieces)

    def _sent_headers(self) -> dict[str, str]:
        return {
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "orch_nb",
            **{name: value for name, value in self._headers.items() if value.isascii() and value.isprintable()},
        }

    async def _note(self, event: str, _info: Mapping[str, object]) -> None:
        if event.endswith("send_request_headers.started"):
            self._sent = True

    async def _accept(self, response: httpx.Response) -> None:
        """Prepare reading a 200; any other status is read a little and raised."""
        size = sum(len(name) + len(value) + 4 for name, value in response.headers.raw)
        if size > self._caps.header_bytes or len(response.headers.raw) > self._caps.headers:
            raise self.malformed(f"the reply's header has {len(response.headers.raw):,} lines and {size:,} bytes")
        cap = self._caps.reply_bytes if response.status_code == 200 else self._caps.error_bytes
        unreadable = ""
        try:
            self._decoder = decoder(response.headers.get("content-encoding", ""), cap)
        except InflateFault as fault:
            unreadable = f"{fault}"
        self._chunks = response.aiter_raw()
        if response.status_code != 200:
            raise self._refusal(response, b"" if unreadable else await self._start_of_body())
        if unreadable:
            raise self.malformed(unreadable)

    def _refusal(self, response: httpx.Response, body: bytes) -> ProviderError:
        if response.status_code < 300:
            return self.malformed(f"HTTP {response.status_code}, where 200 is the only answer")
        return refused(self.asked, response.status_code, response.headers, body)

    async def _start_of_body(self) -> bytes:
        """The first bytes of an error's body; what cannot be read in 5 s is not waited for: the status says enough."""
        before, self._deadline = self._deadline, min(self._deadline, asyncio.get_running_loop().time() + 5.0)
        body = b""
        with contextlib.suppress(ProviderError):
            while len(body) < self._caps.error_bytes and (piece := await self.read()) is not None:
                body += piece
        self._deadline = before
        return body[: self._caps.error_bytes]

    async def _within(self, step: Awaitable[T]) -> T:
        """The result of one step on the network under the deadline, or one typed error without foreign context."""
        failure: ProviderError | asyncio.CancelledError
        try:
            async with asyncio.timeout_at(self._deadline):
                return await step
        except TimeoutError:
            failure = self._late()
        except asyncio.CancelledError:
            if self._sent:
                raise
            failure = asyncio.CancelledError(UNSENT)
        except ProviderError as error:  # ours already
            failure = error
        except Exception as error:  # whatever it is: not all of httpx's errors are its HTTPError
            failure = self._broken_error(error)
        raise failure

    def _late(self) -> ProviderTimeout:
        state = f"after {self._seen_bytes:,} bytes of the reply" if self._response else "before the reply began"
        return self.asked.error(
            ProviderTimeout,
            f"not done within {self.timeout_s:g} s ({state}).",
            billed=self._sent,
            hint="raise the agent's `timeout`, or lower its `max_tokens`",
            timeout_s=self.timeout_s,
        )

    def _broken_error(self, error: Exception) -> ProviderError:
        kind = type(error).__name__
        if self._response is not None:
            return self.malformed(f"the stream broke off after {self._seen_bytes:,} bytes ({kind})", cause=kind)
        host = self._url.host
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            what, hint = _no_connection(error, host, self._caps.connect_s)
        else:
            what, hint = f"the connection to {host} broke before a reply came ({kind}).", ""
        return self.asked.error(ProviderUnavailable, what, hint=hint, billed=self._sent, cause=kind)

    async def _close(self) -> None:
        """Give the connection back; it was judged already, so what its closing says is of no interest."""
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError, OSError, RuntimeError):
            if isinstance(self._chunks, AsyncGenerator):
                await self._chunks.aclose()
            if self._response is not None:
                await self._response.aclose()


class _KeyAuth(httpx.Auth):
    """Puts the key into the header at the last moment."""

    def __init__(self, key: Key, header: str) -> None:
        self._key, self._header = key, header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._header:
            request.headers[self._header] = self._key.reveal()
        else:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


def encoded(asked: Asked, body: Mapping[str, object]) -> bytes:
    """`body` as JSON in ASCII (so that no text, however odd, is unsendable).

    Raises
    ------
    BadRequest
        Something in it is not JSON: NaN, an object, a cycle. Nothing was sent.
    """
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (ValueError, TypeError, RecursionError) as error:
        why = str(error)
    raise asked.error(BadRequest, f"the request cannot be written as JSON ({asked.clean(why)}). Nothing was sent.")


def _no_connection(error: Exception, host: str, connect_s: float) -> tuple[str, str]:
    said = str(error).lower()
    if "certificate" in said:
        return (
            f"the TLS certificate of {host} was refused. Nothing was sent.",
            "a private authority's certificate is named by SSL_CERT_FILE; checking is never switched off",
        )
    if "ssl" in said:
        return f"{host} does not speak TLS as it should. Nothing was sent.", "is it an http:// address?"
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection to {host} within {connect_s:g} s.", "is the address right, and the network up?"
    if isinstance(error, httpx.ProxyError):
        return f"the proxy refused the way to {host}.", "see HTTPS_PROXY and NO_PROXY, or trust_env=False"
    return f"no connection to {host}.", "is the server running, the address right, and the network up?"


@contextlib.contextmanager
def _environment(provider: str, names: tuple[str, ...] = ()) -> Iterator[None]:
    """Make what fails while the environment is read an error that names the variable; it is one of `names`, or a proxy's.

    A proxy's value is not shown: it may have a password in it.
    """
    try:
        yield
        return
    except Exception as error:  # httpx raises InvalidURL, ValueError, ImportError, OSError
        name, value = _faulty_variable(names)
        why = type(error).__name__ if value is None else f"{value!r:.100}: {type(error).__name__}: {error!s:.200}"
    hint = f"correct {name}, or take it out of the environment, and restart the kernel"
    if name.upper() == "NO_PROXY":
        hint = f"write host names and IPv4 addresses in it, such as {name}=localhost,127.0.0.1, and restart the kernel"
    raise BadEnvironment(
        f"`{provider}`: the variable {name} of the environment cannot be used ({why}). Nothing was sent.", hint=hint,
        provider=provider, variable=name,
    )  # fmt: skip


def _faulty_variable(names: tuple[str, ...]) -> tuple[str, str | None]:
    """The variable that cannot be used, and its value where that may be shown."""
    for name in names:
        if name in os.environ:
            return name, os.environ[name]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        named = name.lower() if name.lower() in os.environ else name
        try:
            if value := os.environ.get(named):
                httpx.AsyncClient(proxy=value if "://" in value else f"http://{value}", trust_env=False)
        except Exception:
            return named, None
    named = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    return named, os.environ.get(named)


@lru_cache(maxsize=2)
def _tls(trust_env: bool) -> ssl.SSLContext:
    """One TLS context per process: reading the authorities takes some 20 ms."""
    return httpx.create_ssl_context(trust_env=trust_env)


# ------------------------------------------------------------------ addresses
# A provider's address: what may be one, and where a key may be sent.

_HOST_NAME = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")


def checked_url(provider: str, base_url: str, *, with_key: bool, allow_insecure: bool) -> httpx.URL:
    """`base_url` when it may be used.

    Raises
    ------
    BadOption
        It is not an http(s) address, or carries a user name or password (which would be shown wherever the address is).
    AuthFailed
        A key would cross a network unencrypted: http to another machine, without `allow_insecure`.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise BadOption(f"base_url of `{provider}` is not a web address.", hint="such as https://host/v1") from None
    if url.scheme not in ("http", "https") or not _is_host(url) or not 0 < (url.port or 1) < 65536:
        raise BadOption(f"base_url of `{provider}` is not an http(s) address.", hint="such as https://host/v1")
    if url.userinfo:
        raise BadOption(
            f"base_url of `{provider}` carries a user or password: {url.scheme}://[hidden]@{url.host}.",
            hint="take it out of the address; keys are given as key='env:NAME'",
        )
    if with_key and url.scheme == "http" and not is_loopback(url.host) and not allow_insecure:
        raise AuthFailed(
            f"`{provider}` would send its key unencrypted to {url.host}. Nothing was sent.",
            provider=provider,
            hint="use https, or allow_insecure=True where the network is trusted",
        )
    return url


def _is_host(url: httpx.URL) -> bool:
    """Return whether the address has a host that can exist: a name in its ASCII form, or an IP address."""
    return _HOST_NAME.fullmatch(url.raw_host) is not None or ":" in url.host


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine by its text alone (nothing is resolved)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ------------------------------------------------------------------ providers over HTTP
# What every provider over HTTP has in common: how it is shown, its further fields, its closing.


class HttpProvider:
    """A provider that calls models through one `Http`.

    Parameters
    ----------
    name
        What the notebook calls it.
    http
        The HTTP client.
    """

    _extra: dict[str, object]
    """Further fields of its requests; a kind that takes them sets them."""

    def __init__(self, name: str, http: Http) -> None:
        self.name, self._http = name, http

    @property
    def base_url(self) -> str:
        """The address, fit to be shown."""
        return str(self._http.url.copy_with(query=None))

    @property
    def key_reference(self) -> str:
        """Return where the key comes from, such as ``env:OPENAI_API_KEY``; "" when none is used."""
        return self._http.key.reference if self._http.key else ""

    @property
    def asked_service(self) -> dict[str, str]:
        """The service tier or speed that every request asks for by `extra`, where it is not the ordinary one."""
        return special(service_in(self._extra))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.base_url!r}, key={self.key_reference or None!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def checked_extra(provider: str, extra: Mapping[str, object] | None, kept: frozenset[str]) -> dict[str, object]:
    """`extra` as a dict.

    Raises
    ------
    BadOption
        It sets a field that the adapter sets itself.
    """
    given = dict(extra or {})
    if taken := sorted(kept & given.keys()):
        raise BadOption(f"`extra` of `{provider}` may not set {', '.join(taken)}.", hint="these come from the request")
    return given


# ------------------------------------------------------------------ compressed bodies
# Bounded decompression of a reply: no more bytes come out than were allowed, whatever was sent.
#
# We ask for `Accept-Encoding: identity`; some gateways compress all the same.

_STEP = 1 << 16
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class InflateFault(ValueError):
    """The reply is compressed in a way we do not take, or its compression is broken."""


class Decoder(Protocol):
    """Decoded bytes for raw ones. `pieces` yields small parts, so that the caller can stop at its cap."""

    def pieces(self, raw: bytes) -> list[bytes]: ...
    def close(self) -> None: ...


class Plain:
    """No compression."""

    def pieces(self, raw: bytes) -> list[bytes]:
        return [raw]

    def close(self) -> None:
        """Nothing can be missing."""


class Inflater:
    """gzip or deflate, at most `cap_bytes` in all.

    Notes
    -----
    zlib is given a limit at each step and what it has not consumed is fed back, so memory stays below the cap plus
    64 KiB however well the bytes were packed.
    """

    def __init__(self, encoding: str, cap_bytes: int) -> None:
        self._zlib = zlib.decompressobj(_WBITS[encoding])
        self._left = cap_bytes

    def pieces(self, raw: bytes) -> list[bytes]:
        """Return what `raw` decodes to.

        Raises
        ------
        InflateFault
            More than the cap came out, or the bytes are broken.
        """
        out: list[bytes] = []
        while raw and not self._zlib.eof:
            piece = self._step(raw)
            self._left -= len(piece)
            if self._left < 0:
                raise InflateFault("the compressed reply expands beyond the byte limit")
            out.append(piece)
            raw = self._zlib.unconsumed_tail
        if self._zlib.unused_data:
            raise InflateFault("bytes follow the end of the compressed reply")
        return out

    def close(self) -> None:
        """Say that no bytes follow.

        Raises
        ------
        InflateFault
            The compressed reply is not whole.
        """
        if not self._zlib.eof:
            raise InflateFault("the compressed reply is cut short")

    def _step(self, raw: bytes) -> bytes:
        try:
            return self._zlib.decompress(raw, _STEP)
        except zlib.error:
            raise InflateFault("the compressed reply is broken") from None


def decoder(encoding: str, cap_bytes: int) -> Decoder:
    """The decoder for a Content-Encoding header.

    Raises
    ------
    InflateFault
        The encoding is neither identity, gzip nor deflate.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return Plain()
    if encoding not in _WBITS:
        raise InflateFault(f"the reply is encoded as {encoding[:80]!r}, which was not asked for")
    return Inflater(encoding, cap_bytes)
