"""``%%compare``: the cell that starts a comparison, follows it, and ends with its object; its resume."""

from __future__ import annotations

import builtins
import time
from typing import TYPE_CHECKING, Any

from orch_nb.analysis.compare.view import compare_bundle
from orch_nb.errors import BadName
from orch_nb.notebook import live
from orch_nb.notebook.screen import new_name
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.notebook.session import Session


class CompareDisplay(live.RunDisplay):
    """The display of a comparison."""

    def bundle(self) -> dict[str, Any]:
        """Candidates, format differences and answers so far."""
        as_of = "" if self.handle.done() else f"as of {time.strftime('%H:%M:%S')}"
        return compare_bundle(self.handle, as_of=as_of)


def compare(session: Session, line: str, body: str, names: Mapping[str, Any]) -> live.Pending:
    """Start what a cell describes; the cell waits for it."""
    from orch_nb.analysis.compare.comparison import compare as start
    from orch_nb.lang.compare_cell import read_compare_cell

    cell = read_compare_cell(line, body)
    _check_free(cell.name, line, names)
    made = start(session.runtime, cell, names)
    session.bind(cell.name, made)
    return follow(session, made)


def _check_free(name: str, line: str, names: Mapping[str, Any]) -> None:
    """A comparison does not cover what the notebook, or Python, calls by this name: least of all the agent that it compares."""
    from orch_nb.analysis.compare.comparison import Comparison

    before = names.get(name)
    if isinstance(before, Comparison):
        return
    if before is not None or hasattr(builtins, name):
        what = "Python's own" if before is None else f"{a_(type(before).__name__)} in this notebook"
        raise BadName(
            f"`{name}` is {what}.",
            line=1,
            column=len("%%compare ") + 1,
            source=f"%%compare {line}",
            hint="choose another name",
        )


def resume(session: Session, run: str, budget: Any, names: Mapping[str, Any]) -> live.Pending | None:
    """Go on with a comparison; None where the run is something else."""
    from orch_nb.analysis.compare.comparison import is_comparison, reopen
    from orch_nb.analysis.compare.pairs import is_pairs, reopen_pairs

    runtime = session.runtime
    begun = runtime.run_loop.ask(lambda: next(event for _, event in runtime.store.read(run)))
    if is_pairs(begun):
        from orch_nb.notebook.measuring import follow_pairs

        return follow_pairs(session, reopen_pairs(runtime, run, names, budget=budget))
    if not is_comparison(begun):
        return None
    made = reopen(runtime, run, names, budget=budget)
    session.bind(made.name, made)
    return follow(session, made)


def follow(session: Session, made: Any) -> live.Pending:
    """Show a comparison while it runs; afterwards its buttons, where it is blind and somebody is there."""
    shown = CompareDisplay(made, session.screen)

    def ended() -> None:
        if session.screen.can_update:
            made.on_change = lambda _: shown.refresh(now=0.0, final=True)  # picks may come at any time
            _show_picker(session, made)

    return watched(session, shown, f"comparison {made.run} `{made.name}` goes on in the background.", ended)


def watched(
    session: Session, shown: live.RunDisplay, text: str, ended: Callable[[], None] = lambda: None
) -> live.Pending:
    """Show what is measured by a batch while it runs; the cell waits for it, and `ended` is called when all went well."""
    made = shown.handle
    session.displays[made.run] = shown
    shown.show()
    if session.screen.can_update:
        live.REFRESHER.add(shown)

    async def wait() -> Any:
        await live.until(made, made.done, lambda: session.finish(made))
        session.finish(made)
        error = made.future.exception()
        if error is not None:
            raise error
        ended()
        return made

    return live.Pending(made, wait, text)


def _show_picker(session: Session, made: Any) -> None:
    if not (made.blind and made.to_pick and session.is_attended):
        return
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return  # `NAME.pick(row, "A")` does the same
    from orch_nb.notebook.compare_picks import Picker
    from orch_nb.notebook.session import widget_bundle

    bundle = {
        **widget_bundle(Picker(made).box),
        "text/plain": f'buttons, in a live notebook; `{made.name}.pick(row, "A")` does the same',
    }
    session.screen.show(bundle, new_name())
