"""The language of cells, held against random input: it never guesses, never breaks, and round-trips."""

from __future__ import annotations

import json
import keyword
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from orch_nb.errors import BadExpression, BadType, CellError, SemanticFailure
from orch_nb.graph.builder import Graph
from orch_nb.lang.condition import Predicate
from orch_nb.lang.graph_cell import OBJECTLESS, json_text, parse_graph, print_graph
from orch_nb.lang.out_type import OutType
from orch_nb.lang.template import Template
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
from orch_nb.schema.names import RESERVED
from orch_nb.schema.yaml import load_yaml

names = st.sampled_from(["a", "b", "c", "draft", "qa", "j1", "früh", "x_9", "triage", "n10"])
fields = st.sampled_from(["x", "score", "in", "when", "type", "größe"])
paths = st.tuples(names, st.lists(fields, max_size=2)).map(lambda p: (p[0], *p[1]))
texts = st.text(max_size=12)
numbers = st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
scalars = st.none() | st.booleans() | numbers | texts
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


# ------------------------------------------------------------------ templates
plain_texts = (
    st.text(max_size=20).filter(lambda t: "{{" not in t and not t.endswith(("{", "\\"))).map(lambda t: t.lstrip("{}"))
)


@given(st.lists(st.tuples(plain_texts, paths, st.booleans()), max_size=4), plain_texts, data)
def test_a_template_is_its_texts_and_its_values(
    parts: list[tuple[str, tuple[str, ...], bool]], end: str, value: Any
) -> None:
    """Rendering puts each value between the texts around it, whatever braces either holds, and reads nothing more."""
    written = "".join(f"{text}{{{{ {'.'.join(path)}{'?' * optional} }}}}" for text, path, optional in parts) + end
    template = Template.parse(written)
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    expected = "".join(text + ("" if value is None and optional else shown) for text, _, optional in parts) + end
    assert template.render(lambda path, optional: value) == expected
    assert {r.path for r in template.reads} == {path for _, path, _ in parts}


@given(texts, st.text(max_size=40))
@example("{{ b }}", "{{ a }}")
def test_values_are_never_scanned_again(value: str, around: str) -> None:
    """A value that looks like a read, an escape or anything else comes out as it went in."""
    hostile = f"{{{{ a }}}}{value}\\{{{{ b }}}} {around} {{{{"
    assert Template.parse("<{{ a }}>").render(lambda path, optional: hostile) == f"<{hostile}>"


@given(st.text(alphabet="{}ab. ?|\\\n\u2028é", max_size=60))
def test_any_text_is_a_template_or_a_typed_error(text: str) -> None:
    """Whatever is written is a template or a BadExpression inside the text."""
    try:
        template = Template.parse(text)
    except BadExpression as error:
        assert 1 <= error.line <= len(text.splitlines())
        return
    assert "{{" not in template.render(lambda path, optional: "") or "\\{{" in text


# ------------------------------------------------------------------ conditions
@given(st.text(max_size=60) | st.text(alphabet="ab.?<>=!()[]'\", 01ntor\\", max_size=60))
def test_any_text_is_a_condition_or_a_typed_error(text: str) -> None:
    """No text makes the parser raise anything but BadExpression, and none the evaluation anything but SemanticFailure."""
    try:
        predicate = Predicate.parse(text)
    except BadExpression as error:
        assert error.hint is not None
        return
    assert Predicate.parse(predicate.text) == predicate
    for value in (None, 3, "x", True, [1], {}):
        try:
            truth, seen = predicate.evaluate(lambda path, value=value: value)
        except SemanticFailure:
            continue
        assert truth in (True, False)
        assert set(seen) <= {".".join(p.parts) for p in predicate.paths}


OPERATORS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def literal(value: Any) -> str:
    """A constant as it is written in a condition."""
    return json.dumps(value)


