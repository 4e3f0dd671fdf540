"""Tools: Python functions that a model may ask for, with a checked interface and bounded results.

`tool` reads name, description and JSON Schema off the function itself, so that what a model is told is what is checked.
A model's arguments are text from outside: they are validated before the function sees them, and what it returns is
plain data of at most 1 MB.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from orch_nb.engine.user_code import contained, ends_task, raised, running_task
from orch_nb.errors import (
    BadArguments,
    BadOption,
    BadType,
    OrchError,
    ToolFailed,
    UnknownTool,
    UnstorableValue,
    nearest,
)
from orch_nb.schema.messages import ToolSpec
from orch_nb.schema.names import check_name
from orch_nb.schema.values import compact, plain
from orch_nb.tools.function import ATTRIBUTE, FunctionSpec, check_seconds, effect_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Executor

__all__ = ["Tool", "ToolSet", "find_tool", "run_tool", "tool"]

MAX_ARGUMENT_BYTES = 100_000
MAX_DESCRIPTION = 2_000


@dataclass(slots=True)
class Tool:
    """A function that agents may be given. Calling it calls the function.

    Parameters
    ----------
    function
        The function itself, sync or async.
    name
        What models call it; an identifier.
    description
        What models are told; the docstring unless told.
    parameters
        JSON Schema of its arguments: an object, no further keys.
    effects
        What it does to the world. An agent may only use it when the agent declares the same.
    timeout_s
        Seconds after which a call fails; None: no limit of its own.
    """

    function: Callable[..., Any]
    name: str
    description: str
    parameters: dict[str, Any]
    effects: tuple[str, ...] = ()
    timeout_s: float | None = None
    _model: Any = field(default=None, repr=False, compare=False)

    __orch_tool__ = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether it is a coroutine function; else it belongs in a thread."""
        return inspect.iscoroutinefunction(self.function)

    @property
    def interface(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.parameters)

    def fingerprint_parts(self) -> dict[str, Any]:
        """What its hash is taken of, where a function uses it as a global."""
        return {"name": self.name, "parameters": self.parameters, "function": self.function}

    def arguments(self, given: str | Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function, from a model's JSON text (or from data).

        Raises
        ------
        BadArguments
            No JSON object, larger than 100 kB, or not fitting the parameters: every problem is named, so that the
            model can do better.
        """
        data = _load(given, self.name)
        from pydantic import ValidationError

        try:
            model = self._model.model_validate(data)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:5]]
            raise self._bad(problems) from None
        return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}

    def _bad(self, problems: list[str]) -> BadArguments:
        known = ", ".join(self.parameters.get("properties", {})) or "none"
        return BadArguments(
            f"`{self.name}` was called with arguments that do not fit: {'; '.join(problems)}",
            hint=f"its parameters: {known}",
            tool=self.name,
            problems=tuple(problems),
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        effects = f"\n  effects   {', '.join(self.effects)}" if self.effects else ""
        takes = ", ".join(self.parameters.get("properties", {})) or "nothing"
        return {"text/plain": f"tool {self.name}\n  does      {self.description}\n  takes     {takes}{effects}"}


_MADE: dict[str, Tool] = {}
"""Every tool made in this process, the latest of each name: for agents made in Python, outside any notebook."""


@overload
def tool(fn: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *, name: str = "", description: str = "", effects: str | Iterable[str] = (), timeout_s: float | None = None
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    effects: str | Iterable[str] = (),
    timeout_s: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """A `Tool` of a function whose parameters all have type hints. Works with and without parentheses.

    Parameters
    ----------
    name, description
        The function's name and its docstring unless told.
    effects
        One name or several of what it does to the world ("message", "payment", "network", …). When such a tool fails after
        it was entered, a person is asked whether they happened; ``raise orch_nb.NotDone("why")`` says that they did not.
    timeout_s
        Seconds a call may take.

    Raises
    ------
    BadOption
        No description, or a parameter that cannot be given by name.
    BadType
        A parameter without a type hint, or with one that has no JSON Schema.
    """

    def make(function: Callable[..., Any]) -> Tool:
        title = check_name(name or function.__name__, "name of a tool")
        text = description or inspect.getdoc(function) or ""
        if not text.strip():
            raise BadOption(
                f"the tool `{title}` has no description: a model could not know what it is for.",
                hint="give the function a docstring",
            )
        model = _arguments_model(function, title)
        acts = effect_names(effects)
        made = Tool(
            function,
            title,
            text.strip()[:MAX_DESCRIPTION],
            _schema_of(model),
            acts,
            check_seconds(timeout_s, "timeout_s"),
            model,
        )
        if not hasattr(function, ATTRIBUTE):
            setattr(function, ATTRIBUTE, _node_spec(made))
        _MADE[title] = made
        return made

    return make if fn is None else make(fn)


def _node_spec(made: Tool) -> FunctionSpec:
    """The same tool as a node of a graph."""
    required = tuple(made.parameters.get("required", ()))
    optional = tuple(p for p in made.parameters.get("properties", {}) if p not in required)
    first = made.description.split("\n", 1)[0]
    return FunctionSpec(
        made.name, required, optional, made.effects, timeout_s=made.timeout_s, is_async=made.is_async, describe=first
    )


def _arguments_model(fn: Callable[..., Any], name: str) -> Any:
    from pydantic import ConfigDict, create_model
    from pydantic.errors import PydanticUserError

    fields: dict[str, Any] = {}
    hints = _hints(fn, name)
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise BadOption(
                f"the tool `{name}` takes `{parameter}`, which a model cannot give by name.",
                hint="name every parameter",
            )
        if parameter.name not in hints:
            raise BadType(
                f"the parameter `{parameter.name}` of the tool `{name}` has no type hint.",
                hint=f"e.g. `{parameter.name}: str`",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticUserError, TypeError, NameError) as error:
        raise BadType(
            f"the parameters of the tool `{name}` have no JSON Schema: {str(error).splitlines()[0]}",
            hint="use str, int, float, bool, lists, mappings or pydantic classes",
        ) from None


def _hints(fn: Callable[..., Any], name: str) -> dict[str, Any]:
    from typing import get_type_hints

    try:
        return get_type_hints(fn, include_extras=True)
    except NameError as error:
        raise BadType(f"a type hint of the tool `{name}` refers to something that is not there: {error}") from None


def _schema_of(model: Any) -> dict[str, Any]:
    from pydantic.errors import PydanticUserError

    try:
        schema: dict[str, Any] = model.model_json_schema()
    except PydanticUserError as error:
        raise BadType(f"`{model.__name__}` has no JSON Schema: {str(error).splitlines()[0]}") from None
    schema.pop("title", None)
    for part in schema.get("properties", {}).values():
        part.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _load(given: str | Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given)
    if len(given) > MAX_ARGUMENT_BYTES:
        raise BadArguments(
            f"`{name}` was called with {len(given):,} characters of arguments; {MAX_ARGUMENT_BYTES:,} is the most.",
            tool=name,
        )
    try:
        data = json.loads(given or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadArguments(
            f"`{name}` was called with arguments that are no JSON: {error}", hint="send one JSON object", tool=name
        ) from None
    if not isinstance(data, dict):
        raise BadArguments(
            f"`{name}` was called with a {type(data).__name__} for arguments.", hint="send one JSON object", tool=name
        )
    return data


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


# ------------------------------------------------------------------ looking them up
@dataclass(slots=True)
class ToolSet:
    """Tools by name: what one notebook has, or what one agent is allowed.

    Examples
    --------
    >>> @tool
    ... def double(n: int) -> int:
    ...     "Twice n."
    ...     return 2 * n
    >>> ToolSet.of([double]).named("double")(4)
    8
    """

    tools: dict[str, Tool] = field(default_factory=dict)

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> ToolSet:
        """A set of these tools.

        Raises
        ------
        BadOption
            Two different ones have the same name.
        """
        found: dict[str, Tool] = {}
        for one in tools:
            if found.setdefault(one.name, one) is not one:
                raise BadOption(
                    f"two tools are called `{one.name}`.", hint="`@orch.tool(name=…)` gives one another name"
                )
        return cls(found)

    @classmethod
    def in_namespace(cls, names: Iterable[str], namespace: Mapping[str, Any]) -> ToolSet:
        """The tools of these names in a namespace: `@tool` objects and nothing else.

        Raises
        ------
        UnknownTool
            There is none of a name (the nearest is given), or it is an ordinary function.
        """
        return cls.of([_from_namespace(name, namespace) for name in names])

    def named(self, name: str) -> Tool:
        """The tool of this name.

        Raises
        ------
        UnknownTool
            None in this set, whatever the model wrote.
        """
        got = self.tools.get(name)
        if got is None:
            raise UnknownTool(
                f"`{name:.80}` is no tool of this agent.",
                hint=f"it may use: {', '.join(self.tools) or 'none'}",
                tool=name[:80],
            )
        return got

    def interfaces(self) -> tuple[ToolSpec, ...]:
        """The tools as a model sees them, in order."""
        return tuple(one.interface for one in self.tools.values())

    def undeclared_effects(self, declared: Iterable[str]) -> list[tuple[str, str]]:
        """(tool, effect) of each effect that is not among the declared ones."""
        allowed = set(declared)
        return [(one.name, effect) for one in self.tools.values() for effect in one.effects if effect not in allowed]

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools.values())

    def __len__(self) -> int:
        return len(self.tools)


def find_tool(name: str, namespace: Mapping[str, Any]) -> Tool:
    """The tool of this name: the namespace's, else the latest that was made in this process.

    Raises
    ------
    UnknownTool
        There is none; the nearest name is given.
    """
    try:
        return _from_namespace(name, namespace)
    except UnknownTool:
        if name in _MADE and not callable(namespace.get(name)):
            return _MADE[name]
        raise


def _from_namespace(name: str, namespace: Mapping[str, Any]) -> Tool:
    got = namespace.get(name)
    if isinstance(got, Tool):
        return got
    known = {k: v for k, v in namespace.items() if isinstance(v, Tool)}
    by_own_name = next((v for v in known.values() if v.name == name), None)
    if by_own_name is not None:
        return by_own_name
    if callable(got):
        raise UnknownTool(
            f"`{name}` is a function, but no tool.", hint=f"write `@orch.tool` above `def {name}`", tool=name
        )
    near = nearest(name, known)
    hint = f"did you mean `{near}`?" if near else f"tools here: {', '.join(known) or 'none; `@orch.tool` makes one'}"
    raise UnknownTool(f"no tool is called `{name}`.", hint=hint, tool=name)


# ------------------------------------------------------------------ running
# One call of a tool: off the loop where it is sync, within its time, its result plain data of at most 1 MB.

MAX_RESULT_BYTES = 1_000_000
MAX_ERROR_CHARS = 500


async def run_tool(called: Tool, given: str | Mapping[str, Any], pool: Executor | None = None) -> Any:
    """What the tool returned, as plain data of at most 1 MB.

    Parameters
    ----------
    given
        The model's JSON text, or keyword arguments as data.
    pool
        Where a sync function runs, with the context copied; the loop's own pool unless told.

    Raises
    ------
    BadArguments
        The arguments do not fit; the function was not called.
    ToolFailed
        It raised (`__cause__`), took longer than its `timeout_s`, or returned what is no plain data or too large.
    """
    arguments = called.arguments(given)
    task = running_task()
    try:
        async with asyncio.timeout(called.timeout_s) as deadline:
            if called.is_async:
                value = await called.function(**arguments)
            else:
                value = await _in_thread(called, arguments, pool)
    except TimeoutError as error:
        if not deadline.expired():
            raise failure_of(called, error) from error
        raise ToolFailed(
            f"`{called.name}` did not answer within its {called.timeout_s:g} s.", tool=called.name
        ) from error
    except BaseException as error:
        # these two say that this tool was not entered: from inside it they are about another
        is_ours = isinstance(error, OrchError) and not isinstance(error, BadArguments | UnknownTool)
        if is_ours or ends_task(error, task):
            raise
        raise failure_of(called, raised(error)) from raised(error)
    return checked_result(called, value)


async def _in_thread(called: Tool, arguments: dict[str, Any], pool: Executor | None) -> Any:
    """A timeout or Stop abandons the thread; what it returns later is ignored."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(
        pool, lambda: context.run(contained, called.function, **arguments)
    )


