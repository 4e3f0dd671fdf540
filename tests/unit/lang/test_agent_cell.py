"""An agent's cell: flags, front matter, errors that point at the line, and the way back."""

from __future__ import annotations

import runpy
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.agents.agent import Agent
from orch_nb.errors import BadName, BadOption, BadType, CellError, UnknownKey
from orch_nb.lang.agent_cell import build_spec, parse_agent_cell, read_cell, to_cell
from orch_nb.schema.agent_spec import KEYS, AgentSpec


def cell(line: str, body: str = "Do it.") -> AgentSpec:
    """The spec of one cell."""
    return parse_agent_cell(line, body)


FRONT = """---
role: billing clerk
out: {answer: str}
tools: [search, read]
budget: 0.010
writes: {findings: append}
examples:
  - my card was charged twice
timeout: 30
---

Answer {{ ticket }}.
"""


def test_flags_and_front_matter_are_one_set_of_keys():
    """The line and the front matter make one spec, exactly as typed."""
    spec = cell("billing --model big --max-tokens 200 --temperature 0.5", FRONT)
    assert (spec.name, spec.model, spec.max_tokens, spec.temperature) == ("billing", "big", 200, 0.5)
    assert (spec.role, spec.tools, spec.budget) == ("billing clerk", ("search", "read"), Decimal("0.010"))
    assert (spec.writes, spec.timeout, spec.examples) == ({"findings": "append"}, 30.0, ("my card was charged twice",))
    assert spec.out == {"answer": "str"}
    assert spec.prompt == "Answer {{ ticket }}."


def test_the_line_takes_quotes_lists_equals_signs_and_comments():
    """Texts in quotes, lists one by one or by commas, --key=value, and a trailing comment."""
    spec = cell(
        """a --role "You're a clerk, #1" --tool search --tool "read,write" --goal='say "hi"' --effects network --writes log=append,seen --budget=0.5 # later"""
    )
    assert (spec.role, spec.goal) == ("You're a clerk, #1", 'say "hi"')
    assert spec.tools == ("search", "read", "write")
    assert (spec.writes, spec.budget, spec.effects) == ({"log": "append", "seen": "last"}, Decimal("0.5"), ("network",))


def test_a_key_may_be_given_twice_only_when_both_agree():
    """Equal values in both places are fine, however they are spelled; different ones are an error with both lines."""
    body = "---\nmodel: big\nbudget: 0.50\n---\nx"
    assert cell("a --model big --budget 0.5", body).budget == Decimal("0.50")
    with pytest.raises(BadOption, match=r"^line 3: `model` is given twice: `small` \(line 1\) and `big`"):
        cell("a --model small", "---\nmodel: big\n---\nx")


