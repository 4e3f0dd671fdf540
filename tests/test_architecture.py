"""The package's shape: who imports whom, what is never called, and what `import orch_nb` costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "orch_nb"


class Import(NamedTuple):
    """One import of one of our own modules: who (dotted, without the package), whom, where."""

    who: str
    whom: str
    line: int


# ------------------------------------------------------------------------------------------------------------ reading
@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package, parsed: dotted name without the package -> tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports_of(module: str, tree: ast.Module) -> list[Import]:
    """Our own modules that `module` imports anywhere in it."""
    out: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out += [Import(module, a.name[8:], node.lineno) for a in node.names if a.name.startswith("orch_nb.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "orch_nb":
            whole = [f"{node.module}.{a.name}"[8:] for a in node.names]
            out += [Import(module, name if name in trees() else str(node.module)[8:], node.lineno) for name in whole]
    return out


@cache
def layers() -> list[tuple[list[str], bool]]:
    """The rows of ARCHITECTURE.md's block: packages in order, and whether they are strangers to each other."""
    page = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"```layers\n(.*?)```", page, re.DOTALL)
    assert block, "ARCHITECTURE.md has no ```layers block"
    rows = []
    for line in block[1].splitlines():
        names = re.match(r"\w+(?: [<|] \w+)*", line)
        assert names, line
        rows.append((re.split(r" [<|] ", names[0]), "|" in names[0]))
    return rows


def place(package: str) -> tuple[int, int]:
    """Row and position of a package in the table."""
    for row, (names, _) in enumerate(layers()):
        if package in names:
            return row, names.index(package)
    raise AssertionError(f"`{package}` is in no layer of ARCHITECTURE.md")


def may_import(who: str, whom: str) -> bool:
    """Return if the table lets package `who` import package `whom`."""
    if who == whom:
        return True
    (row, at), (other_row, other_at) = place(who), place(whom)
    if row == other_row:
        return not layers()[row][1] and other_at < at
    return other_row < row


# ------------------------------------------------------------------------------------------------------------- layers
def test_every_package_has_a_layer() -> None:
    """ARCHITECTURE.md lists exactly the packages there are."""
    there = {name.split(".")[0] for name in trees() if name} - {"__main__"}
    listed = {name for names, _ in layers() for name in names}
    assert there == listed


