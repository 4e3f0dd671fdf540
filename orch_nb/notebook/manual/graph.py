"""`%orch help graph`: the notation of a `%%graph` cell, in the order in which it is learned."""

from __future__ import annotations

import inspect

from orch_nb.errors import BadExpression, BadName, CellError, GraphError, LoopExhausted, MissingInput, SemanticFailure
from orch_nb.lang.condition import MAX_PREDICATE_BYTES, OPERATORS
from orch_nb.lang.graph_cell import KINDS, MAX_EDGES, MAX_TRAVERSALS
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.schema.names import MAX_NAME, RESERVED
from orch_nb.schema.reducers import REDUCERS
from orch_nb.tools.function import node

SETUP = (
    '''import orch_nb as orch
from typing import Annotated, TypedDict

triage = orch.Agent("triage", "Which team?  {{ ticket }}", model="echo", out="{category: billing | technical, sure: float}")
billing = orch.Agent("billing", "Explain the bill.  {{ ticket }}", model="echo", describe="bills and refunds")
technical = orch.Agent("technical", "Find the fault.  {{ ticket }}", model="echo", describe="faults and errors")
write = orch.Agent("write", "Answer:  {{ ticket }}", model="echo")
qa = orch.Agent("qa", "Score from 0 to 1:  {{ write }}", model="echo", out="{score: float, fault: str}")
draft = orch.Agent("draft", "Answer:  {{ ticket }}  {{ review.fault? }}", model="echo")
review = orch.Agent("review", "Score from 0 to 1:  {{ draft }}", model="echo", out="{score: float, fault: str}")
critic = orch.Agent("critic", "Be {{ tone }} about this:  {{ text }}", model="echo")
worker = orch.Agent("worker", "Look into {{ task }}.", model="echo", writes="findings=append")

def plan(ticket):
    return {"tasks": ["the bill", "the fault"]}

def boss(team=None):
    return {"next": "end" if team else "billing"}

def end(team=None):
    return team

def check(worker):
    return {"again": [], "passed": [True, True]}

def join(billing=None, technical=None):
    return [billing, technical]

def keep(draft):
    return draft

@orch.node(effects="message")
def send(write):
    return write

@orch.tool
def lookup(ticket: str) -> str:
    """Finds a ticket's record."""
    return "record of " + ticket

class Findings(TypedDict):
    findings: Annotated[list, "append"]''',
    "%%graph help_line\ntriage -> {billing, technical}   by triage.category",
)
"""What the examples use. The model `echo` is free and needs no key."""

ARROWS = (
    Rule(
        "a -> b -> c",
        "Runs each node when the one before it has finished. `→` means the same. Nodes that do not wait for each other run "
        "at the same time. The magic's line names the graph; the cell binds a variable of that name.",
        "%%graph g\ntriage -> write -> send",
        ("->",),
    ),
    Rule(
        "{a, b}",
        "Stands for several nodes at either end of an arrow. A node with several incoming arrows runs once, when every node "
        "before it has finished or was skipped.",
        "%%graph g\ntriage -> {billing, technical} -> join",
        ("{", "}", ","),
    ),
    Rule(
        "a -> out",
        "Ends the graph there with the value of `out NAME`; without an `out` line, with the value of `a`.",
        "%%graph g\ntriage -> write   when triage.sure > 0.5\ntriage -> out     else\nout write",
    ),
    Rule("a", "A name alone is a graph of one node.", "%%graph g\nbilling"),
    Rule(
        "out a, b",
        "Names the nodes whose values are the result. Without it, the result is that of the nodes that no arrow leaves.",
        "%%graph g\ntriage -> write -> send\nout write",
        ("out",),
    ),
    Rule("# text", "Begins a comment.", "%%graph g\ntriage -> write   # no review yet", ("#",)),
)

NODES = {
    "agent": Rule(
        "NAME: agent OBJECT",
        "A node that runs the agent OBJECT under a name of its own; `OBJECT` may be left out where it is the same. "
        "A node without such a line is the agent, function or graph of its name.",
        "%%graph g\nwrite -> check\ncheck: agent billing",
    ),
    "function": Rule(
        "NAME: function OBJECT",
        "A node that runs an ordinary Python function, sync or async. Its parameters are what it reads, by name; a "
        "parameter with a default may be absent.",
        "%%graph g\ntriage -> steps\nsteps: function plan",
    ),
    "human": Rule(
        'NAME: human "QUESTION"',
        "A node that asks a person: see `%orch help people`.",
        '%%graph g\nwrite -> check -> send\ncheck: human "Send this?"',
    ),
    "switch": Rule(
        "NAME: switch",
        "A node that passes on what it got, so that the choice is apart from the node that made the value.",
        "%%graph g\ntriage -> team\nteam -> {billing, technical}   by triage.category\nteam: switch",
    ),
    "graph": Rule(
        "NAME: graph OBJECT",
        "A node that runs another graph. It reads that graph's inputs, and its value is that graph's result.",
        "%%graph g\ninner -> join\ninner: graph help_line",
    ),
    "tool": Rule(
        "NAME: tool OBJECT",
        "A node that calls a `@orch.tool` function without a model.",
        "%%graph g\nfound -> write\nfound: tool lookup",
    ),
    "barrier": Rule(
        "NAME: barrier",
        "A node that waits for all before it, and gives a mapping of their values by name.",
        "%%graph g\n{billing, technical} -> both\nboth: barrier",
    ),
}
"""Kind of a node -> its rule."""

