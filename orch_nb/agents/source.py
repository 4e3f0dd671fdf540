"""The hash of a function's behaviour: its own source, and all that it reaches in the notebook.

Hashed is the syntax tree without positions, comments and docstrings; then, transitively, the notebook's functions and
classes it uses, its defaults and closure, small globals of plain data, and the versions of the modules it uses. A module
without a version (a file beside the notebook) counts by its source.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import sys
import textwrap
import types
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from orch_nb.errors import UnstorableValue
from orch_nb.schema.canonical import canonical, digest, digest_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_GLOBAL_BYTES = 64 * 1024
MAX_MODULE_BYTES = 1_000_000
MAX_PARTS = 2_000
"""Objects that one function may reach before its hash is given up."""

OURS = frozenset({"node", "tool"})
"""Decorators whose options are part of the node's definition, and so not of its source."""

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_SIMPLE = (date, datetime, time, timedelta, PurePath, complex, range, types.NoneType)


class _CannotHash(Exception):
    """Why a function has no hash; never leaves this module."""


class SourceHash(NamedTuple):
    """A function's hash, or None and the reason why it has none."""

    hash: str | None
    why_not: str = ""


def function_fingerprint(fn: Callable[..., object]) -> SourceHash:
    """``(hash, "")``, or ``(None, why not)``: then the node runs every time.

    Comments, white space, docstrings, the function's own name and globals it does not use are not in the hash. What it
    uses is: other functions of the notebook and of local files, classes, defaults, closures, globals of plain data up to
    64 kB, module versions, Python's minor version.

    Notes
    -----
    O(source reached). Syntax trees are kept per function object, the values of globals are read again each time.
    """
    walk = _Walk()
    try:
        parts = walk.callable(fn)
    except _CannotHash as why:
        return SourceHash(None, str(why))
    return SourceHash(digest(["python", sys.version_info[:2], parts]))


def source_hash(fn: Callable[..., object]) -> str:
    """The hash of a function's code and of the code it uses, without the values of globals and closures; "" when there is none.

    What a resume compares: a changed counter in the notebook does not make another function.
    """
    walk = _Walk(values=False)
    try:
        parts = walk.callable(fn)
    except _CannotHash:
        return ""
    return digest(["source", sys.version_info[:2], parts])


