"""`%orch help people`: where a person is asked, and how the answer is given."""

from __future__ import annotations

from orch_nb.errors import BadOption, RunCancelled, WaitingForPerson
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.notebook.verbs import ANSWERS

SETUP = (
    """import orch_nb as orch

write = orch.Agent("write", "Answer:  {{ ticket }}", model="echo", out="{text: str, sure: float}")

@orch.node(effects="message")
def send(review):
    return review""",
    '%%graph reply\nwrite -> review -> send\nreview: human "Send this?"',
)
"""What the examples use. The model `echo` is free and needs no key."""

QUESTIONS = (
    Rule(
        'NAME: human "QUESTION"',
        "Asks a person. They are shown what the arrow into the node carries; the answer is the node's value.",
        '%%graph g\nwrite -> review -> send\nreview: human "Send this?"',
        ("human",),
    ),
    Rule(
        'NAME: human "QUESTION"   when CONDITION',
        "Asks only where the condition is true; otherwise the value passes through.",
        '%%graph g\nwrite -> review -> send\nreview: human "Send this?"   when write.sure < 0.8',
    ),
    Rule(
        "review -> NAME   else",
        "Where the run continues after a rejection. Without such an arrow, a rejection skips what follows.",
        '%%graph g\nwrite -> review\nreview -> send    when write.sure >= 0\nreview -> write   else   at most 2\nreview: human "Send this?"',
    ),
    Rule(
        "NAME_exit",
        "A node that has only conditional arrows and no `else` asks a person what follows.",
        "%%graph g\nwrite -> send   when write.sure > 0.5",
    ),
    Rule(
        "budget … ask",
        "A budget that ends with `ask` asks for more when it is used up: `%orch help budget`.",
        "%orch notebook manual\n%orch budget 0.50 ask",
    ),
    Rule(
        "effects",
        "A step with a declared effect that was under way when the process died, or was done before with the same input, asks whether it "
        "happened and whether to repeat it.",
        "",
    ),
)


def _twice(ticket: str, answer: str) -> str:
    """Two equal runs, the second of which asks whether the message is to be sent again."""
    run = f'%orch run reply ticket="{ticket}"\n%orch answer approve --wait\n'
    return f"{run}{run}%orch answer {answer}"


_ANSWERS = {
    "approve": ("approve", "Takes what was shown as it is.", '%orch run reply ticket="one"\n%orch answer approve'),
    "edit": (
        'edit "TEXT"',
        "Takes this text, or the value of a variable, in its place.",
        '%orch run reply ticket="two"\n%orch answer edit "Your money is on its way."',
    ),
    "reject": (
        "reject",
        "Rejects it: the run continues along `else`.",
        '%orch run reply ticket="three"\n%orch answer reject --comment "too long"',
    ),
    "answer": (
        'answer "TEXT"  or  "TEXT"',
        "Answers in words, or with the value of a variable.",
        '%orch run reply ticket="four"\n%orch answer "Call them."',
    ),
    "done": (
        "done",
        "Of an effect that was done before, or may have been: it happened; the run continues.",
        _twice("five", "done"),
    ),
    "again": ("again", "Of such an effect: it is to be done again.", _twice("six", "again")),
    "raise": (
        "raise 0.10  or  0.10",
        (
            "Of a budget: by how much it is raised, in the unit that is used up; `raise` alone is just enough for the call "
            "that asked."
        ),
        '%orch run write ticket="seven" --budget "0 calls, ask"\n%orch answer raise 5',
    ),
    "stop": (
        "stop",
        "Of a budget: no more; the run stops there.",
        '%orch run write ticket="eight" --budget "0 calls, ask"\n%orch answer stop',
    ),
}
"""Answer -> form, meaning and an example."""

FLAGS = (
    Rule("--run RUN  --node KEY", "Name the run and the step, where several wait.", words=("--run", "--node")),
    Rule('--comment "TEXT"', "Is kept with the answer.", words=("--comment",)),
    Rule(
        "--shown HASH",
        "The question that is answered, by the hash of what was shown (`shown_hash`). Without it, what this notebook showed last.",
        words=("--shown",),
    ),
    Rule("--wait", "Keeps the cell open until the run ends or asks again.", words=("--wait",)),
)


def page() -> Page:
    """The page."""
    answers = tuple(Rule(f"%orch answer {_ANSWERS[a][0]}", *_ANSWERS[a][1:], words=(a,)) for a in ANSWERS)
    sections = (
        Section("What is asked", QUESTIONS),
        Section("How it is answered", answers),
        Section("Flags of %orch answer", FLAGS),
    )
    lead = (
        "A run that waits for a person does not hold the cell: it ends with status `waiting`, and buttons and `%orch answer` work "
        "in any cell, also after a restart of the kernel. Where nobody can be asked (`nbconvert`, `ORCH_UNATTENDED=1`), the step fails."
    )
    return Page("people", TOPICS["people"], lead, sections, SETUP, (WaitingForPerson, RunCancelled, BadOption))
