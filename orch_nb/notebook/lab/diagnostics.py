"""What is wrong with a cell, found without running it: places in its text, for the editor to underline."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orch_nb.agents.binding import is_agent, is_definition
from orch_nb.errors import CellError, GraphError, OrchError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_nb.lang.magic_line import Command

MAX_CELL = 64 * 1024
"""Characters of a cell that is checked while it is being written; a longer one is checked when it runs."""
MAX_MARKS = 40
_ORCH = re.compile(r"^\s*(?:[\w., ]+=\s*)?%orch(?:\s+|$)")
_QUOTED = re.compile(r"`([^`]+)`")
_LINE = re.compile(r"^line (\d+): ")
_READ = re.compile(r"(?<!\\)\{\{\s*([^\W\d]\w*)\.([^\W\d]\w*)")


@dataclass(slots=True, frozen=True)
class Mark:
    """One thing that is wrong: `line` and `column` from 1, `length` in characters, and what a tooltip says."""

    line: int
    column: int
    length: int
    message: str
    hint: str = ""
    tone: str = "error"

    def row(self) -> dict[str, object]:
        """As plain data."""
        return asdict(self)


def marks_of(text: str, names: Mapping[str, object]) -> list[Mark]:
    """Return what is wrong with a `%%agent` cell, a `%%graph` cell, or the `%orch` lines of another; at most 40 marks.

    Nothing is run, bound or stored. Names are those of the notebook as it is: an agent that a later cell defines is
    unknown until that cell has run.
    """
    if len(text) > MAX_CELL:
        return []
    first = text.split("\n", 1)[0]
    kind = re.match(r"%%(agent|graph)(?=\s|$)", first)
    found = _cell_marks(kind[1], text, names) if kind is not None else _line_marks(text, names)
    return list(found)[:MAX_MARKS]


# ------------------------------------------------------------------ %%agent, %%graph
def _cell_marks(kind: str, text: str, names: Mapping[str, object]) -> Iterator[Mark]:
    first, _, body = text.partition("\n")
    try:
        if kind == "agent":
            yield from _agent_marks(first, body, text, names)
        else:
            yield from _graph_marks(first, text, names)
    except CellError as error:
        yield _of_error(error, text)
    except OrchError as error:
        yield _spoken_of(str(error).split("\n", 1)[0], text, hint=error.hint)


def _agent_marks(first: str, body: str, text: str, names: Mapping[str, object]) -> Iterator[Mark]:
    from orch_nb.agents.agent import Agent
    from orch_nb.lang.magic_line import without_comment

    line = without_comment(first.removeprefix("%%agent").strip())
    made = Agent.from_cell(re.sub(r"\s--(?:save|replace)(?=\s|$)", "", f" {line}").strip(), body, names)
    for model in made.model_names:
        yield from _model_marks(model, text)
    for found in _READ.finditer(text):
        fields = fields_of(names.get(found[1]))
        if fields and found[2] not in fields:
            near = nearest(found[2], fields)
            hint = f"did you mean `{near}`?" if near else f"it has {', '.join(fields[:12])}"
            line_number, column = _place(text, found.start(2))
            yield Mark(line_number, column, len(found[2]), f"`{found[1]}` makes no `{found[2]}`.", hint, "warning")


def _model_marks(model: str, text: str) -> Iterator[Mark]:
    from orch_nb.catalog import models

    try:
        models.current().resolve(model)
    except OrchError as error:
        yield _spoken_of(f"`{model}`: {_bare(str(error))}", text, hint=error.hint, tone="warning")


def _graph_marks(first: str, text: str, names: Mapping[str, object]) -> Iterator[Mark]:
    from orch_nb.agents.binding import compile_in
    from orch_nb.graph.builder import Graph

    words = first.removeprefix("%%graph").split("#")[0].split()
    name = next((word for word in words if not word.startswith("--")), "")
    if not name:
        yield Mark(1, 1, len("%%graph"), "a graph needs a name.", "`%%graph NAME`")
        return
    try:
        compile_in(Graph.from_cell(name, text), names)
    except GraphError as error:
        for problem in error.problems or (str(error),):
            yield _spoken_of(problem.split("\n", 1)[0], text, tone="warning")


# ------------------------------------------------------------------ %orch
def _line_marks(text: str, names: Mapping[str, object]) -> Iterator[Mark]:
    """The `%orch` lines of an ordinary cell: unknown verbs, flags, graphs."""
    from orch_nb.lang.magic_line import read_command, split
    from orch_nb.notebook import verbs

    for number, row in enumerate(text.split("\n"), 1):
        found = _ORCH.match(row)
        if found is None:
            continue
        rest = row[found.end() :]
        try:
            words = split(rest, row, number)
            verb = words[0].text if words else ""
            known = verbs.VERBS.get(verb)
            values = [] if known is None else [flag for flag, takes in known.flags.items() if takes]
            command = read_command(rest, shown=row, number=number, values=values)
            verbs.check(verbs.find(command.verb, command, words[0] if words else None), command)
            _check_target(command, names)
        except CellError as error:
            yield _of_error(error, text)


def _check_target(command: Command, names: Mapping[str, object]) -> None:
    """`run` and `batch` name something that is there. That it can run is said when it does."""
    if command.verb not in ("run", "batch") or not command.words or command.words[0].text in names:
        return
    word = command.words[0]
    near = nearest(word.text, runnable(names))
    raise command.error(
        f"the graph or agent `{word.text}` does not exist yet.",
        word,
        hint=f"did you mean `{near}`?" if near else "run its cell",
    )


# ------------------------------------------------------------------ what names stand for
def runnable(names: Mapping[str, object]) -> list[str]:
    """Names of graphs and agents."""
    return [n for n, v in list(names.items()) if is_definition(v) and not n.startswith("_")]


def fields_of(value: object) -> list[str]:
    """The fields that an agent's answer has; none where it answers in text, or is not an agent."""
    out = getattr(value, "out", None) if is_agent(value) else None
    properties = out.schema.get("properties") if out is not None else None
    return [str(name) for name in properties] if isinstance(properties, dict) else []


