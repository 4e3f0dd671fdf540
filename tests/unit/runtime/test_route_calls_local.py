"""Routes on the real embedded model: agreement and probabilities of its own answers."""

from __future__ import annotations

import pytest

import orch_nb as orch
from orch_nb.catalog.models import ModelBook, use
from orch_nb.providers.local_models.local import LocalModel, stop_servers
from orch_nb.schema import events as ev
from tests.unit.runtime.routed import calls, decisions

pytestmark = pytest.mark.local_model


@pytest.fixture
def real(rt):
    """The embedded model as `small`, echo as `big`."""
    book = ModelBook(environ={}, is_local_installed=lambda: True)
    use(book)
    rt._models = book
    rt._providers.clear()
    book.add("big", "echo", "echo")
    rt._providers["local"] = LocalModel()
    yield rt
    stop_servers()


PROMPT = "Is this review positive or negative? I loved every minute of it. Review: {{ text }}"


async def test_the_embedded_model_agrees_with_itself_and_the_ladder_stops(real):
    """Two samples of a clear case agree: the free model's answer is used, measured, and no other model is called."""
    route = {"cascade": ["small", "big"], "by": "agreement(2 of sentiment)"}
    maker = orch.Agent("mood", PROMPT, out="{sentiment: positive | negative}", route=route, max_tokens=40)
    run = await orch.run(maker, text="wonderful")

    finished = next(e for e in run.events if isinstance(e, ev.Finished))
    ladder = finished.decision["route"]["ladder"]
    assert ladder[0]["by"] == "agreement(2 of sentiment)"
    assert 2 <= sum(1 for kind, _ in calls(run) if kind == "model") <= 3
    assert ladder[0]["passed"] == (len(ladder) == 1)
    assert run.spent_usd == 0


async def test_the_embedded_model_sends_the_probabilities_of_its_labels(real):
    """The local server gives log-probabilities: the confidence of a label is measured, between 0 and 1, and recorded."""
    route = {"cascade": ["small", "big"], "by": "probability", "confidence": 0}
    maker = orch.Agent("mood", PROMPT, out="{sentiment: positive | negative}", route=route, max_tokens=40)
    run = await orch.run(maker, text="wonderful")

    finished = next(e for e in run.events if isinstance(e, ev.Finished))
    assert 0 < finished.decision["route"]["confidence"] <= 1
    assert decisions(run)[0]["order"] == ["small", "big"]
