"""`%orch help agent`: the keys of an `%%agent` cell."""

from __future__ import annotations

from typing import get_args

from orch_nb.errors import BadName, BadOption, BadType, CellError, UnknownKey, UnknownTool
from orch_nb.lang.agent_cell import ALIASES
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.schema.agent_spec import KEYS, UNITS, AgentSpec
from orch_nb.schema.reducers import REDUCERS

SETUP = (
    '''import orch_nb as orch

@orch.tool(effects="message")
def send_mail(to: str, text: str) -> str:
    """Sends a mail."""
    return "sent to " + to

%orch models set small=echo big=echo''',
)
"""What the examples use. Both models stand for `echo`, which is free and needs no key."""

WRITING = (
    Rule(
        "%%agent NAME --key value",
        "Defines an agent: flags on the line for short keys, the prompt below. The cell binds a variable of that name. "
        "A value with spaces is in quotes.",
        "%%agent triage --model small --max-tokens 20\nWhich team?  {{ ticket }}",
    ),
    Rule(
        "---",
        "Two such lines enclose the same keys as YAML. `true` and `false` are the only booleans; anchors, tags and repeated keys are errors.",
        "%%agent triage\n---\nmodel: small\nout: {category: billing | technical}\n---\nWhich team?  {{ ticket }}",
        ("---",),
    ),
    Rule(
        "{{ NAME }}",
        "Reads a node, a group or an input; `{{ node.field }}` a field, `{{ node.field? }}` one that may be absent. Values are put in "
        "once and are not searched for further reads. `\\{{` writes two braces.",
        "%%agent reply --model small\nAnswer {{ ticket }} in the tone {{ style.tone? }}. Write no \\{{ braces.",
        ("{{", "}}", "?", "\\{{"),
    ),
)

_FORMS: dict[str, tuple[str, str, str]] = {
    "model": ("NAME", "The notebook's name for the model that answers: see `%orch help models`.", "model: small"),
    "route": (
        "auto | {…}",
        "Chooses the model, instead of `model`: see `%orch help route`.",
        "route: {cascade: [small, big]}",
    ),
    "role": (
        "TEXT",
        "Who the agent is. Role, goal and backstory become the system prompt.",
        "role: support agent of a bank",
    ),
    "goal": ("TEXT", "What it is to achieve.", "goal: a short and true answer"),
    "backstory": ("TEXT", "What else it should know about itself.", "backstory: ten years at the team"),
    "out": (
        "TYPE",
        "The type of the answer: see `%orch help types`. Without it the answer is text.",
        "out: {answer: str}",
    ),
    "enforce": (
        "",
        (
            "Who enforces `out` beside the check that is always made here. `provider` and `constrained` send the type to the provider; `validate` "
            "does not."
        ),
        "out: {answer: str}\nenforce: validate",
    ),
    "tools": ("[NAME, …]", "`@orch.tool` functions that it may call.", "tools: [send_mail]\neffects: [message]"),
    "effects": (
        "[NAME, …]",
        "What its tools may do to the world; a tool's effect must be declared here.",
        "effects: [message]",
    ),
    "budget": (
        "LIMITS",
        "What all its calls in one run may use together: see `%orch help budget`.",
        "budget: {usd: 0.01, calls: 5}",
    ),
    "max_tokens": (
        "N",
        "Tokens of one answer at most. They are part of what is reserved before a call.",
        "max_tokens: 300",
    ),
    "temperature": ("0 to 2", "How much answers vary: 0 repeats itself.", "temperature: 0.7"),
    "seed": ("N", "Passed to providers that take a seed.", "seed: 7"),
    "timeout": ("SECONDS", "Time for one run of the node, all its calls included.", "timeout: 30"),
    "retry": ("1 to 10", "Tries at a failure that may pass, such as a rate limit; the first one included.", "retry: 2"),
    "fallback": ("[MODEL, …]", "Models that are asked in turn when the one before has failed.", "fallback: [big]"),
    "second_opinion": (
        "{model, below, by}",
        "Asks another model too when the answer is less sure than `below`: see `%orch help route`.",
        "second_opinion: {model: big, below: 0.7, by: agreement(3)}",
    ),
    "sla": (
        "{seconds: N}",
        "Leaves out models of a route whose recent calls took longer in the median.",
        "route: {cascade: [small, big]}\nsla: {seconds: 5}",
    ),
    "cache": (
        "DURATION",
        f"How long the answer to an equal request is given again for $0: a number and one of {', '.join(UNITS)}. Not with `effects`.",
        "cache: 12h",
    ),
    "writes": (
        "{KEY: REDUCER}",
        f"Fields of the graph's state that the answer is written to. Reducers: {', '.join(REDUCERS)}.",
        "writes: {findings: append}",
    ),
    "on_failure": (
        "",
        "What a final failure does: it ends the run, the run continues without the node, or the node's `else` arrow is taken.",
        "on_failure: skip",
    ),
    "describe": (
        "TEXT",
        "What `by similarity`, `by judge` and `by fit` of a graph know of the agent.",
        "describe: bills and refunds",
    ),
    "examples": (
        "[TEXT, …]",
        "Texts that belong to the agent, for `by similarity`.",
        'examples: ["I was charged twice"]',
    ),
}
"""Key -> what it takes ("": one of the words that the specification lists), what it does, and front matter that shows it."""

_FLAGS = {
    "save": Rule(
        "--save",
        "Writes the cell to `agents/NAME.agent.md` too; `%orch import` reads it.",
        "%%agent triage --save\nWhich team?  {{ ticket }}",
    ),
    "replace": Rule(
        "--replace",
        "Allows a name that is something else in the notebook.",
        "%%agent triage --replace\nWhich team?  {{ ticket }}",
    ),
}
"""Flag of the magic that is not a key -> its rule."""


def page() -> Page:
    """The page."""
    from orch_nb.notebook.magics import AGENT_FLAGS

    flags = tuple(Rule(_FLAGS[f].form, _FLAGS[f].says, _FLAGS[f].example, (f"--{f}",)) for f in AGENT_FLAGS)
    aliases = tuple(
        Rule(
            f"--{one} VALUE",
            f"One of `{many}`; may be given several times.",
            f"%%agent triage --{one} {'send_mail --effect message' if one == 'tool' else 'message'}\nWhich team?  {{{{ ticket }}}}",
            (f"--{one}",),
        )
        for one, many in ALIASES.items()
    )
    sections = (
        Section("The cell", WRITING),
        Section("Keys", tuple(_of_key(key) for key in KEYS)),
        Section("Flags of the line only", (*flags, *aliases)),
    )
    lead = (
        "An `%%agent` cell binds an agent. The line, the front matter, a file (`%orch import`) and Python "
        "(`orch.Agent(name, prompt, key=value)`) take the same keys. On the line a key is written `--max-tokens 300`."
    )
    errors = (CellError, UnknownKey, BadName, BadType, BadOption, UnknownTool)
    return Page("agent", TOPICS["agent"], lead, sections, SETUP, errors)


def _of_key(key: str) -> Rule:
    takes, says, yaml = _FORMS[key]
    field = AgentSpec.model_fields[key]
    takes = takes or " | ".join(map(str, get_args(field.annotation)))
    default = _default(field.get_default(call_default_factory=True))
    example = f"%%agent triage\n---\n{yaml}\n---\nAnswer:  {{{{ ticket }}}}"
    return Rule(f"{key}: {takes}", f"{says}{default}", example, (key,))


def _default(value: object) -> str:
    if value is None or value in ("", (), {}):
        return ""
    return f" Default: `{value:g}`." if isinstance(value, float) else f" Default: `{value}`."
