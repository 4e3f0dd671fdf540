"""The exact value of each side of a claim."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, assert_never

from orch_nb.analysis import bounds
from orch_nb.analysis.measure import NUMBER, USD, Kind, Measurable, Measured, Nothing, NotMeasured
from orch_nb.analysis.stored import numbers
from orch_nb.errors import nearest
from orch_nb.lang.claim_cell import MEASURES, Apply, Figure, Name, Node, Operation, Text
from orch_nb.lang.quantity import SECONDS, Quantity, UnitError

if TYPE_CHECKING:
    from orch_nb.analysis.stored import Sources

MAX_POWER = 1000
MAX_BITS = 20_000
LARGEST = 10**30
"""Of an exact result, in bits and in size: above, the arithmetic is no claim about money."""


class Values:
    """Computes the sides of one cell's claims; `measurable` is what the cell is about."""

    def __init__(self, text: Text, sources: Sources) -> None:
        self.text, self.sources = text, sources
        self.lengths = {"day": 1, "month": text.month, "year": text.days, "": 1}
        self.measurable: Measurable = Nothing()

    # -------------------------------------------------------------- values
    def value(self, node: Node, number: int) -> Quantity:
        """The exact value of a side that is no measure by itself."""
        try:
            return self._value(node, number)
        except UnitError as error:
            raise self.text.error(str(error), number, node.column, error.hint) from None

    def _value(self, node: Node, number: int) -> Quantity:
        match node:
            case Figure():
                return self._figure(node)
            case Name():
                if node.is_measure:
                    return self.measured(node, NUMBER if node.name == "saving" else USD, number).quantity
                return self._variable(node, number)
            case Apply():
                return self._apply(node, number)
            case Operation():
                return self._operation(node, number)
            case _:
                assert_never(node)

    def _figure(self, node: Figure) -> Quantity:
        if node.seconds:
            return Quantity(node.value * SECONDS[node.seconds], seconds=1)
        days = int(node.days) - int(bool(node.period))
        return Quantity(node.value / self.lengths[node.period], usd=int(node.usd), days=days)

    def _variable(self, node: Name, number: int) -> Quantity:
        value = self.sources.names.get(node.name)
        if isinstance(value, bool) or (
            not isinstance(value, int | float | Fraction) and type(value).__name__ != "Decimal"
        ):
            near = nearest(node.name, [*MEASURES, *(n for n in self.sources.names if not n.startswith("_"))])
            what = "is no number" if node.name in self.sources.names else "is neither a measure nor a variable"
            hint = f"did you mean `{near.replace('speed_up', 'speed-up')}`?" if near and near != node.name else ""
            raise self.text.error(f"`{node.name}` {what}.", number, node.column, hint)
        try:
            return Quantity(value if isinstance(value, Fraction) else Fraction(str(value)))
        except ValueError:
            raise self.text.error(f"`{node.name}` is {value}: it must be finite.", number, node.column) from None

    def _operation(self, node: Operation, number: int) -> Quantity:
        right = self._value(node.right, number)
        if node.left is None:
            return -right
        left = self._value(node.left, number)
        if node.sign == "^":
            return self._power(left, right, node, number)
        made = (
            left + right
            if node.sign == "+"
            else left - right
            if node.sign == "-"
            else left * right
            if node.sign == "x"
            else left / right
        )
        return self._bounded(made, node, number)

    def _power(self, left: Quantity, right: Quantity, node: Operation, number: int) -> Quantity:
        whole = right.is_number and right.value.denominator == 1 and abs(right.value) <= MAX_POWER
        if not left.is_number or not whole or (not left.value and right.value < 0):
            raise self.text.error(
                f"{left.shown()} ^ {right.shown()} cannot be computed.", number, node.column,
                f"a plain number, to a whole power up to {MAX_POWER}",
            )  # fmt: skip
        size = left.value.numerator.bit_length() + left.value.denominator.bit_length()
        if size * abs(int(right.value)) > MAX_BITS:
            raise self.text.error("the power has too many digits to be exact.", number, node.column)
        return self._bounded(Quantity(left.value ** int(right.value)), node, number)

    def _bounded(self, made: Quantity, node: Operation, number: int) -> Quantity:
        is_long = made.value.numerator.bit_length() + made.value.denominator.bit_length() > MAX_BITS
        if is_long or abs(made.value) > LARGEST:
            raise self.text.error("the result has too many digits to be exact.", number, node.column)
        return made

    def arguments(self, node: Apply, number: int) -> list[Quantity]:
        out: list[Quantity] = []
        for argument in node.arguments:
            held = None
            if isinstance(argument, Name) and not argument.is_measure:
                held = numbers(self.sources.names.get(argument.name))
            out.extend([Quantity(v) for v in held] if held is not None else [self._value(argument, number)])
        for other in out[1:]:
            if node.function not in ("tries", "context"):
                out[0].check(other)
        return out

    def _apply(self, node: Apply, number: int) -> Quantity:
        given = self.arguments(node, number)
        values, kind = [q.value for q in given], given[0].kind
        match node.function:
            case "mean":
                return Quantity(sum(values, Fraction(0)) / len(values), *kind)
            case "sum":
                return Quantity(sum(values, Fraction(0)), *kind)
            case "min" | "max":
                return Quantity(min(values) if node.function == "min" else max(values), *kind)
            case "spread":
                return Quantity(max(values) - min(values), *kind)
            case "median":
                return Quantity(bounds.median(values), *kind)
            case "majority":
                return self._majority(values, kind, node, number)
            case "count":
                return Quantity(Fraction(len(values)))
            case "ceil" | "floor":
                whole = -(-values[0] // 1) if node.function == "ceil" else values[0] // 1
                return Quantity(Fraction(whole), *kind)
            case _:
                return self._pair(node, given, number)

    def _majority(self, values: list[Fraction], kind: Kind, node: Apply, number: int) -> Quantity:
        found = bounds.majority(values)
        if found is None:
            raise self.text.error("no value has a majority.", number, node.column, "`median(…)` always exists")
        return Quantity(found, *kind)

    def _pair(self, node: Apply, given: list[Quantity], number: int) -> Quantity:
        """`tries(n, p)` and `context(n, r)`."""
        count, other = given
        if (
            not count.is_number
            or count.value.denominator != 1
            or not 1 <= count.value <= MAX_POWER
            or not other.is_number
        ):
            raise self.text.error(
                f"`{node.function}` needs a whole number from 1 to {MAX_POWER} first, then a plain number.",
                number,
                node.column,
            )
        if node.function == "context":
            if other.value < 0:
                raise self.text.error("a price ratio is from 0 up.", number, node.column)
            return Quantity(bounds.context_multiple(count.value, other.value))
        if not 0 <= other.value <= 1:
            raise self.text.error(
                f"a chance of {other.shown(percent=True)} is none.", number, node.column, "0 % to 100 %"
            )
        self._power(Quantity(1 - other.value), count, Operation("^", None, node, node.column), number)
        return Quantity(bounds.tries(count.value, other.value))

    def measured(self, node: Name, kind: Kind, number: int) -> Measured:
        """What a measure comes to, in the unit that the other side has."""
        try:
            return self.measurable.measure(node.name, node.part, kind)
        except (NotMeasured, UnitError) as error:
            raise self.text.error(str(error), number, node.column, error.hint) from None
