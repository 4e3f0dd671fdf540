"""`%orch forecast`: from a line to what a workflow will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadExpression, BadOption, OrchError, nearest
from orch_nb.lang.magic_line import value_of
from orch_nb.schema.amount import is_amount_like, read_amount

if TYPE_CHECKING:
    from orch_nb.analysis.forecast.forecast import Forecast
    from orch_nb.catalog.models import ModelBook
    from orch_nb.lang.magic_line import Command
    from orch_nb.notebook.session import Session

Names = dict[str, object]
USAGE = '%orch forecast NAME at N a day [against="all on MODEL"] [swap={"step": "model"}] [cache_hits=0.3] …'
OPTIONS = (
    "against", "swap", "cache_hits", "retries", "reviews", "review_usd", "token_ratio", "days_in_month", "days_in_year",
    "confidence", "resamples", "seed",
)  # fmt: skip
"""What the line takes as ``name=value``: the words of `forecast`."""


def project(session: Session, command: Command, names: Names) -> Forecast:
    """Forecast what a graph, an agent, a step table or runs will cost a day, a month and a year."""
    from orch_nb.analysis.forecast.forecast import forecast
    from orch_nb.analysis.forecast.workload import named
    from orch_nb.analysis.sources import Sources, runs_of

    if not command.words:
        raise command.error("a forecast of what?", hint=f"usage: `{USAGE}`")
    runtime = session.runtime
    options = _options(command, names, runtime.models)
    per_day = _per_day(command)
    word = command.words[0]
    try:
        value = named(Sources(names, runs_of(runtime), runtime.models).find(word.text), word.text, runtime.models)
        return forecast(value, per_day=per_day, models=runtime.models, **options)
    except OrchError as error:
        raise command.pointing(error) from error.__cause__


def _per_day(command: Command) -> object:
    """The volume: ``at 10000 a day``, ``at 10K a day``, ``at 300000 tickets a month``."""
    name, *rest = command.words
    if name.text == "at":
        raise command.error("a forecast needs a name before `at`.", name, hint=f"usage: `{USAGE}`")
    if not rest or rest[0].text != "at":
        hint = f"`%orch forecast {name.text} at 10000 a day`"
        raise command.error("a forecast needs a volume.", rest[0] if rest else name, hint=hint)
    try:
        from orch_nb.lang.claim_cell import read_volume

        return read_volume(" ".join(word.text for word in rest[1:]))
    except BadExpression as error:
        message = str(error).partition(": ")[2].partition("\n")[0]
        at = rest[1] if len(rest) > 1 else rest[0]
        raise command.error(message, at, hint=error.hint) from None


def _options(command: Command, names: Names, models: ModelBook) -> dict[str, Any]:
    from orch_nb.analysis.forecast.workload import named

    found = {}
    for pair in command.pairs:
        if pair.name not in OPTIONS:
            near = nearest(pair.name, OPTIONS)
            hint = f"did you mean `{near}`?" if near else f"options: {', '.join(OPTIONS)}"
            raise command.error(f"a forecast has no option `{pair.name}`.", pair, hint=hint)
        if is_amount_like(pair.text):  # as a literal, `0,3` would be two numbers
            try:
                read_amount(pair.text, f"`{pair.name}`", most=10**12, of="a number")
            except BadOption as error:
                raise command.pointing(error) from None
        value = value_of(pair.text, names, command=command, at=pair)
        found[pair.name] = named(value, pair.text, models) if pair.name == "against" and pair.text in names else value
    return found
