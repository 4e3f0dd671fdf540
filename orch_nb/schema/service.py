"""How a provider serves a call: its service tier, speed and region, in the words of its interface. Each may have its price."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {
    "service_tier": "service_tier",
    "serviceTier": "service_tier",
    "speed": "speed",
    "inference_geo": "inference_geo",
}
"""Fields of requests and replies that say it -> the name that the price data use: OpenAI and those like it, Google, Anthropic."""

ORDINARY = frozenset(
    {"", "auto", "default", "standard", "standard_only", "unspecified", "scale", "on_demand", "global", "not_available"}
)
"""Words for what is served at the list price. Capacity that was paid in advance (``scale``) is none dearer."""


def service_in(fields: Mapping[str, object]) -> dict[str, str]:
    """The service that these fields ask for or report, ordinary words included; what is no text is passed over.

    Examples
    --------
    >>> service_in({"serviceTier": "SERVICE_TIER_PRIORITY", "speed": None, "prompt_tokens": 3})
    {'service_tier': 'priority'}
    """
    found = {}
    for field, name in KEYS.items():
        value = fields.get(field)
        if isinstance(value, str) and value.isascii() and value.isprintable():
            found[name] = value[:40].lower().removeprefix("service_tier_")
    return found


def special(service: Mapping[str, str]) -> dict[str, str]:
    """The part of a service that is not the ordinary one: what may have a price of its own."""
    return {name: word for name, word in service.items() if word not in ORDINARY}


def in_words(service: Mapping[str, str]) -> str:
    """A service as one clause.

    Examples
    --------
    >>> in_words({"service_tier": "priority", "speed": "fast"})
    'service tier priority, speed fast'
    """
    return ", ".join(f"{name.replace('_', ' ')} {word}" for name, word in service.items())
