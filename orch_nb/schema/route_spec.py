"""The key `route` of an agent: the way to choose its model. It is checked here, stored as written, completed for the plan.

::

    route: auto
    route: {rules: [{when: "len(ticket) > 2000", model: big}], else: small}
    route: {keywords: {big: [refund, lawsuit], small: [hello]}, else: small}
    route: {similar: {big: ["I will sue you"], small: ["Thank you"]}, above: 0.3, else: small}
    route: {judge: big, models: [small, big], criteria: "long or legal: big"}
    route: {cascade: [small, big], confidence: 0.7, by: agreement(3)}
    route: {learned: [small, big], tradeoff: 0.7, minimum: 30, baseline: big}

The key that names the way determines the other allowed keys. Errors are `ValueError`: pydantic collects them, with the
agent's key and its line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from orch_nb.errors import BadOption, CellError, nearest
from orch_nb.schema.amount import read_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Route: TypeAlias = dict[str, Any] | str | None
"""A route as it is stored: a mapping, "auto", or None."""
AUTO = "auto"
OPTIONS: dict[str, tuple[str, ...]] = {
    "rules": ("else",), "keywords": ("else",), "similar": ("above", "else"), "judge": ("models", "criteria", "else"),
    "cascade": ("confidence", "by"), "learned": ("tradeoff", "minimum", "baseline"),
}  # fmt: skip
"""Way to choose -> its other keys."""

CONFIDENCE = 0.7
"""Default of the least confidence at which a cascade stops, and below which a second opinion is asked. It is independent of
the review threshold."""
MINIMUM = 30
"""Default of the least number of outcomes of each model for a learned route: with fewer, the error of a mean of 0/1 outcomes
is above 0.18."""
TRADEOFF = 0.7
"""Default tradeoff of a learned route: 1 counts only quality, 0 only cost."""
MAX_MODELS = 32
MAX_RULES = 64
MAX_SAMPLES = 15
MAX_TEXT = 4_000

_FORMS = "auto, or one of {rules: …}, {keywords: …}, {similar: …}, {judge: …}, {cascade: …}, {learned: …}"
MEASURES = ("schema", "probability", "agreement", "check", "stated")
"""Ways to measure the confidence of an answer: the values of `by`."""
SECOND_OPINION = ("model", "below", "by")
"""Keys of a second opinion."""
SLA = ("seconds",)
"""Keys of an `sla`."""
_BY = re.compile(
    r"(?P<how>schema|probability)"
    r"|agreement\(\s*(?P<k>[0-9]{1,3})(?:\s+of\s+(?P<field>[A-Za-z_]\w*))?\s*\)"
    r"|check\(\s*(?P<check>[A-Za-z_]\w*)\s*\)"
    r"|stated\(\s*(?P<stated>[A-Za-z_]\w*)\s*\)"
)


class Measure(NamedTuple):
    """The measure of an answer's confidence: `how` is schema | probability | agreement | check | stated.

    "agreement" takes `k` samples, of the whole answer or of one `field`; `name` is the function of a "check". "stated" takes
    the number that the model writes into `field`. Displays mark this number, because it is not measured.
    """

    how: str
    k: int = 0
    field: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """The measure as it is written."""
        match self.how:
            case "agreement":
                return f"agreement({self.k}{f' of {self.field}' if self.field else ''})"
            case "check":
                return f"check({self.name})"
            case "stated":
                return f"stated({self.field})"
        return self.how


def measure(value: object) -> Measure:
    """Return the measure in `by`.

    Raises
    ------
    ValueError
        It is not a measure.
    """
    found = _BY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "must have a `by` of schema, agreement(3), agreement(3 of FIELD), probability or check(FUNCTION)"
        )
    if found["k"] is not None:
        k = int(found["k"])
        if not 2 <= k <= MAX_SAMPLES:
            raise ValueError(f"must have an agreement of 2 to {MAX_SAMPLES} answers, got {k}")
        return Measure("agreement", k, found["field"] or "")
    if found["check"]:
        return Measure("check", name=found["check"])
    if found["stated"]:
        return Measure("stated", field=found["stated"])
    return Measure(found["how"])


# ------------------------------------------------------------------ the key
def check_route(value: object) -> Route:
    """Return the route as it is stored: "auto", or a mapping with its keys in a fixed order and without defaults.

    Raises
    ------
    ValueError
        It is not a route; the message names the wrong part.
    """
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _from_text(value)
    if value is None or value == AUTO:
        return None if value is None else AUTO
    if not isinstance(value, dict):
        raise ValueError(f"must be {_FORMS}")  # noqa: TRY004  (pydantic gathers ValueErrors)
    how = _how(value)
    made: dict[str, object] = {how: _CHECKS[how](value[how])}
    for key in OPTIONS[how]:
        if key in value:
            made[key] = _OPTION_CHECKS[key](value[key])
    _check_whole(how, made)
    return made


def _from_text(text: str) -> object:
    """Read a mapping that was written on the magic line, in the form of the front matter."""
    from orch_nb.schema.yaml import load_yaml

    try:
        return load_yaml(f"route: {text.strip()}")["route"]
    except CellError as error:
        raise ValueError(f"cannot be read: {str(error).partition(chr(10))[0]}") from None


def _how(value: Mapping[str, object]) -> str:
    """Return the way that a route's keys name."""
    ways = [key for key in value if key in OPTIONS]
    if len(ways) > 1:
        raise ValueError(f"must have one way to choose, got `{ways[0]}` and `{ways[1]}`; keep one")
    if not ways:
        near = nearest(str(next(iter(value), "")), OPTIONS)
        raise ValueError(f"must be {_FORMS}" + (f"; did you mean `{near}`?" if near else ""))
    for key in value:
        if key != ways[0] and key not in OPTIONS[ways[0]]:
            near = nearest(str(key), OPTIONS[ways[0]])
            known = f"did you mean `{near}`?" if near else f"`{ways[0]}` takes {', '.join(OPTIONS[ways[0]])}"
            raise ValueError(f"has an unknown key `{key}` for `{ways[0]}`; {known}")
    return ways[0]


