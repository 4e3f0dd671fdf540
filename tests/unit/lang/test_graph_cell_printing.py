"""The canonical text of a graph."""

from __future__ import annotations

import pytest

from orch_nb.lang.graph_cell import parse_graph, print_graph
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
from tests.counting import calls_of

SUPPORT = """\
triage -> {billing, sales}   by triage.category   else sales
specialist = {billing, sales}
specialist -> qa
qa -> triage   when qa.score < 0.6   at most 2
qa -> person   else
person: human "Ok?" when triage.confidence < 0.8
out qa
state Ticket
"""
CANONICAL = [
    SUPPORT,
    "a -> b -> {c, d} -> e\n",
    "a -> {b, c}   by similarity(ticket) above 0.3\n",
    "plan -> worker   each plan.tasks as task\n",
    "b -> a   at most 3\n",
    "{j1, j2}: agent judge with text = draft.answer, n = 3\n",
    "alone\na -> b\n",
    "g = {a, b}\n",
    "",
]


@pytest.mark.parametrize("text", CANONICAL, ids=range(len(CANONICAL)))
def test_canonical_text_stays(text: str) -> None:
    """A printed graph is read as the same graph, which is printed the same."""
    assert print_graph(parse_graph("g", text)) == text


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("a->b\nb->c\n", "a -> b -> c\n"),
        ("a -> b\na -> c\n", "a -> {b, c}\n"),
        ("a -> c\nb -> c", "a -> c\nb -> c\n"),
        ("{a, b} -> {c, d}", "{a, b} -> {c, d}\n"),
        ("a -> b when (a.x<3)", "a -> b   when (a.x < 3)\n"),
        ("a: agent\nb: agent", "a: agent\nb: agent\n"),
        ("a: human 'x'", 'a: human "x"\n'),
        ("b: human\na -> b", "b: human\na -> b\n"),
    ],
)
def test_one_form_for_each_graph(written: str, printed: str) -> None:
    """Different spellings of one graph are printed alike."""
    assert print_graph(parse_graph("g", written)) == printed


def test_nodes_keep_the_order_of_first_mention() -> None:
    """A graph whose nodes come in another order than its arrows is printed so that reading restores that order."""
    spec = GraphSpec("g", {n: NodeSpec(n) for n in "cab"}, [EdgeSpec("a", "b"), EdgeSpec("b", "c")])
    spec.nodes["c"].kind = "human"
    again = parse_graph("g", print_graph(spec))
    assert list(again.nodes) == ["c", "a", "b"]
    assert print_graph(spec) == "c: human\na -> b -> c\n"


def test_a_question_with_line_ends_is_one_line() -> None:
    """Line ends of every kind inside a question are escaped."""
    spec = GraphSpec("g", {"a": NodeSpec("a", "human", question="x\ny\u2028z\x85")})
    text = print_graph(spec)
    assert len(text.splitlines()) == 1
    assert parse_graph("g", text).nodes["a"].question == "x\ny\u2028z\x85"


def test_long_chains_break_into_lines() -> None:
    """No printed chain has more than six arrows."""
    text = print_graph(parse_graph("g", " -> ".join(f"n{i}" for i in range(20))))
    assert max(line.count("->") for line in text.splitlines()) == 6
    assert len(text.splitlines()) == 4


def test_ten_thousand_nodes_are_printed_in_linear_time() -> None:
    """Printing is linear: a long chain, a wide set in and a wide set out."""

    def specs(size: int) -> list[GraphSpec]:
        names = [f"n{i}" for i in range(size)]
        texts = (" -> ".join(names), f"a -> {{{','.join(names)}}}", f"{{{','.join(names)}}} -> a",
                 f"{{{','.join(names)}}}: agent judge with x = a.b\na -> n0")  # fmt: skip
        return [parse_graph("g", text) for text in texts]

    for short, long in zip(specs(2_500), specs(10_000), strict=True):
        assert calls_of(lambda spec=long: print_graph(spec)) < 4.2 * calls_of(lambda spec=short: print_graph(spec))  # type: ignore[misc]
