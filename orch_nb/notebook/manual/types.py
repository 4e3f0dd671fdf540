"""`%orch help types`: the types of an answer, which follow `out:`."""

from __future__ import annotations

from orch_nb.errors import BadType, SemanticFailure
from orch_nb.lang.out_type import CHECKED, MAX_DEPTH, MAX_FIELDS, MAX_LABELS, NOTES, TYPES
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section

SETUP = (
    """from pydantic import BaseModel

class Ticket(BaseModel):
    title: str
    urgent: bool = False

%orch models set small=echo""",
)
"""What the examples use. The model stands for `echo`, which is free and needs no key."""

_SAYS = {
    "str": ("Text. `str(80)` has at most 80 characters.", "out: {title: str(80), body: str}"),
    "int": ("A whole number.", "out: {stars: int}"),
    "float": ("A number.", "out: {score: float}"),
    "bool": ("`true` or `false`.", "out: {urgent: bool}"),
    "null": ("Nothing; useful beside another type.", "out: {due: str | null}"),
}
"""Type -> what it means, and an example."""

FORMS = (
    Rule(
        "a | b | c",
        "One of these labels. A label with other characters than letters, digits, spaces and `_ . / + -` is in quotes; labels of "
        f"digits only are whole numbers. At most {MAX_LABELS:,}.",
        "out: {category: billing | technical | needs review, level: 1 | 2 | 3}",
        ("|",),
    ),
    Rule(
        "TYPE | TYPE",
        "One of several types. Labels beside types are in quotes, and so does one label alone.",
        'out: {amount: float | "unknown"}',
    ),
    Rule(
        "{field: TYPE, …}",
        f"Named fields, at most {MAX_FIELDS}, nested at most {MAX_DEPTH} deep. All of them must be there, and no others.",
        "out: {customer: {name: str, city: str}}",
        ("{", "}", ":", ","),
    ),
    Rule("field?: TYPE", "A field that may be left out.", "out: {answer: str, note?: str}", ("?",)),
    Rule(
        "[TYPE]",
        "A list. `[str](5)` has at most 5 items; in front matter such a value is in quotes.",
        'out: {tags: "[str](5)", steps: [{title: str, hours: float}]}',
        ("[", "]", "(", ")"),
    ),
    Rule("CLASS", "A pydantic class of the notebook: its validators check the answer.", "out: Ticket"),
)


def page() -> Page:
    """The page."""
    types = tuple(Rule(word, _SAYS[word][0], _cell(_SAYS[word][1]), (word,)) for word in TYPES)
    forms = tuple(Rule(rule.form, rule.says, _cell(rule.example), rule.words) for rule in FORMS)
    schema = (
        Rule(
            "{type: object, properties: {…}}",
            f"A JSON Schema. Checked are {', '.join(sorted(CHECKED))}. A word that is not checked here is an error.",
            _cell(
                "out: {type: object, properties: {score: {type: number, minimum: 0, maximum: 1}}, required: [score]}"
            ),
            tuple(sorted(CHECKED)),
        ),
        Rule(
            "notes",
            f"Allowed without any effect on the check: {', '.join(sorted(NOTES))}.",
            _cell("out: {type: object, title: Score, properties: {score: {type: number, description: from 0 to 1}}}"),
            tuple(sorted(NOTES)),
        ),
    )
    sections = (Section("Types", types), Section("Forms", forms), Section("JSON Schema", schema))
    lead = (
        "`out:` says what an answer must be. It is sent to the provider where that can enforce it, and every answer is checked "
        "here. An answer that does not fit is sent back once with the list of its faults; then the `fallback` models are asked, and "
        "then the step fails. A single unknown word is an error, so that a misspelt type is not taken for a label."
    )
    return Page("types", TOPICS["types"], lead, sections, SETUP, (BadType, SemanticFailure))


def _cell(yaml: str) -> str:
    return f"%%agent read --model small\n---\n{yaml}\n---\nRead this message:  {{{{ message }}}}"
