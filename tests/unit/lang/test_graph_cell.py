"""The text of a `%%graph` cell: what each form means, and what a wrong one is answered."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orch_nb.errors import BadExpression, BadName, CellError
from orch_nb.lang.graph_cell import json_text, json_value, parse_graph, parse_modifiers
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
from tests.counting import calls_of

SUPPORT = """\
triage -> {billing, technical, sales, general}   by triage.category   else general
specialist = {billing, technical, sales, general}
specialist -> qa
qa -> triage     when qa.score < 0.6   at most 2
qa -> approve    when qa.score >= 0.6
qa -> person     else
approve: human   when triage.confidence < 0.8
approve -> send
person: human
out send
"""


def parsed(text: str) -> GraphSpec:
    """The graph `g` of a text."""
    return parse_graph("g", text)


def arrows(text: str) -> list[str]:
    """The arrows of a text as `a>b`."""
    return [f"{e.source}>{e.target}" for e in parsed(text).edges]


def test_the_support_graph_of_the_guide() -> None:
    """The example of the design reads as it is meant: choice, default, group, loop, gate, person, output."""
    spec = parse_graph("support", SUPPORT)
    assert list(spec.nodes) == [
        "triage", "billing", "technical", "sales", "general", "qa", "approve", "person", "send",
    ]  # fmt: skip
    assert spec.groups == {"specialist": ("billing", "technical", "sales", "general")}
    chosen = [e for e in spec.edges if e.kind == "by"]
    assert [(e.target, e.by) for e in chosen] == [(m, "triage.category") for m in spec.groups["specialist"]]
    assert [(e.source, e.target) for e in spec.edges if e.kind == "else"] == [("triage", "general"), ("qa", "person")]
    assert EdgeSpec("qa", "triage", "when", "qa.score < 0.6", at_most=2, line=4) in spec.edges
    assert spec.nodes["approve"] == NodeSpec("approve", "human", gate="triage.confidence < 0.8", line=7)
    assert spec.nodes["person"].kind == "human"
    assert (spec.out, spec.name, spec.source) == (("send",), "support", SUPPORT)


def test_chains_and_braces() -> None:
    """`a -> b -> {c, d} -> e` draws every arrow from each stop to the next, in order."""
    assert arrows("a -> b -> {c, d} -> e") == ["a>b", "b>c", "b>d", "c>e", "d>e"]


def test_a_group_spreads_at_both_ends_wherever_it_is_defined() -> None:
    """A group's name in an arrow means its members, also above its definition, also inside braces."""
    text = "a -> g\ng -> b\n{g, c} -> d\ng = {x, y}"
    assert arrows(text) == ["a>x", "a>y", "x>b", "y>b", "x>d", "y>d", "c>d"]
    assert list(parsed(text).nodes) == ["a", "x", "y", "b", "c", "d"]


def test_by_similarity_with_threshold() -> None:
    """`by similarity(PATH) above X else NAME`."""
    edges = parsed("ask -> {a, b}  by similarity(ticket) above 0.3  else a").edges
    assert [(e.kind, e.target, e.by, e.threshold) for e in edges] == [
        ("by", "a", "similarity(ticket)", 0.3), ("by", "b", "similarity(ticket)", 0.3), ("else", "a", "", None),
    ]  # fmt: skip
    assert parsed("ask -> {a, b} by similarity( ticket )").edges[0].threshold is None


def test_bounds_go_with_plain_when_and_else() -> None:
    """`at most n` closes a loop on a plain arrow, after `when`, and after `else`."""
    edges = parsed("b -> a at most 3\nb -> a when b.ok at most 2\nb -> a else at most 1").edges
    assert [(e.kind, e.condition, e.at_most) for e in edges] == [("plain", "", 3), ("when", "b.ok", 2), ("else", "", 1)]


def test_each_maps_the_target() -> None:
    """`each PATH as NAME`."""
    (edge,) = parsed("plan -> worker each plan.tasks as task").edges
    assert (edge.kind, edge.each, edge.each_as) == ("plain", "plan.tasks", "task")


