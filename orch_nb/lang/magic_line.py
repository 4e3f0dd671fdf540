"""The line of a magic, read into words, `name=value` pairs and flags, with the place of each for errors.

Nothing is evaluated: a value is a Python literal (`ast.literal_eval`) or the name of a variable.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption, CellError, GraphError, nearest
from orch_nb.schema.amount import read_amount

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orch_nb.errors import OrchError

MAX_LINE = 64 * 1024
_OPEN = {"(": ")", "[": "]", "{": "}"}


@dataclass(slots=True)
class Word:
    """One word of a line: its text as written and its column, from 1."""

    text: str
    column: int


@dataclass(slots=True)
class Pair:
    """One ``name=value``."""

    name: str
    text: str
    column: int


@dataclass(slots=True)
class Command:
    """A line, read.

    Attributes
    ----------
    verb
        The first word; "" for a bare line.
    words
        The words after it that are neither pairs nor flags.
    pairs
        ``name=value`` in order.
    flags
        ``--name`` (True) and ``--name value``.
    shown, line
        The line as the cell has it, and its number there.
    """

    verb: str
    words: list[Word] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    shown: str = ""
    line: int = 1
    shift: int = 0

    def error(self, message: str, at: Word | Pair | None = None, *, hint: str = "", **facts: object) -> BadOption:
        """Make a `BadOption` that points at a word of this line in the cell."""
        column = at.column + self.shift if at is not None else 0
        source = "\n" * (self.line - 1) + self.shown
        return BadOption(message, line=self.line, column=column, source=source, hint=hint, **facts)

    def pointing(self, error: OrchError) -> OrchError:
        """Return the same error, with this line and a caret below the word that the message quotes.

        It is for errors that are raised where the cell is unknown. Errors that have a place, and those of a whole graph, are
        not changed.
        """
        if isinstance(error, GraphError) or (isinstance(error, CellError) and error.line):
            return error
        if str(error).startswith(f"line {self.line}: "):
            return error  # a verb that reads a part of the line itself has given the place
        at = self._quoted_at(str(error))
        caret = f"\n    {' ' * at}^" if at >= 0 else ""
        error.args = (f"line {self.line}: {error}\n    {self.shown}{caret}",)
        if isinstance(error, CellError):
            error.line, error.column = self.line, at + 1
        return error

    def _quoted_at(self, message: str) -> int:
        """Return the place of a word that the message quotes, from 0: an input, the value of a flag, a word; -1 for none."""
        flags = [str(value) for value in self.flags.values() if value is not True]
        words = [*(pair.name for pair in self.pairs), *flags, *(word.text for word in self.words)]
        for text in words:
            whole = rf"(?<![\w.]){re.escape(text)}(?![\w.]?\w)"
            if re.search(whole, message) and (places := list(re.finditer(whole, self.shown))):
                return places[-1].start() if text in flags else places[0].start()
        return -1


def without_comment(line: str) -> str:
    """Return the line without ``# comment`` and without IPython's ``;`` at its end; in quotes or brackets both are text."""
    end = len(line)
    for at, char, depth, quote in _walk(line):
        if char == "#" and not quote and not depth and (at == 0 or line[at - 1].isspace()):
            end = at
            break
    code = line[:end].rstrip()
    walked = _walk(code)
    if walked and walked[-1][1:] == (";", 0, ""):
        code = code[:-1].rstrip()
    return code


def read_command(line: str, *, shown: str = "", number: int = 1, values: Collection[str] = ()) -> Command:
    """Read a magic's line.

    Parameters
    ----------
    shown, number
        The line in the cell and its number, for errors.
    values
        Flags that take a value: ``--budget 0.5`` or ``--budget=0.5``. The others are switches.

    Raises
    ------
    BadOption
        A quote or bracket is not closed, a flag lacks its value, or the line is longer than 64 kB.
    """
    words = split(line, shown or line, number)
    command = Command(words[0].text if words else "", shown=shown or line, line=number)
    command.shift = max(0, command.shown.find(line.strip())) if line.strip() else 0
    if words and (words[0].text.startswith("-") or "=" in words[0].text):
        raise command.error(
            f"The first word must be a verb, got `{words[0].text}`.", words[0], hint="`%orch help` lists the verbs"
        )
    rest = words[1:]
    while rest:
        rest = _take(command, rest, values)
    return command


