"""How sure an answer is: by the agreement of several samples, by a function, by the probability of its tokens.

Only what is measured counts. A number that a model writes about itself is taken as `stated` and marked so: it says how the
model talks, not how often it is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orch_nb.engine.ports import Call, Result
from orch_nb.routing.confidence import calibrated
from orch_nb.schema.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_nb.agents.conversation import Conversation
    from orch_nb.schema.route_spec import Measure

Steps = Generator[Call, Any, Any]

SAMPLE_TEMPERATURE = 0.7
"""Of further samples: at the agent's own temperature of 0 all would be one. A common choice of self-consistency work.

References: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning", ICLR 2023 (temperature 0.5 to 0.7).
"""


@dataclass(slots=True, frozen=True)
class Confidence:
    """How sure an answer is.

    Parameters
    ----------
    value
        The answer: of several samples the most frequent one.
    by
        How it was measured, as it is written in the cell.
    confidence
        0 to 1; None where it could not be measured (no probabilities were sent).
    detail
        The figures in words.
    is_stated
        Whether the model itself said the number.
    is_enough
        Set where the measure itself decides (a check; an agreement that can no longer fail or succeed).
    raw
        What was measured, where labelled answers have said what it means: then `confidence` is that.
    """

    value: object
    by: str
    confidence: float | None
    detail: str
    is_stated: bool = False
    is_enough: bool | None = None
    raw: float | None = None

    def passes(self, least: float) -> bool:
        """Return whether it is as sure as it must be. What could not be measured does not pass."""
        if self.is_enough is not None:
            return self.is_enough
        return self.confidence is not None and self.confidence >= least

    def marks(self) -> dict[str, object]:
        """Return what the record says beside the figure: whether labelled answers are behind it."""
        if self.confidence is None or self.by.startswith("check("):
            return {}
        return {"calibrated": self.raw is not None, **({} if self.raw is None else {"raw": self.raw})}

    def because(self, least: float) -> str:
        """In one clause, with the figures."""
        if self.confidence is None or self.by.startswith("check("):
            return self.detail
        return f"{self.detail}: {self.confidence:.2f}, {'at least' if self.passes(least) else 'below'} {least:.2f}"


def measured(conversation: Conversation, value: object, how: Measure, least: float, *, is_last: bool = False) -> Steps:
    """Return how sure the answer of a conversation is; None where its form is all that counts.

    Parameters
    ----------
    least
        The confidence that is enough: sampling stops as soon as it is certain to be reached or missed.
    is_last
        Whether nobody could be asked afterwards: then nothing is spent on measuring. A check is made all the same.
    """
    match how.how:
        case "agreement":
            return None if is_last else (yield from _agreement(conversation, value, how, least))
        case "check":
            return (yield from _by_check(conversation, value, how))
        case "stated":
            return _calibrate(conversation, _by_statement(value, how))
        case "probability":
            return _calibrate(conversation, _probable(conversation, value, how))
    return None


def _calibrate(conversation: Conversation, sure: Confidence) -> Confidence:
    """The same with the rate of right answers at this score, where labelled answers have given one."""
    if sure.confidence is None:
        return sure
    said = _rate(conversation, sure.by, sure.confidence)
    return sure if said is None else replace(sure, confidence=round(said, 6), raw=sure.confidence)


def _rate(conversation: Conversation, by: str, score: float) -> float | None:
    points = (conversation.definition.get("calibration") or {}).get(by)
    return None if points is None else calibrated(points, score)


# ------------------------------------------------------------------ agreement
def _agreement(conversation: Conversation, value: object, how: Measure, least: float) -> Steps:
    """The share of k answers that are the same. Samples that fail or do not fit count as disagreeing."""
    needed = _votes_needed(conversation, how, least)
    answers: list[tuple[str, object]] = [(identity(value, how.field), value)]
    while len(answers) < how.k:
        most = _most(answers)[1]
        if most >= needed or most + how.k - len(answers) < needed:
            break
        result = yield from _sample(conversation, len(answers), how)
        number = len(answers)
        answers.append(
            (f"failed {number}", None) if result.error else (identity(result.value, how.field), result.value)
        )
    chosen, count = _most(answers)
    asked = len(answers)
    is_enough = count >= needed
    confidence = count / (how.k if is_enough else asked)
    cut = f" ({how.k} would have been asked)" if asked < how.k else ""
    detail = f"{count} of {asked} answers agree{cut}"
    return _calibrate(conversation, Confidence(chosen, how.text, round(confidence, 6), detail, is_enough=is_enough))


def _votes_needed(conversation: Conversation, how: Measure, least: float) -> int:
    """Return how many of k must agree; k + 1 where no agreement is sure enough."""
    for count in range(1, how.k + 1):
        rate = _rate(conversation, how.text, count / how.k)
        if (count / how.k if rate is None else rate) >= least - 1e-9:
            return count
    return how.k + 1


def _sample(conversation: Conversation, number: int, how: Measure) -> Steps:
    """One more answer of the same model, behind the same tools' results."""
    spec = conversation.definition
    warmer = max(spec["temperature"], SAMPLE_TEMPERATURE)
    because = f"sample {number + 1} of at most {how.k}, to see whether it says the same again"
    again = replace(
        conversation, models=[conversation.models[conversation.model]], model=0, repairs=0, temperature=warmer,
        seed=(spec.get("seed") or 0) + number, because=because, messages=list(conversation.messages[: conversation.base]),
        repaired=0, asked=[], ended=None, failed="",
    )  # fmt: skip
    step = again.step()
    while not isinstance(step, Result):
        again.take((yield step))
        step = again.step()
    return step


