"""Blind picks: the answers of a row in a seeded random order, without names, until a person has picked the best."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING

from orch_nb.errors import BadOption
from orch_nb.schema.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LETTERS = string.ascii_uppercase
TIE = "tie"


def letter(place: int) -> str:
    """Return the letter of a place: ``A``, ``B``, …, ``Z``, ``AA``, ``AB``, …

    >>> letter(0), letter(27)
    ('A', 'AB')
    """
    return LETTERS[place] if place < 26 else letter(place // 26 - 1) + LETTERS[place % 26]


def blind_order(seed: str, row: int, candidates: int) -> list[int]:
    """Return the candidates of a row in the order of display: place 0 is `A`. The same seed gives the same order."""
    order = list(range(candidates))
    random.Random(f"{seed}/{row}").shuffle(order)
    return order


def alike(answers: Mapping[int, object], best: Sequence[int]) -> list[int]:
    """Return all candidates with a picked answer: a person who sees an answer twice can pick only one of its letters."""
    picked = {_same(answers[c]) for c in best}
    return sorted(c for c, answer in answers.items() if _same(answer) in picked)


def _same(answer: object) -> str:
    """Return an answer as comparable text, without white space around it."""
    return canonical(answer.strip() if isinstance(answer, str) else answer)


def qualities(answers: Mapping[int, object], best: Sequence[int]) -> dict[int, float]:
    """Return the quality of each candidate after a pick: 1 for the best, 0 for the others, 0.5 for each in a tie.

    Equal answers count as one: all candidates with the best answer win. If all answers are equal, it is a tie.

    >>> qualities({0: "a", 1: "b", 2: "c"}, [1]), qualities({0: "a", 1: "b"}, [0, 1])
    ({0: 0.0, 1: 1.0, 2: 0.0}, {0: 0.5, 1: 0.5})
    >>> qualities({0: "a", 1: "a", 2: "c"}, [0, 1]), qualities({0: "a", 1: "a"}, [0, 1])
    ({0: 1.0, 1: 1.0, 2: 0.0}, {0: 0.5, 1: 0.5})
    """
    kinds = len({_same(answers[c]) for c in best if c in answers})
    won = 1.0 if len(best) == 1 or (kinds == 1 and len(best) < len(answers)) else 0.5
    return {c: won if c in best else 0.0 for c in answers}


def read_choice(choice: object, order: Sequence[int], shown: Sequence[int]) -> list[int]:
    """Return the candidates that a choice names by letters of the row.

    Parameters
    ----------
    choice
        ``"A"``, several letters that share the win (``"AC"``, ``"A C"``), or ``"tie"`` for all.
    order
        Candidates by place.
    shown
        Candidates with an answer.

    Raises
    ------
    BadOption
        A letter is not shown.
    """
    text = str(choice).strip()
    if text.lower() == TIE:
        return sorted(shown)
    by_letter = {letter(place): one for place, one in enumerate(order) if one in shown}
    words = [text.upper()] if text.upper() in by_letter else [w for w in text.upper().replace(",", " ") if w.strip()]
    wrong = [w for w in words if w not in by_letter]
    if wrong or not words:
        raise BadOption(
            f"the row has no answer `{text[:20]}`.", hint=f"one of {', '.join(by_letter) or 'none'}, or `tie`"
        )
    return sorted({by_letter[w] for w in words})
