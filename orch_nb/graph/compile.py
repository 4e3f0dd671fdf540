"""From an edited graph to a frozen plan: names bound, reads resolved, loops found, everything checked before any spend.

All problems are collected and raised as one `GraphError`.
"""

from __future__ import annotations

import builtins
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

from orch_nb.engine.plan import CURRENT, FAILURE, LATEST, Body, Chooser, Edge, Plan, PlanNode, Read, Retry
from orch_nb.errors import BadType, GraphError, OrchError, nearest
from orch_nb.graph import loops as graph_loops
from orch_nb.lang.condition import Predicate
from orch_nb.lang.graph_cell import OBJECTLESS
from orch_nb.lang.template import read_path
from orch_nb.schema.graph_spec import END, EdgeSpec, GraphSpec, NodeSpec
from orch_nb.schema.names import check_name, option_problem
from orch_nb.schema.reducers import REDUCERS, reducer
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_NESTING = 8
EXIT = "_exit"
"""Suffix of the person that a node with only conditional exits gets."""


@dataclass(slots=True)
class Want:
    """A read as a node declares it, before it is resolved."""

    head: str
    path: tuple[str, ...]
    optional: bool
    name: str


@dataclass(slots=True)
class Facts:
    """What an object of the namespace says about itself as a node. PreparedComparison by the composition root, which knows them all."""

    kind: str
    wants: list[Want] = field(default_factory=list)
    writes: dict[str, str] = field(default_factory=dict)
    definition: dict[str, object] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    source_hash: str = ""
    fingerprint: str = ""
    effects: tuple[str, ...] = ()
    timeout_s: float | None = None
    attempts: int = 3
    budget_usd: str | None = None
    budget: dict[str, Any] | None = None
    on_failure: str = "fail"
    describe: str = ""
    examples: tuple[str, ...] = ()
    graph: GraphSpec | None = None


FactsOf = Callable[[str, object], Facts]
"""``facts_of(name, object)``; raises an `OrchError` when the object cannot be a node."""


@dataclass(slots=True)
class Draft:
    """A node on the way into the plan."""

    spec: NodeSpec
    facts: Facts
    subplan: Plan | None = None
    each: EdgeSpec | None = None

    @property
    def wants(self) -> list[Want]:
        return self.facts.wants


def compile_graph(spec: GraphSpec, namespace: Mapping[str, object], facts_of: FactsOf, *, nesting: int = 0) -> Plan:
    """The checked, frozen plan of an edited graph.

    Parameters
    ----------
    spec
        The graph as written.
    namespace
        Where its names are bound: the notebook's variables.
    facts_of
        Says what an object is as a node.

    Raises
    ------
    GraphError
        Everything that is wrong with it, at once: unknown names, unconnected nodes, loops without a bound, loops that
        overlap or wait for each other, two writers without a reducer, reads of nothing, conditions that cannot hold their types.

    Notes
    -----
    O(nodes^2 / 64 + edges); 10,000 nodes compile in about a second.
    """
    return Compiler(spec, namespace, facts_of, nesting).plan()


