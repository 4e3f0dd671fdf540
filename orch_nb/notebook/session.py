"""One notebook's side of things: its shell, its variables, its displays, the runs it started."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from orch_nb.engine.outcome import question_changed
from orch_nb.errors import OrchError, nearest
from orch_nb.handle import RunHandle
from orch_nb.notebook import live
from orch_nb.notebook.frontend import is_attended, new_name, screen_of
from orch_nb.runtime.batch import BatchHandle
from orch_nb.schema.events import key
from orch_nb.views import bill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch_nb.runtime.runtime import Runtime
    from orch_nb.schema.events import Waiting


class Session:
    """The state of the extension in one shell.

    Attributes
    ----------
    displays
        Run id -> its display in this notebook.
    shown
        Ids of handles whose display was just made by their own cell: the cell's result is not shown a second time.
    cell
        The text of the cell that runs, for errors that point into it.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.screen = screen_of(shell)
        self.displays: dict[str, live.RunDisplay] = {}
        self.shown: set[int] = set()
        self.cell = ""
        self._near: set[str] = set()
        self._place = ""
        self._asked: dict[str, dict[str, str]] = {}

    @property
    def runtime(self) -> Runtime:
        """The runtime of this process; it takes its name from the front end's hint until it is told one."""
        from orch_nb import runtime

        current = runtime.current()
        if not current.notebook:
            current.notebook = hinted_name(self.shell.user_ns)
        return current

    @property
    def is_attended(self) -> bool:
        """True if somebody is there to be asked."""
        return is_attended(self.shell)

    def bind(self, variable: str, value: object) -> None:
        """Give `value` a name in the notebook."""
        self.shell.user_ns[variable] = value

    def bind_run(self, handle: object, as_name: str = "") -> None:
        """Bind a run: under the name that was asked for, and as ``run`` where that is free or a run already."""
        if as_name:
            self.bind(as_name, handle)
        before = self.shell.user_ns.get("run")
        if before is None or type(before) is type(handle) or isinstance(before, RunHandle | BatchHandle):
            self.bind("run", handle)

    # ---------------------------------------------------------------- runs
    def follow(
        self, handle: Any, *, notes: Sequence[str] = (), is_background: bool = False, is_batch: bool = False
    ) -> live.RunDisplay:
        """Show a run in this cell and keep its display fresh."""
        notes = (*self._place_notes(), *notes)
        controls = self._controls(handle, is_background=is_background, is_batch=is_batch)
        kind = live.BatchDisplay if is_batch else live.RunDisplay
        shown = kind(
            handle, self.screen, notes=notes, controls=controls, is_published=not self.is_attended,
            on_asked=self.note_asked,
        )  # fmt: skip
        self.displays[handle.run] = shown
        shown.show()
        if controls is not None:
            self.screen.show(widget_bundle(controls.box), new_name())
        if self.screen.can_update:
            live.REFRESHER.add(shown)
        return shown

    def _controls(self, handle: Any, *, is_background: bool, is_batch: bool) -> Any:
        """Widgets, where somebody may click them and there may be something to click."""
        if not (self.screen.can_update and self.is_attended):
            return None
        may_ask = not is_batch and (has_people(handle.plan) or asks_for_more(handle, self.runtime.budget().at_limit))
        if not (may_ask or is_background):
            return None
        try:
            import ipywidgets  # noqa: F401
        except ImportError:
            return None  # `%orch answer` and `%orch stop` do the same
        from orch_nb.notebook.answer_buttons import Controls

        return Controls(handle, can_stop=is_background)

    def _place_notes(self) -> list[str]:
        """Return where the runs are kept, where that is not the usual place: shown with the first of them."""
        new = [] if self._place == self.runtime.notice else [self.runtime.notice]
        self._place = self.runtime.notice
        return new

    def _budget_notes(self) -> list[str]:
        """The limits of the notebook's budget that came near since this was last asked: each is said once."""
        try:
            near = bill.near(self.runtime.budget(), "the notebook")
        except OrchError:
            return []  # the store is gone: what ended the run says so
        new = [text for unit, text in near.items() if unit not in self._near]
        self._near = set(near)
        return new

    def finish(self, handle: Any) -> object:
        """The last picture of a run in its cell; the handle, which is then not shown a second time."""
        shown = self.displays.get(handle.run)
        if shown is not None:
            shown.notes = (*shown.notes, *self._budget_notes())
            if shown.is_over:
                live.REFRESHER.remove(shown)
            shown.finish()
            self.shown.add(id(handle))
        return handle

    def show_result(self, handle: Any, make: Any) -> None:
        """Show a run in IPython: not at all where its own cell has just shown it."""
        if id(handle) in self.shown:
            self.shown.discard(id(handle))
            return
        self.screen.show(make(handle), new_name())
        self.note_asked(handle.run, getattr(handle, "waiting", ()))

    # ---------------------------------------------------------------- people
    def note_asked(self, run: str, asked: Iterable[Waiting]) -> None:
        """These questions of a run are the last that a person was shown here."""
        self._asked[run] = {key(one): one.shown_hash for one in asked}

    def answered_hash(self, handle: Any, node: str | None) -> str:
        """The hash of the question that a person answers who was shown it here last.

        Raises
        ------
        QuestionChanged
            What waits now was not shown here, but an earlier question of the run was; the error shows it.
        OrchError
            Nobody waits there, or several wait and none is named.
        """
        asked = handle.asked(node)
        shown = self._asked.get(handle.run)
        if shown is not None and shown.get(key(asked)) != asked.shown_hash:
            self.note_asked(handle.run, [asked])
            raise question_changed(handle.run, node or "", [asked])
        return str(asked.shown_hash)

    def live_run(self, run: str = "") -> Any:
        """The run under way of this id; without one, the only run under way.

        Raises
        ------
        OrchError
            None is under way, or several are and none is named.
        """
        found = self.runtime.live_runs()
        if run:
            match = [h for h in found if h.run == run]
            if match:
                return match[0]
            near = nearest(run, [h.run for h in found])
            raise OrchError(
                f"run {run} is not under way here.", hint=f"did you mean {near}?" if near else "`%orch runs` lists all"
            )
        if len(found) == 1:
            return found[0]
        if not found:
            raise OrchError("no run is under way here.", hint="`%orch runs` lists all")
        raise OrchError(f"{len(found)} runs are under way: {', '.join(h.run for h in found)}.", hint="name one")


