"""What can go wrong on the way to Anthropic and to Google: success or one typed error, in time, without the key."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
import time
import traceback
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    MalformedReply,
    OrchError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from orch_nb.providers.anthropic.messages import AnthropicMessages
from orch_nb.providers.anthropic.stream import MessagesStream
from orch_nb.providers.gemini.generate import Gemini
from orch_nb.providers.gemini.stream import GeminiStream
from orch_nb.providers.transport.http import Caps
from orch_nb.providers.transport.stream import EventReply
from orch_nb.providers.transport.vendor_errors import NativeHttp
from orch_nb.schema.messages import Completed, ModelRequest, Reply, collect
from tests.unit.providers.loopback import SSE_HEAD, Loopback
from tests.unit.providers.native_server import event, piece, said

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "sk-canary-0123456789abcdef"
GZIP_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
ADAPTERS: dict[str, Callable[..., Any]] = {"anthropic": AnthropicMessages, "gemini": Gemini}
COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2}
WHOLE = {
    "anthropic": said("hi ", "there"),
    "gemini": piece("hi ") + piece("there", "STOP", usageMetadata=COUNTS),
}
BEGUN = {"anthropic": WHOLE["anthropic"].partition(b"event: content_block_stop")[0], "gemini": piece("hi ")}
MORE = {
    "anthropic": event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 1000}),
    "gemini": piece("x" * 1000),
}


@pytest.fixture(params=sorted(ADAPTERS))
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_TEST_KEY", CANARY)


async def outcome(wire: str, url: str, request: ModelRequest, **options: Any) -> Reply | ProviderError:
    """Return what one call becomes; a foreign exception, or an error that shows the key, fails the test."""
    provider = ADAPTERS[wire]("p", url, key="env:ORCH_TEST_KEY", **options)
    try:
        return await collect(provider.stream(request))
    except ProviderError as error:
        assert error.__context__ is None, "a foreign exception knows the request, and the request the key"
        assert CANARY not in str(error) + repr(error) + str(dict(error.facts)) + error.hint
        return error
    finally:
        await provider.aclose()


async def error_of(wire: str, url: str, request: ModelRequest, **options: Any) -> ProviderError:
    got = await outcome(wire, url, request, **options)
    assert isinstance(got, ProviderError), got
    return got


STATUSES = {
    307: (BadRequest, False), 400: (BadRequest, False), 401: (AuthFailed, False), 402: (AuthFailed, False),
    403: (AuthFailed, False), 404: (BadRequest, False), 413: (BadRequest, False), 429: (RateLimited, False),
    500: (ProviderUnavailable, True), 503: (ProviderUnavailable, False), 504: (ProviderUnavailable, True),
    529: (ProviderUnavailable, False),
}  # fmt: skip


@pytest.mark.parametrize("status", sorted(STATUSES))
async def test_statuses(wire: str, loopback: Loopback, asked: ModelRequest, status: int) -> None:
    """Each status is its typed error, billed only where tokens may have been made, with the vendor's words."""
    body = {"type": "error", "error": {"type": "x_error", "code": status, "message": f"no because of {CANARY}"}}
    before = len(loopback.heard)
    error = await error_of(wire, loopback.json(status, body, "Location: https://host/", "Retry-After: 2"), asked)
    kind, billed = STATUSES[status]
    assert (type(error), error.billed, error.status) == (kind, billed, status)
    assert "no because of [key]" in str(error)
    assert len(loopback.heard) == before + 1, "nothing is retried here"


REFUSALS = [
    ("gemini", 400, "gemini_key_400.json", AuthFailed),
    ("gemini", 400, "gemini_context_400.json", ContextTooLong),
    ("gemini", 429, "gemini_quota_429.json", RateLimited),
    ("anthropic", 400, "anthropic_context_400.json", ContextTooLong),
    ("anthropic", 529, "anthropic_overloaded_529.json", ProviderUnavailable),
]


@pytest.mark.parametrize(("name", "status", "file", "kind"), REFUSALS)
async def test_the_vendors_own_refusals(
    loopback: Loopback, asked: ModelRequest, recorded: Any, name: str, status: int, file: str, kind: type
) -> None:
    """What a vendor says in its own words is told apart from a request that is merely wrong."""
    error = await error_of(name, loopback.json(status, recorded(file)), asked)
    assert type(error) is kind
    assert error.status == status
    assert error.provider == "p"
    assert error.retry_after_s == (34.0 if status == 429 else None)
    assert bool(error.hint) is (status == 400)


