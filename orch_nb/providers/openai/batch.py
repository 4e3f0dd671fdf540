"""OpenAI's batch interface: many questions in one file, answered within a day at half the price.

A file of JSON lines is uploaded, a batch is made of it, its state is looked at now and then, and the answers are fetched as
another file of lines. (OpenAI, "Batch API" guide and API reference, read in November 2026.)
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadRequest, MalformedReply, ProviderError, ProviderUnavailable
from orch_nb.providers.openai.stream import DONE, ChatStream
from orch_nb.providers.transport.errors import Asked, refused
from orch_nb.providers.transport.http import Caps, encoded
from orch_nb.providers.transport.stream import ChatFault
from orch_nb.schema.messages import Completed, Reply, TextDelta, ToolCall, ToolCallEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orch_nb.providers.transport.http import Http
    from orch_nb.schema.messages import Json, ModelRequest

MOST_REQUESTS = 50_000
"""Questions of one batch: OpenAI's own bound."""
MOST_BYTES = 190 << 20
"""Bytes of one file of questions; OpenAI's bound is 200 MB."""
ANSWER_BYTES = 512 << 20
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
MARK = "orch_nb"
"""The key of a batch's metadata that says which of our batches it is part of."""


@dataclass(slots=True, frozen=True)
class BatchState:
    """The status of a batch. `done` of `total` questions are answered; `why` is the provider's own word on a failure."""

    id: str
    status: str
    answers_file: str = ""
    errors_file: str = ""
    done: int = 0
    total: int = 0
    why: str = ""
    mark: str = ""

    @property
    def has_ended(self) -> bool:
        """True if nothing more comes of it."""
        return self.status in ENDED


class OpenAIBatch:
    """The way to a provider's batches.

    Parameters
    ----------
    body
        Makes the body of one question, as an answer in one piece is asked for.
    """

    def __init__(self, name: str, http: Http, body: Callable[[ModelRequest], dict[str, Json]]) -> None:
        self.name, self._body = name, body
        self._http = http.with_caps(Caps(reply_bytes=ANSWER_BYTES))

    async def submit(self, requests: Mapping[str, ModelRequest], mark: str) -> BatchState:
        """Send these questions (by an id of one's own) as one batch.

        Raises
        ------
        ProviderError
            It was not taken, or it is not known whether it was; `billed` says which.
        """
        model = next(iter(requests.values())).model
        asked = Asked(self.name, model)
        lines = [
            encoded(asked, {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": self._body(request)})
            for name, request in requests.items()
        ]  # fmt: skip
        content = b"\n".join(lines) + b"\n"
        if len(content) > MOST_BYTES:
            raise asked.error(
                BadRequest, f"a batch of {len(content):,} bytes is above the bound of {MOST_BYTES:,}. Nothing was sent."
            )
        boundary = secrets.token_hex(16)
        form = _form(boundary, content)
        kind = f"multipart/form-data; boundary={boundary}"
        file = await self._json("POST", "/files", form, content_type=kind, model=model, timeout_s=600.0)
        made = {
            "input_file_id": _text(file, "id"), "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "metadata": {MARK: mark},
        }  # fmt: skip
        return _state(await self._json("POST", "/batches", encoded(asked, made), model=model))

    async def look(self, batch: str) -> BatchState:
        """Return the status of a batch now."""
        return _state(await self._json("GET", f"/batches/{batch}"))

    async def ours(self, mark: str) -> list[BatchState]:
        """The batches of this mark among the newest hundred: what a process that died had submitted."""
        found = (await self._json("GET", "/batches?limit=100")).get("data") or []
        states = [_state(row) for row in found if isinstance(row, dict)]
        return [state for state in states if state.mark == mark]

    async def cancel(self, batch: str) -> None:
        """Have the rest of a batch not answered; what is answered already is billed."""
        await self._json("POST", f"/batches/{batch}/cancel", b"{}")

    async def answers(self, state: BatchState) -> dict[str, Reply | ProviderError]:
        """The answers of a batch that has ended, by the ids they were asked under. Questions without one are left out."""
        found: dict[str, Reply | ProviderError] = {}
        for file in filter(None, (state.answers_file, state.errors_file)):
            raw = await self._bytes("GET", f"/files/{file}/content", timeout_s=600.0)
            for line in raw.splitlines():
                if line.strip():
                    name, answer = self._answer(line)
                    found[name] = answer
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # ---------------------------------------------------------------- the wire
    async def _json(self, method: str, path: str, content: bytes = b"", **options: object) -> dict[str, Any]:
        raw = await self._bytes(method, path, content, **options)
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Asked(self.name, "").error(
                MalformedReply, f"the answer to {method} {path} must be a JSON object.", billed=True
            )
        return body

    async def _bytes(self, method: str, path: str, content: bytes = b"", **options: Any) -> bytes:
        pieces = []
        async with self._http.exchange(method, path, content, **options) as call:
            while (piece := await call.read()) is not None:
                pieces.append(piece)
        return b"".join(pieces)

    def _answer(self, line: bytes) -> tuple[str, Reply | ProviderError]:
        """One line of the answers' file. A line that cannot be read ends the whole: nobody would know whose it is."""
        asked = Asked(self.name, "")
        try:
            row = json.loads(line)
            name, response = row["custom_id"], row.get("response") or {}
            body, status = response.get("body") or {}, int(response.get("status_code") or 0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise asked.error(MalformedReply, "a line of the batch's answers cannot be read.", billed=True) from None
        if status != 200:
            error = row.get("error") or body
            if status:
                return name, refused(asked, status, {}, json.dumps(error).encode())
            return name, asked.error(
                ProviderUnavailable, f"not answered within the batch: {asked.clean(json.dumps(error))}"
            )
        try:
            return name, whole_reply(body, str(response.get("request_id") or ""))
        except ChatFault as fault:
            return name, asked.error(MalformedReply, f"{fault}.", billed=True)


def whole_reply(body: dict[str, Any], request_id: str = "") -> Reply:
    """A chat completion that came in one piece, read by the rules of one that comes in many.

    Raises
    ------
    ChatFault
        It is not what the protocol says.
    """
    chat = ChatStream()
    choices = [
        {**choice, "delta": choice.get("message")} for choice in body.get("choices") or () if isinstance(choice, dict)
    ]
    events = [*chat.feed(json.dumps({**body, "choices": choices})), *chat.feed(DONE), *chat.finish(request_id)]
    return _fold(events)


def _fold(events: Iterable[object]) -> Reply:
    text: list[str] = []
    calls: list[ToolCall] = []
    end = Completed()
    for event in events:
        match event:
            case TextDelta():
                text.append(event.text)
            case ToolCallEvent():
                calls.append(event.call)
            case Completed():
                end = event
    return end.reply("".join(text), tuple(calls))


def _form(boundary: str, content: bytes) -> bytes:
    """The file and its purpose as a multipart form (RFC 7578)."""
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="questions.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def _state(body: dict[str, Any]) -> BatchState:
    counts = body.get("request_counts") or {}
    errors = (body.get("errors") or {}).get("data") or [{}]
    metadata = body.get("metadata") or {}
    return BatchState(
        _text(body, "id"), _text(body, "status"), str(body.get("output_file_id") or ""), str(body.get("error_file_id") or ""),
        int(counts.get("completed") or 0), int(counts.get("total") or 0), str(errors[0].get("message") or "")[:300],
        str(metadata.get(MARK) or ""),
    )  # fmt: skip


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedReply(f"the provider's answer about a batch has no `{name}`.")
    return value
