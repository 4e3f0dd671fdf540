"""The manual says what the parsers know, and nothing else; its examples run as they are."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from orch_nb.catalog import models
from orch_nb.catalog.vendors import VENDORS
from orch_nb.engine import drive
from orch_nb.lang import agent_cell, condition, graph_cell, out_type
from orch_nb.lang.agent_cell import parse_agent_cell
from orch_nb.lang.out_type import OutType
from orch_nb.notebook import answer_buttons, manual, settings_verbs, verbs
from orch_nb.notebook.manual import errors as errors_page
from orch_nb.schema import agent_spec, budget, names, route_spec

if TYPE_CHECKING:
    from orch_nb.notebook.manual.page import Page

PAGES: dict[str, Page] = {topic: page for topic in manual.TOPICS if (page := manual.page_of(topic)) is not None}
MARKS = {"->", "{", "}", ",", "#", "(", ")", "[", "]", ":", "=", "?"}
KNOWN = {
    "graph": {
        *graph_cell.KINDS,
        *graph_cell.WORDS,
        *graph_cell.CHOOSERS,
        *condition.WORDS,
        *condition.OPERATORS,
        *MARKS,
    },
    "agent": {
        *agent_spec.KEYS,
        *(f"--{f}" for f in ("save", "replace", *agent_cell.ALIASES)),
        "---",
        "{{",
        "}}",
        "?",
        "\\{{",
    },
    "types": {*out_type.TYPES, *out_type.MARKS, *out_type.CHECKED, *out_type.NOTES},
    "route": {
        route_spec.AUTO,
        *route_spec.OPTIONS,
        *(key for keys in route_spec.OPTIONS.values() for key in keys),
        *route_spec.MEASURES,
        *route_spec.SECOND_OPINION,
        *route_spec.SLA,
    },
    "budget": {*budget._WORDS, *budget._KEYS, *budget.AT_LIMIT, "+", "none", "reset", "alert"},
    "models": {
        *settings_verbs.MODELS_ACTIONS,
        *settings_verbs.PRICES,
        models.DEFAULT,
        models.SMOLLM2.name,
        models.ECHO.name,
        models.GGUF,
    },
    "people": {*verbs.ANSWERS, *(f"--{flag}" for flag in verbs.VERBS["answer"].flags), "human"},
    "errors": set(),
}
"""Page -> every word that the parsers of what it explains take."""


# ------------------------------------------------------------------ complete, both ways
@pytest.mark.parametrize("topic", manual.TOPICS)
def test_a_page_has_the_words_of_its_parsers_and_no_others(topic):
    """What a parser takes is on its page, and what is there is what a parser takes."""
    assert set(PAGES[topic].words) == KNOWN[topic]


@pytest.mark.parametrize("topic", manual.TOPICS)
def test_text_and_html_say_every_word(topic):
    """Each word is in the text and in the HTML, which have the same rules."""
    import html

    shown = PAGES[topic].shown()
    plain = " ".join(html.unescape(re.sub("<[^>]*>", "", shown.html)).split())
    text = " ".join(shown.text.replace("`", "").split())
    for rule in PAGES[topic].rules:
        for part in (rule.form, rule.says.replace("`", ""), rule.example, *rule.words):
            assert " ".join(part.split()) in text
            assert " ".join(part.split()) in plain


@pytest.mark.parametrize("topic", [t for t in manual.TOPICS if t != "errors"])
def test_every_word_of_the_page_is_in_an_example_of_the_page(topic):
    """A word is not only named: some example has it. Exempt is what would need another file or a second process."""
    page = PAGES[topic]
    examples = "\n".join([*page.setup, *(rule.example for rule in page.rules)])
    spelt = {
        "usd",
        "dollars",
        "token",
        "call",
        "second",
        "s",
        "--node",
        "--shown",
        "--run",
        models.GGUF,
        *out_type.CHECKED,
        *out_type.NOTES,
    }
    missing = [
        w
        for w in set(page.words) - spelt
        if not re.search((r"(?<!\w)" if w.isalpha() else "") + re.escape(w), examples)
    ]
    assert missing == []


def test_every_error_code_stands_on_the_page_of_errors():
    """Each class of `orch_nb.errors` has its code, its name and its cause there; codes are not shared."""
    text = PAGES["errors"].shown().text
    known = errors_page.known_errors()
    assert len({error.code for error in known}) == len(known)
    for error in known:
        assert f"{error.code}  {error.__name__} " in text
    assert {e for page in PAGES.values() for e in page.errors} <= set(known)


def test_every_provider_stands_on_the_page_of_models_with_its_key_and_address():
    """The table has exactly the providers that have an adapter, with the variable of the key and the address."""
    text = PAGES["models"].shown().text
    for name, vendor in VENDORS.items():
        assert re.search(
            rf"^{re.escape(name)} +{vendor.key or 'none needed'} +{re.escape(vendor.url)}$", text, re.MULTILINE
        )


# ------------------------------------------------------------------ the tables are those that parse
def test_a_word_that_the_notation_takes_stands_in_its_tables():
    """No literal word that the reader of `%%graph` or of a condition compares with is missing in `WORDS`, `KINDS` and the like."""
    known = {
        *graph_cell.WORDS,
        *graph_cell.CHOOSERS,
        *graph_cell.KINDS,
        *condition.WORDS,
        *condition.OPERATORS,
        "not in",
    }
    for module in (graph_cell, condition):
        assert _literals(module) - known == set()


def _literals(module) -> set[str]:
    """Words in quotes that a module compares with the word at hand, or takes."""
    found = set()
    tree = ast.parse(inspect.getsource(module))
    raising = [
        f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and ast.unparse(f.returns or tree) == "NoReturn"
    ]
    hints = {id(node) for function in raising for node in ast.walk(function)}
    for node in ast.walk(tree):
        asked = []
        if id(node) in hints:
            continue  # what is compared there chooses a hint and is not a word of the notation
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("take", "need", "_take")
        ):
            asked = node.args if node.func.attr != "need" else node.args[:1]
        elif isinstance(node, ast.Compare) and re.search(
            r"(\.word|word_after\(\)|token\.text|_text)$", ast.unparse(node.left)
        ):
            asked = [one for c in node.comparators for one in (c.elts if isinstance(c, ast.Tuple) else [c])]
        found |= {one.value for one in asked if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {word for word in found if word.isalpha()}


@pytest.mark.parametrize("kind", graph_cell.KINDS)
def test_every_kind_of_node_parses(kind):
    """A kind on the page is one that the notation takes."""
    assert graph_cell.parse_graph("g", f"a: {kind}").nodes["a"].kind == kind


def test_words_of_the_notation_cannot_be_names():
    """What begins a modifier or a statement is reserved."""
    assert {"by", "when", "else", "at", "most", "each", "as", "with", "out", "state"} <= names.RESERVED & set(
        graph_cell.WORDS
    )


@pytest.mark.parametrize("word", sorted(budget._WORDS))
def test_every_spelling_of_a_unit_is_a_budget(word):
    """`20 calls` and `calls=20` say the same."""
    assert budget.parse_budget(f"20 {word}") == budget.parse_budget({word: "20"})


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        ("schema", "schema"),
        ("probability", "probability"),
        ("agreement", "agreement(3)"),
        ("check", "check(f)"),
        ("stated", "stated(f)"),
    ],
)
def test_every_measure_is_one_that_a_route_takes(measure, text):
    """The table of measures has what `by` says, and no more."""
    assert route_spec.measure(text).how == measure
    assert measure in route_spec.MEASURES
    assert len(route_spec.MEASURES) == 5


def test_every_option_of_a_question_is_an_answer():
    """What the engine offers a person can be typed, and has a button."""
    offered = {"approve", "edit", "reject", "done", "again", *drive.MORE}
    assert offered == set(answer_buttons.LABELS)
    assert offered | {"answer"} == set(verbs.ANSWERS)


@pytest.mark.parametrize("word", sorted(out_type.CHECKED | out_type.NOTES))
def test_every_word_of_a_json_schema_is_taken(word):
    """A word on the page of types is one that a schema may have."""
    values = {
        "type": "object",
        "enum": [1, 2],
        "properties": {"a": {}},
        "required": ["a"],
        "items": {},
        "anyOf": [{}, {}],
        "oneOf": [{}, {}],
        "allOf": [{}, {}],
        "$ref": "#/$defs/A",
        "$defs": {"A": {}},
        "additionalProperties": False,
        "description": "d",
    }
    schema = {"type": "object", "$defs": {"A": {}}, word: values.get(word, 1)}
    assert OutType.parse(schema).schema[word] is not None


# ------------------------------------------------------------------ examples
@pytest.fixture
def read(shell, monkeypatch):
    """Runs a page's setup in a shell where a person sits."""
    monkeypatch.setattr("orch_nb.notebook.session.is_attended", lambda _: True)

    def setup(topic):
        for cell in PAGES[topic].setup:
            shell.good(cell)
        return shell

    return setup


