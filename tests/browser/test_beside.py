"""The displays beside the cells of a live notebook: runs, marks, quotes, money, the palette. On a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.lab import AXE, READY, Page

if TYPE_CHECKING:
    from tests.browser.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

SETUP = """%load_ext orch_nb
%orch notebook NAME
%orch budget 0.50
import asyncio, orch_nb as orch
@orch.node
async def look(ticket):
    await asyncio.sleep(SECONDS)
    return {"about": ticket[:16]}
@orch.node
def reply(look):
    return "We look into: " + look["about"]"""
QA = "%%agent qa\n---\nout: {score: float, feedback: str}\n---\nScore {{ ticket }}"
RUN = '%orch run desk ticket="My card is gone"'
PANEL = ".orch-runs"
VIOLATIONS = "() => axe.run('.orch-runs').then(r => r.violations.map(v => [v.id, v.nodes[0].html.slice(0, 200)]))"
MARKED = """() => [...document.querySelectorAll('.orch-slip')].map(n => [n.textContent, n.getAttribute('aria-description')])"""

SOURCE = "i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.getSource()"


def notebook(lab: Lab, name: str, *cells: str, seconds: float = 0.1) -> str:
    """A notebook that begins with our set-up."""
    return lab.write(f"{name}.ipynb", [SETUP.replace("NAME", name).replace("SECONDS", str(seconds)), *cells])


def heard(page: Page, text: str) -> None:
    """Wait until the panel of runs says `text`."""
    page.page.wait_for_function(f"t => document.querySelector('{PANEL}')?.innerText.includes(t)", arg=text)


def test_a_gate_is_answered_and_a_trace_opened_from_the_panel(lab: Lab, browser: Any) -> None:
    """The panel shows the run, its question and its buttons; Approve sends it on; Trace turns to it in its own output."""
    graph = '%%graph desk\nlook -> approve -> reply\napprove: human "Send this?"'
    page = Page.open(browser, lab, notebook(lab, "panel", graph, RUN, "print('still', 6 * 7)"))
    page.run(0)
    page.command("orch:show-budget")
    heard(page, "of $0.50")
    page.run(1)
    page.run(2)
    heard(page, "Send this?")
    assert "1 waiting" in page.page.locator(".orch-status-item").inner_text()
    if AXE.is_file():
        page.page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.page.evaluate(VIOLATIONS) == []
    page.page.locator(f"{PANEL} button", has_text="Approve").click()
    page.says(2, "done")
    heard(page, "done")
    page.page.locator(f"{PANEL} button", has_text="Trace").click()
    page.page.wait_for_selector(".orch-tab[aria-selected=true]:has-text('Trace')")
    assert page.page.evaluate("() => document.activeElement.getAttribute('role')") == "treegrid"
    page.run(3)
    page.says(3, "still 42")
    page.shots("panel", 2)
    assert page.errors == []


def test_a_page_that_is_loaded_anew_finds_its_kernels_runs(lab: Lab, browser: Any) -> None:
    """The comm outlives the page: after a reload the runs are there again; after a restart of the kernel the panel says what to do."""
    page = Page.open(browser, lab, notebook(lab, "anew", "%%graph desk\nlook -> reply", RUN))
    for i in range(3):
        page.run(i)
    page.command("docmanager:save")
    page.page.wait_for_selector(".lm-TabBar-tab.jp-mod-current:not(.jp-mod-dirty)")
    page.page.reload()
    page.page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.page.wait_for_function(READY)
    page.command("orch:show-budget")
    heard(page, "done")
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    heard(page, "%load_ext orch_nb")
    page.page.wait_for_function(READY)
    page.run(0)
    heard(page, "of $0.50")
    assert page.errors == []


def test_a_run_is_stopped_from_the_panel_and_resumed(lab: Lab, browser: Any) -> None:
    """Stop ends it at once, in its awaiting cell; Resume writes and runs the cell that resumes it."""
    page = Page.open(browser, lab, notebook(lab, "halted", "%%graph desk\nlook -> reply", RUN, seconds=3))
    page.run(0)
    page.run(1)
    page.command("orch:show-budget")
    page.start(2)
    heard(page, "running")
    page.page.locator(f"{PANEL} button", has_text="Stop").click()
    page.says(2, "cancelled")
    heard(page, "cancelled")
    page.page.locator(f"{PANEL} button", has_text="Resume").click()
    page.says(3, "done")
    assert page.page.evaluate(SOURCE, 3).startswith("%orch resume ")
    heard(page, "done")


def test_unknown_names_are_underlined_and_known_ones_completed(lab: Lab, browser: Any) -> None:
    """While a cell is written its slips are marked with what was meant, and Tab offers nodes and fields; a run is quoted."""
    cells = [
        QA,
        "%%graph desk\nlook -> reply",
        RUN,
        "%%graph other\nlook -> repyl",
        "%orch rnu desk",
        "%%graph more\nqa -> reply   when qa.sc",
    ]
    page = Page.open(browser, lab, notebook(lab, "written", *cells))
    for i in range(4):
        page.run(i)
    page.page.wait_for_function("() => document.querySelector('.orch-quote')?.textContent === 'about $0'")
    page.page.locator(".jp-Notebook .jp-Cell").nth(6).locator(".cm-line").last.click()
    page.page.wait_for_function("() => document.querySelectorAll('.orch-slip').length >= 2")
    marked = dict(page.page.evaluate(MARKED))
    assert "did you mean `reply`?" in marked["repyl"]
    assert "did you mean `run`?" in marked["rnu"]
    page.page.locator(".orch-slip", has_text="repyl").hover()
    assert "repyl" in page.page.locator(".orch-tip").inner_text()
    page.page.keyboard.press("End")
    page.page.keyboard.press("Tab")
    page.page.locator(".jp-Completer-item", has_text="score").click()
    page.page.wait_for_function(f"i => ({SOURCE})(i).endsWith('qa.score')", arg=6)
    assert page.errors == []


def test_the_palette_inserts_cells_and_nothing_asks_without_a_kernel_side(lab: Lab, browser: Any) -> None:
    """Templates come below the active cell; where orch_nb is not loaded, the panel says what to run, and no error comes."""
    page = Page.open(browser, lab, lab.write("bare.ipynb", ["1 + 1"]))
    page.command("orch:insert-agent")
    page.command("orch:insert-graph")
    assert page.page.evaluate(SOURCE, 1).startswith("%%agent name")
    assert page.page.evaluate(SOURCE, 2).startswith("%%graph name")
    page.command("orch:show-budget")
    heard(page, "%load_ext orch_nb")
    page.run(0)
    assert page.errors == []
