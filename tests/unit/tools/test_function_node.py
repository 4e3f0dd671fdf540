"""Function nodes: what `@node` attaches, and what it refuses."""

from __future__ import annotations

import math

import pytest

from orch_nb.errors import BadName, BadOption, BadType
from orch_nb.tools.function import FunctionSpec, function_spec, node


def test_parameters_are_reads_and_defaults_are_optional():
    """A plain function reads its parameters by name; one with a default may be absent."""

    def work(ticket, policy="none"):
        """Answers.

        More.
        """

    assert function_spec(work) == FunctionSpec("work", ("ticket",), ("policy",), describe="Answers.")


def test_node_keeps_the_function_and_its_options():
    """The decorated function is still the function; its options are read back."""

    @node(
        effects="message, payment",
        writes={"log": "append"},
        timeout_s=5,
        retry=1,
        inline=True,
        on_failure="skip",
        examples=["x"],
    )
    def send(text):
        return text

    spec = function_spec(send)
    assert send("hi") == "hi"
    assert (spec.effects, spec.writes, spec.timeout_s, spec.attempts) == (
        ("message", "payment"),
        {"log": "append"},
        5.0,
        1,
    )
    assert (spec.inline, spec.on_failure, spec.examples) == (True, "skip", ("x",))


def test_node_works_without_parentheses_and_on_coroutines():
    """`@node` alone is enough, and a coroutine function is known as one."""

    @node
    async def work(x):
        return x

    assert function_spec(work).is_async


def test_writes_may_be_names_alone():
    """A bare state key gets the reducer "last"."""

    @node(writes=["seen"])
    def work(x): ...

    assert function_spec(work).writes == {"seen": "last"}


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"timeout_s": 0}, BadOption, "above 0"),
        ({"timeout_s": math.nan}, BadOption, "nan"),
        ({"timeout_s": math.inf}, BadOption, "inf"),
        ({"timeout_s": True}, BadOption, "True"),
        ({"timeout_s": "5"}, BadOption, "'5'"),
        ({"retry": 0}, BadOption, "1 to 10"),
        ({"retry": 2.0}, BadOption, "whole"),
        ({"writes": {"a": "apend"}}, BadType, "apend"),
        ({"effects": "send mail"}, BadName, "identifier"),
        ({"on_failure": "skp"}, BadOption, "skp"),
    ],
)
def test_options_that_cannot_act_are_refused(options, kind, says):
    """Each option is checked where it is written."""
    with pytest.raises(kind, match=says):
        node(**options)(lambda x: x)


def positional(x, /):
    """A parameter that has no name for callers."""
    return x


@pytest.mark.parametrize("fn", [lambda *rows: rows, lambda **keys: keys, positional])
def test_parameters_without_names_are_refused(fn):
    """A parameter that cannot be given by name cannot be read by name."""
    with pytest.raises(BadName, match="no name to read"):
        function_spec(fn)


def test_a_builtin_without_signature_says_how_to_wrap_it():
    """A function of C whose parameters cannot be read names the way out."""
    with pytest.raises(BadOption) as caught:
        function_spec(max)
    assert "wrap it" in caught.value.hint