CHOICES = (
    Rule(
        "a -> b   when CONDITION",
        "Takes the arrow if the condition is true. Of several `when` arrows every true one is taken.",
        "%%graph g\ntriage -> billing     when triage.category == 'billing'\ntriage -> technical   when triage.sure < 0.5",
        ("when",),
    ),
    Rule(
        "a -> b   else",
        "Takes the arrow if no other arrow of the node was taken. A node that has only conditional arrows and no `else` gets "
        "an arrow to a person, named after the node: `triage_exit`.",
        "%%graph g\ntriage -> billing     when triage.category == 'billing'\ntriage -> technical   else",
        ("else",),
    ),
    Rule(
        "a -> {b, c}   by PATH",
        "Takes the one arrow whose target the value names. `else d` at the end of the line names what is taken for any "
        "other value.",
        '%%graph g\ntriage -> {billing, technical}   by triage.category   else ask\nask: human "Which team?"',
        ("by",),
    ),
    Rule(
        "a -> {b, c}   by similarity(PATH) above 0.3",
        "Takes the target whose `describe` and `examples` are most like the text. Below the bound, "
        "from 0 to 1, none is taken, and `else` is.",
        '%%graph g\ntriage -> {billing, technical}   by similarity(ticket) above 0.3   else ask\nask: human "Which team?"',
        ("similarity", "above", "(", ")"),
    ),
    Rule(
        "a -> {b, c}   by judge(MODEL)",
        "Lets a model choose among the targets by their `describe` and `examples`. The call is billed to the run.",
        '%%graph g\ntriage -> {billing, technical}   by judge(echo)   else ask\nask: human "Which team?"',
        ("judge",),
    ),
    Rule(
        "a -> {b, c}   by fit",
        "Takes the target whose description is most like the value, among those whose reads are there. `above` "
        "sets a bound here too.",
        '%%graph g\ntriage -> {billing, technical}   by fit   else ask\nask: human "Which team?"',
        ("fit",),
    ),
    Rule(
        "a -> b   MODIFIER",
        "`by`, `when`, `else`, `at most` and `each` belong to the one arrow before them and end the line. On a longer chain "
        "they are an error, which shows the two lines to write instead.",
        '%%graph g\ntriage -> write -> qa\nqa -> send   when qa.score > 0.8\nqa -> ask    else\nask: human "Send this?"',
    ),
)

CONDITIONS = (
    Rule(
        " ".join(OPERATORS),
        "Compare two values, in chains too. Texts are compared with texts, numbers with numbers. A comparison with a missing "
        "value fails the step; write `qa.score?` where it may be missing: then it equals `null` and is not more or less than anything.",
        "%%graph g\ntriage -> billing     when 0.2 <= triage.sure < 0.8 and triage.sure != 0.5\n"
        "triage -> technical   when triage.sure > 0.9 or triage.sure >= 0.8\n"
        "triage -> write       when triage.category == 'billing' or triage.sure <= 0.1",
        OPERATORS,
    ),
    Rule(
        "and  or  not  ( )",
        "Join conditions; `not` binds most, then `and`, then `or`.",
        "%%graph g\ntriage -> billing     when not (triage.sure < 0.5 or triage.category == 'technical') and triage.sure > 0.1\n"
        "triage -> technical   else",
        ("and", "or", "not"),
    ),
    Rule(
        "PATH in [A, B]",
        "Tests for one of several constants; `not in` for none of them.",
        "%%graph g\ntriage -> billing     when triage.category in ['billing', 'technical']\ntriage -> technical   else",
        ("in", "[", "]"),
    ),
    Rule(
        "TEXT in PATH",
        "Tests for a text in a text (letter case counts), or for an item of a list.",
        "%%graph g\ntriage -> billing     when 'refund' in ticket\ntriage -> technical   else",
    ),
    Rule(
        "any(PATH)  all(PATH)",
        "Tests a list of true and false.",
        "%%graph g\nplan -> worker   each plan.tasks as task\nworker -> check\ncheck -> send   when all(check.passed)\n"
        "check -> keep   when any(check.passed)\ncheck -> out    else\nsend: function end\nkeep: function end",
        ("any", "all"),
    ),
    Rule(
        "len(PATH)",
        "Counts a text's characters, a list's items or a mapping's keys.",
        "%%graph g\ntriage -> billing     when len(ticket) > 2000\ntriage -> technical   else",
        ("len",),
    ),
    Rule(
        "true  false  null",
        "Constants, with Python's spelling allowed, beside numbers and quoted texts. There are no calls, no indices and no "
        f"arithmetic, and a condition has at most {MAX_PREDICATE_BYTES:,} bytes: compute the rest in a function.",
        "%%graph g\ntriage -> billing     when triage.sure? == null or triage.sure? == None or true == false\n"
        "triage -> technical   when True == False\ntriage -> write   else",
        ("true", "false", "null", "True", "False", "None"),
    ),
)

