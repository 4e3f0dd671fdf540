"""`Agent`: what it reads, says, refuses and keeps; the warnings of measured abilities."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from orch_nb.agents.agent import Agent
from orch_nb.agents.fingerprint import function_fingerprint, node_fingerprint
from orch_nb.catalog import abilities
from orch_nb.catalog.models import ModelBook
from orch_nb.errors import BadExpression, BadName, BadOption, BadType, UnknownKey, UnknownModel, UnknownTool
from orch_nb.tools.registry import tool

BOOK = ModelBook(is_local_installed=lambda: True, environ={})
BOOK.set(big="openai/gpt-4o-mini")


class Ticket(BaseModel):
    """What came in."""

    subject: str
    urgent: bool


@tool(effects="payment")
def refund(amount: float) -> str:
    """Pays money back."""
    return f"{amount} paid"


@tool
def lookup(order: str) -> str:
    """Finds an order."""
    return order


def test_reads_are_declared_by_the_prompt():
    """Paths, optional marks, first names: in order of mention, each once."""
    agent = Agent("a", "{{ qa.feedback? }} {{ ticket }} {{ ticket }} {{ qa.score }}")
    assert [read.text for read in agent.reads] == ["qa.feedback?", "ticket", "qa.score"]
    assert agent.inputs == ("qa", "ticket")


def test_role_goal_and_backstory_compile_to_the_system_prompt():
    """The card's system prompt is the very text that is sent."""
    agent = Agent(
        "a", "Answer {{ q }}", role="a billing clerk", goal="close tickets kindly", backstory="You know the policy by heart",
        out="{answer: str}",
    )  # fmt: skip
    expected = (
        "You are a billing clerk.\nYour goal: close tickets kindly.\nYou know the policy by heart.\n\n"
        "Answer with JSON: {answer: str}"
    )
    assert agent.system_prompt(book=BOOK) == expected
    assert agent.request({"q": "why?"}, book=BOOK)[0].content == expected
    assert Agent("b", "hi").system_prompt(book=BOOK) == ""


def test_the_definition_is_plain_data_with_everything_in_it():
    """JSON keeps it as it is; it names resolved models and the tools' interfaces."""
    agent = Agent("a", "{{ q }}", model="big", fallback=["small"], tools=[lookup], out=Ticket)
    data = agent.definition(BOOK)
    assert json.loads(json.dumps(data)) == data
    assert [(m["name"], m["model"]) for m in data["models"]] == [("big", "gpt-4o-mini"), ("small", "smollm2")]
    assert data["tools"][0]["parameters"]["required"] == ["order"]
    assert data["out"]["properties"]["urgent"]["type"] == "boolean"


def test_its_fingerprint_changes_with_what_matters():
    """Prompt, model behind the name and tools change it; name, description, budget and the notebook's names do not."""
    base = node_fingerprint("agent", Agent("a", "{{ q }}", model="big").definition(BOOK))
    other = ModelBook(environ={})
    other.set(huge="openai/gpt-4o-mini", big="openai/gpt-4o")
    assert (
        node_fingerprint("agent", Agent("b", "{{ q }}", model="huge", describe="x", budget="0.1").definition(other))
        == base
    )
    assert node_fingerprint("agent", Agent("a", "{{ q }}", model="big").definition(other)) != base
    assert node_fingerprint("agent", Agent("a", "{{ q }}!", model="big").definition(BOOK)) != base
    assert node_fingerprint("agent", Agent("a", "{{ q }}", model="big", tools=[lookup]).definition(BOOK)) != base


def test_a_tools_effect_must_be_declared():
    """A tool that pays needs an agent that says so; the error names tool, effect and the line to add."""
    with pytest.raises(BadOption, match="`refund` has the effect `payment`") as caught:
        Agent("a", "x", tools=[lookup, refund], effects="network")
    assert "`effects: [network, payment]`" in caught.value.hint
    assert list(Agent("a", "x", tools=[refund], effects="payment").tools) == [refund]


@pytest.mark.parametrize(
    ("line", "body", "kind", "at", "says"),
    [
        ("a", "---\nout: strng\n---\nx", BadType, 3, "strng"),
        ("a --out 'Tcket'", "x", BadType, 1, "Tcket"),
        ("a", "---\ntools: [lokup]\n---\nx", UnknownTool, 0, "line 3: The tool `lokup` does not exist"),
        ("a --tool helper", "x", UnknownTool, 0, "not a tool"),
        ("a", "---\nmodel: big\ntools: [refund]\n---\nx", BadOption, 4, "does not declare"),
        ("a", "---\nmodel: big\n---\nfirst\nsecond {{ a.b() }}", BadExpression, 6, "a.b()"),
        ("a", "first {{ open", BadExpression, 2, ""),
    ],
)
def test_a_cell_that_cannot_act_points_at_its_line(line, body, kind, at, says):
    """Type, tool, effect and read are checked where the agent is defined, with the line in the cell."""
    namespace = {"lookup": lookup, "refund": refund, "helper": len, "Ticket": Ticket}
    with pytest.raises(kind) as caught:
        Agent.from_cell(line, body, namespace)
    assert says in str(caught.value)
    assert getattr(caught.value, "line", 0) == at


