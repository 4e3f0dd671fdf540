"""A real IPython shell with the extension, on a runtime whose store is memory."""

from __future__ import annotations

import atexit
import contextlib
import io
from dataclasses import dataclass
from typing import Any

import pytest

from orch_nb import runtime
from orch_nb.runtime.runtime import Runtime


@dataclass
class Done:
    """What a cell did: its result, what it printed, its error as the notebook shows it."""

    value: Any
    out: str
    error: str
    raised: BaseException | None


class Shell:
    """An IPython shell that runs cells as a notebook does."""

    def __init__(self, ip: Any) -> None:
        self.ip = ip
        self.names = ip.user_ns

    def __call__(self, cell: str) -> Done:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            result = self.ip.run_cell(cell, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        shown = "\n".join(error._render_traceback_()) if hasattr(error, "_render_traceback_") else str(error or "")
        return Done(result.result, out.getvalue(), shown, error)

    def good(self, cell: str) -> Any:
        """The value of a cell that must succeed."""
        done = self(cell)
        assert done.raised is None, done.error
        return done.value


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell in an empty folder, the extension loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from orch_nb.store.memory import MemoryStore

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("JPY_SESSION_NAME", "ORCH_STORE", "ORCH_UNATTENDED"):
        monkeypatch.delenv(name, raising=False)
    now = Runtime(tmp_path, store=MemoryStore())
    before = runtime.use(now)
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False  # no history file: tests leave nothing behind
    ip = InteractiveShell.instance(config=config)
    atexit.unregister(ip.atexit_operations)
    made = Shell(ip)
    with contextlib.redirect_stdout(io.StringIO()):
        ip.run_line_magic("load_ext", "orch_nb")
    yield made
    with contextlib.redirect_stdout(io.StringIO()):
        ip.run_line_magic("unload_ext", "orch_nb")
    now.close()
    runtime.use(before)
    InteractiveShell.clear_instance()