def _check_whole(how: str, made: Mapping[str, Any]) -> None:
    """Check that the parts of a route fit together."""
    if how in ("rules", "keywords") and "else" not in made:
        raise ValueError("needs `else: MODEL`: the model that answers if no condition is true")
    if how == "similar" and made.get("above") and "else" not in made:
        raise ValueError("has `above`, and so needs `else: MODEL` for a text that is not similar to any other")
    if how == "judge" and "models" not in made:
        raise ValueError("needs `models: [small, big]`: the models from which the judge chooses")
    if "confidence" in made and made.get("by", "schema") == "schema":
        raise ValueError(
            f"has the confidence {made['confidence']:g}, but does not measure a confidence; "
            "add `by: agreement(3)` or `by: probability`, or remove `confidence`"
        )
    baseline = made.get("baseline")
    if baseline is not None and baseline not in made["learned"]:
        raise ValueError(f"must have a baseline of {', '.join(made['learned'])}, got `{baseline}`")
    other = made.get("else")
    if how == "judge" and other is not None and other not in made["models"]:
        raise ValueError(f"must have an else of {', '.join(made['models'])}, got `{other}`")


def _model(value: object) -> str:
    word = value.strip() if isinstance(value, str) else ""
    if not word or len(word) > 200 or any(c.isspace() or not c.isprintable() for c in word):
        raise ValueError(f"must name a model, got {value!r:.40}")
    return word


def _models(value: object) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not 1 <= len(items) <= MAX_MODELS:
        raise ValueError(f"needs a list of 1 to {MAX_MODELS} models")
    return list(dict.fromkeys(_model(item) for item in items))


def _rules(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_RULES:
        raise ValueError(f"needs 1 to {MAX_RULES} rules: [{{when: CONDITION, model: NAME}}]")
    made = []
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict) or set(row) != {"when", "model"} or not isinstance(row["when"], str):
            raise ValueError(f"must have rules {{when: CONDITION, model: NAME}}; rule {number} is different")
        made.append({"when": " ".join(row["when"].split()), "model": _model(row["model"])})
    return made


