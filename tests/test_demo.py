"""`orch demo`, the user's first command, on the real model: routed by meaning, billed, kept, and quick the second time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.local_model, pytest.mark.slow, pytest.mark.timeout(600)]


def orch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as a user calls it."""
    command = [sys.executable, "-m", "orch_nb.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder and what it printed."""
    out = tmp_path_factory.mktemp("demo")
    done = orch("demo", "--out", str(out))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out, done.stdout


def test_the_demo_runs_on_the_real_model(demo: tuple[Path, str]) -> None:
    """24 real messages are answered, at least 90 % go to the team of their own label, two model calls each, for $0."""
    out, said = demo
    routed = re.search(r"(\d+) of 24 messages to the team of their own label", said)
    assert routed
    assert int(routed[1]) >= 22
    assert re.search(r"bill: \$0\S* for 48 model calls", said)
    runs = orch("runs", "--folder", str(out))
    assert runs.returncode == 0
    assert "desk" in runs.stdout


def test_the_demo_says_what_it_would_cost_elsewhere(demo: tuple[Path, str]) -> None:
    """The same tokens are priced on five models, each above nothing."""
    prices = re.findall(r"^  \S+/\S+\s+\$(\d+\.\d+)$", demo[1], re.MULTILINE)
    assert len(prices) == 5
    assert all(float(price) > 0 for price in prices)


def test_the_demo_leaves_what_it_says(demo: tuple[Path, str]) -> None:
    """The executed notebook has no error, the HTML no script of ours, and the store is private."""
    out, said = demo
    book = json.loads((out / "00_quickstart.ipynb").read_text(encoding="utf-8"))
    outputs = [o for cell in book["cells"] for o in cell.get("outputs", [])]
    assert outputs
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert (out / "00_quickstart.html").stat().st_size > 50_000
    store = out / ".orch" / "runs.sqlite"
    assert str(store) in said
    assert store.stat().st_mode & 0o077 == 0


def test_the_second_look_is_instant(demo: tuple[Path, str]) -> None:
    """`orch demo --show` says the same from the store, without running anything."""
    out, said = demo
    shown = orch("demo", "--out", str(out), "--show")
    assert shown.returncode == 0
    assert shown.stdout.strip() in said
