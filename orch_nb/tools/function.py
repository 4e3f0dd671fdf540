"""Function nodes: ordinary Python functions that a graph runs, with their options.

The parameters are the declared reads, by name; a parameter with a default may be absent. The function itself stays an
ordinary callable: `node` only attaches a `FunctionSpec`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack, overload

from orch_nb.errors import BadName, BadOption, BadType
from orch_nb.schema.names import check_name
from orch_nb.schema.reducers import reducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

F = TypeVar("F", bound="Callable[..., object]")
ATTRIBUTE = "__orch_node__"
MAX_TIMEOUT_S = 86_400.0
MAX_ATTEMPTS = 10
ON_FAILURE = ("fail", "skip", "else")


@dataclass(slots=True, frozen=True)
class FunctionSpec:
    """The interface and the options of a function node.

    Parameters
    ----------
    reads
        Names of required parameters, in the order of the signature.
    optional
        Names of parameters with a default: left out of the call when their read is absent.
    effects
        Effects outside the run ("message", "payment", "file", …). They are recorded before they happen, have an idempotency
        key, and are never reused or replayed.
    writes
        State key -> name of its reducer, in addition to the node's own result. The function then returns a mapping.
    timeout_s
        Seconds after which the activation fails; None: no limit of its own.
    attempts
        Tries at a transient failure, the first one included.
    inline
        Run on the loop instead of a thread: for functions that take microseconds, because they block all other nodes.
    is_async
        True for a coroutine function.
    describe
        First line of its docstring.
    on_failure
        "fail" ends the run (default), "skip" continues without it, "else" leaves by its else-arrow.
    examples
        Example inputs of it, for `by similarity`.
    """

    name: str
    reads: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    writes: dict[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    attempts: int = 3
    inline: bool = False
    is_async: bool = False
    describe: str = ""
    on_failure: str = "fail"
    examples: tuple[str, ...] = ()


@overload
def node(fn: F, /) -> F: ...
@overload
def node(
    *,
    effects: str | Iterable[str] = (),
    writes: Mapping[str, str] | Iterable[str] = (),
    timeout_s: float | None = None,
    retry: int = 3,
    inline: bool = False,
    describe: str = "",
    on_failure: str = "fail",
    examples: Iterable[str] = (),
) -> Callable[[F], F]: ...
def node(
    fn: F | None = None,
    /,
    *,
    effects: str | Iterable[str] = (),
    writes: Mapping[str, str] | Iterable[str] = (),
    timeout_s: float | None = None,
    retry: int = 3,
    inline: bool = False,
    describe: str = "",
    on_failure: str = "fail",
    examples: Iterable[str] = (),
) -> F | Callable[[F], F]:
    """Declare the effects, writes and limits of a function for graphs, and return it. Works with and without parentheses.

    Parameters
    ----------
    effects
        One or several names of its effects outside the run; a function without effects may be repeated and reused freely.
        A function with effects that raises, takes too long, or returns a value that cannot be stored leaves them *in doubt*:
        a person is asked if they happened, or the run halts; they are never repeated without an answer. A function that had
        no effect raises ``orch_nb.NotDone("why")``, which is an ordinary failure.
    writes
        State keys that it writes besides its own result: key -> reducer's name, or names alone (reducer "last").
    timeout_s
        Seconds; None for no limit of its own.
    retry
        Tries at a transient failure, 1 to 10; 3 by default, as everywhere.
    inline
        True runs a sync function on the loop: only for functions that take microseconds.
    on_failure
        Effect of its final failure: "fail" ends the run, "skip" continues without it (joins take the other values), "else"
        leaves by its else-arrow.
    examples
        Example inputs of it, for `by similarity`; its description is `describe` or its docstring's first line.

    Raises
    ------
    BadOption, BadType, BadName
        A value is invalid, or a parameter has no name to read.
    """

    def attach(function: F) -> F:
        spec = _spec_of(
            function,
            effects=effect_names(effects),
            writes=reducer_names(writes),
            timeout_s=check_seconds(timeout_s, "timeout_s"),
            attempts=check_attempts(retry),
            inline=inline,
            on_failure=check_on_failure(on_failure),
            describe=describe,
            examples=tuple(examples),
        )
        try:
            setattr(function, ATTRIBUTE, spec)
        except AttributeError:
            raise BadOption(
                f"`{spec.name}` is a {type(function).__name__}, which cannot carry node options.",
                hint="wrap it: `@orch.node(...)` above a `def` that calls it",
            ) from None
        return function

    return attach if fn is None else attach(fn)


def function_spec(fn: Callable[..., object]) -> FunctionSpec:
    """Return the spec that `node` attached, or that of a plain function: its parameters are its reads."""
    got = getattr(fn, ATTRIBUTE, None)
    return got if isinstance(got, FunctionSpec) else _spec_of(fn)


class _Options(TypedDict, total=False):
    """Fields of a `FunctionSpec` that do not come from the function."""

    effects: tuple[str, ...]
    writes: dict[str, str]
    timeout_s: float | None
    attempts: int
    inline: bool
    on_failure: str
    examples: tuple[str, ...]


def _spec_of(fn: Callable[..., object], describe: str = "", **options: Unpack[_Options]) -> FunctionSpec:
    name = getattr(fn, "__name__", type(fn).__name__)
    reads, optional = _parameters(fn, name)
    call = fn if inspect.isroutine(fn) else type(fn).__call__
    is_async = inspect.iscoroutinefunction(inspect.unwrap(call)) or inspect.iscoroutinefunction(call)
    return FunctionSpec(name, reads, optional, is_async=is_async, describe=describe or first_line(fn), **options)


def _parameters(fn: Callable[..., object], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    reads: list[str] = []
    optional: list[str] = []
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        raise BadOption(
            f"`{name}` has no signature, so its reads are unknown.",
            hint=f"wrap it: `def my_{name}(text): return {name}(text)`",
        ) from None
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise BadName(
                f"`{name}` takes `{parameter}`, which has no name to read.",
                hint="give every parameter a name: reads are bound by name",
            )
        check_name(parameter.name, f"parameter of `{name}`")
        (reads if parameter.default is parameter.empty else optional).append(parameter.name)
    return tuple(reads), tuple(optional)


def first_line(thing: object) -> str:
    """Return the first line of a docstring, "" without one."""
    doc = inspect.getdoc(thing) if getattr(thing, "__doc__", None) else None
    return doc.strip().split("\n", 1)[0] if doc and doc.strip() else ""


def effect_names(effects: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of effects without repeats.

    Raises
    ------
    BadName
        A name is not an identifier.
    """
    words = [effects] if isinstance(effects, str) else list(effects)
    out = [word.strip() for part in words for word in str(part).split(",") if word.strip()]
    return tuple(dict.fromkeys(check_name(word, "effect") for word in out))


