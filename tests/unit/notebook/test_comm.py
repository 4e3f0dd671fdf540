"""What a front end hears and asks: paced, small, silent until it is there. The wire is a list, the clock is turned by hand."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest

from orch_nb import runtime
from orch_nb.notebook.lab.comm import MAX_BYTES, FrontEnd, connect, fitted
from orch_nb.notebook.session import Session

FLOW = """import orch_nb as orch, threading
go = threading.Event()
@orch.node
def look(ticket):
    go.wait(20)
    return {"about": ticket}
@orch.node
def reply(look):
    return look["about"]"""


class Desk:
    """A front end by hand: what was sent, what is due."""

    def __init__(self, shell) -> None:
        self.sent, self.due = [], []
        self.front = FrontEnd(Session(shell.ip), self, lambda seconds, do: self.due.append(do))

    def send(self, data) -> None:
        self.sent.append(json.loads(json.dumps(data)))  # it must be JSON

    def close(self) -> None:
        self.sent.append({"kind": "closed"})

    def turn(self) -> list:
        """Let what is due happen once; the messages that came of it."""
        due, self.due = self.due, []
        before = len(self.sent)
        for do in due:
            do()
        return self.sent[before:]

    def ask(self, **asked):
        self.front.hear({"id": 7, **asked})
        return self.sent[-1]


@pytest.fixture
def desk(shell):
    """A comm at a shell with a flow that waits to be let go."""
    shell.good(FLOW)
    return Desk(shell)


def ended(handle) -> None:
    """Wait for a run's end."""
    handle.future.result(20)


def test_nothing_is_said_before_a_front_end_is_there(shell, desk):
    """Cells come and go without one message; after `hello` the list of runs follows, once."""
    desk.front.cell_began()
    desk.front.cell_ended()
    assert (desk.sent, desk.due) == ([], [])
    assert desk.ask(ask="hello")["version"] == 1
    (told,) = desk.turn()
    assert (told["v"], told["kind"], told["runs"]) == (1, "runs", [])
    assert desk.due == [], "with nothing under way nobody looks again"


def test_a_run_is_told_while_it_goes_on_and_when_it_has_ended(shell, desk):
    """It appears as running, its cost and seconds follow in place, and the last list has it done."""
    desk.ask(ask="hello")
    desk.turn()
    shell.good("%%graph desk\nlook -> reply")
    handle = shell.good("%orch run desk ticket='t' --bg")
    desk.front.cell_ended()
    (told,) = desk.turn()
    assert [(r["status"], r["is_here"]) for r in told["runs"]] == [("running", True)]
    shell.names["go"].set()
    ended(handle)
    said = [m for _ in range(3) for m in desk.turn()]
    (row,) = [m for m in said if m["kind"] == "runs"][-1]["runs"]
    assert (row["run"], row["status"], row["is_here"], row["graph"]) == (handle.run, "done", False, "desk")
    assert desk.due == []


def test_many_changes_are_one_message(shell, desk):
    """However often something wakes it, one look is due, and a look tells at most one thing."""
    desk.ask(ask="hello")
    for _ in range(50):
        desk.front.cell_began()
        desk.front.cell_ended()
    assert len(desk.due) == 1
    assert len(desk.turn()) == 1


def test_stop_stops_the_run(shell, desk):
    """The panel's Stop is `%orch stop`."""
    shell.good("%%graph desk\nlook -> reply")
    handle = shell.good("%orch run desk ticket='t' --bg")
    assert desk.ask(ask="stop", run=handle.run)["ok"] is True
    shell.names["go"].set()
    ended(handle)
    assert handle.status == "cancelled"
    told = desk.ask(ask="stop", run=handle.run)
    assert (told["ok"], told["id"]) == (False, 7)
    assert "not under way" in told["error"]


