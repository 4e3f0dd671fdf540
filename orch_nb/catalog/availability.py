"""What this process has seen of providers lately: which of them fail, and how long their models take.

Routers pass over what is down. An agent with one model waits for it instead: while a provider's circuit is open, one call
at a time tries it, at growing distances, and the others wait for what comes of that.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILURES = 3
"""Failures in a row after which a provider's circuit is open: one may be chance, and a node retries thrice."""
FIRST_COOLDOWN_S, COOLDOWN_S = 1.0, 30.0
"""Seconds for which a circuit that has just opened refuses; then one call may try, and closes it or opens it again, each
time for twice as long, up to the second figure. A provider that is down for a minute is so tried six times."""
REMEMBERED = 50
"""Calls of a model whose seconds are kept."""
DOWN = frozenset({"ProviderUnavailable", "ProviderTimeout", "RateLimited", "AuthFailed", "MalformedReply"})
"""Errors that say something of the provider. A refused request or a too long prompt says something of the request."""
WORTH_WAITING = frozenset({"ProviderUnavailable", "ProviderTimeout"})
"""Of them, those that pass by themselves and name no time of their own."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    last: str = ""
    opened_at: float | None = None
    probe: object | None = None
    """Stands for the call that tries the provider now."""


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
            if circuit.failures >= FAILURES:
                circuit.opened_at = self.clock()

    def why_not(self, provider: str) -> str:
        """Return why nothing should be asked of a provider now; "" when it may be asked."""
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.opened_at is None:
            return ""
        left = self._seconds_left(circuit)
        failed = f"`{provider}` failed {circuit.failures} times in a row, last with {circuit.last}"
        if left > 0:
            return f"{failed}; it is tried again in {left:.0f} s"
        return "" if circuit.probe is None else f"{failed}; one call is trying it now"

    @contextmanager
    def trying(self, provider: str) -> Iterator[None]:
        """Stand for a call to `provider` while it is under way; where the circuit is open, the first such call is its probe.

        The probe ends with its call, however that ends: an answer, a refusal, an error of any class, a cancellation.
        """
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.opened_at is None or circuit.probe is not None:
            yield
            return
        mine = circuit.probe = object()
        try:
            yield
        finally:
            if circuit.probe is mine:  # `try_again` may have let another call try meanwhile
                circuit.probe = None

    def wait_s(self, provider: str) -> float | None:
        """Seconds until the next call may try a provider that is down; 0 while another call is trying it. None: no wait."""
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.opened_at is None or circuit.last not in WORTH_WAITING:
            return None
        left = self._seconds_left(circuit)
        return left if left > 0 else None if circuit.probe is None else 0.0

    def try_again(self) -> None:
        """A person starts a run: whatever was seen, it may be tried now."""
        for circuit in self._circuits.values():
            if circuit.opened_at is not None:
                circuit.opened_at, circuit.probe = -COOLDOWN_S + self.clock(), None

    def _seconds_left(self, circuit: _Circuit) -> float:
        """Seconds for which an open circuit still refuses."""
        assert circuit.opened_at is not None
        grown = FIRST_COOLDOWN_S * 2.0 ** min(circuit.failures - FAILURES, 10)
        return circuit.opened_at + min(COOLDOWN_S, grown) - self.clock()

    def seconds(self, offer: str) -> tuple[float, int] | None:
        """(median seconds, calls) of an offer's recent calls that went well; None for none."""
        seen = self._seconds.get(offer)
        return (median(seen), len(seen)) if seen else None
