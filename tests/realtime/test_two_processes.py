"""Several processes over Redis: one takes the money, another has the watcher, Redis goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.realtime.clients import QUIET_SECONDS, Watcher
from tests.support.service import ServiceProcess

PROMPT_SECONDS = 2.5  # far from a busy machine's delays, and far from redis-py's own retries


@pytest.fixture
def pair(serve, tmp_path) -> Callable[..., tuple[ServiceProcess, ServiceProcess]]:
    """Start two processes of one service: pair(mode, redis_url)."""

    def start(mode: str, redis_url: str) -> tuple[ServiceProcess, ServiceProcess]:
        shared = {"ASYNC_MODE": mode, "REDIS_URL": redis_url}
        database = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
        first = serve(instance=tmp_path / "one", DATABASE_URL=database, **shared)
        return first, serve(instance=tmp_path / "two", DATABASE_URL=database, **shared)

    return start


@contextmanager
def _watching(service: ServiceProcess, payment: dict[str, Any]) -> Iterator[Watcher]:
    with Watcher(service.url, ["websocket"]) as bob:
        bob.watch(payment)
        yield bob


def _both_names(payment: dict[str, Any]) -> list[str]:
    return ["payment-confirmed", f"payment-confirmed-{payment['id']}"]


def _readiness(service: ServiceProcess) -> tuple[int, str]:
    status, body = service.get("/readyz")
    return status, json.loads(body)["checks"]["redis"]


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_watcher_hears_a_confirmation_that_another_process_took(pair, redis_url, mode):
    """Behind a load balancer, the bank and the shopper rarely reach the same process."""
    one, two = pair(mode, redis_url)
    payment, other = one.create(), two.create()
    with _watching(one, payment) as bob, _watching(two, other) as charlie:
        assert two.tell(payment)[0] == 200
        message = bob.wait_for(f"payment-confirmed-{payment['id']}")
        assert (message["status"], message["sequence"]) == ("confirmed", 2)
        time.sleep(QUIET_SECONDS)
        assert bob.names() == _both_names(payment)
        assert charlie.names() == []


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("mode", ["eventlet", "gevent"])
def test_redis_away_delays_the_other_processes_watchers_and_nobody_else(pair, private_server, mode):
    """Without Redis, payments work as before, and no event is lost or repeated."""
    redis = private_server("redis")
    one, two = pair(mode, redis.url)
    near, far = one.create(), one.create()
    with _watching(one, near) as bob, _watching(two, far) as charlie:
        assert _readiness(one) == (200, "ok")
        redis.kill()
        for payment in (near, far):
            started = time.monotonic()
            assert one.tell(payment)[0] == 200
            assert time.monotonic() - started < PROMPT_SECONDS
        bob.wait_for(f"payment-confirmed-{near['id']}")
        status, reason = _readiness(one)
        assert (status, "Redis" in reason) == (503, True)
        time.sleep(QUIET_SECONDS)
        assert charlie.names() == []
        redis.start()
        charlie.wait_for(f"payment-confirmed-{far['id']}")
        # Long enough for the relay, which announces what Redis did not take.
        time.sleep(6)
        assert bob.names() == _both_names(near)
        assert charlie.names() == _both_names(far)
        assert _readiness(one) == (200, "ok")


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_listening_recovers_soon_after_redis_came_back(pair, private_server, mode):
    """The pause between attempts must not grow while Redis is down."""
    redis = private_server("redis")
    one, two = pair(mode, redis.url)
    before, after = one.create(), one.create()
    with _watching(two, before) as bob:
        redis.kill()
        time.sleep(8)  # long enough for a growing pause to have grown
        redis.start()
        time.sleep(1.5)
        assert one.tell(before)[0] == 200
        bob.wait_for(f"payment-confirmed-{before['id']}")
        bob.watch(after)
        started = time.monotonic()
        assert one.tell(after)[0] == 200
        bob.wait_for(f"payment-confirmed-{after['id']}")
        assert time.monotonic() - started < PROMPT_SECONDS


@pytest.mark.slow
@pytest.mark.redis
def test_two_services_on_one_redis_do_not_hear_each_other(serve, private_server, tmp_path):
    """Numbered databases share their channels: another shop's events must stay its own."""
    redis = private_server("redis")
    ours = serve(instance=tmp_path / "ours", REDIS_URL=redis.url)
    theirs = serve(instance=tmp_path / "theirs", REDIS_URL=redis.url, SECRET_KEY="t" * 48)
    beside = serve(instance=tmp_path / "beside", REDIS_URL=redis.url.replace("/0", "/1"))
    payment = ours.create()
    with _watching(ours, payment), Watcher(theirs.url) as charlie, Watcher(beside.url) as dave:
        for stranger, service in ((charlie, theirs), (dave, beside)):
            stranger.watch(service.create())
        with _published_to(redis.url) as channels:
            assert ours.tell(payment)[0] == 200
            assert theirs.tell(theirs.create())[0] == 200
            assert beside.tell(beside.create())[0] == 200
            assert len(channels()) == 3
        time.sleep(QUIET_SECONDS)
        assert charlie.names() == []
        assert dave.names() == []


@contextmanager
def _published_to(url: str) -> Iterator[Callable[[], set[bytes]]]:
    """The names of the channels that got messages during the block."""
    from redis import Redis

    with Redis.from_url(url) as client, client.pubsub() as everything:
        everything.psubscribe("*")
        everything.get_message(timeout=2)

        def channels() -> set[bytes]:
            names = set()
            while (message := everything.get_message(timeout=1)) is not None:
                names.add(message["channel"])
            return names

        yield channels
