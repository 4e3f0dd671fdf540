"""One call of a tool: off the loop where it is sync, within its time, its result plain data of at most 1 MB."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from orch_nb.engine.user_code import contained, ends_task, raised, running_task
from orch_nb.errors import BadArguments, OrchError, ToolFailed, UnknownTool, UnstorableValue
from orch_nb.schema.values import compact, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from orch_nb.tools.registry import Tool

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
