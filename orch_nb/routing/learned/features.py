"""How hard a question looks, from its text alone: counts that can be read off, and what kind of question it resembles."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEAD, TAIL = 600, 450
"""Characters of a long prompt's beginning and end that are embedded: MiniLM reads 256 tokens, some 1,050 characters. The task
is at one of the two ends; the text between them is mostly material."""

READ = 8_000
"""Characters that are counted over, as in `Evidence.prompt`."""

WIDTH = 2_048
"""Columns of the hashed words: prompts of one log share some thousands of words and pairs, and collisions are rare enough."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NUMBER = re.compile(
    r"(?<![\d.,])(?!(?:1[5-9]|20)\d\d(?![\d.,%]))\d[\d,.]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|hundred|thousand|dozen"
    r"|half|third|quarter|twice|thrice|double|triple)s?\b", re.IGNORECASE
)  # fmt: skip
_RELATION = re.compile(
    r"\b(?:times|twice|half|third|quarter|double|triple|total|altogether|remain(?:s|ing|der)?|left|rest|as many|as much|as old"
    r"|another|additional|extra|increase[sd]?|decrease[sd]?|combined|split|divided|share[sd]?|between|after|before|until|then"
    r"|(?:more|less|fewer|older|younger|longer|faster|cheaper) than)\b", re.IGNORECASE
)  # fmt: skip
_RATE = re.compile(
    r"%|\b(?:percent|each|per|every|ratio|rate|average|mean|discount|interest|profit|speed)\b|\d/\d|\d\.\d",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|dozens?|inch(?:es)?|feet|foot|yards?|miles?|k?m|cm|kg|pounds?|ounces?"
    r"|gallons?|lit(?:er|re)s?|cents?|dollars?)\b", re.IGNORECASE
)  # fmt: skip
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_CONDITION = re.compile(
    r"\b(?:if|unless|suppose|assum(?:e|es|ing)|given|provided|whether|although|however|but|because|while|when|otherwise"
    r"|such that|only|must|at least|at most|exactly|without)\b", re.IGNORECASE
)  # fmt: skip
_FORMAL = re.compile(r"[=+*/^<>∫√∑∏≤≥∈∀∃→¬∧∨⊃≡·•~]|\\[a-zA-Z]+|\b[a-zA-Z]\([a-z]\)|\b[a-zA-Z]_\w|\b[xyzn]\b")
_CODE = re.compile(
    r"```|\b(?:def|return|import|SELECT|print|int|void|function|class)\b|[{};]\s*$|==|\(\)", re.MULTILINE
)
_NEGATION = re.compile(
    r"\bNOT\b|\bEXCEPT\b|\bLEAST\b|\bFALSE\b|\b(?:is|are|does|do|would|was) not\b|\b(?:least|incorrect|false)\b"
)
_STATEMENT = re.compile(
    r"\b(?:statement|scenario|claim|premise|assertion)s?\s*(?:\d|[IVX]+\b)|\b(?:I|II|III|IV)\b(?:,|\.| and| only)"
    r"|\b(?:true|false|valid|invalid)\s*[,;]\s*(?:true|false|valid|invalid)", re.IGNORECASE
)  # fmt: skip
_COMBINED = re.compile(
    r"\b(?:all|none|both|neither|either|any|two) of (?:the|these|them)\b|\b(?:both|neither) [A-J]\b|\bonly\s*$"
    r"|\bI and II\b|\b(?:True|False|Yes|No),", re.IGNORECASE | re.MULTILINE
)  # fmt: skip
_DISPUTE = re.compile(
    r"\b(?:defendant|plaintiff|court|statute|contract|sued?|liab(?:le|ility)|negligen(?:t|ce)|convict(?:ed|ion)|jury|trial"
    r"|evidence|testi(?:fy|mony)|landowner|buyer|seller|deed|crime|guilty|assault|tort|constitution(?:al|ality))\b", re.IGNORECASE
)  # fmt: skip
_PATIENT = re.compile(
    r"\byear-old\b|\b(?:patient|physician|symptoms?|diagnos\w+|mg/d?L|mmHg|biopsy|serum|fever)\b", re.IGNORECASE
)
_PASSAGE = re.compile(
    r"\b(?:following (?:information|passage|excerpt|text|article|document|email|message|conversation)|refers to the"
    r"|according to the (?:passage|text|article)|excerpt)\b", re.IGNORECASE
)  # fmt: skip
_BLANK = re.compile(r"_{3,}|\.\.\.\s*$", re.MULTILINE)
_DEFINITION = re.compile(
    r"\b(?:what is|what are|who|which|what|refers to|is called|known as|defined as|means|term)\b", re.IGNORECASE
)
_OPTION = re.compile(r"^\s*\(?([A-P])[).:]\s+(.+)$", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?](?:\s|$)")

