"""The adapter of a known vendor (`catalog.vendors`), made when a model of it is first called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orch_nb.catalog.vendors import VENDORS
from orch_nb.errors import UnknownModel, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.providers.anthropic.messages import AnthropicMessages
    from orch_nb.providers.gemini.generate import Gemini
    from orch_nb.providers.openai.chat import OpenAIChat


def unknown_hint(name: str, others: Iterable[str] = ()) -> str:
    """Return what to do about an unknown provider: the nearest name, and how a cell adds one."""
    known = [*VENDORS, "local", "echo", *others]
    near = nearest(name, known)
    first = f"did you mean `{near}`?" if near else f"known: {', '.join(dict.fromkeys(known))};"
    return (
        f"{first} A server of your own is given in a cell: "
        "`from orch_nb import providers, runtime`, then "
        f'`runtime.current().add_provider(providers.OpenAIChat("{name[:40]}", "http://127.0.0.1:8000/v1"))`'
    )


def vendor(name: str) -> OpenAIChat | AnthropicMessages | Gemini:
    """Return the adapter of a known vendor.

    Raises
    ------
    UnknownModel
        The vendor is not in the table.
    """
    known = VENDORS.get(name)
    if known is None:
        raise UnknownModel(f"provider `{name}` has no adapter here.", hint=unknown_hint(name))
    prefix = f"ORCH_{name.upper().replace('-', '_')}"
    variable = known.key or (f"{prefix}_KEY" if os.environ.get(f"{prefix}_KEY") else "")
    url, key = os.environ.get(f"{prefix}_URL", known.url), f"env:{variable}" if variable else None
    if known.interface == "anthropic":
        from orch_nb.providers.anthropic.messages import AnthropicMessages

        return AnthropicMessages(name, url, key=key)
    if known.interface == "gemini":
        from orch_nb.providers.gemini.generate import Gemini

        return Gemini(name, url, key=key)
    from orch_nb.providers.openai.chat import OpenAIChat

    return OpenAIChat(name, url, key=key)
