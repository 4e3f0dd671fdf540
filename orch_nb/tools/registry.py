"""Tools: Python functions that a model may call, with a checked interface and bounded results.

`tool` takes name, description and JSON Schema from the function itself, so a model's arguments are checked against the
interface that it was given. They are text from outside: they are validated before the function is called, and its result
is plain data of at most 1 MB.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, overload

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
from orch_nb.lang.tokens import refuse_constant
from orch_nb.schema.names import check_name
from orch_nb.schema.values import compact, plain
from orch_nb.tools.function import ATTRIBUTE, FunctionSpec, check_seconds, effect_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Executor

    from pydantic import BaseModel

    from orch_nb.schema.values import Json, JsonObject

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
        Its name for models; an identifier.
    description
        Its description for models; the docstring by default.
    parameters
        JSON Schema of its arguments: an object, no further keys.
    effects
        Effects outside the run. An agent that uses it must declare the same.
    timeout_s
        Seconds after which a call fails; None: no limit of its own.
    """

    function: Callable[..., object]
    name: str
    description: str
    parameters: JsonObject
    effects: tuple[str, ...] = ()
    timeout_s: float | None = None
    _model: type[BaseModel] | None = field(default=None, repr=False, compare=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """True for a coroutine function; others run in a thread."""
        return inspect.iscoroutinefunction(self.function)

    def fingerprint_parts(self) -> dict[str, object]:
        """Return the parts of its fingerprint, for a function that uses it as a global."""
        return {"name": self.name, "parameters": self.parameters, "function": self.function}

    def arguments(self, given: str | Mapping[str, object]) -> dict[str, object]:
        """Return the keyword arguments for the function, from a model's JSON text (or from data).

        Raises
        ------
        BadArguments
            The text is not a JSON object, is larger than 100 kB, or does not fit the parameters: every problem is named,
            so that the model can correct it.
        """
        data = _load(given, self.name)
        from pydantic import ValidationError

        cls = self._model or _arguments_model(self.function, self.name)
        try:
            model = cls.model_validate(data)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:5]]
            raise BadArguments(
                f"`{self.name}` was called with arguments that do not fit: {'; '.join(problems)}",
                hint=f"its parameters: {', '.join(_properties(self.parameters)) or 'none'}",
                tool=self.name,
                problems=tuple(problems),
            ) from None
        return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        effects = f"\n  effects   {', '.join(self.effects)}" if self.effects else ""
        takes = ", ".join(_properties(self.parameters)) or "nothing"
        return {"text/plain": f"tool {self.name}\n  does      {self.description}\n  takes     {takes}{effects}"}


def _properties(schema: JsonObject) -> JsonObject:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


_LATEST: dict[str, Tool] = {}
"""The latest tool of each name in this process, for agents that are made in Python outside a notebook."""


@overload
def tool(fn: Callable[..., object], /) -> Tool: ...


@overload
def tool(
    *, name: str = "", description: str = "", effects: str | Iterable[str] = (), timeout_s: float | None = None
) -> Callable[[Callable[..., object]], Tool]: ...


def tool(
    fn: Callable[..., object] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    effects: str | Iterable[str] = (),
    timeout_s: float | None = None,
) -> Tool | Callable[[Callable[..., object]], Tool]:
    """Make a `Tool` of a function whose parameters all have type hints. Works with and without parentheses.

    Parameters
    ----------
    name, description
        The function's name and its docstring by default.
    effects
        One or several names of its effects outside the run ("message", "payment", "network", …). When such a tool fails
        after it was entered, a person is asked if they happened; a tool that had no effect raises ``orch_nb.NotDone("why")``.
    timeout_s
        Seconds a call may take.

    Raises
    ------
    BadOption
        The description is missing, or a parameter cannot be given by name.
    BadType
        A parameter has no type hint, or one without a JSON Schema.
    """

    def make(function: Callable[..., object]) -> Tool:
        title = check_name(name or function.__name__, "name of a tool")
        text = description or inspect.getdoc(function) or ""
        if not text.strip():
            raise BadOption(
                f"The tool `{title}` has no description, so a model cannot tell what it is for.",
                hint="give the function a docstring",
            )
        model = _arguments_model(function, title)
        new = Tool(
            function,
            title,
            text.strip()[:MAX_DESCRIPTION],
            _schema_of(model),
            effect_names(effects),
            check_seconds(timeout_s, "timeout_s"),
            model,
        )
        if not hasattr(function, ATTRIBUTE):
            setattr(function, ATTRIBUTE, _node_spec(new))
        _LATEST[title] = new
        return new

    return make if fn is None else make(fn)