@given(st.sampled_from(sorted(OPERATORS)), scalars, scalars)
def test_comparisons_agree_with_python_or_refuse(op: str, left: Any, right: Any) -> None:
    """Two values of one type compare as in Python; null (but for `== null`) and mixed types are refused."""
    text = f"a.x {op} {literal(right)}"
    try:
        predicate = Predicate.parse(text)
    except BadExpression:
        assert len(text) > 100 or "e" in text
        return

    def kind(value: Any) -> str:
        return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__

    try:
        truth, seen = predicate.evaluate(lambda path: left)
    except SemanticFailure as failure:
        null_to_null = left is None and right is None and op in ("==", "!=")
        asked_for_null = right is None and op in ("==", "!=")
        ordered = kind(left) in ("number", "str")
        assert not null_to_null
        assert not asked_for_null
        assert kind(left) != kind(right) or left is None or not ordered
        assert failure.facts["values"] == {"a.x": left}
        return
    assert seen == {"a.x": left}
    assert truth is (OPERATORS[op](left, right) if right is not None else (left is None) == (op == "=="))


trees = st.recursive(
    st.tuples(st.just("leaf"), st.integers(0, 5)),
    lambda inner: st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=12,
)


def written(tree: Any) -> str:
    """A tree of conditions as text, with all its brackets."""
    if tree[0] == "leaf":
        return f"v.n{tree[1]}"
    if tree[0] == "not":
        return f"(not {written(tree[1])})"
    return f"({written(tree[1])} {tree[0]} {written(tree[2])})"


def meant(tree: Any, values: list[bool]) -> bool:
    """Evaluate the tree."""
    if tree[0] == "leaf":
        return values[tree[1]]
    if tree[0] == "not":
        return not meant(tree[1], values)
    both = meant(tree[1], values), meant(tree[2], values)
    return all(both) if tree[0] == "and" else any(both)


@given(trees, st.lists(st.booleans(), min_size=6, max_size=6))
def test_and_or_not_mean_what_they_mean(tree: Any, values: list[bool]) -> None:
    """Any nest of and, or, not and brackets is decided as in logic."""
    try:
        predicate = Predicate.parse(written(tree))
    except BadExpression as error:
        assert "nested deeper" in str(error) or "bytes" in str(error)
        return
    assert predicate.evaluate(lambda path: values[int(path[1][1:])])[0] is meant(tree, values)


# ------------------------------------------------------------------ graphs
identifiers = names | st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(
    lambda n: n not in RESERVED and not keyword.iskeyword(n)
)
conditions = st.builds(
    lambda path, op, value: Predicate.parse(f"{'.'.join(path)} {op} {value}").text,
    paths, st.sampled_from(["<", "==", "!="]), st.sampled_from(["3", "0.5", "'x # -> at most 2'", '"é"']),
)  # fmt: skip
bound_values = st.one_of(paths.map(".".join), data.map(json_text))
questions = st.one_of(st.just(""), st.text(max_size=15))


@st.composite
def node_specs(draw: st.DrawFn, name: str) -> NodeSpec:
    """A node as any caller could make it."""
    kind = draw(st.sampled_from(["", "", "agent", "human", "function", "switch", "graph", "tool", "barrier"]))
    of = draw(st.sampled_from(["", "judge", "critic"])) if kind else ""
    bindings = draw(st.dictionaries(st.sampled_from(["text", "kind", "größe"]), bound_values, max_size=2))
    gate = draw(st.one_of(st.just(""), conditions))
    question = draw(questions) if kind == "human" else ""
    of = "" if of == name or kind in OBJECTLESS else of
    return NodeSpec(name, kind, of, bindings, gate, question)


@st.composite
def modifiers(draw: st.DrawFn) -> EdgeSpec:
    """The modifiers of one arrow."""
    kind = draw(st.sampled_from(["plain", "plain", "plain", "when", "else", "each"]))
    if kind == "each":
        return EdgeSpec("", "", each=".".join(draw(paths)), each_as=draw(names))
    at_most = draw(st.none() | st.integers(1, 9))
    return EdgeSpec("", "", kind, draw(conditions) if kind == "when" else "", at_most=at_most)


