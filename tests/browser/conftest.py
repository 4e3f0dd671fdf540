"""One Lab and one browser for all browser tests of a module; skipped with the reason where there is no Chromium."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.lab import FLAGS, Lab, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running JupyterLab over a folder of its own."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium. Closed with its module: playwright's loop must not be there when other tests start theirs."""
    path = chromium()
    if path is None:
        pytest.skip("no chromium on this machine (as root: apt-get install chromium)")
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed (the extra [dev])")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()
