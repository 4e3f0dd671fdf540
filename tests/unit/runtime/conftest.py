"""A runtime of its own for each test: nothing on disk, a scripted model at a known price."""

from __future__ import annotations

import pytest

from orch_nb import runtime as current_runtime
from orch_nb.catalog import models as books
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema.messages import Reply, Usage
from orch_nb.store.memory import MemoryStore


def reply(text="ok", *, tokens_in=50, tokens_out=50, **more):
    """A reply with a usage of round figures."""
    return Reply(text, usage=Usage(tokens_in, tokens_out), **more)


@pytest.fixture
def rt():
    """The current runtime of this test."""
    book = books.ModelBook(environ={})
    books.use(book)
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


@pytest.fixture
def models(rt):
    """``models(small=[replies], big=[replies])``: 100 tokens a reply, at 1, 10 and 100 dollars a million."""

    def make(**replies):
        made = {}
        for name, usd in (("small", 1), ("mid", 10), ("big", 100)):
            script = replies.get(name, [])
            script = script if callable(script) else [reply(r) if isinstance(r, str) else r for r in script]
            made[name] = ScriptedProvider(script, name=f"{name}co")
            rt.add_provider(made[name])
            rt.models.add(name, f"{name}-1", f"{name}co", price={"input": usd, "output": usd})
        return made

    return make
