"""A real loopback server whose every byte a test decides."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

Handler = Callable[[dict[str, str], bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Loopback:
    """An HTTP server in a thread. `serve` gives an address whose requests get the raw bytes, or meet the handler."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.open_connections = 0
        self.idle = threading.Condition()
        self._handlers: list[Handler | bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._here(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24, backlog=1024))
        self.port = self._server.sockets[0].getsockname()[1]

    def serve(self, answer: Handler | bytes, *, host: str = "127.0.0.1") -> str:
        self._handlers.append(answer)
        return f"http://{host}:{self.port}/{len(self._handlers) - 1}/v1"

    def sse(self, *chunks: bytes) -> str:
        return self.serve(SSE_HEAD + b"".join(chunks))

    def json(self, status: int, body: Any, *headers: str) -> str:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", "Content-Type: application/json", *headers]
        return self.serve("\r\n".join(head).encode() + b"\r\n\r\n" + raw)

    def wait_idle(self, timeout_s: float = 30.0) -> bool:
        with self.idle:
            return self.idle.wait_for(lambda: self.open_connections == 0, timeout_s)

    def close(self) -> None:
        self._here(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _here(self, job: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(1)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = "/" + head[0].split(" ")[1].partition("://")[2].partition("/")[2]  # a proxy is sent whole addresses
            path = path if len(path) > 1 else head[0].split(" ")[1]
            self.heard.append((path, headers, body))
            answer = self._handlers[int(path.split("/")[1])]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(headers, body, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._count(-1)

    def _count(self, change: int) -> None:
        with self.idle:
            self.open_connections += change
            self.idle.notify_all()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """One chat chunk as an event."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"model": "m", "choices": choices, **fields}).encode() + b"\n\n"
