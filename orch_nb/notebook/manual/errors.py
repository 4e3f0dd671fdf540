"""`%orch help errors`: every error code, from `orch_nb.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb import errors
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Section, error_table

if TYPE_CHECKING:
    from orch_nb.errors import OrchError

_FAMILIES = {
    "0": "All errors",
    "1": "Graphs",
    "2": "Runs",
    "3": "Providers",
    "4": "Choosing a model",
    "5": "Tools",
    "6": "The store",
    "7": "Cells",
}
"""First digit of a code -> what its errors are about."""


def page() -> Page:
    """The page."""
    known = known_errors()
    sections = [
        Section(title, table=error_table(error for error in known if error.code[4] == digit))
        for digit, title in _FAMILIES.items()
    ]
    lead = (
        "Each error has a code that stays the same, says what happened to what, and gives a hint that works when it is "
        "typed. In Python: `error.code`, `error.hint` and `error.facts`."
    )
    return Page("errors", TOPICS["errors"], lead, tuple(sections))


def known_errors() -> list[type[OrchError]]:
    """Every class of `orch_nb.errors`, in the order of the codes."""
    found = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.OrchError)]
    return sorted(found, key=lambda error: error.code)