def test_node_lines() -> None:
    """Kind, object, question, bindings and gate, for one name or for several."""
    spec = parsed(
        '{j1, j2}: agent judge with text = draft.answer?, strict = true, n = 3, extra = {"a": [1, "#, when"]}, s = "x"\n'
        'ask: human "Send \\"it\\" # now?" when j1.score < 0.8\n'
        "j1 -> ask"
    )
    bound = {"text": "draft.answer?", "strict": "true", "n": "3", "extra": '{"a": [1, "#, when"]}', "s": '"x"'}
    assert spec.nodes["j1"] == NodeSpec("j1", "agent", "judge", bound, line=1)
    assert spec.nodes["j2"] == NodeSpec("j2", "agent", "judge", bound, line=1)
    assert spec.nodes["j1"].bindings is not spec.nodes["j2"].bindings
    assert spec.nodes["ask"] == NodeSpec("ask", "human", question='Send "it" # now?', gate="j1.score < 0.8", line=2)


def test_a_node_of_its_own_name_has_no_object() -> None:
    """`critic: agent critic` says no more than `critic: agent`; a gate alone needs no kind."""
    assert parsed("critic: agent critic").nodes["critic"].of == ""
    assert parsed("critic: when a.ok\na -> critic").nodes["critic"] == NodeSpec("critic", gate="a.ok", line=1)


def test_a_condition_holds_what_looks_like_notation() -> None:
    """Quotes protect `#`, `->` and the words of the notation."""
    (edge,) = parsed("a -> b when a.t == 'x -> at most # 3' at most 2  # a comment").edges
    assert (edge.condition, edge.at_most) == ("a.t == 'x -> at most # 3'", 2)


def test_a_last_comma_is_allowed() -> None:
    """`{a, b,}` is `{a, b}`."""
    assert arrows("{a, b,} -> c") == ["a>c", "b>c"]


def test_comments_blank_lines_and_lone_names() -> None:
    """`#` ends a line, empty lines are nothing, a name alone is a node."""
    spec = parsed("# a comment\n\n   \nalone  # another\n\ta -> b\n")
    assert list(spec.nodes) == ["alone", "a", "b"]
    assert [n.line for n in spec.nodes.values()] == [4, 5, 5]
    assert parsed("") == GraphSpec("g")


def test_state_and_out() -> None:
    """`state Class` and `out a, b` (several lines add up; a group may be an output)."""
    spec = parsed("a -> {b, c}\ng = {b, c}\nout a, g\nout c\nstate Ticket")
    assert (spec.out, spec.state) == (("a", "g", "c"), "Ticket")


def test_unicode_names_and_arrows() -> None:
    """Names are any NFC identifiers; `→` is an arrow."""
    assert arrows("früh → spät") == ["früh>spät"]