def failure_of(called: Tool, error: BaseException) -> ToolFailed:
    """The typed form of what a tool raised; its text is cut at 500 characters."""
    text = str(error)
    shown = text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}…"
    return ToolFailed(f"`{called.name}` raised {type(error).__name__}: {shown}", tool=called.name)


def checked_result(called: Tool, value: Any) -> Any:
    """The result as plain data that can go into a prompt and a log.

    Raises
    ------
    ToolFailed
        It is no plain data, or larger than 1 MB as JSON.
    """
    if isinstance(value, str | bytes) and len(value) > MAX_RESULT_BYTES:
        raise _too_large(called, len(value))
    try:
        got = plain(value, where=f"the result of `{called.name}`")
    except UnstorableValue as error:
        raise ToolFailed(
            f"`{called.name}` returned something that cannot be used: {error}", hint=error.hint, tool=called.name
        ) from None
    if isinstance(got, str):
        size = len(got.encode())
    else:
        size = len(compact(got).encode())
    if size > MAX_RESULT_BYTES:
        raise _too_large(called, size)
    return got


def _too_large(called: Tool, size: int) -> ToolFailed:
    return ToolFailed(
        f"`{called.name}` returned {size:,} bytes; {MAX_RESULT_BYTES:,} is the most.",
        hint="return the part that matters",
        tool=called.name,
    )