COMMON_RANK = 2_000
"""Where a vocabulary ordered by frequency begins: words up to twice as far count as common."""

SIGNS: dict[str, float] = {
    "words": 0.30,
    "sentences": 0.20,
    "numbers": 0.40,
    "relations": 0.30,
    "rates": 0.20,
    "units": 0.05,
    "names": 0.05,
    "conditions": 0.20,
    "formal": 0.15,
    "code": 0.10,
    "negation": 0.15,
    "statements": 0.55,
    "combined": 0.25,
    "dispute": 0.35,
    "patient": 0.10,
    "passage": -0.90,
    "blank": -0.25,
    "definition": -0.20,
    "long words": -0.10,
    "rare words": 0.10,
    "numeric options": 0.45,
    "option length": 0.15,
    "option overlap": 0.30,
}
"""What is counted, and its weight in `hardness` (each count is first put on a scale of about 1).

The weights were set before any outcome was seen, from what makes an answer go wrong: every quantity, relation and condition is
one more step that must be right (a weak model's chance falls with each); statements to be judged together multiply; answers
that are numbers or near copies of each other cannot be recognised, only derived; a question about a definition asks for
recall, where small models trail least; where a passage holds the answer, length is not a difficulty. Roughly right weights of
right sign are all that such a sum needs; a log bends it.

References
----------
Dawes, "The robust beauty of improper linear models in decision making", American Psychologist 34, 1979.
"""

KINDS: tuple[tuple[float, str], ...] = (
    (
        1.0,
        "A word problem about quantities and prices that takes several steps of arithmetic. How many are left in total?",
    ),
    (0.9, "Two short stories are told. In which of them does the narrator act wrongly by ordinary moral standards?"),
    (
        0.8,
        "A landowner sued his neighbor in court; the defendant moved to dismiss. Is the plaintiff likely to prevail?",
    ),
    (0.8, "Translate the sentence into predicate logic. Use a truth table to decide whether the argument is valid."),
    (0.8, "Compute the depreciation, net income and present value of the bond for the company's tax return."),
    (0.7, "What is the probability of drawing two red balls? Find the standard deviation of the sample."),
    (0.7, "A block of mass m slides down an incline. Find its acceleration, given the coefficient of friction."),
    (0.6, "Statement 1: every group of prime order is cyclic. Statement 2: every ring has a unit. True or false?"),
    (0.6, "Evaluate the integral, solve the differential equation, find the eigenvalues of the matrix."),
    (0.6, "Which hypothesis test or regression estimator is consistent when the errors are autocorrelated?"),
    (0.6, "What does this program print? Give the time complexity of the algorithm, fix the bug."),
    (0.6, "In a neural network trained by gradient descent, what happens to bias and variance with regularisation?"),
    (0.5, "Find the current through the resistor, the transfer function and the impedance of the circuit."),
    (0.5, "How many moles of gas are formed, what is the pH of the solution, which orbital is occupied?"),
    (0.4, "Plan the project step by step under these constraints and explain every trade-off."),
    (0.3, "A 45-year-old patient comes to the physician with fever and chest pain. What is the most likely diagnosis?"),
    (0.2, "What happens to equilibrium price and quantity when demand shifts and supply is elastic?"),
    (0.1, "Which enzyme, gene or protein takes part in this pathway of the cell?"),
    (0.0, "Which bone, nerve or organ of the human body is it?"),
    (0.0, "What does this philosopher's argument about knowledge, ethics and the mind conclude?"),
    (-0.2, "Which virus causes this disease, and how is it transmitted and treated?"),
    (-0.3, "What do psychologists call this kind of memory, learning or personality disorder?"),
    (-0.4, "Which planet has the largest moon, and how do stars form?"),
    (-0.4, "Read the passage from a historical speech. Which movement did its author support?"),
    (-0.5, "How does this religion see its scripture, its festivals and its founder?"),
    (-0.6, "Which country is the most populous, and what do its people speak? Geography and culture."),
    (-0.6, "What is the role of the president, the congress and the parties in government?"),
    (-0.6, "What do sociologists mean by norms, class, family and gender?"),
    (-0.7, "Which marketing strategy, management style or brand positioning is described?"),
    (-0.7, "Which diet, vitamin, daily habit or piece of everyday advice is healthy?"),
    (-0.8, "Rewrite this message politely, summarise it, translate it, or extract the name and date."),
    (-0.8, "A customer asks where the card is or how to change the PIN. Which team should answer?"),
    (-1.0, "Hello, how are you? Tell me something nice."),
)
"""Kinds of questions and how much more a strong model gets right than a weak one, from -1 (as good as the same) to 1.

A judgement, not a measurement: derivation over several steps and judging cases by rules separate models most, recall of widely
written facts and short transformations of a given text least; very specialised facts, which neither knows, lie between.
"""

