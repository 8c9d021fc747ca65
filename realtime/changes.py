"""Tell the other processes through Redis that accounts or credentials have changed, and hear it.

On a connection of its own, apart from the events of payments: a message has no content, and what
was missed needs no catching up, because `repository.recent_callers` reuses nothing for long.

With sentinels a listener may be connected to a server that is no longer the primary, while the
others publish at the new one. So each process asks the sentinels, and counts as hearing only while
it listens at the primary that most of them name.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from redis import RedisError

from config import Settings
from core.runtime.parts import Parts
from core.runtime.redis_pools import Address, end_subscription, named_primary
from core.runtime.sentinel_url import is_sentinel_url
from realtime.channel import WATCH_SECONDS, connect

log = structlog.get_logger()

AWAY_SECONDS = 1.0
RETRY_SECONDS = 0.5
PULSE_SECONDS = 1.0
"""The silence after which the listener pings; without an answer in the same time it is deaf."""
PRIMARY_SECONDS = WATCH_SECONDS + 0.5
"""How long the sentinels' word holds, from the moment of the question."""


class Changes:
    """The channel of changes of one service."""

    def __init__(
        self, url: str, secrets: list[str], start: Callable[..., object], forget: Callable[[], None]
    ) -> None:
        """Publish under the first secret, hear all of them; `start` runs a background task."""
        self._publisher = connect(url, retries=1)
        # A lost connection must raise: redis-py would subscribe again and hide the missed messages.
        self._listener = connect(url)
        number = self._publisher.connection_pool.connection_kwargs.get("db", 0)
        self._names = [f"balcao:{number}:changes:{_digest(one)}" for one in secrets]
        self._start = start
        self._forget = forget
        self._is_started = False
        self._is_subscribed = False
        self._has_sentinels = is_sentinel_url(url)
        self._listens_at: Address | None = None
        self._primary: tuple[Address | None, float] = (None, 0.0)
        """The primary, and until when the sentinels' word holds (monotonic)."""
        self._away_until = 0.0
        self._stopped = threading.Event()
        self._subscription: Any = None

    def hears(self) -> bool:
        """Whether this process is subscribed now, at the primary; the first question subscribes."""
        if not self._is_started:
            self._is_started = True
            self._start(self._listen)
            if self._has_sentinels:
                self._start(self._watch_primary)
        return self._is_subscribed and (not self._has_sentinels or self._is_at_primary())

    def _is_at_primary(self) -> bool:
        address, until = self._primary
        return address == self._listens_at and time.monotonic() < until

    def publish(self) -> None:
        """Tell of a change, without waiting if Redis has just failed."""
        if time.monotonic() < self._away_until:
            return
        try:
            self._publisher.publish(self._names[0], "")
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("changes.unheard", cause=type(error).__name__)

    def stop(self) -> None:
        """Hear nothing more, because the process stops; so nothing is remembered either."""
        self._stopped.set()
        if self._subscription is not None:
            end_subscription(self._subscription)

    def _watch_primary(self) -> None:
        """Ask the sentinels until `stop`, and leave a server that is no longer the primary."""
        while not self._stopped.is_set():
            at = time.monotonic()
            address = named_primary(self._listener.connection_pool)
            if address is not None:
                if not self._is_at_primary():
                    self._forget()  # a change may have been published elsewhere meanwhile
                self._primary = (address, at + PRIMARY_SECONDS)
                if self._is_subscribed and address != self._listens_at:
                    end_subscription(self._subscription)
            self._stopped.wait(WATCH_SECONDS)

    def _listen(self) -> None:
        """Listen until `stop`, and forget at each message and after each gap."""
        while not self._stopped.is_set():
            try:
                self._listen_once()
            except (RedisError, OSError) as error:
                if not self._stopped.is_set():
                    log.info("changes.deaf", cause=type(error).__name__)
            finally:
                self._is_subscribed = False
            self._stopped.wait(RETRY_SECONDS)

    def _listen_once(self) -> None:
        missing, has_pinged = {name.encode() for name in self._names}, False
        with self._listener.pubsub() as subscription:  # type: ignore[no-untyped-call]
            self._subscription = subscription
            subscription.subscribe(*self._names)
            while not self._stopped.is_set():
                message: Any = subscription.get_message(timeout=PULSE_SECONDS)
                if message is None:
                    if has_pinged:
                        return
                    subscription.ping()
                    has_pinged = True
                    continue
                has_pinged = False
                if message["type"] in ("message", "subscribe"):
                    self._forget()
                if message["type"] == "subscribe":
                    if self._has_sentinels:
                        self._listens_at = (
                            subscription.connection.host,
                            subscription.connection.port,
                        )
                    missing.discard(message["channel"])
                    self._is_subscribed = not missing


def connect_changes(settings: Settings, parts: Parts) -> None:
    """Let the memory of callers hear of changes, if there is Redis."""
    if settings.redis_url is None:
        return
    callers = parts.ledger.callers
    secrets = [one for one in (settings.secret_key, settings.secret_key_previous) if one]
    start = parts.socketio.start_background_task
    changes = Changes(settings.redis_url, secrets, start, callers.forget)
    callers.hears, callers.publish, callers.stop = changes.hears, changes.publish, changes.stop


def _digest(secret: str) -> str:
    return hashlib.sha256(f"balcao changes {secret}".encode()).hexdigest()[:32]