def has_people(plan: Any) -> bool:
    """Return whether a plan may have a question for a person: a human node, or a declared effect (asked of when in doubt)."""
    if plan is None:
        return False
    if any(n.kind == "human" or n.effects for n in plan.nodes):
        return True
    return any(has_people(sub) for sub in plan.subplans.values())


def asks_for_more(handle: Any, at_limit: str) -> bool:
    """Return whether a person may be asked for more budget: by the notebook's (`at_limit`), the run's own or a node's."""
    limits = [getattr(event, "limits", None) or {} for event in handle.events[:1]]
    nodes = [node.budget or {} for node in handle.plan.nodes] if handle.plan is not None else []
    return at_limit == "ask" or any(row.get("at_limit") == "ask" for row in (*limits, *nodes))


def widget_bundle(widget: Any) -> dict[str, Any]:
    """A widget as a display."""
    data: Mapping[str, Any] = widget._repr_mimebundle_()
    return {**data, "text/plain": "buttons, in a live notebook; `%orch answer …` and `%orch stop` do the same"}


# ------------------------------------------------------------------ the notebook's name
# What this notebook is called: for its budget, its runs, its cassette. Told, or hinted at by the front end; never guessed.

ADVICE = "this notebook has no name yet: `%orch notebook NAME` keeps its budget and runs apart from those of others"


def hinted_name(names: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> str:
    """The notebook's name as the front end tells it; "" when it does not.

    Jupyter Server tells it by ``JPY_SESSION_NAME`` (older ones by a variable ``__session__``), VS Code by a variable
    ``__vsc_ipynb_file__``.
    """
    environ = os.environ if environ is None else environ
    for hint in (names.get("__vsc_ipynb_file__"), names.get("__session__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(hint, str) and hint.endswith(".ipynb"):
            return as_name(PurePath(hint.replace("\\", "/")).name.removesuffix(".ipynb"))
    return ""


def as_name(text: str) -> str:
    """A file's name as a notebook's name: letters, digits, ``_``, ``-`` and ``.``; everything else becomes ``_``."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_.-")[:64]
