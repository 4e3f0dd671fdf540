"""A real Jupyter kernel under test: what a front end would see, with the time at which it saw it."""

from __future__ import annotations

import os
import queue
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Ran:
    """One executed cell: its reply, its messages as (seconds since it was sent, type, content, whether its own)."""

    status: str
    took_s: float
    messages: list[tuple[float, str, dict, bool]] = field(default_factory=list)
    interrupted_at: float = 0.0

    @property
    def text(self) -> str:
        """Everything that was shown, as text."""
        parts = []
        for _, kind, content, _own in self.messages:
            parts.append(content.get("text") or content.get("data", {}).get("text/plain") or "")
            if kind == "error":
                parts.append("\n".join(content["traceback"]))
        return "\n".join(str(p) for p in parts)

    def displays(self, kind: str = "display_data") -> list[dict]:
        """Contents of displays, or of updates ("update_display_data")."""
        return [content for _, k, content, _own in self.messages if k == kind]


class Kernel:
    """One kernel process and its client. Loopback only."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager

        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        for name in ("ORCH_UNATTENDED", "ORCH_STORE", "JPY_SESSION_NAME"):
            environ.pop(name, None)
        environ["IPYTHONDIR"] = str(folder / "ipython")
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "k"))
        self.manager.start_kernel(cwd=str(folder), env=environ)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(
        self, code: str, *, allow_stdin: bool = True, interrupt_on: str = "", click: Any = None, timeout_s: float = 30.0
    ) -> Ran:
        """Execute a cell and collect what it shows until it is idle.

        Parameters
        ----------
        interrupt_on
            Interrupt the kernel once a message's text contains this.
        click
            Called with each message; returns True once it has done what it wanted.
        """
        began = time.monotonic()
        sent = self.client.execute(code, allow_stdin=allow_stdin)
        made = Ran("", 0.0)
        while time.monotonic() - began < timeout_s:
            try:
                message = self.client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                continue
            own = message["parent_header"].get("msg_id") == sent
            at = time.monotonic() - began
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle" and own:
                made.took_s = at
                made.status = self._reply(sent)["content"]["status"]
                return made
            if kind in ("status", "execute_input"):
                continue
            made.messages.append((at, kind, content, own))
            if interrupt_on and interrupt_on in str(content.get("data", {}).get("text/plain", "")):
                interrupt_on = ""
                made.interrupted_at = at
                self.manager.interrupt_kernel()
            if click is not None and click(self, kind, content):
                click = None
        raise TimeoutError(f"the cell did not end within {timeout_s} s: {made.text[-2000:]}")

    def _reply(self, sent: str) -> dict:
        """The reply to a request: others, such as a late one to `wait_for_ready`, are passed over."""
        while True:
            reply = self.client.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == sent:
                return reply

    def until(self, done: Any, timeout_s: float = 20.0) -> list[tuple[str, dict]]:
        """Messages that come with no cell running, until `done(kind, content)`."""
        seen = []
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                continue
            seen.append((message["msg_type"], message["content"]))
            if done(*seen[-1]):
                return seen
        raise TimeoutError(f"nothing of the kind within {timeout_s} s; {len(seen)} messages came")

    def send_comm(self, comm_id: str, data: dict) -> None:
        """Send the message of a front end when a widget is clicked."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)

    def shut_down(self) -> None:
        """End as "Shut down kernel" does: the kernel is asked to, and exits by itself."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)

    def close(self) -> None:
        """Shut the kernel down."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
