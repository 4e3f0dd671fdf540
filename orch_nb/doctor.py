"""Checks the machine for ``orch doctor``: Python, packages, the local model, keys, and the store. Nothing is sent."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from orch_nb._version import __version__
from orch_nb.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("ipython", "ipywidgets", "jupyterlab", "networkx", "matplotlib", "httpx", "pydantic", "nbval")
OPTIONAL = {
    "xllamacpp": "the local model",
    "onnxruntime": "embeddings",
    "pandas": "data frames",
    "keyring": "keys in the system's store",
}


@dataclass(slots=True, frozen=True)
class Finding:
    """One line of the report; `is_problem` where something must be done before orch_nb works."""

    subject: str
    text: str
    is_problem: bool = False

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        return f"{'problem' if self.is_problem else 'ok':<8} {self.subject:<12} {self.text}"


def findings(folder: str | None = None) -> Iterator[Finding]:
    """Yield what was found, one subject after the other."""
    supported = sys.version_info >= (3, 11)
    yield Finding(
        "Python",
        f"{sys.version.split()[0]}, orch_nb {__version__}" + ("" if supported else "; 3.11 or newer is needed"),
        not supported,
    )
    for name in PACKAGES:
        found = _version_of(name)
        yield Finding(name, found or f"not installed: pip install {name}", not found)
    for name, purpose in OPTIONAL.items():
        yield Finding(name, _version_of(name) or f"not installed; needed for {purpose} only")
    yield _local_model()
    yield _keys()
    yield _store(folder)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _local_model() -> Finding:
    from orch_nb.providers.local_models.install import find_model

    try:
        path = find_model()
    except OrchError as error:
        return Finding("local model", f"{error} {error.hint}")
    return Finding("local model", str(path))


def _keys() -> Finding:
    """Name the variables that have a key; no key is read further."""
    from orch_nb.catalog.vendors import VENDORS

    found = sorted({known.key for known in VENDORS.values() if known.key and os.environ.get(known.key)})
    return Finding("keys", ", ".join(found) or "none found; not needed for the local model and echo")


def _store(folder: str | None) -> Finding:
    from orch_nb.runtime.runtime import Runtime

    try:
        runtime = Runtime(folder)
        count = len(runtime.runs(limit=10**9, every_notebook=True))
    except OrchError as error:
        return Finding("store", f"{error} {error.hint}", is_problem=True)
    where = f"{count} runs"
    runtime.close()
    return Finding("store", where + (f"; {runtime.notice}" if runtime.notice else ""))
