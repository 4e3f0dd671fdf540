"""A notebook's side: its name, whether somebody is there, displays that stay fresh, verbs on batches."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from orch_nb.notebook.frontend import is_attended
from orch_nb.notebook.live import Refresher, RunDisplay, with_own_frames
from orch_nb.notebook.session import as_name, hinted_name
from orch_nb.views.format import places, seconds, usd
from tests.unit.trace import histories as h


@pytest.mark.parametrize(
    ("names", "environ", "name"),
    [
        ({}, {"JPY_SESSION_NAME": "/srv/work/triage support.ipynb"}, "triage_support"),
        ({"__session__": "/a/b/quickstart.ipynb"}, {}, "quickstart"),
        ({"__vsc_ipynb_file__": "c:\\\\work\\Über uns.ipynb"}, {}, "Über_uns"),
        ({"__session__": 3}, {"JPY_SESSION_NAME": "0a1b2c"}, ""),
        ({}, {}, ""),
    ],
)
def test_the_name_is_the_front_ends_hint_or_none(names, environ, name):
    """Jupyter and VS Code say what the notebook is called; where nobody says it, it has no name: nothing is guessed."""
    assert hinted_name(names, environ) == name


def test_names_keep_letters_digits_and_little_else():
    """A name made of a file's name holds no path, no blank, no control character."""
    assert as_name("../x y\n/z") == "x_y_z"
    assert len(as_name("n" * 200)) == 64


@pytest.mark.parametrize(("told", "attended"), [("", True), ("1", False), ("0", True), ("true", False)])
def test_attended_is_what_the_client_says_unless_told(monkeypatch, told, attended):
    """A client that takes input is a person, one that does not is none; ORCH_UNATTENDED overrides."""
    monkeypatch.setenv("ORCH_UNATTENDED", told)
    assert is_attended(SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True))) is attended
    assert is_attended(SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=False))) is False


class Screen:
    """Counts what is shown."""

    can_update = True

    def __init__(self, *, fails: bool = False) -> None:
        self.shown, self.updates, self.fails = [], [], fails
        self.last = threading.Event()

    def show(self, bundle, name):
        self.shown.append(bundle)

    def update(self, bundle, name):
        if self.fails:
            raise ValueError("broken front end")
        self.updates.append(bundle)
        if "✓ done" in bundle["text/plain"]:
            self.last.set()


class Handle:
    """A run that replays a history."""

    def __init__(self, events) -> None:
        self.all, self.n, self.version, self.live, self.run = events, 1, 0, {}, "7"

    @property
    def events(self):
        return list(self.all[: self.n])

    def step(self, by: int = 1) -> None:
        self.n = min(len(self.all), self.n + by)
        self.version += 1

    def done(self) -> bool:
        return self.n == len(self.all)


def test_a_display_is_drawn_at_most_five_times_a_second():
    """However fast a run goes, its display is drawn every 200 ms at most, and not at all while nothing changes."""
    handle, screen = Handle(h.support_run()), Screen()
    shown = RunDisplay(handle, screen)
    shown.show()
    for tick in range(100):
        if tick % 2:
            handle.step(0)
        shown.refresh(now=tick * 0.01)
    assert 1 <= len(screen.updates) <= 6
    count = len(screen.updates)
    shown.refresh(now=100.0)
    shown.refresh(now=200.0)
    assert len(screen.updates) <= count + 1


def test_the_refresher_draws_the_last_picture_and_rests():
    """The one thread draws the end of a run without being asked, and ends when nothing is left to draw."""
    handle, screen, refresher = Handle(h.support_run()), Screen(), Refresher()
    shown = RunDisplay(handle, screen)
    refresher.add(shown)
    thread = refresher._thread
    handle.step(100)
    assert screen.last.wait(5)
    thread.join(5)
    assert not thread.is_alive()
    assert "as of" not in screen.updates[-1]["text/plain"]


def test_a_picture_that_cannot_be_drawn_neither_ends_the_thread_nor_is_silent():
    """An error while drawing is kept on the run; other displays continue."""
    broken, fine = Handle(h.support_run()), Handle(h.support_run())
    refresher, screen = Refresher(), Screen()
    refresher.add(RunDisplay(fine, screen))
    refresher.add(RunDisplay(broken, Screen(fails=True)))
    broken.step(100)
    fine.step(100)
    assert screen.last.wait(5)
    refresher._thread and refresher._thread.join(5)
    assert str(broken.display_error) == "broken front end"


def test_a_live_display_reads_each_event_once():
    """A display of a long run reads what is new, not the whole again."""
    handle, screen = Handle(h.long_run(200)), Screen()
    shown = RunDisplay(handle, screen)
    while not handle.done():
        handle.step(20)
        shown.refresh(now=1e6 * handle.n)  # however long a busy machine took to draw, it is time again
    assert shown._walk.count == len(handle.all)
    assert shown.view().steps_done == 200


def test_numbers_are_for_people():
    """Money keeps its meaning at every size and unknown is not zero; times have units."""
    from decimal import Decimal

    assert [usd(Decimal(x)) for x in ("0.0121", "0", "0.000003", "1234.5", "-0.5")] == [
        "$0.0121", "$0.0000", "$0.000003", "$1,234.5000", "-$0.5000",
    ]  # fmt: skip
    assert usd(None) == "$?"
    assert [seconds(x) for x in (None, 0.0012, 0.043, 3.44, 125, 7260)] == [
        "–", "0.001 s", "0.04 s", "3.4 s", "2 min 05 s", "2 h 01 min",
    ]  # fmt: skip
    assert places([Decimal("0.01"), None, Decimal("0.00002")]) == 6


def test_a_cause_begins_in_the_users_code():
    """Frames of the engine before the user's own are cut from the cause of a failed node."""
    from orch_nb.errors import NodeFailed

    def users():
        raise ValueError("mine")

    try:
        users()
    except ValueError as cause:
        error = NodeFailed("x")
        error.__cause__ = cause
    assert with_own_frames(error) is error
    assert error.__cause__.__traceback__ is not None
