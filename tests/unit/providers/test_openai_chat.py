"""OpenAIChat against a real server on loopback: what is sent, what comes back, and how calls end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import logging
import shutil
import ssl
import subprocess
import threading
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import (
    AuthFailed,
    BadOption,
    BadRequest,
    MalformedReply,
    OrchError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.providers.transport.http import Caps, is_loopback
from orch_nb.schema.messages import UNSENT, Completed, Message, ModelRequest, Reply, TextDelta, collect
from tests.unit.providers.loopback import SSE_HEAD, Loopback, chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = "sk-canary-0123456789abcdef"
DONE = b"data: [DONE]\n\n"
WHOLE = chunk({"content": "hi "}) + chunk({"content": "there"}) + chunk({}, "stop") + DONE


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_TEST_KEY", CANARY)


async def reply_of(url: str, request: ModelRequest, **options: Any) -> Reply:
    chat = OpenAIChat("p", url, key=options.pop("key", "env:ORCH_TEST_KEY"), **options)
    try:
        return await collect(chat.stream(request))
    finally:
        await chat.aclose()


async def error_of(url: str, request: ModelRequest, **options: Any) -> OrchError:
    with pytest.raises(OrchError) as caught:
        await reply_of(url, request, **options)
    assert caught.value.__context__ is None, "a foreign exception knows the request, and the request the key"
    return caught.value


async def test_what_is_sent(loopback: Loopback, asked: ModelRequest) -> None:
    """The body, the key, the idempotency key and no wish for compression go out."""
    await reply_of(loopback.sse(WHOLE), replace(asked, idempotency_key="k1"))
    path, headers, body = loopback.heard[-1]
    assert path.endswith("/v1/chat/completions")
    assert json.loads(body)["messages"] == [{"role": "user", "content": "hello"}]
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert headers["accept-encoding"] == "identity"
    assert headers["idempotency-key"] == "k1"


async def test_no_key_no_header(loopback: Loopback, asked: ModelRequest) -> None:
    """A provider without a key sends none."""
    await reply_of(loopback.sse(WHOLE), asked, key=None)
    assert "authorization" not in loopback.heard[-1][1]


async def test_pieces_arrive_as_they_are_sent(loopback: Loopback, asked: ModelRequest) -> None:
    """A piece of text is given out before the server has sent the rest."""
    go_on = threading.Event()

    async def answer(headers: Any, body: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + chunk({"content": "first"}))
        await writer.drain()
        await asyncio.to_thread(go_on.wait, 5)
        writer.write(chunk({"content": " second"}) + chunk({}, "stop") + DONE)
        await writer.drain()

    chat = OpenAIChat("p", loopback.serve(answer), key=None)
    events = []
    async for event in chat.stream(asked):
        events.append(event)
        go_on.set()
    await chat.aclose()
    assert events == [TextDelta("first"), TextDelta(" second"), Completed("stop", None, "m")]


async def test_the_request_id_is_kept(loopback: Loopback, asked: ModelRequest) -> None:
    """The provider's request id is in the reply, for its support."""
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Request-Id: req_1\r\n\r\n")
    assert (await reply_of(loopback.serve(head + WHOLE), asked)).request_id == "req_1"


async def test_a_compressed_stream_is_read_all_the_same(loopback: Loopback, asked: ModelRequest) -> None:
    """A gateway that compresses unasked is understood, within the byte cap."""
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    assert (await reply_of(loopback.serve(head + gzip.compress(WHOLE)), asked)).text == "hi there"


async def test_an_end_mark_without_its_blank_line_counts(loopback: Loopback, asked: ModelRequest) -> None:
    """A proxy that eats the last line break does not cost the answer; any other unfinished line does."""
    assert (await reply_of(loopback.sse(WHOLE.rstrip()), asked)).text == "hi there"
    cut = WHOLE[: WHOLE.index(b"data: [DONE]") - 4]
    assert isinstance(await error_of(loopback.sse(cut), asked), MalformedReply)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.8, 0.99])
async def test_a_truncated_stream_is_never_an_answer(loopback: Loopback, asked: ModelRequest, cut: float) -> None:
    """A stream that ends early is MalformedReply and may be billed; no Completed was given out."""
    raw = WHOLE[: int(len(WHOLE) * cut)].removesuffix(b"[DONE]")
    chat, events = OpenAIChat("p", loopback.sse(raw), key=None), []
    with pytest.raises(MalformedReply) as caught:
        async for event in chat.stream(asked):
            events.append(event)
    await chat.aclose()
    assert caught.value.billed
    assert not any(isinstance(e, Completed) for e in events)