@st.composite
def graphs(draw: st.DrawFn) -> GraphSpec:
    """Any graph that can be written: nodes in any order, arrows in any order, groups, outputs, state."""
    nodes = draw(st.lists(identifiers, min_size=1, max_size=8, unique=True))
    spec = GraphSpec("g", {n: draw(node_specs(n)) for n in nodes})
    ends = st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique=True)
    choices = {
        n: (draw(st.sampled_from(["x.y", "similarity(ticket)"])), draw(st.sampled_from([None, 0.3]))) for n in nodes
    }
    for _ in range(draw(st.integers(0, 5))):
        shape = draw(modifiers())
        sources, targets = draw(ends), draw(ends)
        if draw(st.integers(0, 4)) == 0:
            by, threshold = choices[sources[0]]
            shape, sources = EdgeSpec("", "", "by", by=by, threshold=threshold if "(" in by else None), sources[:1]
        spec.edges += [replace(shape, source=s, target=t) for s in sources for t in targets]
    for group in draw(st.lists(st.sampled_from(["g1", "g2"]), unique=True, max_size=2)):
        if group not in nodes:
            spec.groups[group] = tuple(draw(ends))
    spec.out = tuple(draw(st.lists(st.sampled_from([*nodes, *spec.groups]), max_size=2, unique=True)))
    spec.state = draw(st.sampled_from(["", "Ticket"]))
    return spec


def bare(spec: GraphSpec) -> GraphSpec:
    """The graph without lines and source: what it says."""
    return replace(
        spec,
        nodes={k: replace(n, line=0) for k, n in spec.nodes.items()},
        edges=[replace(e, line=0) for e in spec.edges],
        source="",
    )


@given(graphs())
def test_print_then_parse_is_the_same_graph(spec: GraphSpec) -> None:
    """parse(print(graph)) is the graph: nodes and arrows in their order, groups, outputs, state; and print is a fixpoint."""
    text = print_graph(spec)
    again = parse_graph("g", text)
    assert bare(again) == bare(spec)
    assert list(again.nodes) == list(spec.nodes)
    assert print_graph(again) == text


@given(graphs())
def test_networkx_holds_the_whole_graph(spec: GraphSpec) -> None:
    """A graph put into networkx and read back is the graph, arrows in the order in which they were drawn."""
    graph = Graph.from_spec(spec)
    assert bare(graph.spec()) == bare(spec)
    copied = Graph.from_networkx(graph.nx.copy(), name="g")
    assert bare(copied.spec()) == bare(spec)
    assert Graph.from_cell("g", graph.to_cell()).to_cell() == graph.to_cell()


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(["a", "b", "g", "->", "{", "}", ",", ":", "=", "by", "when", "else", "at", "most", "2", "each", "as", "with",
                         "agent", "human", "out", "state", "\n", "a.x", "<", "similarity", "(", ")", '"q"', "#", "above", "0.3"]),
        max_size=25,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_a_graph_or_a_typed_error(text: str) -> None:
    """Whatever is written is a graph that round-trips, or a CellError inside the text."""
    try:
        spec = parse_graph("g", text)
    except CellError as error:
        assert 1 <= error.line <= len(text.splitlines())
        return
    assert bare(parse_graph("g", print_graph(spec))) == bare(spec)


# ------------------------------------------------------------------ out types
labels = st.text(max_size=8).filter(lambda t: t and not any(0xD800 <= ord(c) <= 0xDFFF for c in t))
field_names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)


def choice(values: list[Any]) -> dict[str, Any]:
    """The schema of some labels."""
    return {"type": "string" if isinstance(values[0], str) else "integer", "enum": values}


