"""The README's cells and Python run unchanged, in the order of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.notebook.conftest import shell  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """One fenced block: its language and what it holds."""

    language: str
    code: str

    @property
    def is_cell(self) -> bool:
        """Return if a notebook runs it: Python, or lines of our magics."""
        return self.language == "python" or "%orch" in self.code or self.code.startswith("%%")


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)]


def test_every_block_is_a_cell_or_a_command_of_make() -> None:
    """No block is of a kind that the tests below do not run."""
    assert len([block for block in BLOCKS if block.is_cell]) >= 6
    others = [block for block in BLOCKS if not block.is_cell]
    assert all(line.startswith("make ") for block in others for line in block.code.splitlines())


def test_the_cells_run_in_order_on_a_free_model(shell) -> None:  # noqa: F811
    """A reader who types the README into a notebook gets a budget, a quote, and two runs that are done."""
    shell.good("%orch models set small=echo")
    results = []
    for block in BLOCKS:
        if block.is_cell:
            shell.good(block.code)
            results.append(getattr(shell.names.get("run"), "status", ""))
    assert results[-1] == "done"
    assert results.count("done") >= 2
    assert shell.names["run"].result() == "Answer this billing question:  My payment failed"
    assert "0.50" in shell.good("%orch budget").text


@pytest.mark.parametrize("number", [n for n, b in enumerate(BLOCKS) if "run_sync" in b.code])
def test_the_python_runs_as_a_script(number: int, tmp_path: Path) -> None:
    """The Python example needs no notebook."""
    setup = "import orch_nb\norch_nb.models().set(small='echo')\n"
    script = tmp_path / "readme.py"
    script.write_text(setup + BLOCKS[number].code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Answer this billing question:  My payment failed\n"