# ------------------------------------------------------------------ places
def _of_error(error: CellError, text: str) -> Mark:
    """A mark where the error points; at the first line where it points nowhere."""
    rows = text.split("\n")
    line = min(max(1, error.line), len(rows))
    column = max(1, error.column)
    row = rows[line - 1]
    word = re.match(r"\w+|\S", row[column - 1 :])
    if error.column and word is not None:
        length = len(word[0])
    else:
        column = len(row) - len(row.lstrip()) + 1
        length = max(1, len(row.strip()))
    return Mark(line, column, length, _bare(str(error)), error.hint, "error")


def _bare(message: str) -> str:
    """An error's first line, without the place that the mark itself shows."""
    return _LINE.sub("", message.split("\n", 1)[0])


def _spoken_of(message: str, text: str, *, hint: str = "", tone: str = "error") -> Mark:
    """A mark at the first word of the text that the message quotes, in the line that it names if it names one."""
    said = _LINE.match(message)
    line = min(int(said[1]), text.count("\n") + 1) if said is not None else 0
    for quoted in _QUOTED.findall(message):
        for word in dict.fromkeys((quoted, quoted.rsplit(".", 1)[-1])):
            places = [_place(text, m.start()) for m in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
            # The first line holds the cell's own name too: it is looked at last.
            for at, column in sorted(places, key=lambda place: place[0] == 1):
                if line in (0, at):
                    return Mark(at, column, len(word), _bare(message), hint, tone)
    row = text.split("\n")[max(0, line - 1)]
    return Mark(max(1, line), 1, max(1, len(row)), _bare(message), hint, tone)


def _place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1."""
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
