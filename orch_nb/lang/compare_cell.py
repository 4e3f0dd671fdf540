"""The text of a ``%%compare`` cell, read into keys with their lines. Nothing is evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption, CellError, UnknownKey, nearest
from orch_nb.lang.tokens import message_of
from orch_nb.schema.budget import parse_budget
from orch_nb.schema.names import check_name
from orch_nb.schema.yaml import Located, locate_yaml

if TYPE_CHECKING:
    from orch_nb.schema.budget import BudgetLike

KEYS = (
    "prompts", "models", "inputs", "score", "budget", "repeat", "blind", "seed", "task", "fixtures", "passes",
)  # fmt: skip
_RAW = ("inputs", "score")
_SHORT = ("budget", "repeat", "blind", "seed", "task", "fixtures", "passes", "models", "inputs")
"""Keys whose line may hold further ones after `` ; ``."""
MAX_REPEAT = 100
MAX_CELLS = 20_000
PASSES = 0.9
_KEY = re.compile(r"([A-Za-z_]\w*)[ \t]*:(?=\s|$)")


@dataclass(slots=True)
class CompareCell:
    """The comparison that a cell describes.

    Parameters
    ----------
    name
        The variable that the cell sets.
    prompts
        Name -> text of the prompt, or None for an agent of the notebook.
    models
        Names of models; each prompt is sent to each.
    inputs
        An expression over the notebook's variables as text, or the rows themselves.
    score
        Scorers as written (see `scorers`).
    budget
        Budget of all calls, judges included (`schema.budget`: ``0.10``, ``0.10, 50 calls``); None for the notebook's alone.
    repeat
        Number of times that each input is sent: more than one shows how much answers vary.
    blind
        True hides names until a person has picked.
    seed
        Seed of samples and of the order of answers.
    task
        The row of the routing matrix; "" for the agent's name where there is one agent, else the comparison's.
    fixtures
        True adds the stored edge cases of the task.
    passes
        Lowest quality of a model that `ladder()` takes for good enough.
    source
        The cell, for errors; `lines`: key -> its line.
    """

    name: str
    prompts: dict[str, str | None]
    models: tuple[str, ...]
    inputs: object
    score: tuple[str, ...] = ()
    budget: BudgetLike = None
    repeat: int = 1
    blind: bool = False
    seed: int = 0
    task: str = ""
    fixtures: bool = True
    passes: float = PASSES
    source: str = field(default="", repr=False, compare=False)
    lines: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def error(self, key: str, message: str, *, hint: str = "") -> BadOption:
        """Make an error that points at the line of a key."""
        return BadOption(message, line=self.lines.get(key, 0), source=self.source, hint=hint, key=key)


@dataclass(slots=True)
class _Chunk:
    """One key with its text: `text` begins with the key; `line` counts in the cell, from 1."""

    key: str
    line: int
    text: str

    @property
    def value(self) -> str:
        """The text after the colon."""
        return self.text.partition(":")[2]


def read_compare_cell(line: str, body: str) -> CompareCell:
    """Read the comparison of a cell: the line after ``%%compare``, and the text below.

    Raises
    ------
    UnknownKey
        A key that comparisons do not have; the nearest is named.
    BadOption, BadName
        A key is missing, given twice, or has an invalid value; the line is shown.
    """
    source = f"%%compare {line}\n{body}"
    name, chunks = _name(line, source), _chunks(body, source)
    lines = {c.key: c.line for c in chunks.values()}
    cell = CompareCell(name, {}, (), None, source=source, lines=lines)
    for key in ("prompts", "models", "inputs"):
        if key not in chunks:
            raise cell.error(key, f"the comparison `{name}` has no `{key}`.", hint=_HINTS[key])
    data = {key: _data(c, source) for key, c in chunks.items() if key not in _RAW}
    cell.prompts = _prompts(cell, data["prompts"].data["prompts"])
    cell.models = _models(cell, data["models"])
    cell.inputs = _inputs(chunks["inputs"], source)
    cell.score = _scores(cell, chunks["score"]) if "score" in chunks else ()
    for key in data.keys() - {"prompts", "models"}:
        _plain_key(cell, key, data[key])
    return cell


_HINTS = {
    "prompts": '`prompts: [agent_a, agent_b]`, or `prompts: {short: "Answer in one line: {{ ticket }}"}`',
    "models": "`models: [small, big]`",
    "inputs": "`inputs: tickets.sample(20)`, a variable, or a list of rows",
    "score": '`score: exact(category)`, or `score: [schema, judge("helpful, correct")]`',
    "repeat": f"a whole number from 1 to {MAX_REPEAT}",
    "blind": "`true` or `false`",
    "fixtures": "`true` or `false`",
    "seed": "a whole number",
    "passes": "a quality from 0 to 1",
}


def _name(line: str, source: str) -> str:
    words = line.partition("#")[0].split()
    if len(words) != 1:
        what = f"Unexpected argument `{words[1]}`" if words else "A comparison needs a name"
        raise BadOption(f"{what}.", line=1, source=source, hint="`%%compare NAME`, and the rest below")
    return check_name(words[0], "name of a comparison", line=1, source=source)


# ------------------------------------------------------------------ keys and their text
def _chunks(body: str, source: str) -> dict[str, _Chunk]:
    """Return key -> its text. A key begins in the first column; indented lines below belong to it."""
    found: list[_Chunk] = []
    for number, row in enumerate(body.splitlines(), 2):
        bare = row.strip()
        match = _KEY.match(row)
        if match:
            found += _several(match[1], number, row)
        elif found and (not bare or row[0] in " \t-]})#"):
            found[-1].text += f"\n{row}"
        elif bare and not bare.startswith("#"):
            raise BadOption(
                "A line must begin with a key, or be indented below one.",
                line=number,
                source=source,
                hint=f"`KEY: value`; keys: {', '.join(KEYS)}",
            )
    out: dict[str, _Chunk] = {}
    for chunk in found:
        _check_key(chunk, out, source)
        out[chunk.key] = chunk
    return out


def _several(key: str, number: int, row: str) -> list[_Chunk]:
    """Return the keys of one line: ``budget: 0.10 ; repeat: 3`` has two."""
    if key not in _SHORT:
        return [_Chunk(key, number, row)]
    parts = re.split(rf"\s;\s+(?=(?:{'|'.join(KEYS)})\s*:)", row)
    return [_Chunk(part.partition(":")[0].strip(), number, part.strip()) for part in parts]


def _check_key(chunk: _Chunk, known: dict[str, _Chunk], source: str) -> None:
    if chunk.key not in KEYS:
        near = nearest(chunk.key, KEYS)
        hint = f"did you mean `{near}`?" if near else f"keys: {', '.join(KEYS)}"
        says = f"A comparison has no key `{chunk.key}`."
        raise UnknownKey(says, line=chunk.line, column=1, source=source, hint=hint, key=chunk.key, nearest=near)
    if chunk.key in known:
        first = known[chunk.key].line
        raise BadOption(
            f"`{chunk.key}` is given twice, first on line {first}.", line=chunk.line, source=source, hint="keep one"
        )


def _data(chunk: _Chunk, source: str) -> Located:
    """Return the value of a key, read as the strict YAML of agents."""
    try:
        return locate_yaml(chunk.text, line_offset=chunk.line - 1)
    except CellError as error:
        text = message_of(error).replace("the front matter", "the cell")
        raise BadOption(text, line=error.line, column=error.column, source=source, hint=error.hint) from None


# ------------------------------------------------------------------ values
def _prompts(cell: CompareCell, value: object) -> dict[str, str | None]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        pairs: list[tuple[str, str | None]] = [(v, None) for v in value]
    elif isinstance(value, dict) and value and all(isinstance(v, str) and v.strip() for v in value.values()):
        pairs = list(value.items())
    else:
        raise cell.error("prompts", "`prompts` must be a list of agents or a mapping of texts.", hint=_HINTS["prompts"])
    for name, _ in pairs:
        check_name(name, "name of a prompt", line=cell.lines["prompts"], source=cell.source)
    if len({name for name, _ in pairs}) < len(pairs):
        raise cell.error("prompts", "`prompts` has a name twice.", hint="keep one of the two")
    return dict(pairs)


def _models(cell: CompareCell, found: Located) -> tuple[str, ...]:
    value = found.data["models"]
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise cell.error("models", "`models` must be a list of names.", hint=_HINTS["models"])
    names = [found.raw.get(("models", str(i)), name) for i, name in enumerate(names)]
    if not all(isinstance(n, str) for n in names) or len(set(names)) < len(names):
        raise cell.error("models", "`models` must be a list of different names.", hint=_HINTS["models"])
    return tuple(names)


def _inputs(chunk: _Chunk, source: str) -> object:
    """Return the rows of the cell, or the text of an expression over the notebook's variables."""
    text = chunk.value.strip()
    if text[:1] in ("[", "-", "{"):
        value: object = _data(chunk, source).data["inputs"]
        return [value] if isinstance(value, dict) else value
    return text


