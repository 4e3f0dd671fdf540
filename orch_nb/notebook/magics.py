"""The magics: `%%agent` and `%%graph` define, `%%claim` checks, `%orch` does. Each cell binds an ordinary object and gives it back."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from orch_nb.errors import BadName, BadOption, CellError, OrchError, nearest
from orch_nb.lang.magic_line import read_command, split, without_comment
from orch_nb.notebook import compare_verbs, manual, overview, redefinition, verbs
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from orch_nb.notebook.session import Session
    from orch_nb.views.bundle import Display

HELP = "--help"
AGENT_FLAGS = ("save", "replace")
"""Flags of `%%agent` that are not keys of an agent."""
CELLS = {
    "agent": (
        "%%agent NAME [--KEY VALUE …] [--save] [--replace]",
        (
            "Define an agent: YAML between two lines `---`, then the prompt with its "
            "`{{ reads }}`. `%agent NAME` shows it again."
        ),
        "agent",
    ),
    "graph": (
        "%%graph NAME [--replace]",
        "Wire agents, functions and people: one statement a line. `%graph NAME` shows it again.",
        "graph",
    ),
    "claim": (
        "%%claim [TITLE] [--replace]",
        (
            "Recompute stated figures, one a line, after `given: GRAPH at N a day` where they need one. "
            "`%%claim?` has an example."
        ),
        "",
    ),
    "compare": (
        "%%compare NAME [--replace]",
        "Compare prompts on models over inputs: one `key: value` a line. `%%compare?` explains the keys.",
        "models",
    ),
}
"""Cell magic -> how it is written, what it does, its page of the manual."""


@magics_class
class OrchMagics(Magics):
    """`%orch`, `%%agent`, `%%graph`, `%%claim`."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session
        self.names: dict[str, Any] = shell.user_ns

    @no_var_expand
    @needs_local_scope
    @line_magic
    def orch(self, line: str, local_ns: dict[str, object] | None = None) -> object:
        """Design, cost and run multi-agent workflows.

        ``%orch`` shows the notebook's status, ``%orch help`` lists the verbs, ``%orch help run`` says more about one::

            %orch budget 0.50
            %orch run support ticket="My payment failed"
            %orch resume 7
        """
        shown, number = self._place(line)
        words = split(line, shown, number)
        name = words[0].text if words else ""
        if any(word.text == HELP for word in words):
            return self._verb_usage(line, name if name != HELP else "")
        command = read_command(line, shown=shown, number=number, values=_value_flags(name))
        verb = verbs.find(command.verb, command, words[0] if words else None)
        verbs.check(verb, command)
        try:
            return verb.do(self.session, command, self._names(local_ns))
        except OrchError as error:
            raise command.pointing(error) from error.__cause__

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def agent(self, line: str, cell: str | None = None, local_ns: dict[str, object] | None = None) -> object:
        """Define an agent: flags on the line, YAML front matter, the prompt with its ``{{ reads }}``::

            %%agent triage --model small
            ---
            out: {category: billing | technical, confidence: float}
            ---
            Classify the customer's message.
            Message: {{ ticket }}

        ``--save`` writes ``agents/NAME.agent.md`` too; ``--replace`` allows a name that is something else now.
        ``%agent NAME`` shows a card again.
        """
        from orch_nb.agents.agent import Agent

        if HELP in line.split():
            return _cell_usage("agent")
        if cell is None:
            return self._again(line, Agent, "agent")
        line, flags = _own_flags(without_comment(line), AGENT_FLAGS)
        made = Agent.from_cell(line, cell, self._names(local_ns))
        before = self._free_name(made.name, Agent, flags, line)
        redefinition.note_agent(
            made, before, self.names, self.session.runtime.live_runs() if before is not None else ()
        )
        if "save" in flags:
            made.save(self.session.runtime.folder)
        self.session.bind(made.name, made)
        return made

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def graph(self, line: str, cell: str | None = None, local_ns: dict[str, object] | None = None) -> object:
        """Wire agents, functions and people::

            %%graph support
            triage -> {billing, technical}   by triage.category   else person
            {billing, technical} -> qa
            qa -> triage     when qa.score < 0.6   at most 2
            qa -> send       else
            person: human

        ``%graph NAME`` shows it again.
        """
        from orch_nb.graph.builder import Graph

        if HELP in line.split():
            return _cell_usage("graph")
        if cell is None:
            return self._again(line, Graph, "graph")
        line, flags = _own_flags(without_comment(line), ("replace",))
        name = _one_name(line, "graph")
        made = Graph.from_cell(name, f"%%graph {line}\n{cell}")
        before = self._free_name(name, Graph, flags, line)
        redefinition.note_graph(made, before, self.session.runtime.live_runs() if before is not None else ())
        self.session.bind(name, made)
        return made

    @no_var_expand
    @needs_local_scope
    @cell_magic
    def claim(self, line: str, cell: str, local_ns: dict[str, object] | None = None) -> object:
        """Recompute stated figures: each *holds*, is *off by* so much, or is *impossible*::

            %%claim hybrid saves
            given: support at 10000 a day
            against: all on big
            saving >= 60 %
            cost <= $500 a day

        Plain arithmetic needs no ``given:``: ``5 x $0.03 = $0.15``. A title of one word becomes a variable.
        """
        from orch_nb.analysis.claims.claim import Claim, claim
        from orch_nb.analysis.sources import runs_of

        if HELP in line.split():
            return _cell_usage("claim")
        line, flags = _own_flags(without_comment(line), ("replace",))
        title = line.strip()
        runtime = self.session.runtime
        names = self._names(local_ns)
        is_name = title.isidentifier()
        if is_name:
            self._free_name(title, Claim, flags, line)
        made = claim(cell, title=title, names=names, runs_of=runs_of(runtime), models=runtime.models)
        if is_name:
            self.session.bind(title, made)
        return made

    @no_var_expand
    @needs_local_scope
    @cell_magic
    def compare(self, line: str, cell: str, local_ns: dict[str, object] | None = None) -> object:
        """Compare prompts on models over inputs, all at once::

            %%compare reply
            prompts: [reply_v1, reply_v2]
            models: [small, big]
            inputs: tickets.sample(20)
            score: judge("helpful, correct")
            budget: 0.10

        ``score``: ``exact(COLUMN)``, ``regex("…")``, ``numeric(0.01, of=FIELD)``, ``schema``, a function's name, ``judge("…")``, or a
        list of them. Further keys: ``repeat: 3``, ``blind: true`` (names are hidden until somebody has picked), ``seed``, ``task``
        (the matrix's row), ``fixtures: false`` (leave kept edge cases out), ``passes: 0.9`` (for `ladder()`).

        The cell binds `reply`: `reply.table()`, `reply.winner()`, `reply.pick(row, "A")`, `reply.keep(row, note="…")`.
        """
        if HELP in line.split():
            return _cell_usage("compare")
        return compare_verbs.compare(self.session, line, cell, self._names(local_ns))

    # ---------------------------------------------------------------- helpers
    def _verb_usage(self, line: str, name: str) -> Display:
        """Return how a verb is written; every verb without a name."""
        if not name:
            return overview.verbs(verbs.VERBS, verbs.GROUPS, manual.TOPICS)
        command = read_command(name, shown=f"%orch {line}")
        return verbs.usage(name, verbs.find(name, command, None))

    def _names(self, local_ns: dict[str, object] | None) -> dict[str, object]:
        """The variables that the line sees: the notebook's, and a function's own where it is in one."""
        return self.names if not local_ns or local_ns is self.names else {**self.names, **local_ns}

    def _place(self, line: str) -> tuple[str, int]:
        """The line as the cell has it, and its number there."""
        for number, row in enumerate(self.session.cell.splitlines(), 1):
            if "%orch" in row and row.rstrip().endswith(line.strip()):
                return row, number
        return f"%orch {line}", 1

    def _again(self, line: str, kind: type, magic: str) -> object:
        """The object of this name, to be shown again."""
        known = {n: v for n, v in self.names.items() if isinstance(v, kind) and not n.startswith("_")}
        name = without_comment(line).strip()
        if name in known:
            return known[name]
        near = nearest(name, known)
        hint = (
            f"did you mean `{near}`?"
            if near
            else f"there are: {', '.join(known)}"
            if known
            else f"`%%{magic} NAME` defines one"
        )
        raise BadOption(
            f"the {magic} `{name}` does not exist." if name else f"which {magic}?",
            line=1,
            source=f"%{magic} {line}",
            hint=hint,
        )

    def _free_name(self, name: str, kind: type, flags: set[str], line: str) -> object:
        """Return the value of the name; raise where it would replace something else, unless told to."""
        before = self.names.get(name)
        if isinstance(before, kind) or "replace" in flags:
            return before if isinstance(before, kind) else None
        if hasattr(builtins, name):  # an agent called `print` would take it away from every other cell
            what = "Python's own"
        elif before is not None:
            what = f"{a_(type(before).__name__)} in this notebook"
        else:
            return None
        magic = f"%%{kind.__name__.lower()} "
        raise BadName(
            f"`{name}` is {what}.", line=1, column=len(magic) + 1, source=f"{magic}{line}",
            hint="choose another name, or add `--replace`",
        )  # fmt: skip


def _cell_usage(magic: str) -> Display:
    return overview.verb(*CELLS[magic])


def _value_flags(name: str) -> list[str]:
    verb = verbs.VERBS.get(name)
    return [] if verb is None else [flag for flag, takes in verb.flags.items() if takes]


def _own_flags(line: str, known: tuple[str, ...]) -> tuple[str, set[str]]:
    """The line without the flags that the magic itself takes, and which of them were there."""
    found = {flag for flag in known if f"--{flag}" in line.split()}
    for flag in found:
        before, _, after = line.partition(f"--{flag}")
        line = f"{before.rstrip()} {after.lstrip()}".strip()
    return line, found


def _one_name(line: str, what: str) -> str:
    words = split(line)
    if not words:
        raise CellError(f"a {what} needs a name.", line=1, source=f"%%{what} {line}", hint=f"`%%{what} NAME`")
    if len(words) > 1:
        raise CellError(
            f"Unexpected argument `{words[1].text}`.", line=1, column=words[1].column + len(what) + 3,
            source=f"%%{what} {line}", hint=f"`%%{what} {words[0].text}`",
        )  # fmt: skip
    return words[0].text
