"""Plain data: what a node may make is stored as the data that it holds."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_nb.analysis.compare.inputs import kept
from orch_nb.errors import UnstorableValue
from orch_nb.schema.values import plain


class Cat(str, Enum):  # noqa: UP042  (the spelling of most programs)
    BILLING = "billing"


class Plain(Enum):
    TEXT = "text"
    PAIR = (1, 2)
    NOTHING = None
    OTHER = object()


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = auto()
    WRITE = auto()


class Mode(IntFlag):
    A = auto()
    B = auto()


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "something else"

    __repr__ = __format__ = __str__


class Whole(int):
    def __str__(self):
        return "something else"

    def __int__(self):
        return 0


class Real(float):
    def __float__(self):
        return 0.0


class Raw(bytes):
    def __bytes__(self):
        return b""


@dataclass
class Ticket:
    category: Cat
    by_category: dict


class Model(pydantic.BaseModel):
    category: Cat
    levels: list[Level]
    words: dict[Word, Plain]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Cat.BILLING, "billing"), (Plain.TEXT, "text"), (Plain.PAIR, [1, 2]), (Plain.NOTHING, None), (Level.HIGH, 3),
        (Word.YES, "yes"), (Right.READ | Right.WRITE, 3), (Mode.A | Mode.B, 3), ([Cat.BILLING, (Word.YES,)], ["billing", ["yes"]]),
        ({Cat.BILLING: Level.HIGH}, {"billing": 3}), ({Plain.TEXT: 1}, {"text": 1}), ({Word.YES: {Cat.BILLING: 1}}, {"yes": {"billing": 1}}),
        (Ticket(Cat.BILLING, {Cat.BILLING: [Level.HIGH]}), {"category": "billing", "by_category": {"billing": [3]}}),
        (Model(category=Cat.BILLING, levels=[Level.HIGH], words={Word.YES: Plain.TEXT}), {"category": "billing", "levels": [3], "words": {"yes": "text"}}),
    ],
)  # fmt: skip
def test_an_enum_is_stored_as_its_value_wherever_it_stands(value, stored):
    """Alone, in lists, as values and keys of mappings, in dataclasses and pydantic models; never as `Class.NAME`."""
    got = plain(value)
    assert got == stored
    assert _is_plain(got)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Text("data"), "data"), (Whole(3), 3), (Real(1.5), 1.5), (Raw(b"x"), b"x"), ({Text("key"): Text("data")}, {"key": "data"}),
        (Counter("aab"), {"a": 2, "b": 1}), (OrderedDict(a=1), {"a": 1}),
    ],
)  # fmt: skip
def test_a_subclass_of_a_plain_type_is_stored_as_its_data_whatever_its_methods_say(value, stored):
    """The data of a class are stored, and not its `__str__`."""
    got = plain(value)
    assert got == stored
    assert _is_plain(got)


@given(st.text(alphabet=st.characters(codec="utf-8")), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_subclasses_hold_every_value_of_their_base(text, whole, real):
    """Any text, any number."""
    assert plain([Text(text), Whole(whole), Real(real)]) == [text, whole, real]


@pytest.mark.parametrize(
    "value", [Plain.OTHER, {Level.HIGH: 1}, {Plain.PAIR: 1}, {Plain.TEXT: 1, "text": 2}, [Plain.OTHER]]
)
def test_an_enum_whose_value_cannot_be_stored_is_refused(value):
    """Other objects, keys that are not text, and two keys of the same text are refused."""
    with pytest.raises(UnstorableValue):
        plain(value)


def test_a_cell_of_a_compared_table_is_the_enums_value():
    """Tables of a comparison hold the same data as inputs of a run."""
    assert kept(Cat.BILLING) == "billing"


def _is_plain(value):
    if value.__class__ is dict:
        return all(k.__class__ is str and _is_plain(v) for k, v in value.items())
    if value.__class__ is list:
        return all(map(_is_plain, value))
    return value.__class__ in (str, int, float, bool, bytes, type(None))
