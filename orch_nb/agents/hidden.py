"""Inputs that a function takes without declaring them: the clock, chance, the network, files, the environment.

A node that has one may give another result for equal reads, so that reusing its result would be wrong without anyone
noticing. They are found in the syntax tree, by what the names really refer to, and warned of.
"""

from __future__ import annotations

import ast
import inspect
import types
from typing import TYPE_CHECKING, Any

from orch_nb.agents.source import _CannotHash, _loaded_names, normal_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE = {
    "random": "chance", "secrets": "chance", "uuid": "chance", "numpy.random": "chance", "requests": "the network",
    "httpx": "the network", "aiohttp": "the network", "socket": "the network", "urllib.request": "the network",
    "http.client": "the network", "smtplib": "the network", "subprocess": "another program", "tempfile": "files",
    "shutil": "files", "glob": "files",
}  # fmt: skip
"""Modules of which every use counts."""

CALLS = {
    "time.time": "the clock", "time.monotonic": "the clock", "time.perf_counter": "the clock", "time.time_ns": "the clock",
    "time.localtime": "the clock", "time.gmtime": "the clock", "time.strftime": "the clock",
    "datetime.datetime.now": "the clock", "datetime.datetime.utcnow": "the clock", "datetime.datetime.today": "the clock",
    "datetime.date.today": "the clock", "os.environ": "the environment", "os.getenv": "the environment",
    "os.urandom": "chance", "os.listdir": "files", "os.scandir": "files", "os.getcwd": "the environment",
    "builtins.open": "files", "io.open": "files", "builtins.input": "the keyboard", "pandas.read_csv": "files",
    "pandas.read_excel": "files", "pandas.read_parquet": "files", "pandas.read_sql": "a database", "sqlite3.connect": "a database",
}  # fmt: skip
"""Single names that count, by their full name."""

METHODS = {
    "read_text": "files",
    "read_bytes": "files",
    "write_text": "files",
    "write_bytes": "files",
    "iterdir": "files",
}
"""Methods whose names say enough, whatever they are called on."""

SEEDED = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "uuid.UUID", "uuid.uuid5", "uuid.uuid3"}
)
"""Of the modules above what gives the same for the same arguments (a seed, a name)."""


def hidden_inputs(fn: Callable[..., Any]) -> tuple[str, ...]:
    """One sentence for each hidden input, of the function and of the notebook's functions it calls; () for none.

    What cannot be read (no source) gives nothing: such a function has no hash either, and is never reused.
    """
    found: dict[str, None] = {}
    seen: set[int] = set()
    stack: list[Any] = [inspect.unwrap(fn)]
    while stack:
        got = stack.pop()
        if not isinstance(got, types.FunctionType) or id(got) in seen:
            continue
        seen.add(id(got))
        for name, what, line in _uses(got):
            found[f"`{got.__name__}` uses `{name}` (line {line}): {what} is an input that it does not declare."] = None
        stack.extend(_neighbours(got))
    return tuple(found)


def _neighbours(fn: types.FunctionType) -> Iterator[Any]:
    for name in sorted(_loaded_names(fn.__code__)):
        got = fn.__globals__.get(name)
        if isinstance(got, types.FunctionType) and got.__module__ == fn.__module__:
            yield got


def _uses(fn: types.FunctionType) -> Iterator[tuple[str, str, int]]:
    try:
        tree = normal_tree(fn)
    except _CannotHash:
        return
    local = set(fn.__code__.co_varnames)
    imported = dict(_imports(tree))
    inner: set[int] = set()
    seeded = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call) and (n.args or n.keywords)}
    for part in ast.walk(tree):
        if id(part) in inner or not isinstance(part, ast.Attribute | ast.Name):
            continue
        if _is_dotted(part):
            inner.update(id(p) for p in ast.walk(part) if p is not part)
        written = ast.unparse(part)
        method = METHODS.get(part.attr) if isinstance(part, ast.Attribute) else None
        full = "" if method or not _is_dotted(part) else _full_name(written, fn, local, imported)
        what = method or CALLS.get(full) or _of_module(full)
        if what and not (full in SEEDED and id(part) in seeded):
            yield written, what, getattr(part, "lineno", 0)


def _is_dotted(part: ast.AST) -> bool:
    while isinstance(part, ast.Attribute):
        part = part.value
    return isinstance(part, ast.Name)


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            for alias in part.names:
                yield (
                    (alias.asname or alias.name.partition(".")[0]),
                    (alias.name if alias.asname else alias.name.partition(".")[0]),
                )
        elif isinstance(part, ast.ImportFrom):
            for alias in part.names:
                yield alias.asname or alias.name, f"{part.module}.{alias.name}"


def _full_name(written: str, fn: types.FunctionType, local: set[str], imported: dict[str, str]) -> str:
    head, _, rest = written.partition(".")
    if head in imported:
        base = imported[head]
    elif head in local:
        return ""
    elif head in fn.__globals__:
        base = _name_of(fn.__globals__[head])
    else:
        base = f"builtins.{head}"
    return f"{base}.{rest}" if rest and base else base


def _name_of(got: Any) -> str:
    if isinstance(got, types.ModuleType):
        return got.__name__
    owner = getattr(got, "__self__", None)
    if (
        isinstance(got, types.MethodType | types.BuiltinMethodType)
        and owner is not None
        and not isinstance(owner, types.ModuleType)
    ):
        cls = (
            owner if isinstance(owner, type) else type(owner)
        )  # `from random import choice` is a method of an instance
        return f"{cls.__module__}.{cls.__qualname__ if isinstance(owner, type) else ''}.{got.__name__}".replace(
            "..", "."
        )
    module, name = getattr(got, "__module__", None), getattr(got, "__qualname__", None)
    if module and name:
        return f"{'io' if module == '_io' else module}.{name}"
    return "os.environ" if type(got).__qualname__ == "_Environ" else ""


def _of_module(full: str) -> str:
    parts = full.split(".")
    for n in range(len(parts), 0, -1):
        what = WHOLE.get(".".join(parts[:n]))
        if what and n < len(parts):
            return what
    return ""
