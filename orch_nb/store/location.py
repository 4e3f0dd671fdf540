"""Where a notebook's store lies: `.orch/` beside it, or, where there is none and that file system cannot keep a database
safe, in the user's state folder. A store that is there is never left for another one: it is read, or refused."""

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
"""File systems on which several machines may have the file open: SQLite's write-ahead log needs memory they share."""


def open_store(
    folder: str | os.PathLike[str] = ".", *, durability: Durability = "process", patience_s: float = 8.0
) -> tuple[SqliteStore, str]:
    """The store of the notebooks in `folder`, and what a person should know about where it is ("" for nothing).

    Raises
    ------
    StoreUnavailable, SchemaTooNew, CorruptStore, StoreError
        As `SqliteStore`; StoreUnavailable also where a store is there that cannot be read: it and its owner are named.

    Notes
    -----
    `.orch/` is for this user only (0700) and ignores itself (`.gitignore` of ``*``). A store that is there and cannot be
    written, or is somebody else's, is opened to be read: whatever would write raises StoreUnavailable.
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
    notice = f"{wanted.parent} {why}, so the runs are kept in {place}." if why else ""
    return SqliteStore(place / FILE, durability=durability, patience_s=patience_s), notice


def _is_there(path: Path) -> bool:
    """Whether there is a store at `path`.

    Raises
    ------
    StoreUnavailable
        There is one, or there may be one, that this user cannot read.
    """
    try:
        path.stat()
        if os.access(path, os.R_OK, effective_ids=_BY_EFFECTIVE_USER):
            return True
        reason = "it may be read by its owner only"
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = error.strerror or str(error)
    raise StoreUnavailable(
        f"the store {path} of {_owner(path)} cannot be read: {reason}.",
        hint=f"ask {_owner(path)} for a copy of that one file, or work in a folder of your own",
        path=str(path),
        owner=_owner(path),
    )


def _not_ours(path: Path) -> str:
    """Why an existing store is not to be written by this user; "" when it may be."""
    user = _effective_user()
    if user and path.stat().st_uid != user:  # the superuser may write everybody's
        return f"belongs to {_owner(path)}"
    for what, one in (("", path), ("lies in a folder that ", path.parent)):
        if not os.access(one, os.W_OK, effective_ids=_BY_EFFECTIVE_USER):
            return f"{what}cannot be written"
    return ""


def _read_only(wanted: Path, why: str) -> StoreUnavailable:
    """The error of whatever would write to a store that can only be read."""
    own = state_folder(wanted)
    return StoreUnavailable(
        f"the store {wanted / FILE} {why}: its runs can be read here, and nothing can be run or changed.",
        hint=f"for a store of your own: `mkdir -p {own}`, then start with ORCH_STORE={own} in the environment",
    )


def _owner(path: Path) -> str:
    """Who owns `path`, or the nearest folder above it that can be looked at."""
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
    """The number of the user whose rights this process has; 0 for the superuser, and where there are no such numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def unfit(folder: Path) -> str:
    """Why a store cannot live in `folder`; "" when it can. The folder is made when its parent allows it."""
    if not folder.parent.is_dir():
        raise StoreUnavailable(f"there is no folder {folder.parent}.", hint="make it first")
    try:
        private_folder(folder)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    if not os.access(folder, os.W_OK, effective_ids=_BY_EFFECTIVE_USER):
        return "cannot be written"
    kind = file_system_of(folder)
    if kind in NETWORKED:
        return f"lies on a network file system ({kind}), which cannot share a database safely"
    return "" if can_lock(folder) else "lies on a file system without locks"


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that `folder` lies on; "" where the system does not say."""
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
    """This user's folder for the store that cannot be at `wanted`: the same one every time."""
    name = f"{wanted.parent.name or 'root'}-{sha256(str(wanted).encode()).hexdigest()[:12]}"
    return state_home() / "orch_nb" / name


def state_home() -> Path:
    """Where programs of this user keep their state."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    given = os.environ.get("XDG_STATE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
