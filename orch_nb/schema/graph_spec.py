"""An edited graph as data, from a `%%graph` cell or a `Graph`. `compile` turns it into a `Plan`.

Texts (conditions, paths, bindings) remain as written. `lang.condition` and `lang.template` parse them, and they are resolved
at compile time. `line` is the line in the cell (0 if made in Python).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

END = "out"
"""The target of an arrow that ends the graph: ``critic -> out  else``."""


@dataclass(slots=True)
class NodeSpec:
    """One node: ``NAME: KIND OBJECT with a = x.y, b = 3 when EXPR``. All parts but the name are optional.

    kind
        agent | function | human | switch | graph | tool | barrier, or "" if the object of this name decides.
    of
        Name of the node's object; "" means the name of the node.
    bindings
        Parameter -> text of a path or a JSON literal (``with``).
    gate
        Text of the condition of ``when``; "" for none.
    question
        The question to a person (``approve: human "Send this?"``).
    target
        The object itself if given in Python (an Agent, a function, a Graph); None if it is bound by name at run time.
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
    """One arrow between two names (groups are expanded), with its modifiers.

    kind
        "plain", "when" (with `condition`), "by" or "else".
    by
        For kind "by", the text after ``by``: a path, ``similarity(PATH)``, ``judge(MODEL)`` or ``fit``. `threshold` is the X
        of ``above X``. All by-edges of one source share one text. ``by … else NAME`` gives another edge of kind "else".
    at_most, counter
        The n of ``at most n``: the bound of a loop. Edges with the same `counter` above 0 share it: they are on one line.
    each, each_as
        The parts of ``each PATH as NAME``: the target is mapped over the list.
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
    counter: int = 0


@dataclass(slots=True)
class GraphSpec:
    """The whole graph: nodes in order of first mention, edges in the order of the text."""

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
