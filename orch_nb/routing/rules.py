"""Routes that need no model: conditions over what the agent reads, and words in its prompt."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orch_nb.routing.decision import Ranking
from orch_nb.schema.values import compact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.lang.condition import Predicate
    from orch_nb.routing.decision import Question

MAX_SHOWN = 40
ELSE = "it answers where nothing else is true"


def by_rules(question: Question) -> Ranking:
    """Models of true rules in the order of the rules, then `else`, then the others as they are listed.

    Raises
    ------
    SemanticFailure
        A condition compares null, or two different types, or reads what is absent.
    """
    route = question.route
    why: dict[str, str] = {}
    against: dict[str, str] = {}
    seen: dict[str, object] = {}
    true: list[str] = []
    for number, rule in enumerate(route["rules"], 1):
        holds, values = _predicate(rule["when"]).evaluate(_lookup(question.values))
        seen[f"rule {number}: {rule['when']}"] = {"values": values, "result": holds, "model": rule["model"]}
        shown = ", ".join(f"{path} = {_brief(value)}" for path, value in values.items())
        if holds and rule["model"] not in true:
            true.append(rule["model"])
            why[rule["model"]] = f"rule {number} is true: {rule['when']} ({shown})"
            against[rule["model"]] = f"rule {number} is true too, and an earlier one comes first"
        elif not holds:
            against.setdefault(rule["model"], f"rule {number} is false: {rule['when']} ({shown})")
    why.setdefault(route["else"], "no rule is true")
    if true:
        against.setdefault(route["else"], ELSE)
    names = dict.fromkeys([*true, route["else"], *question.models])
    return Ranking(tuple(names), why, against, seen=seen)


def by_keywords(question: Question) -> Ranking:
    """Models by how many of their words the prompt holds; `else` where it holds none.

    Words are compared without regard to case, and at word boundaries: "ref" is not in "refund".
    """
    route = question.route
    text = question.prompt.casefold()
    found = {name: _find(tuple(words), text) for name, words in route["keywords"].items()}
    counts = {name: float(len(words)) for name, words in found.items()}
    hits = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    why = {
        name: f"the prompt holds {_count(words)} of its words: {', '.join(words[:6])}"
        for name, words in found.items()
        if words
    }
    against = {name: "the prompt holds none of its words" for name, words in found.items() if not words}
    against |= {name: f"the prompt holds only {_count(found[name])} of its words" for name in hits[1:]}
    if not hits:
        why[route["else"]] = "the prompt holds no word of any model"
    else:
        against.setdefault(route["else"], ELSE)
    names = dict.fromkeys([*hits, route["else"], *question.models])
    return Ranking(tuple(names), why, against, counts, {name: words for name, words in found.items() if words})


def by_similarity(question: Question, made: Mapping[str, Any]) -> Ranking:
    """Models by the similarity of the prompt to their examples.

    Parameters
    ----------
    made
        The decision of `routing.intent.similarity.SimilarityChooser` over the examples of each model.
    """
    route = question.route
    scores: dict[str, float] = dict(made["scores"])
    ranked = sorted(scores, key=lambda name: -scores[name])
    best = ranked[0]
    against = {name: f"its score is {scores[name]:.2f}, that of `{best}` {scores[best]:.2f}" for name in ranked[1:]}
    why = {name: f"the prompt's score with its examples is {scores[name]:.2f}" for name in ranked}
    other = route.get("else")
    if made["choice"] is None and other is not None:
        why[other] = str(made["because"])
        against |= {
            name: f"its score {scores[name]:.2f} is below {made['threshold']:.2f}" for name in ranked if name != other
        }
        ranked = [other, *ranked]
    elif other is not None and other not in scores:
        against[other] = ELSE
    seen = {
        key: made[key] for key in ("method", "margin", "threshold", "embedder", "outside") if made.get(key) is not None
    }
    return Ranking(tuple(dict.fromkeys([*ranked, *question.models])), why, against, scores, seen)


@lru_cache(maxsize=1024)
def _predicate(text: str) -> Predicate:
    from orch_nb.lang.condition import Predicate

    return Predicate.parse(text)


def _lookup(values: Mapping[str, object]) -> Any:
    """Values by path: as the read of this path, or inside the read of its first name."""

    def look(parts: tuple[str, ...]) -> object:
        key = ".".join(parts)
        if key in values:
            return values[key]
        got: object = values
        for part in parts:
            if not isinstance(got, dict) or part not in got:
                raise KeyError(key)
            got = got[part]
        return got

    return look


def _find(words: tuple[str, ...], text: str) -> list[str]:
    return [word for word in words if _word(word.casefold()).search(text)]


@lru_cache(maxsize=4096)
def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _count(words: list[str]) -> str:
    return str(len(words))


def _brief(value: object) -> str:
    text = compact(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
