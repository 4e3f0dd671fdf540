"""The real SmolLM2 in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orch_nb.errors import ContextTooLong, ModelNotInstalled
from orch_nb.providers.local_models import local
from orch_nb.providers.local_models.local import LocalModel, stop_servers
from orch_nb.schema.messages import Message, ModelRequest, collect

if TYPE_CHECKING:
    from pathlib import Path

REVIEWS = {
    "Waste of money.": "negative",
    "I love it, it works perfectly!": "positive",
    "Terrible quality, it broke at once.": "negative",
    "Excellent service and fast delivery.": "positive",
}
SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}


def question(review: str) -> ModelRequest:
    system = "Classify the sentiment of the review as positive or negative. Reply with JSON."
    return ModelRequest(
        "smollm2", (Message("system", system), Message("user", f"Review: {review}")),
        schema=SCHEMA, enforce="constrained", max_tokens=30, seed=7, timeout_s=50.0,
    )  # fmt: skip


@pytest.mark.local_model
async def test_sentiments_as_json() -> None:
    """The real model labels four reviews as JSON that fits the schema, all four right, and counts its tokens."""
    model = LocalModel()
    for review, label in REVIEWS.items():
        reply = await collect(model.stream(question(review)))
        assert json.loads(reply.text) == {"sentiment": label}
        assert reply.model == "smollm2"
        assert reply.usage is not None
        assert reply.usage.input_tokens > 20
    await model.aclose()


@pytest.mark.local_model
async def test_the_same_text_each_time() -> None:
    """Temperature 0 gives the same free text twice, with other questions in between."""
    model = LocalModel()
    free = ModelRequest("smollm2", (Message("user", "Name a colour."),), max_tokens=12, timeout_s=50.0)
    first = await collect(model.stream(free))
    await collect(model.stream(question("fine")))
    assert (await collect(model.stream(free))).text == first.text
    await model.aclose()


@pytest.mark.local_model
async def test_too_long_a_prompt_says_by_how_much() -> None:
    """A prompt beyond the context is ContextTooLong with both counts."""
    model = LocalModel()
    with pytest.raises(ContextTooLong, match="the model takes 4,096"):
        await collect(model.stream(ModelRequest("smollm2", (Message("user", "word " * 5000),))))
    await model.aclose()


@pytest.mark.local_model
async def test_leaving_a_stream_frees_the_model() -> None:
    """A long answer that is left after its first piece does not hold up the next question."""
    model = LocalModel()
    long = replace(question("x"), schema=None, max_tokens=2000)
    stream = model.stream(long)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    reply = await asyncio.wait_for(collect(model.stream(question("Waste of money."))), 10)
    assert json.loads(reply.text) == {"sentiment": "negative"}
    await model.aclose()


@pytest.mark.local_model
async def test_strangers_are_refused() -> None:
    """The server wants its random key: another process, or a page in the browser, gets nothing."""
    model = LocalModel()
    url = await model.start()
    async with httpx.AsyncClient(trust_env=False) as stranger:
        reply = await stranger.post(f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    assert reply.status_code == 401
    await model.aclose()


@pytest.mark.local_model
def test_one_server_for_many_threads_and_loops() -> None:
    """Four loops in four threads, each with a provider of its own, share one server, started once."""
    stop_servers()
    urls: list[str] = []

    async def start() -> str:
        model = LocalModel()
        try:
            return await model.start()
        finally:
            await model.aclose()

    threads = [threading.Thread(target=lambda: urls.append(asyncio.run(start()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(urls) == 4
    assert len(set(urls)) == 1
    assert len(local._SERVERS) == 1


@pytest.mark.local_model
async def test_a_file_that_is_no_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is not GGUF is a typed error with its name, not a crash."""
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelNotInstalled, match=r"'broken\.gguf' cannot be loaded"):
        await LocalModel(model_path=file).start()


async def test_without_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without xllamacpp the error names the extra and the command, and nothing is loaded to find out."""
    monkeypatch.setattr(local, "find_spec", lambda name: None)
    model = LocalModel()
    assert not model.is_installed
    with pytest.raises(ModelNotInstalled, match="xllamacpp, is not installed") as caught:
        await collect(model.stream(question("x")))
    assert "orch_nb[local]" in caught.value.hint
    assert "orch models install smollm2" in caught.value.hint
    await model.aclose()


async def test_without_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the model's file the error names the command that fetches it."""
    runtime: Any = object()
    monkeypatch.setattr(local, "find_spec", lambda name: runtime)
    monkeypatch.setattr("orch_nb.providers.local_models.install.find_spec", lambda name: None)
    monkeypatch.setenv("ORCH_HOME", str(tmp_path))
    monkeypatch.delenv("ORCH_LOCAL_MODEL", raising=False)
    with pytest.raises(ModelNotInstalled, match="SmolLM2-135M is not on this machine"):
        await LocalModel().start()


def test_what_is_known_without_loading() -> None:
    """Context and parallel requests are known before anything is loaded; parallel requests share the context."""
    assert (LocalModel().context_tokens, LocalModel().parallel) == (4096, 1)
    assert LocalModel(parallel=4).context_tokens == 1024
    assert repr(LocalModel()) == "LocalModel('local', model='smollm2')"


@pytest.mark.local_model
async def test_a_file_named_by_its_path_answers_in_a_run(tmp_path: Path) -> None:
    """A GGUF file by its path is a model like any other: an agent on it runs, at no cost, under the file's own name."""
    from orch_nb.agents.agent import Agent
    from orch_nb.providers.local_models.install import find_model
    from orch_nb.runtime.runtime import Runtime

    file = tmp_path / "mine-135m.gguf"
    file.symlink_to(find_model())
    runtime = Runtime(tmp_path)
    try:
        runtime.models.set(mine=str(file))
        agent = Agent("greet", "Say hello.", model="mine", max_tokens=8)
        handle = runtime.start(agent, {})
        assert await asyncio.wrap_future(handle.future)
        sent = next(e for e in handle._events if e.TYPE == "sent")
        assert (sent.route["provider"], sent.route["model"]) == ("local:mine-135m", "mine-135m")
        assert next(e for e in handle._events if e.TYPE == "settled").cost_usd == 0
    finally:
        runtime.close()
