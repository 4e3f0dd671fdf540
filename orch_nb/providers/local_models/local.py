"""The language model on this machine: llama.cpp's server inside this process, spoken to like any other provider.

xllamacpp's wheel carries the server; it listens on a free loopback port with a random key, because without one every
page in the user's browser could use it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orch_nb.errors import ModelNotInstalled
from orch_nb.providers.local_models.install import INSTALL, find_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orch_nb.providers.openai.chat import OpenAIChat
    from orch_nb.schema.messages import ModelEvent, ModelRequest

MODEL = "smollm2"
_SERVERS: dict[_Settings, _Server] = {}
_SERVERS_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Settings:
    """What makes two servers different. The process is part of it: a forked child has no server threads."""

    path: Path
    alias: str
    context_tokens: int
    threads: int
    parallel: int
    process: int


@dataclass(frozen=True, slots=True)
class _Server:
    server: object
    base_url: str
    key: str


class LocalModel:
    """A GGUF model on this machine; SmolLM2-135M unless another file is named. Costs nothing, needs no network.

    Parameters
    ----------
    name
        What the notebook calls this provider.
    model
        The model's id towards the server and in traces.
    model_path
        A GGUF file of the user's own; else ``ORCH_LOCAL_MODEL``, else SmolLM2 where `install_smollm2` put it.
    context_tokens
        Tokens of prompt and answer together; SmolLM2 was trained on 8,192, and 4,096 keeps memory at 260 MB.
    threads
        Threads that compute. One is the default for good reason: two threads beside two busy ones ran at 2 tokens a
        second instead of 49, as they wait for each other by spinning.
    parallel
        Requests answered at once; the context is divided among them. Others wait in the server, within their deadline.

    Notes
    -----
    The server starts at the first request (0.4 to 0.9 s), in a thread, once per process for the same settings, and ends
    with the process. Decoding is constrained to the schema; what the server cannot constrain it ignores silently, so
    answers are validated by the caller in any case. Temperature 0, or a seed, gives the same text each time on one machine.
    """

    def __init__(
        self,
        name: str = "local",
        *,
        model: str = MODEL,
        model_path: str | os.PathLike[str] | None = None,
        context_tokens: int = 4096,
        threads: int = 1,
        parallel: int = 1,
    ) -> None:
        self.name, self.model = name, model
        self.context_tokens, self.parallel = context_tokens // parallel, parallel
        self._model_path, self._whole_context, self._threads = model_path, context_tokens, threads
        self._chats: dict[str, OpenAIChat] = {}

    def __repr__(self) -> str:
        return f"LocalModel({self.name!r}, model={self.model!r})"

    @property
    def is_installed(self) -> bool:
        """True if the runtime and the model's file are there; nothing is loaded to find out."""
        try:
            self._file()
        except ModelNotInstalled:
            return False
        return True

    async def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """The reply piece by piece, then `Completed`; starts the server if need be.

        Raises
        ------
        ModelNotInstalled
            The runtime or the model's file is missing, or the file cannot be loaded.
        ProviderError
            As for any provider; `ContextTooLong` when prompt and answer exceed `context_tokens`.
        """
        chat = await self._chat()
        events = chat.stream(request)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def start(self) -> str:
        """Start the server if it is not running; its address. Without this the first request does it."""
        return (await self._chat()).base_url

    async def aclose(self) -> None:
        """Close the connections; the server stays, as others may use it, until `stop_servers` or the process ends."""
        for chat in self._chats.values():
            await chat.aclose()

    async def _chat(self) -> OpenAIChat:
        settings = self._settings()
        running = _SERVERS.get(settings)
        if running is None:
            running = await asyncio.to_thread(_server, settings)
        if running.base_url not in self._chats:
            self._chats[running.base_url] = _chat(self.name, running)
        return self._chats[running.base_url]

    def _settings(self) -> _Settings:
        return _Settings(self._file(), self.model, self._whole_context, self._threads, self.parallel, os.getpid())

    def _file(self) -> Path:
        if find_spec("xllamacpp") is None:
            raise ModelNotInstalled(
                "the runtime of local models, xllamacpp, is not installed.",
                hint=f"pip install 'orch_nb[local]', then `{INSTALL}`",
            )
        return find_model(self._model_path)


def stop_servers() -> None:
    """End all local servers of this process and free their memory; the next request starts another."""
    with _SERVERS_LOCK:
        _SERVERS.clear()


def _chat(name: str, running: _Server) -> OpenAIChat:
    from orch_nb.providers.keys import HeldKey
    from orch_nb.providers.openai.chat import OpenAIChat

    return OpenAIChat.on_loopback(name, running.base_url, HeldKey(running.key))


def _server(settings: _Settings) -> _Server:
    """The server for `settings`, started once; others who ask meanwhile wait for it."""
    with _SERVERS_LOCK:
        if settings not in _SERVERS:
            _SERVERS[settings] = _start_server(settings)
        return _SERVERS[settings]


def _start_server(settings: _Settings) -> _Server:
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # read when the library is loaded: waiting threads must not spin
    import xllamacpp

    key = secrets.token_urlsafe(24)
    params = xllamacpp.CommonParams()
    params.model.path = str(settings.path)
    params.model_alias = {settings.alias}
    params.n_ctx, params.n_parallel = settings.context_tokens, settings.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.verbosity, params.api_keys = 0, [key]
    params.ui = params.endpoint_slots = False
    params.cache_ram_mib = 0  # its default keeps up to 8 GiB of old prompts; a slot's own prompt is reused all the same
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelNotInstalled(
            f"the local model's file {settings.path.name!r} cannot be loaded.",
            hint="is it a whole GGUF file of a chat model, and is there enough memory?",
        ) from error
    return _Server(server, f"{server.listening_address}/v1", key)
