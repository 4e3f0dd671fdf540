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

from orch_nb.engine.plan import Body, Chooser, Edge, Plan, PlanNode, Read, Retry
from orch_nb.errors import BadType, GraphError, OrchError, nearest
from orch_nb.graph import loops as graph_loops
from orch_nb.lang.condition import Predicate
from orch_nb.lang.tokens import parse_path
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
from orch_nb.schema.names import check_name, option_problem
from orch_nb.schema.reducers import REDUCERS, reducer
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NESTING = 8
OBJECTLESS = frozenset({"human", "switch", "barrier"})
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
    definition: dict[str, Any] = field(default_factory=dict)
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


FactsOf = Callable[[str, Any], Facts]
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


def compile_graph(spec: GraphSpec, namespace: Mapping[str, Any], facts_of: FactsOf, *, nesting: int = 0) -> Plan:
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

    def __init__(self, spec: GraphSpec, namespace: Mapping[str, Any], facts_of: FactsOf, nesting: int) -> None:
        self.spec, self.namespace, self.facts_of, self.nesting = spec, namespace, facts_of, nesting
        self.problems: list[str] = []
        self.names: list[str] = []
        self.drafts: dict[str, Draft] = {}
        self.edges: list[EdgeSpec] = list(spec.edges)
        self.groups = dict(spec.groups)
        self.inputs: dict[str, bool] = {}
        self.state: dict[str, dict[str, Any]] = {}

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
        self._loops()
        self._declare_state()
        nodes = [self._node(name) for name in self.sorted]
        edges = [self._edge(e) for e in self.edges]
        self._check_writers()
        self._check_inputs()
        self._stop("reads")
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
                    self._problem(f"group `{name}` has a member `{member}` that is no node.")
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
                if end not in known:
                    self._problem(f"`{end}` is no node.", edge.line)
            touched.update((edge.source, edge.target))
        if len(known) > 1:
            for name, spec in known.items():
                if name not in touched:
                    self._problem(f"`{name}` has no arrow: nothing leads to it or from it.", spec.line)
        for edge in self.edges:
            if edge.each:
                draft = self.drafts.get(edge.target)
                if draft is not None and draft.each is not None:
                    self._problem(f"`{edge.target}` is mapped by two arrows.", edge.line)
                elif draft is not None:
                    draft.each = edge
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
            spec = NodeSpec(name, "human", question=f"No exit of `{source}` was true. What goes on from here?")
            self.drafts[name] = Draft(spec, Facts("human", definition={"question": spec.question, "exit_of": source}))
            self.edges.append(EdgeSpec(source, name, "else"))

    def _exhaustive(self, source: str, edges: list[EdgeSpec]) -> bool:
        """Whether a `by` over an enum covers every value."""
        by = [e for e in edges if e.kind == "by"]
        if not by or by[0].by.startswith(("similarity(", "judge(")) or by[0].by == "fit":
            return False
        path = parse_path(by[0].by)
        schema = self._schema_at(path.parts)
        values = (schema or {}).get("enum") or ()
        return bool(values) and set(values) <= {e.target for e in by}

    def _sort(self) -> None:
        names = list(self.drafts)
        at = {name: i for i, name in enumerate(names)}
        known = [e for e in self.edges if e.source in at and e.target in at]
        forward = [(at[e.source], at[e.target]) for e in known if e.at_most is None]
        ordered = graph_loops.order(len(names), forward)
        if len(ordered) < len(names):
            cycle = graph_loops.a_cycle(len(names), forward)
            shown = " -> ".join(names[i] for i in cycle)
            back = max(
                (e for e in known if (e.source, e.target) in set(itertools.pairwise(names[i] for i in cycle))),
                key=lambda e: e.line,
            )
            self._problem(
                f"a loop without a bound: {shown}. Write `{back.source} -> {back.target} at most n`.", back.line
            )
            return
        self.sorted = [names[i] for i in ordered]
        self.at = {name: i for i, name in enumerate(self.sorted)}
        self.forward = [(self.at[e.source], self.at[e.target]) for e in known if e.at_most is None]
        self.before = graph_loops.ancestors(len(names), self.forward, list(range(len(names))))

    # ------------------------------------------------------------ loops
    def _loops(self) -> None:
        loops: dict[int, graph_loops.Loop] = {}
        for e, edge in enumerate(self.edges):
            if edge.at_most is None:
                continue
            head, source = self.at[edge.target], self.at[edge.source]
            nodes = graph_loops.body(self.before, len(self.sorted), head, source)
            if edge.at_most < 1:
                self._problem(f"`{edge.source} -> {edge.target}` may be taken at most {edge.at_most} times.", edge.line)
            elif not nodes:
                self._problem(
                    f"`{edge.source} -> {edge.target} at most {edge.at_most}` goes back to nothing: no arrows lead from "
                    f"`{edge.target}` to `{edge.source}`.", edge.line)  # fmt: skip
            elif nodes in loops:
                loops[nodes].arrows.append(e)
            else:
                loops[nodes] = graph_loops.Loop(head, nodes, [e])
        self.loops = list(loops.values())
        overlaps = graph_loops.nest(self.loops)
        for one, other in overlaps:
            shown = self._shown_loops([one, other])
            self._problem(f"the loops {shown} overlap: let one lie inside the other, or join them before going back.")
        for waiting, arrows in [] if overlaps else graph_loops.mutual_waits(len(self.sorted), self.forward, self.loops):
            between = ", ".join(f"`{self.sorted[a]} -> {self.sorted[b]}`" for a, b in arrows)
            self._problem(
                f"the loops {self._shown_loops(waiting)} wait for each other, so none of them can end: {between}. "
                "Make them one loop (one arrow back, from a node after all of them to a node before all of them), or "
                "take away the arrows of one direction."
            )

    def _shown_loops(self, loops: list[graph_loops.Loop]) -> str:
        return " and ".join("{" + ", ".join(self.sorted[i] for i in graph_loops.members(x.nodes)) + "}" for x in loops)

    def _bodies(self) -> tuple[Body, ...]:
        return tuple(
            Body(
                self.sorted[x.head],
                tuple(self.sorted[i] for i in graph_loops.members(x.nodes)),
                tuple(x.arrows),
                x.parent,
            )
            for x in self.loops
        )

    def _same_body(self, a: int, b: int) -> bool:
        both = 1 << a | 1 << b
        return any(x.nodes & both == both for x in self.loops)

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
        return bool(self.before[b] >> a & 1 or self.before[a] >> b & 1)

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
        path = parse_path(text, line=draft.spec.line, source=self.spec.source)
        head, rest = path.parts[0], (*path.parts[1:], *want.path)
        if draft.each is not None and head == draft.each.each_as:
            return Read(want.name, "item", node, rest, want.optional or path.optional)
        return self._resolve(node, want.name, head, rest, want.optional or path.optional, draft.spec.line)

    def _path_read(self, node: str, text: str, name: str, line: int) -> Read | None:
        path = parse_path(text, line=line, source=self.spec.source)
        return self._resolve(node, name, path.parts[0], path.parts[1:], path.optional, line)

    def _resolve(
        self, node: str, name: str, head: str, path: tuple[str, ...], optional: bool, line: int, *, itself: bool = False
    ) -> Read | None:
        """Where `head` leads from `node`: a node, a group, a state key, or else a graph input."""
        if head in self.groups:
            members = self.groups[head]
            backs = {self._is_back(node, m, head, optional, line, itself=itself) for m in members}
            return None if None in backs else Read(name, "group", head, path, optional, True in backs, members)
        if head in self.drafts:
            back = self._is_back(node, head, head, optional, line, itself=itself)
            self._check_field(node, head, path, line)
            return None if back is None else Read(name, "node", head, path, optional, back)
        if head in self.state:
            self.state[head]["readers"].append(node)
            return Read(name, "state", head, path, optional)
        self.inputs[head] = self.inputs.get(head, True) and optional
        return Read(name, "input", head, path, optional)

    def _is_back(self, node: str, source: str, shown: str, optional: bool, line: int, *, itself: bool) -> bool | None:
        a, b = self.at[source], self.at[node]
        if a != b and self.before[b] >> a & 1:
            return False
        if a == b and itself:
            return False
        if self._same_body(a, b):
            if not optional:
                self._problem(
                    f"`{node}` reads `{shown}` from the round before: in round 1 it is absent, so write `{shown}?` "
                    "(a function: give the parameter a default).", line)  # fmt: skip
                return None
            return True
        if a == b:
            self._problem(f"`{node}` reads itself, but is in no loop.", line)
        else:
            self._problem(f"`{node}` reads `{shown}`, which does not come before it: draw an arrow, or a loop.", line)
        return None

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
    def _edge(self, edge: EdgeSpec) -> Edge:
        reads: tuple[Read, ...] = ()
        text = edge.condition
        if edge.kind == "when":
            reads = self._predicate_reads(edge.source, edge.condition, edge.line, itself=True)
            text = Predicate.parse(edge.condition).text
        return Edge(edge.source, edge.target, edge.kind, text, edge.at_most, reads)  # type: ignore[arg-type]

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

    def _schema_at(self, parts: tuple[str, ...]) -> dict[str, Any] | None:
        draft = self.drafts.get(parts[0])
        schema = draft.facts.schema if draft is not None else None
        for part in parts[1:]:
            schema = ((schema or {}).get("properties") or {}).get(part)
        return schema

    def _chooser(self, name: str) -> Chooser | None:
        edges = [e for e in self.edges if e.source == name and e.kind == "by"]
        if not edges:
            return None
        text, threshold = edges[0].by, edges[0].threshold
        if text == "fit" or text.startswith("judge("):
            return self._by_description(name, edges)
        how = "similarity" if text.startswith("similarity(") else "field"
        path = parse_path(text[len("similarity(") : -1] if how == "similarity" else text)
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
        values = (self._schema_at(parts) or {}).get("enum")
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
        sources = {e.source for e in self.edges if e.at_most is None and not e.target.endswith(EXIT)}
        return tuple(n for n in self.sorted if n not in sources and not n.endswith(EXIT))