@pytest.mark.parametrize("topic", [topic for topic, page in PAGES.items() if page.rules])
def test_an_example_runs_as_it_stands(read, topic):
    """Each example is a cell that a notebook runs after the page's setup alone; a graph also compiles there."""
    shell = read(topic)
    names_before = dict(shell.names)
    for example in filter(None, (rule.example for rule in PAGES[topic].rules)):
        shell.good(example)
        _check_parsed(shell, example)
        for name in set(shell.names) - set(names_before):
            del shell.names[name]
        shell.names.update(names_before)


def _check_parsed(shell, example: str) -> None:
    """A graph compiles, an agent's cell is read, a budget is one."""
    first, _, body = example.partition("\n")
    if first.startswith("%%graph"):
        assert shell.names[first.split()[1]].compile(shell.names).nodes
    elif first.startswith("%%agent"):
        line = first.removeprefix("%%agent ").replace("--save", "").replace("--replace", "")
        assert parse_agent_cell(line, body).prompt
    for line in example.split("\n"):
        limits = line.removeprefix("%orch budget ")
        if limits != line and limits != "reset" and "alert" not in limits:
            assert budget.parse_budget(limits)


@pytest.mark.parametrize("topic", ["graph", "people"])
def test_graphs_of_the_manual_show_what_they_say_when_they_run(read, topic):
    """A graph of a page without a person ends as it is drawn, on a free model."""
    shell = read(topic)
    for rule in PAGES[topic].rules:
        graph = rule.example
        if (
            not graph.startswith("%%graph")
            or "human" in graph
            or "similarity" in graph
            or "fit" in graph
            or "_exit" in rule.form
        ):
            continue
        shell.good(graph)
        plan = shell.names["g"].compile(shell.names)
        if any(node.name.endswith("_exit") for node in plan.nodes):
            continue
        given = " ".join(f'{name}="billing, please"' for name in plan.inputs)
        shell.good(f"%orch run g {given} --again")
        assert shell.names["run"].status == "done", graph


