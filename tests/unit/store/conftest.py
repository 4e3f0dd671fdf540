"""Processes for store tests, ended with the test that started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a function of `children` in a process of its own; its lines come by `.stdout`."""
    running: list[subprocess.Popen[str]] = []

    def start(what: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.unit.store.children", what, *map(str, arguments)]
        made = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(made)
        return made

    yield start
    for one in running:
        one.kill()
        one.communicate()