class _Walk:
    """One walk over what a function reaches. An object met again is written as its number: cycles end."""

    def __init__(self, *, values: bool = True) -> None:
        self._values = values
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []

    def callable(self, fn: object) -> object:
        if isinstance(fn, partial):
            return [
                "partial",
                self.callable(fn.func),
                self.value(fn.args, "arguments"),
                self.value(fn.keywords, "arguments"),
            ]
        if isinstance(fn, types.MethodType):
            return ["method", self.callable(fn.__func__), self.value(fn.__self__, f"the object of `{fn.__name__}`")]
        if isinstance(fn, types.FunctionType):
            return self._once(fn, self._function)
        if isinstance(fn, type):
            return self._once(fn, self._class)
        if isinstance(fn, types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType):
            return ["builtin", f"{getattr(fn, '__module__', None) or 'builtins'}.{fn.__qualname__}"]
        return self.value(fn, f"`{type(fn).__name__}`")

    def _once(self, thing: object, write: Callable[[Any], object]) -> object:
        number = self._seen.get(id(thing))
        if number is not None:
            return ["again", number]
        if len(self._seen) >= MAX_PARTS:
            raise _CannotHash(f"it reaches more than {MAX_PARTS} functions and values")
        self._seen[id(thing)] = len(self._seen)
        self._alive.append(thing)  # an id is only unique while its object lives
        return write(thing)

    def _function(self, fn: types.FunctionType) -> object:
        installed = _installed_version(fn.__module__)
        if installed:
            return ["installed", installed, fn.__qualname__]
        parts: dict[str, object] = {"tree": _tree_digest(fn)}
        if fn.__defaults__ or fn.__kwdefaults__:
            where = f"a default of `{fn.__name__}`"
            parts["defaults"] = [self.value(fn.__defaults__, where), self.value(fn.__kwdefaults__, where)]
        parts["closure"] = {name: self.named(name, got) for name, got in _closure(fn)}
        used = _used_globals(fn)
        parts["globals"] = {name: self.named(name, got) for name, got in sorted(used.items())}
        return parts

    def _class(self, cls: type) -> object:
        installed = _installed_version(cls.__module__)
        if installed or cls.__module__ == "builtins":
            return ["class", installed or "builtins", cls.__qualname__]
        if issubclass(cls, Enum):
            return ["enum", [[m.name, self.value(m.value, f"`{cls.__name__}.{m.name}`")] for m in cls]]
        bases = [self.callable(base) for base in cls.__bases__]
        members = {name: self._member(cls, name, got) for name, got in sorted(vars(cls).items()) if _is_own(name)}
        fields = [[k, _annotation(v)] for k, v in inspect.get_annotations(cls).items()]
        return ["class", bases, members, fields, _json_schema(cls)]

    def _member(self, cls: type, name: str, got: object) -> object:
        if isinstance(got, staticmethod | classmethod):
            return [type(got).__name__, self.callable(got.__func__)]
        if isinstance(got, property):
            return ["property", *[self.callable(f) if f else None for f in (got.fget, got.fset, got.fdel)]]
        if isinstance(got, types.FunctionType) and not _has_source(got):
            return ["generated", got.__name__]  # dataclass and pydantic methods: follow from the fields
        if isinstance(got, types.MemberDescriptorType | types.GetSetDescriptorType):
            return "slot"
        return self.named(f"{cls.__name__}.{name}", got)

    def named(self, name: str, got: object) -> object:
        """Return what a name refers to, as data."""
        if isinstance(got, types.ModuleType):
            return ["module", _module_version(got)]
        if isinstance(got, types.FunctionType | types.MethodType | type | partial | types.BuiltinFunctionType):
            return self.callable(got)
        return self.value(got, f"the global `{name}`")

    def value(self, got: object, where: str) -> object:
        """Plain data and small well-known values, as data."""
        if not self._values and not isinstance(got, types.FunctionType | types.MethodType | type | partial):
            return "a value"
        if isinstance(got, _SIMPLE):
            return [type(got).__name__, repr(got)]
        if isinstance(got, tuple | list):
            return [type(got).__name__, *[self.value(v, where) for v in _limit_size(got, where)]]
        if isinstance(got, set | frozenset):
            return ["set", sorted((self.value(v, where) for v in _limit_size(got, where)), key=canonical)]
        if type(got) is dict:
            return ["dict", [[self.value(k, where), self.value(v, where)] for k, v in _limit_size(got, where).items()]]
        if callable(got) and isinstance(got, types.FunctionType | types.MethodType | type | partial):
            return self.callable(got)
        return self._leaf(got, where)

    def _leaf(self, got: Any, where: str) -> Any:
        own = getattr(got, "fingerprint_parts", None)
        if callable(own) and not isinstance(got, type):
            return [type(got).__name__, self._parts_of(own())]
        if isinstance(got, Enum):
            return ["member", type(got).__qualname__, got.name, self.value(got.value, where)]
        if type(got).__module__ == "re" and hasattr(got, "pattern"):
            return ["regex", got.pattern, got.flags]
        if isinstance(got, types.BuiltinFunctionType):
            return self.callable(got)
        if isinstance(got, Decimal | bytes | str | int | float | bool):
            return self._scalar(got, where)
        wrapped = getattr(got, "__wrapped__", None)  # functools.cache and its like
        if callable(wrapped):
            return ["wrapped", type(got).__name__, self.callable(wrapped)]
        if hasattr(type(got), "__dataclass_fields__") or hasattr(type(got), "model_fields"):
            return ["object", self.callable(type(got)), self.value(dict(vars(got)), where)]
        raise _CannotHash(f"{where} is a `{type(got).__name__}`, which cannot be hashed")

    def _parts_of(self, parts: object) -> object:
        if isinstance(parts, dict):
            return [[k, self._parts_of(v)] for k, v in sorted(parts.items())]
        if isinstance(parts, list | tuple):
            return [self._parts_of(v) for v in parts]
        return self.callable(parts) if callable(parts) else self.value(parts, "a part")

    def _scalar(self, got: object, where: str) -> object:
        if isinstance(got, str | bytes) and len(got) > MAX_GLOBAL_BYTES:
            raise _CannotHash(f"{where} has {len(got):,} characters; {MAX_GLOBAL_BYTES:,} is the most that is hashed")
        try:
            return [type(got).__name__, canonical(got)]
        except UnstorableValue:
            return [type(got).__name__, repr(got)]  # NaN and infinity: equal to themselves here


