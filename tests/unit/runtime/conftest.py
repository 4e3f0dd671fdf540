"""A runtime of its own for each test: nothing on disk, a scripted model at a known price."""

from __future__ import annotations

import pytest

from orch_nb import runtime as current_runtime
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.routing import models
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema.messages import Reply, Usage
from orch_nb.store.memory import MemoryStore


def reply(text="ok", *, tokens_in=50, tokens_out=50, **more):
    """A reply with a usage of round figures."""
    return Reply(text, usage=Usage(tokens_in, tokens_out), **more)


@pytest.fixture
def rt():
    """The current runtime of this test."""
    book = models.ModelBook(environ={})
    models.use(book)
    made = Runtime(store=MemoryStore(), models=book)
    before = current_runtime.use(made)
    yield made
    made.close()
    current_runtime.use(before)


@pytest.fixture
def scripted(rt):
    """``scripted([replies])``: the model `m` answers so at $100 per million tokens, $0.01 a reply; gives the provider."""

    def make(replies, *, name="vendor", **options):
        provider = ScriptedProvider(replies, name=name, **options)
        rt.add_provider(provider)
        rt.models.add("m" if name == "vendor" else name, "model-1", name, price={"input": 100, "output": 100})
        return provider

    return make
