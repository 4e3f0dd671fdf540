"""The state of a run: what `fold` builds from its events. Derived, never stored as truth.

A run is a tree of frames. The root frame is the run's graph; a nested graph, or one grown at run time, is a child frame
under the activation that opened it. All data is per frame and by position, so that one event costs the same however
long the run is.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.plan import END, topology
from orch_nb.errors import OrchError
from orch_nb.schema.budget import Budget
from orch_nb.schema.values import ListDigest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_nb.engine.plan import Plan
    from orch_nb.schema.events import ErrorInfo, Sent, Settled, Waiting

IDLE, READY, DONE, SKIPPED, FAILED, WAITING, OPEN = range(7)
"""What a node is in its current round. OPEN: it became a frame, or a map."""

AGAIN = frozenset({"again", "raise", "stop"})
"""Answers after which the activation that asked is due again: the effect is repeated, the budget was raised, or was not."""

NAMES = ("idle", "ready", "done", "skipped", "failed", "waiting", "open")

ZERO = Decimal(0)


class Missing:
    """The value of what has not run."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()

BOUND, REJECTED, DEGRADED = "bound used up", "rejected", "degraded"
"""Marks of a result that is less than it looks: a loop ended by its bound, a person said no, a cheaper model answered."""

ActId = tuple[str, int, int | None]
"""Identity of an activation that is due: frame key, position, item. Its round is the frame's."""


class Activate:
    """An activation that is due. `action`: "run" it, or "close" it (its frame or its map is complete).

    `attempt` counts tries; `not_before` is the earliest time of a retry; `in_doubt` says that an effect of it had
    begun, and nothing says how it ended, so that a person has to say whether it happened; `cleared` that one said "again"; `unasked` that one would not give it
    more budget.
    """

    __slots__ = (
        "action",
        "attempt",
        "cleared",
        "frame",
        "in_doubt",
        "item",
        "node",
        "not_before",
        "ready_at",
        "unasked",
    )

    def __init__(
        self, frame: Frame, node: int, item: int | None, action: str = "run", attempt: int = 1, not_before: float = 0.0
    ) -> None:
        self.frame, self.node, self.item, self.action = frame, node, item, action
        self.attempt, self.not_before = attempt, not_before
        self.in_doubt = self.cleared = self.unasked = False
        self.ready_at = 0.0

    @property
    def id(self) -> ActId:
        return (self.frame.key, self.node, self.item)

    @property
    def key(self) -> str:
        return self.frame.key_at(self.node, self.item)

    def __repr__(self) -> str:
        return f"Activate({self.action} {self.key}, attempt {self.attempt})"


class Items:
    """A map under way: values by item, and how many are still out."""

    __slots__ = ("left", "values")

    def __init__(self, count: int) -> None:
        self.values: list[object] = [MISSING] * count
        self.left = count


class StateKey:
    """A key of the graph's state: the contributions in canonical order, and the value they fold to.

    Contributions usually come in canonical order, then one costs O(its size): an appended list keeps its own growing
    list and digest. One that comes late (concurrent writers) refolds from its place.
    """

    __slots__ = ("digest", "name", "orders", "reducer", "value", "writes")

    def __init__(self, name: str, reducer: str, initial: object = MISSING) -> None:
        self.name, self.reducer = name, reducer
        self.orders: list[tuple[int, ...]] = []
        self.writes: list[Any] = []
        self.value: Any = MISSING
        self.digest: ListDigest | None = None
        if initial is not MISSING:
            self.write((-1,), initial)

    def write(self, order: tuple[int, ...], new: object) -> None:
        if self.reducer == "last":
            self.value = (
                new  # its writers follow one another (checked at compile time): the later write is the later event
            )
            return
        if not self.orders or order >= self.orders[-1]:
            self.orders.append(order)
            if self.reducer != "append":
                self.writes.append(new)
            self._fold(new)
            return
        self._late(order, new)

    def take_back(self, order: tuple[int, ...]) -> None:
        """Undo the latest write at `order`. A "last" one is left: what is there is written again before it is read."""
        from bisect import bisect_right

        at = bisect_right(self.orders, order) - 1
        if self.reducer == "last" or at < 0 or self.orders[at] != order:
            return
        if self.reducer == "append":
            start = sum(self.writes[:at])
            del self.value[start : start + self.writes[at]]
        del self.orders[at], self.writes[at]
        if self.reducer == "append":
            self.value, self.digest = (self.value, ListDigest(self.value)) if self.writes else (MISSING, None)
            return
        self.value = MISSING
        for write in self.writes:
            self._fold(write)

    def _fold(self, new: object) -> None:
        if self.reducer == "append":
            if self.value is MISSING:
                self.value, self.digest = [], ListDigest()
            items = new if new.__class__ is list else [new]
            self.writes.append(len(items))
            self.value.extend(items)
            assert self.digest is not None
            self.digest.extend(items)
            return
        from orch_nb.schema.reducers import reducer

        self.value = reducer(self.reducer)(None if self.value is MISSING else self.value, new)

    def _late(self, order: tuple[int, ...], new: object) -> None:
        from bisect import bisect_right

        at = bisect_right(self.orders, order)
        self.orders.insert(at, order)
        if self.reducer == "append":
            items = new if new.__class__ is list else [new]
            start = sum(self.writes[:at])
            self.writes.insert(at, len(items))
            self.value[start:start] = items
            self.digest = ListDigest(self.value)
            return
        self.writes.insert(at, new)
        self.value = MISSING
        for write in self.writes:
            self._fold(write)


