"""The extension in a real kernel: what a front end sees of runs, Stop, people and the background."""

from __future__ import annotations

import os

import pytest

from tests.notebooks.kernel import Kernel

FUNCTIONS = (
    "import asyncio, threading, time\ngo = threading.Event()\n"
    "async def slow(mood):\n    await asyncio.sleep(0.6)\n    return {'said': mood}\n"
    "async def endless(mood):\n    await asyncio.sleep(60)\n"
    "def block(mood):\n    go.wait(20)\n"
)
SETUP = [
    "%load_ext orch_nb",
    "%%agent mood --model echo\nIs this friendly? {{ message }}",
    FUNCTIONS,
    "%%graph g\nmood -> slow\nout slow",
    "%%graph forever\nmood -> endless\nout endless",
    "%%graph blocked\nmood -> block\nout block",
    '%%graph asks\nmood -> ok -> slow2\nok: human "Send this?"\nout slow2',
    "async def slow2(ok):\n    await asyncio.sleep(0.1)\n    return {'sent': ok}",
]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all: each test runs a graph of its own in it."""
    pytest.importorskip("ipykernel")
    made = Kernel(tmp_path_factory.mktemp("kernel"))
    for cell in SETUP:
        assert made.run(cell).status == "ok"
    yield made
    made.close()


def value(kernel: Kernel, expression: str) -> str:
    """An expression's value, as text."""
    ran = kernel.run(expression)
    assert ran.status == "ok", ran.text
    return ran.displays("execute_result")[-1]["data"]["text/plain"]


def test_the_kernel_is_the_one_that_was_asked_for(kernel):
    """In the matrix each round really runs on its own ipykernel."""
    said = kernel.run("import ipykernel; print(ipykernel.__version__)").text

    assert said.strip() == os.environ.get("ORCH_IPYKERNEL", said.strip())


def is_done(ran):
    """Return if a message is the last picture of the run of this cell (others may be updated meanwhile)."""
    name = ran.displays()[0]["transient"]["display_id"]

    def check(kind: str, content: dict) -> bool:
        is_its = kind == "update_display_data" and content["transient"]["display_id"] == name
        return is_its and "✓ done" in content["data"].get("text/plain", "")

    return check


def test_a_run_is_one_display_that_is_updated(kernel):
    """A run shows one display while it runs and updates that one, at most five times a second; nothing is shown twice."""
    ran = kernel.run('%orch run g message="hello"')
    (shown,) = ran.displays()
    name = shown["transient"]["display_id"]
    updates = ran.displays("update_display_data")
    assert {u["transient"]["display_id"] for u in updates} == {name}
    assert not ran.displays("execute_result")
    assert "✓ done" in updates[-1]["data"]["text/plain"]
    assert "as of" not in updates[-1]["data"]["text/plain"]
    assert "as of" in shown["data"]["text/plain"]
    assert {"text/html", "text/plain", "application/vnd.orch.trace+json"} <= set(updates[-1]["data"])
    assert len(updates) <= 2 + ran.took_s / 0.2


def test_stop_ends_the_cell_within_half_a_second(kernel):
    """An interrupt ends the cell in under 0.5 s, with one line that says what is booked and how to resume."""
    ran = kernel.run('%orch run forever message="x"', interrupt_on="running")
    assert ran.status == "error"
    assert ran.took_s - ran.interrupted_at < 0.5
    assert "booked; `%orch resume" in ran.text
    assert "Traceback" not in ran.text
    assert value(kernel, "run.status") == "'cancelled'"
    assert "⊘ cancelled" in ran.displays("update_display_data")[-1]["data"]["text/plain"]


def test_stop_abandons_a_function_that_blocks(kernel):
    """A blocking function does not hold the cell: Stop still ends it in under 0.5 s."""
    ran = kernel.run('%orch run blocked message="x"', interrupt_on="running")
    assert ran.status == "error"
    assert ran.took_s - ran.interrupted_at < 0.5
    kernel.run("go.set()")


