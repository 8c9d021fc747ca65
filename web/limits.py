"""Rate limits by Flask-Limiter and its library `limits`, shared through Redis if there is one.

While Redis is down, each process counts for itself. A limit that fails open would be no limit, and
a limit that fails closed would take the service down with Redis.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter, RequestLimit
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Counter
from redis import RedisError

from config import Settings, current_parts
from core.errors import TooManyRequests
from core.runtime.redis_pools import open_pool
from repository.database import now
from web.problems import problem

log = structlog.get_logger()
Result = TypeVar("Result")

STRATEGY = "moving-window"
PREFIX = "balcao"
HITS_KEPT = timedelta(hours=24)
REDIS_SECONDS_MAX = 1
"""The timeout of Redis."""
REDIS_AWAY_SECONDS = 1.0
"""After a failure this process counts for itself so long, without waiting for Redis again."""
_REDIS = "redis://"
"""Chooses the kind of storage; the address is in the pool of connections."""
_REGISTERED: list[str] = []


def client_network() -> str:
    """The client that limits count: its address, or for IPv6 the /64 that one customer has."""
    return network_of(request.remote_addr or "unknown")


@lru_cache(maxsize=4096)
def network_of(text: str) -> str:
    """As `client_network`, for the address in the text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:45]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return text


def _on_breach(limit: RequestLimit) -> Response | None:
    """Count the refusal and answer like any other error.

    Flask-Limiter would take an exception raised here for a failure of the storage.
    """
    limits().count(request.endpoint or "unknown")
    error = TooManyRequests(math.ceil(limit.window.reset_time - time.time()))
    g.problem_code = error.code
    answer = problem(429, error.code, error.title, error.detail)
    answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return answer


limiter = Limiter(
    client_network,
    strategy=STRATEGY,
    in_memory_fallback_enabled=True,
    on_breach=_on_breach,
    key_prefix=PREFIX,
)
"""`@limiter.limit("10/minute")` limits a view for each client network."""


class Limits:
    """Limits that count something else than the requests of one address to one route."""

    def __init__(self, redis_url: str | None, counter: Counter) -> None:
        """Count in this Redis, or without one in this process."""
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared = self._own
        if redis_url is not None:
            storage: Any = storage_from_string(_REDIS, **_redis_options(redis_url))
            self._shared = MovingWindowRateLimiter(storage)
        self._counter = counter
        self._running: Counts[tuple[str, ...]] = Counts()
        self._lock = threading.Lock()
        self._away_until = 0.0

    @property
    def storages(self) -> tuple[Storage, ...]:
        """Where the counts are: in Redis, if it is there, and in this process."""
        return (self._shared.storage, self._own.storage)

    def take(self, limit: RateLimitItem, *who: str) -> int | None:
        """Count one request; None if the limit allows it, else the seconds to wait."""
        return self._ask(lambda by: None if by.hit(limit, *who) else _wait(by, limit, who))

    def seconds_to_wait(self, limit: RateLimitItem, *who: str, requests: int = 1) -> int | None:
        """The seconds until the limit allows so many requests, None if now; counts nothing."""
        return self._ask(
            lambda by: None if by.test(limit, *who, cost=requests) else _wait(by, limit, who)
        )

    @contextmanager
    def running(self, *who: str) -> Iterator[int]:
        """Count one piece of work of this process while it runs; yield the count with it."""
        with self._lock:
            self._running[who] += 1
            count = self._running[who]
        try:
            yield count
        finally:
            with self._lock:
                self._running[who] -= 1
                if not self._running[who]:
                    del self._running[who]

    def give_back(self, limit: RateLimitItem, *who: str) -> None:
        """Reset the count of the limit."""
        self._ask(lambda by: by.clear(limit, *who))

    def count(self, name: str) -> None:
        """Record that a limit was reached, for /metrics and the admin page."""
        g.limit_reached = name
        self._counter.labels(name).inc()
        key = _hour_key(name, now())
        seconds = int(HITS_KEPT.total_seconds()) + 3600
        self._ask(lambda by: by.storage.incr(key, seconds))

    def hits(self, *names: str) -> dict[str, int]:
        """How often each limit was reached in the last 24 hours, in all processes together.

        Without Redis, or while Redis is down, only in this process.
        """
        moment = now()
        hours = range(int(HITS_KEPT.total_seconds() // 3600))
        keys = {
            name: [_hour_key(name, moment - timedelta(hours=hour)) for hour in hours]
            for name in names
        }
        # One call for all keys, so that a Redis that is down costs one timeout, not one per key.
        return self._ask(partial(_sums, keys))

    def _ask(self, do: Callable[[MovingWindowRateLimiter], Result]) -> Result:
        if time.monotonic() < self._away_until:
            return do(self._own)
        try:
            return do(self._shared)
        except Exception as error:
            if self._shared is self._own:
                raise
            self._away_until = time.monotonic() + REDIS_AWAY_SECONDS
            log.warning("limits.redis_away", error=type(error).__name__)
            return do(self._own)


def init_limits(app: Flask, settings: Settings) -> None:
    """Attach the limiter to the app."""
    url = settings.redis_url
    app.config["RATELIMIT_STORAGE_URI"] = _REDIS if url else "memory://"
    app.config["RATELIMIT_STORAGE_OPTIONS"] = _redis_options(url) if url else {}
    # The decorators check limits themselves. The limiter's hooks around every request serve only
    # default limits and `deduct_when`, which are not used; an app that already lists the limiter
    # gets no hooks.
    app.extensions.setdefault("limiter", set()).add(limiter)
    limiter.init_app(app)


def forget_counts() -> None:
    """Start all counts anew after the wall clock was set back.

    The counts hold times. Times that now lie in the future would fill their windows until then.
    """
    for storage in (limiter.limiter.storage, *limits().storages):
        with suppress(RedisError):
            storage.reset()


def limits() -> Limits:
    """The limits of the current app."""
    return current_parts().limits


def register_limit(name: str) -> str:
    """Register a limit that belongs to no route, so that it is counted and shown by this name."""
    if name not in _REGISTERED:
        _REGISTERED.append(name)
    return name


def limit_names() -> list[str]:
    """Every name that limits are counted under: registered names, then endpoints."""
    app = current_app
    limited = [
        endpoint
        for endpoint in sorted(app.view_functions)
        if any(limiter.limit_manager.resolve_limits(app, endpoint))
    ]
    return [*_REGISTERED, *limited]


def per_seconds(amount: int, seconds: int) -> RateLimitItem:
    """The limit of `amount` requests in so many seconds."""
    return parse(f"{amount} per {seconds} seconds")


def _redis_options(redis_url: str) -> dict[str, Any]:
    pool = open_pool(redis_url, REDIS_SECONDS_MAX, retries=1)
    return {"connection_pool": pool, "key_prefix": PREFIX}


def _wait(by: MovingWindowRateLimiter, limit: RateLimitItem, who: tuple[str, ...]) -> int:
    reset_at = by.get_window_stats(limit, *who).reset_time
    return max(1, math.ceil(reset_at - time.time()))


def _sums(keys: dict[str, list[str]], by: MovingWindowRateLimiter) -> dict[str, int]:
    return {name: sum(by.storage.get(key) or 0 for key in hours) for name, hours in keys.items()}


def _hour_key(name: str, moment: datetime) -> str:
    return f"hits/{name}/{moment:%Y%m%d%H}"