def _problems(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"


def single_node_spec(name: str, target: Any) -> GraphSpec:
    """The graph of one node: what running one agent or one function is."""
    return GraphSpec(name, {name: NodeSpec(name, target=target)}, out=(name,))


# ------------------------------------------------------------------ the state class
# A graph's state class: a TypedDict, dataclass or pydantic model whose fields are the state's keys.
#
# ``Annotated[list, "append"]`` names a field's reducer; without one, writes replace (`last`).


def state_fields(cls: Any) -> dict[str, dict[str, Any]]:
    """Field -> {"reducer", "type", "default" where there is one}.

    Raises
    ------
    BadType
        `cls` is no class with annotated fields, or names a reducer that is none.
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


def _row(hint: Any, default: Any) -> dict[str, Any]:
    how, kind = "last", hint
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        for mark in marks:
            name = mark if isinstance(mark, str) else getattr(mark, "__name__", "")
            if isinstance(mark, str) or mark in REDUCERS.values():
                reducer(name) if name in REDUCERS or isinstance(mark, str) else None
                how = next((k for k, v in REDUCERS.items() if v is mark), name)
    row: dict[str, Any] = {"reducer": how, "type": getattr(kind, "__name__", str(kind))}
    if default is not dataclasses.MISSING:
        row["default"] = plain(default)
    return row


def _defaults(cls: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(cls):
        return {
            f.name: f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            for f in dataclasses.fields(cls)
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        }
    if hasattr(cls, "model_fields"):
        return {n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if not f.is_required()}
    return {}
