"""Typed state, reducers, and inputs that cannot leak."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypedDict

import pytest
from pydantic import BaseModel

from orch_nb.engine.state import StateKey
from orch_nb.errors import BadType, GraphError
from orch_nb.graph.compile import state_fields
from orch_nb.tools.function import node
from tests.support import plan_of, run_text


class Notes(TypedDict):
    """A state as a TypedDict."""

    n: int
    found: Annotated[list, "append"]


def test_a_state_class_lists_its_fields_with_writers_and_readers():
    """Each field's type, reducer, writer nodes and reader nodes are known at compile time."""

    @node(writes={"found": "append"})
    def look():
        return {"found": ["x"]}

    plan = plan_of("look -> tell\nstate Notes", Notes=Notes, look=look, tell=lambda found: found)

    assert plan.state["found"] == {"reducer": "append", "type": "list", "writers": ["look"], "readers": ["tell"]}
    assert plan.state["n"]["writers"] == []


def test_an_undeclared_field_is_an_error_with_the_nearest_name():
    """A write that the state class does not have is refused when the graph is compiled."""

    @node(writes={"fund": "append"})
    def look():
        return {"fund": ["x"]}

    with pytest.raises(GraphError, match="Did you mean `found`"):
        plan_of("look -> tell\nstate Notes", Notes=Notes, look=look, tell=lambda found: found)


@pytest.mark.parametrize("kind", ["dataclass", "pydantic"])
def test_dataclasses_and_pydantic_models_are_states_with_defaults(kind):
    """Defaults are the initial values; a run's input of the same name replaces them."""

    @dataclass
    class Plain:
        n: int = 3
        log: Annotated[list, "append"] = field(default_factory=list)

    class Model(BaseModel):
        n: int = 3
        log: Annotated[list, "append"] = []

    cls = Plain if kind == "dataclass" else Model
    space = {"S": cls, "a": lambda n, log: [n, log]}

    assert run_text("a\nstate S", **space)[0].output == [3, []]
    assert run_text("a\nstate S", {"n": 5}, **space)[0].output == [5, []]


def test_a_class_without_fields_is_no_state():
    """A class without annotated fields or with an unknown reducer is refused by name."""
    with pytest.raises(BadType, match="no annotated fields"):
        state_fields(type("Empty", (), {}))
    with pytest.raises(BadType, match="the reducer `apend` does not exist"):
        state_fields(TypedDict("T", {"x": Annotated[list, "apend"]}))


def test_a_reader_that_races_a_writer_is_refused():
    """A read of a key while another branch may be writing it depends on who is first: it does not compile."""

    @node(writes={"k": "append"})
    def w():
        return {"k": [1]}

    with pytest.raises(GraphError, match="may be writing it"):
        plan_of("t -> {w, r}", t=lambda: 0, w=w, r=lambda k=None: k)


def test_writes_in_a_loop_are_in_order_of_rounds():
    """Round by round, then in the order of the plan."""

    @node(writes={"seen": "append"})
    def a(b=0):
        return {"seen": [f"a{b}"]}

    @node(writes={"seen": "append"})
    def b(a, n=None):
        return {"seen": ["b"], "n": 1}

    state, _, _ = run_text("a -> b\nb -> a when b.n > 0 at most 1\nb -> end else", a=a, b=b, end=lambda seen: seen)

    assert [s[0] for s in state.output] == ["a", "b", "a", "b"]


def test_a_nodes_mutations_reach_nobody():
    """The value that a node reads is a copy: changing it changes neither the record nor what others read."""

    def mean(src):
        src["items"].append("mine")
        return len(src["items"])

    state, log, _ = run_text("src -> {mean, other}\n{mean, other} -> end", src=lambda: {"items": [1]}, mean=mean,
                             other=lambda src: src["items"], end=lambda mean, other: [mean, other])  # fmt: skip

    assert state.output == [2, [1]]


def test_a_returned_value_is_taken_as_it_is_then():
    """A node that keeps and changes what it returned does not change the record."""
    kept = []

    def first():
        kept.append([1])
        return kept[0]

    def second(first):
        kept[0].append(2)
        return first

    state, _, _ = run_text("first -> second -> third", first=first, second=second, third=lambda first: first)

    assert state.output == [1]


@pytest.mark.parametrize(
    ("reducer", "expected"), [("append", [1, 2, 3]), ("add", 6), ("max", 3), ("min", 1), ("union", [1, 2, 3])]
)
@pytest.mark.parametrize("arrival", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_late_contribution_takes_its_place(reducer, expected, arrival):
    """Whatever the order of arrival, the value is that of the canonical order."""
    key = StateKey("k", reducer)
    for i in arrival:
        key.write((i,), i + 1)

    assert key.value == expected