def test_a_stopped_run_can_be_resumed(kernel):
    """Steps that were recorded before the Stop are reused: the resumed run continues after them."""
    kernel.run('%orch run forever message="again"', interrupt_on="running")
    kernel.run("async def endless(mood):\n    await asyncio.sleep(60)")
    number = value(kernel, "run.run").strip("'")
    ran = kernel.run(f"%orch resume {number}", interrupt_on="running")
    assert value(kernel, "sum(1 for e in run.events if e.TYPE == 'sent')") == "1"
    assert ran.status == "error"


def test_a_background_run_lets_other_cells_work(kernel):
    """`--bg` returns at once; other cells run meanwhile, and the display of its own cell is updated to the end."""
    ran = kernel.run('%orch run g message="bg" --bg')
    assert ran.status == "ok"
    assert ran.took_s < 0.5
    name = ran.displays()[0]["transient"]["display_id"]
    assert value(kernel, "6 * 7") == "42"
    seen = kernel.until(is_done(ran))
    assert seen[-1][1]["transient"]["display_id"] == name
    assert not [c for k, c in seen if k == "display_data"]


def test_a_person_is_not_waited_for_in_a_blocked_cell(kernel):
    """A cell that waits for a person only ends as `waiting` and shows the lines that answer; using its result early is an error."""
    ran = kernel.run('%orch run asks message="draft"')
    assert ran.status == "ok"
    text = ran.displays("update_display_data")[-1]["data"]["text/plain"]
    assert "‖ waiting" in text
    assert "`%orch answer approve`" in text
    assert "Send this?" in text
    early = kernel.run("run.result()")
    assert early.status == "error"
    assert "WaitingForPerson [ORCH208]" in early.text


def test_an_answer_in_another_cell_lets_the_run_go_on(kernel):
    """`%orch answer` works in any cell; the run continues in the background, in its own display."""
    kernel.run("%orch stop all")
    ran = kernel.run('%orch run asks message="draft"')
    name = ran.displays()[0]["transient"]["display_id"]
    answered = kernel.run("%orch answer approve")
    assert answered.status == "ok"
    assert "continues" in answered.text
    seen = kernel.until(is_done(ran))
    assert seen[-1][1]["transient"]["display_id"] == name
    assert "draft" in value(kernel, "run.result()")


def test_an_edit_is_kept_with_its_difference(kernel):
    """`%orch answer edit` sends the new text on and keeps the difference; a rejection ends there."""
    kernel.run('%orch run asks message="draft"')
    assert kernel.run('%orch answer edit "short and sweet" --wait --comment "shorter"').status == "ok"
    assert value(kernel, "run.result()['sent']") == "'short and sweet'"
    assert "+short and sweet" in value(kernel, "next(e.diff for e in run.events if e.TYPE == 'answered')")
    kernel.run('%orch run asks message="no"')
    kernel.run("%orch answer reject --wait")
    assert value(kernel, "run.status, run['ok']") == "('done', None)"


def test_a_click_answers(kernel):
    """The Approve button below a waiting run answers it: the click posts to the run, which continues."""
    widgets: dict[str, dict] = {}

    def note(_: Kernel, kind: str, content: dict) -> bool:
        if kind == "comm_open":
            widgets[content["comm_id"]] = content["data"].get("state", {})
        return False

    ran = kernel.run('%orch run asks message="click me"', click=note)
    assert any("widget-view" in key for shown in ran.displays() for key in shown["data"])
    approve = next(i for i, s in widgets.items() if s.get("description") == "Approve")
    assert any(s.get("value") == "Is this friendly? click me" for s in widgets.values())
    kernel.send_comm(approve, {"method": "custom", "content": {"event": "click"}})
    kernel.until(is_done(ran))
    assert "click me" in value(kernel, "run.result()['sent']")


