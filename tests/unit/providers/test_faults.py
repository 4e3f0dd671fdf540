"""Every fault of the fault server, in a stream and as a JSON body: success or one typed error, within the deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import httpx
import pytest

from orch_nb.errors import ProviderError, ProviderTimeout
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.schema.messages import Message, ModelRequest, Reply, ToolSpec, collect

CANARY = "sk-canary-0123456789abcdef"
SHORT_S, LONG_S = 0.6, 20.0
"""Deadlines: of calls that must run into it, and of all others, which must not even when the machine is busy."""
PLAIN = "reply 2cf24dba é漢🙂"
TOOLS = (ToolSpec("read_file", "reads a file", {"type": "object"}),)

REFUSED = {
    "400": "BadRequest", "401": "AuthFailed", "403": "AuthFailed", "404": "BadRequest", "408": "ProviderUnavailable",
    "409": "ProviderUnavailable", "413": "BadRequest", "422": "BadRequest", "429": "RateLimited", "429ra": "RateLimited",
    "429date": "RateLimited", "429huge": "RateLimited", "429bad": "RateLimited", "500": "ProviderUnavailable",
    "502": "ProviderUnavailable", "503": "ProviderUnavailable", "504": "ProviderUnavailable", "529": "ProviderUnavailable",
    "500billed": "ProviderUnavailable", "rstbilled": "ProviderUnavailable", "hang": "ProviderTimeout",
    "slow_body": "ProviderTimeout", "stall_mid": "ProviderTimeout", "rst": "ProviderUnavailable", "rst_mid": "MalformedReply",
    "close_before": "ProviderUnavailable", "close_mid": "MalformedReply", "badchunk": "MalformedReply",
    "badlen": "ProviderTimeout", "badstatus": "ProviderUnavailable", "headerflood": "MalformedReply",
    "redirect": "BadRequest", "redirect_loop": "BadRequest", "badjson": "MalformedReply", "empty": "MalformedReply",
    "html": "MalformedReply", "deep": "MalformedReply", "huge": "MalformedReply", "gzipbomb": "MalformedReply",
    "badgzip": "MalformedReply", "badutf8": "MalformedReply", "tooldup": "MalformedReply", "toolmany": "MalformedReply",
    "sse_nodone": "MalformedReply", "sse_trunc": "MalformedReply", "sse_badjson": "MalformedReply",
    "sse_bigline": "MalformedReply", "sse_errmid": "ProviderUnavailable", "sse_zero": "MalformedReply",
    "sse_endless": "ProviderTimeout", "sse_badutf8": "MalformedReply", "echo_auth": "AuthFailed",
    "slow_stream": "ProviderTimeout",
}  # fmt: skip
"""What a stream with this fault must become; every other fault must give the whole answer."""
BY_STATUS = {name for name in REFUSED if name[0].isdigit()} | {
    "rstbilled", "hang", "slow_body", "stall_mid", "rst", "rst_mid", "close_before", "close_mid", "badchunk", "badlen",
    "badstatus", "headerflood", "redirect", "redirect_loop", "gzipbomb", "badgzip", "echo_auth", "sse_endless",
}  # fmt: skip
"""Faults that are the same when the server answers a stream request with one JSON body; the rest is MalformedReply then."""


async def outcome(base: str, plan: str, *, as_json: bool = False, deadline_s: float = LONG_S) -> Reply | ProviderError:
    """Return what one call becomes; anything but a reply or a typed error fails the test."""
    chat = OpenAIChat("p", f"{base}/f/{plan}/v1", key="env:ORCH_TEST_KEY")
    if as_json:
        chat._extra = {"stream": False}
    try:
        return await collect(
            chat.stream(ModelRequest("m", (Message("user", "hello"),), tools=TOOLS, timeout_s=deadline_s))
        )
    except ProviderError as error:
        return checked(error)
    finally:
        await chat.aclose()


def checked(error: ProviderError) -> ProviderError:
    """Return what every error must be: without the key, and without the foreign exception that knows it."""
    assert error.__context__ is None
    assert CANARY not in str(error) + str(dict(error.facts))
    return error


@pytest.fixture(scope="module")
def all_faults(faultd: str) -> list[str]:
    return [name for name in httpx.get(f"{faultd}/_faults").json() if name != "fuzz"]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_TEST_KEY", CANARY)


async def matrix(
    faultd: str, expected: dict[str, str], *, as_json: bool
) -> dict[str, tuple[Reply | ProviderError, float]]:
    """All faults, eight at a time, with the seconds each took."""
    gate = asyncio.Semaphore(8)

    async def one(name: str) -> tuple[Reply | ProviderError, float]:
        async with gate:
            started = time.monotonic()
            deadline_s = SHORT_S if expected[name] == "ProviderTimeout" else LONG_S
            got = await outcome(faultd, f"{name}@{as_json}", as_json=as_json, deadline_s=deadline_s)
            return got, time.monotonic() - started

    return dict(zip(expected, await asyncio.gather(*map(one, expected)), strict=True))


def late(got: dict[str, tuple[Reply | ProviderError, float]]) -> dict[str, float]:
    """Calls that ran into their deadline and ended more than a second after it."""
    return {n: s for n, (r, s) in got.items() if type(r) is ProviderTimeout and s > SHORT_S + 1.0}


async def test_every_fault_in_a_stream(faultd: str, all_faults: list[str]) -> None:
    """All 87 named faults: the whole answer or the one error that belongs to it, in time."""
    assert len(all_faults) == 87
    expected = {n: REFUSED.get(n, "Reply") for n in all_faults}
    got = await matrix(faultd, expected, as_json=False)
    assert {n: type(r).__name__ for n, (r, _) in got.items()} == expected
    assert late(got) == {}
    texts = {
        n: r.text
        for n, (r, _) in got.items()
        if isinstance(r, Reply) and not r.tool_calls and n not in ("xss", "ansi", "inject")
    }
    assert set(texts.values()) == {PLAIN}
    assert got["negtok"][0].usage.bad == "prompt_tokens is -5"  # type: ignore[union-attr]
    assert got["sse_nousage"][0].usage is None  # type: ignore[union-attr]
    assert got["sse_toolfrag"][0].tool_calls[0].arguments == '{"path": "a.txt", "n": 3}'  # type: ignore[union-attr]


async def test_every_fault_as_a_json_body(faultd: str, all_faults: list[str]) -> None:
    """The same faults from a server that answers a stream request with one JSON body: always one typed error in time."""
    expected = {n: REFUSED[n] if n in BY_STATUS else "MalformedReply" for n in all_faults}
    got = await matrix(faultd, expected, as_json=True)
    assert {n: type(r).__name__ for n, (r, _) in got.items()} == expected
    assert late(got) == {}


async def test_waits_are_read(faultd: str) -> None:
    """Retry-After in seconds, as a date, absurd and unreadable."""
    waits = {n: (await outcome(faultd, n)).retry_after_s for n in ("429ra", "429huge", "429bad", "429date")}  # type: ignore[union-attr]
    assert (waits["429ra"], waits["429huge"], waits["429bad"]) == (1.0, 999_999.0, None)
    assert 0 <= (waits["429date"] or 0) <= 2


async def test_refusals_are_not_retried(faultd: str) -> None:
    """The provider's own ledger has one request for each refusal: retrying is the engine's affair."""
    for name in ("400", "401", "429", "500"):
        await outcome(faultd, f"{name}@once")
    rows = httpx.get(f"{faultd}/_ledger").json()
    assert Counter(r["fault"] for r in rows)["400"] >= 1
    before = len(rows)
    await outcome(faultd, "503@once-more")
    assert len(httpx.get(f"{faultd}/_ledger").json()) == before + 1


@pytest.mark.timeout(60)
async def test_a_thousand_mutated_replies(faultd: str) -> None:
    """1,000 seeded mutations of a valid reply, streams and JSON bodies: whole replies or typed errors, never anything else."""
    seeds = random.Random(11).sample(range(100_000), 1000)
    gate, got = asyncio.Semaphore(16), Counter[str]()

    async def one(place: int, seed: int) -> None:
        async with gate:
            result = await outcome(faultd, f"fuzz:{seed}", as_json=place % 4 == 0, deadline_s=LONG_S)
            got[type(result).__name__] += 1

    await asyncio.gather(*(one(place, seed) for place, seed in enumerate(seeds)))
    assert sum(got.values()) == 1000
    assert got["Reply"] > 10, "some mutations hit what is not read"
    assert got["ProviderTimeout"] == 0
