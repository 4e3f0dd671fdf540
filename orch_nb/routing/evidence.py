"""What was measured of models on tasks: the record that comparisons write and that routers learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(slots=True, frozen=True)
class Evidence:
    """One answer of one model to one prompt, and how good it was.

    Parameters
    ----------
    task
        The task type: the name of the agent or of the comparison. The rows of the routing matrix.
    offer, model, provider
        The notebook's name of the model, the provider's id of it, and the adapter: a name may stand for another model
        tomorrow, evidence stays with the model.
    prompt
        What was asked (the user message), for routers that look at it; cut at 8,000 characters.
    quality
        0 to 1; 1 is right, or picked.
    cost_usd
        US dollars billed for the answer, repairs included; None when unknown.
    seconds
        From the question to the whole answer; None when unknown.
    source
        ``"compare"`` (scored or picked in a comparison), ``"run"`` (a run's own validation or verdict).
    by
        Who judged: ``"exact"``, ``"schema"``, ``"person"``, ``"judge(big)"``, …
    at
        When, as a UTC timestamp in seconds.
    key
        Identity of the judgement (comparison, row, model): written again, it replaces the earlier one.
    run, node
        Where the answer came from, "" when not from a run.
    """

    task: str
    offer: str
    model: str
    provider: str
    prompt: str
    quality: float
    cost_usd: Decimal | None
    seconds: float | None
    source: str
    by: str
    at: float
    key: str
    run: str = ""
    node: str = ""

    @property
    def row(self) -> str:
        """Return what judgements of the same input share, whatever the prompt or the repetition; of others than a comparison's,
        each is its own."""
        start = row_key(self.task, "")
        if self.source != "compare" or not self.key.startswith(start):
            return self.key
        return start + self.key[len(start) :].partition("/")[0]


def row_key(task: str, row: str) -> str:
    """Return how the keys of all judgements of one input of a comparison begin."""
    return f"compare/{task}/{row}"


@dataclass(slots=True, frozen=True)
class Estimate:
    """What a router expects of one offer for one prompt.

    `quality` is a mean with its 95 % interval (`low`, `high`), all 0 to 1; `n` the outcomes it rests on; `cost_usd` the
    expected US dollars of the call, None when unknown.
    """

    offer: str
    quality: float
    low: float
    high: float
    n: int
    cost_usd: float | None
