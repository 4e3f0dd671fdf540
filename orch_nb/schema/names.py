"""Names of agents, nodes, graphs, models and inputs: NFC identifiers, so that no two names look alike."""

from __future__ import annotations

import keyword
import unicodedata

from orch_nb.errors import BadName

RESERVED = frozenset(
    {"by", "when", "else", "at", "most", "each", "as", "with", "out", "and", "or", "not", "in", "true", "false", "null",
     "none", "barrier", "state"}
)  # fmt: skip
RUN_OPTIONS = ("budget", "namespace", "attended", "again")
"""Options of `orch_nb.run`. An input cannot have one of these names: ``budget=`` in a call is always the budget."""
MAX_NAME = 64


def check_name(name: str, what: str = "name", *, line: int = 0, source: str = "") -> str:
    """Return `name` if it is a valid name.

    Raises
    ------
    BadName
        It is empty, longer than 64 characters, not an identifier, not in Unicode form NFC, mixes scripts with
        look-alikes (Cyrillic or Greek letters beside Latin ones), or is a word of the graph notation or of Python.
    """
    if not isinstance(name, str) or not name:
        wrong, hint = f"{what} is empty.", "a letter, then letters, digits and _"
    elif len(name) > MAX_NAME:
        wrong, hint = f"{what} `{name[:20]}…` must have at most {MAX_NAME} characters, got {len(name)}.", ""
    elif not name.isidentifier():
        wrong, hint = (
            f"{what} `{name}` is not an identifier.",
            "a letter, then letters, digits and _: no spaces, - or .",
        )
    elif unicodedata.normalize("NFC", name) != name or unicodedata.normalize("NFKC", name) != name:
        wrong, hint = f"{what} `{name}` is not in Unicode form NFC.", "type the name again with plain letters"
    elif len(alike := _alike_scripts(name)) > 1:
        wrong, hint = f"{what} `{name}` mixes letters that look alike ({', '.join(alike)}).", ""
    elif name.lower() in RESERVED or keyword.iskeyword(name):
        wrong, hint = f"{what} `{name}` is a word of the notation.", "choose another name"
    elif name.startswith("__"):
        wrong, hint = f"{what} `{name}` begins with two underscores, which are reserved for the engine.", ""
    else:
        return name
    raise BadName(wrong, hint=hint, line=line, source=source)


def _alike_scripts(name: str) -> list[str]:
    """Return the scripts of a name that has Latin letters and letters that look like them; [] for any other name."""
    scripts = {_script(c) for c in name if c.isalpha()}
    return sorted(scripts) if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN"} else []


def option_problem(name: str) -> tuple[str, str]:
    """Return why an input cannot be called `name`, and a hint with a name that works; two empty texts where it can."""
    if name not in RUN_OPTIONS:
        return "", ""
    return f"`{name}` is an option of `run` and cannot be an input.", f"rename the input, e.g. `{name}_given`"


def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split(" ", 1)[0]
