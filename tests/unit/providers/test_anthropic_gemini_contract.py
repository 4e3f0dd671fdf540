"""The provider contract, run on the adapters to Anthropic and Google against servers that speak their protocols."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orch_nb.providers.anthropic.messages import AnthropicMessages
from orch_nb.providers.gemini.generate import Gemini
from tests.unit.providers import native_server, test_contract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from orch_nb.schema.messages import ModelEvent, ModelRequest, Provider
    from tests.unit.providers.loopback import Loopback

MAKERS: dict[str, Callable[[Loopback], Provider]] = {
    "anthropic, forced tool": lambda s: AnthropicMessages("wire", s.serve(native_server.anthropic), key=None),
    "anthropic, format": lambda s: _Renamed("wire", s.serve(native_server.anthropic), key=None),
    "gemini": lambda s: Gemini("wire", s.serve(native_server.gemini), key=None),
}


class _Renamed(AnthropicMessages):
    """The adapter, asked for a model that takes structured outputs whatever the suite asks for."""

    def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        return super().stream(replace(request, model="claude-haiku-4-5"))


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest, loopback: Loopback) -> Callable[[], Provider]:
    return lambda: MAKERS[request.param](loopback)


test_it_is_a_provider = test_contract.test_it_is_a_provider
test_text_then_one_completed = test_contract.test_text_then_one_completed
test_the_same_question_has_the_same_answer = test_contract.test_the_same_question_has_the_same_answer
test_leaving_early_is_no_error = test_contract.test_leaving_early_is_no_error
test_the_request_is_not_touched = test_contract.test_the_request_is_not_touched
test_it_works_on_one_loop_after_another = test_contract.test_it_works_on_one_loop_after_another
