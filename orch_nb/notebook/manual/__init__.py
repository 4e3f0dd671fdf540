"""The manual that `%orch help` shows: one module for each page, filled from the tables that the parsers use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.notebook.manual.page import Page

TOPICS = {
    "graph": "how a `%%graph` cell is written",
    "agent": "the keys of an `%%agent` cell",
    "types": "the types of an answer: what follows `out:`",
    "route": "how an agent's model is chosen",
    "budget": "limits in dollars, tokens, calls and seconds",
    "models": "names of models, providers and keys",
    "people": "questions to a person, and the answers",
    "errors": "every error code",
}
"""Name of a page -> what it is about."""
ALIASES = {"out": "types"}
"""Second names of pages."""
VERB_TOPICS = {
    "run": "graph",
    "batch": "graph",
    "quote": "budget",
    "answer": "people",
    "route": "route",
    "why": "route",
    "budget": "budget",
    "forecast": "budget",
    "cost": "budget",
    "models": "models",
    "matrix": "route",
    "import": "agent",
}
"""Verb -> the page that explains what its line takes."""


def page_of(name: str) -> Page | None:
    """The page of this name; None where there is none."""
    topic = ALIASES.get(name, name)
    if topic not in TOPICS:
        return None
    found: Page = import_module(f"orch_nb.notebook.manual.{topic}").page()
    return found
