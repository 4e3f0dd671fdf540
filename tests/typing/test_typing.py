"""The public names as a user's type checker sees them: frozen in `public.txt`, and tried on the code of `user_code.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import orch_nb

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PUBLIC = HERE / "public.txt"

UNTYPED_RESULTS: set[str] = set()
"""Public functions whose result is `Any`, or a list of it. They become fewer, never more."""
MOST_UNTYPED_LINES = 3
"""Lines of `user_code.py` that say ``# untyped``. They become fewer, never more."""

pytestmark = pytest.mark.timeout(600)  # a first run of mypy reads the whole package


def mypy(*files: Path) -> str:
    """Check these files as strictly as our own; the messages of mypy."""
    made = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--no-error-summary", "--no-color-output", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not made.stderr, made.stderr
    return made.stdout


@pytest.fixture(scope="module")
def revealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public name -> its type, without the modules in which the types lie."""
    file = tmp_path_factory.mktemp("typing") / "revealing.py"
    names = [name for name in orch_nb.__all__ if name != "__version__"]
    file.write_text("import orch_nb\n" + "".join(f"reveal_type(orch_nb.{name})\n" for name in names), encoding="utf-8")
    types = re.findall(r'revealing\.py:\d+: note: Revealed type is "(.*)"', mypy(file))
    return {name: re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", kind) for name, kind in zip(names, types, strict=True)}


def test_code_of_a_user_is_typed() -> None:
    """A user's file is checked as strictly as our own, and each value in it has the type beside it."""
    file = HERE / "user_code.py"
    assert mypy(file) == ""
    assert file.read_text(encoding="utf-8").count("  # untyped\n") <= MOST_UNTYPED_LINES


def test_every_public_name_is_typed(revealed: dict[str, str]) -> None:
    """No public name is `Any`, and no more functions than were known give `Any`."""
    assert [name for name, kind in revealed.items() if kind == "Any"] == []
    untyped = re.compile(r"-> (?:Coroutine\[Any, Any, )?(?:list\[)?Any\]*$")
    assert {name for name, kind in revealed.items() if untyped.search(kind)} == UNTYPED_RESULTS


def test_a_name_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """A misspelt public name is found by the checker, not at run time."""
    file = tmp_path / "misspelt.py"
    file.write_text("import orch_nb\norch_nb.Agnet\n", encoding="utf-8")
    assert "has no attribute" in mypy(file)


def test_the_public_surface_is_what_it_was(revealed: dict[str, str], request: pytest.FixtureRequest) -> None:
    """Names, parameters and results of the public surface are those of the committed list, one a line."""
    text = "".join(f"{name}: {kind}\n" for name, kind in revealed.items())
    if request.config.getoption("--snapshot-update"):
        PUBLIC.write_text(text, encoding="utf-8")
    assert PUBLIC.read_text(encoding="utf-8") == text
