"""A real JupyterLab in a real Chromium, with configuration folders of its own: what the browser tests drive.

The order of waiting matters and was measured: Lab's idle icon shows before the kernel can take a request, and a
Ctrl+Enter sent too early is silently lost. So a page is ready when the session context is *and* the kernel's info arrived.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import nbformat

if TYPE_CHECKING:
    from collections.abc import Sequence

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
TOKEN = "browser-tests"
BUILT = Path(__file__).resolve().parents[2] / "orch_nb" / "labextension"
AXE = BUILT.parents[1] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
"""The usual checker of accessibility; there once the front end's packages are installed."""
SHOTS = Path(__file__).parent / "shots"
HARMLESS = re.compile(
    r"reading 'schema'|restore the debugger state|favicon|ResizeObserver loop|Failed to load resource.*(40[34])",
    re.IGNORECASE,
)

READY = """async () => {
  const panel = window.jupyterapp?.shell.currentWidget;
  if (!panel?.sessionContext) return false;
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) return false;
  await kernel.info;
  return kernel.status === 'idle';
}"""


def chromium() -> str | None:
    """The path of a Chromium of this machine."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


class Lab:
    """JupyterLab on loopback over `folder`, with this tree's front end or with none of it. Use as a context manager."""

    def __init__(self, folder: Path, *, extension: bool = True) -> None:
        self.folder, self.extension = folder, extension
        self.url = ""
        self._started = threading.Event()
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR",
                 "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")  # fmt: skip
        own = {name: str(self.folder / "config" / name.lower()) for name in names}
        (self.folder / "work").mkdir(parents=True, exist_ok=True)
        quiet = Path(own["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        self._link(Path(own["JUPYTER_DATA_DIR"]), Path(own["JUPYTER_CONFIG_DIR"]))
        (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.root_dir={self.folder / 'work'}", f"--IdentityProvider.token={TOKEN}",
            "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=", "--ServerApp.log_level=INFO",
        ]  # fmt: skip
        self._server = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, **own}
        )
        threading.Thread(target=self._read, daemon=True).start()
        if not self._started.wait(40):
            self._server.kill()
            raise RuntimeError("JupyterLab did not start:\n" + "".join(self._lines[-20:]))
        return self

    def _link(self, data: Path, config: Path) -> None:
        """The built front end of this tree comes before one that may be installed."""
        place = data / "labextensions" / "@orch-nb"
        place.mkdir(parents=True)
        if self.extension:
            (place / "labextension").symlink_to(BUILT, target_is_directory=True)
            return
        (config / "labconfig").mkdir(parents=True)
        off = {"disabledExtensions": {"@orch-nb/labextension": True}}
        (config / "labconfig" / "page_config.json").write_text(json.dumps(off))

    def _read(self) -> None:
        assert self._server.stderr
        for line in self._server.stderr:
            self._lines.append(line)
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab", line):
                self.url = found[1]
                self._started.set()

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(5)
        assert self._server.stderr
        self._server.stderr.close()

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Save a notebook of these code cells into the folder; its name."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.folder / "work" / name)
        return name


@dataclass
class Page:
    """One notebook open in the browser. `errors` collects what the page complained of."""

    page: Any
    errors: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Any, lab: Lab, notebook: str) -> Page:
        """Open `notebook` and wait until its kernel takes requests."""
        self = cls(browser.new_page(viewport={"width": 1100, "height": 900}))
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        self.page.goto(f"{lab.url}/lab/tree/{notebook}?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(READY)
        self.command("application:toggle-left-area")
        return self

    def _complain(self, text: str) -> None:
        if not HARMLESS.search(text):
            self.errors.append(text)

    def start(self, index: int) -> None:
        """Run a cell without waiting for it."""
        self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def finished(self, index: int) -> None:
        """Wait until a cell has its number."""
        prompt = (
            f"document.querySelectorAll('.jp-Notebook .jp-Cell')[{index}].querySelector('.jp-InputPrompt').textContent"
        )
        self.page.wait_for_function(f"() => /\\d/.test({prompt})")

    def run(self, index: int) -> None:
        """Run a cell to its end."""
        self.start(index)
        self.finished(index)

    def output(self, index: int) -> Any:
        """The output area of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def says(self, index: int, text: str) -> None:
        """Wait until a cell's output contains `text`."""
        script = """([index, text]) => {
          const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[index];
          return cell.querySelector('.jp-Cell-outputArea')?.innerText.includes(text);
        }"""
        self.page.wait_for_function(script, arg=[index, text])

    def command(self, name: str, args: dict[str, Any] | None = None) -> None:
        """Run one of Lab's own commands, as its menus do."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, args or {}])

    def shots(self, name: str, index: int) -> None:
        """A picture of a cell's surroundings in the light and one in the dark theme."""
        SHOTS.mkdir(exist_ok=True)
        for theme, end in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
            self.command("apputils:change-theme", {"theme": theme})
            light = "true" if end == "light" else "false"
            self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")
            self.page.wait_for_selector("#jupyterlab-splash", state="detached")
            self.output(index).scroll_into_view_if_needed()
            self.page.screenshot(path=SHOTS / f"{name}-{end}.png")
