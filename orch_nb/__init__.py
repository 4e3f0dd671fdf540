"""orch_nb: multi-agent LLM workflows in a notebook, with their costs before and after each run.

``%load_ext orch_nb`` in a notebook, or in Python::

    from orch_nb import Agent, Graph
    support = Graph("support").chain(triage, answer)
    run = await support.run(ticket="My payment failed")

Names are resolved on first use: importing `orch_nb` loads none of IPython, ipywidgets, networkx, matplotlib or httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from orch_nb import current, display
from orch_nb._version import __version__

_WHERE = {
    "Agent": "orch_nb.agents.agent",
    "Graph": "orch_nb.graph.builder",
    "node": "orch_nb.tools.function",
    "tool": "orch_nb.tools.registry",
    "Tool": "orch_nb.tools.registry",
    "Expand": "orch_nb.engine.drive",
    "Plan": "orch_nb.engine.plan",
    "RunHandle": "orch_nb.handle",
    "Runtime": "orch_nb.runtime.runtime",
    "use": "orch_nb.api",
    "run": "orch_nb.api",
    "run_sync": "orch_nb.api",
    "resume": "orch_nb.api",
    "quote": "orch_nb.api",
    "batch": "orch_nb.api",
    "record": "orch_nb.api",
    "runs": "orch_nb.api",
    "open_run": "orch_nb.api",
    "models": "orch_nb.api",
    "compare": "orch_nb.api",
    "matrix": "orch_nb.api",
    "budget": "orch_nb.api",
    "forecast": "orch_nb.analysis.forecast.forecast",
    "claim": "orch_nb.analysis.claims.claim",
    "EchoProvider": "orch_nb.providers.fakes",
    "ScriptedProvider": "orch_nb.providers.fakes",
    "OpenAIChat": "orch_nb.providers.openai.chat",
    "LocalModel": "orch_nb.providers.local_models.local",
    "AnthropicMessages": "orch_nb.providers.anthropic.messages",
    "Gemini": "orch_nb.providers.gemini.generate",
    "Offer": "orch_nb.catalog.offers",
    "MemoryStore": "orch_nb.store.memory",
    "SqliteStore": "orch_nb.store.sqlite",
    "Template": "orch_nb.lang.template",
    "Predicate": "orch_nb.lang.condition",
    "BatchHandle": "orch_nb.runtime.batch",
    "Quote": "orch_nb.estimates.quote",
    "Comparison": "orch_nb.analysis.compare.comparison",
    "Forecast": "orch_nb.analysis.forecast.forecast",
    "Claim": "orch_nb.analysis.claims.claim",
    "Bill": "orch_nb.trace.bill",
    "Matrix": "orch_nb.analysis.matrix.matrix",
    "RunView": "orch_nb.trace.run_view",
    "RunDiff": "orch_nb.trace.diff",
    "RunRow": "orch_nb.store.runs",
    "Recording": "orch_nb.runtime.recording",
    "Balance": "orch_nb.engine.ports",
    "Budget": "orch_nb.schema.budget",
    "ModelBook": "orch_nb.catalog.models",
}
_ERRORS = (
    "AuthFailed", "BadArguments", "BadEnvironment", "BadExpression", "BadName", "BadOption", "BadRequest",
    "BadType", "BudgetExceeded", "CellError", "ContextTooLong", "CorruptStore", "EffectInDoubt", "GraphError",
    "InternalError", "LimitReached", "LoopEnded", "LoopExhausted", "MalformedReply", "MissingInput", "ModelNotInstalled",
    "NoOffer", "NodeFailed", "NodeTimeout", "NotDone", "OrchError", "ProviderError", "ProviderFault",
    "ProviderTimeout", "ProviderUnavailable", "QuestionChanged", "QuoteTooHigh", "RateLimited", "ReplayMismatch",
    "RoutingError", "RunCancelled", "RunError", "RunLocked", "RunNotFound", "SchemaTooNew", "SemanticFailure",
    "StoreError", "StoreUnavailable", "ToolError", "ToolFailed", "UnknownKey", "UnknownModel", "UnknownPrice",
    "UnknownTool", "UnstorableValue", "WaitingForPerson", "WouldDeadlock",
)  # fmt: skip
_WHERE |= dict.fromkeys(_ERRORS, "orch_nb.errors")

_VIEWS = {
    "bundle": (
        "orch_nb.analysis.claims.view",
        "orch_nb.analysis.compare.view",
        "orch_nb.analysis.forecast.view",
        "orch_nb.analysis.compare.pairs_view",
        "orch_nb.analysis.matrix.view",
        "orch_nb.estimates.view",
        "orch_nb.views.cards",
        "orch_nb.views.diff",
        "orch_nb.views.run",
    ),
    "figure": (
        "orch_nb.analysis.forecast.plot",
        "orch_nb.analysis.matrix.plot",
        "orch_nb.views.cards",
        "orch_nb.views.run",
    ),
}

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension", *sorted(_WHERE)]  # noqa: PLE0604


def __dir__() -> list[str]:
    return sorted(__all__)


def _load_views(form: str) -> None:
    """Import the views that draw objects as a "bundle" or a "figure": each registers its functions."""
    for name in _VIEWS[form]:
        import_module(name)


display.fill_with(_load_views)


def _load_api() -> current.Api:
    """Import the functions that run, quote and compile."""
    from orch_nb import api

    return api


current.fill_with(_load_api)


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Load the magics and show the banner: ``%load_ext orch_nb``."""
    from orch_nb.notebook.extension import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove the magics and stop the runs, whose records remain: ``%unload_ext orch_nb``."""
    from orch_nb.notebook.extension import unload_ipython_extension as unload

    unload(ipython)


if TYPE_CHECKING:  # all names of `_WHERE`; without `__getattr__`, a checker says which names do not exist
    from IPython.core.interactiveshell import InteractiveShell

    from orch_nb.agents.agent import Agent as Agent
    from orch_nb.analysis.claims.claim import Claim as Claim
    from orch_nb.analysis.claims.claim import claim as claim
    from orch_nb.analysis.compare.comparison import Comparison as Comparison
    from orch_nb.analysis.forecast.forecast import Forecast as Forecast
    from orch_nb.analysis.forecast.forecast import forecast as forecast
    from orch_nb.analysis.matrix.matrix import Matrix as Matrix
    from orch_nb.api import batch as batch
    from orch_nb.api import budget as budget
    from orch_nb.api import compare as compare
    from orch_nb.api import matrix as matrix
    from orch_nb.api import models as models
    from orch_nb.api import open_run as open_run
    from orch_nb.api import quote as quote
    from orch_nb.api import record as record
    from orch_nb.api import resume as resume
    from orch_nb.api import run as run
    from orch_nb.api import run_sync as run_sync
    from orch_nb.api import runs as runs
    from orch_nb.api import use as use
    from orch_nb.catalog.models import ModelBook as ModelBook
    from orch_nb.catalog.offers import Offer as Offer
    from orch_nb.engine.drive import Expand as Expand
    from orch_nb.engine.plan import Plan as Plan
    from orch_nb.engine.ports import Balance as Balance
    from orch_nb.errors import AuthFailed as AuthFailed
    from orch_nb.errors import BadArguments as BadArguments
    from orch_nb.errors import BadEnvironment as BadEnvironment
    from orch_nb.errors import BadExpression as BadExpression
    from orch_nb.errors import BadName as BadName
    from orch_nb.errors import BadOption as BadOption
    from orch_nb.errors import BadRequest as BadRequest
    from orch_nb.errors import BadType as BadType
    from orch_nb.errors import BudgetExceeded as BudgetExceeded
    from orch_nb.errors import CellError as CellError
    from orch_nb.errors import ContextTooLong as ContextTooLong
    from orch_nb.errors import CorruptStore as CorruptStore
    from orch_nb.errors import EffectInDoubt as EffectInDoubt
    from orch_nb.errors import GraphError as GraphError
    from orch_nb.errors import InternalError as InternalError
    from orch_nb.errors import LimitReached as LimitReached
    from orch_nb.errors import LoopEnded as LoopEnded
    from orch_nb.errors import LoopExhausted as LoopExhausted
    from orch_nb.errors import MalformedReply as MalformedReply
    from orch_nb.errors import MissingInput as MissingInput
    from orch_nb.errors import ModelNotInstalled as ModelNotInstalled
    from orch_nb.errors import NodeFailed as NodeFailed
    from orch_nb.errors import NodeTimeout as NodeTimeout
    from orch_nb.errors import NoOffer as NoOffer
    from orch_nb.errors import NotDone as NotDone
    from orch_nb.errors import OrchError as OrchError
    from orch_nb.errors import ProviderError as ProviderError
    from orch_nb.errors import ProviderFault as ProviderFault
    from orch_nb.errors import ProviderTimeout as ProviderTimeout
    from orch_nb.errors import ProviderUnavailable as ProviderUnavailable
    from orch_nb.errors import QuestionChanged as QuestionChanged
    from orch_nb.errors import QuoteTooHigh as QuoteTooHigh
    from orch_nb.errors import RateLimited as RateLimited
    from orch_nb.errors import ReplayMismatch as ReplayMismatch
    from orch_nb.errors import RoutingError as RoutingError
    from orch_nb.errors import RunCancelled as RunCancelled
    from orch_nb.errors import RunError as RunError
    from orch_nb.errors import RunLocked as RunLocked
    from orch_nb.errors import RunNotFound as RunNotFound
    from orch_nb.errors import SchemaTooNew as SchemaTooNew
    from orch_nb.errors import SemanticFailure as SemanticFailure
    from orch_nb.errors import StoreError as StoreError
    from orch_nb.errors import StoreUnavailable as StoreUnavailable
    from orch_nb.errors import ToolError as ToolError
    from orch_nb.errors import ToolFailed as ToolFailed
    from orch_nb.errors import UnknownKey as UnknownKey
    from orch_nb.errors import UnknownModel as UnknownModel
    from orch_nb.errors import UnknownPrice as UnknownPrice
    from orch_nb.errors import UnknownTool as UnknownTool
    from orch_nb.errors import UnstorableValue as UnstorableValue
    from orch_nb.errors import WaitingForPerson as WaitingForPerson
    from orch_nb.errors import WouldDeadlock as WouldDeadlock
    from orch_nb.estimates.quote import Quote as Quote
    from orch_nb.graph.builder import Graph as Graph
    from orch_nb.handle import RunHandle as RunHandle
    from orch_nb.lang.condition import Predicate as Predicate
    from orch_nb.lang.template import Template as Template
    from orch_nb.providers.anthropic.messages import AnthropicMessages as AnthropicMessages
    from orch_nb.providers.fakes import EchoProvider as EchoProvider
    from orch_nb.providers.fakes import ScriptedProvider as ScriptedProvider
    from orch_nb.providers.gemini.generate import Gemini as Gemini
    from orch_nb.providers.local_models.local import LocalModel as LocalModel
    from orch_nb.providers.openai.chat import OpenAIChat as OpenAIChat
    from orch_nb.runtime.batch import BatchHandle as BatchHandle
    from orch_nb.runtime.recording import Recording as Recording
    from orch_nb.runtime.runtime import Runtime as Runtime
    from orch_nb.schema.budget import Budget as Budget
    from orch_nb.store.memory import MemoryStore as MemoryStore
    from orch_nb.store.runs import RunRow as RunRow
    from orch_nb.store.sqlite import SqliteStore as SqliteStore
    from orch_nb.tools.function import node as node
    from orch_nb.tools.registry import Tool as Tool
    from orch_nb.tools.registry import tool as tool
    from orch_nb.trace.bill import Bill as Bill
    from orch_nb.trace.diff import RunDiff as RunDiff
    from orch_nb.trace.run_view import RunView as RunView
else:

    def __getattr__(name: str) -> object:
        where = _WHERE.get(name)
        if where is None:
            raise AttributeError(f"module `orch_nb` has no attribute `{name}`")
        value = getattr(import_module(where), name)
        globals()[name] = value
        return value