class Frame:
    """One graph in execution. Everything is by position in `plan.nodes` / `plan.edges`."""

    __slots__ = ("body_round", "digests", "entered", "failures", "inputs", "items", "key", "last", "left", "mapped_by", "marks", "open_units", "parent", "pending",
                 "plan", "remembered", "round", "ran_in", "started_at", "state", "status", "taken", "topo", "traversals", "values")  # fmt: skip

    def __init__(
        self, key: str, plan: Plan, inputs: dict[str, object], parent: tuple[str, int, int | None] | None, at: float
    ) -> None:
        topo = topology(plan)
        n = len(plan.nodes)
        self.key, self.plan, self.topo, self.inputs, self.parent, self.started_at = key, plan, topo, inputs, parent, at
        self.values: list[object] = [MISSING] * n
        self.status = bytearray(n)
        self.pending = topo.need.copy()
        self.taken = bytearray(n + 1)
        self.round = [1] * n
        self.ran_in = [0] * n
        self.left = topo.units
        self.traversals: dict[int, int] = {}
        self.body_round = [1] * len(topo.bodies)
        self.digests: dict[int, dict[tuple[str, ...], bytes]] = {}
        self.open_units = [b.units for b in topo.bodies]
        self.last = bytearray(len(plan.edges))
        """Arrows that their source took when it ran last (only of those that are not simply passed on)."""
        self.remembered: dict[tuple[int, int], object] = {}
        """(body, node) -> the node's result at the body's latest reopening."""
        self.entered: dict[int, int] = {}
        """Node -> its latest round before the loop around it was entered again: results up to there are not seen."""
        self.marks: dict[int, frozenset[str]] = {}
        """Node -> what its result of this round is marked with, child frames included."""
        self.failures: dict[int, dict[str, object]] = {}
        """Node -> how it failed, or was rejected, in this round: class, message, attempts, output."""
        self.mapped_by: dict[int, int] = {}
        """Node -> the arrow back whose `each` it is mapped over in this round."""
        self.items: dict[int, Items] = {}
        self.state: dict[str, StateKey] = {
            name: StateKey(name, row.get("reducer", "last"), inputs.get(name, row.get("default", MISSING)))
            for name, row in plan.state.items()
        }

    def mark(self, node: int, *words: str) -> None:
        """Mark a node's result of this round."""
        self.marks[node] = self.marks.get(node, frozenset()).union(words)

    def marks_of_output(self) -> frozenset[str]:
        """Return the marks of the nodes that the output rests on.

        These are the nodes on forward paths to an output or to ``-> out``, and all nodes of the loops that those are in.
        """
        if not self.marks:
            return frozenset()
        topo, plan = self.topo, self.plan
        ends = [topo.index[m] for name in plan.out for m in plan.groups.get(name, (name,))]
        ends += [topo.source[e] for e, target in enumerate(topo.target) if target == END]
        found: set[int] = set()
        todo = [i for i in ends if self.status[i] == DONE]
        while todo:
            i = todo.pop()
            if i not in found:
                found.add(i)
                todo += [topo.source[e] for e in topo.incoming[i]]
                for b in topo.chain[i]:
                    todo += topo.bodies[b].members
        return frozenset().union(*(words for i, words in self.marks.items() if i in found))

    def key_at(self, node: int, item: int | None = None) -> str:
        """The key of an activation of this frame in the node's current round."""
        name, rnd = self.plan.nodes[node].name, self.round[node]
        if item is not None:
            name = f"{name}[{rnd}][{item}]"
        elif rnd != 1:
            name = f"{name}[{rnd}]"
        return f"{self.key}/{name}" if self.key else name

    def order_of(self, node: int, item: int | None) -> tuple[int, ...]:
        """Return the position of a write in canonical order: by place in the plan and, inside loops, by round."""
        at: tuple[int, ...] = ()
        for b in self.topo.chain[node]:
            at += (self.topo.bodies[b].first, self.body_round[b])
        return (*at, node, -1 if item is None else item)


