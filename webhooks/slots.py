"""How many requests run at once, and for whom, so that no receiver holds up another.

An endpoint whose last answer here was a quick success is in the fast lane and may get PER_ENDPOINT
requests at once. All others (new, slow, failing) get one request at a time, few for one merchant,
and together at most half of the slots; those that failed last get a quarter. So receivers that hang
for the whole timeout take neither the slots of those that work nor all slots of the new ones.

An endpoint that fails again and again is probed with growing pauses: its events wait, and cost
nothing, until one probe succeeds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from db_models import WebhookEndpoint

SLOTS = 24
"""Requests at once in one process."""
SLOW_SLOTS = SLOTS // 2
"""How many of them the endpoints outside of the fast lane have together."""
FAILING_SLOTS = SLOTS // 4
"""How many the endpoints have together that failed last."""
PER_MERCHANT = 8
SLOW_PER_MERCHANT = 2
"""Requests at once to endpoints of one merchant outside of the fast lane."""
PER_ENDPOINT = 4
"""Requests at once to one endpoint of the fast lane; after a kill as many wait for their lease."""
QUICK_SECONDS = 1.0
"""A success within this time puts an endpoint into the fast lane."""
FAILURES_FREE = 3
"""Failures in a row before the first pause."""
PROBE_SECONDS, PROBE_MAX_SECONDS = 0.25, 5.0
"""The first pause, which doubles with each failure, and the longest.

A pause is at least as long as the failed request was: who hangs for 15 s then waits for 15 s.
"""
ENDPOINTS_MAX = 10_000
"""Endpoints that a process remembers; beyond that it forgets the one that it used least lately."""


@dataclass(frozen=True)
class Slot:
    """The right to send one request."""

    endpoint_id: int
    merchant_id: int
    is_slow: bool
    is_failing: bool


@dataclass
class _Health:
    """What this process knows of an endpoint."""

    is_quick: bool = False
    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    """The end of the pause, by the monotonic clock."""


class Slots:
    """The slots of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """All slots are free, and no endpoint is in the fast lane."""
        self.clock = clock
        """Never goes back; in seconds."""
        self._lock = threading.Lock()
        self._of_endpoint: Counter[int] = Counter()
        self._of_merchant: Counter[int] = Counter()
        self._slow = 0
        self._failing = 0
        self._slow_of_merchant: Counter[int] = Counter()
        self._total = 0
        self._health: OrderedDict[int, _Health] = OrderedDict()

    @property
    def in_use(self) -> int:
        """How many requests run now."""
        return self._total

    def take(self, endpoint: WebhookEndpoint) -> list[Slot]:
        """Take all slots that this endpoint may have now; none if it has its share, or a pause."""
        with self._lock:
            health = self._health.get(endpoint.id) or _Health()
            if self.clock() < health.not_before:
                return []
            slot = Slot(
                endpoint.id,
                endpoint.merchant_id,
                is_slow=not health.is_quick,
                is_failing=health.failures > 0,
            )
            free = min(
                (1 if slot.is_slow else PER_ENDPOINT) - self._of_endpoint[slot.endpoint_id],
                PER_MERCHANT - self._of_merchant[slot.merchant_id],
                SLOTS - self._total,
            )
            if slot.is_slow:
                own = SLOW_PER_MERCHANT - self._slow_of_merchant[slot.merchant_id]
                free = min(free, own, SLOW_SLOTS - self._slow)
            if slot.is_failing:
                free = min(free, FAILING_SLOTS - self._failing)
            slots = [slot] * max(0, free)
            self._count(slot, len(slots))
            return slots

    def free(self, slot: Slot) -> None:
        """Give a slot back."""
        with self._lock:
            self._count(slot, -1)

    def note(self, endpoint_id: int, *, is_success: bool, seconds: float) -> None:
        """Note how the receiver answered, and after how long; failures in a row begin a pause."""
        with self._lock:
            health = self._health.pop(endpoint_id, None) or _Health()
            self._health[endpoint_id] = health
            if len(self._health) > ENDPOINTS_MAX:
                self._health.popitem(last=False)
            health.is_quick = is_success and seconds <= QUICK_SECONDS
            health.failures = 0 if is_success else health.failures + 1
            health.not_before = 0.0
            repeated = health.failures - FAILURES_FREE
            if repeated >= 0:
                pause = min(PROBE_SECONDS * 2.0 ** min(repeated, 16), PROBE_MAX_SECONDS)
                health.not_before = self.clock() + max(pause, seconds)

    def is_pausing(self, endpoint_id: int) -> bool:
        """Whether the endpoint waits for its next probe."""
        with self._lock:
            health = self._health.get(endpoint_id)
            return health is not None and self.clock() < health.not_before

    def _count(self, slot: Slot, change: int) -> None:
        counts = [(self._of_endpoint, slot.endpoint_id), (self._of_merchant, slot.merchant_id)]
        if slot.is_slow:
            counts.append((self._slow_of_merchant, slot.merchant_id))
            self._slow += change
        if slot.is_failing:
            self._failing += change
        for counter, key in counts:
            counter[key] += change
            if counter[key] == 0:
                del counter[key]
        self._total += change
