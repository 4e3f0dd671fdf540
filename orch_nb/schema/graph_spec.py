"""An edited graph as data: what `%%graph` says and what `Graph` holds. `compile` turns it into a `Plan`.

Texts (conditions, paths, bindings) stay as written; they are parsed by `predicate` and `template`, and resolved at
compile time. `line` is the line in the cell (0 when made in Python).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class NodeSpec:
    """``NAME: KIND OBJECT with a = x.y, b = 3 when EXPR``. All but the name may be absent.

    kind
        agent | function | human | switch | graph | tool | barrier, or "" when the object of this name decides.
    of
        Name of the object it is an instance of; "" means its own name.
    bindings
        Parameter -> text of a path or a JSON literal (``with``).
    gate
        Text of the predicate of ``when``; "" for none.
    question
        What a person is asked (``approve: human "Send this?"``).
    target
        The object itself when given in Python (an Agent, a function, a Graph); None when bound by name at run time.
    """

    name: str
    kind: str = ""
    of: str = ""
    bindings: dict[str, str] = field(default_factory=dict)
    gate: str = ""
    question: str = ""
    target: Any = None
    line: int = 0


@dataclass(slots=True)
class EdgeSpec:
    """One arrow between two names (groups already spread), with its modifiers.

    kind: "plain", "when" (`condition`), "by", "else".
    by
        For kind "by": the text between ``by`` and its end: a path, ``similarity(PATH)``, ``judge(MODEL)`` or ``fit``; `threshold` is ``above X``.
        All by-edges of one source share one text. ``by … else NAME`` gives one more edge of kind "else".
    at_most
        n of ``at most n``: this edge closes a loop.
    each, each_as
        ``each PATH as NAME``: the target is mapped over the list.
    """

    source: str
    target: str
    kind: str = "plain"
    condition: str = ""
    by: str = ""
    threshold: float | None = None
    at_most: int | None = None
    each: str = ""
    each_as: str = ""
    line: int = 0


@dataclass(slots=True)
class GraphSpec:
    """The whole: nodes in order of first mention, edges in order of writing."""

    name: str
    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    edges: list[EdgeSpec] = field(default_factory=list)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    out: tuple[str, ...] = ()
    state: str = ""
    """Name of the state class in the namespace ("" for none)."""
    state_class: Any = None
    source: str = ""
    """The cell's text, for errors that point at a line."""
