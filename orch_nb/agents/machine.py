"""The machine that the engine steps: given what came back so far, the next call of an agent or its result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch_nb.agents.conversation import AgentTask, Conversation
from orch_nb.engine.ports import Result

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from orch_nb.engine.ports import Call


class AgentMachine(AgentTask):
    """A pure conversation (`engine.ports.Machine`).

    Notes
    -----
    An answer that does not fit `out` is repaired once per activation: the answer and its problems are sent back. Then the
    fallback models are asked in turn; then the machine gives up with an error. A model call that failed for good goes
    straight to the next fallback model. Results of tools are kept on that way, so that no tool is called twice.
    """

    def next(self, settled: Sequence[object]) -> Call | Result:
        """Return the next call, or the result. The same outcomes give the same answer, in any process.

        The `decision` of a result lists the calls whose answers were refused, under ``"refused_answers"``.
        """
        self.refused = []
        step = self._step(settled)
        if isinstance(step, Result) and self.refused:
            return replace(step, decision={**(step.decision or {}), "refused_answers": self.refused})
        return step

    def _step(self, settled: Sequence[object]) -> Call | Result:
        if "route" in self.definition or "second_opinion" in self.definition:
            from orch_nb.agents.routed_conversation import run_routed

            return replay(run_routed(self), settled)
        conversation = Conversation(self)
        for outcome in settled:
            conversation.take(outcome)
        return conversation.step()


def replay(steps: Generator[Call, object, Result], settled: Sequence[object]) -> Call | Result:
    """Return the next step of a conversation that is written as a generator, after these outcomes."""
    try:
        call = next(steps)
        for outcome in settled:
            call = steps.send(outcome)
    except StopIteration as end:
        ended: Result = end.value
        return ended
    return call
