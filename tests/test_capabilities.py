"""Every capability that is claimed names what shows it; what is named exists, and ran.

`capabilities.toml`: id (a number of the checklist, or P and a number of the parity list) -> one sentence and its evidence,
each a pytest node id (without parameters: any of them) or ``notebooks/NAME.ipynb#TAG``, a tagged cell of a notebook that
the suite executes. This file runs last (tests/conftest.py), so that it can see how the evidence fared.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OUTCOMES

ROOT = Path(__file__).resolve().parents[1]
CAPABILITIES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "capabilities.toml").read_text(encoding="utf-8")
)

ISSUE_2 = {
    *map(str, (1, 2, 3, 5, 6, 7, 8, 9, 14, 15, 25, 26, 27, 73, 79, 80, 85, 89, 91, 92, 93, 106, 113, 133, 134, 143, 144, 145)),
    *map(str, (161, 162, 164, 166, 167, 168, 188)),
    *(f"P{n}" for n in (1, 2, 3, 4, 10, 11, 14, 16)),
}  # fmt: skip
"""What must be claimed by now. Later issues add theirs."""


def evidence() -> list[tuple[str, str]]:
    """Every (capability, evidence) there is."""
    return [(name, proof) for name, entry in CAPABILITIES.items() for proof in entry["evidence"]]


def _ids(request: pytest.FixtureRequest) -> list[str]:
    """Return the ids of this session's tests."""
    return [item.nodeid for item in request.session.items]


@pytest.fixture(scope="module")
def collected(request: pytest.FixtureRequest) -> set[str]:
    """Every test's node id without parameters: of this session when it is the whole suite, else by collecting it."""
    here = {name.split("[")[0] for name in [*_ids(request), *request.config.stash[OUTCOMES]]}
    wanted = {proof for _, proof in evidence() if ".ipynb" not in proof}
    if wanted <= here:
        return here
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT, capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return {line.split("[")[0] for line in done.stdout.splitlines() if "::" in line}


def test_every_capability_is_whole() -> None:
    """Each entry has one sentence and at least one piece of evidence, and nothing else."""
    for name, entry in CAPABILITIES.items():
        assert set(entry) == {"shows", "evidence"}, name
        assert entry["shows"].endswith("."), name
        assert entry["evidence"], f"{name} has no evidence"
        assert len(set(entry["evidence"])) == len(entry["evidence"]), name


def test_what_this_release_owes_is_claimed() -> None:
    """Every item that the issues done so far owe is in the file."""
    assert set(CAPABILITIES) >= ISSUE_2, sorted(ISSUE_2 - set(CAPABILITIES))


def test_every_test_named_exists(collected: set[str]) -> None:
    """Each pytest node id is one that pytest collects."""
    lost = [f"{name}: {proof}" for name, proof in evidence() if ".ipynb" not in proof and proof not in collected]
    assert not lost, "\n".join(lost)


def test_every_cell_named_exists() -> None:
    """Each notebook cell is there, tagged, with code, and its saved run ended without an error."""
    for name, proof in evidence():
        if ".ipynb" not in proof:
            continue
        path, _, tag = proof.partition("#")
        cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
        tagged = [c for c in cells if tag in c["metadata"].get("tags", []) and c["cell_type"] == "code"]
        assert len(tagged) == 1, f"{name}: {proof}"
        assert all(out["output_type"] != "error" for out in tagged[0]["outputs"]), f"{name}: {proof}"


def test_the_evidence_passed(request: pytest.FixtureRequest) -> None:
    """Whatever evidence ran in this session passed; in the whole suite, each piece ran or says why it could not."""
    outcomes = request.config.stash[OUTCOMES]
    ran: dict[str, set[str]] = {}
    for nodeid, outcome in outcomes.items():
        ran.setdefault(nodeid.split("[")[0].split("::Cell")[0], set()).add(outcome)
    seen = {name.split("[")[0].split("::Cell")[0] for name in _ids(request)} | ran.keys()
    wrong = [
        f"{name}: {proof}: {', '.join(sorted(how)) or 'did not run'}"
        for name, proof in evidence()
        if proof.split("#")[0] in seen
        and not (how := ran.get(proof.split("#")[0], set())) & {"passed"}
        and not any(o.startswith("skipped") for o in how)
    ]
    failed = [f"{name}: {proof}" for name, proof in evidence() if "failed" in ran.get(proof.split("#")[0], set())]
    assert not wrong + failed, "\n".join(wrong + failed)
