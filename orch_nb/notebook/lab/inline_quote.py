"""About what a `%orch run` or `%orch batch` line costs before it is run, for the editor to show beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import OrchError
from orch_nb.lang.magic_line import Command, read_command
from orch_nb.notebook import verbs

if TYPE_CHECKING:
    from orch_nb.notebook.session import Session


def quote_line(session: Session, text: str, names: dict[str, object]) -> dict[str, object]:
    """Low, expected and high dollars of what a line starts, and what that rests on; {} where nobody can tell.

    The same figures as those of `%orch quote`. Nothing is sent or stored.

    Parameters
    ----------
    text
        ``%orch run …`` or ``%orch batch …``, as the cell has it.
    """
    try:
        quoted = _quote(session, text.strip().partition("%orch")[2].strip(), names)
    except OrchError:
        return {}  # the line is being written: what is wrong with it is said as a mark
    if quoted is None or quoted.expected_usd is None:
        return {}
    return {
        "low_usd": str(quoted.low_usd), "expected_usd": str(quoted.expected_usd), "high_usd": str(quoted.high_usd), "basis": quoted.basis,
    }  # fmt: skip


def _quote(session: Session, line: str, names: dict[str, object]) -> Any:
    verb = line.split(maxsplit=1)[0] if line else ""
    if verb not in ("run", "batch"):
        return None
    command = read_command(line, values=[flag for flag, takes in verbs.VERBS[verb].flags.items() if takes])
    if len(command.words) != (1 if verb == "run" else 2):
        return None
    return verbs.quote(session, Command("quote", command.words, command.pairs, shown=line), names).value