def test_imports_follow_the_layers() -> None:
    """No module imports a package that its layer may not: not inside a function either, nor for type checkers."""
    wrong = [
        f"orch_nb/{found.who.replace('.', '/')}.py:{found.line} imports {found.whom}"
        for module, tree in trees().items()
        if module
        for found in imports_of(module, tree)
        if not may_import(module.split(".")[0], found.whom.split(".")[0])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """All imports, those inside functions and for type checkers too, leave an order in which each module knows only earlier ones."""
    imports = {
        module: {found.whom for found in imports_of(module, tree)} - {module} for module, tree in trees().items()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


def test_every_view_draws_a_class_that_is_there() -> None:
    """`@draws("module.Class")` names a class; a figure or bundle of a renamed class would be missed only when it is shown."""
    named = {
        (module, str(ast.literal_eval(call.args[0])))
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "draws"
    }
    assert len(named) > 10
    for _, name in named:
        module, _, cls = name.rpartition(".")
        assert isinstance(getattr(import_module(module), cls), type), name


@pytest.mark.parametrize("page", ["orch_nb/ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_a_page_names_files_that_are_there(page: str) -> None:
    """Each path in backticks is a file or a folder of the package or of the repository."""
    paths = re.findall(r"`([\w./]+(?:\.py|\.md|\.toml|\.ts|/))`", (ROOT / page).read_text(encoding="utf-8"))
    assert len(paths) > 5
    missing = [p for p in paths if "PACKAGE" not in p and not (PACKAGE / p).exists() and not (ROOT / p).exists()]
    assert not missing


def test_the_engine_knows_no_library() -> None:
    """`engine` imports nothing but the standard library and the layers above it."""
    allowed = set(sys.stdlib_module_names) | {"orch_nb", "__future__"}
    wrong = [
        f"{module}: {name}"
        for module, tree in trees().items()
        if module.split(".")[0] == "engine"
        for node in ast.walk(tree)
        for name in _top_level_names(node)
        if name not in allowed
    ]
    assert not wrong, wrong


def _top_level_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name.split(".")[0] for a in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    return []


# ---------------------------------------------------------------------------------------------------------- forbidden
NEVER_IMPORTED = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "nest_asyncio"}
NEVER_CALLED = {"eval", "exec", "__import__"}
NEVER_ATTRIBUTE = {("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("os", "system"), ("os", "popen")}
NEVER_KEYWORD = {("shell", True), ("verify", False), ("allow_pickle", True)}


def dangers(tree: ast.Module) -> list[str]:
    """Calls by which text becomes code, or a check is switched off."""
    out = []
    for node in ast.walk(tree):
        out += [f"{node.lineno}: import {name}" for name in _top_level_names(node) if name in NEVER_IMPORTED]  # type: ignore[attr-defined]
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in NEVER_CALLED:
            out.append(f"{node.lineno}: {node.func.id}()")
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            if (node.func.value.id, node.func.attr) in NEVER_ATTRIBUTE:
                out.append(f"{node.lineno}: {node.func.value.id}.{node.func.attr}()")
        for keyword in node.keywords:
            if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in NEVER_KEYWORD:
                out.append(f"{node.lineno}: {keyword.arg}={keyword.value.value}")
    return out


def test_text_never_becomes_code() -> None:
    """No pickle, eval, exec, shell=True, verify=False or unsafe YAML anywhere in the package."""
    wrong = [f"{module}:{danger}" for module, tree in trees().items() for danger in dangers(tree)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "exec(x)",
        "yaml.load(x)",
        "run(x, shell=True)",
        "Client(verify=False)",
    ],
)
def test_the_lint_itself_sees(line: str) -> None:
    """Each forbidden form is found, so that the test above cannot pass by blindness."""
    assert dangers(ast.parse(line))


def test_no_failure_is_swallowed() -> None:
    """No handler of Exception (or of everything) has an empty body."""
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
    ]
    assert not wrong, wrong


def test_every_module_says_what_it_is() -> None:
    """Every module begins with a docstring."""
    assert [name for name, tree in trees().items() if not ast.get_docstring(tree)] == []


COMMITTED = [".py", ".toml", ".md", ".ipynb", ".csv", ".json", ".jsonl"]
PLACES = re.compile(
    "|".join(
        (
            "/wo" + r"rk/(main|shared|\.lib)",
            "/tm" + "p/probe",
            "/ho" + r"me/[a-z]+/",
            "pypi" + r"\.org",
            "files\\.python" + "hosted",
        )
    )
)


def test_no_place_of_one_machine_is_committed() -> None:
    """No file names a path of one machine or the host of a package registry."""
    skipped = {
        ".git",
        ".venv",
        ".orch",
        "build",
        "dist",
        "node_modules",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
    }
    files = [
        path
        for path in ROOT.rglob("*")
        if (path.suffix in COMMITTED or path.name in {"Makefile", "run"})
        and not skipped & set(path.relative_to(ROOT).parts)
        if path.is_file()
    ]
    assert len(files) > 20
    wrong = [f"{p.relative_to(ROOT)}: {m[0]}" for p in files if (m := PLACES.search(p.read_text(encoding="utf-8")))]
    assert not wrong, wrong


# ------------------------------------------------------------------------------------------------------------- import
HEAVY = [
    "IPython",
    "ipywidgets",
    "networkx",
    "matplotlib",
    "httpx",
    "numpy",
    "pandas",
    "onnxruntime",
    "xllamacpp",
    "genai_prices",
]


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    """`import orch_nb` loads no notebook, drawing, network or number library."""
    assert _python(f"import orch_nb, sys; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_import_is_quick() -> None:
    """`import orch_nb` costs less than 100 ms over the bare interpreter (best of five)."""
    code = "import time; t = time.perf_counter(); import orch_nb; print(time.perf_counter() - t)"
    assert min(float(_python(code)) for _ in range(5)) < 0.1


def test_public_names_resolve_and_are_described() -> None:
    """Each name of `orch_nb.__all__` resolves, is listed by dir() and has a docstring; about fifty are not errors."""
    import orch_nb

    names = orch_nb.__all__
    from orch_nb import errors

    assert 20 <= len([n for n in names if not hasattr(errors, n)]) <= 55
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(orch_nb))
    undescribed = [n for n in names if n != "__version__" and not (getattr(orch_nb, n).__doc__ or "").strip()]
    assert not undescribed


def test_public_methods_are_described() -> None:
    """Every public method and property of every public class says what it does."""
    import inspect

    import orch_nb

    mute = []
    for name in orch_nb.__all__:
        thing = getattr(orch_nb, name)
        if not inspect.isclass(thing):
            continue
        for attribute, value in vars(thing).items():
            described = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
            if described and not attribute.startswith("_") and not inspect.getdoc(getattr(thing, attribute)):
                mute.append(f"{name}.{attribute}")
    assert not mute


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name of the package raises AttributeError, as for any module."""
    import orch_nb

    with pytest.raises(AttributeError):
        orch_nb.Grahp  # noqa: B018


def test_the_version_stands_in_one_place() -> None:
    """`orch_nb.__version__` is the version of pyproject.toml."""
    import tomllib

    import orch_nb

    assert orch_nb.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
