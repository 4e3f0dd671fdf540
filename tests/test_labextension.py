"""The committed build of the front end is the one that its sources make, small, and installed where JupyterLab looks."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "labextension"
BUILT = ROOT / "orch_nb" / "labextension"
MAX_BYTES = 120_000


def stamp() -> str:
    """The hash over the sources' names and contents, as labextension/stamp.mjs computes it."""
    paths = ["bundle.config.cjs", "package.json", "tsconfig.json", "yarn.lock"]
    for folder in ("src", "style"):
        paths += [p.relative_to(SOURCES).as_posix() for p in (SOURCES / folder).rglob("*") if p.is_file()]
    made = hashlib.sha256()
    for path in sorted(set(paths) - {"src/stamp.ts"}):
        text = (SOURCES / path).read_text(encoding="utf-8").replace("\r\n", "\n")
        made.update(f"{path}\0{text}\0".encode())
    return made.hexdigest()


def scripts() -> str:
    """Everything of the build that a browser runs."""
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted((BUILT / "static").glob("*.js")))


def test_the_build_is_of_these_sources() -> None:
    """Whoever changes labextension/ and forgets `make labextension` is told."""
    sealed = json.loads((BUILT / "stamp.json").read_text(encoding="utf-8"))
    assert sealed == {"sources": stamp()}, "the sources changed: run `make labextension` and commit the result"
    assert stamp()[:12] in scripts()


def test_the_build_is_small_and_whole() -> None:
    """The committed files stay under 120 kB, and the entry that package.json names is among them, once."""
    files = [p for p in BUILT.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < MAX_BYTES
    built = json.loads((BUILT / "package.json").read_text(encoding="utf-8"))["jupyterlab"]["_build"]
    assert (BUILT / built["load"]).is_file()
    assert {built["extension"], built["mimeExtension"]} == {"./extension", "./mimeExtension"}
    assert len(list((BUILT / "static").glob("remoteEntry.*.js"))) == 1
    entry = (BUILT / built["load"]).read_text(encoding="utf-8")
    assert entry.startswith("var _JUPYTERLAB;"), "the name that JupyterLab finds the entry by was not made shorter"
    assert not list(BUILT.rglob("*.map"))
    assert ".orch-panel{" in scripts(), "the style sheet is in it"


def test_versions_and_licence_agree() -> None:
    """Front end and Python are released together: same version, same licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package in (SOURCES / "package.json", BUILT / "package.json"):
        data = json.loads(package.read_text(encoding="utf-8"))
        assert (data["name"], data["version"], data["license"]) == (
            "@orch-nb/labextension",
            project["version"],
            project["license"],
        )


def test_the_build_goes_where_jupyterlab_looks() -> None:
    """The wheel puts the build into share/jupyter/labextensions under its name, by plain data files: no hook, no node."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    place = "share/jupyter/labextensions/@orch-nb/labextension"
    assert wheel["shared-data"] == {"orch_nb/labextension": place, "labextension/install.json": f"{place}/install.json"}
    assert "hooks" not in wheel


def test_views_make_nothing_but_text_of_data() -> None:
    """The sources of the views know no HTML parser, no evaluation, no address and no clock of their own."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|DOMParser|document\.write|\beval\b|new Function|\bfetch\(|XMLHttpRequest|"
        r"WebSocket|\.href\b|\.src\b|location\.|localStorage|Math\.random"
    )
    for path in (SOURCES / "src").rglob("*.ts"):
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found and found[0]}"


def test_layers_of_the_front_end() -> None:
    """The model imports nothing but itself, views only model and views; the host is known to mime.ts and the plugins."""
    for path in (SOURCES / "src").rglob("*.ts"):
        layer = path.parent.name
        for name in re.findall(r"from '([^']+)'", path.read_text(encoding="utf-8")):
            if layer == "model":
                assert name.startswith("./"), f"{path.name} imports {name}"
            if layer == "view":
                assert name.startswith(("./", "../model/")), f"{path.name} imports {name}"
    index = (SOURCES / "src" / "index.ts").read_text(encoding="utf-8")
    assert "function" not in index
    assert "document" not in "".join(p.read_text(encoding="utf-8") for p in (SOURCES / "src" / "model").glob("*.ts"))


def test_no_host_of_a_registry_is_committed() -> None:
    """The lock file names packages and checksums; where they come from is each machine's own matter."""
    for name in ("yarn.lock", "package.json", ".yarnrc.yml"):
        assert "://" not in (SOURCES / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_views_own_tests_pass() -> None:
    """The unit tests of model and views pass under node's own test runner (where labextension/node_modules is)."""
    node, compiler = shutil.which("node"), SOURCES / "node_modules" / "typescript" / "bin" / "tsc"
    if node is None or not compiler.is_file():
        pytest.skip("node or labextension/node_modules is not here: `make labextension-test`")
    subprocess.run([node, "stamp.mjs", "write"], cwd=SOURCES, check=True, timeout=20)
    subprocess.run([node, compiler, "-p", "tsconfig.test.json"], cwd=SOURCES, check=True, timeout=50)
    made = subprocess.run(
        [node, "--test", "build-test/test/"], cwd=SOURCES, capture_output=True, text=True, timeout=50, check=False
    )
    assert made.returncode == 0, made.stdout[-3000:]
