"""Somebody else's store: read where it can be read, refused where it cannot, and never left silently for another one.

The superuser may do everything, so what is asked of the system is asked in processes of another user (`other_user`).
"""

from __future__ import annotations

import os
import runpy
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]
OTHER = 65534
"""The number of "nobody": a user without rights of its own."""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only the superuser can be two users"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, with our store of one run in it."""
    made = Path(tempfile.mkdtemp(prefix="orch-place-"))
    made.chmod(0o755)
    runtime = Runtime(made)
    before = current_runtime.use(runtime)
    (made / "steps.py").write_text("def first(x):\n    return x + 1\n")
    namespace = runpy.run_path(str(made / "steps.py"))
    run = orch.run_sync(orch.Graph("g").chain("first"), namespace=namespace, x=1)
    assert run.status == "done"
    runtime.close()
    current_runtime.use(before)
    (made / "state").mkdir()
    os.chown(made / "state", OTHER, OTHER)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def as_other(place: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python as the other user: ``as_other("runs")`` is `orch runs` in the place."""

    copy = tmp_path / "copy"
    shutil.copytree(place, copy)

    def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
        what = ["-c", code] if code else [*arguments]
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(place / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.unit.store.other_user", str(OTHER), str(place), str(copy), *what]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


def resume(place: Path) -> tuple[str, ...]:
    """Return the command that resumes the run."""
    return ("resume", "1", "--module", str(place / "steps.py"))


def opened(place: Path, folder: int = 0o755, file: int = 0o644) -> None:
    """Give our store these modes."""
    (place / ".orch").chmod(folder)
    (place / ".orch" / "runs.sqlite").chmod(file)


def files(folder: Path) -> dict[str, Any]:
    """Everything below a folder: content, owner, mode."""
    return {
        str(p.relative_to(folder)): (p.is_file() and p.read_bytes(), p.stat().st_uid, stat.S_IMODE(p.stat().st_mode))
        for p in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("verb", [("runs",), ("show", "1"), ("export", "1")], ids=lambda verb: verb[0])
@pytest.mark.parametrize("folder", [0o755, 0o777], ids=oct)
def test_somebody_elses_store_that_can_be_read_is_read(place, as_other, verb, folder):
    """Its runs are listed, shown and exported; whose it is, is said; and nothing is made or changed anywhere."""
    opened(place, folder)
    before = files(place)
    ran = as_other(*verb)
    assert ran.returncode == 0, ran.stderr
    assert "g" in ran.stdout
    assert f"{place}/.orch/runs.sqlite belongs to root" in ran.stderr
    assert files(place) == before


def test_what_would_write_to_somebody_elses_store_is_refused_with_where_a_new_one_would_lie(place, as_other):
    """`orch resume`, `Runtime.start`, a budget, a deletion: a typed error, exit code 1, and nothing in another folder."""
    opened(place)
    before = files(place)
    ran = as_other(*resume(place))
    assert ran.returncode == 1
    assert "StoreUnavailable [ORCH604]" in ran.stderr
    assert f"{place}/.orch/runs.sqlite belongs to root" in ran.stderr
    assert f"ORCH_STORE={place}/state/orch_nb/" in ran.stderr
    code = """
import runpy
from orch_nb.runtime.batch import start_batch
from orch_nb.errors import StoreUnavailable
from orch_nb.runtime.runtime import Runtime
rt = Runtime(place)
assert [row.graph for row in rt.runs(every_notebook=True)] == ["g"]
for write in (
    lambda: rt.start(lambda x: x, {"x": 1}), lambda: start_batch(rt, lambda x: x, [{"x": 1}]), lambda: rt.set_budget("1"),
    lambda: rt.store.delete("1"), lambda: rt.store.prune(keep_last=9), lambda: rt.reset_budget(), lambda: rt.resume("1", namespace=runpy.run_path(place + "/steps.py")),
    lambda: rt.store.rebuild_ledger(),
):
    try:
        write()
    except StoreUnavailable as error:
        assert "ORCH_STORE=" in error.hint, error.hint
    else:
        assert "copy" in place, "it was written to"
"""
    ran = as_other(code=code)
    assert ran.returncode == 0, ran.stderr
    assert files(place) == before


def test_the_place_that_a_refusal_names_works_when_it_is_typed(place, as_other):
    """`mkdir -p` and ORCH_STORE as the hint says: a store of one's own, where runs are made."""
    opened(place)
    hint = as_other(*resume(place)).stderr.partition("mkdir -p ")[2]
    own = hint.partition("`")[0]
    code = f"""
import os
own = place if "copy" in place else {own!r}
os.makedirs(own, exist_ok=True)
os.environ["ORCH_STORE"] = own
from orch_nb.runtime.runtime import Runtime
rt = Runtime()
assert rt.start(lambda x: x, {{"x": 1}}).wait(20).status == "done"
assert rt.notice == ""
"""
    ran = as_other(code=code)
    assert ran.returncode == 0, ran.stderr
    assert (Path(own) / ".orch" / "runs.sqlite").exists()


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o600), (0o700, 0o644)])
def test_a_store_that_cannot_be_read_is_refused_with_its_file_and_owner(place, as_other, folder, file):
    """ "no runs" would be false, and another folder would be somebody's surprise: exit code 1, and nothing is made."""
    opened(place, folder, file)
    before = files(place)
    for verb in (("runs",), ("show", "1"), resume(place)):
        ran = as_other(*verb)
        assert ran.returncode == 1
        assert ran.stdout == ""
        assert "StoreUnavailable [ORCH604]" in ran.stderr
        assert f"the store {place}/.orch/runs.sqlite of root cannot be read" in ran.stderr
    assert files(place) == before


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o600), (0o700, 0o400), (0o555, 0o400)])
def test_a_store_of_ones_own_that_cannot_be_written_is_read(place, as_other, folder, file):
    """A read-only folder or file (an archive): its runs are there, and a run says that it cannot be written."""
    for one in (place / ".orch", *(place / ".orch").iterdir()):
        os.chown(one, OTHER, OTHER)
    opened(place, folder, file)
    before = files(place)
    ran = as_other("runs")
    assert ran.returncode == 0, ran.stderr
    assert "g" in ran.stdout
    assert "cannot be written" in ran.stderr
    assert as_other(*resume(place)).returncode == 1
    assert files(place) == before


def test_the_runs_that_somebody_else_is_writing_are_read_as_they_stand(place, as_other):
    """While the owner's kernel writes a run, it is listed as running, with the events so far."""
    runtime = Runtime(place)
    log = runtime.store.create("nightly")
    from tests.contract.facts import started

    log.append([started("nightly", graph="g2")])
    for one in (place / ".orch").iterdir():
        one.chmod(0o644)
    (place / ".orch").chmod(0o755)
    ran = as_other("runs")
    assert ran.returncode == 0, ran.stderr
    assert "running" in ran.stdout
    assert "g2" in ran.stdout
    log.close()
    runtime.close()


def test_where_no_store_can_be_made_the_state_folder_is_said(place, as_other):
    """No store here, and none can be made: the user's own is used, and every command says which."""
    shutil.rmtree(place / ".orch")
    ran = as_other("runs")
    assert ran.returncode == 0, ran.stderr
    assert f"{place} cannot be written" in ran.stderr
    assert f"{place}/state/orch_nb/" in ran.stderr
