"""A small server that speaks OpenAI's files and batches: what a test needs of it, on a real socket."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class BatchServer:
    """Takes files of questions, answers batches of them when told, and counts what it was asked.

    Attributes
    ----------
    answer
        Question's body -> (status, body of the answer).
    looks
        How often a batch must be looked at before it has ended.
    ends_as
        The status that a batch ends with.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.heard: list[tuple[str, str]] = []
        self.chats: list[dict[str, Any]] = []
        self.answer = usual_answer
        self.looks, self.ends_as = 2, "completed"
        self.faults: list[int] = []
        self.held = threading.Event()
        self.held.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self, b"")

            def do_POST(self) -> None:
                server.serve(self, self.rfile.read(int(self.headers.get("content-length", 0))))

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()

    def serve(self, request: Any, body: bytes) -> None:
        """One request."""
        path = request.path.removeprefix("/v1").partition("?")[0]
        self.heard.append((request.command, path))
        if self.faults and "batches/" in path:
            return self._send(request, self.faults.pop(0), {"error": {"message": "busy"}})
        if path == "/files":
            return self._send(request, 200, {"id": self._keep(_file_of(body, request.headers["content-type"]))})
        if path == "/batches" and request.command == "POST":
            return self._send(request, 200, self._new_batch(json.loads(body)))
        if path == "/batches":
            return self._send(request, 200, {"data": [self._shown(b) for b in self.batches.values()]})
        if path.endswith("/cancel"):
            self.batches[path.split("/")[2]]["status"] = "cancelled"
            return self._send(request, 200, self._shown(self.batches[path.split("/")[2]]))
        if path.startswith("/batches/"):
            return self._send(request, 200, self._looked(self.batches[path.split("/")[2]]))
        if path.startswith("/files/"):
            return self._send(request, 200, self.files[path.split("/")[2]])
        self.chats.append(json.loads(body))
        return self._send(request, 500, {"error": {"message": "this server only takes batches"}})

    def _send(self, request: Any, status: int, body: Any) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        request.send_header("content-length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def _new_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        made = {**body, "id": f"batch-{len(self.batches) + 1}", "status": "validating", "looks": 0}
        self.batches[made["id"]] = made
        return self._shown(made)

    def _shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in batch.items() if k not in ("looks", "input_file_id")}

    def _looked(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looks"] += 1
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if batch["looks"] >= self.looks and self.held.is_set():
                self._end(batch)
        return self._shown(batch)

    def _end(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.ends_as
        if self.ends_as != "completed":
            batch["errors"] = {"data": [{"message": "no room"}]}
            return
        good, bad = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            status, body = self.answer(asked["body"])
            row = {"custom_id": asked["custom_id"], "response": {"status_code": status, "body": body}, "error": None}
            (good if status == 200 else bad).append(json.dumps(row))
        batch["output_file_id"] = self._keep("\n".join(good).encode())
        if bad:
            batch["error_file_id"] = self._keep("\n".join(bad).encode())

    def questions(self, batch: str = "batch-1") -> list[dict[str, Any]]:
        """The questions of one batch, as they were sent."""
        return [json.loads(line) for line in self.files[self.batches[batch]["input_file_id"]].splitlines()]


def usual_answer(body: dict[str, Any], *, prompt_tokens: int = 100, completion_tokens: int = 10) -> tuple[int, Any]:
    """The last message in capitals, 100 tokens in and 10 out."""
    return 200, {
        "model": body["model"],
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": body["messages"][-1]["content"].upper()}}
        ],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
    }  # fmt: skip


def _file_of(body: bytes, content_type: str) -> bytes:
    """The file in a multipart form; the form must say that it is for a batch."""
    boundary = re.search(r"boundary=(\w+)", content_type)
    assert boundary is not None
    parts = body.split(b"--" + boundary[1].encode())
    assert any(b'name="purpose"' in p and b"\r\n\r\nbatch\r\n" in p for p in parts)
    file = next(p for p in parts if b'filename="' in p)
    return file.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
