"""What is installed is what is needed: the wheel's contents, the two commands' files, and the declared dependencies."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel that `pip install .` would make, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True, timeout=50)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


def test_the_wheel_has_what_orch_demo_needs(wheel: zipfile.ZipFile) -> None:
    """From a wheel alone the demo has its notebook and data, the embeddings their vocabulary, and types are shipped."""
    names = set(wheel.namelist())
    for name in (
        "orch_nb/_demo/00_quickstart.ipynb",
        "orch_nb/_demo/data/banking77_sample.csv",
        "orch_nb/_demo/data/README.md",
        "orch_nb/providers/data/bert_uncased_vocab.txt.gz",
        "orch_nb/py.typed",
        "orch_nb/ARCHITECTURE.md",
        f"orch_nb-{PROJECT['version']}.dist-info/licenses/LICENSE",
    ):
        assert name in names


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No test, cache or run of ours is shipped, and the wheel stays small."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    front = f"orch_nb-{PROJECT['version']}.data"
    assert tops == {"orch_nb", front, f"orch_nb-{PROJECT['version']}.dist-info"}
    assert {n.split("/")[4] for n in wheel.namelist() if n.startswith(f"{front}/")} == {"labextensions"}
    assert not [n for n in wheel.namelist() if ".orch/" in n or "__pycache__" in n or n.endswith(".pyc")]
    assert sum(info.compress_size for info in wheel.infolist()) < 1_500_000


def test_every_import_is_declared() -> None:
    """Each third-party package that orch_nb imports is a dependency or in an extra of pyproject.toml."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for name in extras for line in extras[name])]
    declared = {re.split(r"[<>=!~;\[ ]", line)[0].lower().replace("-", "_") for line in lines}
    spelled = {"yaml": "pyyaml", "IPython": "ipython"}
    come_along = {
        "traitlets": "ipython",
        "nbformat": "jupyterlab",
        "nbclient": "jupyterlab",
        "nbconvert": "jupyterlab",
        "PIL": "matplotlib",
        "comm": "ipykernel",
    }
    used = set()
    for path in (ROOT / "orch_nb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            used |= {name.split(".")[0] for name in names}
    foreign = used - set(sys.stdlib_module_names) - {"orch_nb", "msvcrt"}
    lost = {n for n in foreign if spelled.get(n, come_along.get(n, n)).lower() not in declared}
    assert not lost


def test_installed_versions_satisfy_what_is_declared() -> None:
    """The environment that runs these tests is one that pyproject.toml allows."""
    from packaging.requirements import Requirement

    for line in PROJECT["dependencies"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(metadata.version(wanted.name), prereleases=True), line


@pytest.mark.parametrize(
    "target", ["demo", "lab", "test", "check", "coverage", "snapshots", "tidy", "bench", "install", "model", "clean"]
)
def test_the_makefile_knows(target: str) -> None:
    """Every command that the README and CI use is a target that make can plan."""
    make = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert make.returncode == 0, make.stderr


def test_ci_runs_check_and_test() -> None:
    """.ci/run is executable, stops at the first failure and runs `make check` and `make test`."""
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    checks = text.index("make --no-print-directory --jobs 2 check")
    assert checks < text.index("make --no-print-directory coverage") < text.index("make --no-print-directory test")


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    """The README has 400 to 700 words, and every file that it links to exists."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 400 <= len(text.split()) <= 700
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]
