"""What a router is asked: which of these offers is to answer this request of this agent?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.schema.messages import ModelRequest


@dataclass(slots=True, frozen=True)
class Question:
    """One question to a router, made of recorded data alone.

    Parameters
    ----------
    agent
        Who asks: the name of the agent, which is the task type of its evidence.
    route
        The route as the plan keeps it (`schema.route_spec.complete`), with `models`, the candidates in declared order.
    fallback
        Models that are asked only when every candidate failed.
    request
        What will be asked, as the first candidate would be: its size is what fits or does not.
    values
        The agent's reads, for rules.
    prompt
        The user message, for keywords, similarity, judges and learned routes.
    needs
        What the answer needs of an interface: "tools", "json".
    tried
        Rungs of a ladder that were climbed: ``{"offer", "passed", "confidence", "because"}`` each.
    keeps
        Whether an answer is at hand that can stand when no further rung fits.
    said
        What the judge said, once it was asked.
    sla_s
        Seconds that an answer may take; None for no promise.
    template
        The prompt as the agent's author wrote it, without the values: what kind of task it is.
    """

    agent: str
    route: Mapping[str, Any]
    request: ModelRequest
    values: Mapping[str, Any]
    prompt: str
    fallback: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    tried: tuple[Mapping[str, Any], ...] = ()
    keeps: bool = False
    said: Mapping[str, Any] | None = None
    sla_s: float | None = None
    template: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """The candidates, then the fallback models, each once."""
        return tuple(dict.fromkeys((*self.route["models"], *self.fallback)))

    def as_data(self) -> dict[str, Any]:
        """What the `Sent` event keeps. The prompt is not in it: the call that follows says it."""
        made: dict[str, Any] = {"agent": self.agent, "how": self.route["how"], "models": list(self.models)}
        if self.tried:
            made["tried"] = [dict(row) for row in self.tried]
        if self.said is not None:
            made["said"] = dict(self.said)
        return made
