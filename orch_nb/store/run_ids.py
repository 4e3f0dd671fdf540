"""What a run may be called, and what its scope in the ledger is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch_nb.errors import StoreError
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_run(run: str) -> str:
    """`run` itself when it may name a run: letters, digits, ``_ . -``, at most 64 of them.

    Raises
    ------
    StoreError
        It may not: an id becomes a part of file names, cells and messages. None has a key in it.
    """
    if not isinstance(run, str) or not _ALLOWED.fullmatch(run):
        raise StoreError(f"{run!r:.60} cannot name a run.", hint="letters, digits, _ . -, at most 64 characters")
    if REDACTOR.is_in(run):
        raise StoreError(f"{REDACTOR.text(run)} cannot name a run: it has a secret in it.", hint="take another id")
    return run


def number_of(run: str) -> int | None:
    """The number of a numbered run (``"7"`` -> 7), None for a named one."""
    if run.isascii() and run.isdigit() and run[0] != "0" and len(run) <= 9:
        return int(run)
    return None


def scope_of(run: str) -> str:
    """The run's own scope in the ledger."""
    return f"run:{run}"


def account_of(run: str, parent: Mapping[str, Any] | None) -> str:
    """The scope whose account holds what a run spent: its own, or of a batch or a comparison that of all its rows.

    The rows settle into it as they go, so the figure of a list is one look-up and the same as the batch's own bill.
    """
    return f"batch:{run}" if (parent or {}).get("batch") else scope_of(run)


def is_own(scope: str, run: str) -> bool:
    """Whether `scope` is the run's own or one of its nodes'."""
    own = scope_of(run)
    return scope == own or scope.startswith(own + "/")
