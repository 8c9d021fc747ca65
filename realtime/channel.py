"""One Redis channel between the processes of a service, so that all announce what one commits.

Nothing is queued here. A process that missed messages (its connection broke, Redis restarted) reads
them from the stored events when it subscribes again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from core.clock import parse_rfc3339, rfc3339
from core.errors import BalcaoError
from db_models import EventName
from repository.events import StoredEvent

log = structlog.get_logger()

ANSWER_SECONDS = 0.5
"""The timeout of Redis; a confirmation waits for it once, then not again for AWAY_SECONDS."""

AWAY_SECONDS = 1.0
RETRY_SECONDS = 0.5
"""The pause between attempts to subscribe: constant, because watchers wait for it."""

PULSE_SECONDS = 2.0
"""The silence after which the listener pings. It finds a dead connection after twice this time, and
pages poll rarely until then."""


class PublishFailed(Exception):
    """Redis did not take an event, so other processes could not announce it."""


def connect(url: str, retries: int = 0) -> Redis:
    """A client that fails within a second, where redis-py by default would retry for many.

    `retries` are for broken connections, not for timeouts. Opens no connection yet. Raises
    ValueError for an invalid URL.
    """
    retry = Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
    return Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=retry
    )


class Channel:
    """Publishes events to the other processes, and listens for theirs."""

    def __init__(self, url: str, service: str, previous_service: str | None = None) -> None:
        """`service` is a secret that the processes of this service share with no other service.

        While it is replaced, some processes publish under the previous one: they are heard too.
        """
        self._publisher = connect(url, retries=1)
        # A lost connection must raise: redis-py would subscribe again and hide the missed messages.
        self._listener = connect(url)
        # Redis shares channels between its numbered databases; two services must not share one.
        number = self._publisher.connection_pool.connection_kwargs.get("db", 0)
        self._names = [
            f"balcao:{number}:{_digest(one)}" for one in (service, previous_service) if one
        ]
        self._away_until = 0.0
        """When to try to publish again; 0 while Redis takes events."""
        self._is_deaf = True
        self._is_late = True
        self.on_late: Callable[[bool], None] = lambda _is_late: None
        """Called when events may come late from now on, and when they no longer do."""

    def publish(self, event: StoredEvent) -> None:
        """Publish an event. Raises PublishFailed, without waiting if Redis has just failed."""
        if time.monotonic() < self._away_until:
            raise PublishFailed
        try:
            self._publisher.publish(self._names[0], _serialize(event))
        except (RedisError, OSError) as error:
            self._note(away_until=time.monotonic() + AWAY_SECONDS)
            raise PublishFailed from error
        if self._away_until:
            self._note(away_until=0.0)

    def answers(self) -> bool:
        """Whether Redis answers now."""
        try:
            self._publisher.ping()
        except (RedisError, OSError):
            return False
        self._note(away_until=0.0)
        return True

    def listen(
        self,
        on_event: Callable[[StoredEvent], None],
        catch_up: Callable[[datetime], None],
        now: Callable[[], datetime],
    ) -> None:
        """Listen for ever; call `catch_up` with the time of the last message after each gap."""
        try:
            self._listen(on_event, catch_up, now)
        finally:
            self._note(is_deaf=True)

    def _listen(
        self,
        on_event: Callable[[StoredEvent], None],
        catch_up: Callable[[datetime], None],
        now: Callable[[], datetime],
    ) -> None:
        last_message_at = now()
        warned = False
        while True:
            try:
                with self._listener.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(*self._names)
                    for message in _messages(subscription):
                        if message["type"] == "subscribe":
                            catch_up(last_message_at)
                            warned = False
                            self._note(is_deaf=False)
                        elif message["type"] == "message":
                            _deliver(message["data"], on_event)
                        last_message_at = now()
                        if 0 < self._away_until < time.monotonic():
                            self._note(away_until=0.0)  # it answers here, so publishing may work
            except (RedisError, OSError, BalcaoError) as error:
                self._note(is_deaf=True)
                if not warned:
                    log.warning("channel.deaf", cause=type(error).__name__)
                warned = True
            time.sleep(RETRY_SECONDS)

    def _note(self, *, is_deaf: bool | None = None, away_until: float | None = None) -> None:
        """Remember what was found out about Redis, and report a change."""
        if is_deaf is not None:
            self._is_deaf = is_deaf
        if away_until is not None:
            self._away_until = away_until
        is_late = self._is_deaf or self._away_until > 0
        if is_late is not self._is_late:
            self._is_late = is_late
            self.on_late(is_late)


def _digest(service: str) -> str:
    return hashlib.sha256(f"balcao events {service}".encode()).hexdigest()[:32]


def _messages(subscription: Any) -> Any:
    """Every message, and the answers to our pings. Raises RedisConnectionError without them."""
    has_pinged = False
    while True:
        message = subscription.get_message(timeout=PULSE_SECONDS)
        if message is not None:
            has_pinged = False
            yield message
        elif has_pinged:
            raise RedisConnectionError("no answer to a ping")
        else:
            subscription.ping()
            has_pinged = True


def _deliver(data: bytes, on_event: Callable[[StoredEvent], None]) -> None:
    try:
        event = _parse(data)
    except (ValueError, TypeError, AttributeError):
        log.warning("channel.unreadable", length=len(data))
        return
    on_event(event)


def _serialize(event: StoredEvent) -> str:
    fields = asdict(event)
    for stored_only in ("reason", "author", "state"):
        del fields[stored_only]
    return json.dumps({**fields, "occurred_at": rfc3339(event.occurred_at)})


def _parse(data: bytes) -> StoredEvent:
    fields = json.loads(data)
    fields["name"] = EventName(fields["name"])
    fields["occurred_at"] = parse_rfc3339(fields["occurred_at"])
    return StoredEvent(**fields)
