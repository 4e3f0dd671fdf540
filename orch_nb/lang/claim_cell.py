"""The text of a `%%claim` cell, read into a small typed tree. Nothing is evaluated here.

::

    given: support at 10000 a day            what is measured, and how often it runs
    against: all on big                      what it is compared with
    range: 1 to 5                            the scale of scores, for `quality`
    saving >= 60 %                           a claim: two sides, a comparison, and what qualifies it
    speed-up >= 3x with 3 branches
    5 x $0.03 x 10000 a day = $45,000 a month

A header is ``key: …``, anything else is a claim; ``#`` begins a comment. The grammar of a side::

    sum     = product (("+" | "-") product)*
    product = atom (("x" | "*" | "/") atom)*
    atom    = figure | NAME | FUNCTION "(" sum, … ")" | "(" sum ")" | "-" atom
    figure  = ["$"] NUMBER ["%" | "x" | K | thousand | million] [s | ms | min | h | day(s) | NOUN]
              [("a" | "per") [thousand | million] (day | month | year | NOUN)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.errors import CellError, nearest
from orch_nb.lang.quantity import SECONDS
from orch_nb.lang.tokens import Cursor, Place, scan
from orch_nb.schema.amount import corrected

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_nb.errors import BadExpression
    from orch_nb.lang.tokens import Token

MEASURES = ("cost", "saving", "baseline", "calls", "time", "speed_up", "quality")
"""Measures. ``speed-up`` is read as `speed_up`, because the hyphen is a minus elsewhere."""

FUNCTIONS = {
    "mean": (1, 99), "median": (1, 99), "majority": (1, 99), "min": (1, 99), "max": (1, 99), "spread": (1, 99),
    "ceil": (1, 1), "floor": (1, 1), "tries": (2, 2), "context": (2, 2),
}  # fmt: skip
"""Function -> fewest and most arguments (a variable that holds a list counts as many)."""


@dataclass(slots=True, frozen=True)
class Figure:
    """A number as it was written: `decimals`, `percent` and `times` ("3x") are its digits and its unit."""

    value: Fraction
    column: int
    decimals: int = 0
    usd: bool = False
    percent: bool = False
    times: bool = False
    seconds: str = ""
    days: bool = False
    period: str = ""
    noun: str = ""


@dataclass(slots=True, frozen=True)
class Name:
    """A measure (``saving by routing``: `part`), or a variable of the notebook."""

    name: str
    column: int
    part: str = ""

    @property
    def is_measure(self) -> bool:
        """True for a measure, False for a variable."""
        return self.name in MEASURES


@dataclass(slots=True, frozen=True)
class Apply:
    """A function of sums."""

    function: str
    arguments: tuple[Node, ...]
    column: int


@dataclass(slots=True, frozen=True)
class Operation:
    """Two sides and one of ``+ - x /``; `left` is None for a sign."""

    sign: str
    left: Node | None
    right: Node
    column: int


Node = Figure | Name | Apply | Operation


@dataclass(slots=True, frozen=True)
class Line:
    """One claim: `sides` with a comparison between each two; `branches` and `within` qualify it."""

    text: str
    number: int
    sides: tuple[Node, ...]
    comparisons: tuple[str, ...]
    branches: Fraction | None = None
    within: Fraction | None = None


@dataclass(slots=True, frozen=True)
class Given:
    """The subject of the claims: a node, or a change from one to another; and how many times a day it runs."""

    node: Node
    number: int
    to: Node | None = None
    volume: Node | None = None
    model: str = ""
    """Model of ``all on MODEL``: then `node` is not looked at."""


@dataclass(slots=True)
class Text:
    """A whole cell."""

    title: str
    source: str
    given: Given | None = None
    against: Given | None = None
    days: int = 365
    month: int = 30
    bounds: tuple[Node, Node] | None = None
    claims: list[Line] = field(default_factory=list)

    def error(self, message: str, number: int, column: int = 0, hint: str = "") -> BadExpression:
        """Make an error that points into the cell."""
        return Place(number, self.source).error(message, column, hint)


HEADERS = ("given", "against", "days", "month", "range")
PERIODS = ("day", "month", "year")
RESERVED = frozenset({"with", "within", "about", "to", "at", "a", "an", "per", "by", "x"})
"""Words that are not nouns. Any other word after a number is one: it says what is counted, and changes nothing."""
SCALES = {"K": 1000, "thousand": 1000, "million": 1_000_000}
PARTS = {"routing": "routing", "fewer": "fewer calls", "calls": "fewer calls", "cache": "cache", "reviews": "reviews"}
COMPARISONS = {
    "<=": "<=", ">=": ">=", "==": "=", "=": "=", "<": "<", ">": ">", "about": "~"
}  # fmt: skip
MAX_TEXT, MAX_DEPTH = 64 * 1024, 40

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>[1-9][0-9]{0,2}(?:[,_][0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)|(?P<word>speed-up|[^\W\d]\w*)"
    r"|(?P<sign><=|>=|==|[<>=+\-*/(),$%.])|(?P<bad>.)"
)


def read_claim(title: str, body: str) -> Text:
    """Read a cell.

    Raises
    ------
    BadExpression
        A line cannot be read: it is shown with a caret and what would do.
    CellError
        The cell has no claim, or is larger than 64 kB.
    """
    cell = Text(title.strip(), f"%%claim {title.strip()}\n{body}")
    if len(body) > MAX_TEXT:
        raise CellError(f"the cell has {len(body):,} characters; {MAX_TEXT:,} is the most.", hint="one claim a line")
    for number, row in enumerate(body.splitlines(), 2):
        text = row.partition("#")[0].rstrip()
        if text.strip():
            _read_row(cell, text, number)
    if not cell.claims:
        raise CellError(
            "the cell has no claim.",
            line=1,
            source=cell.source,
            hint="a line such as `saving >= 60 %` or `5 x $0.03 = $0.15`",
        )
    return cell


def read_volume(text: str) -> Fraction:
    """Return the runs a day of ``10000 a day``, ``10K tickets a day``, ``300000 a month`` (of 30 days).

    Raises
    ------
    BadExpression
        The text is not a number of things in a period, or not above 0.
    """
    cell, example = Text("", text), "such as `10000 a day`"
    comma = re.search(r"\S*\d,\d\S*", text)
    if comma is not None:
        hint = f"write {corrected(comma[0]) or '10000'}"
        raise cell.error(f"A volume must be a number without commas, got `{comma[0]}`.", 1, comma.start() + 1, hint)
    if text.lstrip().startswith(("-", "−")):
        raise cell.error(f"A volume must be above 0, got `{text.strip()}`.", 1, 1, example)
    reader = _Reader(cell, text, 1)
    figure = reader.figure()
    reader.end()
    if not figure.period or figure.usd or figure.percent or figure.seconds:
        raise cell.error(f"A volume must be a number in a period, got `{text.strip()}`.", 1, 1, example)
    if not figure.value:
        raise cell.error(f"A volume must be above 0, got `{text.strip()}`.", 1, 1, example)
    return figure.value / {"day": 1, "month": cell.month, "year": cell.days}[figure.period]


def _read_row(cell: Text, text: str, number: int) -> None:
    head = re.match(r"\s*([A-Za-z]\w*)\s*:", text)
    if head is None:
        cell.claims.append(_Reader(cell, text, number).claim())
        return
    key, column = head[1], head.start(1) + 1
    if key not in HEADERS:
        near = nearest(key, HEADERS)
        hint = f"did you mean `{near}:`?" if near else f"headers: {', '.join(HEADERS)}"
        raise cell.error(f"A claim has no header `{key}:`.", number, column, hint)
    reader = _Reader(cell, text, number, head.end())
    if key in ("given", "against"):
        if getattr(cell, key) is not None:
            raise cell.error(
                f"`{key}:` is given twice.", number, column, "one a cell; write another cell for another claim"
            )
        setattr(cell, key, reader.given(key))
    elif key == "range":
        cell.bounds = reader.range()
    elif key == "days":
        cell.days = reader.whole(key, 366)
    else:
        cell.month = reader.whole(key, 31)


# ------------------------------------------------------------------ reading
class _Reader(Cursor):
    """One line, read from left to right."""

    def __init__(self, cell: Text, text: str, number: int, start: int = 0) -> None:
        place = Place(number, cell.source)
        super().__init__(scan(_TOKEN, text, place, start=start), place)
        self.line, self.depth = text, 0

    def need(self, text: str, why: str) -> None:
        """Move on behind a sign, or fail because it is missing."""
        if not self.take(text):
            self.fail(f"{why} needs `{text}` here, got {self.shown()}.")

    def end(self) -> None:
        """Fail if anything follows."""
        if self.text:
            near = nearest(self.text, [*SECONDS, "with", "within", "at", "a"])
            hint = f"did you mean `{near}`?" if near else ""
            if self.text == ",":
                hint = "a comma only parts thousands, as in 1,500; the decimal sign is a point, as in 0.50"
            self.fail(f"`{self.text}` is not understood here.", hint)

    # -------------------------------------------------------------- lines
    def claim(self) -> Line:
        """Read a claim: two or three sides, and what qualifies it."""
        if self.text in HEADERS and self.peek().kind in ("word", "number"):
            self.fail(f"`{self.text}` needs a colon.", f"`{self.text}: …`", self.peek())
        sides, signs = [self.sum()], []
        while self.text in COMPARISONS:
            signs.append(COMPARISONS[self.next().text])
            sides.append(self.sum())
        if not signs:
            self.end()
            self.fail("a claim compares two sides.", "such as `saving >= 60 %`; headers are written `given: …`")
        if len(signs) > 2:
            self.fail("a claim has at most two comparisons.", "such as `60 % <= saving <= 70 %`")
        branches = within = None
        while self.text in ("with", "within"):
            if self.next().text == "with":
                branches = self._branches()
            else:
                within = self._share()
        self.end()
        return Line(self.line.strip(), self.place.line, tuple(sides), tuple(signs), branches, within)

    def _branches(self) -> Fraction:
        token, figure = self.token, self.figure()
        nouns = ("branches", "branch", "agents", "agent")
        if figure.noun not in nouns or figure.value < 1 or figure.value.denominator != 1:
            self.fail("`with` needs a whole number of branches.", "such as `with 3 branches`", token)
        return figure.value

    def _share(self) -> Fraction:
        token, figure = self.token, self.figure()
        if not figure.percent or not 0 <= figure.value <= 1:
            self.fail("`within` needs a percentage of the stated figure.", "such as `within 2 %`", token)
        return figure.value

    def given(self, key: str) -> Given:
        """Read the rest of `given:` or `against:`."""
        model = self._all_on() if key == "against" else ""
        node: Node = Name(model, self.token.column) if model else self.sum()
        to = self.sum() if not model and self.take("to") else None
        volume = self.sum() if key == "given" and self.take("at") else None
        self.end()
        return Given(node, self.place.line, to, volume, model)

    def _all_on(self) -> str:
        if self.text != "all" or self.peek().text != "on":
            return ""
        self.at += 2
        start = self.token
        model = self.line[start.column - 1 :].strip()
        if not re.fullmatch(r"[\w./:-]+", model):
            self.fail("`all on` needs the name of a model.", "such as `against: all on big`", start)
        self.at = len(self.tokens)
        return model

    def range(self) -> tuple[Node, Node]:
        """Read ``1 to 5``."""
        low = self.sum()
        self.need("to", "a range")
        high = self.sum()
        self.end()
        return low, high

    def whole(self, key: str, most: int) -> int:
        """Read a whole number from 1 to `most`."""
        token = self.next()
        if token.kind != "number" or not token.text.isdigit() or not 1 <= int(token.text[:6]) <= most:
            self.fail(f"`{key}:` must be a whole number from 1 to {most}.", token=token)
        self.end()
        return int(token.text)

    # -------------------------------------------------------------- sides
    def sum(self) -> Node:
        """Read a side."""
        return self._chain(self._product, ("+", "-"))

    def _product(self) -> Node:
        return self._chain(self._atom, ("x", "*", "/"))

    def _chain(self, part: Callable[[], Node], signs: tuple[str, ...]) -> Node:
        node = part()
        while self.text in signs:
            token = self.next()
            node = Operation("x" if token.text == "*" else token.text, node, part(), token.column)
        return node

    def _atom(self) -> Node:
        token = self.token
        if token.kind == "number" or token.text == "$":
            return self.figure()
        if token.kind == "word" and token.text not in COMPARISONS:
            return self._name()
        if not self.take("-", "("):
            self.fail(f"a figure or a name is missing before {self.shown()}.", "such as `$0.15`, `60 %`, `saving`")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"the claim is nested deeper than {MAX_DEPTH}.")
        node = Operation("-", None, self._atom(), token.column) if token.text == "-" else self.sum()
        if token.text == "(":
            self.need(")", "an open bracket")
        self.depth -= 1
        return node

    def _name(self) -> Node:
        token = self.next()
        if self.text == "(":
            return self._function(token)
        if token.text == "speed-up":
            return Name("speed_up", token.column)
        part = ""
        if token.text == "saving" and self.take("by"):
            word = self.next()
            part = PARTS.get(word.text, "")
            if not part:
                near = nearest(word.text, PARTS)
                hint = f"did you mean `{near}`?" if near else ""
                parts = "routing, fewer calls, cache or reviews"
                self.fail(f"a saving is split by {parts}, got `{word.text}`.", hint, word)
            if word.text == "fewer":
                self.take("calls")
        return Name(token.text, token.column, part)

    def _function(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            near = nearest(token.text, FUNCTIONS)
            hint = f"did you mean `{near}`?" if near else f"functions: {', '.join(FUNCTIONS)}"
            self.fail(f"the function `{token.text}` does not exist.", hint, token)
        self.need("(", "a function")
        opened = self.at
        arguments = [self.sum()]
        while self.take(","):
            arguments.append(self.sum())
        self.need(")", f"`{token.text}(`")
        parted = next((t for t in self.tokens[opened : self.at] if t.kind == "number" and "," in t.text), None)
        if parted is not None:
            says = f"`{parted.text}` may be one figure or two: a comma parts arguments here."
            self.fail(says, f"write {parted.text.replace(',', '')}, or a blank after the comma", parted)
        fewest, most = FUNCTIONS[token.text]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            self.fail(f"`{token.text}` takes {wanted} arguments, got {len(arguments)}.", token=token)
        return Apply(token.text, tuple(arguments), token.column)

    # -------------------------------------------------------------- figures
    def figure(self) -> Figure:
        """Read a number with its sign, scale, unit and period."""
        column = self.token.column
        is_usd = bool(self.take("$"))
        digits = self.next()
        if digits.kind != "number" or len(digits.text) > 30:
            self.fail("a figure needs digits, 30 at most.", "such as `$0.15` or `60 %`", digits)
        value = Fraction(re.sub("[,_]", "", digits.text))
        decimals = len(digits.text.partition(".")[2])
        percent = not is_usd and bool(self.take("%"))
        times = not percent and self.text == "x" and not self._begins_operand(self.peek())
        if percent:
            value /= 100
        elif times:
            self.at += 1
        elif scale := self.take(*SCALES):
            value *= SCALES[scale]
            decimals = max(0, decimals - len(str(SCALES[scale])) + 1)
        seconds, days, noun = ("", False, "") if is_usd or percent else self._unit()
        divisor, period, per = self._per()
        return Figure(
            value / divisor, column, decimals, is_usd, percent, times, seconds, days, period, noun or per
        )  # fmt: skip

    def _begins_operand(self, token: Token) -> bool:
        is_word = token.kind == "word" and token.text not in ("with", "within", "about", "to", "at")
        return token.kind == "number" or token.text in ("$", "(") or is_word

    def _unit(self) -> tuple[str, bool, str]:
        """Return the word of a duration, if days follow, and a noun."""
        if self.text in SECONDS:
            return self.next().text, False, ""
        if self.take("day", "days"):
            return "", True, ""
        is_noun = self.token.kind == "word" and self.text not in RESERVED
        return "", False, self.next().text if is_noun else ""

    def _per(self) -> tuple[int, str, str]:
        """Return divisor, period and noun of what follows "a" or "per"."""
        if not self.take("a", "an", "per"):
            return 1, "", ""
        scale = self.take("million", "thousand")
        word = self.next()
        if word.text in PERIODS and not scale:
            return 1, word.text, ""
        near = nearest(word.text, PERIODS)
        if word.kind != "word" or near:
            hint = f"did you mean `{near}`?" if near else "a day, a month, a year, a run, a call, a million tokens"
            self.fail(f"`a {word.text}` must name a period or a thing that is counted.", hint, word)
        return SCALES.get(scale, 1), "", f"{scale} {word.text}".strip()
