"""`Graph`: written by its methods, by networkx, or as a cell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest

from orch_nb.errors import BadExpression, BadName, BadOption, CellError, GraphError
from orch_nb.graph.builder import Graph
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CELL = """\
%%graph support
triage -> {billing, sales}   by triage.category   else sales
specialist = {billing, sales}
specialist -> qa
qa -> triage   when qa.score < 0.6   at most 2
qa -> person   else
person: human "Ok?"
out qa
state Ticket
"""


def body(graph: Graph) -> str:
    """A graph's cell without its first line."""
    return graph.to_cell().split("\n", 1)[1]


def test_methods_write_what_the_cell_says() -> None:
    """The same graph in Python and as a cell are printed alike."""
    graph = (
        Graph("support")
        .edge("triage", ["billing", "sales"], by="triage.category", else_="sales")
        .group("specialist", "billing", "sales")
        .chain("specialist", "qa")
        .edge("qa", "triage", when="qa.score<0.6", at_most=2)
        .edge("qa", "person", else_=True)
        .node("person", kind="human", question="Ok?")
        .out("qa")
        .state("Ticket")
    )
    assert graph.to_cell() == CELL
    assert Graph.from_cell("support", CELL).to_cell() == CELL
    assert Graph.from_spec(graph.spec()).spec() == graph.spec()


def test_nx_is_the_graph_itself() -> None:
    """`graph.nx` is a MultiDiGraph; what networkx adds, changes and removes is what the graph is."""
    graph = Graph("g").chain("a", "b")
    assert type(graph.nx) is nx.MultiDiGraph
    graph.nx.add_edge("b", "c", when="b.score<0.5")
    graph.nx.add_edge("c", "a", at_most=3)
    graph.nx.add_node("d", kind="human", question="Sure?", when="a.ok")
    graph.nx.add_edge("c", "d", by="c.next", else_="a")
    graph.nx.add_edge("a", "m", each=("a.tasks", "task"))
    assert body(graph) == (
        'a -> b\nc\nd: human "Sure?" when a.ok\na -> m   each a.tasks as task\nb -> c   when b.score < 0.5\n'
        "c -> a   at most 3\nc -> d   by c.next   else a\n"
    )
    graph.nx.remove_node("d")
    assert "d" not in graph.spec().nodes
    assert nx.shortest_path(graph.nx, "a", "c") == ["a", "b", "c"]


def test_attributes_win_over_what_was_drawn() -> None:
    """An attribute set by networkx on an arrow or a node of ours changes that one thing."""
    graph = Graph("g").edge("a", "b", when="a.x < 1", at_most=2).node("b", kind="human", question="Q?")
    graph.nx.edges["a", "b", 0]["when"] = "a.x < 5"
    graph.nx.nodes["b"]["when"] = "a.y"
    assert graph.spec().edges == [EdgeSpec("a", "b", "when", "a.x < 5", at_most=2)]
    assert graph.spec().nodes["b"] == NodeSpec("b", "human", gate="a.y", question="Q?")


def test_relabelled_nodes_carry_their_new_names() -> None:
    """networkx.relabel_nodes renames nodes and the ends of arrows."""
    graph = Graph("g").chain("a", "b").node("b", kind="human")
    graph.nx = nx.relabel_nodes(graph.nx, {"b": "c"})
    assert body(graph) == "a -> c\nc: human\n"


def test_from_networkx_takes_plain_graphs() -> None:
    """A DiGraph with names as nodes becomes a graph of plain arrows; our attributes are understood, others are kept."""
    plain = nx.DiGraph([("a", "b"), ("b", "c")], name="flow")
    plain.add_edge("c", "a", when="c.again", at_most=2, weight=7)
    graph = Graph.from_networkx(plain)
    assert graph.to_cell() == "%%graph flow\na -> b -> c\nc -> a   when c.again   at most 2\n"
    assert graph.nx["c"]["a"][0]["weight"] == 7
    assert Graph.from_networkx(graph.nx, name="again").to_cell().endswith(body(graph))
    assert Graph.from_networkx(nx.MultiDiGraph([("a", "b"), ("a", "b")])).nx.number_of_edges() == 2


def test_from_networkx_refuses_what_has_no_names_or_directions() -> None:
    """Numbers as nodes and undirected graphs are errors that say what to call."""
    with pytest.raises(BadName) as caught:
        Graph.from_networkx(nx.path_graph(3, create_using=nx.DiGraph))
    assert "relabel_nodes" in caught.value.hint
    with pytest.raises(GraphError) as refused:
        Graph.from_networkx(nx.Graph([("a", "b")]))
    assert "DiGraph" in refused.value.hint