@pytest.mark.parametrize(
    ("line", "body", "kind", "at", "says", "hint"),
    [
        ("a --modle big", "x", UnknownKey, 1, "An agent has no key `modle`", "`model`"),
        ("a", "---\nrole: x\ntols: [search]\n---\nx", UnknownKey, 4, "`tols`", "`tools`"),
        ("a --memory big", "x", UnknownKey, 1, "`memory`", "has no effect yet"),
        ("a --budget 1e3", "x", BadOption, 1, ", got `1e3`.", "write 1000"),
        ("a", "---\nbudget: nan\n---\nx", BadOption, 3, ", got `nan`.", "0.01"),
        ("a", "---\nbudget: -1\n---\nx", BadOption, 3, ", got `-1`.", "0.01"),
        ("a", "---\nbudget: true\n---\nx", BadOption, 3, ", got `True`.", "0.01"),
        ("a", "---\nbudget: .inf\n---\nx", BadOption, 3, ", got `.inf`.", "0.01"),
        ("a", "---\n\nmax_tokens: 8.5\n---\nx", BadOption, 4, "whole number", "300"),
        ("a --max-tokens 0", "x", BadOption, 1, "from 1", "300"),
        ("a --temperature 3", "x", BadOption, 1, "from 0 to 2", ""),
        ("a --timeout 0", "x", BadOption, 1, "above 0", "30"),
        ("a --retry 99", "x", BadOption, 1, "from 1 to 10", ""),
        ("a --seed -4", "x", BadOption, 1, "`seed`", ""),
        ("a --enforce provder", "x", BadOption, 1, "`enforce` must be one of", "did you mean `provider`"),
        ("a --on-failure stop", "x", BadOption, 1, "fail, skip, else", ""),
        ("a", "---\nwrites: {log: apend}\n---\nx", BadType, 3, "the reducer `apend` does not exist", "`append`"),
        ("a --effects 'send mail'", "x", BadOption, 1, "one word", ""),
        ("a --effects a-b", "x", BadName, 1, "identifier", ""),
        ("a-b", "x", BadName, 1, "identifier", "a letter"),
        ("", "x", BadOption, 1, "no name", "NAME"),
        ("--model big", "x", BadOption, 1, "no name", "NAME"),
        ("a b", "x", BadOption, 1, "Unexpected argument `b`. Options are written `--key value`.", "quotes"),
        ("a --model", "x", BadOption, 1, "no value", ""),
        ('a --role "open', "x", BadOption, 1, "not closed", ""),
        ("a", "", BadOption, 1, "prompt is empty", "below"),
        ("a", "---\nmodel: x\n---\n\n", BadOption, 1, "prompt is empty", "below"),
        ("a", "---\nmodel: x\nx", CellError, 2, "never closed", ""),
        ("a", "---\nmodel: {a\n---\nx", CellError, 0, "", ""),
        ("a", "---\n- a\n---\nx", CellError, 3, "mapping", ""),
        ("a", "---\nmodel: a\nmodel: b\n---\nx", CellError, 4, "twice", ""),
        ("a", "---\nmodel: &x a\n---\nx", CellError, 3, "anchors", ""),
        ("a --examples '  '", "x", BadOption, 1, "`examples`", ""),
        ("a --describe x --role y", "x" * 70_000, BadOption, 1, "70,000", ""),
    ],
)
def test_what_is_wrong_is_said_at_its_line(line, body, kind, at, says, hint):
    """Key, value, line in the cell (the magic's is 1) and what to do: for each thing that can be written wrongly."""
    with pytest.raises(kind) as caught:
        cell(line, body)
    assert says in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.line == at or not at


def test_an_error_shows_the_line_it_means():
    """The line is quoted under the message, the magic's line included."""
    with pytest.raises(UnknownKey) as caught:
        cell("a --modle big", "x")
    assert "\n    %%agent a --modle big\n              ^" in str(caught.value)
    with pytest.raises(BadOption) as caught:
        cell("a", "---\nrole: x\nbudget: 1e3\n---\nx")
    assert "\n    budget: 1e3" in str(caught.value)


def test_python_gets_the_same_errors_without_lines():
    """`build_spec` (and `Agent`) checks the same keys; there is no cell to point into."""
    with pytest.raises(UnknownKey, match=r"^An agent has no key `modle`"):
        build_spec({"name": "a", "prompt": "x", "modle": "y"})
    with pytest.raises(BadOption, match=r"^`retry` must be a number from 1 to 10, in plain digits, got `True`\."):
        build_spec({"name": "a", "prompt": "x", "retry": True})


def test_names_that_look_like_numbers_or_truth_stay_names():
    """A model called 4.10 or `no` keeps its name."""
    assert cell("a", "---\nmodel: 4.10\n---\nx").model == "4.10"
    assert cell("a", "---\nmodel: no\n---\nx").model == "no"


def test_every_key_is_documented():
    """A key exists only with a sentence about what it does."""
    doc = AgentSpec.__doc__ or ""
    assert [key for key in KEYS if key not in doc] == []


