"""`Graph`: a graph that is edited, over `networkx`.

``graph.nx`` is the `networkx.MultiDiGraph` itself and the only truth: the methods here write to it, `spec` reads it, so a
node or an arrow added by a plain networkx call counts like any other. What a node or an arrow is, is kept in its attribute
``spec``; for those without one, the attributes ``when``, ``by``, ``above``, ``else_``, ``at_most``, ``each`` (arrows) and
``kind``, ``of``, ``with_``, ``when``, ``question``, ``target`` (nodes) are read; where both are given the attribute wins.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from orch_nb import current, display
from orch_nb.current import caller_namespace
from orch_nb.errors import BadExpression, BadName, BadOption, GraphError, nearest
from orch_nb.lang.condition import Predicate
from orch_nb.lang.graph_cell import (
    KINDS,
    check_choices,
    json_text,
    json_value,
    parse_graph,
    parse_modifiers,
    print_graph,
    shaped,
)
from orch_nb.lang.template import read_path
from orch_nb.schema.graph_spec import END, EdgeSpec, GraphSpec, NodeSpec
from orch_nb.schema.names import check_name
from orch_nb.schema.secrets import REDACTOR, secret_error

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from networkx import Graph as NxGraph
    from networkx import MultiDiGraph

    from orch_nb.engine.plan import Plan
    from orch_nb.handle import Batch, RunHandle
    from orch_nb.schema.budget import BudgetLike

_EDGE_WORDS = ("when", "by", "above", "else_", "at_most", "each")
_NODE_WORDS = ("kind", "of", "with_", "when", "question", "target")


class Graph:
    """A graph of agents, functions, people and other graphs.

    Parameters
    ----------
    name
        The graph's name: an identifier.

    Attributes
    ----------
    nx
        The `networkx.MultiDiGraph` underneath, open to be read and changed.

    Examples
    --------
    >>> review = Graph("review").chain("draft", "critic")
    >>> review = review.edge("critic", "draft", when="critic.score < 0.6", at_most=2).out("draft")
    >>> print(review.to_cell(), end="")
    %%graph review
    draft -> critic
    critic -> draft   when critic.score < 0.6   at most 2
    out draft
    """

    nx: MultiDiGraph[str]

    def __init__(self, name: str) -> None:
        from networkx import MultiDiGraph

        self.name = check_name(name, "graph")
        self.nx: MultiDiGraph[str] = MultiDiGraph(name=name, groups={}, out=(), state=None)
        self.source = ""

    # -------------------------------------------------------------- writing
    def chain(self, *stops: object) -> Self:
        """Draw ``a -> b -> {c, d}``: plain arrows from each stop to the next.

        Parameters
        ----------
        *stops
            Each a name, the name of a group, an object (an agent, a function, a graph), or a list of these.
        """
        ends = [self._stop(stop) for stop in stops]
        for sources, targets in pairwise(ends):
            self._connect(sources, targets, EdgeSpec("", ""))
        return self

    def edge(
        self,
        source: object,
        target: object,
        *,
        when: str = "",
        by: str = "",
        above: float | None = None,
        else_: bool | str = False,
        at_most: int | None = None,
        each: tuple[str, str] | None = None,
    ) -> Self:
        """Draw one arrow (or one from each of `source` to each of `target`) with its modifiers.

        Parameters
        ----------
        when
            Taken when this condition holds; several may be.
        by
            A path, ``similarity(PATH)``, ``judge(MODEL)`` or ``fit``: exactly one of the `by` arrows of a node is taken.
        above
            For similarity: the least similarity, from 0 to 1.
        else_
            True: taken when nothing else was. With `by`: the name of the node that is then chosen.
        at_most
            The bound of a loop: how often it may be gone round by this arrow. Arrows of one call share it.
        each
            ``("plan.tasks", "task")``: the target runs once for each item of the list.

        Raises
        ------
        CellError
            A text cannot be understood, or the modifiers do not go together.
        """
        default = else_ if isinstance(else_, str) else ""
        shape = _shape(when=when, by=by, above=above, else_=else_ is True, at_most=at_most, each=each)
        if default and shape.kind != "by":
            raise BadOption(f"`else_={default!r}` names a node, which only `by` needs.", hint="write else_=True")
        sources, targets = self._stop(source), self._stop(target, ends=True)
        self._connect(sources, targets, shape)
        if default:
            self._connect(sources, self._stop(default, ends=True), EdgeSpec("", "", kind="else"))
        return self

    def node(
        self,
        name: str,
        target: object = None,
        *,
        kind: str = "",
        with_: Mapping[str, object] | None = None,
        when: str = "",
        question: str = "",
    ) -> Self:
        """Declare a node, or declare it again.

        Parameters
        ----------
        target
            The object itself, or the name of the object it is an instance of; None: the object of this name.
        kind
            agent, function, human, switch, graph, tool or barrier; needed where `target` is a name.
        with_
            Parameter -> what it reads: a text is a path (``"draft.answer"``) or a JSON constant (``'"short"'``), anything
            else is a constant.
        when
            A gate: where it does not hold the node passes its input on.
        question
            What a person is asked.
        """
        self._check_free(name)
        self.nx.add_node(name, spec=_node(name, kind=kind, target=target, with_=with_, when=when, question=question))
        return self

    def group(self, name: str, *members: object) -> Self:
        """Name a set of nodes; an arrow from or to the name is one from or to each member."""
        if check_name(name, "group") in self.nx:
            raise BadName(f"`{name}` is already a node.", hint="define a group before it is used in an arrow")
        names = tuple(n for member in members for n in self._operand(member))
        if not names or len(set(names)) < len(names):
            raise BadOption(
                f"the group `{name}` needs members, each once.", hint='.group("specialist", "billing", "sales")'
            )
        self._check_unnested(name, names)
        for member in names:
            self._mention(member)
        self.nx.graph["groups"][name] = names
        return self

    def _check_unnested(self, name: str, members: tuple[str, ...]) -> None:
        if name in self.nx.graph["groups"]:
            raise BadName(f"the group `{name}` is already defined.", hint="choose another name")
        if name in members:
            raise BadName(f"`{name}` cannot be a member of itself.", hint="a group's members are nodes")

    def out(self, *names: object) -> Self:
        """Say which nodes (or groups) are the graph's result."""
        self.nx.graph["out"] = tuple(n if isinstance(n, str) else self._operand(n)[0] for n in names)
        return self

    def state(self, cls: object) -> Self:
        """Give the graph a state class: a pydantic model, a dataclass or a TypedDict, or its name."""
        self.nx.graph["state"] = cls
        return self

    def _stop(self, stop: object, *, ends: bool = False) -> tuple[str, ...]:
        """Return the nodes at one end of an arrow; with `ends`, ``"out"`` is where the graph ends."""
        if ends and stop == END:
            return (END,)
        names = self._operand(stop)
        for name in names:
            self._mention(name)
        return names

    def _operand(self, stop: object) -> tuple[str, ...]:
        if isinstance(stop, list | tuple):
            ends = (END,) if END in stop else ()
            return tuple(dict.fromkeys([name for one in stop if one != END for name in self._operand(one)])) + ends
        if isinstance(stop, str):
            return self.nx.graph["groups"].get(stop) or (check_name(stop, "node"),)
        name = _name_of(stop)
        if not name:
            raise BadOption(
                f"a {type(stop).__name__} cannot be the end of an arrow.",
                hint="a name, an agent, a function, a graph, or a list of these",
            )
        self._adopt(check_name(name, "node"), stop)
        return (name,)

    def _adopt(self, name: str, target: object) -> None:
        self._check_free(name)
        self._mention(name)
        known = self.nx.nodes[name].setdefault("spec", NodeSpec(name))
        if known.target is not None and known.target is not target:
            raise BadName(f"`{name}` already stands for another object.", hint=f'.node("other_name", {name})')
        known.target, known.kind = target, known.kind or _kind_of(target)

    def _check_free(self, name: str) -> None:
        if check_name(name, "node") in self.nx.graph["groups"]:
            raise BadName(f"`{name}` is a group, not a node.", hint="choose another name")

    def _mention(self, name: str) -> None:
        if name not in self.nx:
            self.nx.add_node(name, spec=NodeSpec(name))

    def _connect(self, sources: tuple[str, ...], targets: tuple[str, ...], shape: EdgeSpec) -> None:
        if shape.at_most is not None and len(sources) * len(targets) > 1:
            counters = [data["spec"].counter for _, _, data in self.nx.edges(data=True) if "spec" in data]
            shape = replace(shape, counter=max(counters, default=0) + 1)
        for source in sources:
            for target in targets:
                order = self.nx.graph["next"] = self.nx.graph.get("next", 0) + 1
                self.nx.add_edge(source, target, spec=shaped(shape, source, target), order=order)

    # -------------------------------------------------------------- other forms
    @classmethod
    def from_cell(cls, name: str, text: str) -> Self:
        """The graph that the text of a `%%graph` cell says (its first line may be the magic itself)."""
        if REDACTOR.is_in(text):
            raise secret_error(f"the cell of `{name}`", text)
        first, _, rest = text.partition("\n")
        return cls.from_spec(parse_graph(name, "\n" + rest if first.startswith("%%graph") else text))

    @classmethod
    def from_spec(cls, spec: GraphSpec) -> Self:
        """The graph of a `GraphSpec`; `spec()` gives it back."""
        made = cls(spec.name)
        made.source = spec.source
        for node in spec.nodes.values():
            made.nx.add_node(node.name, spec=node)
        for order, edge in enumerate(spec.edges, 1):
            made.nx.add_edge(edge.source, edge.target, spec=edge, order=order)
        state = spec.state_class if spec.state_class is not None else spec.state or None
        made.nx.graph.update(groups=dict(spec.groups), out=spec.out, state=state, next=len(spec.edges))
        return made

    @classmethod
    def from_networkx(cls, graph: NxGraph[object], *, name: str = "") -> Self:
        """The graph of a directed networkx graph whose nodes are names; attributes are kept, ours are understood.

        Raises
        ------
        BadName
            A node's name is not an identifier, or the graph is undirected.
        """
        made = cls(name or str(graph.graph.get("name") or "") or "graph")
        if not graph.is_directed():
            raise GraphError("an undirected graph has no arrows.", hint="networkx.DiGraph(g), or MultiDiGraph")
        for node in graph.nodes:
            if node != END:
                _checked_node(node)
        made.nx.add_nodes_from((node, dict(attributes)) for node, attributes in graph.nodes(data=True))
        made.nx.add_edges_from((a, b, dict(attributes)) for a, b, attributes in graph.edges(data=True))
        kept = {k: v for k, v in graph.graph.items() if k in ("groups", "out", "state", "next")}
        made.nx.graph.update(kept)
        made.nx.graph["groups"] = dict(made.nx.graph["groups"])
        return made

    def spec(self) -> GraphSpec:
        """The graph as data, read from `nx`. Linear in its size.

        Raises
        ------
        CellError
            A name or an attribute set by networkx calls cannot be understood, or things do not fit together.
        """
        nodes = {_checked_node(n): _node_of(n, data) for n, data in self.nx.nodes(data=True) if n != END}
        edges = sorted(self.nx.edges(data=True), key=lambda e: e[2].get("order", float("inf")))
        state = self.nx.graph.get("state")
        made = GraphSpec(
            self.name,
            nodes,
            [edge for a, b, data in edges for edge in _edges_of(a, b, data)],
            {name: tuple(members) for name, members in self.nx.graph.get("groups", {}).items()},
            tuple(self.nx.graph.get("out") or ()),
            state if isinstance(state, str) else getattr(state, "__name__", ""),
            None if isinstance(state, str) else state,
            self.source,
        )
        _check_whole(made)
        return made

    def to_cell(self) -> str:
        """The `%%graph` cell that says this graph, in canonical form. Objects are said by their names."""
        return f"%%graph {self.name}\n{print_graph(self.spec())}"

    def compile(self, namespace: Mapping[str, object] | None = None) -> Plan:
        """The checked, frozen plan.

        Parameters
        ----------
        namespace
            Where names are bound; the caller's variables unless given.

        Raises
        ------
        GraphError
            Everything that is wrong, at once.
        """
        return current.api().compile_plan(self, caller_namespace() if namespace is None else namespace)

    # -------------------------------------------------------------- running
    def run(
        self,
        /,
        *,
        budget: BudgetLike = None,
        namespace: Mapping[str, object] | None = None,
        attended: bool = False,
        again: bool = False,
        **inputs: object,
    ) -> Coroutine[object, object, RunHandle]:
        """Run the graph until it ends or only a person is due: ``run = await graph.run(ticket=...)``.

        Parameters
        ----------
        **inputs
            The graph's inputs.
        budget, namespace, attended, again
            As in `orch_nb.run`; names are bound in the caller's variables unless a namespace is given.
        """
        # Not a coroutine function: the caller's variables are those of the call, even where a task awaits the result.
        space = caller_namespace() if namespace is None else namespace
        return current.api().run(self, budget=budget, namespace=space, attended=attended, again=again, **inputs)

    def run_sync(
        self,
        /,
        *,
        budget: BudgetLike = None,
        namespace: Mapping[str, object] | None = None,
        attended: bool = False,
        again: bool = False,
        **inputs: object,
    ) -> RunHandle:
        """`run` for a script without an event loop."""
        space = caller_namespace() if namespace is None else namespace
        return current.api().run_sync(self, budget=budget, namespace=space, attended=attended, again=again, **inputs)

    def batch(
        self, frame: object, mapping: Mapping[str, str] | None = None, **options: object
    ) -> Coroutine[object, object, Batch]:
        """Run the graph over the rows of a table: ``table = (await graph.batch(frame)).table``.

        Parameters
        ----------
        frame
            A data frame, or a list of mappings.
        mapping
            Input -> name of its column, where they differ.
        """
        options.setdefault("namespace", caller_namespace())
        return current.api().batch(self, frame, mapping, **options)

    def quote(self, /, *, namespace: Mapping[str, object] | None = None, **inputs: object) -> current.Estimate:
        """Estimate what a run on these inputs costs and how long it takes: ``graph.quote(ticket=...)``. Nothing is sent."""
        space = caller_namespace() if namespace is None else namespace
        return current.api().quote(self, namespace=space, **inputs)

    # -------------------------------------------------------------- showing
    def __repr__(self) -> str:
        return f"Graph({self.name!r}: {self.nx.number_of_nodes() - (END in self.nx)} nodes, {self.nx.number_of_edges()} arrows)"

    def plot(self) -> object:
        """The graph as a `matplotlib.figure.Figure` that shows itself: ``graph.plot().savefig("graph.pdf")``.

        Notes
        -----
        Everything lies where the interactive picture has it. matplotlib is imported here (0.5 s the first time).
        """
        return display.figure(self, names=caller_namespace())

    def _repr_mimebundle_(self, **_: object) -> object:
        return display.bundle(self)


