"""Rules of committed files: none is too large, has a line of an unfinished merge, or a key. `make tidy` and pre-commit run this file alone."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from orch_nb.schema.secrets import Redactor

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 400_000
EXAMPLES = ("tests/", "orch_nb/schema/secrets.py")
"""Files with keys that open nothing, written on purpose."""
MERGE = re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE)


def faults(name: str, content: bytes) -> list[str]:
    """Name the faults of one file."""
    found = []
    if len(content) > MOST_BYTES:
        found.append(f"{name}: {len(content):,} bytes; {MOST_BYTES:,} at most")
    text = content.decode("utf-8", "replace")
    if MERGE.search(text):
        found.append(f"{name}: a conflict of a merge is left")
    if not name.startswith(EXAMPLES):
        found += [f"{name}: what looks like a key ({kind})" for kind in Redactor().clean(text)[1]]
    return found


def test_no_committed_file_is_large_or_has_a_key_or_a_conflict(root: Path) -> None:
    """Every tracked file, as it lies in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git clone")
    names = [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]
    assert names
    assert [fault for name in names for fault in faults(name, (root / name).read_bytes())] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x" * (MOST_BYTES + 1), "400,001 bytes"),
        (b"a\n<<<<<<< HEAD\nb\n", "conflict"),
        (b"a\n=======\nb\n", "conflict"),
        (b"key = 'AKIA" + b"Q" * 16 + b"'", "aws"),
    ],
)
def test_each_fault_is_found(content: bytes, said: str) -> None:
    """A large file, either mark of a merge, a key: each is said with the file's name."""
    (found,) = faults("orch_nb/file.py", content)
    assert found.startswith("orch_nb/file.py: ")
    assert said in found
