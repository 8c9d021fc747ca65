"""How much one connection may send, and how many connections one address may open."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from config import Settings

BURST_SECONDS = 10
"""A connection may send the allowance of this time at once: a portal page watches 100 payments."""


@dataclass(frozen=True)
class Rates:
    """How many messages and bytes per second one connection may send."""

    messages: int
    bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Rates:
        """The rates that the operator has set."""
        return cls(settings.socket_messages_per_second, settings.socket_bytes_per_second)


class Allowance:
    """Two token buckets of one connection, by the monotonic clock; used by one task at a time."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the allowance of BURST_SECONDS."""
        self._rates = rates
        self._clock = clock
        self._messages = float(rates.messages * BURST_SECONDS)
        self._bytes = float(rates.bytes * BURST_SECONDS)
        self._counted_at = clock()

    def take(self, messages: int, size: int) -> bool:
        """Count messages and bytes; False if the connection has sent too much."""
        now = self._clock()
        passed, self._counted_at = now - self._counted_at, now
        rates = self._rates
        self._messages = min(
            self._messages + passed * rates.messages, rates.messages * BURST_SECONDS
        )
        self._bytes = min(self._bytes + passed * rates.bytes, rates.bytes * BURST_SECONDS)
        self._messages -= messages
        self._bytes -= size
        return self._messages >= 0 and self._bytes >= 0


class Connections:
    """The open connections of this process, counted by the client's network."""

    def __init__(self, per_address_max: int) -> None:
        """Allow each network so many connections."""
        self._max = per_address_max
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def is_full(self, network: str) -> bool:
        """Whether the network may open no more connections."""
        return self._counts.get(network, 0) >= self._max

    def enter(self, network: str) -> bool:
        """Count a connection; False, and nothing counted, if the network has too many."""
        with self._lock:
            if self._counts[network] >= self._max:
                return False
            self._counts[network] += 1
            return True

    def leave(self, network: str) -> None:
        """Count a connection no longer."""
        with self._lock:
            self._counts[network] -= 1
            if self._counts[network] <= 0:
                del self._counts[network]
