"""Where a notebook's store lies: `.orch/` beside it, or, where that file system cannot keep a database safe, in the
user's state folder."""

from __future__ import annotations

import os
import sys
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
        As `SqliteStore`.

    Notes
    -----
    `.orch/` is for this user only (0700) and ignores itself (`.gitignore` of ``*``).
    """
    from orch_nb.store.sqlite import SqliteStore

    wanted = Path(folder).absolute() / FOLDER
    why = unfit(wanted)
    place = state_folder(wanted) if why else wanted
    if why:
        private_folder(place)
    notice = f"{wanted.parent} {why}, so the runs are kept in {place}." if why else ""
    return SqliteStore(place / FILE, durability=durability, patience_s=patience_s), notice


def unfit(folder: Path) -> str:
    """Why a store cannot live in `folder`; "" when it can. The folder is made when its parent allows it."""
    if not folder.parent.is_dir():
        raise StoreUnavailable(f"there is no folder {folder.parent}.", hint="make it first")
    try:
        private_folder(folder)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    if not os.access(folder, os.W_OK):
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
