"""Declared reads, resolved against a frame: what a node, a predicate or a chooser sees.

Inputs come by edge, never by arrival: a forward read sees this round's value, a read back along a loop edge the latest
completed round, a state key what its writers before this node wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.engine.fingerprint import reads_digest
from orch_nb.engine.plan import CURRENT, FAILURE, LATEST, index_of
from orch_nb.engine.state import DONE, MISSING
from orch_nb.errors import SemanticFailure
from orch_nb.schema.values import dig, fingerprint_of, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.engine.plan import Plan, Read
    from orch_nb.engine.state import Frame

SCALARS = frozenset({int, str, float, bool, type(None), bytes})
LONG = 256
"""Characters from which a text's digest is worth remembering."""


def source_value(frame: Frame, read: Read, item: int | None) -> object:
    """The whole value that `read` takes a path of, or MISSING."""
    match read.source:
        case "node":
            i = frame.topo.index[read.ref]
            if read.rounds:
                return _seen(frame, i, read.rounds[0])
            return frame.values[i] if read.back or frame.status[i] == DONE else MISSING
        case "failure":
            i = frame.topo.index[read.ref]
            if read.rounds and read.rounds[0] >= 0:
                return frame.remembered.get((read.rounds[0], ~i), MISSING)
            return frame.failures.get(i, MISSING)
        case "input":
            return frame.inputs.get(read.ref, MISSING)
        case "state":
            return frame.state[read.ref].value
        case "const":
            return read.value
        case "item":
            return item_value(frame, read, item)
    return _group(frame, read)


def _seen(frame: Frame, node: int, rounds: int) -> object:
    """Return the result of a node that a reader sees: of its current round, the latest of all, or as a loop's reopening found it."""
    if rounds >= 0:
        return frame.remembered.get((rounds, node), MISSING)
    return frame.values[node] if rounds == LATEST or frame.status[node] == DONE else MISSING


def item_value(frame: Frame, read: Read, item: int | None) -> object:
    """The map's item: entry `item` of the list that the node's `each` reads (`ref` names the node)."""
    if item is None:
        return MISSING
    each = each_of(frame, frame.topo.index[read.ref])
    assert each is not None
    items = resolve(frame, each, None)
    assert isinstance(items, list), "checked when the map began"
    return items[item]


def each_of(frame: Frame, node: int) -> Read | None:
    """Return the list that a node is mapped over in its current round."""
    by = frame.mapped_by.get(node)
    return frame.plan.nodes[node].each if by is None else frame.plan.edges[by].each


def _group(frame: Frame, read: Read) -> object:
    """The member that ran, or in declared order the list of those that did (back reads: in the latest round)."""
    index, status = frame.topo.index, frame.status
    if read.alone is not None:
        return _members(frame, read)
    if read.back:
        latest = max((frame.ran_in[index[m]] for m in read.members), default=0)
        ran = [index[m] for m in read.members if latest and frame.ran_in[index[m]] == latest]
    else:
        ran = [index[m] for m in read.members if status[index[m]] == DONE]
    values = [_part(frame.values[i], read) for i in ran]
    return MISSING if not values else values[0] if len(values) == 1 else values


def _members(frame: Frame, read: Read) -> object:
    """Return the value of the member that ran, where one runs at a time; else the list of those that did, in declared order."""
    rounds = read.rounds or (CURRENT,) * len(read.members)
    seen = [
        (i, value)
        for name, which in zip(read.members, rounds, strict=True)
        if (value := _seen(frame, i := frame.topo.index[name], which)) is not MISSING
    ]
    if not seen:
        return MISSING
    if read.alone:
        return _part(max(seen, key=lambda one: frame.ran_in[one[0]])[1], read)
    return [_part(value, read) for _, value in seen]


def _part(value: object, read: Read) -> object:
    try:
        return dig(value, read.path)
    except KeyError:
        if read.optional:
            return None
        raise