def reducer_names(writes: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return state key -> reducer's name, checked; a key alone gets "last".

    Raises
    ------
    BadName, BadType
        A key is not an identifier, or a reducer does not exist.
    """
    if isinstance(writes, Mapping):
        pairs = dict(writes)
    else:
        pairs = dict.fromkeys([writes] if isinstance(writes, str) else writes, "last")
    for key, name in pairs.items():
        check_name(key, "state key")
        if not isinstance(name, str):
            raise BadType(f"The reducer of `{key}` in `writes` must be a name, got {name!r:.40}.", hint="e.g. `append`")
        reducer(name)
    return pairs


def check_seconds(value: float | None, key: str) -> float | None:
    """Return seconds above 0 and at most a day, or None.

    Raises
    ------
    BadOption
        The value is NaN, infinity, 0, a negative number, a truth value or text.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadOption(f"`{key}` must be a number of seconds, got {value!r:.40}.", hint=f"e.g. `{key}=30`")
    if not 0 < value <= MAX_TIMEOUT_S:
        raise BadOption(f"`{key}` must be above 0 and at most {MAX_TIMEOUT_S:.0f} seconds, got {value}.")
    return float(value)


def check_on_failure(value: str) -> str:
    """Return `value` if it is one of fail, skip, else.

    Raises
    ------
    BadOption
        The value is another one.
    """
    if value not in ON_FAILURE:
        raise BadOption(f"`on_failure` must be one of {', '.join(ON_FAILURE)}, got {value!r:.40}.")
    return value


def check_attempts(value: int) -> int:
    """Return a count of tries from 1 to 10.

    Raises
    ------
    BadOption
        The value is another one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ATTEMPTS:
        raise BadOption(
            f"`retry` must be a whole number of tries from 1 to {MAX_ATTEMPTS}, got {value!r:.40}.",
            hint="`retry=1` tries once",
        )
    return value