def _limit_size(got: object, where: str) -> Any:
    """`got` itself when it is small: what a function reads beyond that belongs in its inputs."""
    size = _size(got, MAX_GLOBAL_BYTES)
    if size > MAX_GLOBAL_BYTES:
        raise _CannotHash(f"{where} is larger than {MAX_GLOBAL_BYTES // 1024} kB")
    return got


def _size(got: object, limit: int) -> int:
    """A rough count of bytes, given up above `limit`; cycles end there too."""
    total, stack = 0, [got]
    while stack and total <= limit:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value)
            stack.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            stack.extend(value)
        total += len(value) if isinstance(value, str | bytes) else 8
    return total


def _closure(fn: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not yet filled: a function that is still being defined
            yield name, None


def _used_globals(fn: types.FunctionType) -> dict[str, object]:
    """Globals that the code (and the code nested in it) loads, those of `builtins` and unbound ones left out."""
    return {name: fn.__globals__[name] for name in _loaded_names(fn.__code__) if name in fn.__globals__}


@lru_cache(maxsize=4096)
def _loaded_names(code: types.CodeType) -> frozenset[str]:
    names: set[str] = set()
    stack = [code]
    while stack:
        one = stack.pop()
        names.update(i.argval for i in dis.get_instructions(one) if i.opname in _LOADS)
        stack.extend(c for c in one.co_consts if isinstance(c, types.CodeType))
    return frozenset(names)


_TREES: WeakKeyDictionary[types.FunctionType, str] = WeakKeyDictionary()


def _tree_digest(fn: types.FunctionType) -> str:
    got = _TREES.get(fn)
    if got is None:
        got = _TREES[fn] = digest_text(ast.dump(normal_tree(fn)))
    return got


def normal_tree(fn: types.FunctionType) -> ast.AST:
    """The function's syntax tree without its name, docstrings and our own decorators.

    Raises
    ------
    _CannotHash
        Its source cannot be read, or holds several lambdas of which none can be told to be this one.
    """
    source = _source(fn)
    tree: ast.AST
    try:
        tree = ast.parse(source)
    except SyntaxError:
        tree = _lambda_tree(fn, source)
    if fn.__name__ == "<lambda>":
        return _the_lambda(fn, tree)
    top = tree.body[0] if isinstance(tree, ast.Module) and tree.body else None
    if not isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef):
        raise _CannotHash(f"the source of `{fn.__name__}` does not begin with `def`")
    top.name = "_"
    top.decorator_list = [d for d in top.decorator_list if _decorator_name(d) not in OURS]
    _drop_docstrings(top)
    return top


def _source(fn: types.FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(fn.__code__))
    except (OSError, TypeError, IndexError):
        raise _CannotHash(
            f"the source of `{fn.__name__}` cannot be read (it was made by `exec` or at a prompt)"
        ) from None


def _has_source(fn: types.FunctionType) -> bool:
    try:
        inspect.getsource(fn.__code__)
    except (OSError, TypeError, IndexError):
        return False
    return True


def _lambda_tree(fn: types.FunctionType, source: str) -> ast.AST:
    """A lambda's lines may begin or end inside an expression: the text from `lambda` on is tried, ever shorter."""
    start = source.find("lambda")
    for end in range(len(source), max(start, 0), -1):
        if start < 0 or len(source) > 2_000:
            break
        try:
            return ast.parse(f"({source[start:end]})")
        except SyntaxError:
            continue
    raise _CannotHash(f"the source of `{fn.__name__}` is not complete in itself; give it a name with `def`")


def _the_lambda(fn: types.FunctionType, tree: ast.AST) -> ast.AST:
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda)]
    arguments = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    fits = [n for n in found if tuple(a.arg for a in (*n.args.posonlyargs, *n.args.args)) == arguments]
    if len(fits) != 1:
        raise _CannotHash(f"its line holds {len(found)} lambdas; give it a name with `def`")
    return fits[0]