async def test_an_error_object_instead_of_a_stream(loopback: Loopback, asked: ModelRequest) -> None:
    """A 200 with an error object is that error; a 200 with JSON or a page says what it is."""
    error = await error_of(loopback.json(200, {"error": {"message": "slow down", "code": 429}}), asked)
    assert type(error) is RateLimited
    assert "is JSON, not an event stream" in str(await error_of(loopback.json(200, {"choices": []}), asked))
    assert "is a web page" in str(await error_of(loopback.json(200, b"<html>"), asked))
    assert "is empty" in str(await error_of(loopback.json(200, b""), asked))
    assert "HTTP 204" in str(await error_of(loopback.json(204, b""), asked))


async def test_a_reply_is_capped_after_decompression(loopback: Loopback, asked: ModelRequest) -> None:
    """An endless reply of small events ends at the cap, plain or compressed."""
    raw = chunk({"content": "x" * 1000}) * 200
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    plain = await error_of(loopback.sse(raw), asked, caps=Caps(reply_bytes=100_000))
    packed = await error_of(loopback.serve(head + gzip.compress(raw)), asked, caps=Caps(reply_bytes=100_000))
    assert "more than 100,000 bytes" in str(plain)
    assert "expands beyond" in str(packed)


async def test_an_error_body_is_capped(loopback: Loopback, asked: ModelRequest) -> None:
    """A huge error body is read only as far as it is shown, and the status is kept."""
    assert "HTTP 500" in str(await error_of(loopback.json(500, b"x" * (4 << 20)), asked))


async def test_a_slow_error_body_does_not_hide_the_status(loopback: Loopback, asked: ModelRequest) -> None:
    """A 429 whose body never comes is a 429 at the deadline, not a timeout."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 X\r\nContent-Length: 100\r\nRetry-After: 3\r\n\r\n{")
        await writer.drain()
        await reader.read(1)

    error = await error_of(loopback.serve(answer), replace(asked, timeout_s=0.2))
    assert type(error) is RateLimited
    assert error.retry_after_s == 3.0


async def test_the_deadline_covers_the_whole_call(loopback: Loopback, asked: ModelRequest) -> None:
    """A stream whose every packet is quick and which never ends stops at the deadline, not later."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD)
        gone = asyncio.ensure_future(reader.read(1))
        while not gone.done():
            writer.write(chunk({"content": "x"}))
            await asyncio.wait([gone], timeout=0.01)

    started = time.monotonic()
    error = await error_of(loopback.serve(answer), replace(asked, timeout_s=0.5))
    assert type(error) is ProviderTimeout
    assert error.billed
    assert "not done within 0.5 s (after" in str(error)
    assert time.monotonic() - started > 0.4


async def test_nobody_listens(asked: ModelRequest) -> None:
    """A refused connection is ProviderUnavailable, certainly not billed, with advice."""
    error = await error_of("http://127.0.0.1:9/v1", asked)
    assert type(error) is ProviderUnavailable
    assert not error.billed
    assert "no connection to 127.0.0.1" in str(error)


async def test_a_broken_connection_may_be_billed(loopback: Loopback, asked: ModelRequest) -> None:
    """When the request went out and no reply came, nobody knows whether it was billed: so it may be."""
    error = await error_of(loopback.serve(b""), asked)
    assert type(error) is ProviderUnavailable
    assert error.billed


async def test_closing_early_closes_the_connection(loopback: Loopback, asked: ModelRequest) -> None:
    """500 streams left after their first piece leave no connection open, and later calls work."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + chunk({"content": "x"}))
        await writer.drain()
        await reader.read(1)

    url = loopback.serve(answer)
    chat = OpenAIChat("p", url, key=None)
    patient = replace(asked, timeout_s=50)  # 500 connections at once, on a machine that may be busy

    async def leave(how: int) -> None:
        stream = chat.stream(patient)
        await anext(stream)
        if how % 2:
            await stream.aclose()  # type: ignore[attr-defined]
        else:
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    await asyncio.gather(*(leave(n) for n in range(500)))
    assert await asyncio.to_thread(loopback.wait_idle)
    await chat.aclose()
    assert (await reply_of(loopback.sse(WHOLE), asked)).text == "hi there"


async def test_a_cancelled_call_says_whether_anything_was_sent(loopback: Loopback, asked: ModelRequest) -> None:
    """Broken off while it connects, nothing had left: it is free. Broken off later, it may be billed."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    chat = OpenAIChat("p", loopback.serve(answer), key=None)

    async def broken_off(is_ready: Callable[[], bool]) -> tuple[Any, ...]:
        task = asyncio.ensure_future(collect(chat.stream(asked)))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while not is_ready():
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as stop:
            await task
        return stop.value.args

    assert await broken_off(lambda: True) == (UNSENT,)
    before = len(loopback.heard)
    assert await broken_off(lambda: len(loopback.heard) > before) == ()
    await chat.aclose()