def _texts_by_model(value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_MODELS:
        raise ValueError("needs a mapping of models to lists of texts")
    made = {}
    for name, texts in value.items():
        rows = [texts] if isinstance(texts, str) else texts
        if not isinstance(rows, list | tuple) or not rows or len(rows) > 1_000:
            raise ValueError(f"must give `{name}` a list of 1 to 1,000 texts")
        if not all(isinstance(text, str) and text.strip() and len(text) <= MAX_TEXT for text in rows):
            raise ValueError(f"must give `{name}` texts of 1 to {MAX_TEXT:,} characters")
        made[_model(name)] = [text.strip() for text in rows]
    return made


def share(value: object) -> float:
    """Return a number from 0 to 1.

    Raises
    ------
    ValueError
        It is anything else.
    """
    try:
        return round(float(read_amount(value, "a share", most=1, of="a number")), 6)
    except BadOption as error:
        raise ValueError(f"must have a number from 0 to 1, got {value!r:.40}") from error


def _minimum(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(f"must have a minimum that is a whole number from 1 to 1,000,000, got {value!r:.40}")
    return value


def _criteria(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise ValueError(f"must have criteria of 1 to {MAX_TEXT:,} characters")
    return value.strip()


def _by(value: object) -> str:
    found = measure(value)
    if found.how == "stated":
        raise ValueError(
            "cannot use a confidence that the model states; use agreement(3), probability or check(FUNCTION)"
        )
    return found.text


_CHECKS: dict[str, Callable[[object], object]] = {
    "rules": _rules, "keywords": _texts_by_model, "similar": _texts_by_model, "judge": _model, "cascade": _models,
    "learned": _models,
}  # fmt: skip
_OPTION_CHECKS: dict[str, Callable[[object], object]] = {
    "else": _model, "above": share, "models": _models, "criteria": _criteria, "confidence": share, "by": _by,
    "tradeoff": share, "minimum": _minimum, "baseline": _model,
}  # fmt: skip


# ------------------------------------------------------------------ for the plan
def candidates(route: Route, known: list[str]) -> list[str]:
    """Return the models that a route may choose, in the order in which it names them.

    Parameters
    ----------
    known
        For `auto`: the notebook's models.
    """
    if not isinstance(route, dict):  # "auto"
        return known
    how = _how(route)
    match how:
        case "rules":
            named = [row["model"] for row in route["rules"]]
        case "judge":
            named = list(route["models"])
        case _:
            named = list(route[how])
    other = route.get("else")
    return list(dict.fromkeys([*named, other] if other else named))


def complete(route: Route) -> dict[str, object]:
    """Return the route with all defaults, as a plan stores it. `how` names the way."""
    if not isinstance(route, dict):  # "auto"
        return {"how": AUTO, "confidence": CONFIDENCE, "by": "schema", "tradeoff": TRADEOFF, "minimum": MINIMUM}
    how = _how(route)
    made = {"how": how, **route}
    match how:
        case "similar":
            made.setdefault("above", 0.0)
        case "cascade":
            made = {"confidence": CONFIDENCE, "by": "schema", **made}
        case "learned":
            made = {"tradeoff": TRADEOFF, "minimum": MINIMUM, "baseline": route["learned"][-1], **made}
        case "judge":
            made = {"criteria": "", "else": route["models"][-1], **made}
    return made


def conditions(route: object) -> list[str]:
    """Return the conditions of a route by rules, in order. The agent reads the values that they read."""
    return [row["when"] for row in route["rules"]] if isinstance(route, dict) and "rules" in route else []


# ------------------------------------------------------------------ neighbours of the key
def check_second_opinion(value: object) -> dict[str, object] | None:
    """Check ``{model: big, below: 0.7, by: agreement(3)}`` and return it without defaults; None for none.

    Raises
    ------
    ValueError
        It is not a second opinion.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = {"model": value} if not value.strip().startswith("{") else _from_text(value)
    if not isinstance(value, dict):
        raise ValueError("must be a model, or {model: big, below: 0.7, by: agreement(3)}")  # noqa: TRY004
    for key in value:
        if key not in SECOND_OPINION:
            near = nearest(str(key), SECOND_OPINION)
            raise ValueError(
                f"has an unknown key `{key}`; " + (f"did you mean `{near}`?" if near else ", ".join(SECOND_OPINION))
            )
    if "model" not in value:
        raise ValueError("must be a model, or {model: big, below: 0.7, by: agreement(3)}")
    made: dict[str, object] = {"model": _model(value["model"])}
    if "below" in value:
        made["below"] = share(value["below"])
    if "by" in value:
        made["by"] = measure(value["by"]).text
    return made


def complete_second_opinion(value: Mapping[str, object]) -> dict[str, object]:
    """Return a second opinion with all defaults. The default measure is agreement, which works with every model."""
    return {"below": CONFIDENCE, "by": "agreement(3)", **value}


def check_sla(value: object) -> dict[str, float] | None:
    """Check ``{seconds: 5}`` and return it.

    Raises
    ------
    ValueError
        It is anything else.
    """
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(SLA):
        raise ValueError("must be {seconds: 5}")
    got = value["seconds"]
    try:
        seconds = round(float(read_amount(got, "the sla", most=86_400, of="a number of seconds")), 6)
    except BadOption:
        seconds = 0.0
    if not seconds:
        raise ValueError(f"must have a number of seconds above 0 and up to 86,400, got {got!r:.40}")
    return {"seconds": seconds}