def resolve(frame: Frame, read: Read, item: int | None, *, overlay: tuple[str, object] | None = None) -> object:
    """Return the value that `read` sees; None for an optional read of something absent.

    Parameters
    ----------
    overlay
        (node name, value) of a node whose value is known but not folded yet: its own conditions read it.

    Raises
    ------
    SemanticFailure
        A read that is not optional finds nothing; what, and what to write, is said.
    """
    if (overlay is not None and read.ref == overlay[0] and read.source == "node") or (
        overlay is not None and overlay[0] in read.members
    ):
        value = overlay[1]
    else:
        try:
            value = source_value(frame, read, item)
        except KeyError as error:
            raise _absent(read, f"has no `{error.args[0]}`") from None
        if read.source == "group" and value is not MISSING:
            return value
    if value is MISSING:
        if read.optional:
            return None
        why = {"node": "did not run", "group": "did not run", "failure": "did not fail"}.get(
            read.source, "has no value"
        )
        raise _absent(read, why)
    if not read.path:
        return value
    try:
        return dig(value, read.path)
    except KeyError as error:
        if read.optional:
            return None
        raise _absent(read, f"has no `{error.args[0]}`") from None


STATED = frozenset({"confidence", "certainty", "probability", "likelihood", "score"})
"""Fields in which models write numbers about themselves. Such a number says how a model talks; nothing measured it."""


def stated_paths(plan: Plan, reads: Sequence[Read]) -> list[str]:
    """Those of a condition's paths that are numbers which an agent states about its own answer."""
    suspects = [read for read in reads if read.path and read.path[-1] in STATED and read.source in ("node", "group")]
    if not suspects:
        return []
    at = index_of(plan)
    agents = {
        name
        for r in suspects
        for name in (r.members or (r.ref,))
        if name in at and plan.nodes[at[name]].kind == "agent"
    }
    return [path_text(read) for read in suspects if agents & {read.ref, *read.members}]


def path_text(read: Read) -> str:
    """The read as it is written in a cell."""
    return ".".join((read.ref or read.name, *([FAILURE] if read.source == "failure" else []), *read.path))


def _absent(read: Read, why: str) -> SemanticFailure:
    text = path_text(read)
    return SemanticFailure(
        f"`{text}` cannot be read: `{read.ref or read.name}` {why}.",
        hint=f"write `{text}?` where it may be absent",
        read=text,
    )


def read_values(frame: Frame, node: int, item: int | None) -> dict[str, object]:
    """The node's declared reads by parameter name; containers are copies that the node may change.

    A read that is optional and absent is None for an agent, and left out for a function (its default is used).
    """
    out: dict[str, object] = {}
    spec = frame.plan.nodes[node]
    leave_out = spec.kind in ("function", "tool")
    for read in spec.reads:
        if (
            read.source == "node"
            and not (read.path or read.rounds)
            and frame.status[i := frame.topo.index[read.ref]] == DONE
        ):
            value = frame.values[i]
        else:
            value = resolve(frame, read, item)
            if value is None and read.optional and leave_out:
                continue
        out[read.name] = value if value.__class__ in SCALARS else share(value)
    return out


def read_digest(frame: Frame, node: int, values: dict[str, object]) -> bytes:
    """One digest over the values of the node's declared reads, by name. State lists give their running digest."""
    parts = []
    for read in frame.plan.nodes[node].reads:
        name = read.name
        if name not in values:
            continue
        value = values[name]
        cls = value.__class__
        if cls in SCALARS and not (isinstance(value, str) and len(value) >= LONG):
            part = fingerprint_of(value)
        elif read.source == "state" and not read.path and (digest := frame.state[read.ref].digest) is not None:
            part = digest.digest()
        elif read.source == "node" and not read.rounds:
            part = _node_digest(frame, read, value)
        else:
            part = fingerprint_of(value)
        parts.append((name, part))
    return reads_digest(parts)


def _node_digest(frame: Frame, read: Read, value: object) -> bytes:
    """The digest of (a part of) a node's value, worked out once however many nodes read it."""
    known = frame.digests.setdefault(frame.topo.index[read.ref], {})
    part = known.get(read.path)
    if part is None:
        part = known[read.path] = fingerprint_of(value)
    return part


def incoming_value(frame: Frame, node: int) -> object:
    """A node's input as a person or a passed gate sees it: the value of the one parent that ran, or a mapping of them.

    Parents back along a loop count only when no forward parent ran.
    """
    topo = frame.topo
    names = [topo.source[e] for e in topo.incoming[node]]
    ran = list(dict.fromkeys(i for i in names if frame.status[i] == DONE))
    if not ran:
        return dict(frame.inputs) if not names else None
    if len(ran) == 1:
        return frame.values[ran[0]]
    return {frame.plan.nodes[i].name: frame.values[i] for i in ran}