def _node_spec(of: Tool) -> FunctionSpec:
    """Return the spec of a tool as a node of a graph."""
    given = of.parameters.get("required")
    required = tuple(str(name) for name in given) if isinstance(given, list) else ()
    optional = tuple(name for name in _properties(of.parameters) if name not in required)
    first = of.description.split("\n", 1)[0]
    return FunctionSpec(
        of.name, required, optional, of.effects, timeout_s=of.timeout_s, is_async=of.is_async, describe=first
    )


def _arguments_model(fn: Callable[..., object], name: str) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model
    from pydantic.errors import PydanticUserError

    fields: dict[str, Any] = {}
    hints = _hints(fn, name)
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise BadOption(
                f"The tool `{name}` takes `{parameter}`, which a model cannot give by name.",
                hint="name every parameter",
            )
        if parameter.name not in hints:
            raise BadType(
                f"The parameter `{parameter.name}` of the tool `{name}` has no type hint.",
                hint=f"e.g. `{parameter.name}: str`",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticUserError, TypeError, NameError) as error:
        raise BadType(
            f"The parameters of the tool `{name}` have no JSON Schema: {str(error).splitlines()[0]}",
            hint="use str, int, float, bool, lists, mappings or pydantic classes",
        ) from None


def _hints(fn: Callable[..., object], name: str) -> dict[str, object]:
    from typing import get_type_hints

    try:
        return get_type_hints(fn, include_extras=True)
    except NameError as error:
        raise BadType(f"A type hint of the tool `{name}` has an unknown name: {error}") from None


def _schema_of(model: type[BaseModel]) -> JsonObject:
    from pydantic.errors import PydanticUserError

    try:
        schema: JsonObject = model.model_json_schema()
    except PydanticUserError as error:
        raise BadType(f"`{model.__name__}` has no JSON Schema: {str(error).splitlines()[0]}") from None
    schema.pop("title", None)
    for part in _properties(schema).values():
        if isinstance(part, dict):
            part.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _load(given: str | Mapping[str, object], name: str) -> dict[str, object]:
    if not isinstance(given, str):
        return dict(given)
    says = f"`{name}` was called with arguments that must be"
    if len(given) > MAX_ARGUMENT_BYTES:
        raise BadArguments(
            f"{says} at most {MAX_ARGUMENT_BYTES:,} characters, got {len(given):,} characters.", tool=name
        )
    try:
        data = json.loads(given or "{}", parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadArguments(f"{says} JSON: {error}", hint="send one JSON object", tool=name) from None
    if not isinstance(data, dict):
        raise BadArguments(
            f"{says} a JSON object, got a {type(data).__name__}.", hint="send one JSON object", tool=name
        )
    return data


# ------------------------------------------------------------------ look-up
@dataclass(slots=True)
class ToolSet:
    """The tools of an agent, by name."""

    tools: dict[str, Tool] = field(default_factory=dict)

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> ToolSet:
        """Make a set of these tools.

        Raises
        ------
        BadOption
            Two different ones have the same name.
        """
        tools_by_name: dict[str, Tool] = {}
        for one in tools:
            if tools_by_name.setdefault(one.name, one) is not one:
                raise BadOption(
                    f"Two tools are called `{one.name}`.", hint="`@orch.tool(name=…)` gives one another name"
                )
        return cls(tools_by_name)

    def undeclared_effects(self, declared: Iterable[str]) -> list[tuple[str, str]]:
        """Return (tool, effect) of each effect that is not declared."""
        allowed = set(declared)
        return [(one.name, effect) for one in self.tools.values() for effect in one.effects if effect not in allowed]

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools.values())

    def __len__(self) -> int:
        return len(self.tools)


