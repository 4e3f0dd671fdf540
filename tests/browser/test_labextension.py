"""The interactive views in a real JupyterLab without any kernel: saved outputs of an untrusted notebook."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from orch_nb.trace.graph_state import picture
from orch_nb.trace.run_view import run_view
from orch_nb.views.bundle import GRAPH, TRACE
from orch_nb.views.graph_json import graph_data
from orch_nb.views.run import run_bundle
from tests.browser.lab import AXE, HARMLESS, SHOTS, TOKEN, Lab
from tests.unit.trace import histories as h

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ORCH_SHARED", ROOT.parent / "shared"))
NOWHERE = "127.0.0.1:9/"
"""Where the corpora's addresses lead: a request to it is a leak."""

FRAMES = """async (act) => {
  const gaps = []; let last = performance.now(), going = true;
  const tick = now => { gaps.push(now - last); last = now; if (going) requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  await (new Function('return (' + act + ')')())();
  going = false;
  return gaps.sort((a, b) => a - b);
}"""
NEXT = "const next = () => new Promise(done => requestAnimationFrame(done));"
FIRST_PAINT = """async ([mime, data]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const began = performance.now();
  const made = notebook.rendermime.createRenderer(mime);
  await made.renderModel({ data: { [mime]: data }, metadata: {}, trusted: false, setData: () => {} });
  document.querySelector('.orch-output').parentNode.append(made.node);
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const took = performance.now() - began;
  const rows = made.node.querySelectorAll('[data-span]').length;
  made.node.remove();
  return [took, rows];
}"""
VIOLATIONS = """() => axe.run('.orch-panel').then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 160)).slice(0, 3)]))"""
IS_RENDERED = """i => document.querySelectorAll(".orch-output .orch-panel")[i].querySelector('.orch-status').checkVisibility({ contentVisibilityAuto: true })"""
"""Lab lays out no cell that is out of sight (`content-visibility: auto`): such a cell's inner text is empty until it is."""
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = css => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const light = rgb => { const [r, g, b] = rgb.map(c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = node => { const stack = [];
    for (let n = node; n; n = n.parentElement) { const c = rgba(getComputedStyle(n).backgroundColor); if (c[3]) stack.push(c); if (c[3] === 1) break; }
    return stack.reverse().reduce((under, top) => over(top, under), [255, 255, 255]); };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t = walk.nextNode(); t; t = walk.nextNode()) {
    const node = t.parentElement;
    if (!t.data.trim() || !node.closest('.orch-panel') || !node.getClientRects().length || node.closest('title, option')) continue;
    const style = getComputedStyle(node), inPicture = node instanceof SVGElement;
    let under = behind(inPicture ? node.closest('svg') : node);
    const shape = inPicture && node.closest('.orch-node, .orch-choice, .orch-input')?.querySelector('.orch-shape');
    if (shape) under = over(rgba(getComputedStyle(shape).fill), under);
    const ink = over(rgba(inPicture ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad.push([t.data.trim().slice(0, 30), Math.round(ratio * 100) / 100, node.className.baseVal ?? node.className]);
  }
  return bad;
}"""


# ------------------------------------------------------------------ fixtures
@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab that has this tree's extension and no kernel at all."""
    folder = tmp_path_factory.mktemp("viewer")
    config = folder / "config" / "jupyter_config_dir"
    config.mkdir(parents=True)
    none = {"KernelSpecManager": {"allowed_kernelspecs": ["none"], "ensure_native_kernel": False}}
    (config / "jupyter_server_config.json").write_text(json.dumps(none))
    with Lab(folder) as running:
        yield running


class Viewer:
    """A saved notebook, open in a page."""

    def __init__(self, browser: Any, lab: Lab, name: str, *, width: int = 1100) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(15_000)
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{lab.url}/lab/tree/{name}?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_selector(".jp-Dialog")
        self.page.keyboard.press("Escape")  # "select a kernel": there is none
        self.page.wait_for_selector(".jp-Dialog", state="detached")
        self.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")

    def _complain(self, text: str) -> None:
        if not HARMLESS.search(text):
            self.errors.append(text)

    def one(self, selector: str) -> Any:
        """The first element of a kind in the first panel."""
        return self.page.locator(".orch-output .orch-panel").first.locator(selector).first

    def turn(self, tab: str) -> None:
        """Press one of the tabs."""
        self.one(f".orch-tab:has-text('{tab}')").click()
        self.page.wait_for_selector(f".orch-tab[aria-selected=true]:has-text('{tab}')")

    def theme(self, dark: bool) -> None:
        """Change JupyterLab's theme."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', { theme: t })", name)
        light = "false" if dark else "true"
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def shot(self, name: str) -> None:
        """Keep a picture for whoever looks at CI's artefacts."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self) -> None:
        """No error was complained of, and nothing was asked of anybody but this server."""
        self.page.close()
        assert not self.errors
        assert not [url for url in self.asked if NOWHERE in url]


@pytest.fixture
def view(browser: Any, lab: Lab) -> Iterator[Callable[..., Viewer]]:
    """Saves cells with outputs as a notebook and opens it."""
    opened: list[Viewer] = []

    def open_(*cells: tuple[str, dict[str, Any] | None], width: int = 1100) -> Viewer:
        made = []
        for source, data in cells:
            outputs = [] if data is None else [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
            made.append(nbformat.v4.new_code_cell(source, execution_count=1 if data else None, outputs=outputs))
        book = nbformat.v4.new_notebook(cells=made)
        book.metadata["language_info"] = {"name": "python"}
        name = f"saved{len(opened)}-{os.urandom(4).hex()}.ipynb"
        nbformat.write(book, lab.folder / "work" / name)
        opened.append(Viewer(browser, lab, name, width=width))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def support() -> dict[str, Any]:
    """The saved output of a finished run."""
    return run_bundle(run_view(h.support_run()))


def support_graph() -> dict[str, Any]:
    """The saved output of a graph."""
    return {
        GRAPH: {
            "v": 1,
            "kind": "graph",
            "pictures": [graph_data(picture(h.support_plan()))],
            "cell": "%%graph support",
        },
        "text/plain": "graph",
    }


def told(**more: Any) -> dict[str, Any]:
    """A run's data with columns, texts and details, as the format allows it."""
    texts = [
        "billing",
        "agent",
        "success",
        "model",
        "mid",
        "Be brief.",
        "Policy: refunds in 30 days\nMessage: charged twice",
        "charged twice",
        "It is a hold.",
    ]
    columns = {
        "depth": [0, 1], "task_id": [0, 0], "step": [0, 0], "kind": [1, 3], "agent_id": [0, 0], "state": [2, 2], "model": [4, 4], "target": [4, 4],
        "call": [0, 1], "start_s": [0, 0], "latency_ms": [900, 900], "queued_ms": [120, 0], "input_tokens": [706, 706], "output_tokens": [206, 206],
        "cost_usd": ["0.0061", "0.0061"],
    }  # fmt: skip
    route = {"offer": "mid", "because": "small failed this task 6 of 10 times", "candidates": [
        {"offer": "small", "expected_usd": "0.0002", "refused": "below 0.80"}, {"offer": "mid", "expected_usd": "0.0058", "refused": ""}]}  # fmt: skip
    return {
        "v": 1, "kind": "run", "run": "7", "graph": "support", "status": "done", "wall_s": 0.9, "pictures": [],
        "spans": {"count": 2, "columns": columns}, "texts": texts, "bill": {"total": {"calls": 1, "spent_usd": "0.0061"}},
        "details": {"0": {"reads": {"ticket": 7}, "answer": 8}, "1": {"said": [["system", 5], ["user", 6]], "answer": 8, "route": route}}, **more,
    }  # fmt: skip


# ------------------------------------------------------------------ the flows
def test_a_saved_untrusted_run_is_walked_by_keyboard_without_a_kernel(view: Callable[..., Viewer]) -> None:
    """Nothing is trusted, no kernel exists, and still the trace is walked, folded, filtered and read by keys alone."""
    lab = view(("%orch run support", support()))
    trusted, kernel = lab.page.evaluate("""() => { const panel = window.jupyterapp.shell.currentWidget;
      return [panel.content.widgets[0].model.trusted, panel.sessionContext.session?.kernel ?? null]; }""")
    assert (trusted, kernel) == (False, None)
    lab.turn("Trace")
    lab.one("[role=treegrid]").focus()
    lab.page.keyboard.press("Home")
    assert "triage" in lab.one("h3").inner_text()
    lab.page.keyboard.press("ArrowDown")
    assert lab.one("h3").inner_text() == "billing"
    assert lab.one(".orch-current").get_attribute("aria-label") == "billing, success"
    assert lab.one("[role=treegrid]").get_attribute("aria-activedescendant") == lab.one(".orch-current").get_attribute(
        "id"
    )
    before = lab.page.locator("[data-span]").count()
    lab.page.keyboard.press("ArrowLeft")
    assert lab.page.locator("[data-span]").count() == before - 2
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("ArrowRight")
    assert "429: slow down" in lab.one(".orch-detail").inner_text()
    lab.page.keyboard.press("Enter")
    assert lab.page.evaluate("() => document.activeElement.className") == "orch-detail"
    lab.page.keyboard.press("Escape")
    lab.page.keyboard.press("/")
    lab.page.keyboard.type("slow down")
    assert "2 rows of 19 spans" in lab.one(".orch-filter").inner_text()
    lab.page.keyboard.press("Enter")
    lab.page.keyboard.press("End")
    assert lab.one("h3").inner_text() == "mid"
    assert lab.page.locator(".jp-Notebook.jp-mod-editMode").count() == 0, "keys did not leave the output"
    assert lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex") == 0


def test_a_graph_is_walked_by_arrows_and_a_node_tells_what_it_is(view: Callable[..., Viewer]) -> None:
    """Arrows go from node to node, Enter opens one; without a run it tells its condition and its arrows."""
    lab = view(("%%graph support", support_graph()))
    lab.one("[data-node=triage]").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("Enter")
    assert lab.one("h3").inner_text().split("·")[0].strip() == "qa"
    assert "qa.score < 0.6" in lab.one(".orch-detail").inner_text()
    assert lab.page.locator(".orch-selected").get_attribute("data-node") == "qa"
    scale = lab.one(".orch-picture").evaluate("d => new DOMMatrix(getComputedStyle(d).transform).a")
    lab.page.keyboard.press("+")
    assert lab.one(".orch-picture").evaluate("d => new DOMMatrix(getComputedStyle(d).transform).a") > scale
    lab.page.keyboard.press("0")
    lab.page.keyboard.press("ArrowLeft")
    assert lab.page.evaluate("() => document.activeElement.dataset.node") in h.SPECIALISTS


def test_one_selection_in_graph_trace_and_detail(view: Callable[..., Viewer]) -> None:
    """A click on a node selects its latest round in the trace; a click on a row selects its node; bars follow the choice."""
    lab = view(("%orch run support", support()))
    lab.one("[data-node=billing] .orch-shape").click()
    assert lab.one(".orch-layer .orch-selected").get_attribute("aria-label") == "billing, round 2, success"
    lab.one("[data-span] .orch-label:text-is('qa')").click()
    assert lab.one(".orch-node.orch-selected").get_attribute("data-node") == "qa"
    assert "0.52" in lab.one(".orch-detail").inner_text()
    wide = lab.one("[data-node=billing] .orch-bar").get_attribute("width")
    lab.one(".orch-heat button:has-text('seconds')").click()
    assert lab.one("[data-node=billing] .orch-bar").get_attribute("width") != wide
    assert "s" in lab.one("[data-node=billing] .orch-figure").text_content()


def test_details_tell_prompt_reads_answer_and_every_candidate(view: Callable[..., Viewer]) -> None:
    """The panel has the prompt with its reads marked, the answer, the route with the refused offers and why."""
    lab = view(("%orch run support", {TRACE: told(), "text/plain": "run 7"}))
    lab.one("[data-span]").click()
    said = lab.one(".orch-detail").inner_text()
    for part in (
        "prompt, 706 tokens",
        "Be brief.",
        "refunds in 30 days",
        "It is a hold.",
        "small failed this task",
        "below 0.80",
        "chosen",
        "0.12",
    ):
        assert part in said
    assert lab.one("mark").inner_text() == "charged twice"


def test_a_run_that_goes_on_keeps_the_readers_place(view: Callable[..., Viewer]) -> None:
    """An update of the same output keeps tab, selection, filter and focus, and shows the new figures."""
    lab = view(("%orch run support", support()))
    lab.turn("Trace")
    lab.one("[role=treegrid]").focus()
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("ArrowDown")
    chosen = lab.one("h3").inner_text()
    later = support()[TRACE] | {"wall_s": 9.0, "status": "running"}
    lab.page.evaluate(
        """([mime, data]) => { const { outputs } = window.jupyterapp.shell.currentWidget.content.widgets[0].model;
      outputs.set(0, { output_type: 'execute_result', execution_count: 1, metadata: {}, data: { [mime]: data } }); }""",
        [TRACE, later],
    )
    lab.page.wait_for_selector(".orch-status:has-text('running')")
    assert lab.one("h3").inner_text() == chosen
    assert lab.one(".orch-tab[aria-selected=true]").inner_text() == "Trace"
    assert lab.page.evaluate("() => document.activeElement.getAttribute('role')") == "treegrid"
    assert lab.page.locator(".orch-output .orch-panel").count() == 1


def test_another_version_is_refused_in_one_line(view: Callable[..., Viewer]) -> None:
    """An output of a later format is not guessed at."""
    lab = view(("%orch run support", {TRACE: support()[TRACE] | {"v": 2}, "text/plain": "run 7"}))
    assert "this extension reads version 1" in lab.one(".orch-refused").inner_text()


def test_cells_of_ours_are_coloured_also_when_they_become_ours(view: Callable[..., Viewer]) -> None:
    """`%%agent` is coloured from the beginning, and a Python cell as soon as its first line makes it one of ours."""
    lab = view(
        ("%%agent triage --model small\n---\nout: {score: float}\n---\nSay {{ ticket }}", None),
        ("x = 1", None),
        ("%orch run support", support()),
    )

    def styles(index: int) -> set[str]:
        cell = lab.page.locator(".jp-Cell").nth(index)
        return set(cell.locator(".cm-line span[class]").evaluate_all("spans => spans.map(s => s.textContent)"))

    lab.page.wait_for_function(
        "() => document.querySelectorAll('.jp-Cell')[0].querySelectorAll('.cm-line span[class]').length > 8"
    )
    assert {"%%agent", "triage", "--model", "small", "out", "{{ ticket }}"} <= styles(0)
    assert "x" not in {"->"} & styles(1)
    lab.page.locator(".jp-Cell").nth(1).locator(".cm-content").click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type("%%graph g\na -> b when b.c < 1")
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Cell')[1].querySelectorAll('.cm-line span[class]')].some(s => s.textContent === '->')"
    )
    assert {"%%graph", "when", "b.c"} <= styles(1)
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type("import os")
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Cell')[1].querySelectorAll('.cm-line span[class]')].some(s => s.textContent === 'import')"
    )


# ------------------------------------------------------------------ safety
def corpus() -> dict[str, list[str]]:
    """The project's hostile texts."""
    path = SHARED / "tools" / "faults" / "payloads.py"
    if not path.is_file():
        pytest.skip(f"no {path.name} beside the repository (set ORCH_SHARED)")
    spec = importlib.util.spec_from_file_location("payloads", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = written
    return {name: getattr(module, name) for name in ("XSS", "ANSI", "TEMPLATE", "INJECTION", "URLS")}


def poisoned(data: Any, text: str) -> Any:
    """The same data with `text` in place of every text that means nothing to the view."""
    if isinstance(data, dict):
        kept = ("kind", "style", "state", "status")
        return {(k if k in TOLD else k + text): v if k in kept else poisoned(v, text) for k, v in data.items()}
    if isinstance(data, list):
        return [poisoned(v, text) for v in data]
    return text if isinstance(data, str) and not data.replace(".", "").isdigit() else data


TOLD = {
    "v", "kind", "run", "graph", "status", "wall_s", "pictures", "spans", "texts", "bill", "details", "total", "steps", "nodes", "edges", "name",
    "lines", "label", "points", "x", "y", "width", "height", "state", "error", "type", "message", "hint", "waiting", "key", "question", "options", "output",
    "task_id", "step", "agent_id", "action", "input", "output_summary", "model", "depth", "start_s", "latency_ms", "count", "columns", "said", "answer",
    "route", "offer", "because", "candidates", "refused", "reads", "inputs", "0", "1", "source", "target", "label_at", "condition", "outcomes", "style",
    "decisions", "call", "groups", "agents", "models", "writers", "readers", "value", "reducer", "spent_usd", "calls", "cost_usd", "taken", "choice",
}  # fmt: skip


def test_hostile_texts_are_inert_in_every_view(view: Callable[..., Viewer]) -> None:
    """Scripts, addresses, ANSI and bidi texts in every field, in every tab: text is all that comes of them."""
    texts = [text for group in corpus().values() for text in group]
    full = support()[TRACE] | {"inputs": {"ticket": "t"}, "state": [{"name": "s", "value": "v"}], "waiting": [{"key": "k", "question": "q", "options": ["o"]}],
                               "error": {"node": "n", "type": "T", "message": "m", "hint": "h"}}  # fmt: skip
    lab = view(("%orch run support", {TRACE: full, "text/plain": "x"}))
    script = """async ([mime, all]) => {
      const notebook = window.jupyterapp.shell.currentWidget.content;
      const place = document.querySelector('.orch-output').parentNode;
      const odd = new Set();
      for (const data of all) {
        const made = notebook.rendermime.createRenderer(mime);
        await made.renderModel({ data: { [mime]: data }, metadata: {}, trusted: false, setData: () => {} });
        place.append(made.node);
        for (const tab of [...made.node.querySelectorAll('.orch-tab')].map(t => t.textContent)) {
          [...made.node.querySelectorAll('.orch-tab')].find(t => t.textContent === tab).click();
          for (const row of [...made.node.querySelectorAll('[data-span]')].slice(0, 12)) document.getElementById(row.id)?.click();
          for (const node of made.node.querySelectorAll('*')) {
            if (/^(script|img|iframe|object|embed|a|link|base|meta|form|style|video|audio|math|image|use|foreignobject)$/i.test(node.tagName)) odd.add(node.tagName);
            for (const name of node.getAttributeNames()) if (/^on|href$|^src|action$|commandlinker/i.test(name)) odd.add(name);
          }
          const bidi = made.node.innerText.match(/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u001b\\ufeff]/);
          if (bidi) odd.add('hidden ' + bidi[0].codePointAt(0).toString(16));
        }
        made.node.remove();
      }
      return [[...odd], window.__pwned === undefined];
    }"""
    everything = [poisoned(base, text) for text in texts for base in (full, told())]
    for i in range(0, len(everything), 40):
        assert lab.page.evaluate(script, [TRACE, everything[i : i + 40]]) == [[], True]
    assert lab.page.evaluate("() => window.__pwned === undefined")


def compared() -> dict[str, Any]:
    """Two runs of one graph, compared."""

    def half(**more: Any) -> dict[str, Any]:
        return {"state": "success", "model": "mid", "seconds": 1.52, "tokens": 912, "usd": "0.0061", **more}

    rows = [
        {"key": "triage", "step": "triage", "round": 1, "a": half(model="small", usd="0.0002", seconds=0.41), "b": half(model="small", usd="0.0002", seconds=0.43), "what": "same", "diff": []},
        {"key": "billing", "step": "billing", "round": 1, "a": half(), "b": half(model="small", usd="0.0004", seconds=0.62), "what": "changed",
         "diff": [[" ", "Thank you for writing."], ["-", "The second charge is a hold; it drops off in 3 to 5 days."], ["+", "You were charged twice. We refund one of them today."]]},
        {"key": "qa[2]", "step": "qa", "round": 2, "a": half(usd="0.0011"), "b": None, "what": "only a", "diff": []},
    ]  # fmt: skip
    side = {"graph": "support", "status": "done", "tokens": 2140}
    data = {"v": 1, "kind": "compare", "a": {"run": "7", "wall_s": 3.4, "usd": "0.0074", **side}, "b": {"run": "8", "wall_s": 2.1, "usd": "0.0006", **side},
            "rows": rows, "same_output": False, "rows_left_out": 0}  # fmt: skip
    return {TRACE: data, "text/plain": "compared"}


def test_two_runs_are_compared_by_keyboard(view: Callable[..., Viewer]) -> None:
    """Steps are side by side; the text of a step unfolds by Enter, line by line with its sign, and the page stays the notebook's."""
    lab = view(("%orch diff 7 8", compared()))
    assert "2 steps of 3 differ; B cost $0.0068 less" in lab.one(".orch-compare-sum").inner_text()
    lab.one("summary").focus()
    lab.page.keyboard.press("Enter")
    lab.page.wait_for_selector(".orch-diff[open]")
    assert "- The second charge" in lab.one(".orch-removed").inner_text()
    assert "+ You were charged" in lab.one(".orch-added").inner_text()
    assert lab.page.locator(".jp-Notebook.jp-mod-editMode").count() == 0
    for dark in (True, False):
        lab.theme(dark)
        assert lab.page.evaluate(CONTRAST) == []
        lab.shot(f"view-compare-{'dark' if dark else 'light'}")


# ------------------------------------------------------------------ looks
def test_text_has_contrast_in_every_tab(view: Callable[..., Viewer]) -> None:
    """Every visible text has a contrast of at least 4.5 to 1 in JupyterLab's two themes, skipped steps included."""
    lab = view(("%orch run support", support()))
    for dark in (False, True):
        lab.theme(dark)
        for tab in ("Graph", "Trace", "Bill", "Decisions"):
            lab.turn(tab)
            if tab == "Graph":
                lab.one("[data-node=billing] .orch-shape").click()
            lab.page.mouse.move(2, 2)
            assert lab.page.evaluate(CONTRAST) == []
            lab.shot(f"view-{tab.lower()}-{'dark' if dark else 'light'}")


def test_every_kind_of_run_is_shown_without_a_fault(view: Callable[..., Viewer]) -> None:
    """Failed, waiting, in doubt, edited, mapped and nested: each says its state in words, and its text has contrast."""
    names = ("failed", "waiting", "doubtful", "edited", "map", "recorded")
    lab = view(*((f"%orch run {name}", run_bundle(run_view(h.EVERY[name]()))) for name in names))
    panels = lab.page.locator(".orch-output .orch-panel")
    for i in range(len(names)):
        panels.nth(i).scroll_into_view_if_needed()
        lab.page.wait_for_function(IS_RENDERED, arg=i)
        assert len(panels.nth(i).locator(".orch-status").inner_text().split()) >= 2
        assert lab.page.evaluate(CONTRAST) == []
    for word in ("failed", "waiting", "interrupted", "done"):
        assert lab.page.locator(f".orch-status:has-text('{word}')").count() >= 1, word


def test_it_works_at_600_pixels_and_without_motion(view: Callable[..., Viewer]) -> None:
    """On a narrow page nothing lies outside of the panel, and whoever wants no motion gets none."""
    lab = view(("%orch run support", support()), width=760)
    lab.page.emulate_media(reduced_motion="reduce")
    for tab in ("Graph", "Trace", "Bill", "Decisions"):
        lab.turn(tab)
        outside = lab.page.evaluate("""() => { const panel = document.querySelector('.orch-panel'), box = panel.getBoundingClientRect();
          return [box.width, [...panel.querySelectorAll('.orch-top *, .orch-tab, .orch-row, .orch-filter *, .orch-detail, .orch-heat *')]
            .filter(n => n.getClientRects().length && n.getBoundingClientRect().right > box.right + 1).map(n => n.className)]; }""")
        assert outside[0] < 680
        assert outside[1] == []
    moving = lab.page.evaluate(
        "() => [...document.querySelectorAll('.orch-panel *')].filter(n => getComputedStyle(n).transitionDuration !== '0s').length"
    )
    assert moving == 0
    lab.turn("Graph")
    lab.shot("view-narrow")


def test_axe_finds_nothing_to_complain_of(view: Callable[..., Viewer]) -> None:
    """axe-core, the usual checker of accessibility, finds no violation in any tab."""
    if not AXE.is_file():
        pytest.skip("axe-core is not here: `make labextension-test` installs it")
    lab = view(("%orch run support", support()))
    lab.page.evaluate(AXE.read_text(encoding="utf-8"))
    for tab in ("Graph", "Trace", "Bill", "Decisions"):
        lab.turn(tab)
        found = lab.page.evaluate(VIOLATIONS)
        assert found == [], tab
    other = view(("%orch diff 7 8", compared()))
    other.page.evaluate(AXE.read_text(encoding="utf-8"))
    assert other.page.evaluate(VIOLATIONS) == []


# ------------------------------------------------------------------ speed
def many(spans: int) -> dict[str, Any]:
    """A run of so many spans: a map, each item with its call."""
    texts = ["map", "agent", "success", "model", "small", *(f"map[1][{i}]" for i in range(spans // 2))]
    each = range(spans - 1)
    columns = {
        "depth": [0, *(1 + i % 2 for i in each)], "task_id": [0, *(5 + i // 2 for i in each)], "step": [0] * spans, "kind": [1, *(3 if i % 2 else 1 for i in each)],
        "state": [2] * spans, "agent_id": [0] * spans, "model": [4] * spans, "target": [4] * spans, "item": [None, *(i // 2 for i in each)],
        "start_s": [0, *(i / 100 for i in each)], "latency_ms": [spans * 10, *(900 for _ in each)], "cost_usd": ["0.001"] * spans, "input_tokens": [90] * spans,
    }  # fmt: skip
    return told(spans={"count": spans, "columns": columns}, texts=texts, details={}, wall_s=spans / 100)


@pytest.mark.slow
@pytest.mark.skipif(
    "ORCH_BENCH" not in os.environ, reason="a figure, not a promise: it is taken on a quiet machine with ORCH_BENCH=1"
)
def test_ten_thousand_spans_come_at_once_and_scroll_smoothly(view: Callable[..., Viewer]) -> None:
    """First paint of 200 spans within 150 ms and of 10,000 within 600 ms; scrolling them, frames stay under 50 ms."""
    lab = view(("%orch run support", {TRACE: many(10_001), "text/plain": "x"}))
    for spans, limit in ((200, 150), (10_001, 600)):
        took, rows = min(lab.page.evaluate(FIRST_PAINT, [TRACE, many(spans)]) for _ in range(3))
        print(f"first paint of {spans} spans: {took:.0f} ms, {rows} rows exist")
        assert took < limit, spans
        assert 0 < rows < 60, "only the rows in sight exist"
    act = f"async () => {{ {NEXT} const g = document.querySelector('.orch-grid'); for (let i = 0; i < 100; i++) {{ g.scrollTop += 900; await next(); }} }}"
    gaps = min((lab.page.evaluate(FRAMES, act) for _ in range(3)), key=max)
    print(f"frames: {len(gaps)}, 98 % within {gaps[len(gaps) * 98 // 100]:.0f} ms, longest {gaps[-1]:.0f} ms")
    assert gaps[len(gaps) * 98 // 100] < 50, gaps[-5:]
    assert lab.one(".orch-layer .orch-row").get_attribute("aria-rowindex") != "2"


@pytest.mark.slow
@pytest.mark.skipif(
    "ORCH_BENCH" not in os.environ, reason="a figure, not a promise: it is taken on a quiet machine with ORCH_BENCH=1"
)
def test_a_thousand_nodes_are_dragged_and_zoomed_smoothly(view: Callable[..., Viewer]) -> None:
    """Panning and zooming a graph of 1,000 nodes, frames stay under 50 ms."""
    nodes = [
        {
            "name": f"n{i}",
            "kind": "agent",
            "lines": [["small", ""]],
            "x": 12 + i % 40 * 130,
            "y": 12 + i // 40 * 70,
            "width": 96,
            "height": 46,
        }
        for i in range(1000)
    ]
    edges = [{"source": f"n{i}", "target": f"n{i + 1}", "kind": "plain", "points": [[108 + i % 40 * 130, 35 + i // 40 * 70], [142 + i % 40 * 130, 35 + i // 40 * 70]],
              "label_at": [0, 0]} for i in range(999) if i % 40 != 39]  # fmt: skip
    graph = {"name": "big", "path": "", "width": 5230, "height": 1780, "nodes": nodes, "edges": edges}
    lab = view(("big", {GRAPH: {"v": 1, "kind": "graph", "pictures": [graph]}, "text/plain": "x"}))
    act = f"""async () => {{ {NEXT} const w = document.querySelector('.orch-window'), b = w.getBoundingClientRect();
      const at = (type, x) => new PointerEvent(type, {{ bubbles: true, button: 0, clientX: b.left + x, clientY: b.top + 100 }});
      w.dispatchEvent(at('pointerdown', 400));
      for (let i = 0; i < 50; i++) {{ window.dispatchEvent(at('pointermove', 400 - 5 * i)); await next(); }}
      window.dispatchEvent(at('pointerup', 150));
      for (let i = 0; i < 50; i++) {{ w.dispatchEvent(new WheelEvent('wheel', {{ bubbles: true, cancelable: true, ctrlKey: true, deltaY: i < 25 ? -60 : 60,
        clientX: b.left + 300, clientY: b.top + 100 }})); await next(); }} }}"""
    gaps = min((lab.page.evaluate(FRAMES, act) for _ in range(3)), key=max)
    print(f"frames: {len(gaps)}, 98 % within {gaps[len(gaps) * 98 // 100]:.0f} ms, longest {gaps[-1]:.0f} ms")
    assert gaps[len(gaps) * 98 // 100] < 50, gaps[-5:]