def test_an_edited_box_turns_approve_off(kernel):
    """Approve means what was shown: once the box says something else only "Approve as edited" can be clicked."""
    widgets: dict[str, dict] = {}

    def note(_: Kernel, kind: str, content: dict) -> bool:
        if kind == "comm_open":
            widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        return False

    ran = kernel.run('%orch run asks message="to edit"', click=note)
    approve, edit, box = (
        next(i for i, s in widgets.items() if s.get(key) == text)
        for key, text in (
            ("description", "Approve"),
            ("description", "Approve as edited"),
            ("_model_name", "TextareaModel"),
        )
    )
    assert (widgets[approve].get("disabled"), widgets[edit]["disabled"]) == (False, True)
    kernel.send_comm(box, {"method": "update", "state": {"value": "edited text"}, "buffer_paths": []})
    changed = kernel.until(lambda kind, content: kind == "comm_msg" and content["comm_id"] == edit)
    assert {"disabled": True} in [c["data"]["state"] for k, c in changed if k == "comm_msg" and c["comm_id"] == approve]
    kernel.send_comm(edit, {"method": "custom", "content": {"event": "click"}})
    kernel.until(is_done(ran))
    assert value(kernel, "run.result()['sent']") == "'edited text'"


def test_unattended_a_human_node_fails_closed(kernel):
    """Without input from the client nobody is asked: the run fails at once with the reason, and no buttons appear."""
    ran = kernel.run('%orch run asks message="nobody"', allow_stdin=False)
    assert ran.status == "error"
    assert "nobody can be asked here (unattended)" in ran.text
    assert not any("widget-view" in key for shown in ran.displays() for key in shown["data"])


def test_a_run_shown_again_is_shown_whole(kernel):
    """The handle displays itself in a later cell."""
    kernel.run('kept = %orch run g message="shown"')
    ran = kernel.run("kept")
    (shown,) = ran.displays()
    assert "✓ done" in shown["data"]["text/plain"]


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        (
            "cli",
            "import argparse\ndef cli(mood):\n    argparse.ArgumentParser().parse_args(['--nonsense'])",
            "SystemExit: 2",
        ),
        ("bye", "import sys\nasync def bye(mood):\n    sys.exit('done here')", "SystemExit: done here"),
        ("pressed", "async def pressed(mood):\n    raise KeyboardInterrupt('mine')", "KeyboardInterrupt: mine"),
        (
            "waits",
            "async def waits(mood):\n    import orch_nb\n    return orch_nb.run_sync(g, message='x')",
            "WouldDeadlock",
        ),
    ],
)
def test_a_function_that_would_end_the_process_ends_its_cell_only(kernel, kind, code, says):
    """`sys.exit` of argparse or a user, an interrupt, a blocking call on the run loop: the cell ends with a typed failure, the
    next cell runs, and so does the next run."""
    kernel.run(f"{code}\n")
    kernel.run(f"%%graph ends_{kind}\nmood -> {kind}\nout {kind}")
    ran = kernel.run(f'%orch run ends_{kind} message="x"')
    assert ran.status == "error"
    assert says in ran.text
    assert kernel.run("print('still here')").text.strip() == "still here"
    assert "✓ done" in kernel.run('%orch run g message="x"').displays("update_display_data")[-1]["data"]["text/plain"]


def test_completion_works_through_the_protocol(kernel):
    """A front end's Tab gets our candidates."""
    sent = kernel.client.complete("%orch run as", 12)
    while True:
        reply = kernel.client.get_shell_msg(timeout=10)
        if reply["parent_header"].get("msg_id") == sent:
            break
    assert "asks" in reply["content"]["matches"]
    assert reply["content"]["cursor_start"] == 10


def test_a_store_is_one_file_once_its_kernel_was_shut_down(tmp_path):
    """Nothing is left in a log beside the database: who copies the one file has all the runs."""
    from orch_nb.store.sqlite import SqliteStore

    made = Kernel(tmp_path)
    for cell in (*SETUP, '%orch run g message="hi" --wait', "%orch runs"):
        assert made.run(cell).status == "ok"
    made.shut_down()

    folder = tmp_path / ".orch"
    assert sorted(file.name for file in folder.iterdir()) == [".gitignore", "runs.sqlite", "runs.sqlite-locks"]
    with SqliteStore(folder / "runs.sqlite", read_only=True) as store:
        assert [row.status for row in store.runs()] == ["done"]