async def test_refusals_leave_no_connection_open(loopback: Loopback, asked: ModelRequest) -> None:
    """A refusal whose body never ends is left, and its connection closed at once, not when the provider is."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 100_000)
        await writer.drain()
        await reader.read(1)

    chat = OpenAIChat("p", loopback.serve(answer), key=None)
    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            await collect(chat.stream(asked))
    assert await asyncio.to_thread(loopback.wait_idle)
    await chat.aclose()


def test_one_provider_serves_several_loops(loopback: Loopback, asked: ModelRequest) -> None:
    """Runs live on one loop and tests on others: the same provider works on each, also one after another."""
    chat = OpenAIChat("p", loopback.sse(WHOLE), key=None)

    async def once() -> str:
        return (await collect(chat.stream(asked))).text

    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(asyncio.run(once()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    texts.append(asyncio.run(once()))
    asyncio.run(chat.aclose())
    gc.collect()
    assert texts == ["hi there"] * 4


async def test_a_missing_key_sends_nothing(
    loopback: Loopback, asked: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key there is no request, and the hint says how to continue without one."""
    monkeypatch.delenv("ORCH_TEST_KEY")
    before = len(loopback.heard)
    error = await error_of(loopback.sse(WHOLE), asked)
    assert type(error) is AuthFailed
    assert "`echo`" in error.hint
    assert len(loopback.heard) == before


async def test_a_request_that_is_no_json_sends_nothing(loopback: Loopback, asked: ModelRequest) -> None:
    """NaN in a schema is refused before the socket; a lone surrogate in a prompt is sendable."""
    before = len(loopback.heard)
    error = await error_of(loopback.sse(WHOLE), replace(asked, schema={"minimum": float("nan")}))
    assert type(error) is BadRequest
    assert len(loopback.heard) == before
    odd = replace(asked, messages=(Message("user", "\ud800"),))
    assert (await reply_of(loopback.sse(WHOLE), odd)).text == "hi there"


async def test_redirects_do_not_carry_the_key(loopback: Loopback, asked: ModelRequest) -> None:
    """A redirect is an error; the other address hears nothing."""
    other = loopback.sse(WHOLE)
    before = len(loopback.heard)
    error = await error_of(loopback.json(307, b"", f"Location: {other}/chat/completions"), asked)
    assert type(error) is BadRequest
    assert len(loopback.heard) == before + 1


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example.org/v1",
        "http://127.0.0.1.example.org/v1",
        "http://192.0.2.1/v1",
        "http://0x7f000001/v1",
        "http://[::2]/v1",
    ],
)
def test_a_key_does_not_cross_a_network_in_the_clear(url: str) -> None:
    """http to another machine is refused with a key, allowed without one or when asked for."""
    with pytest.raises(AuthFailed, match="unencrypted"):
        OpenAIChat("p", url, key="env:ORCH_TEST_KEY")
    OpenAIChat("p", url, key=None)
    OpenAIChat("p", url, key="env:ORCH_TEST_KEY", allow_insecure=True)


