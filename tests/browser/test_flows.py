"""What a person does in JupyterLab: run a graph and watch it, stop it, answer it. In a real browser, on real kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.lab import Lab, Page

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

SETUP = """%load_ext orch_nb
%orch notebook NAME
import asyncio, orch_nb as orch
@orch.node
async def look(ticket):
    await asyncio.sleep(SECONDS)
    return {"about": ticket[:16]}
@orch.node
def reply(look):
    return "We look into: " + look["about"]"""

DESK = """%%graph desk
look -> reply"""

GATED = """%%graph desk
look -> approve -> reply
approve: human "Send this?\""""


def notebook(lab: Lab, name: str, graph: str, *, seconds: float) -> str:
    """A notebook whose first node takes `seconds`."""
    setup = SETUP.replace("NAME", name).replace("SECONDS", str(seconds))
    cells = [
        setup,
        graph,
        '%orch run desk ticket="My card is gone"',
        "print('still', 6 * 7)",
        "%orch budget 0.05",
        "%orch cost",
    ]
    return lab.write(f"{name}.ipynb", cells)


def test_a_run_is_seen_to_go_on(lab: Lab, browser: Any) -> None:
    """Running a graph shows it running, then done, in one output that updates; light and dark."""
    page = Page.open(browser, lab, notebook(lab, "watched", DESK, seconds=1.5))
    page.run(0)
    page.run(1)
    assert page.output(1).locator(".jp-OutputArea-output svg").count() == 1
    page.start(2)
    page.says(2, "running")
    page.finished(2)
    page.says(2, "done")
    assert page.output(2).locator(".jp-OutputArea-output svg").count() == 1, "one output, updated in place"
    page.shots("run", 2)
    page.run(4)
    page.run(5)
    page.says(5, "$0.05")
    assert page.page.locator("mjx-container").count() == 0, "dollars must not be typeset as formulas"
    assert page.errors == []


def test_stop_leaves_a_usable_kernel(lab: Lab, browser: Any) -> None:
    """Lab's own Stop ends a run at once: it says cancelled, and the next cell runs."""
    page = Page.open(browser, lab, notebook(lab, "stopped", DESK, seconds=60))
    page.run(0)
    page.run(1)
    page.start(2)
    page.says(2, "running")
    page.command("notebook:interrupt-kernel")
    page.says(2, "cancelled")
    page.run(3)
    page.says(3, "still 42")
    page.shots("stopped", 2)
    assert page.errors == []


def test_a_person_answers_by_button(lab: Lab, browser: Any) -> None:
    """A cell that only waits for a person ends; Approve sends the run on to its end, in the background."""
    page = Page.open(browser, lab, notebook(lab, "gated", GATED, seconds=0.1))
    page.run(0)
    page.run(1)
    page.run(2)
    page.says(2, "waiting")
    page.shots("waiting", 2)
    page.output(2).get_by_role("button", name="Approve", exact=True).click()
    page.says(2, "done")
    page.run(3)
    page.says(3, "still 42")
    page.shots("approved", 2)
    assert page.errors == []


def test_two_runs_are_compared(lab: Lab, browser: Any) -> None:
    """A difference of two runs shows them step by step, and the lines in which their answers differ."""
    runs = [
        f'%orch run desk ticket="{text}" --as {name}'
        for name, text in (("one", "My card is gone"), ("two", "A second card"))
    ]
    setup = SETUP.replace("NAME", "twice").replace("SECONDS", "0.1")
    page = Page.open(browser, lab, lab.write("twice.ipynb", [setup, DESK, *runs, "one.diff(two)"]))
    for i in range(5):
        page.run(i)
    page.says(4, "steps of 2 differ")
    page.output(4).locator("summary").last.click()
    assert "We look into: My card is gone" in page.output(4).locator(".orch-removed").last.inner_text()
    assert "We look into: A second card" in page.output(4).locator(".orch-added").last.inner_text()
    page.shots("compared", 4)
    assert page.errors == []


def test_without_the_front_end_nothing_is_missing_but_comfort(browser: Any, tmp_path: Path) -> None:
    """Without the extension the same run is shown as HTML, updates in place and is answered by buttons."""
    with Lab(tmp_path, extension=False) as lab:
        page = Page.open(browser, lab, notebook(lab, "plain", GATED, seconds=0.1))
        page.errors.clear()
        page.run(0)
        page.run(1)
        page.run(2)
        page.says(2, "waiting")
        assert page.page.locator(".orch-panel").count() == 0
        page.output(2).get_by_role("button", name="Approve", exact=True).click()
        page.says(2, "done")
        page.run(3)
        page.says(3, "still 42")
        page.shots("plain", 2)