def _most(answers: list[tuple[str, object]]) -> tuple[object, int]:
    """The most frequent answer (the first among equals) and how often it was given. Failed samples win nothing."""
    counts: dict[str, int] = {}
    for key, _ in answers:
        counts[key] = counts.get(key, 0) + 1
    best = max((key for key in counts if not key.startswith("failed ")), key=lambda key: counts[key])
    return next(value for key, value in answers if key == best), counts[best]


def identity(value: object, field: str = "") -> str:
    """Return what two equal answers share: texts are compared without regard to case and space, data by their content."""
    if field and isinstance(value, dict):
        value = value.get(field)
    if isinstance(value, str):
        value = " ".join(value.casefold().split()).rstrip(".!")
    return digest(value)


# ------------------------------------------------------------------ probabilities
_VALUE = re.compile(r'(?:^|[:\[,])\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')


def _probable(conversation: Conversation, value: object, how: Measure) -> Confidence:
    """Return how probable the answer's own tokens were.

    Of labels and numbers it is the probability of the values alone: what the form of the answer is made of was demanded,
    and says nothing. Of free text, where any one wording is improbable, it is the geometric mean over its tokens.
    """
    if not conversation.scored:
        return Confidence(
            value, how.text, None, f"`{conversation.models[conversation.model]['name']}` sent no probabilities"
        )
    if _is_label(conversation.definition.get("schema")):
        total, what = math.fsum(_of_values(conversation.scored)), "probability of the answer"
    else:
        total, what = (
            math.fsum(p for _, p in conversation.scored) / len(conversation.scored),
            "mean probability of its tokens",
        )
    return Confidence(value, how.text, round(math.exp(min(0.0, total)), 6), what)


def _of_values(scored: Sequence[Sequence[Any]]) -> Iterator[float]:
    """Log-probabilities of the tokens of the values in a JSON text; of all tokens where none are found."""
    text = "".join(token for token, _ in scored)
    spans = [(m.start(1) + (m[1][0] == '"'), m.end(1) - (m[1][0] == '"')) for m in _VALUE.finditer(text)]
    at = 0
    for token, logprob in scored:
        if not spans or any(start < at + len(token) and at < end for start, end in spans):
            yield logprob
        at += len(token)


def _is_label(schema: object) -> bool:
    """Return whether an answer of this schema is made of labels and numbers alone."""
    if not isinstance(schema, dict):
        return False
    if "enum" in schema or "const" in schema or schema.get("type") in ("boolean", "integer", "number", "null"):
        return True
    fields = schema.get("properties") or {}
    return schema.get("type") == "object" and bool(fields) and all(_is_label(part) for part in fields.values())


# ------------------------------------------------------------------ a function, or the model's own word
def _by_check(conversation: Conversation, value: object, how: Measure) -> Steps:
    outcome = yield Call("check", how.name, {"answer": value, "values": dict(conversation.task.inputs)})
    if not outcome.ok:
        error = outcome.error
        said = f"`{how.name}` failed ({error.type}: {error.message})" if error is not None else f"`{how.name}` failed"
        return Confidence(value, how.text, 0.0, said[:300], is_enough=False)
    got = outcome.reply
    said = f"`{how.name}` said {'yes' if got['passed'] else 'no'}"
    score = got.get("score")
    return Confidence(value, how.text, score if score is not None else float(got["passed"]),
                    said if score is None else f"{said} ({score:.2f})", is_enough=got["passed"])  # fmt: skip


def _by_statement(value: object, how: Measure) -> Confidence:
    got = value.get(how.field) if isinstance(value, dict) else None
    if isinstance(got, bool) or not isinstance(got, int | float):
        return Confidence(value, how.text, None, f"`{how.field}` is not a number", is_stated=True)
    return Confidence(value, how.text, min(1.0, max(0.0, float(got))), "stated by the model", is_stated=True)