def test_loopback_is_told_by_its_text() -> None:
    """Loopback addresses in all their forms are this machine; look-alikes are not."""
    assert all(map(is_loopback, ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(
        map(is_loopback, ["localhost.example.org", "notlocalhost", "127.0.0.1.org", "10.0.0.1", "0.0.0.0", ""])
    )


@pytest.mark.parametrize(
    "url", ["", "host/v1", "ftp://host/v1", "http://", "https://[", "file:///etc/passwd", "https://host:99999/"]
)
def test_an_address_that_is_none(url: str) -> None:
    """What is not an http(s) address is refused when the provider is made."""
    with pytest.raises(BadOption, match="base_url of `p`"):
        OpenAIChat("p", url)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    """User and password in base_url are an error that hides them."""
    with pytest.raises(BadOption, match=r"https://\[hidden\]@host") as caught:
        OpenAIChat("p", f"https://me:{CANARY}@host/v1")
    assert CANARY not in str(caught.value)


def test_extra_may_not_change_the_protocol() -> None:
    """`extra` cannot switch streaming off, nor replace the messages."""
    with pytest.raises(BadOption, match="may not set messages, stream"):
        OpenAIChat("p", extra={"stream": False, "messages": []})


def test_openai_itself_gets_the_newer_name_of_the_bound() -> None:
    """OpenAI's own address takes max_completion_tokens, others max_tokens, unless said otherwise."""
    assert OpenAIChat("p")._max_tokens_field == "max_completion_tokens"
    assert OpenAIChat("p", "https://host/v1")._max_tokens_field == "max_tokens"
    assert OpenAIChat("p", max_tokens_field="max_tokens")._max_tokens_field == "max_tokens"


def test_proxies_never_see_loopback() -> None:
    """Proxy variables are honoured for other machines unless switched off, and never for this one."""
    assert not OpenAIChat("p", "http://localhost:1/v1")._http.trust_env
    assert OpenAIChat("p")._http.trust_env
    assert not OpenAIChat("p", trust_env=False)._http.trust_env


async def test_a_proxy_is_used_and_its_password_is_not_shown(
    loopback: Loopback, asked: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY carries the call to another machine; NO_PROXY and trust_env=False do not use it; no error shows its password."""
    through = loopback.sse(WHOLE).replace(f"127.0.0.1:{loopback.port}", "models.example.org")
    refused = loopback.json(502, b"bad gateway").replace(f"127.0.0.1:{loopback.port}", "models.example.org")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{CANARY}@127.0.0.1:{loopback.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert (await reply_of(through, asked, key=None)).text == "hi there"
    error = await error_of(refused, asked, key=None)
    assert type(error) is ProviderUnavailable
    assert CANARY not in str(error) + str(dict(error.facts))
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{CANARY}@127.0.0.1:9")
    error = await error_of(through, asked, key=None)
    assert CANARY not in str(error) + str(dict(error.facts))
    assert (await reply_of(loopback.sse(WHOLE), asked, key=None)).text == "hi there"


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, asked: ModelRequest) -> None:
    """A self-signed server gets no request, and no key; one vouched for by SSL_CERT_FILE but for another name neither."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=other.example.org", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        error = await error_of(f"https://127.0.0.1:{port}/v1", asked)
    assert type(error) is ProviderUnavailable
    assert "certificate of 127.0.0.1 was refused" in str(error)
    assert heard == []


async def test_https_to_a_plain_server(asked: ModelRequest) -> None:
    """An https address of an http server is told apart from a server that is down."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        error = await error_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked)
    assert "does not speak TLS" in str(error)


def test_what_is_shown_of_a_provider() -> None:
    """Its name, address and the key's reference; never the key, nor the query of the address."""
    chat = OpenAIChat("p", "https://host/v1?api-key=secret", key="env:ORCH_TEST_KEY")
    assert repr(chat) == "OpenAIChat('p', 'https://host/v1', key='env:ORCH_TEST_KEY')"
    assert CANARY not in str(vars(chat)) + str(vars(chat._http))


FAILING: list[Callable[[Loopback], str]] = [
    lambda server: server.json(401, {"error": {"message": "Incorrect API key provided"}}),
    lambda server: server.json(500, b"oops"),
    lambda server: server.serve(b"HTTP/9.9 banana\r\n\r\n"),
    lambda server: server.serve(b""),
    lambda server: server.json(307, b"", "Location: https://host/"),
    lambda server: server.sse(chunk({"content": "x"}), b"data: {\n\n"),
    lambda server: server.sse(chunk({}, "stop")),
    lambda server: "http://127.0.0.1:9/v1",
]


@pytest.mark.parametrize("failing", FAILING)
async def test_the_key_is_in_no_traceback(
    loopback: Loopback, asked: ModelRequest, failing: Callable[[Loopback], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither message, facts, logs at DEBUG, nor a traceback that prints every local variable shows the key."""
    caplog.set_level(logging.DEBUG)
    chat = OpenAIChat("p", failing(loopback), key="env:ORCH_TEST_KEY")
    shown = ""
    try:
        await collect(chat.stream(asked))
    except OrchError as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown = "".join(frames.format()) + repr(error) + str(dict(error.facts)) + error.hint
    await chat.aclose()
    assert "EventReply object at" in shown, "the traceback has our local variables"
    assert CANARY not in shown + caplog.text


ECHOING: list[Callable[[Loopback], str]] = [
    lambda server: server.json(401, {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": CANARY}}),
    lambda server: server.json(500, CANARY.encode()),
    lambda server: server.serve(b"HTTP/9.9 banana " + CANARY.encode() + b"\r\n\r\n"),
    lambda server: server.json(307, b"", f"Location: https://host/?k={CANARY}"),
    lambda server: server.json(200, {"error": {"message": f"no {CANARY}", "code": CANARY}}),
    lambda server: server.sse(chunk({"content": "x"}), b"data: {" + CANARY.encode() + b"\n\n"),
    lambda server: server.serve(
        SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: " + CANARY.encode() + b"\r\n\r\n")
    ),
]


@pytest.mark.parametrize("echoing", ECHOING)
async def test_a_server_that_repeats_the_key_does_not_get_it_shown(
    loopback: Loopback, asked: ModelRequest, echoing: Callable[[Loopback], str]
) -> None:
    """A reply that holds the key, in whatever place, becomes an error without it."""
    error = await error_of(echoing(loopback), asked)
    assert CANARY not in str(error) + repr(error) + str(dict(error.facts)) + error.hint
