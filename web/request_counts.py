"""Bounds on how many requests one client may send in a minute, for every route.

They are generous, so that no page and no shop ever meets one, and cheap, because every request is
counted: in this process, in one dictionary for each minute. Limits of passwords and of recovery are
stricter, and shared between processes (`web.limits`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from flask import request

from config import Settings, current_parts
from core.errors import TooManyRequests
from web.limits import client_network, register_limit

WINDOW_SECONDS = 60
CLIENTS_MAX = 50_000
"""How many counts a process holds in a minute; further clients share one."""
UNBOUNDED = frozenset({"healthz", "readyz", "metrics_page"})
"""Endpoints for the operator's probes: a refusal would restart a service that works."""
OF_BANKS = frozenset(
    {
        "confirmation.confirm_payment",
        "qr.payload",
        "qr.key_set",
        "provider_callbacks.take_callback",
    }
)
"""Endpoints for banks, whose few addresses stand for all payers."""

REQUESTS = register_limit("requests")
BANK_REQUESTS = register_limit("bank-requests")
CREATIONS = register_limit("creations")
RENEWALS = register_limit("renewals")
CHECKS = register_limit("checks")
QR_IMAGES = register_limit("qr-images")
_OTHERS = "(others)"


class RequestCounts:
    """How many requests of each kind and client came in the present minute."""

    def __init__(
        self, on_breach: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Call `on_breach` once for each client, kind and minute; `clock` never goes back."""
        self._on_breach = on_breach
        self._clock = clock
        self._window = -1
        self._counts: dict[tuple[str, str], int] = {}

    def take(self, kind: str, client: str, maximum: int) -> None:
        """Count one request. Raises TooManyRequests with the seconds until the next minute."""
        now = self._clock()
        key, count = self._next(kind, client, now)
        self._counts[key] = count
        if count <= maximum:
            return
        if count == maximum + 1:
            self._on_breach(kind)
        raise TooManyRequests(math.ceil((self._window + 1) * WINDOW_SECONDS - now))

    def may_take(self, kind: str, client: str, maximum: int) -> bool:
        """Whether there is room for one more request of this client now."""
        return self._next(kind, client, self._clock())[1] <= maximum

    def take_if_free(self, kind: str, client: str, maximum: int) -> bool:
        """Count one request if there is room for it; whether there was."""
        key, count = self._next(kind, client, self._clock())
        if count > maximum:
            return False
        self._counts[key] = count
        return True

    def _next(self, kind: str, client: str, now: float) -> tuple[tuple[str, str], int]:
        """Under which key the client's next request counts, and the count with it."""
        window = int(now) // WINDOW_SECONDS
        if window != self._window:
            self._window, self._counts = window, {}
        counts, key = self._counts, (kind, client)
        count = counts.get(key, 0) + 1
        if count == 1 and len(counts) >= CLIENTS_MAX:
            key = (kind, _OTHERS)
            count = counts.get(key, 0) + 1
        return key, count


def request_bound(settings: Settings, counts: RequestCounts) -> Callable[[], None]:
    """The `before_request` hook that bounds every route but the operator's probes."""
    most, most_of_banks = settings.requests_per_minute, settings.bank_requests_per_minute

    def bound() -> None:
        endpoint = request.endpoint
        if endpoint in UNBOUNDED:
            return
        if endpoint in OF_BANKS:
            counts.take(BANK_REQUESTS, client_network(), most_of_banks)
        else:
            counts.take(REQUESTS, client_network(), most)

    return bound


def take(kind: str, maximum: int, client: str | None = None) -> None:
    """Count one request of a kind, for the client's network unless `client` names another.

    Raises TooManyRequests.
    """
    current_parts().request_counts.take(kind, client or client_network(), maximum)
