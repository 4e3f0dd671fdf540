"""Tools: schema from hints, arguments checked, results bounded, only `@tool` objects found."""

from __future__ import annotations

import asyncio
import threading
from typing import Literal

import pytest
from pydantic import BaseModel

from orch_nb.errors import BadArguments, BadOption, BadType, ToolFailed, UnknownTool
from orch_nb.tools.function import function_spec
from orch_nb.tools.registry import MAX_RESULT_BYTES, Tool, ToolSet, find_tool, run_tool, tool


class Place(BaseModel):
    """Where."""

    city: str
    country: str = "DE"


@tool
def weather(place: Place, unit: Literal["C", "F"] = "C", days: int = 1) -> dict:
    """The weather at a place.

    Temperatures per day.
    """
    return {"city": place.city, "unit": unit, "days": days}


@tool(name="wait_for", effects="network", timeout_s=0.05)
async def wait_for(event_name: str) -> str:
    """Waits for something that never comes."""
    await asyncio.Event().wait()
    return event_name


def returning(value: object) -> Tool:
    """A tool that returns this value."""

    @tool(name="give", description="Gives.")
    def give() -> object:
        return value

    return give


def run(called: Tool, arguments: str = "{}", **options: object) -> object:
    """One call."""
    return asyncio.run(run_tool(called, arguments, **options))


def test_a_tool_is_described_by_its_function():
    """Name, description and parameters come from the function; it stays callable."""
    assert weather.name == "weather"
    assert weather.description.startswith("The weather at a place.")
    assert weather.parameters["required"] == ["place"]
    assert weather.parameters["additionalProperties"] is False
    assert weather.parameters["properties"]["unit"]["enum"] == ["C", "F"]
    assert weather(Place(city="Bonn"))["city"] == "Bonn"


def test_a_tool_can_be_a_node_of_a_graph():
    """As a function node it has the same reads, effects and time limit."""
    spec = function_spec(wait_for.function)
    assert (spec.reads, spec.effects, spec.timeout_s, spec.is_async) == (("event_name",), ("network",), 0.05, True)


def test_arguments_are_made_from_json():
    """Nested data becomes the hinted classes, defaults stay the function's own."""
    assert run(weather, '{"place": {"city": "Ulm"}, "days": 2}') == {"city": "Ulm", "unit": "C", "days": 2}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{", "must be JSON"),
        ("[]", "list"),
        ('{"place": {"city": "Ulm"}, "unit": "K"}', "unit"),
        ('{"place": {}}', "place.city"),
        ('{"place": {"city": "Ulm"}, "path": "/etc"}', "path"),
        ('{"days": NaN}', "NaN"),
        ("[" * 200_000, "200,000 characters"),
        ("[" * 50_000, "must be JSON"),
    ],
)
def test_bad_arguments_are_typed_and_named(given, says):
    """Whatever a model sends, the function is not called and every problem is named."""
    with pytest.raises(BadArguments, match=says):
        weather.arguments(given)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "`object`"),
        (float("nan"), "nan"),
        ({1: 2}, "key 1"),
        ("x" * (MAX_RESULT_BYTES + 1), "bytes"),
        (["é" * 100_000] * 6, "bytes"),
    ],
)
def test_results_that_cannot_be_used_are_typed(value, says):
    """An object, NaN, a number key or too much data is an error of the tool, not of the engine."""
    with pytest.raises(ToolFailed, match=says):
        run(returning(value))


def test_what_a_tool_raises_is_kept_as_the_cause():
    """The exception is named, its text is cut, and it is the cause."""

    @tool
    def bad() -> str:
        """Raises."""
        raise ValueError("x" * 5_000)

    with pytest.raises(ToolFailed, match="ValueError") as caught:
        run(bad)
    assert len(str(caught.value)) < 700
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_tool_that_hangs_is_ended_by_its_timeout():
    """A tool's own time limit makes a typed error; a TimeoutError it raises itself is not mistaken for it."""
    with pytest.raises(ToolFailed, match=r"0\.05 s"):
        run(wait_for, '{"event_name": "x"}')

    @tool(timeout_s=60)
    async def own() -> str:
        """Raises by itself."""
        raise TimeoutError("mine")

    with pytest.raises(ToolFailed, match="TimeoutError: mine"):
        run(own)


def test_sync_tools_run_off_the_loop():
    """A sync function does not block the loop's thread."""

    @tool
    def where() -> str:
        """The thread."""
        return threading.current_thread().name

    assert run(where) != threading.main_thread().name


def test_definitions_that_could_not_act_are_refused():
    """No description, no hint, no name: each is an error where the tool is defined."""
    with pytest.raises(BadOption, match="no description"):
        tool(name="x")(lambda: 1)

    def unhinted(a):
        """Does."""

    with pytest.raises(BadType, match="`a`"):
        tool(unhinted)

    def starred(*a: int):
        """Does."""

    with pytest.raises(BadOption, match="by name"):
        tool(starred)

    def odd(a: threading.Lock):  # type: ignore[valid-type]
        """Does."""

    with pytest.raises(BadType):
        tool(odd)


def test_only_tools_are_found_and_near_misses_are_named():
    """A namespace's plain functions are not tools; a misspelt name is answered with the nearest."""
    namespace = {"weather": weather, "helper": len}
    assert find_tool("weather", namespace) is weather
    with pytest.raises(UnknownTool) as caught:
        find_tool("weathr", namespace)
    assert "`weather`" in caught.value.hint
    with pytest.raises(UnknownTool, match="not a tool"):
        find_tool("helper", namespace)
    with pytest.raises(UnknownTool, match="does not exist"):
        find_tool("delete_аll", namespace)


def test_undeclared_effects_are_found():
    """Each effect of a tool that an agent does not declare is listed."""
    both = ToolSet.of([weather, wait_for])
    assert both.undeclared_effects([]) == [("wait_for", "network")]
    assert both.undeclared_effects(["network"]) == []
    assert len(both) == 2


def test_two_tools_of_one_name_are_refused():
    """A model could not tell them apart."""
    with pytest.raises(BadOption, match="Two tools"):
        ToolSet.of([returning(1), returning(2)])