SHARPNESS = 0.06
"""Width, in cosine, of the likeness to `KINDS`: a question is read as a mixture of the few kinds that it is nearest to."""

KIND_WEIGHT = 0.9
"""Share of the kind in the whole: about as much as all counts together where a log mixes kinds, little where it does not."""


def focus(prompt: str) -> str:
    """Return what of a prompt is embedded: all of it, or its beginning and its end."""
    return prompt if len(prompt) <= HEAD + TAIL else f"{prompt[:HEAD]} {prompt[-TAIL:]}"


def signs(prompt: str, rank: Callable[[str], int] | None = None) -> list[float]:
    """The counts of `SIGNS`, each on a scale of about 1, in that order.

    Parameters
    ----------
    prompt
        Its first 8,000 characters are read.
    rank
        Place of a word in a vocabulary ordered by frequency; without it a word's length stands for its rarity.
    """
    text = prompt[:READ]
    options = [own.strip() for _, own in _OPTION.findall(text)]
    stem = _OPTION.sub("", text) if len(options) > 1 else text
    words = _WORD.findall(stem)
    n = max(len(words), 1)
    return [
        math.log1p(len(words)) - 3.5,
        math.log1p(len(_SENTENCE.findall(stem))) - 0.7,
        math.log1p(_count(_NUMBER, stem)),
        math.log1p(_count(_RELATION, stem)),
        math.log1p(_count(_RATE, stem)),
        math.log1p(len({own.casefold() for own in _UNIT.findall(stem)})),
        math.log1p(len(set(_NAME.findall(stem)))),
        math.log1p(_count(_CONDITION, stem)),
        min(math.log1p(_count(_FORMAL, text)), 3.0),
        min(math.log1p(_count(_CODE, text)), 2.0),
        min(_count(_NEGATION, stem), 2),
        min(math.log1p(_count(_STATEMENT, text)), 2.0),
        min(math.log1p(_count(_COMBINED, text)), 2.0),
        math.log1p(_count(_DISPUTE, text)),
        math.log1p(_count(_PATIENT, text)),
        min(math.log1p(_count(_PASSAGE, stem)), 1.5),
        min(_count(_BLANK, stem), 1),
        1.0 if len(words) < 25 and _DEFINITION.search(stem) else 0.0,
        10.0 * sum(len(w) > 9 for w in words) / n - 1.0,
        _rarity(words, rank),
        sum(any(c.isdigit() for c in o) and len(o) < 30 for o in options) / max(len(options), 1),
        math.log1p(sum(map(len, options)) / max(len(options), 1)) - 3.0 if options else -0.5,
        _overlap(options),
    ]


def hardness(counts: Sequence[float], kind: float = 0.0) -> float:
    """The prior's one number: the weighted sum of the counts, and of the kind in -1 to 1. Only its order matters much."""
    return sum(w * c for w, c in zip(SIGNS.values(), counts, strict=True)) + KIND_WEIGHT * kind


def kind_of(vectors: object, anchors: Any) -> Any:
    """Return how much a strong model is ahead on such questions, -1 to 1; `vectors` (n, d) against `anchors` (len(KINDS), d)."""
    import numpy as np

    gains = np.asarray([gain for gain, _ in KINDS])
    likeness = vectors @ anchors.T / SHARPNESS
    weight = np.exp(likeness - likeness.max(axis=1, keepdims=True))
    return (weight @ gains) / weight.sum(axis=1)


def hashed(prompt: str) -> dict[int, int]:
    """Columns 0 to `WIDTH` - 1 of a prompt's words and neighbouring pairs, with how often each comes."""
    words = [w.casefold() for w in _WORD.findall(prompt[:READ])]
    counts: dict[int, int] = {}
    for feature in (*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))):
        column = zlib.crc32(feature.encode("utf-8", "surrogatepass")) % WIDTH
        counts[column] = counts.get(column, 0) + 1
    return counts


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _rarity(words: Sequence[str], rank: Callable[[str], int] | None) -> float:
    if not words:
        return 0.0
    if rank is None:
        return sum(map(len, words)) / len(words) - 4.7
    steps = [math.log(max(rank(w.casefold()), COMMON_RANK) / COMMON_RANK) for w in words]
    return 3.0 * sum(steps) / len(steps) - 1.0


def _overlap(options: Sequence[str]) -> float:
    """Mean share of words that an option has in common with the one before it: near copies cannot be told by recall."""
    if len(options) < 2:
        return 0.0
    sets = [set(own.casefold().split()) for own in options]
    shared = [len(a & b) / max(len(a | b), 1) for a, b in itertools.pairwise(sets)]
    return sum(shared) / len(shared)