def test_a_class_of_the_notebook_can_be_the_type():
    """`out: Ticket` finds the class in the namespace; Python takes the class itself."""
    from_cell = Agent.from_cell("a", "---\nout: Ticket\n---\nx", {"Ticket": Ticket})
    assert from_cell.schema == Agent("a", "x", out=Ticket).schema
    assert "out: Ticket" in from_cell.to_cell()


def test_definitions_round_trip_through_cells_and_files(tmp_path):
    """to_cell, save and from_file give an equal agent; a name cannot lead out of its folder."""
    agent = Agent(
        "triage", "Classify {{ ticket }}", model="big", out="{category: a1 | b1}", tools=[lookup], budget="0.01"
    )
    first, _, body = agent.to_cell().partition("\n")
    assert Agent.from_cell(first.removeprefix("%%agent "), body, {"lookup": lookup}) == agent
    path = agent.save(tmp_path)
    assert path == tmp_path / "agents" / "triage.agent.md"
    assert Agent.from_file(path, {"lookup": lookup}) == agent
    with pytest.raises(BadName):
        Agent("../x", "x")


def test_python_gets_typed_errors_too():
    """Keys and values are checked alike in Python."""
    with pytest.raises(UnknownKey) as caught:
        Agent("a", "x", modle="big")
    assert caught.value.hint == "did you mean `model`?"
    with pytest.raises(BadOption, match="`budget`"):
        Agent("a", "x", budget=float("nan"))


def test_an_unknown_model_does_not_hinder_drawing_but_warns():
    """A model's name that means nothing yet is kept; the warning has the nearest name, and resolving raises."""
    agent = Agent("a", "x", model="bgi")
    assert agent.definition(BOOK)["models"][0]["model"] == "bgi"
    assert "did you mean `big`?" in agent.warnings(BOOK)[0]
    with pytest.raises(UnknownModel):
        agent.offers(BOOK)


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"out": "{team: billing | technical | sales}"}, "by similarity"),
        ({"out": "{ok: bool}"}, "true/false"),
        ({"out": "{score: float}"}, "score"),
        ({"out": "{tasks: [{title: str}]}"}, "plans"),
        ({"tools": [lookup]}, "choice of tools"),
        ({"prompt": "Calculate the total of {{ rows }}"}, "arithmetic"),
        ({"prompt": "Draft a reply to {{ mail }}"}, "replies"),
        ({"max_tokens": 4096}, "4,096"),
    ],
)
def test_a_task_that_the_local_model_fails_at_warns_with_the_line(keys, word):
    """The measured failure, its figure and the line to change are named; a model nobody measured gives no warning."""
    keys = {"prompt": "{{ x }}", **keys}
    (warning, *_) = Agent("a", **keys).warnings(BOOK)
    assert word in warning
    assert "`" in warning
    assert Agent("a", **{**keys, "model": "big"}).warnings(BOOK) == []


@pytest.mark.parametrize("out", ["{mood: positive | negative}", "{company: str, year: int}", None])
def test_what_the_local_model_does_well_does_not_warn(out):
    """Two-way labels, extraction and short text are what it is for."""
    assert Agent("a", "{{ x }}", out=out).warnings(BOOK) == []


def test_abilities_carry_their_figures():
    """Every row has a figure or a remark, and every failure says what to do instead."""
    for rows in abilities.ABILITIES.values():
        for ability in rows.values():
            assert ability.figure
            assert ability.instead or ability.verdict != "bad"
    assert abilities.describe("smollm2-135m")[0] == "good    two-way sentiment labels: 20 of 20 right"
    assert abilities.describe("unknown") == []


def test_a_function_that_uses_an_agent_depends_on_its_definition():
    """Editing an agent's prompt changes the hash of a function that awaits it."""
    hashes = []
    for prompt in ("a", "a", "b"):
        helper = Agent("helper", prompt)

        def work(x, helper=helper):
            return helper, x

        hashes.append(function_fingerprint(work).hash)
    assert hashes[0] == hashes[1] != hashes[2]
    assert None not in hashes


def test_it_says_what_it_is():
    """The repr has name, model, reads and type."""
    agent = Agent("a", "{{ x }}", out="{n: int}")
    assert repr(agent) == "Agent('a', model='small', reads=(x), out='{n: int}')"


@pytest.mark.parametrize(
    ("when", "meant"),
    [("len(tex) > 20", "`text`"), ("len(text) > 20", ""), ("len(priority) > 2", ""), ("len(text_id) > 2", "")],
)
def test_a_rule_that_reads_nearly_what_the_prompt_reads_is_marked(when, meant):
    """A misspelt read of a condition would become an input of its own: the card says so, and what was meant; another
    input that only the rule reads is none of that."""
    route = {"rules": [{"when": when, "model": "echo"}], "else": "small"}
    made = Agent("mood", "Say: {{ text }}", route=route)
    found = [text for text in made.warnings() if text.startswith("`route`")]
    assert len(found) == bool(meant)
    if meant:
        assert f"did you mean {meant}?" in found[0]
        assert "`tex`" in found[0]
        assert f"did you mean {meant}?" in made._repr_mimebundle_()["text/plain"]
