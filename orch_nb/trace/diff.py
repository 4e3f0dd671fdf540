"""Two runs side by side: steps aligned by node and round, with what is different in path, output, tokens, dollars, time."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb import display
from orch_nb.trace.span import CALLS

if TYPE_CHECKING:
    from decimal import Decimal

    from orch_nb.trace.run_view import RunView
    from orch_nb.trace.span import Span

MAX_LINES = 400
"""Lines of one side of a text diff: difflib is quadratic where texts have little in common."""
AROUND = 2
"""Equal lines shown before and after what is different."""

DiffLine = tuple[str, str]
"""(" ", "-" or "+", text)"""


@dataclass(slots=True)
class Pair:
    """One step in both runs. `a` or `b` is None where a run did not get there.

    Attributes
    ----------
    what
        same | changed (another output) | only a | only b | another end (the exit is different).
    diff
        Unified diff of the outputs as text, where they are different.
    """

    key: str
    step: str
    round: int
    a: Span | None
    b: Span | None
    what: str
    diff: list[DiffLine] = field(default_factory=list)


@dataclass(slots=True)
class RunDiff:
    """What is different between two runs.

    Attributes
    ----------
    pairs
        All steps, in the order of the first run; those that only the second has are where it had them.
    usd
        Dollars of the second less those of the first; None where one has calls of unknown price.
    first
        The first step whose output or end is different, in the order of `pairs`; None where none is.
    """

    a: RunView
    b: RunView
    pairs: list[Pair]

    @property
    def first(self) -> Pair | None:
        """The first step that differs; None where none does."""
        return next((pair for pair in self.pairs if pair.what != "same"), None)

    @property
    def same_output(self) -> bool:
        """True if both runs gave the same output."""
        return bool(self.a.output == self.b.output)

    @property
    def usd(self) -> Decimal | None:
        """Dollars that the second run cost more; None where a call of either has no price."""
        a, b = self.a.bill.total, self.b.bill.total
        return None if a.unpriced or b.unpriced else b.spent_usd - a.spent_usd

    @property
    def same_path(self) -> bool:
        """True if both went through the same steps in the same rounds."""
        return all(pair.a is not None and pair.b is not None for pair in self.pairs)

    def __repr__(self) -> str:
        changed = sum(pair.what != "same" for pair in self.pairs)
        return f"<run {self.a.run} and run {self.b.run}: {changed} of {len(self.pairs)} steps are different>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
        return display.bundle(self)


def diff(a: RunView, b: RunView) -> RunDiff:
    """Two runs, aligned by step, round and item.

    Notes
    -----
    O(steps) and the text diffs of what is different. Reused results count as what they are worth: the same output is the same.
    """
    left, right = _steps(a), _steps(b)
    pairs = []
    for key in _merge(list(left), list(right)):
        one, other = left.get(key), right.get(key)
        span = one or other
        assert span is not None
        made = Pair(key, span.node, span.round, one, other, _what(one, other))
        if made.what == "changed":
            assert one is not None
            assert other is not None
            made.diff = text_diff(one.value, other.value)
        pairs.append(made)
    return RunDiff(a, b, pairs)


def _steps(view: RunView) -> dict[str, Span]:
    return {
        s.key: s
        for s in view.spans
        if s.kind not in CALLS and s.kind != "attempt" and s.started_at is not None and s.state != "due"
    }


def _merge(a: list[str], b: list[str]) -> list[str]:
    """Both lists' keys once each: in the order of `a`, what only `b` has after what it follows there."""
    after: dict[str, list[str]] = {}
    known, last = set(a), ""
    for key in b:
        if key in known:
            last = key
        else:
            after.setdefault(last, []).append(key)
    out = list(after.get("", []))
    for key in a:
        out.append(key)
        out += after.get(key, [])
    return out


def _what(a: Span | None, b: Span | None) -> str:
    if a is None or b is None:
        return "only b" if a is None else "only a"
    if a.success != b.success or (not a.success and a.exit != b.exit):
        return "another end"
    return (
        "same" if a.value == b.value and not (a.error and b.error and a.error.message != b.error.message) else "changed"
    )


def text_diff(a: object, b: object) -> list[DiffLine]:
    """The lines that are different, with `AROUND` equal lines around them; each side is cut at `MAX_LINES` lines."""
    left, right = _lines(a), _lines(b)
    out: list[DiffLine] = []
    for row in difflib.unified_diff(left[:MAX_LINES], right[:MAX_LINES], lineterm="", n=AROUND):
        if row.startswith(("---", "+++")) and len(out) < 2 and row.strip() in ("---", "+++"):
            continue
        out.append((" ", "…") if row.startswith("@@") else (row[0], row[1:]))
    cut = max(len(left), len(right)) - MAX_LINES
    return [*out[out[:1] == [(" ", "…")] :], *([(" ", f"… {cut:,} more lines not compared")] if cut > 0 else [])]


def _lines(value: object) -> list[str]:
    """A value as lines: text as it is, data as indented JSON with its keys in order."""
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=str).splitlines()
