"""`%orch help budget`: limits of the notebook, of a run and of an agent."""

from __future__ import annotations

from orch_nb.errors import BadOption, BudgetExceeded, QuoteTooHigh, UnknownPrice
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.schema.budget import AT_LIMIT, MOST, UNITS

SETUP = ("%orch notebook manual\n%orch models set small=echo", "%%agent reply --model small\nAnswer:  {{ ticket }}")
"""What the examples use: a notebook's name, under which its budget is kept, and an agent on a free model."""

_UNITS = {
    "usd": (
        "0.50  $0.50  usd=0.50",
        "US dollars. Before each call an upper bound of its cost is reserved; afterwards what it cost is booked.",
        "0.50",
        ("usd", "dollars"),
    ),
    "tokens": (
        "tokens=200000",
        "Tokens of prompts and answers together, reserved and booked in the same way.",
        "0.50 tokens=200000",
        ("tokens", "token"),
    ),
    "calls": (
        "calls=100  100 calls",
        "Calls of models. One that failed, was retried or repaired counts too.",
        "0.50, 100 calls",
        ("calls", "call"),
    ),
    "seconds": (
        "seconds=600  600 s",
        (
            "Seconds of model and tool calls, added up. Nothing is reserved: no call begins after the limit, and one under way is "
            "not cut off."
        ),
        "0.50 seconds=600",
        ("seconds", "second", "s"),
    ),
}
"""Unit -> form, meaning, an example, and all its spellings."""

_AT_LIMIT = {
    "stop": ("The run ends with what it has. This is the default.", "0.50 stop"),
    "degrade": (
        (
            "The call goes to a cheaper model that fits: the one that is named, or with `degrade` alone the cheapest of the notebook's. Only "
            "dollars can be saved so."
        ),
        "0.50 degrade=small",
    ),
    "ask": ("A person is asked for more (`%orch help people`); unattended, the run stops.", "0.50 ask"),
}
"""What happens at a limit -> meaning and an example."""

CHANGES = (
    Rule(
        "%orch budget",
        "Shows the notebook's budget, what is spent and what is reserved.",
        "%orch budget 0.50\n%orch budget",
    ),
    Rule(
        "+0.50",
        "Raises a limit; `calls=+20` the same for another unit. What is not mentioned stays as it is.",
        "%orch budget 0.50 calls=100\n%orch budget +0.50 calls=+20",
        ("+",),
    ),
    Rule(
        "none",
        "Takes a limit away: `calls=none` one of them, `%orch budget none` all.",
        "%orch budget 0.50 calls=100\n%orch budget calls=none",
        ("none",),
    ),
    Rule("reset", "Counts from zero again, with the same limits.", "%orch budget 0.50\n%orch budget reset", ("reset",)),
    Rule(
        "alert=3",
        "Lets a run say so when it costs three times what its graph usually does.",
        "%orch budget 0.50 alert=3",
        ("alert",),
    ),
)

PLACES = (
    Rule(
        "--budget LIMITS",
        "Limits of one run, one batch or one resume, beside the notebook's. Limits with spaces are in quotes.",
        '%orch run reply ticket="hello" --budget "0.01, 5 calls"',
    ),
    Rule(
        "budget: LIMITS",
        "Limits of all calls of one agent in one run; as a mapping too.",
        "%%agent reply --model small\n---\nbudget: {usd: 0.01, calls: 5, at_limit: ask}\n---\nAnswer:  {{ ticket }}",
        ("at_limit",),
    ),
    Rule(
        "--ask-above USD",
        "Shows the quote and asks first when its high end is above this many dollars.",
        '%orch run reply ticket="hello" --ask-above 0.05',
    ),
)


def page() -> Page:
    """The page."""
    units = tuple(
        Rule(form, f"{says} At most {MOST[unit]:,}.", f"%orch budget {example}", words)
        for unit in UNITS
        for form, says, example, words in (_UNITS[unit],)
    )
    limits = tuple(Rule(word, _AT_LIMIT[word][0], f"%orch budget {_AT_LIMIT[word][1]}", (word,)) for word in AT_LIMIT)
    sections = (
        Section("Limits", units),
        Section("At a limit", limits),
        Section("Changing the notebook's budget", CHANGES),
        Section("Other places", PLACES),
    )
    lead = (
        "The notebook, a run and an agent can each have limits; a call must fit in all of them. What does not fit is refused "
        "before anything is sent. Limits are written in any order, with or without commas, in plain digits."
    )
    errors = (BadOption, BudgetExceeded, UnknownPrice, QuoteTooHigh)
    return Page("budget", TOPICS["budget"], lead, sections, SETUP, errors)
