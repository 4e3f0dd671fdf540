"""Known vendors and servers: where they are, which environment variable has their key, and which interface they speak.

A vendor that speaks OpenAI's chat completions is one line here. Anthropic and Google have adapters of their own, because their
OpenAI-compatible interfaces do not have every feature (Anthropic's ignores the schema of an answer).

Addresses are those of the vendors' own documentation, read in November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True, frozen=True)
class Vendor:
    """A vendor of models, or a server of one's own.

    Parameters
    ----------
    url
        The base address. ``ORCH_<NAME>_URL`` in the environment overrides it.
    key
        The environment variable of the key; "" for a server of one's own, whose ``ORCH_<NAME>_KEY`` may hold one.
    interface
        The adapter that speaks to it.
    """

    url: str
    key: str = ""
    interface: Literal["openai", "anthropic", "gemini"] = "openai"


VENDORS = {
    "openai": Vendor("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Vendor("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "anthropic"),
    "google": Vendor("https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY", "gemini"),
    "groq": Vendor("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Vendor("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": Vendor("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together": Vendor("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": Vendor("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "openrouter": Vendor("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "x-ai": Vendor("https://api.x.ai/v1", "XAI_API_KEY"),
    "cerebras": Vendor("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "ollama": Vendor("http://127.0.0.1:11434/v1"),
    "vllm": Vendor("http://127.0.0.1:8000/v1"),
    "llamacpp": Vendor("http://127.0.0.1:8080/v1"),
}
"""Provider -> vendor."""