def test_a_question_is_told_and_answered(shell, desk):
    """The question comes with its options; the answer sends the run on; an unknown answer is refused with the nearest."""
    shell.names["go"].set()
    shell.good('%%graph gated\nlook -> approve -> reply\napprove: human "Send?"')
    now = runtime.current()
    handle = now.start(shell.names["gated"], {"ticket": "t"}, namespace=shell.names, attended=True)
    handle.wait(20)
    desk.ask(ask="hello")
    (told,) = desk.turn()
    (asked,) = told["runs"][0]["asked"]
    assert (asked["key"], asked["question"]) == ("approve", "Send?")
    assert "approve" in asked["options"]
    given = {"ask": "answer", "run": handle.run, "node": "approve", "shown_hash": asked["shown_hash"]}
    wrong = desk.ask(**given, action="aprove")
    assert (wrong["ok"], wrong["hint"]) == (False, "did you mean `approve`?")
    assert desk.ask(**given, action="approve")["ok"] is True
    ended(handle)
    assert handle.status == "done"


def test_marks_and_quotes_are_asked_for(shell, desk):
    """A cell's marks come back as rows; a line that was run before is quoted by what its runs cost."""
    shell.names["go"].set()
    (mark,) = desk.ask(ask="check", cell="%orch runn x")["marks"]
    assert (mark["line"], mark["column"], mark["length"], mark["tone"]) == (1, 7, 4, "error")
    shell.good("%%graph desk\nlook -> reply")
    ended(shell.good("%orch run desk ticket='t' --bg"))
    assert float(desk.ask(ask="quote", line="%orch run desk ticket='u'")["expected_usd"]) == 0
    assert "expected_usd" not in desk.ask(ask="quote", line="%orch run nosuch")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"ask": "format"},
        {"ask": "check"},
        {"ask": "check", "cell": 7},
        {"ask": "check", "cell": "x" * 70_000},
    ],
)
def test_nonsense_is_answered_and_does_no_harm(desk, message):
    """Whatever comes, one answer goes back that says what is wrong."""
    desk.front.hear(message)
    assert desk.sent[-1]["ok"] is False
    assert desk.sent[-1]["error"]


def test_no_message_is_over_32_kilobytes():
    """Long questions and streams are cut before rows are, and rows are cut at the end."""
    rows = [
        {"run": str(i), "said": [["a", "x" * 900]] * 8, "asked": [{"key": "k", "shown": "y" * 600}]} for i in range(20)
    ]
    made = fitted({"kind": "live", "runs": rows})
    assert len(json.dumps(made)) <= MAX_BYTES
    assert len(made["runs"]) == 20
    huge = fitted({"kind": "runs", "runs": [{"run": str(i), "what": "z" * 9000} for i in range(20)]})
    assert len(json.dumps(huge)) <= MAX_BYTES
    assert [row["run"] for row in huge["runs"]] == ["0", "1", "2"]


def test_closing_is_the_end(desk):
    """After unloading nothing is sent, even where a look was due."""
    desk.ask(ask="hello")
    desk.front.close()
    assert desk.turn() == []
    assert desk.sent[-1] == {"kind": "closed"}


def test_a_terminal_has_no_comm(shell):
    """Without a kernel there is none, and nothing is missed."""
    assert connect(Session(shell.ip)) is None
    assert connect(SimpleNamespace(shell=SimpleNamespace(kernel=object()))) is None, "no loop to send from"


def test_the_runs_thread_never_sends(shell, desk):
    """Messages leave from the thread that turns the kernel's loop."""
    places = []
    desk.send = lambda data: places.append(threading.current_thread())
    desk.front.hear({"ask": "hello"})
    shell.names["go"].set()
    shell.good("%%graph desk\nlook -> reply")
    ended(shell.good("%orch run desk ticket='t' --bg"))
    desk.turn()
    assert set(places) == {threading.current_thread()}
    assert runtime.current().live_runs() == []


