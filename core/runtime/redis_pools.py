"""Connections to Redis: to one server, or to the primary that sentinels name.

Sentinels elect a new primary when the old one is away. The old one may live on, cut off, and take
messages that nobody hears. `named_primary` asks the sentinels which server is the primary now.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from core.runtime.sentinel_url import is_sentinel_url, parse_sentinel_url

SENTINEL_SECONDS = 0.5
"""The timeout of each sentinel."""
NO_PRIMARY_SECONDS = 0.5
"""While the sentinels name no primary, they are asked once in this time."""

Address = tuple[str, int]


class PrimaryConnection(SentinelManagedConnection):
    """A connection to the primary that closes after a timeout, as redis-py's plain connections do.

    redis-py's own class stays open, so it would wait for a frozen primary at each command, and it
    could take a late answer for the next command's.
    """

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read one answer. Raises RedisError."""
        return super().read_response(*args, **{"disconnect_on_error": True, **options})


class PrimaryTlsConnection(PrimaryConnection, SentinelManagedSSLConnection):
    """The same with TLS."""


class Sentinels(Sentinel):
    """Sentinels that are not asked again at once when they name no primary.

    redis-py asks at every attempt to connect. During an election each attempt would wait for each
    sentinel that is away.
    """

    def __init__(self, addresses: tuple[Address, ...], **options: Any) -> None:
        super().__init__(addresses, **options)  # type: ignore[no-untyped-call]
        self._all = tuple(self.sentinels)
        self._silent_until = 0.0

    def discover_master(self, service_name: str) -> Address:
        """The primary by the first sentinel that names one. Raises MasterNotFoundError."""
        if time.monotonic() < self._silent_until:
            raise MasterNotFoundError(f"no primary {service_name!r} a moment ago")
        try:
            address: Address = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            self._silent_until = time.monotonic() + NO_PRIMARY_SECONDS
            raise
        return address

    def primary_by_votes(self, service_name: str) -> Address | None:
        """The primary that more than half of the sentinels name; None if no server is.

        The sentinels that name it are then asked first, because one that is cut off from the
        others still names the old primary.
        """
        answers = {sentinel: _answer(sentinel, service_name) for sentinel in self._all}
        votes = Counter(address for address in answers.values() if address is not None)
        for address, count in votes.most_common(1):
            if 2 * count > len(answers):
                self.sentinels = sorted(self._all, key=lambda one: answers[one] != address)
                return address
        return None


def _answer(sentinel: Redis, service_name: str) -> Address | None:
    try:
        answer: Any = sentinel.sentinel_get_master_addr_by_name(service_name)
    except (RedisError, OSError):
        return None
    if answer is None:
        return None
    host, port = answer
    return host.decode() if isinstance(host, bytes) else host, int(port)


def open_pool(url: str, seconds: float, retries: int = 0) -> ConnectionPool:
    """A pool of connections that fail within `seconds`; redis-py by default retries for long.

    `retries` are for broken connections, not for timeouts. Opens no connection yet. Raises
    ValueError for an invalid URL.
    """
    bounds = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    retry = _retry(retries)
    if not is_sentinel_url(url):
        return ConnectionPool.from_url(url, retry=retry, **bounds)
    address = parse_sentinel_url(url)
    tls: dict[str, Any] = {"ssl": True, **address.tls_files} if address.is_tls else {}
    credentials = {"username": address.user, "password": address.password}
    sentinels = Sentinels(
        address.sentinels,
        sentinel_kwargs={
            "socket_connect_timeout": SENTINEL_SECONDS,
            "socket_timeout": SENTINEL_SECONDS,
            "retry": _retry(0),
            **tls,
            **(credentials if address.has_sentinel_auth else {}),
        },
    )
    pool: ConnectionPool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service,
        sentinels,
        connection_class=PrimaryTlsConnection if address.is_tls else PrimaryConnection,
        db=address.database,
        retry=retry,
        **credentials,
        **bounds,
        **address.tls_files,
    )
    return pool


def open_client(url: str, seconds: float, retries: int = 0) -> Redis:
    """A client with a pool of its own, as `open_pool`."""
    return Redis.from_pool(open_pool(url, seconds, retries))


def primary_of(pool: ConnectionPool) -> Address | None:
    """The primary that the pool connects to now; None without sentinels."""
    if isinstance(pool, SentinelConnectionPool):
        address: Address | None = pool.master_address
        return address
    return None


def named_primary(pool: ConnectionPool) -> Address | None:
    """The primary that more than half of the sentinels name.

    None if no server has so many votes: sentinels are away, or an election is under way.
    """
    if not isinstance(pool, SentinelConnectionPool):
        return None
    address: Address | None = pool.sentinel_manager.primary_by_votes(pool.service_name)
    return address


def reconnect(pool: ConnectionPool) -> None:
    """Ask the sentinels again before the next command. Raises RedisError if they name no primary.

    redis-py then drops the idle connections to another server.
    """
    if isinstance(pool, SentinelConnectionPool):
        pool.get_master_address()  # type: ignore[no-untyped-call]


def is_replica(client: Redis) -> bool:
    """Whether sentinels named this server and it is a replica now. Raises RedisError."""
    if not isinstance(client.connection_pool, SentinelConnectionPool):
        return False
    role: Any = client.role()
    return role[0] not in (b"master", "master")


def end_subscription(subscription: Any) -> None:
    """Let who reads this subscription, in another thread or greenlet, find it ended at once.

    It raises a RedisError or an OSError there. Closed from here, the connection would vanish in
    the middle of that read, which redis-py does not expect.
    """
    sock = getattr(subscription.connection, "_sock", None)
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _retry(retries: int) -> Retry:
    return Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
