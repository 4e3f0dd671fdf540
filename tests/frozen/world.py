"""A small world in which the same cells give the same events on every machine: two models with scripts and prices, and a clock
that only they move.

It speaks the public surface (`orch_nb` and the magics), so that it runs on earlier and later versions too. The few things that
it must know of the inside are in `ModelClock.running` and `using`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orch_nb as orch
from orch_nb.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN = 1_767_261_600.0
"""Seconds since 1970: 1 January 2026, 10:00 UTC."""

HERE = Path(__file__).parent
CELLS = HERE / "cells.txt"
"""Definitions, as a notebook has them. Frozen versions keep their own copy."""


def read_cells(path: Path) -> list[str]:
    """The cells of a file, which a line ``# ----`` parts."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n# ----\n")


@dataclass(slots=True)
class ModelClock:
    """Time that passes only while a model answers, so that no duration depends on the machine."""

    time: float = BEGIN

    def now(self) -> float:
        """Seconds since 1970; the monotonic clock as well."""
        return self.time

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let every run read this clock, on a machine without a name."""
        from orch_nb.engine.ports import SystemClock

        kept = {name: SystemClock.__dict__[name] for name in ("now", "monotonic")}
        wall, host = time.time, socket.gethostname
        for name in kept:
            setattr(SystemClock, name, staticmethod(self.now))
        time.time, socket.gethostname = self.now, lambda: "host"
        try:
            yield
        finally:
            time.time, socket.gethostname = wall, host
            for name, function in kept.items():
                setattr(SystemClock, name, function)


@contextmanager
def using(runtime: Any) -> Iterator[None]:
    """Let `runtime` and its names of models be those that magics, functions and definitions use; it is closed at the end."""
    from orch_nb import runtime as runtimes
    from orch_nb.catalog import models as books

    book, before = books.current(), runtimes.use(runtime)
    books.use(runtime.models)
    try:
        yield
    finally:
        runtime.close()
        books.use(book)
        runtimes.use(before)


class Models:
    """The vendors of `small` and `big`. A prompt with "nonsense" is answered outside of its type, "fail" is refused while
    `failing`, and "hold" is held while `holding`."""

    def __init__(self, clock: ModelClock) -> None:
        self.clock = clock
        self.failing = True
        self.holding = True
        self.is_held = threading.Event()
        self.at_hold = self._hold
        self.providers: dict[str, orch.ScriptedProvider] = {}

    def add_to(self, runtime: Any) -> None:
        """Give `runtime` both models: $1 and $10 for a million tokens in, four times that out."""
        for name, usd, seconds in (("small", 1, 0.25), ("big", 10, 1.5)):
            provider = orch.ScriptedProvider(self._answer, name=f"{name}_vendor", gate=self._passing(seconds))
            self.providers[name] = provider
            runtime.add_provider(provider)
            price = {"input": usd, "output": 4 * usd}
            runtime.models.add(name, f"{name}-1", provider.name, price=price, context_tokens=8_000)

    async def _hold(self) -> None:
        self.is_held.set()
        await asyncio.Event().wait()

    def _passing(self, seconds: float) -> Any:
        async def passes(request: Any) -> None:
            if self.holding and "hold" in _text(request):
                await self.at_hold()
            self.clock.time += seconds

        return passes

    def _answer(self, request: Any) -> Any:
        text = _text(request)
        if self.failing and "fail " in text:
            raise BadRequest("`small_vendor`: HTTP 400: no such topic.", provider="small_vendor", hint="ask another")
        if request.schema is None:
            return f"Dear reader, {text.lower()[:60]}."
        if "nonsense" in text:
            return "I cannot say."
        return {"category": "billing" if "payment" in text else "technical"}


def _text(request: Any) -> str:
    return "\n".join(m.content for m in request.messages if m.role == "user")


class Notebook:
    """A real IPython shell with the extension loaded."""

    def __init__(self, shell: Any, clock: ModelClock, models: Models, runtime: Any) -> None:
        self.shell, self.clock, self.models, self.runtime = shell, clock, models, runtime

    def cell(self, text: str) -> Any:
        """The value of a cell. Its error is raised."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result = self.shell.run_cell(text, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result.result

    def run_ids(self) -> list[str]:
        """Every run of the store, rows of batches too."""
        rows: list[Any] = self.runtime.run_loop.ask(lambda: list(self.runtime.store.runs()))
        return [row.run for row in rows]

    def events(self, run: str) -> list[tuple[int, Any]]:
        """The stored events of a run, numbered."""
        found: list[tuple[int, Any]] = self.runtime.run_loop.ask(lambda: list(self.runtime.store.read(run)))
        return found

    def run(self, text: str) -> Any:
        """The run of a cell that may end with an error."""
        with contextlib.suppress(orch.OrchError):
            self.cell(text)
        return self.shell.user_ns["run"]

    def error(self, text: str) -> str:
        """The error of a cell as the notebook shows it, without colours and machine's paths."""
        try:
            self.cell(text)
        except orch.OrchError as error:
            return "\n".join(error._render_traceback_())
        raise AssertionError(f"the cell has no error: {text}")


@contextmanager
def notebook(folder: Path, *, store: Any = None, cells: Path = CELLS, budget: str = "1.00") -> Iterator[Notebook]:
    """A notebook in `folder`, the cells of a file run; what it keeps lies in ``folder/.orch`` unless `store` is given."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    clock, before = ModelClock(), {name: os.environ.get(name) for name in ("TZ", "IPYTHONDIR", "USER", "LOGNAME")}
    os.environ |= {"TZ": "UTC", "IPYTHONDIR": str(folder / "ipython"), "USER": "ann", "LOGNAME": "ann"}
    time.tzset()
    runtime = orch.Runtime(folder, store=store)
    runtime.models.environ, runtime.models.is_local_installed = (
        {},
        lambda: False,
    )  # what this machine has does not matter
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    atexit.unregister(shell.atexit_operations)
    models = Models(clock)
    try:
        with clock.running(), using(runtime), contextlib.redirect_stdout(io.StringIO()):
            models.add_to(runtime)
            shell.run_line_magic("load_ext", "orch_nb")
            made = Notebook(shell, clock, models, runtime)
            for text in ("%orch notebook frozen.ipynb", f"%orch budget {budget}", *read_cells(cells)):
                made.cell(text)
            yield made
            shell.run_line_magic("unload_ext", "orch_nb")
    finally:
        InteractiveShell.clear_instance()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        time.tzset()