words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda w: w not in {"in", "or", "and", "not", "by", "as", "is", "if", "at"}
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda t: t.strip())
amounts = st.decimals(0, 1000, places=6)
specs = st.fixed_dictionaries(
    {"name": st.just("agent_x"), "prompt": texts},
    optional={
        "model": words, "role": texts, "goal": texts, "backstory": texts, "describe": texts, "enforce": st.sampled_from(["validate", "constrained"]),
        "tools": st.lists(words, max_size=3), "effects": st.lists(st.sampled_from(["network", "payment"]), max_size=2), "budget": amounts,
        "max_tokens": st.integers(1, 10**6), "temperature": st.floats(0, 2), "seed": st.integers(0, 2**63 - 1),
        "timeout": st.integers(1, 86_400), "retry": st.integers(1, 10), "fallback": st.lists(words, max_size=2),
        "writes": st.dictionaries(st.sampled_from(["log", "seen"]), st.sampled_from(["append", "last"])),
        "on_failure": st.sampled_from(["skip", "else"]), "examples": st.lists(texts, max_size=3),
        "out": st.sampled_from(["{answer: str}", "billing | technical", "[str]", "{a?: int | null, b: [{c: str(80)}]}"]),
    },
)  # fmt: skip


@given(specs)
def test_a_cell_written_from_a_spec_gives_that_spec(values):
    """to_cell and parse undo each other for every key and any text."""
    spec = build_spec(values)
    first, _, body = to_cell(spec).partition("\n")
    again = parse_agent_cell(first.removeprefix("%%agent "), body)
    a, b = spec.model_dump(), again.model_dump()
    out_a, out_b = a.pop("out"), b.pop("out")
    assert a == b
    if out_a is not None:
        from orch_nb.lang.out_type import OutType

        assert OutType.parse(out_a).schema == OutType.parse(out_b).schema


@given(st.text(max_size=60), st.text(max_size=120))
def test_any_text_is_an_agent_or_a_typed_error(line, body):
    """No text on the line or below it raises anything but an error of ours."""
    with suppress(CellError):
        cell(line, body)


def test_files_are_cells_and_are_read_strictly(tmp_path):
    """A file holds the cell as typed; another text, a file that is too large, and bytes are typed errors."""
    file = tmp_path / "a.agent.md"
    file.write_text("%%agent a --model big\nDo it.\n", encoding="utf-8")
    assert read_cell(file) == ("a --model big", "Do it.\n")
    for data, says in ((b"hello", "does not begin"), (b"\xff\xfe", "UTF-8"), (b"x" * 300_000, "300,000")):
        file.write_bytes(data)
        with pytest.raises(BadOption, match=says):
            read_cell(file)
    with pytest.raises(BadOption, match="cannot be read"):
        read_cell(tmp_path / "none.agent.md")


def test_odd_numbers_never_become_a_limit(shared):
    """Every value of the numbers corpus, in every numeric key: a finite number within bounds, or a typed error."""
    numbers = runpy.run_path(str(shared / "tools" / "faults" / "payloads.py"))["NUMBERS"]
    for key in ("budget", "max_tokens", "temperature", "seed", "timeout", "retry"):
        for value in numbers:
            try:
                spec = build_spec({"name": "a", "prompt": "x", key: value})
            except BadOption as error:
                assert str(error).startswith((f"`{key}` must be", f"`{key}` cannot be read"))
            else:
                got = getattr(spec, key)
                assert got is None or (type(got) is not bool and 0 <= got < 2**63)


def test_hostile_yaml_templates_and_names_are_typed_errors(shared):
    """The corpora of YAML, templates and paths give agents or errors of ours, at once, and write nothing outside."""
    corpora = runpy.run_path(str(shared / "tools" / "faults" / "payloads.py"))["ALL"]
    for text in corpora["YAML"]:
        with suppress(CellError):
            cell("a", f"---\n{text}\n---\nx")
    for text in corpora["TEMPLATE"]:
        with suppress(CellError):
            Agent("a", text)
    for text in corpora["PATHS"]:
        if text.strip() not in ("x", "con"):  # plain names: allowed, and only ever used inside agents/
            with pytest.raises(CellError):
                Agent(text, "x")
