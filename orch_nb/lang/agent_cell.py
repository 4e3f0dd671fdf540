"""An agent's cell: the magic line, front matter and the prompt, read and written.

The line and the front matter take the same keys. An error has its line in the cell, the key and the nearest name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from orch_nb.errors import BadOption, BadType, CellError, OrchError, UnknownKey, nearest
from orch_nb.lang.tokens import message_of
from orch_nb.schema.agent_spec import KEYS, WORDS, AgentSpec, reducer_pairs, word_list
from orch_nb.schema.amount import PLAIN
from orch_nb.schema.budget import Budget
from orch_nb.schema.names import check_name
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_FILE_BYTES = 256 * 1024
ALIASES = {"tool": "tools", "effect": "effects", "example": "examples"}
"""Keys of the magic line whose list may be given one by one: ``--tool search --tool read``."""


@dataclass(slots=True)
class _Given:
    """One key as it was written, and its place."""

    value: object
    line: int
    column: int = 0


@dataclass(slots=True)
class _Cell:
    """The text of a cell, for errors that point into it."""

    source: str
    given: dict[str, _Given] = field(default_factory=dict)

    def error(self, kind: type[CellError], message: str, at: _Given, *, hint: str = "", **facts: object) -> CellError:
        return kind(message, line=at.line, column=at.column, source=self.source, hint=hint, **facts)

    def put(self, key: str, got: _Given) -> None:
        """Add a key; a second value of it is an error unless both are the same."""
        before = self.given.get(key)
        if (
            before is not None
            and before.value != got.value
            and _normalize(key, before.value) != _normalize(key, got.value)
        ):
            raise self.error(
                BadOption,
                f"`{key}` is given twice: {_show(before.value)} (line {before.line}) and {_show(got.value)}.",
                got,
                hint="keep one of the two",
                key=key,
            )
        self.given[key] = got


def parse_agent_cell(line: str, body: str) -> AgentSpec:
    """Read the agent of one cell: the line after ``%%agent``, and the text below.

    Parameters
    ----------
    line
        ``NAME --model small --budget 0.01 --tool search``, a trailing ``# comment`` allowed.
    body
        Optional front matter between ``---`` lines, then the prompt.

    Raises
    ------
    UnknownKey
        A key that agents do not have; the nearest is named.
    BadOption, BadName, BadType
        An invalid value; line 1 is the magic line.
    """
    from orch_nb.schema.yaml import split_front_matter

    cell = _Cell(f"%%agent {line}\n{body}")
    name = _read_line(line, cell)
    try:
        parts = split_front_matter(body)
    except CellError as error:
        raise _in_cell(error, cell, shift=1) from None
    _read_front_matter(parts.yaml, parts.yaml_offset + 1, cell)
    return build_spec({"name": name, "prompt": parts.prompt, **{k: g.value for k, g in cell.given.items()}}, cell=cell)


def build_spec(values: Mapping[str, object], *, cell: _Cell | None = None) -> AgentSpec:
    """Return an `AgentSpec` of these values; the first fault becomes a typed error with key, value and line.

    Raises
    ------
    UnknownKey
        A key that agents do not have.
    BadOption, BadName, BadType
        An invalid value.
    """
    for key in values:
        if key not in AgentSpec.model_fields:
            raise _unknown_key(str(key), cell, cell.given.get(key) if cell else None)
    _check_names(values, cell)
    _check_one_way(values, cell)
    try:
        return AgentSpec.model_validate(dict(values))
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        at = _place_of(key, cell)
        raise _bad_value(key, values.get(key), error, at, cell) from None


def _place_of(key: str, cell: _Cell | None) -> _Given:
    """Return the place of a key; the magic line for a key that the cell does not have."""
    return (cell.given.get(key) if cell else None) or _Given(None, 1 if cell else 0)


def _check_names(values: Mapping[str, object], cell: _Cell | None) -> None:
    """Check names and reducers, whose errors pydantic would raise without the key's place."""
    checks: dict[str, Callable[..., object]] = {"name": check_name, "effects": _effects, "writes": reducer_pairs}
    for key, check in checks.items():
        try:
            if key in values:
                check(values[key])
        except CellError as error:
            at = _place_of(key, cell)
            text, source = message_of(error), cell.source if cell else ""
            raise type(error)(text, line=at.line, column=at.column, source=source, hint=error.hint) from None
        except ValueError:
            continue  # a value of another type: the model refuses it, with the key


