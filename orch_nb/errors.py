"""Every error that `orch_nb` raises on purpose.

::

    OrchError                         code, hint, facts
    ├─ GraphError        ORCH1xx      while building or checking a graph (all problems at once)
    ├─ RunError          ORCH2xx      run, node
    │  ├─ BudgetExceeded ORCH201   ├─ NodeFailed      ORCH202   ├─ NodeTimeout  ORCH203
    │  ├─ LimitReached   ORCH204   ├─ ReplayMismatch  ORCH205   ├─ SemanticFailure ORCH206
    │  ├─ UnstorableValue ORCH207  ├─ WaitingForPerson ORCH208  ├─ RunCancelled ORCH209
    │  ├─ MissingInput   ORCH210   ├─ QuoteTooHigh ORCH211   ├─ InternalError ORCH212
    │  ├─ LoopEnded      ORCH213   ├─ WouldDeadlock  ORCH214   ├─ EffectInDoubt ORCH215
    │  ├─ NotDone        ORCH216   ├─ QuestionChanged ORCH217   └─ LoopExhausted ORCH218
    ├─ ProviderError     ORCH3xx      provider, model; `failure` says which policy applies
    ├─ RoutingError      ORCH4xx      NoOffer, UnknownPrice, UnknownModel, ModelNotInstalled
    ├─ ToolError         ORCH5xx      ToolFailed, BadArguments, UnknownTool
    ├─ StoreError        ORCH6xx      SchemaTooNew, RunNotFound, RunLocked, StoreUnavailable
    └─ CellError         ORCH7xx      a cell, an agent or a graph is wrong: line, column, did-you-mean

A message says what happened to which named thing, with numbers; the hint says what to do about it.
Interrupts, handoffs and cancellation are values, not errors.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Failure = Literal["transient", "semantic", "catastrophic"]
"""The three classes of failure: retry the call, ask the model to correct its answer, or fail."""


def nearest(word: str, known: Iterable[str], *, alike: float = 0.6) -> str:
    """Return the known word closest to `word`, or "" when none is close: `alike` is the least ratio of equal letters."""
    found = get_close_matches(word, list(known), n=1, cutoff=alike)
    return found[0] if found else ""


def counted(amount: Decimal, unit: str) -> str:
    """Return an amount in a budget's unit as text: ``1 call``, ``2,000 tokens``."""
    return f"{amount.normalize():,f} {unit.removesuffix('s') if amount == 1 else unit}"


def redact(text: str) -> str:
    """Return the text of an error as it may be shown. `schema.secrets` replaces this function by one that finds secrets."""
    return text


class OrchError(Exception):
    """Base of everything raised on purpose by orch_nb.

    Parameters
    ----------
    message
        What happened to which named thing, with numbers.
    hint
        What to do about it; "" when there is nothing to do.
    **facts
        The same as data: ``error.facts["..."]``.
    """

    code: ClassVar[str] = "ORCH000"
    user_fixable: ClassVar[bool] = True
    """True where a notebook shows two lines instead of a traceback."""

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(redact(message))
        self.hint = hint = redact(hint)
        self.facts = MappingProxyType(facts)
        if hint:
            self.add_note(f"hint: {hint}")

    def _render_traceback_(self) -> list[str]:
        first = [f"{type(self).__name__} [{self.code}]  {self}"]
        if self.hint:
            first.append(f"  hint: {self.hint}")
        return first if self.user_fixable else [*first, *_cause_lines(self)]


def _cause_lines(error: BaseException) -> list[str]:
    """Return the traceback of the user's own code, without our frames; nothing where it did not raise."""
    import traceback
    from pathlib import Path

    cause = error.__cause__
    if cause is None:  # a model's failure, or one read from a record: our frames do not explain it
        return []
    ours = str(Path(__file__).resolve().parent)
    frames = traceback.extract_tb(cause.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(ours) and "/concurrent/futures/" not in f.filename]
    return ["", *map(redact, (*traceback.format_list(theirs), *traceback.format_exception_only(cause)))]


