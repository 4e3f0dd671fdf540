"""What this process has seen of providers lately: which of them fail, and how long their models take.

Only routers look at it: an agent with one model asks that model, whatever was seen.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES = 3
"""Failures in a row after which a provider's circuit is open: one may be chance, and a node retries thrice."""
COOLDOWN_S = 30.0
"""Seconds for which an open circuit refuses; then one call may try, and closes or opens it again."""
REMEMBERED = 50
"""Calls of a model whose seconds are kept."""
DOWN = frozenset({"ProviderUnavailable", "ProviderTimeout", "RateLimited", "AuthFailed", "MalformedReply"})
"""Errors that say something of the provider. A refused request or a too long prompt says something of the request."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    last: str = ""
    opened_at: float | None = None
    is_probed: bool = False


@dataclass(slots=True)
class Availability:
    """Circuits by provider, seconds by offer. Used on one thread (the run loop's).

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _circuits: dict[str, _Circuit] = field(default_factory=dict)
    _seconds: dict[str, deque[float]] = field(default_factory=dict)

    def note(self, provider: str, offer: str, error: Any, seconds: float) -> None:
        """A call came back: `error` is its `ErrorInfo`, None where it went well."""
        if error is None:
            self._circuits.pop(provider, None)
            self._seconds.setdefault(offer, deque(maxlen=REMEMBERED)).append(seconds)
        elif error.type in DOWN:
            circuit = self._circuits.setdefault(provider, _Circuit())
            circuit.failures += 1
            circuit.last = error.type
            circuit.is_probed = False
            if circuit.failures >= FAILURES:
                circuit.opened_at = self.clock()

    def why_not(self, provider: str) -> str:
        """Why nothing should be asked of a provider now; "" when it may be asked."""
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.opened_at is None:
            return ""
        left = circuit.opened_at + COOLDOWN_S - self.clock()
        failed = f"`{provider}` failed {circuit.failures} times in a row, last with {circuit.last}"
        if left > 0:
            return f"{failed}; it is tried again in {left:.0f} s"
        return f"{failed}; one call is trying it now" if circuit.is_probed else ""

    def chosen(self, provider: str) -> None:
        """A call to this provider was chosen: where its circuit was open, this is the probe."""
        circuit = self._circuits.get(provider)
        if circuit is not None and circuit.opened_at is not None:
            circuit.is_probed = True

    def seconds(self, offer: str) -> tuple[float, int] | None:
        """(median seconds, calls) of an offer's recent calls that went well; None for none."""
        seen = self._seconds.get(offer)
        return (median(seen), len(seen)) if seen else None
