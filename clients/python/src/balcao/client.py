"""The client: `Balcao(url, api_key)` with `payments`, `events` and `webhooks`."""

from __future__ import annotations

import os

from balcao.events import Events
from balcao.payments import Payments
from balcao.transport import RetryPolicy, Transport
from balcao.webhooks import Webhooks

DEFAULT_URL = "http://127.0.0.1:5000"


class Balcao:
    """A merchant's access to one Balcão. Threads may share it."""

    payments: Payments
    events: Events
    webhooks: Webhooks

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Without arguments, BALCAO_URL and BALCAO_API_KEY of the environment; "" is no key.

        `timeout` is in seconds, for connecting and for each wait for data. Raises ValueError for a
        malformed address or key.
        """
        self.transport = Transport(
            url or os.environ.get("BALCAO_URL") or DEFAULT_URL,
            (os.environ.get("BALCAO_API_KEY") if api_key is None else api_key) or None,
            timeout=timeout,
            retries=retries,
        )
        self.payments = Payments(self.transport)
        self.events = Events(self.transport)
        self.webhooks = Webhooks(self.transport)
