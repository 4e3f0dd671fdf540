"""Python in the rights of another user: ``python -m tests.unit.store.other_user UID PLACE COPY WHAT ...``.

The interpreter itself may lie where that user cannot read. So everything is done once as the superuser, on a copy of the
place, which loads whatever is loaded late; then the rights are given up, for good, and it is done in the place.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

from orch_nb.cli import main


def do(place: str, what: str, *arguments: str) -> int:
    """Run a command of `orch` in `place`, or ("-c") code that finds it as `place`."""
    if what != "-c":
        return main([what, *arguments, "--folder", place])
    exec(arguments[0], {"place": place})
    return 0


if __name__ == "__main__":
    user, there, copy, *asked = sys.argv[1:]
    with (
        contextlib.suppress(Exception),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        do(copy, *asked)
    os.environ.pop("ORCH_STORE", None)
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    sys.exit(do(there, *asked))
