"""Names of agents, nodes, graphs, models, inputs: NFC identifiers, so that no two look alike by encoding."""

from __future__ import annotations

import keyword
import unicodedata
from typing import Any

from orch_nb.errors import BadName

RESERVED = frozenset(
    {"by", "when", "else", "at", "most", "each", "as", "with", "out", "and", "or", "not", "in", "true", "false", "null",
     "none", "barrier", "state"}
)  # fmt: skip
RUN_OPTIONS = ("budget", "namespace", "attended", "again")
"""Options of `orch_nb.run`. An input cannot have one of these names: ``budget=`` in a call is always the budget."""
MAX_NAME = 64


def check_name(name: str, what: str = "name", *, line: int = 0, source: str = "") -> str:
    """`name` itself when it may name something.

    Raises
    ------
    BadName
        It is empty, longer than 64 characters, not an identifier, not in Unicode form NFC, mixes scripts with
        look-alikes (Cyrillic or Greek letters beside Latin ones), or is a word of the graph notation or of Python.
    """
    where: dict[str, Any] = {"line": line, "source": source}
    if not isinstance(name, str) or not name:
        raise BadName(f"{what} is empty.", hint="a letter, then letters, digits and _", **where)
    if len(name) > MAX_NAME:
        raise BadName(f"{what} `{name[:20]}…` has {len(name)} characters; {MAX_NAME} is the most.", **where)
    if not name.isidentifier():
        raise BadName(
            f"{what} `{name}` is not an identifier.",
            hint="a letter, then letters, digits and _: no spaces, - or .",
            **where,
        )
    if unicodedata.normalize("NFC", name) != name or unicodedata.normalize("NFKC", name) != name:
        raise BadName(
            f"{what} `{name}` is not in Unicode form NFC.", hint="type the name again with plain letters", **where
        )
    scripts = {_script(c) for c in name if c.isalpha()}
    if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN"}:
        raise BadName(f"{what} `{name}` mixes letters that look alike ({', '.join(sorted(scripts))}).", **where)
    if name.lower() in RESERVED or keyword.iskeyword(name):
        raise BadName(f"{what} `{name}` is a word of the notation.", hint="choose another name", **where)
    if name.startswith("__"):
        raise BadName(f"{what} `{name}` begins with two underscores, which is kept for the engine.", **where)
    return name


def option_problem(name: str) -> tuple[str, str]:
    """Return why an input cannot be called `name`, and a hint with a name that works; two empty texts where it can."""
    if name not in RUN_OPTIONS:
        return "", ""
    return f"`{name}` is an option of `run` and cannot be an input.", f"rename the input, e.g. `{name}_given`"


def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split(" ", 1)[0]
