"""The kernel's behaviour on clicks and interrupts changed between minor versions: all of them are run."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

VERSIONS = ("7.1.0", "7.3.0", "7.4.0")
ROOT = Path(__file__).resolve().parents[2]


def installed(version: str) -> Path:
    """A folder with this ipykernel and nothing else, filled once (build/ is git-ignored); it goes first on the path."""
    folder = ROOT / "build" / "kernels" / version
    if not (folder / "ipykernel").is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(folder),
            f"ipykernel=={version}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"ipykernel {version} cannot be installed here: {done.stderr.strip().splitlines()[-1][:200]}")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("version", [v for v in VERSIONS if v != importlib.metadata.version("ipykernel")])
def test_every_promise_holds_on_this_kernel(version):
    """Display, Stop, background, people and completion: the kernel tests pass on each supported ipykernel."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed(version)), str(ROOT)]), "ORCH_IPYKERNEL": version}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(ROOT / "tests/notebooks/test_kernel.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