# ------------------------------------------------------------------ 1xx: graphs
class GraphError(OrchError):
    """A graph cannot be compiled; all its problems are listed at once, five at most.

    Parameters
    ----------
    problems
        One line each, most important first.
    """

    code = "ORCH100"

    def __init__(self, message: str, *, problems: Iterable[str] = (), hint: str = "", **facts: object) -> None:
        self.problems = tuple(problems)
        shown = [f"\n  {i}. {line}" for i, line in enumerate(self.problems[:5], 1)]
        if len(self.problems) > len(shown):
            shown.append(f"\n  … and {len(self.problems) - len(shown)} more")
        super().__init__(message + "".join(shown), hint=hint, problems=self.problems, **facts)


# ------------------------------------------------------------------ 2xx: runs
class RunError(OrchError):
    """A run failed; its record remains and it can be resumed."""

    code = "ORCH200"


class BudgetExceeded(RunError):
    """The next call does not fit in what is left of a budget; nothing was sent.

    The facts `limit`, `spent`, `held`, `asked` and `left` are amounts in `unit`: "usd", "tokens", "calls" or "seconds".
    """

    code = "ORCH201"

    def __init__(
        self,
        *,
        scope: str,
        node: str,
        limit: Decimal,
        spent: Decimal,
        held: Decimal,
        asked: Decimal,
        run: str = "",
        unit: str = "usd",
    ) -> None:
        left = limit - spent - held

        def text(amount: Decimal) -> str:
            return f"${amount:.6f}" if unit == "usd" else counted(amount, unit)

        kind, _, name = scope.partition(":")
        owner = f"run {name} with all its rows" if kind == "batch" else f"{kind} {name}".rstrip()
        if unit == "seconds":
            why = f"`{node}` was not called: {owner} has used {text(spent)} of its {text(limit)}."
        elif asked > left:
            why = (
                f"`{node}` asks for up to {text(asked)}, but {owner} has {text(left)} left of {text(limit)} "
                f"(spent {text(spent)}, held {text(held)})."
            )
        else:
            why = f"`{node}` was blocked: a provider billed more than was reserved in the budget of {owner}."
        more = _raise(max(limit, asked) or Decimal(1), unit)
        resume = f"`%orch resume {run or 'RUN'}"
        resume = f"`%orch budget {more}`, then {resume}`" if kind == "notebook" else f"{resume} --budget {more}`"
        super().__init__(
            f"{why} Nothing was sent.",
            hint=f"{resume} continues; finished nodes are not called again.",
            scope=scope, node=node, run=run, limit=limit, spent=spent, held=held, asked=asked, left=left, unit=unit,
        )  # fmt: skip


def _raise(amount: Decimal, unit: str) -> str:
    """Return a raise of a budget by at least `amount` as it is typed: ``+0.05``, ``calls=+3``."""
    if unit == "usd":
        return f"+{amount.quantize(Decimal('0.01'), ROUND_CEILING)}"
    return f"{unit}=+{amount.quantize(Decimal(1), ROUND_CEILING)}"


class NodeFailed(RunError):
    """A node failed and its run with it; `__cause__` is the original exception where there was one."""

    code = "ORCH202"
    user_fixable = False


class NodeTimeout(RunError):
    """A node did not finish within its `timeout`."""

    code = "ORCH203"
    failure: ClassVar[Failure] = "transient"


class LimitReached(RunError):
    """A limit of turns, hops or steps was reached."""

    code = "ORCH204"


class ReplayMismatch(RunError):
    """The plan at hand is not the plan that was recorded; node and first difference are named."""

    code = "ORCH205"


class SemanticFailure(RunError):
    """An answer was well-formed but wrong: it does not fit its `out`, or a condition cannot be decided on it."""

    code = "ORCH206"
    failure: ClassVar[Failure] = "semantic"


