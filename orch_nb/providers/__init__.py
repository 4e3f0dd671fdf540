"""Adapters to models: chat over HTTP, the local model, in-process embeddings, and fakes to test with.

Names are resolved on first use, so that importing this package loads neither httpx nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch_nb.providers.anthropic.messages import AnthropicMessages
    from orch_nb.providers.fakes import EchoProvider, ScriptedProvider
    from orch_nb.providers.gemini.generate import Gemini
    from orch_nb.providers.local_models.embeddings import HashingEmbedder, MiniLMEmbedder, default_embedder
    from orch_nb.providers.local_models.install import install_smollm2
    from orch_nb.providers.local_models.local import LocalModel
    from orch_nb.providers.openai.chat import OpenAIChat

_HOMES = {
    "AnthropicMessages": "anthropic.messages",
    "EchoProvider": "fakes",
    "Gemini": "gemini.generate",
    "HashingEmbedder": "local_models.embeddings",
    "LocalModel": "local_models.local",
    "MiniLMEmbedder": "local_models.embeddings",
    "OpenAIChat": "openai.chat",
    "ScriptedProvider": "fakes",
    "default_embedder": "local_models.embeddings",
    "install_smollm2": "local_models.install",
}

__all__ = [
    "AnthropicMessages",
    "EchoProvider",
    "Gemini",
    "HashingEmbedder",
    "LocalModel",
    "MiniLMEmbedder",
    "OpenAIChat",
    "ScriptedProvider",
    "default_embedder",
    "install_smollm2",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
