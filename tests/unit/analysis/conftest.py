"""A runtime of its own for each test: nothing on disk but a folder of its own, two models at known prices."""

from __future__ import annotations

from typing import Any

import pytest

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.analysis.compare.comparison import Comparison, compare
from orch_nb.catalog import models
from orch_nb.lang.compare_cell import read_compare_cell
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime.runtime import Runtime
from orch_nb.store.memory import MemoryStore

TICKETS = [
    {"ticket": "my payment failed", "category": "billing"},
    {"ticket": "the screen is broken", "category": "technical"},
    {"ticket": "payment twice", "category": "billing"},
]


def triage(name: str = "triage", **keys: Any) -> orch.Agent:
    """An agent with a type."""
    return orch.Agent(name, "Classify: {{ ticket }}", **{"out": "{category: str}", "model": "small", **keys})


def right(request: Any) -> Any:
    """A model that knows."""
    return {"category": "billing" if "payment" in request.messages[-1].content else "technical"}


def always_billing(request: Any) -> Any:
    """A model that does not."""
    return {"category": "billing"}


@pytest.fixture
def rt(tmp_path):
    """The current runtime of this test."""
    book = models.ModelBook(environ={})
    models.use(book)
    made = Runtime(tmp_path, store=MemoryStore(), models=book)
    before = current_runtime.use(made)
    yield made
    made.close()
    current_runtime.use(before)


@pytest.fixture
def model(rt):
    """``model("small", replies, price=1)``: a model of this name at dollars per million tokens each way; gives its provider."""

    def make(name, replies=right, *, price=1, **options):
        provider = ScriptedProvider(replies, name=name, **options)
        rt.add_provider(provider)
        rt.models.add(name, f"{name}-1", name, price={"input": price, "output": price})
        return provider

    return make


@pytest.fixture
def run_cell(rt):
    """``run_cell("reply", text, names)``: a comparison, run to its end."""

    def make(name: str, text: str, names: dict[str, Any] | None = None) -> Comparison:
        known = {"triage": triage(), "tickets": TICKETS} if names is None else names
        return compare(rt, read_compare_cell(name, text), known).wait(30)

    return make