class UnstorableValue(RunError):
    """A node gave a value that is not plain data (None, bool, int, finite float, str, bytes, list, str-keyed dict)."""

    code = "ORCH207"
    failure: ClassVar[Failure] = "semantic"


class WaitingForPerson(RunError):
    """The result was asked for while a person must still answer."""

    code = "ORCH208"


class RunCancelled(RunError):
    """The result was asked for, but the run was stopped."""

    code = "ORCH209"


class MissingInput(RunError):
    """An input that a node reads was not given, or one was given that nothing reads."""

    code = "ORCH210"


class QuoteTooHigh(RunError):
    """A run may cost more than the bound above which it must be confirmed; nothing was sent."""

    code = "ORCH211"


class InternalError(RunError):
    """A fault of orch_nb itself, to be reported: the notebook is right."""

    code = "ORCH212"
    user_fixable = False


class LoopEnded(RunError):
    """The thread of all runs has ended, and the awaited result with it; the next call starts another thread."""

    code = "ORCH213"


class WouldDeadlock(RunError):
    """A blocking call was made on the thread of all runs, where it would wait for itself."""

    code = "ORCH214"


class EffectInDoubt(RunError):
    """A declared effect may have happened: it is not repeated before a person says whether it did."""

    code = "ORCH215"
    user_fixable = False


class NotDone(RunError):
    """Raised by a function or a tool with declared effects to say that nothing happened: an ordinary failure.

    Any other exception of such a function, a timeout, or a result that cannot be stored leaves the effect in doubt: a
    person is asked whether it happened, or the run stops where nobody can be asked. It is not repeated without an answer.

    Examples
    --------
    >>> import orch_nb
    >>> @orch_nb.node(effects="mail")
    ... def send(text):
    ...     if not text:
    ...         raise orch_nb.NotDone("the text is empty.")
    """

    code = "ORCH216"


class QuestionChanged(RunError):
    """A person answered a question that is not open any more; nothing was answered, and the open question is named."""

    code = "ORCH217"


class LoopExhausted(RunError):
    """A run ended with a loop's bound used up and without an output: the arrow that would continue is named."""

    code = "ORCH218"
    failure: ClassVar[Failure] = "semantic"


# ------------------------------------------------------------------ 3xx: providers
class ProviderError(OrchError):
    """A provider's call failed. `failure` says which policy applies; `billed` whether tokens may have been spent.

    Parameters
    ----------
    provider, model
        The provider and the model that were called.
    status
        HTTP status where there was one.
    retry_after_s
        The wait that the provider asked for, in seconds.
    billed
        True when the provider may charge for the failed call (an interrupted stream, an error after generation).
    """

    code = "ORCH300"
    failure: ClassVar[Failure] = "transient"

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        billed: bool = False,
        hint: str = "",
        **facts: object,
    ) -> None:
        super().__init__(
            message,
            hint=hint,
            provider=provider,
            model=model,
            status=status,
            retry_after_s=retry_after_s,
            billed=billed,
            **facts,
        )
        self.provider, self.model, self.status = provider, model, status
        self.retry_after_s, self.billed = retry_after_s, billed


class AuthFailed(ProviderError):
    """The key is missing, wrong or may not use this model (401, 403)."""

    code = "ORCH301"
    failure = "catastrophic"


class RateLimited(ProviderError):
    """Too many requests (429), or the wait it asks for is above the cap."""

    code = "ORCH302"


class ContextTooLong(ProviderError):
    """The prompt does not fit the model's context window."""

    code = "ORCH303"
    failure = "catastrophic"


class BadRequest(ProviderError):
    """The provider refuses the request (400, 404, 413, 422): sending it again would not help."""

    code = "ORCH304"
    failure = "catastrophic"


class ProviderUnavailable(ProviderError):
    """No connection, 5xx, or the connection broke."""

    code = "ORCH305"


class ProviderTimeout(ProviderError):
    """The whole call did not end within its deadline."""

    code = "ORCH306"