# ------------------------------------------------------------------ %orch help, --help
@pytest.mark.parametrize("topic", [*manual.TOPICS, *manual.ALIASES])
def test_orch_help_shows_a_page(shell, topic):
    """`%orch help TOPIC` is the page; where a verb has the same name, its line is on it."""
    shown = shell.good(f"%orch help {topic}")
    page = manual.page_of(topic)
    assert shown.text.startswith(f"{page.name}: {page.title}\n")
    if topic in verbs.VERBS:
        assert verbs.VERBS[topic].usage in shown.text


def test_orch_help_lists_the_pages_and_finds_the_nearest(shell):
    """The list has verbs and pages; a near miss of either gets the nearest name."""
    text = shell.good("%orch help").text
    assert all(f"%orch help {topic}" in text for topic in manual.TOPICS)
    done = shell("%orch help grph")
    assert "the manual has no page `grph`" in done.error
    assert "did you mean `graph`?" in done.error
    assert "did you mean `types`?" in shell("%orch help typs").error


@pytest.mark.parametrize(
    ("line", "usage", "page"),
    [
        ("%%agent --help", "%%agent NAME [--KEY VALUE …]", "`%orch help agent`"),
        ("%%agent triage --help\nWhich team?  {{ ticket }}", "%%agent NAME", "`%orch help agent`"),
        ("%agent --help", "%%agent NAME", "`%orch help agent`"),
        ("%%graph --help", "%%graph NAME", "`%orch help graph`"),
        ("%graph --help", "%%graph NAME", "`%orch help graph`"),
        ("%%compare --help", "%%compare NAME", "`%orch help models`"),
        ("%%compare c --help\nprompts: [a]", "%%compare NAME", "`%orch help models`"),
        ("%%claim --help", "%%claim [TITLE]", "`%orch help`"),
        ("%orch run --help", "%orch run GRAPH|AGENT", "`%orch help graph`"),
        ('%orch run support ticket="a b" --help', "%orch run GRAPH|AGENT", "`%orch help graph`"),
        ("x = %orch batch --help\nx", "%orch batch GRAPH|AGENT", "`%orch help graph`"),
        ("%orch answer --help", "%orch answer approve", "`%orch help people`"),
        ("%orch runs --help", "%orch runs", "`%orch help`"),
        ("%orch --help", "%orch run", "%orch help graph"),
    ],
)
def test_every_magic_tells_its_usage_and_its_page(shell, line, usage, page):
    """`--help` on a magic shows how it is written and which page says more, and does nothing else."""
    before = dict(shell.names)
    shown = shell.good(line)
    assert usage in shown.text
    assert page in shown.text
    assert not {"triage", "c", "run"} & (set(shell.names) - set(before))


def test_every_verb_has_help_and_every_page_of_a_verb_exists(shell):
    """`%orch VERB --help` works for each verb."""
    assert set(manual.VERB_TOPICS) <= set(verbs.VERBS)
    assert set(manual.VERB_TOPICS.values()) <= set(manual.TOPICS)
    for verb in filter(None, verbs.VERBS):
        assert verbs.VERBS[verb].usage in shell.good(f"%orch {verb} --help").text


def test_help_inside_a_text_is_text(shell):
    """`--help` in quotes is a part of the value, not a flag."""
    shell.good("%%agent say --model echo\n{{ text }}")
    shell.good('%orch run say text="type --help"')
    assert shell.names["run"].result() == "type --help"