WRONG = [
    ("a -> b -> c when b.ok", 1, 13, "`when` qualifies one arrow, and this line has 2", "a -> b\n    b -> c when b.ok"),
    ("a -> b -> {c, d} -> e at most 2", 1, 23, "qualifies one arrow, and this line has 3", "a -> b -> {c, d}\n    {c, d} -> e at most 2"),
    ("a -> b when a.ok -> c", 1, 18, "`when` ends the line", "line of its own"),
    ("vote: barrier majority", 1, 15, "A barrier has no object, got `majority`", "such as: vote: barrier"),
    ("check: human Send", 1, 14, "A human has no object, got `Send`", 'human "Send"'),
    ("a -> {b, c} by handoff", 1, 16, "`by handoff` is not available", "by PATH"),
    ("a -> out -> b", 1, 14, "The graph ends at `out`", "critic -> out  else"),
    ("a -> b each a.x as y when a.ok", 1, 22, "`when` cannot follow `each`", "together go"),
    ("a -> b when a.ok else", 1, 18, "`else` cannot follow `when`", "together go"),
    ("a b", 1, 3, "Unexpected `b`", "->"),
    ("a -> b whn a.ok", 1, 8, "Unexpected `whn`", "did you mean `when`?"),
    ("a -> b zzz", 1, 8, "Unexpected `zzz`", "by, when"),
    ("a ->", 1, 5, "The arrow has no target", "a -> b"),
    ("a -> -> b", 1, 6, "The arrow has no target", "a -> b"),
    ("-> a", 1, 1, "a name belongs here", ""),
    ("a -> 3", 1, 6, "a name belongs here, got `3`", ""),
    ("a => b", 1, 4, "must be in braces, got", "an arrow is ->"),
    ("a > b", 1, 3, "Unexpected `>`", "an arrow is ->"),
    ("{a, b} = c", 1, 8, "Unexpected `=`", "a group is NAME"),
    ("a when b.ok", 1, 3, "Unexpected `when`", "on an arrow: a -> b when"),
    ("a -> b at most 2 zzz", 1, 18, "Unexpected `zzz` after `at`", "one statement"),
    ('a: human "' + "x" * 4_001 + '"', 1, 10, "4,001 characters", ""),
    ("a --> b", 1, 3, "`-` has no meaning", "an arrow is ->"),
    ("my-agent -> b", 1, 3, "`-` has no meaning", "names have no -"),
    ("a -> b at most 0", 1, 16, "from 1 to 1,000,000, got `0`", "at most 2"),
    ("a -> b at most 1.5", 1, 16, "got `1.5`", "at most 2"),
    ("a -> b at moast 2", 1, 11, "followed by `most`, got `moast`", "at most 2"),
    ("a -> b each a.x", 1, 16, "followed by `as NAME`, got the end of the line", "each plan.tasks as task"),
    ("a -> b when", 1, 12, "`when` needs a condition", "when qa.score < 0.6"),
    ("a -> b when f(x) at most 2", 1, 14, "conditions have no calls", "function node"),
    ("a -> b when at most 2", 1, 13, "needs a condition", ""),
    ("a -> b by jude(m)", 1, 11, "Unknown way to choose: `by jude(…)`", "did you mean `judge`"),
    ("a -> b by judge(m", 1, 18, "`)` belongs here", "by judge(big)"),
    ("a -> b by simlarity(x)", 1, 11, "Unknown way to choose", "did you mean `similarity`?"),
    ("a -> b by x.y above 0.3", 1, 15, "`above` belongs to", "similarity"),
    ("a -> b by similarity(x) above 2", 1, 31, "from 0 to 1, got `2`", "above 0.3"),
    ("a -> b by similarity(x", 1, 23, "`)` belongs here", ""),
    ("a -> b by", 1, 10, "a path belongs here", ""),
    ("a -> b by x else", 1, 17, "a name belongs here", ""),
    ("a -> b by x.y\na -> c by x.z", 2, 0, "must choose in one way, got `by x.y` and `by x.z`", "switch node"),
    ("a -> {b, b}", 1, 10, "`b` occurs twice in the braces", ""),
    ("g = {b}\na -> {g, b}", 2, 10, "`b` occurs twice in the braces", "`b` holds it"),
    ("a -> {b, c", 1, 11, "`,` or `}` belongs here", ""),
    ("a -> {}", 1, 7, "a name belongs here", ""),
    ("g = {a}\ng = {b}", 2, 1, "the group `g` is already defined on line 1", ""),
    ("g = {g}", 1, 6, "`g` is a group", "list the nodes"),
    ("g = {a}\nh = {g}", 2, 6, "`g` is a group", "list the nodes"),
    ("h = {g}\ng = {a}", 2, 1, "`g` is a member of the group `h`", ""),
    ("g = a", 1, 5, "must be in braces, got", "g = {billing"),
    ("g = {a} b", 1, 9, "already complete", "one statement"),
    ("g = {a}\ng: agent", 2, 1, "`g` is a group, not a node", "members"),
    ("a: agent\na: human", 2, 1, "`a` is already declared on line 1", ""),
    ("a: agnt b", 1, 4, "Unknown kind of node: `agnt`", "did you mean `agent`?"),
    ("a: critic", 1, 4, "a kind of node belongs here, got `critic`", "a: agent critic"),
    ("a:", 1, 3, "a kind of node belongs here, got the end", "one of agent, function"),
    ("a: agent b c", 1, 12, "Unexpected `c`", 'NAME: KIND OBJECT "question"'),
    ('a: human with x = 1 "q"', 1, 21, 'Unexpected `"q"`', "the order is"),
    ("a: agent with x = 1, x = 2", 1, 22, "`x` is bound twice", ""),
    ("a: agent with x", 1, 16, "needs a path or a constant", "with x = draft.answer"),
    ("a: agent with x = [1, 2", 1, 24, "Expecting ',' delimiter", "draft.answer"),
    ("a: agent with x = {'a': 1}", 1, 20, "enclosed in double quotes", ""),
    ("a: agent with x = 1e999", 1, 19, "too large", ""),
    ('a: human "x', 1, 10, '`"` has no meaning', "no closing quote"),
    ('a: human "\\q"', 1, 10, "Invalid escape", ""),
    ("out zz\nzzz -> b", 1, 5, "This graph has no node `zz`", "did you mean `zzz`?"),
    ("a -> b\nout a, a", 2, 8, "already an output", ""),
    ("out", 1, 4, "a name belongs here", ""),
    ("state A\nstate B", 2, 1, "already `A`", "one state class"),
    ("when -> b", 1, 1, "`when` is a word of the notation", "another name"),
    ("a.b -> c", 1, 1, "`a.b` is not an identifier", ""),
    ("a -> \u0430bc", 1, 6, "mixes letters that look alike", ""),
    ("a -> e\u0301", 1, 6, "not in Unicode form NFC", ""),
    ("a -> b\u200d", 1, 6, "is not an identifier", ""),
    ("a -> b\x00", 1, 7, "U+0000", ""),
    ("a: when", 1, 8, "`when` needs a condition", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "said", "hint"), WRONG, ids=[w[0][:40] for w in WRONG])