def find_tool(name: str, namespace: Mapping[str, object]) -> Tool:
    """Return the tool of this name: the namespace's, else the latest of this process.

    Raises
    ------
    UnknownTool
        The name is unknown (the nearest is given), or that of an ordinary function.
    """
    found = namespace.get(name)
    if isinstance(found, Tool):
        return found
    tools = {k: v for k, v in namespace.items() if isinstance(v, Tool)}
    by_own_name = next((v for v in tools.values() if v.name == name), None)
    if by_own_name is not None:
        return by_own_name
    if callable(found):
        says, hint = f"`{name}` is a function, not a tool.", f"write `@orch.tool` above `def {name}`"
        raise UnknownTool(says, hint=hint, tool=name)
    if name in _LATEST:
        return _LATEST[name]
    near = nearest(name, tools)
    hint = f"did you mean `{near}`?" if near else f"tools here: {', '.join(tools) or 'none; `@orch.tool` makes one'}"
    raise UnknownTool(f"The tool `{name}` does not exist.", hint=hint, tool=name)


# ------------------------------------------------------------------ running
MAX_RESULT_BYTES = 1_000_000
MAX_ERROR_CHARS = 500


async def run_tool(called: Tool, given: str | Mapping[str, object], pool: Executor | None = None) -> Json:
    """Call a tool and return its result, as plain data of at most 1 MB.

    Parameters
    ----------
    given
        The model's JSON text, or keyword arguments as data.
    pool
        The pool for a sync function, with the context copied; the loop's own by default.

    Raises
    ------
    BadArguments
        The arguments do not fit; the function is not called.
    ToolFailed
        It raised (`__cause__`), took longer than its `timeout_s`, or returned a value that is too large or not plain data.
    """
    arguments = called.arguments(given)
    task = running_task()
    try:
        async with asyncio.timeout(called.timeout_s) as deadline:
            if called.is_async:
                value = await cast("Awaitable[object]", called.function(**arguments))
            else:
                value = await _in_thread(called, arguments, pool)
    except TimeoutError as error:
        if not deadline.expired():
            raise failure_of(called, error) from error
        raise ToolFailed(
            f"`{called.name}` did not answer within its {called.timeout_s:g} s.", tool=called.name
        ) from error
    except BaseException as error:
        # BadArguments and UnknownTool mean that this tool was not entered; from inside it they are about another tool
        is_ours = isinstance(error, OrchError) and not isinstance(error, BadArguments | UnknownTool)
        if is_ours or ends_task(error, task):
            raise
        raise failure_of(called, raised(error)) from raised(error)
    return checked_result(called, value)


async def _in_thread(called: Tool, arguments: dict[str, object], pool: Executor | None) -> object:
    """Call a sync tool in a thread. A timeout or Stop abandons the thread; its later result is ignored."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(
        pool, lambda: context.run(contained, called.function, **arguments)
    )


def failure_of(called: Tool, error: BaseException) -> ToolFailed:
    """Return the typed form of an error of a tool; its text is cut at 500 characters."""
    text = str(error)
    shown = text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}…"
    return ToolFailed(f"`{called.name}` raised {type(error).__name__}: {shown}", tool=called.name)


def checked_result(called: Tool, value: object) -> Json:
    """Return a result as plain data, for a prompt and a log.

    Raises
    ------
    ToolFailed
        The result is not plain data, or larger than 1 MB as JSON.
    """
    if isinstance(value, str | bytes) and len(value) > MAX_RESULT_BYTES:
        raise _too_large(called, len(value))
    try:
        data: Json = plain(value, where=f"the result of `{called.name}`")
    except UnstorableValue as error:
        raise ToolFailed(
            f"`{called.name}` returned a value that cannot be used: {error}", hint=error.hint, tool=called.name
        ) from None
    size = len((data if isinstance(data, str) else compact(data)).encode())
    if size > MAX_RESULT_BYTES:
        raise _too_large(called, size)
    return data


def _too_large(called: Tool, size: int) -> ToolFailed:
    return ToolFailed(
        f"The result of `{called.name}` must have at most {MAX_RESULT_BYTES:,} bytes, got {size:,} bytes.",
        hint="return the part that matters",
        tool=called.name,
    )
