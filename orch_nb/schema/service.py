"""The service of a call: the provider's service tier, speed and region, in the words of its interface. Each may have a price."""

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
"""Fields of requests and replies (OpenAI and compatible, Google, Anthropic) -> the name in the price data."""

ORDINARY = frozenset(
    {"", "auto", "default", "standard", "standard_only", "unspecified", "scale", "on_demand", "global", "not_available"}
)
"""Words for service at the list price. Capacity that was paid in advance (``scale``) costs no more."""


def service_in(fields: Mapping[str, object]) -> dict[str, str]:
    """Return the service in these fields, including ordinary words; ignore values that are not text.

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
    """Return the part of a service that is not ordinary and may have its own price."""
    return {name: word for name, word in service.items() if word not in ORDINARY}


def in_words(service: Mapping[str, str]) -> str:
    """Return a service as one clause.

    Examples
    --------
    >>> in_words({"service_tier": "priority", "speed": "fast"})
    'service tier priority, speed fast'
    """
    return ", ".join(f"{name.replace('_', ' ')} {word}" for name, word in service.items())
