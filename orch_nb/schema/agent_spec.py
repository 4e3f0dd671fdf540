"""An agent's definition as data: the keys that a cell, a file and Python share, all checked in the same way.

Numbers are read strictly: ``1e3``, ``nan``, ``-1`` and ``true`` are refused, and the error has the key, the value and its line.
"""

from __future__ import annotations

import re
from decimal import Decimal  # noqa: TC003  (pydantic reads the annotation)
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from orch_nb.errors import BadOption
from orch_nb.schema.amount import DOLLARS, read_amount
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.names import check_name
from orch_nb.schema.reducers import reducer
from orch_nb.schema.route_spec import Route, check_route, check_second_opinion, check_sla

MAX_BUDGET_USD = 1_000_000
MAX_TOKENS = 1_000_000
MAX_TIMEOUT_S = 86_400
MAX_ATTEMPTS = 10
MAX_SEED = 2**63 - 1
MAX_LIST = 256
MAX_PROMPT = 64 * 1024

WORDS = ("tools", "effects", "fallback")
"""Keys whose value is a list of names."""


# ------------------------------------------------------------------ single values
# All errors are ValueError, also for wrong types, because pydantic collects these, with the key.
def _word(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a name")
    word = value.strip()
    if len(word) > 200 or any(c.isspace() or not c.isprintable() for c in word):
        raise ValueError("must be one word")
    return word


def word_list(value: object) -> tuple[str, ...]:
    """Return the names in ``[a, b]`` or ``"a, b"``, without repeats."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or len(items) > MAX_LIST:
        raise ValueError("must be a name or a list of names")
    return tuple(dict.fromkeys(_word(item) for item in items))


def _decimal(value: object, *, least: int = 0, most: int, unit: str = "", is_whole: bool = False) -> Decimal:
    """Return a finite number within bounds. Text must be plain digits with at most one point."""
    of = (
        DOLLARS
        if unit == DOLLARS
        else f"a number{f' of {unit}' if unit else ''} from {least} to {most:,}, in plain digits"
    )
    try:
        return read_amount(value, "it", least=least, most=most, of=of, is_whole=is_whole)
    except BadOption as error:
        raise ValueError(str(error.args[0]).removeprefix("it ").rpartition(", got ")[0]) from error


def _budget(value: object) -> Decimal | Budget:
    """Return a `Budget`, or its dollars if it has nothing else."""
    try:
        made = parse_budget(value)
    except BadOption as error:
        raise ValueError(f"cannot be read: {str(error).splitlines()[0].rstrip('.')}") from error
    return made.usd if made.usd is not None and made.beside_usd() is None else made


def _round(amount: Decimal) -> float:
    """Round to six decimal places: more are not significant here, and could not be written without an exponent."""
    return float(round(amount, 6))


def _whole(value: object, *, least: int, most: int) -> int:
    is_text = isinstance(value, str)  # then the hint shows whole numbers only
    got = _decimal(value, least=least, most=most, is_whole=is_text)
    if isinstance(value, float) or got != got.to_integral_value() or "." in str(value):
        raise ValueError(f"must be a whole number from {least} to {most:,}")
    return int(got)


def reducer_pairs(value: object) -> dict[str, str]:
    """Return the mapping in ``{findings: append}``, ``"findings=append, seen"`` or a list of such texts.

    A key without a reducer gets "last".
    """
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        rows = [str(item).partition("=") for item in value]
        value = {key.strip(): (name.strip() or "last") for key, _, name in rows}
    if not isinstance(value, dict):
        raise ValueError("must map state keys to reducers")  # noqa: TRY004
    for key, name in value.items():
        check_name(key, "state key")
        if not isinstance(name, str):
            raise ValueError(f"must map `{key}` to the name of a reducer")  # noqa: TRY004
        reducer(name)
    return value


def _prompt(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is empty: write the agent's task below the line")
    if len(value) > MAX_PROMPT:
        raise ValueError(f"must have at most {MAX_PROMPT:,} characters, got {len(value):,}")
    return value.strip("\n").rstrip()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004
    return value.strip()


def _examples(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or len(items) > MAX_LIST:
        raise ValueError(f"must be a text or a list of at most {MAX_LIST} texts")
    if not all(isinstance(item, str) and item.strip() for item in items):
        raise ValueError("must hold texts only")
    return tuple(item.strip() for item in items)


def _limits(value: object) -> Decimal | Budget | None:
    if value is None or isinstance(value, Budget):
        return value
    if hasattr(value, "items") or (isinstance(value, str) and re.search(r"[\s,=]", value.strip())):
        return _budget(value)
    return _decimal(value, most=MAX_BUDGET_USD, unit=DOLLARS)


def _seed(value: object) -> int | None:
    return None if value is None else _whole(value, least=0, most=MAX_SEED)


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    got = _round(_decimal(value, most=MAX_TIMEOUT_S, unit="seconds"))
    if got == 0:
        raise ValueError("must be above 0 seconds")
    return got


def _duration(value: object) -> str | None:
    if value is not None:
        duration_s(value)
    return value.strip() if isinstance(value, str) else None


_Text = Annotated[str, BeforeValidator(_text)]
_Names = Annotated[tuple[str, ...], BeforeValidator(word_list)]


class AgentSpec(BaseModel):
    """One agent, checked.

    Parameters
    ----------
    name
        An identifier: the name of the object that the cell defines.
    prompt
        The user message, with its declared reads.
    model
        The notebook's name of a model.
    route
        A way to choose the model, instead of `model` (see `schema.route_spec`). None: `model` answers.
    role, goal, backstory
        A job description, which becomes the system prompt.
    out
        The answer's type: the small type language, a JSON Schema, or the name of a pydantic class. None: text.
    enforce
        How the form of the answer is enforced, beside the validation here: "provider" (the provider's JSON mode),
        "constrained" (the local runtime's constrained decoding), "validate" (only by the prompt).
    tools, effects
        Names of the tools that it may call, and of the effects that they may have outside the run.
    budget
        Limit of all activations of the node in one run: US dollars, or a `Budget` in its grammar (``{usd: 0.01, calls: 5}``).
        None: only the run's budget applies.
    max_tokens
        Largest number of tokens of one answer, a part of every reservation. The default, 1024, is a page of text.
    temperature
        0 to 2. The default, 0, gives equal answers to equal inputs, so that results can be reused and compared.
    seed
        Seed for providers that take one.
    timeout
        Seconds for one activation with all its calls. None: only each call has a deadline.
    retry
        Number of attempts at a transient failure, including the first one, 1 to 10.
    fallback
        Models to ask, in order, when the model before failed permanently.
    second_opinion
        ``{model: big, below: 0.7, by: agreement(3)}``: if the confidence of the answer is below `below`, this model answers,
        too, and both answers are compared. It is independent of a review by a person and of its threshold.
    sla
        ``{seconds: 5}``: a route omits models whose recent calls had a longer median latency.
    cache
        How long the answer of an earlier run to an equal request is reused, for $0: ``30m``, ``12h``, ``1d``. None: never.
        Not with `effects`, which would be repeated unseen.
    writes
        State key -> reducer, beside the agent's own result.
    on_failure
        "fail" (the run ends), "skip" (the run continues without this node), "else" (the failure follows the else-arrow).
    describe, examples
        The texts with which a switch by similarity compares its input.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(lambda name: check_name(name, "name of an agent"))]
    prompt: Annotated[str, BeforeValidator(_prompt)]
    model: Annotated[str, BeforeValidator(_word)] = "small"
    route: Annotated[Route, BeforeValidator(check_route)] = None
    role: _Text = ""
    goal: _Text = ""
    backstory: _Text = ""
    out: Annotated[object, BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value)] = None
    enforce: Literal["provider", "constrained", "validate"] = "provider"
    tools: _Names = ()
    effects: Annotated[_Names, AfterValidator(lambda names: tuple(check_name(name, "effect") for name in names))] = ()
    budget: Annotated[Decimal | Budget | None, BeforeValidator(_limits)] = None
    max_tokens: Annotated[int, BeforeValidator(lambda value: _whole(value, least=1, most=MAX_TOKENS))] = 1024
    temperature: Annotated[float, BeforeValidator(lambda value: _round(_decimal(value, most=2)))] = 0.0
    seed: Annotated[int | None, BeforeValidator(_seed)] = None
    timeout: Annotated[float | None, BeforeValidator(_timeout)] = None
    retry: Annotated[int, BeforeValidator(lambda value: _whole(value, least=1, most=MAX_ATTEMPTS))] = 3
    fallback: _Names = ()
    second_opinion: Annotated[dict[str, Any] | None, BeforeValidator(check_second_opinion)] = None
    sla: Annotated[dict[str, float] | None, BeforeValidator(check_sla)] = None
    cache: Annotated[str | None, BeforeValidator(_duration)] = None
    writes: Annotated[dict[str, str], BeforeValidator(reducer_pairs)] = {}
    on_failure: Literal["fail", "skip", "else"] = "fail"
    describe: _Text = ""
    examples: Annotated[tuple[str, ...], BeforeValidator(_examples)] = ()


KEYS = tuple(key for key in AgentSpec.model_fields if key not in ("name", "prompt"))
"""The keys of an agent's cell, in the order in which they are shown."""


# ------------------------------------------------------------------ durations
# Durations are written as ``90s``, ``30m``, ``12h``, ``1d``, ``2w``.

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
MAX_S = 3_660 * UNITS["d"]
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhdw])")


def duration_s(text: object) -> float:
    """Return the seconds of a duration: a number and one of s, m, h, d, w.

    Raises
    ------
    ValueError
        It is not a duration, is 0, or is longer than ten years.

    Examples
    --------
    >>> duration_s("90s"), duration_s("1.5h"), duration_s("1d")
    (90.0, 5400.0, 86400.0)
    """
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a duration such as 30m, 12h, 1d or 2w")
    seconds = float(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= MAX_S:
        raise ValueError("must be above 0 and at most ten years")
    return seconds
