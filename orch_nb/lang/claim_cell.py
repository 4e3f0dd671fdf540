"""The text of a `%%claim` cell, read into a small typed tree. Nothing is evaluated here, and nothing ever becomes code.

::

    given: support at 10000 a day            what is measured, and how often it runs
    against: all on big                      what it is compared with
    scores: marks                            answers' scores, for `quality`; `range: 1 to 5` is their scale
    saving >= 60 %                           a claim: two sides, a comparison, and what qualifies it
    speed-up >= 3x with 3 branches
    5 x $0.03 x 10000 a day = $45,000 a month

A header is ``key: …``, anything else is a claim; ``#`` begins a comment. The grammar of a side::

    sum     = product (("+" | "-") product)*
    product = power (("x" | "*" | "/") power)*
    power   = atom ("^" atom)?
    atom    = figure | NAME | FUNCTION "(" sum, … ")" | "(" sum ")" | "-" atom
    figure  = ["$"] NUMBER ["%" | "x" | K | M | thousand | million] [s | ms | min | h | day(s) | NOUN]
              [("a" | "per" | "/") [thousand | million] (day | month | year | NOUN)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from orch_nb.errors import BadExpression, CellError, nearest
from orch_nb.lang.quantity import SECONDS
from orch_nb.schema.amount import corrected

if TYPE_CHECKING:
    from collections.abc import Callable

MEASURES = ("cost", "saving", "baseline", "calls", "time", "speed_up", "quality", "one_agent", "volume")
"""What can be measured on what is given. ``speed-up`` is read as `speed_up`, because the hyphen is a minus elsewhere."""

FUNCTIONS = {
    "mean": (1, 99), "median": (1, 99), "majority": (1, 99), "min": (1, 99), "max": (1, 99), "sum": (1, 99), "spread": (1, 99),
    "count": (1, 99), "ceil": (1, 1), "floor": (1, 1), "tries": (2, 2), "context": (2, 2),
}  # fmt: skip
"""Function -> fewest and most arguments (a variable that holds a list counts as many)."""


@dataclass(slots=True, frozen=True)
class Figure:
    """A number as it was written: `decimals`, `percent` and `times` ("3x") say how exactly and in what it is stated."""

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
        """Whether it is measured on what is given."""
        return self.name in MEASURES


@dataclass(slots=True, frozen=True)
class Apply:
    """A function of sums."""

    function: str
    arguments: tuple[Node, ...]
    column: int


@dataclass(slots=True, frozen=True)
class Operation:
    """Two sides and one of ``+ - x / ^``; `left` is None for a sign."""

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
    """What is measured: a node, or a change from one to another; and how many times a day."""

    node: Node
    number: int
    to: Node | None = None
    volume: Node | None = None
    model: str = ""
    """Of ``all on MODEL``: then `node` is not looked at."""


@dataclass(slots=True)
class Text:
    """A whole cell."""

    title: str
    source: str
    given: Given | None = None
    against: Given | None = None
    scores: Given | None = None
    days: int = 365
    month: int = 30
    bounds: tuple[Node, Node] | None = None
    claims: list[Line] = field(default_factory=list)

    def error(self, message: str, number: int, column: int = 0, hint: str = "") -> BadExpression:
        """An error that points into the cell."""
        return BadExpression(message, line=number, column=column, source=self.source, hint=hint)


HEADERS = ("given", "against", "scores", "days", "month", "range")
PERIODS = ("day", "month", "year")
RESERVED = frozenset({"with", "within", "about", "to", "at", "a", "an", "per", "by", "x"})
"""Words that count nothing. Any other word after a number is a noun: it says what is counted, and changes nothing."""
SCALES = {"K": 1000, "k": 1000, "thousand": 1000, "M": 1_000_000, "million": 1_000_000}
PARTS = {"routing": "routing", "fewer": "fewer calls", "calls": "fewer calls", "cache": "cache", "reviews": "reviews"}
COMPARISONS = {
    "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">=", "==": "=", "=": "=", "<": "<", ">": ">", "~": "~", "≈": "~", "about": "~",
}  # fmt: skip
MAX_TEXT, MAX_DEPTH = 64 * 1024, 40

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>[1-9][0-9]{0,2}(?:[,_][0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)|(?P<word>speed-up|[^\W\d]\w*)"
    r"|(?P<sign><=|>=|==|[<>=~≈≤≥+\-*×/^(),$%.])|(?P<other>.)"
)


def read_claim(title: str, body: str) -> Text:
    """The cell, read.

    Raises
    ------
    BadExpression
        A line cannot be understood: it is shown with a caret and what would do.
    CellError
        The cell makes no claim, or is larger than 64 kB.
    """
    made = Text(title.strip(), f"%%claim {title.strip()}\n{body}")
    if len(body) > MAX_TEXT:
        raise CellError(f"the cell has {len(body):,} characters; {MAX_TEXT:,} is the most.", hint="one claim a line")
    for number, row in enumerate(body.splitlines(), 2):
        text = row.partition("#")[0].rstrip()
        if text.strip():
            _read_row(made, text, number)
    if not made.claims:
        raise CellError(
            "the cell makes no claim.",
            line=1,
            source=made.source,
            hint="a line such as `saving >= 60 %` or `5 x $0.03 = $0.15`",
        )
    return made


def read_volume(text: str) -> Fraction:
    """Runs a day of ``10000 a day``, ``10K tickets a day``, ``300000 a month`` (of 30 days).

    Raises
    ------
    BadExpression
        It is no number of things in a period, or not above 0.
    """
    made = Text("", text)
    if text.lstrip().startswith(("-", "−")):
        raise _not_above_0(made, text)
    comma = re.search(r"\S*\d,\d\S*", text)
    if comma is not None:
        raise made.error(
            f"`{comma[0]}` is no number of runs.", 1, comma.start() + 1, f"write {corrected(comma[0]) or '10000'}"
        )
    reader = _Reader(made, text, 1)
    node = reader.figure()
    reader.end()
    if not isinstance(node, Figure) or not node.period or node.usd or node.percent or node.seconds:
        raise made.error(f"`{text.strip()}` is no volume.", 1, 1, "such as `10000 a day`")
    if not node.value:
        raise _not_above_0(made, text)
    return node.value / {"day": 1, "month": made.month, "year": made.days}[node.period]


def _not_above_0(made: Text, text: str) -> BadExpression:
    return made.error(f"`{text.strip()}` is no volume: it must be above 0.", 1, 1, "such as `10000 a day`")


def _read_row(made: Text, text: str, number: int) -> None:
    head = re.match(r"\s*([A-Za-z]\w*)\s*:", text)
    if head is None:
        made.claims.append(_Reader(made, text, number).claim())
        return
    key, column = head[1], head.start(1) + 1
    if key not in HEADERS:
        near = nearest(key, HEADERS)
        hint = f"did you mean `{near}:`?" if near else f"headers: {', '.join(HEADERS)}"
        raise made.error(f"`{key}:` is no header of a claim.", number, column, hint)
    reader = _Reader(made, text, number, head.end())
    if key in ("given", "against", "scores"):
        if getattr(made, key) is not None:
            raise made.error(
                f"`{key}:` stands twice.", number, column, "one a cell; write another cell for another claim"
            )
        setattr(made, key, reader.given(key))
    elif key == "range":
        made.bounds = reader.range()
    elif key == "days":
        made.days = reader.whole(key, 366)
    else:
        made.month = reader.whole(key, 31)


# ------------------------------------------------------------------ reading
@dataclass(slots=True, frozen=True)
class _Token:
    kind: str
    text: str
    column: int


class _Reader:
    """One line, read from left to right."""

    def __init__(self, made: Text, text: str, number: int, start: int = 0) -> None:
        self.made, self.text, self.number = made, text, number
        self.at, self.depth = 0, 0
        self.tokens = self._tokens(start)

    def _tokens(self, start: int) -> list[_Token]:
        out = []
        for found in _TOKEN.finditer(self.text, start):
            kind = str(found.lastgroup)
            if kind == "other":
                raise self.made.error(f"`{found[0]}` has no meaning here.", self.number, found.start() + 1)
            if kind != "space":
                out.append(_Token(kind, found[0], found.start() + 1))
        return [*out, _Token("end", "", len(self.text.rstrip()) + 1)]

    # -------------------------------------------------------------- tokens
    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def peek(self, ahead: int = 1) -> _Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> _Token:
        token = self.now
        self.at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> _Token | None:
        return self.take() if self.now.kind != "end" and self.now.text in texts else None

    def fail(self, message: str, hint: str = "", token: _Token | None = None) -> BadExpression:
        return self.made.error(message, self.number, (token or self.now).column, hint)

    def need(self, text: str, why: str) -> None:
        if self.accept(text) is None:
            seen = f"`{self.now.text}`" if self.now.text else "the line's end"
            raise self.fail(f"{why} needs `{text}` here, not {seen}.")

    def end(self) -> None:
        if self.now.kind != "end":
            near = nearest(self.now.text, [*SECONDS, "with", "within", "at", "a"])
            hint = f"did you mean `{near}`?" if near else ""
            if self.now.text == ",":
                hint = "a comma only parts thousands, as in 1,500; the decimal sign is a point, as in 0.50"
            raise self.fail(f"`{self.now.text}` is not understood here.", hint)

    # -------------------------------------------------------------- lines
    def claim(self) -> Line:
        if self.now.text in HEADERS and self.peek().kind in ("word", "number"):
            raise self.fail(f"`{self.now.text}` needs a colon.", f"`{self.now.text}: …`", self.peek())
        sides, signs = [self.sum()], []
        while self.now.text in COMPARISONS:
            signs.append(COMPARISONS[self.take().text])
            sides.append(self.sum())
        if not signs:
            self.end_of_side()
            raise self.fail("a claim compares two sides.", "such as `saving >= 60 %`; headers are written `given: …`")
        if len(signs) > 2:
            raise self.fail("a claim has at most two comparisons.", "such as `60 % <= saving <= 70 %`")
        branches = within = None
        while self.now.kind != "end":
            word = self.take()
            if word.text == "with":
                branches = self.count_of("branches", "branch", "agents", "agent")
            elif word.text == "within":
                within = self.share_of()
            else:
                self.at -= 1
                self.end()
        return Line(self.text.strip(), self.number, tuple(sides), tuple(signs), branches, within)

    def end_of_side(self) -> None:
        if self.now.kind != "end":
            self.end()

    def count_of(self, *nouns: str) -> Fraction:
        token = self.now
        node = self.figure()
        if not isinstance(node, Figure) or node.noun not in nouns or node.value < 1 or node.value.denominator != 1:
            raise self.fail("`with` needs a whole number of branches.", "such as `with 3 branches`", token)
        return node.value

    def share_of(self) -> Fraction:
        token = self.now
        node = self.figure()
        if not isinstance(node, Figure) or not node.percent or not 0 <= node.value <= 1:
            raise self.fail("`within` needs a percentage of the stated figure.", "such as `within 2 %`", token)
        return node.value

    def given(self, key: str) -> Given:
        model = self.all_on() if key == "against" else ""
        node: Node = Name(model, self.now.column) if model else self.sum()
        to = self.sum() if not model and self.accept("to") else None
        volume = None
        if key == "given" and self.accept("at"):
            volume = self.sum()
        self.end()
        return Given(node, self.number, to, volume, model)

    def all_on(self) -> str:
        if self.now.text != "all" or self.peek().text != "on":
            return ""
        self.at += 2
        start = self.now
        text = self.text[start.column - 1 :].strip()
        if not re.fullmatch(r"[\w./:-]+", text):
            raise self.fail("`all on` needs the name of a model.", "such as `against: all on big`", start)
        self.at = len(self.tokens) - 1
        return text

    def range(self) -> tuple[Node, Node]:
        low = self.sum()
        self.need("to", "a range")
        high = self.sum()
        self.end()
        return low, high

    def whole(self, key: str, most: int) -> int:
        token = self.take()
        if token.kind != "number" or not token.text.isdigit() or not 1 <= int(token.text[:6]) <= most:
            raise self.fail(f"`{key}:` is a whole number from 1 to {most}.", token=token)
        self.end()
        return int(token.text)

    # -------------------------------------------------------------- sides
    def sum(self) -> Node:
        return self.chain(self.product, ("+", "-"))

    def product(self) -> Node:
        return self.chain(self.power, ("x", "×", "*", "/"))

    def chain(self, part: Callable[[], Node], signs: tuple[str, ...]) -> Node:
        node = part()
        while (token := self.accept(*signs)) is not None:
            sign = "x" if token.text in ("×", "*") else token.text
            node = Operation(sign, node, part(), token.column)
        return node

    def power(self) -> Node:
        node = self.atom()
        token = self.accept("^")
        return node if token is None else Operation("^", node, self.atom(), token.column)

    def atom(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"more than {MAX_DEPTH} brackets stand inside one another.")
        try:
            return self.atom_here()
        finally:
            self.depth -= 1

    def atom_here(self) -> Node:
        token = self.now
        if self.accept("-") is not None:
            return Operation("-", None, self.atom(), token.column)
        if self.accept("(") is not None:
            node = self.sum()
            self.need(")", "an open bracket")
            return node
        if token.kind == "number" or token.text == "$":
            return self.figure()
        if token.kind == "word" and token.text not in COMPARISONS:
            return self.name()
        seen = f"`{token.text}`" if token.text else "the line's end"
        raise self.fail(f"a figure or a name is missing before {seen}.", "such as `$0.15`, `60 %`, `saving`")

    def name(self) -> Node:
        token = self.take()
        if self.now.text == "(":
            return self.function(token)
        if token.text == "speed-up":
            return Name("speed_up", token.column)
        part = ""
        if token.text == "saving" and self.accept("by"):
            word = self.take()
            part = PARTS.get(word.text, "")
            if not part:
                near = nearest(word.text, PARTS)
                raise self.fail(
                    f"a saving is split by routing, fewer calls, cache or reviews, not by `{word.text}`.",
                    f"did you mean `{near}`?" if near else "", word,
                )  # fmt: skip
            if word.text == "fewer":
                self.accept("calls")
        return Name(token.text, token.column, part)

    def function(self, token: _Token) -> Node:
        if token.text not in FUNCTIONS:
            near = nearest(token.text, FUNCTIONS)
            hint = f"did you mean `{near}`?" if near else f"functions: {', '.join(FUNCTIONS)}"
            raise self.fail(f"there is no function `{token.text}`.", hint, token)
        self.need("(", "a function")
        opened = self.at
        arguments = [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        self.need(")", f"`{token.text}(`")
        parted = next((t for t in self.tokens[opened : self.at] if t.kind == "number" and "," in t.text), None)
        if parted is not None:
            says = f"`{parted.text}` is one figure or two: a comma parts arguments here."
            raise self.fail(says, f"write {parted.text.replace(',', '')}, or a blank after the comma", parted)
        fewest, most = FUNCTIONS[token.text]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self.fail(f"`{token.text}` takes {wanted} arguments, not {len(arguments)}.", token=token)
        return Apply(token.text, tuple(arguments), token.column)

    # -------------------------------------------------------------- figures
    def figure(self) -> Node:
        token = self.now
        is_usd = self.accept("$") is not None
        digits = self.take()
        if digits.kind != "number" or len(digits.text) > 30:
            raise self.fail("a figure needs digits, 30 at most.", "such as `$0.15` or `60 %`", digits)
        value = Fraction(digits.text.replace(",", "").replace("_", ""))
        decimals = len(digits.text.partition(".")[2])
        sign, value, decimals = self.scale(value, decimals, is_usd)
        percent, times = sign == "%", sign == "x"
        seconds, days, noun = ("", False, "") if is_usd or percent else self.unit()
        divisor, period, per = self.per()
        return Figure(
            value / divisor, token.column, decimals, is_usd, percent, times, seconds, days, period, noun or per
        )  # fmt: skip

    def scale(self, value: Fraction, decimals: int, is_usd: bool) -> tuple[str, Fraction, int]:
        if not is_usd and self.accept("%"):
            return "%", value / 100, decimals
        if self.now.text == "x" and not self.begins_operand(self.peek()):
            self.take()
            return "x", value, decimals
        word = self.accept(*SCALES)
        if word is None:
            return "", value, decimals
        factor = SCALES[word.text]
        return "", value * factor, max(0, decimals - len(str(factor)) + 1)

    def begins_operand(self, token: _Token) -> bool:
        is_word = token.kind == "word" and token.text not in ("with", "within", "about", "to", "at")
        return token.kind == "number" or token.text in ("$", "(") or is_word

    def unit(self) -> tuple[str, bool, str]:
        if self.now.text in SECONDS:
            return self.take().text, False, ""
        if self.now.text in ("day", "days"):
            self.take()
            return "", True, ""
        is_noun = self.now.kind == "word" and self.now.text not in RESERVED
        return "", False, self.take().text if is_noun else ""

    def per(self) -> tuple[int, str, str]:
        """What follows "a" or "per", or the "/" of ``$500/day``: (divisor, period, noun)."""
        if self.now.text == "/" and self.peek().text in PERIODS:
            self.take()
            return 1, self.take().text, ""
        if self.now.text not in ("a", "an", "per"):
            return 1, "", ""
        self.take()
        scale = self.accept("million", "thousand")
        word = self.take()
        if word.text in PERIODS and scale is None:
            return 1, word.text, ""
        near = nearest(word.text, PERIODS)
        if word.kind != "word" or near:
            hint = f"did you mean `{near}`?" if near else "a day, a month, a year, a run, a call, a million tokens"
            raise self.fail(f"`a {word.text}` is no period and counts nothing.", hint, word)
        return SCALES[scale.text] if scale else 1, "", f"{scale.text + ' ' if scale else ''}{word.text}"
