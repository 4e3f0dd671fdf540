"""Tab completion of our lines and cells: verbs, names, flags, inputs, runs; keys, models, nodes and their fields."""

from __future__ import annotations

import re
from types import FunctionType
from typing import TYPE_CHECKING, Any

from orch_nb.errors import OrchError
from orch_nb.notebook import manual, verbs
from orch_nb.notebook.forecast_verb import OPTIONS
from orch_nb.notebook.lab.diagnostics import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch_nb.notebook.session import Session

_LINE = re.compile(r"^\s*(?:[\w., ]+=\s*)?%orch(?:\s|$)")
_CELL = re.compile(r"^\s*%%(agent|graph)(?:\s|$)")
_TEXT = re.compile(r"(\S*)$")


def complete(text: str, session: Session) -> tuple[str, list[str]]:
    """Return what may be at the end of `text`, a line up to the cursor: (the piece that is replaced, candidates).

    Returns ("", []) where the line is none of ours.
    """
    cell = _CELL.match(text)
    if cell is not None:
        return _of(text, _agent_words(text) if cell[1] == "agent" else _graph_names(session.shell.user_ns))
    found = _LINE.match(text)
    if found is None:
        return "", []
    before = text[found.end() :] if text[found.end() - 1].isspace() else None
    if before is None:
        return "", []
    words = before.split(" ")
    if len(words) <= 1:
        return _of(text, [v for v in verbs.VERBS if v])
    return _of(text, _after(words[0], words[1:], session))


# ------------------------------------------------------------------ inside of cells
_FRONT = re.compile(r"^([\w-]*)$")
_VALUE = re.compile(r"^\s*([\w-]+)\s*:\s*.*?([\w./-]*)$")
_INSIDE = re.compile(r"(?<!\\)\{\{\s*([\w.]*)$")
_PATH = re.compile(r"([^\W\d]\w*\.)?(\w*)$")


def complete_cell(before: str, whole: str, session: Session) -> tuple[str, list[str]]:
    """Return what may be at the end of `before`, the text of a `%%agent` or `%%graph` cell up to the cursor.

    Parameters
    ----------
    whole
        The whole text of the cell: names that it uses elsewhere are candidates too.

    Returns
    -------
    tuple
        (the piece that is replaced, candidates); ("", []) in the first line, and in cells that are not ours.
    """
    kind = _CELL.match(before)
    line = before.rsplit("\n", 1)[-1]
    if kind is None or "\n" not in before:
        return "", []
    names = session.shell.user_ns
    if kind[1] == "graph":
        return _in_graph(line, whole, names)
    body = before.split("\n")[1:-1]
    fences = [i for i, row in enumerate(body) if row.rstrip() == "---"]
    if len(fences) == 1 and fences[0] == 0:
        return _in_front_matter(line, session, names)
    inside = _INSIDE.search(line)
    return _path(inside[1], names, ()) if inside is not None else ("", [])


def _in_front_matter(line: str, session: Session, names: Mapping[str, object]) -> tuple[str, list[str]]:
    from orch_nb.schema.agent_spec import KEYS

    key = _FRONT.match(line)
    if key is not None:
        return key[1], [f"{k}: " for k in KEYS if k.startswith(key[1])]
    value = _VALUE.match(line)
    if value is None:
        return "", []
    known: list[str] = []
    if value[1] in ("model", "fallback"):
        known = session.runtime.models.names()
    elif value[1] == "tools":
        known = _names(names, "Tool") + _names(names, "function")
    return value[2], [k for k in known if k.startswith(value[2]) and k != value[2]]


def _in_graph(line: str, whole: str, names: Mapping[str, object]) -> tuple[str, list[str]]:
    from orch_nb.lang.graph_cell import KINDS, WORDS

    found = _PATH.search(line)
    piece = found[0] if found is not None else ""
    used = re.findall(r"[^\W\d]\w*", whole.partition("\n")[2])
    return _path(piece, names, [*used, "at most", *(word for word in WORDS if word not in ("at", "most")), *KINDS])


