"""What a `%%claim` cell says, as a small typed tree. Nothing in it is code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.errors import BadExpression

if TYPE_CHECKING:
    from fractions import Fraction

MEASURES = ("cost", "saving", "baseline", "calls", "time", "speed_up", "quality", "one_agent", "volume")
"""What can be measured on what is given. ``speed-up`` is read as `speed_up`, because the hyphen is a minus elsewhere."""

FUNCTIONS = {
    "mean": (1, 99), "median": (1, 99), "majority": (1, 99), "min": (1, 99), "max": (1, 99), "sum": (1, 99), "spread": (1, 99),
    "count": (1, 99), "ceil": (1, 1), "floor": (1, 1), "tries": (2, 2), "context": (2, 2),
}  # fmt: skip
"""Function -> fewest and most arguments (a variable that holds a list counts as many)."""


@dataclass(slots=True, frozen=True)
class Figure:
    """A number as it was written: `decimals`, `percent` and `times` ("3x") say how exactly and in what it is stated."""

    value: Fraction
    column: int
    decimals: int = 0
    usd: bool = False
    percent: bool = False
    times: bool = False
    seconds: str = ""
    days: bool = False
    period: str = ""
    noun: str = ""


@dataclass(slots=True, frozen=True)
class Name:
    """A measure (``saving by routing``: `part`), or a variable of the notebook."""

    name: str
    column: int
    part: str = ""

    @property
    def is_measure(self) -> bool:
        """Whether it is measured on what is given."""
        return self.name in MEASURES


@dataclass(slots=True, frozen=True)
class Apply:
    """A function of sums."""

    function: str
    arguments: tuple[Node, ...]
    column: int


@dataclass(slots=True, frozen=True)
class Operation:
    """Two sides and one of ``+ - x / ^``; `left` is None for a sign."""

    sign: str
    left: Node | None
    right: Node
    column: int


Node = Figure | Name | Apply | Operation


@dataclass(slots=True, frozen=True)
class Line:
    """One claim: `sides` with a comparison between each two; `branches` and `within` qualify it."""

    text: str
    number: int
    sides: tuple[Node, ...]
    comparisons: tuple[str, ...]
    branches: Fraction | None = None
    within: Fraction | None = None


@dataclass(slots=True, frozen=True)
class Given:
    """What is measured: a node, or a change from one to another; and how many times a day."""

    node: Node
    number: int
    to: Node | None = None
    volume: Node | None = None
    model: str = ""
    """Of ``all on MODEL``: then `node` is not looked at."""


@dataclass(slots=True)
class Text:
    """A whole cell."""

    title: str
    source: str
    given: Given | None = None
    against: Given | None = None
    scores: Given | None = None
    days: int = 365
    month: int = 30
    bounds: tuple[Node, Node] | None = None
    claims: list[Line] = field(default_factory=list)

    def error(self, message: str, number: int, column: int = 0, hint: str = "") -> BadExpression:
        """An error that points into the cell."""
        return BadExpression(message, line=number, column=column, source=self.source, hint=hint)
