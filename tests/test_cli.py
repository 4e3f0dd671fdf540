"""``orch``: each command is one call of the Python API, and says in two lines what it could not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import nbformat
import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.cli import main
from orch_nb.runtime.batch import start_batch
from orch_nb.runtime.runtime import Runtime

MODULE = """
import pathlib
def first(x):
    return x + 1
def second(first):
    if not pathlib.Path("mended").exists():
        raise ValueError("not yet")
    return first * 10
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a store that holds one failed run of a module's functions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(MODULE)
    import runpy

    space = runpy.run_path("steps.py")
    runtime = Runtime(tmp_path)
    before = current_runtime.use(runtime)
    run = orch.run_sync(orch.Graph("g").chain("first", "second"), namespace=space, x=1)
    assert run.status == "failed"
    runtime.close()
    current_runtime.use(before)
    return tmp_path


def test_runs_lists_what_is_in_the_store(folder, capsys):
    """Id, graph, status and dollars of each run, newest first."""
    assert main(["runs"]) == 0

    said = capsys.readouterr().out
    assert "failed" in said
    assert "g" in said.split()


def test_show_prints_a_run_with_its_steps(folder, capsys):
    """The same text as the notebook's text twin."""
    assert main(["show", "1"]) == 0

    said = capsys.readouterr().out
    assert "first" in said
    assert "not yet" in said


def test_resume_goes_on_with_the_functions_of_a_module(folder, capsys):
    """Recorded steps are reused; the failed step runs again."""
    (folder / "mended").touch()
    assert main(["resume", "1", "--module", "steps.py"]) == 0
    assert "done" in capsys.readouterr().out


def test_export_writes_json_lines(folder, capsys):
    """Every event as one line of JSON, the first of them the run's beginning."""
    assert main(["export", "1"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) >= 4
    assert "run_started" in json.dumps(lines[0])


def test_a_batch_is_listed_and_shown_with_what_its_rows_cost(tmp_path, monkeypatch, capsys):
    """`orch runs` and `orch show` show the sum of the rows, which have no lines of their own."""
    monkeypatch.chdir(tmp_path)
    with closing(Runtime(tmp_path)) as runtime:
        runtime.add_provider(orch.ScriptedProvider(lambda request: "ok", name="vendor"))
        runtime.models.add("m", "model-1", "vendor", price={"per_call": "0.25"})
        agent = orch.Agent("a", "Say {{ x }}", model="m", max_tokens=10)
        made = start_batch(runtime, agent, [{"x": "1"}, {"x": "2"}]).wait()
        assert made.spent_usd == 0.5
    assert main(["runs"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:4] == ["1", "a", "done", "$0.50"]
    assert main(["show", "1"]) == 0
    assert "$0.5000" in capsys.readouterr().out


def test_an_unknown_run_is_said_in_two_lines(folder, capsys):
    """Exit code 1, the error's name and code, no traceback."""
    assert main(["show", "99"]) == 1

    said = capsys.readouterr().err
    assert "RunNotFound [ORCH602]" in said
    assert "Traceback" not in said


def test_check_finds_what_is_wrong_in_a_notebook_without_running_it(tmp_path, capsys):
    """Agents and graphs of a notebook's cells are parsed; the cell, the line and the fix are named."""
    cells = ["%%agent a --modl small\nSay {{ x }}", "%%graph g\na -> -> b", "1/0", "%%agent fine\nSay {{ x }}"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook, path)
    assert main(["check", str(path)]) == 1

    said = capsys.readouterr().out
    assert "cell 1" in said
    assert "model" in said
    assert "cell 2" in said
    assert "2 problem(s)" in said


def test_models_lists_names_prices_and_where_they_run(capsys):
    """The command shows the model of every name, without a key and without a store."""
    assert main(["models"]) == 0

    assert "echo" in capsys.readouterr().out


def test_the_folder_is_the_environments_where_none_is_given(folder, tmp_path_factory, monkeypatch, capsys):
    """ORCH_STORE names the store of `orch` as it does that of a notebook; `--folder` is stronger."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("ORCH_STORE", str(folder))
    assert main(["runs"]) == 0
    assert "failed" in capsys.readouterr().out
    assert main(["runs", "--folder", "."]) == 0
    assert capsys.readouterr().out == "no runs in this store\n"


def test_doctor_names_packages_keys_and_the_store_and_shows_no_key(tmp_path):
    """It says what is installed, which variables have a key and whether the store opens; a key's text is not printed."""
    environment = {**os.environ, "OPENAI_API_KEY": "sk-" + "q" * 40}
    done = subprocess.run(
        [sys.executable, "-m", "orch_nb.cli", "doctor"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("Python", "jupyterlab", "OPENAI_API_KEY", "0 runs"):
        assert words in done.stdout
    assert "qqqq" not in done.stdout


def test_a_limit_of_runs_is_a_whole_number_from_one(tmp_path):
    """`orch runs --limit 0` is refused by what it must be."""
    done = subprocess.run(
        [sys.executable, "-m", "orch_nb.cli", "runs", "--limit", "0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert "must be a whole number from 1, got '0'" in done.stderr