def _scores(cell: CompareCell, chunk: _Chunk) -> tuple[str, ...]:
    import ast

    rows = [r.strip() for r in chunk.value.strip().splitlines() if r.strip()]
    if rows and all(r.startswith("- ") for r in rows):
        texts = [r[2:] for r in rows]
    else:
        texts = [" ".join(rows)]
    out: list[str] = []
    for text in texts:
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise cell.error(
                "score", f"A scorer must be a name or a call, got `{text[:60]}`.", hint=_HINTS["score"]
            ) from None
        parts = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        out += [ast.get_source_segment(text, one) or "" for one in parts]
    return tuple(out)


def _budget(cell: CompareCell, value: object, typed: object) -> BudgetLike:
    """Return the budget as typed, checked."""
    given: BudgetLike = value if isinstance(value, dict) else str(typed)
    try:
        parse_budget(given)
    except BadOption as error:
        raise cell.error("budget", str(error), hint=error.hint) from None
    return given


def _plain_key(cell: CompareCell, key: str, found: Located) -> None:
    value = found.data[key]
    typed = found.raw.get((key,), value)
    if key in ("blind", "fixtures"):
        fits = isinstance(value, bool)
    elif key in ("repeat", "seed"):
        fits = isinstance(value, int) and not isinstance(value, bool) and (key == "seed" or 1 <= value <= MAX_REPEAT)
    elif key == "passes":
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    elif key == "budget":
        value, fits = _budget(cell, value, typed), True
    else:
        check_name(value, "name of a task", line=cell.lines[key], source=cell.source)
        fits = True
    if not fits:
        raise cell.error(key, f"`{key}` must be {_HINTS[key]}, got `{str(typed)[:60]}`.")
    setattr(cell, key, value)
