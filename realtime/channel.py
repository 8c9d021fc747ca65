"""One Redis channel between the processes of a service: what one commits, all of them tell.

Nothing is queued here. A message that a process missed (its connection broke, Redis started again)
is read from the stored events as soon as it listens again.
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
from repository.events import Recorded

log = structlog.get_logger()

ANSWER_SECONDS = 0.5
"""What Redis may take; a confirmation waits for it once, then not again for AWAY_SECONDS."""

AWAY_SECONDS = 1.0
RETRY_SECONDS = 0.5
"""Between attempts to listen: constant, for watchers wait for it and Redis minds little."""

PULSE_SECONDS = 5.0
"""Silence after which the listener asks whether its connection still lives."""


class PublishFailed(Exception):
    """Redis did not take an event, so the watchers at other processes have not heard it."""


def connect(url: str, retries: int = 0) -> Redis:
    """A client that fails within a second where redis-py by itself would try for many.

    `retries` are for a connection that turns out broken, not for silence. Raises ValueError for an
    address that is none. Nothing is opened yet.
    """
    again = Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
    return Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=again
    )


class Channel:
    """Publishes events, and listens for those of the other processes."""

    def __init__(self, url: str, service: str) -> None:
        """`service` is a secret that its processes share, and no other service's do."""
        self._publisher = connect(url, retries=1)
        # A lost connection must surface here: redis-py would join again and hide what it missed.
        self._listener = connect(url)
        # Redis shares channels between its numbered databases; two services must not meet there.
        number = self._publisher.connection_pool.connection_kwargs.get("db", 0)
        name = hashlib.sha256(f"balcao events {service}".encode()).hexdigest()[:32]
        self._name = f"balcao:{number}:{name}"
        self._away_until = 0.0

    def publish(self, event: Recorded) -> None:
        """Tell the other processes. Raises PublishFailed, at once while Redis is known as away."""
        if time.monotonic() < self._away_until:
            raise PublishFailed
        try:
            self._publisher.publish(self._name, _written(event))
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise PublishFailed from error

    def answers(self) -> bool:
        """Whether Redis takes messages at this moment."""
        try:
            self._publisher.ping()
        except (RedisError, OSError):
            return False
        self._away_until = 0.0
        return True

    def listen(
        self,
        hear: Callable[[Recorded], None],
        catch_up: Callable[[datetime], None],
        now: Callable[[], datetime],
    ) -> None:
        """Hear the other processes for ever; after each gap catch up with what was stored since."""
        heard_at = now()
        warned = False
        while True:
            try:
                with self._listener.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(self._name)
                    for message in _messages(subscription):
                        if message["type"] == "subscribe":
                            catch_up(heard_at)
                            warned = False
                        elif message["type"] == "message":
                            _pass_on(message["data"], hear)
                        heard_at = now()
            except (RedisError, OSError, BalcaoError) as error:
                if not warned:
                    log.warning("channel.deaf", cause=type(error).__name__)
                warned = True
            time.sleep(RETRY_SECONDS)


def _messages(subscription: Any) -> Any:
    """Whatever arrives, the answers to our own pulse included. Raises when there is no answer."""
    asked = False
    while True:
        message = subscription.get_message(timeout=PULSE_SECONDS)
        if message is not None:
            asked = False
            yield message
        elif asked:
            raise RedisConnectionError("no answer to a ping")
        else:
            subscription.ping()
            asked = True


def _pass_on(data: bytes, hear: Callable[[Recorded], None]) -> None:
    try:
        event = _read(data)
    except (ValueError, TypeError, AttributeError):
        log.warning("channel.unreadable", length=len(data))
        return
    hear(event)


def _written(event: Recorded) -> str:
    fields = asdict(event)
    del fields["reason"]  # it is stored and not announced
    return json.dumps({**fields, "occurred_at": rfc3339(event.occurred_at)})


def _read(data: bytes) -> Recorded:
    fields = json.loads(data)
    fields["name"] = EventName(fields["name"])
    fields["occurred_at"] = parse_rfc3339(fields["occurred_at"])
    return Recorded(**fields)