def test_wrong_texts(text: str, line: int, column: int, said: str, hint: str) -> None:
    """Each wrong text is a CellError with its line, its column, the line shown, and what to write instead."""
    with pytest.raises(CellError) as caught:
        parsed(text)
    error = caught.value
    assert said in str(error)
    assert (error.line, error.column) == (line, column)
    assert text.splitlines()[line - 1] in str(error)
    assert hint.replace("`b` holds it", "holds it") in error.hint


def test_errors_have_their_kind() -> None:
    """Names are BadName, conditions and paths BadExpression, the rest plain CellError."""
    for text, cls in (("when -> b", BadName), ("a -> b when (", BadExpression), ("a b", CellError)):
        with pytest.raises(CellError) as caught:
            parsed(text)
        assert type(caught.value) is cls


def test_the_graphs_own_name_is_checked() -> None:
    """A graph is named like everything else."""
    with pytest.raises(BadName):
        parse_graph("my graph", "a -> b")


def test_ten_thousand_nodes_are_read_in_linear_time() -> None:
    """A chain of 10,000 on one line, 10,000 conditional lines and one set of 10,000 are each read in linear time, unrecursively."""

    def texts(size: int) -> list[str]:
        names = [f"n{i}" for i in range(size)]
        return [
            " -> ".join(names),
            "\n".join(f"{a} -> {b} when {a}.x < 3" for a, b in pairwise(names)),
            f"start -> {{{', '.join(names)}}}",
            "\n".join(f"{a}: agent worker with text = start.x" for a in names),
        ]

    assert all(len(parsed(text).nodes) >= 10_000 for text in texts(10_000))
    for short, long in zip(texts(1_000), texts(3_000), strict=True):
        assert calls_of(lambda text=long: parsed(text)) < 3.2 * calls_of(lambda text=short: parsed(text))  # type: ignore[misc]


def test_too_much_is_refused() -> None:
    """A text of more than a million characters, or two sets that would make too many arrows, is an error."""
    with pytest.raises(CellError, match="1,000,001 characters"):
        parsed("#" * 1_000_001)
    many = ", ".join(f"n{i}" for i in range(400))
    more = ", ".join(f"m{i}" for i in range(400))
    with pytest.raises(CellError, match="more than 100,000 arrows"):
        parsed(f"{{{many}}} -> {{{more}}}")


def test_deep_constants_are_refused() -> None:
    """A constant of 100,000 brackets is a typed error."""
    with pytest.raises(BadExpression, match=r"nested too deep|Expecting value"):
        parsed("a: agent with x = " + "[" * 100_000)


def test_constants_are_canonical_json() -> None:
    """A constant's text is one line of JSON whatever it holds."""
    assert json_text({"a": "é\u2028"}) == '{"a": "\\u00e9\\u2028"}'
    assert json_text("é") == '"é"'
    assert json_value(json_text({"a": "é\u2028"})) == {"a": "é\u2028"}
    for bad in ("NaN", "[1] 2", "1e999", "nope"):
        with pytest.raises(ValueError, match=r"."):
            json_value(bad)


def test_modifiers_alone() -> None:
    """`parse_modifiers` reads the text after an arrow, by the same rules."""
    assert parse_modifiers("when a.b<3 at most 2") == EdgeSpec("", "", "when", "a.b < 3", at_most=2)
    assert parse_modifiers("") == EdgeSpec("", "")
    with pytest.raises(CellError, match="Unexpected `x`"):
        parse_modifiers("x")