READS = (
    Rule(
        "NAME: KIND   when CONDITION",
        "A gate: where the condition is false the node does not run and its input passes through it.",
        '%%graph g\nwrite -> check -> send\ncheck: human "Send this?"   when len(ticket) > 500',
        (":",),
    ),
    Rule(
        "skipped nodes",
        "A node is skipped when none of its incoming arrows was taken, and so are the nodes after it. A node that joins several "
        "waits for those that run.",
        "%%graph g\ntriage -> {billing, technical}   by triage.category\n{billing, technical} -> join",
    ),
    Rule(
        "NAME = {a, b}",
        "Names a group. An arrow to or from it is one for each member. A read of `team` is the value of the member that ran, "
        "where one node chooses among them by one value; else it is the list of those that ran, also of one. A member's own "
        "exits see what that member made.",
        "%%graph g\nteam = {billing, technical}\ntriage -> team   by triage.category\nteam -> check\n"
        'check: agent critic   with text = team, tone = "kind"',
        ("=",),
    ),
    Rule(
        "{{ NAME }}",
        "A prompt declares what it reads: a node of the graph that comes before it, a group, or else an input of the run. "
        "`{{ qa.fault }}` reads a field, `{{ qa.fault? }}` one that may be absent, as in the first round of a loop.",
        "%%agent note --model echo\nSummarise {{ write }} {{ qa.fault? }}",
        ("?",),
    ),
    Rule(
        "NAME: agent OBJECT   with a = PATH, b = CONSTANT",
        "Binds what the node reads: a path, or a constant as JSON. What "
        "is not bound is read from the node or input of its name.",
        '%%graph g\nwrite -> check\ncheck: agent critic   with text = write, tone = "kind"',
        ("with",),
    ),
    Rule(
        "{a, b}: agent OBJECT",
        "Declares several nodes of one agent.",
        '%%graph g\nwrite -> {mild, strict}\n{mild, strict}: agent critic   with text = write, tone = "honest"',
    ),
    Rule(
        "state CLASS",
        "Gives the graph a state class: a TypedDict, dataclass or pydantic model. Agents and functions write its fields by `writes`; "
        f'`Annotated[list, "append"]` says how two writes become one. Reducers: {", ".join(REDUCERS)}.',
        "%%graph g\nstate Findings\nplan -> worker   each plan.tasks as task",
        ("state",),
    ),
    Rule(
        "a -> b   each PATH as NAME",
        "Runs the target once for each item of a list. It reads the item as NAME, and its value is the list of the "
        "results in the order of the items.",
        "%%graph g\nplan -> worker   each plan.tasks as task",
        ("each", "as"),
    ),
)