# ------------------------------------------------------------------ attributes of networkx
def _shape(
    *,
    when: object = "",
    by: object = "",
    above: object = None,
    else_: object = False,
    at_most: object = None,
    each: object = None,
) -> EdgeSpec:
    """The modifiers, checked by the rules of the notation."""
    if above is not None and not by:
        raise BadOption("`above` belongs to `by`.", hint='by="similarity(ticket)", above=0.3')
    words = []
    if by:
        words.append(f"by {by}" + ("" if above is None else f" above {above}"))
    if when:
        words.append(f"when {Predicate.parse(str(when)).text}")
    if else_:
        words.append("else")
    if each is not None:
        words.append("each {} as {}".format(*_each(each)))
    if at_most is not None:
        words.append(f"at most {at_most}")
    return parse_modifiers(" ".join(words))


def _each(each: object) -> tuple[str, str]:
    if isinstance(each, str):
        each = tuple(each.split(" as "))
    if not isinstance(each, tuple | list) or len(each) != 2:
        raise BadOption(f"`each` is {each!r}.", hint='each=("plan.tasks", "task")')
    return read_path(each[0]).text, check_name(str(each[1]).strip(), "item")


def _edges_of(source: str, target: str, data: dict[str, Any]) -> list[EdgeSpec]:
    """The arrow of an nx edge, and the default arrow where ``else_`` names its target."""
    words = {word: data[word] for word in _EDGE_WORDS if word in data}
    if "else" in data:
        words["else_"] = data["else"]
    base = data.get("spec")
    if not words:
        return [shaped(base or EdgeSpec("", ""), source, target, base.line if base else 0)]
    default = words.get("else_")
    default = default if isinstance(default, str) and default else ""
    if default:
        words["else_"] = False
    shape = _shape(**{**(_words_of(base) if base else {}), **words})
    edges = [shaped(shape, source, target, base.line if base else 0)]
    return edges + ([EdgeSpec(source, default, kind="else")] if default else [])


