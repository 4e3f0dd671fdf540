"""Which arrows a finished node takes: predicates and choosers, evaluated once; their outcome goes into the event."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from orch_nb.engine.reading import path_text, resolve, stated_paths
from orch_nb.errors import SemanticFailure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.engine.plan import Chooser, Read
    from orch_nb.engine.state import Frame
    from orch_nb.lang.condition import Predicate


@lru_cache(maxsize=4096)
def predicate(text: str) -> Predicate:
    """The parsed predicate of a text that compiled."""
    from orch_nb.lang.condition import Predicate

    return Predicate.parse(text)


def evaluate(
    frame: Frame, text: str, reads: Sequence[Read], item: int | None, overlay: tuple[str, object] | None
) -> tuple[bool, dict[str, object]]:
    """The predicate's outcome and the values it saw.

    Raises
    ------
    SemanticFailure
        It compares null, or values of different kinds, or reads what is absent.
    """
    by_path = {tuple(read.name.split(".")): read for read in reads}

    def lookup(path: tuple[str, ...]) -> object:
        return resolve(frame, by_path[path], item, overlay=overlay)

    return predicate(text).evaluate(lookup)


def gate_is_open(frame: Frame, node: int, item: int | None) -> tuple[bool, dict[str, object]]:
    """Return whether a node with a gate runs (True) or is passed, and the values that its condition read."""
    spec = frame.plan.nodes[node]
    return evaluate(frame, spec.gate, spec.gate_reads, item, None)


def decide(
    frame: Frame, node: int, value: object, chosen: dict[str, object] | None, *, exits: str = "all"
) -> tuple[tuple[int, ...] | None, dict[str, object] | None]:
    """Positions of the arrows taken (None: all), and how that came about.

    Parameters
    ----------
    chosen
        The chooser's decision ({"choice": name or None, ...}) where the node has `by` arrows.
    exits
        "all", or "else": only the else-arrows (a rejection, a failure that is handled).

    Notes
    -----
    `by` is exclusive; every true `when` is taken; `else` when nothing else was. An arrow whose `at most` is exhausted
    cannot be taken.
    """
    topo, plan = frame.topo, frame.plan
    if topo.simple[node] and exits == "all":
        return None, None
    name = plan.nodes[node].name
    seen: dict[str, object] = {}
    taken: list[int] = []
    used_up: list[int] = []
    other: list[tuple[int, int]] = []
    choice = None if chosen is None else chosen.get("choice")
    for position, e in enumerate(topo.out[node]):
        edge = plan.edges[e]
        if edge.kind == "else":
            other.append((position, e))
            continue
        if exits == "else":
            continue
        exhausted = _is_used_up(frame, e)
        if edge.kind == "when":
            true, values = evaluate(frame, edge.condition, edge.reads, None, (name, value))
            row: dict[str, object] = {"values": values, "result": true, "exhausted": exhausted}
            if stated := stated_paths(plan, edge.reads):
                row["stated"] = stated
            seen[f"{edge.target}: {edge.condition}"] = row
        elif edge.kind == "by":
            true = edge.target in choice if isinstance(choice, list) else choice == edge.target
        else:
            true = True
        if true:
            (used_up if exhausted else taken).append(position)
    if not taken:
        for position, e in other:
            (used_up if _is_used_up(frame, e) else taken).append(position)
    decision: dict[str, object] = {}
    if seen:
        decision["predicates"] = seen
    if chosen is not None:
        decision["chooser"] = chosen
    if used_up:
        decision["exhausted"] = [f"{name} -> {plan.edges[topo.out[node][position]].target}" for position in used_up]
    return tuple(taken), decision or None


def _is_used_up(frame: Frame, e: int) -> bool:
    """Return whether an arrow's bound is used up."""
    most = frame.topo.limit[e]
    return most is not None and frame.traversals.get(frame.topo.counter[e], 0) >= most


def fit_facts(frame: Frame, chooser: Chooser, name: str, value: object) -> dict[str, dict[str, list[str]]]:
    """Return what each candidate of `by fit` would find: the reads it needs, those that are missing, the state it reads and
    what of it holds something."""
    found = {}
    for candidate in chooser.candidates:
        node = frame.plan.nodes[frame.topo.index[candidate]]
        row: dict[str, list[str]] = {"needs": [], "missing": [], "state": [], "held": []}
        for read in node.reads:
            got = _find(frame, read, (name, value))
            text = path_text(read)
            if not read.optional:
                row["needs"].append(text)
            if not read.optional and got is None:
                row["missing"].append(text)
            if read.source == "state":
                row["state"].append(text)
                row["held"] += [text] if got else []
        found[candidate] = row
    return found


def _find(frame: Frame, read: Read, overlay: tuple[str, object]) -> object:
    """Return the value that a read finds now; None for nothing."""
    try:
        return resolve(frame, read, None, overlay=overlay)
    except SemanticFailure:
        return None


def choose_by_field(frame: Frame, chooser: Chooser, name: str, value: object) -> dict[str, object]:
    """The decision of `by PATH`: the candidate whose name the value is, or those that a list names."""
    got = resolve(frame, chooser.read, None, overlay=(name, value))
    text = path_text(chooser.read)
    if isinstance(got, list) and all(isinstance(name, str) for name in got):
        if chooser.one and len(set(got)) > 1:
            raise SemanticFailure(
                f"`by {text}` must choose one target, because their group is read as one value, got {got!r:.60}.",
                hint=f"give `{text}` a list type in `out`, such as [a | b]: then the group is read as a list",
            )
        choice: str | list[str] | None = [c for c in chooser.candidates if c in got] or None
    elif got is None or isinstance(got, str):
        choice = got if got in chooser.candidates else None
    else:
        raise SemanticFailure(
            f"`by {text}` must be a name or a list of names, got {got!r:.60}.", hint="use `when` conditions"
        )
    return {"how": "field", "path": text, "value": got, "choice": choice, "candidates": list(chooser.candidates)}