def _drop_docstrings(tree: ast.AST) -> None:
    for part in ast.walk(tree):
        body = getattr(part, "body", None)
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and isinstance(body, list):
            first = body[0] if body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                part.body = body[1:] or [ast.Pass()]


def _decorator_name(node: ast.expr) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _is_own(name: str) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return name in ("__init__", "__call__", "__post_init__", "__eq__")
    return not name.startswith("_abc_") and name != "model_config"


def _json_schema(cls: type) -> str:
    """A pydantic class's constraints live in its fields, which are not class members: its schema has them."""
    schema = getattr(cls, "model_json_schema", None)
    return digest(schema()) if schema is not None and hasattr(cls, "model_fields") else ""


def _annotation(value: object) -> str:
    return value if isinstance(value, str) else getattr(value, "__qualname__", None) or repr(value)


# ------------------------------------------------------------------ modules
def _installed_version(module_name: str | None) -> str:
    """``name version`` of what installed this module; "" for the notebook itself and for files beside it."""
    module = sys.modules.get(module_name or "")
    if module is None or module_name in (None, "__main__"):
        return ""
    return _known_version(module) or ""


def _module_version(module: types.ModuleType) -> str:
    known = _known_version(module)
    if known:
        return known
    path = getattr(module, "__file__", None)
    if path is None:
        raise _CannotHash(f"the module `{module.__name__}` has neither a version nor a file")
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise _CannotHash(f"the file of the module `{module.__name__}` cannot be read") from None
    if len(data) > MAX_MODULE_BYTES:
        raise _CannotHash(f"the file of the module `{module.__name__}` has {len(data):,} bytes")
    return f"{module.__name__} {digest_text(data.decode('utf-8', 'replace'))}"


def _known_version(module: types.ModuleType) -> str:
    top = module.__name__.partition(".")[0]
    if top == "orch_nb":  # installed or run from its sources alike
        return f"orch_nb {getattr(sys.modules[top], '__version__', '')}"
    if top in sys.stdlib_module_names or top == "builtins" or module is builtins:
        return f"{top} of Python"
    if top == "__main__" or not _is_site(getattr(module, "__file__", None)):
        return ""
    return _distribution(top)


def _is_site(path: str | None) -> bool:
    """Return whether a file was installed (or lies in a compiled place) rather than being the user's own."""
    return path is None or any(part in ("site-packages", "dist-packages") for part in Path(path).parts)


@lru_cache(maxsize=512)
def _distribution(top: str) -> str:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    module = sys.modules.get(top)
    own = getattr(module, "__version__", None)
    if isinstance(own, str):
        return f"{top} {own}"
    try:
        return f"{top} {version(top)}"
    except PackageNotFoundError:
        names = packages_distributions().get(top, [])
        return f"{top} {version(names[0])}" if names else ""


# ------------------------------------------------------------------ undeclared inputs
# Inputs that a function takes without declaring them: the clock, chance, the network, files, the environment.
#
# A node that has one may give another result for equal reads, so that reusing its result would be wrong without anyone
# noticing. They are found in the syntax tree, by what the names really refer to, and warned of.

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


def hidden_inputs(fn: Callable[..., object]) -> tuple[str, ...]:
    """One sentence for each hidden input, of the function and of the notebook's functions it calls; () for none.

    What cannot be read (no source) gives nothing: such a function has no hash either, and is never reused.
    """
    found: dict[str, None] = {}
    seen: set[int] = set()
    stack: list[object] = [inspect.unwrap(fn)]
    while stack:
        got = stack.pop()
        if not isinstance(got, types.FunctionType) or id(got) in seen:
            continue
        seen.add(id(got))
        for name, what, line in _uses(got):
            found[f"`{got.__name__}` uses `{name}` (line {line}): {what} is an input that it does not declare."] = None
        stack.extend(_neighbours(got))
    return tuple(found)


def _neighbours(fn: types.FunctionType) -> Iterator[object]:
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


def _name_of(got: object) -> str:
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