def test_an_answer_carries_the_hash_of_what_was_shown(shell, desk):
    """A click on a question that has changed since, or one that names no question, is refused: nobody has seen what waits."""
    handle, paid = paying(shell)
    desk.ask(ask="hello")
    (told,) = desk.turn()
    (asked,) = told["runs"][0]["asked"]
    given = {"ask": "answer", "run": handle.run, "node": asked["key"], "action": "approve"}
    assert "`shown_hash` must be a text" in desk.ask(**given)["error"]
    assert desk.ask(**given, shown_hash=asked["shown_hash"])["ok"] is True
    handle.wait(20)
    again = desk.ask(**given, shown_hash=asked["shown_hash"])
    assert again["ok"] is False
    assert "Now `ok[2]` asks: Pay?" in again["error"]
    assert paid == ["pay 1"]
    handle.stop()
    ended(handle)


def test_one_click_on_a_button_is_one_answer(shell):
    """The second click of a double click does nothing, whatever the run asks by then; the form of round 2 is another one."""
    ipywidgets = pytest.importorskip("ipywidgets")
    from orch_nb.notebook.answer_buttons import Controls

    assert ipywidgets
    handle, paid = paying(shell)
    controls = Controls(handle)
    (form,) = controls._forms.values()
    for _ in range(2):
        form.buttons["approve"].click()
        handle.wait(20)
    assert paid == ["pay 1"]
    assert all(button.disabled for button in form.buttons.values())
    form.text.value = "something else"  # what is typed afterwards revives nothing
    assert all(button.disabled for button in form.buttons.values())
    controls.sync()
    (second,) = controls._forms.values()
    assert second is not form
    handle.answer("approve")  # from elsewhere
    handle.wait(20)
    second.buttons["approve"].click()
    assert "has changed since it was shown" in second.said.value
    assert all(button.disabled for button in second.buttons.values())
    assert paid == ["pay 1", "pay 2"]
    handle.stop()
    ended(handle)


def test_a_typed_answer_is_to_what_this_notebook_has_shown_last(shell, monkeypatch):
    """`%orch answer approve` twice: round 2 was not shown yet, so it is refused, and shown; typed again it is answered."""
    monkeypatch.setattr(Session, "is_attended", True)
    paid = define_paying(shell)
    shell.good("%orch run pays")
    assert shell("%orch answer approve").error == ""
    handle = shell.names["run"]
    shell.names["go"].set()  # round 2 is asked after that cell has ended
    handle.wait(20)
    refused = shell("%orch answer approve")
    assert "QuestionChanged [ORCH217]" in refused.error
    assert 'Now `ok[2]` asks: Pay? (shown: "pay 2")' in refused.error
    assert paid == ["pay 1"]
    assert "shown: pay 3" in repr(shell.good("%orch answer approve --wait")), "what is asked next is shown"
    assert paid == ["pay 1", "pay 2"]
    assert shell("%orch answer approve").error == ""
    handle.wait(20)
    assert paid == ["pay 1", "pay 2", "pay 3"]
    refused = shell(f"%orch answer approve --shown {'0' * 16}")
    assert "QuestionChanged" in refused.error
    shell.good(f"%orch answer approve --shown {handle.waiting[0].shown_hash}")
    handle.wait(20)
    assert paid == ["pay 1", "pay 2", "pay 3", "pay 4"]
    handle.stop()
    ended(handle)


def define_paying(shell):
    """A graph that asks for each payment of a loop; the payments that were made."""
    shell.good(
        "import threading\npaid, rounds, go = [], [], threading.Event()\n"
        "def draft():\n    rounds.append(1)\n    len(rounds) < 2 or go.wait(20)\n    return f'pay {len(rounds)}'\n"
        "def pay(ok):\n    paid.append(ok)\n    return 'again'\n"
        "def end(pay):\n    return pay"
    )
    shell.good(
        '%%graph pays\ndraft -> ok\nok -> pay\npay -> draft when pay == "again" at most 9\npay -> end else\n'
        'ok: human "Pay?"\nout end'
    )
    return shell.names["paid"]


def paying(shell):
    """A run of it that waits in round 1, started by code."""
    paid = define_paying(shell)
    shell.names["go"].set()
    handle = runtime.current().start(shell.names["pays"], {}, namespace=shell.names, attended=True)
    handle.wait(20)
    return handle, paid