def _check_one_way(values: Mapping[str, object], cell: _Cell | None) -> None:
    """Refuse `model` beside `route`, which chooses the model itself."""
    if values.get("route") is None or values.get("model") is None:
        return
    at = _place_of("route", cell)
    raise BadOption(
        f"`model: {values['model']}` and `route` are both given.", line=at.line, column=at.column,
        source=cell.source if cell else "", hint="keep one: `route` chooses the model itself", key="route",
    )  # fmt: skip


def _effects(value: object) -> None:
    for effect in word_list(value):
        check_name(effect, "effect")


def _bad_value(key: str, value: object, error: ValidationError, at: _Given, cell: _Cell | None) -> CellError:
    problem = error.errors()[0]
    says = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    hint = getattr(getattr(problem.get("ctx", {}).get("error"), "__cause__", None), "hint", "")
    hint = HINTS.get(key, "") if hint in ("", PLAIN) else hint
    if problem["type"] == "literal_error":
        choices = [c.strip(" '\"") for c in str(problem["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        near = nearest(str(value), choices)
        says = f"must be one of {', '.join(choices)}"
        hint = f"did you mean `{near}`?" if near else hint
    says, _, near = says.partition("; did you mean ")
    hint = f"did you mean {near} {hint}" if near else hint
    message = f"the prompt {says}." if key == "prompt" else f"`{key}` {says}, got {_show(value)}."
    source = cell.source if cell else ""
    return BadOption(message, line=at.line, column=at.column, source=source, hint=hint, key=key, value=value)


HINTS = {
    "budget": "US dollars, e.g. `budget: 0.01`, or more: `budget: {usd: 0.01, calls: 5}`",
    "timeout": "seconds, e.g. `timeout: 30`",
    "max_tokens": "tokens of one answer, e.g. `max_tokens: 300`",
    "temperature": "0 repeats itself, 1 varies",
    "retry": "tries at a transient failure; `retry: 1` tries once",
    "route": "`route: auto`, or e.g. `route: {cascade: [small, big], confidence: 0.7, by: agreement(3)}`",
    "second_opinion": "e.g. `second_opinion: {model: big, below: 0.7, by: agreement(3)}`",
    "sla": "e.g. `sla: {seconds: 5}`",
    "writes": "e.g. `writes: {findings: append}`",
    "prompt": "the text below the line (and below the second `---`) is the prompt",
}


def _unknown_key(key: str, cell: _Cell | None, at: _Given | None) -> UnknownKey:
    near = nearest(key, [*KEYS, *ALIASES])
    if key in ("context", "memory", "tags"):
        hint = f"`{key}` has no effect yet; leave it out"
    elif near:
        hint = f"did you mean `{near}`?"
    else:
        hint = f"keys: {', '.join(KEYS)}"
    at = at or _Given(None, 0)
    source = cell.source if cell else ""
    says = f"An agent has no key `{key}`."
    return UnknownKey(says, line=at.line, column=at.column, source=source, hint=hint, key=key, nearest=near)


def _normalize(key: str, value: object) -> object:
    """Return a value as the spec stores it, to compare two spellings of it."""
    try:
        return getattr(AgentSpec.model_validate({"name": "a", "prompt": "p", key: value}), key, value)
    except (ValidationError, OrchError):
        return value


def _show(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f"`{text[:60]}{'…' if len(text) > 60 else ''}`"


class _Token(NamedTuple):
    text: str
    column: int
    is_quoted: bool


_TOKEN = re.compile(
    r"""(?P<flag>--[^\s=]+)(?:=(?=\S))?|"(?P<dq>(?:[^"\\]|\\.)*)"|'(?P<sq>[^']*)'|(?P<bare>[^\s"']\S*)|(?P<odd>["'])"""
)


def _tokens(line: str, cell: _Cell) -> list[_Token]:
    """Return the words and quoted texts of the magic line; a ``#`` at the start of a word begins a comment."""
    out = []
    offset = len("%%agent ") + 1
    for match in _TOKEN.finditer(line):
        at = match.start() + offset
        if match["odd"]:
            raise BadOption("a quote is not closed.", line=1, column=at, source=cell.source)
        if match["bare"] and match["bare"].startswith("#"):
            break
        if match["dq"] is not None:
            out.append(_Token(re.sub(r"\\(.)", r"\1", match["dq"]), at, is_quoted=True))
        elif match["sq"] is not None:
            out.append(_Token(match["sq"], at, is_quoted=True))
        else:
            out.append(_Token(match["flag"] or match["bare"], at, is_quoted=False))
    return out


def _read_line(line: str, cell: _Cell) -> str:
    """Return the name; options go into `cell`."""
    tokens = _tokens(line, cell)
    if not tokens or tokens[0].text.startswith("--"):
        raise BadOption("the agent has no name.", line=1, source=cell.source, hint="`%%agent NAME --model small`")
    name = check_name(tokens[0].text, "name of an agent", line=1, source=cell.source)
    rest = tokens[1:]
    lists: dict[str, list[str]] = {}
    places: dict[str, _Given] = {}
    while rest:
        flag, *rest = rest
        if flag.is_quoted or not flag.text.startswith("--"):
            raise BadOption(
                f"Unexpected argument `{flag.text[:60]}`. Options are written `--key value`.", line=1, column=flag.column,
                source=cell.source, hint='a value with spaces goes in quotes: `--key "two words"`',
            )  # fmt: skip
        written = flag.text[2:].replace("-", "_")
        key = ALIASES.get(written, written)
        at = _Given(None, 1, flag.column)
        if key not in KEYS:
            raise _unknown_key(written, cell, at)
        if not rest or (rest[0].text.startswith("--") and not rest[0].is_quoted):
            raise cell.error(
                BadOption, f"`--{flag.text[2:]}` has no value.", at, hint=HINTS.get(key, f"`--{flag.text[2:]} VALUE`")
            )
        value, *rest = rest
        if key in (*WORDS, "examples", "writes"):
            items = [value.text] if key == "examples" else [w for w in value.text.split(",") if w.strip()]
            lists.setdefault(key, []).extend(items)
            places.setdefault(key, at)
        else:
            cell.put(key, _Given(value.text, 1, flag.column))
    for key, items in lists.items():
        cell.put(key, _Given(items, 1, places[key].column))
    return name


def _read_front_matter(text: str, offset: int, cell: _Cell) -> None:
    from orch_nb.schema.yaml import locate_yaml

    try:
        found = locate_yaml(text, line_offset=offset)
    except CellError as error:
        raise _in_cell(error, cell) from None
    for key, value in found.data.items():
        at = _Given(_as_typed(key, value, found.raw), found.lines.get((key,), 0))
        if key not in KEYS:
            raise _unknown_key(key, cell, at)
        cell.put(key, at)


def _as_typed(key: str, value: object, raw: Mapping[tuple[str, ...], str]) -> object:
    """Return numbers as typed, but for `out`: a budget keeps its digits, a model called 4.10 its name."""
    if key == "out":
        return value
    if isinstance(value, list):
        return [raw.get((key, str(i)), item) for i, item in enumerate(value)]
    return raw.get((key,), value)


def _in_cell(error: CellError, cell: _Cell, *, shift: int = 0) -> CellError:
    """Return the same error with the cell's text, so that the right line is shown."""
    first = message_of(error)
    facts = {k: v for k, v in error.facts.items() if k not in ("line", "column")}
    return type(error)(
        first, line=error.line + shift, column=error.column, source=cell.source, hint=error.hint, **facts
    )


# ------------------------------------------------------------------ back to a cell
def to_cell(spec: AgentSpec, out_text: str = "") -> str:
    """Return the cell that defines this agent: `parse_agent_cell` of it gives an equal spec.

    Parameters
    ----------
    out_text
        The `out` as text (`OutType.to_text()`); taken from `spec.out` when that is text already.
    """
    flags, rows = [], []
    for key in KEYS:
        value = getattr(spec, key)
        if key == "out":
            if value is not None:
                rows.append(f"out: {_out_row(value, out_text)}")
        elif value == AgentSpec.model_fields[key].get_default(call_default_factory=True):
            continue
        elif key == "budget" and isinstance(value, Budget):
            rows.append(f"budget: {_yaml(value.as_data())}")
        elif key in ("model", "budget", "max_tokens"):
            flags.append(f"--{key.replace('_', '-')} {_number(value) if key == 'budget' else value}")
        else:
            rows.append(f"{key}: {_yaml(value)}")
    head = " ".join(["%%agent", spec.name, *flags])
    needs_fence = bool(rows) or spec.prompt.lstrip().startswith("---")
    fence = ["---", *rows, "---"] if needs_fence else []
    return "\n".join([head, *fence, spec.prompt]) + "\n"


def _out_row(value: object, out_text: str) -> str:
    text = out_text or (value if isinstance(value, str) else "")
    if not text:
        return _yaml(value)
    is_flow = text[0] in "{[" and "\n" not in text
    is_words = re.fullmatch(r"[\w |?.]+", text) is not None and text not in ("true", "false", "null")
    return text if is_flow or is_words else _yaml(text)


def _number(value: object) -> str:
    return format(Decimal(str(value)), "f")


def _yaml(value: object) -> str:
    """Return a value as flow YAML, which the strict loader reads back as it was."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number(value)
    if isinstance(value, str):
        return _yaml_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml_text(str(k))}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    raise BadType(
        f"a `{type(value).__name__}` cannot be written in a cell.",
        hint="name a class of the notebook, or use the type language",
    )


def _yaml_text(text: str) -> str:
    words = {"true", "false", "null", "yes", "no", "on", "off", "nan", "inf"}
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) and text.lower() not in words:
        return text
    return '"' + "".join(_escape(c) for c in text) + '"'


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    return {"\n": "\\n", "\t": "\\t"}.get(char) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


# ------------------------------------------------------------------ files
def agent_path(folder: Path | str, name: str) -> Path:
    """Return the file of an agent: ``agents/NAME.agent.md`` below `folder`, which the name cannot leave."""
    return Path(folder) / "agents" / f"{check_name(name, 'name of an agent')}.agent.md"


def save_cell(text: str, name: str, folder: Path | str = ".") -> Path:
    """Write an agent's cell to its file, with its folder, and return the path."""
    path = agent_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(REDACTOR.text(text), encoding="utf-8")
    return path


def read_cell(path: Path | str) -> tuple[str, str]:
    """Return (magic line without ``%%agent``, body) of an agent's file.

    Raises
    ------
    BadOption
        The file is missing, larger than 256 kB, not UTF-8, or does not begin with ``%%agent NAME``.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadOption(
            f"`{file}` cannot be read: {error.strerror}.", hint="`%orch import NAME` reads agents/NAME.agent.md"
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise BadOption(f"`{file.name}` must have at most {MAX_FILE_BYTES:,} bytes, got {len(data):,} bytes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadOption(
            f"`{file.name}` must be UTF-8 text, got another byte at {error.start}.", hint="save it as UTF-8"
        ) from None
    first, _, body = text.replace("\r\n", "\n").lstrip("\n").partition("\n")
    if not first.startswith("%%agent "):
        raise BadOption(
            f"`{file.name}` does not begin with `%%agent NAME`.",
            hint="the file holds the cell as it is typed",
            line=1,
            source=text,
        )
    return first.removeprefix("%%agent ").strip(), body
