"""The place of a notebook's store: `.orch/` beside it. If that file system is unsafe for a database, the store is in the
user's state folder. An existing store is never replaced by another one: it is opened, or refused."""

from __future__ import annotations

import os
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from orch_nb.errors import StoreUnavailable
from orch_nb.store.files import private_folder
from orch_nb.store.locks import can_lock

if TYPE_CHECKING:
    from orch_nb.store.sqlite import Durability, SqliteStore

FOLDER = ".orch"
FILE = "runs.sqlite"
_BY_EFFECTIVE_USER = os.access in os.supports_effective_ids
NETWORKED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "lustre",
     "ceph", "glusterfs", "fuse.glusterfs", "beegfs"}
)  # fmt: skip
"""File systems on which several machines may open the file. SQLite's write-ahead log needs memory that they cannot share."""


def open_store(
    folder: str | os.PathLike[str] = ".", *, durability: Durability = "process", patience_s: float = 8.0
) -> tuple[SqliteStore, str]:
    """Open the store of the notebooks in `folder`; return it and a notice about its place ("" for none).

    Raises
    ------
    StoreUnavailable, SchemaTooNew, CorruptStore, StoreError
        As `SqliteStore`. StoreUnavailable also if an existing store cannot be read; the error names it and its owner.

    Notes
    -----
    `.orch/` is for this user only (0700) and ignores itself (`.gitignore` of ``*``). An existing store that cannot be
    written, or that belongs to another user, is opened read-only: methods that write raise StoreUnavailable.
    """
    from orch_nb.store.sqlite import SqliteStore

    wanted = Path(folder).absolute() / FOLDER
    is_there = _is_there(wanted / FILE)
    why = (is_there and _not_ours(wanted / FILE)) or unfit(wanted)
    if is_there and why:
        refused = partial(_read_only, wanted, why)
        return SqliteStore(wanted / FILE, read_only=True, refused=refused), str(refused())
    place = state_folder(wanted) if why else wanted
    if why:
        private_folder(place)
    notice = f"{wanted.parent} {why}, so runs are stored in {place}." if why else ""
    return SqliteStore(place / FILE, durability=durability, patience_s=patience_s), notice


def _is_there(path: Path) -> bool:
    """Return whether a store exists at `path`.

    Raises
    ------
    StoreUnavailable
        A store exists or may exist there, but this user cannot read it.
    """
    try:
        path.stat()
        if os.access(path, os.R_OK, effective_ids=_BY_EFFECTIVE_USER):
            return True
        reason = "only its owner may read it"
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = error.strerror or str(error)
    raise StoreUnavailable(
        f"the store {path} of {_owner(path)} cannot be read: {reason}.",
        hint=f"ask {_owner(path)} for a copy of that one file, or work in another folder",
        path=str(path),
        owner=_owner(path),
    )


def _not_ours(path: Path) -> str:
    """Return the reason why this user must not write an existing store, "" for none."""
    user = _effective_user()
    if user and path.stat().st_uid != user:  # the superuser may write everybody's
        return f"belongs to {_owner(path)}"
    for what, one in (("", path), ("is in a folder that ", path.parent)):
        if not os.access(one, os.W_OK, effective_ids=_BY_EFFECTIVE_USER):
            return f"{what}cannot be written"
    return ""


def _read_only(wanted: Path, why: str) -> StoreUnavailable:
    """Return the error of writing to a store that can only be read."""
    own = state_folder(wanted)
    return StoreUnavailable(
        f"the store {wanted / FILE} {why}: its runs can be read, but nothing can be run or changed.",
        hint=f"for a store of your own: `mkdir -p {own}`, then start with ORCH_STORE={own} in the environment",
    )


def _owner(path: Path) -> str:
    """Return the owner of `path`, or of the nearest readable folder above it."""
    for one in (path, *path.parents):
        try:
            user = one.stat().st_uid
        except OSError:
            continue
        try:
            import pwd

            return pwd.getpwuid(user).pw_name
        except (ImportError, KeyError):
            return f"user {user}"
    return "another user"


def _effective_user() -> int:
    """Return the id of the user whose rights this process has; 0 for the superuser and on systems without such ids."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def unfit(folder: Path) -> str:
    """Return the reason why a store cannot be in `folder`, "" for none. The folder is created if its parent allows it."""
    if not folder.parent.is_dir():
        raise StoreUnavailable(f"the folder {folder.parent} does not exist.", hint="create it first")
    try:
        private_folder(folder)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    if not os.access(folder, os.W_OK, effective_ids=_BY_EFFECTIVE_USER):
        return "cannot be written"
    kind = file_system_of(folder)
    if kind in NETWORKED:
        return f"is on a network file system ({kind}), which cannot share a database safely"
    return "" if can_lock(folder) else "is on a file system without locks"


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system of `folder`, "" if it is unknown."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    place = os.path.realpath(folder)
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        under = place == point or place.startswith(point.rstrip("/") + "/")
        if under and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def state_folder(wanted: Path) -> Path:
    """Return this user's folder for the store that cannot be at `wanted`. It is always the same one."""
    name = f"{wanted.parent.name or 'root'}-{sha256(str(wanted).encode()).hexdigest()[:12]}"
    return state_home() / "orch_nb" / name


def state_home() -> Path:
    """Return the folder in which programs of this user store their state."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    given = os.environ.get("XDG_STATE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
