"""What can be asked: a model of a provider, under the notebook's own name for it."""

from __future__ import annotations

from dataclasses import dataclass

FREE_PROVIDERS = frozenset({"local", "echo", "scripted", "ollama", "vllm", "llamacpp"})
"""Providers that run in this process or are the user's own servers: nobody bills them, so their price is known to be 0.

A GGUF file named by its path is of the provider ``local:NAME``, as free as ``local``."""


@dataclass(slots=True, frozen=True)
class Offer:
    """One model that the notebook may call.

    Parameters
    ----------
    name
        The notebook's own name for it ("small", "big"): what cells and files say.
    model
        The provider's id of the model: what is sent.
    provider
        Name of the adapter ("openai", "local", "echo", …).
    price_ref
        ``provider/model`` in the price data, when they are called otherwise there; "" for the same.
    context_tokens
        Size of the context window in tokens, prompt and answer together; None when unknown.
    json, tools
        Whether its interface enforces a JSON Schema, and takes tools. What a model cannot do is said in the prompt
        instead (schema) or warned of (tools).
    family
        The key of its measured abilities ("smollm2-135m"); "" when nothing was measured.
    note
        One clause for people: why this name stands for this model.
    is_planned
        Whether it is the model that the plan of a run recorded, while its name means another model now: a price that is set for
        the name is not its price.
    """

    name: str
    model: str
    provider: str
    price_ref: str = ""
    context_tokens: int | None = None
    json: bool = True
    tools: bool = True
    family: str = ""
    note: str = ""
    is_planned: bool = False

    @property
    def is_free(self) -> bool:
        """True if it is free: it runs in this process, or on a server of the user's own."""
        return self.is_local or self.provider in FREE_PROVIDERS

    @property
    def is_local(self) -> bool:
        """True if it computes in this machine: the embedded model, or a GGUF file of the user's own (``local:NAME``)."""
        return self.provider == "local" or self.provider.startswith("local:")

    def definition(self) -> dict[str, object]:
        """Return what a plan keeps of it."""
        made = {
            "name": self.name,
            "provider": self.provider,
            "model": self.model,
            "json": self.json,
            "tools": self.tools,
            "context_tokens": self.context_tokens,
        }
        return {**made, "price_ref": self.price_ref} if "/" in self.price_ref else made