async def test_no_credit_and_a_context_limit(loopback: Loopback, asked: ModelRequest) -> None:
    """Anthropic's 400 for an empty account is not a bad request, nor is one for input and answer that do not fit together."""
    told = {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to go on."}}
    assert type(await error_of("anthropic", loopback.json(400, told), asked)) is AuthFailed
    told = {"error": {"message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2"}}
    assert type(await error_of("anthropic", loopback.json(400, told), asked)) is ContextTooLong


REPORTS = [
    ("anthropic", event("error", error={"type": "overloaded_error", "message": "Overloaded"}), ProviderUnavailable),
    ("anthropic", event("error", error={"type": "rate_limit_error", "message": "slow"}), RateLimited),
    ("anthropic", event("error", error={"type": "authentication_error", "message": "no"}), AuthFailed),
    ("gemini", b'data: {"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}\n\n', ProviderUnavailable),
    ("gemini", b'data: {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}}\n\n', RateLimited),
    ("gemini", b'[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}}]', RateLimited),
]


@pytest.mark.parametrize(("name", "raw", "kind"), REPORTS)
async def test_an_error_inside_a_200(
    loopback: Loopback, asked: ModelRequest, name: str, raw: bytes, kind: type
) -> None:
    """An error in the stream, or instead of it, is that error, and may be billed."""
    begun = b"" if raw[:1] == b"[" else BEGUN[name]
    error = await error_of(name, loopback.sse(begun + raw), asked)
    assert (type(error), error.billed) == (kind, True)


async def test_every_cut_is_no_answer(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """A stream cut after any byte is MalformedReply and may be billed, unless all that matters had come."""
    whole = WHOLE[wire]
    gate, kinds = asyncio.Semaphore(8), Counter[str]()

    async def cut(size: int) -> None:
        async with gate:
            got = await outcome(wire, loopback.sse(whole[:size]), asked)
            kinds[type(got).__name__] += 1
            if isinstance(got, Reply):
                assert (got.text, size >= len(whole) - 2) == ("hi there", True)
            else:
                assert (type(got), got.billed) == (MalformedReply, True)

    sizes = [*range(0, len(whole) - 8, 11), *range(len(whole) - 8, len(whole) + 1)]
    await asyncio.gather(*map(cut, sizes))
    assert kinds["Reply"] == 3


async def test_a_connection_that_breaks_off(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """A chunked reply without its end is not an answer, even where the text is whole."""
    head = SSE_HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    whole = BEGUN[wire]
    raw = head + f"{len(whole):x}\r\n".encode() + whole + b"\r\n"
    error = await error_of(wire, loopback.serve(raw), asked)
    assert (type(error), error.billed) == (MalformedReply, True)
    nothing = await error_of(wire, loopback.serve(b""), asked)
    assert (type(nothing), nothing.billed) == (ProviderUnavailable, True)
    nobody = await error_of(wire, "http://127.0.0.1:9/v1", asked)
    assert (type(nobody), nobody.billed) == (ProviderUnavailable, False)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "bad JSON": lambda begun: SSE_HEAD + begun + b"data: {oops\n\n",
    "too deep": lambda begun: SSE_HEAD + begun + b"data: " + b"[" * 100_000 + b"\n\n",
    "not UTF-8": lambda begun: SSE_HEAD + begun + b'data: {"x": "\xff"}\n\n',
    "no object": lambda begun: SSE_HEAD + begun + b"data: [1]\n\n",
    "a line too long": lambda begun: SSE_HEAD + begun + b"data: " + b"x" * (2 << 20),
    "a page": lambda begun: b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>",
    "JSON": lambda begun: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + b'{"id": 1}'
    ),
    "empty": lambda begun: SSE_HEAD,
    "bad gzip": lambda begun: GZIP_HEAD + b"\x1f\x8b\x08 no",
    "odd encoding": lambda begun: SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: br\r\n\r\n") + begun,
    "a 204": lambda begun: b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
async def test_broken_replies(wire: str, loopback: Loopback, asked: ModelRequest, fault: str) -> None:
    """What is not an event stream of this protocol is MalformedReply and may be billed."""
    error = await error_of(wire, loopback.serve(BROKEN[fault](BEGUN[wire])), asked)
    assert (type(error), error.billed) == (MalformedReply, True)


async def test_a_mislabelled_stream_is_read(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """A stream under a wrong content type, or compressed unasked, or byte by byte with other line ends, is the answer."""
    plain = SSE_HEAD.replace(b"text/event-stream", b"application/json")
    for raw in (
        plain + WHOLE[wire],
        GZIP_HEAD + gzip.compress(WHOLE[wire]),
        SSE_HEAD + WHOLE[wire].replace(b"\n", b"\r\n"),
    ):
        got = await outcome(wire, loopback.serve(raw), asked)
        assert isinstance(got, Reply)
        assert got.text == "hi there"


def test_the_first_byte_decides_when_it_comes(wire: str) -> None:
    """Blank packets before a stream, and an error object byte by byte, are known for what they are."""
    fold = MessagesStream if wire == "anthropic" else GeminiStream

    def fed(raw: bytes) -> EventReply:
        call = NativeHttp("p", "http://127.0.0.1:9", key=None, key_header="x").post("/", {}, model="m", timeout_s=1.0)
        reply = EventReply(call, fold())
        for place in range(len(raw)):
            reply.feed(raw[place : place + 1])
        return reply

    assert isinstance(fed(b"\r\n \n" + WHOLE[wire]).finish()[-1], Completed)
    with pytest.raises(RateLimited):
        fed(b' {"error": {"type": "rate_limit_error", "message": "slow"}}').finish()


async def test_bytes_are_capped_after_decompression(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """An endless reply ends at the cap, plain or as a gzip bomb; a huge error body hides no status."""
    raw, caps = BEGUN[wire] + MORE[wire] * 2000, Caps(reply_bytes=100_000)
    plain = await error_of(wire, loopback.sse(raw), asked, caps=caps)
    bomb = await error_of(wire, loopback.serve(GZIP_HEAD + gzip.compress(raw)), asked, caps=caps)
    assert "more than 100,000 bytes" in str(plain)
    assert "expands beyond" in str(bomb)
    assert type(await error_of(wire, loopback.json(500, b"x" * (4 << 20)), asked)) is ProviderUnavailable


async def test_the_deadline_covers_the_whole_call(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """A stream whose every packet is quick and which never ends stops at the deadline; so does one that never begins."""

    async def endless(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + BEGUN[wire])
        gone = asyncio.ensure_future(reader.read(1))
        while not gone.done():
            writer.write(MORE[wire].replace(b"x" * 1000, b"x"))
            await asyncio.wait([gone], timeout=0.01)

    async def silent(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    for handler in (endless, silent):
        started = time.monotonic()
        error = await error_of(wire, loopback.serve(handler), replace(asked, timeout_s=0.3))
        assert (type(error), error.billed) == (ProviderTimeout, True)
        assert time.monotonic() - started > 0.25


async def test_bad_usage_does_not_cost_the_answer(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """NaN counts mark the usage as bad; the answer is used."""
    nan = float("nan")
    raw = {
        "anthropic": said("hi", usage={"input_tokens": nan, "output_tokens": 2}),
        "gemini": piece("hi", "STOP", usageMetadata={"promptTokenCount": nan}),
    }[wire]
    got = await outcome(wire, loopback.sse(raw), asked)
    assert isinstance(got, Reply)
    assert got.text == "hi"
    assert got.usage is not None
    assert got.usage.bad.endswith("is nan")


async def test_closing_early_closes_the_connection(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """Streams left after their first piece leave no connection open, and give out no `Completed`."""

    async def answer(headers: Any, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + BEGUN[wire])
        await writer.drain()
        await reader.read(1)

    provider = ADAPTERS[wire]("p", loopback.serve(answer), key=None)

    async def leave() -> None:
        stream = provider.stream(asked)
        assert not isinstance(await anext(stream), Completed)
        await stream.aclose()

    await asyncio.gather(*(leave() for _ in range(50)))
    assert await asyncio.to_thread(loopback.wait_idle)
    await provider.aclose()


async def test_a_missing_key_sends_nothing(
    wire: str, loopback: Loopback, asked: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key there is no request, and the hint says how to continue without one."""
    monkeypatch.delenv("ORCH_TEST_KEY")
    before = len(loopback.heard)
    error = await error_of(wire, loopback.sse(WHOLE[wire]), asked)
    assert type(error) is AuthFailed
    assert "`echo`" in error.hint
    assert len(loopback.heard) == before


def test_a_key_does_not_cross_a_network_in_the_clear(wire: str) -> None:
    """http to another machine is refused with a key."""
    with pytest.raises(AuthFailed, match="unencrypted"):
        ADAPTERS[wire]("p", "http://models.example.org/v1", key="env:ORCH_TEST_KEY")
    with pytest.raises(AuthFailed, match="not a reference"):
        ADAPTERS[wire]("p", "https://host/v1", key=CANARY)


FAILING: list[Callable[[Loopback, bytes], str]] = [
    lambda server, begun: server.json(401, {"error": {"message": "Incorrect API key provided"}}),
    lambda server, begun: server.json(400, {"error": {"message": "API key not valid"}}),
    lambda server, begun: server.serve(b"HTTP/9.9 banana\r\n\r\n"),
    lambda server, begun: server.serve(b""),
    lambda server, begun: server.sse(begun + b"data: {oops\n\n"),
    lambda server, begun: server.sse(begun),
    lambda server, begun: "http://127.0.0.1:9/v1",
]


@pytest.mark.parametrize("failing", FAILING)
async def test_the_key_is_in_no_traceback(
    wire: str, loopback: Loopback, asked: ModelRequest, failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither message, facts, logs at DEBUG, nor a traceback that prints every local variable shows the key."""
    caplog.set_level(logging.DEBUG)
    provider = ADAPTERS[wire]("p", failing(loopback, BEGUN[wire]), key="env:ORCH_TEST_KEY")
    shown = ""
    try:
        await collect(provider.stream(asked))
    except OrchError as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown = "".join(frames.format()) + repr(error) + str(dict(error.facts)) + error.hint
    await provider.aclose()
    assert "EventReply object at" in shown, "the traceback has our local variables"
    assert CANARY not in shown + caplog.text


ECHOING: list[Callable[[Loopback, bytes], str]] = [
    lambda server, begun: server.json(401, {"error": {"message": f"bad {CANARY}", "type": CANARY}}),
    lambda server, begun: server.json(400, {"error": {"message": f"API key not valid: {CANARY}"}}),
    lambda server, begun: server.json(400, {"error": {"message": f"{CANARY} exceed context limit"}}),
    lambda server, begun: server.json(429, {"error": {"message": CANARY}, "details": [{"retryDelay": "3s"}]}),
    lambda server, begun: server.json(307, b"", f"Location: https://host/?k={CANARY}"),
    lambda server, begun: server.serve(b"HTTP/9.9 " + CANARY.encode() + b"\r\n\r\n"),
    lambda server, begun: server.json(200, {"error": {"message": f"no {CANARY}", "code": CANARY}}),
    lambda server, begun: server.sse(begun + b"data: {" + CANARY.encode() + b"\n\n"),
    lambda server, begun: server.sse(begun + f'data: {{"error": {{"message": "{CANARY}"}}}}\n\n'.encode()),
    lambda server, begun: server.sse(
        f'data: {{"candidates": [{{"finishReason": "OTHER"}}], "modelVersion": "{CANARY}"}}\n\n'.encode()
    ),
]


@pytest.mark.parametrize("echoing", ECHOING)
async def test_a_server_that_repeats_the_key_does_not_get_it_shown(
    wire: str, loopback: Loopback, asked: ModelRequest, echoing: Any
) -> None:
    """A reply that holds the key, in whatever place, becomes an error without it (`outcome` looks for it)."""
    await error_of(wire, echoing(loopback, BEGUN[wire]), asked)


async def test_mutated_replies(wire: str, loopback: Loopback, asked: ModelRequest) -> None:
    """300 seeded mutations of a valid stream are whole replies or typed errors, never anything else."""
    chance, whole = random.Random(11), WHOLE[wire]
    tokens = [
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"1e999",
        b"NaN",
        b'"',
        b"\\ud83d",
        b"\n\n",
        b"\xff",
        b"\x00",
        b"true",
        b": 7",
    ]
    gate, got = asyncio.Semaphore(8), Counter[str]()

    def mutated() -> bytes:
        start = chance.randrange(len(whole))
        return whole[:start] + chance.choice(tokens) + whole[start + chance.randrange(12) :]

    async def one(raw: bytes) -> None:
        async with gate:
            got[type(await outcome(wire, loopback.sse(raw), asked)).__name__] += 1

    await asyncio.gather(*(one(mutated()) for _ in range(300)))
    assert got.keys() <= {"Reply", "MalformedReply", "ProviderUnavailable"}
    assert got["MalformedReply"] > 50
    assert got["Reply"] > 5, "some mutations hit what is not read"


def test_the_whole_streams_here_are_whole() -> None:
    """The streams that are broken above are streams as the vendors send them: every event is JSON of its kind."""
    for line in WHOLE["anthropic"].decode().splitlines():
        if line.startswith("data: "):
            assert json.loads(line.removeprefix("data: "))["type"]
