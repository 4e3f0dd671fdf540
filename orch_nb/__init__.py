"""orch_nb: the notebook where multi-agent LLM workflows are designed, costed and proven.

``%load_ext orch_nb`` in a notebook; the same in Python::

    from orch_nb import Agent, Graph
    support = Graph("support").chain(triage, answer)
    run = await support.run(ticket="My payment failed")

Names are resolved on first use: importing `orch_nb` loads none of IPython, ipywidgets, networkx, matplotlib or httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "OrchError": "orch_nb.errors",
    "BudgetExceeded": "orch_nb.errors",
    "GraphError": "orch_nb.errors",
    "NotDone": "orch_nb.errors",
}

_VIEWS = {
    "bundle": (
        "orch_nb.analysis.claims.view",
        "orch_nb.analysis.compare.view",
        "orch_nb.analysis.forecast.view",
        "orch_nb.analysis.matrix.pairs_view",
        "orch_nb.analysis.matrix.view",
        "orch_nb.quote.view",
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
    """Import what draws objects as a "bundle" or a "figure": each view registers its functions."""
    for name in _VIEWS[form]:
        import_module(name)


display.fill_with(_load_views)


def _load_api() -> current.Api:
    """Import the functions that run, quote and compile."""
    from orch_nb import api

    return api


current.fill_with(_load_api)


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext orch_nb``: the magics, the banner, the next line to type."""
    from orch_nb.notebook.extension import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext orch_nb``: the magics are taken away; runs under way are stopped, and kept."""
    from orch_nb.notebook.extension import unload_ipython_extension as unload

    unload(ipython)


if TYPE_CHECKING:  # all names of `_WHERE`; without `__getattr__`, a checker says which names do not exist
    from orch_nb.agents.agent import Agent as Agent
    from orch_nb.analysis.claims.claim import claim as claim
    from orch_nb.analysis.forecast.forecast import forecast as forecast
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
    from orch_nb.catalog.offers import Offer as Offer
    from orch_nb.engine.drive import Expand as Expand
    from orch_nb.engine.plan import Plan as Plan
    from orch_nb.errors import BudgetExceeded as BudgetExceeded
    from orch_nb.errors import GraphError as GraphError
    from orch_nb.errors import NotDone as NotDone
    from orch_nb.errors import OrchError as OrchError
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
    from orch_nb.runtime.runtime import Runtime as Runtime
    from orch_nb.store.memory import MemoryStore as MemoryStore
    from orch_nb.store.sqlite import SqliteStore as SqliteStore
    from orch_nb.tools.function import node as node
    from orch_nb.tools.registry import Tool as Tool
    from orch_nb.tools.registry import tool as tool
else:

    def __getattr__(name: str) -> Any:
        where = _WHERE.get(name)
        if where is None:
            raise AttributeError(f"module `orch_nb` has no attribute `{name}`")
        value = getattr(import_module(where), name)
        globals()[name] = value
        return value