class Consumed(OrchError):
    """A state was folded again after `fold` had consumed it (debug mode)."""

    code = "ORCH290"
    user_fixable = False


class RunState:
    """What has happened so far, and what is due.

    `ready` holds what is due, in order; `fresh` what became due since a driver last took it. Money counts this run only:
    `spent + held + in_doubt <= limit` is kept by admission (the ledger), and checked on every prefix by the tests.
    """

    __slots__ = ("budget", "calls", "degraded", "ended", "error", "failed", "frames", "fresh", "graph", "has_sent", "held_usd", "in_doubt_usd",
                 "last_call", "open_calls", "output", "overrun_usd", "plan", "ready", "record", "run", "seq", "spent_usd",
                 "stale", "status", "used", "verdicts", "waiting")  # fmt: skip

    def __init__(self) -> None:
        self.run = self.graph = ""
        self.plan: Plan | None = None
        self.status = "running"
        self.seq = 0
        self.frames: dict[str, Frame] = {}
        self.ready: dict[ActId, Activate] = {}
        self.fresh: list[Activate] = []
        self.calls: dict[str, list[Settled]] = {}
        self.verdicts: dict[str, list[Settled]] = {}
        """What judges said of the next node, by activation: no part of the conversation of the agent that is there."""
        self.open_calls: dict[tuple[str, int], Sent] = {}
        self.degraded: dict[str, str] = {}
        """Activations under way that a cheaper model was asked for, and why."""
        self.last_call: dict[str, int] = {}
        """Number of the latest call of each activation under way: numbers are not used twice, even for a call in doubt."""
        self.waiting: dict[str, Waiting] = {}
        self.failed: dict[ActId, tuple[ErrorInfo, str]] = {}
        self.used: set[str] = set()
        self.error: ErrorInfo | None = None
        self.output: object = None
        self.ended = self.has_sent = False
        self.record = False
        self.budget = Budget()
        self.spent_usd = self.held_usd = self.in_doubt_usd = self.overrun_usd = ZERO
        self.stale = False

    @property
    def limit_usd(self) -> Decimal | None:
        """The run's own limit in dollars."""
        return self.budget.usd

    @property
    def root(self) -> Frame:
        return self.frames[""]

    @property
    def settled(self) -> bool:
        """True if nothing can happen any more without a new fact from outside."""
        return not self.ready and not self.waiting

    @property
    def marks(self) -> list[str]:
        """The marks of the run's status: those of its nodes in their last rounds, in alphabetical order."""
        return sorted(frozenset().union(*self.root.marks.values())) if self.frames else []

    @property
    def ok(self) -> bool:
        """True if the run is done and nothing that its output rests on is marked."""
        return self.status == "done" and not self.root.marks_of_output()

    @property
    def complete(self) -> bool:
        """True if every node of the run's graph is done or skipped."""
        return self.root.left == 0 and not self.record

    def snapshot(self) -> RunState:
        """An independent copy, to be kept while this one is folded on. O(size of the state)."""
        plan, self.plan = self.plan, None
        plans = {f.key: (f.plan, f.topo) for f in self.frames.values()}
        memo: dict[int, object] = {id(p): p for p, _ in plans.values()}
        memo.update({id(t): t for _, t in plans.values()})
        memo[id(MISSING)] = MISSING
        digests = {}
        for frame in self.frames.values():
            for key in frame.state.values():
                if key.digest is not None:
                    digests[frame.key, key.name] = key.digest
                    key.digest = None
        try:
            made = copy.deepcopy(self, memo)
        finally:
            self.plan = plan
            for (frame_key, name), digest in digests.items():
                self.frames[frame_key].state[name].digest = digest
        made.plan = plan
        for frame_key, name in digests:
            key = made.frames[frame_key].state[name]
            key.digest = ListDigest(key.value)
        return made


def due(plan: Plan, state: RunState) -> Sequence[Activate]:
    """Everything that is due, in the order in which it became so. Pure; O(what is due).

    Nothing is due once a node has failed for good: what was under way may end, but nothing new starts.
    """
    return [] if state.failed or state.ended else list(state.ready.values())