def _path(piece: str, names: Mapping[str, object], more: Iterable[str]) -> tuple[str, list[str]]:
    """A name of a node, or `node.field`."""
    head, dot, rest = piece.rpartition(".")
    if dot:
        return rest, [f for f in fields_of(names.get(head)) if f.startswith(rest) and f != rest]
    nodes = [n for kind in ("Agent", "Graph", "Tool", "function") for n in _names(names, kind)]
    found = dict.fromkeys([*nodes, *more])
    return piece, [n for n in found if n.startswith(piece) and n != piece]


def _of(text: str, candidates: Iterable[str]) -> tuple[str, list[str]]:
    match = _TEXT.search(text)
    piece = match[1] if match is not None else ""
    return piece, [c for c in dict.fromkeys(candidates) if c.startswith(piece) and c != piece]


def _after(verb: str, words: list[str], session: Session) -> list[str]:
    """Candidates after a verb."""
    known = verbs.VERBS.get(verb)
    if known is None:
        return []
    names = session.shell.user_ns
    flags = [f"--{flag}" for flag in known.flags if f"--{flag}" not in words]
    first = [w for w in words[:-1] if w and not w.startswith("-")]
    match verb:
        case "run" | "batch" if not first:
            return [*_graph_names(names), *_names(names, "Agent")]
        case "forecast":
            return [*_graph_names(names), *_names(names, "Agent")] if not first else ["at", *(f"{o}=" for o in OPTIONS)]
        case "batch" if len(first) == 1:
            return [
                n for n, v in names.items() if not n.startswith("_") and (hasattr(v, "columns") or isinstance(v, list))
            ]
        case "run" | "batch":
            return [*(f"{i}=" for i in _inputs(names, first[0])), *flags]
        case "resume" | "trace" | "cost" | "stop" | "diff" if not first:
            return [*_runs(session), *flags]
        case "runs":
            return ["drop", *flags] if not first else _runs(session)
        case "answer" if not first:
            return ["approve", "edit", "reject"]
        case "route":
            return [*(["accept", "reject"] if not first else []), *_names(names, "Agent")]
        case "why" if not first:
            return [*_latest_nodes(session), *flags]
        case "models" if not first:
            return ["set", "add"]
        case "help":
            return [*(v for v in verbs.VERBS if v), *manual.TOPICS]
    return flags


def _latest_nodes(session: Session) -> list[str]:
    """Nodes of the newest run."""
    try:
        return [node.name for node in session.runtime.latest().plan.nodes]
    except OrchError:
        return []


def _agent_words(text: str) -> list[str]:
    """Flags of `%%agent` that are not given yet."""
    from orch_nb.schema.agent_spec import KEYS

    if len(text.split()) < 2:
        return []
    return [f for f in (*(f"--{k.replace('_', '-')}" for k in KEYS), "--save", "--replace") if f not in text.split()]


def _names(names: Mapping[str, object], kind: str) -> list[str]:
    from orch_nb.agents.agent import Agent
    from orch_nb.graph.builder import Graph
    from orch_nb.tools.registry import Tool

    cls = {"Agent": Agent, "Graph": Graph, "Tool": Tool, "function": FunctionType}[kind]
    return [n for n, v in names.items() if isinstance(v, cls) and not n.startswith("_")]


def _graph_names(names: Mapping[str, object]) -> list[str]:
    return _names(names, "Graph")


def _inputs(names: Mapping[str, object], target: str) -> list[str]:
    from orch_nb.agents.binding import compile_in

    if target not in names:
        return []
    try:
        plan = compile_in(names[target], names)
    except OrchError:
        return []
    return [*plan.inputs, *plan.optional_inputs]


def _runs(session: Session) -> list[str]:
    try:
        return [row.run for row in session.runtime.runs(limit=20)]
    except OrchError:
        return []


def make_matcher(session: Session) -> object:
    """An IPython matcher for our lines; for all others it has nothing to say."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()
    def orch_matcher(context: Any) -> dict[str, object]:
        line = context.line_with_cursor
        line = line[: context.cursor_position] if len(line) > context.cursor_position else line
        piece, found = complete(line, session)
        if not found and context.cursor_line:
            above = context.full_text.split("\n")[: context.cursor_line]
            piece, found = complete_cell("\n".join([*above, line]), context.full_text, session)
        return {
            "completions": [SimpleCompletion(c, type="orch") for c in found],
            "suppress": bool(found),
            "matched_fragment": piece,
        }

    return orch_matcher