def _take(command: Command, rest: list[Word], values: Collection[str]) -> list[Word]:
    word = rest.pop(0)
    if word.text.startswith("--") and len(word.text) > 2:
        name, given, value = word.text[2:].partition("=")
        if name in command.flags:
            raise command.error(f"`--{name}` is given twice.", word, hint="keep one of the two")
        if name in values:
            if not given:
                if not rest or rest[0].text.startswith("--"):
                    raise command.error(f"`--{name}` needs a value.", word)
                value = rest.pop(0).text
            command.flags[name] = value
        elif given:
            raise command.error(f"`--{name}` takes no value.", word)
        else:
            command.flags[name] = True
        return rest
    name, equals, value = word.text.partition("=")
    if equals and name.isidentifier() and not value.startswith("="):
        if any(pair.name == name for pair in command.pairs):
            raise command.error(f"`{name}` is given twice.", word)
        if not value:
            raise command.error(f"`{name}=` has no value.", word, hint="no blanks around `=`")
        command.pairs.append(Pair(name, value, word.column + len(name) + 1))
    else:
        command.words.append(word)
    return rest


def split(line: str, shown: str = "", number: int = 1) -> list[Word]:
    """Split a line at blanks that are not inside quotes or brackets."""
    if len(line) > MAX_LINE:
        raise BadOption(
            f"The line must have at most {MAX_LINE:,} characters, got {len(line):,} characters.",
            hint="put the text into a variable",
        )
    line = without_comment(line)
    words: list[Word] = []
    start = -1
    last = (0, 0, "")
    for at, char, depth, quote in _walk(line):
        last = (at, depth, quote)
        if char.isspace() and not depth and not quote:
            if start >= 0:
                words.append(Word(line[start:at], start + 1))
                start = -1
        elif start < 0:
            start = at
    if start >= 0:
        words.append(Word(line[start:], start + 1))
    depth, quote = (last[1], last[2]) if line else (0, "")
    if quote or depth:
        what = f"a quote {quote}" if quote else "a bracket"
        raise BadOption(
            f"{what} is not closed.", line=number, source="\n" * (number - 1) + (shown or line),
            hint="close it; a text of several lines goes into a variable",
        )  # fmt: skip
    return words


def _walk(line: str) -> list[tuple[int, str, int, str]]:
    """Return (place, character, open brackets after it, quote that is open after it)."""
    out = []
    closing: list[str] = []
    quote = ""
    skip = False
    for at, char in enumerate(line):
        if skip:
            skip = False
        elif quote:
            if char == "\\":
                skip = True
            elif char == quote:
                quote = ""
        elif char in "\"'" and _starts_text(line, at, bool(closing)):
            quote = char
        elif char in _OPEN:
            closing.append(_OPEN[char])
        elif closing and char == closing[-1]:
            closing.pop()
        out.append((at, char, len(closing), quote))
    return out


def _starts_text(line: str, at: int, inside: bool) -> bool:
    """Return if a quote opens a text: at the start of a word, or after one of ``=([{,:+``; not in ``don't``."""
    return at == 0 or inside or line[at - 1].isspace() or line[at - 1] in "=([{,:+"


def is_text(text: str) -> bool:
    """Return True for a word in quotes."""
    return len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0]


def value_of(text: str, names: Mapping[str, Any], *, command: Command, at: Word | Pair) -> Any:
    """Return the value of a Python literal, or of the variable of this name.

    Raises
    ------
    BadOption
        The text is neither; the nearest variable is named.
    """
    if text.isidentifier() and text not in ("True", "False", "None"):
        if text in names:
            return names[text]
        near = nearest(text, [n for n in names if not n.startswith("_")])
        hint = f"did you mean `{near}`?" if near else f'a text needs quotes: `"{text}"`'
        raise command.error(f"The variable `{text}` does not exist.", at, hint=hint)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        hint = 'a Python literal (`"text"`, `3`, `[1, 2]`) or a variable\'s name; give a result a name first'
        raise command.error(f"A value must be a literal or a name, got `{text[:60]}`.", at, hint=hint) from None


def whole_number(command: Command, text: object) -> int:
    """Read a whole number from 1, the value of a flag or a pair.

    Raises
    ------
    BadOption
        The text is something else; the flag is named.
    """
    try:
        return int(read_amount(text, "it", least=1, most=10**12, of="a number", is_whole=True, example="such as 20"))
    except BadOption as error:
        options = [(f"--{name}", value) for name, value in command.flags.items()]
        options += [(pair.name, pair.text) for pair in command.pairs]
        name = next((f"`{name}`" for name, value in options if value == text), "The value")
        raise command.error(f"{name} must be a whole number from 1, got `{text}`.", hint=error.hint) from None
