"""`orch_nb.use`: which runtime runs what is run from now on, and whose models definitions are compiled with."""

from __future__ import annotations

import pytest

import orch_nb as orch
from orch_nb import runtime
from orch_nb.catalog.models import ModelBook
from orch_nb.errors import BadOption
from orch_nb.runtime.runtime import Runtime


@pytest.fixture(autouse=True)
def _runtime_of_before():
    """Bring the runtime of before back, and close the one that the test used."""
    before = runtime.use(None)
    yield
    made = runtime.use(before)
    if made is not None:
        made.close()


def offer_of(agent):
    """The provider and model of an agent's plan."""
    (node,) = orch.Graph("g").chain("a").compile({"a": agent}).nodes
    return f"{node.spec['models'][0]['provider']}/{node.spec['models'][0]['model']}"


async def test_use_makes_a_runtime_of_its_parts_and_runs_on_it():
    """A store, names of models and providers are given in one call; the runtime that it returns is the current one."""
    store, house = orch.MemoryStore(), orch.ScriptedProvider(lambda _: "ok", name="house")
    made = orch.use(store=store, providers=[house], models={"big": "house/m1"})
    assert runtime.current() is made
    run = await orch.run(orch.Agent("a", "hi", model="big"))
    assert run.result() == "ok"
    assert [row.run for row in store.runs()] == [run.run]


@pytest.mark.parametrize("use", [lambda book: orch.use(models=book), lambda book: runtime.use(Runtime(models=book))])
def test_definitions_are_compiled_with_the_models_of_the_runtime_in_use(use):
    """One current runtime, one book of models: a plan names the model that the runtime's book means, not another book's."""
    agent = orch.Agent("a", "hi", model="big")
    for model in ("m1", "m2"):
        book = ModelBook(environ={})
        book.know_provider("house")
        book.set(big=f"house/{model}")
        use(book)
        assert offer_of(agent) == f"house/{model}"


def test_a_runtime_that_is_made_by_itself_changes_no_definition():
    """Only the runtime in use says what a model's name means, whatever other runtimes are made or asked."""
    house = orch.ScriptedProvider([], name="house")
    orch.use(store=orch.MemoryStore(), providers=[house], models={"big": "house/m1"})
    other = Runtime(store=orch.MemoryStore())
    other.add_provider(house)
    other.models.set(big="house/m2")
    assert offer_of(orch.Agent("a", "hi", model="big")) == "house/m1"
    assert orch.use(other) is other
    assert offer_of(orch.Agent("a", "hi", model="big")) == "house/m2"


def test_a_runtime_and_its_parts_exclude_one_another():
    """A runtime cannot be given together with a store, which it has already."""
    with pytest.raises(BadOption, match="must have a runtime or its parts, got both"):
        orch.use(Runtime(store=orch.MemoryStore()), store=orch.MemoryStore())
