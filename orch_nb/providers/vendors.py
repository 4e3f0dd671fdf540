"""Known vendors: where they are, which environment variable holds their key, and which adapter speaks to them.

All are spoken to as OpenAI's chat completions, but for Anthropic and Google, who have adapters of their own: their
OpenAI-compatible interfaces do not have every feature (Anthropic's ignores the schema of an answer).

Addresses are those of the vendors' own documentation, read in November 2026.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orch_nb.errors import UnknownModel, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.providers.anthropic.messages import AnthropicMessages
    from orch_nb.providers.gemini.generate import Gemini
    from orch_nb.providers.openai.chat import OpenAIChat

ADDRESSES = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "x-ai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "google": ("https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
}
"""Provider -> (base URL, environment variable of its key). ``ORCH_<NAME>_URL`` in the environment overrides the URL."""

OWN_SERVERS = {
    "ollama": "http://127.0.0.1:11434/v1",
    "llamacpp": "http://127.0.0.1:8080/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}
"""Servers of one's own, where their programs listen unless told otherwise. ``ORCH_<NAME>_URL`` overrides the address and
``ORCH_<NAME>_KEY`` holds a key where the server wants one."""


def unknown_hint(name: str, others: Iterable[str] = ()) -> str:
    """Return what to do about an unknown provider: the nearest name, and how a cell adds one."""
    known = [*ADDRESSES, *OWN_SERVERS, "local", "echo", *others]
    near = nearest(name, known)
    first = f"did you mean `{near}`?" if near else f"known: {', '.join(dict.fromkeys(known))};"
    return (
        f"{first} A server of your own is given in a cell: "
        "`from orch_nb import providers, runtime`, then "
        f'`runtime.current().add_provider(providers.OpenAIChat("{name[:40]}", "http://127.0.0.1:8000/v1"))`'
    )


def vendor(name: str) -> OpenAIChat | AnthropicMessages | Gemini:
    """The adapter of a known vendor.

    Raises
    ------
    UnknownModel
        The vendor's interface is another one, or its address is not known here.
    """
    if name in OWN_SERVERS:
        return _own_server(name)
    if name not in ADDRESSES:
        raise UnknownModel(
            f"provider `{name}` has no adapter here.",
            hint=unknown_hint(name),
        )
    url, variable = ADDRESSES[name]
    url, key = os.environ.get(f"ORCH_{name.upper().replace('-', '_')}_URL", url), f"env:{variable}"
    if name == "anthropic":
        from orch_nb.providers.anthropic.messages import AnthropicMessages

        return AnthropicMessages(name, url, key=key)
    if name == "google":
        from orch_nb.providers.gemini.generate import Gemini

        return Gemini(name, url, key=key)
    from orch_nb.providers.openai.chat import OpenAIChat

    return OpenAIChat(name, url, key=key)


def _own_server(name: str) -> OpenAIChat:
    from orch_nb.providers.openai.chat import OpenAIChat

    prefix = f"ORCH_{name.upper()}"
    key = f"env:{prefix}_KEY" if os.environ.get(f"{prefix}_KEY") else None
    return OpenAIChat(name, os.environ.get(f"{prefix}_URL", OWN_SERVERS[name]), key=key)
