"""``%load_ext orch_nb``: registers the magics, lets their asynchronous verbs be awaited, shows the notebook's status."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.compare.pairs_view import pairs_bundle
from orch_nb.analysis.compare.view import compare_bundle
from orch_nb.errors import OrchError
from orch_nb.notebook import overview
from orch_nb.notebook.lab import comm
from orch_nb.notebook.session import Session
from orch_nb.notebook.verbs import ASYNC
from orch_nb.schema.secrets import REDACTOR
from orch_nb.views.batch import batch_bundle
from orch_nb.views.run import run_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

_MADE = re.compile(
    rf"get_ipython\(\)\.(?:run_line_magic\('orch', (['\"])(?:{'|'.join(ASYNC)})(?=\s|\1|\\)|run_cell_magic\('compare', )"
)
"""What IPython makes of `%orch run …`, `x = %orch run …` and `%%compare …`, and of nothing else. It writes the line with either
quotes."""

_ASKS_HOW = re.compile(
    r"(get_ipython\(\)\.run_cell_magic\('(?:agent|graph|claim|compare)', (['\"])(?:\S* )*--help(?: \S*)*\2, )''\)"
)
"""What IPython makes of `%%agent --help` without a body, which it refuses to run."""

_ATTRIBUTE = "_orch_nb"


def await_our_magics(lines: list[str]) -> list[str]:
    """Put `await` before our asynchronous verbs where it is allowed; every other line stays as it is, but for a cell magic
    that has only ``--help``: it gets a body.

    At the top level of a cell, in its loops and conditions, and in coroutines. In an ordinary function `await` is not allowed:
    there the verb starts its run, which continues in the background.
    """
    lines = [_ASKS_HOW.sub(r"\1'\\n')", line) for line in lines]
    if not any(_MADE.search(line) for line in lines):
        return lines
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return lines  # IPython says what is wrong with the cell
    out = list(lines)
    for row, column in sorted(_places(tree), reverse=True):
        line = out[row - 1]
        at = len(line.encode()[:column].decode())
        if _MADE.match(line, at):
            out[row - 1] = f"{line[:at]}await {line[at:]}"
    return out


def _places(tree: ast.AST) -> list[tuple[int, int]]:
    """(line, byte) of the calls before which `await` is allowed."""
    found: list[tuple[int, int]] = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(
            node,
            ast.FunctionDef | ast.Lambda | ast.ClassDef | ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp,
        ):
            continue
        if isinstance(node, ast.Await):
            todo.extend(ast.iter_child_nodes(node.value))
            continue
        if isinstance(node, ast.Call):
            found.append((node.lineno, node.col_offset))
        todo.extend(ast.iter_child_nodes(node))
    return found


class _Loaded:
    """What was registered, so that it can be taken away."""

    def __init__(self, shell: Any) -> None:
        from orch_nb.notebook.lab.completion import make_matcher
        from orch_nb.notebook.magics import OrchMagics

        self.session = Session(shell)
        self.is_running = False
        self.matcher = make_matcher(self.session)
        shell.register_magics(OrchMagics(shell, self.session))
        shell.input_transformers_post.append(self.transform)
        shell.events.register("pre_run_cell", self.remember)
        shell.events.register("post_run_cell", self.forget)
        if getattr(shell, "Completer", None) is not None:
            shell.Completer.custom_matchers.append(self.matcher)
        self._show_runs(shell)
        self._show_traceback = shell._showtraceback
        shell._showtraceback = self.show_traceback
        self.front = comm.connect(self.session)

    def transform(self, lines: list[str]) -> list[str]:
        """`await_our_magics` for cells. The body of another magic (`%%time`) is run without a loop to await in: there the
        verb gives back what can be awaited."""
        return lines if self.is_running else await_our_magics(lines)

    def remember(self, info: Any) -> None:
        """Keep the cell's text: errors point into it."""
        self.session.cell = info.raw_cell or ""
        self.is_running = True
        if self.front is not None:
            self.front.cell_began()

    def forget(self, result: object) -> None:
        """The cell has ended: what it has shown may be asked for again."""
        self.is_running = False
        self.session.shown.clear()
        if self.front is not None:
            self.front.cell_ended()

    def show_traceback(self, kind: object, error: object, rows: list[str]) -> None:
        """Show a traceback, whosever it is, without the secrets in its messages, its source lines and its chain."""
        said = str(error)
        if REDACTOR.is_in(said):
            error = OrchError(said)
        self._show_traceback(kind, error, [REDACTOR.text(row) for row in rows])

    def _show_runs(self, shell: Any) -> None:
        """A run shows itself once: not again where its own cell has just shown it."""
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("orch_nb.handle", "RunHandle", self._shower(_run_bundle))
        formatter.for_type_by_name("orch_nb.runtime.batch", "BatchHandle", self._shower(batch_bundle))
        formatter.for_type_by_name("orch_nb.analysis.compare.comparison", "Comparison", self._shower(compare_bundle))
        formatter.for_type_by_name("orch_nb.analysis.compare.pairs", "Pairs", self._shower(pairs_bundle))

    def _shower(self, make: Callable[[Any], dict[str, Any]]) -> Callable[[Any], None]:
        return lambda handle: self.session.show_result(handle, make)

    def remove(self, shell: Any) -> None:
        """Take everything away again."""
        if self.front is not None:
            self.front.close()
        if shell._showtraceback == self.show_traceback:
            shell._showtraceback = self._show_traceback
        shell.input_transformers_post[:] = [t for t in shell.input_transformers_post if t != self.transform]
        shell.events.unregister("pre_run_cell", self.remember)
        shell.events.unregister("post_run_cell", self.forget)
        if getattr(shell, "Completer", None) is not None and self.matcher in shell.Completer.custom_matchers:
            shell.Completer.custom_matchers.remove(self.matcher)
        for kind in ("line", "cell"):
            for magic in ("orch", "agent", "graph", "claim", "compare"):
                shell.magics_manager.magics[kind].pop(magic, None)
        formatter = shell.display_formatter.ipython_display_formatter
        for module, name in (
            ("orch_nb.handle", "RunHandle"),
            ("orch_nb.runtime.batch", "BatchHandle"),
            ("orch_nb.analysis.compare.comparison", "Comparison"),
            ("orch_nb.analysis.compare.pairs", "Pairs"),
        ):
            formatter.deferred_printers.pop((module, name), None)
            for cls in [c for c in formatter.type_printers if c.__module__ == module and c.__name__ == name]:
                formatter.pop(cls)


def _run_bundle(handle: Any) -> dict[str, Any]:
    from orch_nb.trace.run_view import run_view

    alive = not handle.done() and getattr(handle, "_driver", None) is not None
    return run_bundle(run_view(handle.events, alive=alive))


def load_ipython_extension(shell: Any) -> None:
    """Register everything and show the notebook's status. Loading twice is loading once."""
    if getattr(shell, _ATTRIBUTE, None) is not None:
        return
    loaded = _Loaded(shell)
    setattr(shell, _ATTRIBUTE, loaded)
    made = overview.status(loaded.session.runtime, shell.user_ns, loaded.session.runtime.live_runs())
    loaded.session.screen.show(made._repr_mimebundle_(), "orch_nb")


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away. Runs under way are stopped: booked, recorded, to be resumed."""
    loaded = getattr(shell, _ATTRIBUTE, None)
    if loaded is None:
        return
    for handle in loaded.session.runtime.live_runs():
        handle.stop()
    loaded.remove(shell)
    setattr(shell, _ATTRIBUTE, None)
