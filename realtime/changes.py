"""Tell the other processes through Redis that accounts or credentials have changed, and hear it.

On a connection of its own, apart from the events of payments: a message has no content, and what
was missed needs no catching up, because `repository.recent_callers` reuses nothing for long.
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
from core.runtime.redis_pools import end_subscription
from realtime.channel import connect

log = structlog.get_logger()

AWAY_SECONDS = 1.0
RETRY_SECONDS = 0.5
PULSE_SECONDS = 1.0
"""The silence after which the listener pings; without an answer in the same time it is deaf."""


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
        self._away_until = 0.0
        self._stopped = threading.Event()
        self._subscription: Any = None

    def hears(self) -> bool:
        """Whether this process is subscribed now; the first question subscribes."""
        if not self._is_started:
            self._is_started = True
            self._start(self._listen)
        return self._is_subscribed

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