def test_arrows_keep_the_order_of_writing() -> None:
    """networkx keeps arrows by node; the graph gives them back as they were drawn."""
    graph = Graph("g").edge("a", "b").edge("c", "d").edge("a", "e").edge("a", "b", else_=True)
    assert [(e.source, e.target) for e in graph.spec().edges] == [("a", "b"), ("c", "d"), ("a", "e"), ("a", "b")]


def test_objects_stand_for_themselves() -> None:
    """An object with a name may be the end of an arrow; functions and graphs say their kind."""

    def send(text: str) -> str:
        return text

    inner = Graph("inner").chain("x", "y")
    graph = Graph("g").chain("a", send, [inner])
    spec = graph.spec()
    assert list(spec.nodes) == ["a", "send", "inner"]
    assert (spec.nodes["send"].kind, spec.nodes["send"].target) == ("function", send)
    assert (spec.nodes["inner"].kind, spec.nodes["inner"].target) == ("graph", inner)
    with pytest.raises(BadName, match="another object"):
        graph.chain("a", Graph("inner"))
    with pytest.raises(BadOption, match="cannot be the end of an arrow"):
        graph.chain("a", 3)


def test_an_instance_of_an_object_keeps_its_name() -> None:
    """A node of another name than its object's says of what it is an instance; an object may say its own kind."""

    def judge(text: str) -> str:
        return text

    class Critic:
        kind = "agent"
        name = "critic"

    critic = Critic()
    spec = Graph("g").node("j1", judge).node("judge", judge).node("c", critic).spec()
    assert [(n.of, n.kind, n.target) for n in spec.nodes.values()] == [
        ("judge", "function", judge), ("", "function", judge), ("critic", "agent", critic),
    ]  # fmt: skip
    graph = Graph("g")
    graph.nx.add_node("j2", of="judge", kind="agent")
    graph.nx.add_edge("j2", "x", **{"else": True})
    graph.nx.add_edge("j2", "y", by="j2.next", else_="z")
    spec = graph.spec()
    assert spec.nodes["j2"] == NodeSpec("j2", "agent", "judge")
    assert [(e.kind, e.target) for e in spec.edges] == [("else", "x"), ("by", "y"), ("else", "z")]
    assert "z" in spec.nodes


def test_node_bindings_are_paths_or_constants() -> None:
    """`with_`: a text is a path or a JSON constant, other values are constants; nonsense is refused."""
    graph = Graph("g").node(
        "j", "judge", kind="agent", with_={"text": "draft.answer?", "n": 3, "s": '"short"', "l": [1]}
    )
    assert graph.spec().nodes["j"] == NodeSpec(
        "j", "agent", "judge", {"text": "draft.answer?", "n": "3", "s": '"short"', "l": "[1]"}
    )
    for bad in ("no path", float("nan"), object()):
        with pytest.raises(BadExpression, match="neither a path nor a constant"):
            Graph("g").node("j", kind="agent", with_={"text": bad})


@pytest.mark.parametrize(
    "write",
    [
        lambda g: g.edge("a", "b", when="f(x)"),
        lambda g: g.edge("a", "b", when="a.x < 1 at most 3"),
        lambda g: g.edge("a", "b", when="a.x", by="a.y"),
        lambda g: g.edge("a", "b", at_most=0),
        lambda g: g.edge("a", "b", at_most=True),
        lambda g: g.edge("a", "b", each="a.tasks"),
        lambda g: g.edge("a", "b", else_="c"),
        lambda g: g.edge("a", "b", above=0.3),
        lambda g: g.edge("a", "b", by="similarity(x)", above=3),
        lambda g: g.edge("a b", "c"),
        lambda g: g.chain("when", "b"),
        lambda g: g.node("a", kind="agnt"),
        lambda g: g.node("a", "judge"),
        lambda g: g.node("a", kind="human", when="x("),
        lambda g: g.group("g", "a", "a"),
        lambda g: g.group("g"),
        lambda g: g.group("g", "g"),
        lambda g: g.chain("a", "b").group("a", "b"),
        lambda g: g.group("s", "a").group("s", "b"),
        lambda g: g.group("s", "a").node("s", kind="agent"),
    ],
)
def test_wrong_calls_are_typed_errors(write: Any) -> None:
    """The methods refuse at the call what the notation would refuse."""
    with pytest.raises((CellError, BadOption)):
        write(Graph("g"))


