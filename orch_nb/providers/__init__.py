"""Adapters to models: chat over HTTP, the local model, in-process embeddings, and fakes to test with.

Names are resolved on first use, so that importing this package loads neither httpx nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_nb.providers.anthropic_messages import AnthropicMessages
    from orch_nb.providers.embeddings import HashingEmbedder, MiniLMEmbedder, default_embedder
    from orch_nb.providers.fakes import EchoProvider, ScriptedProvider
    from orch_nb.providers.gemini import Gemini
    from orch_nb.providers.install import install_smollm2
    from orch_nb.providers.local import LocalModel
    from orch_nb.providers.openai_chat import OpenAIChat

_HOMES = {
    "AnthropicMessages": "anthropic_messages",
    "EchoProvider": "fakes",
    "Gemini": "gemini",
    "HashingEmbedder": "embeddings",
    "LocalModel": "local",
    "MiniLMEmbedder": "embeddings",
    "OpenAIChat": "openai_chat",
    "ScriptedProvider": "fakes",
    "default_embedder": "embeddings",
    "install_smollm2": "install",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
