"""One Redis channel between the processes of a service, so that all announce what one commits.

Nothing is queued here. A process that missed messages (its connection broke, Redis restarted) reads
them from the stored events when it subscribes again.

With sentinels there is a second way to miss messages. The primary changes, and one process
publishes to the new one while another still listens at the old one, which may live on, cut off. So
each process asks the sentinels: it leaves a server that most of them no longer name, and an event
counts as announced only if the server that took it is still the primary (`Channel.reached`).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from redis import Redis, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from core.clock import parse_rfc3339, rfc3339
from core.errors import BalcaoError
from core.runtime.redis_pools import (
    Address,
    end_subscription,
    named_primary,
    open_client,
    primary_of,
    reconnect,
)
from core.runtime.sentinel_url import is_sentinel_url
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

WATCH_SECONDS = 1.0
"""The pause between questions to the sentinels which server is the primary."""


class PublishFailed(Exception):
    """Redis did not take an event, so other processes could not announce it."""


def connect(url: str, retries: int = 0) -> Redis:
    """A client that fails within ANSWER_SECONDS; see `open_pool`."""
    return open_client(url, ANSWER_SECONDS, retries)


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
        self.has_sentinels = is_sentinel_url(url)
        self._step_seconds = WATCH_SECONDS if self.has_sentinels else PULSE_SECONDS
        self._last_primary: tuple[Address, datetime] | None = None
        """The primary, and when the sentinels were asked."""
        self._stopped = threading.Event()
        self._subscription: Any = None

    def publish(self, event: StoredEvent) -> Address | None:
        """Publish an event; return the primary that took it, for `reached`.

        Raises PublishFailed, without waiting if Redis has just failed.
        """
        if time.monotonic() < self._away_until:
            raise PublishFailed
        try:
            self._publisher.publish(self._names[0], _serialize(event))
        except (RedisError, OSError) as error:
            self._note(away_until=time.monotonic() + AWAY_SECONDS)
            raise PublishFailed from error
        if self._away_until:
            self._note(away_until=0.0)
        return primary_of(self._publisher.connection_pool)

    def reached(self, addresses: set[Address | None]) -> bool | None:
        """Whether events that these servers took have reached the other processes.

        False if the primary has changed since, so that some processes may have listened elsewhere.
        None if that is not known: not enough sentinels answer. Without sentinels always True.
        """
        if not self.has_sentinels:
            return True
        primary = named_primary(self._publisher.connection_pool)
        return None if primary is None else addresses <= {primary}

    def answers(self) -> bool:
        """Whether Redis answers now, and is the primary."""
        pool = self._publisher.connection_pool
        try:
            reconnect(pool)
            self._publisher.ping()
        except (RedisError, OSError):
            return False
        if not self.reached({primary_of(pool)}):
            return False
        self._note(away_until=0.0)
        return True

    def listen(
        self,
        on_event: Callable[[StoredEvent], None],
        catch_up: Callable[[datetime], None],
        now: Callable[[], datetime],
    ) -> None:
        """Listen until `stop`; after each gap call `catch_up` with the time it may begin at."""
        try:
            self._listen(on_event, catch_up, now)
        finally:
            if not self._stopped.is_set():
                self._note(is_deaf=True)

    def stop(self) -> None:
        """End `listen` and `watch_primary`, because the process stops."""
        self._stopped.set()
        if self._subscription is not None:
            end_subscription(self._subscription)

    def _listen(
        self,
        on_event: Callable[[StoredEvent], None],
        catch_up: Callable[[datetime], None],
        now: Callable[[], datetime],
    ) -> None:
        last_message_at = self._primary_at = now()
        warned = False
        while not self._stopped.is_set():
            try:
                with self._listener.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    began_at = now()
                    self._subscription = subscription
                    subscription.subscribe(*self._names)
                    for message in _messages(subscription, self._step_seconds):
                        if self._stopped.is_set():
                            return
                        if message is not None:
                            if message["type"] == "subscribe":
                                catch_up(self._heard_until(last_message_at))
                                warned = False
                                self._note(is_deaf=False)
                            elif message["type"] == "message":
                                _deliver(message["data"], on_event)
                            last_message_at = now()
                            if 0 < self._away_until < time.monotonic():
                                # It answers here, so publishing may work.
                                self._note(away_until=0.0)
                        self._check_primary(subscription.connection, began_at)
            except (RedisError, OSError, BalcaoError) as error:
                if self._stopped.is_set():
                    return
                self._note(is_deaf=True)
                if not warned:
                    log.warning("channel.deaf", cause=type(error).__name__)
                warned = True
            self._stopped.wait(RETRY_SECONDS)

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

    def watch_primary(self, now: Callable[[], datetime]) -> None:
        """Ask the sentinels until `stop` which server is the primary, for `listen`."""
        while not self._stopped.is_set():
            at = now()
            if (primary := named_primary(self._listener.connection_pool)) is not None:
                self._last_primary = (primary, at)
            self._stopped.wait(WATCH_SECONDS)

    def _heard_until(self, last_message_at: datetime) -> datetime:
        return min(last_message_at, self._primary_at) if self.has_sentinels else last_message_at

    def _check_primary(self, connection: Any, began_at: datetime) -> None:
        """Note that we listen to the primary. Raises RedisConnectionError if it is another server.

        The other server's connection may work: it does not know yet that it was replaced.
        """
        if not self.has_sentinels:
            return
        if self._last_primary is None or self._last_primary[1] < began_at:
            return
        primary, at = self._last_primary
        if primary != (connection.host, connection.port):
            raise RedisConnectionError("another server is the primary now")
        self._primary_at = at


def _digest(service: str) -> str:
    return hashlib.sha256(f"balcao events {service}".encode()).hexdigest()[:32]


def _messages(subscription: Any, step_seconds: float) -> Any:
    """Every message, the answers to our pings, and None after each step without one.

    Raises RedisConnectionError if a ping has no answer within PULSE_SECONDS.
    """
    has_pinged = False
    silent_since = time.monotonic()
    while True:
        message = subscription.get_message(timeout=step_seconds)
        # A step may end some milliseconds early.
        is_silent = time.monotonic() - silent_since >= PULSE_SECONDS - 0.1
        if message is not None:
            has_pinged, silent_since = False, time.monotonic()
        elif is_silent and has_pinged:
            raise RedisConnectionError("no answer to a ping")
        elif is_silent:
            subscription.ping()
            has_pinged, silent_since = True, time.monotonic()
        yield message


def _deliver(data: bytes, on_event: Callable[[StoredEvent], None]) -> None:
    try:
        event = _parse(data)
    except (ValueError, TypeError, AttributeError):
        log.warning("channel.unreadable", length=len(data))
        return
    on_event(event)


def _serialize(event: StoredEvent) -> str:
    fields = event._asdict()
    for stored_only in ("reason", "author", "state"):
        del fields[stored_only]
    return json.dumps({**fields, "occurred_at": rfc3339(event.occurred_at)})


def _parse(data: bytes) -> StoredEvent:
    fields = json.loads(data)
    fields["name"] = EventName(fields["name"])
    fields["occurred_at"] = parse_rfc3339(fields["occurred_at"])
    return StoredEvent(**fields)