LOOPS = (
    Rule(
        "b -> a   when CONDITION   at most N",
        "An arrow that leads back closes a loop. Every loop needs a bound, from 1 to "
        f"{MAX_TRAVERSALS:,}. The nodes on the ways from `a` to `b` are its body. Loops inside one another nest; loops that "
        "overlap, or wait for each other, are one. An arrow out of a loop is followed once, when the loop is over, as its "
        "source decided last.",
        "%%graph g\ndraft -> review\nreview -> draft   when review.score < 0.6   at most 2\nreview -> keep    else",
        ("at", "most"),
    ),
    Rule(
        "critic -> a   when …   at most N",
        "Sends a part back: what the arrow leads to, and what follows it in the body, runs again; the rest keeps its results.",
        "%%graph g\ntriage -> {billing, technical} -> qa\nqa -> billing     when qa.score < 0.6   at most 2\n"
        "qa -> technical   when qa.score < 0.3   at most 1\nqa -> out         else\nqa: agent qa with write = triage\nout billing, technical",
    ),
    Rule(
        "{a, b} -> c   at most N",
        "Arrows on one line share their bound; arrows on lines of their own have their own. It counts once each time the loop is "
        "gone round.",
        "%%graph g\nboss -> {billing, technical, end}   by boss.next   else end\n{billing, technical} -> boss   at most 4\n"
        "team = {billing, technical}\nout end",
    ),
    Rule(
        "boss -> {a, b, end}   by PATH   at most N   else end",
        "A supervisor: it is asked again after each of its workers. When the bound is used up, the targets inside the loop are no "
        "longer taken and `else` is. A list as the value takes every target that it names. Here the arrows back need no bound: "
        "where nodes lead to each other, the arrows against the order of first mention lead back.",
        "%%graph g\nboss -> {billing, technical, end}   by boss.next   at most 6   else end\nteam = {billing, technical}\n"
        "team -> boss\nout end",
    ),
    Rule(
        "check -> work   each PATH as NAME   at most N",
        "Maps the next round over another list: the items that are to be done again.",
        "%%graph g\nplan -> worker     each plan.tasks as task\nworker -> check\n"
        "check -> worker   each check.again as task   at most 2\ncheck -> out      else\nout worker",
    ),
    Rule(
        "{{ review.fault? }}",
        "Reads the round before: the value when the loop was last gone round, absent in its first round. Behind a loop, a node "
        "that ran in some round only is read with its latest value, also with `?`.",
        "%%graph g\ndraft -> review\nreview -> draft   when review.score < 0.6   at most 2\nreview -> out     else\nout draft",
    ),
    Rule(
        "bound used up",
        "A run whose bound was used up is `done` with this mark, and `run.ok` is False, if `out` has a value in the last round; "
        "else it fails with `LoopExhausted`. Marks are `bound used up`, `rejected` (by a person) and `degraded` (a cheaper model "
        "answered). A mark in a round that was superseded does not count.",
        "%%graph g\ndraft -> review\nreview -> draft   when review.score < 0.6   at most 2\nreview -> out     else\nout draft",
    ),
    Rule(
        "NAME.failure",
        "How a node failed, for the nodes on its `else` arrow: `failure.class`, `failure.message`, `failure.attempts` and "
        "`failure.output`. A person's rejection has the class `rejected`. Needs `on_failure: else`.",
        '%%graph g\nwrite -> ok\nok: human "Send this?"\nok -> send\nok -> again   else\nsend: function end\n'
        "again: agent critic   with text = write, tone = ok.failure.message",
    ),
)

_FUNCTIONS = {
    "effects": 'names of what it does to the world, such as "message". They are recorded before they happen and are never repeated unasked',
    "writes": 'fields of the state that it writes, with their reducers: `writes={"findings": "append"}`',
    "timeout_s": "seconds after which it fails",
    "retry": "tries at a failure that may pass, the first one included",
    "inline": "runs in the event loop and not in a thread, for functions of microseconds",
    "describe": "what `by similarity`, `by judge` and `by fit` know of it; the first line of its docstring unless told",
    "on_failure": "`fail` ends the run, `skip` continues without it, `else` takes its `else` arrow",
    "examples": "texts that belong to it, for `by similarity`",
}
"""Option of `@orch.node` -> what it says."""


def page() -> Page:
    """The page."""
    options = [name for name, p in inspect.signature(node).parameters.items() if p.kind is p.KEYWORD_ONLY]
    limits = Rule(
        "limits",
        f"A name is an identifier of at most {MAX_NAME} characters and none of the words {', '.join(sorted(RESERVED))}. "
        f"A graph has at most {MAX_EDGES:,} arrows.",
    )
    sections = (
        Section("Arrows", ARROWS),
        Section("Kinds of nodes", tuple(_of_kind(kind) for kind in KINDS)),
        Section("Which arrow is taken", CHOICES),
        Section("Conditions", CONDITIONS),
        Section("Gates, groups, reads, state and maps", READS),
        Section("Loops, endings and failures", LOOPS),
        Section("Functions: @orch.node(...)", tuple(Rule(f"{name}=", f"{_FUNCTIONS[name]}.") for name in options)),
        Section("Limits", (limits,)),
    )
    lead = (
        "A `%%graph` cell wires agents, functions and people: one statement a line. Arrows say what runs after what; reads say "
        "which values a node gets. Nothing is spent until `%orch run`."
    )
    errors = (GraphError, LoopExhausted, SemanticFailure, MissingInput, CellError, BadName, BadExpression)
    return Page("graph", TOPICS["graph"], lead, sections, SETUP, errors)


def _of_kind(kind: str) -> Rule:
    rule = NODES[kind]
    return Rule(rule.form, rule.says, rule.example, (kind,))