def _words_of(edge: EdgeSpec) -> dict[str, object]:
    return {
        "when": edge.condition, "by": edge.by, "above": edge.threshold, "else_": edge.kind == "else",
        "at_most": edge.at_most, "each": (edge.each, edge.each_as) if edge.each else None,
    }  # fmt: skip


def _node_of(name: str, data: dict[str, Any]) -> NodeSpec:
    words = {word: data[word] for word in _NODE_WORDS if data.get(word) is not None}
    base = data.get("spec")
    if not words:
        return replace(base, name=name) if base is not None else NodeSpec(name)
    if "of" in words:
        words.setdefault("target", words.pop("of"))
    made = _node(name, **words)
    return made if base is None else replace(base, name=name, **_set_fields(made))


def _set_fields(node: NodeSpec) -> dict[str, object]:
    found = {f: getattr(node, f) for f in ("kind", "of", "bindings", "gate", "question", "target")}
    return {name: value for name, value in found.items() if value}


def _node(
    name: str, *, kind: str = "", target: object = None, with_: Any = None, when: str = "", question: str = ""
) -> NodeSpec:
    if kind and kind not in KINDS:
        near = nearest(str(kind), KINDS)
        raise BadOption(
            f"a kind of node must be one of {', '.join(KINDS)}, got `{kind}`.",
            hint=f"did you mean `{near}`?" if near else "",
        )
    of, held = _target(name, target)
    kind = kind or (_kind_of(held) if held is not None else "")
    if of and not kind:
        raise BadOption(f"what is `{of}`, of which `{name}` is an instance?", hint='say its kind: kind="agent"')
    gate = Predicate.parse(when).text if when else ""
    return NodeSpec(name, kind, of, {k: _binding(k, v) for k, v in (with_ or {}).items()}, gate, question, held)