class MalformedReply(ProviderError):
    """The reply breaks the protocol: bad JSON, an interrupted stream, missing fields, too many bytes."""

    code = "ORCH307"


class ProviderFault(ProviderError):
    """An adapter raised an error of another class: a fault of its own, which a retry would not mend."""

    code = "ORCH308"
    failure = "catastrophic"


class BadEnvironment(ProviderError):
    """A variable of the environment (a proxy, NO_PROXY, SSL_CERT_FILE) cannot be used; nothing was sent."""

    code = "ORCH309"
    failure = "catastrophic"


# ------------------------------------------------------------------ 4xx: routing
class RoutingError(OrchError):
    """No model could be chosen."""

    code = "ORCH400"


class NoOffer(RoutingError):
    """Every offer was refused; the message has each reason."""

    code = "ORCH401"


class UnknownPrice(RoutingError):
    """The price of a model is unknown and a budget is in force: unknown is not free."""

    code = "ORCH402"


class UnknownModel(RoutingError):
    """The notebook has no model of this name."""

    code = "ORCH403"


class ModelNotInstalled(RoutingError):
    """The local model's file or its runtime is not installed on this machine."""

    code = "ORCH404"


# ------------------------------------------------------------------ 5xx: tools
class ToolError(OrchError):
    """A tool could not be used."""

    code = "ORCH500"


class ToolFailed(ToolError):
    """A tool raised."""

    code = "ORCH501"
    user_fixable = False


class BadArguments(ToolError):
    """A tool was called with arguments that do not fit its schema."""

    code = "ORCH502"
    failure: ClassVar[Failure] = "semantic"


class UnknownTool(ToolError):
    """No tool of this name is registered or allowed to this agent."""

    code = "ORCH503"
    failure: ClassVar[Failure] = "semantic"


# ------------------------------------------------------------------ 6xx: store
class StoreError(OrchError):
    """An operation of the store failed."""

    code = "ORCH600"


class SchemaTooNew(StoreError):
    """The store was written by a newer version; it is not changed."""

    code = "ORCH601"


class RunNotFound(StoreError):
    """The store has no run of this id."""

    code = "ORCH602"


class RunLocked(StoreError):
    """Another process (or kernel) is writing this run."""

    code = "ORCH603"


class StoreUnavailable(StoreError):
    """The store's file cannot be written: disk full, read-only, gone, or locked for too long."""

    code = "ORCH604"


class CorruptStore(StoreError):
    """A record cannot be read back."""

    code = "ORCH605"


# ------------------------------------------------------------------ 7xx: cells
class CellError(OrchError):
    """A cell, an agent's definition or a graph's text is wrong.

    Parameters
    ----------
    line, column
        Position inside the cell's text, from 1; 0 when unknown. The offending line is shown with a caret.
    source
        The text that `line` counts in, so that the line can be shown.
    """

    code = "ORCH700"

    def __init__(
        self, message: str, *, line: int = 0, column: int = 0, source: str = "", hint: str = "", **facts: object
    ) -> None:
        self.line, self.column = line, column
        where = f"line {line}: " if line else ""
        shown = ""
        rows = source.splitlines()
        if line and 0 < line <= len(rows):
            shown = f"\n    {rows[line - 1]}"
            if column:
                shown += f"\n    {' ' * (column - 1)}^"
        super().__init__(f"{where}{message}{shown}", hint=hint, line=line, column=column, **facts)


class UnknownKey(CellError):
    """An unknown key of an agent; the nearest one is named."""

    code = "ORCH701"


class BadName(CellError):
    """A name that is not an NFC identifier, or is a reserved word."""

    code = "ORCH702"


class BadType(CellError):
    """An `out` type, or a value for an option, that cannot be understood."""

    code = "ORCH703"


class BadExpression(CellError):
    """A `when`, `by`, `with` or `{{ read }}` that cannot be understood."""

    code = "ORCH704"


class BadOption(CellError):
    """An option of a magic or a function that cannot be understood."""

    code = "ORCH705"