def test_what_networkx_wrote_wrongly_is_found_by_spec() -> None:
    """Names, kinds and conditions that came by networkx are checked when the graph is read."""
    for change in (
        lambda g: g.nx.add_edge("a", "not a name"),
        lambda g: g.nx.add_edge("a", 3),
        lambda g: g.nx.add_edge("a", "b", when="x("),
        lambda g: g.nx.add_node("a", kind="nope"),
        lambda g: g.nx.graph["groups"].update(s=("zz",)),
        lambda g: g.nx.graph["groups"].update(a=("b",)),
        lambda g: g.nx.graph.update(out=("zz",)),
    ):
        graph = Graph("g").chain("a", "b")
        change(graph)
        with pytest.raises((CellError, GraphError)):
            graph.spec()


def test_two_ways_to_choose_are_refused() -> None:
    """All `by` arrows of one node share one text."""
    graph = Graph("g").edge("a", "b", by="a.x").edge("a", "c", by="a.y")
    with pytest.raises(CellError, match=r"`by a\.x` and `by a\.y`"):
        graph.spec()


def test_state_may_be_a_class() -> None:
    """A class is kept as an object and named in the cell."""

    class Ticket:
        text: str

    spec = Graph("g").chain("a", "b").state(Ticket).spec()
    assert (spec.state, spec.state_class) == ("Ticket", Ticket)
    assert Graph.from_spec(spec).spec().state_class is Ticket


def test_repr_counts() -> None:
    """The repr names the graph and its size."""
    assert repr(Graph("g").chain("a", ["b", "c"])) == "Graph('g': 3 nodes, 2 arrows)"


def test_from_cell_counts_lines_as_the_text_does() -> None:
    """Errors of a text that begins with the magic count the magic's line."""
    with pytest.raises(CellError) as caught:
        Graph.from_cell("g", "%%graph g\na -> b\na -> -> b")
    assert caught.value.line == 3


def test_an_empty_graph_is_an_empty_cell() -> None:
    """A graph without nodes round-trips."""
    assert Graph("g").spec() == GraphSpec("g")
    assert Graph("g").to_cell() == "%%graph g\n"


# ------------------------------------------------------------------ running, on the real runtime
def double(n: int) -> dict[str, int]:
    """A node of the tests below."""
    return {"x": n * 2}


def told(double: dict[str, int]) -> str:
    """A node that reads another."""
    return f"got {double['x']}"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[None]:
    """A runtime whose store lies in the test's own folder."""
    from orch_nb import runtime
    from orch_nb.runtime.runtime import Runtime

    made = Runtime(tmp_path)
    before = runtime.use(made)
    loop = made.run_loop.loop
    yield
    runtime.use(before)
    made.close()
    loop.close()


def test_names_are_bound_in_the_callers_variables() -> None:
    """`compile()` binds in the variables of the code that calls it, or in the namespace that is given."""
    helper = told
    graph = Graph("g").chain("double", "helper")
    assert helper is told
    with pytest.raises(GraphError):
        graph.compile({})
    assert graph.compile({"double": double, "helper": told}).inputs
    assert [n.name for n in Graph("g").chain("double", "told").compile().nodes] == ["double", "told"]


async def test_run_and_batch(runtime: None) -> None:
    """`run` gives the result of the graph, also awaited by a task; `batch` gives a table."""
    graph = Graph("g").chain("double", "told")
    assert (await graph.run(n=3)).result() == "got 6"
    assert (await asyncio.create_task(graph.run(n=4))).result() == "got 8"
    table = (await graph.batch([{"n": 1}, {"n": 2}])).table
    assert "got 4" in str(table)


def test_run_sync(runtime: None) -> None:
    """Scripts need no event loop."""
    assert Graph("g").chain(double, told).run_sync(n=5).result() == "got 10"


def test_out_as_a_target_and_shared_bounds_survive_every_form():
    """Cell, Graph, networkx and cell again say the same: where the graph ends, and which arrows share a bound."""
    text = "a -> {b, c}   by a.next   at most 3   else out\n{b, c} -> a\nc -> a   when c.n > 1   at most 2\nb -> a   when c.n > 1   at most 2\nout a\n"
    graph = Graph.from_cell("g", text)
    assert [e.counter for e in graph.spec().edges if e.at_most] == [1, 1, 0, 0]
    again = Graph.from_networkx(graph.nx, name="g")
    assert again.spec().edges == graph.spec().edges
    printed = graph.to_cell()
    assert Graph.from_cell("g", printed).to_cell() == printed
    assert [e.counter for e in Graph.from_cell("g", printed).spec().edges if e.at_most] == [1, 1, 0, 0]
    drawn = Graph("g").edge("a", ["b", "c"], by="a.next", at_most=3, else_="out").edge("c", "out")
    assert [(e.target, e.kind, e.counter) for e in drawn.spec().edges] == [
        ("b", "by", 1), ("c", "by", 1), ("out", "else", 0), ("out", "plain", 0)
    ]  # fmt: skip
    assert "out" not in drawn.spec().nodes