def _target(name: str, target: object) -> tuple[str, object]:
    """(name of the object when it differs from the node's, the object itself when given)."""
    if isinstance(target, str):
        return ("" if target == name else check_name(target, "object")), None
    if target is None:
        return "", None
    own = _name_of(target)
    usable = own.isidentifier() and own != name and _kind_of(target)
    return (own if usable else ""), target


def _name_of(target: object) -> str:
    name = getattr(target, "name", None) or getattr(target, "__name__", None)
    return name if isinstance(name, str) else ""


def _kind_of(target: object) -> str:
    kind = getattr(target, "kind", "")
    if isinstance(kind, str) and kind in KINDS:
        return kind
    if isinstance(target, Graph):
        return "graph"
    return "function" if re.fullmatch("function|method|builtin_function_or_method", type(target).__name__) else ""


def _binding(parameter: str, value: object) -> str:
    check_name(parameter, "parameter")
    try:
        if not isinstance(value, str):
            return json_text(value)
        try:
            return json_text(json_value(value))
        except ValueError:
            return read_path(value).text
    except (TypeError, ValueError, BadExpression) as error:
        raise BadExpression(
            f"`{parameter}` = {value!r:.60} is neither a path nor a constant: {error}",
            hint="""a path: "draft.answer"; a constant text: '"short"'""",
        ) from None


def _checked_node(name: object) -> str:
    if not isinstance(name, str):
        raise BadName(
            f"the node {name!r} is {type(name).__name__}, not a name.",
            hint='networkx.relabel_nodes(g, lambda n: f"n{n}")',
        )
    return check_name(name, "node")


def _check_whole(spec: GraphSpec) -> None:
    """Refuse what the notation would refuse, where networkx calls could have written it."""
    for edge in spec.edges:
        if edge.kind == "else" and edge.target not in spec.nodes and edge.target != END:
            spec.nodes[edge.target] = NodeSpec(check_name(edge.target, "node"))
    for name, members in spec.groups.items():
        for member in (name, *members):
            if (member == name) == (member in spec.nodes):
                what = "is both a node and a group" if member == name else f"is in the group `{name}` but not a node"
                raise GraphError(f"`{member}` {what}.", hint="add_node, or change graph.nx.graph['groups']")
    for name in spec.out:
        if name not in spec.nodes and name not in spec.groups:
            near = nearest(name, [*spec.nodes, *spec.groups])
            raise GraphError(
                f"the output `{name}` must be a node of `{spec.name}`.", hint=f"did you mean `{near}`?" if near else ""
            )
    check_choices(spec)