class Compiler:
    """One compilation. Steps are methods in the order in which they run."""

    def __init__(self, spec: GraphSpec, namespace: Mapping[str, object], facts_of: FactsOf, nesting: int) -> None:
        self.spec, self.namespace, self.facts_of, self.nesting = spec, namespace, facts_of, nesting
        self.problems: list[str] = []
        self.names: list[str] = []
        self.drafts: dict[str, Draft] = {}
        self.edges: list[EdgeSpec] = list(spec.edges)
        self.groups = dict(spec.groups)
        self.inputs: dict[str, bool] = {}
        self.state: dict[str, dict[str, Any]] = {}
        self.back: set[int] = set()
        """Arrows that go back, by position in `edges`."""
        self.advances: dict[int, tuple[int, ...]] = {}
        self.chooses_one: set[str] = set()
        """Nodes whose `by` must give one value, because a group of its targets is read as one value."""

    def plan(self) -> Plan:
        """Run all steps."""
        if self.nesting > MAX_NESTING:
            raise GraphError(
                f"`{self.spec.name}` is nested more than {MAX_NESTING} deep.", hint="does it contain itself?"
            )
        if not self.spec.nodes:
            raise GraphError(f"graph `{self.spec.name}` has no nodes.", hint="draw an arrow: `a -> b`")
        self._bind()
        self._stop("names")
        self._check_connected()
        self._person_exits()
        self._sort()
        self._stop("arrows")
        self.by_edges: dict[str, list[EdgeSpec]] = {}
        for edge in self.edges:
            if edge.kind == "by":
                self.by_edges.setdefault(edge.source, []).append(edge)
        self._loops()
        self._stop("arrows")
        self._maps()
        self._declare_state()
        nodes = [self._node(name) for name in self.sorted]
        edges = [self._edge(e, edge) for e, edge in enumerate(self.edges)]
        self._check_writers()
        self._check_inputs()
        self._stop("reads")
        nodes = [
            dataclasses.replace(n, chooser=dataclasses.replace(n.chooser, one=True))
            if n.chooser and n.name in self.chooses_one
            else n
            for n in nodes
        ]
        return Plan(
            name=self.spec.name, nodes=tuple(nodes), edges=tuple(edges),
            inputs=tuple(n for n, optional in self.inputs.items() if not optional),
            optional_inputs=tuple(n for n, optional in self.inputs.items() if optional),
            out=self._out(), bodies=self._bodies(), state=self.state, groups=self.groups,
            subplans={n: d.subplan for n, d in self.drafts.items() if d.subplan is not None},
        )  # fmt: skip

    def _stop(self, what: str) -> None:
        if self.problems:
            raise GraphError(
                f"graph `{self.spec.name}` does not compile: {_problems(len(self.problems))} with its {what}.",
                problems=list(dict.fromkeys(self.problems)),
            )

    def _problem(self, text: str, line: int = 0) -> None:
        self.problems.append(f"line {line}: {text}" if line else text)

    # ------------------------------------------------------------ names
    def _bind(self) -> None:
        for name, spec in self.spec.nodes.items():
            try:
                self.drafts[name] = self._draft(spec)
            except OrchError as error:
                self._problem(f"`{name}`: {error}" + (f" ({error.hint})" if error.hint else ""), spec.line)
        for name, group in self.groups.items():
            for member in group:
                if member not in self.spec.nodes:
                    self._problem(f"group `{name}` has a member `{member}`, which must be a node.")
            if name in self.spec.nodes:
                self._problem(f"`{name}` is both a node and a group.")

    def _draft(self, spec: NodeSpec) -> Draft:
        if spec.kind in OBJECTLESS:
            return Draft(spec, Facts(spec.kind, definition={"question": spec.question} if spec.question else {}))
        target, wanted = spec.target, spec.of or spec.name
        if target is None:
            if wanted not in self.namespace:
                raise GraphError(f"no agent, function or graph `{wanted}` is defined.", hint=self._nearest_name(wanted))
            target = self.namespace[wanted]
        facts = self.facts_of(wanted, target)
        if spec.kind and spec.kind != facts.kind:
            raise GraphError(f"`{wanted}` is a {facts.kind}, not a {spec.kind}.")
        if facts.graph is None:
            return Draft(spec, facts)
        sub = compile_graph(facts.graph, self.namespace, self.facts_of, nesting=self.nesting + 1)
        facts.wants = [Want(n, (), False, n) for n in sub.inputs] + [Want(n, (), True, n) for n in sub.optional_inputs]
        return Draft(spec, facts, sub)

    def _nearest_name(self, wanted: str) -> str:
        usable = [
            n for n, v in self.namespace.items() if not (n.startswith("_") or hasattr(builtins, n)) and callable(v)
        ]
        declared = [n for n, spec in self.spec.nodes.items() if n != wanted and (spec.kind or spec.of or spec.target)]
        near = nearest(wanted, [*declared, *usable])
        return f"did you mean `{near}`?" if near else "run the cell that defines it"

    # ------------------------------------------------------------ arrows
    def _check_connected(self) -> None:
        known = self.spec.nodes
        touched: set[str] = set()
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in known and (end != END or end == edge.source):
                    self._problem(f"`{end}` is not a node.", edge.line)
            touched.update((edge.source, edge.target))
        if len(known) > 1:
            for name, spec in known.items():
                if name not in touched:
                    self._problem(f"`{name}` has no arrow: nothing leads to it or from it.", spec.line)
        self._one_chooser()

    def _one_chooser(self) -> None:
        texts: dict[str, set[tuple[str, float | None]]] = {}
        for edge in self.edges:
            if edge.kind == "by":
                texts.setdefault(edge.source, set()).add((edge.by, edge.threshold))
        for source, found in texts.items():
            if len(found) > 1:
                self._problem(f"`{source}` chooses by two things: {', '.join(sorted(t for t, _ in found))}.")

    def _person_exits(self) -> None:
        """A node with only conditional exits and no else ends at a person, unless it is declared to be an end itself."""
        by_source: dict[str, list[EdgeSpec]] = {}
        for edge in self.edges:
            by_source.setdefault(edge.source, []).append(edge)
        ends = {m for o in self.spec.out for m in self.groups.get(o, (o,))}
        for source, edges in by_source.items():
            if source in ends or any(e.kind in ("plain", "else") for e in edges) or self._exhaustive(source, edges):
                continue
            name = source + EXIT
            spec = NodeSpec(name, "human", question=f"No exit of `{source}` was true. What follows?")
            self.drafts[name] = Draft(spec, Facts("human", definition={"question": spec.question, "exit_of": source}))
            self.edges.append(EdgeSpec(source, name, "else"))

    def _exhaustive(self, source: str, edges: list[EdgeSpec]) -> bool:
        """Return whether a `by` over an enum covers every value."""
        by = [e for e in edges if e.kind == "by"]
        if not by or by[0].by.startswith(("similarity(", "judge(")) or by[0].by == "fit":
            return False
        path = read_path(by[0].by)
        schema = self._schema_at(path.parts)
        values = _choices_of(schema) if (schema or {}).get("type") != "array" else ()  # a list may be empty
        return bool(values) and set(values) <= {e.target for e in by}

    def _sort(self) -> None:
        """Find the arrows that go back, and put the nodes in the order of the others."""
        names = list(self.drafts)
        at = {name: i for i, name in enumerate(names)}
        arrows = {
            e: (at[x.source], at[x.target]) for e, x in enumerate(self.edges) if x.source in at and x.target in at
        }
        free = [arrow for e, arrow in arrows.items() if self.edges[e].at_most is None]
        if len(graph_loops.order(len(names), free)) < len(names):
            self._unbounded(names, graph_loops.a_cycle(len(names), free))
            return
        bounded = {e for e in arrows if self.edges[e].at_most is not None}
        self.back = graph_loops.leading_back(len(names), arrows, bounded)
        ordered = graph_loops.order(len(names), [arrow for e, arrow in arrows.items() if e not in self.back])
        self.sorted = [names[i] for i in ordered]
        self.at = {name: i for i, name in enumerate(self.sorted)}
        self.forward = [
            (self.at[x.source], self.at[x.target])
            for e, x in enumerate(self.edges)
            if e in arrows and e not in self.back
        ]
        self.before = graph_loops.ancestors(len(names), self.forward, list(range(len(names))))

    def _unbounded(self, names: list[str], cycle: list[int]) -> None:
        steps = set(itertools.pairwise(names[i] for i in cycle))
        back = max((e for e in self.edges if (e.source, e.target) in steps), key=lambda e: e.line)
        shown = " -> ".join(names[i] for i in cycle)
        self._problem(f"a loop without a bound: {shown}. Write `{back.source} -> {back.target} at most n`.", back.line)

    # ------------------------------------------------------------ loops
    def _loops(self) -> None:
        backs = []
        for e in sorted(self.back):
            edge = self.edges[e]
            source, target = self.at[edge.source], self.at[edge.target]
            if self.before[source] >> target & 1:
                backs.append((e, source, target))
            else:
                self._problem(
                    f"`{edge.source} -> {edge.target}` goes back, but no arrows lead from `{edge.target}` to "
                    f"`{edge.source}`: write the arrows of the loop in the order in which its nodes run.", edge.line)  # fmt: skip
        self._check_bounds()
        self.loops, self.advances = [], {}
        if not backs or self.problems:
            return
        bodies = graph_loops.Bodies(len(self.sorted), self.forward, self.before)
        self.loops = bodies.of(backs)
        self.advances = {
            e: tuple(dict.fromkeys(self.counters[f] for f in self._bounded_between(source, target, bodies)))
            for e, source, target in backs
        }

    def _check_bounds(self) -> None:
        """Number the counters (arrows on one line share one), and refuse a bound on an arrow that is on no loop."""
        self.counters: dict[int, int] = {}
        shared: dict[int, int] = {}
        if all(edge.at_most is None for edge in self.edges):
            return
        ring = graph_loops.cyclic_parts(
            [*self.forward, *((self.at[self.edges[e].source], self.at[self.edges[e].target]) for e in self.back)]
        )
        for e, edge in enumerate(self.edges):
            if edge.at_most is None:
                continue
            source, target = self.at[edge.source], self.at.get(edge.target, -1)
            if edge.at_most < 1:
                self._problem(f"`{edge.source} -> {edge.target}` may be taken at most {edge.at_most} times.", edge.line)
            elif e in self.back or (source in ring and ring[source] == ring.get(target)):
                self.counters[e] = shared.setdefault(edge.counter, e) if edge.counter else e
        on_loops = {self.edges[e].counter for e in self.counters}
        for e, edge in enumerate(self.edges):
            if edge.at_most is not None and e not in self.counters and not (edge.counter and edge.counter in on_loops):
                self._problem(
                    f"`{edge.source} -> {edge.target} at most {edge.at_most}` goes back to nothing: no arrows lead from "
                    f"`{edge.target}` to `{edge.source}`.", edge.line)  # fmt: skip

    def _bounded_between(self, source: int, target: int, bodies: graph_loops.Bodies) -> list[int]:
        """Return the bounded arrows that lead forward from `target` to `source`."""
        return [
            e
            for e in self.counters
            if e not in self.back
            and bodies.after[target] >> self.at[self.edges[e].source] & 1
            and self.before[source] >> self.at[self.edges[e].target] & 1
        ]

    def _shown_loops(self, loops: list[graph_loops.Loop]) -> str:
        return " and ".join("{" + ", ".join(self.sorted[i] for i in graph_loops.members(x.nodes)) + "}" for x in loops)

    def _bodies(self) -> tuple[Body, ...]:
        return tuple(
            Body(
                self.sorted[next(iter(graph_loops.members(x.nodes)))],
                tuple(self.sorted[i] for i in graph_loops.members(x.nodes)),
                tuple(x.arrows),
                x.parent,
            )
            for x in self.loops
        )

    def _common_body(self, a: int, b: int) -> int | None:
        """Return the number of the smallest body around two nodes; None where there is none."""
        both = 1 << a | 1 << b
        return next((k for k, x in enumerate(self.loops) if x.nodes & both == both), None)

    def _is_behind_loop_of(self, a: int, b: int) -> bool:
        """Return whether `b` lies behind a loop that `a` is in: then all rounds of `a` are over when `b` starts."""
        return any(x.nodes >> a & 1 and not x.nodes >> b & 1 and x.nodes & self.before[b] for x in self.loops)

    def _maps(self) -> None:
        """Find what each node is mapped over: one arrow forward, and for later rounds one arrow back with the same name."""
        forward = {
            x.target: x for e, x in enumerate(self.edges) if x.each and e not in self.back and x.target in self.drafts
        }
        for e, edge in enumerate(self.edges):
            if not edge.each or edge.target not in self.drafts:
                continue
            first = forward.get(edge.target)
            if first is None:
                self._problem(
                    f"`{edge.target}` is mapped only by an arrow back: give the arrow that first leads to it `each … as "
                    f"{edge.each_as}` too.", edge.line)  # fmt: skip
            elif first.each_as != edge.each_as:
                self._problem(f"`{edge.target}` is mapped as `{first.each_as}` and as `{edge.each_as}`.", edge.line)
            elif e not in self.back and first is not edge:
                self._problem(f"`{edge.target}` is mapped by two arrows.", edge.line)
            else:
                self.drafts[edge.target].each = first
        for target, arrows in itertools.groupby(
            sorted(x.target for e, x in enumerate(self.edges) if x.each and e in self.back)
        ):
            if len(list(arrows)) > 1:
                self._problem(f"`{target}` is mapped by two arrows back.")

    # ------------------------------------------------------------ state
    def _declare_state(self) -> None:
        cls = self.spec.state_class
        if cls is None and self.spec.state:
            cls = self.namespace.get(self.spec.state)
            if cls is None:
                self._problem(f"no state class `{self.spec.state}` is defined.")
                return
        fields = state_fields(cls) if cls is not None else {}
        self.state = {name: {**row, "writers": [], "readers": []} for name, row in fields.items()}
        for name in self.sorted:
            for key, how in self.drafts[name].facts.writes.items():
                self._writer(name, key, how, declared=cls is not None)

    def _writer(self, node: str, key: str, reducer: str, *, declared: bool) -> None:
        row = self.state.get(key)
        if row is None:
            if declared:
                near = nearest(key, self.state)
                hint = f" Did you mean `{near}`?" if near else ""
                self._problem(f"`{node}` writes `{key}`, which the state class does not have.{hint}")
                return
            row = self.state[key] = {"reducer": reducer, "writers": [], "readers": []}
        elif row["reducer"] != reducer and reducer != "last":
            if row["reducer"] != "last" or row["writers"]:
                self._problem(f"`{key}` is written with two reducers: {row['reducer']} and {reducer} (by `{node}`).")
            row["reducer"] = reducer
        if key in self.drafts:
            self._problem(f"`{key}` is both a node and a state key.")
        row["writers"].append(node)

    def _check_writers(self) -> None:
        for key, row in self.state.items():
            writers = [self.at[w] for w in row["writers"]]
            mapped = any(self.drafts[w].each is not None for w in row["writers"])
            pair = next(((a, b) for a in writers for b in writers if a < b and not self._is_ordered(a, b)), None)
            if row["reducer"] == "last" and (pair or mapped):
                who = f"`{self.sorted[pair[0]]}` and `{self.sorted[pair[1]]}`" if pair else "the items of a map"
                self._problem(
                    f"{who} may write `{key}` at once: it needs a reducer (append, add, max, min, union, merge)."
                )
            for reader in row["readers"]:
                r = self.at[reader]
                racing = next((w for w in writers if w != r and not self._is_ordered(w, r)), None)
                if racing is not None:
                    self._problem(
                        f"`{reader}` reads `{key}` while `{self.sorted[racing]}` may be writing it: draw an arrow between them."
                    )

    def _is_ordered(self, a: int, b: int) -> bool:
        after = self.before[b] >> a & 1 or self.before[a] >> b & 1
        return bool(after) or self._is_behind_loop_of(a, b) or self._is_behind_loop_of(b, a)

    # ------------------------------------------------------------ reads
    def _node(self, name: str) -> PlanNode:
        draft = self.drafts[name]
        facts = draft.facts
        reads = tuple(r for w in draft.wants if (r := self._read(name, w, draft)) is not None)
        unused = set(draft.spec.bindings) - {w.head for w in draft.wants}
        for binding in sorted(unused):
            near = nearest(binding, [w.head for w in draft.wants])
            self._problem(
                f"`{name}` does not read `{binding}`" + (f"; did you mean `{near}`?" if near else "."), draft.spec.line
            )
        each = None
        if draft.each is not None:
            each = self._path_read(name, draft.each.each, "each", draft.each.line)
        gate_reads: tuple[Read, ...] = ()
        if draft.spec.gate:
            gate_reads = self._predicate_reads(name, draft.spec.gate, draft.spec.line, itself=False)
        return PlanNode(
            name=name, kind=facts.kind, reads=reads, writes=facts.writes, spec=facts.definition,  # type: ignore[arg-type]
            function=draft.spec.of or name, source_hash=facts.source_hash, fingerprint=facts.fingerprint,
            effects=facts.effects, gate=draft.spec.gate, gate_reads=gate_reads, each=each,
            each_as=draft.each.each_as if draft.each else "", on_failure=facts.on_failure,  # type: ignore[arg-type]
            chooser=self._chooser(name), timeout_s=facts.timeout_s, retry=Retry(attempts=facts.attempts),
            budget_usd=facts.budget_usd, budget=facts.budget, describe=facts.describe,
        )  # fmt: skip

    def _read(self, node: str, want: Want, draft: Draft) -> Read | None:
        binding = draft.spec.bindings.get(want.head)
        if binding is not None:
            return self._read_binding(node, want, binding, draft)
        if draft.each is not None and want.head == draft.each.each_as:
            return Read(want.name, "item", node, want.path, want.optional)
        return self._resolve(node, want.name, want.head, want.path, want.optional, draft.spec.line)

    def _read_binding(self, node: str, want: Want, text: str, draft: Draft) -> Read | None:
        import json

        try:
            return Read(want.name, "const", want.head, want.path, want.optional, value=json.loads(text))
        except ValueError:
            pass
        path = read_path(text, line=draft.spec.line, source=self.spec.source)
        head, rest = path.parts[0], (*path.parts[1:], *want.path)
        if draft.each is not None and head == draft.each.each_as:
            return Read(want.name, "item", node, rest, want.optional or path.optional)
        return self._resolve(node, want.name, head, rest, want.optional or path.optional, draft.spec.line)

    def _path_read(self, node: str, text: str, name: str, line: int, *, optional: bool = False) -> Read | None:
        path = read_path(text, line=line, source=self.spec.source)
        return self._resolve(node, name, path.parts[0], path.parts[1:], path.optional or optional, line)

    def _resolve(
        self, node: str, name: str, head: str, path: tuple[str, ...], optional: bool, line: int, *, itself: bool = False
    ) -> Read | None:
        """Return where `head` leads from `node`: a node, a group, a state key, or else a graph input."""
        if head in self.groups and itself and node in self.groups[head]:
            return Read(name, "node", node, path, optional)  # a member's own exits see what it made
        if head in self.groups:
            members = self.groups[head]
            rounds = [self._rounds(node, m, head, optional, line, itself=itself) for m in members]
            seen = tuple(r for r in rounds if r is not None)
            if len(seen) < len(members):
                return None
            alone = LATEST not in seen and self._are_exclusive(members)
            return Read(name, "group", head, path, optional, members=members, rounds=_unless_current(seen), alone=alone)
        if head in self.drafts and path[:1] == (FAILURE,) and not self._has_field(head, FAILURE):
            rounds_of = self._rounds(node, head, f"{head}.{FAILURE}", optional, line, itself=itself)
            if rounds_of is None:
                return None
            return Read(name, "failure", head, path[1:], optional, rounds=_unless_current((rounds_of,)))
        if head in self.drafts:
            rounds_of = self._rounds(node, head, head, optional, line, itself=itself)
            self._check_field(node, head, path, line)
            if rounds_of is None:
                return None
            return Read(name, "node", head, path, optional, rounds=_unless_current((rounds_of,)))
        if head in self.state:
            self.state[head]["readers"].append(node)
            return Read(name, "state", head, path, optional)
        self.inputs[head] = self.inputs.get(head, True) and optional
        return Read(name, "input", head, path, optional)

    def _rounds(self, node: str, source: str, shown: str, optional: bool, line: int, *, itself: bool) -> int | None:
        """Return which result of `source` the node sees (`Read.rounds`); None, with a problem, where that is not certain."""
        a, b = self.at[source], self.at[node]
        if (a != b and self.before[b] >> a & 1) or (a == b and itself):
            return CURRENT
        body = self._common_body(a, b)
        behind = body is None and self._is_behind_loop_of(a, b)
        if (body is not None or behind) and optional:
            return LATEST if body is None else body
        if body is not None:
            self._problem(
                f"`{node}` reads `{shown}` from the round before: in round 1 it is absent, so write `{shown}?` "
                "(a function: give the parameter a default).", line)  # fmt: skip
        elif behind:
            self._problem(
                f"`{node}` reads `{shown}`, which may never have run when its loop ends: write `{shown}?` "
                "(a function: give the parameter a default).", line)  # fmt: skip
        elif a == b:
            self._problem(f"`{node}` reads itself, but is in no loop.", line)
        else:
            self._problem(f"`{node}` reads `{shown}`, which does not come before it: draw an arrow, or a loop.", line)
        return None

    def _are_exclusive(self, members: tuple[str, ...]) -> bool:
        """Return whether one member of a group runs at a time: one node chooses among them by one value."""
        forward = [x for e, x in enumerate(self.edges) if e not in self.back and x.target in members]
        choosers = {x.source for x in forward if x.kind == "by"}
        if len(members) < 2 or len(choosers) != 1 or any(x.kind not in ("by", "else") for x in forward):
            return False
        text = next(x.by for x in forward if x.kind == "by")
        if {x.source for x in forward} != choosers or {x.target for x in forward} < set(members):
            return False
        if text == "fit" or text.startswith(("similarity(", "judge(")):
            return True
        schema = self._schema_at(read_path(text).parts)
        if (schema or {}).get("type") == "array":
            return False
        self.chooses_one.add(next(iter(choosers)))
        return True

    def _has_field(self, head: str, field: str) -> bool:
        """Return whether the type of a node's value is known to have a field."""
        return field in ((self.drafts[head].facts.schema or {}).get("properties") or ())

    def _check_field(self, node: str, head: str, path: tuple[str, ...], line: int) -> None:
        schema = self.drafts[head].facts.schema
        if not path or schema is None or self.drafts[head].each is not None:
            return
        fields = (schema or {}).get("properties")
        if schema.get("type") == "object" and fields is not None and path[0] not in fields:
            near = nearest(path[0], fields)
            hint = f" Did you mean `{head}.{near}`?" if near else f" It has {', '.join(f'`{f}`' for f in fields)}."
            self._problem(f"`{node}` reads `{head}.{path[0]}`, which `{head}` does not make.{hint}", line)

    # ------------------------------------------------------------ conditions
    def _edge(self, e: int, edge: EdgeSpec) -> Edge:
        reads: tuple[Read, ...] = ()
        text = edge.condition
        if edge.kind == "when":
            reads = self._predicate_reads(edge.source, edge.condition, edge.line, itself=True)
            text = Predicate.parse(edge.condition).text
        each = None
        if edge.each and e in self.back:
            each = self._path_read(edge.target, edge.each, "each", edge.line, optional=True)
        counter = self.counters.get(e)
        return Edge(
            edge.source, edge.target, edge.kind, text, None if counter is None else edge.at_most, reads,  # type: ignore[arg-type]
            None if counter == e else counter, self.advances.get(e, ()), each,
        )  # fmt: skip

    def _predicate_reads(self, node: str, text: str, line: int, *, itself: bool) -> tuple[Read, ...]:
        try:
            predicate = Predicate.parse(text)
        except OrchError as error:
            self._problem(f"`{text}`: {error}", line)
            return ()
        for problem in predicate.check(self._type_of):
            self._problem(f"`{text}`: {problem}", line)
        made = []
        for path in predicate.paths:
            read = self._resolve(
                node, ".".join(path.parts), path.parts[0], path.parts[1:], path.optional, line, itself=itself
            )
            if read is not None:
                made.append(read)
        return tuple(made)

    def _type_of(self, parts: Any) -> dict[str, Any] | None:
        return self._schema_at(tuple(getattr(parts, "parts", parts)))

    def _schema_at(self, parts: tuple[str, ...]) -> dict[str, object] | None:
        draft = self.drafts.get(parts[0])
        schema = draft.facts.schema if draft is not None else None
        for part in parts[1:]:
            schema = ((schema or {}).get("properties") or {}).get(part)
        return schema

    def _chooser(self, name: str) -> Chooser | None:
        edges = self.by_edges.get(name)
        if not edges:
            return None
        text, threshold = edges[0].by, edges[0].threshold
        if text == "fit" or text.startswith("judge("):
            return self._by_description(name, edges)
        how = "similarity" if text.startswith("similarity(") else "field"
        path = read_path(text[len("similarity(") : -1] if how == "similarity" else text)
        read = self._resolve(
            name, ".".join(path.parts), path.parts[0], path.parts[1:], path.optional, edges[0].line, itself=True
        )
        if read is None:
            return None
        candidates = tuple(dict.fromkeys(e.target for e in edges))
        if how == "field":
            self._check_cases(name, path.parts, candidates, edges)
            return Chooser("field", read, candidates)
        self._check_described(name, candidates, "similarity", edges[0].line)
        return Chooser("similarity", read, candidates, threshold or 0.0, *self._descriptions(candidates))

    def _by_description(self, name: str, edges: list[EdgeSpec]) -> Chooser:
        """`by fit` and `by judge(MODEL)`: what the node gives, against what its candidates say of themselves."""
        text = edges[0].by
        how: Literal["judge", "fit"] = "fit" if text == "fit" else "judge"
        candidates = tuple(dict.fromkeys(e.target for e in edges))
        self._check_described(name, candidates, how, edges[0].line)
        model = "" if how == "fit" else text[len("judge(") : -1]
        read = Read(name, "node", name)
        return Chooser(how, read, candidates, edges[0].threshold or 0.0, *self._descriptions(candidates), model=model)

    def _check_described(self, name: str, candidates: Iterable[str], how: str, line: int) -> None:
        for c in candidates:
            if not (self.drafts[c].facts.describe or self.drafts[c].facts.examples):
                why = "to be similar to" if how == "similarity" else "to be chosen by"
                self._problem(f"`{name}` chooses by {how}, but `{c}` has no description and no examples {why}.", line)

    def _descriptions(self, candidates: Iterable[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
        facts = {c: self.drafts[c].facts for c in candidates}
        return {c: f.describe for c, f in facts.items()}, {c: f.examples for c, f in facts.items()}

    def _check_cases(self, name: str, parts: tuple[str, ...], candidates: Iterable[str], edges: list[EdgeSpec]) -> None:
        values = _choices_of(self._schema_at(parts))
        if not values:
            return
        for c in candidates:
            if c not in values:
                near = nearest(c, [v for v in values if isinstance(v, str)])
                hint = f"; did you mean `{near}`?" if near else f" ({', '.join(map(str, values))})"
                self._problem(
                    f"`{name}` can never choose `{c}`: `{'.'.join(parts)}` is one of its values{hint}", edges[0].line
                )

    # ------------------------------------------------------------ ends
    def _check_inputs(self) -> None:
        for name in (*self.inputs, *self.state):
            problem, hint = option_problem(name)
            if problem:
                self._problem(f"{problem} {hint}")
        known = [*self.drafts, *self.groups, *self.state]
        for name in self.inputs:
            if len(name) > 3:
                from difflib import get_close_matches

                near = get_close_matches(name, known, n=1, cutoff=0.86)
                if near:
                    self._problem(f"nobody writes `{name}`; did you mean `{near[0]}`?")

    def _out(self) -> tuple[str, ...]:
        if self.spec.out:
            for name in self.spec.out:
                if name not in self.drafts and name not in self.groups:
                    near = nearest(name, [*self.drafts, *self.groups])
                    self._problem(f"`out {name}`: no such node" + (f"; did you mean `{near}`?" if near else "."))
            self._stop("out")
            return self.spec.out
        ends = {x.source for x in self.edges if x.target == END}
        forward = {
            x.source
            for e, x in enumerate(self.edges)
            if e not in self.back and x.target != END and not x.target.endswith(EXIT)
        }
        returning = {self.edges[e].source for e in self.back} - ends
        last = [n for n in self.sorted if (n not in forward or n in ends) and not n.endswith(EXIT)]
        return tuple(n for n in last if n not in returning) or tuple(last)


def _choices_of(schema: dict[str, Any] | None) -> Sequence[object]:
    """Return the values that a choice, or each item of a list of choices, may have; () where they are not known."""
    schema = schema or {}
    return schema.get("enum") or (schema.get("items") or {}).get("enum") or ()


def _unless_current(rounds: tuple[int, ...]) -> tuple[int, ...]:
    return () if all(r == CURRENT for r in rounds) else rounds


def _problems(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"


def single_node_spec(name: str, target: object) -> GraphSpec:
    """The graph of one node: what running one agent or one function is."""
    return GraphSpec(name, {name: NodeSpec(name, target=target)}, out=(name,))


# ------------------------------------------------------------------ the state class
# A graph's state class: a TypedDict, dataclass or pydantic model whose fields are the state's keys.
#
# ``Annotated[list, "append"]`` names a field's reducer; without one, writes replace (`last`).


def state_fields(cls: object) -> dict[str, dict[str, object]]:
    """Field -> {"reducer", "type", "default" where there is one}.

    Raises
    ------
    BadType
        `cls` has no annotated fields, or names an unknown reducer.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (TypeError, NameError) as error:
        raise BadType(f"`{getattr(cls, '__name__', cls)}` cannot be a state class: {error}.") from None
    if not hints:
        raise BadType(
            f"`{getattr(cls, '__name__', cls)}` has no annotated fields.",
            hint="a TypedDict, dataclass or pydantic model",
        )
    defaults = _defaults(cls)
    return {
        check_name(name, "state key"): _row(hint, defaults.get(name, dataclasses.MISSING))
        for name, hint in hints.items()
    }


def _row(hint: object, default: object) -> dict[str, object]:
    how, kind = "last", hint
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        for mark in marks:
            name = mark if isinstance(mark, str) else getattr(mark, "__name__", "")
            if isinstance(mark, str) or mark in REDUCERS.values():
                reducer(name) if name in REDUCERS or isinstance(mark, str) else None
                how = next((k for k, v in REDUCERS.items() if v is mark), name)
    row: dict[str, object] = {"reducer": how, "type": getattr(kind, "__name__", str(kind))}
    if default is not dataclasses.MISSING:
        row["default"] = plain(default)
    return row


def _defaults(cls: object) -> dict[str, object]:
    if dataclasses.is_dataclass(cls):
        return {
            f.name: f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            for f in dataclasses.fields(cls)
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        }
    if hasattr(cls, "model_fields"):
        return {n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if not f.is_required()}
    return {}
