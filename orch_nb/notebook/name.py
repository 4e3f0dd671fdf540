"""What this notebook is called: for its budget, its runs, its cassette. Told, or hinted at by the front end; never guessed."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ADVICE = "this notebook has no name yet: `%orch notebook NAME` keeps its budget and runs apart from those of others"


def hinted_name(names: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> str:
    """The notebook's name as the front end tells it; "" when it does not.

    Jupyter Server tells it by ``JPY_SESSION_NAME`` (older ones by a variable ``__session__``), VS Code by a variable
    ``__vsc_ipynb_file__``.
    """
    environ = os.environ if environ is None else environ
    for hint in (names.get("__vsc_ipynb_file__"), names.get("__session__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(hint, str) and hint.endswith(".ipynb"):
            return as_name(PurePath(hint.replace("\\", "/")).name.removesuffix(".ipynb"))
    return ""


def as_name(text: str) -> str:
    """A file's name as a notebook's name: letters, digits, ``_``, ``-`` and ``.``; everything else becomes ``_``."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_.-")[:64]