@st.composite
def mappings(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """The schema of a mapping, some of whose fields may be left out."""
    properties = draw(st.dictionaries(field_names, inner, min_size=1, max_size=3))
    required = [n for n in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


simple = st.one_of(
    st.sampled_from(["integer", "number", "boolean", "string"]).map(lambda t: {"type": t}),
    st.integers(0, 20).map(lambda n: {"type": "string", "maxLength": n}),
    st.lists(labels, min_size=1, max_size=4, unique=True).map(choice),
    st.lists(st.integers(-99, 99), min_size=2, max_size=4, unique=True).map(choice),
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists, mappings and unions of smaller schemas."""
    return st.one_of(
        inner.map(lambda s: {"type": "array", "items": s}),
        st.tuples(inner, st.integers(1, 5)).map(lambda p: {"type": "array", "items": p[0], "maxItems": p[1]}),
        mappings(inner),
        inner.filter(lambda s: "anyOf" not in s).map(lambda s: {"anyOf": [s, {"type": "null"}]}),
    )


schemas = st.recursive(simple, larger, max_leaves=6)


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit a schema."""
    if "anyOf" in schema:
        return st.one_of([values_of(s) for s in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    good = st.characters(exclude_categories=["Cs"])
    match schema["type"]:
        case "array":
            return st.lists(values_of(schema["items"]), max_size=schema.get("maxItems", 3))
        case "object":
            optional = {n: values_of(s) for n, s in schema["properties"].items() if n not in schema["required"]}
            return st.fixed_dictionaries(
                {n: values_of(schema["properties"][n]) for n in schema["required"]}, optional=optional
            )
        case "string":
            return st.text(good, max_size=schema.get("maxLength", 10))
        case "null":
            return st.none()
    return {
        "integer": st.integers(),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
    }[schema["type"]]


@given(schemas)
def test_a_types_text_is_read_back(schema: dict[str, Any]) -> None:
    """A type printed and parsed is the type, from text and through YAML; and printing is a fixpoint."""
    from orch_nb.lang.out_type import print_type

    out = OutType.parse(print_type(schema))
    assert out.schema == schema
    assert out.to_text() == print_type(schema)
    quoted = json.dumps(out.to_text())
    assert OutType.parse(load_yaml(f"out: {quoted}")["out"]) == out


@given(st.data())
def test_what_fits_is_accepted_and_comes_back(data: st.DataObject) -> None:
    """A value made from the type has no problems, as data and as the JSON text that a model would say."""
    schema = data.draw(schemas)
    out = OutType(schema, "")
    value = data.draw(values_of(schema))
    if not isinstance(
        value, str
    ):  # a bare text is what a model said: it is trimmed, and read as JSON where it is quoted
        assert out.validate(value) == (value, [])
    assert out.validate(json.dumps(value)) == (value, [])
    assert out.validate(f"```json\n{json.dumps(value, indent=1)}\n```") == (value, []) or "```" in json.dumps(value)


@given(schemas, data)
def test_what_comes_back_without_problems_fits(schema: dict[str, Any], value: Any) -> None:
    """Whatever a model says, it is a problem or a value that fits: checking it again changes nothing."""
    out = OutType(schema, "")
    got, problems = out.validate(value)
    if not problems:
        assert out.validate(got) == (got, [])
    else:
        assert len(problems) <= 20
        assert all(isinstance(p, str) and p for p in problems)


@given(st.text(max_size=60) | st.text(alphabet='{}[]()|,:? ab1"strin', max_size=40))
def test_any_text_is_a_type_or_a_typed_error(text: str) -> None:
    """Whatever is written after `out:` is a type that round-trips, or a BadType."""
    try:
        out = OutType.parse(text)
    except BadType:
        return
    assert OutType.parse(out.to_text()).schema == out.schema


@given(st.text(max_size=200))
def test_any_answer_is_a_value_or_problems(text: str) -> None:
    """No answer makes the check raise."""
    for out in (OutType.parse("{a: int, b?: [x | y]}"), OutType.parse("str"), OutType.parse("[float]")):
        _, problems = out.validate(text)
        assert isinstance(problems, list)


# ------------------------------------------------------------------ front matter
@given(st.text(max_size=80) | st.text(alphabet="ab:-[]{}?&*!|>'\"#% \n\t<,0.1~", max_size=80))
def test_any_front_matter_is_data_or_a_typed_error(text: str) -> None:
    """The text between the lines `---` is plain data or a CellError with a line."""
    try:
        got = load_yaml(text)
    except CellError as error:
        assert error.line >= 1
        return
    assert json.loads(json.dumps(got)) == got


@given(
    st.dictionaries(
        field_names,
        st.one_of(st.booleans(), st.integers(-999, 999), st.text(alphabet="abcé :#?", max_size=8)),
        max_size=4,
    )
)
def test_quoted_data_is_read_as_it_was_written(values: dict[str, Any]) -> None:
    """JSON is YAML: a mapping written as JSON, line by line, is read back."""
    text = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    assert load_yaml(text) == values
